"""What can stand at a network's end: its own logits layer, or a head that takes its place.

A head is a function of a module beside this one, ``head(features, end_points, num_classes, image_shape,
is_training) -> logits``:

- features: what the network returns without `num_classes`, float ``[batch, rows, columns, channels]``; of one that
  returns rows, ``[batch, 1, 1, channels]``;
- end_points: a dictionary of the layers' outputs by name;
- num_classes: number of classes;
- image_shape: static shape of the images, ``[batch, height, width, channels]``;
- is_training: whether dropout is active and batch_norm uses the batch's statistics.

It is called within the network's arg_scope and within the variable scope ``head``. To add one, write the function
and add it to `_HEADS`. Importing this module imports no TensorFlow; building a head does.
"""

from __future__ import annotations

import dataclasses
import importlib

# The scope of a head's variables, beside the network's.
HEAD_SCOPE = "head"


@dataclasses.dataclass(frozen=True)
class Head:
    """A head and what it is for.

    Attributes:
        name: its name, for `--head`; also that of its function.
        module: the full name of the module with the function; None for the network's own logits layer.
        task: what the logits are for.
    """

    name: str
    module: str | None
    task: str = "classification"

    @property
    def is_own_logits(self) -> bool:
        """Whether it is the layer that the network's function adds by itself when it is given `num_classes`."""
        return self.module is None

    def scopes(self, logits_scopes: tuple[str, ...]) -> tuple[str, ...]:
        """The scopes of its variables on a network whose own logits are in `logits_scopes`."""
        return logits_scopes if self.is_own_logits else (HEAD_SCOPE,)

    def build(self, features, end_points, num_classes: int, image_shape, is_training: bool):
        """Adds the head to a network without its own logits; arguments and result as this module's docstring says.

        Raises:
            ValueError: the network adds this one itself.
        """
        from slimft.compat import tf

        if self.is_own_logits:
            raise ValueError(f"{self.name}: the network's function builds it, when it is given num_classes")
        function = getattr(importlib.import_module(self.module), self.name)
        if features.shape.ndims == 2:
            features = features[:, tf.newaxis, tf.newaxis]
        with tf.variable_scope(HEAD_SCOPE):
            return function(features, end_points, num_classes, image_shape, is_training)


_HEADS = {
    head.name: head
    for head in (
        Head("linear", module=None),
        Head("mlp", module="slimft.nets.dense_heads"),
        Head("bn_mlp", module="slimft.nets.dense_heads"),
    )
}
HEADS = tuple(_HEADS)


def get_head(name: str) -> Head:
    """Returns the head called `name`.

    Raises:
        ValueError: there is none of that name.
    """
    if name not in _HEADS:
        raise ValueError(f"there is no head {name!r}; choose one of {', '.join(HEADS)}")
    return _HEADS[name]
