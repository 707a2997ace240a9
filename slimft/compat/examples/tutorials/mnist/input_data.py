"""tensorflow.examples.tutorials.mnist.input_data: MNIST from files in a folder."""

from slimft.compat.contrib.learn.datasets.base import Datasets, maybe_download
from slimft.compat.contrib.learn.datasets.mnist import (
    DataSet,
    dense_to_one_hot,
    extract_images,
    extract_labels,
    read_data_sets,
)

__all__ = [
    "DataSet", "Datasets", "dense_to_one_hot", "extract_images", "extract_labels", "maybe_download",
    "read_data_sets",
]  # fmt: skip
