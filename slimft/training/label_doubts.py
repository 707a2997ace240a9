"""Labels that are likely wrong among the examples that a run ends by evaluating, which it did not train on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from slimft.data.label_errors import ERRORS_FILE, LabelErrors, find_label_errors, rows_of_errors
from slimft.messages import say
from slimft.runs import pictures
from slimft.training.run_directory import RunDirectory

# Of all examples, 512 MB of float32.
_MOST_PROBABILITIES = 1 << 27
_MOST_SHOWN = 24


class LabelDoubts:
    """Keeps what a network says of the examples of a split, and finds the labels that it doubts.

    Not of a segmentation, nor where several processes evaluate a part each.

    Args:
        dataset: the split.
        task: the name of the run's task.
        processes: how many evaluate.
    """

    def __init__(self, dataset: Any, task: str, processes: int):
        self._dataset, self._probabilities = dataset, None
        self._found: LabelErrors | None = None
        if task != "classification" or processes > 1:
            return
        shape = dataset.num_examples, dataset.num_classes
        if shape[0] * shape[1] > _MOST_PROBABILITIES:
            say(f"of {shape[0]:,} examples and {shape[1]:,} classes label errors are not looked for")
            return
        self._probabilities = np.zeros(shape, np.float32)

    def add(self, batch: Mapping[str, np.ndarray]) -> None:
        """Adds a batch's ``probabilities``, with ``examples``, their indices."""
        if self._probabilities is not None:
            self._probabilities[batch["examples"]] = batch["probabilities"]

    def _errors(self) -> LabelErrors | None:
        if self._found is None and self._probabilities is not None:
            self._found = find_label_errors(self._dataset.labels, self._probabilities)
        return self._found

    def count(self) -> dict[str, int]:
        """``label_errors``, how many there are, once all is added; nothing where they are not looked for."""
        found = self._errors()
        return {} if found is None else {"label_errors": len(found)}

    def shown(self) -> list[dict]:
        """The first of them, for the report."""
        found = self._errors()
        if found is None:
            return []
        return pictures.label_errors(
            self._dataset, found, self._probabilities, self._dataset.labels, most=_MOST_SHOWN
        )

    def write(self, directory: RunDirectory) -> None:
        """Writes all of them into the run's directory."""
        found = self._errors()
        if found is not None:
            data = self._dataset
            directory.write_table(ERRORS_FILE, rows_of_errors(found, data.labels, data.class_names, data.describe))
