"""Steps are run, stopped, continued, and told of."""

import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

import pytest

from slimft.errors import DataError, UsageError
from slimft.exercise import plan
from slimft.exercise.conduct import PAGE_FILE, TABLE_FILE, TIMES_FILE
from slimft.exercise.rows import read_rows
from slimft.runs.directory import steps_saved

ROOT = pathlib.Path(__file__).resolve().parents[2]


def never():
    return False


def test_steps_run_one_from_the_other_and_are_told_of(make_exercise, places, first_is_done, capfd):
    first = places.root / "digits-smoke/first"
    exercise = make_exercise()
    assert exercise.conduct(None, never) == 1  # Of the others there is no checkpoint.
    rows = {row.step.name: row for row in exercise.write()}
    assert list(rows) == ["first", "second", "official", "stand_in"]
    for name in ("first", "second"):
        (files,) = rows[name].files
        assert files.result.result["step"] == 3 and rows[name].examples == 360
        assert rows[name].seconds[0] > 1 and rows[name].note == ""
    assert "restored" in (places.root / "digits-smoke/second/restore.txt").read_text()
    assert rows["second"].cells["from"] == "first" and rows["first"].cells["from"] == "nothing"
    assert rows["official"].note == "needs the official checkpoint vgg_19"
    assert "needs nowhere.ckpt in --checkpoint_dir" in rows["stand_in"].note
    page, table = ((places.root / name).read_text() for name in (PAGE_FILE, TABLE_FILE))
    assert 'href="digits-smoke/first/report.html"' in page and "minutes of training" in page
    assert table.count("\n| ") == 6 and "needs the official checkpoint vgg_19" in table
    # Nothing starts from it any more.
    assert not steps_saved(first) and not (first / "best").exists()
    assert "first: its checkpoints are removed" in capfd.readouterr().err
    # All is done: nothing is run, and the same is told.
    again = make_exercise()
    assert [run.is_done for run in again.runs()] == [True, True, False, False]
    assert again.conduct(None, never) == 0
    assert [row.cells for row in again.write()] == [row.cells for row in rows.values()]


def test_checkpoints_stay_for_what_may_start_from_them(make_exercise, places, first_is_done):
    (run,) = make_exercise("first").runs()
    # Also where only the first is asked for: the second may be asked for later.
    make_exercise("first")._remove_checkpoints(run)
    assert steps_saved(run.directory) == [3]
    second = places.root / "digits-smoke/second"
    second.mkdir()
    (second / "result.json").write_text("{}")
    make_exercise("first", keeps=True)._remove_checkpoints(run)
    assert steps_saved(run.directory) == [3]
    make_exercise("first")._remove_checkpoints(run)
    assert not steps_saved(run.directory) and not (run.directory / "best").exists()


def test_what_was_kept_stays(make_exercise, places, first_is_done):
    """A later command without --keep_checkpoints removes those of the runs that it does itself."""
    second = places.root / "digits-smoke/second"
    shutil.copytree(places.root / "digits-smoke/first", second)
    settings = json.loads((second / "settings.json").read_text())
    assert make_exercise("first").conduct(None, never) == 0
    assert steps_saved(second) == [3] and settings["steps"] == 3


def test_runs_from_different_checkpoints_are_rows_of_their_own(make_exercise, places, steps, first_is_done):
    """Of one step with two seeds, one of which could only start from a stand-in."""
    stand_in = next(step for step in steps if step.name == "stand_in")
    for start, seed in zip(stand_in.starts, (0, 1)):
        folder = plan.directory_of(stand_in, seed, places, start)
        shutil.copytree(places.root / "digits-smoke/first", folder)
    rows = make_exercise("stand_in", seeds=2).write()
    named = {row.name: row for row in rows if row.step is stand_in}
    assert list(named) == ["stand_in", "stand_in from nowhere"]
    assert [len(row.files) for row in named.values()] == [1, 1] and " ± " not in str(named)
    assert "1 of 2" not in named["stand_in"].note and "this is nowhere" in named["stand_in from nowhere"].note


def test_a_process_that_is_left_alone_stops(places, steps):
    """One whose parent was killed, so that nobody would stop it when the time is over."""
    from slimft.exercise.starts import Starts

    run = plan.run_of(steps[0], 0, places, Starts(False, lambda *_: False))
    flags = [flag for flag in run.command if not flag.startswith("--steps=")]
    command = [sys.executable, "-m", "slimft.cli.exercise_step", *flags, "--steps=100000"]
    code = (
        "import pathlib, subprocess, time\n"
        f"subprocess.Popen({command!r}, stdout=subprocess.DEVNULL)\n"
        f"while not pathlib.Path({str(run.directory)!r}, 'settings.json').exists(): time.sleep(0.1)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=300
    )
    assert "stopped by SIGTERM" in done.stderr  # Which is read until the child has closed it.


