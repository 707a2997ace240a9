"""Every network's last layers and blocks, found by walking its graph; with either head, trained and evaluated."""

import types

import pytest

from slimft.compat import tf
from slimft.errors import PatternError, UsageError
from slimft.filters import VariableFilter
from slimft.nets import get_network

from .entry import only

PART = "ends"


def downstream(op, within):
    """The ops that are computed from `op`, itself included, as far as they are among `within`."""
    found, queue = {op}, [op]
    while queue:
        for tensor in queue.pop().outputs:
            new = [consumer for consumer in tensor.consumers() if consumer not in found and consumer in within]
            found.update(new)
            queue += new
    return found


class Walk:
    """The layers of a graph as it is now, by the variables that they are of."""

    def __init__(self, graph, images):
        self.within = set(graph.get_operations())
        # The step, by which NASNet drops paths, is no layer's.
        steps = graph.get_collection(tf.GraphKeys.GLOBAL_STEP)
        self.variables = [
            variable for variable in graph.get_collection(tf.GraphKeys.GLOBAL_VARIABLES) if variable not in steps
        ]
        path = downstream(images.op, self.within)
        # For each variable, the ops of the images' path that it meets first.
        self.layers = {}
        for variable in self.variables:
            of_variable = downstream(variable.op, self.within) - path
            consumers = {consumer for op in of_variable for tensor in op.outputs for consumer in tensor.consumers()}
            self.layers[variable.op.name] = consumers & path
        assert all(self.layers.values()), "each variable takes part"

    def check_they_are_the_end(self, patterns):
        """Fails if a layer of a variable that `patterns` leave out sees what one of theirs made; returns theirs.

        Raises:
            PatternError: a pattern selects nothing.
        """
        selected = VariableFilter(include=patterns).select(self.layers)
        after = set().union(*(downstream(op, self.within) for name in selected for op in self.layers[name]))
        for name in self.layers.keys() - set(selected):
            assert not after & self.layers[name], f"{name} is used after one of {patterns}"
        return selected


def random_ops(ops):
    """Dropout's, but not the initializers of variables."""
    return [op.name for op in ops if "andom" in op.type and "Initializer" not in op.name]


# Its own logits, trained.


@pytest.fixture(scope="session")
def trained(entry):
    """The network for the smallest images, as it is trained."""
    spec, graph = get_network(entry.name), tf.Graph()
    with graph.as_default():
        images = tf.placeholder(tf.float32, [None, spec.min_image_size, spec.min_image_size, spec.channels])
        logits, end_points = spec.build(images, 5, is_training=True)
    return types.SimpleNamespace(
        spec=spec, graph=graph, images=images, logits=logits, end_points=end_points, walk=Walk(graph, images)
    )


def rows_of_logits(entry, spec):
    """The shape of the logits for the smallest images: a row for an image or, for segmentation, for a pixel."""
    return [None, 5] if entry.classifies else [None, spec.min_image_size, spec.min_image_size, 5]


def test_one_row_of_logits_an_image(entry, trained):
    assert trained.logits.shape.as_list() == rows_of_logits(entry, trained.spec)
    if "AuxLogits" in trained.end_points:
        assert trained.end_points["AuxLogits"].shape.as_list() == [None, 5]
    auxiliary = entry.classifies and len(trained.spec.logits_scopes) > 1
    assert ("AuxLogits" in trained.end_points) == auxiliary


def test_the_logits_are_the_end_of_the_network(entry, trained):
    """In training, with auxiliary logits."""
    walk, spec = trained.walk, trained.spec
    head = walk.check_they_are_the_end(spec.expand(("head",), "linear", {"learn_upsampling": True}))
    top = walk.check_they_are_the_end(spec.expand(("top",), "linear", {"learn_upsampling": True}))
    everything = walk.check_they_are_the_end(spec.expand(("all",), "linear", {"learn_upsampling": True}))
    assert set(head) < set(top) and len(everything) == len(walk.variables)
    of_classes = {entry.below_scope(f"{layer}/{kind}") for layer in entry.logits for kind in ("weights", "biases")}
    assert of_classes <= set(head)
    assert all(v.shape[-1] == 5 for v in walk.variables if v.op.name in of_classes)


