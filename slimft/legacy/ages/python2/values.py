"""What operators, attributes and classes do in Python 2: its reference manual, and what Python 2.7 does."""

from __future__ import annotations

import contextlib
import functools
import operator
import sys
from collections.abc import ItemsView, KeysView, ValuesView
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any

import numpy as np

_COMPARE = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
    "in": lambda a, b: a in b, "not in": lambda a, b: a not in b,
}  # fmt: skip
_NUMBERS = (int, float)


def _is_integer(value):
    """Whether it is an int, or NumPy's integers."""
    if isinstance(value, int):
        return True
    return isinstance(value, (np.ndarray, np.generic)) and np.issubdtype(value.dtype, np.integer)


def divide(a: Any, b: Any) -> Any:
    """`a / b`: rounded down for two ints, also NumPy's; by `__div__` where there is one, as tensors have."""
    if type(a) in _NUMBERS and type(b) in _NUMBERS:
        return a // b if type(a) is type(b) is int else a / b
    # A list beside an array is an array.
    if isinstance(a, np.ndarray) and isinstance(b, (list, tuple)):
        b = np.asarray(b)
    elif isinstance(b, np.ndarray) and isinstance(a, (list, tuple)):
        a = np.asarray(a)
    if _is_integer(a) and _is_integer(b):
        return a // b
    with _quietly():
        for value, other, name in ((a, b, "__div__"), (b, a, "__rdiv__")):
            method = getattr(type(value), name, None)
            if method is not None:
                found = method(value, other)
                if found is not NotImplemented:
                    return found
    return a / b


def _quietly():
    """Without what TensorFlow says of its `__div__`, which it kept."""
    deprecation = sys.modules.get("tensorflow.python.util.deprecation")
    return contextlib.nullcontext() if deprecation is None else deprecation.silence()


def divide_in_place(a: Any, b: Any) -> Any:
    """`a /= b`; arrays stay the same array."""
    method = getattr(type(a), "__idiv__", None)
    if method is not None:
        found = method(a, b)
        if found is not NotImplemented:
            return found
    if isinstance(a, np.ndarray):
        if _is_integer(a) and _is_integer(b if np.isscalar(b) else np.asarray(b)):
            return operator.ifloordiv(a, b)
        return operator.itruediv(a, b)
    return divide(a, b) if not hasattr(type(a), "__itruediv__") else operator.itruediv(a, b)


def _rank(value):
    """Where a value stands among those of other types: None, numbers, then by the type's name of then."""
    if value is None:
        return (0, "")
    if isinstance(value, (int, float, np.number)):
        return (1, "")
    return (2, {"bytes": "str"}.get(type(value).__name__, type(value).__name__))


def cmp(a: Any, b: Any) -> int:
    """-1, 0 or 1, of any two values: by `__cmp__`, by their own order, or else by their types."""
    if a is b:
        return 0
    for value, other, sign in ((a, b, 1), (b, a, -1)):
        method = getattr(type(value), "__cmp__", None)
        if method is not None:
            found = method(value, other)
            if found is not NotImplemented:
                return sign * ((found > 0) - (found < 0))
    if isinstance(a, (list, tuple)) and type(a) is type(b):
        return next((found for found in map(cmp, a, b) if found), cmp(len(a), len(b)))
    if isinstance(a, dict) and isinstance(b, dict):
        if len(a) != len(b):
            return cmp(len(a), len(b))
        key = functools.cmp_to_key(cmp)
        a, b = sorted(a.items(), key=key), sorted(b.items(), key=key)
        return next((found for found in map(cmp, a, b) if found), 0)
    try:
        return bool(a > b) - bool(a < b)
    except TypeError:
        ranks = _rank(a), _rank(b)
        if ranks[0] == ranks[1]:
            return 0 if a == b else (id(a) > id(b)) - (id(a) < id(b))
        return (ranks[0] > ranks[1]) - (ranks[0] < ranks[1])


_cmp = cmp


def compare(sign: str, a: Any, b: Any) -> Any:
    """A comparison; values of types that have no order are ordered all the same, and text equals its bytes."""
    if type(a) is bytes and type(b) is str:
        a = a.decode("utf-8", "surrogateescape")
    elif type(a) is str and type(b) is bytes:
        b = b.decode("utf-8", "surrogateescape")
    try:
        return _COMPARE[sign](a, b)
    except TypeError:
        if "in" in sign or not all(_is_plain(value) for value in (a, b)):
            raise
        return _COMPARE[sign](cmp(a, b), 0)


def _is_plain(value):
    """Whether Python 2 itself orders it; tensors and arrays refuse for reasons of their own."""
    return type(value).__module__ == "builtins" or hasattr(type(value), "__cmp__")


def ordered(iterable, cmp=None, key=None, reverse=False) -> list:
    """`sorted` with Python 2's arguments and order."""
    values = list(iterable)
    if cmp is None:
        try:
            return sorted(values, key=key, reverse=reverse)
        except TypeError:
            cmp = _cmp
    by = functools.cmp_to_key(cmp)
    return sorted(values, key=by if key is None else lambda value: by(key(value)), reverse=reverse)


def extreme(function):
    """`min` or `max` in Python 2's order."""

    @functools.wraps(function)
    def found(*values, **named):
        if len(values) == 1:
            values = (list(values[0]),)
        try:
            return function(*values, **named)
        except TypeError:
            if "key" in named:
                raise
            return function(*values, key=functools.cmp_to_key(cmp))

    return found


