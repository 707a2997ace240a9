"""tf.contrib.learn's classifiers and regressors, on tf.estimator's.

Source: tensorflow/contrib/learn/python/learn/estimators/{dnn,linear,dnn_linear_combined}.py of TensorFlow 1.15.
Models, losses (the mean over a batch) and defaults are those; variables and metrics have tf.estimator's names.
"""

from __future__ import annotations

from slimft.compat.contrib.estimator import clipping_optimizer
from slimft.compat.contrib.learn.estimators import Estimator
from slimft.compat.v1 import tf
from slimft.errors import UsageError

__all__ = [
    "DNNClassifier", "DNNLinearCombinedClassifier", "DNNLinearCombinedRegressor", "DNNRegressor",
    "LinearClassifier", "LinearRegressor",
]  # fmt: skip

# Arguments of 1.15 that are gone, with the only value each may have.
_GONE = {
    "enable_centered_bias": (False, None),
    "embedding_lr_multipliers": (None,),
    "_joint_weight": (False,),
    "_joint_weights": (False,),
    "joint_linear_weights": (False,),
    "_joint_linear_weights": (False,),
}
# What they are called in tf.estimator.
_RENAMED = {"weight_column_name": "weight_column", "label_keys": "label_vocabulary"}
_UNUSED = ("input_layer_min_slice_size", "fix_global_step_increment_bug")


class _Canned(Estimator):
    """An estimator of tf.estimator with contrib.learn's methods.

    Args:
        kind: its class.
        arguments: of contrib.learn's class, by name.
        defaults: the optimizers by the names of their arguments.
    """

    def __init__(self, kind, arguments, defaults):
        core = {}
        for name, value in arguments.items():
            if name in _GONE and value not in _GONE[name]:
                raise UsageError(f"tf.contrib.learn.{type(self).__name__}: {name} is gone; leave it out")
            if name not in _GONE and name not in _UNUSED and value is not None:
                core[_RENAMED.get(name, name)] = value
        clip = core.pop("gradient_clip_norm", None)
        engineering = core.pop("feature_engineering_fn", None)
        for name, default in defaults.items():
            optimizer = core[name] = core.get(name) or default
            if clip is not None:
                if not isinstance(optimizer, tf.train.Optimizer):
                    raise UsageError(f"gradient_clip_norm needs a tf.train.Optimizer as {name}, not {optimizer!r}")
                core[name] = clipping_optimizer(optimizer, lambda pairs: _clip_together(pairs, clip))
        core["loss_reduction"] = tf.losses.Reduction.SUM_OVER_BATCH_SIZE
        config = core.pop("config", None)
        model_dir = core.pop("model_dir", None)
        self._has_label_keys = "label_vocabulary" in core
        model = kind(model_dir=model_dir, config=config, **core)

        def model_fn(features, labels, mode, config):
            features = features if isinstance(features, dict) else {"": features}
            spec = model.model_fn(features, labels, mode, config)
            return spec._replace(predictions=self._renamed(spec.predictions) if spec.predictions else {})

        super().__init__(model_fn, model.model_dir, model.config, feature_engineering_fn=engineering)

    def _renamed(self, predictions):
        """The predictions of tf.estimator by contrib.learn's names."""
        raise NotImplementedError

    def _rows(self, name, options):
        """That prediction of each example, or of all at once if `as_iterable` is False."""
        rows = Estimator.predict(self, outputs=[name], **options)
        return (row[name] for row in rows) if options["as_iterable"] else rows[name]


class _Classifier(_Canned):
    def _renamed(self, predictions):
        classes = predictions["classes" if self._has_label_keys else "class_ids"]
        names = ("logits", "probabilities", "logistic")
        kept = {name: predictions[name] for name in names if name in predictions}
        return {"classes": tf.reshape(classes, [-1]), **kept}

    def predict(self, x=None, input_fn=None, batch_size=None, outputs=None, as_iterable=True, **core):
        """The class of each example; with `outputs`, dictionaries of these predictions."""
        options = {"x": x, "input_fn": input_fn, "batch_size": batch_size, "as_iterable": as_iterable}
        if outputs or core:
            return super().predict(outputs=outputs, **options, **core)
        return self.predict_classes(**options)

    def predict_classes(self, x=None, input_fn=None, batch_size=None, as_iterable=True):
        """The class of each example, by number, or by its key if there are `label_keys`."""
        options = {"x": x, "input_fn": input_fn, "batch_size": batch_size, "as_iterable": as_iterable}
        return self._rows("classes", options)

    def predict_proba(self, x=None, input_fn=None, batch_size=None, as_iterable=True):
        """The probabilities of each example [classes]."""
        options = {"x": x, "input_fn": input_fn, "batch_size": batch_size, "as_iterable": as_iterable}
        return self._rows("probabilities", options)


