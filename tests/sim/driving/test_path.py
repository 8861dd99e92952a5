"""The path ahead: along lanes and their successors as closed forms say, and which lane an ego takes itself to be on."""

from __future__ import annotations

import math

import numpy as np
import pytest
import warp as wp
from numpy.typing import NDArray

from sim.device import start_warp
from sim.driving.atlas import Atlas
from sim.driving.path import before_lanes, make_lane_errors, make_match, see_path, start_match
from sim.driving.routes import RoutePlan
from sim.driving.state import PATH, PATH_BEHIND, PATH_STEP, PathColumn, make_footing, make_view
from sim.road import STEP, Lane, LaneKind, Road, check_road
from sim.roadgen import generate_highway, generate_town

start_warp()

X, Y, HEADING, CURVATURE = (int(PathColumn[name]) for name in ("X", "Y", "HEADING", "CURVATURE"))
AHEAD = (np.arange(PATH) - PATH_BEHIND) * PATH_STEP
"""s of the path's points."""


def strip(name: str, middle: NDArray[np.float64], heading: NDArray[np.float64], width: float, **more: object) -> Lane:
    side = 0.5 * width * np.stack([-np.sin(heading), np.cos(heading)], axis=-1)
    return Lane(name, middle + side, middle - side, **more)  # type: ignore[arg-type]


def ring(radius: float = 50.0, pieces: int = 7, turns: float = 1.6) -> Road:
    """Lanes of a circle to the left, one after the other, more than once around."""
    lanes, step = [], turns * math.tau / pieces
    for k in range(pieces):
        angle = np.linspace(k * step, (k + 1) * step, math.ceil(step * radius / STEP) + 1)
        middle = radius * np.stack([np.sin(angle), -np.cos(angle)], axis=-1)
        after, before = ((k + 1,) if k + 1 < pieces else ()), ((k - 1,) if k else ())
        lanes.append(strip(f"{k}", middle, angle, 3.0, limit=10.0, successors=after, predecessors=before))
    return check_road(Road("ring", tuple(lanes)))


class Walk:
    """One ego that is put where a test says."""

    def __init__(self, atlas: Atlas, lane: int, s: float, route: int = 0) -> None:
        self.atlas, self.view, self.match = atlas, make_view(1, "cpu"), make_match(1, "cpu")
        self.footing, self.errors = make_footing(1, "cpu"), make_lane_errors(1, "cpu")
        self.pose = wp.zeros((1, 3), dtype=wp.float32, device="cpu")
        self.before, self.mask = before_lanes(atlas), wp.full(1, 1, dtype=wp.uint8, device="cpu")
        self.footing.route.fill_(route)
        self.footing.lane.fill_(lane)
        self.footing.place.assign([[s, 0.0, 0.0, 0.0]])
        wp.launch(start_match, 1, [atlas.lanes, self.footing, self.mask, self.match], device="cpu")

    def look(self, x: float, y: float, yaw: float, seen: tuple[float, float] | None = None) -> NDArray[np.float32]:
        """The path from a true pose; `seen` is where localisation takes it to be."""
        self.pose.assign([[x, y, yaw]])
        self.view.pose.assign([[*(seen or (x, y)), yaw]])
        inputs = [self.atlas.lanes, self.atlas.routes, self.before, self.pose, self.footing, self.errors, self.mask]
        wp.launch(see_path, 1, [*inputs, self.match, self.view], device="cpu")
        return self.view.path.numpy()[0]

    def at(self, road: Road, lane: int, s: float, d: float = 0.0) -> tuple[float, float, float]:
        """A place beside a lane, in the atlas's coordinates."""
        each = road.lanes[lane]
        heading = float(np.interp(s, each.s, each.heading))
        x, y = each.at(s) - self.atlas.origin(0) + d * np.array([-math.sin(heading), math.cos(heading)])
        return float(x), float(y), heading


def test_the_path_of_a_circle_is_a_circle_over_all_of_its_lanes() -> None:
    road = ring()
    atlas = Atlas([road], routes=[[RoutePlan(0, 5.0, 6, 20.0)]])
    walk, x0, y0 = Walk(atlas, 0, 5.0), *atlas.origin(0)
    total = sum(lane.length for lane in road.lanes)
    for s in np.arange(5.0, 450.0, 2.0):
        angle = s / 50.0
        path = walk.look(50.0 * math.sin(angle) - x0, -50.0 * math.cos(angle) - y0, math.remainder(angle, math.tau))
        on = (s + AHEAD >= 0.0) & (s + AHEAD <= total - 1.0)
        around = (s + AHEAD[on]) / 50.0
        assert np.abs(path[on, X] - (50.0 * np.sin(around) - x0)).max() < 0.02
        assert np.abs(path[on, Y] - (-50.0 * np.cos(around) - y0)).max() < 0.02
        assert np.abs(path[on, HEADING] - (AHEAD[on] / 50.0 + math.remainder(angle, math.tau))).max() < 1e-3
        assert np.abs(path[on, CURVATURE] - 0.02).max() < 4e-4
        assert walk.view.where.numpy()[0] == pytest.approx([0.0, 0.0], abs=5e-3)
        lanes = walk.view.path_lane.numpy()[0]
        assert (lanes[s + AHEAD > total + 0.1] == -1).all()
        assert (lanes[on] == ((s + AHEAD[on]) / (total / 7)).astype(int)).mean() > 0.95
    assert walk.view.lane.numpy()[0] == 6
    assert walk.view.goal.numpy()[0, 0] == pytest.approx(6 * total / 7 + 20.0 - 449.0, abs=0.3)


