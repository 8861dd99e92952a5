"""The coordinator's drill: kill -9 at chosen instants, start it again, and see what became of tasks and leases.

The coordinator's lives are the nursery's (nursery.py). Between them time goes on without a coordinator, sometimes past
the leases.

Around it, in the calling process: a plant that keeps time, puppets (puppets.py), a client that gives work until it is
acknowledged, a stranger who stops the fleet and an operator who resets it. The oracles here read the database with
plain SQL and share no code with the coordinator; at the end its auditor reads the logs too.
"""

from __future__ import annotations

import math
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from coordination.auditor import audit
from coordination.client import new_task_id
from coordination.keys import ensure_keys
from coordination.messages import Join, Joined, Leg, LegKind, Round
from coordination.requests import StopRaise, StopReset, StopState, Submit, Submitted, Task
from coordination.zmq_transport import ZmqClient, ZmqServer
from sim.robot import SECOND
from sim.site import Site
from tests.coordination.nursery import POINTS, Kill, Nursery
from tests.coordination.puppets import PERIOD, SPEC, Puppet, free_port, make_floor


@dataclass
class Outcome:
    """What a drill counted; the first four are failures."""

    lost: int = 0
    """Acknowledged tasks that the store does not have, or that ended other than done"""
    doubled: int = 0
    """Tasks that robots carried out more than once, or that the log ended more than once"""
    moved_after_lease: int = 0
    """Cycles in which a robot moved past its lease or against a stop, touched another, or had ground, under it or
    granted, that was not its own on disk"""
    stuck: int = 0
    """Tasks that were not done though nobody disturbed the fleet any more"""
    kills: Counter[str] = field(default_factory=Counter)
    """Lives ended, by point; `outside` for those ended from outside"""
    tasks: int = 0
    chosen: int = 0
    """Assignments that robots chose for themselves, by the log"""
    rounds: int = 0
    notes: list[str] = field(default_factory=list)
    """What went wrong, in words"""


@dataclass
class Errands:
    """The client: gives tasks and keeps asking until they are acknowledged."""

    end: ZmqClient
    site: Site
    draw: random.Random
    acknowledged: set[str] = field(default_factory=set)
    more: int = 0
    """Requests still to make"""
    waiting: Submit | None = None
    asked: float = 0.0

    def listen(self) -> None:
        """Take answers."""
        for message in self.end.receive(0.0):
            body = message.body
            if isinstance(body, Submitted) and self.waiting is not None and body.request == self.waiting.request:
                assert not body.error, body.error
                self.acknowledged.update(body.accepted)
                self.waiting = None

    def turn(self) -> None:
        """Take answers; send what is due."""
        self.listen()
        if self.waiting is None and self.more > 0:
            stations = [int(cell) for cell in self.site.stations]
            tasks = []
            for _ in range(self.draw.randrange(1, 3)):
                source = self.draw.randrange(len(stations))
                target = source ^ 1
                legs = (Leg(stations[source], LegKind.FETCH, 0.3), Leg(stations[target], LegKind.DELIVER, 0.2))
                tasks.append(Task(new_task_id(), legs, priority=self.draw.randrange(3)))
            self.waiting, self.asked = Submit(tasks[0].id, tuple(tasks)), 0.0
            self.more -= 1
        if self.waiting is not None and time.monotonic() - self.asked > 0.1:
            self.asked = time.monotonic()
            self.end.send("coordinator", self.waiting, 0)


