"""What was measured of a robot beside what a simulation of it does: samples, windows and open-loop errors.

The error over a horizon h from a start t0: the simulated body gets the measured twist at t0 (its pose there is the
origin), follows the recorded commands and nothing else, and at t0 + h its pose in the frame of its start is compared
with the measured one, x and y in m along the start's axes, yaw in rad; twist and wheel speeds at that moment too. The
firmware's own memory at t0 (setpoint, lag, commands on their way) cannot be measured: the simulated firmware gets it
from the commands of the second before. Reported are root mean squares and 95th percentiles of the absolute error over
starts one second apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.candidates import CHANNELS, Candidates, Restart, Stretch
from sim.robot import RobotSpec

HORIZONS = (0.1, 0.5, 1.0, 2.0, 5.0)
"""s"""

SPACING = 1.0
"""Distance of starts, s."""

SHORTEST = 0.1
"""What must be left after a start, s: the shortest horizon."""

STARTS_MAX = 600
"""Starts that are judged at most, evenly over the recordings: ten minutes of driving, some seconds of work."""


@dataclass(frozen=True)
class Samples:
    """Values of some channels at some times, s from the start of the stretch; (n,) and (n, channels)."""

    times: NDArray[np.float64]
    values: NDArray[np.float64]

    def at(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Linear between samples, (times, channels)."""
        return np.stack([np.interp(times, self.times, column) for column in self.values.T], axis=-1)

    def cut(self, begin: float, end: float) -> Samples:
        """What lies in [begin, end], with times from begin."""
        inside = (self.times >= begin - 1e-6) & (self.times <= end + 1e-6)
        return Samples(self.times[inside] - begin, self.values[inside])


@dataclass(frozen=True)
class Drive:
    """One uninterrupted stretch of a recording: what was commanded and what was measured."""

    recording: str
    """Which log it is from."""
    stretch: Stretch
    pose: Samples
    """x, y, yaw (unwrapped)."""
    twist: Samples | None
    """v, w; None where the log has none."""
    wheels: Samples | None = None
    """Left, right, rad/s."""
    torques: Samples | None = None
    """Left, right, N m at the wheel."""

    @property
    def duration(self) -> float:
        """How long it is, s."""
        return self.stretch.duration

    def start_twist(self, time: float) -> tuple[float, float]:
        """Measured v and w at a time; from the poses around it where no twist was recorded."""
        if self.twist is not None:
            v, w = self.twist.at(np.array([time]))[0]
            return float(v), float(w)
        a, b = self.pose.at(np.array([time - 0.1, time + 0.1]).clip(0.0, self.duration))
        span = max(min(time + 0.1, self.duration) - max(time - 0.1, 0.0), 1e-3)
        move = relative(a[None], b[None])[0]
        return float(move[0] / span), float(move[2] / span)

    def cut(self, begin: float, end: float) -> Drive:
        """The part in [begin, end]; the command in force at its begin comes with it."""
        times, commands = self.stretch.times, self.stretch.commands
        first = max(int(np.searchsorted(times, begin + 1e-6)) - 1, 0)
        early = max(first - EARLIER, 0)
        inside = slice(early, int(np.searchsorted(times, end - 1e-6)))
        stretch = Stretch(times[inside] - begin, commands[inside], self.start_twist(begin), end - begin)
        parts = [None if part is None else part.cut(begin, end) for part in (self.twist, self.wheels, self.torques)]
        return Drive(self.recording, stretch, self.pose.cut(begin, end), *parts)


RUN_IN = 1.0
"""Driving before a start or a judged piece, s: after it the firmware's memory is that of the commands."""

EARLIER = 10
"""Commands before a cut that come with it: one that was released a second ago may still be on its way."""


