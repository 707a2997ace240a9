"""What each network is called, takes and was trained with; found by name, without TensorFlow."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
from collections.abc import Callable, Iterable

from slimft.errors import UsageError

# What can stand at a network's end: its own logits layer, or one of `slimft.nets.heads`.
HEADS = ("linear", "mlp", "bn_mlp")
# The scope of the latter, beside the network's.
HEAD_SCOPE = "head"


@dataclasses.dataclass(frozen=True)
class NetworkSpec:
    """A network and how it is used.

    Attributes:
        name: its name, also the name of its function.
        module: the module of `slimft.nets` with the function and its arg_scope.
        arg_scope_name: the function in `module` that makes the arg_scope, taking `weight_decay`.
        scope: the variable scope of all its variables.
        logits_scopes: the scopes, below none but the root, whose shape depends on the number of classes.
        preprocessing: key of `slimft.data.preprocessing.PREPROCESSING`.
        default_image_size: height and width, in pixels, it was trained at.
        min_image_size: the smallest height and width it can take.
        num_imagenet_classes: classes of its official checkpoint; 1001 where class 0 is background.
        official_checkpoint: name of the TF-Slim release with its ImageNet weights; None if there is none.
        parameters: weights, biases, gammas and betas, with `num_imagenet_classes`; without auxiliary logits.
        gflops: 10**9 floating-point operations to classify one image of the default size: two for each
            multiplication and addition of a convolution or matrix product.
        top_scopes: patterns of the last blocks before the logits: of the layers that see the image at its lowest
            resolution, and of fully connected ones.
    """

    name: str
    module: str
    arg_scope_name: str
    scope: str
    logits_scopes: tuple[str, ...]
    preprocessing: str
    default_image_size: int
    min_image_size: int
    num_imagenet_classes: int
    official_checkpoint: str | None
    parameters: int
    gflops: float
    top_scopes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return (
            f"<NetworkSpec {self.name}: {self.parameters:,} parameters, {self.gflops:g} GFLOPs at "
            f"{self.default_image_size}x{self.default_image_size} pixels, scope {self.scope}, logits in "
            f"{', '.join(self.logits_scopes)}, checkpoint {self.official_checkpoint}>"
        )

    @property
    def function(self) -> Callable:
        """The network: ``function(inputs, num_classes, is_training, ...) -> (logits, end_points)``."""
        return getattr(self._load(), self.name)

    @property
    def arg_scope(self) -> Callable:
        """Makes the network's arg_scope: ``arg_scope(weight_decay=...)``."""
        return getattr(self._load(), self.arg_scope_name)

    def build(
        self, images, num_classes: int, is_training: bool, weight_decay: float | None = None, head: str = "linear"
    ):
        """Builds the network under its arg_scope.

        Args:
            images: float tensor ``[batch, size, size, 3]``, preprocessed; the size must be known.
            num_classes: number of classes.
            is_training: whether dropout is active and batch_norm uses the batch's statistics.
            weight_decay: factor of the L2 regularizer; None for the network's own default.
            head: one of `HEADS`: what makes the logits. But for ``linear``, its variables are in the scope
                ``head`` beside the network's.

        Returns:
            The logits ``[batch, num_classes]``, and a dictionary of the layers' outputs. Where there is an
            ``AuxLogits`` ``[batch, num_classes]`` among them, they are trained too; other heads have none.

        Raises:
            UsageError: the images are too small for the network.
        """
        from slimft.compat import slim

        arguments = {} if weight_decay is None else {"weight_decay": weight_decay}
        with slim.arg_scope(self.arg_scope(**arguments)):
            arguments = {"is_training": is_training, **self.arguments_for(images.shape.as_list()[1], is_training)}
            if head == "linear":
                return self.function(images, num_classes, **arguments)
            from slimft.nets.heads import build_head

            features, end_points = self.function(images, None, **arguments)
            return build_head(features, num_classes, head, is_training), end_points

    def head_scopes(self, head: str) -> tuple[str, ...]:
        """The scopes of the last layers, if `head` of `HEADS` is at the end."""
        return self.logits_scopes if head == "linear" else (HEAD_SCOPE,)

    def expand(self, patterns: Iterable[str], head: str) -> tuple[str, ...]:
        """Replaces the words ``head``, ``top`` and ``all`` among `patterns` by scopes.

        Args:
            patterns: patterns of `slimft.filters`, and these words: the last layers; they and the last blocks;
                the whole network with its head.
            head: the one of `HEADS` at the end.

        Returns:
            The patterns in their order, each once.
        """
        last = self.head_scopes(head)
        words = {
            "head": last,
            "top": (*self.top_scopes, *last),
            "all": (self.scope,) if head == "linear" else (self.scope, *last),
        }
        expanded = [scope for pattern in patterns for scope in words.get(pattern, (pattern,))]
        return tuple(dict.fromkeys(expanded))

    def check_image_size(self, image_size: int) -> None:
        """Raises UsageError if the network cannot take images of `image_size` pixels a side."""
        if image_size < self.min_image_size:
            raise UsageError(
                f"--image_size={image_size} is too small for {self.name}, "
                f"which needs at least {self.min_image_size}"
            )

    def arguments_for(self, image_size: int, is_training: bool) -> dict:
        """What else the function needs to be told to train on, or classify, images of `image_size` pixels a side.

        Raises:
            UsageError: the network cannot take images that small.
        """
        self.check_image_size(image_size)
        return self._load().arguments_for(image_size, is_training)

    def _load(self):
        return importlib.import_module(f"slimft.nets.{self.module}")


