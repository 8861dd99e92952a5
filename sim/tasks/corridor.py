"""Where a robot is on its path, and the corridor that its grant shows: Warp functions that the task's kernels share.

A path is a row of cells; `index` is the cell on it under the robot, `granted` the last cell granted. What the robot
holds runs from the cell behind it to the last one granted.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from itertools import pairwise

import numpy as np
import warp as wp

from sim.generate import CorridorLibrary, components
from sim.geometry import CORRIDOR_POINTS
from sim.reach import count_apart
from sim.site import Site, SiteError
from sim.tasks.task import Corridor

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

POINTS_C = wp.constant(CORRIDOR_POINTS)


@wp.struct
class Paths:
    """Paths over one floor, sorted by the separate part of the floor (the layout) that they run in."""

    cells: wp.array2d(dtype=wp.int32)
    """(paths, longest)"""
    lengths: wp.array(dtype=wp.int32)
    """(paths,)"""
    first: wp.array(dtype=wp.int32)
    """First path of each layout, (layouts + 1,)."""


@wp.struct
class Course:
    """Where each row stands on its path; every array (rows,) but for the layout."""

    layout: wp.array(dtype=wp.int32)
    """The layout of each world, (worlds,)."""
    path: wp.array(dtype=wp.int32)
    index: wp.array(dtype=wp.int32)
    """The cell of the path that the robot stands in."""
    granted: wp.array(dtype=wp.int32)
    """The last granted cell of the path."""
    lookahead: wp.array(dtype=wp.int32)
    """Cells that the grant pointer runs ahead."""
    stall_at: wp.array(dtype=wp.int32)
    """The cell of the path where the grant pointer stalls; -1 never."""
    stall_left: wp.array(dtype=wp.int32)
    """Steps that the stall still lasts."""
    remaining: wp.array(dtype=wp.float32)
    """Distance along the path to its end, m."""


def path_arrays(site: Site, library: CorridorLibrary, device: str) -> Paths:
    """A library, sorted by layout, on a device."""
    layout = components(site)[library.cells[:, 0]]
    order = np.argsort(layout, kind="stable")
    _, first = np.unique(layout[order], return_index=True)
    paths = Paths()
    paths.cells = wp.array(np.ascontiguousarray(library.cells[order]), dtype=wp.int32, device=device)
    paths.lengths = wp.array(library.lengths[order], dtype=wp.int32, device=device)
    paths.first = wp.array(np.append(first, len(order)).astype(np.int32), dtype=wp.int32, device=device)
    return paths


def most_apart(site: Site) -> int:
    """No more robots than this begin two cells apart: one in each 2 x 2 cells of which some are free."""
    free = np.pad(~site.blocked, ((0, site.height % 2), (0, site.width % 2)))
    return int((free[::2, ::2] | free[1::2, ::2] | free[::2, 1::2] | free[1::2, 1::2]).sum())


def check_room(site: Site, paths: Paths, robots: int) -> None:
    """Raises `SiteError` where no layout of a floor has places for so many robots to begin, two cells apart."""
    cells, first = paths.cells.numpy()[:, 0], paths.first.numpy().tolist()
    starts = (np.unique(cells[low:high]) for low, high in pairwise(first))
    most = max(count_apart(site, each, 2.0, robots) for each in starts)
    if most < robots:
        raise SiteError(
            f"{site.name}: expected places for {robots} robots to begin, two cells apart, got {most}; "
            "take fewer robots or a larger floor"
        )


def make_course(worlds: int, robots: int, device: str) -> Course:
    """No episode begun."""
    course = Course()
    rows = worlds * robots
    course.layout = wp.zeros(worlds, dtype=wp.int32, device=device)
    for name in ("path", "index", "granted", "lookahead", "stall_left"):
        setattr(course, name, wp.zeros(rows, dtype=wp.int32, device=device))
    course.stall_at = wp.full(rows, -1, dtype=wp.int32, device=device)
    course.remaining = wp.zeros(rows, dtype=wp.float32, device=device)
    return course


@wp.func
def centre_of(cell_number: int, width: int, height: int, cell: float) -> wp.vec2:
    """Centre of a cell in W, m."""
    return wp.vec2((float(cell_number % width) + 0.5) * cell, (float(height - 1 - cell_number / width) + 0.5) * cell)


@wp.func
def cell_under(x: float, y: float, width: int, height: int, cell: float) -> int:
    """The cell under a point; -1 off the floor."""
    column = int(wp.floor(x / cell))
    row = height - 1 - int(wp.floor(y / cell))
    if column < 0 or column >= width or row < 0 or row >= height:
        return -1
    return row * width + column


@wp.func
def segment_gap(a: wp.vec2, b: wp.vec2, x: float, y: float) -> wp.vec2:
    """Squared distance from segment ab, and the share of it behind the foot of the perpendicular."""
    u = b - a
    square = u[0] * u[0] + u[1] * u[1]
    t = wp.float32(1.0)
    if square > 1.0e-9:
        t = wp.clamp(((x - a[0]) * u[0] + (y - a[1]) * u[1]) / square, 0.0, 1.0)
    dx = x - a[0] - t * u[0]
    dy = y - a[1] - t * u[1]
    return wp.vec2(dx * dx + dy * dy, t)


@wp.func
def track_path(
    cells: wp.array2d(dtype=wp.int32),
    path: int,
    length: int,
    index: int,
    granted: int,
    width: int,
    height: int,
    cell: float,
    x: float,
    y: float,
) -> wp.vec2:
    """Distance along the path to its end, and from the path's centre line near cell `index`, m."""
    here = centre_of(cells[path, index], width, height, cell)
    best = wp.float32(1.0e9)
    end = index
    share = wp.float32(1.0)
    if index > 0:
        gap = segment_gap(centre_of(cells[path, index - 1], width, height, cell), here, x, y)
        best = gap[0]
        share = gap[1]
    if index + 1 < length and index < granted:
        gap = segment_gap(here, centre_of(cells[path, index + 1], width, height, cell), x, y)
        if gap[0] <= best:
            best = gap[0]
            share = gap[1]
            end = index + 1
    if best > 1.0e8:
        dx = x - here[0]
        dy = y - here[1]
        best = dx * dx + dy * dy
    return wp.vec2(float(length - 1 - end) * cell + (1.0 - share) * cell, wp.sqrt(best))


