"""What `tf.contrib.periodic_resample` was: channels become pixels, or rows of any dimension.

Source of the name and of the order: TensorFlow 1.15's op, measured.
"""

from __future__ import annotations

from slimft.compat.v1 import tf

__all__ = ["periodic_resample"]


def periodic_resample(values, shape, name=None):
    """Spreads one dimension over others.

    Element i of another dimension comes from element i // factor, factor being the new size by the old one, rounded
    up. Which part of the spread dimension it has goes by the rests, those of earlier dimensions first.

    Args:
        values: a tensor.
        shape: of the result, a list with one None for the dimension that is spread. The others do not shrink.
        name: of the operations.

    Returns:
        A tensor of that shape; the dimension at None gets as large as there are values for.

    Raises:
        ValueError: there is not one None, or the rank is another, or a dimension shrinks.
    """
    with tf.name_scope(name, "periodic_resample", [values]):
        values = tf.convert_to_tensor(values)
        shape = [None if size in (None, -1) else int(size) for size in shape]
        if shape.count(None) != 1:
            raise ValueError(f"shape has to have None once, not as {shape} has")
        if values.shape.ndims != len(shape):
            raise ValueError(f"values are of rank {values.shape.ndims}, and shape of {len(shape)}")
        spread = shape.index(None)
        for i, (old, new) in enumerate(zip(values.shape.as_list(), shape)):
            if i != spread and old is not None and new < old:
                raise ValueError(f"dimension {i} cannot shrink from {old} to {new}")
        sizes = tf.shape(values)
        fixed = [i for i in range(len(shape)) if i != spread]
        length = tf.reduce_prod(sizes) // tf.reduce_prod([shape[i] for i in fixed])
        places, part, step = [None] * len(shape), 0, 1
        for i in fixed:
            factor = (shape[i] + sizes[i] - 1) // sizes[i]
            index = _along(tf.range(shape[i]), i, len(shape))
            places[i] = index // factor
            part, step = part + index % factor * step, step * factor
        places[spread] = _along(tf.range(length), spread, len(shape)) + length * part
        # Where sizes do not divide evenly, places go on into the next row.
        flat = places[0]
        for i in range(1, len(shape)):
            flat = flat * sizes[i] + places[i]
        result = tf.gather(tf.reshape(values, [-1]), flat)
        count = values.shape.num_elements()
        others = 1
        for i in fixed:
            others *= shape[i]
        result.set_shape([(count // others if count else None) if size is None else size for size in shape])
        return result


def _along(index, axis, rank):
    return tf.reshape(index, [-1 if i == axis else 1 for i in range(rank)])
