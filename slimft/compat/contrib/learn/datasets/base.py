"""Tables in comma-separated files: tensorflow/contrib/learn/python/learn/datasets/base.py of TensorFlow 1.15."""

from __future__ import annotations

import collections
import csv
import os

import numpy as np

from slimft.compat.v1 import tf
from slimft.errors import DataError

Dataset = collections.namedtuple("Dataset", ["data", "target"])
Datasets = collections.namedtuple("Datasets", ["train", "validation", "test"])


class TableError(DataError, ValueError):
    """A table is malformed."""


def load_csv_with_header(filename, target_dtype, features_dtype, target_column: int = -1) -> Dataset:
    """A table whose first line says how many samples and how many features it has.

    Args:
        filename: the file.
        target_dtype: NumPy's type of the target.
        features_dtype: NumPy's type of the features.
        target_column: which column the target is in.

    Returns:
        `data` [samples, features] and `target` [samples].

    Raises:
        TableError: the first line is not so, or another number of samples or features follows.
    """
    with tf.gfile.Open(filename) as file:
        rows = csv.reader(file)
        header = next(rows, [])
        try:
            samples, features = int(header[0]), int(header[1])
        except (IndexError, ValueError):
            raise TableError(
                f"{filename}: its first line is not SAMPLES,FEATURES,... as load_csv_with_header needs it"
            ) from None
        table = _read(filename, rows, target_dtype, features_dtype, target_column)
    if table.data.shape != (samples, features):
        raise TableError(f"{filename}: {samples} x {features} by its first line, and {table.data.shape} in fact")
    return table


def load_csv_without_header(filename, target_dtype, features_dtype, target_column: int = -1) -> Dataset:
    """A table of features and a target, without a first line of names; as `load_csv_with_header` otherwise."""
    with tf.gfile.Open(filename) as file:
        return _read(filename, csv.reader(file), target_dtype, features_dtype, target_column)


def _read(filename, rows, target_dtype, features_dtype, target_column):
    data, target = [], []
    for row in rows:
        try:
            target.append(row.pop(target_column))
            data.append(np.asarray(row, features_dtype))
        except (IndexError, ValueError) as error:
            raise TableError(f"{filename}: row {len(data) + 1} of the data: {error}") from None
        if len(data[-1]) != len(data[0]):
            raise TableError(
                f"{filename}: {len(data[-1])} features in row {len(data)}, {len(data[0])} in the first"
            )
    try:
        return Dataset(np.array(data), np.array(target, target_dtype))
    except ValueError as error:
        raise TableError(f"{filename}: the target: {error}") from None


def shrink_csv(filename: str, ratio: int) -> None:
    """Writes each `ratio`-th line of a file beside it: data.csv into data_small.csv."""
    with (
        tf.gfile.Open(filename) as source,
        tf.gfile.Open(filename.replace(".", "_small."), "w") as target,
    ):
        writer = csv.writer(target)
        for i, row in enumerate(csv.reader(source)):
            if i % ratio == 0:
                writer.writerow(row)


def load_iris(data_path: str | None = None) -> Dataset:
    """Fisher's Iris data (150 x 4; classes 0 to 2), from a file such as TensorFlow's iris.csv.

    Without `data_path`, scikit-learn's copy, with the two rows that it has corrected since as TensorFlow had them.

    Raises:
        DataError: there is neither `data_path` nor scikit-learn.
    """
    if data_path is not None:
        return load_csv_with_header(data_path, int, float)
    try:
        from sklearn.datasets import load_iris as load
    except ImportError:
        raise DataError(
            "load_iris: TensorFlow's iris.csv is not here; give its path as data_path, or pip install scikit-learn"
        ) from None
    data, target = load(return_X_y=True)
    data[[34, 37]] = 4.9, 3.1, 1.5, 0.1
    return Dataset(data, target.astype(int))


def load_boston(data_path: str | None = None) -> Dataset:
    """Prices of houses from the file that TensorFlow had as boston_house_prices.csv."""
    if data_path is None:
        raise DataError("load_boston: TensorFlow's boston_house_prices.csv is not here; give its path as data_path")
    return load_csv_with_header(data_path, float, float)


def maybe_download(filename: str, work_directory: str, source_url: str) -> str:
    """The path of a file that is there.

    Raises:
        DataError: it is not there; nothing is downloaded.
    """
    path = os.path.join(work_directory, filename)
    if not tf.gfile.Exists(path):
        raise DataError(f"{path} is not there, and slimft downloads nothing; put {source_url or filename} there")
    return path
