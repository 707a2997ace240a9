"""Grey images of 16 bits, of which cameras and microscopes often use fewer: how many, and as 8 bits."""

from __future__ import annotations

import re

import numpy as np
from PIL import Image

# How many of their 16 bits grey images may use.
_GREY_BITS = (8, 10, 12, 14, 16)
# Tags of TIFF 6.0: BitsPerSample, PhotometricInterpretation and ImageDescription; SMaxSampleValue, MaxSampleValue.
_BITS_PER_SAMPLE, _PHOTOMETRIC, _DESCRIPTION, _MAXIMA = 258, 262, 270, (341, 281)
# Of OME-XML, in the description.
_OME_BITS = re.compile(r'SignificantBits="([0-9]{1,2})"')
_BAND_PIXELS = 1 << 20


def is_grey_of_16_bits(image: Image.Image) -> bool:
    """Whether an image that Pillow has opened is one."""
    return image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM"))


def has_colours_of_16_bits(image: Image.Image) -> bool:
    """Whether an image that is not loaded yet is a TIFF of 16 bits a colour."""
    bits = image.tag_v2.get(_BITS_PER_SAMPLE, ()) if image.format == "TIFF" and image.mode == "RGB" else ()
    return bits == (16, 16, 16)


def is_negative(image: Image.Image) -> bool:
    """Whether 0 is white in a grey TIFF of 16 bits, which Pillow does not look at."""
    return image.format == "TIFF" and is_grey_of_16_bits(image) and image.tag_v2.get(_PHOTOMETRIC) == 0


def told_bits(image: Image.Image) -> int | None:
    """How many of its 16 bits a grey image uses, as its file tells; None if it does not.

    A TIFF tells it by BitsPerSample (12), MaxSampleValue, SMaxSampleValue or OME-XML's SignificantBits. Of PNG
    nothing tells; other formats are scaled to 16 bits by Pillow.
    """
    if image.format != "TIFF":
        return None if image.format == "PNG" else _GREY_BITS[-1]
    tags = image.tag_v2
    if tags.get(_BITS_PER_SAMPLE) == (12,):
        return 12
    for tag in _MAXIMA:
        maximum = tags.get(tag)
        maximum = maximum[0] if isinstance(maximum, tuple) and maximum else maximum
        if isinstance(maximum, (int, float)) and 0 < maximum < 1 << 16:
            return bits_for(int(maximum))
    found = _OME_BITS.search(str(tags.get(_DESCRIPTION, "")))
    return bits_for((1 << int(found[1])) - 1) if found and 0 < int(found[1]) <= _GREY_BITS[-1] else None


def bits_for(value: int) -> int:
    """The least of the numbers of bits that 16-bit grey may use which holds `value`, 0..65535."""
    return next(bits for bits in _GREY_BITS if value < 1 << bits)


def brightest(image: Image.Image) -> int:
    """The largest value of a loaded image of one channel, found in bands."""
    rows = max(1, _BAND_PIXELS // image.width)
    bands = ((0, top, image.width, min(top + rows, image.height)) for top in range(0, image.height, rows))
    return max(int(np.asarray(image.crop(band)).max()) for band in bands)


def significant_bits(image: Image.Image, grey_bits: int | None) -> int:
    """How many bits a loaded grey image uses; raises OSError if it has values of more than `grey_bits`."""
    told, value = told_bits(image), brightest(image)
    needed = bits_for(max(0, value))
    if told is None and grey_bits is not None and needed > grey_bits:
        raise OSError(
            f"its brightest value is {value}, and --grey_bits={grey_bits}; choose --grey_bits={needed}, or scale it"
        )
    return max(told, needed) if told is not None else grey_bits or needed


def grey_of_8_bits(image: Image.Image, white: int) -> Image.Image:
    """A 16-bit grey image in RGB; the value `white` becomes 255, and so does what is transparent."""
    values = np.asarray(image).astype(np.uint32)
    grey = ((values * 255 + white // 2) // white).astype(np.uint8)  # Pillow would cut off at 255.
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return Image.fromarray(grey).convert("RGB")
