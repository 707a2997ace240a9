"""tf.contrib.opt: five steps are those of TensorFlow 1.15, whose figures stand here, with its names of slots."""

import numpy as np
import pytest

from slimft.compat import tf

opt = tf.contrib.opt
_values = np.random.RandomState(0)
W = _values.randn(4, 3).astype(np.float32)
_values.randn(3 + 24 + 18)
E = _values.randn(5, 2).astype(np.float32)
_gradients = np.random.RandomState(1)
GRADIENTS_W = _gradients.randn(5, 4, 3).astype(np.float32)
GRADIENTS_E = _gradients.randn(5, 3, 2).astype(np.float32)


def variables(use_resource):
    given = {"use_resource": use_resource}
    return tf.get_variable("w", initializer=W, **given), tf.get_variable("e", initializer=E, **given)


def five_steps(make, use_resource, decays_w_only=False):
    """Values of all variables by their names; w has a gradient, and e one of its rows 1, 3 and 1."""
    with tf.Graph().as_default():
        w, e = variables(use_resource)
        step = tf.train.get_or_create_global_step()
        fed = tf.placeholder(tf.float32, [4, 3]), tf.placeholder(tf.float32, [3, 2])
        gradients = [(fed[0], w), (tf.IndexedSlices(fed[1], [1, 3, 1], [5, 2]), e)]
        only = {"decay_var_list": [w]} if decays_w_only else {}
        train_op = make(step).apply_gradients(gradients, global_step=step, **only)
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            for values in zip(GRADIENTS_W, GRADIENTS_E):
                session.run(train_op, dict(zip(fed, values)))
            return {variable.op.name: session.run(variable) for variable in tf.global_variables()}


