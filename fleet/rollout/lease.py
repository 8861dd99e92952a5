"""By which release a robot may drive: leases of two seconds at most, both sides, pure.

    robot    asks every ASK s, with its own clock's time           LeaseAsk(asked)
    rollout  answers with a release, the epoch and a span          Lease(release, epoch, asked, span)
    robot    drives by it until asked + span, on its own clock

A lease counts from when its robot asked: nobody's clocks are compared, so one that jumps lengthens no lease, and an
answer that lay in a queue is as old as it is. Without a lease a robot drives the old release, so silence, a cut cable,
a dead service and a full disk all take a candidate back within SPAN. A revocation is told unasked and counts the epoch
up: whatever older answers are still on their way hold no more. Its own guard bars a robot from the candidate for that
epoch.

On the closed course a lease has bounds: a fence, and a speed. A robot that is not inside, or does not know where it
is, holds none; one that leaves the fence while it drives by the candidate is barred from it as by its own guard.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from coordination.messages import Lease, LeaseAsk
from fleet.rollout.assign import CANDIDATE
from fleet.rollout.plan import Course, Stage
from fleet.rollout.record import State

SECOND = 1_000_000_000
SPAN = 3 * SECOND // 2
"""ns: 2 s are the goal for a robot that is cut off; the rest is for a step that waits for its turn."""
ASK = 2 * SECOND // 5
"""ns between two questions: three of them may be lost in a row."""


Place = tuple[float, float]
"""x and y of a robot, m."""


@dataclass(frozen=True)
class Terms:
    """What the rollout's leases say."""

    arms: Mapping[str, str] = field(default_factory=dict)
    """By robot; empty while nobody gets a lease"""
    release: str = ""
    """The candidate"""
    epoch: int = 0
    course: Course | None = None
    """Whose fence and speed bound the leases; None off the closed course"""
    pinned: tuple[str, str] = ("", "")
    """Embodiment and shield with which the candidate was driven on the closed course; empty: whoever asks"""


@dataclass
class Lessor:
    """The rollout's side: what each robot may drive by. Owns the epoch that was last told.

    One thread changes the terms, all at once; any may answer by them.
    """

    terms: Terms = Terms()

    @property
    def epoch(self) -> int:
        """That was last told."""
        return self.terms.epoch

    def deploy(
        self,
        arms: Mapping[str, str],
        release: str,
        epoch: int,
        course: Course | None = None,
        pinned: tuple[str, str] = ("", ""),
    ) -> None:
        """From now on these robots drive by the candidate, within the closed course if one is given."""
        self.terms = Terms(dict(arms), release, max(epoch, self.epoch), course, pinned)

    def follow(self, state: State) -> None:
        """What a rollout that is not over says."""
        course = state.plan.course if state.stage is Stage.COURSE else None
        candidate = state.candidate
        self.deploy(state.arms, candidate.release, state.epoch, course, (candidate.embodiment, candidate.shield))

    def differs(self, robot: str, ask: LeaseAsk) -> bool:
        """Whether a robot that is to drive the candidate is not what the candidate was shown on."""
        terms, told = self.terms, (ask.embodiment, ask.shield)
        return terms.arms.get(robot) == CANDIDATE and all(told) and all(terms.pinned) and told != terms.pinned

    def unknown(self, robot: str, ask: LeaseAsk) -> bool:
        """Whether a robot that says what it is does not belong to the rollout's fleet yet."""
        return bool(self.terms.arms) and robot not in self.terms.arms and bool(ask.embodiment)

    def close(self, epoch: int = 0) -> Lease:
        """Nobody drives by the candidate any more; what is to be told to every robot at once."""
        self.terms = Terms(epoch=max(epoch, self.epoch + 1))
        return Lease("", self.epoch)

    def answer(self, robot: str, ask: LeaseAsk) -> Lease:
        """What a robot that asks is told."""
        terms = self.terms
        may = terms.arms.get(robot) == CANDIDATE and not ask.fallen and not self.differs(robot, ask)
        release = terms.release if may else ""
        if not release or terms.course is None:
            return Lease(release, terms.epoch, ask.asked, SPAN)
        return Lease(release, terms.epoch, ask.asked, SPAN, terms.course.fence, terms.course.speed)


NONE = Lease("", 0)
"""No lease."""


@dataclass
class Lessee:
    """The robot's side. Owns the newest lease; `now` is ns of the robot's monotonic clock, which never goes back."""

    epoch: int = 0
    """Newest that was heard: older leases are not taken"""
    fallen: str = ""
    """Why its own guard took the candidate back; stands until a newer epoch"""
    pinned: tuple[str, str] = ("", "")
    """Hashes of its embodiment and shield; empty where it does not say"""
    counts: dict[str, int] = field(default_factory=lambda: {"taken": 0, "refused": 0})
    _lease: Lease = NONE
    """Newest that holds, or held"""
    _asked: int = -ASK

    def ask(self, now: int, drives: str) -> LeaseAsk | None:
        """The question that is due, if one is."""
        if now - self._asked < ASK:
            return None
        self._asked = now
        return LeaseAsk(now, drives, self.epoch, self.fallen, *self.pinned)

    def take(self, lease: Lease, now: int) -> None:
        """Hear an answer, or a revocation. One that cannot be (asked later than now, too long) is not taken."""
        told = not lease.asked
        bounded = math.isfinite(lease.speed) and lease.speed >= 0.0
        early, odd = lease.epoch < self.epoch, lease.asked > now or lease.span > SPAN or not bounded
        if early or odd or (told and lease.release):
            self.counts["refused"] += 1
            return
        if lease.epoch > self.epoch:
            self.epoch, self.fallen, self._lease = lease.epoch, "", NONE
        self.counts["taken"] += 1
        if told or not lease.release:
            self._lease = NONE
        elif lease.asked + lease.span >= self._lease.asked + self._lease.span:
            self._lease = lease

    def trip(self, reason: str) -> None:
        """The robot's own guard takes the candidate back, at once."""
        self.fallen, self._lease = reason or "guard", NONE

    def release(self, now: int, places: Iterable[Place | None] = ()) -> str:
        """By which it may drive now; empty for the old one.

        `places` are where the robots that drive by it are, None where one does not know: a fence must have all inside.
        """
        return self._lease.release if self._holds(now) and not self.strayed(now, places) else ""

    def strayed(self, now: int, places: Iterable[Place | None]) -> bool:
        """Whether its lease would hold if all were inside its fence."""
        return self._holds(now) and self._lease.fence is not None and not inside(self._lease.fence, places)

    @property
    def speed(self) -> float:
        """m/s that the newest lease leaves at most; 0 for no bound."""
        return self._lease.speed

    def _holds(self, now: int) -> bool:
        return now < self._lease.asked + self._lease.span and not self.fallen


def inside(fence: tuple[float, float, float, float], places: Iterable[Place | None]) -> bool:
    """Whether there are robots, and all are within; nan is not."""
    x0, y0, x1, y1 = fence
    found = [place is not None and x0 <= place[0] <= x1 and y0 <= place[1] <= y1 for place in places]
    return bool(found) and all(found)
