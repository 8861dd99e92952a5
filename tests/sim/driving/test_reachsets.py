from __future__ import annotations

import numpy as np
import pytest

from sim.actors import ActorKind
from sim.driving.reachsets import ReachSets
from sim.frenet import middle
from sim.road import Road, project
from sim.roadgen import generate_highway, generate_town
from tests.sim.driving.shows import place_on

HIGHWAY = generate_highway(3, length=900.0, lanes=3, ramps=0)


def row(
    road: Road, lane: int, s: float, *, speed: float, across: float = 0.0, size: tuple[float, float] = (4.5, 1.8)
) -> np.ndarray:
    x, y, yaw = place_on(road, lane, s)
    return np.array([(x, y, yaw, speed, *size, s, 0.0, across)])


def span(road: Road, lane: int, outline: np.ndarray) -> tuple[float, float, float, float]:
    s, d = project(road.lanes[lane].centre, road.lanes[lane].s, outline + np.array(middle(road)))
    return s.min(), s.max(), d.min(), d.max()


def test_a_vehicle_s_set_ends_where_its_front_could_come() -> None:
    found = ReachSets(HIGHWAY).outlines([int(ActorKind.CAR)], row(HIGHWAY, 1, 200.0, speed=20.0), [1], 2.0)
    assert len(found) == 1
    low, high, right, left = span(HIGHWAY, 1, found[0])
    assert low == pytest.approx(200.0 - 2.25, abs=0.1)
    assert high == pytest.approx(200.0 + 2.25 + 20.0 * 2.0 + 0.5 * 3.5 * 4.0, abs=0.2)
    assert (right, left) == pytest.approx((-1.2, 1.2), abs=0.05)  # half of 1.8 m, and 0.3 m of wandering


def test_one_that_leaves_its_lane_has_all_of_it() -> None:
    rows = row(HIGHWAY, 1, 200.0, speed=20.0, across=0.8)
    _, _, right, left = span(HIGHWAY, 1, ReachSets(HIGHWAY).outlines([int(ActorKind.CAR)], rows, [1], 1.0)[0])
    assert (right, left) == pytest.approx((-1.875, 1.875), abs=0.05)


def test_nobody_gets_faster_than_the_profile_says() -> None:
    limit = HIGHWAY.lanes[1].limit
    rows = row(HIGHWAY, 1, 100.0, speed=1.2 * limit)
    _, high, _, _ = span(HIGHWAY, 1, ReachSets(HIGHWAY).outlines([int(ActorKind.CAR)], rows, [1], 2.0)[0])
    assert high == pytest.approx(100.0 + 2.25 + 2.4 * limit, abs=0.2)


def test_people_on_foot_and_who_is_on_no_lane_have_discs() -> None:
    walker = row(HIGHWAY, 1, 200.0, speed=1.0, size=(0.5, 0.6))
    disc = ReachSets(HIGHWAY).outlines([int(ActorKind.PEDESTRIAN)], walker, [1], 2.0)[0]
    assert np.hypot(*(disc - walker[0, :2]).T) == pytest.approx(0.3 + 3.2)
    lost = ReachSets(HIGHWAY).outlines([int(ActorKind.CAR)], row(HIGHWAY, 1, 200.0, speed=3.0), [-1], 2.0)[0]
    assert np.hypot(*(lost - walker[0, :2]).T) == pytest.approx(2.25 + 6.0)


def test_a_set_goes_on_along_every_way_through_a_junction() -> None:
    road = generate_town(7)
    lane = next(i for i, each in enumerate(road.lanes) if len(each.successors) >= 2 and each.length > 30.0)
    rows = row(road, lane, road.lanes[lane].length - 5.0, speed=8.0)
    found = ReachSets(road).outlines([int(ActorKind.CAR)], rows, [lane], 2.0)
    assert len(found) >= 1 + len(road.lanes[lane].successors)


def test_empty_slots_and_what_stands_have_none() -> None:
    rows = np.concatenate([row(HIGHWAY, 1, 200.0, speed=0.0)] * 2)
    assert ReachSets(HIGHWAY).outlines([-1, int(ActorKind.STATIC)], rows, [1, 1], 2.0) == ()
