"""Notebooks run as scripts do: cells in order, in one namespace, without what only Jupyter knows."""

import json
import os
import pathlib
import subprocess
import sys
import traceback

import pytest

from slimft.cli import run_legacy
from slimft.errors import UsageError
from slimft.legacy import ages, notebooks


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A function that runs these sources as a notebook's cells of code, and returns their namespace."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    monkeypatch.setenv("MPLBACKEND", "Agg")
    path = str(tmp_path / "of_2017.ipynb")

    def of(*sources, version=4):
        cells = [{"cell_type": "markdown", "source": "%%no code"}]
        key = "source" if version == 4 else "input"
        cells += [{"cell_type": "code", key: source.splitlines(keepends=True)} for source in sources]
        content = {"cells": cells} if version == 4 else {"worksheets": [{"cells": cells}]}
        with open(path, "w") as file:
            json.dump({"nbformat": version, "metadata": {}, **content}, file)
        script = ages.install([str(tmp_path)])
        notebooks.run(path, notebooks.read(path), script)
        return vars(sys.modules["__main__"])

    yield of
    ages.uninstall()


@pytest.mark.parametrize("version", [3, 4])
def test_cells_share_one_namespace(run, version):
    names = run(
        "from __future__ import annotations\na = 1", "def f(x: b): return a + x", "c = f(2)", version=version
    )
    assert names["c"] == 3 and names["f"].__annotations__ == {"x": "b"}


def test_what_is_jupyters_is_skipped_and_said_once(run, capsys):
    names = run(
        "%matplotlib inline\n%load_ext autoreload\nimport os",
        "!pip install 'a' \\\n    b(\nif True:\n    !ls\n%matplotlib inline\n%time t = 3",
        "%%bash\nrm -rf everything",
        "%%time\nu = 4\nos.path?",
        "files = !ls\nv = (7\n% 4)\ntext = '''\n%time\n!ls'''",
    )
    assert (names["t"], names["u"], names["v"], names["text"]) == (3, 4, 3, "\n%time\n!ls")
    assert "files" not in names
    said = capsys.readouterr().err
    assert said.count("%matplotlib (cell 1, line 1) is Jupyter's") == said.count("%matplotlib") == 1
    assert said.count("!command (cell 2, line 1)") == said.count("!command") == 1
    assert "%%bash (cell 3, line 1)" in said and "? (cell 4, line 3)" in said


def test_old_names_are_there_and_those_of_earlier_cells_stay(run, capsys):
    names = run("import numpy as np\nxrange = list", "a = np.float, xrange('ab'), reduce(max, [1, 2])")
    assert names["a"] == (float, ["a", "b"], 2)
    said = capsys.readouterr().err
    assert "np.float (of_2017.ipynb, cell 2, line 1)" in said and "reduce" in said and "xrange" not in said


def test_an_error_names_the_cell_and_the_line(run):
    with pytest.raises(ZeroDivisionError) as raised:
        run("a = 1", "b = 2\n1 / 0", "never = run")
    last = traceback.extract_tb(raised.tb)[-1]
    assert os.path.basename(last.filename) == "of_2017.ipynb, cell 2" and (last.lineno, last.line) == (2, "1 / 0")
    with pytest.raises(SyntaxError) as wrong:
        run("a = 1", "%matplotlib inline\na = = 1")
    assert wrong.value.filename.endswith("cell 2") and wrong.value.lineno == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("print(1)", "is no notebook"),
        ("[]", "is no notebook"),
        ('{"nbformat": 4}', "is no notebook"),
        ('{"nbformat": 2, "worksheets": []}', "nbformat 2"),
        ('{"nbformat": 4, "cells": [], "metadata": {"kernelspec": {"language": "R"}}}', "notebook of R"),
    ],
)
def test_what_cannot_be_run_is_refused(tmp_path, text, says):
    path = tmp_path / "a.ipynb"
    path.write_text(text)
    with pytest.raises(UsageError, match=says):
        notebooks.read(str(path))


def test_a_module_of_a_package_that_needs_old_names_itself(tmp_path, warm_python):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("import numpy as np\nkind = np.float\n")
    (tmp_path / "package" / "go.py").write_text("import sys\nfrom package import kind\nprint(kind, sys.argv[1:])\n")
    root = pathlib.Path(run_legacy.__file__).parents[2]
    for module, status, says in (
        ("package.go", 0, "<class 'float'> ['--a']"),
        ("package.gone", 2, "-m package.gone"),
    ):
        ran = subprocess.run(
            [warm_python, str(root / "bin" / "run_legacy"), "-m", module, "--a"],
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True, text=True,
        )  # fmt: skip
        assert ran.returncode == status and says in ran.stdout + ran.stderr


def test_run_legacy_refuses_what_is_no_notebook(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    monkeypatch.setattr(sys, "path", list(sys.path))
    path = tmp_path / "a.ipynb"
    path.write_text("{}")
    assert run_legacy.main(["run_legacy", str(path)]) == 2
    assert "is no notebook" in capsys.readouterr().err
