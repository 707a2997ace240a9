"""bin/report as a command."""

import dataclasses
import json
import pathlib
import subprocess
import sys

import pytest

from slimft.cli.report import main
from slimft.runs.settings import Settings

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def run(tmp_path):
    """Makes a run's directory with a setting of its own and an accuracy."""

    def make(name, accuracy, **changes):
        folder = tmp_path / name
        folder.mkdir()
        settings = dataclasses.asdict(Settings(model="vgg_16")) | changes
        (folder / "settings.json").write_text(json.dumps(settings))
        record = {"step": 70, "accuracy": 1 - accuracy, "loss": 0.5}
        history = {"train": [], "validation": [record], "best_step": 70, "metric": "accuracy"}
        (folder / "history.json").write_text(json.dumps(history))
        figures = {"accuracy": accuracy, "loss": 0.5, "step": 70, "split": "test"}
        result = {"result": figures, "seconds": 61, "images_per_second": 12.3}
        (folder / "result.json").write_text(json.dumps(result))
        return str(folder)

    return make


def test_one_run(run, capsys):
    folder = run("first", 0.5)
    assert main(["report", folder]) == 0
    assert capsys.readouterr().out == f"{folder}/report.html\n"
    assert "50.0 %" in pathlib.Path(folder, "report.html").read_text()


def test_several_runs(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folders = [run("first", 0.5, seed=1), run("second", 0.7, seed=2)]
    assert main(["report", *folders]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("run ") and lines[0].endswith("  differs in")
    assert lines[2].split() == "first 1 0.5000* – 0.5000 70 1 min 01 s 12.3 --seed=1".split()
    assert lines[3].split()[:3] == ["second", "2", "0.3000"] and lines[3].endswith("  --seed=2")
    assert lines[4].split()[:7] == ["mean", "of", "2", "–", "0.4000", "±", "0.1414"]
    assert lines[6].startswith("run ") and lines[6].split()[1:3] == ["test", "accuracy"]
    assert [line.split() for line in lines[8:10]] == [
        ["first", "0.5000", "–", "0.5000", "–"],
        ["second", "0.7000", "–", "0.5000", "–"],
    ]
    assert lines[10].split()[:6] == ["mean", "of", "2", "0.6000", "±", "0.1414"]
    assert lines[-1] == "comparison.html" and (tmp_path / "comparison.html").exists()
    assert main(["report", *folders, f"--output={tmp_path / 'other.html'}"]) == 0
    assert (tmp_path / "other.html").read_bytes() == (tmp_path / "comparison.html").read_bytes()


def test_bad_input(run, tmp_path, capsys):
    good, bad = run("good", 0.5), run("bad", 0.5)
    pathlib.Path(bad, "result.json").write_text('{"result": 7}')
    for arguments, words in [
        ([], "name the --train_dir"),
        ([str(tmp_path)], "settings.json is missing"),
        ([good, str(tmp_path / "nowhere")], "nowhere is no run of bin/finetune"),
        ([bad], "bad/result.json is no file of a run: result is a number"),
        ([good, bad], "bad/result.json"),
        ([good, good], "named twice"),
        ([good, "--output=x.html"], "--output is for a comparison"),
        ([good, bad, f"--output={tmp_path}/no/x.html"], "there is no directory"),
        (["--outptu=x"], "outptu"),
    ]:
        assert main(["report", *arguments]) == 2
        captured = capsys.readouterr()
        assert words in captured.err and captured.err.count("\n") == 1 and not captured.out


def test_the_script_needs_no_tensorflow(run):
    code = "import sys; sys.modules['tensorflow'] = None; sys.argv[0] = 'report'; exec(open('bin/report').read())"
    code = code.replace("exec(", "__file__ = 'bin/report'; exec(")
    done = subprocess.run([sys.executable, "-c", code, run("one", 0.5)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.endswith("report.html\n"), done.stderr
