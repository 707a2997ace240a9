"""Stands for `python ARGUMENT...`: has the server at the socket run it in a fork, and ends as that ends.

    python -S -E client.py SOCKET ARGUMENT...

Signals are passed on. SIGKILL, which is not, ends the command as soon as the server sees that its client is gone: a
test that goes on when the command is over waits for the end of its standard output or error.
"""

import os
import signal
import socket
import sys


def main(path, *arguments):
    """Runs the command; returns its exit status."""
    is_open = [is_there(number) for number in range(3)]
    # The socket is none of the standard descriptors that are closed.
    while min(is_open) == 0 and os.open(os.devnull, os.O_RDWR) < 3:
        pass
    server = socket.socket(socket.AF_UNIX)
    server.connect(path)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda number, _: server.sendall(bytes([number])))
    environment = [name + b"=" + value for name, value in os.environb.items()]
    parts = [b"%d" % len(arguments), os.fsencode(os.getcwd()), *map(os.fsencode, arguments), *environment]
    message = b"\0".join(parts)
    first = bytes([*is_open, 0]) + len(message).to_bytes(8, "little")
    socket.send_fds(server, [first], [number for number in range(3) if is_open[number]])
    server.sendall(message)
    answer = server.recv(4)
    if not answer:
        return "the server of the tests' processes is gone"
    status = int.from_bytes(answer, "little")
    if os.WIFSIGNALED(status):
        signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
        os.kill(os.getpid(), os.WTERMSIG(status))
    return os.WEXITSTATUS(status)


def is_there(descriptor):
    """Whether a descriptor is open."""
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
