"""``*_pb2.py`` that an old protoc wrote, whose way of making classes protobuf 4 refuses.

Such a file holds its messages' description as bytes (``serialized_pb``), from which today's protobuf makes the
classes. This is protobuf's own, and runs nothing of the file but its imports, classes and functions.
"""

from __future__ import annotations

import ast

from slimft.legacy.ages.script import Script

_HELPER = "__slimft_protobuf__"


def put_in(script: Script) -> None:
    """Lets the script have such files."""

    def rewrite(tree, path):
        described = _description(tree) if path.endswith("_pb2.py") else None
        if described is None:
            return tree
        script.say("protobuf", "serialized_pb", "protobuf 4 refuses old protoc's classes, and makes its own", path)
        kept = [node for node in tree.body if _is_kept(node)]
        made = ast.parse(f"{_HELPER}({described!r}, globals())").body[0]
        # After the imports, which bring the files that this one needs.
        after = max(
            (i for i, node in enumerate(kept) if isinstance(node, (ast.Import, ast.ImportFrom))), default=-1
        )
        tree.body = [*kept[: after + 1], made, *kept[after + 1 :]]
        return tree

    script.rewrites.append(rewrite)
    script.helpers[_HELPER] = _make


def _description(tree):
    """The bytes of ``DESCRIPTOR = ...FileDescriptor(serialized_pb=...)`` in a module; None if there are none."""
    for node in tree.body:
        if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)):
            continue
        if getattr(node.value.func, "attr", "") != "FileDescriptor":
            continue
        for argument in node.value.keywords:
            if argument.arg == "serialized_pb":
                return _bytes(argument.value)
    return None


def _bytes(node):
    """The value of ``b"..."``, of ``"..."`` in Latin-1, or of a function of either; None if it is another."""
    if isinstance(node, ast.Call) and len(node.args) == 1:
        node = node.args[0]
    value = node.value if isinstance(node, ast.Constant) else None
    return value.encode("latin1") if isinstance(value, str) else value if isinstance(value, bytes) else None


def _is_kept(node):
    """Whether a statement stays: imports but for protobuf's own parts, classes, functions, and what may fail."""
    if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("google.protobuf"):
        return all(name.name.endswith("_pb2") for name in node.names)
    return isinstance(node, (ast.Import, ast.ImportFrom, ast.ClassDef, ast.FunctionDef, ast.Try))


def _make(described, names):
    """Puts the classes of a described file into the module with these names."""
    from google.protobuf import descriptor_pb2, descriptor_pool
    from google.protobuf.internal import builder

    pool = descriptor_pool.Default()
    try:
        file = pool.AddSerializedFile(described)
    except TypeError:  # Another version of it is there, such as TensorFlow's own.
        file = pool.FindFileByName(descriptor_pb2.FileDescriptorProto.FromString(described).name)
    names["DESCRIPTOR"] = file
    builder.BuildMessageAndEnumDescriptors(file, names)
    builder.BuildTopDescriptorsAndMessages(file, names["__name__"], names)
