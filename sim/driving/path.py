"""The path ahead: the lane that an ego takes itself to be on, and its points and those of what follows on the route.

Whoever drives reads `View.path`, which runs along the lane, goes on into the successors that the route takes, and never
changes lanes: where the route names a neighbour, the path goes straight on, and `View.goal` says how many changes are
due and how far off the last may be. The path is from the map, moved by what the lane camera is wrong by
(`LaneErrors`); the place along it comes from localisation, the place across it from the camera.

    match       the lane of the step before, moved on to a successor at its end, to a neighbour once base_link is
                HYSTERESIS beyond the border; only to lanes for driving, so that a car on a hard shoulder, or beyond the
                middle of the road, keeps its place beside the lane that it came from
    trace       PATH points every PATH_STEP m from 12 m behind; the heading goes on continuously over lanes' joints

Before a road's first lane the path goes back straight; beyond its end the last point is held, with lane -1.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import numpy as np
import warp as wp

from sim.driving.abreast import JOINT, abreast_of, kind_of, put_point
from sim.driving.atlas import Atlas
from sim.driving.footing import onward
from sim.driving.maparrays import RoutesArrays, route_next, route_togo
from sim.driving.pathframe import BEHIND_C, HEADING_C, POINTS_C, STEP_C
from sim.driving.state import Footing, View
from sim.frenet import Lanes, lane_frame, lane_project, lane_search
from sim.road import LaneKind

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

HYSTERESIS = wp.constant(0.15)
"""How far beyond the border of a lane base_link is matched to the neighbour, m: more than the lane camera's error, so
that the match does not flicker."""

LOOK = wp.constant(24)
"""Lanes that are followed ahead for the changes that a route asks for: some kilometres of highway, a dozen blocks."""

FAR = wp.constant(1.0e5)
"""Metres to a goal that cannot be reached, and until a change that is not due."""

DRIVING_C = wp.constant(int(LaneKind.DRIVING))


@wp.struct
class Match:
    """The lane that each ego takes itself to be on, from step to step."""

    lane: wp.array(dtype=wp.int32)
    """Lane of the atlas, -1 for none; (rows,)"""
    previous: wp.array(dtype=wp.int32)
    """The lane before it, -1 for none; (rows,)"""
    s: wp.array(dtype=wp.float32)
    """Of base_link on the lane, m, (rows,)"""


@wp.struct
class LaneErrors:
    """What the lane camera is wrong by in this step."""

    offset: wp.array(dtype=wp.float32)
    """How far to the left of the true lane the path is seen, m, (rows,)"""
    heading: wp.array(dtype=wp.float32)
    """rad, (rows,)"""
    curvature: wp.array(dtype=wp.float32)
    """1/m, (rows,)"""


def make_match(rows: int, device: str) -> Match:
    """On no lane."""
    match = Match()
    match.lane = wp.full(rows, -1, dtype=wp.int32, device=device)
    match.previous = wp.full(rows, -1, dtype=wp.int32, device=device)
    match.s = wp.zeros(rows, dtype=wp.float32, device=device)
    return match


def make_lane_errors(rows: int, device: str) -> LaneErrors:
    """None."""
    errors = LaneErrors()
    for name in ("offset", "heading", "curvature"):
        setattr(errors, name, wp.zeros(rows, dtype=wp.float32, device=device))
    return errors


def before_lanes(atlas: Atlas) -> wp.array:
    """The driving lane that comes before each lane of an atlas, the straightest of several, -1 for none; (L,)."""
    found = np.full(int(atlas.first[-1]), -1, np.int32)
    for first, road in zip(atlas.first.tolist(), atlas.roads, strict=False):
        for index, lane in enumerate(road.lanes):
            turns = {
                each: abs(float(road.lanes[each].heading[-1] - road.lanes[each].heading[0]))
                for each in lane.predecessors
                if road.lanes[each].kind == LaneKind.DRIVING
            }
            if turns:
                found[first + index] = first + min(turns, key=lambda each: (turns[each], each))
    return wp.array(found, dtype=wp.int32, device=atlas.device)


@wp.func
def cross(lanes: Lanes, match: Match, row: int, x: float, y: float, s: float, d: float) -> wp.vec2:
    """The s and d on the neighbour that base_link has come to, or on the way that it took; `match` follows."""
    here = match.lane[row]
    frame = lane_frame(lanes, here, s)
    beside = wp.int32(-1)
    if d > frame.left + HYSTERESIS:
        beside = lanes.beside[here, 0]
    elif d < -frame.right - HYSTERESIS:
        beside = lanes.beside[here, 1]
    else:
        return wp.vec2(s, d)
    if beside >= 0:
        if kind_of(lanes, beside) == DRIVING_C:
            there = lane_project(lanes, beside, x, y, s / lanes.length[here] * lanes.length[beside])
            if wp.abs(there[1]) < wp.abs(d):
                match.lane[row] = beside
                match.previous[row] = -1
                return there
        return wp.vec2(s, d)
    came = match.previous[row]
    best = wp.vec2(s, d)
    if came >= 0:  # the route's way through a junction was not taken: which one was?
        for k in range(lanes.successors.shape[1]):
            other = lanes.successors[came, k]
            if other >= 0 and other != here:
                there = lane_search(lanes, other, x, y)
                if wp.abs(there[1]) < wp.abs(best[1]) - HYSTERESIS:
                    best = there
                    match.lane[row] = other
    return best


@wp.func
def follow_lane(lanes: Lanes, routes: RoutesArrays, route: int, match: Match, row: int, x: float, y: float) -> wp.vec2:
    """Move a row's match to where base_link is now; returns s and d."""
    here = match.lane[row]
    found = lane_project(lanes, here, x, y, match.s[row])
    for _ in range(3):
        if found[0] >= lanes.length[here] - JOINT:
            after = onward(lanes, routes, route, here)
            if after >= 0:
                there = lane_project(lanes, after, x, y, 0.0)
                if there[0] > 0.0 or wp.abs(there[1]) <= wp.abs(found[1]):
                    match.previous[row] = here
                    here = after
                    found = there
    match.lane[row] = here
    found = cross(lanes, match, row, x, y, found[0], found[1])
    match.s[row] = found[0]
    return found


