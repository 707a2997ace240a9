"""Arguments that NumPy's functions took until 1.19, 1.24 or 2.0, for the script's own calls.

Which: NumPy's release notes of 1.14 (threshold), 1.16 (stacks), 1.24 (normed) and 2.0 (copy, numpy.lib).
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator

import numpy as np

from slimft.legacy.ages.script import Script


def put_in(script: Script) -> None:
    """Lets these functions take what they took."""
    for name, change in (
        ("set_printoptions", _without_nan),
        ("histogram", _normed),
        ("vstack", _of_iterator),
        ("hstack", _of_iterator),
        ("array", _copy),
    ):
        script.patches.set(np, name, _changing(getattr(np, name), change, script))
    for module, shown, names in ((np.lib, "np.lib", ("pad",)), (np.linalg, "np.linalg", ("linalg",))):
        table = {"pad": (np.pad, "np.pad stands for it"), "linalg": (np.linalg, "np.linalg stands for it")}
        script.answer(module, shown, "numpy", {name: table[name] for name in names if name not in vars(module)})


def _changing(function: Callable, change: Callable, script: Script) -> Callable:
    """`function`, with its arguments as `change` puts them, and what `change` says said."""

    @functools.wraps(function)
    def changed(*arguments, **named):
        found = change(arguments, named)
        if found is None or not script.is_calling():
            return function(*arguments, **named)
        arguments, named, what, line = found
        script.say("numpy", f"np.{function.__name__}{what}", line)
        return function(*arguments, **named)

    return changed


def _without_nan(arguments, named):
    """`np.set_printoptions(threshold=np.nan)` printed whole arrays."""
    threshold = named.get("threshold")
    if isinstance(threshold, float) and np.isnan(threshold):
        return arguments, {**named, "threshold": sys.maxsize}, "(threshold=nan)", "sys.maxsize stands for it"
    return None


def _normed(arguments, named):
    if "normed" not in named:
        return None
    rest = {name: value for name, value in named.items() if name != "normed"}
    return arguments, {**rest, "density": bool(named["normed"])}, "(normed=)", "density= stands for it"


def _of_iterator(arguments, named):
    if arguments and isinstance(arguments[0], Iterator):
        return (list(arguments[0]), *arguments[1:]), named, " of an iterator", "its list stands for it"
    return None


def _copy(arguments, named):
    """`copy=False` was: only where it has to be. Since NumPy 2 it is: never."""
    if named.get("copy", True) is False and int(np.__version__.split(".")[0]) >= 2:
        return arguments, {**named, "copy": None}, "(copy=False)", "copy=None stands for it"
    return None
