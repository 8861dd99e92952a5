"""The kernels of the track task: commands that hold, jitter or jump, the speed error, and what a motor level sees.

error        e = sqrt((v - s_v)^2 + (r (w - s_w))^2), r the hull's radius: the speed error of a point of it, m/s
reward       -ERROR_WEIGHT e - CHANGE_WEIGHT |change of the action|^2

`look` is also what a frozen motor policy sees inside the plant (sim/motornet.py).
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from typing import Any

import warp as wp

from sim.drive import DriveArrays, slew
from sim.randomization import Term, below, draw_from, stream, unit
from sim.robot import RobotSpec
from sim.rows import RobotArrays, is_lost
from sim.tasks.aside import stand_aside
from sim.tasks.task import COLLIDED_C, DIVERGED_C, RUNNING_C, TIMED_OUT_C, Outcome, close
from sim.wheels import HISTORY, Base, WheelArrays, WheelDraws, read_wheels, turn_wheels

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

OBSERVATION = 2 + 2 + 2 * HISTORY + HISTORY + 2 + 4
"""Numbers in an observation."""

WHEEL_UNIT = 0.1
"""m/s; a wheel error of this is a large one."""

GYRO_UNIT = 0.25
"""rad/s; at the hull as much as WHEEL_UNIT."""

ERROR_WEIGHT = wp.constant(10.0)
CHANGE_WEIGHT = wp.constant(0.02)
"""A jump over the whole range of one wheel costs as much as an error of 8 mm/s: motors are not to rattle."""

COMMAND_PERIODS = wp.constant(5)
"""Motor periods between two commands: the control period of 100 ms."""

JUMP, JITTER = wp.constant(0.15), wp.constant(0.45)
"""Chance that a command is drawn anew, and that it moves by up to JITTER_SHARE of its range; else it holds."""

JITTER_SHARE = wp.constant(0.15)

START_TRIES = wp.constant(16)
WHEEL_UNIT_C = wp.constant(WHEEL_UNIT)
GYRO_UNIT_C = wp.constant(GYRO_UNIT)
HISTORY_C = wp.constant(HISTORY)
COMMAND_TERM = wp.constant(int(Term.TRACK_COMMAND))
START_TERM = wp.constant(int(Term.TRACK_START))


@wp.struct
class Limits:
    """The drive's bounds, as kernels read them."""

    speed_max: float
    reverse_max: float
    turn_max: float
    accel: float
    turn_accel: float
    radius: float
    """Of the hull, m."""
    tolerated: float
    """Mean error of a success, m/s."""


def limits_of(spec: RobotSpec) -> Limits:
    """A specification's bounds, and what the drive's law makes of them."""
    limits, drive = Limits(), spec.diff
    limits.speed_max, limits.reverse_max, limits.turn_max = drive.speed_max, drive.reverse_max, drive.turn_max
    limits.accel, limits.turn_accel = drive.accel_max, drive.turn_accel_max
    limits.radius, limits.tolerated = spec.radius, spec.tracking_e1
    return limits


@wp.struct
class Following:
    """What the task remembers, one row each."""

    command: wp.array2d(dtype=wp.float32)
    """Of the next step, (rows, 2)."""
    error: wp.array(dtype=wp.float32)
    """Of the last step, m/s, (rows,)."""
    total: wp.array(dtype=wp.float32)
    """Of the episode so far, (rows,)."""


@wp.func
def look(
    row: int,
    base: Base,
    limits: Limits,
    v: float,
    w: float,
    wheels: WheelArrays,
    out: wp.array2d(dtype=wp.float32),
) -> None:
    """The observation of a row whose setpoint in the coming motor period is (v, w)."""
    out[row, 0] = v / limits.speed_max
    out[row, 1] = w / limits.turn_max
    out[row, 2] = (v - wheels.before[row, 0]) / (limits.accel * base.dt)
    out[row, 3] = (w - wheels.before[row, 1]) / (limits.turn_accel * base.dt)
    for k in range(2 * HISTORY_C):
        out[row, 4 + k] = wheels.wheel[row, k] / WHEEL_UNIT_C
    at = 4 + 2 * HISTORY_C
    for k in range(HISTORY_C):
        out[row, at + k] = wheels.gyro[row, k] / GYRO_UNIT_C
    at = at + HISTORY_C
    out[row, at] = wheels.drift[row, 0] / WHEEL_UNIT_C
    out[row, at + 1] = wheels.drift[row, 1] / GYRO_UNIT_C
    for k in range(4):
        out[row, at + 2 + k] = wheels.told[row, k]


@wp.func
def signed(key: wp.uint64, counter: int) -> float:
    """Uniform in [-1, 1)."""
    return 2.0 * unit(draw_from(key, counter)) - 1.0


@wp.func
def next_command(row: int, seed: int, limits: Limits, state: RobotArrays, following: Following) -> None:
    """Every COMMAND_PERIODS steps: hold, jitter or jump."""
    step = state.step[row]
    if step % COMMAND_PERIODS != 0:
        return
    key = stream(seed, COMMAND_TERM, row, state.episode[row])
    at = 3 * (step / COMMAND_PERIODS)
    how = unit(draw_from(key, at))
    if step == 0 or how < JUMP:
        v = -limits.reverse_max + (limits.speed_max + limits.reverse_max) * unit(draw_from(key, at + 1))
        following.command[row, 0] = v
        following.command[row, 1] = limits.turn_max * signed(key, at + 2)
    elif how < JUMP + JITTER:
        v = following.command[row, 0] + JITTER_SHARE * limits.speed_max * signed(key, at + 1)
        w = following.command[row, 1] + JITTER_SHARE * limits.turn_max * signed(key, at + 2)
        following.command[row, 0] = wp.clamp(v, -limits.reverse_max, limits.speed_max)
        following.command[row, 1] = wp.clamp(w, -limits.turn_max, limits.turn_max)


