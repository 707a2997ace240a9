"""Every network's graph: as its registered figures, its official checkpoint, tf-slim and the literature have it."""

import hashlib
import importlib
import math
import re

import pytest

from slimft.checkpoint.official import OFFICIAL
from slimft.compat import slim, tf
from slimft.data.preprocessing import PREPROCESSING
from slimft.errors import UsageError
from slimft.filters import VariableFilter
from slimft.nets import get_network, network_names

from . import NETWORKS
from .entry import only, signature_of

PART = "graphs"


def test_every_network_is_registered_once():
    assert sorted(NETWORKS) == sorted(network_names())


# What the spec says.


def test_spec(entry):
    spec, module = get_network(entry.name), importlib.import_module(f"slimft.nets.{entry.module}")
    assert (spec.name, spec.module) == (entry.name, module.__name__)
    assert spec.function is getattr(module, entry.function)
    assert spec.arg_scope is getattr(module, entry.arg_scope)
    assert (spec.scope, spec.default_image_size) == (entry.scope, entry.image_size)
    assert (spec.task, spec.num_imagenet_classes) == (entry.task, entry.classes)
    assert spec.preprocessing in PREPROCESSING
    assert spec.function.default_image_size == (entry.function_size or entry.image_size)
    assert signature_of(spec.function) == entry.signature


@only(lambda entry: not entry.classifies)
def test_the_official_checkpoint_is_of_what_it_begins_as(entry, whole):
    """All but the scores is in it, and it has no more than other logits."""
    spec = get_network(entry.name)
    release = OFFICIAL[spec.official_checkpoint]
    assert get_network(release.network).scope == entry.scope
    variables = {v.op.name for v in whole.graph.get_collection(tf.GraphKeys.MODEL_VARIABLES)}
    fresh = VariableFilter(include=spec.logits_scopes).select(variables)
    assert variables - set(fresh) == {
        name for name in release.variables if not name.startswith(get_network(release.network).logits_scopes)
    }


@only(lambda entry: entry.classifies and get_network(entry.name).official_checkpoint)
def test_the_official_checkpoint_is_the_networks(entry):
    spec = get_network(entry.name)
    release = OFFICIAL[spec.official_checkpoint]
    assert release.network == entry.name
    of_logits = entry.below_scope(f"{entry.logits[0]}/biases")
    assert release.variables[of_logits][-1] == entry.classes


def test_too_small_images(entry):
    spec = get_network(entry.name)
    size = spec.min_image_size - 1
    for check in (spec.check_image_size, lambda size: spec.arguments_for(size, True)):
        with pytest.raises(UsageError) as caught:
            check(size)
        needed = f"which needs at least {spec.min_image_size}"
        assert str(caught.value) == f"--image_size={size} is too small for {entry.name}, {needed}"


def test_build_calls_the_function_under_its_arg_scope(entry, monkeypatch):
    def function(*args, **kwargs):
        calls.append((args, kwargs, slim.current_arg_scope()))
        return logits, "end points"

    calls, spec = [], get_network(entry.name)
    monkeypatch.setattr(importlib.import_module(spec.module), entry.function, function)
    with tf.Graph().as_default():
        images, logits = tf.placeholder(tf.float32, [None, 200, 200, spec.channels]), tf.placeholder(tf.float32)
        built, end_points = spec.build(images, 5, is_training=True)
        assert built is logits and end_points == "end points"
    ((args, kwargs, arg_scope),) = calls
    assert args == (images, 5)
    assert kwargs == {"is_training": True, **spec.arguments_for(200, True)}
    assert arg_scope.keys() == spec.arg_scope().keys()


@only(lambda entry: entry.name != "cifarnet")
def test_arg_scope_takes_the_weight_decay(entry):
    """CifarNet's is for fully connected layers only."""
    with tf.Graph().as_default(), tf.Session() as session:
        with slim.arg_scope(get_network(entry.name).arg_scope(weight_decay=0.25)):
            slim.conv2d(
                tf.zeros([1, 8, 8, 2]), 3, [3, 3], weights_initializer=tf.ones_initializer(), normalizer_fn=None
            )
        session.run(tf.global_variables_initializer())
        weights, *biases = session.run(tf.losses.get_regularization_losses())
        # Inception-ResNet V2's biases, which are zero, decay too.
        assert weights == 0.25 * (3 * 3 * 2 * 3) / 2 and not any(biases)


