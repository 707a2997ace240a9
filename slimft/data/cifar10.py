"""CIFAR-10 (Krizhevsky, 2009): 60,000 images of 32x32 pixels in ten classes.

Reads the two layouts https://www.cs.toronto.edu/~kriz/cifar.html offers, and downloads the binary one
where there is none:

- ``cifar-10-batches-bin``: records of one label byte and 3072 pixel bytes, channel by channel;
- ``cifar-10-batches-py``: the same as pickled dictionaries of NumPy arrays.
"""

from __future__ import annotations

import pathlib

import numpy as np

from slimft import system
from slimft.array_pickle import load_arrays
from slimft.data.dataset import SPLITS, DataOptions, Dataset
from slimft.errors import DataError
from slimft.files import read_bounded

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
# The page above has an MD5 only, which does not tell files apart that were made to have the same one. This is what
# tensorflow_datasets/url_checksums/cifar10.txt of github.com/tensorflow/datasets has, and so has
# lib/torchvision/datasets/cifar10.rb of github.com/ankane/torchvision-ruby.
SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"

CLASSES = "airplane automobile bird cat deer dog frog horse ship truck".split()
_TRAIN = tuple(f"data_batch_{i}" for i in range(1, 6))
_TEST = ("test_batch",)
_BATCH = 10_000
_PIXELS = 3 * 32 * 32
# He et al. (arXiv:1512.03385, section 4.2) train on 45,000 of the 50,000 and validate on the others.
_VALIDATION = 5_000
# As they pad the images by 4 pixels and crop.
_MAX_SHIFT = 4 / 32


def load(data_dir: pathlib.Path | None = None, options: DataOptions | None = None) -> dict[str, Dataset]:
    """Returns the splits: 45,000 examples to train, 5,000 to validate, 10,000 to test.

    Args:
        data_dir: the folder with the files, or the one their folder is in. Downloaded there if it has
            none of them and may be created; None for ``cifar10`` among slimft's caches, see
            `slimft.system.cache_folder`.
        options: checked only; the splits are fixed.

    Raises:
        DataError: a file is missing, truncated or corrupt, or the download fails.
        UsageError: an option is about splitting.
    """
    (options or DataOptions()).check("cifar10", SPLITS)
    read, folder = _find(data_dir)
    train = _join([read(folder, name) for name in _TRAIN])
    test = _join([read(folder, name) for name in _TEST])
    parts = {
        "train": tuple(part[:-_VALIDATION] for part in train),
        "validation": tuple(part[-_VALIDATION:] for part in train),
        "test": test,
    }
    return {
        split: Dataset(
            "cifar10", split, images, labels, tuple(CLASSES), image_size=32, flip=True, max_shift=_MAX_SHIFT
        )
        for split, (images, labels) in parts.items()
    }


def _find(data_dir: pathlib.Path | None):
    """The function that reads a batch, and the folder it reads from."""
    root = system.cache_folder("cifar10") if data_dir is None else data_dir
    try:
        for folder in (root, root / "cifar-10-batches-bin", root / "cifar-10-batches-py"):
            for read, suffix in ((_read_binary, ".bin"), (_read_python, "")):
                if any((folder / f"{name}{suffix}").is_file() for name in (*_TRAIN, *_TEST)):
                    return read, folder
        holds_others = data_dir is not None and data_dir.exists() and not _is_empty(data_dir)
    except OSError as error:
        raise DataError(f"--data_dir={root}: {error.strerror}") from None
    if holds_others:
        raise DataError(
            f"--data_dir={data_dir} holds no CIFAR-10: expected cifar-10-batches-bin/data_batch_1.bin or "
            "cifar-10-batches-py/data_batch_1; name an empty or new folder to download it there"
        )
    from slimft.download import download_and_unpack

    download_and_unpack(URL, SHA256, root)
    return _read_binary, root / "cifar-10-batches-bin"


def _is_empty(folder: pathlib.Path) -> bool:
    # Hidden files do not count: a download that was killed leaves a hidden folder.
    return folder.is_dir() and all(path.name.startswith(".") for path in folder.iterdir())


def _join(batches):
    images, labels = zip(*batches)
    return np.concatenate(images), np.concatenate(labels)


def _read_bytes(file: pathlib.Path, most: int) -> bytes:
    if not file.exists():
        raise DataError(f"{file} is missing; the folder must hold all six batches")
    return read_bounded(file, most)


def _read_binary(folder: pathlib.Path, name: str):
    file = folder / f"{name}.bin"
    size = _BATCH * (1 + _PIXELS)
    data = _read_bytes(file, size)
    if len(data) != size:
        raise DataError(f"{file} is truncated: {len(data)} of {size} bytes; copy or download it again")
    records = np.frombuffer(data, np.uint8).reshape(_BATCH, 1 + _PIXELS)
    return _check(file, records[:, 1:], records[:, 0])


def _read_python(folder: pathlib.Path, name: str):
    file = folder / name
    # The official batches are 31.0 MB; the allowance is for other pickle protocols.
    data = _read_bytes(file, 4 * _BATCH * (1 + _PIXELS))
    try:
        batch = load_arrays(data)
    except Exception as error:  # Corrupt pickles raise nearly anything.
        raise DataError(f"{file} is not a CIFAR-10 batch: {error}; copy or download it again") from None
    for key in (b"data", b"labels"):
        if key not in batch:
            raise DataError(f"{file} is not a CIFAR-10 batch: it lacks {key.decode()!r}")
    pixels, labels = batch[b"data"], batch[b"labels"]
    # Not a list of anything else: np.asarray would spread out a list that holds itself many times.
    if isinstance(labels, list) and all(type(label) is int for label in labels):
        labels = np.asarray(labels)
    if not isinstance(pixels, np.ndarray) or not isinstance(labels, np.ndarray):
        raise DataError(f"{file} is not a CIFAR-10 batch: wrong types; copy or download it again")
    if pixels.dtype != np.uint8 or pixels.ndim != 2 or labels.dtype.kind not in "iu" or labels.ndim != 1:
        raise DataError(f"{file} is not a CIFAR-10 batch: wrong types; copy or download it again")
    return _check(file, pixels, labels)


def _check(file: pathlib.Path, pixels: np.ndarray, labels: np.ndarray):
    """Returns images ``[n, 32, 32, 3]`` and labels, or raises DataError naming `file`."""
    if pixels.shape != (_BATCH, _PIXELS) or labels.shape != (_BATCH,):
        raise DataError(f"{file}: {pixels.shape} pixels and {labels.shape} labels, not {_BATCH} of each")
    wrong = np.flatnonzero((labels < 0) | (labels >= len(CLASSES)))
    if len(wrong):
        raise DataError(f"{file}: record {wrong[0]} has label {labels[wrong[0]]}, which is not in 0..9")
    images = pixels.reshape(_BATCH, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), labels.astype(np.int32)
