"""What the physics knows of each robot: its true pose and speeds, and the contacts that began in a substep.

Rows are robots: row = world * robots + robot. All arrays are float32 but for the physics state, whose type is the
backend's (`Any`: mujoco.batch's strided float64 views and mujoco_warp's float32 arrays are read as they are).
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from typing import Any

import warp as wp

wp.set_module_options({"fuse_fp": False, "enable_backward": False})


@wp.func
def read_body(
    row: int,
    qpos: wp.array2d(dtype=Any),
    qvel: wp.array2d(dtype=Any),
    robots: int,
    qpos_stride: int,
    qvel_stride: int,
    pose: wp.array2d(dtype=wp.float32),
    twist: wp.array2d(dtype=wp.float32),
) -> None:
    """True p_WB and v_B of one row."""
    world = row / robots
    robot = row % robots
    q = robot * qpos_stride
    u = robot * qvel_stride
    yaw = wp.float32(0.0)
    rate = wp.float32(0.0)
    if qpos_stride == qvel_stride:  # no quaternion: the planar base
        yaw = float(qpos[world, q + 2])
        rate = float(qvel[world, u + 2])
        # The hinge counts turns; kernels take the angle in (-pi, pi].
        yaw = yaw - 2.0 * wp.pi * wp.floor((yaw + wp.pi) / (2.0 * wp.pi))
    else:
        w = float(qpos[world, q + 3])
        i = float(qpos[world, q + 4])
        j = float(qpos[world, q + 5])
        k = float(qpos[world, q + 6])
        yaw = wp.atan2(2.0 * (w * k + i * j), 1.0 - 2.0 * (j * j + k * k))
        rate = float(qvel[world, u + 5])  # angular velocity of a free joint is in B
    vx = float(qvel[world, u])
    vy = float(qvel[world, u + 1])
    c = wp.cos(yaw)
    s = wp.sin(yaw)
    pose[row, 0] = float(qpos[world, q])
    pose[row, 1] = float(qpos[world, q + 1])
    pose[row, 2] = yaw
    twist[row, 0] = c * vx + s * vy
    twist[row, 1] = rate
    twist[row, 2] = c * vy - s * vx


@wp.func
def count_contact(
    row: int,
    sensordata: wp.array2d(dtype=Any),
    robots: int,
    contacts: wp.array2d(dtype=wp.int32),
    threshold: float,
    twist: wp.array2d(dtype=wp.float32),
    touching: wp.array2d(dtype=wp.uint8),
    collided: wp.array(dtype=wp.uint8),
    bumped: wp.array(dtype=wp.uint8),
) -> None:
    """Collisions and bumps of one row that began in the state that `twist` and the sensors describe.

    `contacts` (robots, counterparts) says where in `sensordata` (worlds, sensors) each robot's counterparts lie, and
    `touching` (rows, counterparts) which of them touched it before: every pair is a contact of its own, so that one
    that begins while another lasts is not missed. One that began while the robot moved faster than `threshold` (m/s
    or rad/s) is a collision, one that began at rest a bump. One that lasts counts once. `collided` and `bumped` (rows)
    collect.
    """
    world = row / robots
    robot = row % robots
    for k in range(contacts.shape[1]):
        found = float(sensordata[world, contacts[robot, k]]) > 0.0
        if found != (touching[row, k] != wp.uint8(0)):
            touching[row, k] = wp.uint8(0)
            if found:
                touching[row, k] = wp.uint8(1)
                v = wp.sqrt(twist[row, 0] * twist[row, 0] + twist[row, 2] * twist[row, 2])
                if v > threshold or wp.abs(twist[row, 1]) > threshold:
                    collided[row] = wp.uint8(1)
                else:
                    bumped[row] = wp.uint8(1)


@wp.kernel
def read_bodies(
    qpos: wp.array2d(dtype=Any),
    qvel: wp.array2d(dtype=Any),
    robots: int,
    qpos_stride: int,
    qvel_stride: int,
    pose: wp.array2d(dtype=wp.float32),
    twist: wp.array2d(dtype=wp.float32),
) -> None:
    """True p_WB (rows, 3) and v_B: forward, yaw rate and sideways speed (rows, 3), from either body's coordinates."""
    read_body(wp.tid(), qpos, qvel, robots, qpos_stride, qvel_stride, pose, twist)


@wp.kernel
def after_substep(
    sensordata: wp.array2d(dtype=Any),
    qpos: wp.array2d(dtype=Any),
    qvel: wp.array2d(dtype=Any),
    robots: int,
    qpos_stride: int,
    qvel_stride: int,
    contacts: wp.array2d(dtype=wp.int32),
    threshold: float,
    pose: wp.array2d(dtype=wp.float32),
    twist: wp.array2d(dtype=wp.float32),
    touching: wp.array2d(dtype=wp.uint8),
    collided: wp.array(dtype=wp.uint8),
    bumped: wp.array(dtype=wp.uint8),
) -> None:
    """`count_contact` of the state before the substep, which sensors and `twist` both describe, then `read_body`.

    In this order, because the second overwrites what the first judges by.
    """
    row = wp.tid()
    count_contact(row, sensordata, robots, contacts, threshold, twist, touching, collided, bumped)
    read_body(row, qpos, qvel, robots, qpos_stride, qvel_stride, pose, twist)
