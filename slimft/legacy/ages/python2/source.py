"""Python 2's text as a syntax tree of Python 3, with the lines of the file.

The syntax is fissix's work, a successor of 2to3. Only those of its fixers are run without which Python 3 cannot
read a file, or reads another meaning. What is spelled the same in both is left to `tree`, which keeps lines and
columns, and what is missing at run time to `slimft.legacy.ages`: its other fixers would rename that twice, and
list(...) around each map and zip would not know the script's own functions of these names.
"""

from __future__ import annotations

import ast
import codecs
import io
import logging
import re
import threading
import token
import warnings
from typing import Any

from slimft.errors import UsageError

_FIXERS = (
    "except", "exec", "ne", "paren", "print", "raise", "repr", "throw", "tuple_params",
)  # fmt: skip
_COOKIE = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
# Escapes that mean something in Python 3's strings and nothing in Python 2's.
_ESCAPES = re.compile(r"(?<!\\)((?:\\\\)*)\\(?=[uUN])")
_STRING = re.compile(r"([a-zA-Z]*)(.*)", re.DOTALL)
_NAME, _NUMBER, _LITERAL = token.NAME, token.NUMBER, token.STRING  # fissix has the same numbers.
_LOCK = threading.Lock()
_tools: list[Any] = []


def check() -> None:
    """Raises UsageError if fissix is missing."""
    with _LOCK:
        _tool()


def parse(data: str | bytes, path: str) -> tuple[ast.Module, bool, list[tuple[int, str]]]:
    """The syntax tree of a file of Python 2, as Python 3 reads it.

    Args:
        data: what is in the file.
        path: its name, for errors.

    Returns:
        The tree, whose lines are the file's; whether the file is Python 2, and not one that only Python 3 reads;
        and by line what could not be converted.

    Raises:
        SyntaxError: it is neither; its line and text are the file's.
    """
    text = _decode(data, path)
    try:
        tree = _parse(text, path)
    except SyntaxError:
        tree = None
    if tree is not None and _is_python_3(tree):
        return tree, False, []
    if tree is not None and not _needs_fixers(tree, text):
        return tree, True, []
    converted, lines, raised, notes = _convert(text, path)
    try:
        tree = _parse(converted, path)
    except SyntaxError as error:
        line = lines.get(error.lineno or 1, 1)
        raise _error(error.msg, path, line, text) from None
    # Columns are no longer the file's: they are none.
    for node in ast.walk(tree):
        if hasattr(node, "lineno"):
            node.lineno = node.end_lineno = lines.get(node.lineno, 1)  # type: ignore[attr-defined]
            node.col_offset = node.end_col_offset = -1  # type: ignore[attr-defined]
        if isinstance(node, ast.ExceptHandler) and node.name in raised:
            node.body.insert(0, _unpacked(raised[node.name], node.name))
    return tree, True, notes


def features(tree: ast.Module) -> set[str]:
    """What a module imports of ``__future__``."""
    return {
        alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module == "__future__"
        for alias in node.names
    }


def _parse(text, path):
    with warnings.catch_warnings():
        # Escapes such as "\d" were fine.
        warnings.simplefilter("ignore")
        try:
            return ast.parse(text, path)
        except ValueError as error:  # Null bytes, which are a SyntaxError since Python 3.11.4.
            raise _error(str(error), path, text[: text.find("\0")].count("\n") + 1, text) from None


def _error(message, path, line, text):
    lines = text.splitlines()
    shown = lines[line - 1] if 0 < line <= len(lines) else None
    return SyntaxError(message, (path, line, None, shown))


def _decode(data, path):
    """The text, by what the first two lines say of its encoding; else UTF-8, or Latin-1 where it is not."""
    if isinstance(data, bytes):
        found = next(filter(None, map(_COOKIE.match, data.split(b"\n", 2)[:2])), None)
        name = found[1].decode() if found else "utf-8"
        if data.startswith(codecs.BOM_UTF8):
            data, name = data[len(codecs.BOM_UTF8) :], "utf-8"
        try:
            data = data.decode(name)
        except LookupError:
            raise SyntaxError(f"unknown encoding: {name}", (path, 1, None, None)) from None
        except UnicodeDecodeError as error:
            if found:
                line = data.count(b"\n", 0, error.start) + 1
                raise SyntaxError(f"this line is not {name}", (path, line, None, None)) from None
            data = data.decode("latin-1")
    return data.replace("\r\n", "\n").replace("\r", "\n")


