"""The examples in docstrings, of every module that has some."""

import contextlib
import doctest
import importlib
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
MODULES = sorted(
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for file in (ROOT / "slimft").rglob("*.py")
    if ">>> " in file.read_text(encoding="utf-8")
)
# What a newcomer looks up first.
EXPECTED = ("checkpoint", "data.loading", "filters", "nets.registry", "renaming", "restore")


@pytest.mark.parametrize("module", MODULES)
def test_docstrings(module, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    loaded = importlib.import_module(module)
    with loaded.tf.Graph().as_default() if "tf" in vars(loaded) else contextlib.nullcontext():
        result = doctest.testmod(loaded)
    assert result.attempted and not result.failed


def test_the_functions_looked_up_first_have_examples():
    assert {f"slimft.{module}" for module in EXPECTED} <= set(MODULES)
