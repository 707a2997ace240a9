"""How each variable of TF-Slim's is made of what another library's layer holds."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping

import numpy as np

from slimft.checkpoint import Checkpoint
from slimft.checkpoint.dtypes import is_float
from slimft.conversion.layers import Layer, Shape, Weights
from slimft.conversion.source import Entries

_STATISTICS = {"gamma": "gamma", "beta": "beta", "moving_mean": "mean", "moving_variance": "variance"}


class Mismatch(Exception):
    """A file's layers are not those of a network; says how."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How to make a variable.

    Attributes:
        shape: the variable's.
        sources: the names of the entries it is made of.
        make: makes it of their arrays; of any floating-point dtype.
    """

    shape: Shape
    sources: tuple[str, ...]
    make: Callable[..., np.ndarray]


def recipes_of(
    layer: Layer, entries: Mapping[str, Entries], source: Checkpoint, weights: Weights
) -> dict[str, Recipe]:
    """The recipes for the variables of one of the layers of `weights`, by their names.

    Args:
        layer: the layer.
        entries: what the file has of each layer.
        source: the file.
        weights: how the network's weights are published.

    Raises:
        Mismatch: something is missing or has another shape.
    """
    maker = _LayerRecipes(layer, entries, source, weights)
    maker.add_convolution()
    maker.add_batch_norm()
    return maker.recipes


class _LayerRecipes:
    """Collects the recipes of one layer; the arguments are those of `recipes_of`."""

    def __init__(self, layer, entries, source, weights):
        self.recipes: dict[str, Recipe] = {}
        self._layer, self._entries, self._source, self._weights = layer, entries, source, weights
        first = layer is weights.layers[0]
        self._reverse = first and weights.reverse_channels
        self._scale, self._offset = (weights.scale, weights.offset) if first else (None, None)
        # What is added to the convolution's result, and how to make it of the entries.
        self._bias: str | None = None
        self._kernel: str | None = None
        self._kernel_shape: Shape = ()
        # What the convolution's result is multiplied by, where TF-Slim has no variable for it.
        self._factor: tuple[str, ...] = ()

    def add_convolution(self) -> None:
        """The weights, and the biases if TF-Slim has some there."""
        layer, variables = self._layer, self._weights.variables
        if layer.convolution is None:
            return
        depthwise = layer.kind in ("depthwise_conv2d", "separable_conv2d")
        name = f"{layer.scope}/{'depthwise_weights' if depthwise else 'weights'}"
        self._kernel = self._entry(layer.convolution, "kernel")
        # Of fully connected layers TF-Slim has matrices.
        rank = len(variables[name])
        self._kernel_shape = self._checked_kernel_shape((*[1] * (4 - rank), *variables[name]))
        channels, shape = self._kernel_shape[3:], self._kernel_shape[4 - rank :]
        self._factor = self._entries_of_factor(channels)
        make = functools.partial(
            _kernel,
            shape=self._kernel_shape,
            rank=rank,
            output_first=self._weights.output_first,
            reverse=self._reverse,
            scale=self._scale,
            epsilon=self._weights.epsilon,
        )
        self.recipes[name] = Recipe(shape, (self._kernel, *self._factor), make)
        if layer.kind == "separable_conv2d":
            pointwise = f"{layer.scope}/pointwise_weights"
            entry = self._vector(layer.convolution, "pointwise", variables[pointwise])
            self.recipes[pointwise] = Recipe(variables[pointwise], (entry,), _unchanged)
        if f"{layer.scope}/biases" not in variables:
            if layer.batch_norm is not None and "bias" in self._entries[layer.convolution]:
                self._bias = self._vector(layer.convolution, "bias", channels)
        elif layer.batch_norm is None:
            bias = self._vector(layer.convolution, "bias", channels)
            self.recipes[f"{layer.scope}/biases"] = Recipe(channels, *self._sum_of(bias, offset=1))
        else:
            self._add_normalized_bias(f"{layer.scope}/biases", channels)

    def _entries_of_factor(self, channels: Shape) -> tuple[str, ...]:
        """The gamma that TF-Slim's batch normalization lacks, or, where it has none at all, gamma and variance."""
        name, statistics = self._layer.batch_norm, self._layer.statistics
        if name is None or f"{statistics}/gamma" in self._weights.variables:
            return ()
        if not statistics:
            return self._vector(name, "gamma", channels), self._vector(name, "variance", channels)
        return (self._vector(name, "gamma", channels),) if "gamma" in self._entries.get(name, ()) else ()

    def _add_normalized_bias(self, variable: str, channels: Shape) -> None:
        """The bias that, after a kernel with gamma and variance in it, leaves nothing to normalize."""
        bias = self._vector(self._layer.convolution, "bias", channels)
        sources, biases = self._sum_of(bias, offset=1)
        mean, beta = (self._vector(self._layer.batch_norm, part, channels) for part in ("mean", "beta"))

        def make(mean, beta, gamma, variance, *others):
            factor = _factor(gamma, variance, epsilon=self._weights.epsilon)
            return (biases(*others) - mean.astype(np.float64)) * factor + beta

        self.recipes[variable] = Recipe(channels, (mean, beta, *self._factor, *sources), make)

    def add_batch_norm(self) -> None:
        """The batch normalization; what is added to its input is taken from the mean."""
        layer, weights = self._layer, self._weights
        if layer.batch_norm is None:
            return
        entries = {}
        for name, part in _STATISTICS.items():
            variable = f"{layer.statistics}/{name}"
            if variable in weights.variables:
                entries[name] = self._vector(layer.batch_norm, part, weights.variables[variable])
        epsilons = {"epsilon": weights.epsilon, "slim_epsilon": weights.slim_epsilon}
        for name, entry in entries.items():
            sources, make = (entry,), _unchanged
            if name == "moving_mean":
                sources, make = self._moving_mean(entry)
            elif name == "moving_variance":
                make = functools.partial(_variance, **epsilons)
            elif name == "gamma" and weights.epsilon < weights.slim_epsilon:
                sources, make = (entry, entries["moving_variance"]), functools.partial(_gamma, **epsilons)
            variable = f"{layer.statistics}/{name}"
            self.recipes[variable] = Recipe(weights.variables[variable], sources, make)

    def _moving_mean(self, entry: str) -> tuple[tuple[str, ...], Callable[..., np.ndarray]]:
        """The mean of what comes out of TF-Slim's convolution, by the factor that is in its kernel."""
        sources, make = self._sum_of(entry, offset=-1)
        if not self._factor:
            return sources, make
        number = len(self._factor)

        def scaled(*arrays):
            return make(*arrays[number:]).astype(np.float64) * _factor(*arrays[:number])

        return (*self._factor, *sources), scaled

    def _sum_of(self, entry: str, offset: int) -> tuple[tuple[str, ...], Callable[..., np.ndarray]]:
        """An entry plus `offset` times what the images' offset adds to the convolution, less a folded bias."""
        sources = [entry]
        if self._bias is not None:
            sources.append(self._bias)
        if self._offset is None:
            return tuple(sources), _less_bias if self._bias is not None else _unchanged
        to_hwio = functools.partial(_hwio, shape=self._kernel_shape, output_first=self._weights.output_first)

        def make(vector, *others):
            *bias, kernel = others
            response = np.einsum("hwio,i->o", to_hwio(kernel).astype(np.float64), self._offset)
            return _less_bias(vector, *bias) + offset * response

        return (*sources, self._kernel), make

    def _entry(self, layer: str, part: str) -> str:
        """The name in the file of a part of a layer, which must be there and hold floating-point numbers."""
        if layer not in self._entries:
            raise Mismatch(f"it has no layer {layer}")
        if part not in self._entries[layer]:
            raise Mismatch(f"its layer {layer} has no {part}")
        name = self._entries[layer][part]
        dtype = self._source.dtype(name)
        if not is_float(dtype):
            raise Mismatch(f"its layer {layer} has {part} of {dtype}, not of floating-point numbers")
        return name

    def _vector(self, layer: str, part: str, shape: Shape) -> str:
        name = self._entry(layer, part)
        _check_shape(layer, part, self._source.shape(name), shape)
        return name

    def _checked_kernel_shape(self, shape: Shape) -> Shape:
        """TF-Slim's shape of the kernel; of the logits', with as many classes as there are in the file."""
        found = self._source.shape(self._kernel)
        output_first = self._weights.output_first
        if self._layer in self._weights.logits and len(found) > 1:
            shape = (*shape[:3], found[0 if output_first else -1])
        height, width, inputs, outputs = shape
        rows = math.prod(shape[:3])
        if output_first and self._layer.kind == "depthwise_conv2d":
            expected = (inputs, outputs, height, width)
        elif output_first:
            expected = (outputs, rows) if len(found) == 2 else (outputs, inputs, height, width)
        else:
            expected = (rows, outputs) if len(found) == 2 else shape
        _check_shape(self._layer.convolution, "kernel", found, expected)
        return shape


