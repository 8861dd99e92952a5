"""The first launch of traffic's control step: where everybody is, comes next, and what each asks for.

Each thread writes its own actor alone and reads nobody else's state, so that the order of threads does not matter. What
was decided in the last step (a change of lane, a way through a junction) takes effect here, before anybody looks at
others: two that decide at once see each other's decision before their next one.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp

from sim.actors import ActorKind
from sim.driving.following import LINKS_C, Rules, choose, follow_route, same_share, side_lane
from sim.driving.maparrays import RoutesArrays
from sim.driving.movers import FAR, Manner, MapArrays, MoverArrays
from sim.driving.standing import CLAIMS_C, HOPS_C, forget, stand_on
from sim.driving.state import ActorArrays
from sim.frenet import Lanes, fetch_frame, lane_frame, lane_project

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

PATIENCE = 8.0
"""An ego that stands this long before a junction lets others go first, s."""

WAVE = 220.0
"""Wave length of wandering, m; 0.2 m of amplitude at 36 m/s are 0.2 m/s."""

WANDER, PHASE = wp.constant(int(Manner.WANDER)), wp.constant(int(Manner.PHASE))
WAVE_C = wp.constant(6.2831853 / WAVE)
CURVED = wp.constant(0.02)  # 1/m: in bends tighter than 50 m nobody wanders
PEDESTRIAN_C = wp.constant(int(ActorKind.PEDESTRIAN))
FAR_C = wp.constant(FAR)
PATIENCE_C = wp.constant(PATIENCE)


@wp.func
def change_lane(lanes: Lanes, actors: ActorArrays, movers: MoverArrays, world: int, i: int) -> None:
    """Go on with a change of lane: where to steer, which lane is occupied too, and the lane that its middle is on."""
    if movers.pending[world, i] != 0 and movers.side[world, i] == 0:
        movers.side[world, i] = movers.pending[world, i]
        movers.crossed[world, i] = 0
    movers.pending[world, i] = 0
    movers.also[world, i] = -1
    movers.aim[world, i] = 0.0
    movers.rest[world, i] = wp.max(movers.rest[world, i] - 1, 0)
    side = movers.side[world, i]
    lane = actors.lane[world, i]
    s = actors.place[world, i, 0]
    d = actors.place[world, i, 1]
    if side == 0:
        if wp.abs(movers.base[world, i, 6]) < CURVED:
            phase = movers.driven[world, i] * WAVE_C + movers.manner[world, i, PHASE]
            movers.aim[world, i] = movers.manner[world, i, WANDER] * wp.sin(phase)
        return
    if movers.crossed[world, i] == 0:
        other = side_lane(lanes, lane, side)
        if other < 0:  # the lane beside ended: back to the middle of its own
            movers.side[world, i] = 0
            return
        there = same_share(lanes, lane, s, other)
        own = lane_frame(lanes, lane, s)
        beyond = lane_frame(lanes, other, there)
        border = own.left
        width = own.left + beyond.right
        if side < 0:
            border = own.right
            width = own.right + beyond.left
        if d * float(side) > border:
            found = lane_project(lanes, other, actors.pose[world, i, 0], actors.pose[world, i, 1], there)
            actors.lane[world, i] = other
            actors.place[world, i, 0] = found[0]
            actors.place[world, i, 1] = found[1]
            movers.before[world, i] = -1
            movers.crossed[world, i] = 1
            movers.also[world, i] = lane
            movers.also_s[world, i] = s
        else:
            movers.also[world, i] = other
            movers.also_s[world, i] = there
            movers.aim[world, i] = float(side) * width
        return
    if wp.abs(d) < 0.25 and wp.abs(movers.slant[world, i]) * actors.size[world, i, 0] < 0.5:  # nor do its corners stray
        movers.side[world, i] = 0
        movers.rest[world, i] = 100  # 5 s
        return
    left = lanes.beside[lane, wp.where(side > 0, 1, 0)]  # the lane that it came from
    movers.also[world, i] = left
    if left >= 0:
        movers.also_s[world, i] = same_share(lanes, lane, s, left)


@wp.func
def straddle(lanes: Lanes, actors: ActorArrays, movers: MoverArrays, world: int, i: int) -> None:
    """The second lane of somebody whom others drive: the one that its body reaches into or that it moves towards."""
    lane = actors.lane[world, i]
    s = actors.place[world, i, 0]
    d = actors.place[world, i, 1]
    across = actors.place[world, i, 2]
    frame = lane_frame(lanes, lane, s)
    turn = actors.pose[world, i, 2] - frame.heading  # an ego may stand across its lane
    half = 0.5 * (wp.abs(wp.sin(turn)) * actors.size[world, i, 0] + wp.abs(wp.cos(turn)) * actors.size[world, i, 1])
    left = d + half - frame.left
    right = half - d - frame.right
    other = wp.int32(-1)
    if left > -0.1 or (across > 0.4 and d > 0.0):
        other = lanes.beside[lane, 0]
    if (right > -0.1 and (right > left or other < 0)) or (across < -0.4 and d < 0.0):
        other = lanes.beside[lane, 1]
    movers.also[world, i] = other
    if other >= 0:
        movers.also_s[world, i] = same_share(lanes, lane, s, other)


@wp.func
def change_ego(lanes: Lanes, actors: ActorArrays, movers: MoverArrays, world: int, i: int) -> None:
    """The same for an ego, whose lane is what its plant says: a change ends when its lane is another that is beside."""
    lane = actors.lane[world, i]
    movers.rest[world, i] = wp.max(movers.rest[world, i] - 1, 0)
    if movers.pending[world, i] != 0 and movers.side[world, i] == 0:
        movers.side[world, i] = movers.pending[world, i]
        movers.before[world, i] = lane
    movers.pending[world, i] = 0
    movers.aim[world, i] = 0.0
    side = movers.side[world, i]
    if side == 0:
        return
    if lane != movers.before[world, i]:
        onward = wp.int32(0)
        for k in range(LINKS_C):
            if lanes.successors[movers.before[world, i], k] == lane:
                onward = 1
        movers.before[world, i] = lane
        if onward == 0:
            movers.side[world, i] = 0
            movers.rest[world, i] = 100
            return
    other = side_lane(lanes, lane, side)
    if other < 0:
        movers.side[world, i] = 0
        return
    s = actors.place[world, i, 0]
    there = same_share(lanes, lane, s, other)
    own = lane_frame(lanes, lane, s)
    beyond = lane_frame(lanes, other, there)
    movers.aim[world, i] = wp.where(side > 0, own.left + beyond.right, -(own.right + beyond.left))
    movers.also[world, i] = other
    movers.also_s[world, i] = there


@wp.func
def lay_path(
    rules: Rules, map: MapArrays, lanes: Lanes, routes: RoutesArrays, route: int, actors: ActorArrays,
    movers: MoverArrays, world: int, i: int,
) -> None:  # fmt: skip
    """The lanes that come next and how far they are."""
    v = actors.motion[world, i, 0]
    horizon = 40.0 + 2.0 * v + 0.25 * v * v
    here = actors.lane[world, i]
    at = -actors.place[world, i, 0]
    for hop in range(HOPS_C):
        movers.path[world, i, hop] = here
        movers.path_at[world, i, hop] = at
        if here >= 0:
            at += lanes.length[here]
            if at > horizon:
                here = -1
            elif route >= 0:
                here = follow_route(map, lanes, routes, route, here)
            elif i < rules.robots + rules.vehicles:
                here = choose(map, movers.key[world, i], here)
            else:
                here = map.straight[here]


@wp.func
def ask(
    rules: Rules, map: MapArrays, lanes: Lanes, actors: ActorArrays, movers: MoverArrays, world: int, i: int
) -> None:
    """Keep or give back a claim; ask for the next lanes with conflicts in time to brake for them."""
    s = actors.place[world, i, 0]
    v = actors.motion[world, i, 0]
    half = 0.5 * actors.size[world, i, 0]
    lane = actors.lane[world, i]
    first = movers.claim[world, i, 0]
    if movers.granted[world, i] != 0 and first < 0:
        for k in range(CLAIMS_C):
            movers.claim[world, i, k] = movers.want[world, i, k]
        first = movers.claim[world, i, 0]
        movers.stood[world, i] = 0
    movers.granted[world, i] = 0
    movers.stood[world, i] = wp.where(v < 0.1, movers.stood[world, i] + 1, 0)
    patience = int(PATIENCE_C / rules.step)
    ego = i < rules.robots
    inside = wp.int32(0)
    if first >= 0:
        for k in range(CLAIMS_C):
            claimed = movers.claim[world, i, k]
            if claimed >= 0 and claimed == lane:
                inside = 1
            if claimed >= 0 and claimed == movers.before[world, i] and s - half < 1.0:
                inside = 1
        coming = wp.int32(0)
        for hop in range(1, HOPS_C):
            if movers.path[world, i, hop] == first:
                coming = 1
        if ego and movers.stood[world, i] > patience:
            coming = 0
        if inside == 0 and coming == 0:
            for k in range(CLAIMS_C):
                movers.claim[world, i, k] = -1
            first = -1
    # the next lanes with conflicts
    run = wp.int32(-1)
    for hop in range(HOPS_C):
        there = movers.path[world, i, hop]
        before = hop > 0 or s + half <= map.stop[lane] + 1.0 or (ego and first < 0)
        if run < 0 and there >= 0 and before and map.entry[there] < FAR_C:
            run = hop
    movers.line[world, i] = wp.inf
    movers.leave[world, i] = wp.where(first >= 0, movers.leave[world, i], -1)
    if first >= 0 or run < 0:
        movers.ticket[world, i] = -1
        return
    there = movers.path[world, i, run]
    line = movers.path_at[world, i, run] + map.stop[there] - half
    if run > 0 and map.stop[there] <= 0.0:
        line = movers.path_at[world, i, run - 1] + map.line[movers.path[world, i, run - 1]] - half
    movers.line[world, i] = line
    open = wp.int32(1)
    movers.leave[world, i] = -1
    for k in range(CLAIMS_C):
        movers.want[world, i, k] = -1
        hop = run + k
        if hop < HOPS_C and open == 1:
            following = movers.path[world, i, hop]
            if following >= 0 and map.entry[following] < FAR_C:
                movers.want[world, i, k] = following
                if hop + 1 < HOPS_C:
                    movers.leave[world, i] = movers.path[world, i, hop + 1]
            else:
                open = 0
    if ego and (run == 0 or (v > 0.5 and line < v * v / 8.0 + 0.5)):
        # an ego that is in there, or cannot but drive in: whoever else is not in there yet waits
        for k in range(CLAIMS_C):
            movers.claim[world, i, k] = movers.want[world, i, k]
        movers.ticket[world, i] = -1
        return
    if line > v * v / 4.0 + 0.5 * v + 5.0:
        movers.ticket[world, i] = -1
        return
    if movers.ticket[world, i] < 0 or (ego and movers.stood[world, i] > patience):
        movers.ticket[world, i] = movers.clock[world]
        if movers.stood[world, i] > patience:
            movers.stood[world, i] = 0


@wp.func
def look_one(
    rules: Rules,
    map: MapArrays,
    lanes: Lanes,
    routes: RoutesArrays,
    route: wp.array(dtype=wp.int32),
    actors: ActorArrays,
    movers: MoverArrays,
    world: int,
    i: int,
) -> None:
    """The same for one of them."""
    kind = actors.kind[world, i]
    if kind < 0 or kind == PEDESTRIAN_C or actors.lane[world, i] < 0:
        forget(movers, world, i)
        return
    ego = i < rules.robots
    if i >= rules.robots and i < rules.robots + rules.vehicles:
        change_lane(lanes, actors, movers, world, i)
        stand_on(lanes, actors, movers, world, i)
    else:
        straddle(lanes, actors, movers, world, i)
    if ego and rules.drive_egos != 0:
        change_ego(lanes, actors, movers, world, i)
    way = wp.int32(-1)
    if ego:
        way = route[world * rules.robots + i]
    lay_path(rules, map, lanes, routes, way, actors, movers, world, i)
    if i < rules.robots + rules.vehicles:
        ask(rules, map, lanes, actors, movers, world, i)
    else:
        movers.line[world, i] = wp.inf
        movers.ticket[world, i] = -1


@wp.kernel(module="sim.driving.traffic")
def look(
    rules: Rules,
    map: MapArrays,
    lanes: Lanes,
    routes: RoutesArrays,
    route: wp.array(dtype=wp.int32),
    actors: ActorArrays,
    movers: MoverArrays,
    each: int,
) -> None:
    """Everybody's paths, second lanes and requests; `route` of each ego (rows,), -1 where it follows none."""
    world, part = wp.tid()
    last = wp.min((part + 1) * each, actors.kind.shape[1])
    for i in range(part * each, last):
        if actors.lane[world, i] >= 0:
            fetch_frame(lanes, actors.lane[world, i], actors.place[world, i, 0])
    for i in range(part * each, last):
        look_one(rules, map, lanes, routes, route, actors, movers, world, i)
