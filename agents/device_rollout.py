"""Collecting experience where the environment lives on the learner's device: no step is copied to the host.

As `agents.rollout.Lane`, with the environment's arrays seen as tensors on the same memory (Warp and torch share it).
Warp launches on a stream of its own, which CUDA orders with torch's default stream, so that no step waits for the host;
what ended is read back once per rollout. V(s'_t) is computed for every step from the state that was reached, final
observations included, because finding out which rows were cut would need a look from the host.

`OnHost` shows such an environment to code that wants numpy (held-out checks), one copy a step.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
import warp as wp
from numpy.typing import NDArray
from torch import Tensor

from agents.distributions import gaussian_log_prob
from agents.networks import ActorCritic
from agents.normalize import normalize
from agents.rollout import Episodes, Rollout

FLAGS = ("terminated", "truncated", "success", "collision")
"""What a step says of each row's end."""


class DeviceEnvironment(Protocol):
    """`sim.env.BatchEnv` on any device: actions are written into `action`, steps hand out its own arrays."""

    rows: int
    observation_size: int
    action_size: int
    action: wp.array
    """float32 (rows, actions)"""

    def reset(self) -> Any:  # a numpy view or a Warp array
        """Begin every row anew; (rows, observation)."""
        ...

    def step(self, action: NDArray[np.float32] | None = None) -> Any:  # a step of numpy views or of Warp arrays
        """One control step of every row with what `action` holds, or with the one given."""
        ...

    def end_rollout(self) -> None:
        """Raise if the simulation dropped something."""
        ...

    def snapshot(self) -> Mapping[str, NDArray[Any]]:  # arrays of any dtype
        """Everything that `restore` needs."""
        ...

    def restore(self, saved: Mapping[str, NDArray[Any]], /) -> None:  # arrays of any dtype
        """Go on from a snapshot."""
        ...


def shared(array: Any) -> Tensor:  # a numpy or a Warp array
    """A tensor on the array's memory."""
    return wp.to_torch(array) if isinstance(array, wp.array) else torch.from_numpy(array)


class DeviceLane:
    """One environment on the learner's device, its generator, and the episodes under way; owns all three."""

    def __init__(self, environment: DeviceEnvironment, generator: torch.Generator, device: torch.device | str) -> None:
        self.environment = environment
        self.generator = generator
        self.device = torch.device(device)
        self._observation = shared(environment.reset()).clone()
        self._action = shared(environment.action)
        self._said: dict[str, Tensor] = {}
        self._reward = torch.zeros(environment.rows, dtype=torch.float64, device=self.device)
        self._length = torch.zeros(environment.rows, dtype=torch.int64, device=self.device)

    @torch.no_grad()
    def collect(self, network: ActorCritic, shift: Tensor, scale: Tensor, steps: int) -> Rollout:
        """Act for `steps` control steps; `shift` and `scale` (observation,) normalise what is seen."""
        rows, size = self._observation.shape
        flags = torch.empty((4, steps, rows), dtype=torch.bool, device=self.device)
        terminated, truncated = flags[0], flags[1]
        raw = torch.empty((steps + 1, rows, size), device=self.device)
        observation, reached = torch.empty_like(raw), torch.empty_like(raw[:steps])
        # drawn on the CPU on every device, all at once: one generator state to save, and the same draws everywhere
        noise = torch.randn((steps, rows, network.log_std.shape[0]), generator=self.generator).to(self.device)
        action = noise.mul_(network.log_std.exp())  # the means are added as they come
        mean = torch.empty_like(action)
        reward = torch.empty((steps, rows), device=self.device)
        returns = torch.empty((steps, rows), dtype=torch.float64, device=self.device)
        lengths = torch.empty((steps, rows), dtype=torch.int64, device=self.device)

        raw[0] = self._observation
        observation[0] = normalize(raw[0], shift, scale)
        for t in range(steps):
            mean[t] = network.mean(observation[t])
            action[t] += mean[t]
            self._action.copy_(action[t])
            said = self._step()
            reward[t] = said["reward"]
            for flag, name in zip(flags, FLAGS, strict=True):
                flag[t] = said[name]
            raw[t + 1] = said["observation"]
            cut = (truncated[t] & ~terminated[t])[:, None]
            reached[t] = torch.where(cut, said["final_observation"], raw[t + 1])
            observation[t + 1] = normalize(raw[t + 1], shift, scale)
            self._reward += reward[t]
            self._length += 1
            returns[t], lengths[t] = self._reward, self._length
            goes_on = ~(terminated[t] | truncated[t])
            self._reward *= goes_on
            self._length *= goes_on
        self._observation.copy_(raw[steps])
        self.environment.end_rollout()
        return Rollout(
            raw_observation=raw[:steps],
            observation=observation[:steps],
            action=action,
            mean=mean,
            log_prob=gaussian_log_prob(action, mean, network.log_std),
            value=network.value(observation[:steps]),
            next_value=network.value(normalize(reached, shift, scale)),
            reward=reward,
            terminated=terminated,
            truncated=truncated,
            episodes=_finished(flags, lengths, returns),
        )

    def _step(self) -> dict[str, Tensor]:
        step = self.environment.step()
        if not self._said:  # the arrays stay where they are
            self._said = {
                name: shared(getattr(step, name)) for name in ("observation", "reward", *FLAGS, "final_observation")
            }
        return self._said

    def state(self) -> dict[str, NDArray[Any]]:  # arrays of any dtype
        """Environment, generator and running episodes, as arrays; what `agents.rollout.Lane` saves."""
        state = {f"environment/{name}": np.array(array) for name, array in self.environment.snapshot().items()}
        state["generator"] = self.generator.get_state().numpy()
        state["observation"] = self._observation.cpu().numpy().copy()
        state["reward"] = self._reward.cpu().numpy().copy()
        state["length"] = self._length.cpu().numpy().copy()
        return state

    def load(self, state: Mapping[str, NDArray[Any]]) -> None:  # arrays of any dtype
        """Go on from `state`."""
        prefix = "environment/"
        self.environment.restore({key[len(prefix) :]: state[key] for key in state if key.startswith(prefix)})
        self.generator.set_state(torch.as_tensor(state["generator"]))
        for tensor, name in ((self._observation, "observation"), (self._reward, "reward"), (self._length, "length")):
            tensor.copy_(torch.as_tensor(state[name]))


