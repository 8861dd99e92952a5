"""What a robot is: its specification, what it reads and what it is told.

Every room speaks of robots through these types: the plant serves them, the shield takes its bounds from
`RobotSpec`, the control loop reads `Readings` and writes a command. SI units and radians; the world frame W has
x right, y up and yaw counter-clockwise (REP-103); the body frame B (base_link) is the middle of the driven axle.
Time is int64 nanoseconds of the site clock. This module needs numpy alone, because robots import it.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sim.errors import MusterError

MILLISECOND = 1_000_000
"""Nanoseconds in a millisecond."""

SECOND = 1_000_000_000
"""Nanoseconds in a second."""


ROBOTS_MAX = 100_000
"""Robots that one list may name: more than any floor of ours has room for, few enough to be listed at once."""


class RobotNameError(MusterError):
    """A list of robots cannot be read."""


def robot_names(text: str) -> tuple[str, ...]:
    """Robot ids from a command line: `r0,r1,r7`, or a slice `r[0:16:2]` that means r0, r2, ... r14.

    A slice lets a launch file deal a fleet to two hosts without arithmetic: `r[0:16:2]` and `r[1:16:2]`. Raises
    `RobotNameError` for a wrong or repeated id; an empty slice gives no names.
    """
    names: list[str] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        found = re.fullmatch(r"([a-z][a-z0-9_]*)\[(\d{1,18}):(\d{1,18})(?::([1-9]\d{0,17}))?\]", part)
        if found:
            prefix, first, end, step = found.groups()
            if int(end) - int(first) > ROBOTS_MAX * int(step or 1):
                raise RobotNameError(f'--robots: expected at most {ROBOTS_MAX} robots, got "{part}"; take fewer')
            names += [f"{prefix}{index}" for index in range(int(first), int(end), int(step or 1))]
        elif "[" in part or "]" in part:
            raise RobotNameError(
                f'--robots: "{part}" is no slice of robot ids; expected whole numbers as in r[0:16] or r[0:16:2]'
            )
        else:
            names.append(part)
    for name in names:
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,31}", name):
            raise RobotNameError(
                f'--robots: "{name}" is no robot id; expected ids like r0,r1 (a-z, 0-9, _, a letter first, at most 32 '
                "characters) or a slice like r[0:16:2]"
            )
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise RobotNameError(f'--robots: {twice} is named twice in "{text}"; name each robot once')
    return tuple(names)


@dataclass(frozen=True)
class DiffDrive:
    """A differential drive: two driven wheels on one axle, and what they are guaranteed to do."""

    track: float = 0.42
    """Distance between the driven wheels, m."""
    wheel_radius: float = 0.08
    """m"""
    speed_max: float = 1.5
    """Largest forward speed that may be commanded, m/s."""
    reverse_max: float = 0.3
    """Largest backward speed that may be commanded, m/s (ISO 3691-4 creep speed)."""
    turn_max: float = 2.0
    """Largest yaw rate that may be commanded, rad/s."""
    accel_max: float = 1.0
    """Largest acceleration that the drive controller commands, m/s^2; the shield's bound A."""
    brake_min: float = 1.5
    """Guaranteed braking with full payload on the worst floor, m/s^2; the shield's bound b."""
    turn_accel_max: float = 4.0
    """Largest yaw acceleration that the drive controller commands, rad/s^2."""
    firmware_track: float | None = None
    """What the firmware takes the track for, m; None: the true one. Their ratio is the error of every turn."""
    firmware_wheel_radius: float | None = None
    """What the firmware takes the wheel radius for, m; None: the true one. Their ratio is the error of every speed."""

    @property
    def believed_track(self) -> float:
        """The track that wheel speeds are computed with, m."""
        return self.track if self.firmware_track is None else self.firmware_track

    @property
    def believed_wheel_radius(self) -> float:
        """The wheel radius that wheel speeds are computed with, m."""
        return self.wheel_radius if self.firmware_wheel_radius is None else self.firmware_wheel_radius


