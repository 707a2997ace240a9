"""Images in folders: a folder for each class, and around these, where there are splits, one for each split."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import unicodedata
from collections.abc import Iterator, Sequence

import numpy as np

from slimft.data.dataset import SPLITS, DataOptions
from slimft.data.file_dataset import Examples, PassedOver, split_named
from slimft.data.first_bytes import read_head, what_it_is
from slimft.data.image_files import FileSource
from slimft.data.image_formats import SOME_SUFFIXES, SUFFIXES
from slimft.data.splits import few
from slimft.data.tfrecord_files import may_be_records
from slimft.errors import DataError, UsageError

# Hidden like what begins with a dot: macOS puts it into ZIP files.
_OF_MACOS = "__MACOSX"
# So many folders within two others that are called alike are no chance.
_ALIKE = 2
_ARRANGEMENT = "there has to be a folder for each class, with its images"


@dataclasses.dataclass(eq=False)
class _Folder:
    """What is in a folder, sorted; `key` is its path below the root, `total` counts its images and those below."""

    path: str
    key: str = ""
    folders: list[_Folder] = dataclasses.field(default_factory=list)
    links: list[str] = dataclasses.field(default_factory=list)
    images: list[str] = dataclasses.field(default_factory=list)
    others: list[str] = dataclasses.field(default_factory=list)
    hidden: list[str] = dataclasses.field(default_factory=list)
    total: int = 0

    @property
    def name(self) -> str:
        return os.path.basename(self.path)

    def walk(self) -> Iterator[_Folder]:
        """It and all folders below; each before those in it."""
        waiting = [self]
        while waiting:
            folder = waiting.pop()
            yield folder
            waiting += reversed(folder.folders)

    def inner(self) -> set[str]:
        """The names of the folders in it that have images, where it has none itself."""
        return set() if self.images else {folder.name for folder in self.folders if folder.total}


def find(data_dir: pathlib.Path | None, options: DataOptions, class_names: Sequence[str] | None = None) -> Examples:
    """Finds the images of a folder; reads none of them.

    The names of the classes are those of their folders, sorted. Images in folders below a class's folder are of
    that class too. Folders that are called as a split is (see `slimft.data.file_dataset.split_named`), and hold no
    images themselves but folders with images, are splits, and then there may be no others beside them.

    Args:
        data_dir: the folder.
        options: of which only `group` counts: where it is given, folders within those of the classes are no
            classes.
        class_names: to evaluate, the classes that there may be, or nothing if they are unknown; None to train.

    Raises:
        UsageError: there is no `data_dir`.
        DataError: the folder is missing, cannot be read, or is not arranged like that; a class has no images to
            train on.
    """
    if data_dir is None:
        raise UsageError("--dataset=image_folder needs --data_dir, the folder with a folder for each class")
    if os.path.isfile(data_dir):
        told = what_it_is(read_head(data_dir))
        hint = "; use --dataset=csv" if data_dir.suffix.lower() == ".csv" else f", but {told}" if told else ""
        raise DataError(f"--data_dir={data_dir} is a file, not a folder{hint}")
    root = _scan(data_dir)
    if not root.folders:
        found = f"has images ({few(root.images)}) but no folders" if root.images else "has no folders"
        records = next((name for name in root.others if may_be_records(name)), None)
        hint = f" (of TFRecords, such as {records}, --dataset=tfrecord)" if records else ""
        raise DataError(f"{data_dir} {found}; {_ARRANGEMENT}{hint}")
    known = {_same(name) for name in class_names or ()}
    splits = _split_folders(root, known)
    around = splits or {"train": root}
    if class_names is None:
        if "train" not in around:
            there = few(sorted(one.name for one in splits.values()))
            raise DataError(f"{data_dir} has no folder train beside {there}")
        _check_full(around["train"].folders)
    classes = [folder for one in around.values() for folder in one.folders if folder.total]
    if not classes:
        _check_full(root.folders)
    _check_is_class(root, around, classes, known)
    if options.group is None:
        _check_differ(around, {folder for folder in classes if _same(folder.name) not in known})
    names = sorted({folder.name for folder in classes})
    label_of = {name: label for label, name in enumerate(names)}
    sources, labels, split_of = [], [], []
    for split, one in around.items():
        for folder in one.folders:
            found = [(inner, name) for inner in folder.walk() for name in inner.images]
            sources += [FileSource(os.path.join(one.path, name), _same(one.key + name)) for one, name in found]
            labels += [label_of.get(folder.name)] * len(found)
            split_of += [SPLITS.index(split)] * len(found)
    return Examples(
        "image_folder",
        data_dir,
        sources,
        np.array(labels, np.int32),
        names,
        np.array(split_of, np.int8) if splits else None,
        notes=_notes(root, splits, classes),
    )


def folders_without_images(data_dir: str | os.PathLike) -> list[str]:
    """The folders of classes that have no images, as paths below `data_dir`; of data that `find` accepts."""
    root = _scan(pathlib.Path(os.path.expanduser(data_dir)))
    around = _split_folders(root, set()).values() or [root]
    return [folder.key.rstrip("/") for one in around for folder in one.folders if not folder.total]


def _same(name: str) -> str:
    """A name as every file system has it: some take accents apart."""
    return unicodedata.normalize("NFC", name)


def _scan(data_dir: pathlib.Path) -> _Folder:
    """The folder and all below. Links to folders count where splits and classes are, and not below these."""
    root = _Folder(str(data_dir))
    waiting, seen = [(root, True)], []
    while waiting:
        folder, follows = waiting.pop()
        seen.append(folder)
        for name, is_folder, is_link in _entries(folder.path):
            if name.startswith(".") or name == _OF_MACOS:
                folder.hidden.append(name)
            elif is_folder and (follows or not is_link):
                folder.folders.append(_Folder(str(pathlib.Path(folder.path, name)), f"{folder.key}{name}/"))
            elif is_folder:
                folder.links.append(name)
            else:
                (folder.images if name.lower().endswith(SUFFIXES) else folder.others).append(name)
        waiting += [(one, folder is root and split_named(one.name)[0] is not None) for one in folder.folders]
    for folder in reversed(seen):
        folder.total = len(folder.images) + sum(one.total for one in folder.folders)
    return root


def _entries(folder: str) -> list[tuple[str, bool, bool]]:
    """What is in a folder, in order: name, whether it is a folder, whether it is a link."""
    try:
        with os.scandir(folder) as entries:
            return sorted((entry.name, entry.is_dir(), entry.is_symlink()) for entry in entries)
    except FileNotFoundError:
        raise DataError(f"--data_dir={folder}: there is no such folder") from None
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror}") from None


def _split_folders(root: _Folder, known: set[str]) -> dict[str, _Folder]:
    """Split name to its folder; empty where the folders are classes.

    Raises:
        DataError: some are splits and others are not; two are for one split, or one has no images.
    """
    if known.issuperset(_same(folder.name) for folder in root.folders if folder.total):
        return {}
    named = [(split_named(folder.name)[0], folder) for folder in root.folders]
    splits: dict[str, _Folder] = {}
    for split, folder in named:
        if split and folder.inner():
            if split in splits:
                first = splits[split].name
                raise DataError(f"{root.path} has two folders for {split}, {first} and {folder.name}; merge them")
            splits[split] = folder
    if not splits:
        return {}
    for split, folder in named:
        if split and folder.images:
            raise DataError(f"{folder.path} has images ({few(folder.images)}) but no folders; {_ARRANGEMENT}")
        if split and not folder.total:
            _check_full([folder])
    others = [folder.name for split, folder in named if split is None and folder.total]
    if others:
        raise DataError(
            f"{root.path} has folders of splits ({few([one.name for one in splits.values()])}) beside others "
            f"({few(others)}); move the others into these or away, or rename what is no split"
        )
    return {split: splits[split] for split in SPLITS if split in splits}


def _check_full(folders: list[_Folder]) -> None:
    """Raises DataError if one of the folders has no images."""
    for folder in folders:
        if not folder.total:
            others = [name for inner in folder.walk() for name in inner.others]
            what = f" but {len(others)} other files ({few(others)})" if others else ""
            raise DataError(f"{folder.path} holds no images ({SOME_SUFFIXES}){what}; add some or remove it")


def _check_is_class(root: _Folder, around: dict[str, _Folder], classes: list[_Folder], known: set[str]) -> None:
    """Raises DataError if there is one class, which is not known, and rather has folders of classes in it."""
    first, inner = classes[0], classes[0].inner()
    if len({folder.name for folder in classes}) > 1 or _same(first.name) in known or not inner:
        return
    where = next(one for one in around.values() if first in one.folders)
    hint = f"is --data_dir={first.path} meant?"
    if where is not root:
        hint = f"move the folders in it ({few(sorted(inner))}) up"
    raise DataError(f"{where.path} has one folder only, {first.name}; {hint}")


def _check_differ(around: dict[str, _Folder], classes: set[_Folder]) -> None:
    """Raises DataError if two of the classes' folders have nothing but the same folders, as splits would have."""
    for one in around.values():
        folders = [folder for folder in one.folders if folder in classes]
        largest = max(folders, key=lambda folder: len(folder.inner()), default=None)
        for folder in folders:
            inner = folder.inner()
            if folder is not largest and len(inner) >= _ALIKE and inner <= largest.inner():
                raise DataError(
                    f"{one.path} has folders, {largest.name} and {folder.name}, that hold no images but the same "
                    f"folders ({few(sorted(inner))}), so they are hardly classes; name one with --data_dir, call "
                    "them train, validation and test if they are splits, or say with --group what the folders in "
                    "them are (--group= for nothing)"
                )


