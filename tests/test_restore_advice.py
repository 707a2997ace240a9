"""Checkpoints whose names are not the model's: the message has the flag that works, and is a line one can read."""

import re

import numpy as np
import pytest

import slimft
from slimft import RestoreError, plan_restore
from slimft.checkpoint.averages import averaged
from slimft.compat import slim, tf
from slimft.nets import mobilenet_v1
from slimft.renaming import parse_renames


def build(scope="MobilenetV1"):
    images = tf.placeholder(tf.float32, [1, 64, 64, 3])
    with slim.arg_scope(mobilenet_v1.mobilenet_v1_arg_scope()):
        mobilenet_v1.mobilenet_v1_025(images, 5, scope=scope)


def save(path, outer="", scope="MobilenetV1", variables=tf.global_variables, averages=False):
    """What TensorFlow's Saver writes of the network inside the scope `outer`."""
    with tf.Graph().as_default(), tf.Session() as session:
        with tf.variable_scope(outer) if outer else tf.name_scope(""):
            build(scope)
        saved = {variable.op.name: variable for variable in variables()}
        if averages:
            average = tf.train.ExponentialMovingAverage(0.9)
            saved = {average.average_name(variable): variable for variable in saved.values()}
        session.run(tf.global_variables_initializer())
        return tf.train.Saver(saved, write_version=tf.train.SaverDef.V2).save(session, str(path / "a.ckpt"))


def message(path, **options):
    with pytest.raises(RestoreError) as caught:
        plan_restore(path).check(**options)
    text = str(caught.value).removeprefix(f"{path}: ")
    assert len(text) < 320 and text.isprintable(), text
    return text


@pytest.mark.parametrize("outer", ["FeatureExtractor", "tower_0", "model", "a/b"])
def test_a_checkpoint_with_a_scope_around(tmp_path, outer):
    path = save(tmp_path, outer)
    with tf.Graph().as_default(), tf.Session() as session:
        build()
        said = message(path)
        assert said.endswith(f"--rename={outer}/MobilenetV1:MobilenetV1 restores 137 of 137")
        flag = re.search(r"--rename=(\S+)", said)[1]
        slimft.restore(session, path, rename=parse_renames(flag.split(",")))
        said = message(path, can_exclude=False)
        assert f"bin/convert_checkpoint --rename={outer}/MobilenetV1:MobilenetV1 SRC DST" in said


def test_a_model_with_a_scope_around_and_one_of_another_name(tmp_path):
    path = save(tmp_path)
    for outer, scope, renaming in (
        ("tower_0", "MobilenetV1", "MobilenetV1:tower_0/MobilenetV1"),
        ("", "my_net", "MobilenetV1:my_net"),
    ):
        with tf.Graph().as_default():
            with tf.variable_scope(outer) if outer else tf.name_scope(""):
                build(scope)
            assert f"--rename={renaming} restores 137 of 137" in message(path)
            plan_restore(path, rename=parse_renames([renaming])).check()


def test_another_number_of_classes_does_not_hide_the_scope(tmp_path):
    path = save(tmp_path, "model")
    with tf.Graph().as_default():
        with slim.arg_scope(mobilenet_v1.mobilenet_v1_arg_scope()):
            mobilenet_v1.mobilenet_v1_025(tf.placeholder(tf.float32, [1, 64, 64, 3]), 7)
        assert "--rename=model/MobilenetV1:MobilenetV1 restores 135 of 137" in message(path)
        with pytest.raises(RestoreError, match="--exclude=MobilenetV1/Logits"):
            plan_restore(path, rename={"model/MobilenetV1": "MobilenetV1"}).check()


def test_averages_alone(tmp_path):
    path = save(tmp_path, averages=True)
    with tf.Graph().as_default(), tf.Session() as session:
        build()
        said = message(path)
        assert "moving averages only" in said and "--averages" in said
        plan_restore(path, rename=lambda name: name.removesuffix("/ExponentialMovingAverage")).check()
        slimft.restore(session, averaged(slimft.open_checkpoint(path)))


def test_a_saver_of_the_trainable_variables(tmp_path):
    path = save(tmp_path, variables=tf.trainable_variables)
    with tf.Graph().as_default():
        build()
        said = message(path)
        assert "statistics (moving_mean and moving_variance of 27 layers) are not in it" in said
        assert "--exclude=*/moving_mean,*/moving_variance starts them afresh" in said
        plan_restore(path, exclude="*/moving_mean,*/moving_variance").check()
        assert "without them it cannot be used" in message(path, can_exclude=False)
        with pytest.raises(RestoreError, match=r"--exclude=MobilenetV1/Logits,\*/moving_mean,\*/moving_variance"):
            plan_restore(path, exclude="MobilenetV1/Logits").check()


def test_slots_of_an_optimizer_are_few_words(tmp_path):
    path = save(tmp_path)
    with tf.Graph().as_default():
        build()
        loss = tf.reduce_sum([tf.reduce_sum(variable) for variable in tf.trainable_variables()])
        tf.train.AdamOptimizer().minimize(loss)
        variables = tf.global_variables()
        with pytest.raises(RestoreError) as caught:
            plan_restore(path, variables).check()
        said = str(caught.value).removeprefix(f"{path}: ")
        assert len(said) < 320, said
        exclude = re.search(r"--exclude=(\S+)", said)[1]
        plan_restore(path, variables, exclude=exclude).check()


def test_many_scopes_without_a_pattern_are_counted(tmp_path):
    """Every second layer is missing; nothing selects these alone but their names."""
    arrays = {f"net/a_layer_with_a_long_name_{i}/weights": np.zeros(2, np.float32) for i in range(0, 60, 2)}
    slimft.write_checkpoint(tmp_path / "a.npz", arrays)
    with tf.Graph().as_default():
        for i in range(60):
            tf.get_variable(f"net/a_layer_with_a_long_name_{i}/weights", [2])
        said = message(str(tmp_path / "a.npz"))
        assert "exclude the 30 scopes that --dry_run lists" in said


def test_names_of_another_network_are_not_renamed(tmp_path):
    arrays = {f"other/block{i}/kernel": np.zeros([3, 3, 3, 8], np.float32) for i in range(30)}
    slimft.write_checkpoint(tmp_path / "a.npz", arrays)
    with tf.Graph().as_default():
        build()
        said = message(str(tmp_path / "a.npz"))
        assert "another network" in said and "--rename" not in said
