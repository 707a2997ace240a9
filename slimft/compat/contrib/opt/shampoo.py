"""`ShampooOptimizer`, and roots of matrices by iteration."""

from __future__ import annotations

from slimft.compat.contrib.opt.updates import rows_after
from slimft.compat.v1 import tf


def matrix_square_root(mat_a, mat_a_size, iter_count=100, ridge_epsilon=1e-4):
    """The square root of a positive semidefinite matrix, by Newton's and Schulz' iteration.

    Args:
        mat_a: float [size, size].
        mat_a_size: its size.
        iter_count: the most iterations; they end when the error grows.
        ridge_epsilon: is added to the diagonal.
    """
    identity = tf.eye(tf.cast(mat_a_size, tf.int32))
    mat_a = mat_a + ridge_epsilon * identity
    norm = tf.sqrt(tf.reduce_sum(mat_a * mat_a))

    def step(i, y, _, z, error, __):
        middle = 0.5 * (3.0 * identity - tf.matmul(z, y))
        new_y = tf.matmul(y, middle)
        root = new_y * tf.sqrt(norm)
        residual = mat_a - tf.matmul(root, root)
        new_error = tf.sqrt(tf.reduce_sum(residual * residual)) / norm
        return i + 1, new_y, y, tf.matmul(middle, z), new_error, error

    start = mat_a / norm
    found = tf.while_loop(
        lambda i, _, __, ___, error, old_error: tf.logical_and(i < iter_count, error < old_error),
        step,
        [0, start, start, identity, norm, norm + 1.0],
    )
    return found[2] * tf.sqrt(norm)


def matrix_inverse_pth_root(mat_g, mat_g_size, alpha, iter_count=100, epsilon=1e-6, ridge_epsilon=1e-6):
    """mat_g to the power of alpha = -1/p, by coupled iteration.

    Args:
        mat_g: float [size, size], positive semidefinite.
        mat_g_size: its size.
        alpha: -1/p for a whole number p.
        iter_count: the most iterations.
        epsilon: the error at which they end.
        ridge_epsilon: is added to the diagonal.
    """
    if mat_g_size == 1:
        return tf.pow(mat_g + ridge_epsilon, alpha)
    identity = tf.eye(tf.cast(mat_g_size, tf.int32))
    power = round(-1.0 / alpha)
    if abs(power + 1.0 / alpha) > 1e-6 or power < 1:
        raise ValueError(f"alpha has to be -1/p of a whole number p, which {alpha} is not")
    damped = mat_g + ridge_epsilon * identity
    scale = (1 - 1 / alpha) / (2 * tf.norm(damped))

    def step(i, m, x):
        factor = (1 - alpha) * identity + alpha * m
        return i + 1, tf.matmul(_power(factor, power), m), tf.matmul(x, factor)

    return tf.while_loop(
        lambda i, m, _: tf.logical_and(i < iter_count, tf.reduce_max(tf.abs(m - identity)) > epsilon),
        step,
        [0, damped * scale, identity * tf.pow(scale, -alpha)],
    )[2]


def _power(matrix, exponent):
    """A matrix multiplied with itself."""
    result = None
    while exponent:
        if exponent % 2:
            result = matrix if result is None else tf.matmul(matrix, result)
        exponent //= 2
        matrix = tf.matmul(matrix, matrix)
    return result


def GetParam(var, timestep):  # noqa: N802
    """`var`, or what it returns for the step if it is a function."""
    return var(timestep) if callable(var) else var


