"""Kernels of what stands behind lidar points and who may hide (`sim/points.py`): the map's flags, points, phantoms.

Persons may also stand where the scan does not reach: behind the near side of every range step. Such a *phantom* is a
disc of a person's radius, hidden wholly, that touches the line of sight; its possible centres form a segment along
that line. What is not a phantom, and why that is honest: a disc that overlaps the map (nobody stands inside a rack
or wall) or stands in a person-free cell; a disc of which some ray would have seen a part (this drops shadows that
are too narrow for a body, among them those of single rays that dropped out). A person nearer than such a centre
cannot be hidden; a hidden one deeper in the shadow must cross the segment, or the thing that hides it, first.

Around a robot in person-free cells there is a disc that no person's body can enter; its radius lets the shield judge
what stays inside it by standing things alone.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

BLOCKED = 1
"""Bit of a grid flag: racks and walls fill the cell."""

PERSON_FREE = 2
"""Bit of a grid flag: people never enter the cell."""

MAP_SPEED = wp.constant(-1.0)
"""Speed of a point of the site map (`FilterInputs.point_speed`)."""

PERSON = wp.constant(0.25)
"""Radius of a person's disc, m (sim/people.py; ISO 7250 body depth and breadth 0.3 to 0.5 m)."""

STEP = wp.constant(0.3)
"""Range step between neighbouring rays behind which somebody may hide, m; nobody passes a gap below 0.4 m."""

SAMPLE = wp.constant(0.05)
"""Spacing at which centres along a line of sight are tried, m; the first one found moves one spacing nearer."""

CLOSE = wp.constant(0.06)
"""m; a person overlapping the map by less may stand there: localisation bound and range noise."""


@wp.func
def flag_at(x: float, y: float, flags: wp.array2d(dtype=wp.uint8), cell: float) -> int:
    """The flags of the cell under a point of W; off the floor everything is blocked."""
    column = int(wp.floor(x / cell))
    line = flags.shape[0] - 1 - int(wp.floor(y / cell))
    if column < 0 or column >= flags.shape[1] or line < 0 or line >= flags.shape[0]:
        return 1
    return int(flags[line, column])


@wp.func
def map_distance(x: float, y: float, limit: float, flags: wp.array2d(dtype=wp.uint8), cell: float) -> float:
    """Distance of a point of W to the nearest blocked cell, m, exact below `limit` (at most one cell), else `limit`."""
    best = limit
    column = int(wp.floor(x / cell))
    line = int(wp.floor(y / cell))
    for dy in range(-1, 2):
        for dx in range(-1, 2):
            i = column + dx
            j = line + dy
            cx = (float(i) + 0.5) * cell
            cy = (float(j) + 0.5) * cell
            if (flag_at(cx, cy, flags, cell) & 1) != 0:
                ex = wp.max(wp.abs(x - cx) - 0.5 * cell, 0.0)
                ey = wp.max(wp.abs(y - cy) - 0.5 * cell, 0.0)
                best = wp.min(best, wp.sqrt(ex * ex + ey * ey))
    return best


@wp.kernel
def point_speeds(
    scan: wp.array2d(dtype=wp.float32),
    pose: wp.array2d(dtype=wp.float32),
    ray_cos: wp.array(dtype=wp.float32),
    ray_sin: wp.array(dtype=wp.float32),
    flags: wp.array2d(dtype=wp.uint8),
    cell: float,
    robots: wp.array3d(dtype=wp.float32),
    others_fresh: wp.array(dtype=wp.uint8),
    person_speed: float,
    robot_speed: float,
    near: float,
    range_max: float,
    speed: wp.array2d(dtype=wp.float32),
) -> None:
    """The largest speed of what each ray hit, m/s, as the module's table says."""
    row, ray = wp.tid()
    r = scan[row, ray]
    if not (r < range_max - 1.0e-3):  # nothing was hit, or no number: the shield refuses those itself
        speed[row, ray] = person_speed
        return
    c = wp.cos(pose[row, 2])
    s = wp.sin(pose[row, 2])
    x = pose[row, 0] + r * (c * ray_cos[ray] - s * ray_sin[ray])
    y = pose[row, 1] + r * (s * ray_cos[ray] + c * ray_sin[ray])
    if map_distance(x, y, near + 0.1, flags, cell) <= near:
        speed[row, ray] = MAP_SPEED
        return
    if others_fresh[row] == wp.uint8(0):
        speed[row, ray] = wp.max(person_speed, robot_speed)
        return
    if person_speed == 0.0 or (flag_at(x, y, flags, cell) & 2) != 0:
        speed[row, ray] = 0.0
        return
    for k in range(robots.shape[1]):
        radius = robots[row, k, 2]
        if radius > 0.0:
            dx = x - robots[row, k, 0]
            dy = y - robots[row, k, 1]
            if dx * dx + dy * dy <= radius * radius:
                speed[row, ray] = 0.0
                return
    speed[row, ray] = person_speed


@wp.func
def may_stand(x: float, y: float, flags: wp.array2d(dtype=wp.uint8), cell: float) -> bool:
    """Whether a person's centre may be at a point of W, the localisation error in favour of yes."""
    if map_distance(x, y, PERSON, flags, cell) < PERSON - CLOSE:
        return False
    for k in range(4):
        dx = wp.float32(0.0)
        dy = wp.float32(0.0)
        if k == 0:
            dx = CLOSE
        if k == 1:
            dx = -CLOSE
        if k == 2:
            dy = CLOSE
        if k == 3:
            dy = -CLOSE
        if flag_at(x + dx, y + dy, flags, cell) == 0:
            return True
    return False


