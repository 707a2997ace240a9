"""Test-time augmentation's views, against slices of NumPy arrays."""

import numpy as np
import pytest

from slimft.compat import tf
from slimft.data.views import TTA, Views


def seen(tta, images, image_size):
    views = Views(tta)
    with tf.Graph().as_default(), tf.Session() as session:
        number = tf.placeholder(tf.int32, [])
        view = views.see(tf.constant(images), image_size, number)
        return [session.run(view, {number: index}) for index in range(len(views))]


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)


def test_flips(images):
    one, mirrored = seen("flips", images, 32)
    np.testing.assert_array_equal(one, images)
    np.testing.assert_array_equal(mirrored, images[:, :, ::-1])


@pytest.mark.parametrize("tta, count", [("crops", 5), ("ten_crops", 10)])
def test_crops_are_the_centre_and_the_corners(images, tta, count):
    assert Views(tta).side(28) == 32 and Views(tta).side(224) == 256
    found = seen(tta, images, 28)
    corners = [(2, 2), (0, 0), (0, 4), (4, 0), (4, 4)]
    expected = [images[:, y : y + 28, x : x + 28] for y, x in corners]
    expected += [crop[:, :, ::-1] for crop in expected]
    assert len(found) == count
    np.testing.assert_array_equal(found, expected[:count])


def test_an_odd_margin_stays_within_the_image():
    images = np.random.default_rng(0).integers(0, 256, (1, 34, 34, 3), np.uint8)
    assert Views("crops").side(30) == 34
    np.testing.assert_array_equal(seen("crops", images, 30)[4], images[:, 4:, 4:])


def test_images_of_another_size_are_scaled(images):
    assert all(view.shape == (2, 56, 56, 3) for view in seen("crops", images, 56))


def test_none_is_the_image_itself(images):
    [one] = seen("none", images, 16)
    np.testing.assert_array_equal(one, images)
    assert TTA[0] == "none"
    with pytest.raises(ValueError, match="'flip' is none of none, flips"):
        Views("flip")
