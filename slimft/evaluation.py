"""Evaluation on every example of a split, each exactly once."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from slimft.checkpoint import Checkpoint
from slimft.compat import tf
from slimft.data import DataOptions, Dataset, pipeline
from slimft.errors import CheckpointError
from slimft.evaluation_data import ChosenData, choose_data
from slimft.inference import Architecture, Network, find_network
from slimft.messages import say
from slimft.prediction import Classifier
from slimft.progress_bar import PassBar
from slimft.tasks import Scores, Task
from slimft.tasks.classification_figures import ranks

# What all probabilities of all examples take at most; of more, they are not kept.
_MOST_BYTES = 2 << 30


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
        ranks: in full, of each example how many classes are likelier than the true one, int32 ``[examples]``.
    """

    result: dict
    scores: Scores
    predictions: Any
    dataset: Dataset
    ranks: np.ndarray | None = None


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
        ``model, dataset, data_dir, split, examples, examples_in_split, left_out, accuracy, balanced_accuracy,
        macro_f1, loss, step, checkpoint, image_size, head, averages, precision, train_dir, tta``; ``step`` is None
        where the checkpoint does not tell, ``train_dir`` where it is of no run. Of a segmentation there are
        ``pixels, mean_iou, pixel_accuracy, mean_accuracy, frequency_weighted_iou`` in place of the three figures
        before the loss, ``longest_side`` in place of the image size, and no ``tta``.
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
    return evaluate_chosen([network], [chosen], batch_size, in_full)[0]


def evaluate_chosen(
    networks: Sequence[Network],
    chosen: Sequence[ChosenData],
    batch_size: int = 64,
    in_full: bool = False,
    tta: str = "none",
) -> list[Evaluation]:
    """Evaluates a network, or an ensemble, on what `choose_data` chose, one after the other.

    Args:
        networks: one, or those whose probabilities are averaged.
        chosen: the data.
        batch_size: examples at a time.
        in_full: whether there are `Evaluation.ranks`, and the predictions have the probabilities of all classes, if
            these take at most 2 GB.
        tta: over which views of each image the probabilities are averaged, one of `slimft.data.views.TTA`.

    Raises:
        UsageError: several networks or views, of a segmentation; or networks of different classes.
        CheckpointError, RestoreError, DataError: as of `evaluate_in_full`.
    """
    suggested = chosen[0].dataset.image_size
    networks = [one.sized(suggested).measured(batch_size) for one in networks]
    averaged, evaluations = len(networks) > 1 or tta != "none", []
    in_full = in_full and not networks[0].task.targets.is_map
    with contextlib.ExitStack() as stack:
        classifier = stack.enter_context(Classifier.of(networks, tta=tta)) if averaged else None
        for number, one in enumerate(chosen):
            kept = _Kept(one.dataset, networks[0].num_classes if in_full else None)
            if classifier is not None:
                scores = _score_means(classifier, one.dataset, batch_size, kept)
            else:
                scores = _score(networks[0], one.dataset, batch_size, kept)
            result = _result(networks, one, scores, tta)
            if number == 0 and not averaged:  # Not earlier: what is wrong with data or checkpoint stands alone.
                networks[0].say()
            say(*one.notes)
            predictions = kept.predictions(networks[0])
            evaluations.append(Evaluation(result, scores, predictions, one.dataset, kept.ranks))
    return evaluations


def _result(networks: Sequence[Network], chosen: ChosenData, scores: Scores, tta: str) -> dict[str, Any]:
    """What `evaluate` returns; raises CheckpointError where the loss is not finite."""
    data, metrics = chosen.dataset, scores.summary()
    if not np.isfinite(metrics["loss"]):
        opened = networks[0].checkpoint
        raise CheckpointError(f"{opened.path}: the loss is {metrics['loss']}; its weights are not finite")
    examples = metrics.pop("examples")
    used = [_used(network, data) for network in networks]
    common = {name: value if all(one[name] == value for one in used) else None for name, value in used[0].items()}
    result = {
        "model": common.pop("model"),
        "dataset": data.name,
        "data_dir": chosen.data_dir,
        "split": data.split,
        "examples": examples,
        "examples_in_split": data.drawn_from or data.num_examples,
        "left_out": chosen.left_out,
        **metrics,
        **common,
    }
    if not networks[0].task.targets.is_map:
        result["tta"] = tta
    if len(networks) > 1:
        result["networks"] = used
    return result


