"""The networks of a training graph, one for each share of the batch, and what of them is averaged."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from slimft.compat import BatchNormMove, tf
from slimft.data.rows import Rows
from slimft.errors import UsageError
from slimft.tasks import Task
from slimft.training import optimizers
from slimft.training.inputs import Inputs
from slimft.training.loss_scale import LossScale
from slimft.training.remat import recomputed_gradients
from slimft.training.replicas import Replicas, Share

# What the loss of auxiliary logits counts: research/slim/train_image_classifier.py, for Inception V3.
_AUXILIARY_WEIGHT = 0.4
# What of a loss one replica counts: a number, a scalar tensor, or None for 1.
Scale = Any


@dataclasses.dataclass
class Tower:
    """A network that trains on a share of the batch.

    Attributes:
        share: the share.
        images: its images.
        outputs: what the network makes of them.
        end_points: by name, what its layers make of them.
        moves: what its batch_norm layers' moving averages are to move towards; empty where these have update ops.
        total_loss: scalar, what it minimizes.
        measured: scalars by name.
        gradients: of the total loss, for each trained variable; None where it does not depend on it.
    """

    share: Share
    images: tf.Tensor
    outputs: tf.Tensor
    end_points: dict[str, tf.Tensor]
    moves: list[BatchNormMove]
    total_loss: tf.Tensor | None = None
    measured: Mapping[str, tf.Tensor] = dataclasses.field(default_factory=dict)
    gradients: list[tf.Tensor | None] = dataclasses.field(default_factory=list)


def build_towers(
    replicas: Replicas,
    batch_size: int,
    build: Callable[[Share, bool, Inputs], Tower],
    whole: Inputs,
    input_of: Callable[[Rows], Inputs],
) -> tuple[list[Tower], Inputs]:
    """Builds a network for each share of this process; returns them, and the input they have.

    What a fresh variable begins with depends, by TensorFlow's seeds, on how many ops are before it. So where a
    batch is shared, the network is built for all of it first, as one process builds it: its variables and their
    regularizers are used, and nothing else of it runs.

    Args:
        replicas: the replicas.
        batch_size: images of a batch.
        build: builds the network of a share; is told whether its variables are there.
        whole: the input of a whole batch.
        input_of: adds the input of those rows of a batch that this process reads, where it does not read all.

    Raises:
        UsageError: something that the network updates cannot be averaged.
    """
    shares, updates = replicas.shares(batch_size), tf.get_collection_ref(tf.GraphKeys.UPDATE_OPS)
    regularizers = tf.get_collection_ref(tf.GraphKeys.REGULARIZATION_LOSSES)
    if all(share.is_whole for share in shares):
        return [build(share, False, whole) for share in shares], whole
    build(Share(0, slice(0, batch_size), batch_size, device=shares[0].device), False, whole)
    del updates[:]
    once, rows = len(regularizers), replicas.rows(batch_size)
    inputs = whole if rows is None else input_of(rows)
    towers = [build(share, True, inputs) for share in shares]
    del regularizers[once:]  # Layers regularize their variables each time that they are built.
    if updates:
        raise UsageError(
            f"--num_replicas: {updates[0].name} updates what several replicas cannot average; choose "
            "--num_replicas=1"
        )
    return towers, inputs


def loss_scales(replicas: Replicas, towers: Sequence[Tower], targets: tf.Tensor, task: Task) -> list[Scale]:
    """What the mean loss of each tower is multiplied by, so that the average is the mean of the whole batch.

    Where some targets do not count, as pixels of no class, a tower weighs as many as do.
    """
    if all(tower.share.is_whole for tower in towers):
        return [None for _ in towers]
    if task.targets.ignore is None:
        return [tower.share.scale if tower.share.scale != 1 else None for tower in towers]
    counts = [
        tf.reduce_sum(tf.cast(tf.not_equal(tower.share.take(targets), task.targets.ignore), tf.float32))
        for tower in towers
    ]
    (mean,) = replicas.average([[count] for count in counts])
    return [count / tf.maximum(mean, 1 / replicas.number) for count in counts]


def total_loss_of(
    loss, loss_of: Callable[[tf.Tensor], tf.Tensor], end_points, other_losses, scale: Scale
) -> tf.Tensor:
    """What is minimized beside weight decay: the loss, and that of auxiliary logits where the network has some.

    `other_losses`, of the weights, are the same for all replicas, and not scaled.
    """
    losses = [loss if scale is None else loss * scale, *other_losses]
    if "AuxLogits" in end_points:
        auxiliary = _AUXILIARY_WEIGHT * loss_of(end_points["AuxLogits"])
        losses.append(auxiliary if scale is None else auxiliary * scale)
    return tf.add_n(losses)


def scaled(values: Mapping[str, tf.Tensor], scale: Scale) -> Mapping[str, tf.Tensor]:
    """What a tower measured, as it counts in the average."""
    return values if scale is None else {name: value * scale for name, value in values.items()}


def average_measured(replicas: Replicas, towers: Sequence[Tower]) -> dict[str, tf.Tensor]:
    """What all replicas measured of a batch."""
    means = replicas.average([list(tower.measured.values()) for tower in towers])
    return dict(zip(towers[0].measured, means))


def move_averages(replicas: Replicas, towers: Sequence[Tower], synchronised: bool) -> None:
    """Adds the update ops of batch_norm's moving averages, towards the averages of the towers' statistics.

    Args:
        replicas: the replicas.
        towers: the towers of this process.
        synchronised: whether the towers' statistics are those of the whole batch already.
    """
    moves = towers[0].moves
    if not moves:
        return
    values = [move.value for move in moves]
    if not synchronised:
        values = replicas.average([[move.value * tower.share.scale for move in tower.moves] for tower in towers])
    # Towers wait for each other in synchronised layers: whatever runs one tower's has to run those of all.
    with tf.control_dependencies([move.value for tower in towers[1:] for move in tower.moves]):
        for move, value in zip(moves, values):
            tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, move.update(value))


def find_gradients(
    replicas: Replicas,
    towers: Sequence[Tower],
    trained: Sequence[tf.Variable],
    loss_scale: LossScale | None,
    recomputes: bool,
) -> tuple[str, ...]:
    """Gives each tower its gradients; returns notes on them.

    Args:
        replicas: the replicas.
        towers: the towers of this process.
        trained: the variables.
        loss_scale: what the losses are multiplied by, and the gradients divided; None for nothing.
        recomputes: whether activations are computed a second time.
    """
    notes: tuple[str, ...] = ()
    for tower in towers:
        with tower.share.placed(), tf.name_scope("training/"):
            loss = loss_scale.scaled(tower.total_loss) if loss_scale else tower.total_loss
            if not recomputes:
                tower.gradients = tf.gradients(loss, list(trained))
                continue
            recomputed = recomputed_gradients(loss, trained, tower.images)
            tower.gradients, notes = recomputed.gradients, (recomputed.describe(),)
    if not loss_scale:
        return notes
    with tf.name_scope("training/"):
        average = None if replicas.number == 1 else replicas.average
        unscaled = loss_scale.unscaled([_known(tower) for tower in towers], average)
    for tower, known in zip(towers, map(iter, unscaled)):
        tower.gradients = [None if gradient is None else next(known) for gradient in tower.gradients]
    return notes


def _known(tower: Tower) -> list[tf.Tensor]:
    return [gradient for gradient in tower.gradients if gradient is not None]


def sum_up(
    towers: Sequence[Tower], gradients: Sequence[Sequence[tf.Tensor]]
) -> tuple[tf.Operation, list[list[tf.Variable]]]:
    """Sums each tower's gradients, where the tower is; as `slimft.training.optimizers.sum_up`."""
    adding, sums = [], []
    for tower, own in zip(towers, gradients):
        with tower.share.placed():
            add, totals = optimizers.sum_up(own)
        adding.append(add)
        sums.append(totals)
    return adding[0] if len(adding) == 1 else tf.group(*adding), sums
