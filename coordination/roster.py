"""The robots that the coordinator has heard of: what each said last, the work that it has, and how far that is.

What a robot does next follows from the store alone: its live attempt, and how many legs of it are done. Charging is the
coordinator's own errand: it is in no store, and a robot that comes back with one after a restart is simply sent again.

    gives a task up       another robot may try it, until too many have; itself not for a while
    silent for a lease    the same, where no leg is done; else its load may be on board, and the task waits for a person
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field

from coordination.lifecycle import TaskRecord, priority_of
from coordination.messages import Assignment, Report
from coordination.pods import PodBook
from coordination.requests import TaskState, Waiting
from coordination.roadmap import NONE
from coordination.rules import Policy
from coordination.tasks import Store
from sim.robot import SECOND

CHARGE = "charge-"
"""How the ids of the coordinator's own charging errands begin."""

REMEDY = "bring it back or cancel the task"
"""What an operator can do for a task that waits."""

REASON = 256
"""Characters kept of why a robot gave a task up."""


@dataclass
class Robot:
    """What is remembered of a robot beside its right of way."""

    report: Report
    heard: int
    charge: Assignment | None = None
    given_up: dict[str, int] = field(default_factory=dict)
    """Tasks that it gave up since this process started, and when"""
    rests_until: int = 0
    error: str = ""
    """Why it is not served"""


class Roster:
    """Owns what is remembered of each robot; attempts are the store's, mirrored here by robot."""

    def __init__(self, store: Store, pods: PodBook, policy: Policy, site: str, epoch: int) -> None:
        """Robots must be on the floor `site` (hash) and have heard of no later life than `epoch`."""
        self.store, self.pods, self.policy = store, pods, policy
        self.robots: dict[str, Robot] = {}
        self.live: dict[str, TaskRecord] = {}
        """By robot: its live attempt"""
        self.waiting: dict[str, Waiting] = {}
        """By robot: attempts that wait for an operator"""
        self.manual: Collection[str] = ()
        """Robots that operators have: they get no work"""
        self._site, self._epoch = site, epoch
        self._begun: int | None = None
        """Stamp of the first tick of this life"""
        for record in store.open_tasks().values():
            if record.robot:
                self.live[record.robot] = record

    def hear(self, robot: str, report: Report, now: int) -> bool:
        """Take a report in; False for one that says nothing new or comes from a robot that cannot be served."""
        known = self.robots.get(robot)
        if known is not None and report.stamp < known.report.stamp:
            return False
        if not all(map(math.isfinite, (*report.pose, *report.twist))):
            self.store.note("conflict", now, robot=robot, detail=f"{robot} reports a pose or speed that is no number")
            return False  # as good as silent: its cells stay its own
        if known is None:
            known = self.robots[robot] = Robot(report, now)
        known.report, known.heard = report, now
        if report.site and report.site != self._site:
            known.error = f"{robot} is on site {report.site[:12]}, this is {self._site[:12]}; load the same floor"
            return False
        if report.epoch > self._epoch:
            known.error = (
                f"{robot} has heard a coordinator of epoch {report.epoch}, this is epoch {self._epoch}; "
                f"give this one the same run directory, or start {robot} again"
            )
            return False
        known.error = ""
        return True

    def hear_of_work(self, robot: str, report: Report, now: int) -> None:
        """Take in what a robot that can be served says of its task or of its charging."""
        if report.task.startswith(CHARGE):
            self._hear_of_charge(self.robots[robot], report)
        elif report.task:
            self._hear_of_task(robot, report, now)

    def refresh(self, robot: str, task: str) -> None:
        """The robot's live attempt as the store has it now."""
        record = self.store.record(task)
        if record is not None and record.robot == robot:
            self.live[robot] = record
        else:
            self.live.pop(robot, None)

    def assignment(self, robot: str) -> Assignment | None:
        """What a robot is to do: its attempt, or the coordinator's own errand."""
        live = self.live.get(robot)
        if live is None:
            return self.robots[robot].charge
        return Assignment(live.task.id, live.attempt, live.task.legs, live.task.payload, live.legs_done)

    def goal(self, robot: str) -> tuple[int, int]:
        """Where a robot wants to go, and its task's priority."""
        live = self.live.get(robot)
        if live is not None:
            return live.task.legs[live.legs_done].cell, priority_of(live.task)
        known = self.robots[robot]
        if known.charge is not None:
            return known.charge.legs[0].cell, 0
        return NONE, 0

    def take_back_from_silent(self, now: int) -> None:
        """End attempts of robots that were silent for a lease, or let them wait for an operator."""
        # A restarted coordinator has heard nobody yet: silence counts from its own beginning.
        if self._begun is None:
            self._begun = now
        for robot, live in list(self.live.items()):
            known = self.robots.get(robot)
            heard = max(known.heard if known is not None else self._begun, live.changed)
            if now - heard > self.policy.task_lease and live.legs_done == 0:
                self._give_up(live, f"{robot} was silent for {(now - heard) / SECOND:.0f} s", now)
                self.refresh(robot, live.task.id)
            elif now - heard > self.policy.task_lease and robot not in self.waiting:
                reason = f"{robot} is silent after {live.legs_done} legs, its load may be on board; {REMEDY}"
                self.waiting[robot] = Waiting(live.task.id, robot, reason)
                self.store.wait(live.task.id, live.attempt, reason, now)
        for robot, waiting in list(self.waiting.items()):
            live, known = self.live.get(robot), self.robots.get(robot)
            heard = known is not None and now - known.heard <= self.policy.task_lease
            if live is None or live.task.id != waiting.task or heard:
                del self.waiting[robot]
                if live is not None and live.task.id == waiting.task:
                    self.store.wait(live.task.id, live.attempt, "", now)
                    self.refresh(robot, live.task.id)

    def _hear_of_task(self, robot: str, report: Report, now: int) -> None:
        """Level-triggered: the same words again change nothing, and a dead attempt's words are not heard."""
        live = self.live.get(robot)
        if live is None or (live.task.id, live.attempt) != (report.task, report.attempt):
            return
        self.pods.confirm(robot, live.task.legs[live.legs_done : report.legs_done], now)
        if report.legs_done >= len(live.task.legs):
            self.store.finish(report.task, report.attempt, TaskState.DONE, now)
        elif report.failed:
            self._give_up(live, report.failed[:REASON], now)
            known = self.robots[robot]
            known.given_up[report.task] = now
            known.rests_until = now + self.policy.rest
        else:
            self.store.progress(report.task, report.attempt, report.legs_done, now)
        self.refresh(robot, report.task)

    def _hear_of_charge(self, known: Robot, report: Report) -> None:
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
