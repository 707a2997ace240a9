"""The mistakes of training scripts that slimft turns into errors."""

import re

import numpy as np
import pytest
from PIL import Image

import slimft
from slimft import DataError, UsageError
from slimft.compat import slim, tf

MEANS = np.float32([123.68, 116.78, 103.94])


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


def network(is_training=True, use_resource=False, reuse=None, **batch_norm):
    """One convolution with batch_norm, then the logits."""
    images = tf.placeholder(tf.float32, [4, 8, 8, 3], name="images")
    with tf.variable_scope("net", use_resource=use_resource, reuse=reuse):
        normal = {"normalizer_fn": slim.batch_norm, "normalizer_params": {"is_training": is_training, **batch_norm}}
        return slim.flatten(slim.conv2d(images, 4, [3, 3], scope="conv1", **normal))


def loss_of(logits):
    return tf.reduce_mean(tf.square(logits))


def says(kind, check, *arguments, **keywords):
    with pytest.raises(kind) as error:
        check(*arguments, **keywords)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("use_resource", [False, True])
@pytest.mark.parametrize("fused", [None, False])
def test_update_ops_that_never_run(use_resource, fused):
    loss = loss_of(network(use_resource=use_resource, fused=fused))
    optimizer = tf.train.MomentumOptimizer(0.1, 0.9)
    train_op = optimizer.minimize(loss)
    said = says(UsageError, slimft.check_update_ops, train_op)
    assert re.search("update op net/conv1/BatchNorm/Assign[A-Za-z]+ and 1 more", said)
    assert "tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS))" in said
    # The two lines that the message gives.
    with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
        train_op = optimizer.minimize(loss)
    slimft.check_update_ops(train_op)
    slimft.check_update_ops([loss, train_op])


def test_update_ops_run_by_slim_or_beside_the_train_op():
    loss = loss_of(network())
    slimft.check_update_ops(slim.learning.create_train_op(loss, tf.train.GradientDescentOptimizer(0.1)))
    bare = tf.train.GradientDescentOptimizer(0.1).minimize(loss)
    slimft.check_update_ops([bare, *tf.get_collection(tf.GraphKeys.UPDATE_OPS)])
    says(UsageError, slimft.check_update_ops, [bare, loss])
    says(UsageError, slimft.check_update_ops, "train_op")


def test_towers_need_the_update_ops_of_one(graph):
    first = loss_of(network())
    updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
    both = first + loss_of(network(reuse=True))
    assert len(tf.get_collection(tf.GraphKeys.UPDATE_OPS)) == 2 * len(updates)
    with tf.control_dependencies(updates):
        slimft.check_update_ops(tf.train.GradientDescentOptimizer(0.1).minimize(both))


def test_no_batch_norm_no_update_ops():
    slimft.check_update_ops(tf.train.GradientDescentOptimizer(0.1).minimize(tf.square(tf.get_variable("w", []))))


@pytest.mark.parametrize("use_resource, version", [(False, "V1"), (False, "V2"), (True, "V2")])
def test_a_saver_made_before_the_optimizer(use_resource, version):
    write_version = getattr(tf.train.SaverDef, version)
    loss = loss_of(network(use_resource=use_resource))
    early = tf.train.Saver(write_version=write_version)
    tf.train.MomentumOptimizer(0.1, 0.9).minimize(loss, global_step=tf.train.get_or_create_global_step())
    said = says(UsageError, slimft.check_saver, early)
    assert "variable global_step and 2 more" in said and "after the train op" in said
    slimft.check_saver(tf.train.Saver(write_version=write_version))
    slimft.check_saver(tf.train.Saver(write_version=write_version, sharded=True))
    says(UsageError, slimft.check_saver, tf.train.Saver(defer_build=True))
    with tf.Graph().as_default():
        assert "another graph" in says(UsageError, slimft.check_saver, early)


def test_what_an_early_saver_wrote_is_what_the_check_says_it_lacks(tmp_path):
    loss = loss_of(network())
    early = tf.train.Saver()
    tf.train.AdamOptimizer().minimize(loss)
    with tf.Session() as session:
        session.run(tf.global_variables_initializer())
        saved = slimft.open_checkpoint(early.save(session, str(tmp_path / "early")))
    lost = [variable.op.name for variable in tf.global_variables() if variable.op.name not in saved]
    assert f"variable {lost[0]} and {len(lost) - 1} more" in says(UsageError, slimft.check_saver, early)


