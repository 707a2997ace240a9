"""What a checkpoint needs to be used as it was trained, and the network that is built and restored with it.

Evaluation and prediction, as commands and in Python, decide here. Of a checkpoint in the directory of a run of
bin/finetune, the run's files tell the network, image size, head and class names; of any other, its names and the
arguments do. `find_network` needs no TensorFlow; what it returns builds and restores the network.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from slimft.checkpoint import Checkpoint, open_checkpoint
from slimft.checkpoint.averages import averaged, has_averages
from slimft.checkpoint.dtypes import is_float
from slimft.checkpoint.locate import latest_in_state
from slimft.conversion import conversion_advice
from slimft.data.class_names import IMAGENET_CLASSES, LABELS_FILE, ClassNames, imagenet_class_names, read_labels
from slimft.errors import CheckpointError, DataError, UsageError
from slimft.filters import compile_pattern
from slimft.local_paths import check_local
from slimft.messages import say
from slimft.nets import NetworkSpec, get_network
from slimft.nets.heads import HEAD_SCOPE
from slimft.runs.directory import BEST
from slimft.runs.of_checkpoint import file_of, is_run, run_folders, run_of
from slimft.runs.settings import Settings
from slimft.runs.settings_file import SETTINGS_FILE, load_settings
from slimft.tasks import Task, get_task

if TYPE_CHECKING:
    from slimft.compat import tf


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A network from images to outputs.

    Attributes:
        spec: the network.
        num_classes: number of classes.
        image_size: height and width it gets, in pixels.
        head: what stands at its end, one of `slimft.nets.HEADS`.
        precision, float32_variables, options: as of `NetworkSpec.build`.
    """

    spec: NetworkSpec
    num_classes: int
    image_size: int
    head: str = "linear"
    precision: str = "float32"
    float32_variables: bool = True
    options: Mapping[str, object] = dataclasses.field(default_factory=dict)

    @property
    def task(self) -> Task:
        """What it is for."""
        return get_task(self.spec.task_of(self.head))

    def outputs(self, images):
        """Adds the network to the current graph, in inference mode; see `slimft.nets.folding` for how.

        Args:
            images: tensor ``[batch, height, width, 3]``, RGB in 0..255, uint8 or float32.

        Returns:
            What the head makes of them: logits, float32 ``[batch, num_classes]`` or, for a segmentation, which sees
            images at their own size, ``[batch, height, width, num_classes]``.
        """
        from slimft.compat import tf
        from slimft.data.preprocessing import preprocess, preprocess_whole
        from slimft.nets.folding import folded_batch_norm

        with folded_batch_norm(self.precision):
            if not self.task.targets.is_map:
                return self.build(preprocess(images, self.image_size, self.spec.preprocessing))[0]
            outputs, _ = self.build(preprocess_whole(images, self.spec.min_image_size, self.spec.preprocessing))
        height, width = tf.unstack(tf.shape(images)[1:3])
        return outputs[:, :height, :width]

    def build(self, pixels):
        """Adds the network to the current graph, in inference mode.

        Args:
            pixels: float tensor, preprocessed, as of `NetworkSpec.build`.

        Returns:
            As `NetworkSpec.build`.
        """
        return self.spec.build(
            pixels,
            self.num_classes,
            is_training=False,
            head=self.head,
            precision=self.precision,
            float32_variables=self.float32_variables,
            options=self.options,
        )


