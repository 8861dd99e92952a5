"""What a scan says of the map: which walls it sees through, and where the robot must be for the others to fit.

A ray that meets a blocked cell of the site at distance e, through a face of normal n, and reads r gives the residual

    q = (r - e) (d . n)  =  x + r (d_perp . n) yaw + (d . n) b          d the ray's direction in W

along that normal, where (x, y) is how far the pose is off in W, yaw how far its heading is, and b what every range is
too long: three or four numbers for some sixty rays. They are found by least squares, three times, each time with
weights (1 + (res / OUTLIER)^2)^-2 (Geman and McClure, 1987), so that people, pallets and other robots, which are in no
map, count for nothing; and with a prior as wide as the errors that are usual, so that a direction in which no wall
looks (along an aisle) is told as 0.

Automatic doors and pods are not where the map has them for ever: what lies behind their cells is not judged. Nor is
anything on a floor that was read from an occupancy grid (`Fixtures.frame`): there a blocked cell is one in which
something stands, not one that is filled. One kernel for a robot's single row and a simulation's thousands.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import numpy as np
import warp as wp
from numpy.typing import NDArray

from sim.device import start_warp
from sim.fixtures import DoorState
from sim.launches import record
from sim.robot import RobotSpec
from sim.site import Site
from sim.tasks.navigate_contract import BINS, bin_rays

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

FOUND = ("beyond", "rough", "x", "y", "yaw", "bias")
"""What is told of each row: two shares of the judged rays; how far the pose is off (m, rad); the ranges' offset, m."""
BEYOND_AT, ROUGH_AT, X_AT, YAW_AT, BIAS_AT = (FOUND.index(name) for name in ("beyond", "rough", "x", "yaw", "bias"))

WALL, UNSURE = 1, 2
"""Of a cell: filled; or it may be, so that nothing behind it is judged."""

UNSEEN = wp.constant(0.3)
"""m; a wall nearer than this to the longest range is not judged: with its error the ray may read nothing."""
OUTLIER = wp.constant(0.06)
"""m; half of the weight is gone at 0.04 m, four standard deviations of a range."""
NOISE = wp.constant(0.012)
"""m; of one range, and the corners of the map."""
PLACE, TURN = wp.constant(0.03), wp.constant(0.01)
"""The prior: m (the default robot's localisation bound), rad; and TURN in m for the ranges' offset too."""
THROUGH = wp.constant(0.12)
"""m beyond a wall that no other pose explains."""
FITS, NEAR = wp.constant(0.04), wp.constant(0.4)
"""m; a ray that misses its wall by more than noise, and by less than a thing in front of it would."""
LEAST = wp.constant(8.0)
"""Rays that shares are of at least: on an open floor one ray would be a large share."""
ROUNDS = wp.constant(3)


@wp.func
def wall_range(
    flags: wp.array(dtype=wp.uint8),
    width: int,
    height: int,
    cell: float,
    x: float,
    y: float,
    dx: float,
    dy: float,
    range_max: float,
) -> wp.vec2:
    """Distance to the first filled cell and its face: 0 across x, 1 across y. Range_max where none is sure to be."""
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
    face = wp.float32(0.0)
    while at < range_max:
        if next_x < next_y:
            at = next_x
            next_x += delta_x
            column += step_x
            face = 0.0
        else:
            at = next_y
            next_y += delta_y
            up += step_y
            face = 1.0
        if column < 0 or column >= width or up < 0 or up >= height:
            return wp.vec2(wp.min(at, range_max), face)  # the outer wall
        flag = flags[(height - 1 - up) * width + column]
        if flag == wp.uint8(WALL):
            return wp.vec2(wp.min(at, range_max), face)
        if flag == wp.uint8(UNSURE):
            return wp.vec2(range_max, face)
    return wp.vec2(range_max, face)


@wp.func
def coefficients(normal: float, swing: float, face: float) -> wp.vec4:
    """What x, y, yaw and offset, each in units of its prior, move a residual by, m."""
    across = wp.vec4(PLACE, 0.0, swing * TURN, normal * TURN)
    if face > 0.5:
        across = wp.vec4(0.0, PLACE, swing * TURN, normal * TURN)
    return across


