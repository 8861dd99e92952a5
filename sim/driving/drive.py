"""The car's own controller: what engine, brakes and steering do with a released command, every motor period.

A command is acceleration (m/s^2) and curvature (1/m, positive to the left). After its latency

    s_a <- s_a + clip(r_a - s_a, jerk dt)                     r within [-brake_min, accel_max], less near speed_max
    o_a <- o_a + (s_a - o_a) dt / (drive lag + dt)            given: o_a, times the brakes' strength where it brakes
    s_d <- s_d + clip(r_d - s_d, steering rate dt)            d = atan(wheelbase kappa), |v^2 kappa| <= lateral_max
    o_d <- o_d + (s_d - o_d) dt / (steer lag + dt)

A dead time and a lag together delay braking by no more than their sum (the lag of a ramp starts at once and ends late),
so that a draw whose latency and lags stay within the specification's `latency_bound`, and brakes that give at least
what they are told, stop within the distance of: coast for latency_bound, then brake by brake_min at jerk_max.

The kinematic body is told acceleration and curvature. The full body is told two steering angles, of Ackermann's
geometry, and four wheel speeds: the firmware integrates a reference speed from the acceleration that it gives, keeps
it within a slip of the true speed (antilock brakes and traction control), and tells each wheel its own speed on the
arc. A car does not reverse: at rest its brakes hold it until it is told to accelerate, and setpoints of braking are
forgotten there. Memory is `sim.drive.DriveArrays`, where columns 0 and 1 of commands, setpoint and output are
acceleration and curvature and `brake` is what the brakes give when told brake_min, and `CarArrays`.

A motor policy (sim/driving/motornet.py) may correct what drive, brakes and steering are told, before their lags:

    s_a + c_a, |c_a| <= ACCEL_CORRECTION          s_d + c_d, |c_d| <= `steering_room`: STEER_CORRECTION, SIDE_CORRECTION

within the car's own limits, never above speed_max, and never weakening the brakes where a stop may be meant: told to
brake comfortably or harder, or in a bend that takes half of lateral_max. Without a policy corrections are 0.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from typing import Any

import warp as wp

from sim.bodies.parts import GRAVITY
from sim.drive import DriveArrays, make_drive
from sim.driving.body import COM_HEIGHT, MIDDLE, TYRE_SINK, WHEEL_DAMPING, spin_mass
from sim.driving.scene import RoadScene
from sim.launches import Launchable, record
from sim.robot import SECOND, RobotSpec

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

SLIP = wp.constant(0.05)
"""Largest slip of a wheel over the car's speed: below the 0.1 at which tyres grip best ([CommonRoad]'s longitudinal
stiffness of 22.3 and friction of 1.17 give 0.05 to 0.1)."""

SLIP_LEAST = wp.constant(0.30)
"""The same at low speed, m/s: what the wheels' servos need for 6 m/s^2 with full load, twice."""

GOVERNOR_TIME = wp.constant(0.5)
"""Time in which the last of the way to speed_max is approached, s."""

STANDS = wp.constant(0.02)
"""A car slower than this (m/s) that is not told to accelerate is held by its brakes; what springs still do then."""

GRIP_SHARE = 0.95
"""Of the tyres' grip, what brakes and steering use together before the firmware lets go: that of a wheel differs from
its share while the car pitches and rolls."""

STOP_TIME = wp.constant(0.03)
"""Time constant of the last of a stop, s: three motor periods, so that brakes do not push the full body backwards."""

ACCEL_CORRECTION = 0.8
"""m/s^2; what the slowest drive lags behind the fastest ramp, 0.06 s x 12.65 m/s^3."""

STEER_CORRECTION = 0.03
"""rad; what steering and yaw lag behind the fastest turn of the wheel, (0.05 + 0.028) s x 0.4 rad/s."""

SIDE_CORRECTION = 1.0
"""m/s^2 across that a correction of the steering is worth at most: a third of lateral_max."""

GRIP_SHARE_C = wp.constant(GRIP_SHARE)
ACCEL_CORRECTION_C = wp.constant(ACCEL_CORRECTION)
STEER_CORRECTION_C = wp.constant(STEER_CORRECTION)
SIDE_CORRECTION_C = wp.constant(SIDE_CORRECTION)
DAMPING_C = wp.constant(WHEEL_DAMPING)
MIDDLE_C = wp.constant(MIDDLE)
GRAVITY_C = wp.constant(GRAVITY)


