"""slimft.nets.fcn: names, sizes, and where of an image a score is of."""

import importlib

import numpy as np
import pytest

from slimft.compat import slim, tf
from slimft.errors import UsageError
from slimft.nets import fcn, get_network, network_names, resnet_utils, resnet_v1, vgg

NETWORKS = (fcn.fcn_32s, fcn.fcn_16s, fcn.fcn_8s)
FRESH = {
    "fcn_32s": {"score_fr/weights", "score_fr/biases", "up/up_filter"},
    "fcn_16s": {"score_fr/weights", "score_fr/biases", "score_pool4/weights", "score_pool4/biases"}
    | {"upscore2/up_filter", "upscore32/up_filter"},
    "fcn_8s": {"score_fr/weights", "score_fr/biases", "score_pool4/weights", "score_pool4/biases"}
    | {"score_pool3/weights", "score_pool3/biases"}
    | {"upscore2/up_filter", "upscore_pool4/up_filter", "upscore8/up_filter"},
}


def built(network, images, **arguments):
    with slim.arg_scope(fcn.fcn_arg_scope()):
        return network(images, 5, **arguments)


@pytest.fixture
def narrow(monkeypatch):
    """Convolutions a hundredth as wide, so that a large image is soon computed."""
    monkeypatch.setattr(vgg, "_WIDTHS", (2, 2, 3, 3, 4))


@pytest.fixture
def small_resnet(monkeypatch):
    """A unit a block, as the last one of each has the stride, and a sixteenth as wide."""

    def small(*args, scope, **kwargs):
        blocks = [
            resnet_utils.bottleneck_block(resnet_v1.bottleneck, f"block{i}", 2**i, 1, 2 if i < 4 else 1)
            for i in range(1, 5)
        ]
        return resnet_v1.resnet_v1(args[0], blocks, *args[1:], scope=scope, **kwargs)

    monkeypatch.setattr(fcn, "resnet_v1_50", small)


def start(session):
    """Initializes all variables; scores, which begin with zeros, at random."""
    session.run(tf.global_variables_initializer())
    for variable in tf.trainable_variables():
        if "/score_" in variable.op.name:
            values = np.random.default_rng(0).standard_normal(variable.shape.as_list())
            variable.load(values * ("weights" in variable.op.name), session)


@pytest.mark.parametrize("network", NETWORKS)
def test_all_of_vgg_16_but_fc8_and_what_begins_afresh(network):
    """By names and shapes: what a VGG-16 checkpoint has, it restores."""
    with tf.Graph().as_default():
        with slim.arg_scope(vgg.vgg_arg_scope()):
            vgg.vgg_16(tf.placeholder(tf.float32, [1, 224, 224, 3]))
        of_vgg = {variable.op.name: variable.shape.as_list() for variable in slim.get_model_variables()}
    with tf.Graph().as_default():
        built(network, tf.placeholder(tf.float32, [1, 64, 64, 3]))
        found = {variable.op.name: variable.shape.as_list() for variable in slim.get_model_variables()}
        trained = {variable.op.name for variable in tf.trainable_variables()}
    fresh = {f"vgg_16/{name}" for name in FRESH[network.__name__]}
    assert found.keys() - of_vgg.keys() == fresh
    assert of_vgg.keys() - found.keys() == {"vgg_16/fc8/weights", "vgg_16/fc8/biases"}
    assert all(found[name] == of_vgg[name] for name in found.keys() & of_vgg.keys())
    assert found.keys() - trained == {name for name in fresh if name.endswith("up_filter")}


def test_what_a_stage_has_restores_into_the_next(narrow):
    """No variable of one name has two shapes, but an enlargement that is another one."""
    shapes = []
    for network in NETWORKS:
        with tf.Graph().as_default():
            built(network, tf.placeholder(tf.float32, [1, 64, 64, 3]))
            shapes.append({variable.op.name: variable.shape.as_list() for variable in tf.global_variables()})
    for before, after in zip(shapes, shapes[1:]):
        both = before.keys() & after.keys()
        assert "vgg_16/score_fr/weights" in both
        assert all(before[name] == after[name] for name in both)