@pytest.mark.parametrize("fused", [None, False])
def test_batch_norm_in_training_mode_in_evaluation(fused):
    training = network(is_training=True, fused=fused)
    said = says(UsageError, slimft.check_inference, training)
    assert "batch_norm layer net/conv1/BatchNorm would" in said and "is_training=False" in said
    slimft.check_inference(network(is_training=False, fused=fused, reuse=True))
    # What does not depend on such a layer may be evaluated.
    slimft.check_inference([tf.get_default_graph().get_tensor_by_name("images:0")])


@pytest.mark.parametrize("fused", [None, False])
def test_is_training_as_a_tensor(fused):
    is_training = tf.placeholder(tf.bool, [])
    logits = network(is_training=is_training, fused=fused)
    assert "feed_dict" in says(UsageError, slimft.check_inference, logits)
    slimft.check_inference(logits, {is_training: False})
    assert "net/conv1/BatchNorm would" in says(UsageError, slimft.check_inference, logits, {is_training: True})
    # The default of 2017's scripts: training unless told otherwise.
    default = tf.placeholder_with_default(True, [])
    logits = network(is_training=default, fused=fused, reuse=True)
    assert "training mode" in says(UsageError, slimft.check_inference, logits)
    slimft.check_inference(logits, {default: False})


def test_layer_norm_is_no_batch_norm():
    slimft.check_inference(slim.layer_norm(tf.placeholder(tf.float32, [4, 8])))


@pytest.mark.parametrize("name", ["resnet_v1_50", "mobilenet_v1_025"])
def test_a_real_network(name):
    spec = slimft.nets.get_network(name)
    images = tf.placeholder(tf.float32, [2, 64, 64, 3])
    logits, _ = spec.build(images, 5, is_training=True)
    layers = sum(variable.op.name.endswith("moving_mean") for variable in tf.global_variables())
    assert f"and {layers - 1} more would" in says(UsageError, slimft.check_inference, logits)
    with tf.variable_scope(tf.get_variable_scope(), reuse=True):
        slimft.check_inference(spec.build(images, 5, is_training=False)[0])


@pytest.fixture(scope="module")
def photographs():
    """[32, 96, 96, 3]: pieces of coloured pictures, RGB in [0, 255]."""
    data = pytest.importorskip("skimage.data")
    rng = np.random.default_rng(0)
    pieces = []
    for picture in (data.astronaut(), data.coffee(), data.chelsea(), data.rocket()):
        for _ in range(8):
            y, x = (rng.integers(0, size - 96) for size in picture.shape[:2])
            pieces.append(picture[y : y + 96, x : x + 96])
    return np.stack(pieces)


RIGHT = {
    "vgg_16": lambda images: images - MEANS,
    "inception_v1": lambda images: images * np.float32(2 / 255) - 1,
    "densenet_121": lambda images: (images - MEANS) * np.float32(0.017),
}


@pytest.mark.parametrize("network", RIGHT)
def test_images(photographs, network):
    slimft.check_images(RIGHT[network](photographs), network)
    for other in RIGHT:
        if other != network:
            assert "trained on" in says(DataError, slimft.check_images, RIGHT[other](photographs), network)
    said = says(DataError, slimft.check_images, photographs, network)
    assert "in [0, 255] with no mean subtracted" in said and "BGR" not in said
    assert "are in [0, 1]," in says(DataError, slimft.check_images, photographs / 255, network)
    assert "usual ranges" in says(DataError, slimft.check_images, photographs * 300.0 - 5, network)


def test_bgr_images_with_no_mean_subtracted(photographs):
    """What the course's loader gives."""
    said = says(DataError, slimft.check_images, photographs[..., ::-1], "vgg_16")
    assert "no mean subtracted" in said and "look like BGR" in said and "minus (123.68, 116.78, 103.94)" in said


