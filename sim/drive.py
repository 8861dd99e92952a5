"""The drive's own controller: what the base's firmware does with a released command, every 20 ms.

The setpoint follows the released command no faster than the drive accelerates, brakes and turns; a first-order lag
stands for the motors; the result is written as body velocities (planar body) or wheel speeds (wheeled body):

    s  <- s + clip(r - s, brake or accelerate)        r the released command, after its latency
    o  <- o + (s - o) dt / (lag + dt)
    planar: (v, 0, w)        wheeled: (v -+ w track / 2) / wheel_radius

Braking is BRAKE_SHARE times the guaranteed bound, so that the guarantee holds with the lag. While the setpoint brakes
on an arc its yaw rate is bounded by the drive's turn acceleration alone: who wants the arc kept commands both. It
keeps no clock and no authority: rows are robots, memory is the arrays of `DriveArrays`.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from typing import Any

import warp as wp

from sim.launches import Launchable, record
from sim.robot import SECOND, RobotSpec

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

BRAKE_SHARE = 1.2
"""Braking of the firmware over the guaranteed bound; with it the lagged body still stops within the bound's
distance."""


@wp.struct
class DriveArrays:
    """Memory and parameters of many drives, one row each."""

    released: wp.array2d(dtype=wp.float32)
    """The command in force, v and w, (rows, 2)."""
    before: wp.array2d(dtype=wp.float32)
    """The command before it, which rules until the latency has passed, (rows, 2)."""
    latency: wp.array(dtype=wp.int32)
    """Substeps from the start of a control cycle until the new command rules, (rows,)."""
    lag: wp.array(dtype=wp.float32)
    """Time constant of the motors, s, (rows,)."""
    brake: wp.array(dtype=wp.float32)
    """What the setpoint brakes by, m/s^2, (rows,)."""
    setpoint: wp.array2d(dtype=wp.float32)
    """(rows, 2)"""
    output: wp.array2d(dtype=wp.float32)
    """Body velocity after the lag, (rows, 2)."""


def make_drive(rows: int, device: str) -> DriveArrays:
    """Drives at rest without latency or lag; `record_drive` gives them their brakes."""
    arrays = DriveArrays()
    for name in ("released", "before", "setpoint", "output"):
        setattr(arrays, name, wp.zeros((rows, 2), dtype=wp.float32, device=device))
    arrays.latency = wp.zeros(rows, dtype=wp.int32, device=device)
    for name in ("lag", "brake"):
        setattr(arrays, name, wp.zeros(rows, dtype=wp.float32, device=device))
    return arrays


@wp.func
def slew(now: float, goal: float, accel: float, brake: float, dt: float) -> float:
    """The setpoint one step on: towards zero at `brake`, away from it at `accel`; never across zero in one step."""
    if now > 0.0 and goal < now:
        return wp.max(wp.max(goal, 0.0), now - brake * dt)
    if now < 0.0 and goal > now:
        return wp.min(wp.min(goal, 0.0), now + brake * dt)
    return now + wp.clamp(goal - now, -accel * dt, accel * dt)


@wp.kernel
def step_drive(
    substep: int,
    dt: float,
    accel: float,
    turn_accel: float,
    half_track: float,
    wheel_radius: float,
    robots: int,
    ctrl_stride: int,
    wheels: int,
    released: wp.array2d(dtype=wp.float32),
    before: wp.array2d(dtype=wp.float32),
    latency: wp.array(dtype=wp.int32),
    lag: wp.array(dtype=wp.float32),
    brake: wp.array(dtype=wp.float32),
    setpoint: wp.array2d(dtype=wp.float32),
    output: wp.array2d(dtype=wp.float32),
    ctrl: wp.array2d(dtype=Any),
) -> None:
    """One motor period of each row; `substep` counts motor periods since the control cycle began.

    With `wheels` the base's first two controls are wheel speeds, else its first three are velocities in B.
    """
    row = wp.tid()
    v = released[row, 0]
    w = released[row, 1]
    if substep < latency[row]:
        v = before[row, 0]
        w = before[row, 1]
    sv = slew(setpoint[row, 0], v, accel, brake[row], dt)
    sw = slew(setpoint[row, 1], w, turn_accel, turn_accel, dt)
    share = dt / (lag[row] + dt)
    ov = output[row, 0] + (sv - output[row, 0]) * share
    ow = output[row, 1] + (sw - output[row, 1]) * share
    setpoint[row, 0] = sv
    setpoint[row, 1] = sw
    output[row, 0] = ov
    output[row, 1] = ow
    world = row / robots
    c = (row % robots) * ctrl_stride
    if wheels == 0:
        ctrl[world, c] = ctrl.dtype(ov)
        ctrl[world, c + 1] = ctrl.dtype(0.0)
        ctrl[world, c + 2] = ctrl.dtype(ow)
    else:
        ctrl[world, c] = ctrl.dtype((ov - ow * half_track) / wheel_radius)
        ctrl[world, c + 1] = ctrl.dtype((ov + ow * half_track) / wheel_radius)


def record_drive(
    spec: RobotSpec, drive: DriveArrays, ctrl: wp.array, robots: int, ctrl_stride: int, device: str
) -> list[Launchable]:
    """The launches of one control cycle, one for each motor period, recorded on these arrays.

    Brakes are the specification's from here on, until somebody writes others into `drive.brake`.
    `ctrl_stride` counts the base's controls (3 planar, 2 wheeled) and the tools', which are left as they are.
    """
    rows = drive.setpoint.shape[0]
    dt = spec.motor_period / SECOND
    drive.brake.fill_(spec.diff.brake_min * BRAKE_SHARE)
    commands = []
    for substep in range(int(spec.period // spec.motor_period)):
        launch = record(
            step_drive,
            dim=rows,
            inputs=[
                substep,
                dt,
                spec.diff.accel_max,
                spec.diff.turn_accel_max,
                spec.diff.believed_track / 2.0,
                spec.diff.believed_wheel_radius,
                robots,
                ctrl_stride,
                int(ctrl_stride - spec.tools == 2),
                drive.released,
                drive.before,
                drive.latency,
                drive.lag,
                drive.brake,
                drive.setpoint,
                drive.output,
                ctrl,
            ],
            device=device,
        )
        commands.append(launch)
    return commands
