"""The third launch of traffic's control step: who enters a junction, and who changes lanes.

Ground that two lanes share is given to one vehicle after the other in the order in which they asked (tickets); a
vehicle asks for all such lanes in a row at once, when it is the first of its lane and the lane behind them has room
for it. Who holds lanes can therefore always leave them, and of those who ask one is always the first: nobody waits for
ever, without traffic lights or priority signs.

Lanes are changed by MOBIL (Kesting, Treiber and Helbing, General lane-changing model MOBIL for car-following models,
TRR 1999, 2007): if the own gain of acceleration and, weighted by politeness, that of the followers exceeds a threshold;
a bias keeps to the right. It begins only where the one behind in the new lane has the distance that RSS asks for. A
lane that ends, or a route, asks for a change whatever it gains. Changes to the left begin in even steps and those to
the right in odd ones, so that nobody enters the same place from both sides.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp

from sim.actors import ActorKind
from sim.driving.following import Rules, also_distance, idm, meets, path_distance, rss_gap, same_share, side_lane
from sim.driving.looking import CLAIMS_C, HOPS_C, PEDESTRIAN_C
from sim.driving.maparrays import ConflictArrays, RoutesArrays
from sim.driving.movers import MapArrays, MoverArrays
from sim.driving.state import ActorArrays
from sim.driving.surveying import ACCEL, BRAKE, HEADWAY, POLITE, THRESHOLD, stop_before
from sim.frenet import Lanes

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

KEEP_RIGHT = 0.2
"""Bias to the right, m/s^2 (Kesting, Treiber and Helbing 2007: 0.3 for trucks, 0.1 to 0.3 in general)."""

THINK = 20
"""Control steps after which one thinks about the same side again: 1 s."""

SHORTER = 50.0
"""A lane whose way is so much shorter than one's own is not taken without need, m: a lane of deceleration."""

EXIT = 40.0
"""Before the end of a lane that a route leaves to the side, an ego of the law rather waits than misses it, m."""

EXIT_BRAKE = 1.5
"""and brakes for it once that takes so much, m/s^2: a comfortable deceleration."""

EXIT_C = wp.constant(EXIT)
EXIT_BRAKE_C = wp.constant(EXIT_BRAKE)
KEEP_RIGHT_C = wp.constant(KEEP_RIGHT)
THINK_C = wp.constant(THINK)
SHORTER_C = wp.constant(SHORTER)
BICYCLE_C = wp.constant(int(ActorKind.BICYCLE))


@wp.func
def has_passed(
    lanes: Lanes, conflicts: ConflictArrays, actors: ActorArrays, movers: MoverArrays, world: int, j: int, row: int
) -> bool:
    """Whether the rear of j is beyond the shared ground of a row of conflicts, whose other lane j holds."""
    other = conflicts.other[row]
    rear = actors.place[world, j, 0] - 0.5 * actors.size[world, j, 0]
    lane = actors.lane[world, j]
    if lane == other:
        return rear > conflicts.other_end[row] + 0.5
    if movers.before[world, j] == other:
        return rear + lanes.length[other] > conflicts.other_end[row] + 0.5
    # neither on it nor just off it: beyond if an earlier lane of its claim lies behind it
    return path_distance(movers, world, j, other, 0.0) == wp.inf


@wp.func
def may_enter(
    lanes: Lanes, conflicts: ConflictArrays, actors: ActorArrays, movers: MoverArrays, world: int, i: int, slots: int
) -> bool:
    """Whether nobody holds, and nobody who asked before, what i asks for."""
    for j in range(slots):
        holds = movers.claim[world, j, 0] >= 0
        asks = movers.ready[world, j] != 0 and (
            movers.ticket[world, j] < movers.ticket[world, i]
            or (movers.ticket[world, j] == movers.ticket[world, i] and j < i)
        )
        if j != i and actors.kind[world, j] >= 0 and (holds or asks):
            for k in range(CLAIMS_C):
                mine = movers.want[world, i, k]
                if mine >= 0:
                    for m in range(CLAIMS_C):
                        theirs = movers.want[world, j, m]
                        if holds:
                            theirs = movers.claim[world, j, m]
                        if theirs >= 0:
                            row = meets(conflicts, mine, theirs)
                            if row >= 0:
                                if not holds:
                                    return False
                                if not has_passed(lanes, conflicts, actors, movers, world, j, row):
                                    return False
    return True


@wp.func
def ego_in_the_way(
    rules: Rules, lanes: Lanes, conflicts: ConflictArrays, actors: ActorArrays, movers: MoverArrays, world: int, i: int
) -> bool:
    """Whether an ego holds ground that i holds too: it drove in without being the next."""
    for j in range(rules.robots):
        if j != i and movers.claim[world, j, 0] >= 0:
            for k in range(CLAIMS_C):
                mine = movers.claim[world, i, k]
                if mine >= 0:
                    for m in range(CLAIMS_C):
                        theirs = movers.claim[world, j, m]
                        if theirs >= 0:
                            row = meets(conflicts, mine, theirs)
                            if row >= 0 and not has_passed(lanes, conflicts, actors, movers, world, j, row):
                                return True
    return False


