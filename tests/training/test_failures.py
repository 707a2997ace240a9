"""What was not foreseen: what was trained is kept, the message is one line, and it says the truth."""

import json
import os
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

import slimft
from slimft import DataError, TrainingError
from slimft.data.image_files import ImageFiles
from slimft.runs.directory import steps_saved
from slimft.training import Settings, finetune, signals
from slimft.training.run import Run


def pictures(folder, number=40):
    rng = np.random.default_rng(0)
    for label in "ab":
        (folder / label).mkdir(parents=True)
        for i in range(number):
            Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).save(folder / label / f"{i:03}.png")
    return folder


def settings(folder, **changes):
    fast = dict(model="tiny", batch_size=8, steps=30, learning_rate=0.01, save_secs=1e9)
    return Settings(**{**fast, "train_dir": str(folder / "run"), **changes})


def test_an_image_that_cannot_be_read_in_the_middle_keeps_what_was_trained(tiny, tmp_path):
    data = pictures(tmp_path / "data")
    given = dict(dataset="image_folder", data_dir=str(data), cache="off", image_size=16, eval_every=1000)
    order = []
    read = ImageFiles.read

    def noting(images, indices, side):
        order.extend(images.name(index) for index in indices)
        return read(images, indices, side)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ImageFiles, "read", noting)
        finetune(settings(tmp_path, train_dir=str(tmp_path / "probe"), steps=4, **given))
    bad = order[8 * 3]  # It first comes in step 4.
    first = order.index(bad) // 8
    # In the middle, where only decoding finds it.
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8)).save(bad)
    with open(bad, "r+b") as file:
        file.seek(os.path.getsize(bad) // 2)
        file.write(b"damage")
    with pytest.raises(DataError) as caught:
        finetune(settings(tmp_path, **given))
    message = str(caught.value)
    assert bad in message and f"step {first} is saved, and the command goes on from there" in message
    assert slimft.open_checkpoint(tmp_path / "run")["global_step"] == first
    assert (tmp_path / "run/report.html").exists()
    Image.new("RGB", (16, 16)).save(bad)
    assert finetune(settings(tmp_path, **given))["step"] == 30


def test_anything_else_keeps_it_too_and_says_where_its_traceback_is(tiny, tmp_path, monkeypatch):
    take_step = Run.take_step

    def failing(run, session, *feeds):
        if session.run(run.training.global_step) == 5:
            raise KeyError("no such thing\nand more of it")
        return take_step(run, session, *feeds)

    monkeypatch.setattr(Run, "take_step", failing)
    with pytest.raises(TrainingError) as caught:
        finetune(settings(tmp_path, dataset="digits"))
    message = str(caught.value)
    assert message.startswith("step 5: KeyError: ") and "\n" not in message
    assert "step 5 is saved" in message
    assert "KeyError" in (tmp_path / "run/traceback.txt").read_text()
    assert f"{tmp_path}/run/traceback.txt" in message
    assert isinstance(caught.value.__cause__, KeyError)
    assert slimft.open_checkpoint(tmp_path / "run")["global_step"] == 5
    monkeypatch.undo()
    assert finetune(settings(tmp_path, dataset="digits"))["step"] == 30


def test_too_little_memory_names_the_flags_that_help(fresh_tiny_command, tmp_path):
    """Many times the limit in one tensor: TensorFlow's allocator gets nothing from the system.

    A tensor that just fits leaves nothing for the small things, of which C++ then ends the process. oneDNN's
    allocator, which only says so after it has waited for memory for 20 seconds, is left out.
    """
    flags = ["--model=tiny", "--dataset=digits", f"--train_dir={tmp_path}"]
    flags += ["--batch_size=6000", "--image_size=4096"]
    limit = 16 << 30

    def limited():
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    command = [*fresh_tiny_command, *flags]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=300,
        preexec_fn=limited,
        env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0"},
    )
    assert done.returncode == 1, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert "step 0: out of memory; try --batch_size=3000 with --accumulate=2" in last
    assert last.endswith("nothing was saved yet")
    assert "Traceback" not in done.stderr
    assert not steps_saved(tmp_path)


