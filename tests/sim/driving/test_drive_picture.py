from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from sim.actors import ActorKind
from sim.driving.figures import BRAKE, EGO
from sim.driving.instruments import TONES
from sim.driving.picture import SCAN, FromAbove
from sim.driving.scenery import scenery
from sim.road import Road, project
from sim.roadgen import generate_highway, generate_town
from tests.sim.driving.shows import course_on, moment_at, place_on, somebody


@pytest.fixture(scope="module")
def road() -> Road:
    return generate_highway(3, length=600.0, lanes=3, ramps=0)


def close(frame: np.ndarray, colour: tuple[int, int, int], within: int = 30) -> np.ndarray:
    """Pixels that nearly have a colour."""
    return (np.abs(frame.astype(int) - colour).max(axis=-1)) <= within


def test_the_ego_is_drawn_where_it_is_and_the_frame_goes_with_it(road: Road) -> None:
    above = FromAbove(course_on(road, 1), 640, 360)
    for time, s in ((0.0, 100.0), (1.0, 110.0)):
        frame = above.frame(moment_at(place_on(road, 1, s), time=time, speed=0.0), words=False)
        rows, columns = np.nonzero(close(frame, EGO))
        assert len(rows) > 20
        assert abs(rows.mean() - 180) < 4
        assert abs(columns.mean() - 320) < 6


def test_brake_lights_burn_while_somebody_brakes(road: Road) -> None:
    x, y, yaw = place_on(road, 0, 120.0)
    lit = []
    for accel in (0.0, -3.0):
        others = somebody(ActorKind.CAR, (x, y, yaw), (4.5, 1.9), accel)
        frame = FromAbove(course_on(road, 1), 1280, 720).frame(
            moment_at(place_on(road, 1, 110.0), speed=0.0, others=others), words=False
        )
        lit.append(int(close(frame, BRAKE).sum()))
    assert lit[0] == 0
    assert lit[1] >= 4


def test_plan_reach_and_words_change_the_picture_where_they_are(road: Road) -> None:
    pose = place_on(road, 1, 200.0)
    plain = FromAbove(course_on(road, 1), 640, 360).frame(moment_at(pose, speed=0.0))
    stopping = moment_at(pose, speed=0.0, stop=30.0, mode="shielded", reason="obstacle")
    shown = FromAbove(course_on(road, 1), 640, 360).frame(stopping)
    changed = (plain != shown).any(axis=-1)
    assert changed[150:210, 330:440].sum() > 300  # the ground ahead
    assert close(shown, TONES["shielded"], 12)[170:190, 380:420].any()  # where it would stand
    assert changed[300:, :200].sum() > 50  # the words
    outline = np.array([(pose[0] - 40.0, pose[1] - 3.0), (pose[0] - 20.0, pose[1] - 3.0), (pose[0] - 20.0, pose[1])])
    reached = dataclasses.replace(moment_at(pose, speed=0.0), reach=(outline,))
    amber = (FromAbove(course_on(road, 1), 640, 360).frame(reached) != plain).any(axis=-1)
    assert amber.sum() > 100
    assert not amber[:, 330:].any()


def test_a_scan_is_drawn_where_its_rays_ended(road: Road) -> None:
    """Ahead and to the left of the middle of the box; a ray that met nothing leaves no point."""
    course = dataclasses.replace(course_on(road, 1), lidar=100.0)
    scan = np.full(360, 100.0)
    scan[180], scan[270] = 20.0, 12.0
    moment = dataclasses.replace(moment_at(place_on(road, 1, 200.0), speed=0.0), scan=scan)
    above = FromAbove(course, 640, 360)
    shown, yaw = close(above.frame(moment, words=False), SCAN, 60), moment.pose[2]
    x, y = course.size.middle(*moment.pose)
    at = [(x + 20.0 * np.cos(yaw), y + 20.0 * np.sin(yaw)), (x - 12.0 * np.sin(yaw), y + 12.0 * np.cos(yaw))]
    for column, row in above.window.pixels(np.array(at)).round().astype(int).tolist():
        here = shown[row - 3 : row + 4, column - 3 : column + 4]
        assert here.any()
        shown[row - 5 : row + 6, column - 5 : column + 6] = False
    assert not shown.any()


def test_every_kind_of_actor_is_drawn_differently(road: Road) -> None:
    x, y, yaw = place_on(road, 0, 210.0)
    seen = set()
    for kind in ActorKind:
        frame = FromAbove(course_on(road, 1), 640, 360).frame(
            moment_at(place_on(road, 1, 200.0), speed=0.0, others=somebody(kind, (x, y, yaw), (4.0, 1.8))), words=False
        )
        seen.add(frame.tobytes())
    assert len(seen) == len(ActorKind)


def test_an_empty_slot_is_not_drawn(road: Road) -> None:
    pose = place_on(road, 1, 200.0)
    others = somebody(ActorKind.CAR, place_on(road, 0, 210.0), (4.0, 1.8))
    gone = dataclasses.replace(others, kind=np.array([-1]))
    plain = FromAbove(course_on(road, 1), 640, 360).frame(moment_at(pose))
    assert (FromAbove(course_on(road, 1), 640, 360).frame(moment_at(pose, others=gone)) == plain).all()


def test_a_small_road_is_shown_whole() -> None:
    road = generate_highway(1, length=500.0, lanes=2, ramps=0)
    small = dataclasses.replace(road, lanes=tuple(_cut(lane, 120.0) for lane in road.lanes))
    above = FromAbove(course_on(small, 0), 1280, 720)
    one = above.frame(moment_at(place_on(small, 0, 20.0)), words=False)
    two = above.frame(moment_at(place_on(small, 0, 90.0), time=1.0), words=False)
    assert (one == two).mean() > 0.95  # only the car went on


def test_houses_and_trees_stand_clear_of_every_lane() -> None:
    road = generate_town(7)
    stands = scenery(road)
    assert len(stands.houses) > 40
    assert len(stands.trees) > 100
    assert scenery(road) == stands
    from sim.frenet import middle

    places = np.array([(tree.x, tree.y) for tree in stands.trees] + [(house.x, house.y) for house in stands.houses])
    corners = np.concatenate([house.outline for house in stands.houses])
    for points, room in ((places + middle(road), 2.0), (corners + middle(road), 2.0)):
        for lane in road.lanes:
            s, d = project(lane.centre, lane.s, points)
            beside = (s > 0.0) & (s < lane.length)
            assert (np.abs(d[beside]) > 0.5 * lane.width.max() + room).all()


def _cut(lane, length: float):  # noqa: ANN001, ANN202
    many = int(np.searchsorted(lane.s, length))
    return dataclasses.replace(lane, left=lane.left[:many], right=lane.right[:many])
