"""Boxes that lie in the way of an episode: how many is drawn, and where.

When all robots of a world begin, the row `boxes` of the table says how many boxes are spilled in it (the first robot's
draw), and each lies in a free cell, turned and aside of its middle, by keyed draws; the others are parked. No box lies
on a station, a charger, a pod's cell, a ramp or in a doorway, nor within reach of a robot, of where its path ends or of
another box; one for which 16 draws find no such place is parked too. A robot that begins while others go on finds what
lies where it stands cleared away. Where boxes cannot be spilled (`Loads.boxes` is 0) there is neither row nor launch.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import math
from typing import Any

import numpy as np
import warp as wp
from numpy.typing import NDArray

from sim.backend import Backend
from sim.bodies.box import BOX_SIZE
from sim.boxes import clear, spill
from sim.fixtures import DoorState
from sim.launches import Launchable, Several, record
from sim.randomization import Term, below, draw_from, stream, unit
from sim.rows import RobotArrays
from sim.scene import Scene
from sim.site import Site
from sim.tasks.corridor import centre_of
from sim.vary import Table, VaryArrays

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

HALF_BOX = math.hypot(BOX_SIZE[0], BOX_SIZE[1]) / 2
"""A box fits into a circle of this radius, m."""

ROOM = 0.5
"""Between a box and a robot that begins, or where a path ends, m: to see it and to turn before it (own choice)."""

HALF_BOX_C = wp.constant(HALF_BOX)
ATTEMPTS_C = wp.constant(16)
BOX_TERM = wp.constant(int(Term.BOXES))


def free_cells(site: Site) -> NDArray[np.int32]:
    """Cells in which a box may lie."""
    free, fixtures = ~site.filled.reshape(-1), site.fixtures
    ramps = [cell for ramp in fixtures.ramps for cell in ramp.cells(site.width)]
    free[[*site.stations, *site.chargers, *fixtures.door_cells(*DoorState), *fixtures.pods, *ramps]] = False
    free[[*fixtures.picks, *fixtures.drops]] = False
    return np.flatnonzero(free).astype(np.int32)


class Spills:
    """Owns where the boxes of each world were spilled. `ends` are a task's: path of each row, cells and lengths."""

    def __init__(self, site: Site, scene: Scene, backend: Backend, seed: int, table: Table) -> None:
        self._site, self._scene, self._backend, self._seed = site, scene, backend, seed
        device, worlds = backend.device, backend.worlds
        self._row = table.index("boxes") if any(row.name == "boxes" for row in table) else -1
        self._cells = wp.array(free_cells(site), dtype=wp.int32, device=device)
        self._begins = wp.zeros(worlds, dtype=wp.uint8, device=device)
        self._places = wp.zeros((worlds, scene.boxes, 3), dtype=wp.float32, device=device)
        self._count = wp.zeros(worlds, dtype=wp.int32, device=device)
        none = wp.zeros(0, dtype=wp.int32, device=device)
        self.ends: tuple[wp.array, wp.array, wp.array] = (none, wp.zeros((0, 0), dtype=wp.int32, device=device), none)

    def begin(self, mask: wp.array, state: RobotArrays, vary: VaryArrays) -> Launchable:
        """The launches that lay boxes out for the masked rows (uint8), whose poses were written before."""
        site, scene, worlds = self._site, self._scene, self._backend.worlds
        reach = scene.spec.radius + HALF_BOX + ROOM
        grid = [site.width, site.height, float(site.cell)]
        inputs: list[Any] = [  # as the kernel takes them
            self._seed, scene.robots, self._row, self._cells, *grid, reach, mask, vary, state, *self.ends,
            self._begins, self._places, self._count,
        ]  # fmt: skip
        drawn = record(draw_boxes, dim=worlds, inputs=inputs, device=self._backend.device)
        cleared = clear(scene, self._backend, mask, self._begins, state.pose, reach)
        return Several((drawn, spill(scene, self._backend, self._begins, self._places, self._count), cleared))


@wp.func
def near(x: float, y: float, other_x: float, other_y: float, reach: float) -> bool:
    """Whether two points are within reach of each other."""
    return (x - other_x) * (x - other_x) + (y - other_y) * (y - other_y) < reach * reach


@wp.kernel
def draw_boxes(
    seed: int,
    robots: int,
    k: int,
    cells: wp.array(dtype=wp.int32),
    width: int,
    height: int,
    cell: float,
    reach: float,
    mask: wp.array(dtype=wp.uint8),
    vary: VaryArrays,
    state: RobotArrays,
    path: wp.array(dtype=wp.int32),
    path_cells: wp.array2d(dtype=wp.int32),
    path_lengths: wp.array(dtype=wp.int32),
    begins: wp.array(dtype=wp.uint8),
    places: wp.array3d(dtype=wp.float32),
    count: wp.array(dtype=wp.int32),
) -> None:
    """Which worlds begin, and where the boxes of those lie."""
    world = wp.tid()
    first = world * robots
    begins[world] = wp.uint8(1)
    for robot in range(robots):
        if mask[first + robot] == wp.uint8(0):
            begins[world] = wp.uint8(0)
    if begins[world] == wp.uint8(0):
        return
    wanted = wp.int32(0)
    if k >= 0 and cells.shape[0] > 0:
        wanted = wp.min(int(vary.values[first, k]), places.shape[1])
    key = stream(seed, BOX_TERM, first, state.episode[first])
    aside = wp.max(0.5 * cell - HALF_BOX_C, 0.0)
    lies = wp.int32(0)
    for box in range(wanted):
        found = wp.bool(False)
        for attempt in range(ATTEMPTS_C):
            if not found:
                c = 4 * (box * ATTEMPTS_C + attempt)
                at = centre_of(cells[below(draw_from(key, c), cells.shape[0])], width, height, cell)
                x = at[0] + aside * (2.0 * unit(draw_from(key, c + 1)) - 1.0)
                y = at[1] + aside * (2.0 * unit(draw_from(key, c + 2)) - 1.0)
                found = wp.bool(True)
                for robot in range(robots):
                    row = first + robot
                    if near(x, y, state.pose[row, 0], state.pose[row, 1], reach):
                        found = wp.bool(False)
                    if path.shape[0] > 0 and state.active[row] != wp.uint8(0):
                        p = path[row]
                        end = centre_of(path_cells[p, path_lengths[p] - 1], width, height, cell)
                        if near(x, y, end[0], end[1], reach):
                            found = wp.bool(False)
                for other in range(lies):
                    if near(x, y, places[world, other, 0], places[world, other, 1], 2.0 * HALF_BOX_C):
                        found = wp.bool(False)
                if found:
                    places[world, lies, 0] = x
                    places[world, lies, 1] = y
                    places[world, lies, 2] = wp.pi * unit(draw_from(key, c + 3))
        if found:
            lies = lies + 1
    count[world] = lies
