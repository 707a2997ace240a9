"""Stopping when asked to: Ctrl-C, SIGTERM and a closed terminal end the loop after the current step."""

from __future__ import annotations

import os
import signal
import threading

# SIGHUP comes when a terminal or an ssh connection is closed; Windows has none.
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
# In the environment of a worker of bin/finetune --launch, which its supervisor ends if need be. What signals all
# processes of a job, as Slurm does, reaches it twice: by itself and from the supervisor.
LAUNCHED = "SLIMFT_LAUNCHED"


class StopSignals:
    """Notes SIGINT, SIGTERM and SIGHUP instead of dying; the second one acts as ever, but for a launched worker.

    What was ignored before stays ignored, as SIGHUP is under nohup. Used as a context manager. Outside the main
    thread, where Python takes no signals, it notes nothing.

    Attributes:
        received: the signal that came, or None.
    """

    def __init__(self):
        self.received: signal.Signals | None = None
        self._previous = {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                # None: a handler that is not Python's, which could not be put back.
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *exception):
        self._restore()

    def _note(self, number, frame):
        del frame
        self.received = self.received or signal.Signals(number)
        if LAUNCHED not in os.environ:
            self._restore()

    def _restore(self):
        while self._previous:
            signal.signal(*self._previous.popitem())
