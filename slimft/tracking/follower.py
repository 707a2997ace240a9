"""The process that tells one tracker of one run; `slimft.tracking.following` starts it.

Its standard input ends with a line that says how the run has ended; where that ends without one, the run's process
was killed. On standard output it says what a person should know, a line each. Its exit status is 0 if the tracker
has all of the run, and 1 if not. Signals are for the run: whatever comes, it ends when its input does.
"""

from __future__ import annotations

import importlib
import json
import os
import pathlib
import queue
import signal
import sys
import threading
import time
from collections.abc import Iterable
from typing import Any, TextIO

from slimft.messages import one_line, printable
from slimft.runs.history_file import HISTORY_FILE
from slimft.runs.settings_file import SETTINGS_FILE
from slimft.tracking import TRACKERS
from slimft.tracking.base import ENDINGS, KILLED, without_users
from slimft.tracking.upload import Upload

# Between two looks at the run's files, and after a look that failed.
_LOOK_SECONDS, _AGAIN_SECONDS = 1.0, 60.0
_MOST_SAID = 160


def stamp(file: str | os.PathLike) -> list[int] | None:
    """What is another after a file was written; None while it is not there."""
    try:
        state = os.stat(file)
    except OSError:
        return None
    return [state.st_ino, state.st_mtime_ns, state.st_size]


class _Follower:
    """Keeps a tracker up to date with a run, and says what goes wrong, once."""

    def __init__(self, arguments: dict[str, Any], out: TextIO):
        self._arguments, self._out = arguments, out
        self._dir = pathlib.Path(arguments["train_dir"])
        self._name: str = arguments["tracker"]
        self._upload: Upload | None = None
        self._seen: object = None
        self._not_before = 0.0
        self._failure = ""

    def look(self) -> None:
        """Tells the tracker what is new, if anything is; the training is under way."""
        seen = [stamp(self._dir / name) for name in (SETTINGS_FILE, HISTORY_FILE, "checkpoint")]
        if not self._is_written() or seen == self._seen or time.monotonic() < self._not_before:
            return
        try:
            self._say_all(self._connected().update())
            self._seen = seen
        except Exception as error:
            self._not_before = time.monotonic() + _AGAIN_SECONDS
            if not self._failure:
                self._say(f"{self._name} does not get what is new ({_reason(error)}); the training goes on without")
            self._failure = _reason(error)

    def finish(self, status: str) -> int:
        """Tells the tracker how the run has ended; returns the exit status."""
        if not self._is_written():  # It has ended before it began.
            return 0
        try:
            self._say_all(self._connected().finish(status))
            return 0
        except Exception as error:
            why = "" if _reason(error) == self._failure else f" ({_reason(error)})"
            later = f"bin/report --track={self._name} {self._dir}"
            self._say(f"{self._name} has not all of this run{why}; {later} makes up for it")
            return 1

    def _is_written(self) -> bool:
        """Whether the run has written its settings since this process was started."""
        return stamp(self._dir / SETTINGS_FILE) not in (None, self._arguments["before"])

    def _connected(self) -> Upload:
        if self._upload is None:
            told = self._arguments
            tracker = importlib.import_module(TRACKERS[self._name]).connect()
            self._upload = Upload(
                self._dir, tracker, self._name, told["project"], told["title"], told["checkpoint"]
            )
        return self._upload

    def _say_all(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._say(line)

    def _say(self, line: str) -> None:
        try:
            print(printable(line), file=self._out, flush=True)
        except OSError:  # Nobody listens any more.
            pass


def _reason(error: Exception) -> str:
    """The first line of what an error says, without passwords."""
    text = without_users(str(error)).strip()
    said = one_line(text.splitlines()[0] if text else "")
    said = said if len(said) <= _MOST_SAID else f"{said[:_MOST_SAID]}..."
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _read_endings(stream: TextIO, endings: queue.Queue[str]) -> None:
    ending = stream.readline().strip()
    endings.put(ending if ending in ENDINGS else KILLED)


def main() -> int:
    """Follows the run that the first argument tells, as JSON; returns the exit status."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    out = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="backslashreplace")
    # Whatever a tracker's package prints, it says in here.
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    follower = _Follower(json.loads(sys.argv[1]), out)
    endings: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_read_endings, args=(sys.stdin, endings), daemon=True).start()
    while True:
        try:
            return follower.finish(endings.get(timeout=_LOOK_SECONDS))
        except queue.Empty:
            follower.look()


if __name__ == "__main__":
    sys.exit(main())
