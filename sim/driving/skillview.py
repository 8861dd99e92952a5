"""What driving policies see: the observation, the line to follow and how fast a brisk driver would drive there.

In the order of `sim.driving.contract.fields`.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp

from sim.actors import ActorKind
from sim.drive import DriveArrays
from sim.driving.brisk import UNLIMITED, Limits, brisk_speed, free_speed, lead_speed
from sim.driving.contract import BEND, CROSSERS, FAR, FORCE, GOAL, NEAR, PREVIEW, SPEED
from sim.driving.pathframe import STEP_C, Around, path_at, path_end
from sim.driving.sides import EASE, aside_speed, side_of
from sim.driving.state import OBJECTS, PATH_BEHIND, View
from sim.driving.wish import JUMP, ROUTE, Wish

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

OBJECTS_C, BEHIND_C = wp.constant(OBJECTS), wp.constant(PATH_BEHIND)
SPEED_C, FORCE_C, NEAR_C, FAR_C = wp.constant(SPEED), wp.constant(FORCE), wp.constant(NEAR), wp.constant(FAR)
BEND_C, CROSSERS_C, GOAL_C = wp.constant(BEND), wp.constant(CROSSERS), wp.constant(GOAL)
WALKER_C, BICYCLE_C = wp.constant(int(ActorKind.PEDESTRIAN)), wp.constant(int(ActorKind.BICYCLE))
LOOKS = wp.constant(wp.types.vector(length=len(PREVIEW), dtype=wp.float32)(*PREVIEW))
LOOKS_N = wp.constant(len(PREVIEW))

Nearest = wp.types.matrix(shape=(6, 4), dtype=wp.float32)
"""For each role: gap, relative speed, speed, speed across."""

Urgent = wp.types.matrix(shape=(4, 5), dtype=wp.float32)
"""Two on foot and two others: urgency, gap ahead, d, speed along, speed across."""


@wp.func
def line_of(row: int, view: View, wish: Wish, limits: Limits) -> wp.vec2:
    """The d of the line that a row's wish means where it is, and 1 where it is to stop on it."""
    here = path_at(view, row, 0.0)
    if wish.pull[row] != wp.uint8(0):
        return side_of(row, view, limits)
    if wish.side[row] > 0 and here.left_lane > 0.0:
        return wp.vec2(here.left + 0.5 * here.left_lane, 0.0)
    if wish.side[row] < 0 and here.right_lane > 0.0:
        return wp.vec2(-(here.right + 0.5 * here.right_lane), 0.0)
    return wp.vec2(0.0, 0.0)


@wp.func
def count_lanes(row: int, view: View, wish: Wish) -> None:
    """Notice that a row has come into another lane: its d jumps by a lane's width."""
    d = view.where[row, 0]
    jump = d - wish.last_d[row]
    wish.last_d[row] = d
    if wp.abs(jump) < JUMP:
        return
    to_left = wp.int32(1)
    if jump > 0.0:
        to_left = -1
    if wish.side[row] * to_left > 0:
        wish.side[row] = wish.side[row] - to_left
    else:
        wish.crossed[row] = wish.crossed[row] + 1


@wp.func
def take(near: Nearest, role: int, gap: float, along: float, v: float, across: float) -> Nearest:
    """The nearer of what fills a role and another vehicle."""
    if gap < near[role, 0]:
        near[role, 0] = gap
        near[role, 1] = along - v
        near[role, 2] = along
        near[role, 3] = across
    return near


