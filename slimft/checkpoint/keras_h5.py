"""Keras weight files (HDF5) as checkpoints.

HDF5 is read by a child process: its C code crashes, hangs or takes any memory on damaged files. A process that is
started afresh, and not forked, has nothing of TensorFlow's threads and locks, of the parent's memory and of its
open files; it costs the start of Python and the import of h5py, a tenth of a second. Values that lie in the file
just as NumPy has them, which is how Keras writes them, are then read here as those of other formats are.
"""

from __future__ import annotations

import importlib.util
import io
import json
import math
import os
import pathlib
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np

from slimft.checkpoint.base import Checkpoint, Listing
from slimft.checkpoint.dtypes import dtype_of_name
from slimft.checkpoint.tensor_proto import checked_shape
from slimft.wire.binary_file import BinaryFile, Malformed, aligned_buffer

_CHILD = str(pathlib.Path(__file__).with_name("hdf5_child.py"))
# What the child may take of memory: for itself, for each byte of the file, and for each byte of the values that are
# read, as filters have a chunk before and after them.
_FIXED_BYTES = 64 << 20
_BYTES_PER_BYTE = 2
_BYTES_PER_VALUE_BYTE = 5
# A listing has fewer bytes than the file: a dataset takes hundreds in it.
_FEW_LISTED_BYTES = 1 << 20
# Of a processor's time; by the clock it may take longer, as where the file comes over a network.
_LEAST_SECONDS = 10
_BYTES_PER_SECOND = 10_000_000
_CLOCK_FACTOR = 6
# Deflate, the usual compression, makes at most 1032 bytes of one.
_MOST_EXPANSION = 1032


_Answer = TypeVar("_Answer")


class KerasH5Checkpoint(Checkpoint):
    """The datasets of an HDF5 file, by their path in it (``block1/layers/conv2d/vars/0``).

    Args:
        path: the file.

    Attributes:
        layers: the names of Keras' layers by the path of the group with their weights, where the file tells them.

    Raises:
        Malformed: h5py is not installed, or the file is not HDF5.
        OSError: the file cannot be opened.
    """

    format = "keras_h5"

    def __init__(self, path: str):
        if importlib.util.find_spec("h5py") is None:
            raise Malformed("reading HDF5 needs h5py: pip install h5py")
        self.path = path
        self._file = BinaryFile(path)
        self._child = _Child(path, self._file)
        try:
            listing = self._child.list()
        except Malformed as error:
            raise Malformed(f"it is not a readable HDF5 file: {error}") from None
        self.layers: dict[str, str] = listing["layers"]
        self._variables: dict[str, tuple[tuple[int, ...], np.dtype]] = {}
        self._offsets: dict[str, int] = {}
        for name, shape, dtype, offset in listing["variables"]:
            # HDF5 has no bfloat16; Keras leaves it to h5py, which writes two bytes of no meaning.
            known = dtype_of_name("bfloat16") if dtype == "|V2" else np.dtype(dtype)
            self._variables[name] = checked_shape(shape), known
            if offset is not None:
                self._offsets[name] = offset
        if not self._variables:
            raise Malformed("it holds no arrays of numbers")
        if len(self._offsets) == len(self._variables):
            self._child.end()

    def _shapes_and_dtypes(self) -> Listing:
        return self._variables

    def _read(self, name: str) -> np.ndarray:
        shape, dtype = self._variables[name]
        size = math.prod(shape) * dtype.itemsize
        if size > self._file.size * _MOST_EXPANSION:
            raise Malformed(f"its shape {list(shape)} is more than what is stored in {self._file.size} bytes")
        if name in self._offsets:
            end = self._offsets[name] + size
            if end > self._file.size:
                raise Malformed(f"it ends at byte {end} of {self._file.size}; the file is cut short")
            octets = aligned_buffer(size)
            self._file.read_into(octets, self._offsets[name])
        else:
            octets = self._child.read(name, size)
            self._file.check_unchanged()
        return octets.view(dtype).reshape(shape)


