"""What the road's motor level reads, sees and tells: in its task and under a frozen policy by the same functions.

A policy is asked every ASK motor periods of an episode, whatever the control period of the task, by
`MotorArrays.count`. It sees errors of the car against the firmware's setpoint (sim/driving/drive.py) as wheels,
accelerometer, gyro and steering sensor have them, averaged since it was asked last:

    error      acceleration - a_s, steering angle - s_d, (yaw rate - v k_s) as an angle of steering
    drift   <- (drift + error dt) (1 - dt / FORGET)        of speed and of heading
    brakes     <told given> / <told^2>, leaky, while braking: what brakes give over what they are told

Its answer is a correction of what actuators are told, as a share of what the firmware lets through.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp

from sim.drive import DriveArrays
from sim.driving.drive import ACCEL_CORRECTION, CarArrays, CarLimits, bounded, may_weaken, steering_angle, steering_room
from sim.perceptron import Net, answer
from sim.randomization import Term, bell, draw_from, stream
from sim.rows import RobotArrays
from sim.vary import VaryArrays

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

ASK = 2
"""Motor periods of 10 ms from one answer to the next: 50 Hz."""

HISTORY = 3
"""Readings that are kept, newest first: an error, its change, and how that changes (60 ms)."""

FORGET = 0.5
"""s; ten times the lags, and ten decisions of the level above, which closes the loop over speed and heading."""

SPEED_UNIT, FORCE_UNIT, DRIFT_UNIT = 30.0, 5.0, 0.1
"""What one stands for: m/s, m/s^2, m/s of drift."""

OBSERVATION = 8 + 3 * HISTORY + 2 + 4 + 1
"""Numbers of an observation."""

BRAKES_TIME = 5.0
"""s; time constant of what the brakes are found to give over what they are told: some seconds of braking."""

BRAKES_LEAST = 0.5
"""m/s^2; gentler braking says too little of the brakes."""

BRAKES_EXPECTED = 1.1
"""What brakes give over what they are told before anything is known, and BRAKES_WEIGHT (m^2/s^4) of that."""
BRAKES_WEIGHT = 0.5

ASK_C, HISTORY_C = wp.constant(ASK), wp.constant(HISTORY)
FORGET_C, BRAKES_TIME_C, BRAKES_LEAST_C = wp.constant(FORGET), wp.constant(BRAKES_TIME), wp.constant(BRAKES_LEAST)
EXPECTED_C, WEIGHT_C = wp.constant(BRAKES_EXPECTED), wp.constant(BRAKES_WEIGHT)
SPEED_C, FORCE_C, DRIFT_C = wp.constant(SPEED_UNIT), wp.constant(FORCE_UNIT), wp.constant(DRIFT_UNIT)
ACCEL_C = wp.constant(ACCEL_CORRECTION)
NOISE_TERM = wp.constant(int(Term.MOTOR_NOISE))


@wp.struct
class MotorDraws:
    """The table, and which row is which."""

    table: VaryArrays
    accel_bias: int
    gyro_bias: int
    accel_noise: int
    gyro_noise: int
    speed_noise: int
    steer_noise: int


@wp.struct
class MotorArrays:
    """What the motor level remembers, one row each."""

    bias: wp.array2d(dtype=wp.float32)
    """Of accelerometer and gyro, m/s^2 and rad/s, (rows, 2)."""
    speed: wp.array(dtype=wp.float32)
    """As read last, m/s, (rows,)."""
    sums: wp.array2d(dtype=wp.float32)
    """Since the last ask, over motor periods: errors of acceleration, steering angle, yaw rate, acceleration; what the
    brakes were told; (rows, 5)."""
    error: wp.array2d(dtype=wp.float32)
    """As read, newest first: acceleration (m/s^2), steering angle and yaw as an angle of steering (rad),
    (rows, 3 HISTORY)."""
    drift: wp.array2d(dtype=wp.float32)
    """Leaky speed and heading error as read, m/s and rad, (rows, 2)."""
    brakes: wp.array2d(dtype=wp.float32)
    """Leaky means of told times given and of told squared, while braking, (rows, 2)."""
    told: wp.array2d(dtype=wp.float32)
    """The last two answers, newest first, as shares of what may be corrected: drive, steering; (rows, 4)."""
    count: wp.array(dtype=wp.int32)
    """Motor periods begun in this episode: every ASK of them the policy is asked, (rows,)."""


@wp.kernel
def begin_motor(draws: MotorDraws, mask: wp.array(dtype=wp.uint8), cars: CarArrays, motor: MotorArrays) -> None:
    """Other sensors for each masked row, as the plant drew them for its episode; nothing read, nothing corrected."""
    row = wp.tid()
    if mask[row] == wp.uint8(0):
        return
    motor.bias[row, 0] = draws.table.values[row, draws.accel_bias]
    motor.bias[row, 1] = draws.table.values[row, draws.gyro_bias]
    motor.speed[row] = 0.0
    for k in range(motor.sums.shape[1]):
        motor.sums[row, k] = 0.0
    for k in range(3 * HISTORY_C):
        motor.error[row, k] = 0.0
    for k in range(2):
        motor.drift[row, k] = 0.0
        cars.correction[row, k] = 0.0
    motor.brakes[row, 0] = EXPECTED_C * WEIGHT_C
    motor.brakes[row, 1] = WEIGHT_C
    for k in range(4):
        motor.told[row, k] = 0.0
    motor.count[row] = 0


@wp.func
def gather(
    row: int, limits: CarLimits, state: RobotArrays, drive: DriveArrays, cars: CarArrays, motor: MotorArrays
) -> None:
    """After a motor period: what the sensors' averages of the ask are made of."""
    v = state.twist[row, 0]
    a = drive.setpoint[row, 0]
    angle = steering_angle(limits.wheelbase, cars.motion[row, 1])
    motor.sums[row, 0] = motor.sums[row, 0] + cars.motion[row, 0] - a
    motor.sums[row, 1] = motor.sums[row, 1] + angle - steering_angle(limits.wheelbase, drive.setpoint[row, 1])
    motor.sums[row, 2] = motor.sums[row, 2] + state.twist[row, 1] - v * drive.setpoint[row, 1]
    motor.sums[row, 3] = motor.sums[row, 3] + cars.motion[row, 0]
    motor.sums[row, 4] = motor.sums[row, 4] + cars.asked[row]


