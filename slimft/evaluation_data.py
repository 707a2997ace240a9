"""Which examples checkpoints are evaluated on: of their run's own data a split, of other data all of it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence

import numpy as np

from slimft.data import WHOLE, DataOptions, Dataset, load_dataset, load_for_evaluation
from slimft.data.dataset import OF_READING
from slimft.data.fingerprint import Fingerprint, as_recorded, changes, drawn_splits, leave_out
from slimft.data.image_checks import check_images
from slimft.data.loading import dataset_names, never_changes, some_examples, task_of
from slimft.errors import DataError, SlimftError, UsageError
from slimft.inference import Network
from slimft.runs.data_record import read_data_record

# What is evaluated by default, of the splits that there are.
_ORDER = ("test", "validation", WHOLE, "train")


@dataclasses.dataclass(frozen=True)
class ChosenData:
    """The examples to evaluate on; made by `choose_data`.

    Attributes:
        dataset: the examples; where the network's classes have names, their labels are those classes.
        data_dir: where they are; None for the dataset's default.
        left_out: how many were left out because the run trained on them.
        notes: lines on what was chosen and why.
        own: whether it is the run's own data.
    """

    dataset: Dataset
    data_dir: str | None
    left_out: int
    notes: tuple[str, ...]
    own: bool = False

    def without(self, others: Dataset, why: str) -> ChosenData:
        """It without the images of `others`, whatever they are called; `why`, for a note, is what these are.

        Raises:
            DataError: nothing is left, or a file cannot be read.
        """
        found = frozenset(others.digests() or ())
        ours = self.dataset.digests() or []
        out = np.array([digest in found for digest in ours], bool)
        if not out.any():
            return self
        if out.all():
            raise DataError(f"{self.dataset.name} {self.dataset.split}: all {len(ours)} images are {why}")
        number = int(np.count_nonzero(out))
        note = f"left out: {number} {'image that is' if number == 1 else 'images that are'} {why}"
        kept = self.dataset.select(np.flatnonzero(~out))
        return dataclasses.replace(self, dataset=kept, notes=(*self.notes, note))

    def sampled(self, count: int | None, seed: int) -> ChosenData:
        """A sample of it, as of `slimft.data.loading.some_examples`, with a note."""
        drawn = some_examples(self.dataset, count, seed, "examples")
        if drawn.drawn_from is None:
            return self
        note = f"a sample: {drawn.num_examples} of {drawn.drawn_from} examples (--examples)"
        return dataclasses.replace(self, dataset=drawn, notes=(*self.notes, note))


def choose_data(
    network: Network,
    dataset: str | None = None,
    data_dir: str | os.PathLike | None = None,
    split: str | None = None,
    options: Mapping[str, object] | DataOptions | None = None,
    others: Sequence[Network] = (),
) -> ChosenData:
    """Loads the examples to evaluate a network on.

    Data is the run's own if it has the name and the place that the run has it by, or that name and never changes
    (digits, cifar10), or that name and for the most part the images that the run recorded. It is split as the run
    split it. Other data is evaluated whole or, if it has splits of its own, on its test split. What the run trained
    on is left out, unless it is asked for.

    Args:
        network: the network.
        dataset: name of the dataset; None for the run's.
        data_dir: where it is; None for where the run had it, if it is the run's dataset, else for the default.
        split: ``train``, ``validation``, ``test`` or ``all``; None for test or, where there is no such split,
            validation. Of data that is not the run's own and has no splits, None is ``all``.
        options: fields of `slimft.data.DataOptions` in place of the run's, or of the defaults. If one says how to
            split, other data is split too.
        others: further networks, of an ensemble. What their runs trained on is left out as well.

    Raises:
        UsageError: the dataset or the split is unknown, or an option makes no sense; the runs of an ensemble have
            different data, and none is given.
        DataError: the data is missing or corrupt, or of other classes than the network; the run trained on all of
            it; or on which of it is not known.
    """
    settings = network.settings
    options = dataclasses.asdict(options) if isinstance(options, DataOptions) else dict(options or {})
    for flag, value in (("dataset", dataset), ("data_dir", data_dir)):
        if value == "":
            raise UsageError(f"--{flag}= is empty; give it a value, or leave it out")
    if dataset is None and settings is None:
        raise UsageError("--dataset is missing; give it, or --train_dir of a run of bin/finetune")
    if dataset is None and data_dir is None:
        _check_same_data((network, *others))
    dataset = dataset or settings.dataset
    if dataset in dataset_names() and task_of(dataset) != network.task.name:
        raise UsageError(
            f"--dataset={dataset} is for {task_of(dataset)}, and {network.spec.name} is for {network.task.name}"
        )
    if data_dir is None and settings and dataset == settings.dataset:
        data_dir = settings.data_dir
    data_dir = None if data_dir is None else os.fspath(data_dir)
    options = {name: value for name, value in options.items() if name not in OF_READING or value is not None}
    reads = _as_the_run_reads(network, dataset)
    reads |= {name: options[name] for name in (*OF_READING, "group", "train_list") if name in options}
    whole = _Whole(dataset, data_dir, DataOptions(**reads), network)
    record = read_data_record(network.run) if network.run else None
    own, notes = _is_own(network, record, whole), []
    if own:
        splits, changed = _own_splits(network, record, whole, split, options)
        notes += changed
    else:
        splits = _others_splits(whole, split, options)
    trained: set[str] = set()
    for one in (network, *others):
        known = record if one is network else read_data_record(one.run) if one.run else None
        if known is not None:
            trained |= known.trained
            if others and split != "validation":  # Of folds, what validates in one, which chose its checkpoint.
                trained |= known.validated
        elif one.settings and not never_changes(one.settings.dataset):
            notes.append(f"{one.run} is of an earlier version and does not tell what it trained on: none left out")
    total = sum(data.num_examples for data in splits.values())
    left_out = 0
    if split == WHOLE and WHOLE not in splits and network.task.name == "classification":
        joined, left_out, said = _joined(splits, dataset, (network, *others))
        splits, notes = {WHOLE: joined}, [*notes, *said]
    if own and split is None and _default(splits) == "train":
        raise DataError(
            f"of the images that {network.run} was validated and tested on none is left in {dataset}"
            f"{f' ({data_dir})' if data_dir else ''}; evaluate it on other data, or give --split"
        )
    chosen = _with_classes(_split_of(splits, dataset, split), network)
    whose = "the run's own" if own else "not the run's own" if settings else "of no run"
    notes = [_said_of(chosen, total, data_dir, whose, split), *chosen.notes, *notes]
    notes += check_images({chosen.split: chosen})
    if chosen.split == "train":
        if own:
            notes.append("the run trained on these examples: of others the figures are not as good")
    elif trained:
        chosen, number, said = _without_trained(chosen, trained, several=bool(others))
        left_out, notes = left_out + number, [*notes, *said]
    return ChosenData(chosen, data_dir, left_out, tuple(notes), own)


def _check_same_data(networks: Sequence[Network]) -> None:
    """Raises UsageError where the runs of an ensemble have data of other names, or in other places."""
    first, *others = [one.settings for one in networks]
    for network, settings in zip(networks[1:], others):
        same = settings.dataset == first.dataset
        if not same or not (never_changes(first.dataset) or _place(settings.data_dir) == _place(first.data_dir)):
            raise UsageError(
                f"{network.run} was trained on {settings.dataset} in {settings.data_dir}, and {networks[0].run} on "
                f"{first.dataset} in {first.data_dir}; say with --dataset and --data_dir what to evaluate both on"
            )


def _joined(splits: dict[str, Dataset], name: str, networks: Sequence[Network]) -> tuple[Dataset, int, list[str]]:
    """All splits that data has itself, as one; how many examples are not in it, and what is to be said of that."""
    parts, left_out, notes = dict(splits), 0, []
    trained = [one for one in networks if one.settings and one.settings.dataset == name]
    if never_changes(name) and trained:  # There is no record, and none is needed.
        left_out = parts.pop("train").num_examples
        notes.append(f"left out: {left_out} images of the training split")
    first, *others = parts.values()
    return first.joined(others), left_out, notes


def _without_trained(chosen: Dataset, trained: set[str], several: bool) -> tuple[Dataset, int, list[str]]:
    """A split without what a run trained on; how many images that were, and what is to be said of them."""
    who = "one of the runs" if several else "the run"
    if several and trained.issuperset(chosen.digests() or [""]):
        raise DataError(
            f"{chosen.name} {chosen.split}: each of its {chosen.num_examples} images trained or validated one of "
            "the runs, as where each run has a fold of its own; evaluate each run by itself (a cross-validation by "
            "its directory alone), or the ensemble on other data"
        )
    kept, left_out, names = leave_out(chosen, trained)
    if not left_out:
        return kept, 0, []
    these = "image" if left_out == 1 else "images"
    did = "trained or validated" if several else "trained"
    return kept, left_out, [f"left out: {left_out} {these} that {who} {did} on, such as {names[0]}"]


def _as_the_run_reads(network: Network, dataset: str) -> dict[str, object]:
    """The options by which the run read its data, as far as they are about `dataset` too."""
    if network.settings is None or never_changes(dataset):
        return {}
    same = dataset == network.settings.dataset
    names = ("group", "train_list", *OF_READING) if same else ("grey_bits",)
    return {name: getattr(network.settings, name) for name in names if name != "cache"}


@dataclasses.dataclass
class _Whole:
    """Data as it is, with its own splits or none, loaded when it is asked for."""

    dataset: str
    data_dir: str | None
    options: DataOptions
    network: Network
    _splits: dict[str, Dataset] | None = None

    @property
    def splits(self) -> dict[str, Dataset]:
        if self._splits is None:
            names = self.network.known_class_names
            self._splits = load_for_evaluation(self.dataset, self.data_dir, self.options, names)
        return self._splits


def _is_own(network: Network, record: Fingerprint | None, whole: _Whole) -> bool:
    """Whether data is what the run was trained on, perhaps changed since, or somewhere else."""
    settings = network.settings
    if settings is None or whole.dataset != settings.dataset:
        return False
    if never_changes(whole.dataset):
        return True
    here = _place(whole.data_dir) == _place(settings.data_dir)
    # A relative path may lead elsewhere than it did when the run began.
    if record is None or (here and os.path.isabs(os.path.expanduser(settings.data_dir or os.sep))):
        return here
    recorded = {digest for images in record.splits.values() for _, digest in images}
    there = {digest for data in whole.splits.values() for digest in data.digests()}
    both = len(recorded & there)
    if here:
        return both > 0
    # A part of it in another place has been chosen by someone, and is not split again.
    return (both > len(there) / 2 or settings.train_examples is not None) and both > len(recorded) / 2


def _place(data_dir: str | None) -> str | None:
    return None if data_dir is None else os.path.realpath(os.path.expanduser(data_dir))


def _own_splits(network: Network, record: Fingerprint | None, whole: _Whole, split: str | None, options: dict):
    """The splits of the run's own data, and what is to be said of its changes."""
    ours = network.settings.data_options()
    reading = {name: options[name] for name in OF_READING if name in options}
    drawn, new, notes = drawn_splits(whole.splits), (), []

    def load() -> dict[str, Dataset]:
        return load_dataset(whole.dataset, whole.data_dir, dataclasses.replace(ours, **reading))

    def draw() -> dict[str, Dataset]:
        """As the run would draw now; nothing where that cannot be, as where its groups are not found."""
        try:
            return load()
        except SlimftError:
            return {}

    if record is not None and drawn and network.task.name == "classification":
        splits, new = as_recorded(whole.splits, record, drawn, draw if ours.train_examples is None else None)
        if not splits and split != WHOLE:
            raise DataError(
                f"none of the images that {network.run} had is left in {whole.dataset} ({whole.data_dir}); to "
                "evaluate it on what is there now, give --split=all"
            )
    else:
        splits = load()
    if record is not None:
        now = Fingerprint.of(splits)
        if ours.train_examples is None:  # Else the run did not record those that it left out.
            now = now.with_images("train", new)
        changed = changes(record, now)
        if changed:
            notes.append(f"since the run trained, its data has changed: {changed}")
        notes += [f"of the run's {name} split nothing is left" for name in record.splits if name not in splits]
    elif not never_changes(whole.dataset) and (split or _default(splits)) not in set(whole.splits) - {WHOLE}:
        raise DataError(
            f"{network.run} is of an earlier version, which drew its splits by the order of the files and does not "
            "tell what it trained on: what is drawn now would hold training images; evaluate it on other data "
            "(--data_dir), or train anew"
        )
    if split == WHOLE:
        splits = whole.splits
    elif set(options) - set(OF_READING):
        splits = load_dataset(whole.dataset, whole.data_dir, dataclasses.replace(ours, **options))
    return splits, notes


