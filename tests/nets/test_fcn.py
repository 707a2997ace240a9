"""slimft.nets.fcn: names, sizes, and where of an image a score is of."""

import numpy as np
import pytest

from slimft.compat import slim, tf
from slimft.nets import fcn, vgg

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
