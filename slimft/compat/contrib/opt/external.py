"""Optimizers that run outside of TensorFlow on a graph's losses: SciPy's, such as L-BFGS."""

from __future__ import annotations

import itertools

import numpy as np

from slimft.compat.v1 import tf


class ExternalOptimizerInterface:
    """What a subclass with a method `_minimize` makes an optimizer of.

    Args:
        loss: a scalar tensor.
        var_list: the variables that are changed; by default all trainable ones.
        equalities: tensors that have to be 0 in the end, or None.
        inequalities: tensors that may not be negative in the end, or None.
        var_to_bounds: dictionary from variables to (least, most): numbers or arrays of their shape. Or None.
        **optimizer_kwargs: for `_minimize`.
    """

    def __init__(
        self, loss, var_list=None, equalities=None, inequalities=None, var_to_bounds=None, **optimizer_kwargs
    ):
        self._loss = loss
        self._equalities = equalities or []
        self._inequalities = inequalities or []
        self._vars = tf.trainable_variables() if var_list is None else list(var_list)
        self._packed_bounds = None if var_to_bounds is None else self._bounds(var_to_bounds)
        self._update_placeholders = [tf.placeholder(var.dtype.base_dtype) for var in self._vars]
        self._var_updates = [
            var.assign(tf.reshape(placeholder, _shape_of(var)))
            for var, placeholder in zip(self._vars, self._update_placeholders)
        ]
        loss_gradients = self._gradients(loss)
        equality_gradients = [self._gradients(tensor) for tensor in self._equalities]
        inequality_gradients = [self._gradients(tensor) for tensor in self._inequalities]
        self.optimizer_kwargs = optimizer_kwargs
        self._packed_var = self._pack(self._vars)
        self._packed_loss_grad = self._pack(loss_gradients)
        self._packed_equality_grads = list(map(self._pack, equality_gradients))
        self._packed_inequality_grads = list(map(self._pack, inequality_gradients))
        ends = list(itertools.accumulate((int(np.prod(_shape_of(var))) for var in self._vars), initial=0))
        self._packing_slices = [slice(*ends) for ends in zip(ends, ends[1:])]

    def minimize(
        self, session=None, feed_dict=None, fetches=None, step_callback=None, loss_callback=None, **run_kwargs
    ):
        """Runs to the end, and puts the result into the variables.

        Args:
            session: by default the one in whose `with` this is.
            feed_dict: for all runs, or None.
            fetches: tensors for `loss_callback`, or None.
            step_callback: called after each iteration with the vector of all variables, flat; or None.
            loss_callback: called at each evaluation of the loss with the values of `fetches`; or None.
            **run_kwargs: for the last run of the session, which sets the variables.
        """
        session = session or tf.get_default_session()
        given = (session, feed_dict or {}, fetches or [])
        loss = [self._loss, self._packed_loss_grad]
        found = self._minimize(
            initial_val=session.run(self._packed_var),
            loss_grad_func=self._make_eval_func(loss, *given, loss_callback or (lambda *_: None)),
            equality_funcs=self._make_eval_funcs(self._equalities, *given),
            equality_grad_funcs=self._make_eval_funcs(self._packed_equality_grads, *given),
            inequality_funcs=self._make_eval_funcs(self._inequalities, *given),
            inequality_grad_funcs=self._make_eval_funcs(self._packed_inequality_grads, *given),
            packed_bounds=self._packed_bounds,
            step_callback=step_callback or (lambda _: None),
            optimizer_kwargs=self.optimizer_kwargs,
        )
        values = [found[part] for part in self._packing_slices]
        session.run(self._var_updates, dict(zip(self._update_placeholders, values)), **run_kwargs)

    def _minimize(
        self, initial_val, loss_grad_func, equality_funcs, equality_grad_funcs, inequality_funcs,
        inequality_grad_funcs, packed_bounds, step_callback, optimizer_kwargs,
    ):  # fmt: skip
        """The vector that is best, for a subclass to find.

        Args:
            initial_val: the vector to begin with.
            loss_grad_func: of a vector; returns (loss, its gradient).
            equality_funcs, equality_grad_funcs: lists of functions of a vector: what has to be 0, the gradients.
            inequality_funcs, inequality_grad_funcs: the same of what may not be negative.
            packed_bounds: list of (least, most) of each component, or None.
            step_callback: to call with the vector after each iteration.
            optimizer_kwargs: what the constructor was given.
        """
        raise NotImplementedError("a subclass of ExternalOptimizerInterface has to have _minimize")

    def _bounds(self, var_to_bounds):
        sides = [[], []]
        for var in self._vars:
            bounds = var_to_bounds.get(var, (-np.inf, np.inf))
            for side, bound in zip(sides, bounds):
                side.extend(np.broadcast_to(bound, _shape_of(var)).flat)
        return list(zip(*sides))

    def _gradients(self, tensor):
        found = tf.gradients(tensor, self._vars)
        return [tf.zeros_like(var) if grad is None else grad for grad, var in zip(found, self._vars)]

    @classmethod
    def _pack(cls, tensors):
        """All in one vector; None if there are none."""
        flat = [tf.reshape(tensor, [-1]) for tensor in tensors]
        return tf.concat(flat, 0) if len(flat) > 1 else flat[0] if flat else None

    def _make_eval_func(self, tensors, session, feed_dict, fetches, callback=None):
        """A function of the vector that returns the values of the tensors, a list."""
        tensors = tensors if isinstance(tensors, list) else [tensors]

        def evaluated(x):
            values = [x[part].reshape(_shape_of(var)) for var, part in zip(self._vars, self._packing_slices)]
            # What reads a variable that is a resource does not read what it is fed.
            resources = [i for i, var in enumerate(self._vars) if hasattr(var, "handle")]
            if resources:
                session.run(
                    [self._var_updates[i] for i in resources],
                    {self._update_placeholders[i]: values[i] for i in resources},
                )
            fed = {var: value for var, value in zip(self._vars, values) if not hasattr(var, "handle")}
            found = session.run(tensors + list(fetches), {**fed, **feed_dict})
            if callable(callback):
                callback(*found[len(tensors) :])
            return found[: len(tensors)]

        return evaluated

    def _make_eval_funcs(self, tensors, session, feed_dict, fetches, callback=None):
        return [self._make_eval_func(tensor, session, feed_dict, fetches, callback) for tensor in tensors]


