"""tf.contrib's packages of a function or two, against NumPy, SciPy and what TensorFlow 1.15 gave."""

import importlib

import numpy as np
import pytest

import slimft.compat
from slimft.compat import tf

contrib = tf.contrib


def run(make):
    with tf.Graph().as_default(), tf.Session() as session:
        value = make()
        session.run(tf.global_variables_initializer())
        return session.run(value)


def test_resampler_is_scipys_and_its_gradients_are_differences():
    ndimage = pytest.importorskip("scipy.ndimage")
    draws = np.random.RandomState(0)
    data = draws.randn(2, 4, 5, 3)
    warp = draws.rand(2, 3, 2, 2) * 7 - 1.5
    warp[0, 0] = [[4.0, 3.0], [1e9, -1e9]]
    weights = draws.randn(2, 3, 2, 3)

    def sampled():
        inputs = tf.constant(data), tf.constant(warp)
        result = contrib.resampler.resampler(*inputs)
        assert result.shape.as_list() == [2, 3, 2, 3]
        return [result, *tf.gradients(result * weights, inputs)]

    found, of_data, of_warp = run(sampled)

    def reference(data, warp):
        images = [
            [ndimage.map_coordinates(channel, [at[..., 1], at[..., 0]], order=1, mode="grid-constant")
             for channel in np.moveaxis(image, -1, 0)]
            for image, at in zip(data, warp)
        ]  # fmt: skip
        return np.moveaxis(np.asarray(images), 1, -1)

    np.testing.assert_allclose(found, reference(data, warp), atol=1e-12)
    for place in ((0, 3, 4, 1), (1, 1, 2, 0), (1, 0, 0, 2)):
        step = np.zeros_like(data)
        step[place] = 1e-3
        difference = np.sum(weights * (reference(data + step, warp) - reference(data - step, warp))) / 2e-3
        np.testing.assert_allclose(of_data[place], difference, atol=1e-8)
    for place in ((1, 1, 0, 0), (1, 2, 1, 1), (0, 2, 0, 0)):
        step = np.zeros_like(warp)
        step[place] = 1e-6
        difference = np.sum(weights * (reference(data, warp + step) - reference(data, warp - step))) / 2e-6
        np.testing.assert_allclose(of_warp[place], difference, atol=1e-6)
    with pytest.raises(ValueError, match=r"\[batch, ..., 2\]"):
        contrib.resampler.resampler(data, warp[..., :1])