# The graph that its function builds by default, for one image of the default size.


@pytest.fixture(scope="session")
def whole(entry, build):
    """The network with its checkpoint's classes."""
    return build(
        "slimft.nets",
        entry.name,
        entry.classes,
        (1, entry.image_size, entry.image_size, get_network(entry.name).channels),
    )


@pytest.fixture(scope="session")
def both(entry, whole, build):
    """Ours and tf-slim's (on our batch_norm: its own is broken)."""
    size = None if entry.tf_slim.any_size else entry.image_size
    shape = (1, size, size, 3)
    ours = build("slimft.nets", entry.name, entry.classes, shape) if entry.tf_slim.any_size else whole
    return ours, build("tf_slim.nets", entry.name, entry.classes, shape)


def test_variables(entry, whole):
    """As another list than ours has them: the official checkpoint's, or the entry's."""
    official = get_network(entry.name).official_checkpoint
    expected = OFFICIAL[official].variables if official and entry.classifies else entry.variables
    variables = whole.graph.get_collection(tf.GraphKeys.MODEL_VARIABLES)
    shapes = {variable.op.name: tuple(variable.shape.as_list()) for variable in variables}
    spec = get_network(entry.name)
    assert {name.partition("/")[0] for name in shapes} == set(spec.outer_scopes or [spec.scope])
    assert shapes == {name: tuple(shape) for name, shape in expected.items()}


def test_collections(entry, whole, collections_of):
    seen = collections_of(whole.graph)
    # What drops more and more makes the step.
    assert seen["model_variables"] == [variable for variable in seen["variables"] if variable[0] != "global_step"]
    for collection, members in vars(entry.counts).items():
        assert len(seen[collection]) == members, collection


@only(lambda entry: entry.tf_slim)
def test_collections_are_tf_slims(both, whole, collections_of):
    ours, theirs = (collections_of(network.graph) for network in both)
    assert ours == theirs == collections_of(whole.graph)


@only(lambda entry: entry.tf_slim)
def test_every_op_is_tf_slims(entry, both):
    ours, theirs = ({node.name: node for node in network.graph.as_graph_def().node} for network in both)
    if entry.tf_slim.adapt:
        entry.tf_slim.adapt(ours, theirs, entry.scope)
        assert len(ours) > 100
        assert ours == theirs
    else:
        assert list(ours.values()) == list(theirs.values())


# The ops whose order, names, inputs and attributes make up the layers.
LAYERS = (
    "Conv2D", "DepthwiseConv2dNative", "MatMul", "MaxPool", "AvgPool", "Mean", "ConcatV2", "AddV2", "Mul", "Relu",
    "Reshape", "Softmax",
)  # fmt: skip
ATTRIBUTES = ("strides", "ksize", "padding", "dilations")


def layers_of(graph, images):
    """Each layer's op but batch normalization's and dropout's.

    Returns:
        For each op a list: its name, its attributes, the numbers and the ops that it is computed from.
    """

    def sources(op):
        for tensor in op.inputs:
            yield from [tensor.op.name] if tensor.op in found or tensor is images else sources(tensor.op)

    def numbers(op):
        return [
            tf.get_static_value(tensor).item()
            for tensor in op.inputs
            if tensor.op.type == "Const" and not tensor.shape.rank
        ]

    found = {}
    for op in graph.get_operations():
        if op.type in LAYERS and not re.search("BatchNorm|Dropout|Regularizer|Initializer", op.name):
            found[op] = [op.name, op.type, *(str(op.node_def.attr[name]) for name in ATTRIBUTES)]
            found[op] += [*numbers(op), *sources(op)]
    return list(found.values())


def layers_digest(graph, images):
    """The SHA-256, in part, of `layers_of` a graph."""
    return hashlib.sha256(repr(layers_of(graph, images)).encode()).hexdigest()[:16]


@only(lambda entry: entry.research_slim)
def test_the_layers_are_research_slims(entry, whole):
    assert layers_digest(whole.graph, whole.images) == entry.research_slim


