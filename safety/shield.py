"""The shield: no command moves the robot unless stopping after it is proved safe.

A command is released only if "this command for one period, then brake on the arc" (`safety/dynamics.py`) stays, at
every instant until standstill,

    inside the corridor          or, for a robot that already is outside, no deeper outside than it is now;
    clear of every obstacle      distance(point, path) > R + radius + e(t) + speed (t + age): equal is unsafe.

Otherwise the nearest command of a lattice that passes the same test (a robot that wants to get on and may only turn on
the spot turns along its corridor, since a policy that repeats the same refused advance would stand for ever);
otherwise the next tick of the stored stopping plan, which was verified when it was stored. By induction a robot that
starts at rest always holds a plan that ends in rest before anything that moves within its bounds can be touched
(passive safety: a person may still walk into a standing robot). After Mitsch et al. (IJRR 2017) for the law and the
simplex shields of Hobbs et al. (2023) for the replacement.

Between two instants the path is a chord; the sagitta of its arc, and the distance by which a drive that answers at
once trails one that answers late, count into the bound, so no slice can be tunnelled through. One function judges
one candidate; it runs over (rows) for the proposal and over (rows, candidates) for the lattice, with the same
result for a row whatever the number of rows.

What moves is a person, and some cells are declared person-free: slices that stay within the disc around the robot that
no person can enter (`FilterInputs.person_free`) are judged by standing things alone.

A standing robot cannot be at fault: slices without speed are not judged. A robot with a standing obstacle inside
its bound (but outside its circle) may creep away from it.
"""

from __future__ import annotations

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false, reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false, reportInvalidTypeForm=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.
import enum
from dataclasses import dataclass, field

import numpy as np
import warp as wp

from safety.dynamics import (
    PLAN_TICKS,
    Bounds,
    bounds,
    chord_factor,
    finite,
    slew,
    stop_time,
    stopping_ticks,
    waiting_target,
)
from safety.occupancy import (
    TAILS,
    covered,
    gather_corridor,
    gather_phantoms,
    gather_points,
    outside,
    point_segment,
    segment_segment,
)
from sim.errors import MusterError
from sim.filter import PHANTOMS, FilterInputs, FilterOutputs
from sim.geometry import CORRIDOR_POINTS
from sim.robot import SECOND, RobotSpec

wp.set_module_options({"fuse_fp": False, "enable_backward": False})


class ShieldError(MusterError):
    """A robot or a scan that this shield cannot judge."""


class Reason(enum.IntEnum):
    """Why a released command is not the proposed one; with a negative margin the stored plan is playing."""

    NONE = 0
    LIMITS = 1
    """Beyond what the robot may be told: cut to its limits, and safe so."""
    CORRIDOR = 2
    """The proposal's stopping plan leaves the corridor."""
    OBSTACLE = 3
    """It comes too near to something that stands."""
    PHANTOM = 4
    """It comes too near to where a person may step out of hiding."""
    PERSON = 5
    """It comes too near to something that moves."""
    NO_CORRIDOR = 6
    """There is no permission to move."""
    STALE_SCAN = 7
    """The scan is older than the robot's bound."""
    NOT_FINITE = 8
    """A number among the inputs is none, or a speed absurd."""


LATTICE = 64
"""Candidates when the proposal is refused: 7 speeds by 9 yaw rates that one period can reach, and a full stop."""

SPEEDS = wp.constant(7)
TURNS = wp.constant(9)

SLICES = wp.constant(11)
"""Age, latency, period and up to eight slices of the stop."""

SLICE_TIME = wp.constant(0.13)
"""Longest slice of a stop, s: shorter ones change the verdict by less than V times the difference."""

CREEP = wp.constant(0.2)
"""m/s; slow enough that the tracking error is far below e0 (docs/benchmarks.md), fast enough to get away."""

ALIGNED = wp.constant(0.1)
"""rad; a robot that points along its corridor as well as this need not turn to get on."""

ALIGN_RATE = wp.constant(2.0)
"""1/s; turning on the spot towards the corridor's way, so fast for each radian that is left."""

ARRIVED = wp.constant(0.15)
"""m; nearer to a way-point than this the way leads to the next one (the free half width of a cell is 0.2 m)."""

REST = wp.constant(0.02)
"""m/s and rad/s; slower is standing (the project's definition of a collision)."""

OUTSIDE_MAX = wp.constant(0.3)
"""m; a robot further outside its corridor has been carried there: no plan of its own leads back."""

