"""Routes of trucks: where a long vehicle fits on a floor of cells, where it can turn, and the way to every stop.

A truck stands on a cell's centre with one of four headings and drives straight or turns on the spot. A *place* is a
cell and a heading, number 4 cell + heading, headings as in `sim.site.MOVES`:

    it is one            where every cell under the truck's rectangle may be entered
    drive ahead          where the cell's exit is open, both ends are places, and the next cell either leaves room to
                         turn or is one-way: two trucks never meet head-on where neither can turn away
    turn left or right   where every cell under the disc around the rectangle may be entered

Places that cannot be left and come back to are dropped (strongly connected parts), so no truck gets stuck. `Routes`
holds the next action from every place to each stop as one byte; a row of the table serves every separate part of the
floor at once. Made on the host, once for a floor, with numpy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.randomization import Term, draw_numpy
from sim.reach import components
from sim.site import MOVES, Site

AHEAD, LEFT, RIGHT, THERE, NO_ROUTE = range(5)
"""Actions of the table; THERE at the stop itself."""

COSTS = (1.0, 2.0, 2.0)
"""Of AHEAD, LEFT, RIGHT in cells: a quarter turn at 0.5 rad/s takes as long as three cells at 1.2 m/s, less the wait of
a detour."""

MARGIN = 0.05
"""Between the truck's side and cells that it must not enter, m."""


@dataclass(frozen=True)
class Routes:
    """The next action from every place to every stop."""

    table: NDArray[np.uint8]
    """(stops, 4 cells): AHEAD, LEFT, RIGHT, THERE or NO_ROUTE."""
    stops: NDArray[np.int32]
    """(stops, parts): the cell of each stop in each part of the floor that has places; some may be the same."""
    places: NDArray[np.int32]
    """All places from which there are routes, sorted by the part of the floor that they lie in, (places,)."""
    first: NDArray[np.int32]
    """First place of each part of the floor (`sim.reach.components`), (parts of the floor + 1,)."""
    turns: NDArray[np.bool_]
    """Cells with room to turn, (cells,)."""
    part: NDArray[np.int32]
    """The part of each cell, (cells,); -1 where blocked."""


