"""Assumptions watched at run time: each one that the shield's proof makes, and what it becomes when it fails.

    A2  the body is where the prediction said, within e(t)      -> TRACKING
    A3  scan, odometry, picture and grant are no older than assumed  -> *_STALE
    A6  time goes on, and in steps                              -> NOT_FINITE
    A7  every number is one, and in its range                   -> NOT_FINITE
    A8  the control step ends within its period                 -> DEADLINE

(Numbering of the safety note's list; the rest of it needs parts that do not exist yet.) All are pure functions of
readings and stamps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from safety.supervisor import Cause, worst
from sim.robot import MILLISECOND, SECOND, Readings, RobotSpec


@dataclass(frozen=True)
class AgeBounds:
    """Oldest inputs that a robot may act on, ns."""

    scan: int = 100 * MILLISECOND
    """RobotSpec.sensor_age_bound: the shield counts exactly this much."""
    odometry: int = 100 * MILLISECOND
    """As the scan: prediction starts from pose and twist of the scan's instant."""
    picture: int = 2 * SECOND
    """The lease of a grant: without a picture for as long, what others hold is unknown."""

    @staticmethod
    def of(spec: RobotSpec) -> AgeBounds:
        """The bounds that a specification states."""
        age = round(spec.sensor_age_bound * SECOND)
        return AgeBounds(scan=age, odometry=age)


@dataclass(frozen=True)
class Ages:
    """How old each input is, ns; negative when it claims to be from the future."""

    scan: int
    pose: int
    twist: int
    picture: int
    grant_left: int
    """Until the grant's lease ends; negative when it has."""


def ages(readings: Readings, *, picture_stamp: int, grant_expires: int) -> Ages:
    """The ages of one control cycle's inputs; `picture_stamp` and `grant_expires` are 0 where there is none yet."""
    return Ages(
        scan=readings.stamp - readings.scan_stamp,
        pose=readings.stamp - readings.pose_stamp,
        twist=readings.stamp - readings.twist_stamp,
        picture=readings.stamp - picture_stamp,
        grant_left=grant_expires - readings.stamp,
    )


def judge_ages(age: Ages, bounds: AgeBounds) -> Cause:
    """The worst cause that the ages give."""
    return worst(
        Cause.SCAN_STALE if age.scan > bounds.scan else Cause.NONE,
        Cause.ODOMETRY_STALE if max(age.pose, age.twist) > bounds.odometry else Cause.NONE,
        Cause.PICTURE_STALE if age.picture > bounds.picture else Cause.NONE,
        Cause.GRANT_STALE if age.grant_left <= 0 else Cause.NONE,
        Cause.NOT_FINITE if min(age.scan, age.pose, age.twist) < 0 else Cause.NONE,
    )


def judge_readings(readings: Readings, spec: RobotSpec) -> Cause:
    """NOT_FINITE where a reading is no number or beyond what the robot can do; BUMPER where it is pressed."""
    if readings.bumper:
        return Cause.BUMPER
    scan = np.asarray(readings.scan)
    if scan.shape != (spec.lidar.rays,):
        return Cause.NOT_FINITE
    # one comparison each finds NaN and infinity too: they satisfy none
    if not bool(np.all((scan >= 0.0) & (scan <= spec.lidar.range_max * 1.001))):
        return Cause.NOT_FINITE
    pose, twist = np.asarray(readings.pose), np.asarray(readings.twist)
    if pose.shape != (3,) or twist.shape != (2,) or not (np.isfinite(pose).all() and np.isfinite(twist).all()):
        return Cause.NOT_FINITE
    # twice the commanded limits: noise and slip stay far below, a broken encoder does not
    if abs(twist[0]) > 2.0 * spec.drive.speed_max or abs(twist[1]) > 2.0 * spec.drive.turn_max:
        return Cause.NOT_FINITE
    return Cause.NONE


@dataclass(frozen=True)
class TrackingMemory:
    """Where the robot was when it was last seen, and what it was told."""

    stamp: int = -1
    """-1 before the first cycle."""
    x: float = 0.0
    y: float = 0.0
    yaw: float = 0.0
    v: float = 0.0
    w: float = 0.0
    misses: int = 0
    """Cycles in a row in which the body was outside its bound."""


MISSES = 3
"""Cycles in a row outside the bound until it counts: one may be a jump of the localisation."""


def tracking_error(memory: TrackingMemory, readings: Readings) -> float:
    """How far the pose is from the arc that the last measured twist and this one lead along, m."""
    dt = (readings.pose_stamp - memory.stamp) / SECOND
    v = 0.5 * (memory.v + float(readings.twist[0]))
    w = 0.5 * (memory.w + float(readings.twist[1]))
    heading = memory.yaw + 0.5 * w * dt
    x = memory.x + v * dt * math.cos(heading)
    y = memory.y + v * dt * math.sin(heading)
    return math.hypot(float(readings.pose[0]) - x, float(readings.pose[1]) - y)


def watch_tracking(memory: TrackingMemory, readings: Readings, spec: RobotSpec) -> tuple[Cause, TrackingMemory]:
    """TRACKING after MISSES cycles outside e(t) plus what localisation may jump; and the new memory.

    Finite readings are the caller's duty (`judge_readings` first).
    """
    x, y, yaw = (float(value) for value in readings.pose)
    v, w = (float(value) for value in readings.twist)
    dt = (readings.pose_stamp - memory.stamp) / SECOND
    misses = 0
    if memory.stamp >= 0 and 0.0 < dt <= 1.0:
        bound = spec.tracking_e0 + spec.tracking_e1 * dt + 2.0 * spec.localisation_bound
        misses = memory.misses + 1 if tracking_error(memory, readings) > bound else 0
    cause = Cause.TRACKING if misses >= MISSES else Cause.NONE
    return cause, TrackingMemory(readings.pose_stamp, x, y, yaw, v, w, misses)
