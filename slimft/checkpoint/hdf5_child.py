"""Reads one HDF5 file in a process of its own, for `keras_h5`: HDF5's C code crashes on damaged files, or hangs.

A script: run by its path, with the settings as JSON in its only argument. It imports nothing of slimft, so that it
starts as fast as Python, NumPy and h5py do. A request is a line of JSON on standard input. A reply on standard
output is 8 bytes with the length of a JSON object, that object, and behind it the values where it tells their
`bytes`.

    {"list": most}      the datasets and what Keras notes about layers, while the names have at most so many bytes
    {"read": name}      the values of a dataset, in as many replies as they take

A reply of {"error": reason} says why not, or why not all. What the process may take of memory and of the
processor's time is part of each request; where the system has no such limits, the parent's clock remains.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys

TYPE_CHECKING = False  # As typing has it, without the time that its import takes.
if TYPE_CHECKING:
    from typing import Any, BinaryIO

    import numpy as np

# Keras' names of nested models have hundreds of characters. The time for a chain of groups grows with its cube.
_MOST_NAME = 4096
_MOST_DEPTH = 200
# NumPy's largest number is a complex one of two long doubles; opening larger types costs memory for nothing.
_MOST_ITEM_BYTES = 32
_PIECE = 16 << 20
# Deflate, the usual compression, makes at most 1032 bytes of one.
_MOST_EXPANSION = 1032


class Refused(ValueError):
    """What the file asks for is not read; the message is the reason."""


def main() -> None:
    settings = json.loads(sys.argv[1])
    sys.path[:] = settings["sys_path"]
    import h5py

    replies = sys.stdout.buffer
    file = None
    for line in sys.stdin.buffer:
        request = json.loads(line)
        limit(request["memory"], request["seconds"])
        try:
            # Each chunk is read once, and a cache would keep whatever its filters took on the way.
            file = file or h5py.File(settings["file"], "r", rdcc_nbytes=0)
            if "list" in request:
                send(replies, listing(file, request["list"]))
            else:
                send_values(replies, file[request["read"]])
        except MemoryError:
            send(replies, {"error": "it takes more memory than a file of its size should"})
        except Exception as error:  # h5py raises what HDF5 reports as any of a dozen kinds.
            send(replies, {"error": str(error).replace(settings["file"], "the file")[:1000]})


def limit(memory: int, seconds: int) -> None:
    """Sets how many bytes more than now, and seconds of a processor, the process may take."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        at_most(resource.RLIMIT_CORE, 0)
        at_most(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + seconds)
        with open("/proc/self/statm") as stream:
            size = int(stream.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        at_most(resource.RLIMIT_AS, size + memory)


def at_most(kind: int, value: int) -> None:
    """Sets a soft limit, unless a lower one is there that cannot be raised."""
    import resource

    hard = resource.getrlimit(kind)[1]
    resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def send(replies: BinaryIO, reply: dict) -> None:
    text = json.dumps(reply).encode()
    replies.write(len(text).to_bytes(8, "little") + text)
    replies.flush()


def listing(file: Any, most: int) -> dict:
    """Every dataset as [name, shape, dtype, offset in the file or None], and the layers' names by their group's."""
    import h5py

    variables: list[list] = []
    layers: dict[str, str] = {}
    left = most

    def count(*names: str) -> None:
        nonlocal left
        left -= sum(64 + len(name) for name in names)
        if left < 0:
            raise Refused("it has absurdly many names, or long ones, for its size")

    def add(name: str, item: Any) -> None:
        if len(name) > _MOST_NAME or name.count("/") > _MOST_DEPTH:
            raise Refused(f"a name in it has {len(name)} characters and {name.count('/')} groups")
        if isinstance(item, h5py.Group):
            # Keras' legacy layout has a group for each layer; Keras 3 numbers them and notes their names.
            layer = text_attribute(item, "name") if name.endswith("/vars") else None
            if layer is not None or "weight_names" in item.attrs:
                layers[name] = layer or name
                count(name, layer or name)
        elif isinstance(item, h5py.Dataset) and item.shape is not None:
            kind = item.id.get_type()
            dtype = item.dtype if kind.get_size() <= _MOST_ITEM_BYTES else None
            if dtype is not None and is_number(dtype):
                count(name, *map(str, item.shape))
                variables.append([name, item.shape, dtype.str, contiguous(item.id, kind, dtype)])

    file.visititems(add)
    return {"variables": variables, "layers": layers}


def is_number(dtype: np.dtype) -> bool:
    """Whether values are numbers, or two bytes of no meaning, which is how h5py writes bfloat16."""
    return dtype.kind in "biufc" or dtype == "V2"


def text_attribute(group: Any, name: str) -> str | None:
    """An attribute that is one string; None if it is anything else, which may be of any size."""
    import h5py

    if name not in group.attrs:
        return None
    attribute = group.attrs.get_id(name)
    if attribute.shape != () or h5py.check_string_dtype(attribute.dtype) is None:
        return None
    if attribute.get_type().get_size() > _MOST_NAME:
        return None
    value = group.attrs[name]
    value = value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value
    return value if isinstance(value, str) and len(value) <= _MOST_NAME else None


def contiguous(dataset: Any, kind: Any, dtype: np.dtype) -> int | None:
    """Where in the file the values lie one after the other just as NumPy has them; None if they do not.

    Args:
        dataset: the dataset's identifier, as h5py's low-level functions take it.
        kind: its type in the file.
        dtype: NumPy's.
    """
    import h5py

    layout = dataset.get_create_plist()
    if layout.get_layout() != h5py.h5d.CONTIGUOUS or layout.get_external_count():
        return None
    same = dtype.kind == "V" or (dtype.kind in "iuf" and kind == h5py.h5t.py_create(dtype))
    whole = dataset.get_storage_size() == math.prod(dataset.shape) * dtype.itemsize
    return dataset.get_offset() if same and whole else None


def send_values(replies: BinaryIO, dataset: Any) -> None:
    """Sends a dataset's values, a number of whole rows of chunks at a time."""
    import numpy as np

    check_stored(dataset)
    size, dtype = dataset.nbytes, dataset.dtype
    if not dataset.shape:
        send_piece(replies, np.asarray(dataset[()], dtype).tobytes())
        return
    rows = dataset.shape[0]
    chunk = dataset.chunks[0] if dataset.chunks else 1
    step = max(1, _PIECE * rows // max(size, 1) // chunk) * chunk
    for start in range(0, rows, step):
        piece = np.empty((min(step, rows - start), *dataset.shape[1:]), dtype)
        dataset.read_direct(piece, np.s_[start : start + len(piece)])
        send_piece(replies, piece.reshape(-1).view(np.uint8).data)
        del piece  # Before there is another.


def send_piece(replies: BinaryIO, octets: bytes | memoryview) -> None:
    send(replies, {"bytes": len(octets)})
    replies.write(octets)
    replies.flush()


def check_stored(dataset: Any) -> None:
    """Raises Refused if the values lie in other files, or claim to be more than what is stored can mean."""
    if dataset.external or dataset.is_virtual:
        raise Refused("its values lie in other files, whichever its writer chose; they are not read")
    # Chunks that were never written, or compressed ones, could claim any size.
    stored = dataset.id.get_storage_size()
    most = max(stored, 1) * _MOST_EXPANSION
    if dataset.nbytes > most:
        raise Refused(f"its shape {list(dataset.shape)} is more than the {stored} bytes stored")
    if dataset.chunks and math.prod(dataset.chunks) * dataset.dtype.itemsize > most:
        raise Refused(f"its chunks {list(dataset.chunks)} are more than the {stored} bytes stored")


if __name__ == "__main__":
    main()
