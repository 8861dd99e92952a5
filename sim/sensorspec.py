"""What a robot's sensors are like: how often each looks, how late it answers, what it gets wrong; with sources.

`Sensors` names the sensors that an environment simulates in time (`TaskConfig.sensors`, sim/suite.py); what it leaves
out is read as before, at the end of each control step, without age. This module needs the standard library alone.

Time. A sensor looks at the first physics step at or after each of its own ticks (phase + k / rate), and what it saw can
be read from the first physics step on that lies `latency` (and what `jitter` adds) later: samples are held, never
interpolated, and every age is a whole number of physics steps (20 ms on the planar base, 5 ms on wheels), whatever the
control period. Between two arrivals the last one is held. A rate above that of physics is that of physics. An episode
begins with what a robot saw that has stood there before, so that no age is special.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from sim.errors import MusterError

LATENCY_MAX = 2.0
"""Longest latency and jitter together, s: what is older is no reading but a record, and rings hold all of it."""

RATE_MAX = 100_000.0
"""Hz"""

DEGREE = math.pi / 180.0


class SensorError(MusterError):
    """A sensor that cannot be."""


@dataclass(frozen=True)
class Timing:
    """When a sensor looks and when its answer is there."""

    rate: float = 0.0
    """Samples per second, Hz; 0: one at each physics step."""
    latency: float = 0.0
    """From the look to the answer, s."""
    jitter: float = 0.0
    """Largest addition to the latency, s; uniform, drawn for each sample. A late sample may arrive behind a newer one
    and is then never read."""
    hold: float = 0.0
    """Chance that a sample never arrives, so that the one before is held for another period."""
    phase: float | None = None
    """First tick after the episode's begin, s; None: drawn for each episode within one period, because no clock of a
    sensor knows of the control loop's."""


@dataclass(frozen=True)
class LidarSensor:
    """The lidar of the specification in time, and its faults.

    Rays, range, noise and dropout are `RobotSpec.lidar`'s (the rows lidar_noise and lidar_dropout of what varies).
    """

    timing: Timing = Timing(rate=40.0, latency=0.025)  # frozen
    noise_share: float = 0.0
    """What each metre of range adds to the noise's standard deviation; a shield counts on `RobotSpec.lidar.noise`."""
    ghosts: tuple[float, float] = (0.0, 0.0)
    """Chance that a ray reads a point where nothing is (dust, spray, a mixed pixel), drawn for each episode between
    these; the point lies uniformly between `ghost_nearest` and what the ray would have read."""
    ghost_nearest: float = 0.05
    """m"""
    blocked_share: float = 0.0
    """Chance that an episode has a sector that sees nothing: dirt on the window, a strap, a load that hangs over."""
    blocked_width: tuple[float, float] = (10.0 * DEGREE, 45.0 * DEGREE)
    """Width of that sector, drawn for each episode, rad; its direction is uniform."""
    blocked_range: float | None = None
    """What its rays read, m; None: nothing (range_max), the dangerous kind."""


@dataclass(frozen=True)
class Odometry:
    """Wheel encoders: true wheel speeds on wheels, a slip model on the planar base; speeds and a reckoned pose.

    Each wheel's travel has a scale error (its radius) and a random walk whose variance grows with the distance (Chong
    and Kleeman: Accurate odometry and error modelling for a mobile robot, ICRA 1997). On the planar base a wheel that
    accelerates by a turns faster than the ground by kappa = (3 mu / c) (1 - cbrt(1 - |a| / (mu g))), the brush tyre
    (Pacejka: Tyre and Vehicle Dynamics, chapter 3, solved for the slip).
    """

    timing: Timing = Timing(rate=50.0, latency=0.01)  # frozen
    scale: float = 0.01
    """Largest scale error of each wheel, drawn for each episode."""
    walk: float = 0.001
    """Standard deviation of a wheel's travel after 1 m, m (it grows with the root of the distance)."""
    counts: int = 4096
    """Encoder counts in a turn of the wheel; 0: not quantised."""
    stiffness: float = 20.0
    """c, slip stiffness over the wheel's load."""


