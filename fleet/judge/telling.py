"""A robot host tells of its missions as they end: RUN/missions.jsonl, beside which `muster rollout serve RUN` judges.

The control loop appends a tuple to a deque. A thread makes missions of the steps and writes them, under the file's
lock. A disk that fails is counted and told once; its missions wait for the next try. Nothing here raises into the loop.

A rollout judges by the time of day. Where the robots' site clock is another one (a simulated floor begins at 0), a
mission is told as if it had ended at the moment in which this was written down; how long it took stays what it was.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from fleet.judge.driven import Driven, shift_of, step
from fleet.judge.missions import Mission, append_missions
from fleet.judge.near import Sight
from fleet.records import Inputs, Outputs
from sim.robot import SECOND

INTERVAL = 0.1
"""s between two looks: a few steps of each robot, so that the interpreter's lock is never held for long."""
QUEUE_STEPS = 20_000
"""Steps that wait at most; later ones are dropped and counted, and their missions lose their counts."""
WAITING = 10_000
"""Missions that wait for a disk at most, some 4 MB; older ones are dropped and counted."""
APART = 3600 * SECOND
"""ns between the site's clock and the time of day from which on it is another clock, not one that is wrong."""
PAUSE = 1.0
"""s after a write that failed, until the next."""


class Teller:
    """Owns the missions of one process's robots, and the thread that writes them."""

    def __init__(
        self,
        path: Path,
        sights: Mapping[str, Sight],
        capacity: float | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        """`sights` by robot; `capacity` J of a full battery, None where not known; `clock` ns of the time of day."""
        self.counts = {"told": 0, "failed_writes": 0, "dropped_steps": 0, "dropped": 0, "faults": 0}
        self._path, self._sights, self._clock = path, dict(sights), clock
        self._states = {robot: Driven(robot=robot, capacity=capacity) for robot in sights}
        self._queue: deque[tuple[str, Inputs, Outputs, float]] = deque()
        self._waiting: list[Mission] = []
        self._again = 0.0
        self._complained: set[str] = set()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, name="missions", daemon=True)

    def start(self) -> None:
        """Write from now on."""
        self._thread.start()

    def append(self, robot: str, inputs: Inputs, outputs: Outputs, seconds: float) -> None:
        """One step of a robot; costs about a microsecond and never blocks or raises."""
        if len(self._queue) >= QUEUE_STEPS:
            self.counts["dropped_steps"] += 1
            return
        self._queue.append((robot, inputs, outputs, seconds))

    def close(self) -> None:
        """Write what ended, and end. What is under way is not told: nobody knows what would have come of it."""
        self._end.set()
        if self._thread.ident is not None:
            self._thread.join(5.0)

    def work(self, now: float) -> None:
        """Make missions of what waits, and write them; `now` s of a clock that only grows."""
        for _ in range(len(self._queue)):
            robot, inputs, outputs, seconds = self._queue.popleft()
            try:
                gap = self._sights[robot].gap(inputs)
                self._states[robot], ended = step(self._states[robot], inputs, outputs, seconds, gap)
            except Exception as error:  # a mistake of ours: the thread must live, and the others' missions be told
                self.counts["faults"] += 1
                self._complain("a step cannot be counted", error)
                continue
            self._waiting += [by_clock(mission, inputs.stamp, self._clock()) for mission in ended]
        if not self._waiting or now < self._again:
            return
        self.counts["dropped"] += max(0, len(self._waiting) - WAITING)
        self._waiting = self._waiting[-WAITING:]
        try:
            append_missions(self._path, self._waiting)
        except Exception as error:  # mostly OSError: the disk is full
            self.counts["failed_writes"] += 1
            self._again = now + PAUSE
            self._complain("missions cannot be written, they wait", error)
            return
        self.counts["told"] += len(self._waiting)
        self._waiting = []

    def _work(self) -> None:
        while not self._end.wait(INTERVAL):
            self.work(time.monotonic())
        self._again = 0.0
        self.work(time.monotonic())

    def _complain(self, what: str, error: Exception) -> None:
        """Say on the console what went wrong, once for each kind."""
        kind = f"{what} {type(error).__name__}"
        if kind not in self._complained:
            self._complained.add(kind)
            print(f"{self._path}: {what} ({error!r})", file=sys.stderr, flush=True)


def by_clock(mission: Mission, stamp: int, now: int) -> Mission:
    """The mission by the time of day where the site has another clock; it is `now` at that one's `stamp`."""
    ahead = now - stamp
    if abs(ahead) < APART:
        return mission
    begin = mission.begin + ahead
    return msgspec.structs.replace(mission, begin=begin, end=mission.end + ahead, shift=shift_of(begin))
