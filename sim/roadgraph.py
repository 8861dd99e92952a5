"""Routes over a road network: networkx over lanes.

Nodes are indices of driving lanes with `length` (m), `limit` (m/s), `junction` and `name`; edges have `kind` ("follow",
"left", "right") and `seconds`: following takes the time of the lane that is left at its limit, a change of lane takes
CHANGE_SECONDS more than driving on would. Users may weigh or remove edges and ask again.
"""

from __future__ import annotations

import math

import networkx as nx

from sim.road import LaneKind, Road, RoadError

CHANGE_SECONDS = 5.0
"""What a change of lane is worth, s: about the time that one takes (R157, 5.2.6.4: 3 to 5 s of lateral movement)."""

SPEED = 13.9
"""Speed where no limit is stated, m/s; it only ranks routes."""


def road_graph(road: Road) -> nx.DiGraph:
    """The lanes that vehicles drive on as a graph (see the module)."""
    graph = nx.DiGraph(name=road.name)
    driving = {index for index, lane in enumerate(road.lanes) if lane.kind == LaneKind.DRIVING}
    for index in sorted(driving):
        lane = road.lanes[index]
        graph.add_node(index, length=lane.length, limit=lane.limit, junction=lane.junction, name=lane.name)
    for index in sorted(driving):
        lane = road.lanes[index]
        seconds = lane.length / (lane.limit if math.isfinite(lane.limit) and lane.limit > 0.0 else SPEED)
        for following in lane.successors:
            if following in driving:
                graph.add_edge(index, following, kind="follow", seconds=seconds)
        sides = (
            (lane.left_neighbour, lane.may_change_left, "left"),
            (lane.right_neighbour, lane.may_change_right, "right"),
        )
        for beside, allowed, kind in sides:
            if beside in driving and allowed:
                graph.add_edge(index, beside, kind=kind, seconds=CHANGE_SECONDS)
    return graph


def route(road: Road, start: int, goal: int, graph: nx.DiGraph | None = None) -> tuple[int, ...]:
    """Lanes from `start` to `goal`, both included, that take the least time.

    Raises `RoadError` where there is no way.
    """
    graph = road_graph(road) if graph is None else graph
    for index, word in ((start, "start"), (goal, "goal")):
        if index not in graph:
            name = road.lanes[index].name if 0 <= index < len(road.lanes) else str(index)
            raise RoadError(f"{road.name}: expected the {word} on a driving lane, got lane {name}; choose another")
    try:
        return tuple(nx.shortest_path(graph, start, goal, weight="seconds"))
    except nx.NetworkXNoPath:
        raise RoadError(
            f"{road.name}: expected a way from lane {road.lanes[start].name} to lane {road.lanes[goal].name}, there is "
            "none; choose another goal"
        ) from None
