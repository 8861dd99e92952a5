"""Lane graphs: Frenet coordinates, conflicts, routes, generated roads."""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import pairwise

import networkx as nx
import numpy as np
import pytest
import warp as wp

from sim import roadconflicts
from sim.device import start_warp
from sim.frenet import lane_arrays, project_rows
from sim.road import STEP, Conflict, ConflictKind, Lane, LaneKind, Road, RoadError, check_road, project, resample
from sim.roadconflicts import find_conflicts
from sim.roadgen import generate_highway, generate_rural, generate_town
from sim.roadgraph import road_graph, route

ROADS = [generate_highway(5), generate_rural(5), generate_town(5)]


def straight(name: str = "a", y: float = 0.0, length: float = 50.0, **more: object) -> Lane:
    x = np.arange(0.0, length + STEP, STEP)
    left, right = (np.stack([x, np.full_like(x, y + side)], axis=-1) for side in (1.75, -1.75))
    return Lane(name, left, right, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("road", ROADS, ids=lambda road: road.name)
def test_frenet_coordinates_go_there_and_back(road: Road) -> None:
    """Points beside every lane, by the reference and by the kernel, from a guess near by and from none."""
    start_warp()
    lanes = lane_arrays(road)
    draws = np.random.default_rng(1)
    which = draws.integers(0, len(road.lanes), 3000).astype(np.int32)
    s = np.array([draws.uniform(1.0, road.lanes[i].length - 1.0) for i in which])
    d = draws.uniform(-3.0, 3.0, 3000)
    place = np.zeros((3000, 3))
    for row, index in enumerate(which):
        lane = road.lanes[index]
        heading = np.interp(s[row], lane.s, lane.heading)
        place[row, :2] = lane.at(float(s[row])) + d[row] * np.array([-np.sin(heading), np.cos(heading)])
        place[row, 2] = heading + 0.3
    place[:, :2] -= np.array(lanes.origin)
    for guess in (s + draws.uniform(-5.0, 5.0, 3000), np.full(3000, -1.0)):
        out = wp.zeros((3000, 3), dtype=wp.float32)
        arrays = [
            wp.array(which),
            wp.array(place.astype(np.float32)),
            wp.array(np.maximum(guess, -1.0).astype(np.float32)),
        ]
        wp.launch(project_rows, dim=3000, inputs=[lanes, *arrays, out])
        found = out.numpy()
        assert np.abs(found[:, 0] - s).max() < 0.08  # 3 m beside a chord of 0.5 m in a turn of 9 m radius
        assert np.abs(found[:, 1] - d).max() < 0.01
        assert np.abs(found[:, 2] - 0.3).max() < 0.03
    for row in range(0, 3000, 100):
        lane = road.lanes[which[row]]
        exact = project(lane.centre, lane.s, place[row : row + 1, :2] + np.array(lanes.origin))
        assert (exact[0][0], exact[1][0]) == pytest.approx(found[row, :2].tolist(), abs=0.08)


def test_beyond_the_ends_s_is_held() -> None:
    lane = straight()
    s, d = project(lane.centre, lane.s, np.array([(-3.0, 4.0), (53.0, -4.0), (20.0, 1.0)]))
    assert s == pytest.approx([0.0, 50.0, 20.0])
    assert d == pytest.approx([5.0, -5.0, 1.0])


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("generate", [generate_highway, generate_rural, generate_town])
def test_generated_roads_can_be_driven(generate, seed: int) -> None:  # noqa: ANN001 any of the three
    road = generate(seed)
    assert road.hash == generate(seed).hash != generate(seed + 100).hash
    for index, lane in enumerate(road.lanes):
        assert float(lane.width.min()) > 2.4
        assert float(np.abs(lane.curvature[2:-2]).max(initial=0.0)) < 0.2, "no turn is tighter than 5 m"
        for following in lane.successors:
            other = road.lanes[following]
            turn = float(other.heading[0] - lane.heading[-1])
            assert abs(np.arctan2(np.sin(turn), np.cos(turn))) < 0.05
            assert abs(float(other.width[0] - lane.width[-1])) < 0.6
        for beside in (lane.left_neighbour, lane.right_neighbour):
            if beside >= 0:
                assert index in (road.lanes[beside].left_neighbour, road.lanes[beside].right_neighbour)
    graph = road_graph(road)
    kinds = {lane.kind for lane in road.lanes}
    if generate is generate_town:
        assert nx.is_strongly_connected(graph)
        assert {conflict.kind for conflict in find_conflicts(road)} >= {ConflictKind.MERGE, ConflictKind.SPLIT}
        assert road.crossings
    else:
        assert not find_conflicts(road), "the road does not meet itself"
        assert (LaneKind.SHOULDER in kinds) == (generate is generate_highway)


def test_conflicts_of_a_crossing() -> None:
    east, x = straight(length=40.0), np.arange(-20.0, 20.5, STEP)
    left, right = (np.stack([np.full_like(x, 20.0 + side), x], axis=-1) for side in (-1.75, 1.75))
    road = Road("cross", (east, Lane("north", left, right), straight("far", y=30.0)))
    one, other = find_conflicts(road)
    assert (one.lane, one.other, other.lane, other.other) == (0, 1, 1, 0)
    assert one.kind == ConflictKind.CROSS
    assert one.begin < 20.0 - 1.75
    assert one.end > 20.0 + 1.75
    assert one.end - one.begin < 8.0
    assert (other.begin, other.end) == pytest.approx((one.begin, one.end), abs=0.6)


def test_a_way_that_a_file_cuts_closely_does_not_meet_itself() -> None:
    """Pieces of 50, 1, 2 and 50 m of one way to the north-east, the last two of them crossed by another."""
    turn = np.sqrt(0.5) * np.array([(1.0, 1.0), (-1.0, 1.0)])
    ends = [0.0, 50.0, 51.0, 53.0, 103.0]
    lanes = []
    for k, (begin, end) in enumerate(pairwise(ends)):
        x = np.linspace(begin, end, max(round((end - begin) / STEP), 1) + 1)
        left, right = (np.stack([x, np.full_like(x, y)], axis=-1) @ turn for y in (1.75, -1.75))
        before, after = ((k - 1,) if k else ()), ((k + 1,) if k < 3 else ())
        lanes.append(Lane(f"{k}", left, right, successors=after, predecessors=before))
    assert not find_conflicts(Road("way", tuple(lanes)))
    y = np.arange(-20.0, 20.5, STEP)
    left, right = (np.stack([np.full_like(y, 54.0 + side), y], axis=-1) @ turn for side in (-1.75, 1.75))
    met = find_conflicts(Road("way", (*lanes, Lane("across", left, right))))
    assert {(each.lane, each.other) for each in met} == {(2, 4), (3, 4), (4, 2), (4, 3)}
    apart = [replace(lane, successors=(), predecessors=()) for lane in lanes]
    assert find_conflicts(Road("pieces", tuple(apart))), "ends of ways that do not follow each other"


def test_lanes_of_a_city_are_searched_by_place() -> None:
    """2,000 beside each other; what looks at every pair takes 10 s."""
    lanes = [straight(f"{k}", y=5.0 * k) for k in range(2000)]
    begin = time.process_time()
    (one, _) = find_conflicts(Road("city", (*lanes, straight("over", y=4000.0))))
    assert time.process_time() - begin < 4.0
    assert (one.lane, one.other) == (800, 2000)


def test_lanes_that_all_lie_over_each_other_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roadconflicts, "PAIRS_MAX", 100)
    with pytest.raises(RoadError, match="heap: expected lanes of which at most 100 pairs lie over each other"):
        find_conflicts(Road("heap", tuple(straight(f"{k}") for k in range(40))))


