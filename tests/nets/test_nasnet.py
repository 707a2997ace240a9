"""NASNet and PNASNet: what drops, reductions, images of other sizes, and networks without a common scope."""

import numpy as np
import pytest

from slimft.checkpoint.official import OFFICIAL
from slimft.compat import dropout_seed, scoped_argument, slim, tf
from slimft.nets.nasnet import nasnet, nasnet_utils, pnasnet
from slimft.nets.registry import arg_scope_call, get_network

BUILD = {
    "nasnet": (nasnet.build_nasnet_mobile, nasnet.mobile_imagenet_config),
    "pnasnet": (pnasnet.build_pnasnet_mobile, pnasnet.mobile_imagenet_config),
}


def tiny(name, size, num_classes=5, is_training=True, batch=2, values=None, **arguments):
    """Builds a network of three cells in the default graph; returns its images, result and end points."""
    build, config = BUILD[name]
    config = config().override_from_dict({"num_cells": 3, "num_conv_filters": 8, **(values or {})})
    images = tf.placeholder(tf.float32, [batch, size, size, 3])
    with slim.arg_scope(nasnet.nasnet_mobile_arg_scope()):
        return images, *build(images, num_classes, is_training=is_training, config=config, **arguments)


# What drops.


def test_drop_path_drops_whole_images_and_keeps_the_expectation():
    maps = np.random.default_rng(1).normal(size=(4000, 2, 2, 3)).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        for seed in (None, [7, 3]):
            tf.set_random_seed(2)
            if seed is None:
                dropped = nasnet_utils.drop_path(tf.constant(maps), 0.8)
            else:
                with dropout_seed(seed):
                    dropped = nasnet_utils.drop_path(tf.constant(maps), tf.constant(0.8))
            ratio = session.run(dropped) / maps
            kept = ratio[:, 0, 0, 0] > 0
            np.testing.assert_allclose(
                ratio, np.broadcast_to(kept[:, None, None, None] / 0.8, maps.shape), rtol=1e-6
            )
            assert abs(np.mean(kept) - 0.8) < 4 * np.sqrt(0.8 * 0.2 / 4000)
        images = tf.constant(maps)
        assert nasnet_utils.drop_path(images, 0.8, is_training=False) is images


def test_drop_path_depends_on_the_seed_and_on_the_scope_alone():
    def dropped(seed, scopes):
        with tf.Graph().as_default(), tf.Session() as session, dropout_seed(seed):
            results = []
            for scope in scopes:
                with tf.variable_scope(scope):
                    results += [nasnet_utils.drop_path(tf.ones([64, 1, 1, 1]), 0.5) for _ in range(2)]
            return [tuple(result.ravel()) for result in session.run(results)]

    first = dropped([7, 3], ["left", "right"])
    assert dropped([7, 3], ["right", "left"]) == [*first[2:], *first[:2]]
    assert len({*first, *dropped([7, 4], ["left"]), *dropped([8, 3], ["left"])}) == 8


@pytest.mark.parametrize(
    "version, keep_probs",
    [
        # The last but one of 4 cells, with 0.6 at the end of the last; at half of training and after it.
        ("v1", [1 - 0.5 * 0.4, 0.6]),
        ("v2", [1 - 0.75 * 0.4] * 2),
        ("v3", [1 - 0.5 * 0.75 * 0.4, 1 - 0.75 * 0.4]),
        (None, [1 - 0.5 * 0.75 * 0.4, 1 - 0.75 * 0.4]),
    ],
)
def test_how_drop_path_grows(version, keep_probs, monkeypatch):
    monkeypatch.setattr(nasnet_utils, "drop_path", lambda net, keep_prob: tf.convert_to_tensor(keep_prob))
    apply = nasnet_utils.NasNetABaseCell._apply_drop_path
    scoped = {} if version is None else {"drop_connect_version": version}
    for step, expected in zip((50, 130), keep_probs):
        with (
            tf.Graph().as_default(),
            tf.Session() as session,
            slim.arg_scope([apply], use_summaries=True, **scoped),
        ):
            cell = nasnet_utils.NasNetANormalCell(8, 0.6, 4, 100)
            cell._cell_num = 2
            tf.train.create_global_step()
            results = [apply(cell, None), apply(cell, None, current_step=tf.constant(step))]
            session.run(tf.train.get_global_step().assign(step))
            assert session.run(results) == pytest.approx([expected] * 2)
            # Of the probability, and of each factor.
            assert len(tf.get_collection(tf.GraphKeys.SUMMARIES)) == 2 * (3 if version in ("v3", None) else 2)


