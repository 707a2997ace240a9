"""The seam between what a network is trained for and everything that trains, evaluates and reports.

A `Task` says what an example's target is, how outputs become a loss and predictions, and how these are scored. The
training graph, the loop, the history and the report go by its figures and know no figure's name, but for ``loss``,
which every task has. `slimft.tasks.get_task` finds a task; importing this needs no TensorFlow.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np


@dataclasses.dataclass(frozen=True)
class Figure:
    """A number that tells how good a network is.

    Attributes:
        name: its key in ``history.json``, ``result.json`` and printed results, and its value of ``--metric``.
        title: what a person calls it.
        short: what a line of a log calls it.
        larger_is_better: whether the best checkpoint has the largest.
        is_share: whether it lies in 0..1, and may be shown in percent.
        chooses: whether ``--metric`` can name it. Those that can are also drawn over the steps.
    """

    name: str
    title: str
    short: str
    larger_is_better: bool = True
    is_share: bool = True
    chooses: bool = True

    def __str__(self) -> str:
        return self.name


@dataclasses.dataclass(frozen=True)
class TargetSpec:
    """What the target of one example is.

    Attributes:
        dtype: of its values.
        shape: of one target; ``()`` for a number. None for a size that differs.
        ignore: the value that counts for nothing, neither in the loss nor in the scores; None where there is none.
    """

    dtype: np.dtype
    shape: tuple[int | None, ...] = ()
    ignore: int | None = None

    @property
    def is_map(self) -> bool:
        """Whether a target says something of each pixel, so that images are seen whole, at sizes of their own."""
        return bool(self.shape)


class Scores(Protocol):
    """How good predictions are, added up batch by batch: memory does not grow with the examples.

    Whatever the order of `add` and `merge`, the same examples give the same scores.

    Attributes:
        task: the name of the task that they are of.
    """

    @property
    def task(self) -> str: ...

    def add(self, batch: Mapping[str, np.ndarray], examples: np.ndarray) -> None:
        """Adds a batch.

        Args:
            batch: by name, ``targets`` and what `Task.predict` made, each with one entry an example.
            examples: int ``[batch]``, the indices of the examples in their split.
        """

    def merge(self, other: Any) -> None:
        """Adds the scores of other examples of the same split.

        Raises:
            ValueError: they are of another number of classes.
        """

    def to_bytes(self) -> bytes:
        """All of it, exactly, for another process: what merges is the same from the bytes as from the scores."""

    @classmethod
    def from_bytes(cls, data: bytes) -> Scores:
        """The scores that `to_bytes` of the same task made bytes of; to be asked of any scores of the task.

        Bytes of any origin are safe to be read; the memory they take is a small multiple of them.

        Raises:
            ValueError: they are no such bytes.
        """

    def summary(self) -> dict[str, Any]:
        """``examples``, how many there were, and each of the task's figures."""

    def mistakes(self) -> list[tuple[int, dict[str, Any]]]:
        """What to show, the worst first: an example's index in the split, and what to say of it."""

    def per_class(self, class_names: Sequence[str]) -> list[dict[str, Any]]:
        """Each class's figures: ``class`` (its name), a count, and shares in 0..1, None where not defined."""

    def findings(self, class_names: Sequence[str]) -> dict[str, Any]:
        """What a report shows beside the figures: the fields of `slimft.runs.result.Result` that are the task's."""


class Task(Protocol):
    """What a network is trained for.

    Attributes:
        name: its name.
        figures: its figures, ``loss`` among them.
        headline: the name of the figure that a run is told by first.
        measured: the names of the figures that training measures at each step, ``loss`` first.
        targets: what the target of an example is.
    """

    @property
    def name(self) -> str: ...

    @property
    def figures(self) -> tuple[Figure, ...]: ...

    @property
    def headline(self) -> str: ...

    @property
    def measured(self) -> tuple[str, ...]: ...

    @property
    def targets(self) -> TargetSpec: ...

    def default_metric(self, balanced: bool) -> str:
        """The figure that tells the best checkpoint where ``--metric`` does not.

        Args:
            balanced: whether classes of unequal size count alike in training.
        """

    def told(self, balanced: bool) -> tuple[str, ...]:
        """The figures that the line of a validation tells, in their order."""

    def loss(
        self,
        outputs: Any,
        targets: Any,
        class_weights: Any = None,
        focal_gamma: float = 0.0,
        label_smoothing: float = 0.0,
    ) -> Any:
        """Adds the mean loss of a batch to the graph.

        Args:
            outputs: the head's, float.
            targets: what they should be, as training makes it of the targets (soft, for example).
            class_weights: float ``[classes]``; None for ones.
            focal_gamma: gamma of the focal loss; 0 for none.
            label_smoothing: share of the target that all classes get in equal parts.

        Returns:
            scalar float32.
        """

    def measure(self, outputs: Any, targets: Any, loss: Any) -> dict[str, Any]:
        """Scalar tensors of a training batch, by the names of `measured`.

        Args:
            outputs: the head's.
            targets: the batch's targets, moved and cropped as its images are, but not mixed or smoothed.
            loss: the batch's loss.
        """

    def predict(self, outputs: Any, targets: Any, in_full: bool = False) -> dict[str, Any]:
        """Tensors with one entry an example, which are fetched batch by batch and given to `Scores.add`.

        Args:
            outputs: the head's.
            targets: the batch's targets.
            in_full: whether there is to be all that the network says of an example, not only what is scored.
        """

    def scores(self, num_classes: int) -> Scores:
        """Scores without any example."""

    def note(self, batch: Mapping[str, np.ndarray]) -> Any:
        """What is to be kept of a batch, ``examples`` with it, by who wants something of each example."""

    def outcomes(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What a run leaves of each example of a batch, as of `slimft.runs.outcomes.Outcomes`."""

    def predictions(self, notes: Sequence[Any], num_classes: int) -> Any:
        """What was made of each example, in the split's order, from the notes of all batches."""


def figure(figures: Iterable[Figure], name: str) -> Figure:
    """The figure of that name.

    Raises:
        KeyError: there is none.
    """
    found = {one.name: one for one in figures}
    return found[name]


def in_words(task: Task, figures: Mapping[str, Any], names: Iterable[str] | None = None) -> str:
    """Figures in a line of a log, such as ``accuracy 0.9750, loss 0.1203``; `names` are some of the task's."""
    titles = {one.name: one.short for one in task.figures}
    return ", ".join(f"{titles[name]} {show(figures[name])}" for name in names or titles)


def show(value: float | None, digits: int = 4) -> str:
    """A figure's value as text; ``-`` where it is not defined."""
    return "-" if value is None else f"{value:.{digits}f}"
