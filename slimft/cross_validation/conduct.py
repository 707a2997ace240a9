"""Trains the folds of a cross-validation one after the other in this process, each as a run of its own."""

from __future__ import annotations

import os
import pathlib

from slimft.cross_validation.out_of_fold import evaluate_folds
from slimft.errors import DataError, SlimftError, UsageError
from slimft.inference import find_network
from slimft.messages import say
from slimft.report import write_folds_report, write_report
from slimft.runs.directory import RESULT_FILE, locked
from slimft.runs.folds import ALL, Folds, begin_folds
from slimft.runs.settings import Settings
from slimft.runs.settings_file import load_settings
from slimft.training.cluster.members import VARIABLE, cluster_of
from slimft.training.completion import complete, notes_on
from slimft.training.loop import train_and_evaluate
from slimft.training.run import Run, prepare, prepare_alone
from slimft.training.tracked import follow


def cross_validate(settings: Settings) -> dict:
    """Trains a run for each of the settings' folds, in ``fold_0``, ``fold_1``, ... of their directory.

    What is there already is gone on with: a fold that has come to its end is not trained again. Messages and
    progress go to standard error.

    Args:
        settings: what all folds are told; `fold` is of no meaning. `complete` fills in what they leave open.

    Returns:
        The figures of a `slimft.cross_validation.out_of_fold.Outcome`, and ``report``.

    Raises:
        UsageError: there are no folds, or the directory holds something else, or folds that were told otherwise.
        SlimftError: as `slimft.training.finetune`, of a fold.
    """
    completed = checked(settings)
    assert completed.train_dir is not None  # `complete` has filled it in.
    try:
        pathlib.Path(completed.train_dir).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--train_dir={completed.train_dir} cannot be made: {error.strerror}") from None
    with locked(completed.train_dir):
        folds = begin_folds(completed)
        say(*notes_on(settings, completed))
        for fold in range(folds.number):
            _train(folds, fold)
        networks = [find_network(train_dir=folder) for folder in folds.finished()]
        outcome = evaluate_folds(folds, networks, completed.data_dir)
        outcome.write()
        report = str(write_folds_report(folds.path))
        say(f"see {report}")
    return {**outcome.result, "report": report}


def checked(settings: Settings) -> Settings:
    """The settings, complete.

    Raises:
        UsageError: they are of no cross-validation, of a segmentation, or of several processes.
    """
    if settings.folds is None:
        raise UsageError(f"--fold={ALL} needs --folds=N, in how many parts to split the data")
    if cluster_of() is not None:
        raise UsageError(
            f"--fold={ALL} trains in one process, and {VARIABLE} tells of several; leave that out, or train each "
            "--fold by itself"
        )
    completed = complete(settings)
    if completed.task.targets.is_map:
        raise UsageError(
            f"--fold={ALL} puts together what networks say of whole images, and {completed.model} segments; train "
            "each --fold by itself, and give all their directories to bin/report"
        )
    return completed


def dry_run(settings: Settings) -> str:
    """What would be restored and trained, of the first fold; arguments and errors as of `cross_validate`."""
    completed = checked(settings)
    assert completed.train_dir is not None  # `complete` has filled it in.
    folds = Folds(pathlib.Path(completed.train_dir), completed)
    run = prepare_alone(folds.settings_of(0))
    run.say_notes()
    run.check()
    where = f"{folds.path}/fold_*"
    return f"{run.describe()}\nthis is fold 0; so is each of {folds.number} folds, in {where}"


def _train(folds: Folds, fold: int) -> None:
    """Trains a fold to its end, unless it has come there."""
    settings = folds.settings_of(fold)
    try:
        run = prepare(settings)
        if _is_done(run):
            run.group.leave(together=False)
            say(f"fold {fold} of {folds.number} is done: {settings.train_dir}")
            return
        say(f"fold {fold} of {folds.number}, in {settings.train_dir}")
        result = train_and_evaluate(run, write_report, follow=follow)
    except SlimftError as error:
        # What goes on is the whole: the directory to name is that of all folds.
        told = str(error).replace(f"--train_dir={settings.train_dir}", f"--train_dir={folds.path}")
        error.args = (f"fold {fold} of {folds.number}: {told}", *error.args[1:])
        raise
    if result["split"] != "test":
        raise DataError(f"fold {fold} of {folds.number} has nothing to test on: choose fewer --folds")


def _is_done(run: Run) -> bool:
    """Whether a fold has come to its end on the data where that is now."""
    folder = run.settings.train_dir
    assert folder is not None  # `complete` has filled it in.
    if not run.finished or not os.path.lexists(pathlib.Path(folder, RESULT_FILE)):
        return False
    return load_settings(folder).data_dir == run.settings.data_dir
