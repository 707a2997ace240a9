"""Gradients with recomputation: only some activations are kept, the others are computed a second time.

The network's graph can be cut where everything has to pass through one tensor: behind each layer of VGG, each
unit of ResNet, each concatenation of Inception and DenseNet. Of these tensors some are kept (Chen et al.,
arXiv:1604.06174); what lies between two of them is a block. Its gradients are those of a copy of it, which
begins when the gradients of all that comes behind it are there. So at one time there are the kept tensors and
the activations of one block.

A copy has the ops of its block that depend on the images, and reads the very tensors that the block read:
weights as they were, masks of dropout. Batch_norm's update ops are not among them. So it computes what the
block did, and losses and gradients are those without recomputation.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from slimft.compat import tf
from slimft.compat.graphs import ancestors, descendants

# The gradients of these ops need no value of what goes into them.
_NEED_NO_INPUTS = frozenset(
    "Add AddN AddV2 AvgPool BiasAdd Cast ConcatV2 Identity Mean Pad PadV2 Relu Relu6 Reshape Squeeze".split()
)
# How many lengths of blocks are tried.
_LENGTHS = 64


@dataclasses.dataclass(frozen=True)
class Cut:
    """A place where all that comes later depends on one tensor of what came before.

    Attributes:
        tensor: that tensor.
        position: how many ops of the path come before it.
        activations: bytes of what the gradients of these need.
    """

    tensor: tf.Tensor
    position: int
    activations: int


@dataclasses.dataclass(frozen=True)
class Recomputed:
    """The gradients, and what they cost.

    Attributes:
        gradients: one for each variable; None where the loss does not depend on it.
        blocks: how many blocks are computed a second time.
        bytes_before: the activations that gradients need, without recomputation.
        bytes_after: with it: those of the longest block, and the tensors that are kept.
    """

    gradients: list[tf.Tensor | None]
    blocks: int
    bytes_before: int
    bytes_after: int

    def describe(self) -> str:
        """One line."""
        if not self.blocks:
            return "--remat does nothing here: no two layers that train lie one behind the other"
        before, after = (f"{size / 1e6:,.0f} MB" for size in (self.bytes_before, self.bytes_after))
        blocks = "1 block is" if self.blocks == 1 else f"{self.blocks} blocks are"
        return f"--remat: {blocks} computed twice; activations of a batch take {after} instead of {before}"


def recomputed_gradients(loss, variables: Sequence[tf.Variable], images) -> Recomputed:
    """The gradients of `tf.gradients(loss, variables)`, in the memory of some of the activations.

    Args:
        loss: a scalar that depends on `images`.
        variables: what to differentiate by: resource variables, of which a copy reads what the block read.
        images: the network's input; its shape must be known.
    """
    path = _Path(images, loss, variables)
    kept = path.choose()
    wanted: list[tuple[tf.Tensor, tf.Tensor]] = []  # What is read of variables, and its gradient.
    behind, newest, blocks = None, [], 0
    for start, end in reversed(list(zip(kept, [*kept[1:], None]))):
        ops = path.ops[start.position : end.position if end else None]
        inlet, outlet = start.tensor, end.tensor if end else loss
        if end and not any(op.op_def.is_stateful for op in ops):  # Else it would not do the same again.
            with tf.control_dependencies(newest):
                inlet = tf.identity(start.tensor)
            ops, outlet = _copy(ops, start.tensor, inlet, outlet)
            blocks += 1
        read = path.learnt_inputs(ops)
        xs = [*read, inlet] if start.position > path.first else read
        found = tf.gradients(outlet, xs, behind, stop_gradients=xs)
        wanted += [pair for pair in zip(read, found) if pair[1] is not None]
        newest, behind = [gradient for gradient in found if gradient is not None], found[-1]
    ys, grad_ys = (list(column) for column in zip(*wanted))
    gradients = tf.gradients(ys, list(variables), grad_ys)
    sizes = path.total, _longest(kept, path.total) + sum(_size(cut.tensor) for cut in kept[1:])
    return Recomputed(gradients, blocks, *sizes)


class _Path:
    """The ops between the images and the loss, in the order in which they were made.

    Attributes:
        ops: the ops.
        first: the position of the first one that reads a trained variable.
        cuts: where the path can be cut, from the last place before that.
        total: bytes of the activations that its gradients need.
    """

    def __init__(self, images, loss, variables):
        on_path = descendants([images.op]) & ancestors([loss.op], control_inputs=False) - {images.op}
        # In the order in which they were made an op comes after its inputs.
        self.ops = [op for op in images.graph.get_operations() if op in on_path]
        self._learnt = descendants([variable.op for variable in variables]) - on_path
        self.first = next(number for number, op in enumerate(self.ops) if self.learnt_inputs([op]))
        cuts, self.total = self._find_cuts(images)
        before = [cut for cut in cuts if cut.position <= self.first]
        self.cuts = [before[-1], *(cut for cut in cuts if cut.position > self.first)]
        self.total -= self.cuts[0].activations

    def learnt_inputs(self, ops: Iterable[tf.Operation]) -> list[tf.Tensor]:
        """What `ops` of the path, or of a copy, read of trained variables."""
        tensors = dict.fromkeys(tensor for op in ops for tensor in op.inputs)
        return [tensor for tensor in tensors if tensor.op in self._learnt and tensor.dtype.is_floating]

    def _find_cuts(self, images) -> tuple[list[Cut], int]:
        """All cuts, and the bytes of the activations that gradients need."""
        on_path = {images.op, *self.ops}
        readers: dict[str, int] = {}  # How many inputs are still to read a tensor of the path.
        for op in self.ops:
            for tensor in op.inputs:
                if tensor.op in on_path:
                    readers[tensor.name] = readers.get(tensor.name, 0) + 1
        ahead, cuts, activations = {images.name: images}, [Cut(images, 0, 0)], 0
        for position, op in enumerate(self.ops, start=1):
            for tensor in op.inputs:
                if tensor.op in on_path:
                    readers[tensor.name] -= 1
                    if not readers[tensor.name]:
                        del ahead[tensor.name]
            ahead.update({tensor.name: tensor for tensor in op.outputs if readers.get(tensor.name)})
            activations += sum(map(_needed, op.outputs))
            if len(ahead) == 1:
                (tensor,) = ahead.values()
                if tensor.op is op and tensor.dtype.is_floating:
                    cuts.append(Cut(tensor, position, activations))
        return cuts, activations

    def choose(self) -> list[Cut]:
        """The cuts to keep, the first among them: those with the fewest bytes at one time.

        These are the bytes of the tensors that are kept and the activations of the longest block. For a number of
        greatest lengths, the cuts of the fewest bytes are found, each by those before it.
        """
        sizes = np.array([_size(cut.tensor) for cut in self.cuts], float)
        sizes[0] = 0  # It is there anyway.
        lengths = np.array([*(cut.activations for cut in self.cuts), self.total + self.cuts[0].activations], float)
        best, least = [0], float(self.total)
        for greatest in np.linspace(0, self.total, _LENGTHS, endpoint=False)[1:]:
            starts = np.searchsorted(lengths, lengths - greatest)  # The first cut that is near enough to each.
            costs, previous = [0.0], [0]
            for cut in range(1, len(lengths)):
                if starts[cut] >= cut:
                    break
                one = int(starts[cut] + np.argmin(costs[starts[cut] : cut]))
                costs.append(costs[one] + (sizes[cut] if cut < len(sizes) else 0))
                previous.append(one)
            if len(costs) < len(lengths):
                continue  # A part that cannot be cut is longer.
            chain = [previous[-1]]
            while chain[-1]:
                chain.append(previous[chain[-1]])
            chain.reverse()
            cost = costs[-1] + np.diff([*lengths[chain], lengths[-1]]).max()
            if cost < least:
                best, least = chain, cost
        return [self.cuts[cut] for cut in best]


def _copy(ops, start, inlet, outlet) -> tuple[list[tf.Operation], tf.Tensor]:
    """Copies of `ops` that read `inlet` in place of `start`; with them that of `outlet`."""
    names, graph_def = {op.name for op in ops}, tf.GraphDef()
    graph_def.versions.CopyFrom(start.graph.graph_def_versions)
    for op in ops:
        node = graph_def.node.add()
        node.CopyFrom(op.node_def)
        node.attr.pop("_class", None)  # Of ops that may not be in the copy.
        inputs = [name for name in node.input if name[0] != "^" or name[1:] in names]
        del node.input[:]
        node.input.extend(inputs)
    outer = {tensor.name: tensor for op in ops for tensor in op.inputs if tensor.op.name not in names}
    outer[start.name] = inlet
    *copies, end = tf.import_graph_def(graph_def, outer, [*(op.name for op in ops), outlet.name], name="recomputed")
    return copies, end


def _longest(kept: Sequence[Cut], total: int) -> int:
    ends = [*(cut.activations for cut in kept), total + kept[0].activations]
    return int(np.diff(ends).max())


def _needed(tensor) -> int:
    """The bytes of a tensor, if a gradient of what reads it, or of its own op, needs its value."""
    of_own = tensor.op.type in ("Relu", "Relu6", "MaxPool")
    return _size(tensor) if of_own or any(op.type not in _NEED_NO_INPUTS for op in tensor.consumers()) else 0


def _size(tensor) -> int:
    """The bytes of a tensor; 0 where its shape is unknown."""
    return (tensor.shape.num_elements() or 0) * tensor.dtype.base_dtype.size
