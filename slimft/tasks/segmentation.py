"""The task of networks that say of each pixel which of several classes it is of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from slimft.tasks.base import Figure, TargetSpec
from slimft.tasks.segmentation_scores import ImageScore, SegmentationScores, image_scores

# Of a mask: what belongs to no class, and what lies outside of the image.
VOID = 255


class Segmentation:
    """A class for each pixel. As `slimft.tasks.Task`.

    Outputs are logits, float ``[batch, height, width, classes]``. A target is a mask, uint8 ``[height, width]``, of
    the classes of the pixels, and `VOID` where there is none.
    """

    name = "segmentation"
    figures = (
        Figure("mean_iou", "mean IoU", "mean IoU"),
        Figure("pixel_accuracy", "pixel accuracy", "pixel accuracy"),
        Figure("mean_accuracy", "mean accuracy", "mean accuracy"),
        Figure("frequency_weighted_iou", "frequency-weighted IoU", "weighted IoU", chooses=False),
        Figure("loss", "loss", "loss", larger_is_better=False, is_share=False),
    )
    headline = "mean_iou"
    measured = ("loss", "pixel_accuracy")
    targets = TargetSpec(np.dtype(np.uint8), (None, None), ignore=VOID)

    def default_metric(self, balanced: bool) -> str:
        del balanced
        return self.headline

    def told(self, balanced: bool) -> tuple[str, ...]:
        del balanced
        return ("mean_iou", "pixel_accuracy", "loss")

    def loss(
        self,
        outputs: Any,
        targets: Any,
        class_weights: Any = None,
        focal_gamma: float = 0.0,
        label_smoothing: float = 0.0,
    ) -> Any:
        """As of `Task`; `targets` are int ``[batch, height, width]``, `VOID` where a pixel does not count."""
        from slimft.tasks.segmentation_loss import segmentation_loss

        return segmentation_loss(outputs, targets, VOID, class_weights, focal_gamma, label_smoothing)

    def measure(self, outputs: Any, targets: Any, loss: Any) -> dict[str, Any]:
        """As of `Task`; `targets` are those that the loss is of, which lie where the outputs do."""
        from slimft.compat import tf

        targets = tf.cast(targets, tf.int32)
        counts = tf.not_equal(targets, VOID)
        right = tf.logical_and(counts, tf.equal(tf.argmax(outputs, axis=3, output_type=tf.int32), targets))
        number = tf.maximum(tf.reduce_sum(tf.cast(counts, tf.float32)), 1)
        return {"loss": loss, "pixel_accuracy": tf.reduce_sum(tf.cast(right, tf.float32)) / number}

    def predict(self, outputs: Any, targets: Any, in_full: bool = False) -> dict[str, Any]:
        """What `SegmentationScores.add` takes; outputs of another size than the masks are enlarged to theirs.

        Args:
            outputs: float ``[batch, height, width, classes]``.
            targets: uint8 ``[batch, rows, columns]``, at their own resolution.

        Returns:
            ``predicted``, uint8 ``[batch, rows, columns]``, the likeliest classes; ``confusion``, int32 ``[batch,
            classes, classes]``, the pixels of each image by class (row) and predicted class (column); and
            ``losses``, float32 ``[batch]``, the sums of the cross entropies of its pixels, in nats.
        """
        from slimft.compat import tf
        from slimft.tasks.segmentation_bands import in_bands

        num_classes = outputs.shape.as_list()[3]

        def look(logits: Any, predicted: Any, targets: Any) -> tuple:
            targets = tf.cast(targets, tf.int32)
            counts = tf.not_equal(targets, VOID)
            labels = tf.where_v2(counts, targets, 0)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
            cells = tf.where_v2(counts, labels * num_classes + tf.cast(predicted, tf.int32), num_classes**2)
            numbers = tf.raw_ops.DenseBincount(
                input=tf.reshape(cells, [tf.shape(cells)[0], -1]),
                size=num_classes**2 + 1,
                weights=tf.constant([], tf.int32),
            )
            matrices = tf.reshape(numbers[:, :-1], [-1, num_classes, num_classes])
            return matrices, tf.reduce_sum(tf.where_v2(counts, losses, 0.0), axis=[1, 2])

        predicted, confusion, losses = in_bands(
            outputs, tf.shape(targets)[1:3], look, (tf.int32, tf.float32), targets, VOID
        )
        return {"predicted": predicted, "confusion": confusion, "losses": losses}

    def scores(self, num_classes: int) -> SegmentationScores:
        return SegmentationScores(num_classes)

    def note(self, batch: Mapping[str, np.ndarray]) -> list[ImageScore]:
        return image_scores(batch["confusion"], batch["examples"])

    def outcomes(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Pixels of each image by class: ``right``, of the class (``labels``), and ``predicted`` to be of it."""
        confusion = batch["confusion"]
        right = np.diagonal(confusion, axis1=1, axis2=2)
        return {"right": right, "labels": confusion.sum(axis=2), "predicted": confusion.sum(axis=1)}

    def predictions(self, notes: Sequence[list[ImageScore]], num_classes: int) -> list[ImageScore]:
        """How good the prediction of each image is, in the split's order."""
        return sorted((one for note in notes for one in note), key=lambda one: one.index)
