"""The coordinator's core: messages in, replies out; no sockets, no clock, no threads.

    report      -> where the robot is (right of way), how far its attempt is (roster, store)
    jog         -> whose hands a robot is in (jog), answered at once
    submit, cancel, query -> the store, answered at once
    tick        -> give out work, set goals, plan and grant, write what changed hands; a picture for every robot

The caller wraps a round's reports and its tick in one `store.transaction()` and sends nothing before that has ended:
then every grant, release and assignment is on disk before anyone acts on it. Two coordinators that are given the same
messages at the same stamps say the same.

What may be asked of the floor is `admission`'s to say, what each robot has and how far it is `roster`'s, who gets which
work `dispatch`'s, who may drive where `rightofway`'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import msgspec

from coordination import detours, pibt, roadmap, surroundings
from coordination.admission import impossible, unserved
from coordination.assignment import Energy
from coordination.dispatch import Dispatch
from coordination.jog import Jogs
from coordination.leases import Leases
from coordination.lifecycle import TaskEvent
from coordination.messages import LegKind, Picture, Report, RobotStatus
from coordination.neighbours import neighbours
from coordination.pods import PodBook, absent, lifted, stranded, unplaceable
from coordination.requests import (
    Cancel,
    FleetState,
    JogMove,
    JogRelease,
    JogTake,
    Query,
    RobotLine,
    Submit,
    Submitted,
    Task,
    Waiting,
)
from coordination.rightofway import RightOfWay
from coordination.roadmap import NONE, Roadmap
from coordination.roster import Roster
from coordination.rules import Policy, Rules
from coordination.statepages import PAGE_MOST, page
from coordination.tasks import Store
from sim.lifting import with_pod
from sim.robot import SECOND, RobotSpec
from sim.site import Site

Out = list[tuple[str, msgspec.Struct]]
"""Messages to send, each with its receiver."""

ASKING = 20
"""Robots in a fleet state that ask for an operator, and that operators have: a screen of each."""


@dataclass
class Coordinator:
    """Owns the fleet's state between ticks; what must survive is in the store."""

    site: Site
    store: Store
    rules: Rules = field(default_factory=Rules)
    policy: Policy = field(default_factory=Policy)
    energy: Energy = field(default_factory=Energy)
    spec: RobotSpec = field(default_factory=RobotSpec)

    def __post_init__(self) -> None:
        """Compile the floor and take back what the store knows.

        Raises RoadmapError for a broken site, StoreError for a store of another floor.
        """
        self.roadmap = Roadmap(self.site)
        self.roadmap.check_cells(self.site.stations.tolist(), "stations")
        self.roadmap.check_cells(self.site.chargers.tolist(), "chargers")
        self.store.bind(self.site.hash)
        self.leases = Leases(self.store)
        self.counts: Counter[str] = Counter()
        """Operators' messages that were dropped, by kind"""
        self.begin()

    def begin(self, *, anew: bool = False) -> None:
        """Begin a life that knows what the store knows and has heard nobody: a process's first, or another plant's.

        Every robot keeps the cells that it held until it reports from where it is now. In another plant (`anew`) every
        pod stands at home and nobody carries a load: tasks that robots had begin again, as new attempts. No operator
        has one of its robots.
        """
        if anew:
            self.store.requeue_all("another plant", self.store.newest_stamp())
            for robot in self.leases.held:
                self.leases.hand_back(robot, "another plant", self.store.newest_stamp())
        self.epoch = self.store.begin()
        """Number of this life on the store"""
        self._loaded = with_pod(self.spec, self.site) if self.site.fixtures.pod_side is not None else self.spec
        # whoever may carry a pod needs the room of one to brake in
        self.right_of_way = RightOfWay(self.roadmap, self.rules, self._loaded)
        lifts = self.site.fixtures.pod_side is not None
        self.pods = PodBook(self.store, self.site.fixtures.pods if lifts else (), anew=anew)
        self.roster = Roster(self.store, self.pods, self.policy, self.site.hash, self.epoch)
        self.waiting: dict[str, Waiting] = self.roster.waiting
        """By robot: attempts that wait for an operator"""
        self.jogs = Jogs(self.leases, self.roster, self.rules, self.counts)
        self.dispatch = Dispatch(self.roster, self.right_of_way, self.site.chargers.tolist(), self.energy, self.spec)
        held = {robot: [holding.cell for holding in cells] for robot, cells in self.store.holdings().items()}
        self.right_of_way.restore(held, self.store.last_grant_id(), 0)

    def handle(self, sender: str, message: msgspec.Struct, now: int) -> Out:
        """Take one message in; the replies are to leave after the caller's commit.

        A report changes the state and is answered by the next tick's picture. Messages that are none of the
        coordinator's are passed over. Raises StoreError when the store refuses a request.
        """
        match message:
            case Report():
                self._report(sender, message, now)
                return []
            case Submit():
                return [(sender, self._submit(message, now))]
            case Cancel():
                return [(sender, self._cancel(message, now))]
            case JogTake() | JogMove() | JogRelease():
                return [(sender, self.jogs.handle(sender, message, now))]
            case Query():
                return [(sender, self.state(message.request, now, message.begin))]
            case _:
                return []

    def tick(self, now: int) -> Out:
        """End a round: assign, plan, grant, write; a picture for every robot that is there."""
        latch = self.store.latch()
        self.roster.take_back_from_silent(now)
        self.jogs.step(now)
        self.roster.manual = self.leases.held
        if not latch.stopped:
            self.dispatch.step(now)
        robots = self.roster.robots
        for robot in robots:
            goal, priority = self.roster.goal(robot) if robot not in self.leases.held else (NONE, 0)
            busy = self.roster.assignment(robot) is not None
            self.right_of_way.set_goal(robot, goal, now, level=priority, finishing=busy)
        self.right_of_way.set_pods(self.pods.standing, self.pods.carried)
        self.right_of_way.set_manual(self.jogs.drives(now))
        self.right_of_way.tick(now, latch.stopped)
        changes = self.right_of_way.ledger.changes
        if changes:
            self.store.exchange([(c.kind, c.robot, c.cell, c.grant_id) for c in changes], now)
            changes.clear()
        for line in self.right_of_way.conflicts:
            self.store.note("conflict", now, detail=line)
        self.right_of_way.conflicts.clear()
        near = neighbours(robots, self.spec, self._loaded, now)
        return [
            (robot, self._picture(robot, near[robot], now))
            for robot, known in robots.items()
            if now - known.heard <= self.policy.pictures
        ]

    def state(self, request: str, now: int, begin: int = 0) -> FleetState:
        """The fleet's state as clients see it, from robot `begin` on, as far as it fits into a message."""
        latch, records, begin = self.store.latch(), self.store.open_tasks().values(), max(begin, 0)
        lines, modes = [], bytearray()
        for robot, known in list(self.roster.robots.items())[begin : begin + PAGE_MOST]:
            report, live = known.report, self.roster.live.get(robot)
            task = live.task.id if live is not None else known.charge.task if known.charge is not None else ""
            age = (now - known.heard) / SECOND
            person = robot in self.waiting or robot in self.leases.held
            status = RobotStatus.OPERATOR if person else report.status
            lines.append(RobotLine(robot, report.pose, status, report.battery, task, age))
            modes += bytes((report.mode & 255, report.reason & 255))  # a stranger's numbers may be any
        whole = FleetState(
            request,
            now,
            self.store.counts(),
            tuple(lines),
            stopped=latch.stopped,
            stop_epoch=latch.stop_epoch,
            waiting=(*self.waiting.values(), *self._stranded(), *unserved(records, self._able())),
            asking=tuple(self.jogs.asking(now))[:ASKING],
            jogs=self.jogs.lines()[:ASKING],
            modes=bytes(modes),
            begin=begin,
            of=len(self.roster.robots),
        )
        return page(whole)

    def _report(self, robot: str, report: Report, now: int) -> None:
        if self.roster.hear(robot, report, now):
            self.right_of_way.observe(robot, report, now)
            self.roster.hear_of_work(robot, report, now)
            cell = self.roadmap.cell_at(report.pose[0], report.pose[1])
            self.pods.hear(robot, report, cell, robot in self.roster.live, now)

    def _submit(self, message: Submit, now: int) -> Submitted:
        for task in message.tasks:
            error = impossible(task, self.roadmap, self.right_of_way.fields) or self._unplaceable(task, message.tasks)
            if error:
                return Submitted(message.request, error=error)
        accepted = self.store.submit(message.tasks, now)
        records = [record for task in accepted if (record := self.store.record(task)) and record.submitted == now]
        for line in unserved(records, self._able()) if self.roster.robots else ():
            self.store.note("unserved", now, task=line.task, detail=line.reason)
        return Submitted(message.request, accepted)

    def _unplaceable(self, task: Task, together: Iterable[Task]) -> str:
        if self.store.record(task.id) is not None or not any(leg.kind is LegKind.SET_DOWN for leg in task.legs):
            return ""  # what was accepted once is accepted again
        leaving = lifted(self.store.open_tasks().values())
        leaving |= {
            leg.cell for other in together if other.id != task.id for leg in other.legs if leg.kind is LegKind.LIFT
        }
        return unplaceable(task, self.pods.standing, leaving)

    def _stranded(self) -> list[Waiting]:
        lines = stranded(self.roster.live.values(), self.pods.standing)
        lines = [line for line in lines if line.robot not in self.waiting]
        return lines + absent(self.store.open_tasks().values(), self.pods.standing)

    def _able(self) -> list[tuple[float, tuple[str, ...]]]:
        """What each robot heard of carries, kg, and its capabilities."""
        return [
            (known.report.payload_max or self.spec.payload_max, known.report.capabilities)
            for known in self.roster.robots.values()
        ]

    def _cancel(self, message: Cancel, now: int) -> Submitted:
        record = self.store.record(message.task)
        if record is None:
            return Submitted(message.request, error=f"there is no task {message.task}")
        if not self.store.change(message.task, TaskEvent.CANCEL, now, "cancelled by a client"):
            return Submitted(message.request, error=f"task {message.task} is {record.state.name} already")
        if record.robot:
            self.roster.live.pop(record.robot, None)
        return Submitted(message.request, (message.task,))

    def _picture(self, robot: str, near: tuple[tuple[float, float, float], ...], now: int) -> Picture:
        latch, known = self.store.latch(), self.roster.robots[robot]
        mover = self.right_of_way.ledger.movers.get(robot)
        error = known.error or (mover.conflict if mover is not None else "")
        return Picture(
            round=known.report.round,
            stamp=now,
            site=self.site.hash,
            grant=None if error else self.right_of_way.grant(robot, now),
            others=self.right_of_way.others(robot),
            robots=near,
            assignment=self.roster.assignment(robot),
            stop_epoch=latch.stop_epoch,
            stopped=latch.stopped,
            error=error,
            epoch=self.epoch,
            offer=self.dispatch.offers.standing.get(robot) if not (error or latch.stopped) else None,
            jog=self.jogs.jog(robot, now),
        )


def warm(progress: Callable[[str], None] = lambda _: None) -> None:
    """Compile (or load from numba's cache) everything that a tick runs; call it before saying ready."""
    for module in (roadmap, pibt, detours, surroundings):
        progress(module.__name__)
        module.warm()
