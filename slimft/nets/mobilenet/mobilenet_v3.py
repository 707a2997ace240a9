"""MobileNet V3 (Howard et al., arXiv:1905.02244) and MobileNetEdgeTPU under TF-Slim's names.

The networks of the paper's tables 1 and 2: the bottlenecks of MobileNet V2, where a search said so with a 5x5
kernel, with squeeze-and-excite before the projection, and with hard swish in place of ReLU. The minimalistic ones
have none of these three. MobileNetEdgeTPU, for the accelerator of that name, has full 3x3 convolutions that expand
in place of the first depthwise ones.

    with slim.arg_scope(mobilenet_v3.training_scope()):
        logits, end_points = mobilenet_v3.large(images, num_classes=10)

Images are RGB in [-1, 1]. Signatures, variable names, op names and end points are those of
research/slim/nets/mobilenet/mobilenet_v3.py (github.com/tensorflow/models).
"""

import functools

from slimft.compat import slim, tf
from slimft.nets.mobilenet import conv_blocks as ops
from slimft.nets.mobilenet import mobilenet as lib
from slimft.nets.spec import NetworkSpec

op = lib.op
expand_input = ops.expand_input_by_factor
training_scope = lib.training_scope

# Its gate is a hard sigmoid, with a sixth rounded as in the released networks.
squeeze_excite = functools.partial(
    ops.squeeze_excite,
    squeeze_factor=4,
    inner_activation_fn=tf.nn.relu,
    gating_fn=lambda x: tf.nn.relu6(x + 3) * 0.16667,
)


def _se4(expansion_tensor, input_tensor):
    del input_tensor
    return squeeze_excite(expansion_tensor)


def hard_swish(x):
    """``x * relu6(x + 3) / 6``, the paper's h-swish."""
    with tf.name_scope("hard_swish"):
        return x * tf.nn.relu6(x + 3) * (1 / 6)


def reduce_to_1x1(input_tensor, default_size=7, **kwargs):
    """Averages over all positions of a square map, and over windows of `default_size` where it is none.

    Args:
        input_tensor: ``[batch, height, width, channels]``.
        default_size: side of the windows, where the map is not square or its size not known.
        **kwargs: of slim.avg_pool2d; what `lib.mobilenet_base` tells a convolution besides means nothing here.
    """
    height, width = input_tensor.shape.as_list()[1:3]
    size = height if height is not None and width == height else default_size
    kwargs = {name: value for name, value in kwargs.items() if name not in ("rate", "use_explicit_padding")}
    return slim.avg_pool2d(input_tensor, kernel_size=[size, size], **kwargs)


def mbv3_op(ef, n, k, s=1, act=tf.nn.relu, se=None, **kwargs):
    """A bottleneck of the table of layers.

    Args:
        ef: expansion factor.
        n: number of outputs.
        k: side of the depthwise kernel.
        s: stride.
        act: non-linearity of the first two convolutions.
        se: `expansion_transform` of `conv_blocks.expanded_conv`.
        **kwargs: others of its arguments.
    """
    return op(
        ops.expanded_conv,
        expansion_size=expand_input(ef),
        kernel_size=(k, k),
        stride=s,
        num_outputs=n,
        inner_activation_fn=act,
        expansion_transform=se,
        **kwargs,
    )


def mbv3_fused(ef, n, k, s=1, **kwargs):
    """A bottleneck whose expansion is a full convolution with kernel and stride, and that has no depthwise one.

    Args:
        ef: expansion factor.
        n: number of outputs.
        k: side of the kernel.
        s: stride.
        **kwargs: of `mbv3_op`.
    """
    expansion_fn = functools.partial(slim.conv2d, kernel_size=k, stride=s)
    return mbv3_op(ef, n, k=1, s=s, depthwise_location=None, expansion_fn=expansion_fn, **kwargs)


mbv3_op_se = functools.partial(mbv3_op, se=_se4)

