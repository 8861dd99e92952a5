"""A robot, a fake coordinator and a floor in one process: episodes of the control step for tests."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import msgspec
import numpy as np

from coordination.messages import Assignment, Grant, Jog, Leg, LegKind, Offer, Picture
from fleet import records
from fleet.blackbox import Step
from fleet.control import Stepper
from fleet.hardware import FakeRobot
from fleet.records import Inputs, Memory, Outputs, at_start
from hierarchy.skills import Act
from sim.robot import SECOND, Readings, RobotCommand
from sim.site import Site, make_site

LENGTH = 14


def aisle() -> Site:
    """One aisle of 14 cells between racks, with a person-free rest."""
    blocked = np.ones((3, LENGTH), bool)
    blocked[1] = False
    return make_site("aisle", blocked, stations=(LENGTH, 2 * LENGTH - 1))


def cell(index: int) -> int:
    """The aisle's cell number `index`."""
    return LENGTH + index


@dataclass
class FakeCoordinator:
    """Grants the cells from the robot's own to LOOK_AHEAD further on, towards the goal that it reports."""

    site: Site
    assignment: Assignment | None = None
    offer: Offer | None = None
    jog: Jog | None = None
    withheld: bool = False
    """No new pictures come"""
    stopped: bool = False
    stop_epoch: int = 0
    robots: tuple[tuple[float, float, float], ...] = ()
    last_cell: int = LENGTH - 1
    """Index of the last cell that is ever granted"""
    picture: Picture | None = None
    grants: int = 0

    def tick(self, stamp: int, pose: tuple[float, float, float], cycle: int, goal: int = -1) -> Picture | None:
        """The newest picture after a round in which the robot reported its pose and goal."""
        if self.withheld:
            return self.picture
        if self.jog is not None and self.jog.v < 0.0:
            goal = LENGTH  # the operator drives back
        size = self.site.cell
        low, here, high = (min(max(math.floor((pose[0] + d) / size), 0), LENGTH - 1) for d in (-0.45, 0.0, 0.45))
        if goal < 0 or goal - LENGTH >= high:
            indices = range(low, max(min(here + 4, self.last_cell), high) + 1)
        else:
            indices = range(high, max(min(here - 4, low), 0) - 1, -1)
        self.grants += 1
        self.picture = Picture(
            round=cycle,
            stamp=stamp,
            site=self.site.hash,
            grant=Grant(self.grants, tuple(cell(index) for index in indices), stamp + 2 * SECOND),
            robots=self.robots,
            assignment=self.assignment,
            stop_epoch=self.stop_epoch,
            stopped=self.stopped,
            offer=self.offer,
            jog=self.jog,
        )
        return self.picture


def delivery(*indices: int, dwell: float = 0.5) -> Assignment:
    """A task whose legs end at these cells of the aisle."""
    return Assignment("0190-task", 1, tuple(Leg(cell(index), LegKind.DELIVER, dwell) for index in indices))


def inputs_of(readings: Readings, cycle: int, picture: Picture | None, *, missed: int = 0) -> Inputs:
    """What a control step gets of these readings, so many missed deadlines later."""
    return msgspec.structs.replace(records.inputs_of(readings, cycle, picture), missed=missed)


@dataclass
class Episode:
    """One robot's life: `run` makes steps, everything is kept."""

    stepper: Stepper
    robot: FakeRobot
    coordinator: FakeCoordinator
    memory: Memory = field(default_factory=at_start)
    steps: list[Step] = field(default_factory=list)
    act: Act | None = None
    missed: int = 0
    spoil: dict[str, object] = field(default_factory=dict)
    """Fields of Inputs to overwrite"""

    def step(self) -> Outputs:
        readings = self.robot.read(0.0)
        assert readings is not None
        inputs = inputs_of(readings, len(self.steps), self.coordinator.picture, missed=self.missed)
        here = inputs.pose
        if self.spoil:
            inputs = msgspec.structs.replace(inputs, **self.spoil)
        outputs, after = self.stepper.step(inputs, self.memory, self.act)
        self.steps.append(Step(inputs.cycle, inputs.stamp, inputs, self.memory, outputs))
        self.memory = after
        self.robot.write(RobotCommand(*outputs.released))
        self.coordinator.tick(readings.stamp, here, inputs.cycle, outputs.report.goal)
        return outputs

    def run(self, seconds: float) -> list[Outputs]:
        """Steps for a time."""
        return [self.step() for _ in range(round(seconds * SECOND / self.robot.spec.period))]


def walls(site: Site, rays: int, range_max: float, obstacles: tuple[tuple[float, float, float], ...] = ()):  # noqa: ANN201
    """A scan function of the aisle: its two walls, its ends, and discs (x, y, radius)."""
    angles = -math.pi + 2.0 * math.pi * np.arange(rays) / rays
    low, high, end = site.cell, 2.0 * site.cell, site.width * site.cell

    def scan(pose: tuple[float, float, float]) -> np.ndarray:
        x, y, yaw = pose
        dx, dy = np.cos(angles + yaw), np.sin(angles + yaw)
        with np.errstate(divide="ignore"):
            across = np.where(dy > 0, (high - y) / dy, np.where(dy < 0, (low - y) / dy, np.inf))
            along = np.where(dx > 0, (end - x) / dx, np.where(dx < 0, -x / dx, np.inf))
        ranges = np.minimum(across, along)
        for ox, oy, radius in obstacles:
            b = (ox - x) * dx + (oy - y) * dy
            inside = radius**2 - ((ox - x) ** 2 + (oy - y) ** 2 - b**2)
            near = b - np.sqrt(np.maximum(inside, 0.0))
            ranges = np.where((inside > 0) & (near > 0), np.minimum(ranges, near), ranges)
        return np.minimum(ranges, range_max).astype(np.float32)

    return scan
