"""Augmentation seen from outside: what ramps, flat images and Pillow say was done, and how often."""

import math

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from slimft.compat import tf
from slimft.data import augmentation
from slimft.data.preprocessing import PREPROCESSING

SEED = [3, 14]
AUGMENTATIONS = augmentation.AUGMENTATIONS
CLASSES = 7


def random_images(count, height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), np.uint8)


@pytest.fixture(scope="module")
def train(evaluate):
    """Training input and targets of some images; everything not given is the least there is."""

    def run(images, image_size, seed=SEED, preprocessing="inception", **options):
        labels = (np.arange(len(images)) % CLASSES).astype(np.int32)
        options = {"augment": "none", "flip": True, "max_shift": 0.0} | options
        return evaluate(
            lambda: augmentation.training_input(images, labels, CLASSES, image_size, preprocessing, seed, **options)
        )

    return run


@pytest.fixture
def only_geometry(monkeypatch):
    """Keeps `strong` from changing colours and hiding parts."""
    monkeypatch.setattr(augmentation, "_STRONG_COLOURS", (1.0, 1.0))
    monkeypatch.setattr(augmentation, "_ERASED_SHARE", 0.0)


@pytest.fixture
def no_geometry(monkeypatch):
    """Keeps `strong` from cropping and turning."""
    monkeypatch.setattr(augmentation, "_STRONG_MIN_AREA", 1.0)
    monkeypatch.setattr(augmentation, "_STRONG_DEGREES", 0)


def pixels(network_input):
    """The RGB in 0..255 that `inception` made the input of."""
    return (np.asarray(network_input, np.float64) + 1) * 127.5


def input_before_there_were_crops(images, image_size, preprocessing, seed, flip, max_shift):
    """What training saw when there was only mirroring and moving: results of old runs depend on it."""
    batch, height, width = len(images), np.float32(images.shape[1]), np.float32(images.shape[2])
    draws = tf.random.stateless_uniform([batch, 3], seed)
    mirrored = draws[:, 0] > 0.5 if flip else tf.zeros([batch]) > 0.5
    shift = (2 * draws[:, 1:] - 1) * max_shift
    ones = tf.ones([batch])
    scale_x, scale_y = ones * (width / image_size), ones * (height / image_size)
    offset_x, offset_y = 0.5 * scale_x - 0.5 - shift[:, 1] * width, 0.5 * scale_y - 0.5 - shift[:, 0] * height
    rows = [
        tf.where(mirrored, -scale_x, scale_x),
        ones * 0,
        tf.where(mirrored, width - 1 - offset_x, offset_x),
        ones * 0,
        scale_y,
        offset_y,
        ones * 0,
        ones * 0,
    ]
    return PREPROCESSING[preprocessing](
        tf.raw_ops.ImageProjectiveTransformV3(
            images=tf.cast(images, tf.float32),
            transforms=tf.stack(rows, axis=1),
            output_shape=[image_size, image_size],
            fill_value=0.0,
            interpolation="BILINEAR",
            fill_mode="NEAREST",
        )
    )


@pytest.mark.parametrize("preprocessing", PREPROCESSING)
@pytest.mark.parametrize("flip, max_shift", [(True, 0.0), (True, 1 / 8), (False, 1 / 16)])
@pytest.mark.parametrize("height, width, image_size", [(32, 32, 32), (32, 32, 41), (8, 13, 10)])
def test_whole_images_are_moved_as_they_always_were(
    evaluate, train, height, width, image_size, flip, max_shift, preprocessing
):
    images = random_images(20, height, width)
    options = {"augment": "standard", "flip": flip, "max_shift": max_shift, "min_area": 1.0}
    actual, _ = train(images, image_size, preprocessing=preprocessing, **options)
    expected = evaluate(
        lambda: input_before_there_were_crops(images, image_size, preprocessing, SEED, flip, max_shift)
    )
    np.testing.assert_array_equal(actual, expected)


def test_none_only_resizes_and_flip_only_mirrors(train):
    images = random_images(400, 8, 8)
    unchanged, _ = train(images, 8, augment="none", max_shift=0.2, min_area=0.3)
    np.testing.assert_allclose(pixels(unchanged), images, atol=1e-4)
    flipped, _ = train(images, 8, augment="flip", max_shift=0.2, min_area=0.3)
    mirrored = (flipped != unchanged).any(axis=(1, 2, 3))
    assert 0.4 < mirrored.mean() < 0.6
    np.testing.assert_array_equal(flipped[mirrored], unchanged[mirrored][:, :, ::-1])
    allowed, _ = train(images, 8, augment="flip", flip=False)
    np.testing.assert_array_equal(allowed, unchanged)