_LAYERS = (slim.conv2d, slim.fully_connected, slim.separable_conv2d)
DEFAULTS = {
    (ops.expanded_conv,): {"normalizer_fn": slim.batch_norm, "residual": True},
    _LAYERS: {"normalizer_fn": slim.batch_norm, "activation_fn": tf.nn.relu},
    (slim.batch_norm,): {"center": True, "scale": True},
}
DEFAULTS_GROUP_NORM = {
    (ops.expanded_conv,): {"normalizer_fn": slim.group_norm, "residual": True},
    _LAYERS: {"normalizer_fn": slim.group_norm, "activation_fn": tf.nn.relu},
    (slim.group_norm,): {"groups": 8},
}


def _classified(stem, blocks, channels, features, **activation):
    """The table of a network that classifies: first and last layers, and the bottlenecks `blocks` between them.

    Args:
        stem: number of outputs of the first layer.
        blocks: the bottlenecks.
        channels: number of outputs of the last layer before pooling.
        features: of the one after it, which is not normalized.
        **activation: `activation_fn` of these layers, if it is not ReLU.
    """
    return {
        "defaults": dict(DEFAULTS),
        "spec": [
            op(slim.conv2d, stride=2, num_outputs=stem, kernel_size=(3, 3), **activation),
            *blocks,
            op(slim.conv2d, stride=1, kernel_size=[1, 1], num_outputs=channels, **activation),
            op(reduce_to_1x1, default_size=7, stride=1, padding="VALID"),
            op(
                slim.conv2d,
                stride=1,
                kernel_size=[1, 1],
                num_outputs=features,
                normalizer_fn=None,
                **activation,
            ),
        ],
    }


# Expansion, outputs, kernel and stride of each bottleneck, whether it has squeeze-and-excite, whether hard swish:
# the paper's tables 1 and 2, whose expansions are numbers of channels.
_LARGE = (
    (1, 16, 3, 1, False, False),
    (4, 24, 3, 2, False, False),
    (3, 24, 3, 1, False, False),
    (3, 40, 5, 2, True, False),
    (3, 40, 5, 1, True, False),
    (3, 40, 5, 1, True, False),
    (6, 80, 3, 2, False, True),
    (2.5, 80, 3, 1, False, True),
    (184 / 80, 80, 3, 1, False, True),
    (184 / 80, 80, 3, 1, False, True),
    (6, 112, 3, 1, True, True),
    (6, 112, 3, 1, True, True),
    (6, 160, 5, 2, True, True),
    (6, 160, 5, 1, True, True),
    (6, 160, 5, 1, True, True),
)
_SMALL = (
    (1, 16, 3, 2, True, False),
    (72 / 16, 24, 3, 2, False, False),
    (88 / 24, 24, 3, 1, False, False),
    (4, 40, 5, 2, True, True),
    (6, 40, 5, 1, True, True),
    (6, 40, 5, 1, True, True),
    (3, 48, 5, 1, True, True),
    (3, 48, 5, 1, True, True),
    (6, 96, 5, 2, True, True),
    (6, 96, 5, 1, True, True),
    (6, 96, 5, 1, True, True),
)


def _searched(blocks):
    """The bottlenecks of a table."""
    return [
        mbv3_op(ef, n, k, s, act=hard_swish if swish else tf.nn.relu, se=_se4 if se else None)
        for ef, n, k, s, se, swish in blocks
    ]


def _minimalistic(blocks):
    """The bottlenecks of a table, without what not all hardware is good at."""
    return [mbv3_op(ef, n, 3, s) for ef, n, _, s, _, _ in blocks]


V3_LARGE = _classified(16, _searched(_LARGE), 960, 1280, activation_fn=hard_swish)
V3_SMALL = _classified(16, _searched(_SMALL), 576, 1024, activation_fn=hard_swish)
V3_LARGE_MINIMALISTIC = _classified(16, _minimalistic(_LARGE), 960, 1280)
V3_SMALL_MINIMALISTIC = _classified(16, _minimalistic(_SMALL), 576, 1024)
V3_EDGETPU = {
    "defaults": dict(DEFAULTS),
    "spec": [
        op(slim.conv2d, stride=2, num_outputs=32, kernel_size=(3, 3)),
        mbv3_fused(ef=1, n=16, k=3),
        mbv3_fused(ef=8, n=32, k=3, s=2),
        *(mbv3_fused(ef=4, n=32, k=3) for _ in range(3)),
        mbv3_fused(ef=8, n=48, k=3, s=2),
        *(mbv3_fused(ef=4, n=48, k=3) for _ in range(3)),
        mbv3_op(ef=8, n=96, k=3, s=2),
        *(mbv3_op(ef=4, n=96, k=3) for _ in range(3)),
        mbv3_op(ef=8, n=96, k=3, residual=False),
        *(mbv3_op(ef=4, n=96, k=3) for _ in range(3)),
        mbv3_op(ef=8, n=160, k=5, s=2),
        *(mbv3_op(ef=4, n=160, k=5) for _ in range(3)),
        mbv3_op(ef=8, n=192, k=3),
        op(slim.conv2d, stride=1, num_outputs=1280, kernel_size=(1, 1)),
    ],
}


