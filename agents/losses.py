"""The terms of the PPO objective (Schulman et al. 2017) as functions of one minibatch.

With the ratio rho = pi(a|s) / pi_old(a|s), advantage A, clip range c, value V and its target R:

    L_policy = -mean min( rho A, clip(rho, 1 - c, 1 + c) A )
    L_value  = 1/2 mean (V - R)^2
    L        = L_policy + c_v L_value - c_e H(pi)
"""

from __future__ import annotations

import torch
from torch import Tensor


def clipped_surrogate(log_prob: Tensor, old_log_prob: Tensor, advantage: Tensor, clip: float) -> Tensor:
    """L_policy, ready to be minimised: (batch,) three times -> ()."""
    ratio = (log_prob - old_log_prob).exp()
    unclipped = ratio * advantage
    clipped = ratio.clamp(1.0 - clip, 1.0 + clip) * advantage
    return -torch.minimum(unclipped, clipped).mean()


def value_error(value: Tensor, target: Tensor) -> Tensor:
    """L_value: (batch,) twice -> ()."""
    return 0.5 * (value - target).square().mean()


def ppo(policy: Tensor, value: Tensor, entropy: Tensor, value_weight: float, entropy_weight: float) -> Tensor:
    """L from its three terms, all ()."""
    return policy + value_weight * value - entropy_weight * entropy
