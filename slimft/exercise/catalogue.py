"""All steps, by part and by name."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Sequence

from slimft.errors import UsageError
from slimft.exercise import course, headline, tutorials
from slimft.exercise.steps import Step


@dataclasses.dataclass(frozen=True)
class Part:
    """Steps that belong together.

    Attributes:
        name: what the command knows it by.
        title: its heading.
        about: a sentence or two below that.
        steps: its steps, in the order that they are run in.
    """

    name: str
    title: str
    about: str
    steps: tuple[Step, ...]


PARTS = (
    Part(
        course.PART,
        "The POSTECH exercise",
        "VGG-16 from nothing and from a checkpoint, other networks, the notebook's tasks, a class for every pixel.",
        course.STEPS,
    ),
    Part(
        tutorials.PART,
        "The tutorials",
        "What public tutorials of transfer learning to CIFAR-10 do, with the figures that they published.",
        tutorials.STEPS,
    ),
    Part(
        headline.PART,
        "Long runs",
        "From a checkpoint and from nothing in the same time, with all training images and three seeds.",
        headline.STEPS,
    ),
)
ALL_STEPS = tuple(step for part in PARTS for step in part.steps)
# What is run when nothing is named: the headline takes hours.
DEFAULT = (course.PART, tutorials.PART)
EVERYTHING = "all"


def select(names: Sequence[str]) -> tuple[Step, ...]:
    """The steps of these names, parts among them, in the catalogue's order; all of `DEFAULT` without any.

    A step that starts from another's run brings that one along.

    Raises:
        UsageError: there is no such step or part; suggests one.
    """
    parts = {part.name: {step.name for step in part.steps} for part in PARTS}
    parts[EVERYTHING] = {step.name for step in ALL_STEPS}
    chosen: set[str] = set()
    for name in names or DEFAULT:
        if name not in parts and name not in parts[EVERYTHING]:
            close = difflib.get_close_matches(name, [*parts, *parts[EVERYTHING]], n=1)
            hint = (
                f"did you mean {close[0]}?" if close else f"the parts are {', '.join(parts)}; --list has the steps"
            )
            raise UsageError(f"there is no step {name!r}; {hint}")
        chosen |= parts.get(name, {name})
    for step in reversed(ALL_STEPS):
        if step.name in chosen:
            chosen |= {start.step for start in step.starts if start.step}
    return tuple(step for step in ALL_STEPS if step.name in chosen)


def find(name: str) -> Step:
    """The step called `name`, which is there."""
    return next(step for step in ALL_STEPS if step.name == name)
