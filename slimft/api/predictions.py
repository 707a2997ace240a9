"""What a classifier says of images, for notebooks and scripts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np

from slimft.messages import printable

# Rows that are shown.
_MOST_SHOWN = 20


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class ImagePredictions:
    """The predictions of images, in their order; `repr`, and a notebook, show a table of the first.

    Attributes:
        names: the images' paths, or ``image 0`` and so on.
        class_names: the classes' names, or their numbers as text.
        probabilities: float32 ``[images, classes]``, of which each row adds up to 1; NaN of what cannot be read.
        errors: by the image's index, why it cannot be read.
    """

    names: tuple[str, ...]
    class_names: tuple[str, ...]
    probabilities: np.ndarray
    errors: Mapping[int, str]

    @property
    def labels(self) -> np.ndarray:
        """int64 ``[images]``: the numbers of the likeliest classes; -1 of what cannot be read."""
        known = np.nan_to_num(self.probabilities, nan=-1.0)
        labels = known.argmax(axis=1) if known.shape[1] else np.zeros(len(known), np.int64)
        return np.where(np.isnan(self.probabilities).any(axis=1), -1, labels)

    @property
    def predicted(self) -> list[str | None]:
        """The names of the likeliest classes; None of what cannot be read."""
        return [None if label < 0 else self.class_names[label] for label in self.labels.tolist()]

    @property
    def confidence(self) -> np.ndarray:
        """float32 ``[images]``: the probabilities of the likeliest classes; NaN of what cannot be read."""
        return self.probabilities.max(axis=1)

    def top(self, k: int = 5) -> list[list[tuple[str, float]]]:
        """Of each image the `k` likeliest classes, the likeliest first, with their probabilities."""
        tops = []
        for index, row in enumerate(self.probabilities):
            order = [] if index in self.errors else np.argsort(-row, kind="stable")[:k]
            tops.append([(self.class_names[number], float(row[number])) for number in order])
        return tops

    def to_frame(self):
        """A pandas DataFrame: ``path, predicted, confidence``, and ``probability_NAME`` of each class.

        Raises:
            ImportError: pandas is not installed.
        """
        import pandas

        shares = {f"probability_{name}": column for name, column in zip(self.class_names, self.probabilities.T)}
        columns = {"path": self.names, "predicted": self.predicted, "confidence": self.confidence}
        return pandas.DataFrame({**columns, **shares})

    def __len__(self) -> int:
        return len(self.names)

    def _rows(self) -> Iterator[tuple[str, str, str]]:
        shown = zip(self.names, self.predicted, self.confidence)
        for index, (name, predicted, confidence) in zip(range(_MOST_SHOWN), shown):
            said = (predicted, f"{confidence:.4f}") if predicted is not None else (self.errors[index], "")
            yield printable(name), printable(said[0]), said[1]

    def __repr__(self) -> str:
        rows = [("image", "predicted", "confidence"), *self._rows()]
        widths = [max(map(len, column)) for column in zip(*rows)]
        lines = ["  ".join(f"{text:<{width}}" for text, width in zip(row, widths)).rstrip() for row in rows]
        more = len(self) - _MOST_SHOWN
        return "\n".join([*lines, *([f"and {more:,} more"] if more > 0 else [])])

    def _repr_html_(self) -> str:
        from slimft.report.markup import tag

        rows = [tag("tr", *(tag("td", text) for text in row)) for row in self._rows()]
        head = tag("tr", *(tag("th", text) for text in ("image", "predicted", "confidence")))
        more = len(self) - _MOST_SHOWN
        return str(tag("table", head, *rows)) + (f"and {more:,} more" if more > 0 else "")