CLEAR = wp.constant(0.5)
"""m; margins are told up to here, larger ones (and those of standing robots) as this."""

ABSURD = wp.constant(3.0)
"""A speed so many times the commanded limit is a broken reading: it counts as no number."""

ROUNDING = wp.constant(0.001)
"""m; far above float32's error at 10 m (1e-6 m) times the operations of a path."""

Slices = wp.types.matrix(shape=(11, 7), dtype=wp.float32)
"""Chord ax, ay, bx, by, its growth, its end time, its furthest distance from the start; growth included."""

_CORRIDOR = wp.constant(int(Reason.CORRIDOR))
_OBSTACLE = wp.constant(int(Reason.OBSTACLE))
_PHANTOM = wp.constant(int(Reason.PHANTOM))
_PERSON = wp.constant(int(Reason.PERSON))
_NO_CORRIDOR = wp.constant(int(Reason.NO_CORRIDOR))
_STALE_SCAN = wp.constant(int(Reason.STALE_SCAN))
_NOT_FINITE = wp.constant(int(Reason.NOT_FINITE))
_LIMITS = wp.constant(int(Reason.LIMITS))


@dataclass(frozen=True)
class ShieldMemory:
    """The shield's state and scratch, one row per robot; only the first three arrays outlive a launch."""

    plan: wp.array
    """Stored stopping plan: v, w at its start and its duration, (rows, 3)."""
    elapsed: wp.array
    """Time into the stored plan, s, (rows,)."""
    played: wp.array
    """Cycles since a command was last verified, int32 (rows,)."""
    points: wp.array
    point_count: wp.array
    phantoms: wp.array
    phantom_count: wp.array
    rectangles: wp.array
    rectangle_count: wp.array
    start: wp.array
    """v, w at the scan, the corridor's own -outside at the start, the age, the person-free radius, the bearing of the
    corridor's way in B; (rows, 6)."""
    status: wp.array
    """0 judge, 1 verified, 2 only the stored plan; int32 (rows,)."""
    culprit: wp.array
    """Point that refused the candidate before: the first to ask; int32 (rows,)."""
    best: wp.array
    """Cost and index of the nearest verified candidate; int32 (rows,)."""
    margins: wp.array
    """Margins of the lattice's candidates, (rows, LATTICE)."""
    zero_phantoms: wp.array


@wp.struct
class Path:
    """Where a candidate leads: chords with their time and growth, and the stop that ends it."""

    slices: Slices
    count: wp.int32
    v: float
    w: float
    stop: float
    fastest: float
    bulge: float
    end_x: float
    end_y: float


@wp.struct
class Verdict:
    """What the judge says of one candidate."""

    reason: wp.int32
    margin: float
    v: float
    w: float
    stop: float
    culprit: wp.int32


@wp.struct
class Travel:
    """A pose on the way, and the way so far."""

    x: float
    y: float
    yaw: float
    time: float
    way: float
    fastest: float


@wp.func
def advance(
    path: Path, at: Travel, mean_v: float, mean_w: float, peak: float, dt: float, b: Bounds
) -> tuple[Path, Travel]:
    """A path with one slice more, and the travel after it."""
    turn = mean_w * dt
    way = mean_v * dt
    chord = way * chord_factor(turn)
    heading = at.yaw + 0.5 * turn
    bx = at.x + chord * wp.cos(heading)
    by = at.y + chord * wp.sin(heading)
    time = at.time + dt
    if peak > 1.0e-4 or wp.abs(turn) > 1.0e-6:
        # a drive that answers at once trails the slowest by at most fastest * latency on the way behind
        trail = wp.min(at.fastest * b.latency, at.way)
        back = wp.sign(mean_v) * trail
        k = path.count
        path.slices[k, 0] = at.x - back * wp.cos(at.yaw)
        path.slices[k, 1] = at.y - back * wp.sin(at.yaw)
        path.slices[k, 2] = bx
        path.slices[k, 3] = by
        # sagitta of the slice's own arc and of the trail behind it, |w| way / 8 each at most
        path.slices[k, 4] = b.e0 + b.e1 * time + 0.125 * (wp.abs(way) + trail) * wp.abs(turn) + ROUNDING
        path.slices[k, 5] = time
        ax = path.slices[k, 0]
        ay = path.slices[k, 1]
        path.slices[k, 6] = wp.sqrt(wp.max(ax * ax + ay * ay, bx * bx + by * by)) + path.slices[k, 4]
        path.count = k + 1
    after = Travel()
    after.x = bx
    after.y = by
    after.yaw = at.yaw + turn
    after.time = time
    after.way = at.way + wp.abs(way)
    after.fastest = at.fastest
    return path, after


