"""A floor as a networkx graph: what users build and edit, and what a `Site` is compiled from.

Graph attributes: `name` (str), `width` and `height` (int, cells), `cell` (float, m); `pod_length`, `pod_width` and
`pod_height` (float, m) where pods stand, and `pod_side` ("east" and so on) where robots lift them; `frame_x`, `frame_y`
(m) and `frame_yaw` where W has a pose in a map's frame.
Nodes are the cells without a rack or wall, int row * width + column, row 0 at the top; every other cell of the
rectangle is blocked. Their attributes:
    kind         "aisle" (default), "station" (pick and drop), "pick", "drop", "charger" or "pod" (a pod stands there)
    person_free  bool (default false): people never enter, by the site's own declaration
    speed_limit  float, m/s: largest speed commanded there; left out where there is none
    door         str: name of the door that the cell belongs to; with it `door_opening` (float, s) and `door_state`
                 ("open", "shut" or "automatic"), the same on all its cells
    ramp         int: number of the ramp that the cell belongs to; with it `ramp_rise` (float, m) and `ramp_up` ("east",
                 "north", "west", "south", or "flat" for a platform); its cells fill a rectangle
    x, y         float, m: centre in W; written for viewers, never read
Edges are moves from a cell to one of its four neighbours; an aisle is one-way where only one of the two edges exists.
Attribute:
    length       float, m: always the cell size; written for path algorithms, never read

    graph = site_to_graph(generate_warehouse(7))
    graph.remove_edge(170, 171)                      # 171 to 170 alone stays open
    graph.nodes[170]["kind"] = "station"
    write_site(graph_to_site(graph), Path("floor.npz"))   # what `muster` loads; needs no networkx
    write_graphml(graph, Path("floor.graphml"))           # what other tools edit

networkx is for building, checking and tests, never for planning: arrays are.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

import networkx as nx
import numpy as np

from sim.errors import nearest
from sim.files import FileError, replacing
from sim.fixturegraph import FIXTURE_ATTRIBUTES, read_fixtures, write_fixtures
from sim.fixtures import NO_FIXTURES
from sim.site import CELL, MOVES, Site, SiteError, with_fixtures

KINDS = ("aisle", "station", "charger", "pick", "drop", "pod")

NODE_ATTRIBUTES = ("kind", "person_free", "x", "y", *FIXTURE_ATTRIBUTES)
EDGE_ATTRIBUTES = ("length",)


def site_to_graph(site: Site) -> nx.DiGraph:
    """The floor as a graph, with every attribute written."""
    graph = nx.DiGraph(name=site.name, width=site.width, height=site.height, cell=float(site.cell))
    kind = np.zeros(site.blocked.size, int)
    kind[site.chargers] = KINDS.index("charger")
    kind[site.stations] = KINDS.index("station")
    kind[list(site.fixtures.picks)] = KINDS.index("pick")
    kind[list(site.fixtures.drops)] = KINDS.index("drop")
    kind[list(site.fixtures.pods)] = KINDS.index("pod")
    for cell in site.free_cells.tolist():
        x, y = site.centre(cell).tolist()
        person_free = bool(site.person_free.reshape(-1)[cell])
        graph.add_node(cell, kind=KINDS[kind[cell]], person_free=person_free, x=x, y=y)
    for move, (row, column) in enumerate(MOVES):
        for cell in np.flatnonzero(site.exits[..., move]).tolist():
            graph.add_edge(cell, cell + row * site.width + column, length=float(site.cell))
    write_fixtures(graph, site)
    return graph


def graph_to_site(graph: nx.DiGraph) -> Site:
    """Compile a graph. Stations and chargers come in ascending order of cells, whatever their order was.

    Raises `SiteError` where the graph is not a floor: which node, edge or attribute, what was expected, what came.
    """
    if not isinstance(graph, nx.DiGraph) or graph.is_multigraph():
        raise SiteError(
            f"expected a networkx DiGraph, got a {type(graph).__name__}; use graph.to_directed() or nx.DiGraph"
        )
    width, height = (_whole(graph.graph.get(key), f"graph attribute {key}", 1, 1 << 15) for key in ("width", "height"))
    cell = graph.graph.get("cell", CELL)
    if not isinstance(cell, int | float) or not 0.0 < cell < 100.0:
        raise SiteError(f"expected a graph attribute cell in metres, got {cell!r}; give for example {CELL}")
    blocked = np.ones((height, width), bool)
    person_free = np.zeros((height, width), bool)
    places: dict[str, list[int]] = {kind: [] for kind in KINDS}
    for node, attributes in graph.nodes(data=True):
        _whole(node, "node as a cell number", 0, width * height - 1)
        _known(attributes, NODE_ATTRIBUTES, f"node {node}")
        kind = attributes.get("kind", "aisle")
        if kind not in KINDS:
            raise SiteError(f'node {node}: expected kind {", ".join(KINDS)}, got "{kind}"{nearest(str(kind), KINDS)}')
        free = attributes.get("person_free", False)
        if not isinstance(free, bool):
            raise SiteError(f"node {node}: expected person_free true or false, got {free!r}; correct it")
        blocked.reshape(-1)[node] = False
        person_free.reshape(-1)[node] = free
        places[kind].append(node)
    if blocked.all():
        raise SiteError("expected a floor with at least one node, got none; add free cells as nodes")
    exits = np.zeros((height, width, 4), bool)
    moves = {(row, column): move for move, (row, column) in enumerate(MOVES)}
    for a, b, attributes in graph.edges(data=True):
        _known(attributes, EDGE_ATTRIBUTES, f"edge {a} to {b}")
        move = moves.get((b // width - a // width, b % width - a % width))
        if move is None:
            raise SiteError(f"edge {a} to {b}: expected neighbours across or along, got cells further apart; remove it")
        exits[a // width, a % width, move] = True
    fixtures = read_fixtures(graph, width, tuple(sorted(places["pick"])), tuple(sorted(places["drop"])))
    fixtures = replace(fixtures, pods=tuple(sorted(places["pod"])))
    site = Site(
        name=str(graph.graph.get("name", "floor")),
        blocked=blocked,
        person_free=person_free,
        exits=exits,
        stations=np.array(sorted(places["station"] + places["pick"] + places["drop"]), np.int32),
        chargers=np.array(sorted(places["charger"]), np.int32),
        cell=float(cell),
    )
    return with_fixtures(site, fixtures) if fixtures != NO_FIXTURES else site


def write_graphml(graph: nx.DiGraph, path: Path) -> None:
    """Write a floor as GraphML, whole or not at all. Raises `FileError` where it cannot be written."""
    with replacing(path) as temporary:
        nx.write_graphml(graph, temporary)


def read_graphml(path: Path) -> nx.DiGraph:
    """A floor's graph from GraphML. Raises `SiteError` where it is none, `FileError` where it cannot be read."""
    try:
        graph = nx.read_graphml(path, node_type=int)
    except OSError as error:
        raise FileError(f"cannot read {path}: {error.strerror or error}; name a file that can be read") from error
    except (ParseError, nx.NetworkXError, ValueError, KeyError) as error:
        raise SiteError(f"{path}: expected GraphML with cell numbers as node ids, got {error}; repair it") from error
    if not graph.is_directed() or graph.is_multigraph():
        raise SiteError(f'{path}: expected edgedefault="directed" and single edges, got another graph; correct it')
    return graph


def _known(attributes: dict[str, Any], names: tuple[str, ...], where: str) -> None:  # Any: users' graphs hold anything
    for name in attributes:
        if name not in names:
            raise SiteError(f'{where}: expected attributes {", ".join(names)}, got "{name}"{nearest(name, names)}')


def _whole(value: object, what: str, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise SiteError(f"expected a {what} from {low} to {high}, got {value!r}; correct it")
    return value
