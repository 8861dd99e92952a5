"""A stop at the side of the road: where it begins, what it aims at, and that it ends on the hard shoulder."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sim.driving.atlas import Atlas
from sim.driving.sides import pull_room, side_ahead
from sim.driving.starts import Place, Places, pull_places
from sim.road import Lane, LaneKind, Road
from sim.roadgen import generate_highway, generate_rural, generate_town
from sim.tasks.task import Ending
from tests.sim.driving.plainworld import by_hand, plain_worlds

GENTLY, FASTEST = 2.0, 130.0 / 3.6


@pytest.fixture(scope="module")
def motorway() -> Atlas:
    return Atlas([generate_highway(1)], routes=16, seed=1)


def before_ramp(road: Road) -> int:
    """A right lane with a shoulder, after which a ramp's lane takes the shoulder's place."""
    for index, lane in enumerate(road.lanes):
        after = road.lanes[lane.successors[0]] if lane.kind == LaneKind.DRIVING and lane.successors else None
        if after is not None and shouldered(road, lane) and not shouldered(road, after) and after.right_neighbour >= 0:
            return index
    raise AssertionError("no ramp")


def shouldered(road: Road, lane: Lane) -> bool:
    return lane.right_neighbour >= 0 and road.lanes[lane.right_neighbour].kind == LaneKind.SHOULDER


def at(lane: int, s: float, *, speed: float = 8.0, d: float = 0.0) -> Places:
    return lambda atlas, road: [Place(lane, s, s, speed=speed, d=d)]


@pytest.mark.parametrize("road", [generate_highway(1), generate_highway(4), generate_rural(2)])
def test_a_stop_begins_where_the_side_goes_on_for_it(road: Road) -> None:
    places = list(pull_places(Atlas([road], routes=2, seed=1), 0))
    assert len(places) > 5
    for place in places:
        lane = road.lanes[place.lane]
        stops = min(lane.limit, FASTEST) ** 2 / (2.0 * GENTLY)
        has, left = shouldered(road, lane), stops + 45.0 - (lane.length - place.high)
        while left > 0.0 and lane.successors:
            (onward,) = lane.successors
            lane = road.lanes[onward]
            assert shouldered(road, lane) == has
            assert has or lane.right_neighbour < 0
            left -= lane.length


def test_a_ramp_a_junction_and_a_neighbour_end_a_side() -> None:
    highway, town = generate_highway(1), generate_town(3)
    before = before_ramp(highway)
    assert 50.0 < highway.lanes[before].length - side_ahead(highway, before, 500.0) < 120.0
    assert side_ahead(highway, highway.lanes[before].successors[0], 500.0) == 0.0
    for index, lane in enumerate(town.lanes):
        if lane.kind == LaneKind.DRIVING:
            assert side_ahead(town, index, 500.0) == (0.0 if lane.junction >= 0 else lane.length)
    assert pull_room(50.0 / 3.6) == pytest.approx(98.2, abs=0.1)
    assert pull_room(float("inf")) == pull_room(FASTEST) == pytest.approx(376.0, abs=0.1)


def test_on_a_motorway_one_stands_on_the_hard_shoulder(motorway: Atlas) -> None:
    env = plain_worlds("pull_over", 24, atlas=motorway)
    env.reset()
    plant: Any = env._plant  # the road's
    kind, endings, on = motorway.lanes.kind.numpy(), [], []
    for _ in range(400):
        stood = plant.footing.lane.numpy().copy()
        step = env.step(by_hand(np.array(env.observation.numpy()), pull=True))
        endings += step.ending[step.ending > 0].tolist()
        on += kind[stood[step.success]].tolist()
    assert endings.count(Ending.SUCCEEDED) >= 0.9 * len(endings) >= 18
    assert set(on) == {int(LaneKind.SHOULDER)}


def test_the_line_to_stop_on_does_not_run_across_a_ramp(motorway: Atlas) -> None:
    road = motorway.roads[0]
    lane = before_ramp(road)
    end = side_ahead(road, lane, 0.0)
    assert 50.0 < road.lanes[lane].length - end < 120.0  # where the ramp's lane leads over the shoulder

    def line(s: float, speed: float) -> tuple[float, float]:
        env = plain_worlds("pull_over", 1, atlas=motorway, places=at(lane, s, speed=speed))
        env.reset()
        wish = env.task.arrays()
        return float(wish["wish.line"].numpy()[0]), float(wish["wish.brisk"].numpy()[0])

    assert line(end - 100.0, 8.0)[0] < -2.5
    assert line(end - 40.0, 8.0)[0] == 0.0
    assert line(end - 100.0, 25.0)[0] == 0.0
    assert line(end - 40.0, 8.0)[1] > 15.0  # drives on, to where a shoulder begins again


def test_who_is_on_a_shoulder_has_not_left_and_goes_on_in_the_ramp_s_lane(motorway: Atlas) -> None:
    road = motorway.roads[0]
    lane = before_ramp(road)
    shoulder = road.lanes[lane].right_neighbour
    assert road.lanes[shoulder].kind == LaneKind.SHOULDER
    env = plain_worlds("route", 1, atlas=motorway, places=at(shoulder, road.lanes[shoulder].length - 15.0, speed=15.0))
    env.reset()
    plant: Any = env._plant  # the road's
    kind, seen = motorway.lanes.kind.numpy(), []
    for _ in range(30):
        action = by_hand(np.array(env.observation.numpy()))
        action[:, 1] = 0.0  # along the shoulder, and on
        assert env.step(action).ending[0] == 0
        seen.append(int(kind[plant.footing.lane.numpy()[0]]))
    assert seen[0] == LaneKind.SHOULDER
    assert seen[-1] == LaneKind.DRIVING
