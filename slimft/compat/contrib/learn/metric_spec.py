"""MetricSpec: which predictions and labels a metric is of.

Source: tensorflow/contrib/learn/python/learn/metric_spec.py of TensorFlow 1.15.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable

__all__ = ["MetricSpec"]

# What metrics call their arguments, the first of each as `metric_fn` here is called.
_ARGUMENTS = {
    "labels": ("labels", "label", "targets", "target"),
    "predictions": ("predictions", "prediction", "logits", "logit"),
    "weights": ("weights", "weight"),
}


class MetricSpec:
    """A metric of a model's predictions.

    Args:
        metric_fn: a function of predictions, labels and weights; these by name where it calls them so, otherwise
            predictions first.
        prediction_key: which of the predictions; None if there is one.
        label_key: which of the labels; None if there is one.
        weight_key: which of the features are weights; None for none.

    Raises:
        ValueError: `metric_fn` has no argument for what is given, or two.
    """

    def __init__(self, metric_fn: Callable, prediction_key=None, label_key=None, weight_key=None):
        self._function = metric_fn
        self._name = getattr(metric_fn, "__name__", None) or getattr(
            getattr(metric_fn, "func", None), "__name__", str(metric_fn)
        )
        names = _argument_names(metric_fn)
        self._names = {}
        for argument, candidates in _ARGUMENTS.items():
            found = [name for name in candidates if name in names]
            if len(found) > 1:
                raise ValueError(f"metric {self._name}: which of {' and '.join(found)} are the {argument}?")
            self._names[argument] = found[0] if found else None
        for argument, key in (("labels", label_key), ("weights", weight_key)):
            if key is not None and self._names[argument] is None:
                raise ValueError(f"metric {self._name} has no argument {' or '.join(_ARGUMENTS[argument])}")
        self._labels_first = bool(names) and names[0] == self._names["labels"]
        self.prediction_key, self.label_key, self.weight_key = prediction_key, label_key, weight_key

    @property
    def metric_fn(self) -> Callable:
        """The metric as a function of `labels`, `predictions` and `weights` by name."""
        return self._call

    def _call(self, *, labels=None, predictions=None, weights=None):
        names, by_name, in_order = self._names, {}, []
        if names["predictions"]:
            by_name[names["predictions"]] = predictions
        elif names["labels"] and self._labels_first:
            in_order = [labels, predictions]
        else:
            in_order = [predictions]
        if names["labels"] and labels is not None and len(in_order) < 2:
            by_name[names["labels"]] = labels
        if weights is not None:
            by_name[names["weights"]] = weights
        return self._function(*in_order, **by_name)

    def create_metric_ops(self, inputs, labels, predictions):
        """The metric of these; each a tensor or a dictionary of tensors.

        Raises:
            KeyError: there is nothing by a key.
            ValueError: a key where there is no dictionary, or none where there are several tensors.
        """
        weights = inputs[self.weight_key] if self.weight_key else None
        return self._call(
            labels=_tensor("label", labels, self.label_key),
            predictions=_tensor("prediction", predictions, self.prediction_key),
            weights=weights,
        )

    def __str__(self) -> str:
        return (
            f"MetricSpec(metric_fn={self._name}, prediction_key={self.prediction_key}, label_key={self.label_key}, "
            f"weight_key={self.weight_key})"
        )


def _argument_names(function):
    """The names of a function's arguments, without those that a functools.partial has set."""
    fixed = getattr(function, "keywords", None) or {}
    return [name for name in inspect.signature(function).parameters if name not in fixed]


def _tensor(what, tensors, key):
    if not key:
        if isinstance(tensors, dict) and len(tensors) != 1:
            raise ValueError(f"MetricSpec: which of {', '.join(map(str, tensors))} is it? Set {what}_key")
        return next(iter(tensors.values())) if isinstance(tensors, dict) else tensors
    if not isinstance(tensors, dict):
        raise ValueError(f"MetricSpec: {what}_key is {key!r}, and there is but one {what}")
    if key not in tensors:
        raise KeyError(f"MetricSpec: no {what} {key!r}; there are {', '.join(map(str, tensors))}")
    return tensors[key]