@dataclasses.dataclass(frozen=True)
class Network:
    """A network with a checkpoint, and how the two are used; made by `find_network`.

    Attributes:
        spec: the network.
        checkpoint: what is restored: with moving averages in place of the variables, if `averages`.
        image_size: height and width the network gets, in pixels; None where it depends on the data: see `sized`.
        size_from: where that comes from, for a message.
        head: what stands at the network's end, one of `slimft.nets.HEADS`.
        averages: whether the moving averages of the variables are used.
        precision: the floats it computes in, one of `slimft.runs.settings.PRECISIONS`; ``auto``: see `measured`.
        classes: the classes and their names.
        run: the directory of the run that the checkpoint is used as one of; None if it is of no run.
        settings: the run's settings; None without a run.
        notes: lines on what was chosen, and what is unusual.
        options: of the network's function, as of `NetworkSpec.build`.
    """

    spec: NetworkSpec
    checkpoint: Checkpoint
    image_size: int | None
    size_from: str
    head: str
    averages: bool
    precision: str
    classes: ClassNames
    run: pathlib.Path | None
    settings: Settings | None
    notes: tuple[str, ...]
    options: Mapping[str, object] = dataclasses.field(default_factory=dict)

    @property
    def task(self) -> Task:
        """What it is for."""
        return get_task(self.spec.task_of(self.head))

    @property
    def num_classes(self) -> int:
        return self.classes.num_classes

    @property
    def known_class_names(self) -> tuple[str, ...] | None:
        """The classes' names; None where nothing tells, or they are ImageNet's only by their number."""
        return None if self.classes.first_imagenet_class is not None else self.classes.names

    def sized(self, suggested: int | None = None) -> Network:
        """The network with an image size, where neither an argument nor the run tells it.

        Args:
            suggested: the size that the data suggests; None for the network's own.
        """
        if self.image_size is not None:
            return self
        size, origin = self.spec.suggested_size(suggested), "the data's"
        if size is None:
            size, origin = self.spec.default_image_size, "the network's own"
        return dataclasses.replace(self, image_size=size, size_from=origin)

    @property
    def is_plain(self) -> bool:
        """Whether it is an ImageNet network at its own size: nothing was chosen that is worth a line."""
        plain_size = self.image_size == self.spec.default_image_size
        of_imagenet = self.classes.first_imagenet_class is not None
        return of_imagenet and plain_size and self.run is None and not (self.averages or self.notes)

    def describe(self) -> str:
        """One line: what is used, and that it is as in the run, or that there is none."""
        size = f"image size {self.image_size}" + (f" ({self.size_from})" if self.size_from else "")
        chosen = [f"{name} {value}" for name, value in self.options.items() if value]
        parts = [
            f"{self.spec.name}, {'whole images' if self.task.targets.is_map else size}",
            *chosen,
            f"head {self.head}",
            f"{self.num_classes} classes (names: {self.classes.source})",
        ]
        if self.averages:
            parts.append("the weights' moving averages")
        if self.precision != "float32":
            parts.append(self.precision)
        origin = f"as in the run {self.run}" if self.run else "the checkpoint is in no run's directory"
        return f"{', '.join(parts)}: {origin}"

    def say(self) -> None:
        """Says what is used, on standard error."""
        for line in (self.describe(), *self.notes):
            say(line)

    @property
    def architecture(self) -> Architecture:
        """The network without its checkpoint; it has to be `sized` and `measured`."""
        return Architecture(
            self.spec,
            self.num_classes,
            self.image_size,
            self.head,
            self.precision,
            float32_variables=False,
            options=self.options,
        )

    def measured(self, batch_size: int) -> Network:
        """The network with the precision that is fastest on this machine, if it is ``auto``; it has to be `sized`.

        Args:
            batch_size: images at a time.
        """
        if self.precision != "auto":
            return self
        from slimft.precision_choice import choose_precision

        of = {
            "trains": None,
            "network": self.spec.name,
            "head": self.head,
            "classes": self.num_classes,
            "image_size": self.image_size,
            "batch_size": batch_size,
            **{name: value for name, value in self.options.items() if value},
        }
        precision, note = choose_precision(of, lambda one: self._seconds_of(one, batch_size))
        return dataclasses.replace(self, precision=precision, notes=(*self.notes, *([note] if note else [])))

    def _seconds_of(self, precision: str, batch_size: int) -> float:
        """The shortest time of a few batches, with variables that are not restored."""
        from slimft.compat import tf
        from slimft.precision_choice import shortest_time
        from slimft.session import initialize, session_config

        images = np.full([batch_size, self.image_size, self.image_size, 3], 128, np.uint8)
        with tf.Graph().as_default(), tf.Session(config=session_config()) as session:
            tf.set_random_seed(0)
            fed = tf.placeholder(tf.uint8, images.shape)
            outputs = dataclasses.replace(self.architecture, precision=precision).outputs(fed)
            initialize(session, tf.global_variables())
            return shortest_time(lambda number: session.run(outputs, {fed: images}))

    def session(self) -> tf.Session:
        """A session of the current graph, which the caller closes, in which the network is restored.

        Raises:
            RestoreError: the checkpoint does not fit the network.
            CheckpointError: it cannot be read.
        """
        from slimft.compat import tf
        from slimft.restore import plan_restore
        from slimft.session import session_config

        plan = plan_restore(self.checkpoint, cast=True)
        plan.check(can_exclude=False)
        session = tf.Session(config=session_config())
        try:
            plan.apply(session)
        except BaseException:
            session.close()
            raise
        return session


