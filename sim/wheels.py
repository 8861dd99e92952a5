"""What lies between the drive's law and the floor: wheels that are not what the law takes them for, and their sensors.

The law (`sim/drive.py`) turns a setpoint s = (s_v, s_w) into rim speeds by the geometry that it believes in. Wheels
wear, and wide tyres roll on no point, so that truly

    rim_true = gain rim_believed, one gain for each wheel          w_true = (right - left) / track_true

A motor policy adds a correction to each rim's speed, at most CORRECTION_MAX, through the same lag of the motors; 0 is
the law itself. It sees what a base has: encoders (which count by the believed radius) and a gyro with a
bias. They are kept as errors against the setpoint that ruled when they were read:

    wheel error  = rim by encoder - (s_v -+ s_w track / 2)        gyro error = yaw rate - s_w
    drift       <- drift + (error - drift) dt / DRIFT_TIME        of both wheels' mean and of the gyro

Rows are robots. No clock and no authority: the correction is bounded, so whatever a policy says, rims stay within
CORRECTION_MAX of what the law asks for.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import warp as wp

from sim.drive import DriveArrays
from sim.fields import Recompute
from sim.randomization import Term, bell, draw_from, stream
from sim.robot import SECOND
from sim.rows import RobotArrays
from sim.vary import Change, Row, VaryArrays

if TYPE_CHECKING:
    from sim.plant import Plant

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

CORRECTION_MAX = 0.2
"""Largest correction of a rim's speed, m/s: the law's worst error (2 x 0.2 m/s^2 x 40 ms of lag and servo, 3 % of
1.5 m/s, 5 % of 2 rad/s x 0.21 m) and half as much again."""

HISTORY = 3
"""Readings that are kept of encoders and gyro, newest first: speed, its change, and how that changes (60 ms)."""

DRIFT_TIME = 0.5
"""Time constant of the leaky means, s: ten times the drive's own, so that they show scale errors and not transients."""

CORRECTION_C = wp.constant(CORRECTION_MAX)
HISTORY_C = wp.constant(HISTORY)
DRIFT_C = wp.constant(DRIFT_TIME)
SENSOR_TERM = wp.constant(int(Term.WHEEL_SENSORS))


def wheel_rows() -> tuple[Row, ...]:
    """What varies about wheels and their sensors."""
    none = Recompute.NONE
    return (
        Row(
            Term.WHEELS, "wheel_radius", "uniform", -0.02, 0.02, "of the believed", "", none,
            "own choice: 1.6 mm of a tyre of 80 mm, by wear and load; sim/sensors.py takes 2 % too", bounds=(-0.1, 0.1),
        ),
        Row(
            Term.WHEELS, "wheel_mismatch", "uniform", -0.01, 0.01, "of the radius", "", none,
            "own choice: right against left; unequal diameters are a main error of odometry (Borenstein, Feng 1996)",
            bounds=(-0.1, 0.1), counter=1,
        ),
        Row(
            Term.WHEELS, "wheel_track", "uniform", -0.05, 0.05, "of the believed", "", none,
            "own choice: a tyre of 40 mm touches the floor somewhere within +-20 mm of 420 mm", bounds=(-0.2, 0.2),
            counter=2,
        ),
        Row(
            Term.WHEELS, "gyro_bias", "uniform", -0.005, 0.005, "rad/s", "", none,
            "own choice: 0.3 deg/s, what a MEMS gyro keeps after calibration at standstill", bounds=(-0.1, 0.1),
            counter=3,
        ),
        Row(
            Term.WHEEL_SENSORS, "gyro_noise", "uniform", 0.002, 0.002, "rad/s", "", none,
            "datasheet: Bosch BMI088, 0.014 deg/s/sqrt(Hz), in 50 Hz 0.1 deg/s; standard deviation of a reading",
            bounds=(0.0, 0.1), drawn=False,
        ),
        Row(
            Term.WHEEL_SENSORS, "encoder_noise", "uniform", 0.003, 0.003, "m/s", "", none,
            "own choice: one count of 4096 in a turn of 0.5 m in 20 ms is 0.006 m/s; standard deviation of a reading",
            bounds=(0.0, 0.1), drawn=False, counter=1,
        ),
    )  # fmt: skip


TRUE_WHEELS = tuple(Change(row.name, 0.0, 0.0) for row in wheel_rows())
"""Wheels as they are believed, sensors without errors."""


@wp.struct
class WheelDraws:
    """The table, and which row is which."""

    table: VaryArrays
    wheel_radius: int
    wheel_mismatch: int
    wheel_track: int
    gyro_bias: int
    gyro_noise: int
    encoder_noise: int


