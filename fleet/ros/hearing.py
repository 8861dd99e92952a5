"""What a robot's computer makes of its body's messages: a value that the control step judges, or a refusal in words.

Refused is what cannot be placed: another frame than stated or none, a stamp in the future, angles that are not the
lidar's, a pose whose localisation says itself that it is lost. It is as if it had not come, so that the input grows
stale and the robot stops. What can be placed but is no sound value (NaN in a scan, too few ranges, a rotation that is
none) goes on as it is: the control step has a verdict for it; here it is put in words. Pure; `latest` is the latest
stamp that is believed, ns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from fleet.ros.messages.geometry_msgs import PoseWithCovarianceStamped
from fleet.ros.messages.nav_msgs import Odometry
from fleet.ros.messages.sensor_msgs import BatteryState, Imu, LaserScan
from fleet.ros.messages.std_msgs import Header
from fleet.ros.planar import stamp_of, yaw_of
from fleet.ros.topics import Frames
from sim.errors import shown
from sim.robot import MILLISECOND, SECOND, Lidar

T = TypeVar("T")

AHEAD = 50 * MILLISECOND
"""A stamp may be so far in the future, ns: what synchronised clocks differ by, and half of a control period."""
ANGLE = 0.1
"""Largest difference of a ray's direction, in rays."""
UNSURE = 0.6
"""Standard deviation of a pose above which nobody knows where a robot is, m and rad: half of a usual cell, by which
grants are given. More than the 0.5 m that tools give a first estimate (rviz), from which localisation begins."""


@dataclass(frozen=True)
class Heard(Generic[T]):
    """A message that can be placed."""

    value: T
    stamp: int
    """ns"""
    doubt: str = ""
    """Why the control step will not act on it, in words; empty where nothing is wrong with it"""


@dataclass(frozen=True)
class Refused:
    """A message that cannot."""

    kind: str
    """frame, future, shape or unsure"""
    text: str
    """What was expected and what came"""


def scan_of(message: LaserScan, lidar: Lidar, frames: Frames, latest: int) -> Heard[bytes] | Refused:
    """The ranges, float32 little-endian: the largest that the lidar sees where nothing was met, 0 for too near."""
    refused = _placed(message.header, frames.scan, latest, "scan")
    if refused is not None:
        return refused
    stamp, ranges = stamp_of(message.header.stamp), message.ranges
    if len(ranges) != lidar.rays:
        text = f"scan: expected {lidar.rays} ranges, as the specification says, came {len(ranges)}"
        return Heard(ranges.tobytes(), stamp, text)
    step, first = math.tau / lidar.rays, float(lidar.angles()[0])
    off = (abs(message.angle_min - first), abs((message.angle_increment - step) * (lidar.rays - 1)))
    if not all(each <= ANGLE * step for each in off):  # `not` finds NaN too, which `max` may pass over
        return Refused(
            "shape",
            f"scan: expected rays from {first:.4f} rad every {step:.5f} rad, came {message.angle_min:.4f} and "
            f"{message.angle_increment:.5f}; turn the driver's angles, or correct the specification",
        )
    if not message.range_max > 0.0:
        return Refused("shape", f"scan: expected a range_max above 0 m, came {message.range_max:g}")
    most = np.float32(min(lidar.range_max, message.range_max))
    known = np.where(ranges > most, most, np.where(ranges == -np.inf, np.float32(0.0), ranges)).astype(np.float32)
    wrong = {"NaN": np.isnan(known), "below 0 m": known < 0.0}
    told = [
        f"{np.count_nonzero(those)} of {len(known)} ranges are {what}" for what, those in wrong.items() if those.any()
    ]
    return Heard(known.tobytes(), stamp, f"scan: {', '.join(told)}" if told else "")


