"""What generated roads are drawn from: the usual table gives the usual roads, another one what it says."""

from __future__ import annotations

import numpy as np
import pytest

from agents.driving import training_atlas
from sim.randomization import draw_numpy
from sim.road import LaneKind, Road, RoadError
from sim.roadfile import load_road
from sim.roadgen import generate_highway, generate_rural, generate_town
from sim.roadrows import ROAD_TABLE
from sim.vary import Change, Row, VaryError
from sim.varyhost import check_kinds, exact_numpy
from tests.sim.drawnbyhand import between_numpy

USUAL = {
    "highway:0": "bf590e85957b7454", "highway:2000005": "7ae439692550f4d3", "rural:1": "e9eb191df08660f0",
    "rural:12": "716df4b97a053e7d", "town:7": "a16cce2e334f1044", "town:2000005": "2d24f5b0e6e02784",
}  # fmt: skip
"""Beginnings of the hashes of roads that figures were measured on."""


@pytest.mark.parametrize("word", USUAL)
def test_the_usual_table_gives_the_roads_that_figures_were_measured_on(word: str) -> None:
    assert load_road(word).hash.startswith(USUAL[word])


def widths(road: Road, kind: LaneKind = LaneKind.DRIVING) -> list[float]:
    return [float(np.median(lane.width)) for lane in road.lanes if lane.kind == kind and lane.junction < 0]


def test_another_table_gives_other_widths_limits_and_sizes() -> None:
    table = ROAD_TABLE.changed([
        Change("highway_lanes", 5, 5), Change("highway_lane_width", 3.2, 3.4), Change("highway_limit", 25.0, 25.0),
        Change("highway_ramps", 0, 0), Change("rural_lane_width", 3.0, 3.0), Change("town_columns", 2, 2),
        Change("town_gap", 0.0, 0.0), Change("town_lane_width", 2.8, 4.0), Change("town_limit", 30 / 3.6, 30 / 3.6),
    ])  # fmt: skip
    highway = generate_highway(4, table=table)
    assert len(highway.lanes) == 6
    assert {lane.limit for lane in highway.lanes} == {25.0}
    assert all(3.2 <= width <= 3.4 for width in widths(highway))
    assert max(widths(highway)) - min(widths(highway)) < 0.01
    assert widths(highway)[0] != pytest.approx(widths(generate_highway(5, table=table))[0], abs=1e-4)
    assert np.allclose(widths(generate_rural(4, table=table)), 3.0, atol=0.02)
    town = generate_town(4, table=table)
    assert len({lane.junction for lane in town.lanes if lane.junction >= 0}) == 6
    assert sum(lane.kind == LaneKind.DRIVING and lane.junction < 0 for lane in town.lanes) == 2 * 7
    assert {lane.limit for lane in town.lanes if lane.kind == LaneKind.DRIVING} == {30 / 3.6}


def test_radii_keep_to_the_table() -> None:
    table = ROAD_TABLE.changed([Change("rural_radius", 300.0, 320.0, "uniform")])
    tightest = [max(float(np.abs(lane.curvature).max()) for lane in generate_rural(7, table=t).lanes) for t in
                (table, ROAD_TABLE)]  # fmt: skip
    assert 1 / 325.0 < tightest[0] < 1 / 290.0
    assert tightest[1] > 1 / 200.0


def test_roads_of_a_training_come_from_its_table() -> None:
    table = ROAD_TABLE.changed([Change("highway_lanes", 2, 2), Change("rural_length", 500.0, 500.0)])
    (highway, _, rural) = training_atlas(5, 3, table=table).roads
    assert highway.hash == generate_highway(5, table=table).hash
    assert rural.hash == generate_rural(7, length=500.0).hash


def test_what_does_not_fit_together_is_refused() -> None:
    table = ROAD_TABLE.changed([Change("highway_length", 600.0, 600.0), Change("highway_ramps", 2, 2)])
    with pytest.raises(RoadError, match="expected a highway of at least 1300 m for 2 ramps, got 600"):
        generate_highway(1, table=table)
    with pytest.raises(VaryError, match="rural_radius: low: expected a number from 45 to 5000 m, got 3"):
        ROAD_TABLE.changed([Change("rural_radius", 3.0)])
    with pytest.raises(VaryError, match="town_gap: distribution: expected bernoulli, got uniform"):
        check_kinds(ROAD_TABLE.changed([Change("town_gap", distribution="uniform")]), ROAD_TABLE)
    with pytest.raises(VaryError, match="rural_arc: distribution: expected uniform or log_uniform or normal"):
        check_kinds(ROAD_TABLE.changed([Change("rural_arc", distribution="choice")]), ROAD_TABLE)


@pytest.mark.parametrize(
    ("kind", "low", "high"),
    [
        ("uniform", 1.0, 3.0),
        ("log_uniform", 1.0, 3.0),
        ("normal", -1.0, 2.0),
        ("choice", 2, 6),
        ("bernoulli", 0.3, 0.3),
    ],
)
def test_draws_on_the_host_are_those_of_kernels(kind: str, low: float, high: float) -> None:
    row: Row = ROAD_TABLE.changed([]).rows[0]
    row = Row(row.term, "x", kind, low, high, "", "", row.recompute, "a test")  # type: ignore[arg-type]
    bits = draw_numpy(3, 0, np.arange(1000), 0, 0)
    assert np.allclose(exact_numpy(row, bits), between_numpy(row, bits), atol=1e-6)
