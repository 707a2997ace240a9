"""A progress bar on standard error for what is read of a checkpoint."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping

import numpy as np

from slimft.checkpoint import Checkpoint
from slimft.checkpoint.view import CheckpointView
from slimft.messages import stream_for_bars
from slimft.wire.binary_file import Malformed

# A terminal is redrawn ten times a second; a log file gets a line now and then.
_TERMINAL_SECONDS = 0.1
_LOG_SECONDS = 10.0


class ReadProgress(CheckpointView):
    """A view of a checkpoint with a progress bar of the bytes read of it; a context manager.

    Args:
        source: the checkpoint.
        names: each name here, with the name there.
        dtype: what floating-point variables are converted to; None leaves them.
    """

    def __init__(self, source: Checkpoint, names: Mapping[str, str], dtype: np.dtype | None = None):
        super().__init__(source, names, dtype)
        self._sizes = {name: stored_bytes(source, there) or 0 for name, there in self._names.items()}
        self._bar = None

    def __enter__(self) -> ReadProgress:
        from slimft.progress_bar import ProgressBar

        terminal = stream_for_bars().isatty()
        self._bar = ProgressBar(
            desc=os.path.basename(self.path),
            total=sum(self._sizes.values()),
            unit="B",
            unit_scale=True,
            ascii=not terminal,
            mininterval=_TERMINAL_SECONDS if terminal else _LOG_SECONDS,
            leave=not terminal,
        )
        return self

    def __exit__(self, *exception) -> None:
        self._bar.close()

    def _read(self, name: str) -> np.ndarray:
        try:
            return super()._read(name)
        except Malformed as error:  # The source's own errors are CheckpointErrors: this one is of the conversion.
            raise Malformed(f"{error}; choose another dtype or exclude it") from None
        finally:
            if self._bar is not None:
                self._bar.update(self._sizes[name])


def stored_bytes(checkpoint: Checkpoint, name: str) -> int | None:
    """The size of a variable's values in bytes, without reading them; None for strings, where it is unknown."""
    dtype = checkpoint.dtype(name)
    return None if dtype.hasobject else math.prod(checkpoint.shape(name)) * dtype.itemsize
