"""What the road's shield sees of one row before it judges anything: the ego and everybody else in the path's frame.

    RoadAsk      `sim.driving.filter.RoadInputs` as kernels take it
    RoadSight    what `look_road` finds: the start of every plan, objects as sets that grow, and areas that
                 other lanes share with the path, with the time from which somebody may be there

s counts from base_link's projection along the lane ahead, d to its left. An object becomes one of

    KEEPER    a vehicle that keeps its lane beside or ahead: an interval along the path, its lane across it
    REAR      one behind in a lane that we are not in: judged only if we enter its lane
    LOOSE     one without a lane, or that seems to leave it (the lane assumption is dropped for it, after SPOT), or that
              stands: a box along its heading, as far as braking and accelerating lead, growing sideways
    WALKER    a disc that grows with walking speed

A vehicle behind in the lane that we are in keeps its distance itself (RSS); one on a lane that crosses ours is held by
that lane and judged by shared areas alone (`safety/roadareas.py`), unless its lane parts from ours: then it counts
until its rear is out of our way. Positions grow by SPREAD, all of time by AGE.
"""

from __future__ import annotations

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false, reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false, reportInvalidTypeForm=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.
import warp as wp

from safety.dynamics import finite
from safety.reason import Reason
from safety.roadbends import body
from safety.roadbounds import RoadBounds
from sim.actors import ActorKind
from sim.driving.maparrays import ConflictArrays
from sim.driving.state import OBJECTS, PATH, PATH_BEHIND, PATH_STEP, ObjectColumn, PathColumn, View
from sim.frenet import Lanes
from sim.road import ConflictKind

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

HISTORY = 17
"""Released commands that are remembered: what a drive may still act on within its latency bound, 0.8 s at 50 ms."""

AREAS = 16
"""Shared areas that a row has room for; further ones are joined to the last."""

REST = wp.constant(0.05)
"""m/s; slower is standing (the issue's bound of a contact at fault)."""

ABSURD = wp.constant(3.0)
"""A speed so many times the car's largest is a broken reading."""

PARALLEL = wp.constant(0.8)
"""Cosine of the angle up to which a vehicle goes along the path, or against it: 37 degrees."""

ROUNDED = wp.constant(0.01)
"""m; what places a kilometre from a road's middle are rounded by in float32, and more."""

POINTS_C = wp.constant(PATH)
BEHIND_C = wp.constant(PATH_BEHIND)
STEP_C = wp.constant(PATH_STEP)
OBJECTS_C = wp.constant(OBJECTS)
HISTORY_C = wp.constant(HISTORY)

PX = wp.constant(int(PathColumn.X))
PY = wp.constant(int(PathColumn.Y))
PHEADING = wp.constant(int(PathColumn.HEADING))
PCURVE = wp.constant(int(PathColumn.CURVATURE))
PLEFT = wp.constant(int(PathColumn.LEFT))
PRIGHT = wp.constant(int(PathColumn.RIGHT))
PLEFT_LANE = wp.constant(int(PathColumn.LEFT_LANE))
PRIGHT_LANE = wp.constant(int(PathColumn.RIGHT_LANE))
PSHOULDER = wp.constant(int(PathColumn.SHOULDER))
PLIMIT = wp.constant(int(PathColumn.LIMIT))
OX = wp.constant(int(ObjectColumn.X))
OY = wp.constant(int(ObjectColumn.Y))
OYAW = wp.constant(int(ObjectColumn.YAW))
OSPEED = wp.constant(int(ObjectColumn.SPEED))
OLENGTH = wp.constant(int(ObjectColumn.LENGTH))
OWIDTH = wp.constant(int(ObjectColumn.WIDTH))
OAGE = wp.constant(int(ObjectColumn.AGE))
OLANE_S = wp.constant(int(ObjectColumn.LANE_S))
OLANE_D = wp.constant(int(ObjectColumn.LANE_D))
OLATERAL = wp.constant(int(ObjectColumn.LATERAL))
OSPREAD = wp.constant(int(ObjectColumn.SPREAD))

ABSENT = wp.constant(0)
KEEPER = wp.constant(1)
REAR = wp.constant(2)
LOOSE = wp.constant(3)
WALKER = wp.constant(4)

STATIC_KIND = wp.constant(int(ActorKind.STATIC))
SPLIT = wp.constant(int(ConflictKind.SPLIT))
BICYCLE_KIND = wp.constant(int(ActorKind.BICYCLE))
WALKER_KIND = wp.constant(int(ActorKind.PEDESTRIAN))

START = 13
"""Columns of `RoadSight.start`."""

