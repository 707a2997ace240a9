"""The input of a training graph in shares: each process reads its own rows, and sees what one process would see."""

import dataclasses

import numpy as np
import pytest

from slimft.compat import tf
from slimft.data import load_dataset
from slimft.data.rows import Rows
from slimft.inference import Architecture
from slimft.nets import get_network
from slimft.runs.settings import Settings
from slimft.training.completion import complete
from slimft.training.inputs import batch_input

BATCH, STEPS = 6, 3


def inputs(settings, dataset, rows=None):
    """What the network sees, its targets, what is measured, and the seed, of some steps; and how many are read."""
    network = Architecture(
        get_network(settings.model), dataset.num_classes, settings.image_size, settings.head, "float32"
    )
    with tf.Graph().as_default(), tf.Session() as session:
        batches, *made = batch_input(settings, network, dataset, None, rows=rows)
        images, targets, measured, _ = made
        number = BATCH if rows is None else rows.size
        assert [tensor.shape.as_list()[0] for tensor in (images, targets, measured)] == [number] * 3
        batches.start(session, dataset, 2)
        return [session.run(made) for _ in range(STEPS)], batches.images.shape.as_list()[0]


def check(settings, dataset, shares, with_neighbour):
    whole, read = inputs(settings, dataset)
    assert read == BATCH
    parts = []
    for start, stop in shares:
        made, read = inputs(settings, dataset, Rows(start, stop, BATCH))
        assert read == stop - start + (with_neighbour and stop - start < BATCH)
        parts.append(made)
    for step in range(STEPS):
        for number in range(3):
            together = np.concatenate([part[step][number] for part in parts])
            np.testing.assert_array_equal(together, whole[step][number])
        for part in parts:
            np.testing.assert_array_equal(part[step][3], whole[step][3])


SHARES = ([(0, 6)], [(0, 3), (3, 6)], [(0, 1), (1, 3), (3, 6)])


@pytest.mark.parametrize("shares", SHARES, ids=str)
@pytest.mark.parametrize("options", [{}, {"mixup": 0.3}, {"mixup": 0.3, "cutmix": 1.0}], ids=str)
def test_labelled_images(tiny, options, shares):
    settings = complete(
        Settings(model=tiny, dataset="digits", batch_size=BATCH, augment="strong", label_smoothing=0.1, **options)
    )
    settings = dataclasses.replace(settings, image_size=32)
    check(settings, load_dataset("digits")["train"], shares, bool(options))


@pytest.mark.parametrize("shares", SHARES[1:], ids=str)
def test_images_with_masks(tiny, voc, shares):
    settings = complete(
        Settings(model="tiny_fcn", dataset="voc", data_dir=str(voc), batch_size=BATCH, augment="strong")
    )
    settings = dataclasses.replace(settings, image_size=24)
    check(settings, load_dataset("voc", str(voc))["train"], shares, False)
