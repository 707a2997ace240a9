"""The session loop on real digits, with a network small enough for a test."""

import json
import os
import signal
import sys

import numpy as np
import pytest

import slimft
from slimft import TrainingError, UsageError, evaluation
from slimft.compat import tf
from slimft.runs.outcomes import read_outcomes
from slimft.runs.settings_file import load_settings
from slimft.training import Settings, finetune
from slimft.training import loop as loop_module
from slimft.training.loop import prepare, train_and_evaluate

FAST = dict(model="tiny", dataset="digits", batch_size=64, steps=24, learning_rate=0.05, save_secs=1e9)


def settings(folder, **changes):
    return Settings(**{**FAST, "train_dir": str(folder / "run"), **changes})


def values(path):
    checkpoint = slimft.open_checkpoint(path)
    return {name: checkpoint[name] for name in checkpoint}


def assert_same(left, right):
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


def test_learns_and_reports(tiny, tmp_path):
    result = finetune(settings(tmp_path, steps=120))
    assert result["accuracy"] > 0.5
    assert result["examples"] == 360
    assert result["step"] == 120
    assert result["checkpoint"] == str(tmp_path / "run" / "model.ckpt-120")
    assert 0 < result["best_validation_accuracy"] <= 1
    assert result["images_per_second"] > 0
    json.dumps(result)
    # The same numbers from the saved checkpoint, by the other road.
    for checkpoint in (result["checkpoint"], tmp_path / "run"):
        again = evaluation.evaluate("tiny", "digits", str(checkpoint), batch_size=50)
        assert again["accuracy"] == result["accuracy"]
        assert again["loss"] == pytest.approx(result["loss"], rel=1e-5)
        assert again["step"] == 120
    # What it left of each example, against the other road.
    left = read_outcomes(tmp_path / "run", "classification", 10)
    full = evaluation.evaluate_in_full("tiny", "digits", result["checkpoint"]).predictions
    assert left.step == 120 and len(set(left.digests.tolist())) == 360
    for name in ("labels", "predicted", "confidence"):
        np.testing.assert_allclose(left.arrays[name], getattr(full, name), rtol=1e-4)
    # What it left of each example, against the other road.
    left = read_outcomes(tmp_path / "run", "classification", 10)
    full = evaluation.evaluate_in_full("tiny", "digits", result["checkpoint"]).predictions
    assert left.step == 120 and len(set(left.digests.tolist())) == 360
    for name in ("labels", "predicted", "confidence"):
        np.testing.assert_allclose(left.arrays[name], getattr(full, name), rtol=1e-4)
    best = evaluation.evaluate("tiny", "digits", str(tmp_path / "run" / "best"), split="validation")
    assert best["accuracy"] == result["best_validation_accuracy"]
    assert load_settings(tmp_path / "run").image_size == 32
    assert (tmp_path / "run" / "labels.txt").read_text() == "".join(f"{digit}:{digit}\n" for digit in range(10))


def test_writes_tensorboard_events(tiny, tmp_path):
    finetune(settings(tmp_path))
    (file,) = (tmp_path / "run").glob("events*")
    tags = {}
    for event in tf.train.summary_iterator(str(file)):
        for value in event.summary.value:
            if value.HasField("simple_value"):
                tags.setdefault(value.tag, {})[event.step] = value.simple_value
    assert sorted(tags) == [
        "test/accuracy",
        "test/balanced_accuracy",
        "test/loss",
        "train/accuracy",
        "train/learning_rate",
        "train/loss",
        "validation/accuracy",
        "validation/balanced_accuracy",
        "validation/loss",
    ]
    assert sorted(tags["train/loss"]) == [10, 20, 24]
    assert tags["train/learning_rate"][10] > tags["train/learning_rate"][24] >= 0


def test_evaluation_equals_a_plain_forward_pass_with_a_last_smaller_batch(tiny, tmp_path):
    """360 test examples by 100: the metrics are those of all logits at once."""
    run = prepare(settings(tmp_path))
    with run.training.graph.as_default(), tf.Session() as session:
        session.run(tf.global_variables_initializer())
        metrics = run.training.evaluator.run(session, run.splits["test"]).summary()
        logits = session.graph.get_tensor_by_name("tiny_1/squeezed:0")
        run.training.evaluator.batches.start(session, run.splits["test"])
        pairs = [session.run([logits, run.training.evaluator.batches.targets]) for _ in range(6)]
    assert [len(labels) for _, labels in pairs] == [64] * 5 + [40]
    scores = np.concatenate([pair[0] for pair in pairs]).astype(np.float64)
    labels = np.concatenate([pair[1] for pair in pairs])
    np.testing.assert_array_equal(labels, run.splits["test"].labels)
    assert metrics["accuracy"] == np.mean(scores.argmax(1) == labels)
    log_sum = np.log(np.exp(scores - scores.max(1, keepdims=True)).sum(1)) + scores.max(1)
    assert metrics["loss"] == pytest.approx(np.mean(log_sum - scores[np.arange(360), labels]), rel=1e-5)
    assert metrics["examples"] == 360