def ramps(count, side=64):
    """Images whose red and green are the number of their row and of their column."""
    image = np.zeros((side, side, 3), np.uint8)
    image[..., 0], image[..., 1] = np.arange(side)[:, None], np.arange(side)[None]
    return np.tile(image, (count, 1, 1, 1))


def parts_seen(network_input, side=64):
    """Of ramps: the place each result's middle shows, ``[n, 2]``, and what a step leads to, ``[n, 2, 2]``.

    In shares of the image's height and width, counted from its middle.
    """
    places = (pixels(network_input)[..., :2] + 0.5) / side - 0.5
    size = places.shape[1]
    middle = size // 2
    steps = [
        places[:, middle + 1, middle] - places[:, middle - 1, middle],
        places[:, middle, middle + 1] - places[:, middle, middle - 1],
    ]
    return places[:, middle, middle], np.stack(steps, axis=2) * size / 2


@pytest.mark.parametrize("min_area", [0.1, 0.5])
def test_crops_lie_in_the_image_and_fill_their_range(train, min_area):
    seen, _ = train(ramps(2000), 15, augment="standard", min_area=min_area)
    place, axes = parts_seen(seen)
    np.testing.assert_allclose(axes[:, [0, 1], [1, 0]], 0, atol=1e-4)
    share = np.abs(axes[:, [0, 1], [0, 1]])
    area, ratio = share.prod(axis=1), share[:, 1] / share[:, 0]
    assert (np.abs(place) + share / 2 < 0.5001).all() and share.max() < 1.0001
    assert area.max() > 0.95 and (ratio > 3 / 4 - 1e-3).all() and (ratio < 4 / 3 + 1e-3).all()
    assert ratio.min() < 0.77 and ratio.max() > 1.3 and 0.45 < (ratio > 1).mean() < 0.55
    # Parts of less than 3/4 of the area are never cut off at the border.
    small = area < 0.75
    assert small.mean() == pytest.approx((0.75 - min_area) / (1 - min_area), abs=0.03)
    assert area[small].mean() == pytest.approx((0.75 + min_area) / 2, abs=0.02)
    assert min_area - 1e-3 < area.min() < min_area + 0.01
    # They are anywhere, whatever their shape and whether mirrored or not.
    free = place[small] / ((1 - share[small]) / 2)
    assert (np.abs(free.mean(axis=0)) < 0.06).all()
    assert (np.abs(free) > 0.5).mean(axis=0) == pytest.approx(0.5, abs=0.05)
    mirrored = axes[:, 1, 1] < 0
    assert 0.45 < mirrored.mean() < 0.55
    columns = np.column_stack([mirrored[small], area[small], np.log(ratio[small]), free])
    assert np.abs(np.corrcoef(columns.T) - np.eye(5)).max() < 0.1


def test_strong_turns_both_ways_and_shows_less(train, only_geometry):
    seen, targets = train(ramps(2000), 15, augment="strong", min_area=0.5)
    _, axes = parts_seen(seen)
    axes[axes[:, 1, 1] < 0, 1] *= -1  # Mirrored.
    degrees = np.degrees(np.arctan2(axes[:, 1, 0], axes[:, 0, 0]))
    assert 14 < degrees.max() < 15.01 and -15.01 < degrees.min() < -14 and abs(degrees.mean()) < 1
    assert np.percentile(np.abs(degrees), 50) == pytest.approx(7.5, abs=0.7)
    # Turned, not sheared: the axes stay at right angles.
    np.testing.assert_allclose((axes[:, :, 0] * axes[:, :, 1]).sum(axis=1), 0, atol=1e-3)
    assert 0.349 < np.linalg.det(axes).min() < 0.36
    np.testing.assert_array_equal(targets, np.eye(CLASSES)[np.arange(2000) % CLASSES])


def test_strong_shows_still_less_where_the_dataset_does(train, only_geometry):
    _, axes = parts_seen(train(ramps(1000), 15, augment="strong", min_area=0.1)[0])
    assert np.abs(np.linalg.det(axes)).min() < 0.12


@pytest.mark.parametrize("augment, moves", [("flip", False), ("standard", True), ("strong", True)])
def test_sets_that_move_images_do(train, only_geometry, no_geometry, augment, moves):
    place, _ = parts_seen(train(ramps(500), 15, augment=augment, max_shift=0.1)[0])
    if moves:
        assert 0.095 < np.abs(place).max() < 0.1001
    else:
        assert np.abs(place).max() < 1e-4


