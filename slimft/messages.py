"""What a person is told, on standard error: it never fails, and nothing in it steers a terminal or deceives.

`say` is the one way to write a message. `SafeStream` is what the commands put in the place of standard output and
standard error, so that whatever else prints there (tracebacks, warnings) is escaped too.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any, TextIO

# Python calls these printable, but they take no room or look like a space: Unicode's default-ignorable letters and
# marks (DerivedCoreProperties.txt), and the blank of Braille.
_INVISIBLE = frozenset(
    chr(code)
    for first, last in (
        (0x034F, 0x034F),
        (0x115F, 0x1160),
        (0x17B4, 0x17B5),
        (0x180B, 0x180F),
        (0x2800, 0x2800),
        (0x3164, 0x3164),
        (0xFE00, 0xFE0F),
        (0xFFA0, 0xFFA0),
        (0xE0100, 0xE01EF),
    )
    for code in range(first, last + 1)
)


def printable(text: str) -> str:
    """`text` with escapes for what would break a line, steer the terminal, deceive the eye or be no Unicode.

    These are the control characters (also of C1), line and paragraph separators, marks that change the direction
    of the text or take no room, spaces other than the usual one, and lone surrogates.

    >>> print(printable("fc8\\x1b[2J \\u202eé"))
    fc8\\x1b[2J \\u202eé
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char if char.isprintable() and char not in _INVISIBLE else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def one_line(text: object) -> str:
    """What `text`, such as an error, says, as one line."""
    return printable(" ".join(str(text).split()))


class SafeStream:
    """A text stream whose lines are escaped as by `printable`.

    Args:
        stream: where to; None, as Python has it for a standard stream that is closed.
        name: what an error calls it; None to take all errors upon itself: nothing is written then.
        escape: False for a progress bar, which has to steer the terminal.
    """

    def __init__(self, stream: TextIO | SafeStream | None, name: str | None = None, escape: bool = True):
        self._wrapped = stream
        self._name = name
        self._escape = escape

    def write(self, text: str) -> int:
        """Writes `text`, of one line or several."""
        shown = "\n".join(map(printable, text.split("\n"))) if self._escape else text
        with self._errors():
            if self._wrapped is None:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            encoding = getattr(self._wrapped, "encoding", None) or "utf-8"
            self._wrapped.write(shown.encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Writes each of `lines`."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Hands on what was written."""
        with self._errors():
            if self._wrapped is not None:
                self._wrapped.flush()

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        try:
            return self._wrapped is not None and self._wrapped.isatty()
        except ValueError:  # It is closed.
            return False

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:  # ValueError: it was closed by its owner.
            if self._name is not None:
                number = getattr(error, "errno", None) or errno.EBADF
                raise OSError(number, os.strerror(number), self._name) from None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_wrapped"], name)

    # tqdm asks whether a bar and a message share a stream.
    def __eq__(self, other: object) -> bool:
        return isinstance(other, SafeStream) and _innermost(self) is _innermost(other)

    def __hash__(self) -> int:
        return id(_innermost(self))


def _innermost(stream: TextIO | SafeStream | None) -> TextIO | None:
    while isinstance(stream, SafeStream):
        stream = stream._wrapped
    return stream


def stream_for_bars() -> SafeStream:
    """Standard error for a progress bar: it may steer the terminal, and never fails."""
    return SafeStream(_innermost(sys.stderr), escape=False)


def is_of_notebook(stream: TextIO | SafeStream | None) -> bool:
    """Whether what is written to `stream` appears in the output of a Jupyter notebook's cell."""
    kernels = sys.modules.get("ipykernel.iostream")  # What has not been imported runs no cell.
    return kernels is not None and isinstance(_innermost(stream), kernels.OutStream)


def is_redrawn(stream: SafeStream) -> bool:
    """Whether a line on `stream` can be written over, as on a terminal and in a notebook."""
    return stream.isatty() or is_of_notebook(stream)


# Whether only errors are said: another process says the rest.
_is_quiet = False


def quiet(quiet: bool) -> None:
    """Lets `say` write nothing but errors, or everything again. One of several processes of a run says the rest."""
    global _is_quiet
    _is_quiet = quiet


def is_quiet() -> bool:
    """Whether nothing but errors is said."""
    return _is_quiet


def say(*lines: str, error: bool = False) -> None:
    """Writes lines to standard error (in a notebook, the cell's output), above the progress bar if there is one.

    Never fails: what a closed or full standard error does not take is lost, and the work goes on.

    Args:
        lines: a line each; a line end inside one is escaped, because it may come from a file's name.
        error: whether they say why the work has ended.
    """
    if _is_quiet and not error:
        return
    stream = SafeStream(sys.stderr)
    with _above_the_bar(stream):
        stream.write("".join(f"{printable(line)}\n" for line in lines))
        stream.flush()


def _above_the_bar(stream: SafeStream) -> contextlib.AbstractContextManager[None]:
    tqdm = getattr(sys.modules.get("tqdm"), "tqdm", None)  # Where nobody has imported it, there is no bar.
    if tqdm is None or not is_redrawn(stream):
        return contextlib.nullcontext()
    # What tqdm compares with the bar's stream, it takes out of a wrapper first.
    return tqdm.external_write_mode(file=SafeStream(stream))
