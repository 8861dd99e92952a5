"""The baseline judge against Kayenta's own fixtures, and against arithmetic."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fleet.judge import kayenta
from fleet.judge.kayenta import Classifier, Direction, Label, mann_whitney

FIXTURES = Path(__file__).resolve().parents[4] / "shared" / "data" / "fleet" / "kayenta"
here = pytest.mark.skipif(not FIXTURES.exists(), reason=f"needs {FIXTURES.name} in ../shared/data/fleet")


@here
def test_intervals_are_those_of_r_within_its_tolerance() -> None:
    for case in json.loads((FIXTURES / "mannwhitney_cases.json").read_text()):
        shift = mann_whitney(case["experiment"], case["control"], case["confidenceLevel"])
        expected = (case["ci_low"], case["ci_high"], case["estimate"])
        assert (shift.low, shift.high, shift.estimate) == pytest.approx(expected, abs=kayenta.TOLERANCE)


@here
def test_variance_that_blows_up_passes_as_it_does_there() -> None:
    case = json.loads((FIXTURES / "issue780_case1.json").read_text())
    assert Classifier().classify(case["control"], case["experiment"]).label.value == case["kayenta"]


def test_estimate_is_the_median_of_all_differences() -> None:
    rng = np.random.default_rng(4)
    x, y = rng.standard_normal(41) + 0.3, rng.standard_normal(37)
    middle = float(np.median(x[:, None] - y))
    shift = mann_whitney(x, y, 0.95)
    assert shift.estimate == pytest.approx(middle, abs=0.02)
    assert shift.low < middle < shift.high


def test_standardised_rank_sum_by_hand() -> None:
    # x = (2, 5), y = (1, 3, 4): ranks of x are 2 and 5, W = 7 - 3 - 3 = 1, s = sqrt(6 / 12 * 6)
    found = kayenta.difference(0.0, np.array([2.0, 5.0]), np.array([1.0, 3.0, 4.0]))
    assert found == pytest.approx((1.0 - 0.5) / np.sqrt(3.0))


def test_interval_covers_the_shift_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(300):
        shift = mann_whitney(rng.standard_normal(40) + 1.0, rng.standard_normal(40), 0.9)
        hits += shift.low <= 1.0 <= shift.high
    assert 0.85 < hits / 300 < 0.95


@pytest.mark.parametrize(
    ("control", "experiment", "direction", "label"),
    [
        ([1, 2, 3, 4, 5, 6], [11, 12, 13, 14, 15, 16], Direction.EITHER, Label.HIGH),
        ([1, 2, 3, 4, 5, 6], [11, 12, 13, 14, 15, 16], Direction.DECREASE, Label.PASS),
        ([11, 12, 13, 14, 15, 16], [1, 2, 3, 4, 5, 6], Direction.EITHER, Label.LOW),
        ([11, 12, 13, 14, 15, 16], [1, 2, 3, 4, 5, 6], Direction.INCREASE, Label.PASS),
        ([3, 1, 2], [1, 2, 3], Direction.EITHER, Label.PASS),
        ([2, 2, 2], [2, 2], Direction.EITHER, Label.PASS),
        ([2, 2, 2], [3, 3, 3], Direction.EITHER, Label.HIGH),
        ([1, 2, float("nan")], [float("nan")], Direction.EITHER, Label.NODATA),
        ([], [1, 2], Direction.EITHER, Label.NODATA),
    ],
)
def test_labels(control: list[float], experiment: list[float], direction: Direction, label: Label) -> None:
    assert Classifier().classify(control, experiment, direction).label is label


def test_missing_data_fails_a_metric_that_requires_it_and_a_critical_one_fails_the_canary() -> None:
    assert Classifier().classify([1.0], [], required=True).label is Label.NODATA_FAIL
    assert Classifier().classify([1.0], [], required=True, is_critical=True).critical
    assert Classifier().classify([1.0], [], replace_missing=True).label is Label.PASS
    high = Classifier().classify([1, 2, 3, 4, 5], [11, 12, 13, 14, 15], is_critical=True)
    assert (high.label, high.critical) == (Label.HIGH, True)


def test_effect_size_below_its_threshold_passes() -> None:
    y = np.linspace(10.0, 11.0, 50)
    assert Classifier().classify(y, y + 1.0).label is Label.HIGH
    assert Classifier(effect_size=(0.8, 1.2)).classify(y, y + 1.0).label is Label.PASS
    assert Classifier(effect_size=(0.2, 0.9), measure="cles").classify(y, y + 1.0).label is Label.HIGH


def test_outliers_go_and_a_score_is_the_share_that_passed() -> None:
    # of 999 values 1 % are above the 99 % quantile anyway; two wild ones of 1,001 are not more
    values = np.append(np.linspace(0.0, 1.0, 999), [1e6, -1e6])
    assert 1e6 not in kayenta.without_outliers(values[:-1])
    assert len(kayenta.without_outliers(values)) == 999
    assert kayenta.score([Label.PASS, Label.HIGH, Label.NODATA, Label.PASS, Label.LOW]) == 50.0


def test_samples_that_say_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        mann_whitney([], [1.0])
    with pytest.raises(ValueError, match="all are one"):
        mann_whitney([1.0, 1.0], [1.0])
