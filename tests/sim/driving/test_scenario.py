"""Scenarios as data: grids, draws, rules, bounds, and the words of the command line."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sim.driving.families import FAMILIES, HEADWAY, KMH, cut_in, cut_out, decelerating_lead, scenario_road
from sim.driving.scenario import Scenario, ScenarioError, check, grid, sample, valid
from sim.driving.scenariotext import scenario_of
from sim.road import LaneKind, Road


@pytest.mark.parametrize(
    ("name", "top", "many"),
    [
        # 15 pairs of speeds leave the vehicle 10 km/h; 3 m/s across is more than that: 85 pairs; 7 gaps, 5, 2 sides
        ("cut_in", 60.0, (5 * 5 + 10 * 6) * 7 * 5 * 2),
        # 39 pairs of speeds, 12 gaps, 6 lateral speeds, one acceleration, 2 sides
        ("cut_in", 130.0, (1 + 3 + 5 + 6 + 7 + 8 + 9) * 12 * 6 * 2),
        # 7 speeds with 6, 5, 5, 4, 4, 3, 3 time gaps no shorter than the regulation's; 10 brakes
        ("decelerating_lead", 60.0, 30 * 10),
        ("crossing_pedestrian", 60.0, 12 * 3 * 5),
        # 17 offsets; 4 distances of which all leave 60 km/h room to stop: 16.7 + 27.8 m
        ("blocked_lane", 60.0, 5 * 17 * 4),
    ],
)  # fmt: skip
def test_grids_have_the_sizes_that_their_rules_leave(name: str, top: float, many: int) -> None:
    scenario = FAMILIES[name](top, math.inf)
    rows = grid(scenario)
    assert rows.shape == (many, len(scenario.parameters))
    assert len(np.unique(rows, axis=0)) == many
    assert (check(scenario, rows) == rows).all()


def test_a_vehicle_that_cuts_out_gets_past() -> None:
    """2.05 m to clear at 1 m/s, gained by 3 m/s^2: 2.22 s; of 1.5, 2, 3 and 4 s the first two are too late."""
    scenario = cut_out(60.0)
    rows = grid(scenario.fixed(lateral=1.0, headway=1.6, ego=50 * KMH, side=1.0))
    assert rows[:, 3].tolist() == [3.0, 4.0]


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("radius", [math.inf, 250.0, -1000.0])
def test_draws_are_keyed(name: str, radius: float) -> None:
    scenario = FAMILIES[name](130.0, radius)
    many, few = sample(scenario, 7, 200), sample(scenario, 7, 20)
    assert (many[:20] == few).all(), "a row does not depend on how many are drawn"
    assert (sample(scenario, 8, 20) != few).any(axis=1).all()
    assert valid(scenario, many).all()
    check(scenario, many)
    for column, parameter in zip(many.T, scenario.parameters, strict=True):
        if parameter.choice:
            assert set(column) == set(parameter.values)
        else:
            assert column.min() >= parameter.low
            assert column.max() <= parameter.high
            assert np.ptp(column) > 0.4 * (parameter.high - parameter.low)


def test_every_number_has_a_source() -> None:
    for family in FAMILIES.values():
        scenario = family(130.0, math.inf)
        assert all(len(parameter.source) > 5 and parameter.unit for parameter in scenario.parameters)
        assert all(list(p.values) == sorted(p.values) for p in scenario.parameters)
        assert all(p.low <= value <= p.high for p in scenario.parameters for value in p.values)


def test_bends_bound_the_egos_speed() -> None:
    """2 m/s^2 in a bend of 250 m: 22.4 m/s, 80 km/h."""
    scenario = cut_in(130.0, -250.0)
    assert scenario.road.lanes[0].limit == pytest.approx(80 * KMH)
    assert scenario.parameters[0].high == pytest.approx(80 * KMH)
    assert scenario.parameters[0].values[-1] == pytest.approx(70 * KMH)


@pytest.mark.parametrize("radius", [math.inf, 250.0, -400.0])
def test_the_road_is_bent_as_asked(radius: float) -> None:
    road: Road = scenario_road(radius)
    kinds = [lane.kind for lane in road.lanes]
    assert kinds == [LaneKind.DRIVING] * 3 + [LaneKind.SHOULDER]
    lane = road.lanes[1]
    assert lane.width == pytest.approx(3.5, abs=1e-3)
    assert lane.length > 700.0
    assert lane.curvature[-10] == pytest.approx(0.0 if math.isinf(radius) else 1.0 / radius, rel=1e-2)
    far = np.abs(lane.s[:, None] - lane.s[None, ::100]) > 50.0
    between = np.hypot(*np.moveaxis(lane.centre[:, None] - lane.centre[None, ::100], -1, 0))
    assert between[far].min() > 20.0


def test_time_gaps_are_those_of_the_regulation() -> None:
    assert np.interp(60 * KMH, *HEADWAY) == pytest.approx(1.6)
    assert np.interp(7.2 * KMH, *HEADWAY) == pytest.approx(1.0)
    scenario = decelerating_lead(60.0)
    with pytest.raises(
        ScenarioError, match=r"headway is what R157 5.2.3.3 asks.*got ego=16.6667, headway=1.2, decel=6"
    ):
        check(scenario, np.array([[60 * KMH, 1.2, 6.0]]))


def test_parameters_out_of_their_ranges_are_refused() -> None:
    scenario = cut_in(60.0)
    good = grid(scenario)[:3].copy()
    for column, value, message in (
        (2, 200.0, r"cut_in: gap: expected from 0 to 120 m, got 200; correct it"),
        (3, math.nan, r"cut_in: lateral: expected from 0.3 to 3 m/s, got nan"),
        (5, 0.5, r"cut_in: side: expected -1 or 1 lanes to the left, got 0.5"),
    ):
        rows = good.copy()
        rows[1, column] = value
        with pytest.raises(ScenarioError, match=message):
            check(scenario, rows)
    with pytest.raises(ScenarioError, match=r"expected rows of 6 parameters .* got an array of shape \(3, 5\)"):
        check(scenario, good[:, :5])
    with pytest.raises(ScenarioError, match="expected parameters that keep its rules"):
        grid(scenario.fixed(ego=20 * KMH, closing=50 * KMH))
    with pytest.raises(ScenarioError, match="expected parameters that keep its rules"):
        sample(scenario.fixed(ego=20 * KMH, closing=50 * KMH), 1, 2)


def test_words_name_scenarios() -> None:
    scenario: Scenario = scenario_of("cut_in:gap=20,lateral=1.2,top=60,ego=50km/h")
    rows = grid(scenario)
    assert (rows[:, 2] == 20.0).all()
    assert (rows[:, 3] == 1.2).all()
    assert rows[:, 0] == pytest.approx(50 / 3.6)
    assert len(rows) == 4 * 5 * 2
    assert len(grid(scenario_of("blocked_lane"))) == 323
    assert scenario_of("cut_out:radius=-400").road.lanes[0].curvature[-5] < 0.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cutin", r'expected the name of a scenario, got "cutin"; did you mean "cut_in"\?'),
        ("", r'expected the name of a scenario, got ""; known: blocked_lane, '),
        ("cut_in:latral=1", r'expected a parameter .*got "latral"; did you mean "lateral"\?'),
        ("cut_in:gap", r'cut_in: expected PARAMETER=VALUE, got "gap"; write cut_in:gap=20'),
        ("cut_in:gap=x", r'cut_in: gap: expected a number, 20 or 50km/h, got "x"'),
        ("cut_in:gap=nan", r"gap: expected a number"),
        ("cut_in:gap=1e999", r"gap: expected a number"),
        ("cut_in:gap=500", r"cut_in: gap: expected from 0 to 120 m, got 500"),
        ("cut_in:gap=1,gap=2", r"cut_in: gap stands twice"),
        ("cut_in:top=60,top=130", r"cut_in: top stands twice"),
        ("cut_in:top=10", r"top: expected at least 20 km/h, got 10"),
        ("cut_in:radius=30", r"radius: expected a bend of at least 250 m, got 30"),
        ("cut_in:ego=20km/h,closing=50km/h", r"expected parameters that keep its rules"),
        ("cut_in:side=0", r"side: expected -1 or 1"),
    ],
)
def test_words_that_name_none_are_refused(text: str, message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        scenario_of(text)
