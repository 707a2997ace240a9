"""Modules of Python's own that left with Python 3.9 to 3.13, as far as scripts use them.

Which: "What's New in Python" 3.9, 3.12 and 3.13 (docs.python.org/3/whatsnew), and what these modules had in 3.8.
"""

from __future__ import annotations

import functools
import html
import importlib
import importlib.machinery
import importlib.util
import os
import re
import shlex
import shutil
import sys
import types
import urllib.parse

from slimft.imports import module_of
from slimft.legacy.ages.script import Script

_YES, _NO = ("y", "yes", "t", "true", "on", "1"), ("n", "no", "f", "false", "off", "0")
# How files of images begin, by what imghdr calls them.
_IMAGES = (
    ("png", rb"\x89PNG\r\n\x1a\n"), ("jpeg", rb".{6}(JFIF|Exif)|\xff\xd8\xff\xdb"), ("gif", b"GIF8[79]a"),
    ("tiff", b"MM|II"), ("rgb", rb"\x01\xda"), ("pbm", rb"P[14]\s"), ("pgm", rb"P[25]\s"), ("ppm", rb"P[36]\s"),
    ("rast", rb"\x59\xa6\x6a\x95"), ("xbm", rb"#define "), ("bmp", b"BM"), ("webp", b"RIFF.{4}WEBP"),
    ("exr", rb"\x76\x2f\x31\x01"),
)  # fmt: skip


def put_in(script: Script) -> None:
    """Gives the script these modules, where they are gone."""
    for name, make, line in (
        ("cgi", _cgi, "gone since Python 3.13, html.escape and urllib.parse stand for it"),
        ("distutils", _distutils, "gone since Python 3.12, setuptools' or what scripts use of it stands for it"),
        ("imghdr", _imghdr, "gone since Python 3.13, a function stands for it"),
        ("imp", lambda: _imp(script), "gone since Python 3.12, importlib stands for it"),
        ("pipes", lambda: module_of("pipes", quote=shlex.quote), "gone since Python 3.13, shlex stands for it"),
    ):
        script.modules[name] = (make, line)
    for name, make in _DISTUTILS.items():
        line = f"gone since Python 3.12, what scripts use of distutils.{name} stands for it"
        script.modules[f"distutils.{name}"] = (make, line)
    # html and urllib.parse have these since Python 3.2; cgi lost them in 3.8.
    script.later["cgi"] = functools.partial(_cgi_of_then, script)
    # Python's own does not read a file as one of the script's.
    script.later["imp"] = lambda module: script.patches.set(
        module, "load_source", _load_source(script, module.load_source)
    )


def _escape(text, quote=False):
    return html.escape(text, quote=False).replace('"', "&quot;" if quote else '"')


_CGI = {
    "escape": (_escape, "html.escape"),
    "parse_qs": (urllib.parse.parse_qs, "urllib.parse.parse_qs"),
    "parse_qsl": (urllib.parse.parse_qsl, "urllib.parse.parse_qsl"),
}


def _cgi():
    return module_of("cgi", **{name: value for name, (value, _) in _CGI.items()})


def _cgi_of_then(script, module):
    table = {name: (value, f"{where} stands for it") for name, (value, where) in _CGI.items()}
    script.answer(module, "cgi", "modules", table)


def _imghdr():
    def what(file, h=None):
        """The kind of an image by its first bytes; None if it is none that is known."""
        if h is None:
            if hasattr(file, "read"):
                at = file.tell()
                h = file.read(32)
                file.seek(at)
            else:
                with open(file, "rb") as opened:
                    h = opened.read(32)
        return next((kind for kind, begin in _IMAGES if re.match(begin, h, re.DOTALL)), None)

    return module_of("imghdr", what=what)


def _load_source(script, function=None):
    """`imp.load_source`, which runs a file of the script's as its imports are run."""

    def load_source(name, pathname, file=None):
        if function is not None and not script.owns(pathname):
            return function(name, pathname, file)
        spec = script.spec_of_file(name, pathname)
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except BaseException:
            sys.modules.pop(name, None)
            raise
        return sys.modules[name]

    return load_source


_PY_SOURCE, _C_EXTENSION, _PKG_DIRECTORY, _C_BUILTIN = 1, 3, 5, 6


