"""The graph of a training run: input, network, loss, train op, evaluation."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Sequence

from slimft.compat import Part, batch_norm_decay, dropout_seed, frozen_batch_norm, tf
from slimft.data import Dataset, pipeline
from slimft.data.rows import Rows
from slimft.errors import PatternError
from slimft.evaluation import Evaluator, build_evaluator
from slimft.filters import VariableFilter
from slimft.inference import Architecture
from slimft.nets import NetworkSpec
from slimft.nets.folding import folded_batch_norm
from slimft.nets.fully_connected import parts_by
from slimft.runs.settings import Settings
from slimft.session import session_config
from slimft.tasks import Task
from slimft.training import optimizers
from slimft.training.gradients import convolution_gradients
from slimft.training.inputs import Inputs, batch_input
from slimft.training.kernel_parts import KernelParts
from slimft.training.loss_scale import LossScale
from slimft.training.replicas import OneProcess, Replicas, Share
from slimft.training.stages import Stage, parse_multipliers
from slimft.training.towers import (
    Tower,
    average_measured,
    build_towers,
    find_gradients,
    loss_scales,
    move_averages,
    scaled,
    sum_up,
    total_loss_of,
)
from slimft.training.weight_decay import l2_losses, weight_decay

# Of VGG-16's fc6.
_TAPS = 7


@dataclasses.dataclass(frozen=True)
class TrainingGraph:
    """What the session loop needs of the graph; made by `build_graph`.

    Attributes:
        graph: the graph.
        replicas: what computes a step together; with it, how sessions of the graph are made.
        batches: the input of the training network.
        images: what the training network sees of the images: float ``[batch, height, width, channels]``.
        targets: what its loss is of: ``[batch, classes]``, or the masks ``[batch, height, width]``.
        plain: scalar bool, whether that is the images as they are, for ``--cache_views``; None where it always is,
            or never.
        add_gradients: takes one batch of a step of several, but the last; None where a step has one batch.
        train_op: the last batch of a step: gradients, update ops, moving averages, `global_step` + 1.
        measured: scalars of the batch by the names of the task's `measured`. The loss is the mean as class weights,
            label smoothing, mixing and focal loss make it, without auxiliary logits and weight decay.
        learning_rate: the rate of this step.
        ready: scalar float64, in seconds since 1970, when this process had computed its part of a batch, and begins
            to wait for others; None where there are none.
        global_step: the variable that counts steps.
        all_finite: whether every variable is finite: also batch_norm's statistics, averages and slots.
        evaluator: evaluates with the same variables, or their moving averages.
        trained: the variables that training changes.
        optimizer_variables: the names of what only the optimizer knows.
        averages: the moving averages of the weights; None if there are none.
        parts: what of some kernels is trained instead of them: to be taken from them after a restore, and put back
            before they are saved.
        saver: saves all variables.
        spreading: ops that give all processes the chief's variables, to be run in turn.
        notes: what is to be said of it before it trains, a line each.
    """

    graph: tf.Graph
    replicas: Replicas
    batches: pipeline.Batches
    images: tf.Tensor
    targets: tf.Tensor
    plain: tf.Tensor | None
    add_gradients: tf.Operation | None
    train_op: tf.Operation
    measured: dict[str, tf.Tensor]
    learning_rate: tf.Tensor
    ready: tf.Tensor | None
    global_step: tf.Variable
    all_finite: tf.Tensor
    evaluator: Evaluator
    trained: list[tf.Variable]
    optimizer_variables: frozenset[str]
    averages: optimizers.MovingAverages | None
    parts: KernelParts
    saver: tf.train.Saver
    spreading: list[tf.Operation]
    notes: tuple[str, ...] = ()

    @property
    def loss(self) -> tf.Tensor:
        """The loss among what is measured."""
        return self.measured["loss"]

    def spread(self, session: tf.Session) -> None:
        """Gives all processes the variables that the chief has restored or initialized, or made of such."""
        for op in self.spreading:
            session.run(op)
        self.parts.take(session)


def build_graph(
    settings: Settings,
    spec: NetworkSpec,
    dataset: Dataset,
    stage: Stage,
    rate_at: Callable[[tf.Tensor], tf.Tensor] | None = None,
    replicas: Replicas | None = None,
) -> TrainingGraph:
    """Builds the graph that trains `spec` on `dataset` and evaluates it.

    Args:
        settings: the run's settings; `image_size` must be set, and `precision` another one than ``auto``.
        spec: the network.
        dataset: the training split.
        stage: what of the network is trained, and when.
        rate_at: the learning rate at a step; None for the schedule of the settings.
        replicas: what computes a step together; None for one device.

    Raises:
        UsageError: several replicas cannot train the network.
        PatternError: a pattern of what to train or to freeze selects no variable.
    """
    replicas = replicas or OneProcess(session_config(settings.xla))
    graph, head = tf.Graph(), settings.head
    network = Architecture(
        spec, dataset.num_classes, settings.image_size, head, settings.precision, options=settings.network_options()
    )
    with graph.as_default():
        tf.set_random_seed(settings.seed)
        global_step = tf.train.get_or_create_global_step()
        trainable = VariableFilter(
            include=stage.trainable,
            exclude=spec.expand(settings.freeze, head, network.options),
            include_flag="--trainable",
            exclude_flag="--freeze",
        )
        freezes = _freezes(settings, spec, trainable)
        with tf.name_scope("training"):
            views = settings.cache_views and settings.augment != "none"
            plain = tf.placeholder_with_default(False, [], "plain") if views else None
            inputs = batch_input(settings, network, dataset, plain)
        # In segmentation whole images reach what crops do not.
        is_map = network.task.targets.is_map
        parts = KernelParts(lambda name: not settings.ema and not is_map and trainable.selects(name))

        def build(share: Share, reuse: bool, inputs: Inputs) -> Tower:
            own = share.take(inputs.images)
            with (
                share.placed(),
                # What reads a resource variable has what it held then: updates need not wait for each other.
                tf.variable_scope(tf.get_variable_scope(), use_resource=True, reuse=reuse or None),
                parts_by(parts),
                convolution_gradients(),
                dropout_seed(inputs.seed, None if share.is_whole else Part(share.rows.start, share.size, share.of)),
                frozen_batch_norm(freezes),
                batch_norm_decay(_decay_so_far(inputs.batches.step)),
                replicas.batch_norm(share, settings.sync_batch_norm) as moves,
                folded_batch_norm(settings.precision),
            ):
                outputs, end_points = spec.build(
                    own,
                    dataset.num_classes,
                    is_training=True,
                    weight_decay=settings.weight_decay,
                    head=head,
                    precision=settings.precision,
                    options=network.options,
                )
            return Tower(share, own, outputs, end_points, moves)

        def input_of(rows: Rows) -> Inputs:
            with tf.name_scope("training/"):
                return batch_input(settings, network, dataset, plain, rows)

        towers, inputs = build_towers(replicas, settings.batch_size, build, inputs, input_of)
        trained = parts.instead(_trained_variables(trainable))
        averages = None
        if settings.ema:
            averages = optimizers.MovingAverages(settings.ema, [*trained, *_moving_statistics(freezes)])
        with tf.name_scope("training/"):
            decays, other_losses = weight_decay(trained)
            by_itself = optimizers.decays_by_itself(settings)
            for tower, scale in zip(towers, loss_scales(replicas, towers, inputs.targets, network.task)):
                with tower.share.placed():
                    loss_of = _loss_of(settings, network.task, dataset, tower.share.take(inputs.targets))
                    loss = loss_of(tower.outputs)
                    total_loss = total_loss_of(loss, loss_of, tower.end_points, other_losses, scale)
                    if not by_itself:
                        total_loss = tf.add_n([total_loss, *l2_losses(decays, trained)])
                    measured = network.task.measure(tower.outputs, tower.share.take(inputs.labels), loss)
                    tower.total_loss, tower.measured = total_loss, scaled(measured, scale)
            measured = average_measured(replicas, towers)
            step = global_step - stage.first_step
            rate = rate_at(step) if rate_at else _scheduled_rate(settings, dataset, stage, step)
        loss_scale = LossScale() if settings.precision == "float16" else None
        notes = find_gradients(replicas, towers, trained, loss_scale, settings.remat)
        move_averages(replicas, towers, settings.sync_batch_norm)
        factors = _factors(settings, spec, trained)
        add_gradients, train_op, own_variables = _train_ops(
            settings, replicas, rate, towers, list(zip(trained, factors)), averages, decays if by_itself else {}
        )
        with parts_by(parts):
            evaluator = build_evaluator(
                network,
                dataset.image_shape(settings.image_size),
                settings.batch_size,
                reuse=True,
                averages=averages and averages.average,
                in_full=True,
            )
        return TrainingGraph(
            graph=graph,
            replicas=replicas,
            batches=inputs.batches,
            images=inputs.images,
            targets=inputs.targets,
            plain=plain,
            add_gradients=add_gradients,
            train_op=train_op,
            measured=measured,
            learning_rate=rate,
            ready=replicas.ready([one for tower in towers for one in tower.gradients if one is not None]),
            global_step=global_step,
            all_finite=_all_finite(),
            evaluator=evaluator,
            trained=trained,
            optimizer_variables=frozenset(
                variable.op.name for variable in [*own_variables, *(loss_scale.variables if loss_scale else [])]
            ),
            averages=averages,
            parts=parts,
            saver=tf.train.Saver(max_to_keep=0),
            spreading=replicas.spread(tf.global_variables()),
            notes=(*_notes_on_xla(settings), *notes, *_notes_on_crops(network, inputs.images, dataset)),
        )


def _notes_on_xla(settings: Settings) -> tuple[str, ...]:
    if not settings.xla or tf.config.list_physical_devices("GPU"):
        return ()
    return (
        "--xla does nothing here: there is no GPU, and on a CPU TensorFlow compiles only where the environment has "
        "TF_XLA_FLAGS=--tf_xla_cpu_global_jit, and usually to slower code",
    )


def _notes_on_crops(network: Architecture, images: tf.Tensor, dataset: Dataset) -> list[str]:
    """What is to be said where training sees so little of an image that it trains a part of fc6 only."""
    if not network.task.targets.is_map or "fc_width" not in network.spec.options:
        return []
    seen, whole = max(images.shape.as_list()[1:3]), max(dataset.image_shape(0)[:2])
    # fc6 has seven taps, and sees the image at 1/32 of its size.
    if seen // 32 > _TAPS // 2 or seen // 32 >= whole // 32:
        return []
    return [
        f"crops of {seen} pixels train the middle of fc6 only, and images of {whole} are evaluated with all of it; "
        f"from --image_size={32 * (_TAPS // 2 + 1)} on they train all"
    ]


def _all_finite() -> tf.Tensor:
    variables = [variable for variable in tf.global_variables() if variable.dtype.is_floating]
    return tf.reduce_all([tf.reduce_all(tf.is_finite(variable)) for variable in variables])


def _freezes(settings: Settings, spec: NetworkSpec, trainable: VariableFilter) -> Callable[[str], bool]:
    """Whether a batch_norm layer, by its scope, normalizes with its stored statistics, as in evaluation."""
    head = VariableFilter(include=spec.head_scopes(settings.head))
    keeps = settings.batch_norm == "frozen"
    return lambda scope: not trainable.selects(scope) or (keeps and not head.selects(scope))


def _moving_statistics(freezes: Callable[[str], bool]) -> list[tf.Variable]:
    """The moving means and variances that training updates."""
    names = ("moving_mean", "moving_variance")
    scopes = {variable: variable.op.name.rpartition("/") for variable in tf.global_variables()}
    return [variable for variable, (scope, _, name) in scopes.items() if name in names and not freezes(scope)]


def _scheduled_rate(settings: Settings, dataset: Dataset, stage: Stage, step):
    steps_per_epoch = dataset.num_examples / (settings.batch_size * settings.accumulate)
    return optimizers.learning_rate(
        settings, stage.learning_rate, step, stage.last_step - stage.first_step, steps_per_epoch
    )


def _loss_of(settings: Settings, task: Task, dataset: Dataset, targets) -> Callable[[tf.Tensor], tf.Tensor]:
    """What adds the loss of a batch's outputs."""
    weights = dataset.class_weights(settings.balance_beta) if settings.balance == "loss" else None
    return lambda outputs: task.loss(outputs, targets, weights, settings.focal_gamma, settings.label_smoothing)


