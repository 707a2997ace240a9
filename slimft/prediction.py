"""Classifying image files with a network and a checkpoint, or with several of them."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from slimft.checkpoint import Checkpoint
from slimft.compat import tf
from slimft.compat.graphs import last_features
from slimft.data.class_names import ClassNames
from slimft.data.image_files import FileSource, Source, read_in_order
from slimft.data.views import Views
from slimft.ensemble import class_orders
from slimft.errors import CheckpointError, DataError, UsageError
from slimft.inference import Network, find_network
from slimft.messages import say

# The classes of an image that are likeliest, with their probabilities.
TopClasses = list[tuple[int, float]]
# Images at a time.
_BATCH_SIZE = 32


@dataclasses.dataclass(frozen=True)
class Predicted:
    """What a classifier makes of images.

    Attributes:
        probabilities: float32 ``[images, classes]``, of which each row adds up to 1.
        logs: float32 ``[images, classes]``, the natural logarithms of these, also where they are too small.
    """

    probabilities: np.ndarray
    logs: np.ndarray


class Classifier:
    """A network with a checkpoint's variables, in a graph and a session of its own; a context manager.

    What is not given comes from the run that the checkpoint is of, if it is of one. What was chosen is said on
    standard error. Several networks are an ensemble: their probabilities are averaged; see `of`.

    Args:
        model, checkpoint, image_size, precision, head, averages, train_dir, labels: as of
            `slimft.inference.find_network`. Without a run, the image size is by default the network's own.
        top: classes to return for each image, if there are as many.
        tta: test-time augmentation, one of `slimft.data.views.TTA`: over which views the probabilities are
            averaged.

    Attributes:
        networks: what was chosen.

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
        tta: str = "none",
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
        self._start([network], top, tta)

    @classmethod
    def of(cls, networks: Network | Sequence[Network], top: int = 5, tta: str = "none") -> Classifier:
        """The classifier of a network that `find_network` found, or of several.

        Args:
            networks: the networks. Each sees images in its own way and size; they have the same classes, whose
                order is that of the first.
            top, tta: as of the class.

        Raises:
            UsageError: a network is for segmentation, or they are of different classes.
        """
        classifier = cls.__new__(cls)
        classifier._start([networks] if isinstance(networks, Network) else networks, top, tta)
        return classifier

    def _start(self, networks: Sequence[Network], top: int, tta: str) -> None:
        orders = class_orders(networks)
        self._top, self._views, self._members = top, Views(tta), []
        with contextlib.ExitStack() as on_error:
            for network, order in zip(networks, orders):
                member = _Member(network, self._views, order)
                on_error.callback(member.close)
                self._members.append(member)
            on_error.pop_all()
        self.networks = tuple(member.network for member in self._members)
        for network in self.networks:
            if not (network.is_plain and len(self.networks) == 1):
                network.say()
        over = {f"{len(networks)} networks": len(networks), f"{len(self._views)} views ({tta})": len(self._views)}
        several = [what for what, number in over.items() if number > 1]
        if several:
            say(f"the probabilities are the means over {' and '.join(several)}")

    @property
    def network(self) -> Network:
        """What was chosen; of an ensemble the first."""
        return self.networks[0]

    @property
    def image_size(self) -> int:
        """Height and width the network gets, in pixels; of an ensemble the first."""
        return self.network.image_size

    @property
    def classes(self) -> ClassNames:
        """The classes and their names."""
        return self.network.classes

    def __repr__(self) -> str:
        return f"<Classifier: {'; '.join(network.describe() for network in self.networks)}>"

    def __enter__(self) -> Classifier:
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def close(self) -> None:
        """Ends the session, and frees its memory; for who does not use the classifier in a ``with`` statement."""
        for member in self._members:
            member.close()

    def classify(self, images: np.ndarray) -> list[TopClasses]:
        """Classifies a batch.

        Args:
            images: ``[batch, side, side, 3]``, RGB in 0..255; what a network needs of another size, it scales.

        Returns:
            For each image its likeliest classes, the likeliest first: index of the logit, probability.

        Raises:
            CheckpointError: a probability is not finite.
            DataError: the images have another shape.
        """
        return [self.top_of(row) for row in self.probabilities(images)]

    def top_of(self, probabilities: np.ndarray) -> TopClasses:
        """The likeliest classes, with their probabilities, of those of all classes, float ``[classes]``."""
        likeliest = np.argsort(-probabilities, kind="stable")[: self._top]
        return list(zip(likeliest.tolist(), probabilities[likeliest].tolist()))

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """The probability of each class, of a batch; arguments and errors as of `classify`.

        Returns:
            float32 ``[batch, classes]``, of which each row adds up to 1.
        """
        return self.predict([images] * len(self._members)).probabilities

    def features(self, images: np.ndarray) -> np.ndarray:
        """What the last layer gets, of a batch: embeddings; arguments and errors as of `classify`.

        Returns:
            float32 ``[batch, features]``, means over what is left of height and width.

        Raises:
            UsageError: it is an ensemble, has several views, or ends in no layer that has weights.
        """
        self._check_features()
        return self._members[0].with_features(images)[1]

    def _check_features(self) -> None:
        if len(self._members) > 1 or len(self._views) > 1:
            raise UsageError("features are those of one network, of images as they are; leave out --tta")

    def predict(self, images: Sequence[np.ndarray]) -> Predicted:
        """What an ensemble makes of a batch that each of its networks is given in a size of its own.

        Args:
            images: for each network ``[batch, side, side, 3]``, RGB in 0..255.

        Raises:
            CheckpointError: a probability is not finite.
            DataError: the images have another shape.
        """
        return _mean([member.predict(its) for member, its in zip(self._members, images)])

    def sides(self) -> list[int]:
        """Height and width, in pixels, at which each network had best be given images: with room for its views."""
        return [self._views.side(network.image_size) for network in self.networks]

    def classify_files(
        self, paths: Iterable[str], batch_size: int = _BATCH_SIZE, crop: float = 1.0, grey_bits: int | None = None
    ) -> Iterator[tuple[str, TopClasses | DataError]]:
        """Classifies image files, of each its central square.

        Args:
            paths: the files.
            batch_size: images at a time; as many are read ahead, in threads.
            crop: share of an image's shorter side that is the square's side, above 0, at most 1. Evaluation has 1.
            grey_bits: as of `slimft.data.images.read_image`; None for what the run was trained with.

        Yields:
            Each path in turn, with what `classify` says of its image, or with the error where it cannot be read.
        """
        for path, found in self.predict_files(paths, batch_size, crop, grey_bits):
            yield path, found if isinstance(found, DataError) else self.top_of(found)

    def predict_files(
        self, paths: Iterable[str], batch_size: int = _BATCH_SIZE, crop: float = 1.0, grey_bits: int | None = None
    ) -> Iterator[tuple[str, np.ndarray | DataError]]:
        """As `classify_files`, with the probabilities of all classes, float32 ``[classes]``."""
        return self.predict_sources(map(FileSource, paths), batch_size, crop, grey_bits)

    def predict_sources(
        self,
        sources: Iterable[Source],
        batch_size: int = _BATCH_SIZE,
        crop: float = 1.0,
        grey_bits: int | None = None,
    ) -> Iterator[tuple[str, np.ndarray | DataError]]:
        """As `predict_files`, of any encoded images, each with its name."""

        def of_batch(squares: list[list[np.ndarray]]) -> Iterable[np.ndarray]:
            return self.predict([np.stack(its) for its in zip(*squares)]).probabilities

        return self._images(sources, batch_size, crop, grey_bits, of_batch)

    def predict_with_features(
        self, paths: Iterable[str], batch_size: int = _BATCH_SIZE, crop: float = 1.0, grey_bits: int | None = None
    ) -> Iterator[tuple[str, tuple[np.ndarray, np.ndarray] | DataError]]:
        """As `predict_files`, with the probabilities and with the image's `features`, float32 ``[features]``."""

        def of_batch(squares: list[list[np.ndarray]]) -> Iterable[tuple[np.ndarray, np.ndarray]]:
            images = np.stack([square for [square] in squares])
            self._check_features()
            return zip(*self._members[0].with_features(images))

        return self._images(map(FileSource, paths), batch_size, crop, grey_bits, of_batch)

    def _images(self, sources, batch_size, crop, grey_bits, of_batch) -> Iterator:
        """Reads images in batches; yields each name with what `of_batch` makes of it, or with the error."""
        with contextlib.closing(self._read(sources, batch_size, crop, grey_bits)) as files:
            while True:
                batch, readable = [], []
                for path, squares in files:
                    batch.append((path, squares))
                    if not isinstance(squares, DataError):
                        readable.append(squares)
                    if len(readable) == batch_size:
                        break
                if not batch:
                    return
                made = iter(of_batch(readable) if readable else ())
                for path, squares in batch:
                    yield path, squares if isinstance(squares, DataError) else next(made)

    def _read(
        self, sources: Iterable[Source], ahead: int, crop: float, grey_bits: int | None
    ) -> Iterator[tuple[str, list[np.ndarray] | DataError]]:
        """Yields each name with its square for each network; what several want alike is read once."""
        wanted = [
            (side, grey_bits or (network.settings and network.settings.grey_bits))
            for side, network in zip(self.sides(), self.networks)
        ]
        kinds = list(dict.fromkeys(wanted))
        each = (source for source in sources for _ in kinds)
        with contextlib.closing(read_in_order(each, kinds, crop, ahead * len(kinds))) as squares:
            for source, first in squares:
                found = [first, *(next(squares)[1] for _ in kinds[1:])]
                failed = next((one for one in found if isinstance(one, DataError)), None)
                yield source.name, failed or [found[kinds.index(kind)] for kind in wanted]


