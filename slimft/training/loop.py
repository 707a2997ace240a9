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
from slimft.data.splits import describe_splits
from slimft.errors import SlimftError, TrainingError
from slimft.evaluation import session_config
from slimft.files import write_atomically
from slimft.report import write_report
from slimft.report.results import write_result
from slimft.restore import plan_restore
from slimft.runs.history import History
from slimft.runs.settings import Settings, save_settings
from slimft.training.hparams import write_hparams
from slimft.training.progress import Events, Meter, Progress, device_name, say
from slimft.training.run import Run, prepare
from slimft.training.signals import StopSignals

# Steps between two points of the curves: ten, or as many as make a thousand points.
_LOG_STEPS, _MOST_POINTS = 10, 1000
# What the run started from, for its report.
_RESTORE_FILE = "restore.txt"
_METRICS = ("accuracy", "balanced_accuracy", "loss")


class Interrupted(SlimftError):
    """SIGINT or SIGTERM ended the run; its state is saved."""

    def __init__(self, message: str, number: int):
        super().__init__(message)
        self.exit_status = 128 + number


def finetune(settings: Settings) -> dict:
    """Fine-tunes a network and evaluates it on the test split, or on the validation split where there is none.

    If `settings.train_dir` holds a checkpoint of the run, it continues from there and ignores
    `settings.checkpoint`. Messages and progress go to standard error; a report is left in the directory.

    Returns:
        ``model, dataset, split, examples, accuracy, balanced_accuracy, macro_f1, loss, step, train_dir,
        checkpoint``, and ``best_validation_accuracy``, ``images_per_second`` (of training; None if there was none)
        and ``report``.

    Raises:
        SlimftError: bad settings, data or checkpoint.
        TrainingError: the loss is not finite, or a checkpoint cannot be written.
        Interrupted: SIGINT or SIGTERM came, and the state is saved.
    """
    return train_and_evaluate(prepare(settings))


def train_and_evaluate(run: Run) -> dict:
    """Does what `finetune` does, for a run that is prepared."""
    run.check()
    run.keeper.create_directory()
    _prepare_images(run)
    try:
        return _train_stages(run)
    except (Interrupted, TrainingError):
        # Not another error in its place: the disk may be full.
        with contextlib.suppress(OSError, SlimftError):
            write_report(run.settings.train_dir)
        raise


def _train_stages(run: Run) -> dict:
    history = History(run.settings.train_dir, run.settings.best_metric())
    while True:
        with (
            run.training.graph.as_default(),
            tf.Session(config=session_config(run.settings.precision)) as session,
            StopSignals() as stop,
        ):
            step = run.restore(session)
            history.load(step)
            _say_how_it_starts(run, step)
            save_settings(run.settings)
            write_labels(run.settings.train_dir, run.splits["train"].class_names)
            with Events(run.settings.train_dir, step) as events:
                step, images_per_second = _train(session, run, history, events, stop, step)
                if run.stage is run.stages[-1]:
                    return _finish(session, run, history, events, stop, step, images_per_second)
        run = prepare(run.settings, run.splits)


def _prepare_images(run: Run) -> None:
    """Of image files: says how they are split, and reads them all once, if there is room to keep them decoded."""
    if run.splits["train"].in_memory:
        return
    say(*describe_splits(run.splits).split("\n"))
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
    what = ""
    if len(run.stages) > 1:
        scopes = ",".join(run.stage.trainable) or "everything"
        what = f"stage {run.stage.number + 1} of {len(run.stages)}, {scopes}, of "
    say(
        f"training {what}{settings.model} on {settings.dataset}, {settings.image_size}x{settings.image_size} "
        f"pixels, to step {run.stage.last_step}, on {device_name()}, in {settings.train_dir}"
    )


