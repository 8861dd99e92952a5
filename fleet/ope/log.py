"""Episodes of logged choices as arrays, padded to the longest, and what must be true of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.errors import MusterError


class OpeError(MusterError):
    """Logged choices that cannot be evaluated."""


@dataclass(frozen=True)
class Log:
    """Choices of a policy that says how probable each was."""

    state: NDArray[np.float64]
    """(episodes, steps, features)"""
    action: NDArray[np.int64]
    """(episodes, steps), from 0 on"""
    reward: NDArray[np.float64]
    """(episodes, steps)"""
    propensity: NDArray[np.float64]
    """(episodes, steps): probability of the action under the policy that chose it; 1 where nothing was drawn"""
    alive: NDArray[np.bool_]
    """(episodes, steps): there was such a step; the first steps of each episode, one at least"""
    actions: int
    """How many there are"""

    @property
    def episodes(self) -> int:
        """Rows."""
        return len(self.alive)

    @property
    def steps(self) -> int:
        """Columns."""
        return self.alive.shape[1]

    def part(self, rows: NDArray[np.bool_]) -> Log:
        """Some of the episodes."""
        return Log(
            self.state[rows],
            self.action[rows],
            self.reward[rows],
            self.propensity[rows],
            self.alive[rows],
            self.actions,
        )

    def check(self) -> None:
        """Raise OpeError, in one line, unless it is a sound log."""
        shape = self.alive.shape
        if len(shape) != 2 or not shape[0] or not shape[1]:
            raise OpeError(f"expected episodes of one choice at least, got an array of shape {shape}; log more")
        for name in ("action", "reward", "propensity"):
            if getattr(self, name).shape != shape:
                raise OpeError(f"expected {name} of shape {shape}, got {getattr(self, name).shape}; pad the episodes")
        if self.state.ndim != 3 or self.state.shape[:2] != shape:
            raise OpeError(f"expected states of shape {(*shape, 'features')}, got {self.state.shape}; pad the episodes")
        if not self.alive[:, 0].all() or (self.alive[:, 1:] & ~self.alive[:, :-1]).any():
            raise OpeError("expected episodes that begin with their first step and have no gaps; correct `alive`")
        alive = self.alive
        if not (np.isfinite(self.state[alive]).all() and np.isfinite(self.reward[alive]).all()):
            raise OpeError("expected finite states and rewards, some are not; leave these episodes out")
        propensity = self.propensity[alive]
        if not ((propensity > 0.0) & (propensity <= 1.0)).all():
            raise OpeError(
                f"expected propensities above 0 and up to 1, got {propensity.min():g} to {propensity.max():g}: what "
                "was chosen had a probability; correct the log"
            )
        action = self.action[alive]
        if not ((action >= 0) & (action < self.actions)).all():
            raise OpeError(f"expected actions from 0 to {self.actions - 1}, got {action.min()} to {action.max()}")
