"""Embeddings of ids, dense and sparse, by rows or by hashes.

Source of names, arguments and defaults: TensorFlow 1.15's
tensorflow/contrib/layers/python/layers/{embedding_ops,encoders}.py.
"""

from __future__ import annotations

import tf_slim

from slimft.compat.contrib.layers.crosses import sparse_feature_cross
from slimft.compat.v1 import tf

_COMBINERS = ("mean", "sqrtn", "sum")


def parts(params):
    """A variable, a list of its parts, or a partitioned variable, as a list."""
    if isinstance(params, (list, tuple)):
        return list(params)
    return list(params) if hasattr(params, "_get_variable_list") else [params]


def safe_embedding_lookup_sparse(
    embedding_weights, sparse_ids, sparse_weights=None, combiner=None, default_id=None, name=None,
    partition_strategy="div", max_norm=None,
):  # fmt: skip
    """Embeddings of each row's ids, combined; ids below 0 and, but for ``sum``, weights of 0 are passed over.

    Args:
        embedding_weights: ``[vocabulary, dimension]``, or a list of its parts.
        sparse_ids: a `SparseTensor` ``[batch, ..., n]``.
        sparse_weights: their weights, at the same indices; by default 1.
        combiner: ``mean``, which is the default, ``sqrtn`` or ``sum``.
        default_id: the id of rows without any; by default these give zeros.
        name: of the op.
        partition_strategy: ``div`` or ``mod``.
        max_norm: to which embeddings are clipped first.

    Returns:
        ``[batch, ..., dimension]``.
    """
    if embedding_weights is None:
        raise ValueError("embedding_weights is None")
    return tf.nn.safe_embedding_lookup_sparse(
        parts(embedding_weights), sparse_ids, sparse_weights, combiner or "mean", default_id, name,
        partition_strategy, max_norm,
    )  # fmt: skip


def embedding_lookup_sparse_with_distributed_aggregation(
    params, sp_ids, sp_weights, partition_strategy="mod", name=None, combiner=None, max_norm=None
):
    """The embeddings of `tf.nn.embedding_lookup_sparse`, which now says itself where it adds them up."""
    return tf.nn.embedding_lookup_sparse(
        params, sp_ids, sp_weights, partition_strategy, name, combiner or "mean", max_norm
    )


def embedding_lookup_unique(params, ids, partition_strategy="mod", name=None):
    """Embeddings of ids of any shape; each id is looked up once, however often it is there."""
    with tf.name_scope(name, "EmbeddingLookupUnique", [params, ids]):
        ids = tf.convert_to_tensor(ids)
        unique, places = tf.unique(tf.reshape(ids, [-1]))
        embedded = tf.nn.embedding_lookup(params, unique, partition_strategy)
        result = tf.reshape(tf.gather(embedded, places), tf.concat([tf.shape(ids), tf.shape(embedded)[1:]], 0))
        result.set_shape(ids.shape.concatenate(embedded.shape[1:]))
        return result


def scattered_embedding_lookup(params, values, dimension, name=None, hash_key=None):
    """Embeddings without a vocabulary: each component of a value's is a weight found by a hash of both.

    Args:
        params: ``[n]``, or a list of its parts.
        values: of any shape, strings or integers.
        dimension: how many components.
        name: of the ops.
        hash_key: as in `sparse_feature_cross`.

    Returns:
        The shape of `values` and `dimension`.
    """
    if dimension is None:
        raise ValueError("dimension is missing")
    if dimension <= 0:
        raise ValueError(f"dimension {dimension} is below 1")
    params = parts(params)
    sizes = [part.shape.as_list() for part in params]
    if any(len(size) != 1 or size[0] is None for size in sizes):
        raise ValueError(f"params have to be of rank 1 and of known sizes, not {sizes}")
    total = sum(size[0] for size in sizes)
    for i, (size,) in enumerate(sizes):
        expected = (total - i - 1) // len(sizes) + 1
        if size != expected:
            raise ValueError(f"params[{i}] has {size} weights, and {expected} are due to it")
    with tf.name_scope(name, "scattered_embedding_lookup", [*params, values]):
        values = tf.convert_to_tensor(values)
        column = tf.reshape(values, [-1, 1])
        components = tf.tile(tf.range(dimension)[None], tf.shape(column))
        ids = sparse_feature_cross([components, column], True, total, hash_key=hash_key)
        ids = tf.reshape(ids.values, tf.concat([tf.shape(values), [dimension]], 0))
        result = tf.nn.embedding_lookup(params, ids, partition_strategy="div")
        result.set_shape(values.shape.concatenate([dimension]))
        return result


