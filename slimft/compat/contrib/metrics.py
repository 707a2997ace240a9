"""What tf-slim lacks of `tf.contrib.metrics`: sets and the confusion matrix.

Source of names: TensorFlow 1.15's tensorflow/contrib/metrics/__init__.py. `slimft.compat.legacy_names` adds
those of tf-slim.
"""

from tensorflow.python.ops.sets_impl import set_difference, set_intersection, set_size, set_union

from slimft.compat.v1 import tf

__all__ = ["confusion_matrix", "set_difference", "set_intersection", "set_size", "set_union"]


def confusion_matrix(labels, predictions, num_classes=None, dtype=tf.int32, name=None, weights=None):
    """How often each class, a row, is taken for each, a column: ``[num_classes, num_classes]``."""
    return tf.math.confusion_matrix(labels, predictions, num_classes, dtype, name, weights)
