"""slim's functions on today's TensorFlow, each against TensorFlow's own ops, NumPy or plain arithmetic."""

import ast
import importlib
import pathlib
import types

import numpy as np
import pytest

from slimft.compat import slim, tf

RANDOM = np.random.default_rng(1)
IMAGES = RANDOM.standard_normal((2, 6, 6, 4)).astype("float32")
VOLUMES = RANDOM.standard_normal((2, 4, 4, 4, 2)).astype("float32")
ROWS = RANDOM.standard_normal((5, 4)).astype("float32")


@pytest.fixture(autouse=True)
def graph():
    """A graph of the test's own."""
    with tf.Graph().as_default() as graph:
        tf.set_random_seed(1)
        yield graph


def run(*fetches):
    """The values of the fetches, all variables initialized; one value for one fetch."""
    with tf.Session() as session:
        session.run([tf.global_variables_initializer(), tf.local_variables_initializer()])
        values = session.run(list(fetches))
        return values if len(fetches) > 1 else values[0]


def same(actual, expected, **tolerances):
    """Asserts that a tensor has the values of another tensor or array."""
    actual, expected = run(actual, tf.convert_to_tensor(expected))
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, **{"rtol": 1e-5, "atol": 1e-5, **tolerances})


def variable(name):
    return slim.get_unique_variable(name)


