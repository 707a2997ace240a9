"""Imports: of what others import and nobody may use, left out until it is; and of modules under other names."""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Iterator
from typing import Any

_UNSET = object()


@contextlib.contextmanager
def left_out(name: str) -> Iterator[None]:
    """Lets ``import name`` raise ImportError for the length of the block, unless it has been imported before.

    For packages that are imported where they can be, at a price, by one that does without them. What only looks for
    the package finds it.
    """
    finder = _LeftOut(name)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _LeftOut(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, name: str):
        self._name = name

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        spec = importlib.machinery.PathFinder.find_spec(fullname, path) if fullname == self._name else None
        if spec is not None:
            spec.loader = self
        return spec

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        raise ImportError(f"{self._name} is left out until it is used")

    def exec_module(self, module: Any) -> None:
        """Of the protocol; `create_module` comes first."""


def spec_of(full_name: str, module: types.ModuleType) -> importlib.machinery.ModuleSpec:
    """The spec by which ``import full_name`` gives `module`, which exists and may have another name."""
    return importlib.machinery.ModuleSpec(full_name, _There(module), is_package=hasattr(module, "__path__"))


def module_of(name: str, **names: Any) -> types.ModuleType:
    """A module of that name with these names in it."""
    module = types.ModuleType(name)
    vars(module).update(names)
    return module


class _There(importlib.abc.Loader):
    def __init__(self, module: types.ModuleType):
        self._module = module

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        """None: Python makes a module, whose place is then taken."""

    def exec_module(self, module: types.ModuleType) -> None:
        """Puts the module that exists where the import system looks for what was imported."""
        sys.modules[module.__name__] = self._module


class Given:
    """Modules that imports were given under names of others, so that they can be taken back."""

    def __init__(self) -> None:
        self._before: dict[str, Any] = {}

    def note(self, full_name: str) -> None:
        """Notes a module before Python puts it into sys.modules and makes it an attribute of its package."""
        package, _, name = full_name.rpartition(".")
        self._before.setdefault(full_name, _names_in(package).get(name, _UNSET))

    def take_back(self) -> None:
        """Leaves sys.modules without these, and their packages as they were."""
        while self._before:
            full_name, before = self._before.popitem()
            sys.modules.pop(full_name, None)
            package, _, name = full_name.rpartition(".")
            names = _names_in(package)
            if before is _UNSET:
                names.pop(name, None)
            else:
                names[name] = before


def _names_in(package: str) -> dict[str, Any]:
    """The names that a loaded package has now; some packages make more of them when they are asked by `vars`."""
    return object.__getattribute__(sys.modules[package], "__dict__") if package in sys.modules else {}


class Deferred:
    """Stands for a module, which is imported when an attribute of it is asked for.

    Args:
        name: the module's full name.
    """

    def __init__(self, name: str):
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self._name), attribute)
