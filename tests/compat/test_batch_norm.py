"""Our batch_norm against slim's own: everything that a user could see has to be the same."""

import zlib

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from slimft import compat
from slimft.compat import frozen_batch_norm, slim, tf

SHAPES = {2: (4, 3), 3: (4, 5, 3), 4: (4, 3, 5, 3), 5: (2, 3, 2, 3, 3)}
REGULARIZERS = {"gamma": slim.l2_regularizer(0.1), "beta": slim.l1_regularizer(0.2)}
INITIALIZERS = {
    "gamma": tf.constant_initializer(0.7),
    "beta": tf.constant_initializer(0.3),
    "moving_mean": tf.constant_initializer(0.2),
    "moving_variance": tf.constant_initializer(2.25),
}
QUICK = tf.ConfigProto()
QUICK.graph_options.rewrite_options.disable_meta_optimizer = True
TENSOR = "a placeholder"  # stands for a bool tensor as `is_training`


def observe(batch_norm, build, rank=4, dtype=tf.float32, training=True):
    """Builds a graph with `batch_norm`, runs it, and tells what there is to see.

    Args:
        build: function of (batch_norm, inputs, is_training) that returns the outputs.
        rank: picks the shape of the inputs from SHAPES.
        dtype: of the inputs.
        training: `is_training`; TENSOR runs both cases.

    Returns:
        A dict of graph properties, and one of arrays.
    """
    with tf.Graph().as_default() as graph, tf.Session(config=QUICK) as session:
        inputs = tf.placeholder(dtype, (None, *SHAPES[rank][1:]), name="inputs")
        is_training = tf.placeholder(tf.bool, [], name="training") if training is TENSOR else training
        outputs = build(batch_norm, inputs, is_training)
        wave = tf.sin(tf.range(tf.size(outputs, out_type=tf.int32)) / 3)
        loss = tf.reduce_sum(tf.cast(tf.reshape(outputs, [-1]), wave.dtype) * wave)
        gradients = tf.gradients(loss, [inputs, *tf.trainable_variables()])
        fetches = [outputs, *gradients, *tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)]
        updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS) + tf.get_collection("my_updates")
        variables = tf.global_variables()
        seen = {
            "outputs": (outputs.dtype, outputs.shape.as_list()),
            "variables": [str(variable.to_proto()) for variable in variables],
            "update ops": [getattr(update, "op", update).type for update in updates],
        }
        for key in graph.get_all_collection_keys():
            if isinstance(key, str) and "context" not in key:
                elements = tf.get_collection(key)
                if not elements:
                    continue
                is_variable = [isinstance(element, tf.Variable) for element in elements]
                seen[f"collection {key}"] = (
                    [element.name for element in elements] if all(is_variable) else len(elements)
                )

        arrays = {}
        session.run(tf.global_variables_initializer())
        arrays["initial values"] = session.run(variables)
        values = {v.initializer.inputs[1]: _random(v.op.name, v.shape) for v in variables}
        session.run([variable.initializer for variable in variables], values)
        for mode in (True, False) if training is TENSOR else (training,):
            for step in range(2):
                feed = {inputs: _random(f"inputs {step}", SHAPES[rank]).astype(dtype.as_numpy_dtype)}
                if training is TENSOR:
                    feed[is_training] = mode
                arrays[f"outputs and gradients, training {mode}, step {step}"] = session.run(fetches, feed)
                for update in updates:  # In turn: two of one variable would race.
                    session.run(update, feed)
            arrays[f"variables after training {mode}"] = session.run(variables)
    return seen, arrays


def _random(name, shape):
    values = np.random.default_rng(zlib.crc32(name.encode())).normal(size=shape)
    return np.abs(values) + 0.5 if name.endswith(("variance", "stddev")) else values


def assert_same(slims_batch_norm, build, **kwargs):
    """Asserts that `observe` sees the same with slim's batch_norm and with ours."""
    expected, expected_arrays = observe(slims_batch_norm, build, **kwargs)
    seen, arrays = observe(slim.batch_norm, build, **kwargs)
    assert seen == expected
    assert list(arrays) == list(expected_arrays)
    tolerance = 1e-2 if kwargs.get("dtype", tf.float32).size == 2 else 1e-5
    for key, values in arrays.items():
        assert len(values) == len(expected_arrays[key])
        for value, other in zip(values, expected_arrays[key], strict=True):
            assert value.dtype == other.dtype and value.shape == other.shape
            np.testing.assert_allclose(
                value.astype(np.float64), other.astype(np.float64), tolerance, tolerance, err_msg=key
            )