def test_slim_refers_to_no_name_that_is_gone():
    """Looks up each `module.name` that tf_slim's source mentions."""
    folder = pathlib.Path(slim.__file__).parent
    gone = []
    for path in folder.rglob("*.py"):
        parts = path.relative_to(folder).with_suffix("").parts
        if parts[-1].endswith("_test"):
            continue
        module = importlib.import_module(".".join(["tf_slim", *parts]).removesuffix(".__init__"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                owner = getattr(module, node.value.id, None)
                if isinstance(owner, types.ModuleType) and not hasattr(owner, node.attr):
                    gone.append(f"{module.__name__}:{node.lineno} {node.value.id}.{node.attr}")
    assert gone == []


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_convolutions(padding):
    sequence, images, volumes = tf.constant(IMAGES[:, 0]), tf.constant(IMAGES), tf.constant(VOLUMES)
    nothing = {"padding": padding, "activation_fn": None, "biases_initializer": None}
    for layer, inputs, rank in ((slim.conv1d, sequence, 1), (slim.conv2d, images, 2), (slim.conv3d, volumes, 3)):
        outputs = layer(inputs, 5, 3, scope=f"conv{rank}", **nothing)
        same(outputs, tf.nn.convolution(inputs, variable(f"conv{rank}/weights"), padding))
    outputs = slim.conv2d_transpose(images, 5, 3, stride=2, scope="up", **nothing)
    same(outputs, tf.nn.conv2d_transpose(IMAGES, variable("up/weights"), outputs.shape, 2, padding))
    outputs = slim.conv3d_transpose(volumes, 5, 3, stride=2, scope="up3", **nothing)
    same(outputs, tf.nn.conv3d_transpose(VOLUMES, variable("up3/weights"), outputs.shape, [2] * 3, padding))
    outputs = slim.conv2d_in_plane(images, 3, scope="plane", **nothing)
    kernel = tf.tile(variable("plane/weights"), [1, 1, 4, 1])
    same(outputs, tf.nn.depthwise_conv2d(IMAGES, kernel, [1] * 4, padding))


def test_separable_convolutions():
    images = tf.constant(IMAGES)
    outputs = slim.separable_conv2d(images, 5, 3, depth_multiplier=2, scope="both")
    kernels = variable("both/depthwise_weights"), variable("both/pointwise_weights")
    convolved = tf.nn.separable_conv2d(IMAGES, *kernels, [1] * 4, "SAME")
    same(outputs, tf.nn.relu(convolved + variable("both/biases")))
    outputs = slim.separable_conv2d(images, None, 3, 2, scope="depth", normalizer_fn=slim.batch_norm)
    assert [v.op.name for v in slim.get_model_variables("depth")] == [
        "depth/depthwise_weights",
        "depth/BatchNorm/beta",
        "depth/BatchNorm/moving_mean",
        "depth/BatchNorm/moving_variance",
    ]
    assert outputs.shape.as_list() == [2, 6, 6, 8] and len(tf.get_collection(tf.GraphKeys.UPDATE_OPS)) == 2


def test_pooling():
    for layer, inputs, kind in (
        (slim.max_pool2d, IMAGES, "MAX"),
        (slim.avg_pool2d, IMAGES, "AVG"),
        (slim.max_pool3d, VOLUMES, "MAX"),
        (slim.avg_pool3d, VOLUMES, "AVG"),
    ):
        rank = inputs.ndim - 2
        same(layer(inputs, 2), tf.nn.pool(inputs, [2] * rank, kind, "VALID", strides=[2] * rank))
    same(slim.pool(IMAGES, 3, "AVG", "SAME"), tf.nn.avg_pool2d(IMAGES, 3, 1, "SAME"))


def test_fully_connected_and_repeat():
    outputs = slim.stack(ROWS, slim.fully_connected, [3, 2], scope="fc", biases_initializer=None)
    hidden = tf.nn.relu(tf.matmul(ROWS, variable("fc/fc_1/weights")))
    same(outputs, tf.nn.relu(tf.matmul(hidden, variable("fc/fc_2/weights"))))
    images = slim.repeat(IMAGES, 2, slim.conv2d, 4, 1, scope="twice")
    assert images.shape == (2, 6, 6, 4) and variable("twice/twice_2/weights").shape == (1, 1, 4, 4)
    outputs = slim.legacy_fully_connected(IMAGES, 3, name="old")
    same(outputs, tf.tensordot(IMAGES, variable("old/weights"), 1) + variable("old/bias"))


@pytest.mark.parametrize(
    ("normalize", "shape", "axes"),
    [
        (slim.layer_norm, (2, 6, 6, 4), (1, 2, 3)),
        (slim.instance_norm, (2, 6, 6, 4), (1, 2)),
        (lambda inputs: slim.group_norm(inputs, groups=2), (2, 6, 6, 2, 2), (1, 2, 4)),
    ],
    ids=["layer", "instance", "group"],
)
def test_normalization(normalize, shape, axes):
    values = IMAGES.reshape(shape)
    centered = values - values.mean(axes, keepdims=True)
    expected = centered / np.sqrt(values.var(axes, keepdims=True) + 1e-6)
    same(normalize(tf.constant(IMAGES)), expected.reshape(IMAGES.shape), atol=1e-3)


def test_gdn_divides_by_what_all_channels_say():
    images = tf.constant(IMAGES)
    same(slim.gdn(images), IMAGES / np.sqrt(1 + 0.1 * IMAGES**2))
    same(slim.gdn(images, inverse=True), IMAGES * np.sqrt(1 + 0.1 * IMAGES**2))


def test_layers_without_variables():
    images, rows = tf.constant(IMAGES), tf.constant(ROWS)
    same(slim.flatten(images), IMAGES.reshape(2, -1))
    same(slim.one_hot_encoding(tf.constant([2, 0]), 3), np.float32([[0, 0, 1], [1, 0, 0]]))
    same(slim.unit_norm(rows, 1), ROWS / np.linalg.norm(ROWS, axis=1, keepdims=True))
    same(slim.maxout(rows, 2), ROWS.reshape(5, 2, 2).max(-1))
    same(slim.softmax(rows), tf.nn.softmax(rows))
    same(slim.images_to_sequence(images), IMAGES.reshape(12, 6, 4).transpose(1, 0, 2))
    same(slim.sequence_to_images(slim.images_to_sequence(images), 6), IMAGES)
    same(slim.bias_add(rows, initializer=tf.ones_initializer()), ROWS + 1)
    same(tf.gradients(slim.scale_gradient(rows, 0.5), rows)[0], np.full_like(ROWS, 0.5))
    same(tf.sparse.to_dense(slim.dense_to_sparse(tf.constant([[1, 0, 3]]))), np.int32([[1, 0, 3]]))
    same(slim.bucketize(tf.constant([-5.0, 3.0, 20.0]), [0, 10]), np.int32([0, 1, 2]))
    weights = run(tf.nn.softmax(tf.reshape(tf.transpose(images, [0, 3, 1, 2]), [8, 36])))
    grid = np.linspace(-1, 1, 6)
    places = np.stack([weights @ np.repeat(grid, 6), weights @ np.tile(grid, 6)], -1)
    same(slim.spatial_softmax(images, 1.0), places.reshape(2, 8))


def test_rev_block_has_the_gradients_of_its_layers():
    def half(x):
        return slim.fully_connected(x, 2, activation_fn=tf.tanh, scope="fc")

    x1, x2 = tf.split(tf.constant(ROWS), 2, axis=1)
    y1, y2 = slim.rev_block(x1, x2, half, half, num_layers=2)
    weights = tf.trainable_variables()
    gradients = tf.gradients(tf.reduce_sum(y1 * y2), weights)
    halves, scopes = [x1, x2], [v.op.name.removesuffix("/weights") for v in weights if "weights" in v.op.name]
    for f, g in zip(scopes[::2], scopes[1::2]):
        for side, scope in ((0, f), (1, g)):
            moved = tf.tanh(halves[1 - side] @ variable(scope + "/weights") + variable(scope + "/biases"))
            halves[side] = halves[side] + moved
    same(tf.stack([y1, y2]), tf.stack(halves))
    for gradient, expected in zip(gradients, tf.gradients(tf.reduce_sum(halves[0] * halves[1]), weights)):
        same(gradient, expected)


def test_regularizers_and_initializers():
    weights = tf.constant(ROWS)
    same(slim.l1_regularizer(0.5)(weights), 0.5 * np.abs(ROWS).sum())
    same(slim.l2_regularizer(0.5)(weights), 0.25 * (ROWS**2).sum())
    same(slim.l1_l2_regularizer(0.5, 0.5)(weights), 0.5 * np.abs(ROWS).sum() + 0.25 * (ROWS**2).sum())
    drawn = run(slim.xavier_initializer()([100, 200], tf.float32))
    assert np.abs(drawn).max() < np.sqrt(6 / 300) and drawn.std() == pytest.approx(np.sqrt(2 / 300), rel=0.05)
    drawn = run(slim.variance_scaling_initializer()([100, 200], tf.float32))
    assert drawn.std() == pytest.approx(np.sqrt(2 / 100), rel=0.05)


def test_losses():
    labels, rows = np.eye(4, dtype="float32")[[0, 1, 2, 3, 0]], tf.constant(ROWS)
    per_row = -(labels * np.log(np.exp(ROWS) / np.exp(ROWS).sum(1, keepdims=True))).sum(1)
    same(slim.losses.softmax_cross_entropy(rows, tf.constant(labels)), per_row.mean())
    same(slim.losses.sparse_softmax_cross_entropy(rows, labels.argmax(1)), per_row.mean())
    same(slim.losses.mean_squared_error(rows, tf.constant(labels)), ((ROWS - labels) ** 2).mean())
    same(slim.losses.absolute_difference(rows, tf.constant(labels)), np.abs(ROWS - labels).mean())
    same(slim.losses.hinge_loss(rows, tf.constant(labels)), np.maximum(0, 1 - ROWS * (2 * labels - 1)))
    assert len(slim.losses.get_losses()) == 4
    total = sum(run(*slim.losses.get_losses()))
    same(slim.losses.get_total_loss(), total)


def test_metric_learning_losses():
    a, b, same_class = ROWS, ROWS[::-1].copy(), np.int32([1, 0, 1, 0, 1])
    far = np.linalg.norm(a - b, axis=1)
    expected = np.where(same_class, far**2, np.maximum(1 - far, 0) ** 2).mean()
    same(slim.losses.contrastive_loss(same_class, tf.constant(a), tf.constant(b)), expected, rtol=1e-3)
    scores = a @ b.T
    pairs = -np.log(np.exp(np.diag(scores)) / np.exp(scores).sum(1)).mean()
    labels = tf.constant([0, 1, 2, 3, 4])
    same(slim.losses.npairs_loss(labels, tf.constant(a), tf.constant(b), 0.0), pairs, rtol=1e-4)
    # A clustering that finds the two far groups costs nothing beyond the distances: the loss is at its bound.
    groups = tf.constant([[0.0, 0], [0, 0.1], [9, 9], [9, 9.1]])
    good = slim.losses.cluster_loss(tf.constant([0, 0, 1, 1]), groups, 1.0, enable_pam_finetuning=False)
    bad = slim.losses.cluster_loss(tf.constant([0, 1, 0, 1]), groups, 1.0, enable_pam_finetuning=False)
    assert run(good) == pytest.approx(0, abs=1e-5) and run(bad) > 1


def test_metrics_over_several_batches():
    x = tf.placeholder(tf.float32, [4])
    y = tf.placeholder(tf.float32, [4])
    values, updates = slim.metrics.aggregate_metric_map(
        {
            "covariance": slim.metrics.streaming_covariance(x, y),
            "correlation": slim.metrics.streaming_pearson_correlation(x, y),
            "error": slim.metrics.streaming_mean_squared_error(x, y),
            "accuracy": slim.metrics.streaming_accuracy(x > 0, y > 0),
            "all": slim.metrics.streaming_concat(x),
            "auc": slim.metrics.streaming_dynamic_auc(tf.cast(y > 0, tf.int64), x),
        }
    )
    left, right = RANDOM.standard_normal((2, 3, 4)).astype("float32")
    with tf.Session() as session:
        session.run(tf.local_variables_initializer())
        for batch in zip(left, right):
            session.run(list(updates.values()), dict(zip((x, y), batch)))
        # slim checks the labels whenever the dynamic AUC is read, so the batch has to be there.
        seen = session.run(values, dict(zip((x, y), batch)))
    assert seen["covariance"] == pytest.approx(np.cov(left.ravel(), right.ravel())[0, 1], rel=1e-4)
    assert seen["correlation"] == pytest.approx(np.corrcoef(left.ravel(), right.ravel())[0, 1], rel=1e-4)
    assert seen["error"] == pytest.approx(((left - right) ** 2).mean(), rel=1e-5)
    assert seen["accuracy"] == pytest.approx(((left > 0) == (right > 0)).mean())
    assert seen["all"].tolist() == left.ravel().tolist()
    positive, negative = left[right > 0], left[right <= 0]
    assert seen["auc"] == pytest.approx((positive[:, None] > negative).mean(), abs=1e-5)


@pytest.mark.parametrize("weights", [[0, 0, 0, 0], [1, 0, 3, 2]])
def test_weighted_covariance_also_when_the_first_batch_counts_nothing(weights):
    x, y, w = (tf.placeholder(tf.float32, [4]) for _ in range(3))
    value, update = slim.metrics.streaming_covariance(x, y, w, ["metrics"], ["updates"])
    assert tf.get_collection("metrics") == [value] and tf.get_collection("updates") == [update]
    batches = np.float32([[ROWS[0], ROWS[1], weights], [ROWS[2], ROWS[3], [2, 1, 0, 4]]])
    with tf.Session() as session:
        session.run(tf.local_variables_initializer())
        first, last = (session.run(update, dict(zip((x, y, w), batch))) for batch in batches)
        assert session.run(value) == last
    assert np.isnan(first) == (sum(weights) == 0)
    lefts, rights, counts = batches.transpose(1, 0, 2).reshape(3, -1)
    assert last == pytest.approx(np.cov(lefts, rights, fweights=counts.astype(int))[0, 1], rel=1e-4)


def test_f1_and_histogram_auc():
    labels, scores = tf.constant([1, 1, 0, 0, 1]), tf.constant([0.9, 0.8, 0.7, 0.1, 0.2])
    _, update = slim.metrics.f1_score(labels, scores, num_thresholds=3)
    assert run(update) == pytest.approx(3 / 4, abs=1e-3)  # The best: to call all five positive.
    perfect = slim.metrics.auc_using_histogram(labels > 0, tf.cast(labels, tf.float32), [0.0, 1.0])
    with tf.Session() as session:
        session.run(tf.local_variables_initializer())
        session.run(perfect[1])
        assert session.run(perfect[0]) == pytest.approx(1, abs=0.02)
