"""What fine-tuning does beyond a plain run: stages, multipliers, accumulation, averages, early stopping."""

import dataclasses
import json
import pathlib
import signal

import numpy as np
import pytest

import slimft
from slimft import evaluation
from slimft.compat import slim, tf
from slimft.errors import PatternError, UsageError
from slimft.runs.read import read_run
from slimft.runs.settings_file import load_settings
from slimft.tasks.classification_scores import ClassificationScores
from slimft.training import Settings, finetune
from slimft.training import loop as loop_module
from slimft.training.lr_finder import find_learning_rate, suggest
from slimft.training.run import prepare
from slimft.training.saving import CheckpointKeeper

FAST = dict(model="tiny", dataset="digits", batch_size=64, steps=12, learning_rate=0.05, save_secs=1e9)


def settings(folder, name="run", **changes):
    return Settings(**{**FAST, "train_dir": str(folder / name), **changes})


def values(path):
    checkpoint = slimft.open_checkpoint(path)
    return {name: checkpoint[name] for name in checkpoint}


def assert_same(left, right):
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


@pytest.fixture
def pretrained(tiny, tmp_path):
    """A checkpoint of `tiny`, trained for a few steps."""
    finetune(settings(tmp_path, "pretrained", steps=4))
    return str(tmp_path / "pretrained")


def network_values(path):
    """The network's own variables in a checkpoint."""
    return {
        name: value
        for name, value in values(path).items()
        if name.rpartition("/")[2] in ("weights", "biases", "beta", "moving_mean", "moving_variance")
    }


def moved(before, after):
    """The scopes, of two parts, of what differs."""
    return {"/".join(name.split("/")[:2]) for name in before if not np.array_equal(before[name], after[name])}


def test_freeze_leaves_out_what_trainable_selects(pretrained, tmp_path):
    finetune(settings(tmp_path, checkpoint=pretrained, freeze=("tiny/conv1",), steps=3))
    assert moved(network_values(pretrained), network_values(tmp_path / "run")) == {"tiny/conv2", "tiny/logits"}


def test_frozen_batch_norm_keeps_its_statistics_while_its_weights_train(pretrained, tmp_path):
    finetune(settings(tmp_path, checkpoint=pretrained, batch_norm="frozen", steps=3))
    before, after = network_values(pretrained), network_values(tmp_path / "run")
    for name in before:
        assert np.array_equal(before[name], after[name]) == ("/moving_" in name), name


def test_stages_train_one_after_the_other(pretrained, tmp_path, capsys):
    """1293 examples by 64: half an epoch is 10 steps. What a stage does not train, it does not move."""
    stages = ("0.5:head", "0.25:head,tiny/conv2@0.01", "0.25:all@0.001")
    run = settings(tmp_path, checkpoint=pretrained, stage=stages, steps=None, keep=9, ema=0.5)
    result = finetune(run)
    assert result["step"] == 20
    at = {step: network_values(tmp_path / f"run/model.ckpt-{step}") for step in (10, 15, 20)}
    at[0] = network_values(pretrained)
    assert moved(at[0], at[10]) == {"tiny/logits"}
    assert moved(at[10], at[15]) == {"tiny/logits", "tiny/conv2"}
    assert moved(at[15], at[20]) == {"tiny/logits", "tiny/conv2", "tiny/conv1"}
    err = capsys.readouterr().err
    assert "stage 1 of 3, tiny/logits, of tiny" in err and "stage 3 of 3, tiny, of tiny" in err
    # Started in the middle, at a border and at the end, the run ends the same.
    for number, last in enumerate((4, 10, 13)):
        again = settings(tmp_path, f"again{number}", checkpoint=pretrained, stage=stages, steps=None, ema=0.5)
        interrupt_at(last, again)
        assert finetune(again)["step"] == 20
        assert_same(values(tmp_path / "run"), values(again.train_dir))


