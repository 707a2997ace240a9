"""Crosses of features, with the hashes of TensorFlow 1, so that weights of crossed columns keep their rows.

Source of names and constants: TensorFlow 1.15's tensorflow/contrib/layers/python/ops/sparse_feature_cross_op.py and
layers/kernels/sparse_feature_cross_kernel.cc.
"""

from __future__ import annotations

from tensorflow import raw_ops

from slimft.compat.v1 import tf

SPARSE_FEATURE_CROSS_DEFAULT_HASH_KEY = 0xDECAFCAFFE
_MAX = 2**63 - 1
# 0x9e3779b97f4a7800, the golden ratio's digits, as an int64.
_GOLDEN = 0x9E3779B97F4A7800 - 2**64


def sparse_feature_cross(inputs, hashed_output=False, num_buckets=0, name=None, hash_key=None):
    """All combinations, row by row, of a value from each input.

    Args:
        inputs: a list of `SparseTensor` and `Tensor`, each ``[batch, n]`` of strings or integers.
        hashed_output: whether combinations are hashed; otherwise they are strings joined by ``_X_``.
        num_buckets: hashes are less than this; 0 for any.
        name: of the ops.
        hash_key: for the newer hash; None for that which 1.15 had by default.

    Returns:
        A `SparseTensor` ``[batch, combinations]`` of int64, or of strings.

    Raises:
        TypeError: `inputs` is no list, or has something else.
    """
    if not isinstance(inputs, list):
        raise TypeError("inputs has to be a list")
    if not all(isinstance(entry, (tf.SparseTensor, tf.Tensor)) for entry in inputs):
        raise TypeError("inputs has to be of tensors, dense or sparse")
    with tf.name_scope(name, "SparseFeatureCross", inputs):
        # As in 1.15, sparse inputs come before dense ones.
        columns = sorted(inputs, key=lambda entry: not isinstance(entry, tf.SparseTensor))
        columns = [_with_known_type(entry) for entry in columns]
        if hashed_output and not hash_key:
            return _hashed(columns, num_buckets)
        sparse = [entry for entry in columns if isinstance(entry, tf.SparseTensor)]
        dense = [entry for entry in columns if not isinstance(entry, tf.SparseTensor)]
        has_numbers = any(entry.dtype != tf.string for entry in columns)
        crossed = raw_ops.SparseCross(
            indices=[entry.indices for entry in sparse], values=[entry.values for entry in sparse],
            shapes=[entry.dense_shape for entry in sparse], dense_inputs=dense, hashed_output=hashed_output,
            num_buckets=num_buckets, hash_key=hash_key or SPARSE_FEATURE_CROSS_DEFAULT_HASH_KEY,
            out_type=tf.int64 if hashed_output else tf.string,
            internal_type=tf.int64 if has_numbers else tf.string,
        )  # fmt: skip
        return tf.SparseTensor(*crossed)


def _with_known_type(entry):
    return entry if entry.dtype == tf.string else tf.cast(entry, tf.int64)


def _hashed(columns, num_buckets):
    """The cross with the older hash, which combines the values' fingerprints one after the other."""
    ragged = [_ragged(entry) for entry in columns]
    lengths = [entry.row_lengths() for entry in ragged]
    combinations = lengths[0]
    for length in lengths[1:]:
        combinations = combinations * length
    # Each combination by its row and its place in it; the last column's value changes fastest.
    result = tf.RaggedTensor.from_row_lengths(tf.range(tf.reduce_sum(combinations)), combinations)
    row = result.value_rowids()
    place = result.flat_values - tf.gather(result.row_starts(), row)
    chosen = []
    for entry, length in zip(reversed(ragged), reversed(lengths)):
        count = tf.gather(length, row)
        chosen.append(
            tf.gather(_fingerprints(entry.flat_values), tf.gather(entry.row_starts(), row) + place % count)
        )
        place = place // count
    state = tf.fill(tf.shape(row), tf.constant(SPARSE_FEATURE_CROSS_DEFAULT_HASH_KEY, tf.int64))
    for value in reversed(chosen):
        shifted = tf.bitwise.left_shift(state, tf.constant(10, tf.int64))
        shifted += tf.bitwise.right_shift(state, tf.constant(4, tf.int64))
        state = tf.bitwise.bitwise_xor(state, value + tf.constant(_GOLDEN, tf.int64) + shifted)
    modulus = tf.constant(num_buckets or _MAX, tf.uint64)
    hashes = tf.cast(tf.math.floormod(tf.bitcast(state, tf.uint64), modulus), tf.int64)
    return result.with_flat_values(hashes).to_sparse()


def _ragged(entry):
    """The values of each row, wherever they are in it; of a dense input all, empty strings and zeros too."""
    if isinstance(entry, tf.SparseTensor):
        return tf.RaggedTensor.from_value_rowids(
            entry.values, entry.indices[:, 0], entry.dense_shape[0], validate=False
        )
    return tf.RaggedTensor.from_uniform_row_length(
        tf.reshape(entry, [-1]), tf.shape(entry, out_type=tf.int64)[1], tf.shape(entry, out_type=tf.int64)[0]
    )


def _fingerprints(values):
    """int64s as they are, strings by FarmHash's fingerprint."""
    if values.dtype != tf.string:
        return values
    return tf.bitcast(raw_ops.Fingerprint(data=values, method="farmhash64"), tf.int64)
