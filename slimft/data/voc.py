"""Images with masks in the layout of PASCAL VOC (Everingham et al., IJCV 88, 2010).

    JPEGImages/NAME.jpg             the images
    SegmentationClass/NAME.png      their masks: palette images of class numbers, 255 for none
    ImageSets/Segmentation/         train.txt, val.txt and test.txt: a NAME a line
    classes.txt                     the names of the classes from number 0 on, a line each; VOC's own without it

A line of a list may also be two paths, of an image and of its mask, as in the lists that have the Semantic
Boundaries Dataset beside VOC. Without lists all pairs count, and are split as image files are. Masks may have
colours in place of numbers: those that ``classes.txt`` has behind the names (``name red green blue``) or, where it
has none, those of the palette of the first mask, or VOC's.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import os
import pathlib
import re
import unicodedata
from collections.abc import Sequence

import numpy as np

from slimft.data.class_names import read_labels
from slimft.data.dataset import SPLITS, WHOLE, DataOptions
from slimft.data.file_dataset import Examples, alike, check_printable, drawn_parts
from slimft.data.masks import VOID, colours_of, palette_of
from slimft.data.pair_files import Pair, PairFiles, look_at_masks
from slimft.data.palette import VOC_CLASSES, voc_palette
from slimft.data.segmentation import SegmentationDataset
from slimft.data.splits import few
from slimft.data.voc_lists import AUGMENTED, IMAGES, MASKS, find_pairs
from slimft.errors import DataError, UsageError

NAME, _CLASSES = "voc", "classes.txt"
# Of colours, the highest value.
_WHITE = 255
_COLOURED = re.compile(r"(.*\S)[\s,]+([0-9]{1,3})[\s,]+([0-9]{1,3})[\s,]+([0-9]{1,3})")


def load(
    data_dir: pathlib.Path | None, options: DataOptions | None = None, name: str = NAME
) -> dict[str, SegmentationDataset]:
    """Loads the splits: ``train``, ``validation``, and ``test`` if there are masks of one.

    What is missing is drawn as `slimft.data.file_dataset.file_splits` says.

    Args:
        data_dir: the folder with JPEGImages and SegmentationClass, or one that has a single such folder in it, as
            VOCdevkit has.
        options: how to split, and how to read.
        name: ``voc``; or ``voc2007`` or ``voc2012``, which are downloaded to `data_dir`, by default among slimft's
            caches, where they are not there. A `train_list` of ``train_aug`` adds the Semantic Boundaries Dataset's
            masks to the latter, which are downloaded too.

    Raises:
        UsageError: there is no `data_dir`, or an option makes no sense for it.
        DataError: it is not arranged like that; a file is missing, or has not what it should have.
    """
    options = options or DataOptions()
    root = _downloaded(name, data_dir, options) if name != NAME else _root(data_dir)
    pairs, names, looked, notes = _find(root, options, None, least=2)
    examples = Examples(
        name,
        root,
        pairs.images,
        np.zeros(len(pairs.images), np.int32),
        names,
        None if pairs.split_of is None else np.array([SPLITS.index(split) for split in pairs.split_of], np.int8),
    )
    parts, drawn = drawn_parts(examples, options)
    splits = _datasets(name, pairs, names, looked, parts, options, [*notes, *drawn])
    lacking = [name for name, count in zip(names, splits["train"].counts) if not count]
    if lacking:
        note = f"no pixel of the training masks is of the classes {few(lacking)}, which cannot be learned"
        splits = {split: dataclasses.replace(data, notes=(*data.notes, note)) for split, data in splits.items()}
    return splits


def load_for_evaluation(
    data_dir: pathlib.Path | None,
    options: DataOptions,
    class_names: Sequence[str] | None = None,
    name: str = NAME,
) -> dict[str, SegmentationDataset]:
    """The data's own splits as they are; or all of it, as one split called ``all``, where it has no lists.

    Args:
        data_dir, options, name: as of `load`.
        class_names: the classes that the masks may have where the data does not tell; None for VOC's.

    Raises:
        UsageError, DataError: as of `load`.
    """
    root = _downloaded(name, data_dir, options) if name != NAME else _root(data_dir)
    pairs, names, looked, notes = _find(root, options, class_names, least=1)
    parts = {WHOLE: np.arange(len(pairs.images))}
    if pairs.split_of is not None and set(pairs.split_of) != {"train"}:
        split_of = np.array(pairs.split_of)
        parts = {split: np.flatnonzero(split_of == split) for split in SPLITS if split in pairs.split_of}
    return _datasets(name, pairs, names, looked, parts, options, notes)


def _downloaded(name: str, data_dir: pathlib.Path | None, options: DataOptions) -> pathlib.Path:
    """The folder of a release of PASCAL VOC, which is downloaded if need be."""
    from slimft.data.voc_download import fetch, fetch_sbd

    root = fetch(name, data_dir)
    if name == "voc2012" and options.train_list == AUGMENTED[0]:
        fetch_sbd(root)
    return root


def _datasets(name, pairs, names, looked, parts, options, notes) -> dict[str, SegmentationDataset]:
    sources = [Pair(image, looked, index, options.longest_side) for index, image in enumerate(pairs.images)]
    images = PairFiles(sources, cache=options.cache, grey_bits=options.grey_bits)
    scaled = int(np.count_nonzero(looked.sizes.max(axis=1) > options.longest_side))
    if scaled:
        notes = [
            *notes,
            f"{scaled} image{'s are' if scaled > 1 else ' is'} scaled down so that the longer side has "
            f"{options.longest_side} pixels (--longest_side); evaluated are masks of their own size",
        ]
    return {
        split: SegmentationDataset(
            name, split, images.select(part), looked.select(part), tuple(names), options.longest_side, tuple(notes)
        )
        for split, part in parts.items()
    }


def _find(root: pathlib.Path, options: DataOptions, class_names: Sequence[str] | None, least: int):
    """The pairs, the classes' names, what is in the masks, and what is to be said.

    Args:
        root: the folder with JPEGImages.
        options: of which the list to train on counts.
        class_names: what the numbers stand for where the data does not tell; None for VOC's.
        least: how many classes the masks must have.
    """
    pairs = find_pairs(root, options.train_list)
    names, given, notes = _classes(root, class_names)
    colours, origin = given, f"the colours in {_CLASSES}"
    if given:
        colours = {**colours_of(voc_palette(), 0), **given}  # VOC's colour of void too.
    else:
        palette, origin = None, f"the palette of {pairs.masks[0].name}"
        with contextlib.suppress(DataError):  # It is raised with all the others.
            palette = palette_of(pairs.masks[0].path)
        if palette is None:
            palette, origin = voc_palette(), "the palette of PASCAL VOC"
        colours = colours_of(palette, len(names))
    looked, said = look_at_masks(pairs.images, pairs.masks, names, colours, origin)
    occur = np.flatnonzero(looked.pixels.any(axis=0))
    void = looked.sizes.astype(np.int64).prod(axis=1).sum() > looked.pixels.sum()
    if not len(occur):
        raise DataError(f"{root}: all pixels of the masks are void ({VOID}), which is no class")
    if len(occur) == 1:
        what = f"the masks have pixels of one class only ({names[occur[0]]})" + f" and void ({VOID})" * bool(void)
        if least > 1:
            hint = f". If {VOID} is meant to be a class, give it another number" if void else ""
            raise DataError(f"{root}: {what}; two is the least{hint}")
        said.append(what)
    return pairs, names, looked, [*pairs.notes, *notes, *said]


def _root(data_dir: pathlib.Path | None) -> pathlib.Path:
    """The folder with JPEGImages in it: the one that was named, or the only one below it."""
    if data_dir is None:
        raise UsageError(f"--dataset={NAME} needs --data_dir, the folder with {IMAGES} and {MASKS}")
    if not data_dir.is_dir():
        what = "is no folder" if data_dir.exists() else "does not exist"
        raise DataError(f"--data_dir={data_dir} {what}; name the folder with {IMAGES} and {MASKS}")
    found = [
        folder
        for folder in (data_dir, *sorted(data_dir.glob("*")), *sorted(data_dir.glob("VOCdevkit/*")))
        if (folder / IMAGES).is_dir()
    ]
    if data_dir in found:
        return data_dir
    if len(found) == 1:
        return found[0]
    if found:
        raise DataError(
            f"--data_dir={data_dir} has several folders with {IMAGES} ({few([*map(str, found)])}); name one"
        )
    raise DataError(
        f"--data_dir={data_dir} has no folder {IMAGES}; images belong there, and their masks, as PNGs of the same "
        f"names, in {MASKS} beside it"
    )


def _classes(root: pathlib.Path, class_names: Sequence[str] | None):
    """The classes' names, the colours that classes.txt gives them, and lines on where they come from."""
    file = root / _CLASSES
    if not os.path.lexists(file):
        names, whose = list(VOC_CLASSES), f"the {len(VOC_CLASSES)} of PASCAL VOC"
        if class_names is not None and list(class_names) != names:
            names, whose = list(class_names), f"the run's {len(class_names)}, in its order"
        return names, {}, [f"there is no {_CLASSES}: the classes are {whose}"]
    names = [unicodedata.normalize("NFC", name.strip()) for name in read_labels(file)]
    matches = [_COLOURED.fullmatch(name) for name in names]
    colours: dict[tuple[int, ...], int] = {}
    if any(matches):
        colours, names = _colours(file, names, matches)
    if not 2 <= len(names) < VOID:
        raise DataError(f"{file} names {len(names)} classes; from 2 to {VOID - 1} can be told apart")
    if "" in names:
        raise DataError(f"{file} has no name for class {names.index('')}; each class needs one")
    if len(set(names)) < len(names):
        name = next(name for name, count in collections.Counter(names).items() if count > 1)
        raise DataError(f"{file} has the name {name!r} twice; each class needs its own")
    check_printable(file, names)
    return names, colours, list(alike(names))


def _colours(file: pathlib.Path, lines: list[str], matches: list) -> tuple[dict[tuple[int, ...], int], list[str]]:
    """What colours stand for, and the names, of lines of which some at least have colours."""
    colours: dict[tuple[int, ...], int] = {}
    for number, (line, match) in enumerate(zip(lines, matches)):
        if match is None:
            raise DataError(
                f"{file} has no colour for class {number}, {line!r}, but for others; give all of them one"
            )
        colour = tuple(int(value) for value in match.groups()[1:])
        if max(colour) > _WHITE:
            raise DataError(f"{file}: the colour of class {number}, {line!r}, is not of numbers from 0 to {_WHITE}")
        if colour in colours:
            raise DataError(f"{file}: the classes {colours[colour]} and {number} have the same colour {colour}")
        colours[colour] = number
    return colours, [match[1] for match in matches]
