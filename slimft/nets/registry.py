"""What each network is called, takes and was trained with; found by name, without TensorFlow."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
from collections.abc import Callable

from slimft.errors import UsageError


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
        official_checkpoint: name of the TF-Slim release with its ImageNet weights.
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

    @property
    def function(self) -> Callable:
        """The network: ``function(inputs, num_classes, is_training, ...) -> (logits, end_points)``."""
        return getattr(self._load(), self.name)

    @property
    def arg_scope(self) -> Callable:
        """Makes the network's arg_scope: ``arg_scope(weight_decay=...)``."""
        return getattr(self._load(), self.arg_scope_name)

    def build(self, images, num_classes: int, is_training: bool, weight_decay: float | None = None):
        """Builds the network under its arg_scope and returns its logits ``[batch, num_classes]``.

        Args:
            images: float tensor ``[batch, size, size, 3]``, preprocessed; the size must be known.
            num_classes: number of classes.
            is_training: whether dropout is active and batch_norm uses the batch's statistics.
            weight_decay: factor of the L2 regularizer; None for the network's own default.

        Raises:
            UsageError: the images are too small for the network.
        """
        from slimft.compat import slim

        arguments = {} if weight_decay is None else {"weight_decay": weight_decay}
        with slim.arg_scope(self.arg_scope(**arguments)):
            logits, _ = self.function(
                images, num_classes, is_training=is_training, **self.arguments_for(images.shape.as_list()[1])
            )
        return logits

    def check_image_size(self, image_size: int) -> None:
        """Raises UsageError if the network cannot take images of `image_size` pixels a side."""
        if image_size < self.min_image_size:
            raise UsageError(
                f"--image_size={image_size} is too small for {self.name}, "
                f"which needs at least {self.min_image_size}"
            )

    def arguments_for(self, image_size: int) -> dict:
        """What the function needs to be told to classify images of `image_size` pixels a side.

        Raises:
            UsageError: the network cannot take images that small.
        """
        self.check_image_size(image_size)
        return self._load().arguments_for(image_size)

    def _load(self):
        return importlib.import_module(f"slimft.nets.{self.module}")


def _vgg(name: str, official: str | None) -> NetworkSpec:
    return NetworkSpec(
        name=name, module="vgg", arg_scope_name="vgg_arg_scope", scope=name, logits_scopes=(f"{name}/fc8",),
        preprocessing="mean_subtraction", default_image_size=224, min_image_size=32,
        num_imagenet_classes=1000, official_checkpoint=official,
    )  # fmt: skip


def _resnet_v1(name: str) -> NetworkSpec:
    return NetworkSpec(
        name=name, module="resnet_v1", arg_scope_name="resnet_arg_scope", scope=name,
        logits_scopes=(f"{name}/logits",), preprocessing="mean_subtraction", default_image_size=224,
        min_image_size=32, num_imagenet_classes=1000, official_checkpoint=name,
    )  # fmt: skip


_SPECS = {
    spec.name: spec
    for spec in (
        _vgg("vgg_a", None),
        _vgg("vgg_16", "vgg_16"),
        _vgg("vgg_19", "vgg_19"),
        _resnet_v1("resnet_v1_50"),
        _resnet_v1("resnet_v1_101"),
        _resnet_v1("resnet_v1_152"),
    )
}


def network_names() -> list[str]:
    """The names `get_network` knows."""
    return list(_SPECS)


def get_network(name: str) -> NetworkSpec:
    """Returns the network called `name`.

    Raises:
        UsageError: there is none of that name; suggests one.
    """
    if name in _SPECS:
        return _SPECS[name]
    close = difflib.get_close_matches(name, _SPECS, n=1)
    hint = f"did you mean {close[0]}?" if close else f"choose one of {', '.join(_SPECS)}"
    raise UsageError(f"--model={name}: there is no such network; {hint}")
