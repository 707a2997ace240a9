"""Where a training graph can be cut: what it computes of images alone, by variables that do not change.

A `Cut` tells which tensors are to be fetched once for each example, and fed from then on, into placeholders that
take their place.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

from slimft.compat import tf
from slimft.compat.graphs import ancestors, replace_by_placeholder

# What only reads a variable, though TensorFlow calls it stateful.
_READS = ("ReadVariableOp", "VarHandleOp", "VariableV2", "VarIsInitializedOp")
_VARIABLES = ("VarHandleOp", "VariableV2")
# What costs nothing: rather than its result, what it is of is kept.
_FREE = ("Identity", "Reshape", "Squeeze", "ExpandDims", "StopGradient", "Cast")
# What an op is called, and where it is placed, and what is told of its shape, changes nothing of what it computes.
_OF_NO_CONSEQUENCE = ("_class", "_output_shapes", "container", "shared_name", "debug_name", "allowed_devices")


@dataclasses.dataclass(frozen=True)
class Cut:
    """Where a graph is cut; made by `find_cut`.

    Attributes:
        features: the tensors that are the same whenever an example is, ``[batch, ...]`` each.
        constants: tensors that depend on no example, and take more than to read a variable.
        variables: the frozen variables that the features depend on, by name.
        consumers: the ops behind the cut, by what they take of features and constants.
        text: tells all that makes the features, but for the values of the variables.
        inputs: placeholders in the place of the features, once the graph is `opened` there.
        constant_inputs: placeholders in the place of the constants.
    """

    features: tuple[tf.Tensor, ...]
    constants: tuple[tf.Tensor, ...]
    variables: tuple[tf.Variable, ...]
    consumers: dict[tf.Tensor, list[tf.Operation]]
    text: str
    inputs: tuple[tf.Tensor, ...] = ()
    constant_inputs: tuple[tf.Tensor, ...] = ()

    @property
    def record_bytes(self) -> int:
        """The size of all features of one example."""
        return sum(tensor.shape[1:].num_elements() * tensor.dtype.size for tensor in self.features)

    def opened(self) -> Cut:
        """The cut, carried out in the graph, of which no session may have run anything yet."""
        inputs, constant_inputs = (
            tuple(replace_by_placeholder(tensor, self.consumers[tensor]) for tensor in tensors)
            for tensors in (self.features, self.constants)
        )
        return dataclasses.replace(self, inputs=inputs, constant_inputs=constant_inputs)

    def pack(self, values: Sequence[np.ndarray]) -> np.ndarray:
        """The features of a batch as one record for each example: uint8 ``[batch, record_bytes]``."""
        rows = [np.ascontiguousarray(value).reshape(len(value), -1).view(np.uint8) for value in values]
        return rows[0] if len(rows) == 1 else np.concatenate(rows, axis=1)

    def unpack(self, records: np.ndarray) -> list[np.ndarray]:
        """What `pack` was given."""
        values, start = [], 0
        for tensor in self.features:
            dtype, shape = tensor.dtype.as_numpy_dtype, tensor.shape.as_list()[1:]
            size = tensor.shape[1:].num_elements() * tensor.dtype.size
            part = np.ascontiguousarray(records[:, start : start + size])
            values.append(part.view(dtype).reshape(len(records), *shape))
            start += size
        return values


def changed_variables(train_ops: Iterable[tf.Operation]) -> set[str]:
    """The names of all variables that some op assigns to that runs before `train_ops`, or is one of them."""
    changed = set()
    for op in ancestors(train_ops):
        for number, tensor in enumerate(op.inputs):
            writes = op.type not in _READS if tensor.dtype == tf.resource else _takes_reference(op, number)
            if writes:
                changed.add(_variable_of(tensor).name)
    return changed


def _takes_reference(op: tf.Operation, number: int) -> bool:
    """Whether an op may write to the variable that is its input `number`; what reads one takes it as a tensor."""
    arguments = op.op_def.input_arg
    return len(arguments) > number and arguments[number].is_ref


def _variable_of(tensor: tf.Tensor) -> tf.Operation:
    """The op of the variable that a reference, or a handle, leads to."""
    op = tensor.op
    while op.type not in _VARIABLES and op.inputs:
        op = op.inputs[0].op
    return op


def find_cut(
    wanted: Sequence[tf.Tensor | tf.Operation],
    source: tf.Tensor,
    changed: set[str],
    unknown: Sequence[tf.Tensor],
) -> Cut | None:
    """Finds what `wanted` needs of the images that stays the same as long as the images do.

    Args:
        wanted: what a step, or an evaluation, fetches.
        source: what all examples' features are computed from: the images.
        changed: the names of the ops of variables that change.
        unknown: what else is new in each batch, and will be fed, such as its targets.

    Returns:
        The cut; None where nothing is computed of the images that does not change, or where what is computed has
        not the batch as its first axis, or depends on no variable: images are no features.
    """
    graph = source.graph
    needed = ancestors([getattr(item, "op", item) for item in wanted])
    kinds = _Kinds(source, changed, unknown)
    found: dict[tf.Tensor, str] = {}
    for op in needed:
        for tensor in op.inputs:
            if kinds.of(tensor) in ("frozen", "constant") and not kinds.is_known(op):
                found[tensor] = kinds.of(tensor)
    found |= {item: kinds.of(item) for item in wanted if isinstance(item, tf.Tensor)}
    features = _before_free_ops([tensor for tensor, kind in found.items() if kind == "frozen"], kinds)
    before = ancestors([tensor.op for tensor in features], control_inputs=False)
    consumers: dict[tf.Tensor, list[tf.Operation]] = {}
    for op in needed - before:
        for tensor in set(op.inputs):
            consumers.setdefault(tensor, []).append(op)
    variables = {op.name for op in before if op.type in _VARIABLES}
    if not variables or not all(_is_by_example(tensor, source) for tensor in features):
        return None
    constants = [tensor for tensor, kind in found.items() if kind == "constant" and _is_dear(tensor)]
    if any(op.type == "IteratorGetNext" for op in _run_beside(wanted, {*features, *constants, *unknown})):
        return None
    listed = [variable for variable in _all_variables(graph) if variable.op.name in variables]
    if {variable.op.name for variable in listed} != variables:  # Of one, no values can be told.
        return None
    features = tuple(sorted(features, key=lambda tensor: tensor.name))
    text = "\n".join(map(_Texts().of, features))
    consumers = {tensor: consumers.get(tensor, []) for tensor in (*features, *constants)}
    return Cut(features, tuple(constants), tuple(listed), consumers, text)


class _Kinds:
    """Of each tensor whether it is ``constant``, ``frozen`` (made of the images alone), or ``varies``."""

    def __init__(self, source: tf.Tensor, changed: set[str], unknown: Sequence[tf.Tensor]):
        self._known = {source: "frozen", **dict.fromkeys(unknown, "varies")}
        self._changed = changed

    def of(self, tensor: tf.Tensor) -> str:
        waiting = [tensor]
        # Not recursive: graphs are deeper than Python's stack.
        while waiting:
            one = waiting[-1]
            if one in self._known:
                waiting.pop()
                continue
            before = [other for other in one.op.inputs if other not in self._known]
            if before and self._own(one.op) is None:
                waiting += before
                continue
            self._known[one] = self._own(one.op) or _together(self._known[other] for other in one.op.inputs)
            waiting.pop()
        return self._known[tensor]

    def is_known(self, op: tf.Operation) -> bool:
        """Whether all that an op makes is constant or frozen."""
        return bool(op.outputs) and all(self.of(tensor) != "varies" for tensor in op.outputs)

    def _own(self, op: tf.Operation) -> str | None:
        """What an op's tensors are whatever its inputs are; None where it depends on these."""
        if op.type in _VARIABLES:
            return "varies" if op.name in self._changed else "constant"
        if op.type in _READS or op.type == "Const":
            return None if op.inputs else "constant"
        # The text of a function is not told.
        if op.op_def.is_stateful or op.type.startswith("Placeholder") or _has_functions(op):
            return "varies"
        return None if op.inputs else "varies"


