"""Where traffic comes from: vehicles at the beginning of an episode, and those that come back after they left.

A place is drawn from those that the map offers within `reach` of an ego. It is taken if, along the lanes, everybody
ahead and behind is far enough away: RSS distances from and to egos, what is needed to stop from others, and if the
vehicle could stop before the next junction. Who comes back appears no nearer to an ego than `hidden`, which should be
beyond what its sensors see. Draws are keyed by the world's episode, the slot, and how many vehicles the slot has been.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp

from sim.actors import ActorKind
from sim.driving.following import Rules, choose, rss_gap, side_lane
from sim.driving.movers import FAR, Manner, MapArrays, MoverArrays
from sim.driving.standing import put, stand_on, vanish
from sim.driving.state import ActorArrays
from sim.frenet import Lanes, lane_frame
from sim.randomization import Term, absorb, below, draw_from, stream, unit
from sim.vary import VaryArrays, drawn

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

TRIES = 16
"""Places that are tried for each vehicle at the beginning of an episode; a later step tries one."""

TERM = wp.constant(int(Term.TRAFFIC))
CAR, TRUCK, MOTORCYCLE, BICYCLE = (
    wp.constant(int(x)) for x in (ActorKind.CAR, ActorKind.TRUCK, ActorKind.MOTORCYCLE, ActorKind.BICYCLE)
)
RUN_UP = wp.constant(30.0)  # of sim/driving/surveying.py, m
TRIES_C = wp.constant(TRIES)
FAR_C = wp.constant(FAR)
MANNERS = wp.constant(len(Manner))
MANNER_ROWS = wp.constant(int(Manner.THRESHOLD) + 1)
TOP_C = wp.constant(int(Manner.TOP))
WANDER_C = wp.constant(int(Manner.WANDER))
PHASE_C = wp.constant(int(Manner.PHASE))
SHARES = wp.constant(6)  # rows of the table: truck, motorcycle and bicycle shares, density follow the manners
TRUCK_TOP = wp.constant(80.0 / 3.6)  # m/s, StVO 18 (5)
BICYCLE_TOP = wp.constant(4.0)  # to 7 m/s: 14 to 25 km/h
CAR_TOP = wp.constant(38.0)  # to 44 m/s, where no limit is stated


@wp.func
def along_lanes(map: MapArrays, lanes: Lanes, key: int, lane: int, s: float, goal: int, goal_s: float) -> float:
    """Metres from a place forward to another along a driver's way, inf where it is not within five lanes."""
    here = int(lane)
    at = -s
    for _ in range(5):
        if here >= 0:
            if here == goal and at + goal_s > 0.0:
                return at + goal_s
            at += lanes.length[here]
            here = choose(map, key, here)
    return wp.inf


@wp.func
def free_place(
    rules: Rules,
    map: MapArrays,
    lanes: Lanes,
    actors: ActorArrays,
    movers: MoverArrays,
    world: int,
    i: int,
    lane: int,
    s: float,
    v: float,
    half: float,
) -> bool:
    """Whether a vehicle may appear there."""
    frame = lane_frame(lanes, lane, s)
    limit = lanes.limit[lane]
    for j in range(actors.kind.shape[1]):
        if j != i and actors.kind[world, j] >= 0:
            reach = half + 0.5 * actors.size[world, j, 0]
            dx = actors.pose[world, j, 0] - frame.x
            dy = actors.pose[world, j, 1] - frame.y
            other = actors.lane[world, j]
            ego = j < rules.robots
            front = actors.motion[world, j, 0]
            if dx * dx + dy * dy < (reach + 3.0) * (reach + 3.0) and (
                other < 0 or other == lane or lanes.junction[other] >= 0
            ):
                return False
            if other >= 0:
                place = actors.place[world, j, 0]
                ahead = along_lanes(map, lanes, movers.key[world, i], lane, s, other, place) - reach
                behind = along_lanes(map, lanes, movers.key[world, j], other, place, lane, s) - reach
                also = movers.also[world, j]
                if also >= 0:
                    place = movers.also_s[world, j]
                elif movers.pending[world, j] != 0:
                    also = side_lane(lanes, other, movers.pending[world, j])
                if also >= 0:
                    ahead = wp.min(ahead, along_lanes(map, lanes, movers.key[world, i], lane, s, also, place) - reach)
                    behind = wp.min(behind, along_lanes(map, lanes, movers.key[world, j], also, place, lane, s) - reach)
                if ahead < 1000.0:
                    needed = 4.0 + v + wp.max(v * v - front * front, 0.0) / (2.0 * rules.brake_least)
                    if ego:
                        needed = wp.max(needed, rss_gap(rules, v, front, limit) + 1.0)
                    if ahead < needed:
                        return False
                if behind < 1000.0:
                    needed = 4.0 + front + wp.max(front * front - v * v, 0.0) / (2.0 * rules.brake_least)
                    if ego:
                        needed = wp.max(needed, rss_gap(rules, front, v, limit) + 1.0)
                    if behind < needed:
                        return False
    return True


