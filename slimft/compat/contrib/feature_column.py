"""tf.contrib.feature_column: columns of sequences, which are in tf.feature_column today.

Source of names: TensorFlow 1.15's tensorflow/contrib/feature_column/__init__.py.
"""

from __future__ import annotations

import collections

from slimft.compat import keras_2
from slimft.compat.v1 import tf

sequence_categorical_column_with_hash_bucket = tf.feature_column.sequence_categorical_column_with_hash_bucket
sequence_categorical_column_with_identity = tf.feature_column.sequence_categorical_column_with_identity
sequence_categorical_column_with_vocabulary_file = (
    tf.feature_column.sequence_categorical_column_with_vocabulary_file
)
sequence_categorical_column_with_vocabulary_list = (
    tf.feature_column.sequence_categorical_column_with_vocabulary_list
)
sequence_numeric_column = tf.feature_column.sequence_numeric_column

SequenceInput = collections.namedtuple("SequenceInput", ["input_layer", "sequence_length"])


def sequence_input_layer(features, feature_columns, weight_collections=None, trainable=True):
    """Columns of sequences side by side, for an RNN.

    Args:
        features: tensors by the names of the columns.
        feature_columns: columns of sequences, embedded or numeric.
        weight_collections: is passed over: the variables are in tf.GraphKeys.GLOBAL_VARIABLES.
        trainable: whether the embeddings train.

    Returns:
        (float [batch, time, size], lengths int64 [batch]).

    Raises:
        ModuleNotFoundError: tf-keras is not installed.
    """
    layers = keras_2.resolve("feature_column.sequence_feature_column")
    if layers is None:
        raise ModuleNotFoundError("sequence_input_layer needs Keras 2: pip install 'slimft[keras2]'")
    layer = layers.SequenceFeatures(feature_columns, trainable=trainable, name="sequence_input_layer")
    return SequenceInput(*layer(features))