def _factors(settings: Settings, spec: NetworkSpec, trained) -> list[float]:
    """What the learning rate of each variable is multiplied by; of several patterns the last one counts."""
    factors = {variable.op.name: 1.0 for variable in trained}
    for scope, factor in parse_multipliers(settings.lr_multiplier):
        scopes = spec.expand((scope,), settings.head, settings.network_options())
        chosen = VariableFilter(include=scopes, include_flag="--lr_multiplier")
        factors.update(dict.fromkeys(chosen.select(factors, of="variable that is trained"), factor))
    return list(factors.values())


def _train_ops(settings: Settings, replicas: Replicas, rate, towers: Sequence[Tower], pairs, averages, decays):
    """The op of a step's batches but the last (or None), that of the last, and the optimizer's variables.

    Args:
        settings: the run's settings.
        replicas: the replicas.
        rate: the learning rate.
        towers: the towers, with their gradients.
        pairs: the trained variables, and what the learning rate of each is multiplied by.
        averages: the moving averages of the weights, or None.
        decays: the weight decay that the optimizer adds by itself.
    """
    # The towers' losses depend on the same variables.
    has_gradient = [gradient is not None for gradient in towers[0].gradients]
    variables, factors = zip(*itertools.compress(pairs, has_gradient))
    gradients = [list(itertools.compress(tower.gradients, has_gradient)) for tower in towers]
    update_ops = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
    global_step = tf.train.get_global_step()
    add_gradients, sums = None, []
    if settings.accumulate > 1:
        with tf.control_dependencies(update_ops), tf.name_scope("training/"):
            add_gradients, sums = sum_up(towers, gradients)
        update_ops = [add_gradients]
        with tf.control_dependencies(update_ops):
            gradients = [[total.read_value() / settings.accumulate for total in own] for own in sums]
    averaged = replicas.average(gradients, gradients=True)
    with tf.control_dependencies(update_ops):
        applied, own_variables = optimizers.apply_gradients(settings, rate, averaged, variables, factors, decays)
    with tf.control_dependencies([applied]):
        finished = [total.assign(tf.zeros_like(total)) for own in sums for total in own]
        if averages:
            finished.append(averages.update(global_step.read_value()))
    with tf.control_dependencies([applied, *finished]):
        train_op = tf.assign_add(global_step, 1).op
    return add_gradients, train_op, own_variables


def _decay_so_far(step):
    """The decay of batch_norm's moving averages: a network's own, but less in the first thousands of steps.

    With slim's 0.997 to 0.9997 the averages of a short run would still be those it started with, which have little
    to do with the new images and weights: it would learn, and evaluate like one that guesses. With the limit they
    are about those of the last ninth of the steps so far (that of `tf.train.ExponentialMovingAverage`).
    """
    step = tf.cast(step, tf.float32)
    limit = (1.0 + step) / (10.0 + step)
    return functools.cache(lambda decay: tf.minimum(limit, decay))


def _trained_variables(trainable: VariableFilter) -> list[tf.Variable]:
    variables = {variable.op.name: variable for variable in tf.trainable_variables()}
    names = trainable.select(variables)
    if not names:
        raise PatternError("--freeze leaves nothing to train; leave out one of its patterns")
    return [variables[name] for name in names]
