"""What NumPy's arrays no longer do: be a number of one element, and some methods. A script's calls are rewritten.

``int(array)``, ``float(array)`` and ``"%f" % array`` of an array with axes and one element are errors since NumPy
2.4 (deprecated in 1.25), ``array.tostring()`` is gone since 2.3, ``itemset``, ``newbyteorder`` and ``ptp`` since
2.0, scalars' too: its release notes (numpy.org/doc/stable/release). The arrays themselves cannot be changed.
"""

from __future__ import annotations

import ast
import functools
import re

import numpy as np

from slimft.legacy.ages.script import Script

_NUMBER, _METHOD, _FORMAT = "__slimft_number__", "__slimft_method__", "__slimft_format__"

# The letter of each ``%...`` in a text.
_CONVERSION = re.compile(r"%[#0\- +]*\d*(?:\.\d*)?[hlL]?([a-zA-Z%])")


def _itemset(array, *arguments):
    *index, value = arguments
    index = index[0] if len(index) == 1 else tuple(index)
    if isinstance(index, (int, np.integer)):
        array.flat[index] = value
    else:
        array[index] = value


def _tostring(array, *arguments, **named):
    return array.tobytes(*arguments, **named)


def _newbyteorder(array, new_order="S"):
    return array.view(array.dtype.newbyteorder(new_order))


# By the method's name: what does the same, and what is said.
_METHODS = {
    "itemset": (_itemset, "gone since NumPy 2, array[index] = value stands for it"),
    "newbyteorder": (_newbyteorder, "gone since NumPy 2, array.view of another dtype stands for it"),
    "ptp": (np.ptp, "gone since NumPy 2, np.ptp stands for it"),
    "tostring": (_tostring, "gone since NumPy 2.3, tobytes stands for it"),
}


def put_in(script: Script) -> None:
    """Lets the script's modules be rewritten when they are compiled."""

    def number(kind, value):
        if isinstance(value, np.ndarray) and value.ndim and value.size == 1 and kind in (int, float):
            script.say("numpy", f"{kind.__name__} of an array of one element", "its element is taken")
            return kind(value.item())
        return kind(value)

    def method(value, name):
        if not isinstance(value, (np.ndarray, np.generic)) or hasattr(value, name):
            return getattr(value, name)
        function, line = _METHODS[name]
        script.say("numpy", f"array.{name}", line)
        return functools.partial(function, value)

    def format_(text, values):
        try:
            return text % values
        except TypeError:
            several = values if isinstance(values, tuple) else (values,)
            letters = [letter for letter in _CONVERSION.findall(text) if letter != "%"]
            if len(letters) != len(several):
                raise
            plain = tuple(
                value.item() if isinstance(value, np.ndarray) and value.size == 1 and letter not in "sra" else value
                for letter, value in zip(letters, several)
            )
            if all(new is old for new, old in zip(plain, several)):
                raise
            script.say("numpy", "% of an array of one element", "its element is taken")
            return text % plain

    script.rewrites.append(lambda tree, path: _Calls().visit(tree))
    script.helpers.update({_NUMBER: number, _METHOD: method, _FORMAT: format_})


class _Calls(ast.NodeTransformer):
    """Calls of int and float with one argument, and of `_METHODS`, and ``"text" % values`` go to the helpers."""

    def visit_BinOp(self, node):  # noqa: N802 - ast's name
        self.generic_visit(node)
        is_text = isinstance(node.left, ast.Constant) and isinstance(node.left.value, str)
        if is_text and isinstance(node.op, ast.Mod) and not isinstance(node.right, ast.Constant):
            return self._call(node, _FORMAT, [node.left, node.right])
        return node

    def visit_Call(self, node):  # noqa: N802 - ast's name
        self.generic_visit(node)
        function = node.func
        if isinstance(function, ast.Name) and function.id in ("int", "float") and len(node.args) == 1:
            if not node.keywords and not isinstance(node.args[0], (ast.Starred, ast.Constant)):
                return self._call(node, _NUMBER, [function, *node.args])
        elif isinstance(function, ast.Attribute) and function.attr in _METHODS:
            node.func = self._call(function, _METHOD, [function.value, ast.Constant(function.attr)])
        return node

    def _call(self, node, name, arguments):
        helper = ast.copy_location(ast.Name(name, ast.Load()), node)
        return ast.copy_location(ast.Call(helper, arguments, []), node)