@wp.struct
class WheelArrays:
    """Wheels and their sensors, one row each."""

    gain: wp.array2d(dtype=wp.float32)
    """True over believed radius, left and right, (rows, 2)."""
    track: wp.array(dtype=wp.float32)
    """Believed over true track, (rows,)."""
    bias: wp.array(dtype=wp.float32)
    """Of the gyro, rad/s, (rows,)."""
    before: wp.array2d(dtype=wp.float32)
    """The setpoint of the last motor period, (rows, 2)."""
    told: wp.array2d(dtype=wp.float32)
    """Corrections of the last two periods as shares of CORRECTION_MAX, newest first: left, right; (rows, 4)."""
    correction: wp.array2d(dtype=wp.float32)
    """What the motors make of them after their lag, m/s, (rows, 2)."""
    wheel: wp.array2d(dtype=wp.float32)
    """Wheel errors, left and right, newest first, m/s, (rows, 2 HISTORY)."""
    gyro: wp.array2d(dtype=wp.float32)
    """Gyro errors, newest first, rad/s, (rows, HISTORY)."""
    drift: wp.array2d(dtype=wp.float32)
    """Leaky means of the wheels' mean error and of the gyro's, (rows, 2)."""
    count: wp.array(dtype=wp.int32)
    """Motor periods begun in this episode, (rows,)."""


@wp.struct
class Base:
    """A base's numbers, and where its controls and joints lie."""

    robots: int
    dt: float
    """Motor period, s."""
    half_track: float
    """Half of the believed track, m."""
    wheel_radius: float
    """Believed, m."""
    wheels: int
    """1: two wheel speeds are commanded; 0: a planar body's velocities."""
    ctrl_stride: int
    qvel_stride: int


def make_wheels(rows: int, device: str) -> WheelArrays:
    """Wheels as they are believed, nothing read yet."""
    arrays = WheelArrays()
    arrays.gain = wp.ones((rows, 2), dtype=wp.float32, device=device)
    arrays.track = wp.ones(rows, dtype=wp.float32, device=device)
    arrays.bias = wp.zeros(rows, dtype=wp.float32, device=device)
    widths = {"before": 2, "told": 4, "correction": 2, "wheel": 2 * HISTORY, "gyro": HISTORY, "drift": 2}
    for name, width in widths.items():
        setattr(arrays, name, wp.zeros((rows, width), dtype=wp.float32, device=device))
    arrays.count = wp.zeros(rows, dtype=wp.int32, device=device)
    return arrays


def base_of(plant: Plant) -> Base:
    """The numbers of a plant's base."""
    spec, scene = plant.spec, plant.scene
    base = Base()
    base.robots = plant.robots
    base.dt = spec.motor_period / SECOND
    base.half_track = spec.diff.believed_track / 2.0
    base.wheel_radius = spec.diff.believed_wheel_radius
    base.wheels = int(scene.ctrl_stride - spec.tools == 2)
    base.ctrl_stride, base.qvel_stride = scene.ctrl_stride, scene.qvel_stride
    return base


def draws_of(plant: Plant) -> WheelDraws:
    """Where the rows of a plant's table are. Raises VaryError for a table without `wheel_rows`."""
    draws = WheelDraws()
    draws.table = plant.varies
    for row in wheel_rows():
        setattr(draws, row.name, plant.table.index(row.name))
    return draws


@wp.kernel
def begin_wheels(draws: WheelDraws, mask: wp.array(dtype=wp.uint8), wheels: WheelArrays) -> None:
    """Other wheels for each masked row, as the plant drew them for its episode; at rest, nothing read."""
    row = wp.tid()
    if mask[row] == wp.uint8(0):
        return
    radius = draws.table.values[row, draws.wheel_radius]
    mismatch = draws.table.values[row, draws.wheel_mismatch]
    wheels.gain[row, 0] = 1.0 + radius - 0.5 * mismatch
    wheels.gain[row, 1] = 1.0 + radius + 0.5 * mismatch
    wheels.track[row] = 1.0 + draws.table.values[row, draws.wheel_track]
    wheels.bias[row] = draws.table.values[row, draws.gyro_bias]
    for k in range(2):
        wheels.before[row, k] = 0.0
        wheels.correction[row, k] = 0.0
        wheels.drift[row, k] = 0.0
    for k in range(4):
        wheels.told[row, k] = 0.0
    for k in range(2 * HISTORY_C):
        wheels.wheel[row, k] = 0.0
    for k in range(HISTORY_C):
        wheels.gyro[row, k] = 0.0
    wheels.count[row] = 0


