"""Calls that TensorFlow 0.x and 1.x understood and TensorFlow 2's tf.compat.v1 does not: `put_in`.

Each is told from today's calls by its types alone; what would be a guess is left to fail. What is taken for
something else is said once.
"""

from __future__ import annotations

import functools
import inspect
import sys

import numpy as np
from absl import flags
from tensorflow.python.data.ops import dataset_ops, prefetch_op
from tensorflow.python.framework import op_def_library, ops, tensor_shape, tensor_util
from tensorflow.python.keras.utils import conv_utils
from tensorflow.python.ops import shape_util
from tensorflow.python.platform import flags as tf_flags
from tensorflow.python.training import slot_creator

from slimft.compat.patches import Patches
from slimft.compat.v1 import tf

# The arguments of ops that are shapes, sizes or positions, by the kinds of ops.
_SIZES = {
    "BroadcastTo": ("shape",), "Conv2DBackpropInput": ("input_sizes",), "Conv3DBackpropInputV2": ("input_sizes",),
    "DepthwiseConv2dNativeBackpropInput": ("input_sizes",), "Fill": ("dims",), "MirrorPad": ("paddings",),
    "Pad": ("paddings",), "PadV2": ("paddings",), "RandomStandardNormal": ("shape",), "RandomUniform": ("shape",),
    "RandomUniformInt": ("shape",), "Reshape": ("shape",), "ResizeArea": ("size",), "ResizeBicubic": ("size",),
    "ResizeBilinear": ("size",), "ResizeNearestNeighbor": ("size",), "Slice": ("begin", "size"),
    "StridedSlice": ("begin", "end", "strides"), "Tile": ("multiples",), "TruncatedNormal": ("shape",),
}  # fmt: skip


def put_in(patches: Patches) -> None:
    """Makes the old calls work, until the patches are undone."""
    _whole_floats(patches)
    _dimensions(patches)
    patches.set(tf, "concat", _concat(tf.concat))
    patches.set(tf, "split", _split(tf.split))
    patches.set(tf, "name_scope", _NameScope)
    for name in ("resize_images", "resize_bilinear", "resize_bicubic", "resize_nearest_neighbor", "resize_area"):
        patches.set(tf.image, name, _resize(getattr(tf.image, name), patches))
    patches.set(tf, "sparse_concat", _renaming(tf.sparse_concat, concat_dim="axis"))
    patches.set(tf, "sparse_split", _sparse_split(tf.sparse_split))
    for name in ("nce_loss", "sampled_softmax_loss"):
        patches.set(tf.nn, name, _labels_first(getattr(tf.nn, name)))
    for kind in (tf.nn.rnn_cell.BasicRNNCell, tf.nn.rnn_cell.GRUCell, tf.nn.rnn_cell.BasicLSTMCell,
                 tf.nn.rnn_cell.LSTMCell):  # fmt: skip
        patches.set(
            kind, "__init__", _without("input_size", kind.__init__, patches, "a cell's inputs have their size")
        )
    optimizer = tf.train.SyncReplicasOptimizer
    made = _without("replica_id", optimizer.__init__, patches, "it needs no number of its replica")
    patches.set(optimizer, "__init__", made)
    patches.set(dataset_ops.DatasetV1, "map", _dataset_map(dataset_ops.DatasetV1.map))
    patches.set(prefetch_op._PrefetchDataset, "__init__", _prefetch(prefetch_op._PrefetchDataset.__init__))
    for module in {tf.flags, tf.app.flags, tf_flags}:
        for kind in ("string", "integer", "float", "bool", "boolean", "enum", "list"):
            name = f"DEFINE_{kind}"
            patches.set(module, name, _define(getattr(module, name), kind, patches))
    patches.set(slot_creator, "_create_slot_var", _slot(slot_creator._create_slot_var))
    patches.set(tf_flags._FlagValuesWrapper, "__setattr__", _set_flag)
    patches.set(
        tf_flags._FlagValuesWrapper, "__getattribute__", _flag(tf_flags._FlagValuesWrapper.__getattribute__)
    )
    if not hasattr(flags.FlagValues, "_parse_flags"):
        patches.set(flags.FlagValues, "_parse_flags", _parse_flags)


def whole(value, patches: Patches):
    """`value` with whole floats and bools as ints, in lists and tuples too: ``96 / 2`` was 48 in Python 2."""
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return type(value)(whole(one, patches) for one in value)
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        patches.say(
            "sizes",
            f"sizes that are whole floats, such as {value}, are taken as ints: / of ints was one in Python 2",
        )
        return int(value)
    # TensorFlow 1 took True for 1.
    return int(value) if isinstance(value, (bool, np.bool_)) else value


