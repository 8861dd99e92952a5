"""Where a candidate leads a car: last command, candidate for one period, then a fail-safe plan to standstill.

In the path's frame a single-track car with accelerations and curvatures that change at bounded rates goes

    ds/dt = v cos(yaw) / (1 - K d),   dd/dt = v sin(yaw),   dyaw/dt = v k - dh/dt,

K the path's curvature and h its heading, whose differences are exact where a bend begins. From now on the phases are

    latency    the drive may still act on any command of that long ago, or already on the candidate: the largest
               acceleration of them counts, and the last curvature
    period     the candidate, or already the plan where that brakes less
    hold       the plan's steering at constant speed (only of the family that clears shared ground)
    stop       the plan's steering and braking until standstill

A plan that brakes less than what is under way counts from the first moment at which it may rule. Steering is a
second-order law for the distance to the plan's line (`steering`), which is how the plan is driven too, so that what is
predicted is what is done. In the lane brakes and bends are guaranteed together (docs/decisions.md); on the way to
another line a_lat^2 / lateral^2 + a_lon^2 / brake^2 <= 1. The families are lines and strengths of braking (`family`).

Every slice is stored with the interval that the body takes across the path, grown by the tracking error
e0 + e1 t (across the path e1 counts for SETTLED at most, because steering is closed-loop), by what a candidate's
curvature that comes early shifts it, and by the bulge between the slice's ends, a dt^2 / 8.
"""

from __future__ import annotations

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false, reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false, reportInvalidTypeForm=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.
import warp as wp

from safety.reason import Reason
from safety.roadbends import body
from safety.roadbounds import RoadBounds
from safety.roadends import ends_astride, straddles
from safety.roadsight import (
    BEHIND_C,
    HISTORY_C,
    PHEADING,
    PLEFT,
    PLEFT_LANE,
    PLIMIT,
    PRIGHT,
    PRIGHT_LANE,
    PSHOULDER,
    SA,
    SD,
    SEND,
    SHIGH,
    SHUT_LEFT,
    SHUT_RIGHT,
    SK,
    SLIMIT,
    SLOW,
    SRANGE,
    SV,
    SYAW,
    RoadAsk,
    RoadSight,
    nose_bend,
    path_bend,
    path_index,
    path_least,
    path_value,
)
from safety.roadsteering import LOOK_AHEAD, limit_curvature, steering

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

SLICES = 56
"""Latency (8 at most), period and stop (30, and more where bends leave little braking)."""

SLICES_C = wp.constant(SLICES)

STOP_SLICES = wp.constant(30.0)

SLICE_TIME = wp.constant(0.1)
"""Shortest slice of a stop, s."""

SETTLED = wp.constant(1.5)
"""s; steering takes a deviation back within that time (1.5 / OMEGA)."""

HOLD = wp.constant(2.5)
"""s; how long the family that clears shared ground goes on: a car's length and a junction's 15 m at 8 m/s."""

COME_IN = wp.constant(8.0)
"""m; the way after which steering has brought a car from between two lanes into one, also where it crawls."""

HELD_PACE = wp.constant(1.0)
"""m/s; a slower pace is no way into a lane: held for LONGEST it is less than COME_IN."""

SHORTEST, LONGEST = wp.constant(1.0), wp.constant(8.0)
"""s; of such a hold: what steering takes beyond a comfortable stop, and COME_IN at walking pace."""

ASTRIDE = wp.constant(-1.0)
"""s; the hold that is told of a plan without one that ends between two lanes."""

STEEP = wp.constant(0.7)
"""rad across the path at which a plan may end up at most: from there the smallest turn still fits into two lanes."""

FAMILIES = wp.constant(8)

LEANS = wp.constant(0.25)
"""m over a border that still is keeping the lane, where the lane beside is shut (R157 5.2.5.2: 0.3 m)."""

Rolled = wp.types.matrix(shape=(SLICES, 5), dtype=wp.float32)
"""End time, s of base_link then, least and largest d of the body over the slice, error along the path."""


@wp.struct
class Roll:
    """A candidate and its plan, rolled out."""

    reason: wp.int32
    slices: Rolled
    count: wp.int32
    low: float
    high: float
    margin: float
    astride: wp.int32
    """1 where it ends on a border between lanes, or between a lane and no shoulder"""


