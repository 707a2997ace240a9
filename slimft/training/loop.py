"""The session loop: build the graph, restore, step, save, evaluate."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import pathlib
import time

from slimft.checkpoint import open_checkpoint
from slimft.compat import tf
from slimft.data.augmentation import read_side
from slimft.data.class_names import write_labels
from slimft.errors import SlimftError, TrainingError
from slimft.evaluation import session_config
from slimft.files import write_atomically
from slimft.messages import say
from slimft.report import write_report
from slimft.restore import plan_restore
from slimft.runs.data_record import write_data_record
from slimft.runs.directory import BEST, locked, prefix_of
from slimft.runs.history import History
from slimft.runs.result import write_result
from slimft.runs.settings import Settings
from slimft.runs.settings_file import save_settings
from slimft.training.failures import Interrupted, diverged, explained, interrupted
from slimft.training.hparams import write_hparams
from slimft.training.progress import Events, Meter, Progress, device_name
from slimft.training.run import Run, prepare
from slimft.training.signals import StopSignals

# Steps between two points of the curves: ten, or as many as make a thousand points.
_LOG_STEPS, _MOST_POINTS = 10, 1000
# What the run started from, for its report.
_RESTORE_FILE = "restore.txt"
_METRICS = ("accuracy", "balanced_accuracy", "loss")


@dataclasses.dataclass
class State:
    """Where a run stands in its session.

    Attributes:
        run: the run.
        session: its session.
        history: what it has measured.
        events: its TensorBoard events.
        stop: the signals that end it.
        step: the steps that are done.
        saved: the step of its newest checkpoint; None where there is none.
    """

    run: Run
    session: tf.Session
    history: History
    events: Events
    stop: StopSignals
    step: int
    saved: int | None


def finetune(settings: Settings, resume_from: int | None = None) -> dict:
    """Fine-tunes a network and evaluates it on the test split, or on the validation split where there is none.

    If `settings.train_dir` holds a checkpoint of the run, it continues from there and ignores
    `settings.checkpoint`. Messages and progress go to standard error; a report is left in the directory.

    Args:
        settings: the run's settings; `slimft.training.completion.complete` fills in what they leave open, as the
            command does.
        resume_from: the step of the checkpoint in the directory to go on from; None for the newest.

    Returns:
        ``model, dataset, split, examples, accuracy, balanced_accuracy, macro_f1, loss, step, last_step`` (to which
        it trained), ``train_dir, checkpoint, best_validation_accuracy, images_per_second`` (of training; None if
        there was none) and ``report``.

    Raises:
        SlimftError: bad settings, data or checkpoint; another process trains in the directory.
        TrainingError: the loss is not finite, a checkpoint cannot be written, there is not enough memory, or
            anything else that was not foreseen. What was trained so far is saved where that is possible.
        Interrupted: SIGINT, SIGTERM or SIGHUP came.
    """
    return train_and_evaluate(prepare(settings, resume_from=resume_from))


def train_and_evaluate(run: Run) -> dict:
    """Does what `finetune` does, for a run that is prepared."""
    run.say_notes()
    run.check()
    run.keeper.create_directory()
    with locked(run.settings.train_dir):
        run.check_unchanged()
        try:
            _prepare_images(run)
            return _train_stages(run)
        except Exception as error:
            failure = explained(run.settings, error)
            # Not another error in its place: the disk may be full.
            with contextlib.suppress(OSError, SlimftError):
                write_report(run.settings.train_dir)
            raise failure from (error.__cause__ if failure is error else error)


def _train_stages(run: Run) -> dict:
    history = History(run.settings.train_dir, run.settings.best_metric())
    while True:
        with (
            run.training.graph.as_default(),
            tf.Session(config=session_config(run.settings.precision)) as session,
            StopSignals() as stop,
        ):
            step = run.restore(session)
            _load_history(run, history, step)
            _say_how_it_starts(run, step)
            save_settings(run.settings)
            if run.data_record is not None and not run.finished:
                write_data_record(run.settings.train_dir, run.data_record)
            write_labels(run.settings.train_dir, run.splits["train"].class_names)
            with Events(run.settings.train_dir, step) as events:
                state = State(run, session, history, events, stop, step, step if run.resumes else None)
                try:
                    images_per_second = _train(state)
                    if run.stage is run.stages[-1]:
                        return _finish(state, images_per_second)
                except Exception as error:
                    failure = _with_what_is_saved(state, error)
                    raise failure from (error.__cause__ if failure is error else error)
        run = prepare(run.settings, run.splits)


def _load_history(run: Run, history: History, step: int) -> None:
    """Reads what the run has measured up to `step`, and lets it agree with the checkpoints that are there."""
    history.load(step)
    if not run.resumes:
        return
    history.saved = step
    kept = run.keeper.best_step()
    if kept is not None and kept > step:
        say(f"the best checkpoint, of step {kept}, is of what comes after step {step}; it is removed")
        kept = None
    if run.plan.checkpoint.path != run.newest:
        run.keeper.go_back_to(run.plan.checkpoint.path)
    if history.agree_with_kept(kept, step):
        only = f"step {kept}, which is kept in {BEST}/, and" if kept is not None else "only"
        say(f"the best by {history.metric} is chosen anew: {only} what comes from step {step} on counts")


def _prepare_images(run: Run) -> None:
    """Reads all image files once, if there is room to keep them decoded."""
    if run.splits["train"].in_memory:
        return
    size, augment = run.settings.image_size, run.settings.augment
    for split, dataset in run.splits.items():
        side = read_side(size, augment) if split == "train" else size
        note = dataset.images.prepare(side, several_passes=True)
        if note:
            say(note)


def _say_how_it_starts(run: Run, step: int) -> None:
    """Says what was restored and what is trained, and keeps the former for the report."""
    settings = run.settings
    if not run.resumes:
        restored = run.plan.summary() if run.plan else "no --checkpoint: all variables start afresh"
        say(*restored.split("\n"))
        write_atomically(pathlib.Path(settings.train_dir, _RESTORE_FILE), restored + "\n")
    elif not 0 < step == run.stage.first_step:
        ignored = f", not from --checkpoint={settings.checkpoint}" if settings.checkpoint else ""
        say(f"resuming at step {step} from {run.plan.checkpoint.path}{ignored}")
    if run.finished:
        return
    what = ""
    if len(run.stages) > 1:
        scopes = ",".join(run.stage.trainable) or "everything"
        what = f"stage {run.stage.number + 1} of {len(run.stages)}, {scopes}, of "
    say(
        f"training {what}{settings.model} on {settings.dataset}, {settings.image_size}x{settings.image_size} "
        f"pixels, to step {run.stage.last_step} of {settings.batch_size * settings.accumulate} images, by "
        f"{settings.optimizer} at {run.stage.learning_rate:g}, on {device_name()}, in {settings.train_dir}"
    )


def _train(state: State) -> float | None:
    """Steps to the end of the stage, validating and saving on the way; returns images per second, or None.

    The order within a turn counts. Validation comes before saving, so that the checkpoint of a step never lacks its
    validation. Whether to stop is asked once, before saving: a signal that comes later is for the next turn, which
    saves.
    """
    run, history, settings = state.run, state.history, state.run.settings
    log_steps = max(_LOG_STEPS, run.total_steps // _MOST_POINTS)
    images = settings.batch_size * settings.accumulate
    meter = Meter(history, state.events, images, log_steps)
    run.start_batches(state.session, state.step)
    last_save = time.monotonic()
    with Progress(state.step, run.stage.last_step, images) as progress:
        while True:
            # A run may be beyond its end: that was further off when it got there.
            done = run.finished or state.step >= run.stage.last_step or _is_to_stop_early(state)
            if (done or _validation_is_due(state)) and not (history.validated(state.step) or state.stop.received):
                _validate(state)
                done = done or _is_to_stop_early(state)
            stopping = state.stop.received is not None
            if done:
                meter.finish_point()
            best = history.best()
            improved = best is not None and best["step"] == state.step != run.keeper.best_step()
            due = time.monotonic() - last_save >= settings.save_secs
            is_saved = state.step == state.saved
            if improved and is_saved:  # By another process, which was stopped before it could keep it as the best.
                run.keeper.keep_as_best(prefix_of(settings.train_dir, state.step), best)
            elif improved or (state.step and not is_saved and (done or due or stopping)):
                _save(state, improved)
                last_save = time.monotonic()
            if stopping:
                raise interrupted(state)
            if done:
                return meter.images_per_second
            began = time.monotonic()
            loss, accuracy, rate = run.take_step(state.session)
            if not math.isfinite(loss):
                raise diverged(run, state.step + 1, f"the loss is {loss}")
            state.step += 1
            meter.step(state.step, time.monotonic() - began, loss, accuracy, rate)
            progress.step(state.step, loss, accuracy)


def _validation_is_due(state: State) -> bool:
    step, settings = state.step, state.run.settings
    if settings.eval_every is not None:
        return step > 0 and step % settings.eval_every == 0
    images = settings.batch_size * settings.accumulate
    return step > 0 and step * images % state.run.splits["train"].num_examples < images


def _is_to_stop_early(state: State) -> bool:
    """Whether the last stage has had `patience` validations that were not better."""
    run, patience = state.run, state.run.settings.patience
    if not patience or run.stage is not run.stages[-1]:
        return False
    return state.history.validations_since_best(after=run.stage.first_step) >= patience


def _validate(state: State) -> None:
    """Adds a validation to the history, unless a signal comes."""
    run, step = state.run, state.step
    predictions = run.training.evaluator.run(state.session, run.splits["validation"], lambda: state.stop.received)
    if predictions is None:
        return
    metrics = predictions.summary()
    state.history.validation.append({"step": step, **metrics})
    state.events.write(step, {f"validation/{name}": metrics[name] for name in _METRICS})
    state.events.flush()
    balanced = f", balanced {metrics['balanced_accuracy']:.4f}" if run.settings.balance != "none" else ""
    say(f"step {step}: validation accuracy {metrics['accuracy']:.4f}{balanced}, loss {metrics['loss']:.4f}")


def _save(state: State, improved: bool) -> None:
    """Saves what a run needs to go on from here; the history first, which a checkpoint must not be ahead of."""
    run, history, step = state.run, state.history, state.step
    if not state.session.run(run.training.all_finite):
        raise diverged(run, step, "a variable is not finite")
    _save_history(state)
    prefix = run.keeper.save(state.session, run.training.saver, step)
    is_first, history.saved, state.saved = history.saved is None, step, step
    if is_first:  # From now on, a directory without a checkpoint is one that has lost it.
        _save_history(state)
    if improved:
        run.keeper.keep_as_best(prefix, history.best())


def _save_history(state: State) -> None:
    try:
        state.history.save()
    except OSError as error:
        folder = state.run.settings.train_dir
        raise TrainingError(f"cannot save step {state.step} in {folder}: {error.strerror}") from None


def _with_what_is_saved(state: State, error: Exception) -> Exception:
    """Saves the last step that was done, where something unforeseen ends the run; returns the error to raise.

    A step that fails has changed no weights, but may have moved batch_norm's statistics by a batch.
    """
    if isinstance(error, (Interrupted, TrainingError)):
        return error
    if state.step and state.step != state.saved:
        # Whatever goes wrong now, it is the first error that counts.
        with contextlib.suppress(Exception):
            _save(state, improved=False)
    return explained(state.run.settings, error, state)


def _finish(state: State, images_per_second: float | None) -> dict:
    """Evaluates what the run ends with and writes the report; returns the result."""
    run, settings, history, step = state.run, state.run.settings, state.history, state.step
    best, checkpoint = history.best(), run.keeper.latest()
    if settings.patience and best and best["step"] != step:
        checkpoint, step = run.keeper.best(), best["step"]
        _restore_for_evaluation(state.session, run, checkpoint)
        say(f"the best validation was that of step {step}, which is what is evaluated")
    dataset = run.splits[run.final_split]
    if run.final_split != "test":
        say("there is no test split; what is evaluated is the validation split, which chose the best checkpoint")
    predictions = run.training.evaluator.run(state.session, dataset, lambda: state.stop.received)
    if predictions is None:
        raise interrupted(state)
    metrics = predictions.summary()
    state.events.write(step, {f"{run.final_split}/{name}": metrics[name] for name in _METRICS})
    write_hparams(state.events.writer, dataclasses.asdict(settings))
    result = {
        "model": settings.model,
        "dataset": settings.dataset,
        "split": run.final_split,
        **metrics,
        "step": step,
        "last_step": state.step,
        "train_dir": settings.train_dir,
        "checkpoint": checkpoint,
        "best_validation_accuracy": best and best["accuracy"],
        "images_per_second": images_per_second,
    }
    write_result(
        settings.train_dir,
        result,
        restore=_restored_at_first(run),
        class_names=dataset.class_names,
        class_counts={split: data.counts for split, data in run.splits.items()},
        predictions=predictions,
        dataset=dataset,
        seconds=history.seconds,
        images_per_second=images_per_second,
        device=device_name(),
    )
    report = str(write_report(settings.train_dir))
    say(f"see {report}")
    return {**result, "report": report}


def _restored_at_first(run: Run) -> str:
    try:
        return pathlib.Path(run.settings.train_dir, _RESTORE_FILE).read_text(encoding="utf-8")
    except FileNotFoundError:  # A run of an earlier version.
        return run.plan.summary() if run.plan else ""


def _restore_for_evaluation(session: tf.Session, run: Run, checkpoint: str) -> None:
    """Restores the weights and their averages; not the optimizer's variables, which an earlier stage may lack."""
    averages = run.training.averages
    own = run.training.optimizer_variables
    lacking = {name for name in averages.start if name not in open_checkpoint(checkpoint)} if averages else set()
    variables = [v for v in tf.global_variables() if v.op.name not in own and v.op.name not in lacking]
    plan_restore(checkpoint, variables).apply(session)
    session.run([averages.start[name] for name in lacking])
