"""What a run has measured so far: its learning curves, and all that early stopping goes by.

The file is written before each checkpoint, and a run that resumes forgets what comes after its step. So best
checkpoint and patience are those of a run that was never interrupted, without any state of their own.
"""

from __future__ import annotations

import json
import pathlib

from slimft.errors import SlimftError
from slimft.files import write_atomically

HISTORY_FILE = "history.json"


class History:
    """The records of a run, each a dictionary with its ``step``, in the order of the steps.

    Args:
        train_dir: the run's directory.
        metric: the key of validation records that tells the best one; the smallest ``loss`` is the best, and the
            largest of anything else.

    Attributes:
        train: means over the steps since the record before: ``step, loss, accuracy, learning_rate, seconds`` (of
            training, from the start of the run) and ``images_per_second``.
        validation: ``step`` and the metrics.
    """

    def __init__(self, train_dir: str, metric: str):
        self._file = pathlib.Path(train_dir, HISTORY_FILE)
        self._sign = -1 if metric == "loss" else 1
        self.metric = metric
        self.train: list[dict] = []
        self.validation: list[dict] = []

    def load(self, step: int) -> None:
        """Reads the records up to `step`; none where there is no file.

        Raises:
            SlimftError: the file cannot be read.
        """
        try:
            saved = json.loads(self._file.read_text(encoding="utf-8"))
            self.train, self.validation = (
                [record for record in saved[name] if record["step"] <= step] for name in ("train", "validation")
            )
            for record in self.validation:
                float(record[self.metric])
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise SlimftError(f"{self._file} cannot be read: {error!r}; restore or remove it") from None

    def save(self) -> None:
        """Writes the file, whole or not at all."""
        best = self.best()
        records = {
            "train": self.train,
            "validation": self.validation,
            "best_step": best and best["step"],
            "metric": self.metric,
        }
        write_atomically(self._file, json.dumps(records) + "\n")

    @property
    def seconds(self) -> float:
        """How long the run has trained."""
        return self.train[-1]["seconds"] if self.train else 0.0

    def validated(self, step: int) -> bool:
        """Whether there is a validation of `step`."""
        return any(record["step"] == step for record in self.validation)

    def best(self) -> dict | None:
        """The best validation, the first of equals."""
        return max(self.validation, key=lambda record: self._sign * record[self.metric], default=None)

    def validations_since_best(self, after: int = 0) -> int:
        """How many validations in a row, of those after step `after`, were not better than the best before them."""
        best, since = None, 0
        for record in self.validation:
            if record["step"] <= after:
                continue
            value = self._sign * record[self.metric]
            best, since = (value, 0) if best is None or value > best else (best, since + 1)
        return since
