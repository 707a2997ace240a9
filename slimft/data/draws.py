"""Random draws in the graph, each a pure function of a seed."""

from __future__ import annotations

import math

from slimft.compat import tf


def fold_in(seed, draw):
    """The seed of another draw."""
    return tf.random.experimental.stateless_fold_in(seed, draw)


def uniform(shape, seed, low=0.0, high=1.0):
    """Draws from [`low`, `high`), float32."""
    return tf.random.stateless_uniform(shape, seed, low, high)


def log_uniform(draws, bound):
    """Draws from [0, 1) as ratios from 1 / bound to bound, a ratio as often as its inverse."""
    return tf.exp(math.log(bound) * (2 * draws - 1))
