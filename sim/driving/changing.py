"""Whether a change of lane is worth it, and what routes ask of lanes: a part of traffic's decisions.

MOBIL (Kesting, Treiber and Helbing, General lane-changing model MOBIL for car-following models, TRR 1999, 2007): lanes
are changed if the own gain of acceleration and, weighted by politeness, that of the followers exceeds a threshold. A
change begins only where the one behind in the new lane has the distance that RSS asks for. Who decides is in
sim/driving/deciding.py.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp

from sim.driving.following import Rules, also_distance, idm, path_distance, rss_gap, same_share
from sim.driving.looking import PEDESTRIAN_C
from sim.driving.maparrays import RoutesArrays
from sim.driving.movers import MapArrays, MoverArrays
from sim.driving.standing import HOPS_C
from sim.driving.state import ActorArrays
from sim.driving.surveying import ACCEL, BRAKE, HEADWAY, POLITE
from sim.frenet import Lanes

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

SHORTER = 50.0
"""A lane whose way is so much shorter than one's own is not taken without need, m: a lane of deceleration."""

EXIT = 40.0
"""Before the end of a lane that a route leaves to the side, an ego of the law rather waits than misses it, m."""

EXIT_BRAKE = 1.5
"""and brakes for it once that takes so much, m/s^2: a comfortable deceleration."""

EXIT_C = wp.constant(EXIT)
EXIT_BRAKE_C = wp.constant(EXIT_BRAKE)
SHORTER_C = wp.constant(SHORTER)


@wp.func
def law(lanes: Lanes, movers: MoverArrays, actors: ActorArrays, world: int, j: int, gap: float, front: float) -> float:
    """IDM acceleration of j behind something, with its own manners."""
    v0 = wp.max(lanes.limit[actors.lane[world, j]], 5.0)
    headway = wp.max(movers.manner[world, j, HEADWAY], 1.0)
    accel = wp.max(movers.manner[world, j, ACCEL], 1.0)
    brake = wp.max(movers.manner[world, j, BRAKE], 1.5)
    return wp.max(idm(actors.motion[world, j, 0], v0, gap, front, headway, accel, brake), -9.0)


@wp.func
def gain(
    rules: Rules,
    map: MapArrays,
    lanes: Lanes,
    actors: ActorArrays,
    movers: MoverArrays,
    world: int,
    i: int,
    other: int,
    v0: float,
    needed: int,
) -> float:
    """MOBIL's gain of a change to a lane beside, m/s^2; -inf where it would not be safe."""
    lane = actors.lane[world, i]
    s = actors.place[world, i, 0]
    v = actors.motion[world, i, 0]
    half = 0.5 * actors.size[world, i, 0]
    there = same_share(lanes, lane, s, other)
    onward = map.straight[other]
    limit = lanes.limit[other]
    ahead_gap = float(wp.inf)
    ahead_speed = wp.float32(0.0)
    new_gap = float(wp.inf)
    new = wp.int32(-1)
    old_gap = float(wp.inf)
    old = wp.int32(-1)
    for j in range(actors.kind.shape[1]):
        if (
            j != i
            and actors.kind[world, j] >= 0
            and actors.kind[world, j] != PEDESTRIAN_C
            and actors.lane[world, j] >= 0
        ):
            reach = 0.5 * actors.size[world, j, 0] + half
            front = actors.motion[world, j, 0]
            x = float(wp.inf)
            if actors.lane[world, j] == other:
                x = actors.place[world, j, 0] - there
            elif movers.also[world, j] == other:
                x = movers.also_s[world, j] - there
            elif actors.lane[world, j] == onward:
                x = actors.place[world, j, 0] + lanes.length[other] - there
            elif movers.also[world, j] == onward and onward >= 0:
                x = movers.also_s[world, j] + lanes.length[other] - there
            if x < wp.inf and x > -reach:
                gap = x - reach
                if gap < 2.0 + 0.5 * v + wp.max(v * v - front * front, 0.0) / (2.0 * rules.brake_least):
                    return -wp.inf
                if gap < ahead_gap:
                    ahead_gap = gap
                    ahead_speed = front
            else:
                behind = path_distance(movers, world, j, other, there)
                along = also_distance(map, lanes, movers, world, j, other, there)
                if along > 0.0:
                    behind = wp.min(behind, along)
                if behind > 0.0 and behind < wp.inf:
                    gap = behind - reach
                    if gap <= rss_gap(rules, front, v, limit) + 0.5:
                        return -wp.inf
                    if gap < new_gap:
                        new_gap = gap
                        new = j
            back = path_distance(movers, world, j, lane, s) - reach
            if back > 0.0 and back < old_gap:
                old_gap = back
                old = j
    if needed != 0:
        return 100.0
    accel = movers.manner[world, i, ACCEL]
    headway = movers.manner[world, i, HEADWAY]
    brake = movers.manner[world, i, BRAKE]
    leader = movers.ahead[world, i]
    now_front = float(v)
    if leader >= 0:
        now_front = actors.motion[world, leader, 0]
    now = wp.max(idm(v, v0, movers.gap[world, i], now_front, headway, accel, brake), -9.0)
    then = wp.max(idm(v, v0, ahead_gap, ahead_speed, headway, accel, brake), -9.0)
    others = wp.float32(0.0)
    if new >= 0:
        rear = new_gap + ahead_gap + 2.0 * half
        others += law(lanes, movers, actors, world, new, new_gap, v)
        others -= law(lanes, movers, actors, world, new, rear, ahead_speed)
    if old >= 0:
        others += law(lanes, movers, actors, world, old, old_gap + movers.gap[world, i] + 2.0 * half, now_front)
        others -= law(lanes, movers, actors, world, old, old_gap, v)
    return then - now + movers.manner[world, i, POLITE] * others


@wp.func
def route_side(lanes: Lanes, routes: RoutesArrays, route: int, movers: MoverArrays, world: int, i: int) -> int:
    """To which side an ego's route asks it to change within the path that it looks at, 0 for none."""
    if route >= 0:
        for hop in range(HOPS_C):
            lane = movers.path[world, i, hop]
            if lane >= 0:
                onward = routes.next_lane[route, lane - routes.first[route]]
                if onward >= 0 and onward == lanes.enter[lane, 0]:
                    return 1
                if onward >= 0 and onward == lanes.enter[lane, 1]:
                    return -1
    return 0


@wp.func
def route_allows(routes: RoutesArrays, route: int, lane: int, other: int) -> bool:
    """Whether an ego is as near to its goal on a lane beside."""
    if route < 0:
        return True
    here = routes.togo[route, lane - routes.first[route]]
    there = routes.togo[route, other - routes.first[route]]
    return there <= here + SHORTER_C and routes.next_lane[route, other - routes.first[route]] != lane


@wp.func
def exit_brake(
    rules: Rules, lanes: Lanes, routes: RoutesArrays, route: int, movers: MoverArrays, world: int, i: int, v: float
) -> float:
    """Acceleration of an ego whose lane is left by its route before the lane's end: wait there rather than miss it."""
    if route < 0:
        return rules.accel
    lane = movers.path[world, i, 0]
    onward = routes.next_lane[route, lane - routes.first[route]]
    if onward >= 0 and (onward == lanes.enter[lane, 0] or onward == lanes.enter[lane, 1]):
        way = wp.max(movers.path_at[world, i, 0] + lanes.length[lane] - EXIT_C, 0.1)
        if v * v > 2.0 * EXIT_BRAKE_C * way:
            return wp.max(-v * v / (2.0 * way), -rules.brake_least)
    return rules.accel
