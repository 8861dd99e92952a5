"""Right of way: which robot may be in which cell, and the order at cells that several want.

A cell has one owner. A robot's *path* is the cells that it was granted, in driving order, from those under its
footprint to its tail; the planner extends it a few cells ahead of the robot (`look_ahead`), and may cut it back when
plans change. The law:

1. A cell is granted only while nobody owns it, and is owned until its robot can no longer come into it. That takes two
   steps: the cell leaves the grant (new id), and it is released when a report says that this grant or a newer one was
   seen and that the footprint, and all that the robot could reach while braking, keeps out of it. So it does not matter
   which of the two messages is late.
2. What a robot may hold outlives this process: changes go to the store before any grant leaves; `restore` takes them
   back, and a robot's cells stay its own until it reports. A silent robot keeps its cells.
3. A step into a cell that its owner is bound to leave is *pending* (see `pibt`): reserved, told to nobody, granted
   when the cell is released, and given up after `patience`. The pairs of `waits_for` are the action dependency graph.
4. Robots that stand for long and cannot be pushed, and cells that robots report blocked, are closed to the detour field
   of those who would meet them; everyone else plans as before.

Nothing here reads a clock; determinism is that of its inputs' order.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numba import njit
from numpy.typing import NDArray

from coordination.messages import Grant, Report, RobotStatus
from coordination.pibt import Situation, decide, situation
from coordination.roadmap import FAR, NO_SLOT, NONE, Fields, Roadmap
from sim.geometry import CORRIDOR_POINTS
from sim.robot import SECOND, RobotSpec
from sim.site import make_site

GRANT_ID_GAP = 1_000_000
"""Ids left out at a restart: grants that only shrank are in no log, and no old id may acknowledge a new grant."""


FIELDS = 1024
"""Distance fields kept, at 2 bytes a cell (140 KB each on 70,000 cells): goals of 500 robots and as many tasks'."""

STANDING, BLOCKED = 1, 2
"""Why a cell is closed: a robot stands there (never closed to itself), or something is reported to be there."""

STANDING_SPEED = 0.02
"""m/s; what counts as standing wherever collisions are counted, too."""


@dataclass(frozen=True)
class Rules:
    """The numbers of the law."""

    look_ahead: int = 5
    """Cells granted beyond the one under the robot: at 1.5 m/s and 1.5 m/s^2 a robot needs 0.75 m to stop and covers
    0.6 m in the four cycles from its report to the new grant, so three cells of 1.2 m suffice; two more let it plan."""
    lease: int = 2 * SECOND
    """How long a grant holds without a newer picture."""
    silent: int = 1 * SECOND
    """A robot not heard for so long gets no new cells."""
    standing: int = 5 * SECOND
    """A robot that stands for so long and cannot be pushed is routed around."""
    blocked: int = 20 * SECOND
    """How long a cell that was reported blocked is routed around."""
    patience: int = 5 * SECOND
    """A pending step that is not granted for so long is planned anew."""
    detour: int = 60
    """Most cells of extra way for which a detour is taken at once; each second of waiting allows one more."""
    picture_radius: int = 8
    """Cells around a robot whose owners it is told of: the lidar's 10 m."""
    picture_cells: int = 64
    """At most so many of them, the nearest."""


@dataclass(frozen=True)
class Change:
    """A cell that changes hands; in this order to the store."""

    kind: str
    """grant; cover, when a robot stands there already; or release"""
    robot: str
    cell: int
    grant_id: int


