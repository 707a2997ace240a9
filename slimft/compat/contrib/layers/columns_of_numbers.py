"""Columns of numbers, of buckets, crosses and hashed embeddings; see `columns`."""

from __future__ import annotations

import collections

import tf_slim
from tf_slim.layers.layers import _inner_flatten

from slimft.compat.contrib.layers.columns import _Categorical, _Dense, _LinearArguments, _SparseColumn, reshaped
from slimft.compat.contrib.layers.crosses import sparse_feature_cross
from slimft.compat.contrib.layers.embeddings import scattered_embedding_lookup_sparse
from slimft.compat.v1 import tf


class _ScatteredEmbeddingColumn(
    _Dense,
    collections.namedtuple(
        "_ScatteredEmbeddingColumn", ["column_name", "size", "dimension", "hash_key", "combiner", "initializer"]
    ),
):
    """Embeddings that are found by hashes."""

    _not_in_key = ("initializer",)

    def __new__(cls, column_name, size, dimension, hash_key, combiner="sqrtn", initializer=None):
        if initializer is not None and not callable(initializer):
            raise ValueError(f"{column_name}: the initializer cannot be called")
        initializer = initializer or tf.truncated_normal_initializer(0.0, 0.1)
        return super().__new__(cls, column_name, size, dimension, hash_key, combiner, initializer)

    @property
    def name(self):
        return f"{self.column_name}_scattered_embedding"

    config = property(lambda self: {self.column_name: tf.VarLenFeature(tf.string)})
    _variable_shape = property(lambda self: tf.TensorShape([self.dimension]))

    def _transform_feature(self, inputs):
        return inputs.get(self.column_name)

    def input_layer(self, tensor, weight_collections=None, trainable=True, output_rank=2):
        weights = tf_slim.model_variable(
            "weights", [self.size], tf.float32, self.initializer, trainable=trainable,
            collections=weight_collections,
        )  # fmt: skip
        flat = _inner_flatten(tensor, output_rank)
        return scattered_embedding_lookup_sparse(
            weights, flat, self.dimension, self.combiner, name="lookup", hash_key=self.hash_key
        )


class _RealValuedColumn(
    _Dense,
    collections.namedtuple(
        "_RealValuedColumn", ["column_name", "dimension", "default_value", "dtype", "normalizer"]
    ),
):
    """Numbers, ``[batch, dimension]``."""

    _not_in_key = ("normalizer",)

    name = property(lambda self: self.column_name)
    normalizer_fn = property(lambda self: self.normalizer)
    _variable_shape = property(lambda self: tf.TensorShape([self.dimension]))

    @property
    def config(self):
        """How the features are parsed."""
        default = self.default_value if self.default_value is None else list(self.default_value)
        return {self.column_name: tf.FixedLenFeature([self.dimension], self.dtype, default)}

    def _transform_feature(self, inputs):
        tensor = inputs.get(self.name)
        return tf.cast(tensor if self.normalizer is None else self.normalizer(tensor), tf.float32)

    def input_layer(self, tensor, weight_collections=None, trainable=True, output_rank=2):
        return reshaped(tf.cast(tensor, tf.float32), output_rank, self.name)


class _BucketizedColumn(
    _Dense, _Categorical, collections.namedtuple("_BucketizedColumn", ["source_column", "boundaries"])
):
    """The bucket of each number of a column: ids, or one-hot."""

    combiner = "sum"

    def __new__(cls, source_column, boundaries):
        if not isinstance(source_column, _RealValuedColumn):
            raise TypeError(f"source_column: {source_column} is no real_valued_column")
        if not isinstance(boundaries, (list, tuple)) or not boundaries:
            raise ValueError(f"boundaries has to be a list with one at least, and is {boundaries}")
        if any(a > b for a, b in zip(boundaries, boundaries[1:])):
            raise ValueError(f"boundaries are not sorted: {boundaries}")
        return super().__new__(cls, source_column, tuple(dict.fromkeys(boundaries)))

    @property
    def name(self):
        return f"{self.source_column.name}_bucketized"

    @property
    def length(self):
        """How many buckets each number has."""
        return len(self.boundaries) + 1

    @property
    def _num_buckets(self):
        return self.length * self.source_column.dimension

    config = property(lambda self: self.source_column.config)
    _variable_shape = property(lambda self: tf.TensorShape([self._num_buckets]))

    def _transform_feature(self, inputs):
        from tensorflow import raw_ops

        return raw_ops.Bucketize(
            input=inputs.get(self.source_column), boundaries=list(self.boundaries), name="bucketize"
        )

    def input_layer(self, tensor, weight_collections=None, trainable=True, output_rank=2):
        if output_rank != 2:
            raise ValueError(f"{self.name}: buckets are of rank 2, and output_rank is {output_rank}")
        return tf.reshape(tf.one_hot(tensor, self.length), [-1, self._num_buckets])

    def id_tensor(self, tensor):
        """Ids ``[batch, dimension]``; each number has buckets of its own."""
        dimension = self.source_column.dimension
        ids = tf.reshape(tensor, [-1, dimension]) + self.length * tf.range(dimension)
        shape = tf.shape(ids, out_type=tf.int64)
        return tf.SparseTensor(tf.where(tf.ones(shape, tf.bool)), tf.reshape(ids, [-1]), shape)

    to_sparse_tensor = id_tensor

    def linear_arguments(self, tensor):
        return _LinearArguments(self.id_tensor(tensor), None, self._num_buckets, tf.zeros_initializer(), "sum")


class _CrossedColumn(
    _Categorical,
    collections.namedtuple(
        "_CrossedColumn",
        ["columns", "hash_bucket_size", "hash_key", "combiner", "ckpt_to_load_from", "tensor_name_in_ckpt"],
    ),
):
    """All combinations of the columns' values, hashed."""

    def __new__(
        cls, columns, hash_bucket_size, hash_key, combiner="sum", ckpt_to_load_from=None, tensor_name_in_ckpt=None
    ):
        for column in columns:
            if not isinstance(column, (_SparseColumn, _CrossedColumn, _BucketizedColumn)):
                raise TypeError(
                    f"columns must be a set of sparse, crossed or bucketized ones, and {column} is a "
                    f"{type(column).__name__}"
                )
        if len(columns) < 2:
            raise ValueError(f"columns: a cross is of two at least, and there is {columns}")
        if hash_bucket_size < 2:
            raise ValueError(f"hash_bucket_size {hash_bucket_size} is below 2")
        columns = tuple(sorted(columns, key=lambda column: column.name))
        cross = super().__new__(
            cls, columns, hash_bucket_size, hash_key, combiner, ckpt_to_load_from, tensor_name_in_ckpt
        )
        cross._check_checkpoint()
        return cross

    @property
    def name(self):
        return "_X_".join(sorted(column.name for column in self.columns))

    length = property(lambda self: self.hash_bucket_size)

    @property
    def config(self):
        """How the features are parsed."""
        return {name: spec for column in self.columns for name, spec in column.config.items()}

    def _leaves(self):
        for column in self.columns:
            yield from column._leaves() if isinstance(column, _CrossedColumn) else (column,)

    def _transform_feature(self, inputs):
        tensors = [
            inputs.get(column.name) if isinstance(column, _SparseColumn) else column.id_tensor(inputs.get(column))
            for column in self._leaves()
        ]
        return sparse_feature_cross(tensors, True, self.hash_bucket_size, "cross", self.hash_key)
