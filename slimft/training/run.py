"""What a run is made of before its session: data, stages, graph and restore plan."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import time
from collections.abc import Callable, Iterator, Sequence

from slimft.checkpoint.locate import latest_in_state
from slimft.compat import enable_determinism, tf
from slimft.data import Dataset, load_dataset
from slimft.data.class_names import LABELS_FILE, read_labels
from slimft.data.fingerprint import Fingerprint
from slimft.data.loading import some_examples
from slimft.data.sampling import BalancedSampler
from slimft.data.splits import describe_splits
from slimft.errors import CheckpointError, RestoreError, UsageError
from slimft.filters import VariableFilter
from slimft.messages import say
from slimft.nets import get_network
from slimft.restore import RestorePlan
from slimft.runs.directory import older_checkpoints
from slimft.runs.settings import OF_THE_CLUSTER, OF_THE_DISK, Settings
from slimft.runs.settings_file import differences
from slimft.session import initialize, session_config
from slimft.training.beginning import find_beginning
from slimft.training.cluster.agreement import check_same_data, check_told_alike
from slimft.training.cluster.group import Alone, Group
from slimft.training.cluster.members import VARIABLE, cluster_of
from slimft.training.completion import complete, notes_on
from slimft.training.data_checks import as_before, check_data, without
from slimft.training.graph import TrainingGraph, build_graph
from slimft.training.plans import plan_to_resume, plan_to_start
from slimft.training.precision import resolve_precision
from slimft.training.progress import Measured
from slimft.training.replica_choice import group_of, replicas_of
from slimft.training.replicas import OneProcess, Replicas
from slimft.training.run_directory import NoDirectory, RunDirectory
from slimft.training.stages import Stage, stages_of

# What of a finished run is as it is told now, and not as it was.
_OF_NOW = ("data_dir", "num_replicas", *OF_THE_DISK, *OF_THE_CLUSTER)
# Classes whose weights are all told.
_MOST_WEIGHTS = 30


@dataclasses.dataclass(frozen=True)
class Run:
    """All there is of a run before its session; made by `prepare`.

    Attributes:
        settings: its settings, `image_size` filled in.
        splits: the dataset's splits.
        stages: what trains when.
        stage: the one that comes next, or the last.
        training: its graph.
        plan: what is restored first; None to train from scratch.
        resumes: whether `plan` continues an earlier run in the same directory.
        finished: whether that run has nothing left to train.
        directory: where it is written.
        group: the processes that train it.
        newest: the directory's newest checkpoint when the run was prepared.
        notes: what is to be said before it starts, a line each.
        data_record: what its directory is to keep of its data, where that begins or changes.
    """

    settings: Settings
    splits: dict[str, Dataset]
    stages: list[Stage]
    stage: Stage
    training: TrainingGraph
    plan: RestorePlan | None
    resumes: bool
    finished: bool
    directory: RunDirectory
    group: Group
    newest: str | None
    notes: tuple[str, ...] = ()
    data_record: Fingerprint | None = None

    @property
    def total_steps(self) -> int:
        """The step the run ends at, unless it stops early."""
        return self.stages[-1].last_step

    @property
    def pixels(self) -> str:
        """Width and height of what the network is trained on."""
        height, width = self.training.images.shape.as_list()[1:3]
        return f"{width}x{height}"

    @property
    def final_split(self) -> str:
        """The split the result is of."""
        return "test" if "test" in self.splits else "validation"

    def say_notes(self) -> None:
        """Says how image files are split, and all that is to be known of the run before it starts."""
        train = self.splits["train"]
        if not train.in_memory:
            say(*describe_splits(self.splits).split("\n"))
        for split, data in self.splits.items():
            if data.drawn_from is not None:
                say(f"note: {split}: {data.num_examples} of {data.drawn_from} examples (--{split}_examples)")
        if train.task == "segmentation" and self.settings.balance == "loss" and not self.finished:
            weights = zip(train.class_names, train.class_weights(self.settings.balance_beta))
            say("pixels weigh, by the median of the classes' frequencies: " + _few_weights(list(weights)))
        say(*self.notes)

    def describe(self) -> str:
        """Every variable's fate, then what will be trained and for how long."""
        parameters = sum(variable.shape.num_elements() for variable in self.training.trained)
        lines = [
            str(self.plan or "nothing to restore: all variables start afresh"),
            f"train {len(self.training.trained)} variables, {parameters:,} parameters, "
            f"to step {self.stage.last_step} at {self.pixels} pixels",
        ]
        for stage in self.stages[self.stage.number + 1 :]:
            lines.append(f"then train {','.join(stage.trainable) or 'everything'} to step {stage.last_step}")
        return "\n".join(lines)

    def restore(self, session: tf.Session) -> int:
        """Restores or initializes every variable, in all processes alike; returns the step to start at."""
        restored = self.plan.restored if self.plan else {}
        fresh = [variable for variable in tf.global_variables() if variable.op.name not in restored]
        initialize(session, [*fresh, *tf.local_variables()])
        if self.plan:
            try:
                self.plan.apply(session)
            except CheckpointError as error:
                if not self.resumes:
                    raise
                older = older_checkpoints(self.settings.train_dir, but=self.plan.checkpoint.path)
                raise CheckpointError(f"{error}; {older}") from None
        if self.training.averages:
            start = self.training.averages.start
            session.run([op for name, op in start.items() if name not in restored])
        self.training.spread(session)
        return int(session.run(self.training.global_step))

    def start_batches(self, session: tf.Session, step: int) -> None:
        """Lets the batches of step `step` come next."""
        first = step * self.settings.accumulate
        self.training.batches.start(session, self.splits["train"], first, self.sampler())

    def sampler(self) -> BalancedSampler | None:
        """Which examples an epoch has; None for each once."""
        settings, train = self.settings, self.splits["train"]
        if settings.balance != "sampler":
            return None
        return BalancedSampler(train.labels, train.num_classes, settings.balance_beta, settings.seed)

    def new_session(self) -> tf.Session:
        """A session of its graph."""
        session = tf.Session(self.training.replicas.target, config=self.training.replicas.config)
        self.group.watch(session)
        return session

    def take_step(self, session: tf.Session, feeds: Iterator[dict] | None = None) -> Measured:
        """Takes a step, of one batch or several; returns the means of what they measured.

        Args:
            session: the session.
            feeds: what to feed for each batch; None where batches are read (`start_batches`).
        """
        training, batches = self.training, self.settings.accumulate
        fetches, own_seconds = [training.measured, training.learning_rate], None
        if training.ready is not None:
            fetches, own_seconds = [*fetches, training.ready], 0.0
        means = dict.fromkeys(training.measured, 0.0)
        for number in range(batches):
            op = training.train_op if number == batches - 1 else training.add_gradients
            began = time.time()
            with training.batches.errors():
                _, measured, rate, *ready = session.run([op, *fetches], feeds and next(feeds))
            if own_seconds is not None:
                own_seconds += ready[0] - began
            means = {name: mean + float(measured[name]) / batches for name, mean in means.items()}
        return Measured(means, float(rate), own_seconds)

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

    def check_unchanged(self) -> None:
        """Raises UsageError if another process has trained in the directory since the run was prepared."""
        if self.group.is_chief and latest_in_state(self.directory.path) != self.newest:
            raise UsageError(
                f"--train_dir={self.settings.train_dir}: another process has just trained there; repeat the command"
            )

    def _check_number_of_classes(self) -> None:
        """Raises RestoreError, with what to exclude, if only the number of classes is in the way."""
        scopes = get_network(self.settings.model).head_scopes(self.settings.head)
        last_layer = VariableFilter(include=scopes)
        failing = [*self.plan.missing, *(mismatch.name for mismatch in self.plan.mismatched)]
        num_classes = self.splits["train"].num_classes
        others = [
            mismatch.checkpoint_shape[0]
            for mismatch in self.plan.mismatched
            if mismatch.variable_shape == (num_classes,) and len(mismatch.checkpoint_shape) == 1
        ]
        if others and all(map(last_layer.selects, failing)):
            excluded = [*self.settings.exclude, *(s for s in scopes if s not in self.settings.exclude)]
            raise RestoreError(
                f"{self.plan.checkpoint.path} is for {others[0]} classes, {self.settings.dataset} has "
                f"{num_classes}; let the logits start afresh with --exclude={','.join(excluded)}"
            )


