"""What runs and live environments show alike on the page: why the shield acted, lidar points, stopping plans."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from safety.reason import Reason
from sim.robot import RobotSpec

UNSEEN = 0.999
"""Share of the lidar's range beyond which a ray met nothing."""

REASONS = {
    Reason.NONE: "released as proposed",
    Reason.LIMITS: "cut to the robot's limits",
    Reason.CORRIDOR: "would have left the granted ground",
    Reason.OBSTACLE: "too near to something that stands",
    Reason.PHANTOM: "somebody may step out of hiding",
    Reason.PERSON: "too near to something that moves",
    Reason.NO_CORRIDOR: "no permission to move",
    Reason.STALE_SCAN: "the scan is too old",
    Reason.NOT_FINITE: "a number that is none",
    Reason.SPEED_LIMIT: "faster than is allowed there",
    Reason.LANE_BOUNDARY: "would have left its lane",
    Reason.VEHICLE_AHEAD: "too near behind a vehicle",
    Reason.VEHICLE: "too near to a vehicle that keeps no lane",
    Reason.REAR: "too near in front of somebody in that lane",
    Reason.CROSSING: "somebody may come across",
    Reason.PEDESTRIAN: "too near to somebody on foot",
    Reason.UNSEEN: "could not stop within what is seen",
    Reason.PATH_END: "could not stop before its way ends",
    Reason.STALE_VIEW: "nothing tells where the car is",
    Reason.STALE_OBJECTS: "nothing tells who else is there",
}
"""Why the shield released something else, for people who do not read code."""


def headline(margin: float, reason: Reason) -> str:
    """A verdict in a few words, above the robot."""
    clear = f"{margin:.2f} m clear" if margin >= 0.0 else "stored plan"
    why = "" if reason is Reason.NONE else f" · {reason.name.lower().replace('_', ' ')}"
    return f"· {clear}{why}"


def scan_points(scan: NDArray[np.floating], pose: tuple[float, float, float], spec: RobotSpec) -> NDArray[np.float32]:
    """Where the rays of a scan (rays,) ended that met something, (n, 2), W; none for a scan or a pose of no use."""
    if len(scan) != spec.lidar.rays or not all(map(math.isfinite, pose)):
        return np.zeros((0, 2), np.float32)
    met = np.isfinite(scan) & (scan < UNSEEN * spec.lidar.range_max) & (scan >= 0.0)
    angles = spec.lidar.angles()[met] + pose[2]
    return np.stack([pose[0] + scan[met] * np.cos(angles), pose[1] + scan[met] * np.sin(angles)], axis=-1).astype(
        np.float32
    )


def stopping_poses(
    pose: tuple[float, float, float], plan: Sequence[tuple[float, float]], period: float
) -> NDArray[np.float64]:
    """Poses at the ends of a plan's commands (v, w), each held for a period (s), from `pose` on; (n + 1, 3).

    An arc of length v t that turns by w t has the chord v t sin(w t / 2) / (w t / 2) in its middle direction.
    """
    poses = [pose]
    x, y, yaw = pose
    for v, w in plan:
        turn = w * period
        chord = v * period * (math.sin(turn / 2) / (turn / 2) if abs(turn) > 1e-6 else 1.0)
        x, y, yaw = x + chord * math.cos(yaw + turn / 2), y + chord * math.sin(yaw + turn / 2), yaw + turn
        poses.append((x, y, yaw))
    return np.array(poses)
