"""MLflow. Its own variables say where: MLFLOW_TRACKING_URI, or else ``mlflow.db`` where the command is run."""

from __future__ import annotations

import contextlib
import os
import pathlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from slimft.tracking.base import Gone, Point, Told, without_users

# What is set where the user has not. MLflow's own would wait for minutes until it says that there is no server.
_IMPATIENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "15"}
_SECONDS_FOR_FILES = "600"
# Of MLflow's interface: in one request, and of one value.
_MOST_FIGURES, _MOST_SETTINGS, _MOST_LETTERS = 1000, 100, 500
_CHANGED = "settings now"


def connect() -> MLflow:
    """The tracker that MLflow's variables name.

    Raises:
        Exception: whatever MLflow raises.
    """
    return MLflow()


class MLflow:
    """As of `slimft.tracking.base.Tracker`."""

    def __init__(self) -> None:
        for name, value in _IMPATIENT.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient, get_tracking_uri

        self.where = without_users(get_tracking_uri()).rstrip("/")
        self._client = MlflowClient()
        self._identity, self._began, self._description = "", 0, ""

    def begin(self, told: Told, identity: str | None) -> str:
        if identity is None and not self._identity:
            now = int(time.time() * 1000)
            # What was trained before counts as time of the run.
            self._began = now - int(told.seconds * 1000)
            run = self._client.create_run(
                self._experiment(told.project), start_time=self._began, tags=dict(told.tags), run_name=told.name
            )
            self._identity = run.info.run_id
            self._add_settings(self._identity, told.settings)
        else:
            run = self._found(identity or self._identity)  # Without one, the last try to begin came only so far.
            self._identity = run.info.run_id
            self._began = run.info.start_time
            self._client.update_run(self._identity, status="RUNNING")
            self._change_settings(run, told.settings)
        experiment = self._client.get_experiment(run.info.experiment_id)
        place = f"in {self.where} (mlflow ui --backend-store-uri={self.where} shows it)"
        if self.where.startswith(("http://", "https://")):
            place = f"at {self.where}/#/experiments/{experiment.experiment_id}/runs/{self._identity}"
        self._description = f"run {run.info.run_name} of experiment {experiment.name}, {place}"
        return self._identity

    def describe(self) -> str:
        return self._description

    def log(self, points: Sequence[Point]) -> None:
        from mlflow.entities import Metric

        # The time of a point is what its run tells, not when it came: what comes twice is one point.
        figures = [
            Metric(name, value, self._began + int(point.seconds * 1000), point.step)
            for point in points
            for name, value in point.figures.items()
        ]
        for start in range(0, len(figures), _MOST_FIGURES):
            self._client.log_batch(self._identity, metrics=figures[start : start + _MOST_FIGURES])

    def conclude(self, point: Point) -> None:
        self.log([point])

    def keep(self, files: Mapping[str, pathlib.Path]) -> None:
        with _patient():
            for name, file in files.items():
                folder = name.rpartition("/")[0] or None
                self._client.log_artifact(self._identity, str(file), folder)

    keep_checkpoint = keep

    def end(self, status: str) -> None:
        self._client.set_terminated(self._identity, status)
        self._identity = ""

    def _experiment(self, project: str | None) -> str:
        """The identity of the experiment of that name, which is made if need be."""
        identity = os.environ.get("MLFLOW_EXPERIMENT_ID")
        if project is None and identity:
            return identity
        from mlflow.exceptions import MlflowException

        name = project or os.environ.get("MLFLOW_EXPERIMENT_NAME") or "slimft"
        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                return self._client.create_experiment(name)
            except MlflowException:  # Another run may just have made it.
                found = self._client.get_experiment_by_name(name)
                if found is None:
                    raise
        return found.experiment_id

    def _found(self, identity: str) -> Any:
        from mlflow.exceptions import MlflowException

        try:
            run = self._client.get_run(identity)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                raise Gone from None
            raise
        if run.info.lifecycle_stage == "deleted":
            raise Gone
        return run

    def _add_settings(self, identity: str, settings: Mapping[str, object]) -> None:
        from mlflow.entities import Param

        parameters = [Param(name, _cut(value)) for name, value in settings.items()]
        for start in range(0, len(parameters), _MOST_SETTINGS):
            self._client.log_batch(identity, params=parameters[start : start + _MOST_SETTINGS])

    def _change_settings(self, run: Any, settings: Mapping[str, object]) -> None:
        """Tells what is set otherwise now, in a tag: a parameter of MLflow never changes."""
        had, has = dict(run.data.params), {name: _cut(value) for name, value in settings.items()}
        self._add_settings(run.info.run_id, {name: has[name] for name in has.keys() - had.keys()})
        changed = {name: has.get(name, "left out") for name in had if had[name] != has.get(name)}
        if changed:
            text = ", ".join(f"{name}={value}" for name, value in sorted(changed.items()))
            self._client.set_tag(run.info.run_id, _CHANGED, text[:_MOST_LETTERS])
        elif _CHANGED in run.data.tags:
            self._client.delete_tag(run.info.run_id, _CHANGED)


def _cut(value: object) -> str:
    text = str(value)
    return text if len(text) <= _MOST_LETTERS else f"{text[: _MOST_LETTERS - 3]}..."


@contextlib.contextmanager
def _patient() -> Iterator[None]:
    """Lets a server take its time meanwhile, unless the user has said how much."""
    name = "MLFLOW_HTTP_REQUEST_TIMEOUT"
    before = os.environ[name]
    if before == _IMPATIENT[name]:
        os.environ[name] = _SECONDS_FOR_FILES
    try:
        yield
    finally:
        os.environ[name] = before
