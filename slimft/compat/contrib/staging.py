"""tf.contrib.staging (TF 1.15: contrib/staging/__init__.py)."""

from tensorflow.python.ops.data_flow_ops import StagingArea

__all__ = ["StagingArea"]
