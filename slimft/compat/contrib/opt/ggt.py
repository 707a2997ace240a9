"""`GGTOptimizer`: steps scaled by the whole covariance of the last gradients (Agarwal et al. 2018)."""

from __future__ import annotations

from slimft.compat.v1 import tf


class GGTOptimizer(tf.train.Optimizer):
    """Its state is of all variables together, flat and in the order of their names.

    Variables ``global_step``, ``grad_buffer`` [window, weights], ``moment1`` and ``flat_grad``.

    Args:
        learning_rate: of steps.
        beta1: decay of the mean of gradients.
        use_locking: whether updates lock.
        name: of the operations.
        window: how many of the last gradients count.
        eps: above this least deviation, what the window does not span counts too.
        svd_eps: damping of the decomposition.
        sigma_eps: damping of the deviations.

    Raises:
        NotImplementedError: a gradient is sparse.
    """

    def __init__(
        self,
        learning_rate=0.001,
        beta1=0.9,
        use_locking=False,
        name="GGT",
        window=10,
        eps=1e-4,
        svd_eps=1e-6,
        sigma_eps=1e-2,
    ):
        super().__init__(use_locking, name)
        self._learning_rate = learning_rate
        self._beta1 = beta1
        self._window = window
        self._eps = eps
        self._svd_eps = svd_eps
        self._sigma_eps = sigma_eps
        self.index_dict = {}
        self.shape_dict = {}

    def _create_slots(self, var_list):
        total = 0
        for var in sorted(var_list, key=lambda var: var.name):
            self.index_dict[var.name], self.shape_dict[var.name] = total, var.get_shape().num_elements()
            total += self.shape_dict[var.name]
        dtype = var_list[0].dtype.base_dtype
        for name, shape in (("global_step", []), ("grad_buffer", [self._window, total]), ("moment1", [total]),
                            ("flat_grad", [total])):  # fmt: skip
            self._create_non_slot_variable(tf.zeros(shape, dtype), name, colocate_with=var_list[0])

    def _prepare(self):
        self._variables = []

    def _state(self, name):
        return self._get_non_slot_variable(name, graph=tf.get_default_graph())

    def _place(self, var):
        start = self.index_dict[var.name]
        return start, start + self.shape_dict[var.name]

    def _apply_dense(self, grad, var):
        self._variables.append(var)
        return tf.scatter_update(self._state("flat_grad"), tf.range(*self._place(var)), tf.reshape(grad, [-1]))

    def _resource_apply_dense(self, grad, var):
        return self._apply_dense(grad, var)

    def _apply_sparse(self, grad, var):
        raise NotImplementedError("GGTOptimizer takes no sparse gradients")

    def _resource_apply_sparse(self, grad, var, indices):
        raise NotImplementedError("GGTOptimizer takes no sparse gradients")

    def _finish(self, update_ops, name_scope):
        dtype = self._variables[0].dtype.base_dtype
        with tf.control_dependencies(update_ops):
            moment, gradient = self._state("moment1"), self._state("flat_grad").read_value()
            moment = tf.identity(moment.assign(self._beta1 * moment + (1.0 - self._beta1) * gradient))
            steps = tf.identity(self._state("global_step").assign_add(1.0))
            place = tf.floormod(tf.cast(steps - 1.0, tf.int32), self._window)
            buffer = tf.identity(tf.scatter_update(self._state("grad_buffer"), place, moment))
        column = tf.expand_dims(moment, -1)
        past = tf.transpose(buffer / tf.sqrt(tf.minimum(steps, tf.cast(self._window, dtype))))
        covariance = tf.matmul(past, past, transpose_a=True) + self._svd_eps * tf.eye(self._window, dtype=dtype)
        variances, u, _ = tf.svd(covariance)
        deviations = tf.sqrt(variances)
        least = tf.reduce_min(deviations)
        within = tf.matmul(u, tf.matmul(past, column, transpose_a=True), transpose_a=True)

        def spanned(weights):
            return tf.matmul(past, tf.matmul(u, tf.expand_dims(weights, -1) * within))

        head = spanned(1.0 / tf.pow(deviations + self._sigma_eps, 3))
        tail = (column - spanned(1.0 / variances)) / least
        change = self._learning_rate * tf.cond(least > self._eps, lambda: head + tail, lambda: tf.identity(head))
        updates = []
        for var in self._variables:
            start, end = self._place(var)
            updates.append(tf.assign_sub(var, tf.reshape(change[start:end], var.get_shape())))
        return tf.group(*updates, name=name_scope)
