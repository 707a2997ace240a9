"""Resizing against TensorFlow's own, transformations against NumPy's."""

import numpy as np
import pytest

from slimft.compat import tf
from slimft.data import preprocessing


def random_images(count, height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), np.uint8)


def moved(images, down, right):
    """The images moved by whole pixels; what enters repeats the border."""
    height, width = images.shape[1:3]
    rows = np.clip(np.arange(height) - down, 0, height - 1)
    columns = np.clip(np.arange(width) - right, 0, width - 1)
    return images[:, rows][:, :, columns]


@pytest.fixture(scope="module")
def resize(evaluate):
    def run(images, image_size, transforms=None):
        if transforms is not None:
            transforms = preprocessing.Transforms(*(np.asarray(values, np.float32) for values in transforms))
        return evaluate(lambda: preprocessing.resize(images, image_size, transforms))

    return run


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("height, width", [(1, 1), (2, 3), (8, 8), (7, 13), (32, 32), (33, 20), (100, 64)])
def test_resizing_is_tensorflows_bilinear_one(evaluate, height, width, dtype):
    images = random_images(3, height, width).astype(dtype)
    sizes = [1, 2, 5, 8, 17, 32, 64, 96, 224, 299]

    def build():
        bilinear = tf.compat.v2.image.resize
        return [
            (preprocessing.resize(images, size), bilinear(images, [size, size], "bilinear", antialias=False))
            for size in sizes
        ]

    for size, (actual, expected) in zip(sizes, evaluate(build)):
        assert actual.dtype == np.float32 and actual.shape == (3, size, size, 3)
        # float32 places a pixel to 1e-5 of a pixel; pixels differ by up to 255.
        np.testing.assert_allclose(actual, expected, rtol=0, atol=0.01)


def test_its_own_size_leaves_an_image_as_it_is(resize):
    for size in (1, 8, 32, 224):
        images = random_images(2, size, size)
        np.testing.assert_array_equal(resize(images, size), images)


def test_mirroring(resize):
    images = random_images(4, 16, 16)
    actual = resize(images, 16, ([1, 0, 0.6, 0.5], np.zeros((4, 2))))
    expected = images.copy()
    expected[[0, 2]] = images[[0, 2], :, ::-1]
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("image_size", [5, 40])
def test_mirroring_and_resizing_commute(resize, image_size):
    images = random_images(2, 16, 12)
    mirrored = resize(images, image_size, ([1, 1], np.zeros((2, 2))))
    np.testing.assert_allclose(mirrored, resize(images[:, :, ::-1], image_size), rtol=0, atol=0.01)


@pytest.mark.parametrize("mirror", [0, 1])
@pytest.mark.parametrize("down, right", [(0, 0), (2, 0), (-2, 0), (0, 1), (0, -3), (4, -4), (-4, 4), (20, -20)])
def test_a_move_by_whole_pixels_repeats_the_border(resize, down, right, mirror):
    images = random_images(2, 16, 16)
    actual = resize(images, 16, ([mirror] * 2, [[down / 16, right / 16]] * 2))
    mirrored_first = images[:, :, ::-1] if mirror else images
    np.testing.assert_array_equal(actual, moved(mirrored_first, down, right))


def test_each_image_moves_on_its_own(resize):
    images = random_images(3, 8, 16)
    shifts = [[0, 0], [1 / 8, 0], [0, -1 / 16]]
    actual = resize(np.repeat(images, 1, axis=0), 8, ([0, 0, 0], shifts))
    for i, (down, right) in enumerate([(0, 0), (1, 0), (0, -1)]):
        np.testing.assert_allclose(actual[i], resize(moved(images[i : i + 1], down, right), 8)[0], atol=0.01)


def test_half_a_pixel_is_the_mean_of_two(resize):
    images = random_images(1, 8, 8).astype(np.float32)
    actual = resize(images, 8, ([0], [[0.5 / 8, 0]]))
    np.testing.assert_array_equal(actual, (images + moved(images, 1, 0)) / 2)


def looked_up(image, image_size, mirror, shift, axes):
    """One image, transformed as `Transforms` describes it: every pixel looked up on its own, in float64."""
    height, width = image.shape[:2]
    image = (image[:, ::-1] if mirror > 0.5 else image).astype(np.float64)
    result = np.empty((image_size, image_size, 3))
    for y, x in np.ndindex(image_size, image_size):
        place = np.array(axes, np.float64) @ [(y + 0.5) / image_size - 0.5, (x + 0.5) / image_size - 0.5]
        place = (0.5 + place - shift) * [height, width] - 0.5
        top, left = np.floor(place).astype(int)
        down, right = place - [top, left]
        rows, columns = np.clip([top, top + 1], 0, height - 1), np.clip([left, left + 1], 0, width - 1)
        corners = image[np.ix_(rows, columns)]
        result[y, x] = np.einsum("i,j,ijc->c", [1 - down, down], [1 - right, right], corners)
    return result


