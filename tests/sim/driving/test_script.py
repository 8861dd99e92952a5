"""Scripted actors: what actions do against closed forms, when triggers fire, who keeps the profile."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import warp as wp

from sim.actors import ActorKind
from sim.device import start_warp
from sim.driving.families import (
    LANE,
    blocked_lane,
    crossing_pedestrian,
    cut_in,
    cut_out,
    decelerating_lead,
    scenario_road,
)
from sim.driving.profile import RoadProfile
from sim.driving.scenario import (
    LATERAL_ACCEL,
    SIZES,
    Action,
    EgoStart,
    Event,
    Parameter,
    Placement,
    Scenario,
    ScenarioError,
    Trigger,
    When,
    brake,
    grid,
    move_across,
    reach_speed,
    sample,
    walk_across,
)
from sim.driving.script import Runs, ScenarioPlayer, runs_on, scenario_atlas
from sim.driving.state import make_actors, make_footing
from sim.frenet import lane_arrays, middle
from sim.road import Road
from tests.sim.driving.scriptedworld import EGO_LENGTH, ScriptedWorld, idm

CAR = SIZES[ActorKind.CAR][0]
NOTHING = np.zeros((1, 1))
"""The row of a scenario whose one parameter nothing depends on."""


def one(
    action: Action | None = None,
    trigger: Trigger | None = None,
    *,
    gap: float = 30.0,
    speed: float = 15.0,
    ego: float = 15.0,
    lane: float = 0.0,
    kind: ActorKind = ActorKind.CAR,
    offset: float = 0.0,
    road: Road | None = None,
    more: tuple[Event, ...] = (),
) -> Scenario:
    """One actor, one event."""
    events = () if action is None else (Event(0, trigger or Trigger(When.TIME, 1.0), action),)
    return Scenario(
        "one", road or scenario_road(), EgoStart(1, 100.0, ego), (Placement(kind, gap, speed, lane, offset),),
        (*events, *more), (Parameter("nothing", 0.0, 1.0, "1", "test", (0.0,)),), 10.0,
    )  # fmt: skip


@pytest.mark.parametrize("radius", [math.inf, 300.0, -300.0])
def test_actors_begin_where_the_scenario_places_them(radius: float) -> None:
    for lane, gap in ((0.0, 30.0), (1.0, 12.0), (-1.0, 60.0), (0.0, -25.0)):
        world = ScriptedWorld(one(gap=gap, lane=lane, road=scenario_road(radius)), NOTHING)
        if not math.isinf(radius):  # from within the bend
            world.s[:] = 420.0
            world.write(np.zeros(1))
            world.begin(world.mask)
        assert world.player.played.missing.numpy()[0] == 0
        assert world.actors.lane.numpy()[0, 1] == 1 - lane
        own = world.road.lanes[1]
        s = float(world.s[0]) + gap + math.copysign(0.5 * (EGO_LENGTH + CAR), gap)
        heading = np.interp(s, own.s, own.heading)
        expected = own.at(s) + lane * LANE * np.array([-np.sin(heading), np.cos(heading)])
        found = world.actors.pose.numpy()[0, 1]
        assert found[:2] + middle(world.road) == pytest.approx(expected, abs=0.02)
        assert found[2] == pytest.approx(heading, abs=0.01)
        assert world.player.played.ahead.numpy()[0, 0] == pytest.approx([s - world.s[0], lane * LANE], abs=0.05)


def test_a_missing_lane_leaves_the_slot_empty() -> None:
    world = ScriptedWorld(one(lane=2.0), NOTHING)
    assert world.player.played.missing.numpy()[0] == 1
    world.run(0.5)
    assert world.actors.kind.numpy()[0, 1] == -1


def test_an_actor_at_the_end_of_the_road_is_gone() -> None:
    world = ScriptedWorld(one(gap=1880.0, speed=20.0), NOTHING)
    assert world.actors.kind.numpy()[0, 1] == int(ActorKind.CAR)
    world.run(1.5)
    assert world.actors.kind.numpy()[0, 1] == world.actors.lane.numpy()[0, 1] == -1


@pytest.mark.parametrize(("target", "rate"), [(25.0, 2.0), (4.0, 3.0), (0.0, 6.0), (15.0, 1.0)])
def test_speeds_are_reached_at_a_constant_rate(target: float, rate: float) -> None:
    """v(t) and s(t) of uniform acceleration from the trigger at 1 s on."""
    world = ScriptedWorld(one(reach_speed(target, rate)), NOTHING)
    begin = float(world.actors.place.numpy()[0, 1, 0])
    found = world.run(8.0)
    t = np.maximum(found["time"] - 1.0, 0.0)
    turn = abs(target - 15.0) / rate
    sign = np.sign(target - 15.0)
    speed = 15.0 + sign * rate * np.minimum(t, turn)
    way = 15.0 * np.minimum(found["time"], 1.0)
    way += np.where(t < turn, 15.0 * t + 0.5 * sign * rate * t**2, 0.5 * (15.0 + target) * turn + target * (t - turn))
    assert found["motion"][:, 0, 0, 0] == pytest.approx(speed, abs=1e-3)
    assert found["place"][:, 0, 0, 0] - begin == pytest.approx(way, abs=0.02)
    during = (t > 0.1) & (t < turn - 0.1)
    assert found["motion"][during, 0, 0, 1] == pytest.approx(sign * rate)


def test_brakes_stop_within_v_squared_over_twice_the_brake() -> None:
    world = ScriptedWorld(one(brake(7.0), Trigger(When.TIME, 0.0), speed=30.0), NOTHING)
    begin = float(world.actors.place.numpy()[0, 1, 0])
    found = world.run(6.0)
    assert found["motion"][-1, 0, 0, 0] == 0.0
    assert found["place"][-1, 0, 0, 0] - begin == pytest.approx(30.0**2 / 14.0, abs=0.01)


@pytest.mark.parametrize(("distance", "speed", "accel"), [(3.5, 1.2, LATERAL_ACCEL), (-3.5, 1.8, 1.0), (1.0, 3.0, 2.0)])
def test_moves_across_are_trapezoids(distance: float, speed: float, accel: float) -> None:
    """Of peak min(speed, sqrt(accel distance)), over distance / peak + peak / accel seconds, ending exactly."""
    world = ScriptedWorld(one(move_across(distance, speed, accel), Trigger(When.TIME, 0.0)), NOTHING)
    before = world.actors.pose.numpy()[0, 1, 1]
    found = world.run(8.0)
    across = found["pose"][:, 0, 0, 1] - before
    assert across[-1] == pytest.approx(distance, abs=1e-3)
    peak = min(speed, math.sqrt(accel * abs(distance)))
    assert np.abs(found["place"][:, 0, 0, 2]).max() == pytest.approx(peak, abs=0.03)
    takes = abs(distance) / peak + peak / accel
    assert found["time"][np.abs(across - distance) < 1e-3][0] == pytest.approx(takes, abs=0.11)
    assert found["lane"][-1, 0, 0] == (1 if abs(distance) < 1.75 else 0 if distance > 0 else 2)
    assert found["place"][-1, 0, 0, 1] == pytest.approx(distance if abs(distance) < 1.75 else 0.0, abs=0.01)
    yaw = np.arctan2(found["place"][:, 0, 0, 2], 15.0)
    assert found["pose"][:, 0, 0, 2] == pytest.approx(yaw, abs=0.01)
    assert found["pose"][-1, 0, 0, 0] - found["pose"][0, 0, 0, 0] == pytest.approx(15.0 * 7.95, abs=0.05)


def test_moves_across_at_once_where_asked() -> None:
    world = ScriptedWorld(one(move_across(3.5, 1.4, math.inf), Trigger(When.TIME, 0.0)), NOTHING)
    before = world.actors.pose.numpy()[0, 1, 1]
    found = world.run(4.0)
    assert found["pose"][:, 0, 0, 1] - before == pytest.approx(np.minimum(1.4 * found["time"], 3.5), abs=1e-3)


def test_a_vehicle_moves_across_no_faster_than_along() -> None:
    world = ScriptedWorld(one(move_across(3.5, 3.0), Trigger(When.TIME, 0.0), speed=0.5), NOTHING)
    assert np.abs(world.run(5.0)["place"][:, 0, 0, 2]).max() == pytest.approx(0.5)
    world = ScriptedWorld(one(move_across(3.5, 3.0), Trigger(When.TIME, 0.0), speed=0.0), NOTHING)
    assert np.abs(world.run(2.0)["place"][:, 0, 0, 2]).max() == 0.0


def test_walkers_cross_the_road_and_stand() -> None:
    scenario = one(
        walk_across(8.0, 1.25), Trigger(When.TIME, 1.0), speed=0.0, kind=ActorKind.PEDESTRIAN, offset=-5.0, lane=-1.0
    )
    world = ScriptedWorld(scenario, NOTHING)
    begin = world.actors.pose.numpy()[0, 1].copy()
    found = world.run(9.0)
    way = np.clip(1.25 * (found["time"] - 1.0), 0.0, 8.0)
    assert found["pose"][:, 0, 0, 1] - begin[1] == pytest.approx(way, abs=1e-3)
    assert found["pose"][:, 0, 0, 0] == pytest.approx(begin[0], abs=1e-3)
    assert found["pose"][:, 0, 0, 2] == pytest.approx(0.5 * math.pi, abs=1e-3)
    lanes = found["lane"][:, 0, 0]
    assert lanes[0] == -1, "it begins beside the shoulder"
    assert [lane for lane, before in zip(lanes[1:], lanes[:-1], strict=True) if lane != before] == [3, 2, 1]
    assert found["violates"].sum() == 0


def test_bends_keep_speed_and_offset() -> None:
    """On the inner side of a bend s passes faster than the way: ds = v dt / (1 - k d)."""
    road = scenario_road(300.0)
    world = ScriptedWorld(one(offset=1.0, gap=330.0, road=road), NOTHING)
    begin = float(world.actors.place.numpy()[0, 1, 0])
    found = world.run(6.0)
    assert found["place"][:, 0, 0, 1] == pytest.approx(1.0, abs=1e-3)
    radius = 1.0 / road.lanes[1].curvature[1000]
    assert found["place"][-1, 0, 0, 0] - begin == pytest.approx(90.0 * radius / (radius - 1.0), abs=0.1)
    steps = np.hypot(*np.diff(found["pose"][:, 0, 0, :2], axis=0).T)
    assert steps == pytest.approx(0.75, abs=2e-3)
    assert found["motion"][5:, 0, 0, 2] == pytest.approx(15.0 / (radius - 1.0), rel=0.05)


@pytest.mark.parametrize(
    ("trigger", "speed", "when"),
    [
        (Trigger(When.TIME, 1.23), 15.0, 1.23),
        (Trigger(When.GAP, 19.9), 10.0, (30.0 - 19.9) / 5.0),
        (Trigger(When.TTC, 3.98), 10.0, (30.0 - 3.98 * 5.0) / 5.0),
        (Trigger(When.DRIVEN, 37.0), 10.0, 37.0 / 15.0),
        (Trigger(When.TTC, 4.0), 16.0, math.inf),
    ],
)
def test_triggers_fire_once_and_at_the_first_decision_at_which_they_hold(
    trigger: Trigger, speed: float, when: float
) -> None:
    world = ScriptedWorld(one(move_across(0.5, 0.5), trigger, speed=speed), NOTHING)
    fired = []
    for _ in range(160):
        world.step()
        fired.append(int(world.player.played.fired.numpy()[0, 0]))
    happened = [tick for tick in fired if tick >= 0]
    if math.isinf(when):
        assert not happened
    else:
        assert set(happened) == {math.ceil(when / 0.05 - 0.02)}
        across = world.actors.pose.numpy()[0, 1, 1] - world.actors.pose.numpy()[0, 0, 1]
        assert across == pytest.approx(0.5, abs=2e-3), "moved across once, not twice"


def test_events_follow_events() -> None:
    first = reach_speed(20.0, 5.0)
    later = Event(0, Trigger(When.TIME, 2.0, after=0), brake(5.0))
    world = ScriptedWorld(one(first, Trigger(When.DRIVEN, 15.0), more=(later,)), NOTHING)
    world.run(4.0)
    fired = world.player.played.fired.numpy()[0]
    assert fired.tolist() == [20, 60]


def test_gaps_to_other_actors_count_too() -> None:
    """The vehicle ahead moves over 3 s before it would hit the one that stands."""
    rows = grid(cut_out(60.0).fixed(ego=60 / 3.6, headway=1.6, lateral=2.0, ttc=3.0, side=1.0))
    world = ScriptedWorld(cut_out(60.0), rows)
    found = world.run(8.0)
    fired = world.player.played.fired.numpy()[0, 0]
    assert fired * 0.05 == pytest.approx(2.0, abs=0.051), "it settles for 2 s first"
    apart = found["pose"][:, 0, 0, :2] - found["pose"][:, 0, 1, :2]
    touching = (np.abs(apart[:, 0]) < CAR) & (np.abs(apart[:, 1]) < SIZES[ActorKind.CAR][1])
    assert not touching.any(), "the one that cuts out gets past"


@pytest.mark.parametrize("family", [cut_in, cut_out, decelerating_lead, crossing_pedestrian, blocked_lane])
@pytest.mark.parametrize("radius", [math.inf, -300.0])
def test_families_play_as_they_are_drawn(family: Callable[..., Scenario], radius: float) -> None:
    """Every actor is there, triggers fire as the ego comes, nobody jumps, whoever follows by IDM follows."""
    scenario = family(60.0, radius)
    rows = sample(scenario, 3, 24)
    world = ScriptedWorld(scenario, rows)
    assert world.player.played.missing.numpy().sum() == 0
    found = world.run(12.0)
    steps = np.hypot(*np.moveaxis(np.diff(found["pose"][..., :2], axis=0), -1, 0))
    there = found["kind"][1:] >= 0
    assert steps[there].max() < 0.05 * (60 / 3.6 + 5.0)
    fired = world.player.played.fired.numpy()
    if scenario.events:
        assert (fired[:, 0] >= 0).mean() > 0.9


def test_a_cut_in_ends_in_the_egos_lane() -> None:
    scenario = cut_in(60.0)
    rows = grid(scenario.fixed(ego=50 / 3.6, closing=20 / 3.6, gap=20.0, lateral=1.5, accel=1.5))
    world = ScriptedWorld(scenario, rows, driver=idm)
    assert world.actors.lane.numpy()[:, 1].tolist() == [2, 0]
    found = world.run(12.0)
    assert (found["lane"][-1] == 1).all()
    assert found["place"][-1, :, 0, 1] == pytest.approx(0.0, abs=0.01)
    assert found["motion"][-1, :, 0, 0] == pytest.approx(50 / 3.6, abs=0.01)
    fired = world.player.played.fired.numpy()[:, 0] * 0.05
    assert fired == pytest.approx(2.0, abs=0.4), "the gap has closed to 20 m, the ego having held back a little"


@pytest.mark.parametrize(
    ("action", "speed", "broken"),
    [
        (brake(8.0), 15.0, False),
        (brake(8.5), 15.0, True),
        (reach_speed(20.0, 3.4), 15.0, False),
        (reach_speed(20.0, 4.0), 15.0, True),
        (reach_speed(1.19 * 130 / 3.6, 3.0), 36.0, False),
        (reach_speed(1.25 * 130 / 3.6, 3.0), 36.0, True),
        (move_across(-3.5, 1.7), 15.0, False),
        (move_across(-3.5, 2.2), 15.0, True),
    ],
)
def test_what_breaks_the_profile_is_marked(action: Action, speed: float, broken: bool) -> None:
    """All of it happens 300 m ahead, so that nothing is a cut-in."""
    world = ScriptedWorld(one(action, speed=speed, gap=300.0, ego=10.0), NOTHING)
    found = world.run(8.0)
    assert bool(found["violates"].any()) == broken
    assert not found["violates"][:20].any(), "not before it happens"


def test_walkers_and_cyclists_have_bounds_of_their_own() -> None:
    for kind, speed, broken in (
        (ActorKind.PEDESTRIAN, 1.5, False),
        (ActorKind.PEDESTRIAN, 1.8, True),
    ):
        scenario = one(walk_across(8.0, speed), speed=0.0, kind=kind, offset=-5.0)
        assert bool(ScriptedWorld(scenario, NOTHING).run(4.0)["violates"].any()) == broken
    for speed, broken in ((8.0, False), (9.0, True)):
        scenario = one(speed=speed, kind=ActorKind.BICYCLE)
        assert bool(ScriptedWorld(scenario, NOTHING).run(1.0)["violates"].any()) == broken


def test_a_cut_in_needs_the_distance_that_its_follower_stops_within() -> None:
    """Ego 20 m/s, vehicle 10 m/s: 20 * 0.35 + 400 / 12 - 100 / 16 = 34.1 m when the box enters the lane."""
    needed = 20.0 * 0.35 + 20.0**2 / 12.0 - 10.0**2 / 16.0
    # From standing still beside to 0.3 m over the border: 3.5 m less 1.75 m and half of the turned box, and 0.3 m more.
    length, width = SIZES[ActorKind.CAR]
    turn = math.atan2(1.5, 10.0)
    way = 3.5 - 1.75 - 0.5 * (length * math.sin(turn) + width * math.cos(turn)) + 0.3
    takes = 1.5 / LATERAL_ACCEL + (way - 1.5**2 / (2.0 * LATERAL_ACCEL)) / 1.5
    for more, broken in ((2.0, False), (-2.0, True)):
        gap = needed + more + 10.0 * takes
        scenario = one(move_across(-3.5, 1.5), Trigger(When.GAP, gap), gap=gap + 10.0, speed=10.0, ego=20.0, lane=1.0)
        world = ScriptedWorld(scenario, NOTHING)
        found = world.run(4.0)
        assert bool(found["violates"].any()) == broken, more
        if broken:
            first = int(found["violates"][:, 0, 0].argmax())
            assert first * 0.05 == pytest.approx(1.0 + takes, abs=0.16)
    # It counts for as long as the ego needs to stop: 1 s, then 20 m/s at 4 m/s^2.
    world = ScriptedWorld(scenario, NOTHING)
    assert world.run(12.0)["violates"].sum() * 0.05 == pytest.approx(1.0 + 20.0 / 4.0, abs=0.06)


def test_who_cuts_in_slowly_enters_with_the_nose() -> None:
    """At 2.8 m/s and 1.5 m/s across a box is turned by 28 degrees: its corner is in the lane 0.6 s before its side is.

    That is when the judge of contacts has it there: an ego at 30.6 m/s that meets the corner 21 m on is not to blame.
    """
    scenario = one(move_across(-3.5, 1.5), Trigger(When.GAP, 21.0), gap=76.5, speed=2.78, ego=30.56, lane=1.0)
    found = ScriptedWorld(scenario, NOTHING).run(3.0)
    first = int(found["violates"][:, 0, 0].argmax())
    assert found["violates"][first, 0, 0]
    length, width = SIZES[ActorKind.CAR]
    pose = found["pose"][first - 1, 0, 0]
    corner = pose[1] - 0.5 * (length * math.sin(-pose[2]) + width * math.cos(pose[2]))
    border = found["pose"][0, 0, 0, 1] - 0.5 * LANE
    assert corner - border == pytest.approx(-0.3, abs=0.1)


def test_moving_in_behind_the_ego_needs_the_same() -> None:
    """The one behind is then the vehicle: 20 m/s behind 10 m/s needs 34.1 m."""
    for gap, broken in ((-70.0, False), (-42.0, True)):
        scenario = one(move_across(-3.5, 1.5), Trigger(When.TIME, 0.0), gap=gap, speed=20.0, ego=10.0, lane=1.0)
        world = ScriptedWorld(scenario, NOTHING)
        assert bool(world.run(2.0)["violates"].any()) == broken


def test_the_profile_may_be_another() -> None:
    strict = ScriptedWorld(one(brake(3.0)), NOTHING, profile=RoadProfile(brake=2.0))
    assert strict.run(3.0)["violates"].any()


def test_worlds_are_the_same_however_many_there_are() -> None:
    scenario = cut_in(60.0)
    rows = sample(scenario, 9, 12)
    many = ScriptedWorld(scenario, rows, driver=idm).run(4.0)
    few = ScriptedWorld(scenario, rows, worlds=5, driver=idm).run(4.0)
    for name in ("pose", "motion", "place", "violates"):
        assert (many[name][:, :5] == few[name]).all()


def test_rows_are_drawn_by_episode_and_loaded_anew() -> None:
    start_warp()
    scenario = blocked_lane(60.0)
    rows = grid(scenario)
    lanes = lane_arrays(scenario.road)
    found = []
    for worlds in (8, 3):
        player = ScenarioPlayer([Runs(scenario, rows)], lanes, make_actors(worlds, 3, "cpu"), seed=5, pick="draw")
        mask, episode = wp.full(worlds, 1, dtype=wp.uint8), wp.full(worlds, 2, dtype=wp.int32)
        player.choose(mask, episode).launch()
        found.append(player.played.row.numpy().copy())
    assert (found[0][:3] == found[1]).all()
    assert len(set(found[0].tolist())) > 4
    other = rows[::-1].copy()
    player.load([Runs(scenario, other)])
    assert player.row_of(0)[1]["distance"] == pytest.approx(rows[-1, 2])
    assert player.script.ego.numpy()[0, 1] == pytest.approx(rows[-1, 0], rel=1e-6)
    with pytest.raises(ScenarioError, match="as many rows, actors and events as before"):
        player.load([Runs(scenario, rows[:-1])])
    with pytest.raises(ScenarioError, match="expected 2 slots for 1 egos and 1 actors of a scenario, got 1"):
        ScenarioPlayer([Runs(scenario, rows)], lanes, make_actors(1, 1, "cpu"))
    with pytest.raises(ScenarioError, match="expected rows from 0 to 339"):
        player.play(np.array([340, 0, 0]))


def test_scenarios_of_several_families_play_side_by_side() -> None:
    start_warp()
    families = [cut_out(60.0), crossing_pedestrian(60.0), blocked_lane(60.0)]
    atlas = scenario_atlas(families)
    runs = [runs_on(atlas, number, each, sample(each, 1, 2)) for number, each in enumerate(families)]
    actors = make_actors(6, 4, "cpu")
    player = ScenarioPlayer(runs, atlas.lanes, actors)
    assert player.rows == 6
    mask, footing = wp.array(np.array([1, 1, 1, 1, 1, 0], np.uint8)), make_footing(6, "cpu")
    pose, speed, road = wp.zeros((6, 3)), wp.zeros(6), wp.zeros(6, dtype=wp.int32)
    asked = player.start(mask, routes=atlas.routes, pose=pose, speed=speed, road=road, footing=footing, middle=1.4)
    asked.launch()
    assert footing.left.numpy()[:5] == pytest.approx(2000.0 - 150.0 - 98.6)
    assert footing.lane.numpy()[:5].tolist() == [1, 1, 6, 6, 9]
    assert footing.route.numpy()[:5].tolist() == road.numpy()[:5].tolist() == [0, 0, 1, 1, 2]
    assert footing.place.numpy()[:5, 0] == pytest.approx(98.6)
    assert pose.numpy()[2, 0] == pytest.approx(98.6 - 1000.0), "about the middle of 2 km"
    assert speed.numpy()[4] == pytest.approx(player.row_of(4)[1]["ego"])
    assert speed.numpy()[5] == 0.0, "not masked"
    actors.lane.numpy()[:, 0] = player.script.where.numpy()[:, 0]
    actors.place.numpy()[:, 0, 0] = 100.0
    actors.size.numpy()[:, 0] = 4.8, 1.9
    player.begin(wp.full(6, 1, dtype=wp.uint8)).launch()
    kinds = actors.kind.numpy()[:, 1:]
    assert kinds[:, :2].tolist() == [[1, 1], [1, 1], [5, -1], [5, -1], [1, -1], [1, -1]]
    assert player.row_of(3)[0].name == "crossing_pedestrian"


def test_only_masked_worlds_begin_again() -> None:
    world = ScriptedWorld(one(), np.zeros((2, 1)))
    world.run(1.0)
    before = world.actors.pose.numpy()[:, 1].copy()
    world.begin(wp.array(np.array([0, 1], np.uint8)))
    after = world.actors.pose.numpy()[:, 1]
    assert (after[0] == before[0]).all()
    assert world.player.played.ticks.numpy().tolist() == [20, 0]


def test_events_that_name_nobody_are_refused() -> None:
    start_warp()
    scenario = one(brake(3.0), Trigger(When.GAP, 3.0, to=4))
    with pytest.raises(ScenarioError, match="event 0: expected an actor of the 1 that there are"):
        ScenarioPlayer([Runs(scenario, NOTHING)], lane_arrays(scenario.road), make_actors(1, 3, "cpu"))


@pytest.mark.gpu
def test_a_cuda_device_plays_the_same() -> None:
    """Before an ego that is told to drive and never does, so that only the players move."""
    start_warp()
    scenario = cut_in(60.0, -300.0)
    rows = sample(scenario, 5, 32)
    found = []
    for device in ("cpu", "cuda:0"):
        actors = make_actors(32, 2, device)
        player = ScenarioPlayer([Runs(scenario, rows)], lane_arrays(scenario.road, device), actors)
        for name, value in (("kind", 1), ("lane", 1), ("place", (100.0, 0.0, 0.0)), ("size", (4.8, 1.9))):
            array = getattr(actors, name)
            values = array.numpy().copy()
            values[:, 0] = value
            array.assign(values)
        motion = actors.motion.numpy().copy()
        motion[:, 0, 0] = rows[:, 0]
        actors.motion.assign(motion)
        player.begin(wp.full(32, 1, dtype=wp.uint8, device=device)).launch()
        for _ in range(160):
            player.decide.launch()
            for _ in range(5):
                player.move.launch()
        found.append({name: getattr(actors, name).numpy() for name in ("pose", "motion", "place", "lane", "violates")})
    for name, values in found[0].items():
        assert values == pytest.approx(found[1][name], abs=2e-3), name
