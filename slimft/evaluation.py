"""Evaluation on every example of a split, each exactly once."""

from __future__ import annotations

import dataclasses

import numpy as np

from slimft.compat import tf
from slimft.data import Dataset, load_dataset, pipeline
from slimft.data.preprocessing import preprocess
from slimft.errors import CheckpointError
from slimft.nets import NetworkSpec, get_network
from slimft.restore import plan_restore


@dataclasses.dataclass(frozen=True)
class Evaluator:
    """The part of a graph that evaluates; made by `build_evaluator`.

    Attributes:
        batches: its input.
        correct: number of examples of the batch classified correctly.
        loss: sum of the batch's cross entropies, in nats.
    """

    batches: pipeline.Batches
    correct: tf.Tensor
    loss: tf.Tensor

    def run(self, session: tf.Session, dataset: Dataset, interrupted=lambda: False) -> dict | None:
        """Evaluates all of `dataset`.

        Returns:
            ``examples``, ``accuracy`` (a share) and ``loss`` (mean cross entropy, in nats); None where
            `interrupted()` became true before the end.
        """
        self.batches.start(session, dataset)
        examples, correct, loss = 0, 0, 0.0
        while examples < dataset.num_examples:
            if interrupted():
                return None
            labels, batch_correct, batch_loss = session.run([self.batches.labels, self.correct, self.loss])
            examples += len(labels)
            correct += int(batch_correct)
            loss += float(batch_loss)
        return {"examples": examples, "accuracy": correct / examples, "loss": loss / examples}


def build_evaluator(
    spec: NetworkSpec, image_shape, image_size: int, num_classes: int, batch_size: int, reuse: bool = False
) -> Evaluator:
    """Adds a network in inference mode, with its input and its metrics, to the graph.

    Args:
        spec: the network.
        image_shape: height, width and channels of the dataset's images.
        image_size: height and width the network gets.
        num_classes: number of classes.
        batch_size: examples at a time.
        reuse: whether the network's variables are in the graph already.
    """
    with tf.name_scope("evaluation"):
        batches = pipeline.eval_batches(image_shape, batch_size)
        images = preprocess(batches.images, image_size, spec.preprocessing)
    with tf.variable_scope(tf.get_variable_scope(), reuse=reuse or None):
        logits, _ = spec.build(images, num_classes, is_training=False)
    with tf.name_scope("evaluation/"):
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=batches.labels, logits=logits)
        predictions = tf.argmax(logits, axis=1, output_type=tf.int32)
        correct = tf.math.count_nonzero(tf.equal(predictions, batches.labels))
        return Evaluator(batches, correct, tf.reduce_sum(tf.cast(losses, tf.float64)))


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


def evaluate(
    model: str,
    dataset: str,
    checkpoint: str,
    data_dir: str | None = None,
    split: str = "test",
    image_size: int | None = None,
    batch_size: int = 64,
    precision: str = "float32",
) -> dict:
    """Evaluates a checkpoint on a split of a dataset.

    Args:
        model: name of the network.
        dataset: name of the dataset.
        checkpoint: what `slimft.open_checkpoint` takes.
        data_dir: where the dataset is.
        split: ``train``, ``validation`` or ``test``.
        image_size: height and width the network gets; None for the dataset's.
        batch_size: examples at a time.
        precision: as in `session_config`.

    Returns:
        ``model, dataset, split, examples, accuracy, loss, step, checkpoint``; ``step`` is None where the
        checkpoint does not tell.
    """
    spec = get_network(model)
    data = load_dataset(dataset, data_dir)[split]
    image_size = image_size or max(spec.min_image_size, data.image_size)
    spec.check_image_size(image_size)
    with tf.Graph().as_default():
        evaluator = build_evaluator(spec, data.images.shape[1:], image_size, data.num_classes, batch_size)
        plan = plan_restore(checkpoint)
        plan.check(can_exclude=False)
        with tf.Session(config=session_config(precision)) as session:
            plan.apply(session)
            metrics = evaluator.run(session, data)
    step = None
    if "global_step" in plan.checkpoint:
        step = int(np.asarray(plan.checkpoint["global_step"]).item())
    if not np.isfinite(metrics["loss"]):
        raise CheckpointError(f"{plan.checkpoint.path}: the loss is {metrics['loss']}; its weights are not finite")
    return {
        "model": model,
        "dataset": dataset,
        "split": split,
        **metrics,
        "step": step,
        "checkpoint": plan.checkpoint.path,
    }
