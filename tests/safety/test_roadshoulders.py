"""Beside the lane: shoulders that end, who comes in the lane beside them, and rest inside a lane."""

from __future__ import annotations

import numpy as np
import pytest

from safety.reason import Reason
from safety.roadsight import ALONG, HIGH_D, HIGH_S, LOW_D, REAR
from sim.driving.state import PATH, PATH_BEHIND, PATH_STEP, PathColumn
from tests.safety.roadworld import CAR, RoadWorld
from tests.safety.roadworld import WIDTH as LANE

SHOULDER = 3.0
"""Its width, m"""

ON = -0.5 * (LANE + SHOULDER)
"""d of its middle"""


def beside(v: float, ends: float = np.inf, many: int = 1) -> RoadWorld:
    """An ego on the shoulder of the right lane, which ends so far ahead of base_link."""
    world = RoadWorld(1, many, spec=CAR, noise=0.0)
    world.put(0.0, ON, v)
    see(world, ends)
    return world


def see(world: RoadWorld, ends: float = np.inf) -> None:
    """Write the view, with a shoulder up to a place on the road."""
    world.sense()
    along = world.frenet()[0][:, None] + (np.arange(PATH) - PATH_BEHIND) * PATH_STEP
    right = (world.lane == 0)[:, None] & (along < ends)
    world.seen["path"][:, :, PathColumn.SHOULDER] = np.where(right, SHOULDER, 0.0)


def judged(world: RoadWorld, a: float, k: float = 0.0) -> Reason:
    world.judge(np.array([[a, k]]))
    return Reason(int(world.out.reason.numpy()[0]))


def test_who_is_on_a_shoulder_comes_back_before_it_ends_or_stops_on_it() -> None:
    assert judged(beside(15.0), 0.0) is Reason.NONE
    assert judged(beside(15.0, ends=100.0), 0.0) is Reason.NONE
    # 22 m to stop with what comes before, and no room to steer back within 20 m
    assert judged(beside(13.0, ends=20.0), 0.0) is Reason.LANE_BOUNDARY


@pytest.mark.parametrize("speed", [8.0, 15.0, 22.0])
def test_nobody_who_drives_along_a_shoulder_leaves_the_road_at_its_end(speed: float) -> None:
    world = beside(speed)
    for _ in range(240):
        see(world, ends=120.0)
        world.judge(np.array([[0.5, 0.0]]))
        world.drive()
        s, d, _ = world.frenet()
        off = -float(d[0]) + 0.5 * CAR.width - 0.5 * LANE
        assert s[0] + CAR.length - CAR.car.rear_overhang < 120.0 or off < 0.1
    assert world.frenet()[0][0] > 90.0


def follower(s: float, yaw: float, d: float = 0.0, lateral: float = 0.0) -> RoadWorld:
    """An ego that leaves the shoulder slowly, and one behind it in the lane beside."""
    world = beside(6.0)
    world.yaw[:] = yaw
    o = world.others
    o.kind[:, 0], o.s[:, 0], o.d[:, 0], o.v[:, 0], o.lateral[:, 0] = 1, s, d, 16.0, lateral
    see(world)
    return world


def test_who_comes_in_the_lane_does_not_keep_behind_a_car_on_the_shoulder() -> None:
    # base_link's lane is the path's, and the other is in it behind us, but we are not in its way yet
    assert judged(follower(-20.0, 0.25), 0.5, 0.05) is Reason.REAR
    assert judged(follower(-20.0, 0.35), 0.5, 0.05) is Reason.REAR  # nor with the nose 0.4 m in the lane
    assert judged(follower(-150.0, 0.25), 0.5, 0.05) is Reason.NONE
    # along the shoulder nobody is asked
    assert judged(follower(-20.0, 0.0), 0.0) is Reason.NONE
    # one that has come into that lane from its other side is still moving over
    assert judged(follower(-20.0, 0.25, d=1.2, lateral=-0.6), 0.5, 0.05) is Reason.REAR


def leaving(d: float) -> RoadWorld:
    """An ego that creeps from the shoulder with base_link at d in the lane, and one who comes there, 14 m behind."""
    world = beside(0.3)
    world.y[:], world.yaw[:] = d, 0.3
    o = world.others
    o.kind[:, 0], o.s[:, 0], o.v[:, 0] = 1, -14.0, 12.0
    see(world)
    return world


