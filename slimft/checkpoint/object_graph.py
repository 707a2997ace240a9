"""The object graph of TensorFlow 2 checkpoints: what `Variable.name` a checkpoint's key stands for.

Source: tensorflow/core/protobuf/trackable_object_graph.proto.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

from slimft.checkpoint.memory import Allowance
from slimft.wire.protobuf import expect_bytes, fields, text

KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"
# What a name and its key take beside themselves.
_NAME_BYTES = 100


def full_names(graph: memoryview) -> Mapping[str, str]:
    """Returns each variable's full name with its key; names that several variables share are left out.

    Raises:
        Malformed: `graph` is no TrackableObjectGraph.
    """
    keys: dict[str, str | None] = {}
    allowance = Allowance(len(graph))
    for number, _, node in fields(graph):
        if number != 1:
            continue
        for number, _, attribute in fields(expect_bytes(node)):
            if number != 2:
                continue
            values = {inner: text(value) for inner, _, value in fields(expect_bytes(attribute)) if inner in (2, 3)}
            name, key = values.get(2), values.get(3)
            if name and key:
                allowance.take(_NAME_BYTES + sys.getsizeof(name) + sys.getsizeof(key))
                keys[name] = key if keys.get(name, key) == key else None
    return {name: key for name, key in keys.items() if key is not None}
