"""Which datasets there are, and how one is loaded by its name."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import os
import pathlib
from collections.abc import Sequence

import numpy as np

from slimft.data.dataset import OF_MASKS, OF_RECORDS, DataOptions, Dataset
from slimft.data.splits import subset
from slimft.errors import UsageError
from slimft.local_paths import check_local

# Name to the module of slimft.data whose `load(data_dir, options)` returns splits that never change.
_FIXED = {"cifar10": "cifar10", "digits": "digits"}
# And to that whose `find(data_dir, options, class_names)` returns the examples of `slimft.data.file_dataset`.
_FILES = {"image_folder": "image_folder", "csv": "csv_manifest", "tfrecord": "tfrecord"}
# And to that whose `load(data_dir, options, name)` and `load_for_evaluation` return images with masks.
_MASKED = {"voc": "voc", "voc2012": "voc", "voc2007": "voc"}
_MODULES = {**_FIXED, **_FILES, **_MASKED}
# Datasets of research/slim's dataset_factory.py.
_SLIMS = ("flowers", "imagenet", "mnist", "visualwakewords")


def dataset_names() -> list[str]:
    """The names `load_dataset` knows."""
    return list(_MODULES)


def task_of(name: str) -> str:
    """The task, of `slimft.tasks`, that the dataset of that name is for."""
    return "segmentation" if name in _MASKED else "classification"


def never_changes(name: str) -> bool:
    """Whether the dataset of that name is the same wherever it lies, and split the same in every version."""
    return name in _FIXED


def load_dataset(
    name: str, data_dir: str | pathlib.Path | None = None, options: DataOptions | None = None
) -> dict[str, Dataset]:
    """Loads the splits ``train``, ``validation`` and ``test`` of a dataset; no ``test`` where the data has none.

    Args:
        name: one of `dataset_names`.
        data_dir: where its files are or, where it can be downloaded, shall be; None for its default.
        options: how to split it; None for the defaults.

    Raises:
        UsageError: there is no dataset of that name, or an option makes no sense for it.
        DataError: its files are missing, truncated or corrupt.

    >>> splits = load_dataset("digits")
    >>> splits["test"]
    <Dataset digits test: 360 examples of 10 classes, 8x8 pixels>
    >>> splits["test"].images.shape, splits["test"].class_names[:3]
    ((360, 8, 8, 3), ('0', '1', '2'))
    """
    module, folder, options = _module(name), _expanded(data_dir), options or DataOptions()
    _check_reading(name, options)
    if name in _FIXED:
        splits = module.load(folder, options)
    elif name in _MASKED:
        splits = module.load(folder, options, name)
    else:
        from slimft.data.file_dataset import file_splits  # Late, as all that loads Pillow.

        splits = file_splits(module.find(folder, options), options)
    if options.train_examples is not None:
        splits["train"] = _some_to_train(splits["train"], options)
    return splits


def load_for_evaluation(
    name: str,
    data_dir: str | pathlib.Path | None = None,
    options: DataOptions | None = None,
    class_names: Sequence[str] | None = None,
) -> dict[str, Dataset]:
    """Loads labelled data to evaluate on, which need not have a training split, nor all the classes; draws nothing.

    Args:
        name: one of `dataset_names`.
        data_dir: as in `load_dataset`.
        options: how to read it: nothing of it is about splits but `group`, which says that folders within those of
            the classes are no classes.
        class_names: the classes of the checkpoint. The data's are found among them by name, or by number in
            TFRecords without a ``labels.txt``. None for the data's own.

    Returns:
        Split name to dataset: the splits that the data has itself; or ``all``, where it has none or nothing but
        ``train``.

    Raises:
        UsageError: there is no dataset of that name.
        DataError: its files are missing, truncated or corrupt, or of a class that is not among `class_names`.
    """
    module, folder, options = _module(name), _expanded(data_dir), options or DataOptions()
    _check_reading(name, options)
    if name in _FIXED:
        splits = module.load(folder, DataOptions(cache=options.cache))
    elif name in _MASKED:
        splits = module.load_for_evaluation(folder, options, class_names, name)
    else:
        from slimft.data.file_dataset import splits_to_evaluate

        found = module.find(folder, options, () if class_names is None else class_names)
        splits = splits_to_evaluate(found, options, class_names)
    if class_names is None:
        return splits
    return {split: dataset.with_classes(class_names) for split, dataset in splits.items()}


def _module(name: str):
    if name not in _MODULES:
        close = difflib.get_close_matches(name, _MODULES, n=1)
        hint = f"did you mean {close[0]}?" if close else f"choose one of {', '.join(_MODULES)}"
        if name in _SLIMS:
            hint = "--dataset=tfrecord reads the files that slim's download_and_convert_data.py makes of it"
        raise UsageError(f"--dataset={name}: there is no such dataset; {hint}")
    return importlib.import_module(f"slimft.data.{_MODULES[name]}")


def _check_reading(name: str, options: DataOptions) -> None:
    """Raises UsageError if an option is about another kind of data."""
    for option in OF_RECORDS:
        value = getattr(options, option)
        if name != "tfrecord" and value != getattr(DataOptions, option):
            raise UsageError(f"--{option}={value}: it is for TFRecords only, and this is --dataset={name}")
    for option in OF_MASKS:
        value = getattr(options, option)
        if name not in _MASKED and value != getattr(DataOptions, option):
            raise UsageError(f"--{option}={value}: it is for images with masks only, and this is --dataset={name}")
    if options.longest_side < 1:
        raise UsageError(f"--longest_side={options.longest_side}: one pixel is the least")
    if name in _FIXED and options.grey_bits is not None:
        raise UsageError(f"--grey_bits={options.grey_bits}: {name} has no grey images of 16 bits")


def _expanded(data_dir: str | pathlib.Path | None) -> pathlib.Path | None:
    check_local(data_dir, "--data_dir")
    return None if data_dir is None else pathlib.Path(os.path.expanduser(data_dir))


def some_examples(data: Dataset, count: int | None, seed: int, flag: str) -> Dataset:
    """Some of the examples of a split, of each class its share but one at least; which, follows from their names.

    Args:
        data: the split; of one that was drawn already, as many are drawn again.
        count: how many; None for all. All too, if there are not more.
        seed: integer from 0 to 2**31 - 1.
        flag: what asks for them, for a message.

    Raises:
        UsageError: there are more classes than that.
    """
    if count is None or count >= data.num_examples:
        return data
    _check_number(data, count, flag)
    drawn = data.select(subset(_strata(data), _names(data), count, seed, "examples"))
    return dataclasses.replace(drawn, drawn_from=data.drawn_from or data.num_examples)


def _some_to_train(train: Dataset, options: DataOptions) -> Dataset:
    count = options.train_examples
    if count > train.num_examples:
        raise UsageError(f"--train_examples={count}: {train.name} has only {train.num_examples} to train on")
    _check_number(train, count, "train_examples")
    return train.select(subset(_strata(train), _names(train), count, options.split_seed))


def _check_number(data: Dataset, count: int, flag: str) -> None:
    classes = len(np.unique(_strata(data)))
    if count < classes:
        raise UsageError(f"--{flag}={count}: {data.name} has {classes} classes, and each needs one")


def _strata(data: Dataset) -> np.ndarray:
    """What each example is drawn among: its class; all images with masks are alike."""
    return np.zeros(data.num_examples, np.int32) if data.task == "segmentation" else data.labels


def _names(data: Dataset) -> list[str]:
    # The examples of an array never change: there, the number of one is its name.
    return data.keys() or [str(index) for index in range(data.num_examples)]
