"""A run's directory: who works in it, and which checkpoint the run goes on from."""

from __future__ import annotations

import contextlib
import os
import pathlib
import time
from collections.abc import Iterator
from typing import TextIO

from slimft.checkpoint import open_checkpoint
from slimft.checkpoint.locate import latest_in_state
from slimft.errors import CheckpointError, UsageError
from slimft.messages import say
from slimft.runs.history_file import HISTORY_FILE, read_history

try:
    import fcntl
except ImportError:  # Windows.
    fcntl = None  # type: ignore[assignment]  # To mypy the name is a module's for good.

BEST = "best"
RESULT_FILE = "result.json"
_LOCK_FILE = ".lock"
_NAME = "model.ckpt"
_TRIES, _WAIT_SECONDS = 3, 0.05


@contextlib.contextmanager
def locked(train_dir: str, flag: str = "train_dir") -> Iterator[None]:
    """Keeps other processes from training in `train_dir`, which has to be there, until the block is left.

    The system releases the lock when the process ends, however it ends.

    Args:
        train_dir: the directory.
        flag: the flag that names it, for the error.

    Raises:
        UsageError: another process trains there.
    """
    if fcntl is None:
        say(f"note: this system has no file locks; let no other process train in {train_dir} meanwhile")
        yield
        return
    with open(os.path.join(train_dir, _LOCK_FILE), "a+") as file:
        try:
            _lock_now(file)
        except BlockingIOError:
            file.seek(0)
            raise _in_use(train_dir, file.read(100).strip(), flag) from None
        except OSError as error:  # Some network file systems have no locks.
            say(f"note: {train_dir} cannot be locked ({error.strerror}); let no other process train there now")
        file.truncate(0)
        file.write(f"process {os.getpid()} on {os.uname().nodename}\n")
        file.flush()
        yield


def _lock_now(file: TextIO) -> None:
    """Locks a file; raises BlockingIOError if another process has it longer than `check_free` does."""
    for _ in range(_TRIES):
        with contextlib.suppress(BlockingIOError):
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(_WAIT_SECONDS)
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def check_free(train_dir: str) -> None:
    """Raises UsageError if another process trains in a directory now, whose files may change at any moment."""
    if fcntl is None:
        return
    try:
        file = open(os.path.join(train_dir, _LOCK_FILE))
    except OSError:  # Nobody ever has.
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _in_use(train_dir, file.read(100).strip()) from None
        except OSError:
            return


def _in_use(train_dir: str, whose: str, flag: str = "train_dir") -> UsageError:
    return UsageError(
        f"--{flag}={train_dir} is in use by another process ({whose or 'which has just started'}); wait for it, "
        "or name another directory"
    )


def steps_saved(train_dir: str | pathlib.Path) -> list[int]:
    """The steps of the checkpoints in a directory, whole or not, by their names, from the oldest to the newest."""
    names = (file.name.removesuffix(".index") for file in pathlib.Path(train_dir).glob(f"{_NAME}-*.index"))
    steps = (name.removeprefix(f"{_NAME}-") for name in names)
    return sorted(int(step) for step in steps if step.isascii() and step.isdigit())


def prefix_of(train_dir: str | pathlib.Path, step: int) -> str:
    """The prefix of the checkpoint of `step`."""
    return os.path.join(train_dir, f"{_NAME}-{step}")


def step_of(prefix: str) -> int:
    """The step that a checkpoint was saved at; 0 where it does not tell, which is then none of a run.

    Raises:
        CheckpointError: it cannot be read.
    """
    checkpoint = open_checkpoint(prefix)
    there = "global_step" in checkpoint and checkpoint.shape("global_step") == ()
    return int(checkpoint["global_step"]) if there else 0


def find_checkpoint(train_dir: str, resume_from: int | None = None) -> str | None:
    """The prefix of the checkpoint that the run in `train_dir` goes on from; None where no run has trained yet.

    Args:
        train_dir: the directory, which need not be there.
        resume_from: the step of the checkpoint to go on from; None for the newest, which has to be there.

    Raises:
        UsageError: the directory holds checkpoints, or traces of some, but not the newest or that of `resume_from`.
            It is never taken for a new one.
    """
    folder = pathlib.Path(train_dir)
    if resume_from is not None:
        prefix = prefix_of(train_dir, resume_from)
        reason = _fault(prefix)
        if reason:
            raise UsageError(f"--resume_from={resume_from}: {reason}; {older_checkpoints(train_dir, resume_from)}")
        return prefix
    named = latest_in_state(folder)
    if named is not None:
        if not os.path.lexists(f"{named}.index") and not os.path.lexists(named):
            raise UsageError(
                f"--train_dir={train_dir}: its newest checkpoint, {os.path.basename(named)}, is missing; "
                f"{older_checkpoints(train_dir)}"
            )
        try:
            step_of(named)
        except CheckpointError as error:
            older = older_checkpoints(train_dir, but=named)
            raise UsageError(f"--train_dir={train_dir}: {error}; {older}") from None
        return named
    trace = _trace_of_a_run(folder)
    if trace:
        raise UsageError(
            f"--train_dir={train_dir} holds {trace}, but its state file (checkpoint) names no checkpoint; "
            f"{older_checkpoints(train_dir)}"
        )
    return None


def older_checkpoints(train_dir: str, below: int | None = None, but: str | None = None) -> str:
    """What to do without a run's newest checkpoint: the newest one that is intact, and how to go on from it.

    Args:
        train_dir: the run's directory.
        below: the step above all that count; None for all.
        but: the prefix of one that does not count.
    """
    for step in reversed(steps_saved(train_dir)):
        prefix = prefix_of(train_dir, step)
        if (below is None or step < below) and prefix != but and not _fault(prefix):
            return f"that of step {step} is intact: --resume_from={step} goes on from it"
    best = latest_in_state(pathlib.Path(train_dir, BEST))
    kept = f" ({best} is there, to start another run from with --checkpoint)" if best and not _fault(best) else ""
    return f"there is no intact one beside it{kept}; name another directory"


def _fault(prefix: str) -> str | None:
    """What is wrong with a checkpoint, every value of which is read; None if nothing is."""
    try:
        checkpoint = open_checkpoint(prefix)
        for name in checkpoint:
            checkpoint[name]
    except CheckpointError as error:
        return str(error)
    return None


def _trace_of_a_run(folder: pathlib.Path) -> str | None:
    """What in a folder without a named checkpoint shows that one was there, or is; None if nothing does."""
    checkpoints = "checkpoints"
    for pattern, what in (("*.index", checkpoints), ("*.ckpt*", checkpoints), (f"{BEST}/*.index", "a best one")):
        found = next(folder.glob(pattern), None)
        if found is not None:
            return f"{what} ({found.relative_to(folder)})"
    if (folder / RESULT_FILE).exists():
        return f"the result of a run ({RESULT_FILE})"
    saved = read_history(folder / HISTORY_FILE).saved if os.path.lexists(folder / HISTORY_FILE) else None
    return None if saved is None else f"the history of a run to step {saved} ({HISTORY_FILE})"
