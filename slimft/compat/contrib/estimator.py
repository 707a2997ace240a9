"""tf.contrib.estimator: heads, hooks and extenders that TensorFlow 1.15 had there, from tensorflow-estimator.

Source of the names and defaults: tensorflow/contrib/estimator of TensorFlow 1.15 and 1.10. Its heads were those of
the canned estimators of tf.estimator with another default of `loss_reduction`, and are so here. Needs
``pip install 'slimft[estimator]'`` when a name is used.
"""

from __future__ import annotations

import inspect

from slimft.compat.estimator_repairs import MODULES, imported
from slimft.compat.v1 import tf
from slimft.errors import UsageError

_MEAN = tf.losses.Reduction.SUM_OVER_BATCH_SIZE
# The module of the package that has the name today.
_MOVED = {
    "InMemoryEvaluatorHook": "hooks.hooks",
    "make_stop_at_checkpoint_step_hook": "hooks.hooks",
    "add_metrics": "extenders",
    "make_early_stopping_hook": "early_stopping",
    "read_eval_metrics": "early_stopping",
    "stop_if_higher_hook": "early_stopping",
    "stop_if_lower_hook": "early_stopping",
    "stop_if_no_decrease_hook": "early_stopping",
    "stop_if_no_increase_hook": "early_stopping",
    "BaselineEstimator": "canned.baseline",
    "DNNEstimator": "canned.dnn",
    "DNNLinearCombinedEstimator": "canned.dnn_linear_combined",
    "LinearEstimator": "canned.linear",
    "call_logit_fn": "model_fn",
    "dnn_logit_fn_builder": "canned.dnn",
    "linear_logit_fn_builder": "canned.linear",
    "build_raw_supervised_input_receiver_fn": "export.export",
    "SavedModelEstimator": "canned.saved_model_estimator",
}
_GONE = {
    "RNNClassifier": "write a model_fn with tf.nn.dynamic_rnn",
    "RNNEstimator": "write a model_fn with tf.nn.dynamic_rnn",
    "TowerOptimizer": "use slimft.legacy.deployment.model_deploy, or one GPU",
    "boosted_trees_classifier_train_in_memory": "use the package tensorflow_decision_forests",
    "boosted_trees_regressor_train_in_memory": "use the package tensorflow_decision_forests",
    "multi_head": "write a model_fn that adds up the losses of the heads' create_estimator_spec",
    "multi_label_head": "write a model_fn with tf.losses.sigmoid_cross_entropy",
    "replicate_model_fn": "use slimft.legacy.deployment.model_deploy, or one GPU",
}


def __getattr__(name):
    if name in _MOVED:
        return getattr(imported(f"{MODULES}.{_MOVED[name]}"), name)
    if name in _GONE:
        return _Gone(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *_MOVED, *_GONE})


class _Gone:
    """A name that can be imported and not be used."""

    def __init__(self, name):
        self._name = name

    def __call__(self, *_, **__):
        raise UsageError(f"no tf.contrib.estimator.{self._name}: it left with TensorFlow 1; {_GONE[self._name]}")


def _head(kind, loss_reduction, **arguments):
    heads = imported(f"{MODULES}.canned.head")
    return getattr(heads, kind)(loss_reduction=loss_reduction, **arguments)


def multi_class_head(
    n_classes, weight_column=None, label_vocabulary=None, loss_reduction=_MEAN, loss_fn=None, name=None
):
    """A head of `n_classes` > 2 by softmax cross-entropy: logits [..., n_classes], labels [..., 1]."""
    return _head(
        "_multi_class_head_with_softmax_cross_entropy_loss",
        loss_reduction,
        n_classes=n_classes,
        weight_column=weight_column,
        label_vocabulary=label_vocabulary,
        loss_fn=loss_fn,
        name=name,
    )


def binary_classification_head(
    weight_column=None, thresholds=None, label_vocabulary=None, loss_reduction=_MEAN, loss_fn=None, name=None
):
    """A head of two classes by sigmoid cross-entropy: logits and labels [..., 1]."""
    return _head(
        "_binary_logistic_head_with_sigmoid_cross_entropy_loss",
        loss_reduction,
        weight_column=weight_column,
        thresholds=thresholds,
        label_vocabulary=label_vocabulary,
        loss_fn=loss_fn,
        name=name,
    )


def regression_head(
    weight_column=None, label_dimension=1, loss_reduction=_MEAN, loss_fn=None, inverse_link_fn=None, name=None
):
    """A head of regression by the squared error: logits and labels [..., label_dimension]."""
    return _head(
        "_regression_head",
        loss_reduction,
        weight_column=weight_column,
        label_dimension=label_dimension,
        loss_fn=loss_fn,
        inverse_link_fn=inverse_link_fn,
        name=name,
    )


def poisson_regression_head(
    weight_column=None, label_dimension=1, loss_reduction=_MEAN, compute_full_loss=True, name=None
):
    """A head of Poisson regression: logits are the logarithms of the mean, [..., label_dimension]."""

    def loss_fn(labels, logits):
        return tf.nn.log_poisson_loss(labels, logits, compute_full_loss)

    return regression_head(weight_column, label_dimension, loss_reduction, loss_fn, tf.exp, name)


