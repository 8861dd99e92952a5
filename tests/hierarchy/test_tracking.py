"""The bodies stay within the tracking bound that their shield is given: stops from random commands, in small."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from hierarchy.motor import driven
from sim.bodies.parts import Body

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("tracking_error")


@pytest.mark.parametrize("body", ["planar", pytest.param("wheeled", marks=pytest.mark.slow)])
def test_with_a_pod_on_it_stays_within_the_bound_at_the_speeds_that_the_shield_allows(
    bench: ModuleType, body: Body
) -> None:
    spec = driven(bench.KINDS[""](), body)
    _, _, error, time = bench.run(spec, body, 1, 60, laden=True)
    assert error.size > 2_000
    assert (error - (spec.tracking_e0 + spec.tracking_e1 * time)).max() <= 0.0
    assert error.max() > spec.tracking_e0 / 4.0


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("", "planar"),
        ("", "wheeled"),
        pytest.param("forklift_", "planar", marks=pytest.mark.slow),
        pytest.param("forklift_", "wheeled", marks=pytest.mark.slow),
        pytest.param("manipulator_", "planar", marks=pytest.mark.slow),
        pytest.param("manipulator_", "wheeled", marks=pytest.mark.slow),
    ],
)
def test_a_body_stays_within_the_bound_that_its_shield_gets(bench: ModuleType, kind: str, body: Body) -> None:
    spec = driven(bench.KINDS[kind](), body)
    _, _, error, time = bench.run(spec, body, 2, 60)
    assert error.size > 5_000
    over = error - (spec.tracking_e0 + spec.tracking_e1 * time)
    assert over.max() <= 0.0
    assert error.max() > spec.tracking_e0 / 3.0  # there is something to bound: a third of it would not do
    assert np.isfinite(error).all()
