"""Classifying image files with a network and a checkpoint."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator

import numpy as np

from slimft.checkpoint import Checkpoint
from slimft.compat import tf
from slimft.data.class_names import ClassNames
from slimft.data.image_files import FileSource, read_in_order
from slimft.errors import CheckpointError, DataError, UsageError
from slimft.inference import Network, find_network

# The classes of an image that are likeliest, with their probabilities.
TopClasses = list[tuple[int, float]]
# Images at a time.
_BATCH_SIZE = 32


class Classifier:
    """A network with a checkpoint's variables, in a graph and a session of its own; a context manager.

    What is not given comes from the run that the checkpoint is of, if it is of one. What was chosen is said on
    standard error.

    Args:
        model, checkpoint, image_size, precision, head, averages, train_dir, labels: as of
            `slimft.inference.find_network`. Without a run, the image size is by default the network's own.
        top: classes to return for each image, if there are as many.

    Attributes:
        network: what was chosen.

    Raises:
        UsageError: the network is unknown, contradicts the run, or cannot take images that small.
        CheckpointError: the checkpoint is missing, unreadable, without the network's last layer, or without
            moving averages.
        DataError: the class names cannot be read, or are not as many as the classes.
        RestoreError: the checkpoint does not fit the network.
    """

    def __init__(
        self,
        model: str | None = None,
        checkpoint: Checkpoint | str | os.PathLike | None = None,
        image_size: int | None = None,
        top: int = 5,
        precision: str | None = None,
        head: str | None = None,
        averages: bool | None = None,
        train_dir: str | os.PathLike | None = None,
        labels: str | os.PathLike | None = None,
    ):
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
        self._start(network, top)

    @classmethod
    def of(cls, network: Network, top: int = 5) -> Classifier:
        """The classifier of a network that `find_network` found."""
        classifier = cls.__new__(cls)
        classifier._start(network, top)
        return classifier

    def _start(self, network: Network, top: int) -> None:
        if network.task.targets.is_map:
            raise UsageError(f"{network.spec.name} says the class of each pixel, not of an image; use a Segmenter")
        self.network = network = network.sized().measured(_BATCH_SIZE)
        with tf.Graph().as_default() as graph:
            tf.set_random_seed(0)  # As in evaluation.
            self._images = tf.placeholder(tf.float32, [None, self.image_size, self.image_size, 3], "images")
            logits = network.architecture.outputs(self._images)
            self._probabilities = tf.nn.softmax(logits)
            self._top = tf.nn.top_k(self._probabilities, min(top, network.num_classes))
            self._session = network.session()
            graph.finalize()
        if not network.is_plain:
            network.say()

    @property
    def image_size(self) -> int:
        """Height and width the network gets, in pixels."""
        return self.network.image_size

    @property
    def classes(self) -> ClassNames:
        """The classes and their names."""
        return self.network.classes

    def __repr__(self) -> str:
        return f"<Classifier: {self.network.describe()}>"

    def __enter__(self) -> Classifier:
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def close(self) -> None:
        """Ends the session, and frees its memory; for who does not use the classifier in a ``with`` statement."""
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
        self._check(probabilities)
        return [list(zip(row.tolist(), shares.tolist())) for row, shares in zip(classes, probabilities)]

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """The probability of each class, of a batch.

        Args:
            images: as of `classify`.

        Returns:
            float32 ``[batch, classes]``, of which each row adds up to 1.

        Raises:
            CheckpointError: a probability is not finite.
        """
        probabilities = self._session.run(self._probabilities, {self._images: images})
        self._check(probabilities)
        return probabilities

    def _check(self, probabilities: np.ndarray) -> None:
        if not np.isfinite(probabilities).all():
            path = self.network.checkpoint.path
            raise CheckpointError(f"{path}: the probabilities are not finite; nor are its weights")

    def classify_files(
        self, paths: Iterable[str], batch_size: int = _BATCH_SIZE, crop: float = 1.0, grey_bits: int | None = None
    ) -> Iterator[tuple[str, TopClasses | DataError]]:
        """Classifies image files; while the network has one batch, threads read the next.

        Args:
            paths: the files, which are read as evaluation reads them; only a few are open, or in memory, at a time.
            batch_size: images at a time.
            crop: as in `slimft.data.images.central_square`.
            grey_bits: as in `slimft.data.images.read_image`; None for the run's.

        Yields:
            Each path in turn, with the image's predictions, as of `classify`, or with why it cannot be read.
        """
        settings = self.network.settings
        grey_bits = grey_bits or (settings and settings.grey_bits)
        squares = read_in_order(map(FileSource, paths), self.image_size, crop, batch_size, grey_bits)
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
