"""The records of a split: what the frozen part of a graph makes of each example, in the memory and on the disk.

They are computed in batches as large as those of the graph, and read, or computed anew where they are damaged, in
the batches that are asked for.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from slimft.compat import tf
from slimft.data import Dataset
from slimft.data.pipeline import Batches
from slimft.data.record_cache import LOOK_SECONDS, Cache, Kind, size_of
from slimft.data.threads import in_threads, parts_of
from slimft.errors import UsageError
from slimft.messages import say
from slimft.progress_bar import PassBar
from slimft.training.cut import Cut

# Batches that are read from the disk before they are needed.
_AHEAD = 4

ANEW = "frozen layers are computed anew in each pass over"

Feeds = dict[Any, Any]


class _NotByExample(Exception):
    """What frozen layers make of an example depends on the batch that it is in."""


class Batch(NamedTuple):
    """A batch: its number, its examples, and the records of these that it is made of."""

    number: int
    examples: np.ndarray
    records: np.ndarray


@dataclasses.dataclass(frozen=True)
class Part:
    """A part of a run's graph, for training or for evaluation, that can be cut.

    Attributes:
        batches: its input.
        cut: where it is cut.
        images, step, targets: the input's, for which there are placeholders once the graph is cut.
        rows: examples in a batch.
        keeps: whether there is room for what they make.
        is_full: whether each batch has so many; else the last has what is left.
        views: how many records there are of each example.
        plain: whether the images are seen as they are, a bool to be fed; None where they always are.
        seed: what views that are drawn at random depend on.
    """

    batches: Batches
    cut: Cut
    images: tf.Tensor
    step: tf.Tensor
    targets: tf.Tensor
    rows: int
    is_full: bool
    keeps: bool = True
    views: int = 1
    plain: tf.Tensor | None = None
    seed: int = 0


class Records:
    """The records of a split: record ``view * num_examples + example`` is that of a view of an example."""

    def __init__(self, session: tf.Session, split: str, dataset: Dataset, part: Part):
        self._session, self._split, self._dataset, self.part = session, split, dataset, part
        self.count = dataset.num_examples * part.views
        self._cache: Cache | None = None
        self._values: np.ndarray | None = None
        self._there = np.zeros(self.count, bool)  # Of the values.

    @property
    def size(self) -> int:
        """Bytes of all records."""
        return self.count * self.part.cut.record_bytes

    @property
    def keeps(self) -> bool:
        """Whether records are kept anywhere."""
        return self._cache is not None or self._values is not None

    def forget(self) -> None:
        """Keeps nothing from now on."""
        self._cache = self._values = None

    def describe(self) -> str:
        """Such as ``train, 900 images, 14.1 MiB``."""
        views = f" in {self.part.views} views" if self.part.views > 1 else ""
        return f"{self._split}, {self._dataset.num_examples:,} images{views}, {size_of(self.size)}"

    def open(self, kind: Kind, in_memory: bool) -> str | None:
        """Finds what is there; returns why nothing is to be kept on the disk, if so.

        Args:
            kind: what the records are on the disk.
            in_memory: whether to keep all records in the memory too.
        """
        if in_memory:
            self._values = np.empty((self.count, self.part.cut.record_bytes), np.uint8)
        wanted = np.arange(self.count)
        try:
            cache = Cache(map(self._fingerprint, wanted), kind)
            obstacle = cache.lacks_space(cache.missing_bytes(wanted))
            if obstacle is None:
                self._cache = cache
            return obstacle
        except (OSError, UsageError) as error:
            return getattr(error, "strerror", None) or str(error)

    def fill(self, interrupted: Callable[[], object], wanted: np.ndarray | None = None) -> None:
        """Computes and keeps the records that are missing, as far as they can be kept.

        Args:
            interrupted: whether to stop at once.
            wanted: the records that will be asked for, each once, in order; None for all.

        Raises:
            DataError: an image cannot be read.
        """
        wanted = np.arange(self.count) if wanted is None else wanted
        try:
            self._compute_missing(wanted, interrupted)
        except OSError as error:  # The disk is full.
            folder, self._cache = self._cache.kind.path, None
            where = "kept in the memory only" if self._values is not None else "computed anew in each pass"
            say(f"what frozen layers make of {self._split} is {where}: {folder}: {error.strerror or error}")
            if self._values is not None:
                self._compute_missing(wanted, interrupted)
        except _NotByExample:
            self.forget()
            say(f"{ANEW} {self._split}: what they make of an image depends on others of its batch")
        self._load(wanted, interrupted)

    def _lacking(self, records: np.ndarray) -> np.ndarray:
        """Which of the records are missing: bool ``[records]``."""
        lacking = ~self._there[records]
        return lacking if self._cache is None else lacking & ~self._cache.has(records)

    def _compute_missing(self, wanted: np.ndarray, interrupted: Callable[[], object]) -> None:
        missing = wanted[self._lacking(wanted)] if self.keeps else []
        if not len(missing):
            return
        numbers = np.unique([self._batch_of(record) for record in missing.tolist()])
        computed = np.concatenate([self._records_of(number) for number in numbers])
        lacking = self._lacking(np.arange(self.count))
        spared = np.count_nonzero(lacking) - np.count_nonzero(lacking[computed])
        if spared:
            images = f"{self.count:,} {'images' if self.part.views == 1 else 'views of images'} of {self._split}"
            say(f"features of {spared:,} of {images} are left out: the steps that are left do not see them")
        # Several processes begin at different places, and leave out what another has computed meanwhile.
        if self._cache is not None:
            self._cache.make_room(wanted)
            numbers = np.roll(numbers, random.SystemRandom().randrange(len(numbers)))
        looked = time.monotonic()

        def is_needed(number: int) -> bool:
            return bool(self._lacking(self._records_of(number)).any())

        with PassBar(f"features of {self._split}", len(computed)) as bar:
            with self._cache.filling() if self._cache is not None else contextlib.nullcontext():
                for number, pixels in self._read_ahead(numbers.tolist(), is_needed):
                    if interrupted():
                        return
                    records = self._records_of(number)
                    values = self._computed(number, pixels)
                    if number == numbers[0]:
                        self._check_by_example(number, values)
                    self._keep(records, values)
                    bar.update(len(records))
                    if self._cache is not None and time.monotonic() - looked >= LOOK_SECONDS:
                        self._cache.look()
                        looked = time.monotonic()

    def _keep(self, records: np.ndarray, values: np.ndarray) -> None:
        """Keeps what was computed."""
        if self._values is not None:
            self._values[records] = values
            self._there[records] = True
        if self._cache is not None:
            for record, value in zip(records.tolist(), values):
                if not self._cache.has(record):
                    self._cache.write(record, self._fingerprint(record), value)

    def _load(self, wanted: np.ndarray, interrupted: Callable[[], object]) -> None:
        """Reads into the memory what is to be kept there and is not."""
        if self._values is None:
            return
        for records in parts_of(wanted[~self._there[wanted]], self.part.rows):
            if interrupted():
                return
            values, left = self._read(records)
            self._mend(records, values, left)
            self._values[records] = values
            self._there[records] = True

    def batches(self, batches: Iterator[Batch]) -> Iterator[tuple[Batch, list[np.ndarray]]]:
        """Yields batches with their features."""
        cut = self.part.cut
        if self._values is not None:
            for batch in batches:
                yield batch, cut.unpack(self._values[batch.records])
        elif self._cache is not None:
            # Mended here and not in a thread, which would wait for the others.
            for batch, values, left in in_threads(
                lambda batch: (batch, *self._read(batch.records)), batches, _AHEAD
            ):
                self._mend(batch.records, values, left)
                yield batch, cut.unpack(values)
        else:
            for batch in batches:
                pixels = self._pixels_of(batch.examples)
                yield batch, self._session.run(cut.features, self._feeds(None, batch.number, pixels))

    def _read(self, records: np.ndarray) -> tuple[np.ndarray, list[int]]:
        """The records, and the places of those among them that are damaged."""
        values = np.empty((len(records), self.part.cut.record_bytes), np.uint8)
        return values, self._cache.read(records, values)

    def _mend(self, records: np.ndarray, values: np.ndarray, left: list[int]) -> None:
        """Computes records anew, in the batches that they were computed in."""
        for number in {self._batch_of(records[place]) for place in left}:
            computed = dict(zip(self._records_of(number).tolist(), self._computed(number, self._pixels(number))))
            for place in left:
                record = int(records[place])
                if record in computed:
                    values[place] = computed[record]
                    self._cache.repair(record, self._fingerprint(record), computed[record])

    # Batches: those of a view come after all of the view before.

    @property
    def _batches_of_view(self) -> int:
        return -(-self._dataset.num_examples // self.part.rows)

    def _batch_of(self, record: int) -> int:
        view, example = divmod(int(record), self._dataset.num_examples)
        return view * self._batches_of_view + example // self.part.rows

    def _examples_of(self, number: int) -> np.ndarray:
        start = number % self._batches_of_view * self.part.rows
        return np.arange(start, min(start + self.part.rows, self._dataset.num_examples))

    def _records_of(self, number: int) -> np.ndarray:
        return number // self._batches_of_view * self._dataset.num_examples + self._examples_of(number)

    def _fingerprint(self, record: int) -> str:
        """What changes when a record does: its example, how large its batch is, and what is drawn at random."""
        view, example = divmod(int(record), self._dataset.num_examples)
        rows = self.part.rows if self.part.is_full else len(self._examples_of(self._batch_of(record)))
        drawn = f"view {view} of {example} by {self.part.seed}" if view else "plain"
        return f"{rows} {drawn} {self._dataset.fingerprint(example)}"

    def _pixels(self, number: int) -> np.ndarray:
        return self._pixels_of(self._examples_of(number))

    def _pixels_of(self, examples: np.ndarray) -> np.ndarray:
        """The images of a batch, which is filled up with some of them once more if it has to be full."""
        full = np.resize(examples, self.part.rows) if self.part.is_full else examples
        return self._dataset.read(full, self.part.batches.image_shape)

    def _read_ahead(self, numbers: Sequence[int], is_needed: Callable[[int], bool]):
        """Yields the numbers of batches that are needed with their images; the next ones are read meanwhile."""
        with concurrent.futures.ThreadPoolExecutor(1) as executor:
            waiting = None
            for number in numbers:
                if is_needed(number):
                    following = number, executor.submit(self._pixels, number)
                    if waiting is not None:
                        yield waiting[0], waiting[1].result()
                    waiting = following
            if waiting is not None:
                yield waiting[0], waiting[1].result()

    def _computed(self, number: int, pixels: np.ndarray) -> np.ndarray:
        """The records of a batch of images."""
        view, batch = divmod(number, self._batches_of_view)
        return self._run(view, batch, pixels)[: len(self._examples_of(number))]

    def _run(self, view: int, batch: int, pixels: np.ndarray) -> np.ndarray:
        return self.part.cut.pack(self._session.run(self.part.cut.features, self._feeds(view, batch, pixels)))

    def _feeds(self, view: int | None, batch: int, pixels: np.ndarray) -> Feeds:
        """What makes a view of images: the first is plain, others are what a batch of that number would draw.

        Without a view, it is what batch `batch` of training draws.
        """
        feeds = {self.part.images: pixels}
        if self.part.plain is not None:
            # Beyond the numbers that batches of training have.
            feeds |= {self.part.plain: view == 0, self.part.step: (view or 0) << 48 | batch}
        return feeds

    def _check_by_example(self, number: int, values: np.ndarray) -> None:
        """Raises `_NotByExample` if the same examples at other places, beside others, give other records."""
        examples = self._examples_of(number)
        half = -(-len(examples) // 2)
        if number // self._batches_of_view:  # Of a view that is drawn by the place.
            values = self._computed(number % self._batches_of_view, self._pixels_of(examples))
        others = np.setdiff1d(np.arange(min(self._dataset.num_examples, 2 * self.part.rows)), examples)
        beside = np.resize(others if len(others) else examples[:half], len(examples) - half)
        mixed = np.concatenate([examples[:half][::-1], beside])
        again = self._run(0, 0, self._pixels_of(mixed))[:half]
        if not np.array_equal(again[::-1], values[:half]):
            raise _NotByExample