@dataclass
class Stops:
    """A stranger who raises a stop now and then, and the operator who ends it."""

    stranger: ZmqClient
    operator: ZmqClient
    draw: random.Random
    epoch: int = 0
    latched_at: int = -1
    """Round in which the answer said that the stop is latched; -1 when none is, or a reset is on its way"""
    wanted: bool = False
    resetting: bool = False
    begun: int = 0

    def turn(self, number: int, more: bool) -> None:
        """Raise, reset, and take answers."""
        for message in (*self.stranger.receive(0.0), *self.operator.receive(0.0)):
            body = message.body
            if not isinstance(body, StopState):
                continue
            if body.request == "raise" and body.stopped and self.wanted:
                self.epoch, self.latched_at, self.wanted, self.begun = body.stop_epoch, number, False, number
            if body.request == f"reset {self.epoch}" and not body.stopped:
                self.resetting = False
        if self.wanted:
            self.stranger.send("coordinator", StopRaise("stranger", "drill", "raise"), 0)
        elif self.resetting:
            self.operator.send("coordinator", StopReset("drill", self.epoch, f"reset {self.epoch}"), 0)
        elif self.latched_at >= 0:
            if number - self.begun > 15 or not more:
                self.latched_at, self.resetting = -1, True
        elif more and self.draw.random() < 0.004:
            self.wanted = True


def drill(
    folder: Path,
    *,
    clock: str,
    kills: Sequence[Kill],
    seed: int,
    robots: int = 5,
    fault: str = "",
    budget: int = 3000,
    chooses: int = 0,
) -> Outcome:
    """Kill and restart the coordinator as `kills` say, then let the fleet finish its work within `budget` rounds.

    With `chooses` the robots choose among so many offered tasks.
    """
    made = _Drill(folder, clock, kills, seed, robots, fault, budget)
    for puppet in made.puppets:
        puppet.chooses = chooses
    return made.run()