def _is_python_3(tree):
    """Whether Python 2.7 cannot read this, which Python 3 does; or it calls super as only Python 3 lets it."""
    prints = "print_function" in features(tree)
    kinds = (
        ast.JoinedStr, ast.AnnAssign, ast.Nonlocal, ast.YieldFrom, ast.AsyncFunctionDef, ast.NamedExpr, ast.MatMult,
        *(getattr(ast, name) for name in ("Match", "TryStar", "TypeAlias") if hasattr(ast, name)),
    )  # fmt: skip
    for node in ast.walk(tree):
        if isinstance(node, kinds):
            return True
        if isinstance(node, ast.arguments):
            if node.kwonlyargs or node.posonlyargs:
                return True
        elif isinstance(node, ast.arg):
            if node.annotation:
                return True
        elif isinstance(node, (ast.FunctionDef, ast.Raise, ast.ClassDef)):
            if getattr(node, "returns", None) or getattr(node, "cause", None) or getattr(node, "keywords", None):
                return True
        elif isinstance(node, (ast.Assign, ast.For)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(part, ast.Starred) for target in targets for part in ast.walk(target)):
                return True
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            starred = any(isinstance(argument, ast.Starred) for argument in node.args)
            if node.func.id == "print" and (node.keywords or starred) and not prints:
                return True
            if node.func.id == "super" and not node.args:
                return True
    return False


def _needs_fixers(tree, text):
    """Whether a file that Python 3 reads says something else in Python 2's syntax."""
    if _ESCAPES.search(text):
        return True
    statements = {"exec"} if "print_function" in features(tree) else {"exec", "print"}
    fine = set()
    for node in ast.walk(tree):
        call = node.value if isinstance(node, ast.Expr) else None
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and not call.keywords:
            simple = not any(isinstance(argument, (ast.Starred, ast.GeneratorExp)) for argument in call.args)
            most = 3 if call.func.id == "exec" else 1
            if simple and 1 <= len(call.args) <= most:
                fine.add(call.func)
    return any(isinstance(node, ast.Name) and node.id in statements and node not in fine for node in ast.walk(tree))


def _convert(text, path):
    """The text in Python 3's syntax; the file's line of each of its lines; of `_take_targets`; what was left."""
    if not text.endswith("\n"):
        text += "\n"
    with _LOCK:
        tool = _tool()
        tool.fixer_log.clear()
        try:
            tree = tool.refactor_string(_expanded(text), path)
        except Exception as error:  # noqa: BLE001 - fixers fail in their own ways
            raise _error(_why(error), path, _line(error), text) from None
        raised = dict(tool.raised)
        notes = [re.match(r"Line (\d+): (.*)", line) for line in tool.fixer_log]
    literals = "unicode_literals" in tree.future_features
    pieces, lines, at, last = [], {}, 1, 1
    for leaf in tree.leaves():
        value = leaf.value
        if leaf.type == _LITERAL:
            value = _string(value, literals)
        elif leaf.type == _NUMBER:
            value = _number(value)
        elif leaf.type == _NAME and value in ("async", "await"):
            value += "_"
        at += leaf.prefix.count("\n")
        if leaf.lineno:
            last = leaf.lineno
        if at not in lines or leaf.lineno > lines[at]:
            lines[at] = last
        pieces += [leaf.prefix, value]
        for offset in range(1, value.count("\n") + 1):
            lines.setdefault(at + offset, last + offset if leaf.type == _LITERAL else last)
        at += value.count("\n")
    return "".join(pieces), lines, raised, [(int(note[1]), note[2]) for note in notes if note]


