"""What a car on the road keeps from cycle to cycle: the verified plan, the path it was verified on, what is believed.

A plan outlives the view that it was verified by: it is steered back to the points of its own path from wherever the
car is believed to be. Believed is what is measured, and where that is no number, what the last commands make of it.
`safety/roadshield.py` plays the plan.
"""

from __future__ import annotations

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false, reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false, reportInvalidTypeForm=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.
import warp as wp

from safety.roadbounds import RoadBounds
from safety.roadplan import go
from safety.roadsight import HISTORY_C, PHEADING, POINTS_C, PX, PY, STEP_C, RoadAsk, RoadSight

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

JUMP = wp.constant(0.3)
"""m; an offset in the lane that changes by so much more than the car goes in a period is the camera's failure, ..."""

NEXT_LANE = wp.constant(2.0)
"""... unless it changes by more than this: then it counts from the lane beside, and that is where the car stays."""


@wp.struct
class RoadKept:
    """What outlives a launch: the plan, and where it leads."""

    plan: wp.array2d(dtype=wp.float32)
    """Line, braking, hold, and 1 where there is one; (rows, 4)"""
    elapsed: wp.array(dtype=wp.float32)
    """Time into the plan, s, (rows,)"""
    played: wp.array(dtype=wp.int32)
    """Cycles since a command was last verified, (rows,)"""
    state: wp.array2d(dtype=wp.float32)
    """x, y, yaw, speed, acceleration, curvature as last believed, the offset that the lane camera told, 1 if that has
    not jumped since the view grew old, and 1 if its lane is not the plan's any more; (rows, 9)"""
    path: wp.array3d(dtype=wp.float32)
    """x, y, heading of the points of the plan's path, (rows, PATH, 3)"""
    history: wp.array3d(dtype=wp.float32)
    """Released commands, the last first, (rows, HISTORY, 2)"""


@wp.func
def keep_road(
    row: int, plan: wp.vec3, u: wp.vec2, ask: RoadAsk, sight: RoadSight, b: RoadBounds, kept: RoadKept
) -> None:
    """A verified plan becomes the row's own, with the path that it was verified on."""
    for k in range(3):
        kept.plan[row, k] = plan[k]
    kept.plan[row, 3] = 1.0
    kept.elapsed[row] = 0.0
    kept.played[row] = 0
    believe(row, ask, b, kept)
    kept.state[row, 8] = 0.0
    for k in range(POINTS_C):
        kept.path[row, k, 0] = ask.view.path[row, k, PX]
        kept.path[row, k, 1] = ask.view.path[row, k, PY]
        kept.path[row, k, 2] = ask.view.path[row, k, PHEADING]


@wp.func
def believe(row: int, ask: RoadAsk, b: RoadBounds, kept: RoadKept) -> None:
    """The measured state is what is believed; a lane camera that jumps while the view grows old is not."""
    for k in range(3):
        kept.state[row, k] = ask.view.pose[row, k]
        kept.state[row, 3 + k] = ask.view.motion[row, k]
    d = ask.view.where[row, 0]
    way = ask.view.motion[row, 0] * b.period * wp.sin(ask.view.where[row, 1])
    jump = d - kept.state[row, 6] - way
    if wp.abs(jump) > NEXT_LANE:
        kept.state[row, 8] = 1.0
    elif not (wp.abs(jump) < JUMP):
        kept.state[row, 7] = 0.0
    if ask.view.age[row] <= 0.0:
        kept.state[row, 7] = 1.0
    kept.state[row, 6] = d


@wp.func
def onto(row: int, x: float, y: float, kept: RoadKept) -> wp.vec3:
    """Offset d of a place from the kept path, the path's heading there, and the index there."""
    best = wp.int32(0)
    least = wp.float32(1.0e30)
    for k in range(POINTS_C):
        dx = x - kept.path[row, k, 0]
        dy = y - kept.path[row, k, 1]
        here = dx * dx + dy * dy
        if here < least:
            least = here
            best = k
    heading = kept.path[row, best, 2]
    dx = x - kept.path[row, best, 0]
    dy = y - kept.path[row, best, 1]
    along = wp.clamp(dx * wp.cos(heading) + dy * wp.sin(heading), -STEP_C, STEP_C)
    across = dy * wp.cos(heading) - dx * wp.sin(heading)
    # between two points the path bends as its heading turns from the one to the other
    curve = kept_bend(row, float(best) + 0.5 * wp.sign(along), kept)
    return wp.vec3(across - 0.5 * curve * along * along, heading + curve * along, float(best) + along / STEP_C)


@wp.func
def kept_bend(row: int, at: float, kept: RoadKept) -> float:
    """Curvature of the kept path at an index, as `path_bend` of a view."""
    k = wp.clamp(int(wp.floor(at)), 0, POINTS_C - 2)
    return (kept.path[row, k + 1, 2] - kept.path[row, k, 2]) / STEP_C


@wp.func
def drift(row: int, time: float, a: float, b: RoadBounds, kept: RoadKept) -> None:
    """The believed state goes on for a while under the last commands."""
    v = kept.state[row, 3]
    moved = go(v, kept.state[row, 4], a, time, b)
    k = kept.state[row, 5]
    yaw = kept.state[row, 2]
    middle = yaw + 0.5 * k * moved[2]
    kept.state[row, 0] = kept.state[row, 0] + moved[2] * wp.cos(middle)
    kept.state[row, 1] = kept.state[row, 1] + moved[2] * wp.sin(middle)
    kept.state[row, 2] = yaw + k * moved[2]
    kept.state[row, 3] = moved[0]
    kept.state[row, 4] = moved[1]


@wp.func
def clear_road(row: int, kept: RoadKept) -> None:
    """At rest, with no plan."""
    for k in range(4):
        kept.plan[row, k] = 0.0
    for k in range(9):
        kept.state[row, k] = 0.0
    for k in range(HISTORY_C):
        kept.history[row, k, 0] = 0.0
        kept.history[row, k, 1] = 0.0
    kept.elapsed[row] = 0.0
    kept.played[row] = 0
