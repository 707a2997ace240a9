"""The session loop: build the graph, restore, step, save, evaluate."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from slimft.data.augmentation import read_side
from slimft.errors import SlimftError, TrainingError
from slimft.messages import say
from slimft.runs.directory import BEST
from slimft.runs.history import History
from slimft.runs.settings import Settings
from slimft.tasks.base import in_words
from slimft.training.cluster.joining import WorkerLost
from slimft.training.cluster.pace import Pace
from slimft.training.ending import end_of_trial, finish
from slimft.training.failures import Interrupted, diverged, explained, interrupted
from slimft.training.features import Features, cut_graph
from slimft.training.measuring import evaluate, write_events
from slimft.training.progress import Meter, Progress, device_name
from slimft.training.run import Run, prepare
from slimft.training.schedule import Schedule
from slimft.training.signals import StopSignals
from slimft.training.state import State

# Writes the page of a run's directory from the files in it; returns where it is.
WriteReport = Callable[[str], Path]
# Is given the validations of a run after each one; what it raises ends the run, which is saved.
Watch = Callable[[Sequence[Mapping[str, Any]]], object]
# The context in which others are told of a run, as it trains and how it ends.
Follow = Callable[[Settings], contextlib.AbstractContextManager[None]]


def train_and_evaluate(
    run: Run, write_report: WriteReport | None = None, trial: Watch | None = None, follow: Follow | None = None
) -> dict:
    """Trains a run that is prepared, to its end, and evaluates it; as `slimft.training.finetune`.

    Args:
        run: the run.
        write_report: is given the directory at the end, also where an error is the end; None for no report.
        trial: of a trial of a search, what watches it. It is trained and validated only, and leaves no result:
            what is returned is ``validations``, the ``step`` of that of what it ends with, and ``seconds``.
        follow: see `Follow`; None for nobody.
    """
    is_followed = run.group.is_chief and follow is not None
    try:
        run.say_notes()
        run.check()
        with run.directory.locked():
            run.check_unchanged()
            with follow(run.settings) if is_followed else contextlib.nullcontext():
                return _train_and_report(run, write_report if run.group.is_chief else None, trial)
    finally:
        run.group.leave(together=False)


def _train_and_report(run: Run, write_report: WriteReport | None, trial: Watch | None) -> dict:
    try:
        result = _train_stages(run, trial)
    except Exception as error:
        failure = explained(run, error)
        run.group.leave(together=False)
        # Not another error in its place: the disk may be full. Who has lost another process is started anew.
        with contextlib.suppress(OSError, SlimftError):
            if write_report and not isinstance(failure, WorkerLost):
                write_report(run.settings.train_dir)
        raise failure from (error.__cause__ if failure is error else error)
    if write_report is not None:
        report = str(write_report(run.settings.train_dir))
        say(f"see {report}")
        result = {**result, "report": report}
    run.group.finish()
    return result


def _prepare_images(run: Run, features: Features) -> None:
    """Reads all image files once, if they will be read several times and there is room to keep them decoded."""
    if run.splits["train"].in_memory:
        return
    size, augment = run.settings.image_size, run.settings.augment
    for split, dataset in run.splits.items():
        side = read_side(size, augment) if split == "train" else size
        once = features.has(split) and run.stage is run.stages[-1]
        note = dataset.prepare(side, several_passes=not once)
        if note:
            say(note)


# Stages: a graph and a session each.


def _train_stages(run: Run, trial: Watch | None) -> dict:
    history = History(run.settings.train_dir, run.settings.best_figure())
    while True:
        parts = cut_graph(run)
        with (
            run.training.graph.as_default(),
            run.new_session() as session,
            StopSignals() as stop,
        ):
            step = run.restore(session)
            _load_history(run, history, step)
            _say_how_it_starts(run, step)
            data = None if run.finished else run.data_record
            run.directory.begin(run.settings, run.splits["train"].class_names, data)
            with run.directory.events(step) as events:
                features = Features(run, parts, session, lambda: stop.received)
                state = State(
                    run, session, history, events, stop, step, step if run.resumes else None, features, trial
                )
                try:
                    _prepare_images(run, features)
                    images_per_second = _train(state)
                    if run.stage is run.stages[-1]:
                        return finish(state, images_per_second) if trial is None else end_of_trial(state)
                except Exception as error:
                    failure = _with_what_is_saved(state, error)
                    raise failure from (error.__cause__ if failure is error else error)
        run = prepare(run.settings, run.splits, group=run.group)


def _load_history(run: Run, history: History, step: int) -> None:
    """Reads what the run has measured up to `step`, and lets it agree with the checkpoints that are there."""
    if run.group.is_chief:
        _load_as_chief(run, history, step)
    if run.group.number > 1:
        history.copy(run.group.broadcast(history.records()), step)


def _load_as_chief(run: Run, history: History, step: int) -> None:
    history.load(step)
    if not run.resumes:
        return
    history.saved = step
    checkpoints = run.directory.checkpoints
    kept = checkpoints.best_step()
    if kept is not None and kept > step:
        say(f"the best checkpoint, of step {kept}, is of what comes after step {step}; it is removed")
        kept = None
    if run.plan.checkpoint.path != run.newest:
        checkpoints.go_back_to(run.plan.checkpoint.path)
    if history.agree_with_kept(kept, step):
        only = f"step {kept}, which is kept in {BEST}/, and" if kept is not None else "only"
        say(f"the best by {history.metric} is chosen anew: {only} what comes from step {step} on counts")


def _say_how_it_starts(run: Run, step: int) -> None:
    """Says what was restored and what is trained, and keeps the former for the report."""
    settings = run.settings
    if not run.group.is_chief:
        return
    if not run.resumes:
        restored = run.plan.summary() if run.plan else "no --checkpoint: all variables start afresh"
        say(*restored.split("\n"))
        run.directory.write_restored(restored)
    elif not 0 < step == run.stage.first_step:
        ignored = f", not from --checkpoint={settings.checkpoint}" if settings.checkpoint else ""
        say(f"resuming at step {step} from {run.plan.checkpoint.path}{ignored}")
    if run.finished:
        return
    say(*run.training.notes, *run.training.replicas.describe(settings, run.stage.learning_rate))
    what = ""
    if len(run.stages) > 1:
        scopes = ",".join(run.stage.trainable) or "everything"
        what = f"stage {run.stage.number + 1} of {len(run.stages)}, {scopes}, of "
    say(
        f"training {what}{settings.model} on {settings.dataset}, {run.pixels} "
        f"pixels, to step {run.stage.last_step} of {settings.batch_size * settings.accumulate} images, by "
        f"{settings.optimizer} at {run.stage.learning_rate:g}, on {device_name()}, in {settings.train_dir}"
    )


# The loop.


def _train(state: State) -> float | None:
    """Steps to the end of the stage, validating and saving on the way; returns images per second, or None.

    The order within a turn counts. A checkpoint must never lack the validation of its step, or a run that is
    killed after it would go on without: so validation comes before saving. A signal may come at any time: whether
    to stop is asked once a turn, before saving, so that the turn that leaves is a turn that saves. A step comes
    last: when the loop begins, a run that resumes may be at its end already, or have a validation to make up for.
    """
    run, history = state.run, state.history
    schedule = Schedule(run.settings, run.splits["train"].num_examples, run.total_steps)
    meter = Meter(history, state.events, schedule.images_per_step, schedule.log_steps)
    pace = Pace(run.group, schedule.log_steps, state.events.write)
    batches_of_step = run.settings.accumulate
    if not run.finished:
        state.features.compute_to_train(state.step * batches_of_step, run.stage.last_step * batches_of_step)
        state.features.compute(("validation",))
    feeds = state.features.training_batches(state.step * batches_of_step)
    if feeds is None:
        run.start_batches(state.session, state.step)
    with Progress(state.step, run.stage.last_step, schedule.images_per_step) as progress:
        while True:
            # Is there more to do? A run may also be beyond its end, which was further off when it got there.
            done = run.finished or state.step >= run.stage.last_step or _is_to_stop_early(state)

            # Validate.
            due = done or schedule.validates(state.step)
            if due and not history.validated(state.step) and not state.is_to_stop():
                _validate(state)
                done = done or _is_to_stop_early(state)

            # Save.
            received = state.stop.received is not None
            stopping, saving = run.group.any(received, _is_to_save(state, done or schedule.saves()))
            if done:
                meter.finish_point()
            if saving or (stopping and state.step and state.step != state.saved):
                _save(state, together=True)
                schedule.has_saved()
            _keep_best(state)

            # Leave.
            if stopping:
                run.group.leave()
                raise interrupted(state)
            if done:
                return meter.images_per_second

            # Step.
            began = time.monotonic()
            measured = run.take_step(state.session, feeds)
            if not math.isfinite(measured.values["loss"]):
                raise diverged(run, state.step + 1, f"the loss is {measured.values['loss']}")
            state.step += 1
            meter.step(state.step, time.monotonic() - began, measured)
            pace.step(state.step, measured.own_seconds)
            progress.step(state.step, measured.values)


def _is_to_stop_early(state: State) -> bool:
    """Whether the last stage has had `patience` validations that were not better."""
    run, patience = state.run, state.run.settings.patience
    if not patience or run.stage is not run.stages[-1]:
        return False
    return state.history.validations_since_best(after=run.stage.first_step) >= patience


def _validate(state: State) -> None:
    """Adds a validation to the history, unless a signal comes."""
    run, step, task = state.run, state.step, state.run.settings.task
    scores = evaluate(state, "validation")
    if scores is None:
        return
    figures = scores.summary()
    state.history.add_validation(step, figures)
    write_events(state, "validation", step, figures)
    state.events.flush()
    say(f"step {step}: validation {in_words(task, figures, task.told(run.settings.balance != 'none'))}")
    if state.trial is not None:
        state.trial(state.history.validation)


def _is_to_save(state: State, due: bool) -> bool:
    """Whether to save: where it is due, or the newest validation is the best, which is kept; the chief's to say.

    Time passes differently in each process, and only one of them sees what is on the disk.
    """
    if not state.run.group.is_chief or state.step == state.saved:
        return False
    return _is_improved(state) or bool(due and state.step)


def _is_improved(state: State) -> bool:
    """Whether the newest validation is the best, and not kept yet."""
    best = state.history.best()
    return best is not None and best["step"] == state.step != state.run.directory.checkpoints.best_step()


def _keep_best(state: State) -> None:
    """Keeps what is saved as the best if it is; also what a process saved that was stopped before it could."""
    if state.step == state.saved and state.run.group.is_chief and _is_improved(state):
        state.run.directory.keep_as_best(state.history.best())


def _save(state: State, together: bool = False) -> None:
    """Saves what a run needs to go on from here.

    Args:
        state: where the run stands.
        together: whether all processes are here: none says that a step is saved before the chief has saved it.
    """
    run, step = state.run, state.step
    run.training.parts.put_back(state.session)
    if not state.session.run(run.training.all_finite):
        raise diverged(run, step, "a variable is not finite")
    run.directory.save(state.session, run.training.saver, state.history, step)
    if run.group.is_chief:
        state.saved = step
    if together:
        run.group.any()
    state.saved = step


def _with_what_is_saved(state: State, error: Exception) -> Exception:
    """Saves the last step that was done, where something unforeseen ends the run; returns the error to raise.

    A step that fails has changed no weights, but may have moved batch_norm's statistics by a batch. Of several
    processes, only the chief saves.
    """
    if isinstance(error, (Interrupted, TrainingError)):
        return error
    lost = state.run.group.failure(error)
    if lost is not None:
        return explained(state.run, lost, state)
    if state.run.group.is_chief and state.step and state.step != state.saved:
        # Whatever goes wrong now, it is the first error that counts.
        with contextlib.suppress(Exception):
            _save(state)
    return explained(state.run, error, state)
