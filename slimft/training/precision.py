"""What ``--precision=auto`` comes to in training."""

from __future__ import annotations

from collections.abc import Callable

from slimft.compat import tf
from slimft.data import Dataset
from slimft.nets import NetworkSpec
from slimft.precision_choice import choose_precision, shortest_time
from slimft.runs.settings import Settings
from slimft.session import initialize
from slimft.training.graph import TrainingGraph
from slimft.training.stages import Stage

# Steps of a run below which measuring would take a good part of its time.
_FEW_STEPS = 50


def resolve_precision(
    settings: Settings,
    spec: NetworkSpec,
    dataset: Dataset,
    stage: Stage,
    steps: int,
    replicas: int,
    graph_in: Callable[[str], TrainingGraph] | None,
) -> tuple[str, list[str]]:
    """The precision of a run, where ``auto`` stands for one, and a line on it, if there is something to say.

    A run that is to be the same each time, or is too short to be worth it, is one in float32.

    Args:
        settings: the run's settings; `image_size` must be set.
        spec: the network.
        dataset: the training split.
        stage: what trains, and is measured.
        steps: the steps of the whole run.
        replicas: how many compute a step together.
        graph_in: makes the graph that trains in a precision; None to go by what is remembered alone.
    """
    if settings.precision != "auto":
        return settings.precision, []
    if settings.deterministic:
        return "float32", []
    of = {
        "trains": [*stage.trainable, "but", *settings.freeze],
        "network": spec.name,
        "head": settings.head,
        "classes": dataset.num_classes,
        "image_size": settings.image_size,
        **({"images": dataset.image_shape(settings.image_size)} if dataset.task == "segmentation" else {}),
        **{name: value for name, value in settings.network_options().items() if value is not None},
        "batch_size": settings.batch_size,
        "optimizer": settings.optimizer,
        "batch_norm": settings.batch_norm,
        "remat": settings.remat,
        "xla": settings.xla,
        **({"replicas": replicas, "synchronised": settings.sync_batch_norm} if replicas > 1 else {}),
    }

    def seconds_of(precision: str) -> float:
        return _seconds_of(graph_in(precision))

    precision, note = choose_precision(of, seconds_of if graph_in and steps >= _FEW_STEPS else None)
    return precision, [note] if note else []


def _seconds_of(training: TrainingGraph) -> float:
    """The shortest time of a few steps, on one grey image over and over."""
    fed = training.batches.grey()
    replicas = training.replicas
    with training.graph.as_default(), tf.Session(replicas.target, config=replicas.config) as session:
        initialize(session, [*tf.global_variables(), *tf.local_variables()])
        training.parts.take(session)
        step = training.batches.step
        return shortest_time(lambda number: session.run(training.train_op, {**fed, step: number}))
