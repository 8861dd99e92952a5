"""Kernels of the pick task (`sim/tasks/pick.py`): the arm's controller, where things are, draws, rewards, observations.

Places of the cup are pan, r and z about the arm's foot, as in `sim/picking.py`; rows are robots, and robot r of a world
has item r.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from typing import Any

import warp as wp

from sim.podkernels import body_pose
from sim.randomization import Term, draw_from, stream, unit
from sim.rows import RobotArrays, is_lost
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

RATES = (1.0, 0.5, 0.4)
"""Largest commanded speeds of the cup: pan rad/s, r m/s, z m/s; a third of what the joints could (`Arm.speed`)."""

ACCEL = (2.0, 1.0, 1.0)
"""rad/s^2, m/s^2: at three times as much an item creeps along the cup by 2 cm in half a turn (2026-11)."""

SEALED = 0.006
"""The cup is closed by an item whose face is nearer than this, m: its lip and how far it gives way."""

HELD = 1.0
"""What having the item at the cup is worth, m of way."""

SUCCESS = 3.0
"""Reward of a picked item."""

PICK_TERM = wp.constant(int(Term.START))
RATES_C = wp.constant(wp.vec3(*RATES))
ACCEL_C = wp.constant(wp.vec3(*ACCEL))
SEALED_C = wp.constant(SEALED)
HELD_C = wp.constant(HELD)
PAN_WEIGHT = wp.constant(0.5)
FLOOR_OF_TOTE = wp.constant(0.02)
STAND_C = wp.constant(STAND)
SUCCESS_C = wp.constant(SUCCESS)

OBSERVATION = 15
"""Numbers in an observation."""


@wp.struct
class ArmNumbers:
    """The arm as kernels read it; `sim.robot.Arm` says what they are."""

    mount: wp.vec2
    deck: float
    foot: float
    upper: float
    fore: float
    hand: float
    home: wp.vec3
    """Of shoulder, elbow and wrist."""
    tote: wp.vec3
    """Half length, half width, height."""
    tote_at: wp.vec3
    """Of its middle: pan, r, and z of its floor."""
    item: wp.vec3
    """Half sides of an item, m."""
    bin_floor: float


@wp.struct
class Pick:
    """Memory of the task, one row each."""

    place: wp.array2d(dtype=wp.float32)
    """Commanded place of the cup: pan, r, z; (rows, 3)."""
    rate: wp.array2d(dtype=wp.float32)
    """Its speed, (rows, 3)."""
    suction: wp.array(dtype=wp.float32)
    """0 or 1, (rows,)."""
    cup: wp.array2d(dtype=wp.float32)
    """True place of the cup, (rows, 3)."""
    face: wp.array2d(dtype=wp.float32)
    """Middle of the item's upper face in the same coordinates, (rows, 3)."""
    sealed: wp.array(dtype=wp.uint8)
    """Whether the item closes the cup and is sucked, (rows,)."""
    way: wp.array(dtype=wp.float32)
    """d of the reward, (rows,)."""
    shelf: wp.array2d(dtype=wp.float32)
    """x, y, yaw of the bin of each robot of a world, (robots, 3)."""


@wp.func
def turned(angle: float) -> float:
    """The same angle in (-pi, pi]."""
    return wp.atan2(wp.sin(angle), wp.cos(angle))


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
def look(
    row: int,
    robots: int,
    qpos_stride: int,
    base: int,
    first_item: int,
    arm: ArmNumbers,
    pose: wp.array2d(dtype=wp.float32),
    qpos: wp.array2d(dtype=Any),
    pick: Pick,
) -> wp.transform:
    """Write where cup and item are and whether the cup is closed; the item's pose in B."""
    world = row / robots
    robot = row % robots
    q = robot * qpos_stride + base
    shoulder = arm.home[0] + float(qpos[world, q + 1])
    elbow = shoulder + arm.home[1] + float(qpos[world, q + 2])
    wrist = elbow + arm.home[2] + float(qpos[world, q + 3])
    pan = turned(float(qpos[world, q]))
    r = arm.upper * wp.sin(shoulder) + arm.fore * wp.sin(elbow) + arm.hand * wp.sin(wrist)
    z = arm.deck + arm.foot
    z += arm.upper * wp.cos(shoulder) + arm.fore * wp.cos(elbow) + arm.hand * wp.cos(wrist)
    half = 0.5 * pose[row, 2]
    here = wp.transform(wp.vec3(pose[row, 0], pose[row, 1], 0.0), wp.quat(0.0, 0.0, wp.sin(half), wp.cos(half)))
    item = wp.transform_multiply(wp.transform_inverse(here), body_pose(qpos, world, first_item + 7 * robot, 1))
    at = wp.transform_get_translation(item)
    x = at[0] - arm.mount[0]
    y = at[1] - arm.mount[1]
    pick.cup[row, 0] = pan
    pick.cup[row, 1] = r
    pick.cup[row, 2] = z
    pick.face[row, 0] = wp.atan2(y, x)
    pick.face[row, 1] = wp.sqrt(x * x + y * y)
    pick.face[row, 2] = at[2] + arm.item[2]
    cup = wp.vec3(arm.mount[0] + r * wp.cos(pan), arm.mount[1] + r * wp.sin(pan), z)
    inside = wp.transform_point(wp.transform_inverse(item), cup)
    shut = pick.suction[row] > 0.0
    for k in range(3):
        shut = shut and wp.abs(inside[k]) < arm.item[k] + SEALED_C
    pick.sealed[row] = wp.uint8(0)
    if shut:
        pick.sealed[row] = wp.uint8(1)
    return item