class _Regressor(_Canned):
    def _renamed(self, predictions):
        scores = predictions["predictions"]
        return {"scores": tf.squeeze(scores, -1) if scores.shape[-1] == 1 else scores}

    def predict(self, x=None, input_fn=None, batch_size=None, outputs=None, as_iterable=True, **core):
        """The score of each example; with `outputs`, dictionaries of these predictions."""
        options = {"x": x, "input_fn": input_fn, "batch_size": batch_size, "as_iterable": as_iterable}
        if outputs or core:
            return super().predict(outputs=outputs, **options, **core)
        return self.predict_scores(**options)

    def predict_scores(self, x=None, input_fn=None, batch_size=None, as_iterable=True):
        """The score of each example: a number, or [label_dimension]."""
        options = {"x": x, "input_fn": input_fn, "batch_size": batch_size, "as_iterable": as_iterable}
        return self._rows("scores", options)


def _clip_together(grads_and_vars, norm):
    """Clips by the norm of all gradients together."""
    gradients, variables = zip(*grads_and_vars)
    return list(zip(tf.clip_by_global_norm(gradients, norm)[0], variables))


def _adagrad():
    return tf.train.AdagradOptimizer(0.05)


def _ftrl(columns):
    """The linear models' default optimizer: the more columns, the smaller the rate."""
    return tf.train.FtrlOptimizer(min(0.2, len(columns) ** -0.5) if columns else 0.2)


def _arguments(scope):
    """The arguments of a constructor by name, from its locals()."""
    return {name: value for name, value in scope.items() if name not in ("self", "__class__")}


class DNNClassifier(_Classifier):
    """A classifier by hidden layers."""

    def __init__(
        self, hidden_units, feature_columns, model_dir=None, n_classes=2, weight_column_name=None, optimizer=None,
        activation_fn=None, dropout=None, gradient_clip_norm=None, enable_centered_bias=False, config=None,
        feature_engineering_fn=None, embedding_lr_multipliers=None, input_layer_min_slice_size=None,
        label_keys=None,
    ):  # fmt: skip
        super().__init__(tf.estimator.DNNClassifier, _arguments(locals()), {"optimizer": _adagrad()})


class DNNRegressor(_Regressor):
    """A regressor by hidden layers."""

    def __init__(
        self, hidden_units, feature_columns, model_dir=None, weight_column_name=None, optimizer=None,
        activation_fn=None, dropout=None, gradient_clip_norm=None, enable_centered_bias=False, config=None,
        feature_engineering_fn=None, label_dimension=1, embedding_lr_multipliers=None,
        input_layer_min_slice_size=None,
    ):  # fmt: skip
        super().__init__(tf.estimator.DNNRegressor, _arguments(locals()), {"optimizer": _adagrad()})


class LinearClassifier(_Classifier):
    """A linear classifier."""

    def __init__(
        self, feature_columns, model_dir=None, n_classes=2, weight_column_name=None, optimizer=None,
        gradient_clip_norm=None, enable_centered_bias=False, _joint_weight=False, config=None,
        feature_engineering_fn=None, label_keys=None,
    ):  # fmt: skip
        super().__init__(tf.estimator.LinearClassifier, _arguments(locals()), {"optimizer": _ftrl(feature_columns)})


class LinearRegressor(_Regressor):
    """A linear regressor."""

    def __init__(
        self, feature_columns, model_dir=None, weight_column_name=None, optimizer=None, gradient_clip_norm=None,
        enable_centered_bias=False, label_dimension=1, _joint_weights=False, config=None,
        feature_engineering_fn=None,
    ):  # fmt: skip
        super().__init__(tf.estimator.LinearRegressor, _arguments(locals()), {"optimizer": _ftrl(feature_columns)})


def _both(linear_columns):
    return {"linear_optimizer": _ftrl(linear_columns), "dnn_optimizer": _adagrad()}


class DNNLinearCombinedClassifier(_Classifier):
    """A classifier by hidden layers and a linear model side by side: wide and deep."""

    def __init__(
        self, model_dir=None, n_classes=2, weight_column_name=None, linear_feature_columns=None,
        linear_optimizer=None, joint_linear_weights=False, dnn_feature_columns=None, dnn_optimizer=None,
        dnn_hidden_units=None, dnn_activation_fn=None, dnn_dropout=None, gradient_clip_norm=None,
        enable_centered_bias=False, config=None, feature_engineering_fn=None, embedding_lr_multipliers=None,
        input_layer_min_slice_size=None, label_keys=None, fix_global_step_increment_bug=False,
    ):  # fmt: skip
        super().__init__(
            tf.estimator.DNNLinearCombinedClassifier, _arguments(locals()), _both(linear_feature_columns)
        )


class DNNLinearCombinedRegressor(_Regressor):
    """A regressor by hidden layers and a linear model side by side."""

    def __init__(
        self, model_dir=None, weight_column_name=None, linear_feature_columns=None, linear_optimizer=None,
        _joint_linear_weights=False, dnn_feature_columns=None, dnn_optimizer=None, dnn_hidden_units=None,
        dnn_activation_fn=None, dnn_dropout=None, gradient_clip_norm=None, enable_centered_bias=False,
        label_dimension=1, config=None, feature_engineering_fn=None, embedding_lr_multipliers=None,
        input_layer_min_slice_size=None, fix_global_step_increment_bug=False,
    ):  # fmt: skip
        super().__init__(
            tf.estimator.DNNLinearCombinedRegressor, _arguments(locals()), _both(linear_feature_columns)
        )
