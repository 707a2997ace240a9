"""The images that exported networks are tried with: of the run's data, of a folder, or drawn."""

from __future__ import annotations

import dataclasses
import io
import math
import os
from collections.abc import Iterator

import numpy as np
from PIL import Image

from slimft.data.dataset import WHOLE
from slimft.data.image_files import FileSource, Source, open_source
from slimft.data.image_formats import find_images
from slimft.data.images import central_square, read_image, read_square
from slimft.errors import DataError, UsageError
from slimft.evaluation_data import choose_data
from slimft.inference import Network
from slimft.messages import say

# Pictures that are tried whole, as files and as arrays, whatever is tried as squares; and that are drawn.
_WHOLE_PICTURES, _DRAWN = 8, 8
# Bytes at the beginning of the files that a SavedModel decodes.
_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
# Bits and kind of a PNG that it does not: grey of 16 bits, without opacity and with.
_GREY_OF_16_BITS = (b"\x10\0", b"\x10\4")
# Images that the numbers of an int8 network are fitted to: as many as TensorFlow's guide advises at least.
_CALIBRATION = 100
# A sample is that of this seed.
_SEED = 0


@dataclasses.dataclass(frozen=True)
class Picture:
    """An image, whole.

    Attributes:
        pixels: uint8 ``[height, width, 3]``, RGB.
        square: uint8 ``[size, size, 3]``, what bin/predict makes of its file; None for a segmentation.
        encoded: its file; None where that is not one that a SavedModel decodes (see `slimft.export.decoding`).
    """

    pixels: np.ndarray
    square: np.ndarray | None
    encoded: bytes | None


@dataclasses.dataclass(frozen=True)
class Examples:
    """Images to try exported networks with.

    Attributes:
        origin: what they are, a few words, such as ``53 test images``.
        squares: uint8 ``[n, size, size, 3]``, what the network sees; None for a segmentation.
        labels: int32 ``[n]``; None where they are not known.
        pictures: some images whole.
    """

    origin: str
    squares: np.ndarray | None
    labels: np.ndarray | None
    pictures: list[Picture]

    def __len__(self) -> int:
        return len(self.pictures) if self.squares is None else len(self.squares)


class _Collection:
    """Images that can be read in part: a dataset's, or those of a folder.

    Args:
        images: sources, an array of images, or a dataset's `ImageFiles`.
        labels: int32 ``[n]``, or None.
        what: how one is called, such as ``test image``.
        grey_bits: as of `read_image`.
    """

    def __init__(self, images, labels: np.ndarray | None, what: str, grey_bits: int | None):
        self.images, self.labels, self.what, self.grey_bits = images, labels, what, grey_bits

    def __len__(self) -> int:
        return len(self.images)

    @property
    def is_folder(self) -> bool:
        """Whether it is of files that nobody has looked at yet."""
        return isinstance(self.images, list)

    def sample(self, number: int) -> np.ndarray:
        """At most so many of them, the same each time."""
        if number >= len(self):
            return np.arange(len(self))
        return np.sort(np.random.default_rng(_SEED).permutation(len(self))[:number])

    def square(self, index: int, size: int) -> np.ndarray:
        if isinstance(self.images, np.ndarray):
            return _square_of(self.images[index], size)
        source = self._source(index)
        return read_square(open_source(source), size, name=source.name, grey_bits=self.grey_bits)

    def picture(self, index: int, size: int | None) -> Picture:
        """An image whole; `size` is None for a segmentation."""
        if isinstance(self.images, np.ndarray):
            return _drawn_picture(self.images[index], size)
        source = self._source(index)
        with open_source(source) as stream:
            encoded = stream.read()
        pixels = read_image(io.BytesIO(encoded), None, source.name, self.grey_bits)
        square = None
        if size is not None:
            square = read_square(io.BytesIO(encoded), size, name=source.name, grey_bits=self.grey_bits)
        return Picture(pixels, square, encoded if _is_decoded(encoded) else None)

    def _source(self, index: int) -> Source:
        return self.images[index] if self.is_folder else self.images.source(index)


def _is_decoded(encoded: bytes) -> bool:
    """Whether a SavedModel decodes a file."""
    return encoded.startswith(_JPEG) or (encoded.startswith(_PNG) and encoded[24:26] not in _GREY_OF_16_BITS)


