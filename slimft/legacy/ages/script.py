"""Which modules are a script's own, and what is done with what they import."""

from __future__ import annotations

import ast
import dis
import importlib
import importlib.machinery
import importlib.util
import os
import sys
import sysconfig
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from slimft.compat.patches import Patches
from slimft.imports import Given, spec_of

_LIBRARIES = tuple(
    os.path.realpath(path) + os.sep
    for path in {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
)
# Folders of installed packages wherever they are: a user's own, Debian's, another environment's.
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
# This package is no script, even where its checkout is the folder that the script runs in.
_OURS = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__)))) + os.sep


class _Loader(importlib.machinery.SourceFileLoader):
    """Runs a module of the script with what `Script.names_of` finds for it."""

    script: Script

    def get_code(self, fullname):
        """The module's code, of its source each time: what is compiled here is not for Python's cache."""
        path = self.get_filename(fullname)
        package = fullname if self.is_package(fullname) else fullname.rpartition(".")[0]
        return self.script.compile(self.get_data(path), path, package=package)

    def exec_module(self, module):
        code = self.get_code(module.__name__)
        vars(module).update(self.script.names_of(code))
        exec(code, vars(module))


class _After:
    """A loader that calls something when a library has been loaded."""

    def __init__(self, loader, call):
        self._loader, self._call = loader, call

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        self._loader.exec_module(module)
        self._call(module)

    def __getattr__(self, name):
        return getattr(self._loader, name)