def _check_shape(layer: str, part: str, found: Shape, expected: Shape) -> None:
    if found != expected:
        raise Mismatch(f"its layer {layer} has {part} {list(found)}, not {list(expected)}")


def _unchanged(array: np.ndarray) -> np.ndarray:
    return array


def _less_bias(vector: np.ndarray, *bias: np.ndarray) -> np.ndarray:
    """`vector` minus the bias there may be."""
    return vector.astype(np.float64) - sum(value.astype(np.float64) for value in bias)


def _hwio(kernel: np.ndarray, shape: Shape, output_first: bool) -> np.ndarray:
    """A kernel, or the matrix it is, as ``[height, width, inputs, outputs]``."""
    height, width, inputs, outputs = shape
    if output_first:
        return kernel.reshape(outputs, inputs, height, width).transpose(2, 3, 1, 0)
    return kernel.reshape(shape)


def _kernel(
    kernel, *factor, shape: Shape, rank: int, output_first: bool, reverse: bool, scale, epsilon: float
) -> np.ndarray:
    kernel = _hwio(kernel, shape, output_first)
    if reverse:
        kernel = kernel[:, :, ::-1]
    if scale is not None:
        kernel = kernel.astype(np.float64) * np.reshape(scale, [3, 1])
    if factor:
        kernel = kernel.astype(np.float64) * _factor(*factor, epsilon=epsilon)
    return kernel.reshape(shape[4 - rank :])


def _factor(gamma: np.ndarray, variance: np.ndarray | None = None, epsilon: float = 0.0) -> np.ndarray:
    """What batch normalization multiplies by, or only the gamma in it."""
    gamma = gamma.astype(np.float64)
    return gamma if variance is None else gamma / np.sqrt(variance.astype(np.float64) + epsilon)


def _variance(variance: np.ndarray, epsilon: float, slim_epsilon: float) -> np.ndarray:
    """What gives the same sum with TF-Slim's epsilon, if that is not negative."""
    if epsilon == slim_epsilon:
        return variance
    return np.maximum(variance.astype(np.float64) + (epsilon - slim_epsilon), 0)


def _gamma(gamma: np.ndarray, variance: np.ndarray, epsilon: float, slim_epsilon: float) -> np.ndarray:
    """What makes up for a variance that would have to be negative; the same where it need not."""
    variance = variance.astype(np.float64)
    wanted, slims = variance + epsilon, _variance(variance, epsilon, slim_epsilon) + slim_epsilon
    return gamma.astype(np.float64) * np.where(wanted < slim_epsilon, np.sqrt(slims / wanted), 1)
