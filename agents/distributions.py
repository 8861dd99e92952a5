"""The diagonal Gaussian over actions: log-probability, entropy and divergence, as functions of its parameters.

With mean m, standard deviation s = exp(log_std) and k dimensions:

    log p(a) = -1/2 sum_k ((a - m) / s)^2 - sum_k log s - k/2 log(2 pi)
    H        = sum_k log s + k/2 (1 + log(2 pi))
    KL(0||1) = sum_k [ log(s1 / s0) + (s0^2 + (m0 - m1)^2) / (2 s1^2) - 1/2 ]

Actions are not squashed: the environment clips them to [-1, 1], which leaves the likelihood of what was drawn as it
is. Everything is a plain tensor function, so that it can be tested against numbers worked by hand.
"""

from __future__ import annotations

import math

from torch import Tensor

LOG_2PI = math.log(2.0 * math.pi)


def gaussian_log_prob(action: Tensor, mean: Tensor, log_std: Tensor) -> Tensor:
    """Log-probability of actions: (..., k), (..., k), (k,) -> (...)."""
    z = (action - mean) * (-log_std).exp()
    k = action.shape[-1]
    return -0.5 * (z * z).sum(-1) - log_std.sum() - 0.5 * k * LOG_2PI


def gaussian_entropy(log_std: Tensor) -> Tensor:
    """Entropy in nats: (k,) -> ()."""
    return log_std.sum() + 0.5 * log_std.shape[-1] * (1.0 + LOG_2PI)


def gaussian_kl(mean_0: Tensor, log_std_0: Tensor, mean_1: Tensor, log_std_1: Tensor) -> Tensor:
    """KL divergence of distribution 1 from distribution 0: (..., k), (k,), (..., k), (k,) -> (...)."""
    ratio = (2.0 * (log_std_0 - log_std_1)).exp()
    shift = (mean_0 - mean_1) * (-log_std_1).exp()
    return (log_std_1 - log_std_0 + 0.5 * (ratio + shift * shift) - 0.5).sum(-1)
