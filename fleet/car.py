"""`muster car`: the computer of one car as a ROS 2 node: hears sensors, decides under the shield, commands the drive.

    muster car --site FILE.xodr --policy runs/<run> --ros-args -r __ns:=/r1              shadow: commands nobody
    muster car --site FILE.xodr --policy runs/<run> --drive --ros-args -r __ns:=/r1      drives
    muster car --site town:7 --policy runs/<run> --drive --lockstep --ros-args -r __ns:=/r1 -p use_sim_time:=true

The last one drives in `muster road --clock lockstep`. What it hears and says stands in fleet/carnode.py. Its decisions
go into the run's black box, which `muster replay` decides once more. `--shadow VERSION` asks a candidate beside them
(docs/shadow.md). It ends with the signal that ends it, and tells
its drive to stop before. The exit code is 0.
"""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Suppress

from fleet.box.recorder import HEADS
from fleet.box.sealkey import SEALED, seal_key
from fleet.ros.arguments import parse
from fleet.ros.bus import BusKind, open_bus
from fleet.rundir import join_run, plain
from sim.bounds import check_number
from sim.errors import MusterError

if TYPE_CHECKING:
    from fleet.shadow.cars import Asked
    from sim.road import Road

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


class CarError(MusterError):
    """A car that cannot be run as it was asked for."""


@dataclass(frozen=True)
class Config:
    """Run one car's computer as a ROS 2 node; without --drive it commands nobody."""

    site: str = "town:7"
    """The road, its map: a file .xodr or .xml, or town:SEED, highway:SEED, rural:SEED of the simulator"""
    policy: str = ""
    """Run directory of frozen driving policies (muster driving-train)"""
    drive: bool = False
    """Command the drive; else say on ~/shadow what it would be told"""
    lockstep: bool = False
    """Decide as soon as a stamp is complete, for a plant whose time waits"""
    dead_man: float = 0.2
    """s of our own clock after which sensors that are silent are trusted no more"""
    steering_joint: str = "steering_joint"
    """What the steering is called in joint_states"""
    bus: BusKind = "auto"
    """rclpy where ROS 2 is sourced, else dds"""
    seconds: float = 0.0
    """Ends after so many s of wall time; 0: when it is told to"""
    blackbox: bool = True
    """Record every control step"""
    seals: str = ""
    """Folder of car.seal (muster blackbox key car), which seals black boxes; empty: they are chained alone"""
    shadow: str = ""
    """A candidate that decides beside `policy` and drives nothing: a run of driving-train, one of its levels, or what
    the registry knows; empty: none"""
    registry: Path = Path("registry")
    """Where versions, releases and aliases are looked up"""
    out: Path | None = None
    """Directory for the run directory; runs/ when left out"""
    ros_arguments: Suppress[tuple[str, ...]] = ()
    """ROS arguments, as --ros-args -r __ns:=/r1 -p use_sim_time:=true"""


def check(config: Config, made_later: Path | None = None) -> None:
    """Raise `MusterError` for values, roads and policies that cannot work, before anything is made."""
    from fleet.drivinglevels import read_driving_levels
    from sim.bodies.specs import CAR

    if config.bus in ("none", "loop"):
        raise CarError(
            f"--bus: expected auto, dds or rclpy, got {config.bus}; a car's sensors are on a bus of processes"
        )
    check_number("--dead-man", config.dead_man, 0.05, 1.0)
    check_number("--seconds", config.seconds, 0.0, 86_400.0)
    if not config.policy:
        raise CarError("--policy: expected a run of driving-train, got none; a car does not train, name one")
    _ = seal_key(config.seals, SEALED)
    road_of(config.site)
    if made_later is None:
        read_driving_levels(Path(config.policy))
        if config.shadow:
            from fleet.shadow import cars

            cars.check(asked_of(config), CAR)


def asked_of(config: Config) -> Asked:
    """What is to be in the shadow."""
    from fleet.shadow.cars import Asked

    return Asked(config.shadow, config.registry, Path(config.policy))


def run(config: Config) -> int:
    """Drive until told to end."""
    import time

    from fleet.carlog import CarLog
    from fleet.carnode import CarNode, CarSettings
    from fleet.carstatus import telling
    from fleet.drivinglevels import read_driving_levels
    from fleet.shadow.cars import begin, writing
    from fleet.shadow.live import Shadows
    from sim.bodies.specs import CAR

    check(config)
    road, levels = road_of(config.site), read_driving_levels(Path(config.policy))
    log, directory, desk = None, None, Shadows(Path())
    if config.blackbox or config.shadow:
        parent = Path("runs") if config.out is None else config.out
        directory = join_run(parent, arguments=sys.argv[1:], config=plain(config), clock=clock_of(config.lockstep))
        desk = begin(asked_of(config), CAR, road, levels, name_of(config), directory.root)
        if config.blackbox:
            log = CarLog(
                directory.blackbox, road, CAR, config.site, levels.name,
                key=seal_key(config.seals, SEALED), heads=directory.root / HEADS, policies=levels.hashes,
            )  # fmt: skip
    settings = CarSettings(
        drive=config.drive, lockstep=config.lockstep, dead_man=config.dead_man, joint=config.steering_joint
    )
    bus = open_bus(config.bus, arguments=config.ros_arguments)
    try:
        beside = next(iter(desk.shadows), None)
        node = CarNode(bus, road, levels, CAR, settings, log=log, beside=beside)
        try:
            node.start()
            does = "drives" if node.settings.drive else "is in shadow: it commands nobody"
            print(f"{node.node.fully_qualified} {does}, {levels.name}, on {config.site}", flush=True)
            end = time.monotonic() + (config.seconds or 1.0e9)
            name = name_of(config)
            told = telling(directory.root, lambda: node.status(name)) if directory else contextlib.nullcontext()
            with writing(desk), told:
                while time.monotonic() < end:
                    node.poll(0.05)
        finally:
            node.close()
            print(f"{node.steps} control steps", flush=True)
            if beside is not None and directory is not None:
                paired, root = beside.counts["pairs"], directory.root
                print(
                    f"shadow {beside.candidate[:12]}: {paired} steps paired; muster shadow {root} says more", flush=True
                )
    finally:
        bus.close()
    return 0


def name_of(config: Config) -> str:
    """What the car is called, by its namespace: r1 for /r1."""
    _, namespace = parse(config.ros_arguments).identity("car", "")
    return namespace.strip("/").replace("/", "_") or "car"


def road_of(site: str) -> Road:
    """The road that a word names, as far as a car can follow it. Raises `RoadError` or `FileError`."""
    from sim.bodies.specs import CAR
    from sim.roadbends import drivable
    from sim.roadfile import load_road

    road = load_road(site)
    return road if Path(site).suffix == "" else drivable(road, CAR.car.curvature_max)


def clock_of(lockstep: bool) -> str:
    """What a run's record calls it."""
    return "lockstep" if lockstep else "wall"
