"""From probabilities to a class, or to none where none is sure enough."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

UNSURE = -1


def unsure_among(names: Iterable[str]) -> str:
    """What to write where no class is believed: ``unsure``, and with underscores where a class is called so.

    >>> unsure_among(["cat", "dog"]), unsure_among(["sure", "unsure"])
    ('unsure', 'unsure_')
    """
    word, taken = "unsure", set(names)
    while word in taken:
        word += "_"
    return word


def decide(probabilities: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """The likeliest of the classes whose probability reaches their threshold.

    Args:
        probabilities: float ``[examples, classes]``.
        thresholds: float ``[classes]``, in 0..1.

    Returns:
        int64 ``[examples]``; `UNSURE` where no class reaches its threshold.

    >>> decide(np.array([[0.6, 0.4], [0.45, 0.55], [0.1, 0.9]]), np.array([0.3, 0.8]))
    array([0, 0, 1])
    >>> decide(np.array([[0.6, 0.4]]), np.array([0.7, 0.7]))
    array([-1])
    """
    # As float32, in which the probabilities are: what was chosen from one of them is reached by it.
    reaches = probabilities >= np.asarray(thresholds, probabilities.dtype)
    likeliest = np.where(reaches, probabilities, -1).argmax(axis=1)
    return np.where(reaches.any(axis=1), likeliest, UNSURE)
