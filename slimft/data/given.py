"""Images that a program hands over: arrays, lists of files, data frames; as sources, and as a CSV manifest."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import os
import pathlib
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from slimft.data.csv_manifest import key_of
from slimft.data.csv_text import COLUMNS
from slimft.data.dataset import SPLITS
from slimft.data.digest import digest
from slimft.data.image_files import FileSource
from slimft.data.threads import in_threads
from slimft.errors import DataError, UsageError
from slimft.files import atomic_file, write_atomically

_WHAT = (
    "data is (images, labels), a dictionary of these by split, or a data frame with the columns path and label (or "
    "split, group, fold too)"
)
# What PNG calls images of so many channels: grey, RGB, RGBA.
_COLOURS = {1: 0, 3: 2, 4: 6}
# The most bytes that a block of Deflate holds as they are.
_STORED = 65_535


class ArraySource:
    """An image of an array; as `slimft.data.image_files.Source`.

    Args:
        pixels: uint8 ``[height, width]`` or ``[height, width, channels]``, with 1, 3 or 4 channels.
        name: what to call it.
    """

    def __init__(self, pixels: np.ndarray, name: str):
        self._pixels = pixels
        self.name = self.path = self.key = self.fingerprint = name

    def digest(self) -> str:
        return digest(self.open())

    def open(self) -> bytes:
        """The image as PNG: it is read as any file is."""
        return _png(self._pixels)


def _png(pixels: np.ndarray) -> bytes:
    """Pixels as a PNG file (ISO/IEC 15948) that is the same bytes in every version of every library.

    By these bytes a run knows what it trained on. So nothing is compressed, which libraries do each in its way, nor
    filtered: the blocks of Deflate hold the rows as they are (RFC 1950, RFC 1951).
    """
    height, width = pixels.shape[:2]
    rows = np.zeros([height, 1 + pixels.size // height], np.uint8)  # Before each row the number of its filter.
    rows[:, 1:] = pixels.reshape(height, -1)
    raw = rows.tobytes()
    parts = [b"\x78\x01"]
    for start in range(0, len(raw), _STORED):
        part = raw[start : start + _STORED]
        is_last = start + _STORED >= len(raw)
        parts += [struct.pack("<BHH", is_last, len(part), len(part) ^ 0xFFFF), part]
    parts.append(struct.pack(">I", zlib.adler32(raw)))
    colour = _COLOURS[pixels.shape[2] if pixels.ndim == 3 else 1]
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", b"".join(parts)), (b"IEND", b""))
    found = [b"\x89PNG\r\n\x1a\n"]
    for kind, data in chunks:
        found += [struct.pack(">I", len(data)), kind, data, struct.pack(">I", zlib.crc32(kind + data))]
    return b"".join(found)


def image_sources(images: Any) -> Sequence[ArraySource | FileSource]:
    """The images that a program hands over.

    Args:
        images: ``[images, height, width]`` or ``[images, height, width, channels]`` of whole numbers in 0..255, a
            list of such arrays without the first dimension, a list of paths, or a data frame with a column ``path``
            (or another of its names in a manifest).

    Raises:
        UsageError: it is none of these, or an array has other values or another shape.
    """
    if _is_frame(images):
        images = _column(images, "path", required=True)
    if hasattr(images, "__array__") and not isinstance(images, (list, tuple)):
        images = np.asarray(images)
        if images.dtype.kind in "OUS":
            images = images.tolist()
        elif images.ndim not in (3, 4):
            raise UsageError(f"images have the shape {list(images.shape)}; it has to be {_SHAPE}")
        else:
            images = _as_bytes(images, "images")
    if isinstance(images, (str, os.PathLike)) or not hasattr(images, "__len__"):
        raise UsageError(f"images are arrays or a list of paths, not {type(images).__name__}")
    return [_source(one, index) for index, one in enumerate(images)]


_SHAPE = "[images, height, width] or [images, height, width, channels] with 1, 3 or 4 channels"


def _source(image: Any, index: int) -> ArraySource | FileSource:
    if isinstance(image, (str, os.PathLike)):
        return FileSource(os.fspath(image))
    if not hasattr(image, "__array__"):
        raise UsageError(f"image {index} is neither an array nor a path, but a {type(image).__name__}")
    pixels = _as_bytes(np.asarray(image), f"image {index}")
    channels = pixels.shape[2] if pixels.ndim == 3 else 1 if pixels.ndim == 2 else 0
    if channels not in _COLOURS or 0 in pixels.shape:
        first = pixels.ndim == 3 and pixels.shape[0] in _COLOURS
        advice = "; its channels come first: transpose it" if first else ""
        raise UsageError(f"image {index} has the shape {list(pixels.shape)}; it has to be {_SHAPE}{advice}")
    return ArraySource(pixels[..., 0] if pixels.ndim == 3 and channels == 1 else pixels, f"image {index}")


def _as_bytes(pixels: np.ndarray, what: str) -> np.ndarray:
    """Pixels as uint8, whatever type has these numbers; raises UsageError for others."""
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype.kind not in "iuf":
        raise UsageError(f"{what}: values of {pixels.dtype}; they have to be whole numbers in 0..255")
    if pixels.size and not (np.isfinite(pixels).all() and pixels.min() >= 0 and pixels.max() <= 255):
        raise UsageError(f"{what}: values from {pixels.min():g} to {pixels.max():g}; they have to be in 0..255")
    as_bytes = pixels.astype(np.uint8)
    if (as_bytes != pixels).any():
        advice = "; multiply by 255 and round" if pixels.max() <= 1 else "; round them"
        raise UsageError(f"{what}: values that are no whole numbers in 0..255{advice}")
    if pixels.dtype.kind == "f" and pixels.size and pixels.max() == 1:  # No image of bytes is as dark.
        raise UsageError(f"{what}: numbers with a point, of which the largest is 1; multiply by 255 and round")
    return as_bytes


def write_manifest(data: Any, folder: pathlib.Path) -> pathlib.Path:
    """Writes what a program hands over as a manifest of ``--dataset=csv``.

    Arrays become PNG files beside it, without loss; what is there already is not written again. The manifest has a
    ``split_key`` for each, so that how it is split depends neither on `folder` nor on the order.

    Args:
        data: ``(images, labels)``, where images are as of `image_sources` and labels are names or numbers; a
            dictionary of these by split; or a data frame.
        folder: where to, which is made.

    Returns:
        The manifest.

    Raises:
        UsageError: it is none of these, or there are not as many labels as images.
        DataError: it cannot be written.
    """
    rows = list(_rows(data))
    if not rows:
        raise UsageError(f"there are no images; {_WHAT}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        arrays = any(isinstance(source, ArraySource) for source, _ in rows)
        if arrays:
            (folder / "images").mkdir(exist_ok=True)
        written = list(in_threads(lambda row: _place(*row, folder), enumerate(source for source, _ in rows)))
        columns = [name for name in COLUMNS if name != "split_key" and any(name in values for _, values in rows)]
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["path", "split_key", *columns])
        for (_, values), (path, key) in zip(rows, written):
            writer.writerow([path, values.get("split_key", key), *(values.get(name, "") for name in columns)])
        text = stream.getvalue()
        # By its content: what is handed over later, and perhaps refused, leaves the run's own as it was; and
        # `slimft.runs.settings_file` finds it by its name where the directory has been moved.
        name = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        manifest = folder / f"manifest-{name}.csv"
        write_atomically(manifest, text)
    except OSError as error:
        raise DataError(f"{folder}: {error.strerror}; the images are written there") from None
    return manifest


def _place(index: int, source: ArraySource | FileSource, folder: pathlib.Path) -> tuple[str, str]:
    """Where an image is, as a manifest in `folder` names it, and its key; it is written there if it is in no file.

    The key is the same wherever `folder` is and in whatever order images come: the path as given, or the content.
    """
    if isinstance(source, FileSource):
        return os.path.abspath(os.path.expanduser(source.path)), key_of(source.path)
    data = source.open()
    key = hashlib.sha256(data).hexdigest()[:16]
    name = f"images/{index:07}-{key}.png"
    if not (folder / name).exists():
        with atomic_file(folder / name) as stream:
            stream.write(data)
    return name, key


def _rows(data: Any) -> Iterator[tuple[ArraySource | FileSource, dict[str, str]]]:
    """Each image, and what a manifest's columns say of it."""
    if _is_frame(data):
        columns = {name: _column(data, name, required=name == "label") for name in COLUMNS if name != "path"}
        there = {name: column for name, column in columns.items() if column is not None}
        sources = image_sources(data)
        for source, *values in zip(sources, *there.values()):
            yield source, {name: _text(value) for name, value in zip(there, values)}
    elif isinstance(data, Mapping):
        unknown = [name for name in data if name not in SPLITS]
        if unknown:
            raise UsageError(f"{unknown[0]!r} is no split; they are {', '.join(SPLITS)}. {_WHAT}")
        for split, part in data.items():
            yield from ((source, {**values, "split": split}) for source, values in _pairs(part))
    else:
        yield from _pairs(data)


