"""What image files hold, whatever they are called: to find out what changed in a dataset, and what it has twice."""

from __future__ import annotations

import collections
import dataclasses
import re
from collections.abc import Callable, Collection, Iterable, Sequence

import numpy as np

from slimft.data.dataset import SPLITS, WHOLE, Dataset
from slimft.data.digest import DIGEST_BYTES
from slimft.errors import DataError, SlimftError

_VERSION = 1
_DIGEST = re.compile(f"[0-9a-f]{{{2 * DIGEST_BYTES}}}")
_NAMED = 3


@dataclasses.dataclass(frozen=True)
class Fingerprint:
    """The images of a run's splits, to be kept in its directory.

    Attributes:
        splits: split name to each of its images' key and digest, as `Dataset.keys` and `Dataset.digests` give them.
        trained_before: digests of images that trained at some time and are not in the training split.
        masks: split name to the digest of each of its images' mask; without those that have none.
        labels: split name to the class name of each of its images; without those of masks, and of earlier versions.
    """

    splits: dict[str, tuple[tuple[str, str], ...]]
    trained_before: frozenset[str] = frozenset()
    masks: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    labels: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, splits: dict[str, Dataset], before: Fingerprint | None = None) -> Fingerprint | None:
        """That of some splits; None of arrays, which never change.

        Args:
            splits: split name to dataset.
            before: that of the same run when it began or last went on, whose training images count on.

        Raises:
            DataError: a file cannot be read.
        """
        if any(dataset.in_memory for dataset in splits.values()):
            return None
        found = cls(
            {split: (*zip(data.keys(), data.digests()),) for split, data in splits.items()},
            masks={split: found for split, data in splits.items() if (found := tuple(data.companions()))},
            labels={
                split: tuple(data.class_names[label] for label in data.labels.tolist())
                for split, data in splits.items()
                if data.task == "classification"
            },
        )
        earlier = before.trained - found.trained if before else frozenset()
        return dataclasses.replace(found, trained_before=earlier)

    @property
    def trained(self) -> frozenset[str]:
        """The digests of all images that trained."""
        return self.trained_before | {digest for _, digest in self.splits.get("train", ())}

    @property
    def validated(self) -> frozenset[str]:
        """The digests of the images that validated."""
        return frozenset(digest for _, digest in self.splits.get("validation", ()))

    def with_images(self, split: str, images: Sequence[tuple[str, str]]) -> Fingerprint:
        """It with further images of a split, keys and digests."""
        return dataclasses.replace(self, splits={**self.splits, split: (*self.splits.get(split, ()), *images)})

    def to_json(self) -> dict:
        """Plain lists and strings, for `json.dumps`."""
        splits = {
            split: {"keys": [key for key, _ in images], "digests": [digest for _, digest in images]}
            for split, images in self.splits.items()
        }
        for split, masks in self.masks.items():
            splits[split]["masks"] = list(masks)
        names = sorted({name for labels in self.labels.values() for name in labels})
        numbers = {name: number for number, name in enumerate(names)}
        for split, labels in self.labels.items():
            splits[split]["labels"] = [numbers[name] for name in labels]
        saved = {"version": _VERSION, "splits": splits, "trained_before": sorted(self.trained_before)}
        return {**saved, "classes": names} if names else saved

    @classmethod
    def from_json(cls, saved: object, name: str) -> Fingerprint:
        """What `to_json` returned; `name` is what to call the file in a message.

        Raises:
            SlimftError: it is something else, or of a version that is not known.
        """
        if not isinstance(saved, dict) or saved.get("version") != _VERSION:
            raise SlimftError(f"{name} cannot be read: it is no fingerprint of version {_VERSION}")
        splits, masks, labels = {}, {}, {}
        named, classes = saved.get("splits"), saved.get("classes", [])
        if not isinstance(named, dict):
            raise SlimftError(f"{name} cannot be read: it has no splits")
        for split, images in named.items():
            keys, found = (images.get(part) if isinstance(images, dict) else None for part in ("keys", "digests"))
            if not _are_strings(keys) or not _are_digests(found) or len(keys) != len(found):
                raise SlimftError(f"{name} cannot be read: its {split} split is damaged")
            splits[split] = tuple(zip(keys, found))
            if "masks" in images:
                if not _are_digests(images["masks"]) or len(images["masks"]) != len(keys):
                    raise SlimftError(f"{name} cannot be read: the masks of its {split} split are damaged")
                masks[split] = tuple(images["masks"])
            if "labels" in images:
                found = images["labels"]
                if not _are_strings(classes) or not _are_places(found, classes) or len(found) != len(keys):
                    raise SlimftError(f"{name} cannot be read: the labels of its {split} split are damaged")
                labels[split] = tuple(classes[number] for number in found)
        earlier = saved.get("trained_before")
        if not _are_digests(earlier):
            raise SlimftError(f"{name} cannot be read: trained_before is damaged")
        return cls(splits, frozenset(earlier), masks, labels)


