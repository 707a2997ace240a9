"""What scripts of 2016 expect of NumPy, SciPy, Pillow, PyYAML and Python itself, and what stands for it.

`install` gives it to the modules in a script's own folders, and to no library: a library that asks whether
``np.float`` is there gets today's answer. Each name that is used is said once, with what stands for it. `uninstall`
takes all of it back.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from slimft.compat.patches import Patches
from slimft.errors import UsageError
from slimft.legacy.ages import (
    builtin_names,
    gyms,
    images,
    keras_imports,
    modules,
    numpy_names,
    plots,
    protobuf_files,
    scipy_names,
    standard_library,
    tensorboards,
    yaml_files,
)
from slimft.legacy.ages.script import Script

# What can be left out, by the name that --without takes.
KINDS = {
    "numpy": numpy_names,
    "python": standard_library,
    "builtins": builtin_names,
    "modules": modules,
    "scipy": scipy_names,
    "pillow": images,
    "yaml": yaml_files,
    "keras": keras_imports,
    "matplotlib": plots,
    "gym": gyms,
    "protobuf": protobuf_files,
    "tensorboard": tensorboards,
}

_patches = Patches()
_script: Script | None = None


def check(without: Collection[str]) -> None:
    """Raises UsageError if `without` names what is not there."""
    unknown = sorted(set(without) - {*KINDS, "all"})
    if unknown:
        raise UsageError(f"--without={unknown[0]}: there is no such part; there are {', '.join(KINDS)}, all")


def install(
    folders: Sequence[str], without: Collection[str] = (), allow_pickle: bool = False, python2: bool = False
) -> Script:
    """Gives the modules in `folders` what they expect, until `uninstall`.

    Args:
        folders: the script's own, with all below them.
        without: parts of `KINDS` that are left out, or ``all``.
        allow_pickle: whether np.load reads pickled arrays of files, which can run code.
        python2: whether the script is Python 2, which is converted.

    Returns:
        What knows which modules are the script's.

    Raises:
        UsageError: `without` names what is not there, or Python 2 needs fissix, which is missing.
    """
    global _script
    check(without)
    if python2:
        from slimft.legacy.ages import python2 as of_python_2

        of_python_2.source.check()
    uninstall()
    _script = Script(folders, _patches)
    _script.allow_pickle = allow_pickle
    for name, kind in KINDS.items():
        if name not in without and "all" not in without:
            kind.put_in(_script)
    if python2:
        of_python_2.put_in(_script)
    _script.start()
    return _script


def uninstall() -> None:
    """Undoes `install`, if there was one."""
    global _script
    if _script is not None:
        _script.stop()
        _script = None
    _patches.undo()
