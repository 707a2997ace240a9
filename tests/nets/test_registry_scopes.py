"""The last layers and blocks of every network: that they are its end, found by walking its graph."""

import pytest

from slimft.compat import tf
from slimft.errors import PatternError
from slimft.filters import VariableFilter
from slimft.nets import get_network, network_names

# The deeper ones of a family differ in the number of units only, and take long to build.
LARGE = {"resnet_v1_101", "resnet_v1_152", "resnet_v2_101", "resnet_v2_152", "densenet_121", "densenet_169"}
NAMES = [
    pytest.param(name, marks=[pytest.mark.slow] if name in LARGE - {"densenet_121"} else [])
    for name in network_names()
]


def downstream(op):
    """The ops that are computed from `op`, itself included."""
    found, queue = {op}, [op]
    while queue:
        for tensor in queue.pop().outputs:
            new = [consumer for consumer in tensor.consumers() if consumer not in found]
            found.update(new)
            queue += new
    return found


def fed_by(graph, images):
    """For each variable, the ops of the images' path that it meets first: the layers that it is a weight of."""
    path = downstream(images.op)
    layers = {}
    for variable in graph.get_collection(tf.GraphKeys.GLOBAL_VARIABLES):
        of_variable = downstream(variable.op) - path
        consumers = {consumer for op in of_variable for tensor in op.outputs for consumer in tensor.consumers()}
        layers[variable.op.name] = consumers & path
    return layers


def check_they_are_the_end(graph, images, patterns):
    """Fails if a layer of a variable that `patterns` leave out sees what one of theirs made; returns theirs."""
    layers = fed_by(graph, images)
    assert all(layers.values()), "each variable takes part"
    selected = VariableFilter(include=patterns).select(layers)  # Raises PatternError if a pattern selects nothing.
    after = set().union(*(downstream(op) for name in selected for op in layers[name]))
    for name in layers.keys() - set(selected):
        assert not after & layers[name], f"{name} is used after one of {patterns}"
    return selected


@pytest.mark.parametrize("name", NAMES)
def test_top_is_the_end_of_the_network(name):
    spec = get_network(name)
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, [1, spec.min_image_size, spec.min_image_size, 3])
        spec.build(images, 5, is_training=False, head="bn_mlp")
        head = check_they_are_the_end(graph, images, spec.expand(("head",), "bn_mlp"))
        top = check_they_are_the_end(graph, images, spec.expand(("top",), "bn_mlp"))
        everything = check_they_are_the_end(graph, images, spec.expand(("all",), "bn_mlp"))
        shapes = {variable.op.name: variable.shape.as_list() for variable in tf.global_variables()}
    assert [name.split("/")[0] for name in head] == ["head"] * 8
    assert set(head) < set(top) < set(everything) == set(shapes)
    # More than the head's two, and not most of the network: AlexNet has 8 layers in all.
    weights = [name for name in shapes if name.endswith("weights")]
    assert 3 <= sum(name in top for name in weights) <= 0.6 * len(weights)
    assert shapes["head/hidden/weights"] == [FEATURES[spec.module.removeprefix('slimft.nets.')](name), 256]


# Channels of the last features, by the papers' tables.
FEATURES = {
    "alexnet": lambda name: 4096,
    "vgg": lambda name: 4096,
    "resnet_v1": lambda name: 2048,
    "resnet_v2": lambda name: 2048,
    "inception_v1": lambda name: 1024,
    "inception_v3": lambda name: 2048,
    "mobilenet_v1": lambda name: int(1024 * int(name[13:] or 100) / 100),
    "mobilenet_v2": lambda name: 1792 if name.endswith("140") else 1280,
    "densenet": lambda name: {"121": 1024, "169": 1664}[name[-3:]],
}


@pytest.mark.parametrize("name", [name for name in NAMES if name.values[0] not in LARGE])
def test_the_logits_are_the_end_of_the_network(name):
    """In training, with Inception V3's auxiliary logits."""
    spec = get_network(name)
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, [2, spec.min_image_size, spec.min_image_size, 3])
        spec.build(images, 5, is_training=True)
        head = check_they_are_the_end(graph, images, spec.expand(("head",), "linear"))
        top = check_they_are_the_end(graph, images, spec.expand(("top",), "linear"))
        assert set(head) < set(top)
        assert {5} == {v.shape.as_list()[-1] for v in tf.global_variables() if v.op.name in head} - AUXILIARY
        everything = check_they_are_the_end(graph, images, spec.expand(("all",), "linear"))
        assert len(everything) == len(tf.global_variables())


# Channels inside of Inception V3's auxiliary classifier.
AUXILIARY = {128, 768}


def test_the_check_finds_what_is_not_the_end():
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, [1, 32, 32, 3])
        get_network("vgg_a").build(images, 5, is_training=False)
        with pytest.raises(AssertionError, match="conv5/conv5_2/.* is used after"):
            check_they_are_the_end(graph, images, ("vgg_a/conv5/conv5_1", "vgg_a/fc6", "vgg_a/fc7", "vgg_a/fc8"))
        with pytest.raises(PatternError):
            check_they_are_the_end(graph, images, ("vgg_a/conv9",))


VGG_TOP = ("vgg_16/conv5", "vgg_16/fc6", "vgg_16/fc7")
INCEPTION_LOGITS = ("InceptionV3/Logits", "InceptionV3/AuxLogits")


@pytest.mark.parametrize("name, patterns, head, expanded", [
    ("vgg_16", (), "linear", ()),
    ("vgg_16", ("head",), "linear", ("vgg_16/fc8",)),
    ("vgg_16", ("head",), "mlp", ("head",)),
    ("vgg_16", ("top",), "linear", (*VGG_TOP, "vgg_16/fc8")),
    ("vgg_16", ("top",), "bn_mlp", (*VGG_TOP, "head")),
    ("vgg_16", ("all",), "linear", ("vgg_16",)),
    ("vgg_16", ("all",), "bn_mlp", ("vgg_16", "head")),
    ("inception_v3", ("head",), "linear", INCEPTION_LOGITS),
    ("inception_v3", ("head",), "mlp", ("head",)),
    ("vgg_16", ("vgg_16/fc8", "vgg_16/conv1", "head"), "linear", ("vgg_16/fc8", "vgg_16/conv1")),
    ("vgg_16", ("head", "vgg_16/conv1", "top"), "linear", ("vgg_16/fc8", "vgg_16/conv1", *VGG_TOP)),
    ("vgg_16", ("*/biases", "re:.*/conv[12]", "vgg_16/head"), "mlp", ("*/biases", "re:.*/conv[12]", "vgg_16/head")),
])  # fmt: skip
def test_expand(name, patterns, head, expanded):
    assert get_network(name).expand(patterns, head) == expanded


@pytest.mark.parametrize("head", ["mlp", "bn_mlp"])
def test_head_scopes(head):
    assert get_network("inception_v3").head_scopes("linear") == INCEPTION_LOGITS
    assert get_network("inception_v3").head_scopes(head) == ("head",)