@wp.func
def slowest_pace(row: int, a: float, sight: RoadSight, b: RoadBounds) -> float:
    """The least speed at which a plan can begin to hold its pace, m/s: after what brakes now, is on its way and `a`."""
    least = wp.min(wp.min(sight.start[row, SA], a), wp.min(sight.history[row, 0, 0], sight.history[row, 1, 0]))
    least = wp.min(least, 0.0)
    return sight.start[row, SV] + least * (b.latency + b.period) - 0.5 * least * least / b.jerk


@wp.func
def family(row: int, f: int, a: float, ask: RoadAsk, sight: RoadSight, b: RoadBounds) -> wp.vec3:
    """Line (d, m), braking (m/s^2) and hold (s) of a family; braking 0 where there is none.

    0 own lane, comfortably; 1 own lane, as hard as guaranteed; 2 the neighbour lane or shoulder on the side where the
    car is, hard; 3 clearing shared ground before a comfortable stop; 4 the other side. Where those end between two
    lanes: 5 going on until inside the own lane, 6 until inside the other one, 7 the own one, for twice as long.
    """
    if f == 0:
        return wp.vec3(0.0, b.comfort, 0.0)
    if f == 1:
        return wp.vec3(0.0, b.brake, 0.0)
    if f == 3:
        return wp.vec3(0.0, b.comfort, HOLD)
    hold = wp.float32(0.0)
    brake = b.brake
    if f >= 5:
        pace = slowest_pace(row, a, sight, b)
        if pace < HELD_PACE:
            return wp.vec3(0.0, 0.0, 0.0)
        hold = wp.clamp(COME_IN / pace, SHORTEST, LONGEST)
        brake = b.comfort
    if f == 7:
        hold = wp.min(2.0 * hold, LONGEST)
    if f == 5 or f == 7:
        return wp.vec3(0.0, brake, hold)
    at = BEHIND_C
    left = sight.start[row, SD] > 0.0
    if f == 4:
        left = not left
    if left:
        width = path_least(ask.view, row, at, PLEFT_LANE)
        if width <= 2.0 * b.half_width:
            return wp.vec3(0.0, 0.0, 0.0)
        return wp.vec3(path_least(ask.view, row, at, PLEFT) + 0.5 * width, brake, hold)
    width = path_least(ask.view, row, at, PRIGHT_LANE)
    if width <= 2.0 * b.half_width:
        width = path_least(ask.view, row, at, PSHOULDER)
    if width <= 2.0 * b.half_width:
        return wp.vec3(0.0, 0.0, 0.0)
    return wp.vec3(-path_least(ask.view, row, at, PRIGHT) - 0.5 * width, brake, hold)


@wp.func
def braking(strength: float, line: float, v: float, curvature: float, b: RoadBounds) -> float:
    """A plan's braking: on the way to another line inside the friction ellipse (a fifth at least), else in full."""
    if line == 0.0:
        return strength
    share = v * v * curvature / b.lateral
    return wp.min(strength, b.brake * wp.sqrt(wp.max(1.0 - share * share, 0.04)))


@wp.func
def go(v: float, a: float, wish: float, dt: float, b: RoadBounds) -> wp.vec3:
    """Speed and acceleration after a slice, and the way: acceleration goes to `wish` at the jerk limit."""
    change = wp.clamp(wish - a, -b.jerk * dt, b.jerk * dt)
    a1 = a + change
    rise = wp.abs(change) / b.jerk
    mean = a1 - 0.5 * change * rise / dt
    v1 = v + mean * dt
    if v1 > b.speed_max:
        v1 = wp.max(v, b.speed_max)
        mean = (v1 - v) / dt
    if v1 <= 0.0:
        if v <= 0.0 or mean >= 0.0:
            return wp.vec3(0.0, wp.max(a1, 0.0), 0.0)
        return wp.vec3(0.0, a1, -0.5 * v * v / mean)
    return wp.vec3(v1, a1, 0.5 * (v + v1) * dt + b.jerk * dt * dt * dt / 12.0)


@wp.func
def pending(row: int, time: float, candidate: float, sight: RoadSight, b: RoadBounds) -> float:
    """The largest acceleration that a drive may act on `time` after now, within its latency."""
    most = wp.max(candidate, sight.history[row, 0, 0])
    many = wp.int32(HISTORY_C)
    for i in range(1, many):
        if float(i) * b.period <= b.latency - time:
            most = wp.max(most, sight.history[row, i, 0])
    return most