@dataclass(frozen=True)
class Ackermann:
    """Two axles, the front one steered, and what drive, brakes and steering are guaranteed to do; a mid-size car.

    Its command is acceleration (m/s^2) along x_B and curvature (1/m) of base_link's path, positive to the left;
    base_link is the middle of the rear axle. It does not reverse. `sim.bodies.specs.CAR_SOURCES` says
    where its numbers are from.
    """

    wheelbase: float = 2.70
    """Distance of the axles, m."""
    track: float = 1.57
    """Distance of the wheels of an axle, m."""
    wheel_radius: float = 0.32
    """m"""
    rear_overhang: float = 0.90
    """From base_link to the rear bumper, m."""
    steer_max: float = 0.60
    """Largest angle of the mean front wheel, rad."""
    steer_rate: float = 0.40
    """Largest speed of that angle, rad/s."""
    speed_max: float = 130.0 / 3.6
    """Largest speed, m/s."""
    accel_max: float = 3.0
    """Largest acceleration that the drive gives, m/s^2."""
    brake_min: float = 6.0
    """Guaranteed braking on a dry road with full load, m/s^2; the shield's bound b."""
    brake_comfort: float = 3.0
    """Braking that following traffic and passengers expect at most, m/s^2."""
    lateral_max: float = 3.0
    """Largest lateral acceleration, m/s^2."""
    jerk_max: float = 12.65
    """How fast braking grows at least, and by which every acceleration changes at most, m/s^3."""
    steer_lag: float = 0.05
    """Largest time constant of the steering, s."""
    drive_lag: float = 0.06
    """Largest time constant of drive and brakes, s."""

    @property
    def curvature_max(self) -> float:
        """Of base_link's path with the steering at its stop, 1/m."""
        return math.tan(self.steer_max) / self.wheelbase


class WrongDriveError(MusterError):
    """A robot has another kind of drive than what is asked of it needs."""


@dataclass(frozen=True)
class Lidar:
    """A planar lidar at base_link that sees all around; ray i points to -pi + 2 pi i / rays in B."""

    rays: int = 360
    range_max: float = 10.0
    """m; a ray that meets nothing reads this value."""
    noise: float = 0.01
    """Standard deviation of one range, m; clipped at three of them."""
    dropout: float = 0.005
    """Probability that one ray reads nothing (range_max)."""

    def angles(self) -> NDArray[np.float32]:
        """Ray directions in B, rad, shape (rays,)."""
        return (-math.pi + 2.0 * math.pi * np.arange(self.rays) / self.rays).astype(np.float32)


@dataclass(frozen=True)
class Fork:
    """A fork that goes up and down: two blades behind the chassis, inside the footprint."""

    reach: float
    """Length of the blades, m; the chassis takes the rest of the footprint's length."""
    spread: float
    """Width over both blades, m."""
    blade: float
    """Width of one blade, m."""
    lowered: float
    """Height of the blades' upper face at the bottom, m."""
    height: float
    """Largest lift above that, m."""
    speed: float
    """m/s, with load"""
    mass: float
    """Of fork and carriage, kg."""


@dataclass(frozen=True)
class Arm:
    """An arm of five joints (pan, shoulder, elbow, wrist, roll) on the deck, with a suction cup, and a tote beside it.

    At joint angles 0 it is folded; `home` are the angles there, counted from straight up.
    """

    mount: tuple[float, float]
    """x, y of its foot in B, m."""
    lengths: tuple[float, float, float, float]
    """Foot to shoulder, shoulder to elbow, elbow to wrist, wrist to the cup's face, m."""
    masses: tuple[float, float, float, float, float]
    """Of the five links, kg."""
    torques: tuple[float, float, float, float, float]
    """Largest torque of each joint, N m."""
    speed: float
    """Largest speed of each joint, rad/s."""
    payload_max: float
    """kg"""
    cup: float
    """Diameter of the suction cup, m."""
    suction: float
    """Holding force, N."""
    tote: tuple[float, float, float]
    """Length, width and height of the tote inside, m."""
    tote_at: tuple[float, float]
    """x, y of its middle in B, m; it stands on the deck."""
    home: tuple[float, float, float, float, float] = (0.0, -0.9, 2.5, math.pi - 1.6, 0.0)
    """rad; folded over the deck, the cup straight down (shoulder, elbow and wrist add up to pi)."""


