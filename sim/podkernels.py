"""Kernels of lifted pods (`sim/pods.py`): lifts that take, raise, lower and let go, resets, loads, contacts.

Weld e of a world joins robot e / pods to pod e % pods; its data are MuJoCo's: anchor in the pod's frame (3), its place
in the robot's (3), the pod's turn in the robot's frame (4, w first). Physics arrays are generic in their type.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from typing import Any

import warp as wp

from sim.bodies.parts import GRAVITY
from sim.bodies.pod import FEET_FRICTION, POD_MASS

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

LIFT = 0.05
"""How far a pod is raised, m: 5 cm, as [Kiva]'s drive units (sim/sources.py)."""

LIFT_TIME = 2.0
"""From the floor to the top, s: 25 mm/s, at which taking a pod moves neither it nor the robot (measured: tests/sim/
test_pods.py)."""

REACH = 0.05
"""A lift takes a pod whose middle is at most this far from the robot's, m: inside the 0.12 m within
which robots know a leg (sim/lifting.py), and over the error of localisation, 0.03 m."""

STILL = 0.05
"""A lift takes a pod only while the robot is slower, m/s and rad/s: the feet would scrape."""


LIFT_C = wp.constant(LIFT)
REACH_C = wp.constant(REACH)
STILL_C = wp.constant(STILL)
EMPTY_C = wp.constant(POD_MASS)
GRIP_C = wp.constant(FEET_FRICTION * GRAVITY)


@wp.struct
class PodArrays:
    """State of all lifts and pods."""

    wanted: wp.array(dtype=wp.uint8)
    """Whether each robot's lift is to be up; whoever commands robots writes it; (rows,)."""
    carried: wp.array(dtype=wp.int32)
    """The pod that each robot holds, -1 for none; (rows,)."""
    carrier: wp.array2d(dtype=wp.int32)
    """The robot that holds each pod, -1 where it stands; (worlds, pods)."""
    raised: wp.array(dtype=wp.float32)
    """How far each lift with a pod is up, m; (rows,)."""
    rest: wp.array(dtype=wp.float32)
    """z of the pod in the robot's frame when it was taken, m; (rows,)."""
    grip: wp.array2d(dtype=wp.float32)
    """Friction of each standing pod's feet, N; (worlds, pods)."""
    touching: wp.array(dtype=wp.uint8)
    """Whether something touched the pod that each robot holds; (rows,)."""


@wp.struct
class PodLayout:
    """Where robots' and pods' numbers lie, as kernels read it."""

    robots: int
    pods: int
    own: int
    qpos_stride: int
    qvel_stride: int
    pod_qpos: int
    pod_qvel: int
    falls: int
    step: float
    """How far a lift moves in one launch, m."""
    lever: float


@wp.func
def body_pose(qpos: wp.array2d(dtype=Any), world: int, first: int, free: int) -> wp.transform:
    """Pose in W of a body whose coordinates begin at `first`: of a free joint, or x, y, yaw."""
    if free == 1:
        return wp.transform(
            wp.vec3(float(qpos[world, first]), float(qpos[world, first + 1]), float(qpos[world, first + 2])),
            # MuJoCo writes w first, Warp last
            wp.quat(
                float(qpos[world, first + 4]), float(qpos[world, first + 5]), float(qpos[world, first + 6]),
                float(qpos[world, first + 3]),
            ),
        )  # fmt: skip
    half = 0.5 * float(qpos[world, first + 2])
    return wp.transform(
        wp.vec3(float(qpos[world, first]), float(qpos[world, first + 1]), 0.0),
        wp.quat(0.0, 0.0, wp.sin(half), wp.cos(half)),
    )


@wp.func
def set_friction(loss: wp.array2d(dtype=Any), world: int, first: int, grip: float, lever: float) -> None:
    """The friction of a pod's feet in x, y and yaw."""
    loss[world, first] = loss.dtype(grip)
    loss[world, first + 1] = loss.dtype(grip)
    loss[world, first + 2] = loss.dtype(grip * lever)


