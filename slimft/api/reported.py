"""Training, with the report that is made of the files it leaves."""

from __future__ import annotations

from slimft.report import write_report
from slimft.runs.settings import Settings
from slimft.training import loop
from slimft.training.run import Run


def finetune(settings: Settings, resume_from: int | None = None) -> dict:
    """As `slimft.training.loop.finetune`, with ``report.html``; public as `slimft.training.finetune`."""
    return loop.finetune(settings, resume_from, write_report)


def train_and_evaluate(run: Run) -> dict:
    """As `slimft.training.loop.train_and_evaluate`, with ``report.html``."""
    return loop.train_and_evaluate(run, write_report)
