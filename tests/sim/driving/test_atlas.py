"""Many roads as one set of arrays: numbering, links, conflicts, crossings, and routes that lead to their goals."""

from __future__ import annotations

import numpy as np
import pytest

from sim.device import start_warp
from sim.driving.atlas import Atlas
from sim.driving.routes import RoutePlan
from sim.errors import MusterError
from sim.frenet import lane_arrays
from sim.road import LaneKind, Road, RoadError
from sim.roadconflicts import find_conflicts, find_run_over
from sim.roadfile import load_road
from sim.roadgen import generate_highway, generate_rural, generate_town

start_warp()
ROADS = [generate_highway(5), generate_town(5), generate_rural(5)]
ATLAS = Atlas(ROADS, routes=16, seed=3)


def test_every_road_is_what_it_is_alone() -> None:
    both = ATLAS.lanes
    for number, road in enumerate(ROADS):
        alone, first, last = lane_arrays(road), ATLAS.first[number], ATLAS.first[number + 1]
        assert last - first == len(road.lanes)
        begin, end = both.first.numpy()[[first, last]]
        assert (both.points.numpy()[begin:end] == alone.points.numpy()).all()
        assert ATLAS.origin(number) == pytest.approx(tuple(alone.origin))
        for name in ("successors", "beside", "enter"):
            own, there = getattr(alone, name).numpy(), getattr(both, name).numpy()[first:last]
            assert (np.where(own >= 0, own + first, -1) == there).all()
        assert (ATLAS.lane_road.numpy()[first:last] == number).all()


def test_only_driving_lanes_beyond_a_broken_line_are_entered() -> None:
    for number, road in enumerate(ROADS):
        enter = ATLAS.lanes.enter.numpy()[ATLAS.first[number] : ATLAS.first[number + 1]] - ATLAS.first[number]
        for lane, (left, right) in zip(road.lanes, enter.tolist(), strict=True):
            for index, may in ((left, lane.may_change_left), (right, lane.may_change_right)):
                assert index < 0 or (may and road.lanes[index].kind == LaneKind.DRIVING)
    assert (ATLAS.lanes.enter.numpy()[: ATLAS.first[1]] >= 0).any()


def test_conflicts_are_the_roads_own() -> None:
    conflicts, first = ATLAS.conflicts, ATLAS.conflicts.first.numpy()
    found = set()
    for lane in range(ATLAS.first[-1]):
        begins = conflicts.begin.numpy()[first[lane] : first[lane + 1]]
        assert (np.diff(begins) >= 0.0).all()
        for row in range(first[lane], first[lane + 1]):
            found.add((lane, conflicts.other.numpy()[row], round(float(conflicts.end.numpy()[row]), 3)))
    assert found == {
        (ATLAS.first[1] + each.lane, ATLAS.first[1] + each.other, round(each.end, 3))
        for each in find_conflicts(ROADS[1])
    }


def test_a_shoulder_ends_where_a_ramps_lane_runs_over_it() -> None:
    road = ROADS[0]
    over = find_run_over(road)
    assert over
    assert not any(find_run_over(each) for each in ROADS[1:])
    first, shut = ATLAS.lanes.first.numpy(), ATLAS.lanes.closed.numpy().astype(bool)
    for index, lane in enumerate(road.lanes):
        if lane.kind != LaneKind.SHOULDER:
            assert not shut[first[index] : first[index + 1]].any()
            continue
        at = np.linspace(0.0, lane.length, first[index + 1] - first[index])
        closed = np.array([any(begin <= s <= end for begin, end in over.get(index, ())) for s in at])
        assert (shut[first[index] : first[index + 1]] == closed).all()
        beside = road.lanes[lane.left_neighbour]
        ways = [other for other in road.lanes if other.kind == LaneKind.DRIVING and other is not beside]
        middle = np.stack([np.interp(at, lane.s, lane.centre[:, k]) for k in (0, 1)], -1)
        left = ~closed & (at > 5.0) & (at < lane.length - 5.0)  # ends of lanes touch
        for other in ways:  # no driving lane's middle lies on what is left
            apart = np.hypot(*(middle[left, None] - other.centre[None]).transpose(2, 0, 1))
            assert apart.min() > 0.5 * lane.width.max()