@pytest.mark.parametrize("learned", [False, True])
def test_the_upsampling_trains_where_it_is_said_to(narrow, learned):
    with tf.Graph().as_default():
        built(fcn.fcn_8s, tf.placeholder(tf.float32, [1, 64, 64, 3]), learn_upsampling=learned)
        trained = [variable.op.name for variable in tf.trainable_variables() if "up_filter" in variable.op.name]
        assert len(trained) == (3 if learned else 0)


def test_fc7_is_vgg_16s_with_same_padding(narrow):
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.constant(np.random.default_rng(0).normal(0, 50, (1, 96, 160, 3)), tf.float32)
        _, end_points = built(fcn.fcn_32s, images, is_training=False)
        with slim.arg_scope(vgg.vgg_arg_scope()), tf.variable_scope(tf.get_variable_scope(), reuse=True):
            fc7, _ = vgg.vgg_16(images, None, is_training=False, fc_conv_padding="SAME")
        start(session)
        ours, theirs = session.run([end_points["vgg_16/fc7"], fc7])
        assert ours.shape == (1, 3, 5, 4096) and np.ptp(ours) > 0
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("network", NETWORKS)
def test_there_are_logits_for_every_pixel_of_any_image(network, narrow):
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.placeholder(tf.float32, [None, None, None, 3])
        logits, _ = built(network, images, is_training=False)
        assert logits.shape.as_list() == [None, None, None, 5]
        start(session)
        for height, width in ((32, 32), (33, 47), (180, 240), (32, 65)):
            found = session.run(logits, {images: np.zeros([2, height, width, 3])})
            assert found.shape == (2, height, width, 5)
    with tf.Graph().as_default():
        logits, _ = built(network, tf.placeholder(tf.float32, [3, 50, 70, 3]))
        assert logits.shape.as_list() == [3, 50, 70, 5]


@pytest.mark.parametrize("network", NETWORKS)
def test_what_is_elsewhere_in_an_image_is_elsewhere_in_its_scores(network, narrow):
    """By whole places of the coarsest map, in an image so large that its border is beyond what a score sees."""
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.placeholder(tf.float32, [1, 544, 544, 3])
        logits, _ = built(network, images, is_training=False)
        start(session)
        picture = np.zeros([1, 544, 544, 3], np.float32)
        picture[:, 256:275, 249:280] = np.random.default_rng(1).normal(0, 80, (19, 31, 3))
        moved = np.roll(picture, (32, -64), axis=(1, 2))
        here, there = session.run(logits, {images: picture}), session.run(logits, {images: moved})
        assert np.ptp(here) > 0
        here = np.roll(here, (32, -64), axis=(1, 2))
        inside = (slice(None), *[slice(160, -160)] * 2)
        assert np.ptp(here[inside]) > 0.1 * np.ptp(here)
        np.testing.assert_allclose(here[inside], there[inside], atol=1e-5 * np.ptp(here))


def test_scores_are_where_the_image_has_what_they_are_of(narrow, monkeypatch):
    """A bright place of the image is brightest there in the scores: within half a place of the map."""
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.placeholder(tf.float32, [1, 320, 320, 3])
        logits, _ = built(fcn.fcn_8s, images, is_training=False)
        session.run(tf.global_variables_initializer())
        # Each layer takes means; of the scores, only those of pool3 count.
        for variable in tf.trainable_variables():
            if variable.op.name.endswith("weights"):
                shape = variable.shape.as_list()
                other = "/score_" in variable.op.name and "pool3" not in variable.op.name
                variable.load(np.full(shape, 0 if other else 1 / np.prod(shape[:3])), session)
        for row, column in ((100, 100), (131, 203), (160, 160)):
            picture = np.zeros([1, 320, 320, 3], np.float32)
            picture[:, row - 8 : row + 8, column - 8 : column + 8] = 255
            scores = session.run(logits, {images: picture})[0, ..., 0].astype(np.float64)
            centre = [np.average(np.arange(320), weights=scores.sum(axis)) for axis in (1, 0)]
            np.testing.assert_allclose(centre, [row - 0.5, column - 0.5], atol=4)


