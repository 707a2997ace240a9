"""The words head, top and all; conformance/test_ends.py tests that they mean the end of every network."""

import pytest

from slimft.nets import get_network

VGG_TOP = ("vgg_16/conv5", "vgg_16/fc6", "vgg_16/fc7")
INCEPTION_LOGITS = ("InceptionV3/Logits", "InceptionV3/AuxLogits")
NASNET_TOP = ("reduction_cell_1", "cell_8", "cell_9", "cell_10", "cell_11")


@pytest.mark.parametrize(
    "name, patterns, head, expanded",
    [
        ("vgg_16", (), "linear", ()),
        ("vgg_16", ("head",), "linear", ("vgg_16/fc8",)),
        ("vgg_16", ("head",), "mlp", ("head",)),
        ("vgg_16", ("top",), "linear", (*VGG_TOP, "vgg_16/fc8")),
        ("vgg_16", ("top",), "bn_mlp", (*VGG_TOP, "head")),
        ("vgg_16", ("all",), "linear", ("vgg_16",)),
        ("vgg_16", ("all",), "bn_mlp", ("vgg_16", "head")),
        ("inception_v3", ("head",), "linear", INCEPTION_LOGITS),
        ("inception_v3", ("head",), "mlp", ("head",)),
        # Without a common scope.
        ("nasnet_mobile", ("head",), "linear", ("final_layer", "aux_7")),
        ("nasnet_mobile", ("top",), "mlp", (*NASNET_TOP, "head")),
        ("nasnet_mobile", ("all",), "linear", ("*",)),
        ("nasnet_mobile", ("all",), "mlp", ("*",)),
        ("vgg_16", ("vgg_16/fc8", "vgg_16/conv1", "head"), "linear", ("vgg_16/fc8", "vgg_16/conv1")),
        ("vgg_16", ("head", "vgg_16/conv1", "top"), "linear", ("vgg_16/fc8", "vgg_16/conv1", *VGG_TOP)),
        (
            "vgg_16",
            ("*/biases", "re:.*/conv[12]", "vgg_16/head"),
            "mlp",
            ("*/biases", "re:.*/conv[12]", "vgg_16/head"),
        ),
    ],
)
def test_expand(name, patterns, head, expanded):
    assert get_network(name).expand(patterns, head) == expanded


@pytest.mark.parametrize("head", ["mlp", "bn_mlp"])
def test_head_scopes(head):
    assert get_network("inception_v3").head_scopes("linear") == INCEPTION_LOGITS
    assert get_network("inception_v3").head_scopes(head) == ("head",)
