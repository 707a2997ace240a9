"""Runs in pairs, on the images that both were tested on: whether they differ by more than chance."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from slimft.report.significance import Interval, Paired, compare_outcomes, tested
from slimft.report.texts import MISSING, count
from slimft.runs.read import RunFiles

_TITLES = {"accuracy": "accuracy", "balanced_accuracy": "balanced", "mean_iou": "mean IoU"}


@dataclasses.dataclass(frozen=True)
class Pairs:
    """The best run by validation against each other one.

    Attributes:
        reference: the name of the run that the others are compared with; empty where there is nothing to compare.
        of_rows: the other runs' names, with what was found.
        notes: what to know of it, a sentence or two each.
    """

    reference: str
    of_rows: tuple[tuple[str, Paired], ...]
    notes: tuple[str, ...]

    def text_table(self) -> tuple[list[str], list[list[str]]]:
        """Header and rows of a table."""
        return [f"against {self.reference}", *self.titles()], [[name, *texts_of(one)] for name, one in self.of_rows]

    def titles(self) -> list[str]:
        """The columns' titles."""
        _, first = self.of_rows[0]
        titles = ["images of both"]
        if first.p is not None:
            titles += ["only it is right", "only the other is", "p"]
        return [*titles, *(f"difference of {_TITLES[name]} (95 %)" for name in first.intervals)]


def find_pairs(runs: Sequence[tuple[str, RunFiles]], ranks: Sequence[int | None]) -> Pairs:
    """Compares the best run by validation, of those that left their outcomes, with each of the others.

    Args:
        runs: the runs, of one task, with the names that tell them apart.
        ranks: each one's rank; where none has one, the first run stands for the best.

    Raises:
        DataError: a run's ``predictions.npz`` is not as a run writes it.
    """
    if sum(run.result is not None and run.result.split == "test" for _, run in runs) < 2:
        return Pairs("", (), ())
    known, notes = [], {}
    for (name, run), rank in zip(runs, ranks):
        outcomes, reason = tested(run)
        if outcomes is None:
            notes.setdefault(f"No significance is told: {reason}", []).append(name)
        else:
            known.append((len(runs) + 1 if rank is None else rank, name, run, outcomes))
    told = [f"{', '.join(names)}: {sentence}" for sentence, names in notes.items()]
    if len(known) < 2:
        return Pairs("", (), tuple(told))
    _, best, its_run, its = min(known, key=lambda one: one[0])
    found: list[tuple[str, Paired]] = []
    for _, name, run, outcomes in known:
        if run is its_run:
            continue
        paired = compare_outcomes(run, outcomes, its_run, its)
        if paired is None:
            told.append(f"{name}: It has no test image in common with {best}, so they are not compared.")
            continue
        found.append((name, paired))
        own, others = len(outcomes.digests), len(its.digests)
        if paired.examples < max(own, others):
            common = count(paired.examples)
            told.append(f"{name}: {common} of its {count(own)} test images are among {best}'s {count(others)}.")
    return Pairs(best, tuple(found), (*_explained(found), *told))


def _explained(found: list[tuple[str, Paired]]) -> list[str]:
    if not found:
        return []
    told = ["Intervals are of 10,000 bootstrap samples of the images that both runs were tested on."]
    if found[0][1].p is not None:
        told[0] += " p is that of McNemar's exact test: how often equally good runs differ as much or more."
        if len(found) > 1:
            told.append(
                f"Of {len(found)} comparisons the smallest p is small more often by chance: below "
                f"{0.05 / len(found):.2g} it tells as much as one below 0.05 alone."
            )
    return told


def texts_of(one: Paired) -> list[str]:
    """What the columns say of one."""
    texts = [count(one.examples)]
    if one.p is not None:
        texts += [count(one.only_first), count(one.only_second), _p(one.p)]
    return [*texts, *map(_interval, one.intervals.values())]


def _p(value: float) -> str:
    return "below 0.0001" if value < 0.0001 else f"{value:.4f}"


def _interval(one: Interval) -> str:
    if not all(map(math.isfinite, (one.difference, one.low, one.high))):
        return MISSING
    return f"{one.difference:+.4f} ({one.low:+.4f} to {one.high:+.4f})"
