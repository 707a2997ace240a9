"""A run's trackers, from where it trains."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import types

import pytest

import slimft
from slimft.cli import finetune as finetune_command
from slimft.cli import report as report_command
from slimft.errors import TrainingError, UsageError
from slimft.runs.settings import OF_TRACKERS, Settings
from slimft.runs.settings_file import differences
from slimft.tracking import check_trackers, following
from slimft.tracking.base import FAILED, FINISHED, KILLED
from slimft.training import loop


class Stop(Exception):
    pass


class Silent:
    """In the place of the process: notes what it is told."""

    made = []

    def __init__(self, name, settings, before):
        self.name, self.before, self.told = name, before, []
        Silent.made.append(self)

    def tell(self, status):
        self.told.append(status)

    def wait(self, seconds):
        self.told.append(seconds)
        return True


@pytest.fixture
def silent(monkeypatch):
    Silent.made = []
    monkeypatch.setattr(following, "_Following", Silent)
    return Silent.made


@pytest.mark.parametrize(
    "error, status, seconds",
    [
        (None, FINISHED, 120.001),
        (TrainingError("the loss is nan"), FAILED, 120.0),
        (Stop(), KILLED, 15.0),
        (KeyboardInterrupt(), KILLED, 15.0),
    ],
)
def test_trackers_are_told_how_a_run_ends(silent, tmp_path, error, status, seconds):
    settings = Settings(model="lenet", train_dir=str(tmp_path), track=("mlflow", "wandb"))
    (tmp_path / "model.ckpt-1.index").write_bytes(bytes(1000))
    with contextlib.suppress(*([type(error)] if error else [])):
        with following.followed(settings, (Stop,)):
            if error is not None:
                raise error
    assert [(one.name, one.told) for one in silent] == [(name, [status, seconds]) for name in settings.track]


def test_a_process_that_cannot_be_started_ends_nothing(monkeypatch, tmp_path, capfd):
    def fail(*_, **__):
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(following.subprocess, "Popen", fail)
    with following.followed(Settings(model="lenet", train_dir=str(tmp_path), track=("mlflow",)), ()):
        pass
    assert capfd.readouterr().err == "mlflow is not told of this run: Resource temporarily unavailable\n"


def test_waiting_has_an_end(tmp_path, capfd):
    """A process that hangs is killed, and what makes up for it is said."""
    settings = Settings(model="lenet", train_dir=str(tmp_path), track=("mlflow",))
    its = following._Following.__new__(following._Following)
    its.name, its._settings = "mlflow", settings
    its._process = subprocess.Popen(["sleep", "600"])
    assert its.wait(0.05) is False
    assert its._process.returncode == -signal.SIGKILL
    assert f"bin/report --track=mlflow {tmp_path} makes up for it" in capfd.readouterr().err


@pytest.mark.parametrize("is_chief", [True, False])
def test_of_several_processes_the_chief_tracks(monkeypatch, is_chief):
    followed = []

    def follow(settings):
        followed.append(settings)
        return contextlib.nullcontext()

    monkeypatch.setattr(loop, "_train_and_report", lambda *_: {"step": 1})
    group = types.SimpleNamespace(is_chief=is_chief, leave=lambda **_: None)
    run = types.SimpleNamespace(
        group=group,
        settings="the settings",
        directory=types.SimpleNamespace(locked=contextlib.nullcontext),
        **dict.fromkeys(("say_notes", "check", "check_unchanged"), lambda: None),
    )
    assert loop.train_and_evaluate(run, None, follow=follow) == {"step": 1}
    assert followed == (["the settings"] if is_chief else [])


# Flags.


def test_there_must_be_such_a_tracker(capfd):
    assert finetune_command.main(["finetune", "--model=lenet", "--track=papers,mlflow"]) == 2
    assert "--track=papers: the trackers are mlflow and wandb" in capfd.readouterr().err


def test_a_missing_package_is_said_first(monkeypatch, tmp_path):
    """Before TensorFlow is loaded; a folder that the package left behind is not taken for it."""
    (tmp_path / "wandb").mkdir()
    code = "\n".join(
        [
            "import importlib.machinery, sys",
            "find = importlib.machinery.PathFinder.find_spec",
            "def without(name, path=None, target=None):",
            "    return find(name, [] if name == 'mlflow' else ['.'] if name == 'wandb' else path, target)",
            "importlib.machinery.PathFinder.find_spec = without",
            "from slimft.cli import finetune",
            "flags = [['--model=lenet', f'--track={one}'] for one in ('mlflow', 'wandb')]",
            "print([finetune.main(['finetune', *both]) for both in flags], 'tensorflow' in sys.modules)",
        ]
    )
    places = os.pathsep.join(filter(None, [os.path.dirname(os.path.dirname(slimft.__file__)), *sys.path]))
    environment = {**os.environ, "PYTHONPATH": places}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert done.stdout == "[2, 2] False\n", done.stderr
    assert done.stderr.splitlines() == [
        f"finetune: --track={one} needs the package {one}: pip install 'slimft[{one}]'"
        for one in ("mlflow", "wandb")
    ]


def test_runs_that_differ_in_their_trackers_are_the_same():
    other = dict.fromkeys(OF_TRACKERS, "x") | {"track": ("wandb",), "track_checkpoint": False}
    assert differences(Settings(model="lenet"), Settings(model="lenet", **other)) == []


def test_report_wants_runs_to_tell_of(monkeypatch, capfd, tmp_path):
    monkeypatch.setattr(report_command, "check_trackers", lambda names: None)
    assert report_command.main(["report", "--track=mlflow"]) == 2
    assert report_command.main(["report", "--track=mlflow", str(tmp_path)]) == 2
    with pytest.raises(UsageError):
        check_trackers(["nothing"])


# Whole runs.


@pytest.fixture
def store(monkeypatch, tmp_path):
    mlflow = pytest.importorskip("mlflow", reason="needs MLflow, of the extra mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.chdir(tmp_path)
    return mlflow.MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")


def test_a_run_that_is_stopped_and_resumed_is_tracked_as_one(store, tiny, tmp_path, plain_charts, capfd):
    arguments = {
        "model": tiny, "dataset": "digits", "batch_size": 8, "image_size": 8, "eval_every": 20, "track": "mlflow",
        "track_project": "digits", "train_dir": tmp_path / "run",
    }  # fmt: skip

    def interrupt():
        while not list((tmp_path / "run").glob("model.ckpt-*.index")):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(slimft.SlimftError, match="stopped by SIGINT"):
        slimft.finetune(**arguments, steps=1_000_000)
    (run,) = store.search_runs([store.get_experiment_by_name("digits").experiment_id])
    assert run.info.status == "KILLED" and run.info.run_name == "run"
    stopped_at = slimft.open_checkpoint(tmp_path / "run")["global_step"]
    result = slimft.finetune(**arguments, steps=int(stopped_at) + 40)
    assert "mlflow: run run of experiment digits" in capfd.readouterr().err
    (run,) = store.search_runs([store.get_experiment_by_name("digits").experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.metrics["test/accuracy"] == pytest.approx(result["accuracy"])
    history = json.loads((tmp_path / "run" / "history.json").read_text())
    for split in ("train", "validation"):
        points = store.get_metric_history(run.info.run_id, f"{split}/loss")
        assert [(point.step, point.value) for point in points] == [
            (record["step"], record["loss"]) for record in history[split]
        ]
    names = {file.path for file in store.list_artifacts(run.info.run_id)}
    assert {"report.html", f"model.ckpt-{result['last_step']}.index", "settings.json"} <= names


def test_a_run_of_before_is_told_by_bin_report(store, made_run, capfd):
    made_run.train_to(50)
    made_run.end(50)
    report = ["report", "--track=mlflow", "--track_project=late", "--notrack_checkpoint", str(made_run.folder)]
    assert report_command.main(report) == 0
    (run,) = store.search_runs([store.get_experiment_by_name("late").experiment_id])
    assert run.info.status == "FINISHED" and run.data.metrics["test/accuracy"] == 0.75
    assert "mlflow: run run of experiment late" in capfd.readouterr().err
    assert not any("ckpt" in file.path for file in store.list_artifacts(run.info.run_id))
    # The run itself is told as it was.
    assert json.loads((made_run.folder / "settings.json").read_text())["track"] == []


def test_what_cannot_be_told_is_an_error_of_bin_report(store, made_run, capfd, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/file/mlflow.db")
    made_run.train_to(50)
    assert report_command.main(["report", "--track=mlflow", str(made_run.folder)]) == 1
    *_, why, last = capfd.readouterr().err.splitlines()
    assert "mlflow has not all of this run" in why
    assert last == f"report: {made_run.folder}: not all of it is in mlflow; see above"
