"""What wraps an optimizer: moving averages, tasks in turn, bounds on norms, and gradients that are too old."""

from __future__ import annotations

import contextlib
import types

from tensorflow.python.ops import variables
from tensorflow.python.training.saving import saveable_object_util

from slimft.compat.v1 import tf


class MovingAverageOptimizer(tf.train.Optimizer):
    """Keeps moving averages of the variables that an optimizer trains.

    Args:
        opt: the optimizer.
        average_decay: of the averages.
        num_updates: of `tf.train.ExponentialMovingAverage`.
        sequential_update: whether averages are of the variables after the step.
    """

    def __init__(self, opt, average_decay=0.9999, num_updates=None, sequential_update=True):
        self._optimizer = opt
        self._ema = tf.train.ExponentialMovingAverage(average_decay, num_updates=num_updates)
        self._swapped_variable_name_map = None
        self._sequential_update = sequential_update

    def compute_gradients(self, *args, **kwargs):
        return self._optimizer.compute_gradients(*args, **kwargs)

    def apply_gradients(self, grads_and_vars, global_step=None, name=None):
        grads_and_vars = list(grads_and_vars)
        train_op = self._optimizer.apply_gradients(grads_and_vars, global_step=global_step, name=name)
        trained = [var for grad, var in grads_and_vars if grad is not None]
        with tf.control_dependencies([train_op] if self._sequential_update else []):
            average_op = self._ema.apply(trained)
        names = {}
        for var in trained:
            average = self._ema.average(var)
            names[var.op.name], names[average.op.name] = average.op.name, var.op.name
        self._swapped_variable_name_map = names
        return tf.group(train_op, average_op, name="train_with_avg")

    def swapping_saver(self, var_list=None, name="swapping_saver", **kwargs):
        """A `tf.train.Saver` whose checkpoints have the averages under the names of the variables.

        Args:
            var_list: what to save, a list or a dictionary; by default all global variables.
            name: of its operations.
            **kwargs: of `tf.train.Saver`.

        Raises:
            RuntimeError: no gradients are applied yet.
            ValueError: a variable is saved without its average, or the other way round.
        """
        if self._swapped_variable_name_map is None:
            raise RuntimeError("swapping_saver comes after apply_gradients or minimize")
        var_list = tf.global_variables() if var_list is None else var_list
        if not isinstance(var_list, dict):
            var_list = saveable_object_util.op_list_to_dict(var_list)
        by_name = {}
        for key, saved in var_list.items():
            parts = isinstance(saved, (list, variables.PartitionedVariable))
            by_name.update({part.op.name: part for part in saved} if parts else {key: saved})

        def swapped(key, var):
            other = self._swapped_variable_name_map.get(key)
            if other is None:
                return var
            if other not in by_name:
                raise ValueError(f"{other} is to be swapped, and is not among the variables to save")
            return by_name[other]

        saved = {
            key: [swapped(part.op.name, part) for part in var] if isinstance(var, list) else swapped(key, var)
            for key, var in var_list.items()
        }
        return tf.train.Saver(saved, name=name, **kwargs)


def _is_all_zeros(grad):
    return tf.equal(tf.count_nonzero(grad), 0)


class MultitaskOptimizerWrapper:
    """Lets an optimizer pass over gradients that are all 0, as of a task whose turn it is not; slots stay as well.

    Args:
        opt: the optimizer. It is changed.

    Raises:
        TypeError: it is none.
    """

    def __init__(self, opt):
        if not isinstance(opt, tf.train.Optimizer):
            raise TypeError(f"expected a tf.train.Optimizer, not {type(opt).__name__}")
        self._opt = opt
        for name in ("_apply_dense", "_resource_apply_dense", "_apply_sparse", "_resource_apply_sparse"):
            setattr(opt, name, types.MethodType(_passing_over_zeros(getattr(opt, name)), opt))

    def __getattr__(self, name):
        return getattr(self._opt, name)


def _passing_over_zeros(update):
    def wrapper(_, grad, *args, **kwargs):
        def updated():
            with tf.control_dependencies([update(grad, *args, **kwargs)]):
                return tf.no_op()

        return tf.cond(_is_all_zeros(grad), tf.no_op, updated)

    return wrapper


def clip_gradients_by_global_norm(gradients_variables, clip_norm=20.0):
    """Scales gradients so that their norm, without those that are all 0, is no larger than `clip_norm`.

    Returns:
        (list of gradients and variables, the norm before).
    """
    gradients, trained = zip(*gradients_variables)

    def nonzero(grad):
        if grad is None:
            return None
        return tf.cond(_is_all_zeros(grad), lambda: tf.zeros([], grad.dtype.base_dtype), lambda: grad)

    norm = tf.global_norm([nonzero(grad) for grad in gradients])
    gradients, _ = tf.clip_by_global_norm(gradients, clip_norm, use_norm=norm)
    return list(zip(gradients, trained)), norm


