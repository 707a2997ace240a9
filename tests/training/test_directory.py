"""A run in a directory that holds one already: its end, its best checkpoint, what is missing, who else is there."""

import json
import pathlib
import shutil
import subprocess
import time

import numpy as np
import pytest
from PIL import Image

import slimft
from slimft import UsageError
from slimft.tasks.classification_scores import ClassificationScores
from slimft.training import Settings, finetune
from slimft.training.loop import prepare

FAST = dict(model="tiny", dataset="digits", batch_size=64, steps=12, learning_rate=0.05, save_secs=1e9)


def settings(folder, **changes):
    return Settings(**{**FAST, "train_dir": str(folder / "run"), **changes})


def history(folder):
    return json.loads((folder / "run/history.json").read_text())


def files(folder):
    found = (path for path in sorted(folder.iterdir()) if path.is_file() and path.name != ".lock")
    return {path.name: path.read_bytes() for path in found}


@pytest.mark.parametrize(
    "shorter", [{"steps": 6}, {"steps": None, "epochs": 0.2}, {"steps": None, "batch_size": 2000}]
)
def test_a_run_beyond_its_end_is_evaluated_and_says_so(tiny, tmp_path, capsys, shorter):
    """It once trained for ever: no step was equal to the last."""
    first = finetune(settings(tmp_path, steps=12))
    before = files(tmp_path / "run")
    capsys.readouterr()
    again = finetune(settings(tmp_path, **shorter))
    assert {**again, "images_per_second": None} == {**first, "images_per_second": None}
    assert "the run is at step 12 and ends at step " in capsys.readouterr().err
    after = files(tmp_path / "run")
    for name in ("model.ckpt-12.index", "model.ckpt-12.data-00000-of-00001", "settings.json", "labels.txt"):
        assert after[name] == before[name], name
    assert history(tmp_path)["validation"][-1]["step"] == 12


def test_a_finished_run_that_goes_on_says_so(tiny, tmp_path, capsys):
    finetune(settings(tmp_path, steps=4))
    assert finetune(settings(tmp_path, steps=6))["step"] == 6
    err = capsys.readouterr().err
    assert "note: --steps was 4, is now 6" in err
    assert "the run had come to its end at step 4; it goes on to step 6" in err


@pytest.mark.parametrize("change", [{"metric": "loss"}, {"balance": "loss"}])
def test_the_best_after_another_metric_is_one_whose_checkpoint_is_there(tiny, tmp_path, monkeypatch, change):
    """Step 4 is the best by the other metric, but its checkpoint is gone: once it was reported all the same."""
    figures = iter([(0.2, 0.9, 0.1), (0.5, 0.1, 1.0), (0.6, 0.4, 0.5), (0.61, 0.5, 0.4), (0.1, 0.3, 0.9)])
    summary = ClassificationScores.summary

    def made_up(predictions):
        found = summary(predictions)
        if found["examples"] != 144:
            return found
        accuracy, balanced, loss = next(figures)
        return {**found, "accuracy": accuracy, "balanced_accuracy": balanced, "loss": loss}

    monkeypatch.setattr(ClassificationScores, "summary", made_up)
    finetune(settings(tmp_path, steps=12, eval_every=4, patience=9))  # The best is step 12.
    result = finetune(settings(tmp_path, steps=20, eval_every=4, patience=9, **change))
    best = slimft.open_checkpoint(tmp_path / "run/best")
    metrics = json.loads((tmp_path / "run/best/metrics.json").read_text())
    assert result["checkpoint"] == best.path
    assert result["step"] == best["global_step"] == history(tmp_path)["best_step"] == metrics["step"] == 16
    assert metrics["accuracy"] == 0.61 and "best_validation_accuracy" not in result
    name, value = ("loss", 0.4) if "metric" in change else ("balanced_accuracy", 0.5)
    assert result[f"best_validation_{name}"] == metrics[name] == value


