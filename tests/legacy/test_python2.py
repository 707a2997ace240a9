"""Python 2 code: what bin/run_legacy --python2 makes of it is what Python 2.7.18 printed.

The scripts in the folder python2 were run with Python 2.7.18 and NumPy 1.16.6: what they printed is in the files
.txt beside them, without spaces at the ends of lines (``print x,`` leaves one here).
"""

import ast
import builtins
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from slimft.cli import run_legacy
from slimft.errors import UsageError
from slimft.legacy import ages, notebooks
from slimft.legacy.ages.python2 import source, values

HERE = pathlib.Path(__file__).parent / "python2"
MODULES = ("old_package", "of_2012", "helper_of_2012")


def without_ends(text):
    return [line.rstrip() for line in text.splitlines()]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs lines as a script of Python 2, in its folder; returns its module's names."""
    monkeypatch.syspath_prepend(tmp_path)

    def ran(*lines, data=None, **options):
        path = tmp_path / "script.py"
        path.write_bytes(data if data is not None else ("\n".join(lines) + "\n").encode())
        script = ages.install([str(tmp_path)], python2=True, **options)
        code = script.compile(path.read_bytes(), str(path))
        names = {"__name__": "__main__", "__file__": str(path), **script.names_of(code)}
        exec(code, names)
        return names

    yield ran
    ages.uninstall()
    for name in [name for name in sys.modules if name.partition(".")[0] in MODULES]:
        del sys.modules[name]


@pytest.fixture
def as_command(warm_python):
    """Runs bin/run_legacy in a process of its own; returns what `subprocess.run` does."""

    def as_command(*arguments, cwd):
        command = [warm_python, str(HERE.parents[2] / "bin" / "run_legacy"), *map(str, arguments)]
        environment = {**os.environ, "PYTHONPATH": str(HERE.parents[2]), "TF_CPP_MIN_LOG_LEVEL": "3"}
        return subprocess.run(command, cwd=cwd, capture_output=True, text=True, env=environment, timeout=300)

    return as_command


@pytest.mark.filterwarnings("ignore:assertion is always true:SyntaxWarning")
@pytest.mark.parametrize("name", sorted(path.stem for path in HERE.glob("*.txt")))
def test_it_prints_what_python_2_printed(name, monkeypatch, capsys):
    monkeypatch.syspath_prepend(HERE)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    script = ages.install([str(HERE)], python2=True)
    try:
        run_legacy._run_file(script, str(HERE / f"{name}.py"))
    finally:
        ages.uninstall()
        for module in [module for module in sys.modules if module.partition(".")[0] == "old_package"]:
            del sys.modules[module]
    assert without_ends(capsys.readouterr().out) == without_ends((HERE / f"{name}.txt").read_text())


def test_nothing_is_left_behind(run):
    run("print 7 / 2, map(str, [1])", "exec 'x = range(2)' in {}")
    ages.uninstall()
    assert not [name for name in vars(builtins) if "python2" in name]
    assert [*map(str, [1])] == ["1"] and type(map(str, [1])) is map


LINES = '''\
import sys
def deep((a, b), c):
    """Two

    lines"""
    try:
        raise KeyError, \\
            "x"
    except KeyError, (e,):
        print "first", \\
            e
    found = {"a":
             a}
    return found["nope"] \\
        + c
class Own:
    __metaclass__ = type
    def call(self):
        return deep((1, 2), 3)
Own().call()
'''


def test_lines_are_those_of_the_file(as_command, tmp_path):
    (tmp_path / "script.py").write_text("import helper\n")
    (tmp_path / "helper.py").write_text(LINES)
    done = as_command("--python2", "script.py", cwd=tmp_path)
    assert done.returncode == 1 and "first x" in done.stdout
    assert [line.strip() for line in done.stderr.splitlines()[-9:] if "importlib" not in line][-7:] == [
        f'File "{tmp_path}/helper.py", line 20, in <module>',
        "Own().call()",
        f'File "{tmp_path}/helper.py", line 19, in call',
        "return deep((1, 2), 3)",
        f'File "{tmp_path}/helper.py", line 14, in deep',
        'return found["nope"] \\',
        "KeyError: 'nope'",
    ]
    assert done.stderr.count("slimft: ") == 1 and "what is run is Python 2" in done.stderr
    assert (tmp_path / "helper.py").read_text() == LINES


