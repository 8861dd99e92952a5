"""Places beside a car's path: a view's objects in the frame of the lane ahead, along it and across it.

    path_at(view, row, s)           -> heading, curvature, room to both sides, limit at s ahead of base_link
    path_project(view, row, x, y)   -> s, d of a point; beyond the path's ends s goes on along the end's heading

`map_objects` writes every object of a view as s, d, speed along and speed across into `Around.objects`: what policies
observe and what rewards and rules about vehicles ahead are made of. d is positive to the left.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from enum import IntEnum

import warp as wp

from sim.driving.state import OBJECTS, PATH, PATH_BEHIND, PATH_STEP, ObjectColumn, PathColumn, View

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

POINTS_C = wp.constant(PATH)
BEHIND_C = wp.constant(PATH_BEHIND)
STEP_C = wp.constant(PATH_STEP)
START_C = wp.constant(-PATH_BEHIND * PATH_STEP)
"""s of the path's first point, m."""

X_C, Y_C = wp.constant(int(PathColumn.X)), wp.constant(int(PathColumn.Y))
HEADING_C, CURVATURE_C = wp.constant(int(PathColumn.HEADING)), wp.constant(int(PathColumn.CURVATURE))
LEFT_C, RIGHT_C = wp.constant(int(PathColumn.LEFT)), wp.constant(int(PathColumn.RIGHT))
LEFT_LANE_C, RIGHT_LANE_C = wp.constant(int(PathColumn.LEFT_LANE)), wp.constant(int(PathColumn.RIGHT_LANE))
SHOULDER_C, LIMIT_C = wp.constant(int(PathColumn.SHOULDER)), wp.constant(int(PathColumn.LIMIT))
OBJECT_X_C, OBJECT_Y_C = wp.constant(int(ObjectColumn.X)), wp.constant(int(ObjectColumn.Y))
OBJECT_YAW_C, OBJECT_SPEED_C = wp.constant(int(ObjectColumn.YAW)), wp.constant(int(ObjectColumn.SPEED))
OBJECT_LENGTH_C, OBJECT_WIDTH_C = wp.constant(int(ObjectColumn.LENGTH)), wp.constant(int(ObjectColumn.WIDTH))

STRIDE = wp.constant(6)
"""Points between two that a projection looks at first: 18 m, less than the radius that a lane turns back within."""


class AroundColumn(IntEnum):
    """Columns of `Around.objects`."""

    S = 0
    """Middle of the object ahead of base_link, m"""
    D = 1
    ALONG = 2
    """Speed along the path, m/s; negative for one that comes towards us"""
    ACROSS = 3
    """Speed to the left of the path, m/s"""
    HALF_LENGTH = 4
    """Half the room it takes along the path, m"""
    HALF_WIDTH = 5


@wp.struct
class Around:
    """A view's objects in the path's frame."""

    objects: wp.array3d(dtype=wp.float32)
    """`AroundColumn`, as the objects were measured; slots are those of `View.objects`; (rows, OBJECTS, 6)"""


def make_around(rows: int, device: str) -> Around:
    """Nothing mapped yet."""
    around = Around()
    around.objects = wp.zeros((rows, OBJECTS, len(AroundColumn)), dtype=wp.float32, device=device)
    return around


@wp.struct
class Point:
    """A point of a path."""

    heading: float
    curvature: float
    left: float
    right: float
    left_lane: float
    right_lane: float
    shoulder: float
    limit: float