class _Drill:
    def __init__(
        self,
        folder: Path,
        clock: str,
        kills: Sequence[Kill],
        seed: int,
        robots: int,
        fault: str,
        budget: int,
    ) -> None:
        from sim.compiled import write_site

        self.clock, self.kills, self.budget = clock, list(kills), budget
        self.draw = random.Random(seed)
        self.site = make_floor()
        write_site(self.site, folder / "drill.npz")
        keys = ensure_keys(folder / "fleet.key")
        self.database = folder / "tasks.sqlite"
        self.plant = ZmqServer("plant", keys)
        address = f"tcp://127.0.0.1:{free_port()}"
        arguments = ["--site", str(folder / "drill.npz"), "--run", str(folder), "--address", address]
        arguments += ["--clock", clock, *(["--plant", self.plant.address] if clock == "lockstep" else [])]
        self.nursery = Nursery(folder, arguments, fault)
        places = self.draw.sample([int(cell) for cell in self.site.free_cells], robots)
        self.puppets = [Puppet(f"r{i}", self.site, cell, keys, address) for i, cell in enumerate(places)]
        self.errands = Errands(ZmqClient("client", "coordinator", keys, address), self.site, self.draw)
        self.stops = Stops(
            ZmqClient("stranger", "coordinator", None, address),
            ZmqClient("operator", "coordinator", keys, address),
            self.draw,
        )
        self.outcome = Outcome()
        self.member = False
        self.reader: sqlite3.Connection | None = None
        self.life = 0

    def run(self) -> Outcome:
        try:
            self._rounds()
            self._judge()
        finally:
            self.nursery.close()
            for end in (self.plant, self.errands.end, self.stops.stranger, self.stops.operator):
                end.close()
            for puppet in self.puppets:
                puppet.end.close()
            if self.reader is not None:
                self.reader.close()
        return self.outcome

    def _rounds(self) -> None:
        outcome = self.outcome
        pending = [*self.kills, Kill()]
        kill, dark, outside_at, quiet = Kill(), 0, -1, 0
        while quiet < self.budget:
            number = outcome.rounds
            now = number * PERIOD if self.clock == "lockstep" else time.monotonic_ns()
            begin = time.monotonic()
            if not self.nursery.alive():
                if self.life and self.life <= len(self.kills) and dark == 0:
                    outcome.kills["outside" if number > outside_at > 0 else kill.point] += 1
                    dark = kill.blackout + 1
                dark = max(0, dark - 1)
                if dark == 0:
                    kill = pending[self.life]
                    self.nursery.start(kill)
                    self.life += 1
                    self.errands.more += 1
                    self.member = False
                    latest = 2 + 2 * kill.occurrence if not kill.point else 20 + 4 * kill.occurrence
                    outside_at = number + (self.draw.randrange(2, latest) if not kill.point else latest)
                    if self.life > len(self.kills):
                        outside_at = -1
            last = self.life > len(self.kills)
            self._move(number, now)
            self.errands.turn()
            self.stops.turn(number, more=not last)
            if number == outside_at:
                # Somewhere within the coordinator's work on this round.
                self._end_round(number, now, patience=self.draw.uniform(0.0, 0.004))
                self.nursery.kill()
            elif self.clock == "lockstep":
                self._end_round(number, now, patience=1.0)
            if self.clock == "wall":
                time.sleep(max(0.0, begin + PERIOD / SECOND - time.monotonic()))
            outcome.rounds += 1
            quiet = quiet + 1 if last else 0
            if last and self.errands.waiting is None and self._all_done():
                return

    def _move(self, number: int, now: int) -> None:
        for puppet in self.puppets:
            puppet.client.poll()
        held = self._held()
        for puppet in self.puppets:
            self._check_grant(puppet, number, now, held.get(puppet.name, set()))
            moved = puppet.cycle(now, PERIOD)
            if moved:
                self._check_move(puppet, number, now, held.get(puppet.name, set()))
            puppet.client.report(puppet.report(number, now))
        for i, one in enumerate(self.puppets):
            for other in self.puppets[:i]:
                if math.dist((one.x, one.y), (other.x, other.y)) < 2 * SPEC.radius - 1e-6:
                    self._fail(f"round {number}: {one.name} and {other.name} touch")

    def _check_grant(self, puppet: Puppet, number: int, now: int, held: set[int]) -> None:
        picture = puppet.client.view(now).picture
        if picture is not None and picture.grant is not None:
            early = set(picture.grant.cells) - held
            if early and now < picture.grant.expires:
                self._fail(f"round {number}: {puppet.name} was granted {sorted(early)}, which is not on disk")

    def _check_move(self, puppet: Puppet, number: int, now: int, held: set[int]) -> None:
        assert puppet.grant is not None
        if now + PERIOD > puppet.grant.expires:
            self._fail(f"round {number}: {puppet.name} moved past its lease")
        outside = puppet.covered(0.0) - held
        if outside:
            self._fail(f"round {number}: {puppet.name} is over {sorted(outside)}, which are not its own on disk")
        picture = puppet.client.view(now).picture
        latched = self.stops.latched_at
        # The pictures of the round after the answer are the first that must know of the stop.
        if picture is not None and latched >= 0 and number > latched + 2:
            self._fail(f"round {number}: {puppet.name} moved against stop {self.stops.epoch}")

    def _fail(self, note: str) -> None:
        self.outcome.moved_after_lease += 1
        self.outcome.notes.append(note)

    def _held(self) -> dict[str, set[int]]:
        """Who holds what, as committed."""
        if self.reader is None:
            if not self.database.exists():
                return {}
            self.reader = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=5.0)
        held: dict[str, set[int]] = {}
        try:
            for robot, cell in self.reader.execute("SELECT robot, cell FROM holdings"):
                held.setdefault(robot, set()).add(cell)
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):  # the coordinator died before it had made any
                raise
        return held

    def _end_round(self, number: int, now: int, patience: float) -> None:
        """Lockstep: let the coordinator end the round, if it is there, for at most `patience` seconds."""
        if self.clock != "lockstep":
            time.sleep(patience)
            return
        deadline = time.monotonic() + patience
        asked = False
        while (left := deadline - time.monotonic()) > 0:
            if self.member and not asked:
                names = tuple(puppet.name for puppet in self.puppets)
                asked = self.plant.send("coordinator", Round(number, now, names), now)
                self.member = asked
            for message in self.plant.receive(min(left, 0.002)):
                if isinstance(message.body, Join):
                    self.member = True
                    self.plant.send("coordinator", Joined(self.site.hash, "lockstep", now), now)
                elif isinstance(message.body, Round) and message.body.round == number:
                    self._wait_for_pictures(number, now)
                    return
            # At once, as others would: what is not read when its sender dies is lost with the connection.
            self.errands.listen()
            for puppet in self.puppets:
                puppet.client.poll()
            if not self.nursery.alive():
                self.member = False
                return

    def _wait_for_pictures(self, number: int, now: int) -> None:
        """All robots at once do what `CoordinatorClient.wait_for_round` does for one."""
        lacking, deadline, again = self.puppets, time.monotonic() + 0.3, time.monotonic() + 0.02
        while lacking and time.monotonic() < deadline:
            for puppet in lacking:
                puppet.client.poll(0.001)
                if time.monotonic() > again:
                    puppet.client.report(puppet.report(number, now))
            again += 0.05 if time.monotonic() > again else 0.0
            lacking = [p for p in lacking if (picture := p.client.view(now).picture) is None or picture.round < number]

    def _all_done(self) -> bool:
        if self.outcome.rounds % 5 or self.reader is None:
            return False
        (left,) = self.reader.execute("SELECT count(*) FROM tasks WHERE state NOT IN (3, 4, 5)").fetchone()
        return left == 0

    def _judge(self) -> None:
        outcome = self.outcome
        assert self.reader is not None, "the coordinator never made its store"
        states = dict(self.reader.execute("SELECT id, state FROM tasks"))
        ends = Counter(task for (task,) in self.reader.execute("SELECT task FROM events WHERE event = 'finish'"))
        done = sum((puppet.completed for puppet in self.puppets), Counter())
        outcome.tasks = len(self.errands.acknowledged)
        query = """SELECT count(*) FROM events WHERE event = 'assign' AND detail LIKE '%"deterministic":false%'"""
        outcome.chosen = self.reader.execute(query).fetchone()[0]
        for task in sorted(self.errands.acknowledged):
            state = states.get(task)
            if state is None or state in (4, 5):
                outcome.lost += 1
                outcome.notes.append(f"task {task} was acknowledged and is {'gone' if state is None else 'not done'}")
            elif state != 3:
                outcome.stuck += 1
                outcome.notes.append(f"task {task} is still in state {state}")
        for finding in audit(self.database):
            kind = {"lost_task": "lost", "doubled_task": "doubled", "doubled_robot": "doubled"}.get(finding.kind)
            setattr(outcome, kind or "moved_after_lease", getattr(outcome, kind or "moved_after_lease") + 1)
            outcome.notes.append(f"auditor: {finding.kind}: {finding.detail}")
        for task in {*ends, *done}:
            if ends[task] > 1 or done[task] > 1:
                outcome.doubled += 1
                outcome.notes.append(f"task {task} was carried out {done[task]} times and ended {ends[task]} times")
            elif ends[task] != done[task] and states.get(task) == 3:
                outcome.lost += 1
                outcome.notes.append(f"task {task} was carried out {done[task]} times and ended {ends[task]} times")


def planned(count: int, seed: int, *, longest: int = 40) -> list[Kill]:
    """Half of the kills from outside, half at POINTS in turn, in lives of up to some `longest` rounds.

    Every fourth is followed by a blackout past the leases.
    """
    draw = random.Random(seed)
    points = draw.sample(POINTS, len(POINTS))
    kills = []
    for number in range(count):
        point = "" if number % 2 == 0 else points[number // 2 % len(points)]
        occurrence = 1 if point.startswith("answer") else draw.randrange(2, longest)
        kills.append(Kill(point, occurrence, draw.randrange(21, 26) if number % 4 == 0 else draw.randrange(4)))
    return kills
