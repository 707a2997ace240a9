"""Which replicas a run has: those of this machine's devices, and of all processes."""

from __future__ import annotations

from slimft.compat import tf
from slimft.errors import UsageError
from slimft.runs.settings import Settings
from slimft.session import CPU_DEVICES, cpu_devices, session_config
from slimft.training.cluster.group import Alone, Group, Processes
from slimft.training.cluster.members import cluster_of
from slimft.training.cluster.workers import Workers
from slimft.training.replicas import OneProcess, Replicas, Towers
from slimft.training.setting_checks import check_several


def group_of(settings: Settings) -> Group:
    """The processes that ``TF_CONFIG`` in the environment names, once they are there.

    Raises:
        UsageError: it names none that can be.
        WorkerLost: too few came in time.
    """
    cluster = cluster_of()
    if cluster is None:
        return Alone()
    if settings.min_workers is not None and settings.min_workers > len(cluster.addresses):
        raise UsageError(
            f"--min_workers={settings.min_workers}: TF_CONFIG names {len(cluster.addresses)} processes"
        )
    return Processes(cluster, settings.min_workers, settings.cluster_timeout, cpu_devices())


def replicas_of(settings: Settings, group: Group | None = None) -> Replicas:
    """The replicas that ``--num_replicas`` asks for, in each of the processes.

    Args:
        settings: the run's settings.
        group: the processes; None for one.

    Raises:
        UsageError: there are not so many devices, or not so many images in a batch.
    """
    gpus, config = len(tf.config.list_physical_devices("GPU")), session_config(settings.xla)
    number, notes = settings.num_replicas, []
    several = group is not None and group.number > 1
    if number is None:
        reason = _reason_for_one(settings)
        most = settings.batch_size // group.number if several else settings.batch_size
        number = 1 if reason else max(1, min(gpus, most))
        if reason and gpus > 1:
            notes = [f"one of {gpus} GPUs trains: {reason}"]
    if isinstance(group, Processes):
        return _workers(settings, group, number, gpus)
    if number == 1:
        return OneProcess(config, notes)
    _check_number(number, gpus)
    if gpus:
        return Towers([f"/gpu:{gpu}" for gpu in range(number)], config, "nccl", f"{number} GPUs")
    config.device_count["CPU"] = number
    return Towers([f"/cpu:{cpu}" for cpu in range(number)], config, None, f"{number} virtual devices of the CPU")


def _workers(settings: Settings, group: Processes, number: int, gpus: int) -> Workers:
    """The replicas of several processes, `number` in each."""
    if number > 1:
        _check_number(number, gpus)
    check_several(
        settings, number * group.number, f"{group.number} workers with {_counted(number, 'replica')} each"
    )
    kind = "gpu" if gpus else "cpu"
    each = f", {_counted(number, 'device')} each" if number > 1 else ""
    return Workers(
        group,
        [f"/{kind}:{index}" for index in range(number)],
        group.config(),
        "nccl" if gpus else "ring",
        f"{group.number} workers{each}",
        tf.as_dtype(settings.wire_precision),
    )


def _check_number(number: int, gpus: int) -> None:
    """Raises UsageError if this machine has not so many devices."""
    if gpus:
        if number > gpus:
            raise UsageError(f"--num_replicas={number}: this machine has {_counted(gpus, 'GPU')}; choose no more")
        return
    cpus = cpu_devices()
    if number > cpus:
        has = f"{CPU_DEVICES}={cpus}" if cpus > 1 else "there is no GPU"
        raise UsageError(
            f"--num_replicas={number}: {has}; to try replicas out on the CPU, which makes nothing faster, set "
            f"{CPU_DEVICES}={number} in the environment"
        )


def _reason_for_one(settings: Settings) -> str | None:
    """Why several replicas would do worse, or not at all; None where they would not."""
    frozen = bool(settings.trainable) and "all" not in settings.trainable
    keeps = settings.cache != "off" and frozen and settings.augment == "none"
    reasons = {
        "what frozen layers make of images is kept, and of whole batches": keeps or bool(settings.cache_views),
        "--xla compiles the graph of one device": settings.xla,
        "--sync_batch_norm and --remat do not go together": settings.sync_batch_norm and settings.remat,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number > 1 else ''}"
