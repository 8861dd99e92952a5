"""Stamps and poses of the floor as ROS 2 says them: nanoseconds and (x, y, yaw) to messages and back.

A yaw in float32 comes back as the same float32: the quaternion (0, 0, sin(yaw/2), cos(yaw/2)) is of float64, and
2 atan2(z, w) finds the angle again to some 1e-16 of itself, float32 halves lie 3e-8 apart.
"""

from __future__ import annotations

import math

from fleet.ros.messages.builtin_interfaces import Time
from fleet.ros.messages.geometry_msgs import Point, Pose, Quaternion, Transform, TransformStamped, Vector3
from fleet.ros.messages.std_msgs import Header
from sim.robot import SECOND

TURNED = 3.1415930
"""Angles up to here are kept as they are: float32 counts its own nearest to pi, 3.14159274, as one of (-pi, pi]."""
TILT = 0.05
"""Largest x and y of a unit quaternion of a robot on a floor: 6 degrees, more than any ramp of ours."""

At = tuple[float, float, float]
"""x, y (m), yaw (rad)"""


def time_of(stamp: int) -> Time:
    """A stamp in ns as a message."""
    seconds, rest = divmod(stamp, SECOND)
    return Time(seconds, rest)


def stamp_of(time: Time) -> int:
    """A message's stamp in ns."""
    return time.sec * SECOND + time.nanosec


def header(stamp: int, frame: str) -> Header:
    """A header."""
    return Header(time_of(stamp), frame)


def rotation(yaw: float) -> Quaternion:
    """The rotation by `yaw` about Z."""
    return Quaternion(0.0, 0.0, math.sin(yaw / 2.0), math.cos(yaw / 2.0))


def yaw_of(q: Quaternion) -> float:
    """The yaw of a rotation about Z, rad; NaN for one that is none: not of unit length, or tilted."""
    length = math.sqrt(q.x * q.x + q.y * q.y + q.z * q.z + q.w * q.w)
    if not abs(length - 1.0) < 0.01 or max(abs(q.x), abs(q.y)) > TILT:  # `not` finds NaN too
        return math.nan
    yaw = 2.0 * math.atan2(q.z, q.w)
    return yaw if abs(yaw) <= TURNED else math.remainder(yaw, math.tau)


def pose_of(at: At) -> Pose:
    """A pose on the floor."""
    x, y, yaw = at
    return Pose(Point(x, y, 0.0), rotation(yaw))


def transform_of(stamp: int, parent: str, child: str, at: At) -> TransformStamped:
    """Where `child` is in `parent`."""
    x, y, yaw = at
    return TransformStamped(header(stamp, parent), child, Transform(Vector3(x, y, 0.0), rotation(yaw)))


def after(a: At, b: At) -> At:
    """The pose `b`, given in `a`, in the frame that `a` is given in."""
    c, s = math.cos(a[2]), math.sin(a[2])
    return (a[0] + c * b[0] - s * b[1], a[1] + s * b[0] + c * b[1], a[2] + b[2])


def inverse(a: At) -> At:
    """The frame that `a` is given in, seen from `a`."""
    c, s = math.cos(a[2]), math.sin(a[2])
    return (-c * a[0] - s * a[1], s * a[0] - c * a[1], -a[2])


def driven(at: At, v: float, w: float, seconds: float) -> At:
    """Where a pose is after driving at v (m/s) and w (rad/s) for so long."""
    heading = at[2] + 0.5 * w * seconds
    return (at[0] + v * seconds * math.cos(heading), at[1] + v * seconds * math.sin(heading), at[2] + w * seconds)
