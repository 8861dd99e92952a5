"""Where a walker is on its way over a crossing, and whom drivers stop for, as functions of kernels.

A walker's way is `before` metres along the walkway (or straight on, where the map has none) to the crossing, over it,
and as far away from it on the other side.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp

from sim.driving.following import Rules
from sim.driving.maparrays import CrossingArrays
from sim.driving.movers import MoverArrays
from sim.driving.state import ActorArrays

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

LEG = 12.0
"""Way of a walker before a crossing and behind it, m: drivers see it coming for 7 s at least."""

NOTICE = 4.0
"""Drivers stop for people who will step on the road within so many seconds; from 50 km/h one stops within 3.5 s at
4 m/s^2."""

STRIP = 2.4
"""Half the width of the strip of a crossing that a vehicle keeps free, m: half a lane of 3.25 m and 0.75 m."""

LEG_C = wp.constant(LEG)
NOTICE_C = wp.constant(NOTICE)
STRIP_C = wp.constant(STRIP)


@wp.func
def about_to_cross(
    rules: Rules, crossings: CrossingArrays, actors: ActorArrays, movers: MoverArrays, world: int, row: int
) -> bool:
    """Whether people are on a lane's stretch of a crossing (a row of meetings), come towards it or wait to do so."""
    crossing = crossings.crossing[row]
    first = rules.robots + rules.vehicles
    for j in range(first, first + rules.walkers):
        if movers.crossing[world, j] == crossing and actors.kind[world, j] >= 0:
            along = movers.along[world, j] - LEG_C
            length = crossing_length(crossings, crossing)
            there = crossings.along[row]
            if movers.walk[world, j] < 0:  # from its second end
                there = length - there
            if along < there + STRIP_C and along > -NOTICE_C * movers.pace[world, j]:
                return True
    return False


@wp.func
def crossing_length(crossings: CrossingArrays, crossing: int) -> float:
    """From end to end, m."""
    dx = crossings.ends[crossing, 2] - crossings.ends[crossing, 0]
    dy = crossings.ends[crossing, 3] - crossings.ends[crossing, 1]
    return wp.sqrt(dx * dx + dy * dy)
