"""Weights & Biases. Its own variables count: WANDB_MODE, WANDB_ENTITY, WANDB_DIR and the rest."""

from __future__ import annotations

import os
import pathlib
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from slimft.tracking.base import FINISHED, Point, Told, without_users


def connect() -> WeightsAndBiases:
    """The tracker that the variables of Weights & Biases name."""
    return WeightsAndBiases()


class WeightsAndBiases:
    """As of `slimft.tracking.base.Tracker`."""

    def __init__(self) -> None:
        import wandb

        self._wandb: Any = wandb
        self._run: Any = None
        self._step = -1
        self.where = without_users(os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai")

    def begin(self, told: Told, identity: str | None) -> str:
        identity = identity or secrets.token_hex(8)
        self._run = self._wandb.init(
            id=identity,
            resume="allow",
            project=told.project or os.environ.get("WANDB_PROJECT") or "slimft",
            name=told.name,
            tags=[f"{name}: {value}"[:64] for name, value in told.tags.items()],
            # Its console, code and machine are those of this process, and not of the training.
            settings=self._wandb.Settings(console="off", silent=True, disable_code=True, disable_git=True),
        )
        self._step = told.step
        # Figures stand at their step, whatever W&B counts: it wants each of its own to be above the last.
        self._run.define_metric("step", hidden=True)
        self._run.define_metric("*", step_metric="step")
        self._run.config.update(dict(told.settings), allow_val_change=True)
        return identity

    def describe(self) -> str:
        # Without a network there is no address, but a folder.
        place = self._run.url or f"{pathlib.Path(self._run.dir).parent} (wandb sync uploads it)"
        return f"run {self._run.name} of project {self._run.project}, at {place}"

    def log(self, points: Sequence[Point]) -> None:
        for point in points:
            self._step = max(point.step, self._step + 1)
            figures = {**point.figures, "step": point.step, "seconds": point.seconds}
            self._run.log(figures, step=self._step, commit=True)

    def conclude(self, point: Point) -> None:
        self._run.summary.update({**point.figures, "step": point.step})

    def keep(self, files: Mapping[str, pathlib.Path]) -> None:
        for name, file in files.items():
            base = str(file).removesuffix(name)
            self._run.save(str(file), base_path=base, policy="now")

    def keep_checkpoint(self, files: Mapping[str, pathlib.Path]) -> None:
        artifact = self._wandb.Artifact(f"run-{self._run.id}", type="model")
        for name, file in files.items():
            artifact.add_file(str(file), name=name)
        self._run.log_artifact(artifact)

    def end(self, status: str) -> None:
        self._run.summary["status"] = status
        self._run.finish(exit_code=0 if status == FINISHED else 1)
