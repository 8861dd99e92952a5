"""Worlds whose policies' values are known: what off-policy estimates are measured on.

Each draws a log of one policy and knows the value of another: exactly where it can be computed (tables), else as the
mean of many episodes of the target itself, far more than any log has. `MUST_ABSTAIN` are worlds in which the log cannot
tell.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fleet.ope.estimate import Target
from fleet.ope.log import Log

Rng = np.random.Generator


@dataclass(frozen=True)
class Problem:
    """One log and the truth."""

    log: Log
    target: Target
    truth: float
    discount: float = 1.0


def softmax(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Along the last axis."""
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def drawn(chances: NDArray[np.float64], rng: Rng) -> NDArray[np.int64]:
    """One of each row's actions."""
    return (chances.cumsum(axis=-1) < rng.random((*chances.shape[:-1], 1))).sum(axis=-1).clip(0, chances.shape[-1] - 1)


def bandit(seed: int, episodes: int = 1000, sharp: float = 1.5) -> Problem:
    """One choice among five by five numbers; the reward is a curved function of both, with noise."""
    rng = np.random.default_rng((seed, 1))
    w, u, centre = rng.normal(size=(5, 5)), rng.normal(size=(5, 5)), rng.normal(size=(5, 5))

    def reward(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return 3.0 + np.tanh(x @ w) + np.exp(-0.5 * ((x[:, None] - centre) ** 2).sum(axis=2) / 4.0)

    def target(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return softmax(sharp * x @ w)

    x = rng.normal(size=(episodes, 5))
    chances = softmax(0.5 * x @ u)
    action = drawn(chances, rng)
    told = np.take_along_axis(reward(x), action[:, None], 1)[:, 0] + rng.normal(0.0, 0.5, episodes)
    many = rng.normal(size=(400_000, 5))
    truth = float((target(many) * reward(many)).sum(axis=1).mean())
    propensity = np.take_along_axis(chances, action[:, None], 1)
    log = Log(x[:, None], action[:, None], told[:, None], propensity, np.ones((episodes, 1), bool), 5)
    return Problem(log, target, truth)


def table(seed: int, episodes: int = 400, steps: int = 50, states: int = 12, actions: int = 4) -> Problem:
    """A table of states and actions, fifty steps: the truth is exact."""
    rng = np.random.default_rng((seed, 2))
    moves = rng.dirichlet(np.full(states, 0.4), size=(states, actions))
    reward = rng.uniform(0.0, 1.0, (states, actions))
    logged, wanted = softmax(rng.normal(size=(states, actions))), softmax(1.5 * rng.normal(size=(states, actions)))
    value = np.zeros(states)
    for _ in range(steps):
        value = (wanted * (reward + moves @ value)).sum(axis=1)
    begin = rng.dirichlet(np.ones(states))
    at = rng.choice(states, size=episodes, p=begin)
    seen, done, told = (
        np.zeros((episodes, steps), np.int64),
        np.zeros((episodes, steps), np.int64),
        np.zeros((episodes, steps)),
    )
    for step in range(steps):
        seen[:, step] = at
        done[:, step] = drawn(logged[at], rng)
        told[:, step] = reward[at, done[:, step]] + rng.normal(0.0, 0.2, episodes)
        at = drawn(moves[at, done[:, step]], rng)
    log = Log(np.eye(states)[seen], done, told, logged[seen, done], np.ones((episodes, steps), bool), actions)

    def target(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return x @ wanted

    return Problem(log, target, float(begin @ value))


def errands(seed: int, episodes: int = 500) -> Problem:
    """A robot that chooses among near, pressing and far work or charges, until its battery or its shift ends.

    Episodes end at different steps; states are continuous (battery, distances, urgency); the truth is the mean of
    200,000 episodes of the target.
    """
    weights = np.random.default_rng((seed, 3)).normal(size=2)

    def policy(x: NDArray[np.float64], gain: float, low: float) -> NDArray[np.float64]:
        logits = np.stack(
            [-gain * x[:, 1], -gain * x[:, 2] + x[:, 3], -gain * (x[:, 1] + x[:, 2]), 12.0 * (low - x[:, 0])], axis=1
        )
        return softmax(logits)

    def play(count: int, gain: float, low: float, rng: Rng) -> Log:
        steps = 15
        x = np.stack([rng.uniform(0.4, 1.0, count), *rng.uniform(0.0, 1.0, (3, count))], axis=1)
        kept: list[list[NDArray]] = [[], [], [], [], []]
        alive = np.ones(count, bool)
        for _ in range(steps):
            chances = policy(x, gain, low)
            action = drawn(chances, rng)
            way = np.choose(action, [x[:, 1], x[:, 2], x[:, 1] + x[:, 2], np.full(count, 0.5)])
            worth = np.choose(
                action, np.stack([0.0 * way + 0.8, 0.6 + x[:, 3], 0.0 * way + 1.2 + 0.1 * weights[0], 0.0 * way])
            )
            reward = np.where(alive, worth - 0.4 * way + rng.normal(0.0, 0.2, count), 0.0)
            for place, value in zip(kept, (x, action, reward, chances[np.arange(count), action], alive), strict=True):
                place.append(value.copy())
            battery = np.where(action == 3, np.minimum(x[:, 0] + 0.5, 1.0), x[:, 0] - 0.06 - 0.1 * way)
            alive = alive & (battery > 0.1)
            x = np.stack([battery, *rng.uniform(0.0, 1.0, (3, count))], axis=1)
        state, done, told, chance, there = (np.stack(each, axis=1) for each in kept)
        return Log(state, done, told, chance, there, 4)

    log = play(episodes, 1.0, 0.3, np.random.default_rng((seed, 4)))
    truth = play(200_000, 2.5, 0.45, np.random.default_rng((seed, 5)))
    return Problem(log, lambda x: policy(x, 2.5, 0.45), float((truth.reward * truth.alive).sum(axis=1).mean()))


def drift(seed: int, episodes: int = 600) -> Problem:
    """Two numbers that a push moves, 20 steps, discounted: the model's features do not hold the reward."""
    rng = np.random.default_rng((seed, 6))

    def play(count: int, gain: float, own: Rng) -> Log:
        x = own.normal(size=(count, 2))
        kept: list[list[NDArray]] = [[], [], [], []]
        for _ in range(20):
            chances = softmax(np.stack([gain * x[:, 0], np.zeros(count), -gain * x[:, 0]], axis=1))
            action = drawn(chances, own)
            reward = 1.0 + np.cos(2.0 * x[:, 0]) + 0.3 * np.sin(3.0 * x[:, 1]) + own.normal(0.0, 0.1, count)
            for place, value in zip(kept, (x, action, reward, chances[np.arange(count), action]), strict=True):
                place.append(value.copy())
            push = np.stack([0.4 * (action - 1.0), 0.1 * x[:, 0]], axis=1)
            x = 0.9 * x + push + own.normal(0.0, 0.2, (count, 2))
        state, done, told, chance = (np.stack(each, axis=1) for each in kept)
        return Log(state, done, told, chance, np.ones(done.shape, bool), 3)

    log, many = play(episodes, 0.5, rng), play(100_000, 1.5, np.random.default_rng((seed, 7)))
    truth = float((many.reward * 0.95 ** np.arange(20)).sum(axis=1).mean())

    def target(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return softmax(np.stack([1.5 * x[:, 0], np.zeros(len(x)), -1.5 * x[:, 0]], axis=1))

    return Problem(log, target, truth, 0.95)


def decided(seed: int) -> Problem:
    """The log's policy draws nothing, and the target chooses otherwise in a third of the cases."""
    made = bandit(seed, 2000)
    best = made.log.state[:, 0] @ np.random.default_rng((seed, 8)).normal(size=(5, 5))
    action = best.argmax(axis=1)[:, None]
    log = Log(made.log.state, action, made.log.reward, np.ones_like(made.log.reward), made.log.alive, 5)
    return Problem(log, made.target, made.truth)


def apart(seed: int) -> Problem:
    """The target does almost always what the log's policy does one time in a thousand."""
    made = bandit(seed, 2000)
    rng = np.random.default_rng((seed, 9))
    chances = np.tile([0.001, 0.249, 0.25, 0.25, 0.25], (2000, 1))
    action = drawn(chances, rng)
    log = Log(
        made.log.state, action[:, None], made.log.reward, chances[np.arange(2000), action][:, None], made.log.alive, 5
    )
    return Problem(log, lambda x: np.tile([0.96, 0.01, 0.01, 0.01, 0.01], (len(x), 1)), made.truth)


def few(seed: int) -> Problem:
    """Thirty episodes."""
    made = table(seed, episodes=30)
    return made


KNOWN: dict[str, Callable[[int], Problem]] = {"bandit": bandit, "table": table, "errands": errands, "drift": drift}
MUST_ABSTAIN: dict[str, Callable[[int], Problem]] = {"decided": decided, "apart": apart, "few": few}
