"""Frozen graphs (`.pb`): the constants that were variables before the graph was frozen.

Field numbers: tensorflow/core/framework/graph.proto, node_def.proto, attr_value.proto. Freezing makes each
variable a Const of its name, and leaves what read it: an Identity called NAME/read, or one that took the place
of a ReadVariableOp.
"""

from __future__ import annotations

import numpy as np

from slimft.checkpoint.base import Checkpoint
from slimft.checkpoint.binary_file import BinaryFile, Malformed, aligned
from slimft.checkpoint.dtypes import dtype_of_enum
from slimft.checkpoint.protobuf import expect_bytes, expect_int, fields, text
from slimft.checkpoint.tensor_proto import parse_shape, parse_tensor


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
        constants: dict[str, memoryview] = {}
        were_variables: set[str] = set()
        for number, _, node in fields(file.read(0, file.size)):
            if number != 1:
                continue
            name, op, inputs, tensor = _parse_node(expect_bytes(node))
            if op == "Const" and tensor is not None:
                constants[name] = tensor
            elif op == "Identity" and inputs:
                source = inputs[0].removesuffix(":0")
                if name == f"{source}/read" or name.rsplit("/", 1)[-1].startswith("ReadVariableOp"):
                    were_variables.add(source)
        self._tensors = {name: constants[name] for name in sorted(constants) if name in were_variables}
        if not self._tensors:
            raise Malformed("it is no frozen graph: it has no constants that were variables")
        self._variables = {name: _describe(tensor) for name, tensor in self._tensors.items()}

    def _shapes_and_dtypes(self):
        return self._variables

    def _read(self, name: str) -> np.ndarray:
        return aligned(parse_tensor(self._tensors[name]).copy())


def _parse_node(node: memoryview) -> tuple[str, str, list[str], memoryview | None]:
    """A node's name, op, inputs and, of a constant, the TensorProto."""
    name, op, inputs, tensor = "", "", [], None
    for number, _, value in fields(node):
        if number == 1:
            name = text(value)
        elif number == 2:
            op = text(value)
        elif number == 3:
            inputs.append(text(value))
        elif number == 5 and op == "Const":
            attribute = {inner: entry for inner, _, entry in fields(expect_bytes(value))}
            if text(attribute.get(1, b"")) == "value":
                content = {inner: entry for inner, _, entry in fields(expect_bytes(attribute.get(2, b"")))}
                tensor = expect_bytes(content[8]) if 8 in content else None
    return name, op, inputs, tensor


def _describe(tensor: memoryview) -> tuple[tuple[int, ...], np.dtype]:
    found = {number: value for number, _, value in fields(tensor)}
    return parse_shape(expect_bytes(found.get(2, b""))), dtype_of_enum(expect_int(found.get(1, 0)))
