"""Who may be there unseen: behind us in a lane beside, and in our lane, before the vehicle that we follow.

A list of objects names who is in sight. Behind them others may drive, and who changes lanes has to leave room for those
too. A vehicle in the lane beside can be hidden where the line of sight to its middle passes a listed box. Anywhere
there it may drive as fast as the profile lets it, and we do not enter its lane with less in front of it than the RSS
distance of a cut-in that everybody must master (R157 5.2.5.2: it reacts within `cut_in_reaction`, then brakes with
`cut_in_brake`; we brake as hard as we are guaranteed to). Three things open the lane:

    somebody listed     in it, nearer than the hidden one, who keeps his distance himself
    our speed           at which that distance is there
    we are in it        by more than INTRUSION: whoever comes sees us

Who follows a vehicle does not see what stands before it. It may brake no harder than the profile says, but it may also
move aside at the last moment (R157's cut-outs) and leave us the one that stands. When we see that one EVADES are left
until it would have been hit, and that is where a plan has to end: a longer distance than RSS's from some 60 km/h on,
2.6 s at 130 km/h. Who is nearer, as after a cut-in, need not do more than ease off, by EASES (`safety/roadjudge.py`).

Boxes are those of `safety/roadsight.py`; behind the car the path goes on straight.
"""

from __future__ import annotations

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false, reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false, reportInvalidTypeForm=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.
import warp as wp

from safety.roadbounds import RoadBounds
from safety.roadsight import (
    ABSENT,
    ALONG,
    BEHIND_C,
    HIGH_D,
    HIGH_S,
    INTRUSION,
    LOW_D,
    LOW_S,
    OBJECTS_C,
    PARALLEL,
    PLEFT,
    PLEFT_LANE,
    PLIMIT,
    PRIGHT,
    PRIGHT_LANE,
    SD,
    SHIDDEN,
    SHIGH,
    SHUT_LEFT,
    SHUT_RIGHT,
    SLOW,
    SLOWEST,
    SV,
    SYAW,
    WALKER,
    WALKER_KIND,
    RoadAsk,
    RoadSight,
    path_least,
)

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

HALF = wp.constant(2.5)
"""From a hidden vehicle's middle to its nose, m: a car's; longer ones are wider too."""

EVADES = wp.constant(0.8)
"""From what stands, as the vehicle ahead drives, when it comes to be seen past that one, s: it moves over 1.5 s before
it, or earlier if more slowly than 2 m/s (sim/driving/families.py); half a metre of that uncovers a corner and takes at
most 0.6 s, and lists are 0.1 s old."""

NOWHERE = wp.constant(1.0e9)
"""m; how far behind somebody is hidden where nobody can be."""


@wp.func
def hidden_behind(row: int, side: float, middle: float, ask: RoadAsk, b: RoadBounds, sight: RoadSight) -> float:
    """How far behind the middle of our box the middle of somebody hidden can be at the nearest, m.

    In a lane beside, its middle `middle` m from ours; `side` 1 for the left. NOWHERE if somebody listed is nearer.
    """
    at = 0.5 * (b.front - b.rear)
    d = sight.start[row, SD] + at * wp.sin(sight.start[row, SYAW])
    off = middle - side * d  # to the side, m
    if off <= 0.0:
        return NOWHERE
    nearest = wp.float32(NOWHERE)
    listed = wp.float32(NOWHERE)
    for j in range(OBJECTS_C):
        kind = ask.view.object_kind[row, j]
        if kind >= 0 and kind != WALKER_KIND:
            near = at - sight.objects[row, j, HIGH_S]
            far = at - sight.objects[row, j, LOW_S]
            inner = side * (sight.objects[row, j, LOW_D] - d)
            outer = side * (sight.objects[row, j, HIGH_D] - d)
            if side < 0.0:
                most = inner
                inner = outer
                outer = most
            if far > 0.0 and inner < off and outer > off:
                listed = wp.min(listed, far)
            elif near > 0.0 and outer > 0.0:
                # where the line to it leaves the near corner's shadow; further away than its box in any case
                first = wp.max(off * near / outer, near)
                if inner <= 0.0 or first < off * far / inner:
                    nearest = wp.min(nearest, first)
    if listed < nearest:
        return NOWHERE
    return nearest


@wp.func
def shuts(row: int, side: float, border: float, width: float, ask: RoadAsk, b: RoadBounds, sight: RoadSight) -> float:
    """1 if the lane beyond a border must not be entered because of who may be hidden there, else 0."""
    over = sight.start[row, SHIGH] - border
    if side < 0.0:
        over = -sight.start[row, SLOW] - border
    if width <= 0.0 or over > INTRUSION:
        return 0.0
    away = hidden_behind(row, side, border + 0.5 * width, ask, b, sight)
    gap = away - HALF - 0.5 * (b.front + b.rear)
    v = sight.start[row, SV]
    other = wp.min(b.over_limit * path_least(ask.view, row, BEHIND_C, PLIMIT), b.other_speed)
    needed = other * b.cut_in_reaction + 0.5 * other * other / b.cut_in_brake - 0.5 * v * v / b.brake
    if gap < needed:
        return 1.0
    return 0.0


@wp.func
def hidden_ahead(row: int, b: RoadBounds, sight: RoadSight) -> float:
    """From which s on something may stand in our lane before the vehicle that we follow; NOWHERE without one."""
    first = wp.float32(NOWHERE)
    for j in range(OBJECTS_C):
        mode = sight.object_mode[row, j]
        drives = mode != ABSENT and mode != WALKER and sight.objects[row, j, ALONG] >= PARALLEL
        inside = sight.objects[row, j, LOW_D] < 0.0 and sight.objects[row, j, HIGH_D] > 0.0
        if drives and inside and sight.objects[row, j, LOW_S] > b.front:
            first = wp.min(first, sight.objects[row, j, HIGH_S] + EVADES * sight.objects[row, j, SLOWEST])
    return first


@wp.func
def look_hidden(row: int, ask: RoadAsk, b: RoadBounds, sight: RoadSight) -> None:
    """Shut the lanes beside that somebody unseen may come along, and say where our own may not be free."""
    left = path_least(ask.view, row, BEHIND_C, PLEFT)
    right = path_least(ask.view, row, BEHIND_C, PRIGHT)
    wide_left = path_least(ask.view, row, BEHIND_C, PLEFT_LANE)
    wide_right = path_least(ask.view, row, BEHIND_C, PRIGHT_LANE)
    sight.start[row, SHUT_LEFT] = shuts(row, 1.0, left, wide_left, ask, b, sight)
    sight.start[row, SHUT_RIGHT] = shuts(row, -1.0, right, wide_right, ask, b, sight)
    sight.start[row, SHIDDEN] = hidden_ahead(row, b, sight)
