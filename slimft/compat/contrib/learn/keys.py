"""The names of modes, metrics, predictions and problems, and ModelFnOps, as tf.contrib.learn had them.

Source: tensorflow/contrib/learn/python/learn/estimators/{model_fn,constants,metric_key,prediction_key}.py of
TensorFlow 1.15.
"""

from __future__ import annotations

import collections

from slimft.compat.v1 import tf

__all__ = [
    "Environment", "MetricKey", "ModeKeys", "ModelFnOps", "NotFittedError", "PredictionKey", "PredictionType",
    "ProblemType", "TaskType",
]  # fmt: skip


class ModeKeys:
    """The modes of a model_fn; the same text as tf.estimator.ModeKeys'."""

    TRAIN = "train"
    EVAL = "eval"
    INFER = "infer"


class MetricKey:
    """Names of what `evaluate` returns."""

    LOSS = "loss"
    AUC = "auc"
    AUC_PR = "auc_precision_recall"
    CLASS_AUC = "auc/class%d"
    CLASS_AUC_PR = "auc_precision_recall/class%d"
    PREDICTION_MEAN = "labels/prediction_mean"
    CLASS_PREDICTION_MEAN = "labels/prediction_mean/class%d"
    CLASS_LOGITS_MEAN = "labels/logits_mean/class%d"
    CLASS_PROBABILITY_MEAN = "labels/probability_mean/class%d"
    LABEL_MEAN = "labels/actual_label_mean"
    CLASS_LABEL_MEAN = "labels/actual_label_mean/class%d"
    ACCURACY = "accuracy"
    ACCURACY_BASELINE = "accuracy/baseline_label_mean"
    ACCURACY_MEAN = "accuracy/threshold_%f_mean"
    PRECISION_MEAN = "precision/positive_threshold_%f_mean"
    RECALL_MEAN = "recall/positive_threshold_%f_mean"


class PredictionKey:
    """Names of predictions."""

    CLASSES = "classes"
    PROBABILITIES = "probabilities"
    LOGITS = "logits"
    LOGISTIC = "logistic"
    SCORES = "scores"
    TOP_K = "top_k"
    GENERIC = "output"


class ProblemType:
    """What a model is for, which says how it is exported."""

    UNSPECIFIED = 0
    CLASSIFICATION = 1
    LINEAR_REGRESSION = 2
    LOGISTIC_REGRESSION = 3


class PredictionType:
    """How many predictions a recurrent model makes."""

    SINGLE_VALUE = 1
    MULTIPLE_VALUE = 2


class Environment:
    """Where a cluster runs."""

    CLOUD = "cloud"
    GOOGLE = "google"
    LOCAL = "local"


class TaskType:
    """The jobs of a cluster."""

    MASTER = "master"
    PS = "ps"
    WORKER = "worker"


class NotFittedError(ValueError, AttributeError):
    """An estimator is used before it is trained."""


_FIELDS = (
    "predictions", "loss", "train_op", "eval_metric_ops", "output_alternatives", "training_chief_hooks",
    "training_hooks", "scaffold", "mode",
)  # fmt: skip


class ModelFnOps(collections.namedtuple("ModelFnOps", _FIELDS)):
    """What a model_fn returns: as tf.estimator.EstimatorSpec, but for `output_alternatives`.

    Args:
        mode: of `ModeKeys`.
        output_alternatives: by name, a `ProblemType` and a dictionary of tensors.
        predictions, loss, train_op, eval_metric_ops, training_chief_hooks, training_hooks, scaffold: as
            EstimatorSpec's.

    Raises:
        ValueError: what `mode` needs is not there.
    """

    def __new__(
        cls,
        mode,
        predictions=None,
        loss=None,
        train_op=None,
        eval_metric_ops=None,
        output_alternatives=None,
        training_chief_hooks=None,
        training_hooks=None,
        scaffold=None,
    ):
        if mode not in (ModeKeys.TRAIN, ModeKeys.EVAL, ModeKeys.INFER):
            raise ValueError(f"mode {mode!r} is none of ModeKeys")
        for name, value, modes in (
            ("train_op", train_op, (ModeKeys.TRAIN,)),
            ("loss", loss, (ModeKeys.TRAIN, ModeKeys.EVAL)),
            ("predictions", predictions, (ModeKeys.EVAL, ModeKeys.INFER)),
        ):
            if value is None and mode in modes:
                raise ValueError(f"ModelFnOps in mode {mode}: missing {name}")
        return super().__new__(
            cls,
            predictions,
            loss,
            train_op,
            eval_metric_ops or {},
            output_alternatives,
            training_chief_hooks or [],
            training_hooks or [],
            scaffold,
            mode,
        )

    def estimator_spec(self, default_serving_output_alternative_key=None):
        """The tf.estimator.EstimatorSpec of this.

        Args:
            default_serving_output_alternative_key: which of several alternatives is exported as the default.

        Raises:
            ValueError: there are several alternatives and this names none of them.
        """
        metrics = {name: value for name, value in self.eval_metric_ops.items() if name != MetricKey.LOSS}
        return tf.estimator.EstimatorSpec(
            self.mode,
            predictions=self.predictions,
            loss=None if self.loss is None else tf.reshape(self.loss, []),
            train_op=self.train_op,
            eval_metric_ops=metrics,
            export_outputs=self._export_outputs(default_serving_output_alternative_key),
            training_chief_hooks=self.training_chief_hooks,
            training_hooks=self.training_hooks,
            scaffold=self.scaffold,
        )

    def _export_outputs(self, default):
        if not self.output_alternatives:
            return None
        outputs = {name: _export_output(*value) for name, value in self.output_alternatives.items()}
        key = tf.saved_model.signature_constants.DEFAULT_SERVING_SIGNATURE_DEF_KEY
        if key not in outputs and len(outputs) > 1:
            if default not in outputs:
                raise ValueError(
                    f"default output alternative {default!r}: there are {', '.join(map(str, outputs))}"
                )
            outputs[key] = outputs[default]
        return outputs


def _export_output(problem_type, tensors):
    """How tensors by name are exported."""
    export = tf.estimator.export
    scores = tensors.get(PredictionKey.SCORES, tensors.get(PredictionKey.PROBABILITIES))
    if problem_type == ProblemType.LINEAR_REGRESSION and scores is not None:
        return export.RegressionOutput(scores)
    classes = tensors.get(PredictionKey.CLASSES)
    if classes is not None and classes.dtype != tf.string:
        classes = None
    is_classification = problem_type in (ProblemType.CLASSIFICATION, ProblemType.LOGISTIC_REGRESSION)
    if is_classification and (scores is not None or classes is not None):
        return export.ClassificationOutput(scores=scores, classes=classes)
    return export.PredictOutput(tensors)