def _reduce_consecutive_layers(conv_defs, start_id, end_id, multiplier=0.5):
    """The table with `multiplier` times the outputs in the layers from `start_id` to `end_id`, counted from 0."""
    spec = list(conv_defs["spec"])
    for i in range(start_id, end_id + 1):
        outputs = round(spec[i].params["num_outputs"] * multiplier)
        spec[i] = spec[i]._replace(params={**spec[i].params, "num_outputs": outputs})
    return {**conv_defs, "spec": spec}


# For object detection, which does not need as many features as 1000 classes.
V3_LARGE_DETECTION = _reduce_consecutive_layers(V3_LARGE, 13, 16)
V3_SMALL_DETECTION = _reduce_consecutive_layers(V3_SMALL, 9, 12)


@slim.add_arg_scope
def mobilenet(
    input_tensor,
    num_classes=1001,
    depth_multiplier=1.0,
    scope="MobilenetV3",
    conv_defs=None,
    finegrain_classification_mode=False,
    use_groupnorm=False,
    **kwargs,
):
    """MobileNet V3 for classification. Inference mode is created by default.

    Args:
        input_tensor: float tensor ``[batch, height, width, 3]``, preprocessed.
        num_classes: number of classes; 0 or None leaves the logits out.
        depth_multiplier: factor of the number of channels, above 0.
        scope: variable scope.
        conv_defs: table of the layers, one of this module's or as `mobilenet.mobilenet_base` takes it; None for
            `V3_LARGE`.
        finegrain_classification_mode: whether the last layer keeps its channels whatever `depth_multiplier` is.
        use_groupnorm: whether to normalize by groups, of which there are `groups`, 8 unless it is given.
        **kwargs: of `mobilenet.mobilenet` and `mobilenet.mobilenet_base`: `prediction_fn`, `reuse`, `base_only`,
            `use_reduce_mean_for_pooling`, `final_endpoint`, `output_stride`, `use_explicit_padding`, `is_training`.

    Returns:
        The logits ``[batch, num_classes]`` (without `num_classes`: the features ``[batch, 1, 1, channels]``;
        with `base_only`: the last layer), and a dictionary of the layers' outputs.

    Raises:
        ValueError: `input_tensor` is not of rank 4, or an argument cannot be.
    """
    if "multiplier" in kwargs:
        raise ValueError("MobileNet V3 takes depth_multiplier, not multiplier.")
    conv_defs = V3_LARGE if conv_defs is None else conv_defs
    if use_groupnorm:
        groups = {(slim.group_norm,): {"groups": kwargs.pop("groups", 8)}}
        conv_defs = {**conv_defs, "defaults": {**DEFAULTS_GROUP_NORM, **groups}}
    if finegrain_classification_mode:
        *layers, last = conv_defs["spec"]
        last = last._replace(multiplier_func=lambda params, multiplier: params)
        conv_defs = {**conv_defs, "spec": [*layers, last]}
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
    """MobileNet V3 without pooling and logits; arguments and result as `mobilenet`."""
    return mobilenet(input_tensor, depth_multiplier=depth_multiplier, base_only=True, **kwargs)


def wrapped_partial(func, new_defaults=None, **kwargs):
    """`functools.partial` of a network, with its name, docstring and attributes.

    Args:
        func: the network.
        new_defaults: arguments in place of its defaults, which an arg_scope does not change.
        **kwargs: the partial's arguments.
    """

    @functools.wraps(func)
    def with_defaults(*args, **arguments):
        return func(*args, **{**(new_defaults or {}), **arguments})

    return functools.update_wrapper(functools.partial(with_defaults, **kwargs), func)


