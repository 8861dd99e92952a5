"""An IMU at base_link: specific force and turn rates in B, averaged since the last sample, with noise and bias.

    f_B = R_BW (dv_W/dt - g_W)        by the difference of v_W over each physics step, g_W = (0, 0, -9.81)
    w_B                               the free joint's own, or the planar base's yaw rate

The mean over the steps since the last sample is what the low-pass of such sensors leaves, and what makes a white noise
of density N and a sample time T have the standard deviation N / sqrt(T). On the planar base the body stays level.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import math
from typing import Any

import warp as wp

from sim.randomization import Term, bell, draw_from, stream, unit
from sim.sampling import Clockwork, Ring, first_slot, open_slot
from sim.sensorspec import Imu
from sim.vary import Table

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

GRAVITY_C = wp.constant(9.81)
IMU_TERM = wp.constant(int(Term.IMU))

NUMBERS = 6
"""Of a sample: specific force x, y, z (m/s^2), turn rate x, y, z (rad/s), in B."""

TURN_ON_C = wp.constant(-16)
"""First counter of the biases that an episode begins with, apart from those of samples."""


@wp.struct
class ImuNumbers:
    """`Imu` as a kernel reads it; of each pair the first is the force's, the second the turn rate's."""

    seed: int
    dt: float
    root: float
    """Root of the samples per second: noise grows with it, the walk between two samples shrinks."""
    values: wp.array2d(dtype=wp.float32)
    """What the table of what varies gave to each row's episode, (rows, rows of the table)."""
    noise: wp.vec2i
    """Which of them are the densities."""
    bias: wp.vec2i
    walk: wp.vec2i


@wp.struct
class ImuArrays:
    """What an IMU remembers; rows first."""

    velocity: wp.array2d(dtype=wp.float32)
    """v_W one step ago, (rows, 3)."""
    total: wp.array2d(dtype=wp.float32)
    """Sum since the last sample, (rows, 6)."""
    steps: wp.array(dtype=wp.int32)
    """Physics steps since then, (rows,)."""
    bias: wp.array2d(dtype=wp.float32)
    """(rows, 6)"""


def imu_numbers(sensor: Imu, *, timestep: float, seed: int, table: Table, values: wp.array) -> ImuNumbers:
    """A kernel's numbers. `values` were drawn from the table, (rows, rows of the table)."""
    rate = min(sensor.timing.rate or 1.0 / timestep, 1.0 / timestep)
    numbers = ImuNumbers()
    numbers.seed, numbers.dt = seed, timestep
    numbers.root, numbers.values = math.sqrt(rate), values
    for error in ("noise", "bias", "walk"):
        setattr(numbers, error, wp.vec2i(table.index(f"imu_accel_{error}"), table.index(f"imu_gyro_{error}")))
    return numbers


def make_imu(rows: int, device: str) -> ImuArrays:
    """At rest."""
    arrays = ImuArrays()
    for name, width in (("velocity", 3), ("total", 6), ("bias", 6)):
        setattr(arrays, name, wp.zeros((rows, width), dtype=wp.float32, device=device))
    arrays.steps = wp.zeros(rows, dtype=wp.int32, device=device)
    return arrays


@wp.func
def noise_of(row: int, kind: int, numbers: ImuNumbers) -> float:
    """Standard deviation of a sample; `kind` 0 is the force, 1 the turn rate."""
    return numbers.values[row, numbers.noise[kind]] * numbers.root


@wp.kernel
def feel(
    numbers: ImuNumbers,
    clock: wp.array(dtype=wp.int32),
    clockwork: Clockwork,
    episode: wp.array(dtype=wp.int32),
    qpos: wp.array2d(dtype=Any),
    qvel: wp.array2d(dtype=Any),
    robots: int,
    qpos_stride: int,
    qvel_stride: int,
    imu: ImuArrays,
    ring: Ring,
) -> None:
    """One physics step of each row's IMU, and a sample where one is due."""
    row = wp.tid()
    world = row / robots
    q = (row % robots) * qpos_stride
    u = (row % robots) * qvel_stride
    velocity = wp.vec3(float(qvel[world, u]), float(qvel[world, u + 1]), 0.0)
    rate = wp.vec3(0.0, 0.0, 0.0)
    turn = wp.quat_identity()
    if qpos_stride == qvel_stride:  # no quaternion: the planar base
        turn = wp.quat_from_axis_angle(wp.vec3(0.0, 0.0, 1.0), float(qpos[world, q + 2]))
        rate = wp.vec3(0.0, 0.0, float(qvel[world, u + 2]))
    else:
        velocity = wp.vec3(velocity[0], velocity[1], float(qvel[world, u + 2]))
        rate = wp.vec3(float(qvel[world, u + 3]), float(qvel[world, u + 4]), float(qvel[world, u + 5]))
        turn = wp.quaternion(
            float(qpos[world, q + 4]), float(qpos[world, q + 5]), float(qpos[world, q + 6]), float(qpos[world, q + 3])
        )
    before = wp.vec3(imu.velocity[row, 0], imu.velocity[row, 1], imu.velocity[row, 2])
    force = wp.quat_rotate_inv(turn, (velocity - before) / numbers.dt + wp.vec3(0.0, 0.0, GRAVITY_C))
    for k in range(3):
        imu.velocity[row, k] = velocity[k]
        imu.total[row, k] = imu.total[row, k] + force[k]
        imu.total[row, 3 + k] = imu.total[row, 3 + k] + rate[k]
    imu.steps[row] = imu.steps[row] + 1
    slot = open_slot(row, clock[row], clockwork, episode[row], ring)
    if slot == -1:
        return
    key = stream(numbers.seed, IMU_TERM, row, episode[row])
    base = 12 * ring.ticks[row]
    for k in range(6):
        kind = k / 3
        walk = numbers.values[row, numbers.walk[kind]] / numbers.root
        imu.bias[row, k] = imu.bias[row, k] + walk * bell(draw_from(key, base + k))
        if slot >= 0:
            mean = imu.total[row, k] / float(imu.steps[row])
            ring.value[row, slot, k] = (
                mean + imu.bias[row, k] + noise_of(row, kind, numbers) * bell(draw_from(key, base + 6 + k))
            )
        imu.total[row, k] = 0.0
    imu.steps[row] = 0


@wp.kernel
def start_imu(
    numbers: ImuNumbers,
    mask: wp.array(dtype=wp.uint8),
    episode: wp.array(dtype=wp.int32),
    imu: ImuArrays,
    ring: Ring,
) -> None:
    """The masked rows' episodes begin: they stand level, and their biases are drawn."""
    row = wp.tid()
    if mask[row] == wp.uint8(0):
        return
    slot = first_slot(row, ring)
    key = stream(numbers.seed, IMU_TERM, row, episode[row])
    imu.steps[row] = 0
    for k in range(3):
        imu.velocity[row, k] = 0.0
    for k in range(6):
        kind = k / 3
        imu.total[row, k] = 0.0
        imu.bias[row, k] = numbers.values[row, numbers.bias[kind]] * (2.0 * unit(draw_from(key, TURN_ON_C + k)) - 1.0)
        true = wp.where(k == 2, GRAVITY_C, 0.0)
        ring.value[row, slot, k] = true + imu.bias[row, k] + noise_of(row, kind, numbers) * bell(draw_from(key, k))
