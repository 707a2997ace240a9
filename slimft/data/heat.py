"""A picture of a heat map over its image."""

from __future__ import annotations

import numpy as np
from PIL import Image

# From the coldest to the hottest: blue, cyan, green, yellow, red.
_COLOURS = ((0, 0, 143), (0, 200, 255), (80, 255, 120), (255, 220, 0), (200, 0, 0))
# How much of a pixel is colour where it is coldest, and where it is hottest.
_SHARES = (0.1, 0.6)
# Smaller images are enlarged to about that side.
_LEAST_SIDE = 224


def heat_overlay(pixels: np.ndarray, heat: np.ndarray, least_side: int = _LEAST_SIDE) -> Image.Image:
    """Draws a heat map over an image.

    Args:
        pixels: uint8 ``[height, width, 3]``, RGB.
        heat: ``[rows, columns]``, from 0 to 1; covers the image, whatever its own size.
        least_side: smaller images are enlarged by a whole factor, to this side or a little less.
    """
    image = Image.fromarray(np.ascontiguousarray(pixels, dtype=np.uint8))
    factor = max(1, least_side // max(image.size))
    image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    drawn = Image.fromarray(np.ascontiguousarray(heat, dtype=np.float32))
    amount = np.clip(np.asarray(drawn.resize(image.size, Image.Resampling.BILINEAR)), 0, 1)
    anchors = np.linspace(0, 1, len(_COLOURS))
    colours = np.stack([np.interp(amount, anchors, channel) for channel in zip(*_COLOURS)], axis=2)
    share = np.interp(amount, (0, 1), _SHARES)[..., np.newaxis]
    mixed = np.asarray(image) * (1 - share) + colours * share
    return Image.fromarray(np.round(mixed).astype(np.uint8))
