"""What the tests know of a network."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence


@dataclasses.dataclass(frozen=True)
class Counts:
    """How many members the collections of a training graph have, with batch normalization's update ops."""

    model_variables: int
    trainable_variables: int
    regularization_losses: int
    update_ops: int


@dataclasses.dataclass(frozen=True)
class TfSlim:
    """What tf-slim's own network, in the module of the same name, is compared in.

    Attributes:
        logits_at: pairs of an image size and whether to train, at which logits are compared.
        within: how close they are, as a share of the largest.
        any_size: whether to compare the graphs for images of unknown size: for known ones ours has other ops.
        adapt: ``adapt(ours, theirs, scope)`` takes out of two dictionaries of NodeDefs by name what differs with
            reason; None where nothing does.
    """

    logits_at: Sequence[tuple[int, bool]] = ()
    within: float = 1e-5
    any_size: bool = False
    adapt: Callable | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """A network and what is known of it from papers, research/slim, Keras Applications and torchvision.

    Attributes:
        name: its name in the registry.
        module: the module of slimft.nets with its function.
        function: the function's name in `module`; by default `name`.
        task: what its logits are for: ``classification``, with a row for an image, or ``segmentation``, with one
            for each pixel.
        arg_scope: the name of the function that makes its arg_scope.
        scope: its variable scope; by default its name, empty if its variables have none in common.
        image_size, classes: of its official checkpoint, by research/slim/README.md; for segmentation, those that
            its figures are of.
        function_size: `default_image_size` of its function, in research/slim; by default `image_size`.
        signature: of its function, as in research/slim, if it is there; functions stand by their names.
        counts: the collections of the graph with `classes` at `image_size`, as the function builds it by default.
        variables: shapes by name, where they are not those of its official checkpoint but of another list.
        trainable: parameters with 1000 classes, or `classes` for segmentation, without auxiliary logits, as others
            publish them.
        total: likewise all variables, with moving averages; None where nobody does.
        logits: scopes, below `scope`, of the layers with weights and biases of as many outputs as classes.
        enlargements: scopes, below `scope`, of the transposed convolutions that enlarge scores.
        end_points: all keys, in order; None where only tf-slim's tell.
        shapes: of end points at `image_size`, without the batch.
        ops: names of end points' ops.
        features, channels: the end point that is the result without classes for the smallest images, None if it is
            none; and its number of channels.
        sizes: further image sizes at which there is one row of logits.
        tf_slim: how it is compared with tf-slim's own; None where that has no such network or an older one.
        research_slim: what `test_graphs.layers_digest` makes of research/slim's own graph for one image of
            `image_size`, built under `slimft.compat` and its arg_scope as it is by default; None where it was not.
        keras: whether tests/nets/keras_logits.py knows it; its logits are then compared at the first of
            `tf_slim.logits_at`.
        slow: what of it is tested with ``-m slow`` only, because it takes long and a smaller network of its family
            is tested always: ``graphs`` (test_graphs.py), ``tf_slim`` (its comparison with tf-slim's graph there),
            ``ends`` (test_ends.py), ``logits`` (test_logits.py) or ``final_endpoints`` (test_final_endpoints.py).
    """

    name: str
    module: str
    function: str | None = None
    task: str = "classification"
    arg_scope: str
    scope: str | None = None
    image_size: int = 224
    classes: int = 1000
    function_size: int | None = None
    signature: str
    counts: Counts
    variables: Mapping[str, Sequence[int]] | None = None
    trainable: int
    total: int | None = None
    logits: tuple[str, ...]
    enlargements: tuple[str, ...] = ()
    end_points: tuple[str, ...] | None = None
    shapes: Mapping[str, Sequence[int]] = dataclasses.field(default_factory=dict)
    ops: Mapping[str, str] = dataclasses.field(default_factory=dict)
    features: str | None
    channels: int
    sizes: tuple[int, ...] = ()
    tf_slim: TfSlim | None = None
    research_slim: str | None = None
    keras: bool = False
    slow: tuple[str, ...] = ()

    def __post_init__(self):
        object.__setattr__(self, "function", self.function or self.name)
        object.__setattr__(self, "scope", self.name if self.scope is None else self.scope)

    def __repr__(self):
        return self.name

    def below_scope(self, name):
        """The whole name of a variable or scope below `scope`."""
        return f"{self.scope}/{name}" if self.scope else name

    @property
    def classifies(self):
        return self.task == "classification"


class _Name:
    """Shows itself as a name."""

    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return self.name


def signature_of(function):
    """The signature of `function` as text, with the functions that are defaults by their names."""
    signature = inspect.signature(function)
    return str(
        signature.replace(
            parameters=[
                parameter.replace(default=_Name(parameter.default.__name__))
                if inspect.isfunction(parameter.default)
                else parameter
                for parameter in signature.parameters.values()
            ]
        )
    )


def only(wanted):
    """Marks a test that is for those networks alone for whose entry ``wanted(entry)`` is true."""

    def mark(test):
        test.wanted = wanted
        return test

    return mark