class _Around(tf.train.Optimizer):
    """An optimizer around another, whose slots are that one's."""

    def __init__(self, opt, use_locking, name):
        super().__init__(use_locking, name)
        self._opt = opt

    def compute_gradients(self, *args, **kwargs):
        return self._opt.compute_gradients(*args, **kwargs)

    def get_slot(self, *args, **kwargs):
        return self._opt.get_slot(*args, **kwargs)

    def get_slot_names(self, *args, **kwargs):
        return self._opt.get_slot_names(*args, **kwargs)


class VariableClippingOptimizer(_Around):
    """Bounds the norms of variables after each step.

    Args:
        opt: the optimizer that takes the step.
        vars_to_clip_dims: dictionary from variables to the dimensions along which the norm is taken.
        max_norm: the bound.
        use_locking: whether updates lock.
        colocate_clip_ops_with_vars: whether norms are computed where the variables are.
        name: of the operations.
    """

    def __init__(
        self,
        opt,
        vars_to_clip_dims,
        max_norm,
        use_locking=False,
        colocate_clip_ops_with_vars=False,
        name="VariableClipping",
    ):
        super().__init__(opt, use_locking, name)
        self._vars_to_clip_dims = {var: list(dims) for var, dims in vars_to_clip_dims.items()}
        self._max_norm = max_norm
        self._colocate_clip_ops_with_vars = colocate_clip_ops_with_vars

    def apply_gradients(self, grads_and_vars, global_step=None, name=None):
        grads_and_vars = list(grads_and_vars)
        with tf.name_scope(name, self._name) as scope:
            update = self._opt.apply_gradients(grads_and_vars, global_step=global_step)
            clipped = []
            with tf.control_dependencies([update]):
                for grad, var in grads_and_vars:
                    if grad is not None and var in self._vars_to_clip_dims:
                        with tf.name_scope(f"clip_{var.op.name}"):
                            clipped.append(self._clip(grad, var))
            return tf.group(update, *clipped, name=scope)

    def _clip(self, grad, var):
        dims = self._vars_to_clip_dims[var]
        rows = isinstance(grad, tf.IndexedSlices) and 0 not in dims
        if isinstance(grad, tf.IndexedSlices) and not rows:
            tf.logging.warning("the norm of all of %s is taken at each step, as dims %s have 0", var.op.name, dims)
        with self._where(var):
            value = tf.gather(var, grad.indices) if rows else var.read_value()
            excess = value - tf.clip_by_norm(value, self._max_norm, dims)
        with tf.colocate_with(var):
            if rows:
                slices = tf.IndexedSlices(excess, grad.indices, grad.dense_shape)
                return var.scatter_sub(slices, use_locking=self._use_locking)
            return var.assign_sub(excess, use_locking=self._use_locking)

    def _where(self, var):
        return tf.colocate_with(var) if self._colocate_clip_ops_with_vars else contextlib.nullcontext()


class DropStaleGradientOptimizer(_Around):
    """Drops gradients of a step that others have left behind; the variable ``stale_counter`` counts them.

    Args:
        opt: the optimizer.
        staleness: how many steps may lie between.
        use_locking: whether updates lock.
        name: of the operations.
    """

    def __init__(self, opt, staleness, use_locking=False, name="DropStaleGradient"):
        super().__init__(opt, use_locking, name)
        self._staleness = staleness

    def compute_gradients(self, loss, *args, **kwargs):
        with tf.colocate_with(loss):
            self._local_step = tf.train.get_global_step() + 0
        with tf.control_dependencies([self._local_step]):
            return super().compute_gradients(tf.identity(loss), *args, **kwargs)

    def apply_gradients(self, grads_and_vars, global_step=None, name=None):
        grads_and_vars = list(grads_and_vars)
        with tf.colocate_with(global_step):
            counter = tf.get_variable("stale_counter", [], initializer=tf.zeros_initializer(), trainable=False)

        def accepted():
            update = self._opt.apply_gradients(grads_and_vars, global_step=global_step, name=name)
            with tf.control_dependencies([update]):
                return tf.constant(0.0)

        gradients = [
            grad if isinstance(grad, tf.Tensor) else grad.op for grad, _ in grads_and_vars if grad is not None
        ]
        with tf.control_dependencies(gradients), tf.colocate_with(global_step):
            age = tf.reshape(global_step - self._local_step, [])
        update = counter.assign_add(tf.cond(age <= self._staleness, accepted, lambda: tf.constant(1.0)))
        tf.summary.scalar("Gradient staleness percentage", counter / tf.cast(global_step + 1, tf.float32))
        return update