@wp.func
def read(
    row: int, dt: float, seed: int, draws: MotorDraws, limits: CarLimits, state: RobotArrays, motor: MotorArrays
) -> None:
    """Read the sensors, after the ASK motor periods since the policy was asked."""
    key = stream(seed, NOISE_TERM, row, state.episode[row])
    at = 4 * motor.count[row]
    share = 1.0 / float(ASK_C)
    noise = motor.bias[row, 0] + draws.table.ranges[draws.accel_noise, 1] * bell(draw_from(key, at))
    dv = motor.sums[row, 0] * share + noise
    given = motor.sums[row, 3] * share + noise
    turned = motor.sums[row, 1] * share + draws.table.ranges[draws.steer_noise, 1] * bell(draw_from(key, at + 1))
    rate = motor.sums[row, 2] * share + motor.bias[row, 1]
    rate += draws.table.ranges[draws.gyro_noise, 1] * bell(draw_from(key, at + 2))
    v = wp.max(state.twist[row, 0] + draws.table.ranges[draws.speed_noise, 1] * bell(draw_from(key, at + 3)), 0.0)
    motor.speed[row] = v
    for back in range(HISTORY_C - 1):
        k = 3 * (HISTORY_C - 1 - back)
        for c in range(3):
            motor.error[row, k + c] = motor.error[row, k + c - 3]
    motor.error[row, 0] = dv
    motor.error[row, 1] = turned
    motor.error[row, 2] = rate * limits.wheelbase / wp.max(v, 1.0)
    period = dt * float(ASK_C)
    keep = 1.0 - period / FORGET_C
    motor.drift[row, 0] = (motor.drift[row, 0] + dv * period) * keep
    motor.drift[row, 1] = (motor.drift[row, 1] + rate * period) * keep
    told = motor.sums[row, 4] * share
    if told < -BRAKES_LEAST_C and v > 1.0:
        share = period / BRAKES_TIME_C
        motor.brakes[row, 0] = motor.brakes[row, 0] + (told * given - motor.brakes[row, 0]) * share
        motor.brakes[row, 1] = motor.brakes[row, 1] + (told * told - motor.brakes[row, 1]) * share
    for k in range(motor.sums.shape[1]):
        motor.sums[row, k] = 0.0


