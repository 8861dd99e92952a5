"""Driving by hand: which operator may move which robot, and what the newest wish is.

    take      a robot that asked for an operator, or stands stopped, becomes one operator's for LEASE; again: goes on
              (with the lease's number it goes on alone: a lease that has ended is not taken anew)
    move      a wish (v, w) while the lease runs; the robot proposes it to its shield (`safety/manual.py`)
    release   the robot is handed back, and plans from where it stands

One operator has a robot, and no two robots. The lease ends by itself; the robot then stands where it is, its cells
kept, until an operator hands it back or takes it anew: after manual commands no truck restarts by itself (ISO 3691-4,
4.1.14).

A lease is on disk before it is acknowledged. Wishes are not: after a restart there is none, and the robot stands until
the next. A wish names its lease, its number under it, and the stamp of the newest answer that its sender had: that is
how old it may be by our clock, whatever the network did to it. What is late, out of order or another lease's is counted
in `counts` and dropped; wrongly signed and replayed ones do not come this far (`wire`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from coordination.estop import is_operator
from coordination.leases import Lease, Leases
from coordination.messages import Jog, RobotStatus
from coordination.requests import JogLine, JogMove, JogRelease, JogState, JogTake
from coordination.roster import Robot, Roster
from coordination.rules import LEASE, Rules
from safety.manual import DEAD_MAN
from sim.robot import SECOND

WORDS = 64
"""Characters kept of who an operator says to be."""

STOPPED = (RobotStatus.STOPPED, RobotStatus.OPERATOR)


@dataclass(frozen=True)
class Wish:
    """The newest that an operator wanted of a robot."""

    lease: int
    number: int
    v: float
    w: float
    stamp: int
    """It is no older than this"""


class Jogs:
    """Owns the newest wishes; leases are `leases`', what is known of the robots the roster's."""

    def __init__(self, leases: Leases, roster: Roster, rules: Rules, counts: Counter[str]) -> None:
        """`counts` gets what is dropped, by kind."""
        self.leases, self.roster, self.rules, self.counts = leases, roster, rules, counts
        self._wishes: dict[str, Wish] = {}

    def handle(self, sender: str, message: JogTake | JogMove | JogRelease, now: int) -> JogState:
        """Answer an operator; `sender` is the name that the signature proved."""
        if not is_operator(sender):
            self.counts["no_operator"] += 1
            error = f"only an operator drives a robot by hand; {sender} is none"
        elif isinstance(message, JogTake):
            error = self._take(sender, message, now)
        elif isinstance(message, JogMove):
            error = self._move(sender, message, now)
        else:
            error = self._release(sender, message, now)
        return self._state(message.request, message.robot, error, now)

    def step(self, now: int) -> None:
        """Once a tick: leases that have ended are on record as such."""
        for robot, lease in self.leases.held.items():
            if now >= lease.expires and not lease.ended:
                self.leases.end(robot, now)

    def drives(self, now: int) -> dict[str, int]:
        """Robots that operators have; 1 where one wants to drive forwards now, -1 backwards, 0 else."""
        found = {}
        for robot in self.leases.held:
            jog = self.jog(robot, now)
            found[robot] = (jog.v > 0.0) - (jog.v < 0.0) if jog is not None and now < jog.expires else 0
        return found

    def jog(self, robot: str, now: int) -> Jog | None:
        """What the robot's picture says; None for one that drives itself.

        A wish older than DEAD_MAN is none: a robot whose clock lags behind ours would go on by it for as long.
        """
        lease = self.leases.held.get(robot)
        if lease is None:
            return None
        wish = self._wishes.get(robot)
        if wish is None or wish.lease != lease.number or abs(now - wish.stamp) > DEAD_MAN:
            return Jog(lease.number, lease.operator, lease.expires)
        return Jog(lease.number, lease.operator, lease.expires, wish.v, wish.w, wish.stamp)

    def asking(self, now: int) -> list[str]:
        """Robots that ask for an operator, and that none has."""
        robots = self.roster.robots.items()
        return [name for name, known in robots if name not in self.leases.held and self._asks(name, known, now)]

    def lines(self) -> tuple[JogLine, ...]:
        """Who has which robot."""
        held: Mapping[str, Lease] = self.leases.held
        return tuple(JogLine(robot, lease.operator, lease.by, lease.expires) for robot, lease in held.items())

    # what operators want ---------------------------------------------------------------------------------------

    def _take(self, operator: str, message: JogTake, now: int) -> str:
        robot, by = message.robot, message.by[:WORDS]
        lease = self.leases.held.get(robot)
        if lease is not None and now < lease.expires:
            if (lease.operator, lease.by) != (operator, by):
                return _taken(robot, lease, now)
            if message.lease not in (0, lease.number):
                return self._drop("wrong_lease", f"{operator} has no lease {message.lease} on {robot}")
            self.leases.extend(robot, now + LEASE)
            return ""
        if message.lease:
            return self._drop("expired", f"lease {message.lease} on {robot} has ended; take the robot anew")
        for other, theirs in self.leases.held.items():
            if other != robot and theirs.operator == operator and now < theirs.expires:
                return f"{operator} ({theirs.by}) drives {other}; hand that back first"
        error = self._unfit(robot, now)
        if not error:
            self.leases.take(robot, operator, by, now + LEASE, now)
        return error

    def _unfit(self, robot: str, now: int) -> str:
        """Why a robot cannot be taken."""
        known = self.roster.robots.get(robot)
        if known is None:
            return f"no robot {robot} has been heard"
        if known.error:
            return known.error
        if now - known.heard > self.rules.silent:
            return f"{robot} has been silent for {(now - known.heard) / SECOND:.0f} s: nothing would reach it"
        if known.report.jog < 0:
            return f"{robot} runs a muster that cannot be driven by hand"
        if robot in self.leases.held or known.report.status in STOPPED or self._asks(robot, known, now):
            return ""
        status = RobotStatus(known.report.status).name
        return f"{robot} is {status}: it neither asks for an operator nor is stopped; stop the fleet to stop it"

    def _move(self, operator: str, message: JogMove, now: int) -> str:
        robot, lease = message.robot, self.leases.held.get(message.robot)
        if lease is None or (lease.number, lease.operator) != (message.lease, operator):
            return self._drop("wrong_lease", f"{operator} has no lease {message.lease} on {robot}")
        if now >= lease.expires:
            return self._drop("expired", f"lease {lease.number} on {robot} has ended; take the robot anew")
        newest = self._wishes.get(robot)
        if newest is not None and newest.lease == lease.number and message.number <= newest.number:
            return self._drop("reordered", f"a newer wish than number {message.number} has come")
        if not 0 <= now - message.heard <= DEAD_MAN:
            return self._drop("late", f"the wish is {(now - message.heard) / SECOND:.2f} s old")
        self._wishes[robot] = Wish(lease.number, message.number, message.v, message.w, message.heard)
        return ""

    def _drop(self, kind: str, why: str) -> str:
        self.counts[kind] += 1
        return why

    def _release(self, operator: str, message: JogRelease, now: int) -> str:
        robot, lease = message.robot, self.leases.held.get(message.robot)
        if lease is None:
            return "" if robot in self.roster.robots else f"no robot {robot} has been heard"
        if lease.operator != operator and now < lease.expires:
            return _taken(robot, lease, now)
        self.leases.hand_back(robot, f"{operator} ({message.by[:WORDS]})", now)
        self._wishes.pop(robot, None)
        known = self.roster.robots.get(robot)
        if known is not None:  # what held it up, somebody has seen to
            known.rests_until = min(known.rests_until, now)
            known.given_up.clear()
        return ""

    def _asks(self, robot: str, known: Robot, now: int) -> bool:
        """It gave a task up and nobody has come since, or has a load that nobody can tell of."""
        return known.report.status is RobotStatus.OPERATOR or robot in self.roster.waiting or now < known.rests_until

    def _state(self, request: str, robot: str, error: str, now: int) -> JogState:
        lease, known = self.leases.held.get(robot), self.roster.robots.get(robot)
        state = JogState(request, robot, now, error=error)
        if lease is not None:
            state = JogState(request, robot, now, lease.number, lease.expires, lease.operator, lease.by, error=error)
        if known is None:
            return state
        report = known.report
        return JogState(
            request,
            robot,
            now,
            state.lease,
            state.expires,
            state.operator,
            state.by,
            obeyed=lease is not None and report.jog == lease.number,
            pose=report.pose,
            twist=report.twist,
            mode=report.mode,
            reason=report.reason,
            error=error,
        )


def _taken(robot: str, lease: Lease, now: int) -> str:
    left = (lease.expires - now) / SECOND
    return f"{lease.operator} ({lease.by}) has {robot} for {left:.0f} s more"