@wp.func
def predict(
    v0: float,
    w0: float,
    last_v: float,
    last_w: float,
    command_v: float,
    command_w: float,
    age: float,
    moving: bool,
    b: Bounds,
) -> Path:
    """The path of "last command while it may go on, candidate for one period, stop" from the scan's instant."""
    path = Path()
    at = Travel()
    path.count = 0
    v = v0
    w = w0
    for phase in range(3):
        dt = b.period
        target_v = command_v
        target_w = command_w
        if phase == 0:
            dt = age
            target_v = last_v
            target_w = last_w
        if phase == 1:
            dt = b.latency
            target_v = waiting_target(command_v, last_v)
            target_w = last_w
        if dt > 0.0:
            new_v = slew(v, target_v, b.accel, b.brake, dt)
            new_w = slew(w, target_w, b.turn_accel, b.turn_accel, dt)
            peak = wp.max(wp.abs(v), wp.abs(new_v[0]))
            at.fastest = wp.max(at.fastest, peak)
            path, at = advance(path, at, new_v[1], new_w[1], peak, dt, b)
            v = new_v[0]
            w = new_w[0]
    stop = stop_time(v, w, b)
    path.v = v
    path.w = w
    path.stop = stop
    path.fastest = at.fastest
    if stop > 0.0:
        n = wp.int32(1)
        if moving or wp.abs(w) * stop > 0.02:
            n = wp.clamp(int(wp.ceil(stop / SLICE_TIME)), 1, 8)
        dt = stop / float(n)
        for i in range(n):
            # mean of 1 - t / T over the slice
            share = 1.0 - (float(i) + 0.5) / float(n)
            peak = wp.abs(v) * (1.0 - float(i) / float(n))
            path, at = advance(path, at, v * share, w * share, peak, dt, b)
    path.end_x = at.x
    path.end_y = at.y
    # how far the chords' ends stray from the straight line to the path's end: bounds a quick refusal of points
    bulge = wp.float32(0.0)
    for k in range(path.count):
        bulge = wp.max(bulge, point_segment(path.slices[k, 2], path.slices[k, 3], 0.0, 0.0, path.end_x, path.end_y))
        bulge = wp.max(bulge, point_segment(path.slices[k, 0], path.slices[k, 1], 0.0, 0.0, path.end_x, path.end_y))
    path.bulge = bulge
    return path


