"""What walkers look at: whether it is safe to cross, and the way around who stands where they want to go."""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp

from sim.actors import ActorKind
from sim.driving.crossways import WayArrays
from sim.driving.following import Rules, path_distance
from sim.driving.maparrays import CrossingArrays
from sim.driving.movers import MoverArrays
from sim.driving.state import ActorArrays
from sim.driving.walking import LEG_C, STRIP_C, crossing_length
from sim.people import PERSON_RADIUS

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

MARGIN = 1.5
"""Time that a walker leaves between itself and a vehicle, s (own choice: twice what R157 takes for a reaction)."""

TRUST = 2.5
"""Braking of traffic that walkers count on, m/s^2: comfortable, well below `YIELD_BRAKE` with which drivers stop."""

PEDESTRIAN_C = wp.constant(int(ActorKind.PEDESTRIAN))
RADIUS_C = wp.constant(float(PERSON_RADIUS))
MARGIN_C = wp.constant(MARGIN)
TRUST_C = wp.constant(TRUST)
WAITS = wp.constant(0.1)  # m/s; who is slower waits for people
ARM, ROOM = wp.constant(0.25), wp.constant(0.35)
"""Between a walker and a vehicle, m: none comes nearer, and where one passes by."""

BESIDE, DETOUR = wp.constant(12.0), wp.constant(4.0)
"""From the kerb over a road to the middle of a car, and how far one walks beside a crossing to get around it, m."""

OFFSET = wp.constant(0)  # column of a walker's `manner`: its place across the crossing, m


@wp.func
def beyond_me(crossings: CrossingArrays, actors: ActorArrays, movers: MoverArrays, world: int, i: int, j: int) -> float:
    """The way along the kerb from the line on which walker i crosses to that past the nearer end of vehicle j, m.

    Positive to the left of its first end's walkers; 0 where the line is free.
    """
    crossing = movers.crossing[world, i]
    ax = crossings.ends[crossing, 0]
    ay = crossings.ends[crossing, 1]
    length = crossing_length(crossings, crossing)
    dx = (crossings.ends[crossing, 2] - ax) / length
    dy = (crossings.ends[crossing, 3] - ay) / length
    side = float(movers.walk[world, i])
    across = (actors.pose[world, j, 1] - ay) * dx - (actors.pose[world, j, 0] - ax) * dy
    turn = wp.cos(actors.pose[world, j, 2]) * dx + wp.sin(actors.pose[world, j, 2]) * dy
    aside = wp.sqrt(wp.max(1.0 - turn * turn, 0.0))
    box = 0.5 * (actors.size[world, j, 0] * aside + actors.size[world, j, 1] * wp.abs(turn)) + RADIUS_C + ROOM
    here = side * movers.manner[world, i, OFFSET] - across
    if wp.abs(here) >= box:
        return 0.0
    return side * wp.where(here > 0.0, box - here, -box - here)


@wp.func
def way_around(
    rules: Rules, crossings: CrossingArrays, actors: ActorArrays, movers: MoverArrays, world: int, i: int
) -> float:
    """The same for an ego that stands in the walker's way near by, m; 0: there is none, or it is too far around."""
    for j in range(rules.robots):
        if actors.kind[world, j] >= 0 and actors.motion[world, j, 0] <= WAITS:
            dx = actors.pose[world, j, 0] - actors.pose[world, i, 0]
            dy = actors.pose[world, j, 1] - actors.pose[world, i, 1]
            if dx * dx + dy * dy < BESIDE * BESIDE:
                way = beyond_me(crossings, actors, movers, world, i, j)
                reached = wp.abs(movers.manner[world, i, OFFSET] + way)
                if reached < 0.5 * crossings.width[movers.crossing[world, i]] + DETOUR:
                    return way
    return 0.0


@wp.func
def safe_to_cross(
    rules: Rules,
    crossings: CrossingArrays,
    ways: WayArrays,
    actors: ActorArrays,
    movers: MoverArrays,
    world: int,
    i: int,
) -> bool:
    """Whether every vehicle on its way over the crossing comes later, stands, or stops."""
    crossing = movers.crossing[world, i]
    on = movers.along[world, i] - LEG_C
    length = crossing_length(crossings, crossing)
    walkers = rules.robots + rules.vehicles
    for k in range(ways.first[crossing], ways.first[crossing + 1]):
        row = ways.row[k]
        there = crossings.along[row]
        if movers.walk[world, i] < 0:
            there = length - there
        until = (there + STRIP_C - on) / movers.pace[world, i] + MARGIN_C
        for j in range(actors.kind.shape[1]):
            if actors.kind[world, j] >= 0 and actors.kind[world, j] != PEDESTRIAN_C:
                half = 0.5 * actors.size[world, j, 0]
                way = path_distance(movers, world, j, ways.lane[row], crossings.begin[row]) - half
                clear = way + 2.0 * half + crossings.end[row] - crossings.begin[row]
                v = actors.motion[world, j, 0]
                if way < wp.inf and clear > 0.0:
                    if way <= 0.0:
                        mine = j >= rules.robots or v > WAITS
                        if mine or beyond_me(crossings, actors, movers, world, i, j) != 0.0:
                            return False
                        continue
                    stops = j >= rules.robots and j < walkers and way > v * v / (2.0 * TRUST_C) + 0.5 * v
                    if way < v * until and not stops and (v > 0.3 or way < 0.3):
                        return False
    return True


@wp.func
def walks_into(actors: ActorArrays, rules: Rules, world: int, x: float, y: float) -> bool:
    """Whether a place is within an arm's length of a vehicle's box."""
    for j in range(actors.kind.shape[1]):
        if actors.kind[world, j] >= 0 and actors.kind[world, j] != PEDESTRIAN_C:
            dx = x - actors.pose[world, j, 0]
            dy = y - actors.pose[world, j, 1]
            if dx * dx + dy * dy < 144.0:
                sin = wp.sin(actors.pose[world, j, 2])
                cos = wp.cos(actors.pose[world, j, 2])
                reach = RADIUS_C + ARM
                ahead = wp.abs(dx * cos + dy * sin) - 0.5 * actors.size[world, j, 0]
                aside = wp.abs(dy * cos - dx * sin) - 0.5 * actors.size[world, j, 1]
                if ahead < reach and aside < reach:
                    return True
    return False
