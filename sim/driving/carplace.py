"""Where a car is on its map, and where others are: the lane geometry of a `View` from localisation and lane camera.

    find_lane      the lane that base_link is on, and the path ahead, which is the map's, moved across by what the lane
                   camera sees; without a camera it is where the map says
    find_objects   on which lane each object of a view is, its place and its speed across there

In the simulator sim/driving/path.py and objectlist.py know both from the truth; a car has but its readings. Where a
camera looks decides which of two neighbouring lanes is meant, because localisation may be off by more than the border
is wide; the path is laid out about the car as localised, so that it and objects seen from the car fit each other.

Whoever enters a junction could be on any of its ways: until one fits better than the others by APART he counts as
still on the lane that he came from, beyond its end, from which the shield follows all of them. One who is seen there
first is taken to be on the way that fits best, which may be wrong.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import numpy as np
import warp as wp
from numpy.typing import NDArray

from sim.actors import ActorKind
from sim.driving.abreast import kind_of
from sim.driving.maparrays import RoutesArrays, route_togo
from sim.driving.path import DRIVING_C, FAR, LaneErrors, Match, due_changes, follow_lane, trace
from sim.driving.pathframe import POINTS_C
from sim.driving.state import ObjectColumn, View
from sim.frenet import LINKS_C, Lanes, lane_frame, lane_project, lane_search
from sim.road import LaneKind, Road

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

LOST = wp.constant(3.0)
"""m beyond a lane's border: base_link is looked for on the whole map again (sim/driving/footing.py: OFF)."""

AGAINST = wp.constant(0.7)
"""Cosine of the angle to a lane beyond which nobody is driving along it: 45 degrees."""

ELSEWHERE = wp.constant(4.0)
"""m that a lane from which the goal cannot be reached must be nearer by, to begin on."""

ASTRAY = wp.constant(4.0)
"""What the cosine to a lane lacks counts as so many metres beside it."""

NEARER = wp.constant(0.5)
"""m by which a neighbour must fit the lane camera better than the lane before: more than camera and map are off."""

APART = wp.constant(0.7)
"""m by which one way through a junction must fit better than the next, to be the one: a sixth of a car's length."""

UNSURE = wp.constant(25.0)
"""m into a junction after which the way that fits best counts: the longest ways of a town's junctions."""

MARGIN = wp.constant(0.3)
"""m beyond a lane's border within which one is still on it."""

DRIVING_LANE, BICYCLE_LANE = wp.constant(int(LaneKind.DRIVING)), wp.constant(int(LaneKind.BICYCLE))
WALKER_C = wp.constant(int(ActorKind.PEDESTRIAN))
X, Y, YAW = (wp.constant(int(each)) for each in (ObjectColumn.X, ObjectColumn.Y, ObjectColumn.YAW))
SPEED, LANE_S, LANE_D, LATERAL = (
    wp.constant(int(each))
    for each in (ObjectColumn.SPEED, ObjectColumn.LANE_S, ObjectColumn.LANE_D, ObjectColumn.LATERAL)
)


def lane_boxes(road: Road, origin: tuple[float, float], room: float = 3.0) -> NDArray[np.float32]:
    """The box of each lane about `origin`: low x, low y, high x, high y, with `room` m around its middle; (L, 4)."""
    boxes = [[*(lane.centre.min(axis=0) - origin), *(lane.centre.max(axis=0) - origin)] for lane in road.lanes]
    return np.add(boxes, (-room, -room, room, room)).astype(np.float32)


