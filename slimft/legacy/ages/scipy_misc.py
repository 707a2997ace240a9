"""`scipy.misc` of SciPy 1.0, on Pillow: reading, writing and resizing images as arrays.

How it scaled and which arguments it took: SciPy's reference of 1.0 (docs.scipy.org/doc/scipy-1.0.0/reference).
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

# `from scipy.misc.pilutil import imread` finds a module below this one.
__path__: list[str] = []
_INTERPOLATIONS = {
    "nearest": Image.Resampling.NEAREST, "lanczos": Image.Resampling.LANCZOS,
    "bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC, "cubic": Image.Resampling.BICUBIC,
}  # fmt: skip
_FILTERS = ("blur", "contour", "detail", "edge_enhance", "edge_enhance_more", "emboss", "find_edges", "smooth",
            "smooth_more", "sharpen")  # fmt: skip
# Functions of mathematics, which moved within SciPy.
_MOVED = {"comb": "scipy.special", "factorial": "scipy.special", "factorial2": "scipy.special",
          "factorialk": "scipy.special", "logsumexp": "scipy.special", "pade": "scipy.interpolate",
          "ascent": "scipy.datasets", "face": "scipy.datasets", "electrocardiogram": "scipy.datasets"}  # fmt: skip


def __getattr__(name):
    if name not in _MOVED:
        raise AttributeError(f"scipy.misc.{name} is not here")
    import importlib

    return getattr(importlib.import_module(_MOVED[name]), name)


def bytescale(data, cmin=None, cmax=None, high=255, low=0):
    """Scales numbers linearly to bytes: `cmin` to `low`, `cmax` to `high`; uint8 stays as it is.

    Args:
        data: an array.
        cmin, cmax: by default the least and the greatest value.
        high, low: bounds of the result, 0 to 255.

    Returns:
        uint8, of the shape of `data`.

    Raises:
        ValueError: bounds that cannot be.
    """
    data = np.asarray(data)
    if data.dtype == np.uint8:
        return data
    if not 0 <= low <= high <= 255:
        raise ValueError(f"low and high have to be 0 <= low <= high <= 255, not {low} and {high}")
    cmin = data.min() if cmin is None else cmin
    cmax = data.max() if cmax is None else cmax
    if cmax < cmin:
        raise ValueError(f"cmax {cmax} is less than cmin {cmin}")
    scaled = (data - cmin) * (float(high - low) / (cmax - cmin or 1)) + low
    return (scaled.clip(low, high) + 0.5).astype(np.uint8)


def toimage(arr, high=255, low=0, cmin=None, cmax=None, pal=None, mode=None, channel_axis=None):
    """A Pillow image of an array, scaled to bytes by `bytescale` but for the modes F, I and 1.

    Args:
        arr: two axes, or three of which one has 3 or 4 channels.
        high, low, cmin, cmax: as in `bytescale`.
        pal: a palette, ``[n, 3]``, for mode P.
        mode: Pillow's; by default L, RGB or RGBA.
        channel_axis: which axis has the channels; by default the first with 3 of them, or else with 4.

    Raises:
        ValueError: the array is no image, or not one of `mode`.
    """
    data = np.asarray(arr)
    if np.iscomplexobj(data):
        raise ValueError("an image of complex numbers")
    if data.ndim == 2:
        return _flat_image(data, high, low, cmin, cmax, pal, mode)
    if data.ndim != 3 or not {3, 4} & set(data.shape):
        raise ValueError(f"an array of shape {data.shape} is no image: one axis has to have 3 or 4 channels")
    if channel_axis is None:
        channel_axis = data.shape.index(3 if 3 in data.shape else 4)
    channels = data.shape[channel_axis]
    mode = mode or {3: "RGB", 4: "RGBA"}.get(channels)
    if {"RGB": 3, "YCbCr": 3, "RGBA": 4, "CMYK": 4}.get(mode) != channels:
        raise ValueError(f"an image of mode {mode} does not have {channels} channels")
    data = np.moveaxis(bytescale(data, cmin, cmax, high, low), channel_axis, 2)
    return Image.frombytes(mode, (data.shape[1], data.shape[0]), np.ascontiguousarray(data).tobytes())


def _flat_image(data, high, low, cmin, cmax, pal, mode):
    size = (data.shape[1], data.shape[0])
    if mode == "F":
        return Image.frombytes("F", size, data.astype(np.float32).tobytes())
    if mode == "1":
        return Image.frombytes("L", size, np.where(data > high, 255, 0).astype(np.uint8).tobytes()).convert("1")
    if mode in (None, "L", "P"):
        image = Image.frombytes("L", size, bytescale(data, cmin, cmax, high, low).tobytes())
        if mode == "P" or pal is not None:
            image = Image.frombytes("P", size, image.tobytes())
            gray = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
            image.putpalette(np.asarray(gray if pal is None else pal, np.uint8).tobytes())
        return image
    if mode == "I":
        cmin, cmax = (data.min() if cmin is None else cmin), (data.max() if cmax is None else cmax)
        scaled = (data * 1.0 - cmin) * (high - low) / (cmax - cmin) + low
        return Image.frombytes("I", size, scaled.astype(np.uint32).tobytes())
    raise ValueError(f"an image with one channel is not of mode {mode}")


def fromimage(im, flatten=False, mode=None):
    """The array of a Pillow image: ``[height, width]`` or ``[height, width, channels]``.

    Args:
        im: the image; one with a palette becomes RGB, or RGBA if it has transparency.
        flatten: whether to make it grey, in float32.
        mode: Pillow's, to convert to first.
    """
    if mode is not None:
        im = im if mode == im.mode else im.convert(mode)
    elif im.mode == "P":
        im = im.convert("RGBA" if "transparency" in im.info else "RGB")
    if flatten:
        im = im.convert("F")
    elif im.mode == "1":
        im = im.convert("L")
    return np.array(im)


def imread(name, flatten=False, mode=None):
    """The array of the image file `name`; see `fromimage`."""
    with Image.open(name) as image:
        return fromimage(image, flatten, mode)


def imsave(name, arr, format=None):
    """Writes an array as an image file; values are scaled by `bytescale`, channels come last."""
    toimage(arr, channel_axis=2).save(name, format=format)


def imresize(arr, size, interp="bilinear", mode=None):
    """Resizes an image, which becomes bytes by `bytescale` first.

    Args:
        arr: an array, as `toimage` takes it.
        size: percent as an int, a fraction as a float, or height and width.
        interp: nearest, lanczos, bilinear, bicubic or cubic.
        mode: Pillow's, in which it is resized.

    Returns:
        uint8 ``[height, width]`` or ``[height, width, channels]``.
    """
    image = toimage(arr, mode=mode)
    if isinstance(size, (int, float, np.number)):
        factor = size / 100.0 if isinstance(size, (int, np.integer)) else size
        target = tuple(int(side * factor) for side in image.size)
    else:
        target = (int(size[1]), int(size[0]))
    return fromimage(image.resize(target, resample=_interpolation(interp)))


def imrotate(arr, angle, interp="bilinear"):
    """Rotates an image by `angle` degrees counter-clockwise about its middle; its size stays."""
    return fromimage(toimage(arr).rotate(angle, resample=_interpolation(interp)))


def imfilter(arr, ftype):
    """An image after one of Pillow's filters, such as ``blur``, ``edge_enhance`` or ``sharpen``; uint8."""
    if ftype not in _FILTERS:
        raise ValueError(f"imfilter: {ftype!r} is none of {', '.join(_FILTERS)}")
    return fromimage(toimage(arr).filter(getattr(ImageFilter, ftype.upper())))


def imshow(arr):
    """Shows an image in what the system has for it."""
    toimage(arr).show()


def _interpolation(name):
    if name not in _INTERPOLATIONS:
        raise ValueError(f"interp={name!r}: there are {', '.join(_INTERPOLATIONS)}")
    return _INTERPOLATIONS[name]
