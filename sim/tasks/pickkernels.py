"""Kernels of the pick task (`sim/tasks/pick.py`): what an episode draws, rewards and endings, observations.

The arm itself stands in `sim/tasks/armkernels.py`; rows are robots, and robot r of a world has item r.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from typing import Any

import warp as wp

from sim.randomization import Term, draw_from, stream, unit
from sim.rows import RobotArrays, is_lost, stand_upright
from sim.tasks.armkernels import RATES_C, ArmNumbers, Pick, look, turned
from sim.tasks.aside import stand_aside
from sim.tasks.task import (
    COLLIDED_C,
    DIVERGED_C,
    LEFT_C,
    RUNNING_C,
    SUCCEEDED_C,
    TIMED_OUT_C,
    Outcome,
    close,
)

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

STAND = 0.8
"""From the robot's middle to that of the bin, m: the bin is clear of the hull and all of it within reach."""

HELD = 1.0
"""What having the item at the cup is worth, m of way."""

SUCCESS = 3.0
"""Reward of a picked item."""

PICK_TERM = wp.constant(int(Term.START))
HELD_C = wp.constant(HELD)
PAN_WEIGHT = wp.constant(0.5)
STAND_C = wp.constant(STAND)
SUCCESS_C = wp.constant(SUCCESS)

OBSERVATION = 15
"""Numbers in an observation."""


@wp.func
def way_of(arm: ArmNumbers, cup: wp.vec3, face: wp.vec3, sealed: bool) -> float:
    """The way d of the reward."""
    goal = face
    d = float(HELD_C)
    if sealed:
        goal = wp.vec3(arm.tote_at[0], arm.tote_at[1], arm.tote_at[2] + 2.0 * arm.item[2])
        d = 0.0
    return d + PAN_WEIGHT * wp.abs(turned(goal[0] - cup[0])) + wp.abs(goal[1] - cup[1]) + wp.abs(goal[2] - cup[2])


@wp.func
def lay_down(
    world: int,
    item: int,
    first_item: int,
    first_speed: int,
    x: float,
    y: float,
    yaw: float,
    arm: ArmNumbers,
    qpos: wp.array2d(dtype=Any),
    qvel: wp.array2d(dtype=Any),
    warmstart: wp.array2d(dtype=Any),
) -> None:
    """An item lies on the floor of its bin, at rest."""
    stand_upright(world, first_item + 7 * item, x, y, arm.bin_floor + arm.item[2], yaw, qpos)
    for k in range(6):
        qvel[world, first_speed + 6 * item + k] = qvel.dtype(0.0)
        warmstart[world, first_speed + 6 * item + k] = warmstart.dtype(0.0)


@wp.func
def fold(row: int, world: int, first: int, home: wp.vec3, pick: Pick, ctrl: wp.array2d(dtype=Any)) -> None:
    """The arm folded and at rest, without suction; its controls begin at `first`."""
    for k in range(6):
        ctrl[world, first + k] = ctrl.dtype(0.0)
    for k in range(3):
        pick.place[row, k] = home[k]
        pick.cup[row, k] = home[k]
        pick.rate[row, k] = 0.0
    pick.suction[row] = 0.0
    pick.sealed[row] = wp.uint8(0)


@wp.kernel
def leave_picks(
    mask: wp.array(dtype=wp.uint8),
    robots: int,
    ctrl_stride: int,
    base: int,
    first_item: int,
    first_speed: int,
    home: wp.vec3,
    arm: ArmNumbers,
    pick: Pick,
    ground: wp.array(dtype=wp.int32),
    qpos: wp.array2d(dtype=Any),
    qvel: wp.array2d(dtype=Any),
    warmstart: wp.array2d(dtype=Any),
    ctrl: wp.array2d(dtype=Any),
) -> None:
    """Masked rows fold their arms; their item lies in the middle of its bin, where it rests until the next episode."""
    row = wp.tid()
    if mask[row] == wp.uint8(0):
        return
    world = row / robots
    robot = row % robots
    x = pick.shelf[robot, 0]
    y = pick.shelf[robot, 1]
    lay_down(world, robot, first_item, first_speed, x, y, 0.0, arm, qpos, qvel, warmstart)
    fold(row, world, robot * ctrl_stride + base, home, pick, ctrl)
    ground[row] = 0