def test_only_the_trainable_scopes_move(tiny, tmp_path):
    """Frozen layers stay bit for bit, moving averages included; those that train move."""
    finetune(settings(tmp_path, steps=5))
    before = values(tmp_path / "run")
    changed = settings(
        tmp_path,
        train_dir=str(tmp_path / "second"),
        checkpoint=str(tmp_path / "run"),
        steps=5,
        trainable=("tiny/logits", "tiny/conv2"),
    )
    finetune(changed)
    after = values(tmp_path / "second")
    for name in [name for name in before if name.startswith("tiny") and "Momentum" not in name]:
        assert np.array_equal(before[name], after[name]) == name.startswith("tiny/conv1"), name
    assert not any("conv1" in name and "Momentum" in name for name in after)


def test_frozen_batch_norm_is_what_evaluation_computes(tiny, tmp_path):
    """With everything but the logits frozen, training and evaluation see the same features."""
    run = prepare(settings(tmp_path, trainable=("tiny/logits",)))
    graph = run.training.graph
    assert not graph.get_collection(tf.GraphKeys.UPDATE_OPS)
    assert [v.op.name for v in run.training.trained] == ["tiny/logits/weights", "tiny/logits/biases"]
    modes = [op.get_attr("is_training") for op in graph.get_operations() if op.type == "FusedBatchNormV3"]
    assert modes == [False] * 4


def test_moving_averages_keep_up_with_a_short_run(tiny, tmp_path):
    """`tiny` has Inception's decay of 0.9997: after 24 steps 99 % of an average would be what it started with."""
    run = prepare(settings(tmp_path))
    with run.training.graph.as_default(), tf.Session() as session:
        session.run(tf.global_variables_initializer())
        run.training.batches.start(session, run.splits["train"])
        (average,) = (v for v in tf.global_variables() if v.op.name == "tiny/conv1/BatchNorm/moving_mean")
        mean = next(op for op in run.training.graph.get_operations() if op.type == "FusedBatchNormV3").outputs[1]
        expected = np.zeros(8)
        for step in range(24):
            batch_mean, _ = session.run([mean, run.training.train_op])
            decay = min(0.9997, (1 + step) / (10 + step))
            expected = decay * expected + (1 - decay) * batch_mean
            np.testing.assert_allclose(session.run(average), expected, rtol=1e-3, atol=1e-4)


