"""The rule of fleet/guards/watch.py for many robots at once: simulations count and test with it what serves.

Equal decisions for equal novelty (tests/fleet/guards/test_rows.py holds both against each other); no actions, no
breaker. Owns the last scores of each row.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agents.policy import CHANGES, SCORES
from fleet.guards.watch import HOLD, LASTED, LASTING, SINGLE, Trip
from sim.robot import SECOND

CODES = np.array([*SINGLE, *LASTED])
"""The Trip of each column of the scores"""


class RowWatch:
    """Watches rows of robots; `calls` once in each step."""

    def __init__(self, rows: int, period: float) -> None:
        self._scores = np.full((LASTING, rows, len(SCORES)), -np.inf)
        self._hold = round(HOLD / SECOND / period)
        self.left = np.zeros(rows, np.int64)
        """Steps for which the fallback still drives each row"""

    def found(self, novelty: NDArray[np.float32], first: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The Trip of each row in this step, (rows,); `first`: no step before belongs to it."""
        count = len(SCORES)
        known = np.array(novelty, float)
        late = np.isin(np.arange(2 * count) % count, CHANGES)
        known[np.ix_(first, late)] = 0.0
        self._scores[:, np.asarray(first)] = -np.inf  # a mean over fewer steps is none
        self._scores = np.concatenate([self._scores[1:], known[None, :, count:]])
        trip = np.zeros(len(known), np.int64)
        whole = np.asarray(np.isfinite(self._scores).all((0, 2)))
        means = np.where(whole[:, None], np.where(np.isinf(self._scores), 0.0, self._scores).sum(0), 0.0)
        over = np.concatenate([np.logical_not(known[:, :count] < 1.0), np.logical_not(means < LASTING)], 1)
        hit = over.any(1)
        trip[hit] = CODES[over[hit].argmax(1)]
        return trip

    def calls(self, novelty: NDArray[np.float32], first: NDArray[np.bool_]) -> list[Trip]:
        """The trips of this step that call the fallback: not those of robots that it drives already."""
        trip = self.found(novelty, first)
        called = [Trip(int(each)) for each in trip[(trip > 0) & (self.left <= 0)]]
        self.left = np.where(trip > 0, self._hold, self.left - 1)
        return called
