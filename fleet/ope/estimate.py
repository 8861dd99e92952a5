"""The value of a policy from the logs of another: doubly robust, with an interval, or an abstention that says why.

    Q_t(s, a)   what is left to gain: r + discount V_{t+1}(s'), fitted backwards (model.py)
    w_t(s)      how much more often the target would be in s at step t, fitted forwards (visits.py)
    value       mean over episodes of V_0(s_0) + sum_t discount^t w_t rho_t (r_t + discount V_{t+1}(s_{t+1}) - Q_t)

with rho_t = target probability / propensity. Both fits are made on other episodes than those that they are applied to
(cross-fitting), so that the means are independent of the errors of the fits. It is right where either fit is (Kallus
and Uehara, "Double reinforcement learning", JMLR 2020; the recursion of w is Xie, Ma and Wang's, NeurIPS 2019); weights
by state instead of products of ratios keep 50 steps from exploding. The interval is Student's over episodes.

Beside it stand the parts: the model alone, weighted importance sampling per decision, and the logs' own mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fleet.ope.features import make_features
from fleet.ope.log import Log, OpeError
from fleet.ope.model import fit_model, seen_by
from fleet.ope.visits import fit_visits, visits

Target = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""States (rows, features) to the probabilities of all actions, (rows, actions)"""

FOLDS = 5
HALVES = 8
"""Pairs of halves of the log by which the interval is widened for what the fits do not know."""
ESS_MIN = 50.0
"""Fewest effective episodes at any step that matters (research goal: abstain below 50)."""
SHARE_MAX = 0.10
"""Largest share of one episode in the weights of a step (research goal)."""
UNTRIED_MAX = 0.05
"""Largest share of the target's choices that the logs never tried: half of what an estimate may be wrong by."""
LIGHT = 0.01
"""Steps whose discounted share of the rewards' spread is below this need no support of their own."""


@dataclass(frozen=True)
class Estimate:
    """What is known of the target's value: discounted sum of rewards of an episode."""

    value: float
    low: float
    high: float
    """Ends of the interval"""
    level: float
    """Its confidence"""
    episodes: int
    effective: float
    """Smallest effective number of episodes at a step"""
    share: float
    """Largest share of one episode in the weights of a step"""
    untried: float
    """Share of the target's choices that the logs did not try"""
    logged: float
    """Mean of the logs themselves"""
    model: float
    """By the fitted Q alone"""
    weighted: float
    """By weights alone (self-normalised, per decision)"""
    abstains: tuple[str, ...] = field(default=())
    """Why nothing may be concluded; empty where the interval holds"""


def evaluate(log: Log, target: Target, discount: float = 1.0, level: float = 0.95, seed: int = 0) -> Estimate:
    """The target's value. Deterministic for a seed, which only draws the folds.

    Raises:
        OpeError: the log is not sound, or the target gives no probabilities

    """
    log.check()
    if not 0.0 < discount <= 1.0 or not 0.5 <= level < 1.0:
        raise OpeError(f"expected a discount in (0, 1] and a level in [0.5, 1), got {discount:g} and {level:g}")
    chances = _chances(log, target)
    ratio = np.where(log.alive, np.take_along_axis(chances, log.action[..., None], 2)[..., 0] / log.propensity, 0.0)
    rng = np.random.default_rng((seed, 42))
    psi, start, weights = _scores(log, chances, ratio, discount, FOLDS, rng)
    value, deviation = float(psi.mean()), _deviation(psi)
    effective, share = _support(log, weights, discount)
    untried = _untried(log, ratio)
    abstains = _abstains(log, effective, share, untried)
    if not abstains:
        deviation = max(deviation, _jackknife(log, chances, ratio, discount, rng))
    half = _quantile(level, log.episodes - 1) * deviation if log.episodes > 1 else float("inf")
    return Estimate(
        value=value,
        low=value - half,
        high=value + half,
        level=level,
        episodes=log.episodes,
        effective=effective,
        share=share,
        untried=untried,
        logged=float((log.reward * log.alive * discount ** np.arange(log.steps)).sum(axis=1).mean()),
        model=float(start.mean()),
        weighted=_weighted(log, ratio, discount),
        abstains=abstains,
    )


Scores = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
"""What each episode says of the value, (episodes,); the model's part of it; the weights, (episodes, steps)"""


def _scores(
    log: Log,
    chances: NDArray[np.float64],
    ratio: NDArray[np.float64],
    discount: float,
    parts: int,
    rng: np.random.Generator,
) -> Scores:
    """Doubly robust scores, cross-fitted in so many parts."""
    folds = rng.permutation(log.episodes) % min(parts, log.episodes)
    start, visited, errors = np.zeros(log.episodes), np.zeros(ratio.shape), np.zeros(ratio.shape)
    for fold in range(folds.max() + 1):
        mine, others = folds == fold, folds != fold
        used = others if others.any() else mine
        fitted, own = log.part(used), log.part(mine)
        features = make_features(fitted.state[fitted.alive])
        seen, shown = seen_by(features, fitted), seen_by(features, own)
        functions = fit_visits(fitted, seen, ratio[used])
        model = fit_model(fitted, chances[used], seen, visits(functions, fitted, seen) * ratio[used], discount)
        q = model.values(shown)
        v = np.where(own.alive, (chances[mine] * q).sum(axis=2), 0.0)
        done = np.take_along_axis(q, own.action[..., None], 2)[..., 0]
        following = np.concatenate([v[:, 1:], np.zeros((len(v), 1))], axis=1)
        errors[mine] = np.where(own.alive, own.reward + discount * following - done, 0.0)
        start[mine], visited[mine] = v[:, 0], visits(functions, own, shown)
    weights = _normalised(visited, ratio)
    # of a mean of weighted errors the weights' own scatter is taken out (the influence of a ratio of two means)
    sums = np.maximum(weights.sum(axis=0), 1e-300)
    means = (weights * errors).sum(axis=0) / sums
    centred = weights * (errors - means) + means * weights.mean(axis=0)
    return start + (discount ** np.arange(log.steps) * centred).sum(axis=1), start, weights


