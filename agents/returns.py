"""Generalised advantage estimation (Schulman et al. 2016), with ends of episodes told apart.

For a transition from s_t to s'_t (the state reached, before any reset):

    delta_t = r_t + gamma (1 - terminated_t) V(s'_t) - V(s_t)
    A_t     = delta_t + gamma lambda (1 - terminated_t) (1 - truncated_t) A_{t+1}
    R_t     = A_t + V(s_t)

A terminated episode has no future, so nothing is bootstrapped. A truncated one was only cut: its future is worth
V(s'_t), the value of the last state that it reached, never the value of the state after the reset.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Estimate(NamedTuple):
    """What the critic's values and the rewards say about each step."""

    advantage: Tensor
    """A_t, (steps, rows)"""
    target: Tensor
    """R_t, what the critic should have said, (steps, rows)"""


def gae(
    reward: Tensor,
    value: Tensor,
    next_value: Tensor,
    terminated: Tensor,
    truncated: Tensor,
    gamma: float,
    lam: float,
) -> Estimate:
    """Advantages and value targets; every argument (steps, rows), the two ends as bool.

    `next_value[t]` is V(s'_t): of the final observation where the episode ended at t, of the next one elsewhere.
    """
    alive = (~terminated).to(reward.dtype)
    goes_on = alive * (~truncated).to(reward.dtype)
    delta = reward + gamma * alive * next_value - value
    carry = gamma * lam * goes_on
    advantage = torch.empty_like(reward)
    running = torch.zeros_like(reward[0])
    for t in range(reward.shape[0] - 1, -1, -1):
        running = delta[t] + carry[t] * running
        advantage[t] = running
    return Estimate(advantage=advantage, target=advantage + value)