def _are_strings(values: object) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)


def _are_digests(values: object) -> bool:
    return _are_strings(values) and all(map(_DIGEST.fullmatch, values))


def _are_places(values: object, among: list) -> bool:
    """Whether these are a list of indices of `among`."""
    return isinstance(values, list) and all(type(value) is int and 0 <= value < len(among) for value in values)


@dataclasses.dataclass(frozen=True)
class Changes:
    """How many images are not as they were.

    Attributes:
        added: images whose content and key are new.
        removed: images whose content and key are gone.
        changed: images whose key is there with other content.
        renamed: images whose content is there with another key.
        moved: images that are in another split, of those that are there still.
        masks: images whose mask has other content, of those that are there still.
        labels: images of another class, of those that are there still.
    """

    added: int = 0
    removed: int = 0
    changed: int = 0
    renamed: int = 0
    moved: int = 0
    masks: int = 0
    labels: int = 0

    def __bool__(self) -> bool:
        return any(dataclasses.astuple(self))

    def __str__(self) -> str:
        """Such as ``3 images were added, 1 was removed, 2 have other content``; empty where nothing changed."""
        told = (
            (self.added, "was added", "were added"),
            (self.removed, "was removed", "were removed"),
            (self.changed, "has other content", "have other content"),
            (self.renamed, "has another name", "have other names"),
            (self.moved, "is in another split", "are in other splits"),
            (self.labels, "has another label", "have other labels"),
        )
        parts = [f"{count} {one if count == 1 else many}" for count, one, many in told if count]
        if parts:
            count, _, rest = parts[0].partition(" ")
            parts[0] = f"{count} image{'' if count == '1' else 's'} {rest}"
        if self.masks:
            parts.append(f"{self.masks} mask{' has' if self.masks == 1 else 's have'} other content")
        return ", ".join(parts)


def changes(old: Fingerprint, new: Fingerprint) -> Changes:
    """What is not as it was between two fingerprints of the same data."""
    before, now = (
        [(*image, split) for split, images in one.splits.items() for image in images] for one in (old, new)
    )
    same = collections.Counter(before) & collections.Counter(now)
    gone, come = _without(before, same), _without(now, same)
    counts = collections.Counter()
    # First what is there still, then what has only its name in common.
    for count, part in (("stayed", (0, 1)), ("renamed", (1,)), ("changed", (0,))):
        gone, come, pairs = _paired(gone, come, part)
        counts[count] += len(pairs)
        counts["moved"] += sum(one[2] != other[2] for one, other in pairs)
    # A mask lies beside its image, under its name; a label may be that of the folder that an image was put in.
    masks = _others(old, new, old.masks, new.masks, (0, 1))
    labels = _others(old, new, old.labels, new.labels, (1, 0))
    return Changes(len(come), len(gone), counts["changed"], counts["renamed"], counts["moved"], masks, labels)


def drawn_splits(whole: Collection[str]) -> tuple[str, ...]:
    """The splits that are drawn of data that has the splits `whole` itself, or is one called ``all``."""
    if WHOLE in whole:
        return SPLITS
    return () if "validation" in whole else ("train", "validation")


def as_recorded(
    whole: dict[str, Dataset],
    record: Fingerprint,
    drawn: Collection[str],
    draw: Callable[[], dict[str, Dataset]] | None = None,
) -> tuple[dict[str, Dataset], tuple[tuple[str, str], ...]]:
    """The splits of data as a run recorded them, whatever its images are called now.

    An image is known by its key and content, then by its content, then by its key.

    Args:
        whole: split name to dataset, as the data has them itself; ``all``, or ``train`` of data that has no split
            to validate on, is divided.
        record: where the images were.
        drawn: the splits that it is divided into.
        draw: draws all splits anew, for images that were not recorded; None to leave these out.

    Returns:
        The splits, without those of which nothing is left; and the keys and digests of images of the divided part
        that were in none of these.

    Raises:
        DataError: a file cannot be read.
    """
    divided = WHOLE if WHOLE in whole else "train"
    data = whole[divided]
    images = list(zip(data.keys(), data.digests()))
    places = _places(images, [(*image, split) for split in record.splits for image in record.splits[split]])
    if draw is not None and None in places:
        of_new = {key: split for split, data in draw().items() for key in data.keys()}
        places = [place or of_new.get(key) for place, (key, _) in zip(places, images)]
    parts = {split: np.flatnonzero([place == split for place in places]) for split in drawn}
    splits = {name: dataset for name, dataset in whole.items() if name != divided}
    splits |= {
        split: dataclasses.replace(data.select(part), split=split) for split, part in parts.items() if len(part)
    }
    new = tuple(image for image, place in zip(images, places) if place not in drawn)
    return {split: splits[split] for split in SPLITS if split in splits}, new