@wp.func
def judge(
    row: int,
    command_v: float,
    command_w: float,
    last_v: float,
    last_w: float,
    start: wp.array2d(dtype=wp.float32),
    points: wp.array2d(dtype=wp.vec4),
    point_count: wp.array(dtype=wp.int32),
    phantoms: wp.array3d(dtype=wp.float32),
    phantom_count: wp.array(dtype=wp.int32),
    rectangles: wp.array3d(dtype=wp.float32),
    rectangle_count: wp.array(dtype=wp.int32),
    moving: bool,
    first: int,
    b: Bounds,
) -> Verdict:
    """Whether one candidate may be released: reason 0 if so. `first` is the point to ask first (-1: none)."""
    verdict = Verdict()
    verdict.margin = CLEAR
    verdict.culprit = -1
    path = predict(start[row, 0], start[row, 1], last_v, last_w, command_v, command_w, start[row, 3], moving, b)
    verdict.v = path.v
    verdict.w = path.w
    verdict.stop = path.stop
    if path.count == 0:
        return verdict
    n_rectangles = rectangle_count[row]
    if n_rectangles == 0:
        verdict.reason = _NO_CORRIDOR
        return verdict
    inside = start[row, 2]
    # what stays this near to the start is out of every moving body's reach
    refuge = start[row, 4] - b.radius
    for k in range(path.count):
        margin = b.radius + b.localisation + path.slices[k, 4]
        if not covered(
            path.slices[k, 0],
            path.slices[k, 1],
            path.slices[k, 2],
            path.slices[k, 3],
            wp.min(margin, inside),
            row,
            rectangles,
            n_rectangles,
            b.radius,
        ):
            verdict.reason = _CORRIDOR
            return verdict
    last = path.count - 1
    growth = path.slices[last, 4]
    for k in range(path.count):
        growth = wp.max(growth, path.slices[k, 4])
    horizon = path.slices[last, 5]
    slow = path.fastest <= CREEP
    for i in range(-1, point_count[row]):
        j = i
        if i < 0:
            j = first
        if j >= 0:
            point = points[row, j]
            px = point[0]
            py = point[1]
            bound = b.radius + point[2]
            speed = point[3]
            quick = (
                point_segment(px, py, 0.0, 0.0, path.end_x, path.end_y)
                - path.bulge
                - (bound + growth + speed * horizon)
            )
            if quick > 0.0:
                verdict.margin = wp.min(verdict.margin, quick)
            else:
                now = wp.sqrt(px * px + py * py)
                # a standing thing already inside the bound, but outside the robot's circle: away from it, slowly. The
                # bound is that of the plan's end: between it and the bound at rest nothing at all would be verified
                escaping = slow and speed == 0.0 and now <= bound + growth + ROUNDING and now > b.radius
                for k in range(path.count):
                    distance = point_segment(
                        px, py, path.slices[k, 0], path.slices[k, 1], path.slices[k, 2], path.slices[k, 3]
                    )
                    clearance = distance - (bound + path.slices[k, 4] + speed * path.slices[k, 5])
                    if speed > 0.0 and path.slices[k, 6] < refuge:
                        clearance = wp.max(clearance, refuge - path.slices[k, 6])
                    if not (clearance > 0.0):
                        if escaping and distance >= now - ROUNDING:
                            clearance = 0.0
                        else:
                            verdict.reason = _OBSTACLE
                            if speed > 0.0:
                                verdict.reason = _PERSON
                            verdict.culprit = j
                            return verdict
                    verdict.margin = wp.min(verdict.margin, clearance)
    for j in range(phantom_count[row]):
        ax = phantoms[row, j, 0]
        ay = phantoms[row, j, 1]
        bx = phantoms[row, j, 2]
        by = phantoms[row, j, 3]
        bound = b.radius + b.range_noise + phantoms[row, j, 4]
        for k in range(path.count):
            distance = segment_segment(
                path.slices[k, 0], path.slices[k, 1], path.slices[k, 2], path.slices[k, 3], ax, ay, bx, by
            )
            clearance = distance - (bound + path.slices[k, 4] + phantoms[row, j, 5] * path.slices[k, 5])
            if path.slices[k, 6] < refuge:
                clearance = wp.max(clearance, refuge - path.slices[k, 6])
            if not (clearance > 0.0):
                verdict.reason = _PHANTOM
                return verdict
            verdict.margin = wp.min(verdict.margin, clearance)
    return verdict


@wp.func
def moves(row: int, points: wp.array2d(dtype=wp.vec4), count: int, phantoms: int) -> bool:
    """Whether anything near a row may move: then the stop is cut into slices of time."""
    if phantoms > 0:
        return True
    for i in range(count):  # noqa: SIM110 (Warp knows no generators)
        if points[row, i][3] > 0.0:
            return True
    return False


