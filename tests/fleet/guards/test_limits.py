"""Limits of scores: a known law gives back its own limit; a count bounds a rate by Poisson's exact one."""

from __future__ import annotations

import numpy as np
import pytest

from fleet.guards.limits import BLOCK, block_maxima, bounded_limit_of, fit_tail, limit_of, rate_bound, with_headroom


def test_no_trip_in_thirty_hours_bounds_the_rate_by_one_in_ten() -> None:
    assert rate_bound(0, 30.0) == pytest.approx(2.9957 / 30.0, rel=1e-4)
    assert rate_bound(0, 29.0) > 0.1
    assert rate_bound(1, 30.0) == pytest.approx(4.7439 / 30.0, rel=1e-4)


def test_the_limit_of_an_exponential_law_is_its_own() -> None:
    maxima = np.random.default_rng(1).exponential(2.0, 40_000)
    assert fit_tail(maxima).limit(1e-5) == pytest.approx(2.0 * np.log(1e5), rel=0.15)


def test_a_law_with_an_end_is_not_believed_to_end() -> None:
    maxima = np.random.default_rng(1).uniform(0.0, 1.0, 40_000)
    assert fit_tail(maxima).limit(1e-9) > 1.0


def test_a_limit_is_exceeded_about_as_often_as_asked() -> None:
    generator = np.random.default_rng(2)
    scores = generator.gumbel(0.0, 1.0, (20 * BLOCK, 300)).astype(np.float32)
    limit = limit_of(scores, 2.0, 0.1)  # an hour of one robot are 36,000 steps
    others = generator.gumbel(0.0, 1.0, (36_000, 200))
    assert 1.0 < (others > limit).sum() / 200 < 4.0


def test_what_is_no_number_counts_in_no_block() -> None:
    scores = np.full((2 * BLOCK, 2), np.nan, np.float32)
    scores[3, 0] = 7.0
    assert block_maxima(scores).tolist() == [7.0]


def test_too_little_driving_is_said() -> None:
    with pytest.raises(ValueError, match="drive longer"):
        fit_tail(np.zeros(10))


def test_readings_are_given_no_heavier_tail_than_an_exponential_one() -> None:
    heavy = np.random.default_rng(3).pareto(3.0, (BLOCK * 40, 30)).astype(np.float32)
    assert bounded_limit_of(heavy, 0.001, 0.1) < limit_of(heavy, 0.001, 0.1)
    light = np.random.default_rng(3).exponential(1.0, (BLOCK * 40, 30)).astype(np.float32)
    assert bounded_limit_of(light, 0.001, 0.1) == pytest.approx(limit_of(light, 0.001, 0.1), rel=0.2)


def test_a_limit_lies_beyond_the_farthest_that_was_seen() -> None:
    scores = np.array([[0.2, 0.4], [np.nan, 1.2]], np.float32)
    assert with_headroom(0.5, scores, 0.2, "rough") == pytest.approx(0.2 + 2.0)
    assert with_headroom(0.5, scores, 0.2, "odometry") == pytest.approx(0.2 + 1.2)
    assert with_headroom(9.0, scores, 0.2, "rough") == 9.0
