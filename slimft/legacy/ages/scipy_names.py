"""What SciPy had until 1.3 to 1.14: scipy.misc above all, which needs no SciPy here but for its mathematics."""

from __future__ import annotations

import importlib
import importlib.util
import types

import numpy as np

from slimft.legacy.ages.script import Script

_WINDOWS = (
    "barthann", "bartlett", "blackman", "blackmanharris", "bohman", "boxcar", "chebwin", "cosine",
    "exponential", "flattop", "gaussian", "general_gaussian", "hamming", "hann", "kaiser", "nuttall", "parzen",
    "triang", "tukey",
)  # fmt: skip


def put_in(script: Script) -> None:
    """Gives the script these names."""
    script.modules["scipy.misc"] = (_misc, "gone since SciPy 1.12, functions on Pillow stand for it")
    script.modules["scipy.misc.pilutil"] = script.modules["scipy.misc"]
    if importlib.util.find_spec("scipy") is None:
        script.modules["scipy"] = (_without_scipy, "SciPy is not installed, only scipy.misc is there")
        return

    def root(module):
        script.answer(module, "scipy", "scipy", {
            "interp": (np.interp, "np.interp stands for it"),
            "misc": (_made_misc, "gone since SciPy 1.12, functions on Pillow stand for it"),
        })  # fmt: skip

    def signal(module):
        windows = module.windows
        script.answer(module, "scipy.signal", "scipy", {
            name: (getattr(windows, name), f"scipy.signal.windows.{name} stands for it")
            for name in _WINDOWS if hasattr(windows, name)
        } | {"hanning": (windows.hann, "scipy.signal.windows.hann stands for it")})  # fmt: skip

    def ndimage(module):
        from slimft.legacy.ages import scipy_misc

        table = {"imread": (scipy_misc.imread, "gone since SciPy 1.2, a function on Pillow stands for it")}
        script.answer(module, "scipy.ndimage", "scipy", table)

    script.later.update({"scipy": root, "scipy.signal": signal, "scipy.ndimage": ndimage})


def _misc():
    return importlib.import_module("slimft.legacy.ages.scipy_misc")


def _made_misc():
    return _misc()


_made_misc.__name__ = "made"


def _without_scipy():
    module = types.ModuleType("scipy")
    module.__path__ = []
    return module
