"""What the shield sees of one row before it judges anything: inputs worth judging, and what of them can matter.

    Ask      the arrays of `sim.filter.FilterInputs`, as kernels take them
    Sight    what `look` gathers from them in the body frame at the scan's instant: points, hidden persons, the
             corridor's rectangles (`safety/occupancy.py`), and the start of every path

`look` finds every doubt that needs no judging: a number that is none, a speed that is absurd, a scan that is too old.
Then the row has no candidates at all, only its stored plan.
"""

from __future__ import annotations

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false, reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false, reportInvalidTypeForm=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.
import numpy as np
import warp as wp

from safety.dynamics import Bounds, finite, stop_time
from safety.occupancy import gather_corridor, gather_phantoms, gather_points, outside
from safety.path import ROUNDING
from safety.reason import Reason
from sim.filter import FilterInputs
from sim.robot import RobotSpec

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

REST = wp.constant(0.02)
"""m/s and rad/s; slower is standing (the project's definition of a collision)."""

OUTSIDE_MAX = wp.constant(0.3)
"""m; a robot further outside its corridor has been carried there: no plan of its own leads back."""

CLEAR = wp.constant(0.5)
"""m; margins are told up to here, larger ones (and those of standing robots) as this."""

ABSURD = wp.constant(3.0)
"""A speed so many times the commanded limit is a broken reading: it counts as no number."""

ARRIVED = wp.constant(0.15)
"""m; nearer to a way-point than this the way leads to the next one (the free half width of a cell is 0.2 m)."""


@wp.struct
class Ask:
    """`sim.filter.FilterInputs` as kernels take them, with the lidar's directions; shapes are told there."""

    command: wp.array2d(dtype=wp.float32)
    last_command: wp.array2d(dtype=wp.float32)
    scan: wp.array2d(dtype=wp.float32)
    point_speed: wp.array2d(dtype=wp.float32)
    scan_age: wp.array(dtype=wp.float32)
    pose: wp.array2d(dtype=wp.float32)
    twist: wp.array2d(dtype=wp.float32)
    corridor_points: wp.array3d(dtype=wp.float32)
    corridor_half_width: wp.array2d(dtype=wp.float32)
    corridor_count: wp.array(dtype=wp.int32)
    phantoms: wp.array3d(dtype=wp.float32)
    person_free: wp.array(dtype=wp.float32)
    speed_limit: wp.array(dtype=wp.float32)
    ray_cos: wp.array(dtype=wp.float32)
    ray_sin: wp.array(dtype=wp.float32)


@wp.struct
class Sight:
    """What `look` found for each row; scratch, written anew at each launch."""

    points: wp.array2d(dtype=wp.vec4)
    """x, y in B, radius, speed; (rows, rays * (1 + TAILS))."""
    point_count: wp.array(dtype=wp.int32)
    phantoms: wp.array3d(dtype=wp.float32)
    """Those of `Ask.phantoms` that can matter; (rows, PHANTOMS, 6)."""
    phantom_count: wp.array(dtype=wp.int32)
    rectangles: wp.array3d(dtype=wp.float32)
    """The corridor in B, see `gather_corridor`; (rows, CORRIDOR_POINTS, 6)."""
    rectangle_count: wp.array(dtype=wp.int32)
    start: wp.array2d(dtype=wp.float32)
    """v, w at the scan, the corridor's own -outside at the start, the age, the person-free radius, the bearing of the
    corridor's way in B; (rows, 6)."""


def ask_of(inputs: FilterInputs, spec: RobotSpec) -> Ask:
    """The inputs as kernels take them; where nobody can hide and nothing is person-free, zeros stand for it."""
    rows, device = inputs.scan.shape[0], inputs.scan.device
    angles = spec.lidar.angles().astype(np.float64)
    ask = Ask()
    ask.command = inputs.command
    ask.last_command = inputs.last_command
    ask.scan = inputs.scan
    ask.point_speed = inputs.point_speed
    ask.scan_age = inputs.scan_age
    ask.pose = inputs.pose
    ask.twist = inputs.twist
    ask.corridor_points = inputs.corridor_points
    ask.corridor_half_width = inputs.corridor_half_width
    ask.corridor_count = inputs.corridor_count
    ask.phantoms = inputs.phantoms
    if inputs.phantoms is None:
        ask.phantoms = wp.zeros((rows, 0, 6), dtype=wp.float32, device=device)
    ask.person_free = inputs.person_free
    if inputs.person_free is None:
        ask.person_free = wp.zeros(rows, dtype=wp.float32, device=device)
    ask.speed_limit = inputs.speed_limit
    if inputs.speed_limit is None:
        ask.speed_limit = wp.full(rows, 3.0e38, dtype=wp.float32, device=device)
    ask.ray_cos = wp.array(np.cos(angles).astype(np.float32), device=device)
    ask.ray_sin = wp.array(np.sin(angles).astype(np.float32), device=device)
    return ask