@wp.kernel
def tell(state: RobotArrays, following: Following, command: wp.array2d(dtype=wp.float32)) -> None:
    """This step's command; a robot that takes no part is told to stand."""
    row = wp.tid()
    for k in range(2):
        command[row, k] = 0.0
        if state.active[row] != wp.uint8(0):
            command[row, k] = following.command[row, k]


@wp.kernel
def correct(
    base: Base,
    action: wp.array2d(dtype=wp.float32),
    drive: DriveArrays,
    wheels: WheelArrays,
    ctrl: wp.array2d(dtype=Any),
) -> None:
    """The controls of one motor period; the drive's law has run."""
    row = wp.tid()
    turn_wheels(row, base, action[row, 0], action[row, 1], drive, wheels, ctrl)


@wp.kernel
def advance(
    seed: int,
    time_limit: int,
    draws: WheelDraws,
    base: Base,
    limits: Limits,
    state: RobotArrays,
    drive: DriveArrays,
    qvel: wp.array2d(dtype=Any),
    diverged: wp.array(dtype=wp.uint8),
    wheels: WheelArrays,
    following: Following,
    outcome: Outcome,
) -> None:
    """One motor period of each row: the error, the readings, the next command."""
    row = wp.tid()
    if state.active[row] == wp.uint8(0):
        close(row, RUNNING_C, 0.0, outcome)
        return
    sv = drive.setpoint[row, 0]
    sw = drive.setpoint[row, 1]
    dv = state.twist[row, 0] - sv
    dw = limits.radius * (state.twist[row, 1] - sw)
    e = wp.sqrt(dv * dv + dw * dw)
    left = wheels.told[row, 0] - wheels.told[row, 2]
    right = wheels.told[row, 1] - wheels.told[row, 3]
    r = -ERROR_WEIGHT * e - CHANGE_WEIGHT * (left * left + right * right)
    following.error[row] = e
    following.total[row] = following.total[row] + e
    read_wheels(row, seed, draws, base, sv, sw, state, qvel, wheels)
    wheels.before[row, 0] = sv
    wheels.before[row, 1] = sw
    next_command(row, seed, limits, state, following)
    how = wp.int32(RUNNING_C)
    if is_lost(row, row / base.robots, state, diverged):
        how = DIVERGED_C
        r = 0.0
    elif state.collided[row] != wp.uint8(0):
        how = COLLIDED_C
    elif state.step[row] >= time_limit:
        how = TIMED_OUT_C
    close(row, how, r, outcome)
    if how == TIMED_OUT_C and following.total[row] <= limits.tolerated * float(time_limit):
        outcome.success[row] = wp.uint8(1)


@wp.kernel
def begin(
    seed: int,
    robots: int,
    width: int,
    height: int,
    cell: float,
    limits: Limits,
    mask: wp.array(dtype=wp.uint8),
    free: wp.array(dtype=wp.int32),
    state: RobotArrays,
    drive: DriveArrays,
    following: Following,
) -> None:
    """A place in the middle of a free cell, off the other robots, any yaw, and the first command; a thread a world."""
    world = wp.tid()
    for robot in range(robots):
        row = world * robots + robot
        if mask[row] != wp.uint8(0) and state.active[row] == wp.uint8(0):
            stand_aside(row, robot, state)
        elif mask[row] != wp.uint8(0):
            key = stream(seed, START_TERM, row, state.episode[row])
            found = wp.bool(False)
            for attempt in range(START_TRIES):
                if not found:
                    place = free[below(draw_from(key, 1 + attempt), free.shape[0])]
                    x = (float(place % width) + 0.5) * cell
                    y = (float(height - 1 - place / width) + 0.5) * cell
                    found = wp.bool(True)
                    for other in range(robots):
                        o = world * robots + other
                        if other != robot and (mask[o] == wp.uint8(0) or other < robot):
                            dx = state.pose[o, 0] - x
                            dy = state.pose[o, 1] - y
                            if dx * dx + dy * dy < 9.0 * limits.radius * limits.radius:
                                found = wp.bool(False)
                    state.pose[row, 0] = x
                    state.pose[row, 1] = y
            state.pose[row, 2] = wp.pi * signed(key, 0)
            # the way of a command to the drive is not the motor level's: what counts here begins when it is there
            drive.latency[row] = 0
            following.error[row] = 0.0
            following.total[row] = 0.0
            next_command(row, seed, limits, state, following)


@wp.kernel
def observe(
    mask: wp.array(dtype=wp.uint8),
    base: Base,
    limits: Limits,
    drive: DriveArrays,
    wheels: WheelArrays,
    following: Following,
    out: wp.array2d(dtype=wp.float32),
) -> None:
    """What the motor level knows before the coming motor period."""
    row = wp.tid()
    if mask[row] == wp.uint8(0):
        return
    v = slew(drive.setpoint[row, 0], following.command[row, 0], limits.accel, drive.brake[row], base.dt)
    w = slew(drive.setpoint[row, 1], following.command[row, 1], limits.turn_accel, limits.turn_accel, base.dt)
    look(row, base, limits, v, w, wheels, out)
