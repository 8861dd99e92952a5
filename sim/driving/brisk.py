"""What a brisk driver would drive: limits, bends and the road's end ahead, who drives ahead, and who comes across.

Made of a view once an observation; policies observe it, rewards compare speeds with it (sim/driving/skillkernels.py).
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp

from sim.driving.contract import SIDE
from sim.driving.pathframe import BEHIND_C, CURVATURE_C, LIMIT_C, POINTS_C, STEP_C, Around, path_end
from sim.driving.state import OBJECTS, View

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

OBJECTS_C, SIDE_C = wp.constant(OBJECTS), wp.constant(SIDE)

ASIDE = wp.constant(0.2)
"""Room beside the car within which something is in its way, m."""

COMES, FORESEEN, SPARE = wp.constant(0.5), wp.constant(5.0), wp.constant(1.0)
"""m/s across from which somebody comes to the path; how far ahead that is looked at, and what is kept free, s."""

EARLY = wp.constant(1.5)
"""Deceleration towards bends and lower limits, m/s^2: as traffic's (sim/driving/movers.py)."""

UNLIMITED = wp.constant(130.0 / 3.6)
"""m/s; what a driver drives where nothing limits him (the advisory speed of German motorways)."""

HURRY = wp.constant(1.3)
"""How much faster than the model is content with one drives who is late: at 1.2 s behind as others at 0.9 s."""

LATE = wp.constant(3.0)
"""m/s^2; braking towards the end of a road: what is comfortable (Ackermann.brake_comfort), for maps end where roads do
not."""

STANDSTILL, HEADWAY, PICK_UP = wp.constant(2.0), wp.constant(1.2), wp.constant(1.5)
"""m, s, m/s^2: s0, T and a of the intelligent driver model (sim/driving/following.py), with EARLY for its b."""


@wp.struct
class Limits:
    """The car's own numbers, and the task's."""

    skill: int
    dt: float
    steps: int
    accel: float
    brake: float
    lateral: float
    bend: float
    """Largest curvature, 1/m"""
    half_width: float
    front: float
    """base_link to the front bumper, m"""
    rear: float
    shoulder: float
    """Least width of a shoulder that a car stops on, m"""
    open_ended: int
    """1: a route is driven until time is up, whatever of it is left"""


@wp.func
def lead_speed(row: int, view: View, around: Around, v: float, limits: Limits) -> wp.vec2:
    """Gap to the nearest thing in the way ahead, m (1e6: none), and its speed along the path, m/s.

    In the way is also who comes across it and would be there when we are, a second more or less.
    """
    gap = wp.float32(1.0e6)
    speed = wp.float32(0.0)
    for j in range(OBJECTS_C):
        if view.object_kind[row, j] >= 0:
            s = around.objects[row, j, 0]
            d = around.objects[row, j, 1]
            across = around.objects[row, j, 3]
            half = around.objects[row, j, 4]
            ahead = s - limits.front - half
            beside = wp.abs(d) - (around.objects[row, j, 5] + limits.half_width + ASIDE)
            in_way = s > 0.0 and beside < 0.0
            if s > 0.0 and beside >= 0.0 and across * d < 0.0 and wp.abs(across) > COMES:
                enters = beside / wp.abs(across)
                leaves = (2.0 * wp.abs(d) - beside) / wp.abs(across)
                fast = wp.max(v, 2.0)
                arrives = wp.max(ahead, 0.0) / fast
                passed = (ahead + 2.0 * half + limits.front + limits.rear) / fast
                in_way = enters < FORESEEN and arrives < leaves + SPARE and passed > enters - SPARE
            if in_way and ahead < gap:
                gap = wp.max(ahead, 0.0)
                speed = wp.max(around.objects[row, j, 2], 0.0)
    return wp.vec2(gap, speed)


@wp.func
def behind_speed(lead: wp.vec2) -> float:
    """The speed at which the intelligent driver model is content with a gap to what drives ahead, m/s.

    gap = STANDSTILL + v HEADWAY + v (v - lead) / (2 sqrt(ACCEL EARLY)), solved for v.
    """
    c = 2.0 * wp.sqrt(PICK_UP * EARLY)
    half = 0.5 * (c * HEADWAY - lead[1])
    return wp.max(wp.sqrt(half * half + c * wp.max(lead[0] - STANDSTILL, 0.0)) - half, 0.0)


@wp.func
def free_speed(row: int, view: View, limits: Limits) -> float:
    """What a brisk driver would drive here alone: limit, bends ahead at comfort, the end of what can be driven."""
    speed = wp.min(view.path[row, BEHIND_C, LIMIT_C], UNLIMITED)
    for k in range(BEHIND_C, POINTS_C):
        s = float(k - BEHIND_C) * STEP_C
        bend = wp.sqrt(SIDE_C / wp.max(wp.abs(view.path[row, k, CURVATURE_C]), 1.0e-4))
        cap = wp.min(view.path[row, k, LIMIT_C], bend)
        speed = wp.min(speed, wp.sqrt(cap * cap + 2.0 * EARLY * s))
    end = path_end(view, row)
    if end < POINTS_C - 1:
        room = wp.max(float(end - BEHIND_C) * STEP_C - limits.front - STANDSTILL, 0.0)
        speed = wp.min(speed, wp.sqrt(2.0 * LATE * room))
    return speed


@wp.func
def brisk_speed(free: float, lead: wp.vec2, pace: float, least: float, most: float) -> float:
    """What a driver of a pace would drive behind what is ahead; who is late HURRY times as fast, where it is free."""
    brisk = wp.float32(free)
    if lead[0] < 1.0e5:
        brisk = wp.min(brisk, behind_speed(lead))
    brisk = brisk * pace
    return wp.min(wp.max(brisk, wp.min(wp.min(least, HURRY * brisk), free)), most)
