"""What changes colours, compared with Pillow."""

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from slimft.compat import tf
from slimft.data import operations


def pictures():
    """Noise, a gradient, few values, one colour, a dark picture with one bright pixel, and a photograph's kind."""
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (24, 31, 3))
    gradient = np.stack(np.broadcast_arrays(np.arange(31) * 8, np.arange(24)[:, None] * 7, 90), axis=2)
    few = random.choice([3, 77, 200], (24, 31, 3))
    flat = np.full((24, 31, 3), (12, 255, 0))
    dark = random.integers(0, 20, (24, 31, 3))
    dark[3, 4] = 250
    smooth = np.clip(random.normal(128, 30, (24, 31, 1)) + np.array([20, 0, -30]), 0, 255)
    return np.stack([noise, gradient, few, flat, dark, smooth]).astype(np.uint8)


def enhanced(enhancer):
    return lambda image, factor: enhancer(image).enhance(factor)


CASES = [
    ("autocontrast", lambda image, _: ImageOps.autocontrast(image), [0.0]),
    ("equalize", lambda image, _: ImageOps.equalize(image), [0.0]),
    ("solarize", ImageOps.solarize, [0, 1, 128, 255, 256]),
    ("posterize", ImageOps.posterize, [1, 4, 7, 8]),
    ("brightness", enhanced(ImageEnhance.Brightness), [0.1, 0.73, 1.0, 1.27, 1.9]),
    ("contrast", enhanced(ImageEnhance.Contrast), [0.1, 0.73, 1.0, 1.27, 1.9]),
    ("colour", enhanced(ImageEnhance.Color), [0.1, 0.73, 1.0, 1.27, 1.9]),
    ("sharpness", enhanced(ImageEnhance.Sharpness), [0.1, 0.73, 1.0, 1.27, 1.9]),
]


@pytest.mark.parametrize("name, by_pillow, amounts", CASES, ids=[name for name, *_ in CASES])
def test_pillow_does_the_same(evaluate, name, by_pillow, amounts):
    images = pictures()
    each = np.tile(amounts, len(images)).astype(np.float32)
    repeated = np.repeat(images, len(amounts), axis=0)
    amount = each[:, None, None, None]
    actual = evaluate(lambda: getattr(operations, name)(tf.constant(repeated, tf.float32), tf.constant(amount)))
    expected = [np.asarray(by_pillow(Image.fromarray(one), kind(much, name))) for one, much in zip(repeated, each)]
    difference = np.abs(actual - np.stack(expected).astype(np.float32))
    # Pillow cuts off decimals of sums that it rounds elsewhere; of one value in a hundred at most, by one.
    assert difference.max() <= 1 and (difference > 0).mean() < 0.01
    assert actual.dtype == np.float32 and (actual == np.round(actual)).all()


def kind(amount, name):
    return int(amount) if name in ("solarize", "posterize") else float(amount)


@pytest.mark.parametrize("name", [name for name, *_ in CASES])
@pytest.mark.parametrize("height, width", [(1, 1), (2, 5), (3, 1), (8, 8)])
def test_no_image_and_small_images(evaluate, name, height, width):
    def build():
        whole = tf.fill([2, height, width, 3], 100.0)
        return [getattr(operations, name)(images, tf.ones([1, 1, 1, 1])) for images in (whole, whole[:0])]

    some, none = evaluate(build)
    assert some.shape == (2, height, width, 3) and none.shape == (0, height, width, 3)
