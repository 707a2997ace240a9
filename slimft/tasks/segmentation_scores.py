"""How good a segmentation is: accuracies and intersections over unions, from one confusion matrix; in NumPy."""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from slimft.tasks.exact_sum import ExactSum
from slimft.tasks.packed import Packed, pack

# Images a report shows of the best, and of the worst.
_SHOWN = 6
# The longest side, in pixels, of what is kept of the predictions for these.
_SHOWN_SIDE = 320
# A matrix of more classes has too many numbers for anybody to look at.
_MOST_MATRIX_CLASSES = 200


@dataclasses.dataclass(frozen=True)
class ImageScore:
    """How good the prediction of one image is.

    Attributes:
        index: the example's, in its split.
        mean_iou: the mean of IoU over the classes that the image has, or is predicted to have; None where no pixel
            is of a class.
        pixel_accuracy: the share of its pixels, of those of a class, that are right; None likewise.
        predicted: uint8 ``[rows, columns]``, the predicted classes, perhaps every so many-th; None where it is not
            kept.
    """

    index: int
    mean_iou: float | None
    pixel_accuracy: float | None
    predicted: np.ndarray | None = dataclasses.field(default=None, compare=False)


class SegmentationScores:
    """Scores of a segmentation, from one confusion matrix over all pixels of all images. As `slimft.tasks.Scores`.

    The figures are those of Long, Shelhamer and Darrell (arXiv:1411.4038, section 5). Void pixels count nowhere.

    Args:
        num_classes: number of classes.
        shown: how many images, of the best and of the worst, to keep the predictions of.

    Attributes:
        task: the name of the task that they are of.
        num_classes: as given.
        examples: how many images there were.
        confusion: int64 ``[num_classes, num_classes]``: pixels by true class (row) and predicted class (column).
    """

    task: ClassVar[str] = "segmentation"

    def __init__(self, num_classes: int, shown: int = _SHOWN):
        self.num_classes, self._shown = num_classes, shown
        self.examples = 0
        self.confusion = np.zeros((num_classes, num_classes), np.int64)
        self._losses = ExactSum()
        self._best: list[ImageScore] = []
        self._worst: list[ImageScore] = []

    def add(self, batch: Mapping[str, np.ndarray], examples: np.ndarray) -> None:
        """As of `Scores`: what `Segmentation.predict` made.

        Raises:
            ValueError: they are not as many.
        """
        confusion, losses = np.asarray(batch["confusion"], np.int64), np.asarray(batch["losses"])
        lengths = {len(confusion), len(losses), len(examples)}
        if len(lengths) > 1:
            raise ValueError(f"predictions need as many matrices, losses and examples, not {lengths}")
        self.examples += len(confusion)
        self.confusion += confusion.sum(axis=0)
        self._losses.add(losses)
        images = image_scores(confusion, examples)
        maps = batch.get("predicted")
        if maps is not None:
            images = [dataclasses.replace(one, predicted=seen) for one, seen in zip(images, maps)]
        self._keep(images)

    def merge(self, other: SegmentationScores) -> None:
        """As of `Scores`."""
        if self.num_classes != other.num_classes:
            raise ValueError(f"scores of {other.num_classes} classes do not add to scores of {self.num_classes}")
        self.examples += other.examples
        self.confusion += other.confusion
        self._losses.merge(other._losses)
        self._keep([*other._best, *other._worst])

    def _keep(self, images: Sequence[ImageScore]) -> None:
        known = [one for one in images if one.mean_iou is not None]
        for name, sign in (("_best", -1), ("_worst", 1)):
            together = {one.index: one for one in [*getattr(self, name), *known]}.values()
            kept = heapq.nsmallest(self._shown, together, key=lambda one: (sign * one.mean_iou, one.index))
            setattr(self, name, [_reduced(one) for one in kept])

    def to_bytes(self) -> bytes:
        """As of `Scores`."""
        kept = {one.index: one for one in [*self._best, *self._worst]}.values()
        return pack(
            self.task,
            {
                "num_classes": int(self.num_classes),
                "shown": self._shown,
                "examples": self.examples,
                "losses": self._losses.packed(),
                "confusion": self.confusion,
                "images": [[one.index, one.mean_iou, one.pixel_accuracy, *_packed(one.predicted)] for one in kept],
            },
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> SegmentationScores:
        """As of `Scores`."""
        packed = Packed.of(data, cls.task)
        num_classes = packed["num_classes"].integer(len(data), 1)
        confusion = packed["confusion"].counts((num_classes, num_classes))
        scores = cls(num_classes, packed["shown"].integer())
        scores.examples, scores.confusion = packed["examples"].integer(), confusion
        scores._losses = ExactSum.of(packed["losses"])
        images = []
        for one in packed["images"].items():
            index, iou, accuracy, shape, predicted = one.items(5)
            seen = None
            if not shape.is_null():
                height, width = (side.integer(_SHOWN_SIDE + 1, 1) for side in shape.items(2))
                seen = predicted.array(np.uint8, (height, width))
            images.append(ImageScore(index.integer(), iou.number(), accuracy.number(), seen))
        scores._keep(images)
        return scores

    def mistakes(self) -> list[tuple[int, dict[str, Any]]]:
        """The worst images, the worst first, then the best that are not among these, the best first.

        Of each ``kind`` (``worst`` or ``best``), ``mean_iou``, ``pixel_accuracy`` and ``predicted``, uint8 ``[rows,
        columns]``.
        """
        worst = {one.index for one in self._worst}
        images = [("worst", one) for one in self._worst]
        images += [("best", one) for one in self._best if one.index not in worst]
        names = ("mean_iou", "pixel_accuracy", "predicted")
        return [(one.index, {"kind": kind, **{name: getattr(one, name) for name in names}}) for kind, one in images]

    def summary(self) -> dict[str, Any]:
        """The figures in short.

        Returns:
            ``examples``, how many images; ``pixels``, how many of them are of a class; ``mean_iou``, the mean of
            the intersection over the union of true and predicted pixels, over the classes that have some;
            ``pixel_accuracy``, the share of pixels that are right; ``mean_accuracy``, the mean of that over the
            classes that occur; ``frequency_weighted_iou``, the mean of IoU by the classes' pixels; ``loss``, the
            mean cross entropy of a pixel in nats.

        Raises:
            ValueError: there were no images, or none of their pixels is of a class.
        """
        pixels = int(self.confusion.sum())
        if not pixels:
            raise ValueError(
                "there are no predictions" if not self.examples else "all pixels of the masks are void"
            )
        iou, truth = self._iou(), self.confusion.sum(axis=1)
        return {
            "examples": self.examples,
            "pixels": pixels,
            "mean_iou": float(np.nanmean(iou)),
            "pixel_accuracy": int(np.trace(self.confusion)) / pixels,
            "mean_accuracy": float(np.nanmean(self._accuracy())),
            "frequency_weighted_iou": float(np.nansum(iou * truth) / pixels),
            "loss": self._losses.mean(pixels),
        }

    def findings(self, class_names: Sequence[str]) -> dict[str, Any]:
        """``confusion_matrix`` (None beyond 200 classes) and ``per_class``."""
        small = self.num_classes <= _MOST_MATRIX_CLASSES
        return {
            "confusion_matrix": self.confusion.tolist() if small else None,
            "per_class": self.per_class(class_names),
        }

    def per_class(self, class_names: Sequence[str]) -> list[dict[str, Any]]:
        """Each class's figures.

        Returns:
            For each class ``class`` (its name), ``pixels`` that are of it, ``iou``, ``accuracy`` (the share of its
            pixels that were found, its recall) and ``precision``. IoU is None where the class has no pixels and is
            not predicted, accuracy where it has none, precision where it is not predicted.
        """
        right = np.diag(self.confusion)
        columns = (self._iou(), self._accuracy(), _share(right, self.confusion.sum(axis=0)))
        table = []
        for label, name in enumerate(class_names):
            values = (float(column[label]) for column in columns)
            iou, accuracy, precision = (None if np.isnan(value) else value for value in values)
            pixels = int(self.confusion[label].sum())
            table.append(
                {"class": name, "pixels": pixels, "iou": iou, "accuracy": accuracy, "precision": precision}
            )
        return table

    def _iou(self) -> np.ndarray:
        return _ious(self.confusion[np.newaxis])[0]

    def _accuracy(self) -> np.ndarray:
        return _share(np.diag(self.confusion), self.confusion.sum(axis=1))


def image_scores(confusion: np.ndarray, examples: np.ndarray) -> list[ImageScore]:
    """How good the prediction of each image is.

    Args:
        confusion: int ``[images, classes, classes]``: its pixels by true class (row) and predicted class (column).
        examples: the images' indices in their split.
    """
    pixels = confusion.sum(axis=(1, 2))
    ious, accuracies = _ious(confusion), _share(np.trace(confusion, axis1=1, axis2=2), pixels)
    found = []
    for index, iou, accuracy, number in zip(examples, ious, accuracies, pixels):
        figures = (float(np.nanmean(iou)), float(accuracy)) if number else (None, None)
        found.append(ImageScore(int(index), *figures))
    return found


def _ious(confusion: np.ndarray) -> np.ndarray:
    """Intersection over union, float ``[matrices, classes]``; NaN where a class is neither there nor predicted."""
    right = np.diagonal(confusion, axis1=1, axis2=2)
    return _share(right, confusion.sum(axis=1) + confusion.sum(axis=2) - right)


def _packed(predicted: np.ndarray | None) -> tuple[list[int] | None, np.ndarray | None]:
    """The shape of what is kept of a prediction, and its classes."""
    return (None, None) if predicted is None else (list(predicted.shape), predicted.astype(np.uint8))


def _reduced(one: ImageScore) -> ImageScore:
    """The same with every so many-th pixel of its prediction, so that its longer side is not too long."""
    if one.predicted is None or max(one.predicted.shape) <= _SHOWN_SIDE:
        # A view would keep the whole batch in memory.
        return one if one.predicted is None or one.predicted.base is None else _with_copy(one, 1)
    return _with_copy(one, -(-max(one.predicted.shape) // _SHOWN_SIDE))


def _with_copy(one: ImageScore, step: int) -> ImageScore:
    assert one.predicted is not None
    return dataclasses.replace(one, predicted=one.predicted[::step, ::step].copy())


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """``part / whole``, NaN where `whole` is 0."""
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