def find_network(
    model: str | None = None,
    checkpoint: Checkpoint | str | os.PathLike | None = None,
    *,
    train_dir: str | os.PathLike | None = None,
    image_size: int | None = None,
    head: str | None = None,
    averages: bool | None = None,
    precision: str | None = None,
    labels: str | os.PathLike | None = None,
) -> Network:
    """Decides how a checkpoint is used; builds nothing and reads no variable.

    What is not given comes from the run that the checkpoint is of, or else from the checkpoint.

    Args:
        model: name of the network; None for the run's.
        checkpoint: what `slimft.open_checkpoint` takes; None for what the run in `train_dir` ended with. Without
            `train_dir`, the directory of a run stands for what that run ended with too; with it, for the newest.
        train_dir: the directory of a run, or its ``best``; None for the one that `checkpoint` lies in, if any.
        image_size: height and width the network gets, in pixels.
        head: what stands at the network's end, one of `slimft.nets.HEADS`.
        averages: whether to use the checkpoint's moving averages of the variables; None for where it has them.
        precision: the floats it computes in, one of `slimft.runs.settings.PRECISIONS`; None for the run's, or
            float32.
        labels: a file that `read_labels` takes, with the classes' names.

    Raises:
        UsageError: an argument is missing, contradicts the run or cannot work.
        CheckpointError: the checkpoint is missing, unreadable, without the network's last layer, or without moving
            averages.
        DataError: the class names cannot be read, or are not as many as the classes.
    """
    given = {"model": model, "checkpoint": checkpoint, "train_dir": train_dir, "labels": labels}
    for name, value in given.items():
        if isinstance(value, str) and not value:
            raise UsageError(f"--{name}= is empty; give it a value, or leave it out")
        check_local(value, f"--{name}")
    if checkpoint is None and train_dir is None:
        missing = "model" if model is None else "checkpoint"
        raise UsageError(f"--{missing} is missing; give it, or --train_dir of a run of bin/finetune")
    run, opened, note = _find_checkpoint(checkpoint, train_dir)
    settings = None if run is None else load_settings(run)
    if settings and model not in (None, settings.model):
        raise UsageError(
            f"--model={model}: {opened.path} is of a run of {settings.model} ({run / SETTINGS_FILE}); leave out "
            "--model, or move the checkpoint out of the run's directory if it is no part of it"
        )
    if settings is None and model is None:
        raise UsageError("--model is missing; give it, or --train_dir of a run of bin/finetune")
    spec = get_network(settings.model if settings else model)
    notes = [note]
    size_from, told = "", image_size
    if settings and settings.image_size is not None:
        if image_size not in (None, settings.image_size):
            size_from = f"the run's is {settings.image_size}"
        image_size = image_size or settings.image_size
    if image_size is not None:
        spec.check_image_size(image_size)
    if told is not None and spec.task == "segmentation":
        raise UsageError(f"--image_size={told}: {spec.name} sees images whole; leave it out (see --longest_side)")
    has = has_averages(opened)
    if settings and settings.ema and not has:
        notes.append(f"{opened.path} lacks the moving averages of the run (--ema): its weights themselves are used")
    averages = has if averages is None else averages
    used = averaged(opened) if averages else opened
    head = head or (settings.head if settings else head_of(used))
    if settings is None:
        _check_it_is_whole(used, spec, head)
    classes = find_class_names(used, logits_scope(spec, head), labels, run)
    return Network(
        spec=spec,
        checkpoint=used,
        image_size=image_size,
        size_from=size_from,
        head=head,
        averages=averages,
        precision=precision or _precision_of(settings),
        classes=classes,
        run=run,
        settings=settings,
        notes=tuple(filter(None, [*notes, _note_on_casting(used, spec, head)])),
        options=settings.network_options() if settings else options_of(used, spec),
    )