def layer(**kwargs):
    """A `build` for `observe`: the one layer with these arguments."""
    return lambda batch_norm, inputs, training: batch_norm(inputs, is_training=training, **kwargs)


@settings(max_examples=25, deadline=None, derandomize=True, phases=[Phase.generate])
@given(
    rank=st.sampled_from([2, 3, 4, 4, 5]),
    dtype=st.sampled_from([tf.float32, tf.float32, tf.float16, tf.bfloat16]),
    training=st.sampled_from([True, False, TENSOR]),
    data_format=st.sampled_from(["NHWC", "NCHW"]),
    center=st.booleans(),
    scale=st.booleans(),
    fused=st.sampled_from([None, True, False]),
    epsilon=st.sampled_from([1e-3, 1e-6]),
    decay=st.sampled_from([0.9, 0.997]),
    trainable=st.booleans(),
    zero_debias_moving_mean=st.sampled_from([False] * 5 + [True]),
    updates_collections=st.sampled_from([tf.GraphKeys.UPDATE_OPS] * 4 + [None, "my_updates"]),
    activation_fn=st.sampled_from([None, tf.nn.relu]),
    param_initializers=st.sampled_from([None, INITIALIZERS]),
    param_regularizers=st.sampled_from([None, REGULARIZERS]),
    variables_collections=st.sampled_from([None, ["a", "b"], {"beta": ["a"], "moving_mean": ["b"]}]),
    outputs_collections=st.sampled_from([None, "outputs"]),
    scope=st.sampled_from([None, "norm"]),
)
def test_arguments(slims_batch_norm, rank, dtype, training, **kwargs):
    assert_same(slims_batch_norm, layer(**kwargs), rank=rank, dtype=dtype, training=training)


@pytest.mark.parametrize("data_format", ["NHWC", "NCHW"])
def test_videos(slims_batch_norm, data_format):
    build = layer(fused=False, data_format=data_format, variables_collections={"moving_mean": ["moving_vars"]})
    assert_same(slims_batch_norm, build, rank=5, training=TENSOR)


CLIPPING = {"rmin": 0.8, "rmax": 1.3, "dmax": 0.4}


def _adjustment(shape):
    return tf.linspace(0.8, 1.2, shape[-1]), tf.linspace(-0.2, 0.3, shape[-1])


@pytest.mark.parametrize("training", [True, TENSOR])
@pytest.mark.parametrize(
    "arguments",
    [
        dict(batch_weights=[0.5, 2.0, 1.0, 0.25], updates_collections=None),
        dict(batch_weights=[0.5, 2.0, 1.0, 0.25]),
        dict(renorm=True),
        dict(renorm=True, renorm_clipping=CLIPPING, data_format="NCHW", param_initializers=INITIALIZERS),
        dict(renorm=True, renorm_decay=0.8, adjustment=_adjustment, variables_collections=["a"]),
        dict(adjustment=_adjustment, scale=True, fused=True),
        dict(trainable=False, fused=False),
    ],
    ids=lambda arguments: ",".join(arguments),
)
def test_rare_arguments(slims_batch_norm, arguments, training):
    assert_same(slims_batch_norm, layer(**arguments), training=training)


@pytest.mark.parametrize("data_format", ["NHWC", "NCHW"])
def test_renorm_of_videos(slims_batch_norm, data_format):
    """With the arguments of I3D's arg_scope."""
    collections = {"beta": None, "gamma": None, "moving_mean": ["moving_vars"], "moving_variance": ["moving_vars"]}
    build = layer(renorm=True, fused=False, variables_collections=collections, data_format=data_format)
    assert_same(slims_batch_norm, build, rank=5)


def test_renorm_in_inference(slims_batch_norm):
    assert_same(slims_batch_norm, layer(renorm=True, scale=True), training=False)


def _constant_is_training(batch_norm, inputs, training):
    return batch_norm(inputs, is_training=tf.constant(True))


def _bool_of_numpy(batch_norm, inputs, training):
    return batch_norm(inputs, is_training=np.bool_(True))


def _decay_tensor(batch_norm, inputs, training):
    fused = batch_norm(inputs, decay=tf.constant(0.9), is_training=training)
    return batch_norm(fused, decay=tf.constant(0.9), is_training=training, fused=False)


def _reused(batch_norm, inputs, training):
    first = batch_norm(inputs, scope="norm", scale=True, param_regularizers=REGULARIZERS)
    return batch_norm(
        first * 2,
        scope="norm",
        reuse=True,
        scale=True,
        param_regularizers=REGULARIZERS,
        variables_collections=["a"],
    )


