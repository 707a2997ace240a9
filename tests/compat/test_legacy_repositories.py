"""bench/legacy_repositories.py, which drives public repositories: its cases, how it drives and how it judges."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    import legacy_repositories

    return legacy_repositories


def test_each_driver_names_its_repository(bench):
    cases = bench.cases()
    assert len(cases) >= 30
    assert len({case.repository for case in cases}) == len(cases)
    for case in cases:
        assert case.kind and "\n" not in case.kind


def test_a_driver_without_a_commit_is_refused(bench, tmp_path):
    driver = tmp_path / "driver.py"
    driver.write_text('"""owner/name main\n\nA network.\n"""\n')
    with pytest.raises(ValueError, match="COMMIT"):
        bench.read_case(driver)


@pytest.mark.parametrize(
    ("output", "status", "stage", "error"),
    [
        ("stage: imported\nstage: restored\n", 0, "restored", ""),
        ("stage: imported\nTraceback\n  File x\nValueError: no shape\n", 1, "imported", "ValueError: no shape"),
        ("stage: restored\nstage: none (second)\nlib.Error: gone\nbye\n", 1, "none", "lib.Error: gone"),
        ("stage: graph\nstage: step\n", -9, "step", "stage: step"),
        ("", -11, "none", "exit status -11"),
    ],
)
def test_what_is_printed_is_judged(bench, output, status, stage, error):
    assert bench.judge(output, status) == (stage, error)


def test_a_repository_is_driven_in_a_copy(bench, tmp_path):
    """A made-up one of two files: a model, and a driver that trains it."""
    clone, driver = tmp_path / "owner+model", tmp_path / "owner.py"
    clone.mkdir()
    (clone / "model.py").write_text(
        "import tensorflow as tf\n"
        "def loss():\n"
        "    return tf.contrib.layers.l2_regularizer(1.0)(tf.get_variable('w', [2]))\n"
    )
    commit = "0123456789" * 4
    driver.write_text(
        f'"""owner/model {commit}\n\nA made-up model.\n"""\n'
        "import driver_stages as stages\nimport model\n"
        "stages.reached('imported')\nopen('written', 'w').close()\nstages.train(model.loss())\n"
    )
    outcome = bench.run(bench.read_case(driver), clone, seconds=100, gibibytes=8, log=tmp_path / "log")
    assert outcome == ("restored", ""), (tmp_path / "log").read_text()
    assert os.listdir(clone) == ["model.py"]
    assert f"| owner/model | `{commit[:7]}` | A made-up model | saved and restored |  |" in bench.table(
        [(bench.read_case(driver), outcome)]
    )


def test_another_commit_is_not_driven(bench, tmp_path, monkeypatch, capsys):
    clone = tmp_path / "abisee+pointer-generator"
    subprocess.run(["git", "init", "-q", str(clone)], check=True)
    settings = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "-C", str(clone), *settings, "commit", "-q", "--allow-empty", "-m", "a"], check=True)
    monkeypatch.setattr("sys.argv", ["bench", "--clones", str(tmp_path), "--only", "pointer_gen", "--page",
                                     str(tmp_path / "page")])  # fmt: skip
    assert bench.main() == 1
    assert "the clone is at" in (tmp_path / "page").read_text()
