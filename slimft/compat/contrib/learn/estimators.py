"""tf.contrib.learn's Estimator and SKCompat, as adapters to tf.estimator.

Source: tensorflow/contrib/learn/python/learn/estimators/estimator.py of TensorFlow 1.15. Training, checkpoints and
evaluation are tf.estimator's, and so are the names in the results.
"""

from __future__ import annotations

import inspect

import numpy as np

from slimft.compat.contrib.learn.keys import ModelFnOps
from slimft.compat.contrib.learn.learn_io import extract_dask_data, extract_pandas_data, extract_pandas_labels
from slimft.compat.contrib.learn.metric_spec import MetricSpec
from slimft.compat.contrib.learn.monitors import ValidationMonitor
from slimft.compat.contrib.learn.run_config import RunConfig
from slimft.compat.contrib.learn.utils import InputFnOps
from slimft.compat.v1 import tf
from slimft.errors import UsageError

__all__ = [
    "BaseEstimator", "Estimator", "SKCompat", "infer_real_valued_columns_from_input",
    "infer_real_valued_columns_from_input_fn",
]  # fmt: skip


def arrays_input_fn(x, y, input_fn, batch_size, shuffle, epochs):
    """`input_fn`, or one that reads x and y.

    Args:
        x: an array [n, ...], a table of pandas, or a dictionary of arrays; floats become float32.
        y: an array [n] or [n, ...], or None.
        input_fn: a function instead.
        batch_size: of x and y; all of them if None.
        shuffle: whether their order is random.
        epochs: how often each comes; None for ever.

    Raises:
        ValueError: there is neither x nor `input_fn`, or both.
    """
    if (x is None) == (input_fn is None):
        raise ValueError("give either x or input_fn")
    if input_fn is not None:
        if y is not None or batch_size is not None:
            raise ValueError("with input_fn, there is no y and no batch_size")
        return input_fn
    x = {name: _array(value) for name, value in x.items()} if isinstance(x, dict) else _array(x)
    y = None if y is None else _array(extract_pandas_labels(y))
    count = len(next(iter(x.values()))) if isinstance(x, dict) else len(x)
    return tf.estimator.inputs.numpy_input_fn(x, y, batch_size or max(count, 1), epochs, shuffle)


def _array(values):
    if tf.is_tensor(values):
        raise ValueError("x and y have to be arrays; give tensors by input_fn")
    if inspect.isgenerator(values):
        values = list(values)
    values = np.asarray(extract_pandas_data(extract_dask_data(values)))
    return values.astype(np.float32) if values.dtype == np.float64 else values