def interrupt_at(step, settings):
    """Runs until SIGTERM comes in step `step`."""
    with pytest.MonkeyPatch.context() as patch:
        take_step = loop_module.Run.take_step

        def interrupted(run, session, *feeds):
            if int(session.run(run.training.global_step)) == step - 1:
                signal.raise_signal(signal.SIGTERM)
            return take_step(run, session, *feeds)

        patch.setattr(loop_module.Run, "take_step", interrupted)
        with pytest.raises(loop_module.Interrupted, match=f"SIGTERM at step {step} "):
            finetune(settings)


def test_a_multiplier_of_a_scope(pretrained, tmp_path):
    """Plain gradient descent: one step moves the logits ten times as far."""
    one = dict(checkpoint=pretrained, steps=1, optimizer="sgd", schedule="fixed", weight_decay=0.0)
    finetune(settings(tmp_path, "plain", **one))
    finetune(settings(tmp_path, "ten", **one, lr_multiplier=("tiny/conv1:2", "head:10")))
    start, plain, ten = (network_values(path) for path in (pretrained, tmp_path / "plain", tmp_path / "ten"))
    for name in start:
        factor = {"conv1": 2, "logits": 10}.get(name.split("/")[1], 1)
        if "moving" not in name:
            np.testing.assert_allclose(ten[name] - start[name], factor * (plain[name] - start[name]), atol=2e-6)


def test_patterns_that_select_nothing_name_their_flag(tiny, tmp_path):
    for flags, words in (
        ({"freeze": ("tiny/conv9",)}, "--freeze=tiny/conv9 matches no variable; did you mean tiny/conv"),
        ({"lr_multiplier": ("tiny/conv9:2",)}, "--lr_multiplier=tiny/conv9 matches no variable that is trained"),
        ({"lr_multiplier": ("tiny/conv1:2",), "freeze": ("tiny/conv1",)}, "--lr_multiplier=tiny/conv1 matches no"),
        ({"trainable": ("logits",)}, "--trainable=logits matches no variable; did you mean tiny/logits"),
        ({"freeze": ("tiny",)}, "--freeze leaves nothing to train"),
    ):
        with pytest.raises(PatternError, match=words):
            prepare(settings(tmp_path, **flags))


def test_accumulated_batches_are_one_large_batch(pretrained, tmp_path, monkeypatch):
    """Without dropout and with stored statistics, four batches of 16 make the step that one of 64 makes."""
    monkeypatch.setattr(slim, "dropout", lambda net, *_, **__: net)
    fixed = dict(checkpoint=pretrained, batch_norm="frozen", augment="none", steps=6, clip_norm=0.5)
    whole = finetune(settings(tmp_path, "whole", **fixed))
    parts = finetune(settings(tmp_path, "parts", **fixed, batch_size=16, accumulate=4))
    large, small = network_values(tmp_path / "whole"), network_values(tmp_path / "parts")
    for name in large:
        np.testing.assert_allclose(small[name], large[name], atol=1e-5, err_msg=name)
    assert parts["step"] == whole["step"] == 6
    curves = [json.loads((tmp_path / name / "history.json").read_text())["train"] for name in ("whole", "parts")]
    assert curves[1][-1]["loss"] == pytest.approx(curves[0][-1]["loss"], rel=1e-4)


def test_moving_averages_are_evaluated_and_saved(tiny, tmp_path):
    result = finetune(settings(tmp_path, ema=0.8, steps=30))
    saved = values(tmp_path / "run")
    names = [name for name in saved if name.endswith("/ExponentialMovingAverage")]
    assert {name.rpartition("/")[0] for name in names} == network_values(tmp_path / "run").keys()
    averaged = evaluation.evaluate("tiny", "digits", str(tmp_path / "run"), averages=True)
    plain = evaluation.evaluate("tiny", "digits", str(tmp_path / "run"), averages=False)
    assert averaged["loss"] == pytest.approx(result["loss"], rel=1e-5) != plain["loss"]
    # By hand, from the weights after each of the last steps.
    run = prepare(settings(tmp_path, "again", ema=0.8))
    with run.training.graph.as_default(), tf.Session() as session:
        run.restore(session)
        (weights,) = (v for v in run.training.trained if v.op.name == "tiny/conv2/weights")
        average = run.training.averages.average(weights)
        wanted = session.run(weights)
        np.testing.assert_array_equal(session.run(average), wanted)
        run.start_batches(session, 0)
        for step in range(12):
            run.take_step(session)
            decay = min(0.8, (1 + step) / (10 + step))
            wanted = decay * wanted + (1 - decay) * session.run(weights)
        np.testing.assert_allclose(session.run(average), wanted, rtol=1e-4, atol=1e-6)


