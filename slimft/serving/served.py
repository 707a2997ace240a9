"""What is served: a network with a checkpoint, or what bin/export wrote."""

from __future__ import annotations

import os
import pathlib
from typing import Any, Protocol

import numpy as np

from slimft.compat import tf
from slimft.data.class_names import LABELS_FILE, ClassNames, read_labels
from slimft.errors import CheckpointError, DataError, SlimftError, UsageError
from slimft.inference import Network
from slimft.messages import one_line
from slimft.prediction import Classifier
from slimft.runs.checked_json import read_json
from slimft.serving import CARD
from slimft.session import session_config

# TensorFlow's files, in a directory that bin/export wrote.
SAVED_MODEL = "saved_model"
_MOST_CARD_BYTES = 16 << 20
_SIGNATURE, _IMAGES, _PROBABILITIES = "serving_default", "images", "probabilities"


class Served(Protocol):
    """What classifies images; one thread at a time calls it.

    Attributes:
        network: the network's name.
        name: what the directory it comes from is called, without the way there; None if it is of none.
        image_size: height and width it gets, in pixels.
        classes: the classes and their names.
        grey_bits: as of `slimft.data.images.read_image`, of its training images.
    """

    network: str
    name: str | None
    image_size: int
    classes: ClassNames
    grey_bits: int | None

    def probabilities(self, squares: np.ndarray) -> np.ndarray:
        """The probability of each class.

        Args:
            squares: uint8 ``[batch, image_size, image_size, 3]``, RGB, of `slimft.data.images.read_square`.

        Returns:
            float32 ``[batch, classes]``.

        Raises:
            CheckpointError: a probability is not finite.
        """
        ...

    def close(self) -> None:
        """Frees its memory."""
        ...


class ServedNetwork:
    """A network that `find_network` found, by a `Classifier`; see `Served`.

    Raises:
        UsageError: the network is for segmentation.
        CheckpointError, RestoreError: as of `Classifier`.
    """

    def __init__(self, found: Network):
        if found.task.targets.is_map:
            raise UsageError(
                f"{found.spec.name} says the class of each pixel, which bin/serve has no answer for; bin/predict "
                "writes its masks"
            )
        self._classifier = Classifier.of(found)
        self.network = found.spec.name
        self.name = None if found.run is None else found.run.resolve().name
        self.image_size = self._classifier.image_size
        self.classes = self._classifier.classes
        self.grey_bits = found.settings and found.settings.grey_bits
        self.probabilities = self._classifier.probabilities
        self.close = self._classifier.close


class ServedExport:
    """A SavedModel that bin/export wrote, with its card; see `Served`. Loading it runs its author's graph.

    Args:
        folder: the directory with ``model_card.json`` and ``saved_model``.

    Raises:
        UsageError: it is for segmentation.
        DataError: the card or the class names cannot be read, or say what the SavedModel does not.
        CheckpointError: the SavedModel cannot be loaded, or has no such signature.
    """

    def __init__(self, folder: str | os.PathLike):
        self._folder = pathlib.Path(folder)
        card = read_json(self._folder / CARD, _MOST_CARD_BYTES)
        self.network = card.get("network").text() or "unknown"
        task = card.get("task").text()
        if task not in ("", "classification"):
            raise UsageError(f"{folder} is of {self.network}, for {task[:40]}; bin/serve classifies")
        self.name: str | None = self._folder.resolve().name
        self.image_size = card.get("image_size").integer(below=4097)
        if not self.image_size:
            raise card.get("image_size").wrong("a number above 0")
        bits = card.get("grey_bits")
        self.grey_bits = None if bits.raw is None else bits.integer(below=17)
        with tf.Graph().as_default():
            self._session = tf.Session(config=session_config())
            try:
                self._images, self._probabilities = self._load()
                self.classes = self._classes(card)
            except BaseException:
                self._session.close()
                raise

    def _load(self) -> tuple[str, Any]:
        """The names of the tensors of images and probabilities, and the number of classes."""
        path = self._folder / SAVED_MODEL
        try:
            loaded = tf.saved_model.load(self._session, [tf.saved_model.SERVING], str(path))
        except Exception as error:  # TensorFlow's, of any kind.
            raise CheckpointError(f"{path} cannot be loaded: {one_line(error)[:300]}") from None
        signature = loaded.signature_def.get(_SIGNATURE)
        if signature is None or _IMAGES not in signature.inputs or _PROBABILITIES not in signature.outputs:
            raise CheckpointError(
                f"{path} has no signature {_SIGNATURE} with input {_IMAGES} and output {_PROBABILITIES}; export it "
                "with bin/export"
            )
        graph = self._session.graph
        return signature.inputs[_IMAGES].name, graph.get_tensor_by_name(signature.outputs[_PROBABILITIES].name)

    def _classes(self, card: Any) -> ClassNames:
        """The classes by the card or, where it does not tell, by labels.txt; as many as the SavedModel has."""
        shape = self._probabilities.shape
        if shape.rank != 2 or shape[1] is None:
            raise CheckpointError(
                f"{self._folder / SAVED_MODEL}: {_PROBABILITIES} are {shape}, not [batch, classes]"
            )
        number, names = int(shape[1]), [one.text() for one in card.get("classes").array()]
        source = self._folder / CARD
        if not names and (self._folder / LABELS_FILE).exists():
            source = self._folder / LABELS_FILE
            names = read_labels(source)
        if not names:
            return ClassNames(number)
        if len(names) != number:
            raise DataError(
                f"{source} has {len(names)} names, and the SavedModel {number} classes; export it again"
            )
        return ClassNames(number, tuple(names), source=str(source))

    def probabilities(self, squares: np.ndarray) -> np.ndarray:
        """As of `Served`."""
        found = self._session.run(self._probabilities, {self._images: squares})
        if not np.isfinite(found).all():
            raise CheckpointError(f"{self._folder}: the probabilities are not finite; nor are its weights")
        return found

    def close(self) -> None:
        """As of `Served`."""
        self._session.close()


def check(served: Served) -> None:
    """Classifies one grey image: the first request is then as fast as the second, and what is wrong is found now.

    Raises:
        CheckpointError: the probabilities are not finite, or not of the classes.
    """
    size = served.image_size
    try:
        found = served.probabilities(np.full([1, size, size, 3], 128, np.uint8))
    except SlimftError:
        raise
    except Exception as error:  # TensorFlow's.
        raise CheckpointError(f"{served.network} does not run: {one_line(error)[:300]}") from None
    if found.shape != (1, served.classes.num_classes):
        raise CheckpointError(
            f"{served.network} gives {list(found.shape)} probabilities of one image; export it again"
        )
