"""`muster robot`: a process that hosts one robot or several, each with its own loop, connections and black box.

One thread serves all of them from one poll; the loop itself, step by step, is fleet/seat.py's. A robot joins the plant
only after its kernels and its policy have run once, and only where floor, motor and body are the plant's.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Literal

from tyro.conf import Suppress

from agents.policy import Policy
from coordination.client import CoordinatorClient
from coordination.keys import keys_of, read_keys
from coordination.ports import check_free, listeners
from coordination.zmq_transport import ZmqClient
from fleet import watchdog
from fleet.blackbox import HEADS, BlackBox, Recorder
from fleet.box.sealkey import seal_key
from fleet.control import ControlConfig, Stepper
from fleet.guards.preflight import preflight
from fleet.header import write_header
from fleet.judge.missions import FILE as MISSIONS
from fleet.judge.near import Sight
from fleet.judge.telling import Teller
from fleet.metrics import RobotMetrics
from fleet.permit import Asked, Permit, permit_for
from fleet.ready import quieten, warm
from fleet.registry.pins import pins
from fleet.rollout.leasing import RELEASES, ROLLOUT, Tether
from fleet.ros.bus import BusKind
from fleet.ros.robotnode import check as check_bus
from fleet.rundir import ENVIRONMENT, RunDirectory, join_run
from fleet.seat import Seat
from fleet.served import POLICIES, Loader, Served, directory_of
from fleet.shadow import floor
from fleet.shadow.live import Shadows
from fleet.swap import Desk
from fleet.wires import Wires, open_wires
from hierarchy.chooser import Chooser, load_chooser
from hierarchy.skills import sees_limit
from safety.calibration import Authority
from sim.errors import MusterError
from sim.files import write_atomic
from sim.readers import load_site
from sim.robot import RobotSpec, robot_names
from sim.site import CELL, Site
from sim.specfile import named_spec

POLL = 0.05
"""Longest wait for messages, s: the heartbeat's period when nothing happens."""
HOUSEKEEPING = 1.0
"""Counters are handed to the metrics this often, s."""


@dataclass(frozen=True)
class Config:
    """Host one robot or several."""

    robots: str = "r0"
    """Names, as r0,r1 or r[0:16:2]"""
    site: str = "generate:7"
    """Map file, problem file or generate:SEED; the plant's"""
    policy: Path | None = None
    """Directory with policy.onnx and policy.json; the run's if not given"""
    plant: str = "tcp://127.0.0.1:7411"
    """The plant's address"""
    coordinator: str = ""
    """The coordinator's address; empty: tcp://127.0.0.1:7410, and over a bus ros. A robot behind a bus may have one at
    tcp://HOST:PORT: its own topics then stay where the bus is"""
    person_speed: float = 1.6
    """What the site assumes of people, m/s: 1.6 (they walk on) or 0 (they stand still before robots)"""
    cell: float = CELL
    """Cell size of map files, m"""
    meta: Literal["rules", "learned"] = "rules"
    """Who picks the next task: the coordinator's rules, or the learned meta policy beside `policy` (in meta/)"""
    explore: float = 0.0
    """Share of its answers to offers that a robot with the learned meta policy draws from all that can be done, so that
    logs can say what another one would have achieved (muster evaluate-offline)"""
    spec: str = ""
    """A robot specification (sim/specfile.py), the plant's; empty for the default robot"""
    body: Literal["planar", "wheeled"] = "planar"
    """The body that the plant moves: how far it strays from commands is its own"""
    calibration: Path | None = None
    """The record of `muster calibrate` for this robot, its specification and this site; empty for none"""
    uncalibrated: Literal["auto", "drive", "creep", "shadow"] = "auto"
    """What it may do without a valid calibration: drive (a simulated robot), creep, or shadow: release nothing; auto:
    drive on the plant's own wire, shadow behind a bus, where nobody can tell a simulated robot from a real one"""
    coverage: float = 0.999
    """Share of drives that the calibration must show to keep its bounds"""
    key: Path | None = None
    """The fleet's key file, or this robot's; the run's if not given or empty"""
    rollout: str = ""
    """Address of a rollout's leases: the robots drive its candidate while they have one, else `policy`; empty: no"""
    shadow: str = ""
    """A candidate that decides beside `policy` and drives nothing: a directory, version, release, alias; empty: none"""
    registry: Path = Path("registry")
    """Where versions, releases and aliases are looked up"""
    blackbox: bool = True
    """Record every control step"""
    seals: str = ""
    """Folder of <robot>.seal (muster blackbox key), which seals black boxes; empty: they are chained alone"""
    battery: float = 0.0
    """Wh of a full battery, for the energy that a mission took in RUN/missions.jsonl; 0: not known"""
    watchdog: bool = True
    """Start a watchdog process that brings the robots to rest should this one die or hang"""
    metrics_port: int = 0
    """Port of /metrics on 127.0.0.1; 0 for none"""
    patience: float = 60.0
    """Time without a word from the plant after which the process gives up, s; over a bus in lockstep alone"""
    bus: BusKind = "none"
    """none: a plant at --plant; else a body behind ROS 2's topics, and --coordinator may be ros or ros:/SPACE too"""
    ros_arguments: Suppress[tuple[str, ...]] = ()
    """ROS arguments, as --ros-args -r __ns:=/r1 -p use_sim_time:=true"""


