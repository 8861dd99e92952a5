"""The coordinator's core: messages in, replies out; no sockets, no clock, no threads.

    report      -> where the robot is (right of way), how far its attempt is (store)
    submit, cancel, query -> the store, answered at once
    tick        -> assign tasks, set goals, plan and grant, write what changed hands; a picture for every robot

The caller wraps a round's reports and its tick in one `store.transaction()` and sends nothing before that has ended:
then every grant, release and assignment is on disk before anyone acts on it. Two coordinators that are given the same
messages at the same stamps say the same.

Robots that choose for themselves are offered work (`offers`), all others are assigned it (`assignment`).

What a robot does next follows from the store alone: its live attempt, and how many legs of it are done. Charging is the
coordinator's own errand: it is in no store, and a robot that comes back with one after a restart is simply sent again.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise

import msgspec
import numpy as np
from scipy.spatial import KDTree

from coordination import detours, pibt, roadmap, surroundings
from coordination.assignment import Candidate, Energy, assign, costs
from coordination.messages import (
    Assignment,
    Cancel,
    Chosen,
    FleetState,
    Leg,
    LegKind,
    Offer,
    Picture,
    Query,
    Report,
    RobotLine,
    RobotStatus,
    Submit,
    Submitted,
    Task,
    TaskState,
    Waiting,
)
from coordination.offers import SLICE, Offers, line_of, offered
from coordination.rightofway import RightOfWay
from coordination.roadmap import FAR, NONE, Roadmap
from coordination.rules import Rules
from coordination.tasks import PRIORITIES, Store, TaskEvent, TaskRecord, priority_of
from sim.lifting import with_pod
from sim.robot import MILLISECOND, SECOND, RobotSpec
from sim.site import Site

Out = list[tuple[str, msgspec.Struct]]
"""Messages to send, each with its receiver."""

CHARGE = "charge-"
"""How the ids of the coordinator's own charging errands begin."""

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
"""RFC 9562: version 7, variant 10; sorted by the time of making."""

UNSERVED = 20
"""Tasks listed that no robot heard of can do."""

WAITING = 100
"""Tasks in a fleet state that wait for a person: with 400 robots it stays below MAX_MESSAGE."""

LISTED = 400
"""Robots in a fleet state: 400 lines stay below MAX_MESSAGE."""


REMEDY = "bring it back or cancel the task"
"""What an operator can do for a task that waits."""

REASON = 256
"""Characters kept of why a robot gave a task up."""

NEAR = 16
"""Robots that a picture tells of: as many as `sim.points` has room for."""


@dataclass(frozen=True)
class Policy:
    """The numbers of the fleet's rules that are not right of way's."""

    attempts: int = 5
    """A task that so many robots gave up has failed."""
    rest: int = 30 * SECOND
    """A robot that gave a task up gets no other for so long: what held it up may hold it still."""
    retry: int = 180 * SECOND
    """And not the same one for so long, so that others try it first."""
    task_lease: int = 60 * SECOND
    """A robot silent for so long loses a task of which it has done no leg yet (later its load may be on board)."""
    pictures: int = 60 * SECOND
    """How long a silent robot is still sent pictures."""
    battery_low: float = 0.25
    """An idle robot with less is sent to a charger."""
    battery_full: float = 0.95
    charge_seconds: float = 3600.0
    """From empty to full: 20 Ah at 20 A (sim/battery.py)."""
    queue_factor: int = 2
    """Tasks considered for each free robot: more than one, so that near ones can be chosen."""
    queue_least: int = 128
    """Tasks considered in any case: 200 deliveries by 32 robots end 3 % sooner than with 16."""