SV, SA, SK, SD, SYAW = (wp.constant(k) for k in range(5))
"""Speed, acceleration, curvature, d and heading error at the start."""
SEND, SRANGE, SLOW, SHIGH, SLIMIT = (wp.constant(k) for k in range(5, 10))
"""Where the path and the sight end, the body's interval across the path now, the least limit of speed over it."""
SHUT_LEFT, SHUT_RIGHT = wp.constant(10), wp.constant(11)
"""1 where the lane beside must not be entered because of who may be hidden (`safety/roadhidden.py`), else 0."""
SHIDDEN = wp.constant(12)
"""s from which on something may stand in the lane unseen, before the vehicle ahead (`safety/roadhidden.py`)."""

SET = 16
"""Columns of `RoadSight.objects`."""
LOW_S, HIGH_S, LOW_D, HIGH_D, ALONG, ACROSS, SLOWEST = (wp.constant(k) for k in range(7))
FASTEST, PICKS_UP, CAP, GOES_LEFT, GOES_RIGHT, OLD, BRAKES = (wp.constant(k) for k in range(7, 14))
ENTERS, REACTS = wp.constant(14), wp.constant(15)
"""Box at the measurement, direction, speeds, acceleration up to which speed, sideways speeds, age, braking; of REAR the
s from which on our way is its too, and its reaction time. A walker's are its middle (LOW_S, LOW_D), radius (HIGH_S) and
speed (FASTEST)."""

EVERYWHERE = wp.constant(-1.0e9)
"""m; what is entered across the path alone."""

INTRUSION = wp.constant(0.3)
"""m over a border, from which on a car is not in its lane (R157 5.2.5.2; `sim.driving.blame`)."""


@wp.struct
class RoadAsk:
    """`sim.driving.filter.RoadInputs` as kernels take it."""

    command: wp.array2d(dtype=wp.float32)
    last_command: wp.array2d(dtype=wp.float32)
    view: View
    lanes: Lanes
    conflicts: ConflictArrays


@wp.struct
class RoadSight:
    """What `look_road` found; scratch but for `history`."""

    start: wp.array2d(dtype=wp.float32)
    """(rows, START)"""
    objects: wp.array3d(dtype=wp.float32)
    """(rows, OBJECTS, SET)"""
    object_mode: wp.array2d(dtype=wp.int32)
    """ABSENT to WALKER, (rows, OBJECTS)"""
    areas: wp.array3d(dtype=wp.float32)
    """Begin and end on the path, m, and the time from which somebody may be there, s; (rows, AREAS, 3)"""
    area_count: wp.array(dtype=wp.int32)
    history: wp.array3d(dtype=wp.float32)
    """Released commands, the last first, (rows, HISTORY, 2)"""
    plan: wp.array2d(dtype=wp.float32)
    """The stored plan (`safety/roadshield.py`), (rows, 4); only read"""


@wp.func
def path_index(s: float) -> float:
    """Where s lies among the points of a path, held at its ends."""
    return wp.clamp(s / STEP_C + float(BEHIND_C), 0.0, float(POINTS_C - 1))


@wp.func
def path_value(view: View, row: int, at: float, column: int) -> float:
    """A column of the path, between two points linearly."""
    k = wp.min(int(at), POINTS_C - 2)
    share = at - float(k)
    return view.path[row, k, column] * (1.0 - share) + view.path[row, k + 1, column] * share


@wp.func
def path_bend(view: View, row: int, at: float) -> float:
    """Curvature of the path at an index: what its heading turns by from one point to the next.

    A bend of a street begins between two points, whose own curvatures would make it begin up to a step early or late.
    """
    k = wp.min(int(at), POINTS_C - 2)
    return (view.path[row, k + 1, PHEADING] - view.path[row, k, PHEADING]) / STEP_C


@wp.func
def nose_bend(view: View, row: int, s: float, front: float) -> float:
    """Mean curvature of the path from s to `front` m further: a body that enters a bend has its nose in it first."""
    turn = path_value(view, row, path_index(s + front), PHEADING) - path_value(view, row, path_index(s), PHEADING)
    return turn / front


@wp.func
def path_least(view: View, row: int, point: int, column: int) -> float:
    """The smaller value of a column at a point and the next one."""
    k = wp.min(point, POINTS_C - 2)
    return wp.min(view.path[row, k, column], view.path[row, k + 1, column])


@wp.func
def away(view: View, row: int, k: int, x: float, y: float) -> float:
    """Squared distance to point k of the path."""
    dx = x - view.path[row, k, PX]
    dy = y - view.path[row, k, PY]
    return dx * dx + dy * dy