def relative(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Poses b in the frames of poses a, (..., 3)."""
    dx, dy = b[..., 0] - a[..., 0], b[..., 1] - a[..., 1]
    c, s = np.cos(a[..., 2]), np.sin(a[..., 2])
    return np.stack([c * dx + s * dy, c * dy - s * dx, b[..., 2] - a[..., 2]], axis=-1)


def sample(out: NDArray[np.float64], dt: float, times: NDArray[np.float64]) -> NDArray[np.float64]:
    """What worlds did, (..., ticks + 1, channels), at some times: (..., times, channels), linear between ticks."""
    place = np.clip(times / dt, 0.0, out.shape[-2] - 1)
    low = np.minimum(place.astype(int), max(out.shape[-2] - 2, 0))
    part = (place - low)[:, None]
    return out[..., low, :] * (1.0 - part) + out[..., np.minimum(low + 1, out.shape[-2] - 1), :] * part


@dataclass(frozen=True)
class HorizonErrors:
    """Errors of several parameter sets over one horizon."""

    horizon: float
    """s"""
    starts: int
    """How many starts were judged."""
    rms: NDArray[np.float64]
    """(candidates, channels); NaN for a channel that was not recorded."""
    p95: NDArray[np.float64]
    """The same, 95th percentile of the absolute error."""


def open_loop_errors(
    spec: RobotSpec,
    drives: Sequence[Drive],
    parameters: NDArray[np.float64],
    horizons: Sequence[float] = HORIZONS,
    threads: int = 2,
) -> list[HorizonErrors]:
    """Errors of each parameter set (candidates, parameters) on recorded drives; a horizon nobody drove has 0 starts."""
    windows = _windows(drives, max(horizons))
    if not windows:
        nothing = np.full((len(parameters), len(CHANNELS)), np.nan)
        return [HorizonErrors(horizon, 0, nothing, nothing) for horizon in horizons]
    candidates = Candidates(spec, [window.stretch for window in windows], len(parameters), threads)
    begin = round(RUN_IN / candidates.dt)
    twist = np.array([window.start_twist(RUN_IN) for window in windows])
    out = candidates.run(parameters, Restart(begin, twist))[:, :, begin:]
    out[..., 0:3] = relative(out[:, :, :1, 0:3], out[..., 0:3])
    found = []
    for horizon in horizons:
        long = [index for index, window in enumerate(windows) if window.duration >= RUN_IN + horizon - 1e-6]
        errors = np.stack(
            [_end_error(out[:, index], candidates.dt, windows[index], horizon) for index in long], axis=1
        ) if long else np.full((len(parameters), 1, len(CHANNELS)), np.nan)  # fmt: skip
        found.append(HorizonErrors(horizon, len(long), _per_channel(errors, _rms), _per_channel(errors, _p95)))
    return found


def _windows(drives: Sequence[Drive], longest: float) -> list[Drive]:
    """Starts SPACING apart, each with RUN_IN before it and as much after it as the longest horizon or the drive has."""
    starts = [
        (drive, begin)
        for drive in drives
        for begin in np.arange(0.0, drive.duration - RUN_IN - SHORTEST + 1e-6, SPACING).tolist()
    ]
    if len(starts) > STARTS_MAX:
        starts = [starts[index] for index in np.linspace(0, len(starts) - 1, STARTS_MAX).astype(int)]
    return [drive.cut(begin, min(begin + RUN_IN + longest, drive.duration)) for drive, begin in starts]


def _end_error(out: NDArray[np.float64], dt: float, window: Drive, horizon: float) -> NDArray[np.float64]:
    """(candidates, channels) at the horizon's end; inf where the simulation blew up, NaN where nothing was measured."""
    end = np.array([horizon])
    simulated = sample(out, dt, end)[:, 0]
    measured = np.full(len(CHANNELS), np.nan)
    poses = window.pose.at(RUN_IN + np.array([0.0, horizon]))
    measured[0:3] = relative(poses[:1], poses[1:])
    for part, first in ((window.twist, 3), (window.wheels, 5), (window.torques, 7)):
        if part is not None:
            measured[first : first + 2] = part.at(RUN_IN + end)
    error = simulated - measured
    error[~np.isfinite(simulated)] = np.inf
    return error


def _per_channel(errors: NDArray[np.float64], judge: Callable[[NDArray[np.float64]], float]) -> NDArray[np.float64]:
    """A figure of each channel's measured absolute errors (candidates, starts, channels); NaN where there are none."""
    found = np.full((errors.shape[0], errors.shape[2]), np.nan)
    for candidate in range(errors.shape[0]):
        for channel in range(errors.shape[2]):
            known = np.abs(errors[candidate, :, channel])
            known = known[~np.isnan(known)]
            if known.size:
                found[candidate, channel] = judge(known)
    return found


def _rms(errors: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(errors**2)))


def _p95(errors: NDArray[np.float64]) -> float:
    return float(np.quantile(errors, 0.95, method="higher"))  # no arithmetic between infinities
