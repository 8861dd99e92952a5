"""From granted cells to the corridor that skill and shield share, and what stands in it.

The corridor of a grant has one way-point per cell centre and half a cell to each side: exactly the union of the
granted cells. It is the window that the navigate task trains on: the cell before the robot's, the robot's, and the
next ones, CORRIDOR_POINTS in all; it ends at the goal when the grant leads past it. Python floats and tuples: at most
a dozen cells, where numpy's call overhead would cost more than the work.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.geometry import CORRIDOR_POINTS, Corridor
from sim.site import Site

CORE = 0.75
"""Share of a cell's half width in which a lidar point counts as an obstacle that closes the cell: racks beside the
cell reach into it by noise and localisation error (< 0.1 m of 0.6), and what stands nearer the edge can be passed."""
CLOSED_POINTS = 3
"""Lidar points in that core that make an obstacle: one or two may be noise at range; a person at 5 m gives 5."""


@dataclass(frozen=True)
class Way:
    """The granted cells around the robot, as far as the corridor shows them."""

    cells: tuple[int, ...]
    """The window in driving order; empty without a grant, or when the robot stands outside of it"""
    here: int
    """Index in `cells` of the cell that the robot is in"""
    end: int
    """Index in `cells` of the last one to drive to: the goal, or where the grant ends. What is shown beyond it lies
    under the footprint alone"""
    final: bool
    """`end` is the goal, or there is no goal and it is where the grant ends"""
    left: float
    """From the robot to the centre of the cell at `end`, m (straight; it is only compared with a tolerance)"""

    @property
    def ahead(self) -> tuple[int, ...]:
        """The cells to drive through after the robot's."""
        return self.cells[self.here + 1 : self.end + 1]


NO_WAY = Way((), 0, -1, True, 0.0)
"""No permission to move."""


def window(site: Site, cells: tuple[int, ...], position: tuple[float, float], goal: int, radius: float) -> Way:
    """The cells that the corridor shows, cut at the goal (-1 for none); `radius` bounds the footprint, m."""
    if not cells:
        return NO_WAY
    centres = [centre(site, cell) for cell in cells]
    here = min(range(len(cells)), key=lambda index: math.dist(centres[index], position))
    half = site.cell / 2.0
    if max(abs(centres[here][0] - position[0]), abs(centres[here][1] - position[1])) > half:
        return NO_WAY  # outside of everything granted: nothing may be built on it
    reach = half + radius

    def under(index: int) -> bool:
        """Whether the footprint may reach into a cell."""
        return max(abs(a - b) for a, b in zip(centres[index], position, strict=True)) < reach

    first = here - 1 if here > 0 and under(here - 1) else here
    end = len(cells)
    if goal in cells[here:]:
        end = cells.index(goal, here) + 1
    # a way that turns back is cut where it would enter a cell again: of two segments in one place neither is the nearer
    end = next((index for index in range(here + 1, end) if cells[index] in cells[here:index]), end)
    if cells[first] in cells[here:end]:
        first = here
    end = min(end, first + CORRIDOR_POINTS)
    last = end
    if end == here + 1 < len(cells) and cells[end] not in cells[first:end] and under(end):
        last = min(end + 1, first + CORRIDOR_POINTS)  # at the goal, but the footprint still reaches beyond it
    final = cells[end - 1] == goal if goal >= 0 else end == len(cells)
    return Way(cells[first:last], here - first, end - 1 - first, final, math.dist(centres[end - 1], position))


def corridor(site: Site, way: Way) -> Corridor:
    """The corridor over the window's cells; in float32 throughout, as the navigate task computes it: equal bits."""
    row, column = np.divmod(np.array(way.cells, np.int64), site.width)
    half, size = np.float32(0.5), np.float32(site.cell)
    x = (column.astype(np.float32) + half) * size
    y = ((site.height - 1 - row).astype(np.float32) + half) * size
    return Corridor(points=np.stack([x, y], axis=-1), half_width=np.full(len(way.cells), half * size, np.float32))


def centre(site: Site, cell: int) -> tuple[float, float]:
    """The centre of a cell in W, m: `Site.centre` for one cell, without arrays."""
    row, column = divmod(cell, site.width)
    return ((column + 0.5) * site.cell, (site.height - 1 - row + 0.5) * site.cell)


def cells_under(site: Site, position: tuple[float, float], radius: float) -> tuple[int, ...]:
    """Every cell that a disc overlaps, ascending; what lies off the floor is left out."""
    x, y = position
    c = site.cell
    found = []
    for row_up in range(math.floor((y - radius) / c), math.floor((y + radius) / c) + 1):
        for column in range(math.floor((x - radius) / c), math.floor((x + radius) / c) + 1):
            dx = max(column * c - x, 0.0, x - (column + 1) * c)
            dy = max(row_up * c - y, 0.0, y - (row_up + 1) * c)
            row = site.height - 1 - row_up
            if dx * dx + dy * dy <= radius * radius and 0 <= row < site.height and 0 <= column < site.width:
                found.append(row * site.width + column)
    return tuple(sorted(found))


def obstructed(
    site: Site,
    way: Way,
    scan: NDArray[np.float32],
    directions: NDArray[np.float32],
    range_max: float,
    pose: tuple[float, float, float],
) -> tuple[int, ...]:
    """Cells ahead in whose core something stands.

    `scan` (rays,) in m, `directions` (rays, 2) unit vectors in B. The cells are granted to this robot alone and free
    on the map, so what stands there is neither a rack nor a robot.
    """
    if not way.ahead:
        return ()
    x, y, yaw = pose
    cos, sin = math.cos(yaw), math.sin(yaw)
    hit = scan < 0.999 * range_max
    p_B = directions[hit] * scan[hit, None]
    p_x = x + cos * p_B[:, 0] - sin * p_B[:, 1]
    p_y = y + sin * p_B[:, 0] + cos * p_B[:, 1]
    reach = CORE * site.cell / 2.0
    found = []
    for cell in way.ahead:
        c_x, c_y = centre(site, cell)
        if np.count_nonzero((np.abs(p_x - c_x) < reach) & (np.abs(p_y - c_y) < reach)) >= CLOSED_POINTS:
            found.append(cell)
    return tuple(found)
