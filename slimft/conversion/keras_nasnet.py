"""The weights of Keras Applications' NASNet (keras/src/applications/nasnet.py, Keras 3.15)."""

from __future__ import annotations

from collections.abc import Iterator

from slimft.conversion.layers import Layer, Weights, official_variables

# The number of cells in each of the three stacks: Zoph et al., arXiv:1707.07012.
NASNET = {"nasnet_mobile": 4, "nasnet_large": 6}

# The separable convolutions of a cell, all in the order of Keras' `Model.layers`: Keras' name, TF-Slim's scope, and
# the side of the window, of each, with which of its two convolutions it is.
_NORMAL = tuple(
    (there, here, side, number)
    for number in (1, 2)
    for there, here, side in (
        ("left1", "comb_iter_0/left", 5),
        ("right1", "comb_iter_0/right", 3),
        ("left2", "comb_iter_1/left", 5),
        ("right2", "comb_iter_1/right", 3),
        ("left5", "comb_iter_4/left", 3),
    )
)
# Of combination 0 another one is made, so it is further from the end.
_REDUCTION = (
    *(
        (there, here, side, number)
        for number in (1, 2)
        for there, here, side in (("left1", "comb_iter_0/left", 5), ("right1", "comb_iter_0/right", 7))
    ),
    *(
        (there, here, side, number)
        for number in (1, 2)
        for there, here, side in (
            ("right2", "comb_iter_1/right", 7),
            ("right3", "comb_iter_2/right", 5),
            ("left4", "comb_iter_4/left", 3),
        )
    ),
)
_REMARK = "the logits are nearly Keras': its reduction cells pad zeros before they pool, which TF-Slim's do not"


def nasnet_weights(network: str) -> Weights:
    """How the weights of `network`, a key of `NASNET`, are published."""
    released = official_variables(network)
    auxiliary = next(name.partition("/")[0] for name in released if name.startswith("aux_"))
    variables = {name: shape for name, shape in released.items() if not name.startswith(f"{auxiliary}/")}
    layers = [Layer("stem_conv1", "conv0", "stem_bn1", "conv0_bn")]
    for kind, there, here in _cells(NASNET[network]):
        layers += _adjusted(kind, there, here, variables)
        for branch, scope, side, number in _NORMAL if kind == "normal" else _REDUCTION:
            name, size = f"{kind}_{branch}_{there}", f"{side}x{side}_{number}"
            layers.append(
                Layer(
                    f"separable_conv_{number}_{name}",
                    f"{here}/{scope}/separable_{size}",
                    f"separable_conv_{number}_bn_{name}",
                    f"{here}/{scope}/bn_sep_{size}",
                    kind="separable_conv2d",
                )
            )
    layers.append(Layer("predictions", "final_layer/FC", kind="dense"))
    return Weights(variables, tuple(layers), not_published=(auxiliary,), remarks=(_REMARK,))


def _cells(in_a_stack: int) -> Iterator[tuple[str, str, str]]:
    """The cells in turn: which kind, its name in Keras, which counts those that halve the map, and its scope."""
    for number in (0, 1):
        yield "reduction", f"stem_{number + 1}", f"cell_stem_{number}"
    for stack in range(3):
        if stack:
            yield "reduction", f"reduce_{stack * in_a_stack}", f"reduction_cell_{stack - 1}"
        for number in range(stack * in_a_stack, (stack + 1) * in_a_stack):
            yield "normal", f"{number + (stack > 0)}", f"cell_{number}"


def _adjusted(kind: str, there: str, here: str, variables) -> Iterator[Layer]:
    """The layers that make a cell's two inputs alike, in the order of Keras' `Model.layers`."""
    of_input = Layer(f"{kind}_conv_1_{there}", f"{here}/1x1", f"{kind}_bn_1_{there}", f"{here}/beginning_bn")
    if f"{here}/path1_conv/weights" in variables:
        yield Layer(f"adjust_conv_1_{there}", f"{here}/path1_conv")
        yield Layer(f"adjust_conv_2_{there}", f"{here}/path2_conv")
        of_previous = [Layer(batch_norm=f"adjust_bn_{there}", statistics=f"{here}/final_path_bn")]
    elif f"{here}/prev_1x1/weights" in variables:
        projection = f"adjust_conv_projection_{there}", f"{here}/prev_1x1"
        of_previous = [Layer(*projection, f"adjust_bn_{there}", f"{here}/prev_bn")]
    else:
        of_previous = []
    yield from (*of_previous, of_input) if kind == "normal" else (of_input, *of_previous)