def _vgg(name: str, official: str | None, parameters: int, gflops: float) -> NetworkSpec:
    return NetworkSpec(
        name=name, module="vgg", arg_scope_name="vgg_arg_scope", scope=name, logits_scopes=(f"{name}/fc8",),
        top_scopes=(f"{name}/conv5", f"{name}/fc6", f"{name}/fc7"), preprocessing="mean_subtraction",
        default_image_size=224, min_image_size=32, num_imagenet_classes=1000, official_checkpoint=official,
        parameters=parameters, gflops=gflops,
    )  # fmt: skip


def _resnet_v1(name: str, parameters: int, gflops: float) -> NetworkSpec:
    return NetworkSpec(
        name=name, module="resnet_v1", arg_scope_name="resnet_arg_scope", scope=name,
        logits_scopes=(f"{name}/logits",), top_scopes=(f"{name}/block4",), preprocessing="mean_subtraction",
        default_image_size=224, min_image_size=32, num_imagenet_classes=1000, official_checkpoint=name,
        parameters=parameters, gflops=gflops,
    )  # fmt: skip


def _resnet_v2(name: str, parameters: int, gflops: float) -> NetworkSpec:
    # 299: "ResNet V2 models use Inception pre-processing and input image size of 299" (research/slim/README.md).
    return NetworkSpec(
        name=name, module="resnet_v2", arg_scope_name="resnet_arg_scope", scope=name,
        logits_scopes=(f"{name}/logits",), top_scopes=(f"{name}/block4", f"{name}/postnorm"),
        preprocessing="inception", default_image_size=299, min_image_size=32, num_imagenet_classes=1001,
        official_checkpoint=name, parameters=parameters, gflops=gflops,
    )  # fmt: skip


def _mobilenet(name: str, version: int, official: str, parameters: int, gflops: float) -> NetworkSpec:
    scope = f"MobilenetV{version}"
    top = {
        1: ("Conv2d_12_*", "Conv2d_13_*"),
        2: ("expanded_conv_13", "expanded_conv_14", "expanded_conv_15", "expanded_conv_16", "Conv_1"),
    }
    return NetworkSpec(
        name=name, module=f"mobilenet_v{version}",
        arg_scope_name="mobilenet_v1_arg_scope" if version == 1 else "training_scope", scope=scope,
        logits_scopes=(f"{scope}/Logits",), top_scopes=tuple(f"{scope}/{last}" for last in top[version]),
        preprocessing="inception", default_image_size=224, min_image_size=32, num_imagenet_classes=1001,
        official_checkpoint=official, parameters=parameters, gflops=gflops,
    )  # fmt: skip


def _densenet(layers: int, parameters: int, gflops: float) -> NetworkSpec:
    scope = f"densenet{layers}"
    return NetworkSpec(
        name=f"densenet_{layers}", module="densenet", arg_scope_name="densenet_arg_scope", scope=scope,
        logits_scopes=(f"{scope}/logits",), top_scopes=(f"{scope}/dense_block4", f"{scope}/final_block"),
        preprocessing="densenet", default_image_size=224, min_image_size=32, num_imagenet_classes=1000,
        official_checkpoint=None, parameters=parameters, gflops=gflops,
    )  # fmt: skip


