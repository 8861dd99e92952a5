"""What a car's sensors are like: how far, how well and how late they see, what is wrong with them; with sources.

`RoadSensors` is data; sim/driving/senses.py simulates it, sim/driving/sensingrows.py makes the rows of what varies of
it. Every number is a bound: an episode's errors are drawn up to it and never beyond, so that `bounds` says what a
shield may rely on while all sensors are healthy. This module needs the standard library alone.

Localisation is odometry and GNSS in a filter of fixed gain that carries its own bound. With e the error of the place
and r its bound, each control step of dt at speed v, and each fix z with |error of z| <= g:

    e' = e + dt (v's error along, v times the heading's error across)       r' = r + dt (largest of both)
    fix accepted if |z - place| <= r + g:    e' = (1 - a) e + a error(z)    r' = (1 - a) r + a g

A fix that is refused changes nothing. Localisation is healthy while r <= `RobotSpec.localisation_bound` and the last
fix was accepted, and the age that a view states grows while it is not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from sim.robot import SECOND, Ackermann, RobotSpec
from sim.sensorspec import SensorError

DEGREE = math.pi / 180.0

GAIN = 0.3
"""a, the share of a fix that the filter takes: at 10 fixes a second it forgets within 0.3 s."""

CLIP = 3.0
"""Noise ends at this many standard deviations (`sim.randomization.bell`)."""

ROUNDING = 0.002
"""What float32 makes of places on a road 10 km wide, twice, m."""


@dataclass(frozen=True)
class ObjectList:
    """Radars and cameras all around, fused to a list of objects, and the tracker behind them."""

    range: float = 200.0
    """Up to which objects are seen, m."""
    reserve: float = 20.0
    """What a view's range leaves of it, m: a newcomer may be missed for some steps while it comes nearer."""
    fov: float = 2.0 * math.pi
    """Field of view about straight ahead, rad, from the middle of the car."""
    latency: tuple[float, float] = (0.05, 0.10)
    """From the look until the list is there, s, drawn for each episode; whole control steps."""
    miss: tuple[float, float] = (0.0, 0.05)
    """Chance that an object in sight is missing in a list, drawn for each episode."""
    range_noise: float = 0.13
    """Standard deviation of a place along the line of sight, m."""
    bearing_noise: float = 0.033 * DEGREE
    """Of its bearing, rad."""
    speed_noise: float = 0.04
    """Of a speed, along and across, m/s."""
    yaw_noise: float = 0.33 * DEGREE
    """rad"""
    accel_noise: float = 0.11
    """m/s^2"""
    hold: float = 1.0
    """For how long an object that lists do not contain is kept, s."""


@dataclass(frozen=True)
class Gnss:
    """Satellite fixes of the place, in the map's frame."""

    rate: float = 10.0
    """Fixes each second."""
    bias: float = 0.05
    """Largest offset, m; its direction circles."""
    drift: float = 0.05
    """How fast it circles, rad/s: satellites' errors change within minutes."""
    noise: float = 0.015
    """Standard deviation of each coordinate of a fix, m."""
    outage: tuple[float, float] = (0.0, 0.5)
    """Chance that there is an outage within `outage_every`, drawn for each episode."""
    outage_time: float = 1.0
    """How long it lasts, s: a bridge."""
    outage_every: float = 10.0
    """s"""


@dataclass(frozen=True)
class Odometer:
    """Speed from the wheels, turn rate and acceleration from an inertial unit, heading, the steering's angle."""

    scale: float = 0.001
    """Largest scale error of the speed; it circles slowly between both signs."""
    drift: float = 0.05
    """How fast scale and heading circle, rad/s."""
    speed_noise: float = 0.014
    """Standard deviation, m/s"""
    heading: float = 0.05 * DEGREE
    """Largest offset of the heading, rad"""
    heading_noise: float = 0.005 * DEGREE
    """rad"""
    accel_noise: float = 0.05
    """m/s^2"""
    curvature_noise: float = 2.0e-4
    """1/m"""
    turn_noise: float = 0.001
    """rad/s"""


@dataclass(frozen=True)
class LaneCamera:
    """Where the lane is about the car; its shape far ahead is the map's."""

    offset: float = 0.05
    """Largest offset of the lane's middle, m; it circles slowly between both sides."""
    offset_noise: float = 0.01
    """m"""
    heading: float = 0.1 * DEGREE
    """Largest offset, rad"""
    heading_noise: float = 0.03 * DEGREE
    curvature: float = 1.0e-4
    """Largest offset, 1/m"""
    curvature_noise: float = 3.0e-5
    drift: float = 0.2
    """How fast offsets circle, rad/s."""


