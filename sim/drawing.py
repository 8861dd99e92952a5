"""What pictures show of a floor: boxes with a colour, and the house's colours, without a physics library.

Drawn for the eye alone: racks are kept low, so that a camera at a slant sees into every aisle; marks on the floor show
where people walk, stations and chargers. A ramp is drawn as one step for each of its cells, at the height of the cell's
middle. Videos (sim/picture.py), pictures of environments (sim/rendering.py) and the page of `muster view` share them.
"""

from __future__ import annotations

import colorsys
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.fixtures import DoorState
from sim.site import MOVES, Site, merged_boxes, one_way_moves, open_exits

Colour = tuple[float, float, float, float]
"""Red, green, blue and opacity, 0 to 1."""

STEEL, WALL = (0.30, 0.36, 0.45, 1.0), (0.72, 0.74, 0.77, 1.0)
FLOOR, WALKWAY = (0.83, 0.85, 0.88, 1.0), (0.96, 0.88, 0.62, 1.0)
STATION, CHARGER = (0.13, 0.45, 0.80, 1.0), (0.18, 0.65, 0.35, 1.0)
TRUCK, MAST = (0.90, 0.72, 0.12, 1.0), (0.20, 0.21, 0.24, 1.0)
VEST, SKIN, CARDBOARD = (0.93, 0.42, 0.10, 1.0), (0.80, 0.62, 0.50, 1.0), (0.74, 0.57, 0.37, 1.0)
CHASSIS, MARK = (0.16, 0.18, 0.22, 1.0), (0.98, 0.98, 0.98, 1.0)
DOOR, POD, RAMP, ZONE = (
    (0.80, 0.35, 0.20, 1.0),
    (0.35, 0.45, 0.75, 1.0),
    (0.66, 0.68, 0.66, 1.0),
    (0.88, 0.72, 0.80, 1.0),
)

DOOR_DRAWN = 1.2
"""Height of doors in pictures, m: robots behind them stay visible from above."""

RACK_HEIGHT = 0.75
"""m; real racks are higher, but these are to be looked over."""

DETAILED = 600
"""Rack cells up to which each gets a box of its own; larger floors get whole blocks."""


@dataclass(frozen=True)
class Drawn:
    """A box of a picture."""

    where: tuple[float, float, float, float]
    """x_min, y_min, x_max, y_max in W, m"""
    low: float
    high: float
    colour: Colour
    door: int = -1
    """Number of the door whose box it is, to be hidden while it is open; -1 for everything else."""


def robot_colour(number: int) -> Colour:
    """A colour for each robot: hues a golden angle apart, so that neighbours in number differ most."""
    return (*colorsys.hsv_to_rgb((0.12 + 0.618034 * number) % 1.0, 0.85, 0.95), 1.0)


def tint(colour: Colour, share: float) -> Colour:
    """A colour mixed with this share of white."""
    red, green, blue, opacity = colour
    return (red + share * (1.0 - red), green + share * (1.0 - green), blue + share * (1.0 - blue), opacity)


def camera_distance(size: tuple[float, float], aspect: float, fov_deg: float, elevation_deg: float) -> float:
    """How far a camera that looks at the middle of a floor must be to see all of it, m (pinhole, by bisection).

    `size` is its extent along x and y, m.
    """
    half_x, half_y = size[0] / 2 + 0.6, size[1] / 2 + 0.6
    tilt, half = math.radians(elevation_deg), math.tan(math.radians(fov_deg) / 2)
    low, high = 0.1, 100.0 * (half_x + half_y)
    while high - low > 0.01:
        distance = (low + high) / 2
        seen = True
        for x in (-half_x, half_x):
            for y in (-half_y, half_y):
                depth = distance + y * math.cos(tilt)
                up = y * math.sin(tilt)
                seen &= depth > 0 and abs(up) <= depth * half and abs(x) <= depth * half * aspect
        low, high = (low, distance) if seen else (distance, high)
    return high


def drawn_floor(site: Site) -> list[Drawn]:
    """Everything of a floor that stands still, doors as well: ground, marks, fixtures, racks and walls."""
    boxes = [Drawn((0.0, 0.0, site.width * site.cell, site.height * site.cell), -0.10, 0.0, FLOOR)]
    if site.person_free.any():
        boxes += [Drawn(where, 0.0, 0.01, WALKWAY) for where in _runs(site, ~(site.person_free | site.blocked))]
    side = site.cell * 0.38
    for cells, colour in ((site.chargers, CHARGER), (site.stations, STATION)):
        boxes += [Drawn((x - side, y - side, x + side, y + side), 0.0, 0.025, colour) for x, y in site.centre(cells)]
    return [*boxes, *drawn_fixtures(site), *drawn_racks(site)]