@pytest.mark.parametrize("max_shift", [1 / 16, 1 / 8])
def test_moves_fill_their_range_in_both_directions(train, max_shift):
    place, axes = parts_seen(train(ramps(2000), 15, augment="standard", max_shift=max_shift)[0])
    np.testing.assert_allclose(np.abs(axes), np.tile(np.eye(2), (2000, 1, 1)), atol=1e-3)
    assert np.abs(place).max() < max_shift + 1e-4
    assert (place.max(axis=0) > 0.98 * max_shift).all() and (place.min(axis=0) < -0.98 * max_shift).all()
    assert (np.abs(place.mean(axis=0)) < 0.06 * max_shift).all()
    columns = np.column_stack([axes[:, 1, 1] < 0, place])
    assert np.abs(np.corrcoef(columns.T) - np.eye(3)).max() < 0.1


FACTORS = [(1, 1, 1), (0.6, 1, 1), (1, 0.6, 1), (1, 1, 0.6), (1.2, 1, 1), (1, 1.4, 1), (1, 1, 1.4), (0.7, 1.3, 0.8)]


def test_colours_change_as_pillow_changes_them(monkeypatch, evaluate):
    # Colours that no factor makes darker than 0 or lighter than 255, where Pillow would cut off after each step.
    images = np.random.default_rng(1).integers(90, 170, (len(FACTORS), 16, 16, 3), np.uint8)
    monkeypatch.setattr(augmentation, "uniform", lambda *_: tf.constant(FACTORS, tf.float32))
    actual = evaluate(lambda: augmentation.recoloured(tf.constant(images, tf.float32), None))
    for image, factors, result in zip(images, FACTORS, actual):
        expected = Image.fromarray(image)
        for enhance, factor in zip((ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color), factors):
            expected = enhance(expected).enhance(factor)
        # Pillow rounds, or cuts off decimals, at every step.
        np.testing.assert_allclose(result, np.asarray(expected), rtol=0, atol=3)


def test_colours_stay_in_their_range_and_each_image_has_its_own(train, no_geometry, monkeypatch):
    monkeypatch.setattr(augmentation, "_ERASED_SHARE", 0.0)
    images = np.tile(random_images(1, 12, 12), (300, 1, 1, 1))
    result = pixels(train(images, 12, augment="strong", flip=False)[0])
    assert result.min() == pytest.approx(0, abs=1e-4) and result.max() == pytest.approx(255, abs=1e-4)
    assert len(np.unique(result.mean(axis=(1, 2, 3)).round(6))) == 300
    # A grey image has neither contrast nor saturation: its brightness shows the first factor.
    grey = pixels(train(np.full((2000, 2, 2, 3), 100, np.uint8), 2, augment="strong")[0])
    assert np.ptp(grey, axis=(1, 2, 3)).max() < 1e-3
    factors = grey[:, 0, 0, 0] / 100
    assert 0.6 - 1e-4 < factors.min() < 0.61 and 1.39 < factors.max() < 1.4 + 1e-4
    assert factors.mean() == pytest.approx(1, abs=0.02)


# Not cifarnet, which makes zeros, with which rectangles are hidden, of any image of one colour.
@pytest.mark.parametrize("preprocessing", [name for name in PREPROCESSING if name != "cifarnet"])
def test_now_and_then_a_rectangle_is_hidden(train, no_geometry, monkeypatch, preprocessing):
    monkeypatch.setattr(augmentation, "_STRONG_COLOURS", (1.0, 1.0))
    images = np.full((2000, 40, 40, 3), 200, np.uint8)
    result, _ = train(images, 40, preprocessing=preprocessing, augment="strong")
    with tf.Graph().as_default(), tf.Session() as session:
        shown, lowest, highest = session.run(
            [PREPROCESSING[preprocessing](tf.fill([3], level)) for level in (200.0, 0.0, 255.0)]
        )
    hidden = (np.abs(result - shown) > 1e-4).any(axis=3)
    some = hidden.any(axis=(1, 2))
    assert 0.22 < some.mean() < 0.28
    rows, columns = hidden.any(axis=2)[some], hidden.any(axis=1)[some]
    np.testing.assert_array_equal(hidden[some], rows[:, :, None] & columns[:, None])
    for line in (rows, columns):  # No gaps.
        assert (np.diff(line.astype(int), axis=1, prepend=0, append=0) == 1).sum(axis=1).max() == 1
    area = hidden[some].mean(axis=(1, 2))
    # The border of a rectangle is rounded to whole pixels.
    assert 0.01 < area.min() < 0.03 and 0.18 < area.max() < 0.23 and area.mean() == pytest.approx(0.11, abs=0.01)
    # Anywhere, down independently of right.
    middles = np.stack([line @ np.arange(40) / line.sum(axis=1) for line in (rows, columns)])
    assert middles.mean(axis=1) == pytest.approx(19.5, abs=1) and abs(np.corrcoef(middles)[0, 1]) < 0.15
    zeros = np.array([(image[mask] == 0).all() for image, mask in zip(result[some], hidden[some])])
    assert 0.42 < zeros.mean() < 0.58
    noise = np.concatenate([image[mask] for image, mask in zip(result[some][~zeros], hidden[some][~zeros])])
    assert (noise >= lowest).all() and (noise <= highest).all()
    # Grey is that of red, green and blue noise.
    assert (np.ptp(noise, axis=0) > (0.85 if preprocessing == "lenet" else 0.98) * (highest - lowest)).all()


