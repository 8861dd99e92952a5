"""Resets of some worlds and everybody else: a property over random disturbances, and faults that it must catch."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import warp as wp
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.generate import generate_campus
from sim.tasks.navigate import NavigateConfig
from tests.benchmarks.isolation import Pair, case, make_pair, make_pairs, short


@cache
def pairs() -> list[Pair]:
    return make_pairs()


@settings(max_examples=120, deadline=None)
@given(pick=st.integers(0, 1000), seed=st.integers(0, 2**32 - 1))
def test_what_happens_to_some_worlds_changes_no_bit_of_the_others(pick: int, seed: int) -> None:
    chosen = pairs()[pick % len(pairs())]
    assert case(chosen, np.random.default_rng(seed)) == []


def caught(pair: Pair, cases: int = 60) -> set[str]:
    return {name for number in range(cases) for name in case(pair, np.random.default_rng(number))}


@pytest.fixture
def pair() -> Pair:
    return make_pair(generate_campus(5, blocks=(2, 2)), short(NavigateConfig()), 1, "planar", 17)


def test_a_reset_that_clears_a_neighbours_delay_is_caught(pair: Pair) -> None:
    honest = pair.one.reset

    def leaky(rows: np.ndarray | None = None) -> np.ndarray:
        seen = honest(rows)
        if rows is not None and rows.any():
            pair.one.drive.before.numpy()[...] = 0.0
        return seen

    pair.one.reset = leaky  # type: ignore[method-assign]  # the planted fault
    assert "drive.before" in caught(pair)


def test_state_that_a_snapshot_forgets_is_caught(pair: Pair) -> None:
    for env in (pair.one, pair.two):
        honest = env.plant.arrays
        env.plant.arrays = lambda h=honest: {k: v for k, v in h().items() if k != "drive.setpoint"}  # type: ignore
    assert "backend.qpos" in caught(pair)


def test_a_mask_that_reaches_one_row_too_far_is_caught(pair: Pair) -> None:
    env = pair.one
    ended = env.task.outcome.ended
    shifted = wp.zeros_like(ended)
    honest, lists = env._finish, env._beginning(shifted)

    def leaky() -> None:
        values = ended.numpy()
        shifted.numpy()[...] = values | np.roll(values, 1)
        env._begin_ended = lists
        honest()

    env._finish = leaky  # type: ignore[method-assign]  # the planted fault
    assert "robot.episode" in caught(pair)
