"""How good a policy is: complete episodes, counted without bias.

Every row contributes the same number of episodes, its first ones. Counting whichever episodes end first would favour
short ones, and those are not a fair sample: failures end early, hard ways take long.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agents.rollout import Environment, Episodes, Map, join_episodes

Act = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Observations (rows, observation) -> actions (rows, action)."""


@dataclass(frozen=True)
class Evaluation:
    """What a deterministic policy did."""

    episodes: int
    success: float
    """Share of the episodes."""
    collisions: float
    """Share that ended in a collision."""
    timeouts: float
    """Share that was cut by the time limit."""
    length: float
    """Mean control steps of the successful ones; nan without one."""
    reward: float
    """Mean undiscounted return."""


def evaluate(environment: Environment, act: Act, episodes: int) -> Episodes:
    """Run at least `episodes` episodes, the same number in every row, from a fresh reset."""
    rows = environment.rows
    wanted = math.ceil(episodes / rows)
    done = np.zeros(rows, np.int64)
    length = np.zeros(rows, np.int64)
    reward = np.zeros(rows)
    parts: list[Episodes] = []
    observation = environment.reset()
    while done.min() < wanted:
        step = environment.step(act(observation))
        observation = step.observation
        length += 1
        reward += step.reward
        ended = np.flatnonzero(np.asarray(step.terminated).astype(bool) | np.asarray(step.truncated).astype(bool))
        counted = ended[done[ended] < wanted]
        if len(counted):
            parts.append(
                Episodes(
                    success=np.asarray(step.success)[counted].astype(bool),
                    collision=np.asarray(step.collision)[counted].astype(bool),
                    timeout=np.asarray(step.truncated)[counted].astype(bool),
                    length=length[counted],
                    reward=reward[counted],
                )
            )
        done[ended] += 1
        length[ended] = 0
        reward[ended] = 0.0
    environment.end_rollout()
    return join_episodes(parts)


class HeldOut:
    """Environments that training never sees; the same episodes at every check."""

    def __init__(self, environments: Sequence[Environment], episodes: int) -> None:
        self.environments = environments
        self.episodes = episodes
        self._begin = [
            {name: np.array(array) for name, array in environment.snapshot().items()} for environment in environments
        ]

    def check(self, act: Act, workers: Map = map) -> Evaluation:
        """Evaluate `act`, which may be called from several threads at once; `workers` maps over environments."""
        share = math.ceil(self.episodes / len(self.environments))

        def one(index: int) -> Episodes:
            environment = self.environments[index]
            environment.restore(self._begin[index])
            return evaluate(environment, act, share)

        return summarize(join_episodes(list(workers(one, range(len(self.environments))))))


def summarize(episodes: Episodes) -> Evaluation:
    """Shares and means."""
    return Evaluation(
        episodes=len(episodes),
        success=float(episodes.success.mean()),
        collisions=float(episodes.collision.mean()),
        timeouts=float(episodes.timeout.mean()),
        length=float(episodes.length[episodes.success].mean()) if episodes.success.any() else float("nan"),
        reward=float(episodes.reward.mean()),
    )
