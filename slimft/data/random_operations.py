"""RandAugment and AugMix: several operations for each image, drawn from a list.

Papers: Cubuk et al. 2019, arXiv:1909.13719; Hendrycks et al. 2019, arXiv:1912.02781. Both are as there, but that
all that moves an image becomes part of the one lookup that crops and resizes it, before its colours change.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from slimft.compat import tf
from slimft.data import operations
from slimft.data.draws import fold_in, uniform
from slimft.data.preprocessing import Transforms, resize
from slimft.data.rows import Rows, batch_of, of_rows

MOST_MAGNITUDE, MOST_SEVERITY = 30, 10
# At the most, degrees, and shares of the height and width.
_DEGREES, _SHEAR = 30, 0.3
_MOVE, _AUGMIX_MOVE = 0.45, 1 / 3
_MOVING = ("rotate", "shear_x", "shear_y", "move_x", "move_y")
_RANDAUGMENT = (
    *_MOVING, "none", "autocontrast", "equalize", "solarize", "posterize", "contrast", "brightness", "colour",
    "sharpness",
)  # fmt: skip
# None that a test set of damaged images has, so that robustness against these can be measured.
_AUGMIX = (*_MOVING, "autocontrast", "equalize", "solarize", "posterize")
_CHAINS, _DEPTH = 3, 3
_LEAST_SEVERITY = 0.1


class RandAugment:
    """What RandAugment does to a batch: draws it, moves, and changes colours.

    Args:
        batch: how many images.
        seed: int tensor of shape [2] that decides everything.
        number: operations for each image, drawn one after the other.
        magnitude: of each operation, from 0 to 30.
    """

    def __init__(self, batch, seed, number: int, magnitude: float):
        self._chosen = _choices([batch, number], fold_in(seed, 0), len(_RANDAUGMENT))
        self._signs = tf.sign(uniform([batch, number], fold_in(seed, 1), -1.0, 1.0))
        self._number, self._magnitude = number, magnitude / MOST_MAGNITUDE

    def moved(self, transforms: Transforms) -> Transforms:
        """Transforms of the batch, with the operations that move images."""
        for step in range(self._number):
            strength = self._signs[:, step] * self._magnitude
            transforms = _moved(transforms, _RANDAUGMENT, self._chosen[:, step], strength, _MOVE)
        return transforms

    def coloured(self, images, rows: Rows | None = None):
        """The images that are read of the batch, float in 0..255, after the operations that change colours."""
        images, share = tf.round(images), self._magnitude
        for step in range(self._number):
            chosen, signs = (of_rows(one[:, step], rows) for one in (self._chosen, self._signs))
            factor = 1 + signs * (0.9 * share)
            amounts = dict.fromkeys(("contrast", "brightness", "colour", "sharpness"), factor)
            amounts["posterize"] = tf.fill(tf.shape(signs), 8.0 - round(4 * share))
            amounts["solarize"] = tf.fill(tf.shape(signs), 256 * (1 - share))
            images = _coloured(images, _RANDAUGMENT, chosen, amounts)
        return images


def augmix(images, image_size: int, plain, transforms: Transforms, seed, severity: float, rows: Rows | None = None):
    """Mixes each image with a mixture of three chains of one to three operations on it.

    Args:
        images: uint8 or float ``[batch, height, width, 3]``, those that are read of the batch.
        image_size: height and width of the result.
        plain: the images, as `transforms` show them: float ``[batch, image_size, image_size, 3]``, in 0..255.
        transforms: those of the whole batch, before any operation.
        seed: int tensor of shape [2] that decides everything.
        severity: the most that each operation draws its own from, from 0 to 10.
        rows: which rows are made; None for all.

    Returns:
        The mixture, as `plain`.
    """
    batch = batch_of(images, rows)
    # Dirichlet of three ones, by exponentials; Beta of two ones, which is uniform.
    shares = -tf.log(1 - uniform([batch, _CHAINS], fold_in(seed, 0)))
    shares /= tf.maximum(tf.reduce_sum(shares, axis=1, keepdims=True), 1e-20)
    shares *= uniform([batch, 1], fold_in(seed, 1))
    depths = 1 + _choices([batch, _CHAINS], fold_in(seed, 2), _DEPTH)
    mixed = plain * _each(1 - tf.reduce_sum(of_rows(shares, rows), axis=1))
    for chain in range(_CHAINS):
        own = fold_in(seed, 3 + chain)
        chosen = _choices([batch, _DEPTH], fold_in(own, 0), len(_AUGMIX))
        chosen = tf.where_v2(tf.range(_DEPTH) < depths[:, chain, tf.newaxis], chosen, -1)
        signs = tf.sign(uniform([batch, _DEPTH], fold_in(own, 1), -1.0, 1.0))
        strengths = (
            uniform([batch, _DEPTH], fold_in(own, 2), min(_LEAST_SEVERITY, severity), float(severity))
            / MOST_SEVERITY
        )
        moved = transforms
        for step in range(_DEPTH):
            strength = signs[:, step] * strengths[:, step]
            moved = _moved(moved, _AUGMIX, chosen[:, step], strength, _AUGMIX_MOVE)
        seen = tf.round(resize(images, image_size, of_the_rows(moved, rows)))
        for step in range(_DEPTH):
            strength = of_rows(strengths[:, step], rows)
            amounts = {
                "posterize": tf.maximum(4 - tf.floor(4 * strength), 1),
                "solarize": 256 - tf.floor(256 * strength),
            }
            seen = _coloured(seen, _AUGMIX, of_rows(chosen[:, step], rows), amounts)
        mixed += seen * _each(of_rows(shares[:, chain], rows))
    return mixed


def of_the_rows(transforms: Transforms, rows: Rows | None) -> Transforms:
    """Of the transforms of a batch, those of the rows that are read."""
    return Transforms(*(one if one is None else of_rows(one, rows) for one in transforms))


def _choices(shape, seed, number: int):
    """Whole numbers below `number`, each as likely."""
    return tf.random.stateless_uniform(shape, seed, 0, number, tf.int32)


def _each(amounts):
    """``[batch]`` as ``[batch, 1, 1, 1]``."""
    return amounts[:, tf.newaxis, tf.newaxis, tf.newaxis]


def _moved(transforms: Transforms, names: Sequence[str], chosen, strength, most_move: float) -> Transforms:
    """Transforms, each followed by the operation that is chosen for it, if that moves images.

    Args:
        transforms: of a batch.
        names: the operations.
        chosen: which of them, int32 ``[batch]``.
        strength: how strong, ``[batch]``, from -1 to 1.
        most_move: the share of the height or width that the strongest moves by.
    """

    def where(name: str, most: float):
        return tf.where_v2(tf.equal(chosen, names.index(name)), most * strength, 0.0)

    angle = where("rotate", math.radians(_DEGREES))
    cos, sin = tf.cos(angle), tf.sin(angle)
    down, right = [cos, where("shear_y", _SHEAR) - sin], [where("shear_x", _SHEAR) + sin, cos]
    then = tf.stack([tf.stack(down, axis=1), tf.stack(right, axis=1)], axis=1)
    move = tf.stack([where("move_y", most_move), where("move_x", most_move)], axis=1)
    mirror, shift, axes = transforms
    if axes is None:
        return Transforms(mirror, shift + move, then)
    shift += tf.reduce_sum(axes * move[:, tf.newaxis], axis=2)
    return Transforms(mirror, shift, tf.matmul(axes, then))


def _coloured(images, names: Sequence[str], chosen, amounts):
    """Images, each after the operation that is chosen for it, if that changes colours.

    Each operation gets the images that it is for, and no others.
    """
    for number, name in enumerate(names):
        if name in _MOVING or name == "none":
            continue
        places = tf.where_v2(tf.equal(chosen, number))
        amount = _each(tf.gather_nd(amounts[name], places)) if name in amounts else None
        changed = getattr(operations, name)(tf.gather_nd(images, places), amount)
        images = tf.tensor_scatter_nd_update(images, places, changed)
    return images
