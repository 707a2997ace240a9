"""Frozen layers are computed once: what they make of each example is kept, and trained and evaluated on.

A graph is cut where what trains begins (`slimft.training.cut`). What its frozen part makes of each example, a
record, is computed in one pass over a split, in batches as large as those of the graph, and kept in the memory, in
a `slimft.data.record_cache`, or in both. From then on batches of records are fed in the place of images, in the
order in which the images would have come.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import hashlib
import itertools
import os
import platform
import random
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from slimft.compat import tf
from slimft.data import Dataset
from slimft.data.pipeline import Batches, shuffled_places
from slimft.data.record_cache import LOOK_SECONDS, Cache, Kind, size_of
from slimft.data.threads import in_threads, parts_of
from slimft.errors import UsageError
from slimft.messages import say
from slimft.progress_bar import ProgressBar
from slimft.runs.settings import Settings
from slimft.training.cut import Cut, Digests, changed_variables, find_cut
from slimft.training.progress import device_name
from slimft.training.run import Run

# Another number where the same graph and values give other records.
_VERSION = 1
# Of an example; what is larger takes as long to read as to compute.
MOST_RECORD_BYTES = 2 << 20
# Of a run, in the memory.
MOST_IN_MEMORY = 512 << 20
# Batches that are read from the disk before they are needed.
_AHEAD = 4
# A bar that would be gone at once is not shown.
_QUIET_SECONDS = 3

_ANEW = "frozen layers are computed anew in each pass over"

Feeds = dict[Any, Any]


class _NotByExample(Exception):
    """What frozen layers make of an example depends on the batch that it is in."""


@dataclasses.dataclass(frozen=True)
class _Part:
    """A part of a run's graph, for training or for evaluation, that can be cut.

    Attributes:
        batches: its input.
        cut: where it is cut.
        rows: examples in a batch.
        is_full: whether each batch has so many; else the last has what is left.
        views: how many records there are of each example.
        feeds_of_view: what to feed beside the images, by the number of a view and of a batch.
        seed: what views that are drawn at random depend on.
    """

    batches: Batches
    cut: Cut
    rows: int
    is_full: bool
    views: int = 1
    feeds_of_view: Callable[[int, int], Feeds] = lambda view, batch: {}
    seed: int = 0


class Features:
    """What the frozen layers of a run make of its examples, in one session.

    Args:
        run: the run.
        session: a session of its graph, with its variables restored.
        interrupted: asked before each batch whether to stop computing.
    """

    def __init__(self, run: Run, session: tf.Session, interrupted: Callable[[], object] = lambda: False):
        self._run, self._session, self._interrupted = run, session, interrupted
        self._digests = Digests(session)
        self._records: dict[str, _Records] = {}
        self._constants: Feeds = {}
        if run.settings.cache == "off":
            return
        parts = _parts_of(run)
        for note in _choose(run, parts):
            say(note)
        self._open(parts)

    def has(self, split: str) -> bool:
        """Whether the features of a split are kept, or will be."""
        return split in self._records

    def compute(self, splits: Sequence[str]) -> None:
        """Computes what is missing of some splits, as far as nothing interrupts it.

        Raises:
            DataError: an image cannot be read.
        """
        for split in splits:
            if split in self._records:
                try:
                    self._records[split].fill(self._interrupted)
                except _NotByExample:
                    del self._records[split]
                    say(f"{_ANEW} {split}: what they make of an image depends on its batch")
                except OSError as error:
                    say(f"{_ANEW} {self._records.pop(split).describe()}: {error.strerror or error}")

    def training_batches(self, first: int) -> Iterator[Feeds] | None:
        """What to feed for the training batches from number `first` on; None where images are to be read.

        `compute` has to have come to its end.
        """
        if "train" not in self._records:
            return None
        run, records = self._run, self._records["train"]
        train, batch_size, views = run.splits["train"], run.settings.batch_size, records.part.views
        sampler, constants = run.sampler(), self._constants_of(records.part)

        def numbered() -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
            places = shuffled_places(first, batch_size, train.num_examples, run.settings.seed)
            for number, (epochs, indices) in zip(itertools.count(first), places):
                examples = indices if sampler is None else sampler(epochs, indices)
                yield number, examples, epochs % views * train.num_examples + examples

        def feeds(item: tuple[int, np.ndarray, np.ndarray], features: list[np.ndarray]) -> Feeds:
            number, examples, _ = item
            batches = run.training.batches
            own = {batches.step: number, batches.targets: train.labels[examples]}
            return {**constants, **own, **dict(zip(records.part.cut.features, features))}

        return records.batches(numbered(), lambda item: item[2], feeds)

    def evaluation_batches(self, split: str) -> Iterator[Feeds] | None:
        """What to feed for the evaluation of a split; None where images are to be read.

        `compute` has to have come to its end.
        """
        if split not in self._records or split == "train":
            return None
        records, dataset = self._records[split], self._run.splits[split]
        constants, targets = self._constants_of(records.part), records.part.batches.targets

        def feeds(indices: np.ndarray, features: list[np.ndarray]) -> Feeds:
            return {**constants, targets: dataset.labels[indices], **dict(zip(records.part.cut.features, features))}

        return records.batches(
            parts_of(np.arange(dataset.num_examples), records.part.rows), lambda item: item, feeds
        )

    def _constants_of(self, part: _Part) -> Feeds:
        """What the graph computes of frozen variables alone, once for all batches."""
        missing = [tensor for tensor in part.cut.constants if tensor not in self._constants]
        self._constants |= dict(zip(missing, self._session.run(missing)))
        return {tensor: self._constants[tensor] for tensor in part.cut.constants}

    def _open(self, parts: dict[str, _Part]) -> None:
        """Opens the records of all splits, as far as there is room for them."""
        left, free, told = self._most_bytes, MOST_IN_MEMORY, []
        for split, part in parts.items():
            size = self._run.splits[split].num_examples * part.views * part.cut.record_bytes
            what = f"{split}, whose {size_of(size)} of features"
            if size > left:
                say(f"{_ANEW} {what} are more than --cache_gb={self._run.settings.cache_gb:g} has room for")
                continue
            records = _Records(self._session, split, self._run.splits[split], part, self._kind_of(part))
            obstacle = records.open(in_memory=size <= free)
            if obstacle is not None and size > free:
                say(f"{_ANEW} {what} cannot be kept: {obstacle}")
                continue
            free -= size if size <= free else 0
            left -= size
            self._records[split] = records
            told.append(records.describe())
        if told:
            say(f"frozen layers are computed once: what they make of {'; '.join(told)} is kept")

    @property
    def _most_bytes(self) -> int:
        return round(self._run.settings.cache_gb * 1e9)

    def _kind_of(self, part: _Part) -> Kind:
        settings = self._run.settings
        text = "\n".join(
            (
                f"{_VERSION} TensorFlow {tf.__version__} {settings.precision} {device_name()} {platform.machine()}",
                os.environ.get("TF_ENABLE_ONEDNN_OPTS", ""),
                part.cut.text,
                self._digests.of(part.cut.variables),
            )
        )
        name = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
        return Kind("features", name, text, part.cut.record_bytes, self._most_bytes)


class _Records:
    """The records of a split: record ``view * num_examples + example`` is that of a view of an example."""

    def __init__(self, session: tf.Session, split: str, dataset: Dataset, part: _Part, kind: Kind):
        self._session, self._split, self._dataset, self.part, self._kind = session, split, dataset, part, kind
        self.count = dataset.num_examples * part.views
        self._cache: Cache | None = None
        self._values: np.ndarray | None = None
        self._there = np.zeros(self.count, bool)  # Of the values.

    def describe(self) -> str:
        """Such as ``train, 900 images, 14.1 MiB``."""
        views = f" in {self.part.views} views" if self.part.views > 1 else ""
        size = size_of(self.count * self.part.cut.record_bytes)
        return f"{self._split}, {self._dataset.num_examples:,} images{views}, {size}"

    def open(self, in_memory: bool) -> str | None:
        """Finds what is there; returns why nothing is to be kept on the disk, if so.

        Args:
            in_memory: whether to keep all records in the memory too.
        """
        if in_memory:
            self._values = np.empty((self.count, self.part.cut.record_bytes), np.uint8)
        wanted = np.arange(self.count)
        try:
            cache = Cache(map(self._fingerprint, wanted), self._kind)
            obstacle = cache.lacks_space(cache.missing_bytes(wanted))
            if obstacle is None:
                self._cache = cache
            return obstacle
        except (OSError, UsageError) as error:
            return getattr(error, "strerror", None) or str(error)

    def fill(self, interrupted: Callable[[], object]) -> None:
        """Computes and keeps the records that are missing; raises DataError, `_NotByExample`."""
        missing = self._missing()
        if len(missing):
            try:
                self._compute_missing(missing, interrupted)
            except OSError as error:  # The disk is full.
                if self._values is None:
                    raise
                say(f"features are kept in the memory only: {self._kind.path}: {error.strerror or error}")
                self._cache = None
                self._compute_missing(self._missing(), interrupted)
        self._load(interrupted)

    def _missing(self) -> np.ndarray:
        """The records that neither the disk nor the memory has."""
        return np.flatnonzero(self._lacking(np.arange(self.count)))

    def _lacking(self, records: np.ndarray) -> np.ndarray:
        """Which of the records are missing: bool ``[records]``."""
        lacking = ~self._there[records]
        return lacking if self._cache is None else lacking & ~self._cache.has(records)

    def _compute_missing(self, missing: np.ndarray, interrupted: Callable[[], object]) -> None:
        numbers = np.unique([self._batch_of(record) for record in missing.tolist()])
        # Several processes begin at different places, and leave out what another has computed meanwhile.
        if self._cache is not None:
            self._cache.make_room(np.arange(self.count))
            numbers = np.roll(numbers, random.SystemRandom().randrange(len(numbers)))
        options = {"unit": " images", "delay": _QUIET_SECONDS, "mininterval": 1}
        looked = time.monotonic()

        def is_needed(number: int) -> bool:
            return bool(self._lacking(self._records_of(number)).any())

        with ProgressBar(desc=f"features of {self._split}", total=len(missing), **options) as bar:
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

    def _load(self, interrupted: Callable[[], object]) -> None:
        """Reads into the memory what is to be kept there and is not."""
        if self._values is None:
            return
        for records in parts_of(np.flatnonzero(~self._there), self.part.rows):
            if interrupted():
                return
            self._values[records] = self._read(records)
            self._there[records] = True

    def batches(
        self,
        items: Iterator[Any],
        records_of: Callable[[Any], np.ndarray],
        feeds: Callable[[Any, list[np.ndarray]], Feeds],
    ) -> Iterator[Feeds]:
        """What to feed for each of some batches.

        Args:
            items: a batch each.
            records_of: the records of a batch.
            feeds: what to feed for a batch, with these features.
        """
        if self._values is not None:
            for item in items:
                yield feeds(item, self.part.cut.unpack(self._values[records_of(item)]))
            return

        def read(item: Any) -> tuple[Any, np.ndarray, list[int]]:
            return item, *self._read_from_disk(records_of(item))

        for item, values, left in in_threads(read, items, _AHEAD):
            # Not in a thread, which would wait for the others.
            self._mend(records_of(item), values, left)
            yield feeds(item, self.part.cut.unpack(values))

    def _read(self, records: np.ndarray) -> np.ndarray:
        values, left = self._read_from_disk(records)
        self._mend(records, values, left)
        return values

    def _read_from_disk(self, records: np.ndarray) -> tuple[np.ndarray, list[int]]:
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
        feeds = {self.part.batches.images: pixels, **self.part.feeds_of_view(view, batch)}
        return self.part.cut.pack(self._session.run(self.part.cut.features, feeds))

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


def _parts_of(run: Run) -> dict[str, _Part]:
    """The parts of the graph that have frozen layers, by the splits that go through them."""
    training, settings, found = run.training, run.settings, {}
    ops = [op for op in (training.train_op, training.add_gradients) if op is not None]
    changed = changed_variables(ops)
    batches, evaluator = training.batches, training.evaluator
    measured = [*training.measured.values(), training.learning_rate, *ops]
    cut = find_cut(measured, training.images, changed, [batches.targets, batches.step])
    if cut is not None and not run.finished:
        found["train"] = _Part(
            batches, cut, settings.batch_size, True, settings.cache_views or 1, _feeds_of_view(run), settings.seed
        )
    cut = find_cut(
        list(evaluator.predictions.values()), evaluator.batches.images, changed, [evaluator.batches.targets]
    )
    for split in ("validation", "test") if cut is not None else ():
        if split in run.splits:
            found[split] = _Part(evaluator.batches, cut, settings.batch_size, False)
    return found


def _feeds_of_view(run: Run) -> Callable[[int, int], Feeds]:
    """What makes a view: nothing at random in the first, and in others what a batch of that number would draw."""
    plain, step = run.training.plain, run.training.batches.step
    if plain is None:
        return lambda view, batch: {}
    # Beyond the numbers that batches of training have.
    return lambda view, batch: {plain: view == 0, step: view << 48 | batch}


def _choose(run: Run, parts: dict[str, _Part]) -> list[str]:
    """Leaves out parts whose features are not to be kept; returns what is to be said of it, and of views."""
    settings, notes = run.settings, []
    for split, found in list(parts.items()):
        size = found.cut.record_bytes
        if size > MOST_RECORD_BYTES:
            del parts[split]
            what = f"of an image they make {size_of(size)}, which is no sooner read than computed"
            notes.append(f"frozen layers are computed anew in each pass: {what}")
    if "train" in parts and (settings.mixup or settings.cutmix):
        del parts["train"]
        notes.append(f"{_ANEW} train: --mixup and --cutmix mix other images each time")
    elif "train" in parts and settings.augment != "none" and not settings.cache_views:
        del parts["train"]
        notes.append(
            f"{_ANEW} train, as --augment={settings.augment} shows images differently each time; --cache_views=4 "
            "would compute 4 views of each image once and train on these in turn"
        )
    elif settings.cache_views and not run.finished and "train" not in parts:
        notes.append(f"--cache_views={settings.cache_views} does nothing here: --augment={settings.augment} holds")
    elif settings.cache_views and "train" in parts and settings.augment != "none":
        notes.append(_views(settings))
    return list(dict.fromkeys(notes))


def _views(settings: Settings) -> str:
    if settings.cache_views == 1:
        return f"--cache_views=1: training sees each image as it is, without --augment={settings.augment}"
    return (
        f"--cache_views={settings.cache_views}: training sees each image as it is, and as "
        f"--augment={settings.augment} draws it {settings.cache_views - 1} times, in turn, an epoch each"
    )
