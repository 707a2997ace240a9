"""Several runs side by side: ranked by validation, with what they reached on test data apart from it.

Whoever chooses a run by its test figures has none left that tell how good the chosen one is. So nothing is ranked
by them and nothing marked.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
import statistics
from collections.abc import Mapping, Sequence

from slimft.errors import UsageError
from slimft.report.pairs import Pairs, find_pairs
from slimft.report.same_data import Examples, differing, examples_of, places
from slimft.report.texts import MISSING
from slimft.runs.read import RunFiles, read_run
from slimft.runs.settings import OF_THE_DISK
from slimft.tasks import Figure, Task, get_task, task_names

# What repeated runs of one experiment differ in.
_REPEATED_WITH = ("seed", "fold", "split_seed")

Figures = dict[str, float | None]


@dataclasses.dataclass(frozen=True)
class Columns:
    """What is compared of runs of a task.

    Attributes:
        choosing: the figures that may choose a run, by name.
        validation: their titles, with their names in the files.
        test: the same of test figures.
        by_class: the name in the files, and the title, of the figure of each class.
    """

    choosing: Mapping[str, Figure]
    validation: Mapping[str, str]
    test: Mapping[str, str]
    by_class: tuple[str, str]


def _columns(task: Task, by_class: tuple[str, str], more: Mapping[str, str]) -> Columns:
    choosing = {figure.name: figure for figure in task.figures if figure.chooses}
    validation = {figure.short: name for name, figure in choosing.items()}
    return Columns(choosing, validation, {**validation, **more}, by_class)


COLUMNS = {
    "classification": _columns(get_task("classification"), ("recall", "Recall"), {"ECE": "ece"}),
    "segmentation": _columns(get_task("segmentation"), ("iou", "IoU"), {"weighted IoU": "frequency_weighted_iou"}),
}


@dataclasses.dataclass(frozen=True)
class Row:
    """A run in a comparison.

    Attributes:
        name: tells the runs apart.
        run: its files.
        differs: flags of what not all runs have in common.
        validated_on: what is known of its validation examples.
        tested_on: what is known of its test examples.
    """

    name: str
    run: RunFiles
    differs: tuple[str, ...]
    validated_on: Examples
    tested_on: Examples

    @property
    def columns(self) -> Columns:
        """What is compared of the run."""
        return COLUMNS[self.run.task.name]

    @property
    def validation(self) -> Figures:
        """The validation of the checkpoint that the result is of, or of the best so far, by the files' names."""
        figures, result = self.run.validation_at(self.run.step), self.run.result
        if not figures and result is not None and result.split == "validation":
            figures = result.result
        return {name: figures.get(name) for name in self.columns.validation.values()}

    @property
    def test(self) -> Figures:
        """The test figures, by the files' names; all None where the run was not tested."""
        result = self.run.result
        if result is None or result.split != "test":
            return dict.fromkeys(self.columns.test.values())
        return {name: result.ece if name == "ece" else result.figure(name) for name in self.columns.test.values()}

    @property
    def by_class(self) -> list[float | None]:
        """Each class's recall, or its IoU, by label; empty without a result."""
        name, _ = self.columns.by_class
        return [one[name] for one in self.run.result.per_class] if self.run.result else []

    def setting(self, name: str) -> str:
        """A setting as text."""
        value = self.run.settings.get(name)
        return MISSING if value is None else str(value)


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Runs of one task side by side.

    Attributes:
        rows: the runs, in the order they were named.
        groups: rows that differ in nothing but seed or fold, where there are several such.
        doubts: what kept runs that look like repetitions from being a group, a sentence each.
        apart: names of the settings that not all runs have in common.
    """

    rows: tuple[Row, ...]
    groups: tuple[tuple[Row, ...], ...]
    doubts: tuple[str, ...] = ()
    apart: tuple[str, ...] = ()

    @property
    def columns(self) -> Columns:
        """What is compared of the runs."""
        return self.rows[0].columns

    @functools.cached_property
    def metric(self) -> str:
        """What runs are ranked by: what chose the checkpoints of all of them, or else their task's headline."""
        metrics = {row.run.metric for row in self._finished}
        known = len(metrics) == 1 and metrics <= set(self.columns.choosing)
        return metrics.pop() if known else self.rows[0].run.task.headline

    @functools.cached_property
    def pairs(self) -> Pairs:
        """The best run against each of the others, on their test images; as `find_pairs`."""
        return find_pairs([(row.name, row.run) for row in self.rows], self.ranks)

    @property
    def _finished(self) -> list[Row]:
        return [row for row in self.rows if row.run.result is not None]

    @functools.cached_property
    def ranks(self) -> list[int | None]:
        """Each row's rank from 1, equal ones having equal ranks; None where it is not ranked."""
        found = [row.validation if row.run.result is not None else {} for row in self.rows]
        known = [i for i, figures in enumerate(found) if figures.get(self.metric) is not None]
        if differing([self.rows[i].validated_on for i in known]):
            known = []
        return self._ranks({i: found[i] for i in known}, len(self.rows))

    @functools.cached_property
    def group_ranks(self) -> list[int | None]:
        """Each group's rank by the means over its runs; None where it is not ranked."""
        if len({_sets(group) for group in self.groups}) != 1:
            return [None] * len(self.groups)
        means = enumerate(map(_means, self.groups))
        return self._ranks({i: mean for i, mean in means if mean[self.metric] is not None}, len(self.groups))

    def _ranks(self, figures: dict[int, Figures], size: int) -> list[int | None]:
        """Ranks of what is validated, by the metric and then by the lower loss; of one alone there is none."""
        sign = -1 if self.columns.choosing[self.metric].larger_is_better else 1
        order = {i: (sign * one[self.metric], _or_infinity(one.get("loss"))) for i, one in figures.items()}
        if len(order) < 2:
            return [None] * size
        return [1 + sum(other < order[i] for other in order.values()) if i in order else None for i in range(size)]

    def is_best(self, rank: int | None, ranks: Sequence[int | None]) -> bool:
        """Whether to mark what has this rank: not where all have the same."""
        return rank == 1 and max(other or 1 for other in ranks) > 1

    def notes(self) -> list[str]:
        """What to know of the figures, a sentence or two each."""
        title, told = self.columns.choosing[self.metric].title, []
        if any([*self.ranks, *self.group_ranks]):
            told.append(
                f"Ranks go by validation {title}, of equals by the lower validation loss, each run at the step "
                "that its result is of; a star marks the best."
            )
        told.append(
            "Test figures have no ranks and no stars: they tell how good a run is that was chosen by validation, "
            "and no longer do when they choose it."
        )
        metrics = sorted({row.run.metric for row in self._finished})
        if metrics not in ([], [self.metric]):
            told.append(f"The runs chose their best checkpoints by {_list(metrics)}; ranks can only go by {title}.")
        validated = [row for row in self._finished if row.validation[self.metric] is not None]
        parts = differing([row.validated_on for row in validated])
        if parts:
            told.append(
                "The runs are not ranked: they were validated on different examples (what differs: "
                f"{_list(parts)})."
            )
        if len({_sets(group) for group in self.groups}) > 1:
            told.append("The repetitions are not ranked: they were not all validated on the same examples.")
        tested = [row for row in self._finished if row.run.result.split == "test"]
        parts = differing([row.tested_on for row in tested])
        if parts:
            told.append(
                "The test figures do not compare directly: they are of different examples (what differs: "
                f"{_list(parts)})."
            )
        elif tested and len(tested) < len(self._finished):
            told.append("Not all runs have test figures.")
        return [*told, *self.doubts, *self._of_runs()]

    def _of_runs(self) -> list[str]:
        by_sentence: dict[str, list[str]] = {}
        for row in self.rows:
            sentences = row.run.notes()
            if row.run.result is None:
                sentences[0] += " It is not ranked."
            elif row.validation[self.metric] is None:
                sentences.append("It is not ranked: there is no finite validation figure of its result's step.")
            for sentence in sentences:
                by_sentence.setdefault(sentence, []).append(row.name)
        return [f"{', '.join(names)}: {sentence}" for sentence, names in by_sentence.items()]