@wp.func
def search_lane(lanes: Lanes, boxes: wp.array2d(dtype=wp.float32), routes: RoutesArrays, view: View, row: int) -> int:
    """The driving lane that base_link is on, those first that lead to the goal; -1 for none within LOST of it."""
    x = view.pose[row, 0]
    y = view.pose[row, 1]
    best = wp.int32(-1)
    least = wp.float32(1.0e9)
    for lane in range(boxes.shape[0]):
        near = x > boxes[lane, 0] and y > boxes[lane, 1] and x < boxes[lane, 2] and y < boxes[lane, 3]
        if near and lanes.kind[lane] == DRIVING_LANE:
            found = lane_search(lanes, lane, x, y)
            frame = lane_frame(lanes, lane, found[0])
            along = wp.cos(view.pose[row, 2] - frame.heading)
            cost = wp.abs(found[1]) + ASTRAY * (1.0 - along)
            if not wp.isfinite(route_togo(routes, 0, lane, found[0])):
                cost += ELSEWHERE
            inside = found[1] < frame.left + LOST and found[1] > -frame.right - LOST
            if inside and along > AGAINST and cost < least:
                least = cost
                best = lane
    return best


@wp.func
def agree(lanes: Lanes, match: Match, row: int, x: float, y: float, found: wp.vec2, d: float) -> wp.vec2:
    """The s and d on the lane, of the matched one and its neighbours, that the lane camera sees; `match` follows."""
    here = match.lane[row]
    best = wp.vec2(found[0], found[1])
    off = wp.abs(found[1] - d) - NEARER
    for side in range(2):
        other = lanes.beside[here, side]
        if kind_of(lanes, other) == DRIVING_C:
            there = lane_project(lanes, other, x, y, found[0] / lanes.length[here] * lanes.length[other])
            if wp.abs(there[1] - d) < off:
                off = wp.abs(there[1] - d)
                best = there
                match.lane[row] = other
                match.previous[row] = -1
                match.s[row] = there[0]
    return best


@wp.kernel
def find_lane(
    lanes: Lanes,
    boxes: wp.array2d(dtype=wp.float32),
    routes: RoutesArrays,
    before: wp.array(dtype=wp.int32),
    camera: wp.array2d(dtype=wp.float32),
    match: Match,
    errors: LaneErrors,
    view: View,
) -> None:
    """Lane, place, path and goal of each row, whose `View.pose` is known; `camera`: 1 if it sees, d, heading.

    A row that is on no lane has none, and no path.
    """
    row = wp.tid()
    x = view.pose[row, 0]
    y = view.pose[row, 1]
    yaw = view.pose[row, 2]
    if not wp.isfinite(x + y + yaw):
        return
    found = wp.vec2()
    if match.lane[row] >= 0:
        found = follow_lane(lanes, routes, 0, match, row, x, y)
        edge = lane_frame(lanes, match.lane[row], found[0])
        if found[1] > edge.left + LOST or found[1] < -edge.right - LOST:
            match.lane[row] = -1
    if match.lane[row] < 0:
        lane = search_lane(lanes, boxes, routes, view, row)
        match.lane[row] = lane
        match.previous[row] = -1
        if lane >= 0:
            found = lane_search(lanes, lane, x, y)
            match.s[row] = found[0]
    view.lane[row] = match.lane[row]
    if match.lane[row] < 0:
        for k in range(POINTS_C):
            view.path_lane[row, k] = -1
        return
    sees = camera[row, 0] > 0.5
    if sees:
        found = agree(lanes, match, row, x, y, found, camera[row, 1])
    lane = match.lane[row]
    frame = lane_frame(lanes, lane, found[0])
    turn = wp.atan2(wp.sin(yaw - frame.heading), wp.cos(yaw - frame.heading))
    errors.offset[row] = 0.0
    errors.heading[row] = 0.0
    view.where[row, 0] = found[1]
    view.where[row, 1] = turn
    if sees:
        errors.offset[row] = found[1] - camera[row, 1]
        errors.heading[row] = turn - camera[row, 2]
        view.where[row, 0] = camera[row, 1]
        view.where[row, 1] = camera[row, 2]
    view.lane[row] = lane
    s = wp.max(found[0], 0.0)
    trace(lanes, routes, 0, before, errors, row, lane, match.previous[row], s, yaw, view)
    due = due_changes(lanes, routes, 0, lane, s)
    view.goal[row, 0] = wp.min(route_togo(routes, 0, lane, s), FAR)
    view.goal[row, 1] = due[0]
    view.goal[row, 2] = wp.min(due[1], FAR)


