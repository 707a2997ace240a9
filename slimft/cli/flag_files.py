"""Files of --flagfile, looked at before absl reads them: it takes any kind of file, of any size and depth."""

from __future__ import annotations

import os
from collections.abc import Iterable

from slimft.errors import UsageError
from slimft.files import read_bounded
from slimft.local_paths import check_local

# Of all files together, each as often as it is named; a run's flags.txt has some hundreds.
_MOST_BYTES = 1 << 20
_MOST_DEPTH = 10
# To suggest others, absl compares the name of an unknown flag with all there are, letter by letter, recursively.
_MOST_NAME = 100
_SPELLINGS = ("--flagfile", "-flagfile")


def check_flag_files(arguments: Iterable[str]) -> None:
    """Checks the files that the arguments name with --flagfile, and those that these name; and the flags' names.

    Raises:
        DataError: a file cannot be read.
        UsageError: one is no text, or names itself, or they have too much in them; a flag's name is absurdly long.
    """
    _check(list(arguments), (), _MOST_BYTES)


def _check(lines: list[str], above: tuple[str, ...], left: int) -> int:
    """Checks the files that `lines` name; returns how many bytes more there may be.

    Args:
        lines: arguments, or the lines of a file.
        above: the file that they are of, behind those which name it.
        left: how many bytes there may be.
    """
    for line, following in zip(lines, [*lines[1:], ""]):
        name, equals, value = line.strip().partition("=")
        if line == "--" and not above:
            break
        if name.startswith("-") and len(name) > _MOST_NAME:
            raise UsageError(f"unknown flag {name[:_MOST_NAME]}..., of {len(name):,} characters; see --help")
        file = os.path.expanduser((value if equals else following).strip())
        if name not in _SPELLINGS or not file:
            continue
        check_local(file, "--flagfile")
        if file in above or len(above) == _MOST_DEPTH:
            raise UsageError(f"--flagfile={file}: files of flags name each other too deeply, or in a circle")
        data = read_bounded(file, _MOST_BYTES)
        left -= len(data)
        if left < 0:
            raise UsageError(f"--flagfile={file}: files of flags have more than {_MOST_BYTES:,} bytes together")
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise UsageError(f"--flagfile={file} is not text in UTF-8 (at byte {error.start})") from None
        if "\0" in text:
            raise UsageError(f"--flagfile={file} has a NUL character in it; restore or mend the file")
        left = _check(text.splitlines(), (*above, file), left)
    return left
