"""Searches on real digits, with a network small enough for a test."""

import json
import pathlib
import signal

import pytest

from slimft.errors import DataError, SlimftError, TrainingError, UsageError
from slimft.runs.settings import Settings
from slimft.search import conduct
from slimft.search.conduct import Plan, search
from slimft.search.record import read_record
from slimft.search.space import read_sweep

FAST = dict(model="tiny", dataset="digits", batch_size=64, steps=6, eval_every=2, learning_rate=0.05, keep=1)

pytestmark = pytest.mark.usefixtures("tiny", "plain_charts")


@pytest.fixture
def plan(tmp_path):
    """Makes a plan: `plan(*sweep, kind="grid", trials=None, prune=False, **settings)`."""

    def make(*sweep, kind="grid", trials=None, prune=False, seed=0, **settings):
        axes = read_sweep(sweep, ranges=kind != "grid")
        given = {
            name: value for name, value in (FAST | settings).items() if name not in {axis.name for axis in axes}
        }
        folder = tmp_path / "search"
        return Plan(folder, axes, kind, trials, seed, prune, lambda chosen: Settings(**{**given, **chosen}))

    return make


@pytest.fixture
def trained(monkeypatch):
    """The directories of runs that are prepared, in their order."""
    from slimft.training import run

    names, prepare = [], run.prepare

    def noted(settings, *arguments, **keywords):
        names.append(pathlib.Path(settings.train_dir).name)
        return prepare(settings, *arguments, **keywords)

    monkeypatch.setattr(run, "prepare", noted)
    return names


def validations(folder, trial):
    return json.loads((folder / trial / "history.json").read_text())["validation"]


def test_a_grid(plan, tmp_path, trained, capsys):
    told = plan("learning_rate:0.001,0.05", "optimizer:momentum,adam")
    result = search(told)
    folder = tmp_path / "search"
    names = [f"trial-{number:03}" for number in (1, 2, 3, 4)]
    assert (result["search"], result["trials"], result["complete"]) == ("grid", 4, 4)
    last = {name: validations(folder, name)[-1] for name in names}
    best = max(names, key=lambda name: (last[name]["accuracy"], -last[name]["loss"]))
    assert result["best_trial"] == best and result["validation"] == last[best]["accuracy"]
    assert trained == [*names, best]
    # Only the best is tested.
    assert [name for name in names if (folder / name / "result.json").exists()] == [best]
    assert result["result"]["split"] == "test" and result["result"]["train_dir"] == str(folder / best)
    saved = json.loads((folder / best / "settings.json").read_text())
    rate, optimizer = result["parameters"].values()
    assert saved["learning_rate"] == float(rate) and saved["optimizer"] == optimizer
    assert f"--learning_rate={float(rate)}" in result["command"] and "--train_dir" not in result["command"]
    # Also momentum, which is the default, and the data.
    assert f"--optimizer={optimizer} " in result["command"] + " " and " --dataset=digits " in result["command"]
    said = capsys.readouterr().err
    assert f"of 4 trials {best} is the best, accuracy {last[best]['accuracy']:.4f} in validation" in said
    assert f"see {folder / 'report.html'}" in said
    page = (folder / "report.html").read_text()
    for words in (*names, "not used to choose it", f"{result['result']['accuracy']:.4f}", "learning_rate"):
        assert words in page
    # A run of its own says the same.
    from slimft.training import finetune

    alone = told.settings(
        {"learning_rate": float(rate), "optimizer": optimizer, "train_dir": str(tmp_path / "own")}
    )
    assert finetune(alone)["loss"] == pytest.approx(result["result"]["loss"], rel=1e-5)

    # Again: nothing is trained. With one value more, that alone.
    trained.clear()
    assert search(told) == result and trained == []
    more = search(plan("learning_rate:0.001,0.05,1e-9", "optimizer:momentum,adam"))
    assert trained == ["trial-005", "trial-006"] and more["best_trial"] == best and more["trials"] == 6
    # With fewer values the others count on; a directory that is gone is trained again.
    import shutil

    shutil.rmtree(folder / "trial-006")
    trained.clear()
    assert search(plan("learning_rate:1e-9", "optimizer:momentum,adam"))["trials"] == 6
    said = capsys.readouterr().err
    assert trained == ["trial-006"] and "trial-006 is gone" in said and "4 trials of an earlier --sweep" in said


def test_interrupted_and_resumed(plan, tmp_path, monkeypatch):
    """After a signal within a trial the same command comes to the same trials and figures as one that had none."""
    from slimft.training.failures import Interrupted

    sweep = "learning_rate:1e-3..1e-1:log", "optimizer:momentum,adam"
    told = plan(*sweep, kind="random", trials=3, prune=True)
    asked = []

    def never(record, trial):
        asked.append((trial.number, len(trial.values)))
        if asked[-1] == (2, 2) and len(asked) < 6:
            signal.raise_signal(signal.SIGTERM)
        return False

    monkeypatch.setattr(conduct, "is_to_prune", never)
    with pytest.raises(
        Interrupted, match=r"trial-002 of 3: stopped by SIGTERM at step 4.*and saved; repeat"
    ) as raised:
        search(told)
    assert raised.value.exit_status == 128 + signal.SIGTERM
    states = [trial.state for trial in read_record(tmp_path / "search").trials]
    assert states == ["complete", "waiting"]
    result = search(told)
    assert asked[5:] == [(2, 3), (3, 1), (3, 2), (3, 3)]
    resumed = read_record(tmp_path / "search")
    (tmp_path / "search").rename(tmp_path / "before")
    again = search(told)
    whole = read_record(tmp_path / "search")
    for one, other in zip(resumed.trials, whole.trials):
        assert one.parameters == other.parameters and one.values == pytest.approx(other.values)
    assert again["best_trial"] == result["best_trial"]
    # More trials go on from there; fewer are no fault.
    assert search(plan(*sweep, kind="random", trials=4))["trials"] == 4
    assert search(plan(*sweep, kind="random", trials=2))["trials"] == 4