def test_auxiliary_logits_train_with_a_weight_of_four_tenths(tiny, tmp_path, monkeypatch):
    """As in research/slim/train_image_classifier.py; the loss that is told is that of the logits alone."""
    from slimft.compat import slim

    network, built = sys.modules["slimft.nets.tiny"].tiny, {}

    def with_auxiliary_logits(inputs, num_classes, is_training, scope="tiny"):
        logits, _ = network(inputs, num_classes, is_training, scope)
        if not is_training:
            return logits, {}
        net = slim.avg_pool2d(inputs, inputs.shape.as_list()[1:3])
        built["logits"] = logits
        built["aux"] = slim.conv2d(net, num_classes, 1, activation_fn=None, scope="aux")[:, 0, 0]
        return logits, {"AuxLogits": built["aux"]}

    monkeypatch.setattr(sys.modules["slimft.nets.tiny"], "tiny", with_auxiliary_logits)
    run = prepare(settings(tmp_path, optimizer="sgd", schedule="fixed", weight_decay=0.0))
    with run.training.graph.as_default(), tf.Session() as session:
        session.run(tf.global_variables_initializer())
        (biases,) = (variable for variable in tf.trainable_variables() if variable.op.name == "aux/biases")
        run.training.batches.start(session, run.splits["train"])
        training = run.training
        aux, logits, labels, loss, _ = session.run(
            [built["aux"], built["logits"], training.batches.targets, training.loss, training.train_op]
        )
        moved = session.run(biases)
    wanted = np.eye(10)[labels]

    def softmax(values):
        powers = np.exp(values - values.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    np.testing.assert_allclose(moved, -0.05 * 0.4 * (softmax(aux) - wanted).mean(axis=0), rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(loss, -np.log(softmax(logits))[wanted > 0].mean(), rtol=1e-4)


def test_weight_decay_is_slims_on_what_trains(tiny, tmp_path):
    """With the loss' own gradient zeroed by one class, only decay moves the weights."""
    run = prepare(settings(tmp_path, weight_decay=0.5, optimizer="sgd", schedule="fixed", learning_rate=0.1))
    with run.training.graph.as_default(), tf.Session() as session:
        session.run(tf.global_variables_initializer())
        kernel = next(v for v in run.training.trained if v.op.name == "tiny/logits/weights")
        losses = tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)
        assert len(losses) == 3
        decay = sum(session.run(losses))
        weights = [session.run(v) for v in run.training.trained if v.op.name.endswith("weights")]
        assert decay == pytest.approx(sum(0.5 * np.sum(np.square(w)) / 2 for w in weights), rel=1e-5)
        run.training.batches.start(session, run.splits["train"])
        before = session.run(kernel)
        gradient = tf.gradients(run.training.loss, kernel)[0]
        run.training.batches.start(session, run.splits["train"])
        value = session.run(gradient)
        run.training.batches.start(session, run.splits["train"])
        session.run(run.training.train_op)
        np.testing.assert_allclose(session.run(kernel), before - 0.1 * (value + 0.5 * before), atol=1e-5)


@pytest.mark.parametrize("optimizer", ["momentum", "sgd", "adam", "rmsprop"])
@pytest.mark.parametrize("schedule", ["fixed", "exponential"])
def test_optimizers_and_schedules_lower_the_loss(tiny, tmp_path, optimizer, schedule):
    rate = {"adam": 0.01, "rmsprop": 0.01}.get(optimizer, 0.05)
    run = prepare(settings(tmp_path, optimizer=optimizer, schedule=schedule, learning_rate=rate))
    with run.training.graph.as_default(), tf.Session() as session:
        session.run(tf.global_variables_initializer())
        run.training.batches.start(session, run.splits["train"])
        fetches = [run.training.loss, run.training.learning_rate, run.training.train_op]
        history = [session.run(fetches) for _ in range(45)]
    losses, rates = [h[0] for h in history], [h[1] for h in history]
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    # 1293 examples are 20.2 steps of 64: every 40 steps the exponential schedule falls.
    last = rate if schedule == "fixed" else rate * 0.94
    assert rates[0] == pytest.approx(rate) and rates[-1] == pytest.approx(last)


def test_resumes_exactly_where_it_was(tiny, tmp_path):
    """Stopped half-way and resumed, a run ends as one that never stopped: data order, dropout, slots."""
    whole = finetune(settings(tmp_path, train_dir=str(tmp_path / "whole")))
    stopped = settings(tmp_path, train_dir=str(tmp_path / "stopped"))
    run = prepare(stopped)
    object.__setattr__(run.stage, "last_step", 11)  # Stops early, with the whole run's schedule in its graph.
    train_and_evaluate(run)
    assert prepare(stopped).resumes
    resumed = finetune(stopped)
    assert_same(values(whole["checkpoint"]), values(resumed["checkpoint"]))
    assert resumed["accuracy"] == whole["accuracy"]


def test_a_finished_run_is_only_evaluated(tiny, tmp_path, capsys):
    first = finetune(settings(tmp_path, steps=4))
    state = values(first["checkpoint"])
    again = finetune(settings(tmp_path, steps=4, checkpoint="hed"))
    assert "resuming at step 4" in capsys.readouterr().err
    assert again["accuracy"] == first["accuracy"] and again["images_per_second"] is None
    assert_same(state, values(again["checkpoint"]))


def test_resuming_beats_the_checkpoint_and_says_so(tiny, tmp_path, capsys):
    finetune(settings(tmp_path, steps=3, image_size=24))
    finetune(settings(tmp_path, steps=5, checkpoint="nowhere.ckpt"))
    err = capsys.readouterr().err
    assert "resuming at step 3" in err and "not from --checkpoint=nowhere.ckpt" in err
    assert [line for line in err.splitlines() if line.startswith("note:")] == ["note: --steps was 3, is now 5"]
    assert load_settings(tmp_path / "run").image_size == 24


def test_another_runs_directory_is_refused(tiny, tmp_path):
    finetune(settings(tmp_path, steps=2))
    with pytest.raises(UsageError, match="--model=tiny, not vgg_a"):
        prepare(settings(tmp_path, model="vgg_a"))
    with pytest.raises(UsageError, match="other flags: its checkpoint has no beta1_power"):
        prepare(settings(tmp_path, optimizer="adam")).check()
    (tmp_path / "run" / "settings.json").unlink()
    with pytest.raises(UsageError, match="other flags: its checkpoint has no vgg_a/conv1"):
        prepare(settings(tmp_path, model="vgg_a")).check()


def test_a_run_on_other_classes_is_refused(tiny, tmp_path):
    finetune(settings(tmp_path, steps=2))
    labels = tmp_path / "run" / "labels.txt"
    labels.write_text(labels.read_text().replace("0:0", "0:nought"))
    with pytest.raises(UsageError, match="holds a run on other classes than those of the data"):
        prepare(settings(tmp_path, steps=2))


def test_the_directory_of_a_checkpoint_that_no_run_wrote_is_refused(tiny, tmp_path):
    """It has no global_step; once that was a KeyError."""
    with tf.Graph().as_default(), tf.Session() as session:
        tf.get_variable("tiny/logits/biases", initializer=np.zeros(10, np.float32))
        session.run(tf.global_variables_initializer())
        (tmp_path / "run").mkdir()
        tf.train.Saver().save(session, str(tmp_path / "run" / "model.ckpt"))
    with pytest.raises(UsageError, match="holds a run with other flags: its checkpoint has no global_step"):
        prepare(settings(tmp_path)).check()


def test_a_loss_that_is_not_finite_stops_and_leaves_the_last_good_checkpoint(tiny, tmp_path):
    finetune(settings(tmp_path, steps=3))
    good = values(tmp_path / "run")
    with pytest.raises(TrainingError, match=r"step \d+: .*smaller --learning_rate than 1e\+30.*model.ckpt-3"):
        finetune(settings(tmp_path, steps=9, learning_rate=1e30, schedule="fixed"))
    assert_same(good, values(tmp_path / "run"))


def test_variables_that_are_not_finite_are_never_saved(tiny, tmp_path):
    """The loss of the last step is still finite; what it did to the variables is not."""
    with pytest.raises(TrainingError, match="step 1: a variable is not finite.*nothing was saved"):
        finetune(settings(tmp_path, steps=1, learning_rate=1e38, weight_decay=1e10, schedule="fixed"))
    assert not list((tmp_path / "run").glob("model.ckpt*"))


def test_dropout_and_augmentation_depend_on_the_step_and_seed_alone(tiny, tmp_path):
    run = prepare(settings(tmp_path))
    with run.training.graph.as_default(), tf.Session() as session:
        session.run(tf.global_variables_initializer())
        losses = {}
        for start in (0, 2, 0):
            run.training.batches.start(session, run.splits["train"], start)
            losses.setdefault(start, []).append([float(session.run(run.training.loss)) for _ in range(4)])
    assert losses[0][0] == losses[0][1]
    assert losses[0][0][2:] == losses[2][0][:2]
    assert len(set(losses[0][0])) == 4


def test_an_interrupt_during_evaluation_saves_too(tiny, tmp_path, monkeypatch):
    def interrupted_evaluation(self, session, dataset, interrupted, *args, **kwargs):
        signal.raise_signal(signal.SIGTERM)
        return None if interrupted() else {}

    monkeypatch.setattr(evaluation.Evaluator, "run", interrupted_evaluation)
    with pytest.raises(loop_module.Interrupted) as caught:
        finetune(settings(tmp_path, steps=2))
    assert caught.value.exit_status == 143
    assert "SIGTERM at step 2 of 2" in str(caught.value)
    assert (tmp_path / "run" / "model.ckpt-2.index").exists()


def test_a_signal_after_the_time_to_save_still_saves(tiny, tmp_path, monkeypatch):
    """It comes while the validation is told of, once the run ended then without a checkpoint of its step."""
    say = loop_module.say

    def say_and_kill(*lines):
        say(*lines)
        if lines and lines[0].startswith("step 21: validation"):
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(loop_module, "say", say_and_kill)
    monkeypatch.setattr(loop_module.History, "best", lambda self: None)  # None improves.
    with pytest.raises(loop_module.Interrupted) as caught:
        finetune(settings(tmp_path))
    assert "SIGTERM at step 21 of 24" in str(caught.value)
    assert slimft.open_checkpoint(tmp_path / "run")["global_step"] == 21