def _together(kinds: Iterable[str]) -> str:
    kinds = set(kinds)
    return next(kind for kind in ("varies", "frozen", "constant") if kind in kinds)


def _has_functions(op: tf.Operation) -> bool:
    return any(value.HasField("func") or value.list.func for value in op.node_def.attr.values())


def _before_free_ops(tensors: Iterable[tf.Tensor], kinds: _Kinds) -> set[tf.Tensor]:
    """What is kept instead of tensors that are only another view of it."""
    kept, waiting = set(), list(tensors)
    while waiting:
        tensor = waiting.pop()
        op = tensor.op
        frozen = [other for other in op.inputs if kinds.of(other) == "frozen"]
        smaller = op.type != "Cast" or op.inputs[0].dtype.size <= tensor.dtype.size
        if op.type in _FREE and smaller and len(frozen) == 1 and frozen[0] is op.inputs[0]:
            waiting.append(frozen[0])
        else:
            kept.add(tensor)
    return kept


def _is_by_example(tensor: tf.Tensor, source: tf.Tensor) -> bool:
    """Whether a tensor may have the batch as its first axis, and has known sizes behind it."""
    shape = tensor.shape
    if not shape.rank or not shape[1:].is_fully_defined() or tensor.dtype == tf.string:
        return False
    return shape[0].value == source.shape[0].value


