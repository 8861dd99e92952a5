"""What a car does when nothing verifies: its stored plan, unless somebody broke what that plan was verified against.

A stored plan holds while others keep to the profile and their lanes. Whoever cuts in without room has broken that, and
then no plan is safe by the bounds: the least harm is looked for by what is measured now (rule 5 of RSS). Others go on
as they do, somebody who comes into our lane until its middle; the drive's pending commands are known; and of

    stored plan      while it keeps NEAR clear (HELD while it holds its pace: it ends inside a lane, where braking hard
                     may end between two), and nobody is leaving a lane towards us
    braking hard     in the lane
    going on         only against somebody who is leaving a lane, where braking comes NEAR him: who is beside may be
                     passed before he arrives

the one that keeps most clear is taken. We swing as far to a side as we now move there. Of 522 R157 cut-ins that leaves
39 with a contact; braking hard at once leaves 53, because it lets slow intruders hit a flank that would have been gone
(tests/benchmarks/cutins.py, 2026-11).
"""

from __future__ import annotations

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false, reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false, reportInvalidTypeForm=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.
import warp as wp

from safety.roadbounds import RoadBounds
from safety.roadplan import go
from safety.roadsight import (
    ABSENT,
    ALONG,
    FASTEST,
    GOES_LEFT,
    GOES_RIGHT,
    HIGH_D,
    HIGH_S,
    HISTORY_C,
    LOOSE,
    LOW_D,
    LOW_S,
    OBJECTS_C,
    OLATERAL,
    REAR,
    SA,
    SD,
    SLOWEST,
    SV,
    SYAW,
    WALKER,
    RoadAsk,
    RoadSight,
)
from safety.roadsteering import SIDEWAYS

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

NEAR = wp.constant(1.0)
"""m; a stored plan that by what is measured comes nearer than this is no longer trusted."""

HELD = wp.constant(0.15)
"""m; no plan that holds its pace first was verified to come nearer: its tracking error after two seconds is as much."""

AHEAD = wp.constant(10.0)
"""m; who is further ahead than that from where a comfortable stop ends is in nobody's way, whatever lane it leaves."""

FORESEEN = 100
"""Steps of TICK that are looked ahead: the longest stop, 10 s."""

TICK = wp.constant(0.1)
"""s"""

FOREVER = wp.constant(1.0e9)
"""s"""

FORESEEN_C = wp.constant(FORESEEN)


@wp.func
def clearance(
    row: int, accel: float, until: float, after: float, ask: RoadAsk, sight: RoadSight, b: RoadBounds
) -> float:
    """The least distance to anybody, along or across the lane, if all others go on and we do `accel`, m.

    For `until` s, and `after` from then on.
    """
    v = sight.start[row, SV]
    a = sight.start[row, SA]
    # from where we are to where steering ends our way to the side
    aside_now = v * wp.sin(sight.start[row, SYAW])
    swing = 0.5 * aside_now * wp.abs(aside_now) / SIDEWAYS
    least = sight.start[row, SD] + wp.min(swing, 0.0) - b.half_width
    most = sight.start[row, SD] + wp.max(swing, 0.0) + b.half_width
    s = wp.float32(0.0)
    best = wp.float32(1.0e3)
    for i in range(FORESEEN_C):
        t = float(i) * TICK
        wish = accel
        if t >= until:
            wish = after
        if t < b.latency - 1.0e-4:
            pending = int(wp.round((b.latency - t) / b.period)) - 1
            wish = sight.history[row, wp.clamp(pending, 0, HISTORY_C - 1), 0]
        moved = go(v, a, wish, TICK, b)
        v = moved[0]
        a = moved[1]
        s = s + moved[2]
        t = t + TICK
        for j in range(OBJECTS_C):
            mode = sight.object_mode[row, j]
            if mode != ABSENT and mode != REAR and mode != WALKER:
                c = sight.objects[row, j, ALONG]
                way = 0.5 * c * (sight.objects[row, j, SLOWEST] + sight.objects[row, j, FASTEST]) * t
                low = sight.objects[row, j, LOW_D]
                high = sight.objects[row, j, HIGH_D]
                middle = 0.5 * (low + high)
                aside = wp.float32(0.0)
                if mode == LOOSE:
                    aside = wp.sign(c) * ask.view.objects[row, j, OLATERAL] * t
                    if middle * (middle + aside) < 0.0 and middle * aside < 0.0:
                        aside = -middle  # into our lane, until its middle
                beside = wp.max(low + aside - most, least - high - aside)
                ahead = sight.objects[row, j, LOW_S] + way - s - b.front
                behind = s - b.rear - sight.objects[row, j, HIGH_S] - way
                best = wp.min(best, wp.max(beside, wp.max(ahead, behind)))
        if v <= 0.0 and wish <= 0.0 and t > b.latency:
            return best
    return best


@wp.func
def mitigate(
    row: int, planned: float, hold: float, after: float, ask: RoadAsk, sight: RoadSight, b: RoadBounds
) -> float:
    """The acceleration to be released where nothing verifies.

    `planned` is the stored plan's for the next `hold` s, and `after` is its own from then on.
    """
    leaves = wp.int32(0)
    v = sight.start[row, SV]
    far = b.front + v * (b.latency + b.period + hold) + 0.5 * v * v / b.comfort + AHEAD
    for j in range(OBJECTS_C):
        aside = sight.objects[row, j, GOES_LEFT] + sight.objects[row, j, GOES_RIGHT]
        if sight.object_mode[row, j] == LOOSE and aside > 0.0 and sight.objects[row, j, LOW_S] < far:
            leaves = 1
    # going on against who leaves a lane, else the stored plan, beside braking hard
    other = planned
    until = hold
    if leaves == 1:
        other = 0.0
        until = FOREVER
    clear = wp.vec2()
    many = wp.int32(2)  # a variable, so that Warp does not write the look ahead out twice
    for n in range(many):
        accel = -b.brake
        if n == 1:
            accel = other
        clear[n] = clearance(row, accel, wp.where(n == 1, until, FOREVER), after, ask, sight, b)
    # where both end in a contact the slower one does less harm, however little of it the other one overlaps
    if leaves == 1:
        if clear[1] > wp.max(clear[0], 0.0) and clear[0] < NEAR:
            return other
    elif clear[1] > clear[0] or clear[1] >= NEAR or (hold > 0.0 and clear[1] >= wp.min(clear[0], HELD)):
        return other
    return -b.brake
