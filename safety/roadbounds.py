"""What the road's shield assumes: of the car from its specification, of others from `RoadProfile`, of sensors here.

One assumption of RSS is implicit: a vehicle ahead must be able to brake at least as hard as we are guaranteed to.
Without it the distance to its standstill is not the least on the way: z3 finds a contact while both still drive
(`safety/proofs/road.py`). It is checked where a shield is made.
"""

from __future__ import annotations

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false, reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false, reportInvalidTypeForm=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.
from dataclasses import dataclass

import warp as wp

from sim.driving.profile import RoadProfile
from sim.errors import MusterError
from sim.robot import SECOND, RobotSpec

wp.set_module_options({"fuse_fp": False, "enable_backward": False})


class RoadShieldError(MusterError):
    """A car, a profile or inputs that the road's shield cannot judge by."""


@dataclass(frozen=True)
class RoadRules:
    """What the shield assumes beside the car's specification and the profile of others; SI units."""

    speed_error: float = 0.5
    """Largest error of another's measured speed, m/s"""
    lane_error: float = 0.10
    """Largest error of the measured place across the lane, m"""
    list_age: float = 0.5
    """Age of the newest object list from which nothing is released but the stored plan, s"""
    limit_slack: float = 0.2
    """m/s above a speed limit that count as keeping it: the error of the measured speed"""

    def __post_init__(self) -> None:
        for name in ("speed_error", "lane_error", "list_age", "limit_slack"):
            value = getattr(self, name)
            if not 0.0 <= value < 100.0:
                raise RoadShieldError(f"expected {name} of the road's rules from 0 to 100, got {value}; mend it")


@wp.struct
class RoadBounds:
    """What the shield's kernels assume; SI units."""

    front: float
    """From base_link to the front bumper, m"""
    rear: float
    half_width: float
    curvature_max: float
    curvature_rate: float
    """1/(m s), with straight wheels: the least there is"""
    speed_max: float
    accel: float
    brake: float
    comfort: float
    lateral: float
    jerk: float
    latency: float
    period: float
    age: float
    list_age: float
    localisation: float
    e0: float
    e1: float
    speed_error: float
    lane_error: float
    limit_slack: float
    other_accel: float
    other_brake: float
    other_brake_least: float
    reaction: float
    over_limit: float
    other_speed: float
    keeping: float
    """Speed across a lane up to which a vehicle keeps it, m/s"""
    wander: float
    change: float
    pedestrian: float
    cyclist: float
    cyclist_accel: float
    cut_in_reaction: float
    cut_in_brake: float


def road_bounds(spec: RobotSpec, profile: RoadProfile, rules: RoadRules) -> RoadBounds:
    """The bounds of a car among others. Raises RoadShieldError where they do not fit each other."""
    drive = spec.car
    if profile.brake < drive.brake_min:
        raise RoadShieldError(
            f"car {spec.name} is guaranteed to brake at {drive.brake_min} m/s^2, others at most at {profile.brake} "
            f"m/s^2; the distance behind a vehicle is safe only if it can brake at least as hard as we do: raise "
            f"`brake` of the road profile to {drive.brake_min} or lower the car's `brake_min`"
        )
    if not 0.0 < drive.brake_comfort <= drive.brake_min:
        raise RoadShieldError(
            f"car {spec.name}: expected comfortable braking above 0 and up to the guaranteed {drive.brake_min} m/s^2, "
            f"got {drive.brake_comfort}"
        )
    b = RoadBounds()
    b.front, b.rear, b.half_width = spec.length - drive.rear_overhang, drive.rear_overhang, 0.5 * spec.width
    b.curvature_max, b.curvature_rate = drive.curvature_max, drive.steer_rate / drive.wheelbase
    b.speed_max, b.accel, b.brake, b.comfort = drive.speed_max, drive.accel_max, drive.brake_min, drive.brake_comfort
    b.lateral, b.jerk = drive.lateral_max, drive.jerk_max
    b.latency, b.period, b.age = spec.latency_bound, spec.period / SECOND, spec.sensor_age_bound
    b.localisation, b.e0, b.e1 = spec.localisation_bound, spec.tracking_e0, spec.tracking_e1
    b.speed_error, b.lane_error, b.list_age = rules.speed_error, rules.lane_error, rules.list_age
    b.limit_slack = rules.limit_slack
    b.other_accel, b.other_brake, b.other_brake_least = profile.accel, profile.brake, profile.brake_least
    b.reaction, b.over_limit, b.other_speed = profile.reaction, profile.over_limit, profile.speed
    b.keeping, b.wander, b.change = profile.lateral, profile.wander, profile.lateral_change
    b.pedestrian, b.cyclist, b.cyclist_accel = profile.pedestrian, profile.cyclist, profile.cyclist_accel
    b.cut_in_reaction, b.cut_in_brake = profile.cut_in_reaction, profile.cut_in_brake
    return b
