"""Everybody else in the path's frame: each object of a view as one of the sets of `RoadSight` (`safety/roadsight.py`).

What a set is follows from what the object keeps to: its lane, and what that makes of a long box, or of a ramp that
comes to ours; nothing, once it leaves its lane or parts from our way; its own distance, where it is behind us.
"""

from __future__ import annotations

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false, reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false, reportInvalidTypeForm=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.
import warp as wp

from safety.dynamics import finite
from safety.reason import Reason
from safety.roadbends import arc_way, nose_way
from safety.roadbounds import RoadBounds
from safety.roadsight import (
    ABSENT,
    ACROSS,
    ALONG,
    BEHIND_C,
    BICYCLE_KIND,
    BRAKES,
    CAP,
    ENTERS,
    EVERYWHERE,
    FASTEST,
    GOES_LEFT,
    GOES_RIGHT,
    HIGH_D,
    HIGH_S,
    INTRUSION,
    KEEPER,
    LOOSE,
    LOW_D,
    LOW_S,
    OAGE,
    OLANE_D,
    OLANE_S,
    OLATERAL,
    OLD,
    OLENGTH,
    OSPEED,
    OSPREAD,
    OWIDTH,
    OX,
    OY,
    OYAW,
    PARALLEL,
    PCURVE,
    PHEADING,
    PICKS_UP,
    PLEFT,
    PLIMIT,
    POINTS_C,
    PRIGHT,
    PX,
    PY,
    REACTS,
    REAR,
    SD,
    SHIGH,
    SLIMIT,
    SLOW,
    SLOWEST,
    SPLIT,
    STATIC_KIND,
    STEP_C,
    SV,
    SYAW,
    WALKER,
    WALKER_KIND,
    RoadAsk,
    RoadSight,
    path_least,
    project,
)
from sim.frenet import LINKS_C, bend_ahead, lane_frame

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

CRAWLS = wp.constant(4.0)
"""m/s up to which a car comes out of where it stood: the fallback's creep and what it may exceed that by."""

HOPS = wp.constant(4)
"""Ends of lanes that are looked over from a vehicle behind to the ego's place."""

LEADS, LEADS_BY = wp.constant(0.2), wp.constant(6.0)
"""Share and m by which the way along its lane and the straight way may differ: an arc and its chord up to 2 rad."""

COMES = wp.constant(0.02)
"""Sine of the angle from which on a lane beside comes to ours: a metre in 50."""


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
def follow(row: int, j: int, at: wp.vec4, ask: RoadAsk) -> wp.vec4:
    """Where a vehicle behind all of the path is, as `project` tells it: as far across as its lane is at our own place.

    The path goes on straight behind its first point, and a road that bends does not: without this a car in our lane
    would seem to come beside it. `at` where its lane does not lead there, or it does not drive along it.
    """
    view = ask.view
    lane = view.object_lane[row, j]
    px = view.path[row, 0, PX]
    py = view.path[row, 0, PY]
    dx = view.objects[row, j, OX] - px
    dy = view.objects[row, j, OY] - py
    heading = view.path[row, 0, PHEADING]
    ours = view.path_lane[row, 0]
    if lane < 0 or ours < 0 or at[3] > 0.0 or dx * wp.cos(heading) + dy * wp.sin(heading) >= 0.0:
        return at
    far = wp.sqrt(dx * dx + dy * dy)
    s = view.objects[row, j, OLANE_S]
    here = lane_frame(ask.lanes, lane, s).heading
    if wp.cos(view.objects[row, j, OYAW] - here) < PARALLEL:
        return at
    s = s + far
    many = wp.int32(HOPS)  # a variable, so that Warp does not write the hops out
    for _ in range(many):
        length = ask.lanes.length[lane]
        if s > length:
            following = ask.lanes.successors[lane, 0]
            for i in range(1, LINKS_C):
                if ask.lanes.successors[lane, i] == ours:
                    following = ours
            if following < 0:
                return at
            s = s - length
            lane = following
    near = lane_frame(ask.lanes, lane, wp.min(s, ask.lanes.length[lane]))
    begin = lane_frame(ask.lanes, ours, view.path_s[row, 0])
    turn = near.heading - begin.heading
    x = near.x - begin.x
    y = near.y - begin.y
    c = wp.cos(begin.heading)
    q = wp.sin(begin.heading)
    if wp.cos(turn) < PARALLEL or wp.abs(x * c + y * q) > LEADS_BY + LEADS * far:
        return at
    d = y * c - x * q + view.objects[row, j, OLANE_D]
    return wp.vec4(-float(BEHIND_C) * STEP_C - far, d, here - turn, 0.0)


@wp.func
def waits(row: int, j: int, sight: RoadSight, b: RoadBounds) -> bool:
    """Whether vehicle j, behind in a lane that we partly stand in, is held up by us: both at a crawl, it no faster.

    Who has stopped behind a car that stands between two lanes lets it out of there.
    """
    v = wp.max(sight.start[row, SV], 0.0)
    within = sight.start[row, SLOW] < sight.objects[row, j, HIGH_D]
    within = within and sight.start[row, SHIGH] > sight.objects[row, j, LOW_D]
    return within and v <= CRAWLS and sight.objects[row, j, FASTEST] <= v + 2.0 * b.speed_error


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
    at = follow(row, j, at, ask)
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
                if waits(row, j, sight, b):
                    sight.object_mode[row, j] = ABSENT
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