def test_a_global_step_that_is_not_there_is_made_under_its_own_name():
    """research/slim makes it in the scope of the cell: no other graph would find it in the checkpoint."""
    with tf.Graph().as_default(), tf.variable_scope("tower"):
        tiny("pnasnet", 19, num_classes=None, final_endpoint="Stem", values={"drop_path_keep_prob": 0.5})
        step = tf.train.get_global_step()
        assert step.op.name == "global_step" and tf.train.get_or_create_global_step() is step
        others = [variable for variable in tf.global_variables() if variable is not step]
        assert others == tf.model_variables()
        assert all(variable.op.name.startswith("tower/") for variable in others)


def test_training_is_a_function_of_the_seed():
    """As slimft trains it, so that a resumed run drops what it would have."""
    pixels = np.random.default_rng(3).uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32)
    values = {"drop_path_keep_prob": 0.5, "total_training_steps": 1, "dense_dropout_keep_prob": 0.5}

    def outputs(steps):
        with tf.Graph().as_default(), tf.Session() as session:
            seed = tf.placeholder(tf.int64, [2])
            with dropout_seed(seed):
                images, logits, end_points = tiny("pnasnet", 32, values=values)
            tf.train.get_or_create_global_step()
            rng, variables = np.random.default_rng(5), tf.model_variables()
            feeds = {v.initializer.inputs[1]: rng.uniform(0.1, 0.3, v.shape.as_list()) for v in variables}
            session.run([v.initializer for v in variables], feeds)
            session.run(tf.train.get_global_step().assign(9))
            fetches = [logits, end_points["AuxLogits"]]
            return [np.stack(session.run(fetches, {images: pixels, seed: [7, step]})) for step in steps]

    first, again, third = outputs([1, 1, 2])
    (resumed,) = outputs([2])
    np.testing.assert_array_equal(first, again)
    np.testing.assert_allclose(resumed, third, rtol=1e-5)
    assert np.abs(first - third).max() > 1e-3 * np.abs(first).max()


# What is computed.


