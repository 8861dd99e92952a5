"""Commands for an ego that is driven by the law of traffic: its acceleration, and a curvature that keeps its lane.

With d and theta the ego's place and heading against its lane, and `aim` where the law wants it,

    v_across = clip(-(d - aim) / T_OUT, +-CHANGE)        towards the aim
    kappa = kappa_lane(s + v t) / (1 - kappa_lane d) + (v_across / v - theta) / (v T_IN)

that is a first-order law for the heading inside one for the place (T_OUT three times T_IN, so that both settle without
swinging), with the lane's curvature read where the car will be once its steering has answered.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp

from sim.driving.following import Rules, follow_route
from sim.driving.maparrays import RoutesArrays
from sim.driving.movers import MapArrays, MoverArrays
from sim.driving.moving import CHANGE_C
from sim.driving.state import Footing
from sim.frenet import Lanes, lane_frame

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

OUTER, INNER = 1.8, 0.6
"""Time constants of place and heading, s: a car's steering answers within about 0.25 s."""

ANSWER = 0.25
"""How far ahead the lane's curvature is read, s."""

SLOWEST = 2.0
"""Below so many m/s angles are reckoned as at this speed."""

LATERAL_MOST = 2.8
"""Lateral acceleration that is asked for, m/s^2: below the 3.0 m/s^2 of ISO 11270."""

OUTER_C = wp.constant(OUTER)
INNER_C = wp.constant(INNER)
ANSWER_C = wp.constant(ANSWER)
SLOWEST_C = wp.constant(SLOWEST)
LATERAL_MOST_C = wp.constant(LATERAL_MOST)


@wp.kernel(module="sim.driving.traffic")
def steer_egos(
    rules: Rules,
    map: MapArrays,
    lanes: Lanes,
    routes: RoutesArrays,
    footing: Footing,
    twist: wp.array2d(dtype=wp.float32),
    movers: MoverArrays,
    command: wp.array2d(dtype=wp.float32),
) -> None:
    """Acceleration and curvature of each row, (rows, 2); off the road it brakes straight on."""
    row = wp.tid()
    world = row / rules.robots
    slot = row % rules.robots
    lane = footing.lane[row]
    if lane < 0:
        command[row, 0] = -rules.brake_least
        command[row, 1] = 0.0
        return
    v = wp.max(twist[row, 0], 0.0)
    slow = wp.max(v, SLOWEST_C)
    d = footing.place[row, 1]
    here = lane_frame(lanes, lane, footing.place[row, 0])
    ahead = footing.place[row, 0] + ANSWER_C * v
    there = int(lane)
    if ahead > lanes.length[lane]:
        onward = follow_route(map, lanes, routes, footing.route[row], lane)
        if onward >= 0:
            ahead -= lanes.length[lane]
            there = onward
    bend = lane_frame(lanes, there, ahead).curvature
    across = wp.clamp((movers.aim[world, slot] - d) / OUTER_C, -CHANGE_C, CHANGE_C)
    across = wp.clamp(across, -0.2 * slow, 0.2 * slow)
    kappa = bend / wp.max(1.0 - here.curvature * d, 0.3)
    kappa += (across / slow - footing.place[row, 2]) / (slow * INNER_C)
    most = LATERAL_MOST_C / (slow * slow)
    command[row, 0] = movers.accel[world, slot]
    command[row, 1] = wp.clamp(kappa, -most, most)
