"""One control step of a drive as records, pictures and reports have it.

A drive is a `Course` (what stays) and `Moment`s (what changes), whoever drove: the environment, a recording or a
script. Coordinates are those of `sim.driving.state`: metres about the
middle of the road's bounds. Words (mode, reason, blame) are plain text, so that this module knows no shield.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sim.road import Road

Floats = NDArray[np.float64]

AMPLE = 900.0
"""Margins above it mean that nothing bounds the car, m: shields say 1000 where there is nothing to be near to."""


@dataclass(frozen=True)
class CarSize:
    """The ego's box; base_link is the middle of its rear axle."""

    length: float = 4.6
    """m; a car of the middle class"""
    width: float = 1.85
    height: float = 1.5
    rear: float = 0.9
    """From base_link back to the rear bumper, m"""

    def middle(self, x: float, y: float, yaw: float) -> tuple[float, float]:
        """The middle of its box where base_link is at a pose."""
        ahead = 0.5 * self.length - self.rear
        return x + ahead * math.cos(yaw), y + ahead * math.sin(yaw)


@dataclass(frozen=True, eq=False)
class Course:
    """What stays the same through a drive."""

    name: str
    """As people call it: town:7"""
    road: Road
    period: float
    """Between two moments, s"""
    size: CarSize = CarSize()
    route: tuple[int, ...] = ()
    """Lanes of the road from start to goal"""
    length: float = 0.0
    """Of the route, m"""
    seed: int = 0
    driver: str = ""
    """Who proposes: a policy's hash, a twin's name"""
    shielded: bool = True
    asks: str = ""
    """What is asked of the drive, in words; empty where it is to reach the end of its route"""
    seconds: float = 0.0
    """How long its scenario lasts, s; 0 where there is none, and the route is what is driven"""
    lidar: float = 0.0
    """Range of its lidar, m; 0 without one"""


@dataclass(frozen=True, eq=False)
class Others:
    """Everybody else on the road, n of them, in truth."""

    kind: NDArray[np.integer]
    """`sim.actors.ActorKind`, (n,)"""
    pose: Floats
    """x, y of the middle of the box, yaw, (n, 3)"""
    motion: Floats
    """Speed along yaw, acceleration along yaw, yaw rate, (n, 3)"""
    size: Floats
    """Length, width, (n, 2)"""


def nobody() -> Others:
    """An empty road."""
    return Others(np.zeros(0, np.int32), np.zeros((0, 3)), np.zeros((0, 3)), np.zeros((0, 2)))


@dataclass(frozen=True, eq=False)
class Moment:
    """One control step of one ego."""

    time: float
    """Since the drive began, s"""
    pose: tuple[float, float, float]
    """base_link in truth: x, y, yaw"""
    motion: tuple[float, float, float, float]
    """Speed, acceleration, curvature, yaw rate, in truth"""
    proposed: tuple[float, float]
    """What the policy asked for: acceleration, curvature"""
    released: tuple[float, float]
    """What the shield let through"""
    mode: str = "policy"
    """policy, shielded, fallback, stopped, latched"""
    reason: str = ""
    """Why the released command is not the proposed one; empty where it is"""
    margin: float = math.inf
    """The shield's: distance left to the nearest of its bounds, m; negative while the stored plan plays"""
    plan: Floats = field(default_factory=lambda: np.zeros((0, 3)))
    """The stored stopping plan: poses of base_link, the first where it is, (k, 3)"""
    reach: tuple[Floats, ...] = ()
    """Where others may be while it plays: outlines (corners, 2)"""
    lane: int = -1
    """Lane of the road that base_link is on, -1 for none"""
    s: float = 0.0
    """On that lane, m"""
    d: float = 0.0
    """To the left of its centre, m"""
    limit: float = math.inf
    """Speed limit, m/s"""
    left: float = math.nan
    """Metres left to the goal"""
    clearance: float = math.inf
    """From the ego's box to the nearest other box, in truth, m"""
    ttc: float = math.inf
    """Least time to collision if all keep their velocities, s"""
    sensed: int = 0
    """Objects in the view"""
    broken: tuple[str, ...] = ()
    """Invariants that do not hold: clearance, speed limit, lane boundary"""
    contact: str = ""
    """What the ego begins to touch in this step: car, pedestrian, ...; empty for nothing"""
    blame: str = ""
    """Of that contact: at fault, or why not"""
    others: Others = field(default_factory=nobody)
    ending: str = ""
    """Of a drive's last moment: how it ended"""
    scan: Floats = field(default_factory=lambda: np.zeros(0))
    """What its lidar says: ranges, m, from the middle of its box, ray i of n pointing to -pi + 2 pi i / n in B, (n,)"""
    scan_age: float = math.inf
    """Since it was swept, s"""
    decision: object = None
    """What decided, for the black box alone: whoever shows moments need not know it"""

    @property
    def speed(self) -> float:
        """Its own, m/s."""
        return self.motion[0]

    @property
    def intervened(self) -> bool:
        """Whether the shield released another command than the proposed one, or somebody else drove."""
        return self.mode != "policy"


def scan_points(course: Course, moment: Moment) -> Floats:
    """Where the rays of a moment's scan ended that met something, (n, 2)."""
    met = np.flatnonzero(moment.scan < course.lidar)
    x, y = course.size.middle(*moment.pose)
    angles = moment.pose[2] - math.pi + math.tau * met / max(len(moment.scan), 1)
    return np.array([x, y]) + moment.scan[met, None] * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
