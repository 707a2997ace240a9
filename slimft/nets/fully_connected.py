"""Fully connected layers as TF-Slim has them, convolutions, computed as the matrix products they are."""

from __future__ import annotations

import contextlib
import contextvars
import inspect
from collections.abc import Iterator
from typing import Protocol

from slimft.compat import scoped_argument, slim, tf


class Parts(Protocol):
    """What has the reached parts of kernels as variables of their own; see `parts_by`."""

    def has(self, name: str) -> bool:
        """Whether it has that of the kernel called `name`."""

    def of(self, kernel: tf.Variable, taps: slice, regularizer) -> tf.Variable:
        """Returns the `taps`, of its height and of its width alike, of a kernel ``[size, size, depth, outputs]``.

        Args:
            kernel: the whole kernel, which the layer does not read.
            taps: which taps the layer reaches.
            regularizer: what makes the part's weight decay, when it is made; None for none.
        """


_parts: contextvars.ContextVar[Parts | None] = contextvars.ContextVar("parts", default=None)
_plain: contextvars.ContextVar[bool] = contextvars.ContextVar("plain", default=False)
_DEFAULTS = inspect.signature(slim.conv2d).parameters
# What slim.conv2d and slim.fully_connected have in common and `_product` does not decide.
_SHARED = ("normalizer_params", "weights_initializer", "biases_initializer", "biases_regularizer", "reuse",
           "outputs_collections", "trainable")  # fmt: skip


@contextlib.contextmanager
def parts_by(parts: Parts) -> Iterator[None]:
    """Lets the layers built inside, where they reach only a part of their kernel, compute with one of `parts`."""
    token = _parts.set(parts)
    try:
        yield
    finally:
        _parts.reset(token)


@contextlib.contextmanager
def as_convolutions() -> Iterator[None]:
    """Leaves the layers built inside convolutions, so that the ops and their names are TF-Slim's."""
    token = _plain.set(True)
    try:
        yield
    finally:
        _plain.reset(token)


def fully_connected_conv2d(net, num_outputs, size, padding, scope):
    """A `slim.conv2d` of a `size` x `size` kernel, computed as what it comes to on a map of known size.

    Where each position of the result sees one position of the map (a 1x1 kernel) or all of it, once (a 7x7 kernel
    on 7x7, or on a 1x1 map that it pads), that is a matrix product, which TensorFlow computes several times as fast
    as a convolution with a 1x1 result. On a small map, a kernel that pads meets the map only with its middle: the
    taps around it are not computed with. Variables and results are the same.
    """
    height, width, depth = net.shape.as_list()[1:]
    if height is None or width is None or _plain.get():
        return slim.conv2d(net, num_outputs, [size, size], padding=padding, scope=scope)
    taps = _reached(size, padding, max(height, width))
    side = taps.stop - taps.start
    if size == 1 or (height, width) == {"VALID": (size, size), "SAME": (1, 1)}.get(padding):
        with _kernel(size, taps, depth, num_outputs, [side * side * depth, num_outputs]):
            return _product(net, num_outputs, [height, width] if size == 1 else [1, 1], scope)
    if side == size:
        return slim.conv2d(net, num_outputs, [size, size], padding=padding, scope=scope)
    with (
        _kernel(size, taps, depth, num_outputs, [side, side, depth, num_outputs]),
        slim.arg_scope([slim.conv2d], weights_regularizer=None, variables_collections=_collections_of_biases()),
    ):
        return slim.conv2d(net, num_outputs, [side, side], padding=padding, scope=scope)


def _reached(size: int, padding: str, side: int) -> slice:
    """The taps of a kernel that meet a map of `side` rows or columns."""
    beside, middle = side - 1, (size - 1) // 2
    if padding != "SAME" or beside >= size // 2:
        return slice(0, size)
    return slice(middle - beside, middle + beside + 1)


def _product(net, num_outputs, positions, scope):
    """The layer as a matrix product of all positions of the batch, one below the other."""
    normalize, activate = _argument("normalizer_fn"), _argument("activation_fn")

    def normalize_positions(net, **params):
        return normalize(tf.reshape(net, [-1, *positions, num_outputs]), **params)

    def activate_positions(net):
        net = tf.reshape(net, [-1, *positions, num_outputs])
        return net if activate is None else activate(net)

    return slim.fully_connected(
        tf.reshape(net, [-1, _features(net, positions)]),
        num_outputs,
        activation_fn=activate_positions,
        normalizer_fn=normalize and normalize_positions,
        weights_regularizer=None,
        variables_collections=_collections_of_biases(),
        scope=scope,
        **{name: _argument(name) for name in _SHARED},
    )


def _features(net, positions) -> int:
    """What each position of the result sees of one image."""
    height, width, depth = net.shape.as_list()[1:]
    return height * width * depth // (positions[0] * positions[1])


@contextlib.contextmanager
def _kernel(size: int, taps: slice, depth: int, num_outputs: int, shape: list[int]) -> Iterator[None]:
    """Gives the layer, as its weights of `shape`, the `taps` of a kernel that is stored as TF-Slim has it.

    The whole kernel is what the layer's collections are about, and weight decay too, unless a part of it stands for
    it; neither where the kernel exists already.
    """
    regularizer = _argument("weights_regularizer")
    collections = slim.utils.get_variable_collections(_argument("variables_collections"), "weights") or []
    is_whole, parts = taps == slice(0, size), _parts.get()

    def get(getter, name, dtype=None, **kwargs):
        if not name.endswith("/weights"):
            return getter(name, dtype=dtype, **kwargs)
        has_part = parts is not None and not is_whole and parts.has(name)
        kwargs |= {
            "shape": [size, size, depth, num_outputs],
            # Of a kernel that is stored in float32, no more is cast than what the layer needs.
            "dtype": tf.float32 if dtype in (tf.float16, tf.bfloat16) and not is_whole else dtype,
            "regularizer": None if has_part else regularizer,
            "collections": [*kwargs["collections"], *collections],
        }
        kernel = getter(name, **kwargs)
        part = kernel
        if has_part:
            part = parts.of(kernel, taps, regularizer)
        elif not is_whole:
            part = kernel[taps, taps]
        return tf.cast(tf.reshape(part, shape), dtype or kernel.dtype.base_dtype)

    with tf.variable_scope(tf.get_variable_scope(), custom_getter=get, auxiliary_name_scope=False):
        yield


def _argument(name):
    """What slim.conv2d would have for an argument that is not given."""
    return scoped_argument(slim.conv2d, name, _DEFAULTS[name].default)


def _collections_of_biases():
    biases = slim.utils.get_variable_collections(_argument("variables_collections"), "biases")
    return {"biases": biases}