def _run_beside(wanted: Sequence[tf.Tensor | tf.Operation], fed: set[tf.Tensor]) -> set[tf.Operation]:
    """The ops that run for `wanted` where some tensors are fed."""
    found, ahead = set(), [getattr(item, "op", item) for item in wanted if item not in fed]
    while ahead:
        op = ahead.pop()
        if op not in found:
            found.add(op)
            ahead += [tensor.op for tensor in op.inputs if tensor not in fed]
            ahead += op.control_inputs
    return found


def _is_dear(tensor: tf.Tensor) -> bool:
    """Whether a constant tensor is worth keeping: computed of a variable, rather than one."""
    op = tensor.op
    while op.type in ("Identity", "ReadVariableOp", "Reshape"):
        op = op.inputs[0].op
    if op.type in (*_VARIABLES, "Const") or tensor.dtype in (tf.resource, tf.string):
        return False
    return any(other.type in _VARIABLES for other in ancestors([op], control_inputs=False))


def _all_variables(graph: tf.Graph) -> list[tf.Variable]:
    keys = tf.GraphKeys.GLOBAL_VARIABLES, tf.GraphKeys.LOCAL_VARIABLES
    return [variable for key in keys for variable in graph.get_collection(key)]


class _Texts:
    """A digest for each tensor of what it is computed by: ops, what they are told, and in which order; no names."""

    def __init__(self):
        self._of_ops: dict[tf.Operation, str] = {}

    def of(self, tensor: tf.Tensor) -> str:
        waiting = [tensor.op]
        while waiting:
            op = waiting[-1]
            before = [other.op for other in op.inputs if other.op not in self._of_ops]
            if op in self._of_ops or not before:
                self._of_ops.setdefault(op, self._digest(op) if op not in self._of_ops else "")
                waiting.pop()
            else:
                waiting += before
        return f"{self._of_ops[tensor.op]}:{tensor.value_index}"

    def _digest(self, op: tf.Operation) -> str:
        attributes = op.node_def.attr
        told = [op.type]
        told += [f"{self._of_ops[tensor.op]}:{tensor.value_index}" for tensor in op.inputs]
        for name in sorted(set(attributes) - set(_OF_NO_CONSEQUENCE)):
            told.append(f"{name}={attributes[name].SerializeToString(deterministic=True).hex()}")
        # Variables are told apart by their names, beside which their values are told; what is read, by its shape.
        if op.type in _VARIABLES:
            told.append(op.name)
        elif not op.inputs:
            told += [str(tensor.shape) for tensor in op.outputs]
        return hashlib.blake2b("\n".join(told).encode(), digest_size=16).hexdigest()


class Digests:
    """Digests of variables' values in a session, each computed once.

    Args:
        session: where the variables have values, which do not change.
    """

    def __init__(self, session: tf.Session):
        self._session = session
        self._of: dict[str, str] = {}

    def of(self, variables: Iterable[tf.Variable]) -> str:
        """A text that tells the variables' names and values."""
        return "\n".join(f"{variable.op.name} {self._value(variable)}" for variable in variables)

    def _value(self, variable: tf.Variable) -> str:
        name = variable.op.name
        if name not in self._of:
            value = np.ascontiguousarray(self._session.run(variable))
            self._of[name] = hashlib.sha256(value.reshape(-1).view(np.uint8)).hexdigest()
        return self._of[name]
