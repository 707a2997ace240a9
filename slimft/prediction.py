"""Classifying image files with a network and a checkpoint."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator

import numpy as np

from slimft.checkpoint import Checkpoint, open_checkpoint
from slimft.checkpoint.averages import averaged
from slimft.compat import tf
from slimft.data.class_names import count_classes
from slimft.data.image_files import FileSource, read_in_order
from slimft.data.preprocessing import PREPROCESSING
from slimft.errors import CheckpointError, DataError
from slimft.evaluation import session_config
from slimft.nets import get_network
from slimft.nets.heads import head_of, logits_scope
from slimft.restore import plan_restore

# The classes of an image that are likeliest, with their probabilities.
TopClasses = list[tuple[int, float]]


class Classifier:
    """A network with a checkpoint's variables, in a graph and a session of its own; a context manager.

    Args:
        model: name of the network.
        checkpoint: what `slimft.open_checkpoint` takes; its last layer tells the number of classes.
        image_size: height and width the network gets; None for what it was trained at.
        top: classes to return for each image, if there are as many.
        precision: as in `slimft.evaluation.session_config`.
        head: what stands at the network's end, one of `slimft.nets.HEADS`; None for what the checkpoint has.
        averages: whether to use the checkpoint's moving averages of the variables.

    Raises:
        UsageError: the network is unknown, or cannot take images that small.
        CheckpointError: the checkpoint is missing, unreadable, without the network's last layer, or without
            moving averages.
        RestoreError: the checkpoint does not fit the network.
    """

    def __init__(
        self,
        model: str,
        checkpoint: Checkpoint | str | os.PathLike,
        image_size: int | None = None,
        top: int = 5,
        precision: str = "float32",
        head: str | None = None,
        averages: bool = False,
    ):
        spec = get_network(model)
        checkpoint = open_checkpoint(checkpoint)
        checkpoint = averaged(checkpoint) if averages else checkpoint
        self._path = checkpoint.path
        self.image_size = image_size or spec.default_image_size
        head = head or head_of(checkpoint)
        num_classes = count_classes(checkpoint, logits_scope(spec, head))
        with tf.Graph().as_default() as graph:
            self._images = tf.placeholder(tf.float32, [None, self.image_size, self.image_size, 3], "images")
            images = PREPROCESSING[spec.preprocessing](self._images)
            logits, _ = spec.build(images, num_classes, is_training=False, head=head)
            self._top = tf.nn.top_k(tf.nn.softmax(logits), min(top, num_classes))
            plan = plan_restore(checkpoint)
            plan.check(can_exclude=False)
            graph.finalize()
            self._session = tf.Session(config=session_config(precision))
            try:
                plan.apply(self._session)
            except BaseException:
                self._session.close()
                raise

    def __enter__(self) -> Classifier:
        return self

    def __exit__(self, *exception) -> None:
        self._session.close()

    def classify(self, images: np.ndarray) -> list[TopClasses]:
        """Classifies a batch.

        Args:
            images: ``[batch, image_size, image_size, 3]``, RGB in 0..255.

        Returns:
            For each image its likeliest classes, the likeliest first: index of the logit, probability.

        Raises:
            CheckpointError: a probability is not finite.
        """
        probabilities, classes = self._session.run(self._top, {self._images: images})
        if not np.isfinite(probabilities).all():
            raise CheckpointError(f"{self._path}: the probabilities are not finite; nor are its weights")
        return [list(zip(row.tolist(), shares.tolist())) for row, shares in zip(classes, probabilities)]

    def classify_files(
        self, paths: Iterable[str], batch_size: int = 32, crop: float = 1.0
    ) -> Iterator[tuple[str, TopClasses | DataError]]:
        """Classifies image files; while the network has one batch, threads read the next.

        Args:
            paths: the files, which are read as evaluation reads them; only a few are open, or in memory, at a time.
            batch_size: images at a time.
            crop: as in `slimft.data.images.central_square`.

        Yields:
            Each path in turn, with the image's predictions, as of `classify`, or with why it cannot be read.
        """
        squares = read_in_order(map(FileSource, paths), self.image_size, crop, ahead=batch_size)
        with contextlib.closing(squares):
            while True:
                batch, readable = [], []
                for source, square in squares:
                    batch.append((source.path, square))
                    if not isinstance(square, DataError):
                        readable.append(square)
                    if len(readable) == batch_size:
                        break
                if not batch:
                    return
                predictions = iter(self.classify(np.stack(readable)) if readable else ())
                for path, square in batch:
                    yield path, square if isinstance(square, DataError) else next(predictions)
