"""Inception-ResNet V2: its units, arg_scope, strides and padding; see conformance/ for the rest."""

import inspect

import numpy as np
import pytest

from slimft.compat import slim, tf
from slimft.nets import inception_resnet_v2
from slimft.nets.inception_resnet_v2 import block8, block17, block35, inception_resnet_v2_base


def test_signatures_are_research_slims():
    assert str(inspect.signature(inception_resnet_v2_base)).startswith(
        "(inputs, final_endpoint='Conv2d_7b_1x1', output_stride=16, align_feature_maps=False, scope=None, "
        "activation_fn=<function relu "
    )
    parameters = inspect.signature(inception_resnet_v2.inception_resnet_v2_arg_scope).parameters
    assert {key: parameter.default for key, parameter in parameters.items()} == {
        "weight_decay": 0.00004,
        "batch_norm_decay": 0.9997,
        "batch_norm_epsilon": 0.001,
        "activation_fn": tf.nn.relu,
        "batch_norm_updates_collections": tf.GraphKeys.UPDATE_OPS,
        "batch_norm_scale": False,
    }


@pytest.mark.parametrize("block", [block35, block17, block8])
def test_a_unit_adds_a_share_of_what_its_branches_make(block):
    assert str(inspect.signature(block)).startswith("(net, scale=1.0, activation_fn=<function relu ")
    values = np.random.default_rng(1).standard_normal([2, 5, 5, 16], dtype=np.float32) * 5
    with tf.Graph().as_default() as graph, tf.Session() as session:
        net = tf.constant(values)
        linear = block(net, activation_fn=None, scope="mine")
        variables = graph.get_collection("variables")
        others = [
            block(net, scale, activation_fn, "mine", reuse=True)
            for scale, activation_fn in ((0.25, None), (0.25, tf.nn.relu), (300.0, tf.nn.relu6))
        ]
        assert graph.get_collection("variables") == variables
        session.run(tf.global_variables_initializer())
        linear, quarter, relu, relu6 = session.run([linear, *others])
    added = linear - values
    assert np.std(added) > 0.1
    np.testing.assert_allclose(quarter, values + 0.25 * added, atol=1e-4)
    np.testing.assert_allclose(relu, np.maximum(quarter, 0), atol=1e-4)
    # What is added is clipped, too.
    assert np.abs(300 * added).max() > 12
    np.testing.assert_allclose(relu6, np.clip(values + np.clip(300 * added, -6, 6), 0, 6), atol=1e-2)


def test_units_repeated_as_scripts_do():
    with tf.Graph().as_default() as graph:
        net = slim.repeat(tf.zeros([1, 5, 5, 16]), 2, block35, scale=0.17)
        block35(slim.repeat(net, 2, block35, scale=0.17))
    names = [variable.op.name for variable in graph.get_collection("variables")]
    scopes = {name.partition("/Branch_")[0] for name in names if "/Branch_" in name}
    assert scopes == {*(f"{repeat}/block35_{i}" for repeat in ("Repeat", "Repeat_1") for i in (1, 2)), "Block35"}


def test_arg_scope_arguments():
    arguments = {"batch_norm_scale": True, "weight_decay": 0.5, "activation_fn": tf.nn.elu}
    with tf.Graph().as_default() as graph:
        with slim.arg_scope(inception_resnet_v2.inception_resnet_v2_arg_scope(**arguments)) as arg_scope:
            net = block8(tf.zeros([1, 5, 5, 16]), activation_fn=None)
    assert net.op.type == "AddV2" and any(op.type == "Elu" for op in graph.get_operations())
    names = [v.op.name.removeprefix("Block8/") for v in graph.get_collection("variables")]
    assert "Branch_0/Conv2d_1x1/BatchNorm/gamma" in names
    losses = [loss.op.name for loss in graph.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)]
    assert sum("/biases/" in loss or "bias" in loss for loss in losses) == 1 and len(losses) == 6
    settings = arg_scope[slim.arg_scope_func_key(slim.conv2d)]["normalizer_params"]
    assert settings == {
        "decay": 0.9997,
        "epsilon": 0.001,
        "updates_collections": tf.GraphKeys.UPDATE_OPS,
        "fused": None,
        "scale": True,
    }


