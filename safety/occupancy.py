"""Where obstacles can be: what a scan says of the ground around a robot, in the body frame at the scan's instant.

An obstacle is a point (or a segment) with a radius and a speed: at time t after the scan it lies within
radius + speed * t of where it was seen. The radius of a scan point counts

    range noise     three standard deviations, where the lidar's model clips it;
    ray spacing     2 r d: a thing of a person's size (radius 0.25 m) reaches at most one ray spacing r d beyond its
                    last hit, two where a ray drops out. Points of the site map need none: what the rays miss of a
                    rack stands in blocked cells, and no corridor covers those.

A person's surface is what a ray hits. Of what stands behind the last hit of a thing that is not on the map
nothing is known: two tail points, 0.25 and 0.5 m behind it on the ray, stand for the unseen half of a person there
(a disc of 0.4 m that touches that half is within 0.40 m + 1 mm of one of them, and noise alone is 30 mm).
Points that cannot matter to any command of this cycle are dropped: each is further away than the longest stop, plus
its own growth meanwhile.

The corridor's segments become rectangles in the body frame; collinear neighbours of one width are merged.
"""

from __future__ import annotations

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false, reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false, reportInvalidTypeForm=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.
import warp as wp

from safety.dynamics import Bounds, finite

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

TAILS = 2
"""Points that stand for the unseen half behind an edge."""

TAIL_STEP = wp.constant(0.25)
"""m; a person's radius, so that two steps reach behind a person."""

EDGE_JUMP = wp.constant(0.3)
"""Range step between neighbouring rays that ends a thing, m; behind a smaller step no person fits."""


@wp.func
def point_segment(px: float, py: float, ax: float, ay: float, bx: float, by: float) -> float:
    """Distance of a point to a segment, m."""
    dx = bx - ax
    dy = by - ay
    length = dx * dx + dy * dy
    t = wp.float32(0.0)
    if length > 1.0e-12:
        t = wp.clamp(((px - ax) * dx + (py - ay) * dy) / length, 0.0, 1.0)
    ex = px - ax - t * dx
    ey = py - ay - t * dy
    return wp.sqrt(ex * ex + ey * ey)


@wp.func
def cross(ax: float, ay: float, bx: float, by: float) -> float:
    """The z of the cross product of two plane vectors."""
    return ax * by - ay * bx


@wp.func
def segment_segment(
    ax: float,
    ay: float,
    bx: float,
    by: float,
    cx: float,
    cy: float,
    dx: float,
    dy: float,
) -> float:
    """Distance of two segments ab and cd, m; 0 where they cross."""
    c1 = cross(bx - ax, by - ay, cx - ax, cy - ay)
    c2 = cross(bx - ax, by - ay, dx - ax, dy - ay)
    c3 = cross(dx - cx, dy - cy, ax - cx, ay - cy)
    c4 = cross(dx - cx, dy - cy, bx - cx, by - cy)
    if c1 * c2 < 0.0 and c3 * c4 < 0.0:
        return wp.float32(0.0)
    near = wp.min(point_segment(ax, ay, cx, cy, dx, dy), point_segment(bx, by, cx, cy, dx, dy))
    return wp.min(near, wp.min(point_segment(cx, cy, ax, ay, bx, by), point_segment(dx, dy, ax, ay, bx, by)))