def test_each_trainable_variable_has_a_gradient(trained):
    with trained.graph.as_default():
        loss = tf.reduce_sum(trained.logits)
        if "AuxLogits" in trained.end_points:
            loss += tf.reduce_sum(trained.end_points["AuxLogits"])
        assert None not in tf.gradients(loss, tf.trainable_variables())


def test_evaluation_uses_the_variables_of_training(entry, trained):
    """And has neither dropout nor updates of averages, which training has."""
    graph, keys = trained.graph, tf.GraphKeys
    watched = (keys.GLOBAL_VARIABLES, keys.MODEL_VARIABLES, keys.UPDATE_OPS, keys.REGULARIZATION_LOSSES)
    before = {key: graph.get_collection(key) for key in watched}
    assert len(before[keys.UPDATE_OPS]) == entry.counts.update_ops
    ops = set(graph.get_operations())
    with graph.as_default(), tf.variable_scope(tf.get_variable_scope(), reuse=True):
        logits, end_points = trained.spec.build(trained.images, 5, is_training=False)
    assert {key: graph.get_collection(key) for key in watched} == before
    assert logits.shape.as_list() == rows_of_logits(entry, trained.spec) and "AuxLogits" not in end_points
    assert not random_ops(set(graph.get_operations()) - ops)
    normalizing = [op for op in set(graph.get_operations()) - ops if op.type.startswith("FusedBatchNorm")]
    assert not any(op.get_attr("is_training") for op in normalizing)


_DROPS = ("mobilenet_v2", "mobilenet_v3", "nasnet.nasnet", "nasnet.pnasnet")


@only(lambda entry: "dropout" in entry.signature or entry.module in _DROPS)
def test_training_drops(trained):
    assert random_ops(trained.walk.within)


# Another head.


@only(lambda entry: not entry.classifies)
def test_no_other_head_is_for_pixels(entry):
    images = tf.placeholder(tf.float32, [1, 32, 32, 3])
    with pytest.raises(
        UsageError, match=f"--head=bn_mlp is for whole images, and {entry.name} has scores for every"
    ):
        get_network(entry.name).build(images, 5, is_training=False, head="bn_mlp")


@only(lambda entry: entry.classifies)
def test_top_is_the_end_of_the_network(entry):
    spec = get_network(entry.name)
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, [1, spec.min_image_size, spec.min_image_size, spec.channels])
        _, end_points = spec.build(images, 5, is_training=False, head="bn_mlp")
        walk = Walk(graph, images)
    head, top, everything = (
        walk.check_they_are_the_end(spec.expand((word,), "bn_mlp")) for word in ("head", "top", "all")
    )
    shapes = {variable.op.name: variable.shape.as_list() for variable in walk.variables}
    assert [name.split("/")[0] for name in head] == ["head"] * 8
    assert set(head) < set(top) < set(everything) == set(shapes)
    # More than the head's two, and not most of the network: AlexNet has 8 layers in all, CifarNet 5.
    weights = [name for name in shapes if name.endswith("weights")]
    assert 3 <= sum(name in top for name in weights) <= 0.67 * len(weights)
    # What the head sees is what the network is without its logits.
    assert shapes["head/hidden/weights"] == [entry.channels, 256]
    assert entry.features is None or list(end_points)[-1] == entry.features
    with pytest.raises(PatternError):
        VariableFilter(include=spec.logits_scopes).select(shapes)


@only(lambda entry: entry.sizes)
def test_one_row_of_logits_at_any_size(entry):
    for size in entry.sizes:
        with tf.Graph().as_default():
            images = tf.placeholder(tf.float32, [None, size, size, get_network(entry.name).channels])
            logits, _ = get_network(entry.name).build(images, 5, is_training=False)
            assert logits.shape.as_list() == [None, 5]


def test_the_walk_finds_what_is_not_the_end():
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, [1, 32, 32, 3])
        get_network("vgg_a").build(images, 5, is_training=False)
    walk = Walk(graph, images)
    with pytest.raises(AssertionError, match="conv5/conv5_2/.* is used after"):
        walk.check_they_are_the_end(("vgg_a/conv5/conv5_1", "vgg_a/fc6", "vgg_a/fc7", "vgg_a/fc8"))
    with pytest.raises(PatternError):
        walk.check_they_are_the_end(("vgg_a/conv9",))
