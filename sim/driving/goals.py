"""Whether a car has reached a goal: a time interval, areas or lanes, headings and speeds that must hold at once.

After CommonRoad's goal states (Althoff, Koschi and Manzinger, IV 2017): of several goals one is enough; of several
areas one. The middle of the box counts. A moment of a file falls between two control steps: half a step of grace on
either side. `GoalArrays` holds the goals of many problems on a device; `goal_reached` is a Warp function.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import warp as wp
from numpy.typing import NDArray

from sim.actors import Goal
from sim.frenet import Lanes, lane_frame, lane_search

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

FOREVER = 1.0e9
"""Stands for infinity in intervals: kernels compare with it as with a number."""


@wp.struct
class GoalArrays:
    """Goals of K problems, G of them, with A areas."""

    first: wp.array(dtype=wp.int32)
    """Of each problem, (K + 1,)"""
    numbers: wp.array2d(dtype=wp.float32)
    """Time from and to (since the problem's beginning), heading from and to, speed from and to; (G, 6)"""
    area: wp.array(dtype=wp.int32)
    """First area of each goal, (G + 1,)"""
    corner: wp.array(dtype=wp.int32)
    """First corner of each area, (A + 1,)"""
    corners: wp.array2d(dtype=wp.float32)
    """x, y about the road's middle, m, (N, 2)"""
    lane_first: wp.array(dtype=wp.int32)
    """First lane of each goal, (G + 1,)"""
    lane: wp.array(dtype=wp.int32)
    """Of the atlas, (M,)"""


def goal_arrays(
    problems: Sequence[tuple[Sequence[Goal], float, tuple[float, float], int]], device: str = "cpu"
) -> GoalArrays:
    """Goals on a device. A problem is its goals, when it begins (s), its road's middle, its road's first lane."""
    first, numbers, area, corner, lane_first = [0], [], [0], [0], [0]
    corners: list[NDArray[np.float64]] = [np.zeros((0, 2))]
    lanes: list[int] = []
    for goals, begin, middle, before in problems:
        for goal in goals:
            times = (goal.time[0] - begin, goal.time[1] - begin)
            numbers.append(np.clip([*times, *goal.heading, *goal.speed], -FOREVER, FOREVER))
            for outline in goal.areas:
                corners.append(outline - middle)
                corner.append(corner[-1] + len(outline))
            area.append(len(corner) - 1)
            lanes += [before + lane for lane in goal.lanes]
            lane_first.append(len(lanes))
        first.append(len(numbers))
    arrays = GoalArrays()

    def whole(values: Sequence[int]) -> wp.array:
        return wp.array(np.array(values, np.int32), dtype=wp.int32, device=device)

    arrays.first, arrays.area, arrays.corner = whole(first), whole(area), whole(corner)
    arrays.lane_first, arrays.lane = whole(lane_first), whole(lanes)
    for name, rows, width in (("numbers", numbers, 6), ("corners", np.concatenate(corners), 2)):
        table = np.array(rows, np.float32).reshape(-1, width)
        setattr(arrays, name, wp.array(table, dtype=wp.float32, device=device))
    return arrays


@wp.func
def within(angle: float, low: float, high: float) -> wp.bool:
    """Whether an angle lies between two, whole turns left out."""
    turns = wp.floor((angle - low) / (2.0 * wp.pi))
    return angle - 2.0 * wp.pi * turns <= high


@wp.func
def in_area(goals: GoalArrays, a: int, x: float, y: float) -> wp.bool:
    """Whether a point lies in an area: an odd number of its sides lie to the right of it."""
    inside = wp.int32(0)
    first = goals.corner[a]
    many = goals.corner[a + 1] - first
    for k in range(many):
        i = first + k
        j = first + (k + 1) % many
        above = goals.corners[i, 1] > y
        if above != (goals.corners[j, 1] > y):
            share = (y - goals.corners[i, 1]) / (goals.corners[j, 1] - goals.corners[i, 1])
            if x < goals.corners[i, 0] + share * (goals.corners[j, 0] - goals.corners[i, 0]):
                inside = 1 - inside
    return inside == 1


@wp.func
def goal_reached(
    goals: GoalArrays,
    lanes: Lanes,
    problem: int,
    grace: float,
    time: float,
    x: float,
    y: float,
    yaw: float,
    speed: float,
) -> wp.bool:
    """Whether any goal of a problem holds for a car whose middle is at x, y; `grace` s before and after count too."""
    for g in range(goals.first[problem], goals.first[problem + 1]):
        fits = time >= goals.numbers[g, 0] - grace and time <= goals.numbers[g, 1] + grace
        if goals.numbers[g, 3] < FOREVER_C and goals.numbers[g, 2] > -FOREVER_C:
            fits = fits and within(yaw, goals.numbers[g, 2], goals.numbers[g, 3])
        fits = fits and speed >= goals.numbers[g, 4] and speed <= goals.numbers[g, 5]
        if fits:
            some = goals.area[g + 1] - goals.area[g] + goals.lane_first[g + 1] - goals.lane_first[g]
            if some == 0:
                return True
            for a in range(goals.area[g], goals.area[g + 1]):
                if in_area(goals, a, x, y):
                    return True
            for k in range(goals.lane_first[g], goals.lane_first[g + 1]):
                lane = goals.lane[k]
                found = lane_search(lanes, lane, x, y)
                frame = lane_frame(lanes, lane, found[0])
                beside = found[1] <= frame.left and found[1] >= -frame.right
                if beside and found[0] > 0.0 and found[0] < lanes.length[lane]:
                    return True
    return False


FOREVER_C = wp.constant(0.9 * FOREVER)
"""Intervals that end beyond it have no end."""
