"""Runs a step: ``bin/finetune`` in a process of its own, which is told to save and stop when the time is over."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable

from slimft.exercise.plan import Run
from slimft.messages import say
from slimft.system import environment_of_python

_POLL_SECONDS = 0.2


def run_step(run: Run, deadline: float, stopped: Callable[[], bool]) -> tuple[int, bool]:
    """Runs, or continues, a run to its end, to the deadline, or until it is stopped.

    The process is in a session of its own, so that Ctrl-C does not reach it twice: a second signal would kill it
    while it saves.

    Args:
        run: the run.
        deadline: by `time.monotonic`.
        stopped: whether somebody wants to stop.

    Returns:
        Its exit status, and whether it was told to stop.
    """
    told = False
    with subprocess.Popen(
        [sys.executable, "-m", "slimft.cli.exercise_step", *run.command],
        env=environment_of_python(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            while process.poll() is None:
                if not told and (stopped() or time.monotonic() >= deadline):
                    told = True
                    say("saving and stopping; that takes some seconds")
                    process.send_signal(signal.SIGTERM)
                time.sleep(_POLL_SECONDS)
        except BaseException:
            process.kill()
            raise
    return process.returncode, told