class RobotError(MusterError):
    """The robots cannot be hosted as asked."""


def check(config: Config, made_later: Path | None = None) -> None:
    """Raise `MusterError` for whatever is wrong with a command line, before anything is made for it.

    A process that waits for the file `made_later` cannot find the policy yet that comes with it.
    """
    config = _understood(config)
    if not _names(config):
        return
    if config.person_speed not in (0.0, 1.6):
        raise RobotError(
            "--person-speed: expected a person speed of 0 or 1.6 m/s (the two profiles), "
            f"got {config.person_speed:g}; give one of them"
        )
    if not 0.0 <= config.explore < 1.0:
        raise RobotError(f"--explore: expected a share from 0 to below 1, got {config.explore:g}; give for example 0.1")
    if config.explore and config.meta != "learned":
        raise RobotError("--explore: expected --meta learned, got rules: the coordinator assigns; leave --explore out")
    _ = [seal_key(config.seals, name) for name in _names(config)]
    site = load_site(config.site, config.cell)
    spec = named_spec(config.spec).spec
    permit_of(config, site, spec)
    floor.check(config.shadow, spec, config.registry, site.name)
    place = config.policy or Path(os.environ.get(ENVIRONMENT) or ".")
    if made_later is None or (config.policy is not None and place != made_later.parent):
        policy = Policy.load(place)
        sees_limit(policy, spec)
        if config.meta == "learned":
            load_chooser(directory_of(place), spec, policy)
    check_bus(config.bus, config.ros_arguments, _names(config), config.coordinator)
    if not 0.0 <= config.battery < 1e9:
        raise RobotError(f"--battery: expected Wh of a full battery, got {config.battery:g}; give for example 1000")
    if not config.patience > 0.0:
        raise RobotError(f"--patience: expected a time above 0 s, got {config.patience:g}; give for example 60")
    if config.key is not None:
        read_keys(config.key)
    check_free(ports(config))


def permit_of(config: Config, site: Site, spec: RobotSpec) -> Permit:
    """What the robots may do. Raises `MusterError` for a record that cannot be read, or for a motor nobody measured."""
    left = config.uncalibrated
    if left == "auto":
        left = "drive" if config.bus == "none" else "shadow"
    names = _names(config)
    unit = names[0] if config.bus != "none" and names else ""
    asked = Asked(config.calibration, left, config.coverage, len(names), unit)
    return permit_for(asked, spec, site.hash, config.body, time.time())


def ports(config: Config) -> dict[str, str]:
    """What the process listens on, by option."""
    return listeners(metrics_port=config.metrics_port) if _names(config) else {}


def _understood(config: Config) -> Config:
    """With no file where a launch file gave an empty name."""
    none = Path("")
    return replace(
        config,
        calibration=config.calibration if config.calibration != none else None,
        key=config.key if config.key != none else None,
    )


def _names(config: Config) -> tuple[str, ...]:
    names = robot_names(config.robots)
    if not names and "[" not in config.robots:  # a launch file deals few robots to many hosts by slices
        raise RobotError("--robots: expected at least one robot, got none; give names as r0,r1 or r[0:16:2]")
    return names