def _places(images: list[tuple[str, str]], recorded: list[tuple[str, str, str]]) -> list[str | None]:
    """The split that each image was recorded in, None of one that was not; each record stands for one image."""
    places: list[str | None] = [None] * len(images)
    left = set(range(len(recorded)))
    for part in ((0, 1), (1,), (0,)):
        waiting = collections.defaultdict(list)
        for number in sorted(left, reverse=True):
            waiting[tuple(recorded[number][place] for place in part)].append(number)
        for index, image in enumerate(images):
            found = waiting.get(tuple(image[place] for place in part)) if places[index] is None else None
            if found:
                number = found.pop()
                left.remove(number)
                places[index] = recorded[number][2]
    return places


def _others(old: Fingerprint, new: Fingerprint, of_old: dict, of_new: dict, parts: tuple[int, int]) -> int:
    """How many images have something else than in the old data: a mask, or a label.

    An image is known by its key or its content: by the first of `parts` that was there, 0 for the key. Of several
    copies any value counts.
    """
    before: dict[tuple[int, str], set[str]] = collections.defaultdict(set)
    for split, values in of_old.items():
        for image, value in zip(old.splits[split], values):
            for part in parts:
                before[part, image[part]].add(value)
    count = 0
    for split, values in of_new.items():
        for image, value in zip(new.splits[split], values):
            known = next((before[part, image[part]] for part in parts if (part, image[part]) in before), None)
            count += known is not None and value not in known
    return count


def _without(images: list[tuple], some: collections.Counter) -> list[tuple]:
    left = some.copy()
    rest = []
    for image in images:
        if left[image]:
            left[image] -= 1
        else:
            rest.append(image)
    return rest


def _paired(gone: list[tuple], come: list[tuple], part: tuple[int, ...]):
    """Pairs what was and what is where they agree in `part`; returns what is left of both, and the pairs."""
    waiting = collections.defaultdict(list)
    for image in reversed(gone):
        waiting[tuple(image[place] for place in part)].append(image)
    left, pairs = [], []
    for image in come:
        found = waiting[tuple(image[place] for place in part)]
        if found:
            pairs.append((found.pop(), image))
        else:
            left.append(image)
    return [image for images in waiting.values() for image in images], left, pairs


def contents(dataset: Dataset) -> np.ndarray:
    """What the image of each example holds, ASCII bytes ``[examples]``: `Dataset.digests`, or of an array the like.

    Raises:
        DataError: a file cannot be read.
    """
    found = dataset.digests() or [dataset.fingerprint(index) for index in range(dataset.num_examples)]
    return np.array(found, np.bytes_)


def leave_out(dataset: Dataset, trained: Collection[str]) -> tuple[Dataset, int, list[str]]:
    """Leaves out of a split the images that a network was trained on, whatever they are called.

    Args:
        dataset: the split; one of an array stays as it is.
        trained: the digests, such as `Fingerprint.trained`.

    Returns:
        The dataset of the others; how many were left out; and the first three of these, as `Dataset.describe` calls
        them.

    Raises:
        DataError: nothing is left, or a file cannot be read.
    """
    found = dataset.digests()
    trained = frozenset(trained)
    known = np.array([digest in trained for digest in found] if found else [], bool)
    if not known.any():
        return dataset, 0, []
    if known.all():
        raise DataError(
            f"{dataset.name} {dataset.split}: the network was trained on all {len(known)} of its images; "
            "nothing is left to evaluate on"
        )
    out = np.flatnonzero(known)
    return dataset.select(np.flatnonzero(~known)), len(out), [dataset.describe(index) for index in out[:_NAMED]]


def duplicates(splits: dict[str, Dataset]) -> str | None:
    """One line on images that are in a dataset twice, under two names; None where there are none, or of an array.

    Args:
        splits: split name to dataset.

    Raises:
        DataError: a file cannot be read.
    """
    if any(dataset.in_memory for dataset in splits.values()):
        return None
    first: dict[str, tuple[str, int]] = {}
    across, within = [], []
    for split, dataset in splits.items():
        for index, found in enumerate(dataset.digests()):
            other = first.setdefault(found, (split, index))
            if other != (split, index):
                (within if other[0] == split else across).append((other, (split, index)))

    def such_as(pairs: Iterable[tuple]) -> str:
        return " and ".join(f"{splits[split].describe(index)} ({split})" for split, index in pairs[0])

    told = []
    if across:
        copies = "is a copy" if len(across) == 1 else "are copies"
        told.append(f"{len(across)} {copies} of an image in another split, such as {such_as(across)}")
    if within:
        copies = "is a copy" if len(within) == 1 else "are copies"
        told.append(f"{len(within)} {copies} of an image in the same split, such as {such_as(within)}")
    return "of the images, " + "; ".join(told) if told else None
