from __future__ import annotations

import numpy as np
import torch

from agents.evaluation import HeldOut, evaluate
from agents.networks import ActorCritic
from agents.normalize import Moments
from agents.rollout import Lane
from tests.agents.point_goal import PointGoal


def make_lane(worlds: int = 3, limit: int = 7, noise: int = 6) -> tuple[Lane, ActorCritic]:
    network = ActorCritic(4, 2, (16,), generator=torch.Generator().manual_seed(5))
    return Lane(PointGoal(worlds, 5, limit), torch.Generator().manual_seed(noise), "cpu"), network


def test_rollout_is_what_the_environment_went_through() -> None:
    lane, network = make_lane()
    shift, scale = Moments(4).shift_scale()
    rollout = lane.collect(network, shift, scale, 20)
    again = PointGoal(3, seed=5, limit=7)
    observation = again.reset().copy()
    for t in range(20):
        np.testing.assert_array_equal(rollout.raw_observation[t].numpy(), observation)
        step = again.step(rollout.action[t].numpy())
        np.testing.assert_array_equal(rollout.reward[t].numpy(), step.reward)
        np.testing.assert_array_equal(rollout.truncated[t].numpy(), step.truncated.astype(bool))
        if step.truncated.any():
            final = network.value(torch.as_tensor(step.final_observation))
            rows = np.flatnonzero(step.truncated)
            torch.testing.assert_close(rollout.next_value[t, rows], final[rows].detach())
        observation = step.observation.copy()
    assert rollout.truncated.any()


def test_what_the_simulation_dropped_is_asked_for_once_per_rollout() -> None:
    lane, network = make_lane()
    for _ in range(3):
        lane.collect(network, *Moments(4).shift_scale(), 5)
    environment = lane.environment
    assert isinstance(environment, PointGoal)
    assert environment.checks == 3
    evaluate(environment, home, 3)
    assert environment.checks == 4


def test_value_of_a_running_episode_is_that_of_its_next_state() -> None:
    lane, network = make_lane(limit=1000)
    rollout = lane.collect(network, *Moments(4).shift_scale(), 5)
    assert torch.equal(rollout.next_value[:-1], rollout.value[1:])


def test_episodes_across_rollouts_are_counted_whole() -> None:
    lane, network = make_lane(worlds=2, limit=7)
    shift, scale = Moments(4).shift_scale()
    lengths = np.concatenate([lane.collect(network, shift, scale, 5).episodes.length for _ in range(7)])
    assert lengths.max() == 7
    assert lengths.sum() <= 70


def test_lane_goes_on_from_its_state_bit_for_bit() -> None:
    lane, network = make_lane()
    shift, scale = Moments(4).shift_scale()
    lane.collect(network, shift, scale, 9)
    state = {name: array.copy() for name, array in lane.state().items()}
    expected = lane.collect(network, shift, scale, 9)
    other, _ = make_lane(noise=99)
    other.load(state)
    came = other.collect(network, shift, scale, 9)
    assert torch.equal(came.action, expected.action)
    assert torch.equal(came.reward, expected.reward)
    np.testing.assert_array_equal(came.episodes.reward, expected.episodes.reward)


def home(observation: np.ndarray) -> np.ndarray:
    return -4.0 * observation[:, :2] - 8.0 * observation[:, 2:]


def test_every_row_gives_the_same_number_of_episodes() -> None:
    episodes, figures = evaluate(PointGoal(10, seed=2), home, 25)
    assert figures == {}
    assert len(episodes) == 30
    assert episodes.success.mean() > 0.9
    assert not (episodes.success & (episodes.collision | episodes.timeout)).any()


def test_held_out_check_meets_the_same_episodes_each_time() -> None:
    held_out = HeldOut([PointGoal(4, seed=2), PointGoal(4, seed=3)], episodes=20)
    assert held_out.check(home) == held_out.check(home)


class Lengths:
    """A meter that counts the steps of every episode."""

    def __init__(self, rows: int) -> None:
        self.count = np.full(rows, -99.0)

    def begin(self) -> None:
        self.count[:] = 0.0

    def step(self) -> None:
        self.count += 1.0

    def take(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        taken = self.count[rows].copy()
        self.count[rows] = 0.0
        return {"steps": taken, "odd": np.where(taken % 2 == 1, taken, np.nan), "never": np.full(len(rows), np.nan)}


def test_a_meter_measures_the_episodes_that_count_and_no_others() -> None:
    environments = [PointGoal(4, seed=2), PointGoal(4, seed=3)]
    held_out = HeldOut(environments, episodes=20, meters=[Lengths(4), Lengths(4)])
    found = held_out.check(home)
    plain = HeldOut(environments, episodes=20).check(home)
    assert (found.success, found.length, plain.figures) == (plain.success, plain.length, {})
    parts = [
        evaluate(environment, home, 10, Lengths(4)) for environment in (PointGoal(4, seed=2), PointGoal(4, seed=3))
    ]
    lengths = np.concatenate([figures["steps"] for _, figures in parts])
    np.testing.assert_array_equal(lengths, np.concatenate([episodes.length for episodes, _ in parts]))
    assert found.figures["steps"] == lengths.mean()
    assert found.figures["odd"] == lengths[lengths % 2 == 1].mean()
    assert "never" not in found.figures
    assert found.plain()["steps"] == found.figures["steps"]
    assert "figures" not in found.plain()