def test_bgr_images(photographs):
    for network, right in RIGHT.items():
        wrong = right(photographs[..., ::-1])
        said = says(DataError, slimft.check_images, wrong, network)
        assert "images look like BGR" in said
        slimft.check_images(wrong, network, order=False)
        # Seven images tell nothing.
        slimft.check_images(wrong[:7], network)


def test_images_that_cannot_be_judged_by_colour(photographs):
    # Blue is brighter by 14 on average, but that is one image's doing; the other seven are red.
    tinted = np.full([8, 16, 16, 3], 90, np.float32)
    tinted[0, ..., 2], tinted[1:, ..., 0] = 255, 98
    tinted[0, 0, 0], tinted[0, 0, 1] = 0, 255
    slimft.check_images(tinted - MEANS, "vgg_16")
    grey = np.repeat(photographs.mean(-1, keepdims=True), 3, -1)
    slimft.check_images(grey - MEANS, "vgg_16")


def test_images_of_lenet_and_cifarnet(photographs):
    grey = (photographs.mean(-1, keepdims=True) - 128) / 128
    slimft.check_images(grey, "lenet")
    said = says(DataError, slimft.check_images, grey * 128 + 128, "lenet")
    assert "with no mean subtracted, lenet was trained on grey in [-1, 1]; give it grey" in said
    assert "lenet takes [batch, height, width, 1]" in says(DataError, slimft.check_images, photographs, "lenet")
    values = photographs.astype(np.float64)
    standardized = (values - values.mean((1, 2, 3), keepdims=True)) / values.std((1, 2, 3), keepdims=True)
    slimft.check_images(standardized, "cifarnet")
    assert "of mean 0 and deviation 1 each" in says(DataError, slimft.check_images, standardized, "vgg_16")
    assert "tf.image.per_image_standardization" in says(DataError, slimft.check_images, values - MEANS, "cifarnet")
    # No image of the batch is an exception.
    standardized[3] *= 1.5
    assert "cifarnet was trained" in says(DataError, slimft.check_images, standardized, "cifarnet")


def test_images_that_are_none():
    assert "shape" in says(DataError, slimft.check_images, np.zeros([8, 8, 3]), "vgg_16")
    assert "shape" in says(DataError, slimft.check_images, np.zeros([0, 8, 8, 3]), "vgg_16")
    bad = np.random.default_rng(0).uniform(-100, 100, [4, 8, 8, 3])
    bad[2, 0, 0, 0] = np.nan
    assert "image 2" in says(DataError, slimft.check_images, bad, "vgg_16")
    assert "--model=vgg" in says(UsageError, slimft.check_images, bad, "vgg")


def test_the_files_tell_the_order_for_certain(photographs, tmp_path):
    """Of pictures that are blue by nature too, and where BGR images had the means subtracted in BGR order."""
    blue = photographs[:6, ..., ::-1]
    files = [str(tmp_path / f"{i}.png") for i in range(len(blue))]
    for file, image in zip(files, blue):
        Image.fromarray(image).save(file)
    shown = blue[:, 12:84, 12:84]  # Cropped.
    slimft.check_images(shown - MEANS, "vgg_16", files=files)
    for wrong in (shown[..., ::-1] - MEANS, (shown - MEANS)[..., ::-1]):
        assert "images are BGR;" in says(DataError, slimft.check_images, wrong, "vgg_16", files=files)
    assert "files" in says(UsageError, slimft.check_images, shown - MEANS, "vgg_16", files=files[1:])
    assert "none.png" in says(DataError, slimft.check_images, shown[:1] - MEANS, "vgg_16", files=["none.png"])


@pytest.mark.real
def test_real_data(shared):
    """White blood cells are violet: colours alone mislead, the files do not."""
    files = sorted(map(str, shared.glob("data/wbc/*/*.jpg")))[:32]
    images = np.stack([np.array(Image.open(file).convert("RGB").resize((96, 96))) for file in files])
    assert "blue by nature" in says(DataError, slimft.check_images, images - MEANS, "vgg_16")
    slimft.check_images(images - MEANS, "vgg_16", files=files)
    assert "are BGR" in says(DataError, slimft.check_images, images[..., ::-1] - MEANS, "vgg_16", files=files)