@pytest.mark.parametrize("factor", [2, 8, 16, 32])
def test_enlarging_interpolates(factor):
    """As tf.image.resize does it; constants stay; a ramp goes on as it was between the places that it has."""
    rng = np.random.default_rng(0)
    ramp = np.arange(35).reshape(5, 7) // 7
    maps = np.stack([rng.normal(size=(5, 7)), np.full([5, 7], 3.0), ramp], axis=-1)[None]
    with tf.Graph().as_default(), tf.Session() as session:
        net = tf.constant(maps, tf.float32)
        size = [5 * factor - 1, 7 * factor]
        ours = fcn.enlarge(net, factor, tf.constant(size), False, "up")
        theirs = tf.compat.v2.image.resize(net, [5 * factor, 7 * factor])[:, :-1]
        session.run(tf.global_variables_initializer())
        ours, theirs = session.run([ours, theirs])
    assert ours.shape == (1, *size, 3)
    np.testing.assert_allclose(ours, theirs, atol=2e-6)
    np.testing.assert_allclose(ours[..., 1], 3, rtol=1e-6)
    rows = np.arange(size[0])
    inside = slice(factor // 2, size[0] - factor // 2)
    np.testing.assert_allclose(ours[0, inside, 3, 2], ((rows - (factor - 1) / 2) / factor)[inside], atol=1e-5)


@pytest.mark.parametrize("network", NETWORKS)
def test_it_learns_from_what_begins_with_zeros(network, narrow):
    """A gradient reaches each of the scores at once, and the trunk once these have moved."""
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.constant(np.random.default_rng(0).normal(0, 50, (2, 64, 64, 3)), tf.float32)
        logits, _ = built(network, images)
        loss = tf.losses.sparse_softmax_cross_entropy(tf.ones([2, 64, 64], tf.int32), logits)
        step = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
        session.run(tf.global_variables_initializer())
        before = session.run(loss)
        for _ in range(3):
            session.run(step)
        assert before == pytest.approx(np.log(5), rel=1e-5)
        assert session.run(loss) < before
        for variable in tf.trainable_variables():
            if "/score_" in variable.op.name and variable.op.name.endswith("biases"):
                assert np.any(session.run(variable))


def test_a_width_of_fc6_and_fc7():
    with tf.Graph().as_default():
        built(fcn.fcn_8s, tf.placeholder(tf.float32, [1, None, None, 3]), fc_width=48)
        shapes = {variable.op.name: variable.shape.as_list() for variable in tf.model_variables()}
    assert shapes["vgg_16/fc6/weights"] == [7, 7, 512, 48] and shapes["vgg_16/fc6/biases"] == [48]
    assert shapes["vgg_16/fc7/weights"] == [1, 1, 48, 48] and shapes["vgg_16/fc7/biases"] == [48]
    assert shapes["vgg_16/score_fr/weights"] == [1, 1, 48, 5]


# ResNet.


def with_arg_scope(images, network=None, **arguments):
    with slim.arg_scope(fcn.fcn_resnet_arg_scope()):
        return (network or fcn.fcn_resnet_v1_50)(images, 5, **arguments)


@pytest.mark.parametrize("output_stride", [32, 8])
def test_resnet_is_tf_slims_for_dense_prediction(output_stride):
    """Op by op up to the scores; beside its variables, there is the enlargement's."""
    theirs = importlib.import_module("tf_slim.nets.resnet_v1").resnet_v1_50
    graphs = [tf.Graph(), tf.Graph()]
    arguments = {"output_stride": output_stride, "is_training": True}
    with graphs[0].as_default():
        logits, _ = with_arg_scope(tf.placeholder(tf.float32, [1, 70, 65, 3], name="images"), **arguments)
        assert logits.shape.as_list() == [1, 70, 65, 5]
    with graphs[1].as_default():
        arguments |= {"global_pool": False}  # It never squeezes.
        images = tf.placeholder(tf.float32, [1, 70, 65, 3], name="images")
        scores, _ = with_arg_scope(images, theirs, **arguments)
    ours, expected = (list(graph.as_graph_def().node) for graph in graphs)
    assert ours[: len(expected)] == expected and scores.op.name == "resnet_v1_50/logits/BiasAdd"
    added = [variable.op.name for variable in graphs[0].get_collection(tf.GraphKeys.GLOBAL_VARIABLES)]
    assert added.pop() == "resnet_v1_50/upscore/up_filter"
    assert added == [variable.op.name for variable in graphs[1].get_collection(tf.GraphKeys.GLOBAL_VARIABLES)]
    assert not any("up_filter" in v.op.name for v in graphs[0].get_collection(tf.GraphKeys.TRAINABLE_VARIABLES))


@pytest.mark.parametrize("output_stride", [32, 16, 8])
def test_resnet_has_logits_for_every_pixel_of_any_image(small_resnet, output_stride):
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.placeholder(tf.float32, [None, None, None, 3])
        logits, _ = with_arg_scope(images, is_training=False, output_stride=output_stride, learn_upsampling=True)
        assert logits.shape.as_list() == [None, None, None, 5]
        assert any("up_filter" in variable.op.name for variable in tf.trainable_variables())
        session.run(tf.global_variables_initializer())
        for height, width in ((32, 32), (33, 47), (62, 35), (64, 129)):
            found = session.run(logits, {images: np.ones([2, height, width, 3])})
            assert found.shape == (2, height, width, 5) and np.isfinite(found).all()


@pytest.mark.parametrize("side", [321, 320, 319, 318])
@pytest.mark.parametrize("output_stride", [32, 16, 8])
def test_resnets_scores_are_where_the_image_has_what_they_are_of(small_resnet, output_stride, side):
    """To a fraction of a pixel, whatever the size's remainder; and a picture that moves moves its scores."""
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.placeholder(tf.float32, [None, side, side + 1, 3])
        logits, _ = with_arg_scope(images, is_training=False, output_stride=output_stride)
        session.run(tf.global_variables_initializer())
        for variable in tf.trainable_variables():  # Each layer takes means.
            if variable.op.name.endswith("weights"):
                shape = variable.shape.as_list()
                variable.load(np.full(shape, 1 / np.prod(shape[:3])), session)
        rows, columns = np.ogrid[:side, : side + 1]
        middle = np.array([161.0, 150.0])
        # So broad that the map, which has it in few places, has its centre all the same.
        bump = np.exp(-((rows - middle[0]) ** 2 + (columns - middle[1]) ** 2) / (2 * 32**2))
        picture = np.repeat(bump[None, ..., None], 3, axis=-1)
        moved = np.roll(picture, (output_stride, -output_stride), axis=(1, 2))
        here, there = session.run(logits, {images: np.concatenate([picture, moved])})[..., 0].astype(np.float64)
        above = np.maximum(here - 0.3 * here.max(), 0)
        centre = [np.average(np.arange(above.shape[axis]), weights=above.sum(1 - axis)) for axis in (0, 1)]
        np.testing.assert_allclose(centre, middle, atol=0.3)
        inside = (slice(100, 220), slice(100, 220))
        here = np.roll(here, (output_stride, -output_stride), axis=(0, 1))
        np.testing.assert_allclose(there[inside], here[inside], atol=1e-5 * here.max())


@pytest.mark.parametrize("factor, first", [(8, (0, 2)), (16, (2, 0)), (32, (2, 2)), (4, (0, 3))])
def test_enlarging_from_pixels_interpolates(factor, first):
    """Constants stay, a ramp goes on between its first and last place, and beyond them is what they have."""
    ramps = np.stack(np.broadcast_arrays(np.arange(5.0)[:, None], np.arange(7.0), 3.0), axis=-1)
    size = [5 * factor - 1, 6 * factor + 3]
    with tf.Graph().as_default(), tf.Session() as session:
        net = fcn.enlarge(tf.constant(ramps[None], tf.float32), factor, tf.constant(size), False, "up", first)
        session.run(tf.global_variables_initializer())
        found = session.run(net)[0]
    rows, columns = (np.clip((np.arange(n) - at) / factor, 0, most) for n, at, most in zip(size, first, (4, 6)))
    assert found.shape == (*size, 3)
    np.testing.assert_allclose(found[..., 0], np.broadcast_to(rows[:, None], size), atol=1e-5)
    np.testing.assert_allclose(found[..., 1], np.broadcast_to(columns, size), atol=1e-5)
    np.testing.assert_allclose(found[..., 2], 3, rtol=1e-6)


# As networks of the commands.


def test_tasks():
    for name in network_names():
        spec = get_network(name)
        assert spec.task == spec.task_of("linear") == ("segmentation" if "fcn" in name else "classification")
        assert spec.task_of("mlp") == "classification"


def test_options_are_those_of_the_function(narrow, small_resnet):
    with tf.Graph().as_default():
        images = tf.placeholder(tf.bfloat16, [None, None, 40, 3])
        options = {"fc_width": 32, "learn_upsampling": True, "output_stride": None}
        logits, _ = get_network("fcn_32s").build(images, 5, True, precision="bfloat16", options=options)
        assert (logits.dtype, logits.shape.as_list()) == (tf.float32, [None, None, 40, 5])
        shapes = {variable.op.name: variable.shape.as_list() for variable in tf.trainable_variables()}
        assert shapes["vgg_16/fc7/weights"] == [1, 1, 32, 32] and "vgg_16/up/up_filter" in shapes
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.ones([1, 40, 50, 3])
        options = {"output_stride": 8}
        logits, end_points = get_network("fcn_resnet_v1_50").build(
            images, 5, False, precision="bfloat16", options=options
        )
        assert end_points["resnet_v1_50/logits"].shape.as_list() == [1, 5, 7, 5]
        session.run(tf.global_variables_initializer())
        assert np.isfinite(session.run(logits)).all()


def test_what_a_network_does_not_take():
    images = tf.placeholder(tf.float32, [1, 64, 64, 3])
    for name, arguments, said in (
        ("vgg_16", {"options": {"fc_width": 512}}, "--fc_width: vgg_16 has no such option; it is for fcn_32s, "),
        (
            "fcn_8s",
            {"options": {"output_stride": 8}},
            "--output_stride: fcn_8s has no such option; it is for fcn_res",
        ),
        ("fcn_8s", {"options": {"depth": 8}}, "--depth: fcn_8s has no such option$"),
        ("fcn_8s", {"head": "mlp"}, "--head=mlp is for whole images, and fcn_8s has scores for every pixel; leave"),
    ):
        with pytest.raises(UsageError, match=said):
            get_network(name).build(images, 5, True, **arguments)
    with pytest.raises(UsageError, match="image_size=31 is too small for fcn_8s, which needs at least 32"):
        get_network("fcn_8s").build(tf.placeholder(tf.float32, [1, None, 31, 3]), 5, True)


def test_the_advice_names_the_networks_that_have_the_option():
    from slimft.nets import spec

    having = {option: [] for option in spec._OPTIONS}
    for name in network_names():
        for option in get_network(name).options:
            having[option].append(name)
    assert having.pop("learn_upsampling") == [name for name in network_names() if name.startswith("fcn")]
    families = ("vgg", "resnet", "inception", "mobilenet", "nasnet", "pnasnet")
    ending = [name for name in network_names() if name.startswith(families) and name != "nasnet_cifar"]
    assert having.pop("final_endpoint") == ending
    for option, names in having.items():
        assert spec._OPTIONS[option].replace(" and ", ", ").split(", ") == names
