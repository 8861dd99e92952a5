"""What one run of a course says of a robot: its accelerations, how late it answers, what its odometry is worth.

A run goes from rest to a told (v, w), holds it, and stops (`Run`). On every ramp of v or w a line is laid through the
readings between 15 and 85 % of the change: its slope is the acceleration, and where it leaves the level before, less
when the command was released, is the answer's delay. A slewed setpoint behind a first-order lag is, but for its ends,
the same ramp later by the lag, so latency and lag of bus, drive, motors and servo are in that delay together: it is
what `RobotSpec.latency_bound` bounds. A ramp with too few readings gives none. Noise widens what is found over many
runs and never narrows it. Times in s from the run's begin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from safety.conformance import Prediction, strays
from sim.geometry import wrap_angle

BAND = (0.15, 0.85)
"""Share of a ramp that is looked at: the lag bends its ends, 0.08 m/s of 1.5 m/s with 45 ms at 1.8 m/s^2."""

RAMP_V, RAMP_W = 4, 3
"""Readings that a ramp of v, of w needs: with fewer the line's slope is noise. A turn is over in half a second."""

LEVEL = 4
"""Readings before a stop that give the level that is left."""

WAY, TURN = 0.5, 0.5
"""m and rad that a run must go before its odometry is compared: less drowns in the localisation's own error."""


@dataclass(frozen=True)
class Run:
    """One run, cycle by cycle; (n,) or (n, k)."""

    told: tuple[float, float]
    """v, w that it went to."""
    times: NDArray[np.float64]
    """Stamp of each cycle: then its readings were taken over, and its command released."""
    commands: NDArray[np.float64]
    pose_times: NDArray[np.float64]
    poses: NDArray[np.float64]
    """(n, 3)"""
    twist_times: NDArray[np.float64]
    twists: NDArray[np.float64]
    """(n, 2)"""
    age: float
    """Oldest of scan, pose and twist in any cycle, s."""
    up: int
    """The cycle in which (v, w) was told first."""
    stop: int
    """The cycle in which the stop began: a full stop was told, or the candidate of a stopping plan."""
    prediction: Prediction | None = None
    """What the shield predicted in that cycle, where a stopping plan was played; None after a full stop."""


@dataclass(frozen=True)
class Ramp:
    """A line through a change of v or w."""

    rate: float
    """m/s^2 or rad/s^2, positive"""
    delay: float
    """s"""


@dataclass(frozen=True)
class Measured:
    """What a run says; NaN where it says nothing."""

    accel: float = math.nan
    """m/s^2"""
    brake: float = math.nan
    turn_accel: float = math.nan
    """rad/s^2, the greater of starting and stopping"""
    turn_brake: float = math.nan
    """The smaller of both"""
    latency: float = math.nan
    """The latest of the answers to the stop, s"""
    age: float = 0.0
    """s"""
    way: tuple[float, float] = (math.nan, math.nan)
    """By odometry and by localisation, m"""
    turn: tuple[float, float] = (math.nan, math.nan)
    """By odometry and by localisation, rad"""
    gain: tuple[float, float] = (math.nan, math.nan)
    """v and w by odometry on the level over what was told"""
    error: NDArray[np.float64] | None = None
    """Strays from the prediction after the stop (m), where a stopping plan was played"""
    end: NDArray[np.float64] | None = None
    """When the chords end that they are counted from, s"""
    stop_way: float = math.nan
    """From the stop's begin to rest, m"""


def ramp(
    times: NDArray[np.float64], values: NDArray[np.float64], told: float, before: float, after: float, least: int
) -> Ramp | None:
    """The line through a change from `before` to `after` that was told at `told`; None with too few readings."""
    share = (values - before) / (after - before)
    late = times > told + 1e-6
    begun, done = np.flatnonzero(late & (share > BAND[0])), np.flatnonzero(late & (share >= BAND[1]))
    if not len(begun) or not len(done):
        return None
    inside = slice(int(begun[0]), int(done[0]))
    t, y = times[inside], values[inside]
    if len(t) < least:
        return None
    middle = float(t.mean())
    rate = float(((t - middle) * (y - y.mean())).sum() / ((t - middle) ** 2).sum())
    if rate * (after - before) <= 0.0:
        return None
    return Ramp(abs(rate), middle + (before - float(y.mean())) / rate - told)


