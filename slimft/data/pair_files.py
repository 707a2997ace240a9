"""Images with masks as files: looked at once, read together, and kept decoded on canvases of one size."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import BinaryIO

import numpy as np
from PIL import Image

from slimft.data import record_cache
from slimft.data.image_files import ImageFiles, Source, open_source, raise_together
from slimft.data.images import decoding, is_turned, opened, read_image, upright_sides
from slimft.data.masks import VOID, Colours, counts_of, read_mask
from slimft.data.splits import few
from slimft.data.threads import in_threads, parts_of
from slimft.errors import DataError

# What stands beyond an image's border: about ImageNet's mean colour.
_BEYOND = (124, 117, 104)
# In a table of numbers, what no mask can have.
NO_CLASS = VOID - 1
_AT_A_TIME = 16


@dataclasses.dataclass(frozen=True)
class Masks:
    """The masks of images, and what is known of them; made by `look_at_masks`.

    Attributes:
        sources: where each is.
        colours: what colours stand for, in masks that have colours.
        table: uint8 [256], what each number in a file stands for.
        sizes: int32 ``[masks, 2]``, the rows and columns of each, which are those of its image.
        pixels: int64 ``[masks, classes]``, how many of its pixels are of each class.
    """

    sources: Sequence[Source]
    colours: Colours
    table: np.ndarray
    sizes: np.ndarray
    pixels: np.ndarray

    @functools.cached_property
    def meaning(self) -> str:
        """What changes when colours stand for something else."""
        return str(sorted(self.colours.items()))

    def read(self, index: int) -> np.ndarray:
        """Reads a mask, uint8 ``[rows, columns]``: the classes, and 255 where there is none.

        Raises:
            DataError: it is not as it was when it was looked at.
        """
        source = self.sources[index]
        mask = self.table[read_mask(open_source(source), self.colours, source.name).numbers]
        pixels, counts = self.pixels[index], counts_of(mask)
        expected = (*pixels, np.prod(self.sizes[index], dtype=np.int64) - pixels.sum())
        if mask.shape != tuple(self.sizes[index]) or (counts[[*range(len(pixels)), VOID]] != expected).any():
            raise DataError(f"{source.name} has changed since it was looked at; repeat the command")
        return mask

    def select(self, indices: np.ndarray) -> Masks:
        """Some of the masks, in the order of `indices`."""
        sources = [self.sources[index] for index in indices]
        return dataclasses.replace(self, sources=sources, sizes=self.sizes[indices], pixels=self.pixels[indices])

    def renumbered(self, numbers: np.ndarray, num_classes: int) -> Masks:
        """The same masks, with other numbers for their classes.

        Args:
            numbers: for each class its number, or -1 for one that has no pixels.
            num_classes: how many classes there are then.
        """
        table = np.full(VOID + 1, NO_CLASS, np.uint8)
        for value, label in enumerate(self.table.tolist()):
            if label == VOID:
                table[value] = VOID
            elif label < len(numbers) and numbers[label] >= 0:
                table[value] = numbers[label]
        pixels = np.zeros((len(self.pixels), num_classes), np.int64)
        pixels[:, numbers[numbers >= 0]] = self.pixels[:, numbers >= 0]
        return dataclasses.replace(self, table=table, pixels=pixels)


class Pair:
    """An image with its mask, as a source of `PairFiles`; what is asked of a source it answers of the image.

    Args:
        image: where the image is.
        masks: masks that have been looked at.
        index: which of these is the image's.
        longest_side: as of `SegmentationDataset`.
    """

    __slots__ = ("image", "masks", "index", "longest_side")

    def __init__(self, image: Source, masks: Masks, index: int, longest_side: int):
        self.image, self.masks, self.index, self.longest_side = image, masks, index, longest_side

    @property
    def name(self) -> str:
        return self.image.name

    @property
    def key(self) -> str:
        return self.image.key

    @property
    def fingerprint(self) -> str:
        """What tells the image and the mask apart from others, how far they are scaled, and what colours mean."""
        mask = self.masks.sources[self.index].fingerprint
        return f"{self.image.fingerprint} {mask} {self.longest_side} {self.masks.meaning}"

    def digest(self) -> str:
        return self.image.digest()

    def open(self) -> BinaryIO | bytes:
        return self.image.open()

    def read(self, grey_bits: int | None) -> tuple[np.ndarray, np.ndarray]:
        """The image as a network sees it, uint8 ``[height, width, 3]``, and its mask at that size.

        Raises:
            DataError: a file cannot be read, or is not as it was when the mask was looked at.
        """
        pixels, mask = read_seen(self.image, self.longest_side, grey_bits), self.masks.read(self.index)
        if pixels.shape[:2] != tuple(seen_size(np.array(mask.shape), self.longest_side)):
            raise DataError(f"{self.name} has changed since its mask was looked at; repeat the command")
        if mask.shape != pixels.shape[:2]:
            mask = np.asarray(Image.fromarray(mask).resize(pixels.shape[1::-1], Image.Resampling.NEAREST))
        return pixels, mask


class PairFiles(ImageFiles):
    """Images with masks, of any size, on canvases: `side` is the canvas's height and width.

    A decoded one is uint8 ``[height, width, 4]``: red, green and blue, and the mask as its file has it. Both begin
    with row and column 0; beyond them is grey, and void. Its sources are each a `Pair`.
    """

    def kind(self, side: tuple[int, int]) -> record_cache.Kind:
        height, width = side
        text = f"{record_cache.PIXELS} with masks"
        kind = record_cache.images(height)
        return dataclasses.replace(kind, name=f"{height}x{width}", text=text, record_bytes=height * width * 4)

    def shape(self, side: tuple[int, int]) -> tuple[int, ...]:
        return *side, 4

    def decode(self, source: Pair, side: tuple[int, int]) -> np.ndarray:
        pixels, mask = source.read(self.grey_bits)
        canvas = np.empty(self.shape(side), np.uint8)
        canvas[...] = *_BEYOND, VOID
        canvas[: mask.shape[0], : mask.shape[1], :3] = pixels
        canvas[: mask.shape[0], : mask.shape[1], 3] = mask
        return canvas

    def keeps(self, side: tuple[int, int]) -> bool:
        """Whether decoded ones are kept for this canvas; see `prepare`."""
        return side in self._collection.caches


def seen_size(size: np.ndarray, longest_side: int) -> np.ndarray:
    """Rows and columns, int32 ``[..., 2]``, of images that a network sees, of their own."""
    size = np.asarray(size)
    longer = size.max(axis=-1, keepdims=True)
    scaled = np.maximum(np.rint(size * longest_side / longer), 1)
    return np.where(longer > longest_side, scaled, size).astype(np.int32)


def read_seen(source: Source, longest_side: int, grey_bits: int | None = None) -> np.ndarray:
    """Reads an image as a network for segmentation sees it: uint8 ``[height, width, 3]``, RGB.

    Raises:
        DataError: as of `slimft.data.images.read_image`.
    """
    return scaled(read_image(open_source(source), None, source.name, grey_bits), longest_side)


def scaled(pixels: np.ndarray, longest_side: int) -> np.ndarray:
    """An image, uint8 ``[height, width, 3]``, reduced to the `seen_size` if its longer side is longer than told."""
    height, width = seen_size(np.array(pixels.shape[:2]), longest_side).tolist()
    if (height, width) == pixels.shape[:2]:
        return pixels
    # A mean of all pixels that one becomes of.
    image = Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR, reducing_gap=3.0)
    return np.asarray(image)


def look_at_masks(
    images: Sequence[Source],
    masks: Sequence[Source],
    class_names: Sequence[str],
    colours: Colours,
    origin: str,
) -> tuple[Masks, list[str]]:
    """Reads all masks once: their sizes, which are to be those of their images, and how many pixels each class has.

    Args:
        images: where the images are, of which the head is read.
        masks: where their masks are.
        class_names: the classes' names, by number.
        colours: what colours stand for.
        origin: where that is from, for a message.

    Returns:
        What was found, and what is to be said of it, a line each.

    Raises:
        DataError: files cannot be read, have numbers that are no classes, or another size than their image; the
            message counts them and names the first.
    """
    from slimft.progress_bar import PassBar

    number = len(class_names)
    sizes, pixels = np.zeros((len(masks), 2), np.int32), np.zeros((len(masks), number), np.int64)
    failures: dict[int, DataError] = {}
    by_colours, several, turned = (np.zeros(len(masks), bool) for _ in range(3))

    def look(part: np.ndarray) -> int:
        for index in part.tolist():
            try:
                # The orientation of a PNG may be behind its pixels.
                with opened(open_source(images[index]), images[index].name) as (image, _), decoding(image):
                    sides, turned[index] = upright_sides(image), is_turned(image)
                mask, by_colours[index], several[index] = read_mask(
                    open_source(masks[index]), colours, masks[index].name
                )
                counts = counts_of(mask)
                _check(mask, counts, sides, turned[index], masks[index], class_names)
            except DataError as error:
                failures[index] = error
                continue
            sizes[index], pixels[index] = mask.shape, counts[:number]
        return len(part)

    with PassBar("looking at masks", len(masks), unit=" masks") as bar:
        for count in in_threads(look, parts_of(np.arange(len(masks)), _AT_A_TIME)):
            bar.update(count)
    raise_together([failures[index] for index in sorted(failures)], "images or masks cannot be used")

    notes = [
        *_note(
            by_colours,
            masks,
            "mask has colours in place of numbers",
            "masks have colours in place of numbers",
            f": taken as classes by {origin}",
        ),
        *_note(several, masks, "mask holds several pictures", "masks hold several pictures", "; the first counts"),
        *_note(
            turned,
            images,
            "image is turned upright as its EXIF orientation says",
            "images are turned upright as their EXIF orientation says",
            "; their masks are taken to be upright",
        ),
        *_note(
            ~pixels.any(axis=1),
            masks,
            f"mask is all void ({VOID}), and teaches nothing",
            f"masks are all void ({VOID}), and teach nothing",
        ),
    ]
    return Masks(masks, colours, np.arange(VOID + 1, dtype=np.uint8), sizes, pixels), notes


def _note(which: np.ndarray, sources: Sequence[Source], one: str, many: str, rest: str = "") -> list[str]:
    """A line on those of the files that `which` tells, bool ``[files]``, if there are any."""
    count = np.count_nonzero(which)
    if not count:
        return []
    return [f"{count} {one if count == 1 else many}, such as {sources[int(which.argmax())].name}{rest}"]


def _check(
    mask: np.ndarray,
    counts: np.ndarray,
    sides: tuple[int, int],
    turned: bool,
    source: Source,
    class_names: Sequence[str],
) -> None:
    """Raises DataError if a mask, whose numbers have these counts, does not fit its image or the classes."""
    if mask.shape != sides:
        (rows, columns), (height, width) = mask.shape, sides
        upright = ", turned upright as its EXIF orientation says" if turned else ""
        raise DataError(f"{source.name} has {columns}x{rows} pixels, and its image {width}x{height}{upright}")
    wrong = np.flatnonzero(counts[len(class_names) : VOID])
    if len(wrong):
        value = len(class_names) + wrong[0]
        row, column = divmod(int((mask == value).argmax()), mask.shape[1])
        raise DataError(
            f"{source.name} has the value {value} at row {row}, column {column}, and there are only the classes 0 "
            f"to {len(class_names) - 1} ({few(class_names)}) and {VOID} for none"
        )