def prepare(
    settings: Settings,
    splits: dict[str, Dataset] | None = None,
    rate_at: Callable[[tf.Tensor], tf.Tensor] | None = None,
    resume_from: int | None = None,
    measures: bool = True,
    group: Group | None = None,
) -> Run:
    """Loads the data, builds the graph of the next stage and plans the restore, without writing anything.

    Args:
        settings: the run's settings; what they leave open, `complete` fills in.
        splits: the data, where it is loaded already.
        rate_at: the learning rate at a step; None for the schedule of the settings.
        resume_from: the step of the checkpoint to go on from; None for the run's newest.
        measures: whether ``--precision=auto`` may measure, which takes seconds; else what is remembered counts.
        group: the processes that train; None for those of ``TF_CONFIG``.

    Raises:
        SlimftError: some setting, file or pattern is bad.
    """
    completed = complete(settings)
    if completed.deterministic:
        enable_determinism()
    group = group_of(completed) if group is None else group
    try:
        return _prepare(settings, completed, splits, rate_at, resume_from, measures, group)
    except BaseException:
        group.leave(together=False)
        raise


def prepare_alone(
    settings: Settings,
    rate_at: Callable[[tf.Tensor], tf.Tensor] | None = None,
    resume_from: int | None = None,
) -> Run:
    """As `prepare`, of one process, which does not train a whole run; ``--precision=auto`` does not measure unless
    there is a `rate_at`.
    """
    run = prepare(settings, rate_at=rate_at, resume_from=resume_from, measures=rate_at is not None, group=Alone())
    if cluster_of() is None:
        return run
    return dataclasses.replace(run, notes=(*run.notes, f"{VARIABLE} is left aside: this is done by one process"))


