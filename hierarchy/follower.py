"""The hand-written twin of the navigate skill: pure pursuit of the corridor, slower before what ends or closes it.

It answers the same observation (`sim/tasks/navigate_contract.py`) with the same actions as the learned skill, many rows
at once, so that both can be compared in the same episodes. The target is the point of the corridor's middle line at a
distance L = L0 + T |v| ahead of the robot's foot on it (Coulter 1992):

    curvature = 2 y / (x^2 + y^2), (x, y) the target in B        w = v curvature
    v = min( speed_max, sqrt(2 a rest), sqrt(2 a (clear - gap)), sqrt(v_corner^2 + 2 a corner), turn_max / curvature )

with what is left of the corridor (`rest`), how far it is clear, and the way to its next corner. A target far to the
side is turned to on the spot.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.robot import RobotSpec
from sim.tasks.navigate_contract import POINT_SCALE, WAYPOINTS, navigate_contract

Rows = NDArray[np.float32]


@dataclass(frozen=True)
class Manner:
    """How it drives: the best of fifteen settings on a training floor, 0.32 to 1.03 m/s success x speed (2026-11)."""

    ahead: float = 0.6
    """L0, m"""
    ahead_time: float = 0.4
    """T, s"""
    brake: float = 1.1
    """a, m/s^2: under the drive's guaranteed 1.5, with the latency to spare"""
    gap: float = 0.55
    """From the robot's centre to what closes the corridor, m: half its length and a quarter of a metre"""
    corner_speed: float = 0.7
    """v_corner, m/s"""
    corner: float = 0.5
    """A change of direction beyond this is a corner, rad"""
    turn_on_spot: float = 0.9
    """Bearing of the target beyond which it stands and turns, rad"""


class Follower:
    """Pure pursuit for robots of one kind; no memory."""

    def __init__(self, spec: RobotSpec, manner: Manner | None = None) -> None:
        self._spec, self._manner = spec, manner or Manner()
        self._at = navigate_contract(spec).slices()

    def act(self, observation: Rows) -> Rows:
        """Actions in [-1, 1], (rows, 2), to observations (rows, 89)."""
        manner, drive = self._manner, self._spec.diff
        seen = {name: observation[:, place].astype(np.float64) for name, place in self._at.items()}
        points = seen["corridor"].reshape(-1, WAYPOINTS, 3)[..., :2] * POINT_SCALE
        lateral, sine, cosine = seen["track"].T
        speed = np.abs(seen["twist"][:, 0]) * drive.speed_max
        # the foot on the middle line: the way runs along (cos, -sin) in B, its left is (sin, cos)
        foot = -lateral[:, None] * np.stack([sine, cosine], axis=-1)
        line = np.concatenate([foot[:, None], points], axis=1)
        target, bearing = _pursue(line, manner.ahead + manner.ahead_time * speed)
        distance = np.maximum(np.hypot(*target.T), 1e-3)
        curvature = 2.0 * target[:, 1] / distance**2
        rest = seen["remaining"][:, 0] * POINT_SCALE
        rest = np.where(rest >= POINT_SCALE, np.inf, rest)
        clear = seen["clearance"][:, 0] * POINT_SCALE
        room = np.where(clear >= POINT_SCALE, np.inf, clear - manner.gap)
        v = np.full(len(observation), drive.speed_max)
        for left in (rest, room):
            v = np.minimum(v, np.sqrt(2.0 * manner.brake * np.maximum(left, 0.0)))
        v = np.minimum(v, np.sqrt(manner.corner_speed**2 + 2.0 * manner.brake * _corner(line, manner.corner)))
        v = np.minimum(v, drive.turn_max / np.maximum(np.abs(curvature), 1e-6))
        spot = np.abs(bearing) > manner.turn_on_spot
        w = np.where(spot, np.clip(3.0 * bearing, -drive.turn_max, drive.turn_max), v * curvature)
        v = np.where(spot, 0.0, v)
        nothing = np.abs(points).max(axis=(1, 2)) < 1e-6  # no corridor: no permission to drive
        v, w = np.where(nothing, 0.0, v), np.where(nothing, 0.0, w)
        return np.stack([v / drive.speed_max, np.clip(w / drive.turn_max, -1.0, 1.0)], axis=-1).astype(np.float32)


def _pursue(line: NDArray[np.float64], ahead: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The point of each line (rows, points, 2) at a distance along it, or its end; and its bearing, rad."""
    step = np.diff(line, axis=1)
    length = np.hypot(step[..., 0], step[..., 1])
    before = np.cumsum(length, axis=1) - length
    share = np.clip((ahead[:, None] - before) / np.maximum(length, 1e-9), 0.0, 1.0)
    target = line[:, 0] + (share[..., None] * step).sum(axis=1)
    return target, np.arctan2(target[:, 1], target[:, 0])


def _corner(line: NDArray[np.float64], sharp: float) -> NDArray[np.float64]:
    """Way along each line to the first change of direction beyond `sharp`, m; inf without one."""
    step = np.diff(line, axis=1)
    length = np.hypot(step[..., 0], step[..., 1])
    along = np.cumsum(length, axis=1)[:, :-1]
    one, two = step[:, :-1], step[:, 1:]
    turn = np.abs(np.arctan2(one[..., 0] * two[..., 1] - one[..., 1] * two[..., 0], (one * two).sum(axis=-1)))
    real = (length[:, :-1] > 1e-3) & (length[:, 1:] > 1e-3) & (turn > sharp)
    return np.where(real, along, np.inf).min(axis=1)
