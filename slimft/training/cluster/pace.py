"""How long each process takes for its part of a step: all wait for the slowest, which is named."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping

from slimft.messages import say
from slimft.training.cluster.group import Group

# A process is slow that takes so much longer than the others' median, in two points of the curves in a row.
_SLOWER, _LONGER_SECONDS = 1.4, 0.02
# Processes whose times are all told.
_MOST_TOLD = 8


class Pace:
    """Tells how long the processes of a group take; nothing of a single one.

    Args:
        group: the processes.
        log_steps: steps between two points of the curves.
        write: gets a step and each process's seconds for a step, by tag, at each point.
    """

    def __init__(self, group: Group, log_steps: int, write: Callable[[int, Mapping[str, float]], None]):
        self._group, self._log_steps, self._write = group, log_steps, write
        self._seconds: list[float] = []
        self._has_begun = self._has_told = False
        self._before: set[int] = set()
        self._slow: set[int] = set()

    def step(self, step: int, seconds: float | None) -> None:
        """Notes how long this process took for its part of `step`; all note each step."""
        if self._group.number == 1 or seconds is None:
            return
        if self._has_begun:  # The first step optimizes the graph.
            self._seconds.append(seconds)
        self._has_begun = True
        if step % self._log_steps == 0 and self._seconds:
            own, self._seconds = statistics.fmean(self._seconds), []
            self._note(step, [json.loads(one) for one in self._group.gather(json.dumps(own).encode())])

    def _note(self, step: int, of_all: list[float]) -> None:
        self._write(step, {f"workers/{index}_seconds_per_step": one for index, one in enumerate(of_all)})
        if not self._has_told:
            self._has_told = True
            say(f"until it waits for the others, a step takes {self._told(of_all)}")
        now = {index for index in range(len(of_all)) if _is_slow(of_all, index)}
        slow, self._before = now & self._before, now
        for index in sorted(slow - self._slow):
            others = statistics.median(of_all[:index] + of_all[index + 1 :])
            say(
                f"step {step}: {self._group.name(index)} is slow, and all wait for it: {of_all[index]:.2g} s a "
                f"step, the others {others:.2g} s"
            )
        for index in sorted(self._slow - now):
            say(f"step {step}: {self._group.name(index)} is as fast as the others again")
        self._slow = slow | (self._slow & now)

    def _told(self, of_all: list[float]) -> str:
        if len(of_all) <= _MOST_TOLD:
            return ", ".join(f"worker {index} {one:.2g} s" for index, one in enumerate(of_all))
        slowest = max(range(len(of_all)), key=of_all.__getitem__)
        return f"{statistics.median(of_all):.2g} s, {self._group.name(slowest)} {of_all[slowest]:.2g} s"


def _is_slow(of_all: list[float], index: int) -> bool:
    others = statistics.median(of_all[:index] + of_all[index + 1 :])
    return of_all[index] > _SLOWER * others and of_all[index] - others > _LONGER_SECONDS