class Estimator(tf.estimator.Estimator):
    """A model by its `model_fn`.

    Args:
        model_fn: a function of features and labels, and of `mode`, `params`, `config` and `model_dir` where it has
            such arguments. It returns predictions, loss and train_op, or a `ModelFnOps`, or an EstimatorSpec.
        model_dir: where checkpoints are.
        config: a RunConfig.
        params: what `model_fn` gets as `params`.
        feature_engineering_fn: a function of features and labels, whose result `model_fn` gets instead.
    """

    # tf.estimator's may not be overridden otherwise; here the same methods have more arguments.
    _assert_members_are_not_overridden = staticmethod(lambda estimator: None)

    def __init__(self, model_fn=None, model_dir=None, config=None, params=None, feature_engineering_fn=None):
        if model_fn is None:
            raise ValueError("an Estimator needs a model_fn")
        self._contrib_model_fn = model_fn
        self._feature_engineering_fn = feature_engineering_fn
        self._metrics = {}
        self._default_output = None
        super().__init__(self._spec, model_dir, config or RunConfig(), params)

    def _spec(self, features, labels, mode, params, config):
        """The EstimatorSpec of what the script's model_fn returns."""
        if self._feature_engineering_fn is not None:
            features, labels = self._feature_engineering_fn(features, labels)
        given = {"mode": mode, "params": params, "config": config, "model_dir": self.model_dir}
        names = inspect.signature(self._contrib_model_fn).parameters
        given = {name: value for name, value in given.items() if name in names}
        result = self._contrib_model_fn(features, labels, **given)
        if isinstance(result, ModelFnOps):
            result = result.estimator_spec(self._default_output)
        elif not isinstance(result, tf.estimator.EstimatorSpec):
            predictions, loss, train_op = result
            loss = None if loss is None else tf.reshape(loss, [])
            result = tf.estimator.EstimatorSpec(mode, predictions, loss, train_op)
        if mode == tf.estimator.ModeKeys.PREDICT and result.export_outputs is None:
            output = tf.estimator.export.PredictOutput(result.predictions)
            result = result._replace(export_outputs={"serving_default": output})
        if mode == tf.estimator.ModeKeys.EVAL and self._metrics:
            result = result._replace(eval_metric_ops=self._all_metrics(result, features, labels))
        return result

    def _all_metrics(self, spec, features, labels):
        metrics = dict(spec.eval_metric_ops or {})
        for name, metric in self._metrics.items():
            key = None
            if isinstance(name, tuple):
                name, key = name
            metric = metric if isinstance(metric, MetricSpec) else MetricSpec(metric, prediction_key=key)
            result = metric.create_metric_ops(features, labels, spec.predictions)
            metrics[name] = result if isinstance(result, tuple) else tf.metrics.mean(result)
        return metrics

    def fit(self, x=None, y=None, input_fn=None, steps=None, batch_size=None, monitors=None, max_steps=None):
        """Trains for `steps` more, or until `max_steps`; returns itself.

        Args:
            x, y, input_fn, batch_size: see `arrays_input_fn`; in random order, for ever.
            monitors: hooks of tf.train, and `ValidationMonitor`s.
        """
        hooks = list(monitors or [])
        bad = [hook for hook in hooks if not isinstance(hook, tf.train.SessionRunHook)]
        if bad:
            raise UsageError(f"monitors have to be hooks of tf.train, and {type(bad[0]).__name__} is none")
        for hook in hooks:
            if isinstance(hook, ValidationMonitor):
                hook.set_estimator(self)
        return self.train(arrays_input_fn(x, y, input_fn, batch_size, True, None), hooks, steps, max_steps)

    def partial_fit(self, x=None, y=None, input_fn=None, steps=1, batch_size=None, monitors=None):
        """`fit` for a step, or `steps`."""
        return self.fit(x, y, input_fn, steps, batch_size, monitors)

    def evaluate(
        self,
        x=None,
        y=None,
        input_fn=None,
        feed_fn=None,
        batch_size=None,
        steps=None,
        metrics=None,
        name=None,
        checkpoint_path=None,
        hooks=None,
        log_progress=True,
    ):
        """The metrics of the latest checkpoint by name, `loss` and `global_step` among them.

        Args:
            x, y, input_fn, batch_size: see `arrays_input_fn`; once, in order.
            feed_fn: not supported.
            steps: batches; None for all.
            metrics: by name, `MetricSpec`s or functions of predictions and labels.
            name, checkpoint_path, hooks: as tf.estimator's.
            log_progress: not used.
        """
        if feed_fn is not None:
            raise UsageError("tf.contrib.learn's feed_fn is gone; give the data by input_fn")
        if metrics is not None and not isinstance(metrics, dict):
            raise ValueError(f"metrics have to be a dictionary, not {metrics!r}")
        input_fn = arrays_input_fn(x, y, input_fn, batch_size, False, 1)
        self._metrics = metrics or {}
        try:
            return super().evaluate(input_fn, steps, hooks, checkpoint_path, name)
        finally:
            self._metrics = {}

    def predict(
        self, x=None, input_fn=None, batch_size=None, outputs=None, as_iterable=True, iterate_batches=False, **core
    ):
        """The predictions for each example, each a row or a dictionary of rows.

        Args:
            x, input_fn, batch_size: see `arrays_input_fn`; once, in order. Constants are one batch.
            outputs: names of those that are wanted; None for all.
            as_iterable: False returns all as arrays, not one by one.
            iterate_batches: batch by batch.
            core: tf.estimator's predict_keys, hooks, checkpoint_path, yield_single_examples.
        """
        input_fn = arrays_input_fn(x, None, input_fn, batch_size, False, 1)
        core["hooks"] = [*(core.get("hooks") or ()), _OnceIfConstant()]
        core.setdefault("predict_keys", outputs)
        core.setdefault("yield_single_examples", not iterate_batches and as_iterable)
        results = super().predict(input_fn, **core)
        return results if as_iterable else _joined(results)

    def export_savedmodel(
        self, export_dir_base, serving_input_fn, default_output_alternative_key=None, *args, **kwargs
    ):
        """tf.estimator's, also of a `serving_input_fn` that returns `InputFnOps`."""

        def receiver_fn():
            return self.as_receiver(serving_input_fn())

        self._default_output = default_output_alternative_key
        return super().export_savedmodel(export_dir_base, receiver_fn, *args, **kwargs)

    @staticmethod
    def as_receiver(inputs):
        """`InputFnOps` as a ServingInputReceiver; anything else as it is."""
        if not isinstance(inputs, InputFnOps):
            return inputs
        export = tf.estimator.export
        # ServingInputReceiver makes a dictionary of what is none.
        is_dict = isinstance(inputs.features, dict)
        receiver = export.ServingInputReceiver if is_dict else export.TensorServingInputReceiver
        return receiver(inputs.features, inputs.default_inputs)

    def get_params(self, deep=True) -> dict:
        """`params` and `model_dir`."""
        return {"params": self.params, "model_dir": self.model_dir}