class ScipyOptimizerInterface(ExternalOptimizerInterface):
    """`scipy.optimize.minimize` on a graph's loss; the method is L-BFGS-B unless `method` says another.

    Arguments that it sets by itself (`jac`, `callback`, `constraints`, `bounds`) are a ValueError. Needs SciPy, or
    ImportError says so.
    """

    _DEFAULT_METHOD = "L-BFGS-B"

    def _minimize(
        self, initial_val, loss_grad_func, equality_funcs, equality_grad_funcs, inequality_funcs,
        inequality_grad_funcs, packed_bounds, step_callback, optimizer_kwargs,
    ):  # fmt: skip
        try:
            import scipy.optimize
        except ImportError:
            raise ImportError("ScipyOptimizerInterface needs SciPy (pip install scipy)") from None

        def loss_and_gradient(x):
            loss, gradient = loss_grad_func(x)
            return np.float64(loss), gradient.astype("float64")

        constraints = [
            {"type": kind, "fun": _first(value), "jac": _first(gradient)}
            for kind, values, gradients in (
                ("eq", equality_funcs, equality_grad_funcs),
                ("ineq", inequality_funcs, inequality_grad_funcs),
            )
            for value, gradient in zip(values, gradients)
        ]
        options = {
            "jac": True, "callback": lambda xk: step_callback(xk), "constraints": constraints,
            "bounds": packed_bounds,
        }  # fmt: skip
        for name in options:
            if name in optimizer_kwargs:
                how = "is set by var_to_bounds" if name == "bounds" else "cannot be given to the optimizer"
                raise ValueError(f"{name} {how}")
        # SciPy's newer solvers take nothing but float64.
        initial_val = np.asarray(initial_val, np.float64)
        options = {"method": self._DEFAULT_METHOD, **options, **optimizer_kwargs}
        result = scipy.optimize.minimize(loss_and_gradient, initial_val, **options)
        lines = [
            "Optimization terminated with:",
            f"  Message: {result.message}",
            f"  Objective function value: {result.fun:f}",
        ]
        if hasattr(result, "nit"):
            lines.append(f"  Number of iterations: {result.nit}")
        if hasattr(result, "nfev"):
            lines.append(f"  evaluations of the loss: {result.nfev}")
        tf.logging.info("%s", "\n".join(lines))
        return result["x"]


def _first(function):
    """The first value of what `function` returns, as SciPy wants it."""
    return lambda x: np.asarray(function(x)[0], np.float64)


def _shape_of(var):
    return tuple(var.get_shape().as_list())