mobilenet.default_image_size = 224
large = mobilenet_v3_large = wrapped_partial(mobilenet, conv_defs=V3_LARGE)
small = mobilenet_v3_small = wrapped_partial(mobilenet, conv_defs=V3_SMALL)
large_minimalistic = mobilenet_v3_large_minimalistic = wrapped_partial(mobilenet, conv_defs=V3_LARGE_MINIMALISTIC)
small_minimalistic = mobilenet_v3_small_minimalistic = wrapped_partial(mobilenet, conv_defs=V3_SMALL_MINIMALISTIC)
_OF_EDGETPU = {"scope": "MobilenetEdgeTPU"}
edge_tpu = mobilenet_edgetpu = wrapped_partial(mobilenet, _OF_EDGETPU, conv_defs=V3_EDGETPU)
edge_tpu_075 = mobilenet_edgetpu_075 = wrapped_partial(
    mobilenet, _OF_EDGETPU, conv_defs=V3_EDGETPU, depth_multiplier=0.75, finegrain_classification_mode=True
)

SPECS = tuple(
    NetworkSpec(
        name=name,
        module=__name__,
        arg_scope_name="training_scope",
        scope=scope,
        logits_scopes=(f"{scope}/Logits",),
        top_scopes=(
            *(f"{scope}/expanded_conv_{i}" for i in blocks[-1]),
            *(f"{scope}/{end}" for end in ends[-1][1]),
        ),
        preprocessing="inception",
        default_image_size=224,
        min_image_size=32,
        num_imagenet_classes=1001,
        official_checkpoint=official,
        parameters=parameters,
        gflops=gflops,
        options=("final_endpoint",),
        final_endpoints={
            "layer_1": (f"{scope}/Conv",),
            "layer_2": tuple(f"{scope}/{layer}" for layer in second),
            **{
                f"layer_{i + 2}": tuple(f"{scope}/expanded_conv_{j}" for j in block if j <= i)
                for block in blocks
                for i in block
            },
            **{
                layer: (*(f"{scope}/expanded_conv_{i}" for i in blocks[-1]), *(f"{scope}/{end}" for end in scopes))
                for layer, scopes in ends
            },
        },
    )
    # Scopes of the second layer's resolution, further bottlenecks of each, and the layers after them with theirs.
    for scope, second, blocks, ends, networks in (
        (
            "MobilenetV3",
            ("Conv", "expanded_conv"),
            ((1, 2), (3, 4, 5), (6, 7, 8, 9, 10, 11), (12, 13, 14)),
            (("layer_17", ("Conv_1",)), ("layer_18", ("Conv_1",)), ("layer_19", ("Conv_1", "Conv_2"))),
            (
                ("mobilenet_v3_large", "mobilenet_v3_large_1.0_224", 5_484_313, 0.433),
                ("mobilenet_v3_large_minimalistic", "mobilenet_v3_large_minimalistic_1.0_224", 3_925_569, 0.418),
            ),
        ),
        (
            "MobilenetV3",
            ("expanded_conv",),
            ((1, 2), (3, 4, 5, 6, 7), (8, 9, 10)),
            (("layer_13", ("Conv_1",)), ("layer_14", ("Conv_1",)), ("layer_15", ("Conv_1", "Conv_2"))),
            (
                ("mobilenet_v3_small", "mobilenet_v3_small_1.0_224", 2_543_881, 0.113),
                ("mobilenet_v3_small_minimalistic", "mobilenet_v3_small_minimalistic_1.0_224", 2_045_761, 0.105),
            ),
        ),
        (
            "MobilenetEdgeTPU",
            ("Conv", "expanded_conv"),
            ((1, 2, 3, 4), (5, 6, 7, 8), (9, 10, 11, 12, 13, 14, 15, 16), (17, 18, 19, 20, 21)),
            (("layer_24", ("Conv_1",)),),
            (("mobilenet_edgetpu", None, 4_092_713, 1.981), ("mobilenet_edgetpu_075", None, 2_989_441, 1.249)),
        ),
    )
    for name, official, parameters, gflops in networks
)
