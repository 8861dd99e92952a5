"""`muster sim`: the plant, a process that simulates a site with all its robots and people and serves it over the wire.

Members join (`join/1`): robots under their own names, the coordinator, watchdogs for robots whose loop is silent. In
lockstep round t runs like this, as fast as its slowest member:

    plant -> robot         cycle/1   readings, and whether the coordinator ended round t-1
    robot -> plant         done/1    the released command of round t
    plant -> coordinator   round/1   who ended the round and who is gone; at once physics steps to the next cycle
    coordinator -> plant   round/1   handled, its pictures are under way; only then round t+1 begins

A robot that says nothing for `silence` seconds of wall time is gone: that is recorded, its last command goes on, and
time with it. When a watchdog has joined for a robot, the plant hears the watchdog instead (`round/1` asks it each
round, `done/1` with role watchdog answers) until the robot joins again. It must be the one that the robot named when it
joined: no other node, whatever its key, takes a robot over. The coordinator is treated alike: a silent one
is waited for no more until it joins again. In `wall` mode the plant ticks in real time and waits for nobody.

The plant ends when the fleet's client says `leave/1`, when all members have left, or after `patience` seconds
without any. Whatever ends it, plant.npz and plant.json are written into the run directory.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from coordination.keys import keys_of, read_keys
from coordination.messages import Cycle, Done, Join, Joined, Leave, Round
from coordination.ports import check_free, listeners
from coordination.transport import Transport
from coordination.wire import Received
from coordination.zmq_transport import ZmqServer
from fleet.perception import world_table
from fleet.placement import people_cells, start_cells
from fleet.rundir import discard_unused, join_run
from fleet.spilled import box_places
from fleet.world import World
from hierarchy.motor import motor_hash
from sim.crowd import CrowdKind
from sim.errors import MusterError
from sim.forklifts import ForkliftSpec, check_bound, check_room
from sim.gridfiles import Problem
from sim.people import Profile
from sim.readers import check_site, load_problem
from sim.robot import SECOND, RobotSpec, robot_names
from sim.seeds import check_seed
from sim.sensorspec import LATENCY_MAX, RATE_MAX, LidarSensor, Localisation, Odometry, Sensors, Timing
from sim.site import CELL
from sim.specfile import named_spec
from sim.vary import Table

PLANT, COORDINATOR = "plant", "coordinator"

CLIENT = "client"
"""Who gives the fleet its work (`muster fleet`) and ends the plant after it."""

SILENCE = 2.0
"""s of wall time until a member counts as gone (the architecture's figure)."""

NEWS_EVERY = 5.0
"""s of wall time between two lines in the log."""


class PlantError(MusterError):
    """The plant cannot be what the command line asks for."""


@dataclass(frozen=True)
class Config:
    """Simulate a site with robots and people, in lockstep or in real time."""

    site: str = "generate:7"
    """Map file, problem file or generate:SEED; see sim/readers.py"""
    robots: str = "r[0:16]"
    """Names, as r0,r1 or r[0:16]"""
    people: int = 0
    """People who walk on the floor"""
    person_speed: float = 1.6
    """What the site assumes of people, m/s: 1.6 (they walk on whatever robots do) or 0 (they do not approach)"""
    crowd: CrowdKind = "cells"
    """How people move: from cell to cell, or as a social-force crowd"""
    forklifts: int = 0
    """Forklifts that drive between stops; the site must assume 1.6 m/s of people"""
    clock: Literal["lockstep", "wall"] = "lockstep"
    """lockstep waits for every member, wall for nobody"""
    address: str = "tcp://127.0.0.1:7411"
    """Where members connect to"""
    seed: int = 7
    """Start cells, people and sensor noise"""
    starts: str = ""
    """Start cells as 12,40,7 in robot order; else the problem file's, else drawn by the seed"""
    body: Literal["planar", "wheeled"] = "planar"
    """planar is fast, wheeled has wheels and casters"""
    spec: str = ""
    """A robot specification (sim/specfile.py); empty for the default robot"""
    cell: float = CELL
    """Cell size of map files, m"""
    lidar_rate: float = 0.0
    """Scans per second, Hz; 0 for one at the end of each control cycle. The pose is that of the scan's instant"""
    lidar_latency: float = 0.0
    """From a scan to its arrival, s; its stamp tells, and beyond the specification's bound robots stop"""
    odometry_rate: float = 0.0
    """Readings of the wheel encoders per second, Hz; 0 for one at the end of each control cycle"""
    odometry_latency: float = 0.0
    """From a reading to its arrival, s"""
    goods: float = 10.0
    """kg on each pod that robots lift"""
    boxes: int = 0
    """Boxes that were spilled on free cells"""
    coordinator: bool = True
    """Wait for the coordinator before the first round"""
    patience: float = 60.0
    """s without any member after which the plant gives up"""
    key: Path | None = None
    """The fleet's key file; the run's if not given"""
    metrics_port: int = 0
    """Port of /metrics on 127.0.0.1; 0 for none"""


@dataclass
class Member:
    """One robot as the plant knows it."""

    name: str
    joined: bool = False
    """Its loop is heard and waited for."""
    answered: int = -1
    """Newest round that it, or its watchdog, ended."""
    watchdog: str = ""
    """Who speaks for it; empty while its loop does."""
    guard: str = ""
    """Who may: the watchdog that it named when it joined last."""
    heard: float = 0.0
    """Wall time of its last word."""


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
    late: int = 0
    """Ticks of wall mode that came more than a period late."""


def check(config: Config, made_later: Path | None = None) -> None:
    """Raise `MusterError` for whatever is wrong with a command line, before anything is made for it."""
    _checked(config)


def ports(config: Config) -> dict[str, str]:
    """What the plant listens on, by option."""
    return listeners(config.address, config.metrics_port)


def randomization(config: Config) -> dict[str, Table]:
    """What varies from robot to robot, for `muster launch FILE --show-randomization`."""
    spec = named_spec(config.spec).spec
    return {"the robots' sensors": world_table(spec, _sensors(config, spec))}


@dataclass(frozen=True)
class _Asked:
    """What a command line asks for, once it has been found sound."""

    names: tuple[str, ...]
    problem: Problem
    starts: NDArray[np.int32]
    spec: RobotSpec
    sensors: Sensors


def _checked(config: Config) -> _Asked:
    names = robot_names(config.robots)
    if not names:
        raise PlantError(f'--robots: expected at least one robot, got none in "{config.robots}"; give one or more')
    if config.person_speed not in (0.0, 1.6):
        raise PlantError(
            "--person-speed: expected a person speed of 0 or 1.6 m/s (the two profiles), "
            f"got {config.person_speed:g}; give one of them"
        )
    if config.people < 0:
        raise PlantError(f"--people: expected a number of people from 0 up, got {config.people}; give 0 for none")
    if config.forklifts < 0:
        raise PlantError(
            f"--forklifts: expected a number of forklifts from 0 up, got {config.forklifts}; give 0 for none"
        )
    check_seed(config.seed)
    if not config.patience > 0.0:
        raise PlantError(f"--patience: expected a time above 0 s, got {config.patience:g}; give for example 60")
    if not 0.0 <= config.goods < float("inf"):
        raise PlantError(f"--goods: expected kg from 0 up, got {config.goods:g}; give another")
    problem = load_problem(config.site, config.cell)
    check_site(problem.site, len(names))
    spec = named_spec(config.spec).spec
    least = 2.0 * (spec.radius + spec.localisation_bound)
    if problem.site.cell < least:
        raise PlantError(
            f"--cell: expected cells of {least:.2f} m or more, in which a robot of {spec.radius:.2f} m radius turns "
            f"within its cell {spec.localisation_bound:.2f} m beside its pose, got {problem.site.cell:g} m "
            f"on {problem.site.name}; give for example {CELL}"
        )
    given = problem.starts
    if config.starts:
        try:
            given = np.array([int(word) for word in config.starts.split(",")], np.int32)
        except (ValueError, OverflowError):
            raise PlantError(f'--starts: expected start cells as 12,40,7, got "{config.starts}"; correct it') from None
    starts = start_cells(problem.site, len(names), config.seed, given if len(given) else None)
    if config.boxes < 0:
        raise PlantError(f"--boxes: expected a number of boxes from 0 up, got {config.boxes}; give 0 for none")
    box_places(problem.site, starts, config.boxes, config.seed)
    if config.people:
        people_cells(problem.site, starts, config.people, config.seed)
    if config.forklifts:
        check_bound(ForkliftSpec(), Profile.STILL if config.person_speed == 0.0 else Profile.WALKING)
        check_room(problem.site, ForkliftSpec())
    if config.key is not None:
        read_keys(config.key)
    check_free(ports(config))
    return _Asked(names, problem, starts, spec, _sensors(config, spec))


def _sensors(config: Config, spec: RobotSpec) -> Sensors:
    """The sensors in time that a command line asks for. Raises `PlantError` for numbers that none can have."""
    timings: list[Timing | None] = []
    for sensor, rate, latency in (
        ("lidar", config.lidar_rate, config.lidar_latency),
        ("odometry", config.odometry_rate, config.odometry_latency),
    ):
        for option, value, most in (("rate", rate, RATE_MAX), ("latency", latency, LATENCY_MAX)):
            if not 0.0 <= value <= most:
                unit = "Hz" if option == "rate" else "s"
                raise PlantError(
                    f"--{sensor}-{option}: expected a number from 0 to {most:g} {unit}, got {value:g}; correct it"
                )
        timing = Timing(rate=rate or SECOND / spec.period, latency=latency, phase=0.0)
        timings.append(timing if rate or latency else None)
    lidar, odometry = timings
    return Sensors(
        lidar=LidarSensor(lidar) if lidar else None,
        localisation=Localisation(lidar) if lidar else None,
        odometry=Odometry(odometry) if odometry else None,
    )


def run(config: Config) -> int:
    """Serve the plant until it ends; returns 0, or 1 when nobody ever joined."""
    asked = _checked(config)
    names, problem = asked.names, asked.problem
    world = World(
        problem.site,
        asked.spec,
        len(names),
        config.people,
        profile=Profile.STILL if config.person_speed == 0.0 else Profile.WALKING,
        crowd=config.crowd,
        forklifts=config.forklifts,
        seed=config.seed,
        starts=asked.starts,
        body=config.body,
        sensors=asked.sensors,
        goods=config.goods,
        boxes=config.boxes,
    )
    directory = join_run(config=config, seed=config.seed, clock=config.clock)
    transport = ZmqServer(PLANT, keys_of(config.key, directory.key), config.address)
    try:
        plant = Plant(world, transport, names, clock=config.clock, news=lambda line: print(line, flush=True))
        if config.metrics_port:
            serve_metrics(plant, config.metrics_port)
        print(
            f"plant at {transport.address}: {problem.site.name}, {len(names)} robots, {config.people} people, "
            f"{config.clock}",
            flush=True,
        )
        try:
            plant.serve(coordinator=config.coordinator, patience=config.patience)
        except KeyboardInterrupt:
            plant.outcome.ended = "interrupted"
            raise
        finally:
            plant.say_goodbye()
            if plant.outcome.rounds:
                world.write(directory.root, names, **plant.notes())
        print(f"plant ended: {plant.outcome.ended}; {plant.news_line()}", flush=True)
        if not plant.outcome.rounds:
            discard_unused()
            return 1
        return 0
    finally:
        transport.close()


class Plant:
    """Owns the members and the rounds of one world. Time of the wall comes from `wall`, so tests can pass their own."""

    def __init__(
        self,
        world: World,
        transport: Transport,
        names: tuple[str, ...],
        *,
        clock: Literal["lockstep", "wall"] = "lockstep",
        silence: float = SILENCE,
        wall: Callable[[], float] = time.monotonic,
        news: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.world, self.transport, self.names, self.clock = world, transport, names, clock
        self.silence, self.wall, self.news = silence, wall, news
        self.members = {name: Member(name) for name in names}
        self.round = 0
        self.outcome = Outcome()
        self.commands = np.zeros((len(names), 2), np.float32)
        self.lifts = np.zeros(len(names), bool)
        """Whether each robot's lift was last told to be up."""
        self.coordinator = False
        """Whether the coordinator is a member."""
        self._index = {name: index for index, name in enumerate(names)}
        self._coordinated = -1
        """Newest round that the coordinator ended."""
        self._coordinator_before = False
        """Whether it ended the round before this one."""
        self._begun = wall()
        self._newly_gone: list[str] = []
        self._left: set[str] = set()
        self._end = ""
        drive = world.spec.drive
        self._low = np.array([-drive.reverse_max, -drive.turn_max], np.float32)
        self._high = np.array([drive.speed_max, drive.turn_max], np.float32)

    def serve(self, *, coordinator: bool = True, patience: float = 60.0) -> Outcome:
        """Wait for all robots (and the coordinator), then run rounds until the plant ends."""
        missing = self._gather(coordinator, patience)
        if missing and not self._end:
            self.news(f"not there after {patience:g} s: {', '.join(missing)}")
        self._begun = told = alone_since = self.wall()
        while not self._end:
            if self.clock == "lockstep":
                self._lockstep_round()
            else:
                self._wall_round()
            now = self.wall()
            if self._somebody():
                alone_since = now
            elif len(self._left) == len(self.names):
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
        peers = {member.watchdog or name for name, member in self.members.items() if member.joined or member.watchdog}
        if self.coordinator:
            peers.add(COORDINATOR)
        for peer in sorted(peers):
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
            "late_ticks": outcome.late,
            "messages": dict(self.transport.counts),
        }

    def news_line(self) -> str:
        """One line for the log."""
        sim, real = self.world.stamp / SECOND, max(self.wall() - self._begun, 1e-3)
        live = sum(member.joined for member in self.members.values())
        world = self.world
        return (
            f"{sim:.1f} s simulated, {sim / real:.1f} x real time, {live} of {len(self.names)} robots there, "
            f"collisions {world.physics.collisions} (oracle {world.oracle.collisions}), "
            f"person contacts {world.physics.person_contacts}"
        )

    def _gather(self, coordinator: bool, patience: float) -> list[str]:
        begun = self.wall()
        while not self._end:
            missing = [name for name, member in self.members.items() if not member.joined]
            if coordinator and not self.coordinator:
                missing.append(COORDINATOR)
            if not missing or self.wall() - begun > patience:
                if not self._somebody():
                    self._end = f"no robot joined within {patience:g} s; start `muster robot` with this plant's address"
                return missing
            self._take(0.1)
        return []

    def _somebody(self) -> bool:
        return any(member.joined or member.watchdog for member in self.members.values())

    def _lockstep_round(self) -> None:
        number = self.round
        loops = [name for name, member in self.members.items() if member.joined]
        watched = [name for name, member in self.members.items() if member.watchdog]
        self._send_cycles(loops)
        self._ask_watchdogs(watched)

        def open_ends() -> list[str]:
            return [
                name
                for name in self.names
                if self.members[name].answered < number
                and ((self.members[name].joined and name in loops) or self.members[name].watchdog)
            ]

        self._await(lambda: not open_ends())
        if self._end:
            return
        for name in open_ends():
            self._lose(name, number)
        ended = tuple(name for name in loops if self.members[name].joined and self.members[name].answered >= number)
        gone, self._newly_gone = tuple(self._newly_gone), []
        asked = self.coordinator and self.transport.send(
            COORDINATOR, Round(number, self.world.stamp, ended, gone), self.world.stamp
        )
        self._step()
        if asked:
            self._await(lambda: self._coordinated >= number or not self.coordinator)
        if self.coordinator and self._coordinated < number and not self._end:
            self._lose(COORDINATOR, number)
        self._coordinator_before = self._coordinated >= number

    def _wall_round(self) -> None:
        period = self.world.spec.period / SECOND
        due = self._begun + (self.outcome.rounds + self.outcome.late + 1) * period
        self._send_cycles([name for name, member in self.members.items() if member.joined])
        self._ask_watchdogs([name for name, member in self.members.items() if member.watchdog])
        while (left := due - self.wall()) > 0 and not self._end:
            self._take(left)
        if left < -period:
            self.outcome.late += int(-left / period)
        ended = tuple(name for name, member in self.members.items() if member.joined and member.answered >= self.round)
        now = self.wall()
        for name, member in self.members.items():
            if member.joined and now - member.heard > self.silence:
                self._lose(name, self.round)
        gone, self._newly_gone = tuple(self._newly_gone), []
        if self.coordinator:
            self.transport.send(COORDINATOR, Round(self.round, self.world.stamp, ended, gone), self.world.stamp)
        self._step()

    def _step(self) -> None:
        self.world.command(self.commands)
        self.world.lift(self.lifts)
        self.world.step()
        self.round += 1
        self.outcome.rounds += 1

    def _send_cycles(self, names: list[str]) -> None:
        for name in names:
            readings = self.world.readings(self._index[name])
            x, y, yaw = readings.pose.tolist()
            v, w = readings.twist.tolist()
            cycle = Cycle(
                round=self.round,
                stamp=readings.stamp,
                scan=readings.scan.tobytes(),
                scan_stamp=readings.scan_stamp,
                pose=(x, y, yaw),
                pose_stamp=readings.pose_stamp,
                twist=(v, w),
                twist_stamp=readings.twist_stamp,
                battery=readings.battery,
                bumper=readings.bumper,
                coordinator=self._coordinator_before,
                lift=readings.lift,
            )
            self.transport.send(name, cycle, readings.stamp)

    def _ask_watchdogs(self, names: list[str]) -> None:
        for peer in sorted({self.members[name].watchdog for name in names}):
            robots = tuple(name for name in names if self.members[name].watchdog == peer)
            self.transport.send(peer, Round(self.round, self.world.stamp, robots), self.world.stamp)

    def _await(self, over: Callable[[], bool]) -> None:
        deadline = self.wall() + self.silence
        while not over() and not self._end and (left := deadline - self.wall()) > 0:
            self._take(left)

    def _lose(self, name: str, number: int) -> None:
        """A member has been silent for too long in a round."""
        self.outcome.gone.append({"round": number, "member": name})
        self.news(f"round {number}: {name} is gone")
        if name == COORDINATOR:
            self.coordinator = False
            return
        member = self.members[name]
        if not member.watchdog:
            self._newly_gone.append(name)
        member.joined, member.watchdog = False, ""

    def _take(self, timeout: float) -> None:
        for message in self.transport.receive(timeout):
            body = message.body
            if isinstance(body, Done):
                self._done(message, body)
            elif isinstance(body, Round):
                if message.sender == COORDINATOR:
                    self._coordinated = max(self._coordinated, body.round)
            elif isinstance(body, Join):
                answer = self._join(message, body)
                self.transport.send(message.peer, answer, self.world.stamp)
            elif isinstance(body, Leave):
                self._leave(message.sender, body.reason)

    def _done(self, message: Received, body: Done) -> None:
        member = self.members.get(body.robot)
        if member is None or body.round < self.round:
            return
        heard = (
            message.sender == member.watchdog
            if body.role == "watchdog"
            else (message.sender == member.name and member.joined)
        )
        if heard:
            member.answered = body.round
            member.heard = self.wall()
            self.commands[self._index[body.robot]] = np.clip(body.command, self._low, self._high)
            if body.lift >= 0:
                self.lifts[self._index[body.robot]] = body.lift > 0

    def _join(self, message: Received, body: Join) -> Joined:
        here = Joined(
            self.world.site.hash,
            self.clock,
            self.world.stamp,
            motor=motor_hash(self.world.spec),
            body=self.world.scene.body,
        )
        if body.role == "observer":
            return here
        if body.role == "coordinator" and message.sender == COORDINATOR:
            self.coordinator = True
            self._coordinated = max(self._coordinated, self.round - 1)
            return here
        if body.role not in ("robot", "watchdog"):
            return Joined(error=f'expected role robot, watchdog, coordinator or observer, got "{body.role}"')
        for name in body.robots:
            if name not in self.members:
                return Joined(
                    error=f"expected one of {', '.join(self.names)}, got {name}; name it in the plant's --robots"
                )
        if body.role == "watchdog":
            for name in body.robots:
                if self.members[name].guard != message.sender:
                    return Joined(
                        error=f"expected the watchdog that {name} named when it joined, got {message.sender}; "
                        f"let {name} join first and name its own"
                    )
            for name in body.robots:
                member = self.members[name]
                if member.joined:
                    self._newly_gone.append(name)
                member.joined, member.watchdog, member.heard = False, message.sender, self.wall()
                self.outcome.watched.append({"round": self.round, "robot": name})
            return here
        if body.robots != (message.sender,):
            return Joined(error=f"expected robot {message.sender} to join for itself, got {', '.join(body.robots)}")
        embodiment = self.world.spec.embodiment_hash()
        if body.embodiment != embodiment:
            return Joined(
                error=f"expected embodiment {embodiment[:12]}, got {body.embodiment[:12] or 'none'}; "
                "give plant and robot the same specification"
            )
        member = self.members[message.sender]
        member.joined, member.watchdog, member.guard, member.heard = True, "", body.watchdog, self.wall()
        # Heard from the round that begins next: what it answers before was never asked of it.
        member.answered = max(member.answered, self.round - 1)
        self._left.discard(message.sender)
        return here

    def _leave(self, sender: str, reason: str) -> None:
        if sender in self.members:
            member = self.members[sender]
            if member.joined:
                self._newly_gone.append(sender)
            member.joined = False
            self.commands[self._index[sender]] = 0.0  # a robot that leaves by its own will stands still
            self._left.add(sender)
        elif sender == COORDINATOR:
            self.coordinator = False
        elif any(member.watchdog == sender for member in self.members.values()):
            for member in self.members.values():
                if member.watchdog == sender:
                    member.watchdog = ""
        elif sender == CLIENT:
            self._end = reason or f"{sender} ended it"
        else:
            self.news(f"{sender} is no member and may not end the plant: its leave is not heard")


def serve_metrics(plant: Plant, port: int) -> None:
    """Serve /metrics on 127.0.0.1; raises TransportError when the port is in use."""
    from prometheus_client import CollectorRegistry, Gauge

    from coordination.page import serve_page

    registry = CollectorRegistry()
    sources: dict[str, tuple[str, Callable[[], float]]] = {
        "muster_plant_simulated_seconds": ("Site clock", lambda: plant.world.stamp / SECOND),
        "muster_plant_rounds": ("Rounds since the start", lambda: plant.outcome.rounds),
        "muster_plant_members": ("Robots there", lambda: sum(m.joined for m in plant.members.values())),
        "muster_plant_collisions": ("Collisions by the engine", lambda: plant.world.physics.collisions),
        "muster_plant_oracle_collisions": ("Collisions by geometry", lambda: plant.world.oracle.collisions),
        "muster_plant_person_contacts": ("People against standing robots", lambda: plant.world.physics.person_contacts),
    }
    for name, (text, source) in sources.items():
        Gauge(name, text, registry=registry).set_function(source)
    serve_page(registry, port)
