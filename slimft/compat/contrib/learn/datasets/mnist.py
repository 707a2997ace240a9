"""MNIST from its four files: tensorflow/contrib/learn/python/learn/datasets/mnist.py of TensorFlow 1.15.

Nothing is downloaded. The files are untrusted: what is read is bounded by what their first bytes say, and that by
what so small a file can hold.
"""

from __future__ import annotations

import gzip
import os
import struct
import zlib

import numpy as np
from tensorflow.python.framework import random_seed

from slimft.compat.contrib.learn.datasets.base import Datasets
from slimft.compat.v1 import tf
from slimft.errors import DataError

DEFAULT_SOURCE_URL = ""
TRAIN_IMAGES = "train-images-idx3-ubyte.gz"
TRAIN_LABELS = "train-labels-idx1-ubyte.gz"
TEST_IMAGES = "t10k-images-idx3-ubyte.gz"
TEST_LABELS = "t10k-labels-idx1-ubyte.gz"
FILES = (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)

_IMAGES, _LABELS = 2051, 2049
# All of EMNIST is 0.6 GB.
_MOST_BYTES = 2**31
# No stream of gzip is more than this longer than itself.
_MOST_GAIN = 1032
_PIECE = 2**20


class MnistError(DataError, ValueError):
    """A file is not MNIST's."""


def extract_images(f) -> np.ndarray:
    """The images in an open gzip file: uint8 [images, rows, columns, 1].

    Raises:
        MnistError: they are not images of MNIST, cut off, or larger than such a file can be.
    """
    print("Extracting", f.name)
    shape, data = _read(f, _IMAGES, dimensions=3)
    return data.reshape(*shape, 1)


def extract_labels(f, one_hot: bool = False, num_classes: int = 10) -> np.ndarray:
    """The labels in an open gzip file: uint8 [labels], or float64 [labels, num_classes] with `one_hot`.

    Raises:
        MnistError: as `extract_images`; or a label is not below `num_classes`.
    """
    print("Extracting", f.name)
    _, labels = _read(f, _LABELS, dimensions=1)
    if one_hot and labels.size and labels.max() >= num_classes:
        raise MnistError(f"{f.name}: label {labels.max()} where there are {num_classes} classes")
    return dense_to_one_hot(labels, num_classes) if one_hot else labels


def dense_to_one_hot(labels_dense: np.ndarray, num_classes: int) -> np.ndarray:
    """Labels [n] as float64 [n, num_classes] of zeros and ones."""
    one_hot = np.zeros((len(labels_dense), num_classes))
    one_hot[np.arange(len(labels_dense)), np.ravel(labels_dense)] = 1
    return one_hot


def _read(file, kind, dimensions):
    """The dimensions that the first bytes name, and as many bytes."""
    size = _size(file)
    try:
        with gzip.GzipFile(fileobj=file) as stream:
            header = stream.read(4 + 4 * dimensions)
            if len(header) < 4 + 4 * dimensions:
                raise MnistError(f"{file.name}: it ends within its first {4 + 4 * dimensions} bytes")
            magic, *shape = struct.unpack(f">{1 + dimensions}I", header)
            if magic != kind:
                what = "images" if kind == _IMAGES else "labels"
                raise MnistError(f"{file.name}: it begins with {magic}, MNIST's {what} with {kind}")
            count = 1
            for length in shape:
                count *= length
            if count > min(_MOST_BYTES, _MOST_GAIN * size):
                raise MnistError(f"{file.name}: {shape} is more than a file of {size} bytes can hold")
            data = bytearray()
            while len(data) < count:
                piece = stream.read(min(_PIECE, count - len(data)))
                if not piece:
                    raise MnistError(f"{file.name}: it ends after {len(data)} of {count} bytes")
                data += piece
    except (EOFError, OSError, zlib.error) as error:
        raise MnistError(f"{file.name}: it is not a whole gzip file: {error}") from None
    return shape, np.frombuffer(bytes(data), np.uint8)


def _size(file):
    """The bytes of an open file."""
    if hasattr(file, "size"):
        return file.size()
    place = file.tell()
    size = file.seek(0, os.SEEK_END)
    file.seek(place)
    return size


