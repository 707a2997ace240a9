"""What the tests of trackers share: a run's directory, as a run leaves it at any step; without TensorFlow."""

import dataclasses
import json

import numpy as np
import pytest

from slimft import write_checkpoint
from slimft.data.class_names import write_labels
from slimft.runs.result import write_result
from slimft.runs.settings import Settings
from slimft.runs.settings_file import save_settings

LOG_STEPS, VALIDATION_STEPS = 10, 25


class MadeRun:
    """A directory that looks as a run left it; ``loss`` is 1 / step, for ``salt`` 0."""

    def __init__(self, folder, **settings):
        self.folder = folder
        folder.mkdir()
        self.settings = Settings(model="lenet", dataset="digits", train_dir=str(folder), **settings)
        save_settings(self.settings)
        write_labels(folder, ("cat", "dog"))
        (folder / "restore.txt").write_text("nothing")

    def change(self, **settings):
        self.settings = dataclasses.replace(self.settings, **settings)
        save_settings(self.settings)

    def train_to(self, step, saved=None, salt=0.0, validated=True):
        """Writes the history to `step`, and after it a checkpoint, of that step or of `saved`."""
        train = [
            {"step": at, "loss": 1 / at + salt, "accuracy": 0.5, "seconds": at / 10, "images_per_second": 100.0}
            for at in range(LOG_STEPS, step + 1, LOG_STEPS)
        ]
        validation = [
            {"step": at, "examples": 7, "accuracy": at / 1000, "loss": 2 / at + salt}
            for at in range(VALIDATION_STEPS, step + validated, VALIDATION_STEPS)
        ]
        best = validation[-1]["step"] if validation else None
        history = {"train": train, "validation": validation, "best_step": best, "metric": "accuracy"}
        (self.folder / "history.json").write_text(json.dumps(history))
        self.save(step if saved is None else saved)

    def save(self, step, where=""):
        """Writes a checkpoint."""
        folder = self.folder / where
        folder.mkdir(exist_ok=True)
        name = f"model.ckpt-{step}"
        write_checkpoint(folder / name, {"weights": np.full([3], step, np.float32)})
        (folder / "checkpoint").write_text(f'model_checkpoint_path: "{name}"\n')

    def end(self, step, accuracy=0.75):
        """Writes how the run has ended."""
        result = {
            "split": "test",
            "examples": 9,
            "accuracy": accuracy,
            "loss": 0.5,
            "step": step,
            "last_step": step,
        }
        write_result(
            self.folder, result, restore="", class_names=["cat", "dog"], class_counts={}, seconds=step / 10
        )
        (self.folder / "report.html").write_text("<html>")


@pytest.fixture
def made_run(tmp_path):
    return MadeRun(tmp_path / "run")
