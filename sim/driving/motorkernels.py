"""The motor level's task on the road: its commands, its errors, its rewards; what is seen: sim/driving/motorsense.py.

What is followed is the firmware's setpoint (sim/driving/drive.py): acceleration a_s and curvature k_s. The error is how
far the car's velocity is from that of a car which followed it exactly, forgotten at FORGET's pace, because the level
above sees speed and heading and closes its own loop over them:

    e_v <- (e_v + dv - a_s dt) (1 - dt / T)       e_h <- (e_h + (yaw rate - v k_s) dt) (1 - dt / T)
    e = |(e_v, v e_h)|, m/s                       reward = -ERROR_WEIGHT e - CHANGE_WEIGHT |change of the action|^2

The policy knows neither: it has the same from its sensors, with their errors.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp

from sim.drive import DriveArrays
from sim.driving.drive import CarArrays, CarLimits, sharpest
from sim.driving.motorsense import ASK_C, FORGET_C, MotorArrays, MotorDraws, gather, look, read, tell
from sim.driving.state import Footing
from sim.randomization import Term, below, draw_from, stream, unit
from sim.rows import RobotArrays, is_lost
from sim.tasks.task import COLLIDED_C, DIVERGED_C, RUNNING_C, TIMED_OUT_C, Outcome, close

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

ERROR_WEIGHT = wp.constant(10.0)
CHANGE_WEIGHT = wp.constant(0.02)
"""A jump over all of a correction costs as much as an error of 8 mm/s, as in the warehouse."""

HOLD_LEAST, HOLD_SPAN = wp.constant(2), wp.constant(4)
"""A command rules for 2 to 5 asks, 40 to 100 ms: the skills' control period lies between."""

JUMP, JITTER = wp.constant(0.15), wp.constant(0.45)
"""Chance that a command is drawn anew, and that it moves by up to JITTER_SHARE of its range; else it holds."""

JITTER_SHARE = wp.constant(0.15)

SUDDEN = wp.constant(0.25)
"""Of the jumps, those to any acceleration, full braking included; else towards another speed."""

START_GAP = wp.constant(500.0)
"""m between the cars of one world: more than two can drive towards each other in an episode of 6 s."""

COMMAND_TERM = wp.constant(int(Term.MOTOR_COMMAND))
START_TERM = wp.constant(int(Term.MOTOR_START))


@wp.struct
class Following:
    """What the task remembers, one row each."""

    command: wp.array2d(dtype=wp.float32)
    """Of the next step, (rows, 2)."""
    hold: wp.array(dtype=wp.int32)
    """Steps until the next one, (rows,)."""
    drawn: wp.array(dtype=wp.int32)
    """Commands drawn in this episode, (rows,)."""
    truth: wp.array2d(dtype=wp.float32)
    """Leaky error of speed and heading, and the speed before, (rows, 3)."""
    error: wp.array(dtype=wp.float32)
    """Of the last step, m/s, (rows,)."""
    total: wp.array(dtype=wp.float32)
    """Of the episode so far, (rows,)."""


@wp.func
def judge(row: int, dt: float, state: RobotArrays, drive: DriveArrays, following: Following) -> float:
    """The true error after a motor period, m/s."""
    v = state.twist[row, 0]
    keep = 1.0 - dt / FORGET_C
    speed = (following.truth[row, 0] + v - following.truth[row, 2] - drive.setpoint[row, 0] * dt) * keep
    heading = (following.truth[row, 1] + (state.twist[row, 1] - v * drive.setpoint[row, 1]) * dt) * keep
    following.truth[row, 0] = speed
    following.truth[row, 1] = heading
    following.truth[row, 2] = v
    return wp.sqrt(speed * speed + v * v * heading * heading)


@wp.func
def signed(key: wp.uint64, counter: int) -> float:
    """Uniform in [-1, 1)."""
    return 2.0 * unit(draw_from(key, counter)) - 1.0


@wp.func
def next_command(row: int, v: float, seed: int, limits: CarLimits, state: RobotArrays, following: Following) -> None:
    """Hold, jitter or jump, when the last command has ruled for its time."""
    if following.hold[row] > 0:
        following.hold[row] = following.hold[row] - 1
        return
    sharp = sharpest(v, limits)
    key = stream(seed, COMMAND_TERM, row, state.episode[row])
    number = following.drawn[row]
    following.drawn[row] = number + 1
    at = 8 * number
    following.hold[row] = HOLD_LEAST - 1 + below(draw_from(key, at), HOLD_SPAN)
    how = unit(draw_from(key, at + 1))
    a = following.command[row, 0]
    k = following.command[row, 1]
    if number == 0 or how < JUMP:
        if unit(draw_from(key, at + 2)) < SUDDEN:
            a = -limits.brake_min + (limits.accel_max + limits.brake_min) * unit(draw_from(key, at + 3))
        else:
            wanted = limits.speed_max * unit(draw_from(key, at + 3))
            a = (wanted - v) / (1.0 + 4.0 * unit(draw_from(key, at + 4)))
            a = wp.clamp(a, -limits.brake_comfort, limits.accel_max)
        k = sharp * signed(key, at + 5)
    elif how < JUMP + JITTER:
        a += JITTER_SHARE * limits.accel_max * signed(key, at + 3)
        k += JITTER_SHARE * sharp * signed(key, at + 5)
    following.command[row, 0] = wp.clamp(a, -limits.brake_min, limits.accel_max)
    following.command[row, 1] = wp.clamp(k, -sharp, sharp)


