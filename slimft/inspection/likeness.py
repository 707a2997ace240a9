"""What two pictures have in common that are one, in another size, format or brightness: a hash and a small picture.

The hash is the pHash of Zauner (Implementation and Benchmarking of Perceptual Image Hash Functions, 2010) as
ImageHash's `phash` computes it: signs of the 64 lowest frequencies of a cosine transform of 32 x 32 grey pixels.
"""

from __future__ import annotations

import functools

import numpy as np
from PIL import Image

# Rows and columns that the transform is of, and the frequencies of each axis that are kept.
SIDE = 32
_FREQUENCIES = 8
# Rows and columns of the small picture.
SMALL_SIDE = 8
# ITU-R BT.601, as of Pillow's conversion to grey.
_GREY = np.array([0.299, 0.587, 0.114], np.float32)
# Grey levels: with a smaller standard deviation of its 32 x 32 pixels, a picture's hash is of noise.
_LEAST_CONTRAST = 1.5


def likeness(pixels: np.ndarray) -> tuple[int, np.ndarray, bool]:
    """What tells whether a picture is another.

    Args:
        pixels: uint8 ``[height, width, 3]``, RGB; or with a fourth channel, which means nothing.

    Returns:
        The hash, a number of 64 bits; the small picture, uint8 ``[8, 8, 3]``; and whether all of it has one colour,
        so that the hash tells nothing.
    """
    # Pillow's: NumPy's products would be BLAS', whose threads wait for one another where several threads call it.
    image = Image.fromarray(np.ascontiguousarray(pixels[..., :3]))
    square = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR)).astype(np.float32)
    grey = square @ _GREY
    frequencies = _cosines() @ grey @ _cosines().T
    bits = np.packbits(frequencies > np.median(frequencies))
    part = SIDE // SMALL_SIDE
    small = square.reshape(SMALL_SIDE, part, SMALL_SIDE, part, 3).mean(axis=(1, 3))
    return (
        int.from_bytes(bits.tobytes(), "big"),
        np.rint(small).astype(np.uint8),
        bool(grey.std() < _LEAST_CONTRAST),
    )


def distances(hashes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """In how many bits hashes differ: both uint64, of shapes that broadcast; uint8."""
    different = np.bitwise_xor(hashes, others)
    if hasattr(np, "bitwise_count"):
        return np.bitwise_count(different)
    # NumPy 1: bits of two, four and eight together (Warren, Hacker's Delight, 5-1).
    for shift, mask in ((1, 0x5555555555555555), (2, 0x3333333333333333), (4, 0x0F0F0F0F0F0F0F0F)):
        different = (different & np.uint64(mask)) + ((different >> np.uint64(shift)) & np.uint64(mask))
    return ((different * np.uint64(0x0101010101010101)) >> np.uint64(56)).astype(np.uint8)


def correlations(small: np.ndarray, others: np.ndarray) -> np.ndarray:
    """How small pictures, uint8 ``[pairs, 192]``, correlate with others: float32 ``[pairs]``, in -1..1."""
    first, second = (part.astype(np.float32) for part in (small, others))
    first -= first.mean(axis=1, keepdims=True)
    second -= second.mean(axis=1, keepdims=True)
    lengths = np.sqrt(np.einsum("ij,ij->i", first, first) * np.einsum("ij,ij->i", second, second))
    return np.einsum("ij,ij->i", first, second) / np.maximum(lengths, 1e-6)


@functools.cache
def _cosines() -> np.ndarray:
    """The lowest frequencies of a cosine transform (DCT-II): float32 ``[8, 32]``."""
    places = 2 * np.arange(SIDE) + 1
    return np.cos(np.pi / (2 * SIDE) * np.arange(_FREQUENCIES)[:, np.newaxis] * places).astype(np.float32)
