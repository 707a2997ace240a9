"""The session loop: build the graph, restore, step, save, evaluate."""

from __future__ import annotations

import dataclasses
import math
import time

from slimft.compat import tf
from slimft.data import Dataset, load_dataset
from slimft.data.class_names import write_labels
from slimft.errors import RestoreError, SlimftError, TrainingError, UsageError
from slimft.evaluation import session_config
from slimft.filters import VariableFilter
from slimft.nets import get_network
from slimft.renaming import parse_renames
from slimft.restore import RestorePlan, plan_restore
from slimft.training.graph import TrainingGraph, build_graph
from slimft.training.progress import Events, Progress, say
from slimft.training.saving import CheckpointKeeper
from slimft.training.settings import Settings, differences, save_settings, saved_settings
from slimft.training.signals import StopSignals

# Steps between two points of the TensorBoard curves.
_LOG_STEPS = 10


class Interrupted(SlimftError):
    """SIGINT or SIGTERM ended the run; its state is saved."""

    def __init__(self, message: str, number: int):
        super().__init__(message)
        self.exit_status = 128 + number


@dataclasses.dataclass(frozen=True)
class Run:
    """All there is of a run before its session; made by `prepare`.

    Attributes:
        settings: its settings, `image_size` filled in.
        splits: the dataset's splits.
        total_steps: the step it ends at.
        training: its graph.
        plan: what is restored first; None to train from scratch.
        resumes: whether `plan` continues an earlier run in the same directory.
        keeper: saves its checkpoints.
    """

    settings: Settings
    splits: dict[str, Dataset]
    total_steps: int
    training: TrainingGraph
    plan: RestorePlan | None
    resumes: bool
    keeper: CheckpointKeeper

    def describe(self) -> str:
        """Every variable's fate, then what will be trained and for how long."""
        parameters = sum(variable.shape.num_elements() for variable in self.training.trained)
        return (
            f"{self.plan or 'nothing to restore: all variables start afresh'}\n"
            f"train {len(self.training.trained)} variables, {parameters:,} parameters, "
            f"to step {self.total_steps} at {self.settings.image_size}x{self.settings.image_size} pixels"
        )

    def check(self) -> None:
        """Raises RestoreError or UsageError if the plan cannot be carried out."""
        if self.plan is None:
            return
        if self.resumes and (self.plan.missing or self.plan.mismatched):
            differing = [f"no {name}" for name in self.plan.missing]
            differing += [f"another {mismatch.name}" for mismatch in self.plan.mismatched]
            raise UsageError(
                f"--train_dir={self.settings.train_dir} holds a run with other flags: its checkpoint has "
                f"{differing[0]}; repeat that run's flags or name another directory"
            )
        self._check_number_of_classes()
        self.plan.check()

    def _check_number_of_classes(self) -> None:
        """Raises RestoreError, with what to exclude, if only the number of classes is in the way."""
        spec = get_network(self.settings.model)
        logits = VariableFilter(include=spec.logits_scopes)
        failing = [*self.plan.missing, *(mismatch.name for mismatch in self.plan.mismatched)]
        num_classes = self.splits["train"].num_classes
        others = [
            mismatch.checkpoint_shape[0]
            for mismatch in self.plan.mismatched
            if mismatch.variable_shape == (num_classes,) and len(mismatch.checkpoint_shape) == 1
        ]
        if others and all(map(logits.selects, failing)):
            scopes = [*self.settings.exclude, *(s for s in spec.logits_scopes if s not in self.settings.exclude)]
            raise RestoreError(
                f"{self.plan.checkpoint.path} is for {others[0]} classes, {self.settings.dataset} has "
                f"{num_classes}; let the logits start afresh with --exclude={','.join(scopes)}"
            )


def prepare(settings: Settings) -> Run:
    """Loads the data, builds the graph and plans the restore, without writing anything.

    Raises:
        SlimftError: some setting, file or pattern is bad.
    """
    spec = get_network(settings.model)
    if settings.image_size is not None:
        spec.check_image_size(settings.image_size)
    saved = saved_settings(settings)
    keeper = CheckpointKeeper(settings.train_dir, settings.keep)
    splits = load_dataset(settings.dataset, settings.data_dir)
    if settings.image_size is None:
        image_size = saved.image_size if saved else max(spec.min_image_size, splits["train"].image_size)
        settings = dataclasses.replace(settings, image_size=image_size)
    for difference in differences(saved, settings) if saved else ():
        say(f"note: {difference}")
    total_steps = settings.total_steps(splits["train"].num_examples)
    training = build_graph(settings, spec, splits["train"], total_steps)
    plan, latest = None, keeper.latest()
    with training.graph.as_default():
        if latest is not None:
            plan = plan_restore(latest, tf.global_variables())
        elif settings.checkpoint is not None:
            plan = plan_restore(
                settings.checkpoint,
                include=settings.include,
                exclude=settings.exclude,
                rename=parse_renames(settings.rename) or None,
                cast=settings.cast,
            )
    return Run(settings, splits, total_steps, training, plan, latest is not None, keeper)