@wp.func
def way_to_claim(map: MapArrays, movers: MoverArrays, world: int, i: int, half: float) -> float:
    """From i's front to the line before the first lane that it holds, m; inf where it is beyond it."""
    first = movers.claim[world, i, 0]
    for hop in range(1, HOPS_C):
        if movers.path[world, i, hop] == first:
            if map.stop[first] <= 0.0:
                return movers.path_at[world, i, hop - 1] + map.line[movers.path[world, i, hop - 1]] - half
            return movers.path_at[world, i, hop] + map.stop[first] - half
    return wp.inf


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


@wp.func
def decide_one(
    rules: Rules,
    map: MapArrays,
    lanes: Lanes,
    conflicts: ConflictArrays,
    routes: RoutesArrays,
    route: wp.array(dtype=wp.int32),
    actors: ActorArrays,
    movers: MoverArrays,
    world: int,
    i: int,
) -> None:
    """The same for one of them."""
    lane = movers.path[world, i, 0]
    if lane < 0:
        return
    v = actors.motion[world, i, 0]
    half = 0.5 * actors.size[world, i, 0]
    a = movers.accel[world, i]
    v0 = movers.allowed[world, i]
    slots = rules.robots + rules.vehicles
    if movers.line[world, i] < wp.inf:
        asks = movers.ticket[world, i] >= 0 and movers.ready[world, i] != 0
        if asks and may_enter(lanes, conflicts, actors, movers, world, i, slots):
            movers.granted[world, i] = 1
        if movers.claim[world, i, 0] < 0 and movers.granted[world, i] == 0:
            a = wp.min(a, stop_before(rules, movers, world, i, v, v0, movers.line[world, i]))
    elif movers.claim[world, i, 0] >= 0 and i >= rules.robots:
        way = way_to_claim(map, movers, world, i, half)
        stops = way < wp.inf and way > v * v / (2.0 * rules.brake_least)
        if stops and ego_in_the_way(rules, lanes, conflicts, actors, movers, world, i):
            a = wp.min(a, stop_before(rules, movers, world, i, v, v0, way))
    top = rules.accel
    if actors.kind[world, i] == BICYCLE_C:
        top = rules.cyclist_accel
    movers.accel[world, i] = wp.clamp(a, -rules.brake, top)
    if i < rules.robots:
        if rules.drive_egos == 0:
            return
        movers.accel[world, i] = wp.min(
            movers.accel[world, i],
            exit_brake(rules, lanes, routes, route[world * rules.robots + i], movers, world, i, v),
        )
    # lanes
    if movers.side[world, i] != 0 or movers.claim[world, i, 0] >= 0 or lanes.junction[lane] >= 0:
        return
    clock = movers.clock[world]
    side = wp.int32(1)
    if clock % 2 != 0:
        side = -1
    other = side_lane(lanes, lane, side)
    if other < 0 or wp.abs(actors.place[world, i, 1]) > 0.5:
        return
    needed = wp.int32(0)
    if map.wall[lane] != 0 and map.way[other] - map.way[lane] > SHORTER_C:
        needed = 1
    opposed = wp.int32(0)
    if i < rules.robots:
        wanted = route_side(lanes, routes, route[world * rules.robots + i], movers, world, i)
        if wanted == side:
            needed = 1
        elif wanted != 0 or not route_allows(routes, route[world * rules.robots + i], lane, other):
            opposed = 1
    phase = (2 * i + wp.where(side > 0, 0, 11)) % THINK_C
    if needed == 0:
        if opposed != 0 or clock % THINK_C != phase or movers.rest[world, i] > 0:
            return
        if v < 3.0 or movers.line[world, i] < 40.0:
            return
        if map.way[other] < map.way[lane] - SHORTER_C:
            return
    found = gain(rules, map, lanes, actors, movers, world, i, other, v0, needed)
    bias = wp.where(side > 0, KEEP_RIGHT_C, -KEEP_RIGHT_C)
    if found > movers.manner[world, i, THRESHOLD] + bias:
        movers.pending[world, i] = side


@wp.kernel(module="sim.driving.traffic")
def decide(
    rules: Rules,
    map: MapArrays,
    lanes: Lanes,
    conflicts: ConflictArrays,
    routes: RoutesArrays,
    route: wp.array(dtype=wp.int32),
    actors: ActorArrays,
    movers: MoverArrays,
    each: int,
) -> None:
    """Grants, changes of lane, and the acceleration until the next step, of each ego and each of traffic's vehicles."""
    world, part = wp.tid()
    for i in range(part * each, wp.min((part + 1) * each, rules.robots + rules.vehicles)):
        decide_one(rules, map, lanes, conflicts, routes, route, actors, movers, world, i)