# The optimizer, w[0] and e[1] in TensorFlow 1.15, and what it has made of w.
CASES = [
    (
        lambda step: opt.AdaMaxOptimizer(0.1),
        [1.561988, 0.725957, 0.964365],
        [-0.092769, -1.092182],
        "w/AdaMax w/AdaMax_1",
    ),
    (lambda step: opt.NadamOptimizer(0.1), [1.44992, 0.882025, 0.893501], [0.016068, -1.364423], "w/Adam w/Adam_1"),
    (
        lambda step: opt.LazyAdamOptimizer(0.1),
        [1.514336, 0.777856, 0.901084],
        [-0.066659, -1.168092],
        "w/Adam w/Adam_1",
    ),
    (
        lambda step: opt.AdamGSOptimizer(step, 0.1),
        [1.514336, 0.777857, 0.901084],
        [-0.066658, -1.168093],
        "w/Adam w/Adam_1",
    ),
    (
        lambda step: opt.LazyAdamGSOptimizer(step, 0.1),
        [1.514336, 0.777857, 0.901084],
        [-0.066658, -1.168093],
        "w/Adam w/Adam_1",
    ),
    (
        lambda step: opt.AddSignOptimizer(0.1),
        [1.23498, 0.736065, 0.465624],
        [-0.281859, -1.93593],
        "w/AddSignOptimizer",
    ),
    (
        lambda step: opt.AddSignOptimizer(0.1, sign_decay_fn=opt.get_cosine_decay_fn(6)),
        [1.324539, 0.658388, 0.581794],
        [-0.28443, -1.734284],
        "w/AddSignOptimizer",
    ),
    (
        lambda step: opt.PowerSignOptimizer(0.1),
        [1.097934, 0.825374, 0.285865],
        [-0.268139, -2.389693],
        "w/PowerSignOptimizer",
    ),
    (
        lambda step: opt.PowerSignOptimizer(0.1, base=3.0, sign_decay_fn=opt.get_restart_decay_fn(6, 2)),
        [1.182187, 0.726323, 0.321719],
        [-0.27937, -2.117591],
        "w/PowerSignOptimizer",
    ),
    (
        lambda step: opt.AdamWOptimizer(0.01, 0.1),
        [1.434806, 0.748845, 0.851396],
        [-0.066659, -1.168092],
        "w/AdamW w/AdamW_1",
    ),
    (
        lambda step: opt.MomentumWOptimizer(0.01, 0.1, 0.9, use_nesterov=True),
        [1.037614, 0.865702, 0.254687],
        [-0.221452, -2.715546],
        "w/MomentumW",
    ),
    (
        lambda step: opt.extend_with_decoupled_weight_decay(tf.train.AdagradOptimizer)(0.01, learning_rate=0.1),
        [1.600212, 0.505674, 0.845066],
        [-0.301156, -0.95382],
        "w/Adagrad",
    ),
    (
        lambda step: opt.LARSOptimizer(1.0, eeta=0.1),
        [1.093077, 0.993891, 0.221961],
        [1.085042, -17.079041],
        "w/LARSOptimizer",
    ),
    (
        lambda step: opt.RegAdagradOptimizer(0.1),
        [1.682935, 0.531317, 0.893205],
        [-0.314679, -0.994389],
        "w/RegAdagrad",
    ),
    (
        lambda step: opt.ShampooOptimizer(step, learning_rate=0.1),
        [1.687681, 0.518415, 0.906891],
        [-0.471845, -1.209674],
        "w/Shampoo w/Shampoo_1 w/Shampoo_2",
    ),
    (
        lambda step: opt.ShampooOptimizer(
            step, learning_rate=0.1, gbar_decay=0.5, mat_gbar_decay=0.9, svd_interval=2, precond_update_interval=2
        ),
        [0.057901, 2.007412, 1.10921],
        [-0.579877, -1.66706],
        "w/Shampoo w/Shampoo_1 w/Shampoo_2 w/Shampoo_3 w/Shampoo_4",
    ),
    (
        lambda step: opt.ShampooOptimizer(step, max_matrix_size=3, learning_rate=0.1),
        [1.651225, 0.484121, 0.887792],
        [-0.398991, -1.030937],
        "w/Shampoo w/Shampoo_1 w/Shampoo_2",
    ),
    (
        lambda step: opt.ShampooOptimizer(step, learning_rate=0.1, use_iterative_root=True),
        [1.687682, 0.518414, 0.906891],
        [-0.471845, -1.209675],
        "w/Shampoo w/Shampoo_1 w/Shampoo_2",
    ),
    (
        lambda step: opt.MovingAverageOptimizer(tf.train.AdamOptimizer(0.1), 0.9),
        [1.514336, 0.777856, 0.901084],
        [-0.066659, -1.168092],
        "w/Adam w/Adam_1 w/ExponentialMovingAverage",
    ),
    (
        lambda step: opt.MultitaskOptimizerWrapper(tf.train.AdamOptimizer(0.1)),
        [1.514336, 0.777856, 0.901084],
        [-0.066659, -1.168092],
        "w/Adam w/Adam_1",
    ),
]