@dataclass(frozen=True)
class Localisation:
    """The localised pose in time: error within `RobotSpec.localisation_bound`, as sim/sensors.py says."""

    timing: Timing = Timing(rate=40.0, latency=0.025)  # frozen


@dataclass(frozen=True)
class Imu:
    """Specific force (m/s^2) and turn rate (rad/s) at base_link, averaged since the last sample.

    White noise and a bias: one drawn for the episode, and a random walk (IEEE 952's N and K; in samples as Kalibr's
    "IMU Noise Model" states it: sigma / sqrt(dt) and sigma sqrt(dt)).
    """

    timing: Timing = Timing(rate=200.0, latency=0.005)  # frozen
    accel_noise: float = 175e-6 * 9.80665
    """m/s^2 / sqrt(Hz)"""
    accel_bias: float = 20e-3 * 9.80665
    """Largest, drawn for each episode, m/s^2."""
    accel_walk: float = 3.0e-4
    """m/s^2 / sqrt(s)"""
    gyro_noise: float = 0.014 * DEGREE
    """rad/s / sqrt(Hz)"""
    gyro_bias: float = 1.0 * DEGREE
    """Largest, drawn for each episode, rad/s."""
    gyro_walk: float = 2.0e-5
    """rad/s / sqrt(s)"""


@dataclass(frozen=True)
class Bumper:
    """Whether anything touched the robot since the last sample: a safety edge latches."""

    timing: Timing = Timing(rate=100.0, latency=0.02)  # frozen


@dataclass(frozen=True)
class BatteryGauge:
    """State of charge (0 to 1) and terminal voltage as a battery management system reports them.

    The pack is `sim.battery`'s for the robot's class; an episode begins with a charge drawn from `start`.
    """

    timing: Timing = Timing(rate=1.0, latency=0.1)  # frozen
    start: tuple[float, float] = (1.0, 1.0)
    """State of charge when an episode begins, drawn uniformly."""
    error: float = 0.03
    """Largest error of the state of charge, drawn for each episode."""
    resolution: float = 0.01
    """Of the state of charge; 0: not quantised."""
    voltage_noise: float = 0.02
    """Standard deviation, V."""


@dataclass(frozen=True)
class DepthCamera:
    """A stereo depth camera on the front of a robot, by rendering (sim/depth.py); not one of `Sensors`.

    A disparity that is off by s_d pixels makes a depth z off by z^2 s_d / (f b): focal length f in pixels, baseline b.
    """

    timing: Timing = Timing(rate=15.0, latency=0.06, phase=0.0)  # frozen
    width: int = 106
    height: int = 60
    """Pixels: an eighth of 848 x 480, because software draws them."""
    fov_deg: float = 58.0
    """From top to bottom."""
    ahead: float = 0.02
    """In front of the hull, m."""
    above: float = 0.25
    """Over the floor, m."""
    down_deg: float = 5.0
    """How far it looks down."""
    nearest: float = 0.28
    farthest: float = 6.0
    """m; beyond them a pixel reads 0."""
    baseline: float = 0.05
    """b, m"""
    disparity: float = 0.01
    """s_d, pixels of this image."""


@dataclass(frozen=True)
class Sensors:
    """The sensors that are simulated in time; None: read without age at the end of each control step, as ever.

    The scan, the pose and the twist that tasks, policies and filters read (`sim.rows.RobotArrays`) come from `lidar`,
    `localisation` and `odometry`. What IMU, bumper and battery say is in `sim.suite.SensorSuite`'s arrays.
    """

    lidar: LidarSensor | None = None
    localisation: Localisation | None = None
    odometry: Odometry | None = None
    imu: Imu | None = None
    bumper: Bumper | None = None
    battery: BatteryGauge | None = None
    observed: bool = False
    """Whether what IMU, bumper and battery say, and the ages of all sensors, follow behind the task's own observation
    (which makes another contract)."""

    def timings(self) -> dict[str, Timing]:
        """The sensors that there are, in the order of their numbers, and when they look."""
        named = {name: getattr(self, name) for name in NAMES}
        return {name: sensor.timing for name, sensor in named.items() if sensor is not None}


