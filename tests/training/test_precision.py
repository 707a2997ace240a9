"""Training, evaluating and resuming in half precision."""

import json

import numpy as np
import pytest

import slimft
from slimft.compat import slim, tf
from slimft.runs.settings_file import load_settings
from slimft.session import computing_in
from slimft.training import Settings, finetune
from slimft.training import precision as precision_module
from slimft.training.loss_scale import LossScale

FAST = dict(model="tiny", dataset="digits", batch_size=64, steps=40, learning_rate=0.05, save_secs=1e9)


def settings(folder, **changes):
    return Settings(**{**FAST, "train_dir": str(folder / "run"), **changes})


@pytest.fixture(autouse=True)
def _nothing_is_remembered(monkeypatch, tmp_path):
    """Of what other tests have measured."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_it_learns_as_in_float32(precision, tiny, tmp_path):
    done = finetune(settings(tmp_path, precision=precision, steps=80))
    assert done["accuracy"] > 0.8
    checkpoint = slimft.open_checkpoint(done["train_dir"])
    floats = {checkpoint.dtype(name) for name in checkpoint if name != "global_step"} - {np.dtype(np.int32)}
    assert floats == {np.dtype(np.float32)}
    again = slimft.evaluate(train_dir=done["train_dir"])
    assert (again["precision"], again["accuracy"]) == (precision, done["accuracy"])
    plain = slimft.evaluate(train_dir=done["train_dir"], precision="float32")
    assert abs(plain["accuracy"] - done["accuracy"]) < 0.02


def test_a_run_in_float16_resumes_exactly(tiny, tmp_path):
    whole = finetune(settings(tmp_path / "whole", precision="float16"))
    finetune(settings(tmp_path / "parts", precision="float16", steps=20, schedule="fixed"))
    whole = finetune(settings(tmp_path / "whole2", precision="float16", schedule="fixed"))
    parts = finetune(settings(tmp_path / "parts", precision="float16", schedule="fixed"))
    ours, theirs = (slimft.open_checkpoint(done["train_dir"]) for done in (whole, parts))
    assert "loss_scale/scale" in ours
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)


def test_auto_is_measured_said_and_kept(tiny, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(precision_module, "_FEW_STEPS", 1)
    monkeypatch.setattr("slimft.precision_choice._others", lambda: ("bfloat16",))
    measured = []

    def seconds_of(training):
        dtypes = {tensor.dtype for op in training.graph.get_operations() for tensor in op.outputs}
        measured.append("bfloat16" if tf.bfloat16 in dtypes else "float32")
        return {"float32": 2.0, "bfloat16": 1.0}[measured[-1]]

    monkeypatch.setattr(precision_module, "_seconds_of", seconds_of)
    finetune(settings(tmp_path, precision="auto", steps=4))
    assert "--precision=auto is bfloat16 here (float32 2 s, bfloat16 1 s for a batch" in capsys.readouterr().err
    assert measured == ["float32", "bfloat16"]
    assert load_settings(tmp_path / "run").precision == "bfloat16"
    # The run goes on in it, whatever would be chosen now.
    monkeypatch.setattr(precision_module, "choose_precision", None)
    finetune(settings(tmp_path, precision="auto", steps=6))
    assert load_settings(tmp_path / "run").precision == "bfloat16"


def test_auto_measures_nothing_where_the_checkpoint_does_not_fit(tiny, tmp_path, monkeypatch):
    """Measuring takes many seconds; who misspelt a flag is not to wait for them."""
    monkeypatch.setattr(precision_module, "_FEW_STEPS", 1)
    monkeypatch.setattr("slimft.precision_choice._others", lambda: ("bfloat16",))
    monkeypatch.setattr(precision_module, "_seconds_of", None)
    slimft.write_checkpoint(tmp_path / "other.ckpt", {"tiny/conv1/weights": np.zeros([3, 3, 3, 4], np.float32)})
    with pytest.raises(slimft.RestoreError, match="tiny/conv1/weights"):
        finetune(settings(tmp_path, precision="auto", checkpoint=str(tmp_path / "other.ckpt"), steps=4))


def test_auto_really_measures(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(precision_module, "_FEW_STEPS", 1)
    monkeypatch.setattr("slimft.precision_choice._others", lambda: ("bfloat16",))
    finetune(settings(tmp_path, precision="auto", steps=4))
    (file,) = (tmp_path / "cache/slimft/precision").iterdir()
    found = json.loads(file.read_text())
    assert found["network"] == "tiny" and set(found["seconds"]) == {"float32", "bfloat16"}
    assert all(0 < seconds < 60 for seconds in found["seconds"].values())


def test_auto_of_a_deterministic_or_short_run_is_float32(tiny, tmp_path, capsys):
    finetune(settings(tmp_path, precision="auto", steps=3))
    assert load_settings(tmp_path / "run").precision == "float32"
    assert "--precision" not in capsys.readouterr().err


@pytest.mark.parametrize("precision, dtype", [("bfloat16", tf.bfloat16), ("float16", tf.float16)])
def test_variables_and_weight_decay_are_float32(precision, dtype):
    losses = []
    for casts in (True, False):
        with tf.Graph().as_default(), tf.Session() as session:
            tf.set_random_seed(0)
            with computing_in(precision if casts else "float32") as inside:
                assert inside == (dtype if casts else tf.float32)
                images = tf.ones([2, 4, 4, 3], inside)
                net = slim.conv2d(
                    images, 4, 3, normalizer_fn=slim.batch_norm, weights_regularizer=slim.l2_regularizer(0.1)
                )
                assert net.dtype == inside
            assert {variable.dtype.base_dtype for variable in tf.global_variables()} == {tf.float32}
            session.run(tf.global_variables_initializer())
            losses.append(session.run(tf.losses.get_regularization_loss()))
    assert losses[0] == losses[1]


def test_the_loss_scale_falls_where_a_gradient_overflows_and_grows_again(monkeypatch):
    monkeypatch.setattr("slimft.training.loss_scale._GROWS_AFTER", 3)
    with tf.Graph().as_default(), tf.Session() as session:
        factor = tf.placeholder(tf.float32, [])
        variable = tf.get_variable("v", initializer=[1.0, 2.0], use_resource=True)
        scale = LossScale()
        (gradients,) = scale.unscaled([tf.gradients(scale.scaled(tf.reduce_sum(variable) * factor), [variable])])
        (update,) = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
        session.run(tf.global_variables_initializer())

        def step(value):
            (found,), _ = session.run([gradients, update], {factor: value})
            return found.tolist(), session.run(scale.variables)

        assert step(3.0) == ([3.0, 3.0], [2.0**15, 1])
        assert step(3e38) == ([0.0, 0.0], [2.0**14, 0])
        assert [step(3.0)[1] for _ in range(3)] == [[2.0**14, 1], [2.0**14, 2], [2.0**15, 0]]
