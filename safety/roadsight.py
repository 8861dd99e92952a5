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
from safety.roadbends import arc_way, body, nose_way
from safety.roadbounds import RoadBounds
from sim.actors import ActorKind
from sim.driving.maparrays import ConflictArrays
from sim.driving.state import OBJECTS, PATH, PATH_BEHIND, PATH_STEP, ObjectColumn, PathColumn, View
from sim.frenet import Lanes, bend_ahead, lane_frame
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

COMES = wp.constant(0.02)
"""Sine of the angle from which on a lane beside comes to ours: a metre in 50."""

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
        sight.start[row, SEND] = wp.max(float(last - BEHIND_C) * STEP_C, 0.0)
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


@wp.func
def parts(row: int, lane: int, k: int, ask: RoadAsk) -> bool:
    """Whether a lane begins where one of the path's does that is near its point k, and leads elsewhere."""
    for i in range(-2, 3):
        ours = ask.view.path_lane[row, wp.clamp(k + i, 0, POINTS_C - 1)]
        if ours >= 0:
            for c in range(ask.conflicts.first[ours], ask.conflicts.first[ours + 1]):
                if ask.conflicts.other[c] == lane and ask.conflicts.kind[c] == SPLIT:
                    return True
    return False


@wp.func
def set_object(row: int, j: int, ask: RoadAsk, b: RoadBounds, sight: RoadSight) -> int:
    """Object j as a set that grows; 0, or NOT_FINITE."""
    view = ask.view
    sight.object_mode[row, j] = ABSENT
    kind = view.object_kind[row, j]
    if kind < 0:
        return 0
    sum = wp.float32(0.0)
    for k in range(12):
        sum = sum + view.objects[row, j, k]
    age = view.objects[row, j, OAGE]
    if not (finite(sum) and age >= 0.0):
        return Reason.NOT_FINITE
    last = int(sight.start[row, SLIMIT])
    at = project(view, row, wp.max(last, 1), view.objects[row, j, OX], view.objects[row, j, OY])
    s = at[0]
    d = at[1]
    k = int(at[3])
    curve = view.path[row, k, PCURVE]
    spread = wp.max(view.objects[row, j, OSPREAD], 0.0)
    speed = view.objects[row, j, OSPEED]
    length = view.objects[row, j, OLENGTH]
    width = view.objects[row, j, OWIDTH]
    if kind == WALKER_KIND:
        quick = wp.max(b.pedestrian, speed)
        sight.object_mode[row, j] = WALKER
        sight.objects[row, j, LOW_S] = s
        sight.objects[row, j, LOW_D] = d
        sight.objects[row, j, HIGH_S] = 0.5 * wp.max(length, width) + spread
        sight.objects[row, j, FASTEST] = quick
        sight.objects[row, j, OLD] = age
        return 0
    turn = view.objects[row, j, OYAW] - at[2]
    c = wp.cos(turn)
    q = wp.sin(turn)
    long = 0.5 * (wp.abs(c) * length + wp.abs(q) * width)
    wide = 0.5 * (wp.abs(q) * length + wp.abs(c) * width)
    half_d = wide + 0.125 * wp.abs(curve) * length * length
    bend = curve  # the tightest where our nose comes to it
    for i in range(1, 3):
        near = view.path[row, wp.max(k - i, 0), PCURVE]
        if wp.abs(near) > wp.abs(bend):
            bend = near
    half_s = long / wp.clamp(1.0 - wp.abs(curve * d), 0.5, 1.0)
    half_s = wp.max(half_s, arc_way(long, wp.sign(bend) * d + wide, bend))
    sight.objects[row, j, LOW_S] = s - half_s - spread - nose_way(sight.start[row, SD], sight.start[row, SYAW], bend, b)
    sight.objects[row, j, HIGH_S] = s + half_s + spread
    sight.objects[row, j, LOW_D] = d - half_d - spread
    sight.objects[row, j, HIGH_D] = d + half_d + spread
    sight.objects[row, j, ALONG] = c
    sight.objects[row, j, ACROSS] = q
    sight.objects[row, j, OLD] = age
    sight.objects[row, j, GOES_LEFT] = 0.0
    sight.objects[row, j, GOES_RIGHT] = 0.0
    sight.objects[row, j, BRAKES] = b.other_brake
    sight.objects[row, j, ENTERS] = EVERYWHERE
    sight.objects[row, j, REACTS] = b.reaction
    sight.object_mode[row, j] = LOOSE
    if kind == STATIC_KIND:
        for column in range(4):
            sight.objects[row, j, SLOWEST + column] = 0.0
        return 0
    fastest = speed + b.speed_error
    cap = wp.min(b.over_limit * view.path[row, k, PLIMIT], b.other_speed)
    picks_up = b.other_accel
    if kind == BICYCLE_KIND:
        cap = b.cyclist
        picks_up = b.cyclist_accel
    sight.objects[row, j, SLOWEST] = wp.max(speed - b.speed_error, 0.0)
    sight.objects[row, j, FASTEST] = fastest
    sight.objects[row, j, PICKS_UP] = picks_up
    sight.objects[row, j, CAP] = wp.max(cap, fastest)
    lane = view.object_lane[row, j]
    along = view.objects[row, j, OLANE_S]
    offset = view.objects[row, j, OLANE_D]
    lateral = view.objects[row, j, OLATERAL]
    strays = kind != BICYCLE_KIND and wp.abs(offset) >= b.wander + spread
    keeps = lane >= 0 and wp.abs(lateral) < b.keeping and not strays
    same = c >= PARALLEL
    # in its way for certain: it could not pass us as we stand, so that it knows of us; less is entering its lane
    sure = 2.0 * spread + b.lane_error
    beside = sight.objects[row, j, HIGH_D] - sure > sight.start[row, SLOW] and (
        sight.objects[row, j, LOW_D] + sure < sight.start[row, SHIGH]
    )
    behind = sight.objects[row, j, HIGH_S] < -b.rear
    on_path = lane >= 0 and (
        lane == view.path_lane[row, k]
        or lane == view.path_lane[row, wp.max(k - 1, 0)]
        or lane == view.path_lane[row, wp.min(k + 1, POINTS_C - 1)]
    )
    left = path_least(view, row, BEHIND_C, PLEFT) + INTRUSION
    right = -path_least(view, row, BEHIND_C, PRIGHT) - INTRUSION
    # on a shoulder the path's lane is not ours: whoever comes there does not keep behind us
    aside = sight.start[row, SD] <= -path_least(view, row, BEHIND_C, PRIGHT)
    on_path = on_path and not aside
    if same and behind and (beside or on_path):
        sight.object_mode[row, j] = ABSENT  # behind in the lane that we are in: theirs to keep
        if sight.start[row, SLOW] < right or sight.start[row, SHIGH] > left:
            # behind while we reach from one lane or a shoulder into another: it brakes, but that may not be enough
            sight.object_mode[row, j] = REAR
            sight.objects[row, j, ALONG] = 1.0
            sight.objects[row, j, ACROSS] = 0.0
            sight.objects[row, j, REACTS] = 0.0
        return 0
    if keeps:
        if not same and c > -PARALLEL:
            if behind or not parts(row, lane, k, ask):
                sight.object_mode[row, j] = ABSENT  # held by a lane that crosses: shared areas judge it
            return 0  # who turns off ahead is where its box is, as far as it may still come
        sign = wp.sign(c)
        sight.objects[row, j, ALONG] = sign
        sight.objects[row, j, ACROSS] = 0.0
        if kind != BICYCLE_KIND:  # its lane's middle, and how far it strays
            middle = d - sign * offset
            # a long box reaches out of the bends that it drives through with its corners
            half = 0.5 * width + b.wander + 0.125 * length * length * bend_ahead(ask.lanes, lane, along)
            sight.objects[row, j, LOW_D] = wp.min(sight.objects[row, j, LOW_D], middle - half)
            sight.objects[row, j, HIGH_D] = wp.max(sight.objects[row, j, HIGH_D], middle + half)
        else:
            sight.objects[row, j, LOW_D] = sight.objects[row, j, LOW_D] - b.wander
            sight.objects[row, j, HIGH_D] = sight.objects[row, j, HIGH_D] + b.wander
        sight.object_mode[row, j] = KEEPER
        if same:
            # its lane comes to ours: it may be anywhere up to that, as where a ramp's lane takes a shoulder's place
            towards = wp.sin(lane_frame(ask.lanes, lane, along).heading - at[2])
            if d > 0.0 and towards < -COMES:
                border = view.path[row, k, PLEFT] + INTRUSION
                sight.objects[row, j, LOW_D] = wp.min(sight.objects[row, j, LOW_D], border)
            if d < 0.0 and towards > COMES:
                border = -view.path[row, k, PRIGHT] - INTRUSION
                sight.objects[row, j, HIGH_D] = wp.max(sight.objects[row, j, HIGH_D], border)
            if behind:
                sight.object_mode[row, j] = REAR
        return 0
    if same and sight.objects[row, j, HIGH_S] <= b.front:
        # beside or behind us: whoever leaves a lane into us has us where we are
        sight.objects[row, j, ALONG] = 1.0
        sight.objects[row, j, ACROSS] = 0.0
        if behind:
            sight.object_mode[row, j] = REAR
        if d * lateral < 0.0:
            # it comes to us: in our lane that is its doing, beyond the border it would be ours
            if aside:
                left = right + 2.0 * INTRUSION  # ours is the shoulder
            if d > 0.0:
                sight.objects[row, j, LOW_D] = wp.where(behind, left, wp.min(sight.objects[row, j, LOW_D], left))
            else:
                sight.objects[row, j, HIGH_D] = wp.where(behind, right, wp.max(sight.objects[row, j, HIGH_D], right))
        return 0
    if lane < 0:
        sight.objects[row, j, GOES_LEFT] = b.change
        sight.objects[row, j, GOES_RIGHT] = b.change
        return 0
    quick = wp.max(b.change, wp.abs(lateral))
    sign = wp.sign(c)
    if sign * lateral >= b.keeping or (strays and sign * offset > 0.0 and sign * lateral > -b.keeping):
        sight.objects[row, j, GOES_LEFT] = quick
    if sign * lateral <= -b.keeping or (strays and sign * offset < 0.0 and sign * lateral < b.keeping):
        sight.objects[row, j, GOES_RIGHT] = quick
    sight.objects[row, j, ALONG] = sign
    sight.objects[row, j, ACROSS] = 0.0
    return 0
