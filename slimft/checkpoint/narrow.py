"""VGG-16's fully connected layers with fewer filters, as DeepLab begins with them (arXiv:1412.7062)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from slimft.checkpoint.base import Checkpoint, Listing


def narrowed(checkpoint: Checkpoint, fc_width: int, scope: str = "vgg_16") -> Checkpoint:
    """Shows ``fc6`` and ``fc7`` of a checkpoint with every k-th filter, so that there are `fc_width` of each.

    The first filter is kept, and of what fc7, and the scores of an FCN, take in only what is then put out. All
    other variables, moving averages and the slots of optimizers among them, are as they are.

    Args:
        checkpoint: one with ``fc6/weights`` ``[rows, columns, channels, width]`` and ``fc7/weights``
            ``[1, 1, width, width]``, and the biases of both, below `scope`.
        fc_width: number of filters that are kept, at least 1.
        scope: where the layers are, without a slash at the end.

    Returns:
        A view in which the variables' shapes are known without reading; the checkpoint itself if it lacks one of
        the variables or has one of another shape, if it has `fc_width` filters, or if that is no divisor of what it
        has.
    """
    names = {**{name: name for name in checkpoint}, **checkpoint.aliases()}
    layers = [f"{scope}/{layer}/{kind}" for layer in ("fc6", "fc7") for kind in ("weights", "biases")]
    if not all(layer in names for layer in layers):
        return checkpoint
    kernel_6, biases_6, kernel_7, biases_7 = (names[layer] for layer in layers)
    shape = checkpoint.shape(kernel_6)
    width = shape[-1] if len(shape) == 4 else 0
    others = [checkpoint.shape(name) for name in (biases_6, kernel_7, biases_7)]
    if others != [(width,), (1, 1, width, width), (width,)] or width <= fc_width or width % fc_width:
        return checkpoint
    kept = slice(None, None, width // fc_width)
    slices = {kernel_6: (..., kept), biases_6: (kept,), kernel_7: (..., kept, kept), biases_7: (kept,)}
    sizes = {
        kernel_6: (*shape[:3], fc_width),
        biases_6: (fc_width,),
        kernel_7: (1, 1, fc_width, fc_width),
        biases_7: (fc_width,),
    }
    # What an FCN makes of them.
    scores = names.get(f"{scope}/score_fr/weights")
    if scores is not None and checkpoint.shape(scores)[:3] == (1, 1, width):
        slices[scores] = (..., kept, slice(None))
        sizes[scores] = (1, 1, fc_width, checkpoint.shape(scores)[3])
    return _Narrowed(checkpoint, slices, sizes)


class _Narrowed(Checkpoint):
    """Another checkpoint, of some variables a part only; they are read when asked for.

    Args:
        source: the other checkpoint.
        slices: what to keep of a variable, by its name there.
        shapes: the shape of that.
    """

    def __init__(self, source: Checkpoint, slices: Mapping[str, tuple], shapes: Mapping[str, tuple[int, ...]]):
        self.path, self.format = source.path, source.format
        self._source, self._slices = source, dict(slices)
        self._variables = {name: (shapes.get(name, source.shape(name)), source.dtype(name)) for name in source}

    def _shapes_and_dtypes(self) -> Listing:
        return self._variables

    def aliases(self) -> Mapping[str, str]:
        return self._source.aliases()

    def is_mapped(self, name: str) -> bool:
        return name not in self._slices and self._source.is_mapped(name)

    def _read(self, name: str) -> np.ndarray:
        array = self._source[name]
        # A copy, as the rest of the array is to go.
        return array[self._slices[name]].copy() if name in self._slices else array