def test_pruned_and_failed_trials_are_recorded(plan, tmp_path, monkeypatch):
    """One is ended at its first validation, one diverges; the others go on."""
    monkeypatch.setattr(conduct, "is_to_prune", lambda record, trial: trial.number == 1)
    result = search(plan("learning_rate:0.01,1e30,0.05", prune=True))
    assert [result[state] for state in ("complete", "pruned", "failed")] == [1, 1, 1]
    pruned, failed, good = read_record(tmp_path / "search").trials
    assert (pruned.state, pruned.step, len(pruned.values)) == ("pruned", 2, 1)
    assert failed.state == "failed" and "loss" in failed.message and failed.value is None
    assert result["best_trial"] == good.name == "trial-003"
    assert [one["step"] for one in validations(tmp_path / "search", "trial-001")] == [2]  # It is saved.
    page = (tmp_path / "search" / "report.html").read_text()
    assert "ended early" in page and "trial-002: step" in page
    (tmp_path / "search").rename(tmp_path / "other")
    with pytest.raises(TrainingError, match="no trial came to its end, of 1"):
        search(plan("learning_rate:1e30"))
    assert "failed" in (tmp_path / "search" / "report.html").read_text()


def test_what_concerns_all_trials_stops_at_once(plan, tmp_path, trained):
    for told, words in [
        (plan("learning_rate:0.1", exclude=("nowhere",), checkpoint=str(tmp_path / "no.ckpt")), "no.ckpt"),
        (plan("learning_rate:0.1", dataset="image_folder", data_dir=str(tmp_path / "none")), "none"),
        (plan("balance:none,loss"), "by accuracy and by balanced_accuracy; give --metric"),
        (plan("model:tiny,tiny_fcn"), "is for segmentation"),
        (plan("mixup:0,1", "augment:none", model="nothing"), "nothing"),
    ]:
        with pytest.raises(SlimftError, match=words) as raised:
            search(told)
        assert raised.value.exit_status == 2
    assert len(trained) == 2 and not (tmp_path / "search" / "trial-001").exists()
    # What began nothing binds nobody: the right command goes its way.
    assert search(plan("learning_rate:0.1"))["complete"] == 1


def test_another_search_is_refused(plan, tmp_path, monkeypatch):
    search(plan("learning_rate:0.01"))
    for told, words in [
        (plan("learning_rate:0.01", steps=8), "have --steps=6, not 8"),
        (plan("learning_rate:0.01", weight_decay=0.1), r"have --weight_decay=\(left out\), not 0.1"),
        (plan("batch_size:16"), "holds a search of --sweep=learning_rate:0.01"),
        (plan("learning_rate:0.01..0.1", kind="tpe", trials=1), "of the kind grid, not tpe"),
    ]:
        with pytest.raises(UsageError, match=words):
            search(told)
    # What is only of the disk may be another.
    assert search(plan("learning_rate:0.01", keep=3))["trials"] == 1
    (tmp_path / "search").rename(tmp_path / "other")
    search(plan("learning_rate:0.01..0.1", kind="random", trials=1))
    for told, words in [
        (plan("learning_rate:0.01..0.2", kind="random", trials=1), "holds a search of"),
        (plan("learning_rate:0.01..0.1", kind="random", trials=1, seed=3), "--search_seed=0, not 3"),
    ]:
        with pytest.raises(UsageError, match=words):
            search(told)
    run = tmp_path / "search"
    (run / "settings.json").write_text("{}")
    with pytest.raises(UsageError, match="holds a run"):
        search(plan("learning_rate:0.01"))
    monkeypatch.setenv("TF_CONFIG", "{}")
    with pytest.raises(UsageError, match="TF_CONFIG is set"):
        search(plan("learning_rate:0.01"))


def test_other_data_ends_the_search(plan, tmp_path):
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)

    def add(number):
        for label in ("a", "b"):
            folder = tmp_path / "data" / label
            folder.mkdir(parents=True, exist_ok=True)
            for i in range(number):
                pixels = random.integers(0, 255, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{len(list(folder.iterdir()))}-{i}.png")

    add(20)
    data = dict(dataset="image_folder", data_dir=str(tmp_path / "data"), image_size=32, batch_size=8, cache="off")
    search(plan("learning_rate:0.01", **data))
    add(2)
    with pytest.raises(DataError, match="is not that of the trials before"):
        search(plan("learning_rate:0.01,0.02", **data))
