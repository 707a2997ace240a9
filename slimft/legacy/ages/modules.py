"""Modules that have another name since Python 3, or are gone."""

from __future__ import annotations

import importlib
import io
import pickle
from typing import Any

from slimft.imports import module_of
from slimft.legacy.ages import gone_modules, library_calls
from slimft.legacy.ages.script import Script

# Python's own, also when the script's calls of pickle.load come here.
_load = pickle.load

_RENAMED = {
    "__builtin__": "builtins", "Cookie": "http.cookies", "HTMLParser": "html.parser", "Queue": "queue",
    "SocketServer": "socketserver", "Tkinter": "tkinter", "commands": "subprocess",
    "cookielib": "http.cookiejar", "copy_reg": "copyreg", "httplib": "http.client", "thread": "_thread",
    "xml.etree.cElementTree": "xml.etree.ElementTree",
    "tkMessageBox": "tkinter.messagebox", "urlparse": "urllib.parse", "sklearn.externals.joblib": "joblib",
    "sklearn.externals.six": "six", "sklearn.externals.six.moves": "six.moves",
    "sklearn.cross_validation": "sklearn.model_selection", "sklearn.grid_search": "sklearn.model_selection",
    "sklearn.learning_curve": "sklearn.model_selection", "sklearn.datasets.samples_generator": "sklearn.datasets",
    "sklearn.metrics.classification": "sklearn.metrics", "sklearn.metrics.ranking": "sklearn.metrics",
    "sklearn.manifold.t_sne": "sklearn.manifold", "sklearn.utils.testing": "sklearn.utils._testing",
    "sklearn.preprocessing.data": "sklearn.preprocessing", "sklearn.preprocessing.label": "sklearn.preprocessing",
    **{
        name: f"PIL.{name}"
        for name in ("Image", "ImageChops", "ImageDraw", "ImageEnhance", "ImageFilter", "ImageFont", "ImageOps")
    },
}  # fmt: skip


def put_in(script: Script) -> None:
    """Gives the script these modules."""
    for old, new in _RENAMED.items():
        script.modules[old] = (_importer(new), f"{new} stands for it")
    script.modules["ConfigParser"] = (_config_parser, "configparser stands for it")
    script.modules["cPickle"] = (lambda: _pickle(script), "pickle stands for it")
    for name in ("StringIO", "cStringIO"):
        script.modules[name] = (_string_io, "io stands for it")
    script.modules["urllib2"] = (_urllib2, "urllib.request and urllib.error stand for it")
    gone_modules.put_in(script)


def _importer(name):
    return lambda: importlib.import_module(name)


def _config_parser():
    """configparser, also with the SafeConfigParser and `readfp` that it had until Python 3.12."""
    import configparser

    class SafeConfigParser(configparser.ConfigParser):
        readfp = library_calls.readfp

    class RawConfigParser(configparser.RawConfigParser):
        readfp = library_calls.readfp

    names = {name: value for name, value in vars(configparser).items() if name[0] != "_"}
    return module_of(
        "ConfigParser",
        **{
            **names,
            "ConfigParser": SafeConfigParser,
            "SafeConfigParser": SafeConfigParser,
            "RawConfigParser": RawConfigParser,
        },
    )


def _string_io():
    return module_of("StringIO", StringIO=_StringIO)


class _StringIO:
    """Python 2's StringIO, which took text and bytes: what is in it first, or is written first, says which.

    Images are written to one (``image.save(file, format="png")``) as text is.
    """

    def __init__(self, initial=None):
        self._file = None
        if initial is not None and len(initial):
            self._open(initial)
            self._file.seek(0)

    def _open(self, data):
        self._file = io.StringIO() if isinstance(data, str) else io.BytesIO()
        self._file.write(data)

    def write(self, data):
        """Writes text or bytes; returns how much."""
        if self._file is not None:
            return self._file.write(data)
        if len(data):
            self._open(data)
        return len(data)

    def getvalue(self):
        """All that is in it; an empty str while nothing is."""
        return "" if self._file is None else self._file.getvalue()

    def __getattr__(self, name):
        # Nothing is in it yet: an empty file of text answers, which moves no position.
        return getattr(io.StringIO() if self._file is None else self._file, name)

    def __iter__(self):
        return iter(() if self._file is None else self._file)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _urllib2():
    names = {}
    for module in ("urllib.request", "urllib.error", "urllib.parse"):
        names.update(
            {name: value for name, value in vars(importlib.import_module(module)).items() if name[0] != "_"}
        )
    return module_of("urllib2", **names)


def _pickle(script):
    names = {name: getattr(pickle, name) for name in pickle.__all__}
    return module_of("cPickle", **{**names, **pickle_of_python_2(script)})


def pickle_of_python_2(script: Script) -> dict[str, Any]:
    """`load` and `loads` that read Python 2's files: text in them is taken as Latin-1, as NumPy's arrays need it.

    A file that was opened as text is read as the bytes that it has.
    """

    def load(whole, **named):
        # Without `whole`, which was perhaps opened for this call, the file would be closed.
        file = whole.buffer if isinstance(whole, io.TextIOBase) and hasattr(whole, "buffer") else whole
        begin = file.tell() if file.seekable() else None
        try:
            return _load(file, **named)
        except UnicodeDecodeError:
            if begin is None or "encoding" in named:
                raise
            file.seek(begin)
            script.say("modules", "cPickle.load of Python 2's file", "its text is taken as Latin-1")
            return _load(file, encoding="latin1", **named)

    def loads(data, **named):
        return load(io.BytesIO(data.encode("latin-1") if isinstance(data, str) else data), **named)

    return {"load": load, "loads": loads}
