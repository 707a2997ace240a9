"""mixup and CutMix of flat images, over many seeds: what is mixed, what the targets say, how it is distributed."""

import numpy as np
import pytest

from slimft.compat import tf
from slimft.data import augmentation

LEVELS = np.array([0, 30, 70, 120, 180, 250])


@pytest.fixture(scope="module")
def mixes():
    """What share an image has in itself: ``[seeds, side, side]``, and in its target, ``[seeds]``; for many seeds.

    The images are flat, of different levels.
    """

    def run(repeats=400, side=10, **options):
        images = np.tile(LEVELS[:, None, None, None], (1, side, side, 3)).astype(np.uint8)
        with tf.Graph().as_default(), tf.Session() as session:
            step = tf.placeholder(tf.int64, [])
            outputs = augmentation.training_input(
                images,
                np.arange(6, dtype=np.int32),
                6,
                side,
                "inception",
                tf.stack([tf.constant(0, tf.int64), step]),
                "none",
                False,
                0.0,
                **options,
            )
            run_step = session.make_callable(outputs, [step])
            results = [run_step(i) for i in range(repeats)]
        result = (np.stack([image for image, _ in results]).astype(np.float64) + 1) * 127.5
        targets = np.stack([target for _, target in results])
        np.testing.assert_allclose(result[..., 1:], result[..., :1].repeat(2, axis=-1), atol=1e-3)
        own, following = (levels[:, None, None] for levels in (LEVELS, np.roll(LEVELS, -1)))
        shares = (result[..., 0] - following) / (own - following)
        np.testing.assert_allclose(targets.sum(axis=2), 1, atol=1e-6)
        target_shares = targets[:, range(6), range(6)]
        np.testing.assert_allclose(targets[:, range(6), np.roll(range(6), -1)], 1 - target_shares, atol=1e-6)
        # One share for all images of a batch.
        np.testing.assert_allclose(target_shares, target_shares[:, :1].repeat(6, axis=1), atol=1e-6)
        np.testing.assert_allclose(shares, shares[:, :1].repeat(6, axis=1), atol=1e-5)
        return shares[:, 0], target_shares[:, 0]

    return run


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_mixup_is_a_weighted_mean_with_beta_weights(mixes, alpha):
    shares, in_target = mixes(mixup=alpha)
    np.testing.assert_allclose(shares, in_target[:, None, None] + np.zeros((10, 10)), atol=1e-5)
    assert in_target.mean() == pytest.approx(0.5, abs=0.06)
    assert in_target.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.15)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
def test_shares_have_the_moments_of_the_beta_distribution(evaluate, alpha):
    seeds = np.stack([np.arange(20000), np.full(20000, 7)], axis=1)
    draws = evaluate(lambda: tf.map_fn(lambda seed: augmentation._random_share(alpha, seed), seeds, tf.float32))
    assert draws.min() >= 0 and draws.max() <= 1
    assert draws.mean() == pytest.approx(0.5, abs=0.01)
    variance = 1 / (4 * (2 * alpha + 1))
    assert draws.var() == pytest.approx(variance, rel=0.03)
    # The fourth moment around the mean, by the kurtosis 3 - 6 / (2 a + 3).
    assert ((draws - 0.5) ** 4).mean() == pytest.approx(variance**2 * (3 - 6 / (2 * alpha + 3)), rel=0.05)


def test_a_tiny_alpha_mixes_next_to_nothing(mixes):
    _, in_target = mixes(mixup=1e-4)
    assert (np.minimum(in_target, 1 - in_target) < 1e-3).mean() > 0.98
    assert in_target.mean() == pytest.approx(0.5, abs=0.08)


@pytest.mark.parametrize("alpha", [0.5, 1.0])
def test_cutmix_replaces_one_rectangle_and_counts_its_pixels(mixes, alpha):
    shares, in_target = mixes(cutmix=alpha)
    replaced = shares < 0.5
    np.testing.assert_allclose(shares, 1 - replaced, atol=1e-5)
    np.testing.assert_allclose(in_target, 1 - replaced.mean(axis=(1, 2)), atol=1e-6)
    rows, columns = replaced.any(axis=2), replaced.any(axis=1)
    np.testing.assert_array_equal(replaced, rows[:, :, None] & columns[:, None])
    for line in (rows, columns):
        assert (np.diff(line.astype(int), axis=1, prepend=0, append=0) == 1).sum(axis=1).max() == 1
    # Anywhere: no half of the image is replaced more often than the other.
    for axis in (1, 2):
        halves = np.split(replaced, 2, axis=axis)
        assert halves[0].mean() == pytest.approx(halves[1].mean(), rel=0.2)


def test_cutmix_replaces_what_the_share_leaves(mixes):
    # With a large alpha the share is close to 1/2; a box that is not cut off then has that area.
    shares, in_target = mixes(cutmix=1000.0, side=40)
    assert (in_target > 0.45).all()
    replaced = shares < 0.5
    inside = ~(replaced[:, [0, -1]].any(axis=(1, 2)) | replaced[:, :, [0, -1]].any(axis=(1, 2)))
    assert inside.any() and np.abs(in_target[inside] - 0.5).max() < 0.08


def test_with_both_each_batch_draws_one(mixes):
    shares, _ = mixes(mixup=1.0, cutmix=1.0)
    flat = np.ptp(shares, axis=(1, 2)) < 1e-4
    blended = flat & (shares[:, 0, 0] > 0.01) & (shares[:, 0, 0] < 0.99)
    assert 0.4 < blended.mean() < 0.58
    assert np.isin(shares[~flat].round(4), [0, 1]).all()
