"""The coordinator's drill: kill -9 at chosen instants, start it again, and see what became of tasks and leases.

A nursery process imports and warms everything once, then forks the coordinator (`coordination.serve.run`, the body of
`muster coordinate`) for each of its lives. A life ends by SIGKILL: from outside at a random moment, or from inside at
one of the points that `Service.at` names (right before and after commits, acknowledgements and grants). Between lives
time goes on without a coordinator, sometimes past the leases.

Around it, in the calling process: a plant that keeps time, puppets (robots that move along the cell centres, obey
their grants and their leases, and do their tasks once), a client that gives work until it is acknowledged, a stranger
who stops the fleet and an operator who resets it. The oracles here read the database with plain SQL and share no code
with the coordinator; at the end its auditor reads the logs too.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from coordination.auditor import audit
from coordination.client import CoordinatorClient, new_task_id
from coordination.keys import Keys, ensure_keys
from coordination.messages import (
    Assignment,
    Chosen,
    Grant,
    Join,
    Joined,
    Leg,
    LegKind,
    Picture,
    Report,
    RobotStatus,
    Round,
)
from coordination.requests import StopRaise, StopReset, StopState, Submit, Submitted, Task
from coordination.zmq_transport import ZmqClient, ZmqServer
from sim.robot import MILLISECOND, SECOND, RobotSpec
from sim.site import Site, make_site

ROOT = Path(__file__).parents[2]

POINTS = (
    "answer:commit",
    "answer:committed",
    "answer:sent",
    "round:begin",
    "round:commit",
    "round:committed",
    "round:sending",
    "round:sent",
    "round:told",
)
"""Where a life can end from inside: `commit` is right before one, `committed` after it and before anything left."""

PERIOD = 100 * MILLISECOND
SPEED = 1.5
"""m/s"""
SPEC = RobotSpec()
EMBODIMENT = SPEC.embodiment_hash()
FLOOR = (
    "............",
    ".##.##.##.#.",
    ".##.##.##.#.",
    "............",
    ".##.##.##.#.",
    ".##.##.##.#.",
    "............",
)


def make_floor() -> Site:
    """Blocks of racks with aisles one cell wide."""
    blocked = np.array([[character == "#" for character in row] for row in FLOOR])
    width = blocked.shape[1]
    # In pairs, far from each other: what is tested is not the driving.
    stations = [row * width + column for row in (0, 3, 6) for column in (2, 4, 7, 10)]
    return make_site("drill", blocked, stations=stations, chargers=[6 * width, 6 * width + width - 1])


@dataclass(frozen=True)
class Kill:
    """How one life of the coordinator ends."""

    point: str = ""
    """One of POINTS; empty: from outside, at a random moment"""
    occurrence: int = 1
    """At which passing of the point; from outside, half of the longest life in rounds"""
    blackout: int = 0
    """Rounds without a coordinator afterwards; a lease is 20"""


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


# lives --------------------------------------------------------------------------------------------------------


class Nursery:
    """Owns the process that forks coordinators, and the newest of them."""

    def __init__(self, folder: Path, arguments: Sequence[str], fault: str = "") -> None:
        """`arguments` are those of `muster coordinate`; `fault` names one of FAULTS to plant."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "tests.coordination.killing", fault, *arguments]
        with (folder / "coordinator.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=environment, cwd=ROOT, text=True
            )
        self.pid = 0
        self.log = folder / "coordinator.log"

    def start(self, kill: Kill) -> None:
        """Give birth to a coordinator that ends as `kill` says."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"point": kill.point, "occurrence": kill.occurrence}) + "\n")
        self.process.stdin.flush()
        self.pid = self._line(60.0)["pid"]

    def alive(self) -> bool:
        """Whether the newest coordinator lives; raises AssertionError when it ended otherwise than by a kill."""
        assert self.process.stdout is not None
        if not self.pid or not select.select([self.process.stdout], [], [], 0.0)[0]:
            return bool(self.pid)
        status = self._line(5.0)["status"]
        self.pid = 0
        assert os.WIFSIGNALED(status), f"the coordinator ended by itself ({status}):\n{self.log.read_text()[-2000:]}"
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False

    def kill(self) -> None:
        """kill -9."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            while self.alive():
                time.sleep(0.001)

    def close(self) -> None:
        """End everything that was started here."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self.process.stdin.close()
        try:
            self.process.wait(10.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def _line(self, patience: float) -> dict[str, int]:
        assert self.process.stdout is not None
        ready = select.select([self.process.stdout], [], [], patience)[0]
        line = self.process.stdout.readline() if ready else ""
        assert line, f"the nursery is silent:\n{self.log.read_text()[-2000:]}"
        return json.loads(line)


def acknowledge_early() -> None:
    """A fault to plant: answer before the commit."""
    from coordination.service import Service

    honest = Service._answer

    def early(self: Service, requests: Sequence) -> None:
        for message in requests:
            if isinstance(message.body, Submit):
                ids = tuple(task.id for task in message.body.tasks)
                self._send([(message.peer, Submitted(message.body.request, ids))], self.now)
        time.sleep(0.02)
        honest(self, requests)

    Service._answer = early


def grant_early() -> None:
    """A fault to plant: pictures leave before the commit."""
    from coordination.service import Service

    honest = Service.__init__

    def init(self: Service, *arguments: Any, **options: Any) -> None:  # those of Service
        honest(self, *arguments, **options)
        tick = self.core.tick

        def early(now: int) -> Any:
            out = tick(now)
            self._send(out, now)
            time.sleep(0.005)
            return out

        self.core.tick = early

    Service.__init__ = init


FAULTS: dict[str, Callable[[], None]] = {"acknowledge_early": acknowledge_early, "grant_early": grant_early}


def nurse(fault: str, arguments: Sequence[str]) -> None:
    """The nursery's life: one coordinator for each line on stdin."""
    from coordination import coordinator, serve
    from fleet.cli import parse

    config = parse("coordinate", serve.Config, arguments)
    coordinator.warm()
    if fault:
        FAULTS[fault]()
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            signal.alarm(240)  # whatever happens to us, no coordinator is left behind
            os.dup2(2, 1)
            try:
                os._exit(serve.run(config, at=_ender(order["point"], order["occurrence"])))
            except BaseException as error:
                print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
                raise
            finally:
                os._exit(1)
        print(json.dumps({"pid": child}), flush=True)
        print(json.dumps({"status": os.waitpid(child, 0)[1]}), flush=True)


