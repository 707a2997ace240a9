"""What `tf.contrib.training.HParams` was: named hyperparameters, each of the type of its first value."""

from __future__ import annotations

import json
import numbers
import re

# NAME=VALUE or NAME[INDEX]=VALUE, where a value in brackets may hold commas.
_ASSIGNMENT = re.compile(r"\s*([A-Za-z][\w.]*)\s*(?:\[\s*(\d+)\s*\])?\s*=\s*(\[[^\]]*\]|[^,\[\]]*?)\s*(?:,|$)")
_BOOLS = {"true": True, "True": True, "1": True, "false": False, "False": False, "0": False}


class HParams:
    """Hyperparameters, which are its attributes.

    A value keeps the type of the one it began with: an int may be given for a float, and nothing else is converted.
    Lists hold values of one type. None takes any value.

    Args:
        **values: names and values.

    >>> hparams = HParams(learning_rate=0.1, layers=[64, 32], name="a")
    >>> hparams.parse("learning_rate=1,layers=[8,4,2]")
    HParams([('layers', [8, 4, 2]), ('learning_rate', 1.0), ('name', 'a')])
    >>> hparams.set_hparam("name", 3)
    Traceback (most recent call last):
    ValueError: hyperparameter name is of type str, and 3 is not
    """

    def __init__(self, **values):
        self._types: dict[str, tuple[type, bool]] = {}
        for name, value in values.items():
            self.add_hparam(name, value)

    def add_hparam(self, name: str, value) -> None:
        """Adds one that is not there yet.

        Raises:
            ValueError: the name is taken, by a hyperparameter or a method, or the value is an empty list.
        """
        if getattr(self, name, None) is not None or name in self._types:
            raise ValueError(f"hyperparameter name {name} is taken")
        is_list = isinstance(value, (list, tuple))
        if is_list and not value:
            raise ValueError(f"hyperparameter {name} is an empty list, which has no type")
        self._types[name] = type(value[0] if is_list else value), is_list
        setattr(self, name, list(value) if is_list else value)

    def set_hparam(self, name: str, value) -> None:
        """Gives one that is there another value.

        Raises:
            KeyError: there is none of that name.
            ValueError: the value is of another type, or a list where there is none, or none where there is a list.
        """
        kind, is_list = self._type_of(name)
        if isinstance(value, (list, tuple)) != is_list:
            raise ValueError(f"hyperparameter {name} is {'a' if is_list else 'no'} list, and {value!r} is not so")
        setattr(self, name, [_cast(name, kind, v) for v in value] if is_list else _cast(name, kind, value))

    def del_hparam(self, name: str) -> None:
        """Takes one away, if it is there."""
        if name in self._types:
            del self._types[name]
            delattr(self, name)

    def get(self, key: str, default=None):
        """The value of `key`; `default` where there is none.

        Raises:
            ValueError: the default is of another type than the value that is there.
        """
        if key not in self._types:
            return default
        kind, is_list = self._types[key]
        if default is not None:
            for value in default if is_list and isinstance(default, (list, tuple)) else [default]:
                _cast(key, kind, value)
        return getattr(self, key)

    def values(self) -> dict:
        """Names and values."""
        return {name: getattr(self, name) for name in self._types}

    def override_from_dict(self, values_dict) -> HParams:
        """Gives those in `values_dict` other values, as `set_hparam` does; returns itself."""
        for name, value in values_dict.items():
            self.set_hparam(name, value)
        return self

    def parse(self, values: str) -> HParams:
        """Gives those in text such as ``a=1,b=[2,3],b[0]=4`` other values; returns itself.

        Raises:
            ValueError: the text is not of this form, or names what is not there or has another type.
        """
        place = 0
        while place < len(values.rstrip()):
            match = _ASSIGNMENT.match(values, place)
            if match is None:
                raise ValueError(f"hyperparameters {values!r}: {values[place:]!r} is not of the form NAME=VALUE")
            self._assign(*match.groups())
            place = match.end()
        return self

    def _assign(self, name, index, text):
        if name not in self._types:
            raise ValueError(f"there is no hyperparameter {name}; there are {', '.join(self._types) or 'none'}")
        kind, is_list = self._types[name]
        if index is not None:
            if not is_list or int(index) >= len(getattr(self, name)):
                raise ValueError(f"hyperparameter {name} has no element {index}")
            getattr(self, name)[int(index)] = _read(name, kind, text)
        elif text.startswith("["):
            self.set_hparam(name, [_read(name, kind, part.strip()) for part in text[1:-1].split(",")])
        else:
            self.set_hparam(name, _read(name, kind, text))

    def parse_json(self, values_json: str) -> HParams:
        """Gives those in a JSON object other values, as `set_hparam` does; returns itself."""
        return self.override_from_dict(json.loads(values_json))

    def to_json(self, indent=None, separators=None, sort_keys=False) -> str:
        """The values as a JSON object."""
        return json.dumps(self.values(), indent=indent, separators=separators, sort_keys=sort_keys)

    def _type_of(self, name):
        if name not in self._types:
            raise KeyError(f"there is no hyperparameter {name}; there are {', '.join(self._types) or 'none'}")
        return self._types[name]

    def __contains__(self, key) -> bool:
        return key in self._types

    def __repr__(self) -> str:
        return f"HParams({sorted(self.values().items())})"


def _cast(name, kind, value):
    """`value` as one of type `kind`, if it is one or an int for a float."""
    is_bool = isinstance(value, bool)
    if kind is type(None) or (isinstance(value, kind) and is_bool == (kind is bool)):
        return value
    for like, numbers_of_it in ((int, numbers.Integral), (float, numbers.Real)):  # NumPy's too.
        if issubclass(kind, like) and isinstance(value, numbers_of_it) and not is_bool and kind is not bool:
            return kind(value)
    raise ValueError(f"hyperparameter {name} is of type {kind.__name__}, and {value!r} is not")


def _read(name, kind, text):
    """The value of type `kind` that `text` holds."""
    try:
        if kind is bool:
            return _BOOLS[text]
        return text if kind is type(None) else kind(text)
    except (KeyError, ValueError):
        raise ValueError(f"hyperparameter {name} is of type {kind.__name__}, and {text!r} is not") from None
