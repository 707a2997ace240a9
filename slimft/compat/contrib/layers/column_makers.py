"""The functions that make tf.contrib.layers' feature columns; see `columns`."""

from __future__ import annotations

from slimft.compat.contrib.layers import columns
from slimft.compat.contrib.layers.columns_of_numbers import (
    _BucketizedColumn,
    _CrossedColumn,
    _RealValuedColumn,
    _ScatteredEmbeddingColumn,
)
from slimft.compat.v1 import tf


def sparse_column_with_integerized_feature(column_name, bucket_size, combiner="sum", dtype=tf.int64):
    """Ids that are the feature's integers, modulo `bucket_size`."""
    return columns._SparseColumnIntegerized(column_name, True, bucket_size, combiner=combiner, dtype=dtype)


def sparse_column_with_hash_bucket(column_name, hash_bucket_size, combiner="sum", dtype=tf.string, hash_keys=None):
    """Ids that are hashes of strings, or of integers as strings; with `hash_keys`, pairs of ints, one for each."""
    if hash_keys is not None:
        is_list = isinstance(hash_keys, list) and all(
            isinstance(pair, list) and len(pair) == 2 for pair in hash_keys
        )
        if not hash_keys or not is_list or not all(isinstance(key, int) for pair in hash_keys for key in pair):
            raise ValueError("hash_keys has to be a list of pairs of ints, with one at least")
    column = columns._SparseColumnHashed(column_name, False, hash_bucket_size, combiner=combiner, dtype=dtype)
    column.hash_keys = hash_keys
    return column


def sparse_column_with_keys(column_name, keys, default_value=-1, combiner="sum", dtype=tf.string):
    """Ids that are the places of values in `keys`, or `default_value`."""
    config = columns._SparseIdLookupConfig(
        keys=tuple(keys), vocab_size=len(tuple(keys)), default_value=default_value
    )
    return columns._SparseColumnKeys(column_name, lookup_config=config, combiner=combiner, dtype=dtype)


def sparse_column_with_vocabulary_file(
    column_name, vocabulary_file, num_oov_buckets=0, vocab_size=None, default_value=-1, combiner="sum",
    dtype=tf.string,
):  # fmt: skip
    """Ids that are the lines of a file with the values."""
    if vocab_size is None:
        raise ValueError(f"{column_name}: vocab_size is missing")
    config = columns._SparseIdLookupConfig(vocabulary_file, None, num_oov_buckets, vocab_size, default_value)
    return columns._SparseColumnVocabulary(column_name, lookup_config=config, combiner=combiner, dtype=dtype)


def weighted_sparse_column(sparse_id_column, weight_column_name, dtype=tf.float32):
    """The ids of a column with the weights of a feature that has the same indices."""
    if not (dtype.is_integer or dtype.is_floating):
        raise ValueError(f"dtype {dtype} is no number")
    return columns._WeightedSparseColumn(sparse_id_column, weight_column_name, dtype)


def one_hot_column(sparse_id_column):
    """How often each id is there, for a network."""
    return columns._OneHotColumn(sparse_id_column)


def embedding_column(
    sparse_id_column, dimension, combiner="mean", initializer=None, ckpt_to_load_from=None,
    tensor_name_in_ckpt=None, max_norm=None, trainable=True,
):  # fmt: skip
    """The embeddings of a column's ids, combined, for a network."""
    return columns._EmbeddingColumn(
        sparse_id_column, dimension, combiner, initializer, ckpt_to_load_from, tensor_name_in_ckpt,
        max_norm=max_norm, trainable=trainable,
    )  # fmt: skip


