import math

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

from agents.choices import (
    ChoiceConfig,
    ChoiceLearner,
    ChoiceNetwork,
    Prior,
    Shape,
    choice_graph,
    entropy_of,
    log_probabilities,
)

SHAPE = Shape(tasks=3, features=4, context=2)


def prior(shape: Shape = SHAPE) -> Prior:
    tasks = torch.zeros(shape.features)
    tasks[1] = -2.0
    return Prior(tasks, torch.full((shape.context, 1), 0.5), -1.0)


def network(seed: int = 0) -> ChoiceNetwork:
    made = ChoiceNetwork(SHAPE, 8, prior(), torch.Generator().manual_seed(seed))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed + 1)))
    return made


def test_what_cannot_be_chosen_has_no_probability_and_adds_no_entropy() -> None:
    logits = torch.tensor([[1.0, 1.0, 7.0], [0.0, math.log(3.0), 0.0]])
    can = torch.tensor([[True, True, False], [True, True, False]])
    found = log_probabilities(logits, can)
    assert found.exp().tolist() == [pytest.approx([0.5, 0.5, 0.0]), pytest.approx([0.25, 0.75, 0.0])]
    by_hand = [math.log(2.0), 0.25 * math.log(4.0) + 0.75 * math.log(4.0 / 3.0)]
    assert entropy_of(found).tolist() == pytest.approx(by_hand)


def test_a_new_network_is_its_prior() -> None:
    made = ChoiceNetwork(SHAPE, 8, prior(), torch.Generator().manual_seed(0))
    observation = torch.arange(28.0).reshape(2, 14) / 10.0
    tasks, context = observation[:, :12].reshape(2, 3, 4), observation[:, 12:]
    wanted = torch.cat([-2.0 * tasks[..., 1], 0.5 * context.sum(1, keepdim=True) - 1.0], dim=1)
    assert torch.allclose(made.logits(observation), wanted)


def test_the_order_of_an_offer_means_nothing() -> None:
    made = network()
    observation = torch.randn(5, 14, generator=torch.Generator().manual_seed(3))
    turned = observation.clone()
    turned[:, :12] = observation[:, :12].reshape(5, 3, 4)[:, [2, 0, 1]].reshape(5, 12)
    a, b = made.logits(observation), made.logits(turned)
    assert torch.allclose(a[:, [2, 0, 1]], b[:, :3], atol=1e-6)
    assert torch.allclose(a[:, 3], b[:, 3], atol=1e-6)


def test_the_frozen_graph_answers_as_the_network() -> None:
    made = network()
    observation = torch.randn(7, 14, generator=torch.Generator().manual_seed(4))
    session = onnxruntime.InferenceSession(choice_graph(made).SerializeToString(), providers=["CPUExecutionProvider"])
    (said,) = session.run(["action"], {"observation": observation.numpy()})
    assert np.abs(said - made.logits(observation).detach().numpy()).max() < 1e-5
    assert choice_graph(made).SerializeToString(deterministic=True) == choice_graph(made).SerializeToString(
        deterministic=True
    )


class Bandit:
    """Worlds in which the place with the largest third number pays, and nothing is to be gained by none."""

    def __init__(self, worlds: int) -> None:
        self.worlds = worlds
        self.draws = np.random.default_rng(0)
        self.can = np.ones((worlds, SHAPE.tasks + 1), bool)

    def observe(self) -> NDArray[np.float32]:
        self.now = self.draws.normal(size=(self.worlds, 14)).astype(np.float32)
        self.now[:, : 12 : SHAPE.features] = 1.0
        self.can[:, 0] = self.draws.random(self.worlds) < 0.5
        return self.now

    def step(self, chosen: NDArray[np.intp]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        assert self.can[np.arange(self.worlds), chosen].all(), "what cannot be chosen was chosen"
        pays = self.now[:, :12].reshape(self.worlds, 3, 4)[:, :, 2]
        reward = np.append(pays, np.zeros((self.worlds, 1)), axis=1)[np.arange(self.worlds), chosen]
        return self.observe(), reward.astype(np.float64)


def test_it_learns_what_pays_and_the_same_seed_learns_the_same() -> None:
    def train() -> tuple[list[float], NDArray[np.intp], Bandit]:
        worlds = Bandit(64)
        learner = ChoiceLearner(ChoiceConfig(horizon=16, minibatch=256, gamma=0.0), SHAPE, prior(), seed=1)
        observation, rewards = worlds.observe(), []
        for iteration in range(30):
            observation, losses = learner.iterate(worlds, observation, iteration / 30)
            rewards.append(losses.reward)
        return rewards, learner.act(observation, worlds.can), worlds

    rewards, said, worlds = train()
    again, said_again, _ = train()
    assert rewards == again
    assert (said == said_again).all()
    assert abs(rewards[0]) < 0.2
    assert rewards[-1] > 0.45, "the best of two or three places and none pays some 0.6 in the mean"
    assert worlds.can[np.arange(64), said].all()
