"""Checks for training scripts, to call once: each turns a mistake that goes unnoticed into an error.

    slimft.check_update_ops(train_op)
    slimft.check_saver(saver)
    slimft.check_images(session.run(images), "vgg_16")
    slimft.check_inference(logits)                        # in the graph that evaluates

They look at the graph or at one batch and change nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from slimft.compat import tf
from slimft.compat.graphs import ancestors
from slimft.errors import DataError, UsageError

# Ops that hand a tensor on, between the moments of a batch and the normalization by them.
_PASSING = ("Add", "AddV2", "Cast", "Identity", "Merge", "Reshape", "Squeeze", "Switch")


def check_update_ops(train_op) -> None:
    """Checks that `train_op` also runs the update ops, which move batch_norm's averages.

    An update op may be left out where another one that runs updates the same variable, as with towers.

    Args:
        train_op: the op or tensor that trains, or all that is run at a step: a list of them.

    Raises:
        UsageError: some update op of the graph's collection UPDATE_OPS does not run.
    """
    graph = _ops(train_op)[0].graph
    updates = [getattr(update, "op", update) for update in graph.get_collection(tf.GraphKeys.UPDATE_OPS)]
    running = ancestors(_ops(train_op))
    updated = {_target(update) for update in updates if update in running}
    idle = [update.name for update in updates if update not in running and _target(update) not in updated]
    if idle:
        raise UsageError(
            f"train_op never runs {_first(idle, 'update op')}: batch_norm's moving averages stay as they are, and "
            "evaluation with them fails; write `with tf.control_dependencies(tf.get_collection("
            "tf.GraphKeys.UPDATE_OPS)):` and under it `train_op = optimizer.minimize(loss)`"
        )


def check_saver(saver: tf.train.Saver) -> None:
    """Checks that `saver` saves all of the graph's global variables, as going on from its checkpoint needs.

    A Saver knows the variables that there were when it was made: before `optimizer.minimize`, that is without
    the optimizer's slots. Not for a Saver that is only there to restore a pretrained network.

    Raises:
        UsageError: it leaves some out, is not built yet, or is of another graph.
    """
    if saver.saver_def is None:
        raise UsageError("the saver is not built yet (defer_build=True); call saver.build() first")
    try:
        last = tf.get_default_graph().get_tensor_by_name(saver.saver_def.save_tensor_name)
    except KeyError:
        raise UsageError("the saver belongs to another graph; check it inside `with graph.as_default():`") from None
    saving = ancestors([last.op])
    lost = [variable.op.name for variable in tf.global_variables() if variable.op not in saving]
    if lost:
        raise UsageError(
            f"the saver does not save {_first(lost, 'variable')}: a run cannot go on from its checkpoints; make it "
            "after the train op, saver = tf.train.Saver(), so that it sees the optimizer's variables too"
        )


def check_inference(outputs, feed_dict: Mapping | None = None) -> None:
    """Checks that no batch_norm layer that `outputs` depend on is in training mode.

    Such a layer normalizes with the evaluated batch itself, so that an image's result depends on its neighbours.

    Args:
        outputs: what is evaluated: a tensor, an op or a list of them.
        feed_dict: what evaluation feeds, where `is_training` is a tensor.

    Raises:
        UsageError: some layer is in training mode, or its mode cannot be told without `feed_dict`.
    """
    ops = _ops(outputs)
    layers: dict[str, list[tuple[tf.Tensor, bool]]] = {}
    for op in ancestors(ops):
        for conditions in _training_modes(op):
            layers[_layer_of(op)] = conditions
    deciding = {condition.ref(): condition for conditions in layers.values() for condition, _ in conditions}
    values = _values(list(deciding.values()), ops[0].graph, feed_dict)
    training = sorted(
        layer
        for layer, conditions in layers.items()
        if all(values[condition.ref()] == needed for condition, needed in conditions)
    )
    if training:
        raise UsageError(
            f"{_first(training, 'batch_norm layer')} would be evaluated in training mode, with the batch's own "
            "statistics; build the network with is_training=False, or feed False to its is_training"
        )


def check_images(images: np.ndarray, network: str, files: Sequence[str] | None = None, order: bool = True) -> None:
    """Checks a batch of real images, as they are fed to a network, against the preprocessing it was trained with.

    Whether they are in [0, 255], [0, 1] or [-1, 1], or had the means subtracted, is told by the smallest and the
    largest value. Whether they are BGR is told for certain only by the `files` that they were read from. Without,
    colours are a hint: in ImageNet's photographs red is 20 of 255 brighter than blue. If the batch clearly shows
    the reverse, by 10 at least and by three standard errors of its images, that is an error. So it needs 8
    images, better 32. What is blue by nature (sky, sea, stained cells) is taken for BGR: give `files`, or
    ``order=False``. BGR images with the means subtracted in that order too pass, and so do grey ones and, without
    `files`, those of CifarNet, each of which has a scale of its own.

    Args:
        images: ``[batch, height, width, 3]``, for LeNet of one channel, what the network gets:
            ``session.run(images, feed_dict)``.
        network: a network's name, see `slimft.nets.get_network`.
        files: the image files of the batch, in its order. The images may be cropped a little.
        order: whether to check the order of the colours.

    Raises:
        DataError: they are not what the network was trained with, or a file cannot be read.
        UsageError: there is no such network, or there are not as many files as images.
    """
    from slimft.nets import get_network

    spec = get_network(network)
    wanted, channels = spec.preprocessing, spec.channels
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[-1] != channels or not images.size:
        raise DataError(
            f"images have the shape {list(images.shape)}, {network} takes [batch, height, width, {channels}]"
        )
    values = images.astype(np.float32)
    bad = np.flatnonzero(~np.isfinite(values).all(axis=(1, 2, 3)))
    if len(bad):
        raise DataError(f"image {bad[0]} of the batch has values that are not finite, and {len(bad) - 1} more have")
    scale, faults = _scale_of(values), []
    if scale != _RANGE_OF.get(wanted, wanted):
        faults.append(f"are {_MEANING[scale]}, {network} was trained on {_MEANING[wanted]}")
    order = order and channels == 3
    if files is not None:
        if order and _is_bgr(values, files):
            faults.append("are BGR")
    elif order and _looks_bgr(values, scale):
        faults.append("look like BGR (if they are blue by nature, give files= to be sure, or order=False)")
    if faults:
        raise DataError(f"images {' and '.join(faults)}; give it {_RIGHT[wanted]}")


_MEANING = {
    "bytes": "in [0, 255] with no mean subtracted",
    "unit": "in [0, 1]",
    "inception": "in [-1, 1]",
    "mean_subtraction": "in [0, 255] minus the ImageNet means",
    "densenet": "in [0, 255] minus the ImageNet means, times 0.017",
    "lenet": "grey in [-1, 1]",
    "cifarnet": "of mean 0 and deviation 1 each",
    "unknown": "in none of the usual ranges",
}
_RIGHT = {
    "mean_subtraction": "RGB in [0, 255] minus (123.68, 116.78, 103.94)",
    "inception": "RGB in [-1, 1]: pixels * (2 / 255) - 1",
    "densenet": "RGB in [0, 255] minus (123.68, 116.78, 103.94), times 0.017",
    "lenet": "grey in [-1, 1], of one channel: (pixels - 128) / 128",
    "cifarnet": "RGB, each image with its mean subtracted and by its deviation: tf.image.per_image_standardization",
}
# Of what cannot be told from another by its values: its key there.
_RANGE_OF = {"lenet": "inception"}


def _scale_of(values: np.ndarray) -> str:
    """Which key of `_MEANING` fits each image's mean and deviation, or the smallest and the largest value."""
    means, deviations = values.mean(axis=(1, 2, 3)), values.std(axis=(1, 2, 3))
    if (np.abs(means) < 0.01).all() and (np.abs(deviations - 1) < 0.01).all():
        return "cifarnet"
    low, high = float(values.min()), float(values.max())
    rounding = 1e-3  # Of what interpolation may add to a range.
    if low >= -rounding:
        return "unit" if high <= 1 + rounding else "bytes" if high <= 255.5 else "unknown"
    if low >= -1 - rounding and high <= 1 + rounding:
        return "inception"
    if low >= -2.2 and high <= 2.7:
        return "densenet"
    # Pixels minus the means are in [-124, 152]; distorted colours may leave that.
    return "mean_subtraction" if low >= -300 and high <= 300 else "unknown"


