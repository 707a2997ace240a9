"""Every network cut short: up to its end it is the whole network, which the other tests compare with others'."""

import types

import numpy as np
import pytest

from slimft.compat import slim, tf
from slimft.errors import UsageError
from slimft.filters import VariableFilter
from slimft.nets import get_network
from slimft.nets.mobilenet.mobilenet import global_pool

from .entry import only
from .test_ends import Walk

PART = "final_endpoints"

# One of each family: the tables of the others are made alike. VGG's graphs are small; each Inception has its table.
SMALL = ("mobilenet_v1_025", "mobilenet_v2", "resnet_v1_50", "resnet_v2_50", "nasnet_mobile", "pnasnet_mobile")
one_of_each_family = only(lambda entry: entry.name in SMALL or entry.module.startswith(("vgg", "inception")))


def features_of(spec, images, **options):
    """The network without logits, with its own arg_scope."""
    with slim.arg_scope(spec.arg_scope(weight_decay=0.0)):
        return spec._network(images, None, False, options)


def some_ends(spec):
    """The first, the last and two between them: enough to tell, and each is a graph."""
    ends = list(spec.final_endpoints)
    return [ends[0], ends[len(ends) // 3], ends[2 * len(ends) // 3], ends[-1]]


@pytest.fixture(scope="session")
def whole(entry):
    """The network without logits, by whose end points each variable is used."""
    spec, graph = get_network(entry.name), tf.Graph()
    with graph.as_default():
        images = tf.placeholder(tf.float32, [2, spec.min_image_size, spec.min_image_size, spec.channels], "images")
        with tf.variable_scope("", use_resource=True):
            _, end_points = features_of(spec, images)
    ends = {name: end_of(spec, end_points, name) for name in spec.final_endpoints}
    return types.SimpleNamespace(
        spec=spec, graph=graph, images=images, ends=ends, walk=Walk(graph, images), end_points=end_points
    )


def end_of(spec, end_points, name):
    """An end point: with some networks' keys begin with their scope."""
    return end_points[name] if name in end_points else end_points[f"{spec.scope}/{name}"]


def upstream(ops):
    """All ops that `ops` are computed from, themselves included."""
    found, queue = set(ops), list(ops)
    while queue:
        new = {tensor.op for tensor in queue.pop().inputs} - found
        found |= new
        queue += new
    return found


def below(whole, end):
    """The names of the variables that an end point is made of."""
    found = upstream([whole.ends[end].op])
    return {variable.op.name for variable in whole.walk.variables if variable.op in found}


_WITHOUT = ("alexnet", "cifarnet", "densenet", "fcn", "lenet", "overfeat")


@only(lambda entry: entry.module in _WITHOUT or entry.name == "nasnet_cifar")
def test_others_say_that_they_cannot(entry):
    spec = get_network(entry.name)
    assert "final_endpoint" not in spec.options and not spec.final_endpoints
    with pytest.raises(
        UsageError, match=f"--final_endpoint: {entry.name} has no such option; it is for VGG, ResNet"
    ):
        spec.check_options({"final_endpoint": "pool5"})


@one_of_each_family
def test_top_is_the_end_of_what_is_left(whole):
    for end in whole.spec.final_endpoints:
        built = below(whole, end)
        top = VariableFilter(include=whole.spec.expand(("top",), "mlp", {"final_endpoint": end})[:-1]).select(built)
        assert top, end
        before = upstream([op for name in built - set(top) for op in whole.walk.layers[name]])
        for name in top:
            assert not whole.walk.layers[name] & before, (end, name)


@one_of_each_family
def test_nothing_is_built_but_what_the_end_point_is_made_of(whole):
    spec = whole.spec
    for end in some_ends(spec):
        with tf.Graph().as_default():
            images = tf.placeholder(tf.float32, whole.images.shape)
            options = {"final_endpoint": end}
            logits, end_points = spec.build(images, 5, is_training=True, head="bn_mlp", options=options)
            assert logits.shape.as_list() == [2, 5]
            built = {variable.op.name for variable in tf.global_variables()}
            assert {name for name in built if not name.startswith("head/")} == below(whole, end)
            assert list(end_points) == [name for name in whole.end_points if name in end_points]
            assert None not in tf.gradients(tf.reduce_sum(logits), tf.trainable_variables())


@only(lambda entry: entry.name in ("vgg_a", "mobilenet_v1_025", "mobilenet_v2", "inception_v1", "resnet_v2_50"))
def test_the_result_is_the_end_point_of_the_whole_network(whole):
    """With the same variables, to the last bit: the same ops."""
    spec, rng = whole.spec, np.random.default_rng(3)
    ends = [end for end in some_ends(spec) if end not in ("fc6", "fc7")]
    with whole.graph.as_default(), tf.variable_scope("", reuse=True, use_resource=True):
        cuts = {end: features_of(spec, whole.images, final_endpoint=end)[0] for end in ends}
        expected = {end: whole.ends[end] for end in ends}
        if spec.name == "mobilenet_v2":  # It averages what it ends with, as it does with logits.
            expected = {end: global_pool(tensor) for end, tensor in expected.items()}
        with tf.Session() as session:
            of_ends = set().union(*(below(whole, end) for end in ends))
            session.run([v.initializer for v in tf.global_variables() if v.op.name in of_ends])
            pixels = rng.normal(size=whole.images.shape.as_list()).astype(np.float32)
            found, wanted = session.run((cuts, expected), {whole.images: pixels})
    for end in ends:
        assert np.std(wanted[end]) > 0
        np.testing.assert_array_equal(found[end], wanted[end], err_msg=end)


@one_of_each_family
def test_what_cannot_be_is_refused(whole):
    spec, images = whole.spec, tf.placeholder(tf.float32, whole.images.shape)
    end = next(iter(spec.final_endpoints))
    own = spec.logits_scopes[0].rpartition("/")[2]
    with pytest.raises(UsageError, match=f"--final_endpoint={end} leaves out {own}: name --head=mlp or bn_mlp"):
        spec.build(images, 5, is_training=True, options={"final_endpoint": end})
    unknown = f"{spec.scope}/{end}" if spec.scope else f"{end}s"
    with pytest.raises(UsageError) as caught:
        spec.build(images, 5, is_training=True, head="mlp", options={"final_endpoint": unknown})
    assert str(caught.value).startswith(
        f"--final_endpoint={unknown}: {spec.name} has no such end point; did you mean "
    )
    assert str(caught.value).endswith(f"There are {', '.join(spec.final_endpoints)}")


@only(lambda entry: entry.name in ("vgg_a", "inception_v1", "inception_v3", "mobilenet_v1_025", "resnet_v1_50"))
def test_the_function_refuses_logits_and_unknown_names(whole):
    end = next(iter(whole.spec.final_endpoints))
    with tf.Graph().as_default():
        images = tf.placeholder(tf.float32, whole.images.shape)
        with pytest.raises(ValueError, match=f"final_endpoint='{end}' leaves out the logits; num_classes=5 has to"):
            whole.spec.function(images, 5, final_endpoint=end)
        with pytest.raises(ValueError, match="no (such )?(end point|block|final_endpoint)"):
            whole.spec.function(images, None, final_endpoint="pool9")