@wp.func
def gather_points(
    row: int,
    reach: float,
    horizon: float,
    scan: wp.array2d(dtype=wp.float32),
    point_speed: wp.array2d(dtype=wp.float32),
    ray_cos: wp.array(dtype=wp.float32),
    ray_sin: wp.array(dtype=wp.float32),
    b: Bounds,
    points: wp.array2d(dtype=wp.vec4),
) -> int:
    """Write the points of one scan that can matter; their number, or -1 where a ray is not a number.

    A point (x, y, radius, speed) can matter when its range is at most `reach` (own radius, error and longest stop)
    plus its radius and its growth within `horizon` seconds.
    """
    rays = scan.shape[1]
    n = wp.int32(0)
    bad = wp.int32(0)
    for i in range(rays):
        r = scan[row, i]
        speed = point_speed[row, i]
        if not (r >= 0.0 and finite(r) and finite(speed)):
            bad = 1
        elif r < b.range_max - 1.0e-3:
            radius = b.range_noise
            fixed = speed < 0.0
            if fixed:
                speed = 0.0
            else:
                radius = radius + 2.0 * r * b.ray_angle
            if r <= reach + radius + speed * horizon:
                points[row, n] = wp.vec4(r * ray_cos[i], r * ray_sin[i], radius, speed)
                n = n + 1
                if not fixed:
                    before = i - 1
                    after = i + 1
                    if before < 0:
                        before = rays - 1
                    if after == rays:
                        after = 0
                    if scan[row, before] > r + EDGE_JUMP or scan[row, after] > r + EDGE_JUMP:
                        for k in range(1, 3):
                            far = r + float(k) * TAIL_STEP
                            points[row, n] = wp.vec4(far * ray_cos[i], far * ray_sin[i], radius, speed)
                            n = n + 1
    if bad == 1:
        return -1
    return n


@wp.func
def gather_phantoms(
    row: int,
    reach: float,
    horizon: float,
    phantoms: wp.array3d(dtype=wp.float32),
    kept: wp.array3d(dtype=wp.float32),
) -> int:
    """Write the hidden persons that can matter, (ax, ay, bx, by, radius, speed); their number, -1 where not finite."""
    n = wp.int32(0)
    for i in range(phantoms.shape[1]):
        radius = phantoms[row, i, 4]
        speed = phantoms[row, i, 5]
        if radius > 0.0:
            near = point_segment(
                0.0, 0.0, phantoms[row, i, 0], phantoms[row, i, 1], phantoms[row, i, 2], phantoms[row, i, 3]
            )
            if not (finite(near) and finite(radius) and finite(speed)):
                return -1
            if near <= reach + radius + speed * horizon:
                for k in range(6):
                    kept[row, n, k] = phantoms[row, i, k]
                n = n + 1
        elif not (radius <= 0.0):
            return -1
    return n


@wp.func
def gather_corridor(
    row: int,
    x: float,
    y: float,
    yaw: float,
    corridor_points: wp.array3d(dtype=wp.float32),
    corridor_half_width: wp.array2d(dtype=wp.float32),
    count: int,
    rectangles: wp.array3d(dtype=wp.float32),
) -> int:
    """Write the corridor as rectangles in the body frame; their number, or -1 where a number is not finite.

    A rectangle is (centre x, centre y, unit x, unit y along it, half length, half width), caps included.
    """
    c = wp.cos(yaw)
    s = wp.sin(yaw)
    n = wp.int32(0)
    first = wp.int32(1)
    if count == 1:
        first = 0
    for i in range(first, count):
        j = wp.max(i - 1, 0)
        ax = corridor_points[row, j, 0] - x
        ay = corridor_points[row, j, 1] - y
        bx = corridor_points[row, i, 0] - x
        by = corridor_points[row, i, 1] - y
        half = corridor_half_width[row, i]
        if not (finite(ax) and finite(ay) and finite(bx) and finite(by) and finite(half)):
            return -1
        px = c * ax + s * ay
        py = c * ay - s * ax
        dx = c * (bx - ax) + s * (by - ay)
        dy = c * (by - ay) - s * (bx - ax)
        length = wp.sqrt(dx * dx + dy * dy)
        # the axes of a square around one point are those of W
        ux = c
        uy = -s
        if length > 1.0e-6:
            ux = dx / length
            uy = dy / length
        merged = wp.int32(0)
        if n > 0 and length > 1.0e-6:
            k = n - 1
            same = wp.abs(rectangles[row, k, 5] - half) < 1.0e-6
            along = rectangles[row, k, 2] * ux + rectangles[row, k, 3] * uy
            if same and along > 0.999999 and rectangles[row, k, 4] > half:
                # the new segment goes on where the merged one ends: longer by its length, centre moved by half
                rectangles[row, k, 0] = rectangles[row, k, 0] + 0.5 * dx
                rectangles[row, k, 1] = rectangles[row, k, 1] + 0.5 * dy
                rectangles[row, k, 4] = rectangles[row, k, 4] + 0.5 * length
                merged = 1
        if merged == 0 and not (n > 0 and length <= 1.0e-6):
            rectangles[row, n, 0] = px + 0.5 * dx
            rectangles[row, n, 1] = py + 0.5 * dy
            rectangles[row, n, 2] = ux
            rectangles[row, n, 3] = uy
            rectangles[row, n, 4] = 0.5 * length + half
            rectangles[row, n, 5] = half
            n = n + 1
    return n