@wp.kernel(module="sim.driving.skillkernels")
def observe(
    mask: wp.array(dtype=wp.uint8),
    step: wp.array(dtype=wp.int32),
    view: View,
    around: Around,
    drive: DriveArrays,
    limits: Limits,
    wish: Wish,
    out: wp.array2d(dtype=wp.float32),
) -> None:
    """The masked rows' observation, in the order of `sim.driving.contract.fields`; also where their lines run."""
    row = wp.tid()
    if mask[row] == wp.uint8(0):
        return
    if step[row] == 0:
        wish.last_d[row] = view.where[row, 0]
    count_lanes(row, view, wish)
    found = line_of(row, view, wish, limits)
    line = found[0]
    wish.line[row] = line
    v = view.motion[row, 0]
    d = view.where[row, 0]
    here = path_at(view, row, 0.0)
    out[row, 0] = v / SPEED_C
    out[row, 1] = view.motion[row, 1] / FORCE_C
    out[row, 2] = v * v * view.motion[row, 2] / FORCE_C
    out[row, 3] = view.motion[row, 3]
    out[row, 4] = drive.released[row, 0] / FORCE_C
    out[row, 5] = (drive.released[row, 1] - here.curvature) / BEND_C
    out[row, 6] = wp.clamp((d - line) / NEAR_C, -5.0, 5.0)
    out[row, 7] = view.where[row, 1]
    out[row, 8] = wp.clamp((here.left - d - limits.half_width) / NEAR_C, -5.0, 5.0)
    out[row, 9] = wp.clamp((here.right + d - limits.half_width) / NEAR_C, -5.0, 5.0)
    out[row, 10] = float(wp.clamp(wish.side[row], -3, 3))
    out[row, 11] = float(wish.pull[row])
    out[row, 12] = wish.pace[row]
    lead = lead_speed(row, view, around, v, limits)
    free = free_speed(row, view, limits)
    brisk = brisk_speed(free, lead, wish.pace[row], wish.least[row], wish.most[row])
    if found[1] > 0.0:
        brisk = wp.min(brisk, wp.max(aside_speed(d - line, view.where[row, 1], v), v - EASE))
    wish.brisk[row] = brisk
    out[row, 13] = brisk / SPEED_C
    out[row, 14] = wp.clamp((brisk - v) / FORCE_C, -3.0, 3.0)
    k = wp.int32(15)
    for i in range(LOOKS_N):
        point = path_at(view, row, wp.max(LOOKS[i] * v, 2.0 * float(i + 1)))
        out[row, k] = wp.clamp(point.curvature / BEND_C, -5.0, 5.0)
        out[row, k + 1] = wp.min(point.limit, UNLIMITED) / SPEED_C
        k += 2
    out[row, k] = wp.where(here.left_lane > 0.0, 1.0, 0.0)
    out[row, k + 1] = wp.where(here.right_lane > 0.0, 1.0, 0.0)
    out[row, k + 2] = wp.where(here.shoulder >= limits.shoulder, 1.0, 0.0)
    out[row, k + 3] = wp.clamp(float(path_end(view, row) - BEHIND_C) * STEP_C / 100.0, 0.0, 1.0)
    k += 4
    for i in range(GOAL_C):
        out[row, k + i] = 0.0
    if limits.skill == ROUTE:  # who chooses knows where the route goes; a skill that is asked for does not ask why
        out[row, k] = wp.clamp(view.goal[row, 0] / 500.0, 0.0, 4.0)
        out[row, k + 1] = wp.clamp(view.goal[row, 1], -4.0, 4.0)
        out[row, k + 2] = wp.clamp(view.goal[row, 2] / 300.0, 0.0, 4.0)
    k += GOAL_C
    near = Nearest()
    for role in range(6):
        near[role, 0] = 2.0 * FAR_C
    urgent = Urgent()
    for i in range(4):
        urgent[i, 0] = 1.0e6
    for j in range(OBJECTS_C):
        kind = view.object_kind[row, j]
        if kind >= 0:
            s = around.objects[row, j, 0]
            side = around.objects[row, j, 1]
            along = around.objects[row, j, 2]
            across = around.objects[row, j, 3]
            ahead = s - limits.front - around.objects[row, j, 4]
            behind = -limits.rear - s - around.objects[row, j, 4]
            beside = path_at(view, row, s)
            half = around.objects[row, j, 5]
            # a vehicle that goes our way counts for each lane that it reaches into
            if kind != WALKER_C and along > -0.5 and wp.abs(across) < wp.max(along, 2.0):
                if side - half < beside.left and side + half > -beside.right:
                    if s > 0.0:
                        near = take(near, 0, wp.max(ahead, 0.0), along, v, across)
                    else:
                        near = take(near, 1, wp.max(behind, 0.0), along, v, across)
                if beside.left_lane > 0.0 and side + half > beside.left and side < beside.left + beside.left_lane:
                    if s > 0.0:
                        near = take(near, 2, wp.max(ahead, 0.0), along, v, across)
                    else:
                        near = take(near, 3, wp.max(behind, 0.0), along, v, across)
                if beside.right_lane > 0.0 and side - half < -beside.right and side > -beside.right - beside.right_lane:
                    if s > 0.0:
                        near = take(near, 4, wp.max(ahead, 0.0), along, v, across)
                    else:
                        near = take(near, 5, wp.max(behind, 0.0), along, v, across)
            elif s > -5.0 and s < 2.0 * FAR_C and wp.abs(side) < 2.0 * FAR_C:
                first = wp.int32(CROSSERS_C)
                if kind >= BICYCLE_C:  # bicycles and people
                    first = 0
                # urgent is who is near the lane in time, not in space
                urgency = wp.abs(side) / (wp.abs(across) + 1.0) + 0.2 * wp.max(ahead, 0.0) / (v + 1.0)
                slot = wp.int32(-1)
                for i in range(CROSSERS_C):
                    if slot < 0 and urgency < urgent[first + i, 0]:
                        slot = first + i
                if slot >= 0:
                    for i in range(CROSSERS_C):
                        back = first + CROSSERS_C - 1 - i
                        if back > slot:
                            for c in range(5):
                                urgent[back, c] = urgent[back - 1, c]
                    urgent[slot, 0] = urgency
                    urgent[slot, 1] = ahead
                    urgent[slot, 2] = side
                    urgent[slot, 3] = along
                    urgent[slot, 4] = across
    for role in range(6):
        out[row, k] = wp.min(near[role, 0] / FAR_C, 2.0)
        out[row, k + 1] = near[role, 1] / (0.5 * SPEED_C)
        out[row, k + 2] = near[role, 2] / SPEED_C
        out[row, k + 3] = near[role, 3]
        k += 4
    for i in range(2 * CROSSERS_C):
        if urgent[i, 0] < 1.0e6:
            out[row, k] = wp.clamp(urgent[i, 1] / FAR_C, -1.0, 2.0)
            out[row, k + 1] = wp.clamp(urgent[i, 2] / 10.0, -5.0, 5.0)
            out[row, k + 2] = urgent[i, 3] / 10.0
            out[row, k + 3] = urgent[i, 4] / 10.0
        else:
            out[row, k] = 2.0
            out[row, k + 1] = 5.0
            out[row, k + 2] = 0.0
            out[row, k + 3] = 0.0
        k += 4
