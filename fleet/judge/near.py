"""Near misses: a robot that moves, and somebody or something near its hull that no map explains.

    hull_gap(spec, x, y)            m between hull and points in the robot's frame
    met(before, gap, speed)         whether an encounter is under way, and whether this is its beginning

An encounter counts once. It begins where the gap is below NEAR of a robot faster than MOVING, and is over when the gap
is CLEAR again: who stands and goes on beside the same person has met one. The demo's plant knows where its people are
(fleet/rollout/floor.py); a real robot knows what its lidar sees: `unexplained` are the hits that are neither the
floor's walls nor another robot of the picture, a person's surface or a thing that somebody left.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray

from fleet.records import Inputs
from sim.robot import SECOND, RobotSpec
from sim.site import Site

NEAR = 0.35
"""m between hull and person; less, of a robot that moves, is a near miss"""
CLEAR = 0.50
"""m from which on an encounter is over: noise of a range does not make two of one."""
MOVING = 0.1
"""m/s"""
WALL = 0.2
"""m from a wall of the map within which a hit is the wall: a scan 0.1 s older than the pose, at 1.5 m/s, and noise."""
OFFSETS = np.array(list(itertools.product((-WALL, 0.0, WALL), repeat=2)))
"""Past a wall's corner too."""
ROBOT = 0.1
"""m that a robot of the picture is larger than it says: noise, and the pose's bound of both."""
FRESH = SECOND // 2
"""ns that a picture's words on other robots hold here; older, and nobody knows whether a hit is one of them."""
RAYS = 2
"""Hits that a person makes at least; so near one makes 20 of 360, and a single one is a stray."""
SEEN = 0.999
"""Of the largest range: a ray that reads more met nothing."""


def hull_gap(spec: RobotSpec, x: NDArray[np.floating], y: NDArray[np.floating]) -> NDArray[np.float64]:
    """From the footprint of a robot to points of its frame, m, 0 within it; any shape, both alike."""
    ahead, aside = np.abs(np.asarray(x) - spec.middle) - spec.length / 2, np.abs(y) - spec.width / 2
    return np.asarray(np.hypot(np.maximum(ahead, 0.0), np.maximum(aside, 0.0)), np.float64)


def met(before: bool, gap: float, speed: float) -> tuple[bool, bool]:
    """Whether an encounter is under way after this step, and whether it began in it. `speed` m/s, either way."""
    if before:
        return gap < CLEAR, False
    near = gap < NEAR and abs(speed) > MOVING
    return near, near


class Sight:
    """What of a robot's scans its floor does not explain. Owns nothing but the floor and the specification."""

    def __init__(self, site: Site, spec: RobotSpec) -> None:
        """A floor whose pods are carried about cannot tell them from people: there `gap` is None, always."""
        self._spec, self._width = spec, site.width
        self._site, self._filled = site, site.filled.reshape(-1)
        self._known = site.fixtures.pod_side is None
        angles = spec.lidar.angles().astype(np.float64)
        self._directions = np.stack([np.cos(angles), np.sin(angles)], axis=-1)

    def gap(self, inputs: Inputs) -> float | None:
        """From the hull to the nearest hit that is no wall or robot, m, inf for none near; None where not known."""
        spec = self._spec
        if not self._known or len(inputs.scan) != 4 * spec.lidar.rays or not all(map(math.isfinite, inputs.pose)):
            return None
        ranges = np.frombuffer(inputs.scan, "<f4").astype(np.float64)
        close = (ranges < min(SEEN * spec.lidar.range_max, spec.radius + CLEAR)) & (ranges > 0.0)
        if not close.any():
            return math.inf
        local = ranges[close, None] * self._directions[close]
        gaps = hull_gap(spec, local[:, 0], local[:, 1])
        local, gaps = local[gaps < CLEAR], gaps[gaps < CLEAR]
        x, y, yaw = inputs.pose
        c, s = math.cos(yaw), math.sin(yaw)
        world = np.stack([x + c * local[:, 0] - s * local[:, 1], y + s * local[:, 0] + c * local[:, 1]], axis=-1)
        open_ = ~self._walls(world)
        if open_.sum() < RAYS:
            return math.inf
        picture = inputs.picture
        if picture is None or inputs.stamp - picture.stamp > FRESH:
            return None
        age = max(0, inputs.stamp - picture.stamp)
        for robot in picture.robots:
            reach = robot[2] + ROBOT + spec.diff.speed_max * age / SECOND
            if math.isfinite(reach):
                open_ &= np.hypot(world[:, 0] - robot[0], world[:, 1] - robot[1]) > reach
        return math.inf if open_.sum() < RAYS else float(np.sort(gaps[open_])[RAYS - 1])

    def _walls(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether points (n, 2) lie within WALL of a filled cell, or off the floor."""
        cells = self._site.cell_at(points[:, None] + OFFSETS)
        return np.asarray(np.any((cells < 0) | self._filled[np.maximum(cells, 0)], axis=1))
