"""What a braking robot can do: the one prediction that the shield proves its commands against.

A released command reaches the drive within `latency`; the drive then slews towards it, no faster than `accel` away
from rest, `brake` towards rest and `turn_accel` in yaw. From the instant t = 0 of the scan a plan is

    age         the last command goes on (the scan is that old when the command is released)
    latency     the drive may or may not have heard: whichever of both commands is the faster goes on
    period      the candidate
    T           the stop: v and w fall together and linearly to zero, T = max(|v| / brake, |w| / turn_accel),
                so that the curvature, and with it the ground covered, stays that of one arc

    v(t) = v (1 - t / T),    s(T) = v T / 2.

The real body stays within e(t) = e0 + e1 t of it (RobotSpec, measured on the MuJoCo body: `docs/decisions.md`).
On a straight line with latency and age in rho this is the passive safety of Mitsch et al., "Formal verification of
obstacle avoidance and navigation of ground robots" (IJRR 2017, theorem 2), in closed form `needed_gap`.

This module knows no obstacles and no corridor.
"""

from __future__ import annotations

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false, reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false, reportInvalidTypeForm=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.
import math

import numpy as np
import warp as wp
from numpy.typing import NDArray

from sim.robot import MILLISECOND, RobotSpec

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

PLAN_TICKS = 16
"""Commands that a stored stopping plan has room for: 1.6 s at 10 Hz; the default robot needs 1.0 s."""


@wp.struct
class Bounds:
    """What the shield assumes of a body, from its RobotSpec."""

    radius: float
    accel: float
    brake: float
    turn_accel: float
    speed_max: float
    reverse_max: float
    turn_max: float
    latency: float
    period: float
    age_bound: float
    localisation: float
    e0: float
    e1: float
    range_max: float
    range_noise: float
    ray_angle: float


def bounds(spec: RobotSpec) -> Bounds:
    """The bounds that a specification states, as the kernels take them."""
    b = Bounds()
    b.radius = spec.radius
    b.accel = spec.diff.accel_max
    b.brake = spec.diff.brake_min
    b.turn_accel = spec.diff.turn_accel_max
    b.speed_max = spec.diff.speed_max
    b.reverse_max = spec.diff.reverse_max
    b.turn_max = spec.diff.turn_max
    b.latency = spec.latency_bound
    b.period = spec.period / (1000 * MILLISECOND)
    b.age_bound = spec.sensor_age_bound
    b.localisation = spec.localisation_bound
    b.e0 = spec.tracking_e0
    b.e1 = spec.tracking_e1
    b.range_max = spec.lidar.range_max
    b.range_noise = 3.0 * spec.lidar.noise  # noise is clipped at three standard deviations (sim.robot.Lidar)
    b.ray_angle = 2.0 * math.pi / spec.lidar.rays
    return b


@wp.func
def finite(x: float) -> bool:
    """Neither NaN nor infinite, by comparisons alone."""
    return x > -3.0e38 and x < 3.0e38


@wp.func
def slew(value: float, target: float, accel: float, brake: float, dt: float) -> wp.vec2:
    """A value after `dt` of going towards `target`, and its mean on the way.

    Towards zero it goes at `brake`, away from zero at `accel`; a change of sign does one after the other.
    """
    if dt <= 0.0:
        return wp.vec2(value, value)
    v = value
    left = dt
    area = wp.float32(0.0)
    if v * target <= 0.0 or wp.abs(target) < wp.abs(v):  # first towards zero, or towards a smaller target
        stop = target
        if v * target <= 0.0:
            stop = 0.0
        need = wp.abs(v - stop) / brake
        t = wp.min(need, left)
        end = stop
        if need > left:
            end = v - wp.sign(v) * brake * left
        area = area + 0.5 * (v + end) * t
        v = end
        left = left - t
    if left > 0.0:
        need = wp.abs(target - v) / accel
        t = wp.min(need, left)
        end = target
        if need > left:
            end = v + wp.sign(target - v) * accel * left
        area = area + 0.5 * (v + end) * t + end * (left - t)
        v = end
    return wp.vec2(v, area / dt)


@wp.func
def stop_time(v: float, w: float, b: Bounds) -> float:
    """Time in which both v and w come linearly to rest, s."""
    return wp.max(wp.abs(v) / b.brake, wp.abs(w) / b.turn_accel)


@wp.func
def waiting_target(candidate: float, last: float) -> float:
    """The faster of both commands while the drive may still act on the last one."""
    if candidate * last >= 0.0 and wp.abs(candidate) > wp.abs(last):
        return candidate
    return last


@wp.func
def chord_factor(turn: float) -> float:
    """Chord over arc length of an arc that turns by `turn`: sin(x/2) / (x/2)."""
    half = 0.5 * turn
    if wp.abs(half) < 1.0e-3:
        return 1.0 - half * half / 6.0
    return wp.sin(half) / half


def stopping_ticks(v: float, w: float, stop: float, elapsed: float, period: float) -> NDArray[np.float32]:
    """The commands of a stopping plan from `elapsed` seconds into it, (PLAN_TICKS, 2), ending in rest.

    The plan began at speed (v, w) and takes `stop` seconds. This is what a watchdog plays when the loop is silent.
    """
    ticks = np.zeros((PLAN_TICKS, 2), np.float32)
    for i in range(PLAN_TICKS):
        left = 1.0 - (elapsed + (i + 1) * period) / stop if stop > 0.0 else 0.0
        if left > 0.0:
            ticks[i] = (v * left, w * left)
    return ticks


def needed_gap(v: float, person_speed: float, *, brake: float, accel: float, rho: float) -> float:
    """Clear gap that passive safety needs on a straight line, m (IJRR 2017, theorem 2).

    v^2 / 2b + V v / b + (A / b + 1) (A rho^2 / 2 + rho (v + V)): accelerate for rho, then brake, while the obstacle
    comes at V. A gap equal to it counts as unsafe.

    Args:
        v: own speed, m/s. person_speed: V, m/s. brake: b, m/s^2. accel: A, m/s^2. rho: reaction time, s.
    """
    if min(v, person_speed, accel, rho) < 0.0 or brake <= 0.0:
        raise ValueError(f"speeds, A and rho must be >= 0 and b > 0, got {(v, person_speed, accel, rho, brake)}")
    stop = v * v / (2.0 * brake) + person_speed * v / brake
    return stop + (accel / brake + 1.0) * (accel * rho * rho / 2.0 + rho * (v + person_speed))


def following_gap(
    v_rear: float, v_front: float, *, rho: float, accel: float, brake: float, brake_front: float
) -> float:
    """Safe gap behind a braking vehicle, m (Shalev-Shwartz et al. 2017, definition 1); equal counts as unsafe."""
    reached = v_rear + accel * rho
    gap = v_rear * rho + accel * rho * rho / 2.0 + reached * reached / (2.0 * brake)
    return max(gap - v_front * v_front / (2.0 * brake_front), 0.0)