@wp.struct
class CarArrays:
    """What belongs to cars beside `DriveArrays`, one row each."""

    steer_lag: wp.array(dtype=wp.float32)
    """Time constant of the steering, s, (rows,)."""
    friction: wp.array(dtype=wp.float32)
    """Of the tyres, (rows,)."""
    load: wp.array(dtype=wp.float32)
    """kg, (rows,)"""
    reference: wp.array(dtype=wp.float32)
    """The speed that the full body's wheels are held to, m/s, (rows,)."""
    motion: wp.array2d(dtype=wp.float32)
    """True acceleration along x_B over the last motor period and curvature of the steering, (rows, 2)."""
    correction: wp.array2d(dtype=wp.float32)
    """What a motor policy adds to what the drive and the steering are told, m/s^2 and rad, (rows, 2)."""
    asked: wp.array(dtype=wp.float32)
    """What drive and brakes were told last, the correction included, m/s^2, (rows,)."""


@wp.struct
class CarLimits:
    """The specification's numbers as kernels read them; see `sim.robot.Ackermann`."""

    accel_max: float
    brake_min: float
    brake_comfort: float
    jerk_max: float
    lateral_max: float
    speed_max: float
    steer_max: float
    steer_rate: float
    mass: float
    """With what turning the wheels adds, without load, kg."""
    com_height: float
    wheelbase: float
    half_track: float
    wheel_radius: float
    """What a wheel rolls on, m."""
    middle: float
    length: float
    width: float


def limits_of(spec: RobotSpec) -> CarLimits:
    """A car's numbers."""
    limits, drive = CarLimits(), spec.car
    for name in (
        "accel_max", "brake_min", "brake_comfort", "jerk_max", "lateral_max", "speed_max", "steer_max", "steer_rate",
    ):  # fmt: skip
        setattr(limits, name, float(getattr(drive, name)))
    limits.wheelbase, limits.wheel_radius = float(drive.wheelbase), float(drive.wheel_radius - TYRE_SINK)
    limits.half_track = float(drive.track / 2.0)
    limits.mass, limits.com_height = float(spec.mass + spin_mass(spec)), float(COM_HEIGHT * spec.height)
    limits.middle, limits.length, limits.width = float(spec.middle), float(spec.length), float(spec.width)
    return limits


def make_cars(rows: int, device: str) -> CarArrays:
    """Cars without lag or load at rest on dry asphalt."""
    cars = CarArrays()
    for name in ("steer_lag", "load", "reference", "asked"):
        setattr(cars, name, wp.zeros(rows, dtype=wp.float32, device=device))
    cars.friction = wp.full(rows, 0.9, dtype=wp.float32, device=device)
    for name in ("motion", "correction"):
        setattr(cars, name, wp.zeros((rows, 2), dtype=wp.float32, device=device))
    return cars


def make_car_drive(spec: RobotSpec, rows: int, device: str) -> DriveArrays:
    """Drives at rest without latency and lag, whose brakes give what they are told."""
    drive = make_drive(rows, device)
    drive.brake.fill_(spec.car.brake_min)
    return drive


@wp.func
def steering_angle(wheelbase: float, curvature: float) -> float:
    """Angle of the mean front wheel, rad."""
    return wp.atan(wheelbase * curvature)


@wp.func
def lagged(now: float, goal: float, lag: float, dt: float) -> float:
    """A first-order lag, one step on."""
    return now + (goal - now) * dt / (lag + dt)


@wp.func
def bounded(told_a: float, told_k: float, v: float, limits: CarLimits) -> wp.vec2:
    """A command as the firmware takes it at a speed: acceleration, and angle of the mean front wheel."""
    a = wp.clamp(told_a, -limits.brake_min, limits.accel_max)
    a = wp.min(a, wp.max((limits.speed_max - v) / GOVERNOR_TIME, -limits.brake_min))
    most = sharpest(v, limits)
    return wp.vec2(a, steering_angle(limits.wheelbase, wp.clamp(told_k, -most, most)))


