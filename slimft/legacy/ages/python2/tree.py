"""What is spelled the same in Python 2 and 3 and means something else: calls in the syntax tree."""

from __future__ import annotations

import ast
import collections
import os

from slimft.legacy.ages.python2.source import features
from slimft.legacy.ages.python2.text import TEXT_METHODS
from slimft.legacy.ages.python2.values import ATTRIBUTES

# Names of the helpers; these end in underscores, so that classes do not mangle them.
PREFIX = "__slimft_python2_"
_OPERATORS = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}
_WITHIN = {ast.In: "in", ast.NotIn: "not in"}
_LOOKED_UP = frozenset(ATTRIBUTES) | frozenset(TEXT_METHODS)


class Meanings(ast.NodeTransformer):
    """Puts calls of the helpers where Python 2 means something else.

    Args:
        tree: the module.
        path: its file.
        package: the package that it is in; empty if none.
        divides: whether `/` is true division, by an import before.
    """

    def __init__(self, tree: ast.Module, path: str, package: str = "", divides: bool = False):
        future = features(tree)
        self._divides = divides or "division" in future
        self._package = package if "absolute_import" not in future else ""
        self._folder = os.path.dirname(path)
        self._kept = _names_read_after_handlers(tree)

    def visit_BinOp(self, node):  # noqa: N802 - ast's names, here and below
        self.generic_visit(node)
        constants = [side.value for side in (node.left, node.right) if isinstance(side, ast.Constant)]
        if isinstance(node.op, ast.Div) and not self._divides:
            return _call(node, "divide", node.left, node.right)
        elif isinstance(node.op, ast.Mod):
            if isinstance(node.left, ast.Constant) and isinstance(node.left.value, str):
                return _call(node, "format", node.left, node.right)
        elif isinstance(node.op, ast.Add) and any(isinstance(value, str) for value in constants):
            return _call(node, "add", node.left, node.right)
        return node

    def visit_AugAssign(self, node):  # noqa: N802
        self.generic_visit(node)
        if not isinstance(node.op, ast.Div) or self._divides:
            return node
        target, names = node.target, []

        def once(expression):
            """The expression, whose value is kept under a name; and what reads this."""
            name = f"_slimft_{len(names)}"
            names.append(name)
            return ast.NamedExpr(ast.Name(name, ast.Store()), expression), ast.Name(name, ast.Load())

        if isinstance(target, ast.Name):
            read, write = ast.Name(target.id, ast.Load()), target
        else:
            first, again = once(target.value)
            if isinstance(target, ast.Attribute):
                read = ast.Attribute(first, target.attr, ast.Load())
                write = ast.Attribute(again, target.attr, ast.Store())
            else:
                index, index_again = once(_index(target.slice))
                read = ast.Subscript(first, index, ast.Load())
                write = ast.Subscript(again, index_again, ast.Store())
        assign = ast.Assign([write], _call(node, "divide_in_place", read, node.value))
        made = [assign]
        if names:
            made.append(ast.Delete([ast.Name(name, ast.Del()) for name in names]))
        return [_located(statement, node) for statement in made]

    def visit_Compare(self, node):  # noqa: N802
        self.generic_visit(node)
        values = [node.left, *node.comparators]
        if len(values) > 2 and not all(isinstance(value, (ast.Name, ast.Constant)) for value in values[1:-1]):
            return node
        pairs = [
            self._compare(node, operator, left, right)
            for operator, left, right in zip(node.ops, values, values[1:], strict=False)
        ]
        return pairs[0] if len(pairs) == 1 else _located(ast.BoolOp(ast.And(), pairs), node)

    def _compare(self, node, operator, left, right):
        constants = [side.value for side in (left, right) if isinstance(side, ast.Constant)]
        if type(operator) in _WITHIN and isinstance(left, ast.Constant) and isinstance(left.value, str):
            return _call(node, "compare", ast.Constant(_WITHIN[type(operator)]), left, right)
        is_plain = type(operator) not in _OPERATORS or (
            isinstance(operator, (ast.Eq, ast.NotEq))
            and any(value is None or isinstance(value, (int, float)) for value in constants)
        )
        if is_plain:
            return _located(ast.Compare(left, [operator], [right]), node)
        return _call(node, "compare", ast.Constant(_OPERATORS[type(operator)]), left, right)

    def visit_Attribute(self, node):  # noqa: N802
        self.generic_visit(node)
        if node.attr not in _LOOKED_UP or not isinstance(node.ctx, ast.Load):
            return node
        return _call(node, "attribute", node.value, ast.Constant(node.attr))

    def visit_Call(self, node):  # noqa: N802
        self.generic_visit(node)
        if not isinstance(node.func, ast.Name) or not node.args or isinstance(node.args[0], ast.Starred):
            return node
        if node.func.id in ("str", "unicode"):
            text = _call(node, "text", ast.Constant(node.func.id), node.func, *node.args)
            text.keywords = node.keywords
            return text
        if node.func.id in ("exec", "eval"):
            divides = ast.Constant(self._divides)
            node.args[0] = _call(node, "code", ast.Constant(node.func.id), divides, *node.args[:2])
        return node

    def visit_ClassDef(self, node):  # noqa: N802
        self.generic_visit(node)
        for statement in node.body:
            if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
                target = statement.targets[0]
                if isinstance(target, ast.Name) and target.id == "__metaclass__":
                    node.keywords.append(ast.keyword("metaclass", statement.value))
                    node.body[node.body.index(statement)] = _located(ast.Pass(), statement)
                    break
        node.decorator_list.append(_located(ast.Name(f"{PREFIX}class__", ast.Load()), node))
        return node

    def visit_FunctionDef(self, node):  # noqa: N802
        # contextlib's own tell the StopIteration of a with block, which goes on, by its RuntimeError.
        is_generator = _yields(node.body) and not any(map(_is_context_manager, node.decorator_list))
        self.generic_visit(node)
        if is_generator:
            # StopIteration ends a generator, wherever it comes from.
            ends = ast.ExceptHandler(ast.Name("StopIteration", ast.Load()), None, [ast.Return()])
            begin = 1 if ast.get_docstring(node, clean=False) is not None else 0
            if node.body[begin:]:
                node.body[begin:] = [_located(ast.Try(node.body[begin:], [ends], [], []), node.body[begin])]
        return node

    def visit_ExceptHandler(self, node):  # noqa: N802
        self.generic_visit(node)
        if node.name in self._kept:
            name, node.name = node.name, "_slimft_error"
            keep = ast.Assign([ast.Name(name, ast.Store())], ast.Name("_slimft_error", ast.Load()))
            node.body.insert(0, _located(keep, node))
        return node

    def visit_Import(self, node):  # noqa: N802
        made = []
        for alias in node.names:
            head, _, rest = alias.name.partition(".")
            if not self._is_sibling(head):
                made.append(ast.Import([alias]))
                continue
            if rest:
                # As `import a.b` does: b is imported, and a is bound, unless b has a name.
                parent, _, last = alias.name.rpartition(".")
                made.append(ast.ImportFrom(parent, [ast.alias(last, alias.asname or "_slimft_0")], 1))
                if alias.asname:
                    continue
                made.append(ast.Delete([ast.Name("_slimft_0", ast.Del())]))
            made.append(ast.ImportFrom(None, [ast.alias(head, None if rest else alias.asname)], 1))
        return [_located(statement, node) for statement in made]

    def visit_ImportFrom(self, node):  # noqa: N802
        if not node.level and node.module and self._is_sibling(node.module.partition(".")[0]):
            node.level = 1
        return node

    def _is_sibling(self, name):
        """Whether `import name` means the module beside this one, in its package."""
        if not self._package:
            return False
        path = os.path.join(self._folder, name)
        return os.path.isfile(f"{path}.py") or os.path.isfile(os.path.join(path, "__init__.py"))