@wp.kernel
def handle_pods(
    layout: PodLayout,
    state: PodArrays,
    qpos: wp.array2d(dtype=Any),
    qvel: wp.array2d(dtype=Any),
    active: wp.array2d(dtype=Any),
    weld: wp.array3d(dtype=Any),
    loss: wp.array2d(dtype=Any),
) -> None:
    """One motor period of each robot's lift."""
    row = wp.tid()
    world = row / layout.robots
    robot = row % layout.robots
    wanted = state.wanted[row] != wp.uint8(0)
    pod_width = wp.where(layout.falls == 1, 7, 3)
    pod_speeds = wp.where(layout.falls == 1, 6, 3)
    pod = state.carried[row]
    if pod < 0:
        if not wanted:
            return
        u = robot * layout.qvel_stride
        yaw_rate = qvel[world, u + 2]
        if layout.qpos_stride != layout.qvel_stride:
            yaw_rate = qvel[world, u + 5]
        fast = wp.max(wp.abs(float(yaw_rate)), wp.length(wp.vec2(float(qvel[world, u]), float(qvel[world, u + 1]))))
        if fast > STILL_C:
            return
        q = robot * layout.qpos_stride
        best = wp.float32(REACH_C)
        for k in range(layout.pods):
            p = layout.pod_qpos + k * pod_width
            away = wp.length(
                wp.vec2(
                    float(qpos[world, p]) - float(qpos[world, q]), float(qpos[world, p + 1]) - float(qpos[world, q + 1])
                )
            )
            # a task's own pods are each one robot's: it reads the tag beneath a pod, and leaves another one's alone
            mine = k < layout.pods - layout.own or k == layout.pods - layout.own + robot
            if mine and away <= best and state.carrier[world, k] < 0:
                best = away
                pod = k
        if pod < 0:
            return
        base = body_pose(qpos, world, q, wp.where(layout.qpos_stride != layout.qvel_stride, 1, 0))
        load = body_pose(qpos, world, layout.pod_qpos + pod * pod_width, layout.falls)
        relative = wp.transform_multiply(wp.transform_inverse(base), load)
        at = wp.transform_get_translation(relative)
        turn = wp.transform_get_rotation(relative)
        e = robot * layout.pods + pod
        for k in range(3):
            weld[world, e, 3 + k] = weld.dtype(at[k])
            weld[world, e, 7 + k] = weld.dtype(turn[k])
        weld[world, e, 6] = weld.dtype(turn[3])
        active[world, e] = active.dtype(1)
        state.carried[row] = pod
        state.carrier[world, pod] = robot
        state.raised[row] = 0.0
        state.rest[row] = at[2]
        state.touching[row] = wp.uint8(0)
        if layout.falls == 0:
            set_friction(loss, world, layout.pod_qvel + pod * pod_speeds, 0.0, 0.0)
        return
    height = state.raised[row]
    e = robot * layout.pods + pod
    if wanted:
        height = wp.min(height + layout.step, LIFT_C)
    elif height > 0.0:
        height = wp.max(height - layout.step, 0.0)
    else:
        active[world, e] = active.dtype(0)
        state.carried[row] = -1
        state.carrier[world, pod] = -1
        if layout.falls == 0:
            set_friction(loss, world, layout.pod_qvel + pod * pod_speeds, state.grip[world, pod], layout.lever)
    state.raised[row] = height
    if layout.falls == 1:
        weld[world, e, 5] = weld.dtype(state.rest[row] + height)


@wp.func
def forget(
    cvel: wp.array3d(dtype=wp.float32),
    cdof_dot: wp.array3d(dtype=wp.float32),
    world: int,
    body: int,
    first: int,
    speeds: int,
) -> None:
    """A body at rest, in the engine's memory of velocities."""
    if cvel.shape[0] > 0:
        for c in range(6):
            cvel[world, body, c] = 0.0
            for k in range(speeds):
                cdof_dot[world, first + k, c] = 0.0


