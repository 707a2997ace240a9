"""Names of Python's own library that Python 2 or 3.9 had and today's has not.

Which: "What's New in Python" 3.0 to 3.13 (docs.python.org/3/whatsnew).
"""

from __future__ import annotations

import collections
import collections.abc
import fractions
import inspect
import itertools
import math
import os
import string
import sys
import time
import urllib

from slimft.legacy.ages.script import Script

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
        (os, {"getcwdu": (os.getcwd, "os.getcwd stands for it")}),
        (string, {
            "letters": (string.ascii_letters, "string.ascii_letters stands for it"),
            "lowercase": (string.ascii_lowercase, "string.ascii_lowercase stands for it"),
            "uppercase": (string.ascii_uppercase, "string.ascii_uppercase stands for it"),
            "maketrans": (str.maketrans, "str.maketrans stands for it"),
            "join": (lambda words, separator=" ": separator.join(words), "separator.join stands for it"),
        }),
        (sys, {"maxint": (sys.maxsize, "sys.maxsize stands for it")}),
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
