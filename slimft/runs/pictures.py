"""Pictures of examples for a run's report, as data URLs."""

from __future__ import annotations

import base64
import contextlib
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from slimft.data.heat import heat_overlay
from slimft.data.label_errors import LabelErrors
from slimft.data.masks import coloured
from slimft.data.palette import voc_palette
from slimft.data.segmentation import seen_size
from slimft.errors import DataError

# The longer side, in pixels, of an example among mistakes, and of an image with its masks.
_THUMBNAIL_SIDE = 160
_PICTURE_SIDE = 320
JPEG_URL = re.compile(r"data:image/jpeg;base64,[A-Za-z0-9+/]+={0,2}")
PNG_URL = re.compile(r"data:image/png;base64,[A-Za-z0-9+/]+={0,2}")


def mistakes(
    dataset: Any, found: Sequence[tuple[int, Mapping[str, Any]]], heat: Mapping[int, np.ndarray]
) -> list[dict[str, Any]]:
    """What `slimft.tasks.Scores.mistakes` of a classifier returned, with each example's ``name`` and pictures.

    Args:
        dataset: the split.
        found: the mistakes, by the examples' indices.
        heat: of some of these ``[2, rows, columns]``, from 0 to 1: what speaks for the predicted class, and what
            for the label.

    Returns:
        Of each mistake also ``image``, and ``heat`` and ``heat_of_label``, over the image: data URLs of JPEGs, or
        None where they cannot be had.
    """
    return [
        {"name": dataset.describe(index), **what, **_thumbnails(dataset, index, heat.get(index))}
        for index, what in found
    ]


def label_errors(
    dataset: Any, found: LabelErrors, probabilities: np.ndarray, labels: np.ndarray, most: int
) -> list[dict[str, Any]]:
    """The first of what `slimft.data.label_errors.find_label_errors` found, as of `slimft.runs.result.Result`.

    Args:
        dataset: what has the examples: ``describe``, ``read`` and ``image_shape`` of a `slimft.data.Dataset`.
        found: what was found.
        probabilities: float ``[examples, classes]``.
        labels: integers ``[examples]``.
        most: how many, at most.
    """
    return [
        {
            "name": dataset.describe(index),
            "label": int(labels[index]),
            "suggested": suggested,
            "given": float(probabilities[index, labels[index]]),
            "confidence": float(probabilities[index, suggested]),
            "image": thumbnail(dataset, index),
        }
        for index, suggested in list(zip(found.examples.tolist(), found.suggested.tolist()))[:most]
    ]


def thumbnail(dataset: Any, index: int) -> str | None:
    """An example's picture as a data URL of a JPEG; None if it cannot be read any more."""
    return _thumbnails(dataset, index, None)["image"]


def _thumbnails(dataset: Any, index: int, heat: np.ndarray | None) -> dict[str, str | None]:
    made: dict[str, str | None] = dict.fromkeys(("image", "heat", "heat_of_label"))
    try:
        pixels = dataset.read(np.array([index]), dataset.image_shape(_THUMBNAIL_SIDE))[0]
    except DataError:
        return made
    image = Image.fromarray(np.ascontiguousarray(pixels, dtype=np.uint8))
    image.thumbnail((_THUMBNAIL_SIDE, _THUMBNAIL_SIDE))
    made["image"] = _jpeg(image)
    if heat is not None:
        for name, one in zip(("heat", "heat_of_label"), heat):
            made[name] = _jpeg(heat_overlay(np.asarray(image), one, _THUMBNAIL_SIDE))
    return made


def segmented(
    dataset: Any, found: Sequence[tuple[int, Mapping[str, Any]]], heat: Mapping[int, np.ndarray]
) -> list[dict[str, Any]]:
    """Images with their masks and what was predicted, each of these a data URL, or None where it cannot be had.

    Args:
        dataset: the split, as `slimft.data.segmentation.SegmentationDataset`.
        found: what `slimft.tasks.Scores.mistakes` of a segmentation returned: the worst images, then the best.
        heat: of none of them.

    Returns:
        Of each image ``name``, ``mean_iou``, ``pixel_accuracy``, ``kind`` (``worst`` or ``best``), ``image`` (a
        JPEG), and ``truth`` and ``predicted`` (PNGs in the colours of PASCAL VOC). All three have one size.
    """
    del heat
    return [
        {
            "name": dataset.describe(index),
            **{name: what[name] for name in ("kind", "mean_iou", "pixel_accuracy")},
            **_pictures(dataset, index, what["predicted"]),
        }
        for index, what in found
    ]


def _pictures(dataset: Any, index: int, predicted: np.ndarray | None) -> dict[str, str | None]:
    size = _size_of(dataset.masks.sizes[index])
    made: dict[str, str | None] = dict.fromkeys(("image", "truth", "predicted"))
    # Each may have gone by itself.
    with contextlib.suppress(DataError):
        made["image"] = _jpeg(Image.fromarray(dataset.picture(index, _PICTURE_SIDE)))
    with contextlib.suppress(DataError):
        made["truth"] = _mask(dataset.masks.read(index), size)
    if predicted is not None:
        made["predicted"] = _mask(predicted, size)
    return made


def _size_of(sides: np.ndarray) -> tuple[int, int]:
    """Width and height of the picture of an image of so many rows and columns."""
    rows, columns = seen_size(sides, _PICTURE_SIDE).tolist()
    return columns, rows


def _mask(mask: np.ndarray, size: tuple[int, int]) -> str:
    """A mask of `size`, each pixel of which is the nearest of `mask`, as a data URL of a PNG."""
    image = coloured(np.ascontiguousarray(mask, dtype=np.uint8), voc_palette())
    stream = io.BytesIO()
    image.resize(size, Image.Resampling.NEAREST).save(stream, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"


def _jpeg(image: Image.Image) -> str:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=85, subsampling=0)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