def drawn_racks(site: Site) -> list[Drawn]:
    """Walls (`walls`), and racks as low steel blocks with a carton on each cell."""
    wall = walls(site)
    boxes = [Drawn(where, 0.0, 0.5, WALL) for where in _runs(site, wall)]
    inner = site.blocked & ~wall
    if inner.sum() > DETAILED:
        return boxes + [Drawn(where, 0.0, RACK_HEIGHT, STEEL) for where in _runs(site, inner)]
    boxes += [Drawn(where, 0.0, 0.35, STEEL) for where in _runs(site, inner)]
    draws = np.random.default_rng(1)
    for x, y in site.centre(np.flatnonzero(inner)):
        side_x, side_y = draws.uniform(0.33, 0.44, 2) * site.cell
        shade = draws.uniform(0.85, 1.1)
        red, green, blue = (min(1.0, part * shade) for part in CARDBOARD[:3])
        top = draws.uniform(0.5, RACK_HEIGHT)
        boxes.append(Drawn((x - side_x, y - side_y, x + side_x, y + side_y), 0.35, top, (red, green, blue, 1.0)))
    return boxes


def walls(site: Site) -> NDArray[np.bool_]:
    """Blocked cells that are drawn as walls, (height, width): those joined to the floor's edge or to a door.

    A compiled floor knows only what is blocked; a rack that leans on a wall is taken for a part of it.
    """
    found = np.zeros_like(site.blocked)
    found.reshape(-1)[[cell for door in site.fixtures.doors for cell in door.cells]] = True
    joined = site.blocked | found
    found[[0, -1]] = joined[[0, -1]]
    found[:, [0, -1]] = joined[:, [0, -1]]
    while True:
        near = found.copy()
        near[1:] |= found[:-1]
        near[:-1] |= found[1:]
        near[:, 1:] |= found[:, :-1]
        near[:, :-1] |= found[:, 1:]
        near &= joined
        if (near == found).all():
            return found & site.blocked
        found = near


def drawn_fixtures(site: Site) -> list[Drawn]:
    """The boxes of a site's fixtures; doors that always stand open have none."""
    fixtures = site.fixtures

    def square(cell: int, half_x: float, half_y: float) -> tuple[float, float, float, float]:
        x, y = site.centre(cell).tolist()
        return x - half_x, y - half_y, x + half_x, y + half_y

    half = site.cell / 2
    boxes = [Drawn(square(cell, half, half), 0.0, 0.015, ZONE) for zone in fixtures.zones for cell in zone.cells]
    for ramp in fixtures.ramps:
        for cell in ramp.cells(site.width):
            middle = float(np.mean(site.corner_height.reshape(-1, 4)[cell]))
            boxes.append(Drawn(square(cell, half, half), 0.0, middle, RAMP))
    for row, column, towards in np.argwhere(one_way_moves(site)).tolist():
        x, y = site.centre(row * site.width + column).tolist()
        along, up = MOVES[towards][1] * site.cell, -MOVES[towards][0] * site.cell
        for share, size in ((-0.08, 0.05), (0.02, 0.05), (0.14, 0.10)):  # a shaft and a head
            at_x, at_y, reach = x + share * along, y + share * up, size * site.cell
            boxes.append(Drawn((at_x - reach, at_y - reach, at_x + reach, at_y + reach), 0.0, 0.02, MARK))
    length, width, height = fixtures.pod_size
    boxes += [Drawn(square(pod, length / 2, width / 2), 0.0, height, POD) for pod in fixtures.pods]
    for number, door in enumerate(fixtures.doors):
        if door.state is not DoorState.OPEN:
            boxes += [Drawn(square(cell, half, half), 0.0, DOOR_DRAWN, DOOR, number) for cell in door.cells]
    return boxes


def _runs(site: Site, cells: NDArray[np.bool_]) -> list[tuple[float, float, float, float]]:
    """Cells as few boxes: x_min, y_min, x_max, y_max."""
    part = Site(site.name, cells, np.zeros_like(cells), open_exits(cells), cell=site.cell)
    return [(x_min, y_min, x_max, y_max) for x_min, y_min, x_max, y_max in merged_boxes(part).astype(float).tolist()]