def _deviation(psi: NDArray[np.float64]) -> float:
    """Standard deviation of the mean."""
    return float(psi.std(ddof=1) / np.sqrt(len(psi))) if len(psi) > 1 else float("inf")


def _jackknife(
    log: Log, chances: NDArray[np.float64], ratio: NDArray[np.float64], discount: float, rng: np.random.Generator
) -> float:
    """Standard deviation of the estimate by deleting half of the episodes, with both fits made anew.

    The scores' own scatter takes the fits as given; where few episodes carry the weight these are half of the doubt.
    Subsets come as pairs that complete each other (Shao and Wu, Annals of Statistics 1989: delete-d jackknife).
    """
    if log.episodes < 4:
        return float("inf")
    values = []
    for _ in range(HALVES):
        order = rng.permutation(log.episodes)
        for rows in (order[::2], order[1::2]):
            used = np.zeros(log.episodes, bool)
            used[rows] = True
            values.append(_scores(log.part(used), chances[used], ratio[used], discount, 2, rng)[0].mean())
    pairs = np.array(values).reshape(-1, 2)
    return float(np.sqrt((((pairs[:, 0] - pairs[:, 1]) / 2.0) ** 2).mean()))


def _normalised(visited: NDArray[np.float64], ratio: NDArray[np.float64]) -> NDArray[np.float64]:
    """W rho, with ratios that have mean 1 at each step as they have in truth."""
    raw = visited * ratio
    sums = raw.sum(axis=0)
    return raw * np.where(sums > 0.0, visited.sum(axis=0) / np.maximum(sums, 1e-300), 0.0)


def _chances(log: Log, target: Target) -> NDArray[np.float64]:
    flat = np.asarray(target(log.state.reshape(-1, log.state.shape[2])), np.float64)
    wanted = (log.episodes * log.steps, log.actions)
    if flat.shape != wanted:
        raise OpeError(f"expected probabilities of shape {wanted} from the target, got {flat.shape}")
    chances = flat.reshape(log.episodes, log.steps, log.actions)
    there = chances[log.alive]
    if not np.isfinite(there).all() or (there < 0.0).any() or not np.allclose(there.sum(axis=1), 1.0, atol=1e-6):
        raise OpeError("expected probabilities that add up to 1 from the target, some do not; correct the policy")
    return chances


def _quantile(level: float, freedom: int) -> float:
    from scipy.stats import t  # off the robot, and only here

    return float(t.ppf(0.5 + level / 2.0, freedom))


def _support(log: Log, weights: NDArray[np.float64], discount: float) -> tuple[float, float]:
    """Effective number of episodes and largest share, over the steps in which something is decided."""
    spread = np.where(log.alive.any(axis=0), discount ** np.arange(log.steps) * _spread(log), 0.0)
    total = spread.sum()
    matters = spread > LIGHT * total / log.steps if total > 0.0 else np.ones(log.steps, bool)
    sums, squares = weights.sum(axis=0), (weights**2).sum(axis=0)
    effective = np.where(squares > 0.0, sums**2 / np.maximum(squares, 1e-300), 0.0)
    share = np.where(sums > 0.0, weights.max(axis=0) / np.maximum(sums, 1e-300), 1.0)
    return float(effective[matters].min()), float(share[matters].max())


def _spread(log: Log) -> NDArray[np.float64]:
    """Mean size of the rewards of each step."""
    count = np.maximum(log.alive.sum(axis=0), 1)
    return (np.abs(log.reward) * log.alive).sum(axis=0) / count


def _untried(log: Log, ratio: NDArray[np.float64]) -> float:
    """Share of the target's choices that the logs could not have made: ratios have mean 1 where they could."""
    rows = ratio[log.alive]
    missing = 1.0 - rows.mean()
    return float(max(0.0, missing - 2.0 * rows.std() / np.sqrt(len(rows))))


def _weighted(log: Log, ratio: NDArray[np.float64], discount: float) -> float:
    products = np.cumprod(np.where(log.alive, ratio, 1.0), axis=1) * log.alive
    sums = products.sum(axis=0)
    share = log.alive.mean(axis=0)
    means = np.where(sums > 0.0, (products * log.reward).sum(axis=0) / np.maximum(sums, 1e-300), 0.0)
    return float((discount ** np.arange(log.steps) * share * means).sum())


def _abstains(log: Log, effective: float, share: float, untried: float) -> tuple[str, ...]:
    why = []
    if untried > UNTRIED_MAX:
        drawn = (log.propensity[log.alive] < 1.0).any()
        how = "" if drawn else ", because it drew nothing"
        why.append(f"the logs never tried {100.0 * untried:.0f} % of what this policy chooses{how}")
    if effective < ESS_MIN:
        why.append(f"the logs are worth {effective:.0f} episodes of this policy, {ESS_MIN:.0f} are needed")
    if share > SHARE_MAX:
        why.append(f"one episode has {100.0 * share:.0f} % of the weight, {100.0 * SHARE_MAX:.0f} % are allowed")
    return tuple(why)