@wp.func
def fit(lanes: Lanes, lane: int, x: float, y: float, yaw: float) -> wp.vec3:
    """How badly somebody fits a lane, m, and his s and d on it; 1e9 where he is not on it or not along it."""
    found = lane_search(lanes, lane, x, y)
    frame = lane_frame(lanes, lane, found[0])
    along = wp.cos(yaw - frame.heading)
    inside = found[1] < frame.left + MARGIN and found[1] > -frame.right - MARGIN
    if not inside or along < AGAINST:
        return wp.vec3(1.0e9, found[0], found[1])
    return wp.vec3(wp.abs(found[1]) + ASTRAY * (1.0 - along), found[0], found[1])


@wp.kernel
def find_objects(
    lanes: Lanes,
    boxes: wp.array2d(dtype=wp.float32),
    came: wp.array2d(dtype=wp.int32),
    across: wp.array2d(dtype=wp.float32),
    view: View,
) -> None:
    """The lane of each row's object, its place and its speed across there; `came`: its lane before, -1 for none known.

    `across`: its speed to the left of its heading. Nobody on foot is on a lane.
    """
    row, j = wp.tid()  # pyright: ignore[reportAssignmentType]  # as many as the launch has dimensions
    kind = view.object_kind[row, j]
    if kind < 0:
        return
    x = view.objects[row, j, X]
    y = view.objects[row, j, Y]
    yaw = view.objects[row, j, YAW]
    was = came[row, j]
    lane = wp.int32(-1)
    best = wp.vec3(1.0e8, 0.0, 0.0)
    if kind != WALKER_C and was >= 0:
        here = fit(lanes, was, x, y, yaw)
        if here[0] < 1.0e8 and here[1] < lanes.length[was] - 0.01:
            lane = was  # along the same lane; which of its neighbours is nearer is looked at below
            best = wp.vec3(here[0] - MARGIN, here[1], here[2])
        if lane < 0:
            next = wp.float32(1.0e9)
            for k in range(LINKS_C):
                way = lanes.successors[was, k]
                if way >= 0:
                    there = fit(lanes, way, x, y, yaw)
                    if there[0] < best[0]:
                        next = wp.min(next, best[0])
                        best = there
                        lane = way
                    else:
                        next = wp.min(next, there[0])
            if lane >= 0 and next - best[0] < APART and best[1] < UNSURE:
                best = wp.vec3(0.0, lanes.length[was] + best[1], best[2])
                lane = was
    if kind != WALKER_C and (lane < 0 or lane == was):
        held = wp.bool(lane >= 0 and best[1] > lanes.length[wp.max(lane, 0)])
        for other in range(boxes.shape[0]):
            near = x > boxes[other, 0] and y > boxes[other, 1] and x < boxes[other, 2] and y < boxes[other, 3]
            drives = lanes.kind[other] == DRIVING_LANE or lanes.kind[other] == BICYCLE_LANE
            if near and drives and not held and other != was:
                there = fit(lanes, other, x, y, yaw)
                # who is on a lane is on another one only beside it, not where the two share ground
                beside = was < 0 or lane < 0 or lanes.beside[was, 0] == other or lanes.beside[was, 1] == other
                if beside and there[0] < best[0]:
                    best = there
                    lane = other
    view.object_lane[row, j] = lane
    view.objects[row, j, LANE_S] = 0.0
    view.objects[row, j, LANE_D] = 0.0
    view.objects[row, j, LATERAL] = 0.0
    if lane >= 0:
        turn = yaw - lane_frame(lanes, lane, best[1]).heading
        view.objects[row, j, LANE_S] = best[1]
        view.objects[row, j, LANE_D] = best[2]
        view.objects[row, j, LATERAL] = view.objects[row, j, SPEED] * wp.sin(turn) + across[row, j] * wp.cos(turn)
