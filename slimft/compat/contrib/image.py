"""What `tf.contrib.image` was: rotations, translations and projective transforms of images in a graph.

Source of names, arguments and conventions: TensorFlow 1.15's tensorflow/contrib/image/python/ops/image_ops.py. The
op is today's ImageProjectiveTransformV3, whose gradient TensorFlow has.
"""

from __future__ import annotations

from tensorflow import raw_ops

from slimft.compat.v1 import tf

_DTYPES = (tf.uint8, tf.int32, tf.int64, tf.float16, tf.float32, tf.float64)


def transform(images, transforms, interpolation="NEAREST", output_shape=None, name=None):
    """Projects images: the output at (x, y) is the input at (x', y').

    Where the transform is ``[a0, a1, a2, b0, b1, b2, c0, c1]``, x' is ``(a0 x + a1 y + a2) / k``, y' is
    ``(b0 x + b1 y + b2) / k``, and k is ``c0 x + c1 y + 1``. Outside of the input there is 0.

    Args:
        images: ``[batch, height, width, channels]``, ``[height, width, channels]`` or ``[height, width]``.
        transforms: ``[8]``, or ``[batch, 8]`` with one for each image.
        interpolation: ``NEAREST`` or ``BILINEAR``.
        output_shape: height and width of the result; by default those of `images`.
        name: of the op.

    Returns:
        Images of the dtype and rank of `images`.

    Raises:
        TypeError: the dtype is not one of uint8, int32, int64, float16, float32, float64, or a rank is unknown.
    """
    with tf.name_scope(name, "transform", [images, transforms]):
        images = tf.convert_to_tensor(images, name="images")
        transforms = tf.convert_to_tensor(transforms, tf.float32, name="transforms")
        if images.dtype.base_dtype not in _DTYPES:
            raise TypeError(f"images of dtype {images.dtype.base_dtype.name} cannot be transformed")
        batched = _batched(images)
        if transforms.shape.ndims not in (1, 2):
            raise TypeError(f"transforms have to be of rank 1 or 2, not {transforms.shape.ndims}")
        rows = transforms[None] if transforms.shape.ndims == 1 else transforms
        size = tf.shape(batched)[1:3] if output_shape is None else tf.convert_to_tensor(output_shape, tf.int32)
        result = raw_ops.ImageProjectiveTransformV3(
            images=batched, transforms=rows, output_shape=size, fill_value=0.0, interpolation=interpolation.upper(),
            fill_mode="CONSTANT",
        )  # fmt: skip
        sides = tf.dimension_value(batched.shape[1]), tf.dimension_value(batched.shape[2])
        if output_shape is not None:
            sides = tuple(tf.get_static_value(size)) if tf.get_static_value(size) is not None else (None, None)
        result.set_shape([tf.dimension_value(batched.shape[0]), *sides, tf.dimension_value(batched.shape[3])])
        if images.shape.ndims == 4:
            return result
        return result[0] if images.shape.ndims == 3 else result[0, :, :, 0]


def rotate(images, angles, interpolation="NEAREST", name=None):
    """Rotates images counter-clockwise about their middles.

    Args:
        images: as in `transform`.
        angles: radians: a scalar, or ``[batch]``.
        interpolation: ``NEAREST`` or ``BILINEAR``.
        name: of the op.

    Returns:
        Images of the shape of `images`; the corners that come into view are 0.
    """
    with tf.name_scope(name, "rotate", [images, angles]):
        images = tf.convert_to_tensor(images)
        shape = tf.cast(tf.shape(_batched(images)), tf.float32)
        return transform(images, angles_to_projective_transforms(angles, shape[1], shape[2]), interpolation)


def translate(images, translations, interpolation="NEAREST", name=None):
    """Moves images by ``[dx, dy]`` pixels, to the right and down; or by ``[batch, 2]``, each by its own."""
    with tf.name_scope(name, "translate", [images, translations]):
        return transform(images, translations_to_projective_transforms(translations), interpolation)


def angles_to_projective_transforms(angles, image_height, image_width, name=None):
    """The transforms ``[batch, 8]`` that rotate images of this size by `angles` in radians, counter-clockwise."""
    with tf.name_scope(name, "angles_to_projective_transforms", [angles, image_height, image_width]):
        angles = tf.convert_to_tensor(angles, tf.float32)
        if angles.shape.ndims not in (0, 1):
            raise TypeError(f"angles have to be of rank 0 or 1, not {angles.shape.ndims}")
        angles = tf.reshape(angles, [-1])
        x, y = (tf.cast(side, tf.float32) - 1 for side in (image_width, image_height))
        cos, sin, zero = tf.cos(angles), tf.sin(angles), tf.zeros_like(angles)
        a2, b2 = (x - (cos * x - sin * y)) / 2, (y - (sin * x + cos * y)) / 2
        return tf.stack([cos, -sin, a2, sin, cos, b2, zero, zero], axis=1)


