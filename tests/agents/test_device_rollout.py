"""Collecting on the environment's own device gives what collecting through the host gives."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from agents.device_rollout import DeviceLane, OnHost
from agents.evaluation import HeldOut, evaluate
from agents.networks import ActorCritic
from agents.normalize import Moments
from agents.ppo import PpoConfig
from agents.rollout import Lane, Rollout
from agents.trainer import Trainer, TrainerConfig
from sim.env import BatchEnv
from sim.scene import Scene
from sim.site import make_site
from sim.tasks.navigate import NavigateConfig

Make = Callable[[], BatchEnv]


def maker(kind: str) -> Make:
    site = make_site("hall", np.zeros((8, 8), bool))
    config = NavigateConfig(paths=64, time_limit=1.0)
    if kind == "batch":
        return lambda: BatchEnv(site, config, worlds=6, seed=2, threads=1)
    if kind == "cuda":
        return lambda: BatchEnv(site, config, worlds=6, seed=2, device="cuda:0")
    from sim.warp_backend import WarpBackend

    def physics(scene: Scene, worlds: int) -> WarpBackend:
        return WarpBackend(scene.model, worlds)

    return lambda: BatchEnv(site, config, worlds=6, seed=2, backend=physics)


@pytest.fixture(
    params=["batch", pytest.param("warp", marks=pytest.mark.slow), pytest.param("cuda", marks=pytest.mark.gpu)]
)
def make(request: pytest.FixtureRequest) -> Make:
    return maker(request.param)


def learner(env: BatchEnv) -> tuple[ActorCritic, torch.Tensor, torch.Tensor]:
    device = "cuda:0" if env.device != "cpu" else "cpu"
    network = ActorCritic(env.observation_size, 2, (16,), generator=torch.Generator().manual_seed(5)).to(device)
    shift, scale = Moments(env.observation_size).shift_scale()
    return network, shift.to(device), scale.to(device)


def collect(lane: Lane | DeviceLane, env: BatchEnv) -> list[Rollout]:
    network, shift, scale = learner(env)
    return [lane.collect(network, shift, scale, 13) for _ in range(3)]


def test_a_lane_on_the_device_collects_what_a_lane_on_the_host_does(make: Make) -> None:
    here, there = make(), make()
    device = "cuda:0" if here.device != "cpu" else "cpu"
    host = Lane(OnHost(here), torch.Generator().manual_seed(6), device)
    lane = DeviceLane(there, torch.Generator().manual_seed(6), device)
    for expected, got in zip(collect(host, here), collect(lane, there), strict=True):
        for name in ("raw_observation", "action", "mean", "log_prob", "reward", "terminated", "truncated"):
            torch.testing.assert_close(getattr(got, name), getattr(expected, name), msg=name)
        for name in ("value", "next_value"):  # sums over batches of other sizes
            torch.testing.assert_close(getattr(got, name), getattr(expected, name), rtol=1e-4, atol=1e-5, msg=name)
        for name in expected.episodes.__dataclass_fields__:
            np.testing.assert_array_equal(getattr(got.episodes, name), getattr(expected.episodes, name), err_msg=name)
    assert got.truncated.any()
    assert len(got.episodes)


def test_a_cut_episode_is_worth_the_state_that_it_reached(make: Make) -> None:
    env = make()
    lane = DeviceLane(env, torch.Generator().manual_seed(6), "cuda:0" if env.device != "cpu" else "cpu")
    network, shift, scale = learner(env)
    rollout = lane.collect(network, shift, scale, 12)
    at, row = (int(index[0]) for index in torch.nonzero(rollout.truncated & ~rollout.terminated, as_tuple=True))
    assert at + 1 < 12
    after_the_reset = rollout.value[at + 1, row]
    assert rollout.next_value[at, row] != after_the_reset
    running = torch.nonzero(~(rollout.truncated | rollout.terminated)[:-1], as_tuple=True)
    torch.testing.assert_close(rollout.next_value[:-1][running], rollout.value[1:][running], rtol=1e-4, atol=1e-5)


def test_a_lane_goes_on_from_its_state(make: Make) -> None:
    env, other = make(), make()
    device = "cuda:0" if env.device != "cpu" else "cpu"
    lane = DeviceLane(env, torch.Generator().manual_seed(6), device)
    network, shift, scale = learner(env)
    lane.collect(network, shift, scale, 7)
    state = lane.state()
    expected = lane.collect(network, shift, scale, 7)
    again = DeviceLane(other, torch.Generator().manual_seed(99), device)
    again.load(state)
    came = again.collect(network, shift, scale, 7)
    assert torch.equal(came.action, expected.action)
    assert torch.equal(came.reward, expected.reward)
    np.testing.assert_array_equal(came.episodes.reward, expected.episodes.reward)


def test_the_host_sees_copies(make: Make) -> None:
    env = OnHost(make())
    first = env.reset()
    kept = first.copy()
    env.step(np.ones((6, 2), np.float32))
    np.testing.assert_array_equal(first, kept)
    assert len(evaluate(env, lambda seen: np.zeros((6, 2), np.float32), 6)[0]) == 6


def test_a_trainer_learns_on_environments_that_live_on_its_device(make: Make, tmp_path: Path) -> None:
    lanes, checked = [make(), make()], [OnHost(make())]
    device = "cuda:0" if lanes[0].device != "cpu" else "cpu"
    settings = TrainerConfig(ppo=PpoConfig(horizon=8, minibatches=2), steps=200, seconds=60.0, device=device)
    trainer = Trainer(settings, lanes, HeldOut(checked, 6), lanes[0].contract, tmp_path, on_device=True)
    before = trainer.weights_hash()
    outcome = trainer.run(lambda progress: None)
    assert outcome.reason == "steps"
    assert outcome.steps >= 200
    assert trainer.weights_hash() != before
