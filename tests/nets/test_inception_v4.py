"""Inception V4: its blocks, and images of other or unknown sizes; see conformance/ for the rest."""

import inspect

import numpy as np
import pytest

from slimft.compat import slim, tf
from slimft.nets import get_network, inception_utils, inception_v4


def test_signatures_are_research_slims():
    assert str(inspect.signature(inception_v4.inception_v4_base)) == (
        "(inputs, final_endpoint='Mixed_7d', scope=None)"
    )
    assert inception_v4.inception_v4_arg_scope is inception_utils.inception_arg_scope


@pytest.mark.parametrize(
    "block, default_scope, shape",
    [
        ("block_inception_a", "BlockInceptionA", [2, 9, 9, 384]),
        ("block_inception_b", "BlockInceptionB", [2, 9, 9, 1024]),
        ("block_inception_c", "BlockInceptionC", [2, 9, 9, 1536]),
        ("block_reduction_a", "BlockReductionA", [2, 4, 4, 640 + 8]),
        ("block_reduction_b", "BlockReductionB", [2, 4, 4, 512 + 8]),
    ],
)
def test_blocks_of_ones_own_network(block, default_scope, shape):
    """Whatever the arg_scope around them; in a scope of their own or a given one, whose variables may be reused."""
    block = getattr(inception_v4, block)
    assert str(inspect.signature(block)) == "(inputs, scope=None, reuse=None)"
    with tf.Graph().as_default() as graph, slim.arg_scope([slim.conv2d], padding="VALID", stride=3):
        inputs = tf.zeros([2, 9, 9, 8])
        assert block(inputs).shape.as_list() == shape
        assert {v.op.name.partition("/")[0] for v in graph.get_collection("variables")} == {default_scope}
        block(inputs, "mine")
        variables = graph.get_collection("variables")
        block(inputs, "mine", reuse=True)
        assert graph.get_collection("variables") == variables
        assert {v.op.name.partition("/")[0] for v in variables} == {default_scope, "mine"}
        with pytest.raises(ValueError, match="mine/.* already exists"):
            block(inputs, "mine")


def test_images_of_unknown_size():
    with tf.Graph().as_default():
        images = tf.placeholder(tf.float32, [None, None, None, 3])
        logits, end_points = inception_v4.inception_v4(images, 5, is_training=False, create_aux_logits=False)
        assert logits.shape.as_list() == [None, 5]
        assert end_points["global_pool"].op.name == "InceptionV4/Logits/global_pool"
        with pytest.raises(ValueError, match="create_aux_logits=True needs images of a known height and width"):
            inception_v4.inception_v4(images, 5, reuse=True)


@pytest.mark.parametrize("image_size, window, kernel", [(75, 3, 1), (107, 5, 1), (299, 5, 5), (363, 5, 6)])
def test_the_auxiliary_classifier_sees_all_that_is_pooled(image_size, window, kernel):
    """At any size; research/slim has none below 107 pixels."""
    with tf.Graph().as_default() as graph:
        # The reductions alone say how large Mixed_6h is.
        net = tf.zeros([2, image_size, image_size, 8])
        for stride in (2, 1, 2, 1, 2, 2):
            net = tf.nn.max_pool2d(net, 3, stride, "VALID")
        logits = inception_utils.aux_logits_of_the_whole_map(net, 5, "AvgPool_1a_5x5", "Conv2d_2a", "Aux_logits")
        shapes = {v.op.name: v.shape.as_list() for v in graph.get_collection("variables")}
    assert logits.shape.as_list() == [2, 5]
    pool = graph.get_operation_by_name("AuxLogits/AvgPool_1a_5x5/AvgPool")
    assert pool.get_attr("ksize") == [1, window, window, 1]
    assert shapes["AuxLogits/Conv2d_2a/weights"] == [kernel, kernel, 128, 768]
    assert shapes["AuxLogits/Aux_logits/weights"] == [768, 5]


def test_averages_of_known_and_unknown_maps_are_the_same():
    values = np.random.default_rng(0).standard_normal([2, 3, 5, 4], dtype=np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        unknown = tf.placeholder_with_default(values, [None, None, None, 4])
        averages = [inception_utils.average_all(net, "mine", stride=1) for net in (tf.constant(values), unknown)]
        assert [average.op.name for average in averages] == ["mine/AvgPool", "global_pool"]
        for average in session.run(averages):
            np.testing.assert_allclose(average, values.mean((1, 2), keepdims=True), rtol=1e-5, atol=1e-6)


def test_images_too_small():
    with tf.Graph().as_default(), pytest.raises(ValueError, match="Negative dimension size"):
        inception_v4.block_reduction_b(tf.zeros([1, 2, 2, 8]))
    for is_training in (False, True):
        arguments = get_network("inception_v4").arguments_for(75, is_training)
        assert arguments == {"create_aux_logits": is_training}
