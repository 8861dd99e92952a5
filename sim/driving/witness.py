"""What a witness of a drive measures from true places: clearance, time to collision, and which invariants hold.

Boxes are rectangles. Their distance is that of the nearest corner of one to the other, 0 where they overlap (separating
axes); time to collision is the first moment at which boxes that go on as they do would touch, looked for in steps. The
three invariants of a drive are looked at each by itself:

    clearance        a car that moves touches nobody
    speed limit      it is no faster than the limit of its lane allows
    lane boundary    every corner of it is on a lane that may be driven on in its direction, a shoulder, or a junction

Limit and boundary have slacks (SLACK, BEYOND), which reports state; clearance has none, and what comes close to it is a
near miss (NEAR_MISS).

A witness shares no code with the shield or the contacts that worlds count. numpy and scipy, on the host.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sim.frenet import middle
from sim.road import Floats, LaneKind, Road

CLEARANCE, SPEED_LIMIT, LANE_BOUNDARY = "clearance", "speed limit", "lane boundary"
INVARIANTS = (CLEARANCE, SPEED_LIMIT, LANE_BOUNDARY)

MOVING = 0.05
"""m/s; a slower car stands, and who touches it then is not touched by it."""

SLACK = 0.5
"""m/s above the limit that count as keeping it: what a car measures its own speed by, and a shield allows for."""

BEYOND = 0.15
"""m across a border that count as inside: a polyline's chord and the width of a line."""

NEAR_MISS = 0.5
"""m; who moves and has less room to anybody has nearly touched him. Cars side by side in lanes of 3.25 m keep 1 m, and
rule-driven drives through towns and along motorways kept 0.64 m (seven of them, 2026-11-21). No invariant: a figure."""

HORIZON, STEP = 8.0, 0.1
"""s; times to collision are looked for so far and so finely."""

FAR = 120.0
"""m; who is farther away is not looked at."""


def corners(pose: Sequence[float], size: Sequence[float]) -> Floats:
    """The corners of a box by its middle, yaw, length and width, counter-clockwise, (4, 2)."""
    return boxes(np.array([pose], float), np.array([size], float))[0]


def boxes(poses: Floats, sizes: Floats) -> Floats:
    """Corners of boxes: poses (n, 3) of their middles, lengths and widths (n, 2); (n, 4, 2)."""
    local = np.array([(0.5, -0.5), (0.5, 0.5), (-0.5, 0.5), (-0.5, -0.5)])[None] * sizes[:, None]
    c, s = np.cos(poses[:, 2])[:, None], np.sin(poses[:, 2])[:, None]
    x = poses[:, :1] + c * local[..., 0] - s * local[..., 1]
    y = poses[:, 1:2] + s * local[..., 0] + c * local[..., 1]
    return np.stack([x, y], axis=-1)


def distances(box: Floats, others: Floats) -> Floats:
    """Distance of a box (4, 2) to each of n others (n, 4, 2), 0 where they overlap, (n,)."""
    one = np.broadcast_to(box, others.shape)
    apart = np.minimum(_corners_to_sides(one, others), _corners_to_sides(others, one))
    return np.where(_overlap(one, others), 0.0, apart)


def nearest(pose: Sequence[float], size: Sequence[float], poses: Floats, sizes: Floats) -> float:
    """Clearance of a box to all others, m; infinite where there is nobody within FAR."""
    close = _close(pose, poses)
    if not len(close):
        return math.inf
    return float(distances(corners(pose, size), boxes(poses[close], sizes[close])).min())


def time_to_collision(
    pose: Sequence[float], size: Sequence[float], speed: float, poses: Floats, sizes: Floats, speeds: Floats
) -> float:
    """When a box first touches another if all go straight on at their speeds, s; infinite where not within HORIZON."""
    close = _close(pose, poses)
    if not len(close):
        return math.inf
    times = np.arange(0.0, HORIZON + 1e-9, STEP)
    own = np.array([math.cos(pose[2]), math.sin(pose[2])]) * speed
    theirs = np.stack([np.cos(poses[close, 2]), np.sin(poses[close, 2])], axis=-1) * speeds[close, None]
    offsets = times[:, None, None] * (theirs - own)  # the box stays where it is, the others come
    moved = boxes(poses[close], sizes[close])[None] + offsets[:, :, None]
    flat = moved.reshape(-1, 4, 2)
    touched = _overlap(np.broadcast_to(corners(pose, size), flat.shape), flat).reshape(len(times), -1).any(axis=1)
    return float(times[touched.argmax()]) if touched.any() else math.inf


class Ground:
    """Where cars may be on a road, in which direction. Owns a tree of all points of its lanes."""

    def __init__(self, road: Road) -> None:
        from scipy.spatial import KDTree

        lanes = [lane for lane in road.lanes if lane.kind in (LaneKind.DRIVING, LaneKind.SHOULDER)]
        self._tree = KDTree(np.concatenate([lane.centre for lane in lanes]) - np.array(middle(road)))
        self._half = np.concatenate([0.5 * lane.width for lane in lanes]) + BEYOND
        self._heading = np.concatenate([lane.heading for lane in lanes])
        self._any = np.concatenate([np.full(len(lane.s), lane.junction >= 0) for lane in lanes])
        self._reach = float(self._half.max()) + 0.5

    def holds(self, box: Floats, yaw: float) -> bool:
        """Whether every corner (4, 2) of a car that faces `yaw` is where cars may be."""
        near, point = self._tree.query(box, k=48, distance_upper_bound=self._reach)
        there = np.isfinite(near)
        point = np.where(there, point, 0)
        right_way = (np.cos(self._heading[point] - yaw) > 0.0) | self._any[point]
        # points stand every half metre: what is within the half width of one beside it is within half a step more
        inside = there & right_way & (near <= np.hypot(self._half[point], 0.25))
        return bool(inside.any(axis=1).all())


def broken(*, clearance: float, speed: float, limit: float, on_ground: bool) -> tuple[str, ...]:
    """The invariants that do not hold."""
    found = []
    if clearance <= 0.0 and speed > MOVING:
        found.append(CLEARANCE)
    if speed > limit + SLACK:
        found.append(SPEED_LIMIT)
    if not on_ground:
        found.append(LANE_BOUNDARY)
    return tuple(found)


def _close(pose: Sequence[float], poses: Floats) -> NDArray[np.int64]:
    if not len(poses):
        return np.zeros(0, np.int64)
    return np.flatnonzero(np.hypot(poses[:, 0] - pose[0], poses[:, 1] - pose[1]) < FAR)


def _overlap(one: Floats, two: Floats) -> NDArray[np.bool_]:
    """Whether boxes (n, 4, 2) overlap, (n,): no side's direction separates them."""
    apart = np.zeros(len(one), bool)
    for box in (one, two):
        for side in (0, 1):
            axis = box[:, side + 1] - box[:, side]
            a, b = ((points * axis[:, None]).sum(-1) for points in (one, two))
            apart |= (a.max(1) <= b.min(1)) | (b.max(1) <= a.min(1))
    return ~apart


def _corners_to_sides(points: Floats, box: Floats) -> Floats:
    """Least distance of the corners of one box to the sides of another, both (n, 4, 2), (n,)."""
    begin = box
    along = np.roll(box, -1, axis=1) - box
    offset = points[:, :, None] - begin[:, None]
    length = np.maximum((along**2).sum(-1), 1e-12)
    share = np.clip((offset * along[:, None]).sum(-1) / length[:, None], 0.0, 1.0)
    return np.hypot(*np.moveaxis(offset - share[..., None] * along[:, None], -1, 0)).min(axis=(1, 2))