@pytest.mark.parametrize(
    "values_shape, shape, expected",
    [
        ([1, 2, 2, 4], [1, 4, 4, None], [0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15]),
        ([1, 2, 2, 5], [1, 4, 4, None], [0, 2, 5, 7, 1, 3, 6, 8, 10, 12, 15, 17, 11, 13, 16, 18]),
        ([1, 2, 3, 4], [1, 3, 6, None], [0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11, 12, 14, 16, 18, 20, 22]),
        ([3, 4], [6, None], list(range(12))),
    ],
)
def test_periodic_resample_has_the_order_of_1_15(values_shape, shape, expected):
    values = np.arange(np.prod(values_shape)).reshape(values_shape)
    found = run(lambda: contrib.periodic_resample.periodic_resample(tf.constant(values), shape))
    assert found.ravel().tolist() == expected
    with pytest.raises(ValueError, match="cannot shrink"):
        contrib.periodic_resample.periodic_resample(values, [None if size is None else size // 4 for size in shape])


def test_sparsemax_is_the_nearest_point_among_probabilities():
    logits = np.random.RandomState(0).randn(5, 6) * 2
    labels = np.eye(6)[[0, 1, 2, 3, 5]]

    def found():
        given = tf.constant(logits)
        result = contrib.sparsemax.sparsemax(given)
        loss = contrib.sparsemax.sparsemax_loss(given, result, labels)
        return result, loss, tf.gradients(loss, given)[0]

    result, loss, gradient = run(found)
    np.testing.assert_allclose(result.sum(1), 1)
    assert (result >= 0).all() and (result == 0).any()
    # What stands out by one threshold is left, and nothing else.
    for row, left in zip(logits, result):
        threshold = (row - left)[left > 0]
        np.testing.assert_allclose(threshold, threshold[0])
        assert (row[left == 0] <= threshold[0] + 1e-12).all()
    np.testing.assert_allclose(gradient, result - labels, atol=1e-12)
    assert (loss >= 0).all()
    assert np.isnan(run(lambda: contrib.sparsemax.sparsemax(tf.constant([[np.inf, 0.0]])))).all()


def test_variants_of_functions_in_nn():
    selu = np.random.RandomState(0).randn(200_000)
    selu = np.where(selu > 0, 1.0507 * selu, 1.7581 * np.expm1(selu))
    dropped = run(lambda: contrib.nn.alpha_dropout(tf.constant(selu), 0.8, seed=1))
    np.testing.assert_allclose([dropped.mean(), dropped.std()], [selu.mean(), selu.std()], atol=0.01)
    with pytest.raises(ValueError, match="keep_prob"):
        contrib.nn.alpha_dropout(selu, 0.0)
    np.testing.assert_allclose(
        run(lambda: contrib.nn.scaled_softplus(tf.constant([0.0, 1.0, 9.0]), 2.0, 4.0)),
        [2 * np.log(2), 2 * np.log(np.exp(0.5) + 1), 4], rtol=1e-6,
    )  # fmt: skip
    assert run(lambda: contrib.nn.nth_element(tf.constant([3.0, 1.0, 2.0]), 1)) == 2


def test_sampled_losses_are_those_of_1_15():
    draws = np.random.RandomState(0)
    weights, biases, inputs = (draws.randn(*shape).astype(np.float32) for shape in ((20, 5), (20,), (3, 5)))

    def losses():
        sampled = (
            tf.constant([2, 4, 9, 11, 13], tf.int64),
            [[0.3], [0.4], [0.5]],
            tf.constant([0.1, 0.2, 0.3, 0.4, 0.5]),
        )
        labels = tf.constant([[1], [4], [7]], tf.int64)
        given = tf.constant(weights), tf.constant(biases), labels, tf.constant(inputs)
        return (
            contrib.nn.sampled_sparse_softmax_loss(*given, 5, 20, sampled_values=sampled),
            contrib.nn.rank_sampled_softmax_loss(*given, 5, 3, 20, 1, sampled, 2.0, True, "div"),
        )

    sparse, ranked = run(losses)
    np.testing.assert_allclose(sparse, [5.621901, 2.667928, 3.233521], rtol=1e-5)
    np.testing.assert_allclose(ranked, [5.60318, 2.580962, 3.003788], rtol=1e-5)
    with pytest.raises(ValueError, match="has to be below num_sampled"):
        contrib.nn.rank_sampled_softmax_loss(*[None] * 4, 5, 5, 20, 1, None, 2.0, True, "div")


def lorenz(state, _):
    x, y, z = tf.unstack(state)
    return tf.stack([10.0 * (y - x), x * (28.0 - z) - y, x * y - 8 / 3 * z])


def test_odeint_is_scipys_and_takes_the_steps_of_1_15():
    times = np.linspace(0, 2, 6)
    start = tf.constant, [0.0, 2.0, 20.0]
    found, how = run(
        lambda: contrib.integrate.odeint(lorenz, start[0](start[1], tf.float64), times, full_output=True)
    )
    assert how["num_func_evals"] == 661
    assert len(how["error_ratio"]) == len(how["integrate_points"]) == (661 - 1) // 6
    integrate = pytest.importorskip("scipy.integrate")

    def slope(_, state):
        x, y, z = state
        return 10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z

    expected = integrate.solve_ivp(slope, (0, 2), start[1], t_eval=times, rtol=1e-10, atol=1e-12).y.T
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    turned = run(
        lambda: contrib.integrate.odeint(lambda y, _: 1j * y, tf.constant(1 + 0j, tf.complex128), [0.0, 1.0])
    )
    np.testing.assert_allclose(turned, np.exp([0, 1j]), rtol=1e-6)


@pytest.mark.parametrize("method, rtol", [("rk4", 1e-5), ("midpoint", 1e-2)])
def test_odeint_fixed_and_its_gradient(method, rtol):
    def found():
        rate = tf.constant(0.7, tf.float64)
        y = contrib.integrate.odeint_fixed(
            lambda y, _: -rate * y, tf.constant(1.0, tf.float64), [0.0, 0.5, 2.0], dt=[0.2, 0.2], method=method
        )
        return y, tf.gradients(y[-1], rate)[0]

    y, gradient = run(found)
    np.testing.assert_allclose(y, np.exp([0, -0.35, -1.4]), rtol=rtol)
    np.testing.assert_allclose(gradient, -2 * np.exp(-1.4), rtol=5 * rtol)


def test_bad_calls_of_the_solvers():
    for bad, message in (
        (lambda: contrib.integrate.odeint(lorenz, 1.0, [0.0, 1.0], method="rk4"), "has to be dopri5"),
        (lambda: contrib.integrate.odeint(lorenz, 1.0, [0.0, 1.0], options={}), "need a method"),
        (lambda: contrib.integrate.odeint_fixed(lorenz, 1.0, [0.0, 1.0], method="euler"), "rk4 or midpoint"),
    ):
        with pytest.raises(ValueError, match=message):
            bad()
    with pytest.raises(TypeError, match="y0 has to be of floating point, not of int32"):
        contrib.integrate.odeint(lorenz, 1, [0.0, 1.0])


def test_the_loss_scale_goes_as_in_1_15():
    mixed = contrib.mixed_precision
    with tf.Graph().as_default(), tf.Session() as session:
        v = tf.get_variable("v", initializer=[1.0, 2.0])
        factor = tf.placeholder(tf.float32, [])
        manager = mixed.ExponentialUpdateLossScaleManager(8.0, 2, 2)
        optimizer = mixed.LossScaleOptimizer(tf.train.GradientDescentOptimizer(0.25), manager)
        train_op = optimizer.minimize(tf.reduce_sum(v * v) * factor)
        session.run(tf.global_variables_initializer())
        scales, values = [], []
        for value in (1, 1, np.inf, 1, np.inf, np.nan, np.inf, np.inf, 1):
            session.run(train_op, {factor: value})
            scales.append(session.run(manager.get_loss_scale()))
            values.append(session.run(v)[0])
        names = {variable.op.name for variable in tf.global_variables()}
    np.testing.assert_allclose(scales, [8, 16, 16, 16, 12.8, 12.8, 10.24, 10.24, 10.24], rtol=1e-6)
    np.testing.assert_allclose(values, [0.5, 0.25, 0.25, 0.125, 0.125, 0.125, 0.125, 0.125, 0.0625])
    assert names == {"v", "loss_scale", "good_steps", "bad_steps"}
    with pytest.raises(ValueError, match="at least 1"):
        mixed.FixedLossScaleManager(0.5)


def test_graphs_are_copied_by_name():
    with tf.Graph().as_default():
        variable = tf.Variable([1.0, 2.0], name="v")
        with tf.name_scope("scope"):
            y = tf.add(variable * 2.0, 1.0, name="y")
        tf.add_to_collection("results", y)
    graph, copy = tf.Graph(), contrib.copy_graph
    copied = copy.copy_variable_to_graph(variable, graph, "new")
    result = copy.copy_op_to_graph(y, graph, [copied], "new")
    assert (copied.name, result.name) == ("new/v:0", "new/scope/y:0")
    assert graph.get_collection("new/results") == [result]
    assert copy.get_copied_op(y.op, graph, "new") is result.op
    with tf.Session(graph=graph) as session:
        session.run(copied.initializer)
        np.testing.assert_array_equal(session.run(result), [3, 5])
    with pytest.raises(TypeError, match="expected a variable"):
        copy.copy_variable_to_graph(y, graph)


def test_sums_over_devices():
    def found():
        given = [tf.constant([1.0, 5.0]), tf.constant([4.0, 2.0])]
        nccl = contrib.nccl
        sums = nccl.all_sum(given)
        others = [kind(given)[1] for kind in (nccl.all_min, nccl.all_max, nccl.all_prod)]
        return [*sums, *others, nccl.reduce_sum(given), nccl.broadcast(given[0]), *tf.gradients(sums[0] * 3, given)]

    expected = [[5, 7], [5, 7], [1, 2], [4, 5], [4, 10], [5, 7], [1, 5], [3, 3], [3, 3]]
    np.testing.assert_array_equal(run(found), expected)


def test_names_that_have_moved():
    assert contrib.stateless.stateless_random_uniform is tf.random.stateless_uniform
    cluster = contrib.cluster_resolver.SimpleClusterResolver(tf.train.ClusterSpec({"worker": ["a:1"]}))
    assert cluster.cluster_spec().as_dict() == {"worker": ["a:1"]}
    assert contrib.checkpoint.CheckpointManager is tf.train.CheckpointManager
    tracker = contrib.checkpoint.UniqueNameTracker()
    for _ in range(2):
        tracker.track(contrib.checkpoint.Checkpointable(), "layer")
    assert list(tracker._trackable_children()) == ["layer", "layer_1"]
    slimft.compat.install()
    try:
        ops = importlib.import_module("tensorflow.contrib.batching.ops.gen_batch_ops")
        assert callable(ops.batch)
    finally:
        slimft.compat.uninstall()


def test_saved_models_are_read(tmp_path):
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float32, [2])
        tf.saved_model.simple_save(session, str(tmp_path / "model"), {"x": x}, {"y": x * 2})
    read = contrib.saved_model
    assert read.get_saved_model_tag_sets(str(tmp_path / "model")) == [["serve"]]
    graph = read.read_saved_model(str(tmp_path / "model")).meta_graphs[0]
    assert list(read.get_signature_def_by_key(graph, "serving_default").inputs) == ["x"]
    with pytest.raises(ValueError, match="no signature 'other', but"):
        read.get_signature_def_by_key(graph, "other")


def test_memory_of_a_gpu_that_is_not_there():
    if tf.config.list_physical_devices("GPU"):
        assert run(contrib.memory_stats.BytesLimit) >= run(contrib.memory_stats.MaxBytesInUse) > 0
    else:
        with pytest.raises(tf.errors.NotFoundError, match="BytesInUse needs a GPU"):
            contrib.memory_stats.BytesInUse()
