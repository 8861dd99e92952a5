"""Dispersion: 1 for missions that are independent, what theory says for those that are not."""

from __future__ import annotations

import numpy as np
import pytest

from fleet.judge import clusters


def test_many_robots_need_no_factor_and_few_need_students() -> None:
    assert clusters.few(10**9) == pytest.approx(1.0)
    assert clusters.few(4) == pytest.approx((7.173 / 3.09) ** 2)
    assert clusters.few(2) > clusters.few(3) > clusters.few(50) > 1.0


def test_counts_of_independent_clusters_have_a_dispersion_of_about_one() -> None:
    rng = np.random.default_rng(1)
    arms = [(np.full((400, 1), 20.0), rng.binomial(20, 0.1, (400, 1)).astype(float)) for _ in range(2)]
    assert 0.7 < clusters.of_counts(arms)[0] < 1.1


def test_counts_that_come_in_tens_have_a_dispersion_of_about_ten() -> None:
    rng = np.random.default_rng(1)
    arms = [(np.full((400, 1), 20.0), 10.0 * rng.poisson(0.2, (400, 1))) for _ in range(2)]
    assert 8.0 < clusters.of_counts(arms)[0] < 12.0


def test_a_series_that_remembers_has_the_dispersion_of_its_coefficient() -> None:
    rng = np.random.default_rng(1)
    z = np.empty((20000, 1))
    z[0] = rng.standard_normal(1)
    for i in range(1, len(z)):
        z[i] = 0.7 * z[i - 1] + rng.standard_normal(1)
    assert clusters.of_series(z)[0] == pytest.approx(1.7 / 0.3, rel=0.25)
    assert clusters.of_series(rng.standard_normal((20000, 1)))[0] < 1.4


def test_too_few_stretches_say_nothing() -> None:
    assert (clusters.over_time([(np.ones((3, 2)), np.ones((3, 2)))] * 2) == 1.0).all()
    assert (clusters.of_series(np.ones((3, 2))) == 1.0).all()


def test_robots_that_differ_for_good_are_found() -> None:
    missions = np.full((10, 1), 100.0)
    rng = np.random.default_rng(2)
    alike = [(missions, 10.0 * rng.standard_normal((10, 1))) for _ in range(2)]
    unlike = [(missions, 50.0 * rng.standard_normal((10, 1))) for _ in range(2)]
    squares = np.array([2000.0])
    assert clusters.of_robots(alike, squares, 18)[0] < 2.0
    assert clusters.of_robots(unlike, squares, 18)[0] > 10.0


def test_what_few_robots_differ_beyond_chance_counts_more() -> None:
    alike, unlike = np.array([0.7]), np.array([3.0])
    assert clusters.wary(alike, 38)[0] == pytest.approx(1.0, abs=0.05)
    assert clusters.wary(unlike, 4)[0] == pytest.approx(1.0 + 2.0 * 5.39 + 0.44, abs=0.01)
    assert clusters.wary(unlike, 1)[0] == clusters.wary(unlike, 3)[0] > clusters.wary(unlike, 4)[0]


def test_what_an_arm_has_in_common_is_its_effect_and_no_scatter_of_its_robots() -> None:
    missions, rng = np.full((10, 1), 100.0), np.random.default_rng(3)
    scatter = [50.0 * rng.standard_normal((10, 1)) for _ in range(2)]
    squares = np.array([2000.0])
    alone = clusters.of_robots([(missions, sums) for sums in scatter], squares, 18)
    moved = []
    for sums, shift in zip(scatter, (4.0, -4.0), strict=True):
        moved.append((missions, sums + shift * missions))
        squares = squares + 2.0 * shift * sums.sum() + shift**2 * missions.sum()
    assert clusters.of_robots(moved, squares, 18)[0] == pytest.approx(alone[0])
