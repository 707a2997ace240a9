"""The learning rate finder: some steps at ever larger rates, and at which the loss fell.

The test is Smith's (arXiv:1506.01186, section 3.3); the suggestion lies in the middle, by the logarithm, between
the rate at which the loss falls fastest and that at which it is lowest: the one is on the safe side, the other
about to diverge. Nothing of the run is saved but the figures and a picture of them.
"""

from __future__ import annotations

import math
from typing import BinaryIO

import numpy as np

from slimft.compat import tf
from slimft.errors import TrainingError, UsageError
from slimft.messages import say
from slimft.runs.settings import Settings
from slimft.training.failures import explained
from slimft.training.progress import Progress
from slimft.training.run import Run, prepare_alone

_SMALLEST, _LARGEST = 1e-6, 10.0
_STEPS = 140
# Steps, about a third of a decade, over which losses are averaged.
_SMOOTHING = 7
# A loss so many times the least one has diverged.
_DIVERGED = 4.0
# A loss that is not so much of the first one has not fallen, but for chance.
_FALLEN = 0.97
_FILES = ("lr_finder.json", "lr_finder.png")


def find_learning_rate(settings: Settings) -> dict:
    """Tries learning rates on a fresh run and suggests one.

    Writes ``lr_finder.json`` and ``lr_finder.png`` into `settings.train_dir`.

    Returns:
        ``suggested_learning_rate``, ``steps``, ``plot`` and ``train_dir``.

    Raises:
        SlimftError: bad settings, data or checkpoint.
        TrainingError: no rate lowers the loss.
    """
    run = prepare_alone(settings, rate_at=_rate_at)
    if run.resumes:
        raise UsageError(f"--train_dir={settings.train_dir} holds a run already; name another one for --find_lr")
    settings = run.settings
    run.say_notes()
    run.check()
    with run.directory.locked():
        try:
            return _find(run)
        except Exception as error:
            failure = explained(run, error)
            raise failure from (error.__cause__ if failure is error else error)


def _find(run: Run) -> dict:
    folder = run.directory.path
    rates, losses = _try_rates(run)
    suggested = suggest(rates, losses)
    figures = {"learning_rates": rates, "losses": losses, "suggested_learning_rate": suggested}
    run.directory.write_json(_FILES[0], figures)
    if suggested is None:
        raise TrainingError(
            f"no learning rate from {_SMALLEST:g} to {_LARGEST:g} lowers the loss in {len(rates)} steps; see "
            f"{folder / _FILES[0]}, and look at the data and the checkpoint"
        )
    with run.directory.open_file(_FILES[1]) as stream:
        _draw(stream, rates, losses, suggested)
    say(f"try --learning_rate={suggested:.2g}; the losses are drawn in {folder / _FILES[1]}")
    return {
        "suggested_learning_rate": suggested,
        "steps": len(rates),
        "plot": str(folder / _FILES[1]),
        "train_dir": run.settings.train_dir,
    }


def _rate_at(step):
    growth = math.log(_LARGEST / _SMALLEST) / (_STEPS - 1)
    return _SMALLEST * tf.exp(growth * tf.cast(step, tf.float32))


def _try_rates(run: Run) -> tuple[list[float], list[float]]:
    """The learning rate and the loss of each step, until the loss diverges."""
    rates, losses = [], []
    with (
        run.training.graph.as_default(),
        run.new_session() as session,
        Progress(0, _STEPS, run.settings.batch_size * run.settings.accumulate) as progress,
    ):
        run.restore(session)
        run.start_batches(session, 0)
        for step in range(_STEPS):
            measured = run.take_step(session)
            if not math.isfinite(measured.values["loss"]):
                break
            rates.append(measured.learning_rate)
            losses.append(measured.values["loss"])
            progress.step(step + 1, measured.values)
            smooth = smoothed(losses)
            if smooth[-1] > _DIVERGED * min(smooth):
                break
    return rates, losses


def smoothed(losses: list[float]) -> np.ndarray:
    """The mean of each loss and of its neighbours, as far as there are any."""
    ones = np.ones(_SMOOTHING)
    return np.convolve(losses, ones, "same") / np.convolve(np.ones(len(losses)), ones, "same")


def suggest(rates: list[float], losses: list[float]) -> float | None:
    """The geometric mean of the rate at which the smoothed loss falls fastest, by the rate's logarithm, and of that
    at which it is lowest; None if it hardly falls.
    """
    if len(rates) < 2 * _SMOOTHING:
        return None
    smooth = smoothed(losses)
    lowest = int(np.argmin(smooth))
    steepest = int(np.argmin(np.gradient(smooth, np.log(rates))[: lowest + 1]))
    return math.sqrt(rates[steepest] * rates[lowest]) if smooth[lowest] < _FALLEN * smooth[0] else None


def _draw(stream: BinaryIO, rates: list[float], losses: list[float], suggested: float) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(rates, losses, color="0.75", label="a batch's loss")
    axes.plot(rates, smoothed(losses), color="#0072b2", label="smoothed")
    axes.axvline(suggested, color="#d55e00", linestyle="--", label=f"suggested: {suggested:.2g}")
    highest = 1.3 * max(smoothed(losses)[:_SMOOTHING])
    axes.set(xscale="log", xlabel="learning rate", ylabel="loss", ylim=(0, highest))
    axes.legend()
    FigureCanvasAgg(figure).print_png(stream)