@wp.func
def holds(cells: wp.array2d(dtype=wp.int32), path: int, index: int, granted: int, cell_number: int) -> bool:
    """Whether a robot at `index` of its path, granted up to `granted`, holds the cell."""
    found = wp.bool(False)
    for k in range(wp.max(index - 1, 0), granted + 1):
        if cells[path, k] == cell_number:
            found = True
    return found


@wp.func
def nearer(
    cells: wp.array2d(dtype=wp.int32), path: int, index: int, width: int, height: int, cell: float, x: float, y: float
) -> bool:
    """Whether a point is nearer to the path's next cell than to the one at `index`."""
    here = centre_of(cells[path, index], width, height, cell)
    then = centre_of(cells[path, index + 1], width, height, cell)
    hx = x - here[0]
    hy = y - here[1]
    tx = x - then[0]
    ty = y - then[1]
    return tx * tx + ty * ty < hx * hx + hy * hy


@wp.func
def write_corridor(
    row: int,
    cells: wp.array2d(dtype=wp.int32),
    path: int,
    length: int,
    index: int,
    granted: int,
    width: int,
    height: int,
    cell: float,
    radius: float,
    half_width: float,
    x: float,
    y: float,
    corridor: Corridor,
) -> None:
    """The corridor of a row: the cell behind while the footprint reaches into it, then all up to the grant pointer.

    No cell comes twice: a path that turns back is cut where it would enter a cell again, because two segments in the
    same place leave open which one the robot is on.
    """
    last = index
    repeated = wp.bool(False)
    for k in range(index + 1, wp.min(granted, index + POINTS_C - 1) + 1):
        for j in range(index, k):
            if cells[path, j] == cells[path, k]:
                repeated = True
        if not repeated:
            last = k
    first = index
    if index > 0:
        here = cells[path, index - 1]
        behind = centre_of(here, width, height, cell)
        reach = 0.5 * cell + radius
        if wp.abs(x - behind[0]) < reach and wp.abs(y - behind[1]) < reach:
            first = index - 1
            for k in range(index, last + 1):
                if cells[path, k] == here:
                    first = index
    last = wp.min(last, first + POINTS_C - 1)
    at = centre_of(cells[path, last], width, height, cell)
    for k in range(POINTS_C):
        if first + k <= last:
            at = centre_of(cells[path, first + k], width, height, cell)
        corridor.points[row, k, 0] = at[0]
        corridor.points[row, k, 1] = at[1]
        corridor.half_width[row, k] = half_width
    corridor.count[row] = last - first + 1
    corridor.final[row] = wp.uint8(0)
    if last == length - 1:
        corridor.final[row] = wp.uint8(1)
