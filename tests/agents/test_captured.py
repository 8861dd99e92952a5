"""Gradient steps on fixed buffers do what the plain ones do; on CUDA they are replayed from a graph."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from agents.captured import CapturedUpdate
from agents.ppo import Learner, PpoConfig
from agents.rollout import Lane, Rollout
from tests.agents.point_goal import PointGoal

CONFIG = PpoConfig(hidden=(16, 16), horizon=16, epochs=3, minibatches=4, anneal=0.5)


def learner(captured: bool, config: PpoConfig = CONFIG, device: str = "cpu") -> Learner:
    env = PointGoal(8, seed=1)
    return Learner(config, env.observation_size, env.action_size, parts=1, seed=3, device=device, captured=captured)


def rollout(of: Learner, seed: int) -> Rollout:
    lane = Lane(PointGoal(8, seed=seed), torch.Generator().manual_seed(seed), of.device)
    return lane.collect(of.network, *of.observation_moments.shift_scale(), of.config.horizon)


def assert_equal(one: Learner, two: Learner, near: float) -> None:
    first, second = one.state(), two.state()
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_allclose(second[name], first[name], rtol=near, atol=near, err_msg=name)


@pytest.mark.parametrize("divergence", [1e-5, 0.01, 10.0])
def test_fixed_buffers_learn_what_plain_steps_learn(divergence: float) -> None:
    """Whether the learning rate falls, stays about where it is, or rises."""
    config = replace(CONFIG, divergence=divergence)
    plain, fixed = learner(False, config), learner(True, config)
    for update in range(4):
        seen = rollout(plain, 10 + update)
        said = [each.update([seen], 0.25 * update) for each in (plain, fixed)]
        np.testing.assert_allclose(said[1], said[0], rtol=1e-3, atol=1e-5)
    assert_equal(plain, fixed, 1e-4)
    if divergence != 0.01:
        assert plain.learning_rate == config.rate_bounds[0 if divergence < 0.01 else 1]
    assert fixed.how == "no graph, cpu has no graphs"


def test_gradients_are_clipped_alike() -> None:
    config = replace(CONFIG, gradient_norm=0.01)
    plain, fixed = learner(False, config), learner(True, config)
    seen = rollout(plain, 5)
    for each in (plain, fixed):
        each.update([seen], 0.0)
    assert_equal(plain, fixed, 1e-4)


def test_a_checkpoint_of_one_kind_goes_on_in_the_other() -> None:
    fixed, plain = learner(True), learner(False)
    fixed.update([rollout(fixed, 5)], 0.0)
    saved = fixed.state()
    seen = rollout(fixed, 6)
    fixed.update([seen], 0.1)
    plain.load(saved)
    plain.update([seen], 0.1)
    assert_equal(plain, fixed, 1e-4)
    again = learner(True)
    again.update([rollout(again, 9)], 0.0)  # its buffers hold moments that loading replaces
    again.load(saved)
    again.update([seen], 0.1)
    assert_equal(again, fixed, 1e-6)


def test_buffers_stay_where_they_are() -> None:
    """A graph holds addresses: whatever a step reads or writes must not move."""
    fixed = learner(True)
    fixed.update([rollout(fixed, 5)], 0.0)
    buffers = fixed._buffers
    assert buffers is not None
    watched = [*buffers.batch, buffers.chosen, buffers.rate, *fixed.parameters]
    watched += [value for entry in fixed.optimiser.state.values() for value in entry.values()]
    before = [tensor.data_ptr() for tensor in watched]
    fixed.update([rollout(fixed, 6)], 0.1)
    assert fixed._buffers is buffers
    assert [tensor.data_ptr() for tensor in watched] == before


@pytest.mark.gpu
def test_a_graph_learns_what_plain_steps_learn() -> None:
    plain, fixed = (learner(captured, device="cuda:0") for captured in (False, True))
    for update in range(4):
        seen = rollout(plain, 10 + update)
        for each in (plain, fixed):
            each.update([seen], 0.25 * update)
    assert fixed.how == "gradient steps replayed as one graph"
    assert_equal(plain, fixed, 1e-3)


@pytest.mark.gpu
def test_a_capture_leaves_no_trace_of_its_warm_up() -> None:
    fixed = learner(True, device="cuda:0")
    fixed.update([rollout(fixed, 5)], 0.0)
    steps = next(iter(fixed.optimiser.state.values()))["step"]
    assert float(steps) == CONFIG.epochs * CONFIG.minibatches
    assert isinstance(fixed._buffers, CapturedUpdate)