def _train(session, run: Run, history: History, events: Events, stop: StopSignals, step: int):
    """Steps to the end of the stage, validating and saving on the way.

    Returns:
        The step it ended at, and the images per second of the steps alone, or None.
    """
    settings = run.settings
    log_steps = max(_LOG_STEPS, run.total_steps // _MOST_POINTS)
    meter = Meter(history, events, settings.batch_size * settings.accumulate, log_steps)
    run.start_batches(session, step)
    first_step, last_save = step, time.monotonic()
    with Progress(step, run.stage.last_step, settings.batch_size * settings.accumulate) as progress:
        while True:
            done = step == run.stage.last_step or _is_to_stop_early(run, history)
            if (done or _validation_is_due(run, step)) and not (history.validated(step) or stop.received):
                _validate(session, run, history, events, stop, step)
                done = done or _is_to_stop_early(run, history)
            stopping = stop.received is not None  # A signal that comes later is for the next step, which saves.
            best = history.best()
            improved = best is not None and best["step"] == step != run.keeper.best_step()
            due = time.monotonic() - last_save >= settings.save_secs
            if improved or (step > first_step and (done or due or stopping)):
                _save(session, run, history, step, improved)
                last_save = time.monotonic()
            if stopping:
                raise _interrupted(run, stop, step)
            if done:
                return step, meter.images_per_second
            began = time.monotonic()
            loss, accuracy, rate = run.take_step(session)
            step += 1
            if not math.isfinite(loss):
                raise _diverged(run, step, f"the loss is {loss}")
            meter.step(step, time.monotonic() - began, loss, accuracy, rate, last=step == run.stage.last_step)
            progress.step(step, loss, accuracy)


def _validation_is_due(run: Run, step: int) -> bool:
    if run.settings.eval_every is not None:
        return step > 0 and step % run.settings.eval_every == 0
    images = run.settings.batch_size * run.settings.accumulate
    return step > 0 and step * images % run.splits["train"].num_examples < images


def _is_to_stop_early(run: Run, history: History) -> bool:
    """Whether the last stage has had `patience` validations that were not better."""
    patience = run.settings.patience
    if not patience or run.stage is not run.stages[-1]:
        return False
    return history.validations_since_best(after=run.stage.first_step) >= patience


def _validate(session, run: Run, history: History, events: Events, stop: StopSignals, step: int) -> None:
    """Adds a validation to the history, unless a signal comes."""
    predictions = run.training.evaluator.run(session, run.splits["validation"], lambda: stop.received)
    if predictions is None:
        return
    metrics = predictions.summary()
    history.validation.append({"step": step, **metrics})
    events.write(step, {f"validation/{name}": metrics[name] for name in _METRICS})
    events.flush()
    balanced = f", balanced {metrics['balanced_accuracy']:.4f}" if run.settings.balance != "none" else ""
    say(f"step {step}: validation accuracy {metrics['accuracy']:.4f}{balanced}, loss {metrics['loss']:.4f}")


def _save(session: tf.Session, run: Run, history: History, step: int, improved: bool) -> None:
    """Saves what a run needs to go on from here; the history first, which a checkpoint must not be ahead of."""
    if not session.run(run.training.all_finite):
        raise _diverged(run, step, "a variable is not finite")
    try:
        history.save()
    except OSError as error:
        raise TrainingError(f"cannot save step {step} in {run.settings.train_dir}: {error.strerror}") from None
    prefix = run.keeper.save(session, run.training.saver, step)
    if improved:
        run.keeper.keep_as_best(prefix, history.best())


def _finish(session, run: Run, history: History, events: Events, stop: StopSignals, step: int, images_per_second):
    """Evaluates what the run ends with and writes the report; returns the result."""
    settings, best = run.settings, history.best()
    checkpoint = run.keeper.latest()
    if settings.patience and best and best["step"] != step:
        checkpoint, step = run.keeper.best(), best["step"]
        _restore_for_evaluation(session, run, checkpoint)
        say(f"the best validation was that of step {step}, which is what is evaluated")
    dataset = run.splits[run.final_split]
    if run.final_split != "test":
        say("there is no test split; what is evaluated is the validation split, which chose the best checkpoint")
    predictions = run.training.evaluator.run(session, dataset, lambda: stop.received)
    if predictions is None:
        raise _interrupted(run, stop, step)
    metrics = predictions.summary()
    events.write(step, {f"{run.final_split}/{name}": metrics[name] for name in _METRICS})
    write_hparams(events.writer, dataclasses.asdict(settings))
    result = {
        "model": settings.model,
        "dataset": settings.dataset,
        "split": run.final_split,
        **metrics,
        "step": step,
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


def _diverged(run: Run, step: int, what: str) -> TrainingError:
    latest = run.keeper.latest()
    return TrainingError(
        f"step {step}: {what}; try a smaller --learning_rate than {run.settings.learning_rate:g} in a new "
        f"--train_dir ({f'the last good checkpoint is {latest}' if latest else 'nothing was saved yet'})"
    )


def _interrupted(run: Run, stop: StopSignals, step: int) -> Interrupted:
    return Interrupted(
        f"stopped by {stop.received.name} at step {step} of {run.total_steps}, and saved; to continue, repeat "
        f"the command with --train_dir={run.settings.train_dir}",
        stop.received,
    )
