"""Images that stay in their files until they are asked for, read in parallel.

What a network sees of an image is its central square, which `read_source` reads for training, evaluation and
prediction alike; a random crop is a part of that.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO, Protocol

import numpy as np

from slimft.data import record_cache
from slimft.data.digest import DIGEST_BYTES, file_digest
from slimft.data.images import read_square
from slimft.data.threads import count_threads, in_threads, parts_of
from slimft.errors import DataError, UsageError
from slimft.files import open_regular

# Images a thread reads before it comes back for more, at most: to hand out a small one costs as much as to read it.
_MOST_AT_A_TIME = 16
# And files of which it reads only what tells them apart.
_DIGESTS_AT_A_TIME = 64
# Bytes of cached images that one thread reads sooner than it hands parts of them to others.
_LEAST_SHARED_BYTES = 1 << 20
# Decoded images of one collection, where nobody asked for them.
MOST_CACHED_BYTES = 10 << 30
# Images that cannot be read, in one message.
_NAMED = 3


class Source(Protocol):
    """Where one encoded image is."""

    @property
    def name(self) -> str:
        """What to call it in a message: a path, or a file and the number of a record."""

    @property
    def fingerprint(self) -> str:
        """Changes when the image does."""

    @property
    def key(self) -> str:
        """What it is known by from run to run."""

    def digest(self) -> str:
        """What `slimft.data.digest.digest` makes of its bytes; raises OSError or DataError."""

    def open(self) -> BinaryIO | bytes:
        """The encoded image; raises OSError or DataError."""


class FileSource:
    """An image file.

    Args:
        path: where it is.
        key: what it is known by from run to run; by default its path.
    """

    __slots__ = ("path", "key")

    def __init__(self, path: str, key: str | None = None):
        self.path = path
        self.key = path if key is None else key

    @property
    def name(self) -> str:
        return self.path

    @property
    def fingerprint(self) -> str:
        """Its path, size and times; that of a file that is gone says so.

        Of the times there is that of the last change of the file itself, which a program that puts another file in
        its place, and gives that the old one's time of modification, cannot set.
        """
        path = os.path.abspath(self.path)
        try:
            status = os.stat(path)
        except OSError as error:
            return f"{path} {error.strerror}"
        return f"{path} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"

    def open(self) -> BinaryIO:
        return open_regular(self.path)

    def digest(self) -> str:
        return file_digest(self.path)


class _Collection:
    """What an `ImageFiles` and all that were selected from it share: the sources, and the caches by side."""

    def __init__(self, sources: Sequence[Source], cache: str, grey_bits: int | None):
        self.sources = sources
        self.cache = cache
        self.grey_bits = grey_bits
        self.caches: dict[Any, record_cache.Cache] = {}
        self.digests = np.zeros(len(sources), f"S{2 * DIGEST_BYTES}")  # Empty where it is not known.

    def open_cache(self, side: Any, kind: record_cache.Kind) -> record_cache.Cache:
        """The cache of the sources as they are now; raises what `record_cache.Cache` does."""
        if side not in self.caches:
            self.caches[side] = record_cache.Cache(map(self.fingerprint, self.sources), kind)
        return self.caches[side]

    def fingerprint(self, source: Source) -> str:
        """What changes when the pixels that are read do."""
        return source.fingerprint if self.grey_bits is None else f"{source.fingerprint} {self.grey_bits} bits"


class ImageFiles:
    """A sequence of encoded images.

    Args:
        sources: where each is; may make its items when they are asked for.
        cache: ``auto``, ``on`` or ``off``: see `prepare`.
        grey_bits: as of `slimft.data.images.read_image`; `slimft.data.image_checks` finds out one for all.
    """

    def __init__(self, sources: Sequence[Source], cache: str = "auto", grey_bits: int | None = None):
        self._collection = _Collection(sources, cache, grey_bits)
        self._indices = None  # Of the sources; None for all.

    # What a subclass has otherwise, whose images are of another kind; `side` may be what it wants.

    def kind(self, side: int) -> record_cache.Kind:
        """How decoded images are kept."""
        return record_cache.images(side)

    def shape(self, side: int) -> tuple[int, ...]:
        """The shape of a decoded image, which is of uint8."""
        return side, side, 3

    def decode(self, source: Source, side: int) -> np.ndarray:
        """Reads an image; raises DataError."""
        return read_source(source, side, grey_bits=self.grey_bits)

    def __len__(self) -> int:
        return len(self._all) if self._indices is None else len(self._indices)

    @property
    def grey_bits(self) -> int | None:
        """How many bits 16-bit grey images use that do not tell; the same for all that was selected from this."""
        return self._collection.grey_bits

    @grey_bits.setter
    def grey_bits(self, bits: int | None) -> None:
        self._collection.grey_bits = bits
        self._collection.caches.clear()

    def name(self, index: int) -> str:
        """What image `index` is called in messages."""
        return self.source(index).name

    def source(self, index: int) -> Source:
        """Where image `index` is."""
        return self._all[int(self._of_sources(np.array(index)))]

    def digests(self) -> list[str]:
        """What each image's file holds, as `Source.digest` tells; a file is read once, whatever is selected later.

        Raises:
            DataError: a file cannot be read; the message names it.
        """
        known, indices = self._collection.digests, self._of_sources(np.arange(len(self)))

        def look(part: np.ndarray) -> None:
            for index in part.tolist():
                source = self._all[index]
                try:
                    known[index] = source.digest()
                except OSError as error:
                    why = error.strerror or error
                    raise DataError(f"{source.name} cannot be read: {why}; replace or remove it") from None

        missing = indices[known[indices] == b""]
        for _ in in_threads(look, parts_of(missing, _DIGESTS_AT_A_TIME)):
            pass
        return known[indices].astype(str).tolist()

    def fingerprint(self, index: int) -> str:
        """What changes when the pixels of image `index` do, as it is now."""
        return f"{record_cache.PIXELS} {self._collection.fingerprint(self.source(index))}"

    def select(self, indices: np.ndarray) -> ImageFiles:
        """Some of the images, in the order of `indices`; what is cached of one is cached of the other."""
        selected = type(self).__new__(type(self))
        selected._collection = self._collection
        selected._indices = self._of_sources(np.asarray(indices, np.int64))
        return selected

    def joined(self, others: Sequence[ImageFiles]) -> ImageFiles:
        """These images and, behind them, others that were selected from the same."""
        joined = self.select(np.arange(len(self)))
        joined._indices = np.concatenate([one._of_sources(np.arange(len(one))) for one in (self, *others)])
        return joined

    def read(self, indices: Sequence[int] | np.ndarray, side: int) -> np.ndarray:
        """Reads images, from the cache where it has them.

        Args:
            indices: which.
            side: height and width of the result.

        Returns:
            uint8 ``[len(indices), side, side, 3]``, RGB in 0..255: each as `slimft.data.images.read_square` has it.

        Raises:
            DataError: an image is missing, truncated or corrupt; the message names it.
        """
        indices = self._of_sources(np.asarray(indices, np.int64))
        images = np.empty((len(indices), *self.shape(side)), np.uint8)
        cache = self._collection.caches.get(side)
        missing = np.arange(len(indices)) if cache is None else _read_cached(cache, indices, images)

        def decode(places: np.ndarray) -> None:
            for place in places.tolist():
                source = self._all[int(indices[place])]
                try:
                    images[place] = self.decode(source, side)
                except DataError as error:
                    raise DataError(f"{error}; replace or remove it") from None
                if cache is not None:
                    fingerprint = self._collection.fingerprint(source)
                    cache.repair(int(indices[place]), fingerprint, images[place])

        for _ in in_threads(decode, _parts(missing)):
            pass
        return images

    def prepare(self, side: int, several_passes: bool, progress: bool = True) -> str | None:
        """Decodes all of these images into a cache on the disk, if that helps; `read` then uses it.

        With a cache of ``auto``, that is where the images are read in several passes, and take at most
        `MOST_CACHED_BYTES` and a third of the free space of the disk; in a single pass, what is there already
        is used. With ``on`` it is always, with ``off`` never.

        Args:
            side: height and width the images will be read at.
            several_passes: whether they will be read more than once.
            progress: whether to show a bar if it takes more than a few seconds.

        Returns:
            What to tell the user where ``auto`` would have cached them and cannot, else None.

        Raises:
            DataError: images cannot be read (the message counts them, and names the first), or a cache that has
                to be (``on``) cannot be written.
        """
        mode = self._collection.cache
        if mode == "off":
            return None
        if mode == "auto" and not several_passes:
            with contextlib.suppress(OSError, UsageError):
                self._collection.open_cache(side, self.kind(side))
            return None
        wanted = self._of_sources(np.arange(len(self)))
        try:
            cache = self._collection.open_cache(side, self.kind(side))
            obstacle = _obstacle(cache, wanted) if mode == "auto" else None
            if obstacle is None:
                self._fill(cache, side, wanted, progress)
                return None
        except (OSError, UsageError) as error:
            obstacle = getattr(error, "strerror", None) or str(error)
            if isinstance(error, OSError):
                obstacle = f"{self.kind(side).path}: {obstacle}"
            if mode == "on":
                raise DataError(f"--cache=on: {obstacle}; make room for it, or choose --cache=off") from None
        cache = self._collection.caches.get(side)
        count = len(wanted) if cache is None else int(np.count_nonzero(~cache.has(wanted)))
        which = "images are" if count == len(wanted) else f"{count} of {len(wanted)} images are"
        return f"{which} decoded anew in each epoch: {obstacle}"

    def _fill(self, cache: record_cache.Cache, side: int, wanted: np.ndarray, progress: bool) -> None:
        """Decodes those of the images, of all sources, that the cache lacks; raises DataError if it cannot."""
        from slimft.progress_bar import PassBar

        missing = cache.missing(wanted)
        if not len(missing):
            return
        cache.make_room(wanted)
        missing = cache.missing(wanted)
        # Several processes begin at different places, and leave out what another has decoded meanwhile.
        missing = np.roll(missing, random.SystemRandom().randrange(len(missing)))
        failures = {}

        def decode(indices: np.ndarray) -> int:
            for index in indices.tolist():
                if cache.has(index):
                    continue
                source = self._all[index]
                try:
                    pixels = self.decode(source, side)
                    cache.write(index, self._collection.fingerprint(source), pixels)
                except DataError as error:
                    failures[index] = error
            return len(indices)

        with PassBar("decoding", len(missing), disable=not progress) as bar, cache.filling():
            looked = time.monotonic()
            for count in in_threads(decode, _parts(missing)):
                bar.update(count)
                if time.monotonic() - looked >= record_cache.LOOK_SECONDS:
                    cache.look()
                    looked = time.monotonic()
        raise_together([failures[index] for index in sorted(failures)])

    @property
    def _all(self) -> Sequence[Source]:
        return self._collection.sources

    def _of_sources(self, indices: np.ndarray) -> np.ndarray:
        """The indices, among the sources, of images of this object."""
        return indices if self._indices is None else self._indices[indices]


def _read_cached(cache: record_cache.Cache, indices: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Reads the images that are in the cache; returns the places in `images` of the others."""
    cache.will_read(indices)
    if images.nbytes < _LEAST_SHARED_BYTES:
        return np.array(cache.read(indices, images), np.int64)

    def read(places: np.ndarray) -> np.ndarray:
        part = slice(places[0], places[-1] + 1)
        return places[cache.read(indices[part], images[part])]

    return np.concatenate(list(in_threads(read, _parts(np.arange(len(indices))))))


