"""tf.contrib.data: what became tf.data.experimental, and what did not (TF 1.15: contrib/data/__init__.py)."""

from __future__ import annotations

from slimft.compat import tf

_EXPERIMENTAL = (
    "AUTOTUNE CheckpointInputPipelineHook Counter CsvDataset Optional RandomDataset Reducer SqlDataset "
    "bucket_by_sequence_length choose_from_datasets copy_to_device dense_to_sparse_batch enumerate_dataset "
    "get_next_as_optional get_single_element group_by_reducer group_by_window ignore_errors "
    "make_batched_features_dataset make_csv_dataset make_saveable_from_iterator map_and_batch parallel_interleave "
    "parse_example_dataset prefetch_to_device rejection_resample sample_from_datasets scan shuffle_and_repeat "
    "unbatch unique"
).split()
# What was here before TensorFlow 1.4 made it tf.data.
_DATA = "Dataset FixedLengthRecordDataset Iterator TFRecordDataset TextLineDataset".split()

for _home, _names in ((tf.data.experimental, _EXPERIMENTAL), (tf.data, _DATA)):
    globals().update({name: getattr(_home, name) for name in _names if hasattr(_home, name)})


def batch_and_drop_remainder(batch_size):
    """For `Dataset.apply`: batches of exactly `batch_size`, the rest left out."""
    return lambda dataset: dataset.batch(batch_size, drop_remainder=True)


def padded_batch_and_drop_remainder(batch_size, padded_shapes, padding_values=None):
    """For `Dataset.apply`: padded batches of exactly `batch_size`, the rest left out."""
    return lambda dataset: dataset.padded_batch(batch_size, padded_shapes, padding_values, drop_remainder=True)


def sloppy_interleave(map_func, cycle_length, block_length=1):
    """For `Dataset.apply`: `parallel_interleave` whose order may vary from run to run."""
    return tf.data.experimental.parallel_interleave(map_func, cycle_length, block_length, sloppy=True)


def assert_element_shape(expected_shapes):
    """For `Dataset.apply`: elements have `expected_shapes`, a nest like theirs; checked in the graph where unknown.

    Raises:
        ValueError: at once, if a known shape is incompatible; InvalidArgumentError later, if an element's is.
    """

    def checked(tensor, shape):
        tensor.shape.assert_is_compatible_with(shape)
        actual = tf.shape(tensor)
        fixed = [(axis, size) for axis, size in enumerate(tf.TensorShape(shape).as_list()) if size is not None]
        checks = [tf.debugging.assert_equal(tf.rank(tensor), len(shape))]
        checks += [tf.debugging.assert_equal(actual[axis], size) for axis, size in fixed]
        with tf.control_dependencies(checks):
            tensor = tf.identity(tensor)
        tensor.set_shape(shape)
        return tensor

    def check(*elements):
        element = elements[0] if len(elements) == 1 else elements
        flat = tf.nest.flatten(element)
        shapes = [tf.TensorShape(shape) for shape in _flat_shapes(expected_shapes)]
        if len(flat) != len(shapes):
            raise ValueError(
                f"expected_shapes has {len(shapes)} shapes, and the dataset's elements {len(flat)} tensors"
            )
        pairs = zip(flat, shapes)
        return tf.nest.pack_sequence_as(
            element, [tensor if shape.rank is None else checked(tensor, shape) for tensor, shape in pairs]
        )

    return lambda dataset: dataset.map(check)


def _flat_shapes(shapes):
    """The TensorShapes of a nest, in the order of `tf.nest.flatten`."""
    if isinstance(shapes, dict):
        return [shape for key in sorted(shapes) for shape in _flat_shapes(shapes[key])]
    if isinstance(shapes, (tuple, list)) and not all(size is None or isinstance(size, int) for size in shapes):
        return [shape for part in shapes for shape in _flat_shapes(part)]
    return [shapes]
