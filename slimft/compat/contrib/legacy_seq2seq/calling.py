"""How a loss function that code hands over is called: what its arguments mean changed twice."""

from __future__ import annotations

import inspect

_LABELS = ("label", "target", "y_true")


def call_loss(function, labels, logits):
    """``function(labels=, logits=)``, as in TensorFlow 1.1 and later; or by position where it has other arguments.

    1.0 gave labels first, 0.12 logits: which is which, their names tell.

    Raises:
        TypeError: the names do not tell.
    """
    try:
        names = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # A callable that cannot be looked into.
        return function(labels=labels, logits=logits)
    if {"labels", "logits"} <= set(names) or len(names) < 2 or names[0] in ("args", "kwargs"):
        return function(labels=labels, logits=logits)
    are_labels = [any(word in name.lower() for word in _LABELS) for name in names[:2]]
    if are_labels == [True, False]:
        return function(labels, logits)
    if are_labels == [False, True]:
        return function(logits, labels)
    raise TypeError(
        f"softmax_loss_function has the arguments {', '.join(names[:2])}: call them labels and logits, as which "
        "comes first has changed between TensorFlow 0.12 and 1.1"
    )