def test_who_still_reaches_onto_the_shoulder_waits_for_one_who_cannot_stop_behind() -> None:
    assert judged(leaving(-1.6), 0.7) is Reason.REAR
    assert judged(leaving(-0.3), 0.7) is Reason.NONE  # in the lane: the others keep their distance


def coming_over(heading: float) -> RoadWorld:
    """An ego over its left border by 0.5 m, and a narrow vehicle in the lane beside that leads to ours."""
    world = RoadWorld(1, 1, spec=CAR, noise=0.0)
    world.put(0.0, 1.3, 10.0)
    o = world.others
    o.kind[:, 0], o.s[:, 0], o.d[:, 0], o.v[:, 0], o.width[:, 0] = 1, 7.0, LANE, 10.0, 0.8
    lanes = world.atlas.lanes
    lanes.points.numpy()[lanes.first.numpy()[1] :, 2] += heading
    world.sense()
    return world


def test_a_vehicle_on_a_lane_that_comes_to_ours_may_be_anywhere_up_to_it() -> None:
    assert judged(coming_over(0.0), 0.0) is Reason.NONE
    assert judged(coming_over(0.05), 0.0) is Reason.NONE  # it leads away
    assert judged(coming_over(-0.05), 0.0) is Reason.VEHICLE_AHEAD


def lorry(bend: float) -> RoadWorld:
    """An ego in the middle of its lane, and a lorry ahead in the next one, which bends further on."""
    world = RoadWorld(1, 1, spec=CAR, noise=0.0)
    world.put(0.0, 0.0, 15.0)
    o = world.others
    o.kind[:, 0], o.s[:, 0], o.d[:, 0], o.v[:, 0], o.length[:, 0], o.width[:, 0] = 2, 25.0, LANE, 5.0, 12.0, 2.5
    lanes = world.atlas.lanes
    lanes.bend.numpy()[lanes.first.numpy()[1] :] = bend
    world.sense()
    return world


def test_a_long_vehicle_takes_more_than_its_width_where_its_lane_bends() -> None:
    assert judged(lorry(0.0), 0.0) is Reason.NONE
    assert judged(lorry(1 / 15.0), 0.0) is Reason.VEHICLE_AHEAD


@pytest.mark.parametrize("d", [1.3, -1.3])
def test_the_stored_plan_of_who_is_between_two_lanes_leads_into_one_where_that_is_verified(d: float) -> None:
    world = RoadWorld(1, 1, spec=CAR, noise=0.0)
    world.put(0.0, d + 0.5 * LANE * (1.0 - np.sign(d)), 2.0)
    for _ in range(2):
        see(world)
        world.judge(np.array([[0.0, 0.0]]))
        world.drive()
    assert world.memory.plan.numpy()[0, 2] > 2.0  # it holds its pace first
    for _ in range(240):
        see(world)
        world.seen["list_age"][...] = 2.0
        world.judge(np.array([[0.0, 0.0]]))
        world.drive()
    assert world.v[0] == 0.0
    off = world.frenet()[1][0] - world.lane[0] * LANE
    assert abs(off) + 0.5 * CAR.width < 0.5 * LANE + 0.1


def test_who_holds_its_pace_first_would_stand_inside_a_lane_had_it_come_a_third_less_far_across() -> None:
    """Lists stop coming to cars that turn over the border; brakes that are better than promised leave less time."""
    d, v = (each.ravel() for each in np.meshgrid(np.arange(1.3, 1.75, 0.05), np.arange(4.0, 9.0)))
    world = RoadWorld(len(d), 1, spec=CAR, noise=0.0)
    world.put(0.0, d, v)
    world.yaw[:] = 0.1
    see(world)
    world.judge(np.zeros((len(d), 2)))
    assert (world.memory.plan.numpy()[:, 2] >= 1.0).all()
    ways = [d]
    for _ in range(240):
        world.drive()
        ways.append(world.frenet()[1])
        see(world)
        world.seen["list_age"][...] = 2.0
        world.judge(np.zeros((len(d), 2)))
    assert (world.v == 0.0).all()
    way, stands = np.array(ways), ways[-1]
    farthest = way[np.abs(way - stands).argmax(0), np.arange(len(d))]
    off = np.abs(stands + 0.3 * (farthest - stands) - world.lane * LANE)
    assert (off + 0.5 * CAR.width < 0.5 * LANE + 0.1).all()


