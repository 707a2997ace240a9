"""bin/finetune --launch: starts the workers of a run on this machine, and starts them again when one is lost.

The supervisor loads no TensorFlow. It tells the workers of each other by TF_CONFIG, as any cluster does. A group
that has lost a worker is broken: a new one goes on, from the last checkpoint.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Sequence

from slimft.cli.workers import CLUSTER, HAS_SAVED, LOST, NAME, Patience, gpus_of, started, tell
from slimft.errors import UsageError
from slimft.training.signals import LAUNCHED, StopSignals

_MOST_STATE_BYTES = 1 << 20


def is_worker() -> bool:
    """Whether this process was started by a supervisor."""
    return LAUNCHED in os.environ


def has_saved() -> bool:
    """Whether the run of this worker has saved since its supervisor was started."""
    return HAS_SAVED in os.environ


def check(number: int, min_workers: int | None) -> None:
    """Raises UsageError if so many workers cannot be launched here."""
    if os.name != "posix":
        raise UsageError(f"--launch={number}: this system has no signals to stop processes by; leave it out")
    if CLUSTER in os.environ:
        raise UsageError(
            f"--launch={number}: {CLUSTER} is set in the environment, which is for workers that are started one by "
            "one; unset it, or leave --launch out"
        )
    gpus_of(0, number)
    if min_workers is not None and min_workers > number:
        raise UsageError(f"--min_workers={min_workers} is more than --launch={number}; choose a smaller one")


def worker_command(arguments: Sequence[str]) -> list[str]:
    """The command of a worker, with the arguments of bin/finetune."""
    return [sys.executable, "-m", "slimft.cli.launched", *arguments]


def supervise(
    command: Sequence[str],
    number: int,
    train_dir: str,
    max_restarts: int = 3,
    min_workers: int | None = None,
    patience: Patience = Patience(),  # noqa: B008 - immutable
) -> int:
    """Runs workers to the end of their run; starts all of them again when one is lost.

    SIGINT, SIGTERM and SIGHUP go to each worker once, and a second one ends all at once. Standard output and
    standard error of worker 0 are the supervisor's own. Of the others, lines on standard error are said with their
    number.

    Args:
        command: of a worker. Its standard input comes to an end when the supervisor does.
        number: of workers.
        train_dir: the run's directory, whose state file tells whether there is a new checkpoint.
        max_restarts: how often they are started again without one in between.
        min_workers: with how many the run may go on where one ends before it has saved anything, twice in a row;
            None for all.
        patience: how long to wait.

    Returns:
        The exit status: worker 0's, 128 and the number of a signal that stopped the run, or 75 after too many
        restarts.
    """
    at_first = _state_of(train_dir)
    attempt, failures, before = 0, 0, None
    with _Stop() as stop:
        while True:
            state = _state_of(train_dir)
            with started(command, number, attempt, state != at_first, patience) as group:
                ending = group.run_to_end(stop)
            if ending.status is not None:
                return ending.status
            if stop.received is not None:
                return 128 + stop.received
            attempt, has_saved = attempt + 1, _state_of(train_dir) != state
            failures = 1 if has_saved else failures + 1
            if failures > max_restarts:
                tell(
                    f"{NAME}: {ending.how}; {_times(max_restarts)} without a new checkpoint is what "
                    f"--max_restarts={max_restarts} allows; {_how_to_go_on(train_dir)}"
                )
                return LOST
            again = not has_saved and ending.culprit is not None and ending.culprit == before
            before = None if has_saved else ending.culprit
            what = f"all {number} workers start again" if number > 1 else "it starts again"
            if again and min_workers is not None and number > min_workers:
                number, before = number - 1, None
                what = f"as before, so {number} of {number + 1} workers go on (--min_workers={min_workers})"
            where = (
                "from the last checkpoint" if _state_of(train_dir) else "from the beginning: nothing is saved yet"
            )
            tell(f"{NAME}: {ending.how}; {what} {where} (restart {failures} of {max_restarts})")


def _times(restarts: int) -> str:
    return f"{restarts} restart{'' if restarts == 1 else 's'}"


def _how_to_go_on(train_dir: str) -> str:
    if not _state_of(train_dir):
        return "nothing was saved"
    return f"to go on from the last one, repeat the command with --train_dir={train_dir}"


def _state_of(train_dir: str) -> bytes:
    """What the state file of a run says, which changes with each checkpoint; empty where there is none."""
    with contextlib.suppress(OSError), open(os.path.join(train_dir, "checkpoint"), "rb") as file:
        return file.read(_MOST_STATE_BYTES)
    return b""


class _Stop(StopSignals):
    """Notes the first signal; the second ends all at once."""

    def _note(self, number, frame):
        if self.received is not None:
            raise SystemExit(128 + number)
        self.received = signal.Signals(number)
