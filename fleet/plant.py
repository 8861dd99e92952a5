"""`muster sim`: the plant, a process that simulates a site with all its robots and people and serves it over the wire.

The floor is a `World` (fleet/world.py); members join it and its time goes on in rounds (fleet/rounds.py). With `--bus`
every robot is one of ROS 2, which anybody's stack may drive by standard topics (fleet/ros/plantnode.py); coordinator
and client come over the bus as well. Here is what the command line can ask for, what is refused before anything is
made, and the process around the rounds. Whatever ends it, plant.npz and plant.json are written into the run directory.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from tyro.conf import Suppress

from coordination.keys import Keys, keys_of, read_keys
from coordination.ports import check_free, listeners
from coordination.transport import Transport
from coordination.zmq_transport import ZmqServer
from fleet.perception import world_table
from fleet.placement import people_cells, start_cells
from fleet.ready import quieten
from fleet.ros.bus import BusKind, check_here, open_bus
from fleet.ros.plantbase import DEAD_MAN, CommandKind
from fleet.ros.plantnode import BusPlant
from fleet.ros.transport import BusServer
from fleet.rounds import Plant
from fleet.rundir import discard_unused, join_run
from fleet.spilled import box_places
from fleet.world import World
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

PLANT = "plant"
"""The plant's own name."""


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
    bus: BusKind = "none"
    """none: members come to --address; else robots are ROS 2's, and members come over that bus"""
    cmd_vel: CommandKind = "stamped"
    """Over a bus: robots take TwistStamped, or Twist"""
    ros_arguments: Suppress[tuple[str, ...]] = ()
    """ROS arguments, as --ros-args -r __ns:=/hall2"""


def check(config: Config, made_later: Path | None = None) -> None:
    """Raise `MusterError` for whatever is wrong with a command line, before anything is made for it."""
    check_here(config.bus)
    _checked(config)


def ports(config: Config) -> dict[str, str]:
    """What the plant listens on, by option."""
    return listeners(config.address if config.bus == "none" else "", config.metrics_port)


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
    if config.bus == "none" and set(config.ros_arguments) - {
        "--ros-args",
        "--",
    }:  # launch gives every node the bare word
        raise PlantError(
            f"expected no ROS arguments without a bus, got {' '.join(config.ros_arguments)}; give --bus auto too"
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
    keys = keys_of(config.key, directory.key)
    with contextlib.ExitStack() as stack:
        transport, address = _opened(config, keys, world, names, stack)
        plant = Plant(
            world,
            transport,
            names,
            clock=config.clock,
            dead_man=DEAD_MAN if config.bus != "none" else math.inf,
            news=lambda line: print(line, flush=True),
        )
        if config.metrics_port:
            serve_metrics(plant, config.metrics_port)
        print(
            f"plant at {address}: {problem.site.name}, {len(names)} robots, {config.people} people, {config.clock}",
            flush=True,
        )
        quieten()
        try:
            gather = config.bus == "none" or config.clock == "lockstep"  # a body runs whether it is driven or not
            plant.serve(coordinator=config.coordinator, patience=config.patience, gather=gather)
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


def _opened(
    config: Config, keys: Keys, world: World, names: tuple[str, ...], stack: contextlib.ExitStack
) -> tuple[Transport, str]:
    """The plant's end, which the stack closes, and where it is, for people."""
    if config.bus == "none":
        transport = ZmqServer(PLANT, keys, config.address)
        stack.callback(transport.close)
        return transport, transport.address
    bus = open_bus(config.bus, arguments=config.ros_arguments)
    stack.callback(bus.close)
    node = bus.node(PLANT)
    server = BusServer(bus, node, PLANT, keys, "~")
    plant = BusPlant(
        bus,
        node,
        server,
        world,
        names,
        lockstep=config.clock == "lockstep",
        command=config.cmd_vel,
    )
    stack.callback(plant.close)
    return plant, server.address


def serve_metrics(plant: Plant, port: int) -> None:
    """Serve /metrics on 127.0.0.1; raises TransportError when the port is in use."""
    from coordination.page import serve_page
    from fleet.plantmetrics import PlantMetrics

    sources: dict[str, Callable[[], float]] = {
        "muster_plant_simulated_seconds": lambda: plant.world.stamp / SECOND,
        "muster_plant_rounds": lambda: plant.outcome.rounds,
        "muster_plant_members": lambda: len(plant.membership.loops()),
        "muster_plant_collisions": lambda: plant.world.physics.collisions,
        "muster_plant_oracle_collisions": lambda: plant.world.oracle.collisions,
        "muster_plant_person_contacts": lambda: plant.world.physics.person_contacts,
    }
    serve_page(PlantMetrics(sources).registry, port)
