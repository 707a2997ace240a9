"""Python 2 code, run as it is: ``bin/run_legacy --python2``.

Each of the script's files is converted in memory when it is imported. Three parts: `source` makes Python 3's
syntax of it, `tree` puts calls where the same syntax meant something else, and `values` and `text` are what is
called. What Python 2 had under names that are gone (xrange, cPickle, string.letters) is `slimft.legacy.ages`'s;
here are the builtins that are still there, and were different.
"""

from __future__ import annotations
import __future__

import ast
import builtins
import functools
import itertools
import os
import sys
import types
from typing import Any

from slimft.legacy.ages.python2 import source, text, values
from slimft.legacy.ages.python2.tree import PREFIX, Meanings
from slimft.legacy.ages.script import Script


def _map(function, *iterables):
    if function is None:
        return list(iterables[0]) if len(iterables) == 1 else list(itertools.zip_longest(*iterables))
    return [function(*each) for each in itertools.zip_longest(*iterables)]


def _filter(function, iterable):
    found = list(filter(function, iterable))
    if isinstance(iterable, str):
        return "".join(found)
    return tuple(found) if isinstance(iterable, tuple) else found


def _zip(*iterables):
    return list(zip(*iterables, strict=False))


def _range(*arguments):
    return list(range(*arguments))


def _apply(function, arguments=(), named=types.MappingProxyType({})):
    return function(*arguments, **named)


def _ord(letter):
    """`ord`, also of one of bytes' elements, which are numbers."""
    return letter if isinstance(letter, int) else ord(letter)


def _reduce(function, iterable, *initial):
    return functools.reduce(function, iterable, *initial)


# Builtins that are other than Python 3's, or that no table of `slimft.legacy.ages` has.
_BUILTINS = {
    "StandardError": Exception, "apply": _apply, "buffer": memoryview, "cmp": values.cmp, "file": text.opened,
    "filter": _filter, "intern": sys.intern, "map": _map, "max": values.extreme(max), "min": values.extreme(min),
    "open": text.opened, "ord": _ord, "print": text.printing, "range": _range, "reduce": _reduce,
    "round": values.rounded, "sorted": values.ordered, "zip": _zip,
}  # fmt: skip


class Python2:
    """How a script's files of Python 2 are read.

    Args:
        script: whose.
    """

    def __init__(self, script: Script):
        self._script = script
        self._python_3: set[str] = set()
        self._builtins = {**script.builtins, **{name: (value, "") for name, value in _BUILTINS.items()}}
        self._builtins["input"] = (self._asked, "")

    def builtins_of(self, path: str) -> dict[str, tuple[Any, str]]:
        """The builtins that a file gets, and what is said of them, as in `Script.builtins`."""
        return self._script.builtins if path in self._python_3 else self._builtins

    def _asked(self, prompt=""):
        caller = sys._getframe(1)
        code = self.code("eval", False, input(prompt), caller.f_globals)
        return eval(code, caller.f_globals, caller.f_locals)

    def parse(self, data: str | bytes, path: str, package: str, flags: int) -> ast.Module:
        """The tree of a file, as Python 3 has to run it.

        Args:
            data: what is in it.
            path: its name.
            package: the package that it is in; empty if none.
            flags: of `compile`: what was imported of ``__future__`` before.

        Raises:
            SyntaxError: it is neither Python 2 nor Python 3.
        """
        tree, is_python_2, notes = source.parse(data, path)
        if not is_python_2:
            line = f"{os.path.basename(path)} is Python 3, and is not converted"
            self._script.patches.say(f"python 3 {path}", line)
            self._python_3.add(path)
            return tree
        if not path.startswith("<"):
            line = "what is run is Python 2: converted in memory, as is what it imports of its own"
            self._script.patches.say("python 2", f"{os.path.basename(path)}: {line}")
        for number, note in notes:
            self._script.patches.say(f"{path} {number}", f"{os.path.basename(path)}, line {number}: {note}")
        divides = bool(flags & __future__.division.compiler_flag)
        return Meanings(tree, path, package, divides).visit(tree)

    def flags(self, tree_or_source: str, path: str) -> int:
        """The flag of true division, if a notebook's cell imports it: Python 3's compiler forgets it."""
        tree, _, _ = source.parse(tree_or_source, path)
        return __future__.division.compiler_flag if "division" in source.features(tree) else 0

    def code(self, name: str, divides: bool, given: Any, names: Any = None) -> Any:
        """What `exec` and `eval` run: text is converted, and gets the builtins that it uses in `names`."""
        if hasattr(given, "read"):
            given = given.read()
        if not isinstance(given, (str, bytes)):
            return given
        flags = __future__.division.compiler_flag if divides else 0
        if name == "eval":
            given = text.as_text(given).strip()
        where = sys._getframe(1).f_globals if names is None else names
        return self.compile(given, "<string>", where, flags, name)

    def compile(
        self, given: str | bytes, path: str, names: dict[str, Any], flags: int = 0, mode: str = "exec"
    ) -> types.CodeType:
        """The code of text that is run in a namespace which is not a module's.

        The builtins that it uses do not become names there, for whoever looks at these afterwards, unless it has
        the same names itself.
        """
        tree: Any = self.parse(given, path, "", flags)
        if mode == "eval":
            if len(tree.body) != 1 or not isinstance(tree.body[0], ast.Expr):
                raise SyntaxError("invalid syntax", (path, 1, None, text.as_text(given)))
            tree = ast.Expression(tree.body[0].value)
        for rewrite in self._script.rewrites:
            tree = rewrite(tree, path)
        tree = ast.fix_missing_locations(tree)
        found = self._script.names_of(compile(tree, path, mode, dont_inherit=True), names)
        own = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
        read = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
        own.update(node.id for node in read if not isinstance(node.ctx, ast.Load))
        for name, value in found.items():
            if name in own:
                names.setdefault(name, value)
                continue
            hidden = f"{PREFIX}{name.strip('_')}__"
            if not hasattr(builtins, hidden):
                self._script.patches.set(builtins, hidden, value)
            for node in read:
                if node.id == name:
                    node.id = hidden
        return compile(tree, path, mode, dont_inherit=True)


def put_in(script: Script) -> None:
    """Lets the script be Python 2."""
    python2 = script.python2 = Python2(script)
    helpers = {
        "add": text.add, "attribute": text.attribute, "class": values.own_class, "code": python2.code,
        "compare": values.compare, "divide": values.divide, "divide_in_place": values.divide_in_place,
        "format": text.formatted, "slice": slice, "text": text.text,
    }  # fmt: skip
    # Code that is made of text has globals of its own: it finds these among the builtins, which nobody else sees.
    for name, helper in helpers.items():
        script.patches.set(builtins, f"{PREFIX}{name}__", helper)
    text.put_in(script)
