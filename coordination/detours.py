"""Detours: what is closed to passing robots, and who plans around it.

Closed are the cells of robots that stand for long and cannot be pushed, and cells that robots report blocked. A robot
whose way down its goal's field comes through a closed cell of another takes a detour, the field of the same goal that
enters no closed cell, when that costs at most

    extra <= detour + seconds waited        (cells)

so that a short way round is taken at once and a long one when waiting has not helped. Everyone else plans as before.
For who fits beneath no standing pod their cells are closed too, and a way around them is taken whatever it costs.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from coordination.ledger import Ledger
from coordination.mover import Mover
from coordination.roadmap import FAR, NO_SLOT, NONE, Fields, Roadmap
from coordination.rules import Rules
from sim.robot import SECOND
from sim.site import make_site

STANDING, BLOCKED = 1, 2
"""Why a cell is closed: a robot stands there (never closed to itself), or something is reported to be there."""


class Detours:
    """Owns what is reported blocked, and what is closed in this tick."""

    def __init__(self, roadmap: Roadmap, rules: Rules) -> None:
        """Nothing is closed yet."""
        self.roadmap = roadmap
        self.rules = rules
        self._blocked: dict[int, int] = {}
        self._closed: frozenset[int] = frozenset()

    def report_blocked(self, cell: int, now: int) -> None:
        """A robot says that something stands in a cell; that is believed for a while."""
        self._blocked[cell] = now + self.rules.blocked

    def choose(self, ledger: Ledger, fields: Fields, now: int, pods: frozenset[int] = frozenset()) -> NDArray[np.int32]:
        """Close cells, and set the `slot` of everyone whose way meets one and for whom there is another.

        In `pods` stand some. Returns the slots by robot, (robots,), for the planner; NONE for who plans as always.
        """
        movers = ledger.movers.values()
        self._close(ledger, now)
        around = np.full(len(ledger.plans.end), NONE, np.int32)
        for mover in movers:
            mover.slot = NONE
        if not self._closed and not (pods and any(mover.tall for mover in movers)):
            return around
        fields.new_tick()
        closed = np.zeros((2, self.roadmap.cells), np.uint8)
        closed[:, list(self._closed)] = STANDING
        closed[:, list(self._blocked)] = BLOCKED
        closed[1, list(pods)] = BLOCKED
        barred = np.zeros(self.roadmap.cells, np.uint8)
        barred[list(pods)] = BLOCKED
        for mover in movers:
            if mover.goal == NONE or not mover.path or mover.report is None:
                continue
            blocked = self.first_blocked(mover)
            tail = mover.path[-1] if blocked == NONE else mover.path[blocked - 1]
            plain = fields.matrix[fields.slot(mover.goal)]
            law = ledger.owner, mover.index, self.roadmap.exits, self.roadmap.offsets
            if blocked == NONE and not _meets(tail, plain, closed[int(mover.tall)], *law):
                continue
            own_pods = pods if mover.tall else frozenset[int]()
            slot = self._around(mover, tail, fields, own_pods)
            most = int(plain[tail]) + self.rules.detour + (now - mover.still_since) / SECOND
            if slot != NO_SLOT and fields.matrix[slot, tail] < FAR and fields.matrix[slot, tail] <= most:
                mover.slot = around[mover.index] = slot
            elif own_pods and _meets(tail, plain, barred, *law):
                slot = fields.around(mover.goal, own_pods)
                if slot != NO_SLOT and fields.matrix[slot, tail] < FAR:
                    mover.slot = around[mover.index] = slot
        return around

    def first_blocked(self, mover: Mover) -> int:
        """Index in the path of the first cell ahead that is reported blocked and may be cut off; NONE for none."""
        if self._blocked:
            for index in range(max(mover.keep, mover.at) + 1, len(mover.path)):
                if mover.path[index] in self._blocked:
                    return index
        return NONE

    def _close(self, ledger: Ledger, now: int) -> None:
        self._blocked = {cell: until for cell, until in self._blocked.items() if until > now}
        closed = set(self._blocked)
        for mover in ledger.movers.values():
            stands = now - mover.still_since > self.rules.standing or now - mover.heard > self.rules.standing
            if stands:
                # One that can be pushed still closes what it reaches into beside its own cell: that is not left soon.
                pushable = mover.ahead == 0 and not mover.fixed(now, self.rules.silent)
                closed.update(mover.path[: mover.at] if pushable else mover.path)
                closed.update(mover.returning)
        self._closed = frozenset(closed)

    def _around(self, mover: Mover, tail: int, fields: Fields, pods: frozenset[int]) -> int:
        """The slot of the field of its goal around what is closed to it; NO_SLOT when there are too many."""
        own = self._closed.intersection([*mover.path, *mover.returning]).difference(self._blocked)
        slot = fields.around(mover.goal, (self._closed - own) | pods)
        if slot != NO_SLOT and fields.matrix[slot, tail] == FAR and self._blocked:
            # Better to wait behind a standing robot than to enter what was reported blocked.
            slot = fields.around(mover.goal, pods.union(self._blocked))
        return slot


@njit(cache=True, nogil=True)
def _meets(
    cell: int,
    distance: NDArray[np.uint16],
    closed: NDArray[np.uint8],
    owner: NDArray[np.int32],
    robot: int,
    exits: NDArray[np.uint8],
    offsets: NDArray[np.int32],
) -> bool:
    """Whether going down the field from a cell comes through a closed cell of another (the goal itself excepted)."""
    for _ in range(4096):
        if distance[cell] == 0 or distance[cell] == 65535:
            return False
        best = -1
        for move in range(4):
            if exits[cell] >> move & 1:
                there = cell + offsets[move]
                if distance[there] < distance[cell] and (best < 0 or closed[there] < closed[best]):
                    best = there
        if best < 0:
            return False
        if distance[best] > 0 and (closed[best] == BLOCKED or (closed[best] == STANDING and owner[best] != robot)):
            return True
        cell = best
    return False


def warm() -> None:
    """Compile (or load from numba's cache) what this module runs in a tick."""
    roadmap = Roadmap(make_site("warm", np.zeros((1, 3), bool)))
    closed = np.zeros(roadmap.cells, np.uint8)
    _meets(0, roadmap.field(2), closed, np.full(3, NONE, np.int32), 0, roadmap.exits, roadmap.offsets)
