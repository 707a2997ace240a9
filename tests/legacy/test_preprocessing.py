"""The preprocessing of research/slim, against NumPy: what its functions make of an image, in all their modes."""

import numpy as np
import pytest

from slimft.compat import tf
from slimft.errors import UsageError
from slimft.preprocessing import (
    cifarnet_preprocessing,
    inception_preprocessing,
    lenet_preprocessing,
    preprocessing_factory,
    vgg_preprocessing,
)

# ITU-R BT.601, as tf.image.rgb_to_grayscale has it.
GREY = np.array([[0.2989], [0.587], [0.114]])


def bilinear(image, height, width):
    """TensorFlow 1's way of resizing, by its definition: output pixel i lies at i * scale of the input."""
    for axis, size in ((0, height), (1, width)):
        at = np.arange(size) * (image.shape[axis] / size)
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, image.shape[axis] - 1)
        part = (at - low).reshape([-1, 1, 1] if axis == 0 else [1, -1, 1])
        image = np.take(image, low, axis) * (1 - part) + np.take(image, high, axis) * part
    return image


def preprocess(name, image, height, width, runs=None, **arguments):
    """The result of one run of the graph, or those of several; arguments of get_preprocessing with the others."""
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(1)
        told = {key: arguments.pop(key) for key in ("is_training", "use_grayscale") if key in arguments}
        fed = tf.placeholder(image.dtype, [None, None, image.shape[2]])
        result = preprocessing_factory.get_preprocessing(name, **told)(fed, height, width, **arguments)
        assert result.shape == [height, width, 1 if told.get("use_grayscale") else image.shape[2]]
        assert result.dtype == tf.float32
        results = [session.run(result, {fed: image}) for _ in range(runs or 1)]
    return results if runs else results[0]


@pytest.fixture(scope="module")
def photo():
    return np.random.default_rng(0).integers(0, 256, [60, 90, 3], np.uint8)


@pytest.mark.parametrize(("name", "scale"), [("vgg_16", 1), ("resnet_v2_50", 1), ("densenet_121", 0.017)])
def test_evaluation_as_vgg(photo, name, scale):
    expected = bilinear(photo.astype(np.float64), 256, 384)[16:240, 92:292] - (123.68, 116.78, 103.94)
    np.testing.assert_allclose(preprocess(name, photo, 224, 200), expected * scale, atol=2e-3)
    tall = np.swapaxes(photo, 0, 1)
    expected = bilinear(tall.astype(np.float64), 96, 64)[16:80, 8:56] - (123.68, 116.78, 103.94)
    np.testing.assert_allclose(preprocess(name, tall, 64, 48, resize_side_min=64), expected * scale, atol=2e-3)


def test_training_as_vgg():
    # Each column tells where it is: green is the column's number, red the row's.
    columns = np.broadcast_to(np.arange(200.0, dtype=np.float32), [200, 200])
    image = np.stack([columns.T, columns, np.zeros_like(columns)], -1)
    results = preprocess("vgg_16", image, 224, 224, runs=40, is_training=True)
    sides, lefts, mirrored = [], [], []
    for result in results:
        red, green, blue = np.moveaxis(result + (123.68, 116.78, 103.94), -1, 0)
        np.testing.assert_allclose(blue, 0, atol=1e-4)
        mirrored.append(green[0, 0] > green[0, -1])
        green = green[:, ::-1] if mirrored[-1] else green
        step = green[0, 101] - green[0, 100] or green[0, 21] - green[0, 20]
        sides.append(200 / step)
        lefts.append(green[0, 0])
        assert red[1, 0] - red[0, 0] == pytest.approx(step, rel=1e-2)
    assert 255 <= min(sides) < 300 and 460 < max(sides) <= 513
    assert 5 < sum(mirrored) < 35
    assert min(lefts) < 10 and max(lefts) > 50


def test_a_crop_larger_than_the_image():
    with pytest.raises(UsageError, match="resize_side_min=299"):
        preprocess("vgg_16", np.zeros([4, 4, 3], np.uint8), 299, 299)


@pytest.mark.parametrize("name", ["inception", "inception_v3", "mobilenet_v2"])
def test_evaluation_as_inception(name):
    image = np.random.default_rng(1).integers(0, 256, [64, 64, 3], np.uint8)
    middle = image[4:60, 4:60] / 127.5 - 1
    np.testing.assert_allclose(preprocess(name, image, 56, 56), middle, atol=1e-5)
    np.testing.assert_allclose(preprocess(name, image, 40, 50), bilinear(middle, 40, 50), atol=1e-5)
    whole = image / 127.5 - 1
    np.testing.assert_allclose(preprocess(name, image, 64, 64, crop_image=False), whole, atol=1e-5)
    as_floats = (image / 255).astype(np.float32)
    np.testing.assert_allclose(preprocess(name, as_floats, 56, 56), middle, atol=1e-5)


