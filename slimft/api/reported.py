"""Training, with the report that is made of the files it leaves, and with the trackers that are told of them."""

from __future__ import annotations

from slimft.report import write_report
from slimft.runs.settings import Settings
from slimft.training import loop
from slimft.training.run import Run, prepare
from slimft.training.tracked import follow


def finetune(settings: Settings, resume_from: int | None = None) -> dict:
    """Fine-tunes a network and evaluates it on the test split, or on the validation split where there is none.

    Public as `slimft.training.finetune`. If `settings.train_dir` holds a checkpoint of the run, it continues from
    there and ignores `settings.checkpoint`. Messages and progress go to standard error; a report is left in the
    directory.

    Args:
        settings: the run's settings; `slimft.training.completion.complete` fills in what they leave open, as the
            command does.
        resume_from: the step of the checkpoint in the directory to go on from; None for the newest.

    Returns:
        ``model, dataset, split, examples``, the task's figures (``accuracy, balanced_accuracy, macro_f1, loss``),
        ``step, last_step`` (to which it trained), ``train_dir, checkpoint, best_validation_accuracy`` (or of the
        figure that ``metric`` is), ``images_per_second`` (of training; None if there was none) and ``report``.

    Raises:
        SlimftError: bad settings, data or checkpoint; another process trains in the directory.
        TrainingError: the loss is not finite, a checkpoint cannot be written, there is not enough memory, or
            anything else that was not foreseen. What was trained so far is saved where that is possible.
        Interrupted: SIGINT, SIGTERM or SIGHUP came.
    """
    return train_and_evaluate(prepare(settings, resume_from=resume_from))


def train_and_evaluate(run: Run) -> dict:
    """As `finetune`, of a run that is prepared."""
    return loop.train_and_evaluate(run, write_report, follow=follow)
