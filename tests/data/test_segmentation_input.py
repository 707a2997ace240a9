"""Augmentation of images and masks: they stay on each other, and seeds decide all."""

import numpy as np
import pytest

from slimft.data.masks import VOID
from slimft.data.segmentation_input import crop_of, segmentation_input

AUGMENTS = ("none", "flip", "standard", "strong")
# Of classes, in grey, so that other colours, too, leave them in order.
GREYS = np.array([40, 120, 220], np.uint8)
HEIGHT, WIDTH = 48, 40
# Of what is beyond an image: ImageNet's mean colour is not quite the middle of 0..255.
GREY = 0.2


def squares(seed, side=8):
    small = np.random.default_rng(seed).integers(0, 3, (HEIGHT // side, WIDTH // side), np.uint8)
    return np.kron(small, np.ones((side, side), np.uint8))


def batch_of(count, sizes=None):
    """Images that are their masks."""
    masks = np.stack([squares(seed) for seed in range(count)])
    images = np.repeat(GREYS[masks][..., np.newaxis], 3, axis=3)
    sizes = np.array(sizes or [(HEIGHT, WIDTH)] * count, np.int32)
    for image, mask, (height, width) in zip(images, masks, sizes):
        image[height:], image[:, width:] = (124, 117, 104), (124, 117, 104)
        mask[height:], mask[:, width:] = VOID, VOID
    return images, masks, sizes


@pytest.fixture(scope="module")
def augment(evaluate):
    """Runs `segmentation_input`."""
    from slimft.compat import tf

    def run(batch, crop, how, seed=(1, 2), flip=True):
        return evaluate(
            lambda: segmentation_input(
                *map(tf.constant, batch), crop, "inception", tf.constant(seed, tf.int32), how, flip
            )
        )

    return run


def flat(image, around=2):
    """Where an image, ``[height, width]``, is the same all around a pixel."""
    padded = np.pad(image, around, mode="edge")
    height, width = image.shape
    parts = [
        padded[row : row + height, column : column + width]
        for row in range(2 * around + 1)
        for column in range(2 * around + 1)
    ]
    return np.ptp(np.stack(parts), axis=0) < 1e-4


@pytest.mark.parametrize("how", AUGMENTS)
@pytest.mark.parametrize("crop", [(24, 24), (HEIGHT, WIDTH), (33, 17)])
@pytest.mark.parametrize("size", [(HEIGHT, WIDTH), (31, 40), (48, 25)])
def test_masks_stay_on_their_images(augment, how, crop, size):
    count = 12
    images, masks = augment(batch_of(count, [size] * count), crop, how)
    assert images.shape == (count, *crop, 3) and masks.shape == (count, *crop) and masks.dtype == np.uint8
    compared = 0
    for image, mask in zip(images[..., 1], masks):
        inside = mask != VOID
        sure = flat(image) & inside
        compared += np.count_nonzero(sure)
        # Whatever a class's grey became, it is one grey, and none of another class.
        found = {number: np.unique(np.round(image[sure & (mask == number)], 3)) for number in range(3)}
        assert all(len(greys) <= 1 for greys in found.values()), found
        shades = [greys[0] for greys in found.values() if len(greys)]
        assert shades == sorted(shades)
        if how != "strong":
            for number, greys in found.items():
                assert not len(greys) or greys[0] == pytest.approx(GREYS[number] / 127.5 - 1, abs=2e-3)
        if how != "strong":
            assert np.abs(image[flat(image) & ~inside]).max(initial=0) < GREY
    assert compared > 0.05 * masks.size


@pytest.mark.parametrize("how", ["none", "flip"])
def test_without_zoom_each_pixel_is_one_of_the_image(augment, how):
    batch = batch_of(6)
    images, masks = augment(batch, (21, 30), how)
    expected = GREYS[masks] / 127.5 - 1
    assert np.allclose(images, expected[..., np.newaxis], atol=1e-5)
    for mask, whole in zip(masks, batch[1]):
        places = [(row, column) for row in range(HEIGHT - 20) for column in range(WIDTH - 29)]
        options = [whole, whole[:, ::-1]]
        assert any(
            np.array_equal(mask, option[row : row + 21, column : column + 30])
            for row, column in places
            for option in options
        )


def test_none_is_the_middle(augment):
    batch = batch_of(3)
    images, masks = augment(batch, (20, 30), "none")
    assert np.array_equal(masks, batch[1][:, 14:34, 5:35])
    assert np.allclose(images, batch[0][:, 14:34, 5:35] / 127.5 - 1, atol=1e-5)


def test_each_place_of_a_crop_is_seen(augment):
    """The last row and the last column of an image were in no crop."""
    images = np.zeros((400, 4, 5, 3), np.uint8)
    masks = np.tile(np.arange(20, dtype=np.uint8).reshape(1, 4, 5), (400, 1, 1))
    sizes = np.tile(np.array([4, 5], np.int32), (400, 1))
    _, found = augment((images, masks, sizes), (3, 3), "flip", flip=False)
    firsts, counts = np.unique(found[:, 0, 0], return_counts=True)
    assert firsts.tolist() == [0, 1, 2, 5, 6, 7] and counts.min() > 40
    # Of an image that is smaller than the crop, each place in it.
    _, found = augment((images, masks, np.tile(np.array([2, 2], np.int32), (400, 1))), (4, 3), "flip", flip=False)
    rows, columns = np.nonzero((found == 0).any(axis=0))
    assert set(rows) == {0, 1, 2} and set(columns) == {0, 1}


@pytest.mark.parametrize("how", AUGMENTS)
def test_images_smaller_than_the_crop(augment, how):
    sizes = [(1, 1), (1, 30), (17, 9), (48, 40), (5, 40)]
    images, masks = augment(batch_of(5, sizes), (48, 40), how)
    for index, (height, width) in enumerate(sizes):
        seen = np.count_nonzero(masks[index] != VOID)
        most = height * width * (4.5 if how in ("standard", "strong") else 1) + 4 * (height + width)
        assert seen <= most
        if how in ("none", "flip"):
            assert seen == height * width
            assert np.abs(images[index][masks[index] == VOID]).max(initial=0) < GREY
    assert np.isfinite(images).all()


def test_mirrors(augment):
    batch = batch_of(40)
    _, masks = augment(batch, (HEIGHT, WIDTH), "flip")
    mirrored = [np.array_equal(mask, whole[:, ::-1]) for mask, whole in zip(masks, batch[1])]
    same = [np.array_equal(mask, whole) for mask, whole in zip(masks, batch[1])]
    assert all(np.logical_or(mirrored, same)) and 8 < sum(mirrored) < 32
    _, masks = augment(batch, (HEIGHT, WIDTH), "flip", flip=False)
    assert np.array_equal(masks, batch[1])


def test_mirrors_of_narrow_images(augment):
    batch = batch_of(20, [(30, 23)] * 20)
    _, masks = augment(batch, (30, 23), "flip")
    for mask, whole in zip(masks, batch[1]):
        whole = whole[:30, :23]
        assert np.array_equal(mask, whole) or np.array_equal(mask, whole[:, ::-1])


@pytest.mark.parametrize("how", AUGMENTS)
def test_the_seed_decides_all(augment, how):
    batch = batch_of(6)
    first, again, other = (augment(batch, (24, 24), how, seed=seed) for seed in ((3, 4), (3, 4), (3, 5)))
    assert all(np.array_equal(*pair) for pair in zip(first, again))
    assert np.array_equal(first[1], other[1]) == (how == "none")


def test_zoom_is_between_a_half_and_two(augment):
    """The side of a square tells by how much an image is enlarged."""
    count = 60
    images = np.zeros((count, 80, 80, 3), np.uint8)
    masks = np.zeros((count, 80, 80), np.uint8)
    masks[:, 30:50, 30:50] = 1
    sizes = np.full((count, 2), 80, np.int32)
    _, found = augment((images, masks, sizes), (160, 160), "standard")
    sides = np.sqrt(np.count_nonzero(found == 1, axis=(1, 2)))
    assert 9 <= sides.min() < 13 and 32 < sides.max() <= 41


@pytest.mark.parametrize(
    "side, shape, crop",
    [
        (513, (375, 500, 3), (375, 500)),
        (321, (375, 500, 3), (321, 321)),
        (1, (9, 9, 3), (8, 8)),
        (99, (9, 3, 3), (9, 8)),
    ],
)
def test_crop_of(side, shape, crop):
    assert crop_of(side, shape, 8) == crop
