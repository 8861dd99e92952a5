"""Fixtures as attributes of a floor's graph (see `sim/floor.py` for their names), out and in.

GraphML knows scalars alone, so that a door or a ramp is written on each of its cells; reading gathers the cells again
and refuses a door whose cells disagree or a ramp whose cells are no rectangle. Speed zones are written cell by cell and
come back as one zone for each limit.
"""

from __future__ import annotations

import math
from typing import Any

import networkx as nx

from sim.errors import nearest
from sim.fixtures import DIRECTIONS, FLAT, POD_SIZE, Door, DoorState, Fixtures, Ramp, SpeedZone
from sim.site import Site, SiteError

FIXTURE_ATTRIBUTES = ("speed_limit", "door", "door_opening", "door_state", "ramp", "ramp_rise", "ramp_up")
POD_ATTRIBUTES = ("pod_length", "pod_width", "pod_height")
FRAME_ATTRIBUTES = ("frame_x", "frame_y", "frame_yaw")

STATES = tuple(state.name.lower() for state in DoorState)
SLOPES = (*DIRECTIONS, "flat")


def write_fixtures(graph: nx.DiGraph, site: Site) -> None:
    """Write a site's fixtures onto the nodes of its graph."""
    fixtures = site.fixtures
    if fixtures.pods:
        graph.graph.update(zip(POD_ATTRIBUTES, fixtures.pod_size, strict=True))
        if fixtures.pod_side is not None:
            graph.graph["pod_side"] = DIRECTIONS[fixtures.pod_side]
    if fixtures.frame != (0.0, 0.0, 0.0):
        graph.graph.update(zip(FRAME_ATTRIBUTES, fixtures.frame, strict=True))
    for zone in fixtures.zones:
        for cell in zone.cells:
            if cell in graph:
                graph.nodes[cell]["speed_limit"] = min(zone.limit, graph.nodes[cell].get("speed_limit", math.inf))
    for door in fixtures.doors:
        for cell in door.cells:
            graph.nodes[cell].update(door=door.name, door_opening=door.opening, door_state=STATES[door.state])
    for number, ramp in enumerate(fixtures.ramps):
        for cell in ramp.cells(site.width):
            graph.nodes[cell].update(ramp=number, ramp_rise=ramp.rise, ramp_up=SLOPES[ramp.up])


def read_fixtures(graph: nx.DiGraph, width: int, picks: tuple[int, ...], drops: tuple[int, ...]) -> Fixtures:
    """The fixtures on the nodes of a graph, without pods. Raises `SiteError` naming the node and attribute."""
    limits: dict[float, list[int]] = {}
    doors: dict[str, tuple[float, str, list[int]]] = {}
    ramps: dict[int, tuple[float, str, list[int]]] = {}
    for node, attributes in sorted(graph.nodes(data=True)):
        if "speed_limit" in attributes:
            limits.setdefault(_number(attributes, "speed_limit", node, 0.0), []).append(node)
        for kind, parts, number, word, words in (
            ("door", doors, "door_opening", "door_state", STATES),
            ("ramp", ramps, "ramp_rise", "ramp_up", SLOPES),
        ):
            if kind not in attributes:
                for name in (number, word):
                    if name in attributes:
                        raise SiteError(f"node {node}: expected an attribute {kind} beside {name}, got none; add it")
                continue
            value, choice = _number(attributes, number, node, -1.0e-9), attributes.get(word)
            if choice not in words:
                raise SiteError(
                    f'node {node}: expected {word} {", ".join(words)}, got "{choice}"{nearest(str(choice), words)}'
                )
            known = parts.setdefault(attributes[kind], (value, choice, []))
            if known[:2] != (value, choice):
                raise SiteError(
                    f"node {node}: expected {kind} {attributes[kind]} with {number} {known[0]} and {word} {known[1]} "
                    f"as on node {known[2][0]}, got {value} and {choice}; correct one of them"
                )
            known[2].append(node)
    size = tuple(graph.graph.get(name, default) for name, default in zip(POD_ATTRIBUTES, POD_SIZE, strict=True))
    for name, value in zip(POD_ATTRIBUTES, size, strict=True):
        if not isinstance(value, int | float) or not 0.0 < value < math.inf:
            raise SiteError(f"expected a graph attribute {name} in metres, got {value!r}; correct it")
    side = graph.graph.get("pod_side")
    if side is not None and side not in DIRECTIONS:
        raise SiteError(f'expected a graph attribute pod_side {", ".join(DIRECTIONS)}, got "{side}"; correct it')
    x, y, yaw = (graph.graph.get(name, 0.0) for name in FRAME_ATTRIBUTES)
    for name, value in zip(FRAME_ATTRIBUTES, (x, y, yaw), strict=True):
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise SiteError(f"expected a graph attribute {name} as a number, got {value!r}; correct it")
    return Fixtures(
        frame=(float(x), float(y), float(yaw)),
        doors=tuple(
            Door(str(name), tuple(cells), opening, DoorState(STATES.index(state)))
            for name, (opening, state, cells) in doors.items()
        ),
        pod_size=(float(size[0]), float(size[1]), float(size[2])),
        pod_side=DIRECTIONS.index(side) if side is not None else None,
        zones=tuple(SpeedZone(tuple(cells), limit) for limit, cells in sorted(limits.items())),
        ramps=tuple(_ramp(number, *part, width) for number, part in ramps.items()),
        picks=picks,
        drops=drops,
    )


def _ramp(number: int, rise: float, up: str, cells: list[int], width: int) -> Ramp:
    rows, columns = [cell // width for cell in cells], [cell % width for cell in cells]
    area = (min(columns), min(rows), max(columns) - min(columns) + 1, max(rows) - min(rows) + 1)
    if len(cells) != area[2] * area[3]:
        raise SiteError(
            f"ramp {number}: expected its cells to fill a rectangle of {area[2]} x {area[3]}, got {len(cells)}; "
            "add the others or split it"
        )
    return Ramp(area, rise, DIRECTIONS.index(up) if up in DIRECTIONS else FLAT)


def _number(attributes: dict[str, Any], name: str, node: object, low: float) -> float:  # Any: users' graphs
    value = attributes.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or not low < value < math.inf:
        raise SiteError(f"node {node}: expected {name} as a number above {max(low, 0.0):g}, got {value!r}; correct it")
    return float(value)
