"""What tf-slim lacks of `tf.contrib.training`: buckets, sampling by chance, placement of variables.

Source of names: TensorFlow 1.15's tensorflow/contrib/training/__init__.py. `slimft.compat.legacy_names` adds
tf-slim's, and HParams.
"""

from slimft.compat.contrib.training.bucketing import bucket, bucket_by_sequence_length
from slimft.compat.contrib.training.placement import (
    GreedyLoadBalancingStrategy,
    RandomStrategy,
    byte_size_load_fn,
)
from slimft.compat.contrib.training.sampling import (
    rejection_sample,
    resample_at_rate,
    stratified_sample,
    weighted_resample,
)

__all__ = [
    "GreedyLoadBalancingStrategy", "RandomStrategy", "bucket", "bucket_by_sequence_length", "byte_size_load_fn",
    "rejection_sample", "resample_at_rate", "stratified_sample", "weighted_resample",
]  # fmt: skip
