"""RandAugment and AugMix from outside: what is drawn, how often and how strong."""

import numpy as np
import pytest
from PIL import Image

from slimft.compat import tf
from slimft.data import augmentation, operations, random_operations
from slimft.data.preprocessing import Transforms, resize
from slimft.errors import UsageError
from slimft.runs import settings as settings_module
from slimft.runs.settings import Settings
from slimft.training.completion import complete

NAMES = random_operations._RANDAUGMENT
SEED = [3, 14]


def still(count):
    return Transforms(tf.zeros([count]), tf.zeros([count, 2]))


def all_chosen(monkeypatch, number, sign=1.0):
    """Every image gets the operation of that number, with that sign."""
    monkeypatch.setattr(random_operations, "_choices", lambda shape, *_: tf.fill(shape, number))
    monkeypatch.setattr(random_operations, "uniform", lambda shape, *_: tf.fill(shape, sign))


def test_the_flag_offers_what_there_is():
    assert settings_module.AUGMENTATIONS == augmentation.AUGMENTATIONS


def test_each_operation_is_as_likely_and_both_signs_are(evaluate):
    def build():
        drawn = random_operations.RandAugment(14000, tf.constant(SEED), 2, 9)
        return drawn._chosen, drawn._signs

    chosen, signs = evaluate(build)
    counts = np.bincount(chosen.ravel(), minlength=len(NAMES))
    assert len(counts) == len(NAMES) == 14 and (np.abs(counts - 2000) < 200).all()
    assert set(np.unique(signs)) == {-1, 1} and abs(signs.mean()) < 0.03
    assert abs(np.corrcoef(chosen.T)[0, 1]) < 0.03


@pytest.mark.parametrize("name", [name for name in NAMES if name not in random_operations._MOVING])
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_what_changes_colours_is_as_strong_as_its_magnitude(evaluate, monkeypatch, name, sign):
    all_chosen(monkeypatch, NAMES.index(name), sign)
    images = np.random.default_rng(1).integers(0, 230, (3, 30, 28, 3)).astype(np.float32)
    amount = {"posterize": 6.0, "solarize": 128.0}.get(name, 1 + sign * 0.45)

    def build():
        drawn = random_operations.RandAugment(3, tf.constant(SEED), 1, 15)
        alone = tf.constant(images) if name == "none" else getattr(operations, name)(tf.constant(images), amount)
        return drawn.coloured(tf.constant(images)), alone, drawn.moved(still(3))

    actual, expected, (_, shift, axes) = evaluate(build)
    np.testing.assert_array_equal(actual, expected)
    assert (actual != images).any() == (name != "none")
    assert not shift.any() and (axes == np.eye(2)).all()


# Pillow says where each pixel of the result is looked up: a, b, c of columns, then d, e, f of rows.
MOVES = {
    "shear_x": (1, 0.15, -0.15 * 31.5, 0, 1, 0),
    "shear_y": (1, 0, 0, 0.15, 1, -0.15 * 31.5),
    "move_x": (1, 0, -0.225 * 64, 0, 1, 0),
    "move_y": (1, 0, 0, 0, 1, -0.225 * 64),
}


@pytest.mark.parametrize("name", random_operations._MOVING)
def test_what_moves_images_moves_them_as_pillow_does(evaluate, monkeypatch, name):
    all_chosen(monkeypatch, NAMES.index(name))
    random = np.random.default_rng(2)
    coarse = Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8))
    image = coarse.resize((64, 64), Image.Resampling.BICUBIC)

    def build():
        transforms = random_operations.RandAugment(1, tf.constant(SEED), 1, 15).moved(still(1))
        return resize(np.asarray(image)[None], 64, transforms)

    if name == "rotate":
        expected = image.rotate(-15, Image.Resampling.BILINEAR)
    else:
        # Pillow's pixels are counted from their corners, and lie half of one further.
        expected = image.transform((64, 64), Image.Transform.AFFINE, MOVES[name], Image.Resampling.BILINEAR)
    actual = evaluate(build)[0]
    seen = np.asarray(Image.new("L", (64, 64), 255).rotate(-15)) if name == "rotate" else None
    inside = np.asarray(expected, np.float32).sum(axis=2) > 0 if seen is None else seen > 0
    # Away from what enters from outside, which repeats the border here and is black there.
    inside[:2], inside[-2:], inside[:, :2], inside[:, -2:] = False, False, False, False
    difference = np.abs(actual - np.asarray(expected, np.float32)).max(axis=2)[inside]
    assert inside.mean() > 0.6 and np.percentile(difference, 99) < 8 and difference.mean() < 2