@dataclass(frozen=True)
class Fault:
    """Something that breaks once in an episode."""

    chance: float = 0.0
    """That it does."""
    onset: tuple[float, float] = (2.0, 20.0)
    """When, s."""
    duration: tuple[float, float] = (1.0, 10.0)
    """s"""
    size: tuple[float, float] = (0.0, 0.0)
    """How bad; what it means stands in `RoadFaults`."""


@dataclass(frozen=True)
class RoadFaults:
    """What may break, in the order of the bits of `Senses.faulty`; all off by default."""

    list_frozen: Fault = field(default_factory=Fault)
    """The same list again and again, with its old stamp."""
    list_lost: Fault = field(default_factory=lambda: Fault(size=(0.5, 1.0)))
    """Lists get lost; size: which share."""
    list_stale: Fault = field(default_factory=lambda: Fault(size=(0.2, 0.5)))
    """Lists come later; size: by how much, s."""
    ghost: Fault = field(default_factory=lambda: Fault(size=(15.0, 100.0)))
    """A car stands in the lane that is none; size: how far ahead at the onset, m."""
    lane_lost: Fault = field(default_factory=Fault)
    """No lane is seen; the place across it is localisation's."""
    lane_bias: Fault = field(default_factory=lambda: Fault(size=(0.5, 1.5)))
    """The lane is seen too far to the left; size: by how much, m."""
    gnss_lost: Fault = field(default_factory=Fault)
    """No fixes."""
    gnss_jump: Fault = field(default_factory=lambda: Fault(size=(1.0, 10.0)))
    """Fixes are elsewhere; size: how far, m."""
    odometry_scale: Fault = field(default_factory=lambda: Fault(size=(0.05, 0.3)))
    """Speeds are read too high; size: by which share."""
    lidar_dead: Fault = field(default_factory=Fault)
    """No scans: no ray reads anything, and the stamp is that of the last one."""
    lidar_frozen: Fault = field(default_factory=Fault)
    """The same scan again and again, with its old stamp."""
    lidar_sector: Fault = field(default_factory=lambda: Fault(size=(0.2, 1.6)))
    """Dirt on the window: rays of a sector read nothing; size: its width, rad; its direction is drawn."""
    lidar_rain: Fault = field(default_factory=lambda: Fault(size=(0.3, 0.8)))
    """Rain or fog: what is far away reflects too little; size: which share of the range is lost."""
    lidar_bias: Fault = field(default_factory=lambda: Fault(size=(0.2, 1.0)))
    """Ranges are read too long; size: by how much, m."""


FAULTS = tuple(each.name for each in fields(RoadFaults))
"""Faults by number."""

VIEW_FAULTS = tuple(name for name in FAULTS if not name.startswith("lidar_"))
"""Those that reach a view, and so whoever drives by it: the first of `FAULTS`. Nobody drives by the lidar."""

LARGEST = {"list_lost": 1.0, "list_stale": 1.0, "ghost": 150.0, "lane_bias": 5.0, "gnss_jump": 100.0,
           "odometry_scale": 1.0, "lidar_sector": 2.0 * math.pi, "lidar_rain": 1.0, "lidar_bias": 10.0}  # fmt: skip
"""Largest size of each fault that has one; 1 s of stale lists is what the ring of lists has room for."""


@dataclass(frozen=True)
class RoadSensors:
    """All of a car's sensors."""

    objects: ObjectList = field(default_factory=ObjectList)
    gnss: Gnss = field(default_factory=Gnss)
    odometer: Odometer = field(default_factory=Odometer)
    lane: LaneCamera = field(default_factory=LaneCamera)
    faults: RoadFaults | None = None
    """None: nothing ever breaks, and the table has no rows for it."""
    lidar: bool = False
    """Whether the specification's lidar sweeps over the others' boxes (sim/driving/boxlidar.py)."""

    @property
    def breakable(self) -> tuple[str, ...]:
        """The faults that the table has rows for: the first of `FAULTS`, all of them where there is a lidar."""
        return () if self.faults is None else FAULTS if self.lidar else VIEW_FAULTS


@dataclass(frozen=True)
class SensedBounds:
    """Largest errors of a view's numbers while its sensors are healthy; of an object's place `ObjectColumn.SPREAD`."""

    position: float
    """Of `View.pose`, m"""
    yaw: float
    """rad"""
    speed: float
    """At full speed, m/s"""
    accel: float
    curvature: float
    turn: float
    """rad/s"""
    offset: float
    """Of `View.where` across the lane and of the path beside the map, m"""
    heading: float
    lane_curvature: float
    object_speed: float
    """Along and across, m/s"""
    object_yaw: float
    object_accel: float
    latency: float
    """Longest age of an object list that came, s"""


