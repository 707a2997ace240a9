"""The perceptual hash: against SciPy's transform, and on pictures that were changed."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance
from scipy import fft

from slimft.inspection import likeness as module
from slimft.inspection.likeness import correlations, distances, likeness

NUMBERS = st.integers(0, 2**64 - 1)


def scene(seed, height=120, width=160):
    """A picture with large and small shapes, uint8 [height, width, 3]."""
    rng = np.random.default_rng(seed)
    pixels = np.zeros((height, width, 3))
    for size in (3, 6, 12):
        noise = Image.fromarray(rng.integers(0, 256, (size, size, 3), np.uint8))
        pixels += np.asarray(noise.resize((width, height), Image.Resampling.BICUBIC)) / 3
    return pixels.astype(np.uint8)


@pytest.mark.parametrize("seed", range(5))
def test_the_hash_is_that_of_scipys_transform(seed):
    """As that of ImageHash: which of the 64 lowest frequencies of 32 x 32 grey pixels are above their median."""
    pixels = scene(seed, 32, 32)
    grey = pixels.astype(np.float64) @ [0.299, 0.587, 0.114]
    low = fft.dct(fft.dct(grey, axis=0), axis=1)[:8, :8]
    bits = "".join("1" if above else "0" for above in (low > np.median(low)).ravel())
    assert likeness(pixels)[0] == int(bits, 2)


def as_jpeg(image):
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=40)
    return Image.open(stream).convert("RGB")


CHANGES = {
    "jpeg": as_jpeg,
    "smaller": lambda image: image.resize((53, 40), Image.Resampling.BICUBIC),
    "larger": lambda image: image.resize((400, 300), Image.Resampling.BICUBIC),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.15),
    "pale": lambda image: ImageEnhance.Contrast(image).enhance(0.7),
    "grey": lambda image: image.convert("L").convert("RGB"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_picture_has_nearly_the_same(change):
    found = []
    for seed in range(12):
        before = scene(seed)
        after = np.asarray(CHANGES[change](Image.fromarray(before)))
        found.append(bin(likeness(before)[0] ^ likeness(after)[0]).count("1"))
    assert np.median(found) <= 2 and max(found) <= 8


def test_other_pictures_have_others():
    hashes = [likeness(scene(seed))[0] for seed in range(30)]
    apart = [bin(one ^ other).count("1") for one in hashes for other in hashes if one != other]
    assert min(apart) > 8 and len(set(hashes)) == 30


def test_the_small_picture_and_what_has_one_colour():
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[:32, :, 0] = 200
    pixels[..., 3] = np.arange(64)  # Means nothing.
    _, small, blank = likeness(pixels)
    assert small.shape == (8, 8, 3) and not blank
    assert (small[:3] == [200, 0, 0]).all() and (small[5:] == 0).all()
    assert likeness(np.full((20, 30, 3), 77, np.uint8))[2]
    assert likeness(np.full((1, 1, 3), 77, np.uint8))[2]


@settings(deadline=None)
@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=20), st.booleans())
def test_distances_are_bits(pairs, old_numpy):
    with pytest.MonkeyPatch.context() as patch:
        if old_numpy:
            patch.setattr(module, "np", Without(np, "bitwise_count"))
        found = distances(*(np.array(side, np.uint64) for side in zip(*pairs)))
    assert found.tolist() == [bin(one ^ other).count("1") for one, other in pairs]


class Without:
    """A module without one of its names."""

    def __init__(self, module, name):
        self._module, self._name = module, name

    def __getattr__(self, name):
        if name == self._name:
            raise AttributeError(name)
        return getattr(self._module, name)


def test_correlations_are_numpys():
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 256, (2, 9, 192), np.uint8)
    expected = [np.corrcoef(a, b)[0, 1] for a, b in zip(one, other)]
    assert correlations(one, other) == pytest.approx(expected, abs=1e-5)
    assert correlations(one, 255 - one) == pytest.approx(-1)
