"""Whether an exported network says what the session says, found out in a process of its own."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from slimft.compat import tf
from slimft.data.pair_files import scaled
from slimft.data.preprocessing import PREPROCESSING, preprocess_whole
from slimft.errors import ExportError
from slimft.export.examples import Examples
from slimft.export.formats import Format
from slimft.inference import Network

_CONSUMER = pathlib.Path(__file__).with_name("consumer.py")
_BATCH = 16


@dataclasses.dataclass(frozen=True)
class Check:
    """What a check has found.

    Attributes:
        images: how many images.
        origin: which.
        largest: the largest difference of a probability from the session's; None of a segmentation.
        mean: how far the probabilities are from the session's on average, as of `Format.mean_bound`.
        agreement: the share of images, or of pixels, with the session's likeliest class.
        accuracy: the share of images whose likeliest class is right; None where labels are not known.
        session_accuracy: that of the session on the same images.
        milliseconds: the median time for one image, on this machine.
        reader: what the file was read with.
    """

    images: int
    origin: str
    largest: float | None
    mean: float
    agreement: float
    accuracy: float | None
    session_accuracy: float | None
    milliseconds: float
    reader: str


class Reference:
    """What the session says of the examples, and the arrays that exported networks are run on.

    Args:
        network: the network, sized.
        examples: the images.
        folder: where the arrays go, an empty folder.
        longest_side: of a segmentation, as of `slimft.segmenter.Segmenter`.
        own: the network in the precision of its run.
    """

    def __init__(
        self, network: Network, examples: Examples, folder: pathlib.Path, longest_side: int | None, own: Network
    ):
        self._own_precision, self._own_accuracy = own.precision, None
        self.examples, self._folder, self._is_map = examples, folder, network.task.targets.is_map
        for name in ("raw", "encoded"):
            (folder / name).mkdir()
        if self._is_map:
            self._write_maps(network, longest_side)
        else:
            self._write_squares(network)
            if own.precision not in (network.precision, "auto"):
                batches = np.array_split(examples.squares, -(-len(examples) // _BATCH))
                self._own_accuracy = self._accuracy(_probabilities(own, batches))
        self._encoded = [number for number, one in enumerate(examples.pictures) if one.encoded is not None]
        for place, number in enumerate(self._encoded):
            (folder / "encoded" / str(place)).write_bytes(examples.pictures[number].encoded or b"")
        for number, picture in enumerate(examples.pictures):
            np.save(folder / "raw" / f"{number}.npy", picture.pixels)

    def _write_squares(self, network: Network) -> None:
        squares = self.examples.squares
        of_pictures = np.stack([one.square for one in self.examples.pictures])
        of_arrays = np.stack([_square_of_array(one.pixels, network.image_size) for one in self.examples.pictures])
        np.save(self._folder / "images.npy", squares)
        # In the same batches as there: the kernels round by the size of a batch.
        batches = [squares[start : start + _BATCH] for start in range(0, len(squares), _BATCH)]
        alone = [one[np.newaxis] for one in np.concatenate([of_pictures, of_arrays])]
        found = _probabilities(network, [*batches, *alone])
        borders = np.cumsum([len(squares), len(of_pictures)])
        self.images, self.encoded, self.raw = np.split(found, borders)
        with tf.Graph().as_default(), tf.Session() as session:
            fed = tf.placeholder(tf.uint8, [None, *squares.shape[1:]])
            preprocessed = PREPROCESSING[network.spec.preprocessing](tf.cast(fed, tf.float32))
            shape = (len(squares), *preprocessed.shape.as_list()[1:])
            written = np.lib.format.open_memmap(self._folder / "preprocessed.npy", "w+", np.float32, shape)
            for start in range(0, len(squares), _BATCH):
                part = squares[start : start + _BATCH]
                written[start : start + _BATCH] = session.run(preprocessed, {fed: part})
            written.flush()
        if not np.isfinite(self.images).all():
            raise ExportError(f"{network.checkpoint.path}: the probabilities are not finite; nor are its weights")

    def _write_maps(self, network: Network, longest_side: int | None) -> None:
        from slimft.segmenter import Segmenter

        pictures = [picture.pixels for picture in self.examples.pictures]
        seen = [pixels if longest_side is None else scaled(pixels, longest_side) for pixels in pictures]
        for name in ("images", "preprocessed"):
            (self._folder / name).mkdir()
        with Segmenter.of(network, longest_side) as segmenter:
            self.raw = [
                segmenter.segment(part[np.newaxis], whole.shape[:2])[0] for part, whole in zip(seen, pictures)
            ]
            self.images = [segmenter.segment(part[np.newaxis])[0] for part in seen]
        self.encoded = self.raw
        with tf.Graph().as_default(), tf.Session() as session:
            fed = tf.placeholder(tf.uint8, [None, None, None, 3])
            preprocessed = preprocess_whole(fed, 1, network.spec.preprocessing)
            for number, pixels in enumerate(seen):
                np.save(self._folder / "images" / f"{number}.npy", pixels)
                made = session.run(preprocessed, {fed: pixels[np.newaxis]})[0]
                np.save(self._folder / "preprocessed" / f"{number}.npy", made)

    def describe(self) -> str:
        """A line on what the files are tried with."""
        said = f"tried with {self.examples.origin}"
        if self.accuracy is not None:
            said += f", of which the session's accuracy is {self.accuracy:.4f}"
        if self._own_accuracy is not None:
            said += f" in float32, and {self._own_accuracy:.4f} in {self._own_precision}, as the run computes"
        return said

    @property
    def whole(self) -> int:
        """How many files a SavedModel might be tried with."""
        return len(self.examples.pictures)

    @property
    def not_decoded(self) -> int:
        """How many of these are of a kind that it does not decode."""
        return self.whole - len(self._encoded)

    @property
    def accuracy(self) -> float | None:
        """The share of the examples whose likeliest class is right; None where labels are not known."""
        return self._accuracy(self.images)

    def _accuracy(self, probabilities) -> float | None:
        labels = self.examples.labels
        return None if labels is None or self._is_map else float(np.mean(probabilities.argmax(axis=1) == labels))

    def check(self, form: Format, path: pathlib.Path, given: str, taken: str) -> Check:
        """Runs an exported network in a fresh process, and compares.

        Args:
            form: its format.
            path: where it is.
            given: the name of its input.
            taken: that of its output.

        Raises:
            ExportError: it cannot be run, or differs by more than the format's bound.
        """
        to = self._folder / form.name
        to.mkdir()
        name = "preprocessed" if form.kind == "frozen_graph" else "images"
        images = self._folder / (name if self._is_map else f"{name}.npy")
        request = {
            "kind": form.kind,
            "path": str(path),
            "input": given,
            "output": taken,
            "images": str(images),
            "batch": _BATCH,
            "to": str(to),
        }
        if form.kind == "saved_model":
            request |= {"encoded": str(self._folder / "encoded"), "raw": str(self._folder / "raw")}
        told = _run(form, request)
        found = self._found(to, "images" if not self._is_map else "", self.images)
        compared = [_compared(found, self.images)]
        if form.kind == "saved_model":
            encoded = [self.encoded[number] for number in self._encoded]
            for what, expected in (("raw", self.raw), ("encoded", encoded)):
                if len(expected):
                    results = [np.load(to / f"{what}{number}.npy") for number in range(len(expected))]
                    compared.append(_compared(results, expected))
        largest = None if self._is_map else max(one.largest for one in compared)
        mean, agreement = max(one.mean for one in compared), min(one.agreement for one in compared)
        bounds = [(largest, form.bound), (mean, form.mean_bound)]
        if not all(
            found <= bound for found, bound in bounds if found is not None and bound is not None
        ):  # Nor nan.
            advice = "; leave it out of --format" if form.bound is None else ""  # Of 8 bits, which may be too few.
            raise ExportError(
                f"{form.name} does not say what the session says of {self.examples.origin}: "
                f"{told_difference(form, largest, mean)}{advice}"
            )
        return Check(
            images=len(self.examples),
            origin=self.examples.origin,
            largest=largest,
            mean=mean,
            agreement=agreement,
            accuracy=None if self._is_map else self._accuracy(found),
            session_accuracy=self.accuracy,
            milliseconds=told["milliseconds"],
            reader=told["reader"],
        )

    def _found(self, to: pathlib.Path, name: str, expected):
        return np.load(to / f"{name}.npy") if name else [np.load(to / f"{n}.npy") for n in range(len(expected))]


def _probabilities(network: Network, batches: Sequence[np.ndarray]) -> np.ndarray:
    """What the session says of batches of squares: float32 ``[n, classes]``."""
    with tf.Graph().as_default():
        tf.set_random_seed(0)
        fed = tf.placeholder(tf.uint8, [None, *batches[0].shape[1:]])
        probabilities = tf.nn.softmax(network.architecture.outputs(fed))
        with network.session() as session:
            return np.concatenate([session.run(probabilities, {fed: batch}) for batch in batches])


def _square_of_array(pixels: np.ndarray, size: int) -> np.ndarray:
    from slimft.data.images import central_square

    return np.rint(central_square(pixels, size, 1.0)).astype(np.uint8)


def told_difference(form: Format, largest: float | None, mean: float) -> str:
    """What a person is told of the differences, and their bounds."""
    if largest is None:
        return f"{mean:.2%} of the pixels are of another class (bound {form.mean_bound:.0%})"
    at_most = "" if form.bound is None else f" (bound {form.bound:g})"
    on_average = f" (bound {form.mean_bound:g})" if form.bound is None else ""
    return f"probabilities differ by {largest:.1e} at most{at_most}, {mean:.1e} on average{on_average}"


class _Compared(NamedTuple):
    """How far results are from what is expected; as in `Check`."""

    largest: float
    mean: float
    agreement: float


_ANYTHING = _Compared(1.0, 1.0, 0.0)


def _compared(found, expected) -> _Compared:
    """Compares probabilities, ``[classes]`` each, or classes of pixels, ``[rows, columns]`` each."""
    if len(found) != len(expected) or any(one.shape != other.shape for one, other in zip(found, expected)):
        return _ANYTHING
    if np.ndim(expected[0]) > 1:
        other = sum(int((one != other).sum()) for one, other in zip(found, expected))
        share = other / sum(one.size for one in expected)
        return _Compared(0.0, share, 1 - share)
    found, expected = np.stack(list(found)), np.stack(list(expected))
    if not np.isfinite(found).all():
        return _ANYTHING
    differences = np.abs(found - expected)
    same = found.argmax(axis=1) == expected.argmax(axis=1)
    return _Compared(float(differences.max()), float(differences.sum(axis=1).mean() / 2), float(same.mean()))


def _run(form: Format, request: dict) -> dict:
    """Runs the consumer; returns what it tells."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, str(_CONSUMER), json.dumps(request)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines()]
        # TensorFlow's errors end with where in a graph they are.
        told = [line for line in lines if line and not line.startswith("[[{{node ")]
        last = told[-1] if told else f"its process ended with status {done.returncode}"
        raise ExportError(f"{form.name} was written, but cannot be run: {last[:500]}")
    return json.loads(done.stdout.strip().splitlines()[-1])