def test_targets_are_smoothed_as_tensorflows_loss_smooths_them(evaluate, train):
    images = random_images(14, 4, 4)
    logits = np.random.default_rng(2).normal(size=(14, CLASSES)).astype(np.float32)
    _, targets = train(images, 4, label_smoothing=0.1)
    _, plain = train(images, 4)
    np.testing.assert_array_equal(plain, np.eye(CLASSES)[np.arange(14) % CLASSES])
    actual, expected = evaluate(
        lambda: (
            tf.losses.softmax_cross_entropy(targets, logits),
            tf.losses.softmax_cross_entropy(plain, logits, label_smoothing=0.1),
        )
    )
    assert actual == pytest.approx(expected, rel=1e-6)
    _, mixed = train(images, 4, label_smoothing=0.1, mixup=0.2)
    assert mixed.min() == pytest.approx(0.1 / CLASSES) and mixed.sum(axis=1) == pytest.approx(1)


ALL = {"augment": "strong", "max_shift": 0.1, "min_area": 0.5, "mixup": 0.4, "cutmix": 1.0, "label_smoothing": 0.1}


@pytest.mark.parametrize("options", [{"augment": name} for name in AUGMENTATIONS] + [ALL])
def test_everything_is_a_function_of_the_seed(train, options):
    images = random_images(16, 20, 20)
    first = train(images, 16, **options)
    again, other_step, other_seed = (train(images, 16, seed, **options) for seed in (SEED, [3, 15], [4, 14]))
    for value, same in zip(first, again):
        np.testing.assert_array_equal(value, same)
    random = options["augment"] != "none"
    assert np.array_equal(first[0], other_step[0]) != random
    assert np.array_equal(first[0], other_seed[0]) != random


@pytest.mark.parametrize("count", [1, 3])
def test_small_batches_work_with_everything(train, count):
    result, targets = train(random_images(count, 20, 20), 16, **ALL)
    assert result.shape == (count, 16, 16, 3) and result.dtype == targets.dtype == np.float32
    assert np.abs(result).max() <= 1 + 1e-6
    assert targets.shape == (count, CLASSES) and targets.sum(axis=1) == pytest.approx(1)
    if count == 1:
        assert targets[0, 0] == pytest.approx(0.9 + 0.1 / CLASSES)


def test_the_shape_is_known_to_the_graph():
    with tf.Graph().as_default():
        images, labels = tf.placeholder(tf.uint8, [None, 9, 8, 3]), tf.placeholder(tf.int32, [None])
        for augment in AUGMENTATIONS:
            options = ALL | {"augment": augment}
            result, targets = augmentation.training_input(
                images, labels, CLASSES, 32, "densenet", SEED, flip=True, **options
            )
            assert result.shape.as_list() == [None, 32, 32, 3] and targets.shape.as_list() == [None, CLASSES]


def test_an_unknown_set_is_an_error(train):
    with pytest.raises(ValueError, match="none, flip, standard, strong, randaugment, augmix"):
        train(random_images(1, 4, 4), 4, augment="Strong")


@pytest.mark.parametrize("image_size", [1, 32, 96, 224])
def test_images_are_read_larger_where_parts_of_them_are_seen(image_size):
    for augment in AUGMENTATIONS:
        side = augmentation.read_side(image_size, augment)
        assert side == (math.ceil(1.15 * image_size) if augment not in ("none", "flip") else image_size)
