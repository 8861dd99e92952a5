"""How many runs show what: numbers worked by hand, and a simulation of the promise."""

from __future__ import annotations

import numpy as np
import pytest

from fleet.tolerance import ToleranceError, check_demand, runs_needed, share_at_most, shown


def test_the_runs_that_a_coverage_needs() -> None:
    # ln 0.05 / ln 0.999 = 2994.2; the first attempt spends half of the 5 %: ln 0.025 / ln 0.999 = 3687.0
    assert np.ceil(np.log(0.05) / np.log(0.999)) == 2995
    assert runs_needed(0.999, 0.95) == 3688
    assert runs_needed(0.95, 0.95) == 72
    assert runs_needed(0.999, 0.95, attempt=2) > runs_needed(0.999, 0.95)


def test_what_was_asked_for_is_shown_by_as_many_runs_and_by_no_fewer() -> None:
    for coverage in (0.9, 0.99, 0.999):
        for attempt in (1, 2, 3):
            needed = runs_needed(coverage, 0.95, attempt)
            assert shown(needed, 0.95, attempt) >= coverage
            assert shown(needed - 1, 0.95, attempt) < coverage
    assert shown(0, 0.95) == 0.0


def test_bounds_that_are_too_tight_pass_no_more_often_than_promised() -> None:
    """Exceptions at a rate of 1 % against a promise of 99.2 %: all attempts together pass in at most 5 % of courses."""
    rng = np.random.default_rng(1)
    passed = 0
    for _ in range(2_000):
        for attempt in (1, 2, 3, 4):  # what is widened stays too tight here, the worst case
            if not (rng.random(runs_needed(0.992, 0.95, attempt)) < 0.01).any():
                passed += 1
                break
    assert passed / 2_000 < 0.05


def test_a_share_lies_below_its_upper_bound_as_often_as_is_said() -> None:
    rng = np.random.default_rng(2)
    below = [share_at_most(int(rng.binomial(20_000, 0.005)), 20_000, 0.95) >= 0.005 for _ in range(2_000)]
    assert np.mean(below) == pytest.approx(0.95, abs=0.02)
    assert share_at_most(0, 0, 0.95) == 1.0


@pytest.mark.parametrize(
    ("coverage", "confidence", "expected"),
    [
        (1.0, 0.95, "--coverage: expected a share from 0.5 up and below 1, got 1"),
        (0.999, 0.0, "--confidence: expected a share from 0.5 up and below 1, got 0"),
        (0.999999, 0.95, "needs 3688878 runs, expected at most 100000"),
        (float("nan"), 0.95, "--coverage: expected a share"),
    ],
)
def test_what_no_number_of_runs_shows_is_refused(coverage: float, confidence: float, expected: str) -> None:
    with pytest.raises(ToleranceError, match=expected):
        check_demand(coverage, confidence)
