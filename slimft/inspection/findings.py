"""What is to be said of data, of what was seen of its pictures."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from slimft.data.sampling import class_weights
from slimft.inspection.data import Data
from slimft.inspection.duplicates import Groups
from slimft.inspection.looks import ODD, Looks

# Groups, files and classes that are listed; the others are counted.
MOST_LISTED = 100
_MOST_CLASSES = 1000
_MOST_MEMBERS = 20
# From here on, of the largest class to the smallest, something is said of it.
UNEQUAL = 3
_BETA = 0.999  # Of bin/finetune's --balance_beta.


@dataclasses.dataclass(frozen=True, eq=False)
class Group:
    """Pictures that are the same.

    Attributes:
        members: int64, in order.
        copies: whether all are copies of one file.
        splits: the splits that they are in, in order.
        labels: their classes.
    """

    members: np.ndarray
    copies: bool
    splits: tuple[str, ...]
    labels: tuple[int, ...]

    @property
    def across(self) -> bool:
        """Whether it is in several splits."""
        return len(self.splits) > 1

    @property
    def conflict(self) -> bool:
        """Whether its pictures are of several classes."""
        return len(self.labels) > 1

    @property
    def _rank(self) -> tuple:
        # Near duplicates of several classes are more often none, and what is in several splits is bad anyway.
        several = self.conflict and not self.across
        tested = "test" in self.splits
        return not self.across, not tested, not several, not self.copies, -len(self.members), self.members[0]


def groups_of(data: Data, groups: Groups) -> list[Group]:
    """The groups, the worst first: across splits, test before all; then those of several classes."""
    found = []
    for members in groups.members():
        splits = tuple(data.names[split] for split in np.unique(data.split_of[members]))
        labels = tuple(np.unique(data.labels[members]).tolist())
        copies = len(np.unique(groups.copy_of[members])) == 1
        found.append(Group(members, copies, splits, labels))
    return sorted(found, key=lambda group: group._rank)


def find(
    data: Data, looks: Looks, found: Groups, groups: list[Group], near: int, image_size: int
) -> dict[str, Any]:
    """The figures, for `json.dumps`.

    Args:
        data: the pictures.
        looks: what was seen of them.
        found: which are the same.
        groups: as of `groups_of`.
        near: how many bits of near duplicates' hashes may differ; -1 if none were looked for.
        image_size: the side, in pixels, at which a network sees them.
    """
    first, table = data.first, looks.table
    result: dict[str, Any] = {
        "dataset": first.name,
        "task": first.task,
        "examples": len(data),
        "splits": {split: dataset.num_examples for split, dataset in data.splits.items()},
        "bytes": int(table["bytes"].sum()),
        "classes": _classes(data),
        "balance": _balance(data),
        "sizes": _sizes(looks, image_size),
        "formats": _counted(table["kind"], looks.kinds, table["bytes"] > 0),
        "modes": _counted(table["mode"], looks.modes, table["bytes"] > 0),
        "odd": {name: len(looks.which(bit)) for name, bit in ODD.items()},
        "unreadable": sum(looks.reasons.values()),
        "unreadable_reasons": dict(sorted(looks.reasons.items())),
        "unreadable_files": [
            {"name": data.key(index), "reason": wrong} for index, _, wrong in looks.unreadable[:MOST_LISTED]
        ],
        "duplicates": _duplicates(data, found, groups, near),
        "empty_classes": list(data.empty[:MOST_LISTED]),
        "refused": data.refused,
        "notes": list(first.notes),
    }
    result["problems"] = problems(result)
    return result


def problems(result: dict[str, Any]) -> list[str]:
    """What makes bin/dataset's exit status 1, a line each."""
    found, twice = [], result["duplicates"]
    if result["refused"]:
        found.append(f"bin/finetune would not train on this: {result['refused']}")
    if result["unreadable"]:
        found.append(f"{result['unreadable']:,} of {result['examples']:,} images cannot be read")
    for split, count in twice["leaks"].items():
        total = count["copies"] + count["near"]
        are = "image is" if total == 1 else "images are"
        found.append(
            f"{total:,} {split} {are} in another split too ({count['copies']:,} as copies, {count['near']:,} as "
            "near duplicates)"
        )
    if twice["conflicts"]:
        groups = "group has" if twice["conflicts"] == 1 else "groups have"
        found.append(f"{twice['conflicts']:,} {groups} the same picture in several classes")
    return found


def _classes(data: Data) -> list[dict[str, Any]]:
    names = data.first.class_names
    parts = {split: _examples_of(dataset) for split, dataset in data.splits.items()}
    return [
        {"name": name, **{split: int(count[label]) for split, count in parts.items()}}
        for label, name in enumerate(names[:_MOST_CLASSES])
    ]


