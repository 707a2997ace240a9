"""What is trained when: the stages of a run, and the learning rates of its scopes."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from slimft.errors import UsageError
from slimft.filters import compile_pattern, split_patterns
from slimft.nets import NetworkSpec
from slimft.runs.settings import Settings

_STAGE = re.compile(r"(?P<epochs>[0-9.]+(?:[eE][+-]?[0-9]+)?):(?P<scopes>[^@]+)(?:@(?P<rate>[^@]+))?")


@dataclasses.dataclass(frozen=True)
class Stage:
    """A part of a run in which the same variables train.

    Attributes:
        number: 0 for the first.
        first_step: the step it starts at.
        last_step: the step it ends at.
        trainable: patterns of what trains; empty for everything.
        learning_rate: the rate its schedule starts with.
    """

    number: int
    first_step: int
    last_step: int
    trainable: tuple[str, ...]
    learning_rate: float


def stages_of(settings: Settings, spec: NetworkSpec, num_examples: int) -> list[Stage]:
    """The stages of a run on that many training examples: one, unless there is a ``--stage``."""
    images_per_step = settings.batch_size * settings.accumulate

    def steps(epochs: float) -> int:
        return max(1, round(epochs * num_examples / images_per_step))

    if not settings.stage:
        last_step = steps(settings.epochs) if settings.steps is None else settings.steps
        trainable = spec.expand(settings.trainable, settings.head, settings.network_options())
        return [Stage(0, 0, last_step, trainable, settings.learning_rate)]
    stages, step = [], 0
    for number, (epochs, scopes, rate) in enumerate(parse_stages(settings.stage)):
        last_step = step + steps(epochs)
        trainable = spec.expand(scopes, settings.head, settings.network_options())
        stages.append(Stage(number, step, last_step, trainable, rate or settings.learning_rate))
        step = last_step
    return stages


def parse_stages(texts: Sequence[str]) -> list[tuple[float, tuple[str, ...], float | None]]:
    """The epochs, the patterns and the learning rate (None for that of the run) of each ``--stage``.

    Raises:
        UsageError: one is not ``EPOCHS:SCOPES`` or ``EPOCHS:SCOPES@LEARNING_RATE``.
    """
    stages = []
    for text in texts:
        match = _STAGE.fullmatch(text.strip())
        epochs = _positive(match["epochs"]) if match else None
        rate = _positive(match["rate"]) if match and match["rate"] else None
        scopes = split_patterns(match["scopes"]) if match else ()
        if epochs is None or not scopes or (match["rate"] and rate is None):
            raise UsageError(
                f"--stage={text} must be EPOCHS:SCOPES or EPOCHS:SCOPES@LEARNING_RATE, such as 2:head or "
                "6:all@0.0005"
            )
        stages.append((epochs, scopes, rate))
    return stages


def parse_multipliers(texts: Sequence[str]) -> list[tuple[str, float]]:
    """The pattern and the factor of each part of ``--lr_multiplier``.

    Raises:
        UsageError: one is not ``SCOPE:FACTOR`` with a positive factor.
    """
    pairs = []
    for text in texts:
        scope, colon, number = text.strip().rpartition(":")
        factor = _positive(number)
        if not (scope and colon and factor):
            raise UsageError(
                f"--lr_multiplier={text} must be SCOPE:FACTOR with a factor above 0, such as head:10 (--freeze "
                "stops a scope from training)"
            )
        compile_pattern(scope)
        pairs.append((scope, factor))
    return pairs


def _positive(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 < number < float("inf") else None
