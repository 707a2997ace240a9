"""Heat maps, against CAM by hand, against differences without autodiff, and against where gradients really lie."""

import dataclasses

import numpy as np
import pytest

from slimft import UsageError, write_checkpoint
from slimft.compat import slim, tf
from slimft.explanation import Explainer, centres, enlarged, grad_cam, last_map
from slimft.inference import Architecture, find_network
from slimft.nets import get_network

RNG = np.random.default_rng(0)
# What is shown of the smallest network of some files; in the paper's Figure 1 of VGG, the last convolution.
MAPS = {
    "vgg_a": "vgg_a/conv5/conv5_2/Relu",
    "alexnet_v2": "alexnet_v2/conv5/Relu",
    "lenet": "LeNet/conv2/Relu",
    "cifarnet": "CifarNet/norm2",
    "mobilenet_v1_025": "MobilenetV1/MobilenetV1/Conv2d_13_pointwise/Relu6",
    "mobilenet_v3_small": "MobilenetV3/Conv_1/hard_swish/mul_1",
    "resnet_v1_50": "resnet_v1_50/block4/unit_3/bottleneck_v1/Relu",
    "resnet_v2_50": "resnet_v2_50/postnorm/Relu",
    "inception_v1": "InceptionV1/InceptionV1/Mixed_5c/concat",
}


def started(spec, size, head="linear", classes=5, **options):
    """A network with random variables in the current graph: session, images, logits."""
    tf.set_random_seed(1)
    images = tf.placeholder(tf.float32, [None, size, size, 3])
    logits = Architecture(spec, classes, size, head, **options).outputs(images)
    session = tf.Session()
    session.run(tf.global_variables_initializer())
    random = np.random.default_rng(1)
    for variable in tf.trainable_variables():  # As trained ones, they keep the scale of what they get.
        shape = variable.shape.as_list()
        if variable.op.name.endswith("weights"):
            fan_in = np.prod(shape[:2] if "depthwise" in variable.op.name else shape[:-1])
            variable.load(random.normal(0, np.sqrt(2 / fan_in), shape), session)
    return session, images, logits


def checkpoint_of(name, size, path, head="linear", classes=5):
    with tf.Graph().as_default():
        session, *_ = started(get_network(name), size, head, classes)
        with session:
            values = session.run({variable.op.name: variable for variable in tf.global_variables()})
    write_checkpoint(path, values)
    return str(path)


@pytest.mark.parametrize("name", MAPS)
@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_what_is_shown_is_the_last_layer_with_places(name, head):
    spec = get_network(name)
    size = spec.default_image_size
    with tf.Graph().as_default():
        images = tf.placeholder(tf.float32, [None, size, size, 3])
        found = last_map(images, Architecture(spec, 5, size, head).outputs(images))
    assert found.op.name == MAPS[name]


def test_an_earlier_end_has_its_own_map():
    with tf.Graph().as_default():
        images = tf.placeholder(tf.float32, [None, 64, 64, 3])
        options = {"final_endpoint": "Conv2d_7_pointwise"}
        logits = Architecture(get_network("mobilenet_v1_025"), 5, 64, "mlp", options=options).outputs(images)
        assert "Conv2d_7_pointwise" in last_map(images, logits).op.name


def test_behind_an_average_of_all_places_it_is_cam(tmp_path):
    """Zhou et al. 2015 (arXiv:1512.04150): there, the logits' own weights say how much each map counts."""
    spec, size = get_network("mobilenet_v1_025"), 96
    pictures = RNG.integers(0, 256, (3, size, size, 3)).astype(np.float32)
    chosen = np.array([4, 0, 2])
    with tf.Graph().as_default():
        session, images, logits = started(spec, size)
        found = last_map(images, logits)
        heat = grad_cam(logits, found, tf.constant(chosen))
        (weights,) = [one for one in tf.global_variables() if one.op.name.endswith("Logits/Conv2d_1c_1x1/weights")]
        with session:
            maps, by_logits, actual = session.run([found, weights, heat], {images: pictures})
    expected = np.maximum(np.einsum("bijc,cb->bij", maps, by_logits[0, 0][:, chosen]), 0)
    assert maps.shape == (3, 3, 3, 256) and expected.any(axis=(1, 2)).all() and (expected == 0).any()
    np.testing.assert_allclose(
        actual / actual.max(axis=(1, 2), keepdims=True),
        expected / expected.max(axis=(1, 2), keepdims=True),
        atol=1e-4,
    )


@pytest.mark.parametrize(
    "name, head, size", [("lenet", "linear", 28), ("lenet", "bn_mlp", 28), ("vgg_a", "mlp", 64)]
)
def test_weights_are_how_the_logit_grows_with_each_map(name, head, size):
    spec = get_network(name)
    with tf.Graph().as_default():
        session, images, logits = started(spec, size, head)
        found = last_map(images, logits)
        heat = grad_cam(logits, found, tf.constant([3]))
        with session:
            maps = session.run(found, {images: RNG.integers(0, 256, (1, size, size, 3))})
            actual = session.run(heat, {found: maps})[0]
            step = 1e-2 * maps.max() * np.eye(maps.shape[3], dtype=np.float32)[:, None, None]
            more, less = (session.run(logits, {found: maps + sign * step})[:, 3] for sign in (1, -1))
    expected = np.maximum((maps[0] * (more - less)).sum(axis=2), 0)
    assert expected.any()
    assert np.corrcoef(actual.ravel(), expected.ravel())[0, 1] > 0.99  # ReLUs between turn on and off.


