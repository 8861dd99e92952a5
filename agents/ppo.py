"""Proximal policy optimisation (Schulman et al. 2017) with the settings that matter on this task.

One iteration: lanes collect `horizon` steps each; advantages by GAE with the critic's values brought back to reward
units; then `epochs` passes over the batch in minibatches. Three additions to the paper: targets are normalised by
their running moments (the reward's scale then matters to nothing), advantages by the batch's, and the learning rate
follows the divergence that a step caused (as in rsl_rl: Schwarke et al. 2025), so that it need not be tuned:

    KL > 2 d   ->  rate / 1.5           KL < d / 2  ->  rate * 1.5          for the desired divergence d

A minibatch is cut into as many parts as there are lanes; their gradients are computed in threads and added in a fixed
order, so that the numbers do not depend on timing. The number of parts, not the number of cores, fixes the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agents.captured import Batch, CapturedUpdate
from agents.distributions import gaussian_entropy, gaussian_kl, gaussian_log_prob
from agents.learned import learned_arrays, load_learned
from agents.losses import clipped_surrogate, ppo, value_error
from agents.networks import ActorCritic
from agents.normalize import Moments, normalize
from agents.returns import gae
from agents.rollout import Map, Rollout

ANNEAL_FLOOR = 0.02
"""Share of the desired divergence that annealing leaves: with 0 every step would call for a smaller rate."""


@dataclass(frozen=True)
class PpoConfig:
    """What PPO can be told."""

    hidden: tuple[int, ...] = (64, 64)
    """Neurons of each hidden layer, for actor and critic alike."""
    log_std: float = -0.5
    """Log standard deviation of the first actions."""
    horizon: int = 32
    """Control steps of each row in one iteration."""
    epochs: int = 4
    """Passes over an iteration's samples."""
    minibatches: int = 4
    """Gradient steps of one pass: each takes an equal share of the iteration's samples."""
    gamma: float = 0.99
    """Discount of one control step."""
    lam: float = 0.95
    """GAE's lambda."""
    clip: float = 0.2
    """Range of the probability ratio."""
    learning_rate: float = 1e-3
    """The first; the divergence moves it."""
    rate_bounds: tuple[float, float] = (1e-4, 3e-3)
    """It stays between these."""
    divergence: float = 0.01
    """Desired KL divergence of a gradient step's policy from the one that collected, nats."""
    anneal: float = 0.0
    """Last share of the step budget, in which the desired divergence falls to next to 0; 0 for runs that end at a
    target."""
    value_weight: float = 1.0
    """Weight of the critic's loss."""
    entropy_weight: float = 0.0
    """Weight of the entropy bonus."""
    gradient_norm: float = 1.0
    """Gradients longer than this are scaled down to it."""


class Losses(NamedTuple):
    """Means over one update, for the log."""

    policy: float
    value: float
    entropy: float
    divergence: float
    learning_rate: float
    explained: float
    """Share of the targets' variance that the critic foresaw."""