@wp.kernel
def judge_proposals(
    command: wp.array2d(dtype=wp.float32),
    last_command: wp.array2d(dtype=wp.float32),
    scan: wp.array2d(dtype=wp.float32),
    point_speed: wp.array2d(dtype=wp.float32),
    scan_age: wp.array(dtype=wp.float32),
    pose: wp.array2d(dtype=wp.float32),
    twist: wp.array2d(dtype=wp.float32),
    corridor_points: wp.array3d(dtype=wp.float32),
    corridor_half_width: wp.array2d(dtype=wp.float32),
    corridor_count: wp.array(dtype=wp.int32),
    phantoms: wp.array3d(dtype=wp.float32),
    person_free: wp.array(dtype=wp.float32),
    ray_cos: wp.array(dtype=wp.float32),
    ray_sin: wp.array(dtype=wp.float32),
    b: Bounds,
    plan: wp.array2d(dtype=wp.float32),
    elapsed: wp.array(dtype=wp.float32),
    played: wp.array(dtype=wp.int32),
    points: wp.array2d(dtype=wp.vec4),
    point_count: wp.array(dtype=wp.int32),
    kept: wp.array3d(dtype=wp.float32),
    kept_count: wp.array(dtype=wp.int32),
    rectangles: wp.array3d(dtype=wp.float32),
    rectangle_count: wp.array(dtype=wp.int32),
    start: wp.array2d(dtype=wp.float32),
    status: wp.array(dtype=wp.int32),
    culprit: wp.array(dtype=wp.int32),
    best: wp.array(dtype=wp.int32),
    out_command: wp.array2d(dtype=wp.float32),
    out_margin: wp.array(dtype=wp.float32),
    out_reason: wp.array(dtype=wp.int8),
) -> None:
    """Gather what each row sees and judge its proposal; refused ones are left to the lattice."""
    row = wp.tid()
    v0 = twist[row, 0]
    w0 = twist[row, 1]
    last_v = last_command[row, 0]
    last_w = last_command[row, 1]
    age = scan_age[row]
    best[row] = 2147483647
    culprit[row] = -1
    point_count[row] = 0
    kept_count[row] = 0
    rectangle_count[row] = 0
    status[row] = 2
    reason = wp.int32(0)
    if not (
        finite(v0)
        and finite(w0)
        and finite(last_v)
        and finite(last_w)
        and finite(pose[row, 0])
        and finite(pose[row, 1])
        and finite(pose[row, 2])
        and finite(age)
        and age >= 0.0
        and wp.max(wp.abs(v0), wp.abs(last_v)) <= ABSURD * b.speed_max
        and wp.max(wp.abs(w0), wp.abs(last_w)) <= ABSURD * b.turn_max
    ):
        reason = _NOT_FINITE
    elif age > b.age_bound + 1.0e-6:
        reason = _STALE_SCAN
    if reason == 0:
        if last_v == 0.0 and last_w == 0.0 and wp.abs(v0) <= REST and wp.abs(w0) <= REST:
            v0 = 0.0
            w0 = 0.0
        n = gather_corridor(
            row,
            pose[row, 0],
            pose[row, 1],
            pose[row, 2],
            corridor_points,
            corridor_half_width,
            wp.clamp(corridor_count[row], 0, corridor_points.shape[1]),
            rectangles,
        )
        if n < 0:
            reason = _NOT_FINITE
            n = 0
        rectangle_count[row] = n
        start[row, 0] = v0
        start[row, 1] = w0
        depth = outside(0.0, 0.0, row, rectangles, n, b.radius)
        if depth + b.radius + b.localisation + b.e0 > OUTSIDE_MAX:
            depth = -1.0e3  # too far out: every chord is judged by the full margin and refused
        start[row, 2] = -depth
        start[row, 3] = age
        start[row, 5] = 0.0
        if n > 0:
            start[row, 5] = way_bearing(
                row,
                pose[row, 0],
                pose[row, 1],
                pose[row, 2],
                corridor_points,
                corridor_half_width,
                wp.clamp(corridor_count[row], 0, corridor_points.shape[1]),
                b.radius,
            )
        start[row, 4] = 0.0
        if finite(person_free[row]):
            start[row, 4] = person_free[row]
        # the longest stop of this cycle: as fast as the drive can be when the candidate ends
        before = age + b.latency + b.period
        fastest = wp.max(wp.abs(v0), wp.max(wp.abs(last_v), 0.0))
        fastest = wp.max(wp.abs(v0), wp.min(wp.abs(v0) + b.accel * before, wp.max(fastest, b.speed_max)))
        fastest_turn = wp.max(wp.abs(w0), wp.max(wp.abs(last_w), b.turn_max))
        stop = stop_time(fastest, fastest_turn, b)
        horizon = before + stop
        way = fastest * (before + 0.5 * stop)
        reach = b.radius + b.e0 + b.e1 * horizon + 1.1 * way + CLEAR + ROUNDING
        if reason == 0:
            n = gather_points(row, reach, horizon, scan, point_speed, ray_cos, ray_sin, b, points)
            if n < 0:
                reason = _NOT_FINITE
                n = 0
            point_count[row] = n
            m = gather_phantoms(row, reach + b.range_noise, horizon, phantoms, kept)
            if m < 0:
                reason = _NOT_FINITE
                m = 0
            kept_count[row] = m
    if reason == 0:
        ask_v = command[row, 0]
        ask_w = command[row, 1]
        if not (finite(ask_v) and finite(ask_w)):
            reason = _NOT_FINITE
            status[row] = 2
        else:
            v = wp.clamp(ask_v, -b.reverse_max, b.speed_max)
            w = wp.clamp(ask_w, -b.turn_max, b.turn_max)
            moving = moves(row, points, point_count[row], kept_count[row])
            verdict = judge(
                row,
                v,
                w,
                last_v,
                last_w,
                start,
                points,
                point_count,
                kept,
                kept_count,
                rectangles,
                rectangle_count,
                moving,
                -1,
                b,
            )
            reason = verdict.reason
            status[row] = 0
            culprit[row] = verdict.culprit
            if reason == 0:
                status[row] = 1
                if v != ask_v or w != ask_w:
                    reason = _LIMITS
                out_command[row, 0] = v
                out_command[row, 1] = w
                out_margin[row] = verdict.margin
                plan[row, 0] = verdict.v
                plan[row, 1] = verdict.w
                plan[row, 2] = verdict.stop
                elapsed[row] = 0.0
                played[row] = 0
    out_reason[row] = wp.int8(reason)