def twist_of(message: Odometry, frames: Frames, latest: int) -> Heard[tuple[float, float]] | Refused:
    """V (m/s) and w (rad/s) of the base, as float32 holds them."""
    refused = _placed(message.header, frames.odom, latest, "odom")
    if refused is not None:
        return refused
    if message.child_frame_id != frames.base:
        return _frame("odom", "child_frame_id", frames.base, message.child_frame_id)
    twist = message.twist.twist
    v, w, across = _single(twist.linear.x), _single(twist.angular.z), _single(twist.linear.y)
    doubt = ""
    if not all(map(math.isfinite, (v, w, across))):
        doubt = f"odom: expected finite speeds, came {v:g} along, {across:g} across and {w:g} rad/s"
        v = v if math.isfinite(across) else math.nan  # whose sideways speed is no number has no speed to drive by
    return Heard((v, w), stamp_of(message.header.stamp), doubt)


def pose_of(
    message: PoseWithCovarianceStamped, frames: Frames, latest: int
) -> Heard[tuple[float, float, float]] | Refused:
    """x, y (m) and yaw (rad) on the map, as float32 holds them."""
    refused = _placed(message.header, frames.map, latest, "pose")
    if refused is not None:
        return refused
    pose, covariance = message.pose.pose, message.pose.covariance
    for what, unit, variance in (
        ("place", "m", max(covariance[[0, 7]], key=_doubtful)),
        ("heading", "rad", covariance[35]),
    ):
        if not 0.0 <= variance <= UNSURE * UNSURE:  # `not` finds NaN too
            spread = f"one to {math.sqrt(variance):.3g}" if variance >= 0.0 else f"the root of {variance:g}"
            return Refused(
                "unsure",
                f"pose: expected a {what} that is known to {UNSURE:g} {unit} (standard deviation), came {spread} {unit}"
                "; localise the robot anew",
            )
    at = (_single(pose.position.x), _single(pose.position.y), _single(yaw_of(pose.orientation)))
    doubt = "" if all(map(math.isfinite, at)) else f"pose: expected a finite pose on the floor, came {at}"
    return Heard(at, stamp_of(message.header.stamp), doubt)


def charge_of(message: BatteryState, latest: int) -> Heard[float] | Refused:
    """The state of charge, 0 to 1; NaN where the battery does not measure it. Batteries have no frame."""
    refused = _timely(message.header, latest, "battery_state")
    if refused is not None:
        return refused
    charge = _single(message.percentage)
    sound = 0.0 <= charge <= 1.0
    doubt = "" if sound else f"battery_state: expected a percentage from 0 to 1, came {charge:g}"
    return Heard(charge if sound else math.nan, stamp_of(message.header.stamp), doubt)


def rate_of(message: Imu, latest: int) -> Heard[float] | Refused:
    """The gyro's yaw rate, rad/s; its frame is the unit's own."""
    refused = _timely(message.header, latest, "imu")
    if refused is not None:
        return refused
    rate = message.angular_velocity.z
    doubt = "" if math.isfinite(rate) else f"imu: expected a finite yaw rate, came {rate:g}"
    return Heard(rate, stamp_of(message.header.stamp), doubt)


def _placed(header: Header, frame: str, latest: int, topic: str) -> Refused | None:
    """Why a message has no place in space or time; None where it has."""
    if header.frame_id != frame:
        return _frame(topic, "frame_id", frame, header.frame_id)
    return _timely(header, latest, topic)


def _timely(header: Header, latest: int, topic: str) -> Refused | None:
    ahead = stamp_of(header.stamp) - latest
    if ahead <= 0:
        return None
    return Refused(
        "future",
        f"{topic}: a message is stamped {ahead / SECOND:.3f} s beyond what clocks may differ by; expected one clock "
        "for all: use_sim_time on both sides or on neither, and synchronised hosts",
    )


def _frame(topic: str, field: str, expected: str, came: str) -> Refused:
    came = shown(came) if came else "none"
    return Refused(
        "frame", f'{topic}: expected {field} "{expected}", came {came}; correct the sender, or the parameter frame_...'
    )


def _doubtful(variance: float) -> float:
    """By which variances are compared: one that is none is the worst."""
    return float(variance) if variance >= 0.0 else math.inf


def _single(value: float) -> float:
    """The nearest float32, in which all arithmetic of the control step is done; infinite beyond its range."""
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.float32(value))