def _whole_floats(patches):
    """Whole floats in shapes and sizes."""
    made, applied = tensor_shape.Dimension.__init__, op_def_library._apply_op_helper
    # Where it is has changed between TensorFlow 2.16 and 2.21.
    holder = next(module for module in (shape_util, tensor_util) if hasattr(module, "shape_tensor"))
    shaped = holder.shape_tensor

    def make(self, value):
        made(self, whole(value, patches))

    def apply(op_type_name, name=None, **arguments):
        for size in _SIZES.get(op_type_name, ()):
            if isinstance(arguments.get(size), (list, tuple)):
                arguments[size] = whole(arguments[size], patches)
        return applied(op_type_name, name, **arguments)

    def shape(value):
        return shaped(whole(value, patches))

    patches.set(tensor_shape.Dimension, "__init__", make)
    patches.set(op_def_library, "_apply_op_helper", apply)
    patches.set(holder, "shape_tensor", shape)
    normalize = conv_utils.normalize_tuple

    def normalize_tuple(value, n, name):
        return normalize(whole(value, patches), n, name)

    patches.set(conv_utils, "normalize_tuple", normalize_tuple)


def _dimensions(patches):
    """``Dimension / int``, which Python 2 took for ``//``."""

    def divide(self, other):
        patches.say("/", f"{self!r} / {other!r} is taken as //, as in Python 2")
        return self // other

    def divided(self, other):
        patches.say("/", f"{other!r} / {self!r} is taken as //, as in Python 2")
        return other // self

    patches.set(tensor_shape.Dimension, "__truediv__", divide)
    patches.set(tensor_shape.Dimension, "__rtruediv__", divided)


def _is_axis(value):
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _concat(function):
    @functools.wraps(function)
    def concat(values=None, axis=None, name="concat", concat_dim=None):
        """`tf.concat`, also as concat(concat_dim, values)."""
        if concat_dim is not None and axis is None:
            axis = concat_dim
        if _is_axis(values) and not _is_axis(axis) and axis is not None:
            values, axis = axis, values
        return function(values, axis, name=name)

    return concat


def _split(function):
    @functools.wraps(function)
    def split(value=None, num_or_size_splits=None, axis=0, num=None, name="split", **old):
        """`tf.split`, also as split(split_dim, num_split, value)."""
        if old.keys() - {"split_dim", "num_split"}:
            raise TypeError(f"tf.split has no argument {sorted(old.keys() - {'split_dim', 'num_split'})[0]}")
        axis = old.get("split_dim", axis)
        num_or_size_splits = old.get("num_split", num_or_size_splits)
        if _is_axis(value) and _is_axis(num_or_size_splits) and not _is_axis(axis):
            value, axis = axis, value
        elif _is_axis(value) and num_or_size_splits is not None and not _is_axis(num_or_size_splits):
            # split(0, value=..., num_split=2) and the like.
            value, axis = num_or_size_splits, value
        return function(value, num_or_size_splits, axis, num, name)

    return split


class _NameScope(ops.name_scope_v1):
    """`tf.name_scope`, also as name_scope(name, values)."""

    def __init__(self, name, default_name=None, values=None):
        if isinstance(default_name, (list, tuple)) and values is None:
            default_name, values = None, default_name
        super().__init__(name, default_name, values)


def _resize(function, patches):
    @functools.wraps(function)
    def resize(images, size=None, *arguments, **named):
        """Resizes, also with whole floats and, as in 0.x, with new_height and new_width one after the other."""
        if size is None and {"new_height", "new_width"} <= named.keys():
            size = [named.pop("new_height"), named.pop("new_width")]
        is_number = isinstance(size, (int, float, np.number)) and not isinstance(size, bool)
        if is_number and arguments and isinstance(arguments[0], (int, float, np.number)):
            size, arguments = [size, arguments[0]], arguments[1:]
        return function(images, whole(size, patches), *arguments, **named)

    return resize


def _renaming(function, **renamed):
    """`function`, also with older names of its arguments."""

    @functools.wraps(function)
    def called(*arguments, **named):
        return function(*arguments, **{renamed.get(name, name): value for name, value in named.items()})

    return called