class Script:
    """A script's modules, which are found by their files, and what stands for what they miss.

    Args:
        folders: the script's own.
        patches: where changes are noted, and what speaks.
    """

    def __init__(self, folders: Sequence[str], patches: Patches):
        self.patches = patches
        self.allow_pickle = False
        # What the globals of the script's modules get, by name: what it is, and what is said.
        self.builtins: dict[str, tuple[Any, str]] = {}
        # What a file's syntax tree, with its path, goes through before it is compiled, and the globals that it may
        # use then.
        self.rewrites: list[Callable[[ast.AST, str], ast.AST]] = []
        self.helpers: dict[str, Any] = {}
        # How files are read, where they are Python 2: `slimft.legacy.ages.python2`'s.
        self.python2: Any = None
        # What makes a module that is gone, by its name, and what is said.
        self.modules: dict[str, tuple[Callable[[], types.ModuleType], str]] = {}
        # What is called with a library when it has been loaded.
        self.later: dict[str, Callable[[types.ModuleType], None]] = {}
        given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        self._folders = tuple(_folder(folder) for folder in (*folders, *filter(None, given)))
        self._path_before = frozenset(sys.path)
        self._given = Given()

    def owns(self, path: str) -> bool:
        """Whether the file at `path` is the script's, and no library's.

        It is in one of the script's folders, or in one that PYTHONPATH names or the script has put into sys.path.
        """
        path = os.path.realpath(path)
        if path.startswith((*_LIBRARIES, _OURS)) or any(folder in path for folder in _INSTALLED):
            return False
        if path.startswith(self._folders):
            return True
        return any(path.startswith(_folder(added)) for added in sys.path if added not in self._path_before)

    def folders(self) -> list[str]:
        """Its folders, with those that it has put into sys.path."""
        return [*self._folders, *(added for added in sys.path if added not in self._path_before)]

    def is_calling(self) -> bool:
        """Whether the code that led here is the script's, and not a library's."""
        return self.place() is not None

    def place(self) -> str | None:
        """File and line of the script that led here; None if it is another's."""
        frame = sys._getframe(1)
        while frame is not None:
            path = frame.f_code.co_filename
            # Between are this package, the import system, and code that the script made of text.
            if not path.startswith("<") and not path.startswith(os.path.dirname(__file__) + os.sep):
                break
            frame = frame.f_back
        if frame is None or not self.owns(path):
            return None
        return f"{os.path.basename(path)}, line {frame.f_lineno}"

    def say(self, kind: str, name: str, line: str, place: str | None = None) -> None:
        """Says once that `name` is used, where (by default, where the script is), and what turns it off."""
        place = place or self.place()
        where = f" ({place})" if place else ""
        self.patches.say(name, f"{name}{where}: {line}; --without={kind} turns this off")

    def answer(self, module: types.ModuleType, shown: str, kind: str, table: Mapping[str, tuple[Any, str]]) -> None:
        """Lets `module` have further attributes, for the script alone.

        Args:
            module: which.
            shown: what it is called in what is said.
            kind: of `KINDS`.
            table: by name, the value or, of a function named ``made``, what makes it; and what is said.
        """
        old = vars(module).get("__getattr__")

        def get(name):
            if name in table and self.is_calling():
                value, line = table[name]
                self.say(kind, f"{shown}.{name}", line)
                return value() if getattr(value, "__name__", "") == "made" else value
            if old is not None:
                return old(name)
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")

        self.patches.set(module, "__getattr__", get)

    def compile(self, source: str | bytes, path: str, flags: int = 0, package: str = "") -> types.CodeType:
        """The code of one of the script's files, rewritten where that is needed; SyntaxError if it is none.

        Args:
            source: what is in the file.
            path: its name.
            flags: of Python's `compile`.
            package: the package that it is a module of; empty if none.
        """
        if self.python2 is not None:
            tree = self.python2.parse(source, path, package, flags)
        else:
            tree = ast.parse(source, path, type_comments=False)
        for rewrite in self.rewrites:
            tree = rewrite(tree, path)
        return compile(ast.fix_missing_locations(tree), path, "exec", flags, dont_inherit=True)

    def names_of(
        self, code: types.CodeType, there: Mapping[str, Any] = types.MappingProxyType({})
    ) -> dict[str, Any]:
        """The builtins of Python 2 that a module's code uses, but for names that are `there`."""
        table = self.builtins if self.python2 is None else self.python2.builtins_of(code.co_filename)
        used = (_names(code) & table.keys()) - there.keys()
        for name in sorted(name for name in used if table[name][1]):
            where = os.path.basename(code.co_filename)
            line = f"{name} ({where}): {table[name][1]}; --without=builtins turns this off"
            self.patches.say(name, line)
        return {**self.helpers, **{name: table[name][0] for name in used}}

    def start(self) -> None:
        """From now on, imports are looked at."""
        sys.meta_path.insert(0, self)
        for name, call in self.later.items():
            if name in sys.modules:
                call(sys.modules[name])

    def stop(self) -> None:
        """Imports are no longer looked at."""
        sys.meta_path.remove(self)
        self._given.take_back()

    def spec_of_file(self, name: str, path: str) -> importlib.machinery.ModuleSpec:
        """The spec by which the file at `path` is run as the module `name`; as the script's, if it is."""
        loader = None
        if self.owns(path):
            loader = _Loader(name, path)
            loader.script = self
        return importlib.util.spec_from_file_location(name, path, loader=loader)

    def find_spec(self, full_name, path=None, target=None):
        """The spec of a module that is the script's or is gone, or of a library that something is done with."""
        spec = importlib.machinery.PathFinder.find_spec(full_name, path)
        # What is there comes first, as a script's own commands.py; but SciPy's misc was emptied before it went.
        wanted = full_name in self.modules and (spec is None or full_name == "scipy.misc")
        if wanted and self.is_calling():
            make, line = self.modules[full_name]
            module = make()
            self.say("scipy" if full_name.startswith("scipy") else "modules", f"import {full_name}", line)
            self._given.note(full_name)
            return spec_of(full_name, module)
        if spec is None or spec.loader is None:
            return None
        if full_name in self.later:
            spec.loader = _After(spec.loader, self.later[full_name])
            return spec
        if type(spec.loader) is importlib.machinery.SourceFileLoader and self.owns(spec.origin):
            spec.loader = _Loader(full_name, spec.origin)
            spec.loader.script = self
            return spec
        return None


def _folder(path):
    return os.path.realpath(path).rstrip(os.sep) + os.sep


def _names(code):
    """The global names that code and the functions in it read, without those that it sets or imports itself.

    Attributes (np.add.reduce) are none of them.
    """
    read, written = _read_and_written(code, is_module=True)
    return read - written


def _read_and_written(code, is_module):
    read, written = set(), set()
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            read.add(instruction.argval)
        elif instruction.opname == "STORE_GLOBAL" or (instruction.opname == "STORE_NAME" and is_module):
            written.add(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            further = _read_and_written(constant, is_module=False)
            read |= further[0]
            written |= further[1]
    return read, written