@pytest.mark.parametrize("use_resource", [False, True])
@pytest.mark.parametrize("make, w0, e1, names", CASES)
def test_steps_and_slots_are_those_of_1_15(make, w0, e1, names, use_resource):
    found = five_steps(make, use_resource, decays_w_only="AdamW" in names)
    np.testing.assert_allclose(found["w"][0], w0, rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(found["e"][1], e1, rtol=2e-5, atol=2e-6)
    assert sorted(name for name in found if name.startswith("w/")) == names.split()


@pytest.mark.parametrize("use_resource", [False, True])
def test_ggt_takes_the_steps_of_1_15(use_resource):
    inputs, targets = _inputs()
    with tf.Graph().as_default():
        w, _ = variables(use_resource)
        b = tf.get_variable("b", initializer=_bias(), use_resource=use_resource)
        loss = tf.reduce_mean((tf.matmul(inputs, w) + b - targets) ** 2)
        train_op = opt.GGTOptimizer(0.01, window=3).minimize(loss, var_list=[w, b])
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            for _ in range(5):
                session.run(train_op)
            found_w, found_b = session.run([w, b])
        assert {"grad_buffer", "moment1", "flat_grad", "global_step"} <= {v.op.name for v in tf.global_variables()}
    # The decomposition differs in its last digits, and is taken to powers.
    np.testing.assert_allclose(found_w[0], [1.763317, 0.396715, 0.977067], rtol=2e-3)
    np.testing.assert_allclose(found_b, [0.747265, 0.117856, 0.436647], rtol=2e-3)


def _bias():
    return _drawn()[0]


def _inputs():
    return _drawn()[1:]


def _drawn():
    draws = np.random.RandomState(0)
    draws.randn(4, 3)
    return [draws.randn(*shape).astype(np.float32) for shape in ((3,), (6, 4), (6, 3))]


def test_decays_of_the_sign_are_those_of_1_15():
    expected = (
        (opt.get_linear_decay_fn(10), [1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0, 0]),
        (opt.get_cosine_decay_fn(10, 2, 1.0), [1, 0.654508, 0.095491, 0.095492, 0.654509] + 7 * [0]),
        (opt.get_restart_decay_fn(10, 3, 2), [1, 0.793893, 0.345491, 0.024472, 0.904508, 0.5, 0.095491] + 5 * [0]),
    )
    with tf.Graph().as_default(), tf.Session() as session:
        for decay, values in expected:
            found = session.run([decay(tf.constant(step)) for step in range(12)])
            np.testing.assert_allclose(found, values, atol=2e-6)
    with pytest.raises(ValueError, match="global_step"):
        opt.get_linear_decay_fn(3)(None)


def test_minimize_says_that_all_variables_decay(caplog):
    with tf.Graph().as_default(), tf.Session() as session:
        w, b = (tf.get_variable(name, initializer=[1.0, 2.0]) for name in "wb")
        train_op = opt.AdamWOptimizer(0.1, learning_rate=0.0).minimize(tf.reduce_sum(w * b), decay_var_list=[w])
        session.run(tf.global_variables_initializer())
        session.run(train_op)
        np.testing.assert_allclose(session.run([w, b]), [[0.9, 1.8]] * 2)
    assert "minimize passes decay_var_list over" in caplog.text


def test_a_moving_average_is_saved_in_the_place_of_its_variable(tmp_path):
    with tf.Graph().as_default(), tf.Session() as session:
        w = tf.get_variable("w", initializer=[1.0, 2.0])
        optimizer = opt.MovingAverageOptimizer(tf.train.GradientDescentOptimizer(1.0), 0.5)
        with pytest.raises(RuntimeError, match="comes after"):
            optimizer.swapping_saver()
        train_op = optimizer.minimize(tf.reduce_sum(w))
        saver = optimizer.swapping_saver()
        session.run(tf.global_variables_initializer())
        session.run(train_op)
        path = saver.save(session, str(tmp_path / "model"))
        np.testing.assert_allclose(session.run(w), [0, 1])
    np.testing.assert_allclose(tf.train.load_variable(path, "w"), [0.5, 1.5])
    np.testing.assert_allclose(tf.train.load_variable(path, "w/ExponentialMovingAverage"), [0, 1])


def test_tasks_whose_gradients_are_0_do_not_move():
    with tf.Graph().as_default(), tf.Session() as session:
        w = tf.get_variable("w", initializer=[1.0, 2.0])
        scale = tf.placeholder(tf.float32, [])
        optimizer = opt.MultitaskOptimizerWrapper(tf.train.MomentumOptimizer(1.0, 0.5))
        train_op = optimizer.minimize(scale * tf.reduce_sum(w))
        session.run(tf.global_variables_initializer())
        for value, expected in ((1.0, [0, 1]), (0.0, [0, 1]), (1.0, [-1.5, -0.5])):
            session.run(train_op, {scale: value})
            np.testing.assert_allclose(session.run(w), expected)
        gradients, norm = opt.clip_gradients_by_global_norm(
            [(tf.constant([3.0, 4.0]), w), (tf.constant([0.0, 0.0]), w), (None, w)], 1.0
        )
        np.testing.assert_allclose(session.run([gradients[0][0], gradients[1][0]]), [[0.6, 0.8], [0, 0]], rtol=1e-6)
        assert session.run(norm) == 5
    with pytest.raises(TypeError, match="expected a tf.train.Optimizer, not int"):
        opt.MultitaskOptimizerWrapper(3)


def test_norms_are_bound_and_old_gradients_dropped():
    def clipped(step):
        names = {variable.op.name: variable for variable in tf.global_variables()}
        return opt.VariableClippingOptimizer(tf.train.AdamOptimizer(0.1), {names["w"]: [0], names["e"]: [1]}, 0.5)

    found = five_steps(clipped, False)
    np.testing.assert_allclose(found["w"][0], [0.073793, 0.317585, 0.07793], rtol=2e-5)
    np.testing.assert_allclose(found["e"][1], [0.096613, -0.402471], rtol=2e-5)
    with tf.Graph().as_default(), tf.Session() as session:
        w = tf.get_variable("w", initializer=[1.0])
        step = tf.train.get_or_create_global_step()
        optimizer = opt.DropStaleGradientOptimizer(tf.train.GradientDescentOptimizer(1.0), 0)
        gradients = optimizer.compute_gradients(tf.reduce_sum(w))
        optimizer._local_step = tf.placeholder_with_default(step + 0, [])
        train_op = optimizer.apply_gradients(gradients, global_step=step)
        session.run(tf.global_variables_initializer())
        assert session.run(train_op) == 0
        assert session.run(train_op, {optimizer._local_step: 0}) == 1
        assert session.run([w, step]) == [[0], 1]


@pytest.mark.parametrize("use_resource", [False, True])
def test_scipys_optimizers(use_resource):
    pytest.importorskip("scipy")
    with tf.Graph().as_default(), tf.Session() as session:
        given = {"use_resource": use_resource}
        x = tf.get_variable("x", initializer=np.float32([-1.2, 1.0]), **given)
        y = tf.get_variable("y", initializer=np.float32(3.0), **given)
        loss = 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2 + (y - 2) ** 2

        def found(optimizer, **options):
            session.run(tf.global_variables_initializer())
            optimizer.minimize(session, **options)
            return [*session.run(x), session.run(y)]

        losses, steps = [], []
        optimizer = opt.ScipyOptimizerInterface(loss, options={"maxiter": 100})
        best = found(optimizer, fetches=[loss], loss_callback=losses.append, step_callback=steps.append)
        np.testing.assert_allclose(best, [1, 1, 2], rtol=1e-3)
        assert losses[-1] < 1e-6 and len(losses) >= len(steps) > 1 and steps[0].shape == (3,)
        bounded = opt.ScipyOptimizerInterface(loss, var_to_bounds={x: ([-2, -2], [0.5, 5])})
        np.testing.assert_allclose(found(bounded), [0.5, 0.25, 2], rtol=1e-3)
        constrained = opt.ScipyOptimizerInterface(
            loss, equalities=[y - 1], inequalities=[x[0] - 1.5], method="SLSQP"
        )
        np.testing.assert_allclose(found(constrained), [1.5, 2.25, 1], rtol=1e-5)
        with pytest.raises(ValueError, match="bounds is set by var_to_bounds"):
            opt.ScipyOptimizerInterface(loss, bounds=[(0, 1)]).minimize(session)
        with pytest.raises(NotImplementedError, match="_minimize"):
            opt.ExternalOptimizerInterface(loss).minimize(session)


def test_what_is_for_parameter_servers_is_not_here():
    with pytest.raises(AttributeError, match="no tf.contrib.opt.ElasticAverageOptimizer"):
        opt.ElasticAverageOptimizer  # noqa: B018
    with pytest.raises(ValueError, match="momentum cannot be negative"):
        opt.LARSOptimizer(1.0, momentum=-1.0)