@wp.kernel
def begin_pods(
    mask: wp.array(dtype=wp.uint8),
    layout: PodLayout,
    state: PodArrays,
    home: wp.array2d(dtype=wp.float32),
    qpos: wp.array2d(dtype=Any),
    qvel: wp.array2d(dtype=Any),
    warmstart: wp.array2d(dtype=Any),
    active: wp.array2d(dtype=Any),
    loss: wp.array2d(dtype=Any),
    carriers: wp.array(dtype=wp.int32),
    bodies: wp.array(dtype=wp.int32),
    cvel: wp.array3d(dtype=wp.float32),
    cdof_dot: wp.array3d(dtype=wp.float32),
) -> None:
    """The masked rows hold nothing, and their own pods are at `home`; where all rows begin, every pod is.

    `carriers` and `bodies` are the bodies of robots and pods in the engine's memory of velocities (`Backend.memory`;
    no rows where it has none), of which a weld of the first substep to come would be made.
    """
    world = wp.tid()
    speeds = wp.where(layout.falls == 1, 6, 3)
    whole = wp.bool(True)
    for robot in range(layout.robots):
        row = world * layout.robots + robot
        if mask[row] == wp.uint8(0):
            whole = False
            continue
        forget(cvel, cdof_dot, world, carriers[robot], robot * layout.qvel_stride, layout.qvel_stride)
        pod = state.carried[row]
        if pod >= 0:
            active[world, robot * layout.pods + pod] = active.dtype(0)
            state.carrier[world, pod] = -1
            first = layout.pod_qvel + pod * speeds
            for k in range(speeds):
                qvel[world, first + k] = qvel.dtype(0.0)
                warmstart[world, first + k] = warmstart.dtype(0.0)
            forget(cvel, cdof_dot, world, bodies[pod], first, speeds)
            if layout.falls == 0:
                set_friction(loss, world, first, state.grip[world, pod], layout.lever)
        if robot < layout.own:
            mine = layout.pods - layout.own + robot
            forget(cvel, cdof_dot, world, bodies[mine], layout.pod_qvel + mine * speeds, speeds)
            width = 3 + 4 * layout.falls
            for k in range(width):
                qpos[world, layout.pod_qpos + mine * width + k] = qpos.dtype(home[world, mine * width + k])
            for k in range(speeds):
                qvel[world, layout.pod_qvel + mine * speeds + k] = qvel.dtype(0.0)
                warmstart[world, layout.pod_qvel + mine * speeds + k] = warmstart.dtype(0.0)
        state.wanted[row] = wp.uint8(0)
        state.carried[row] = -1
        state.raised[row] = 0.0
        state.rest[row] = 0.0
        state.touching[row] = wp.uint8(0)
    if whole:
        for k in range(home.shape[1]):
            qpos[world, layout.pod_qpos + k] = qpos.dtype(home[world, k])
        for k in range(layout.pods * speeds):
            qvel[world, layout.pod_qvel + k] = qvel.dtype(0.0)
            warmstart[world, layout.pod_qvel + k] = warmstart.dtype(0.0)
        for each in range(layout.pods):
            forget(cvel, cdof_dot, world, bodies[each], layout.pod_qvel + each * speeds, speeds)


@wp.kernel
def load_pods(
    mask: wp.array(dtype=wp.uint8),
    layout: PodLayout,
    state: PodArrays,
    goods: wp.array2d(dtype=wp.float32),
    bodies: wp.array(dtype=wp.int32),
    inertia_per_mass: wp.array(dtype=wp.float32),
    mass: wp.array2d(dtype=Any),
    inertia: wp.array3d(dtype=Any),
    loss: wp.array2d(dtype=Any),
) -> None:
    """Mass and inertia of each pod of the masked worlds, and the friction of its feet while it stands."""
    world, pod = wp.tid()
    if mask[world] == wp.uint8(0):
        return
    total = EMPTY_C + goods[world, pod]
    mass[world, bodies[pod]] = mass.dtype(total)
    for k in range(3):
        inertia[world, bodies[pod], k] = inertia.dtype(total * inertia_per_mass[k])
    state.grip[world, pod] = GRIP_C * total
    if layout.falls == 0 and state.carrier[world, pod] < 0:
        set_friction(loss, world, layout.pod_qvel + 3 * pod, GRIP_C * total, layout.lever)


@wp.kernel
def count_load_contacts(
    robots: int,
    state: PodArrays,
    contacts: wp.array2d(dtype=wp.int32),
    sensordata: wp.array2d(dtype=Any),
    twist: wp.array2d(dtype=wp.float32),
    threshold: float,
    collided: wp.array(dtype=wp.uint8),
    bumped: wp.array(dtype=wp.uint8),
) -> None:
    """A contact that began at a carried pod is one of its carrier: a collision if that moved, else a bump."""
    row = wp.tid()
    pod = state.carried[row]
    if pod < 0:
        return
    found = wp.bool(False)
    for k in range(contacts.shape[1]):
        found = found or float(sensordata[row / robots, contacts[pod, k]]) > 0.0
    if found and state.touching[row] == wp.uint8(0):
        v = wp.sqrt(twist[row, 0] * twist[row, 0] + twist[row, 2] * twist[row, 2])
        if v > threshold or wp.abs(twist[row, 1]) > threshold:
            collided[row] = wp.uint8(1)
        else:
            bumped[row] = wp.uint8(1)
    state.touching[row] = wp.uint8(0)
    if found:
        state.touching[row] = wp.uint8(1)