def bounds(sensors: RoadSensors, spec: RobotSpec) -> SensedBounds:
    """What a shield may rely on."""
    objects, odometer, lane = sensors.objects, sensors.odometer, sensors.lane
    return SensedBounds(
        position=spec.localisation_bound,
        yaw=odometer.heading + CLIP * odometer.heading_noise,
        speed=odometer.scale * _drive(spec).speed_max + CLIP * odometer.speed_noise,
        accel=CLIP * odometer.accel_noise,
        curvature=CLIP * odometer.curvature_noise,
        turn=CLIP * odometer.turn_noise,
        offset=lane.offset + CLIP * lane.offset_noise,
        heading=lane.heading + CLIP * lane.heading_noise,
        lane_curvature=lane.curvature + CLIP * lane.curvature_noise,
        object_speed=CLIP * objects.speed_noise,
        object_yaw=CLIP * objects.yaw_noise,
        object_accel=CLIP * objects.accel_noise,
        latency=steps_late(objects.latency[1], spec) * spec.period / SECOND,
    )


def steps_late(latency: float, spec: RobotSpec) -> int:
    """A latency as whole control steps, rounded up."""
    return math.ceil(latency / (spec.period / SECOND) - 1e-6)


def fix_bound(gnss: Gnss) -> float:
    """Largest error of a healthy fix, m: g of the module's head."""
    return gnss.bias + math.sqrt(2.0) * CLIP * gnss.noise


def fix_steps(gnss: Gnss, spec: RobotSpec) -> int:
    """Control steps from one fix to the next."""
    return max(round(1.0 / (gnss.rate * spec.period / SECOND)), 1)


def growth(odometer: Odometer, speed: float) -> float:
    """How fast the bound of the place grows between fixes, m/s."""
    along = odometer.scale * speed + CLIP * odometer.speed_noise
    return math.hypot(along, (odometer.heading + CLIP * odometer.heading_noise) * speed)


def settled_radius(sensors: RoadSensors, spec: RobotSpec) -> float:
    """The bound r just before a fix that the filter settles to at full speed without outages, m."""
    step = growth(sensors.odometer, _drive(spec).speed_max) * fix_steps(sensors.gnss, spec) * spec.period / SECOND
    return fix_bound(sensors.gnss) + step / GAIN


def widest_radius(sensors: RoadSensors, spec: RobotSpec) -> float:
    """The largest bound r that the filter comes to at full speed with the longest outages that are drawn, m."""
    gnss = sensors.gnss
    if gnss.outage[1] <= 0.0:
        return settled_radius(sensors, spec)
    rate = growth(sensors.odometer, _drive(spec).speed_max)
    period = fix_steps(gnss, spec) * spec.period / SECOND
    radius = settled_radius(sensors, spec)
    for _ in range(20):  # outages follow each other with as long between them at least
        widest = radius + rate * (gnss.outage_time + period)
        radius = widest
        for _fix in range(math.floor(gnss.outage_time / period)):
            radius = (1.0 - GAIN) * radius + GAIN * fix_bound(gnss) + rate * period
    return widest


def check_road_sensors(sensors: RoadSensors, spec: RobotSpec) -> None:
    """Raise `SensorError` for the first number that cannot be, or that breaks what the specification promises."""
    _drive(spec)
    for name in ("objects", "gnss", "odometer", "lane"):
        part = getattr(sensors, name)
        for each in fields(part):
            low, high = RANGES.get(f"{name}.{each.name}", (0.0, 10.0))
            _check_range(f"{name}.{each.name}", getattr(part, each.name), low, high)
    if sensors.objects.reserve >= sensors.objects.range:
        raise SensorError(
            f"objects.reserve: expected less than the range of {sensors.objects.range:g} m, got "
            f"{sensors.objects.reserve:g}; lower it"
        )
    if sensors.gnss.outage_every < 2.0 * sensors.gnss.outage_time:
        raise SensorError(
            f"gnss.outage_every: expected at least twice outage_time, {2.0 * sensors.gnss.outage_time:g} s, got "
            f"{sensors.gnss.outage_every:g}; raise it"
        )
    widest = widest_radius(sensors, spec)
    if widest > spec.localisation_bound:
        raise SensorError(
            f"gnss: expected errors that keep localisation within {spec.localisation_bound:g} m "
            f"(RobotSpec.localisation_bound), got up to {widest:.3f} m at full speed; make outages shorter or raise it"
        )
    for name in FAULTS if sensors.faults else ():
        fault = getattr(sensors.faults, name)
        _check_range(f"faults.{name}.chance", fault.chance, 0.0, 1.0)
        _check_range(f"faults.{name}.onset", fault.onset, 0.0, 1e4)
        _check_range(f"faults.{name}.duration", fault.duration, 0.0, 1e4)
        _check_range(f"faults.{name}.size", fault.size, 0.0, LARGEST.get(name, 0.0))
        if fault.chance > 0.0 and name not in sensors.breakable:
            raise SensorError(f"faults.{name}: expected a lidar that it can break, got none; switch `lidar` on")