@wp.func
def sharpest(v: float, limits: CarLimits) -> float:
    """The largest curvature at a speed, 1/m."""
    return wp.min(wp.tan(limits.steer_max) / limits.wheelbase, limits.lateral_max / wp.max(v * v, 1.0e-3))


@wp.func
def steering_room(v: float, limits: CarLimits) -> float:
    """By how much a motor policy may correct the steering at a speed, rad."""
    return wp.min(STEER_CORRECTION_C, limits.wheelbase * SIDE_CORRECTION_C / wp.max(v * v, 1.0))


@wp.func
def may_weaken(told_a: float, across: float, limits: CarLimits) -> bool:
    """Whether a motor policy may weaken the brakes: no stop of a shield brakes as little as this."""
    return told_a > 1.0e-3 - limits.brake_comfort and wp.abs(across) <= 0.5 * limits.lateral_max


@wp.func
def corrected_drive(a: float, told_a: float, across: float, v: float, correction: float, limits: CarLimits) -> float:
    """What drive and brakes are told where the setpoint is `a`; `a` itself where the correction is 0."""
    c = wp.clamp(correction, -ACCEL_CORRECTION_C, ACCEL_CORRECTION_C)
    if not may_weaken(told_a, across, limits):
        c = wp.min(c, 0.0)
    high = wp.min(limits.accel_max, (limits.speed_max - v) / GOVERNOR_TIME)
    return wp.clamp(a + c, wp.min(a, -limits.brake_min), wp.max(a, high))


@wp.func
def corrected_steering(angle: float, v: float, correction: float, limits: CarLimits) -> float:
    """What the steering is told where the setpoint is `angle`; `angle` itself where the correction is 0."""
    room = steering_room(v, limits)
    most = steering_angle(limits.wheelbase, sharpest(v, limits))
    return wp.clamp(angle + wp.clamp(correction, -room, room), wp.min(angle, -most), wp.max(angle, most))


@wp.kernel
def step_car_drive(
    period: int,
    dt: float,
    robots: int,
    wheeled: int,
    qpos_stride: int,
    qvel_stride: int,
    ctrl_stride: int,
    limits: CarLimits,
    drive: DriveArrays,
    cars: CarArrays,
    qpos: wp.array2d(dtype=Any),
    qvel: wp.array2d(dtype=Any),
    ctrl: wp.array2d(dtype=Any),
) -> None:
    """One motor period of each row; `period` counts them since the control cycle began."""
    row = wp.tid()
    world = row / robots
    robot = row % robots
    c = robot * ctrl_stride
    v = car_speed(world, robot, qpos_stride, qvel_stride, wheeled, limits.wheel_radius, qpos, qvel)
    told_a = drive.released[row, 0]
    told_k = drive.released[row, 1]
    if period < drive.latency[row]:
        told_a = drive.before[row, 0]
        told_k = drive.before[row, 1]
    told = bounded(told_a, told_k, v, limits)
    told_a = told[0]
    # drive and brakes; antilock brakes and traction control find what the tyres have left beside the bend
    across = v * v * drive.output[row, 1]
    grip = GRIP_SHARE_C * GRAVITY_C * cars.friction[row]
    along = wp.sqrt(wp.max(grip * grip - across * across, 0.0))
    jerk = limits.jerk_max * dt
    a = drive.setpoint[row, 0] + wp.clamp(told_a - drive.setpoint[row, 0], -jerk, jerk)
    asked = corrected_drive(a, told_a, across, v, cars.correction[row, 0], limits)
    given = lagged(drive.output[row, 0], asked, drive.lag[row], dt)
    holds = wp.bool(False)
    if v < STANDS and told_a <= 0.0:
        a = 0.0
        given = 0.0
        holds = wp.bool(True)
    elif v < STANDS:
        a = wp.max(a, 0.0)
        given = wp.max(given, 0.0)
    drive.setpoint[row, 0] = a
    drive.output[row, 0] = given
    cars.asked[row] = asked
    if given < 0.0:
        given *= drive.brake[row] / limits.brake_min
    given = wp.clamp(given, -along, along)
    # steering
    now = steering_angle(limits.wheelbase, drive.setpoint[row, 1])
    rate = limits.steer_rate * dt
    angle = now + wp.clamp(told[1] - now, -rate, rate)
    turns = corrected_steering(angle, v, cars.correction[row, 1], limits)
    turned = lagged(steering_angle(limits.wheelbase, drive.output[row, 1]), turns, cars.steer_lag[row], dt)
    curvature = wp.tan(turned) / limits.wheelbase
    drive.setpoint[row, 1] = wp.tan(angle) / limits.wheelbase
    drive.output[row, 1] = curvature
    if wheeled == 0:
        if holds:  # what is left of the speed
            given = -limits.brake_min
        ctrl[world, c] = ctrl.dtype(given)
        ctrl[world, c + 1] = ctrl.dtype(curvature)
        return
    slip = wp.max(SLIP * v, SLIP_LEAST)
    reference = wp.max(wp.clamp(cars.reference[row] + given * dt, v - slip, v + slip), 0.0)
    force = (limits.mass + cars.load[row]) * wp.max(given, -wp.max(v, 0.0) / STOP_TIME)
    if holds:
        reference = 0.0
        force = 0.0
    cars.reference[row] = reference
    front = MIDDLE_C - given * limits.com_height / (GRAVITY_C * limits.wheelbase)  # of the weight, as the car pitches
    front = 0.5 * wp.clamp(front, 0.0, 1.0)
    pull = force * limits.wheel_radius / DAMPING_C
    aside = curvature * limits.half_track
    ahead = curvature * limits.wheelbase
    ctrl[world, c] = ctrl.dtype(wp.atan(ahead / (1.0 - aside)))
    ctrl[world, c + 1] = ctrl.dtype(wp.atan(ahead / (1.0 + aside)))
    spin = reference / limits.wheel_radius
    ctrl[world, c + 2] = ctrl.dtype(spin * wp.sqrt((1.0 - aside) * (1.0 - aside) + ahead * ahead) + front * pull)
    ctrl[world, c + 3] = ctrl.dtype(spin * wp.sqrt((1.0 + aside) * (1.0 + aside) + ahead * ahead) + front * pull)
    ctrl[world, c + 4] = ctrl.dtype(spin * (1.0 - aside) + (0.5 - front) * pull)
    ctrl[world, c + 5] = ctrl.dtype(spin * (1.0 + aside) + (0.5 - front) * pull)