NAMES = ("lidar", "localisation", "odometry", "imu", "bumper", "battery")
"""Sensors by number: a new one goes at the end, because the number enters the draws of its timing."""


def full_suite() -> Sensors:
    """All six with their defaults: a 40 Hz scanner, 50 Hz odometry, a 200 Hz IMU."""
    return Sensors(LidarSensor(), Localisation(), Odometry(), Imu(), Bumper(), BatteryGauge())


def stale_lidar(rate: float, latency: float) -> Sensors:
    """Scan and pose at `rate` (Hz), `latency` (s) late, of one instant, as a scan matcher gives them."""
    timing = Timing(rate=rate, latency=latency, phase=0.0)
    return Sensors(lidar=LidarSensor(timing), localisation=Localisation(timing))


def check_sensors(sensors: Sensors) -> None:
    """Raise `SensorError` for the first number that cannot be, naming the sensor and the field."""
    for name in NAMES:
        sensor = getattr(sensors, name)
        if sensor is None:
            continue
        time = sensor.timing
        for of, value, low, high in (
            ("rate", time.rate, 0.0, RATE_MAX),
            ("latency", time.latency, 0.0, LATENCY_MAX),
            ("jitter", time.jitter, 0.0, LATENCY_MAX - min(time.latency, LATENCY_MAX)),
            ("hold", time.hold, 0.0, 0.99),
            ("phase", time.phase or 0.0, 0.0, 1e3),
        ):
            _check(f"{name}.timing.{of}", value, low, high)
        for each in fields(sensor):
            value = getattr(sensor, each.name)
            if each.name == "timing" or value is None:
                continue
            high = HIGHEST.get(each.name, 1e6)
            pair = value if isinstance(value, tuple) else (value,)
            for number in pair:
                _check(f"{name}.{each.name}", number, LOWEST.get(each.name, 0.0), high)
            if len(pair) == 2 and pair[0] > pair[1]:
                raise SensorError(f"{name}.{each.name}: expected low <= high, got {pair}; swap them")


LOWEST = {"stiffness": 0.1}
HIGHEST = {
    "ghosts": 1.0, "blocked_share": 1.0, "blocked_width": 2.0 * math.pi, "scale": 0.5, "walk": 1.0,
    "start": 1.0, "error": 1.0, "resolution": 1.0,
}  # fmt: skip
"""Bounds of numbers that are not simply 0 and more."""