def _check_it_is_whole(checkpoint: Checkpoint, spec: NetworkSpec, head: str) -> None:
    """Raises CheckpointError if a checkpoint with a head ends before its network: where, only its run tells."""
    if head == "linear" or not spec.final_endpoints:
        return
    names = {*checkpoint, *checkpoint.aliases()}
    last = compile_pattern(spec.top_scopes[-1])
    if any(map(spec.has, names)) and not any(map(last.fullmatch, names)):
        raise CheckpointError(
            f"{checkpoint.path} has nothing in {spec.top_scopes[-1]}, as of a run with --final_endpoint: which, "
            "only the run tells; give its --train_dir too"
        )


def options_of(checkpoint: Checkpoint, spec: NetworkSpec) -> dict[str, object]:
    """The options of a network by the shapes of a checkpoint's variables, as far as these tell them."""
    names = {**{name: name for name in checkpoint}, **checkpoint.aliases()}

    def side_of(name: str) -> int | None:
        shape = checkpoint.shape(names[name]) if name in names else ()
        return shape[0] if shape else None

    found: dict[str, object] = {}
    width, taps = side_of(f"{spec.scope}/fc6/biases"), side_of(f"{spec.scope}/upscore/up_filter")
    if "fc_width" in spec.options and width:
        found["fc_width"] = width
    if "output_stride" in spec.options and taps:
        found["output_stride"] = (taps + 1) // 2  # See `slimft.nets.fcn.enlarge`.
    return found


def _precision_of(settings: Settings | None) -> str:
    """That of a run, which keeps what ``auto`` came to; float32 without one."""
    return "float32" if settings is None or settings.precision == "auto" else settings.precision


def _find_checkpoint(checkpoint, train_dir) -> tuple[pathlib.Path | None, Checkpoint, str | None]:
    """The run, the checkpoint and a line on how it was chosen."""
    if train_dir is None:
        folder = None if isinstance(checkpoint, Checkpoint) else pathlib.Path(checkpoint).expanduser()
        if folder is None or not is_run(folder):
            opened = open_checkpoint(checkpoint)
            run = run_of(opened)
            return run, opened, run and _note_on_checkpoint(run, opened)
        train_dir, checkpoint = folder, None
    train_dir = pathlib.Path(train_dir).expanduser()
    run = train_dir
    if not is_run(train_dir) and run_of(train_dir) is not None:  # The folder of its best checkpoint.
        run, checkpoint = run_of(train_dir), train_dir if checkpoint is None else checkpoint
    settings = load_settings(run)
    if checkpoint is None:
        opened = open_checkpoint(settings.final_checkpoint())
        return run, opened, _note_on_checkpoint(run, opened) + ", which the run ended with"
    opened = open_checkpoint(checkpoint)
    other = run_of(opened)
    if other is None:
        return run, opened, f"checkpoint {opened.path}: not in the run's directory, but used as the run's"
    if not os.path.samefile(run, other):
        raise UsageError(
            f"--checkpoint={opened.path} is of the run in {other}, not of that in --train_dir={train_dir}; leave "
            "one of them out"
        )
    return run, opened, _note_on_checkpoint(run, opened)


def _note_on_checkpoint(run: pathlib.Path, opened: Checkpoint) -> str:
    """A line that says whether the checkpoint is the run's best or its newest."""
    said = f"checkpoint {opened.path}"
    folders = {os.path.dirname(path) for path in (file_of(opened.path), os.path.realpath(file_of(opened.path)))}
    if os.path.realpath(run / BEST) in map(os.path.realpath, folders):
        return f"{said}: the best in validation"
    newest = latest_in_state(run)
    if newest is None:
        return said
    is_newest = pathlib.Path(newest).name == pathlib.Path(opened.path).name
    return f"{said}: the newest" if is_newest else f"{said}: not the newest, which is {newest}"