def logistic_regression_head(weight_column=None, loss_reduction=_MEAN, name=None):
    """A head of logistic regression: labels in [0, 1], logits [..., 1]."""

    def loss_fn(labels, logits):
        return tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits)

    return regression_head(weight_column, 1, loss_reduction, loss_fn, tf.sigmoid, name)


def clip_gradients_by_norm(optimizer, clip_norm: float):
    """An optimizer that clips each gradient by its own norm, and then does as `optimizer` does.

    Returns:
        A tf.train.Optimizer.
    """

    def clip(grads_and_vars):
        return [(None if g is None else tf.clip_by_norm(g, clip_norm), v) for g, v in grads_and_vars]

    return clipping_optimizer(optimizer, clip)


def clipping_optimizer(optimizer, clip):
    """An optimizer that gives `optimizer` what `clip` makes of pairs of gradients and variables."""

    class ClippingOptimizer(tf.train.Optimizer):
        def __init__(self):
            super().__init__(use_locking=False, name=f"ClipByNorm{optimizer.get_name()}")

        def compute_gradients(self, *args, **kwargs):
            return optimizer.compute_gradients(*args, **kwargs)

        def apply_gradients(self, grads_and_vars, *args, **kwargs):
            return optimizer.apply_gradients(clip(grads_and_vars), *args, **kwargs)

        def get_slot(self, *args, **kwargs):
            return optimizer.get_slot(*args, **kwargs)

        def get_slot_names(self, *args, **kwargs):
            return optimizer.get_slot_names(*args, **kwargs)

        def variables(self):
            return optimizer.variables()

    return ClippingOptimizer()


def forward_features(estimator, keys=None, sparse_default_values=None):
    """An estimator whose predictions also hold features of its input.

    Args:
        estimator: a tf.estimator.Estimator.
        keys: the name of a feature, or several; None are all.
        sparse_default_values: by name, what a sparse feature has where it has nothing.

    Returns:
        A tf.estimator.Estimator with the same model_dir.

    Raises:
        TypeError: `keys` is neither text nor a list of text.
        ValueError: there is no such feature, or a prediction of its name, or a sparse one without a default.
    """
    wanted = [keys] if isinstance(keys, str) else keys
    if wanted is not None and not all(isinstance(key, str) for key in wanted):
        raise TypeError(f"keys {keys!r} are not names of features")
    defaults = sparse_default_values or {}

    def model_fn(features, labels, mode, config):
        spec = estimator.model_fn(features, labels, mode, config)
        if spec.predictions is None:
            return spec
        if not isinstance(spec.predictions, dict):
            raise ValueError("forward_features needs predictions that are a dictionary")
        predictions = dict(spec.predictions)
        for name in features if wanted is None else wanted:
            if name not in features or name in predictions:
                reason = "there is a prediction of this name" if name in predictions else "there is no such feature"
                raise ValueError(f"forward_features: {name!r}: {reason}")
            value = features[name]
            if isinstance(value, tf.SparseTensor):
                if name not in defaults:
                    raise ValueError(f"forward_features: {name!r} is sparse and has no sparse_default_values")
                value = tf.sparse.to_dense(value, default_value=defaults[name])
            predictions[name] = value
        outputs = spec.export_outputs
        if outputs is not None:
            outputs = {
                key: _with_features(output, spec.predictions, predictions) for key, output in outputs.items()
            }
        return spec._replace(predictions=predictions, export_outputs=outputs)

    return tf.estimator.Estimator(model_fn=model_fn, model_dir=estimator.model_dir, config=estimator.config)


def _with_features(output, old, new):
    """A PredictOutput with the features that are in `new` and not in `old`; another output as it is."""
    predict = tf.estimator.export.PredictOutput
    if not isinstance(output, predict):
        return output
    return predict({**output.outputs, **{name: value for name, value in new.items() if name not in old}})


def export_saved_model_for_mode(
    estimator, export_dir_base, input_receiver_fn, assets_extra=None, as_text=False, checkpoint_path=None, mode=None
):
    """`estimator.export_saved_model` in one mode, PREDICT unless another is given; returns the folder as bytes."""
    if "experimental_mode" not in inspect.signature(estimator.export_saved_model).parameters:
        raise UsageError("tf.contrib.estimator.export_saved_model_for_mode needs an Estimator of tf.estimator")
    return estimator.export_saved_model(
        export_dir_base,
        input_receiver_fn,
        assets_extra=assets_extra,
        as_text=as_text,
        checkpoint_path=checkpoint_path,
        experimental_mode=mode or tf.estimator.ModeKeys.PREDICT,
    )


def export_all_saved_models(
    estimator, export_dir_base, input_receiver_fn_map, assets_extra=None, as_text=False, checkpoint_path=None
):
    """`estimator.experimental_export_all_saved_models`: the modes of `input_receiver_fn_map` in one SavedModel."""
    return estimator.experimental_export_all_saved_models(
        export_dir_base, input_receiver_fn_map, assets_extra, as_text, checkpoint_path
    )