def finetune(settings: Settings) -> dict:
    """Fine-tunes a network and evaluates the result on the test split.

    If `settings.train_dir` holds a checkpoint of the run, it continues from there and ignores
    `settings.checkpoint`. Messages and progress go to standard error.

    Returns:
        ``model, dataset, split, examples, accuracy, loss, step, train_dir, checkpoint``, and
        ``best_validation_accuracy`` and ``images_per_second`` (of training; None if there was none).

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
    settings = run.settings
    with (
        run.training.graph.as_default(),
        tf.Session(config=session_config(settings.precision)) as session,
        StopSignals() as stop,
    ):
        step = _start(session, run)
        save_settings(settings)
        write_labels(settings.train_dir, run.splits["train"].class_names)
        with Events(settings.train_dir, step) as events:
            images_per_second = _train(session, run, events, stop, step)
            metrics = run.training.evaluator.run(session, run.splits["test"], lambda: stop.received)
            if metrics is None:
                raise _interrupted(run, stop, run.total_steps)
            step = max(step, run.total_steps)
            events.write(step, {"test/accuracy": metrics["accuracy"], "test/loss": metrics["loss"]})
    return {
        "model": settings.model,
        "dataset": settings.dataset,
        "split": "test",
        **metrics,
        "step": step,
        "train_dir": settings.train_dir,
        "checkpoint": run.keeper.latest(),
        "best_validation_accuracy": run.keeper.best_accuracy(),
        "images_per_second": images_per_second,
    }


def _start(session: tf.Session, run: Run) -> int:
    """Restores or initializes every variable, says which, and returns the step to start at."""
    restored = run.plan.restored if run.plan else {}
    fresh = [variable for variable in tf.global_variables() if variable.op.name not in restored]
    session.run(tf.variables_initializer(fresh))
    if run.plan:
        run.plan.apply(session)
    step = int(session.run(run.training.global_step))
    if run.resumes:
        ignored = f", not from --checkpoint={run.settings.checkpoint}" if run.settings.checkpoint else ""
        say(f"resuming at step {step} from {run.plan.checkpoint.path}{ignored}")
    else:
        say(run.plan.summary() if run.plan else "no --checkpoint: all variables start afresh")
    gpus = tf.config.list_physical_devices("GPU")
    device = f"{len(gpus)} GPU" if gpus else "the CPU"
    say(
        f"training {run.settings.model} on {run.settings.dataset}, {run.settings.image_size}x"
        f"{run.settings.image_size} pixels, to step {run.total_steps}, on {device}, "
        f"in {run.settings.train_dir}"
    )
    return step


def _train(session: tf.Session, run: Run, events: Events, stop: StopSignals, step: int) -> float | None:
    """Steps to the end, saving and validating on the way; returns images per second, without these."""
    training, settings, train = run.training, run.settings, run.splits["train"]
    fetches = [training.loss, training.accuracy, training.learning_rate, training.train_op]
    training.batches.start(session, train, step)
    first_step, seconds, last_save = step, 0.0, time.monotonic()
    with Progress(step, run.total_steps, settings.batch_size) as progress:
        while step < run.total_steps:
            began = time.monotonic()
            loss, accuracy, rate, _ = session.run(fetches)
            step += 1
            if step > first_step + 1:  # The first step also optimizes the graph.
                seconds += time.monotonic() - began
            if not math.isfinite(loss):
                raise _diverged(run, step, f"the loss is {loss}")
            progress.step(step, loss, accuracy)
            if step % _LOG_STEPS == 0 or step == run.total_steps:
                values = {"loss": loss, "accuracy": accuracy, "learning_rate": rate}
                events.write(step, {f"train/{name}": value for name, value in values.items()})

            metrics = None
            epoch_ends = step * settings.batch_size % train.num_examples < settings.batch_size
            if (epoch_ends or step == run.total_steps) and not stop.received:
                metrics = training.evaluator.run(session, run.splits["validation"], lambda: stop.received)
            improved = metrics is not None and metrics["accuracy"] > run.keeper.best_accuracy()
            due = time.monotonic() - last_save >= settings.save_secs
            stopping = stop.received is not None  # A signal that comes later is for the next step, which saves.
            if improved or due or step == run.total_steps or stopping:
                prefix = _save(session, run, step)
                last_save = time.monotonic()
                if improved:
                    run.keeper.keep_as_best(prefix, {"step": step, **metrics})
            if metrics is not None:
                events.write(step, {f"validation/{name}": metrics[name] for name in ("accuracy", "loss")})
                events.flush()
                say(f"step {step}: validation accuracy {metrics['accuracy']:.4f}, loss {metrics['loss']:.4f}")
            if stopping:
                raise _interrupted(run, stop, step)
    return (step - first_step - 1) * settings.batch_size / seconds if seconds else None


def _save(session: tf.Session, run: Run, step: int) -> str:
    if not session.run(run.training.all_finite):
        raise _diverged(run, step, "a variable is not finite")
    return run.keeper.save(session, run.training.saver, step)


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
