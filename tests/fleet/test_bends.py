"""Roads of files that no car can follow: refused with the lane, or driven round."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from fleet.venues import make_venue
from sim.driving.atlas import Atlas
from sim.road import RoadError
from tests.sim.roadfiles import geometry, lane, road, section
from tests.sim.roadfiles import write as write_opendrive
from tests.sim.test_commonroad import PROBLEM, lanelet, points, write


def corner(identity: int, turn_deg: float, more: str = "") -> str:
    """A lanelet of 3.5 m that goes on for 20 m from (50, 0), turns at once and goes on for 20 m."""
    turn = math.radians(turn_deg)
    half = 1.75 * math.tan(0.5 * turn)
    sides = []
    for d in (1.75, -1.75):
        knee = (70.0 - d * math.tan(0.5 * turn), d)
        end = (
            knee[0] + (20.0 + math.copysign(half, -d)) * math.cos(turn),
            knee[1] + (20.0 + math.copysign(half, -d)) * math.sin(turn),
        )
        sides.append(points((50.0, d), knee, end))
    bounds = f"<leftBound>{sides[0]}</leftBound><rightBound>{sides[1]}</rightBound>"
    return f'<lanelet id="{identity}">{bounds}{more}</lanelet>'


def test_a_road_that_no_car_can_follow_anywhere_is_refused(tmp_path: Path) -> None:
    plan = geometry(0, 0, 0, 0.0, 20, '<arc curvature="1"/>')
    path = write_opendrive(tmp_path / "a.xodr", road("a", 20, plan, section(0, right=lane(-1, "0.5"))))
    with pytest.raises(RoadError, match="expected a lane that a car can follow, got lanes that bend too sharply"):
        make_venue(str(path))


@pytest.mark.parametrize(("turn", "refused"), [(60, False), (85, True), (-85, True)])
def test_a_problem_over_a_corner_is_refused_where_the_car_cannot_take_it(
    tmp_path: Path, turn: float, refused: bool
) -> None:
    parts = (lanelet(1, 0.0, '<successor ref="2"/>'), corner(2, turn, '<predecessor ref="1"/>'))
    path = write(tmp_path / "c.xml", *parts, PROBLEM)
    if not refused:
        assert make_venue(str(path)).road.ignored == ()
        return
    with pytest.raises(RoadError, match=r"to end on a lane that the car can follow, got one of lanes .* 3\.9 m: 2;"):
        make_venue(str(path))


def test_a_problem_whose_way_leads_over_a_corner_is_refused_with_the_lane(tmp_path: Path) -> None:
    wild = corner(2, 90, '<predecessor ref="1"/>')
    x, y = 70.0, 20.0
    beyond = (
        f'<lanelet id="3"><leftBound>{points((x - 1.75, y), (x - 1.75, y + 40))}</leftBound>'
        f'<rightBound>{points((x + 1.75, y), (x + 1.75, y + 40))}</rightBound><predecessor ref="2"/></lanelet>'
    )
    problem = PROBLEM.replace('ref="2"', 'ref="3"')
    path = write(tmp_path / "c.xml", lanelet(1, 0.0, '<successor ref="2"/>'), wild, beyond, problem)
    with pytest.raises(
        RoadError, match=r"expected a way from lane 1 .* or widen the lanes that bend too sharply"
    ) as caught:
        make_venue(str(path))
    assert "\n" not in str(caught.value)


def test_routes_go_round_what_cannot_be_followed(tmp_path: Path) -> None:
    """Two lanes into a third, one of them by a link across which the heading turns by a right angle."""
    side = (
        f'<lanelet id="2"><leftBound>{points((48.25, -40), (48.25, 0))}</leftBound>'
        f'<rightBound>{points((51.75, -40), (51.75, 0))}</rightBound><successor ref="3"/></lanelet>'
    )
    parts = (lanelet(1, 0.0, '<successor ref="3"/>'), side, lanelet(3, 0.0, begin=50.0, end=200.0))
    venue = make_venue(str(write(tmp_path / "c.xml", *parts)))
    assert venue.road.lanes[1].successors == ()
    assert venue.road.lanes[2].predecessors == (0,)
    assert venue.road.ignored == (
        "links across which the heading turns too far (the car takes a radius of 3.9 m), from 2",
    )
    assert {plan.start_lane for plan in Atlas([venue.road], routes=20).plans[0]} <= {0, 1, 2}
