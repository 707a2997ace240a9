"""The feature columns that were tf.contrib.layers' own, before tf.feature_column.

Source of names, arguments, defaults and of the order of columns, which is that of their `key`: TensorFlow 1.15's
tensorflow/contrib/layers/python/layers/feature_column.py. They are columns of TensorFlow's first tf.feature_column
as well, so that tf.estimator's models take them.
"""

from __future__ import annotations

import collections
import math
from typing import ClassVar

import tf_slim
from tensorflow.python.feature_column import feature_column as core
from tf_slim.layers.layers import _inner_flatten

from slimft.compat.contrib.layers import embeddings
from slimft.compat.v1 import tf

_LinearArguments = collections.namedtuple(
    "_LinearEmbeddingLookupArguments", ["input_tensor", "weight_tensor", "vocab_size", "initializer", "combiner"]
)


class Features:
    """Features by their names, and by the columns that are made of them, each made once.

    Args:
        tensors: both, as far as they are there. What is made is put into it.
    """

    def __init__(self, tensors):
        self._tensors = tensors

    def get(self, key):
        """The feature of that name, or of that column."""
        if key not in self._tensors:
            if not isinstance(key, _FeatureColumn):
                raise ValueError(f"features doesn't contain key {key}")
            self._tensors[key] = key._transform_feature(self)
        return self._tensors[key]


class _FeatureColumn:
    """What all columns have; the subclasses are named tuples."""

    # Fields that do not tell columns apart.
    _not_in_key: ClassVar = ()
    # Others have the fields ckpt_to_load_from and tensor_name_in_ckpt.
    ckpt_to_load_from = None

    @property
    def key(self):
        """A string by which columns are sorted."""
        if not self._not_in_key:
            return str(self)
        fields = ", ".join(f"{name}={getattr(self, name)}" for name in self._fields if name not in self._not_in_key)
        return f"{type(self).__name__}({fields})"

    @property
    def _parse_example_spec(self):
        return self.config

    def insert_transformed_feature(self, columns_to_tensors):
        """Puts what the column makes of its features into `columns_to_tensors`."""
        columns_to_tensors[self] = self._transform_feature(Features(columns_to_tensors))

    def restore_from_checkpoint(self, variables):
        """Makes the initial value of the column's variable that of its checkpoint, if it has one."""
        if self.ckpt_to_load_from is not None:
            whole = variables[0] if len(variables) == 1 else variables
            tf.train.init_from_checkpoint(self.ckpt_to_load_from, {self.tensor_name_in_ckpt: whole})

    def _check_checkpoint(self):
        if (self.ckpt_to_load_from is None) != (self.tensor_name_in_ckpt is None):
            raise ValueError("ckpt_to_load_from and tensor_name_in_ckpt go together: give both, or neither")

    def input_layer(self, tensor, weight_collections=None, trainable=True, output_rank=2):
        """What a network gets of the column's `tensor`: ``[batch, n]``, or ``[batch, steps, n]``."""
        raise ValueError(f"{type(self).__name__} is not supported in DNN: {self.name} needs an embedding_column")

    def linear_arguments(self, tensor):
        """For the lookup of weights in a linear model; None if the column is dense."""
        return None


class _Categorical(_FeatureColumn, core._CategoricalColumn):
    """A column of ids."""

    def id_tensor(self, tensor):
        """The ids in what the column makes of its features."""
        return tensor

    def weight_tensor(self, tensor):
        """The weights in it, or None."""
        return None

    @property
    def _num_buckets(self):
        return self.length

    def _get_sparse_tensors(self, inputs, weight_collections=None, trainable=None):
        tensor = inputs.get(self)
        return core._CategoricalColumn.IdWeightPair(self.id_tensor(tensor), self.weight_tensor(tensor))

    def linear_arguments(self, tensor):
        ids, weights = self.id_tensor(tensor), self.weight_tensor(tensor)
        return _LinearArguments(ids, weights, self.length, tf.zeros_initializer(), self.combiner)


class _Dense(_FeatureColumn, core._DenseColumn):
    """A column of numbers."""

    def _get_dense_tensor(self, inputs, weight_collections=None, trainable=True):
        return self.input_layer(inputs.get(self), weight_collections, trainable is not False)


_SparseIdLookupConfig = collections.namedtuple(
    "_SparseIdLookupConfig", ["vocabulary_file", "keys", "num_oov_buckets", "vocab_size", "default_value"],
    defaults=(None, None, 0, None, -1),
)  # fmt: skip
_SPARSE_FIELDS = ("column_name", "is_integerized", "bucket_size", "lookup_config", "combiner", "dtype")