def test_statistics_that_are_not_finite_are_never_saved(tiny, tmp_path, monkeypatch):
    """The weights are finite, batch_norm's moving variance is not: all evaluation would be of nothing."""
    from slimft.compat import tf

    take_step = Run.take_step

    def poisoned(run, session, *feeds):
        found = take_step(run, session, *feeds)
        (variance,) = (v for v in tf.global_variables() if v.op.name == "tiny/conv1/BatchNorm/moving_variance")
        variance.load(np.full(8, np.inf), session)
        return found

    monkeypatch.setattr(Run, "take_step", poisoned)
    with pytest.raises(TrainingError, match="step 3: a variable is not finite.*nothing was saved"):
        finetune(settings(tmp_path, dataset="digits", steps=3))
    assert not steps_saved(tmp_path / "run")


def wait_for_steps(process, folder, seconds=120):
    end = time.monotonic() + seconds
    while not list(folder.glob("events*")):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.02)
    time.sleep(1)


def test_a_closed_terminal_saves(tiny_command, tmp_path):
    command = [*tiny_command, "--model=tiny", "--dataset=digits", f"--train_dir={tmp_path}", "--steps=100000"]
    # The tests may run under nohup.
    default = {"preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **default)
    wait_for_steps(process, tmp_path)
    process.send_signal(signal.SIGHUP)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGHUP
    last = err.strip().splitlines()[-1]
    assert "stopped by SIGHUP at step" in last and ", and saved;" in last
    assert slimft.open_checkpoint(tmp_path)["global_step"] == int(last.split("at step ")[1].split()[0]) > 0


def test_a_signal_that_was_ignored_stays_ignored(fresh_tiny_command, tmp_path):
    """As nohup has it."""
    command = [*fresh_tiny_command, "--model=tiny", "--dataset=digits", f"--train_dir={tmp_path}", "--steps=400"]
    ignoring = (
        "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", ignoring, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    wait_for_steps(process, tmp_path)
    process.send_signal(signal.SIGHUP)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert json.loads(out.splitlines()[-1])["step"] == 400


def test_a_signal_before_the_first_step_does_not_claim_to_have_saved(tiny, tmp_path, monkeypatch):
    enter = signals.StopSignals.__enter__

    def signalled(stop):
        enter(stop)
        signal.raise_signal(signal.SIGTERM)
        return stop

    monkeypatch.setattr(signals.StopSignals, "__enter__", signalled)
    with pytest.raises(slimft.SlimftError, match="SIGTERM at step 0 of 30, before there was anything to save"):
        finetune(settings(tmp_path, dataset="digits"))
    assert not steps_saved(tmp_path / "run")


def test_the_curves_of_a_stopped_run_are_those_of_one_that_was_not(tiny, tmp_path):
    """Stopped at step 7 and 15, between points of the curves: the means are of all steps, and so is the time."""
    given = dict(dataset="digits", batch_size=64)
    finetune(settings(tmp_path, train_dir=str(tmp_path / "whole"), steps=20, **given))
    take_step, stops = Run.take_step, [7, 15]

    def stopping(run, session, *feeds):
        found = take_step(run, session, *feeds)
        if stops and session.run(run.training.global_step) == stops[0]:
            stops.pop(0)
            signal.raise_signal(signal.SIGTERM)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "take_step", stopping)
        for _ in range(2):
            with pytest.raises(slimft.SlimftError, match="stopped by SIGTERM"):
                finetune(settings(tmp_path, steps=20, **given))
        assert not stops
        finetune(settings(tmp_path, steps=20, **given))
    whole, stopped = (
        json.loads((tmp_path / name / "history.json").read_text())["train"] for name in ("whole", "run")
    )
    for left, right in zip(whole, stopped, strict=True):
        for name in ("step", "loss", "accuracy", "learning_rate"):
            assert left[name] == right[name], name
    assert stopped[-1]["seconds"] > stopped[0]["seconds"] > 0
