"""Whether all processes of a run were told the same: their versions, their flags, their data."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

from slimft.compat import tf
from slimft.data import Dataset
from slimft.data.fingerprint import Fingerprint
from slimft.errors import UsageError
from slimft.runs.settings import OF_THE_CLUSTER, OF_THE_DISK, Settings
from slimft.training.cluster.group import Group

# What may differ: places, and what the chief alone goes by.
_FREE = {*OF_THE_DISK, *OF_THE_CLUSTER, "data_dir", "checkpoint"}


def check_told_alike(group: Group, settings: Settings, devices: int) -> None:
    """Raises UsageError, in all processes, if some differ in their versions, their flags or their devices.

    Args:
        group: the processes.
        settings: this one's, complete.
        devices: how many of this process train.
    """
    from slimft import __version__

    told = dataclasses.asdict(settings)
    own = {
        "slimft": __version__,
        "TensorFlow": tf.__version__,
        **{f"--{name}": value for name, value in told.items() if name not in _FREE},
        # Paths differ from machine to machine; whether something is restored may not.
        "--checkpoint": None if settings.checkpoint is None else "given",
        "devices": devices,
    }
    _check(group, own, "start all with the same flags and versions")


def check_same_data(group: Group, splits: dict[str, Dataset]) -> None:
    """Raises UsageError, in all processes, if some have other data than the chief.

    Args:
        group: the processes.
        splits: split name to dataset, as this one has loaded them.
    """
    if group.number == 1:
        return
    fingerprint = Fingerprint.of(splits)
    own: dict[str, Any] = {}
    for split, data in splits.items():
        own[f"examples of the {split} split"] = data.num_examples
        own[f"classes of the {split} split"] = list(data.class_names)
        if fingerprint is None:
            own[f"labels of the {split} split"] = _digest(data.labels.tobytes())
        else:
            own[f"images of the {split} split"] = _digest(json.dumps(fingerprint.splits[split]).encode())
            own[f"masks of the {split} split"] = _digest(json.dumps(fingerprint.masks.get(split)).encode())
    _check(group, own, "give all the same data")


def _check(group: Group, own: dict[str, Any], advice: str) -> None:
    all_of_them = [json.loads(message) for message in group.gather(json.dumps(own).encode())]
    for index, other in enumerate(all_of_them):
        for name, value in all_of_them[0].items():
            if other.get(name) != value:
                raise UsageError(
                    f"{group.name(index)} has other {name} than {group.name(0)}: {_shown(other.get(name))}, not "
                    f"{_shown(value)}; {advice}"
                    if not name.startswith("--")
                    else f"{group.name(index)} has {name}={_shown(other.get(name))}, and {group.name(0)} "
                    f"{name}={_shown(value)}; {advice}"
                )


def _shown(value: Any) -> str:
    text = "nothing" if value is None else ",".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _digest(message: bytes) -> str:
    return hashlib.blake2b(message, digest_size=8).hexdigest()
