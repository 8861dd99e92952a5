"""Bounds over what runs measured: fixed on the first part of a course, held against every later run.

A quantity's bound lies beyond the worst that was seen, by half of the distance between the worst and the middle
(WIDEN); the tracking line lies over the worst error of every tenth of a second and half as much more. `exceptions` says
which of them a later run breaks. How many runs without an exception show what stands in fleet/tolerance.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fleet.estimates import Measured
from safety.conformance import line_over
from sim.drive import BRAKE_SHARE
from sim.errors import MusterError
from sim.robot import RobotSpec

WIDEN = 1.5
"""A bound's distance from the middle over that of the worst: for a bell 4.5 standard deviations where the worst of
some hundred runs lies at 3, so that thousands of later ones seldom break it."""

TRACKING = 1.5
"""Tracking errors over the worst seen, as WIDEN: the 20 % of sim/robot.py are over 12,000 stops, a course's first part
plays some hundred, and on wheels that slip the worst of them is not the last word (2026-11: 20 % was widened twice)."""

RESERVE = 0.005
"""Added to e0, m: a line that only just lies over few errors at its begin is broken there by the next."""

LEAST_AGE = 0.02
"""Least age bound, s: a motor period. A robot whose readings have no age at all still waits for its cycle."""

SOME = 8
"""Runs that must have measured a quantity; else the specification's number stays."""


class BoundError(MusterError):
    """Too little was measured."""


@dataclass(frozen=True)
class Bound:
    """One fitted number."""

    value: float
    middle: float
    """Median over the runs."""
    worst: float
    """The worst that any run measured."""
    samples: int
    """Runs that measured it."""
    unit: str


@dataclass(frozen=True)
class Bounds:
    """All that was fitted; what could not be measured is None, and the specification's number stays."""

    accel: Bound | None
    """At most, m/s^2"""
    brake: Bound | None
    """At least, by a full stop, m/s^2"""
    turn_accel: Bound | None
    """At most, rad/s^2"""
    turn_brake: Bound | None
    """At least, starting or stopping a turn, rad/s^2"""
    latency: Bound | None
    """At most, s"""
    age: Bound | None
    """At most, s"""
    scale: tuple[float, float]
    """Odometry over localisation, v and w"""
    drift: tuple[Bound | None, Bound | None]
    """What is left of their difference over a run, at most, m and rad"""
    gain: tuple[float, float]
    """What the robot drives over what it is told, v and w"""
    e0: float = math.nan
    """Tracking error, m; NaN until stopping plans were played"""
    e1: float = math.nan
    """m/s"""


def bound(values: Sequence[float], side: float, unit: str) -> Bound | None:
    """The bound over values on one side, 1 above or -1 below; NaN among them says nothing. None with too few."""
    known = np.array([value for value in values if math.isfinite(value)])
    if len(known) < SOME:
        return None
    middle = float(np.median(known))
    worst = float(known.max() if side > 0.0 else known.min())
    return Bound(middle + WIDEN * (worst - middle), middle, worst, len(known), unit)


def fit_bounds(runs: Sequence[Measured]) -> Bounds:
    """The bounds over some runs. Raises `BoundError` where nothing is known of braking or of the answer's delay."""
    scale = tuple(_ratio([getattr(run, name) for run in runs]) for name in ("way", "turn"))
    drift = tuple(
        bound([abs(_drift(getattr(run, name), by)) for run in runs], 1.0, unit)
        for name, by, unit in (("way", scale[0], "m"), ("turn", scale[1], "rad"))
    )
    v, w = scale
    found = Bounds(
        accel=bound([run.accel / v for run in runs], 1.0, "m/s^2"),
        brake=bound([run.brake / v for run in runs], -1.0, "m/s^2"),
        turn_accel=bound([run.turn_accel / w for run in runs], 1.0, "rad/s^2"),
        turn_brake=bound([run.turn_brake / w for run in runs], -1.0, "rad/s^2"),
        latency=bound([run.latency for run in runs], 1.0, "s"),
        age=bound([run.age for run in runs], 1.0, "s"),
        scale=(v, w),
        drift=(drift[0], drift[1]),
        gain=(_middle([run.gain[0] / v for run in runs]), _middle([run.gain[1] / w for run in runs])),
    )
    for name, words in (("brake", "its braking"), ("latency", "how late it answers")):
        if getattr(found, name) is None:
            raise BoundError(
                f"expected {SOME} runs or more to show {words}, they do not: too slow for the rate of its readings; "
                "give it more room, or readings more often"
            )
    if found.brake is not None and found.brake.value <= 0.0:
        raise BoundError(f"expected braking with a bound above 0, its runs range down to {found.brake.worst:.2f} m/s^2")
    return found