def scattered_embedding_lookup_sparse(
    params, sparse_values, dimension, combiner=None, default_value=None, name=None, hash_key=None
):
    """The combined embeddings ``[batch, dimension]`` of each row's values, found by hashes.

    Rows without values have those of `default_value`. See `scattered_embedding_lookup`.
    """
    combiner = combiner or "mean"
    if combiner not in _COMBINERS:
        raise ValueError(f"the combiner is mean, sqrtn or sum, and not {combiner!r}")
    if not isinstance(sparse_values, tf.SparseTensor):
        raise TypeError(f"sparse_values is a {type(sparse_values).__name__}, and no SparseTensor")
    with tf.name_scope(name, "scattered_embedding_lookup_sparse", [*parts(params), sparse_values]) as scope:
        if default_value is None:
            # 1.15's own, which no value is likely to be.
            default_value = "6ZxWzWOHxZ" if sparse_values.dtype == tf.string else 1288896567
        filled, _ = tf.sparse.fill_empty_rows(sparse_values, default_value)
        rows = tf.cast(filled.indices[:, 0], tf.int32)
        values, places = tf.unique(filled.values)
        embedded = scattered_embedding_lookup(params, values, dimension, hash_key=hash_key)
        reduce = {
            "mean": tf.sparse.segment_mean,
            "sqrtn": tf.sparse.segment_sqrt_n,
            "sum": tf.sparse.segment_sum,
        }
        return reduce[combiner](embedded, places, rows, name=scope)


# TensorFlow 1.0 and older.
hashed_embedding_lookup = scattered_embedding_lookup
hashed_embedding_lookup_sparse = scattered_embedding_lookup_sparse


def bow_encoder(
    ids, vocab_size, embed_dim, sparse_lookup=True, initializer=None, regularizer=None, trainable=True, scope=None,
    reuse=None,
):  # fmt: skip
    """Documents ``[batch, words]`` of ids as the means ``[batch, embed_dim]`` of their embeddings.

    With `sparse_lookup`, ids of 0 are padding, and `ids` may be a `SparseTensor`.
    """
    if not vocab_size or not embed_dim:
        raise ValueError("vocab_size and embed_dim are needed")
    with tf.variable_scope(scope, "bow_encoder", [ids], reuse=reuse):
        embeddings = tf_slim.model_variable(
            "embeddings", [vocab_size, embed_dim], initializer=initializer, regularizer=regularizer,
            trainable=trainable,
        )  # fmt: skip
        if sparse_lookup:
            sparse = ids if isinstance(ids, tf.SparseTensor) else tf_slim.layers.dense_to_sparse(ids)
            return safe_embedding_lookup_sparse(embeddings, sparse, combiner="mean", default_id=0)
        if isinstance(ids, tf.SparseTensor):
            raise TypeError(f"ids has to be a dense tensor, and is {ids}")
        return tf.reduce_mean(tf.nn.embedding_lookup(embeddings, ids), axis=1)


def embed_sequence(
    ids, vocab_size=None, embed_dim=None, unique=False, initializer=None, regularizer=None, trainable=True,
    scope=None, reuse=None,
):  # fmt: skip
    """The embeddings ``[batch, words, embed_dim]`` of ids ``[batch, words]``.

    Args:
        ids: of int32 or int64.
        vocab_size: how many ids there are.
        embed_dim: components of an embedding.
        unique: whether each id is looked up once, however often it is there.
        initializer: of the embeddings.
        regularizer: of the embeddings.
        trainable: whether they are trained.
        scope: of the variable ``embeddings``, by default ``EmbedSequence``.
        reuse: whether the variable is there already.
    """
    if not (reuse or (vocab_size and embed_dim)):
        raise ValueError(f"without reuse, vocab_size ({vocab_size}) and embed_dim ({embed_dim}) are needed")
    with tf.variable_scope(scope, "EmbedSequence", [ids], reuse=reuse):
        shape = None if vocab_size is None or embed_dim is None else [vocab_size, embed_dim]
        embeddings = tf_slim.model_variable(
            "embeddings", shape, initializer=initializer, regularizer=regularizer, trainable=trainable
        )
        return (embedding_lookup_unique if unique else tf.nn.embedding_lookup)(embeddings, ids)
