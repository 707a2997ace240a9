"""What `tf.contrib.resampler` was: images sampled at given points.

Source of names and of the values at borders: TensorFlow 1.15's tensorflow/contrib/resampler. Its op is gone; this
is made of others, whose gradients are its.
"""

from __future__ import annotations

from slimft.compat.v1 import tf

__all__ = ["resampler"]


def resampler(data, warp, name="resampler"):
    """Values of images at points, bilinear.

    Args:
        data: float [batch, height, width, channels].
        warp: float [batch, ..., 2], each (x, y) in pixels, x along the width.
        name: of the operations.

    Returns:
        [batch, ..., channels]. Beyond the border there is 0, to which values fall within a pixel.

    Raises:
        ValueError: the ranks, or the 2, are others.
    """
    with tf.name_scope(name, "resampler", [data, warp]):
        data = tf.convert_to_tensor(data, name="data")
        warp = tf.convert_to_tensor(warp, name="warp")
        if data.shape.ndims != 4:
            raise ValueError(f"data has to be [batch, height, width, channels], not of shape {data.shape}")
        if warp.shape.ndims is None or warp.shape.as_list()[-1] != 2:
            raise ValueError(f"warp has to be [batch, ..., 2], not of shape {warp.shape}")
        shape = tf.shape(data)
        points = tf.reshape(warp, [shape[0], -1, 2])
        corner = tf.floor(points)
        share = tf.cast(points - corner, data.dtype)
        size = tf.stack([shape[2], shape[1]])
        corner = tf.cast(tf.clip_by_value(corner, tf.cast(-2, warp.dtype), tf.cast(size + 1, warp.dtype)), tf.int32)
        within = tf.reduce_all(tf.logical_and(points > -1, points < tf.cast(size, warp.dtype)), -1)
        total = 0.0
        for dx in (0, 1):
            for dy in (0, 1):
                at = corner + [dx, dy]
                weights = [share[..., i] if d else 1 - share[..., i] for i, d in enumerate((dx, dy))]
                inside = tf.logical_and(within, tf.reduce_all(tf.logical_and(at >= 0, at < size), -1))
                place = tf.clip_by_value(at, 0, size - 1)
                values = tf.gather_nd(data, tf.stack([place[..., 1], place[..., 0]], -1), batch_dims=1)
                weight = weights[0] * weights[1] * tf.cast(inside, data.dtype)
                total = total + values * weight[..., None]
        result = tf.reshape(total, tf.concat([tf.shape(warp)[:-1], shape[3:]], 0))
        result.set_shape(warp.shape[:-1].concatenate(data.shape[3:]))
        return result