def _check(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise SensorError(f"{name}: expected a number from {low:g} to {high:g}, got {value:g}; correct it")


SOURCES = {
    "lidar.timing.rate": "datasheet: [UST-10LX] a scan in 25 ms",
    "lidar.timing.latency": "datasheet: [UST-10LX] one scan of 25 ms, since a scan is sent when its turn has ended",
    "lidar.noise_share": "datasheet: [LMS1xx] 12 mm at any range; LMS5xx would be 0.0004",
    "lidar.ghosts": "datasheet: [RPLIDAR] states none: a fault, off by default",
    "lidar.ghost_nearest": "datasheet: [TiM] measures from 0.05 m on",
    "lidar.blocked_share": "datasheet: [RPLIDAR] states none: a fault, off by default",
    "lidar.blocked_width": "norm: [ISO 13854] a hand of 100 mm hides 45 degrees at 0.12 m and 10 degrees at 0.57 m",
    "localisation.timing.rate": "datasheet: [UST-10LX] a scan matcher answers each of its scans",
    "localisation.timing.latency": "datasheet: [UST-10LX] as the scan's, whose instant its pose is of",
    "odometry.timing.rate": "datasheet: [Husky] publishes its odometry 50 times a second",
    "odometry.timing.latency": "datasheet: [Husky] half of its period of 20 ms, what a reading waits on average",
    "odometry.scale": "measured: half of 2 %, with which tests/safety/test_monitors.py finds odometry healthy",
    "odometry.walk": "measured: order of magnitude of [Chong 1997] on a hard floor; refit it from recordings",
    "odometry.counts": "datasheet: [maxon] 4,096 steps",
    "odometry.stiffness": "measured: [Pacejka] 10 to 30 for rubber; harder tyres slip less",
    "imu.timing.rate": "datasheet: [BMI088] gives 100 to 1,600 Hz of both; 200 Hz as [EuRoC]'s",
    "imu.timing.latency": "datasheet: [BMI088] one sample at 200 Hz",
    "imu.accel_noise": "datasheet: [BMI088] 175 ug/sqrt(Hz)",
    "imu.accel_bias": "datasheet: [BMI088] zero-g offset 20 mg",
    "imu.accel_walk": "datasheet: between [VN-100]'s 5.0e-5 and [EuRoC]'s 3.0e-3 m/s^2/sqrt(s)",
    "imu.gyro_noise": "datasheet: [BMI088] 0.014 deg/s/sqrt(Hz)",
    "imu.gyro_bias": "datasheet: [BMI088] zero-rate offset 1 deg/s",
    "imu.gyro_walk": "measured: [EuRoC] 1.94e-5 rad/s/sqrt(s)",
    "bumper.timing.rate": "datasheet: [outdoorScan3] a safety output follows within 10 ms",
    "bumper.timing.latency": "datasheet: [outdoorScan3] two cycles of 10 ms: one missed, one that answers",
    "battery.timing.rate": "datasheet: [BQ35100] measures once a second",
    "battery.timing.latency": "datasheet: [BQ35100] a tenth of its second, for a frame on a slow bus",
    "battery.start": "measured: full, as make_batteries begins (tests/sim/test_battery.py)",
    "battery.error": "measured: a fifth of [ACCURE]'s 15 %, as robots are charged full each shift, which corrects it",
    "battery.resolution": "norm: [SBS] whole per cents",
    "battery.voltage_noise": "datasheet: a step of 12 bits over 80 V, over the 56 V of 16 cells ([CSP6400])",
    "depth.timing.rate": "datasheet: [D435] 6 to 90 Hz, 15 Hz among them",
    "depth.timing.latency": "datasheet: [D435] under one frame at 15 Hz, 67 ms: exposed, matched and sent",
    "depth.timing.phase": "datasheet: [D435] begins with the first frame that is asked for",
    "depth.width": "datasheet: [D435] an eighth of 848, its best resolution",
    "depth.height": "datasheet: [D435] an eighth of 480, its best resolution",
    "depth.fov_deg": "datasheet: [D435] 58 degrees from top to bottom",
    "depth.ahead": "datasheet: under the 0.029 m by which [Freight]'s camera stands before its lidar",
    "depth.above": "datasheet: between [Freight]'s camera, 0.20 m, and its lidar, 0.29 m high",
    "depth.down_deg": "datasheet: half of [Freight]'s camera's 10 degrees",
    "depth.nearest": "datasheet: [D435] 0.28 m at its full resolution",
    "depth.farthest": "datasheet: [D435] there 0.08 pixels make 0.13 m: z^2 s_d / (f b)",
    "depth.baseline": "datasheet: [D435] 50 mm",
    "depth.disparity": "datasheet: [D435] under 0.1 pixels of 848: 0.08 are 0.01 of 106",
}
"""Where the defaults come from, as sim/sources.py takes sources. What is 0 is a fault or a delay that is off."""