def test_a_validation_that_is_not_finite_is_not_the_best(tiny, tmp_path, monkeypatch):
    losses = iter([float("nan"), 0.5, float("nan")])
    summary = ClassificationScores.summary

    def made_up(predictions):
        found = summary(predictions)
        return {**found, "loss": next(losses)} if found["examples"] == 144 else found

    monkeypatch.setattr(ClassificationScores, "summary", made_up)
    finetune(settings(tmp_path, steps=12, eval_every=4, metric="loss"))
    assert slimft.open_checkpoint(tmp_path / "run/best")["global_step"] == 8
    assert [record["loss"] for record in history(tmp_path)["validation"]] == [None, 0.5, None]


@pytest.mark.parametrize("damage", ["removed", "cut", "empty state", "no state"])
def test_without_its_newest_checkpoint_a_run_does_not_begin_anew(tiny, tmp_path, capsys, damage):
    finetune(settings(tmp_path, steps=8, eval_every=4, keep=2))
    run = tmp_path / "run"
    data = run / "model.ckpt-8.data-00000-of-00001"
    if damage == "removed":
        for file in run.glob("model.ckpt-8.*"):
            file.unlink()
    elif damage == "cut":
        data.unlink()  # The one in best/ is the same file.
        data.write_bytes((run / "model.ckpt-4.data-00000-of-00001").read_bytes()[:-4000])
    elif damage == "empty state":
        (run / "checkpoint").write_text("")
    else:
        (run / "checkpoint").unlink()
    before = files(run)
    wanted = "--resume_from=8" if damage.endswith("state") else "--resume_from=4"
    with pytest.raises(slimft.SlimftError, match=f"step {wanted[-1]} is intact: {wanted} goes on from it"):
        finetune(settings(tmp_path, steps=12))
    after = files(run)
    assert {name for name in before if before[name] != after[name]} <= {"report.html"}

    step = int(wanted[-1])
    capsys.readouterr()
    result = finetune(settings(tmp_path, steps=12, eval_every=4), resume_from=step)
    assert f"resuming at step {step} from" in capsys.readouterr().err
    assert result["step"] == 12 == slimft.open_checkpoint(run)["global_step"]
    assert [record["step"] for record in history(tmp_path)["validation"]] == [4, 8, 12]
    saved = sorted(path.name for path in run.glob("model.ckpt-*.index"))
    assert saved == ["model.ckpt-12.index", "model.ckpt-8.index"]
    slimft.open_checkpoint(run / "model.ckpt-8")["tiny/conv1/weights"]


def test_a_directory_with_nothing_but_a_history_or_a_result_is_not_a_new_one(tiny, tmp_path):
    finetune(settings(tmp_path, steps=4))
    run = tmp_path / "run"
    for file in [*run.glob("model.ckpt*"), run / "checkpoint"]:
        file.unlink()
    shutil.rmtree(run / "best")
    with pytest.raises(UsageError, match="holds the result of a run"):
        prepare(settings(tmp_path, steps=8))
    (run / "result.json").unlink()
    with pytest.raises(UsageError, match="holds the history of a run to step 4"):
        prepare(settings(tmp_path, steps=8))
    with pytest.raises(UsageError, match="--resume_from=3: .*there is no intact one"):
        prepare(settings(tmp_path, steps=8), resume_from=3)


def test_an_older_best_checkpoint_does_not_outlive_what_comes_after_it(tiny, tmp_path, capsys):
    """Going on from step 4, the best of step 8 is of a run that is forgotten."""
    finetune(settings(tmp_path, steps=8, eval_every=4))
    if slimft.open_checkpoint(tmp_path / "run/best")["global_step"] != 8:
        pytest.skip("the best is not the last here")
    finetune(settings(tmp_path, steps=6, eval_every=100), resume_from=4)
    assert "the best checkpoint, of step 8, is of what comes after step 4" in capsys.readouterr().err
    assert slimft.open_checkpoint(tmp_path / "run/best")["global_step"] == history(tmp_path)["best_step"] <= 6


