"""What all trackers have in common: the seam between a run's files and a package."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

# How a tracked run is, or has ended.
FINISHED, FAILED, KILLED = "FINISHED", "FAILED", "KILLED"
ENDINGS = (FINISHED, FAILED, KILLED)

# What comes between // and @ in an address.
_OF_USERS = re.compile(r"(?<=//)[^/\s@]*(?:@[^/\s@]*)*@")


class Told(NamedTuple):
    """What is told of a run when it begins.

    Attributes:
        name: what the tracker calls it.
        project: the experiment, or project, that it is in; None for what the tracker's environment says, or slimft.
        settings: the run's settings, by name; lists as text with commas.
        tags: what runs are found by.
        seconds: for how long it has trained already.
        step: the newest step that the tracker has of the run it goes on with; -1 for none.
    """

    name: str
    project: str | None
    settings: Mapping[str, str | int | float | bool]
    tags: Mapping[str, str]
    seconds: float
    step: int = -1


class Point(NamedTuple):
    """Figures of a step.

    Attributes:
        step: the step.
        seconds: for how long the run had trained then.
        figures: by name, such as ``train/loss``; all of them finite.
    """

    step: int
    seconds: float
    figures: Mapping[str, float]


class Gone(Exception):
    """The tracker has no longer the run that was tracked."""


class Tracker(Protocol):
    """A tracker, of one run. Any method may raise any exception: then not all of it has been done.

    Attributes:
        where: what tells its servers and stores apart, without anybody's password.
    """

    where: str

    def begin(self, told: Told, identity: str | None) -> str:
        """Begins a run, or goes on with the one of that identity; returns the identity.

        Raises:
            Gone: there is none of that identity.
        """

    def describe(self) -> str:
        """Where a person finds the run, for the end of a sentence."""

    def log(self, points: Sequence[Point]) -> None:
        """Adds points to the curves, in the order of their steps.

        No figure has had a point of these steps before; other figures may have had one, of the last step.
        """

    def conclude(self, point: Point) -> None:
        """Takes the figures that the run has come to."""

    def keep(self, files: Mapping[str, pathlib.Path]) -> None:
        """Keeps small files, by their paths in the run's directory."""

    def keep_checkpoint(self, files: Mapping[str, pathlib.Path]) -> None:
        """Keeps the files of checkpoints, by their paths in the run's directory."""

    def end(self, status: str) -> None:
        """Ends the run, for now, in one of the ways of `ENDINGS`."""


def without_users(text: str) -> str:
    """`text` without the names and passwords of users, and without queries, that addresses in it have.

    >>> without_users("cannot reach https://me:secret@example.org/mlflow?key=1 now")
    'cannot reach https://example.org/mlflow now'
    """
    return re.sub(r"(\w://[^\s?]*)\?\S*", r"\1", _OF_USERS.sub("", text))
