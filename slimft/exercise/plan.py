"""The runs of an exercise: each step's command and directory, what is done, and what fits into a time."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import shutil
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from slimft.errors import UsageError
from slimft.exercise.catalogue import find
from slimft.exercise.starts import Starts, checkpoint_of
from slimft.exercise.steps import Start, Step
from slimft.nets import get_network
from slimft.runs.directory import BEST, RESULT_FILE, steps_saved
from slimft.runs.settings import OF_THE_DISK, Settings
from slimft.runs.settings_file import SETTINGS_FILE, flags_of, read_settings
from slimft.training.completion import complete

# What a run may have otherwise and still be that of the step: where things are, and what it found out by itself.
_OF_NO_CONSEQUENCE = (*OF_THE_DISK, "data_dir", "checkpoint", "averages", "precision", "grey_bits")
# GFLOPs a second on two cores, in training, until some run has told; seconds to start and to end.
_RATE, _SECONDS_AROUND, _LEAST_SECONDS = 200.0, 30.0, 120.0
# What training VGG's fully connected layers, 119 million weights, takes an image, in GFLOPs.
_FULLY_CONNECTED = 0.12
# A step trains at two passes backwards for each forwards; with frozen blocks, at about half of it.
_PASSES = {"top": 2.0, "features": 0.0}
# Images to train on, to validate and to test on; of VOC 2012 there are 1,464 and 1,449.
_IMAGES = {"cifar10": (45_000, 15_000), "digits": (1293, 504)}
_IMAGES_WITH_MASKS = (1464, 1449)
VOC_RELEASES = ("voc2012", "voc2007")


@dataclasses.dataclass(frozen=True)
class Places:
    """Where things are, and what is common to all steps.

    Attributes:
        root: the exercise's directory.
        scale: one of `slimft.exercise.steps.SCALES`.
        dataset: of steps that classify: ``cifar10`` or ``digits``.
        data_dir: where that is; None for its own place.
        voc_dir: a folder in VOC's layout, or one of `VOC_RELEASES` to download; None for none.
        checkpoint_dir: where official checkpoints are, if a flag says so: commands then name their paths.
    """

    root: pathlib.Path
    scale: str = "small"
    dataset: str = "cifar10"
    data_dir: str | None = None
    voc_dir: str | None = None
    checkpoint_dir: pathlib.Path | None = None


@dataclasses.dataclass(frozen=True)
class Run:
    """A run of a step: with a seed, in a directory of its own.

    Attributes:
        step: the step.
        seed: its ``--seed``.
        start: what it starts from; None for nothing.
        missing: why it cannot be run now; empty where it can.
        directory: its ``--train_dir``.
        flags: fields of `Settings`: all flags of its command.
    """

    step: Step
    seed: int
    start: Start | None
    missing: str
    directory: pathlib.Path
    flags: Mapping[str, Any]

    @property
    def tag(self) -> str:
        """What it starts from, where that is not what the step is about."""
        return self.start.tag if self.start else ""

    @property
    def command(self) -> list[str]:
        """The flags of ``bin/finetune`` that make it."""
        return [flag for name, value in self.flags.items() for flag in flags_of(name, value)]

    @property
    def is_done(self) -> bool:
        """Whether it has come to its end."""
        return _has_result(self.directory)

    @property
    def share_left(self) -> float:
        """The share of its training that is still to be done, by its newest checkpoint."""
        if self.is_done:
            return 0.0
        return max(1 - self.step_saved * self.flags["batch_size"] / max(images_of(self.flags), 1), 0.0)

    @property
    def step_saved(self) -> int:
        """The step of its newest checkpoint; 0 if there is none."""
        return max(steps_saved(self.directory), default=0)

    def check(self) -> None:
        """Raises UsageError if its directory holds a run with other settings."""
        file = self.directory / SETTINGS_FILE
        if not file.is_file():
            return
        saved, told = read_settings(file), complete(Settings(**self.flags))
        for field in dataclasses.fields(Settings):
            name = field.name
            if name in _OF_NO_CONSEQUENCE:
                continue
            there, here = saved.get(name, field.default), getattr(told, name)
            if there != here:
                raise UsageError(
                    f"{self.directory} holds a run with other settings: --{name} was {_shown(there)} there and is "
                    f"{_shown(here)} now; move it away, or name another --dir"
                )


def _shown(value: Any) -> str:
    return "not given" if value in (None, ()) else ",".join(value) if isinstance(value, tuple) else str(value)


def beginnings(step: Step) -> tuple[Start | None, ...]:
    """What a step can start from, the best first; None for nothing.

    A run of another step counts once for each that this can start from.
    """
    found: list[Start | None] = []
    for start in step.starts or (None,):
        if start is None or start.step is None:
            found.append(start)
            continue
        for origin in beginnings(find(start.step)):
            tag = origin.tag if origin else ""
            note = f"{start.step} in turn started from {tag}" if tag else ""
            found.append(dataclasses.replace(start, origin=tag, note=note))
    return tuple(found)


def source_of(start: Start, seed: int, places: Places) -> pathlib.Path:
    """The directory of the run, of another step, that is a start."""
    assert start.step is not None
    step = find(start.step)
    (origin,) = [one for one in beginnings(step) if (one.tag if one else "") == start.origin]
    return directory_of(step, seed, places, origin)


def is_done(start: Start, seed: int, places: Places) -> bool:
    """Whether the run of another step is done, with a checkpoint to start from."""
    folder = source_of(start, seed, places)
    return _has_result(folder) and bool(steps_saved(folder))


def _has_result(folder: pathlib.Path) -> bool:
    return (folder / RESULT_FILE).is_file()


def run_of(step: Step, seed: int, places: Places, starts: Starts, downloads: bool = False) -> Run:
    """The run of a step with a seed; `downloads` as of `Starts.choose`."""
    every = beginnings(step)
    start, missing = starts.choose(every, seed, downloads)
    if missing:  # One that is done needs no more what it started from, whose checkpoint may be gone.
        done = [one for one in every if one and one.step and _has_result(directory_of(step, seed, places, one))]
        start, missing = (done[0], "") if done else (start, missing)
    if step.segments and places.voc_dir is None:
        missing = "needs --voc_dir, a folder in the layout of VOC, or voc2012 to download it (2 GB)"
    return _run_from(step, seed, places, start, missing)


def official_run_of(step: Step, places: Places) -> Run:
    """The run of a step from what the step is about, whether that can be had or not."""
    return _run_from(step, 0, places, beginnings(step)[0], "")


def begun_runs_of(step: Step, seed: int, places: Places) -> list[Run]:
    """The runs of a step that are there, whatever they started from."""
    return [
        _run_from(step, seed, places, start, "")
        for start in beginnings(step)
        if (directory_of(step, seed, places, start) / SETTINGS_FILE).is_file()
    ]


def _run_from(step: Step, seed: int, places: Places, start: Start | None, missing: str) -> Run:
    shown = start or beginnings(step)[0]
    flags = step.flags_for(places.scale, shown, places.dataset)
    if step.segments and places.voc_dir in VOC_RELEASES:
        flags["dataset"] = places.voc_dir
    folder = directory_of(step, seed, places, shown)
    where: dict[str, Any] = {"seed": seed, "keep": 1}
    data_dir = places.voc_dir if step.segments else places.data_dir
    if data_dir is not None and data_dir not in VOC_RELEASES:
        where["data_dir"] = data_dir
    if shown is not None:
        where["checkpoint"] = (
            str(source_of(shown, seed, places)) if shown.step else checkpoint_of(shown, places.checkpoint_dir)
        )
    return Run(step, seed, start, missing, folder, {**flags, **where, "train_dir": str(folder)})


def directory_of(step: Step, seed: int, places: Places, start: Start | None) -> pathlib.Path:
    """Where the run of a step is: a folder for the data and scale, one for the step, its start and its seed."""
    data = "voc" if step.segments else places.dataset
    group = f"{data}-{'headline' if step.own_scale and places.scale != 'smoke' else places.scale}"
    tag = f"-from-{start.tag}" if start and start.tag else ""
    return places.root / group / f"{step.name}{tag}{f'-seed{seed}' if seed else ''}"


# Time.


def work_of(flags: Mapping[str, Any]) -> float:
    """About how many GFLOPs a run takes: training, validations and test."""
    spec = get_network(flags["model"])
    trained, evaluated = _IMAGES.get(flags["dataset"], _IMAGES_WITH_MASKS)
    trained = min(flags.get("train_examples") or trained, trained)
    size = flags.get("longest_side") or flags.get("image_size") or spec.default_image_size
    one = spec.gflops * (flags.get("image_size", size) / spec.default_image_size) ** 2
    seen = images_of(flags)
    passes = _PASSES.get(flags.get("recipe", "all"), 3.0)
    epochs = max(1.0, seen / trained)
    if not passes:  # Features of all images once, and what trains on them.
        head = _FULLY_CONNECTED if any("/fc6" in scope for scope in flags.get("trainable") or ()) else 0.02 * one
        return one * (trained + evaluated) + head * seen
    return one * (passes * seen + evaluated * (1 + (epochs - 1) / 3))


def images_of(flags: Mapping[str, Any]) -> float:
    """How many images a run trains on, each as often as it does."""
    if "steps" in flags:
        return flags["steps"] * flags["batch_size"]
    trained = _IMAGES.get(flags["dataset"], _IMAGES_WITH_MASKS)[0]
    return flags.get("epochs", 8) * min(flags.get("train_examples") or trained, trained)


def seconds_of(run: Run, timed: Mapping[str, tuple[str, float, float]]) -> float:
    """About how many seconds a run takes as a whole, by those that others took on this machine.

    Args:
        run: the run.
        timed: by directory, other runs' network, GFLOPs and seconds. Those that took less than two minutes, most of
            which is no training, tell nothing.
    """
    rates = [
        (model, work / (seconds - _SECONDS_AROUND))
        for model, work, seconds in timed.values()
        if _LEAST_SECONDS <= seconds < 1e7 and 1 < work < 1e12
    ]
    alike = [rate for model, rate in rates if model == run.flags["model"]] or [rate for _, rate in rates]
    return _SECONDS_AROUND + work_of(run.flags) / (statistics.median(alike) if alike else _RATE)


def next_of(runs: Sequence[Run], seconds: Mapping[pathlib.Path, float], left: float) -> Run | None:
    """What to run next: the first that fits into the time that is left, else the one that is the shortest.

    Args:
        runs: what is neither done nor missing anything.
        seconds: about how long each takes, by directory.
        left: seconds; infinity for any time.
    """
    fitting = [run for run in runs if seconds[run.directory] <= left]
    return fitting[0] if fitting else min(runs, key=lambda run: seconds[run.directory], default=None)


def remove_checkpoints(folder: pathlib.Path) -> bool:
    """Removes the checkpoints of a run that is done; what tells of it stays. Returns whether there were any."""
    files = [file for file in (*folder.glob("model.ckpt-*"), folder / "checkpoint") if file.is_file()]
    for file in files:
        os.unlink(file)
    shutil.rmtree(folder / BEST, ignore_errors=True)
    return bool(files)
