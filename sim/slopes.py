"""Where robots begin on floors with ramps: at the height of the ground under them.

A ramp is ground for wheels alone, so an episode that begins on one must begin above it. The body is put level, at the
highest ground under the corners of its footprint, and comes down by at most the slope's rise over its length.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from typing import Any

import numpy as np
import warp as wp

from sim.robot import RobotSpec
from sim.site import Site

wp.set_module_options({"fuse_fp": False, "enable_backward": False})


@wp.struct
class Ground:
    """Heights of a floor, as kernels read them."""

    corner: wp.array2d(dtype=wp.float32)
    """Height of each cell's corners, (cells, 4): upper left, upper right, lower left, lower right, m."""
    width: int
    height: int
    cell: float
    """m"""


def make_ground(site: Site, device: str) -> Ground:
    """The heights of a site's ramps on a device."""
    ground = Ground()
    corners = site.corner_height.reshape(-1, 4).astype(np.float32)
    ground.corner = wp.array(corners, dtype=wp.float32, device=device)
    ground.width, ground.height, ground.cell = site.width, site.height, float(site.cell)
    return ground


@wp.func
def height_at(ground: Ground, x: float, y: float) -> float:
    """Height of the ground at a point, m; 0 off the floor."""
    column = int(wp.floor(x / ground.cell))
    row = ground.height - 1 - int(wp.floor(y / ground.cell))
    if column < 0 or column >= ground.width or row < 0 or row >= ground.height:
        return 0.0
    cell = row * ground.width + column
    along = x / ground.cell - float(column)
    down = float(ground.height - row) - y / ground.cell
    upper = (1.0 - along) * ground.corner[cell, 0] + along * ground.corner[cell, 1]
    lower = (1.0 - along) * ground.corner[cell, 2] + along * ground.corner[cell, 3]
    return (1.0 - down) * upper + down * lower


@wp.kernel
def raise_rows(
    robots: int,
    qpos_stride: int,
    half_length: float,
    half_width: float,
    ground: Ground,
    mask: wp.array(dtype=wp.uint8),
    pose: wp.array2d(dtype=wp.float32),
    qpos: wp.array2d(dtype=Any),
) -> None:
    """Lift each masked row's body, a free joint's third coordinate, onto the ground under its pose."""
    row = wp.tid()
    if mask[row] == wp.uint8(0):
        return
    c = wp.cos(pose[row, 2])
    s = wp.sin(pose[row, 2])
    top = wp.float32(0.0)
    for corner in range(4):
        along = half_length * float(1 - 2 * (corner & 1))
        across = half_width * float(1 - (corner & 2))
        at_x = pose[row, 0] + c * along - s * across
        at_y = pose[row, 1] + s * along + c * across
        top = wp.max(top, height_at(ground, at_x, at_y))
    world = row / robots
    first = (row % robots) * qpos_stride + 2
    qpos[world, first] = qpos[world, first] + qpos.dtype(top)


def record_raise(
    site: Site, spec: RobotSpec, robots: int, qpos_stride: int, mask: wp.array, pose: wp.array, qpos: wp.array
) -> wp.Launch:
    """The launch that puts the masked rows onto the ground, after their bodies were placed."""
    launch = wp.launch(
        raise_rows,
        dim=mask.shape[0],
        inputs=[
            robots, qpos_stride, spec.length / 2, spec.width / 2, make_ground(site, mask.device), mask, pose, qpos,
        ],
        device=mask.device,
        record_cmd=True,
    )  # fmt: skip
    assert launch is not None
    return launch
