"""People who walk along the road, over its crossings and on: when they step out, and when drivers may count on it.

A walker comes along the walkway for `LEG` metres, crosses, and goes on as far on the other side; then it is somebody
else, at another crossing. At the kerb it looks at every vehicle whose path leads over the crossing and waits for those
that would be there before it has passed their lane with MARGIN to spare, unless they stand or can stop comfortably and
are traffic, which does stop (sim/driving/surveying.py). In front of an ego that stands with its nose on the crossing it
goes, and around one that stands in its way, for who waits for one who waits would wait for ever. Some do not look
(`walker_careless`). Nobody walks into a vehicle that stands in the way, and nobody is faster than
`RoadProfile.pedestrian`. People are discs of 0.25 m.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp

from sim.actors import ActorKind
from sim.driving.crossways import WayArrays
from sim.driving.following import Rules
from sim.driving.kerbs import OFFSET, RADIUS_C, safe_to_cross, walks_into, way_around
from sim.driving.maparrays import CrossingArrays
from sim.driving.movers import MoverArrays
from sim.driving.spawning import nearest_ego
from sim.driving.standing import vanish
from sim.driving.state import ActorArrays
from sim.driving.walking import LEG_C, crossing_length
from sim.frenet import Lanes, lane_frame
from sim.randomization import Term, absorb, below, draw_from, stream, unit
from sim.vary import VaryArrays, drawn

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

NEAR, FAR_OFF = 25.0, 160.0
"""Walkers appear at crossings so far from an ego, m: not in front of it, and where it will come by."""

TERM = wp.constant(int(Term.WALKERS))
PEDESTRIAN_C = wp.constant(int(ActorKind.PEDESTRIAN))
NEAR_C = wp.constant(NEAR)
FAR_OFF_C = wp.constant(FAR_OFF)

CARELESS = wp.constant(1)
AROUND = wp.constant(2)  # `granted`, with the sign of the offset's change: along the kerb around who stands in the way
KERB = wp.constant(0.4)  # m before the first lane where one waits


@wp.func
def walker_place(
    crossings: CrossingArrays, ways: WayArrays, crossing: int, side: int, along: float, offset: float
) -> wp.vec3:
    """x, y and direction after `along` metres of a walker's way that begins at the first (1) or second (-1) end."""
    begin = wp.where(side > 0, 0, 1)
    end = 1 - begin
    ax = crossings.ends[crossing, 2 * begin]
    ay = crossings.ends[crossing, 2 * begin + 1]
    length = crossing_length(crossings, crossing)
    dx = (crossings.ends[crossing, 2 * end] - ax) / length
    dy = (crossings.ends[crossing, 2 * end + 1] - ay) / length
    on = along - LEG_C
    start = ways.inset[crossing, begin]
    stop = length - ways.inset[crossing, end]
    place = wp.clamp(on, start, stop)
    x = ax + place * dx - offset * dy
    y = ay + place * dy + offset * dx
    if on < start:
        x += (start - on) * ways.leg[crossing, begin, 0]
        y += (start - on) * ways.leg[crossing, begin, 1]
        dx = -ways.leg[crossing, begin, 0]
        dy = -ways.leg[crossing, begin, 1]
    if on > stop:
        x += (on - stop) * ways.leg[crossing, end, 0]
        y += (on - stop) * ways.leg[crossing, end, 1]
        dx = ways.leg[crossing, end, 0]
        dy = ways.leg[crossing, end, 1]
    return wp.vec3(x, y, wp.atan2(dy, dx))


