"""`muster road`: the plant of one car over ROS 2: the driving simulator as a car that is driven from outside.

    muster road --site town:7 --ros-args -r __ns:=/r1                       in real time
    muster road --site town:7 --clock lockstep --ros-args -r __ns:=/r1      time waits for each command

Topics stand in fleet/carserve.py; whoever answers on ackermann_cmd drives: `muster car`, or a third party's stack. In
lockstep it waits for its driver for `--wait` s. What the drive came to is judged by the truth and told at its end; the
exit code is 0 when no contact was at fault, else 1.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tyro.conf import Suppress

from fleet.ros.bus import BusKind, open_bus
from sim.bounds import check_number, check_whole
from sim.errors import MusterError
from sim.seeds import check_seed

if TYPE_CHECKING:
    from fleet.carserve import CarServer
    from fleet.venues import Among, Venue

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


class RoadServeError(MusterError):
    """A plant that cannot be served as it was asked for."""


@dataclass(frozen=True)
class Config:
    """Serve the driving simulator as one car over ROS 2."""

    site: str = "town:7"
    """town:SEED, highway:SEED, rural:SEED, a file .xodr or .xml, or a scenario as cut_in:gap=20"""
    policy: str = ""
    """Run directory whose motor policy corrects the car's firmware; empty: the firmware alone"""
    seconds: float = 120.0
    """Bound of the drive, s"""
    seed: int = 1
    """Of route, traffic and everything that varies"""
    body: Literal["kinematic", "full"] = "kinematic"
    """The car's body: single-track with error bounds, or MuJoCo with suspension and tyres"""
    traffic: int = 16
    """Other vehicles (not in scenarios)"""
    walkers: int = 6
    """People on foot (not in scenarios)"""
    fault: str = ""
    """What fails, and when: a sensor's fault as lane_lost:5"""
    lidar: bool = False
    """Give the car a lidar, whose scans are published"""
    charge: float = 0.8
    """Of its battery at the beginning, 0 to 1"""
    clock: Literal["wall", "lockstep"] = "wall"
    """wall: real time; lockstep: time goes on when a command has the present stamp"""
    wait: float = 60.0
    """s that a lockstep waits for somebody to drive"""
    bus: BusKind = "auto"
    """rclpy where ROS 2 is sourced, else dds"""
    ros_arguments: Suppress[tuple[str, ...]] = ()
    """ROS arguments, as --ros-args -r __ns:=/r1"""


def check(config: Config, made_later: Path | None = None) -> None:
    """Raise `MusterError` for what cannot work, before anything is made."""
    understood(config, made_later)


def understood(config: Config, made_later: Path | None = None) -> tuple[Venue, Among]:
    """Where to drive, and among whom. Raises `MusterError`."""
    from agents.layers import read_layers
    from fleet.driving import OTHERS_MAX
    from fleet.venues import POLICY, Among, FaultError, read_fault, read_venues

    if config.bus in ("none", "loop"):
        raise RoadServeError(
            f"--bus: expected auto, dds or rclpy, got {config.bus}; a car is driven by another process"
        )
    for name, value in (("--traffic", config.traffic), ("--walkers", config.walkers)):
        check_whole(name, value, 0, OTHERS_MAX)
    check_number("--seconds", config.seconds, 1.0, 3600.0)
    check_number("--wait", config.wait, 1.0, 3600.0)
    check_number("--charge", config.charge, 0.0, 1.0)
    check_seed(config.seed)
    if config.fault.startswith(f"{POLICY}:"):
        raise FaultError("--fault: expected a sensor's fault, got the policy's; that one is with whoever drives")
    venues = read_venues(config.site)
    if len(venues) > 1:
        raise RoadServeError(f"--site: expected one road, got {len(venues)}; a car is on one, start a plant for each")
    among = Among(
        config.seconds, config.traffic, config.walkers, body=config.body, fault=read_fault(config.fault, config.lidar)
    )
    if config.policy and made_later is None:
        among = replace(among, motor=read_layers(Path(config.policy) / "motor"))
    return venues[0], among


def run(config: Config) -> int:
    """Serve one drive; 0 when no contact was at fault, else 1."""
    from fleet.carplant import CarPlant
    from fleet.carserve import CarServer
    from fleet.drivefigures import figures
    from fleet.driving import line_of

    venue, among = understood(config)
    plant = CarPlant(venue, config.seed, among, judged=True, charge=config.charge)
    bus = open_bus(config.bus, arguments=config.ros_arguments)
    try:
        server = CarServer(bus, plant, lockstep=config.clock == "lockstep")
        print(f"{server.node.fully_qualified} serves {venue.name}, seed {config.seed}, {config.clock}", flush=True)
        if server.lockstep:
            wait_for(server, config.wait)
        while not plant.over:
            server.poll(0.001 if server.lockstep else 0.005)
        server.close()
    finally:
        bus.close()
    found = figures(plant.course, plant.moments)
    print(f"{line_of(found)}, {len(server.released)} commands, {server.missed} missed", flush=True)
    return 1 if found.at_fault else 0


def wait_for(server: CarServer, seconds: float) -> None:
    """Until somebody hears every sensor and commands. Raises `RoadServeError`."""
    end = time.monotonic() + seconds
    while not server.ready:
        server.bus.spin(0.05)
        if time.monotonic() > end:
            raise RoadServeError(
                f"expected somebody to hear all sensors in {server.node.namespace} and to say ackermann_cmd within "
                f"{seconds:g} s, there was nobody; start `muster car --drive --lockstep` with the same -r __ns:="
            )