def find_examples(
    network: Network, number: int, folder: str | None = None, data_dir: str | None = None, calibrates: bool = False
) -> tuple[Examples, _Collection | None]:
    """The images to try a network with, and those that stand for all it may see.

    Args:
        network: the network, sized.
        number: how many, at most.
        folder: a folder with images; None for those of the run's data that are evaluated by default, or, where
            there is no run or no data, a few that are drawn.
        data_dir: where the run's data is now, if not where it was.
        calibrates: whether the second result is needed.

    Returns:
        The examples; and, where that is asked for, the run's training images or the folder's; else, and of drawn
        ones, None.

    Raises:
        DataError: an image cannot be read, or the folder holds none.
        UsageError: as of `choose_data`.
    """
    if folder is not None:
        collection = _of_folder(network, folder)
        return _taken(network, collection, number), collection
    if network.run is None:
        say("no run, so no data: tried with drawn pictures (give --images, a folder, to try real ones)")
        return _drawn(network), None
    try:
        found = choose_data(network, data_dir=data_dir)
    except (DataError, UsageError) as error:
        if data_dir is not None:
            raise
        say(f"the run's data cannot be read, so the files are tried with drawn pictures: {error}")
        return _drawn(network), None
    say(*found.notes)
    chosen = found.dataset
    training = None
    if calibrates and chosen.split in ("train", WHOLE):  # There are no others.
        training = _of_dataset(chosen)
    elif calibrates:
        training = _of_dataset(choose_data(network, data_dir=data_dir, split="train").dataset)
    return _taken(network, _of_dataset(chosen), number), training


def _of_folder(network: Network, folder: str) -> _Collection:
    path = os.path.expanduser(folder)
    if not os.path.isdir(path):
        raise DataError(f"--images={folder} is no folder; name one with images")
    paths, _ = find_images(path)
    if not paths:
        raise DataError(f"--images={folder} holds no images")
    settings = network.settings
    return _Collection([FileSource(one) for one in paths], None, "image", settings and settings.grey_bits)


def _of_dataset(data) -> _Collection:
    labels = getattr(data, "labels", None)
    return _Collection(data.images, labels, f"{data.split} image", data.grey_bits)


def _taken(network: Network, collection: _Collection, number: int) -> Examples:
    is_map = network.task.targets.is_map
    indices = collection.sample(min(number, _WHOLE_PICTURES) if is_map else number)
    size = None if is_map else network.image_size
    squares, pictures, kept = [], [], []
    for index in indices:
        try:
            if size is not None:
                squares.append(collection.square(index, size))
            if len(pictures) < _WHOLE_PICTURES:
                pictures.append(collection.picture(index, size))
        except DataError as error:
            if not collection.is_folder:
                raise
            say(f"passed over: {error}")
        else:
            kept.append(index)
    if not kept:
        raise DataError(f"none of {len(indices)} images can be read; name a folder with others (--images)")
    count, total = len(kept), len(collection)
    origin = f"{count} {collection.what}{'' if count == 1 else 's'}"
    if count < total:
        origin = f"{count} of {total} {collection.what}s, drawn with seed {_SEED}"
    labels = None if collection.labels is None else collection.labels[kept]
    return Examples(origin, np.stack(squares) if squares else None, labels, pictures)


def _drawn(network: Network) -> Examples:
    """Pictures of a few waves of colour, of several sizes."""
    is_map = network.task.targets.is_map
    size = None if is_map else network.image_size
    rng = np.random.default_rng(_SEED)
    pictures = []
    for number in range(_DRAWN):
        rows = math.ceil((size or 96) * (0.7 + 0.3 * number))
        columns = math.ceil(rows * rng.uniform(0.7, 1.4))
        y, x = np.mgrid[0 : 1 : rows * 1j, 0 : 1 : columns * 1j][..., np.newaxis]
        waves = sum(
            np.sin(rng.uniform(-20, 20, 3) * x + rng.uniform(-20, 20, 3) * y + rng.uniform(0, 6, 3))
            for _ in range(4)
        )
        pictures.append(_drawn_picture(np.clip(128 + 50 * waves, 0, 255).astype(np.uint8), size))
    squares = (
        None if size is None else np.stack([picture.square for picture in pictures if picture.square is not None])
    )
    return Examples(f"{_DRAWN} drawn pictures", squares, None, pictures)


def _drawn_picture(pixels: np.ndarray, size: int | None) -> Picture:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return Picture(pixels, None if size is None else _square_of(pixels, size), stream.getvalue())


def _square_of(pixels: np.ndarray, size: int) -> np.ndarray:
    return np.rint(central_square(pixels, size, 1.0)).astype(np.uint8)


def calibration_images(network: Network, collection: _Collection) -> Iterator[np.ndarray]:
    """Some images, float32 ``[1, height, width, 3]``, RGB in 0..255, as the network sees them."""
    for index in collection.sample(_CALIBRATION):
        try:
            if network.task.targets.is_map:
                pixels = collection.picture(index, None).pixels
            else:
                pixels = collection.square(index, network.image_size)
        except DataError:
            if not collection.is_folder:
                raise
            continue  # It was said of those that are tried.
        yield pixels[np.newaxis].astype(np.float32)
