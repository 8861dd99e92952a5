"""A floor written by hand: strict YAML.

    muster: 1
    name: two racks                    # optional; the file's name otherwise
    cell: 1.2                          # m; optional
    size: {cells: [12, 8]}             # columns, rows; or {metres: [14.4, 9.6]}
    walls: [{cells: [0, 0, 12, 1]}]    # column, row, columns, rows; row 0 is the top row, as everywhere
    racks: [{metres: [2.4, 2.4, 4.8, 1.2]}]    # x, y, length along x, along y; x right, y up, from the lower left
    stations: {both: [[1, 1]], pick: [[10, 1]], drop: [{metres: [1.8, 1.8]}]}
    chargers: [[10, 6]]
    person_free: [{cells: [2, 3, 8, 2]}]       # or: all
    one_way: [{cells: [3, 3, 6, 1], towards: east}]
    speed_zones: [{cells: [0, 0, 12, 2], limit: 0.6}]
    doors: [{name: dock, cells: [6, 1, 1, 2], opening: 4.0, state: automatic}]      # open, shut or automatic
    pods: {size: [1.0, 1.0, 2.0], at: [[4, 5], [6, 5]]}                             # length, width, height, m; default
    pods: {size: [1.2, 1.2, 2.0], at: [[4, 5]], lift_from: south}   # cell: 2.0; robots drive under, lift and carry them
    ramps: [{cells: [8, 5, 2, 1], rise: 0.2, up: east}, {cells: [10, 5, 1, 1], rise: 0.2}]  # without `up`: a platform

What is given in metres fills every cell that it touches by more than GRAZE. A one-way aisle takes away every move
against its direction, within it and over its ends. Pods of the default size stay where they are: the default robot
lifts pods from 1.1 m in length and width on, and turns with them in cells of 1.7 m or more (1.2 m in cells of 2 m
leave some room; `sim.lifting.why_not` decides). Every error names file and line: keys that do not exist, racks that
overlap each other, places in or on something, off the floor, without a way to the others.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from sim.fixtures import DIRECTIONS, FLAT, POD_SIZE, SLOPE_MAX, Door, DoorState, Fixtures, Ramp, SpeedZone, rectangle
from sim.site import CELL, CELL_MAX, CELL_MIN, MOVES, Site, SiteError, make_site, with_fixtures
from sim.sitechecks import GRAZE, Place, Rectangle, check_overlaps, check_places, check_ways, line, slices, where
from sim.strictyaml import Reader

SIDE_MAX = 8192
"""Cells along a side; more is a mistake in the unit."""

KEYS = (
    "name", "cell", "walls", "racks", "stations", "chargers", "person_free", "one_way", "speed_zones", "doors", "pods",
    "ramps",
)  # fmt: skip

STATES = tuple(state.name.lower() for state in DoorState)


def read_site_yaml(path: Path) -> Site:
    """A floor from a YAML file. Raises `SiteError` where it is none, `FileError` where it cannot be read."""
    return _SiteFile(path).site()


class _SiteFile(Reader):
    """One file being read: its keys, and the size of its floor."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, SiteError)
        self.entries = self.root(("size",), KEYS)
        self.cell = self.number(self.entries["cell"], "cell", CELL_MIN, CELL_MAX) if "cell" in self.entries else CELL
        sizes = self.keys(self.entries["size"], "size", (), ("cells", "metres"))
        self.one_of(self.entries["size"], sizes, "size")
        (unit, node), *_ = sizes.items()
        self.width, self.height = (
            self.whole(each, "size", 1, SIDE_MAX) if unit == "cells" else self.cells_in(each)
            for each in self.pair(node, "size")
        )

    def site(self) -> Site:
        racks = self.rectangles("walls") + self.rectangles("racks")
        check_overlaps(self, racks, len(self.items(self.entries.get("walls"), "walls")))
        blocked = np.zeros((self.height, self.width), bool)
        for rack in racks:
            blocked[slices(rack.area)] = True
        if blocked.all():
            raise self.fault(self.entries["size"], "expected at least one free cell, got none; take away some racks")
        person_free = np.zeros_like(blocked)
        declared = self.entries.get("person_free")
        if isinstance(declared, yaml.ScalarNode):
            self.choice(declared, "person_free", ("all",))
            person_free[...] = ~blocked
        else:
            for area in self.rectangles("person_free"):
                person_free[slices(area.area)] = True
        stations = self.stations()
        chargers = self.places(self.entries.get("chargers"), "charger")
        doors, pods, ramps = self.doors(), self.pods(), self.ramps()
        site = make_site(
            self.text(self.entries["name"], "name") if "name" in self.entries else self.path.stem,
            blocked,
            person_free=person_free & ~blocked,
            stations=[place.cell for place in stations],
            chargers=[place.cell for place in chargers],
            cell=self.cell,
        )
        for area, towards in self.one_ways():
            site.exits[...] &= _one_way(blocked.shape, area, towards)
        fixtures = Fixtures(
            doors=tuple(door for _, door in doors),
            pods=tuple(place.cell for place in pods),
            pod_size=self.pod_size(),
            pod_side=self.pod_side(),
            zones=self.zones(),
            ramps=tuple(ramp for _, ramp in ramps),
            picks=tuple(place.cell for place in stations if place.what == "pick station"),
            drops=tuple(place.cell for place in stations if place.what == "drop station"),
        )
        check_places(self, blocked, [*stations, *chargers, *pods], doors, ramps)
        site = with_fixtures(site, fixtures)
        check_ways(self, site, [*stations, *chargers, *(pods if fixtures.pod_side is not None else [])])
        return site

    # parts of the file ---------------------------------------------------------------------------------------

    def stations(self) -> list[Place]:
        if "stations" not in self.entries:
            return []
        lists = self.keys(self.entries["stations"], "stations", (), ("both", "pick", "drop"))
        names = {"both": "station", "pick": "pick station", "drop": "drop station"}
        return [place for kind, node in lists.items() for place in self.places(node, names[kind])]

    def one_ways(self) -> list[tuple[tuple[int, int, int, int], int]]:
        aisles: list[tuple[tuple[int, int, int, int], int]] = []
        taken: dict[tuple[int, int], yaml.Node] = {}
        for node in self.items(self.entries.get("one_way"), "one_way"):
            keys = self.keys(node, "one-way aisle", ("towards",), ("cells", "metres"))
            towards = DIRECTIONS.index(self.choice(keys["towards"], "towards", DIRECTIONS))
            area = self.rectangle(node, keys, "one-way aisle").area
            for cell in rectangle(area, self.width):
                if (cell, (towards + 2) % 4) in taken:
                    raise self.fault(
                        node,
                        f"expected one-way aisles that do not oppose each other, got {where(cell, self.width)} "
                        f"{DIRECTIONS[towards]} here and the other way in line "
                        f"{line(taken[cell, (towards + 2) % 4])}; take one away",
                    )
                taken[cell, towards] = node
            aisles.append((area, towards))
        return aisles

    def zones(self) -> tuple[SpeedZone, ...]:
        zones = []
        for node in self.items(self.entries.get("speed_zones"), "speed_zones"):
            keys = self.keys(node, "speed zone", ("limit",), ("cells", "metres"))
            limit = self.number(keys["limit"], "speed zone's limit in m/s", 0.05, 20.0)
            zones.append(SpeedZone(tuple(rectangle(self.rectangle(node, keys, "speed zone").area, self.width)), limit))
        return tuple(zones)

    def doors(self) -> list[tuple[yaml.Node, Door]]:
        doors: list[tuple[yaml.Node, Door]] = []
        for node in self.items(self.entries.get("doors"), "doors"):
            keys = self.keys(node, "door", ("name",), ("cells", "metres", "opening", "state"))
            name = self.text(keys["name"], "door's name")
            cells = tuple(rectangle(self.rectangle(node, keys, "door").area, self.width))
            opening = self.number(keys["opening"], "door's opening time in s", 0.0, 600.0) if "opening" in keys else 4.0
            state = self.choice(keys["state"], "door's state", STATES) if "state" in keys else "automatic"
            for other, door in doors:
                if door.name == name:
                    raise self.fault(node, f'expected a name of its own for each door, got "{name}" again; rename it')
                if set(door.cells) & set(cells):
                    raise self.fault(
                        node, f"expected doors apart, got {name} on the one of line {line(other)}; move it"
                    )
            doors.append((node, Door(name, cells, opening, DoorState(STATES.index(state)))))
        return doors

    def pods(self) -> list[Place]:
        if "pods" not in self.entries:
            return []
        keys = self.keys(self.entries["pods"], "pods", ("at",), ("size", "lift_from"))
        return self.places(keys["at"], "pod")

    def pod_side(self) -> int | None:
        if "pods" not in self.entries:
            return None
        keys = self.keys(self.entries["pods"], "pods", ("at",), ("size", "lift_from"))
        if "lift_from" not in keys:
            return None
        return DIRECTIONS.index(self.choice(keys["lift_from"], "lift_from", DIRECTIONS))

    def pod_size(self) -> tuple[float, float, float]:
        if "pods" not in self.entries:
            return POD_SIZE
        keys = self.keys(self.entries["pods"], "pods", ("at",), ("size", "lift_from"))
        if "size" not in keys:
            return POD_SIZE
        length, width, height = self.numbers(keys["size"], "pod's size", 3)
        if not (0.0 < length <= self.cell and 0.0 < width <= self.cell and 0.0 < height <= 10.0):
            raise self.fault(
                keys["size"],
                f"expected pods above 0 m, within a cell of {self.cell:g} m and at most 10 m high, "
                f"got {length:g} x {width:g} x {height:g} m; correct it",
            )
        return length, width, height

    def ramps(self) -> list[tuple[yaml.Node, Ramp]]:
        ramps: list[tuple[yaml.Node, Ramp]] = []
        for node in self.items(self.entries.get("ramps"), "ramps"):
            keys = self.keys(node, "ramp", ("rise",), ("cells", "metres", "up"))
            up = DIRECTIONS.index(self.choice(keys["up"], "up", DIRECTIONS)) if "up" in keys else FLAT
            ramp = Ramp(self.rectangle(node, keys, "ramp").area, self.number(keys["rise"], "rise in m", 0.001, 5.0), up)
            run = ramp.steps * self.cell
            if up != FLAT and ramp.rise > SLOPE_MAX * run + GRAZE:
                raise self.fault(
                    node,
                    f"expected a slope of at most {100 * SLOPE_MAX:g} %, got {ramp.rise:g} m over {run:g} m; "
                    f"make it at least {math.ceil(ramp.rise / SLOPE_MAX / self.cell - GRAZE)} cells long",
                )
            for other, before in ramps:
                if set(before.cells(self.width)) & set(ramp.cells(self.width)):
                    raise self.fault(node, f"expected ramps apart, got one on that of line {line(other)}; move it")
            ramps.append((node, ramp))
        return ramps

    # rectangles and places -----------------------------------------------------------------------------------

    def rectangles(self, key: str) -> list[Rectangle]:
        found = []
        for node in self.items(self.entries.get(key), key):
            what = key.removesuffix("s").replace("person_free", "person-free area")
            found.append(self.rectangle(node, self.keys(node, what, (), ("cells", "metres")), what))
        return found

    def rectangle(self, node: yaml.Node, keys: dict[str, yaml.Node], what: str) -> Rectangle:
        self.one_of(node, keys, what)
        c, high = self.cell, self.height
        if "cells" in keys:
            nodes = self.items(keys["cells"], what)
            if len(nodes) != 4:
                raise self.fault(
                    keys["cells"], f"{what}: expected column, row, columns, rows, got {len(nodes)} numbers"
                )
            column, row, columns, rows = (self.whole(each, what, -SIDE_MAX, SIDE_MAX) for each in nodes)
            metres = (column * c, (high - row - rows) * c, columns * c, rows * c)
        else:
            x, y, along, across = self.numbers(keys["metres"], f"{what} (x, y, length, width)", 4)
            metres = (x, y, along, across)
            column, row = math.floor(x / c + GRAZE), high - math.ceil((y + across) / c - GRAZE)
            columns = math.ceil((x + along) / c - GRAZE) - column
            rows = high - math.floor(y / c + GRAZE) - row
        if metres[2] <= 0.0 or metres[3] <= 0.0:
            raise self.fault(
                node, f"{what}: expected sides above 0, got {metres[2]:g} m by {metres[3]:g} m; correct it"
            )
        if column < 0 or row < 0 or column + columns > self.width or row + rows > self.height:
            raise self.fault(
                node,
                f"expected a {what} on the floor of {self.width} x {high} cells ({self.width * c:g} m x {high * c:g} "
                f"m), got columns {column} to {column + columns - 1}, rows {row} to {row + rows - 1}; move it",
            )
        return Rectangle(node, (column, row, columns, rows), metres)

    def places(self, node: yaml.Node | None, what: str) -> list[Place]:
        found = []
        for each in self.items(node, f"{what}s"):
            if isinstance(each, yaml.MappingNode):
                keys = self.keys(each, what, ("metres",))
                x, y = self.numbers(keys["metres"], f"{what} (x, y)", 2)
                column, row = math.floor(x / self.cell), self.height - 1 - math.floor(y / self.cell)
            else:
                column, row = (self.whole(v, what, -SIDE_MAX, SIDE_MAX) for v in self.pair(each, what))
            if not (0 <= column < self.width and 0 <= row < self.height):
                raise self.fault(
                    each,
                    f"expected a {what} on the floor of {self.width} x {self.height} cells, got column {column}, "
                    f"row {row}; move it",
                )
            found.append(Place(each, what, row * self.width + column))
        return found

    def pair(self, node: yaml.Node, what: str) -> list[yaml.Node]:
        nodes = self.items(node, what)
        if len(nodes) != 2:
            raise self.fault(node, f"{what}: expected two numbers, along x first, got {len(nodes)}; correct it")
        return nodes

    def one_of(self, node: yaml.Node, keys: dict[str, yaml.Node], what: str) -> None:
        if ("cells" in keys) == ("metres" in keys):
            raise self.fault(node, f"{what}: expected one of cells and metres, got {'both' if keys else 'none'}")

    def cells_in(self, node: yaml.Node) -> int:
        metres = self.number(node, "size", self.cell, SIDE_MAX * self.cell)
        count = round(metres / self.cell)
        if abs(count * self.cell - metres) > 1.0e-3:
            raise self.fault(
                node,
                f"size: expected whole cells of {self.cell:g} m, got {metres:g} m; "
                f"make it {count * self.cell:g} m or {(count + 1) * self.cell:g} m",
            )
        return count


def _one_way(shape: tuple[int, int], area: tuple[int, int, int, int], towards: int) -> NDArray[np.bool_]:
    """Moves that a one-way aisle leaves open: all but those against it from, to or within its cells."""
    inside = np.zeros(shape, bool)
    inside[slices(area)] = True
    against = (towards + 2) % 4
    row, column = MOVES[against]
    target = np.zeros_like(inside)  # cells whose move against the aisle ends inside
    height, width = shape
    target[max(-row, 0) : height - max(row, 0), max(-column, 0) : width - max(column, 0)] = inside[
        max(row, 0) : height - max(-row, 0), max(column, 0) : width - max(-column, 0)
    ]
    open_ = np.ones((*shape, 4), bool)
    open_[inside | target, against] = False
    return open_
