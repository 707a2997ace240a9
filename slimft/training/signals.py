"""Stopping when asked to: Ctrl-C and SIGTERM end the loop after the current step."""

from __future__ import annotations

import signal
import threading


class StopSignals:
    """Notes SIGINT and SIGTERM instead of dying; the second one acts as ever.

    Used as a context manager. Outside the main thread, where Python takes no signals, it notes nothing.

    Attributes:
        received: the signal that came, or None.
    """

    def __init__(self):
        self.received: signal.Signals | None = None
        self._previous = {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *exception):
        self._restore()

    def _note(self, number, frame):
        del frame
        self.received = signal.Signals(number)
        self._restore()

    def _restore(self):
        while self._previous:
            signal.signal(*self._previous.popitem())