@wp.func
def put_walker(
    lanes: Lanes, crossings: CrossingArrays, ways: WayArrays, actors: ActorArrays, movers: MoverArrays, world: int,
    i: int, speed: float,
) -> None:  # fmt: skip
    """The pose of a walker, and the lane that it is on."""
    crossing = movers.crossing[world, i]
    side = movers.walk[world, i]
    along = movers.along[world, i]
    place = walker_place(crossings, ways, crossing, side, along, movers.manner[world, i, OFFSET])
    actors.pose[world, i, 0] = place[0]
    actors.pose[world, i, 1] = place[1]
    actors.pose[world, i, 2] = place[2]
    actors.motion[world, i, 0] = speed
    actors.motion[world, i, 1] = 0.0
    actors.motion[world, i, 2] = 0.0
    actors.lane[world, i] = -1
    on = along - LEG_C
    if side < 0:
        on = crossing_length(crossings, crossing) - on
    for k in range(ways.first[crossing], ways.first[crossing + 1]):
        row = ways.row[k]
        if wp.abs(crossings.along[row] - on) < 2.5:
            lane = ways.lane[row]
            frame = lane_frame(lanes, lane, crossings.s[row])
            sin = wp.sin(frame.heading)
            cos = wp.cos(frame.heading)
            dx = place[0] - frame.x
            dy = place[1] - frame.y
            d = dy * cos - dx * sin
            if d < frame.left and d > -frame.right:
                actors.lane[world, i] = lane
                actors.place[world, i, 0] = wp.clamp(crossings.s[row] + dx * cos + dy * sin, 0.0, lanes.length[lane])
                actors.place[world, i, 1] = d
                actors.place[world, i, 2] = speed * (wp.sin(place[2]) * cos - wp.cos(place[2]) * sin)


@wp.func
def come(
    rules: Rules, lanes: Lanes, crossings: CrossingArrays, ways: WayArrays, vary: VaryArrays, base: int,
    actors: ActorArrays, movers: MoverArrays, world: int, road: int, i: int, key: wp.uint64, tries: int,
) -> None:  # fmt: skip
    """Somebody at the beginning of a way over a crossing, if one of the tried ones lies where walkers appear."""
    row = world * rules.robots
    first = crossings.first[road]
    many = crossings.first[road + 1] - first
    if many == 0:
        return
    for k in range(tries):
        crossing = first + below(draw_from(key, 8 + k), many)
        side = wp.where((draw_from(key, 0) >> wp.uint32(31)) == wp.uint32(0), 1, -1)
        width = wp.max(0.5 * crossings.width[crossing] - 0.5, 0.0)
        offset = width * (2.0 * unit(draw_from(key, 1)) - 1.0)
        along = 2.0 * unit(draw_from(key, 2))
        place = walker_place(crossings, ways, crossing, side, along, offset)
        away = nearest_ego(rules, actors, world, place[0], place[1])
        if movers.walk[world, i] == 0 and away > NEAR_C and away < FAR_OFF_C:
            movers.walk[world, i] = side
            movers.crossing[world, i] = crossing
            movers.along[world, i] = along
            movers.manner[world, i, OFFSET] = offset
            movers.manner[world, i, CARELESS] = wp.where(
                unit(draw_from(key, 3)) < drawn(vary, base + 11, row, draw_from(key, 4)), 1.0, 0.0
            )
            movers.pace[world, i] = wp.min(drawn(vary, base + 10, row, draw_from(key, 5)), rules.pedestrian)
            movers.life[world, i] = movers.life[world, i] + 1
            actors.kind[world, i] = PEDESTRIAN_C
            actors.size[world, i, 0] = 2.0 * RADIUS_C
            actors.size[world, i, 1] = 2.0 * RADIUS_C
            put_walker(lanes, crossings, ways, actors, movers, world, i, 0.0)


@wp.kernel(module="sim.driving.traffic")
def begin_walkers(
    rules: Rules, lanes: Lanes, crossings: CrossingArrays, ways: WayArrays, vary: VaryArrays, base: int,
    road: wp.array(dtype=wp.int32), episode: wp.array(dtype=wp.int32), mask: wp.array(dtype=wp.uint8),
    actors: ActorArrays, movers: MoverArrays,
) -> None:  # fmt: skip
    """The walkers of masked worlds, after their vehicles (which emptied the slots)."""
    world, k = wp.tid()
    if mask[world] == wp.uint8(0):
        return
    i = rules.robots + rules.vehicles + k
    start = stream(rules.seed, TERM, world, episode[world * rules.robots])
    density = drawn(vary, base + 12, world * rules.robots, draw_from(start, -1))
    key = absorb(start, i)
    if unit(draw_from(key, -1)) < density:
        movers.present[world, i] = wp.uint8(1)
        come(rules, lanes, crossings, ways, vary, base, actors, movers, world, road[world], i, key, 8)