def test_training_as_inception():
    gray = np.full([40, 60, 3], 128, np.uint8)
    results = preprocess("inception", gray, 32, 48, runs=30, is_training=True)
    # A gray image stays gray without hue; its brightness moves by up to 32 of 255, in [-1, 1] twice that.
    values = np.array([result.mean() for result in results])
    assert max(result.std() for result in results) < 1e-3
    assert np.abs(values).max() <= 2 * 33 / 255 and values.max() > 0.1 and values.min() < -0.1
    # The part that is shown differs: its left edge is where red, which grows to the right, is least.
    ramp = np.broadcast_to(np.linspace(0, 1, 60, dtype=np.float32)[:, None], [40, 60, 3])
    results = preprocess("inception", ramp, 32, 48, runs=30, is_training=True)
    assert all(result.min() >= -1 and result.max() <= 1 for result in results)
    widths = [abs(result[0, -1, 0] - result[0, 0, 0]) for result in results]
    assert min(widths) < 1 < max(widths)
    assert 3 < sum(result[0, -1, 0] < result[0, 0, 0] for result in results) < 27


def test_slow_colours_and_summaries():
    gray = np.full([40, 60, 3], 128, np.uint8)
    for crop in (True, False):
        results = preprocess("inception", gray, 32, 32, runs=10, is_training=True, fast_mode=False, crop_image=crop)
        assert len({result.mean() for result in results}) > 5
    for summaries, count in ((True, 4), (False, 0)):
        with tf.Graph().as_default():
            inception_preprocessing.preprocess_image(gray, 32, 32, True, add_image_summaries=summaries)
            assert len(tf.get_collection(tf.GraphKeys.SUMMARIES)) == count
    with pytest.raises(ValueError, match="color_ordering=4"):
        inception_preprocessing.distort_color(gray, 4)


def test_evaluation_of_grey_images():
    """Of one channel, and made of colours, for which VGG has no mean."""
    rng = np.random.default_rng(4)
    image = rng.integers(0, 256, [64, 64, 3], np.uint8)
    one_channel = image[..., :1]
    np.testing.assert_allclose(
        preprocess("inception", one_channel, 56, 56), one_channel[4:60, 4:60] / 127.5 - 1, atol=1e-5
    )
    grey = preprocess("inception", image, 56, 56, use_grayscale=True)
    np.testing.assert_allclose(grey, image[4:60, 4:60] @ GREY / 127.5 - 1, atol=1e-5)
    grey = preprocess("lenet", image, 28, 20, use_grayscale=True)
    np.testing.assert_allclose(grey, (image[18:46, 22:42] @ GREY - 128) / 128, atol=1e-5)
    for is_training in (False, True):
        with pytest.raises(ValueError, match="there are 3 means and 1 channels"):
            preprocess("vgg_16", image, 56, 56, use_grayscale=True, is_training=is_training)
    results = preprocess("inception", image, 32, 32, runs=3, is_training=True, use_grayscale=True)
    assert len({result.mean() for result in results}) == 3


@pytest.mark.parametrize("is_training", [False, True])
def test_lenet(is_training):
    digit = np.random.default_rng(2).integers(0, 256, [28, 28, 1], np.uint8)
    expected = (digit - 128.0) / 128
    np.testing.assert_array_equal(preprocess("lenet", digit, 28, 28, is_training=is_training), expected)
    # What is missing is black.
    around = preprocess("lenet", digit, 32, 40, is_training=is_training)
    np.testing.assert_array_equal(around, np.pad(expected, [(2, 2), (6, 6), (0, 0)], constant_values=-1))
    with tf.Graph().as_default(), pytest.raises(TypeError, match="is_training"):
        lenet_preprocessing.preprocess_image(tf.constant(digit), 28, 28)


def standardized(image):
    return (image - image.mean()) / image.std()


def test_evaluation_as_cifarnet(photo):
    image = photo.astype(np.float64)
    np.testing.assert_allclose(preprocess("cifarnet", photo, 32, 30), standardized(image[14:46, 30:60]), atol=1e-5)
    around = np.pad(image[:, 10:80], [(5, 5), (0, 0), (0, 0)])
    np.testing.assert_allclose(preprocess("cifarnet", photo, 70, 70), standardized(around), atol=1e-5)
    grey = preprocess("cifarnet", photo, 32, 30, use_grayscale=True)
    np.testing.assert_allclose(grey, standardized(image[14:46, 30:60] @ GREY), atol=1e-5)


def place_of(result, image, padding):
    """The row, column and whether it is mirrored, of which part of an image, within zeros, the result is.

    Contrast changes each channel around its own mean, all by one factor; brightness moves all.
    """
    image = np.pad(image.astype(np.float64), [(padding, padding), (padding, padding), (0, 0)])
    height, width = result.shape[:2]

    def direction(part):
        part = part - part.mean((0, 1))
        return part / np.linalg.norm(part)

    (place,) = [
        (row, column, mirrored)
        for row in range(len(image) - height + 1)
        for column in range(image.shape[1] - width + 1)
        for mirrored in (False, True)
        if np.allclose(
            direction(result),
            direction(image[row:, column:][:height, :width][:, :: -1 if mirrored else 1]),
            atol=1e-4,
        )
    ]
    return place


