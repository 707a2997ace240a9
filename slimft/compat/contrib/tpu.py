"""What `tf.contrib.tpu` was, as far as it runs without a TPU: its Estimator trains on a CPU with use_tpu=False.

TPUEstimator and its settings are tensorflow-estimator's (`slimft.compat.estimator_repairs`), the rest is
tf.compat.v1.tpu. Names: TensorFlow 1.15's tensorflow/contrib/tpu/__init__.py.
"""

from __future__ import annotations

from slimft.compat import estimator_repairs
from slimft.compat.v1 import tf

_FOLDER = f"{estimator_repairs.MODULES}.tpu"
_ESTIMATOR = {
    "TPUEstimator": "tpu_estimator", "TPUEstimatorSpec": "tpu_estimator", "InputPipelineConfig": "tpu_config",
    "RunConfig": "tpu_config", "TPUConfig": "tpu_config",
}  # fmt: skip


def __getattr__(name):
    if name in _ESTIMATOR:
        return getattr(estimator_repairs.imported(f"{_FOLDER}.{_ESTIMATOR[name]}"), name)
    return getattr(tf.tpu, name)