@wp.func
def think_walker(
    rules: Rules,
    lanes: Lanes,
    crossings: CrossingArrays,
    ways: WayArrays,
    vary: VaryArrays,
    base: int,
    road: wp.array(dtype=wp.int32),
    episode: wp.array(dtype=wp.int32),
    actors: ActorArrays,
    movers: MoverArrays,
    world: int,
    i: int,
) -> None:
    """The same for one of them."""
    movers.granted[world, i] = 0
    if movers.walk[world, i] == 0:
        if movers.present[world, i] != wp.uint8(0) and (movers.clock[world] + i) % 20 == 0:
            start = stream(rules.seed, TERM, world, episode[world * rules.robots])
            key = absorb(absorb(absorb(start, i), 1 + movers.life[world, i]), movers.clock[world])
            come(rules, lanes, crossings, ways, vary, base, actors, movers, world, road[world], i, key, 2)
        return
    crossing = movers.crossing[world, i]
    side = movers.walk[world, i]
    along = movers.along[world, i]
    on = along - LEG_C
    step = movers.pace[world, i] * rules.step
    kerb = ways.kerb[crossing, wp.where(side > 0, 0, 1)] - KERB
    go = wp.int32(1)
    looks = on <= kerb and on + step > kerb and movers.manner[world, i, CARELESS] == 0.0
    if looks and not safe_to_cross(rules, crossings, ways, actors, movers, world, i):
        go = 0
    if go == 1 and on > kerb - 1.0:
        ahead = walker_place(crossings, ways, crossing, side, along + step + 0.1, movers.manner[world, i, OFFSET])
        here = walker_place(crossings, ways, crossing, side, along, movers.manner[world, i, OFFSET])
        if walks_into(actors, rules, world, ahead[0], ahead[1]) and not walks_into(
            actors, rules, world, here[0], here[1]
        ):
            go = 0
    if go == 0:
        around = way_around(rules, crossings, actors, movers, world, i)
        if around != 0.0:
            go = wp.where(around > 0.0, AROUND, -AROUND)
    movers.granted[world, i] = go


@wp.kernel(module="sim.driving.traffic")
def think_walkers(
    rules: Rules,
    lanes: Lanes,
    crossings: CrossingArrays,
    ways: WayArrays,
    vary: VaryArrays,
    base: int,
    road: wp.array(dtype=wp.int32),
    episode: wp.array(dtype=wp.int32),
    actors: ActorArrays,
    movers: MoverArrays,
    each: int,
) -> None:
    """Who steps out, who waits, and who comes anew; once in a control step."""
    world, part = wp.tid()
    for k in range(part * each, wp.min((part + 1) * each, rules.walkers)):
        think_walker(
            rules,
            lanes,
            crossings,
            ways,
            vary,
            base,
            road,
            episode,
            actors,
            movers,
            world,
            rules.robots + rules.vehicles + k,
        )


@wp.func
def move_walker(
    rules: Rules,
    lanes: Lanes,
    crossings: CrossingArrays,
    ways: WayArrays,
    actors: ActorArrays,
    movers: MoverArrays,
    world: int,
    i: int,
) -> None:
    """The same for one of them."""
    if movers.walk[world, i] == 0:
        return
    go = movers.granted[world, i]
    if wp.abs(go) == AROUND:  # sideways along the kerb
        aside = wp.float32(wp.sign(go)) * movers.pace[world, i] * rules.period
        movers.manner[world, i, OFFSET] = movers.manner[world, i, OFFSET] + aside
    speed = wp.where(go == 1, movers.pace[world, i], 0.0)
    movers.along[world, i] = movers.along[world, i] + speed * rules.period
    if movers.along[world, i] > 2.0 * LEG_C + crossing_length(crossings, movers.crossing[world, i]):
        life = movers.life[world, i]
        vanish(actors, movers, world, i)
        movers.life[world, i] = life
        return
    put_walker(lanes, crossings, ways, actors, movers, world, i, speed)


@wp.kernel(module="sim.driving.traffic")
def move_walkers(
    rules: Rules,
    lanes: Lanes,
    crossings: CrossingArrays,
    ways: WayArrays,
    actors: ActorArrays,
    movers: MoverArrays,
    each: int,
) -> None:
    """One motor period of everybody who walks."""
    world, part = wp.tid()
    for k in range(part * each, wp.min((part + 1) * each, rules.walkers)):
        move_walker(rules, lanes, crossings, ways, actors, movers, world, rules.robots + rules.vehicles + k)
