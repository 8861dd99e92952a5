"""The predicted path: where "go on, then the candidate for one period, then stop" leads, as chords with their error.

From the scan's instant the phases of `safety/dynamics.py` follow one another: age, latency, period, and the stop, cut
into slices of time where something may move. Every slice of the arc is judged by its chord, grown by

    growth = e0 + e1 t + (|way| + trail) |turn| / 8 + rounding

the tracking error at the slice's end, and the sagitta of its own arc and of the trail behind it (|w| way / 8 at most).
A drive that answers at once trails one that answers late by at most (fastest so far) * latency on the same way: every
chord starts that much earlier. So no slice can be tunnelled through.

The path knows neither corridor nor obstacles. `tests/benchmarks/tracking_error.py` measures the MuJoCo body against it.
"""

from __future__ import annotations

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false, reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false, reportInvalidTypeForm=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.
import warp as wp

from safety.dynamics import Bounds, chord_factor, slew, stop_time, waiting_target
from safety.occupancy import point_segment

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

SLICES = wp.constant(11)
"""Age, latency, period and up to eight slices of the stop."""

SLICE_TIME = wp.constant(0.13)
"""Longest slice of a stop, s: shorter ones change the verdict by less than V times the difference."""

ROUNDING = wp.constant(0.001)
"""m; far above float32's error at 10 m (1e-6 m) times the operations of a path."""

Slices = wp.types.matrix(shape=(11, 7), dtype=wp.float32)
"""Chord ax, ay, bx, by, its growth, its end time, its furthest distance from the start; growth included."""


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
