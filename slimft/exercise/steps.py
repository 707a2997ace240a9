"""What a step is: an experiment, the flags that make it, and the checkpoints that it can start from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from slimft.nets import get_network

Flags = Mapping[str, Any]

_DIGITS = 1293

# For everyone, on two cores: minutes a step. For whoever has a GPU: the course's own parameters. For a look at
# whether everything works: seconds a step.
SCALES: Mapping[str, Flags] = {
    "small": {"image_size": 32, "batch_size": 64, "epochs": 4, "train_examples": 10_000},
    "course": {
        "image_size": 224, "batch_size": 100, "epochs": 3, "optimizer": "adam", "learning_rate": 0.001,
        "schedule": "fixed", "warmup_epochs": 0, "lr_multiplier": (),
    },
    "smoke": {"image_size": 32, "batch_size": 8, "steps": 3, "train_examples": 64},
}  # fmt: skip
# Images with masks: what is above has sizes and rates of classification.
_OF_MASKS: Mapping[str, Flags] = {
    "small": {"image_size": 160, "batch_size": 2, "steps": 300, "fc_width": 512, "longest_side": 256},
    "course": {"image_size": 320, "batch_size": 4, "epochs": 20},
    "smoke": {"image_size": 128, "batch_size": 2, "steps": 2, "fc_width": 64, "longest_side": 128},
}


@dataclasses.dataclass(frozen=True)
class Start:
    """What a step can start from.

    Attributes:
        checkpoint: a name that ``--checkpoint`` knows, or ``step:NAME`` for the run of another step.
        flags: what it changes of the step's flags.
        note: what is otherwise than the step says, for the table; empty for the checkpoint that the step is about.
        origin: of another step's run, the `tag` of what that started from.
    """

    checkpoint: str
    flags: Flags = dataclasses.field(default_factory=dict)
    note: str = ""
    origin: str = ""

    @property
    def tag(self) -> str:
        """What tells the directory of such a run from that of another; empty for what the step is about."""
        return self.origin or (self.checkpoint if self.note else "")

    @property
    def step(self) -> str | None:
        """The step whose run it is; None if it is a checkpoint."""
        return self.checkpoint.removeprefix("step:") if self.checkpoint.startswith("step:") else None


@dataclasses.dataclass(frozen=True)
class Published:
    """A figure that somebody published of such an experiment.

    Attributes:
        accuracy: it, in 0..1.
        of: of what.
        source: where.
    """

    accuracy: float
    of: str
    source: str


@dataclasses.dataclass(frozen=True, eq=False)
class Step:
    """An experiment.

    Attributes:
        name: its name, and its directory's.
        part: the key of the part that it belongs to, see `slimft.exercise.catalogue.PARTS`.
        title: what it is, in a few words.
        shows: what there is to see, and why it is so.
        flags: of ``bin/finetune``, in every scale.
        starts: what it can start from, the one that it is about first; empty for from nothing.
        scales: flags of single scales, above those of `SCALES`.
        segments: whether it is of images with masks.
        own_scale: whether `flags` say all, so that there is no scale.
        seeds: how often it is run, from ``--seed=0`` on.
        published: what others reached.
        chart: the curve, of the chart of image size and cost, that it is a point of; empty for none.
    """

    name: str
    part: str
    title: str
    shows: str
    flags: Flags
    starts: Sequence[Start] = ()
    scales: Mapping[str, Flags] = dataclasses.field(default_factory=dict)
    segments: bool = False
    own_scale: bool = False
    seeds: int = 1
    published: Published | None = None
    chart: str = ""

    def flags_for(self, scale: str, start: Start | None, dataset: str) -> dict[str, Any]:
        """All flags but for places: ``--checkpoint``, ``--data_dir``, ``--train_dir`` and ``--seed``.

        Args:
            scale: one of `SCALES`.
            start: what it starts from; None for nothing.
            dataset: the data of steps that classify, ``cifar10`` or ``digits``.
        """
        of_scale = (_OF_MASKS if self.segments else SCALES)[scale]
        data = "voc" if self.segments else dataset
        first = {name: self.flags[name] for name in ("model", "recipe") if name in self.flags}
        below = {} if self.own_scale else of_scale
        flags = {**first, "dataset": data, **below, **self.flags, **self.scales.get(scale, {})}
        flags |= start.flags if start else {}
        if scale == "smoke":
            flags |= of_scale
        if flags.get("steps") is not None:
            flags.pop("epochs", None)
        if data == "digits":  # There are 1,293 to train on.
            flags["train_examples"] = min(flags.get("train_examples") or _DIGITS, _DIGITS)
        if not self.segments:
            flags["image_size"] = max(flags["image_size"], get_network(flags["model"]).min_image_size)
        return {name: value for name, value in flags.items() if value is not None}
