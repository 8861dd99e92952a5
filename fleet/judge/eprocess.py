"""Evidence that may be looked at whenever one likes: e-processes for rates, quantiles and means of two arms.

An e-process E has E[E_t] <= 1 at every stopping time while the candidate is no worse, so P(ever E_t >= 1 / a) <= a
(Ville). Three are all that the judge needs; each is a sum over blocks, so that a mission is added once and never read
again.

Counts, two arms. Of the events in a block each was the candidate's with probability q(r) = r n_c / (r n_c + n_b),
where r is the ratio of the rates and n are the missions. With C and B events the log-likelihood is

    l(r) = C log q(r) + B log(1 - q(r)),        E = sum_r w(r) exp(l(r) - l(1)),   w on r > 1.

The rate itself may change from block to block (a busy hour): it cancels. Missions with at most one event are less
variable than this binomial (hypergeometric), so E stays an e-process for them (an exponential is convex).

Counts, one arm, against a rate p known from before: l(r) = C log r - r p n, the likelihood of a Poisson count.

Values, two arms. D = mean_c - mean_b of a block in which both arms have equally many missions is symmetric about 0
while both are distributed alike, however they are distributed and however the missions of one block hang together.
Then (de la Pena 1999) exp(x - x^2 / 2), x = lambda D, has a mean of at most cosh(x) exp(-x^2 / 2) <= 1: no variance,
no bound and no moment needs to be known. We hold the exponent at its maximum of 1/2 beyond x = 1, which keeps that
(the pair of +x and -x has (e^(1/2) + e^(-x - x^2/2)) / 2 < 1 there) and makes it monotone, so that it also holds for a
candidate that is better.

Blocks that hang together (autocorrelation, robots that differ) carry less evidence than they seem to. What
`fleet.judge.clusters` measures as the variance over what independence would give, the dispersion f, divides every
exponent, as in a quasi-likelihood: a process of n blocks counts as one of n / f.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

STEPS = 32
"""Ratios on each side of 1: 9 % apart, finer than any day of missions can tell."""
RATIOS: Array = np.exp(np.linspace(-1.0, 1.0, 2 * STEPS + 1) * math.log(16.0))
"""Candidate over baseline, 1/16 to 16; the one in the middle is exactly 1."""
LAMBDAS: Array = np.array([0.03, 0.06, 0.1, 0.16, 0.25, 0.4, 0.65, 1.0])
"""Bets per standard deviation of a block: from shifts that take a thousand blocks to those that ten show."""


def ratio_index(ratio: float) -> int:
    """Place in RATIOS of the largest ratio that is no larger; rounding down makes a tolerance stricter, never wider."""
    return int(np.clip(np.searchsorted(RATIOS, ratio * (1.0 + 1e-9), side="right") - 1, 0, len(RATIOS) - 1))


def two_arms(c: Array, b: Array, n_c: Array, n_b: Array) -> Array:
    """Log-likelihoods l(r), (..., ratios), of c and b events in n_c and n_b missions (...); 0 where an arm has none."""
    both = (n_c > 0) & (n_b > 0)
    odds = RATIOS * np.where(both, n_c, 1.0)[..., None] / np.where(both, n_b, 1.0)[..., None]
    likelihood = c[..., None] * np.log(odds) - (c + b)[..., None] * np.log1p(odds)
    return np.where(both[..., None], likelihood, 0.0)


def one_arm(c: Array, expected: Array) -> Array:
    """Log-likelihoods (..., ratios) of c events (...) where a rate known from before makes `expected` (...) of them."""
    return c[..., None] * np.log(RATIOS) - expected[..., None] * RATIOS


def worse(null: int) -> Array:
    """Weights (ratios,) of being worse than the ratio at `null`: most around double, the rest log-uniform up to 16."""
    distance = np.log(RATIOS / RATIOS[null])
    double = np.exp(-0.5 * ((distance - math.log(2.0)) / 0.35) ** 2)
    weights = [np.where(np.arange(len(RATIOS)) > null, shape, 0.0) for shape in (double, np.ones(len(RATIOS)))]
    return 0.7 * weights[0] / weights[0].sum() + 0.3 * weights[1] / weights[1].sum()


def better(null: int) -> Array:
    """Weights (ratios,) of being better than the ratio at `null`: around 1, which an innocent candidate has."""
    weights = np.where(np.arange(len(RATIOS)) < null, np.exp(-np.abs(np.log(RATIOS)) / 0.5), 0.0)
    return weights / weights.sum()


WORSE: Array = worse(STEPS)
"""Of being worse than 1."""
ALL: Array = np.exp(-np.abs(np.log(RATIOS)) / 1.0) / np.exp(-np.abs(np.log(RATIOS)) / 1.0).sum()
"""Of any ratio, for bounds on it."""

ANOTHER: Array = np.exp(-0.5 * (np.log(RATIOS) / 0.5) ** 2) / np.exp(-0.5 * (np.log(RATIOS) / 0.5) ** 2).sum()
"""Of today's rate over a known one: between half and double, mostly."""


def log_mixture(likelihood: Array, null: int, weights: Array, dispersion: Array | float) -> Array:
    """Log e-value (...) against the ratio at `null`, from log-likelihoods (..., ratios)."""
    exponent = (likelihood - likelihood[..., null, None]) / np.asarray(dispersion)[..., None]
    return log_sum(exponent, weights)


def log_sum(exponent: Array, weights: Array) -> Array:
    """Logarithm of sum_i weights_i exp(exponent_i) over the last axis; finite, however large or small the exponents."""
    counted = np.where(weights > 0.0, exponent, -math.inf)
    top = counted.max(axis=-1)
    return top + np.log((weights * np.exp(counted - top[..., None])).sum(axis=-1))


def score(z: Array) -> Array:
    """Exponents (..., bets) of standardised differences z (...): x - x^2 / 2 up to its maximum of 1/2, there held."""
    x = np.minimum(z[..., None] * LAMBDAS, 1.0)
    return x - 0.5 * x * x


def log_symmetric(scores: Array, dispersion: Array | float) -> Array:
    """Log e-value (...) of summed scores (..., bets), all bets alike."""
    return log_sum(scores / np.asarray(dispersion)[..., None], np.full(len(LAMBDAS), 1.0 / len(LAMBDAS)))


def ratio_bounds(likelihood: Array, dispersion: float, level: float) -> tuple[float, float]:
    """Ratios that log-likelihoods (ratios,) leave possible at any time with probability 1 - level; (0, inf) for all."""
    if not likelihood.any():
        return 0.0, math.inf
    against = (
        log_sum(likelihood / dispersion - (likelihood / dispersion).max(), ALL)
        + (likelihood / dispersion).max()
        - likelihood / dispersion
    )
    left = np.flatnonzero(against < math.log(1.0 / level))
    low = 0.0 if left[0] == 0 else float(RATIOS[left[0] - 1])
    return low, math.inf if left[-1] == len(RATIOS) - 1 else float(RATIOS[left[-1] + 1])
