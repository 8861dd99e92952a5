"""Rows of robots: the state that each has whatever its task, and the kernels that begin its steps and its episodes.

Rows are robots, row = world * robots + robot. This module needs no physics library; `sim/plant.py` launches its
kernels, tasks read and write its arrays.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from typing import Any

import warp as wp

from sim.drive import DriveArrays
from sim.robot import Lidar
from sim.vary import Table, VaryArrays, draw_episode

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

GRAVITY_C = wp.constant(9.81)


@wp.struct
class RobotArrays:
    """State of every robot that belongs to no task; every array has rows first."""

    episode: wp.array(dtype=wp.int32)
    """Episodes begun, less one."""
    step: wp.array(dtype=wp.int32)
    """Control steps taken in this episode."""
    pose: wp.array2d(dtype=wp.float32)
    """True p_WB: x, y (m), yaw; (rows, 3)."""
    twist: wp.array2d(dtype=wp.float32)
    """True v_B: forward, yaw rate, sideways; (rows, 3)."""
    measured_pose: wp.array2d(dtype=wp.float32)
    """As localised, (rows, 3)."""
    measured_twist: wp.array2d(dtype=wp.float32)
    """By odometry, (rows, 2)."""
    scan: wp.array2d(dtype=wp.float32)
    """Lidar ranges, (rows, rays), m."""
    proposed: wp.array2d(dtype=wp.float32)
    """The task's command, (rows, 2)."""
    touching: wp.array2d(dtype=wp.uint8)
    """Contacts that lasted at the end of the last substep, (rows, counterparts)."""
    collided: wp.array(dtype=wp.uint8)
    """Whether a contact began in this step while the robot moved."""
    bumped: wp.array(dtype=wp.uint8)
    """The same at rest."""
    active: wp.array(dtype=wp.uint8)
    """Whether the robot takes part; one that does not stands off the floor, is told to stand and never ends."""
    refused: wp.array(dtype=wp.uint8)
    """Whether the action of this step was no number: the robot was told to stand, its episode ends as diverged."""
    friction: wp.array(dtype=wp.float32)
    """Friction coefficient drawn for the episode."""
    payload: wp.array(dtype=wp.float32)
    """kg"""


@wp.struct
class Draws:
    """What the plant's draws need, as kernels read it: the table, which row is which, and the robot's own numbers."""

    table: VaryArrays
    friction: int
    payload: int
    payload_mass: int
    motor_strength: int
    motor_lag: int
    brake_strength: int
    latency: int
    thrust: float
    mass: float
    payload_max: float
    lag_room: float
    motor_period: float
    half_track: float
    wheel_radius: float


def make_draws(table: Table, arrays: VaryArrays) -> Draws:
    """Where the rows of a table are; the robot's numbers are still to be filled in."""
    draws = Draws()
    draws.table = arrays
    for name in ("friction", "payload", "payload_mass", "motor_strength", "motor_lag", "brake_strength", "latency"):
        setattr(draws, name, table.index(name))
    return draws


def make_robots(rows: int, lidar: Lidar, counterparts: int, device: str) -> RobotArrays:
    """No episode begun; the lidar sees nothing."""
    state = RobotArrays()
    state.episode = wp.full(rows, -1, dtype=wp.int32, device=device)
    state.step = wp.zeros(rows, dtype=wp.int32, device=device)
    for name, width in (("pose", 3), ("twist", 3), ("measured_pose", 3), ("measured_twist", 2), ("proposed", 2)):
        setattr(state, name, wp.zeros((rows, width), dtype=wp.float32, device=device))
    state.scan = wp.full((rows, lidar.rays), lidar.range_max, dtype=wp.float32, device=device)
    state.active = wp.full(rows, 1, dtype=wp.uint8, device=device)
    state.touching = wp.zeros((rows, counterparts), dtype=wp.uint8, device=device)
    for name in ("collided", "bumped", "refused"):
        setattr(state, name, wp.zeros(rows, dtype=wp.uint8, device=device))
    for name in ("friction", "payload"):
        setattr(state, name, wp.zeros(rows, dtype=wp.float32, device=device))
    return state


@wp.kernel
def open_step(
    robots: int,
    action: wp.array2d(dtype=wp.float32),
    state: RobotArrays,
    drive: DriveArrays,
    diverged: wp.array(dtype=wp.uint8),
) -> None:
    """Begin a control step of each row: what was released last becomes `before`, and the step's flags are cleared.

    An action with a number that is not finite is replaced by zeros.
    """
    row = wp.tid()
    refused = wp.bool(False)
    if state.active[row] == wp.uint8(0):
        for k in range(action.shape[1]):
            action[row, k] = 0.0
    for k in range(action.shape[1]):
        refused = refused or not wp.isfinite(action[row, k])
    state.refused[row] = wp.uint8(0)
    if refused:
        state.refused[row] = wp.uint8(1)
        for k in range(action.shape[1]):
            action[row, k] = 0.0
    for k in range(2):
        drive.before[row, k] = drive.released[row, k]
    state.collided[row] = wp.uint8(0)
    state.bumped[row] = wp.uint8(0)
    state.step[row] = state.step[row] + 1
    if row % robots == 0:
        diverged[row / robots] = wp.uint8(0)


@wp.func
def is_lost(row: int, world: int, state: RobotArrays, diverged: wp.array(dtype=wp.uint8)) -> bool:
    """Whether the row's episode ends as diverged: its world blew up, or its action was no number."""
    return state.refused[row] != wp.uint8(0) or diverged[world] != wp.uint8(0)