def _is_bgr(values: np.ndarray, files: Sequence[str]) -> bool:
    """Whether the colours of the images run against those of the files they are of."""
    from PIL import Image

    from slimft.data.images import read_image

    if len(files) != len(values):
        raise UsageError(f"there are {len(values)} images and {len(files)} files; give the files of this batch")
    height, width = values.shape[1:3]
    theirs = np.stack(
        [np.asarray(Image.fromarray(read_image(file)).resize((width, height)), np.float32) for file in files]
    )
    ours, theirs = values[..., 0] - values[..., 2], theirs[..., 0] - theirs[..., 2]
    ours, theirs = ours - ours.mean(), theirs - theirs.mean()
    return float((ours * theirs).sum()) < -0.2 * np.sqrt(float((ours**2).sum()) * float((theirs**2).sum()))


def _looks_bgr(values: np.ndarray, scale: str) -> bool:
    """Whether the first colour is clearly the darkest as blue is, and not the brightest as red is."""
    from slimft.data.preprocessing import DENSENET_SCALE, RGB_MEANS

    if len(values) < 8 or scale in ("cifarnet", "unknown"):
        return False
    unit = {"unit": 255, "inception": 127.5, "densenet": 1 / DENSENET_SCALE}.get(scale, 1)
    subtracted = RGB_MEANS[0] - RGB_MEANS[2] if scale in ("mean_subtraction", "densenet") else 0
    differences = (values[..., 0] - values[..., 2]).mean(axis=(1, 2)) * unit + subtracted
    mean, error = differences.mean(), differences.std(ddof=1) / np.sqrt(len(differences))
    return mean < -10 and mean + 3 * error < 0


