"""The control step of a car: a reading in, what was decided out; no bus, no clock, no file.

    reading -> view (fleet/carview.py) -> policies, shield, fallback (fleet/cardecision.py) -> released command

A car that has not found itself on its map yet, or has not heard of a goal, has nothing to decide: it is held where it
is. From then on every step is the guard's, whatever is missing: what is old is said to be old, and the stored plan
stops the car. The same readings give the same commands, bit for bit, whoever brings them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fleet.cardecision import CarDecided, CarDecision
from fleet.carview import CarView
from fleet.drivinglevels import DrivingLevels
from sim.driving.reading import CarReading, Charge, Pose
from sim.driving.routes import RoutePlan, row_of_lanes
from sim.frenet import middle
from sim.road import LaneKind, Road, RoadError, project
from sim.robot import RobotSpec

AHEAD = 0.5
"""s; a command's speed is the one that it leads to in this time, for bases that are told speeds alone."""

LIST_AGE = 0.5
"""s; a drive begins with a list that is no older: that of safety/roadbounds.py."""

EMPTY = 0.03
"""Share of charge at which a car looks for a place to stand: 1.8 kWh of 60, some ten kilometres of way."""

AWAY = 5.0
"""m that a goal may lie beside the middle of a driving lane."""


@dataclass(frozen=True)
class CarOutput:
    """What a control step says."""

    stamp: int
    """Of the reading"""
    acceleration: float
    """m/s^2"""
    angle: float
    """Of the virtual front wheel, rad"""
    speed: float
    """To which it leads, m/s"""
    decided: CarDecided | None
    """None while the car is held"""
    doubts: tuple[str, ...]
    """What is wrong, in words"""


class CarControl:
    """Owns the view and the decision of one car on one road."""

    def __init__(self, road: Road, levels: DrivingLevels, spec: RobotSpec, plan: RoutePlan | None = None) -> None:
        """`plan`: from where to where; None: held until `go_to` says it. Raises RoadError, RoadShieldError."""
        self.spec, self.road = spec, road
        self.bound = plan is not None
        """Whether there is somewhere to go"""
        self.view = CarView(road, plan or _anywhere(road), spec)
        atlas = self.view.atlas
        self.decision = CarDecision(levels, spec, self.view.view, atlas.lanes, atlas.conflicts)
        self.begun = False
        """Whether the car has found itself, and is decided for"""
        self._warm()

    def begin(self) -> None:
        """Forget everything but the map and where to go."""
        self.view.begin()
        self.decision.begin()
        self.begun = False

    def go_to(self, plan: RoutePlan) -> None:
        """Another goal, from the next step on. Raises `RoadError` for one that cannot be driven to."""
        self.view.go_to(plan)
        self.bound = True

    def step(self, reading: CarReading, *, trusted: bool = True, failed: str = "") -> CarOutput:
        """One control step; a reading that is not `trusted` counts as far too old."""
        self.view.see(reading, trusted=trusted)
        doubts = reading.doubts if self.bound else (*reading.doubts, "goal_pose: expected a goal, none has come")
        seen, speed = self.view.seen, 0.0 if reading.odometry is None else reading.odometry.speed
        finite = bool(np.isfinite(seen["pose"]).all() and np.isfinite(seen["motion"]).all())
        fresh = float(seen["age"][0]) <= self.spec.sensor_age_bound and float(seen["list_age"][0]) < LIST_AGE
        self.begun = self.begun or (trusted and finite and fresh and self.bound and self.view.located)
        if not self.begun:
            curvature = 0.0 if reading.steering is None else reading.steering.curvature
            angle = float(np.float32(np.arctan(self.spec.car.wheelbase * curvature)))
            return CarOutput(reading.now, -self.spec.car.brake_comfort, angle, 0.0, None, doubts)
        decided = self.decision.step(failed=failed or spent(reading.charge), blind=not (finite and self.view.located))
        acceleration = decided.released[0]
        leads = max(speed + AHEAD * acceleration, 0.0)
        if decided.trouble:
            doubts = (*doubts, decided.trouble)
        return CarOutput(reading.now, acceleration, decided.angle, leads, decided, doubts)

    def _warm(self) -> None:
        """Run everything once, so that the first control step takes no longer than the others."""
        self.view.see(CarReading(0))
        self.decision.step()
        self.decision.begin()
        self.view.begin()


def spent(charge: Charge | None) -> str:
    """Why a car drives no further than to where it may stand, by its battery; empty where it drives on.

    A robot on a floor stands at once where its gauge says what is no share of a charge; a car does so where it may.
    """
    if charge is None:
        return ""
    if math.isnan(charge.share):
        return "battery_state: expected a percentage from 0 to 1, came none"
    return f"battery_state: {charge.share:.0%} left, the car drives no further" if charge.share < EMPTY else ""


def goal_at(road: Road, pose: Pose) -> RoutePlan:
    """The way to a place on the road, in the road's own coordinates; any lane of its row will do.

    Raises `RoadError` for a place that is on no driving lane.
    """
    best, least = None, AWAY
    for index, lane in enumerate(road.lanes):
        if lane.kind != LaneKind.DRIVING:
            continue
        s, d = project(lane.centre, lane.s, np.array([pose[:2]]))
        turn = pose[2] - float(np.interp(s[0], lane.s, lane.heading))
        if np.cos(turn) > 0.7 and abs(float(d[0])) < least:
            best, least = (index, float(s[0])), abs(float(d[0]))
    if best is None:
        raise RoadError(
            f"expected a goal on a driving lane of {road.name} and along it, got one at {pose[0]:.1f}, {pose[1]:.1f}"
        )
    lane, s = best
    s = min(max(s, 0.2), road.lanes[lane].length)
    return RoutePlan(lane, 0.0, lane, s, tuple(each for each in row_of_lanes(road, lane) if each != lane))


def pose_of_goal(road: Road, plan: RoutePlan) -> Pose:
    """Where a way ends, in the road's own coordinates."""
    lane = road.lanes[plan.goal_lane]
    x, y = lane.at(plan.goal_s).tolist()
    return x, y, float(np.interp(plan.goal_s, lane.s, lane.heading))


def _anywhere(road: Road) -> RoutePlan:
    """Some way, for a map on which nobody has said yet where to go."""
    lane = next((index for index, each in enumerate(road.lanes) if each.kind == LaneKind.DRIVING), -1)
    if lane < 0:
        raise RoadError(f"{road.name}: expected a road with a driving lane, it has none; name another")
    return RoutePlan(lane, 0.0, lane, road.lanes[lane].length)


def origin_of(road: Road) -> tuple[float, float]:
    """The road's middle, about which a car works, in its own coordinates."""
    return middle(road)