@wp.func
def trace(
    lanes: Lanes,
    routes: RoutesArrays,
    route: int,
    before: wp.array(dtype=wp.int32),
    errors: LaneErrors,
    row: int,
    lane: int,
    previous: int,
    s: float,
    yaw: float,
    view: View,
) -> None:
    """Every point of a row's path from s on a lane; headings next to `yaw`."""
    abreast = abreast_of(lanes, lane)
    at = wp.float32(s)
    near = wp.float32(yaw)
    wrong = wp.vec3(errors.offset[row], errors.heading[row], errors.curvature[row])
    k = wp.int32(BEHIND_C)
    while k < POINTS_C:
        while at > abreast.own.length:
            after = onward(lanes, routes, route, abreast.lane)
            if after < 0:
                break
            at -= abreast.own.length
            abreast = abreast_of(lanes, after)
        near = put_point(lanes, wrong, row, k, abreast, wp.min(at, abreast.own.length), 0.0, near, view)
        k += 1
        if at > abreast.own.length + JOINT:
            view.path_lane[row, k - 1] = -1
            break
        at += STEP_C
    while k < POINTS_C:  # beyond the road's end
        for column in range(10):
            view.path[row, k, column] = view.path[row, k - 1, column]
        view.path_lane[row, k] = -1
        view.path_s[row, k] = view.path_s[row, k - 1]
        k += 1
    abreast = abreast_of(lanes, lane)
    at = wp.float32(s)
    near = view.path[row, BEHIND_C, HEADING_C] - errors.heading[row]
    known = wp.int32(previous)
    for i in range(BEHIND_C):
        at -= STEP_C
        while at < 0.0:
            came = wp.int32(before[abreast.lane])
            if known >= 0:
                came = known
                known = -1
            if came < 0:
                break
            abreast = abreast_of(lanes, came)
            at += abreast.own.length
        near = put_point(lanes, wrong, row, BEHIND_C - 1 - i, abreast, wp.max(at, 0.0), wp.max(-at, 0.0), near, view)


