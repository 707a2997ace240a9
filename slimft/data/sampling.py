"""Classes of unequal size: weights for them, and an order of the examples in which they come equally often."""

from __future__ import annotations

import numpy as np


def class_weights(counts: np.ndarray, beta: float) -> np.ndarray:
    """What an example of each class counts, by the effective number of the class's examples.

    Cui et al. (arXiv:1901.05555): n examples count as (1 - beta^n) / (1 - beta), and each as the inverse of that.

    Args:
        counts: how many examples each class has: integers ``[num_classes]``.
        beta: from 0, where all examples count the same, to 1, where all classes do.

    Returns:
        float64 ``[num_classes]``: the mean over all examples is 1; classes without examples have 0.
    """
    counts = np.asarray(counts, np.float64)
    weights = np.zeros(len(counts))
    some = counts > 0
    if beta < 1:
        with np.errstate(divide="ignore"):
            powers = counts[some] * np.log(beta)
        weights[some] = 1 / -np.expm1(powers)  # Without the factor 1 - beta, which is the same for all.
    else:
        weights[some] = 1 / counts[some]
    return weights * (counts.sum() / (counts @ weights))


class BalancedSampler:
    """An order of training in which small classes come more often, as their weights say.

    An epoch has as many draws as there are examples. The draws of a class go through its examples in turn, in a
    shuffled order, from one epoch to the next: each example of a large class is seen, if not in each epoch. Which
    example a draw is depends on the epoch and the number of the draw alone.

    Args:
        labels: the class of each example: integers ``[num_examples]``.
        num_classes: how many classes there are.
        beta: as of `class_weights`; at 1 all classes are drawn equally often.
        seed: decides the order.
    """

    def __init__(self, labels: np.ndarray, num_classes: int, beta: float, seed: int):
        labels = np.asarray(labels)
        self._counts = np.bincount(labels, minlength=num_classes).astype(np.int64)
        self.draws = _rounded(self._counts * class_weights(self._counts, beta), self._counts)
        shuffled = np.random.default_rng(seed).permutation(len(labels))
        # Class by class, shuffled in each.
        self._examples = shuffled[np.argsort(labels[shuffled], kind="stable")]
        self._first_example = np.cumsum(self._counts) - self._counts
        self._end_of_draws = np.cumsum(self.draws)

    def __call__(self, epochs: np.ndarray, indices: np.ndarray) -> np.ndarray:
        """The examples that draws are of.

        Args:
            epochs: int64 ``[n]``, 0 or more.
            indices: int64 ``[n]``, the number of the draw in its epoch, below the number of examples.

        Returns:
            int64 ``[n]``.
        """
        classes = np.searchsorted(self._end_of_draws, indices, side="right")
        draws, counts = self.draws[classes], self._counts[classes]
        number = indices - (self._end_of_draws[classes] - draws)
        # An epoch's number can be so large that it times the draws is no int64.
        turn = (number + epochs % counts * draws) % counts
        return self._examples[self._first_example[classes] + turn]


def _rounded(shares: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Whole numbers near to `shares`, with the same sum: at least 1 where there are examples, else 0.

    Largest remainders are rounded up. (`slimft.data.splits` shares out a number in exact proportion instead.)
    """
    whole = np.maximum(np.floor(shares), counts > 0).astype(np.int64)
    left = int(counts.sum() - whole.sum())
    order = np.argsort(whole - shares, kind="stable")
    order = order[counts[order] > 0]
    # Only few: the fractions, or the classes that have less than 1.
    for turn in range(max(left, 0)):
        whole[order[turn % len(order)]] += 1
    for _ in range(max(-left, 0)):
        whole[np.argmax(np.where(whole > 1, whole - shares, -np.inf))] -= 1
    return whole
