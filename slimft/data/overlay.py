"""A picture of a segmentation: the image in the colours of its classes, with a legend."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from slimft.data.masks import VOID, coloured

# How much of a pixel is its class's colour.
_SHARE = 0.5
_LEAST_TEXT, _MOST_TEXT = 11, 32
_MOST_LETTERS = 24
# Pixels that a side of a JPEG can have.
_MOST_SIDE = 65_500


def overlay(pixels: np.ndarray, mask: np.ndarray, class_names: Sequence[str], palette: list[int]) -> Image.Image:
    """Draws a segmentation over its image; the legend at the right has the classes that occur, the largest first.

    What would be larger than a JPEG can be is reduced.

    Args:
        pixels: uint8 ``[height, width, 3]``, RGB.
        mask: uint8 ``[height, width]``: the classes, 255 for none.
        class_names: the classes' names, by number.
        palette: red, green and blue of each number in turn, 768 in all.
    """
    image = Image.fromarray(pixels)
    mixed = Image.blend(image, coloured(mask, palette).convert("RGB"), _SHARE)
    mixed.paste(image, mask=Image.fromarray(np.where(mask == VOID, 255, 0).astype(np.uint8)))
    numbers, counts = np.unique(mask[mask != VOID], return_counts=True)
    order = numbers[np.argsort(-counts, kind="stable")].tolist()
    entries = [(_short(class_names[number]), palette[3 * number : 3 * number + 3]) for number in order]
    whole = _with_legend(mixed, entries)
    whole.thumbnail((_MOST_SIDE, _MOST_SIDE))
    return whole


def _with_legend(image: Image.Image, entries: list[tuple[str, list[int]]]) -> Image.Image:
    text = min(max(image.height // 24, _LEAST_TEXT), _MOST_TEXT)
    line, font = text * 3 // 2, ImageFont.load_default(text)
    widths = [font.getlength(name) for name, _ in entries]
    width = round(max(widths, default=0)) + 3 * text
    height = max(image.height, line * len(entries) + text)
    whole = Image.new("RGB", (image.width + width, height), "white")
    whole.paste(image, (0, 0))
    draw = ImageDraw.Draw(whole)
    for number, (name, colour) in enumerate(entries):
        left, top = image.width + text // 2, text // 2 + line * number
        draw.rectangle((left, top, left + text, top + text), fill=tuple(colour), outline="black")
        draw.text((left + text * 3 // 2, top), name, fill="black", font=font)
    return whole


def _short(name: str) -> str:
    return name if len(name) <= _MOST_LETTERS else f"{name[: _MOST_LETTERS - 1]}…"
