"""A contact sheet of what training sees: examples as they are, and as the training graph makes them."""

from __future__ import annotations

import itertools
import os
import pathlib
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from slimft.compat import tf
from slimft.data import Dataset
from slimft.data.masks import VOID, coloured
from slimft.data.palette import voc_palette
from slimft.data.pipeline import shuffled_places
from slimft.data.preprocessing import DENSENET_SCALE, RGB_MEANS
from slimft.files import atomic_file
from slimft.messages import say
from slimft.runs.settings import Settings
from slimft.training.run import Run, prepare_alone

FILE = "augmented.png"
_ROWS, _COLUMNS = 6, 8
# Epochs that are looked through for draws of an example, where --balance=sampler draws some of them seldom.
_MOST_EPOCHS = 4 * _COLUMNS
_CELL, _GAP, _TEXT = 128, 6, 13


def show_augmented(settings: Settings, folder: str | os.PathLike) -> pathlib.Path:
    """Draws ``augmented.png``: a few training examples, each of another class if there are as many.

    First comes the example as it is, then what the training network gets of it the first eight times that it is
    drawn, which is once an epoch: by the run's own graph, with its seeds, mixed with its neighbours of the batch if
    the run mixes. Of a segmentation the masks lie over the images. Nothing is restored or trained.

    Args:
        settings: the run's.
        folder: where to; is made if need be.

    Returns:
        The file.

    Raises:
        SlimftError: bad settings, data or checkpoint.
        OSError: it cannot be written.
    """
    run = prepare_alone(settings)
    if run.settings.cache_views:
        say("--cache_views trains on the image as it is and some draws of it in turn; these are other draws")
    train, training = run.splits["train"], run.training
    chosen = _examples(train)
    rows = []
    with training.graph.as_default(), run.new_session() as session:
        places = _places(run, chosen)
        for example in chosen:
            cells = [_as_it_is(train, example)]
            cells += [_seen(run, session, number, examples, row) for number, examples, row in places[example]]
            rows.append((_title(train, example), cells))
    file = pathlib.Path(folder).expanduser() / FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(file) as stream:
        _sheet(rows).save(stream, "PNG")
    return file


def _examples(train: Dataset) -> list[int]:
    """The first example of each class, of classes evenly spread; of masks, examples evenly spread."""
    if train.task == "segmentation":
        spread = np.linspace(0, train.num_examples - 1, min(_ROWS, train.num_examples))
        return sorted(set(spread.astype(int).tolist()))
    _, first = np.unique(train.labels, return_index=True)
    spread = np.linspace(0, len(first) - 1, min(_ROWS, len(first))).astype(int)
    return first[spread].tolist()