def test_two_runs_of_default_settings_do_not_share_a_directory(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = {name: value for name, value in FAST.items() if name != "steps"}
    results = [finetune(Settings(**given, steps=steps)) for steps in (2, 3)]
    assert [result["step"] for result in results] == [2, 3]
    assert len({result["train_dir"] for result in results}) == 2
    names = [prepare(Settings(**FAST)).settings.train_dir for _ in range(3)]
    assert len(set(names)) == 3


def test_the_library_checks_and_expands_what_the_command_does(tiny, tmp_path, capsys):
    for wrong, words in [
        ({"learning_rate": -1.0}, "--learning_rate=-1.0 must be a positive number"),
        ({"batch_size": "64"}, "--batch_size='64' must be of type int"),
        ({"exclude": ("tiny/logits",)}, "need a --checkpoint"),
        ({"checkpoint": ""}, "--checkpoint is empty"),
        ({"recipe": "best"}, "--recipe=best"),
        ({"model": None}, "--model is missing"),
    ]:
        with pytest.raises(UsageError, match=words):
            finetune(settings(tmp_path, **wrong))
    finetune(settings(tmp_path, steps=2))
    given = {"checkpoint": pathlib.Path(tmp_path, "run"), "exclude": "tiny/logits", "batch_size": 64}
    finetune(Settings(model="tiny", recipe="features", steps=3, train_dir=tmp_path / "second", **given))
    err = capsys.readouterr().err
    assert "--recipe=features is " in err and "--trainable=tiny/logits" in err
    assert "training on digits" in err
    before, after = slimft.open_checkpoint(tmp_path / "run"), slimft.open_checkpoint(tmp_path / "second")
    for name in ("tiny/conv1/weights", "tiny/conv2/weights", "tiny/conv2/BatchNorm/moving_mean"):
        np.testing.assert_array_equal(before[name], after[name])
    assert not np.array_equal(before["tiny/logits/weights"], after["tiny/logits/weights"])


def test_a_second_process_in_a_directory_is_refused(tiny_command, fresh_tiny_command, tmp_path):
    flags = ["--model=tiny", "--dataset=digits", f"--train_dir={tmp_path}", "--steps=100000"]
    command = [*tiny_command, *flags]
    # The lock names this process itself.
    first = subprocess.Popen(
        [*fresh_tiny_command, *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        end = time.monotonic() + 120
        while not list(tmp_path.glob("events*")):
            assert first.poll() is None and time.monotonic() < end
            time.sleep(0.05)
        second = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert (second.returncode, second.stdout) == (2, "")
        assert f"is in use by another process (process {first.pid} on" in second.stderr.splitlines()[-1]
        first.kill()  # And with it goes the lock.
        first.wait()
        third = subprocess.run([*command, "--steps=2"], capture_output=True, text=True, timeout=120)
        assert third.returncode == 0, third.stderr
    finally:
        first.kill()
        first.communicate()


def test_a_run_that_was_moved_goes_on(tiny, tmp_path, capsys):
    """Its state files name absolute paths, as TensorFlow's Saver writes them, of a place that is no more."""
    finetune(settings(tmp_path, steps=6))
    for folder in (tmp_path / "run", tmp_path / "run/best"):
        state = folder / "checkpoint"
        if state.exists():
            state.write_text(state.read_text().replace(': "', ': "/home/gone/run/'))
    (tmp_path / "run").rename(tmp_path / "moved")
    capsys.readouterr()
    finetune(settings(tmp_path, train_dir=str(tmp_path / "moved")))
    said = capsys.readouterr().err
    note = f"note: {tmp_path}/moved/checkpoint names /home/gone/run/model.ckpt-6, which is not there"
    assert said.count(note) == 1
    assert int(slimft.open_checkpoint(tmp_path / "moved")["global_step"]) == 12


def test_a_run_with_averages_is_continued_by_another_from_them(tiny, tmp_path, capsys):
    finetune(settings(tmp_path, ema=0.9, steps=6))
    saved = slimft.open_checkpoint(tmp_path / "run")
    name = "tiny/conv1/weights"
    assert not np.array_equal(saved[name], saved[f"{name}/ExponentialMovingAverage"])
    for averages, entry in ((None, f"{name}/ExponentialMovingAverage"), (False, name)):
        capsys.readouterr()
        second = tmp_path / f"from-{averages}"
        changes = {"checkpoint": str(tmp_path / "run"), "averages": averages, "train_dir": str(second)}
        finetune(settings(tmp_path, trainable="tiny/logits", steps=1, **changes))
        assert ("starting from the moving averages" in capsys.readouterr().err) == (averages is None)
        np.testing.assert_array_equal(slimft.open_checkpoint(second)[name], saved[entry])


def pictures(folder, names, seed=0):
    rng = np.random.default_rng(seed)
    for label in "ab":
        (folder / label).mkdir(parents=True, exist_ok=True)
        for name in names:
            Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).save(folder / label / f"{name}.png")
    return folder


def on_pictures(folder, **changes):
    given = dict(dataset="image_folder", data_dir=str(folder / "data"), image_size=16, batch_size=8, steps=4)
    return settings(folder, **{**given, **changes})


def test_images_that_come_and_go_are_told_and_none_that_trained_tests(tiny, tmp_path, capsys, monkeypatch):
    """A training image is copied to where the hash of its path has it test, and others are added and removed."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data = pictures(tmp_path / "data", range(40))
    finetune(on_pictures(tmp_path))
    record = json.loads((tmp_path / "run/data.json").read_text())
    trained, tested = (record["splits"][split]["keys"] for split in ("train", "test"))
    pictures(data, ("new-1", "new-2", "new-3"), seed=1)
    (data / trained[0]).unlink()
    copies = [f"{trained[1].split('/')[0]}/copy-{i}.png" for i in range(40)]
    for copy in copies:
        shutil.copy(data / trained[1], data / copy)
    capsys.readouterr()
    result = finetune(on_pictures(tmp_path, steps=6))
    err = capsys.readouterr().err
    assert "the data has changed since the run was last trained: 46 images were added, 1 was removed" in err
    left = next(line for line in err.splitlines() if "of the test split left out, which the network" in line)
    now = json.loads((tmp_path / "run/data.json").read_text())
    digest = dict(zip(record["splits"]["train"]["keys"], record["splits"]["train"]["digests"]))
    test = dict(zip(now["splits"]["test"]["keys"], now["splits"]["test"]["digests"]))
    copied = [key for key, value in test.items() if value == digest[trained[1]]]
    assert copied and int(left.split()[0]) == len(copied)
    assert result["examples"] == len(test) - len(copied)
    assert set(tested) <= set(test), "none has moved"
    assert digest[trained[0]] in now["trained_before"]


def test_a_run_from_anothers_checkpoint_tests_on_nothing_that_one_trained_on(tiny, tmp_path, monkeypatch, capsys):
    """With another seed of the splits, most images of the new test split trained the first run."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    pictures(tmp_path / "data", range(40))
    finetune(on_pictures(tmp_path))
    trained = set(json.loads((tmp_path / "run/data.json").read_text())["splits"]["train"]["keys"])
    capsys.readouterr()
    second = {"train_dir": str(tmp_path / "second"), "checkpoint": str(tmp_path / "run"), "split_seed": 1}
    result = finetune(on_pictures(tmp_path, **second))
    tested = set(json.loads((tmp_path / "second/data.json").read_text())["splits"]["test"]["keys"])
    assert trained & tested and result["examples"] == len(tested - trained)
    assert f"{len(trained & tested)} images of the test split left out" in capsys.readouterr().err


def test_a_run_that_does_not_tell_what_it_trained_on_is_refused(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    pictures(tmp_path / "data", range(20))
    finetune(on_pictures(tmp_path))
    (tmp_path / "run/data.json").unlink()
    with pytest.raises(UsageError, match="does not tell which images it trained on: its data.json is missing"):
        finetune(on_pictures(tmp_path, steps=6))


def test_a_finished_run_is_not_said_to_have_trained_on_new_images(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data = pictures(tmp_path / "data", range(20))
    finetune(on_pictures(tmp_path))
    before = (tmp_path / "run/data.json").read_bytes()
    pictures(data, ("new-1", "new-2"), seed=1)
    finetune(on_pictures(tmp_path))
    assert (tmp_path / "run/data.json").read_bytes() == before
