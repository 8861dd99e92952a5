"""How much more often the target would be in a state at a step than the log's policy was.

    w_0 = 1,   w_{t+1}(s') = E[w_t(s) rho_t | s']

fitted forwards by ridge regression around the mean, on the features of the value's model; ratios are normalised at each
step, so that no step loses or gains episodes by chance. Where episodes end, fewer of the target's go on or more: the
mean of w over all episodes is the share of the target's that are still going.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fleet.ope.log import Log

RIDGE = 10.0
"""Rows by which w is held to its mean: ratios are noisier than rewards."""
WEIGHT_MAX = 50.0
"""Largest w: beyond it a state is not one that both policies visit."""

Array = NDArray[np.float64]


def fit_visits(log: Log, seen: Array, ratio: Array) -> Array:
    """Functions of the features for every step, (steps, columns)."""
    columns = seen.shape[2]
    functions = np.zeros((log.steps, columns))
    functions[0, 0] = 1.0
    penalty = np.eye(columns)
    penalty[0, 0] = 1e-6
    w = np.ones(log.episodes)
    for step in range(1, log.steps):
        before, there = log.alive[:, step - 1], log.alive[:, step]
        pushed = w * ratio[:, step - 1] * before
        if not there.any() or pushed.sum() <= 1e-9:
            break
        pushed *= (w * before).sum() / pushed.sum()
        x, y = seen[there, step], pushed[there]
        mean = max(y.mean(), 1e-9)
        functions[step] = mean * np.linalg.solve(x.T @ x + RIDGE * penalty, x.T @ (y / mean - 1.0))
        functions[step, 0] += mean
        w = np.clip(seen[:, step] @ functions[step], 0.0, WEIGHT_MAX)
        scale = y.sum() / max(w[there].sum(), 1e-9)
        functions[step] *= scale
        w = w * scale
    return functions


def visits(functions: Array, log: Log, seen: Array) -> Array:
    """w, (episodes, steps), zero where there is no step."""
    w = np.einsum("etc,tc->et", seen, functions)
    w[:, 0] = 1.0
    return np.where(log.alive, np.clip(w, 0.0, WEIGHT_MAX), 0.0)
