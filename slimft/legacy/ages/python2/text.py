"""Text and bytes, which were one in Python 2: where they meet, bytes are taken as UTF-8 text.

What is no UTF-8 survives: files and bytes are read and written with Python's surrogateescape.
"""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import pickle
import re
import sys
from collections.abc import Callable
from typing import Any

from slimft.legacy.ages.python2.values import ATTRIBUTES, translate
from slimft.legacy.ages.script import Script

# Methods of bytes that are called with text: they answer as those of text.
TEXT_METHODS = frozenset(
    ("capitalize", "center", "count", "decode", "encode", "endswith", "find", "format", "index", "join", "ljust")
    + ("lower", "lstrip", "partition", "replace", "rfind", "rindex", "rjust", "rpartition", "rsplit", "rstrip")
    + ("split", "splitlines", "startswith", "strip", "title", "translate", "upper", "zfill")
)
_BYTES_TOO = ("count", "endswith", "find", "index", "join", "partition", "replace", "startswith", "translate")
# Codecs of bytes that str.encode and str.decode knew.
_OF_BYTES = {
    "hex": "hex_codec", "hex_codec": "hex_codec", "base64": "base64_codec", "base64_codec": "base64_codec",
    "zip": "zlib_codec", "zlib": "zlib_codec", "bz2": "bz2_codec", "quopri": "quopri_codec", "uu": "uu_codec",
}  # fmt: skip


def as_text(value: Any) -> Any:
    """Bytes as text; all else as it is."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


def _as_bytes(value):
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value


def _bytes_of(text):
    """The bytes that text stands for: of "\\xff", one."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return _as_bytes(text)


def attribute(value: Any, name: str) -> Any:
    """The attribute `name` of any object, as Python 2 has it."""
    found = ATTRIBUTES.get(name)
    if found is not None:
        return found(value)
    if type(value) is str:
        if name == "encode":
            return lambda encoding="ascii", errors="strict": _encode(value, encoding, errors)
        if name == "decode":
            return lambda encoding="ascii", errors="strict": _decode(value, encoding, errors)
        if name == "translate":
            return lambda table, delete="": translate(value, table, delete)
        if name == "join":
            return lambda parts: value.join([as_text(part) for part in parts])
        method = getattr(value, name)
        return lambda *arguments, **named: method(*map(_text_or_texts, arguments), **named)
    if type(value) is bytes and name == "decode":
        return lambda encoding="ascii", errors="strict": _decode_bytes(value, encoding, errors)
    if type(value) is bytes and name == "encode":
        return lambda encoding="ascii", errors="strict": _encode(as_text(value), encoding, errors)
    if type(value) is bytes:
        return _method_of_bytes(value, name)
    return getattr(value, name)


def _text_or_texts(value):
    return tuple(map(as_text, value)) if type(value) is tuple else as_text(value)


def _method_of_bytes(value, name):
    def method(*arguments, **named):
        if name in _BYTES_TOO and arguments and isinstance(arguments[0], (bytes, tuple)):
            if all(not isinstance(part, str) for part in (*arguments, *_parts(arguments[0]))):
                return getattr(value, name)(*arguments, **named)
        if arguments and isinstance(arguments[0], bytes):
            return getattr(value, name)(*arguments, **named)
        return attribute(as_text(value), name)(*arguments, **named)

    return method


def _parts(value):
    return value if isinstance(value, tuple) else ()


def _encode(text, encoding, errors):
    name = encoding.lower().replace("-", "_")
    if name in _OF_BYTES:
        found = codecs.encode(_bytes_of(text), _OF_BYTES[name])
        return found.decode() if name.startswith(("hex", "base")) else found
    if name in ("rot13", "rot_13"):
        return codecs.encode(text, "rot13")
    if name in ("string_escape", "unicode_escape"):
        return text.encode("unicode_escape").decode()
    return text.encode(encoding, "surrogateescape" if errors == "strict" else errors)


def _decode(text, encoding, errors):
    """Text that is decoded is text already, but for what escapes and codecs of bytes make of it."""
    name = encoding.lower().replace("-", "_")
    if name in _OF_BYTES:
        found = codecs.decode(_bytes_of(text), _OF_BYTES[name])
        try:
            return found.decode("ascii")
        except UnicodeDecodeError:
            return found
    if name in ("rot13", "rot_13"):
        return codecs.decode(text, "rot13")
    if name in ("string_escape", "unicode_escape"):
        return text.encode("latin-1", "backslashreplace").decode("unicode_escape")
    return text if _is_whole(text) else _as_bytes(text).decode(encoding, errors)


def _is_whole(text):
    """Whether no byte of it stands for itself, as what is no UTF-8 does."""
    return not any("\udc80" <= letter <= "\udcff" for letter in text)


def _decode_bytes(data, encoding, errors):
    name = encoding.lower().replace("-", "_")
    if name in _OF_BYTES:
        return codecs.decode(data, _OF_BYTES[name])
    return data.decode(encoding, errors)


