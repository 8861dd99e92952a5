from __future__ import annotations

import pytest
import torch

from agents.returns import gae


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)[:, None]


def ends(*values: bool) -> torch.Tensor:
    return torch.tensor(values)[:, None]


def test_advantages_are_those_worked_by_hand() -> None:
    # gamma 0.5, lambda 0.5: delta = (1 + 0.5*4 - 2, 2 + 0.5*6 - 4, 3 + 0.5*8 - 6) = (1, 1, 1)
    # A2 = 1, A1 = 1 + 0.25 * 1 = 1.25, A0 = 1 + 0.25 * 1.25 = 1.3125
    none = ends(False, False, False)
    estimate = gae(column(1, 2, 3), column(2, 4, 6), column(4, 6, 8), none, none, gamma=0.5, lam=0.5)
    assert estimate.advantage[:, 0].tolist() == pytest.approx([1.3125, 1.25, 1.0])
    assert estimate.target[:, 0].tolist() == pytest.approx([3.3125, 5.25, 7.0])


def test_terminated_episode_has_no_future() -> None:
    # delta1 = 2 - 4 = -2, nothing of step 2 comes back over the end; A0 = 1 + 0.25 * (-2)
    estimate = gae(
        column(1, 2, 3),
        column(2, 4, 6),
        column(4, 100, 8),
        ends(False, True, False),
        ends(False, False, False),
        gamma=0.5,
        lam=0.5,
    )
    assert estimate.advantage[:, 0].tolist() == pytest.approx([0.5, -2.0, 1.0])


def test_truncated_episode_is_worth_the_state_that_it_reached() -> None:
    # delta1 = 2 + 0.5*10 - 4 = 3 with the value 10 of the final observation; step 2 belongs to the next episode
    estimate = gae(
        column(1, 2, 3),
        column(2, 4, 6),
        column(4, 10, 8),
        ends(False, False, False),
        ends(False, True, False),
        gamma=0.5,
        lam=0.5,
    )
    assert estimate.advantage[:, 0].tolist() == pytest.approx([1.0 + 0.25 * 3.0, 3.0, 1.0])


def test_rows_do_not_touch_each_other() -> None:
    one = gae(column(1, 2), column(2, 4), column(4, 6), ends(False, True), ends(False, False), 0.9, 0.8)
    two = gae(
        torch.cat([column(1, 2), column(9, 9)], 1),
        torch.cat([column(2, 4), column(9, 9)], 1),
        torch.cat([column(4, 6), column(9, 9)], 1),
        torch.cat([ends(False, True), ends(False, False)], 1),
        torch.zeros(2, 2, dtype=torch.bool),
        0.9,
        0.8,
    )
    assert torch.equal(one.advantage[:, 0], two.advantage[:, 0])