class _SparseColumn(_Categorical, collections.namedtuple("_SparseColumn", _SPARSE_FIELDS)):
    """Ids from strings or integers; see the functions ``sparse_column_with_...``."""

    def __new__(
        cls, column_name, is_integerized=False, bucket_size=None, lookup_config=None, combiner="sum",
        dtype=tf.string,
    ):  # fmt: skip
        if is_integerized and not dtype.is_integer:
            raise ValueError(f"{column_name}: with is_integerized the dtype is one of ints, and not {dtype}")
        if dtype != tf.string and not dtype.is_integer:
            raise ValueError(f"{column_name}: the dtype is string or one of ints, and not {dtype}")
        if (bucket_size is None) == (lookup_config is None):
            raise ValueError(f"{column_name}: give bucket_size, or lookup_config")
        if bucket_size is not None and bucket_size < 1:
            raise ValueError(f"{column_name}: bucket_size {bucket_size} is below 1")
        return super().__new__(cls, column_name, is_integerized, bucket_size, lookup_config, combiner, dtype)

    @property
    def name(self):
        return self.column_name

    @property
    def length(self):
        """How many ids there are."""
        if self.bucket_size is not None:
            return self.bucket_size
        return self.lookup_config.vocab_size + self.lookup_config.num_oov_buckets

    @property
    def config(self):
        """How the features are parsed."""
        return {self.column_name: tf.VarLenFeature(self.dtype)}

    def is_compatible(self, other):
        """Whether both columns can share an embedding."""
        if self.lookup_config and other.lookup_config:
            return self.lookup_config == other.lookup_config
        same_type = self.dtype == other.dtype or (self.dtype.is_integer and other.dtype.is_integer)
        return self.length == other.length and same_type

    def _transform_feature(self, inputs):
        tensor = inputs.get(self.name)
        if not isinstance(tensor, tf.SparseTensor):
            flat = reshaped(tensor, 2, self.name)
            is_there = tf.not_equal(flat, "" if flat.dtype == tf.string else tf.cast(-1, flat.dtype))
            tensor = tf.SparseTensor(
                tf.where(is_there), tf.boolean_mask(flat, is_there), tf.shape(flat, out_type=tf.int64)
            )
        return self._ids(tensor)


class _SparseColumnIntegerized(_SparseColumn):
    def _ids(self, tensor):
        return tensor.with_values(tf.mod(tensor.values, self.bucket_size, name="mod"))


class _SparseColumnHashed(_SparseColumn):
    hash_keys = None

    def _ids(self, tensor):
        strings = tf.as_string(tensor.values) if self.dtype.is_integer else tensor.values
        if not self.hash_keys:
            return tensor.with_values(tf.string_to_hash_bucket_fast(strings, self.bucket_size, name="lookup"))
        hashed = (tf.string_to_hash_bucket_strong(strings, self.bucket_size, key) for key in self.hash_keys)
        return tf.sparse_concat(1, [tensor.with_values(ids) for ids in hashed], name="lookup")


class _SparseColumnKeys(_SparseColumn):
    def _ids(self, tensor):
        from tensorflow.python.ops import lookup_ops

        config = self.lookup_config
        return lookup_ops.index_table_from_tensor(
            config.keys, default_value=config.default_value, dtype=self.dtype, name="lookup"
        ).lookup(tensor)


class _SparseColumnVocabulary(_SparseColumn):
    def _ids(self, tensor):
        from tensorflow.python.ops import lookup_ops

        config = self.lookup_config
        if self.dtype.is_integer:
            tensor = tensor.with_values(tf.as_string(tensor.values))
        return lookup_ops.index_table_from_file(
            config.vocabulary_file, config.num_oov_buckets, config.vocab_size, config.default_value,
            name=f"{self.name}_lookup",
        ).lookup(tensor)  # fmt: skip


class _WeightedSparseColumn(
    _Categorical,
    collections.namedtuple("_WeightedSparseColumn", ["sparse_id_column", "weight_column_name", "dtype"]),
):
    """Ids, each with a weight that is a feature of its own."""

    @property
    def name(self):
        return f"{self.sparse_id_column.name}_weighted_by_{self.weight_column_name}"

    length = property(lambda self: self.sparse_id_column.length)
    lookup_config = property(lambda self: self.sparse_id_column.lookup_config)
    combiner = property(lambda self: self.sparse_id_column.combiner)

    @property
    def config(self):
        """How the features are parsed."""
        return {**self.sparse_id_column.config, self.weight_column_name: tf.VarLenFeature(self.dtype)}

    def id_tensor(self, tensor):
        return tensor[0]

    def weight_tensor(self, tensor):
        return tensor[1]

    def is_compatible(self, other):
        """Whether both columns can share an embedding."""
        return self.sparse_id_column.is_compatible(getattr(other, "sparse_id_column", other))

    def _transform_feature(self, inputs):
        weights = inputs.get(self.weight_column_name)
        if not isinstance(weights, tf.SparseTensor):
            weights = tf_slim.layers.dense_to_sparse(weights)
        if not self.dtype.is_floating:
            weights = tf.cast(weights, tf.float32)
        return inputs.get(self.sparse_id_column), weights


