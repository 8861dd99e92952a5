"""The second launch of traffic's control step: whom each vehicle follows, and how it must slow down for what is ahead.

For every vehicle that is driven by the law the acceleration is the least that anything ahead asks for: the speed limit
and bends of its path, vehicles on the lanes of its path (also those that reach into them or change to them, and those
that still stand where two ways part), vehicles that stand on ground which it crosses, people on crossings or about to
step on them, and a lane that ends. Whether it may enter a junction is decided afterwards (sim/driving/entering.py).
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp

from sim.driving.following import SPLIT_C, Rules, fetch_pace, idm, pace_at, safe_accel
from sim.driving.looking import HOPS_C, PEDESTRIAN_C
from sim.driving.maparrays import ConflictArrays, CrossingArrays
from sim.driving.movers import HOPS, PACE_BRAKE, Manner, MapArrays, MoverArrays
from sim.driving.state import ActorArrays
from sim.driving.walking import about_to_cross
from sim.frenet import Lanes, lane_frame, lane_project

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

SETTLE = 0.5
"""Time within which a vehicle takes on the speed that the road allows, s; it also looks so far ahead."""

YIELD_BRAKE = 4.0
"""Vehicles that can stop before a crossing with so much braking do so for people, m/s^2 (`RoadProfile.brake_least`)."""

RUN_UP = 30.0
"""Who waits to leave a lane that ends stands so far before its end, m: from rest a change takes 15 m of the lane."""

BERTH = 0.3
"""m kept beside somebody who is on shared ground too: as far as vehicles stray (`RoadProfile.wander`)."""

RUN_UP_C = wp.constant(RUN_UP)
BERTH_C = wp.constant(BERTH)
SHARE, HEADWAY, ACCEL, BRAKE, POLITE, THRESHOLD, TOP = (
    wp.constant(int(x))
    for x in (Manner.SHARE, Manner.HEADWAY, Manner.ACCEL, Manner.BRAKE, Manner.POLITE, Manner.THRESHOLD, Manner.TOP)
)
PACE_BRAKE_C = wp.constant(PACE_BRAKE)
SETTLE_C = wp.constant(SETTLE)
Ahead = wp.types.vector(length=HOPS, dtype=wp.int32)
"""The lanes of a path."""
YIELD_C = wp.constant(YIELD_BRAKE)


@wp.func
def wish_speed(lanes: Lanes, movers: MoverArrays, world: int, i: int, lane: int) -> float:
    """What a driver would drive on a straight lane, m/s."""
    return wp.min(movers.manner[world, i, SHARE] * lanes.limit[lane], movers.manner[world, i, TOP])


@wp.func
def allowed_speed(map: MapArrays, lanes: Lanes, movers: MoverArrays, world: int, i: int, s: float, v: float) -> float:
    """The speed from which all limits and bends ahead can be met by braking comfortably, m/s."""
    lane = movers.path[world, i, 0]
    speed = wp.min(wish_speed(lanes, movers, world, i, lane), pace_at(map, lanes, lane, s + SETTLE_C * v))
    for hop in range(1, HOPS_C):
        there = movers.path[world, i, hop]
        if there >= 0:
            target = wp.min(wish_speed(lanes, movers, world, i, there), map.pace[lanes.first[there]])
            way = wp.max(movers.path_at[world, i, hop] - SETTLE_C * v, 0.0)
            speed = wp.min(speed, wp.sqrt(target * target + 2.0 * PACE_BRAKE_C * way))
    return wp.max(speed, 0.5)


@wp.func
def approach(
    rules: Rules, movers: MoverArrays, world: int, i: int, v: float, v0: float, gap: float, v_front: float
) -> float:
    """Acceleration behind something ahead: the law of following, and what is needed to stop in time."""
    a = idm(
        v, v0, gap, v_front, movers.manner[world, i, HEADWAY], movers.manner[world, i, ACCEL],
        movers.manner[world, i, BRAKE],
    )  # fmt: skip
    return wp.min(a, safe_accel(v, gap - 1.0, v_front, 0.9 * rules.brake, rules.step))


@wp.func
def stop_before(rules: Rules, movers: MoverArrays, world: int, i: int, v: float, v0: float, way: float) -> float:
    """Acceleration towards a line at which to stop, `way` metres ahead of the front."""
    a = idm(
        v, v0, way + 1.5, 0.0, movers.manner[world, i, HEADWAY], movers.manner[world, i, ACCEL],
        movers.manner[world, i, BRAKE],
    )  # fmt: skip
    return wp.min(a, safe_accel(v, way, 0.0, 0.9 * rules.brake, rules.step))


@wp.func
def in_the_way(lanes: Lanes, actors: ActorArrays, world: int, i: int, j: int, lane: int, guess: float) -> wp.vec2:
    """From i's middle to the near side of j, whose box reaches into what i sweeps of a lane, and j's speed; inf."""
    at = lane_project(lanes, lane, actors.pose[world, j, 0], actors.pose[world, j, 1], guess)
    turn = actors.pose[world, j, 2] - lane_frame(lanes, lane, at[0]).heading
    c = wp.abs(wp.cos(turn))
    s = wp.abs(wp.sin(turn))
    length = actors.size[world, j, 0]
    width = actors.size[world, j, 1]
    if wp.abs(at[1]) > 0.5 * (s * length + c * width + actors.size[world, i, 1]) + BERTH_C:
        return wp.vec2(wp.inf, 0.0)
    speed = wp.max(actors.motion[world, j, 0] * wp.cos(turn), 0.0)
    return wp.vec2(at[0] - 0.5 * (c * length + s * width), speed)


@wp.func
def intruding(
    lanes: Lanes,
    conflicts: ConflictArrays,
    actors: ActorArrays,
    movers: MoverArrays,
    world: int,
    i: int,
    j: int,
    hop: int,
) -> wp.vec2:
    """How far ahead of i's front somebody stands on ground that its path shares: metres and that one's speed; inf."""
    lane = movers.path[world, i, hop]
    other = actors.lane[world, j]
    at = movers.path_at[world, i, hop]
    half = 0.5 * actors.size[world, i, 0]
    reach = 0.5 * actors.size[world, j, 0]
    s = actors.place[world, j, 0]
    found = wp.vec2(wp.inf, 0.0)
    for row in range(conflicts.first[lane], conflicts.first[lane + 1]):
        if conflicts.other[row] == other:
            if conflicts.kind[row] == SPLIT_C:
                # both came from one lane, so that s counts alike: follow while its rear is not clear of the way
                ahead = at + s - reach - half
                if s - reach < conflicts.other_end[row] + 1.5 and at + s > 0.0:
                    found = wp.vec2(ahead, actors.motion[world, j, 0])
            elif s + reach > conflicts.other_begin[row] and s - reach < conflicts.other_end[row]:
                ahead = at + conflicts.begin[row] - half - 0.5
                if ahead > 0.0:
                    if ahead < found[0]:
                        found = wp.vec2(ahead, 0.0)
                else:  # both are on it
                    met = in_the_way(lanes, actors, world, i, j, lane, half - at)
                    if at + met[0] > 0.0 and at + met[0] - half < found[0]:
                        found = wp.vec2(at + met[0] - half, met[1])
    return found


@wp.func
def mark(lane: int) -> wp.uint64:
    """The bit of a lane in a set of lanes; other lanes may share it, so that sets that meet may have none in common."""
    return wp.uint64(1) << wp.uint64(lane & 63)


@wp.func
def survey_one(
    rules: Rules,
    map: MapArrays,
    lanes: Lanes,
    conflicts: ConflictArrays,
    crossings: CrossingArrays,
    actors: ActorArrays,
    movers: MoverArrays,
    world: int,
    i: int,
) -> None:
    """The same for one of them."""
    movers.ready[world, i] = 0
    movers.ahead[world, i] = -1
    lane = movers.path[world, i, 0]
    if lane < 0:
        return
    s = actors.place[world, i, 0]
    v = actors.motion[world, i, 0]
    half = 0.5 * actors.size[world, i, 0]
    v0 = allowed_speed(map, lanes, movers, world, i, s, v)
    movers.allowed[world, i] = v0
    free = movers.manner[world, i, ACCEL]
    share = v / v0
    a = free * (1.0 - share * share * share * share)
    if v > v0:
        a = wp.max((v0 - v) / SETTLE_C, -3.0)
    also = movers.also[world, i]
    beyond = wp.int32(-1)
    if also >= 0:
        beyond = map.straight[also]
    nearest = float(wp.inf)
    unclaimed = float(wp.inf)
    leave = movers.leave[world, i]
    needed = wp.float32(0.0)
    if leave >= 0:
        needed = map.past[leave] + 2.0 * half + 1.5
    room = wp.int32(1)
    rearmost = float(wp.inf)
    junction = wp.int32(-1)  # hop of the next lane that shares ground with others
    hops = wp.int32(0)
    path = Ahead()  # in registers: it is compared with everybody's lanes
    mine = wp.uint64(0)
    for hop in range(HOPS_C):
        there = movers.path[world, i, hop]
        path[hop] = there
        if there >= 0:
            hops = hop + 1
            mine = mine | mark(there)
        near = junction < 0 and there >= 0 and movers.path_at[world, i, hop] < 50.0
        if near and conflicts.first[there + 1] > conflicts.first[there]:
            junction = hop
    for j in range(actors.kind.shape[1]):
        other = actors.lane[world, j]
        if j != i and other >= 0:
            x = float(wp.inf)
            beside = movers.also[world, j]
            theirs = mark(other)
            if beside >= 0:
                theirs = theirs | mark(beside)
            if (mine & theirs) != wp.uint64(0):
                for hop in range(hops):
                    if path[hop] == other:
                        x = wp.min(x, positive(movers.path_at[world, i, hop] + actors.place[world, j, 0], j < i))
                    elif path[hop] == beside and beside >= 0:
                        x = wp.min(x, positive(movers.path_at[world, i, hop] + movers.also_s[world, j], j < i))
            if also >= 0:
                if also == other:
                    x = wp.min(x, positive(actors.place[world, j, 0] - movers.also_s[world, i], j < i))
                elif also == beside and other != lane:
                    x = wp.min(x, positive(movers.also_s[world, j] - movers.also_s[world, i], j < i))
                elif beyond >= 0 and beyond == other:
                    there_at = lanes.length[also] - movers.also_s[world, i]
                    x = wp.min(x, there_at + actors.place[world, j, 0])
            reach = 0.5 * actors.size[world, j, 0]
            if x < wp.inf:
                front = actors.motion[world, j, 0]
                if actors.kind[world, j] == PEDESTRIAN_C:
                    front = 0.0  # across the lane
                gap = x - half - reach
                a = wp.min(a, approach(rules, movers, world, i, v, v0, gap, front))
                if gap < nearest:
                    nearest = gap
                    movers.ahead[world, i] = j
                if movers.claim[world, j, 0] < 0:
                    unclaimed = wp.min(unclaimed, x)
            elif junction >= 0 and conflicts.first[other + 1] > conflicts.first[other]:
                for hop in range(junction, wp.min(junction + 3, HOPS_C)):
                    if movers.path[world, i, hop] >= 0:
                        met = intruding(lanes, conflicts, actors, movers, world, i, j, hop)
                        if met[0] < wp.inf:
                            a = wp.min(a, approach(rules, movers, world, i, v, v0, met[0], met[1]))
            if leave >= 0:
                if other == leave:
                    speed = actors.motion[world, j, 0]
                    rearmost = wp.min(rearmost, actors.place[world, j, 0] - reach + speed * speed / (2.0 * rules.brake))
                elif movers.leave[world, j] == leave and movers.claim[world, j, 0] >= 0:
                    needed += 2.0 * reach + 2.5
    if rearmost < needed:
        room = 0
    movers.gap[world, i] = nearest
    # people
    for hop in range(hops):
        there = movers.path[world, i, hop]
        if movers.path_at[world, i, hop] < 60.0:
            for row in range(crossings.lane_first[there], crossings.lane_first[there + 1]):
                way = movers.path_at[world, i, hop] + crossings.begin[row] - half
                stops = way > -0.3 and way > v * v / (2.0 * YIELD_C) - 0.2
                if stops and about_to_cross(rules, crossings, actors, movers, world, row):
                    a = wp.min(a, stop_before(rules, movers, world, i, v, v0, wp.max(way - 0.3, 0.0)))
    # a lane that ends
    for hop in range(hops):
        there = movers.path[world, i, hop]
        if map.wall[there] != 0:
            way = movers.path_at[world, i, hop] + lanes.length[there] - half
            if movers.side[world, i] == 0:
                way -= wp.min(RUN_UP_C, 0.3 * lanes.length[there])
            a = wp.min(a, stop_before(rules, movers, world, i, v, v0, wp.max(way - 1.0, 0.0)))
    movers.accel[world, i] = a
    if movers.ticket[world, i] >= 0 and room == 1 and unclaimed > movers.line[world, i] + half:
        movers.ready[world, i] = 1


@wp.kernel(module="sim.driving.traffic")
def survey(
    rules: Rules,
    map: MapArrays,
    lanes: Lanes,
    conflicts: ConflictArrays,
    crossings: CrossingArrays,
    actors: ActorArrays,
    movers: MoverArrays,
    each: int,
) -> None:
    """Acceleration, leader and readiness of each ego and each of traffic's vehicles."""
    world, part = wp.tid()
    last = wp.min((part + 1) * each, rules.robots + rules.vehicles)
    for i in range(part * each, last):
        lane = movers.path[world, i, 0]
        if lane >= 0:
            fetch_pace(map, lanes, lane, actors.place[world, i, 0] + SETTLE_C * actors.motion[world, i, 0])
    for i in range(part * each, last):
        survey_one(rules, map, lanes, conflicts, crossings, actors, movers, world, i)


@wp.func
def positive(x: float, first: bool) -> float:
    """A distance ahead; inf for what is behind. Of two at the same place the later slot follows."""
    if x > 0.0 or (x == 0.0 and first):
        return x
    return wp.inf