def _used(network: Network, data: Dataset) -> dict[str, Any]:
    """What is to be told of a network in a result."""
    opened = network.checkpoint
    return {
        "model": network.spec.name,
        "step": int(np.asarray(opened["global_step"]).item()) if "global_step" in opened else None,
        "checkpoint": opened.path,
        **_sizes(network, data),
        "head": network.head,
        "averages": network.averages,
        "precision": network.precision,
        "train_dir": None if network.run is None else str(network.run),
    }


def _sizes(network: Network, data: Dataset) -> dict[str, int]:
    if network.task.targets.is_map:
        return {"longest_side": data.longest_side}
    return {"image_size": network.image_size}


def can_keep(data: Dataset, num_classes: int) -> bool:
    """Whether the probabilities of all classes and examples fit into the memory that they may take."""
    return 4 * data.num_examples * num_classes <= _MOST_BYTES


class _Kept:
    """What is kept of each batch.

    Args:
        data: the examples.
        num_classes: of how many classes the probabilities are to be kept; None for none.
    """

    def __init__(self, data: Dataset, num_classes: int | None):
        self.in_full = num_classes is not None
        self._notes: list = []
        self.ranks: np.ndarray | None = None
        self._probabilities: np.ndarray | None = None
        if num_classes is not None:
            self.ranks = np.zeros(data.num_examples, np.int32)
            if can_keep(data, num_classes):
                self._probabilities = np.zeros((data.num_examples, num_classes), np.float32)

    def add(self, task: Task, batch: dict[str, np.ndarray]) -> None:
        """Adds what the task predicts of a batch, with ``targets`` and ``examples``."""
        batch = dict(batch)
        probabilities = batch.pop("probabilities", None)
        if probabilities is not None and self.ranks is not None:
            examples = batch["examples"]
            self.ranks[examples] = ranks(batch["targets"], probabilities)
            if self._probabilities is not None:
                self._probabilities[examples] = probabilities
        self._notes.append(task.note(batch))

    def predictions(self, network: Network) -> Any:
        made = network.task.predictions(self._notes, network.num_classes)
        return dataclasses.replace(made, probabilities=self._probabilities) if self.in_full else made


def _score(network: Network, data: Dataset, batch_size: int, kept: _Kept) -> Scores:
    """How good a network is on `data`, in a graph of its own."""
    size, task = network.image_size, network.task
    with tf.Graph().as_default():
        # The initializers never run, but after a deterministic run in this process they have to have a seed.
        tf.set_random_seed(0)
        shape = data.image_shape(size)
        evaluator = build_evaluator(network.architecture, shape, batch_size, in_full=kept.in_full)
        with network.session() as session:
            data.prepare(size, several_passes=False)
            name = f"evaluating {data.split}"
            return evaluator.run(session, data, keep=lambda batch: kept.add(task, batch), name=name)


def _score_means(classifier: Classifier, data: Dataset, batch_size: int, kept: _Kept) -> Scores:
    """How good the means over networks and views are on `data`."""
    task = classifier.network.task
    scores = task.scores(classifier.network.num_classes)
    shapes = [data.image_shape(side) for side in classifier.sides()]
    for side in dict.fromkeys(classifier.sides()):
        data.prepare(side, several_passes=False)

    def read(examples: np.ndarray) -> dict:
        return {shape: data.read(examples, shape) for shape in set(shapes)}

    batches = data.evaluation_batches(batch_size)
    with (
        concurrent.futures.ThreadPoolExecutor(1) as reader,
        PassBar(f"evaluating {data.split}", data.num_examples) as bar,
    ):
        ahead = reader.submit(read, batches[0])
        for number, examples in enumerate(batches):
            images = ahead.result()
            if number + 1 < len(batches):
                ahead = reader.submit(read, batches[number + 1])
            made = classifier.predict([images[shape] for shape in shapes])
            labels = data.labels[examples]
            batch = {
                "examples": examples,
                "targets": labels,
                "probabilities": made.probabilities,
                "predicted": made.probabilities.argmax(axis=1).astype(np.int32),
                "confidence": made.probabilities.max(axis=1),
                "losses": -np.take_along_axis(made.logs, labels[:, None].astype(np.int64), axis=1)[:, 0],
            }
            scores.add(batch, examples)
            kept.add(task, batch)
            bar.update(len(examples))
    return scores
