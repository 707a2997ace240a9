"""Builtins of Python 2: they become globals of the script's modules that use them."""

from __future__ import annotations

import builtins
import functools
import importlib
import importlib.util
import os
import runpy
import sys
import types

from slimft.legacy.ages.script import Script


def _cmp(a, b):
    return (a > b) - (a < b)


def _reload(module):
    """`reload`; of sys it did nothing but bring back `setdefaultencoding`."""
    return module if module is sys else importlib.reload(module)


def _execfile(script):
    def execfile(filename, globals=None, locals=None):
        """Runs a file in the caller's namespace, or in the one that is given."""
        caller = sys._getframe(1)
        if globals is None:
            globals, locals = caller.f_globals, caller.f_locals
        with open(filename, "rb") as file:
            source = file.read()
        if script.python2 is not None:
            code = script.python2.compile(source, filename, globals)
        else:
            code = script.compile(source, filename)
            globals.update(script.names_of(code, globals))
        exec(code, globals, globals if locals is None else locals)

    return execfile


def _run_path(script):
    """`runpy.run_path`, by which one of the script's files runs another, as bin/run_legacy runs it."""
    run_path = runpy.run_path

    def run(path_name, init_globals=None, run_name=None):
        path = os.fspath(path_name)
        # A child of multiprocessing imports its parent's script by this.
        is_ours = script.is_calling() or run_name == "__mp_main__"
        if not (os.path.isfile(path) and path.endswith(".py") and is_ours and script.owns(path)):
            return run_path(path_name, init_globals, run_name)
        with open(path, "rb") as file:
            code = script.compile(file.read(), path)
        module = types.ModuleType(run_name or "<run_path>")
        names = vars(module)
        names.update(init_globals or {}, __file__=path, __builtins__=builtins)
        names.update(script.names_of(code, init_globals or {}))
        before, sys.argv[0] = (sys.modules.get(module.__name__), sys.argv[0]), path
        sys.modules[module.__name__] = module
        try:
            exec(code, names)
            return names.copy()
        finally:
            sys.modules[module.__name__], sys.argv[0] = before
            if before[0] is None:
                del sys.modules[module.__name__]

    return run


def _run_module(script):
    """`runpy.run_module`, also with the names that a module of the script's uses."""
    run_module = runpy.run_module

    def run(mod_name, init_globals=None, run_name=None, alter_sys=False):
        if script.is_calling() or run_name == "__mp_main__":
            spec = importlib.util.find_spec(mod_name)
            if spec is not None and spec.submodule_search_locations is not None:
                spec = importlib.util.find_spec(f"{mod_name}.__main__")
            if spec is not None and spec.origin and os.path.isfile(spec.origin) and script.owns(spec.origin):
                with open(spec.origin, "rb") as file:
                    code = script.compile(file.read(), spec.origin)
                init_globals = {**script.names_of(code, init_globals or {}), **(init_globals or {})}
        return run_module(mod_name, init_globals, run_name, alter_sys)

    return run


_NAMES = {
    "basestring": (str, "str stands for it"),
    "cmp": (_cmp, "a function stands for it"),
    "file": (open, "open stands for it"),
    "long": (int, "int stands for it"),
    "raw_input": (input, "input stands for it"),
    "reduce": (functools.reduce, "functools.reduce stands for it"),
    "reload": (_reload, "importlib.reload stands for it"),
    "unichr": (chr, "chr stands for it"),
    "unicode": (str, "str stands for it"),
    "xrange": (range, "range stands for it"),
}


def put_in(script: Script) -> None:
    """Gives the script these names."""
    script.builtins.update(_NAMES)
    script.builtins["execfile"] = (_execfile(script), "exec of the file's text stands for it")
    script.patches.set(runpy, "run_path", _run_path(script))
    script.patches.set(runpy, "run_module", _run_module(script))
