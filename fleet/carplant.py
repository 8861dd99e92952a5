"""The plant of a car on a bus: the driving simulator, its sensors as readings, its drive told from outside.

    plant = CarPlant(venue, seed, among)
    plant.reading()                         what the sensors say now, in the frames that a car's own would say it in
    plant.step(acceleration, curvature)     one control step on; whether the drive is over

Traffic, people, bodies, noise, latency and faults are those of `muster drive` with the same words and seed; who decides
is not here. The simulator knows where the car truly is; a reading has but what sensors would say: localisation about
the map with its own bound, wheels that drift, an object list from the car's own place, as late as the lists come.
"""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false
# Warp structures are not what a type checker takes them for.

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import warp as wp

from fleet.driverecord import DriveRecorder
from fleet.venues import Among, Venue, course_of, make_env
from sim.device import start_warp
from sim.driving.charge import CarBattery
from sim.driving.env import RoadEnv
from sim.driving.moment import Course, Moment
from sim.driving.reading import (
    CarReading,
    Charge,
    Inertia,
    LanePlace,
    Listed,
    ObjectList,
    Odometry,
    Place,
    Pose,
    Scan,
    Steering,
    compose,
    inverse,
)
from sim.driving.routes import RoutePlan
from sim.driving.senses import Senses
from sim.driving.sensing import FAULTS, ROUNDING, bounds
from sim.driving.skill import Driving
from sim.driving.state import ObjectColumn
from sim.filter import FilterOutputs
from sim.road import Road
from sim.robot import SECOND

START = SECOND
"""ns; the clock's time when a drive begins: 0 means on /clock that there is no time yet."""

LOST = 1.0e3
"""m; the bound of a localisation that refuses its fixes."""

CHARGED = 0.8
"""State of charge at the beginning, if nobody says another."""

BLIND = 1 << FAULTS.index("lane_lost")


@dataclass
class _Nothing:
    """The memory of a filter that remembers nothing."""


class Told:
    """The filter through which a plant is told its commands; judges nothing."""

    def __init__(self) -> None:
        self.command = np.zeros(2, np.float32)
        """Acceleration, curvature: of the next step"""

    def init(self, rows: int, device: str) -> _Nothing:
        """Nothing to remember. Raises ValueError for more than one car, or another device."""
        if rows != 1 or device != "cpu":
            raise ValueError(f"expected one car on the CPU, got {rows} on {device}")
        return _Nothing()

    def launch(self, inputs: object, memory: _Nothing, out: FilterOutputs) -> None:
        """The command that was told."""
        out.command.numpy()[0] = self.command

    def reset(self, mask: wp.array, memory: _Nothing) -> None:
        """Nothing to forget."""