def rounded(number, ndigits=0) -> float:
    """`round`: a float, halves away from zero."""
    value = float(number)
    if value - value != 0 or ndigits > 330:  # Not finite, or as it is.
        return value
    unit = Decimal(1).scaleb(-int(ndigits))
    if unit > abs(Decimal(value)) * 10:
        return 0.0 * value
    return float(Decimal(value).quantize(unit, ROUND_HALF_UP, Context(prec=1500)))


def _listed(name):
    def get(value):
        method = getattr(value, name)

        def listed(*arguments, **named):
            found = method(*arguments, **named)
            return list(found) if isinstance(found, (KeysView, ValuesView, ItemsView)) else found

        return listed if callable(method) else method

    return get


def _own_or(name, other):
    """The attribute where the object has it, and else what `other` makes."""

    def get(value):
        try:
            return getattr(value, name)
        except AttributeError:
            found = other(value)
            if found is None:
                raise
            return found

    return get


def _iterated(name):
    def other(value):
        method = getattr(value, name, None)
        return (lambda: iter(method())) if method is not None else None

    return other


def _next(value):
    return getattr(value, "__next__", None)


def _sort(value):
    if not isinstance(value, list):
        return value.sort

    def sort(cmp=None, key=None, reverse=False):
        value[:] = ordered(value, cmp, key, reverse)

    return sort


def _message(value):
    if isinstance(value, BaseException):
        return value.args[0] if len(value.args) == 1 else ""
    return None


def _renamed(name):
    return lambda value: getattr(value, name, None)


# What an attribute of this name is, for any object.
ATTRIBUTES = {
    "keys": _listed("keys"), "values": _listed("values"), "items": _listed("items"), "sort": _sort,
    "iterkeys": _own_or("iterkeys", _iterated("keys")),
    "itervalues": _own_or("itervalues", _iterated("values")),
    "iteritems": _own_or("iteritems", _iterated("items")),
    "viewkeys": _own_or("viewkeys", _renamed("keys")),
    "viewvalues": _own_or("viewvalues", _renamed("values")),
    "viewitems": _own_or("viewitems", _renamed("items")),
    "has_key": _own_or("has_key", lambda value: getattr(value, "__contains__", None)),
    "next": _own_or("next", _next),
    "message": _own_or("message", _message),
    **{f"func_{name}": _own_or(f"func_{name}", _renamed(f"__{name}__"))
       for name in ("name", "code", "defaults", "globals", "closure", "doc", "dict")},
    "im_func": _own_or("im_func", _renamed("__func__")), "im_self": _own_or("im_self", _renamed("__self__")),
    "im_class": _own_or("im_class", lambda value: type(value.__self__) if hasattr(value, "__self__") else None),
}  # fmt: skip

_METHODS = {
    "next": "__next__", "__nonzero__": "__bool__", "__div__": "__truediv__", "__rdiv__": "__rtruediv__",
    "__idiv__": "__itruediv__",
}  # fmt: skip


def _by_cmp(name):
    def method(self, other):
        found = type(self).__cmp__(self, other)
        return found if found is NotImplemented else _COMPARE[name](found, 0)

    return method


def own_class(made: Any) -> Any:
    """Gives a class of Python 2 the methods that Python 3 calls, under its own methods' names."""
    own = vars(made)
    given = {new: own[old] for old, new in _METHODS.items() if old in own and new not in own}
    if "next" in given and "__iter__" not in dir(made):
        del given["__next__"]
    if "__unicode__" in own and "__str__" not in own:
        given["__str__"] = own["__unicode__"]
    if "__cmp__" in own:
        names = {"<": "__lt__", "<=": "__le__", ">": "__gt__", ">=": "__ge__", "==": "__eq__", "!=": "__ne__"}
        given.update({name: _by_cmp(sign) for sign, name in names.items() if name not in own})
    if "__eq__" in own and "__ne__" not in own and "__cmp__" not in own:
        # Not the opposite of __eq__ in Python 2: identity.
        given["__ne__"] = lambda self, other: self is not other
    for name in ("__getslice__", "__setslice__", "__delslice__"):
        if name in own:
            item = name.replace("slice", "item")
            given[item] = _with_slices(own[name], getattr(made, item, None))
    for name, value in given.items():
        setattr(made, name, value)
    if own.get("__hash__", 0) is None:
        # Whoever defines __eq__ can still be a key.
        made.__hash__ = next(
            (vars(base)["__hash__"] for base in made.__mro__[1:] if vars(base).get("__hash__")), object.__hash__
        )
    return made


def _with_slices(of_slice, of_item):
    def method(self, index, *value):
        if not isinstance(index, slice) or index.step is not None:
            if of_item is None:
                raise TypeError(f"{type(self).__name__} takes slices alone")
            return of_item(self, index, *value)
        begin = 0 if index.start is None else index.start
        end = sys.maxsize if index.stop is None else index.stop
        if begin < 0 or end < 0:
            begin, end = (at + len(self) if at < 0 else at for at in (begin, end))
        return of_slice(self, max(begin, 0), max(end, 0), *value)

    return method


def translate(text: str, table, delete: str = "") -> str:
    """`text.translate(table, delete)`, where the table may be None."""
    kept = "".join(letter for letter in text if letter not in delete) if delete else text
    return kept if table is None else kept.translate(table)