def _ender(chosen: str, occurrence: int) -> Callable[[str], None]:
    """For `Service.at`: ends this process at the chosen passing of a point."""
    passed: Counter[str] = Counter()

    def at(point: str) -> None:
        passed[point] += 1
        if point == chosen and passed[point] == occurrence:
            os.kill(os.getpid(), signal.SIGKILL)

    return at


# robots -------------------------------------------------------------------------------------------------------


class Puppet:
    """A robot that moves along the centres of its granted cells and does its tasks; owns its place and its end."""

    def __init__(self, name: str, site: Site, cell: int, keys: Keys, address: str) -> None:
        self.name, self.site = name, site
        self.x, self.y = (float(value) for value in site.centre(cell))
        self.yaw = 0.0
        self.speed = 0.0
        self.end = ZmqClient(name, "coordinator", keys, address)
        self.client = CoordinatorClient(self.end)
        self.work: Assignment | None = None
        self.legs_done = 0
        self.dwelt = 0.0
        self.completed: Counter[str] = Counter()
        self.grant: Grant | None = None
        """The one that it moved under last"""
        self.chooses = 0
        """Tasks among which it chooses; 0: it is assigned"""

    @property
    def cell(self) -> int:
        return int(self.site.cell_at(np.array([self.x, self.y])))

    def covered(self, margin: float) -> set[int]:
        """Cells that the footprint's circle, grown by `margin`, overlaps."""
        reach = SPEC.radius + margin
        cell, size = self.cell, self.site.cell
        row, column = divmod(cell, self.site.width)
        found = set()
        for r in range(max(0, row - 1), min(self.site.height, row + 2)):
            for c in range(max(0, column - 1), min(self.site.width, column + 2)):
                left, bottom = c * size, (self.site.height - 1 - r) * size
                dx = max(left - self.x, 0.0, self.x - left - size)
                dy = max(bottom - self.y, 0.0, self.y - bottom - size)
                if math.hypot(dx, dy) < reach:
                    found.add(r * self.site.width + c)
        return found

    def cycle(self, now: int, period: int) -> bool:
        """Act from `now` for a period; True when it moved."""
        view = self.client.view(now)
        self._take_work(view.picture)
        before = (self.x, self.y)
        self.speed = 0.0
        if view.grant is not None and now + period <= view.grant.expires:
            self.grant = view.grant
            self._drive(view.grant.cells, SPEED * period / SECOND)
            self.speed = math.dist(before, (self.x, self.y)) * SECOND / period
        self._work(period)
        return (self.x, self.y) != before

    def report(self, number: int, now: int) -> Report:
        """The robot's whole state."""
        picture = self.client.view(now).picture
        if self.work is None:
            status = RobotStatus.MOVING if self.speed else RobotStatus.IDLE
        elif self.dwelt:
            status = RobotStatus.WORKING
        else:
            status = RobotStatus.MOVING if self.speed else RobotStatus.WAITING
        if picture is not None and picture.stopped:
            status = RobotStatus.STOPPED
        leg = self._leg()
        return Report(
            round=number,
            stamp=now,
            pose=(self.x, self.y, self.yaw),
            twist=(self.speed, 0.0),
            cells=tuple(sorted(self.covered(SPEC.localisation_bound))),
            battery=1.0,
            status=status,
            grant=picture.grant.id if picture is not None and picture.grant is not None else 0,
            task=self.work.task if self.work else "",
            attempt=self.work.attempt if self.work else 0,
            legs_done=self.legs_done,
            goal=leg.cell if leg else -1,
            stop_epoch=picture.stop_epoch if picture else 0,
            embodiment=EMBODIMENT,
            site=self.site.hash,
            payload_max=SPEC.payload_max,
            chooses=self.chooses,
            chosen=self._answer(picture),
        )

    def _answer(self, picture: Picture | None) -> Chosen | None:
        """The last of the offered tasks: never the one that all others want."""
        if picture is None or picture.offer is None:
            return None
        return Chosen(picture.offer.id, picture.offer.tasks[-1].task, deterministic=False, log_probability=-1.0)

    def _leg(self) -> Leg | None:
        if self.work is None or self.legs_done >= len(self.work.legs):
            return None
        return self.work.legs[self.legs_done]

    def _take_work(self, picture: Picture | None) -> None:
        if picture is None:
            return
        given = picture.assignment
        if given is None:
            self.work = None
        elif self.work is None or (given.task, given.attempt) != (self.work.task, self.work.attempt):
            self.work, self.legs_done, self.dwelt = given, 0, 0.0

    def _drive(self, cells: tuple[int, ...], distance: float) -> None:
        leg = self._leg()
        while distance > 1e-9 and self.cell in cells:
            index = cells.index(self.cell)
            here = self.site.centre(self.cell)
            target = here
            if index + 1 < len(cells) and not (leg is not None and leg.cell == self.cell):
                ahead = self.site.centre(cells[index + 1])
                offset, way = np.array([self.x, self.y]) - here, ahead - here
                if abs(offset[0] * way[1] - offset[1] * way[0]) < 1e-9 and float(offset @ way) >= -1e-9:
                    target = ahead
            left = math.dist((self.x, self.y), target)
            if left < 1e-9:
                return
            step = min(distance, left)
            ahead_x, ahead_y = float(target[0]) - self.x, float(target[1]) - self.y
            self.yaw = math.atan2(ahead_y, ahead_x)
            self.x += ahead_x * step / left
            self.y += ahead_y * step / left
            distance -= step

    def _work(self, period: int) -> None:
        leg = self._leg()
        if leg is None or self.work is None or math.dist((self.x, self.y), self.site.centre(leg.cell)) > 1e-6:
            return
        self.dwelt += period / SECOND
        if self.dwelt < leg.dwell:
            return
        self.dwelt = 0.0
        self.legs_done += 1
        if self.legs_done == len(self.work.legs):
            self.completed[self.work.task] += 1


# the drill ----------------------------------------------------------------------------------------------------


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


def free_port() -> int:
    """A port of the loopback interface that nobody uses now."""
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        return taken.getsockname()[1]


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


if __name__ == "__main__":
    nurse(sys.argv[1], sys.argv[2:])
