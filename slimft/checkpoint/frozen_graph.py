"""Frozen graphs (`.pb`): the constants that were variables before the graph was frozen.

Field numbers: tensorflow/core/framework/graph.proto, node_def.proto, attr_value.proto. Freezing makes each
variable a Const of its name, and leaves what read it: an Identity called NAME/read, or one that took the place
of a ReadVariableOp.
"""

from __future__ import annotations

import sys

import numpy as np

from slimft.checkpoint.base import Checkpoint, Listing, one_line
from slimft.checkpoint.dtypes import dtype_of_enum
from slimft.checkpoint.memory import Allowance, most_bytes
from slimft.checkpoint.tensor_proto import SHAPE_FIELDS, TENSOR_FIELDS, describe_tensor, parse_tensor
from slimft.wire.binary_file import BinaryFile, Malformed
from slimft.wire.protobuf import (
    EMPTY,
    FIXED32,
    LENGTH,
    VARINT,
    Message,
    Schema,
    check_messages,
    expect_bytes,
    fields,
    joined,
    utf8,
)

# What a constant takes that is listed, but for its name.
_CONSTANT_BYTES = 1 << 9
# An AttrValue has one of these, the last one that is given: its fields and their wire types.
_TENSOR = 8
# Of an AttrValue: the fields that are messages, but for functions.
_VALUE: Schema = {1: {7: SHAPE_FIELDS, 8: TENSOR_FIELDS}, 7: SHAPE_FIELDS, 8: TENSOR_FIELDS}
_OTHER_VALUES = {**dict.fromkeys((1, 2, 7, 9, 10), LENGTH), **dict.fromkeys((3, 5, 6), VARINT), 4: FIXED32}


class FrozenGraphCheckpoint(Checkpoint):
    """The variables of a frozen graph.

    Args:
        path: the file, a binary GraphDef; it is read at once.

    Raises:
        Malformed: it is no GraphDef, or has no constants that were variables.
        OSError: it cannot be read.
    """

    format = "frozen_graph"

    def __init__(self, path: str):
        self.path = path
        file = BinaryFile(path)
        # A constant of one value may be of any shape: a graph of few bytes must not make gigabytes.
        self._most_filled = most_bytes(file.size)
        allowance = Allowance(file.size)
        constants: dict[str, Message] = {}
        were_variables: set[str] = set()
        for number, _, node in fields(file.read(0, file.size)):
            if number != 1:
                continue
            name, op, first_input, tensor = _parse_node(expect_bytes(node))
            if op == "Const" and tensor is not None:
                if name in constants:
                    raise Malformed(f"two of its constants are called {one_line(name)}")
                allowance.take(_CONSTANT_BYTES + sys.getsizeof(name))
                constants[name] = tensor
            elif op == "Identity" and first_input:
                source = first_input.removesuffix(":0")
                if name == f"{source}/read" or name.rsplit("/", 1)[-1].startswith("ReadVariableOp"):
                    allowance.take(_CONSTANT_BYTES + sys.getsizeof(source))
                    were_variables.add(source)
        self._tensors = {name: constants[name] for name in sorted(constants) if name in were_variables}
        if not self._tensors:
            raise Malformed("it is no frozen graph: it has no constants that were variables; give its checkpoint")
        self._variables: dict[str, tuple[tuple[int, ...], np.dtype]] = {}
        for name, tensor in self._tensors.items():
            enum, shape = describe_tensor(tensor)
            self._variables[name] = shape, dtype_of_enum(enum)

    def _shapes_and_dtypes(self) -> Listing:
        return self._variables

    def _read(self, name: str) -> np.ndarray:
        return parse_tensor(self._tensors[name], most=self._most_filled)


def _parse_node(node: memoryview) -> tuple[str, str, str, Message | None]:
    """A node's name, op, first input and, where its attribute `value` is a tensor, the TensorProto."""
    name, op = "", ""
    first_input: str | None = None
    tensor: Message | None = None
    for number, _, value in fields(node):
        if number == 1:
            name = utf8(value)
        elif number == 2:
            op = utf8(value)
        elif number == 3:
            source = utf8(value)
            first_input = source if first_input is None else first_input
        elif number == 5:
            key, attribute = _parse_attribute(expect_bytes(value))
            if key == "value":
                tensor = attribute  # Of several entries with the same key a map has the last.
    return name, op, first_input or "", tensor


def _parse_attribute(entry: memoryview) -> tuple[str, Message | None]:
    """The key of an entry of a node's attributes and, if its value is one, the TensorProto."""
    key, content = "", EMPTY
    for number, _, value in fields(entry):
        if number == 1:
            key = utf8(value)
        elif number == 2:
            content = joined(content, expect_bytes(value))
        else:
            # Of such an entry protobuf's implementations make different things.
            raise Malformed(f"an attribute of a node has a field {number}")
    # protobuf reads all of the graph before any of it, so damage elsewhere is damage too.
    check_messages(content, _VALUE)
    tensor: Message | None = None
    for number, wire_type, value in fields(content):
        if number == _TENSOR:
            tensor = joined(EMPTY if tensor is None else tensor, expect_bytes(value))
        elif _OTHER_VALUES.get(number) == wire_type:
            tensor = None
    return key, tensor