@wp.func
def come_to_rest(row: int, state: RobotArrays, drive: DriveArrays) -> None:
    """A robot without speed, commands under way or contacts."""
    for k in range(3):
        state.twist[row, k] = 0.0
    for k in range(2):
        drive.released[row, k] = 0.0
        drive.before[row, k] = 0.0
        drive.setpoint[row, k] = 0.0
        drive.output[row, k] = 0.0
    for k in range(state.touching.shape[1]):
        state.touching[row, k] = wp.uint8(0)


@wp.kernel
def renew_rows(
    seed: int,
    robots: int,
    stride: int,
    actuators: int,
    vary: Draws,
    mask: wp.array(dtype=wp.uint8),
    state: RobotArrays,
    drive: DriveArrays,
    limits: wp.array3d(dtype=Any),
) -> None:
    """The next episode of each masked row: what drive and floor are like, everything at rest.

    `limits` (worlds, actuators of all robots, 2) are force or torque ranges; each robot has `stride` actuators, the
    first `actuators` of which are its base's.
    """
    row = wp.tid()
    if mask[row] == wp.uint8(0):
        return
    e = state.episode[row] + 1
    state.episode[row] = e
    state.step[row] = 0
    come_to_rest(row, state, drive)
    draw_episode(seed, row, e, vary.table)
    load = vary.table.values[row, vary.payload]
    rub = vary.table.values[row, vary.friction]
    thrust = vary.thrust * vary.table.values[row, vary.motor_strength]
    state.payload[row] = load
    state.friction[row] = rub
    # what the body weighs in physics (sim/variedfields.py): with the payload it pushes harder to be as fast
    mass = vary.mass + load * vary.table.values[row, vary.payload_mass]
    pull = mass * wp.min(rub * GRAVITY_C, thrust / (vary.mass + load))
    slip = mass * rub * GRAVITY_C
    world = row / robots
    first = (row % robots) * stride
    for k in range(actuators):
        limit = pull
        if actuators == 2:
            limit = pull * 0.5 * vary.wheel_radius  # the torque at which a wheel under half the weight slips
        elif k == 1:
            limit = slip
        elif k == 2:
            limit = slip * vary.half_track
        limits[world, first + k, 0] = limits.dtype(-limit)
        limits[world, first + k, 1] = limits.dtype(limit)
    # latency in whole substeps; the motor lag gets what the specification's bound leaves
    late = int(vary.table.values[row, vary.latency])
    drive.latency[row] = late
    room = wp.max(vary.lag_room - float(late) * vary.motor_period, 0.0)
    empty = room * vary.mass / (vary.mass + vary.payload_max)
    lag = empty * vary.table.values[row, vary.motor_lag]
    drive.lag[row] = lag * (vary.mass + load) / vary.mass
    drive.brake[row] = vary.table.values[row, vary.brake_strength]


@wp.func
def stand_upright(
    world: int, first: int, x: float, y: float, z: float, yaw: float, qpos: wp.array2d(dtype=Any)
) -> None:
    """The seven coordinates of a free joint, which begin at `first`: at (x, y, z) in W, turned by yaw alone."""
    qpos[world, first] = qpos.dtype(x)
    qpos[world, first + 1] = qpos.dtype(y)
    qpos[world, first + 2] = qpos.dtype(z)
    qpos[world, first + 3] = qpos.dtype(wp.cos(0.5 * yaw))
    qpos[world, first + 4] = qpos.dtype(0.0)
    qpos[world, first + 5] = qpos.dtype(0.0)
    qpos[world, first + 6] = qpos.dtype(wp.sin(0.5 * yaw))


@wp.kernel
def place_rows(
    robots: int,
    qpos_stride: int,
    qvel_stride: int,
    rest_height: float,
    mask: wp.array(dtype=wp.uint8),
    pose: wp.array2d(dtype=wp.float32),
    qpos: wp.array2d(dtype=Any),
    qvel: wp.array2d(dtype=Any),
    warmstart: wp.array2d(dtype=Any),
) -> None:
    """Put each masked row's body where its pose says, at rest."""
    row = wp.tid()
    if mask[row] == wp.uint8(0):
        return
    world = row / robots
    q0 = (row % robots) * qpos_stride
    u0 = (row % robots) * qvel_stride
    yaw = pose[row, 2]
    first = wp.int32(3)  # of the joints beyond the base: wheels, fork, arm; all begin at 0
    if qpos_stride == qvel_stride:  # no quaternion: the planar base
        qpos[world, q0] = qpos.dtype(pose[row, 0])
        qpos[world, q0 + 1] = qpos.dtype(pose[row, 1])
        qpos[world, q0 + 2] = qpos.dtype(yaw)
    else:
        first = 7
        stand_upright(world, q0, pose[row, 0], pose[row, 1], rest_height, yaw, qpos)
    for k in range(first, qpos_stride):
        qpos[world, q0 + k] = qpos.dtype(0.0)
    for k in range(qvel_stride):
        qvel[world, u0 + k] = qvel.dtype(0.0)
        warmstart[world, u0 + k] = warmstart.dtype(0.0)


@wp.kernel
def copy_rows(
    mask: wp.array(dtype=wp.uint8), source: wp.array2d(dtype=wp.float32), target: wp.array2d(dtype=wp.float32)
) -> None:
    """Copy the masked rows."""
    row = wp.tid()
    if mask[row] != wp.uint8(0):
        for k in range(source.shape[1]):
            target[row, k] = source[row, k]