def left_turn(room: float, *, back: bool, junction: int = 0) -> Lane:
    """A turn to the left into the crossing road, that begins `room` m before its middle; `back`: the one against it."""
    angle = np.linspace(0.0, 0.5 * np.pi, 40)
    out = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    left, right = (-room + (room + 1.75 + side) * out for side in (-1.75, 1.75))
    sign = -1.0 if back else 1.0
    return Lane("back" if back else "there", sign * left, sign * right, junction=junction)


def test_turns_against_each_other_meet_where_the_boxes_of_cars_do() -> None:
    def found(room: float, junction: int = 0) -> tuple[Conflict, ...]:
        return find_conflicts(
            Road("turns", (left_turn(room, back=False), left_turn(room, back=True, junction=junction)))
        )

    one, other = found(7.5)
    turn = left_turn(7.5, back=False)
    distance = np.abs(turn.centre[:, None] + turn.centre[None, :]).max(axis=-1).min()
    assert distance > 0.5 * 3.5  # further apart than what lies on both middles
    assert (one.lane, one.other, one.kind) == (0, 1, ConflictKind.CROSS)
    assert (other.begin, other.end) == pytest.approx((one.begin, one.end), abs=0.1)
    assert 0.0 < one.begin < 0.4 * turn.length < 0.6 * turn.length < one.end < turn.length
    # a car whose rear axle follows the one lane touches, somewhere, one on the other; with more room none does
    assert not found(10.0)
    assert not found(7.5, junction=1)  # above or below each other


