"""Jupyter notebooks, whose cells are run from top to bottom as a script is.

Which parts a file has: the notebook format's description, nbformat 3 and 4 (nbformat.readthedocs.io).
"""

from __future__ import annotations
import __future__

import json
import linecache
import os
import re
import sys
import types
from typing import NamedTuple

from slimft.errors import UsageError
from slimft.legacy.ages.script import Script

_MOST_BYTES = 64 << 20
# These say how a cell or line is run, and leave it Python.
_STILL_PYTHON = ("%%time", "%%timeit", "%%capture", "%%prun")
# A magic or command, or what is assigned from one; or a question (`np.load?`).
_MAGIC = re.compile(r"(?P<indent>\s*)(?:[\w.,\s\[\]]+=\s*)?(?P<magic>%%?\w+|!+|\?+(?=\w))")
_QUESTION = re.compile(r"(?P<indent>\s*)[\w.]+(?P<magic>\?\??)\s*$")
_FUTURES = sum({getattr(__future__, name).compiler_flag for name in __future__.all_feature_names})


class Cell(NamedTuple):
    """A cell of code.

    Attributes:
        number: which of the notebook's cells of code, from 1.
        source: its text.
    """

    number: int
    source: str


def read(path: str) -> list[Cell]:
    """The cells of code of the notebook at `path`.

    Raises:
        UsageError: it is larger than 64 MiB, no notebook of nbformat 3 or 4, or not of Python.
    """
    if os.path.getsize(path) > _MOST_BYTES:
        raise UsageError(f"{path} has {os.path.getsize(path) >> 20} MiB; a notebook may have {_MOST_BYTES >> 20}")
    try:
        with open(path, encoding="utf-8") as file:
            notebook = json.load(file)
        version = notebook["nbformat"]
        language = notebook.get("metadata", {}).get("kernelspec", {}).get("language", "python")
        if version not in (3, 4):
            raise UsageError(f"{path} is of nbformat {version}; 3 and 4 can be run")
        if language.lower() not in ("python", "python2", "python3"):
            raise UsageError(f"{path} is a notebook of {language}, not of Python")
        sheets = [notebook] if version == 4 else notebook["worksheets"]
        found = [cell for sheet in sheets for cell in sheet["cells"] if cell["cell_type"] == "code"]
        sources = ["".join(cell["source" if version == 4 else "input"]) for cell in found]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(f"{path} is no notebook ({type(error).__name__}: {error})") from error
    return [Cell(number, source) for number, source in enumerate(sources, 1)]


def run(path: str, cells: list[Cell], script: Script) -> None:
    """Runs `cells` in one namespace, which is `__main__`'s.

    Magics (``%matplotlib inline``) and commands (``!ls``) are skipped, and each kind is said once; the statement of
    ``%time`` is run. Plots are not shown: matplotlib draws with Agg, unless MPLBACKEND says otherwise. A traceback
    names the cell and the line in it.

    Args:
        path: the notebook, for what is said.
        cells: of `read`.
        script: of `slimft.legacy.ages.install`.

    Raises:
        Exception: whatever a cell raises; the cells after it are not run.
    """
    os.environ.setdefault("MPLBACKEND", "Agg")
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    names = vars(main)
    names["display"] = print
    flags = 0
    for cell in cells:
        file = f"{path}, cell {cell.number}"
        source = _python(cell, file, flags, script)
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
        code = script.compile(source, file, flags)
        # What one cell imports of __future__ is so in the next, as in Jupyter.
        flags |= code.co_flags & _FUTURES
        if script.python2 is not None:
            flags |= script.python2.flags(source, file)
        names.update(script.names_of(code, names))
        exec(code, names)


def _python(cell, file, flags, script):
    """The cell's source with a `pass` for each magic. Only lines that are wrong as Python are looked at."""
    lines = cell.source.split("\n")
    first = next((at for at, line in enumerate(lines) if line.strip()), 0)
    if lines[first].startswith("%%"):
        magic = lines[first].split()[0]
        _say(script, magic, cell, first + 1)
        if magic not in _STILL_PYTHON:
            return ""
        lines[first] = ""
    while True:
        try:
            if script.python2 is not None:
                script.compile("\n".join(lines), file, flags)
            else:
                compile("\n".join(lines), file, "exec", flags, dont_inherit=True)
        except (SyntaxError, ValueError) as error:
            at = (getattr(error, "lineno", None) or 0) - 1
            found = at in range(len(lines)) and (_MAGIC.match(lines[at]) or _QUESTION.match(lines[at]))
            if found:
                _skip(lines, at, found, cell, script)
                continue
        return "\n".join(lines)


def _skip(lines, at, found, cell, script):
    """Puts a `pass` for the magic in line `at`, with the lines that a backslash joins to it."""
    magic, line = found["magic"], lines[at]
    if magic == "%time":
        lines[at] = line.replace("%time", "", 1).replace(found["indent"] + " ", found["indent"], 1)
        return
    _say(script, magic, cell, at + 1)
    while lines[at].endswith("\\") and at + 1 < len(lines):
        lines[at], at = "", at + 1
    lines[at] = f"{found['indent']}pass"


def _say(script, magic, cell, line):
    kind = "!" if magic.startswith("!") else magic
    shown = "!command" if kind == "!" else kind
    script.patches.say(kind, f"{shown} (cell {cell.number}, line {line}) is Jupyter's, and is skipped")
