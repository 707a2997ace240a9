"""Names of Python's own library that Python 2 or 3.9 had and today's has not.

Which: "What's New in Python" 3.0 to 3.13 (docs.python.org/3/whatsnew).
"""

from __future__ import annotations

import base64
import collections
import collections.abc
import errno
import fractions
import inspect
import itertools
import locale
import math
import os
import platform
import string
import sys
import time
import types
import urllib

from slimft.legacy.ages import library_calls
from slimft.legacy.ages.script import Script

# Functions of the module string that have become methods.
_STRING_METHODS = (
    "capitalize", "center", "count", "expandtabs", "find", "index", "ljust", "lower", "lstrip", "replace", "rfind",
    "rindex", "rjust", "rsplit", "rstrip", "split", "strip", "swapcase", "translate", "upper", "zfill",
)  # fmt: skip
_TYPES = {
    "BooleanType": bool, "ClassType": type, "ComplexType": complex, "DictType": dict, "DictionaryType": dict,
    "FloatType": float, "IntType": int, "ListType": list, "LongType": int, "NoneType": type(None),
    "ObjectType": object, "StringType": str, "StringTypes": str, "TupleType": tuple, "TypeType": type,
    "UnicodeType": str,
}  # fmt: skip
ArgSpec = collections.namedtuple("ArgSpec", "args varargs keywords defaults")


def getargspec(function):
    """`inspect.getargspec`: what a function takes, without its keyword-only arguments.

    Raises:
        ValueError: it has keyword-only arguments.
    """
    found = inspect.getfullargspec(function)
    if found.kwonlyargs:
        raise ValueError("the function has keyword-only arguments: use inspect.signature")
    return ArgSpec(found.args, found.varargs, found.varkw, found.defaults)


def _format(percent, value, grouping=False, monetary=False, *additional):
    return locale.format_string(percent, (value, *additional) if additional else value, grouping, monetary)


def _distribution(*_, **__):
    return "", "", ""


def _lazily(module, name):
    def made():
        return getattr(__import__(module, fromlist=[name]), name)

    return made


def put_in(script: Script) -> None:
    """Gives the script these names."""
    abstract = {
        name: (getattr(collections.abc, name), f"collections.abc.{name} stands for it, since Python 3.10")
        for name in collections.abc.__all__
    }
    tables = (
        (base64, {
            "encodestring": (base64.encodebytes, "base64.encodebytes stands for it"),
            "decodestring": (base64.decodebytes, "base64.decodebytes stands for it"),
        }),
        (collections, abstract),
        (fractions, {"gcd": (math.gcd, "math.gcd stands for it")}),
        (inspect, {
            "getargspec": (getargspec, "inspect.getfullargspec stands for it"),
            "ArgSpec": (ArgSpec, "as it was"),
        }),
        (itertools, {
            "izip": (zip, "zip stands for it"), "imap": (map, "map stands for it"),
            "ifilter": (filter, "filter stands for it"),
            "izip_longest": (itertools.zip_longest, "itertools.zip_longest stands for it"),
        }),
        (locale, {"format": (_format, "locale.format_string stands for it")}),
        (os, {
            "getcwdu": (os.getcwd, "os.getcwd stands for it"),
            "errno": (errno, "the module errno stands for it"),
        }),
        (platform, {name: (_distribution, "no distribution is known") for name in ("dist", "linux_distribution")}),
        (string, {
            "letters": (string.ascii_letters, "string.ascii_letters stands for it"),
            "lowercase": (string.ascii_lowercase, "string.ascii_lowercase stands for it"),
            "uppercase": (string.ascii_uppercase, "string.ascii_uppercase stands for it"),
            "maketrans": (str.maketrans, "str.maketrans stands for it"),
            "join": (lambda words, separator=" ": separator.join(words), "separator.join stands for it"),
            "joinfields": (lambda words, separator=" ": separator.join(words), "separator.join stands for it"),
            **{name: (getattr(str, name), f"str.{name} stands for it") for name in _STRING_METHODS},
            **{name: (number, f"{number.__name__} stands for it")
               for name, number in (("atoi", int), ("atol", int), ("atof", float))},
        }),
        (sys, {
            "maxint": (sys.maxsize, "sys.maxsize stands for it"),
            "setdefaultencoding": (lambda name: None, "text is Unicode, it does nothing"),
        }),
        (types, {name: (kind, f"{kind.__name__} stands for it") for name, kind in _TYPES.items()}),
        (time, {"clock": (time.perf_counter, "time.perf_counter stands for it")}),
        (urllib, {
            **{name: (_lazily("urllib.request", name), f"urllib.request.{name} stands for it")
               for name in ("urlopen", "urlretrieve", "URLopener", "FancyURLopener")},
            **{name: (_lazily("urllib.parse", name), f"urllib.parse.{name} stands for it")
               for name in ("quote", "quote_plus", "unquote", "unquote_plus", "urlencode")},
        }),
    )  # fmt: skip
    for module, table in tables:
        missing = {name: found for name, found in table.items() if name not in vars(module)}
        script.answer(module, module.__name__, "python", missing)
    library_calls.put_in(script)