@wp.func
def room(row: int, k: int, ask: RoadAsk, sight: RoadSight, leaves: bool) -> wp.vec2:
    """How far left and right of the path the car may be around point k: its lane, and lanes that may be entered."""
    wide = path_least(ask.view, row, k, PLEFT_LANE)
    if sight.start[row, SHUT_LEFT] > 0.0:
        wide = wp.min(wide, LEANS)
    beside = path_least(ask.view, row, k, PRIGHT_LANE)
    if leaves and beside <= 0.0:
        beside = path_least(ask.view, row, k, PSHOULDER)
    elif sight.start[row, SHUT_RIGHT] > 0.0:
        beside = wp.min(beside, LEANS)
    return wp.vec2(path_least(ask.view, row, k, PLEFT) + wide, path_least(ask.view, row, k, PRIGHT) + beside)


@wp.func
def paved(row: int, k: int, ask: RoadAsk) -> wp.vec2:
    """How far left and right of the path lanes or a shoulder lie at point k, whoever is there."""
    left = ask.view.path[row, k, PLEFT] + ask.view.path[row, k, PLEFT_LANE]
    beside = wp.max(ask.view.path[row, k, PRIGHT_LANE], ask.view.path[row, k, PSHOULDER])
    return wp.vec2(left, ask.view.path[row, k, PRIGHT] + beside)


