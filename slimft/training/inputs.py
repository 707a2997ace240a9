"""What a process reads of each batch, and what of it the networks that train see."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

from slimft.compat import tf
from slimft.data import Dataset, pipeline
from slimft.data.augmentation import read_side, training_input
from slimft.data.pipeline import Batches
from slimft.data.rows import Rows
from slimft.data.segmentation_input import crop_of, segmentation_input
from slimft.inference import Architecture
from slimft.runs.settings import Settings


class Inputs(NamedTuple):
    """What a process reads of a batch, for the networks that train.

    Attributes:
        batches: the batches.
        images: float ``[rows, height, width, channels]``.
        targets: what the loss is of: ``[rows]`` and the shape of one.
        labels: what is measured: likewise.
        seed: int64 ``[2]``, that of the batch's randomness.
    """

    batches: Batches
    images: tf.Tensor
    targets: tf.Tensor
    labels: tf.Tensor
    seed: tf.Tensor


def batch_input(
    settings: Settings, network: Architecture, dataset: Dataset, plain: tf.Tensor | None, rows: Rows | None = None
) -> Inputs:
    """What is read of a batch, and made of it for the network.

    With `rows` the batches are of what has to be read for these, and the images, targets and what is measured of
    these alone.
    """
    side = read_side(settings.image_size, settings.augment)
    image_shape, target = dataset.image_shape(side), network.task.targets
    device = "/gpu:0" if tf.config.list_physical_devices("GPU") else None
    if rows:
        mixes = not target.is_map and bool(settings.mixup or settings.cutmix)
        rows = dataclasses.replace(rows, mixed=mixes)
    read = rows and rows.read
    batches = pipeline.train_batches(image_shape, settings.batch_size, settings.seed, target, device, read)
    seed = tf.stack([tf.constant(settings.seed, tf.int64), batches.step])
    of_input = tf.random.experimental.stateless_fold_in(seed, 0)
    make = _maps_input if target.is_map else _labels_input
    images, targets, measured = make(settings, network, dataset, batches, of_input, plain, rows)
    return Inputs(batches, images, targets, measured, seed)


def _maps_input(settings, network, dataset, batches, seed, plain, rows: Rows | None = None):
    """The network's images, and masks, which are what the loss is of and what is measured."""
    del plain
    images, masks = segmentation_input(
        batches.images,
        batches.targets,
        batches.sizes,
        crop_of(settings.image_size, batches.image_shape, network.spec.min_image_size),
        network.spec.preprocessing,
        seed,
        settings.augment,
        dataset.flip if settings.flip is None else settings.flip,
        rows,
    )
    return images, masks, masks


def _labels_input(settings, network, dataset, batches, seed, plain, rows: Rows | None = None):
    """The network's images; targets, which may be mixed and smooth; and the labels, which are what is measured."""
    images, targets = training_input(
        batches.images,
        batches.targets,
        dataset.num_classes,
        settings.image_size,
        network.spec.preprocessing,
        seed=seed,
        augment=settings.augment,
        plain=plain,
        flip=dataset.flip if settings.flip is None else settings.flip,
        max_shift=dataset.max_shift,
        min_area=dataset.min_area,
        mixup=settings.mixup,
        cutmix=settings.cutmix,
        label_smoothing=settings.label_smoothing,
        rows=rows,
        operations=settings.randaugment_ops,
        magnitude=settings.randaugment_magnitude,
        severity=settings.augmix_severity,
    )
    return images, targets, batches.targets if rows is None else rows.made(batches.targets)
