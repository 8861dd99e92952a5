"""A warehouse floor: square cells, racks, stations, chargers, and where people may be.

A `Site` is the compiled form that planner, simulator, shield and robots share; it needs numpy alone. Users build
and edit floors as networkx graphs (`sim/floor.py`); generators and readers live in `sim/generate.py` and
`sim/readers.py`. Cells are int32 row * width + column with row 0 at the top of the file; the centre of a cell is
x = (column + 0.5) c, y = (height - 1 - row + 0.5) c for the cell size c.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sim.errors import MusterError
from sim.fixtures import NO_FIXTURES, DoorState, Fixtures, canonical, pack_fixtures

CELL = 1.2
"""Default cell size, m: the default robot (circumscribed circle 0.80 m) turns in it with 0.2 m to spare."""
CELL_MIN, CELL_MAX = 0.05, 100.0
"""Sizes of cells, m, from an occupancy grid's to a field's; with finer ones one robot covers millions."""

MOVES = ((0, 1), (-1, 0), (0, -1), (1, 0))
"""(row, column) steps of the four moves: east, north, west, south."""


class SiteError(MusterError):
    """A floor, or the file that describes it, is not as it must be."""


@dataclass(frozen=True, eq=False)
class Site:
    """A floor. All grids are (height, width); arrays are read-only by convention."""

    name: str
    blocked: NDArray[np.bool_]
    """Cells that racks and walls fill; pods and doors stand in `fixtures`."""
    person_free: NDArray[np.bool_]
    """Cells that people never enter, by the site's own declaration."""
    exits: NDArray[np.bool_]
    """(height, width, 4): whether a robot may leave the cell by each of MOVES (one-way aisles, pods, shut doors and
    the edges of ramps clear some)."""
    stations: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    """Pick and drop cells."""
    chargers: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    cell: float = CELL
    """Cell size, m."""
    fixtures: Fixtures = NO_FIXTURES
    """Doors, pods, speed zones, ramps, and which stations are for one thing only."""

    @property
    def height(self) -> int:
        """Rows of cells."""
        return self.blocked.shape[0]

    @property
    def width(self) -> int:
        """Columns of cells."""
        return self.blocked.shape[1]

    def centre(self, cells: int | NDArray[np.integer]) -> NDArray[np.float64]:
        """Centres of cells in W, (..., 2), m."""
        row, column = np.divmod(np.asarray(cells), self.width)
        return np.stack([(column + 0.5) * self.cell, (self.height - 1 - row + 0.5) * self.cell], axis=-1)

    def cell_at(self, points: NDArray[np.floating]) -> NDArray[np.int32]:
        """Cells under points (..., 2); -1 off the floor."""
        points = np.asarray(points)
        column = np.floor(points[..., 0] / self.cell).astype(np.int64)
        row = self.height - 1 - np.floor(points[..., 1] / self.cell).astype(np.int64)
        inside = (column >= 0) & (column < self.width) & (row >= 0) & (row < self.height)
        return np.where(inside, row * self.width + column, -1).astype(np.int32)

    @cached_property
    def hash(self) -> str:
        """sha256 (hex) of everything that the floor states: what cells and grants are bound to."""
        digest = hashlib.sha256(f"muster site 1 {self.height} {self.width} {self.cell!r}".encode())
        for part in (self.blocked, self.person_free, self.exits):
            digest.update(np.packbits(part).tobytes())
        for part in (self.stations, self.chargers):
            digest.update(np.sort(np.asarray(part, "<i4")).tobytes() + b";")  # in whatever order they are listed
        digest.update(pack_fixtures(self.fixtures))  # nothing on a plain floor: its hash is what it was without
        return digest.hexdigest()

    @cached_property
    def free_cells(self) -> NDArray[np.int32]:
        """Cells that are not blocked, ascending."""
        return np.flatnonzero(~self.blocked.reshape(-1)).astype(np.int32)

    @cached_property
    def standing(self) -> NDArray[np.bool_]:
        """Cells that no robot may drive into on this floor: racks, walls, pods that stay and doors that stay shut."""
        return self._filled(DoorState.SHUT, pods=self.fixtures.pod_side is None)

    @cached_property
    def filled(self) -> NDArray[np.bool_]:
        """Cells in which something stands when a run begins: `standing` and automatic doors, still shut."""
        return self._filled(DoorState.SHUT, DoorState.AUTOMATIC)

    @cached_property
    def speed_limit(self) -> NDArray[np.float32]:
        """Largest speed that may be commanded in each cell, m/s; inf outside of speed zones."""
        limit = np.full(self.blocked.shape, np.inf, np.float32)
        for zone in self.fixtures.zones:
            cells = np.array(zone.cells, np.int64)
            limit.reshape(-1)[cells] = np.minimum(limit.reshape(-1)[cells], np.float32(zone.limit))
        return limit

    @cached_property
    def corner_height(self) -> NDArray[np.float64]:
        """Height of the four corners of each cell, (height, width, 2, 2) by grid line (row, column), m."""
        corners = np.zeros((*self.blocked.shape, 2, 2))
        for ramp in self.fixtures.ramps:
            x, y, columns, rows = ramp.area
            for row, column, down, right in np.ndindex(rows, columns, 2, 2):
                corners[y + row, x + column, down, right] = ramp.height(x + column + right, y + row + down)
        return corners

    def _filled(self, *states: DoorState, pods: bool = True) -> NDArray[np.bool_]:
        filled = self.blocked.copy()
        stand = self.fixtures.pods if pods else ()
        filled.reshape(-1)[[*stand, *self.fixtures.door_cells(*states)]] = True
        return filled


