"""What an exported network takes and gives, for its card."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Signature:
    """Inputs and outputs, each a name with a type and a shape such as ``float32 [batch, 224, 224, 3]``."""

    inputs: Mapping[str, str]
    outputs: Mapping[str, str]

    @classmethod
    def of(cls, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> Signature:
        """That of tensors."""
        return cls(*({name: _described(tensor) for name, tensor in named.items()} for named in (inputs, outputs)))


_AXES = ("batch", "height", "width")


def _described(tensor: Any) -> str:
    sides = tensor.shape.as_list()
    shown = [str(side) if side is not None else _AXES[axis] for axis, side in enumerate(sides)]
    return f"{tensor.dtype.name} [{', '.join(shown)}]"
