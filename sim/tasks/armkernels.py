"""Kernels of the arm that picks (`sim/tasks/pick.py`): its controller, and where its cup and the item are.

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

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

RATES = (1.0, 0.5, 0.4)
"""Largest commanded speeds of the cup: pan rad/s, r m/s, z m/s; a third of what the joints could (`Arm.speed`)."""

ACCEL = (2.0, 1.0, 1.0)
"""rad/s^2, m/s^2: at three times as much an item creeps along the cup by 2 cm in half a turn (2026-11)."""

SEALED = 0.006
"""The cup is closed by an item whose face is nearer than this, m: its lip and how far it gives way."""

RATES_C = wp.constant(wp.vec3(*RATES))
ACCEL_C = wp.constant(wp.vec3(*ACCEL))
SEALED_C = wp.constant(SEALED)


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
