"""A hall with robots whose parameters are planted: what a calibration and its benchmark drive instead of hardware.

`Hall` is the plant (sim/plant.py) with the wheeled body, `worlds` times the same robot: what was drawn of it (mass,
wheels, firmware, floor, lag, latency: sim/excitation.py) beside the specification that everybody else believes in, its
lidar in time, a sector of it that may be blocked, and a command latency that jitters from cycle to cycle. Sensor errors
are the plant's own draws. `HallRobot` is one of them behind the `Robot` protocol: nothing that drives it can tell it
from hardware but by its clock, which goes on with each `read`.
"""

# pyright: reportAttributeAccessIssue=false
# (warp's structs are no classes to a type checker)

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import warp as wp
from numpy.typing import NDArray

from sim.bodies.parts import GRAVITY, TRACTION
from sim.excitation import Planted, plant_robot
from sim.plant import Plant
from sim.randomization import Term, draw_numpy, unit_numpy
from sim.robot import SECOND, Readings, RobotCommand, RobotSpec
from sim.sensorrows import sensor_rows
from sim.sensorspec import NAMES, LidarSensor, Localisation, Sensors, Timing
from sim.site import Site, make_site
from sim.varied import plant_rows
from sim.vary import Table

ROOM = 10
"""Cells of the empty hall's side: 12 m, in which every beam of the default lidar meets a wall."""


AS_SPECIFIED = Planted(traction=TRACTION, lag=0.015, latency=1)
"""Floor, motors and command latency of a fleet's plant (fleet/world.py)."""


@dataclass(frozen=True)
class Likeness:
    """What a simulated robot truly is, beside the specification that it is taken for."""

    spec: RobotSpec
    """Its own: wheels, mass and firmware as they are."""
    planted: Planted = AS_SPECIFIED
    """Floor, motors and the latest command latency."""
    jitter: int = 0
    """By how many motor periods a command may come earlier than the latest; drawn for each control cycle."""
    scan_rate: float = 0.0
    """Scans (and localised poses) per second, Hz; 0 for one at the end of each control cycle."""
    scan_latency: float = 0.0
    """s"""
    blocked: float = 0.0
    """Width of a sector of the lidar that sees nothing, rad."""

    @property
    def answer(self) -> float:
        """The latest answer of the drive to a command, s: latency and lag; the velocity servo's own comes to it."""
        return self.planted.latency * self.spec.motor_period / SECOND + self.planted.lag


def draw_likeness(spec: RobotSpec, seed: int) -> Likeness:
    """Another robot than `spec`: parameters by `sim.excitation.plant_robot`, jitter, scan rate and latency beside."""
    if seed == 0:
        return Likeness(spec)
    own, planted = plant_robot(spec, seed)
    u = unit_numpy(draw_numpy(seed, Term.SENSOR_TIMING, 0, 0, np.arange(3))).astype(float).tolist()
    return Likeness(own, planted, int(2.0 * u[0]), 20.0 + 20.0 * u[1], 0.01 + 0.04 * u[2])