def open_exits(blocked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Exits of a floor without one-way aisles: every move from a free cell to a free neighbour."""
    free = ~blocked
    exits = np.zeros((*blocked.shape, 4), bool)
    exits[:, :-1, 0] = free[:, :-1] & free[:, 1:]
    exits[1:, :, 1] = free[1:, :] & free[:-1, :]
    exits[:, 1:, 2] = free[:, 1:] & free[:, :-1]
    exits[:-1, :, 3] = free[:-1, :] & free[1:, :]
    return exits


def with_fixtures(site: Site, fixtures: Fixtures) -> Site:
    """The same floor with other fixtures laid on it, and the moves that they take away closed.

    No robot moves into or out of a shut door or the cell of a pod, but where pods are lifted: their cells are dead ends
    that open to one side, so that only who wants the pod goes there. A move over the edge of a ramp is open only where
    both cells meet at one height. Nobody walks under a pod: its cell is declared person-free. Fixtures that the floor
    had before give their moves back only where `site` still has them: lay out fixtures once, on a plain floor.
    """
    laid = replace(site, fixtures=canonical(fixtures), person_free=site.person_free.copy(), exits=site.exits.copy())
    laid.person_free.reshape(-1)[list(fixtures.pods)] = True
    closed = laid._filled(DoorState.SHUT)
    laid.exits[...] &= open_exits(closed)
    if fixtures.pod_side is not None:
        _open_side(site, laid, closed, fixtures.pod_side)
    if fixtures.ramps:
        corner = laid.corner_height
        level = np.zeros_like(laid.exits)
        across = np.isclose(corner[:, :-1, :, 1], corner[:, 1:, :, 0]).all(-1)
        along = np.isclose(corner[:-1, :, 1, :], corner[1:, :, 0, :]).all(-1)
        level[:, :-1, 0], level[:, 1:, 2] = across, across
        level[1:, :, 1], level[:-1, :, 3] = along, along
        laid.exits[...] &= level
    return laid


def _open_side(site: Site, laid: Site, closed: NDArray[np.bool_], side: int) -> None:
    """Open the moves between each pod's cell and the cell on one side of it, where they were open before."""
    row_step, column_step = MOVES[side]
    for pod in laid.fixtures.pods:
        row, column = divmod(pod, site.width)
        there = (row + row_step, column + column_step)
        if 0 <= there[0] < site.height and 0 <= there[1] < site.width and not closed[there]:
            laid.exits[row, column, side] = site.exits[row, column, side]
            laid.exits[(*there, (side + 2) % 4)] = site.exits[(*there, (side + 2) % 4)]


def opened(site: Site) -> Site:
    """The same floor with its automatic doors standing open."""
    doors = tuple(
        replace(door, state=DoorState.OPEN) if door.state is DoorState.AUTOMATIC else door
        for door in site.fixtures.doors
    )
    return replace(site, fixtures=replace(site.fixtures, doors=doors))


def one_way_moves(site: Site) -> NDArray[np.bool_]:
    """The moves between free cells that are open in their direction alone, (height, width, 4)."""
    back = np.zeros_like(site.exits)
    back[:, :-1, 0], back[:, 1:, 2] = site.exits[:, 1:, 2], site.exits[:, :-1, 0]
    back[1:, :, 1], back[:-1, :, 3] = site.exits[:-1, :, 3], site.exits[1:, :, 1]
    return site.exits & ~back


def merged_boxes(site: Site) -> NDArray[np.float32]:
    """The blocked cells as few axis-aligned boxes: (boxes, 4) of x_min, y_min, x_max, y_max in W, m.

    Greedy: the longest horizontal run, extended downwards while the rows below hold the same run. Exact cover,
    no overlap.
    """
    left = site.blocked.copy()
    boxes: list[tuple[float, float, float, float]] = []
    for row in range(site.height):
        column = 0
        while column < site.width:
            if not left[row, column]:
                column += 1
                continue
            end = column
            while end < site.width and left[row, end]:
                end += 1
            bottom = row + 1
            while bottom < site.height and left[bottom, column:end].all():
                bottom += 1
            left[row:bottom, column:end] = False
            c = site.cell
            boxes.append((column * c, (site.height - bottom) * c, end * c, (site.height - row) * c))
            column = end
    return np.array(boxes, np.float32).reshape(-1, 4)


def make_site(
    name: str,
    blocked: NDArray[np.bool_],
    *,
    person_free: NDArray[np.bool_] | None = None,
    stations: Iterable[int] = (),
    chargers: Iterable[int] = (),
    cell: float = CELL,
) -> Site:
    """A site from its blocked cells, with every move between free cells open."""
    blocked = np.asarray(blocked, bool)
    return Site(
        name=name,
        blocked=blocked,
        person_free=np.zeros_like(blocked) if person_free is None else np.asarray(person_free, bool),
        exits=open_exits(blocked),
        stations=np.array(list(stations), np.int32),
        chargers=np.array(list(chargers), np.int32),
        cell=cell,
    )


def declare_person_free(site: Site) -> Site:
    """The same floor with every free cell declared person-free: the operator states that nobody walks there."""
    return replace(site, person_free=~site.blocked)