@pytest.mark.parametrize("height, width, image_size", [(9, 9, 9), (8, 13, 10), (5, 4, 12), (20, 16, 6)])
def test_any_axes_are_looked_up_where_they_lead(resize, height, width, image_size):
    rng = np.random.default_rng(5)
    images = random_images(6, height, width)
    mirror = [0, 1, 0, 1, 0, 1]
    shift = rng.uniform(-0.3, 0.3, (6, 2))
    axes = np.eye(2) + rng.uniform(-0.8, 0.8, (6, 2, 2))
    actual = resize(images, image_size, (mirror, shift, axes))
    for i in range(6):
        expected = looked_up(images[i], image_size, mirror[i], shift[i], axes[i])
        np.testing.assert_allclose(actual[i], expected, rtol=0, atol=0.02)


def test_axes_of_half_the_size_see_a_quarter(resize):
    images = random_images(2, 16, 16)
    half = np.broadcast_to(np.eye(2) / 2, (2, 2, 2))
    np.testing.assert_array_equal(resize(images, 8, ([0, 0], np.zeros((2, 2)), half)), images[:, 4:12, 4:12])
    # Moved down and right by a quarter, the first quarter is in the middle.
    np.testing.assert_array_equal(resize(images, 8, ([0, 0], np.full((2, 2), 0.25), half)), images[:, :8, :8])


def test_a_quarter_turn(resize):
    images = random_images(2, 12, 12)
    turn = np.broadcast_to([[0, 1], [-1, 0]], (2, 2, 2))
    actual = resize(images, 12, ([0, 0], np.zeros((2, 2)), turn))
    np.testing.assert_array_equal(actual, np.rot90(images, axes=(1, 2)))


@pytest.mark.parametrize("image_size", [8, 20])
def test_preprocessing_subtracts_the_means_of_red_green_and_blue(evaluate, resize, image_size):
    images = random_images(3, 8, 8)
    actual = evaluate(lambda: preprocessing.preprocess(images, image_size, "mean_subtraction"))
    assert actual.dtype == np.float32
    expected = resize(images, image_size).astype(np.float64) - [123.68, 116.78, 103.94]
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4)


def deviations(images):
    return images.std((1, 2, 3), keepdims=True)


@pytest.mark.parametrize(
    "name, expected",
    [
        # research/slim/preprocessing/inception_preprocessing.py: to [0, 1], minus 0.5, times 2.
        ("inception", lambda images: (images / 255 - 0.5) * 2),
        # pudae/tensorflow-densenet/preprocessing/densenet_preprocessing.py.
        ("densenet", lambda images: (images - [123.68, 116.78, 103.94]) * 0.017),
        # research/slim/preprocessing/lenet_preprocessing.py, of Pillow's mode L, before it is rounded.
        ("lenet", lambda images: (images @ [[0.299], [0.587], [0.114]] - 128) / 128),
        # research/slim/preprocessing/cifarnet_preprocessing.py.
        ("cifarnet", lambda images: (images - images.mean((1, 2, 3), keepdims=True)) / deviations(images)),
    ],
)
def test_other_preprocessing(evaluate, name, expected):
    images = random_images(3, 8, 8)
    images[0, 0] = [[0, 0, 0], [255, 255, 255]] * 4
    actual = evaluate(lambda: preprocessing.preprocess(images, 8, name))
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual, expected(images.astype(np.float64)), rtol=0, atol=1e-6)


def test_lenet_sees_grey_as_it_is_and_cifarnet_an_image_of_one_colour_as_zeros(evaluate):
    levels = np.repeat(np.arange(256, dtype=np.uint8).reshape([4, 8, 8, 1]), 3, axis=3)
    grey = evaluate(lambda: preprocessing.preprocess(levels, 8, "lenet"))
    np.testing.assert_allclose(grey, (levels[..., :1] - 128.0) / 128, rtol=0, atol=1e-6)
    one_colour = np.full([1, 8, 8, 3], 77, np.uint8)
    assert not evaluate(lambda: preprocessing.preprocess(one_colour, 8, "cifarnet")).any()


def test_the_shape_is_known_to_the_graph():
    with tf.Graph().as_default():
        images = tf.placeholder(tf.uint8, [None, 8, 8, 3])
        network_input = preprocessing.preprocess(images, 32, "mean_subtraction")
        assert network_input.shape.as_list() == [None, 32, 32, 3] and network_input.dtype == tf.float32
        assert preprocessing.preprocess(images, 32, "lenet").shape.as_list() == [None, 32, 32, 1]