def _scope_objects(batch_norm, inputs, training):
    with tf.variable_scope("outer") as scope:
        outputs = batch_norm(inputs, scope="norm")
    with tf.variable_scope(scope, reuse=True):
        outputs = batch_norm(outputs, scope="norm")
    outputs = batch_norm(outputs, scope=scope)
    return batch_norm(batch_norm(outputs))


def _in_slims_layers(batch_norm, inputs, training):
    with (
        slim.arg_scope(
            [slim.conv2d, slim.separable_conv2d, slim.fully_connected],
            normalizer_fn=batch_norm,
            weights_initializer=tf.ones_initializer(),
        ),
        slim.arg_scope([batch_norm], decay=0.8, scale=True, is_training=training, epsilon=1e-4),
    ):
        net = slim.conv2d(inputs, 4, 3, activation_fn=tf.nn.relu6, scope="conv")
        net = slim.separable_conv2d(net, 3, 3, 1)
        net = slim.fully_connected(slim.flatten(net), 5)
    return batch_norm(net, scope="last")


def _in_convolutions_of_videos(batch_norm, inputs, training):
    normalized = {"normalizer_fn": batch_norm, "normalizer_params": {"decay": 0.8, "is_training": training}}
    with slim.arg_scope([slim.conv3d], weights_initializer=tf.ones_initializer(), **normalized):
        return slim.conv3d(slim.conv3d(inputs, 4, [3, 1, 1]), 3, [1, 3, 3], stride=[1, 2, 2], activation_fn=None)


def _user_getter(batch_norm, inputs, training):
    def getter(getter, name, *args, **kwargs):
        tf.add_to_collection("asked for", tf.constant(1.0))
        return tf.identity(getter(name + "_ours", *args, **kwargs)) * 2.0

    with tf.variable_scope("net", custom_getter=getter):
        return batch_norm(inputs, is_training=False)


def _slims_variable_scope(batch_norm, inputs, training):
    with slim.arg_scope([slim.variable, slim.model_variable], device="/cpu:0"):
        outputs = batch_norm(inputs)
        return slim.conv2d(outputs, 3, 1, normalizer_fn=batch_norm, weights_initializer=tf.ones_initializer())


def _partitioned(batch_norm, inputs, training):
    with tf.variable_scope("net", partitioner=tf.fixed_size_partitioner(2)):
        return batch_norm(inputs, scale=True, variables_collections=["a"])


def _resource_variables(batch_norm, inputs, training):
    with tf.variable_scope("net", use_resource=True):
        return batch_norm(batch_norm(inputs, is_training=training), is_training=training, fused=False)


def _scope_regularizer(batch_norm, inputs, training):
    with tf.variable_scope("net", regularizer=slim.l2_regularizer(0.1)):
        return batch_norm(inputs)


def _under_control_dependencies(batch_norm, inputs, training):
    with tf.control_dependencies([tf.no_op()]), tf.device("/cpu:0"):
        return batch_norm(inputs)


@pytest.mark.parametrize(
    "build",
    [
        _constant_is_training,
        _bool_of_numpy,
        _decay_tensor,
        _reused,
        _scope_objects,
        _in_slims_layers,
        _user_getter,
        _slims_variable_scope,
        _partitioned,
        _resource_variables,
        _scope_regularizer,
        _under_control_dependencies,
    ],
)
def test_surroundings(slims_batch_norm, build):
    assert_same(slims_batch_norm, build)


@pytest.mark.parametrize("build", [_decay_tensor, _resource_variables, _in_slims_layers])
def test_surroundings_with_placeholder(slims_batch_norm, build):
    assert_same(slims_batch_norm, build, training=TENSOR)


@pytest.mark.parametrize("training", [True, False])
def test_surroundings_of_videos(slims_batch_norm, training):
    assert_same(slims_batch_norm, _in_convolutions_of_videos, rank=5, training=training)


@pytest.mark.parametrize("fused", [None, False])
@pytest.mark.parametrize("rank", [3, 4, 5])
def test_float64(slims_batch_norm, rank, fused):
    assert_same(slims_batch_norm, layer(fused=fused, scale=True), rank=rank, dtype=tf.float64)


def test_every_name_of_slims_is_ours():
    import tf_slim
    from tf_slim.layers import layers as tf_slim_layers

    assert slim is tf_slim
    assert slim.batch_norm is tf_slim.layers.batch_norm is tf_slim_layers.batch_norm is compat.batch_norm


