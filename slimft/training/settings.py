"""The settings of a training run, and how they are kept in its directory."""

from __future__ import annotations

import dataclasses
import json
import pathlib

from slimft.errors import SlimftError, UsageError
from slimft.files import write_atomically

OPTIMIZERS = ("momentum", "sgd", "adam", "rmsprop")
SCHEDULES = ("cosine", "exponential", "fixed")
PRECISIONS = ("float32", "bfloat16")
SETTINGS_FILE = "settings.json"


@dataclasses.dataclass(frozen=True)
class Settings:
    """What ``bin/finetune`` was told; its flags have the same names and say what each one means."""

    model: str
    dataset: str = "digits"
    data_dir: str | None = None
    checkpoint: str | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    rename: tuple[str, ...] = ()
    cast: bool = False
    trainable: tuple[str, ...] = ()
    train_dir: str = "runs/default"
    image_size: int | None = None
    batch_size: int = 32
    epochs: float = 8.0
    steps: int | None = None
    learning_rate: float = 0.002
    schedule: str = "cosine"
    decay_factor: float = 0.94
    decay_epochs: float = 2.0
    optimizer: str = "momentum"
    momentum: float = 0.9
    weight_decay: float | None = None
    precision: str = "float32"
    seed: int = 0
    keep: int = 2
    save_secs: float = 600.0

    def total_steps(self, num_examples: int) -> int:
        """How many steps the run has, on that many training examples."""
        if self.steps is not None:
            return self.steps
        return max(1, round(self.epochs * num_examples / self.batch_size))


# What a run cannot change when it resumes, because the saved variables would not fit.
_FIXED = ("model", "dataset")


def save_settings(settings: Settings) -> None:
    """Writes the settings into the run's directory."""
    text = json.dumps(dataclasses.asdict(settings), indent=2)
    write_atomically(pathlib.Path(settings.train_dir, SETTINGS_FILE), text + "\n")


def load_settings(train_dir: str | pathlib.Path) -> Settings:
    """Reads the settings that `save_settings` wrote.

    Raises:
        UsageError: `train_dir` holds none, or they cannot be read.
    """
    file = pathlib.Path(train_dir, SETTINGS_FILE)
    try:
        saved = json.loads(file.read_text(encoding="utf-8"))
        known = {field.name for field in dataclasses.fields(Settings)}
        lists = ("include", "exclude", "rename", "trainable")
        return Settings(
            **{name: tuple(value) if name in lists else value for name, value in saved.items() if name in known}
        )
    except FileNotFoundError:
        raise UsageError(f"--train_dir={train_dir} is not the directory of a run: {file} is missing") from None
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise SlimftError(f"{file} cannot be read: {error}") from None


def saved_settings(settings: Settings) -> Settings | None:
    """The settings of the run that `settings.train_dir` already holds, or None.

    Raises:
        UsageError: it is a run of another model or dataset.
    """
    if not pathlib.Path(settings.train_dir, SETTINGS_FILE).exists():
        return None
    saved = load_settings(settings.train_dir)
    for name in _FIXED:
        if getattr(saved, name) != getattr(settings, name):
            raise UsageError(
                f"--train_dir={settings.train_dir} holds a run with --{name}={getattr(saved, name)}, not "
                f"{getattr(settings, name)}; name another directory"
            )
    return saved


def differences(saved: Settings, settings: Settings) -> list[str]:
    """One line for each setting of a resumed run that is not as it was."""
    return [
        f"--{field.name} was {getattr(saved, field.name)}, is now {getattr(settings, field.name)}"
        for field in dataclasses.fields(Settings)
        if field.name not in ("train_dir", "data_dir", "checkpoint", "keep", "save_secs")
        and getattr(saved, field.name) != getattr(settings, field.name)
    ]