@wp.kernel
def act_pick(action: wp.array2d(dtype=wp.float32), proposed: wp.array2d(dtype=wp.float32), pick: Pick) -> None:
    """The base stands; the suction is switched."""
    row = wp.tid()
    proposed[row, 0] = 0.0
    proposed[row, 1] = 0.0
    pick.suction[row] = 0.0
    if action[row, 3] > 0.0:
        pick.suction[row] = 1.0


@wp.kernel
def move_arm(
    robots: int,
    ctrl_stride: int,
    base: int,
    dt: float,
    arm: ArmNumbers,
    action: wp.array2d(dtype=wp.float32),
    pick: Pick,
    ctrl: wp.array2d(dtype=Any),
) -> None:
    """One motor period of the arm's controller; `base` counts the base's own controls."""
    row = wp.tid()
    goal = wp.vec3(0.0, 0.0, 0.0)
    for k in range(3):
        want = RATES_C[k] * wp.clamp(action[row, k], -1.0, 1.0)
        u = pick.rate[row, k] + wp.clamp(want - pick.rate[row, k], -ACCEL_C[k] * dt, ACCEL_C[k] * dt)
        pick.rate[row, k] = u
        goal[k] = pick.place[row, k] + u * dt
    h = goal[2] + arm.hand - arm.deck - arm.foot
    cosine = goal[1] * goal[1] + h * h - arm.upper * arm.upper - arm.fore * arm.fore
    cosine = cosine / (2.0 * arm.upper * arm.fore)
    if wp.abs(cosine) > 0.999 or goal[1] < 0.05 or wp.abs(goal[0]) > wp.pi + 0.1:
        for k in range(3):
            pick.rate[row, k] = 0.0  # at the edge of its reach the arm stops
        return
    elbow = wp.acos(cosine)
    shoulder = wp.atan2(goal[1], h) - wp.atan2(arm.fore * wp.sin(elbow), arm.upper + arm.fore * wp.cos(elbow))
    for k in range(3):
        pick.place[row, k] = goal[k]
    world = row / robots
    c = (row % robots) * ctrl_stride + base
    ctrl[world, c] = ctrl.dtype(goal[0])
    ctrl[world, c + 1] = ctrl.dtype(shoulder - arm.home[0])
    ctrl[world, c + 2] = ctrl.dtype(elbow - arm.home[1])
    ctrl[world, c + 3] = ctrl.dtype(wp.pi - shoulder - elbow - arm.home[2])
    ctrl[world, c + 4] = ctrl.dtype(0.0)
    ctrl[world, c + 5] = ctrl.dtype(pick.suction[row])


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
    yaw = 2.0 * wp.pi * unit(draw_from(key, 2))
    q = first_item + 7 * robot
    qpos[world, q] = qpos.dtype(x + free[0] * (2.0 * unit(draw_from(key, 0)) - 1.0))
    qpos[world, q + 1] = qpos.dtype(y + free[1] * (2.0 * unit(draw_from(key, 1)) - 1.0))
    qpos[world, q + 2] = qpos.dtype(arm.bin_floor + arm.item[2])
    qpos[world, q + 3] = qpos.dtype(wp.cos(0.5 * yaw))
    qpos[world, q + 4] = qpos.dtype(0.0)
    qpos[world, q + 5] = qpos.dtype(0.0)
    qpos[world, q + 6] = qpos.dtype(wp.sin(0.5 * yaw))
    for k in range(6):
        qvel[world, first_speed + 6 * robot + k] = qvel.dtype(0.0)
        warmstart[world, first_speed + 6 * robot + k] = warmstart.dtype(0.0)
        ctrl[world, robot * ctrl_stride + base + k] = ctrl.dtype(0.0)
    for k in range(3):
        pick.place[row, k] = home[k]
        pick.cup[row, k] = home[k]
        pick.rate[row, k] = 0.0
    pick.suction[row] = 0.0
    pick.sealed[row] = wp.uint8(0)
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