@wp.func
def alternate(i: int) -> int:
    """0, -1, 1, -2, 2, ... : neighbours of a lattice index, near ones first."""
    half = (i + 1) // 2
    if i % 2 == 1:
        return -half
    return half


@wp.func
def node(low: float, high: float, wish: float, n: int, i: int) -> wp.vec2:
    """The i-th nearest of n values in [low, high], and its distance to the wish over the interval's length.

    The node nearest to the wish is the wish itself, the one nearest to zero is zero.
    """
    span = wp.max(high - low, 1.0e-6)
    target = wp.clamp(wish, low, high)
    step = span / float(n - 1)
    centre = wp.clamp(int(wp.round((target - low) / step)), 0, n - 1)
    k = (centre + alternate(i) + n) % n
    value = low + step * float(k)
    if k == centre:
        value = target
    elif low < 0.0 and high > 0.0 and k == int(wp.round(-low / step)):
        value = 0.0
    return wp.vec2(value, (value - target) / span)


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


@wp.func
def candidate(
    row: int,
    c: int,
    command: wp.array2d(dtype=wp.float32),
    start: wp.array2d(dtype=wp.float32),
    b: Bounds,
) -> wp.vec3:
    """Command c of a row's lattice: v, w, and its cost, the weighted square distance to the proposal.

    The lattice spans what the drive can reach within one period (a further command means the same for that long).
    """
    if c == SPEEDS * TURNS:
        return wp.vec3(0.0, 0.0, 14.0)
    v0 = start[row, 0]
    w0 = start[row, 1]
    fall = b.brake * b.period
    if v0 < 0.0:
        fall = b.accel * b.period
    rise = b.accel * b.period
    if v0 < 0.0:
        rise = b.brake * b.period
    v = node(
        wp.max(v0 - fall, -b.reverse_max),
        wp.min(v0 + rise, b.speed_max),
        wp.clamp(command[row, 0], -b.reverse_max, b.speed_max),
        SPEEDS,
        c // TURNS,
    )
    turn = b.turn_accel * b.period
    wish = wp.clamp(command[row, 1], -b.turn_max, b.turn_max)
    if command[row, 0] > CREEP and wp.abs(v[0]) <= REST and wp.abs(start[row, 5]) > ALIGNED:
        # it wants to get on and may only turn on the spot: along the way, or a deterministic policy asks for ever
        wish = wp.clamp(ALIGN_RATE * start[row, 5], -b.turn_max, b.turn_max)
    w = node(
        wp.max(w0 - turn, -b.turn_max),
        wp.min(w0 + turn, b.turn_max),
        wish,
        TURNS,
        c % TURNS,
    )
    # one step of turn weighs as two of speed: slowing down keeps the way that the policy chose
    return wp.vec3(v[0], w[0], v[1] * v[1] + 8.0 * w[1] * w[1])


@wp.func
def rank(cost: float, c: int) -> int:
    """Cost and index in one integer: atomic_min over it finds the nearest, the lowest index among equals."""
    return int(wp.min(cost, 15.0) * 1048576.0) * 64 + c


@wp.kernel
def judge_lattice(
    command: wp.array2d(dtype=wp.float32),
    last_command: wp.array2d(dtype=wp.float32),
    b: Bounds,
    points: wp.array2d(dtype=wp.vec4),
    point_count: wp.array(dtype=wp.int32),
    kept: wp.array3d(dtype=wp.float32),
    kept_count: wp.array(dtype=wp.int32),
    rectangles: wp.array3d(dtype=wp.float32),
    rectangle_count: wp.array(dtype=wp.int32),
    start: wp.array2d(dtype=wp.float32),
    status: wp.array(dtype=wp.int32),
    culprit: wp.array(dtype=wp.int32),
    best: wp.array(dtype=wp.int32),
    margins: wp.array2d(dtype=wp.float32),
) -> None:
    """Judge the candidates of the rows whose proposal was refused; `best` becomes the nearest verified one."""
    row, c = wp.tid()
    if status[row] != 0:
        return
    u = candidate(row, c, command, start, b)
    key = rank(u[2], c)
    if key >= best[row]:  # cannot win: saves work, never changes the result
        return
    moving = moves(row, points, point_count[row], kept_count[row])
    verdict = judge(
        row,
        u[0],
        u[1],
        last_command[row, 0],
        last_command[row, 1],
        start,
        points,
        point_count,
        kept,
        kept_count,
        rectangles,
        rectangle_count,
        moving,
        culprit[row],
        b,
    )
    if verdict.reason == 0:
        margins[row, c] = verdict.margin
        wp.atomic_min(best, row, key)
    elif verdict.culprit >= 0:
        culprit[row] = verdict.culprit  # a hint for the next candidate: no verdict depends on it


