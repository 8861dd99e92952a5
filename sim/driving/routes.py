"""Routes: where an episode begins, where its goal is, and from every lane of the road the way there.

A route is not a list of lanes, because a car may leave it: for every lane it says which to take next, the successor or
the neighbour, and how many metres are left, by the shortest time over the road's graph (sim/roadgraph.py). Of ways
that take as long, the one that changes lanes later is taken, so that a neighbour as the next lane means that the
change must be done on this very lane. From lanes from which the goal cannot be reached, and beyond it, the way goes
straight on: -1 stands only where the road ends.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportInvalidTypeForm=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import warp as wp
from numpy.typing import NDArray

from sim.driving.maparrays import RoutesArrays
from sim.road import Floats, Lane, LaneKind, Road, RoadError
from sim.roadgraph import SPEED, road_graph

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

LONG, SHORT = 600.0, 300.0
"""Least length of a drawn route, m: about 17 s at 130 km/h, 22 s at 50 km/h; less where the road has none so long."""

FAST = 60.0 / 3.6
"""Roads with a lane faster than this get routes of LONG, m/s."""

RUN_OUT = 150.0
"""What is left of a road beyond a drawn goal, where it has so much, m: a car at 130 km/h stops within 120 m."""

LATER = 0.1
"""Following takes precedence over a change if it takes at most this share of the lane's time longer: lanes beside each
other in a bend differ in length by their width over its radius."""


@dataclass(frozen=True)
class RoutePlan:
    """From where to where; lanes as the road counts them."""

    start_lane: int
    start_s: float
    """m"""
    goal_lane: int
    goal_s: float
    also: tuple[int, ...] = ()
    """Lanes beside the goal's that count as well, at the same share of their length."""


class _Ways:
    """The graph of one road as arrays of edges."""

    def __init__(self, road: Road) -> None:
        from scipy.sparse import csr_matrix

        graph = road_graph(road)
        edges = [
            (u, v, data["seconds"], data["kind"] == "follow")
            for u, v, data in sorted(graph.edges(data=True), key=lambda edge: edge[:2])
        ]
        self.driving = sorted(graph.nodes)
        self.many = many = len(road.lanes)
        self.tail = np.array([edge[0] for edge in edges], int)
        self.head = np.array([edge[1] for edge in edges], int)
        self.seconds = np.array([edge[2] for edge in edges], float)
        self.follows = np.array([edge[3] for edge in edges], bool)
        self.length = np.array([lane.length for lane in road.lanes])
        self.time = np.array(
            [lane.length / (lane.limit if 0.0 < lane.limit < math.inf else SPEED) for lane in road.lanes]
        )
        self.back = csr_matrix((self.seconds, (self.head, self.tail)), shape=(many, many))
        self.straight = np.array([_straight(road.lanes, lane) for lane in road.lanes], int)

    def to(self, goals: Sequence[int]) -> tuple[NDArray[np.int64], Floats]:
        """Next lane and metres to the beginning of a goal, from every lane's beginning."""
        from scipy.sparse.csgraph import dijkstra

        seconds = np.atleast_2d(dijkstra(self.back, indices=list(goals))).min(axis=0)
        cost = self.seconds + seconds[self.head]
        # Following that takes hardly longer comes first, then what is quickest, then the lane of the lower number.
        slack = np.where(self.follows, LATER * self.time[self.tail], 0.0)
        order = np.lexsort((self.head, cost - slack, self.tail))
        first = order[np.unique(self.tail[order], return_index=True)[1]]
        step, follows = np.full(self.many, -1), np.zeros(self.many, bool)
        step[self.tail[first]], follows[self.tail[first]] = self.head[first], self.follows[first]
        reached = np.isfinite(seconds)
        beyond = ~reached
        beyond[list(goals)] = True
        step = np.where(beyond, self.straight, step)
        togo = np.where(reached, 0.0, np.inf)
        for lane in np.argsort(seconds, kind="stable"):
            if not beyond[lane]:
                togo[lane] = togo[step[lane]] + (self.length[lane] if follows[lane] else 0.0)
        return step, togo


def _straight(lanes: Sequence[Lane], lane: Lane) -> int:
    """The driving successor that turns least, -1 for none."""
    onward = [index for index in lane.successors if lanes[index].kind == LaneKind.DRIVING]
    return min(onward, key=lambda index: (abs(lanes[index].heading[-1] - lanes[index].heading[0]), index), default=-1)


def goal_offsets(road: Road, plan: RoutePlan) -> dict[int, float]:
    """The s of the goal on each lane that counts, m."""
    share = plan.goal_s / road.lanes[plan.goal_lane].length
    return {plan.goal_lane: plan.goal_s} | {lane: share * road.lanes[lane].length for lane in plan.also}


