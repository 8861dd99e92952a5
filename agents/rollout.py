"""Collecting experience: an environment, the policy that acts in it, and what came of it.

    a_t ~ pi(. | normalise(o_t)),    o_{t+1}, r_t, ends = environment.step(a_t)

A `Lane` is one batched environment with its own generator of action noise. A trainer runs several lanes in threads:
physics, kernels and matrix products release the GIL, and because no lane shares anything that changes, the result
does not depend on which of them is faster. Values and log-probabilities are computed for the whole rollout at once
when it is complete, which costs a third of computing them step by step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.distributions import gaussian_log_prob
from agents.networks import ActorCritic
from agents.normalize import normalize

Map = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
"""`map`, or an executor's: how independent parts are worked through; Any as the builtin's."""


class Step(Protocol):
    """What one control step gave; arrays are views that the next step overwrites."""

    @property
    def observation(self) -> NDArray[np.float32]:
        """Of the state after the step, after the reset where the episode ended; (rows, observation)."""
        ...

    @property
    def reward(self) -> NDArray[np.float32]:
        """Of this step; (rows,)."""
        ...

    @property
    def terminated(self) -> NDArray[Any]:  # uint8 or bool
        """The episode has no future; (rows,)."""
        ...

    @property
    def truncated(self) -> NDArray[Any]:  # uint8 or bool
        """The episode was cut; (rows,)."""
        ...

    @property
    def final_observation(self) -> NDArray[np.float32]:
        """What rows that ended saw before the reset; (rows, observation)."""
        ...

    @property
    def success(self) -> NDArray[Any]:  # uint8 or bool
        """The episode ended in success; (rows,)."""
        ...

    @property
    def collision(self) -> NDArray[Any]:  # uint8 or bool
        """The episode ended in a collision; (rows,)."""
        ...


class Environment(Protocol):
    """The seam to the simulator: `sim.env.BatchEnv`, or a small fake."""

    rows: int
    observation_size: int
    action_size: int

    def reset(self) -> NDArray[np.float32]:
        """Begin every row anew; (rows, observation)."""
        ...

    def step(self, action: NDArray[np.float32]) -> Step:
        """One control step of every row; action (rows, action), clipped to [-1, 1] by the environment."""
        ...

    def end_rollout(self) -> None:
        """Raise if the simulation dropped something since the last call; called once per rollout."""
        ...

    def snapshot(self) -> Mapping[str, NDArray[Any]]:  # arrays of any dtype
        """Everything that `restore` needs to go on bit for bit."""
        ...

    def restore(self, state: Mapping[str, NDArray[Any]], /) -> None:  # arrays of any dtype
        """Go on from a snapshot."""
        ...


@dataclass(frozen=True)
class Episodes:
    """Outcomes of finished episodes, in the order in which they ended; every array (episodes,)."""

    success: NDArray[np.bool_]
    collision: NDArray[np.bool_]
    timeout: NDArray[np.bool_]
    """Truncated."""
    length: NDArray[np.int64]
    """Control steps."""
    reward: NDArray[np.float64]
    """Undiscounted return."""

    def __len__(self) -> int:
        return len(self.success)


def join_episodes(parts: list[Episodes]) -> Episodes:
    """One after the other."""
    return Episodes(
        success=np.concatenate([part.success for part in parts]),
        collision=np.concatenate([part.collision for part in parts]),
        timeout=np.concatenate([part.timeout for part in parts]),
        length=np.concatenate([part.length for part in parts]),
        reward=np.concatenate([part.reward for part in parts]),
    )


@dataclass(frozen=True)
class Rollout:
    """`steps` control steps of every row of one lane, as tensors on the learner's device."""

    raw_observation: Tensor
    """As the environment gave it, for the normaliser; (steps, rows, observation)."""
    observation: Tensor
    """Normalised as it was acted on; (steps, rows, observation)."""
    action: Tensor
    """As drawn, not clipped; (steps, rows, action)."""
    mean: Tensor
    """Of the distribution that it was drawn from; (steps, rows, action)."""
    log_prob: Tensor
    """(steps, rows)"""
    value: Tensor
    """Of the state acted in, in the critic's units; (steps, rows)."""
    next_value: Tensor
    """Of the state reached, before any reset, in the critic's units; (steps, rows)."""
    reward: Tensor
    """(steps, rows)"""
    terminated: Tensor
    """bool, (steps, rows)"""
    truncated: Tensor
    """bool, (steps, rows)"""
    episodes: Episodes
    """Those that ended."""


