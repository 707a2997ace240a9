"""Datasets, found by name, and how they reach a network.

`load_dataset` needs no TensorFlow; `slimft.data.pipeline` and `slimft.data.preprocessing` do.
"""

from slimft.data.dataset import SPLITS, DataOptions, Dataset, dataset_names, load_dataset

__all__ = ["SPLITS", "DataOptions", "Dataset", "dataset_names", "load_dataset"]