def test_training_as_cifarnet(photo):
    image = photo[:32, :32]
    results = preprocess("cifarnet", image, 32, 32, runs=50, is_training=True)
    assert all(abs(result.mean()) < 1e-4 and abs(result.std() - 1) < 1e-4 for result in results)
    rows, columns, mirrored = zip(*(place_of(result, image, 4) for result in results))
    assert 12 < sum(mirrored) < 38 and len(set(rows)) > 6 and len(set(columns)) > 6
    # What contrast takes from or gives to a channel, beside the differences between them.
    reds = [np.ptp(result[..., 0]) for result in results]
    assert max(reds) > 1.05 * min(reds)
    with tf.Graph().as_default(), tf.Session() as session:
        whole = cifarnet_preprocessing.preprocess_for_train(tf.constant(photo), 60, 90, padding=0)
        assert {op.name for op in tf.get_collection(tf.GraphKeys.SUMMARIES)} == {"image:0", "distorted_image:0"}
        assert place_of(session.run(whole), photo, 0)[:2] == (0, 0)


def test_every_name_of_research_slim():
    names = """cifarnet inception inception_v1 inception_v2 inception_v3 inception_v4 inception_resnet_v2 lenet
        mobilenet_v1 mobilenet_v2 mobilenet_v2_035 mobilenet_v3_small mobilenet_v3_large
        mobilenet_v3_small_minimalistic mobilenet_v3_large_minimalistic mobilenet_edgetpu mobilenet_edgetpu_075
        mobilenet_v2_140 nasnet_mobile nasnet_large pnasnet_mobile pnasnet_large resnet_v1_50 resnet_v1_101
        resnet_v1_152 resnet_v1_200 resnet_v2_50 resnet_v2_101 resnet_v2_152 resnet_v2_200 vgg vgg_a vgg_16
        vgg_19"""
    for name in names.split():
        with tf.Graph().as_default():
            kind = name if name in ("lenet", "cifarnet") else "vgg" if name[:3] in ("vgg", "res") else "inception"
            functions = [preprocessing_factory.get_preprocessing(one) for one in (name, kind)]
            first, second = (function(tf.zeros([40, 40, 3]), 32, 32) for function in functions)
            assert first.op.type == second.op.type


# The parts that scripts import from vgg_preprocessing.


def test_crops_of_vgg():
    images = [np.random.default_rng(0).random((20, 30, channels)) for channels in (3, 1)]
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(2)
        fed = [tf.constant(image) for image in images]
        part = session.run(vgg_preprocessing._crop(fed[0], 3, tf.constant(5), 10, 12))
        np.testing.assert_array_equal(part, images[0][3:13, 5:17])
        middles = session.run(vgg_preprocessing._central_crop(fed, 9, 12))
        for middle, image in zip(middles, images):
            np.testing.assert_array_equal(middle, image[5:14, 9:21])
        crops = vgg_preprocessing._random_crop(fed, 18, 29)
        assert [crop.shape.as_list() for crop in crops] == [[18, 29, 3], [18, 29, 1]]
        found = set()
        for _ in range(40):
            values = session.run(crops)
            (place,) = [
                (row, column)
                for row in range(3)
                for column in range(2)
                if all(
                    np.array_equal(value, image[row:, column:][:18, :29]) for value, image in zip(values, images)
                )
            ]
            found.add(place)
        assert len(found) == 6
        with pytest.raises(tf.errors.InvalidArgumentError):
            session.run(vgg_preprocessing._random_crop(fed[:1], 21, 30))
        with pytest.raises((tf.errors.InvalidArgumentError, ValueError), match="one size"):
            session.run(vgg_preprocessing._random_crop([fed[0], fed[1][1:]], 5, 5))
    with pytest.raises(ValueError, match="image_list is empty"):
        vgg_preprocessing._random_crop([], 5, 5)


def test_sizes_and_means_of_vgg():
    with tf.Graph().as_default(), tf.Session() as session:
        sizes = [vgg_preprocessing._smallest_size_at_least(*size, 256) for size in ((60, 90), (91, 60), (50, 50))]
        assert session.run(sizes) == [(256, 384), (388, 256), (256, 256)]
        resized = vgg_preprocessing._aspect_preserving_resize(tf.zeros([60, 90, 3], tf.uint8), tf.constant(30))
        assert resized.shape[2] == 3 and session.run(resized).shape == (30, 45, 3)
        less = vgg_preprocessing._mean_image_subtraction(tf.ones([2, 2, 2]), [0.25, 3])
        np.testing.assert_array_equal(session.run(less)[0, 0], [0.75, -2])
        for image, message in ((tf.ones([2, 2]), "height, width, channels"), (tf.ones([2, 2, 3]), "2 means and 3")):
            with pytest.raises(ValueError, match=message):
                vgg_preprocessing._mean_image_subtraction(image, [0.25, 3])
    means = (vgg_preprocessing._R_MEAN, vgg_preprocessing._G_MEAN, vgg_preprocessing._B_MEAN)
    assert means == (123.68, 116.78, 103.94)
    assert (vgg_preprocessing._RESIZE_SIDE_MIN, vgg_preprocessing._RESIZE_SIDE_MAX) == (256, 512)
