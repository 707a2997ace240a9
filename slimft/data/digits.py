"""Handwritten digits that come with scikit-learn: real data, with nothing to download.

1797 images of 8x8 pixels by 43 people, the test part of the UCI Optical Recognition of Handwritten Digits
data set (Alpaydin and Kaynak, 1998; doi:10.24432/C50P49).
"""

from __future__ import annotations

import pathlib

import numpy as np

from slimft.data.dataset import SPLITS, DataOptions, Dataset
from slimft.errors import DataError

# A fixed split: every fifth example tests, and every tenth of the others validates.
_TEST_EVERY = 5
_VALIDATION_EVERY = 10


def load(data_dir: pathlib.Path | None = None, options: DataOptions | None = None) -> dict[str, Dataset]:
    """Returns the splits: 1293 examples to train, 144 to validate, 360 to test.

    Args:
        data_dir: not used; the digits come with scikit-learn.
        options: checked only; the splits are fixed.

    Raises:
        DataError: scikit-learn is not installed.
        UsageError: an option is about splitting.
    """
    del data_dir
    (options or DataOptions()).check("digits", SPLITS)
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise DataError("--dataset=digits needs scikit-learn: pip install scikit-learn") from None
    digits = load_digits()
    # Intensities are 0..16; 16 becomes 255.
    grey = np.round(digits.images * (255 / 16)).astype(np.uint8)
    images = np.repeat(grey[..., np.newaxis], 3, axis=-1)
    labels = digits.target.astype(np.int32)
    number = np.arange(len(labels))
    test = number % _TEST_EVERY == 0
    rest = number[~test]
    validates = np.arange(len(rest)) % _VALIDATION_EVERY == 0
    parts = {"train": rest[~validates], "validation": rest[validates], "test": number[test]}
    return {
        split: Dataset(
            name="digits",
            split=split,
            images=images[part],
            labels=labels[part],
            class_names=tuple("0123456789"),
            image_size=32,
            flip=False,
            # Half a pixel: the digits are scaled to fill their 8x8.
            max_shift=1 / 16,
        )
        for split, part in parts.items()
    }
