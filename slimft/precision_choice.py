"""Which floats a network computes in fastest on this machine: measured once, and remembered.

No rule tells: on one machine bfloat16 is three times as fast as float32 for a network, and slower for another.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import pathlib
import platform
import time
from collections.abc import Callable, Mapping

import tensorflow

from slimft import __version__, system
from slimft.compat import tf
from slimft.errors import SlimftError, UsageError
from slimft.files import read_bounded, write_atomically

# By how much another one has to be faster than float32: less may be noise.
_GAIN = 1.05
_MOST_BYTES = 1 << 16
# What is measured runs so often, or for so long, after a first time.
_TIMES, _SECONDS = 3, 3.0
# Of processors, those that say that they compute in bfloat16: x86's and Arm's names in /proc/cpuinfo.
_COMPUTES_BFLOAT16 = {"avx512_bf16", "amx_bf16", "avx_ne_convert", "bf16"}


def choose_precision(of: Mapping[str, object], seconds_of: Callable[[str], float] | None) -> tuple[str, str | None]:
    """The fastest precision for what a machine has to compute.

    Args:
        of: what is measured, values of JSON by name: the network, its sizes, whether it trains. With the machine
            and the versions of TensorFlow and slimft, it is what the measurement is remembered by.
        seconds_of: measures one; raises `tf.errors.OpError` where it does not work. None where measuring
            would take too long: then only what is remembered counts.

    Returns:
        ``float32``, ``bfloat16`` or ``float16``; and a line on why, or None where there was no choice.
    """
    others = _others()
    if not others:
        return "float32", None
    key = {**of, **_machine(), "precisions": others}
    seconds, when = _remembered(key), "measured before"
    if seconds is None:
        if seconds_of is None:
            return "float32", None
        seconds, when = {name: _measured(seconds_of, name) for name in ("float32", *others)}, "measured now"
        _remember(key, seconds)
    fastest = min(seconds, key=seconds.__getitem__)
    chosen = fastest if seconds[fastest] * _GAIN < seconds["float32"] else "float32"
    told = ", ".join(f"{name} {value:.3g} s" for name, value in seconds.items())
    return chosen, f"--precision=auto is {chosen} here ({told} for a batch, {when})"


def shortest_time(run: Callable[[int], object]) -> float:
    """The shortest of a few calls of `run`, which is given their number, in seconds."""
    times: list[float] = []
    while not times or (len(times) <= _TIMES and sum(times) < _SECONDS):
        began = time.perf_counter()
        run(len(times))
        times.append(time.perf_counter() - began)
    # The first prepares the kernels.
    return min(times[1:] or times)


def _others() -> tuple[str, ...]:
    """What may be faster than float32 here."""
    if tf.config.list_physical_devices("GPU"):
        return ("bfloat16", "float16")
    return ("bfloat16",) if system.processor_flags() & _COMPUTES_BFLOAT16 else ()


def _machine() -> dict[str, object]:
    gpus = [
        tf.config.experimental.get_device_details(gpu).get("device_name")
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    return {
        "host": platform.node(),
        "processor": system.processor(),
        "processors": system.processors(),
        "gpus": gpus,
        "tensorflow": tensorflow.__version__,
        "slimft": __version__,
    }


def _measured(seconds_of: Callable[[str], float], precision: str) -> float:
    try:
        return seconds_of(precision)
    except tf.errors.OpError:
        if precision == "float32":
            raise
        return math.inf


def _file(key: Mapping[str, object]) -> pathlib.Path | None:
    digest = hashlib.blake2b(json.dumps(key, sort_keys=True).encode(), digest_size=16).hexdigest()
    with contextlib.suppress(UsageError):
        return system.cache_folder("precision") / f"{digest}.json"
    return None


def _remembered(key: Mapping[str, object]) -> dict[str, float] | None:
    """What was measured; None where nothing was, or its file is not as it was written."""
    file = _file(key)
    if file is None:
        return None
    try:
        found = json.loads(read_bounded(file, _MOST_BYTES))["seconds"]
        seconds = {name: float(found[name]) for name in ("float32", *key["precisions"])}
    except (SlimftError, OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return seconds if all(value > 0 for value in seconds.values()) and seconds["float32"] < math.inf else None


def _remember(key: Mapping[str, object], seconds: Mapping[str, float]) -> None:
    """Keeps what was measured, where that can be written."""
    file = _file(key)
    if file is None:
        return
    with contextlib.suppress(OSError):
        os.makedirs(file.parent, mode=0o700, exist_ok=True)
        write_atomically(file, json.dumps({**key, "seconds": dict(seconds)}) + "\n")