@wp.kernel
def fit_walls(
    scan: wp.array2d(dtype=wp.float32),
    pose: wp.array2d(dtype=wp.float32),
    directions: wp.array(dtype=wp.vec2),
    flags: wp.array(dtype=wp.uint8),
    width: int,
    height: int,
    cell: float,
    range_max: float,
    work: wp.array2d(dtype=wp.vec4),
    out: wp.array2d(dtype=wp.float32),
) -> None:
    """FOUND of each row. `work` (rows, rays): residual, normal, swing, and face, or -1 for a ray that is not judged."""
    row = wp.tid()
    rays = directions.shape[0]
    x = pose[row, 0]
    y = pose[row, 1]
    c = wp.cos(pose[row, 2])
    s = wp.sin(pose[row, 2])
    judged = wp.float32(0.0)
    beyond = wp.float32(0.0)
    for ray in range(rays):
        d = directions[ray]
        dx = c * d[0] - s * d[1]
        dy = s * d[0] + c * d[1]
        hit = wall_range(flags, width, height, cell, x, y, dx, dy, range_max)
        distance = scan[row, ray]
        work[row, ray] = wp.vec4(0.0, 0.0, 0.0, -1.0)
        if hit[0] < range_max - UNSEEN:
            judged += 1.0
            if distance >= range_max - 1.0e-3:
                beyond += 1.0
            elif hit[1] < 0.5:
                work[row, ray] = wp.vec4((distance - hit[0]) * dx, dx, -distance * dy, 0.0)
            else:
                work[row, ray] = wp.vec4((distance - hit[0]) * dy, dy, distance * dx, 1.0)
    found = wp.vec4(0.0, 0.0, 0.0, 0.0)
    for _ in range(ROUNDS):
        normal = wp.identity(n=4, dtype=wp.float32)
        right = wp.vec4(0.0, 0.0, 0.0, 0.0)
        for ray in range(rays):
            each = work[row, ray]
            if each[3] >= 0.0:
                a = coefficients(each[1], each[2], each[3])
                far = (each[0] - wp.dot(a, found)) / OUTLIER
                weight = 1.0 / (1.0 + far * far)
                weight = weight * weight / (NOISE * NOISE)
                normal += weight * wp.outer(a, a)
                right += weight * each[0] * a
        found = wp.inverse(normal) * right
    rough = wp.float32(0.0)
    for ray in range(rays):
        each = work[row, ray]
        if each[3] >= 0.0:
            left = each[0] - wp.dot(coefficients(each[1], each[2], each[3]), found)
            if wp.abs(left) > FITS and wp.abs(left) < NEAR:
                rough += 1.0
            if wp.abs(left) > THROUGH and each[0] * each[1] > 0.0:
                beyond += 1.0
    judged = wp.max(judged, LEAST)
    out[row, 0] = beyond / judged
    out[row, 1] = rough / judged
    out[row, 2] = found[0] * PLACE
    out[row, 3] = found[1] * PLACE
    out[row, 4] = found[2] * TURN
    out[row, 5] = found[3] * TURN


def wall_flags(site: Site) -> NDArray[np.uint8]:
    """WALL, UNSURE or 0 of each cell, uint8 (cells,)."""
    exact = site.fixtures.frame == (0.0, 0.0, 0.0)
    flags = (site.blocked * np.uint8(WALL if exact else UNSURE)).reshape(-1)
    flags[site.fixtures.door_cells(DoorState.SHUT)] = WALL if exact else UNSURE
    flags[[*site.fixtures.pods, *site.fixtures.door_cells(DoorState.AUTOMATIC)]] = UNSURE
    return flags


class Walls:
    """The kernel on preallocated arrays for some rows of robots on one site; carries nothing from call to call."""

    def __init__(self, site: Site, spec: RobotSpec, rows: int = 1) -> None:
        start_warp()
        rays = bin_rays(spec.lidar.rays)
        angle = spec.lidar.angles().astype(np.float64)[rays]
        directions = np.stack([np.cos(angle), np.sin(angle)], -1).astype(np.float32)
        scan = wp.zeros((rows, BINS), dtype=wp.float32, device="cpu")
        pose = wp.zeros((rows, 3), dtype=wp.float32, device="cpu")
        out = wp.zeros((rows, len(FOUND)), dtype=wp.float32, device="cpu")
        self._scan, self._pose, self._out = scan.numpy(), pose.numpy(), out.numpy()
        self._launch = record(
            fit_walls,
            dim=rows,
            inputs=[
                scan,
                pose,
                wp.array(directions, dtype=wp.vec2, device="cpu"),
                wp.array(wall_flags(site), dtype=wp.uint8, device="cpu"),
                site.width,
                site.height,
                float(site.cell),
                spec.lidar.range_max,
                wp.zeros((rows, BINS), dtype=wp.vec4, device="cpu"),
                out,
            ],
            device="cpu",
        )

    def fit(self, scan: NDArray[np.float32], pose: NDArray[np.float32]) -> NDArray[np.float32]:
        """FOUND (rows, 6) of ranges in the observation's bins (rows, BINS) and the poses of that instant (rows, 3)."""
        self._scan[...] = scan
        self._pose[...] = pose
        self._launch.launch()
        return self._out.copy()
