"""One point of a car's path: the lane there, and how wide the lanes beside it are.

What a lane's points are looked up by is read once for all points of a path on that lane (`Abreast`): seventy points of
a path are mostly on one to three lanes.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp

from sim.driving.pathframe import (
    CURVATURE_C,
    HEADING_C,
    LEFT_C,
    LEFT_LANE_C,
    LIMIT_C,
    RIGHT_C,
    RIGHT_LANE_C,
    SHOULDER_C,
    X_C,
    Y_C,
)
from sim.driving.profile import RoadProfile
from sim.driving.state import View
from sim.frenet import Lanes, Strip, strip_frame, strip_of
from sim.road import LaneKind

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

JOINT = wp.constant(0.001)
"""m before a lane's end that count as its end: far above what float32 rounds."""

SHOULDER_KIND_C = wp.constant(int(LaneKind.SHOULDER))
FASTEST = wp.constant(RoadProfile().speed)


@wp.struct
class Abreast:
    """A lane and those beside it that a path's points describe."""

    lane: int
    own: Strip
    left: Strip
    right: Strip
    shoulder: Strip
    limit: float


@wp.func
def strip_beside(lanes: Lanes, lane: int) -> Strip:
    """How to look up points of a lane, which may be -1: none."""
    strip = Strip()
    strip.first = -1
    if lane >= 0:
        strip = strip_of(lanes, lane)
    return strip


@wp.func
def kind_of(lanes: Lanes, lane: int) -> int:
    """The `LaneKind` of a lane, -1 for lane -1."""
    if lane < 0:
        return -1
    return lanes.kind[lane]


@wp.func
def abreast_of(lanes: Lanes, lane: int) -> Abreast:
    """What a path's points on a lane are made of."""
    found = Abreast()
    found.lane = lane
    found.own = strip_of(lanes, lane)
    found.left = strip_beside(lanes, lanes.enter[lane, 0])
    found.right = strip_beside(lanes, lanes.enter[lane, 1])
    beside = lanes.beside[lane, 1]
    shoulder = wp.int32(-1)
    if kind_of(lanes, beside) == SHOULDER_KIND_C:
        shoulder = beside
    found.shoulder = strip_beside(lanes, shoulder)
    found.limit = wp.min(lanes.limit[lane], FASTEST)
    return found


@wp.func
def strip_width(lanes: Lanes, strip: Strip, share: float) -> float:
    """Width of a lane at a share of its length, m; 0 where there is none ."""
    if strip.first < 0:
        return 0.0
    frame = strip_frame(lanes, strip, share * strip.length)
    return frame.left + frame.right


@wp.func
def shoulder_width(lanes: Lanes, strip: Strip, share: float) -> float:
    """Width of a shoulder at a share of its length, m; 0 where there is none, or another way leads over it."""
    width = strip_width(lanes, strip, share)
    if strip.first >= 0:
        i = strip.first + wp.min(int(share * strip.length / strip.spacing), strip.last)
        if int(lanes.closed[i]) + int(lanes.closed[i + 1]) > 0:
            return 0.0
    return width


@wp.func
def put_point(
    lanes: Lanes, errors: wp.vec3, row: int, k: int, abreast: Abreast, s: float, back: float, near: float, view: View
) -> float:
    """Point k of a row's path: `s` on a lane, then `back` m straight back. Returns the heading, next to `near`.

    `errors`: offset, heading and curvature of `LaneErrors`.
    """
    frame = strip_frame(lanes, abreast.own, s)
    turn = frame.heading - near
    heading = near + turn - 2.0 * wp.pi * wp.round(turn / (2.0 * wp.pi))
    c = wp.cos(heading)
    sn = wp.sin(heading)
    offset = errors[0]
    share = wp.clamp(s / abreast.own.length, 0.0, 1.0)
    view.path[row, k, X_C] = frame.x - sn * offset - c * back
    view.path[row, k, Y_C] = frame.y + c * offset - sn * back
    view.path[row, k, HEADING_C] = heading + errors[1]
    view.path[row, k, CURVATURE_C] = wp.where(back > JOINT, 0.0, frame.curvature) + errors[2]
    view.path[row, k, LEFT_C] = frame.left
    view.path[row, k, RIGHT_C] = frame.right
    view.path[row, k, LEFT_LANE_C] = strip_width(lanes, abreast.left, share)
    view.path[row, k, RIGHT_LANE_C] = strip_width(lanes, abreast.right, share)
    view.path[row, k, SHOULDER_C] = shoulder_width(lanes, abreast.shoulder, share)
    view.path[row, k, LIMIT_C] = abreast.limit
    view.path_lane[row, k] = abreast.lane
    view.path_s[row, k] = s
    return heading
