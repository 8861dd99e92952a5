from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from sim.driving.drawn import EDGE, DrawnRoad, Ground, Strip, band, drawn_road, hull
from sim.road import Road, project
from sim.roadgen import generate_highway, generate_rural, generate_town


def painted(drawn: DrawnRoad, road: Road, lane: int, d: float) -> float:
    """Length of the paint along a lane at d from its centre, m."""
    total = 0.0
    for strip in drawn.strips:
        if strip.ground == Ground.PAINT:
            middle = 0.5 * (strip.left + strip.right) + drawn.origin
            s, away = project(road.lanes[lane].centre, road.lanes[lane].s, middle)
            if np.abs(away - d).max() < 0.06:
                total += float(np.ptp(s))
    return total


def area(strip: Strip) -> float:
    """Positive where its outline runs counter-clockwise (shoelace)."""
    x, y = strip.outline.T
    return 0.5 * float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum())


def test_a_border_that_may_be_crossed_is_dashed_and_one_that_may_not_is_solid() -> None:
    road = generate_highway(3, length=900.0, lanes=2, ramps=0)
    left = road.lanes[0]
    half = 0.5 * float(left.width[0])
    dashed = painted(drawn_road(road), road, 0, -half)
    assert dashed == pytest.approx(left.length / 3.0, rel=0.03)  # 6 m of 18 m
    lanes = (
        dataclasses.replace(left, may_change_right=False),
        dataclasses.replace(road.lanes[1], may_change_left=False),
    )
    closed = dataclasses.replace(road, lanes=(*lanes, *road.lanes[2:]))
    assert painted(drawn_road(closed), closed, 0, -half) == pytest.approx(left.length, rel=0.01)


def test_the_edges_of_a_road_are_solid_and_inside_its_lanes() -> None:
    road = generate_rural(2, length=400.0)
    lane = next(index for index, each in enumerate(road.lanes) if each.name == "0.there")
    half = 0.5 * float(road.lanes[lane].width[0])
    drawn = drawn_road(road)
    assert painted(drawn, road, lane, -(half - 0.5 * EDGE)) == pytest.approx(road.lanes[lane].length, rel=0.02)
    assert painted(drawn, road, lane, half) < 0.5 * road.lanes[lane].length  # the middle of the road, dashed once


def test_no_line_runs_across_a_lane_and_crossings_are_striped() -> None:
    road = generate_town(7)
    drawn = drawn_road(road)
    stripes = [strip for strip in drawn.strips if strip.ground == Ground.PAINT and len(strip.left) == 2]
    lines = [strip for strip in drawn.strips if strip.ground == Ground.PAINT and len(strip.left) > 2]
    assert len(stripes) >= 4 * len(road.crossings)
    junctions = [lane for lane in road.lanes if lane.junction >= 0]
    for strip in lines:
        middle = 0.5 * (strip.left + strip.right) + drawn.origin
        for lane in junctions:
            s, d = project(lane.centre, lane.s, middle)
            inside = (np.abs(d) < 0.5 * lane.width.min() - 0.5) & (s > 1.0) & (s < lane.length - 1.0)
            assert not inside.any()


def test_every_strip_has_an_area_and_ground_lies_below_paint() -> None:
    for road in (generate_town(1), generate_highway(1), generate_rural(1)):
        strips = drawn_road(road).strips
        assert all(abs(area(strip)) > 1e-3 for strip in strips)
        assert [strip.ground for strip in strips] == sorted(strip.ground for strip in strips)
        low_x, low_y, high_x, high_y = drawn_road(road).bounds
        assert low_x == pytest.approx(-high_x)
        assert low_y == pytest.approx(-high_y)


def test_a_hull_leaves_out_what_lies_inside() -> None:
    square = [(0.0, 0.0), (2.0, 0.0), (2.0, 2.0), (0.0, 2.0)]
    found = hull(np.array([*square, (1.0, 1.0), (1.0, 0.0)]))
    assert sorted(map(tuple, found.tolist())) == sorted(square)
    x, y = found.T
    assert (x * np.roll(y, -1) - y * np.roll(x, -1)).sum() == pytest.approx(8.0)  # twice the area, counter-clockwise


def test_a_band_is_as_wide_as_asked_for() -> None:
    strip = band(np.array([(0.0, 0.0), (3.0, 0.0), (6.0, 0.0)]), 0.5, Ground.PAINT)
    assert np.allclose(strip.left[:, 1], 0.25)
    assert np.allclose(strip.right[:, 1], -0.25)
