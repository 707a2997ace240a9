"""Pillow's memory, against the copy that Pillow makes of it."""

import gc

import numpy as np
import pytest
from PIL import Image

from slimft.data.pixel_memory import pixels_of, shared_pixels

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("height, width", [(1, 1), (3, 5), (375, 500), (1000, 1)])
def test_it_is_what_pillow_copies_and_outlives_the_image(height, width):
    expected = RNG.integers(0, 256, (height, width, 3), np.uint8)
    image = Image.fromarray(expected)
    shared = shared_pixels(image)
    if shared is None:
        pytest.skip("this Pillow does not share its memory")
    image.close()
    del image
    gc.collect()
    Image.fromarray(np.zeros_like(expected))  # What might get the memory next.
    np.testing.assert_array_equal(shared[..., :3], expected)
    with pytest.raises(ValueError, match="read-only"):
        shared[0, 0, 0] = 1


def test_what_takes_several_blocks_is_copied():
    image = Image.new("RGB", (3000, 2000), (1, 2, 3))
    assert shared_pixels(image) is None
    np.testing.assert_array_equal(pixels_of(image), np.broadcast_to(np.uint8([1, 2, 3]), (2000, 3000, 3)))


def test_a_pillow_that_does_not_share_is_copied(monkeypatch):
    monkeypatch.setattr(Image.Image, "__arrow_c_array__", property(), raising=False)  # Raises AttributeError.
    image = Image.fromarray(RNG.integers(0, 256, (4, 6, 3), np.uint8))
    assert shared_pixels(image) is None
    np.testing.assert_array_equal(pixels_of(image), np.asarray(image))
