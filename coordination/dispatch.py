"""Who does what next: free robots choose among offers, are assigned tasks, or are sent to charge.

In each tick, in this order: what robots answered to their offers is taken, offers are renewed, all other free robots
are assigned (`assignment`), and those with a low battery that got nothing are sent to a charger. How an offer is made
is `offers`'; what a robot has and how far it is, `roster`'s; who may drive where, `rightofway`'s.
"""

from __future__ import annotations

from collections import Counter

import msgspec

from coordination.assignment import Candidate, Energy, assign, costs
from coordination.lifecycle import TaskRecord
from coordination.messages import Assignment, Chosen, Leg, LegKind, Offer, RobotStatus
from coordination.offers import SLICE, Offers, line_of, offered
from coordination.pods import first_lift, lifted, one_each
from coordination.requests import TaskState
from coordination.rightofway import RightOfWay
from coordination.roadmap import FAR, NONE
from coordination.roster import CHARGE, Robot, Roster
from sim.robot import MILLISECOND, RobotSpec


class Dispatch:
    """Owns the standing offers; attempts go to the store, charging errands to the roster."""

    def __init__(
        self, roster: Roster, right_of_way: RightOfWay, chargers: list[int], energy: Energy, spec: RobotSpec
    ) -> None:
        """`chargers` are cells; `spec` is what a robot is taken for that does not say what it carries."""
        self.roster, self.right_of_way = roster, right_of_way
        self.store, self.policy, self.offers = roster.store, roster.policy, Offers()
        self._chargers, self._spec = chargers, spec
        self._energy = energy if chargers else Energy(energy.per_cell, reserve=0.0)

    def step(self, now: int) -> None:
        """Give out work once."""
        self._take_answers(now)
        self._offer(now)
        self._assign(now)
        self._send_to_charge(now)

    def _free(self, now: int) -> list[tuple[str, Robot]]:
        """Robots that could take work: there, well, and without any."""
        well = (RobotStatus.IDLE, RobotStatus.MOVING, RobotStatus.WAITING)
        return [
            (robot, known)
            for robot, known in self.roster.robots.items()
            if robot not in self.roster.live
            and robot not in self.roster.manual
            and known.charge is None
            and not known.error
            and now >= known.rests_until
            and now - known.heard <= self.right_of_way.rules.silent
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
            chosen = self.roster.robots[robot].report.chosen
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
                self.roster.refresh(robot, chosen.task)

    def _queued(self, task: str) -> bool:
        record = self.store.record(task)
        return record is not None and record.state is TaskState.QUEUED

    def _offer(self, now: int) -> None:
        """Renew the offers: each free robot that chooses has one that holds, if there is anything to choose."""
        if not any(known.report.chooses for known in self.roster.robots.values()):
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
        records = self._next(len(open_to), now)
        if not records:
            return
        fields = self.right_of_way.fields
        cost = costs(records, [self._candidate(*pair, records, now) for pair in open_to], fields, now, self._energy)
        targets = {robot: self.roster.goal(robot)[0] for robot in self.roster.robots}
        for row, (robot, known) in enumerate(open_to):
            cell = self.right_of_way.tail(robot)
            goals = Counter(goal for other, goal in targets.items() if other != robot and goal != NONE)
            lines = offered(records, cost[row], cell, known.report.chooses, fields, self._chargers, goals, now)
            if lines:
                full = known.report.battery >= self.policy.battery_full
                charger = (int(FAR), NONE) if full else self._nearest_charger(robot, unoccupied=True)
                self.offers.standing[robot] = Offer(
                    id=now,
                    tasks=lines,
                    charger=charger[0] if charger[0] < FAR else -1,
                    queued=self.store.counts()[TaskState.QUEUED.name],
                    robots=len(self.roster.robots),
                    charging=sum(other.charge is not None for other in self.roster.robots.values()),
                )

    def _next(self, robots: int, now: int) -> list[TaskRecord]:
        """Tasks that so many robots may choose from; those that lift a pod only while it stands there."""
        pods = self.roster.pods
        leaving = lifted(self.roster.live.values())

        def fit(record: TaskRecord) -> bool:
            cell = first_lift(record)
            return cell == NONE or (cell in pods.standing and cell not in leaving)

        limit = max(self.policy.queue_least, self.policy.queue_factor * robots)
        return one_each(self.store.next_queued(now, limit, fit))

    def _candidate(self, robot: str, known: Robot, records: list[TaskRecord], now: int) -> Candidate:
        barred = {task for task, when in known.given_up.items() if now - when < self.policy.retry}
        if robot in self.roster.pods.carried:  # it must set its pod down first, and meets those that stand
            standing = self.roster.pods.standing
            barred |= {
                record.task.id
                for record in records
                if first_lift(record) != NONE or any(leg.cell in standing for leg in record.task.legs)
            }
        return Candidate(
            robot,
            self.right_of_way.tail(robot),
            known.report.battery,
            known.report.payload_max or self._spec.payload_max,
            frozenset(known.report.capabilities),
            frozenset(barred),
        )

    def _assigned(self, now: int) -> list[tuple[str, Robot]]:
        """Free robots that are not asked: they do not choose, or did not answer."""
        return [(robot, known) for robot, known in self._free(now) if robot not in self.offers.standing]

    def _assign(self, now: int) -> None:
        free = self._assigned(now)
        if not free:
            return
        records = self._next(len(free), now)
        if not records:
            return
        candidates = [
            self._candidate(robot, known, records, now)
            for robot, known in free
            if known.report.battery >= self.policy.battery_low or not self._chargers
        ]
        for match in assign(records, candidates, self.right_of_way.fields, now, self._energy):
            self.store.assign(match.task, match.robot, now)
            self.roster.refresh(match.robot, match.task)

    def _send_to_charge(self, now: int) -> None:
        if not self._chargers:
            return
        for robot, known in self._assigned(now):
            if known.report.battery < self.policy.battery_low:
                self._charge(robot, now)

    def _charge(self, robot: str, now: int, chosen: Chosen | None = None) -> None:
        """Send a robot to the nearest charger that nobody is sent to; by its own choice for a SLICE of time."""
        known = self.roster.robots[robot]
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
        taken = {known.charge.legs[0].cell for known in self.roster.robots.values() if known.charge is not None}
        if unoccupied:
            taken |= {self.right_of_way.tail(other) for other in self.roster.robots if other != robot}
        cell = self.right_of_way.tail(robot)
        return min(
            ((self._distance(cell, charger), charger) for charger in self._chargers if charger not in taken),
            default=(int(FAR), NONE),
        )

    def _distance(self, cell: int, goal: int) -> int:
        fields = self.right_of_way.fields
        return int(fields.matrix[fields.slot(goal), cell])
