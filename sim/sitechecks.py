"""What must hold of a floor that a person wrote: nothing overlaps, everything stands on free ground and can be reached.

Each check raises the reader's error for the first entry that breaks it, with the line of what it collides with.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import yaml
from numpy.typing import NDArray

from sim.fixtures import Door, Ramp
from sim.reach import FAR, distances, reversed_exits
from sim.site import Site
from sim.strictyaml import Reader

GRAZE = 1.0e-6
"""m; a rectangle that ends on a cell's edge, but for rounding, does not touch the cell behind it."""


@dataclass(frozen=True)
class Rectangle:
    """A rectangle of the file."""

    node: yaml.Node
    area: tuple[int, int, int, int]
    """column, row, columns, rows"""
    metres: tuple[float, float, float, float]
    """x, y of the lower left corner, length along x, along y"""


@dataclass(frozen=True)
class Place:
    """A place of the file."""

    node: yaml.Node
    what: str
    cell: int


def check_overlaps(reader: Reader, racks: list[Rectangle], walls: int) -> None:
    """Racks and walls share no ground; the first `walls` rectangles are walls, which may meet each other in corners."""
    low = np.array([rack.metres[:2] for rack in racks]).reshape(-1, 2)
    high = low + np.array([rack.metres[2:] for rack in racks]).reshape(-1, 2)
    for number, rack in enumerate(racks):
        first = 0 if number >= walls else walls
        shared = np.minimum(high[first:number], high[number]) - np.maximum(low[first:number], low[number])
        for other in (np.flatnonzero((shared > GRAZE).all(axis=1)) + first).tolist():
            raise reader.fault(
                rack.node,
                f"expected racks that do not overlap, got one on the {'wall' if other < walls else 'rack'} of line "
                f"{line(racks[other].node)}; move it",
            )


def check_places(
    reader: Reader,
    blocked: NDArray[np.bool_],
    places: list[Place],
    doors: list[tuple[yaml.Node, Door]],
    ramps: list[tuple[yaml.Node, Ramp]],
) -> None:
    """Nothing stands in a rack or wall, and nothing on something else."""
    flat, width = blocked.reshape(-1), blocked.shape[1]
    taken: dict[int, tuple[str, yaml.Node]] = {}
    for node, what, cells in [
        *((node, f"door {door.name}", door.cells) for node, door in doors),
        *((place.node, place.what, (place.cell,)) for place in places),
    ]:
        for cell in cells:
            if flat[cell]:
                raise reader.fault(
                    node, f"expected a free cell for a {what}, got {where(cell, width)} in a rack or wall; move it"
                )
            if cell in taken:
                name, other = taken[cell]
                raise reader.fault(
                    node,
                    f"expected a cell of its own for a {what}, got {where(cell, width)}, where line {line(other)} "
                    f"has a {name}; move it",
                )
            taken[cell] = (what, node)
    for node, ramp in ramps:
        for cell in ramp.cells(width):
            if flat[cell] or (cell in taken and not taken[cell][0].endswith("station")):
                what = "a rack or wall" if flat[cell] else f"a {taken[cell][0]}"
                raise reader.fault(
                    node, f"expected a ramp on free cells, got {where(cell, width)} with {what}; move one"
                )


def check_ways(reader: Reader, site: Site, places: list[Place]) -> None:
    """Every station and charger reaches every other, by the moves that are open."""
    if not places:
        return
    first = places[0]
    there = distances(site, np.array([first.cell])) < FAR
    back = distances(replace(site, exits=reversed_exits(site.exits)), np.array([first.cell])) < FAR
    for place in places[1:]:
        for reached, origin, goal in ((there, place, first), (back, first, place)):
            if not reached[place.cell]:
                begin, end = where(origin.cell, site.width), where(goal.cell, site.width)
                raise reader.fault(
                    place.node,
                    f"expected a way between all stations and chargers, got none from the {origin.what} at "
                    f"{begin} to the {goal.what} at {end}; open one or move it",
                )


def where(cell: int, width: int) -> str:
    """A cell as the file names it."""
    return f"column {cell % width}, row {cell // width}"


def slices(area: tuple[int, int, int, int]) -> tuple[slice, slice]:
    """Rows and columns of (column, row, columns, rows)."""
    column, row, columns, rows = area
    return slice(row, row + rows), slice(column, column + columns)


def line(node: yaml.Node) -> int:
    """Where a node begins in its file."""
    return node.start_mark.line + 1