def _or_infinity(loss: float | None) -> float:
    return float("inf") if loss is None else loss


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)


def _sets(group: Sequence[Row]) -> str:
    """What examples the runs of a group were validated on, in an order that does not depend on that of the runs."""
    return repr(sorted(repr(sorted(row.validated_on.items())) for row in group))


def _means(group: Sequence[Row]) -> Figures:
    """The mean of each validation figure that all runs of the group have."""
    columns = {name: [row.validation[name] for row in group] for name in group[0].columns.validation.values()}
    return {name: None if None in values else statistics.fmean(values) for name, values in columns.items()}


def common(group: Sequence[Row]) -> list[str]:
    """What the runs of a group have in common of what tells all runs apart."""
    return [flag for flag in group[0].differs if all(flag in row.differs for row in group)]


def read_comparison(train_dirs: Sequence[str | pathlib.Path]) -> Comparison:
    """Reads the runs and finds out what tells them apart.

    Raises:
        UsageError: a directory is no run's or is named twice, or the runs are of several tasks.
        DataError: a file in one is not as a run writes it.
    """
    real = [os.path.realpath(os.path.expanduser(folder)) for folder in train_dirs]
    for i, folder in enumerate(real):
        if folder in real[:i]:
            raise UsageError(f"{train_dirs[i]} is named twice; name each run once")
    runs = [read_run(folder) for folder in train_dirs]
    _check_one_task(runs)
    told = [run.settings | {"data_dir": place} for run, place in zip(runs, places(runs))]
    every = {name: None for settings in told for name in settings if name not in OF_THE_DISK}
    apart = [name for name in every if any(settings.get(name) != told[0].get(name) for settings in told)]
    shown = [[name for name in apart if run.settings.get(name) is not None] for run in runs]
    rows = tuple(
        Row(name, run, tuple(run.flags(names)), validated_on, tested_on)
        for name, run, names, validated_on, tested_on in zip(
            _names(real), runs, shown, examples_of(runs, "validation"), examples_of(runs, "test")
        )
    )
    important = [name for name in apart if name not in _REPEATED_WITH]
    experiments = _experiments(rows, [[settings.get(name) for name in important] for settings in told])
    groups = [group for group in experiments if not _was_changed(group)]
    doubts = [
        f"{_list([row.name for row in group])}: Not counted as repetitions: their data changed between them."
        for group in experiments
        if group not in groups
    ]
    return Comparison(rows, tuple(groups), tuple(doubts), tuple(apart))