def run(config: Config) -> int:
    """Host the robots until the plant ends or a signal comes; 0, or 1 when the plant fell silent.

    Raises MusterError for everything that a person can mend: names, site, policy, key, port, plant.
    """
    config = _understood(config)
    names = _names(config)
    if not names:
        print(f"no robots for this host in {config.robots}", flush=True)
        return 0
    check(config)
    site = load_site(config.site, config.cell)
    directory = join_run(arguments=sys.argv, config=config)
    key = config.key or directory.key
    keys = keys_of(config.key, directory.key)
    policy = Policy.load(config.policy or directory.root)
    spec = named_spec(config.spec).spec
    print(preflight(policy, spec).line, flush=True)
    permit = permit_of(config, site, spec)
    print(permit.said, end="\n" if permit.said else "", flush=True)
    chooser = None
    if config.meta == "learned":
        chooser = load_chooser(directory_of(config.policy or directory.root), spec, policy)
    shared = ControlConfig(
        spec=spec,
        person_speed=config.person_speed,
        body=config.body,
        explore=config.explore,
        meta=chooser.policy.hash if chooser is not None else "",
        motor=permit.motor,
        authority=permit.authority,
        calibrated=permit.calibrated,
        leased=bool(config.rollout),
    )
    steppers = {name: Stepper(replace(shared, robot=name), site, policy, chooser) for name in names}
    metrics = RobotMetrics(names)
    if config.metrics_port:
        metrics.serve(config.metrics_port)
    warm(steppers[names[0]])
    shadows = floor.begin(config.shadow, config.registry, steppers[names[0]].config, names, site, directory.root)
    wires = open_wires(config.bus, config.ros_arguments, names, keys, config.plant, config.coordinator, site.hash)
    host = Host(config, directory, wires, names, steppers, site, policy, metrics, chooser)
    host.shadows = shadows
    for seat in host.seats:
        seat.permit = permit
        seat.plant.shadow = permit.authority is Authority.SHADOW
    if config.rollout:
        link = ZmqClient(names[0], ROLLOUT, keys, config.rollout)
        pinned = pins(shared)
        host.desk.tether = Tether(
            host.desk.serving, link, directory.root / RELEASES, pinned=(pinned.embodiment, pinned.shield)
        )
    return host.run(key)


