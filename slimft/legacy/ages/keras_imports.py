"""Keras 2, which scripts import as keras or as tensorflow.python.keras: they import tensorflow.keras instead.

``import keras`` gives Keras 3 today, and tensorflow.python.keras has lost half of its parts.
`slimft.compat.install` lets tensorflow.keras be Keras 2.
"""

from __future__ import annotations

import ast
import importlib.machinery
import os

from slimft.compat import keras_2
from slimft.legacy.ages.script import Script

_STANDS = "tensorflow.keras"
# What `import keras.layers` loads beside keras.
_LOADED = "__slimft_keras__"


def put_in(script: Script) -> None:
    """Lets the script's modules be rewritten when they are compiled."""
    spec = importlib.machinery.PathFinder.find_spec("keras")
    own = spec is not None and script.owns(spec.origin or next(iter(spec.submodule_search_locations or [""]), ""))
    script.rewrites.append(lambda tree, path: _Imports(script, own, path).visit(tree))


class _Imports(ast.NodeTransformer):
    """Imports of keras, unless the script has its own, and of what tensorflow.python.keras had.

    Args:
        script: what speaks.
        own: whether keras is the script's.
        path: the file's.
    """

    def __init__(self, script: Script, own: bool, path: str):
        self._script, self._own, self._path = script, own, path

    def visit_Import(self, node):  # noqa: N802 - ast's name
        made = []
        for alias in node.names:
            name = self._stands_for(node, alias.name)
            if name is None or (alias.asname is None and alias.name.partition(".")[0] == "tensorflow"):
                made.append(ast.Import([alias]))
            elif alias.asname is not None:
                made.append(ast.Import([ast.alias(name, alias.asname)]))
            else:
                made.append(ast.Import([ast.alias(_STANDS, "keras")]))
                if name != _STANDS:
                    made.append(ast.Import([ast.alias(name, _LOADED)]))
        return [ast.copy_location(statement, node) for statement in made]

    def visit_ImportFrom(self, node):  # noqa: N802 - ast's name
        if node.level or not node.module:
            return node
        if node.module in ("tensorflow.python", "tensorflow.contrib"):
            kept = [alias for alias in node.names if alias.name != "keras"]
            if len(kept) == len(node.names) or not keras_2.is_installed():
                return node
            made = [ast.ImportFrom("tensorflow", [alias], 0) for alias in node.names if alias not in kept]
            made += [ast.ImportFrom(node.module, kept, 0)] if kept else []
            return [ast.copy_location(statement, node) for statement in made]
        name = self._stands_for(node, node.module, [alias.name for alias in node.names])
        return node if name is None else ast.copy_location(ast.ImportFrom(name, node.names, 0), node)

    def _stands_for(self, node, module, names=()):
        """The module that stands for one, from which these names are imported; None if it stays."""
        part = keras_2.part(module)
        is_alone = module.partition(".")[0] == "keras"
        if part is None or (is_alone and self._own):
            return None
        place = f"{os.path.basename(self._path)}, line {node.lineno}"
        if not keras_2.is_installed():
            if is_alone:
                self._script.say("keras", f"import {module}", keras_2.missing(), place)
            return None
        if module.startswith("tensorflow.python"):
            stands = keras_2.resolve(part)
            if stands is None or not all(hasattr(stands, name) for name in names if name != "*"):
                return None
        elif is_alone:
            self._script.say("keras", "import keras", "Keras 2, which is tf-keras, stands for it", place)
        return f"{_STANDS}.{part}" if part else _STANDS