_SPECS = {
    spec.name: spec
    for spec in (
        NetworkSpec(
            name="alexnet_v2", module="alexnet", arg_scope_name="alexnet_v2_arg_scope", scope="alexnet_v2",
            logits_scopes=("alexnet_v2/fc8",),
            top_scopes=("alexnet_v2/conv5", "alexnet_v2/fc6", "alexnet_v2/fc7"),
            preprocessing="mean_subtraction", default_image_size=224, min_image_size=195,
            num_imagenet_classes=1000, official_checkpoint=None, parameters=50_303_912, gflops=1.473,
        ),
        _vgg("vgg_a", None, 132_863_336, 15.218),
        _vgg("vgg_16", "vgg_16", 138_357_544, 30.941),
        _vgg("vgg_19", "vgg_19", 143_667_240, 39.264),
        _vgg("vgg_postech", None, 148_534_440, 47.588),
        _resnet_v1("resnet_v1_50", 25_557_032, 6.965),
        _resnet_v1("resnet_v1_101", 44_549_160, 14.389),
        _resnet_v1("resnet_v1_152", 60_192_808, 21.813),
        _resnet_v2("resnet_v2_50", 25_570_409, 13.072),
        _resnet_v2("resnet_v2_101", 44_579_945, 26.747),
        _resnet_v2("resnet_v2_152", 60_238_953, 40.422),
        NetworkSpec(
            name="inception_v1", module="inception_v1", arg_scope_name="inception_v1_arg_scope",
            scope="InceptionV1", logits_scopes=("InceptionV1/Logits",),
            top_scopes=("InceptionV1/Mixed_5b", "InceptionV1/Mixed_5c"), preprocessing="inception",
            default_image_size=224, min_image_size=32, num_imagenet_classes=1001,
            official_checkpoint="inception_v1", parameters=6_618_649, gflops=2.997,
        ),
        NetworkSpec(
            name="inception_v3", module="inception_v3", arg_scope_name="inception_v3_arg_scope",
            scope="InceptionV3", logits_scopes=("InceptionV3/Logits", "InceptionV3/AuxLogits"),
            top_scopes=("InceptionV3/Mixed_7a", "InceptionV3/Mixed_7b", "InceptionV3/Mixed_7c"),
            preprocessing="inception", default_image_size=299, min_image_size=75, num_imagenet_classes=1001,
            official_checkpoint="inception_v3", parameters=23_819_401, gflops=11.426,
        ),
        _mobilenet("mobilenet_v1", 1, "mobilenet_v1_1.0_224", 4_233_001, 1.138),
        _mobilenet("mobilenet_v1_075", 1, "mobilenet_v1_0.75_224", 2_586_329, 0.651),
        _mobilenet("mobilenet_v1_050", 1, "mobilenet_v1_0.5_224", 1_332_105, 0.299),
        _mobilenet("mobilenet_v1_025", 1, "mobilenet_v1_0.25_224", 470_329, 0.082),
        _mobilenet("mobilenet_v2", 2, "mobilenet_v2_1.0_224", 3_506_153, 0.602),
        _mobilenet("mobilenet_v2_140", 2, "mobilenet_v2_1.4_224", 6_110_569, 1.164),
        _densenet(121, 7_978_856, 5.668),
        _densenet(169, 14_149_480, 6.720),
    )
}  # fmt: skip

# Of networks that can be built with slimft.nets, though the registry has no checkpoint or figures of them.
_OTHER_ARG_SCOPES = {
    "InceptionV2": "inception.inception_v2_arg_scope()",
    "resnet_v1_200": "resnet_v1.resnet_arg_scope()",
    "resnet_v2_200": "resnet_v2.resnet_arg_scope()",
    "densenet161": "densenet.densenet_arg_scope()",
}


def network_names() -> list[str]:
    """The names `get_network` knows."""
    return list(_SPECS)


def arg_scope_call(variables: Iterable[str]) -> str | None:
    """What makes the arg_scope of the network that `variables` are of: ``mobilenet_v1.mobilenet_v1_arg_scope()``.

    Args:
        variables: names with the network's scope among their parts, where the first that has one counts.

    Returns:
        The call, as one writes it after ``from slimft.nets import mobilenet_v1``; None for other networks.
    """
    calls = {spec.scope: f"{spec.module}.{spec.arg_scope_name}()" for spec in _SPECS.values()}
    calls |= _OTHER_ARG_SCOPES
    return next((calls[part] for name in variables for part in name.split("/") if part in calls), None)


def get_network(name: str) -> NetworkSpec:
    """Returns the network called `name`.

    Raises:
        UsageError: there is none of that name; suggests one.

    >>> get_network("vgg_16").logits_scopes
    ('vgg_16/fc8',)
    >>> get_network("resnet_50")
    Traceback (most recent call last):
    slimft.errors.UsageError: --model=resnet_50: there is no such network; did you mean resnet_v2_50?
    """
    if name in _SPECS:
        return _SPECS[name]
    close = difflib.get_close_matches(name, _SPECS, n=1)
    hint = f"did you mean {close[0]}?" if close else f"choose one of {', '.join(_SPECS)}"
    raise UsageError(f"--model={name}: there is no such network; {hint}")
