"""A frozen policy's layers, read back from its graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import warp as wp

from agents.errors import PolicyError
from agents.export import export
from agents.layers import read_layers
from agents.networks import ActorCritic
from agents.normalize import Moments
from sim.perceptron import Net, answer, make_net
from sim.robot import RobotSpec
from sim.tasks.track import track_contract


@wp.kernel
def ask(seen: wp.array2d(dtype=wp.float32), net: Net, out: wp.array(dtype=wp.vec2)) -> None:  # type: ignore[valid-type]
    row = wp.tid()
    out[row] = answer(row, seen, net)


def test_layers_answer_in_a_kernel_as_the_graph_does(tmp_path: Path) -> None:
    contract = track_contract(RobotSpec())
    network = ActorCritic(contract.observation_size, 2, (16, 12), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        network.actor[-1].weight.mul_(40.0)  # a first policy says next to nothing
    moments = Moments(contract.observation_size)
    generator = torch.Generator().manual_seed(2)
    moments.update(torch.randn((100, contract.observation_size), generator=generator) * 3.0 + 1.0)
    policy = export(tmp_path, network, moments, contract, training={}, evaluation={})
    observation = np.random.default_rng(3).normal(0.0, 4.0, (50, contract.observation_size)).astype(np.float32)
    net = make_net(read_layers(tmp_path), 50, "cpu", contract.observation_size, "the task track")
    out = wp.zeros(50, dtype=wp.vec2, device="cpu")
    wp.launch(ask, dim=50, inputs=[wp.array(observation, dtype=wp.float32, device="cpu"), net, out], device="cpu")
    expected = policy.act(observation)
    np.testing.assert_allclose(out.numpy(), expected, atol=1e-5)
    assert expected.std() > 0.1
    assert read_layers(tmp_path).hash == policy.hash


def test_a_place_without_a_policy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="expected a trained policy"):
        read_layers(tmp_path)