def _prepare(
    given: Settings,
    settings: Settings,
    splits: dict[str, Dataset] | None,
    rate_at: Callable[[tf.Tensor], tf.Tensor] | None,
    resume_from: int | None,
    measures: bool,
    group: Group,
) -> Run:
    """As `prepare`; `settings` are those that were `given`, completed."""
    spec = get_network(settings.model)
    if settings.image_size is not None:
        spec.check_image_size(settings.image_size)
    starts, notes, record = splits is None, [], None
    if starts and group.number > 1:
        check_told_alike(group, settings, replicas_of(settings, group).number // group.number)
    beginning = find_beginning(settings, group, resume_from, starts)
    saved, latest, step = beginning.saved, beginning.latest, beginning.step
    if saved and settings.precision == "auto":
        settings = dataclasses.replace(settings, precision=saved.precision)
    if saved and settings.grey_bits is None:
        settings = dataclasses.replace(settings, grey_bits=saved.grey_bits)
    if splits is None:
        splits = load_dataset(settings.dataset, settings.data_dir, settings.data_options())
        if latest is not None and group.number == 1:  # Several processes may not all see the record.
            splits = as_before(settings, splits)
        check_same_data(group, splits)
        if group.is_chief:
            _check_classes(settings, splits["train"])
    if settings.image_size is None:
        suggested = spec.suggested_size(splits["train"].image_size) or spec.default_image_size
        settings = dataclasses.replace(settings, image_size=saved.image_size if saved else suggested)
    num_examples = splits["train"].num_examples
    stages = stages_of(settings, spec, num_examples)
    finished = latest is not None and step >= stages[-1].last_step
    if starts:
        splits, record, said = _checked(settings, splits, group, resumes=latest is not None, trains=not finished)
        notes = [*notes_on(given, settings), *said]
        settings = dataclasses.replace(settings, grey_bits=splits["train"].grey_bits)
    if starts and saved:
        notes += differences(saved, settings)
        if latest is not None:
            end_before = stages_of(saved, spec, num_examples)[-1].last_step
            notes += _note_on_its_end(step, stages[-1].last_step, end_before)
    if finished and saved:
        # It is evaluated as it was trained, and its directory goes on saying how that was.
        kept = {name: getattr(settings, name) for name in _OF_NOW}
        settings = dataclasses.replace(saved, **kept)
        stages = stages_of(settings, spec, num_examples)
    if starts:
        splits = _sampled(settings, splits)
    replicas = replicas_of(settings, group)
    stage = next((stage for stage in stages if step < stage.last_step), stages[-1])

    def run_in(its: Settings, replicas: Replicas, notes: Sequence[str] = ()) -> Run:
        training = build_graph(its, spec, splits["train"], stage, rate_at, replicas)
        plan, said = None, []
        if group.is_chief:
            with training.graph.as_default():
                if latest is not None:
                    plan = plan_to_resume(latest, training, begins=0 < step == stage.first_step)
                else:
                    plan, said = plan_to_start(its)
        return Run(
            settings=its,
            splits=splits,
            stages=stages,
            stage=stage,
            training=training,
            plan=plan,
            resumes=latest is not None,
            finished=finished,
            directory=(RunDirectory if group.is_chief else NoDirectory)(its.train_dir, its.keep),
            group=group,
            newest=beginning.newest,
            notes=(*notes, *said),
            data_record=record,
        )

    # Several processes would measure each other, too: the chief measures its share of a batch by itself.
    several = group.number > 1
    share = dataclasses.replace(settings, batch_size=settings.batch_size // group.number) if several else settings
    by_itself = OneProcess(session_config(settings.xla)) if several else replicas

    def checked_graph(precision: str) -> TrainingGraph:
        run = run_in(dataclasses.replace(share, precision=precision), by_itself)
        run.check()  # Not after seconds of measuring.
        return run.training

    precision, said = settings.precision, []
    if group.is_chief:
        graph_in = checked_graph if measures else None
        precision, said = resolve_precision(
            share, spec, splits["train"], stage, stages[-1].last_step, by_itself.number, graph_in
        )
    settings = dataclasses.replace(settings, precision=group.broadcast(precision))
    return run_in(settings, replicas, [*notes, *said])


def _checked(
    settings: Settings, splits: dict[str, Dataset], group: Group, resumes: bool, trains: bool
) -> tuple[dict[str, Dataset], Fingerprint | None, tuple[str, ...]]:
    """The splits without what must not be in them, by what the chief knows; its record of them, and its notes."""
    data = check_data(settings, splits, resumes, trains) if group.is_chief else None
    if group.number > 1:
        left_out = group.broadcast(data and sorted(data.left_out))
    if data is None:
        return without(splits, left_out), None, ()
    return data.splits, data.record, data.notes


def _sampled(settings: Settings, splits: dict[str, Dataset]) -> dict[str, Dataset]:
    """The splits with no more to validate and to test on than the settings say; what is recorded is the whole."""
    counts = {"validation": settings.validation_examples, "test": settings.test_examples}
    return {
        split: some_examples(data, counts.get(split), settings.split_seed, f"{split}_examples")
        for split, data in splits.items()
    }


def _few_weights(weights: list[tuple[str, float]]) -> str:
    """All weights of few classes, or the least and the largest."""
    if len(weights) > _MOST_WEIGHTS:
        weights = [min(weights, key=lambda one: one[1]), max(weights, key=lambda one: one[1])]
    return ", ".join(f"{name} {weight:.3g}" for name, weight in weights)


def _note_on_its_end(step: int, end: int, end_before: int) -> list[str]:
    if step >= end:
        what = "nothing is left to train; it is evaluated as it was trained, whatever other flags say"
        return [f"the run is at step {step} and ends at step {end}: {what}"]
    if step >= end_before:
        return [f"the run had come to its end at step {step}; it goes on to step {end}"]
    return []


def _check_classes(settings: Settings, data: Dataset) -> None:
    """Raises UsageError if the run that is in the directory already has other classes than the data has now."""
    labels = pathlib.Path(settings.train_dir, LABELS_FILE)
    if os.path.lexists(labels) and tuple(read_labels(labels)) != data.class_names:
        raise UsageError(
            f"--train_dir={settings.train_dir} holds a run on other classes than those of the data (see its "
            f"{LABELS_FILE}); name another directory"
        )
