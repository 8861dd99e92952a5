"""Speed zones: what a robot is commanded at most where it is and where it is going; one kernel for plants and robots.

In a cell with a limit L the commanded speed is at most L while any part of the footprint may be in it, and on the way
there at most what comes down to L at a rate A before the footprint enters:

    v <= sqrt(L^2 + 2 A d),    d = max(gap - r - |v| (period + latency), 0)

with the gap between the robot's reported centre and the cell, and the radius r of the footprint, which is larger by the
localisation bound. The way is the corridor: the cells of its points from the robot's segment on. The proposal is scaled
as a whole, so that its curvature stays; a filter gets the limit too (`FilterInputs.speed_limit`), so that what it
releases instead keeps it as well. A stored stopping plan, which only slows down, is the one thing that is let through.

A rule of the house, not a law of safety: it only takes speed away, and what is left is judged like any other command.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp

from sim.robot import SECOND, RobotSpec
from sim.segments import nearest_segment
from sim.site import Site

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

SHARE = 0.5
"""Of the drive's largest acceleration: A, so that a drive which lags behind the falling limit catches up."""

NO_LIMIT = 1.0e9
"""m/s; stands for none, and is a number that every device compares alike."""

NO_LIMIT_C = wp.constant(NO_LIMIT)


@wp.struct
class Zones:
    """The speed limits of a floor for one kind of robot, as kernels read them."""

    limit: wp.array(dtype=wp.float32)
    """(cells,), m/s; NO_LIMIT outside of zones."""
    width: int
    height: int
    cell: float
    """m"""
    radius: float
    rate: float
    """A, m/s^2"""
    delay: float
    """Period and latency, s."""


def make_zones(site: Site, spec: RobotSpec, device: str) -> Zones:
    """The limits of a site's speed zones on a device."""
    zones = Zones()
    limit = site.speed_limit.reshape(-1).copy()
    limit[limit > NO_LIMIT] = NO_LIMIT
    zones.limit = wp.array(limit, dtype=wp.float32, device=device)
    zones.width, zones.height, zones.cell = site.width, site.height, float(site.cell)
    zones.radius = float(spec.radius + spec.localisation_bound)
    zones.rate = float(SHARE * spec.diff.accel_max)
    zones.delay = float(spec.period / SECOND + spec.latency_bound)
    return zones


@wp.func
def limit_of(zones: Zones, x: float, y: float) -> float:
    """The limit of the cell under a point; none off the floor."""
    column = int(wp.floor(x / zones.cell))
    row = zones.height - 1 - int(wp.floor(y / zones.cell))
    if column < 0 or column >= zones.width or row < 0 or row >= zones.height:
        return NO_LIMIT_C
    return zones.limit[row * zones.width + column]


@wp.func
def outside_cell(zones: Zones, at_x: float, at_y: float, x: float, y: float) -> float:
    """Distance of (x, y) from the cell under a point, m."""
    left = wp.floor(at_x / zones.cell) * zones.cell
    low = wp.floor(at_y / zones.cell) * zones.cell
    dx = wp.max(wp.max(left - x, x - left - zones.cell), 0.0)
    dy = wp.max(wp.max(low - y, y - low - zones.cell), 0.0)
    return wp.sqrt(dx * dx + dy * dy)


@wp.func
def pace(
    row: int,
    zones: Zones,
    pose: wp.array2d(dtype=wp.float32),
    twist: wp.array2d(dtype=wp.float32),
    points: wp.array3d(dtype=wp.float32),
    count: wp.array(dtype=wp.int32),
) -> float:
    """The largest speed that may be commanded to a row, m/s; NO_LIMIT where there is no zone near."""
    x = pose[row, 0]
    y = pose[row, 1]
    allowed = wp.float32(NO_LIMIT_C)
    rings = int(wp.ceil(zones.radius / zones.cell))
    for across in range(-rings, rings + 1):
        for along in range(-rings, rings + 1):
            at_x = x + float(across) * zones.cell
            at_y = y + float(along) * zones.cell
            if outside_cell(zones, at_x, at_y, x, y) <= zones.radius:
                allowed = wp.min(allowed, limit_of(zones, at_x, at_y))
    # the corridor from the robot's segment on
    n = count[row]
    first, _ = nearest_segment(row, points, n, x, y)
    for k in range(first, n):
        limit = limit_of(zones, points[row, k, 0], points[row, k, 1])
        if limit < allowed:
            gap = outside_cell(zones, points[row, k, 0], points[row, k, 1], x, y)
            left = wp.max(gap - zones.radius - wp.abs(twist[row, 0]) * zones.delay, 0.0)
            allowed = wp.min(allowed, wp.sqrt(limit * limit + 2.0 * zones.rate * left))
    return allowed


@wp.kernel
def keep_pace(
    zones: Zones,
    pose: wp.array2d(dtype=wp.float32),
    twist: wp.array2d(dtype=wp.float32),
    points: wp.array3d(dtype=wp.float32),
    count: wp.array(dtype=wp.int32),
    command: wp.array2d(dtype=wp.float32),
    limit: wp.array(dtype=wp.float32),
) -> None:
    """Write each row's limit (rows,) and scale its command (rows, 2) to it; a speed that is no number is left alone."""
    row = wp.tid()
    allowed = pace(row, zones, pose, twist, points, count)
    limit[row] = allowed
    v = command[row, 0]
    if wp.abs(v) > allowed:
        command[row, 1] = command[row, 1] * (allowed / wp.abs(v))
        command[row, 0] = wp.sign(v) * allowed


@wp.kernel
def see_limit(
    zones: Zones,
    pose: wp.array2d(dtype=wp.float32),
    twist: wp.array2d(dtype=wp.float32),
    points: wp.array3d(dtype=wp.float32),
    count: wp.array(dtype=wp.int32),
    speed_max: float,
    at: int,
    mask: wp.array(dtype=wp.uint8),
    out: wp.array2d(dtype=wp.float32),
) -> None:
    """Each masked row's limit over the largest speed, at most 1, into column `at` of the observation."""
    row = wp.tid()
    if mask[row] != wp.uint8(0):
        out[row, at] = wp.min(pace(row, zones, pose, twist, points, count) / speed_max, 1.0)