def test_arg_scope_made_for_slims_function_applies():
    original = compat.batch_normalization._slims_batch_norm
    with tf.Graph().as_default():
        inputs = tf.placeholder(tf.float32, [None, 2, 2, 3])
        with slim.arg_scope({str(original): {"scale": True}}):
            slim.batch_norm(inputs, scope="by_key")
        with slim.arg_scope([slim.batch_norm], center=False) as kept:
            pass
        with slim.arg_scope(kept):
            slim.batch_norm(inputs, scope="kept")
        names = [variable.op.name for variable in tf.global_variables()]
    assert names == [
        "by_key/gamma",
        "by_key/beta",
        "by_key/moving_mean",
        "by_key/moving_variance",
        "kept/moving_mean",
        "kept/moving_variance",
    ]


@pytest.mark.parametrize(
    "shape, arguments, message",
    [
        ([None, 2, 2, 3], dict(data_format="NCWH"), "data_format"),
        (None, dict(), "undefined rank"),
        ([None, 2, 2, None], dict(), "undefined channels"),
        ([None, None, 2, 2], dict(data_format="NCHW"), "undefined channels"),
        ([None, 2, 2, 3], dict(reuse=True), "reuse"),
        ([None, 2, 2, 3], dict(renorm=True, renorm_clipping={"max": 1.0}), "renorm_clipping"),
        ([None, 2, 2, 3], dict(renorm=True, updates_collections=None), "renorm is not supported"),
    ],
)
def test_value_errors(shape, arguments, message):
    with tf.Graph().as_default(), pytest.raises(ValueError, match=message):
        slim.batch_norm(tf.placeholder(tf.float32, shape), **arguments)


@pytest.mark.parametrize("arguments", [dict(), dict(fused=False), dict(updates_collections=None)])
def test_frozen_batch_norm_uses_and_keeps_stored_statistics(arguments):
    with tf.Graph().as_default(), tf.Session() as session:
        inputs = tf.placeholder(tf.float32, [None, 2, 2, 3])
        with frozen_batch_norm(lambda scope: scope.startswith("net/frozen")), tf.variable_scope("net"):
            frozen = slim.batch_norm(
                inputs, scope="frozen", epsilon=0.01, param_initializers=INITIALIZERS, **arguments
            )
            free = slim.batch_norm(inputs, scope="free", **arguments)
        after = slim.batch_norm(inputs, scope="frozen_after", **arguments)
        session.run(tf.global_variables_initializer())
        feed = {inputs: _random("inputs", (4, 2, 2, 3))}
        value = session.run(frozen, feed)
        session.run([free, after, *tf.get_collection(tf.GraphKeys.UPDATE_OPS)], feed)
        averages = session.run({v.op.name: v for v in tf.global_variables() if "moving" in v.op.name})
    np.testing.assert_allclose(value, (feed[inputs] - 0.2) / np.sqrt(2.26) + 0.3, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(averages["net/frozen/moving_mean"], np.float32([0.2] * 3))
    np.testing.assert_array_equal(averages["net/frozen/moving_variance"], np.float32([2.25] * 3))
    for scope in ("net/free", "frozen_after"):
        assert np.all(averages[f"{scope}/moving_mean"] != 0)


def test_resnet_builds_without_tf_keras(run_warm_python):
    program = """
import sys
sys.modules["tf_keras"] = None
from slimft.compat import slim, tf
from tf_slim.nets import resnet_v1
with slim.arg_scope(resnet_v1.resnet_arg_scope()):
    resnet_v1.resnet_v1_50(tf.placeholder(tf.float32, [None, 64, 64, 3]), 1000, is_training=True)
print(len(slim.get_model_variables()), len(tf.get_collection(tf.GraphKeys.UPDATE_OPS)))
"""
    assert run_warm_python(program).split() == ["267", "106"]


def test_another_decay_inside_a_context():
    values = _random("inputs", [4, 3, 3, 2])
    with tf.Graph().as_default(), tf.Session() as session:
        limit = tf.placeholder(tf.float32, [])
        inputs = tf.constant(values)
        with compat.batch_norm_decay(lambda decay: tf.minimum(limit, decay)):
            for scope, decay in (("fast", 0.5), ("slow", 0.9997)):
                slim.batch_norm(inputs, decay=decay, scope=scope)
        slim.batch_norm(inputs, decay=0.9, scope="outside")
        session.run(tf.global_variables_initializer())
        session.run(tf.get_collection(tf.GraphKeys.UPDATE_OPS), {limit: 0.75})
        means = {v.op.name: session.run(v) for v in tf.global_variables() if v.op.name.endswith("moving_mean")}
    for scope, share in (("fast", 0.5), ("slow", 0.25), ("outside", 0.1)):
        expected = share * values.mean((0, 1, 2))
        np.testing.assert_allclose(means[f"{scope}/moving_mean"], expected, rtol=1e-4, atol=1e-6)
