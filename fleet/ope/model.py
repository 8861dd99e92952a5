"""The fitted Q of one fold: what is left to gain from each state by each action, step by step backwards.

Ridge regression on `features`: first what all actions share, then for each action how it differs, which is shrunk as
much as predicts held-out rows best. Predictions stay within what was ever aimed at: beyond it they extrapolate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fleet.ope.features import Features
from fleet.ope.log import Log

RIDGE = 1.0
"""Of what actions share, in rows of standardised features"""
RIDGES = (1.0, 10.0, 100.0, 1000.0)
"""And what is tried for how they differ"""
HELD_OUT = 4
"""One row of so many chooses among them."""

WEIGHT_MIN, WEIGHT_MAX = 0.1, 10.0
"""Between these a transition counts as often as the target would make it; a few heavy ones do not make the model."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Model:
    """Q for every step."""

    coefficients: Array
    """(steps, columns, actions)"""
    low: Array
    """(steps,) least target"""
    high: Array
    """(steps,) largest target"""

    def values(self, seen: Array) -> Array:
        """Q, (episodes, steps, actions), of features (episodes, steps, columns)."""
        q = np.einsum("etc,tca->eta", seen, self.coefficients)
        return np.clip(q, self.low[None, :, None], self.high[None, :, None])


class Regression:
    """Targets of one row each to a linear function for each action; the rows are the same every time."""

    def __init__(self, rows: Array, action: NDArray[np.int64], actions: int, weight: Array) -> None:
        """Rows (n, columns), what was done in each, and how much it counts."""
        self._root = np.sqrt(weight)
        self._rows, self._action, self._actions = rows * self._root[:, None], action, actions
        self._kept = np.arange(len(rows)) % HELD_OUT != 0
        if self._kept.sum() < 2 * rows.shape[1]:
            self._kept[:] = True
        self._all = [self._inverses(np.ones(len(rows), bool)), self._inverses(self._kept)]

    def fit(self, targets: Array) -> Array:
        """The functions, (columns, actions)."""
        targets = targets * self._root
        _, found = min(
            ((self._error(self._solved(1, self._kept, targets, ridge), targets), ridge) for ridge in RIDGES),
        )
        return self._solved(0, np.ones(len(targets), bool), targets, found)

    def _inverses(self, used: NDArray[np.bool_]) -> tuple[Array, dict[tuple[int, float], Array]]:
        columns = self._rows.shape[1]
        penalty = np.eye(columns)
        penalty[0, 0] = 1e-6
        rows = self._rows[used]
        shared = np.linalg.inv(rows.T @ rows + RIDGE * penalty)
        penalty[0, 0] = 0.1  # how an action differs in the mean is shrunk little, and not to nothing
        each: dict[tuple[int, float], Array] = {}
        for action in range(self._actions):
            mine = self._rows[used & (self._action == action)]
            for ridge in RIDGES:
                each[action, ridge] = np.asarray(np.linalg.inv(mine.T @ mine + ridge * penalty), np.float64)
        return np.asarray(shared, np.float64), each

    def _solved(self, which: int, used: NDArray[np.bool_], targets: Array, ridge: float) -> Array:
        shared, each = self._all[which]
        rows, aims = self._rows[used], targets[used]
        common = shared @ (rows.T @ aims)
        left = aims - rows @ common
        own = []
        for action in range(self._actions):
            chosen = self._action[used] == action
            own.append(common + each[action, ridge] @ (rows[chosen].T @ left[chosen]))
        return np.stack(own, axis=1)

    def _error(self, functions: Array, targets: Array) -> float:
        out = ~self._kept if not self._kept.all() else self._kept
        said = np.take_along_axis(self._rows[out] @ functions, self._action[out][:, None], 1)[:, 0]
        return float(((said - targets[out]) ** 2).mean())


def fit_model(log: Log, chances: Array, seen: Array, weight: Array, discount: float) -> Model:
    """Q of the policy with `chances` (episodes, steps, actions), from every transition of the log.

    `weight` (episodes, steps) is how often the policy would be there and do this: where it never is, Q may be wrong.

    The world is taken to be the same at every step, so that each transition stands for all steps; where the log ends
    before the episode does, nobody knows what came next, and only the reward is used.
    """
    alive, steps = log.alive, log.steps
    goes_on = alive.copy()
    goes_on[:, -1] = False
    counts = np.clip(weight, WEIGHT_MIN, WEIGHT_MAX)
    last = regression = Regression(seen[alive], log.action[alive], log.actions, counts[alive])
    if steps > 1:
        regression = Regression(seen[goes_on], log.action[goes_on], log.actions, counts[goes_on])
    coefficients = np.zeros((steps, seen.shape[2], log.actions))
    low, high = np.zeros(steps), np.zeros(steps)
    nexts = np.zeros((log.episodes, steps))
    for step in reversed(range(steps)):
        targets = (log.reward + discount * nexts)[alive if step == steps - 1 else goes_on]
        coefficients[step] = (last if step == steps - 1 else regression).fit(targets)
        low[step], high[step] = targets.min(), targets.max()
        q = np.clip(seen @ coefficients[step], low[step], high[step])
        values = np.where(alive, (chances * q).sum(axis=2), 0.0)
        nexts = np.concatenate([values[:, 1:], np.zeros((log.episodes, 1))], axis=1)
    return Model(coefficients, low, high)


def seen_by(features: Features, log: Log) -> Array:
    """What the model sees of every state, (episodes, steps, columns)."""
    return features(log.state.reshape(-1, log.state.shape[2])).reshape(log.episodes, log.steps, -1)