def find_routes(site: Site, length: float, width: float, stops: int, seed: int = 0) -> Routes:
    """Routes for a truck of `length` x `width` m to `stops` stops in each part: near stations, else drawn by the seed.

    Pods, doors that are not open and person-free cells are not entered, one-way aisles obeyed.
    """
    enterable = ~(site.filled | site.person_free)
    onwards = _onwards(site, enterable, length, width)
    turns = (onwards[LEFT].reshape(-1, 4) >= 0).any(axis=1)
    keep = _strongly_connected(onwards)
    onwards[:, ~keep] = -1
    for action in range(3):
        goes = onwards[action] >= 0
        onwards[action, goes] = np.where(keep[onwards[action, goes]], onwards[action, goes], -1)
    part = components(site)
    places = np.flatnonzero(keep)
    places = places[np.argsort(part[places // 4], kind="stable")].astype(np.int32)
    parts = int(part.max(initial=-1)) + 1
    first = np.searchsorted(part[places // 4], np.arange(parts + 1)).astype(np.int32)
    cells = _stops(site, places, first, stops, seed)
    table = np.full((stops, keep.size), NO_ROUTE, np.uint8)
    length_to = np.full((stops, keep.size), np.inf, np.float32)
    for stop in range(stops):
        at = (4 * cells[stop][:, None] + np.arange(4)).reshape(-1)
        at = at[keep[at]]
        table[stop, at], length_to[stop, at] = THERE, 0.0
    while True:
        fell = False
        for action, cost in enumerate(COSTS):
            goes = np.flatnonzero(onwards[action] >= 0)
            through = length_to[:, onwards[action, goes]] + np.float32(cost)
            better = through < length_to[:, goes] - 1e-3
            if better.any():
                fell = True
                length_to[:, goes] = np.where(better, through, length_to[:, goes])
                table[:, goes] = np.where(better, np.uint8(action), table[:, goes])
        if not fell:
            break
    leads = (table[:, places] < THERE).any(axis=0)
    first = np.concatenate([[0], np.cumsum(leads)])[first].astype(np.int32)
    return Routes(table=table, stops=cells, places=places[leads], first=first, turns=turns, part=part)


def _onwards(site: Site, enterable: NDArray[np.bool_], length: float, width: float) -> NDArray[np.int64]:
    """The place that each action leads to from each place, (3, 4 cells); -1 where it is not open."""
    half, side = length / 2 + MARGIN, width / 2 + MARGIN
    along = [_clear(enterable, site.cell, *((half, side) if move % 2 == 0 else (side, half))) for move in range(4)]
    reach = float(np.hypot(half, side))
    turns = _clear(enterable, site.cell, reach, reach, disc=reach)
    cells = np.arange(site.blocked.size).reshape(site.blocked.shape)
    onwards = np.full((3, site.blocked.size, 4), -1, np.int64)
    for move, (row, column) in enumerate(MOVES):
        back = (move + 2) % 4
        goes = site.exits[..., move] & along[move] & enterable
        r, c = np.nonzero(goes)
        nr, nc = r + row, c + column
        one_way = ~site.exits[nr, nc, back]
        fits = along[move][nr, nc] & (turns[nr, nc] | one_way)
        onwards[AHEAD, cells[r, c][fits], move] = 4 * cells[nr, nc][fits] + move
        r, c = np.nonzero(turns)
        onwards[LEFT, cells[r, c], move] = 4 * cells[r, c] + (move + 1) % 4
        onwards[RIGHT, cells[r, c], move] = 4 * cells[r, c] + (move + 3) % 4
    return onwards.reshape(3, -1)


def _clear(
    enterable: NDArray[np.bool_], cell: float, half_x: float, half_y: float, disc: float = np.inf
) -> NDArray[np.bool_]:
    """Cells around whose centre a rectangle (or the disc in it) lies on cells that may be entered, (height, width)."""
    height, width = enterable.shape
    far = int(np.ceil(max(half_x, half_y) / cell)) + 1
    padded = np.pad(enterable, far)
    clear = np.ones_like(enterable)
    for row in range(-far, far + 1):
        for column in range(-far, far + 1):
            near_x, near_y = max(abs(column) - 0.5, 0.0) * cell, max(abs(row) - 0.5, 0.0) * cell
            if near_x < half_x and near_y < half_y and np.hypot(near_x, near_y) < disc:
                clear &= padded[far + row : far + row + height, far + column : far + column + width]
    return clear


def _strongly_connected(onwards: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Places that lie on a round trip of at least two cells, (places,)."""
    import networkx as nx  # here, because only sites with trucks need it

    graph = nx.DiGraph()
    for action in range(3):
        goes = np.flatnonzero(onwards[action] >= 0)
        graph.add_edges_from(zip(goes.tolist(), onwards[action, goes].tolist(), strict=True))
    keep = np.zeros(onwards.shape[1], bool)
    for part in nx.strongly_connected_components(graph):
        members = np.array(sorted(part))
        if len(np.unique(members // 4)) > 1:
            keep[members] = True
    return keep


def _stops(site: Site, places: NDArray[np.int32], first: NDArray[np.int32], stops: int, seed: int) -> NDArray[np.int32]:
    """The cells of the stops in each part that has places, (stops, parts)."""
    chosen = []
    for part in range(len(first) - 1):
        cells = np.unique(places[first[part] : first[part + 1]] // 4)
        if not len(cells):
            continue
        row, column = np.divmod(cells, site.width)
        beside: list[int] = []
        for station in site.stations.tolist():
            away = np.maximum(abs(row - station // site.width), abs(column - station % site.width))
            nearest = int(cells[away.argmin()])
            if away.min() <= 2 and nearest not in beside:
                beside.append(nearest)
        bits = draw_numpy(seed, int(Term.PERSON_START), 2, part, cells)
        drawn = [cell for cell in cells[np.argsort(bits, kind="stable")].tolist() if cell not in beside]
        chosen.append(np.resize((beside + drawn)[: max(stops, 1)], stops))
    return np.array(chosen, np.int32).reshape(-1, stops).T.copy()