class _Member:
    """One network of a classifier, in a graph and a session of its own.

    Args:
        network: the network.
        views: what it sees of each image.
        order: where in its classes each of the classifier's is; None for the same order.
    """

    def __init__(self, network: Network, views: Views, order: np.ndarray | None):
        self.network = network = network.sized().measured(_BATCH_SIZE)
        self._views, self._order = views, order
        with tf.Graph().as_default() as graph:
            tf.set_random_seed(0)  # As in evaluation.
            self._images = tf.placeholder(tf.float32, [None, None, None, 3], "images")
            self._view = tf.placeholder_with_default(tf.constant(0), [], "view")
            logits = network.architecture.outputs(views.see(self._images, network.image_size, self._view))
            self._outputs = tf.nn.softmax(logits), tf.nn.log_softmax(logits)
            self._features = last_features(logits)
            self._session = network.session()
            graph.finalize()

    def close(self) -> None:
        self._session.close()

    def predict(self, images: np.ndarray) -> Predicted:
        """The means over the views."""
        _check_shape(images)
        seen = []
        for view in range(len(self._views)):
            found = Predicted(*self._session.run(self._outputs, {self._images: images, self._view: view}))
            self._check(found.probabilities)
            seen.append(found)
        mean = _mean(seen)
        if self._order is None:
            return mean
        return Predicted(mean.probabilities[:, self._order], mean.logs[:, self._order])

    def with_features(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The probabilities, and the features, of images as they are."""
        _check_shape(images)
        if self._features is None:
            raise UsageError(f"{self.network.spec.name} ends in no layer with weights: it has no features")
        found = self._session.run((self._outputs[0], self._features), {self._images: images})
        self._check(found[0])
        return found

    def _check(self, probabilities: np.ndarray) -> None:
        if not np.isfinite(probabilities).all():
            path = self.network.checkpoint.path
            raise CheckpointError(f"{path}: the probabilities are not finite; nor are its weights")


def _check_shape(images: np.ndarray) -> None:
    shape = np.shape(images)
    if len(shape) != 4 or shape[1] != shape[2] or shape[3] != 3:
        raise DataError(f"images have the shape {list(shape)}; it has to be [batch, side, side, 3]")


def _mean(of: Sequence[Predicted]) -> Predicted:
    if len(of) == 1:
        return of[0]
    logs = np.logaddexp.reduce([one.logs.astype(np.float64) for one in of]) - np.log(len(of))
    mean = np.mean([one.probabilities for one in of], axis=0, dtype=np.float64)
    return Predicted(mean.astype(np.float32), logs.astype(np.float32))
