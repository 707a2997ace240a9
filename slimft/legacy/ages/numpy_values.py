"""What NumPy's arrays no longer do: be a number of one element, and `tostring`. A script's calls are rewritten.

``int(array)`` and ``float(array)`` of an array with axes and one element are errors since NumPy 2.4 (deprecated in
1.25), and ``array.tostring()`` is gone since 2.3: its release notes (numpy.org/doc/stable/release). The arrays
themselves cannot be changed.
"""

from __future__ import annotations

import ast

import numpy as np

from slimft.legacy.ages.script import Script

_NUMBER, _BYTES = "__slimft_number__", "__slimft_bytes__"


def put_in(script: Script) -> None:
    """Lets the script's modules be rewritten when they are compiled."""

    def number(kind, value):
        if isinstance(value, np.ndarray) and value.ndim and value.size == 1 and kind in (int, float):
            script.say("numpy", f"{kind.__name__} of an array of one element", "its element is taken")
            return kind(value.item())
        return kind(value)

    def as_bytes(value):
        if isinstance(value, np.ndarray) and not hasattr(value, "tostring"):
            script.say("numpy", "array.tostring", "gone since NumPy 2.3, tobytes stands for it")
            return value.tobytes()
        return value.tostring()

    script.rewrite = _Calls().visit
    script.helpers = {_NUMBER: number, _BYTES: as_bytes}


class _Calls(ast.NodeTransformer):
    """Calls of int and float with one argument, and of tostring with none, go to the helpers."""

    def visit_Call(self, node):  # noqa: N802 - ast's name
        self.generic_visit(node)
        function = node.func
        if isinstance(function, ast.Name) and function.id in ("int", "float") and len(node.args) == 1:
            if not node.keywords and not isinstance(node.args[0], (ast.Starred, ast.Constant)):
                return self._call(node, _NUMBER, [function, *node.args])
        elif isinstance(function, ast.Attribute) and function.attr == "tostring" and not node.args:
            if not node.keywords:
                return self._call(node, _BYTES, [function.value])
        return node

    def _call(self, node, name, arguments):
        helper = ast.copy_location(ast.Name(name, ast.Load()), node.func)
        return ast.copy_location(ast.Call(helper, arguments, []), node)