@wp.func
def project(view: View, row: int, last: int, x: float, y: float) -> wp.vec4:
    """s, d, heading of the path there and the nearest point's index; the path goes on straight beyond its ends."""
    best = wp.int32(0)
    least = away(view, row, 0, x, y)
    k = wp.int32(4)
    while k <= last:
        here = away(view, row, k, x, y)
        if here < least:
            least = here
            best = k
        k = k + 4
    middle = best
    for i in range(wp.max(middle - 3, 0), wp.min(middle + 4, last + 1)):
        here = away(view, row, i, x, y)
        if here < least:
            least = here
            best = i
    heading = view.path[row, best, PHEADING]
    dx = x - view.path[row, best, PX]
    dy = y - view.path[row, best, PY]
    along = dx * wp.cos(heading) + dy * wp.sin(heading)
    across = dy * wp.cos(heading) - dx * wp.sin(heading)
    inside = wp.clamp(along, -STEP_C, STEP_C)
    turn = view.path[row, best, PCURVE] * inside
    d = across - 0.5 * turn * inside
    # s of a place beside a bend: its foot's, not its own way
    share = wp.clamp(1.0 - view.path[row, best, PCURVE] * d, 0.5, 2.0)
    return wp.vec4((float(best) - float(BEHIND_C)) * STEP_C + along / share, d, heading + turn, float(best))


@wp.func
def remember(row: int, ask: RoadAsk, sight: RoadSight) -> None:
    """The command released in the cycle before goes to the head of the history."""
    for i in range(HISTORY_C - 1):
        k = HISTORY_C - 1 - i
        sight.history[row, k, 0] = sight.history[row, k - 1, 0]
        sight.history[row, k, 1] = sight.history[row, k - 1, 1]
    for column in range(2):
        value = ask.last_command[row, column]
        if not finite(value):
            value = 0.0
        sight.history[row, 0, column] = value


@wp.func
def last_piece(view: View, row: int, last: int) -> float:
    """How far beyond its last point with a lane the path goes, m: the first point without one is held at its end."""
    if last < BEHIND_C:
        return 0.0
    x = view.path[row, last + 1, PX] - view.path[row, last, PX]
    y = view.path[row, last + 1, PY] - view.path[row, last, PY]
    piece = wp.sqrt(x * x + y * y)
    if not (piece <= STEP_C + ROUNDED):  # not held there: what lies beyond is not known
        return 0.0
    return piece


@wp.func
def look_start(row: int, ask: RoadAsk, b: RoadBounds, sight: RoadSight) -> int:
    """The start of every plan; 0, or the Reason why nothing can be judged."""
    view = ask.view
    v = view.motion[row, 0]
    a = view.motion[row, 1]
    curvature = view.motion[row, 2]
    d = view.where[row, 0]
    yaw = view.where[row, 1]
    sum = v + a + curvature + d + yaw + view.pose[row, 0] + view.pose[row, 1] + view.pose[row, 2]
    sum = sum + ask.last_command[row, 0] + ask.last_command[row, 1] + view.age[row] + view.list_age[row]
    if not (finite(sum) and wp.abs(v) <= ABSURD * b.speed_max and wp.abs(yaw) <= 1.6 and not (view.range[row] < 0.0)):
        return Reason.NOT_FINITE
    last = wp.int32(BEHIND_C - 1)
    for k in range(BEHIND_C, POINTS_C):
        if view.path_lane[row, k] < 0 or last < k - 1:
            continue
        value = view.path[row, k, PX] + view.path[row, k, PY] + view.path[row, k, PHEADING] + view.path[row, k, PCURVE]
        value = value + view.path[row, k, PLEFT] + view.path[row, k, PRIGHT]
        if not finite(value):
            return Reason.NOT_FINITE
        last = k
    if v <= REST and ask.last_command[row, 0] <= 0.0:
        v = 0.0
    sight.start[row, SV] = wp.max(v, 0.0)
    sight.start[row, SA] = wp.clamp(a, -2.0 * b.brake, b.accel)
    sight.start[row, SK] = wp.clamp(curvature, -b.curvature_max, b.curvature_max)
    sight.start[row, SD] = d
    sight.start[row, SYAW] = yaw
    sight.start[row, SEND] = 3.0e38
    if last < POINTS_C - 1:
        sight.start[row, SEND] = wp.max(float(last - BEHIND_C) * STEP_C + last_piece(view, row, last), 0.0)
    sight.start[row, SRANGE] = float(POINTS_C - 1 - BEHIND_C) * STEP_C
    if view.range[row] < sight.start[row, SRANGE]:
        sight.start[row, SRANGE] = view.range[row]
    now = body(d, wp.sin(yaw), nose_bend(view, row, 0.0, b.front), b)
    sight.start[row, SLOW] = now[0]
    sight.start[row, SHIGH] = now[1]
    sight.start[row, SLIMIT] = float(last)
    if view.age[row] > b.age + 1.0e-6:
        return Reason.STALE_VIEW
    if view.list_age[row] > b.list_age + 1.0e-6:
        return Reason.STALE_OBJECTS
    return Reason.NONE
