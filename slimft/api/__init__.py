"""The library's front door: what the commands do, as functions with keywords, for notebooks and scripts.

`finetune`, `evaluate`, `predict` and `load_run` are public as `slimft.finetune` and so on; what else is public,
docs/api.md lists. Importing this package imports no TensorFlow; the functions do.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
import os
import pathlib
import tempfile
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from slimft.api.child import run_in_child
from slimft.api.figures import Figures
from slimft.api.keywords import read_keywords, step_from, without_slims_names
from slimft.api.predicting import predict_in_child, predict_sources
from slimft.api.predictions import ImagePredictions
from slimft.checkpoint import Checkpoint
from slimft.data import WHOLE, DataOptions
from slimft.data.given import image_sources, write_manifest
from slimft.data.views import TTA
from slimft.ensemble import TrainDirs, find_networks
from slimft.errors import SlimftError, UsageError
from slimft.messages import say
from slimft.runs.folds import ALL, is_cross_validation, read_folds
from slimft.runs.settings import Settings
from slimft.runs.settings_file import GIVEN_DATA
from slimft.training.completion import complete, over_file

__all__ = ["evaluate", "finetune", "load_run", "predict"]

# How data is split and read to evaluate on it.
_DATA = tuple(field.name for field in dataclasses.fields(DataOptions) if field.name != "train_examples")
_SLIMS = {field.metadata["alias"]: field.name for field in dataclasses.fields(Settings) if field.metadata["alias"]}
_SLIMS_OF_EVALUATION = {
    **{alias: name for alias, name in _SLIMS.items() if name in ("model", "dataset", "checkpoint", "data_dir")},
    "dataset_split_name": "split",
    "eval_image_size": "image_size",
}
_SLIMS_OF_PREDICTION = {
    alias: name
    for alias, name in {**_SLIMS, "eval_image_size": "image_size"}.items()
    if name in ("model", "checkpoint", "image_size")
}


def _front_door(slims_names: Mapping[str, str]) -> Callable[[Callable], Callable]:
    """Makes a function take slim's names of its keywords too, and raise what it raises in few frames.

    A notebook shows each frame that an error came through; the message of a SlimftError says all.
    """

    def decorate(function: Callable) -> Callable:
        @functools.wraps(function)
        def call(*arguments, **keywords):
            try:
                return function(*arguments, **without_slims_names(keywords, slims_names))
            except SlimftError as error:
                raise error.with_traceback(None)  # noqa: B904 (It is the same error, and keeps its cause.)

        return call

    return decorate


def _with_settings_as_keywords(function: Callable) -> Callable:
    """Gives `function` the fields of `Settings` as keywords that completion and `help` know."""
    fields = dataclasses.fields(Settings)
    named = [one for one in inspect.signature(function).parameters.values() if one.kind is not one.VAR_KEYWORD]
    keywords = [
        inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=field.type)
        for field in fields
    ]
    function.__signature__ = inspect.Signature([*keywords, *named], return_annotation="Figures | None")
    lines = []
    for field in fields:
        alias = f" ({field.metadata['alias']})" if field.metadata["alias"] else ""
        text = f"{field.name}{alias}: {field.metadata['help']}"
        lines += textwrap.wrap(text, 112, initial_indent=" " * 4, subsequent_indent=" " * 8)
    function.__doc__ = f"{inspect.cleandoc(function.__doc__)}\n\nKeywords:\n" + "\n".join(lines) + "\n"
    return function


@_with_settings_as_keywords
@_front_door(_SLIMS)
def finetune(
    *,
    data: Any = None,
    settings: str | os.PathLike | None = None,
    resume_from: int | None = None,
    dry_run: bool = False,
    child_process: bool = False,
    **keywords,
) -> Figures | None:
    """Fine-tunes a network as ``bin/finetune`` does, and evaluates it.

    Every flag of the command is a keyword, under its name or slim's, and means the same; the list is below. Where a
    flag takes a list with commas, so does the keyword, or a list; paths may be `pathlib.Path`s. A `train_dir` that
    holds an unfinished run is continued. Interrupting the kernel (or Ctrl-C) saves the run and ends it.

    Messages and progress go to standard error. TensorFlow is used in its first version's mode, and set to that for
    the whole process: eager execution is off from then on. With `child_process` it is not: another process does it.

    Args:
        data: in place of `dataset` and `data_dir`: ``(images, labels)``, a dictionary of these by split (``train``,
            ``validation``, ``test``), or a data frame with the columns ``path`` and ``label``, and perhaps
            ``split``, ``group`` and ``fold``. Images are whole numbers in 0..255, ``[images, height, width]`` or
            ``[images, height, width, channels]``, or a list of such arrays of any sizes, or a list of paths; labels
            are names or numbers. It is kept as a manifest, and arrays as PNG files, in the folder ``data`` of the
            run's directory, where the commands find it too.
        settings: a run's ``settings.json``: what it was told, but for its directory and for what you give.
        resume_from: the step of the checkpoint in `train_dir` to go on from, where its newest is damaged or not
            wanted; what comes after that step is forgotten.
        dry_run: print what would be restored and trained, and stop.
        child_process: whether another process does the work, so that this one keeps its TensorFlow as it is.
        keywords: the settings; ``fold="all"`` trains every one of the `folds`, as the command does.

    Returns:
        The figures that the command prints, a dictionary: see `slimft.training.finetune`; of all folds, see
        `slimft.cross_validation.out_of_fold.Outcome`. A notebook shows the
        run's report in its place. None of a dry run.

    Raises:
        UsageError: a keyword is unknown, or a value cannot work.
        SlimftError: as `slimft.training.finetune`.
    """
    if data is not None:
        keywords = _with_data(keywords, settings, data)
    told, every_fold = _told(keywords, settings)
    step = step_from(resume_from)
    if child_process:
        complete(told)
        more = {"settings": settings, "resume_from": step, "dry_run": dry_run}
        result = run_in_child("finetune", {**keywords, **more})
        return None if result is None else Figures(result)
    if every_fold:
        return _cross_validate(told, step, dry_run)
    complete(told)  # So that what cannot work is said before TensorFlow is loaded.
    from slimft.api.reported import train_and_evaluate
    from slimft.training.run import prepare, prepare_alone

    if dry_run:
        run = prepare_alone(told, resume_from=step)
        run.say_notes()
        print(run.describe(), flush=True)
        run.check()
        return None
    return Figures(train_and_evaluate(prepare(told, resume_from=step)))


def _told(keywords: Mapping[str, object], settings: str | os.PathLike | None) -> tuple[Settings, bool]:
    """The settings, and whether they are of every fold."""
    every_fold = keywords.get("fold") == ALL
    given = {**keywords, "fold": 0} if every_fold else keywords
    return over_file(read_keywords("finetune", given), settings), every_fold


def _with_data(keywords: Mapping[str, object], settings: str | os.PathLike | None, data: Any) -> dict[str, object]:
    """The keywords with the data that was handed over, written where the run is."""
    for name in ("dataset", "data_dir"):
        if keywords.get(name) is not None:
            raise UsageError(f"{name}={keywords[name]!r:.80} and data: give one of them")
    told, _ = _told({**keywords, "dataset": "csv", "data_dir": os.curdir}, settings)
    train_dir = complete(told).train_dir
    manifest = write_manifest(data, pathlib.Path(train_dir).expanduser().absolute() / GIVEN_DATA)
    say(f"the data is kept in {manifest.parent}")
    return {**keywords, "dataset": "csv", "data_dir": str(manifest), "train_dir": train_dir}


def _cross_validate(told: Settings, step: int | None, dry_run: bool) -> Figures | None:
    if step is not None:
        raise UsageError(f"resume_from={step} is a step of one run, and fold={ALL!r} is several; give fold=0")
    from slimft.cross_validation import conduct

    if not dry_run:
        return Figures(conduct.cross_validate(told))
    print(conduct.dry_run(told), flush=True)
    return None


@_front_door(_SLIMS_OF_EVALUATION)
def evaluate(
    model: str | None = None,
    dataset: str | None = None,
    checkpoint: Checkpoint | str | os.PathLike | None = None,
    *,
    train_dir: TrainDirs = None,
    data_dir: str | os.PathLike | None = None,
    split: str | None = None,
    image_size: int | None = None,
    batch_size: int = 64,
    precision: str | None = None,
    head: str | None = None,
    averages: bool | None = None,
    labels: str | os.PathLike | None = None,
    tta: str = "none",
    top: int | Sequence[int] | None = None,
    bootstrap: int | None = None,
    threshold_for: str | Sequence[str] = (),
    examples: int | None = None,
    data: Any = None,
    child_process: bool = False,
    **options,
) -> Figures:
    """Evaluates a checkpoint on every example of a split, once, as ``bin/evaluate`` does.

    `train_dir`, the directory of a run of `finetune`, is all it takes; without it give `model`, `dataset` and
    `checkpoint`. A list of several directories is an ensemble. What was chosen is said on standard error.

    Args:
        model, dataset, checkpoint, train_dir, data_dir, split: as of `slimft.evaluation.evaluate_in_full`.
        image_size, batch_size, precision, head, averages, labels: as of that, too.
        tta, top, bootstrap, threshold_for, examples: as of `slimft.assessment.Asked`.
        data: in place of `dataset` and `data_dir`, as of `finetune`; what the run trained on is left out.
        child_process: as of `finetune`.
        options: `validation_share, test_share, split_seed, folds, fold, group, cache, grey_bits, labels_offset,
            image_key, label_key, longest_side, train_list`: how the data is split and read, in place of how the run
            does. Also slim's names of all of these.

    Returns:
        The figures, a dictionary of what JSON has: what the command prints.

    Raises:
        SlimftError: as `slimft.assessment.assess`.
    """
    given = dict(
        model=model,
        dataset=dataset,
        data_dir=data_dir,
        image_size=image_size,
        batch_size=batch_size,
        precision=precision,
        head=head,
        averages=averages,
    )
    given = {name: value for name, value in given.items() if value is not None}
    of_network = dict(checkpoint=checkpoint, train_dir=train_dir, labels=labels)
    asked = dict(tta=tta, top=top, bootstrap=bootstrap, threshold_for=threshold_for, examples=examples)
    with contextlib.ExitStack() as stack:
        if data is not None:
            if dataset is not None or data_dir is not None:
                raise UsageError("data, and dataset or data_dir: give one of them")
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="slimft-data-"))
            given |= {"dataset": "csv", "data_dir": str(write_manifest(data, pathlib.Path(folder)))}
        told = read_keywords("evaluate", {**given, **options}, (*given, *_DATA))
        if child_process:
            found = run_in_child("evaluate", {**given, **options, **of_network, "split": split, **asked})
        else:
            found = _evaluate(told, of_network, split, **asked)
    # Of what was handed over there is no place that remains.
    return Figures(found if data is None else {**found, "data_dir": None})


def _evaluate(told: dict[str, Any], of_network: Mapping[str, Any], split: str | None, **asked) -> dict[str, Any]:
    top = asked["top"]
    tops = [top] if isinstance(top, (int, np.integer)) else top
    for name, values in (("top", tops), ("bootstrap", [asked["bootstrap"]]), ("examples", [asked["examples"]])):
        for value in values or ():
            if value is not None and (isinstance(value, bool) or not isinstance(value, (int, np.integer))):
                raise UsageError(f"{name}={value!r:.80} must be a whole number")
    threshold_for = asked["threshold_for"]
    from slimft.assessment import Asked, assess

    wanted = Asked(
        tta=asked["tta"],
        top=None if tops is None else [int(k) for k in tops],
        bootstrap=asked["bootstrap"],
        threshold_for=(threshold_for,) if isinstance(threshold_for, str) else tuple(threshold_for),
        examples=asked["examples"],
    )
    of_data = {name: told.pop(name) for name in ("dataset", "data_dir") if name in told}
    chosen = {name: told.pop(name) for name in _DATA if name in told}
    size = told.pop("batch_size")
    networks = find_networks(**told, **of_network)
    train_dir = of_network["train_dir"]
    if not of_data and isinstance(train_dir, (str, os.PathLike)) and is_cross_validation(train_dir):
        if split not in (None, "test", WHOLE) or chosen or wanted != Asked():
            raise UsageError(
                f"train_dir={os.fspath(train_dir)!r} is a cross-validation, evaluated as it is on what each fold "
                "did not train on; name one fold, or other data"
            )
        from slimft.cross_validation.out_of_fold import evaluate_folds

        return evaluate_folds(read_folds(train_dir), networks, batch_size=size).result
    return assess(networks, **of_data, split=split, options=chosen, batch_size=size, asked=wanted).result


@_front_door(_SLIMS_OF_PREDICTION)
def predict(
    images: Any,
    *,
    train_dir: TrainDirs = None,
    model: str | None = None,
    checkpoint: Checkpoint | str | os.PathLike | None = None,
    image_size: int | None = None,
    averages: bool | None = None,
    precision: str | None = None,
    labels: str | os.PathLike | None = None,
    tta: str = "none",
    crop: float = 1.0,
    batch_size: int = 32,
    child_process: bool = False,
) -> ImagePredictions:
    """Classifies images as ``bin/predict`` does.

    What cannot be read is said on standard error, and has no prediction. To classify time and again, use
    `slimft.Classifier`, which loads the network once.

    Args:
        images: whole numbers in 0..255, ``[images, height, width]`` or ``[images, height, width, channels]``, or a
            list of such arrays of any sizes; a list of paths; or a data frame with a column ``path``. Of each, the
            network sees the central square.
        train_dir: the directory of a run, or of several, which are an ensemble then.
        model, checkpoint, image_size, averages, precision, labels: as of `slimft.inference.find_network`.
        tta: one of `slimft.data.views.TTA`.
        crop, batch_size: as of `slimft.Classifier.classify_files`.
        child_process: as of `finetune`.

    Raises:
        UsageError: the images are none of these, or an argument has a value that cannot work.
        SlimftError: as `slimft.Classifier`.
    """
    if not 0 < crop <= 1:
        raise UsageError(f"crop={crop} must be above 0 and at most 1, a share of the image's shorter side")
    if batch_size < 1:
        raise UsageError(f"batch_size={batch_size} must be 1 or more")
    if tta not in TTA:
        raise UsageError(f"tta={tta!r} must be one of {', '.join(TTA)}")
    sources = image_sources(images)
    of_network = dict(
        model=model,
        checkpoint=checkpoint,
        train_dir=train_dir,
        image_size=image_size,
        averages=averages,
        precision=precision,
        labels=labels,
    )
    more = dict(tta=tta, crop=crop, batch_size=batch_size)
    return (predict_in_child if child_process else predict_sources)(sources, of_network, **more)


@_front_door({})
def load_run(train_dir: str | os.PathLike) -> Figures:
    """The figures of a run that has come to its end, from its directory; a notebook shows its report.

    Needs no TensorFlow.

    Raises:
        UsageError: it is no run's directory, or the run has not come to its end.
        DataError: a file in it is not as a run writes it.
    """
    from slimft.report.run_page import REPORT_FILE
    from slimft.runs.read import read_run

    run = read_run(train_dir)
    if run.result is None:
        raise UsageError(
            f"{train_dir} has no result yet: the run has not come to its end; to continue, repeat its finetune call"
        )
    report = pathlib.Path(run.train_dir, REPORT_FILE)
    # Wherever the directory has been moved to.
    places = {"train_dir": str(run.train_dir), "report": str(report) if report.exists() else None}
    return Figures({**run.result.result, **places})
