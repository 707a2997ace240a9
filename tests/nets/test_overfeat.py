"""OverFeat: what it can be told, and small images; see conformance/ for the rest, test_vgg.py for fc6."""

import pytest

from slimft.compat import tf
from slimft.errors import UsageError
from slimft.nets import get_network


@pytest.mark.parametrize("num_classes, global_pool", [(0, False), (None, True)])
def test_without_classes_fc7_is_the_result(build, num_classes, global_pool):
    network = build("slimft.nets", "overfeat", num_classes, (1, 281, 281, 3), global_pool=global_pool)
    key = "global_pool" if global_pool else "overfeat/fc7"
    assert network.logits is network.end_points[key] and list(network.end_points)[-1] == key
    assert network.logits.shape.as_list() == [1, *([1, 1] if global_pool else [2, 2]), 4096]
    assert not [op.name for op in network.graph.get_operations() if "fc8" in op.name or "dropout7" in op.name]


# fc6 sees all of the 6x6 map of 231 pixels, and pads a smaller one.
@pytest.mark.parametrize(
    "image_size, arguments",
    [
        (71, {"fc_conv_padding": "SAME", "global_pool": True}),
        (230, {"fc_conv_padding": "SAME", "global_pool": True}),
        (231, {}),
        (262, {}),
        (263, {"global_pool": True}),
    ],
)
def test_arguments_for_image_sizes(image_size, arguments):
    assert get_network("overfeat").arguments_for(image_size, is_training=True) == arguments


def test_images_too_small(build):
    with pytest.raises(UsageError, match="image_size=70 is too small for overfeat, which needs at least 71"):
        get_network("overfeat").arguments_for(70, is_training=True)
    for package in ("slimft.nets", "tf_slim.nets"):
        with pytest.raises(ValueError, match="Negative dimension size"):
            build(package, "overfeat", 5, (2, 230, 230, 3))
    network = build("slimft.nets", "overfeat", 5, (2, 230, 262, 3), fc_conv_padding="SAME", spatial_squeeze=False)
    assert network.logits.shape.as_list() == [2, 5, 6, 5]
    variables = {v.op.name: v.shape.as_list() for v in network.graph.get_collection(tf.GraphKeys.MODEL_VARIABLES)}
    assert variables["overfeat/fc6/weights"] == [6, 6, 1024, 3072]
