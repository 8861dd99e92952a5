"""Which robots are near which: what each picture tells of the others, so that robots see them for what they are.

Each is told as a disc, where it will be one period from now: its radius covers the footprint's circle, localisation and
lidar noise, and what braking may change meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.spatial import KDTree

from coordination.roster import Robot
from sim.robot import SECOND, RobotSpec

NEAR = 16
"""Robots that a picture tells of: as many as `sim.points` has room for."""


def neighbours(
    robots: Mapping[str, Robot], spec: RobotSpec, laden: RobotSpec, now: int
) -> dict[str, tuple[tuple[float, float, float], ...]]:
    """For each robot the others near it, the nearest first: x, y (m) and radius (m) of at most NEAR.

    `laden` is the robot with a pod on.
    """
    names = list(robots)
    if not names:
        return {}
    brake = 1.2 * spec.diff.brake_min  # drives brake up to 20 % better than guaranteed
    pose = np.array([robots[name].report.pose for name in names])
    v, w = np.array([robots[name].report.twist for name in names]).T
    age = np.array([(now - robots[name].heard) / SECOND for name in names]) + spec.period / SECOND
    heading = pose[:, 2] + 0.5 * w * age
    x, y = pose[:, 0] + v * age * np.cos(heading), pose[:, 1] + v * age * np.sin(heading)
    body = np.array([(laden if robots[name].report.loaded else spec).radius for name in names])
    fixed = body + spec.localisation_bound + 3.0 * spec.lidar.noise + 0.02
    radius = fixed + np.minimum(0.5 * brake * age**2, 2.0 * spec.diff.speed_max * age)
    places = np.stack([x, y], axis=-1)
    reach = spec.lidar.range_max
    nearest = np.asarray(KDTree(places).query(places, k=NEAR + 1, distance_upper_bound=reach)[1])
    seen = list(zip(x.tolist(), y.tolist(), radius.tolist(), strict=True))
    return {
        name: tuple(seen[other] for other in nearest[i].tolist() if other not in (i, len(names)))[:NEAR]
        for i, name in enumerate(names)
    }