@wp.func
def path_at(view: View, row: int, s: float) -> Point:
    """The path at s ahead of base_link, held at both ends.

    Between two points linear, but for rooms beside the lane and limits, where the smaller counts.
    """
    at = wp.clamp((s - START_C) / STEP_C, 0.0, float(POINTS_C - 1))
    k = wp.min(int(wp.floor(at)), POINTS_C - 2)
    share = at - float(k)
    point = Point()
    point.heading = view.path[row, k, HEADING_C] * (1.0 - share) + view.path[row, k + 1, HEADING_C] * share
    point.curvature = view.path[row, k, CURVATURE_C] * (1.0 - share) + view.path[row, k + 1, CURVATURE_C] * share
    point.left = wp.min(view.path[row, k, LEFT_C], view.path[row, k + 1, LEFT_C])
    point.right = wp.min(view.path[row, k, RIGHT_C], view.path[row, k + 1, RIGHT_C])
    point.left_lane = wp.min(view.path[row, k, LEFT_LANE_C], view.path[row, k + 1, LEFT_LANE_C])
    point.right_lane = wp.min(view.path[row, k, RIGHT_LANE_C], view.path[row, k + 1, RIGHT_LANE_C])
    point.shoulder = wp.min(view.path[row, k, SHOULDER_C], view.path[row, k + 1, SHOULDER_C])
    point.limit = wp.min(view.path[row, k, LIMIT_C], view.path[row, k + 1, LIMIT_C])
    return point


@wp.func
def away(view: View, row: int, k: int, x: float, y: float) -> float:
    """Squared distance to point k of a path."""
    dx = x - view.path[row, k, X_C]
    dy = y - view.path[row, k, Y_C]
    return dx * dx + dy * dy


@wp.func
def path_end(view: View, row: int) -> int:
    """Index of the last point that can be driven to, 0 at least."""
    last = wp.int32(POINTS_C - 1)
    while last > 0 and view.path_lane[row, last] < 0:
        last -= 1
    return last


@wp.func
def path_project(view: View, row: int, x: float, y: float) -> wp.vec3:
    """Where a point lies: s ahead of base_link, d to the left, and the path's heading there.

    The nearest point of the path counts, first among every sixth; beyond the ends the path goes on straight.
    """
    best = wp.int32(0)
    least = away(view, row, 0, x, y)
    for i in range(1, POINTS_C // STRIDE):
        here = away(view, row, i * STRIDE, x, y)
        if here < least:
            least = here
            best = i * STRIDE
    low = wp.max(best - STRIDE + 1, 0)
    high = wp.min(best + STRIDE, POINTS_C)
    for k in range(low, high):
        here = away(view, row, k, x, y)
        if here < least:
            least = here
            best = k
    heading = view.path[row, best, HEADING_C]
    dx = x - view.path[row, best, X_C]
    dy = y - view.path[row, best, Y_C]
    # from the nearest point along its arc: the foot lies within half a step of it, but for the ends
    along = dx * wp.cos(heading) + dy * wp.sin(heading)
    across = dy * wp.cos(heading) - dx * wp.sin(heading)
    inside = wp.clamp(along, -STEP_C, STEP_C)
    turn = view.path[row, best, CURVATURE_C] * inside
    d = across - 0.5 * turn * inside
    return wp.vec3(START_C + float(best) * STEP_C + along, d, heading + turn)


@wp.func
def map_object(view: View, row: int, j: int, around: Around) -> None:
    """One object in the path's frame."""
    found = path_project(view, row, view.objects[row, j, OBJECT_X_C], view.objects[row, j, OBJECT_Y_C])
    turn = view.objects[row, j, OBJECT_YAW_C] - found[2]
    speed = view.objects[row, j, OBJECT_SPEED_C]
    half_length = 0.5 * view.objects[row, j, OBJECT_LENGTH_C]
    half_width = 0.5 * view.objects[row, j, OBJECT_WIDTH_C]
    c = wp.cos(turn)
    s = wp.sin(turn)
    around.objects[row, j, 0] = found[0]
    around.objects[row, j, 1] = found[1]
    around.objects[row, j, 2] = speed * c
    around.objects[row, j, 3] = speed * s
    around.objects[row, j, 4] = wp.abs(c) * half_length + wp.abs(s) * half_width
    around.objects[row, j, 5] = wp.abs(s) * half_length + wp.abs(c) * half_width


@wp.kernel
def map_objects(view: View, mask: wp.array(dtype=wp.uint8), around: Around, each: int) -> None:
    """Every object of the masked rows in the path's frame; a thread for each row and `each` objects."""
    row, part = wp.tid()  # pyright: ignore[reportAssignmentType]  # as many as the launch has dimensions
    if mask[row] == wp.uint8(0):
        return
    for j in range(part * each, (part + 1) * each):
        if view.object_kind[row, j] >= 0:
            map_object(view, row, j, around)
