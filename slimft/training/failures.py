"""What ends a run before its end, in one line: a signal, a loss that is not finite, or anything not foreseen."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from slimft.compat import tf
from slimft.errors import SlimftError, TrainingError

if TYPE_CHECKING:
    from slimft.training.run import Run
    from slimft.training.state import State

# How TensorFlow's errors of other kinds say that memory is short.
_OF_MEMORY = ("out of memory", "out_of_memory", "oom when allocating", "failed to allocate")


class Interrupted(SlimftError):
    """SIGINT, SIGTERM or SIGHUP ended the run."""

    def __init__(self, message: str, number: int):
        super().__init__(message)
        self.exit_status = 128 + number


def interrupted(state: State) -> Interrupted:
    """The error that says which signal ended the run, and whether it is saved."""
    run, stop = state.run, state.stop
    if state.saved == state.step:
        saved = f"and saved; to continue, repeat the command with --train_dir={run.settings.train_dir}"
    else:
        saved = "before there was anything to save"
    where = f"at step {state.step} of {run.total_steps}"
    if stop.received is None:  # Another process has received it.
        return Interrupted(f"stopped by a signal to another process {where}, {saved}", signal.SIGTERM)
    return Interrupted(f"stopped by {stop.received.name} {where}, {saved}", stop.received)


def diverged(run: Run, step: int, what: str) -> TrainingError:
    """The error that says that `step` made something that is not finite."""
    latest = run.directory.checkpoints.latest()
    return TrainingError(
        f"step {step}: {what}; try a smaller --learning_rate than {run.settings.learning_rate:g} in a new "
        f"--train_dir ({f'the last good checkpoint is {latest}' if latest else 'nothing was saved yet'})"
    )


def explained(run: Run, error: Exception, state: State | None = None) -> SlimftError:
    """The one-line error that stands for `error`; it is `error` itself, if that is a SlimftError.

    The traceback of what nobody foresaw goes to ``traceback.txt`` in the run's directory.

    Args:
        run: the run.
        error: what was raised.
        state: where the run stood, if it had begun.
    """
    lost = run.group.failure(error)
    if lost is not None:
        return type(lost)(f"{lost}{'' if state is None else _what_is_lost(state)}")
    saved = "" if state is None else _what_is_saved(state)
    if isinstance(error, SlimftError):
        error.args = (f"{error}{saved}",)
        return error
    where = f"step {state.step}: " if state else ""
    if _is_of_memory(error):
        batch_size, batches = max(1, run.settings.batch_size // 2), 2 * run.settings.accumulate
        smaller = f"--batch_size={batch_size} with --accumulate={batches}"
        return TrainingError(
            f"{where}out of memory; try {smaller}, which makes steps of as many images, or a smaller --image_size"
            f"{saved}"
        )
    reason = (str(error).strip().splitlines() or [""])[0][:300]
    return TrainingError(f"{where}{type(error).__name__}: {reason}; {run.directory.write_traceback(error)}{saved}")


def _what_is_saved(state: State) -> str:
    if state.saved is None:
        return "; nothing was saved yet"
    what = f"step {state.saved} is saved"
    if state.saved != state.step:
        why = "could not be" if state.run.group.is_chief else "is not"  # Another process's to save.
        what = f"the newest checkpoint is that of step {state.saved}, {state.step} {why} saved"
    return f"; {what}, and the command goes on from there with --train_dir={state.run.settings.train_dir}"


def _what_is_lost(state: State) -> str:
    """What of the work another process took with it; the same command takes it up again."""
    if state.saved == state.step:
        return f"; step {state.step} is saved"
    if state.step == 0:
        return ""
    first = 1 if state.saved is None else state.saved + 1
    steps = f"step {first} is" if first == state.step else f"steps {first} to {state.step} are"
    return f"; {steps} to be done again"


def _is_of_memory(error: Exception) -> bool:
    if isinstance(error, (MemoryError, tf.errors.ResourceExhaustedError)):
        return True
    return isinstance(error, tf.errors.OpError) and any(words in str(error).lower() for words in _OF_MEMORY)
