"""How good a policy is: complete episodes, counted without bias.

Every row contributes the same number of episodes, its first ones. Counting whichever episodes end first would favour
short ones, and those are not a fair sample: failures end early, hard ways take long. A `Meter` adds what its field
asks of an episode; without one nothing is measured but what `Step` says.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from agents.rollout import Environment, Episodes, Map, join_episodes

Act = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""Observations (rows, observation) -> actions (rows, action)."""


class Meter(Protocol):
    """Figures of episodes beyond reward and ending, of one environment (`sim.driving.meter` for the road)."""

    def begin(self) -> None:
        """Every row begins an episode."""
        ...

    def step(self) -> None:
        """The environment has made a step."""
        ...

    def take(self, rows: NDArray[np.intp], /) -> Mapping[str, NDArray[np.float64]]:
        """Figures of the episodes that this step ended in some rows, each (rows,); nan where there is none."""
        ...


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
    figures: Mapping[str, float] = field(default_factory=dict)
    """Means of what a meter measured; empty without one."""

    def plain(self) -> dict[str, Any]:  # JSON values
        """One flat table, the meter's figures among the others."""
        values = asdict(self)
        return values | values.pop("figures")


def evaluate(
    environment: Environment, act: Act, episodes: int, meter: Meter | None = None
) -> tuple[Episodes, dict[str, NDArray[np.float64]]]:
    """Run at least `episodes` episodes, the same number in every row, from a fresh reset; and what `meter` says."""
    rows = environment.rows
    wanted = math.ceil(episodes / rows)
    done = np.zeros(rows, np.int64)
    length = np.zeros(rows, np.int64)
    reward = np.zeros(rows)
    parts: list[Episodes] = []
    figures: list[Mapping[str, NDArray[np.float64]]] = []
    observation = environment.reset()
    if meter is not None:
        meter.begin()
    while done.min() < wanted:
        step = environment.step(act(observation))
        if meter is not None:
            meter.step()
        observation = step.observation
        length += 1
        reward += step.reward
        ended = np.flatnonzero(np.asarray(step.terminated).astype(bool) | np.asarray(step.truncated).astype(bool))
        counted = ended[done[ended] < wanted]
        if meter is not None and len(ended):
            taken = meter.take(ended)
            figures.append({name: values[done[ended] < wanted] for name, values in taken.items()})
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
    return join_episodes(parts), join_figures(figures)


def join_figures(parts: Sequence[Mapping[str, NDArray[np.float64]]]) -> dict[str, NDArray[np.float64]]:
    """One after the other; all have the same names."""
    return {name: np.concatenate([part[name] for part in parts]) for name in (parts[0] if parts else ())}


class HeldOut:
    """Environments that training never sees; the same episodes at every check."""

    def __init__(
        self, environments: Sequence[Environment], episodes: int, meters: Sequence[Meter] | None = None
    ) -> None:
        """`meters`: one for each environment, if any."""
        self.environments = environments
        self.episodes = episodes
        self._meters: Sequence[Meter | None] = meters or [None] * len(environments)
        self._begin = [
            {name: np.array(array) for name, array in environment.snapshot().items()} for environment in environments
        ]

    def check(self, act: Act, workers: Map = map) -> Evaluation:
        """Evaluate `act`, which may be called from several threads at once; `workers` maps over environments."""
        share = math.ceil(self.episodes / len(self.environments))

        def one(index: int) -> tuple[Episodes, dict[str, NDArray[np.float64]]]:
            environment = self.environments[index]
            environment.restore(self._begin[index])
            return evaluate(environment, act, share, self._meters[index])

        episodes, figures = zip(*workers(one, range(len(self.environments))), strict=True)
        return summarize(join_episodes(list(episodes)), join_figures(figures))


def summarize(episodes: Episodes, figures: Mapping[str, NDArray[np.float64]] | None = None) -> Evaluation:
    """Shares and means; of figures over the episodes that have them."""
    return Evaluation(
        episodes=len(episodes),
        success=float(episodes.success.mean()),
        collisions=float(episodes.collision.mean()),
        timeouts=float(episodes.timeout.mean()),
        length=float(episodes.length[episodes.success].mean()) if episodes.success.any() else float("nan"),
        reward=float(episodes.reward.mean()),
        figures={
            name: float(np.nanmean(values)) for name, values in (figures or {}).items() if np.isfinite(values).any()
        },
    )