def _notes(root: _Folder, splits: dict[str, _Folder], classes: list[_Folder]) -> tuple[str, ...]:
    """What is passed over, and what is less than plain."""
    passed = PassedOver(root.path)
    around = [root, *splits.values()]
    passed.add("image outside of classes' folders", "images outside of classes' folders", root.path, root.images)
    for folder in root.folders if splits else ():
        if folder not in splits.values():
            passed.add("folder without images", "folders without images", root.path, [folder.name])
    for one in splits.values() or [root]:
        empty = [folder.name for folder in one.folders if not folder.total]
        passed.add("class's folder without images", "classes' folders without images", one.path, empty)
    inner = [folder for one in classes for folder in one.walk()]
    for folder in [*around, *inner]:
        passed.add_files(folder.path, folder.others)
        passed.add("hidden file or folder", "hidden files or folders", folder.path, folder.hidden)
    for folder in inner:
        passed.add("link to a folder", "links to folders", folder.path, folder.links)
        empty = [one.name for one in folder.folders if folder.total and not one.total]
        passed.add("folder without images", "folders without images", folder.path, empty)
    below = sum(folder.total - len(folder.images) for folder in classes)
    notes = (f"{below} images are in folders within the classes' folders, and count as of these classes",)
    return (*passed.notes(), *(notes if below else ()))