class DataSet:
    """Images and labels, by batches.

    The order is that of TensorFlow 1.15: of NumPy's global random numbers, which making one seeds: with the graph's
    seed, or with `seed`, and with neither from the system's entropy.

    Args:
        images: uint8 [n, rows, columns, 1]; anything with `fake_data`.
        labels: [n, ...].
        fake_data: `next_batch` has to be called with `fake_data` as well.
        one_hot: whether the fake labels are.
        dtype: tf.float32 for [0, 1], tf.uint8 for what is in the file.
        reshape: whether images are [n, rows * columns].
        seed: see above.

    Raises:
        TypeError: another dtype.
    """

    def __init__(self, images, labels, fake_data=False, one_hot=False, dtype=tf.float32, reshape=True, seed=None):
        graph_seed, op_seed = random_seed.get_seed(seed)
        np.random.seed(graph_seed if seed is None else op_seed)
        dtype = tf.as_dtype(dtype).base_dtype
        if dtype not in (tf.uint8, tf.float32):
            raise TypeError(f"images of MNIST are uint8 or float32, not {dtype.name}")
        self.one_hot = one_hot
        self._num_examples = 10000
        if not fake_data:
            if len(images) != len(labels):
                raise MnistError(f"{len(images)} images and {len(labels)} labels")
            self._num_examples = len(images)
            if reshape:
                assert images.shape[3] == 1
                images = images.reshape(len(images), images.shape[1] * images.shape[2])
            if dtype == tf.float32:
                images = np.multiply(images.astype(np.float32), 1.0 / 255.0)
        self._images, self._labels = images, labels
        self._epochs_completed = 0
        self._index_in_epoch = 0

    @property
    def images(self):
        return self._images

    @property
    def labels(self):
        return self._labels

    @property
    def num_examples(self) -> int:
        return self._num_examples

    @property
    def epochs_completed(self) -> int:
        return self._epochs_completed

    def next_batch(self, batch_size: int, fake_data: bool = False, shuffle: bool = True):
        """The next images and labels; the last of an epoch with the first of the next in one batch.

        Args:
            batch_size: how many.
            fake_data: lists of ones and zeros instead.
            shuffle: whether each epoch is in another order.

        Returns:
            Images and labels.
        """
        if fake_data:
            label = [1] + [0] * 9 if self.one_hot else 0
            return [[1] * 784 for _ in range(batch_size)], [label for _ in range(batch_size)]
        start, end = self._index_in_epoch, self._index_in_epoch + batch_size
        if shuffle and start == 0 and self._epochs_completed == 0:
            self._shuffle()
        if end <= self._num_examples:
            self._index_in_epoch = end
            return self._images[start:end], self._labels[start:end]
        images, labels = self._images[start:], self._labels[start:]
        self._epochs_completed += 1
        if shuffle:
            self._shuffle()
        self._index_in_epoch = rest = end - self._num_examples
        return np.concatenate([images, self._images[:rest]]), np.concatenate([labels, self._labels[:rest]])

    def _shuffle(self):
        order = np.arange(self._num_examples)
        np.random.shuffle(order)
        self._images, self._labels = self._images[order], self._labels[order]


def read_data_sets(
    train_dir: str,
    fake_data: bool = False,
    one_hot: bool = False,
    dtype=tf.float32,
    reshape: bool = True,
    validation_size: int = 5000,
    seed: int | None = None,
    source_url: str = DEFAULT_SOURCE_URL,
) -> Datasets:
    """MNIST from the four files in a folder.

    Args:
        train_dir: the folder.
        fake_data: no files are read; see `DataSet`.
        one_hot: labels are [n, 10] instead of [n].
        dtype, reshape, seed: see `DataSet`.
        validation_size: how many of the first training images are for validation.
        source_url: not used.

    Returns:
        `train`, `validation` and `test`.

    Raises:
        DataError: files are not there, or are not MNIST's.
        ValueError: `validation_size` is not between 0 and the number of training images.
    """
    options = {"dtype": dtype, "seed": seed}
    if fake_data:
        fakes = [DataSet([], [], fake_data=True, one_hot=one_hot, **options) for _ in range(3)]
        return Datasets(*fakes)
    missing = [name for name in FILES if not tf.gfile.Exists(os.path.join(train_dir, name))]
    if missing:
        raise DataError(
            f"MNIST: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not in {train_dir}, and slimft "
            f"downloads nothing; put MNIST's files {', '.join(FILES)} there"
        )
    arrays = []
    for name in FILES:
        with tf.gfile.Open(os.path.join(train_dir, name), "rb") as file:
            arrays.append(extract_images(file) if "images" in name else extract_labels(file, one_hot=one_hot))
    images, labels, test_images, test_labels = arrays
    if not 0 <= validation_size <= len(images):
        raise ValueError(f"validation_size is {validation_size}; it has to be between 0 and {len(images)}")
    options["reshape"] = reshape
    return Datasets(
        train=DataSet(images[validation_size:], labels[validation_size:], **options),
        validation=DataSet(images[:validation_size], labels[:validation_size], **options),
        test=DataSet(test_images, test_labels, **options),
    )


def load_mnist(train_dir: str = "MNIST-data") -> Datasets:
    """`read_data_sets` with its defaults."""
    return read_data_sets(train_dir)
