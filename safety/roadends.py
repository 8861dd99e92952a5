"""Where a car comes to rest: inside a lane, or between two.

Lists and places may stay away for good, and then the stored plan is all that drives a car. So a command is released
only with a plan that ends inside a lane or on its shoulder (`safety/roadjudge.py`): by induction every car has one.
"""

from __future__ import annotations

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false, reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false, reportInvalidTypeForm=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.
import warp as wp

from safety.roadbounds import RoadBounds
from safety.roadsight import (
    PLEFT,
    PRIGHT,
    PRIGHT_LANE,
    PSHOULDER,
    RoadAsk,
    path_least,
)

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

SHORT = wp.constant(0.3)
"""Share of its way across that a car may make less, which brakes a sixth harder than guaranteed: steering has so much
less time, and the way goes by time squared."""


@wp.func
def straddles(row: int, k: int, d: float, ask: RoadAsk, b: RoadBounds) -> int:
    """1 where the car's rear is on a border at point k of the path: between two lanes, or at one with no shoulder.

    Not in a lane that is no wider than the car, as where one begins or ends.
    """
    edge = path_least(ask.view, row, k, PLEFT)
    if edge + path_least(ask.view, row, k, PRIGHT) < 2.0 * (b.half_width + b.lane_error):
        return 0
    if d + b.half_width > edge and d - b.half_width < edge:
        return 1
    edge = -path_least(ask.view, row, k, PRIGHT)
    aside = path_least(ask.view, row, k, PRIGHT_LANE) <= 0.0 and path_least(ask.view, row, k, PSHOULDER) > 0.0
    if d - b.half_width < edge and d + b.half_width > edge and not aside:
        return 1
    return 0


@wp.func
def ends_astride(row: int, k: int, d: float, farthest: wp.vec2, ask: RoadAsk, b: RoadBounds) -> int:
    """1 where a plan that ends at point k and d, with least and largest d on the way, leaves the car between two lanes.

    Or may: its way back from where it was farthest is as much shorter as SHORT says.
    """
    low = straddles(row, k, d + SHORT * (farthest[0] - d), ask, b)
    high = straddles(row, k, d + SHORT * (farthest[1] - d), ask, b)
    return wp.max(straddles(row, k, d, ask, b), wp.max(low, high))