def _finished(flags: Tensor, lengths: Tensor, returns: Tensor) -> Episodes:
    """Episodes that ended, in the order of steps and then rows: the one look from the host."""
    terminated, truncated, success, collision = flags.cpu().numpy()
    ended = terminated | truncated
    return Episodes(
        success=success[ended],
        collision=collision[ended],
        timeout=truncated[ended],
        length=lengths.cpu().numpy()[ended],
        reward=returns.cpu().numpy()[ended],
    )


@dataclass(frozen=True)
class HostStep:
    """As `agents.rollout.Step`."""

    observation: NDArray[np.float32]
    reward: NDArray[np.float32]
    terminated: NDArray[np.uint8]
    truncated: NDArray[np.uint8]
    final_observation: NDArray[np.float32]
    success: NDArray[np.uint8]
    collision: NDArray[np.uint8]


class OnHost:
    """An environment on a device as `agents.rollout.Environment`, every array copied to the host."""

    def __init__(self, environment: DeviceEnvironment) -> None:
        self.environment = environment
        self.rows = environment.rows
        self.observation_size, self.action_size = environment.observation_size, environment.action_size

    def reset(self) -> NDArray[np.float32]:
        """Begin every row anew."""
        return _host(self.environment.reset())

    def step(self, action: NDArray[np.float32]) -> HostStep:
        """One control step; the arrays are copies."""
        step = self.environment.step(action)
        return HostStep(**{name: _host(getattr(step, name)) for name in HostStep.__dataclass_fields__})

    def end_rollout(self) -> None:
        """As the environment's."""
        self.environment.end_rollout()

    def snapshot(self) -> Mapping[str, NDArray[Any]]:  # arrays of any dtype
        """As the environment's."""
        return self.environment.snapshot()

    def restore(self, state: Mapping[str, NDArray[Any]], /) -> None:  # arrays of any dtype
        """As the environment's."""
        self.environment.restore(state)


def _host(array: Any) -> NDArray[Any]:  # a numpy or a Warp array
    return np.array(array.numpy() if isinstance(array, wp.array) else array)
