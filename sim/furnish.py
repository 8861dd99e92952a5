"""Fixtures drawn onto a generated warehouse: automatic doors, pods, slow lanes. Same arguments, same fixtures.

Doors close rack aisles (one cell) and the lanes between columns of blocks (two cells), where nobody walks. Pods take
the place of single rack cells that a lane or rack aisle passes, so that a robot reaches each and none stands in a way:
the floor stays as connected as it was. Slow are the lanes beside a walkway, and where robots cross one.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sim.fixtures import Door, Fixtures, SpeedZone
from sim.site import Site, SiteError, with_fixtures

OPENING = (2.0, 6.0)
"""Opening times drawn for doors, s: 4 m high-speed doors at 0.7 to 2 m/s (product sheets)."""


def furnish(site: Site, seed: int, *, doors: int = 0, pods: int = 0, speed_limit: float | None = None) -> Site:
    """The warehouse with so many doors and pods, and a limit (m/s) in its slow cells.

    Raises `SiteError` where it has not enough room for them.
    """
    rng = np.random.default_rng([seed, 0xF1C5])
    passages = _passages(site)
    _enough(doors, len(passages), "doors, one for each place across a rack aisle or lane", site)
    chosen = [passages[k] for k in rng.permutation(len(passages))[:doors]]
    shut = np.zeros(site.blocked.size, bool)
    shut[[cell for cells in chosen for cell in cells]] = True
    faces = _faces(site, shut.reshape(site.blocked.shape))
    _enough(pods, len(faces), "pods, one for each rack cell beside an aisle", site)
    places = np.sort(rng.permutation(faces)[:pods])
    blocked = site.blocked.copy()
    blocked.reshape(-1)[places] = False
    slow = tuple(np.flatnonzero(_beside_walkways(site)).tolist()) if speed_limit is not None else ()
    return with_fixtures(
        replace(site, blocked=blocked),
        Fixtures(
            doors=tuple(
                Door(f"door {number}", cells, round(float(rng.uniform(*OPENING)), 1))
                for number, cells in enumerate(chosen)
            ),
            pods=tuple(places.tolist()),
            zones=(SpeedZone(slow, speed_limit),) if speed_limit is not None else (),
        ),
    )


def _enough(asked: int, room: int, what: str, site: Site) -> None:
    if not 0 <= asked <= room:
        raise SiteError(f"expected at most {room} {what} of {site.name}, got {asked}; ask for fewer or make it larger")


def _passages(site: Site) -> list[tuple[int, ...]]:
    """Places for doors: one or two free cells beside each other between racks, where nobody walks or stops."""
    stop = np.zeros(site.blocked.size, bool)
    stop[np.concatenate([site.stations, site.chargers])] = True
    found = []
    for row in range(1, site.height - 1):
        edges = np.flatnonzero(np.diff(site.blocked[row].astype(int)))
        # between one rack's last cell and the next rack's first one
        for left, right in zip(edges[:-1] + 1, edges[1:] + 1, strict=True):
            cells = tuple(range(row * site.width + left, row * site.width + right))
            free = not site.blocked[row, left] and site.person_free[row, left:right].all()
            if free and len(cells) <= 2 and not stop[list(cells)].any():
                found.append(cells)
    return found


def _faces(site: Site, doors: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Rack cells (not of the outer walls) beside a cell from which robots come, but not beside a door."""
    reached = site.exits.any(axis=2) & ~doors
    inner = np.zeros_like(site.blocked)
    inner[1:-1, 1:-1] = site.blocked[1:-1, 1:-1]
    return np.flatnonzero(inner & _next_to(reached) & ~_next_to(doors))


def _beside_walkways(site: Site) -> NDArray[np.bool_]:
    """Cells that robots enter and where people walk, or walk beside."""
    walkway = ~(site.blocked | site.person_free)
    return (walkway | _next_to(walkway)) & site.exits.any(axis=2)


def _next_to(cells: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The four neighbours of cells."""
    beside = np.zeros_like(cells)
    beside[1:] |= cells[:-1]
    beside[:-1] |= cells[1:]
    beside[:, 1:] |= cells[:, :-1]
    beside[:, :-1] |= cells[:, 1:]
    return beside
