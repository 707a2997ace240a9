"""A run's checkpoints, saved by a keeper that is killed or finds the disk full at each of its system calls."""

import json
import os
import subprocess

import numpy as np
import pytest

import slimft
from slimft.compat import tf
from slimft.files import temporary_directory
from slimft.training.saving import CheckpointKeeper

SLOWLY = "best slowly"


def save(folder, name, step):
    """A checkpoint that TensorFlow writes, which holds its step."""
    with tf.Graph().as_default(), tf.Session() as session:
        tf.get_variable("net/a", initializer=tf.fill([500], float(step)))
        tf.get_variable("global_step", initializer=tf.constant(step, tf.int64))
        session.run(tf.global_variables_initializer())
        tf.train.Saver().save(session, str(folder / name), write_meta_graph=False, write_state=False)


def state(folder, name):
    (folder / "checkpoint").write_text(f'model_checkpoint_path: "{name}"\nall_model_checkpoint_paths: "{name}"\n')


@pytest.fixture
def run(tmp_path):
    """A run's directory at step 8, its best of step 4, and new.ckpt that would be saved next."""
    folder = tmp_path / "run"
    (folder / "best").mkdir(parents=True)
    save(folder, "model.ckpt-8", 8)
    save(folder, "new.ckpt", 9)
    save(folder / "best", "model.ckpt-4", 4)
    state(folder, "model.ckpt-8")
    state(folder / "best", "model.ckpt-4")
    (folder / "best" / "metrics.json").write_text('{"step": 4, "accuracy": 0.8}')
    return folder


def whole(folder):
    """The step of the checkpoint that the state file in `folder` names, after reading all of it."""
    found = slimft.open_checkpoint(folder)
    step = int(found["global_step"])
    np.testing.assert_array_equal(found["net/a"], np.full([500], step, np.float32))
    assert tf.train.load_checkpoint(tf.train.latest_checkpoint(str(folder))).get_tensor("global_step") == step
    return step


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def best_names(step):
    return ["checkpoint", "metrics.json", f"model.ckpt-{step}.data-00000-of-00001", f"model.ckpt-{step}.index"]


@pytest.mark.parametrize("kind", ["kill", "full"])
def test_saving_the_same_step_anew(crash_points, run, kind):
    """As a run that went on from an earlier checkpoint does: what the state file names is replaced."""
    seen = []
    for number, status, left in crash_points(run, kind, "save"):
        assert status == (-9 if kind == "kill" else 2) or whole(left) == 9
        seen.append(whole(left))
        assert kind == "kill" or not list(left.glob(".*")), number
        CheckpointKeeper(left, 1).create_directory()
        assert not list(left.glob(".*")) and whole(left) == seen[-1]
        assert whole(left / "best") == 4
    assert {8, 9} == set(seen) and len(seen) > 15


@pytest.mark.parametrize("kind", ["kill", "full"])
@pytest.mark.parametrize("way", ["best", SLOWLY])
def test_best_is_whole_and_has_its_metrics_at_every_instant(crash_points, run, kind, way):
    seen = []
    for number, status, left in crash_points(run, kind, way):
        seen.append(whole(left / "best"))
        metrics = json.loads((left / "best" / "metrics.json").read_text())
        if way == "best":
            assert metrics["step"] == seen[-1], number
            assert names(left / "best") == best_names(seen[-1])
        else:  # The metrics come first, so that a run that was killed in between does it again.
            assert metrics["step"] in (seen[-1], 8), number
        if kind == "full":
            assert not list(left.rglob(".*"))
            if status == 2:
                message = left.with_name(f"{left.name}.error").read_text()
                assert message == f"cannot write {left / 'best'}: No space left on device"
        keeper = CheckpointKeeper(left, 1)
        keeper.create_directory()
        assert not list(left.rglob(".*"))
        keeper.keep_as_best(str(left / "model.ckpt-8"), {"step": 8})
        assert whole(left / "best") == 8 and names(left / "best") == best_names(8)
        assert whole(left) == 8
    assert seen[0] == 4 and len(seen) > 10 and (8 in seen or kind == "full")


def test_what_others_put_into_best_stays(run):
    (run / "best" / "notes.txt").write_text("mine")
    CheckpointKeeper(run, 1).keep_as_best(str(run / "model.ckpt-8"), {"step": 8})
    assert names(run / "best") == [*best_names(8), "notes.txt"] and whole(run / "best") == 8
    assert json.loads((run / "best" / "metrics.json").read_text()) == {"step": 8}


def test_best_shares_its_bytes_with_the_checkpoint(run):
    CheckpointKeeper(run, 1).keep_as_best(str(run / "model.ckpt-8"), {"step": 8})
    name = "model.ckpt-8.data-00000-of-00001"
    assert os.path.samefile(run / name, run / "best" / name)


def test_a_run_clears_what_a_killed_one_left_but_not_what_is_being_written(run):
    """Also what an earlier version called otherwise."""
    (run / ".slimft-0123abcd").mkdir()
    (run / ".slimft-0123abcd" / "model.ckpt-12.index").touch()
    (run / ".partial").mkdir()
    (run / "best" / ".checkpoint-x1y2z3ab").touch()
    (run / ".history.json-abcdefgh").touch()
    (run / ".mine").touch()
    with temporary_directory(run) as alive:
        CheckpointKeeper(run, 1).create_directory()
        assert {path.name for path in run.rglob(".*")} == {alive.name, ".mine"}


def test_a_full_disk_says_so_in_one_line(run, warm_python):
    """As good as full: a limit on the size of files, in a process of its own, with TensorFlow's own Saver."""
    code = (
        "import resource, sys\n"
        "from slimft.compat import tf\n"
        "from slimft.errors import TrainingError\n"
        "from slimft.training.saving import CheckpointKeeper\n"
        "with tf.Session() as session:\n"
        "    tf.get_variable('net/a', [100_000]); session.run(tf.global_variables_initializer())\n"
        "    saver = tf.train.Saver()\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "    try: CheckpointKeeper(sys.argv[1], 1).save(session, saver, 9)\n"
        "    except TrainingError as error: print(error)\n"
    )
    before = names(run)
    done = subprocess.run([warm_python, "-c", code, str(run)], capture_output=True, text=True, timeout=200)
    assert done.stdout == f"cannot save step 9 in {run}: File too large\n", done.stderr
    assert names(run) == before and whole(run) == 8