@wp.func
def car_speed(
    world: int,
    robot: int,
    qpos_stride: int,
    qvel_stride: int,
    wheeled: int,
    wheel_radius: float,
    qpos: wp.array2d(dtype=Any),
    qvel: wp.array2d(dtype=Any),
) -> float:
    """Speed of base_link along x_B, m/s; of the full body that of its rear axle, about which it pitches."""
    u = robot * qvel_stride
    if wheeled == 0:
        return float(qvel[world, u])
    yaw = yaw_of(world, robot * qpos_stride, qpos)
    return (
        float(qvel[world, u]) * wp.cos(yaw)
        + float(qvel[world, u + 1]) * wp.sin(yaw)
        + float(qvel[world, u + 4]) * wheel_radius
    )


@wp.func
def yaw_of(world: int, q: int, qpos: wp.array2d(dtype=Any)) -> float:
    """Yaw of a free joint's quaternion, rad."""
    w = float(qpos[world, q + 3])
    x = float(qpos[world, q + 4])
    y = float(qpos[world, q + 5])
    z = float(qpos[world, q + 6])
    return wp.atan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))


def record_car_drive(
    scene: RoadScene, drive: DriveArrays, cars: CarArrays, qpos: wp.array, qvel: wp.array, ctrl: wp.array, device: str
) -> list[Launchable]:
    """The launches of one control cycle, one for each motor period, recorded on these arrays of a backend."""
    spec = scene.spec
    limits = limits_of(spec)
    return [
        record(
            step_car_drive,
            dim=drive.setpoint.shape[0],
            inputs=[
                period, spec.motor_period / SECOND, scene.robots, int(scene.body == "full"), scene.qpos_stride,
                scene.qvel_stride, scene.ctrl_stride, limits, drive, cars, qpos, qvel, ctrl,
            ],
            device=device,
        )
        for period in range(int(spec.period // spec.motor_period))
    ]  # fmt: skip
