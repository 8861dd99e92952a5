"""The third launch of traffic's control step: who enters a junction, and who changes lanes.

Junctions are given out (sim/driving/entering.py); lanes are changed by MOBIL (sim/driving/changing.py). A lane that
ends, or a route, asks for a change whatever it gains. Changes to the left begin in even steps and those to the right in
odd ones, so that nobody enters the same place from both sides.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp

from sim.actors import ActorKind
from sim.driving.changing import SHORTER_C, exit_brake, gain, route_allows, route_side
from sim.driving.entering import ego_in_the_way, may_enter, way_to_claim
from sim.driving.following import Rules, side_lane
from sim.driving.maparrays import ConflictArrays, RoutesArrays
from sim.driving.movers import MapArrays, MoverArrays
from sim.driving.state import ActorArrays
from sim.driving.surveying import THRESHOLD, stop_before
from sim.frenet import Lanes

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

KEEP_RIGHT = 0.2
"""Bias to the right, m/s^2 (Kesting, Treiber and Helbing 2007: 0.3 for trucks, 0.1 to 0.3 in general)."""

THINK = 20
"""Control steps after which one thinks about the same side again: 1 s."""

KEEP_RIGHT_C = wp.constant(KEEP_RIGHT)
THINK_C = wp.constant(THINK)
BICYCLE_C = wp.constant(int(ActorKind.BICYCLE))


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