def _pairs(pair: Any) -> Iterator[tuple[ArraySource | FileSource, dict[str, str]]]:
    if not isinstance(pair, (tuple, list)) or len(pair) != 2:
        raise UsageError(_WHAT)
    images, labels = pair
    labels = np.asarray(labels)
    if labels.ndim == 2 and labels.shape[1] == 1:  # As Keras's CIFAR-10 has them.
        labels = labels[:, 0]
    if labels.ndim != 1:
        advice = "; of one-hot rows, give labels.argmax(axis=1)" if labels.ndim == 2 else ""
        raise UsageError(f"labels have the shape {list(labels.shape)}; there has to be one of each image{advice}")
    sources = image_sources(images)
    if len(sources) != len(labels):
        raise UsageError(f"there are {len(sources)} images and {len(labels)} labels")
    for source, label in zip(sources, labels.tolist()):
        yield source, {"label": _text(label)}


def _text(value: Any) -> str:
    """A label, a group or a fold as text: 3.0, as data frames have it where a number is missing, is 3."""
    try:
        is_missing = value is None or bool(value != value)
    except TypeError:  # pandas.NA is neither.
        is_missing = True
    if is_missing:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _is_frame(data: Any) -> bool:
    """Whether it is a data frame of pandas, Polars or another: columns by name."""
    return hasattr(data, "columns") and hasattr(data, "__getitem__") and not isinstance(data, Mapping)


def _column(frame: Any, name: str, required: bool = False) -> list | None:
    """A column by the names that a manifest knows it by; None if it has none."""
    there = {str(column).strip().lower().replace(" ", "_"): column for column in frame.columns}
    found = next((there[alias] for alias in COLUMNS[name] if alias in there), None)
    if found is None:
        if not required:
            return None
        listed = ", ".join(itertools.islice(there, 10))
        raise UsageError(f"the data frame has no column {name}, only {listed}")
    return list(frame[found])
