"""tf.contrib.factorization: k-means, which TensorFlow has kept (TF 1.15: contrib/factorization/__init__.py).

Its estimator is tf.estimator's, after ``pip install 'slimft[estimator]'``. Factorization by alternating least
squares and mixtures of Gaussians had kernels that are gone.
"""

from __future__ import annotations

from tensorflow.python.ops.clustering_ops import (
    CLUSTERS_VAR_NAME,
    COSINE_DISTANCE,
    KMC2_INIT,
    KMEANS_PLUS_PLUS_INIT,
    RANDOM_INIT,
    SQUARED_EUCLIDEAN_DISTANCE,
    KMeans,
)

from slimft.compat import legacy_names

__all__ = [
    "CLUSTERS_VAR_NAME", "COSINE_DISTANCE", "KMC2_INIT", "KMEANS_PLUS_PLUS_INIT", "KMeans",
    "RANDOM_INIT", "SQUARED_EUCLIDEAN_DISTANCE",
]  # fmt: skip


def __getattr__(name):
    if name == "KMeansClustering":
        return legacy_names.estimator.experimental.KMeans
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