@pytest.mark.parametrize(("d", "turn"), [(0.5, -0.1), (1.5, -0.17)])
def test_nobody_turns_across_its_lane_further_than_it_can_come_out_of(d: float, turn: float) -> None:
    world = RoadWorld(1, 1, spec=CAR, noise=0.0)
    world.put(0.0, LANE + d, 3.0)
    steepest = 0.0
    for _ in range(100):
        see(world)
        world.judge(np.array([[0.5, turn]]))
        world.drive()
        steepest = min(steepest, float(world.frenet()[2][0]))
    assert -0.85 < steepest < -0.3


def test_wherever_lists_stop_coming_a_car_comes_to_rest_inside_a_lane() -> None:
    many = 60
    rng = np.random.default_rng(3)
    world = RoadWorld(many, 1, spec=CAR, noise=0.0)
    world.put(0.0, rng.uniform(-0.3, LANE + 0.3, many), rng.uniform(2.0, 12.0, many))
    lost = np.arange(many) + 5
    turns = np.zeros(many)
    for k in range(300):
        see(world)
        world.seen["list_age"][...] = np.where(k >= lost, 2.0, 0.0)
        if k % 10 == 0:
            turns = rng.uniform(-0.02, 0.02, many)
        world.judge(np.stack([np.full(many, 0.2), turns], -1))
        world.drive()
    assert (world.v == 0.0).all()
    assert (np.abs(world.frenet()[1] - world.lane * LANE) + 0.5 * CAR.width < 0.5 * LANE + 0.1).all()


@pytest.mark.parametrize("curvature", [-1 / 60.0, -1 / 500.0, 0.0, 1 / 500.0, 1 / 60.0])
@pytest.mark.parametrize("d", [0.0, LANE])
def test_who_is_behind_in_a_bend_is_where_its_lane_is(curvature: float, d: float) -> None:
    for behind in (-20.0, -45.0, -90.0):
        if behind * abs(curvature) < -1.0:
            continue  # further round than that the straight way is half of the way
        world = RoadWorld(1, 1, spec=CAR, noise=0.0, curvature=curvature)
        world.put(0.0, ON, 4.0)
        o = world.others
        o.kind[...], o.s[...], o.d[...], o.v[...] = 1, behind, d, 20.0
        see(world)
        world.judge(np.array([[0.0, curvature]]))
        box = world.memory.objects.numpy()[0, 0]
        assert world.memory.object_mode.numpy()[0, 0] == int(REAR)
        assert box[int(ALONG)] == 1.0
        assert abs(0.5 * (box[int(LOW_D)] + box[int(HIGH_D)]) - d) < 0.1
        assert behind - 1.0 < box[int(HIGH_S)] - 2.5 < behind + 0.1 * abs(behind) + world.middle


def astride(speed: float) -> RoadWorld:
    """An ego that stands in the left lane, a little over its right border and turned to the left; others behind it."""
    world = RoadWorld(1, 2, spec=CAR, noise=0.0)
    world.put(0.0, 0.5 * LANE + 0.2, 0.0)
    world.yaw[:] = 0.2
    o = world.others
    o.kind[...], o.s[...], o.d[...], o.v[...] = 1, -5.0, np.array([[LANE, 0.0]]), np.array([[0.0, speed]])
    see(world)
    return world


def test_who_waits_behind_a_car_that_stands_between_two_lanes_lets_it_out() -> None:
    assert judged(astride(0.0), 2.0, 0.05) is Reason.NONE
    assert judged(astride(3.0), 2.0, 0.05) is Reason.REAR


@pytest.mark.parametrize(("braking", "holds"), [(0.0, True), (4.0, False)])
def test_a_pace_that_braking_takes_away_is_no_way_into_a_lane(braking: float, holds: bool) -> None:
    world = RoadWorld(1, 1, spec=CAR, noise=0.0)
    world.put(0.0, 0.5 * LANE + 0.1, 1.5)
    world.released[:, 0], world.a[:] = -braking, -braking
    for _ in range(2):
        see(world)
        world.judge(np.array([[-braking, 0.0]]))
    assert bool(world.memory.plan.numpy()[0, 2] > 0.0) is holds