@dataclass
class Mover:
    """One robot as right of way knows it."""

    name: str
    index: int
    path: list[int] = field(default_factory=list)
    """Granted cells in driving order; the first are under or behind the robot."""
    at: int = 0
    """Index in `path` of the cell under its centre."""
    keep: int = 0
    """Index in `path` up to which it cannot be cut back: under the footprint, or within braking distance."""
    returning: dict[int, int] = field(default_factory=dict)
    """Cells no longer in the grant and not yet released, each with the id of the grant that lacks it first."""
    pending: int = NONE
    pending_since: int = 0
    grant_id: int = 0
    goal: int = NONE
    level: int = 0
    """Priority of its errand; one level is worth a minute of waiting"""
    since: int = 0
    """When it got this goal"""
    finishing: bool = False
    """Stays on its goal until it has a new one: nobody pushes it away"""
    report: Report | None = None
    heard: int = 0
    """Stamp at which its newest report was handled"""
    anchor: tuple[float, float, float] = (0.0, 0.0, 0.0)
    still_since: int = 0
    """Since when it has been where `anchor` says"""
    conflict: str = ""
    """Why it gets no grant"""
    trespassed: set[int] = field(default_factory=set)
    """Cells of others under its footprint, already objected to"""
    slot: int = NONE
    """The field by which it plans around closed cells; NONE while it does not"""

    @property
    def ahead(self) -> int:
        """Granted cells beyond the one under its centre."""
        return len(self.path) - 1 - self.at