def _note_on_casting(checkpoint: Checkpoint, spec: NetworkSpec, head: str) -> str | None:
    """A line if the network's variables are no float32 in the checkpoint."""
    of_head = tuple(f"{scope}/" for scope in spec.head_scopes(head))
    dtypes = {checkpoint.dtype(name) for name in checkpoint if spec.has(name) or name.startswith(of_head)}
    others = sorted(str(dtype) for dtype in dtypes if is_float(dtype) and dtype != np.float32)
    return f"{checkpoint.path} holds {' and '.join(others)}, which is converted to float32" if others else None


def logits_scope(spec: NetworkSpec, head: str) -> str:
    """The scope of the layer that makes the logits; its weights tell the number of classes."""
    return spec.logits_scopes[0] if head == "linear" else f"{HEAD_SCOPE}/logits"


def head_of(checkpoint: Checkpoint) -> str:
    """Which head of `slimft.nets.HEADS` a checkpoint has, by its names; ``linear`` where there is no other."""
    names = {*checkpoint, *checkpoint.aliases()}
    if not any(name.startswith(f"{HEAD_SCOPE}/logits/") for name in names):
        return "linear"
    return "bn_mlp" if any(name.startswith(f"{HEAD_SCOPE}/BatchNorm/") for name in names) else "mlp"


def count_classes(checkpoint: Checkpoint, logits_scope: str) -> int:
    """The number of classes, by the shape of the last layer's weights.

    Raises:
        CheckpointError: there are none in `logits_scope`.
    """
    names = {**{name: name for name in checkpoint}, **checkpoint.aliases()}
    for full_name, name in names.items():
        if full_name.startswith(f"{logits_scope}/") and full_name.endswith("/weights") and checkpoint.shape(name):
            return checkpoint.shape(name)[-1]
    scopes = ", ".join(list(dict.fromkeys(name.split("/")[0] for name in names if "/" in name))[:4])
    advice = conversion_advice(checkpoint) or "choose the model to match, or a checkpoint with its last layer"
    raise CheckpointError(
        f"{checkpoint.path} has no {logits_scope}/.../weights, which give the number of classes (it has "
        f"{scopes or 'no scopes'}); {advice}"
    )


def find_class_names(
    checkpoint: Checkpoint,
    logits_scope: str,
    labels: str | os.PathLike | None = None,
    run: str | os.PathLike | None = None,
) -> ClassNames:
    """The classes of a checkpoint; never guessed for those of a training run.

    Args:
        checkpoint: the checkpoint.
        logits_scope: scope of the network's last layer.
        labels: a file that `read_labels` takes; it comes first.
        run: the directory of a run of bin/finetune, whose ``labels.txt`` comes next. Another may lie beside the
            checkpoint, or in the directory above its ``best``. Where there is no run and none of these files, 1000
            classes are ImageNet's, and 1001 these behind a background class.

    Raises:
        CheckpointError: the checkpoint has no last layer.
        DataError: the file of labels cannot be read, or has more or fewer names than there are classes.
    """
    num_classes = count_classes(checkpoint, logits_scope)
    file = pathlib.Path(labels).expanduser() if labels else _labels_of(checkpoint, run)
    if file is not None:
        names = read_labels(file)
        if len(names) != num_classes:
            raise DataError(
                f"{file} has {len(names)} names, and {checkpoint.path} has {num_classes} classes; "
                "name each class, background too if it is one"
            )
        return ClassNames(num_classes, tuple(names), source=str(file))
    background = num_classes - IMAGENET_CLASSES
    if run is not None or background not in (0, 1):
        return ClassNames(num_classes)
    return ClassNames(num_classes, ("background",) * background + imagenet_class_names(), background, "ImageNet's")


def _labels_of(checkpoint: Checkpoint, run: str | os.PathLike | None) -> pathlib.Path | None:
    """The ``labels.txt`` of the run, or of the folder that `checkpoint` lies in, or None."""
    folders = run_folders(pathlib.Path(checkpoint.path).parent)[-1:]
    if run is not None:
        folders.insert(0, pathlib.Path(run))
    return next((folder / LABELS_FILE for folder in folders if os.path.lexists(folder / LABELS_FILE)), None)