def _places(run: Run, chosen: Sequence[int]) -> dict[int, list[tuple[int, np.ndarray, int]]]:
    """Of each example the batches that it is in: number, all examples of the batch, and its row."""
    settings, train, sampler = run.settings, run.splits["train"], run.sampler()
    found: dict[int, list[tuple[int, np.ndarray, int]]] = {example: [] for example in chosen}
    most = -(-_MOST_EPOCHS * train.num_examples // settings.batch_size)
    batches = shuffled_places(0, settings.batch_size, train.num_examples, settings.seed)
    for number, (epochs, indices) in enumerate(itertools.islice(batches, most)):
        examples = indices if sampler is None else sampler(epochs, indices)
        for row in np.flatnonzero(np.isin(examples, chosen)).tolist():
            own = found[int(examples[row])]
            if len(own) < _COLUMNS:
                own.append((number, examples, row))
        if all(len(own) == _COLUMNS for own in found.values()):
            break
    return found


def _seen(run: Run, session: tf.Session, number: int, examples: np.ndarray, row: int) -> Image.Image:
    """What the network gets of a row of a batch."""
    batches, count = run.training.batches, len(examples)
    # Nothing else of the batch has to do with it: the next one is what it may be mixed with.
    needed = list(dict.fromkeys((row, (row + 1) % count)))
    read = run.splits["train"].read_batch(examples[needed], batches.image_shape)
    feeds = {batches.step: number}
    for tensor, some in zip((batches.images, batches.targets, batches.sizes), read):
        whole = np.repeat(np.asarray(some[:1]), count, axis=0)
        whole[needed] = some
        feeds[tensor] = whole
    images, targets = session.run([run.training.images, run.training.targets], feeds)
    pixels = visible(images[row], _preprocessing(run))
    return _with_mask(pixels, targets[row] if run.settings.task.targets.is_map else None)


def _preprocessing(run: Run) -> str:
    from slimft.nets import get_network

    return get_network(run.settings.model).preprocessing


def visible(image: np.ndarray, preprocessing: str) -> np.ndarray:
    """What a preprocessed image was, uint8 ``[height, width, 3]``; of cifarnet's, in its full range.

    Args:
        image: float ``[height, width, channels]``.
        preprocessing: a key of `slimft.data.preprocessing.PREPROCESSING`.
    """
    image = np.asarray(image, np.float64)
    if preprocessing == "inception":
        image = (image + 1) * 127.5
    elif preprocessing == "mean_subtraction":
        image = image + RGB_MEANS
    elif preprocessing == "densenet":
        image = image / DENSENET_SCALE + RGB_MEANS
    elif preprocessing == "lenet":
        image = np.repeat(image * 128 + 128, 3, axis=2)
    else:
        image = (image - image.min()) * (255 / max(float(np.ptp(image)), 1e-9))
    return np.clip(np.round(image), 0, 255).astype(np.uint8)


def _as_it_is(train: Dataset, example: int) -> Image.Image:
    if train.task != "segmentation":
        return Image.fromarray(train.read(np.array([example]), train.image_shape(_CELL))[0])
    images, masks, sizes = train.read_batch(np.array([example]), train.image_shape(_CELL))
    height, width = sizes[0]
    return _with_mask(images[0, :height, :width], masks[0, :height, :width])


def _with_mask(pixels: np.ndarray, mask: np.ndarray | None) -> Image.Image:
    image = Image.fromarray(np.ascontiguousarray(pixels))
    if mask is None:
        return image
    mask = np.ascontiguousarray(mask, dtype=np.uint8)
    mixed = Image.blend(image, coloured(mask, voc_palette()).convert("RGB"), 0.5)
    mixed.paste(image, mask=Image.fromarray(np.where(mask == VOID, 255, 0).astype(np.uint8)))
    return mixed


def _title(train: Dataset, example: int) -> str:
    name = os.path.basename(train.describe(example))
    return name if train.task == "segmentation" else f"{train.class_names[train.labels[example]]}: {name}"


def _sheet(rows: Sequence[tuple[str, Sequence[Image.Image]]]) -> Image.Image:
    line, font = _TEXT + 2 * _GAP, ImageFont.load_default(_TEXT)
    columns = max(len(cells) for _, cells in rows)
    across, down = _CELL + _GAP, _CELL + line
    sheet = Image.new("RGB", (columns * across + _GAP, len(rows) * down + line), "white")
    draw = ImageDraw.Draw(sheet)
    for column in range(columns):
        title = f"draw {column}" if column else "as it is"
        draw.text((_GAP + column * across, _GAP), title, fill="black", font=font)
    for number, (title, cells) in enumerate(rows):
        top = line + number * down
        draw.text((_GAP, top + _GAP // 2), title, fill="#555555", font=font)
        for column, cell in enumerate(cells):
            share = _CELL / max(cell.size)
            size = max(1, round(cell.width * share)), max(1, round(cell.height * share))
            kind = Image.Resampling.NEAREST if share >= 2 else Image.Resampling.BICUBIC
            sheet.paste(cell.resize(size, kind), (_GAP + column * across, top + line - _GAP))
    return sheet