def fit_tracking(bounds: Bounds, runs: Sequence[Measured]) -> Bounds:
    """The same with the tracking line over the stopping plans that were played."""
    errors = np.concatenate([run.error for run in runs if run.error is not None])
    ends = np.concatenate([run.end for run in runs if run.end is not None])
    e0, e1 = line_over(errors, ends)
    return replace(bounds, e0=TRACKING * e0 + RESERVE, e1=TRACKING * e1)


def exceptions(run: Measured, bounds: Bounds) -> list[str]:
    """Which bounds a run breaks, by name."""
    found = []
    v, w = bounds.scale
    for name, value, side in (
        ("accel", run.accel / v, 1.0), ("brake", run.brake / v, -1.0), ("turn_accel", run.turn_accel / w, 1.0),
        ("turn_brake", run.turn_brake / w, -1.0), ("latency", run.latency, 1.0), ("age", run.age, 1.0),
    ):  # fmt: skip
        one = getattr(bounds, name)
        if one is not None and side * (value - one.value) > 0.0:
            found.append(name)
    for way, scale, one in zip((run.way, run.turn), bounds.scale, bounds.drift, strict=True):
        if one is not None and abs(_drift(way, scale)) > one.value:
            found.append("odometry")
    if run.error is not None and run.end is not None and (run.error > bounds.e0 + bounds.e1 * run.end).any():
        found.append("tracking")
    return found


def fitted_spec(spec: RobotSpec, bounds: Bounds, top: float, noise: float, dropout: float) -> RobotSpec:
    """The specification with the bounds in the places that shield and policy read; `top` is the speed that was driven.

    A turn's acceleration is both how fast a turn comes and how fast it ends, so it is the middle one; how far the body
    strays for it, the tracking line has. Guaranteed braking keeps the reserve that every robot's has
    (`sim.drive.BRAKE_SHARE`). Wheels and track are what the robot's gains say, beside what its firmware believes.
    """
    drive = spec.diff
    gain, turn = bounds.gain
    believed_radius, believed_track = drive.believed_wheel_radius, drive.believed_track
    if math.isfinite(gain) and math.isfinite(turn):
        drive = replace(
            drive,
            wheel_radius=believed_radius * gain,
            track=believed_track * gain / turn,
            firmware_wheel_radius=believed_radius,
            firmware_track=believed_track,
        )
    assert bounds.brake is not None
    drive = replace(
        drive,
        speed_max=min(drive.speed_max, top),
        reverse_max=min(drive.reverse_max, top),
        accel_max=drive.accel_max if bounds.accel is None else bounds.accel.value,
        brake_min=bounds.brake.value / BRAKE_SHARE,
        turn_accel_max=drive.turn_accel_max if bounds.turn_brake is None else bounds.turn_brake.middle,
    )
    return replace(
        spec,
        drive=drive,
        lidar=replace(spec.lidar, noise=max(noise, 1e-4), dropout=dropout),
        latency_bound=spec.latency_bound if bounds.latency is None else _up(bounds.latency.value),
        sensor_age_bound=spec.sensor_age_bound if bounds.age is None else max(_up(bounds.age.value), LEAST_AGE),
        tracking_e0=spec.tracking_e0 if math.isnan(bounds.e0) else _up(bounds.e0),
        tracking_e1=spec.tracking_e1 if math.isnan(bounds.e1) else _up(bounds.e1),
    )


def _up(value: float) -> float:
    """Rounded up to a thousandth: no bound is known better."""
    return math.ceil(max(value, 0.0) * 1000.0 - 1e-9) / 1000.0


def _middle(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return float(np.median(known)) if len(known) >= SOME else math.nan


def _ratio(ways: Sequence[tuple[float, float]]) -> float:
    """Odometry over localisation, over the whole way of all runs; 1 where none went far enough."""
    known = np.array([way for way in ways if math.isfinite(way[0])])
    if len(known) < SOME:
        return 1.0
    sign = np.sign(known[:, 1])
    return float((known[:, 0] * sign).sum() / (known[:, 1] * sign).sum())


def _drift(way: tuple[float, float], scale: float) -> float:
    """What is left between odometry and localisation of a run once the scale is taken off."""
    return way[0] / scale - way[1]