def measure(run: Run) -> Measured:
    """Everything that a run says."""
    t, twists = run.twist_times, run.twists
    level = (t <= run.times[run.stop] + 1e-6) & (t > run.times[max(run.stop - LEVEL, run.up)] + 1e-6)
    rising = t <= run.times[run.stop] + 1e-6
    ups: list[Ramp | None] = [None, None]
    downs: list[Ramp | None] = [None, None]
    gain = [math.nan, math.nan]
    for k, least in enumerate((RAMP_V, RAMP_W)):
        if run.prediction is not None or not level.any() or abs(run.told[k]) < 0.1:
            continue  # a plan may begin out of anything: there is no level
        held = float(twists[level, k].mean())
        if held * run.told[k] <= 0.0:
            continue
        gain[k] = held / run.told[k]
        ups[k] = ramp(t[rising], twists[rising, k], float(run.times[run.up]), 0.0, held, least)
        downs[k] = ramp(t, twists[:, k], float(run.times[run.stop]), held, 0.0, least)
    turns = [each.rate for each in (ups[1], downs[1]) if each is not None]
    error, end = _strays(run)
    odometry, place = _ways(run)
    stopping = run.pose_times >= run.times[run.stop]
    path = np.hypot(*np.diff(run.poses[stopping, :2], axis=0).T).sum() if stopping.sum() > 1 else math.nan
    return Measured(
        accel=ups[0].rate if ups[0] is not None else math.nan,
        brake=downs[0].rate if downs[0] is not None else math.nan,
        turn_accel=max(turns, default=math.nan),
        turn_brake=min(turns, default=math.nan),
        latency=max((each.delay for each in downs if each is not None), default=math.nan),
        age=run.age,
        way=(odometry[0], place[0]) if abs(place[0]) > WAY else (math.nan, math.nan),
        turn=(odometry[1], place[1]) if abs(place[1]) > TURN else (math.nan, math.nan),
        gain=(gain[0], gain[1]),
        error=error,
        end=end,
        stop_way=float(path),
    )


def _strays(run: Run) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
    if run.prediction is None:
        return None, None
    x, y, yaw = run.poses[run.stop]
    start = run.pose_times[run.stop]
    later = run.pose_times > start + 1e-6
    moved = run.poses[later, :2] - (x, y)
    c, s = math.cos(yaw), math.sin(yaw)
    at = np.column_stack([c * moved[:, 0] + s * moved[:, 1], c * moved[:, 1] - s * moved[:, 0]])
    far = strays(at[None], run.pose_times[later] - start, run.prediction.slices)
    return far.error[0], far.end[0]


def _ways(run: Run) -> tuple[tuple[float, float], tuple[float, float]]:
    """Way (m) and turn (rad) by odometry, and by localisation, over the same time."""
    t, first = np.unique(run.twist_times, return_index=True)
    if len(t) < 3:
        return (0.0, 0.0), (0.0, 0.0)
    twists = run.twists[first]
    reckoned = np.concatenate([[(0.0, 0.0)], np.cumsum(0.5 * (twists[1:] + twists[:-1]) * np.diff(t)[:, None], axis=0)])
    low, high = max(run.pose_times[0], t[0]), min(run.pose_times[-1], t[-1])
    inside = (run.pose_times >= low) & (run.pose_times <= high)
    times, poses = run.pose_times[inside], run.poses[inside]
    if len(times) < 3:
        return (0.0, 0.0), (0.0, 0.0)
    by = [float(np.interp(times[-1], t, part) - np.interp(times[0], t, part)) for part in reckoned.T]
    steps = np.diff(poses[:, :2], axis=0)
    turns = np.array([wrap_angle(float(each)) for each in np.diff(poses[:, 2])])
    heading = poses[:-1, 2] + 0.5 * turns
    along = float((steps * np.column_stack([np.cos(heading), np.sin(heading)])).sum())
    return (by[0], by[1]), (along, float(turns.sum()))
