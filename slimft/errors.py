"""The errors slimft raises on purpose.

Each message is one line that names the flag or file, says what is wrong and what to do. The
commands print it to standard error and exit with `exit_status`; library users catch `SlimftError`.
"""


class SlimftError(Exception):
    """Anything slimft can explain. Bad input unless a subclass says otherwise."""

    exit_status = 2

    def __str__(self) -> str:
        # A value that a message repeats may hold anything.
        return "".join(letter if letter >= " " else repr(letter)[1:-1] for letter in super().__str__())


class UsageError(SlimftError):
    """A flag or argument has a value that cannot work."""


class PatternError(SlimftError, ValueError):
    """An include, exclude or trainable pattern is malformed or selects nothing."""


class CheckpointError(SlimftError):
    """A checkpoint is missing, unreadable or corrupt."""


class RestoreError(SlimftError, ValueError):
    """A checkpoint does not fit the variables it should restore. (A ValueError as slim's own.)"""


class DataError(SlimftError):
    """A dataset is missing, empty, truncated or corrupt."""


class TrainingError(SlimftError):
    """Training cannot go on, for example because the loss is not finite."""

    exit_status = 1


class ExportError(SlimftError):
    """An exported network does not say what its session says, so it was not kept."""

    exit_status = 1


class LegacyNameError(UsageError, ValueError):
    """A name of research/slim that slimft does not have."""
