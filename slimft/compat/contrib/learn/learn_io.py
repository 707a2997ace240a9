"""Tables of pandas as arrays, and input functions: tensorflow/contrib/learn/python/learn/learn_io of 1.15."""

from __future__ import annotations

import sys

from slimft.compat.v1 import tf
from slimft.errors import UsageError

__all__ = [
    "extract_dask_data", "extract_dask_labels", "extract_pandas_data", "extract_pandas_labels",
    "extract_pandas_matrix", "numpy_input_fn", "pandas_input_fn",
]  # fmt: skip


def _is(value, package, *names):
    """Whether `value` is of one of these classes of a package, which is not imported for it."""
    module = sys.modules.get(package)
    return module is not None and isinstance(value, tuple(getattr(module, name) for name in names))


def _check_numbers(frame):
    bad = [f"{name} ({kind})" for name, kind in frame.dtypes.items() if kind.kind not in "iufb"]
    if bad:
        raise ValueError(f"columns have to be int, float or bool; these are not: {', '.join(bad)}")


def extract_pandas_data(data):
    """The values of a pandas.DataFrame as float64 [rows, columns]; anything else as it is.

    Raises:
        ValueError: a column is no int, float or bool.
    """
    if not _is(data, "pandas", "DataFrame"):
        return data
    _check_numbers(data)
    return data.to_numpy().astype(float)


def extract_pandas_matrix(data):
    """The values of a pandas.DataFrame [rows, columns]; anything else as it is."""
    return data.to_numpy() if _is(data, "pandas", "DataFrame") else data


def extract_pandas_labels(labels):
    """The values of a pandas.DataFrame of one column, [rows, 1]; anything else as it is.

    Raises:
        ValueError: there are several columns, or it is no int, float or bool.
    """
    if not _is(labels, "pandas", "DataFrame"):
        return labels
    if len(labels.columns) > 1:
        raise ValueError(f"labels have to be one column; these are {len(labels.columns)}")
    _check_numbers(labels)
    return labels.to_numpy()


def extract_dask_data(data):
    """As it is, unless it is dask's: UsageError then."""
    if _is(data, "dask.dataframe", "DataFrame", "Series"):
        raise UsageError("tf.contrib.learn reads no tables of dask any more; give it data.compute()")
    return data


def extract_dask_labels(labels):
    """As it is, unless it is dask's: UsageError then."""
    return extract_dask_data(labels)


def numpy_input_fn(x, y=None, batch_size=128, num_epochs=1, shuffle=True, queue_capacity=1000, num_threads=1):
    """tf.estimator.inputs.numpy_input_fn, which has no default of `shuffle`."""
    return tf.estimator.inputs.numpy_input_fn(x, y, batch_size, num_epochs, shuffle, queue_capacity, num_threads)


def pandas_input_fn(
    x,
    y=None,
    batch_size=128,
    num_epochs=1,
    shuffle=True,
    queue_capacity=1000,
    num_threads=1,
    target_column="target",
):
    """tf.estimator.inputs.pandas_input_fn, which has no default of `shuffle`."""
    return tf.estimator.inputs.pandas_input_fn(
        x, y, batch_size, num_epochs, shuffle, queue_capacity, num_threads, target_column
    )
