"""Worlds that each have a seed of their own, behind what a vector environment asks of its worlds (sim/worlds.py).

Worlds that are stepped together share a seed, which is a constant of its recorded launches. Gymnasium also seeds its
environments one by one, with a list; each world is then an environment of its own and lives as it would alone, bit for
bit. They are built (0.1 s each) and stepped one after the other: for comparing single seeds, not for training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from sim.worlds import Step, Worlds


class Apart:
    """One environment for each world, of `robots` rows. Owns them."""

    def __init__(self, make: Callable[[int], Worlds], seeds: Sequence[int], robots: int) -> None:
        """`make` builds the environment of one world from its seed."""
        self.worlds = [make(seed) for seed in seeds]
        self._robots = robots

    def reset(self, rows: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """As `Worlds.reset`."""
        masks = np.ones((len(self.worlds), self._robots), bool) if rows is None else rows.reshape(-1, self._robots)
        return np.concatenate(
            [
                world.reset(mask) if mask.any() else world.observation.numpy()
                for world, mask in zip(self.worlds, masks, strict=True)
            ]
        )

    def step(self, action: NDArray[np.float32]) -> Step:
        """As `Worlds.step`, with arrays that are the caller's."""
        each = action.reshape(len(self.worlds), self._robots, -1)
        steps = [world.step(own) for world, own in zip(self.worlds, each, strict=True)]
        names = [field.name for field in fields(Step)]
        return Step(**{name: np.concatenate([getattr(step, name) for step in steps]) for name in names})