def test_beyond_the_end_the_last_point_is_held_and_before_the_beginning_the_path_goes_back_straight() -> None:
    road = ring(turns=0.4)
    walk = Walk(Atlas([road], routes=[[RoutePlan(0, 5.0, 6, 10.0)]]), 0, 1.0)
    path = walk.look(*walk.at(road, 0, 1.0)).copy()
    back = path[PATH_BEHIND, :2] - path[0, :2]
    assert np.hypot(*back) == pytest.approx(12.0, abs=0.02)
    assert np.diff(path[:3, :2], axis=0)[0] == pytest.approx(np.diff(path[:3, :2], axis=0)[1], abs=1e-4)
    lanes = walk.view.path_lane.numpy()[0]
    assert (lanes[: PATH_BEHIND + 1] == 0).all()
    end = road.lanes[6].centre[-1] - walk.atlas.origin(0)
    assert (lanes >= 0).sum() == int((sum(lane.length for lane in road.lanes) - 1.0) // PATH_STEP) + 1 + PATH_BEHIND
    assert path[lanes < 0][:, :2] == pytest.approx(np.broadcast_to(end, (int((lanes < 0).sum()), 2)), abs=1e-3)


def test_the_path_stays_in_the_lane_of_every_route_through_a_town() -> None:
    """Continuous in place and heading, and on the lanes that the route takes."""
    road = generate_town(3)
    atlas = Atlas([road], routes=12, seed=2)
    routes = atlas.routes
    for route in range(12):
        lane, s = int(routes.start_lane.numpy()[route]), float(routes.start_s.numpy()[route])
        walk, left = Walk(atlas, lane, s, route), float(routes.length.numpy()[route])
        while left > 5.0:
            path = walk.look(*walk.at(road, lane, s))
            on = walk.view.path_lane.numpy()[0] >= 0
            steps = np.hypot(*np.diff(path[on, :2], axis=0).T)
            assert steps.max() < PATH_STEP + 0.1
            assert steps.min() > 0.9 * PATH_STEP
            assert np.abs(np.diff(path[on, HEADING])).max() < 0.5
            chord = np.arctan2(*np.diff(path[on, :2], axis=0).T[::-1])
            off = chord - 0.5 * (path[on, HEADING][1:] + path[on, HEADING][:-1])
            assert np.abs(np.arctan2(np.sin(off), np.cos(off))).max() < 0.1
            assert walk.view.goal.numpy()[0, 0] == pytest.approx(left, abs=0.5)
            assert abs(float(walk.view.where.numpy()[0, 0])) < 0.02
            s += 4.0
            left -= 4.0
            while s > road.lanes[lane].length:
                s -= road.lanes[lane].length
                lane = int(routes.next_lane.numpy()[route, lane])
                assert lane in walk.view.path_lane.numpy()[0]


def highway() -> Road:
    """Two sections of two lanes and a shoulder; an exit lane beside the first, which only it leads on to."""
    lanes = []
    for k, begin in enumerate((0.0, 300.0)):
        x = np.arange(begin, begin + 300.0 + STEP, STEP)
        for j in range(3 if k else 4):
            shoulder = j == (2 if k else 3)
            middle = np.stack([x, np.full_like(x, -3.5 * j)], axis=-1)
            first = 4 * k
            lanes.append(
                strip(
                    f"{k}.{j}", middle, np.zeros_like(x), 2.5 if shoulder else 3.5, limit=30.0,
                    kind=LaneKind.SHOULDER if shoulder else LaneKind.DRIVING,
                    left_neighbour=first + j - 1 if j else -1,
                    right_neighbour=-1 if shoulder else first + j + 1,
                    successors=((4 + j,) if j < 2 else (7,) if j == 2 else ()) if k == 0 else (),
                    predecessors=(j,) if k and j < 2 else (),
                )
            )  # fmt: skip
    x = np.arange(300.0, 500.0 + STEP, STEP)
    ramp = np.stack([x, -7.0 - (x - 300.0) ** 3 / 200.0**3 * 10.0], axis=-1)
    heading = -np.arctan(3.0 * (x - 300.0) ** 2 / 200.0**3 * 10.0)
    lanes.append(strip("exit", ramp, heading, 3.5, limit=20.0, predecessors=(2,)))
    return check_road(Road("two lanes", tuple(lanes)))


def test_a_route_that_leaves_by_an_exit_asks_for_its_lane_changes() -> None:
    road = highway()
    walk = Walk(Atlas([road], routes=[[RoutePlan(0, 20.0, 7, 100.0)]]), 0, 20.0)
    for lane, changes in ((0, -2.0), (1, -1.0), (2, 0.0)):
        path = walk.look(*walk.at(road, lane, 150.0))
        goal = walk.view.goal.numpy()[0]
        assert (goal[0], goal[1]) == (pytest.approx(250.0, abs=0.1), changes)
        assert goal[2] == (pytest.approx(150.0, abs=0.1) if changes else 1e5)
        right = [float(path[PATH_BEHIND, int(PathColumn[name])]) for name in ("LEFT_LANE", "RIGHT_LANE", "SHOULDER")]
        assert right == pytest.approx([3.5 * (lane > 0), 3.5 * (lane < 2), 2.5 * (lane == 2)])
        follows = {lane, {0: 4, 1: 5, 2: 7}[lane]}
        assert set(walk.view.path_lane.numpy()[0].tolist()) == follows, "a path never changes lanes"
    assert path[-10, int(PathColumn.LIMIT)] == 20.0


def test_the_match_waits_beyond_the_border_and_never_leaves_the_lanes_for_driving() -> None:
    road = highway()
    walk = Walk(Atlas([road], routes=[[RoutePlan(0, 20.0, 4, 100.0)]]), 0, 20.0)
    seen = []
    for d in (0.0, -1.7, -1.85, -1.95, -1.8, -1.65, -1.55, 0.0, 3.0):
        walk.look(*walk.at(road, 0, 50.0, d))
        seen.append((int(walk.view.lane.numpy()[0]), round(float(walk.view.where.numpy()[0, 0]), 2)))
    assert [lane for lane, _ in seen] == [0, 0, 0, 1, 1, 1, 0, 0, 0]
    assert [d for _, d in seen] == [0.0, -1.7, -1.85, 1.55, 1.7, 1.85, -1.55, 0.0, 3.0]
    for d in (-3.5, -7.0, -9.5, -10.5):  # over the exit lane onto the shoulder
        walk.look(*walk.at(road, 0, 50.0, d))
    assert walk.view.lane.numpy()[0] == 2
    assert walk.view.where.numpy()[0, 0] == pytest.approx(-3.5, abs=1e-3)


def test_a_car_that_misses_its_turn_is_matched_to_the_way_that_it_took() -> None:
    road = generate_town(3)
    atlas = Atlas([road], routes=16, seed=2)
    following = atlas.routes.next_lane.numpy()
    for route in range(16):
        for lane in road.lanes:
            index = road.lanes.index(lane)
            other = [each for each in lane.successors if each != following[route, index]]
            if not other or following[route, index] < 0:
                continue
            walk = Walk(atlas, index, lane.length - 8.0, route)
            walk.look(*walk.at(road, index, lane.length - 8.0))
            for s in np.arange(0.5, road.lanes[other[0]].length - 0.5, 1.0):
                walk.look(*walk.at(road, other[0], float(s)))
            onto = road.lanes[other[0]].successors[0]
            walk.look(*walk.at(road, onto, 1.0))
            walk.look(*walk.at(road, onto, 3.0))
            assert walk.view.lane.numpy()[0] == onto
            break


def test_the_place_along_is_localisations_and_the_place_across_the_cameras() -> None:
    road = highway()
    walk = Walk(Atlas([road], routes=[[RoutePlan(0, 20.0, 4, 100.0)]]), 0, 20.0)
    walk.errors.offset.fill_(0.08)
    walk.errors.heading.fill_(0.004)
    walk.errors.curvature.fill_(1e-4)
    x, y, _ = walk.at(road, 0, 50.0, 0.3)
    path = walk.look(x, y, 0.02, seen=(x + 0.2, y - 0.1))
    assert walk.view.path_s.numpy()[0, PATH_BEHIND] == pytest.approx(50.2, abs=1e-3)
    assert walk.view.where.numpy()[0] == pytest.approx([0.3 - 0.08, 0.02 - 0.004], abs=1e-4)
    assert path[PATH_BEHIND, [Y, HEADING, CURVATURE]] == pytest.approx([y - 0.3 + 0.08, 0.004, 1e-4], abs=1e-3)


@pytest.mark.parametrize("road", [generate_highway(4), generate_town(4)], ids=["highway", "town"])
def test_every_lane_knows_the_one_before_it(road: Road) -> None:
    atlas = Atlas([generate_highway(9), road], routes=1)
    before, first = before_lanes(atlas).numpy(), int(atlas.first[1])
    for index, lane in enumerate(road.lanes):
        assert (before[first + index] - first in lane.predecessors) == bool(lane.predecessors)
