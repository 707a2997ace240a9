"""What a network is trained for. Importing this package imports no TensorFlow.

>>> [figure.name for figure in get_task("classification").figures]
['accuracy', 'balanced_accuracy', 'macro_f1', 'loss']
"""

from slimft.tasks.base import Figure, Scores, TargetSpec, Task
from slimft.tasks.classification import Classification
from slimft.tasks.segmentation import Segmentation

__all__ = ["Figure", "Scores", "TargetSpec", "Task", "all_figures", "get_task", "metric_names", "task_names"]

_TASKS: dict[str, Task] = {task.name: task for task in (Classification(), Segmentation())}


def task_names() -> tuple[str, ...]:
    """The names of all tasks."""
    return tuple(_TASKS)


def get_task(name: str) -> Task:
    """The task called `name`.

    Raises:
        KeyError: there is none.
    """
    return _TASKS[name]


def all_figures() -> tuple[Figure, ...]:
    """The figures of all tasks, each once by its name."""
    return tuple({figure.name: figure for task in _TASKS.values() for figure in task.figures}.values())


def metric_names() -> tuple[str, ...]:
    """The names of the figures that can choose the best checkpoint."""
    return tuple(figure.name for figure in all_figures() if figure.chooses)
