"""Where in an image a network sees the class: Grad-CAM (Selvaraju et al. 2016, arXiv:1610.02391).

The last layer that still has height and width is a number of maps. How much a class's logit grows with each map, on
average over its places, is the map's weight; where the weighted sum of the maps is positive speaks for the class.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

import numpy as np

from slimft.checkpoint import Checkpoint
from slimft.compat import tf
from slimft.compat.graphs import ancestors, descendants
from slimft.data.preprocessing import preprocess, project
from slimft.errors import CheckpointError, UsageError
from slimft.inference import Network, find_network

# Layers that make classes of the last map, though they may have height and width themselves.
_BEHIND = re.compile(r"(fc\d+|[Ll]ogits|FC|head)(_\d+)?")
# So much smaller a gradient could not be told from 0 in half precision; a power of two changes nothing else.
_SCALE = 128.0
_LIKELIEST = -1


def last_map(images, logits):
    """The last layer of a network with a height and a width, through which all of it goes.

    A pooling that makes it smaller before fully connected layers is left out: of VGG it is the map before pool5, as
    in the paper.

    Args:
        images: what the network is computed from.
        logits: ``[batch, classes]``, computed from `images` in this graph.

    Returns:
        Float ``[batch, height, width, channels]``; None if there is none.
    """
    on_path = descendants([images.op]) & ancestors([logits.op], control_inputs=False) - {images.op}
    order = {op: number for number, op in enumerate(images.graph.get_operations())}
    ahead = {logits}
    while ahead:
        latest = max(ahead, key=lambda tensor: order[tensor.op])
        if len(ahead) == 1 and _is_map(latest):
            return latest
        ahead = {tensor for tensor in ahead if tensor.op is not latest.op}
        ahead |= {tensor for tensor in latest.op.inputs if tensor.op in on_path}
    return None


def _is_map(tensor) -> bool:
    shape = tensor.shape
    if shape.rank != 4 or not shape[1:].is_fully_defined() or shape[1] * shape[2] < 2:
        return False
    is_behind = any(map(_BEHIND.fullmatch, tensor.op.name.split("/")))
    return not is_behind and tensor.op.type != "MaxPool"


def grad_cam(logits, feature_map, classes):
    """Where a feature map speaks for a class of each image.

    Args:
        logits: float ``[batch, classes]``, computed from `feature_map`, of each image by itself.
        feature_map: float ``[batch, height, width, channels]``.
        classes: int ``[batch]``.

    Returns:
        float32 ``[batch, height, width]``, 0 or more, of no particular scale.
    """
    chosen = tf.reduce_sum(tf.gather(logits, classes, axis=1, batch_dims=1))
    (gradient,) = tf.gradients(chosen * _SCALE, [feature_map])
    if gradient is None:
        gradient = tf.zeros_like(feature_map)
    weights = tf.reduce_mean(tf.cast(gradient, tf.float32), axis=[1, 2], keepdims=True)
    return tf.nn.relu(tf.reduce_sum(weights * tf.cast(feature_map, tf.float32), axis=3))


class Centres(NamedTuple):
    """Which place of an image each place of a map is about: ``scale * i + offset``, by rows and columns.

    Places are counted from the middles of the first pixels.
    """

    scale: tuple[float, float]
    offset: tuple[float, float]


def centres(images, feature_map) -> Centres:
    """Where in the images the places of a map look, on average over the ways that lead there.

    They are not spread evenly over the image: with TensorFlow's padding, which has more at the end, each layer of
    stride 2 looks half a pixel further to the end. After the five of MobileNet that is half of a place of the map.

    Args:
        images: ``[batch, height, width, 3]``.
        feature_map: ``[batch, rows, columns, channels]``, computed from them by layers of known sizes.
    """
    found = {images: Centres((1.0, 1.0), (0.0, 0.0))}
    on_path = descendants([images.op]) & ancestors([feature_map.op], control_inputs=False)
    for op in images.graph.get_operations():
        before = [tensor for tensor in op.inputs if tensor in found] if op in on_path else []
        of_each = [_behind(op, tensor, found[tensor]) for tensor in before]
        if of_each:
            scale, offset = (tuple(np.mean(one, axis=0).tolist()) for one in zip(*of_each))
            maps = (tensor for tensor in op.outputs if tensor.shape.rank == 4)
            found |= dict.fromkeys(
                (one for one in maps if one.shape[1:3].is_fully_defined()), Centres(scale, offset)
            )
    return found[feature_map]


def _behind(op: tf.Operation, tensor, before: Centres) -> Centres:
    """The centres of what an op makes of a tensor."""
    sizes, made = (
        tensor.shape.as_list()[1:3],
        op.outputs[0].shape.as_list() if op.outputs[0].shape.rank == 4 else None,
    )
    if made is None:
        return before
    attributes, scale, offset = op.node_def.attr, list(before.scale), list(before.offset)
    for axis, (size, result) in enumerate(zip(sizes, made[1:3])):
        # Of an op that is not known: evenly spread.
        step = size / result if result else 1.0
        first = (step - 1) / 2
        if op.type in ("Conv2D", "DepthwiseConv2dNative", "MaxPool", "AvgPool"):
            step = attributes["strides"].list.i[1 + axis]
            pools = "ksize" in attributes
            taps = attributes["ksize"].list.i[1 + axis] if pools else op.inputs[1].shape.as_list()[axis]
            taps = (taps - 1) * (1 if pools else (*attributes["dilations"].list.i, 1, 1, 1)[1 + axis]) + 1
            padding = max((result - 1) * step + taps - size, 0) // 2 if attributes["padding"].s == b"SAME" else 0
            first = (taps - 1) / 2 - padding
        elif op.type in ("Pad", "PadV2", "MirrorPad"):
            paddings = tf.get_static_value(op.inputs[1])
            step, first = 1.0, (-float(paddings[1 + axis][0]) if paddings is not None else first)
        offset[axis] += scale[axis] * first
        scale[axis] *= step
    return Centres((scale[0], scale[1]), (offset[0], offset[1]))


def enlarged(heat, places: Centres, size: int):
    """Heat maps as large as their images, linear between the places that they are about.

    Args:
        heat: float ``[batch, rows, columns]``.
        places: what these are about.
        size: height and width of the images.

    Returns:
        Float ``[batch, size, size]``.
    """
    (down, right), (top, left) = places
    zeros = tf.zeros([tf.shape(heat)[0]])
    columns = [zeros + 1 / right, zeros, zeros - left / right]
    rows = [zeros, zeros + 1 / down, zeros - top / down]
    return project(heat[..., tf.newaxis], [*columns, *rows], [size, size])[..., 0]


class Explainer:
    """A classifier with a checkpoint's variables that shows where it sees a class; a context manager.

    What is not given comes from the run that the checkpoint is of, if it is of one.

    Args:
        model, checkpoint, image_size, precision, head, averages, train_dir, labels: as of
            `slimft.inference.find_network`. Without a run, the image size is by default the network's own.

    Attributes:
        network: what was chosen.

    Raises:
        UsageError: the network is unknown, contradicts the run, says the class of each pixel, or has no layer
            with height and width before its logits.
        CheckpointError, DataError, RestoreError: as of `slimft.Classifier`.
    """

    def __init__(
        self,
        model: str | None = None,
        checkpoint: Checkpoint | str | os.PathLike | None = None,
        image_size: int | None = None,
        precision: str | None = None,
        head: str | None = None,
        averages: bool | None = None,
        train_dir: str | os.PathLike | None = None,
        labels: str | os.PathLike | None = None,
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
        self._start(network)

    @classmethod
    def of(cls, network: Network) -> Explainer:
        """The explainer of a network that `find_network` found."""
        explainer = cls.__new__(cls)
        explainer._start(network)
        return explainer

    def _start(self, network: Network) -> None:
        name = network.spec.name
        if network.task.targets.is_map:
            raise UsageError(
                f"{name} says the class of each pixel, which its masks show; there is nothing to explain"
            )
        self.network = network = network.sized().measured(1)
        size = network.image_size
        with tf.Graph().as_default() as graph:
            tf.set_random_seed(0)  # As in evaluation.
            self._images = tf.placeholder(tf.float32, [None, None, None, 3], "images")
            self._classes = tf.placeholder(tf.int32, [None], "classes")
            pixels = preprocess(self._images, size, network.spec.preprocessing)
            logits, _ = network.architecture.build(pixels)
            found = last_map(pixels, logits)
            if found is None:
                raise UsageError(f"{name} at {size}x{size} has no layer with height and width that could be shown")
            self._map, self.map_name, self.map_shape = found, found.op.name, tuple(found.shape.as_list()[1:])
            likeliest = tf.argmax(logits, axis=1, output_type=tf.int32)
            chosen = tf.where_v2(self._classes < 0, likeliest, self._classes)
            heat = grad_cam(logits, found, chosen)
            heat = enlarged(heat, centres(pixels, found), size)
            most = tf.reduce_max(heat, axis=[1, 2], keepdims=True)
            self._heat = heat / tf.where_v2(most > 0, most, 1.0)
            self._session = network.session()
            graph.finalize()

    @property
    def image_size(self) -> int:
        """Height and width the network gets, in pixels."""
        return self.network.image_size

    def __repr__(self) -> str:
        height, width, channels = self.map_shape
        return f"<Explainer: {self.network.describe()}; {self.map_name}, {height}x{width}x{channels}>"

    def __enter__(self) -> Explainer:
        return self

    def __exit__(self, *exception) -> None:
        self.close()

    def close(self) -> None:
        """Ends the session, and frees its memory."""
        self._session.close()

    def explain(self, images: np.ndarray, classes: np.ndarray | int | None = None) -> np.ndarray:
        """Shows where the network sees a class in each image.

        Args:
            images: ``[batch, height, width, 3]``, RGB in 0..255; of another size than the network's, they are
                resized as in evaluation.
            classes: the index of the class's logit, one for all or ``[batch]``, or ``[batch, n]`` for several of
                each image; None for its likeliest.

        Returns:
            float32 ``[batch, image_size, image_size]``, from 0 to 1, which is where most speaks for the class; all
            0 where nothing does. With several classes ``[batch, n, image_size, image_size]``.

        Raises:
            ValueError: there is no such class.
            CheckpointError: what the network computes is not finite.
        """
        several = np.ndim(classes) == 2
        wanted = np.full(np.shape(classes) if several else (len(images), 1), _LIKELIEST, np.int32)
        if classes is not None:
            wanted[:] = classes if several else np.reshape(classes, (-1, 1))
            if wanted.size and not 0 <= wanted.min() <= wanted.max() < self.network.num_classes:
                raise ValueError(f"classes={classes!r:.80}: there are {self.network.num_classes}")
        if not wanted.size:
            return np.zeros([*(wanted.shape if several else wanted.shape[:1]), *[self.image_size] * 2], np.float32)
        # Once for all classes: what follows from the map is the smaller part.
        maps = self._session.run(self._map, {self._images: images})
        heat = [self._session.run(self._heat, {self._map: maps, self._classes: one}) for one in wanted.T]
        heat = np.stack(heat, axis=1) if several else heat[0]
        if not np.isfinite(heat).all():
            path = self.network.checkpoint.path
            raise CheckpointError(f"{path}: the heat map is not finite; nor are its weights")
        return heat
