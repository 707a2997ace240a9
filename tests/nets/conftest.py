"""What the tests of the networks share: graphs of ours and of tf-slim's own, random weights, Keras' logits."""

import contextlib
import importlib
import pathlib
import runpy
import subprocess
import sys
import types
import zipfile

import numpy as np
import pytest

from slimft.nets import get_network

KERAS_LOGITS = pathlib.Path(__file__).with_name("keras_logits.py")
NUMPY_LAYERS = pathlib.Path(__file__).with_name("numpy_layers.py")


@pytest.fixture(scope="session")
def build():
    """Builds a network under its arg_scope, in a graph of its own unless one is given."""
    from slimft.compat import slim, tf

    def build(package, name, num_classes=1000, shape=(None, 224, 224, 3), graph=None, **arguments):
        spec = get_network(name)
        if package == "slimft.nets":
            network, arg_scope = spec.function, spec.arg_scope
        else:
            module = importlib.import_module(f"{package}.{spec.module.rpartition('.')[2]}")
            network, arg_scope = getattr(module, name), getattr(module, spec.arg_scope_name)
        graph = graph or tf.Graph()
        with graph.as_default():
            images = tf.placeholder(tf.float32, shape, name="images")
            with slim.arg_scope(arg_scope()):
                logits, end_points = network(images, num_classes, **arguments)
        return types.SimpleNamespace(name=name, graph=graph, images=images, logits=logits, end_points=end_points)

    return build


@pytest.fixture(scope="session")
def collections_of():
    """The collections of a graph that training code relies on: variables in order, and names of ops."""
    from slimft.compat import tf

    def collections_of(graph):
        keys = tf.GraphKeys
        seen = {
            key: [(v.op.name, v.shape.as_list(), v.dtype) for v in graph.get_collection(key)]
            for key in (keys.GLOBAL_VARIABLES, keys.MODEL_VARIABLES, keys.TRAINABLE_VARIABLES)
        }
        seen[keys.UPDATE_OPS] = [op.name for op in graph.get_collection(keys.UPDATE_OPS)]
        # Keras has a name of its own for a layer's weights, which only this loss shows.
        losses = graph.get_collection(keys.REGULARIZATION_LOSSES)
        seen[keys.REGULARIZATION_LOSSES] = [loss.name.replace("/kernel/", "/weights/") for loss in losses]
        return seen

    return collections_of


def _random_value(rng, variable):
    """A value at which every variable matters and activations neither vanish nor explode."""
    shape, kind = variable.shape.as_list(), variable.op.name.rpartition("/")[2]
    value = rng.random(shape, dtype=np.float32)
    if kind == "gamma":
        return 0.5 + 0.5 * value
    if kind == "moving_variance":
        return 0.5 + value
    value -= 0.5  # of variance 1/12; with He et al.'s for weights
    value *= np.sqrt(12 * 2 / np.prod(shape[:-1])) if kind == "weights" else 1.0
    return value


@pytest.fixture(scope="session")
def random_weights(tmp_path_factory):
    """Opens a session with random model variables; they are also in an .npz file while it lasts."""
    from slimft.compat import tf

    config = tf.ConfigProto()
    config.graph_options.rewrite_options.disable_meta_optimizer = True

    @contextlib.contextmanager
    def random_weights(graph):
        rng = np.random.default_rng(20160831)
        path = tmp_path_factory.mktemp("weights") / "variables.npz"
        try:
            with graph.as_default(), tf.Session(config=config) as session:
                variables, values = tf.model_variables(), {}
                with zipfile.ZipFile(path, "w") as archive:
                    for variable in variables:
                        values[variable] = _random_value(rng, variable)
                        with archive.open(f"{variable.op.name}.npy", "w", force_zip64=True) as file:
                            np.lib.format.write_array(file, values[variable])
                        # Neither one run a variable (slow) nor one for all of VGG's half gigabyte.
                        if variable is variables[-1] or sum(value.nbytes for value in values.values()) > 2**26:
                            feeds = {v.initializer.inputs[1]: value for v, value in values.items()}
                            session.run([v.initializer for v in values], feeds)
                            values.clear()
                yield session, path
        finally:
            path.unlink(missing_ok=True)

    return random_weights


@pytest.fixture
def assert_a_step_lowers():
    """Asserts that a loss has gradients for all variables that train, and that a step lowers it."""
    from slimft.compat import tf

    def assert_a_step_lowers(loss, learning_rate, variables=None):
        optimizer = tf.train.GradientDescentOptimizer(learning_rate)
        pairs = optimizer.compute_gradients(loss, variables)
        assert pairs and all(gradient is not None for gradient, _ in pairs)
        step = optimizer.apply_gradients(pairs)
        updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
        averages = [v for v in tf.global_variables() if v.op.name.endswith("/moving_mean")]
        tf.set_random_seed(1)
        with tf.Session() as session:
            session.run(tf.global_variables_initializer())
            before, gradients, *_ = session.run([loss, [gradient for gradient, _ in pairs], *updates])
            assert all(np.any(mean) for mean in session.run(averages)) and bool(averages) == bool(updates)
            unreached = [v.op.name for (_, v), values in zip(pairs, gradients, strict=True) if not np.any(values)]
            assert unreached == []
            session.run(step)
            assert session.run(loss) < before

    return assert_a_step_lowers


@pytest.fixture
def keras_logits(tmp_path):
    """The logits of Keras Applications' network with given variables; in a process of its own."""

    def keras_logits(name, variables, images):
        np.save(tmp_path / "images.npy", images)
        command = [sys.executable, KERAS_LOGITS, name, variables, tmp_path / "images.npy", tmp_path / "logits.npy"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
        return np.load(tmp_path / "logits.npy")

    return keras_logits


@pytest.fixture(scope="session")
def assert_close():
    """Asserts that arrays differ by less than `within` of the second one's largest magnitude."""

    def assert_close(values, expected, within):
        assert values.shape == expected.shape
        difference = np.max(np.abs(values - expected)) / np.max(np.abs(expected))
        print(f"{difference:.1e} of the largest magnitude")
        assert difference < within

    return assert_close


@pytest.fixture(scope="session")
def windows():
    """What each position of a SAME-padded layer sees: ``[batch, rows, columns, channels, size, size]``."""

    def windows(x, size, stride, outside=0.0):
        rows, columns = (-(-n // stride) for n in x.shape[1:3])
        pad = [max((n - 1) * stride + size - m, 0) for n, m in zip((rows, columns), x.shape[1:3])]
        x = np.pad(x, [(0, 0), *((p // 2, p - p // 2) for p in pad), (0, 0)], constant_values=outside)
        return np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))[:, ::stride, ::stride]

    return windows


@pytest.fixture(scope="session")
def in_numpy():
    """The functions of numpy_layers.py."""
    return types.SimpleNamespace(**runpy.run_path(str(NUMPY_LAYERS)))
