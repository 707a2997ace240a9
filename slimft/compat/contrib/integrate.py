"""What `tf.contrib.integrate` was: ordinary differential equations solved in a graph.

Source of names, arguments, step sizes and errors: TensorFlow 1.15's tensorflow/contrib/integrate.
"""

from __future__ import annotations

from slimft.compat.v1 import tf

__all__ = ["odeint", "odeint_fixed"]

# Dormand and Prince 1980: times and weights of the stages, of their error, and of the middle of the step (Shampine
# 1986).
_TIMES = (1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
_STAGES = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
_ERROR = (
    1951 / 21600 - 35 / 384, 0, 22642 / 50085 - 500 / 1113, 451 / 720 - 125 / 192, 2187 / 6784 - 12231 / 42400,
    649 / 6300 - 11 / 84, 1 / 60,
)  # fmt: skip
_MIDDLE = (
    6025192743 / 30085553152 / 2, 0, 51252292925 / 65400821598 / 2, -2691868925 / 45128329728 / 2,
    187940372067 / 1594534317056 / 2, -1776094331 / 19743644256 / 2, 11237099 / 235043384 / 2,
)  # fmt: skip
_ORDER = 5


def odeint(func, y0, t, rtol=1e-6, atol=1e-12, method=None, options=None, full_output=False, name=None):
    """Solves dy/dt = func(y, t) with steps as long as the error allows.

    Args:
        func: of y and t.
        y0: y at t[0], a float or complex tensor.
        t: increasing times, float, rank 1.
        rtol, atol: bounds of each step's error, atol + rtol * abs(y).
        method: ``dopri5`` or None, which is it.
        options: with a method, a dictionary of `first_step`, `safety`, `ifactor`, `dfactor`, `max_num_steps`.
        full_output: whether there is a dictionary, too.
        name: of the operations.

    Returns:
        y at all times, [times, ...]; or this and a dictionary of ``num_func_evals``, ``integrate_points``, the ends
        of the steps that were tried, and ``error_ratio``, their errors by the bounds.

    Raises:
        ValueError: the method is another, or there are options without one.
        TypeError: `y0` or `t` is of integers.
    """
    if method not in (None, "dopri5"):
        raise ValueError(f"method has to be dopri5, not {method!r}")
    if method is None and options is not None:
        raise ValueError("options need a method")
    with tf.name_scope(name, "odeint", [y0, t, rtol, atol]) as scope:
        y0 = tf.convert_to_tensor(y0, name="y0")
        t = tf.convert_to_tensor(t, preferred_dtype=tf.float64, name="t")
        _check_types(y0=y0, t=t)
        bounds = [tf.convert_to_tensor(bound, dtype=tf.abs(y0).dtype) for bound in (rtol, atol)]
        return _dopri5(func, y0, t, *bounds, full_output=full_output, name=scope, **(options or {}))


def _dopri5(
    func, y0, t, rtol, atol, full_output, name, first_step=None, safety=0.9, ifactor=10.0, dfactor=0.2,
    max_num_steps=1000,
):  # fmt: skip
    def step(state, points, errors, count):
        y, slope, _, start, length, fit = state
        checks = [
            tf.Assert(start + length > start, ["underflow in dt", length]),
            tf.Assert(count < max_num_steps, ["max_num_steps exceeded"]),
            tf.Assert(tf.reduce_all(tf.is_finite(tf.abs(y))), ["y is not finite", y]),
        ]
        with tf.control_dependencies(checks):
            new_y, error, stages = _stages(func, y, slope, start, length)
        bound = atol + rtol * tf.maximum(tf.abs(y), tf.abs(new_y))
        ratio = tf.sqrt(tf.reduce_mean(tf.square(tf.abs(error)) / tf.square(bound)))
        accepted = ratio <= 1
        end = start + length

        def passed():
            return [new_y, stages[-1], end, *_fit(y, new_y, stages, tf.cast(length, y.dtype))]

        def repeated():
            return [tf.identity(given) for given in (y, slope, start, *fit)]

        y, slope, here, *fit = tf.cond(accepted, passed, repeated)
        factor = tf.cast(ratio, t.dtype) ** (1 / _ORDER) / safety
        length = length / tf.maximum(tf.cast(1 / ifactor, t.dtype), tf.minimum(factor, 1 / dfactor))
        points, errors = points.write(points.size(), end), errors.write(errors.size(), ratio)
        return (y, slope, start, here, length, fit), points, errors, count + 1

    def to_time(solution, points, errors, state, i):
        state, points, errors, _ = tf.while_loop(
            lambda state, *_: t[i] > state[3], step, (state, points, errors, 0), name="integrate_loop"
        )
        _, _, start, end, _, fit = state
        inside = tf.Assert(
            tf.logical_and(start <= t[i], t[i] <= end), ["t is outside of the step", start, t[i], end]
        )
        with tf.control_dependencies([inside]):
            x = tf.cast((t[i] - start) / (end - start), y0.dtype)
        y = fit[0]
        for coefficient in fit[1:]:
            y = y * x + coefficient
        return solution.write(i, y), points, errors, state, i + 1

    with tf.control_dependencies([_increasing(t)]):
        times = tf.size(t)
    length = tf.convert_to_tensor(1.0 if first_step is None else first_step, dtype=t.dtype, name="first_step")
    state = (y0, func(y0, t[0]), t[0], t[0], length, [y0] * 5)
    points, errors = (tf.TensorArray(dtype, size=0, dynamic_size=True) for dtype in (t.dtype, rtol.dtype))
    solution = tf.TensorArray(y0.dtype, size=times).write(0, y0)
    solution, points, errors, _, _ = tf.while_loop(
        lambda *given: given[-1] < times, to_time, (solution, points, errors, state, 1), name="interpolate_loop"
    )
    y = solution.stack(name=name)
    y.set_shape(t.get_shape().concatenate(y0.get_shape()))
    if not full_output:
        return y
    ends = points.stack()
    return y, {
        "num_func_evals": 6 * tf.size(ends) + 1, "integrate_points": ends, "error_ratio": errors.stack(),
    }  # fmt: skip


def _stages(func, y, slope, start, length):
    """(y after a step, its error, the slopes of all stages)."""
    step = tf.cast(length, y.dtype)
    slopes = [slope]
    for time, weights in zip(_TIMES, _STAGES):
        new = y + _sum(step, weights, slopes)
        slopes.append(func(new, start + time * length))
    return tf.identity(new), _sum(step, _ERROR, slopes), slopes


def _sum(step, weights, slopes):
    return tf.add_n([step * weight * slope for weight, slope in zip(weights, slopes) if weight])


def _fit(y0, y1, slopes, step):
    """The polynomial of order 4 through both ends, with their slopes, and the middle; highest power first."""
    middle = y0 + _sum(step, _MIDDLE, slopes)
    f0, f1 = step * slopes[0], step * slopes[-1]
    return [
        -2 * f0 + 2 * f1 - 8 * y0 - 8 * y1 + 16 * middle,
        5 * f0 - 3 * f1 + 18 * y0 + 14 * y1 - 32 * middle,
        -4 * f0 + f1 - 11 * y0 - 5 * y1 + 16 * middle,
        f0,
        tf.identity(y0),
    ]


def _midpoint(func, y, t, length):
    step = tf.cast(length, y.dtype)
    return step * func(y + func(y, t) * step / 2, t + length / 2)


def _rk4(func, y, t, length):
    step, half = tf.cast(length, y.dtype), t + length / 2
    k1 = func(y, t)
    k2 = func(y + step * k1 / 2, half)
    k3 = func(y + step * k2 / 2, half)
    k4 = func(y + step * k3, t + length)
    return tf.add_n([k1, 2 * k2, 2 * k3, k4]) * (step / 6)


_FIXED = {"midpoint": _midpoint, "rk4": _rk4}


def odeint_fixed(func, y0, t, dt=None, method="rk4", name=None):
    """Solves dy/dt = func(y, t) with given steps.

    Args:
        func: of y and t.
        y0: y at t[0], a float or complex tensor.
        t: increasing times, float, rank 1.
        dt: the most that a step lasts: one number, or one for each interval; by default an interval is a step.
        method: ``rk4`` or ``midpoint``.
        name: of the operations.

    Returns:
        y at all times, [times, ...].

    Raises:
        ValueError: the method is another, or the sizes do not fit.
        TypeError: `y0`, `t` or `dt` is of integers.
    """
    if method not in _FIXED:
        raise ValueError(f"method has to be rk4 or midpoint, not {method!r}")
    with tf.name_scope(name, "odeint_fixed", [y0, t, dt]):
        t = tf.convert_to_tensor(t, preferred_dtype=tf.float64, name="t")
        y0 = tf.convert_to_tensor(y0, name="y0")
        intervals = t[1:] - t[:-1]
        dt = intervals if dt is None else tf.convert_to_tensor(dt, preferred_dtype=t.dtype, name="dt")
        _check_types(y0=y0, t=t, dt=dt)
        if t.shape.ndims != 1 or (dt.shape.ndims or 0) > 1:
            raise ValueError(f"t has to be of rank 1 and dt of 0 or 1, not of {t.shape.ndims} and {dt.shape.ndims}")
        counts = tf.ceil(intervals / dt)
        lengths = intervals / counts
        counts = tf.cast(counts, tf.int32)
        with tf.control_dependencies([_increasing(t)]):
            times = tf.size(t)

        def step(y, time, done, i):
            length = lengths[i - 1]
            return y + tf.cast(_FIXED[method](func, y, time, length), y.dtype), time + length, done + 1, i

        def interval(solution, y, time, i):
            y, time, _, _ = tf.while_loop(lambda _, __, done, i: done < counts[i - 1], step, (y, time, 0, i))
            return solution.write(i, y), y, time, i + 1

        solution = tf.TensorArray(y0.dtype, times).write(0, y0)
        solution, _, _, _ = tf.while_loop(lambda *given: given[-1] < times, interval, (solution, y0, t[0], 1))
        y = solution.stack()
        y.set_shape(t.get_shape().concatenate(y0.get_shape()))
        return y


def _increasing(t):
    return tf.Assert(tf.reduce_all(t[1:] > t[:-1]), ["t has to increase"])


def _check_types(**tensors):
    for name, tensor in tensors.items():
        if not (tensor.dtype.is_floating or (name == "y0" and tensor.dtype.is_complex)):
            raise TypeError(f"{name} has to be of floating point, not of {tensor.dtype.name}")