@dataclass
class _Robot:
    """What the core remembers of a robot beside its right of way."""

    report: Report
    heard: int
    charge: Assignment | None = None
    given_up: dict[str, int] = field(default_factory=dict)
    """Tasks that it gave up since this process started, and when"""
    rests_until: int = 0
    error: str = ""
    """Why it is not served"""


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
        self.begin()

    def begin(self) -> None:
        """Begin a life that knows what the store knows and has heard nobody: a process's first, or another plant's.

        Every robot keeps the cells that it held until it reports from where it is now.
        """
        self.epoch = self.store.begin()
        """Number of this life on the store"""
        self._loaded = with_pod(self.spec, self.site) if self.site.fixtures.pod_side is not None else self.spec
        # whoever may carry a pod needs the room of one to brake in
        self.right_of_way = RightOfWay(self.roadmap, self.rules, self._loaded)
        self._robots: dict[str, _Robot] = {}
        self._live: dict[str, TaskRecord] = {}
        self._begun: int | None = None
        """Stamp of the first tick of this life"""
        self.offers = Offers()
        self.waiting: dict[str, Waiting] = {}
        """By robot: attempts that wait for an operator"""
        for record in self.store.open_tasks().values():
            if record.robot:
                self._live[record.robot] = record
        held = {robot: [holding.cell for holding in cells] for robot, cells in self.store.holdings().items()}
        self.right_of_way.restore(held, self.store.last_grant_id(), 0)

    # messages --------------------------------------------------------------------------------------------------

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
            case Query():
                return [(sender, self.state(message.request, now))]
            case _:
                return []

    def tick(self, now: int) -> Out:
        """End a round: assign, plan, grant, write; a picture for every robot that is there."""
        latch = self.store.latch()
        self._take_back_from_silent(now)
        if not latch.stopped:
            self._take_answers(now)
            self._offer(now)
            self._assign(now)
            self._send_to_charge(now)
        for robot, known in self._robots.items():
            goal, priority = self._goal(robot, known)
            busy = self._assignment(robot, known) is not None
            self.right_of_way.set_goal(robot, goal, now, level=priority, finishing=busy)
        self.right_of_way.tick(now, latch.stopped)
        changes = self.right_of_way.ledger.changes
        if changes:
            self.store.exchange([(c.kind, c.robot, c.cell, c.grant_id) for c in changes], now)
            changes.clear()
        for line in self.right_of_way.conflicts:
            self.store.note("conflict", now, detail=line)
        self.right_of_way.conflicts.clear()
        near = self._near(now)
        return [
            (robot, self._picture(robot, known, near[robot], now))
            for robot, known in self._robots.items()
            if now - known.heard <= self.policy.pictures
        ]

    def state(self, request: str, now: int) -> FleetState:
        """The fleet's state as clients see it."""
        latch = self.store.latch()
        lines = []
        for robot, known in list(self._robots.items())[:LISTED]:
            report, live = known.report, self._live.get(robot)
            task = live.task.id if live is not None else known.charge.task if known.charge is not None else ""
            age = (now - known.heard) / SECOND
            status = RobotStatus.OPERATOR if robot in self.waiting else report.status
            lines.append(RobotLine(robot, report.pose, status, report.battery, task, age))
        return FleetState(
            request,
            now,
            self.store.counts(),
            tuple(lines),
            stopped=latch.stopped,
            stop_epoch=latch.stop_epoch,
            waiting=(*self.waiting.values(), *self._unserved(self.store.open_tasks().values()))[:WAITING],
        )

    # reports ---------------------------------------------------------------------------------------------------

    def _report(self, robot: str, report: Report, now: int) -> None:
        known = self._robots.get(robot)
        if known is not None and report.stamp < known.report.stamp:
            return
        if not all(map(math.isfinite, (*report.pose, *report.twist))):
            self.store.note("conflict", now, robot=robot, detail=f"{robot} reports a pose or speed that is no number")
            return  # as good as silent: its cells stay its own
        if known is None:
            known = self._robots[robot] = _Robot(report, now)
        known.report, known.heard = report, now
        if report.site and report.site != self.site.hash:
            known.error = f"{robot} is on site {report.site[:12]}, this is {self.site.hash[:12]}; load the same floor"
            return
        if report.epoch > self.epoch:
            known.error = (
                f"{robot} has heard a coordinator of epoch {report.epoch}, this is epoch {self.epoch}; "
                f"give this one the same run directory, or start {robot} again"
            )
            return
        known.error = ""
        self.right_of_way.observe(robot, report, now)
        if report.task.startswith(CHARGE):
            self._hear_of_charge(known, report)
        elif report.task:
            self._hear_of_task(robot, report, now)

    def _hear_of_task(self, robot: str, report: Report, now: int) -> None:
        """Level-triggered: the same words again change nothing, and a dead attempt's words are not heard."""
        live = self._live.get(robot)
        if live is None or (live.task.id, live.attempt) != (report.task, report.attempt):
            return
        if report.legs_done >= len(live.task.legs):
            self.store.finish(report.task, report.attempt, TaskState.DONE, now)
        elif report.failed:
            self._give_up(live, report.failed[:REASON], now)
            known = self._robots[robot]
            known.given_up[report.task] = now
            known.rests_until = now + self.policy.rest
        else:
            self.store.progress(report.task, report.attempt, report.legs_done, now)
        self._refresh(robot, report.task)

    def _hear_of_charge(self, known: _Robot, report: Report) -> None:
        charge = known.charge
        if charge is None or (charge.task, charge.attempt) != (report.task, report.attempt):
            return
        if report.failed or report.legs_done >= 1:
            known.charge = None

    def _give_up(self, live: TaskRecord, reason: str, now: int) -> None:
        if live.attempt >= self.policy.attempts:
            reason = f"given up {live.attempt} times; last: {reason}"
            self.store.finish(live.task.id, live.attempt, TaskState.FAILED, now, reason)
        else:
            self.store.requeue(live.task.id, live.attempt, reason, now)

    def _refresh(self, robot: str, task: str) -> None:
        """The robot's live attempt as the store has it now."""
        record = self.store.record(task)
        if record is not None and record.robot == robot:
            self._live[robot] = record
        else:
            self._live.pop(robot, None)

    # clients ---------------------------------------------------------------------------------------------------

    def _submit(self, message: Submit, now: int) -> Submitted:
        for task in message.tasks:
            error = self._impossible(task)
            if error:
                return Submitted(message.request, error=error)
        accepted = self.store.submit(message.tasks, now)
        records = [record for task in accepted if (record := self.store.record(task)) and record.submitted == now]
        for line in self._unserved(records) if self._robots else ():
            self.store.note("unserved", now, task=line.task, detail=line.reason)
        return Submitted(message.request, accepted)

    def _unserved(self, records: Iterable[TaskRecord]) -> list[Waiting]:
        """Queued tasks that no robot heard of can take, the first of them; a fitting robot may still come."""
        able = [
            (known.report.payload_max or self.spec.payload_max, known.report.capabilities)
            for known in self._robots.values()
        ]
        known_needs: dict[tuple[float, str], bool] = {}
        lines: list[Waiting] = []
        for record in records:
            task = record.task
            if record.state is not TaskState.QUEUED or len(lines) >= UNSERVED:
                continue
            need = (task.payload, task.capability)
            if need not in known_needs:
                known_needs[need] = any(most >= need[0] and (not need[1] or need[1] in has) for most, has in able)
            if not known_needs[need]:
                what = f"{task.payload:g} kg" + (f' and the capability "{task.capability[:64]}"' if need[1] else "")
                lines.append(
                    Waiting(task.id, "", f"none of {len(able)} robots has {what}; bring one or cancel the task")
                )
        return lines

    def _impossible(self, task: Task) -> str:
        if not UUID7.fullmatch(task.id):
            return (
                f"task id {task.id[:70]!r} is no UUIDv7 in small letters; make one with coordination.client.new_task_id"
            )
        if not -PRIORITIES <= task.priority <= PRIORITIES:
            return f"task {task.id} has priority {task.priority}; give one from -{PRIORITIES} to {PRIORITIES}"
        if not 0.0 <= task.payload < math.inf:
            return f"task {task.id} has a payload of {task.payload} kg; give 0 kg or more"
        if not task.legs:
            return f"task {task.id} has no legs; give at least one cell to go to"
        for leg in task.legs:
            if not 0 <= leg.cell < self.roadmap.cells or not self.roadmap.free[leg.cell]:
                return f"task {task.id} goes to cell {leg.cell}, which is no free cell of site {self.site.name}"
            if not 0.0 <= leg.dwell < math.inf:
                return f"task {task.id} stays {leg.dwell} s at cell {leg.cell}; give a time of 0 s or more"
        for start, end in pairwise(task.legs):
            fields = self.right_of_way.fields
            if fields.matrix[fields.slot(end.cell), start.cell] == FAR:
                return f"task {task.id}: no way leads from cell {start.cell} to cell {end.cell}"
        return ""

    def _cancel(self, message: Cancel, now: int) -> Submitted:
        record = self.store.record(message.task)
        if record is None:
            return Submitted(message.request, error=f"there is no task {message.task}")
        if not self.store.change(message.task, TaskEvent.CANCEL, now, "cancelled by a client"):
            return Submitted(message.request, error=f"task {message.task} is {record.state.name} already")
        if record.robot:
            self._live.pop(record.robot, None)
        return Submitted(message.request, (message.task,))

    # the tick --------------------------------------------------------------------------------------------------

    def _take_back_from_silent(self, now: int) -> None:
        # A restarted coordinator has heard nobody yet: silence counts from its own beginning.
        if self._begun is None:
            self._begun = now
        for robot, live in list(self._live.items()):
            known = self._robots.get(robot)
            heard = max(known.heard if known is not None else self._begun, live.changed)
            if now - heard > self.policy.task_lease and live.legs_done == 0:
                self._give_up(live, f"{robot} was silent for {(now - heard) / SECOND:.0f} s", now)
                self._refresh(robot, live.task.id)
            elif now - heard > self.policy.task_lease and robot not in self.waiting:
                reason = f"{robot} is silent after {live.legs_done} legs, its load may be on board; {REMEDY}"
                self.waiting[robot] = Waiting(live.task.id, robot, reason)
                self.store.wait(live.task.id, live.attempt, reason, now)
        for robot, waiting in list(self.waiting.items()):
            live, known = self._live.get(robot), self._robots.get(robot)
            heard = known is not None and now - known.heard <= self.policy.task_lease
            if live is None or live.task.id != waiting.task or heard:
                del self.waiting[robot]
                if live is not None and live.task.id == waiting.task:
                    self.store.wait(live.task.id, live.attempt, "", now)
                    self._refresh(robot, live.task.id)

    def _free(self, now: int) -> list[tuple[str, _Robot]]:
        """Robots that could take work: there, well, and without any."""
        well = (RobotStatus.IDLE, RobotStatus.MOVING, RobotStatus.WAITING)
        return [
            (robot, known)
            for robot, known in self._robots.items()
            if robot not in self._live
            and known.charge is None
            and not known.error
            and now >= known.rests_until
            and now - known.heard <= self.rules.silent
            and known.report.status in well
            and self.right_of_way.tail(robot) != NONE
            and not self.right_of_way.ledger.movers[robot].conflict
        ]

    def _take_answers(self, now: int) -> None:
        """What robots chose among their offers, the nearer first: the store gives a task to one of them alone."""
        if not self.offers.standing:
            return
        free = {robot for robot, _ in self._free(now)}
        answers: list[tuple[int, str, Chosen]] = []
        for robot in sorted(self.offers.standing.keys() & free):
            chosen = self._robots[robot].report.chosen
            offer = self.offers.answer(robot, chosen)
            if chosen is None or offer is None:
                continue
            try:
                line = line_of(offer, chosen)
            except ValueError as error:
                self.store.note("refused", now, robot=robot, detail=f"{robot}: {error}")
                self.offers.lapse(robot, now)
                continue
            answers.append((line.way if line is not None else 0, robot, chosen))
        for _, robot, chosen in sorted(answers, key=lambda answer: answer[:2]):
            del self.offers.standing[robot]
            if not chosen.task:
                self._charge(robot, now, chosen)
            elif self._queued(chosen.task):
                self.store.assign(chosen.task, robot, now, chosen)
                self._refresh(robot, chosen.task)

    def _queued(self, task: str) -> bool:
        record = self.store.record(task)
        return record is not None and record.state is TaskState.QUEUED

    def _offer(self, now: int) -> None:
        """Renew the offers: each free robot that chooses has one that holds, if there is anything to choose."""
        if not any(known.report.chooses for known in self._robots.values()):
            return
        free = [
            (robot, known) for robot, known in self._free(now) if self.offers.chooses(robot, known.report.chooses, now)
        ]
        names = {robot for robot, _ in free}
        self.offers.end(names.__contains__, self._queued, now)
        open_to = [
            (robot, known)
            for robot, known in free
            if robot not in self.offers.standing and self.offers.chooses(robot, known.report.chooses, now)
        ]
        if not open_to:
            return
        records = self.store.next_queued(now, max(self.policy.queue_least, self.policy.queue_factor * len(open_to)))
        if not records:
            return
        fields = self.right_of_way.fields
        cost = costs(records, [self._candidate(*pair, now) for pair in open_to], fields, now, self._energy())
        targets = {robot: self._goal(robot, known)[0] for robot, known in self._robots.items()}
        for row, (robot, known) in enumerate(open_to):
            cell = self.right_of_way.tail(robot)
            goals = Counter(goal for other, goal in targets.items() if other != robot and goal != NONE)
            chargers = self.site.chargers.tolist()
            lines = offered(records, cost[row], cell, known.report.chooses, fields, chargers, goals, now)
            if lines:
                full = known.report.battery >= self.policy.battery_full
                charger = (int(FAR), NONE) if full else self._nearest_charger(robot, unoccupied=True)
                self.offers.standing[robot] = Offer(
                    id=now,
                    tasks=lines,
                    charger=charger[0] if charger[0] < FAR else -1,
                    queued=self.store.counts()[TaskState.QUEUED.name],
                    robots=len(self._robots),
                    charging=sum(other.charge is not None for other in self._robots.values()),
                )

    def _candidate(self, robot: str, known: _Robot, now: int) -> Candidate:
        return Candidate(
            robot,
            self.right_of_way.tail(robot),
            known.report.battery,
            known.report.payload_max or self.spec.payload_max,
            frozenset(known.report.capabilities),
            frozenset(task for task, when in known.given_up.items() if now - when < self.policy.retry),
        )

    def _energy(self) -> Energy:
        return self.energy if len(self.site.chargers) else Energy(self.energy.per_cell, reserve=0.0)

    def _assigned(self, now: int) -> list[tuple[str, _Robot]]:
        """Free robots that are not asked: they do not choose, or did not answer."""
        return [(robot, known) for robot, known in self._free(now) if robot not in self.offers.standing]

    def _assign(self, now: int) -> None:
        free = self._assigned(now)
        if not free:
            return
        records = self.store.next_queued(now, max(self.policy.queue_least, self.policy.queue_factor * len(free)))
        if not records:
            return
        candidates = [
            self._candidate(robot, known, now)
            for robot, known in free
            if known.report.battery >= self.policy.battery_low or not len(self.site.chargers)
        ]
        for match in assign(records, candidates, self.right_of_way.fields, now, self._energy()):
            self.store.assign(match.task, match.robot, now)
            self._refresh(match.robot, match.task)

    def _send_to_charge(self, now: int) -> None:
        if not len(self.site.chargers):
            return
        for robot, known in self._assigned(now):
            if known.report.battery < self.policy.battery_low:
                self._charge(robot, now)

    def _charge(self, robot: str, now: int, chosen: Chosen | None = None) -> None:
        """Send a robot to the nearest charger that nobody is sent to; by its own choice for a SLICE of time."""
        known = self._robots[robot]
        distance, charger = self._nearest_charger(robot, unoccupied=chosen is not None)
        if distance >= FAR:
            return
        dwell = max(0.0, (self.policy.battery_full - known.report.battery) * self.policy.charge_seconds)
        attempt = now // MILLISECOND
        if chosen is not None:
            dwell = min(dwell, SLICE)
            choice = chosen.choice(f"{CHARGE}{robot}/{attempt}")
            self.store.note("charge", now, robot=robot, detail=msgspec.json.encode(choice).decode())
        known.charge = Assignment(CHARGE + robot, attempt, (Leg(charger, LegKind.CHARGE, dwell),))

    def _nearest_charger(self, robot: str, *, unoccupied: bool) -> tuple[int, int]:
        """Cells to the nearest charger that no other robot is sent to (and none stands on), and its cell."""
        taken = {known.charge.legs[0].cell for known in self._robots.values() if known.charge is not None}
        if unoccupied:
            taken |= {self.right_of_way.tail(other) for other in self._robots if other != robot}
        cell = self.right_of_way.tail(robot)
        return min(
            (
                (self._distance(cell, charger), charger)
                for charger in self.site.chargers.tolist()
                if charger not in taken
            ),
            default=(int(FAR), NONE),
        )

    def _distance(self, cell: int, goal: int) -> int:
        fields = self.right_of_way.fields
        return int(fields.matrix[fields.slot(goal), cell])

    def _assignment(self, robot: str, known: _Robot) -> Assignment | None:
        live = self._live.get(robot)
        if live is None:
            return known.charge
        return Assignment(live.task.id, live.attempt, live.task.legs, live.task.payload, live.legs_done)

    def _goal(self, robot: str, known: _Robot) -> tuple[int, int]:
        """Where a robot wants to go, and its task's priority."""
        live = self._live.get(robot)
        if live is not None:
            return live.task.legs[live.legs_done].cell, priority_of(live.task)
        if known.charge is not None:
            return known.charge.legs[0].cell, 0
        return NONE, 0

    def _near(self, now: int) -> dict[str, tuple[tuple[float, float, float], ...]]:
        """For each robot the others near it: where they will be one period from now, and within what radius.

        The radius covers the footprint's circle, localisation and lidar noise, and what braking may change meanwhile.
        """
        names = list(self._robots)
        if not names:
            return {}
        spec, brake = self.spec, 1.2 * self.spec.drive.brake_min  # drives brake up to 20 % better than guaranteed
        pose = np.array([self._robots[name].report.pose for name in names])
        v, w = np.array([self._robots[name].report.twist for name in names]).T
        age = np.array([(now - self._robots[name].heard) / SECOND for name in names]) + spec.period / SECOND
        heading = pose[:, 2] + 0.5 * w * age
        x, y = pose[:, 0] + v * age * np.cos(heading), pose[:, 1] + v * age * np.sin(heading)
        body = np.array([(self._loaded if self._robots[name].report.loaded else spec).radius for name in names])
        fixed = body + spec.localisation_bound + 3.0 * spec.lidar.noise + 0.02
        radius = fixed + np.minimum(0.5 * brake * age**2, 2.0 * spec.drive.speed_max * age)
        places = np.stack([x, y], axis=-1)
        reach = spec.lidar.range_max
        nearest = np.asarray(KDTree(places).query(places, k=NEAR + 1, distance_upper_bound=reach)[1])
        seen = list(zip(x.tolist(), y.tolist(), radius.tolist(), strict=True))
        return {
            name: tuple(seen[other] for other in nearest[i].tolist() if other not in (i, len(names)))[:NEAR]
            for i, name in enumerate(names)
        }

    def _picture(self, robot: str, known: _Robot, near: tuple[tuple[float, float, float], ...], now: int) -> Picture:
        latch = self.store.latch()
        mover = self.right_of_way.ledger.movers.get(robot)
        error = known.error or (mover.conflict if mover is not None else "")
        return Picture(
            round=known.report.round,
            stamp=now,
            site=self.site.hash,
            grant=None if error else self.right_of_way.grant(robot, now),
            others=self.right_of_way.others(robot),
            robots=near,
            assignment=self._assignment(robot, known),
            stop_epoch=latch.stop_epoch,
            stopped=latch.stopped,
            error=error,
            epoch=self.epoch,
            offer=self.offers.standing.get(robot) if not (error or latch.stopped) else None,
        )


def warm(progress: Callable[[str], None] = lambda _: None) -> None:
    """Compile (or load from numba's cache) everything that a tick runs; call it before saying ready."""
    for module in (roadmap, pibt, detours, surroundings):
        progress(module.__name__)
        module.warm()
