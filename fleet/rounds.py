"""The rounds of a plant: how a simulated floor's time goes on, by what its members answer.

In lockstep round t runs like this, as fast as its slowest member:

    plant -> robot         cycle/1   readings, and whether the coordinator ended round t-1
    robot -> plant         done/1    the released command of round t
    plant -> coordinator   round/1   who ended the round and who is gone; at once physics steps to the next cycle
    coordinator -> plant   round/1   handled, its pictures are under way; only then round t+1 begins

A member that says nothing for `silence` seconds of wall time is gone: that is recorded, a robot's last command goes on,
and time with it. Where a watchdog speaks for a robot, the plant asks it each round by `round/1`. In `wall` mode the
plant ticks in real time and waits for nobody. Where no watchdog can speak (ROS 2's bus) a dead-man lets a silent robot
stand. Who is a member: fleet/membership.py.

The plant ends when the fleet's client says `leave/1`, when all members have left, or after `patience` seconds
without any.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from coordination.client import COORDINATOR
from coordination.messages import Done, Join, Joined, Leave, Round
from coordination.transport import Transport
from coordination.wire import Received
from fleet.hosted import cycle_of
from fleet.membership import Membership
from fleet.world import World
from hierarchy.motor import motor_hash
from sim.robot import SECOND

CLIENT = "client"
"""Who gives the fleet its work (`muster fleet`) and ends the plant after it."""

SILENCE = 2.0
"""s of wall time until a member counts as gone (the architecture's figure)."""

NEWS_EVERY = 5.0
"""s of wall time between two lines in the log."""

LATE_KEPT = 1000
"""Late ticks whose times are kept: on a machine that is too slow every tick is late."""


@dataclass
class Outcome:
    """How a plant's life went."""

    rounds: int = 0
    wall_seconds: float = 0.0
    ended: str = ""
    """Why it ended."""
    gone: list[dict[str, Any]] = field(default_factory=list)
    """{"round", "member"} of each member that fell silent."""
    watched: list[dict[str, Any]] = field(default_factory=list)
    """{"round", "robot"} whenever a watchdog began to speak for a robot."""
    rested: int = 0
    """How often a dead-man let a robot stand."""
    late: int = 0
    """Ticks of wall mode that came more than a period late."""
    late_spans: list[tuple[float, float]] = field(default_factory=list)
    """When such a tick was due and when it came, s of `wall`; the first `LATE_KEPT`."""


class Plant:
    """Owns the rounds of one world. Time of the wall comes from `wall`, so tests can pass their own."""

    def __init__(
        self,
        world: World,
        transport: Transport,
        names: tuple[str, ...],
        *,
        clock: Literal["lockstep", "wall"] = "lockstep",
        silence: float = SILENCE,
        dead_man: float = math.inf,
        wall: Callable[[], float] = time.monotonic,
        news: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.world, self.transport, self.names, self.clock = world, transport, names, clock
        self.silence, self.dead_man, self.wall, self.news = silence, dead_man, wall, news
        self.membership = Membership(names, world.spec.embodiment_hash())
        self.round = 0
        self.outcome = Outcome()
        self.commands = np.zeros((len(names), 2), np.float32)
        self.lifts = np.zeros(len(names), bool)
        """Whether each robot's lift was last told to be up."""
        self._index = {name: index for index, name in enumerate(names)}
        self._coordinator_before = False
        """Whether the coordinator ended the round before this one."""
        self._begun = wall()
        self._end = ""
        drive = world.spec.diff
        self._low = np.array([-drive.reverse_max, -drive.turn_max], np.float32)
        self._high = np.array([drive.speed_max, drive.turn_max], np.float32)

    def serve(self, *, coordinator: bool = True, patience: float = 60.0, gather: bool = True) -> Outcome:
        """Wait for all robots (and the coordinator) where they are to be gathered; run rounds until the plant ends."""
        missing = self._gather(coordinator, patience) if gather else []
        if missing and not self._end:
            self.news(f"not there after {patience:g} s: {', '.join(missing)}")
        self._begun = told = alone_since = self.wall()
        while not self._end:
            if self.clock == "lockstep":
                self._lockstep_round()
            else:
                self._wall_round()
            now = self.wall()
            if self.membership.somebody():
                alone_since = now
            elif len(self.membership.left) == len(self.names):
                self._end = "all members left"
            elif now - alone_since > patience:
                self._end = f"nobody there for {patience:g} s"
            else:
                self._take(0.02)  # nobody to wait for: time goes on, but not as fast as it can
            if now - told > NEWS_EVERY:
                told = now
                self.news(self.news_line())
        self.outcome.ended = self._end
        self.outcome.wall_seconds = self.wall() - self._begun
        return self.outcome

    def say_goodbye(self) -> None:
        """Tell every member that the plant ends."""
        for peer in self.membership.peers():
            self.transport.send(peer, Leave(self.outcome.ended or "the plant ends"), self.world.stamp)

    def notes(self) -> dict[str, Any]:
        """What plant.json says beside the world's own summary."""
        outcome = self.outcome
        wall_seconds = outcome.wall_seconds or self.wall() - self._begun
        return {
            "clock": self.clock,
            "rounds": outcome.rounds,
            "wall_seconds": round(wall_seconds, 3),
            "ended": outcome.ended,
            "gone": outcome.gone,
            "watchdog": outcome.watched,
            "rested": outcome.rested,
            "late_ticks": outcome.late,
            "late_spans": outcome.late_spans,
            "messages": dict(self.transport.counts),
        }

    def news_line(self) -> str:
        """One line for the log."""
        sim, real = self.world.stamp / SECOND, max(self.wall() - self._begun, 1e-3)
        live = len(self.membership.loops())
        world = self.world
        return (
            f"{sim:.1f} s simulated, {sim / real:.1f} x real time, {live} of {len(self.names)} robots there, "
            f"collisions {world.physics.collisions} (oracle {world.oracle.collisions}), "
            f"person contacts {world.physics.person_contacts}"
        )

    def _gather(self, coordinator: bool, patience: float) -> list[str]:
        begun = self.wall()
        while not self._end:
            missing = [name for name, member in self.membership.members.items() if not member.joined]
            if coordinator and not self.membership.coordinator:
                missing.append(COORDINATOR)
            if not missing or self.wall() - begun > patience:
                if not self.membership.somebody():
                    self._end = f"no robot joined within {patience:g} s; start `muster robot` with this plant's address"
                return missing
            self._take(0.1)
        return []

    def _lockstep_round(self) -> None:
        number, here = self.round, self.membership
        members, loops = here.members, here.loops()
        self._send_cycles(loops)
        self._ask_watchdogs()

        def open_ends() -> list[str]:
            return [
                name
                for name in self.names
                if members[name].answered < number
                and ((members[name].joined and name in loops) or members[name].watchdog)
            ]

        self._await(lambda: not open_ends())
        if self._end:
            return
        for name in open_ends():
            self._lose(name, number)
        ended = tuple(name for name in loops if members[name].joined and members[name].answered >= number)
        asked = self._tell_coordinator(ended)
        self._step()
        if asked:
            self._await(lambda: here.coordinated >= number or not here.coordinator)
        if here.coordinator and here.coordinated < number and not self._end:
            self._lose(COORDINATOR, number)
        self._coordinator_before = here.coordinated >= number

    def _wall_round(self) -> None:
        period = self.world.spec.period / SECOND
        due = self._begun + (self.outcome.rounds + self.outcome.late + 1) * period
        members = self.membership.members
        self._send_cycles(self.membership.loops())
        self._ask_watchdogs()
        while (left := due - self.wall()) > 0 and not self._end:
            self._take(min(left, self._rest()))
        if left < -period:
            self.outcome.late += int(-left / period)
            if len(self.outcome.late_spans) < LATE_KEPT:
                self.outcome.late_spans.append((due, due - left))
        ended = tuple(name for name, member in members.items() if member.joined and member.answered >= self.round)
        now = self.wall()
        for name, member in members.items():
            if member.joined and now - member.heard > self.silence:
                self._lose(name, self.round)
        self._tell_coordinator(ended)
        self._step()

    def _rest(self) -> float:
        """Let robots stand whose command is too old; s until the next one may be."""
        now, soonest = self.wall(), math.inf
        for name, member in self.membership.members.items():
            left = member.heard + self.dead_man - now
            if left > 0.0:
                soonest = min(soonest, left)
            elif self.commands[self._index[name]].any():
                self.commands[self._index[name]] = 0.0
                self.outcome.rested += 1
        return soonest

    def _tell_coordinator(self, ended: tuple[str, ...]) -> bool:
        """Say who ended the round and who is gone; whether it was told."""
        gone, stamp = self.membership.take_gone(), self.world.stamp
        if not self.membership.coordinator:
            return False
        return self.transport.send(COORDINATOR, Round(self.round, stamp, ended, gone), stamp)

    def _step(self) -> None:
        self.world.command(self.commands)
        self.world.lift(self.lifts)
        self.world.step()
        self.round += 1
        self.outcome.rounds += 1

    def _send_cycles(self, names: list[str]) -> None:
        for name in names:
            readings = self.world.readings(self._index[name])
            cycle = cycle_of(readings, self.round, coordinator=self._coordinator_before)
            self.transport.send(name, cycle, readings.stamp)

    def _ask_watchdogs(self) -> None:
        members, names = self.membership.members, self.membership.watched()
        for peer in sorted({members[name].watchdog for name in names}):
            robots = tuple(name for name in names if members[name].watchdog == peer)
            self.transport.send(peer, Round(self.round, self.world.stamp, robots), self.world.stamp)

    def _await(self, over: Callable[[], bool]) -> None:
        deadline = self.wall() + self.silence
        while not over() and not self._end and (left := deadline - self.wall()) > 0:
            self._take(left)

    def _lose(self, name: str, number: int) -> None:
        """A member has been silent for too long in a round."""
        self.outcome.gone.append({"round": number, "member": name})
        self.news(f"round {number}: {name} is gone")
        self.membership.lose(name)
        if math.isfinite(self.dead_man) and name in self._index:
            self.commands[self._index[name]] = 0.0  # in lockstep the wall's time is no command's age: gone is

    def _take(self, timeout: float) -> None:
        for message in self.transport.receive(timeout):
            body = message.body
            if isinstance(body, Done):
                self._done(message, body)
            elif isinstance(body, Round):
                if message.sender == COORDINATOR:
                    self.membership.coordinated = max(self.membership.coordinated, body.round)
            elif isinstance(body, Join):
                self.transport.send(message.peer, self._join(message, body), self.world.stamp)
            elif isinstance(body, Leave):
                self._leave(message.sender, body.reason)

    def _done(self, message: Received, body: Done) -> None:
        if not self.membership.hear(message.sender, body, self.round, self.wall()):
            return
        self.commands[self._index[body.robot]] = np.clip(body.command, self._low, self._high)
        if body.lift >= 0:
            self.lifts[self._index[body.robot]] = body.lift > 0

    def _join(self, message: Received, body: Join) -> Joined:
        refusal = self.membership.join(message.sender, body, self.round, self.wall())
        if refusal:
            return Joined(error=refusal)
        if body.role == "watchdog":
            self.outcome.watched += [{"round": self.round, "robot": name} for name in body.robots]
        return Joined(
            self.world.site.hash,
            self.clock,
            self.world.stamp,
            motor=motor_hash(self.world.spec),
            body=self.world.scene.body,
        )

    def _leave(self, sender: str, reason: str) -> None:
        if self.membership.leave(sender):
            if sender in self._index:
                self.commands[self._index[sender]] = 0.0  # a robot that leaves by its own will stands still
        elif sender == CLIENT:
            self._end = reason or f"{sender} ended it"
        else:
            self.news(f"{sender} is no member and may not end the plant: its leave is not heard")
