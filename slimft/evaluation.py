"""Evaluation on every example of a split, each exactly once."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from slimft.checkpoint import Checkpoint
from slimft.compat import tf
from slimft.data import DataOptions, Dataset, pipeline
from slimft.errors import CheckpointError
from slimft.evaluation_data import choose_data
from slimft.inference import Architecture, Network, find_network
from slimft.messages import say
from slimft.progress_bar import PassBar
from slimft.tasks import Scores, Task


@dataclasses.dataclass(frozen=True)
class Evaluator:
    """The part of a graph that evaluates; made by `build_evaluator`.

    Attributes:
        task: what is evaluated.
        num_classes: number of classes.
        batches: its input.
        predictions: by name, tensors with one entry an example.
    """

    task: Task
    num_classes: int
    batches: pipeline.Batches
    predictions: dict[str, tf.Tensor]

    def run(
        self,
        session: tf.Session,
        dataset: Dataset,
        interrupted: Callable[[], object] = lambda: False,
        keep: Callable[[dict[str, np.ndarray]], object] = lambda batch: None,
        features: Iterator[tuple[np.ndarray, dict]] | None = None,
        part: tuple[int, int] = (0, 1),
        name: str | None = None,
    ) -> Scores | None:
        """Evaluates all of `dataset`, or one process's part of it, in the memory of a batch.

        Args:
            session: a session of the graph, with its variables restored.
            dataset: the examples.
            interrupted: asked before each batch whether to stop. Several processes ask as often as each other: one
                that has no batch in the last round asks before it too.
            keep: gets each batch's predictions, with ``targets`` and ``examples``, their indices.
            features: the targets of each batch, and what to feed for it; None where images are read.
            part: which process this is, from 0, and of how many. It evaluates the batch of this number, and from
                there on each one that is as many further on.
            name: what its progress bar is called; None for no bar.

        Returns:
            The scores, of this part; None where `interrupted()` became true before the end.

        Raises:
            DataError: an image cannot be read.
        """
        index, number = part
        groups = self.batches.groups(dataset)
        if features is None:
            self.batches.start(session, dataset, part=part)
        scores = self.task.scores(self.num_classes)
        asked = {"targets": self.batches.targets, "examples": self.batches.examples, **self.predictions}
        with PassBar(name or "", sum(map(len, groups[index::number])), disable=name is None) as bar:
            for first in range(0, len(groups), number):
                if interrupted():
                    return None
                if first + index >= len(groups):  # The last round has no batch for this process.
                    break
                if features is None:
                    with self.batches.errors():
                        batch = session.run(asked)
                else:
                    targets, feeds = next(features)
                    examples = groups[first + index]
                    batch = {"targets": targets, "examples": examples, **session.run(self.predictions, feeds)}
                scores.add(batch, batch["examples"])
                keep(batch)
                bar.update(len(batch["examples"]))
        return scores


def build_evaluator(
    network: Architecture,
    image_shape,
    batch_size: int,
    reuse: bool = False,
    averages: Callable[[tf.Variable], tf.Variable | None] | None = None,
    in_full: bool = False,
) -> Evaluator:
    """Adds a network in inference mode, with its input and its predictions, to the graph.

    Args:
        network: the network.
        image_shape: height, width and channels of the dataset's images; of no meaning where the network sees
            images at their own size.
        batch_size: examples at a time, at most.
        reuse: whether the network's variables are in the graph already.
        averages: takes a variable and returns what to read in its place, such as
            `tf.train.ExponentialMovingAverage.average`; where that is None, the variable is read.
        in_full: as of `slimft.tasks.Task.predict`.
    """

    def get(getter, *args, **kwargs):
        variable = getter(*args, **kwargs)
        average = averages(variable)
        return variable if average is None else average

    task = network.task
    with tf.name_scope("evaluation"):
        shape = (None, None, 3) if task.targets.is_map else image_shape
        batches = pipeline.eval_batches(shape, batch_size, task.targets)
    scope = tf.get_variable_scope()
    with tf.variable_scope(scope, reuse=reuse or None, custom_getter=None if averages is None else get):
        outputs = network.outputs(batches.images)
    with tf.name_scope("evaluation/"):
        return Evaluator(task, network.num_classes, batches, task.predict(outputs, batches.targets, in_full))


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """A checkpoint's evaluation in full.

    Attributes:
        result: what `evaluate` returns.
        scores: how good the predictions are.
        predictions: what the network makes of each example: `slimft.metrics.Predictions`; of a segmentation a
            list of `slimft.tasks.segmentation_scores.ImageScore`.
        dataset: the examples, with the network's classes.
    """

    result: dict
    scores: Scores
    predictions: Any
    dataset: Dataset


def evaluate(
    model: str | None = None,
    dataset: str | None = None,
    checkpoint: Checkpoint | str | os.PathLike | None = None,
    **arguments,
) -> dict:
    """Evaluates a checkpoint on a split of a dataset, as ``bin/evaluate`` does.

    Args:
        model, dataset, checkpoint, arguments: as of `evaluate_in_full`.

    Returns:
        ``model, dataset, data_dir, split, examples, left_out, accuracy, balanced_accuracy, macro_f1, loss, step,
        checkpoint, image_size, head, averages, precision, train_dir``; ``step`` is None where the checkpoint does
        not tell, ``train_dir`` where it is of no run. Of a segmentation there are ``pixels, mean_iou,
        pixel_accuracy, mean_accuracy, frequency_weighted_iou`` in place of the three figures before the loss, and
        ``longest_side`` in place of the image size.
    """
    return evaluate_in_full(model, dataset, checkpoint, **arguments).result


def evaluate_in_full(
    model: str | None = None,
    dataset: str | None = None,
    checkpoint: Checkpoint | str | os.PathLike | None = None,
    data_dir: str | os.PathLike | None = None,
    split: str | None = None,
    image_size: int | None = None,
    batch_size: int = 64,
    precision: str | None = None,
    head: str | None = None,
    averages: bool | None = None,
    options: Mapping[str, object] | DataOptions | None = None,
    train_dir: str | os.PathLike | None = None,
    labels: str | os.PathLike | None = None,
) -> Evaluation:
    """Evaluates a checkpoint on a split of a dataset, and keeps the predictions.

    What is not given comes from the run that the checkpoint is of, if it is of one. What was chosen is said on
    standard error.

    Args:
        model, checkpoint, image_size, precision, head, averages, train_dir, labels: as of
            `slimft.inference.find_network`. Without a run, the image size is by default the dataset's or, where
            that has none, the network's own.
        batch_size: examples at a time.
        dataset, data_dir, split, options: as of `slimft.evaluation_data.choose_data`.

    Raises:
        UsageError: the network, the dataset or the split is unknown, or contradicts the run.
        DataError: the data is missing or corrupt, of other classes than the checkpoint, or all trained on.
        CheckpointError: the checkpoint is missing, unreadable, without averages, or not finite.
        RestoreError: it does not fit the network.
    """
    network = find_network(
        model,
        checkpoint,
        train_dir=train_dir,
        image_size=image_size,
        head=head,
        averages=averages,
        precision=precision,
        labels=labels,
    )
    return evaluate_network(network, dataset, data_dir, split, options, batch_size)


def evaluate_network(
    network: Network,
    dataset: str | None = None,
    data_dir: str | os.PathLike | None = None,
    split: str | None = None,
    options: Mapping[str, object] | DataOptions | None = None,
    batch_size: int = 64,
    in_full: bool = False,
) -> Evaluation:
    """Evaluates a network that `find_network` found; as `evaluate_in_full`.

    Args:
        network: the network.
        dataset, data_dir, split, options, batch_size: as of `evaluate_in_full`.
        in_full: whether the predictions have the probabilities of all classes.
    """
    chosen = choose_data(network, dataset, data_dir, split, options)
    data, opened = chosen.dataset, network.checkpoint
    network = network.sized(data.image_size).measured(batch_size)
    scores, predictions = _predict(network, data, batch_size, in_full)
    metrics = scores.summary()
    if not np.isfinite(metrics["loss"]):
        raise CheckpointError(f"{opened.path}: the loss is {metrics['loss']}; its weights are not finite")
    # Not earlier: what is wrong with the data or the checkpoint stands alone.
    network.say()
    for note in chosen.notes:
        say(note)
    examples = metrics.pop("examples")
    result = {
        "model": network.spec.name,
        "dataset": data.name,
        "data_dir": chosen.data_dir,
        "split": data.split,
        "examples": examples,
        "left_out": chosen.left_out,
        **metrics,
        "step": int(np.asarray(opened["global_step"]).item()) if "global_step" in opened else None,
        "checkpoint": opened.path,
        **_sizes(network, data),
        "head": network.head,
        "averages": network.averages,
        "precision": network.precision,
        "train_dir": None if network.run is None else str(network.run),
    }
    return Evaluation(result, scores, predictions, data)


def _sizes(network: Network, data: Dataset) -> dict[str, int]:
    if network.task.targets.is_map:
        return {"longest_side": data.longest_side}
    return {"image_size": network.image_size}


def _predict(network: Network, data: Dataset, batch_size: int, in_full: bool) -> tuple[Scores, Any]:
    """How good a network is on `data`, and what it makes of each example, in a graph of its own."""
    size, task, notes = network.image_size, network.task, []
    with tf.Graph().as_default():
        # The initializers never run, but after a deterministic run in this process they have to have a seed.
        tf.set_random_seed(0)
        evaluator = build_evaluator(network.architecture, data.image_shape(size), batch_size, in_full=in_full)
        with network.session() as session:
            data.prepare(size, several_passes=False)
            name = f"evaluating {data.split}"
            scores = evaluator.run(session, data, keep=lambda batch: notes.append(task.note(batch)), name=name)
    return scores, task.predictions(notes, network.num_classes)
