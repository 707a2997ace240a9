"""The graph of a training run: input, network, loss, train op, evaluation."""

from __future__ import annotations

import dataclasses
import functools

from slimft.compat import batch_norm_decay, dropout_seed, frozen_batch_norm, tf
from slimft.data import Dataset, pipeline
from slimft.data.preprocessing import preprocess
from slimft.errors import PatternError
from slimft.evaluation import Evaluator, build_evaluator
from slimft.filters import VariableFilter
from slimft.nets import NetworkSpec
from slimft.training import optimizers
from slimft.training.settings import Settings

# What the loss of auxiliary logits counts: research/slim/train_image_classifier.py, for Inception V3.
_AUXILIARY_WEIGHT = 0.4


@dataclasses.dataclass(frozen=True)
class TrainingGraph:
    """What the session loop needs of the graph; made by `build_graph`.

    Attributes:
        graph: the graph.
        batches: the input of the training network.
        train_op: one step: gradients, update ops, `global_step` + 1.
        loss: the batch's mean cross entropy, in nats, without auxiliary logits and weight decay.
        accuracy: share of the batch classified correctly.
        learning_rate: the rate of this step.
        global_step: the variable that counts steps.
        all_finite: whether every trained variable is finite.
        evaluator: evaluates with the same variables.
        trained: the variables that training changes.
        saver: saves all variables.
    """

    graph: tf.Graph
    batches: pipeline.Batches
    train_op: tf.Operation
    loss: tf.Tensor
    accuracy: tf.Tensor
    learning_rate: tf.Tensor
    global_step: tf.Variable
    all_finite: tf.Tensor
    evaluator: Evaluator
    trained: list[tf.Variable]
    saver: tf.train.Saver


def build_graph(settings: Settings, spec: NetworkSpec, dataset: Dataset, total_steps: int) -> TrainingGraph:
    """Builds the graph that trains `spec` on `dataset` and evaluates it.

    Args:
        settings: the run's settings; `image_size` must be set.
        spec: the network.
        dataset: the training split.
        total_steps: how many steps the run has.

    Raises:
        PatternError: a pattern of `settings.trainable` selects no variable.
    """
    graph = tf.Graph()
    with graph.as_default():
        tf.set_random_seed(settings.seed)
        global_step = tf.train.get_or_create_global_step()
        trainable = VariableFilter(include=settings.trainable)
        with tf.name_scope("training"):
            batches = pipeline.train_batches(dataset.images.shape[1:], settings.batch_size, settings.seed)
            seed = tf.stack([tf.constant(settings.seed, tf.int64), batches.step])
            images = preprocess(
                batches.images,
                settings.image_size,
                spec.preprocessing,
                training_seed=tf.random.experimental.stateless_fold_in(seed, 0),
                flip=dataset.flip,
                max_shift=dataset.max_shift,
            )
        with (
            dropout_seed(seed),
            # A batch_norm layer that is not to change has to normalize as it will in evaluation.
            frozen_batch_norm(lambda scope: not trainable.selects(scope)),
            batch_norm_decay(_decay_so_far(batches.step)),
        ):
            logits, end_points = spec.build(
                images, dataset.num_classes, is_training=True, weight_decay=settings.weight_decay
            )
        trained = _trained_variables(trainable)
        with tf.name_scope("training/"):
            loss = tf.losses.sparse_softmax_cross_entropy(batches.labels, logits)
            correct = tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), batches.labels)
            accuracy = tf.reduce_mean(tf.cast(correct, tf.float32))
            rate = optimizers.learning_rate(
                settings, global_step, total_steps, dataset.num_examples / settings.batch_size
            )
            total_loss = tf.add_n([loss, *_auxiliary_loss(end_points, batches.labels), *_weight_decay_of(trained)])
        with tf.control_dependencies(tf.get_collection(tf.GraphKeys.UPDATE_OPS)):
            train_op = optimizers.optimizer(settings, rate).minimize(total_loss, global_step, trained)
        evaluator = build_evaluator(
            spec, dataset.images.shape[1:], settings.image_size, dataset.num_classes,
            settings.batch_size, reuse=True,
        )  # fmt: skip
        return TrainingGraph(
            graph=graph,
            batches=batches,
            train_op=train_op,
            loss=loss,
            accuracy=accuracy,
            learning_rate=rate,
            global_step=global_step,
            all_finite=tf.reduce_all([tf.reduce_all(tf.is_finite(variable)) for variable in trained]),
            evaluator=evaluator,
            trained=trained,
            saver=tf.train.Saver(max_to_keep=0),
        )


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
    try:
        return [variables[name] for name in trainable.select(variables)]
    except PatternError as error:
        raise PatternError(str(error).replace("--include=", "--trainable=", 1)) from None


def _auxiliary_loss(end_points, labels) -> list[tf.Tensor]:
    """The weighted cross entropy of the auxiliary logits, where the network has them."""
    if "AuxLogits" not in end_points:
        return []
    logits = end_points["AuxLogits"]
    return [tf.losses.sparse_softmax_cross_entropy(labels, logits, _AUXILIARY_WEIGHT, scope="auxiliary_loss")]


def _weight_decay_of(variables) -> list[tf.Tensor]:
    """The regularization losses of `variables`: those of frozen ones are constants, dear to compute."""
    trained = {variable.op for variable in variables}
    losses = tf.get_collection(tf.GraphKeys.REGULARIZATION_LOSSES)
    return [loss for loss in losses if not trained.isdisjoint(_ancestors(loss.op))]


def _ancestors(op: tf.Operation) -> set[tf.Operation]:
    """The ops that `op` is computed from, itself included."""
    found, queue = {op}, [op]
    while queue:
        for tensor in queue.pop().inputs:
            if tensor.op not in found:
                found.add(tensor.op)
                queue.append(tensor.op)
    return found
