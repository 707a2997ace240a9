"""Evaluation on every example of a split, each exactly once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from slimft.checkpoint import Checkpoint, open_checkpoint
from slimft.checkpoint.averages import averaged
from slimft.compat import tf
from slimft.data import Dataset, load_dataset, pipeline
from slimft.data.dataset import DataOptions
from slimft.data.preprocessing import preprocess
from slimft.errors import CheckpointError, DataError, UsageError
from slimft.metrics import Predictions
from slimft.nets import NetworkSpec, get_network
from slimft.nets.heads import head_of
from slimft.restore import plan_restore


@dataclasses.dataclass(frozen=True)
class Evaluator:
    """The part of a graph that evaluates; made by `build_evaluator`.

    Attributes:
        batches: its input.
        predicted: int32 ``[batch]``, the likeliest classes.
        confidence: float32 ``[batch]``, the probabilities of these.
        losses: float32 ``[batch]``, cross entropies in nats.
        num_classes: number of classes.
    """

    batches: pipeline.Batches
    predicted: tf.Tensor
    confidence: tf.Tensor
    losses: tf.Tensor
    num_classes: int

    def run(self, session: tf.Session, dataset: Dataset, interrupted=lambda: False) -> Predictions | None:
        """Evaluates all of `dataset`.

        Returns:
            What the network makes of each example; None where `interrupted()` became true before the end.

        Raises:
            DataError: an image cannot be read.
        """
        self.batches.start(session, dataset)
        fetches = [self.batches.labels, self.predicted, self.confidence, self.losses]
        parts, examples = [], 0
        while examples < dataset.num_examples:
            if interrupted():
                return None
            with self.batches.errors():
                parts.append(session.run(fetches))
            examples += len(parts[-1][0])
        return Predictions(*map(np.concatenate, zip(*parts)), num_classes=self.num_classes)


def build_evaluator(
    spec: NetworkSpec,
    image_shape,
    image_size: int,
    num_classes: int,
    batch_size: int,
    reuse: bool = False,
    head: str = "linear",
    averages: Callable[[tf.Variable], tf.Variable | None] | None = None,
) -> Evaluator:
    """Adds a network in inference mode, with its input and its predictions, to the graph.

    Args:
        spec: the network.
        image_shape: height, width and channels of the dataset's images.
        image_size: height and width the network gets.
        num_classes: number of classes.
        batch_size: examples at a time.
        reuse: whether the network's variables are in the graph already.
        head: what stands at the network's end, one of `slimft.nets.HEADS`.
        averages: takes a variable and returns what to read in its place, such as
            `tf.train.ExponentialMovingAverage.average`; where that is None, the variable is read.
    """

    def get(getter, *args, **kwargs):
        variable = getter(*args, **kwargs)
        average = averages(variable)
        return variable if average is None else average

    with tf.name_scope("evaluation"):
        batches = pipeline.eval_batches(image_shape, batch_size)
        images = preprocess(batches.images, image_size, spec.preprocessing)
    scope = tf.get_variable_scope()
    with tf.variable_scope(scope, reuse=reuse or None, custom_getter=None if averages is None else get):
        logits, _ = spec.build(images, num_classes, is_training=False, head=head)
    with tf.name_scope("evaluation/"):
        return Evaluator(
            batches=batches,
            predicted=tf.argmax(logits, axis=1, output_type=tf.int32),
            confidence=tf.reduce_max(tf.nn.softmax(logits), axis=1),
            losses=tf.nn.sparse_softmax_cross_entropy_with_logits(labels=batches.labels, logits=logits),
            num_classes=num_classes,
        )


def session_config(precision: str = "float32") -> tf.ConfigProto:
    """How slimft's sessions run: GPU memory as needed; convolutions in bfloat16 if told so.

    Args:
        precision: ``float32``, or ``bfloat16`` for oneDNN's bfloat16 kernels on a CPU. Variables stay
            float32.
    """
    config = tf.ConfigProto()
    config.gpu_options.allow_growth = True
    if precision == "bfloat16":
        on = 1  # RewriterConfig.ON
        config.graph_options.rewrite_options.auto_mixed_precision_onednn_bfloat16 = on
    return config


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """A checkpoint's evaluation in full.

    Attributes:
        result: what `evaluate` returns.
        predictions: what the network makes of each example.
        dataset: the split.
    """

    result: dict
    predictions: Predictions
    dataset: Dataset


def evaluate(model: str, dataset: str, checkpoint: Checkpoint | str, **arguments) -> dict:
    """Evaluates a checkpoint on a split of a dataset.

    Args:
        model, dataset, checkpoint, arguments: as of `evaluate_in_full`.

    Returns:
        ``model, dataset, split, examples, accuracy, balanced_accuracy, macro_f1, loss, step, checkpoint``; ``step``
        is None where the checkpoint does not tell.
    """
    return evaluate_in_full(model, dataset, checkpoint, **arguments).result


def evaluate_in_full(
    model: str,
    dataset: str,
    checkpoint: Checkpoint | str,
    data_dir: str | None = None,
    split: str | None = None,
    image_size: int | None = None,
    batch_size: int = 64,
    precision: str = "float32",
    head: str | None = None,
    averages: bool = False,
    options: DataOptions | None = None,
    class_names: Sequence[str] | None = None,
) -> Evaluation:
    """Evaluates a checkpoint on a split of a dataset, and keeps the predictions.

    Args:
        model: name of the network.
        dataset: name of the dataset.
        checkpoint: what `slimft.open_checkpoint` takes.
        data_dir: where the dataset is.
        split: ``train``, ``validation`` or ``test``; None for test, or validation where the data has no test split.
        image_size: height and width the network gets; None for the dataset's or, where that has none, the network's
            own.
        batch_size: examples at a time.
        precision: as in `session_config`.
        head: what stands at the network's end, one of `slimft.nets.HEADS`; None for what the checkpoint has.
        averages: whether to evaluate the checkpoint's moving averages of the variables.
        options: how the dataset is split and read; None for the defaults.
        class_names: the classes of the checkpoint, which the dataset's have to be; None where they are unknown.

    Raises:
        UsageError: the network, the dataset or the split is unknown.
        DataError: the data is missing or corrupt, or of other classes than the checkpoint.
        CheckpointError: the checkpoint is missing, unreadable, without averages, or not finite.
        RestoreError: it does not fit the network.
    """
    spec = get_network(model)
    data = _split_of(load_dataset(dataset, data_dir, options), dataset, split)
    if class_names is not None:
        _check_classes(data, class_names)
    image_size = image_size or max(spec.min_image_size, data.image_size or spec.default_image_size)
    spec.check_image_size(image_size)
    opened = open_checkpoint(checkpoint)
    opened = averaged(opened) if averages else opened
    predictions = _predict(spec, data, opened, image_size, batch_size, precision, head or head_of(opened))
    metrics = predictions.summary()
    if not np.isfinite(metrics["loss"]):
        raise CheckpointError(f"{opened.path}: the loss is {metrics['loss']}; its weights are not finite")
    step = int(np.asarray(opened["global_step"]).item()) if "global_step" in opened else None
    place = {"step": step, "checkpoint": opened.path}
    return Evaluation(
        {"model": model, "dataset": dataset, "split": data.split, **metrics, **place}, predictions, data
    )


def _predict(
    spec: NetworkSpec,
    data: Dataset,
    checkpoint: Checkpoint,
    image_size: int,
    batch_size: int,
    precision: str,
    head: str,
) -> Predictions:
    """What a network with the variables of `checkpoint` makes of `data`, in a graph of its own."""
    with tf.Graph().as_default():
        shape = data.image_shape(image_size)
        evaluator = build_evaluator(spec, shape, image_size, data.num_classes, batch_size, head=head)
        plan = plan_restore(checkpoint)
        plan.check(can_exclude=False)
        if not data.in_memory:
            data.images.prepare(image_size, several_passes=False)
        with tf.Session(config=session_config(precision)) as session:
            plan.apply(session)
            return evaluator.run(session, data)


def _split_of(splits: dict[str, Dataset], name: str, split: str | None) -> Dataset:
    """The split called `split`, or the one that is evaluated by default."""
    split = split or ("test" if "test" in splits else "validation")
    if split not in splits:
        there = " and ".join(splits)
        raise UsageError(f"--split={split}: the data ({name}) has no such split, only {there}")
    return splits[split]


def _check_classes(data: Dataset, class_names: Sequence[str]) -> None:
    """Raises DataError unless the classes of `data` are those of the run, in their order."""
    ours, theirs = list(data.class_names), list(class_names)
    if ours == theirs:
        return
    if len(ours) != len(theirs):
        what = f"has {len(ours)} classes, the run was trained on {len(theirs)}"
        odd = [repr(name) for name in (*ours, *theirs) if (name in ours) != (name in theirs)][:3]
        what += f" (not in both: {', '.join(odd)})" if odd else ""
    else:
        first = next(i for i, pair in enumerate(zip(ours, theirs)) if pair[0] != pair[1])
        what = f"has {ours[first]!r} for class {first}, the run was trained with {theirs[first]!r}"
    raise DataError(f"the data ({data.name}) {what}; evaluate on data of the run's classes (its labels.txt)")
