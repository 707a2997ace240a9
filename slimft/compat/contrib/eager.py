"""What `tf.contrib.eager` was, as far as it has a meaning in graphs, which slimft.compat builds.

Source of names: TensorFlow 1.15's tensorflow/contrib/eager/python/tfe.py.
"""

from __future__ import annotations

import contextlib
import sys

from tensorflow.python.eager.backprop import GradientTape, implicit_grad, implicit_val_and_grad
from tensorflow.python.eager.backprop import gradients_function as gradients_function
from tensorflow.python.eager.backprop import val_and_grad_function as value_and_gradients_function
from tensorflow.python.framework.test_util import run_all_in_graph_and_eager_modes, run_in_graph_and_eager_modes
from tensorflow.python.ops.resource_variable_ops import ResourceVariable as Variable
from tensorflow.python.ops.script_ops import eager_py_func as py_func
from tensorflow.python.ops.template import make_template_internal as make_template
from tensorflow.python.ops.variable_scope import EagerVariableStore

from slimft.compat.v1 import tf
from slimft.errors import UsageError

TensorSpec, custom_gradient, executing_eagerly = tf.TensorSpec, tf.custom_gradient, tf.executing_eagerly
Checkpoint, Checkpointable, Saver = tf.train.Checkpoint, tf.Module, tf.train.Saver
implicit_gradients, implicit_value_and_gradients = implicit_grad, implicit_val_and_grad
in_eager_mode = executing_eagerly
run_test_in_graph_and_eager_modes = run_in_graph_and_eager_modes
run_all_tests_in_graph_and_eager_modes = run_all_in_graph_and_eager_modes
# How ops were placed and run; graphs have nothing of this.
DEVICE_PLACEMENT_EXPLICIT, DEVICE_PLACEMENT_WARN, DEVICE_PLACEMENT_SILENT = 0, 1, 2
SYNC, ASYNC = 0, 1
# `import tensorflow.contrib.eager.python.tfe` is the package.
tfe = sys.modules[__name__]

__all__ = [
    "ASYNC", "Checkpoint", "Checkpointable", "DEVICE_PLACEMENT_EXPLICIT", "DEVICE_PLACEMENT_SILENT",
    "DEVICE_PLACEMENT_WARN", "EagerVariableStore", "GradientTape", "Iterator", "SYNC", "Saver", "TensorSpec",
    "Variable", "custom_gradient", "defun", "enable_eager_execution", "enable_remote_eager_execution",
    "executing_eagerly", "execution_mode", "function", "gradients_function", "implicit_gradients",
    "implicit_value_and_gradients", "in_eager_mode", "list_devices", "make_template", "num_gpus", "py_func",
    "run", "run_all_tests_in_graph_and_eager_modes", "run_test_in_graph_and_eager_modes", "tfe",
    "value_and_gradients_function",
]  # fmt: skip


def enable_eager_execution(config=None, device_policy=None, execution_mode=None):
    """Was the switch to eager execution.

    Raises:
        UsageError: always, with what to do.
    """
    raise UsageError(
        "tf.contrib.eager.enable_eager_execution: slimft.compat builds graphs, with TensorFlow 2's behaviour off; "
        "eager code runs on TensorFlow 2 itself, in a process without slimft.compat and with tf.contrib.eager's "
        "names replaced (tf.Variable, tf.GradientTape, tf.function), or take this line out and run the model in a "
        "tf.Session"
    )


enable_remote_eager_execution = enable_eager_execution


def Iterator(dataset):  # noqa: N802
    """Was an iterator over a dataset's elements as arrays: in a graph there are none before a session runs.

    Raises:
        UsageError: always.
    """
    raise UsageError(
        "tf.contrib.eager.Iterator runs eagerly, and slimft.compat builds graphs: use "
        "dataset.make_one_shot_iterator().get_next() and run it in a tf.Session"
    )


def defun(func=None, input_signature=None, autograph=True, experimental_autograph_options=None):
    """The function itself, also as a decorator: in a graph its ops are simply built where it is called."""
    del input_signature, autograph, experimental_autograph_options
    return (lambda function: function) if func is None else func


def function(func=None, input_signature=None, autograph=True, **options):
    """As `defun`."""
    return defun(func, input_signature, autograph)


@contextlib.contextmanager
def execution_mode(mode):
    """Nothing: a graph has no such mode."""
    yield


def list_devices():
    """The names of the devices."""
    return [device.name for device in tf.config.list_logical_devices()]


def num_gpus():
    """How many GPUs there are."""
    return len(tf.config.list_logical_devices("GPU"))


def run(main=None, argv=None):
    """`tf.app.run`, which ran eagerly."""
    enable_eager_execution()