@pytest.mark.parametrize("size, filters", [(4, 6), (5, 7)])
def test_factorized_reduction(size, filters):
    x = np.random.default_rng(2).normal(size=(2, size, size, 3)).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        with slim.arg_scope([slim.conv2d], activation_fn=None, biases_initializer=None):
            reduced = nasnet_utils.factorized_reduction(tf.constant(x), filters, stride=2, data_format="NHWC")
        session.run(tf.global_variables_initializer())
        found, first, second = session.run([reduced, *(v for v in tf.model_variables() if "conv" in v.op.name)])
    assert (first.shape[-1], second.shape[-1]) == (filters // 2, (filters + 1) // 2)
    beyond = np.pad(x, [(0, 0), (0, 1), (0, 1), (0, 0)])
    expected = np.concatenate([x[:, ::2, ::2] @ first[0, 0], beyond[:, 1::2, 1::2] @ second[0, 0]], axis=-1)
    expected -= expected.mean((0, 1, 2))
    np.testing.assert_allclose(found, expected / np.sqrt(expected.var((0, 1, 2)) + 0.001), atol=1e-4)


@pytest.mark.parametrize(
    "arg_scope, weight_decay, decay, epsilon",
    [
        (nasnet.nasnet_cifar_arg_scope, 5e-4, 0.9, 1e-5),
        (nasnet.nasnet_mobile_arg_scope, 4e-5, 0.9997, 1e-3),
        (nasnet.nasnet_large_arg_scope, 5e-5, 0.9997, 1e-3),
        (pnasnet.pnasnet_mobile_arg_scope, 4e-5, 0.9997, 1e-3),
        (pnasnet.pnasnet_large_arg_scope, 4e-5, 0.9997, 1e-3),
    ],
)
def test_arg_scopes(arg_scope, weight_decay, decay, epsilon):
    with tf.Graph().as_default(), slim.arg_scope(arg_scope()), tf.Session() as session:
        found = [scoped_argument(slim.batch_norm, name, None) for name in ("decay", "epsilon", "scale")]
        assert found == [decay, epsilon, True]
        for layer in (slim.conv2d, slim.separable_conv2d, slim.fully_connected):
            loss = scoped_argument(layer, "weights_regularizer", None)(tf.constant([3.0, 1.0]))
            assert session.run(loss) == pytest.approx(weight_decay * 10 / 2)


# Images of other sizes, and what cannot be.


@pytest.mark.parametrize("name", BUILD)
def test_any_size_and_data_format_has_the_layers_of_the_checkpoint(name):
    """Of the auxiliary logits, one kernel has another size; of smaller images, layers are others."""
    least, layers = get_network(f"{name}_mobile").min_image_size, {}
    for size, data_format in ((least, "NHWC"), (131, "NCHW"), (least - 1, "NHWC"))[: 3 if name == "nasnet" else 2]:
        with tf.Graph().as_default():
            _, logits, end_points = tiny(name, size, values={"data_format": data_format})
            assert logits.shape.as_list() == end_points["AuxLogits"].shape.as_list() == [2, 5]
            assert end_points["Stem"].shape[3 if data_format == "NHWC" else 1] == 4 * (
                5 if name == "pnasnet" else 4
            )
            layers[size] = {v.op.name: v.shape.as_list() for v in tf.model_variables()}
            kernel = layers[size].pop("aux_1/aux_logits/Conv/weights")
            assert kernel == [1 if size < 131 else 2] * 2 + [128, 768]
    assert layers[least] == layers[131] != layers.get(least - 1)
    assert get_network(f"{name}_large").min_image_size == least


def test_final_endpoints_of_the_functions():
    """Unlike in research/slim, the logits are the result where they are the end, and unknown names are refused."""
    for end in ("Stem", "Logits"):
        with tf.Graph().as_default():
            _, result, end_points = tiny("nasnet", 32, final_endpoint=end)
            assert result is end_points[end] and list(end_points)[-1] == end
    with tf.Graph().as_default(), pytest.raises(ValueError, match="final_endpoint='Cell_3': .* 'Cell_2', .*'Pred"):
        tiny("pnasnet", 32, final_endpoint="Cell_3")


def test_the_current_step_is_that_of_the_stem_too():
    with tf.Graph().as_default():
        tiny("nasnet", 32, values={"drop_path_keep_prob": 0.5}, current_step=tf.constant(3), final_endpoint="Stem")
        assert tf.train.get_global_step() is None


def test_what_is_refused():
    with tf.Graph().as_default():
        with pytest.raises(ValueError, match="the height and width of its inputs, and one is of shape"):
            tiny("nasnet", None, is_training=False)
        with pytest.raises(ValueError, match="data_format='null' is neither NHWC nor NCHW"):
            nasnet_utils.factorized_reduction(tf.zeros([1, 4, 4, 2]), 4, 2)
        cell = nasnet_utils.NasNetABaseCell(8, ["separable_3x5_2"] * 10, [0] * 7, [0] * 10, 1.0, 4, 10)
        formats = [nasnet_utils.get_channel_dim, nasnet_utils.get_channel_index]
        with (
            slim.arg_scope(formats, data_format="NHWC"),
            pytest.raises(ValueError, match="'separable_3x5_2': there"),
        ):
            cell(tf.zeros([1, 4, 4, 2]), scope="cell")


# Networks without a common scope.


@pytest.mark.parametrize("release", ["nasnet-a_mobile", "nasnet-a_large", "pnasnet-5_mobile", "pnasnet-5_large"])
def test_the_network_is_known_by_its_variables(release):
    spec = get_network(OFFICIAL[release].network)
    call = f"{spec.module.rpartition('.')[2]}.{spec.arg_scope_name}()"
    variables = list(OFFICIAL[release].variables)
    assert arg_scope_call(variables) == arg_scope_call([f"mine/{name}" for name in variables]) == call
    assert all(map(spec.has, variables)) and not spec.has("head/logits/weights")
    assert arg_scope_call([*variables, "vgg_16/fc8/weights"]) == "vgg.vgg_arg_scope()"
