"""A checkpoint of TF-Slim's variables, made of another library's weights as they are asked for."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from slimft.checkpoint import Checkpoint
from slimft.checkpoint.view import cast
from slimft.conversion.layers import Layer, Weights
from slimft.conversion.recipes import Mismatch, Recipe, recipes_of
from slimft.conversion.source import Entries, SourceLayers
from slimft.wire.binary_file import aligned_buffer

# What Keras calls layers that are put on top of a network without its own, for another task.
_HEAD = re.compile(r"(dense|batch_normalization)(_\d+)?")
_DTYPE = np.dtype(np.float32)  # Of all of TF-Slim's variables.


class ConvertedCheckpoint(Checkpoint):
    """TF-Slim's variables, each made of entries of another checkpoint when asked for.

    Args:
        source: the other checkpoint.
        recipes: how to make each variable.
        notes: sentences about what is left out.
    """

    def __init__(self, source: Checkpoint, recipes: Mapping[str, Recipe], notes: Sequence[str]):
        self.path, self.format, self.notes = source.path, source.format, tuple(notes)
        self._source, self.recipes = source, dict(recipes)
        self._variables = {name: (recipe.shape, _DTYPE) for name, recipe in self.recipes.items()}

    def _shapes_and_dtypes(self):
        return self._variables

    def _read(self, name: str) -> np.ndarray:
        recipe = self.recipes[name]
        array = recipe.make(*(self._source[entry] for entry in recipe.sources))
        if array.dtype == _DTYPE and array.flags.c_contiguous:
            return array
        if array.dtype == _DTYPE:  # Transposed or reversed: copied to where it may stay.
            ordered = aligned_buffer(array.nbytes).view(_DTYPE).reshape(array.shape)
            ordered[...] = array
            return ordered
        return cast(np.ascontiguousarray(array), _DTYPE)


def fit(source: Checkpoint, found: SourceLayers, weights: Weights) -> ConvertedCheckpoint:
    """Makes TF-Slim's variables of a file's layers; reads nothing.

    Raises:
        Mismatch: they are not the layers that `weights` tells of, or more.
    """
    entries = _by_name(found, weights)
    layers = list(weights.layers)
    while layers and len(weights.layers) - len(layers) < weights.top and not _names(layers[-1]) & entries.keys():
        layers.pop()
    recipes: dict[str, Recipe] = {}
    auxiliary = weights.auxiliary if any(_names(layer) & entries.keys() for layer in weights.auxiliary) else ()
    for layer in (*layers, *auxiliary):
        recipes |= recipes_of(layer, entries, source, weights)
    used = {entry for recipe in recipes.values() for entry in recipe.sources}
    headless, head = len(weights.layers) - len(layers) == weights.top, []
    for layer, parts in entries.items():
        unused = [part for part, entry in parts.items() if entry not in used]
        if headless and _HEAD.fullmatch(layer) and len(unused) == len(parts):
            head.append(layer)
        elif unused and not layer.startswith(weights.unused):
            whole = "the layer" if len(unused) == len(parts) else f"{unused[0]} of the layer"
            raise Mismatch(f"it has {whole} {layer}, which the network has not")
    notes = _notes(weights, layers, auxiliary, entries)
    if head:
        notes.append(f"{', '.join(head)} left out: on top of the network")
    return ConvertedCheckpoint(source, recipes, notes)


def _names(layer: Layer) -> set[str]:
    return {name for name in (layer.convolution, layer.batch_norm) if name}


def _by_name(found: SourceLayers, weights: Weights) -> dict[str, Entries]:
    """Each layer's entries by the layer's name in `weights`, also where the file only numbers its layers."""
    entries, numbered, counts = dict(found.named), dict(found.numbered), Counter()
    for layer in weights.layers if numbered else ():
        for name, kind in ((layer.convolution, layer.kind), (layer.batch_norm, "batch_normalization")):
            if name is not None:
                of_layer = numbered.pop((kind, counts[kind]), None)
                if of_layer is not None:
                    entries[name] = of_layer
                counts[kind] += 1
    return entries | {f"{kind} number {number}": of_layer for (kind, number), of_layer in numbered.items()}


def _notes(
    weights: Weights, layers: Sequence[Layer], auxiliary: Sequence[Layer], entries: Mapping[str, Entries]
) -> list[str]:
    left_out = weights.layers[len(layers) :]
    notes = [f"{scope} left out: the library has none" for scope in weights.not_published]
    if len(auxiliary) < len(weights.auxiliary):
        scope = posixpath.commonpath([layer.scope for layer in weights.auxiliary])
        notes.append(f"{scope} left out: not in the file")
    for prefix in weights.unused:
        if any(name.startswith(prefix) for name in entries):
            notes.append(f"{prefix}* left out: TF-Slim's network has none")
    notes += weights.remarks
    if left_out:
        scopes = ", ".join(layer.scope for layer in left_out)
        notes.append(f"{scopes} left out: {', '.join(layer.convolution for layer in left_out)} not in the file")
    return notes
