"""The files of attacks/: each command of its README ends as that says."""

import fnmatch
import os
import pathlib
import pickle
import re
import resource
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ATTACKS = HERE / "attacks"
ROOT = HERE.parents[1]
# Beyond Python's, NumPy's and h5py's own.
MOST_BYTES = 300 << 20
ROW = re.compile(
    r"\| `(?P<file>[^`]+)` \| .* \| (?P<command>\w+)(?: (?P<kind>\w+))? \| (?P<status>\d) \| (?P<says>.*) \|"
)
LINES = (ATTACKS / "README.md").read_text().splitlines()
ROWS = [match.groupdict() for match in map(ROW.fullmatch, LINES) if match]


def limit():
    resource.setrlimit(resource.RLIMIT_CPU, (60, 60))


@pytest.mark.parametrize("row", ROWS, ids=[row["file"] for row in ROWS])
def test_the_command_ends_as_the_readme_says(row, tmp_path):
    pytest.importorskip("h5py")
    tool = [ROOT / "bin/inspect_checkpoint", "--stats"]
    if row["command"] == "read":
        tool = [HERE / "run", f"--target={row['kind']}", "--no-reference", "--read"]
    errors = tmp_path / "errors"
    with open(errors, "wb") as stream:
        done = subprocess.Popen(
            [sys.executable, *tool, ATTACKS / row["file"]],
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=stream, preexec_fn=limit,
        )  # fmt: skip
        output = done.stdout.read().decode()
        _, status, usage = os.wait4(done.pid, 0)
        done.returncode = os.waitstatus_to_exitcode(status)
    said = errors.read_text() if row["command"] == "inspect" else output
    assert done.returncode == int(row["status"]), output + errors.read_text()
    line = said.replace("\r", "\n").splitlines()[-1]
    pattern = "*".join(re.sub(r"([*?[])", r"[\1]", part) for part in row["says"].split("..."))
    assert fnmatch.fnmatchcase(line, pattern), line
    assert "Traceback" not in errors.read_text() and usage.ru_maxrss * 1024 < MOST_BYTES
    assert [path.name for path in tmp_path.iterdir()] == ["errors"]


def test_each_file_has_a_row():
    files = {path.name for path in ATTACKS.iterdir()} - {"README.md", "make.py", "__pycache__"}
    named = {row["file"] for row in ROWS}
    assert {re.sub(r"\.(index|data-.*)$", "", name) for name in files} == named


def test_the_pickle_would_do_harm_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pickle.loads((ATTACKS / "system.pickle").read_bytes())
    assert (tmp_path / "slimft-was-attacked").exists()


def test_the_numbers_of_the_readme_are_those_of_the_files():
    """A file that was made again, and became harmless, would pass."""
    sizes = {path.name: path.stat().st_size for path in ATTACKS.iterdir()}
    assert sizes["fill.pb"] == 66 and sizes["compressed-twice.h5"] == 4060 and sizes["pixels.webp"] == 38
    assert sum(sizes.values()) < 500_000