@pytest.fixture
def one_unit_each(monkeypatch):
    """Units are not repeated, which takes seconds."""
    repeat = inception_resnet_v2._repeat
    monkeypatch.setattr(inception_resnet_v2, "_repeat", lambda number, *args, **kwargs: repeat(1, *args, **kwargs))


def test_twice_as_many_positions_with_output_stride_8(one_unit_each):
    """Every second one is the one there would be with 16: what follows Mixed_6a is dilated."""
    images = np.random.default_rng(4).standard_normal([1, 139, 171, 3], dtype=np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        nets = []
        for output_stride in (8, 16):
            with tf.variable_scope("mine", reuse=output_stride == 16) as scope:
                net, end_points = inception_resnet_v2_base(
                    tf.constant(images), "PreAuxLogits", output_stride, scope=scope
                )
            assert list(end_points)[-2:] == ["Mixed_6a", "PreAuxLogits"]
            nets.append(net)
        session.run(tf.global_variables_initializer())
        fine, coarse = session.run(nets)
    assert (fine.shape, coarse.shape) == ((1, 13, 17, 1088), (1, 7, 9, 1088)) and np.std(coarse) > 0
    np.testing.assert_allclose(fine[:, ::2, ::2], coarse, rtol=1e-3, atol=1e-4 * np.abs(coarse).max())


def test_aligned_feature_maps(one_unit_each):
    """research/slim's own test (research/slim/nets/inception_resnet_v2_test.py), and behind PreAuxLogits."""
    with tf.Graph().as_default():
        _, end_points = inception_resnet_v2_base(tf.zeros([5, 299, 299, 3]), align_feature_maps=True)
    assert {name: end_point.shape[1] for name, end_point in end_points.items()} == {
        "Conv2d_1a_3x3": 150, "Conv2d_2a_3x3": 150, "Conv2d_2b_3x3": 150, "MaxPool_3a_3x3": 75,
        "Conv2d_3b_1x1": 75, "Conv2d_4a_3x3": 75, "MaxPool_5a_3x3": 38, "Mixed_5b": 38, "Mixed_6a": 19,
        "PreAuxLogits": 19, "Mixed_7a": 10, "Conv2d_7b_1x1": 10,
    }  # fmt: skip


def test_the_activation_function_is_the_units(one_unit_each):
    with tf.Graph().as_default() as graph:
        inception_resnet_v2.inception_resnet_v2(tf.zeros([1, 75, 75, 3]), 5, activation_fn=tf.nn.elu)
    elus = [op.name for op in graph.get_operations() if op.type == "Elu"]
    root = "InceptionResnetV2/InceptionResnetV2"
    units = ("Repeat/block35_1", "Repeat_1/block17_1", "Repeat_2/block8_1")
    assert elus == [f"{root}/{unit}/Elu" for unit in units]


def test_images_of_unknown_size(one_unit_each):
    network = inception_resnet_v2.inception_resnet_v2
    with tf.Graph().as_default():
        images = tf.placeholder(tf.float32, [None, None, None, 3])
        logits, end_points = network(images, 5, is_training=False, create_aux_logits=False)
        assert logits.shape.as_list() == [None, 5]
        assert end_points["global_pool"].op.name == "InceptionResnetV2/Logits/global_pool"
        with pytest.raises(ValueError, match="create_aux_logits=True needs images of a known height and width"):
            network(images, 5, reuse=True)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"output_stride": 32}, "output_stride=32 is neither 8 nor 16"),
        ({"output_stride": 8}, "output_stride=8 needs a final_endpoint up to PreAuxLogits, not Conv2d_7b_1x1"),
        ({"final_endpoint": "Block8"}, "final_endpoint='Block8': there is no such end point; give one of"),
    ],
)
def test_what_cannot_be(arguments, message):
    with tf.Graph().as_default() as graph, pytest.raises(ValueError, match=message):
        inception_resnet_v2_base(tf.zeros([1, 75, 75, 3]), **arguments)
    assert graph.get_collection("variables") == []
