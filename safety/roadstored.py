"""The stored plan of the road's shield as poses, for records and pictures; decides nothing.

The memory holds a plan as a line across the path, a braking and a hold (safety/roadshield.py). Played from where the
car is by the law of `safety/roadplan.py` without lag, in numpy: the poses that it would go through until it stands.

    kept = keep(memory, row)                        a copy, cheap enough for a control step
    play(kept, bounds, pose, speed)                 milliseconds: for whoever has the time, on any thread
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false
# Warp structures are not what a type checker takes them for.

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from safety.roadbounds import RoadBounds
from safety.roadshield import RoadShieldMemory
from safety.roadsteering import CRAWL, OMEGA, SIDEWAYS
from sim.driving.state import PATH_STEP
from sim.road import project

STEP = 0.1
"""s"""

LONGEST = 30.0
"""s; a stop from 50 m/s at 4 m/s^2 takes 13 s, and a hold 8 s at most."""


@dataclass(frozen=True, eq=False)
class KeptPlan:
    """What a memory holds of its plan, in arrays of its own."""

    line: float
    """Across the path, to the left, m"""
    strength: float
    """Of its braking, m/s^2"""
    hold: float
    """s until it brakes"""
    path: NDArray[np.float64]
    """x, y, heading and what else the memory has of each point, (points, columns); none where there is no plan"""


def keep(memory: RoadShieldMemory, row: int) -> KeptPlan:
    """The plan that a memory holds now."""
    line, strength, hold, there = memory.plan.numpy()[row].tolist()
    if there == 0.0:
        return KeptPlan(0.0, 0.0, 0.0, np.zeros((0, 3)))
    return KeptPlan(
        line, strength, max(hold - float(memory.elapsed.numpy()[row]), 0.0), memory.path.numpy()[row].astype(np.float64)
    )


def stored_plan(
    memory: RoadShieldMemory, row: int, bounds: RoadBounds, pose: tuple[float, float, float], speed: float
) -> NDArray[np.float64]:
    """Poses of base_link from `pose` at `speed` until it stands, (k, 3); none where there is no plan."""
    return play(keep(memory, row), bounds, pose, speed)


def play(kept: KeptPlan, bounds: RoadBounds, pose: tuple[float, float, float], speed: float) -> NDArray[np.float64]:
    """As `stored_plan`, of a plan that was kept."""
    path, line, strength = kept.path, kept.line, kept.strength
    if not len(path):
        return np.zeros((0, 3))
    s = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(path[:, :2], axis=0).T))])
    (x, y, yaw), v, time = pose, speed, 0.0
    poses = [pose]
    while v > 0.0 and time < LONGEST:
        at, d = project(path[:, :2], s, np.array([[x, y]]))
        heading = float(np.interp(at[0], s, path[:, 2]))
        segment = min(int(np.searchsorted(s, at[0], side="right")), len(s) - 1) - 1
        bend = float(path[segment + 1, 2] - path[segment, 2]) / PATH_STEP
        k = _steer(float(d[0]), yaw - heading, v, bend, line, bounds)
        brake = strength
        if line != 0.0:
            share = min(v * v * abs(k) / bounds.lateral, 1.0)
            brake = min(strength, bounds.brake * math.sqrt(max(1.0 - share * share, 0.04)))
        after = v if time < kept.hold else max(v - brake * STEP, 0.0)
        way = 0.5 * (v + after) * STEP
        x, y, yaw = x + way * math.cos(yaw + 0.5 * k * way), y + way * math.sin(yaw + 0.5 * k * way), yaw + k * way
        v, time = after, time + STEP
        poses.append((x, y, yaw))
    return np.array(poses)


def _steer(d: float, turn: float, v: float, bend: float, line: float, bounds: RoadBounds) -> float:
    """The law of `safety.roadplan.steering`."""
    pace = max(v, CRAWL)
    wish = -(OMEGA * OMEGA * (d - line) + 2.0 * OMEGA * pace * math.sin(turn))
    wish = min(max(wish, -SIDEWAYS), SIDEWAYS)
    curvature = bend * math.cos(turn) / max(1.0 - bend * d, 0.3) + wish / (pace * pace)
    most = min(bounds.curvature_max, bounds.lateral / max(v * v, 1e-3))
    return min(max(curvature, -most), most)
