"""The ledger: whose each cell is, each robot's granted path, and every change of hands.

Two books say the same from two sides: `owner` has each cell's robot, and a `Mover` has each robot's cells, those of its
path and those that are `returning` (out of its grant and not yet released). After a start `hold` and `release` alone
change the first, and every one of their changes is in `changes` for the store, in order. What keeps the law:

    a cell that is held is held by one robot, and only `release` ends that
    a grant that lacks a cell has another id than the one that had it, so an acknowledgement says which of them was seen
    plans end in cells of their own: `plans.at` is the inverse of `plans.end`, and whoever loses a plan's end to
    another plans anew (`cancel`, from one robot to the next that relied on it)

`rightofway` decides when; nothing here reads a clock or a report.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coordination.mover import Mover
from coordination.pibt import Situation, situation
from coordination.roadmap import NONE, Roadmap


@dataclass(frozen=True)
class Change:
    """A cell that changes hands; in this order to the store."""

    kind: str
    """grant; cover, when a robot stands there already; or release"""
    robot: str
    cell: int
    grant_id: int


class Ledger:
    """Owns the cells' owners, the movers' paths, the ends of their plans, and the grants' ids."""

    def __init__(self, roadmap: Roadmap) -> None:
        """An empty floor."""
        self.roadmap = roadmap
        self.movers: dict[str, Mover] = {}
        self.changes: list[Change] = []
        """Since the caller emptied it"""
        self.plans = situation(64, roadmap.cells)
        """What the planner works on; a mover's row is its index."""
        self.owner: NDArray[np.int32] = self.plans.owner
        self.next_id = 1
        """Of the next grant; ids only rise"""
        self._names: list[str] = []

    def holder(self, cell: int) -> str:
        """Name of the robot that holds a cell; empty for none."""
        index = int(self.owner[cell])
        return self._names[index] if index >= 0 else ""

    def mover(self, robot: str, now: int) -> Mover:
        """The mover of that name; a new one without cells if there is none yet."""
        mover = self.movers.get(robot)
        if mover is None:
            mover = Mover(robot, len(self._names), since=now, still_since=now)
            self.movers[robot] = mover
            self._names.append(robot)
            if mover.index >= len(self.plans.end):
                self.plans = _larger(self.plans)
        return mover

    def take_back(self, mover: Mover, cells: list[int]) -> None:
        """At a start: cells that the store says are the robot's, in the order in which they were granted."""
        for cell in cells:
            self.owner[cell] = mover.index
        mover.path = cells

    def new_id(self) -> int:
        """An id for a grant that is not the one before."""
        self.next_id += 1
        return self.next_id - 1

    def hold(self, mover: Mover, cell: int, identity: int, kind: str = "grant") -> None:
        """A cell that nobody holds becomes the robot's."""
        self.owner[cell] = mover.index
        self.changes.append(Change(kind, mover.name, cell, identity))

    def release(self, mover: Mover, cell: int) -> None:
        """A cell of the robot's is free; the caller takes it out of the path or out of what is returning."""
        self.owner[cell] = NONE
        self.changes.append(Change("release", mover.name, cell, mover.grant_id))

    def move_end(self, mover: Mover, cell: int) -> None:
        """The plan ends in `cell` now. All of a tick's ends move before the next `decide`, so they never collide."""
        end = int(self.plans.end[mover.index])
        if end >= 0 and self.plans.at[end] == mover.index:
            self.plans.at[end] = NONE
        self.plans.at[cell] = mover.index
        self.plans.end[mover.index] = cell

    def enter(self, mover: Mover, path: list[int], under: list[int], cell: int) -> None:
        """Found on the floor: the robot's path is `path`, what else it held or covers is returning."""
        self.cancel(mover)
        for other in dict.fromkeys([*path, *under]):
            if self.owner[other] == NONE:
                self.hold(mover, other, self.new_id(), "cover")
        mover.grant_id = self.new_id()
        for other in [*mover.path, *under]:
            if other not in path:
                mover.returning[other] = mover.grant_id
        for other in path:
            mover.returning.pop(other, None)
        mover.path = path
        mover.at = path.index(cell)
        self._end_at_tail(mover)

    def leave_behind(self, mover: Mover, count: int, identity: int) -> None:
        """Take the first cells of the path out of the grant, which is `identity` now."""
        for cell in mover.path[:count]:
            mover.returning[cell] = identity
        del mover.path[:count]
        mover.at -= count
        mover.keep -= count
        mover.grant_id = identity

    def extend(self, mover: Mover, cell: int) -> None:
        """Grant a cell at the path's end; one of its own that lies behind, or was cut off, joins it again."""
        identity = self.new_id()
        if self.owner[cell] == mover.index:
            # Released and granted anew, so that the store keeps the cells in driving order.
            self.release(mover, cell)
            mover.returning.pop(cell, None)
            if cell in mover.path:
                self.leave_behind(mover, mover.path.index(cell) + 1, identity)
                del mover.returning[cell]
        self.hold(mover, cell, identity)
        step = cell - mover.path[-1]
        self.plans.heading[mover.index] = int(np.flatnonzero(self.roadmap.offsets == step)[0])
        mover.path.append(cell)
        mover.grant_id = identity
        mover.pending = NONE
        self.plans.tail[mover.index] = cell

    def claim(self, mover: Mover, cell: int) -> None:
        """Grant a cell beside the path's end that no plan asked for; whoever planned to end there plans anew."""
        self._evict(cell, mover)
        self.move_end(mover, cell)
        self.extend(mover, cell)

    def cut(self, mover: Mover, index: int) -> None:
        """Take the path from `index` on out of the grant; the cells are released when the robot has heard of it."""
        self.cancel(mover)
        identity = self.new_id()
        for cell in mover.path[index:]:
            mover.returning[cell] = identity
        del mover.path[index:]
        mover.grant_id = identity
        self._end_at_tail(mover)

    def cancel(self, mover: Mover) -> None:
        """Give a pending step up; who relied on its cell being left gives up too."""
        if mover.pending == NONE:
            return
        mover.pending = NONE
        tail = mover.path[-1]
        self._evict(tail, mover)
        self.move_end(mover, tail)

    def forget(self, mover: Mover) -> None:
        """The robot is not on the floor any more: its cells are free, and it has no plan."""
        self.cancel(mover)
        if mover.path and self.plans.at[mover.path[-1]] == mover.index:
            self.plans.at[mover.path[-1]] = NONE
        for cell in [*mover.path, *mover.returning]:
            self.release(mover, cell)
        mover.path, mover.returning, mover.report = [], {}, None
        self.plans.end[mover.index] = self.plans.tail[mover.index] = NONE

    def _end_at_tail(self, mover: Mover) -> None:
        tail = mover.path[-1]
        self._evict(tail, mover)
        self.move_end(mover, tail)
        self.plans.tail[mover.index] = tail

    def _evict(self, cell: int, mover: Mover) -> None:
        """Whoever else plans to end in a cell plans anew."""
        other = int(self.plans.at[cell])
        if other not in (NONE, mover.index):
            self.cancel(self.movers[self._names[other]])


def _larger(old: Situation) -> Situation:
    """The same situation with room for twice the robots."""
    robots = len(old.end)
    new = situation(2 * robots, 0)
    for name in ("end", "tail", "previous", "goal", "slot", "heading", "ready", "next", "tall"):
        getattr(new, name)[:robots] = getattr(old, name)
    return new._replace(owner=old.owner, at=old.at, own=old.own, claim=old.claim, pods=old.pods)
