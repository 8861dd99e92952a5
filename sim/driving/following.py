"""The laws that traffic drives by, as functions of kernels: following, braking in time, and what a change needs behind.

    idm      a [1 - (v / v0)^4 - (s* / s)^2],  s* = s0 + max(0, v T + v (v - v_l) / (2 sqrt(a b)))
             Treiber, Hennecke and Helbing, Congested traffic states in empirical observations and microscopic
             simulations, Phys. Rev. E 62, 2000, eq. 3; s0 = 2 m
    safe     the speed from which one still stops behind the one in front if that one brakes as hard as it may:
             -b tau + sqrt(b^2 tau^2 + 2 b s + v_l^2), Krauss, Microscopic modeling of traffic flow, DLR 98-08, eq. 1.6,
             with tau one control step. The law above does not bound its own braking; this keeps it free of contacts.
    rss      definition 1 of Shalev-Shwartz et al. (safety/rss.py is the law in float64, which tests compare this with)

Lateral movement, curve speed and the choice of ways are here too.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp

from sim.driving.maparrays import ConflictArrays, RoutesArrays
from sim.driving.movers import MapArrays, MoverArrays
from sim.frenet import LINKS, Lanes
from sim.prefetch import fetch_value
from sim.road import ConflictKind

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

STANDSTILL = 2.0
"""s0 of the IDM, m (Treiber, Hennecke and Helbing 2000, table I)"""

KNUTH = wp.constant(wp.uint32(2654435761))  # multiplicative hashing, The Art of Computer Programming 3, 6.4
LINKS_C = wp.constant(LINKS)
SPLIT_C = wp.constant(int(ConflictKind.SPLIT))
STANDSTILL_C = wp.constant(STANDSTILL)


@wp.struct
class Rules:
    """Numbers of traffic that kernels read: `sim.driving.profile.RoadProfile`, periods, slots."""

    period: float
    """Motor period, s"""
    step: float
    """Control step, s"""
    robots: int
    """Slots of egos: the first"""
    vehicles: int
    """Slots of traffic's vehicles: those after them"""
    walkers: int
    """Slots of walkers: those after them"""
    seed: int
    accel: float
    brake: float
    brake_least: float
    reaction: float
    over_limit: float
    speed: float
    lateral: float
    lateral_change: float
    wander: float
    cyclist: float
    cyclist_accel: float
    pedestrian: float
    reach: float
    """Vehicles further than this from every ego are put elsewhere, m"""
    hidden: float
    """Nobody appears nearer to an ego than this, m"""
    drive_egos: int
    """Whether the egos are driven by the same law, so that their changes of lane are worked out too"""


@wp.func
def idm(v: float, v0: float, gap: float, v_front: float, headway: float, accel: float, brake: float) -> float:
    """Acceleration of the intelligent driver model, m/s^2; not bounded."""
    room = wp.max(gap, 0.1)
    share = v / v0
    wish = STANDSTILL_C + wp.max(v * headway + v * (v - v_front) / (2.0 * wp.sqrt(accel * brake)), 0.0)
    near = wish / room
    return accel * (1.0 - share * share * share * share - near * near)


@wp.func
def safe_accel(v: float, gap: float, v_front: float, brake: float, step: float) -> float:
    """Acceleration after which one still stops behind a front that brakes as hard, m/s^2."""
    if gap <= 0.0:
        return -v / step
    reached = wp.sqrt(brake * step * (brake * step) + 2.0 * brake * gap + v_front * v_front) - brake * step
    return (reached - v) / step


@wp.func
def rss_gap(rules: Rules, v_rear: float, v_front: float, limit: float) -> float:
    """Distance that must be exceeded behind a vehicle, m; the rear one accelerates up to what the limit allows."""
    top = wp.max(wp.min(limit * rules.over_limit, rules.speed), v_rear)
    until = wp.min(rules.reaction, (top - v_rear) / rules.accel)
    reached = v_rear + rules.accel * until
    way = v_rear * until + 0.5 * rules.accel * until * until + reached * (rules.reaction - until)
    way += reached * reached / (2.0 * rules.brake_least)
    return wp.max(way - v_front * v_front / (2.0 * rules.brake), 0.0)


@wp.func
def choose(map: MapArrays, key: int, lane: int) -> int:
    """The lane that a driver takes after `lane`, -1 where the road ends: always the same for one driver."""
    many = map.many[lane]
    if many == 0:
        return -1
    if many == 1:
        return map.onward[lane, 0]
    bits = wp.uint32(key) ^ (wp.uint32(lane) * KNUTH)
    bits = (bits ^ (bits >> wp.uint32(15))) * wp.uint32(739982445)
    bits = (bits ^ (bits >> wp.uint32(12))) * wp.uint32(695872825)
    return map.onward[lane, int((bits >> wp.uint32(16)) % wp.uint32(many))]


@wp.func
def follow_route(map: MapArrays, lanes: Lanes, routes: RoutesArrays, route: int, lane: int) -> int:
    """The lane after `lane` on a route without changing lanes; straight on where the route asks for a change."""
    onward = routes.next_lane[route, lane - routes.first[route]]
    for k in range(LINKS_C):
        if onward >= 0 and lanes.successors[lane, k] == onward:
            return onward
    return map.straight[lane]


@wp.func
def pace_at(map: MapArrays, lanes: Lanes, lane: int, s: float) -> float:
    """Speed for the bends from s on, m/s."""
    last = lanes.first[lane + 1] - 1
    return map.pace[wp.clamp(lanes.first[lane] + int(s / lanes.spacing[lane]), lanes.first[lane], last)]


@wp.func
def fetch_pace(map: MapArrays, lanes: Lanes, lane: int, s: float) -> None:
    """Ask for what `pace_at` will read."""
    fetch_value(map.pace, lanes.first[lane] + int(s / lanes.spacing[lane]))


@wp.func
def meets(conflicts: ConflictArrays, lane: int, other: int) -> int:
    """The row of a crossing or merging of two lanes, -1 for none."""
    for row in range(conflicts.first[lane], conflicts.first[lane + 1]):
        if conflicts.other[row] == other and conflicts.kind[row] != SPLIT_C:
            return row
    return -1


@wp.func
def side_lane(lanes: Lanes, lane: int, side: int) -> int:
    """The driving lane beside that may be entered, side 1 for the left, -1 for the right."""
    if side > 0:
        return lanes.enter[lane, 0]
    return lanes.enter[lane, 1]


@wp.func
def same_share(lanes: Lanes, lane: int, s: float, other: int) -> float:
    """The s on a lane beside: the same share of its length, which lanes of one section have in common."""
    return s * lanes.length[other] / lanes.length[lane]


@wp.func
def path_distance(movers: MoverArrays, world: int, actor: int, lane: int, s: float) -> float:
    """From an actor's middle to a place on its path, m; inf if that is not on it. Negative: it is behind."""
    for hop in range(movers.path.shape[2]):
        if movers.path[world, actor, hop] == lane:
            return movers.path_at[world, actor, hop] + s
    return wp.inf


@wp.func
def also_distance(
    map: MapArrays, lanes: Lanes, movers: MoverArrays, world: int, actor: int, lane: int, s: float
) -> float:
    """The same along the lane beside that an actor occupies too."""
    also = movers.also[world, actor]
    if also >= 0:
        if also == lane:
            return s - movers.also_s[world, actor]
        if map.straight[also] == lane:
            return lanes.length[also] - movers.also_s[world, actor] + s
    return wp.inf