@wp.func
def read_wheels(
    row: int,
    seed: int,
    draws: WheelDraws,
    base: Base,
    setpoint_v: float,
    setpoint_w: float,
    state: RobotArrays,
    qvel: wp.array2d(dtype=Any),
    wheels: WheelArrays,
) -> None:
    """Read encoders and gyro after a motor period in which this setpoint ruled."""
    world = row / base.robots
    first = (row % base.robots) * base.qvel_stride
    middle = state.twist[row, 0]
    apart = state.twist[row, 1] * base.half_track  # the planar body's rims turn as it moves
    if base.wheels == 1:
        left = float(qvel[world, first + 6]) * base.wheel_radius
        right = float(qvel[world, first + 7]) * base.wheel_radius
        middle = 0.5 * (left + right)
        apart = 0.5 * (right - left)
    apart = apart / wheels.track[row]
    left_wheel = (middle - apart) / wheels.gain[row, 0]
    right_wheel = (middle + apart) / wheels.gain[row, 1]
    key = stream(seed, SENSOR_TERM, row, state.episode[row])
    at = 3 * wheels.count[row]
    jitter = draws.table.ranges[draws.encoder_noise, 1]
    left_wheel += jitter * bell(draw_from(key, at)) - (setpoint_v - setpoint_w * base.half_track)
    right_wheel += jitter * bell(draw_from(key, at + 1)) - (setpoint_v + setpoint_w * base.half_track)
    noise = draws.table.ranges[draws.gyro_noise, 1] * bell(draw_from(key, at + 2))
    rate = state.twist[row, 1] + wheels.bias[row] + noise - setpoint_w
    for back in range(HISTORY_C - 1):
        k = HISTORY_C - 1 - back
        wheels.wheel[row, 2 * k] = wheels.wheel[row, 2 * k - 2]
        wheels.wheel[row, 2 * k + 1] = wheels.wheel[row, 2 * k - 1]
        wheels.gyro[row, k] = wheels.gyro[row, k - 1]
    wheels.wheel[row, 0] = left_wheel
    wheels.wheel[row, 1] = right_wheel
    wheels.gyro[row, 0] = rate
    share = base.dt / DRIFT_C
    wheels.drift[row, 0] = wheels.drift[row, 0] + (0.5 * (left_wheel + right_wheel) - wheels.drift[row, 0]) * share
    wheels.drift[row, 1] = wheels.drift[row, 1] + (rate - wheels.drift[row, 1]) * share


@wp.func
def turn_wheels(
    row: int,
    base: Base,
    left: float,
    right: float,
    drive: DriveArrays,
    wheels: WheelArrays,
    ctrl: wp.array2d(dtype=Any),
) -> None:
    """Write the controls: the law's output with corrections (shares of CORRECTION_MAX) and true wheels."""
    wheels.count[row] = wheels.count[row] + 1
    wheels.told[row, 2] = wheels.told[row, 0]
    wheels.told[row, 3] = wheels.told[row, 1]
    wheels.told[row, 0] = wp.clamp(left, -1.0, 1.0)
    wheels.told[row, 1] = wp.clamp(right, -1.0, 1.0)
    share = base.dt / (drive.lag[row] + base.dt)
    for k in range(2):
        goal = CORRECTION_C * wheels.told[row, k]
        wheels.correction[row, k] = wheels.correction[row, k] + (goal - wheels.correction[row, k]) * share
    ov = drive.output[row, 0]
    ow = drive.output[row, 1]
    rim_left = (ov - ow * base.half_track + wheels.correction[row, 0]) * wheels.gain[row, 0]
    rim_right = (ov + ow * base.half_track + wheels.correction[row, 1]) * wheels.gain[row, 1]
    # the model's track is the nominal one: where the tyres touch shows in how far rims must differ for a turn
    middle = 0.5 * (rim_left + rim_right)
    apart = 0.5 * (rim_right - rim_left) * wheels.track[row]
    world = row / base.robots
    c = (row % base.robots) * base.ctrl_stride
    if base.wheels == 1:
        ctrl[world, c] = ctrl.dtype((middle - apart) / base.wheel_radius)
        ctrl[world, c + 1] = ctrl.dtype((middle + apart) / base.wheel_radius)
    else:
        ctrl[world, c] = ctrl.dtype(middle)
        ctrl[world, c + 2] = ctrl.dtype(apart / base.half_track)