@wp.kernel
def begin_picks(
    mask: wp.array(dtype=wp.uint8),
    seed: int,
    robots: int,
    ctrl_stride: int,
    base: int,
    first_item: int,
    first_speed: int,
    free: wp.vec2,
    home: wp.vec3,
    arm: ArmNumbers,
    state: RobotArrays,
    pick: Pick,
    ground: wp.array(dtype=wp.int32),
    qpos: wp.array2d(dtype=Any),
    qvel: wp.array2d(dtype=Any),
    warmstart: wp.array2d(dtype=Any),
    ctrl: wp.array2d(dtype=Any),
) -> None:
    """Masked rows stand before their shelves, folded; their item lies anywhere in its bin, turned."""
    row = wp.tid()
    if mask[row] == wp.uint8(0):
        return
    world = row / robots
    robot = row % robots
    key = stream(seed, PICK_TERM, row, state.episode[row])
    x = pick.shelf[robot, 0]
    y = pick.shelf[robot, 1]
    state.pose[row, 0] = x - STAND_C
    state.pose[row, 1] = y
    state.pose[row, 2] = 0.0
    ground[row] = 1
    if state.active[row] == wp.uint8(0):
        stand_aside(row, robot, state)
        ground[row] = 0
    yaw = 2.0 * wp.pi * unit(draw_from(key, 2))
    q = first_item + 7 * robot
    at_x = x + free[0] * (2.0 * unit(draw_from(key, 0)) - 1.0)
    at_y = y + free[1] * (2.0 * unit(draw_from(key, 1)) - 1.0)
    lay_down(world, robot, first_item, first_speed, at_x, at_y, yaw, arm, qpos, qvel, warmstart)
    fold(row, world, robot * ctrl_stride + base, home, pick, ctrl)
    fx = float(qpos[world, q]) - (x - STAND_C) - arm.mount[0]
    fy = float(qpos[world, q + 1]) - y - arm.mount[1]
    face = wp.vec3(wp.atan2(fy, fx), wp.sqrt(fx * fx + fy * fy), arm.bin_floor + 2.0 * arm.item[2])
    for k in range(3):
        pick.face[row, k] = face[k]
    pick.way[row] = way_of(arm, home, face, False)


@wp.kernel
def judge_picks(
    robots: int,
    qpos_stride: int,
    base: int,
    first_item: int,
    limit: int,
    arm: ArmNumbers,
    state: RobotArrays,
    diverged: wp.array(dtype=wp.uint8),
    qpos: wp.array2d(dtype=Any),
    pick: Pick,
    outcome: Outcome,
) -> None:
    """Reward and ending of a control step."""
    row = wp.tid()
    how = RUNNING_C
    r = wp.float32(0.0)
    if state.active[row] == wp.uint8(0):
        close(row, RUNNING_C, 0.0, outcome)
        return
    if is_lost(row, row / robots, state, diverged):
        close(row, DIVERGED_C, 0.0, outcome)
        return
    item = look(row, robots, qpos_stride, base, first_item, arm, state.pose, qpos, pick)
    at = wp.transform_get_translation(item)
    cup = wp.vec3(pick.cup[row, 0], pick.cup[row, 1], pick.cup[row, 2])
    face = wp.vec3(pick.face[row, 0], pick.face[row, 1], pick.face[row, 2])
    tote_x = arm.mount[0] + arm.tote_at[1] * wp.cos(arm.tote_at[0])
    tote_y = arm.mount[1] + arm.tote_at[1] * wp.sin(arm.tote_at[0])
    lies = wp.abs(at[0] - tote_x) < arm.tote[0] and wp.abs(at[1] - tote_y) < arm.tote[1]
    lies = lies and at[2] > arm.deck and at[2] < arm.tote_at[2] + arm.tote[2]
    way = way_of(arm, cup, face, pick.sealed[row] != wp.uint8(0))
    if lies:
        way = 0.0  # letting go there is no step back
    r = pick.way[row] - way
    pick.way[row] = way
    if state.collided[row] != wp.uint8(0) or state.bumped[row] != wp.uint8(0):
        how = COLLIDED_C
        r -= 1.0
    elif lies and pick.suction[row] == 0.0 and pick.sealed[row] == wp.uint8(0):
        how = SUCCEEDED_C
        r += SUCCESS_C
    elif at[2] < 0.5 * wp.min(arm.bin_floor, arm.deck):
        how = LEFT_C
        r -= 1.0
    elif state.step[row] >= limit:
        how = TIMED_OUT_C
    close(row, how, r, outcome)


@wp.kernel
def observe_picks(
    mask: wp.array(dtype=wp.uint8), arm: ArmNumbers, pick: Pick, out: wp.array2d(dtype=wp.float32)
) -> None:
    """The fields of `pick_contract` in order."""
    row = wp.tid()
    if mask[row] == wp.uint8(0):
        return
    goal = wp.vec3(arm.tote_at[0], arm.tote_at[1], arm.tote_at[2] + 2.0 * arm.item[2])
    for k in range(3):
        scale = wp.where(k == 0, wp.pi, 0.5)
        item = pick.face[row, k] - pick.cup[row, k]
        tote = goal[k] - pick.cup[row, k]
        if k == 0:
            item = turned(item)  # the tote's pan is not: the arm turns one way round only
        out[row, k] = wp.clamp(item / scale, -1.0, 1.0)
        out[row, 3 + k] = wp.clamp(tote / scale, -1.0, 1.0)
        out[row, 10 + k] = wp.clamp(pick.rate[row, k] / RATES_C[k], -1.0, 1.0)
    out[row, 6] = wp.sin(pick.cup[row, 0])
    out[row, 7] = wp.cos(pick.cup[row, 0])
    out[row, 8] = wp.clamp(pick.cup[row, 1], -1.0, 1.0)
    out[row, 9] = wp.clamp(pick.cup[row, 2], -1.0, 1.0)
    out[row, 13] = pick.suction[row]
    out[row, 14] = float(pick.sealed[row])
