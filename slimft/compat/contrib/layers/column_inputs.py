"""What is made of tf.contrib.layers' feature columns: parsing specifications, input layers and linear models.

Names of variables are those of TensorFlow 1.15. Source of names and arguments: its
tensorflow/contrib/layers/python/layers/feature_column_ops.py.
"""

from __future__ import annotations

import math

import tf_slim

from slimft.compat.contrib.layers import columns, embeddings
from slimft.compat.contrib.layers.column_makers import real_valued_column
from slimft.compat.contrib.layers.columns_of_numbers import _RealValuedColumn
from slimft.compat.v1 import tf

_FOR_SEQUENCES = (columns._OneHotColumn, columns._EmbeddingColumn, _RealValuedColumn)


def create_feature_spec_for_parsing(feature_columns):
    """For `tf.parse_example`: how the features of columns, or of a dictionary's columns, are parsed, by name."""
    if isinstance(feature_columns, dict):
        feature_columns = feature_columns.values()
    spec = {}
    for column in feature_columns:
        if not isinstance(column, columns._FeatureColumn):
            raise TypeError(f"feature_columns: {column} is no column of tf.contrib.layers")
        spec.update(column.config)
    return spec


def make_place_holder_tensors_for_base_features(feature_columns):
    """A placeholder, or a sparse one, for each feature of columns, by name."""
    placeholders = {}
    for name, kind in create_feature_spec_for_parsing(feature_columns).items():
        if isinstance(kind, tf.VarLenFeature):
            placeholders[name] = tf.sparse_placeholder(kind.dtype, name=f"Placeholder_{name}")
        else:
            placeholders[name] = tf.placeholder(kind.dtype, (None, kind.shape[0]), name=f"Placeholder_{name}")
    return placeholders


def check_feature_columns(feature_columns):
    """Raises ValueError for a dictionary, and for columns that are there twice."""
    if isinstance(feature_columns, dict):
        raise ValueError("feature_columns is a dict: give its values")
    keys = set()
    for column in feature_columns:
        if column.key in keys:
            raise ValueError(f"feature_columns has {column.name} twice")
        keys.add(column.key)


def _sorted(feature_columns):
    check_feature_columns(feature_columns)
    return sorted(set(feature_columns), key=lambda column: column.key)


def parse_feature_columns_from_examples(serialized, feature_columns, name=None, example_names=None):
    """The features of `tf.Example` protos ``[batch]``, and what the columns make of them, in one dictionary."""
    ordered = _sorted(feature_columns)
    tensors = tf.parse_example(serialized, create_feature_spec_for_parsing(feature_columns), name, example_names)
    features = columns.Features(tensors)
    for column in ordered:
        features.get(column)
    return tensors


def parse_feature_columns_from_sequence_examples(
    serialized, context_feature_columns, sequence_feature_columns, name=None, example_name=None
):
    """The context and the sequence features of one `tf.SequenceExample` proto, two dictionaries by name."""
    sequences = {}
    for key, kind in create_feature_spec_for_parsing(sequence_feature_columns or []).items():
        if isinstance(kind, tf.FixedLenFeature):
            has_default = kind.default_value is not None
            kind = tf.FixedLenSequenceFeature(kind.shape, kind.dtype, allow_missing=has_default)
        sequences[key] = kind
    return tf.io.parse_single_sequence_example(
        tf.reshape(serialized, []), create_feature_spec_for_parsing(context_feature_columns or []), sequences,
        example_name, name,
    )  # fmt: skip


def transform_features(features, feature_columns):
    """What the columns make of features, by column."""
    made = columns.Features(features.copy())
    return {column: made.get(column) for column in _sorted(feature_columns)}


def infer_real_valued_columns(features):
    """A `real_valued_column` for each feature of a dictionary; for a tensor one, whose name is empty."""
    if not isinstance(features, dict):
        features = {"": features}
    inferred = []
    for name, tensor in features.items():
        if isinstance(tensor, tf.SparseTensor) or not (tensor.dtype.is_integer or tensor.dtype.is_floating):
            raise ValueError(f"define a FeatureColumn for {name}: only dense tensors of numbers are detected")
        inferred.append(real_valued_column(name, math.prod(tensor.shape.as_list()[1:]), dtype=tensor.dtype))
    return inferred


def _input_layer(tensors, feature_columns, collections, trainable, scope, rank, default_name, cols_to_outs):
    ordered, outputs = _sorted(feature_columns), []
    if cols_to_outs is not None and not isinstance(cols_to_outs, dict):
        raise ValueError("cols_to_outs has to be a dict, or None")
    if collections:
        collections = sorted({*collections, tf.GraphKeys.GLOBAL_VARIABLES})
    features = columns.Features(tensors.copy())
    with tf.variable_scope(scope, default_name):
        for column in ordered:
            with tf.variable_scope(None, column.name):
                tensor = features.get(column)
                if rank == 3:
                    parts = tensor if isinstance(tensor, tuple) else (tensor,)
                    parts = tuple(columns.reshaped(part, rank, column.name) for part in parts)
                    tensor = parts if isinstance(tensor, tuple) else parts[0]
                outputs.append(column.input_layer(tensor, collections, trainable, rank))
            if cols_to_outs is not None:
                cols_to_outs[column] = outputs[-1]
        return tf.concat(outputs, rank - 1)