def test_early_stopping_ends_with_the_best(tiny, tmp_path, monkeypatch, capsys):
    """The validation gets better twice, then never again: three more, and the run stops with the second."""
    accuracies = iter([0.2, 0.3, 0.25, 0.1, 0.29, 0.9])
    run = settings(tmp_path, steps=1000, eval_every=2, patience=3)
    summary = ClassificationScores.summary

    def made_up(predictions):
        found = summary(predictions)
        return {**found, "accuracy": next(accuracies)} if found["examples"] == 144 else found

    monkeypatch.setattr(ClassificationScores, "summary", made_up)
    result = finetune(run)
    assert (result["step"], result["best_validation_accuracy"]) == (4, 0.3)
    assert result["checkpoint"] == str(tmp_path / "run/best/model.ckpt-4")
    history = json.loads((tmp_path / "run/history.json").read_text())
    assert [record["step"] for record in history["validation"]] == [2, 4, 6, 8, 10]
    assert load_settings(tmp_path / "run").final_checkpoint() == str(tmp_path / "run/best")
    again = evaluation.evaluate("tiny", "digits", str(tmp_path / "run/best"))
    assert again["loss"] == pytest.approx(result["loss"], rel=1e-5)
    # It does not go on when it is started again.
    assert finetune(run)["loss"] == result["loss"]
    assert slimft.open_checkpoint(tmp_path / "run")["global_step"] == 10
    assert next(accuracies) == 0.9


def test_a_kill_between_saving_and_keeping_the_best_is_made_good(tiny, tmp_path, monkeypatch):
    run = settings(tmp_path, eval_every=6)

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(CheckpointKeeper, "keep_as_best", killed)
    with pytest.raises(KeyboardInterrupt):
        finetune(run)
    assert slimft.open_checkpoint(tmp_path / "run")["global_step"] == 6
    assert not (tmp_path / "run/best").exists()
    monkeypatch.undo()
    finetune(run)
    best = json.loads((tmp_path / "run/best/metrics.json").read_text())
    history = json.loads((tmp_path / "run/history.json").read_text())
    assert [record["step"] for record in history["validation"]] == [6, 12]
    assert best["step"] == history["best_step"]


def test_a_kill_at_the_border_of_two_stages_keeps_the_best_of_the_first(tiny, tmp_path, monkeypatch):
    """Once the second stage's graph saved it anew, with its own variables."""
    run = settings(tmp_path, steps=None, stage=("0.3:head", "0.3:all"), eval_every=6, optimizer="adam")

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(CheckpointKeeper, "keep_as_best", killed)
    with pytest.raises(KeyboardInterrupt):
        finetune(run)
    saved = slimft.open_checkpoint(tmp_path / "run")
    names, step = list(saved), int(saved["global_step"])
    assert step == 6 and not any("conv1" in name and "Adam" in name for name in names)
    monkeypatch.undo()
    train = loop_module._train
    monkeypatch.setattr(loop_module, "_train", lambda state: stop_after_keeping(state, train))
    with pytest.raises(KeyboardInterrupt):
        finetune(run)
    best = slimft.open_checkpoint(tmp_path / "run/best")
    assert int(best["global_step"]) == 6 and list(best) == names