@wp.kernel
def release(
    command: wp.array2d(dtype=wp.float32),
    last_command: wp.array2d(dtype=wp.float32),
    b: Bounds,
    start: wp.array2d(dtype=wp.float32),
    status: wp.array(dtype=wp.int32),
    best: wp.array(dtype=wp.int32),
    margins: wp.array2d(dtype=wp.float32),
    plan: wp.array2d(dtype=wp.float32),
    elapsed: wp.array(dtype=wp.float32),
    played: wp.array(dtype=wp.int32),
    out_command: wp.array2d(dtype=wp.float32),
    out_margin: wp.array(dtype=wp.float32),
) -> None:
    """Give refused rows the nearest verified candidate, or the next tick of their stored plan."""
    row = wp.tid()
    if status[row] == 1:
        return
    if status[row] == 0 and best[row] < 2147483647:
        c = best[row] % 64
        u = candidate(row, c, command, start, b)
        path = predict(
            start[row, 0],
            start[row, 1],
            last_command[row, 0],
            last_command[row, 1],
            u[0],
            u[1],
            start[row, 3],
            False,
            b,
        )
        out_command[row, 0] = u[0]
        out_command[row, 1] = u[1]
        out_margin[row] = margins[row, c]
        plan[row, 0] = path.v
        plan[row, 1] = path.w
        plan[row, 2] = path.stop
        elapsed[row] = 0.0
        played[row] = 0
        return
    time = elapsed[row] + b.period
    left = wp.float32(0.0)
    if plan[row, 2] > 0.0:
        left = wp.max(1.0 - time / plan[row, 2], 0.0)
    out_command[row, 0] = plan[row, 0] * left
    out_command[row, 1] = plan[row, 1] * left
    out_margin[row] = -1.0
    elapsed[row] = time
    played[row] = played[row] + 1


@wp.kernel
def forget(
    mask: wp.array(dtype=wp.uint8),
    plan: wp.array2d(dtype=wp.float32),
    elapsed: wp.array(dtype=wp.float32),
    played: wp.array(dtype=wp.int32),
) -> None:
    """Rows whose mask is set are at rest, with no plan but to stay so."""
    row = wp.tid()
    if mask[row] != wp.uint8(0):
        for k in range(3):
            plan[row, k] = 0.0
        elapsed[row] = 0.0
        played[row] = 0


@dataclass(frozen=True)
class Recording:
    """Recorded launches, and what must live as long as they do."""

    commands: tuple[wp.Launch, ...]
    keep: tuple[object, ...]


