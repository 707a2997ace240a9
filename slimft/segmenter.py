"""Segmenting image files with a network and a checkpoint: what class each pixel is of."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator

import numpy as np

from slimft.checkpoint import Checkpoint
from slimft.compat import tf
from slimft.data.class_names import ClassNames
from slimft.data.dataset import DataOptions
from slimft.data.image_files import FileSource, open_source
from slimft.data.images import read_image
from slimft.data.pair_files import scaled
from slimft.data.segmentation import EVALUATED_PIXELS
from slimft.data.threads import in_threads
from slimft.errors import CheckpointError, DataError, UsageError
from slimft.inference import Network, find_network
from slimft.messages import say
from slimft.tasks.segmentation_bands import in_bands

# Images at a time; and those that are read before they are needed, at their own size: few, as each may be large.
_BATCH_SIZE = 8
_AHEAD = 2


class Segmenter:
    """A network for segmentation with a checkpoint's variables, in a session of its own; a context manager.

    What is not given comes from the run that the checkpoint is of, if it is of one. What was chosen is said on
    standard error.

    Args:
        model, checkpoint, precision, averages, train_dir, labels: as of `slimft.inference.find_network`.
        longest_side: an image whose longer side is longer, in pixels, is scaled down to that before the network
            sees it; None for the run's, or 1024.

    Attributes:
        network: what was chosen.
        longest_side: as given or found.

    Raises:
        UsageError: the network is unknown, not for segmentation, or contradicts the run.
        CheckpointError: the checkpoint is missing, unreadable, or without the network's last layers.
        RestoreError: it does not fit the network.
    """

    def __init__(
        self,
        model: str | None = None,
        checkpoint: Checkpoint | str | os.PathLike | None = None,
        precision: str | None = None,
        averages: bool | None = None,
        train_dir: str | os.PathLike | None = None,
        labels: str | os.PathLike | None = None,
        longest_side: int | None = None,
    ):
        network = find_network(
            model, checkpoint, train_dir=train_dir, averages=averages, precision=precision, labels=labels
        )
        self._start(network, longest_side)

    @classmethod
    def of(cls, network: Network, longest_side: int | None = None) -> Segmenter:
        """The segmenter of a network that `find_network` found."""
        segmenter = cls.__new__(cls)
        segmenter._start(network, longest_side)
        return segmenter

    def _start(self, network: Network, longest_side: int | None) -> None:
        if not network.task.targets.is_map:
            raise UsageError(f"{network.spec.name} says one class of an image, not of its pixels; use a Classifier")
        settings, self._has_said = network.settings, False
        self.longest_side = longest_side or (settings.longest_side if settings else DataOptions.longest_side)
        self.network = network = network.sized().measured(_BATCH_SIZE)
        with tf.Graph().as_default() as graph:
            tf.set_random_seed(0)  # As in evaluation.
            self._images = tf.placeholder(tf.uint8, [None, None, None, 3], "images")
            self._size = tf.placeholder(tf.int32, [2], "size")
            outputs = network.architecture.outputs(self._images)
            (self._predicted,) = in_bands(outputs, self._size)
            self._finite = tf.reduce_all(tf.is_finite(outputs))
            self._session = network.session()
            graph.finalize()
        network.say()

    @property
    def classes(self) -> ClassNames:
        """The classes and their names."""
        return self.network.classes

    def __repr__(self) -> str:
        return f"<Segmenter: {self.network.describe()}>"

    def __enter__(self) -> Segmenter:
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def close(self) -> None:
        """Ends the session, and frees its memory; for who does not use it in a ``with`` statement."""
        self._session.close()

    def segment(self, images: np.ndarray, size: tuple[int, int] | None = None) -> np.ndarray:
        """Segments a batch.

        Args:
            images: uint8 ``[batch, height, width, 3]``, RGB.
            size: rows and columns of the result, to which the network's logits are enlarged; None for those of the
                images.

        Returns:
            uint8 ``[batch, rows, columns]``: the likeliest class of each pixel.

        Raises:
            UsageError: `images` are no such array.
            CheckpointError: the network's outputs are not finite.
        """
        images = np.asarray(images)
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3 or not images.size:
            raise UsageError(
                f"images are {images.dtype} {list(images.shape)}; they have to be uint8 [batch, height, width, 3], "
                "RGB from 0 to 255 as in their files"
            )
        feeds = {self._images: images, self._size: size or images.shape[1:3]}
        predicted, finite = self._session.run([self._predicted, self._finite], feeds)
        if not finite:
            raise CheckpointError(f"{self.network.checkpoint.path}: the logits are not finite; nor are its weights")
        return predicted

    def segment_files(
        self, paths: Iterable[str], batch_size: int = _BATCH_SIZE, grey_bits: int | None = None
    ) -> Iterator[tuple[str, np.ndarray | DataError, np.ndarray | None]]:
        """Segments image files, at their own size; while the network has some, threads read the next.

        Args:
            paths: the files; only a few are in memory at a time.
            batch_size: images at a time, at most, of those of one size that follow each other.
            grey_bits: as in `slimft.data.images.read_image`; None for the run's.

        Yields:
            Each path in turn, with the class of each pixel, uint8 ``[rows, columns]``, and the image, uint8
            ``[rows, columns, 3]``; or with why it cannot be read, and None.
        """
        settings = self.network.settings
        bits = grey_bits or (settings and settings.grey_bits)

        def read(path: str) -> tuple[str, np.ndarray | DataError]:
            source = FileSource(path)
            try:
                return path, read_image(open_source(source), None, path, bits)
            except DataError as error:
                return path, error

        with contextlib.closing(in_threads(read, paths, _AHEAD)) as pictures:
            waiting: list[tuple[str, np.ndarray]] = []
            for path, pixels in pictures:
                if waiting and not self._fits(waiting, pixels, batch_size):
                    yield from self._segmented(waiting)
                    waiting = []
                if isinstance(pixels, DataError):
                    yield path, pixels, None
                else:
                    waiting.append((path, pixels))
            if waiting:
                yield from self._segmented(waiting)

    def _fits(self, waiting: list[tuple[str, np.ndarray]], pixels: np.ndarray | DataError, batch_size: int) -> bool:
        """Whether one more image goes into the batch of those that wait."""
        if isinstance(pixels, DataError) or pixels.shape != waiting[0][1].shape or len(waiting) >= batch_size:
            return False
        return (len(waiting) + 1) * pixels.shape[0] * pixels.shape[1] <= EVALUATED_PIXELS

    def _say_scaled(self, path: str, pixels: np.ndarray) -> None:
        """Says once that images are reduced before the network sees them."""
        if max(pixels.shape[:2]) > self.longest_side and not self._has_said:
            self._has_said = True
            size = "x".join(map(str, pixels.shape[1::-1]))
            say(
                f"{path} has {size} pixels: such images are scaled down so that their longer side has "
                f"{self.longest_side} (--longest_side); their masks have their own size"
            )

    def _segmented(self, waiting: list[tuple[str, np.ndarray]]) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        self._say_scaled(*waiting[0])
        images = np.stack([scaled(pixels, self.longest_side) for _, pixels in waiting])
        predicted = self.segment(images, waiting[0][1].shape[:2])
        for (path, pixels), classes in zip(waiting, predicted):
            yield path, classes, pixels