def _check_one_task(runs: Sequence[RunFiles]) -> None:
    """Raises UsageError if the runs are of several tasks, whose figures have nothing in common."""
    of_task = {name: [str(run.train_dir) for run in runs if run.task.name == name] for name in task_names()}
    there = [f"{_list(folders)} of {name}" for name, folders in of_task.items() if folders]
    if len(there) > 1:
        raise UsageError(
            f"the runs are of several tasks, which do not compare: {'; '.join(there)}; name runs of one"
        )


def _experiments(rows: Sequence[Row], settings: Sequence[list]) -> list[tuple[Row, ...]]:
    """Finished runs with equal classes, splits and `settings`: two or more each."""
    members: dict[str, list[Row]] = {}
    for row, told in zip(rows, settings):
        if row.run.result is not None:
            key = repr([told, list(row.run.result.class_names), row.run.result.split])
            members.setdefault(key, []).append(row)
    return [tuple(group) for group in members.values() if len(group) > 1]


def _was_changed(group: Sequence[Row]) -> bool:
    """Whether runs that draw their splits alike have other examples in them."""
    by_draw: dict[tuple, list[Row]] = {}
    for row in group:
        by_draw.setdefault(tuple(row.setting(name) for name in ("fold", "split_seed")), []).append(row)
    return any(
        differing([row.validated_on for row in alike]) or differing([row.tested_on for row in alike])
        for alike in by_draw.values()
    )


def _names(folders: Sequence[str]) -> list[str]:
    """The least of the ends of the paths that tells them apart."""
    parts = [pathlib.PurePath(folder).parts for folder in folders]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(path[-depth:]) for path in parts]
        if len(set(names)) == len(names):
            break
    return names