def test_every_line_of_a_long_file():
    """Each statement has its line, after statements that grow when they are converted."""
    block = ["def f{0}((a, b), c):", "  '''d", "  d'''", "  try: pass", "  except E, (a, b): print a,",
             "  return `a`, \\", "     0777", "x{0} = lambda (a, b): a", "",
             "# a comment", "exec 'a' in {{}}"]  # fmt: skip
    text = "".join(line.format(n) + "\n" for n in range(50) for line in block)
    tree, is_python_2, notes = source.parse(text, "long.py")
    assert is_python_2 and not notes
    lines = text.splitlines()
    for node in tree.body:
        word = {"FunctionDef": "def", "Assign": "x", "Expr": "exec"}[type(node).__name__]
        assert lines[node.lineno - 1].startswith(word)
        if isinstance(node, ast.FunctionDef):
            assert lines[node.lineno - 1].startswith(f"def {node.name}(")
            assert lines[node.body[-1].lineno - 1].lstrip().startswith("return")


@pytest.mark.parametrize(
    "text",
    [
        "print(f'{1}')", "x: int = 1", "def f(*, a): pass", "def f() -> int: pass", "print(1, file=None)",
        "a, *b = 1, 2", "class A(metaclass=type): pass",
        "class A:\n  def f(self): super().f()", "async def f(): pass",
        "try:\n  pass\nexcept E:\n  raise F from None", "print(*[1])", "x = 1 @ 2", "def f():\n  yield from []",
    ],
)  # fmt: skip
def test_what_python_2_cannot_read_stays(text):
    assert not source.parse(text + "\nx = 1 / 2\n", "new.py")[1]


def test_python_3_beside_python_2(run, tmp_path, capsys):
    (tmp_path / "helper_of_2012.py").write_text("print(f'{7 / 2}', sep='')\n")
    run("import helper_of_2012", "print 7 / 2")
    captured = capsys.readouterr()
    assert captured.out == "3.5\n3\n"
    assert "helper_of_2012.py is Python 3, and is not converted" in captured.err


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"# coding: latin-1\nx = u'\xe9'\n", "\xe9"),
        (b"#!/usr/bin/python\n# vim: set fileencoding=koi8-r :\nx = u'\xc1'\n", "\u0430"),
        ("x = u'\xe9'\n".encode(), "\xe9"),
        (b"# \xe9\nx = 1\r\nprint x\r\n", 1),
        (b"\xef\xbb\xbfx = u'\xc3\xa9'", "\xe9"),
        (b"if 1:\n\tif 1:\n            x = 1\n        y = 2\n", 1),
        (b"x = '''\n\ta'''\nif 1:\n\tpass\n        x += 'b'\n", "\n\tab"),
        (b"def f(async, await=0): return async\nx = f(async=010L), 7L.__index__(), 0\n", (8, 7, 0)),
        (b"", None),
        (b"# only a comment", None),
    ],
)
def test_bytes_of_files(run, data, expected):
    assert run(data=data).get("x") == expected


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"print 'a'\nx = = 2\n", ("line 2", "invalid syntax")),
        (b"print 'a'\nx = (1,\n", ("line", "EOF")),
        (b"print 'a'\nif 1:\n    x\n  y\n", ("line 4",)),
        (b"# coding: nothing\n", ("line 1", "unknown encoding")),
        (b"# coding: utf-8\n\nx = '\xe9'\n", ("line 3", "utf-8")),
        (b"print 'a'\ndef f():\n    from os import *\n", ("line 3", "import *")),
        (b"x = 'a\x00'\n", ("line 1",)),
        (b"print 1\n" + b"(" * 3000 + b")" * 3000 + b"\n", ("line",)),
    ],
)
def test_what_cannot_be_converted(tmp_path, monkeypatch, capsys, data, words):
    import slimft.compat

    monkeypatch.setattr(sys, "argv", list(sys.argv))
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "bad.py").write_bytes(data)
    try:
        assert run_legacy.main(["run_legacy", "--python2", str(tmp_path / "bad.py")]) == 2
    finally:
        ages.uninstall()
        slimft.compat.uninstall()
    line = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("slimft:")][-1]
    for word in (f"run_legacy: {tmp_path / 'bad.py'}", *words):
        assert word in line


def test_without_fissix(run, monkeypatch):
    monkeypatch.setattr(source, "_tools", [])
    monkeypatch.setitem(sys.modules, "fissix", None)
    with pytest.raises(UsageError, match=r"pip install 'slimft\[python2\]'"):
        run("print 1")


def test_module_of_a_package(as_command, tmp_path):
    package = tmp_path / "package" / "part"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").write_text("")
    (package / "sibling.py").write_text("value = 9 / 2\n")
    (package / "main.py").write_text("import sys, sibling\nprint sibling.value, sibling.__name__, sys.argv[1:]\n")
    done = as_command("--python2", "-m", "package.part.main", "--flag=1", cwd=tmp_path)
    assert done.stdout == "4 package.part.sibling ['--flag=1']\n", done.stderr


