"""The library's front door: what the commands do, as functions with keywords, for notebooks and scripts.

`finetune`, `evaluate` and `load_run` are public as `slimft.finetune`, `slimft.evaluate` and `slimft.load_run`; what
else is public, docs/api.md lists. Importing this package imports no TensorFlow; the functions do.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import os
import pathlib
import textwrap
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from slimft.api.figures import Figures
from slimft.api.keywords import read_keywords, step_from, without_slims_names
from slimft.checkpoint import Checkpoint
from slimft.data import DataOptions
from slimft.errors import SlimftError, UsageError
from slimft.runs.settings import Settings
from slimft.training.completion import complete, over_file

__all__ = ["evaluate", "finetune", "load_run"]

# How data is split and read to evaluate on it.
_DATA = tuple(field.name for field in dataclasses.fields(DataOptions) if field.name != "train_examples")
_SLIMS = {field.metadata["alias"]: field.name for field in dataclasses.fields(Settings) if field.metadata["alias"]}
_SLIMS_OF_EVALUATION = {
    **{alias: name for alias, name in _SLIMS.items() if name in ("model", "dataset", "checkpoint", "data_dir")},
    "dataset_split_name": "split",
    "eval_image_size": "image_size",
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
    *, settings: str | os.PathLike | None = None, resume_from: int | None = None, dry_run: bool = False, **keywords
) -> Figures | None:
    """Fine-tunes a network as ``bin/finetune`` does, and evaluates it.

    Every flag of the command is a keyword, under its name or slim's, and means the same; the list is below. Where a
    flag takes a list with commas, so does the keyword, or a list; paths may be `pathlib.Path`s. A `train_dir` that
    holds an unfinished run is continued. Interrupting the kernel (or Ctrl-C) saves the run and ends it.

    Messages and progress go to standard error. TensorFlow is used in its first version's mode, and set to that for
    the whole process: eager execution is off from then on.

    Args:
        settings: a run's ``settings.json``: what it was told, but for its directory and for what you give.
        resume_from: the step of the checkpoint in `train_dir` to go on from, where its newest is damaged or not
            wanted; what comes after that step is forgotten.
        dry_run: print what would be restored and trained, and stop.
        keywords: the settings.

    Returns:
        The figures that the command prints, a dictionary: see `slimft.training.finetune`. A notebook shows the
        run's report in its place. None of a dry run.

    Raises:
        UsageError: a keyword is unknown, or a value cannot work.
        SlimftError: as `slimft.training.finetune`.
    """
    told = over_file(read_keywords("finetune", keywords), settings)
    step = step_from(resume_from)
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


@_front_door(_SLIMS_OF_EVALUATION)
def evaluate(
    model: str | None = None,
    dataset: str | None = None,
    checkpoint: Checkpoint | str | os.PathLike | None = None,
    *,
    train_dir: str | os.PathLike | Sequence[str | os.PathLike] | None = None,
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
    **options,
) -> Figures:
    """Evaluates a checkpoint on every example of a split, once, as ``bin/evaluate`` does.

    `train_dir`, the directory of a run of `finetune`, is all it takes; without it give `model`, `dataset` and
    `checkpoint`. A list of several directories is an ensemble. What was chosen is said on standard error.

    Args:
        model, dataset, checkpoint, train_dir, data_dir, split: as of `slimft.evaluation.evaluate_in_full`.
        image_size, batch_size, precision, head, averages, labels: as of that, too.
        tta, top, bootstrap, threshold_for, examples: as of `slimft.assessment.Asked`.
        options: `validation_share, test_share, split_seed, folds, fold, group, cache, grey_bits, labels_offset,
            image_key, label_key, longest_side, train_list`: how the data is split and read, in place of how the run
            does. Also slim's names of all of these.

    Returns:
        The figures, a dictionary of what JSON has: what the command prints.

    Raises:
        SlimftError: as `slimft.assessment.assess`.
    """
    several = list(train_dir) if isinstance(train_dir, (list, tuple)) else None
    if several is not None and (len(several) < 2 or checkpoint is not None):
        raise UsageError(f"train_dir={several!r:.80}: an ensemble is of two runs or more, without a checkpoint")
    given = dict(
        model=model,
        dataset=dataset,
        train_dir=None if several else train_dir,
        data_dir=data_dir,
        image_size=image_size,
        batch_size=batch_size,
        precision=precision,
        head=head,
        averages=averages,
    )
    given = {name: value for name, value in given.items() if value is not None}
    told = read_keywords("evaluate", given | options, (*given, *_DATA))
    tops = [top] if isinstance(top, (int, np.integer)) else top
    for name, values in (("top", tops), ("bootstrap", [bootstrap]), ("examples", [examples])):
        for value in values or ():
            if value is not None and (isinstance(value, bool) or not isinstance(value, (int, np.integer))):
                raise UsageError(f"{name}={value!r:.80} must be a whole number")
    from slimft.assessment import Asked, assess
    from slimft.inference import find_network

    asked = Asked(
        tta=tta,
        top=None if tops is None else [int(k) for k in tops],
        bootstrap=bootstrap,
        threshold_for=(threshold_for,) if isinstance(threshold_for, str) else tuple(threshold_for),
        examples=examples,
    )
    of_data = {name: told.pop(name) for name in ("dataset", "data_dir") if name in told}
    chosen = {name: told.pop(name) for name in _DATA if name in told}
    size = told.pop("batch_size")
    places = several or [told.pop("train_dir", None)]
    networks = [find_network(**told, checkpoint=checkpoint, train_dir=place, labels=labels) for place in places]
    found = assess(networks, **of_data, split=split, options=chosen, batch_size=size, asked=asked)
    return Figures(found.result)


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
