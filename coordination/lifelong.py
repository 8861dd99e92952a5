"""Lifelong path finding where every robot moves at once each tick: PIBT's synchronous execution.

It has no leases and no wire: it shows what the planner alone achieves, on the instances and by the rules of the League
of Robot Runners 2023 (Chan et al., "The League of Robot Runners Competition", 2024), and at what cost a tick. Robot i
does errands i, i + robots, i + 2 robots, ... for ever, the competition's round-robin rule, and gets the next when it
reaches its goal. Priority is the time since then.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from coordination.pibt import decide, situation
from coordination.roadmap import NONE, Fields, Roadmap


class Lifelong:
    """Owns the robots' cells; `tick` moves all of them at once."""

    def __init__(self, roadmap: Roadmap, starts: NDArray[np.int32], errands: NDArray[np.int32]) -> None:
        """Raises RoadmapError when a start or an errand is no free cell."""
        robots = len(starts)
        roadmap.check_cells(starts.tolist(), "start cells")
        roadmap.check_cells(np.unique(errands).tolist(), "errands")
        self.roadmap = roadmap
        self.errands = errands.astype(np.int32)
        self.fields = Fields(roadmap, slots=robots + 256)
        self.done = 0
        """Errands done so far."""
        self._next_errand = np.arange(robots) % len(errands)
        self._since = np.zeros(robots, np.int64)
        self._ticks = 0
        self._now = situation(robots, roadmap.cells)
        self._now.end[:] = starts
        self._now.tail[:] = starts
        self._now.ready[:] = 1
        self._now.owner[starts] = np.arange(robots)
        self._now.at[starts] = np.arange(robots)
        self._renew(np.arange(robots))

    @property
    def cells(self) -> NDArray[np.int32]:
        """Where the robots are, (robots,)."""
        return self._now.end.copy()

    @property
    def goals(self) -> NDArray[np.int32]:
        """Where they want to go, (robots,)."""
        return self._now.goal.copy()

    def tick(self) -> None:
        """Assign errands, compute missing fields, decide and move."""
        now = self._now
        arrived = np.flatnonzero(now.end == now.goal)
        self.done += len(arrived)
        self._renew(arrived)
        decide(self.roadmap, self.fields, self._since, now)
        moved = np.flatnonzero(now.next != now.end)
        step = now.next[moved] - now.end[moved]
        now.heading[moved] = np.argmax(self.roadmap.offsets[None, :] == step[:, None], axis=1)
        now.at[now.end[moved]] = NONE
        now.owner[now.end[moved]] = NONE
        now.end[moved] = now.next[moved]
        now.tail[moved] = now.next[moved]
        now.at[now.end] = np.arange(len(now.end))
        now.owner[now.end] = now.at[now.end]
        self._ticks += 1

    def _renew(self, robots: NDArray[np.integer]) -> None:
        self._now.goal[robots] = self.errands[self._next_errand[robots]]
        self._next_errand[robots] = (self._next_errand[robots] + len(self._since)) % len(self.errands)
        self._since[robots] = self._ticks
