"""What a car's sensors told it, as it takes them from a bus: each with the time it is of.

Times are int64 nanoseconds of one clock, `CarReading.now` the beginning of the control step. Three frames:

    map     of the road, about its middle (sim/driving/atlas.py), in which localisation says where base_link is
    odom    in which the wheels say how base_link has moved; it drifts, and never jumps
    base    base_link itself: x ahead, y to the left

None for a sensor that has said nothing yet, or nothing that can be believed; `doubts` says what is wrong, in words.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pose = tuple[float, float, float]
"""x, y, m, and yaw, rad"""


@dataclass(frozen=True)
class Odometry:
    """Of the wheels."""

    stamp: int
    pose: Pose
    """base_link in odom"""
    speed: float
    """m/s"""


@dataclass(frozen=True)
class Inertia:
    """Of the inertial unit."""

    stamp: int
    accel: float
    """Along base_link's x, m/s^2"""
    turn: float
    """Yaw rate, rad/s"""


@dataclass(frozen=True)
class Steering:
    """Of the steering's own sensor."""

    stamp: int
    curvature: float
    """1/m, left positive"""


@dataclass(frozen=True)
class Place:
    """Of localisation."""

    stamp: int
    pose: Pose
    """base_link in the map"""
    bound: float
    """Largest error of x and y, m"""
    yaw_bound: float
    """rad"""


@dataclass(frozen=True)
class LanePlace:
    """Of the lane camera."""

    stamp: int
    d: float
    """base_link to the left of the middle of the lane that it is in, m"""
    heading: float
    """Against the lane, rad"""


@dataclass(frozen=True, eq=False)
class Listed:
    """One object of a list."""

    name: bytes
    """The same from list to list"""
    kind: int
    """`sim.actors.ActorKind`"""
    pose: Pose
    """Middle of its box in base at the list's stamp"""
    speed: float
    """Along its heading, m/s"""
    across: float
    """To the left of its heading, m/s"""
    accel: float
    """Along its heading, m/s^2"""
    length: float
    width: float
    spread: float
    """Largest error of its place, m"""


@dataclass(frozen=True, eq=False)
class ObjectList:
    """Everybody who was seen at once."""

    stamp: int
    objects: tuple[Listed, ...]
    mapped: bool = False
    """Whether their poses are in the map, by a tracker with a localisation of its own, rather than in base"""


@dataclass(frozen=True, eq=False)
class Scan:
    """A lidar's sweep: for records; nobody drives by it."""

    stamp: int
    ranges: NDArray[np.float32]
    """m, (rays,)"""


@dataclass(frozen=True)
class Charge:
    """Of the battery's gauge."""

    stamp: int
    share: float
    """State of charge, 0 to 1; NaN where the gauge says what is none"""


@dataclass(frozen=True, eq=False)
class CarReading:
    """All of it at one control step."""

    now: int
    odometry: Odometry | None = None
    inertia: Inertia | None = None
    steering: Steering | None = None
    place: Place | None = None
    lane: LanePlace | None = None
    objects: ObjectList | None = None
    """The newest list, the same again until another comes"""
    scan: Scan | None = None
    charge: Charge | None = None
    doubts: tuple[str, ...] = ()


def compose(first: Pose, second: Pose) -> Pose:
    """p_AC of p_AB and p_BC."""
    x, y, yaw = first
    c, s = math.cos(yaw), math.sin(yaw)
    return x + c * second[0] - s * second[1], y + s * second[0] + c * second[1], yaw + second[2]


def inverse(pose: Pose) -> Pose:
    """p_BA of p_AB."""
    x, y, yaw = pose
    c, s = math.cos(yaw), math.sin(yaw)
    return -c * x - s * y, s * x - c * y, -yaw


def between(early: tuple[int, Pose], late: tuple[int, Pose], stamp: int) -> Pose:
    """The pose at a time between two, turning the short way round."""
    share = (stamp - early[0]) / max(late[0] - early[0], 1)
    (x, y, yaw), (u, v, w) = early[1], late[1]
    turn = math.atan2(math.sin(w - yaw), math.cos(w - yaw))
    return x + share * (u - x), y + share * (v - y), yaw + share * turn
