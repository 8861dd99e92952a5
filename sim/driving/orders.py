"""What a row of a driving task is told, as arrays and numbers: its wish, its course, its car's limits.

Made here for environments (sim/driving/skill.py) and for a car on a road (fleet/carcontrol.py) alike.
"""

# pyright: reportGeneralTypeIssues=false, reportAttributeAccessIssue=false
# Warp structures are not what a type checker takes them for.

from __future__ import annotations

from typing import Literal

import warp as wp

from sim.driving.brisk import Limits
from sim.driving.contract import SKILLS
from sim.driving.wish import Course, Wish
from sim.robot import SECOND, RobotSpec

Skill = Literal["lane", "change", "pull_over", "route"]

SHOULDER = 2.3
"""Least width of a shoulder that a car stops on, m: a car of 1.85 m and a hand's breadth to both sides."""


def limits_of(spec: RobotSpec, skill: Skill, time_limit: float, *, open_ended: bool = False) -> Limits:
    """The car's numbers as the kernels take them; `time_limit` s, until which an `open_ended` drive lasts."""
    car, limits = spec.car, Limits()
    limits.skill = (*SKILLS, "route").index(skill)
    limits.dt = spec.period / SECOND
    limits.steps = round(time_limit * SECOND / spec.period)
    limits.accel, limits.brake, limits.lateral = car.accel_max, car.brake_min, car.lateral_max
    limits.bend = car.curvature_max
    limits.half_width = 0.5 * spec.width
    limits.front, limits.rear = spec.length - car.rear_overhang, car.rear_overhang
    limits.shoulder, limits.open_ended = SHOULDER, int(open_ended)
    return limits


def make_wish(rows: int, device: str) -> Wish:
    """Nothing but to drive as one may."""
    wish = Wish()
    for name in ("side", "crossed"):
        setattr(wish, name, wp.zeros(rows, dtype=wp.int32, device=device))
    wish.pull = wp.zeros(rows, dtype=wp.uint8, device=device)
    wish.pace = wp.full(rows, 1.0, dtype=wp.float32, device=device)
    for name in ("line", "brisk", "last_d", "most", "least"):
        setattr(wish, name, wp.zeros(rows, dtype=wp.float32, device=device))
    return wish


def make_course(rows: int, device: str) -> Course:
    """Nothing driven."""
    course = Course()
    for name in ("way", "allowed"):
        setattr(course, name, wp.zeros(rows, dtype=wp.float32, device=device))
    for name in ("settled", "refused"):
        setattr(course, name, wp.zeros(rows, dtype=wp.int32, device=device))
    return course
