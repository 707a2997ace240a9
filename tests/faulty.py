"""Runs a writer again and again, each time killed, or told that the disk is full, at another of its system calls.

    python faulty.py FOLDER kill|full WRITER

Each time it is a fork, in a copy of the folder of its own, FOLDER.1, FOLDER.2 and so on. What writes to a file
counts too, by way of Python's own raw files. Prints the number of the call and the exit status, a line each; an
error's message goes to FOLDER.NUMBER.error. WRITER is ``text`` (a result.json), ``save`` or ``best`` (a run's),
``best slowly`` (where directories cannot be exchanged) or the path, in the folder, of a checkpoint that gets
what is in new.npz.
"""

import builtins
import errno
import io
import os
import pathlib
import shutil
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import slimft.errors  # noqa: E402
from slimft import files  # noqa: E402
from slimft.checkpoint import write_checkpoint  # noqa: E402

folder, kind, writer = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
left = 0


def point(calls):
    global left
    left -= 1
    if left == 0:
        if kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class RawFile(io.FileIO):
    def write(self, octets):
        point("write")
        return super().write(octets)


def opened(file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, closefd=True, opener=None):
    if not set(mode) & set("wax+"):
        return plain_open(file, mode, buffering, encoding, errors, newline, closefd, opener)
    point("open")
    raw = RawFile(file, mode.replace("b", "").replace("t", ""), closefd, opener)
    stream = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
    return stream if "b" in mode else io.TextIOWrapper(stream, encoding, errors, newline)


plain_open = builtins.open


def counted(function):
    def call(*arguments, **named):
        point(function.__name__)
        return function(*arguments, **named)

    return call


def arm(number):
    global left
    left = number
    builtins.open = io.open = opened
    # A full disk is no obstacle to the latter.
    freely = ["open", "close", "unlink", "rmdir"]
    for name in ["write", "fsync", "replace", "rename", "link", "mkdir", *(freely if kind == "kill" else [])]:
        setattr(os, name, counted(getattr(os, name)))


class CopyingSaver:
    """Stands for a Saver, so that no fork needs a session: saves the TensorFlow checkpoint FOLDER/new.ckpt."""

    def save(self, session, path, **options):
        for suffix in ("data-00000-of-00001", "index"):
            shutil.copyfile(f"{session}/new.ckpt.{suffix}", f"{path}.{suffix}")


def write(where):
    if writer == "text":
        files.write_atomically(where / "result.json", "new" * 5000)
    elif writer == "save":
        saving.CheckpointKeeper(where, 1).save(where, CopyingSaver(), 8)
    elif writer.startswith("best"):
        saving.CheckpointKeeper(where, 1).keep_as_best(str(where / "model.ckpt-8"), {"step": 8, "accuracy": 0.9})
    else:
        write_checkpoint(where / writer, slimft.open_checkpoint(where / "new.npz"))


if writer in ("save", "best", "best slowly"):
    from slimft.training import saving

    if writer == "best slowly":
        saving.exchange = lambda *_: False

for number in range(1, 1000):
    where = folder.with_name(f"{folder.name}.{number}")
    shutil.copytree(folder, where)
    child = os.fork()
    if child == 0:
        try:
            arm(number)
            write(where)
            status = 1 if left > 0 else 3
        except (OSError, slimft.errors.SlimftError) as error:
            plain_open(folder.with_name(f"{where.name}.error"), "w").write(str(error))
            status = 2
        os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status == 1:  # The writer came to its end.
        shutil.rmtree(where)
        break
    print(number, status, flush=True)
