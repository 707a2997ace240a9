"""Whether all images of a dataset can be read, found out before anything is trained.

Of most files the head is read, and whether the end is there; what has no sign of its end is decoded. So damage in
the middle of a file is found only when that is decoded.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import BinaryIO

import numpy as np
from PIL import Image

from slimft.data.dataset import Dataset
from slimft.data.grey import bits_for, brightest, has_colours_of_16_bits, is_grey_of_16_bits, told_bits
from slimft.data.image_files import ImageFiles, Source, open_source, raise_together
from slimft.data.images import loaded, opened
from slimft.data.threads import in_threads, parts_of
from slimft.errors import DataError

# Images a thread looks at before it comes back for more.
_AT_A_TIME = 64
# A file may have some bytes after its end.
_TAIL_BYTES = 4096
# TIFF's tags of where the strips, or the tiles, of the first picture are, and of how many bytes.
_PARTS = ((273, 279), (324, 325))
_MOST_BITS = 16
# Formats whose files may have pages or frames; a camera's second JPEG is no picture of its own.
_PICTURES = ("TIFF", "GIF", "WEBP", "PNG")


def check_images(splits: Mapping[str, Dataset]) -> tuple[str, ...]:
    """Looks at all images, and finds out how many bits 16-bit grey images use that do not tell.

    Where that is not given, it is the same for all of them: what the brightest of all needs.

    Args:
        splits: split name to dataset, all of the same files; those of arrays have nothing to look at.

    Returns:
        A line on files of several pictures and one on 16-bit images of fewer bits, where there are any.

    Raises:
        DataError: images cannot be read; the message counts them, and names the first.
    """
    from slimft.progress_bar import PassBar

    parts = []
    for dataset in splits.values():
        if not dataset.in_memory:
            parts += [(dataset.images, part) for part in parts_of(np.arange(dataset.num_examples), _AT_A_TIME)]
    if not parts:
        return ()
    look = _Look(parts[0][0].grey_bits)
    with PassBar("looking at images", sum(len(part) for _, part in parts)) as bar:
        for count in in_threads(look.at, parts):
            bar.update(count)
    raise_together([failure for _, failure in sorted(look.failures, key=lambda one: one[0])])
    several = ()
    if look.several:
        hold = "file holds" if len(look.several) == 1 else "files hold"
        several = (f"{len(look.several)} {hold} several pictures, such as {min(look.several)}; the first counts",)
    if look.given or not look.bits:
        return several
    parts[0][0].grey_bits = look.bits
    if look.bits == _MOST_BITS:
        return several
    return (
        *several,
        f"16-bit grey images use {look.bits} bits at most, and are seen as such, {2**look.bits - 1} as white; "
        f"--grey_bits={_MOST_BITS} takes them as they are",
    )


class _Look:
    """What threads have found.

    Attributes:
        given: how many bits grey images are said to use; None if that is to be found out.
        bits: how many the brightest needs; 0 before there is one.
        failures: what cannot be read, each with its name.
        several: the names of files with several pictures.
    """

    def __init__(self, given: int | None):
        self.given, self.bits = given, 0
        self.failures: list[tuple[str, DataError]] = []
        self.several: list[str] = []
        self._lock = threading.Lock()

    def at(self, part: tuple[ImageFiles, np.ndarray]) -> int:
        """Looks at some images; returns how many."""
        images, indices = part
        for index in indices:
            source = images.source(int(index))
            try:
                self._one(source)
            except DataError as error:
                self.failures.append((source.name, error))
        return len(indices)

    def _one(self, source: Source) -> None:
        with opened(open_source(source), source.name) as (image, stream):
            if image.format in _PICTURES and getattr(image, "is_animated", False):
                self.several.append(source.name)
            grey = is_grey_of_16_bits(image) and told_bits(image) is None
            # Where it is given, whether an image is brighter.
            measures = grey and (self.bits if self.given is None else self.given) < _MOST_BITS
            if not measures and not has_colours_of_16_bits(image) and _has_its_end(image, stream):
                return
            with loaded(image, stream, grey_bits=self.given):
                if measures:
                    with self._lock:
                        self.bits = max(self.bits, bits_for(brightest(image)))


def _has_its_end(image: Image.Image, stream: BinaryIO) -> bool:
    """Whether a file that is opened certainly is not cut off; False where that is not known."""
    place = stream.tell()
    try:
        size = stream.seek(0, os.SEEK_END)
        if image.format == "TIFF":
            return _ends_before(image, size)
        if size <= _TAIL_BYTES:  # The end of a thumbnail may be meant.
            return False
        stream.seek(0)
        head = stream.read(12)
        stream.seek(max(0, size - _TAIL_BYTES))
        tail = stream.read(_TAIL_BYTES)
    finally:
        stream.seek(place)
    if image.format == "JPEG":
        return b"\xff\xd9" in tail
    if image.format == "PNG":
        return b"IEND" in tail
    if image.format == "GIF":
        return tail.rstrip(b"\0").endswith(b";")
    if image.format in ("WEBP", "BMP"):  # The head tells the size.
        told = head[4:8] if image.format == "WEBP" else head[2:6]
        return 0 < int.from_bytes(told, "little") + (8 if image.format == "WEBP" else 0) <= size
    return False


def _ends_before(image: Image.Image, size: int) -> bool:
    """Whether the pixels of a TIFF are within its first `size` bytes."""
    for starts, counts in _PARTS:
        place, count = image.tag_v2.get(starts), image.tag_v2.get(counts)
        if isinstance(place, tuple) and isinstance(count, tuple) and len(place) == len(count):
            return all(start + length <= size for start, length in zip(place, count))
    return False