class CarPlant:
    """Owns one environment of one drive, and what its readings are made from."""

    def __init__(self, venue: Venue, seed: int, among: Among, *, judged: bool = False, charge: float = CHARGED) -> None:
        """`judged`: keep a moment of every step, by the truth; `charge`: the battery's, 0 to 1.

        Raises what `fleet.venues.make_env` does.
        """
        start_warp()
        self.told, self.venue = Told(), venue
        self.env: RoadEnv = make_env(venue, seed, among, self.told)
        self.env.reset()
        self.course: Course = course_of(venue, self.env, seed, "over a bus")
        self._recorder = DriveRecorder(self.env, self.course, venue.recorded) if judged else None
        self.moments: list[Moment] = []
        """What happened in truth, where it is judged"""
        plant, senses = self.env.plant, self.env.plant.senses
        assert isinstance(senses, Senses)
        assert isinstance(self.env.task, Driving)
        self.period, self.over = self.env.spec.period, False
        self._bounds = bounds(self.env.config.sensors, self.env.spec)
        view = plant.view
        self._host = {
            "pose": view.pose, "motion": view.motion, "where": view.where, "true": plant.state.pose,
            "step": plant.state.step, "radius": senses.own.radius, "refused": senses.own.refused,
            "faulty": senses.own.faulty, "listed": senses.tracks.listed, "number": senses.tracks.number,
            "kind": senses.lists.kind, "lane": senses.lists.lane, "value": senses.lists.value,
            "ended": self.env.task.outcome.ended, "ending": self.env.task.outcome.ending,
            "side": self.env.task.wish.side,
        }  # fmt: skip
        self._host = {name: array.numpy() for name, array in self._host.items()}
        self._lidar = senses.lidar
        self._battery, self._charge, self._gauge = CarBattery(), charge, Charge(-SECOND, charge)
        self._odom: Pose = (0.0, 0.0, 0.0)
        self._yaw = float(self._host["pose"][0, 2])
        self._true: dict[int, Pose] = {}
        self._objects: ObjectList | None = None
        self._read = self._look()

    @property
    def stamp(self) -> int:
        """The clock's time now, ns."""
        return self._read.now

    @property
    def origin(self) -> tuple[float, float]:
        """The road's middle in its own coordinates."""
        return self.env.atlas.origin(0)

    @property
    def road(self) -> Road:
        """What is driven on."""
        return self.env.atlas.roads[0]

    @property
    def plan(self) -> RoutePlan:
        """From where to where the drive's seed has it go."""
        return self.env.atlas.plans[0][int(self.env.plant.footing.route.numpy()[0])]

    def reading(self) -> CarReading:
        """What the sensors say now."""
        return self._read

    def step(self, acceleration: float, curvature: float) -> bool:
        """One control step on with a command; whether the drive is over with it."""
        self.told.command[:] = acceleration, curvature
        self._host["side"][0] = 1  # whoever decides elsewhere changes lanes as he likes
        self.env.step(np.zeros((1, 2), np.float32))
        self.over = bool(self._host["ended"][0])
        if self._recorder is not None:
            self.moments.append(self._recorder.take())
            self.over = self.over or self._recorder.over
        if not self.over:
            self._read = self._look()
        return self.over

    def _look(self) -> CarReading:
        host, step = self._host, int(self._host["step"][0])
        now = START + step * self.period
        dt = self.period / SECOND
        x, y, yaw = (float(value) for value in host["pose"][0])
        speed, accel, curvature, turn = (float(value) for value in host["motion"][0])
        self._true[step] = tuple(float(value) for value in host["true"][0])
        if step > 0:
            way, heading = speed * dt, yaw - self._yaw
            middle = self._odom[2] + 0.5 * heading
            self._odom = (
                self._odom[0] + way * math.cos(middle), self._odom[1] + way * math.sin(middle), self._odom[2] + heading
            )  # fmt: skip
        self._yaw = yaw
        refused = bool(host["refused"][0])
        bound = LOST if refused else float(host["radius"][0])
        blind = bool(int(host["faulty"][0]) & BLIND)
        lane = None if blind else LanePlace(now, float(host["where"][0, 0]), float(host["where"][0, 1]))
        return CarReading(
            now,
            odometry=Odometry(now, self._odom, speed),
            inertia=Inertia(now, accel, turn),
            steering=Steering(now, curvature),
            place=Place(now, (x, y, yaw), bound, self._bounds.yaw),
            lane=lane,
            objects=self._list(),
            scan=self._scan(),
            charge=self._gauged(now, speed, accel),
        )

    def _gauged(self, now: int, speed: float, accel: float) -> Charge:
        """What the battery's gauge said last, which speaks once a second."""
        dt = 0.0 if now == START else self.period / SECOND
        self._charge = self._battery.after(self._charge, self.env.spec.mass, speed, accel, dt)
        if now - self._gauge.stamp >= SECOND:
            self._gauge = Charge(now, float(np.float32(self._charge)))  # as sensor_msgs/BatteryState holds it
        return self._gauge

    def _list(self) -> ObjectList | None:
        """The newest list that has come."""
        host, step = self._host, int(self._host["listed"][0])
        stamp = START + step * self.period
        if step < 0 or (self._objects is not None and self._objects.stamp == stamp):
            return self._objects
        slot = step % host["kind"].shape[1]
        there = self._true[step]
        for old in [each for each in self._true if each < step]:
            del self._true[old]
        base = inverse(there)
        things = host["kind"].shape[2]
        found: list[Listed] = []
        for k in np.flatnonzero(host["kind"][0, slot] >= 0).tolist():
            value = [float(each) for each in host["value"][0, slot, k]]
            speed, yaw = value[ObjectColumn.SPEED], value[ObjectColumn.YAW]
            lane, across = int(host["lane"][0, slot, k]), 0.0
            if lane >= 0:  # what is measured across the lane, as a velocity in the object's own axes
                turned = yaw - _heading(self.road, lane, value[ObjectColumn.LANE_S])
                if abs(math.cos(turned)) > 0.5:
                    across = (value[ObjectColumn.LATERAL] - speed * math.sin(turned)) / math.cos(turned)
            number = int(host["number"][0, k]) * things + k
            found.append(
                Listed(
                    name=number.to_bytes(16, "big"),
                    kind=int(host["kind"][0, slot, k]),
                    pose=compose(base, (value[ObjectColumn.X], value[ObjectColumn.Y], yaw)),
                    speed=speed,
                    across=across,
                    accel=value[ObjectColumn.ACCEL],
                    length=value[ObjectColumn.LENGTH],
                    width=value[ObjectColumn.WIDTH],
                    spread=value[ObjectColumn.SPREAD] - ROUNDING,
                )
            )
        self._objects = ObjectList(stamp, tuple(found))
        return self._objects

    def _scan(self) -> Scan | None:
        if self._lidar is None:
            return None
        arrays = self._lidar.arrays()
        stamp = int(arrays["senses.scan_stamp"].numpy()[0])
        ranges = arrays["senses.scan"].numpy()[0].astype(np.float32)
        return None if stamp < 0 else Scan(START + stamp * self.period, ranges)


def _heading(road: Road, lane: int, s: float) -> float:
    """Of a lane at s, rad."""
    return float(np.interp(s, road.lanes[lane].s, road.lanes[lane].heading))
