"""Where a car can stop at the road's side: the hard shoulder, or the lane's right border where there is none.

    side_ahead(road, lane, ...)   how far the side of a lane goes on: where a stop at the side may begin (starts.py)
    side_of(row, view, ...)       the line to stop on, as far as a view's path shows it, for who drives

A stop takes its room: what slowing down from the limit takes at GENTLY (sim/driving/calm.py), v^2 / (2 GENTLY), and the
way across. A ramp's lane, which takes the shoulder's place, interrupts it.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp

from sim.driving.brisk import UNLIMITED, Limits
from sim.driving.calm import GENTLY
from sim.driving.pathframe import BEHIND_C, RIGHT_LANE_C, SHOULDER_C, STEP_C, path_at, path_end
from sim.driving.state import View
from sim.driving.wish import ON_LINE, STRAIGHT
from sim.road import Lane, LaneKind, Road
from sim.roadconflicts import find_run_over

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

BORDER_GAP = wp.constant(0.3)
"""Room that a car pulled over leaves to the lane's border where there is no shoulder, m."""

PULL_SPEED, EASE = wp.constant(8.0), wp.constant(2.5)
"""m/s; at which a car goes to the side, and by how much less than its speed is allowed at once while it slows down."""

CREEP, NEARING = wp.constant(2.0), wp.constant(8.0)
"""m/s at which a car straightens at the side, and by how much more for each metre that it has left across."""

WELL = wp.constant(0.7)
"""Share of what counts as on the line from which a car that rolls stops: it drifts on by the rest."""

ACROSS_ROOM, STOP_ROOM = 40.0, 10.0
"""Way from the lane to the side (3 m at a slope of a thirteenth), and what is left over where the car stands, m."""

STOPPING, ACROSS, STANDING = wp.constant(GENTLY), wp.constant(ACROSS_ROOM), wp.constant(STOP_ROOM)
"""The same for kernels; what EASE makes of a driver brakes harder than GENTLY, so that what was room stays room."""


def pull_room(limit: float) -> float:
    """Way to a stop at the side from a lane's limit (m/s), slowing down by GENTLY, m."""
    return min(limit, float(UNLIMITED)) ** 2 / (2.0 * GENTLY) + ACROSS_ROOM + STOP_ROOM


def side_ahead(road: Road, lane: int, enough: float) -> float:
    """How far the side of a lane goes on from the lane's beginning whichever way is taken, m; 0 where it has none.

    A lane to the right, a junction and the end of a shoulder interrupt it, and a ramp's lane that leads over the
    shoulder, but where the lane begins: `side_begin`. Looked at up to `enough` m beyond its end.
    """
    here = road.lanes[lane]
    shoulder = _shoulder(road, here)
    if here.kind != LaneKind.DRIVING or here.junction >= 0 or shoulder is None:
        return 0.0
    end = min([begin for begin, _ in _run_over(road, here) if begin > 0.0], default=here.length)
    if enough <= 0.0 or not here.successors or end < here.length:
        return end
    onward = (
        side_ahead(road, each, enough - road.lanes[each].length)
        if _shoulder(road, road.lanes[each]) == shoulder and side_begin(road, each) == 0.0
        else 0.0
        for each in here.successors
    )
    return end + min(onward)


def side_begin(road: Road, lane: int) -> float:
    """The s from which on a lane has a side: beyond a ramp's lane that leads over its shoulder where it begins, m."""
    return max([end for begin, end in _run_over(road, road.lanes[lane]) if begin == 0.0], default=0.0)


def _run_over(road: Road, lane: Lane) -> tuple[tuple[float, float], ...]:
    """Where another way leads over a lane's shoulder, s of the lane itself from and to."""
    beside = lane.right_neighbour
    if beside < 0:
        return ()
    ways, share = find_run_over(road).get(beside, ()), lane.length / road.lanes[beside].length
    return tuple((begin * share, end * share) for begin, end in ways)


def _shoulder(road: Road, lane: Lane) -> bool | None:
    """Whether a lane has a shoulder; None where there is another lane beside it."""
    beside = lane.right_neighbour
    if beside >= 0 and road.lanes[beside].kind == LaneKind.DRIVING:
        return None
    return beside >= 0 and road.lanes[beside].kind == LaneKind.SHOULDER


@wp.func
def shoulder_ahead(row: int, view: View, limits: Limits) -> float:
    """How far ahead the shoulder goes on before a ramp's lane takes its place or it ends, m; 1e6: as far as is seen."""
    for k in range(BEHIND_C, path_end(view, row) + 1):
        if view.path[row, k, RIGHT_LANE_C] > 0.0 or view.path[row, k, SHOULDER_C] < limits.shoulder:
            return float(k - BEHIND_C) * STEP_C
    return wp.float32(1.0e6)


@wp.func
def side_of(row: int, view: View, limits: Limits) -> wp.vec2:
    """The d of the strip to stop on, and 1 where one can stop on it; else the lane's middle and 0: one drives on.

    A shoulder that a ramp interrupts before the car would stand is none.
    """
    here = path_at(view, row, 0.0)
    if here.right_lane > 0.0:
        return wp.vec2(0.0, 0.0)
    if here.shoulder < limits.shoulder:
        return wp.vec2(-wp.max(here.right - limits.half_width - BORDER_GAP, 0.0), 1.0)
    line = -(here.right + 0.5 * here.shoulder)
    v = view.motion[row, 0]
    left = wp.clamp(wp.abs(view.where[row, 0] - line) / wp.abs(line), 0.0, 1.0)
    if v * v / (2.0 * STOPPING) + STANDING + left * ACROSS > shoulder_ahead(row, view, limits):
        return wp.vec2(0.0, 0.0)
    return wp.vec2(line, 1.0)


@wp.func
def aside_speed(aside: float, turn: float, v: float) -> float:
    """How fast one goes `aside` m from the line to stop on, and `turn` rad from along it, m/s: 0 on it and straight."""
    share = wp.where(v > 0.5 * CREEP, WELL, 1.0)
    if wp.abs(aside) < share * ON_LINE and wp.abs(turn) < share * STRAIGHT:
        return wp.float32(0.0)
    return wp.clamp(CREEP + NEARING * (wp.abs(aside) - ON_LINE), CREEP, PULL_SPEED)
