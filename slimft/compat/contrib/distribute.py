"""What `tf.contrib.distribute` was: tf.distribute (TF 1.15: contrib/distribute/__init__.py)."""

from __future__ import annotations

from slimft.compat.v1 import tf

_RENAMED = {"AllReduceCrossTowerOps": "ReductionToOneDevice", "AllReduceCrossDeviceOps": "NcclAllReduce",
            "CollectiveAllReduceStrategy": "experimental.MultiWorkerMirroredStrategy",
            "ParameterServerStrategy": "experimental.ParameterServerStrategy",
            "TPUStrategy": "experimental.TPUStrategy",
            "ReductionToOneDeviceCrossDeviceOps": "ReductionToOneDevice"}  # fmt: skip


class MirroredStrategy(tf.distribute.MirroredStrategy):
    """`tf.distribute.MirroredStrategy`, also by a number of GPUs.

    Args:
        devices: names such as ``/gpu:0``; all GPUs by default.
        num_gpus, num_gpus_per_worker: how many GPUs; 0 is the CPU.
        others: see tf.distribute.
    """

    def __init__(self, devices=None, num_gpus=None, num_gpus_per_worker=None, cross_device_ops=None, **_):
        count = num_gpus if num_gpus is not None else num_gpus_per_worker
        if devices is None and count is not None:
            devices = [f"/gpu:{number}" for number in range(count)] or ["/cpu:0"]
        super().__init__(devices, cross_device_ops)


def __getattr__(name):
    value = tf.distribute
    for part in _RENAMED.get(name, name).split("."):
        value = getattr(value, part, None)
    if value is None:
        raise AttributeError(f"no tf.contrib.distribute.{name}; see tf.distribute")
    return value
