"""Datasets, found by name, and how they reach a network.

`load_dataset` and `load_for_evaluation` need no TensorFlow; `slimft.data.pipeline` and `slimft.data.preprocessing`
do.
"""

from slimft.data.dataset import SPLITS, WHOLE, DataOptions, Dataset
from slimft.data.loading import dataset_names, load_dataset, load_for_evaluation

__all__ = ["SPLITS", "WHOLE", "DataOptions", "Dataset", "dataset_names", "load_dataset", "load_for_evaluation"]