def _obstacle(cache: record_cache.Cache, wanted: np.ndarray) -> str | None:
    """Why those of the wanted images that are missing should not be written unasked; None if they may."""
    size = cache.missing_bytes(wanted)
    if size + cache.used_bytes() > MOST_CACHED_BYTES:
        together, most = map(record_cache.size_of, (size + cache.used_bytes(), MOST_CACHED_BYTES))
        return f"decoded they take {together}, more than {most}; --cache=on would keep them"
    obstacle = cache.lacks_space(size)
    return obstacle and f"decoded {obstacle}"


def raise_together(failures: Sequence[DataError], what: str = "images cannot be read") -> None:
    """Raises a DataError that counts images which cannot be read and names the first, if there are any.

    Args:
        failures: why each cannot be read.
        what: what several of them are.
    """
    if len(failures) == 1:
        raise DataError(f"{failures[0]}; replace or remove it")
    if failures:
        more = f"; and {len(failures) - _NAMED} more" if len(failures) > _NAMED else ""
        listed = "; ".join(map(str, failures[:_NAMED]))
        raise DataError(f"{len(failures)} {what}: {listed}{more}; replace or remove them")


def read_source(source: Source, side: int, crop: float = 1.0, grey_bits: int | None = None) -> np.ndarray:
    """What a network sees of an image: `slimft.data.images.read_square` of a source. Raises DataError."""
    return read_square(open_source(source), side, crop, source.name, grey_bits)