# Where places of a map lie.


def chain(images):
    """One layer of each kind behind the other, linear and with positive weights."""
    ones = {"activation_fn": None, "weights_initializer": tf.ones_initializer(), "biases_initializer": None}
    net = slim.conv2d(images, 2, [3, 3], stride=2, **ones)
    net = slim.separable_conv2d(net, None, [5, 3], stride=2, depth_multiplier=1, **ones)
    net = tf.pad(net, [[0, 0], [2, 1], [0, 3], [0, 0]])
    net = slim.conv2d(net, 2, [2, 3], padding="VALID", **ones)
    return slim.avg_pool2d(net, [3, 2], stride=[1, 2], padding="SAME")


@pytest.mark.parametrize("height, width", [(64, 64), (67, 58)])
def test_the_middle_of_what_a_place_depends_on(height, width):
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.placeholder(tf.float32, [None, height, width, 3])
        net = chain(images)
        found = centres(images, net)
        place = [size // 2 for size in net.shape.as_list()[1:3]]
        session.run(tf.global_variables_initializer())
        (gradient,) = tf.gradients(net[0, place[0], place[1], 0], [images])
        amount = session.run(gradient, {images: np.zeros([1, height, width, 3])})[0].sum(axis=2)
    for axis, size in enumerate((height, width)):
        middle = amount.sum(axis=1 - axis) @ np.arange(size) / amount.sum()
        assert found.scale[axis] * place[axis] + found.offset[axis] == pytest.approx(middle, abs=1e-3)


def test_heat_is_drawn_where_the_network_looks():
    heat = np.zeros([1, 4, 4], np.float32)
    heat[0, 1, 2] = 1
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.placeholder(tf.float32, [None, 128, 128, 3])
        net = last_map(images, Architecture(get_network("mobilenet_v1_025"), 5, 128).outputs(images))
        drawn = session.run(enlarged(heat, centres(images, net), 128))[0]
    # Padding is at the end: places look at 31, 63, 95 and 127, not at 15.5, 47.5 and so on.
    assert np.unravel_index(drawn.argmax(), drawn.shape) == (63, 95)
    assert drawn[63, 95] == pytest.approx(1) and drawn[47, 95] == pytest.approx(0.5)


# Explainers.


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return checkpoint_of("mobilenet_v1_025", 96, tmp_path_factory.mktemp("small") / "small.ckpt")


PICTURES = RNG.integers(0, 256, (2, 96, 96, 3), np.uint8)


def test_an_explainer_shows_the_likeliest_class_or_another(small):
    with Explainer("mobilenet_v1_025", small, 96) as explainer:
        heat = explainer.explain(PICTURES)
        each = np.stack([explainer.explain(PICTURES, number) for number in range(5)], axis=1)
        several = explainer.explain(PICTURES, np.array([[4, 0], [1, 1]]))
        assert "Conv2d_13_pointwise/Relu6, 3x3x256" in repr(explainer)
        assert explainer.explain(PICTURES[:0]).shape == (0, 96, 96)
        with pytest.raises(ValueError, match="there are 5"):
            explainer.explain(PICTURES, 5)
    assert heat.shape == (2, 96, 96) and heat.dtype == np.float32
    assert heat.min() >= 0 and heat.max() <= 1
    assert {0.0, 1.0} >= set(each.max(axis=(2, 3)).round(5).ravel().tolist())
    for one, own in zip(heat, each):
        assert any(np.array_equal(one, other) for other in own)
    np.testing.assert_array_equal(several, np.stack([each[0, [4, 0]], each[1, [1, 1]]]))


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_shows_the_same(small, precision):
    def heat(precision):
        with Explainer("mobilenet_v1_025", small, 96, precision=precision) as explainer:
            return explainer.explain(PICTURES, np.arange(5)[None].repeat(2, axis=0))

    whole, half = heat("float32"), heat(precision)
    shown = (whole.max(axis=(2, 3)) > 0) & (half.max(axis=(2, 3)) > 0)
    assert shown.sum() >= 4
    assert np.corrcoef(whole[shown].ravel(), half[shown].ravel())[0, 1] > 0.95


def test_what_cannot_be_explained(tiny, small, tmp_path):
    path = checkpoint_of(tiny, 8, tmp_path / "one.ckpt")
    with Explainer(tiny, path, 8) as explainer:
        assert explainer.map_shape == (2, 2, 16)
    with pytest.raises(UsageError, match="tiny_fcn says the class of each pixel"):
        Explainer.of(dataclasses.replace(find_network(tiny, path), spec=get_network("tiny_fcn")))
