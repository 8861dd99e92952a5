"""Scenario parameters are rows of the table of what varies: their draws keep to it."""

from __future__ import annotations

import numpy as np
import pytest

from sim.driving.scenario import ScenarioError, grid, sample
from sim.driving.scenariorows import SCENARIO_TABLE, narrowed, scenario_rows
from sim.driving.scenariotext import scenario_of
from sim.randomization import Term, draw_numpy
from sim.vary import Change, VaryError
from sim.varyhost import exact_numpy


def test_every_parameter_has_a_row_with_its_range_and_source() -> None:
    scenario = scenario_of("cut_in")
    for parameter, row in zip(scenario.parameters, scenario_rows(scenario), strict=True):
        assert SCENARIO_TABLE.row(f"cut_in_{parameter.name}") == row
        assert row.source == parameter.source
        if not parameter.choice:
            assert (row.low, row.high) == row.bounds == (parameter.low, parameter.high)
    assert SCENARIO_TABLE.row("cut_in_side").distribution == "choice"
    assert len(SCENARIO_TABLE) == 6 + 5 + 3 + 3 + 3


def test_draws_come_from_the_rows() -> None:
    """No rule drops a pedestrian's row, so that every first draw counts."""
    scenario = scenario_of("crossing_pedestrian")
    rows = sample(scenario, 7, 20)
    for column, row in zip(rows.T, scenario_rows(scenario), strict=True):
        bits = draw_numpy(7, int(Term.SCENARIO), np.arange(20), 0, row.counter)
        assert (column == exact_numpy(row, bits)).all()


def test_a_changed_table_narrows_draws_and_grid() -> None:
    table = SCENARIO_TABLE.changed([
        Change("cut_in_gap", 5.0, 12.0), Change("cut_in_side", 1, 1), Change("cut_in_lateral", 0.5, 2.0, "log_uniform"),
    ])  # fmt: skip
    scenario = narrowed(scenario_of("cut_in"), table)
    rows = sample(scenario, 3, 200)
    assert 5.0 <= rows[:, 2].min() < 6.0 < 11.0 < rows[:, 2].max() <= 12.0
    assert (rows[:, 5] == 1.0).all()
    assert 0.7 < np.median(rows[:, 3]) < 1.2, "log-uniform: as many below 1 as above"
    assert set(grid(scenario)[:, 2]) == {11.0}
    assert narrowed(scenario_of("cut_in"), SCENARIO_TABLE).parameters == scenario_of("cut_in").parameters


def test_what_a_word_fixes_stays_fixed() -> None:
    table = SCENARIO_TABLE.changed([Change("cut_in_gap", 5.0, 12.0)])
    assert (sample(narrowed(scenario_of("cut_in:gap=20"), table), 3, 5)[:, 2] == 20.0).all()


def test_ranges_that_cannot_be_are_refused() -> None:
    with pytest.raises(VaryError, match="cut_in_gap: high: expected a number from 0 to 120 m, got 500"):
        SCENARIO_TABLE.changed([Change("cut_in_gap", high=500.0)])
    table = SCENARIO_TABLE.changed([Change("cut_in_ego", 30.0, 36.0)])
    with pytest.raises(ScenarioError, match="cut_in: ego: expected something of"):
        narrowed(scenario_of("cut_in:top=60"), table)
    table = SCENARIO_TABLE.changed([Change("decelerating_lead_headway", 1.0, 1.05)])
    with pytest.raises(ScenarioError, match="headway is what R157"):
        narrowed(scenario_of("decelerating_lead:ego=100km/h"), table)
