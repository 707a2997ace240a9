"""What SciPy had until 1.3 to 1.17: scipy.misc above all, which needs no SciPy here but for its mathematics."""

from __future__ import annotations

import functools
import importlib
import importlib.util

import numpy as np

from slimft.imports import module_of
from slimft.legacy.ages.script import Script

_WINDOWS = (
    "barthann", "bartlett", "blackman", "blackmanharris", "bohman", "boxcar", "chebwin", "cosine",
    "exponential", "flattop", "gaussian", "general_gaussian", "hamming", "hann", "kaiser", "nuttall", "parzen",
    "triang", "tukey",
)  # fmt: skip


# Functions of other names today, by their modules.
_RENAMED = {
    "scipy.integrate": {"cumtrapz": "cumulative_trapezoid", "simps": "simpson", "trapz": "trapezoid"},
    "scipy.linalg": {"pinv2": "pinv"},
}
# Modules below scipy.sparse.linalg, whose functions are in it itself.
_SOLVERS = ("arpack", "arpack.arpack", "lobpcg", "lobpcg.lobpcg")


def put_in(script: Script) -> None:
    """Gives the script these names."""
    script.modules["scipy.misc"] = (_misc, "gone since SciPy 1.12, functions on Pillow stand for it")
    script.modules["scipy.misc.pilutil"] = script.modules["scipy.misc"]
    if importlib.util.find_spec("scipy") is None:
        script.modules["scipy"] = (_without_scipy, "SciPy is not installed, only scipy.misc is there")
        return

    def root(module):
        # SciPy before 1.4 had NumPy's functions as well.
        numpys = {name: (getattr(np, name), f"np.{name} stands for it") for name in np.__all__}
        script.answer(module, "scipy", "scipy", numpys | {
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

    def solvers(module):
        eigen = getattr(module, "eigen", None)
        if eigen is not None and not hasattr(eigen, "__path__"):  # It was a package.
            script.patches.set(eigen, "__path__", [])

    for name in _SOLVERS:
        script.modules[f"scipy.sparse.linalg.eigen.{name}"] = (_solvers, "scipy.sparse.linalg stands for it")
    script.later.update(
        {"scipy": root, "scipy.signal": signal, "scipy.ndimage": ndimage, "scipy.sparse.linalg": solvers}
    )
    for module, renamed in _RENAMED.items():
        script.later[module] = functools.partial(_rename, script, renamed)


def _rename(script, renamed, module):
    """Lets a module of SciPy answer to the old names of its functions."""
    table = {
        old: (getattr(module, new), f"{module.__name__}.{new} stands for it")
        for old, new in renamed.items()
        if hasattr(module, new)
    }
    script.answer(module, module.__name__, "scipy", table)


def _solvers():
    return importlib.import_module("scipy.sparse.linalg")


def _misc():
    return importlib.import_module("slimft.legacy.ages.scipy_misc")


def _made_misc():
    return _misc()


_made_misc.__name__ = "made"


def _without_scipy():
    return module_of("scipy", __path__=[])
