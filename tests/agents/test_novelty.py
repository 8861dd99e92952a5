"""Novelty in a policy's graph: the action stays bit for bit, and what is corrupted scores higher than what is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agents.export import actor_graph
from agents.exposure import WINDOW, corrupt
from agents.networks import ActorCritic
from agents.normalize import Moments
from agents.novelty import Limits, Novelty, add_novelty, fit, normaliser, windows
from agents.policy import RESIDUALS, SCORES, Policy, open_session

torch = pytest.importorskip("torch")

FIELDS = {"near": slice(0, 8), "twist": slice(8, 10)}
SIZE = 10


def driving(steps: int, seed: int) -> np.ndarray:
    """A field of slow waves that are each other's neighbours, and two numbers that follow their sum."""
    generator = np.random.default_rng(seed)
    phase = generator.uniform(0, 6, (1, 64, 1)) + 0.1 * np.arange(steps)[:, None, None]
    near = 0.5 + 0.4 * np.sin(phase + 0.4 * np.arange(8)) + generator.normal(0, 0.01, (steps, 64, 8))
    twist = np.stack([near.mean(-1), np.cos(phase[..., 0]) * np.ones((steps, 64))], -1)
    return np.concatenate([near, twist], -1).astype(np.float32)


@pytest.fixture(scope="module")
def graph() -> bytes:
    torch.manual_seed(0)
    moments = Moments(SIZE)
    moments.update(torch.from_numpy(driving(60, 1)))
    return actor_graph(ActorCritic(SIZE, 2, (16,)), moments).SerializeToString(deterministic=True)


@pytest.fixture(scope="module")
def novelty(graph: bytes) -> Novelty:
    seen = driving(60, 2)
    first = np.zeros(seen.shape[:2], bool)
    first[0] = True
    return fit(seen, first, FIELDS, *normaliser(graph), seed=1, updates=60)


def policy(graph: bytes) -> Policy:
    return Policy({}, "0" * 64, open_session(graph, Path("policy.onnx")))


def test_the_action_stays_bit_for_bit_with_or_without_the_step_before(graph: bytes, novelty: Novelty) -> None:
    seen = driving(2, 3)
    old, new = policy(graph), policy(add_novelty(graph, novelty))
    assert not old.guarded
    assert new.guarded
    action, told = new.judge(seen[1], seen[0])
    assert old.act(seen[1]).tobytes() == new.act(seen[1]).tobytes() == action.tobytes()
    assert told.shape == (64, 2 * len(SCORES))
    with pytest.raises(ValueError, match="without novelty"):
        add_novelty(add_novelty(graph, novelty), novelty)


def test_scores_are_told_in_units_of_their_limits(graph: bytes, novelty: Novelty) -> None:
    seen = driving(2, 3)
    residuals = np.random.default_rng(1).uniform(0.0, 2.0, (64, len(RESIDUALS))).astype(np.float32)
    _, raw = policy(add_novelty(graph, novelty)).judge(seen[1], seen[0], residuals)
    rest = len(RESIDUALS)
    limits = Limits((1.0, 2.0, 3.0, *[0.5] * rest), (3.0, 6.0, 4.0, *[1.0] * rest), (2.0, 3.0, 5.0, *[0.9] * rest))
    _, told = policy(add_novelty(graph, novelty, limits)).judge(seen[1], seen[0], residuals)
    count = len(SCORES)
    np.testing.assert_allclose(told[:, 1], (raw[:, 1] - 2.0) / 4.0, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(told[:, count + 2], (raw[:, 2] - 3.0) / 2.0, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(raw[:, 3:count], residuals)
    np.testing.assert_allclose(told[:, 3:count], (residuals - 0.5) / 0.5, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(told[:, count + 3 :], (residuals - 0.5) / 0.4, rtol=1e-4, atol=1e-5)


def test_what_nobody_drove_scores_higher_than_what_was_driven(graph: bytes, novelty: Novelty) -> None:
    new, seen = policy(add_novelty(graph, novelty)), driving(2, 4)
    _, driven = new.judge(seen[1], seen[0])
    for wrong in (seen[:, :, ::-1], seen * 3.0, seen + 5.0):
        now, before = np.ascontiguousarray(wrong[1]), np.ascontiguousarray(wrong[0])
        _, told = new.judge(now, before)
        assert (told[:, :3] > driven[:, :3].max(0)).any(1).mean() > 0.9


def test_a_frozen_field_shows_in_the_change_alone(graph: bytes, novelty: Novelty) -> None:
    new, seen = policy(add_novelty(graph, novelty)), driving(2, 4)
    _, driven = new.judge(seen[1], seen[0])
    frozen = seen[1].copy()
    frozen[:, :8] = seen[0][:, :8]
    _, told = new.judge(frozen, seen[0])
    assert np.median(told[:, 1]) > np.median(driven[:, 1]) + 1.0


def test_fits_are_the_same_for_the_same_seed(graph: bytes, novelty: Novelty) -> None:
    seen = driving(60, 2)
    first = np.zeros(seen.shape[:2], bool)
    first[0] = True
    again = fit(seen, first, FIELDS, *normaliser(graph), seed=1, updates=60)
    assert add_novelty(graph, again) == add_novelty(graph, novelty)


def test_windows_stay_inside_one_episode() -> None:
    first = np.zeros((20, 2), bool)
    first[0] = True
    first[12, 1] = True
    ends = windows(np.zeros((20, 2, 1), np.float32), first)
    assert {int(step) for step, row in ends if row == 0} == set(range(WINDOW - 1, 20))
    assert {int(step) for step, row in ends if row == 1} == {*range(WINDOW - 1, 12), 12 + WINDOW - 1}


def test_corruptions_change_most_rows_and_keep_numbers_finite() -> None:
    seen = driving(60, 5)
    window = np.stack([seen[:WINDOW, row] for row in range(64)] * 10)
    now, before = corrupt(window, FIELDS, np.full(SIZE, 0.3, np.float32), np.random.default_rng(1))
    assert np.isfinite(now).all()
    assert np.isfinite(before).all()
    changed = (now != window[:, -1]).any(1) | (before != window[:, -2]).any(1)
    assert changed.mean() > 0.8
    assert (before == window[:, -2]).all(1).mean() > 0.2  # those that have just begun