@dataclass(frozen=True)
class RobotSpec:
    """A robot as the shield, the plant and the policies know it; its hash is the embodiment."""

    name: str = "amr"
    drive: DiffDrive | Ackermann = field(default_factory=DiffDrive)
    lidar: Lidar = field(default_factory=Lidar)
    length: float = 0.64
    """Footprint along x_B, m; with the width it makes a circumscribed circle of exactly 0.40 m."""
    width: float = 0.48
    """Footprint along y_B, m."""
    height: float = 0.30
    """m"""
    mass: float = 60.0
    """kg"""
    payload_max: float = 40.0
    """kg"""
    localisation_bound: float = 0.03
    """Largest error of the reported position, m."""
    sensor_age_bound: float = 0.10
    """Oldest scan that a control step may act on, s; an older one is stale."""
    latency_bound: float = 0.05
    """Longest time from a released command to the drive's answer, s (motor lag included)."""
    tracking_e0: float = 0.010
    """Tracking error bound e(t) = e0 + e1 t of the stopping plan, m; measured, worst of 12,000 stops + 20 %
    (tests/benchmarks/tracking_error.py)."""
    tracking_e1: float = 0.037
    """m/s"""
    period: int = 100 * MILLISECOND
    """Control period, ns."""
    motor_period: int = 20 * MILLISECOND
    """Period of the drive controller, ns."""
    fork: Fork | None = None
    arm: Arm | None = None

    @property
    def tools(self) -> int:
        """Controls beyond the drive's own: the fork's height, or five joint angles and the suction (0 to 1)."""
        return int(self.fork is not None) + 6 * int(self.arm is not None)

    @property
    def diff(self) -> DiffDrive:
        """The differential drive. Raises `WrongDriveError` for a car."""
        if not isinstance(self.drive, DiffDrive):
            raise WrongDriveError(
                f"robot {self.name!r}: expected a differential drive, got a car's; take a warehouse's robot here"
            )
        return self.drive

    @property
    def car(self) -> Ackermann:
        """The car's drive. Raises `WrongDriveError` for a differential one."""
        if not isinstance(self.drive, Ackermann):
            raise WrongDriveError(
                f"robot {self.name!r}: expected a car's drive, got a differential one; take a car on the road"
            )
        return self.drive

    @property
    def middle(self) -> float:
        """How far the middle of the footprint lies ahead of base_link, m."""
        return self.length / 2.0 - self.drive.rear_overhang if isinstance(self.drive, Ackermann) else 0.0

    @property
    def radius(self) -> float:
        """Radius of the circle around base_link that covers the footprint at any yaw, m."""
        return math.hypot(self.length + 2.0 * abs(self.middle), self.width) / 2.0

    def embodiment_hash(self) -> str:
        """sha256 (hex) of the specification's canonical JSON; what a robot does not have is left out of it."""
        text = json.dumps(_stated(asdict(self)), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


def _stated(values: dict[str, Any]) -> dict[str, Any]:  # what asdict gives: text, numbers, mappings
    """The entries that say something, so that an optional field that came later changes no older hash."""
    return {
        name: _stated(value) if isinstance(value, dict) else value
        for name, value in values.items()
        if value is not None
    }


SOURCES: Mapping[str, str] = {
    "drive.track": "datasheet: over [Freight]'s 0.375 m, what tyres leave of a hull of 0.48 m",
    "drive.wheel_radius": "datasheet: [AGV wheels] 160 mm; over [Freight]'s axle, 0.055 m high, under [MP500]'s 130 mm",
    "drive.speed_max": "datasheet: [MP500] 1.5 m/s",
    "drive.reverse_max": "norm: [ISO 3691-4] 0.3 m/s where nothing detects persons",
    "drive.turn_max": "datasheet: [Husky] 2.0 rad/s",
    "drive.accel_max": "datasheet: under half of [MP500]'s largest, 2.4 m/s^2",
    "drive.brake_min": "measured: kept by 12,000 stops under full randomization (tests/benchmarks/tracking_error.py)",
    "drive.turn_accel_max": "datasheet: under [Husky]'s 6.0 rad/s^2; tests/benchmarks/tracking_error.py stops with it",
    "lidar.rays": "datasheet: [RPLIDAR] 360 samples a turn, one a degree",
    "lidar.range_max": "datasheet: under [RPLIDAR]'s 12 m on white objects",
    "lidar.noise": "datasheet: [RPLIDAR] below 1 % of the range: 0.01 m at 1 m",
    "lidar.dropout": "measured: the share that its sweep loses (tests/sim/test_kernels.py); makers state none",
    "length": "datasheet: under [MP500]'s 0.823 m; with the width a circumscribed circle of 0.40 m",
    "width": "datasheet: under [MP500]'s 0.592 m; it turns inside a cell of 1.2 m",
    "height": "datasheet: under [MP500]'s 0.358 m",
    "mass": "datasheet: under [Freight]'s 70.1 kg without wheels, as its hull is smaller",
    "payload_max": "datasheet: half of [MP500]'s 80 kg",
    "localisation_bound": "measured: kept by every episode's reported poses (tests/sim/test_env.py)",
    "sensor_age_bound": "datasheet: [outdoorScan3] answers after two scans, 90 ms, [S300] after 80 ms: one period",
    "latency_bound": "measured: kept by every draw of latency and lag, the servo included (tests/sim/test_env.py)",
    "tracking_e0": "measured: worst of 12,000 stops plus 20 % (tests/benchmarks/tracking_error.py)",
    "tracking_e1": "measured: worst of 12,000 stops plus 20 % (tests/benchmarks/tracking_error.py)",
    "period": "datasheet: [RPLIDAR] turns 10 times a second at most",
    "motor_period": "datasheet: [Husky] tells its wheels 50 times a second",
}
"""Where each number of the default robot comes from, as sim/sources.py takes sources; those of other robots stand in
sim/bodies/specs.py, and specification files carry their own (sim/specfile.py)."""


@dataclass(frozen=True)
class Readings:
    """What a robot's sensors say in one control cycle. Each part carries its own stamp (ns)."""

    stamp: int
    """Time of this control cycle."""
    scan: NDArray[np.float32]
    """Ranges, (rays,), m."""
    scan_stamp: int
    pose: NDArray[np.float32]
    """Localised p_WB: x, y, yaw, (3,)."""
    pose_stamp: int
    twist: NDArray[np.float32]
    """Odometry in B: v (m/s), w (rad/s), (2,)."""
    twist_stamp: int
    battery: float = 1.0
    """State of charge, 0 to 1."""
    bumper: bool = False
    lift: float = -1.0
    """How far a lift with a pod is up, m; -1 without a pod."""
    battery_stamp: int = -1
    """When the charge was told; -1 for never."""
    yaw_rate: float = 0.0
    """Of the inertial unit, rad/s."""
    yaw_rate_stamp: int = -1
    """When it was measured; -1 for never."""


@dataclass(frozen=True)
class RobotCommand:
    """A body velocity: v along x_B (m/s) and yaw rate w (rad/s)."""

    v: float
    w: float

    def array(self) -> NDArray[np.float32]:
        """The command as float32 (2,)."""
        return np.array((self.v, self.w), np.float32)


STOP = RobotCommand(0.0, 0.0)
"""Stand still."""


class Robot(Protocol):
    """The seam to hardware: simulated, over ROS 2, over ZeroMQ or a fake."""

    def read(self, timeout: float) -> Readings | None:
        """The readings of the next control cycle; None when none came within `timeout` seconds."""
        ...

    def write(self, command: RobotCommand) -> None:
        """Release a command to the drive."""
        ...