def _without(argument, function, patches, why):
    """`function` without an argument that it no longer has, and that changes nothing."""

    @functools.wraps(function)
    def called(*arguments, **named):
        if named.pop(argument, None) is not None:
            patches.say(argument, f"{argument}= is passed over: {why}")
        return function(*arguments, **named)

    # For inspect.getargspec, by which scripts ask what a cell takes, and which does not look through wrappers.
    called.__signature__ = inspect.signature(function)
    return called


def _sparse_split(function):
    @functools.wraps(function)
    def sparse_split(*arguments, **named):
        """`tf.sparse_split`, also as sparse_split(split_dim, num_split, sp_input)."""
        if arguments and _is_axis(arguments[0]):
            named.update(zip(("axis", "num_split", "sp_input", "name"), arguments))
            arguments = ()
        if "split_dim" in named:
            named["axis"] = named.pop("split_dim")
        return function(*arguments, **named)

    return sparse_split


def _labels_first(function):
    @functools.wraps(function)
    def loss(weights, biases, labels, inputs, *arguments, **named):
        """A sampled loss, also with inputs before labels, as in 0.x: labels are whole numbers."""
        inputs_, labels_ = (tf.convert_to_tensor(value) for value in (inputs, labels))
        if labels_.dtype.is_floating and inputs_.dtype.is_integer:
            labels, inputs = inputs, labels
        return function(weights, biases, labels, inputs, *arguments, **named)

    return loss


def _dataset_map(function):
    @functools.wraps(function)
    def map_(
        self, map_func, num_parallel_calls=None, *arguments, num_threads=None, output_buffer_size=None, **named
    ):
        """`Dataset.map`, also with the arguments of tf.contrib.data in 1.2: they change how fast it is, no more."""
        dataset = function(self, map_func, num_threads or num_parallel_calls, *arguments, **named)
        return dataset if output_buffer_size is None else dataset.prefetch(output_buffer_size)

    return map_


def _prefetch(function):
    @functools.wraps(function)
    def init(self, input_dataset, buffer_size, *arguments, **named):
        """Takes NumPy's ints, whose comparisons are no bools to TensorFlow 2's op."""
        size = int(buffer_size) if isinstance(buffer_size, np.integer) else buffer_size
        function(self, input_dataset, size, *arguments, **named)

    return init


def _define(function, kind, patches):
    @functools.wraps(function)
    def define(flag_name, default_value, docstring=None, *arguments, **named):
        """Defines a flag, also one that absl has; a default of another type stands, as before TensorFlow 1.5."""
        values = named.get("flag_values") or flags.FLAGS
        if flag_name in values and str(values.find_module_defining_flag(flag_name)).startswith("absl."):
            named.setdefault("allow_override", True)  # Such as log_dir, of absl.logging.
        try:
            return function(flag_name, default_value, docstring, *arguments, **named)
        except flags.IllegalFlagValueError:
            if isinstance(default_value, str):  # This was read as a value of the command line then too.
                raise
        holder = function(flag_name, None, docstring, *arguments, **named)
        flag = values[flag_name]
        flag.default = flag.default_unparsed = flag.value = default_value
        flag.default_as_str = repr(str(default_value))
        patches.say(
            f"flag {flag_name}",
            f"flag {flag_name}: its default {default_value!r} is no {kind}, and stands as it is, as before "
            "TensorFlow 1.5",
        )
        return holder

    return define


def _slot(function):
    @functools.wraps(function)
    def create(*arguments, **named):
        """Makes an optimizer's slot, also where the variables around are reused."""
        with tf.variable_scope(tf.get_variable_scope(), reuse=tf.AUTO_REUSE, auxiliary_name_scope=False):
            return function(*arguments, **named)

    return create


def _set_flag(self, name, value):
    """Sets a flag; one that nobody defined comes into being, as before TensorFlow 1.5."""
    values = self.__dict__["__wrapped"]
    if name not in values:
        flags.DEFINE(flags.ArgumentParser(), name, None, "Set without a definition.", flag_values=values)
    setattr(values, name, value)


class _FlagsOwn(dict):
    """``FLAGS.__dict__``, whose "__flags" was the flags' values before TensorFlow 1.5."""

    def __missing__(self, name):
        if name == "__flags":
            return self["__wrapped"].flag_values_dict()
        raise KeyError(name)


def _flag(function):
    def get(self, name):
        found = function(self, name)
        return _FlagsOwn(found) if name == "__dict__" and "__wrapped" in found else found

    return get


def _parse_flags(self, args=None):
    """Parses the command line: what TensorFlow before 1.5 called FLAGS._parse_flags()."""
    return self(sys.argv if args is None else [sys.argv[0], *args], known_only=True)
