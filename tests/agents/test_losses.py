from __future__ import annotations

import math

import pytest
import torch

from agents.distributions import gaussian_entropy, gaussian_kl, gaussian_log_prob
from agents.losses import clipped_surrogate, ppo, value_error


def log(*values: float) -> torch.Tensor:
    return torch.tensor([math.log(value) for value in values], dtype=torch.float64)


def test_surrogate_is_the_number_worked_by_hand() -> None:
    # ratios 1.5, 1.5, 0.5, 0.5, advantages 2, -2, 2, -2, clip 0.2:
    # min(3, 2.4), min(-3, -2.4), min(1, 1.6), min(-1, -1.6) = 2.4 - 3 + 1 - 1.6 = -1.2; loss 0.3
    advantage = torch.tensor([2.0, -2.0, 2.0, -2.0], dtype=torch.float64)
    loss = clipped_surrogate(log(0.3, 0.3, 0.1, 0.1), log(0.2, 0.2, 0.2, 0.2), advantage, clip=0.2)
    assert loss.item() == pytest.approx(0.3)


def test_gradient_stops_where_the_ratio_has_gone_far_enough() -> None:
    log_prob = log(0.3, 0.3).requires_grad_()
    clipped_surrogate(log_prob, log(0.2, 0.2), torch.tensor([1.0, -1.0], dtype=torch.float64), 0.2).backward()
    # a good action already 1.5 times likelier is left alone; a bad one is still made rarer: -(1/2)(1.5)(-1)
    assert log_prob.grad is not None
    assert log_prob.grad.tolist() == pytest.approx([0.0, 0.75])


def test_value_error_is_half_the_mean_square() -> None:
    assert value_error(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 3.0])).item() == pytest.approx(0.5 * (4 + 1) / 2)


def test_objective_weighs_its_three_terms() -> None:
    loss = ppo(torch.tensor(0.3), torch.tensor(2.0), torch.tensor(5.0), value_weight=0.5, entropy_weight=0.01)
    assert loss.item() == pytest.approx(0.3 + 1.0 - 0.05)


def test_gaussian_agrees_with_torchs_own() -> None:
    generator = torch.Generator().manual_seed(3)
    mean_0, mean_1, action = torch.randn((3, 7, 2), generator=generator, dtype=torch.float64)
    log_std_0, log_std_1 = torch.randn((2, 2), generator=generator, dtype=torch.float64)
    ours = torch.distributions.Independent(torch.distributions.Normal(mean_0, log_std_0.exp()), 1)
    other = torch.distributions.Independent(torch.distributions.Normal(mean_1, log_std_1.exp()), 1)
    torch.testing.assert_close(gaussian_log_prob(action, mean_0, log_std_0), ours.log_prob(action))
    torch.testing.assert_close(gaussian_entropy(log_std_0).expand(7), ours.entropy())
    torch.testing.assert_close(
        gaussian_kl(mean_0, log_std_0, mean_1, log_std_1), torch.distributions.kl_divergence(ours, other)
    )


def test_gaussian_is_the_number_worked_by_hand() -> None:
    # s = 2, a - m = 2: log p = -1/2 - log 2 - 1/2 log 2 pi
    one = torch.tensor([math.log(2.0)])
    assert gaussian_log_prob(torch.tensor([3.0]), torch.tensor([1.0]), one).item() == pytest.approx(
        -0.5 - math.log(2.0) - 0.5 * math.log(2.0 * math.pi)
    )
