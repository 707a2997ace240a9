"""What the documentation says of Python is so: its blocks run, its names are there, what is public is listed."""

import functools
import importlib
import os
import pathlib
import re
import subprocess

import numpy as np
import pytest

import slimft

ROOT = pathlib.Path(__file__).resolve().parents[1]
FILES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"^(?:<!-- not run: (.+?) -->\n)?^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"(?<![\w./-])slimft(?:\.\w+)+")


def blocks_of(file):
    """The Python blocks of a page: why one is not run, or an empty string; and the code."""
    return _BLOCK.findall(file.read_text(encoding="utf-8"))


RUN = [file for file in FILES if any(not reason for reason, _ in blocks_of(file))]


@functools.cache
def is_there(name):
    """Whether a dotted name that begins with slimft can be had."""
    found, parts = slimft, name.split(".")[1:]
    for depth, part in enumerate(parts, 1):
        try:
            found = getattr(found, part)
        except AttributeError:
            try:
                found = importlib.import_module(".".join(["slimft", *parts[:depth]]))
            except ImportError:
                return False
    return True


@pytest.fixture
def folder(tmp_path):
    """A folder with a small file by the name that the pages use."""
    values = {"vgg_16/fc8/weights": np.zeros([1, 1, 4096, 1000]), "vgg_16/fc8/biases": np.ones([1000])}
    slimft.write_checkpoint(
        tmp_path / "vgg_16.ckpt", {name: value.astype(np.float32) for name, value in values.items()}
    )
    return tmp_path


@pytest.mark.parametrize("file", RUN, ids=lambda file: file.name)
def test_blocks_run_one_after_the_other(file, folder, warm_python):
    code = "\n".join(block for reason, block in blocks_of(file) if not reason)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [warm_python, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    if file.name == "api.md":
        assert (folder / "runs/first/report.html").exists() and "MobilenetV1/Logits" in done.stdout


def test_most_pages_have_blocks_that_run():
    assert {file.name for file in RUN} >= {"api.md", "checkpoints.md", "legacy.md"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_what_a_page_names_is_there(file):
    for _, block in blocks_of(file):
        compile(block, file.name, "exec")
    names = set(_NAME.findall(file.read_text(encoding="utf-8")))
    assert [name for name in sorted(names) if not is_there(name)] == []


def test_what_is_public_is_listed_and_can_be_had():
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    listed = [name for row in rows for name in re.findall(r"`slimft\.(\w+)`", row.split(" | ")[0])]
    assert sorted(listed) == sorted(set(listed)), "a name is listed twice"
    assert set(listed) == set(slimft.__all__)
    for name in slimft.__all__:
        assert is_there(f"slimft.{name}"), name
        documented = getattr(slimft, name)
        assert name == "__version__" or documented.__doc__, f"{name} has no docstring"
