"""The page of benchmarks is made of what `bench/run_all` leaves; nothing is timed here."""

import json
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))


def test_numbers_are_shown_shortly(bench):
    import rounds

    numbers = (0, 0.012345, 1.2345, 12.345, 99.96, 1234.5, 123456)
    assert [rounds.shortly(number) for number in numbers] == [
        "0",
        "0.0123",
        "1.23",
        "12.3",
        "100",
        "1,230",
        "123,000",
    ]
    assert rounds.Spread.of([3, 1, 2]).show() == "2.00 (1.00-3.00)"


def test_commands_run_in_turn(bench, tmp_path):
    import rounds

    script = tmp_path / "one.py"
    script.write_text("import sys\nprint('told')\nprint('{\"seconds\": ' + sys.argv[1] + '}')\n")
    found = rounds.alternate({"a": [script, "1"], "b": [script, "2.5"]}, 3)
    assert rounds.spreads(found, "seconds") == {"a": (1, 1, 1), "b": (2.5, 2.5, 2.5)}


def test_the_page_has_the_machine_tables_and_plots(bench, tmp_path):
    import pages
    import rounds

    points = [{"value": 2, "seconds": {"slimft": [1, 1, 1], "keras": [2, 2, 2]}}] * 2
    growth = {what: points for what in ("size", "batch", "images", "classes")}
    result = {"command": "python bench/growth.py", "machine": rounds.machine(), "output": "| a |\n| - |\n"}
    (tmp_path / "growth.json").write_text(json.dumps({**result, "figures": growth}))
    pages.write(tmp_path, tmp_path / "page.md")
    text = (tmp_path / "page.md").read_text()
    assert "cores of" in text and "| a |" in text and "bench/growth.py" in text and "## Training" not in text
    assert (tmp_path / "images" / "growth.svg").read_text().startswith("<?xml")


def test_without_a_gpu_it_says_so(bench):
    done = subprocess.run(
        [sys.executable, str(ROOT / "bench" / "gpu.py")],
        env={"CUDA_VISIBLE_DEVICES": "-1", "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "there is no GPU here" in done.stderr.splitlines()[-1]


@pytest.mark.slow
def test_everything_runs_at_toy_size(tmp_path):
    flags = [
        "--quick",
        f"--results={tmp_path}",
        "--only",
        "training",
        "evaluation",
        "memory",
        "growth",
        "restore_sizes",
    ]
    subprocess.run([str(ROOT / "bench" / "run_all"), *flags], check=True)
    assert "## Evaluation" in (tmp_path / "benchmarks.md").read_text()
