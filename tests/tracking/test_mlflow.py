"""MLflow, read back by its own client."""

import os

import pytest

from slimft.tracking.base import FINISHED, KILLED
from slimft.tracking.upload import Upload

mlflow = pytest.importorskip("mlflow", reason="needs MLflow, of the extra mlflow")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store of these tests, and its client."""
    folder = tmp_path_factory.mktemp("mlflow")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        for name in [name for name in os.environ if name.startswith("MLFLOW_EXPERIMENT")]:
            patch.delenv(name)
        patch.chdir(folder)  # Its files lie in mlruns.
        yield mlflow.MlflowClient()


@pytest.fixture
def upload(store, made_run, request):
    from slimft.tracking.to_mlflow import connect

    def make(project=request.node.name):
        return Upload(made_run.folder, connect(), "mlflow", project, None, True)

    return make


def runs_of(store, project):
    experiment = store.get_experiment_by_name(project)
    return store.search_runs([experiment.experiment_id], order_by=["attributes.start_time"])


def curve(store, run, figure):
    points = store.get_metric_history(run.info.run_id, figure)
    return [(point.step, point.value) for point in points]


def files_of(store, run, folder=None):
    found = []
    for file in store.list_artifacts(run.info.run_id, folder):
        found += files_of(store, run, file.path) if file.is_dir else [file.path]
    return found


def test_a_run_that_was_killed_and_resumed_reads_as_one(store, made_run, upload, request, tmp_path):
    made_run.train_to(40)
    list(upload().finish(KILLED))
    (run,) = runs_of(store, request.node.name)
    assert run.info.status == KILLED and run.info.run_name == "run"
    made_run.train_to(100)
    made_run.save(75, "best")
    made_run.end(100)
    for _ in range(2):
        list(upload().finish(FINISHED))
    (run,) = runs_of(store, request.node.name)
    assert run.info.status == FINISHED
    assert run.data.params["model"] == "lenet"
    assert run.data.params["batch_size"] == "32" and "track" not in run.data.params
    assert run.data.tags["dataset"] == "digits"
    assert curve(store, run, "train/loss") == [(step, 1 / step) for step in range(10, 101, 10)]
    assert curve(store, run, "validation/accuracy") == [(step, step / 1000) for step in (25, 50, 75, 100)]
    assert curve(store, run, "test/accuracy") == [(100, 0.75)]
    times = [point.timestamp for point in store.get_metric_history(run.info.run_id, "train/loss")]
    assert [time - times[0] for time in times] == [1000 * number for number in range(10)]
    files = files_of(store, run)
    assert {"report.html", "settings.json", "best/checkpoint", "model.ckpt-100.index"} <= set(files)
    fetched = store.download_artifacts(run.info.run_id, "model.ckpt-100.index", str(tmp_path))
    with open(fetched, "rb") as theirs, open(made_run.folder / "model.ckpt-100.index", "rb") as ours:
        assert theirs.read() == ours.read()


def test_what_comes_twice_is_one_point(store, made_run, upload, request):
    """As where a process is killed between the tracker's answer and its own note of it."""
    made_run.train_to(30)
    list(upload().update())
    note = made_run.folder / "tracked-mlflow.json"
    text = note.read_text()
    made_run.train_to(60)
    list(upload().update())
    note.write_text(text)
    list(upload().update())
    (run,) = runs_of(store, request.node.name)
    assert [step for step, _ in curve(store, run, "train/loss")] == [10, 20, 30, 40, 50, 60]


def test_settings_that_change_are_told_in_a_tag(store, made_run, upload, request):
    list(upload().update())
    made_run.change(epochs=20.0, patience=3)
    list(upload().update())
    (run,) = runs_of(store, request.node.name)
    assert run.data.params["epochs"] == "8.0"
    assert run.data.tags["settings now"] == "epochs=20.0, patience=3"


def test_a_run_that_was_deleted_begins_anew(store, made_run, upload, request):
    made_run.train_to(30)
    list(upload().update())
    (first,) = runs_of(store, request.node.name)
    store.delete_run(first.info.run_id)
    (line,) = upload().update()
    assert f"{first.info.run_id} is not there any more" in line
    (second,) = runs_of(store, request.node.name)
    assert [step for step, _ in curve(store, second, "train/loss")] == [10, 20, 30]


def test_its_own_variables_name_the_experiment(store, made_run, upload, monkeypatch):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "of the environment")
    list(upload(project=None).update())
    assert len(runs_of(store, "of the environment")) == 1


def test_long_settings_and_many_points_fit(store, made_run, upload, request):
    made_run.change(exclude=tuple(f"scope/{number}" for number in range(400)))
    made_run.train_to(4000)
    list(upload().update())
    (run,) = runs_of(store, request.node.name)
    assert run.data.params["exclude"].endswith("...") and len(run.data.params["exclude"]) == 500
    assert len(curve(store, run, "train/loss")) == 400