@wp.func
def hidden(x: float, y: float, row: int, scan: wp.array2d(dtype=wp.float32), ray_angle: float) -> bool:
    """Whether a person's disc at (x, y) in B would be wholly out of sight: no ray reads past where it enters it."""
    rays = scan.shape[1]
    distance = wp.sqrt(x * x + y * y)
    if distance <= PERSON:
        return False
    half = wp.asin(PERSON / distance)
    bearing = wp.atan2(y, x)
    low = int(wp.ceil((bearing - half + wp.pi) / ray_angle))
    high = int(wp.floor((bearing + half + wp.pi) / ray_angle))
    seen = wp.int32(0)
    for i in range(low, high + 1):
        ray = ((i % rays) + rays) % rays
        angle = -wp.pi + float(i) * ray_angle
        off = distance * wp.sin(angle - bearing)
        square = PERSON * PERSON - off * off
        if square > 0.0:
            enter = distance * wp.cos(angle - bearing) - wp.sqrt(square)
            if scan[row, ray] > enter + CLOSE:
                seen = seen + 1
    # one ray may have dropped out (it reads far), and the two at the rim touch the line of sight itself
    return seen <= 2


@wp.kernel
def find_phantoms(
    scan: wp.array2d(dtype=wp.float32),
    pose: wp.array2d(dtype=wp.float32),
    ray_cos: wp.array(dtype=wp.float32),
    ray_sin: wp.array(dtype=wp.float32),
    flags: wp.array2d(dtype=wp.uint8),
    cell: float,
    person_speed: float,
    ray_angle: float,
    depth: float,
    phantoms: wp.array3d(dtype=wp.float32),
) -> None:
    """The segments of centres at which persons may hide from each row, nearest kept where there are too many."""
    row = wp.tid()
    rays = scan.shape[1]
    capacity = phantoms.shape[1]
    for k in range(capacity):
        phantoms[row, k, 4] = 0.0
    c = wp.cos(pose[row, 2])
    s = wp.sin(pose[row, 2])
    count = wp.int32(0)
    for i in range(rays):
        j = i + 1
        if j == rays:
            j = 0
        ri = scan[row, i]
        rj = scan[row, j]
        if wp.abs(ri - rj) > STEP and wp.min(ri, rj) < depth:
            # the near side hides; n points from the line of sight into its shadow
            edge = i
            near = ri
            far = rj
            side = wp.float32(-1.0)
            if rj < ri:
                edge = j
                near = rj
                far = ri
                side = 1.0
            dx = ray_cos[edge]
            dy = ray_sin[edge]
            nx = -side * dy
            ny = side * dx
            last = wp.min(far, depth + 1.0)
            first = wp.float32(-1.0)
            steps = int(wp.ceil((last - near) / SAMPLE))
            for k in range(steps + 1):
                if first < 0.0:
                    along = wp.min(near + float(k) * SAMPLE, last)
                    px = along * dx + PERSON * nx
                    py = along * dy + PERSON * ny
                    wx = pose[row, 0] + c * px - s * py
                    wy = pose[row, 1] + s * px + c * py
                    if may_stand(wx, wy, flags, cell) and hidden(px, py, row, scan, ray_angle):
                        first = wp.max(along - SAMPLE, near)
            if first >= 0.0:
                slot = count
                if count == capacity:
                    # full: the furthest gives way
                    furthest = wp.float32(0.0)
                    for k in range(capacity):
                        ax = phantoms[row, k, 0]
                        ay = phantoms[row, k, 1]
                        if ax * ax + ay * ay > furthest:
                            furthest = ax * ax + ay * ay
                            slot = k
                    if first * first >= furthest:
                        slot = -1
                else:
                    count = count + 1
                if slot >= 0:
                    phantoms[row, slot, 0] = first * dx + PERSON * nx
                    phantoms[row, slot, 1] = first * dy + PERSON * ny
                    phantoms[row, slot, 2] = last * dx + PERSON * nx
                    phantoms[row, slot, 3] = last * dy + PERSON * ny
                    phantoms[row, slot, 4] = PERSON
                    phantoms[row, slot, 5] = person_speed


@wp.kernel
def find_person_free(
    pose: wp.array2d(dtype=wp.float32),
    flags: wp.array2d(dtype=wp.uint8),
    cell: float,
    others_fresh: wp.array(dtype=wp.uint8),
    radius: wp.array(dtype=wp.float32),
) -> None:
    """Distance of each row to the nearest cell that people may enter, m, less CLOSE; at most two cells.

    Without a fresh picture it is 0: then a robot may come anywhere.
    """
    row = wp.tid()
    radius[row] = 0.0
    if others_fresh[row] == wp.uint8(0):
        return
    x = pose[row, 0]
    y = pose[row, 1]
    if not (wp.abs(x) < 1.0e6 and wp.abs(y) < 1.0e6):
        return
    best = 2.0 * cell
    column = int(wp.floor(x / cell))
    line = int(wp.floor(y / cell))
    for dy in range(-2, 3):
        for dx in range(-2, 3):
            cx = (float(column + dx) + 0.5) * cell
            cy = (float(line + dy) + 0.5) * cell
            if flag_at(cx, cy, flags, cell) == 0:
                ex = wp.max(wp.abs(x - cx) - 0.5 * cell, 0.0)
                ey = wp.max(wp.abs(y - cy) - 0.5 * cell, 0.0)
                best = wp.min(best, wp.sqrt(ex * ex + ey * ey))
    radius[row] = wp.max(best - CLOSE, 0.0)