class ShampooOptimizer(tf.train.Optimizer):
    """Gradients times roots of the inverses of their covariances along each dimension (Gupta et al. 2018).

    Slots: ``gbar``, and for each dimension i ``Gbar_i``, and ``H_i`` if `svd_interval` is above 1.

    Args:
        global_step: the steps done so far.
        max_matrix_size: larger dimensions get a diagonal.
        gbar_decay, gbar_weight: of the mean of gradients; a number or, as those below, a function of the step.
        mat_gbar_decay, mat_gbar_weight: of the covariances.
        learning_rate: of steps.
        svd_interval: how often the roots are taken.
        precond_update_interval: how often covariances are.
        epsilon: damping.
        alpha: the power, shared by the dimensions.
        use_iterative_root: whether to iterate instead of decomposing.
        use_locking: whether updates lock.
        name: of the operations.
    """

    def __init__(
        self,
        global_step=0,
        max_matrix_size=768,
        gbar_decay=0.0,
        gbar_weight=1.0,
        mat_gbar_decay=1.0,
        mat_gbar_weight=1.0,
        learning_rate=1.0,
        svd_interval=1,
        precond_update_interval=1,
        epsilon=1e-4,
        alpha=0.5,
        use_iterative_root=False,
        use_locking=False,
        name="Shampoo",
    ):
        super().__init__(use_locking, name)
        self._global_step = tf.cast(global_step, tf.float32)
        self._max_matrix_size = max_matrix_size
        self._gbar_decay = gbar_decay
        self._gbar_weight = gbar_weight
        self._mat_gbar_decay = mat_gbar_decay
        self._mat_gbar_weight = mat_gbar_weight
        self._learning_rate = learning_rate
        self._svd_interval = svd_interval
        self._precond_update_interval = precond_update_interval
        self._epsilon = epsilon
        self._alpha = alpha
        self._use_iterative_root = use_iterative_root

    def _create_slots(self, var_list):
        for var in var_list:
            with tf.colocate_with(var):
                self._zeros_slot(var, "gbar", self._name)
                for i, size in enumerate(var.get_shape().as_list()):
                    is_matrix = size <= self._max_matrix_size
                    if is_matrix and self._svd_interval > 1:
                        self._get_or_make_slot(var, tf.eye(size), f"H_{i}", self._name)
                    start = tf.zeros([size, size] if is_matrix else [size])
                    self._get_or_make_slot(var, start, f"Gbar_{i}", self._name)

    def _apply_dense(self, grad, var):
        return self._apply_gradient(grad, var)

    def _resource_apply_dense(self, grad, var):
        return self._apply_gradient(grad, var)

    def _apply_sparse(self, grad, var):
        return self._apply_rows(grad.values, grad.indices, var)

    def _resource_apply_sparse(self, grad_values, var, grad_indices):
        return self._apply_rows(grad_values, grad_indices, var)

    def _apply_rows(self, values, indices, var):
        if var.get_shape().as_list()[0] <= self._max_matrix_size or self._gbar_decay != 0.0:
            dense = tf.scatter_nd(tf.expand_dims(indices, 1), values, tf.shape(var, out_type=indices.dtype))
            return self._apply_gradient(dense, var)
        return self._apply_gradient(values, var, indices)

    def _average(self, var, weight, weight_t, rest):
        """A variable that has decayed and got `rest`."""
        if weight == 0.0:
            return rest
        if weight == 1.0:
            return tf.assign_add(var, rest)
        return var.assign_add((weight_t - 1) * var + rest)

    def _root(self, var, covariance, size, alpha, slot_name=None):
        """The power alpha of a covariance; also put into a slot if it is named."""
        with tf.name_scope("matrix_iterative_power"):
            if self._use_iterative_root:
                root = matrix_square_root(covariance, size, 100, self._epsilon)
                root = matrix_inverse_pth_root(root, size, 2 * alpha, 100, 1e-6, ridge_epsilon=0.0)
            elif size == 1:
                root = tf.pow(covariance + self._epsilon, alpha)
            else:
                values, u, v = tf.svd(covariance + self._epsilon * tf.eye(size), full_matrices=True)
                root = tf.matmul(v * tf.pow(tf.maximum(values, self._epsilon), alpha), tf.transpose(u))
            return root if slot_name is None else tf.assign(self.get_slot(var, slot_name), root)

    def _apply_gradient(self, grad, var, indices=None):
        step = self._global_step + 1
        if indices is None:
            decay, weight = GetParam(self._gbar_decay, step), GetParam(self._gbar_weight, step)
            result = self._average(self.get_slot(var, "gbar"), self._gbar_decay, decay, weight * grad)
        else:
            result = grad
        sizes = var.get_shape().as_list()
        alpha = -GetParam(self._alpha, step) / len(sizes)
        for i, size in enumerate(sizes):
            if size <= self._max_matrix_size:
                factor = self._matrix(grad, var, i, size, alpha, step)
                result = tf.tensordot(result, factor, axes=([0], [0]), name=f"precond_{i}")
            else:
                factor = self._diagonal(grad, var, i, size, alpha, step, indices)
                result = tf.transpose(result, [*range(1, len(sizes)), 0]) * factor
        change = GetParam(self._learning_rate, step) * result
        if indices is not None:
            return tf.scatter_sub(var, indices, change)
        return tf.assign_sub(var, change)

    def _matrix(self, grad, var, i, size, alpha, step):
        """What dimension i is multiplied with, [size, size]."""
        covariance = self.get_slot(var, f"Gbar_{i}")
        axes = [axis for axis in range(grad.shape.ndims) if axis != i]
        decay, weight = GetParam(self._mat_gbar_decay, step), GetParam(self._mat_gbar_weight, step)
        interval = GetParam(self._precond_update_interval, step)

        def updated():
            outer = tf.tensordot(grad, grad, axes=(axes, axes), name=f"grad_outer_{i}")
            return tf.identity(self._average(covariance, self._mat_gbar_decay, decay, weight * interval * outer))

        new = tf.cond(tf.mod(step, interval) < 1, updated, lambda: tf.identity(covariance)) / float(size)
        if self._svd_interval == 1:
            return self._root(var, new, size, alpha)
        return tf.cond(
            tf.mod(step, GetParam(self._svd_interval, step)) < 1,
            lambda: tf.identity(self._root(var, new, size, alpha, f"H_{i}")),
            lambda: tf.identity(self.get_slot(var, f"H_{i}")),
        )

    def _diagonal(self, grad, var, i, size, alpha, step, indices):
        """What dimension i is multiplied with, [size]."""
        squares = self.get_slot(var, f"Gbar_{i}")
        axes = [axis for axis in range(grad.shape.ndims) if axis != i]
        weight = GetParam(self._mat_gbar_weight, step)
        new = grad * grad
        if axes:
            new = tf.reduce_sum(new, axis=axes) / (1.0 if indices is not None else float(size))
        if i == 0 and indices is not None:
            if self._mat_gbar_decay != 1.0:
                raise ValueError("rows of a gradient need mat_gbar_decay=1")
            squares = rows_after(tf.scatter_add(squares, indices, weight * new), squares, indices)
        else:
            decay = GetParam(self._mat_gbar_decay, step)
            squares = tf.convert_to_tensor(self._average(squares, self._mat_gbar_decay, decay, weight * new))
        return tf.where(squares > 0, tf.pow(squares, alpha), tf.zeros_like(squares))