@wp.func
def outside(
    px: float,
    py: float,
    row: int,
    rectangles: wp.array3d(dtype=wp.float32),
    n: int,
    narrowest: float,
) -> float:
    """How far a point is outside the corridor, m; negative inside: minus the erosion at which it just stays in.

    Rectangles narrower than `narrowest` to each side are no permission.
    """
    best = wp.float32(1.0e9)
    for k in range(n):
        if rectangles[row, k, 5] >= narrowest:
            dx = px - rectangles[row, k, 0]
            dy = py - rectangles[row, k, 1]
            ux = rectangles[row, k, 2]
            uy = rectangles[row, k, 3]
            along = wp.abs(dx * ux + dy * uy) - rectangles[row, k, 4]
            across = wp.abs(dy * ux - dx * uy) - rectangles[row, k, 5]
            best = wp.min(best, wp.max(along, across))
    return best


@wp.func
def clip(offset: float, step: float, half: float) -> wp.vec2:
    """Interval of t in [0, 1] with |offset + t step| <= half; (1, 0) where there is none."""
    if wp.abs(step) < 1.0e-9:
        if wp.abs(offset) <= half:
            return wp.vec2(0.0, 1.0)
        return wp.vec2(1.0, 0.0)
    t0 = (-half - offset) / step
    t1 = (half - offset) / step
    return wp.vec2(wp.max(wp.min(t0, t1), 0.0), wp.min(wp.max(t0, t1), 1.0))


@wp.func
def covered(
    ax: float,
    ay: float,
    bx: float,
    by: float,
    erosion: float,
    row: int,
    rectangles: wp.array3d(dtype=wp.float32),
    n: int,
    narrowest: float,
) -> bool:
    """Whether a chord lies in the union of the eroded rectangles, exactly (each covers an interval of it)."""
    done = wp.float32(0.0)
    for _ in range(n + 1):
        best = wp.float32(-1.0)
        for k in range(n):
            half_length = rectangles[row, k, 4] - erosion
            half_width = rectangles[row, k, 5] - erosion
            if rectangles[row, k, 5] >= narrowest and half_width >= 0.0 and half_length >= 0.0:
                ux = rectangles[row, k, 2]
                uy = rectangles[row, k, 3]
                ox = ax - rectangles[row, k, 0]
                oy = ay - rectangles[row, k, 1]
                dx = bx - ax
                dy = by - ay
                # 0.1 mm so that rounding cannot put a robot that stands on the bound outside it
                lengthwise = clip(ox * ux + oy * uy, dx * ux + dy * uy, half_length + 1.0e-4)
                across = clip(oy * ux - ox * uy, dy * ux - dx * uy, half_width + 1.0e-4)
                low = wp.max(lengthwise[0], across[0])
                high = wp.min(lengthwise[1], across[1])
                if low <= done and high > best:
                    best = high
        if best >= 1.0:
            return True
        if best <= done:
            return False
        done = best
    return False