@wp.func
def due_changes(lanes: Lanes, routes: RoutesArrays, route: int, lane: int, s: float) -> wp.vec2:
    """Lane changes that the route asks for where the car goes straight on (negative: to the right), m until the last.

    The lane on which the route names a neighbour is the one on which the change must be done (sim/driving/routes.py).
    """
    here = wp.int32(lane)
    ahead = wp.float32(-s)
    for _ in range(LOOK):
        after = wp.int32(route_next(routes, route, here))
        if after < 0:
            return wp.vec2(0.0, FAR)
        many = wp.int32(0)
        side = wp.int32(here)
        room = wp.float32(lanes.length[here])
        for _change in range(8):
            if after >= 0 and after == lanes.beside[side, 0]:
                many += 1
            elif after >= 0 and after == lanes.beside[side, 1]:
                many -= 1
            else:
                break
            side = after
            room = wp.min(room, route_togo(routes, route, side, 0.0))  # the goal may lie before the lane's end
            after = route_next(routes, route, side)
        if many != 0:
            return wp.vec2(float(many), wp.max(ahead + room, 0.0))
        ahead += lanes.length[here]
        here = after
    return wp.vec2(0.0, FAR)


@wp.kernel
def start_match(lanes: Lanes, footing: Footing, mask: wp.array(dtype=wp.uint8), match: Match) -> None:
    """The masked rows' episodes begin on the lanes that they stand on; beside a lane for driving if not on one."""
    row = wp.tid()
    if mask[row] == wp.uint8(0):
        return
    lane = footing.lane[row]
    match.lane[row] = lane
    if lane >= 0 and kind_of(lanes, lane) != DRIVING_C:
        for side in range(2):
            other = lanes.beside[lane, side]
            if kind_of(lanes, other) == DRIVING_C:
                match.lane[row] = other
    match.previous[row] = -1
    match.s[row] = footing.place[row, 0]


@wp.kernel
def see_path(
    lanes: Lanes,
    routes: RoutesArrays,
    before: wp.array(dtype=wp.int32),
    pose: wp.array2d(dtype=wp.float32),
    footing: Footing,
    errors: LaneErrors,
    mask: wp.array(dtype=wp.uint8),
    match: Match,
    view: View,
) -> None:
    """Path, lane, place and goal of the masked rows, whose true base_link is `pose` and whose `View.pose` is known."""
    row = wp.tid()
    if mask[row] == wp.uint8(0) or match.lane[row] < 0:
        return
    route = footing.route[row]
    found = follow_lane(lanes, routes, route, match, row, pose[row, 0], pose[row, 1])
    lane = match.lane[row]
    frame = lane_frame(lanes, lane, found[0])
    off_x = view.pose[row, 0] - pose[row, 0]
    off_y = view.pose[row, 1] - pose[row, 1]
    along = off_x * wp.cos(frame.heading) + off_y * wp.sin(frame.heading)
    s = wp.max(found[0] + along, 0.0)  # localisation says where along the lane, the camera where across it
    turn = pose[row, 2] - frame.heading
    view.lane[row] = lane
    view.where[row, 0] = found[1] - errors.offset[row]
    view.where[row, 1] = wp.atan2(wp.sin(turn), wp.cos(turn)) - errors.heading[row]
    trace(lanes, routes, route, before, errors, row, lane, match.previous[row], s, pose[row, 2], view)
    due = due_changes(lanes, routes, route, lane, s)
    view.goal[row, 0] = wp.min(route_togo(routes, route, lane, s), FAR)
    view.goal[row, 1] = due[0]
    view.goal[row, 2] = wp.min(due[1], FAR)
