"""Residuals of an identification: what candidates do on a recorded piece, less what was measured, in robust spreads.

    poses       relative motion over consecutive seconds, x and y along the start's axes and yaw
    twist       v and w at each reading, after a scale of the odometry that each piece may have: s ~ N(1, 0.02)
    wheels, torques    at each reading, where recorded

The scale that fits best is solved for each candidate (variable projection), and its distance from 1 is a residual too:
without it the odometry of a worn tyre would be taken for another wheel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.openloop import RUN_IN, Drive, relative, sample

ODOMETRY_SCALE = 0.02
"""Standard deviation of the odometry's scale before it is seen: tyre wear (sim/sensors.py)."""

PRIOR = -1
"""Channel of what is believed before anything is measured."""


@dataclass(frozen=True)
class Residuals:
    """Residuals of some candidates on one piece."""

    values: NDArray[np.float64]
    """(candidates, residuals), in spreads."""
    channels: NDArray[np.int64]
    """Channel of each, (residuals,)."""
    times: NDArray[np.float64]
    """s from the piece's start, (residuals,)."""
    scales: NDArray[np.float64]
    """Scales of the odometry that fit best, v then w: (candidates, 2), or (candidates, 0) without odometry."""


def judged_seconds(part: Drive) -> NDArray[np.float64]:
    """Edges of the seconds whose motion is judged."""
    return np.arange(RUN_IN, part.duration + 1e-6, 1.0)


def compare(
    out: NDArray[np.float64], dt: float, part: Drive, edges: NDArray[np.float64], spread: NDArray[np.float64]
) -> Residuals:
    """Residuals of one piece from what its worlds did, (candidates, ticks + 1, channels)."""
    values: list[NDArray[np.float64]] = []
    channels: list[NDArray[np.int64]] = []
    times: list[NDArray[np.float64]] = []

    def add(residuals: NDArray[np.float64], channel: int, when: NDArray[np.float64]) -> None:
        values.append(residuals)
        channels.append(np.full(residuals.shape[1], channel))
        times.append(when)

    there, real = sample(out, dt, edges)[..., 0:3], part.pose.at(edges)
    error = relative(there[:, :-1], there[:, 1:]) - relative(real[:-1], real[1:])[None]
    for channel in range(3):
        add(error[..., channel] / spread[channel], channel, edges[:-1])
    best = np.zeros((len(out), 0))
    for samples, first, scaled in ((part.twist, 3, True), (part.wheels, 5, False), (part.torques, 7, False)):
        if samples is None:
            continue
        late = samples.times >= RUN_IN
        when = samples.times[late]
        said = sample(out, dt, when)[..., first : first + 2]
        heard = samples.values[late]
        if scaled:  # the scale of least squares with its prior, for each candidate and channel
            weight = spread[first : first + 2] ** 2 / ODOMETRY_SCALE**2
            best = ((said * heard).sum(axis=1) + weight) / ((said**2).sum(axis=1) + weight)
            said = said * best[:, None, :]
            for k in range(2):
                add((best[:, k : k + 1] - 1.0) / ODOMETRY_SCALE, PRIOR, np.array([RUN_IN]))
        for k in range(2):
            add((said[..., k] - heard[:, k]) / spread[first + k], first + k, when)
    return Residuals(np.concatenate(values, axis=1), np.concatenate(channels), np.concatenate(times), best)