class _OneHotColumn(_Dense, collections.namedtuple("_OneHotColumn", ["sparse_id_column"])):
    """How often each id is there, or its weight."""

    @property
    def name(self):
        return f"{self.sparse_id_column.name}_one_hot"

    length = property(lambda self: self.sparse_id_column.length)
    config = property(lambda self: self.sparse_id_column.config)
    _variable_shape = property(lambda self: tf.TensorShape([self.length]))

    def _transform_feature(self, inputs):
        return inputs.get(self.sparse_id_column)

    def input_layer(self, tensor, weight_collections=None, trainable=True, output_rank=2):
        ids = _inner_flatten(self.sparse_id_column.id_tensor(tensor), output_rank)
        weights = self.sparse_id_column.weight_tensor(tensor)
        values = tf.ones_like(ids.values, tf.float32) if weights is None else weights.values
        is_known = (ids.values >= 0) & (ids.values < self.length)
        places = tf.concat([ids.indices[:, :-1], tf.cast(ids.values, tf.int64)[:, None]], 1)
        shape = tf.concat([ids.dense_shape[:-1], [self.length]], 0)
        result = tf.scatter_nd(tf.boolean_mask(places, is_known), tf.boolean_mask(values, is_known), shape)
        return tf.ensure_shape(result, [None] * (output_rank - 1) + [self.length])


class _EmbeddingColumn(
    _Dense,
    collections.namedtuple(
        "_EmbeddingColumn",
        [
            *("sparse_id_column", "dimension", "combiner", "initializer", "ckpt_to_load_from"),
            *("tensor_name_in_ckpt", "shared_embedding_name", "shared_vocab_size", "max_norm", "trainable"),
        ],
    ),
):
    """The combined embeddings of a column's ids."""

    _not_in_key = ("initializer",)

    def __new__(
        cls, sparse_id_column, dimension, combiner="mean", initializer=None, ckpt_to_load_from=None,
        tensor_name_in_ckpt=None, shared_embedding_name=None, shared_vocab_size=None, max_norm=None, trainable=True,
    ):  # fmt: skip
        if initializer is not None and not callable(initializer):
            raise ValueError(f"{sparse_id_column.name}: the initializer cannot be called")
        if initializer is None:
            initializer = tf.truncated_normal_initializer(0.0, 1 / math.sqrt(sparse_id_column.length))
        column = super().__new__(
            cls, sparse_id_column, dimension, combiner, initializer, ckpt_to_load_from, tensor_name_in_ckpt,
            shared_embedding_name, shared_vocab_size, max_norm, trainable,
        )  # fmt: skip
        column._check_checkpoint()
        return column

    @property
    def name(self):
        kind = "embedding" if self.shared_embedding_name is None else "shared_embedding"
        return f"{self.sparse_id_column.name}_{kind}"

    length = property(lambda self: self.shared_vocab_size or self.sparse_id_column.length)
    config = property(lambda self: self.sparse_id_column.config)
    _variable_shape = property(lambda self: tf.TensorShape([self.dimension]))

    def _transform_feature(self, inputs):
        return inputs.get(self.sparse_id_column)

    def linear_arguments(self, tensor):
        raise ValueError(f"{self.name}: linear models take its sparse column instead")

    def input_layer(self, tensor, weight_collections=None, trainable=True, output_rank=2):
        weights = self.sparse_id_column.weight_tensor(tensor)
        variables = embeddings.parts(self._variable(weight_collections, trainable))
        self.restore_from_checkpoint(variables)
        return embeddings.safe_embedding_lookup_sparse(
            variables, _inner_flatten(self.sparse_id_column.id_tensor(tensor), output_rank),
            weights if weights is None else _inner_flatten(weights, output_rank), self.combiner,
            name=f"{self.name}weights", max_norm=self.max_norm,
        )  # fmt: skip

    def _variable(self, collections, trainable):
        """The embeddings; those of columns that share them are kept in a collection."""
        shared, shape = [], [self.length, self.dimension]
        if self.shared_embedding_name is not None:
            name = f"SHARED_EMBEDDING_COLLECTION_{self.shared_embedding_name.upper()}"
            shared = tf.get_default_graph().get_collection_ref(name)
        if shared and shared[0].shape != shape:
            raise ValueError(
                f"the embedding {self.shared_embedding_name} is there already, with the shape {shared[0].shape}, "
                f"not {shape}: use another shared_embedding_name"
            )
        if shared:
            return shared[0]
        variable = tf_slim.model_variable(
            self.shared_embedding_name or "weights", shape, tf.float32, self.initializer,
            trainable=trainable and self.trainable, collections=collections,
        )  # fmt: skip
        shared.append(variable)
        return variable


def reshaped(tensor, rank, name):
    """A dense or sparse tensor with one dimension more, or with its inner dimensions flattened.

    Raises:
        ValueError: it is of a rank below ``rank - 1``.
    """
    is_sparse = isinstance(tensor, tf.SparseTensor)
    own = tensor.dense_shape.shape[0] if is_sparse else tensor.shape.ndims
    if own is not None and rank > own + 1:
        raise ValueError(
            f"column {name}: a tensor of rank {own} cannot become one of rank {rank}; sequences are mostly of rank "
            "3, others of rank 2"
        )
    if own == rank:
        return tensor
    if own == rank - 1:
        return tf.sparse.expand_dims(tensor, -1) if is_sparse else tf.expand_dims(tensor, -1)
    return _inner_flatten(tensor, rank)