def shared_embedding_columns(
    sparse_id_columns, dimension, combiner="mean", shared_embedding_name=None, initializer=None,
    ckpt_to_load_from=None, tensor_name_in_ckpt=None, max_norm=None, trainable=True,
):  # fmt: skip
    """As `embedding_column`, for columns that share their embeddings.

    Raises:
        TypeError: `sparse_id_columns` is no list, or has columns that are not of ids.
        ValueError: it is empty, or its columns have other ids.
    """
    if not isinstance(sparse_id_columns, (list, tuple)):
        raise TypeError(f"sparse_id_columns is a {type(sparse_id_columns).__name__}, and has to be a list")
    if not sparse_id_columns:
        raise ValueError("sparse_id_columns is empty")
    for column in sparse_id_columns:
        if not isinstance(column, (columns._SparseColumn, columns._WeightedSparseColumn)):
            raise TypeError(f"sparse_id_columns: {column} is no sparse column, weighted or not")
    first = sparse_id_columns[0]
    size = None
    if len(sparse_id_columns) > 1:
        if not all(column.is_compatible(getattr(first, "sparse_id_column", first)) for column in sparse_id_columns):
            raise ValueError(f"sparse_id_columns: not all are like {first.name}, so that they cannot share")
        size = first.length
        shared_embedding_name = shared_embedding_name or _shared_name(sparse_id_columns)
    shared = [
        columns._EmbeddingColumn(
            column, dimension, combiner, initializer, ckpt_to_load_from, tensor_name_in_ckpt,
            shared_embedding_name, size, max_norm, trainable,
        )
        for column in sparse_id_columns
    ]  # fmt: skip
    return shared if len(shared) == 1 else tuple(shared)


def _shared_name(sparse_id_columns):
    """The name of 1.15: the first three columns', those without weights first."""
    plain = sorted(column for column in sparse_id_columns if isinstance(column, columns._SparseColumn))
    weighted = [column for column in sparse_id_columns if not isinstance(column, columns._SparseColumn)]
    names = [column.name for column in (*plain, *sorted(weighted, key=lambda column: column.name))]
    more = f"_plus_{len(names) - 3}_others" if len(names) > 3 else ""
    return "_".join(names[:3]) + more + "_shared_embedding"


def scattered_embedding_column(column_name, size, dimension, hash_key, combiner="mean", initializer=None):
    """Embeddings that are found by hashes among `size` weights."""
    if dimension < 1 or size < 1:
        raise ValueError(f"{column_name}: dimension {dimension} and size {size} have to be 1 at least")
    if combiner not in ("mean", "sqrtn", "sum"):
        raise ValueError(f"{column_name}: the combiner is mean, sqrtn or sum, and not {combiner!r}")
    return _ScatteredEmbeddingColumn(column_name, size, dimension, hash_key, combiner, initializer)


def real_valued_column(column_name, dimension=1, default_value=None, dtype=tf.float32, normalizer=None):
    """Numbers ``[batch, dimension]``.

    Args:
        column_name: of the feature.
        dimension: how many numbers an example has.
        default_value: for examples without: a number, or a list of `dimension`.
        dtype: in which they are parsed.
        normalizer: a function of the tensor.

    Raises:
        TypeError: `dimension` is no int, or `default_value` does not fit `dtype`.
        ValueError: `dimension` is below 1, `dtype` no number, or `default_value` of another length.
    """
    if not isinstance(dimension, int):
        raise TypeError(f"{column_name}: dimension {dimension!r} is no int")
    if dimension < 1:
        raise ValueError(f"{column_name}: dimension {dimension} is not greater than 0")
    if not (dtype.is_integer or dtype.is_floating):
        raise ValueError(f"{column_name}: dtype {dtype} is no number")
    values = default_value
    if default_value is not None:
        values = tuple(default_value) if isinstance(default_value, (list, tuple)) else (default_value,) * dimension
        if len(values) != dimension:
            raise ValueError(f"{column_name}: the length of default_value {default_value} is not {dimension}")
        if not all(isinstance(value, int if dtype.is_integer else (int, float)) for value in values):
            raise TypeError(f"{column_name}: default_value {default_value} is not compatible with dtype {dtype}")
        values = tuple(value if dtype.is_integer else float(value) for value in values)
    return _RealValuedColumn(column_name, dimension, values, dtype, normalizer)


def bucketized_column(source_column, boundaries):
    """The buckets of a `real_valued_column` between sorted boundaries."""
    return _BucketizedColumn(source_column, boundaries)


def crossed_column(
    columns, hash_bucket_size, combiner="sum", ckpt_to_load_from=None, tensor_name_in_ckpt=None, hash_key=None
):
    """All combinations of columns of ids, of buckets or of crosses, hashed; rows are those of TensorFlow 1."""
    return _CrossedColumn(columns, hash_bucket_size, hash_key, combiner, ckpt_to_load_from, tensor_name_in_ckpt)
