"""Logits enlarged to the size of an image in bands of rows, so that those of a large one need not be in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slimft.compat import tf

# Numbers of a band, at most, unless a row has more: 256 MB.
_MOST = 1 << 26


def in_bands(
    logits: Any,
    size: Any,
    look: Callable[[Any, Any, Any], tuple] = lambda *_: (),
    dtypes: tuple = (),
    targets: Any = None,
    void: int = 0,
    most: int = _MOST,
) -> tuple:
    """The likeliest classes of the pixels of images, and sums over their pixels.

    Args:
        logits: float32 ``[batch, height, width, classes]``.
        size: int ``[2]``, the rows and columns of the images, to which logits are enlarged bilinearly, from the
            middles of the pixels.
        look: gets the logits, the likeliest classes and the targets of a band of rows, and returns what is to be
            summed over the bands.
        dtypes: the types of these.
        targets: ``[batch, rows, columns]`` of the images; None for none.
        void: what the targets are beyond the last row.
        most: how many logits a band may have.

    Returns:
        uint8 ``[batch, rows, columns]``, the likeliest classes; and the sums.
    """
    batch, height, width = tf.unstack(tf.shape(logits)[:3])
    num_classes, (rows, columns) = logits.shape.as_list()[3], tf.unstack(tf.cast(size, tf.int32))
    of_row = tf.cast(batch, tf.int64) * tf.cast(columns, tf.int64) * num_classes
    band = tf.minimum(rows, tf.cast(tf.maximum(most // of_row, 1), tf.int32))
    bands = -(-rows // band)
    if targets is None:
        targets = tf.fill([batch, rows, columns], tf.constant(void, tf.uint8))
    targets = tf.pad(targets, [[0, 0], [0, bands * band - rows], [0, 0]], constant_values=void)
    down, right = tf.cast(height / rows, tf.float32), tf.cast(width / columns, tf.float32)

    def one(number: Any) -> tuple:
        first = number * band
        middle = (tf.cast(first, tf.float32) + 0.5) * down - 0.5
        places = [right, 0.0, 0.5 * right - 0.5, 0.0, down, middle, 0.0, 0.0]
        seen = tf.raw_ops.ImageProjectiveTransformV3(
            images=logits,
            transforms=tf.stack(places)[tf.newaxis],
            output_shape=tf.stack([band, columns]),
            fill_value=0.0,
            interpolation="BILINEAR",
            fill_mode="NEAREST",
        )
        seen.set_shape([None, None, None, num_classes])
        predicted = tf.cast(tf.argmax(seen, axis=3, output_type=tf.int32), tf.uint8)
        return (predicted, *look(seen, predicted, targets[:, first : first + band]))

    types = (tf.uint8, *dtypes)
    predicted, *parts = tf.map_fn(one, tf.range(bands), fn_output_signature=types, parallel_iterations=1)
    predicted = tf.reshape(tf.transpose(predicted, [1, 0, 2, 3]), [batch, bands * band, columns])[:, :rows]
    return (predicted, *(tf.reduce_sum(part, axis=0) for part in parts))
