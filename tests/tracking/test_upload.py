"""What a tracker is told of a run, whatever becomes of the run: nothing twice, nothing that is taken back."""

import json
import shutil

import pytest

from slimft.errors import DataError
from slimft.tracking.base import FINISHED, KILLED, Gone, without_users
from slimft.tracking.upload import Upload


class Kept:
    """A tracker that keeps what it is told, for tests: identities are numbers from 1."""

    def __init__(self, where="here"):
        self.where = where
        self.runs = []
        self.begun = []
        self.fails = False

    def begin(self, told, identity):
        if identity is None:
            self.runs.append({"points": [], "files": [], "checkpoints": [], "status": None, "result": []})
            identity = str(len(self.runs))
        elif int(identity) > len(self.runs):
            raise Gone
        self.begun.append((identity, told))
        self.now = self.runs[int(identity) - 1]
        self.now["status"] = "RUNNING"
        return identity

    def describe(self):
        return "somewhere"

    def log(self, points):
        if self.fails:
            raise OSError("no network")
        self.now["points"] += points

    def conclude(self, point):
        self.now["result"].append(point)

    def keep(self, files):
        self.now["files"] += sorted(files)

    def keep_checkpoint(self, files):
        self.now["checkpoints"] += sorted(files)

    def end(self, status):
        self.now["status"] = status


@pytest.fixture
def tracker():
    return Kept()


@pytest.fixture
def command(made_run, tracker):
    """A function that makes an `Upload`, as each command has its own."""

    def make(checkpoint=True, title=None):
        return Upload(made_run.folder, tracker, "kept", "a project", title, checkpoint)

    return make


def steps(run, figure):
    return [point.step for point in run["points"] if figure in point.figures]


def test_a_run_is_told_as_far_as_it_is_saved(made_run, tracker, command):
    upload = command()
    assert list(upload.update()) == ["kept: somewhere"]
    assert tracker.runs[0]["points"] == []
    made_run.train_to(60, saved=30)
    assert list(upload.update()) == []
    assert steps(tracker.runs[0], "train/loss") == [10, 20, 30]
    assert steps(tracker.runs[0], "validation/loss") == [25]
    made_run.save(60)
    list(upload.update())
    assert steps(tracker.runs[0], "train/loss") == [10, 20, 30, 40, 50, 60]
    assert steps(tracker.runs[0], "validation/loss") == [25, 50]
    of_50 = next(point for point in tracker.runs[0]["points"] if point.step == 50)
    assert of_50.seconds == 5.0
    assert set(of_50.figures) == {
        "train/loss", "train/accuracy", "train/images_per_second", "validation/accuracy", "validation/loss",
    }  # fmt: skip


def test_it_is_told_what_the_run_is(made_run, tracker, command):
    made_run.change(rename=("a:b", "c:d"), track_name="unused")
    list(command(title="a title").update())
    _, told = tracker.begun[0]
    assert (told.name, told.project, told.step) == ("a title", "a project", -1)
    assert told.tags["model"] == "lenet" and told.tags["dataset"] == "digits" and "slimft" in told.tags
    assert told.settings["rename"] == "a:b,c:d" and told.settings["batch_size"] == 32
    # What is on the disk and who is told says nothing of the training.
    assert not {"train_dir", "keep", "track", "track_name"} & told.settings.keys()
    list(command().update())
    assert tracker.begun[1][1].name == "run"


def test_a_run_that_resumes_is_the_same(made_run, tracker, command):
    made_run.train_to(50, validated=False)  # A signal came before the validation of step 50.
    list(command().finish(KILLED))
    assert tracker.runs[0]["status"] == KILLED and tracker.runs[0]["checkpoints"] == []
    upload = command()
    list(upload.update())
    made_run.train_to(50)
    list(upload.update())
    made_run.train_to(100)
    made_run.end(100)
    list(upload.finish(FINISHED))
    (run,) = tracker.runs
    assert steps(run, "train/loss") == list(range(10, 101, 10))
    assert steps(run, "validation/loss") == [25, 50, 75, 100]
    assert tracker.begun[1] == ("1", tracker.begun[1][1]) and tracker.begun[1][1].step == 50
    assert run["status"] == FINISHED