def test_crossings_are_met_where_they_are() -> None:
    crossings, road = ATLAS.crossings, ROADS[1]
    assert np.diff(crossings.first.numpy()).tolist() == [0, len(road.crossings), 0]
    first, met = crossings.lane_first.numpy(), np.zeros(len(road.crossings), int)
    for index, lane in enumerate(road.lanes):
        for row in range(*first[[ATLAS.first[1] + index, ATLAS.first[1] + index + 1]]):
            number, s = int(crossings.crossing.numpy()[row]), float(crossings.s.numpy()[row])
            crossing, share = road.crossings[number], crossings.along.numpy()[row] / road.crossings[number].length
            place = (1.0 - share) * np.array(crossing.start) + share * np.array(crossing.end)
            assert np.hypot(*(lane.at(s) - place)) < 0.05
            assert crossings.begin.numpy()[row] < s < crossings.end.numpy()[row]
            met[number] += 1
    assert (met >= 2).all(), "a lane each way at least meets each crossing"


@pytest.mark.parametrize("number", range(len(ROADS)))
def test_who_follows_a_route_reaches_its_goal_in_the_metres_that_it_states(number: int) -> None:
    routes, road, first = ATLAS.routes, ROADS[number], int(ATLAS.first[number])
    rows = ATLAS.route_of(number)
    assert len(rows) == 16
    for row in rows:
        onward, togo = routes.next_lane.numpy()[row], routes.togo.numpy()[row]
        lane = int(routes.start_lane.numpy()[row]) - first
        left = float(togo[lane] - routes.start_s.numpy()[row])
        assert left == pytest.approx(float(routes.length.numpy()[row]), rel=1e-5)
        plan = ATLAS.plans[number][row - rows.start]
        goals, driven = {plan.goal_lane, *plan.also}, -plan.start_s
        for _ in range(len(road.lanes)):
            if lane in goals:
                break
            following = int(onward[lane]) - first
            assert following in (*road.lanes[lane].successors, *ATLAS.lanes.enter.numpy()[first + lane] - first)
            if following in road.lanes[lane].successors:
                driven += road.lanes[lane].length
            lane = following
        assert lane in goals
        assert driven + plan.goal_s == pytest.approx(left, rel=0.02)


def test_lanes_are_changed_as_late_as_possible() -> None:
    """Along a highway a car keeps its lane as long as the goal can still be reached from it."""
    road = generate_highway(3, lanes=3, ramps=2)
    names = [lane.name for lane in road.lanes]
    off = next(index for index, name in enumerate(names) if name.endswith(".off"))
    start = names.index("0.0")
    atlas = Atlas([road], routes=[[RoutePlan(start, 5.0, off, 100.0)]])
    onward, lane, changes = atlas.routes.next_lane.numpy()[0], start, []
    while lane != off:
        following = int(onward[lane])
        if following not in road.lanes[lane].successors:
            changes.append(names[lane])
        lane = following
    sections = {name.split(".")[0] for name in changes}
    assert len(changes) == 3
    assert len(sections) == 1, "all of them in the section of the lane of deceleration"


def test_routes_do_not_depend_on_the_other_roads() -> None:
    alone = Atlas([ROADS[1]], routes=16, seed=3)
    assert alone.plans[0] == ATLAS.plans[1]
    assert Atlas([ROADS[1]], routes=16, seed=4).plans != alone.plans
    assert min(Atlas([ROADS[1]], routes=32).routes.length.numpy()) >= 300.0


def test_a_goal_that_cannot_be_reached_is_refused() -> None:
    road = ROADS[2]
    there = [index for index, lane in enumerate(road.lanes) if lane.name.endswith("there")]
    with pytest.raises(RoadError, match=r"expected a way from lane .* choose another goal"):
        Atlas([road], routes=[[RoutePlan(there[1], 1.0, there[0], 1.0)]])
    with pytest.raises(RoadError, match="a goal ahead"):
        Atlas([road], routes=[[RoutePlan(there[0], 50.0, there[0], 1.0)]])
    with pytest.raises(RoadError, match="at least one road"):
        Atlas([])
    with pytest.raises(RoadError, match="routes for each road"):
        Atlas([road], routes=[])


def test_roads_have_one_word() -> None:
    assert load_road("town:5").hash == ROADS[1].hash
    for word in ("town", "town:x", "city:3", "road.osm", "nowhere.xodr", "nowhere.xml"):
        with pytest.raises(MusterError):
            load_road(word)
    assert isinstance(load_road("rural:0"), Road)
