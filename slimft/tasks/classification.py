"""The task of networks that say which of several classes an image is of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from slimft.tasks.base import Figure, TargetSpec
from slimft.tasks.classification_scores import ClassificationScores, Predictions


class Classification:
    """One class an image. As `slimft.tasks.Task`; outputs are logits, float ``[batch, classes]``."""

    name = "classification"
    figures = (
        Figure("accuracy", "accuracy", "accuracy"),
        Figure("balanced_accuracy", "balanced accuracy", "balanced"),
        Figure("macro_f1", "macro F1", "macro F1", chooses=False),
        Figure("loss", "loss", "loss", larger_is_better=False, is_share=False),
    )
    headline = "accuracy"
    measured = ("loss", "accuracy")
    targets = TargetSpec(np.dtype(np.int32))

    def default_metric(self, balanced: bool) -> str:
        return "balanced_accuracy" if balanced else "accuracy"

    def told(self, balanced: bool) -> tuple[str, ...]:
        return ("accuracy", "balanced_accuracy", "loss") if balanced else ("accuracy", "loss")

    def loss(
        self,
        outputs: Any,
        targets: Any,
        class_weights: Any = None,
        focal_gamma: float = 0.0,
        label_smoothing: float = 0.0,
    ) -> Any:
        """As of `Task`; `targets` are float ``[batch, classes]``, 1 in sum for each example, and smooth already."""
        del label_smoothing
        from slimft.tasks.classification_loss import classification_loss

        return classification_loss(outputs, targets, class_weights, focal_gamma)

    def measure(self, outputs: Any, targets: Any, loss: Any) -> dict[str, Any]:
        from slimft.compat import tf

        correct = tf.equal(tf.argmax(outputs, axis=1, output_type=tf.int32), targets)
        return {"loss": loss, "accuracy": tf.reduce_mean(tf.cast(correct, tf.float32))}

    def predict(self, outputs: Any, targets: Any, in_full: bool = False) -> dict[str, Any]:
        """``predicted``, int32, the likeliest classes; ``confidence``, float32, the probabilities of these; and
        ``losses``, float32, cross entropies in nats; each ``[batch]``. In full also ``probabilities``, float32
        ``[batch, classes]``.
        """
        from slimft.compat import tf

        probabilities = tf.nn.softmax(outputs)
        return {
            **({"probabilities": probabilities} if in_full else {}),
            "predicted": tf.argmax(outputs, axis=1, output_type=tf.int32),
            "confidence": tf.reduce_max(probabilities, axis=1),
            "losses": tf.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=outputs),
        }

    def scores(self, num_classes: int) -> ClassificationScores:
        return ClassificationScores(num_classes)

    def note(self, batch: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        return batch

    def outcomes(self, batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """``labels``, ``predicted`` and ``confidence``."""
        return {"labels": batch["targets"], **{name: batch[name] for name in ("predicted", "confidence")}}

    def predictions(self, notes: Sequence[Mapping[str, np.ndarray]], num_classes: int) -> Predictions:
        return Predictions.of(notes, num_classes)