@wp.func
def nearest_ego(rules: Rules, actors: ActorArrays, world: int, x: float, y: float) -> float:
    """Distance to the nearest ego, m."""
    nearest = float(wp.inf)
    for j in range(rules.robots):
        if actors.kind[world, j] >= 0:
            dx = actors.pose[world, j, 0] - x
            dy = actors.pose[world, j, 1] - y
            nearest = wp.min(nearest, wp.sqrt(dx * dx + dy * dy))
    return nearest


@wp.func
def appear(
    rules: Rules,
    map: MapArrays,
    lanes: Lanes,
    vary: VaryArrays,
    base: int,
    actors: ActorArrays,
    movers: MoverArrays,
    world: int,
    road: int,
    i: int,
    key: wp.uint64,
    tries: int,
    nearest: float,
) -> bool:
    """Draw a vehicle and a place for it; whether one was found. Counters 0 to 19 are the vehicle's, then the tries'."""
    row = world * rules.robots
    movers.key[world, i] = int(draw_from(key, 0) >> wp.uint32(1))
    for k in range(MANNER_ROWS):
        movers.manner[world, i, k] = drawn(vary, base + k, row, draw_from(key, 1 + k))
    movers.manner[world, i, WANDER_C] = wp.min(0.2, rules.wander) * unit(draw_from(key, 8))
    movers.manner[world, i, PHASE_C] = 6.2831853 * unit(draw_from(key, 9))
    pick = unit(draw_from(key, 10))
    size = unit(draw_from(key, 11))
    kind = int(CAR)
    length = 4.0 + 1.0 * size
    width = 1.75 + 0.15 * size
    top = CAR_TOP + 6.0 * unit(draw_from(key, 12))
    truck = drawn(vary, base + 6, row, draw_from(key, 13))
    motorcycle = drawn(vary, base + 7, row, draw_from(key, 14))
    bicycle = drawn(vary, base + 8, row, draw_from(key, 15))
    if map.fast[road] != 0:
        bicycle = 0.0
    if pick < truck:
        kind = TRUCK
        length = 7.0 + 9.0 * size
        width = 2.5
        if map.tight[road] != 0:
            length = 5.5 + 1.5 * size
            width = 2.2
        top = TRUCK_TOP
    elif pick < truck + motorcycle:
        kind = MOTORCYCLE
        length = 2.2
        width = 0.9
    elif pick < truck + motorcycle + bicycle:
        kind = BICYCLE
        length = 1.8
        width = 0.65
        top = BICYCLE_TOP + 3.0 * unit(draw_from(key, 12))
        top = wp.min(top, rules.cyclist)
        movers.manner[world, i, 2] = wp.min(movers.manner[world, i, 2], 0.8 * rules.cyclist_accel)
    movers.manner[world, i, TOP_C] = wp.min(top, rules.speed)
    half = 0.5 * length
    first = map.spot_first[road]
    many = map.spot_first[road + 1] - first
    if many == 0:
        return False
    for k in range(tries):
        spot = first + below(draw_from(key, 20 + 2 * k), many)
        lane = map.spot_lane[spot]
        s = map.spot_s[spot]
        frame = lane_frame(lanes, lane, s)
        away = nearest_ego(rules, actors, world, frame.x, frame.y)
        last = lanes.first[lane] + int(s / lanes.spacing[lane])
        v = wp.min(movers.manner[world, i, 0] * lanes.limit[lane], wp.min(top, map.pace[last]))
        v = v * (0.7 + 0.3 * unit(draw_from(key, 21 + 2 * k)))
        # room to stop before whatever comes after the lane
        stops = map.wall[lane] != 0
        for link in range(map.many[lane]):
            onward = map.onward[lane, link]
            if map.entry[onward] < FAR_C or map.wall[onward] != 0:
                stops = True
            if lanes.limit[onward] < lanes.limit[lane]:
                v = wp.min(v, movers.manner[world, i, 0] * lanes.limit[onward])
            v = wp.min(
                v,
                wp.sqrt(map.pace[lanes.first[onward]] * map.pace[lanes.first[onward]] + 2.0 * (lanes.length[lane] - s)),
            )
        way = map.line[lane] - s - half - 2.0
        if map.entry[lane] < FAR_C and map.stop[lane] > 0.0:
            stops = True
            way = map.stop[lane] - s - half - 2.0
        if map.wall[lane] != 0:
            way -= 2.0 * RUN_UP
        if stops:
            v = wp.min(v, wp.sqrt(3.0 * wp.max(way, 0.0)))
        fits = away >= nearest and (away <= rules.reach or rules.reach >= FAR_C) and s > half
        if stops and way < 0.0:
            fits = False
        if fits and free_place(rules, map, lanes, actors, movers, world, i, lane, s, v, half):
            actors.kind[world, i] = kind
            actors.lane[world, i] = lane
            actors.size[world, i, 0] = length
            actors.size[world, i, 1] = width
            actors.place[world, i, 0] = s
            actors.place[world, i, 1] = 0.0
            actors.place[world, i, 2] = 0.0
            actors.motion[world, i, 0] = v
            actors.motion[world, i, 1] = 0.0
            movers.life[world, i] = movers.life[world, i] + 1
            movers.slant[world, i] = 0.0
            stand_on(lanes, actors, movers, world, i)
            put(actors, movers, world, i, s, 0.0, 0.0, v)
            return True
    return False


