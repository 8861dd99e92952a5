"""Where drives begin: the places of each road that a task may begin at, and the draw of one of them.

A place is a stretch of a lane, with a side to change to where the task is a change of lane, and a route where it has
one (else any of the road's). Which road a world is on is drawn when all of its rows begin anew; the rows of a world
then begin apart from each other. Speeds are drawn where places have none, up to what lies ahead (sim/driving/calm.py).
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import warp as wp

from sim.driving.aside import stand_aside
from sim.driving.atlas import Atlas
from sim.driving.calm import calm_speeds
from sim.driving.maparrays import RoutesArrays, route_togo
from sim.driving.sides import pull_room, side_ahead, side_begin
from sim.driving.state import ActorArrays, Footing
from sim.frenet import Lanes, lane_frame
from sim.randomization import Term, below, draw, unit
from sim.road import LaneKind, Road, RoadError
from sim.rows import RobotArrays

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

NEAREST = 25.0
"""Distance that cars of one world begin at, at least, where there is room, m."""

APART = wp.constant(NEAREST)

TRIES = wp.constant(24)
"""Places that are tried for it."""

CHANGE_ROOM = 150.0
"""Length of lane that a change of lane needs from a town's speed, m; with half of it, and of the room for a stop at the
side, places are taken on roads that have no more."""

STRETCH = 50.0
"""m; longer ones are several places: a kilometre of motorway counts for more than a street."""


@dataclass(frozen=True)
class Place:
    """A stretch of a lane to begin on; lanes as the road counts them."""

    lane: int
    low: float
    """s, m"""
    high: float
    side: int = 0
    """Lane to change to: 1 left, -1 right"""
    route: int = -1
    """Route of the atlas, -1: any of the road's"""
    speed: float = -1.0
    """m/s; below 0: drawn, 0.3 to 1 times what is calm"""
    d: float = 0.0
    """m to the left of the lane's middle"""
    turn: float = 0.0
    """Heading to that of the lane, rad"""


@wp.struct
class StartArrays:
    """Places of all roads, E of them."""

    first: wp.array(dtype=wp.int32)
    """Of each road, (R + 1,)"""
    lane: wp.array(dtype=wp.int32)
    """Lane of the atlas, (E,)"""
    route: wp.array(dtype=wp.int32)
    side: wp.array(dtype=wp.int32)
    numbers: wp.array2d(dtype=wp.float32)
    """low, high, speed, d, turn; (E, 5)"""
    calm: wp.array(dtype=wp.float32)
    """Largest speed at each point of the lanes from which all that lies ahead can be kept, m/s, (P,)"""


END_ROOM = (150.0, 25.0)
"""Before the end of a road lanes are begun on so far from it, m: where it comes into sight, to where one creeps."""

Places = Callable[[Atlas, int], Iterable[Place]]
"""The places of one road of an atlas."""


def route_places(atlas: Atlas, road: int) -> Iterable[Place]:
    """Where the road's routes begin."""
    for route, plan in zip(atlas.route_of(road), atlas.plans[road], strict=True):
        yield Place(plan.start_lane, plan.start_s, plan.start_s, route=route)