def test_notebook(tmp_path, capsys):
    cells = ["%matplotlib inline\nprint 7 / 2,\n!ls\nprint 1", "from __future__ import division\nx = 1",
             "print 7 / 2", "d = {1: 2}\nraise ValueError, d.keys()[0]"]  # fmt: skip
    written = [{"cell_type": "code", "source": cell} for cell in cells]
    path = tmp_path / "old.ipynb"
    path.write_text(json.dumps({"nbformat": 4, "cells": written}))
    before = sys.modules["__main__"]
    script = ages.install([str(tmp_path)], python2=True)
    try:
        with pytest.raises(ValueError, match="1") as caught:
            notebooks.run(str(path), notebooks.read(str(path)), script)
    finally:
        ages.uninstall()
        sys.modules["__main__"] = before
    assert capsys.readouterr().out == "3 1\n3.5\n"
    assert caught.traceback[-1].frame.code.raw.co_filename == f"{path}, cell 4" and caught.traceback[-1].lineno == 1


def test_division_in_graphs(run):
    """Names and values as TensorFlow 1.15.5 gives them under `__div__`: ints are rounded down."""
    tf = pytest.importorskip("slimft.compat").tf
    with tf.Graph().as_default():
        names = run(
            "from slimft.compat import tf",
            "a = tf.constant([7, -7])",
            "v = tf.Variable([7.0, -7.0], name='v')",
            "found = [a / 2, a / tf.constant(2), v / 2, 2.0 / v, 15 / a]",
            "size = tf.zeros([4, 6]).get_shape()[1] / 4, tf.zeros([9, 2]).shape[0].value / 2",
            "a /= 2",
        )
        found = [*names["found"], names["a"]]
        assert [tensor.op.name for tensor in found] == ["div", "div_1", "div_2", "div_3", "div_4", "div_5"]
        kinds = ["FloorDiv", "FloorDiv", "RealDiv", "RealDiv", "FloorDiv", "FloorDiv"]
        assert [tensor.op.type for tensor in found] == kinds
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            results = session.run(found)
    expected = [[3, -4], [3, -4], [3.5, -3.5], [2 / 7, -2 / 7], [2, -3], [3, -4]]
    for result, right in zip(results, expected):
        np.testing.assert_allclose(result, right, rtol=1e-6)
    assert names["size"] == (1, 4)


def test_rounding_as_a_property():
    """`round` is exact: halves away from zero, by fractions."""
    rng = np.random.default_rng(0)
    for value in [*rng.normal(scale=100, size=200), *(n / 8 for n in range(-40, 40))]:
        for digits in (-2, -1, 0, 1, 2, 5):
            numerator, denominator = float(value).as_integer_ratio()
            scaled = abs(numerator) * 10**digits if digits >= 0 else abs(numerator)
            below = denominator if digits >= 0 else denominator * 10**-digits
            whole = (2 * scaled + below) // (2 * below)
            right = whole / 10**digits if digits >= 0 else float(whole * 10**-digits)
            assert abs(values.rounded(value, digits)) == right
    assert values.rounded(float("inf")) == float("inf") and values.rounded(1.5, 400) == 1.5


@pytest.mark.parametrize(
    "text",
    ["print 'loss'", "exec 'x'", "raise ValueError, 'x'", "x = `1`", "x = 0777", "x = 10L", "x = ur'a'", "1 <> 2",
     "f = lambda (a, b): a", "def f(a, (b, c)): pass", "try:\n  pass\nexcept E, e:\n  pass",
     "if 1:\n\tif 1:\n            x = 1\n        y = 2"],
)  # fmt: skip
def test_python_2_is_known_without_the_flag(text):
    with pytest.raises(SyntaxError) as caught:
        compile(text + "\n", "old.py", "exec")
    assert run_legacy._is_python_2(caught.value)


def test_text_in_examples(run, tmp_path):
    import slimft.compat

    slimft.compat.install()
    try:
        names = run(
            "import tensorflow as tf",
            "feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=['text', b'\\xff']))",
            "example = tf.train.Example(features=tf.train.Features(feature={'a': feature}))",
            "read = tf.train.Example.FromString(example.SerializeToString())",
            "value = read.features.feature['a'].bytes_list.value[0]",
            "words = value.split('x'), value == 'text', '%s' % value, value + ' more'",
            "words += 'te' in value, value.upper()",
        )
    finally:
        ages.uninstall()
        slimft.compat.uninstall()
    assert list(names["feature"].bytes_list.value) == [b"text", b"\xff"]
    assert names["words"] == (["te", "t"], True, "text", "text more", True, "TEXT")