def test_what_has_ended_is_told_once(made_run, tracker, command):
    made_run.train_to(100)
    made_run.save(75, "best")
    made_run.end(100)
    for _ in range(2):
        list(command().finish(FINISHED))
    (run,) = tracker.runs
    assert len(run["points"]) == 12
    (result,) = run["result"]
    assert result.step == 100 and result.figures["test/accuracy"] == 0.75
    assert result.figures["best_validation/accuracy"] == 0.1
    assert run["files"] == [
        "flags.txt", "history.json", "labels.txt", "report.html", "restore.txt", "result.json", "settings.json",
    ]  # fmt: skip
    assert run["checkpoints"] == [
        "best/checkpoint", "best/model.ckpt-75.data-00000-of-00001", "best/model.ckpt-75.index",
        "checkpoint", "model.ckpt-100.data-00000-of-00001", "model.ckpt-100.index",
    ]  # fmt: skip
    made_run.end(100, accuracy=0.875)  # Evaluated again, on data that was mended.
    list(command().finish(FINISHED))
    assert [point.figures["test/accuracy"] for point in run["result"]] == [0.75, 0.875]
    assert run["files"][7:] == ["report.html", "result.json"] and len(run["checkpoints"]) == 6


def test_checkpoints_can_be_left_out_and_the_best_is_not_sent_twice(made_run, tracker, command):
    made_run.train_to(100)
    made_run.save(100, "best")
    made_run.end(100)
    list(command(checkpoint=False).finish(FINISHED))
    assert tracker.runs[0]["checkpoints"] == []
    list(command().finish(FINISHED))
    assert tracker.runs[0]["checkpoints"] == [
        "checkpoint", "model.ckpt-100.data-00000-of-00001", "model.ckpt-100.index",
    ]  # fmt: skip


def test_a_run_that_goes_back_is_another(made_run, tracker, command):
    made_run.train_to(100)
    upload = command()
    list(upload.update())
    made_run.train_to(40, salt=0.0)
    (line,) = upload.update()
    assert line == "kept: somewhere; 1 keeps what was before the run went back"
    assert [run["status"] for run in tracker.runs] == [KILLED, "RUNNING"]
    assert steps(tracker.runs[1], "train/loss") == [10, 20, 30, 40]
    # Without the tracker, beyond where it had been.
    made_run.train_to(200, salt=0.5)
    list(command().finish(KILLED))
    assert len(tracker.runs) == 3
    assert steps(tracker.runs[2], "train/loss") == list(range(10, 201, 10))
    assert len(steps(tracker.runs[0], "train/loss")) == 10


def test_a_run_that_is_gone_or_elsewhere_begins_anew(made_run, tracker, command):
    made_run.train_to(30)
    list(command().update())
    tracker.runs.clear()
    assert list(command().update()) == ["kept: somewhere; 1 is not there any more"]
    assert steps(tracker.runs[0], "train/loss") == [10, 20, 30]
    tracker.where = "there"
    list(command().update())
    assert len(tracker.runs) == 2


def test_what_failed_is_made_up_for(made_run, tracker, command):
    made_run.train_to(30)
    upload, tracker.fails = command(), True
    for _ in range(2):
        with pytest.raises(OSError):
            list(upload.update())
    tracker.fails = False
    made_run.train_to(50)
    list(upload.update())
    (run,) = tracker.runs
    assert steps(run, "train/loss") == [10, 20, 30, 40, 50]


def test_what_is_remembered_is_checked(made_run, command):
    made_run.train_to(30)
    list(command().update())
    file = made_run.folder / "tracked-kept.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "identity": "../../other"}))
    with pytest.raises(DataError, match="identity"):
        list(command().update())


def test_the_directory_may_be_moved(made_run, tracker, command, tmp_path):
    made_run.train_to(30)
    list(command().update())
    shutil.move(made_run.folder, tmp_path / "moved")
    made_run.folder = tmp_path / "moved"
    assert list(command().update()) == ["kept: somewhere"]
    assert len(tracker.runs) == 1


@pytest.mark.parametrize(
    "text, expected",
    [
        ("postgresql://me:pa@ss@db.example/x is down", "postgresql://db.example/x is down"),
        ("http://example.org/a?token=abc and b?c", "http://example.org/a and b?c"),
        ("sqlite:////home/me@work/mlflow.db", "sqlite:////home/me@work/mlflow.db"),
    ],
)
def test_no_password_is_told(text, expected):
    assert without_users(text) == expected