def lane_places(atlas: Atlas, road: int) -> Iterable[Place]:
    """Where the road's routes begin, and for two of them one stretch where the road ends: recorded ones end soon."""
    found = list(route_places(atlas, road))
    lanes = atlas.roads[road].lanes
    ends = [
        Place(index, max(lane.length - END_ROOM[0], 5.0), lane.length - END_ROOM[1])
        for index, lane in enumerate(lanes)
        if lane.kind == LaneKind.DRIVING and not lane.successors and lane.length > END_ROOM[1] + 10.0
    ]
    return [*found, *(ends[k % len(ends)] for k in range(len(found) // 2 if ends else 0))]


def change_places(atlas: Atlas, road: int) -> Iterable[Place]:
    """Stretches with a lane beside them that may be entered."""
    for room in (CHANGE_ROOM, 0.5 * CHANGE_ROOM):
        found = list(_changes(atlas.roads[road], room))
        if found:
            return found
    return []


def _changes(road: Road, room: float) -> Iterable[Place]:
    for index, lane in enumerate(road.lanes):
        if lane.kind != LaneKind.DRIVING or lane.length < room + 10.0:
            continue
        sides = ((lane.left_neighbour, lane.may_change_left, 1), (lane.right_neighbour, lane.may_change_right, -1))
        for beside, allowed, side in sides:
            if beside >= 0 and allowed and road.lanes[beside].kind == LaneKind.DRIVING:
                yield Place(index, 5.0, lane.length - room, side)
                if not lane.successors:  # recorded roads end soon: the end in sight is no reason to stay
                    yield Place(index, lane.length - room, lane.length - 0.4 * room, side)


def pull_places(atlas: Atlas, road: int) -> Iterable[Place]:
    """Stretches of rightmost lanes outside junctions before which their side goes on for long enough to stop there."""
    for share in (1.0, 0.5):
        found = list(_sides(atlas.roads[road], share))
        if found:
            return found
    return []


def _sides(road: Road, share: float) -> Iterable[Place]:
    for index, lane in enumerate(road.lanes):
        room = share * pull_room(lane.limit)
        high = min(lane.length - 5.0, side_ahead(road, index, room) - room)
        low = side_begin(road, index) + 5.0
        if high >= low + 5.0:
            cuts = np.linspace(low, high, max(int((high - low) / STRETCH), 1) + 1).tolist()
            yield from (Place(index, low, end) for low, end in pairwise(cuts))


def start_arrays(atlas: Atlas, places: Places, task: str) -> StartArrays:
    """The places of every road; raises `RoadError` where no road has one. Roads without one are never drawn."""
    rows, first = [], [0]
    for number in range(len(atlas.roads)):
        rows += [(place, int(atlas.first[number])) for place in places(atlas, number)]
        first.append(len(rows))
    if not rows:
        names = ", ".join(road.name for road in atlas.roads[:5])
        raise RoadError(f"{names}: expected a road where the task {task} can begin, there is none; add a longer road")
    arrays = StartArrays()
    arrays.first = wp.array(np.array(first, np.int32), dtype=wp.int32, device=atlas.device)
    columns = {
        "lane": [lane + place.lane for place, lane in rows],
        "route": [place.route for place, _ in rows],
        "side": [place.side for place, _ in rows],
    }
    for name, column in columns.items():
        setattr(arrays, name, wp.array(np.array(column, np.int32), dtype=wp.int32, device=atlas.device))
    numbers = [(place.low, place.high, place.speed, place.d, place.turn) for place, _ in rows]
    arrays.numbers = wp.array(np.array(numbers, np.float32), dtype=wp.float32, device=atlas.device)
    arrays.calm = wp.array(calm_speeds(atlas.lanes), dtype=wp.float32, device=atlas.device)
    return arrays


@wp.func
def calm_speed(lanes: Lanes, calm: wp.array(dtype=wp.float32), lane: int, s: float) -> float:
    """The largest speed at arc length s from which all that lies ahead can be kept, m/s."""
    at = wp.clamp(s, 0.0, lanes.length[lane]) / lanes.spacing[lane]
    low = wp.min(int(wp.floor(at)), lanes.first[lane + 1] - lanes.first[lane] - 2)
    i = lanes.first[lane] + low
    return calm[i] + (at - float(low)) * (calm[i + 1] - calm[i])


@wp.func
def crowded(
    row: int, world: int, robots: int, x: float, y: float, waits: int, state: RobotArrays, actors: ActorArrays
) -> bool:
    """Whether another car of the world stands near a place; of those that begin too, the ones before this row.

    Where the world goes on (`waits` 0), everybody else on its road counts too: they do not begin around this row.
    """
    for k in range(robots):
        other = world * robots + k
        if other != row and (waits == 0 or other < row) and state.active[other] != wp.uint8(0):
            dx = state.pose[other, 0] - x
            dy = state.pose[other, 1] - y
            if dx * dx + dy * dy < APART * APART:
                return True
    if waits == 0:
        for slot in range(robots, actors.kind.shape[1]):
            if actors.kind[world, slot] >= 0:
                dx = actors.pose[world, slot, 0] - x
                dy = actors.pose[world, slot, 1] - y
                if dx * dx + dy * dy < APART * APART:
                    return True
    return False


@wp.kernel
def begin_drives(
    seed: int,
    robots: int,
    mask: wp.array(dtype=wp.uint8),
    lanes: Lanes,
    routes: RoutesArrays,
    starts: StartArrays,
    state: RobotArrays,
    actors: ActorArrays,
    road: wp.array(dtype=wp.int32),
    footing: Footing,
    side: wp.array(dtype=wp.int32),
    speed: wp.array(dtype=wp.float32),
) -> None:
    """Draw the road of each world that begins whole, and each masked row's place on it; `side` is its place's.

    Rows that take no part stand aside.
    """
    world = wp.tid()
    whole = wp.int32(1)
    for k in range(robots):
        if mask[world * robots + k] == wp.uint8(0):
            whole = 0
    for k in range(robots):
        row = world * robots + k
        if mask[row] != wp.uint8(0):
            episode = state.episode[row]
            if state.active[row] == wp.uint8(0):
                stand_aside(row, state, footing, speed)
                side[row] = 0
            if whole == 1 and k == 0:
                # among all places, so that a road without one is never drawn and a long one is drawn more often
                place = below(draw(seed, int(Term.ROAD_START), world, episode, 0), starts.lane.shape[0])
                here = wp.int32(0)
                while starts.first[here + 1] <= place:
                    here += 1
                road[world] = here
            tries = wp.where(state.active[row] == wp.uint8(0), 0, TRIES)
            low = starts.first[road[world]]
            many = starts.first[road[world] + 1] - low
            for attempt in range(tries):
                key = 8 * (attempt + 1)
                e = low + below(draw(seed, int(Term.ROAD_START), row, episode, key), many)
                share = unit(draw(seed, int(Term.ROAD_START), row, episode, key + 1))
                lane = starts.lane[e]
                s = starts.numbers[e, 0] + share * wp.max(starts.numbers[e, 1] - starts.numbers[e, 0], 0.0)
                frame = lane_frame(lanes, lane, s)
                d = starts.numbers[e, 3]
                x = frame.x - d * wp.sin(frame.heading)
                y = frame.y + d * wp.cos(frame.heading)
                if attempt == TRIES - 1 or not crowded(row, world, robots, x, y, whole, state, actors):
                    route = starts.route[e]
                    if route < 0:
                        first = routes.road_first[road[world]]
                        count = routes.road_first[road[world] + 1] - first
                        route = first + below(draw(seed, int(Term.ROAD_START), row, episode, key + 2), count)
                    v = starts.numbers[e, 2]
                    if v < 0.0:
                        fast = calm_speed(lanes, starts.calm, lane, s)
                        v = fast * (0.3 + 0.7 * unit(draw(seed, int(Term.ROAD_START), row, episode, key + 3)))
                    state.pose[row, 0] = x
                    state.pose[row, 1] = y
                    state.pose[row, 2] = frame.heading + starts.numbers[e, 4]
                    footing.route[row] = route
                    footing.lane[row] = lane
                    footing.place[row, 0] = s
                    footing.place[row, 1] = d
                    footing.place[row, 2] = starts.numbers[e, 4]
                    footing.place[row, 3] = frame.curvature
                    footing.left[row] = route_togo(routes, route, lane, s)
                    side[row] = starts.side[e]
                    speed[row] = v
                    break
