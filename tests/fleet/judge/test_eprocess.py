"""Evidence by hand, and that it is none where there is nothing to find."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from fleet.judge import eprocess
from fleet.judge.eprocess import RATIOS, STEPS


def test_middle_of_the_ratios_is_one_and_tolerances_are_rounded_down() -> None:
    assert RATIOS[STEPS] == 1.0
    assert RATIOS[eprocess.ratio_index(2.0)] == pytest.approx(2.0)
    assert RATIOS[eprocess.ratio_index(1.5)] <= 1.5


def test_two_arms_is_the_binomial_likelihood_of_whose_events_they_were() -> None:
    likelihood = eprocess.two_arms(np.array([3.0]), np.array([1.0]), np.array([10.0]), np.array([20.0]))[0]
    double = eprocess.ratio_index(2.0)
    # q(2) = 2 * 10 / (2 * 10 + 20) = 1/2, q(1) = 1/3
    expected = 3 * math.log(0.5) + math.log(0.5) - (3 * math.log(1 / 3) + math.log(2 / 3))
    assert likelihood[double] - likelihood[STEPS] == pytest.approx(expected)


def test_one_arm_is_the_poisson_likelihood() -> None:
    likelihood = eprocess.one_arm(np.array([5.0]), np.array([2.0]))[0]
    double = eprocess.ratio_index(2.0)
    assert likelihood[double] - likelihood[STEPS] == pytest.approx(5 * math.log(2.0) - 2.0)


def test_missions_of_one_arm_alone_are_no_evidence() -> None:
    likelihood = eprocess.two_arms(np.array([3.0]), np.array([0.0]), np.array([10.0]), np.array([0.0]))
    assert not likelihood.any()
    assert eprocess.ratio_bounds(likelihood[0], 1.0, 0.05) == (0.0, math.inf)


@pytest.mark.parametrize(("n_c", "n_b", "rate"), [(3, 3, 0.02), (2, 6, 0.3), (5, 2, 0.7)])
def test_mean_of_the_rate_e_value_is_at_most_one_over_every_outcome_of_a_block(n_c: int, n_b: int, rate: float) -> None:
    mean = {"two": 0.0, "one": 0.0}
    for outcome in product((0, 1), repeat=n_c + n_b):
        probability = math.prod(rate if event else 1.0 - rate for event in outcome)
        c, b = np.array([float(sum(outcome[:n_c]))]), np.array([float(sum(outcome[n_c:]))])
        two = eprocess.two_arms(c, b, np.array([float(n_c)]), np.array([float(n_b)]))
        one = eprocess.one_arm(c, np.array([rate * n_c]))
        mean["two"] += probability * math.exp(eprocess.log_mixture(two, STEPS, eprocess.WORSE, 1.0)[0])
        mean["one"] += probability * math.exp(eprocess.log_mixture(one, STEPS, eprocess.WORSE, 1.0)[0])
    assert mean["two"] <= 1.0 + 1e-12
    assert mean["one"] <= 1.0 + 1e-12


def test_mean_of_a_symmetric_score_is_at_most_one_and_never_falls() -> None:
    z = np.linspace(0.0, 60.0, 6001)
    up, down = np.exp(eprocess.score(z)), np.exp(eprocess.score(-z))
    assert ((up + down) / 2.0 <= 1.0 + 1e-12).all()
    assert (np.diff(eprocess.score(np.linspace(-5.0, 60.0, 6001)), axis=0) >= 0.0).all()


def test_dispersion_takes_from_the_evidence_what_it_says() -> None:
    likelihood = eprocess.one_arm(np.array([40.0]), np.array([10.0]))
    full = eprocess.log_mixture(likelihood, STEPS, eprocess.WORSE, 1.0)[0]
    half = eprocess.log_mixture(likelihood, STEPS, eprocess.WORSE, 2.0)[0]
    assert 0.4 * full < half < 0.6 * full


def test_evidence_stays_a_number_however_much_there_is() -> None:
    for count, expected in ((0.0, 1e6), (1e6, 1.0)):
        found = eprocess.log_mixture(eprocess.one_arm(np.array(count), np.array(expected)), STEPS, eprocess.WORSE, 1.0)
        assert math.isfinite(found)
    assert eprocess.log_sum(np.array([1.0, 9e9]), np.array([1.0, 0.0])) == 1.0


def test_bounds_hold_the_ratio_that_was_seen() -> None:
    likelihood = eprocess.two_arms(np.array([80.0]), np.array([40.0]), np.array([1000.0]), np.array([1000.0]))[0]
    low, high = eprocess.ratio_bounds(likelihood, 1.0, 0.05)
    assert 1.0 < low < 2.0 < high < 4.5
