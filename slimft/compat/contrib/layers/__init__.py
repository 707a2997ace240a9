"""What tf-slim lacks of `tf.contrib.layers`: its feature columns, embeddings and crosses.

Source of names: TensorFlow 1.15's tensorflow/contrib/layers/__init__.py. `slimft.compat.legacy_names` adds those
of tf-slim.
"""

import sys

from slimft.compat.contrib.layers.column_inputs import (
    check_feature_columns,
    create_feature_spec_for_parsing,
    infer_real_valued_columns,
    input_from_feature_columns,
    joint_weighted_sum_from_feature_columns,
    make_place_holder_tensors_for_base_features,
    parse_feature_columns_from_examples,
    parse_feature_columns_from_sequence_examples,
    sequence_input_from_feature_columns,
    transform_features,
    weighted_sum_from_feature_columns,
)
from slimft.compat.contrib.layers.column_makers import (
    bucketized_column,
    crossed_column,
    embedding_column,
    one_hot_column,
    real_valued_column,
    scattered_embedding_column,
    shared_embedding_columns,
    sparse_column_with_hash_bucket,
    sparse_column_with_integerized_feature,
    sparse_column_with_keys,
    sparse_column_with_vocabulary_file,
    weighted_sparse_column,
)
from slimft.compat.contrib.layers.columns import (
    _EmbeddingColumn,
    _FeatureColumn,
    _OneHotColumn,
    _SparseColumn,
    _SparseColumnHashed,
    _SparseColumnIntegerized,
    _SparseColumnKeys,
    _SparseColumnVocabulary,
    _WeightedSparseColumn,
)
from slimft.compat.contrib.layers.columns_of_numbers import (
    _BucketizedColumn,
    _CrossedColumn,
    _RealValuedColumn,
    _ScatteredEmbeddingColumn,
)
from slimft.compat.contrib.layers.crosses import SPARSE_FEATURE_CROSS_DEFAULT_HASH_KEY, sparse_feature_cross
from slimft.compat.contrib.layers.embeddings import (
    bow_encoder,
    embed_sequence,
    embedding_lookup_sparse_with_distributed_aggregation,
    embedding_lookup_unique,
    hashed_embedding_lookup,
    hashed_embedding_lookup_sparse,
    safe_embedding_lookup_sparse,
    scattered_embedding_lookup,
    scattered_embedding_lookup_sparse,
)

# Modules of which each has all names of the package.
feature_column = feature_column_ops = embedding_ops = encoders = sys.modules[__name__]
sparse_feature_cross_op = sys.modules[__name__]

__all__ = [
    "SPARSE_FEATURE_CROSS_DEFAULT_HASH_KEY", "_BucketizedColumn", "_CrossedColumn", "_EmbeddingColumn",
    "_FeatureColumn", "_OneHotColumn", "_RealValuedColumn", "_ScatteredEmbeddingColumn", "_SparseColumn",
    "_SparseColumnHashed", "_SparseColumnIntegerized", "_SparseColumnKeys", "_SparseColumnVocabulary",
    "_WeightedSparseColumn", "bow_encoder", "bucketized_column", "check_feature_columns",
    "create_feature_spec_for_parsing", "crossed_column", "embed_sequence", "embedding_column",
    "embedding_lookup_sparse_with_distributed_aggregation", "embedding_lookup_unique", "embedding_ops", "encoders",
    "feature_column", "feature_column_ops", "hashed_embedding_lookup", "hashed_embedding_lookup_sparse",
    "infer_real_valued_columns", "input_from_feature_columns", "joint_weighted_sum_from_feature_columns",
    "make_place_holder_tensors_for_base_features", "one_hot_column", "parse_feature_columns_from_examples",
    "parse_feature_columns_from_sequence_examples", "real_valued_column", "safe_embedding_lookup_sparse",
    "scattered_embedding_column", "scattered_embedding_lookup", "scattered_embedding_lookup_sparse",
    "sequence_input_from_feature_columns", "shared_embedding_columns", "sparse_column_with_hash_bucket",
    "sparse_column_with_integerized_feature", "sparse_column_with_keys", "sparse_column_with_vocabulary_file",
    "sparse_feature_cross", "sparse_feature_cross_op", "transform_features", "weighted_sparse_column",
    "weighted_sum_from_feature_columns",
]  # fmt: skip
