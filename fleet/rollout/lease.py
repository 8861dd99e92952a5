"""By which release a robot may drive: leases of two seconds at most, both sides, pure.

    robot    asks every ASK s, with its own clock's time           LeaseAsk(asked)
    rollout  answers with a release, the epoch and a span          Lease(release, epoch, asked, span)
    robot    drives by it until asked + span, on its own clock

A lease counts from when its robot asked: nobody's clocks are compared, so one that jumps lengthens no lease, and an
answer that lay in a queue is as old as it is. Without a lease a robot drives the old release, so silence, a cut cable,
a dead service and a full disk all take a candidate back within SPAN. A revocation is told unasked and counts the epoch
up: whatever older answers are still on their way hold no more. Its own guard bars a robot from the candidate for that
epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from coordination.messages import Lease, LeaseAsk
from fleet.rollout.assign import CANDIDATE

SECOND = 1_000_000_000
SPAN = 3 * SECOND // 2
"""ns: 2 s are the goal for a robot that is cut off; the rest is for a step that waits for its turn."""
ASK = 2 * SECOND // 5
"""ns between two questions: three of them may be lost in a row."""


@dataclass
class Lessor:
    """The rollout's side: what each robot may drive by. Owns the epoch that was last told."""

    arms: Mapping[str, str] = field(default_factory=dict)
    release: str = ""
    """The candidate"""
    epoch: int = 0
    closed: str = ""
    """Why nobody gets a lease any more; empty while they do"""

    def deploy(self, arms: Mapping[str, str], release: str, epoch: int) -> None:
        """From now on these robots drive by the candidate."""
        self.arms, self.release, self.epoch, self.closed = dict(arms), release, max(epoch, self.epoch), ""

    def close(self, reason: str, epoch: int = 0) -> Lease:
        """Nobody drives by the candidate any more; what is to be told to every robot at once."""
        self.epoch = max(epoch, self.epoch + 1)
        self.closed, self.arms = reason, {}
        return Lease("", self.epoch)

    def answer(self, robot: str, ask: LeaseAsk) -> Lease:
        """What a robot that asks is told."""
        release = self.release if self.arms.get(robot) == CANDIDATE and not ask.fallen else ""
        return Lease(release, self.epoch, ask.asked, SPAN)


@dataclass
class Lessee:
    """The robot's side. Owns the newest lease; `now` is ns of the robot's monotonic clock, which never goes back."""

    epoch: int = 0
    """Newest that was heard: older leases are not taken"""
    fallen: str = ""
    """Why its own guard took the candidate back; stands until a newer epoch"""
    counts: dict[str, int] = field(default_factory=lambda: {"taken": 0, "refused": 0})
    _release: str = ""
    _until: int = 0
    _asked: int = -ASK

    def ask(self, now: int, drives: str) -> LeaseAsk | None:
        """The question that is due, if one is."""
        if now - self._asked < ASK:
            return None
        self._asked = now
        return LeaseAsk(now, drives, self.epoch, self.fallen)

    def take(self, lease: Lease, now: int) -> None:
        """Hear an answer, or a revocation. One that cannot be (asked later than now, too long) is not taken."""
        told = not lease.asked
        if lease.epoch < self.epoch or lease.asked > now or lease.span > SPAN or (told and lease.release):
            self.counts["refused"] += 1
            return
        if lease.epoch > self.epoch:
            self.epoch, self.fallen, self._release, self._until = lease.epoch, "", "", 0
        self.counts["taken"] += 1
        if told or not lease.release:
            self._release, self._until = "", 0
        elif lease.asked + lease.span >= self._until:
            self._release, self._until = lease.release, lease.asked + lease.span

    def trip(self, reason: str) -> None:
        """The robot's own guard takes the candidate back, at once."""
        self.fallen, self._release, self._until = reason or "guard", "", 0

    def release(self, now: int) -> str:
        """By which it may drive now; empty for the old one."""
        return self._release if now < self._until and not self.fallen else ""
