"""MobileNet V2 (Sandler et al., arXiv:1801.04381) under TF-Slim's names.

The network of the paper's table 2: inverted residual bottlenecks, each a 1x1 convolution that expands, a 3x3
depthwise one and a 1x1 one that projects, the last without a non-linearity; the others end in ReLU6.
`mobilenet_v2_140`, `_050` and `_035` have that share of its channels.

    with slim.arg_scope(mobilenet_v2.training_scope()):
        logits, end_points = mobilenet_v2.mobilenet(images, num_classes=10)

Images are RGB in [-1, 1]. Signatures, variable names, op names and end points are those of
research/slim/nets/mobilenet/mobilenet_v2.py (github.com/tensorflow/models).
"""

from slimft.compat import slim, tf
from slimft.nets.mobilenet import conv_blocks as ops
from slimft.nets.mobilenet import mobilenet as lib
from slimft.nets.mobilenet_utils import wrapped_partial
from slimft.nets.spec import NetworkSpec

op = lib.op
expand_input = ops.expand_input_by_factor
training_scope = lib.training_scope

_LAYERS = (slim.conv2d, slim.fully_connected, slim.separable_conv2d)


def _defaults(normalizer_fn):
    """What all layers have in common."""
    return {
        _LAYERS: {"normalizer_fn": normalizer_fn, "activation_fn": tf.nn.relu6},
        (ops.expanded_conv,): {
            "expansion_size": expand_input(6),
            "split_expansion": 1,
            "normalizer_fn": normalizer_fn,
            "residual": True,
        },
        (slim.conv2d, slim.separable_conv2d): {"padding": "SAME"},
    }


V2_DEF = {
    "defaults": {(slim.batch_norm,): {"center": True, "scale": True}, **_defaults(slim.batch_norm)},
    "spec": [
        op(slim.conv2d, stride=2, num_outputs=32, kernel_size=[3, 3]),
        op(ops.expanded_conv, expansion_size=expand_input(1, divisible_by=1), num_outputs=16),
        *(
            op(ops.expanded_conv, stride=s if i == 0 else 1, num_outputs=c)
            # c, n, s: channels, repetitions and the first one's stride.
            for c, n, s in ((24, 2, 2), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1))
            for i in range(n)
        ),
        op(slim.conv2d, stride=1, kernel_size=[1, 1], num_outputs=1280),
    ],
}
V2_DEF_GROUP_NORM = {"defaults": _defaults(slim.group_norm), "spec": list(V2_DEF["spec"])}


@slim.add_arg_scope
def mobilenet(
    input_tensor,
    num_classes=1001,
    depth_multiplier=1.0,
    scope="MobilenetV2",
    conv_defs=None,
    finegrain_classification_mode=False,
    min_depth=None,
    divisible_by=None,
    activation_fn=None,
    **kwargs,
):
    """MobileNet V2 for classification.

    Args:
        input_tensor: float tensor ``[batch, height, width, 3]``, preprocessed.
        num_classes: number of classes; 0 or None leaves the logits out.
        depth_multiplier: factor of the number of channels, above 0.
        scope: variable scope.
        conv_defs: table of the layers, as `mobilenet.mobilenet_base` takes it; None for `V2_DEF`, the paper's.
        finegrain_classification_mode: whether the last layer keeps its channels where `depth_multiplier` is
            below 1, as in the paper.
        min_depth: the least number of channels of a layer; None for that of `mobilenet.depth_multiplier`, 8.
        divisible_by: what the numbers of channels are rounded to a multiple of; None likewise.
        activation_fn: the non-linearity; None for the table's, ReLU6.
        **kwargs: of `mobilenet.mobilenet` and `mobilenet.mobilenet_base`: `prediction_fn`, `reuse`, `base_only`,
            `use_reduce_mean_for_pooling`, `final_endpoint`, `output_stride`, `use_explicit_padding`, `is_training`.

    Returns:
        The logits ``[batch, num_classes]`` (without `num_classes`: the features ``[batch, 1, 1, channels]``;
        with `base_only`: the last layer), and a dictionary of the layers' outputs.

    Raises:
        ValueError: `input_tensor` is not of rank 4, or an argument cannot be.
    """
    if "multiplier" in kwargs:
        raise ValueError("MobileNet V2 takes depth_multiplier, not multiplier.")
    conv_defs = V2_DEF if conv_defs is None else conv_defs
    if finegrain_classification_mode and depth_multiplier < 1:
        *layers, last = conv_defs["spec"]
        # Which the multiplier then makes what it was.
        params = {**last.params, "num_outputs": last.params["num_outputs"] / depth_multiplier}
        conv_defs = {**conv_defs, "spec": [*layers, last._replace(params=params)]}
    if activation_fn:
        defaults = dict(conv_defs.get("defaults", {}))
        defaults[_LAYERS] = {**defaults.get(_LAYERS, {}), "activation_fn": activation_fn}
        conv_defs = {**conv_defs, "defaults": defaults}
    # None must not stand in for what an arg_scope of the caller's says.
    with lib.safe_arg_scope([lib.depth_multiplier], min_depth=min_depth, divisible_by=divisible_by):
        return lib.mobilenet(
            input_tensor,
            num_classes=num_classes,
            conv_defs=conv_defs,
            scope=scope,
            multiplier=depth_multiplier,
            **kwargs,
        )