def stop_after_keeping(state, train):
    """Trains, but is killed at the first step."""

    def killed(*_):
        raise KeyboardInterrupt

    object.__setattr__(state.run, "take_step", killed)
    return train(state)


def test_another_split_of_the_data_is_another_run(tiny, tmp_path):
    finetune(settings(tmp_path, steps=1, train_examples=100))
    with pytest.raises(UsageError, match="holds a run with --train_examples=100, not None"):
        prepare(settings(tmp_path, steps=1))


def test_a_new_head_starts_afresh(pretrained, tmp_path):
    """The network's own logits need not be named, nor may naming them be an error."""
    for number, exclude in enumerate(((), ("tiny/logits",))):
        run = settings(tmp_path, f"run{number}", checkpoint=pretrained, head="bn_mlp", exclude=exclude, steps=2)
        finetune(run)
        saved = values(run.train_dir)
        assert "head/logits/weights" in saved and "tiny/logits/weights" not in saved


def test_the_learning_rate_finder(tiny, tmp_path):
    result = find_learning_rate(settings(tmp_path))
    assert 1e-4 < result["suggested_learning_rate"] < 3
    assert (tmp_path / "run/lr_finder.png").read_bytes().startswith(b"\x89PNG")
    tried = json.loads((tmp_path / "run/lr_finder.json").read_text())
    assert tried["learning_rates"][0] == pytest.approx(1e-6, rel=1e-3)
    assert len(tried["losses"]) == len(tried["learning_rates"]) == result["steps"] > 50
    assert not list((tmp_path / "run").glob("model.ckpt*"))
    finetune(settings(tmp_path, steps=1))
    with pytest.raises(UsageError, match="holds a run already"):
        find_learning_rate(settings(tmp_path))


def test_what_the_finder_suggests():
    """A loss that is flat, falls between 1e-3 and 1e-1, and rises."""
    rates = np.logspace(-6, 1, 140)
    position = np.log10(rates)
    losses = np.interp(position, [-6, -3, -1, 0, 1], [2.3, 2.3, 0.5, 0.8, 30])
    noise = np.random.default_rng(0).normal(0, 0.02, len(rates))
    assert 1e-3 < suggest(list(rates), list(losses + noise)) < 1e-1
    assert suggest(list(rates), list(2.3 + noise + np.maximum(position + 1, 0))) is None
    assert suggest([1e-6] * 5, [1.0] * 5) is None


def test_validation_and_test_of_some_examples(tiny, tmp_path, capsys):
    """The same ones each time, of each class, and told; the rest of the run is as it is of all."""
    some = settings(tmp_path, steps=2, validation_examples=20, test_examples=50)
    result = finetune(some)
    assert (result["examples"], result["examples_in_split"]) == (50, 360)
    said = capsys.readouterr().err
    assert "note: validation: 20 of 144 examples (--validation_examples)" in said
    assert "note: test: 50 of 360 examples (--test_examples)" in said
    saved = read_run(result["train_dir"])
    assert saved.result.figure("examples_in_split") == 360 and sum(saved.result.class_counts["test"]) == 50
    assert {entry["examples"] for entry in saved.history.validation} == {20}
    assert "50 of 360 examples" in (pathlib.Path(result["train_dir"]) / "report.html").read_text()
    # bin/evaluate has the whole, or the same sample.
    assert slimft.evaluate(train_dir=result["train_dir"])["examples"] == 360
    again = slimft.evaluate(train_dir=result["train_dir"], examples=50)
    assert again["accuracy"] == result["accuracy"] and again["loss"] == pytest.approx(result["loss"], rel=1e-4)
    # A run of other validation examples is another run; the test may be of others.
    with pytest.raises(UsageError, match="holds a run with --validation_examples=20, not 21"):
        prepare(dataclasses.replace(some, validation_examples=21))
    with pytest.raises(UsageError, match="--test_examples=9: digits has 10 classes, and each needs one"):
        prepare(settings(tmp_path, "other", steps=2, test_examples=9))
