"""Confidence sequences against the values that their authors' R code computed, and against their own promises."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from fleet.judge import boundaries

REFERENCE = Path(__file__).resolve().parents[4] / "shared" / "data" / "fleet" / "confseq" / "reference_values.json"
here = pytest.mark.skipif(not REFERENCE.exists(), reason="needs ../shared/data/fleet/confseq/reference_values.json")
MIXTURES = {
    "two_sided_normal": (boundaries.normal(100, two_sided=True), math.inf),
    "one_sided_normal": (boundaries.normal(100), math.inf),
    "gamma_exponential c=2": (boundaries.gamma_exponential(100, 2), math.inf),
    "gamma_poisson c=2": (boundaries.gamma_poisson(100, 2), math.inf),
    "beta_binomial two-sided g=.2 h=.8": (boundaries.beta_binomial(100, 0.2, 0.8, two_sided=True), 500.0),
    "beta_binomial one-sided g=.2 h=.8": (boundaries.beta_binomial(100, 0.2, 0.8), 500.0),
}


@here
@pytest.mark.parametrize("name", MIXTURES)
def test_mixtures_and_their_bounds_are_the_authors(name: str) -> None:
    expected = json.loads(REFERENCE.read_text())[name]
    mixture, most = MIXTURES[name]
    assert mixture(10.0, 100.0) == pytest.approx(next(v for k, v in expected.items() if "log_mix" in k), abs=1e-5)
    assert boundaries.bound(mixture, 100.0, 0.05, most) == pytest.approx(
        next(v for k, v in expected.items() if "bound" in k), abs=1e-5
    )


@here
def test_closed_forms_are_the_authors() -> None:
    expected = json.loads(REFERENCE.read_text())
    assert boundaries.best_rho(100, 0.05) == pytest.approx(expected["two_sided_normal"]["best_rho(100,.05)"], abs=1e-5)
    for key, c in (("poly_stitching(v=100,a=.05,v_min=10,c=3)", 3.0), ("poly_stitching c=-1", -1.0)):
        assert boundaries.poly_stitching(100, 0.05, 10, c) == pytest.approx(expected[key], abs=1e-5)
    band = expected["empirical_process_lil(1000,.05,100,.85)"]
    assert boundaries.empirical_process(1000, 0.05, 100) == pytest.approx(band, abs=1e-6)
    for quantile, value in expected["double_stitching(q,1000,.05,100)"].items():
        assert boundaries.double_stitching(float(quantile), 1000, 0.05, 100) == pytest.approx(value, abs=1e-5)


def test_walks_stay_below_the_normal_bound_as_often_as_it_says() -> None:
    walks = np.cumsum(np.random.default_rng(3).standard_normal((2000, 1000)), axis=1)
    mixture = boundaries.normal(100.0, 0.1)
    limits = np.array([boundaries.bound(mixture, float(v), 0.1) for v in range(1, 1001)])
    assert 0.02 < (walks > limits).any(axis=1).mean() <= 0.1


def test_bound_of_a_bounded_sum_is_at_most_what_it_can_be() -> None:
    mixture = boundaries.beta_binomial(10.0, 0.2, 0.8)
    assert boundaries.bound(mixture, 1.0, 1e-6, 5.0) == 5.0
    assert boundaries.empirical_process(50, 0.05, 100) == math.inf
