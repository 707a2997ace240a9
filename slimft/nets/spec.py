"""What a network is called, takes and was trained with, and how it is built; imports no TensorFlow."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
from collections.abc import Callable, Iterable, Mapping

from slimft.errors import UsageError
from slimft.nets.heads import HEADS, get_head

# What a command may set of a network's function, and which networks have it.
_OPTIONS = {
    "fc_width": "fcn_32s, fcn_16s and fcn_8s",
    "output_stride": "fcn_resnet_v1_50",
    "learn_upsampling": "the networks whose names begin with fcn",
    "final_endpoint": "VGG, ResNet, Inception, MobileNet, and NASNet for ImageNet",
}


@dataclasses.dataclass(frozen=True)
class NetworkSpec:
    """A network and how it is used.

    It stands at the end of the network's file, in ``SPECS`` (see `slimft.nets.registry`).

    Attributes:
        name: its name, also the name of its function where `function_name` is None.
        module: the full name of the module with the function, its arg_scope and, where an image's size needs to be
            told, `arguments_for`; in that file, ``__name__``.
        arg_scope_name: the function in `module` that makes the arg_scope, taking `weight_decay`.
        scope: the variable scope of all its variables; empty if they have none in common.
        logits_scopes: the scopes, below none but the root, whose shape depends on the number of classes; the
            weights in the first have that number as their last dimension.
        preprocessing: key of `slimft.data.preprocessing.PREPROCESSING`.
        default_image_size: height and width, in pixels, it was trained at; for segmentation, those that its
            `gflops` are of.
        min_image_size: the smallest height and width it can take.
        num_imagenet_classes: classes of its official checkpoint, 1001 where class 0 is background; of a network
            for other images than ImageNet's, and for segmentation, classes of the data that it was published on.
        official_checkpoint: name of the TF-Slim release with its ImageNet weights, or with those of what it begins
            as (an FCN: all that is below the scores); None if there is none.
        parameters: weights, biases, gammas and betas, with `num_imagenet_classes`; without auxiliary logits.
        gflops: 10**9 floating-point operations for one image of the default size: two for each multiplication and
            addition of a convolution or matrix product.
        top_scopes: patterns of the last blocks before the logits: of the layers that see the image at its lowest
            resolution, and of fully connected ones.
        task: what its own logits are for: ``classification`` or ``segmentation``.
        options: keywords of its function that a command may set, of ``fc_width``, ``output_stride``,
            ``learn_upsampling`` and ``final_endpoint``.
        upsampling_scopes: those of `logits_scopes` with nothing but filters that enlarge scores, which train with
            ``learn_upsampling`` only.
        final_endpoints: for each end point that it can end with by ``final_endpoint``, in their order: what
            `top_scopes` are then.
        channels: of the images that the network gets, which is what `preprocessing` makes of RGB: 1 for grey.
        is_of_one_size: whether shapes of variables, but the logits', depend on the images' size, so that a
            checkpoint is of one size: then no data suggests another than the default.
        function_name: the name of its function in `module`; None for `name`.
        outer_scopes: where `scope` is empty, the outermost scopes of its variables.
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
    task: str = "classification"
    options: tuple[str, ...] = ()
    upsampling_scopes: tuple[str, ...] = ()
    final_endpoints: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict, hash=False)
    channels: int = 3
    is_of_one_size: bool = False
    function_name: str | None = None
    outer_scopes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return (
            f"<NetworkSpec {self.name}: {self.parameters:,} parameters, {self.gflops:g} GFLOPs at "
            f"{self.default_image_size}x{self.default_image_size} pixels, scope {self.scope or 'none'}, logits in "
            f"{', '.join(self.logits_scopes)}, checkpoint {self.official_checkpoint}>"
        )

    @property
    def function(self) -> Callable:
        """The network: ``function(inputs, num_classes, is_training, ...) -> (logits, end_points)``."""
        return getattr(self._load(), self.function_name or self.name)

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
        options: Mapping[str, object] | None = None,
    ):
        """Builds the network under its arg_scope: a trunk, and a head on its features and end points.

        Args:
            images: float tensor ``[batch, size, size, channels]``, preprocessed, whose size must be known; for
                segmentation ``[batch, height, width, channels]`` of any size, known or unknown.
            num_classes: number of classes.
            is_training: whether dropout is active and batch_norm uses the batch's statistics.
            weight_decay: factor of the L2 regularizer, in training; None for the network's own default.
            head: one of `HEADS`: what makes the logits. But for ``linear``, its variables are in the scope
                ``head`` beside the network's.
            precision: in which floats the network computes: ``float32``, ``bfloat16`` or ``float16``.
            float32_variables: whether all variables are float32; else weights are of `precision`, and not cast.
            options: keywords of the function, of those in the attribute `options`; None as a value stands for the
                function's default.

        Returns:
            The logits, float32 ``[batch, num_classes]``, for segmentation ``[batch, height, width, num_classes]``;
            and a dictionary of the layers' outputs. Where there is an ``AuxLogits`` ``[batch, num_classes]`` among
            them, they are trained too; other heads have none.

        Raises:
            UsageError: the images are too small for the network, or it has no such option or end point, or takes no
                such head.
        """
        from slimft.compat import slim, tf
        from slimft.session import computing_in

        on_top, told = get_head(head), self.check_options(options)
        self.check_head(head, told)
        if not is_training:
            weight_decay = 0.0  # Nobody would add up its losses.
        decay = {} if weight_decay is None else {"weight_decay": weight_decay}
        with slim.arg_scope(self.arg_scope(**decay)), computing_in(precision, float32_variables) as dtype:
            images = tf.cast(images, dtype)
            if on_top.is_own_logits:
                logits, end_points = self._network(images, num_classes, is_training, told)
            else:
                features, end_points = self._network(images, None, is_training, told)
                logits = on_top.build(features, end_points, num_classes, images.shape, is_training)
            return tf.cast(logits, tf.float32), end_points

    def _network(self, images, num_classes, is_training, options):
        """The function's logits or, with None for `num_classes`, its features; and its end points."""
        size = images.shape.as_list()[1]
        if self.task == "segmentation":
            size = min((side for side in images.shape.as_list()[1:3] if side is not None), default=None)
        arguments = self.arguments_for(size, is_training)
        return self.function(images, num_classes, is_training=is_training, **arguments, **options)

    def task_of(self, head: str) -> str:
        """What the outputs are for, if `head` of `HEADS` is at the end."""
        on_top = get_head(head)
        return self.task if on_top.is_own_logits else on_top.task

    def check_head(self, head: str, options: Mapping[str, object] | None = None) -> None:
        """Raises UsageError if `head` of `HEADS` cannot be at the network's end, as `options` have it."""
        end = self._final_endpoint(options)
        if end is not None and get_head(head).is_own_logits:
            own = self.logits_scopes[0].removeprefix(f"{self.scope}/")
            others = " or ".join(name for name in HEADS if not get_head(name).is_own_logits)
            raise UsageError(f"--final_endpoint={end} leaves out {own}: name --head={others}")
        if self.task == "segmentation" and not get_head(head).is_own_logits:
            raise UsageError(
                f"--head={head} is for whole images, and {self.name} has scores for every pixel; leave out --head"
            )

    def check_options(self, options: Mapping[str, object] | None) -> dict[str, object]:
        """Returns those of `options` whose value is not None.

        Raises:
            UsageError: one of them is none of the network's, or it has no such end point.
        """
        given = {name: value for name, value in (options or {}).items() if value is not None}
        for name in given:
            if name not in self.options:
                told = f"; it is for {_OPTIONS[name]}" if name in _OPTIONS else ""
                raise UsageError(f"--{name}: {self.name} has no such option{told}")
        self._final_endpoint(given)
        return given

    def _final_endpoint(self, options: Mapping[str, object] | None) -> str | None:
        """The end point that `options` let it end with; None for the whole network.

        Raises:
            UsageError: it cannot end there.
        """
        end = (options or {}).get("final_endpoint")
        if end is None or end in self.final_endpoints:
            return end
        if not self.final_endpoints:
            raise UsageError(
                f"--final_endpoint={end}: {self.name} has no such option; it is for {_OPTIONS['final_endpoint']}"
            )
        name = str(end).removeprefix(f"{self.scope}/")  # So end points are called in dictionaries.
        close = difflib.get_close_matches(name, self.final_endpoints, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise UsageError(
            f"--final_endpoint={end}: {self.name} has no such end point; {hint}There are "
            f"{', '.join(self.final_endpoints)}"
        )

    def head_scopes(self, head: str) -> tuple[str, ...]:
        """The scopes of the last layers, if `head` of `HEADS` is at the end."""
        return get_head(head).scopes(self.logits_scopes)

    def expand(
        self, patterns: Iterable[str], head: str, options: Mapping[str, object] | None = None
    ) -> tuple[str, ...]:
        """Replaces the words ``head``, ``top`` and ``all`` among `patterns` by scopes.

        Args:
            patterns: patterns of `slimft.filters`, and these words: the last layers; they and the last blocks;
                the whole network with its head.
            head: the one of `HEADS` at the end.
            options: those of the network; without ``learn_upsampling`` its filters are no last layers that train,
                with ``final_endpoint`` the last blocks are those below it.

        Returns:
            The patterns in their order, each once.

        Raises:
            UsageError: the network cannot end with that ``final_endpoint``.
        """
        end = self._final_endpoint(options)
        last = self.head_scopes(head)
        if not (options or {}).get("learn_upsampling"):
            last = tuple(scope for scope in last if scope not in self.upsampling_scopes)
        words = {
            "head": last,
            "top": (*(self.top_scopes if end is None else self.final_endpoints[end]), *last),
            # Without a common scope: everything that there is, which may be less than `outer_scopes`.
            "all": (self.scope, *(() if get_head(head).is_own_logits else last)) if self.scope else ("*",),
        }
        expanded = [scope for pattern in patterns for scope in words.get(pattern, (pattern,))]
        return tuple(dict.fromkeys(expanded))

    def suggested_size(self, of_data: int | None) -> int | None:
        """The height and width to give it of images for which the data suggests `of_data`; None for its default."""
        return None if of_data is None or self.is_of_one_size else max(self.min_image_size, of_data)

    def has(self, variable: str) -> bool:
        """Whether a variable of that name is in its scopes."""
        return variable.partition("/")[0] in (self.outer_scopes or (self.scope,))

    def check_image_size(self, image_size: int) -> None:
        """Raises UsageError if the network cannot take images of `image_size` pixels a side."""
        if image_size < self.min_image_size:
            raise UsageError(
                f"--image_size={image_size} is too small for {self.name}, "
                f"which needs at least {self.min_image_size}"
            )

    def arguments_for(self, image_size: int | None, is_training: bool) -> dict:
        """What else the function needs to be told to train on, or classify, images of `image_size` pixels a side.

        Args:
            image_size: height and width in pixels; for segmentation the smaller of the two, None if it is unknown.
            is_training: whether dropout is active and batch_norm uses the batch's statistics.

        Raises:
            UsageError: the network cannot take images that small.
        """
        if image_size is not None:
            self.check_image_size(image_size)
        told = getattr(self._load(), "arguments_for", None)
        return told(image_size, is_training) if told else {}

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