class Learner:
    """Network, optimiser, normalisers and learning rate: everything that learning changes; owns all of them."""

    def __init__(
        self,
        config: PpoConfig,
        observation_size: int,
        action_size: int,
        parts: int,
        seed: int,
        device: str,
        captured: bool | None = None,
    ) -> None:
        """`captured`: gradient steps on fixed buffers, replayed as a graph on CUDA (None: where the device is CUDA)."""
        self.config = config
        self.parts = parts
        self.device = torch.device(device)
        self.captured = self.device.type == "cuda" if captured is None else captured
        self._buffers: CapturedUpdate | None = None
        self.generator = torch.Generator().manual_seed(seed)
        self.network = ActorCritic(
            observation_size, action_size, config.hidden, config.log_std, generator=self.generator
        ).to(self.device)
        self.parameters = list(self.network.parameters())
        self.learning_rate = config.learning_rate
        self.optimiser = torch.optim.Adam(self.parameters, lr=self.learning_rate, eps=1e-5, fused=True)
        self.observation_moments = Moments(observation_size, self.device)
        self.target_moments = Moments(1, self.device)

    def update(self, rollouts: Sequence[Rollout], progress: float, workers: Map = map) -> Losses:
        """Learn from what the lanes collected; `progress` in [0, 1] is how much of the step budget is spent."""
        if self.captured:
            return self._update_captured(rollouts, progress)
        config = self.config
        batch, explained = self._prepare(rollouts)
        size = len(batch.advantage)
        minibatch = size // config.minibatches
        old_log_std = self.network.log_std.detach().clone()
        totals = torch.zeros(3, dtype=torch.float64)
        divergences = 0.0
        count = 0
        for _ in range(config.epochs):
            order = torch.randperm(size, generator=self.generator).to(self.device)
            for start in range(0, size - minibatch + 1, minibatch):
                chosen = order[start : start + minibatch]
                parts = [_take(batch, part) for part in chosen.chunk(self.parts)]
                results = list(workers(lambda part: self._gradients(part, old_log_std, minibatch), parts))
                for index, parameter in enumerate(self.parameters):
                    gradient = results[0].gradients[index]
                    for result in results[1:]:
                        gradient = gradient + result.gradients[index]
                    parameter.grad = gradient
                divergence = float(sum(result.divergence for result in results))
                self._adapt(divergence, progress)
                torch.nn.utils.clip_grad_norm_(self.parameters, config.gradient_norm)
                self.optimiser.step()
                totals += sum((result.losses for result in results), torch.zeros(3, dtype=torch.float64))
                divergences += divergence
                count += 1
        for rollout in rollouts:
            self.observation_moments.update(rollout.raw_observation)
        mean = totals / max(count, 1)
        return Losses(
            policy=float(mean[0]),
            value=float(mean[1]),
            entropy=float(mean[2]),
            divergence=divergences / max(count, 1),
            learning_rate=self.learning_rate,
            explained=explained,
        )

    def _update_captured(self, rollouts: Sequence[Rollout], progress: float) -> Losses:
        """The same on fixed buffers: the host looks once, when all gradient steps are done."""
        config = self.config
        batch, explained = self._prepare(rollouts)
        size = len(batch.advantage)
        if self._buffers is None or self._buffers.samples != size:
            self._buffers = CapturedUpdate(config, self.network, self.optimiser, size)
        buffers, minibatch, count = self._buffers, size // config.minibatches, 0
        buffers.begin(batch, self.network.log_std.detach(), self._desired(progress), self.learning_rate)
        for _ in range(config.epochs):
            order = torch.randperm(size, generator=self.generator).to(self.device)
            for start in range(0, size - minibatch + 1, minibatch):
                buffers.step(order[start : start + minibatch])
                count += 1
        for rollout in rollouts:
            self.observation_moments.update(rollout.raw_observation)
        mean = buffers.totals() / max(count, 1)
        self.learning_rate = float(buffers.rate)
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate
        return Losses(*mean.tolist(), learning_rate=self.learning_rate, explained=explained)

    @property
    def how(self) -> str:
        """How gradient steps run, for a log; settled after the first update."""
        if self._buffers is None:
            return "gradient steps launched one by one"
        return f"no graph, {self._buffers.reason}" if self._buffers.reason else "gradient steps replayed as one graph"

    def state(self) -> dict[str, NDArray[Any]]:  # arrays of any dtype
        """Everything as arrays: parameters, Adam's moments, normalisers, generator, rate."""
        state = learned_arrays(self.network, self.optimiser, self._moments(), self.generator)
        state["learning_rate"] = np.array(self.learning_rate)
        return state

    def load(self, state: dict[str, NDArray[Any]]) -> None:  # arrays of any dtype
        """Go on from `state`."""
        load_learned(state, self.network, self.optimiser, self._moments(), self.generator)
        self.learning_rate = float(state["learning_rate"])
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate
        self._buffers = None  # they hold the moments that were replaced

    def _moments(self) -> dict[str, Moments]:
        return {"observation": self.observation_moments, "target": self.target_moments}

    def _prepare(self, rollouts: Sequence[Rollout]) -> tuple[Batch, float]:
        """Advantages and targets of every lane, flattened into one batch; and the share of variance foreseen."""
        mean, scale = self.target_moments.shift_scale()
        deviation = 1.0 / scale
        estimates = [
            gae(
                rollout.reward,
                rollout.value * deviation + mean,
                rollout.next_value * deviation + mean,
                rollout.terminated,
                rollout.truncated,
                self.config.gamma,
                self.config.lam,
            )
            for rollout in rollouts
        ]
        advantage = torch.cat([estimate.advantage.reshape(-1) for estimate in estimates])
        target = torch.cat([estimate.target.reshape(-1) for estimate in estimates])
        explained = float(1.0 - advantage.var() / target.var().clamp(min=1e-12))
        self.target_moments.update(target[:, None])
        batch = Batch(
            observation=torch.cat([rollout.observation.flatten(0, 1) for rollout in rollouts]),
            action=torch.cat([rollout.action.flatten(0, 1) for rollout in rollouts]),
            mean=torch.cat([rollout.mean.flatten(0, 1) for rollout in rollouts]),
            log_prob=torch.cat([rollout.log_prob.reshape(-1) for rollout in rollouts]),
            advantage=(advantage - advantage.mean()) / (advantage.std() + 1e-8),
            target=normalize(target, *self.target_moments.shift_scale()),
        )
        return batch, explained

    def _gradients(self, part: Batch, old_log_std: Tensor, whole: int) -> _Part:
        """Gradients of one part of a minibatch of `whole` samples, scaled so that the parts add up to the mean."""
        config = self.config
        share = len(part.advantage) / whole
        mean = self.network.mean(part.observation)
        log_std = self.network.log_std
        log_prob = gaussian_log_prob(part.action, mean, log_std)
        policy = clipped_surrogate(log_prob, part.log_prob, part.advantage, config.clip)
        value = value_error(self.network.value(part.observation), part.target)
        entropy = gaussian_entropy(log_std)
        loss = share * ppo(policy, value, entropy, config.value_weight, config.entropy_weight)
        gradients = torch.autograd.grad(loss, self.parameters)
        with torch.no_grad():
            divergence = share * gaussian_kl(part.mean, old_log_std, mean, log_std).mean()
            losses = share * torch.stack((policy, value, entropy)).to("cpu", torch.float64)
        return _Part(gradients=gradients, losses=losses, divergence=float(divergence))

    def _desired(self, progress: float) -> float:
        """The divergence that gradient steps should cause, nats."""
        config = self.config
        left = (1.0 - progress) / config.anneal if config.anneal else 1.0
        return config.divergence * min(1.0, left + ANNEAL_FLOOR)

    def _adapt(self, divergence: float, progress: float) -> None:
        """Move the learning rate towards the desired divergence."""
        config, desired = self.config, self._desired(progress)
        low, high = config.rate_bounds
        if divergence > 2.0 * desired:
            self.learning_rate = max(low, self.learning_rate / 1.5)
        elif 0.0 < divergence < 0.5 * desired:
            self.learning_rate = min(high, self.learning_rate * 1.5)
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate


class _Part(NamedTuple):
    gradients: tuple[Tensor, ...]
    losses: Tensor
    divergence: float


def _take(batch: Batch, rows: Tensor) -> Batch:
    return Batch(
        observation=batch.observation[rows],
        action=batch.action[rows],
        mean=batch.mean[rows],
        log_prob=batch.log_prob[rows],
        advantage=batch.advantage[rows],
        target=batch.target[rows],
    )
