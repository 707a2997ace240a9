"""What a network is called, takes and was trained with, and how it is built; imports no TensorFlow."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Iterable

from slimft.errors import UsageError
from slimft.nets.heads import get_head


@dataclasses.dataclass(frozen=True)
class NetworkSpec:
    """A network and how it is used.

    It stands at the end of the network's file, in ``SPECS`` (see `slimft.nets.registry`).

    Attributes:
        name: its name, also the name of its function.
        module: the full name of the module with the function, its arg_scope and `arguments_for`; in that file,
            ``__name__``.
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
        self,
        images,
        num_classes: int,
        is_training: bool,
        weight_decay: float | None = None,
        head: str = "linear",
        precision: str = "float32",
        float32_variables: bool = True,
    ):
        """Builds the network under its arg_scope: a trunk, and a head on its features and end points.

        Args:
            images: float tensor ``[batch, size, size, 3]``, preprocessed; the size must be known.
            num_classes: number of classes.
            is_training: whether dropout is active and batch_norm uses the batch's statistics.
            weight_decay: factor of the L2 regularizer, in training; None for the network's own default.
            head: one of `HEADS`: what makes the logits. But for ``linear``, its variables are in the scope
                ``head`` beside the network's.
            precision: in which floats the network computes: ``float32``, ``bfloat16`` or ``float16``.
            float32_variables: whether all variables are float32; else weights are of `precision`, and not cast.

        Returns:
            The logits, float32 ``[batch, num_classes]``, and a dictionary of the layers' outputs. Where there is an
            ``AuxLogits`` ``[batch, num_classes]`` among them, they are trained too; other heads have none.

        Raises:
            UsageError: the images are too small for the network.
        """
        from slimft.compat import slim, tf
        from slimft.session import computing_in

        on_top = get_head(head)
        if not is_training:
            weight_decay = 0.0  # Nobody would add up its losses.
        decay = {} if weight_decay is None else {"weight_decay": weight_decay}
        with slim.arg_scope(self.arg_scope(**decay)), computing_in(precision, float32_variables) as dtype:
            images = tf.cast(images, dtype)
            if on_top.is_own_logits:
                logits, end_points = self._network(images, num_classes, is_training)
            else:
                features, end_points = self._network(images, None, is_training)
                logits = on_top.build(features, end_points, num_classes, images.shape, is_training)
            return tf.cast(logits, tf.float32), end_points

    def _network(self, images, num_classes, is_training):
        """The function's logits or, with None for `num_classes`, its features; and its end points."""
        arguments = self.arguments_for(images.shape.as_list()[1], is_training)
        return self.function(images, num_classes, is_training=is_training, **arguments)

    def head_scopes(self, head: str) -> tuple[str, ...]:
        """The scopes of the last layers, if `head` of `HEADS` is at the end."""
        return get_head(head).scopes(self.logits_scopes)

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
            "all": (self.scope,) if get_head(head).is_own_logits else (self.scope, *last),
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
        return importlib.import_module(self.module)


@dataclasses.dataclass(frozen=True, kw_only=True)
class UnlistedNetwork:
    """A network that can be built, though there is no checkpoint and no figure of it; so no command knows it.

    Attributes:
        module: the full name of the module with its function.
        arg_scope_name: the function in `module` that makes its arg_scope.
        scope: the variable scope of all its variables.
    """

    module: str
    arg_scope_name: str
    scope: str