def test_a_run_is_stopped_when_the_time_is_over_and_goes_on(make_exercise, places, monkeypatch, capfd):
    from slimft.exercise import conduct

    first = type(conduct.ALL_STEPS[0])
    monkeypatch.setattr(first, "flags_for", _longer(first.flags_for, 100_000))
    folder, real = places.root / "digits-smoke/first", time.monotonic
    # The time is over as soon as there is a checkpoint.
    with monkeypatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: real() + (1e6 if steps_saved(folder) else 0))
        assert make_exercise("first").conduct(1e5, never) == 0
    saved = max(steps_saved(folder))
    assert 0 < saved < 100_000
    exercise = make_exercise("first")
    (row, *_) = exercise.write()
    assert row.note == f"stopped at step {saved:,}" and not row.files and len(row.begun) == 1
    assert f"stopped at step {saved:,}; the same command goes on" in capfd.readouterr().err
    kept = json.loads((places.root / TIMES_FILE).read_text())["digits-smoke/first"]
    assert not kept["done"] and kept["seconds"] > 0
    # The next time it goes on from there, until somebody stops it.
    assert exercise.conduct(None, lambda: max(steps_saved(folder)) > saved) == 0
    assert f"from step {saved:,} on" in capfd.readouterr().err
    assert json.loads((places.root / TIMES_FILE).read_text())["digits-smoke/first"]["seconds"] > kept["seconds"]


def _longer(flags_for, steps):
    return lambda step, *arguments: {**flags_for(step, *arguments), "steps": steps, "save_secs": 0.5}


def test_a_step_that_fails_does_not_stop_the_others(make_exercise, places, capfd):
    blocked = places.root / "digits-smoke"
    blocked.mkdir(parents=True)
    (blocked / "first").write_text("not a directory")
    exercise = make_exercise("first", "official")
    assert exercise.conduct(None, never) == 0
    assert exercise.failed == ["first"]
    rows = exercise.write()
    assert rows[0].note == "failed (exit status 2)" and "official" in rows[1].note
    said = capfd.readouterr().err
    assert "finetune: " in said and "first: failed (exit status 2), as said above" in said


def test_seeds_are_runs_of_their_own(make_exercise, places, first_is_done):
    exercise = make_exercise("first", seeds=2)
    assert exercise.conduct(None, never) == 1
    (row,) = exercise.write()
    assert len(row.files) == 2 and " ± " in row.cells["test"] and " ± " in row.cells["validation"]
    # A later command that asks for one shows both.
    (row,) = make_exercise("first").write()
    assert len(row.files) == 2


def test_what_is_there_is_shown_whatever_is_asked_for(make_exercise, first_is_done):
    names = [row.step.name for row in make_exercise("official").write()]
    assert names == ["first", "official"]


def test_other_settings_and_damaged_files_are_refused(make_exercise, places, first_is_done):
    file = places.root / "digits-smoke/first/settings.json"
    told = json.loads(file.read_text())
    file.write_text(json.dumps({**told, "batch_size": 16}))
    with pytest.raises(UsageError, match="holds a run with other settings: --batch_size was 16 there and is 8 now"):
        make_exercise("first")
    file.write_text(json.dumps(told))
    for damaged in ("[]", '{"digits-smoke/first": 1}', "{", '{"digits-smoke/first": {"seconds": "x"}}'):
        (places.root / TIMES_FILE).write_text(damaged)
        with pytest.raises(DataError, match="times.json is no "):
            make_exercise("first")
    for odd in ("NaN", "1e300", "1e-320", "0", "-5"):
        told = f'{{"seconds": {odd}, "work": {odd}, "model": "mobilenet_v1_025", "done": true}}'
        (places.root / TIMES_FILE).write_text(f'{{"digits-smoke/first": {told}, "digits-smoke/x": {told}}}')
        exercise = make_exercise()
        assert all(10 < seconds < 1000 for seconds in exercise.seconds(exercise.runs()).values())
        assert exercise.write()[0].cells["in all"] == "–"
    # What is damaged of any step is said before another one is run.
    (places.root / "digits-smoke/first/result.json").write_text("{}")
    exercise = make_exercise("second")
    with pytest.raises(DataError, match="result.json"):
        exercise.conduct(None, never)
    assert not (places.root / "digits-smoke/second").exists()


def test_the_directory_may_move(make_exercise, places, first_is_done):
    moved = places.root.with_name("elsewhere")
    os.rename(places.root, moved)
    moved_places = dataclasses.replace(places, root=moved)
    (row,) = make_exercise("first", places=moved_places).write()
    assert len(row.files) == 1 and row.seconds[0] > 1
    # A run may have moved too, to another disk.
    folder = moved / "digits-smoke/first"
    os.rename(folder, moved.with_name("disk"))
    folder.symlink_to(moved.with_name("disk"))
    make_exercise("first", places=moved_places).write()
    assert 'href="digits-smoke/first/report.html"' in (moved / PAGE_FILE).read_text()


def test_rows_of_nothing():
    assert read_rows([], {}, {}) == []
