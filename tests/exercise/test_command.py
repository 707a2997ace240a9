"""bin/exercise, as a person types it."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from slimft import write_checkpoint
from slimft.checkpoint.official import find_release
from slimft.cli.exercise import main, seconds_of
from slimft.errors import UsageError

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """A folder with a MobileNet V1 of random weights by the official one's name."""
    folder, release = tmp_path_factory.mktemp("checkpoints"), find_release("mobilenet_v1")
    rng = np.random.default_rng(0)
    values = {
        name: (np.ones(shape) if "variance" in name else rng.normal(0, 0.05, shape)).astype(np.float32)
        for name, shape in release.variables.items()
    }
    write_checkpoint(folder / release.file, values)
    return folder


@pytest.fixture
def smoke(tmp_path, checkpoints):
    """What makes a command quick and offline."""
    where = [f"--dir={tmp_path / 'exercise'}", f"--checkpoint_dir={checkpoints}", "--nofetch"]
    return ["--scale=smoke", "--dataset=digits", *where]


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    monkeypatch.setenv("SLIMFT_CHECKPOINTS", os.environ.get("SLIMFT_CHECKPOINTS", ""))


def test_a_time():
    assert [seconds_of(text) for text in ("20m", "2h", "1h30m", "90s", None)] == [1200, 7200, 5400, 90, None]
    for wrong in ("", "20", "2 h", "m", "-5m", "5s", "0h", "99999999h", "1e3m"):
        with pytest.raises(UsageError, match="--budget="):
            seconds_of(wrong)


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["vgg16_al"], "there is no step 'vgg16_al'; did you mean vgg16_all?"),
        (["--budget=20"], "--budget=20 is no time; write 20m, 2h or 1h30m"),
        (["--scale=large"], "--scale"),
        (["--voc_dir=nowhere"], "--voc_dir=nowhere is no folder; name one in VOC's layout, or voc2012"),
        (["--data_dir=tests", "--budget=1m", "--nofetch"], "holds no CIFAR-10"),
        (["--voc_dir=tests"], "--voc_dir=tests is not in VOC's layout: it has no folder JPEGImages"),
        (["--seeds=1000000"], "--seeds"),
        (["--dir=README.md", "--dataset=digits"], "README.md cannot be made: File exists; name another --dir"),
        (["--report", "--dir=nowhere"], "--dir=nowhere is not there; name the directory of an exercise"),
    ],
)
def test_what_cannot_work_is_one_line(arguments, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert main(["exercise", f"--dir={tmp_path}", *arguments]) == 2
    told = capsys.readouterr()
    assert said in told.err and len(told.err.strip().splitlines()) == 1 and not told.out


def test_a_page_of_others_is_not_overwritten(tmp_path, capsys):
    (tmp_path / "index.html").write_text("<title>My page</title>")
    assert main(["exercise", "--report", f"--dir={tmp_path}"]) == 2
    assert "is not of an exercise, and would be overwritten" in capsys.readouterr().err
    assert (tmp_path / "index.html").read_text() == "<title>My page</title>"


def test_the_list_needs_nothing(capsys, tmp_path):
    assert main(["exercise", "--list", "--nofetch", f"--dir={tmp_path}/none", "all"]) == 0
    told = capsys.readouterr().out
    assert (
        "(b) pre-trained VGG-16, only fc8 trains" in told and "bin/finetune --model=vgg_16 --recipe=scratch" in told
    )
    assert "[needs --voc_dir" in told and not (tmp_path / "none").exists()


def test_a_step_is_run_told_of_and_not_run_again(smoke, capsys, tmp_path):
    assert main(["exercise", *smoke, "size32", "densenet121_all"]) == 0
    table, _, last = capsys.readouterr().out.rstrip().rpartition("\n")
    result = json.loads(last)
    assert result["done"] == 1 and result["runs"] == 2 and result["failed"] == []
    assert "densenet_121.ckpt in --checkpoint_dir" in result["missing"]["densenet121_all"]
    assert pathlib.Path(result["report"]).is_file() and pathlib.Path(result["table"]).is_file()
    assert "\nsize32 " in table and "densenet121_all: needs densenet_121.ckpt" in table
    report = tmp_path / "exercise/digits-smoke/size32/report.html"
    before = report.stat().st_mtime_ns
    assert main(["exercise", *smoke, "size32"]) == 0
    assert report.stat().st_mtime_ns == before
    assert json.loads(capsys.readouterr().out.rstrip().splitlines()[-1])["done"] == 1


# Runs bin/exercise with the second argument for the interpreter of its steps.
RUN = """
import runpy, sys, types
from slimft.exercise import running

_, path, executable, *rest = sys.argv
running.sys = types.SimpleNamespace(executable=executable)
sys.argv = [path, *rest]
runpy.run_path(path, run_name="__main__")
"""


def test_a_signal_stops_it_and_nothing_is_left_running(smoke, tmp_path, warm_python, number=signal.SIGINT):
    command = [warm_python, "-c", RUN, str(ROOT / "bin/exercise"), warm_python, *smoke, "size32", "size64"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    settings = tmp_path / "exercise/digits-smoke/size32/settings.json"
    while not settings.exists() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 128 + number, err
    result = json.loads(out.rstrip().splitlines()[-1])
    assert result["done"] <= 1 and result["runs"] == 2
    assert "the same command goes on" in err
    # The same command has it all: no other process holds a lock.
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.rstrip().splitlines()[-1])["done"] == 2


def test_two_at_once_in_one_directory(smoke, tmp_path, capsys):
    from slimft.runs.directory import locked

    folder = tmp_path / "exercise"
    folder.mkdir()
    code = (
        f"from slimft.runs.directory import locked\nwith locked({str(folder)!r}): print('x', flush=True); input()"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as other:
        other.stdout.readline()
        assert main(["exercise", *smoke, "size32"]) == 2
        other.communicate(b"\n")
    told = capsys.readouterr().err
    assert "in use by another process" in told and "--dir=" in told
    with locked(str(folder)):
        pass