def test_operations_on_a_part_stay_in_its_frame(evaluate, monkeypatch):
    """A crop, then a move to the right by a share of the crop, not of the image."""
    all_chosen(monkeypatch, NAMES.index("move_x"))
    ramp = np.tile(np.arange(100, dtype=np.float32)[None, None, :, None], (1, 100, 1, 3))

    def build():
        crop = Transforms(tf.zeros([1]), tf.zeros([1, 2]), 0.5 * tf.eye(2)[tf.newaxis])
        drawn = random_operations.RandAugment(1, tf.constant(SEED), 1, 20)
        return resize(ramp, 100, crop), resize(ramp, 100, drawn.moved(crop))

    before, after = evaluate(build)
    # 0.3 of what is seen, which is half of the 100 columns.
    np.testing.assert_allclose(before - after, 15, atol=0.01)


def test_augmix_is_a_mixture_of_the_image_and_its_chains(evaluate, monkeypatch):
    images = np.random.default_rng(3).integers(0, 256, (400, 6, 6, 3)).astype(np.float32)
    monkeypatch.setattr(random_operations, "_coloured", lambda images, *_: tf.zeros_like(images))
    mixed = evaluate(
        lambda: random_operations.augmix(images, 6, tf.constant(images), still(400), tf.constant(SEED), 3)
    )
    shares = (mixed / np.maximum(images, 1e-9))[images.min(axis=3) > 0].reshape(-1, 3)
    np.testing.assert_allclose(shares, shares[:, :1].repeat(3, axis=1), atol=1e-5)
    # What is left of the image itself is as likely to be each share.
    own = np.array([np.median(one[seen > 0] / seen[seen > 0]) for one, seen in zip(mixed, images)])
    assert np.abs(np.quantile(own, [0.1, 0.5, 0.9]) - [0.1, 0.5, 0.9]).max() < 0.08


def test_a_stronger_augmix_changes_more(evaluate):
    images = np.random.default_rng(4).integers(0, 256, (64, 16, 16, 3)).astype(np.float32)

    def change(severity):
        return lambda: random_operations.augmix(
            images, 16, tf.constant(images), still(64), tf.constant(SEED), severity
        )

    little, much = evaluate(change(0.2)), evaluate(change(10.0))
    assert 0 < np.abs(little - images).mean() < 0.7 * np.abs(much - images).mean()
    assert much.min() >= 0 and much.max() <= 255


@pytest.mark.parametrize(
    "flags, told",
    [
        ({"randaugment_ops": 3}, "--randaugment_ops=3 is of --augment=randaugment"),
        ({"augment": "augmix", "randaugment_magnitude": 4.0}, "--randaugment_magnitude=4.0 is of --augment=rand"),
        ({"augment": "randaugment", "augmix_severity": 4.0}, "--augmix_severity=4.0 is of --augment=augmix"),
        ({"augment": "randaugment", "randaugment_magnitude": 31.0}, "--randaugment_magnitude=31.0 must be"),
        (
            {"augment": "augmix", "model": "fcn_8s", "dataset": "voc"},
            "--augment=augmix moves no masks; segmentation has none, flip, standard and strong",
        ),
    ],
)
def test_what_does_not_go_together(flags, told):
    with pytest.raises(UsageError, match=told):
        complete(Settings(**{"model": "lenet", "dataset": "digits"} | flags))
