"""slim.assign_from_checkpoint: NumPy refuses the way in which slim's own cuts out a variable's part."""

import collections

from tensorflow.compat import v1 as tf


def assign_from_checkpoint(model_path, var_list, ignore_missing_vars=False):
    """Makes an op that sets variables to a checkpoint's values, and what to feed it with.

    Args:
        model_path: the checkpoint, as `tf.train.Saver` names it.
        var_list: variables, parts of a partitioned one included; or a dictionary by name in the
            checkpoint of a variable or a list of them.
        ignore_missing_vars: leave out, with a warning, what the checkpoint lacks.

    Returns:
        The op, and its feed_dict of arrays by placeholder.

    Raises:
        ValueError: the checkpoint lacks a variable, or has it in another shape.
    """
    by_name = collections.defaultdict(list)
    if isinstance(var_list, (tuple, list)):
        for variable in var_list:
            part = variable._save_slice_info
            by_name[part.full_name if part else variable.op.name].append(variable)
    else:
        for name, variables in var_list.items():
            by_name[name] = variables if isinstance(variables, (tuple, list)) else [variables]
    reader = tf.train.NewCheckpointReader(model_path)
    assignments, feed_dict = [], {}
    for name, variables in by_name.items():
        if not reader.has_tensor(name):
            message = f"Checkpoint is missing variable [{name}]"
            if not ignore_missing_vars:
                raise ValueError(message)
            tf.logging.warning(message)
            continue
        value = reader.get_tensor(name)
        for variable in variables:
            placeholder = tf.placeholder(
                variable.dtype.base_dtype, variable.shape, f"placeholder/{variable.op.name}"
            )
            assignments.append(variable.assign(placeholder))
            feed_dict[placeholder] = _part_of(value, variable, name)
    return tf.group(*assignments), feed_dict


def _part_of(value, variable, name):
    """What of a checkpoint's array belongs into `variable`; raises ValueError where the shape is another."""
    part = variable._save_slice_info
    if part is None:
        if variable.shape != value.shape:
            raise ValueError(
                f"{name} has the shape {value.shape} in the checkpoint, but {variable.shape} in the graph."
            )
        return value
    return value[tuple(slice(start, start + size) for start, size in zip(part.var_offset, part.var_shape))]
