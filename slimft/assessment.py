"""All figures of an evaluation: what `evaluation` adds up, areas under curves, intervals, and thresholds."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from slimft.data import WHOLE, load_for_evaluation
from slimft.data.dataset import OF_READING
from slimft.data.views import TTA
from slimft.errors import UsageError
from slimft.evaluation import Evaluation, can_keep, evaluate_chosen
from slimft.evaluation_data import ChosenData, choose_data
from slimft.inference import Network
from slimft.messages import say
from slimft.tasks.class_thresholds import Threshold, Wanted, choose, told_of, wanted_of
from slimft.tasks.classification_figures import Areas, Intervals, areas, intervals
from slimft.tasks.decisions import UNSURE, decide, unsure_among

# Classes in a result, each with its figures.
MOST_IN_RESULT = 1000
# A top-k accuracy by default, where there are more than twice as many classes.
_TOP = 5


@dataclasses.dataclass(frozen=True)
class Asked:
    """What is asked for of an evaluation beyond its data.

    Attributes:
        tta: over which views of each image the probabilities are averaged, one of `slimft.data.views.TTA`.
        top: each k of a top-k accuracy; None for 5 where there are more than 10 classes.
        bootstrap: how many resamples intervals come from, 0 for none; None for 1000, which leave out areas where
            that takes long.
        threshold_for: as of `slimft.tasks.class_thresholds.wanted_of`.
        examples: how many examples to draw and evaluate; None for all.
    """

    tta: str = "none"
    top: Sequence[int] | None = None
    bootstrap: int | None = None
    threshold_for: Sequence[str] = ()
    examples: int | None = None

    def of_classes(self) -> dict[str, object]:
        """By flag, what is asked for that only classes of whole images have."""
        asked: dict[str, object] = {"tta": None if self.tta == "none" else self.tta, "bootstrap": self.bootstrap}
        asked["threshold_for"] = ",".join(self.threshold_for) or None
        asked["top"] = None if self.top is None else ",".join(map(str, self.top))
        return {flag: value for flag, value in asked.items() if value is not None}


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """Thresholds that were chosen on validation, and what they reach there and on what was evaluated.

    Attributes:
        values: float64 ``[classes]``; 0 for a class of which nothing was asked.
        chosen: of each class its threshold; None likewise.
        validated: what they were chosen on: ``split, examples, dataset, data_dir``.
        classes: for each that has one ``class, wanted, threshold, reached, validation`` and ``evaluated``, both as
            of `told_of`.
        decided: int ``[examples]``, the class that is said of each evaluated example, or `UNSURE`.
        class_names: the classes' names, by label.
        rule: ``coverage``, the share of the evaluated examples of which a class is said; ``accuracy``, the share of
            these that are right; ``unsure``, how many are not of these.
    """

    values: np.ndarray
    chosen: Sequence[Threshold | None]
    validated: dict[str, Any]
    classes: list[dict[str, Any]]
    decided: np.ndarray
    class_names: tuple[str, ...]
    rule: dict[str, Any]

    def decisions(self) -> list[str]:
        """The name of the class that is said of each evaluated example, or that of none."""
        unsure = unsure_among(self.class_names)
        return [unsure if label == UNSURE else self.class_names[label] for label in self.decided]

    def told(self) -> dict[str, Any]:
        """What a result says of them."""
        return {"chosen_on": self.validated, "classes": self.classes, "rule": self.rule}

    def to_json(self, result: Mapping[str, Any]) -> dict[str, Any]:
        """The file that ``bin/predict --threshold`` reads, with where it comes from."""
        labels = [label for label, one in enumerate(self.chosen) if one is not None]
        # A name that several classes have tells none of them; a number does.
        names = self.class_names
        keys = [names[label] if names.count(names[label]) == 1 else str(label) for label in labels]
        origin = {name: result[name] for name in ("model", "checkpoint", "train_dir", "tta")}
        if "networks" in result:
            origin["checkpoint"] = [one["checkpoint"] for one in result["networks"]]
        evaluated = {name: result[name] for name in ("split", "examples", "dataset", "data_dir")}
        return {
            "thresholds": {key: float(self.values[label]) for key, label in zip(keys, labels)},
            "of": {**origin, **self.told(), "evaluated_on": evaluated},
        }


@dataclasses.dataclass(frozen=True)
class Assessment:
    """An evaluation with all its figures.

    Attributes:
        result: all figures and how they came about, of what JSON has.
        evaluation: the evaluation.
        per_class: each class's figures.
        intervals: None where none were asked for.
        thresholds: likewise.
    """

    result: dict[str, Any]
    evaluation: Evaluation
    per_class: list[dict[str, Any]]
    intervals: Intervals | None = None
    thresholds: Thresholds | None = None


def assess(
    networks: Sequence[Network],
    dataset: str | None = None,
    data_dir: str | os.PathLike | None = None,
    split: str | None = None,
    options: Mapping[str, object] | None = None,
    batch_size: int = 64,
    asked: Asked | None = None,
) -> Assessment:
    """Evaluates a network, or an ensemble.

    Args:
        networks: one, or those whose probabilities are averaged.
        dataset, data_dir, split, options: as of `slimft.evaluation_data.choose_data`.
        batch_size: examples at a time.
        asked: what else; None for the defaults.

    Raises:
        UsageError: what is asked for makes no sense for the task, the classes or the data.
        DataError, CheckpointError, RestoreError: as of `slimft.evaluation.evaluate_in_full`.
    """
    asked, first = asked or Asked(), networks[0]
    is_map = first.task.targets.is_map
    _check(networks, asked)
    chosen = choose_data(first, dataset, data_dir, split, options, networks[1:])
    wanted, validation = None, None
    if asked.threshold_for:
        wanted = wanted_of(asked.threshold_for, chosen.dataset.class_names)
        validation = _validation(networks, chosen, dataset, data_dir, options)
        note = f"thresholds are chosen on the {validation.dataset.split} split:"
        validation = dataclasses.replace(validation, notes=(note, *validation.notes))
        chosen = chosen.without(validation.dataset, "among the validation images, on which thresholds are chosen")
    chosen = chosen.sampled(asked.examples, first.settings.split_seed if first.settings else 0)
    both = [chosen] if validation is None else [chosen, validation]
    if wanted is not None and not all(can_keep(one.dataset, first.num_classes) for one in both):
        raise UsageError(
            "--threshold_for: the probabilities of all classes and examples take more than 2 GB; give --examples"
        )
    if asked.tta in ("flips", "ten_crops") and not chosen.dataset.flip:
        say(f"--tta={asked.tta}: of {chosen.dataset.name}, a mirror image may be of another class or of none")
    evaluation, *validated = evaluate_chosen(networks, both, batch_size, not is_map, asked.tta)
    per_class = evaluation.scores.per_class(evaluation.dataset.class_names)
    if is_map:
        return Assessment({**evaluation.result, "per_class": _listed(per_class)}, evaluation, per_class)
    tops = _tops(asked, first.num_classes)
    of_all, of_classes = _areas_of(evaluation)
    if of_classes is not None:
        for row, roc, average in zip(per_class, of_classes.roc_auc, of_classes.average_precision):
            row |= {"roc_auc": roc, "average_precision": average}
    found = None if asked.bootstrap == 0 else _intervals_of(evaluation, tops, asked.bootstrap)
    thresholds = _thresholds(wanted, validated[0], evaluation) if wanted is not None else None
    ranked = evaluation.ranks
    result = {
        **evaluation.result,
        **{f"top_{k}_accuracy": float((ranked < k).mean()) for k in tops},
        **of_all,
        "ece": evaluation.scores.calibration()["ece"],
        "intervals": None if found is None else _told(found),
        **({} if thresholds is None else {"thresholds": thresholds.told()}),
        "per_class": _listed(per_class),
    }
    return Assessment(result, evaluation, per_class, found, thresholds)


def _check(networks: Sequence[Network], asked: Asked) -> None:
    """Raises UsageError for what makes no sense."""
    first = networks[0]
    if asked.tta not in TTA:
        raise UsageError(f"--tta={asked.tta} must be one of {', '.join(TTA)}")
    for flag, least in (("bootstrap", 0), ("examples", 1)):
        value = getattr(asked, flag)
        if value is not None and value < least:
            raise UsageError(f"--{flag}={value} must be at least {least}")
    if first.task.targets.is_map:
        for flag, value in asked.of_classes().items():
            raise UsageError(f"--{flag}={value}: it is for classes of whole images, and {first.spec.name} segments")
        if len(networks) > 1:
            raise UsageError(f"{first.spec.name} segments; an ensemble, several runs in --train_dir, classifies")
    for k in asked.top or ():
        if not 1 <= k < first.num_classes:
            raise UsageError(f"--top={k}: of {first.num_classes} classes it is 1 to {first.num_classes - 1}")


def _tops(asked: Asked, num_classes: int) -> tuple[int, ...]:
    if asked.top is not None:
        return tuple(dict.fromkeys(asked.top))
    return (_TOP,) if num_classes > 2 * _TOP else ()


def _areas_of(evaluation: Evaluation) -> tuple[dict[str, Any], Areas | None]:
    probabilities = evaluation.predictions.probabilities
    if probabilities is None:
        say("no areas under curves: the probabilities of all classes and examples take more than 2 GB (--examples)")
        return {"roc_auc": None, "average_precision": None, "classes_with_areas": None}, None
    found = areas(evaluation.predictions.labels, probabilities)
    return found.macro(), found


def _intervals_of(evaluation: Evaluation, tops: Sequence[int], resamples: int | None) -> Intervals:
    made = evaluation.predictions
    groups = evaluation.dataset.groups
    if groups is not None:
        groups = np.unique(groups, return_inverse=True)[1]
    found = intervals(
        made.labels, made.predicted, made.num_classes, evaluation.ranks, tops, made.probabilities, groups, resamples
    )
    if found.left_out:
        say("no intervals of areas under curves, which would take long: --bootstrap=1000 has them")
    return found


def _told(found: Intervals) -> dict[str, Any]:
    units = "groups" if found.grouped else "images"
    of = {name: list(ends) for name, ends in found.of.items()}
    return {"share": 0.95, "resamples": found.resamples, units: found.units, **of}


def _listed(per_class: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
    return per_class if len(per_class) <= MOST_IN_RESULT else None


def _validation(
    networks: Sequence[Network],
    chosen: ChosenData,
    dataset: str | None,
    data_dir: str | os.PathLike | None,
    options: Mapping[str, object] | None,
) -> ChosenData:
    """What thresholds are chosen on: the run's validation split; without a run, that of the data.

    Raises:
        UsageError: there is none, or it is what is evaluated.
    """
    first, flag = networks[0], "--threshold_for"
    where = "thresholds are chosen on the validation split, and told of another"
    if chosen.dataset.split == "validation":
        raise UsageError(f"{flag}: {where}; what is evaluated is the validation split: give --split=test, or data")
    if chosen.dataset.split == WHOLE and chosen.dataset.in_memory:
        raise UsageError(f"{flag}: {where}; --split=all holds both: give --split=test")
    if chosen.own:
        return choose_data(first, dataset, data_dir, "validation", options, networks[1:])
    if first.settings is not None:
        return choose_data(first, first.settings.dataset, None, "validation", None, networks[1:])
    if chosen.dataset.split == WHOLE or not _has_validation(first, dataset, data_dir, options):
        raise UsageError(
            f"{flag}: {where}; the checkpoint is of no run, and the data has no validation split: give a "
            "checkpoint in its run's directory, or data with a validation split"
        )
    return choose_data(first, dataset, data_dir, "validation", options, networks[1:])


def _has_validation(network: Network, dataset, data_dir, options) -> bool:
    """Whether data has a validation split itself, or flags draw one."""
    if set(options or ()) - set(OF_READING):
        return True
    return "validation" in load_for_evaluation(dataset, data_dir, None, network.known_class_names)


def _thresholds(wanted: Sequence[Wanted | None], validated: Evaluation, evaluated: Evaluation) -> Thresholds:
    seen, told, data = validated.predictions, evaluated.predictions, evaluated.dataset
    values = np.zeros(told.num_classes)
    chosen: list[Threshold | None] = []
    classes = []
    for label, one in enumerate(wanted):
        if one is None:
            chosen.append(None)
            continue
        found = choose(seen.labels, seen.probabilities[:, label], label, one)
        values[label] = found.value
        chosen.append(found)
        classes.append(
            {
                "class": data.class_names[label],
                "wanted": str(one),
                "threshold": found.value,
                "reached": found.reached,
                "validation": told_of(seen.labels, seen.probabilities[:, label], label, found.value),
                "evaluated": told_of(told.labels, told.probabilities[:, label], label, found.value),
            }
        )
        _say_unreached(found, data.class_names[label])
    decided = decide(told.probabilities, values)
    sure = decided != UNSURE
    right = int(np.count_nonzero(decided == told.labels))
    rule = {
        "coverage": float(sure.mean()),
        "accuracy": right / int(np.count_nonzero(sure)) if sure.any() else None,
        "unsure": int(np.count_nonzero(~sure)),
    }
    of = {name: validated.result[name] for name in ("split", "examples", "dataset", "data_dir")}
    return Thresholds(values, chosen, of, classes, decided, data.class_names, rule)


def _say_unreached(found: Threshold, name: str) -> None:
    if found.reached:
        return
    figure = found.wanted.figure
    if found.best is None:
        why = "validation has no examples of it"
    else:
        why = f"the most that any threshold reaches in validation is {found.best:.4f}"
    always = "the class is never said" if found.value else "the class is always said"
    say(f"{name}: no threshold for a {figure} of {found.wanted.least:g}: {why}; with {found.value:g}, {always}")
