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
4. A cell in which a pod stands is granted to nobody who fits not beneath it: who carries a pod, or is of another kind.
5. Robots that stand for long and cannot be pushed, and cells that robots report blocked, are closed to the detour field
   of those who would meet them; everyone else plans as before.
6. A robot that an operator has is moved by no plan: it gets the cell that he drives towards, if it is free (`byhand`).

The books are in `ledger`; a robot and how far it may come are `mover`'s, what is closed is `detours`', and what a robot
is told of its neighbours is `surroundings`'. Nothing here reads a clock; determinism is that of its inputs' order.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from coordination.byhand import hand_back, widen
from coordination.detours import Detours
from coordination.ledger import Ledger
from coordination.messages import LIFT, Grant, Report
from coordination.mover import Mover, may_come_into, reach
from coordination.pibt import decide
from coordination.roadmap import NONE, Fields, Roadmap
from coordination.rules import Rules
from coordination.surroundings import Surroundings
from sim.geometry import CORRIDOR_POINTS
from sim.robot import SECOND, RobotSpec

GRANT_ID_GAP = 1_000_000
"""Ids left out at a restart: grants that only shrank are in no log, and no old id may acknowledge a new grant."""

FIELDS = 1024
"""Distance fields kept, at 2 bytes a cell (140 KB each on 70,000 cells): goals of 500 robots and as many tasks'."""