def _is_context_manager(decorator):
    return "contextmanager" in (getattr(decorator, "id", ""), getattr(decorator, "attr", ""))


def _yields(statements):
    """Whether a function of these statements is a generator."""
    waiting = list(statements)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Yield):
            return True
        if not isinstance(node, (ast.FunctionDef, ast.Lambda, ast.ClassDef, ast.GeneratorExp)):
            waiting += ast.iter_child_nodes(node)
    return False


def _located(made, node):
    """`made`, all of it at the place of `node` where it has none."""
    for part in ast.walk(made):
        if "lineno" in part._attributes and not hasattr(part, "lineno"):
            ast.copy_location(part, node)
    return made


def _call(node, helper, *arguments):
    return _located(ast.Call(ast.Name(f"{PREFIX}{helper}__", ast.Load()), list(arguments), []), node)


def _index(node):
    """What stands between brackets as an expression: slices are calls of `slice`."""
    if isinstance(node, ast.Slice):
        parts = [part or ast.Constant(None) for part in (node.lower, node.upper, node.step)]
        return ast.Call(ast.Name(f"{PREFIX}slice__", ast.Load()), parts, [])
    if isinstance(node, ast.Tuple):
        return ast.Tuple([_index(part) for part in node.elts], ast.Load())
    return node


def _names_read_after_handlers(tree):
    """Names of `except E, name` that are read elsewhere: in Python 2 they stay."""
    inside, everywhere = collections.Counter(), collections.Counter()
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler) and node.name:
            inside[node.name] += sum(
                isinstance(part, ast.Name) and part.id == node.name and isinstance(part.ctx, ast.Load)
                for part in ast.walk(node)
            )
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            everywhere[node.id] += 1
    return {name for name, count in inside.items() if everywhere[name] > count}