@wp.func
def look(
    row: int,
    dt: float,
    told_a: float,
    told_k: float,
    limits: CarLimits,
    drive: DriveArrays,
    motor: MotorArrays,
    out: wp.array2d(dtype=wp.float32),
) -> None:
    """The observation of a row whose command in the coming motor period is (told_a, told_k)."""
    v = motor.speed[row]
    told = bounded(told_a, told_k, v, limits)
    room = steering_room(v, limits)
    a = drive.setpoint[row, 0]
    angle = steering_angle(limits.wheelbase, drive.setpoint[row, 1])
    rise = wp.clamp(told[0] - a, -limits.jerk_max * dt, limits.jerk_max * dt)
    turn = wp.clamp(told[1] - angle, -limits.steer_rate * dt, limits.steer_rate * dt)
    across = v * v * drive.setpoint[row, 1]
    out[row, 0] = v / SPEED_C
    out[row, 1] = (told[0] - a) / FORCE_C
    out[row, 2] = (a + rise) / FORCE_C
    out[row, 3] = rise / (limits.jerk_max * dt)
    out[row, 4] = across / FORCE_C
    out[row, 5] = wp.clamp((told[1] - angle) / room, -5.0, 5.0)
    out[row, 6] = wp.clamp(turn / room, -5.0, 5.0)
    out[row, 7] = wp.where(may_weaken(told[0], across, limits), 1.0, 0.0)
    at = wp.int32(8)
    for k in range(HISTORY_C):
        out[row, at] = wp.clamp(motor.error[row, 3 * k] / ACCEL_C, -10.0, 10.0)
        out[row, at + 1] = wp.clamp(motor.error[row, 3 * k + 1] / room, -10.0, 10.0)
        out[row, at + 2] = wp.clamp(motor.error[row, 3 * k + 2] / room, -10.0, 10.0)
        at += 3
    out[row, at] = wp.clamp(motor.drift[row, 0] / DRIFT_C, -10.0, 10.0)
    out[row, at + 1] = wp.clamp(v * motor.drift[row, 1] / DRIFT_C, -10.0, 10.0)
    for k in range(4):
        out[row, at + 2 + k] = motor.told[row, k]
    out[row, at + 6] = 10.0 * wp.clamp(motor.brakes[row, 0] / motor.brakes[row, 1] - EXPECTED_C, -0.5, 0.5)


@wp.func
def tell(row: int, drives: float, steers: float, limits: CarLimits, cars: CarArrays, motor: MotorArrays) -> None:
    """An answer, as shares of what may be corrected, for the coming ASK motor periods."""
    for k in range(2):
        motor.told[row, 2 + k] = motor.told[row, k]
    motor.told[row, 0] = wp.clamp(drives, -1.0, 1.0)
    motor.told[row, 1] = wp.clamp(steers, -1.0, 1.0)
    cars.correction[row, 0] = ACCEL_C * motor.told[row, 0]
    cars.correction[row, 1] = steering_room(motor.speed[row], limits) * motor.told[row, 1]


@wp.kernel
def step_motor(
    periods: int,
    dt: float,
    seed: int,
    draws: MotorDraws,
    limits: CarLimits,
    net: Net,
    state: RobotArrays,
    drive: DriveArrays,
    cars: CarArrays,
    motor: MotorArrays,
    seen: wp.array2d(dtype=wp.float32),
) -> None:
    """Before a motor period of each row, of `periods` in a control cycle: read; every ASK of them look, answer, tell.

    Episodes begin with a control cycle, so that their counts say which period of the cycle comes.
    """
    row = wp.tid()
    count = motor.count[row]
    if count > 0:
        gather(row, limits, state, drive, cars, motor)
    if count % ASK_C == 0:
        if count > 0:
            read(row, dt, seed, draws, limits, state, motor)
        else:
            motor.speed[row] = wp.max(state.twist[row, 0], 0.0)  # as it was placed
        a = drive.released[row, 0]
        k = drive.released[row, 1]
        if count % periods < drive.latency[row]:
            a = drive.before[row, 0]
            k = drive.before[row, 1]
        look(row, dt, a, k, limits, drive, motor, seen)
        said = answer(row, seen, net)
        if state.active[row] == wp.uint8(0):
            said = wp.vec2(0.0, 0.0)  # a car that stands aside stays there
        tell(row, said[0], said[1], limits, cars, motor)
    motor.count[row] = count + 1
