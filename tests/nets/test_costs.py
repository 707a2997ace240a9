"""The figures of `--list_models`, counted in the graph; each network's variables are its official checkpoint's."""

import math

import pytest

from slimft.checkpoint.official import OFFICIAL
from slimft.compat import tf
from slimft.filters import VariableFilter
from slimft.nets import get_network, network_names


def multiply_adds(op):
    """Multiplications, each with an addition, of a convolution or matrix product; None of other ops."""
    if op.type in ("Conv2D", "DepthwiseConv2dNative"):
        # Each element of the result takes as many as the kernel has taps and, but for depthwise, input channels.
        height, width, channels, _ = op.inputs[1].shape.as_list()
        taps = height * width * (channels if op.type == "Conv2D" else 1)
        return math.prod(op.outputs[0].shape.as_list()) * taps
    if op.type == "MatMul":
        return math.prod(op.outputs[0].shape.as_list()) * op.inputs[0].shape.as_list()[1]
    assert "MatMul" not in op.type and "Conv" not in op.type, op
    return None


@pytest.mark.parametrize("name", network_names())
def test_parameters_gflops_and_variables(name):
    spec = get_network(name)
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, [1, spec.default_image_size, spec.default_image_size, 3])
        logits, _ = spec.build(images, spec.num_imagenet_classes, is_training=False)
        assert logits.shape == [1, spec.num_imagenet_classes]
        variables = {v.op.name: v.shape.as_list() for v in tf.model_variables()}
        parameters = sum(variable.shape.num_elements() for variable in tf.trainable_variables())
        products = [count for op in graph.get_operations() if (count := multiply_adds(op)) is not None]
    print(f"{name}: {len(variables)} variables, {parameters:,} parameters, {2e-9 * sum(products):.4f} GFLOPs")
    assert all(variable.startswith(f"{spec.scope}/") for variable in variables)
    assert VariableFilter(include=spec.logits_scopes[0]).select(variables)
    assert spec.parameters == parameters
    assert spec.gflops == pytest.approx(2e-9 * sum(products), abs=0.0006)
    if spec.official_checkpoint:
        # The auxiliary logits are there for training only.
        trained_only = VariableFilter(include=spec.logits_scopes[1:]) if spec.logits_scopes[1:] else None
        official = OFFICIAL[spec.official_checkpoint].variables
        assert variables == {
            variable: list(shape)
            for variable, shape in official.items()
            if trained_only is None or not trained_only.selects(variable)
        }


# Millions of multiply-adds and of parameters: table 6 of arXiv:1704.04861 for V1, and for V2 that of
# research/slim/nets/mobilenet/README.md, whose 1.4 is smaller than the paper's.
@pytest.mark.parametrize("name, multiply_adds, parameters", [
    ("mobilenet_v1", 569, 4.2), ("mobilenet_v1_075", 325, 2.6), ("mobilenet_v1_050", 149, 1.3),
    ("mobilenet_v1_025", 41, 0.5), ("mobilenet_v2", 300, 3.47), ("mobilenet_v2_140", 582, 6.06),
])  # fmt: skip
def test_mobilenets_as_their_authors_state(name, multiply_adds, parameters):
    spec = get_network(name)
    assert spec.gflops * 1e3 / 2 == pytest.approx(multiply_adds, rel=0.01)
    assert spec.parameters / 1e6 == pytest.approx(parameters, abs=0.06)


# Billions of multiply-adds by table 1 of He et al. (arXiv:1512.03385). TF-Slim needs fewer: the last unit
# of a block has its stride, and so works on the smaller map.
@pytest.mark.parametrize("name, billions", [("resnet_v1_50", 3.8), ("resnet_v1_101", 7.6), ("resnet_v1_152", 11.3)])
def test_resnets_as_their_paper_states(name, billions):
    assert 0.9 * billions < get_network(name).gflops / 2 < billions


# Millions of parameters by table 2 of Simonyan and Zisserman (arXiv:1409.1556).
@pytest.mark.parametrize("name, millions", [("vgg_a", 133), ("vgg_16", 138), ("vgg_19", 144)])
def test_vggs_as_their_paper_states(name, millions):
    assert round(get_network(name).parameters / 1e6) == millions
