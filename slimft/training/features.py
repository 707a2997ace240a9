"""Frozen layers are computed once: what they make of each example is kept, and trained and evaluated on.

A graph is cut where what trains begins (`slimft.training.cut`). What its frozen part makes of each example, a
record, is computed in one pass over a split, in batches as large as those of the graph, and kept in the memory, in
a `slimft.data.record_cache`, or in both. From then on batches of records are fed in the place of images, in the
order in which the images would have come.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import os
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from slimft import system
from slimft.compat import tf
from slimft.compat.graphs import replace_by_placeholder
from slimft.data.pipeline import Batches, shuffled_places
from slimft.data.record_cache import Kind, size_of
from slimft.data.threads import parts_of
from slimft.messages import say
from slimft.runs.settings import Settings
from slimft.training.cut import Digests, changed_variables, find_cut
from slimft.training.feature_records import ANEW, Batch, Feeds, Part, Records
from slimft.training.progress import device_name
from slimft.training.run import Run

# Another number where the same graph and values give other records.
_VERSION = 1
# What of the environment decides how TensorFlow rounds.
_CHANGE_KERNELS = ("TF_ENABLE_ONEDNN_OPTS", "TF_XLA_FLAGS")
# Of an example; what is larger takes as long to read as to compute.
MOST_RECORD_BYTES = 2 << 20
# Of a run, in the memory.
MOST_IN_MEMORY = 512 << 20


class Features:
    """What the frozen layers of a run make of its examples, in one session.

    Args:
        run: the run.
        parts: what `cut_graph` returned.
        session: a session of its graph, with its variables restored.
        interrupted: asked before each batch whether to stop computing.
    """

    def __init__(
        self,
        run: Run,
        parts: dict[str, Part],
        session: tf.Session,
        interrupted: Callable[[], object] = lambda: False,
    ):
        self._run, self._session, self._interrupted = run, session, interrupted
        self._digests = Digests(session)
        self._records: dict[str, Records] = {}
        self._constants: Feeds = {}
        self._open(parts)

    def has(self, split: str) -> bool:
        """Whether the features of a split are kept, or will be."""
        return split in self._records and self._records[split].keeps

    def compute(self, splits: Sequence[str]) -> None:
        """Computes what is missing of some splits, as far as nothing interrupts it.

        Raises:
            DataError: an image cannot be read.
        """
        for split in splits:
            if split in self._records:
                self._records[split].fill(self._interrupted)

    def compute_to_train(self, first: int, last: int) -> None:
        """Computes what is missing of the training split for the batches from number `first` to before `last`.

        Raises:
            DataError: an image cannot be read.
        """
        if "train" in self._records:
            records, wanted = self._records["train"], None
            batches = last - first
            if batches * self._run.settings.batch_size < records.count:
                numbered = itertools.islice(self._numbered(first), max(0, batches))
                wanted = np.unique(np.concatenate([[], *(batch.records for batch in numbered)]).astype(np.int64))
            records.fill(self._interrupted, wanted)

    def training_batches(self, first: int) -> Iterator[Feeds] | None:
        """What to feed for the training batches from number `first` on; None where images are to be read.

        `compute_to_train` has to have come to its end, for as many batches as are asked for.
        """
        if "train" not in self._records:
            return None
        return self._training_batches(first)

    def _training_batches(self, first: int) -> Iterator[Feeds]:
        records, labels = self._records["train"], self._run.splits["train"].labels
        part, constants = records.part, self._constants_of(records.part)
        for batch, features in records.batches(self._numbered(first)):
            own = {part.step: batch.number, part.targets: labels[batch.examples]}
            yield {**constants, **own, **dict(zip(part.cut.inputs, features))}

    def _numbered(self, first: int) -> Iterator[Batch]:
        """The batches of training from number `first` on."""
        part, train = self._records["train"].part, self._run.splits["train"]
        settings, sampler = self._run.settings, self._run.sampler()
        places = shuffled_places(first, settings.batch_size, train.num_examples, settings.seed)
        for number, (epochs, indices) in zip(itertools.count(first), places):
            examples = indices if sampler is None else sampler(epochs, indices)
            yield Batch(number, examples, epochs % part.views * train.num_examples + examples)

    def evaluation_batches(self, split: str) -> Iterator[tuple[np.ndarray, Feeds]] | None:
        """The targets of each batch of an evaluation and what to feed for it; None where images are to be read.

        `compute` has to have come to its end.
        """
        if split not in self._records or split == "train":
            return None
        return self._evaluation_batches(split)

    def _evaluation_batches(self, split: str) -> Iterator[tuple[np.ndarray, Feeds]]:
        records, dataset = self._records[split], self._run.splits[split]
        part, constants = records.part, self._constants_of(records.part)
        parts = parts_of(np.arange(dataset.num_examples), part.rows)
        for batch, features in records.batches(Batch(*item, item[1]) for item in enumerate(parts)):
            targets = dataset.labels[batch.examples]
            yield targets, {**constants, part.targets: targets, **dict(zip(part.cut.inputs, features))}

    def _constants_of(self, part: Part) -> Feeds:
        """What the graph computes of frozen variables alone, once for all batches."""
        missing = [tensor for tensor in part.cut.constants if tensor not in self._constants]
        self._constants |= dict(zip(missing, self._session.run(missing)))
        return {fed: self._constants[tensor] for fed, tensor in zip(part.cut.constant_inputs, part.cut.constants)}

    def _open(self, parts: dict[str, Part]) -> None:
        """Opens the records of all splits, as far as there is room for them."""
        free, told = MOST_IN_MEMORY, []
        for split, part in parts.items():
            records = Records(self._session, split, self._run.splits[split], part)
            self._records[split] = records
            if not part.keeps:
                continue
            in_memory = records.size <= free
            obstacle = records.open(self._kind_of(part), in_memory)
            if obstacle is not None:
                where = "kept in the memory only" if in_memory else "computed anew in each pass"
                say(f"what frozen layers make of {records.describe()} is {where}: {obstacle}")
            free -= records.size if in_memory else 0
            if records.keeps:
                told.append(records.describe())
        if told:
            say(f"frozen layers are computed once: what they make of {'; '.join(told)} is kept")

    def forget(self) -> None:
        """From now on nothing is kept: the frozen variables have got other values."""
        self._constants.clear()
        for records in self._records.values():
            records.forget()

    def _kind_of(self, part: Part) -> Kind:
        settings = self._run.settings
        text = "\n".join(
            (
                f"{_VERSION} TensorFlow {tf.__version__} {settings.precision} {device_name()} {system.processor()}",
                *(f"{name}={os.environ.get(name, '')}" for name in _CHANGE_KERNELS),
                f"xla {settings.xla}",
                part.cut.text,
                self._digests.of(part.cut.variables),
            )
        )
        name = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
        return Kind("features", name, text, part.cut.record_bytes, _most_bytes(settings))


def cut_graph(run: Run) -> dict[str, Part]:
    """Cuts a run's graph, of which no session may have run anything yet, and says what is to be known of it.

    Returns:
        By the splits whose features may be kept, the parts of the graph that they go through.
    """
    if run.settings.cache == "off":
        return {}
    if run.settings.task.targets.is_map:
        if len(run.training.trained) < len(run.training.graph.get_collection("trainable_variables")):
            say("frozen layers are computed anew in each pass: what they make of masked images is not kept")
        return {}
    parts = _parts_of(run) if run.group.number == 1 else {}
    number = run.training.replicas.number
    if number > 1 and len(run.training.trained) < len(run.training.graph.get_collection("trainable_variables")):
        say(f"{ANEW} train: what is kept is of whole batches, which {number} replicas split")
    for note in _choose(run, parts):
        say(note)
    opened: dict[int, tuple] = {}
    for split, part in parts.items():
        key = id(part.cut)
        if key not in opened:
            tensors = part.images, part.step, part.targets
            opened[key] = part.cut.opened(), *map(replace_by_placeholder, tensors)
        parts[split] = dataclasses.replace(part, **dict(zip(("cut", "images", "step", "targets"), opened[key])))
    return parts


def _parts_of(run: Run) -> dict[str, Part]:
    """The parts of the graph that have frozen layers, by the splits that go through them."""
    training, settings = run.training, run.settings
    ops = [op for op in (training.train_op, training.add_gradients) if op is not None]
    changed = changed_variables(ops)

    def part(wanted: list, images: tf.Tensor, batches: Batches, **options) -> Part | None:
        cut = find_cut(wanted, images, changed, [batches.targets, batches.step])
        where = batches.images, batches.step, batches.targets
        return cut and Part(batches, cut, *where, settings.batch_size, **options)

    evaluator = training.evaluator
    evaluated = part(
        list(evaluator.predictions.values()), evaluator.batches.images, evaluator.batches, is_full=False
    )
    found = {split: evaluated for split in ("validation", "test") if split in run.splits}
    if not run.finished and training.replicas.number == 1:
        measured = [*training.measured.values(), training.learning_rate, *ops]
        views = {"views": settings.cache_views or 1, "plain": training.plain, "seed": settings.seed}
        found["train"] = part(measured, training.images, training.batches, is_full=True, **views)
    return {split: found[split] for split in ("train", "validation", "test") if found.get(split) is not None}


def _choose(run: Run, parts: dict[str, Part]) -> list[str]:
    """Leaves out parts whose features are not to be kept; returns what is to be said of it, and of views."""
    settings, notes = run.settings, []
    augment, views = settings.augment, settings.cache_views
    for split, part in list(parts.items()):
        if part.cut.record_bytes > MOST_RECORD_BYTES:
            del parts[split]
            of_one = f"of one image they make {size_of(part.cut.record_bytes)}"
            notes.append(f"{ANEW} {split}: {of_one}, which is no sooner read than computed")
    if "train" in parts and (settings.mixup or settings.cutmix):
        del parts["train"]
        notes.append(f"{ANEW} train: --mixup and --cutmix mix other images each time")
    elif "train" in parts and augment != "none" and not views:
        del parts["train"]
        notes.append(
            f"{ANEW} train: --augment={augment} shows images differently each time; --cache_views=4 would compute "
            "4 views of each image once and train on these in turn"
        )
    notes += _leave_out_what_is_too_much(run, parts)
    if views and augment != "none" and not run.finished:
        notes.append(_views(settings) if "train" in parts else f"--cache_views={views} does nothing here")
    return notes


def _leave_out_what_is_too_much(run: Run, parts: dict[str, Part]) -> list[str]:
    """Says for which splits there is no room; leaves out those of them that share their graph with no other."""
    left, notes = _most_bytes(run.settings), []
    for split, part in list(parts.items()):
        size = run.splits[split].num_examples * part.views * part.cut.record_bytes
        if size > left:
            parts[split] = dataclasses.replace(part, keeps=False)
            room = f"they take {size_of(size)}, and --cache_gb={run.settings.cache_gb:g} has {size_of(left)} left"
            notes.append(f"{ANEW} {split}: {room}")
        else:
            left -= size
    kept = {id(part.cut) for part in parts.values() if part.keeps}
    for split in [split for split, part in parts.items() if id(part.cut) not in kept]:
        del parts[split]
    return notes


def _most_bytes(settings: Settings) -> int:
    return round(settings.cache_gb * 1e9)


def _views(settings: Settings) -> str:
    if settings.cache_views == 1:
        return f"--cache_views=1: training sees each image as it is, without --augment={settings.augment}"
    return (
        f"--cache_views={settings.cache_views}: training sees each image as it is, and as "
        f"--augment={settings.augment} draws it {settings.cache_views - 1} times, in turn, an epoch each"
    )