@wp.func
def roll(row: int, command: wp.vec2, plan: wp.vec3, ask: RoadAsk, sight: RoadSight, b: RoadBounds) -> Roll:
    """Roll a candidate and a plan (line, braking, hold) out; `reason` where lane, limit, sight or path refuse it."""
    r = Roll()
    view = ask.view
    v = sight.start[row, SV]
    a = sight.start[row, SA]
    k = sight.start[row, SK]
    d = sight.start[row, SD]
    yaw = sight.start[row, SYAW]
    s = wp.float32(0.0)
    t = wp.float32(0.0)
    line = plan[0]
    r.low = sight.start[row, SLOW]
    r.high = sight.start[row, SHIGH]
    r.margin = 1.0e3
    if v <= 0.0 and command[0] <= 0.0 and sight.history[row, 0, 0] <= 0.0:
        r.astride = straddles(row, BEHIND_C, d, ask, b)
        return r
    side = wp.sin(yaw)
    cosine = wp.cos(yaw)
    last_k = limit_curvature(sight.history[row, 0, 1], v, b)
    leaves = wp.abs(line) > 0.5 * b.half_width
    grown = b.half_width + b.lane_error
    free = room(row, BEHIND_C, ask, sight, leaves)
    over_left = wp.max(d + wp.max(b.front * side, 0.0) + grown - free[0], 0.0)
    over_right = wp.max(-d + wp.max(-b.front * side, 0.0) + grown - free[1], 0.0)
    # who is out of its lane comes back; where no pavement lies, only who left that with its rear, and until it is back
    ground = paved(row, BEHIND_C, ask)
    off_left = wp.max(d + grown - ground[0], 0.0)
    off_right = wp.max(-d + grown - ground[1], 0.0)
    waits = wp.max(wp.ceil(b.latency / SLICE_TIME), 1.0)
    estimate = (v + b.accel * b.period) / plan[1] + plan[1] / b.jerk + plan[2]
    stop_dt = wp.max(SLICE_TIME, estimate / STOP_SLICES)
    # a candidate's curvature that comes a latency early shifts what follows until steering has taken it back
    early = 0.5 * wp.abs(command[1] - last_k) * v * v * b.latency * SETTLED
    wall = wp.min(sight.start[row, SEND] - b.localisation, sight.start[row, SRANGE]) - b.front
    gentle = command[0] > -b.comfort + 1.0e-3
    begun = b.latency + b.period
    # what the plan asks for when it begins: it may rule as early as a period from now
    soon = -braking(plan[1], line, v, k, b)
    if plan[2] > 0.0:
        soon = wp.float32(0.0)
    heading = path_value(view, row, path_index(0.0), PHEADING)
    curve = path_bend(view, row, path_index(0.0))
    before = body(d, side, nose_bend(view, row, 0.0, b.front), b)
    farthest = wp.vec2(d, d)
    for i in range(SLICES_C):
        dt = stop_dt
        wish = wp.float32(0.0)
        turn = wp.float32(0.0)
        if t < b.latency - 1.0e-5:
            dt = b.latency / waits
            wish = pending(row, t, command[0], sight, b)
            turn = last_k
            if t + dt > b.period + 1.0e-5:
                wish = wp.max(wish, soon)
        elif t < begun - 1.0e-5:
            dt = b.period
            wish = wp.max(command[0], soon)
            turn = command[1]
        else:
            ahead = path_bend(view, row, path_index(s + v * LOOK_AHEAD))
            turn = steering(d, side, cosine, v, ahead, line, b)
            if t >= begun + plan[2] - 1.0e-5:
                wish = -braking(plan[1], line, v, wp.max(wp.abs(turn), wp.abs(k)), b)
        moved = go(v, a, wish, dt, b)
        way = moved[2]
        if moved[0] <= 0.0 and way <= 0.0 and t >= begun - 1.0e-5:
            break
        k1 = limit_curvature(k + wp.clamp(turn - k, -b.curvature_rate * dt, b.curvature_rate * dt), v, b)
        bend = 1.0 / wp.max(1.0 - curve * d, 0.3)
        # to the middle of the slice with half the turn, then on in that direction
        turned = 0.5 * (k + k1) * way
        half = 0.5 * (turned - curve * way * cosine * bend)
        s = s + way * (cosine - half * side) * bend
        at = path_index(s)
        after_heading = path_value(view, row, at, PHEADING)
        half = 0.5 * (turned - (after_heading - heading))
        heading = after_heading
        d = d + way * (side + half * cosine)
        farthest = wp.vec2(wp.min(farthest[0], d), wp.max(farthest[1], d))
        yaw = yaw + 2.0 * half
        t = t + dt
        v = moved[0]
        a = moved[1]
        k = k1
        side = wp.sin(yaw)
        cosine = wp.cos(yaw)
        e = b.e0 + b.e1 * wp.min(t, SETTLED) + early
        point = int(at)
        curve = path_bend(view, row, at)
        after = body(d, side, nose_bend(view, row, s, b.front), b)
        bulge = 0.125 * (b.lateral + 0.5) * dt * dt
        low = wp.min(before[0], after[0]) - e - bulge
        high = wp.max(before[1], after[1]) + e + bulge
        before = after
        error = b.e0 + b.e1 * t + 0.125 * (b.brake + b.accel) * dt * dt
        r.slices[i, 0] = t
        r.slices[i, 1] = s
        r.slices[i, 2] = low
        r.slices[i, 3] = high
        r.slices[i, 4] = error
        r.count = i + 1
        r.low = wp.min(r.low, low)
        r.high = wp.max(r.high, high)
        gap = wall - s - error
        if not (gap > 0.0):
            r.reason = Reason.UNSEEN
            if sight.start[row, SEND] <= sight.start[row, SRANGE]:
                r.reason = Reason.PATH_END
            return r
        r.margin = wp.min(r.margin, gap)
        if gentle and t > b.latency + 1.0e-5 and v > path_least(view, row, point, PLIMIT) + b.limit_slack:
            r.reason = Reason.SPEED_LIMIT
            return r
        free = room(row, point, ask, sight, leaves)
        ground = paved(row, point, ask)
        for n in range(point + 1, wp.min(int(path_index(s + b.front)) + 1, int(sight.start[row, SLIMIT])) + 1):
            ground = wp.min(ground, paved(row, n, ask))
        aside_left = d + wp.max(b.front * side, 0.0)
        aside_right = -d + wp.max(-b.front * side, 0.0)
        inside = wp.min(free[0] + over_left - aside_left, free[1] + over_right - aside_right) - grown - e
        on = wp.min(ground[0] + off_left - aside_left, ground[1] + off_right - aside_right) - grown - e
        # one that already is outside comes back: nowhere deeper than now
        if not (inside > -1.0e-3) and not (over_left + over_right > 0.0 and inside > -e - 1.0e-3):
            r.reason = Reason.LANE_BOUNDARY
            return r
        if not (on > -1.0e-3) and not (off_left + off_right > 0.0 and on > -e - 1.0e-3):
            r.reason = Reason.LANE_BOUNDARY
            return r
        if wp.abs(yaw) > STEEP and wp.abs(yaw) > wp.abs(sight.start[row, SYAW]) + 0.02:
            r.reason = Reason.LANE_BOUNDARY
            return r
        off_left = wp.min(off_left, wp.max(aside_left + grown - ground[0], 0.0))
        off_right = wp.min(off_right, wp.max(aside_right + grown - ground[1], 0.0))
        if v <= 0.0 and t >= begun - 1.0e-5:
            break
        if i == SLICES_C - 1:
            r.reason = Reason.UNSEEN  # no standstill within the slices: nothing is verified
    r.astride = ends_astride(row, int(path_index(s)), d, farthest, ask, b)
    return r
