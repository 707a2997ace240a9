"""A run that is stopped or killed, at any moment, continues as if nothing had happened."""

import json
import random
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest

import slimft

# All that has a state or draws at random, with stages whose border a kill may hit.
EVERYTHING = (
    "--deterministic", "--save_secs=0", "--keep=1", "--stage=0.5:head", "--stage=2:all@0.02", "--eval_every=7",
    "--patience=6", "--batch_size=16", "--accumulate=2", "--ema=0.9", "--optimizer=adam", "--learning_rate=0.01",
    "--warmup_epochs=0.3", "--clip_norm=1", "--lr_multiplier=head:3", "--head=bn_mlp", "--balance=sampler",
    "--augment=strong", "--mixup=0.2", "--cutmix=1", "--label_smoothing=0.1", "--focal_gamma=1",
)  # fmt: skip


def start(tiny_command, folder, *flags):
    command = [*tiny_command, "--model=tiny", "--dataset=digits", f"--train_dir={folder}", *flags]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(condition, process, seconds=300):
    """Waits until there is something, while `process` runs."""
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_stops(tiny_command, tmp_path, number):
    process = start(tiny_command, tmp_path, "--steps=100000")
    wait_for(lambda: list(tmp_path.glob("events*")), process)
    time.sleep(1)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert out == ""
    last = err.strip().splitlines()[-1]
    assert f"stopped by {number.name} at step" in last and f"--train_dir={tmp_path}" in last
    assert "Traceback" not in err
    step = int(last.split("at step ")[1].split()[0])
    assert slimft.open_checkpoint(tmp_path)["global_step"] == step
    assert (tmp_path / "report.html").exists()


@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.slow)])
def test_sigkill_at_any_moment_changes_nothing(tiny_command, tmp_path, kills):
    """The run saves after every step: kills fall into saves, into validations, borders of stages and reports.

    A run that comes to its end between two kills is compared, and another one begun.
    """
    whole, killed, rng, left = tmp_path / "whole", tmp_path / "killed", random.Random(kills), kills
    process = start(tiny_command, whole, *EVERYTHING)
    wait_for((whole / "settings.json").exists, process)
    began = time.monotonic()
    wanted = finished(process, whole)
    seconds = time.monotonic() - began
    resumed = 0
    while left:
        before, process = last_start(killed), start(tiny_command, killed, *EVERYTHING)
        wait_for(lambda before=before: last_start(killed) != before, process)
        try:
            process.wait(timeout=rng.uniform(0, 0.7 * seconds))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            left -= 1
            resumed += (killed / "checkpoint").exists()
            continue
        assert_same(wanted, finished(process, killed))
        shutil.rmtree(killed)
    assert_same(wanted, finished(start(tiny_command, killed, *EVERYTHING), killed))
    assert resumed
    assert not list(killed.rglob("*.partial"))


def test_a_full_disk_costs_nothing_that_was_saved(tiny_command, fresh_tiny_command, tmp_path):
    """A limit on the size of files, of less than a checkpoint; with more room the same command goes on."""
    flags = ("--batch_size=64", "--eval_every=3")
    out, err = start(tiny_command, tmp_path, *flags, "--steps=3").communicate(timeout=120)
    good = {file.name: file.read_bytes() for file in tmp_path.glob("model.ckpt*")}
    assert len(good) == 2, err
    limited = ["sh", "-c", 'ulimit -f 120 && exec "$0" "$@"', *fresh_tiny_command]  # Blocks of 512 bytes.
    process = start(limited, tmp_path, *flags, "--steps=6")
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (1, "")
    assert err.splitlines()[-1].endswith(f"cannot save step 6 in {tmp_path}: File too large")
    assert {file.name: file.read_bytes() for file in tmp_path.glob("model.ckpt*")} == good
    assert not (tmp_path / ".partial").exists()
    out, err = start(tiny_command, tmp_path, *flags, "--steps=6").communicate(timeout=120)
    assert "resuming at step 3" in err and json.loads(out.splitlines()[-1])["step"] == 6


def last_start(folder):
    """When a run in `folder` began or went on: it writes its settings then."""
    file = folder / "settings.json"
    return file.stat().st_mtime_ns if file.exists() else None


def finished(process, folder):
    """All that a run which came to its end has computed: the last and the best checkpoint, validations, result."""
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    result = json.loads(out.splitlines()[-1])
    assert "report.html" in result.pop("report")
    for name in ("train_dir", "checkpoint", "images_per_second"):
        del result[name]
    found = {"result": result, "validations": json.loads((folder / "history.json").read_text())["validation"]}
    for place in (folder, folder / "best"):
        checkpoint = slimft.open_checkpoint(place)
        found.update({f"{place.name == 'best'} {name}": checkpoint[name] for name in checkpoint})
    return found


def assert_same(left, right):
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)