class Hall:
    """`worlds` floors with one robot each, all of one likeness, where there is most room. Owns plant and clock."""

    def __init__(
        self,
        likeness: Likeness,
        site: Site | None = None,
        *,
        seed: int = 0,
        worlds: int = 1,
        lidar: bool = True,
        threads: int = 1,
    ) -> None:
        """`site` is the floor; None: an empty hall. Raises as `Plant` does."""
        self.likeness, self.seed = likeness, seed
        self.site: Site = site or empty_hall()
        self.spec = likeness.spec
        sensors = Sensors()
        if likeness.scan_rate or likeness.scan_latency or likeness.blocked:
            timing = Timing(likeness.scan_rate or SECOND / self.spec.period, likeness.scan_latency)
            share, width = (1.0, (likeness.blocked, likeness.blocked)) if likeness.blocked else (0.0, (0.1, 0.1))
            scanner = LidarSensor(timing, blocked_share=share, blocked_width=width)
            sensors = Sensors(scanner if lidar else None, Localisation(timing))
        table = Table((*plant_rows(self.spec), *sensor_rows(sensors)))
        self.plant = Plant(
            self.site, self.spec, worlds=worlds, vary=table, sensors=sensors, seed=seed, body="wheeled", lidar=lidar,
            threads=threads,
        )  # fmt: skip
        self.cycle = 0
        """Control cycles since the hall was opened."""
        self._told = wp.zeros((worlds, 2), dtype=wp.float32)
        self._open = self.plant.open(wp.zeros((worlds, 2), dtype=wp.float32))
        self._sense = self.plant.sense(self.plant.all_rows)
        self._begin(worlds)

    def step(self, commands: NDArray[np.float32], look: Callable[[], None] | None = None) -> None:
        """One control cycle under the commands v, w, (worlds, 2); `look` is called after each physics step."""
        plant, planted = self.plant, self.likeness.planted
        self._open.launch()
        plant.state.proposed.assign(commands)
        if self.likeness.jitter:
            rows = np.arange(plant.rows)
            early = draw_numpy(self.seed, Term.LATENCY, rows, 1, self.cycle) % np.uint32(self.likeness.jitter + 1)
            plant.drive.latency.assign((planted.latency - early.astype(np.int64)).clip(0).astype(np.int32))
        plant.move(look)
        self.cycle += 1
        for launch in self._sense:
            launch.launch()

    def readings(self, row: int = 0) -> Readings:
        """What one robot's sensors say now."""
        state, stamp = self.plant.state, self.cycle * self.spec.period
        return Readings(
            stamp=stamp,
            scan=np.array(state.scan.numpy()[row]),
            scan_stamp=stamp - self._age(row, "lidar"),
            pose=np.array(state.measured_pose.numpy()[row]),
            pose_stamp=stamp - self._age(row, "localisation"),
            twist=np.array(state.measured_twist.numpy()[row]),
            twist_stamp=stamp - self._age(row, "odometry"),
            bumper=bool(state.touching.numpy()[row].any()),
        )

    def _age(self, row: int, sensor: str) -> int:
        suite = self.plant.suite
        if suite is None or sensor not in suite.names:
            return 0
        return round(float(suite.age.numpy()[row, NAMES.index(sensor)]) * SECOND)

    def _begin(self, worlds: int) -> None:
        """Every robot stands where its floor has most room, at a yaw of its own."""
        plant, planted = self.plant, self.likeness.planted
        plant.renew(plant.all_rows).launch()
        place = np.asarray(plant.state.pose.numpy())
        yaws = unit_numpy(draw_numpy(self.seed, Term.START, np.arange(worlds), 0, 0))
        place[:, :2], place[:, 2] = roomiest(self.site), (2.0 * yaws - 1.0) * math.pi
        plant.place(plant.all_rows).launch()
        limit = self.spec.mass / 2.0 * planted.traction * GRAVITY * self.spec.diff.wheel_radius
        plant.limits.numpy()[..., 0], plant.limits.numpy()[..., 1] = -limit, limit
        plant.drive.lag.fill_(planted.lag)
        plant.drive.latency.fill_(planted.latency)
        plant.read()
        for launch in plant.sense(plant.all_rows, begins=True):
            launch.launch()


class HallRobot:
    """The robot of a hall's first world behind the `Robot` protocol: each `read` after the first is a cycle later."""

    def __init__(self, hall: Hall) -> None:
        self.hall = hall
        self._command = np.zeros((1, 2), np.float32)
        self._begun = False

    def read(self, timeout: float) -> Readings | None:
        """See `Robot.read`; it never has to wait."""
        if self._begun:
            self.hall.step(self._command)
        self._begun = True
        return self.hall.readings()

    def write(self, command: RobotCommand) -> None:
        """See `Robot.write`."""
        self._command[0] = command.v, command.w


def empty_hall(cells: int = ROOM) -> Site:
    """A floor of cells by cells with nothing on it but its outer walls."""
    return make_site(f"hall:{cells}", np.zeros((cells, cells), bool))


def roomiest(site: Site) -> tuple[float, float]:
    """The middle of the free cell that is furthest from everything, or of the floor where nothing stands on it, m."""
    width, height = site.width * site.cell, site.height * site.cell
    if not site.standing.any():
        return width / 2.0, height / 2.0
    free, full = site.centre(site.free_cells), site.centre(np.flatnonzero(site.standing.reshape(-1)))
    far = np.hypot(free[:, None, 0] - full[None, :, 0], free[:, None, 1] - full[None, :, 1]).min(axis=1)
    edge = np.minimum.reduce([free[:, 0], free[:, 1], width - free[:, 0], height - free[:, 1]])
    x, y = free[int(np.argmax(np.minimum(far, edge)))]
    return float(x), float(y)
