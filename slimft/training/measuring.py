"""Evaluation within a run: by its graph, on the features that are kept, by all of its processes."""

from __future__ import annotations

from collections.abc import Callable

from slimft.tasks import Scores
from slimft.training.state import State


def evaluate(state: State, split: str, keep: Callable[[dict], object] = lambda batch: None) -> Scores | None:
    """Evaluates on a split, on the features of it that are kept if there are any; None if a signal comes.

    `keep` gets the batches of this process, as of `Evaluator.run`.
    """
    state.features.compute((split,))
    features, group = state.features.evaluation_batches(split), state.run.group
    evaluator, dataset = state.run.training.evaluator, state.run.splits[split]
    part = group.index, group.number
    name = f"evaluating {split}"
    scores = evaluator.run(state.session, dataset, state.is_to_stop, keep, features, part, name)
    if scores is None or group.number == 1:
        return scores
    total = evaluator.task.scores(evaluator.num_classes)
    for message in group.gather(scores.to_bytes()):
        total.merge(total.from_bytes(message))
    return total


def write_events(state: State, split: str, step: int, figures: dict) -> None:
    chosen = [figure.name for figure in state.run.settings.task.figures if figure.chooses]
    state.events.write(step, {f"{split}/{name}": figures[name] for name in chosen})