def _ops(fetches) -> list[tf.Operation]:
    """The ops of a tensor, an op, or a list of them."""
    fetches = fetches if isinstance(fetches, (list, tuple)) else [fetches]
    ops = [getattr(fetch, "op", fetch) for fetch in fetches]
    if not ops or not all(isinstance(op, tf.Operation) for op in ops):
        raise UsageError(f"{fetches!r} are not tensors or ops of a graph")
    return ops


def _target(update: tf.Operation):
    """The variable's op that an assignment changes; another op stands for itself."""
    return update.inputs[0].op if update.inputs and update.type.startswith("Assign") else update


def _training_modes(op: tf.Operation) -> Iterator[list[tuple[tf.Tensor, bool]]]:
    """For an op that normalizes with the batch's statistics: the conditions under which it does.

    The fused kernel says so itself. Of `tf.nn.batch_normalization` the variance tells: it comes from a mean along
    the batch. (layer_norm's does not run along the batch.)
    """
    if op.type.startswith("FusedBatchNorm") and "Grad" not in op.type and op.get_attr("is_training"):
        yield _condition(op.inputs[0])
    elif op.type == "Rsqrt" and op.name.rsplit("/", 2)[-2:-1] == ["batchnorm"]:
        ahead = [(op.inputs[0], [])]
        while ahead:
            tensor, conditions = ahead.pop()
            conditions = conditions + _condition(tensor)
            if tensor.op.type == "Mean":
                axes = tf.get_static_value(tensor.op.inputs[1])
                if axes is not None and 0 in np.atleast_1d(axes):
                    yield conditions
            elif tensor.op.type in _PASSING:
                # Of a Switch only the first input is handed on.
                inputs = tensor.op.inputs[:1] if tensor.op.type == "Switch" else tensor.op.inputs
                ahead += [(each, conditions) for each in inputs]


def _condition(tensor: tf.Tensor) -> list[tuple[tf.Tensor, bool]]:
    """The condition of a tensor that enters a branch of `tf.cond`: its predicate and what it has to be."""
    if tensor.op.type != "Switch":
        return []
    predicate = tensor.op.inputs[1]
    while predicate.op.type in ("Identity", "Switch"):  # Inside of tf.cond it cannot be fetched.
        predicate = predicate.op.inputs[0]
    return [(predicate, tensor.value_index == 1)]


def _layer_of(op: tf.Operation) -> str:
    """The name of the layer an op belongs to: the scopes around it less those of its implementation."""
    parts = op.name.split("/")[:-1]
    while len(parts) > 1 and (parts[-1].startswith("cond") or parts[-1] == "batchnorm"):
        parts.pop()
    return "/".join(parts)


def _values(tensors: list[tf.Tensor], graph: tf.Graph, feed_dict) -> dict:
    if not tensors:
        return {}
    with tf.Session(graph=graph) as session:
        try:
            return dict(zip((tensor.ref() for tensor in tensors), session.run(tensors, feed_dict)))
        except tf.errors.InvalidArgumentError:
            raise UsageError(
                "is_training is a tensor of unknown value; pass the feed_dict of evaluation, {is_training: False}"
            ) from None


def _first(names: list[str], kind: str) -> str:
    more = len(names) - 1
    return f"{kind} {names[0]}" + (f" and {more} more" if more else "")
