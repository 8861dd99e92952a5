"""On which lane each ego truly stands: followed from step to step along successors, and across borders to neighbours.

The lane is the memory: a point of a junction lies on several lanes, and which of them a car is on follows from where it
came and where its route goes. Beyond a lane's end the route's next lane follows (a successor; where the route names a
neighbour, the straightest successor, as routes beyond a goal do); across a border the neighbour, or a lane of the other
direction, or none: then the lane stays as long as base_link is within OFF of its border, and is -1 beyond.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp

from sim.driving.maparrays import RoutesArrays, route_next, route_togo
from sim.driving.state import Footing
from sim.frenet import Lanes, lane_frame, lane_project, lane_search

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

OFF = wp.constant(3.0)
"""m beyond a lane's border: still counted as that lane, off the road further out."""

JOINT = wp.constant(0.001)
"""m before a lane's end that count as its end: far above what float32 rounds."""


@wp.func
def onward(lanes: Lanes, routes: RoutesArrays, route: int, lane: int) -> int:
    """The successor that a car takes at the end of a lane; -1 where the road ends."""
    wanted = route_next(routes, route, lane)
    best = wp.int32(-1)
    least = wp.float32(1.0e9)
    for k in range(lanes.successors.shape[1]):
        after = lanes.successors[lane, k]
        if after >= 0:
            if after == wanted:
                return after
            turn = wp.abs(lane_frame(lanes, after, lanes.length[after]).heading - lane_frame(lanes, after, 0.0).heading)
            if lanes.kind[after] == 0 and turn < least:
                least = turn
                best = after
    return best


@wp.func
def follow(lanes: Lanes, routes: RoutesArrays, route: int, lane: int, x: float, y: float, guess: float) -> wp.vec3:
    """Lane (as a number), s and d of a point that was on `lane` near s = guess a moment ago; lane -1 off the road."""
    here = lane
    found = lane_project(lanes, here, x, y, guess)
    for _ in range(3):
        if found[0] >= lanes.length[here] - JOINT:
            after = onward(lanes, routes, route, here)
            if after < 0 and lanes.kind[here] != 0 and lanes.beside[here, 0] >= 0:
                after = onward(
                    lanes, routes, route, lanes.beside[here, 0]
                )  # a shoulder ends where a ramp's lane begins
            if after >= 0:
                there = lane_project(lanes, after, x, y, 0.0)
                if there[0] > 0.0 or wp.abs(there[1]) <= wp.abs(found[1]):
                    here = after
                    found = there
    frame = lane_frame(lanes, here, found[0])
    beside = wp.int32(-1)
    if found[1] > frame.left:
        beside = lanes.beside[here, 0]
        if beside < 0:
            beside = lanes.beside[here, 2]
    if found[1] < -frame.right:
        beside = lanes.beside[here, 1]
    if beside >= 0:
        there = lane_search(lanes, beside, x, y)
        at = lane_frame(lanes, beside, there[0])
        if there[1] <= at.left and there[1] >= -at.right:
            return wp.vec3(float(beside), there[0], there[1])
    if found[1] > frame.left + OFF or found[1] < -frame.right - OFF:
        return wp.vec3(-1.0, found[0], found[1])
    return wp.vec3(float(here), found[0], found[1])


@wp.kernel
def find_footing(lanes: Lanes, routes: RoutesArrays, pose: wp.array2d(dtype=wp.float32), footing: Footing) -> None:
    """Follow each row's base_link; who is off the road stays where it was last."""
    row = wp.tid()
    lane = footing.lane[row]
    if lane < 0:
        return
    x = pose[row, 0]
    y = pose[row, 1]
    found = follow(lanes, routes, footing.route[row], lane, x, y, footing.place[row, 0])
    stands = int(found[0])
    footing.lane[row] = stands
    footing.place[row, 0] = found[1]
    footing.place[row, 1] = found[2]
    if stands < 0:
        return
    frame = lane_frame(lanes, stands, found[1])
    turn = pose[row, 2] - frame.heading
    footing.place[row, 2] = wp.atan2(wp.sin(turn), wp.cos(turn))
    footing.place[row, 3] = frame.curvature
    footing.left[row] = route_togo(routes, footing.route[row], stands, found[1])