class _Child:
    """The process that reads HDF5 for one checkpoint: started when it is needed, also again after it ended.

    Args:
        path: the file.
        file: the same, opened; it is what the child reads even if `path` becomes another file.
    """

    def __init__(self, path: str, file: BinaryFile):
        self._path, self._file = path, file
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._finalizer: Callable[[], Any] | None = None

    def list(self) -> dict:
        """The listing that `hdf5_child` describes."""
        most = _FEW_LISTED_BYTES + self._file.size
        # JSON has up to six bytes for one character of a name.
        return self._ask({"list": most}, 0, lambda stream: _receive(stream, 6 * most))

    def read(self, name: str, size: int) -> np.ndarray:
        """The `size` bytes of the dataset `name`."""
        if not size:
            return np.empty(0, np.uint8)
        return self._ask({"read": name}, size, lambda stream: _receive_values(stream, size))

    def end(self) -> None:
        """Ends the process, if there is one."""
        if self._finalizer is not None:
            self._finalizer()

    def _ask(self, request: dict, size: int, receive: Callable[[io.RawIOBase], _Answer]) -> _Answer:
        seconds = _LEAST_SECONDS + (self._file.size + size) // _BYTES_PER_SECOND
        memory = _FIXED_BYTES + _BYTES_PER_BYTE * self._file.size + _BYTES_PER_VALUE_BYTE * size
        with self._lock:
            # A process that was forked from this one must not talk to the child of another.
            process = self._process
            if process is None or process.poll() is not None or self._owner != os.getpid():
                process = self._start()
            # Not buffered: see `_start`.
            requests, replies = cast(io.RawIOBase, process.stdin), cast(io.RawIOBase, process.stdout)
            late = threading.Event()

            def give_up() -> None:
                late.set()
                process.kill()

            timer = threading.Timer(_CLOCK_FACTOR * seconds, give_up)
            timer.daemon = True
            timer.start()
            try:
                requests.write(json.dumps({**request, "memory": memory, "seconds": seconds}).encode() + b"\n")
                return receive(replies)
            except Malformed:
                raise  # Which is an answer too.
            except (EOFError, BrokenPipeError):
                status = _wait(process)
                self.end()
                raise Malformed(_why_ended(status, late.is_set(), seconds)) from None
            except BaseException:
                self.end()  # Else the rest of this answer would be taken for the next.
                raise
            finally:
                timer.cancel()

    def _start(self) -> subprocess.Popen[bytes]:
        self.end()
        if not sys.executable:
            raise Malformed("reading HDF5 needs a Python to start, and sys.executable names none")
        descriptor = f"/dev/fd/{self._file.fileno()}"
        inherited = os.path.exists(descriptor)
        modules = [path for path in sys.path if isinstance(path, str)]
        settings = json.dumps({"file": descriptor if inherited else self._path, "sys_path": modules})
        # HDF5 loads filters that it does not know from a folder of plug-ins, unless told not to.
        environment = {**os.environ, "HDF5_PLUGIN_PRELOAD": "::", "OPENBLAS_NUM_THREADS": "1"}
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", _CHILD, settings],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env=environment,
            pass_fds=[self._file.fileno()] if inherited else (),
        )
        self._process, self._owner = process, os.getpid()
        self._finalizer = weakref.finalize(self, _end, process, self._owner)
        return process


def _end(process: subprocess.Popen[bytes], owner: int) -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()
    if owner == os.getpid():
        process.kill()
        process.wait()


def _receive(stream: io.RawIOBase, most: int) -> dict:
    """One reply of at most so many bytes.

    Raises:
        EOFError: there is none, or it cannot be understood.
        Malformed: it is an error.
    """
    size = int.from_bytes(_fill(stream, np.empty(8, np.uint8)).tobytes(), "little")
    if size > most + 10_000:  # An error takes at most so much.
        raise EOFError
    try:
        reply = json.loads(_fill(stream, np.empty(size, np.uint8)).tobytes())
    except ValueError:
        raise EOFError from None
    if "error" in reply:
        raise Malformed(reply["error"])
    return reply


def _receive_values(stream: io.RawIOBase, size: int) -> np.ndarray:
    """The `size` bytes of a dataset, of which there is at least one."""
    octets, end = np.empty(0, np.uint8), 0
    while end < size:
        count = _receive(stream, 0)["bytes"]
        # Memory is taken when there is something for it.
        octets = octets if octets.size else aligned_buffer(size)
        if not 0 < count <= size - end:
            raise EOFError
        _fill(stream, octets[end : end + count])
        end += count
    return octets


def _fill(stream: io.RawIOBase, octets: np.ndarray) -> np.ndarray:
    """Fills `octets` from a pipe; raises EOFError if it ends before."""
    end = 0
    while end < octets.size:
        count = stream.readinto(octets[end:].data)
        if not count:
            raise EOFError
        end += count
    return octets


def _wait(process: subprocess.Popen[bytes]) -> int | None:
    """The status of a process that has ended or is about to; None if it does not."""
    try:
        return process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        return None


def _why_ended(status: int | None, late: bool, seconds: int) -> str:
    """What is said of a child that ended with this status before it had answered."""
    if status is None:
        return "what HDF5 finds in it is absurd: the file is damaged"
    name = signal.Signals(-status).name if -status in set(signal.Signals) else f"status {status}"
    if late or name == "SIGXCPU":
        return f"HDF5 was not done with it after {seconds} s: the file is damaged"
    if name == "SIGKILL":
        return "the process that reads HDF5 was killed; is there enough memory?"
    return f"HDF5 crashed on it ({name}): the file is damaged"
