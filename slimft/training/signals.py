"""Stopping when asked to: Ctrl-C, SIGTERM and a closed terminal end the loop after the current step."""

from __future__ import annotations

import signal
import threading

# SIGHUP comes when a terminal or an ssh connection is closed; Windows has none.
_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class StopSignals:
    """Notes SIGINT, SIGTERM and SIGHUP instead of dying; the second one acts as ever.

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
        self.received = signal.Signals(number)
        self._restore()

    def _restore(self):
        while self._previous:
            signal.signal(*self._previous.popitem())
