"""What of a checkpoint a run restores: its own when it goes on, another one's when it begins."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from slimft.checkpoint import Checkpoint, open_checkpoint
from slimft.checkpoint.averages import averaged, has_averages
from slimft.checkpoint.narrow import narrowed
from slimft.compat import tf
from slimft.nets import get_network
from slimft.renaming import parse_renames
from slimft.restore import RestorePlan, plan_restore
from slimft.runs.settings import Settings
from slimft.training.graph import TrainingGraph


def plan_to_resume(latest: str, training: TrainingGraph, begins: bool) -> RestorePlan:
    """Everything comes from the run's own checkpoint, but at the beginning of a stage the optimizer's variables."""
    variables = tf.global_variables()
    if begins:
        checkpoint = open_checkpoint(latest)
        averages = {average.op.name for average in training.averages.of.values()} if training.averages else set()
        fresh = training.optimizer_variables | {name for name in averages if name not in checkpoint}
        variables = [variable for variable in variables if variable.op.name not in fresh]
    return plan_restore(latest, variables)


def plan_to_start(settings: Settings) -> tuple[RestorePlan | None, list[str]]:
    """What is restored first, and what is to be said of it."""
    if settings.checkpoint is None:
        return None, []
    exclude = settings.exclude
    if settings.head != "linear":
        # The network's own last layer is not there to be excluded, and a new head is in no other's checkpoint.
        exclude = [scope for scope in exclude if scope not in get_network(settings.model).logits_scopes]
        names = open_checkpoint(settings.checkpoint)
        if "head" not in exclude and not any(name.startswith("head/") for name in names):
            exclude.append("head")
    rename = parse_renames(settings.rename) or None
    checkpoint, said = open_checkpoint(settings.checkpoint), []
    if has_averages(checkpoint) if settings.averages is None else settings.averages:
        checkpoint = averaged(checkpoint)
        where = f"in {checkpoint.path} (--noaverages for the weights)"
        said = [f"starting from the moving averages of the weights {where}"]
    spec = get_network(settings.model)
    if settings.fc_width is not None:
        whole, checkpoint = checkpoint, narrowed(checkpoint, settings.fc_width, spec.scope)
        if checkpoint is not whole:
            said.append(f"fc6 and fc7 start from {settings.fc_width} filters of {whole.path}, every so many-th")
    if spec.task == "segmentation" and rename is None:  # Else what is missing is told, with what to exclude.
        fresh = _lacking(checkpoint, [scope for scope in spec.logits_scopes if scope not in exclude])
        exclude = [*exclude, *fresh]
        if fresh:
            said.append(f"{', '.join(fresh)} start afresh: {checkpoint.path} has nothing of them")
    plan = plan_restore(checkpoint, include=settings.include, exclude=exclude, rename=rename, cast=settings.cast)
    return plan, said


def _lacking(checkpoint: Checkpoint, scopes: Sequence[str]) -> list[str]:
    """The scopes, of those that the graph has, in which a checkpoint has nothing."""
    there = [variable.op.name for variable in tf.global_variables()]

    def is_in(scope: str, names: Iterable[str]) -> bool:
        return any(name.startswith(f"{scope}/") for name in names)

    names = {*checkpoint, *checkpoint.aliases()}
    return [scope for scope in scopes if is_in(scope, there) and not is_in(scope, names)]