class RightOfWay:
    """Owns the cells' owners, the robots' paths and what is closed; `changes` collects what the store must know."""

    def __init__(self, roadmap: Roadmap, rules: Rules, spec: RobotSpec) -> None:
        """`spec` gives footprint and braking for every robot of the fleet."""
        self.roadmap = roadmap
        self.rules = rules
        self.spec = spec
        self.fields = Fields(roadmap, slots=FIELDS)
        self.movers: dict[str, Mover] = {}
        self.changes: list[Change] = []
        """Since the caller emptied it"""
        self.conflicts: list[str] = []
        """What was reported and must not be: one line each, since the caller emptied it"""
        self._now = situation(64, roadmap.cells)
        self._owner = self._now.owner
        self._names: list[str] = []
        self._next_id = 1
        self._blocked: dict[int, int] = {}
        self._closed: frozenset[int] = frozenset()
        self._grid = self._owner.reshape(roadmap.site.height, roadmap.site.width)
        self._around = _steps_by_distance(rules.picture_radius)

    # what others ask -------------------------------------------------------------------------------------------

    def owner(self, cell: int) -> str:
        """Name of the robot that holds a cell; empty for none."""
        index = int(self._owner[cell])
        return self._names[index] if index >= 0 else ""

    def tail(self, robot: str) -> int:
        """Where a robot's granted path ends, or NONE; distances to new work count from here."""
        mover = self.movers.get(robot)
        return mover.path[-1] if mover is not None and mover.path else NONE

    def waits_for(self) -> dict[str, str]:
        """The action dependency graph: each robot with a pending step, and who must leave first."""
        return {
            mover.name: self.owner(mover.pending)
            for mover in self.movers.values()
            if mover.pending != NONE and self._owner[mover.pending] >= 0
        }

    def grant(self, robot: str, now: int) -> Grant | None:
        """A robot's grant as of now; None when it has none."""
        mover = self.movers.get(robot)
        if mover is None or not mover.path or mover.conflict:
            return None
        cells = tuple(mover.path[: mover.at + CORRIDOR_POINTS])
        return Grant(mover.grant_id, cells, now + self.rules.lease)

    def others(self, robot: str) -> tuple[int, ...]:
        """Cells near a robot that others hold, nearest first."""
        mover = self.movers.get(robot)
        if mover is None or not mover.path:
            return ()
        row, column = divmod(mover.path[mover.at], self.roadmap.width)
        found = np.empty(self.rules.picture_cells, np.int32)
        count = _held_nearby(row, column, mover.index, self._grid, self._around, found)
        return tuple(found[:count].tolist())

    # what happens ----------------------------------------------------------------------------------------------

    def restore(self, held: Mapping[str, Sequence[int]], last_grant_id: int, now: int) -> None:
        """Take back what the store says that each robot holds, in the order in which it was granted."""
        self._next_id = last_grant_id + GRANT_ID_GAP
        for name, cells in held.items():
            mover = self._mover(name, now)
            for cell in cells:
                self._owner[cell] = mover.index
            mover.path = list(cells)

    def observe(self, robot: str, report: Report, now: int) -> None:
        """Take in a robot's report: where it is, what it has left, what it finds blocked. Older are passed over."""
        mover = self._mover(robot, now)
        if mover.report is not None and report.stamp < mover.report.stamp:
            return
        cell = self._cell_under(report)
        if cell == NONE:
            self._object(
                mover, f"{robot} reports a pose off the free floor: {report.pose[0]:.2f}, {report.pose[1]:.2f}"
            )
            return
        first = mover.report is None
        mover.report, mover.heard = report, now
        self._next_id = max(self._next_id, report.grant + 1)
        if first or (mover.conflict and not self._claimed_by_others(mover, report)):
            self._enter(mover, report, cell, now)
        if mover.conflict:
            return
        if cell in mover.path:
            mover.at = mover.path.index(cell)
        self._note_motion(mover, report, now)
        self._cover(mover, report)
        mover.keep = self._reach(mover, report)
        self._leave_behind(mover, report)
        for blocked in report.blocked:
            if blocked != cell and 0 <= blocked < self.roadmap.cells:
                self._blocked[blocked] = now + self.rules.blocked

    def set_goal(self, robot: str, goal: int, now: int, *, level: int = 0, finishing: bool = False) -> None:
        """Where a robot wants to go (NONE: nowhere); `finishing`: it stays there until told otherwise."""
        mover = self._mover(robot, now)
        if goal != mover.goal:
            mover.goal, mover.since = goal, now
        mover.level, mover.finishing = level, finishing

    def forget(self, robot: str) -> None:
        """An operator says that a robot is no longer on the floor: its cells are free."""
        mover = self.movers.get(robot)
        if mover is None:
            return
        self._cancel(mover)
        if mover.path and self._now.at[mover.path[-1]] == mover.index:
            self._now.at[mover.path[-1]] = NONE
        for cell in [*mover.path, *mover.returning]:
            self._release(mover, cell)
        mover.path, mover.returning, mover.report = [], {}, None
        self._now.end[mover.index] = self._now.tail[mover.index] = NONE

    def tick(self, now: int, stopped: bool = False) -> None:
        """Grant what has become free, plan one cell for everyone who is ready, and grant what can be granted.

        While the emergency stop is latched no cell is granted.
        """
        if stopped:
            return
        for mover in self.movers.values():
            if mover.pending == NONE:
                continue
            if self._owner[mover.pending] == NONE and not self._fixed(mover, now):
                self._extend(mover, mover.pending)
            elif now - mover.pending_since > self.rules.patience:
                self._cancel(mover)
        if not self.movers:
            return
        self._close(now)
        around = self._choose_detours(now)
        self._cut_before_blocked()
        rank = self._prepare(now)
        decide(self.roadmap, self.fields, rank, self._now, around)
        for mover in self.movers.values():
            self._apply(mover, now)

    # reports ---------------------------------------------------------------------------------------------------

    def _mover(self, robot: str, now: int) -> Mover:
        mover = self.movers.get(robot)
        if mover is None:
            mover = Mover(robot, len(self._names), since=now, still_since=now)
            self.movers[robot] = mover
            self._names.append(robot)
            if mover.index >= len(self._now.end):
                self._now = _larger(self._now)
            if 2 * len(self._names) > len(self.fields.matrix):
                self.fields = Fields(self.roadmap, slots=2 * len(self.fields.matrix))
        return mover

    def _cell_under(self, report: Report) -> int:
        site = self.roadmap.site
        x, y = report.pose[0], report.pose[1]
        if not (math.isfinite(x) and math.isfinite(y)):
            return NONE
        column, row = math.floor(x / site.cell), site.height - 1 - math.floor(y / site.cell)
        if not (0 <= column < site.width and 0 <= row < site.height) or site.blocked[row, column]:
            return NONE
        return row * site.width + column

    def _centre(self, cell: int) -> tuple[float, float]:
        """`Site.centre` of one cell, without arrays."""
        site = self.roadmap.site
        row, column = divmod(cell, site.width)
        return (column + 0.5) * site.cell, (site.height - row - 0.5) * site.cell

    def _claimed_by_others(self, mover: Mover, report: Report) -> list[int]:
        return [
            cell
            for cell in {*report.cells, self._cell_under(report)}
            if 0 <= cell < self.roadmap.cells and self._owner[cell] not in (NONE, mover.index)
        ]

    def _enter(self, mover: Mover, report: Report, cell: int, now: int) -> None:
        """First contact, or first after a restart: the robot's own cells, if nobody else holds them."""
        claimed = self._claimed_by_others(mover, report)
        if claimed:
            holders = sorted({self.owner(other) for other in claimed})
            self._object(mover, f"{mover.name} stands in cells {sorted(claimed)} that {', '.join(holders)} holds")
            return
        mover.conflict = ""
        self._cancel(mover)
        old = mover.path
        under = [other for other in report.cells if 0 <= other < self.roadmap.cells and self.roadmap.free[other]]
        if cell in old:
            # The log keeps cells in the order of granting; where it jumps, cells had been cut off or stepped on.
            start = end = old.index(cell)
            while start > 0 and self.roadmap.adjacent(old[start - 1], old[start]):
                start -= 1
            while end + 1 < len(old) and self.roadmap.adjacent(old[end], old[end + 1]):
                end += 1
            path = old[start : end + 1]
        else:
            beside = [other for other in under if other != cell and self.roadmap.adjacent(other, cell)]
            path = [*beside[:1], cell]
        for other in dict.fromkeys([*path, *under]):
            if self._owner[other] == NONE:
                self._hold(mover, other, self._id(), "cover")
        mover.grant_id = self._id()
        for other in [*old, *under]:
            if other not in path:
                mover.returning[other] = mover.grant_id
        for other in path:
            mover.returning.pop(other, None)
        mover.path = path
        mover.at = path.index(cell)
        mover.anchor, mover.still_since = report.pose, now
        self._evict(path[-1], mover)
        self._move_end(mover, path[-1])
        self._now.tail[mover.index] = path[-1]

    def _object(self, mover: Mover, why: str) -> None:
        if mover.conflict != why:
            mover.conflict = why
            self.conflicts.append(why)

    def _note_motion(self, mover: Mover, report: Report, now: int) -> None:
        moved = math.hypot(report.pose[0] - mover.anchor[0], report.pose[1] - mover.anchor[1])
        turned = abs(math.remainder(report.pose[2] - mover.anchor[2], math.tau))
        if moved > 0.05 or turned > 0.2:
            mover.anchor, mover.still_since = report.pose, now

    def _cover(self, mover: Mover, report: Report) -> None:
        """Cells under the footprint that are not its own: hold them while it is there, or object."""
        for cell in report.cells:
            if not 0 <= cell < self.roadmap.cells or not self.roadmap.free[cell]:
                continue
            owner = self._owner[cell]
            if owner == NONE:
                self._hold(mover, cell, mover.grant_id, "cover")
                mover.returning[cell] = 0
            elif owner != mover.index and cell not in mover.trespassed:
                mover.trespassed.add(cell)
                self.conflicts.append(f"{mover.name} reports itself in cell {cell} that {self.owner(cell)} holds")
        mover.trespassed.intersection_update(report.cells)

    def _reach(self, mover: Mover, report: Report) -> int:
        """Index in the path up to which the robot may come before it stands, whatever it is told now."""
        cell_size = self.roadmap.site.cell
        keep = mover.at
        for index in range(mover.at + 1, len(mover.path)):
            if mover.path[index] in report.cells:
                keep = index
        speed = abs(report.twist[0])
        if mover.at + 1 < len(mover.path):
            x, y = self._centre(mover.path[mover.at])
            step = mover.path[mover.at + 1] - mover.path[mover.at]
            ahead_x, ahead_y = _direction(step, self.roadmap.width)
            progress = (report.pose[0] - x) * ahead_x + (report.pose[1] - y) * ahead_y
            room = cell_size / 2 - progress  # from the centre to the next cell
            needed = braking_distance(speed, self.spec) + self.spec.radius + self.spec.localisation_bound
            if needed > room:
                keep = max(keep, mover.at + 1 + int((needed - room) // cell_size))
        return min(keep, len(mover.path) - 1)

    def _leave_behind(self, mover: Mover, report: Report) -> None:
        """Two steps of law 1: take cells behind out of the grant; release what the robot cannot come into any more."""
        left = 0
        while left < mover.at and mover.path[left] not in report.cells:
            left += 1
        if left:
            identity = self._id()
            for cell in mover.path[:left]:
                mover.returning[cell] = identity
            del mover.path[:left]
            mover.at -= left
            mover.keep -= left
            mover.grant_id = identity
        if not mover.returning:
            return
        # A robot stops within this distance of its centre; the diagonal of half a cell makes it one to cell centres.
        reach = braking_distance(abs(report.twist[0]), self.spec) + self.spec.radius + self.roadmap.site.cell * 0.71
        for cell, identity in list(mover.returning.items()):
            if report.grant < identity or cell in report.cells:
                continue
            x, y = self._centre(cell)
            dx, dy = x - report.pose[0], y - report.pose[1]
            heading = (math.cos(report.pose[2]), math.sin(report.pose[2]))
            forwards = (dx * heading[0] + dy * heading[1]) * (1.0 if report.twist[0] >= 0 else -1.0) > 0.0
            if abs(report.twist[0]) > STANDING_SPEED and forwards and math.hypot(dx, dy) < reach:
                continue
            del mover.returning[cell]
            self._release(mover, cell)

    # the tick --------------------------------------------------------------------------------------------------

    def _fixed(self, mover: Mover, now: int) -> bool:
        """Whether a robot takes part as an obstacle only."""
        report = mover.report
        return (
            report is None
            or bool(mover.conflict)
            or now - mover.heard > self.rules.silent
            or report.status in (RobotStatus.WORKING, RobotStatus.STOPPED, RobotStatus.OPERATOR)
        )

    def _close(self, now: int) -> None:
        """Close the cells of robots that stand for long and cannot be pushed, and cells reported blocked."""
        self._blocked = {cell: until for cell, until in self._blocked.items() if until > now}
        closed = set(self._blocked)
        for mover in self.movers.values():
            stands = now - mover.still_since > self.rules.standing or now - mover.heard > self.rules.standing
            if stands:
                # One that can be pushed still closes what it reaches into beside its own cell: that is not left soon.
                pushable = mover.ahead == 0 and not self._fixed(mover, now)
                closed.update(mover.path[: mover.at] if pushable else mover.path)
                closed.update(mover.returning)
        self._closed = frozenset(closed)

    def _choose_detours(self, now: int) -> NDArray[np.int32]:
        """The field of everyone who plans around what is closed: whose way meets it and for whom there is another."""
        around = np.full(len(self._now.end), NONE, np.int32)
        for mover in self.movers.values():
            mover.slot = NONE
        if not self._closed:
            return around
        self.fields.new_tick()
        closed = np.zeros(self.roadmap.cells, np.uint8)
        closed[list(self._closed)] = STANDING
        closed[list(self._blocked)] = BLOCKED
        for mover in self.movers.values():
            if mover.goal == NONE or not mover.path or mover.report is None:
                continue
            blocked = self._first_blocked(mover)
            tail = mover.path[-1] if blocked == NONE else mover.path[blocked - 1]
            plain = self.fields.matrix[self.fields.slot(mover.goal)]
            if blocked == NONE and not _meets(
                tail, plain, closed, self._owner, mover.index, self.roadmap.exits, self.roadmap.offsets
            ):
                continue
            own = self._closed.intersection([*mover.path, *mover.returning]).difference(self._blocked)
            slot = self.fields.around(mover.goal, self._closed - own)
            if slot != NO_SLOT and self.fields.matrix[slot, tail] == FAR and self._blocked:
                # Better to wait behind a standing robot than to enter what was reported blocked.
                slot = self.fields.around(mover.goal, frozenset(self._blocked))
            if slot == NO_SLOT:
                continue
            extra = int(self.fields.matrix[slot, tail]) - int(plain[tail])
            waited = (now - mover.still_since) / SECOND
            if self.fields.matrix[slot, tail] < FAR and extra <= self.rules.detour + waited:
                mover.slot = around[mover.index] = slot
        return around

    def _first_blocked(self, mover: Mover) -> int:
        """Index in the path of the first cell ahead that is reported blocked and may be cut off; NONE for none."""
        if self._blocked:
            for index in range(max(mover.keep, mover.at) + 1, len(mover.path)):
                if mover.path[index] in self._blocked:
                    return index
        return NONE

    def _cut_before_blocked(self) -> None:
        for mover in self.movers.values():
            if mover.slot != NONE:
                index = self._first_blocked(mover)
                if index != NONE:
                    self._cut(mover, index)

    def _prepare(self, now: int) -> NDArray[np.int64]:
        """Fill the planner's situation; returns the ranks."""
        situation_ = self._now
        rank = np.full(len(situation_.end), np.iinfo(np.int64).max, np.int64)
        situation_.own[:] = 0
        for mover in self.movers.values():
            index = mover.index
            if not mover.path or mover.report is None or mover.conflict:
                situation_.ready[index] = 0
                continue
            tail = mover.path[-1]
            situation_.goal[index] = mover.goal
            previous = mover.path[-2] if len(mover.path) - 2 >= mover.keep else NONE
            situation_.previous[index] = previous
            situation_.own[mover.path[: mover.at]] = 1
            situation_.own[list(mover.returning)] = 1
            ready = mover.pending == NONE and not self._fixed(mover, now)
            if mover.finishing and mover.goal == tail:
                ready = False
            situation_.ready[index] = ready
            if ready and mover.ahead >= self.rules.look_ahead:
                pushable = 2 if mover.ahead <= self.rules.look_ahead else 0
                situation_.ready[index] = 1 if self._would_turn_back(mover, previous) else pushable
            if mover.goal != NONE:
                rank[index] = mover.since - 60 * SECOND * mover.level
        return rank

    def _would_turn_back(self, mover: Mover, previous: int) -> bool:
        if previous == NONE or mover.goal == NONE:
            return False
        field_ = self.fields.matrix[mover.slot if mover.slot != NONE else self.fields.slot(mover.goal)]
        return bool(field_[previous] < field_[mover.path[-1]])

    def _apply(self, mover: Mover, now: int) -> None:
        index = mover.index
        cell = int(self._now.next[index])
        if not self._now.ready[index] or cell == NONE or cell == self._now.end[index]:
            return
        if self._owner[cell] == NONE or self._owner[cell] == index:
            if cell == self._now.previous[index]:
                self._cut(mover, len(mover.path) - 1)
            else:
                self._move_end(mover, cell)
                self._extend(mover, cell)
        else:
            mover.pending, mover.pending_since = cell, now
            self._move_end(mover, cell)

    # changes of hands ------------------------------------------------------------------------------------------

    def _id(self) -> int:
        self._next_id += 1
        return self._next_id - 1

    def _hold(self, mover: Mover, cell: int, identity: int, kind: str = "grant") -> None:
        self._owner[cell] = mover.index
        self.changes.append(Change(kind, mover.name, cell, identity))

    def _release(self, mover: Mover, cell: int) -> None:
        self._owner[cell] = NONE
        self.changes.append(Change("release", mover.name, cell, mover.grant_id))

    def _move_end(self, mover: Mover, cell: int) -> None:
        """The plan ends in `cell` now. All of a tick's ends move before the next `decide`, so they never collide."""
        end = int(self._now.end[mover.index])
        if end >= 0 and self._now.at[end] == mover.index:
            self._now.at[end] = NONE
        self._now.at[cell] = mover.index
        self._now.end[mover.index] = cell

    def _extend(self, mover: Mover, cell: int) -> None:
        """Grant a cell at the path's end; one of its own that lies behind, or was cut off, joins it again."""
        identity = self._id()
        if self._owner[cell] == mover.index:
            # Released and granted anew, so that the store keeps the cells in driving order.
            self._release(mover, cell)
            mover.returning.pop(cell, None)
            if cell in mover.path:
                position = mover.path.index(cell)
                for other in mover.path[:position]:
                    mover.returning[other] = identity
                del mover.path[: position + 1]
                mover.at -= position + 1
                mover.keep -= position + 1
        self._hold(mover, cell, identity)
        here = mover.path[-1]
        step = cell - here
        self._now.heading[mover.index] = int(np.flatnonzero(self.roadmap.offsets == step)[0])
        mover.path.append(cell)
        mover.grant_id = identity
        mover.pending = NONE
        self._now.tail[mover.index] = cell

    def _cut(self, mover: Mover, index: int) -> None:
        """Take the path from `index` on out of the grant; the cells are released when the robot has heard of it."""
        self._cancel(mover)
        identity = self._id()
        for cell in mover.path[index:]:
            mover.returning[cell] = identity
        del mover.path[index:]
        mover.grant_id = identity
        tail = mover.path[-1]
        self._evict(tail, mover)
        self._move_end(mover, tail)
        self._now.tail[mover.index] = tail

    def _cancel(self, mover: Mover) -> None:
        """Give a pending step up; who relied on its cell being left gives up too."""
        if mover.pending == NONE:
            return
        mover.pending = NONE
        tail = mover.path[-1]
        self._evict(tail, mover)
        self._move_end(mover, tail)

    def _evict(self, cell: int, mover: Mover) -> None:
        """Whoever else plans to end in a cell plans anew."""
        other = int(self._now.at[cell])
        if other not in (NONE, mover.index):
            self._cancel(self.movers[self._names[other]])


def braking_distance(speed: float, spec: RobotSpec) -> float:
    """How far a robot may come from where it reported this speed, m.

    Four periods pass until it acts on news; at most it accelerates meanwhile; then it brakes as guaranteed. One that
    stands has just been given its cells and may have begun to move: 0.05 m.
    """
    if speed <= STANDING_SPEED:
        return 0.05
    delay = 4 * spec.period / SECOND
    top = min(spec.drive.speed_max, speed + spec.drive.accel_max * delay)
    return top * delay + top**2 / (2 * spec.drive.brake_min) + spec.tracking_e0


def held_cells(movers: Iterable[Mover]) -> dict[str, list[int]]:
    """Every robot's cells, path first: for displays and tests."""
    return {mover.name: [*mover.path, *mover.returning] for mover in movers}


def _direction(step: int, width: int) -> tuple[float, float]:
    """A move between cells as a direction in W."""
    if step == 1:
        return 1.0, 0.0
    if step == -1:
        return -1.0, 0.0
    return (0.0, 1.0) if step == -width else (0.0, -1.0)


def _larger(old: Situation) -> Situation:
    """The same situation with room for twice the robots."""
    robots = len(old.end)
    new = situation(2 * robots, 0)
    for name in ("end", "tail", "previous", "goal", "slot", "heading", "ready", "next"):
        getattr(new, name)[:robots] = getattr(old, name)
    return new._replace(owner=old.owner, at=old.at, own=old.own, claim=old.claim)


def _steps_by_distance(radius: int) -> NDArray[np.int32]:
    """(row, column) steps to all cells of a square around one, (steps, 2), nearest first."""
    steps = [(row, column) for row in range(-radius, radius + 1) for column in range(-radius, radius + 1)]
    return np.array(sorted(steps, key=lambda step: (step[0] ** 2 + step[1] ** 2, step)), np.int32)


@njit(cache=True, nogil=True)
def _held_nearby(
    row: int,
    column: int,
    robot: int,
    owner: NDArray[np.int32],
    steps: NDArray[np.int32],
    found: NDArray[np.int32],
) -> int:
    """Write the nearest cells that others own, as far as there is room; returns how many. `owner` (height, width)."""
    height, width = owner.shape
    count = 0
    for index in range(len(steps)):
        r, c = row + steps[index, 0], column + steps[index, 1]
        if 0 <= r < height and 0 <= c < width and owner[r, c] >= 0 and owner[r, c] != robot:
            if count == len(found):
                break
            found[count] = r * width + c
            count += 1
    return count


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
    _held_nearby(0, 0, 0, np.full((1, 3), NONE, np.int32), _steps_by_distance(1), np.empty(4, np.int32))
    _meets(0, roadmap.field(2), closed, np.full(3, NONE, np.int32), 0, roadmap.exits, roadmap.offsets)
