"""Geometry and links of lanelets, the lanes of CommonRoad files (sim/commonroad.py reads them)."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from sim.road import STEP, Floats, Lane, project

PLACES = 20
"""Points of a border at which a neighbour is looked for."""

ADJOIN_MAX = 1.0
"""Least distance of the borders between neighbours, m: files share them, or draw them again within a line's width."""


def even(left: Floats, right: Floats) -> tuple[Floats, Floats]:
    """Both borders with as many points each at equal distances: pairs of the file stay opposite each other."""
    centre = 0.5 * (left + right)
    s = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(centre, axis=0).T))])
    kept = np.concatenate([[True], np.diff(s) > 1e-6])
    at = np.linspace(0.0, s[-1], max(math.ceil(s[-1] / STEP), 1) + 1)
    return tuple(  # type: ignore[return-value] # two borders
        np.stack([np.interp(at, s[kept], border[kept, axis]) for axis in (0, 1)], axis=-1) for border in (left, right)
    )


def room(left: Floats, right: Floats) -> float:
    """Mean distance from the right border to the left one, across the way, m; negative where they are swapped."""
    centre = 0.5 * (left + right)
    step = np.diff(centre, axis=0)
    across = 0.5 * ((left - right)[1:] + (left - right)[:-1])
    length = max(float(np.hypot(*step.T).sum()), 1e-9)
    return float((step[:, 0] * across[:, 1] - step[:, 1] * across[:, 0]).sum()) / length


def both_ways(lanes: list[Lane]) -> tuple[Lane, ...]:
    """Links that only one of both lanelets states, stated by both."""
    after = [set(lane.successors) for lane in lanes]
    before = [set(lane.predecessors) for lane in lanes]
    for index in range(len(lanes)):
        for other in lanes[index].successors:
            before[other].add(index)
        for other in lanes[index].predecessors:
            after[other].add(index)
    return tuple(
        replace(lane, successors=tuple(sorted(after[i])), predecessors=tuple(sorted(before[i])))
        for i, lane in enumerate(lanes)
    )


def keeps_right(lanes: list[Lane]) -> bool:
    """Whether oncoming lanes lie to the left."""
    for lane in lanes:
        if lane.oncoming >= 0:
            other = lanes[lane.oncoming].centre.mean(axis=0) - lane.centre.mean(axis=0)
            along = lane.centre[-1] - lane.centre[0]
            return bool(along[0] * other[1] - along[1] * other[0] > 0.0)
    return True


def beside(lane: Lane, side: str, other: Lane, *, same: bool) -> bool:
    """Whether a lane's neighbour lies at its side ("Left", "Right") and runs as is stated, where they are nearest."""
    border = lane.left if side == "Left" else lane.right
    shared = other.right if (side == "Left") == same else other.left
    at = np.linspace(0, len(border) - 1, PLACES).round().astype(int)
    near = _near(shared, border)  # a long neighbour of many short lanelets is not looked at whole by each
    if near.stop - near.start < 2:
        return False
    shared = shared[near]
    s = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(shared, axis=0).T))])
    where, apart = project(shared, s, border[at])
    nearest = int(np.abs(apart).argmin())
    own, its = _along(border, int(at[nearest])), _along(shared, int(np.searchsorted(s, where[nearest])))
    return bool(abs(apart[nearest]) <= ADJOIN_MAX and (own @ its > 0.0) == same)


def _along(line: Floats, point: int) -> Floats:
    """From the point before to the point after, (2,), m."""
    return line[min(point + 1, len(line) - 1)] - line[max(point - 1, 0)]


def _near(line: Floats, other: Floats) -> slice:
    """The points of a line from the first to the last that another may touch, and one more at either end."""
    low, high = other.min(axis=0) - ADJOIN_MAX - STEP, other.max(axis=0) + ADJOIN_MAX + STEP
    inside = np.flatnonzero(((line >= low) & (line <= high)).all(axis=-1))
    if len(inside) == 0:
        return slice(0, 0)
    return slice(max(int(inside[0]) - 1, 0), int(inside[-1]) + 2)
