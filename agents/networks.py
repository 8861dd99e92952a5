"""The networks of one policy: an actor that gives the mean action and a critic that gives the value.

Two separate tanh multilayer perceptrons and a state-independent log standard deviation. Small on purpose: two
layers of 128 learn the navigation task, and one row must be answered in microseconds on a robot's core.
Weights start orthogonal (gain sqrt(2), the actor's last layer 0.01 so that every first action is near zero, the
critic's last 1), biases at zero; see Andrychowicz et al. 2021, "What matters in on-policy reinforcement learning".
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn


class ActorCritic(nn.Module):
    """Mean action, log standard deviation and value from a normalised observation."""

    def __init__(
        self,
        observation_size: int,
        action_size: int,
        hidden: Sequence[int] = (64, 64),
        log_std: float = -0.5,
        generator: torch.Generator | None = None,
    ) -> None:
        """Initial weights are drawn from `generator` alone."""
        super().__init__()
        self.actor = _mlp(observation_size, hidden, action_size, last_gain=0.01, generator=generator)
        self.critic = _mlp(observation_size, hidden, 1, last_gain=1.0, generator=generator)
        self.log_std = nn.Parameter(torch.full((action_size,), float(log_std)))

    def mean(self, observation: Tensor) -> Tensor:
        """Mean action: (..., observation) -> (..., action)."""
        return self.actor(observation)

    def value(self, observation: Tensor) -> Tensor:
        """Value in units of the return normaliser: (..., observation) -> (...)."""
        return self.critic(observation).squeeze(-1)


def _mlp(
    inputs: int, hidden: Sequence[int], outputs: int, last_gain: float, generator: torch.Generator | None
) -> nn.Sequential:
    layers: list[nn.Module] = []
    sizes = (inputs, *hidden, outputs)
    for index, (before, after) in enumerate(itertools.pairwise(sizes)):
        last = index == len(sizes) - 2
        # the weights are overwritten at once: skip_init spares a draw from torch's global generator
        layer = cast(nn.Linear, nn.utils.skip_init(nn.Linear, before, after))
        nn.init.orthogonal_(layer.weight, gain=last_gain if last else math.sqrt(2.0), generator=generator)
        nn.init.zeros_(layer.bias)
        layers.append(layer)
        if not last:
            layers.append(nn.Tanh())
    return nn.Sequential(*layers)