BaseEstimator = Estimator


class _OnceIfConstant(tf.train.SessionRunHook):
    """Ends after a run where no queue and no iterator can come to an end, as contrib.learn did."""

    def begin(self):
        graph = tf.get_default_graph()
        has_iterator = any("Iterator" in operation.type for operation in graph.get_operations())
        self._is_constant = not (has_iterator or graph.get_collection(tf.GraphKeys.QUEUE_RUNNERS))

    def after_run(self, run_context, run_values):
        if self._is_constant:
            run_context.request_stop()


def _joined(batches):
    """The arrays of all batches, one after the other."""
    batches = list(batches)
    if not isinstance(batches[0], dict):
        return np.concatenate(batches)
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


class SKCompat:
    """An estimator with scikit-learn's methods.

    Args:
        estimator: an `Estimator`.
    """

    def __init__(self, estimator):
        self._estimator = estimator

    def fit(self, x, y, batch_size=128, steps=None, max_steps=None, monitors=None) -> SKCompat:
        """Trains; returns itself."""
        self._estimator.fit(x, y, None, steps, batch_size, monitors, max_steps)
        return self

    def score(self, x, y, batch_size=128, steps=None, metrics=None, name=None) -> dict:
        """The metrics by name."""
        return self._estimator.evaluate(x, y, batch_size=batch_size, steps=steps, metrics=metrics, name=name)

    def predict(self, x, batch_size=128, outputs=None):
        """All predictions: an array, or a dictionary of arrays."""
        return Estimator.predict(self._estimator, x, None, batch_size, outputs, as_iterable=False)

    def get_params(self, deep=True) -> dict:
        """The estimator's."""
        return self._estimator.get_params(deep)


def infer_real_valued_columns_from_input_fn(input_fn) -> list:
    """Feature columns for what `input_fn` returns: one for each feature, or one without a name for a tensor."""
    with tf.Graph().as_default():
        result = input_fn()
        if isinstance(result, tf.data.Dataset):
            result = tf.data.make_one_shot_iterator(result).get_next()
        features = result[0] if isinstance(result, tuple) else result
        features = features if isinstance(features, dict) else {"": features}
        shapes = {name: feature.shape.as_list()[1:] or [1] for name, feature in sorted(features.items())}
    return [tf.feature_column.numeric_column(name, shape) for name, shape in shapes.items()]


def infer_real_valued_columns_from_input(x) -> list:
    """Feature columns for an array [n, ...], or for a dictionary of arrays."""
    x = x if isinstance(x, dict) else {"": x}
    shapes = {name: _array(value).shape[1:] or (1,) for name, value in sorted(x.items())}
    return [tf.feature_column.numeric_column(name, shape) for name, shape in shapes.items()]