def _imp(script):
    load_source = _load_source(script)

    def find_module(name, path=None):
        if path is None and name in sys.builtin_module_names:
            return None, None, ("", "", _C_BUILTIN)
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is None or not spec.has_location and not spec.submodule_search_locations:
            raise ImportError(f"No module named {name!r}")
        if spec.submodule_search_locations:
            return None, list(spec.submodule_search_locations)[0], ("", "", _PKG_DIRECTORY)
        if spec.origin.endswith(tuple(importlib.machinery.EXTENSION_SUFFIXES)):
            return open(spec.origin, "rb"), spec.origin, (".so", "rb", _C_EXTENSION)
        return open(spec.origin, encoding="utf-8"), spec.origin, (".py", "r", _PY_SOURCE)

    def load_module(name, file, filename, details):
        kind = details[2]
        if kind == _PY_SOURCE:
            return load_source(name, filename)
        if kind == _C_BUILTIN:
            return importlib.import_module(name)
        if kind == _PKG_DIRECTORY:
            return load_source(name, os.path.join(filename, "__init__.py"))
        if kind == _C_EXTENSION:
            return load_dynamic(name, filename)
        raise ImportError(f"imp.load_module: modules of kind {kind} cannot be loaded ({name})")

    def load_dynamic(name, path, file=None):
        spec = importlib.util.spec_from_file_location(name, path)
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def get_suffixes():
        return [(".py", "r", _PY_SOURCE), *((end, "rb", _C_EXTENSION)
                for end in importlib.machinery.EXTENSION_SUFFIXES)]  # fmt: skip

    return module_of(
        "imp", load_source=load_source, load_module=load_module, load_dynamic=load_dynamic, find_module=find_module,
        new_module=types.ModuleType, reload=importlib.reload, get_suffixes=get_suffixes,
        acquire_lock=lambda: None, release_lock=lambda: None, lock_held=lambda: False,
        cache_from_source=importlib.util.cache_from_source, PY_SOURCE=_PY_SOURCE, PY_COMPILED=2,
        C_EXTENSION=_C_EXTENSION, PKG_DIRECTORY=_PKG_DIRECTORY, C_BUILTIN=_C_BUILTIN, PY_FROZEN=7,
    )  # fmt: skip


@functools.total_ordering
class LooseVersion:
    """`distutils.version.LooseVersion`: numbers and words of a version, compared one by one.

    Raises:
        TypeError: on comparison, if a number meets a word, as in Python 3.
    """

    def __init__(self, vstring=None):
        if vstring:
            self.parse(vstring)

    def parse(self, vstring):
        """Reads a version such as ``1.2.3rc1``."""
        self.vstring = vstring
        parts = re.findall(r"\d+|[a-z]+|[^\d.a-z]+", vstring)
        self.version = [int(part) if part.isdigit() else part for part in parts]

    def _other(self, other):
        return type(self)(other).version if isinstance(other, str) else getattr(other, "version", None)

    def __eq__(self, other):
        found = self._other(other)
        return NotImplemented if found is None else self.version == found

    def __lt__(self, other):
        found = self._other(other)
        return NotImplemented if found is None else self.version < found

    __hash__ = None

    def __str__(self):
        return self.vstring

    def __repr__(self):
        return f"{type(self).__name__} ('{self}')"


class StrictVersion(LooseVersion):
    """`distutils.version.StrictVersion`: two or three numbers, and perhaps a or b with a number.

    Raises:
        ValueError: the version is something else.
    """

    def parse(self, vstring):
        found = re.fullmatch(r"(\d+)\.(\d+)(?:\.(\d+))?(?:([ab])(\d+))?", vstring, re.ASCII)
        if not found:
            raise ValueError(f"invalid version number {vstring!r}")
        self.vstring = vstring
        major, minor, patch, letter, number = found.groups()
        # "c" is after all that comes before a release.
        self.version = [(int(major), int(minor), int(patch or 0)), (letter or "c", int(number or 0))]
        self.prerelease = (letter, int(number)) if letter else None


def _strtobool(val):
    if val.lower() in _YES:
        return 1
    if val.lower() in _NO:
        return 0
    raise ValueError(f"invalid truth value {val!r}")


def _mkpath(name, mode=0o777, *_, **__):
    made = [] if os.path.isdir(name) else [name]
    os.makedirs(name, mode, exist_ok=True)
    return made


def _copy_tree(src, dst, *_, **__):
    if not os.path.isdir(src):
        raise NotADirectoryError(f"cannot copy tree {src!r}: not a directory")
    shutil.copytree(src, dst, dirs_exist_ok=True)
    return [os.path.join(dst, os.path.relpath(os.path.join(folder, name), src))
            for folder, _, names in os.walk(src) for name in names]  # fmt: skip


def _copy_file(src, dst, *_, **__):
    return shutil.copy2(src, dst), 1


_DISTUTILS = {
    "dir_util": lambda: module_of(
        "distutils.dir_util", copy_tree=_copy_tree, mkpath=_mkpath,
        remove_tree=lambda directory, *_, **__: shutil.rmtree(directory),
    ),
    "file_util": lambda: module_of("distutils.file_util", copy_file=_copy_file),
    "spawn": lambda: module_of(
        "distutils.spawn", find_executable=lambda executable, path=None: shutil.which(executable, path=path)
    ),
    "util": lambda: module_of("distutils.util", strtobool=_strtobool),
    "version": lambda: module_of(
        "distutils.version", LooseVersion=LooseVersion, StrictVersion=StrictVersion, Version=LooseVersion
    ),
}  # fmt: skip


def _distutils():
    """setuptools' copy, where it is installed; else what scripts use beside building packages."""
    if importlib.util.find_spec("setuptools") is not None:
        importlib.import_module("setuptools")
        if "distutils" in sys.modules:
            return sys.modules["distutils"]
    return module_of("distutils", __path__=[], __version__=".".join(map(str, sys.version_info[:3])))
