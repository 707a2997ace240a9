"""tf.contrib.learn.datasets: MNIST, Iris and tables, from files that are there; nothing is downloaded."""

from slimft.compat.contrib.learn.datasets import base, mnist
from slimft.compat.contrib.learn.datasets.base import load_boston, load_iris
from slimft.compat.contrib.learn.datasets.mnist import load_mnist
from slimft.errors import DataError

__all__ = ["DATASETS", "base", "load_boston", "load_dataset", "load_iris", "load_mnist", "mnist"]

DATASETS = {"boston": load_boston, "iris": load_iris, "mnist": load_mnist}


def load_dataset(name: str, size: str = "small", test_with_fake_data: bool = False):
    """The data set of that name: boston, iris or mnist.

    Raises:
        ValueError: there is none of that name.
        DataError: its files are not there.
    """
    if name == "dbpedia":
        raise DataError("dbpedia: slimft downloads nothing; read the file's lines with Python's csv")
    if name not in DATASETS:
        raise ValueError(f"there is no data set {name!r}; there are {', '.join(DATASETS)}")
    return DATASETS[name]()
