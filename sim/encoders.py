"""What wheel encoders say: travel of both wheels with slip, scale errors and a random walk; speeds and a reckoned pose.

At every physics step each wheel's rim travels; what its encoder counts goes into a reckoned pose at once and into the
mean speeds that the next sample reports. On the wheeled body the rim's speed is the joint's own, so that slip is the
engine's. On the planar body, which has no wheels, the ground under each wheel moves by v -+ w b / 2 and the rim turns
faster by the brush tyre's slip while it pulls, slower while it brakes (`sim.sensorspec.Odometry`). The firmware takes
its own radius and track for true (`DiffDrive.believed_track`), which makes the error of a robot whose wheels wore.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import math
from typing import Any

import warp as wp

from sim.randomization import Term, bell, draw_from, stream
from sim.robot import RobotSpec
from sim.sampling import Clockwork, Ring, first_slot, open_slot
from sim.sensorspec import Odometry
from sim.vary import Table

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

GRAVITY_C = wp.constant(9.81)
TRAVEL_TERM = wp.constant(int(Term.WHEEL_TRAVEL))

NUMBERS = 5
"""Of a sample: v (m/s), w (rad/s), x, y (m), yaw (rad) reckoned from where the episode began, in its frame W."""


@wp.struct
class WheelNumbers:
    """`Odometry` and the drive as a kernel reads them."""

    seed: int
    dt: float
    half_track: float
    radius: float
    believed_track: float
    believed_radius: float
    values: wp.array2d(dtype=wp.float32)
    """What the table of what varies gave to each row's episode, (rows, rows of the table)."""
    scale: int
    """Which of them is the left wheel's scale; the right one's follows."""
    walk: int
    quantum: float
    """Travel of one encoder count, m; 0: not quantised."""
    stiffness: float
    wheels: int
    """Where the wheels' speeds begin among a robot's; 0 on the planar body, which has none."""


@wp.struct
class WheelArrays:
    """What encoders remember; rows first."""

    rim: wp.array2d(dtype=wp.float32)
    """Ground speed under left and right wheel one step ago, m/s, (rows, 2)."""
    rest: wp.array2d(dtype=wp.float32)
    """Travel that has not made a count yet, m, (rows, 2)."""
    counted: wp.array2d(dtype=wp.float32)
    """Travel since the last sample, m, (rows, 2)."""
    steps: wp.array(dtype=wp.int32)
    """Physics steps since then, (rows,)."""
    pose: wp.array2d(dtype=wp.float32)
    """Reckoned, (rows, 3)."""


def wheel_numbers(
    sensor: Odometry, spec: RobotSpec, *, timestep: float, wheels: int, seed: int, table: Table, values: wp.array
) -> WheelNumbers:
    """A kernel's numbers. `values` were drawn from the table; slip is the floor's, not the sensor's."""
    drive, numbers = spec.diff, WheelNumbers()
    numbers.seed, numbers.dt, numbers.wheels = seed, timestep, wheels
    numbers.half_track, numbers.radius = drive.track / 2.0, drive.wheel_radius
    numbers.believed_track, numbers.believed_radius = drive.believed_track, drive.believed_wheel_radius
    numbers.values, numbers.scale, numbers.walk = values, table.index("encoder_left"), table.index("encoder_walk")
    assert table.index("encoder_right") == numbers.scale + 1
    numbers.quantum = 2.0 * math.pi * drive.believed_wheel_radius / sensor.counts if sensor.counts else 0.0
    numbers.stiffness = sensor.stiffness
    return numbers


def make_wheels(rows: int, device: str) -> WheelArrays:
    """At rest."""
    arrays = WheelArrays()
    for name, width in (("rim", 2), ("rest", 2), ("counted", 2), ("pose", 3)):
        setattr(arrays, name, wp.zeros((rows, width), dtype=wp.float32, device=device))
    arrays.steps = wp.zeros(rows, dtype=wp.int32, device=device)
    return arrays


@wp.func
def slip(accel: float, grip: float, stiffness: float) -> float:
    """How much faster the rim turns than the ground passes, as a share: the brush tyre solved for the slip.

    F / (mu N) = 1 - (1 - kappa / kappa_s)^3 with kappa_s = 3 mu / c; F / N is the acceleration over g.
    """
    share = wp.min(wp.abs(accel) / (grip * GRAVITY_C), 1.0)
    kappa = 3.0 * grip / stiffness * (1.0 - wp.pow(1.0 - share, 1.0 / 3.0))
    return wp.where(accel < 0.0, -kappa, kappa)