def text(name: str, kind: Any, value: Any, *arguments: Any, **named: Any) -> Any:
    """``str(value)`` and ``unicode(value, encoding)``; `kind` is what stands under the name."""
    if kind is not str:
        return kind(value, *arguments, **named)
    if name == "unicode" and hasattr(type(value), "__unicode__"):
        return value.__unicode__()
    if isinstance(value, bytes):
        return value.decode(*arguments, **named) if arguments or named else as_text(value)
    if isinstance(value, str) and (arguments or named):
        return value
    return str(value, *arguments, **named)


def formatted(pattern: str, values: Any) -> str:
    """``pattern % values``."""
    if type(values) is tuple:
        values = tuple(map(as_text, values))
    elif isinstance(values, bytes):
        values = as_text(values)
    elif isinstance(values, dict) and any(isinstance(value, bytes) for value in values.values()):
        values = {key: as_text(value) for key, value in values.items()}
    try:
        return pattern % values
    except TypeError:
        # %x and %o took floats, as %d does.
        whole = values if type(values) is tuple else (values,)
        if not any(isinstance(value, float) for value in whole):
            raise
        return pattern % tuple(int(value) if isinstance(value, float) else value for value in whole)


def add(a: Any, b: Any) -> Any:
    """``a + b``, of which one is written as text."""
    return (as_text(a) + b) if isinstance(a, bytes) else (a + as_text(b))


class _TextFile(io.TextIOWrapper):
    """A file of text, which bytes are written to as they are."""

    def write(self, data):
        """Writes text or bytes."""
        if isinstance(data, str):
            return super().write(data)
        self.flush()
        return self.buffer.write(data)

    def writelines(self, lines):
        """Writes texts or bytes."""
        for line in lines:
            self.write(line)

    def __next__(self):
        # Not TextIOWrapper's, which takes `tell` away.
        line = self.readline()
        if not line:
            raise StopIteration
        return line

    def xreadlines(self):
        """Itself."""
        return self


class _BinaryFile(io.FileIO):
    """A file that is written as binary, which text is written to as UTF-8."""

    def write(self, data):
        """Writes text or bytes."""
        return super().write(_as_bytes(data))

    def writelines(self, lines):
        """Writes texts or bytes."""
        for line in lines:
            self.write(line)


def opened(name, mode="r", buffering=-1, *arguments, **named) -> Any:
    """`open` of Python 2: text is UTF-8, and what is not survives; lines end at \\n, or by mode U as ever.

    With an encoding, or another argument that Python 2's has not, it is Python 3's.
    """
    if arguments or named:
        return open(name, mode.replace("U", ""), buffering, *arguments, **named)
    if "b" in mode:
        plain = mode.replace("U", "")
        return open(name, plain) if plain.startswith("r") and "+" not in plain else _BinaryFile(name, plain)
    universal = "U" in mode
    raw = open(name, (mode.replace("U", "").replace("t", "") or "r") + "b")
    return _TextFile(
        raw, "utf-8", "surrogateescape", newline=None if universal else "\n", line_buffering=buffering == 1
    )


def printing(*values, sep=" ", end="\n", file=None, flush=False) -> None:
    """`print`: bytes are text; a file may be binary."""
    values = tuple(map(as_text, values))
    if isinstance(file, (io.BufferedIOBase, io.RawIOBase)):
        file.write(_as_bytes(sep.join(map(str, values)) + end))
        return
    if end == " " and values and isinstance(values[-1], str) and values[-1][-1:] in ("\n", "\t", "\r"):
        end = ""
    print(*values, sep=sep, end=end, file=file, flush=flush)


def put_in(script: Script) -> None:
    """Lets the script's calls of pickle take files of text, and Python 2's; and csv's reader lines of bytes."""
    from slimft.legacy.ages import modules

    for name in ("load", "loads"):
        _patch(script, pickle, name, modules.pickle_of_python_2(script)[name])
    script.patches.set(csv, "reader", _csv(csv.reader))
    _patch(script, re, "split", _split)
    if "tensorflow" in sys.modules:
        from slimft.compat.v1 import tf

        script.patches.set(tf.train, "BytesList", _bytes_list(tf.train.BytesList))


def _patch(script: Script, module: Any, name: str, stands: Callable) -> None:
    original = getattr(module, name)

    def chosen(*arguments, **named):
        return (stands if script.is_calling() else original)(*arguments, **named)

    script.patches.set(module, name, chosen)


def _split(pattern, string, maxsplit=0, flags=0):
    """`re.split` of Python 2.7, which did not split at empty matches."""
    found, last = [], 0
    matches = (match for match in re.compile(pattern, flags).finditer(string) if match.end() > match.start())
    for match in itertools.islice(matches, maxsplit or None):
        found += [string[last : match.start()], *match.groups()]
        last = match.end()
    return [*found, string[last:]]


def _bytes_list(kind):
    def made(value=()):
        """`tf.train.BytesList`, of text too."""
        return kind(value=[_as_bytes(each) for each in value])

    return made


def _csv(original):
    def reader(lines, *arguments, **named):
        return original((as_text(line) for line in lines), *arguments, **named)

    return reader
