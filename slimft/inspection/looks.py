"""Every picture read once: what its file is, whether it can be decoded, and what tells it from others."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import threading

import numpy as np
from PIL import Image

from slimft.data.digest import DIGEST_BYTES
from slimft.data.grey import has_colours_of_16_bits, is_grey_of_16_bits
from slimft.data.image_files import Source, open_source
from slimft.data.images import is_turned, loaded, opened
from slimft.data.threads import in_threads, parts_of
from slimft.errors import DataError
from slimft.inspection.data import Data
from slimft.inspection.likeness import SIDE, SMALL_SIDE, likeness

# Pictures a thread looks at before it comes back for more.
_AT_A_TIME = 16
# What is said of so many pictures; the others are counted.
MOST_NAMED = 1000
_MOST_LETTERS = 300
# Of a large picture, the smaller side once its decoder, or `region`, took means; the hash is of half of that.
_LEAST_SIDE = 2 * SIDE

# What is odd of a picture that can be read, by the bit that says so.
TURNED, ANIMATED, TRANSPARENT, DEEP, WRONG_SUFFIX, BLANK = (1 << bit for bit in range(6))
ODD = {
    "turned": TURNED,
    "animated": ANIMATED,
    "transparent": TRANSPARENT,
    "sixteen_bits": DEEP,
    "wrong_suffix": WRONG_SUFFIX,
    "one_colour": BLANK,
}
# Why a picture cannot be read, and what its message has in it.
_REASONS = {
    "empty": ("is empty",),
    "too large": ("too many pixels", "more than the"),
    "cut off": ("truncated", "broken data stream", "unrecognized data stream"),
    "missing": ("No such file",),
    "no image": ("is no image",),
}
OTHER = "damaged or of an unusual kind"
# A camera with two lenses writes .jpg; they are JPEGs.
_SAME = {"MPO": "JPEG"}

_LOOK = np.dtype(
    [
        ("read", "?"),
        ("odd", "u1"),
        ("kind", "u1"),
        ("mode", "u1"),
        ("sides", "<i4", 2),
        ("bytes", "<i8"),
        ("digest", "<u8"),
        ("hash", "<u8"),
        ("small", "u1", SMALL_SIDE * SMALL_SIDE * 3),
    ]
)


@dataclasses.dataclass
class Looks:
    """What was found.

    Attributes:
        table: of each picture a record: whether it was read; the bits of `ODD`; the indices in `kinds` and `modes`;
            height and width as stored; the file's bytes; the digest, the hash and the small picture, as
            `slimft.inspection.duplicates.find_groups` takes them.
        kinds: formats of files, such as ``JPEG``; ``array`` of what has no files.
        modes: Pillow's modes, such as ``RGB``.
        reasons: why pictures cannot be read, to how many.
        unreadable: the first of these, in order: index, kind of reason, and what is wrong.
    """

    table: np.ndarray
    kinds: list[str] = dataclasses.field(default_factory=list)
    modes: list[str] = dataclasses.field(default_factory=list)
    reasons: dict[str, int] = dataclasses.field(default_factory=dict)
    unreadable: list[tuple[int, str, str]] = dataclasses.field(default_factory=list)

    def which(self, odd: int) -> np.ndarray:
        """The pictures that are odd in that way: int64, in order."""
        return np.flatnonzero((self.table["odd"] & odd) > 0)


def look_at(data: Data) -> Looks:
    """Reads all pictures, in threads, within the pixels that these may decode at a time; 228 bytes stay of each."""
    from slimft.progress_bar import PassBar

    looks = Looks(np.zeros(len(data), _LOOK))
    look = _Look(data, looks)
    with PassBar("looking at images", len(data)) as bar:
        for count in in_threads(look.at, parts_of(np.arange(len(data)), _AT_A_TIME)):
            bar.update(count)
    looks.unreadable = sorted(look.failures)[:MOST_NAMED]
    return looks


class _Look:
    """What threads have found."""

    def __init__(self, data: Data, looks: Looks):
        self._data, self._looks, self._lock = data, looks, threading.Lock()
        self.failures: list[tuple[int, str, str]] = []

    def at(self, part: np.ndarray) -> int:
        """Looks at some pictures; returns how many."""
        for index in part.tolist():
            dataset, at = self._data.place(index)
            record = self._looks.table[index]
            if dataset.in_memory:
                self._array(record, dataset.images[at])
                continue
            source = dataset.images.source(at)
            try:
                self._file(record, source, self._data.path(index), dataset.grey_bits)
            except DataError as error:
                self._failed(index, str(error), source.name)
        return len(part)

    def _array(self, record: np.ndarray, pixels: np.ndarray) -> None:
        record["kind"], record["mode"] = self._number("array", "kinds"), self._number("RGB", "modes")
        record["sides"], record["bytes"] = pixels.shape[:2], pixels.nbytes
        held = hashlib.blake2b(pixels.tobytes(), digest_size=DIGEST_BYTES)
        record["digest"] = int.from_bytes(held.digest(), "big")
        self._keep(record, pixels, 0)

    def _file(self, record: np.ndarray, source: Source, path: str | None, grey_bits: int | None) -> None:
        with opened(open_source(source), source.name) as (image, stream):
            record["bytes"] = stream.seek(0, os.SEEK_END)
            record["digest"] = int(source.digest(), 16)
            stream.seek(0)
            kind = image.format or "unknown"
            record["kind"], record["mode"] = self._number(kind, "kinds"), self._number(image.mode, "modes")
            record["sides"] = image.size[::-1]
            odd = ANIMATED * bool(getattr(image, "is_animated", False) and kind != "MPO")
            odd |= TRANSPARENT * bool(image.has_transparency_data)
            odd |= DEEP * (is_grey_of_16_bits(image) or has_colours_of_16_bits(image))
            odd |= WRONG_SUFFIX * _is_called_otherwise(kind, path)
            with loaded(image, stream, _LEAST_SIDE, grey_bits) as picture:
                odd |= TURNED * is_turned(image)
                factor = max(1, min(picture.height, picture.width) // _LEAST_SIDE)
                pixels = picture.region(0, 0, picture.height, picture.width, factor)
                self._keep(record, pixels, odd)

    def _keep(self, record: np.ndarray, pixels: np.ndarray, odd: int) -> None:
        found, small, blank = likeness(pixels)
        record["hash"], record["small"], record["odd"] = found, small.reshape(-1), odd | BLANK * blank
        record["read"] = True

    def _number(self, name: str, of: str) -> int:
        """The number of a format or a mode, of which there are few."""
        names: list[str] = getattr(self._looks, of)
        with self._lock:
            if name not in names:
                names.append(name)
            return names.index(name)

    def _failed(self, index: int, message: str, name: str) -> None:
        # A message is one line, whatever the file is called.
        wrong = (
            message.removeprefix(name).removeprefix(" ".join(name.split())).strip().removeprefix("cannot be read: ")
        )
        reason = next((kind for kind, words in _REASONS.items() if any(word in wrong for word in words)), OTHER)
        with self._lock:
            self._looks.reasons[reason] = self._looks.reasons.get(reason, 0) + 1
            self.failures.append((index, reason, wrong[:_MOST_LETTERS]))
            if len(self.failures) > 2 * MOST_NAMED:
                self.failures = sorted(self.failures)[:MOST_NAMED]


def _is_called_otherwise(kind: str, path: str | None) -> bool:
    """Whether a file's suffix is that of another format."""
    suffix = "" if path is None else os.path.splitext(path)[1].lower()
    told = Image.registered_extensions().get(suffix)
    return told is not None and _SAME.get(told, told) != _SAME.get(kind, kind)