@wp.kernel
def turn_wheels(
    numbers: WheelNumbers,
    clock: wp.array(dtype=wp.int32),
    clockwork: Clockwork,
    episode: wp.array(dtype=wp.int32),
    twist: wp.array2d(dtype=wp.float32),
    friction: wp.array(dtype=wp.float32),
    qvel: wp.array2d(dtype=Any),
    robots: int,
    qvel_stride: int,
    wheels: WheelArrays,
    ring: Ring,
) -> None:
    """One physics step of each row's encoders, and a sample where one is due. twist (rows, 3), friction (rows,)."""
    row = wp.tid()
    now = clock[row]
    e = episode[row]
    key = stream(numbers.seed, TRAVEL_TERM, row, e)
    left = wp.float32(0.0)
    right = wp.float32(0.0)
    for side in range(2):
        sign = float(2 * side - 1)
        speed = wp.float32(0.0)
        if numbers.wheels > 0:
            speed = float(qvel[row / robots, (row % robots) * qvel_stride + numbers.wheels + side]) * numbers.radius
        else:
            ground = twist[row, 0] + sign * twist[row, 1] * numbers.half_track
            accel = (ground - wheels.rim[row, side]) / numbers.dt
            wheels.rim[row, side] = ground
            # the signed slip speeds a pulling wheel up, forwards and backwards: both go with the acceleration's sign
            speed = ground + slip(accel, friction[row], numbers.stiffness) * wp.abs(ground)
        travel = speed * numbers.believed_radius / numbers.radius * numbers.dt
        walk = numbers.values[row, numbers.walk] * wp.sqrt(wp.abs(travel)) * bell(draw_from(key, 2 * now + side))
        travel = travel * (1.0 + numbers.values[row, numbers.scale + side]) + walk
        if numbers.quantum > 0.0:
            travel += wheels.rest[row, side]
            whole = numbers.quantum * wp.floor(travel / numbers.quantum)
            wheels.rest[row, side] = travel - whole
            travel = whole
        wheels.counted[row, side] = wheels.counted[row, side] + travel
        if side == 0:
            left = travel
        else:
            right = travel
    # the arc of this step, by its middle heading
    ahead = 0.5 * (left + right)
    turn = (right - left) / numbers.believed_track
    yaw = wheels.pose[row, 2]
    wheels.pose[row, 0] = wheels.pose[row, 0] + ahead * wp.cos(yaw + 0.5 * turn)
    wheels.pose[row, 1] = wheels.pose[row, 1] + ahead * wp.sin(yaw + 0.5 * turn)
    yaw = yaw + turn
    wheels.pose[row, 2] = yaw - 2.0 * wp.pi * wp.floor((yaw + wp.pi) / (2.0 * wp.pi))
    wheels.steps[row] = wheels.steps[row] + 1
    slot = open_slot(row, now, clockwork, e, ring)
    if slot == -1:
        return
    seconds = float(wheels.steps[row]) * numbers.dt
    if slot >= 0:
        ring.value[row, slot, 0] = 0.5 * (wheels.counted[row, 0] + wheels.counted[row, 1]) / seconds
        ring.value[row, slot, 1] = (wheels.counted[row, 1] - wheels.counted[row, 0]) / numbers.believed_track / seconds
        for k in range(3):
            ring.value[row, slot, 2 + k] = wheels.pose[row, k]
    wheels.steps[row] = 0
    for side in range(2):
        wheels.counted[row, side] = 0.0


@wp.kernel
def start_wheels(
    mask: wp.array(dtype=wp.uint8),
    pose: wp.array2d(dtype=wp.float32),
    wheels: WheelArrays,
    ring: Ring,
) -> None:
    """The masked rows' episodes begin: they stand, and reckoning begins at their true pose (rows, 3)."""
    row = wp.tid()
    if mask[row] == wp.uint8(0):
        return
    slot = first_slot(row, ring)
    for side in range(2):
        wheels.rim[row, side] = 0.0
        wheels.rest[row, side] = 0.0
        wheels.counted[row, side] = 0.0
    wheels.steps[row] = 0
    for k in range(3):
        wheels.pose[row, k] = pose[row, k]
        ring.value[row, slot, 2 + k] = pose[row, k]