def open_source(source: Source) -> BinaryIO:
    """The encoded image as a stream; raises DataError."""
    try:
        stream = source.open()
    except OSError as error:
        raise DataError(f"{source.name} cannot be read: {error.strerror or error}") from None
    return io.BytesIO(stream) if isinstance(stream, bytes) else stream


def read_in_order(
    sources: Iterable[Source], kinds: Sequence[tuple[int, int | None]], crop: float, ahead: int
) -> Iterator[tuple[Source, np.ndarray | DataError]]:
    """Reads images in threads, at most `ahead` before they are asked for.

    Args:
        sources: the images.
        kinds: pairs of a side and of ``grey_bits``, as of `read_source`: those of the first image, of the second,
            and so on, and from the first again.
        crop: as of `read_source`.
        ahead: how many.

    Yields:
        Each source in turn, with what `read_source` makes of it, or with why it cannot be read.
    """

    def read(one: tuple[Source, tuple[int, int | None]]) -> tuple[Source, np.ndarray | DataError]:
        source, (side, grey_bits) = one
        try:
            return source, read_source(source, side, crop, grey_bits)
        except DataError as error:
            return source, error

    return in_threads(read, zip(sources, itertools.cycle(kinds)), ahead)


def _parts(indices: np.ndarray) -> Iterator[np.ndarray]:
    """The indices, in parts for a thread each."""
    size = max(1, min(_MOST_AT_A_TIME, len(indices) // count_threads()))
    return parts_of(indices, size)
