"""Rays through a floor's grid of cells, on a device: how far one goes until a rack, a wall, a shut door or a pod.

A ray is followed from cell to cell (Amanatides and Woo: A fast voxel traversal algorithm, Eurographics 1987), because
racks, walls and shut doors fill whole cells: a ray of an aisle visits a handful of cells, whatever the size of the
floor, and no list of boxes is searched. A pod is a box about the middle of its cell. Beyond the edge of the floor
stands the outer wall.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import warp as wp
from numpy.typing import NDArray

from sim.site import Site

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

BLOCKED_BIT = 1
"""Cell flag: a rack, a wall or a shut door fills the cell."""

PERSON_FREE_BIT = 2
"""Cell flag: people never enter, by the site's declaration."""

POD_BIT = 4
"""Cell flag: a pod stands about the middle of the cell."""


@dataclass(frozen=True)
class FloorArrays:
    """A site's grid on a device."""

    flags: wp.array
    """uint8 (cells,): BLOCKED_BIT, PERSON_FREE_BIT, POD_BIT."""
    width: int
    height: int
    cell: float
    """m"""
    pod: wp.vec2
    """Half the length and half the width of a pod, m."""


def floor_flags(site: Site) -> NDArray[np.uint8]:
    """The flags of each cell when a run begins, automatic doors shut; uint8 (cells,)."""
    pods = np.zeros_like(site.blocked)
    pods.reshape(-1)[list(site.fixtures.pods)] = True
    flags = (site.filled & ~pods) * np.uint8(BLOCKED_BIT) | site.person_free * np.uint8(PERSON_FREE_BIT)
    return (flags | pods * np.uint8(POD_BIT)).reshape(-1)


def floor_arrays(site: Site, device: str) -> FloorArrays:
    """The site's grid as Warp arrays."""
    return FloorArrays(
        flags=wp.array(floor_flags(site), dtype=wp.uint8, device=device),
        width=site.width,
        height=site.height,
        cell=float(site.cell),
        pod=wp.vec2(site.fixtures.pod_size[0] / 2, site.fixtures.pod_size[1] / 2),
    )


@wp.func
def box_range(x: float, y: float, dx: float, dy: float, half_length: float, half_width: float) -> float:
    """Distance along a ray to a box centred at 0 in the box's own frame; 1e9 for a miss (slab method)."""
    enter = wp.float32(0.0)
    leave = wp.float32(1.0e9)
    if wp.abs(dx) < 1.0e-9:
        if wp.abs(x) > half_length:
            leave = -1.0
    else:
        a = (-half_length - x) / dx
        b = (half_length - x) / dx
        enter = wp.max(enter, wp.min(a, b))
        leave = wp.min(leave, wp.max(a, b))
    if wp.abs(dy) < 1.0e-9:
        if wp.abs(y) > half_width:
            leave = -1.0
    else:
        a = (-half_width - y) / dy
        b = (half_width - y) / dy
        enter = wp.max(enter, wp.min(a, b))
        leave = wp.min(leave, wp.max(a, b))
    if enter > leave:
        return 1.0e9
    return enter


@wp.func
def sight_range(
    flags: wp.array(dtype=wp.uint8),
    width: int,
    height: int,
    cell: float,
    pod: wp.vec2,
    x: float,
    y: float,
    dx: float,
    dy: float,
    range_max: float,
) -> float:
    """Distance from (x, y) along the unit vector (dx, dy) to the first blocked cell, pod or edge of the floor, m."""
    column = int(wp.floor(x / cell))
    up = int(wp.floor(y / cell))  # row counted from the bottom
    step_x = wp.int32(1)
    step_y = wp.int32(1)
    delta_x = wp.float32(1.0e9)
    delta_y = wp.float32(1.0e9)
    next_x = wp.float32(1.0e9)
    next_y = wp.float32(1.0e9)
    if dx > 1.0e-9:
        delta_x = cell / dx
        next_x = (float(column + 1) * cell - x) / dx
    elif dx < -1.0e-9:
        step_x = -1
        delta_x = -cell / dx
        next_x = (float(column) * cell - x) / dx
    if dy > 1.0e-9:
        delta_y = cell / dy
        next_y = (float(up + 1) * cell - y) / dy
    elif dy < -1.0e-9:
        step_y = -1
        delta_y = -cell / dy
        next_y = (float(up) * cell - y) / dy
    at = wp.float32(0.0)
    while at < range_max:
        if next_x < next_y:
            at = next_x
            next_x += delta_x
            column += step_x
        else:
            at = next_y
            next_y += delta_y
            up += step_y
        if column < 0 or column >= width or up < 0 or up >= height:
            break
        flag = flags[(height - 1 - up) * width + column]
        if (flag & wp.uint8(1)) != wp.uint8(0):
            break
        if (flag & wp.uint8(4)) != wp.uint8(0):
            hit = box_range(x - (float(column) + 0.5) * cell, y - (float(up) + 0.5) * cell, dx, dy, pod[0], pod[1])
            if hit < 1.0e8:
                at = hit
                break
    return wp.min(at, range_max)


@wp.func
def grid_range(
    flags: wp.array(dtype=wp.uint8),
    width: int,
    height: int,
    cell: float,
    x: float,
    y: float,
    dx: float,
    dy: float,
    range_max: float,
) -> float:
    """`sight_range` for who takes a pod to fill its cell."""
    return sight_range(flags, width, height, cell, wp.vec2(0.5 * cell, 0.5 * cell), x, y, dx, dy, range_max)