class Host:
    """Owns the seats of one process, their watchdog and the writer of their black boxes."""

    def __init__(
        self,
        config: Config,
        directory: RunDirectory,
        wires: Wires,
        names: Sequence[str],
        steppers: dict[str, Stepper],
        site: Site,
        policy: Policy,
        metrics: RobotMetrics,
        chooser: Chooser | None = None,
    ) -> None:
        self.config, self.directory, self.wires, self.site = config, directory, wires, site
        self.board = watchdog.Board(names)
        self._watched = config.watchdog and config.bus == "none"
        """A watchdog speaks the plant's own wire; a base behind a bus has a dead-man of its own."""
        self.boxes: list[BlackBox] = []
        self.seats: list[Seat] = []
        for index, name in enumerate(names):
            box = None
            if config.blackbox:
                header = write_header(steppers[name].config, site, policy, config.policy or directory.root)
                box = BlackBox(directory.blackbox, name, *header, key=seal_key(config.seals, name))
                self.boxes.append(box)
            guard = watchdog.name_of(names, os.getpid()) if self._watched else ""
            plant, link = wires.robot(name, steppers[name].config.spec, guard), CoordinatorClient(wires.link(name))
            self.seats.append(Seat(index, plant, link, steppers[name], box, self.board, metrics))
        load = Loader(steppers[names[0]].config, policy, directory.root / POLICIES)
        self.desk = Desk(directory.root, self.seats, Served(policy, chooser), load)
        self.shadows = Shadows(directory.root)
        sights = {name: Sight(site, steppers[name].config.spec) for name in names}
        self.teller = Teller(directory.root / MISSIONS, sights, config.battery * 3600.0 or None)
        self._stop = ""
        self._cpu_begun = time.process_time()

    def run(self, key: Path) -> int:
        """Join, loop, leave."""
        recorder: Recorder | None = None
        silent = False
        try:
            if self._watched:
                self._start_watchdog(key)
            self._join()  # a signal still raises here: there is no loop yet that would look at a flag
            with contextlib.suppress(ValueError):  # signals only reach the main thread; tests run a host in another
                signal.signal(signal.SIGTERM, self._end)
                signal.signal(signal.SIGINT, self._end)
            self.board.clock = "lockstep" if self.seats[0].lockstep else "wall"
            recorder = Recorder(self.boxes, heads=self.directory.root / HEADS) if self.boxes else None
            for seat, shadow in zip(self.seats, self.shadows.shadows, strict=False):
                seat.shadow, shadow.lockstep = shadow, seat.lockstep
            for seat in self.seats:
                seat.missions = self.teller if not seat.plant.shadow else None  # who drives nothing has none
            self.teller.start()
            self.desk.open()
            quieten()
            print(f"robots ready: {', '.join(seat.name for seat in self.seats)}", flush=True)
            self._cpu_begun = time.process_time()
            silent = self._loop()
        finally:
            self.board.beat(time.monotonic_ns(), driving=False)
            self.desk.close()
            self.shadows.close()
            for seat in self.seats:
                seat.leave(self._stop or "the robots' process ends")
            self.teller.close()
            if recorder is not None:
                recorder.close()
            for seat in self.seats:
                seat.close()
            self.wires.close()
            self._write_summary()
        return 1 if silent else 0

    def _start_watchdog(self, key: Path) -> None:
        """Start it and wait until it is up: a loop killed in its first moments would leave its robots unwatched."""
        log = self.directory.logs / f"watchdog-{self.seats[0].name}.log"
        period = self.seats[0].stepper.config.spec.period
        process = watchdog.start(self.board, self.config.plant, key, period=period, log=log)
        deadline = time.monotonic() + watchdog.START
        while not self.board.watched:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RobotError(
                    f"expected the watchdog to be up within {watchdog.START:g} s, it is not; its own words are in {log}"
                )
            time.sleep(watchdog.POLL / 2)

    def _join(self) -> None:
        for seat in self.seats:
            joined = seat.plant.join(self.config.patience)
            seat.lockstep = joined.clock == "lockstep"
            if joined.site != self.site.hash:
                raise RobotError(
                    f"expected the plant's floor {joined.site[:12]}, --site {self.config.site} is "
                    f"{self.site.hash[:12]}; give plant and robots the same site"
                )
            motor = seat.stepper.config.motor
            if joined.motor not in ("", motor):
                raise RobotError(
                    f"expected a base that drives by motor {motor[:12]}, {seat.name}'s drives by {joined.motor[:12]}; "
                    "the shield's tracking bound was not measured with it"
                )
            body = seat.stepper.config.body
            if joined.body not in ("", body):
                raise RobotError(
                    f"expected a plant that moves {body} bodies, {seat.name}'s moves {joined.body} ones, which stray "
                    f"otherwise from what is commanded; give plant and robots the same --body"
                )

    def _loop(self) -> bool:
        """Serve until the plant ends; True when it fell silent."""
        heard = tidied = last = time.monotonic()
        motors = [seat.plant.motor for seat in self.seats if seat.plant.motor is not None]
        patience = min([POLL, *(motor.period / 2 for motor in motors)])
        for seat in self.seats:
            seat.take()  # what came together with the plant's yes has left the sockets already
        silence = watchdog.LOCKSTEP_SILENCE if self.seats[0].lockstep else 2 * self.seats[0].period
        while not self._stop:
            ready = self.wires.wait(0.0 if self.shadows.pending else patience)
            now = time.monotonic()
            self.board.beat(time.monotonic_ns())
            self.desk.swap()
            if now - last > silence:  # we hung: the watchdog may have spoken, and the plant hears us only after a join
                for seat in self.seats:
                    seat.plant.rejoin()
            for seat in self.seats:
                seat.rejoin(now)
            last = now
            for motor in motors:
                motor.step(now)
            for seat in self.seats:
                if seat.name in ready:
                    seat.take()
            for seat in self.seats:
                if seat.due(now):
                    heard = now
                elif not seat.silent(now):
                    continue
                seat.step()
                for motor in motors:
                    motor.step(time.monotonic())
                self.board.beat(time.monotonic_ns())
            self.shadows.work(min(seat.left(time.monotonic()) for seat in self.seats))
            if self.seats[0].plant.left:
                self._stop = self.seats[0].plant.left
            if now - heard > self.config.patience and (self.config.bus == "none" or self.seats[0].lockstep):
                self._stop = f"no word from the plant for {self.config.patience:g} s"
                print(self._stop, flush=True)
                return True
            if now - tidied > HOUSEKEEPING:
                tidied = now
                self.wires.housekeeping()
                for seat in self.seats:
                    seat.housekeeping()
                self.desk.serving.later(self.shadows.flush)
        return False

    def _end(self, number: int, frame: FrameType | None) -> None:
        self._stop = signal.Signals(number).name

    def _write_summary(self) -> None:
        """robots-<first>.json in the run directory: what the report shows of these loops."""
        lines = {seat.name: seat.summary() for seat in self.seats}
        with contextlib.suppress(MusterError):  # a full disk must not hide why the process ends
            cpu = round(time.process_time() - self._cpu_begun, 3)
            text = json.dumps({"pid": os.getpid(), "cpu_seconds": cpu, "robots": lines}, indent=2)
            write_atomic(self.directory.root / f"robots-{self.seats[0].name}.json", text + "\n")
