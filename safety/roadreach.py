"""How far and how soon others can come along their way: the closed forms behind the road's growing sets.

The least and the most that a vehicle covers within its bounds, and the earliest time at which it has covered a
distance. The same in float64, for one pair of vehicles, is `safety/rss.py`.
"""

from __future__ import annotations

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false, reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false, reportInvalidTypeForm=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.
import warp as wp

wp.set_module_options({"fuse_fp": False, "enable_backward": False})


@wp.func
def slow_way(v: float, brake: float, time: float) -> float:
    """The least that a vehicle covers: braking at its hardest, m."""
    t = wp.min(time, v / brake)
    return v * t - 0.5 * brake * t * t


@wp.func
def fast_way(v: float, accel: float, cap: float, time: float) -> float:
    """The most that it covers: accelerating up to `cap`, m."""
    if accel <= 0.0:
        return v * time
    t = wp.min(time, wp.max(cap - v, 0.0) / accel)
    return v * time + accel * t * (time - 0.5 * t)


@wp.func
def entered_way(v: float, accel: float, cap: float, until: float, brake: float, time: float) -> float:
    """The most that one covers that accelerates `until` it must react, then brakes at least `brake`, m."""
    if time <= until:
        return fast_way(v, accel, cap, time)
    reached = wp.min(v + accel * until, wp.max(cap, v))
    return fast_way(v, accel, cap, until) + slow_way(reached, brake, time - until)


@wp.func
def reach_time(distance: float, v: float, accel: float, cap: float) -> float:
    """The earliest time at which a vehicle has covered a distance, s."""
    if distance <= 0.0:
        return 0.0
    until = wp.max(cap - v, 0.0) / wp.max(accel, 1.0e-3)
    rise = v * until + 0.5 * accel * until * until
    if distance >= rise:
        return until + (distance - rise) / wp.max(cap, 1.0e-3)
    return (wp.sqrt(v * v + 2.0 * accel * distance) - v) / accel