def plan_routes(road: Road, many: int, seed: int) -> list[RoutePlan]:
    """Routes of a road drawn by seed and the road itself; lanes in proportion to their length.

    Goals lie on any lane of a row of lanes that run side by side. Raises `RoadError` where there is no way of 30 m.
    """
    draws = np.random.default_rng([seed, int(road.hash[:12], 16)])
    ways = _Ways(road)
    shortest = LONG if max(road.lanes[lane].limit for lane in ways.driving) > FAST else SHORT
    places = [lane for lane in ways.driving if road.lanes[lane].junction < 0 and road.lanes[lane].length > 15.0]
    places = places or ways.driving
    weight = ways.length[places] / ways.length[places].sum()
    found: list[RoutePlan] = []
    for attempt in range(20 * many):
        least = shortest * 0.8 ** (attempt // many)  # a road without routes so long gets shorter ones
        goal = int(draws.choice(places, p=weight))
        row = [lane for lane in row_of_lanes(road, goal) if lane in places]
        end = max(ways.length[goal] - _run_out(road, goal), 0.4 * ways.length[goal])
        plan = RoutePlan(goal, 0.0, goal, float(draws.uniform(0.3, 1.0) * end), tuple(x for x in row if x != goal))
        offsets = goal_offsets(road, plan)
        _, togo = ways.to(list(offsets))
        togo = togo + offsets[goal]
        longest = np.array([togo[lane] if np.isfinite(togo[lane]) else -1.0 for lane in places])
        fits = np.flatnonzero(longest - 6.0 >= least)  # 5 m behind the start, so that a car stands on the lane
        if len(fits) == 0:
            continue
        start = places[int(draws.choice(fits, p=weight[fits] / weight[fits].sum()))]
        room = min(togo[start] - least, ways.length[start] - 5.0)
        begin = float(draws.uniform(5.0, max(room, 5.0)))
        if start in offsets and begin >= offsets[start]:
            continue
        found.append(RoutePlan(int(start), begin, plan.goal_lane, plan.goal_s, plan.also))
        if len(found) == many:
            return found
    if not found:
        raise RoadError(f"{road.name}: expected a road with a way of 30 m at least, there is none; name another")
    return [found[number % len(found)] for number in range(many)]


def row_of_lanes(road: Road, lane: int) -> list[int]:
    """Driving lanes side by side with a lane, from the left."""
    row = [lane]
    for side in ("left_neighbour", "right_neighbour"):
        other = getattr(road.lanes[lane], side)
        while other >= 0 and other not in row and road.lanes[other].kind == LaneKind.DRIVING:
            row.append(other)
            other = getattr(road.lanes[other], side)
    return sorted(row)


def _run_out(road: Road, lane: int) -> float:
    """How much of the end of a lane lies within RUN_OUT of the end of the road, going straight on, m."""
    left, here = RUN_OUT, _straight(road.lanes, road.lanes[lane])
    while here >= 0 and left > 0.0:
        left -= road.lanes[here].length
        here = _straight(road.lanes, road.lanes[here])
    return max(left, 0.0)


def route_arrays(
    roads: Sequence[Road], plans: Sequence[Sequence[RoutePlan]], first: NDArray[np.int32], device: str
) -> RoutesArrays:
    """The routes of all roads on a device. Raises `RoadError` for a goal that cannot be reached from the start."""
    most = max(len(road.lanes) for road in roads)
    total = sum(len(each) for each in plans)
    onward, left = np.full((total, most), -1, np.int32), np.full((total, most), np.inf, np.float32)
    columns: dict[str, list[float]] = {
        name: [] for name in ("road", "first", "start_lane", "start_s", "goal_lane", "goal_s", "length")
    }
    for number, (road, each) in enumerate(zip(roads, plans, strict=True)):
        ways, known = _Ways(road), {}
        for plan in each:
            offsets = goal_offsets(road, plan)
            goals = tuple(sorted(offsets))
            if goals not in known:
                known[goals] = ways.to(goals)
            step, togo = known[goals]
            # The goal's own s counts on the lanes of its row; the others are as far from it as the first of them.
            metres = togo + plan.goal_s
            for lane, s in offsets.items():
                metres[lane] = s
            row = len(columns["road"])
            onward[row, : ways.many] = np.where(step >= 0, step + first[number], -1)
            left[row, : ways.many] = metres
            length = float(metres[plan.start_lane] - plan.start_s)
            if not 0.0 < length < math.inf:
                raise RoadError(
                    f"{road.name}: expected a way from lane {road.lanes[plan.start_lane].name} to a goal ahead on lane "
                    f"{road.lanes[plan.goal_lane].name}, there is none; choose another goal"
                )
            values = (number, first[number], first[number] + plan.start_lane, plan.start_s)
            values += (first[number] + plan.goal_lane, plan.goal_s, length)
            for column, value in zip(columns.values(), values, strict=True):
                column.append(value)
    arrays = RoutesArrays()
    for name, column in columns.items():
        whole = name in ("road", "first", "start_lane", "goal_lane")
        kind, numbers = (wp.int32, np.int32) if whole else (wp.float32, np.float32)
        setattr(arrays, name, wp.array(np.array(column, numbers), dtype=kind, device=device))
    begins = np.concatenate([[0], np.cumsum([len(each) for each in plans])]).astype(np.int32)
    arrays.road_first = wp.array(begins, dtype=wp.int32, device=device)
    arrays.next_lane = wp.array(onward, dtype=wp.int32, device=device)
    arrays.togo = wp.array(left, dtype=wp.float32, device=device)
    return arrays