@wp.kernel
def command_cars(state: RobotArrays, following: Following, command: wp.array2d(dtype=wp.float32)) -> None:
    """This step's command; a car that takes no part is told to stand."""
    row = wp.tid()
    for k in range(2):
        command[row, k] = 0.0
        if state.active[row] != wp.uint8(0):
            command[row, k] = following.command[row, k]


@wp.kernel
def correct(
    dt: float,
    limits: CarLimits,
    action: wp.array2d(dtype=wp.float32),
    state: RobotArrays,
    drive: DriveArrays,
    cars: CarArrays,
    motor: MotorArrays,
    following: Following,
) -> None:
    """Before each motor period of a step: the action in the first, in the others what the one before it did."""
    row = wp.tid()
    count = motor.count[row]
    if count % ASK_C == 0:
        following.error[row] = 0.0
        tell(row, action[row, 0], action[row, 1], limits, cars, motor)
    else:
        gather(row, limits, state, drive, cars, motor)
        following.error[row] = following.error[row] + judge(row, dt, state, drive, following) / float(ASK_C)
    motor.count[row] = count + 1


@wp.kernel
def advance(
    robots: int,
    dt: float,
    seed: int,
    time_limit: int,
    tolerated: float,
    draws: MotorDraws,
    limits: CarLimits,
    state: RobotArrays,
    drive: DriveArrays,
    cars: CarArrays,
    diverged: wp.array(dtype=wp.uint8),
    motor: MotorArrays,
    following: Following,
    outcome: Outcome,
) -> None:
    """One step of each row: the error, the readings, the next command. `tolerated`: mean error of a success, m/s."""
    row = wp.tid()
    if state.active[row] == wp.uint8(0):
        close(row, RUNNING_C, 0.0, outcome)
        return
    gather(row, limits, state, drive, cars, motor)
    read(row, dt, seed, draws, limits, state, motor)
    e = following.error[row] + judge(row, dt, state, drive, following) / float(ASK_C)
    following.error[row] = e
    following.total[row] = following.total[row] + e
    drives = motor.told[row, 0] - motor.told[row, 2]
    steers = motor.told[row, 1] - motor.told[row, 3]
    r = -ERROR_WEIGHT * e - CHANGE_WEIGHT * (drives * drives + steers * steers)
    next_command(row, wp.max(state.twist[row, 0], 0.0), seed, limits, state, following)
    how = wp.int32(RUNNING_C)
    if is_lost(row, row / robots, state, diverged):
        how = DIVERGED_C
        r = 0.0
    elif state.collided[row] != wp.uint8(0):
        how = COLLIDED_C
    elif state.step[row] >= time_limit:
        how = TIMED_OUT_C
    close(row, how, r, outcome)
    if how == TIMED_OUT_C and following.total[row] <= tolerated * float(time_limit):
        outcome.success[row] = wp.uint8(1)


@wp.kernel
def begin(
    robots: int,
    seed: int,
    limits: CarLimits,
    mask: wp.array(dtype=wp.uint8),
    state: RobotArrays,
    footing: Footing,
    speed: wp.array(dtype=wp.float32),
    following: Following,
) -> None:
    """A speed and a heading for each masked row, far from the others of its world, and its first command."""
    row = wp.tid()
    if mask[row] == wp.uint8(0) or state.active[row] == wp.uint8(0):
        return
    key = stream(seed, START_TERM, row, state.episode[row])
    v = limits.speed_max * unit(draw_from(key, 0))
    state.pose[row, 0] = 0.0
    state.pose[row, 1] = START_GAP * float(row % robots)
    state.pose[row, 2] = wp.pi * signed(key, 1)
    footing.lane[row] = -1  # on no road: there is nothing to keep to
    for k in range(4):
        footing.place[row, k] = 0.0
    speed[row] = v
    following.truth[row, 0] = 0.0
    following.truth[row, 1] = 0.0
    following.truth[row, 2] = v
    following.error[row] = 0.0
    following.total[row] = 0.0
    following.hold[row] = 0
    following.drawn[row] = 0
    next_command(row, v, seed, limits, state, following)


@wp.kernel
def observe(
    mask: wp.array(dtype=wp.uint8),
    dt: float,
    limits: CarLimits,
    state: RobotArrays,
    drive: DriveArrays,
    motor: MotorArrays,
    following: Following,
    out: wp.array2d(dtype=wp.float32),
) -> None:
    """What the motor level knows before the coming step; a command with a latency does not rule from its beginning."""
    row = wp.tid()
    if mask[row] == wp.uint8(0):
        return
    a = following.command[row, 0]
    k = following.command[row, 1]
    if drive.latency[row] > 0:
        a = drive.released[row, 0]
        k = drive.released[row, 1]
    if motor.count[row] == 0:
        motor.speed[row] = wp.max(state.twist[row, 0], 0.0)  # as it was placed
    look(row, dt, a, k, limits, drive, motor, out)
