"""Which images have which masks, and are in which split, in the layout of PASCAL VOC; see `slimft.data.voc`."""

from __future__ import annotations

import dataclasses
import io
import os
import pathlib
import unicodedata
from collections.abc import Iterator, Sequence

from slimft.data.dataset import DataOptions
from slimft.data.file_dataset import PassedOver
from slimft.data.image_files import FileSource
from slimft.data.image_formats import SUFFIXES
from slimft.data.splits import few
from slimft.errors import DataError, UsageError
from slimft.files import read_bounded

IMAGES, LISTS, MASKS = "JPEGImages", "ImageSets/Segmentation", "SegmentationClass"
# Names of lists that have the masks of the Semantic Boundaries Dataset too, and the folder of these.
AUGMENTED = ("train_aug", "trainaug")
_MORE_MASKS = "SegmentationClassAug"
# Lists other than that of --train_list which are splits.
_LIST_OF = {"validation": ("val", "validation"), "test": ("test",)}
_MASK_SUFFIXES = (".png", ".bmp", ".tif", ".tiff")
_MOST_BYTES = 16 << 20
# Of a line with two paths, twice what Linux allows.
_MOST_LETTERS = 8192
# Of what is not there.
_MOST_NAMED = 5


@dataclasses.dataclass(frozen=True)
class Pairs:
    """What was found: each image's file and mask, and the split that a list says; None without lists."""

    images: list[FileSource]
    masks: list[FileSource]
    split_of: list[str] | None
    notes: list[str]


def find_pairs(root: pathlib.Path, train_list: str) -> Pairs:
    """Finds images and masks; reads none of them.

    Args:
        root: the folder with JPEGImages.
        train_list: the list to train on.

    Raises:
        UsageError: there is no such list.
        DataError: there are no pairs, or a list is damaged, or names what is not there.
    """
    folder = root / LISTS
    lists = {path.stem: path for path in sorted(folder.glob("*.txt")) if not path.name.startswith(".")}
    images = _files(root / IMAGES, SUFFIXES, root)
    if not lists:
        if train_list != DataOptions.train_list:
            raise UsageError(f"--train_list={train_list}: {root} has no lists in {LISTS}")
        pairs = _pairs_of_all(root, images)
        if os.path.lexists(folder):
            pairs.notes.append(f"{folder} has no lists (.txt), so all images with masks count")
        return pairs
    if train_list not in lists and train_list != DataOptions.train_list:
        raise UsageError(f"--train_list={train_list}: {folder} has no {train_list}.txt, only {few([*lists])}")
    chosen = {"train": train_list} if train_list in lists else {}
    for split, names in _LIST_OF.items():
        # What trains validates nothing: of trainval, which has the images of val, some are drawn for that.
        names = [name for name in names if name in lists and name != train_list]
        if names and not (split == "validation" and train_list == "trainval"):
            chosen[split] = names[0]
    pairs = Pairs([], [], [], [])
    for split, name in chosen.items():
        _read_list(root, lists[name], split, images, pairs)
    if not pairs.images:
        notes = "".join(f" ({note})" for note in pairs.notes)
        raise DataError(
            f"{folder} has no {train_list}.txt, only {few([*lists])}{notes}; choose one of these to train on "
            "(--train_list)"
        )
    for split, names in _LIST_OF.items():
        if train_list in names:
            pairs.notes.append(f"--train_list={train_list}: what it names trains, and there is no list for {split}")
        elif split not in chosen and any(name in lists for name in names):
            pairs.notes.append(
                f"--train_list={train_list} has the images of {names[0]}.txt: other images, drawn from it, validate"
            )
    # Those that were passed over with train_list have been.
    others = [name for name in lists if name not in (*chosen.values(), DataOptions.train_list)]
    if train_list == "trainval":
        others = [name for name in others if name not in _LIST_OF["validation"]]
    named, masks = {source.path for source in pairs.images}, _mask_files(root, MASKS)
    unnamed = [path for name, path in images.items() if name in masks and _source(root, path).path not in named]
    if unnamed:
        pairs.notes.append(
            f"passed over: {len(unnamed)} images with masks, which no list that is used names, such as {unnamed[0]}"
        )
    if others:
        pairs.notes.append(
            f"{LISTS} also has {few(others)}, not used: --train_list={others[0]} would train on that list"
        )
    return pairs


def _pairs_of_all(root: pathlib.Path, images: dict[str, str]) -> Pairs:
    masks = _mask_files(root, MASKS)
    both = [name for name in images if name in masks]
    passed = PassedOver(str(root))
    for folder, files in ((IMAGES, images), (MASKS, masks)):
        there = {os.path.basename(path) for path in files.values()}
        passed.add_files(root / folder, [entry for entry in _entries(root / folder) if entry not in there])
    passed.add(
        "image without a mask",
        "images without masks",
        root / IMAGES,
        [os.path.basename(images[name]) for name in images if name not in masks],
    )
    passed.add(
        "mask without an image",
        "masks without images",
        root / MASKS,
        [os.path.basename(masks[name]) for name in masks if name not in images],
    )
    if not both:
        found = "".join(f"; {note}" for note in passed.notes())
        raise DataError(f"{root} has no image in {IMAGES} with a mask of the same name in {MASKS}{found}")
    return Pairs(
        [_source(root, images[name]) for name in both],
        [_source(root, masks[name]) for name in both],
        None,
        list(passed.notes()),
    )


