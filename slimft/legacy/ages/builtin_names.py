"""Builtins of Python 2: they become globals of the script's modules that use them."""

from __future__ import annotations

import functools
import importlib
import sys

from slimft.legacy.ages.script import Script


def _cmp(a, b):
    return (a > b) - (a < b)


def _execfile(filename, globals=None, locals=None):
    """Runs a file in the caller's namespace, or in the one that is given."""
    caller = sys._getframe(1)
    if globals is None:
        globals, locals = caller.f_globals, caller.f_locals
    with open(filename, "rb") as file:
        code = compile(file.read(), filename, "exec", dont_inherit=True)
    exec(code, globals, globals if locals is None else locals)


_NAMES = {
    "basestring": (str, "str stands for it"),
    "cmp": (_cmp, "a function stands for it"),
    "execfile": (_execfile, "exec of the file's text stands for it"),
    "file": (open, "open stands for it"),
    "long": (int, "int stands for it"),
    "raw_input": (input, "input stands for it"),
    "reduce": (functools.reduce, "functools.reduce stands for it"),
    "reload": (importlib.reload, "importlib.reload stands for it"),
    "unichr": (chr, "chr stands for it"),
    "unicode": (str, "str stands for it"),
    "xrange": (range, "range stands for it"),
}


def put_in(script: Script) -> None:
    """Gives the script these names."""
    script.builtins.update(_NAMES)