def _examples_of(dataset: Any) -> np.ndarray:
    """Images of each class, of masks those that have pixels of it: int64 ``[classes]``."""
    return dataset.counts if dataset.task == "classification" else np.count_nonzero(dataset.masks.pixels, axis=0)


def _balance(data: Data) -> dict[str, Any]:
    """Of examples, of masks of pixels, in the training split or, where that is missing, in all."""
    among = [data.splits["train"]] if "train" in data.splits else list(data.splits.values())
    counts, names = sum(dataset.counts for dataset in among), data.first.class_names
    there = np.flatnonzero(counts)
    if not len(there):
        return {}
    least, most = there[counts[there].argmin()], there[counts[there].argmax()]
    weights = class_weights(counts, _BETA)
    return {
        "of": "examples" if data.first.task == "classification" else "pixels",
        "smallest": {"name": names[least], "count": int(counts[least])},
        "median": float(np.median(counts[there])),
        "largest": {"name": names[most], "count": int(counts[most])},
        "ratio": float(counts[most] / counts[least]),
        "weight_ratio": float(weights[least] / weights[most]),
        "single": [names[label] for label in np.flatnonzero(_together(data) == 1)[:MOST_LISTED]],
    }


def _together(data: Data) -> np.ndarray:
    return np.sum([_examples_of(dataset) for dataset in data.splits.values()], axis=0)


def _sizes(looks: Looks, image_size: int) -> dict[str, Any]:
    sides = looks.table["sides"][looks.table["sides"].min(axis=1) > 0]
    if not len(sides):
        return {}
    height, width = sides.T
    pixels = np.sort(height.astype(np.int64) * width)
    smaller = int(np.count_nonzero(sides.min(axis=1) < image_size))
    return {
        "width": _extent(width),
        "height": _extent(height),
        "aspect": _extent(width / height),
        "pixels": [int(pixels[0]), int(pixels[len(pixels) // 2]), int(pixels[-1])],
        "image_size": image_size,
        "smaller": smaller,
    }


def _extent(values: np.ndarray) -> list[float]:
    """The least, the median and the most."""
    found = [values.min(), np.median(values), values.max()]
    return [round(float(value), 4) for value in found]


def _counted(numbers: np.ndarray, names: list[str], known: np.ndarray) -> dict[str, int]:
    counts = np.bincount(numbers[known], minlength=len(names))
    return {names[number]: int(counts[number]) for number in np.argsort(-counts, kind="stable") if counts[number]}


def _duplicates(data: Data, found: Groups, groups: list[Group], near: int) -> dict[str, Any]:
    copies = np.unique(found.copy_of, return_counts=True)[1]
    copies = copies[copies > 1]
    alike = [len(group.members) for group in groups if not group.copies]
    return {
        "near_bits": near,
        "copies": {"groups": len(copies), "images": int(copies.sum())},
        "near": {"groups": len(alike), "images": sum(alike)},
        "across_splits": sum(group.across for group in groups),
        "conflicts": sum(group.conflict for group in groups),
        "leaks": _leaks(data, found),
        "groups": [_told(data, group) for group in groups[:MOST_LISTED]],
    }


def _leaks(data: Data, groups: Groups) -> dict[str, dict[str, int]]:
    """How many images of each split are in an earlier one too, as a copy or only as a near duplicate."""
    copied, alike = (_in_an_earlier(data.split_of, of) for of in (groups.copy_of, groups.of))
    found = {}
    for number, split in enumerate(data.names):
        inside = data.split_of == number
        copies, total = int(np.count_nonzero(copied & inside)), int(np.count_nonzero(alike & inside))
        if total:
            found[split] = {"copies": copies, "near": total - copies}
    return found


def _in_an_earlier(split_of: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Which pictures have one of the same group in a split before theirs: bool ``[pictures]``."""
    first = np.full(len(groups), np.iinfo(split_of.dtype).max, split_of.dtype)
    np.minimum.at(first, groups, split_of)
    return first[groups] < split_of


def _told(data: Data, group: Group) -> dict[str, Any]:
    names = data.first.class_names
    images = [
        {
            "name": data.key(index),
            "split": data.names[data.split_of[index]],
            **({"class": names[data.labels[index]]} if data.labels[index] >= 0 else {}),
        }
        for index in shown_members(data, group, _MOST_MEMBERS)
    ]
    kind = "copies" if group.copies else "near"
    return {"kind": kind, "count": len(group.members), "images": images}


def shown_members(data: Data, group: Group, most: int) -> list[int]:
    """Some pictures of a group: first one of each split and class that it has."""
    pairs = np.stack([data.split_of[group.members], data.labels[group.members]], axis=1)
    _, first = np.unique(pairs, axis=0, return_index=True)
    rest = np.setdiff1d(np.arange(len(group.members)), first)
    chosen = [*np.sort(first)[:most], *rest[: max(0, most - len(first))]]
    return group.members[np.sort(chosen)].tolist()