def input_from_feature_columns(
    columns_to_tensors, feature_columns, weight_collections=None, trainable=True, scope=None, cols_to_outs=None
):
    """The input layer of a network from columns.

    Args:
        columns_to_tensors: features by name, and by columns what is made of them already.
        feature_columns: the columns; their outputs are sorted by their keys.
        weight_collections: to which variables are added.
        trainable: whether they are trained.
        scope: by default ``input_from_feature_columns``.
        cols_to_outs: a dictionary into which each column's output is put.

    Returns:
        ``[batch, n]``.
    """
    return _input_layer(
        columns_to_tensors, feature_columns, weight_collections, trainable, scope, 2, "input_from_feature_columns",
        cols_to_outs,
    )  # fmt: skip


def sequence_input_from_feature_columns(
    columns_to_tensors, feature_columns, weight_collections=None, trainable=True, scope=None
):
    """As `input_from_feature_columns`, for sequences: ``[batch, steps, n]``."""
    for column in feature_columns:
        parent = getattr(column, "sparse_id_column", None)
        parent = getattr(parent, "sparse_id_column", parent)
        if not isinstance(column, _FOR_SEQUENCES) or not isinstance(parent, (columns._SparseColumn, type(None))):
            raise ValueError(f"{column.name}: sequences take no {type(column).__name__}")
    return _input_layer(
        columns_to_tensors, feature_columns, weight_collections, trainable, scope, 3,
        "sequence_input_from_feature_columns", None,
    )  # fmt: skip


def _with_bias(predictions, num_outputs, trainable, collections):
    if collections:
        collections = sorted({*collections, tf.GraphKeys.GLOBAL_VARIABLES})
    bias = tf_slim.model_variable(
        "bias_weight", [num_outputs], initializer=tf.zeros_initializer(), trainable=trainable,
        collections=collections,
    )  # fmt: skip
    return tf.nn.bias_add(predictions, bias), bias


def weighted_sum_from_feature_columns(
    columns_to_tensors, feature_columns, num_outputs, weight_collections=None, trainable=True, scope=None
):
    """A linear model of columns; see `input_from_feature_columns` for the arguments.

    Returns:
        The outputs ``[batch, num_outputs]``, the weights of each column as a list of variables, and the bias.
    """
    ordered, outputs, variables = _sorted(feature_columns), [], {}
    features = columns.Features(columns_to_tensors.copy())

    def weights(name, size, initializer):
        return tf_slim.model_variable(
            name, [size, num_outputs], tf.float32, initializer, trainable=trainable, collections=weight_collections
        )

    with tf.variable_scope(scope, "weighted_sum_from_feature_columns"):
        for column in ordered:
            tensor = features.get(column)
            arguments = column.linear_arguments(tensor)
            with tf.variable_scope(None, column.name):
                if arguments is None:
                    tensor = columns.reshaped(_dense(column, tensor), 2, column.name)
                    variable = weights("weight", tensor.shape[1], tf.zeros_initializer())
                    output = tf.matmul(tensor, variable, name="matmul")
                else:
                    variable = weights("weights", arguments.vocab_size, arguments.initializer)
                    output = embeddings.safe_embedding_lookup_sparse(
                        variable, arguments.input_tensor, arguments.weight_tensor, arguments.combiner,
                        name=f"{column.name}_weights",
                    )  # fmt: skip
            variables[column] = embeddings.parts(variable)
            column.restore_from_checkpoint(variables[column])
            outputs.append(tf.reshape(output, [-1, num_outputs]))
        result, bias = _with_bias(tf.add_n(outputs), num_outputs, trainable, weight_collections)
        return result, variables, bias


def _dense(column, tensor):
    """The numbers that a linear model gives weights to."""
    if not isinstance(column, _RealValuedColumn):
        raise ValueError(f"{column.name}: linear models take no {type(column).__name__}")
    return tensor


def joint_weighted_sum_from_feature_columns(
    columns_to_tensors, feature_columns, num_outputs, weight_collections=None, trainable=True, scope=None
):
    """As `weighted_sum_from_feature_columns`, of columns of ids, with one variable for all their weights.

    Returns:
        The outputs ``[batch, num_outputs]``, the weights as a list of variables, and the bias.
    """
    features = columns.Features(columns_to_tensors.copy())
    with tf.variable_scope(scope, "joint_weighted_sum_from_feature_columns"):
        tensors, size = [], 0
        for column in _sorted(feature_columns):
            arguments = column.linear_arguments(features.get(column))
            if arguments is None:
                raise NotImplementedError(
                    f"{column.name}: joint sums take no columns of numbers; put them into buckets, or use "
                    "weighted_sum_from_feature_columns"
                )
            if arguments.weight_tensor is not None or arguments.combiner != "sum":
                raise ValueError(
                    f"{column.name}: joint sums take no weights, and no combiner but sum; use "
                    "weighted_sum_from_feature_columns"
                )
            ids = tf.cast(arguments.input_tensor.values, tf.int64)
            tensors.append(
                tf.SparseTensor(arguments.input_tensor.indices, ids + size, arguments.input_tensor.dense_shape)
            )
            size += arguments.vocab_size
        with tf.variable_scope(None, "linear_weights"):
            variable = tf_slim.model_variable(
                "weights", [size, num_outputs], tf.float32, tf.zeros_initializer(), trainable=trainable,
                collections=weight_collections,
            )  # fmt: skip
            output = embeddings.safe_embedding_lookup_sparse(
                variable, tf.sparse_concat(1, tensors), combiner="sum", name="_weights"
            )
        result, bias = _with_bias(output, num_outputs, trainable, weight_collections)
        return result, embeddings.parts(variable), bias
