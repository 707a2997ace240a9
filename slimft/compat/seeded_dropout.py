"""Dropout for TF-Slim that can draw from a seed, so that a resumed run drops what it would have.

TensorFlow's own dropout keeps a hidden state in each op, which no checkpoint saves.
"""

from __future__ import annotations

import contextlib
import contextvars
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import tf_slim as slim
from tensorflow.compat import v1 as tf

_slims_dropout = slim.dropout.__wrapped__
_seed: contextvars.ContextVar[tf.Tensor | None] = contextvars.ContextVar("dropout_seed", default=None)
_part: contextvars.ContextVar[Part | None] = contextvars.ContextVar("part_of_batch", default=None)


class Part(NamedTuple):
    """Some of the examples of a batch: from `first` on so many (`size`), `of` all."""

    first: int
    size: int
    of: int


@contextlib.contextmanager
def dropout_seed(seed, part: Part | None = None) -> Iterator[None]:
    """Makes the slim.dropout layers built inside a pure function of `seed` and of their scope.

    Other threads, which build other graphs, do not see it.

    Args:
        seed: int tensor of shape [2], such as the run's seed and the step.
        part: which examples of a batch the layers are of: what is drawn for them is what a layer of the whole batch
            would draw for them. None for all.
    """
    token, token_of_part = _seed.set(tf.convert_to_tensor(seed)), _part.set(part)
    try:
        yield
    finally:
        _seed.reset(token)
        _part.reset(token_of_part)


def dropout(
    inputs,
    keep_prob=0.5,
    noise_shape=None,
    is_training=True,
    outputs_collections=None,
    scope=None,
    seed=None,
):
    """`tf_slim.dropout`, drawing from the seed of an enclosing `dropout_seed` where there is one.

    Args:
        inputs: tensor of any shape.
        keep_prob: probability that an element is kept, between 0 and 1; what is kept is scaled by
            ``1 / keep_prob``.
        noise_shape: shape of the random mask, broadcast against `inputs`.
        is_training: bool or bool tensor; where false, `inputs` come back unchanged.
        outputs_collections: collections for the result.
        scope: name scope; ``Dropout`` by default.
        seed: TensorFlow's op seed; unused inside `dropout_seed`.

    Returns:
        A tensor of the shape and dtype of `inputs`.
    """
    seed_inside = _seed.get()
    if seed_inside is None:
        return _slims_dropout(inputs, keep_prob, noise_shape, is_training, outputs_collections, scope, seed)
    with tf.variable_scope(scope, "Dropout", [inputs]) as sc:
        inputs = tf.convert_to_tensor(inputs)

        def drop():
            if _part.get() is not None:
                return tf.nn.experimental.general_dropout(
                    inputs,
                    1 - keep_prob,
                    lambda shape, dtype: _uniform(shape, _seed_of(seed_inside, sc), dtype),
                    noise_shape,
                )
            return tf.nn.experimental.stateless_dropout(
                inputs,
                rate=1 - keep_prob,
                seed=_seed_of(seed_inside, sc),
                rng_alg="philox",
                noise_shape=noise_shape,
            )

        outputs = slim.utils.smart_cond(is_training, drop, lambda: tf.identity(inputs))
        return slim.utils.collect_named_outputs(outputs_collections, sc.name, outputs)


def seeded_uniform(shape, scope=None):
    """Floats to drop by, drawing from the seed of an enclosing `dropout_seed` where there is one.

    Args:
        shape: shape of the result.
        scope: name scope; ``Uniform``, then ``Uniform_1`` and so on by default. With the scopes around it, it tells
            these numbers from others of the same seed.

    Returns:
        A float32 tensor of that shape, uniform in [0, 1).
    """
    seed_inside = _seed.get()
    if seed_inside is None:
        return tf.random.uniform(shape)
    with tf.variable_scope(scope, "Uniform") as sc:
        return _uniform(shape, _seed_of(seed_inside, sc))


def _uniform(shape, seed, dtype=tf.float32):
    """Floats for all of a batch, or for the examples of its part; one for all examples stays that."""
    part = _part.get()
    if part is None:
        return tf.random.stateless_uniform(shape, seed, dtype=dtype, alg="philox")
    sizes = tf.unstack(tf.convert_to_tensor(shape, tf.int32))
    known = tf.get_static_value(sizes[0])
    if known is not None and known % part.size:
        return tf.random.stateless_uniform(shape, seed, dtype=dtype, alg="philox")
    each = sizes[0] // part.size
    whole = tf.random.stateless_uniform([each * part.of, *sizes[1:]], seed, dtype=dtype, alg="philox")
    return whole[each * part.first : each * (part.first + part.size)]


def _seed_of(seed, scope):
    """The seed of a layer in a variable scope."""
    return tf.random.experimental.stateless_fold_in(seed, zlib.crc32(scope.name.encode()))
