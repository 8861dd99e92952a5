"""What stands or is laid out on a floor beside its racks: doors, pods, speed zones, ramps, and what a station is for.

`Fixtures` is part of a `Site` and empty on a plain floor. It is data of a map: where things are when a run begins. What
they then do is told where they are met: doors in `sim/doors.py`, boxes in `sim/scene.py`, the lidar's cells in
`sim/rays.py`, moves in `coordination/roadmap.py`, speed limits in `hierarchy/pace.py`.

Cells are those of the site (row * width + column, row 0 at the top). Rectangles of cells are (column, row, columns,
rows). Directions are indices of `sim.site.MOVES`: east, north, west, south.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import IntEnum

import msgspec

DIRECTIONS = ("east", "north", "west", "south")
"""Names of the moves, in the order of `sim.site.MOVES`."""

POD_SIZE = (1.0, 1.0, 2.0)
"""Length along x, width along y and height of a pod, m: the footprint of common mobile shelves (goods-to-person
systems carry shelves of about 1 m x 1 m x 2 m: Wurman, D'Andrea and Mountz, AI Magazine 29(1), 2008)."""

SLOPE_MAX = 0.125
"""Steepest ramp, rise over length: what powered trucks may drive (ASR A1.8, German workplace rule: 12.5 %)."""

FLAT = -1
"""`Ramp.up` of a platform, which climbs nowhere."""


class DoorState(IntEnum):
    """How a door behaves."""

    OPEN = 0
    """Stands open."""
    SHUT = 1
    """Stays shut: as good as a wall."""
    AUTOMATIC = 2
    """Shut until a robot comes near, then open after its opening time."""


@dataclass(frozen=True)
class Door:
    """A door that fills cells while it is shut."""

    name: str
    cells: tuple[int, ...]
    opening: float = 4.0
    """From the request until robots may pass, s; 4 m of a high-speed door at 1 m/s (EN 13241 product sheets)."""
    state: DoorState = DoorState.AUTOMATIC


@dataclass(frozen=True)
class SpeedZone:
    """Cells in which robots are commanded at most `limit`."""

    cells: tuple[int, ...]
    limit: float
    """m/s"""


@dataclass(frozen=True)
class Ramp:
    """A rectangle of cells that climbs from the floor to `rise`, or, flat, a platform at that height."""

    area: tuple[int, int, int, int]
    """column, row, columns, rows"""
    rise: float
    """m"""
    up: int = FLAT
    """Direction in which it climbs; FLAT for a platform."""

    @property
    def steps(self) -> int:
        """Cells along the climb."""
        return self.area[2] if self.up in (0, 2) else self.area[3]

    def cells(self, width: int) -> list[int]:
        """Its cells on a floor of `width` columns, ascending."""
        return rectangle(self.area, width)

    def height(self, column: int, row: int) -> float:
        """Height of a corner of cells in the area, m; `column` and `row` count grid lines, row 0 at the top."""
        x, y, columns, rows = self.area
        if self.up == FLAT:
            return self.rise
        share = ((column - x) / columns, (y + rows - row) / rows, (x + columns - column) / columns, (row - y) / rows)
        return self.rise * share[self.up]


@dataclass(frozen=True)
class Fixtures:
    """All of them."""

    doors: tuple[Door, ...] = ()
    pods: tuple[int, ...] = ()
    """Cells on which a movable pod stands, each at its cell's centre."""
    pod_size: tuple[float, float, float] = POD_SIZE
    """Length along x, width along y, height, m."""
    pod_side: int | None = None
    """The side of its cell (index in MOVES) from which robots drive under each pod to lift it; None: nobody does."""
    zones: tuple[SpeedZone, ...] = ()
    """Where two overlap the lower limit holds."""
    ramps: tuple[Ramp, ...] = ()
    picks: tuple[int, ...] = ()
    """Stations where loads are fetched only."""
    drops: tuple[int, ...] = ()
    """Stations where loads are delivered only; every other station is for both."""
    frame: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Pose of W in the frame of the map that the floor was read from: x, y (m), yaw."""

    def door_cells(self, *states: DoorState) -> list[int]:
        """Cells of the doors in one of the states."""
        return [cell for door in self.doors if door.state in states for cell in door.cells]


def rectangle(area: tuple[int, int, int, int], width: int) -> list[int]:
    """Cells of (column, row, columns, rows) on a floor of `width` columns, ascending."""
    column, row, columns, rows = area
    return [(row + y) * width + column + x for y in range(rows) for x in range(columns)]


def wrong_fixtures(fixtures: Fixtures, height: int, width: int) -> str:
    """What of fixtures from a file cannot lie on a floor of `height` x `width` cells; empty when all can."""
    listed = [("pod", fixtures.pods), ("pick station", fixtures.picks), ("drop station", fixtures.drops)]
    listed += [(f"door {door.name}", door.cells) for door in fixtures.doors]
    listed += [("speed zone", zone.cells) for zone in fixtures.zones]
    for what, cells in listed:
        for cell in cells:
            if not 0 <= cell < height * width:
                return f"expected a {what} on the floor's {height * width} cells, got cell {cell}"
    for ramp in fixtures.ramps:
        x, y, columns, rows = ramp.area
        if not (0 <= x < x + columns <= width and 0 <= y < y + rows <= height and FLAT <= ramp.up < len(DIRECTIONS)):
            return f"expected a ramp on the floor's {width} x {height} cells, got {ramp.area} up {ramp.up}"
    numbers = [*fixtures.pod_size, *(zone.limit for zone in fixtures.zones), *(ramp.rise for ramp in fixtures.ramps)]
    if not all(0.0 < number < math.inf for number in numbers):
        return f"expected sizes, limits and rises above 0, got {min(numbers):g}"
    if fixtures.pod_side is not None and not 0 <= fixtures.pod_side < len(DIRECTIONS):
        return f"expected a side of pods from 0 to {len(DIRECTIONS) - 1}, got {fixtures.pod_side}"
    waits = [door.opening for door in fixtures.doors]
    if not all(0.0 <= number < math.inf for number in waits):
        return f"expected opening times of at least 0 s, got {min(waits):g}"
    return ""


def canonical(fixtures: Fixtures) -> Fixtures:
    """The same fixtures in the one order in which they are hashed: cells ascending, one speed zone for each limit."""
    limits: dict[int, float] = {}
    for zone in fixtures.zones:
        for cell in zone.cells:
            limits[cell] = min(zone.limit, limits.get(cell, zone.limit))
    return replace(
        fixtures,
        doors=tuple(sorted((replace(d, cells=tuple(sorted(d.cells))) for d in fixtures.doors), key=lambda d: d.cells)),
        pods=tuple(sorted(fixtures.pods)),
        zones=tuple(
            SpeedZone(tuple(sorted(cell for cell in limits if limits[cell] == limit)), limit)
            for limit in sorted(set(limits.values()))
        ),
        ramps=tuple(sorted(fixtures.ramps, key=lambda ramp: (ramp.area[1], ramp.area[0]))),
        picks=tuple(sorted(fixtures.picks)),
        drops=tuple(sorted(fixtures.drops)),
    )


NO_FIXTURES = Fixtures()
"""A plain floor."""


def pack_fixtures(fixtures: Fixtures) -> bytes:
    """Canonical JSON; empty for a plain floor."""
    if fixtures == NO_FIXTURES:
        return b""
    if fixtures.pod_side is not None:
        return msgspec.json.encode(fixtures, order="deterministic")
    words = msgspec.to_builtins(fixtures)  # in the same order
    words.pop("pod_side", None)  # it came later: floors without it keep their hashes, and old files lack it
    return msgspec.json.encode(words)


def unpack_fixtures(data: bytes) -> Fixtures:
    """What `pack_fixtures` packed. Raises `msgspec.MsgspecError` (a ValueError) for anything else."""
    return msgspec.json.decode(data, type=Fixtures) if data else NO_FIXTURES
