"""The search for the worst parameters, against scores whose worst is known."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sim.driving.families import HEADWAY, KMH, cut_in, decelerating_lead
from sim.driving.scenario import Floats, Scenario, ScenarioError, valid
from sim.driving.search import SearchState, begin_search, load_search, refine, search_round

ROUNDS = 8


def search(scenario: Scenario, evaluate, seed: int = 1, rounds: int = ROUNDS, many: int = 200) -> SearchState:  # noqa: ANN001 an Evaluate
    state = begin_search(scenario, seed)
    for _ in range(rounds):
        state = search_round(scenario, state, evaluate, many)
    return refine(scenario, state, evaluate)


@pytest.mark.parametrize("seed", range(4))
def test_the_bottom_of_a_bowl_is_found(seed: int) -> None:
    """Inside the box, away from its middle, on one side only."""
    scenario = cut_in(130.0)
    low, high = (np.array([getattr(p, end) for p in scenario.parameters]) for end in ("low", "high"))
    bottom = np.array([30.0, 8.0, 12.0, 1.4, -2.0, -1.0])

    def bowl(rows: Floats) -> Floats:
        return (((rows - bottom) / (high - low)) ** 2).sum(axis=1) - 3.0

    state = search(scenario, bowl, seed)
    assert state.score[0] == pytest.approx(-3.0, abs=1e-4)
    assert state.worst[0] == pytest.approx(bottom, abs=0.3)
    assert state.evaluated == ROUNDS * 200 + 10 * 32
    assert (np.diff(state.score) >= 0.0).all()
    assert valid(scenario, state.worst).all()
    assert bowl(state.worst) == pytest.approx(state.score)


def test_a_narrow_pit_beside_a_wide_one_is_found() -> None:
    """The wide one is 1 deep, the narrow one 2 and a fifth as wide in each direction."""
    scenario = decelerating_lead(130.0).fixed(ego=130 * KMH)

    def pits(rows: Floats) -> Floats:
        wide = ((rows[:, 1] - 2.3) / 1.0) ** 2 + ((rows[:, 2] - 3.0) / 5.0) ** 2
        narrow = ((rows[:, 1] - 2.1) / 0.2) ** 2 + ((rows[:, 2] - 9.0) / 1.0) ** 2
        return -np.maximum(np.exp(-wide), 2.0 * np.exp(-narrow))

    assert search(scenario, pits).score[0] == pytest.approx(-2.0, abs=0.02)


def test_the_worst_lead_is_the_one_that_stops_soonest_at_the_least_gap() -> None:
    """A follower with a second of reaction and 5 m/s^2: what is left is headway v + v^2 / 2 d - v - v^2 / 10.

    With the regulation's time gaps that is least at the highest speed, the hardest brake and the least gap.
    """
    scenario = decelerating_lead(130.0)

    def left(rows: Floats) -> Floats:
        v, headway, decel = rows.T
        return headway * v + v**2 / (2.0 * decel) - v - v**2 / 10.0

    state = search(scenario, left)
    v = 130 * KMH
    assert np.interp(v, *HEADWAY) == 2.0
    assert state.score[0] == pytest.approx(2.0 * v + v**2 / 20.0 - v - v**2 / 10.0, abs=0.3)
    assert state.worst[0] == pytest.approx([v, 2.0, 10.0], abs=0.05)


def test_scores_that_are_no_numbers_count_as_harmless() -> None:
    scenario = decelerating_lead(60.0)
    state = search(scenario, lambda rows: np.where(rows[:, 2] > 5.0, np.nan, -rows[:, 2]), rounds=3)
    assert state.worst[0, 2] == pytest.approx(5.0, abs=0.01)


def test_an_interrupted_search_goes_on_to_the_same_end(tmp_path: Path) -> None:
    scenario = cut_in(60.0)

    def score(rows: Floats) -> Floats:
        return rows[:, 2] - rows[:, 3]

    whole = search(scenario, score, rounds=4, many=60)
    state = begin_search(scenario, 1)
    for _ in range(2):
        state = search_round(scenario, state, score, 60)
    state.save(tmp_path / "search.npz")
    state = load_search(scenario, tmp_path / "search.npz")
    for _ in range(2):
        state = search_round(scenario, state, score, 60)
    state = refine(scenario, state, score)
    assert (state.worst == whole.worst).all()
    assert (state.score == whole.score).all()
    assert (state.round, state.evaluated) == (whole.round, whole.evaluated)
    with pytest.raises(ScenarioError, match="expected a search of the 3 parameters of decelerating_lead"):
        load_search(decelerating_lead(60.0), tmp_path / "search.npz")


def test_searches_end_where_nothing_keeps_the_rules() -> None:
    scenario = cut_in(60.0).fixed(ego=20 * KMH, closing=50 * KMH)
    with pytest.raises(ScenarioError, match="expected parameters that keep its rules"):
        search_round(scenario, begin_search(scenario, 1), lambda rows: rows[:, 0], 10)


def test_a_scenario_without_freedom_is_only_scored() -> None:
    scenario = decelerating_lead(60.0).fixed(ego=50 * KMH, headway=2.0, decel=6.0)
    state = search(scenario, lambda rows: rows[:, 2], rounds=1)
    assert state.worst.tolist() == [[pytest.approx(50 * KMH), 2.0, 6.0]]
    other = replace(state, seed=2)
    assert math.isclose(float(search_round(scenario, other, lambda rows: rows[:, 2]).score[0]), 6.0)
