"""What not every system has: calls that Linux has and others lack; where the user's caches are, a new Python.

Python leaves out of `os` what the system does not have. Elsewhere in slimft none of these is called directly.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import os
import pathlib
import platform
import re
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator

import numpy as np

from slimft.errors import UsageError
from slimft.imports import left_out
from slimft.messages import SafeStream

# Where there are no reads and writes at a position, the file's own position serves all threads.
_POSITION = threading.Lock()
# A named pipe without a writer would hang; Windows would translate line ends.
_FLAGS = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)

# In the environment: how many processes of a run are on this machine; bin/finetune --launch sets it.
LOCAL_PROCESSES = "SLIMFT_LOCAL_PROCESSES"
# glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def open_descriptor(path: str | os.PathLike, flags: int, mode: int = 0o666) -> int:
    """`os.open` that does not wait for a named pipe, of bytes as they are; fits `open` as its opener."""
    return os.open(path, flags | _FLAGS, mode)


def read_into(descriptor: int, buffer: np.ndarray, offset: int) -> int:
    """Reads from `offset` on into a contiguous buffer; returns how many bytes: fewer only at the file's end."""
    octets = buffer.data.cast("B")
    if hasattr(os, "preadv"):
        return os.preadv(descriptor, [octets], offset)
    if hasattr(os, "pread"):
        data = os.pread(descriptor, len(octets), offset)
    else:
        with _POSITION:
            os.lseek(descriptor, offset, os.SEEK_SET)
            data = os.read(descriptor, len(octets))
    octets[: len(data)] = data
    return len(data)


def write_at(descriptor: int, array: np.ndarray, offset: int) -> None:
    """Writes all of a contiguous array at `offset`."""
    octets = array.data.cast("B")
    while octets:
        if hasattr(os, "pwrite"):
            count = os.pwrite(descriptor, octets, offset)
        else:
            with _POSITION:
                os.lseek(descriptor, offset, os.SEEK_SET)
                count = os.write(descriptor, octets)
        octets, offset = octets[count:], offset + count


def will_read(descriptor: int, offset: int, size: int) -> None:
    """Tells the system that these bytes will be read soon, where it takes such hints."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, offset, size, os.POSIX_FADV_WILLNEED)


def lock(descriptor: int) -> bool:
    """Locks a file until `unlock`, or the process's end; False if another has locked it, or it cannot be."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (ImportError, OSError):
        return False
    return True


def unlock(descriptor: int) -> None:
    """Ends what `lock` began."""
    with contextlib.suppress(ImportError, OSError):
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_UN)


def local_processes() -> int:
    """How many processes of a run share this machine's processors and memory."""
    text = os.environ.get(LOCAL_PROCESSES, "")
    return max(1, int(text)) if re.fullmatch("[0-9]{1,4}", text) else 1


def processors() -> int:
    """How many processors this process may use: its share of them, where several of a run are on the machine."""
    if hasattr(os, "sched_getaffinity"):
        number = len(os.sched_getaffinity(0))
    else:
        number = os.cpu_count() or 1
    return max(1, number // local_processes())


@functools.cache
def processor_flags() -> frozenset[str]:
    """What Linux says that the processor can do, such as ``avx512_bf16``; empty elsewhere."""
    with contextlib.suppress(OSError):
        for line in pathlib.Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() in ("flags", "Features"):
                return frozenset(value.split())
    return frozenset()


def processor() -> str:
    """A text that is another for a processor that may compute, or round, otherwise."""
    flags = hashlib.blake2b(" ".join(sorted(processor_flags())).encode(), digest_size=8).hexdigest()
    return f"{platform.machine()} {flags}"


def return_memory() -> None:
    """Gives memory that was freed back to the system; glibc may keep some for each thread that has had it."""
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


def keep_freed_memory() -> None:
    """Lets glibc keep up to 64 MB that were freed, for what is allocated next.

    By itself it gives back the memory of each picture, and then the system clears it, page by page, for the next.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_M_MMAP_THRESHOLD, 32 << 20)
    mallopt(_M_TRIM_THRESHOLD, 64 << 20)


@functools.cache
def _malloc_trim() -> Callable[[int], int] | None:
    """glibc's function of that name, malloc(3); None with another C library."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None


def cache_folder(name: str) -> pathlib.Path:
    """The folder `name` of slimft's caches: ``$XDG_CACHE_HOME/slimft/NAME``, by default ``~/.cache/slimft/NAME``.

    An ``XDG_CACHE_HOME`` that is empty or relative is ignored, as the XDG Base Directory Specification has it.

    Raises:
        UsageError: there is no home folder either.
    """
    # Not platformdirs, which has other folders on macOS and Windows than the one that is documented.
    root = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(root):
        root = os.path.join(os.path.expanduser("~"), ".cache")
    if not os.path.isabs(root):
        raise UsageError("the home folder is unknown; set HOME, or XDG_CACHE_HOME to a folder for caches")
    return pathlib.Path(root, "slimft", name)


@contextlib.contextmanager
def quiet_standard_error() -> Iterator[None]:
    """Keeps back what is written to standard error meanwhile, by C++ too; shows it if there is an exception.

    For importing TensorFlow, which on its start writes notes that no log level stops. It also imports Keras, and
    what that imports, for two fifths of its time; no command uses them.
    """
    SafeStream(sys.stderr).flush()
    with contextlib.ExitStack() as stack:
        for package in ("keras", "tf_keras"):
            stack.enter_context(left_out(package))
        try:
            kept = stack.enter_context(tempfile.TemporaryFile())
            before = os.dup(2)
        except OSError:  # There is no room for a file, or standard error is closed.
            yield
            return
        stack.callback(os.close, before)
        stack.callback(os.dup2, before, 2)
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            kept.seek(0)
            with contextlib.suppress(OSError):
                os.write(before, kept.read())
            raise


def environment_of_python() -> dict[str, str]:
    """This environment, in which a new Python finds this slimft first, whatever its folder is."""
    package = str(pathlib.Path(__file__).resolve().parents[1])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))}