def _entries(folder: pathlib.Path) -> list[str]:
    """What is in a folder, sorted, but for what is hidden; nothing where there is none."""
    try:
        return sorted(entry for entry in os.listdir(folder) if not entry.startswith("."))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror}") from None


def _files(folder: pathlib.Path, suffixes: Sequence[str], root: pathlib.Path) -> dict[str, str]:
    """Name without suffix to path below `root`, of the files in a folder, sorted; empty where there is none."""
    inner = folder.relative_to(root).as_posix()
    found: dict[str, str] = {}
    for entry in _entries(folder):
        name, suffix = os.path.splitext(entry)
        # A file system may take accents apart.
        name = unicodedata.normalize("NFC", name)
        if suffix.lower() not in suffixes:
            continue
        if name in found:
            raise DataError(
                f"{folder} has two files of one name, {os.path.basename(found[name])} and {entry}; remove one"
            )
        found[name] = f"{inner}/{entry}"
    return found


def _mask_files(root: pathlib.Path, folder: str) -> dict[str, str]:
    """As `_files`, of masks; one that is called as an image of another format counts where there is no other."""
    others = [suffix for suffix in SUFFIXES if suffix not in _MASK_SUFFIXES]
    return _files(root / folder, others, root) | _files(root / folder, _MASK_SUFFIXES, root)


def _source(root: pathlib.Path, path: str) -> FileSource:
    return FileSource(os.path.join(root, path), unicodedata.normalize("NFC", path))


def _read_list(root: pathlib.Path, file: pathlib.Path, split: str, images: dict[str, str], pairs: Pairs) -> None:
    """Adds what a list names. Of a test split none of whose masks is there, nothing is added, and that is said."""
    folder = _MORE_MASKS if file.stem in AUGMENTED and (root / _MORE_MASKS).is_dir() else MASKS
    masks = _mask_files(root, folder)
    # What is there, which bounds how much is kept of a list.
    found: dict[str, str] = {}
    named, unmasked, lacking = 0, 0, 0
    examples: list[str] = []
    for number, line in enumerate(_lines(file), 1):
        line = unicodedata.normalize("NFC", line.strip())
        if len(line) > _MOST_LETTERS:
            raise DataError(f"{file} line {number} has {len(line)} letters; no path has more than {_MOST_LETTERS}")
        words = line.split()
        if not words:
            continue
        if len(words) == 1 or line in images:
            image, mask = images.get(line), masks.get(line)
            names = f"{IMAGES}/{line}.jpg", f"{folder}/{line}.png"
        elif len(words) == 2 and words[1] in ("-1", "0", "1"):
            raise DataError(
                f"{file} line {number} is {line!r}, as in VOC's lists of one class; those of segmentation have a "
                "name a line"
            )
        elif len(words) == 2:
            image, mask = names = tuple(_below(root, word, f"{file} line {number}") for word in words)
        else:
            raise DataError(
                f"{file} line {number} is {line!r}; it has to be a name, or the paths of an image and a mask"
            )
        missing = [
            name for path, name in zip((image, mask), names) if path is None or not os.path.lexists(root / path)
        ]
        named += 1
        unmasked += names[1] in missing
        lacking += bool(missing)
        if not missing:
            if image in found:
                raise DataError(f"{file} line {number} names {image} again; name each image once")
            found[image] = mask
        elif len(examples) < _MOST_NAMED:
            examples.append(missing[0])
    if not named:
        raise DataError(f"{file} names no images; add some, or remove the list")
    if split == "test" and unmasked == named:
        pairs.notes.append(f"{file.name} names {named} images, of which no masks are there: there is no test split")
        return
    if lacking:
        raise DataError(
            f"{file} names what is not there: {', '.join(examples)} (of {lacking} of {named} images with masks); "
            "add it, or take it out of the list"
        )
    for image, mask in found.items():
        pairs.images.append(_source(root, image))
        pairs.masks.append(_source(root, mask))
        pairs.split_of.append(split)


def _lines(file: pathlib.Path) -> Iterator[str]:
    try:
        text = read_bounded(file, _MOST_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not text in UTF-8 (at byte {error.start})") from None
    return io.StringIO(text, newline=None)


def _below(root: pathlib.Path, path: str, where: str) -> str:
    """A path of a list, which may begin with a slash, below the data's folder; raises DataError if it is not."""
    inner = os.path.normpath(path.lstrip("/"))
    if inner.split(os.sep)[0] in (os.curdir, os.pardir) or os.path.isabs(inner):
        raise DataError(f"{where} has the path {path}, which does not lead to a file in {root}")
    return pathlib.PurePath(inner).as_posix()
