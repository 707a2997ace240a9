"""Images in folders: a folder for each class, and around these, where there are splits, one for each split."""

from __future__ import annotations

import os
import pathlib

import numpy as np

from slimft.data.dataset import SPLITS, DataOptions, Dataset
from slimft.data.file_dataset import SPLIT_NAMES, file_splits
from slimft.data.image_files import FileSource
from slimft.data.images import SUFFIXES, find_images
from slimft.data.splits import few
from slimft.errors import DataError, UsageError


def load(data_dir: pathlib.Path | None, options: DataOptions) -> dict[str, Dataset]:
    """Finds the images of a folder; reads none of them.

    The names of the classes are those of their folders, sorted. Images in folders below a class's folder are of
    that class too; hidden files and folders, and files without an image's suffix, are not looked at. Folders
    called ``train``, ``val`` (or ``valid``, ``validation``) and ``test``, in large or small letters, have the class
    folders in them. What is missing of these splits is split off, as `slimft.data.file_dataset.file_splits` says.

    Args:
        data_dir: the folder.
        options: how to split, and how to read.

    Returns:
        Split name to dataset: ``train``, ``validation``, and ``test`` unless there is none.

    Raises:
        UsageError: there is no `data_dir`, or an option makes no sense for it.
        DataError: the folder is missing, cannot be read, or is not arranged like that; a class has no images, or no
            training images.
    """
    if data_dir is None:
        raise UsageError("--dataset=image_folder needs --data_dir, the folder with a folder for each class")
    if os.path.isfile(data_dir):
        hint = "; use --dataset=csv" if data_dir.suffix.lower() == ".csv" else ""
        raise DataError(f"--data_dir={data_dir} is a file, not a folder{hint}")
    folders = _split_folders(data_dir)
    classes = {split: _subfolders(folder) for split, folder in folders.items()}
    for split, folder in folders.items():
        if not classes[split]:
            images = sorted(name for name in _entries(folder) if name.lower().endswith(SUFFIXES))
            found = f"has images ({few(images)}) but no folders" if images else "has no folders"
            raise DataError(f"{folder} {found}; there has to be a folder for each class, with its images")
    class_names = sorted(set().union(*classes.values()))
    around = data_dir / class_names[0]
    if len(class_names) == 1 and data_dir in folders.values() and _subfolders(around):
        raise DataError(f"{data_dir} has one folder only, {class_names[0]}; is --data_dir={around} meant?")
    label_of = {name: label for label, name in enumerate(class_names)}
    paths, labels, split_of = [], [], []
    for split, folder in folders.items():
        for name in classes[split]:
            found = find_images(folder / name)
            if not found:
                raise DataError(f"{folder / name} holds no images ({' '.join(SUFFIXES)}); add some or remove it")
            paths += found
            labels.append(np.full(len(found), label_of[name], np.int32))
            split_of.append(np.full(len(found), SPLITS.index(split), np.int8))
    return file_splits(
        "image_folder",
        data_dir,
        [FileSource(path) for path in paths],
        np.concatenate(labels),
        class_names,
        options,
        np.concatenate(split_of),
    )


def _split_folders(data_dir: pathlib.Path) -> dict[str, pathlib.Path]:
    """Split name to the folder with its class folders; without split folders, ``train`` to `data_dir` itself."""
    names = _subfolders(data_dir)
    folders = {}
    for name in names:
        split = SPLIT_NAMES.get(name.lower())
        if split in folders:
            raise DataError(f"{data_dir} has two folders for {split}, {folders[split].name} and {name}; merge them")
        if split:
            folders[split] = data_dir / name
    if not folders:
        return {"train": data_dir}
    others = [name for name in names if name.lower() not in SPLIT_NAMES]
    if others:
        raise DataError(
            f"{data_dir} has folders of splits ({few([folder.name for folder in folders.values()])}) beside "
            f"others ({few(others)}); move the others into these or away"
        )
    if "train" not in folders:
        raise DataError(f"{data_dir} has no folder train beside {few([f.name for f in folders.values()])}")
    return {split: folders[split] for split in SPLITS if split in folders}


def _subfolders(folder: pathlib.Path) -> list[str]:
    """The names of the folders in a folder, sorted; not the hidden ones."""
    return sorted(name for name, is_folder in _entries(folder).items() if is_folder)


def _entries(folder: pathlib.Path) -> dict[str, bool]:
    """Name to whether it is a folder, of what is in a folder and not hidden."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name: entry.is_dir() for entry in entries if not entry.name.startswith(".")}
    except FileNotFoundError:
        raise DataError(f"--data_dir={folder}: there is no such folder") from None
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror}") from None
