"""How many pixels the threads of this process may decode at the same time."""

from __future__ import annotations

import collections
import contextlib
import os
import threading
from collections.abc import Iterator


class PixelBudget:
    """A budget that threads share; they get their part in the order in which they ask.

    Args:
        pixels: the budget; who wants more than that waits until nobody else has any.
    """

    def __init__(self, pixels: int):
        self._pixels = pixels
        self._reset()
        if hasattr(os, "register_at_fork"):
            # The threads that had some are not there in a child.
            os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        self._used, self._waiting, self._changed = 0, collections.deque(), threading.Condition()

    @contextlib.contextmanager
    def hold(self, pixels: int) -> Iterator[None]:
        """Waits until so many are left, and has them for the length of the block. A thread must not nest these."""
        me = object()
        with self._changed:
            self._waiting.append(me)
            try:
                while self._waiting[0] is not me or (self._used and self._used + pixels > self._pixels):
                    self._changed.wait()
                self._used += pixels
            finally:
                self._waiting.remove(me)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._used -= pixels
                self._changed.notify_all()
