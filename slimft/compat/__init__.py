"""TF1 and TF-Slim on today's TensorFlow.

    from slimft.compat import tf, slim

`tf` is `tensorflow.compat.v1` with TensorFlow 2's behaviour off (graphs and sessions, as in 2016);
`slim` is `tf_slim`, repaired. Importing this package does both, for the whole process. Import it
before code that builds a graph.

What is repaired: names that tf-slim expects in TensorFlow's private modules are put back where
TensorFlow has moved them (`_MOVED`), and `tf.layers` and `tf.nn.rnn_cell`, which TensorFlow hides beside
Keras 3; `slim.batch_norm`, which on TensorFlow 2.13 and later looks for a Keras module that no release has,
is replaced by `slimft.compat.batch_norm`; `slim.dropout` by a version that can draw from a seed of the
training loop (`slimft.compat.dropout`); `slim.assign_from_checkpoint` and two functions of `slim.metrics` by
versions without slim's errors; and the loops of `slim.learning`, `slim.training` and `slim.evaluation` by
versions that neither evaluate random weights nor train beyond the end (`slimft.compat.run_repairs`). Every
module of tf_slim, its `nets` included, uses the replacements, and `arg_scope`s on the old functions apply to
the new ones. What tf-slim's own tests say to this is in docs/tf_slim_tests.md.

This package is the only place that touches private parts of TensorFlow and tf-slim.
"""

import functools
import importlib.util
import sys
import warnings

from tensorflow import config
from tensorflow.python.framework import ops as framework_ops
from tensorflow.python.keras.utils import version_utils
from tensorflow.python.ops import array_ops, control_flow_ops, variable_scope, variables
from tensorflow.python.util import deprecation

from slimft.compat.v1 import tf
from slimft.imports import Deferred, left_out

# Private module, name there that tf-slim 1.1.0 uses, what it is today.
_MOVED = (
    (framework_ops, "Tensor", tf.Tensor),
    (framework_ops, "IndexedSlices", tf.IndexedSlices),
    (variable_scope, "variable", tf.Variable),
    (variable_scope, "enable_resource_variables", tf.enable_resource_variables),
    (variable_scope, "disable_resource_variables", tf.disable_resource_variables),
    (variable_scope, "resource_variables_enabled", tf.resource_variables_enabled),
    (variables, "VariableV1", tf.Variable),
    (array_ops, "stack", tf.stack),
    (array_ops, "unstack", tf.unstack),
    (control_flow_ops, "Assert", tf.Assert),
    (control_flow_ops, "case", tf.case),
    (control_flow_ops, "cond", tf.cond),
    (control_flow_ops, "while_loop", tf.while_loop),
)
for _module, _name, _value in _MOVED:
    if not hasattr(_module, _name):
        setattr(_module, _name, _value)

with deprecation.silence():
    tf.disable_v2_behavior()
# At each layer made, Keras assigns anew the base classes that it has had since the first, and so empties
# Python's caches of methods: a quarter of the time to build a ResNet's convolutions.
version_utils.swap_class = functools.cache(version_utils.swap_class)
# tf-slim calls its layers by a name Keras deprecates at each call; no user of slim can act on it.
warnings.filterwarnings("ignore", message="`layer.apply` is deprecated")
warnings.filterwarnings("ignore", message=r"`tf\.(layers|nn\.rnn_cell)\.\w+` is deprecated")
warnings.filterwarnings("ignore", message="`layer.add_variable` is deprecated")
warnings.filterwarnings("ignore", message="`Model.state_updates` will be removed")

# TensorFlow 2's behaviour has to be off before this. scikit-learn, which one of slim's losses needs, would take a
# second.
with left_out("sklearn"):
    import tf_slim as slim
from tf_slim import learning  # noqa: E402
from tf_slim.losses import metric_learning  # noqa: E402
from tf_slim.metrics import metric_ops  # noqa: E402
from tf_slim.ops import arg_scope  # noqa: E402
from tf_slim.training import evaluation, training  # noqa: E402

from slimft.compat import (  # noqa: E402
    assignment,
    batch_normalization,
    cell_copies,
    convolution,
    legacy_names,
    metric_repairs,
    regularizers,
    run_repairs,
    seeded_dropout,
    tf_layers,
)
from slimft.compat.batch_norm_contexts import (  # noqa: E402
    BatchNormMove,
    batch_norm_decay,
    batch_norm_of_replica,
    frozen_batch_norm,
)
from slimft.compat.legacy import install, uninstall  # noqa: E402
from slimft.compat.seeded_dropout import Part, dropout_seed, seeded_uniform  # noqa: E402

__all__ = [
    "BatchNormMove", "Part", "batch_norm", "batch_norm_decay", "batch_norm_of_replica", "dropout", "dropout_seed",
    "enable_determinism", "frozen_batch_norm", "install", "scoped_argument", "seeded_uniform", "slim", "tf",
    "uninstall",
]  # fmt: skip


def _replace(old, function):
    """Puts `function` in the place of slim's function `old` wherever a module of tf_slim refers to it.

    Returns:
        `function`, decorated for `arg_scope` under the key of `old` if that was.
    """
    new = function
    if hasattr(old, "_key_op"):
        function._key_op = old._key_op
        new = slim.add_arg_scope(function)
    for name, module in list(sys.modules.items()):
        if name == "tf_slim" or name.startswith("tf_slim."):
            for attribute, value in list(vars(module).items()):
                if value is old:
                    setattr(module, attribute, new)
    return new


def enable_determinism() -> None:
    """Lets TensorFlow choose only ops that compute the same bits each time, for the whole process."""
    config.experimental.enable_op_determinism()


def scoped_argument(layer, name, default):
    """What the enclosing `slim.arg_scope`s set the argument `name` of `layer` to, or `default`."""
    return arg_scope.current_arg_scope().get(layer._key_op, {}).get(name, default)


if not metric_learning.HAS_SKLEARN and importlib.util.find_spec("sklearn"):
    metric_learning.metrics, metric_learning.HAS_SKLEARN = Deferred("sklearn.metrics"), True
cell_copies.repair()
batch_norm = _replace(slim.batch_norm, batch_normalization.batch_norm)
_replace(slim.convolution2d, convolution.convolution2d)
_replace(slim.separable_convolution2d, convolution.separable_convolution2d)
dropout = _replace(slim.dropout, seeded_dropout.dropout)
_replace(slim.l2_regularizer, regularizers.l2_regularizer)
_replace(slim.assign_from_checkpoint, assignment.assign_from_checkpoint)
_replace(metric_ops.streaming_covariance, metric_repairs.streaming_covariance)
_replace(metric_ops._next_array_size, metric_repairs.next_array_size)
# slim.evaluation's functions call those of slim.training.
_replace(evaluation.evaluate_once, run_repairs.evaluate_once)
_replace(evaluation.evaluate_repeatedly, run_repairs.evaluate_repeatedly)
_replace(slim.evaluation.evaluate_once, run_repairs.evaluation_evaluate_once)
_replace(slim.evaluation.evaluation_loop, run_repairs.evaluation_loop)
_replace(learning.train, run_repairs.learning_train)
_replace(training.train, run_repairs.training_train)
# `import tensorflow.compat.v1` is another module than `from tensorflow.compat import v1`; slim has imported it.
for _name, _module in list(sys.modules.items()):
    if _name.endswith("compat.v1") and _name.startswith("tensorflow"):
        tf_layers.put_back(_module)
        _module.contrib, _module.estimator = legacy_names.contrib, legacy_names.estimator
