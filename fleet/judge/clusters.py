"""Missions that are not independent: how much more their sums vary than they would if they were.

Missions of one robot in one shift are alike, robots differ for good, an hour is like the hour before. Each makes sums
over many missions vary more than the missions alone tell; the ratio of the variances is the dispersion f (1:
independent). It is measured over every way of putting missions together that the judge knows: robot and shift, robot,
stretches of time of growing length; the largest counts. For an AR(1) with coefficient a the limit is (1 + a) / (1 -
a), 5.7 at 0.7.

    counts:   f = K / (K - 2) sum_k (Y_k - n_k p)^2 / sum_k n_k p        over both arms' clusters of n_k missions
    values:   f = 1 + 2 sum_l (1 - l / (L + 1)) rho_l                    over blocks in time (Newey and West 1987)

The largest of many estimates is too large where all are 1 but for noise; MODESTY standard errors of its own, as of
independent missions, are therefore taken from each.

Few robots say little about how robots differ: a sum over R robots follows Student's t with R - 1 degrees of freedom,
whose tails are longer than the normal's that the exponents stand for. `few` is the square of their ratio at 0.001, the
level of a guardrail. `wary` multiplies by it what robots differ beyond chance; chance itself is known.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FREEDOM: Array = np.array([1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 30, 40, 60, 120, 1e9])
"""Degrees of freedom of T."""
T: Array = np.array(
    [318.3, 22.33, 10.21, 7.173, 5.893, 5.208, 4.501, 4.144, 3.93, 3.733, 3.552, 3.385, 3.307, 3.232, 3.16, 3.09]
)
"""Student's t that is exceeded with probability 0.001 (tables)."""
FEWEST = 12
"""Stretches of time below which no variance over them is taken."""
MODESTY = 1.5
"""Standard errors taken from each estimate."""

WARY = 0.5
"""The same for robots, of which there are few."""
LEAST = 3
"""Degrees of freedom that are taken for fewer: two robots of each arm would need evidence that no day has."""
CHANCE = 0.1
"""Of what few robots may hide where they seem to be alike."""


def few(freedom: int) -> float:
    """Factor, at least 1, on a variance that was measured with so many degrees of freedom."""
    t = np.interp(1.0 / max(freedom, 1), 1.0 / FREEDOM[::-1], T[::-1])
    return float((t / T[-1]) ** 2)


def of_counts(arms: Sequence[tuple[Array, Array]], modesty: float = MODESTY) -> Array:
    """Dispersion (channels,) of both arms' (missions, events), each (clusters, channels), less its modesty.

    1 where there are fewer than four clusters or no events. `modesty`: standard errors that are taken from it.
    """
    excess, expected, counted = 0.0, 0.0, 0.0
    for missions, events in arms:
        total = missions.sum(axis=0)
        rates = events.sum(axis=0) / np.where(total > 0.0, total, 1.0)
        excess = excess + ((events - missions * rates) ** 2).sum(axis=0)
        expected = expected + total * rates
        counted = counted + (missions > 0).sum(axis=0)
    known = (np.asarray(counted) > 3) & (np.asarray(expected) > 0.0)
    clusters = np.where(known, counted, 4.0)
    mean = np.where(known, expected, 1.0) / clusters
    found = np.where(known, excess, 1.0) / (mean * (clusters - 2.0))
    return np.where(known, found - modesty * np.sqrt((2.0 + 1.0 / mean) / clusters), 1.0)


def over_time(arms: Sequence[tuple[Array, Array]]) -> Array:
    """The largest dispersion (channels,) over stretches of 1, 2, 4, ... blocks; arms' are (blocks, channels)."""
    blocks, channels = arms[0][0].shape
    largest = np.ones(channels)
    length = 1
    while blocks // length >= FEWEST:
        whole = blocks // length * length
        shape = (whole // length, length, channels)
        stretches = [(n[:whole].reshape(shape).sum(axis=1), y[:whole].reshape(shape).sum(axis=1)) for n, y in arms]
        largest = np.maximum(largest, of_counts(stretches))
        length *= 2
    return largest


def of_series(z: Array) -> Array:
    """Dispersion (channels,) of sums of z (blocks, channels) over what independent blocks would have; at least 1."""
    blocks, channels = z.shape
    largest = np.ones(channels)
    if blocks < FEWEST:
        return largest
    centred = z - z.mean(axis=0)
    variance = (centred * centred).sum(axis=0)
    known = variance > 0.0
    lags = 1
    while lags <= blocks // 8:
        sums = np.ones(channels)
        for lag in range(1, lags + 1):
            rho = (centred[lag:] * centred[:-lag]).sum(axis=0) / np.where(known, variance, 1.0)
            sums += 2.0 * (1.0 - lag / (lags + 1.0)) * rho
        error = np.sqrt(4.0 * lags / (3.0 * blocks))  # of independent blocks (Bartlett's window)
        largest = np.maximum(largest, np.where(known, sums - MODESTY * error, 1.0))
        lags *= 2
    return largest


def of_robots(arms: Sequence[tuple[Array, Array]], squares: Array, freedom: int, modesty: float = MODESTY) -> Array:
    """Dispersion (channels,) of robots' sums of residuals, both arms' (missions, sums), each (robots, channels).

    `squares` (channels,) is the sum of all squared residuals, `freedom` the robots less the arms. 1 without freedom.
    What an arm's residuals have in common is its effect, neither scatter nor something in which its robots differ.
    """
    if freedom < 1:
        return np.ones(len(squares))
    between, total = np.zeros(len(squares)), squares
    for missions, sums in arms:
        n = missions.sum(axis=0)
        mean = sums.sum(axis=0) / np.where(n > 0.0, n, 1.0)
        between = between + ((sums - missions * mean) ** 2).sum(axis=0)
        squares = squares - n * mean**2
    robots = sum(len(missions) for missions, _ in arms)
    known = squares > 1e-9 * total  # less is rounding
    found = between / np.where(known, squares, 1.0) * robots / freedom
    return np.where(known, found - modesty * np.sqrt(2.0 / freedom), 1.0)


def wary(dispersion: Array, freedom: int) -> Array:
    """Dispersion (channels,) over robots, made larger by how little so few robots say."""
    factor = few(max(freedom, LEAST))
    return 1.0 + np.maximum(dispersion - 1.0, 0.0) * factor + CHANCE * (factor - 1.0)