def count(variables, but=()):
    """The number of elements of `variables` outside of the scopes `but`."""
    outside = VariableFilter(exclude=list(but)).selects
    return sum(variable.shape.num_elements() for variable in variables if outside(variable.op.name))


def test_number_of_parameters(entry, whole):
    """With 1000 classes, as others publish it."""
    background = (entry.classes - 1000) * (entry.channels + 1) if entry.classifies else 0
    auxiliary = get_network(entry.name).logits_scopes[1:] if entry.classifies else ()
    trainable = count(whole.graph.get_collection(tf.GraphKeys.TRAINABLE_VARIABLES), auxiliary)
    assert get_network(entry.name).parameters == trainable
    assert trainable - background == entry.trainable
    if entry.total:
        total = count(whole.graph.get_collection(tf.GraphKeys.MODEL_VARIABLES), auxiliary)
        assert total - background == entry.total


def multiply_adds(op):
    """Multiplications, each with an addition, of a convolution or matrix product; None of other ops."""
    if op.type in ("Conv2D", "DepthwiseConv2dNative"):
        # Each element of the result takes as many as the kernel has taps and, but for depthwise, input channels.
        height, width, channels, _ = op.inputs[1].shape.as_list()
        taps = height * width * (channels if op.type == "Conv2D" else 1)
        return math.prod(op.outputs[0].shape.as_list()) * taps
    if op.type == "MatMul":
        return math.prod(op.outputs[0].shape.as_list()) * op.inputs[0].shape.as_list()[1]
    if op.type == "Conv2DBackpropInput":
        # A transposed convolution: each element of its argument takes as many as there are taps and outputs.
        return math.prod(op.inputs[2].shape.as_list()) * math.prod(op.inputs[1].shape.as_list()[:3])
    assert "MatMul" not in op.type and "Conv" not in op.type, op
    return None


def test_gflops(entry, whole):
    """The figure of `--list_models`; the auxiliary logits are there for training only."""
    spec = get_network(entry.name)
    auxiliary = tuple(f"{scope}/" for scope in spec.logits_scopes[1:] if entry.classifies)
    ops = [op for op in whole.graph.get_operations() if not op.name.startswith(auxiliary)]
    products = [number for op in ops if (number := multiply_adds(op)) is not None]
    assert spec.gflops == pytest.approx(2e-9 * sum(products), abs=0.0006)


def test_the_logits_variables(entry, whole):
    """As many outputs as classes have the layers of the entry alone, which are below `logits_scopes`."""
    variables = whole.graph.get_collection(tf.GraphKeys.MODEL_VARIABLES)
    of_classes = {variable.op.name for variable in variables if variable.shape[-1] == entry.classes}
    expected = {entry.below_scope(f"{layer}/{kind}") for layer in entry.logits for kind in ("weights", "biases")}
    expected |= {entry.below_scope(f"{layer}/up_filter") for layer in entry.enlargements}
    assert of_classes == expected
    first = next(v for v in variables if v.op.name == entry.below_scope(f"{entry.logits[0]}/weights"))
    assert first.op.name.startswith(get_network(entry.name).logits_scopes[0])
    for scope in get_network(entry.name).logits_scopes:
        assert VariableFilter(include=scope).select(of_classes)


def test_end_points(entry, whole):
    end_points = whole.end_points
    if entry.end_points:
        assert tuple(end_points) == entry.end_points
    shapes = {key: end_point.shape.as_list()[1:] for key, end_point in end_points.items()}
    assert {key: shapes[key] for key in entry.shapes} == {key: list(shape) for key, shape in entry.shapes.items()}
    assert {key: end_points[key].op.name for key in entry.ops} == entry.ops
    assert any(end_point is whole.logits for end_point in end_points.values())


@only(lambda entry: entry.tf_slim)
def test_end_points_are_tf_slims(entry, both):
    """Theirs are among ours, in the same order, and of the same name."""
    ours, theirs = both
    assert entry.end_points or list(ours.end_points) == list(theirs.end_points)
    assert [key for key in ours.end_points if key in theirs.end_points] == list(theirs.end_points)
    for key in theirs.end_points:
        # ResNet's, which is of the logits' shape, is another op where those are squeezed.
        assert key == "predictions" or ours.end_points[key].name == theirs.end_points[key].name
