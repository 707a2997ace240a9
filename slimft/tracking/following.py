"""A run's trackers, from where it trains: each has a process of its own, which reads the run's files."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import threading
from collections.abc import Iterator

from slimft.errors import SlimftError
from slimft.messages import say
from slimft.runs.settings import Settings
from slimft.runs.settings_file import SETTINGS_FILE
from slimft.system import environment_of_python
from slimft.tracking.base import FAILED, FINISHED, KILLED
from slimft.tracking.follower import stamp

# How long the end of a command waits for a tracker, which may take checkpoints at this rate.
_SECONDS, _BYTES_PER_SECOND = 120.0, 1e6
# Who has pressed Ctrl-C, or is preempted, has not so long.
_SECONDS_IF_KILLED = 15.0
_SILENT_SECONDS = 10.0


class TrackingError(SlimftError):
    """A tracker has not all of a run."""

    exit_status = 1


class _Following:
    """A process that follows a run for one tracker.

    Args:
        name: the tracker.
        settings: the run's, complete.
        before: `stamp` of the run's settings, which the run writes anew before it is told of.
    """

    def __init__(self, name: str, settings: Settings, before: list[int] | None):
        self.name, self._settings = name, settings
        assert settings.train_dir is not None  # `complete` has filled it in.
        told = {
            "tracker": name,
            "train_dir": os.path.abspath(settings.train_dir),
            "project": settings.track_project,
            "title": settings.track_name,
            "checkpoint": settings.track_checkpoint,
            "before": before,
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "slimft.tracking.follower", json.dumps(told)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=environment_of_python(),
            start_new_session=True,  # A Ctrl-C is for the training.
        )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            say(line.rstrip("\n"))

    def tell(self, status: str) -> None:
        """Tells it how the run has ended."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # It has ended before.
            self._process.stdin.write(f"{status}\n")
            self._process.stdin.close()

    def wait(self, seconds: float | None) -> bool:
        """Waits until it has ended, but no longer; returns whether the tracker has all of the run."""
        how = "in time"
        try:
            status = self._wait(seconds)
            self._listener.join(_SILENT_SECONDS)
            return status == 0
        except subprocess.TimeoutExpired:
            pass
        except KeyboardInterrupt:
            how = "before you stopped waiting"
        self._process.kill()
        self._process.wait()
        later = f"bin/report --track={self.name} {self._settings.train_dir}"
        say(f"{self.name} has not taken all of this run {how}; {later} makes up for it")
        return False

    def _wait(self, seconds: float | None) -> int:
        silent = _SILENT_SECONDS if seconds is None else min(_SILENT_SECONDS, seconds)
        try:
            return self._process.wait(silent)
        except subprocess.TimeoutExpired:
            if seconds == silent:
                raise
        say(f"waiting for {self.name} to take what is left of this run; Ctrl-C stops waiting")
        return self._process.wait(None if seconds is None else seconds - silent)


@contextlib.contextmanager
def followed(settings: Settings, stops: tuple[type[BaseException], ...]) -> Iterator[None]:
    """A context in which a run trains and its trackers, those of ``--track``, are told of it.

    Nothing that goes wrong with them is an error.

    Args:
        settings: the run's, complete.
        stops: the exceptions by which a run that is to go on later leaves the context.
    """
    assert settings.train_dir is not None  # `complete` has filled it in.
    before = stamp(pathlib.Path(settings.train_dir, SETTINGS_FILE))
    followings = []
    for name in settings.track:
        try:
            followings.append(_Following(name, settings, before))
        except OSError as error:
            say(f"{name} is not told of this run: {error.strerror}")
    stopping: tuple[type[BaseException], ...] = (*stops, KeyboardInterrupt)
    status, seconds = FINISHED, _SECONDS
    try:
        yield
        seconds += _size_of_checkpoints(settings) / _BYTES_PER_SECOND
    except stopping:
        status, seconds = KILLED, _SECONDS_IF_KILLED
        raise
    except BaseException:
        status = FAILED
        raise
    finally:
        for following in followings:
            following.tell(status)
        for following in followings:
            following.wait(seconds)


def upload(settings: Settings, status: str) -> None:
    """Tells the trackers of ``--track`` of a run that nobody trains now.

    Args:
        settings: the run's, with its `train_dir` and those of its trackers.
        status: how it has ended.

    Raises:
        TrackingError: one has not all of it; why was said.
    """
    followings = [_Following(name, settings, None) for name in settings.track]
    for following in followings:
        following.tell(status)
    lacking = [following.name for following in followings if not following.wait(None)]
    if lacking:
        raise TrackingError(f"{settings.train_dir}: not all of it is in {' and '.join(lacking)}; see above")


def _size_of_checkpoints(settings: Settings) -> int:
    if not settings.track_checkpoint:
        return 0
    folder = pathlib.Path(settings.train_dir or "")
    with contextlib.suppress(OSError):
        return sum(file.stat().st_size for file in folder.rglob("model.ckpt-*"))
    return 0
