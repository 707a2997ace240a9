"""Where a run begins or goes on, by what its directory holds: the chief looks, and tells the other processes."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

from slimft.checkpoint.locate import latest_in_state
from slimft.runs.directory import check_free, find_checkpoint, step_of
from slimft.runs.settings import Settings
from slimft.runs.settings_file import saved_settings
from slimft.training.cluster.group import Group


@dataclasses.dataclass(frozen=True)
class Beginning:
    """What a run's directory holds.

    Attributes:
        saved: the settings of the run that is in it; None if there is none.
        newest: the prefix of its newest checkpoint; None if there is none.
        latest: that of the one to go on from; None where the run begins.
        step: the step that this one was saved at; 0 where the run begins.
    """

    saved: Settings | None
    newest: str | None
    latest: str | None
    step: int


def find_beginning(settings: Settings, group: Group, resume_from: int | None, begins: bool) -> Beginning:
    """Looks where a run begins, in the chief's file system; the other processes need not see the directory.

    Args:
        settings: the run's settings, complete.
        group: the run's processes.
        resume_from: the step of the checkpoint to go on from; None for the newest.
        begins: whether this process is not training in the directory yet.

    Raises:
        UsageError: the directory is in use, or holds another run, or the checkpoint is not there.
    """
    found = _look(settings, resume_from, begins) if group.is_chief else None
    if group.number == 1:
        assert found is not None
        return found
    told: dict[str, Any] = group.broadcast(found and dataclasses.asdict(found))
    if found is not None:
        return found
    saved = told["saved"]
    if saved is not None:
        saved = Settings(**{name: tuple(one) if isinstance(one, list) else one for name, one in saved.items()})
    return Beginning(saved, told["newest"], told["latest"], told["step"])


def _look(settings: Settings, resume_from: int | None, begins: bool) -> Beginning:
    assert settings.train_dir is not None  # `complete` has filled it in.
    if begins:
        check_free(settings.train_dir)
    saved = saved_settings(settings)
    newest = latest_in_state(pathlib.Path(settings.train_dir))
    latest = find_checkpoint(settings.train_dir, resume_from)
    return Beginning(saved, newest, latest, 0 if latest is None else step_of(latest))