class RightOfWay:
    """Decides over the ledger: what a report changes in it, and once a tick what is granted."""

    def __init__(self, roadmap: Roadmap, rules: Rules, spec: RobotSpec) -> None:
        """`spec` gives footprint and braking for every robot of the fleet."""
        self.roadmap = roadmap
        self.rules = rules
        self.spec = spec
        self.fields = Fields(roadmap, slots=FIELDS)
        self.ledger = Ledger(roadmap)
        self.conflicts: list[str] = []
        """What was reported and must not be: one line each, since the caller emptied it"""
        self._pods: frozenset[int] = frozenset()
        self._carriers: Collection[str] = ()
        self._detours = Detours(roadmap, rules)
        self._surroundings = Surroundings(roadmap, rules)

    # what others ask -------------------------------------------------------------------------------------------

    def tail(self, robot: str) -> int:
        """Where a robot's granted path ends, or NONE; distances to new work count from here."""
        mover = self.ledger.movers.get(robot)
        return mover.path[-1] if mover is not None and mover.path else NONE

    def waits_for(self) -> dict[str, str]:
        """The action dependency graph: each robot with a pending step, and who must leave first."""
        return {
            mover.name: self.ledger.holder(mover.pending)
            for mover in self.ledger.movers.values()
            if mover.pending != NONE and self.ledger.owner[mover.pending] >= 0
        }

    def grant(self, robot: str, now: int) -> Grant | None:
        """A robot's grant as of now; None when it has none."""
        mover = self.ledger.movers.get(robot)
        if mover is None or not mover.path or mover.conflict:
            return None
        cells = tuple(mover.path[: mover.at + CORRIDOR_POINTS])
        return Grant(mover.grant_id, cells, now + self.rules.lease)

    def others(self, robot: str) -> tuple[int, ...]:
        """Cells near a robot that others hold, nearest first."""
        mover = self.ledger.movers.get(robot)
        if mover is None or not mover.path:
            return ()
        return self._surroundings.of(mover, self.ledger)

    # what happens ----------------------------------------------------------------------------------------------

    def restore(self, held: Mapping[str, Sequence[int]], last_grant_id: int, now: int) -> None:
        """Take back what the store says that each robot holds, in the order in which it was granted."""
        self.ledger.next_id = last_grant_id + GRANT_ID_GAP
        for name, cells in held.items():
            self.ledger.take_back(self._mover(name, now), list(cells))

    def observe(self, robot: str, report: Report, now: int) -> None:
        """Take in a robot's report: where it is, what it has left, what it finds blocked. Older are passed over."""
        mover = self._mover(robot, now)
        if mover.report is not None and report.stamp < mover.report.stamp:
            return
        cell = self.roadmap.cell_at(report.pose[0], report.pose[1])
        if cell == NONE:
            self._object(
                mover, f"{robot} reports a pose off the free floor: {report.pose[0]:.2f}, {report.pose[1]:.2f}"
            )
            return
        first = mover.report is None
        mover.report, mover.heard = report, now
        self.ledger.next_id = max(self.ledger.next_id, report.grant + 1)
        if first or (mover.conflict and not self._claimed_by_others(mover, report)):
            self._enter(mover, report, cell, now)
        if mover.conflict:
            return
        if cell in mover.path:
            mover.at = mover.path.index(cell)
        mover.note_motion(report, now)
        self._cover(mover, report)
        mover.keep = reach(mover, report, self.roadmap, self.spec)
        self._leave_behind(mover, report)
        for blocked in report.blocked:
            if blocked != cell and 0 <= blocked < self.roadmap.cells:
                self._detours.report_blocked(blocked, now)

    def set_goal(self, robot: str, goal: int, now: int, *, level: int = 0, finishing: bool = False) -> None:
        """Where a robot wants to go (NONE: nowhere); `finishing`: it stays there until told otherwise."""
        mover = self._mover(robot, now)
        if goal != mover.goal:
            mover.goal, mover.since = goal, now
        mover.level, mover.finishing = level, finishing

    def set_pods(self, standing: Iterable[int], carriers: Collection[str]) -> None:
        """In which cells pods stand, and who carries one."""
        self._pods, self._carriers = frozenset(standing), carriers

    def set_manual(self, drives: Mapping[str, int]) -> None:
        """Which robots operators have, and where to they drive: 1 forwards, -1 backwards, 0 nowhere."""
        for mover in self.ledger.movers.values():
            manual = mover.name in drives
            if manual and not mover.manual:
                self.ledger.cancel(mover)
            elif mover.manual and not manual:
                hand_back(mover, self.ledger)
            mover.manual, mover.drive = manual, drives.get(mover.name, 0)

    def forget(self, robot: str) -> None:
        """An operator says that a robot is no longer on the floor: its cells are free."""
        mover = self.ledger.movers.get(robot)
        if mover is not None:
            self.ledger.forget(mover)

    def tick(self, now: int, stopped: bool = False) -> None:
        """Grant what has become free, plan one cell for everyone who is ready, and grant what can be granted.

        While the emergency stop is latched no cell is granted.
        """
        if stopped:
            return
        ledger, movers = self.ledger, self.ledger.movers.values()
        self._keep_from_pods()
        for mover in movers:
            widen(mover, ledger, self.roadmap)
            if mover.pending == NONE:
                continue
            if ledger.owner[mover.pending] == NONE and not mover.fixed(now, self.rules.silent):
                ledger.extend(mover, mover.pending)
            elif now - mover.pending_since > self.rules.patience:
                ledger.cancel(mover)
        if not movers:
            return
        around = self._detours.choose(ledger, self.fields, now, self._pods)
        for mover in movers:
            if mover.slot != NONE and (index := self._detours.first_blocked(mover)) != NONE:
                ledger.cut(mover, index)
        rank = self._prepare(now)
        decide(self.roadmap, self.fields, rank, ledger.plans, around)
        for mover in movers:
            self._apply(mover, now)

    # reports ---------------------------------------------------------------------------------------------------

    def _mover(self, robot: str, now: int) -> Mover:
        mover = self.ledger.mover(robot, now)
        if 2 * len(self.ledger.movers) > len(self.fields.matrix):
            self.fields = Fields(self.roadmap, slots=2 * len(self.fields.matrix))
        return mover

    def _claimed_by_others(self, mover: Mover, report: Report) -> list[int]:
        return [
            cell
            for cell in {*report.cells, self.roadmap.cell_at(report.pose[0], report.pose[1])}
            if 0 <= cell < self.roadmap.cells and self.ledger.owner[cell] not in (NONE, mover.index)
        ]

    def _enter(self, mover: Mover, report: Report, cell: int, now: int) -> None:
        """First contact, or first after a restart: the robot's own cells, if nobody else holds them."""
        claimed = self._claimed_by_others(mover, report)
        if claimed:
            holders = sorted({self.ledger.holder(other) for other in claimed})
            self._object(mover, f"{mover.name} stands in cells {sorted(claimed)} that {', '.join(holders)} holds")
            return
        mover.conflict = ""
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
        self.ledger.enter(mover, path, under, cell)
        mover.anchor, mover.still_since = report.pose, now

    def _object(self, mover: Mover, why: str) -> None:
        if mover.conflict != why:
            mover.conflict = why
            self.conflicts.append(why)

    def _cover(self, mover: Mover, report: Report) -> None:
        """Cells under the footprint that are not its own: hold them while it is there, or object."""
        for cell in report.cells:
            if not 0 <= cell < self.roadmap.cells or not self.roadmap.free[cell]:
                continue
            owner = self.ledger.owner[cell]
            if owner == NONE:
                self.ledger.hold(mover, cell, mover.grant_id, "cover")
                mover.returning[cell] = 0
            elif owner != mover.index and cell not in mover.trespassed:
                mover.trespassed.add(cell)
                self.conflicts.append(
                    f"{mover.name} reports itself in cell {cell} that {self.ledger.holder(cell)} holds"
                )
        mover.trespassed.intersection_update(report.cells)

    def _leave_behind(self, mover: Mover, report: Report) -> None:
        """Two steps of law 1: take cells behind out of the grant; release what the robot cannot come into any more."""
        left = 0
        while left < mover.at and mover.path[left] not in report.cells:
            left += 1
        if left:
            self.ledger.leave_behind(mover, left, self.ledger.new_id())
        for cell, identity in list(mover.returning.items()):
            if report.grant < identity or cell in report.cells:
                continue
            if not may_come_into(cell, report, self.roadmap, self.spec):
                del mover.returning[cell]
                self.ledger.release(mover, cell)

    # the tick --------------------------------------------------------------------------------------------------

    def _keep_from_pods(self) -> None:
        """Who fits beneath no pod loses what it was promised of their cells, if it can still stand before them."""
        plans = self.ledger.plans
        plans.pods[:] = 0
        plans.pods[list(self._pods)] = 1
        for mover in self.ledger.movers.values():
            report = mover.report
            fits = report is not None and not report.loaded and LIFT in report.capabilities
            mover.tall = not fits or mover.name in self._carriers
            plans.tall[mover.index] = mover.tall
            if not mover.tall or not self._pods:
                continue
            if mover.pending in self._pods:
                self.ledger.cancel(mover)
            for index in range(max(mover.keep, mover.at) + 1, len(mover.path)):
                if mover.path[index] in self._pods:
                    self.ledger.cut(mover, index)
                    break

    def _prepare(self, now: int) -> NDArray[np.int64]:
        """Fill the planner's situation; returns the ranks."""
        plans = self.ledger.plans
        rank = np.full(len(plans.end), np.iinfo(np.int64).max, np.int64)
        plans.own[:] = 0
        for mover in self.ledger.movers.values():
            index = mover.index
            if not mover.path or mover.report is None or mover.conflict:
                plans.ready[index] = 0
                continue
            tail = mover.path[-1]
            plans.goal[index] = mover.goal
            previous = mover.path[-2] if len(mover.path) - 2 >= mover.keep else NONE
            plans.previous[index] = previous
            plans.own[mover.path[: mover.at]] = 1
            plans.own[list(mover.returning)] = 1
            ready = mover.pending == NONE and not mover.fixed(now, self.rules.silent)
            if mover.finishing and mover.goal == tail:
                ready = False
            plans.ready[index] = ready
            if ready and mover.ahead >= self.rules.look_ahead:
                pushable = 2 if mover.ahead <= self.rules.look_ahead else 0
                plans.ready[index] = 1 if self._would_turn_back(mover, previous) else pushable
            if mover.goal != NONE:
                rank[index] = mover.since - 60 * SECOND * mover.level
        return rank

    def _would_turn_back(self, mover: Mover, previous: int) -> bool:
        if previous == NONE or mover.goal == NONE:
            return False
        field_ = self.fields.matrix[mover.slot if mover.slot != NONE else self.fields.slot(mover.goal)]
        return bool(field_[previous] < field_[mover.path[-1]])

    def _apply(self, mover: Mover, now: int) -> None:
        ledger, plans, index = self.ledger, self.ledger.plans, mover.index
        cell = int(plans.next[index])
        if not plans.ready[index] or cell == NONE or cell == plans.end[index]:
            return
        if ledger.owner[cell] in (NONE, index):
            if cell == plans.previous[index]:
                ledger.cut(mover, len(mover.path) - 1)
            else:
                ledger.move_end(mover, cell)
                ledger.extend(mover, cell)
        else:
            mover.pending, mover.pending_since = cell, now
            ledger.move_end(mover, cell)
