"""Where robots and people stand when a fleet's floor begins: cells of their own, drawn by the seed.

Given start cells come first, in robot order; robots beyond them are drawn cells that have a way to the first station.
People begin where they can walk, away from robots. The same site and seed give the same places, whoever asks: the
command line checks a floor's room by the same functions before anything is made.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sim.fixtures import DoorState
from sim.randomization import Term, draw_numpy
from sim.reach import FAR, components, distances
from sim.site import MOVES, Site, SiteError

CLEARANCE = 1.5
"""Nobody starts nearer to a robot than this, m."""


def start_cells(site: Site, robots: int, seed: int, given: NDArray[np.int32] | None = None) -> NDArray[np.int32]:
    """A cell of its own for each robot: the given ones in order, then drawn ones.

    Drawn cells are connected with the first station (or lie in the largest part of the floor, where there is none),
    and are no station or charger where that is possible. Raises `SiteError` for more robots than free cells, and for a
    given cell that is blocked or given twice.
    """
    first = np.zeros(0, np.int32) if given is None else np.asarray(given, np.int32)[:robots]
    for number, cell in enumerate(first.tolist()):
        if not 0 <= cell < site.blocked.size or site.filled.reshape(-1)[cell] or cell in first[:number]:
            raise SiteError(
                f"expected a free cell of its own for each robot to start on, got cell {cell} for robot {number}; "
                "choose another start"
            )
    part = components(site)
    home = part[site.stations[0]] if len(site.stations) else np.bincount(part[part >= 0]).argmax()
    rank = np.where(part == home, 0, 9)
    if len(site.stations):
        rank[distances(site, site.stations[:1]) >= FAR] = 9
    rank[np.concatenate([site.stations, site.chargers])] += 1
    rank[[*first, *site.fixtures.pods, *site.fixtures.door_cells(*DoorState)]] = 9
    room = len(first) + int((rank < 9).sum())
    if robots > room:
        raise SiteError(
            f"expected at most {room} robots, one for each free cell of {site.name} that has a way to the others, "
            f"got {robots}; take fewer or a larger site"
        )
    order = np.argsort(draw_numpy(seed, int(Term.START), 0, 0, np.arange(site.blocked.size)), kind="stable")
    drawn = order[np.argsort(rank[order], kind="stable")][: robots - len(first)]
    return np.concatenate([first, drawn.astype(np.int32)])


def people_cells(site: Site, starts: NDArray[np.int32], people: int, seed: int) -> NDArray[np.int32]:
    """A cell of their own for each person, away from robots on `starts`. Raises `SiteError` where there is no room."""
    open_cells = np.flatnonzero(_walkable(site).reshape(-1))
    gap = site.centre(open_cells)[:, None] - site.centre(starts)[None]
    away = open_cells[(np.hypot(gap[..., 0], gap[..., 1]) > CLEARANCE).all(axis=1)]
    if len(away) < people:
        raise SiteError(
            f"expected room for {people} people on {site.name}, got {len(away)} cells that people may "
            f"enter {CLEARANCE} m from all robots; take fewer people, or a site that is not person-free"
        )
    order = np.argsort(draw_numpy(seed, int(Term.PERSON_START), 0, 0, np.arange(len(away))), kind="stable")
    return away[order[:people]].astype(np.int32)


def start_yaws(site: Site, cells: NDArray[np.int32], seed: int) -> NDArray[np.float64]:
    """A direction for each robot in which it may leave its cell, drawn by the seed; east where there is none."""
    yaws = np.zeros(len(cells))
    for robot, cell in enumerate(cells.tolist()):
        moves = np.flatnonzero(site.exits.reshape(-1, 4)[cell])
        if len(moves):
            pick = int(draw_numpy(seed, int(Term.START), 0, 1, robot)) % len(moves)
            row, column = MOVES[moves[pick]]
            yaws[robot] = np.arctan2(-row, column)
    return yaws


def _walkable(site: Site) -> NDArray[np.bool_]:
    """Cells that people may enter and leave again."""
    cells = ~(site.filled | site.person_free)
    beside = np.zeros_like(cells)
    beside[1:] |= cells[:-1]
    beside[:-1] |= cells[1:]
    beside[:, 1:] |= cells[:, :-1]
    beside[:, :-1] |= cells[:, 1:]
    return cells & beside
