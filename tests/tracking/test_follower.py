"""The process that tells a tracker: what goes wrong is said once, in a line, and is no error of the run."""

import io
import json
import os
import pathlib
import subprocess
import sys
import types

import pytest

import slimft
from slimft.tracking import TRACKERS, follower
from slimft.tracking.base import FINISHED


class Broken:
    """A tracker whose server is not there until `works`."""

    where = "nowhere"

    def __init__(self):
        self.works, self.tries, self.logged, self.ended = False, 0, [], None

    def begin(self, told, identity):
        self.tries += 1
        if not self.works:
            raise OSError("https://me:secret@example.org does not answer\nat all")
        return "1"

    def describe(self):
        return "there"

    def log(self, points):
        self.logged += points

    def conclude(self, point):
        self.result = point

    def keep(self, files):
        self.files = sorted(files)

    keep_checkpoint = keep

    def end(self, status):
        self.ended = status


@pytest.fixture
def broken(monkeypatch):
    tracker = Broken()
    module = types.ModuleType("a_broken_tracker")
    module.connect = lambda: tracker
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(TRACKERS, "broken", module.__name__)
    return tracker


@pytest.fixture
def following(made_run, broken):
    """A follower, and what it says."""
    told = {"tracker": "broken", "train_dir": str(made_run.folder), "project": None, "title": None}
    out = io.StringIO()
    return follower._Follower({**told, "checkpoint": False, "before": None}, out), out


def test_a_failure_is_said_once_and_tried_again(made_run, broken, following, monkeypatch):
    its, out = following
    its.look()
    made_run.train_to(30)
    its.look()
    assert broken.tries == 1  # Not at each look: it takes time to fail.
    monkeypatch.setattr(follower.time, "monotonic", lambda: 1e9)
    its.look()
    assert broken.tries == 2
    (line,) = out.getvalue().splitlines()
    why = "OSError: https://example.org does not answer"
    assert line == f"broken does not get what is new ({why}); the training goes on without"
    assert its.finish(FINISHED) == 1
    said = out.getvalue().splitlines()
    assert said[1:] == [
        f"broken has not all of this run; bin/report --track=broken {made_run.folder} makes up for it"
    ]


def test_it_recovers(made_run, broken, following, monkeypatch):
    its, out = following
    its.look()
    broken.works = True
    made_run.train_to(30)
    made_run.end(30)
    assert its.finish(FINISHED) == 0
    assert [point.step for point in broken.logged] == [10, 20, 25, 30] and broken.ended == FINISHED
    assert out.getvalue().splitlines()[1:] == ["broken: there"]


def test_nothing_is_told_before_the_run_has_begun(made_run, broken):
    """What lies in the directory may be of another process, which has it in use."""
    before = follower.stamp(made_run.folder / "settings.json")
    told = {"tracker": "broken", "train_dir": str(made_run.folder), "project": None, "title": None}
    its = follower._Follower({**told, "checkpoint": False, "before": before}, io.StringIO())
    its.look()
    assert its.finish(FINISHED) == 0 and broken.tries == 0
    made_run.change(epochs=9.0)
    its.look()
    assert broken.tries == 1


def test_a_damaged_file_of_the_run_is_said(made_run, broken, following):
    its, out = following
    (made_run.folder / "history.json").write_text("{")
    its.look()
    assert "DataError" in out.getvalue() and "history.json" in out.getvalue() and broken.tries == 0


def test_whoever_is_killed_is_told_as_killed(made_run, tmp_path):
    """Its standard input ends, without a word; what its packages print is not what it says."""
    mlflow = pytest.importorskip("mlflow", reason="needs MLflow, of the extra mlflow")
    made_run.train_to(30)
    told = {"tracker": "mlflow", "train_dir": str(made_run.folder), "project": "p", "title": None}
    told |= {"checkpoint": True, "before": None}
    place = str(pathlib.Path(slimft.__file__).parents[1])
    store = f"sqlite:///{tmp_path}/mlflow.db"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "slimft.tracking.follower",
            json.dumps(told),
        ],
        input="",
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "MLFLOW_TRACKING_URI": store, "PYTHONPATH": place},
        timeout=300,
    )
    assert done.returncode == 0 and done.stderr == ""
    (line,) = done.stdout.splitlines()
    assert line.startswith("mlflow: run run of experiment p, in sqlite:")
    client = mlflow.MlflowClient(store)
    (run,) = client.search_runs([client.get_experiment_by_name("p").experiment_id])
    assert run.info.status == "KILLED"
    assert "model.ckpt-30.index" not in {file.path for file in client.list_artifacts(run.info.run_id)}