@wp.kernel(module="sim.driving.traffic")
def begin_traffic(
    rules: Rules,
    map: MapArrays,
    lanes: Lanes,
    vary: VaryArrays,
    base: int,
    road: wp.array(dtype=wp.int32),
    episode: wp.array(dtype=wp.int32),
    mask: wp.array(dtype=wp.uint8),
    actors: ActorArrays,
    movers: MoverArrays,
) -> None:
    """The vehicles of masked worlds, one after the other; the egos, and whom scenarios drive, stand already."""
    world = wp.tid()
    if mask[world] == wp.uint8(0):
        return
    movers.clock[world] = 0
    slots = rules.robots + rules.vehicles
    start = stream(rules.seed, TERM, world, episode[world * rules.robots])
    density = drawn(vary, base + 9, world * rules.robots, draw_from(start, -1))
    for i in range(rules.robots, slots + rules.walkers):
        vanish(actors, movers, world, i)
        movers.life[world, i] = 0
        movers.present[world, i] = wp.uint8(0)
    for i in range(rules.robots):
        movers.side[world, i] = 0
        movers.crossed[world, i] = 0
        movers.pending[world, i] = 0
        movers.rest[world, i] = 0
        movers.before[world, i] = -1
        movers.stood[world, i] = 0
        movers.ticket[world, i] = -1
        movers.granted[world, i] = 0
        movers.accel[world, i] = 0.0
        for k in range(movers.claim.shape[2]):
            movers.claim[world, i, k] = -1
        for k in range(MANNER_ROWS):  # an undisturbed driver: the middle of each range
            movers.manner[world, i, k] = 0.5 * (vary.ranges[base + k, 0] + vary.ranges[base + k, 1])
        movers.manner[world, i, 0] = 1.0
        movers.manner[world, i, TOP_C] = CAR_TOP
        movers.manner[world, i, WANDER_C] = 0.0
    for i in range(rules.robots, slots):
        key = absorb(start, i)
        if unit(draw_from(key, -1)) < density:
            movers.present[world, i] = wp.uint8(1)
            appear(
                rules, map, lanes, vary, base, actors, movers, world, road[world], i, key, TRIES_C, 0.0
            )  # fmt: skip


@wp.kernel(module="sim.driving.traffic")
def renew_traffic(
    rules: Rules,
    map: MapArrays,
    lanes: Lanes,
    vary: VaryArrays,
    base: int,
    road: wp.array(dtype=wp.int32),
    episode: wp.array(dtype=wp.int32),
    actors: ActorArrays,
    movers: MoverArrays,
) -> None:
    """Count the control step; those too far from every ego vanish, and the first absent one may come back."""
    world = wp.tid()
    clock = movers.clock[world] + 1
    movers.clock[world] = clock
    absent = wp.int32(-1)
    for i in range(rules.robots, rules.robots + rules.vehicles):
        if actors.kind[world, i] >= 0:
            if rules.reach < FAR_C and (clock + i) % 20 == 0:
                away = nearest_ego(rules, actors, world, actors.pose[world, i, 0], actors.pose[world, i, 1])
                if away > rules.reach + 100.0 and away < wp.inf and movers.claim[world, i, 0] < 0:
                    vanish(actors, movers, world, i)
        elif movers.present[world, i] != wp.uint8(0) and absent < 0:
            absent = i
    if absent >= 0 and clock % 4 == 0:
        start = stream(rules.seed, TERM, world, episode[world * rules.robots])
        key = absorb(absorb(absorb(start, absent), 1 + movers.life[world, absent]), clock)
        appear(
            rules, map, lanes, vary, base, actors, movers, world, road[world], absent, key, 1, rules.hidden
        )  # fmt: skip