@slim.add_arg_scope
def mobilenet_base(input_tensor, depth_multiplier=1.0, **kwargs):
    """MobileNet V2 without pooling and logits; arguments and result as `mobilenet`."""
    return mobilenet(input_tensor, depth_multiplier=depth_multiplier, base_only=True, **kwargs)


@slim.add_arg_scope
def mobilenet_base_group_norm(input_tensor, depth_multiplier=1.0, **kwargs):
    """`mobilenet_base` with group normalization, of `groups` groups, 8 unless it is given."""
    groups = {(slim.group_norm,): {"groups": kwargs.pop("groups", 8)}}
    kwargs["conv_defs"] = {**V2_DEF_GROUP_NORM, "defaults": {**V2_DEF_GROUP_NORM["defaults"], **groups}}
    return mobilenet(input_tensor, depth_multiplier=depth_multiplier, base_only=True, **kwargs)


mobilenet.default_image_size = 224
mobilenet_v2 = mobilenet
mobilenet_v2_140 = wrapped_partial(mobilenet, depth_multiplier=1.4)
# The last layer, which the logits see, stays as wide as at 1.0.
mobilenet_v2_050 = wrapped_partial(mobilenet, depth_multiplier=0.50, finegrain_classification_mode=True)
mobilenet_v2_035 = wrapped_partial(mobilenet, depth_multiplier=0.35, finegrain_classification_mode=True)

SPECS = tuple(
    NetworkSpec(
        name=name,
        module=__name__,
        arg_scope_name="training_scope",
        scope="MobilenetV2",
        logits_scopes=("MobilenetV2/Logits",),
        top_scopes=(*(f"MobilenetV2/expanded_conv_{i}" for i in (13, 14, 15, 16)), "MobilenetV2/Conv_1"),
        preprocessing="inception",
        default_image_size=224,
        min_image_size=32,
        num_imagenet_classes=1001,
        official_checkpoint=official,
        parameters=parameters,
        gflops=gflops,
        options=("final_endpoint",),
        final_endpoints={
            "layer_1": ("MobilenetV2/Conv",),
            "layer_2": ("MobilenetV2/Conv", "MobilenetV2/expanded_conv"),
            **{
                f"layer_{i + 2}": tuple(f"MobilenetV2/expanded_conv_{j}" for j in block if j <= i)
                for block in ((1, 2), (3, 4, 5), (6, 7, 8, 9, 10, 11, 12), (13, 14, 15, 16))
                for i in block
            },
            "layer_19": (*(f"MobilenetV2/expanded_conv_{i}" for i in (13, 14, 15, 16)), "MobilenetV2/Conv_1"),
        },
    )
    for name, official, parameters, gflops in (
        ("mobilenet_v2", "mobilenet_v2_1.0_224", 3_506_153, 0.602),
        ("mobilenet_v2_140", "mobilenet_v2_1.4_224", 6_110_569, 1.164),
        ("mobilenet_v2_050", "mobilenet_v2_0.5_224", 1_969_961, 0.194),
        ("mobilenet_v2_035", "mobilenet_v2_0.35_224", 1_678_409, 0.119),
    )
)
