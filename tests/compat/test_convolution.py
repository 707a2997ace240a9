"""slim.conv2d and slim.separable_conv2d make the graphs that slim's own make through Keras' layers."""

import numpy as np
import pytest

from slimft.compat import convolution, slim, tf

LAYERS = {
    "conv2d": (slim.conv2d, convolution._slims_convolution),
    "separable_conv2d": (slim.separable_conv2d, convolution._slims_separable_convolution),
}
COLLECTIONS = ("regularization_losses", "update_ops", "trainable_variables", "variables", "model_variables", "own")


def plain(layer, images):
    layer(layer(images, 4, 3), 2, [1, 5], stride=2, padding="VALID")


def regularized_and_normalized(layer, images):
    slims = {"weights_regularizer": slim.l2_regularizer(0.1), "normalizer_fn": slim.batch_norm}
    net = layer(images, 4, 3, normalizer_params={"is_training": True}, scope="net/a", **slims)
    layer(net, 4, (2, 3), rate=2, scope="net/b", trainable=False, **slims)


def regularized_biases(layer, images):
    regularizers = dict.fromkeys(("weights_regularizer", "biases_regularizer"), slim.l2_regularizer(0.1))
    net = layer(images, 4, 3, **regularizers)
    layer(net, 4, 3, normalizer_fn=slim.batch_norm, **regularizers)


def no_biases_no_activation(layer, images):
    layer(images, 4, 3, biases_initializer=None, activation_fn=None)


def channels_first(layer, images):
    layer(tf.transpose(images, [0, 3, 1, 2]), 4, 3, data_format="NCHW")


def reused(layer, images):
    regularizer = slim.l1_regularizer(0.1)
    for reuse in (None, True, tf.AUTO_REUSE):
        layer(images, 4, 3, reuse=reuse, scope="same", weights_regularizer=regularizer)
    with tf.variable_scope("outer") as outer:
        layer(images, 4, 3, scope="inner", weights_regularizer=regularizer)
    with tf.variable_scope(outer, reuse=True):
        layer(images, 4, 3, scope="inner", weights_regularizer=regularizer)
    with tf.variable_scope("opened") as opened:
        layer(images, 4, 3, scope=opened)


def in_collections(layer, images):
    layer(images, 4, 3, variables_collections=["own"], outputs_collections="ends")
    layer(images, 4, 3, variables_collections={"weights": ["own"]}, outputs_collections="ends", scope="named")


def with_getters_of_its_own(layer, images):
    def halved(getter, name, *args, **kwargs):
        return getter(name, *args, **kwargs) / 2

    def not_trained(getter, name, *args, **kwargs):
        kwargs["trainable"] = False
        return getter(name, *args, **kwargs)

    for name, getter in (("halved", halved), ("not_trained", not_trained)):
        with tf.variable_scope(name, custom_getter=getter):
            layer(images, 4, 3, scope="a", weights_regularizer=slim.l2_regularizer(0.1))
        with tf.variable_scope(name, custom_getter=getter, reuse=True):
            layer(images, 4, 3, scope="a", weights_regularizer=slim.l2_regularizer(0.1))


def in_parts(layer, images):
    with tf.variable_scope("parts", partitioner=tf.fixed_size_partitioner(2)):
        layer(images, 4, 3, weights_regularizer=slim.l2_regularizer(0.1))


def half(layer, images):
    layer(tf.cast(images, tf.bfloat16), 4, 3)


def as_resources(layer, images):
    with tf.variable_scope("resources", use_resource=True):
        layer(images, 4, 3, weights_regularizer=slim.l2_regularizer(0.1))


def rare(layer, images):
    layer(np.ones([2, 8, 8, 3], np.float32), 4, 3)
    layer(images, 4, 3, weights_initializer=None)
    layer(images, np.int64(4), 3, padding="same")


def described(build, layer):
    with tf.Graph().as_default() as graph:
        tf.set_random_seed(1)
        build(layer, tf.placeholder(tf.float32, [None, 8, 9, 3]))
        definition = graph.as_graph_def()
        collections = {key: [element.name for element in tf.get_collection(key)] for key in COLLECTIONS}
        ends = [getattr(element, "aliases", None) for element in tf.get_collection("ends")]
        shapes = [output.shape.as_list() if output.shape.ndims is not None else None
                  for op in graph.get_operations() for output in op.outputs]  # fmt: skip
    return definition, collections, ends, shapes


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize(
    "build",
    [plain, regularized_and_normalized, regularized_biases, no_biases_no_activation, channels_first, reused,
     in_collections, with_getters_of_its_own, in_parts, half, as_resources, rare],
    ids=lambda build: build.__name__,
)  # fmt: skip
def test_the_graph_is_slims(layer, build):
    ours, slims = (described(build, function) for function in LAYERS[layer])
    assert ours == slims


def test_a_depthwise_convolution_alone_is_slims_too():
    def build(layer, images):
        layer(images, None, 3, 2, scope="depthwise")

    assert described(build, slim.separable_conv2d) == described(build, LAYERS["separable_conv2d"][1])


@pytest.mark.parametrize("layer", LAYERS)
def test_layers_are_made_without_keras(layer, monkeypatch):
    def refuse(**_):
        raise AssertionError("slim's own was called")

    monkeypatch.setattr(convolution, "_slims_convolution", refuse)
    monkeypatch.setattr(convolution, "_slims_separable_convolution", refuse)
    described(regularized_and_normalized, LAYERS[layer][0])
    described(regularized_biases, LAYERS[layer][0])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"padding": "FULL"}, "padding"),
        ({"data_format": "NHCW"}, "data_format"),
        ({"kernel_size": [3]}, "kernel_size"),
    ],
)
def test_refuses_what_slim_refuses(arguments, words):
    with tf.Graph().as_default(), pytest.raises(ValueError, match=words):
        slim.conv2d(tf.zeros([1, 8, 8, 3]), 4, **{"kernel_size": 3, **arguments})