def _tool():
    """fissix's, with the fixers that are needed."""
    if not _tools:
        try:
            from fissix import refactor
        except ImportError:
            raise UsageError("--python2 needs the package fissix: pip install 'slimft[python2]'") from None

        class Tool(refactor.RefactoringTool):
            """fissix's, with a step before."""

            def refactor_tree(self, tree, name):
                self.raised = {}
                _take_targets(tree, self.raised)
                return super().refactor_tree(tree, name)

        logging.getLogger("RefactoringTool").setLevel(logging.ERROR)
        _tools.append(Tool([f"fissix.fixes.fix_{name}" for name in _FIXERS]))
    return _tools[0]


def _why(error):
    if isinstance(error, SyntaxError):
        return error.msg
    kind = type(error).__name__
    if kind == "ParseError":
        return f"invalid syntax at {error.value!r}" if error.value.strip() else "invalid syntax"
    if kind == "TokenError":
        return str(error.args[0])
    return f"fissix fails here ({kind}: {error})"


def _line(error):
    """The line that fissix was at."""
    if isinstance(error, SyntaxError):
        return error.lineno or 1
    if type(error).__name__ == "ParseError":
        return error.context[1][0]
    if type(error).__name__ == "TokenError":
        return error.args[1][0]
    line, traceback = 1, error.__traceback__
    while traceback is not None:
        node = traceback.tb_frame.f_locals.get("node")
        if hasattr(node, "get_lineno"):
            line = node.get_lineno() or line
        traceback = traceback.tb_next
    return line


def _number(value):
    """A number's literal: octal as 0o777; a space for the L of a long, whose attributes may follow."""
    whole = value.rstrip("lL")
    if re.fullmatch("0[0-7]+", whole):
        whole = f"0o{whole[1:]}"
    return whole + " " * (len(value) - len(value.rstrip("lL")))


def _string(value, literals):
    """A string's literal: without Python 2's ``ur``, and with ``\\u`` only where it meant something."""
    prefix, rest = _STRING.fullmatch(value).groups()
    kind = prefix.lower()
    if kind == "ur":
        # A raw one still knew \u and \U.
        quote = rest[:3] if rest[:3] in ("'''", '"""') else rest[0]
        body = rest[len(quote) : -len(quote)]
        if not re.search(r"(?<!\\)(?:\\\\)*\\u", body):
            return "r" + rest
        body = re.sub(r"\\(?!u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})", r"\\\\", body)
        return quote + body + quote
    if kind == "" and not literals:
        return _ESCAPES.sub(r"\1\\\\", value)
    return value


def _take_targets(tree, found):
    """Gives exceptions that are unpacked (``except E, (a, b)``) names, by which `found` has the targets' text."""
    for node in tree.pre_order():
        children = node.children
        if len(children) == 4 and str(children[0]).strip() == "except" and str(children[2]).strip() == ",":
            target = children[3]
            if target.children:
                name = f"_slimft_raised_{len(found)}"
                found[name] = str(target).strip()
                leaf = next(target.leaves()).clone()
                leaf.type, leaf.value, leaf.prefix = _NAME, name, " "
                target.replace(leaf)


def _unpacked(target, name):
    """The statement that begins the handler of such an exception."""
    (made,) = ast.parse(f"{target} = {name}").body
    if isinstance(made.targets[0], (ast.Tuple, ast.List)):
        made.value = ast.Attribute(made.value, "args", ast.Load())
    for part in ast.walk(made):
        for place in ("lineno", "end_lineno", "col_offset", "end_col_offset"):
            vars(part).pop(place, None)
    return made


def _expanded(text):
    """The text with spaces for the tabs that lines begin with, as in Python 2 eight to a tab; not in strings."""
    if not re.search(r"^[ \f]*\t", text, re.MULTILINE):
        return text
    from fissix.pgen2 import tokenize

    within: set[int] = set()
    for kind, _, begin, end, _ in tokenize.generate_tokens(io.StringIO(text).readline):
        if kind == _LITERAL:
            within.update(range(begin[0] + 1, end[0] + 1))
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if number not in within:
            rest = line.lstrip(" \t\f")
            lines[number - 1] = line[: len(line) - len(rest)].replace("\f", "").expandtabs(8) + rest
    return "\n".join(lines)