@dataclass
class Shield:
    """The filter of `sim/filter.py` for one kind of robot. Owns the recorded launches, not the memory."""

    spec: RobotSpec
    bounds: Bounds = field(init=False)
    recorded: dict[tuple[int, int, int], Recording] = field(default_factory=dict)
    """Launches by the identities of what they were recorded on."""

    def __post_init__(self) -> None:
        self.bounds = bounds(self.spec)
        drive = self.spec.drive
        longest = max(drive.speed_max / drive.brake_min, drive.turn_max / drive.turn_accel_max)
        room = PLAN_TICKS * self.spec.period / SECOND
        if longest > room:
            raise ShieldError(
                f"robot {self.spec.name} needs {longest:.2f} s to stop, a stored plan has room for {room:.2f} s; "
                f"lower its top speed or turn rate, or let it brake better"
            )

    def init(self, rows: int, device: str = "cpu") -> ShieldMemory:
        """Memory for `rows` robots at rest."""
        rays = self.spec.lidar.rays

        def zeros(shape: tuple[int, ...], dtype: type = wp.float32) -> wp.array:
            return wp.zeros(shape, dtype=dtype, device=device)

        return ShieldMemory(
            plan=zeros((rows, 3)),
            elapsed=zeros((rows,)),
            played=zeros((rows,), wp.int32),
            points=zeros((rows, rays * (1 + TAILS)), wp.vec4),
            point_count=zeros((rows,), wp.int32),
            phantoms=zeros((rows, PHANTOMS, 6)),
            phantom_count=zeros((rows,), wp.int32),
            rectangles=zeros((rows, CORRIDOR_POINTS, 6)),
            rectangle_count=zeros((rows,), wp.int32),
            start=zeros((rows, 6)),
            status=zeros((rows,), wp.int32),
            culprit=zeros((rows,), wp.int32),
            best=zeros((rows,), wp.int32),
            margins=zeros((rows, LATTICE)),
            zero_phantoms=zeros((rows, PHANTOMS, 6)),
        )

    def launch(self, inputs: FilterInputs, memory: ShieldMemory, out: FilterOutputs) -> None:
        """Judge every row; recorded at the first call on these arrays, no allocation after it."""
        key = (id(inputs), id(memory), id(out))
        recording = self.recorded.get(key)
        if recording is None:
            recording = self._record(inputs, memory, out)
            self.recorded[key] = recording
        for command in recording.commands:
            command.launch()

    def reset(self, mask: wp.array, memory: ShieldMemory) -> None:
        """Forget the rows whose mask is set (uint8, (rows,))."""
        wp.launch(
            forget,
            dim=mask.shape[0],
            inputs=[mask, memory.plan, memory.elapsed, memory.played],
            device=memory.plan.device,
        )

    def _record(self, inputs: FilterInputs, memory: ShieldMemory, out: FilterOutputs) -> Recording:
        rows, rays = inputs.scan.shape
        if rays != self.spec.lidar.rays or memory.plan.shape[0] != rows:
            raise ShieldError(
                f"scan has shape {inputs.scan.shape}; robot {self.spec.name} has {self.spec.lidar.rays} rays and "
                f"the memory {memory.plan.shape[0]} rows; make both from one RobotSpec"
            )
        device = inputs.scan.device
        angles = self.spec.lidar.angles().astype(np.float64)
        ray_cos = wp.array(np.cos(angles).astype(np.float32), device=device)
        ray_sin = wp.array(np.sin(angles).astype(np.float32), device=device)
        phantoms = memory.zero_phantoms if inputs.phantoms is None else inputs.phantoms
        nobody_free = wp.zeros(rows, dtype=wp.float32, device=device)
        m = memory
        scene = [m.points, m.point_count, m.phantoms, m.phantom_count, m.rectangles, m.rectangle_count, m.start]
        proposal = wp.launch(
            judge_proposals,
            dim=rows,
            inputs=[
                inputs.command,
                inputs.last_command,
                inputs.scan,
                inputs.point_speed,
                inputs.scan_age,
                inputs.pose,
                inputs.twist,
                inputs.corridor_points,
                inputs.corridor_half_width,
                inputs.corridor_count,
                phantoms,
                nobody_free if inputs.person_free is None else inputs.person_free,
                ray_cos,
                ray_sin,
                self.bounds,
                m.plan,
                m.elapsed,
                m.played,
                *scene,
                m.status,
                m.culprit,
                m.best,
                out.command,
                out.margin,
                out.reason,
            ],
            device=device,
            record_cmd=True,
        )
        lattice = wp.launch(
            judge_lattice,
            dim=(rows, LATTICE),
            inputs=[
                inputs.command,
                inputs.last_command,
                self.bounds,
                *scene,
                m.status,
                m.culprit,
                m.best,
                m.margins,
            ],
            device=device,
            record_cmd=True,
        )
        last = wp.launch(
            release,
            dim=rows,
            inputs=[
                inputs.command,
                inputs.last_command,
                self.bounds,
                m.start,
                m.status,
                m.best,
                m.margins,
                m.plan,
                m.elapsed,
                m.played,
                out.command,
                out.margin,
            ],
            device=device,
            record_cmd=True,
        )
        return Recording(commands=(proposal, lattice, last), keep=(inputs, memory, out, ray_cos, ray_sin, nobody_free))


def stored_plan(memory: ShieldMemory, row: int, spec: RobotSpec) -> np.ndarray:
    """The commands of a row's stored plan that are still to be played, (PLAN_TICKS, 2), for the watchdog."""
    v, w, stop = (float(x) for x in memory.plan.numpy()[row])
    return stopping_ticks(v, w, stop, float(memory.elapsed.numpy()[row]), float(bounds(spec).period))