def test_ways_of_a_town_that_lie_beside_each_other_do_not_meet() -> None:
    road = generate_town(7)
    pairs = {(each.lane, each.other) for each in find_conflicts(road)}
    for index, lane in enumerate(road.lanes):
        if lane.kind == LaneKind.DRIVING and lane.junction >= 0:
            assert not {(index, each) for each in (lane.oncoming, *lane.successors, *lane.predecessors)} & pairs
    assert len(pairs) == 2 * 94  # as many as middle strips alone find: turns of a town leave each other room


def test_routes_follow_and_change_lanes() -> None:
    road = generate_highway(3, lanes=3, ramps=2)
    on = next(index for index, lane in enumerate(road.lanes) if lane.name.endswith(".on"))
    off = next(index for index, lane in enumerate(road.lanes) if lane.name.endswith(".off"))
    lanes, graph = route(road, on, off), road_graph(road)
    assert (lanes[0], lanes[-1]) == (on, off)
    kinds = [graph.edges[edge]["kind"] for edge in pairwise(lanes)]
    assert kinds.count("left") == kinds.count("right") == 1
    with pytest.raises(RoadError, match=r"expected a way from lane .*off to lane .*on"):
        route(road, off, on)
    shoulder = next(index for index, lane in enumerate(road.lanes) if lane.kind == LaneKind.SHOULDER)
    with pytest.raises(RoadError, match="expected the goal on a driving lane, got lane"):
        route(road, on, shoulder)


def test_points_know_their_lanes() -> None:
    road = Road("two", (straight(), straight("b", y=3.5), straight("c", y=20.0, kind=LaneKind.SHOULDER)))
    assert road.nearest(10.0, 0.4) == [(0, pytest.approx(10.0), pytest.approx(0.4))]
    assert [found[0] for found in road.nearest(10.0, 1.75)] == [0, 1]
    assert road.nearest(10.0, 20.0) == road.nearest(-1.0, 0.0) == []


@pytest.mark.parametrize(
    ("lanes", "message"),
    [
        ((straight(kind=LaneKind.WALKWAY),), "at least one driving lane"),
        ((straight(successors=(1,)), straight("b", predecessors=(0,))), "got a gap of 50.00 m"),
        ((straight(left_neighbour=7),), "expected links to lanes of this road"),
        ((replace(straight(), left=straight().left[:-1]),), "as many points each"),
    ],
)
def test_roads_that_cannot_be_driven_are_refused(lanes: tuple[Lane, ...], message: str) -> None:
    with pytest.raises(RoadError, match=message):
        check_road(Road("bad", lanes))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: generate_highway(-1), "expected a seed from 0"),
        (lambda: generate_highway(1, length=400.0), "expected a highway of at least"),
        (lambda: generate_highway(1, lanes=9), "expected 1 to 6 lanes"),
        (lambda: generate_rural(1, length=float("nan")), "expected a rural road of at least 300 m"),
        (lambda: generate_town(1, columns=1), "expected at least 2 x 2"),
        (lambda: generate_town(1, block=20.0), "70 m or more apart"),
    ],
)
def test_roads_that_cannot_be_made_are_refused(make, message: str) -> None:  # noqa: ANN001 one of the generators
    with pytest.raises(RoadError, match=message):
        make()


def test_a_line_drawn_by_chords_bends_as_the_curve_that_it_stands_for() -> None:
    """An arc of radius 50 m drawn by chords of 5 m, resampled at half a metre as readers do."""
    angle = np.arange(0.0, 1.2, 0.1)
    corners = 50.0 * np.stack([np.sin(angle), 1.0 - np.cos(angle)], axis=-1)
    centre = resample(corners, 110)
    normal = 1.75 * np.array([[0.0, 1.0]])
    lane = Lane("chords", centre + normal, centre - normal, chords=10.0)
    inside = (lane.s > 5.0) & (lane.s < lane.length - 5.0)
    assert np.abs(lane.curvature[inside] - 0.02).max() < 0.1 / 2 / 10.0, "half of a vertex's turn over the way"
    assert np.abs(replace(lane, chords=0.0).curvature[inside] - 0.02).max() > 0.05, "by its vertices it does not"
