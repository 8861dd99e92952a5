"""From scores of undisturbed driving to the limits of a guard, and how sure a count of false trips makes us.

A score's excesses over a high quantile follow a generalised Pareto law (Balkema and de Haan, 1974; Pickands, 1975):

    P(score > u + y) = p_u (1 + xi y / beta)^(-1 / xi)

fitted by probability-weighted moments (Hosking and Wallis, 1987) to one maximum of each robot in each BLOCK of time,
because the steps of one surprise hang together. The limit is where that meets the wanted rate. xi is kept at 0 or
above: a bound that the driving did not reach yet is not believed. Whether the limits keep what they promise is counted
on other driving; k trips in T hours bound the rate from above by the exact Poisson limit (Garwood, 1936).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

BLOCK = 100
"""Steps: ten seconds, after which a robot is somewhere else."""
TAIL = 200
"""Largest block maxima that the law is fitted to."""
SHARE = 0.1
"""Of the allowed rate that the limits aim at, one in a hundred robot-hours: what is left is for the law's own error,
and for the count, which then finds at most one in 48 hours nine times in ten."""
HEADROOM = {"beyond": 2.0, "rough": 2.0, "alone": 3.0, "change": 3.0, "distance": 1.5}
"""How many times as far from the usual as the farthest that was seen a limit lies at least. Shares grow in steps of
one ray, which is no tail, and stay up for as long as somebody stands beside a wall; novelty finds what is far
outside anyway. In 48 hours they tripped with laws alone, three times and once (2026-11)."""
HEADROOM_REST = 1.2
"""Of the other residuals, whose errors have ends; none of them tripped in those 48 hours."""
CONFIDENCE = 0.95
SHAPE_MAX = 0.2
"""Heaviest tail that is believed: the shape of 200 excesses is known to 0.07, and the count on other floors decides."""


@dataclass(frozen=True)
class Tail:
    """A generalised Pareto law of block maxima above `start`."""

    start: float
    share: float
    """Of the blocks above it"""
    shape: float
    scale: float

    def limit(self, chance: float) -> float:
        """What a block's maximum exceeds with this chance."""
        ratio = self.share / chance
        if self.shape < 1e-6:
            return self.start + self.scale * math.log(ratio)
        return self.start + self.scale / self.shape * (ratio**self.shape - 1.0)


def block_maxima(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """Maxima of each robot in each whole block, of scores (steps, rows); those without a number are left out."""
    whole = len(scores) // BLOCK
    blocks = scores[: whole * BLOCK].reshape(whole, BLOCK, -1)
    top = np.where(np.isnan(blocks), -np.inf, blocks).max(1).ravel()
    return top[np.isfinite(top)].astype(np.float64)


def fit_tail(maxima: NDArray[np.float64], shape_max: float = SHAPE_MAX) -> Tail:
    """The law of the largest maxima. Raises ValueError for fewer than 2 TAIL of them.

    With `shape_max` 0 it is exponential, of the same mean.
    """
    if len(maxima) < 2 * TAIL:
        raise ValueError(f"expected at least {2 * TAIL} blocks of {BLOCK} steps, got {len(maxima)}; drive longer")
    ordered = np.sort(maxima)[-TAIL - 1 :]
    excess = ordered[1:] - ordered[0]
    rank = (np.arange(1, TAIL + 1) - 0.35) / TAIL
    mean, weighted = float(excess.mean()), float((excess * (1.0 - rank)).mean())
    shape = 2.0 - mean / max(mean - 2.0 * weighted, 1e-9)
    scale = 2.0 * mean * weighted / max(mean - 2.0 * weighted, 1e-9)
    if shape < 0.0 or shape_max <= 0.0:  # an end that is not believed: exponential
        shape, scale = 0.0, mean
    return Tail(float(ordered[0]), TAIL / len(maxima), min(shape, shape_max), max(scale, 1e-6))


def limit_of(scores: NDArray[np.float32], rate: float, period: float) -> float:
    """The limit that scores (steps, rows) exceed `rate` times an hour of one robot; `period` in s."""
    return fit_tail(block_maxima(scores)).limit(rate * BLOCK * period / 3600.0)


def bounded_limit_of(scores: NDArray[np.float32], rate: float, period: float) -> float:
    """The same for scores of readings whose errors have ends: no tail is heavier than exponential."""
    return fit_tail(block_maxima(scores), 0.0).limit(rate * BLOCK * period / 3600.0)


def with_headroom(limit: float, scores: NDArray[np.float32], middle: float, name: str) -> float:
    """A limit by a law, or where HEADROOM of the score of that name ends, whichever is larger."""
    farthest = float(np.nanmax(scores)) - middle
    return max(limit, middle + HEADROOM.get(name, HEADROOM_REST) * farthest)


def rate_bound(count: int, hours: float, confidence: float = CONFIDENCE) -> float:
    """Upper bound of a rate per hour of which `count` were seen in `hours`."""
    return float(chi2.ppf(confidence, 2 * (count + 1)) / 2.0 / hours)