def _others_splits(whole: _Whole, split: str | None, options: dict) -> dict[str, Dataset]:
    """The splits of other data: its own or the whole, unless something asks for others."""
    draws = set(options) - set(OF_READING) or (split is not None and WHOLE in whole.splits)
    if split == WHOLE or not draws:
        return whole.splits
    reading = {name: getattr(whole.options, name) for name in OF_READING}
    return load_dataset(whole.dataset, whole.data_dir, DataOptions(**{**reading, **options}))


def _default(splits: dict[str, Dataset]) -> str:
    return next(split for split in _ORDER if split in splits)


def _split_of(splits: dict[str, Dataset], name: str, split: str | None) -> Dataset:
    """The split called `split`, or the one that is evaluated by default."""
    split = split or _default(splits)
    if split not in splits:
        there = " and ".join(splits)
        raise UsageError(f"--split={split}: the data ({name}) has no such split, only {there}")
    return splits[split]


def _said_of(chosen: Dataset, total: int, data_dir: str | None, whose: str, split: str | None) -> str:
    """A line on the split and why it is that one."""
    place = f" in {data_dir}" if data_dir else ""
    said = f"data: {chosen.name}{place}, {whose}, "
    if chosen.split == WHOLE:
        return said + f"all {total} examples" + ("" if split else ", as it has no splits")
    said += f"split {chosen.split}, {chosen.num_examples} of {total} examples"
    return said + ("; the data has no test split" if split is None and chosen.split != "test" else "")


def _with_classes(data: Dataset, network: Network) -> Dataset:
    """`data` with the network's classes, by their names; raises DataError if it has others."""
    names = network.known_class_names
    if names is not None:
        return data.with_classes(names)
    if data.num_classes != network.num_classes:
        raise DataError(
            f"the data ({data.name}) has {data.num_classes} classes, and {network.checkpoint.path} "
            f"{network.num_classes}; evaluate on data of its classes"
        )
    return data