def translations_to_projective_transforms(translations, name=None):
    """The transforms ``[batch, 8]`` that move images by ``[dx, dy]``, or by ``[batch, 2]`` pixels."""
    with tf.name_scope(name, "translations_to_projective_transforms", [translations]):
        translations = tf.convert_to_tensor(translations, tf.float32)
        if translations.shape.ndims not in (1, 2):
            raise TypeError(f"translations have to be of rank 1 or 2, not {translations.shape.ndims}")
        translations = tf.reshape(translations, [-1, 2])
        dx, dy = translations[:, 0], translations[:, 1]
        one, zero = tf.ones_like(dx), tf.zeros_like(dx)
        return tf.stack([one, zero, -dx, zero, one, -dy, zero, zero], axis=1)


def flat_transforms_to_matrices(transforms):
    """Matrices ``[batch, 3, 3]`` of transforms ``[batch, 8]`` or ``[8]``."""
    transforms = tf.reshape(tf.convert_to_tensor(transforms), [-1, 8])
    return tf.reshape(tf.concat([transforms, tf.ones_like(transforms[:, :1])], axis=1), [-1, 3, 3])


def matrices_to_flat_transforms(transform_matrices):
    """Transforms ``[batch, 8]`` of matrices ``[batch, 3, 3]`` or ``[3, 3]``, scaled so that the last entry is 1."""
    flat = tf.reshape(tf.convert_to_tensor(transform_matrices), [-1, 9])
    return (flat / flat[:, 8:9])[:, :8]


def compose_transforms(*transforms):
    """The transform that applies the given ones, of ``[8]`` or ``[batch, 8]``, one after the other."""
    if not transforms:
        raise ValueError("compose_transforms needs a transform")
    composed = flat_transforms_to_matrices(transforms[0])
    for other in transforms[1:]:
        composed = tf.matmul(composed, flat_transforms_to_matrices(other))
    return matrices_to_flat_transforms(composed)


def _batched(images):
    """Images as a batch with channels."""
    rank = images.shape.ndims
    if rank not in (2, 3, 4):
        raise TypeError(f"images have to be of rank 2, 3 or 4, not {rank}")
    if rank == 4:
        return images
    return images[None] if rank == 3 else images[None, :, :, None]


def dense_image_warp(image, flow, name="dense_image_warp"):
    """Images whose pixel at (y, x) is that of `image` at ``(y, x) - flow[y, x]``, bilinearly; outside, the nearest.

    Args:
        image: ``[batch, height, width, channels]`` of floats; sides of 2 at least.
        flow: ``[batch, height, width, 2]`` of floats: dy and dx in pixels.
        name: of the ops.

    Returns:
        Images of the shape and dtype of `image`.
    """
    with tf.name_scope(name):
        image, flow = tf.convert_to_tensor(image), tf.convert_to_tensor(flow)
        shape = tf.shape(image)
        sides = shape[1:3]
        with tf.control_dependencies([tf.assert_greater_equal(sides, 2, message="image: sides of 2 at least")]):
            rows, columns = tf.meshgrid(tf.range(sides[0]), tf.range(sides[1]), indexing="ij")
        places = tf.cast(tf.stack([rows, columns], -1), flow.dtype) - flow
        last = tf.cast(sides - 2, flow.dtype)
        first = tf.minimum(tf.maximum(tf.floor(places), 0), last)
        parts = tf.cast(tf.clip_by_value(places - first, 0, 1), image.dtype)
        down, right = parts[..., :1], parts[..., 1:]
        y, x = tf.unstack(tf.cast(first, tf.int32), axis=-1)

        def pixels(dy, dx):
            return tf.gather_nd(image, tf.stack([y + dy, x + dx], -1), batch_dims=1)

        top = pixels(0, 0) + right * (pixels(0, 1) - pixels(0, 0))
        bottom = pixels(1, 0) + right * (pixels(1, 1) - pixels(1, 0))
        result = top + down * (bottom - top)
        result.set_shape(image.shape)
        return result
