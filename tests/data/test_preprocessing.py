"""Resizing against TensorFlow's own, moves against NumPy's, and randomness that is a function of its seed."""

import numpy as np
import pytest

from slimft.compat import tf
from slimft.data import preprocessing

SEED = [3, 14]


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
            transforms = [np.asarray(values, np.float32) for values in transforms]
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


def draw(evaluate, seed=SEED, flip=True, count=2000, max_shift=1 / 8):
    return evaluate(lambda: preprocessing.random_transforms(tf.constant(count), seed, flip, max_shift))


@pytest.mark.parametrize("max_shift", [0.0, 1 / 16, 1 / 8])
def test_random_moves_fill_their_range(evaluate, max_shift):
    mirror, shift = draw(evaluate, max_shift=max_shift)
    assert mirror.shape == (2000,) and shift.shape == (2000, 2)
    assert np.abs(shift).max() <= max_shift
    if max_shift:
        assert (shift.max(axis=0) > 0.98 * max_shift).all() and (shift.min(axis=0) < -0.98 * max_shift).all()
        assert (np.abs(shift.mean(axis=0)) < 0.06 * max_shift).all()
        columns = np.column_stack([mirror, shift])
        correlation = np.corrcoef(columns.T) - np.eye(3)
        assert np.abs(correlation).max() < 0.1


def test_half_of_the_images_are_mirrored_or_none(evaluate):
    assert 0.45 < np.mean(draw(evaluate)[0] > 0.5) < 0.55
    assert not np.any(draw(evaluate, flip=False)[0] > 0.5)


def test_random_moves_are_a_function_of_the_seed(evaluate):
    first = draw(evaluate)
    for again, same in (
        (draw(evaluate), True),
        (draw(evaluate, seed=[3, 15]), False),
        (draw(evaluate, [4, 14]), False),
    ):
        for values, others in zip(first, again):
            assert np.array_equal(values, others) == same
    np.testing.assert_array_equal(first[1], draw(evaluate, flip=False)[1])


def preprocess(evaluate, images, image_size, seed=None, **options):
    return evaluate(lambda: preprocessing.preprocess(images, image_size, "mean_subtraction", seed, **options))


@pytest.mark.parametrize("image_size", [8, 20])
def test_preprocessing_subtracts_the_means_of_red_green_and_blue(evaluate, resize, image_size):
    images = random_images(3, 8, 8)
    actual = preprocess(evaluate, images, image_size)
    assert actual.dtype == np.float32
    expected = resize(images, image_size).astype(np.float64) - [123.68, 116.78, 103.94]
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4)
    np.testing.assert_array_equal(actual, preprocess(evaluate, images, image_size, flip=True, max_shift=0.1))


@pytest.mark.parametrize("name, expected", [
    # research/slim/preprocessing/inception_preprocessing.py: to [0, 1], minus 0.5, times 2.
    ("inception", lambda images: (images / 255 - 0.5) * 2),
    # pudae/tensorflow-densenet/preprocessing/densenet_preprocessing.py.
    ("densenet", lambda images: (images - [123.68, 116.78, 103.94]) * 0.017),
])  # fmt: skip
def test_other_preprocessing(evaluate, name, expected):
    images = random_images(3, 8, 8)
    images[0, 0] = [[0, 0, 0], [255, 255, 255]] * 4
    actual = evaluate(lambda: preprocessing.preprocess(images, 8, name))
    assert actual.dtype == np.float32
    np.testing.assert_allclose(actual, expected(images.astype(np.float64)), rtol=0, atol=1e-6)


def test_preprocessing_for_training_moves_as_the_seed_says(evaluate, resize):
    images = random_images(50, 8, 8)
    options = {"flip": True, "max_shift": 1 / 8}
    actual = preprocess(evaluate, images, 16, SEED, **options)
    transforms = draw(evaluate, count=50)
    expected = resize(images, 16, transforms).astype(np.float64) - [123.68, 116.78, 103.94]
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4)
    np.testing.assert_array_equal(actual, preprocess(evaluate, images, 16, SEED, **options))
    assert not np.array_equal(actual, preprocess(evaluate, images, 16, [0, 0], **options))
    still = preprocess(evaluate, images, 16, SEED, flip=False, max_shift=0.0)
    np.testing.assert_array_equal(still, preprocess(evaluate, images, 16))


def test_the_shape_is_known_to_the_graph():
    with tf.Graph().as_default():
        images = tf.placeholder(tf.uint8, [None, 8, 8, 3])
        for seed in (None, SEED):
            network_input = preprocessing.preprocess(images, 32, "mean_subtraction", seed, flip=True)
            assert network_input.shape.as_list() == [None, 32, 32, 3] and network_input.dtype == tf.float32
