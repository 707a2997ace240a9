"""Imports TensorFlow once and runs each command that a client.py asks for in a fork of itself.

    python server.py DESCRIPTOR

The descriptor is of a socket that listens. Such a process is as any other (it has arguments, an environment, a
folder, streams and an exit status of its own, and is killed alone), but begins with TensorFlow and slimft.compat
imported, which takes seconds. The server ends when its standard input does.
"""

import atexit
import contextlib
import gc
import os
import pathlib
import runpy
import select
import signal
import socket
import sys
import threading
import types

ROOT = str(pathlib.Path(__file__).resolve().parents[2])


def serve(descriptor):
    """Answers clients; returns, in the fork of one, what its command is: arguments, environment, folder."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(fileno=descriptor) as listener:
        while True:
            ready, _, _ = select.select([listener, 0], [], [])
            if 0 in ready:
                os._exit(0)
            connection, _ = listener.accept()
            if os.fork() == 0:
                break
            connection.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    return begin(connection)


def begin(connection):
    """Forks once more: returns in the command's process; the other one is between it and the client."""
    first, descriptors, _, _ = socket.recv_fds(connection, 12, 3)
    is_open, size = first[:3], int.from_bytes(first[4:], "little")
    parts = connection.makefile("rb").read(size).split(b"\0")
    pid = os.fork()
    if pid:
        watch(connection, pid)
    connection.close()
    descriptors = iter(descriptors)
    given = [next(descriptors) if one else None for one in is_open]
    # Out of the way first: one of them may have another's number.
    given = [None if one is None else os.dup2(one, 100 + number, False) for number, one in enumerate(given)]
    os.closerange(0, 100)
    for number, one in enumerate(given):
        if one is not None:
            os.dup2(one, number)
            os.close(one)
    count = int(parts[0])
    folder, arguments, environment = parts[1], parts[2 : 2 + count], parts[2 + count :]
    return [*map(os.fsdecode, arguments)], dict(one.split(b"=", 1) for one in environment), folder


def watch(connection, pid):
    """Passes on the client's signals, kills what has no client any more, and tells the status in the end."""
    process = os.pidfd_open(pid)
    while True:
        ready, _, _ = select.select([connection, process], [], [])
        if process in ready:
            _, status = os.waitpid(pid, 0)
            with contextlib.suppress(OSError):
                connection.sendall(status.to_bytes(4, "little"))
            os._exit(0)
        os.kill(pid, (connection.recv(1) or b"\x09")[0])


def streams():
    """The standard streams, of the descriptors that are open now."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            stream = None
        else:
            errors = "backslashreplace" if number == 2 else "strict"
            buffering = 1 if number == 2 or os.isatty(number) else -1
            stream = open(number, "w" if number else "r", buffering, errors=errors, closefd=False)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def run(arguments):
    """Runs a script, ``-m module`` or ``-c code``, as Python does."""
    sys.orig_argv = [sys.executable, *arguments]
    if arguments[0] == "-c":
        sys.argv, sys.path[0] = ["-c", *arguments[2:]], ""
        module = sys.modules["__main__"] = types.ModuleType("__main__")
        exec(compile(arguments[1], "<string>", "exec"), vars(module))
    elif arguments[0] == "-m":
        sys.argv, sys.path[0] = arguments[1:], os.getcwd()
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv, sys.path[0] = arguments, os.path.dirname(os.path.abspath(arguments[0]))
        runpy.run_path(arguments[0], run_name="__main__")


def leave(status):
    """Ends the process as Python does, but leaves the modules as they are: to take them apart takes a second.

    Args:
        status: what SystemExit has: a number, None or a message.
    """
    if status is not None and not isinstance(status, int):
        print(status, file=sys.stderr)
        status = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except (OSError, ValueError):
            status = 120 if stream is sys.stdout and not stream.closed else status
    os._exit((status or 0) & 255)


if __name__ == "__main__":
    sys.path.insert(1, ROOT)
    from slimft.cli.common import quiet_standard_error

    with quiet_standard_error():  # As the commands do, which leave Keras out.
        import slimft.compat  # noqa: F401

    gc.freeze()  # A collection does not touch, and so copy, what all forks share.
    arguments, environment, folder = serve(int(sys.argv[1]))
    os.environb.clear()
    os.environb.update(environment)
    os.chdir(folder)
    given = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    sys.path[1:2] = [one for one in given if one not in sys.path[2:]]
    streams()
    try:
        run(arguments)
    except SystemExit as end:
        leave(end.code)
    leave(0)
