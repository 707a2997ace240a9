"""How slimft's sessions run, and in which floats networks compute."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence

from slimft.compat import tf
from slimft.errors import UsageError

# How many devices a machine without GPUs shows as, to try towers out.
CPU_DEVICES = "SLIMFT_CPU_DEVICES"
_MOST_CPU_DEVICES = 64
# Elements of a variable that is initialized by itself: 16 MB in float32, 2 of VGG-16's.
_LARGE = 4 << 20
_HALF = {"bfloat16": tf.bfloat16, "float16": tf.float16}


def session_config(xla: bool = False) -> tf.ConfigProto:
    """How slimft's sessions run: GPU memory is taken as it is needed.

    Args:
        xla: whether XLA compiles what it can of the graph, on a GPU.
    """
    config = tf.ConfigProto()
    config.gpu_options.allow_growth = True
    if xla:
        config.graph_options.optimizer_options.global_jit_level = tf.OptimizerOptions.ON_1
    return config


def cpu_devices() -> int:
    """How many virtual devices the environment gives the CPU.

    Raises:
        UsageError: it gives no number.
    """
    text = os.environ.get(CPU_DEVICES, "1")
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _MOST_CPU_DEVICES):
        raise UsageError(f"{CPU_DEVICES}={text!r:.40} in the environment must be a number from 1 to 64")
    return int(text)


def initialize(session: tf.Session, variables: Sequence[tf.Variable]) -> None:
    """Initializes variables, large ones one at a time: what all are computed from is not in memory at once."""
    large = [variable for variable in variables if variable.shape.num_elements() >= _LARGE]
    small = [variable for variable in variables if variable.shape.num_elements() < _LARGE]
    session.run(tf.variables_initializer(small))
    for variable in large:
        session.run(variable.initializer)


@contextlib.contextmanager
def computing_in(precision: str, casts: bool = True) -> Iterator[tf.DType]:
    """Lets the layers built inside compute in floats of half the size, while their variables stay float32.

    A layer computes in the dtype of its inputs and asks for variables of that dtype; it gets float32 ones, cast.
    So weight decay, gradients' sums and updates are of float32, as are batch_norm's parameters and statistics,
    which its kernels take in float32 beside inputs of any.

    Args:
        precision: ``float32``, ``bfloat16`` or ``float16``.
        casts: False to let the layers' variables be of half the size too, which saves the casting where nothing
            trains. The results are the same.

    Yields:
        The dtype that the inputs have to have.
    """
    half = _HALF.get(precision)
    if half is None or not casts:
        yield half or tf.float32
        return

    def get(getter, name, *args, dtype=None, **kwargs):
        if dtype != half:
            return getter(name, *args, dtype=dtype, **kwargs)
        return tf.cast(getter(name, *args, dtype=tf.float32, **kwargs), half)

    with tf.variable_scope(tf.get_variable_scope(), custom_getter=get, auxiliary_name_scope=False):
        yield half
