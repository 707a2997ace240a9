"""What `tf.contrib.cluster_resolver` was; it is in tf.distribute.cluster_resolver now.

Source of names: TensorFlow 1.15's tensorflow/contrib/cluster_resolver.
"""

from slimft.compat.v1 import tf

_now = tf.distribute.cluster_resolver
ClusterResolver = _now.ClusterResolver
GCEClusterResolver = _now.GCEClusterResolver
KubernetesClusterResolver = _now.KubernetesClusterResolver
SimpleClusterResolver = _now.SimpleClusterResolver
SlurmClusterResolver = _now.SlurmClusterResolver
TFConfigClusterResolver = _now.TFConfigClusterResolver
TPUClusterResolver = _now.TPUClusterResolver
UnionClusterResolver = _now.UnionResolver

__all__ = [
    "ClusterResolver", "GCEClusterResolver", "KubernetesClusterResolver", "SimpleClusterResolver",
    "SlurmClusterResolver", "TFConfigClusterResolver", "TPUClusterResolver", "UnionClusterResolver",
]  # fmt: skip