@wp.func
def look(row: int, ask: Ask, b: Bounds, sight: Sight) -> int:
    """Gather what one row sees; 0, or the Reason why nothing can be judged."""
    v0 = ask.twist[row, 0]
    w0 = ask.twist[row, 1]
    last_v = ask.last_command[row, 0]
    last_w = ask.last_command[row, 1]
    x = ask.pose[row, 0]
    y = ask.pose[row, 1]
    yaw = ask.pose[row, 2]
    age = ask.scan_age[row]
    sight.point_count[row] = 0
    sight.phantom_count[row] = 0
    sight.rectangle_count[row] = 0
    if not (
        finite(v0)
        and finite(w0)
        and finite(last_v)
        and finite(last_w)
        and finite(x)
        and finite(y)
        and finite(yaw)
        and finite(age)
        and age >= 0.0
        and wp.max(wp.abs(v0), wp.abs(last_v)) <= ABSURD * b.speed_max
        and wp.max(wp.abs(w0), wp.abs(last_w)) <= ABSURD * b.turn_max
    ):
        return Reason.NOT_FINITE
    if age > b.age_bound + 1.0e-6:
        return Reason.STALE_SCAN
    if last_v == 0.0 and last_w == 0.0 and wp.abs(v0) <= REST and wp.abs(w0) <= REST:
        v0 = 0.0
        w0 = 0.0
    count = wp.clamp(ask.corridor_count[row], 0, ask.corridor_points.shape[1])
    n = gather_corridor(row, x, y, yaw, ask.corridor_points, ask.corridor_half_width, count, sight.rectangles)
    if n < 0:
        return Reason.NOT_FINITE
    sight.rectangle_count[row] = n
    depth = outside(0.0, 0.0, row, sight.rectangles, n, b.radius)
    if depth + b.radius + b.localisation + b.e0 > OUTSIDE_MAX:
        depth = -1.0e3  # too far out: every chord is judged by the full margin and refused
    sight.start[row, 0] = v0
    sight.start[row, 1] = w0
    sight.start[row, 2] = -depth
    sight.start[row, 3] = age
    sight.start[row, 4] = 0.0
    if finite(ask.person_free[row]):
        sight.start[row, 4] = ask.person_free[row]
    sight.start[row, 5] = 0.0
    if n > 0:
        sight.start[row, 5] = way_bearing(row, x, y, yaw, ask.corridor_points, ask.corridor_half_width, count, b.radius)
    # the longest stop of this cycle: as fast as the drive can be when the candidate ends
    before = age + b.latency + b.period
    fastest = wp.max(wp.abs(v0), wp.max(wp.abs(last_v), 0.0))
    fastest = wp.max(wp.abs(v0), wp.min(wp.abs(v0) + b.accel * before, wp.max(fastest, b.speed_max)))
    fastest_turn = wp.max(wp.abs(w0), wp.max(wp.abs(last_w), b.turn_max))
    stop = stop_time(fastest, fastest_turn, b)
    horizon = before + stop
    way = fastest * (before + 0.5 * stop)
    reach = b.radius + b.e0 + b.e1 * horizon + 1.1 * way + CLEAR + ROUNDING
    n_points = gather_points(row, reach, horizon, ask.scan, ask.point_speed, ask.ray_cos, ask.ray_sin, b, sight.points)
    if n_points < 0:
        return Reason.NOT_FINITE
    n_phantoms = gather_phantoms(row, reach + b.range_noise, horizon, ask.phantoms, sight.phantoms)
    if n_phantoms < 0:
        return Reason.NOT_FINITE
    sight.point_count[row] = n_points
    sight.phantom_count[row] = n_phantoms
    return Reason.NONE


@wp.func
def way_bearing(
    row: int,
    x: float,
    y: float,
    yaw: float,
    points: wp.array3d(dtype=wp.float32),
    half_width: wp.array2d(dtype=wp.float32),
    count: int,
    radius: float,
) -> float:
    """Where the corridor leads from here, rad in B: to the end of the last segment whose free ground is nearest."""
    best = wp.float32(1.0e6)
    chosen = wp.int32(0)
    for i in range(wp.max(count - 1, 1)):
        j = wp.min(i + 1, count - 1)
        ax = points[row, i, 0] - x
        ay = points[row, i, 1] - y
        bx = points[row, j, 0] - x
        by = points[row, j, 1] - y
        slack = wp.max(half_width[row, j] - radius, 0.0)
        length = wp.sqrt((bx - ax) * (bx - ax) + (by - ay) * (by - ay))
        ux = wp.float32(1.0)
        uy = wp.float32(0.0)
        if length > 0.0:
            ux = (bx - ax) / length
            uy = (by - ay) / length
        along = -(ax * ux + ay * uy)
        beside = wp.abs(ax * uy - ay * ux)
        depth = wp.max(wp.max(-along, along - length), beside) - slack
        if wp.max(depth, 0.0) <= best + 1.0e-4:
            best = wp.max(depth, 0.0)
            chosen = j
    tx = points[row, chosen, 0] - x
    ty = points[row, chosen, 1] - y
    if chosen + 1 < count and tx * tx + ty * ty < ARRIVED * ARRIVED:
        tx = points[row, chosen + 1, 0] - x
        ty = points[row, chosen + 1, 1] - y
    if tx * tx + ty * ty < ARRIVED * ARRIVED:
        return 0.0
    turn = wp.atan2(ty, tx) - yaw
    return wp.atan2(wp.sin(turn), wp.cos(turn))