class Lane:
    """One environment, its generator, and the episodes under way; owns all three."""

    def __init__(self, environment: Environment, generator: torch.Generator, device: torch.device | str) -> None:
        self.environment = environment
        self.generator = generator
        self.device = torch.device(device)
        self._observation = np.array(environment.reset(), np.float32)
        self._reward = np.zeros(environment.rows)
        self._length = np.zeros(environment.rows, np.int64)

    @torch.no_grad()
    def collect(self, network: ActorCritic, shift: Tensor, scale: Tensor, steps: int) -> Rollout:
        """Act for `steps` control steps; `shift` and `scale` (observation,) normalise what is seen."""
        rows, size = self._observation.shape
        raw = torch.empty((steps + 1, rows, size), device=self.device)
        observation = torch.empty_like(raw)
        # drawn on the CPU on every device: one generator state to save, and the same draws everywhere
        noise = torch.randn((steps, rows, network.log_std.shape[0]), generator=self.generator).to(self.device)
        action = noise.mul_(network.log_std.exp())  # the means are added as they come
        mean = torch.empty_like(action)
        reward = np.empty((steps, rows), np.float32)
        terminated = np.empty((steps, rows), bool)
        truncated = np.empty((steps, rows), bool)
        finals: list[tuple[int, NDArray[np.intp], NDArray[np.float32]]] = []
        episodes: list[Episodes] = []

        raw[0] = torch.as_tensor(self._observation)
        observation[0] = normalize(raw[0], shift, scale)
        for t in range(steps):
            mean[t] = network.mean(observation[t])
            action[t] += mean[t]
            step = self.environment.step(action[t].cpu().numpy())
            reward[t] = step.reward
            terminated[t] = step.terminated
            truncated[t] = step.truncated
            self._reward += reward[t]
            self._length += 1
            ended = np.flatnonzero(terminated[t] | truncated[t])
            if len(ended):
                episodes.append(self._finish(step, ended, truncated[t]))
                cut = np.flatnonzero(truncated[t] & ~terminated[t])
                if len(cut):
                    finals.append((t, cut, np.array(step.final_observation[cut], np.float32)))
            raw[t + 1] = torch.as_tensor(step.observation)
            observation[t + 1] = normalize(raw[t + 1], shift, scale)
        self.environment.end_rollout()
        self._observation = np.array(step.observation, np.float32) if steps else self._observation

        value = network.value(observation)
        next_value = value[1:].clone()
        for t, cut, final in finals:
            final_observation = normalize(torch.as_tensor(final).to(self.device), shift, scale)
            next_value[t, torch.as_tensor(cut)] = network.value(final_observation)
        return Rollout(
            raw_observation=raw[:steps],
            observation=observation[:steps],
            action=action,
            mean=mean,
            log_prob=gaussian_log_prob(action, mean, network.log_std),
            value=value[:steps],
            next_value=next_value,
            reward=torch.as_tensor(reward).to(self.device),
            terminated=torch.as_tensor(terminated).to(self.device),
            truncated=torch.as_tensor(truncated).to(self.device),
            episodes=join_episodes(episodes) if episodes else NO_EPISODES,
        )

    def state(self) -> dict[str, NDArray[Any]]:  # arrays of any dtype
        """Environment, generator and running episodes, as arrays."""
        state = {f"environment/{name}": np.array(array) for name, array in self.environment.snapshot().items()}
        state["generator"] = self.generator.get_state().numpy()
        state["observation"] = self._observation
        state["reward"] = self._reward
        state["length"] = self._length
        return state

    def load(self, state: Mapping[str, NDArray[Any]]) -> None:  # arrays of any dtype
        """Go on from `state`."""
        prefix = "environment/"
        self.environment.restore({key[len(prefix) :]: state[key] for key in state if key.startswith(prefix)})
        self.generator.set_state(torch.as_tensor(state["generator"]))
        self._observation = np.array(state["observation"])
        self._reward = np.array(state["reward"])
        self._length = np.array(state["length"])

    def _finish(self, step: Step, ended: NDArray[np.intp], truncated: NDArray[np.bool_]) -> Episodes:
        episodes = Episodes(
            success=np.asarray(step.success)[ended].astype(bool),
            collision=np.asarray(step.collision)[ended].astype(bool),
            timeout=truncated[ended],
            length=self._length[ended],
            reward=self._reward[ended],
        )
        self._reward[ended] = 0.0
        self._length[ended] = 0
        return episodes


NO_EPISODES = Episodes(
    success=np.zeros(0, bool),
    collision=np.zeros(0, bool),
    timeout=np.zeros(0, bool),
    length=np.zeros(0, np.int64),
    reward=np.zeros(0),
)
"""None ended."""