def _check_range(name: str, value: float | tuple[float, float], low: float, high: float) -> None:
    pair = value if isinstance(value, tuple) else (value,)
    for number in pair:
        if not low <= number <= high:
            raise SensorError(f"{name}: expected a number from {low:g} to {high:g}, got {number:g}; correct it")
    if len(pair) == 2 and pair[0] > pair[1]:
        raise SensorError(f"{name}: expected low <= high, got {pair}; swap them")


def _drive(spec: RobotSpec) -> Ackermann:
    if not isinstance(spec.drive, Ackermann):
        raise SensorError(f'expected a car to put road sensors on, got "{spec.name}"; give it an Ackermann drive')
    return spec.drive


RANGES: Mapping[str, tuple[float, float]] = {
    "objects.range": (1.0, 1000.0), "objects.reserve": (0.0, 999.0), "objects.fov": (0.0, 2.0 * math.pi),
    "objects.latency": (0.0, 1.0), "objects.miss": (0.0, 0.9), "gnss.rate": (0.1, 100.0), "gnss.outage": (0.0, 1.0),
    "gnss.outage_every": (0.0, 1e4), "odometer.scale": (0.0, 0.2),
}  # fmt: skip
"""Bounds of numbers that are not simply from 0 to 10."""

SOURCES: Mapping[str, str] = {
    "objects.range": "norm: under [TR 22.837]'s 250 to 300 m of automotive long-range radars",
    "objects.reserve": "measured: six steps at 60 m/s of closing speed: missed in all of them once in 60 million "
    "(tests/sim/driving/test_senses.py counts misses)",
    "objects.fov": "norm: [TR 22.837] short-range radars of 120 to 170 degrees each, on four corners",
    "objects.latency": "norm: [TR 22.837] at most 50 ms for sensing; as much again for fusing",
    "objects.miss": "norm: under [TR 22.837]'s 10 % of missed detections",
    "objects.range_noise": "norm: [TR 22.837] 0.4 m as three standard deviations",
    "objects.bearing_noise": "norm: [TR 22.837] 0.1 degrees as three standard deviations, its best long-range radar",
    "objects.speed_noise": "norm: [TR 22.837] 0.12 m/s as three standard deviations",
    "objects.yaw_noise": "norm: [TR 22.837] 0.12 m/s across turn a course at 7 m/s by 1 degree, three deviations",
    "objects.accel_noise": "norm: [TR 22.837] two speeds 0.5 s apart, 0.12 m/s each: 0.34 m/s^2, three deviations",
    "objects.hold": "norm: five of [TR 22.837]'s periods of 0.2 s",
    "gnss.rate": "datasheet: [GR-3] 10 fixes a second",
    "gnss.bias": "datasheet: over [Trimble 5700]'s 0.02 m of RTK with a latency under 20 ms, for the map's own error",
    "gnss.noise": "datasheet: over [GR-3]'s 10 mm of RTK, under [Trimble 5700]'s",
    "gnss.drift": "own choice: half a turn in a minute, as errors of orbits and the air change",
    "gnss.outage": "own choice: from open country to a bridge every 20 s",
    "gnss.outage_time": "own choice: a bridge 30 m wide at 130 km/h",
    "gnss.outage_every": "own choice: 360 m at 130 km/h",
    "odometer.scale": "own choice: wheels whose scale fixes correct all the time: 0.13 km/h at 130 km/h",
    "odometer.drift": "own choice: as the fixes that correct it",
    "odometer.speed_noise": "datasheet: [RT3000] 0.05 km/h rms",
    "odometer.heading": "datasheet: [RT3000] 0.2 degrees by metre of antenna separation; 4 m",
    "odometer.heading_noise": "datasheet: a tenth of [RT3000]'s heading, since gyros carry it between fixes",
    "odometer.accel_noise": "datasheet: over [BMI088]'s 175 ug/sqrt(Hz), for a chassis that vibrates",
    "odometer.curvature_noise": "own choice: 0.03 degrees of the front wheels over a wheelbase of 2.7 m",
    "odometer.turn_noise": "datasheet: over [BMI088]'s 0.014 deg/s/sqrt(Hz) at 20 Hz: 0.001 rad/s",
    "lane.offset": "own choice: a pixel of a camera of 1920 over 60 degrees is 5 mm at 10 m; ten for worn lines",
    "lane.offset_noise": "own choice: two of those pixels",
    "lane.heading": "own choice: 0.05 m of the lane's offset over 30 m of lines",
    "lane.heading_noise": "own choice: a third of that",
    "lane.curvature": "own choice: 0.05 m of sagitta over 60 m of lines",
    "lane.curvature_noise": "own choice: a third of that",
    "lane.drift": "own choice: a turn in half a minute, as lines and light change",
}
"""Where the defaults come from: as sim/sources.py takes sources, or our own choice, said so."""
