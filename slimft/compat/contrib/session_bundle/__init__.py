"""tf.contrib.session_bundle: its `exporter` writes SavedModels, which `session_bundle` reads.

What TensorFlow Serving read before SavedModels were, `export.meta` and a checkpoint, nothing of today reads.
Source: tensorflow/contrib/session_bundle of TensorFlow 1.15.
"""
