"""Traffic: bounds, gaps, junctions, changes of lane, and worlds that do not depend on each other."""

from __future__ import annotations

import math

import numpy as np
import pytest
import warp as wp

from safety.rss import Rules as RssRules
from safety.rss import following
from sim.device import start_warp
from sim.driving.atlas import Atlas
from sim.driving.following import Rules, rss_gap, safe_accel
from sim.driving.profile import RoadProfile
from sim.driving.state import make_actors
from sim.driving.traffic import TrafficConfig, traffic_rows
from sim.road import STEP, ConflictKind, Lane, Road
from sim.roadconflicts import find_conflicts
from sim.roadgen import generate_highway, generate_rural, generate_town
from sim.vary import Table
from tests.sim.driving.trafficrules import Watch, contacts, make_site, put, sharing

start_warp()
TOWN = Atlas([generate_town(1, columns=3, rows=2), generate_town(2, columns=2, rows=3)], routes=8)
HIGHWAY = Atlas([generate_highway(0), generate_highway(2)], routes=8)
RURAL = Atlas([generate_rural(1), generate_rural(4)], routes=8)
ANYWHERE = TrafficConfig(vehicles=20, reach=math.inf, hidden=0.0)
PROFILE = RoadProfile()


def check(watch: Watch) -> None:
    """Everybody kept the profile, a lane and a distance."""
    assert not watch.contacts
    assert not watch.sharing
    assert watch.off == 0
    assert watch.accel[0] >= -PROFILE.brake - 1e-3
    assert watch.accel[1] <= PROFILE.accel + 1e-3
    assert watch.keeping <= PROFILE.wander + 1e-3
    assert watch.across <= PROFILE.lateral + 1e-3
    assert watch.changing <= PROFILE.lateral_change + 1e-3
    assert watch.share <= PROFILE.over_limit
    assert watch.jump < 0.05
    assert watch.turn <= 0.06


@pytest.mark.parametrize("atlas", [TOWN, HIGHWAY, RURAL], ids=["town", "highway", "rural"])
def test_traffic_keeps_its_bounds(atlas: Atlas) -> None:
    watch = Watch(make_site(atlas, 6, ANYWHERE, egos=0)).run(500)
    assert watch.steps > 40_000
    check(watch)
    if atlas is HIGHWAY:
        assert watch.changes > 5


@pytest.mark.slow
@pytest.mark.parametrize("atlas", [TOWN, HIGHWAY, RURAL], ids=["town", "highway", "rural"])
def test_a_million_steps_of_actors_keep_the_bounds(atlas: Atlas) -> None:
    watch = Watch(make_site(atlas, 24, TrafficConfig(vehicles=30, reach=math.inf, hidden=0.0), egos=0, seed=9))
    check(watch.run(1500, often=10))
    assert watch.steps > 1_000_000


def test_traffic_keeps_its_bounds_around_egos_that_stand() -> None:
    watch = Watch(make_site(HIGHWAY, 6, TrafficConfig(vehicles=20)), PROFILE).run(200)
    check(watch)


def test_what_is_checked_would_be_found() -> None:
    """Two vehicles in one place, and two on ground that their lanes share, are reported."""
    actors = make_actors(1, 3, "cpu")
    road, first = TOWN.roads[0], int(TOWN.first[0])
    conflict = next(each for each in find_conflicts(road) if each.kind == 0)
    put(TOWN, actors, 0, 0, first + conflict.lane, 0.5 * (conflict.begin + conflict.end), 0.0)
    put(TOWN, actors, 0, 1, first + conflict.other, 0.5 * (conflict.other_begin + conflict.other_end), 0.0)
    assert sharing(TOWN, actors, slice(0, 3)) == [(0, 0, 1)]
    put(TOWN, actors, 0, 2, first + conflict.lane, 0.5 * (conflict.begin + conflict.end) + 4.4, 0.0)
    assert (0, 0, 2) in contacts(actors)
    put(TOWN, actors, 0, 2, first + conflict.lane, 0.5 * (conflict.begin + conflict.end) + 30.0, 0.0)
    assert (0, 0, 2) not in contacts(actors)


@pytest.mark.slow
def test_towns_never_come_to_a_halt() -> None:
    """Ten minutes of crowded towns: vehicles drive on in every half minute of every world, nobody waits for ever."""
    site = make_site(TOWN, 6, TrafficConfig(vehicles=36, reach=math.inf), egos=0)
    driven, movers = [], site.traffic.movers
    for _ in range(20):
        before = movers.driven.numpy().copy()
        site.step(600)
        driven.append((movers.driven.numpy() - before)[:, 1:].mean(axis=1))
        assert movers.stood.numpy().max() * 0.05 < 90.0
    assert np.min(driven) > 60.0, "m in 30 s, in the slowest half minute of any world"


def test_a_vehicle_lets_another_go_first_and_then_goes() -> None:
    """Two that come to one junction at the same time, by lanes that cross: one waits, both leave."""
    atlas = Atlas([generate_town(1)], routes=1)
    road, first = atlas.roads[0], 0
    straight = [
        each
        for each in find_conflicts(road)
        if each.kind == 0 and max(np.abs(road.lanes[k].curvature).max() for k in (each.lane, each.other)) < 0.02
    ]
    conflict = min(straight, key=lambda each: abs(each.begin - each.other_begin))
    site = make_site(atlas, 1, TrafficConfig(vehicles=2, reach=math.inf), egos=0)
    movers = site.traffic.movers
    for slot, lane in ((1, conflict.lane), (2, conflict.other)):
        before = road.lanes[lane].predecessors[0]
        put(atlas, site.actors, 0, slot, first + before, road.lanes[before].length - 45.0, 9.0)
        movers.manner.numpy()[0, slot] = [1.0, 1.2, 1.5, 2.0, 0.0, 0.2, 9.0, 0.0, 0.0]
        movers.claim.numpy()[0, slot] = -1
        while site.traffic.map.onward.numpy()[first + before, _chosen(site, slot, first + before)] != first + lane:
            movers.key.numpy()[0, slot] += 1
    slowest, passed = np.full(3, 9.0), set()
    for _ in range(500):
        site.step()
        lane = site.actors.lane.numpy()[0]
        assert not sharing(atlas, site.actors, slice(1, 3))
        slowest = np.minimum(slowest, site.actors.motion.numpy()[0, :, 0])
        passed |= {slot for slot, own in ((1, conflict.lane), (2, conflict.other)) if lane[slot] == first + own}
    assert passed == {1, 2}
    assert slowest[1:].min() < 3.0 < slowest[1:].max()


def _chosen(site, slot: int, lane: int) -> int:  # noqa: ANN001 the site of this module
    """Which way on a driver takes, worked out again."""
    bits = (int(site.traffic.movers.key.numpy()[0, slot]) & 0xFFFFFFFF) ^ (lane * 2654435761 & 0xFFFFFFFF)
    bits = ((bits ^ (bits >> 15)) * 739982445) & 0xFFFFFFFF
    bits = ((bits ^ (bits >> 12)) * 695872825) & 0xFFFFFFFF
    return (bits >> 16) % int(site.traffic.map.many.numpy()[lane])


def two_lanes(length: float = 1500.0, *, change: bool = True) -> Atlas:
    x = np.arange(0.0, length + STEP, STEP)
    borders = [np.stack([x, np.full_like(x, y)], axis=-1) for y in (3.5, 0.0, -3.5)]
    lanes = (
        Lane("left", borders[0], borders[1], 33.0, right_neighbour=1, may_change_right=change),
        Lane("right", borders[1], borders[2], 33.0, left_neighbour=0, may_change_left=change),
    )
    return Atlas([Road("straight", lanes)], routes=2)


def place(site, slot: int, lane: int, s: float, speed: float, top: float = 40.0) -> None:  # noqa: ANN001 as above
    put(site.atlas, site.actors, 0, slot, lane, s, speed)
    site.traffic.movers.manner.numpy()[0, slot] = [1.0, 1.2, 1.5, 2.0, 0.0, 0.2, top, 0.0, 0.0]


@pytest.mark.parametrize(("behind", "changes"), [(120.0, False), (300.0, True), (None, True)])
def test_lanes_are_changed_only_with_the_distance_of_rss_behind(behind: float | None, changes: bool) -> None:
    """One that could overtake a slow one waits while somebody fast comes from behind in the other lane."""
    site = make_site(two_lanes(), 1, TrafficConfig(vehicles=3, reach=math.inf), egos=0)
    place(site, 1, 1, 500.0, 20.0)
    place(site, 2, 1, 540.0, 12.0, top=12.0)
    site.actors.kind.numpy()[0, 3] = -1
    site.traffic.movers.present.numpy()[0] = 0
    if behind is not None:
        place(site, 3, 0, 500.0 - behind + 4.5, 33.0)
        rule = RssRules(reaction=PROFILE.reaction, accel=PROFILE.accel, brake=PROFILE.brake_least, speed=33.0 * 1.2)
        needed = following(33.0, 20.0, rule, RssRules(brake_hardest=PROFILE.brake))
        assert (behind > needed) == changes
    site.step(25)
    assert (site.traffic.movers.side.numpy()[0, 1] == 1) == changes


@pytest.mark.parametrize("gap", [8.0, 25.0, 60.0])
def test_a_vehicle_stops_behind_one_that_brakes_as_hard_as_it_may(gap: float) -> None:
    road = two_lanes(change=False)
    site = make_site(road, 1, TrafficConfig(vehicles=1, reach=math.inf), egos=1, speed=20.0)
    for slot, s in ((0, 600.0), (1, 600.0 - 4.5 - gap)):
        place(site, slot, 1, s, 20.0)
    speed, s = 20.0, 600.0
    for _ in range(200):
        speed = max(speed - 8.0 * 0.05, 0.0)
        s += speed * 0.05
        put(site.atlas, site.actors, 0, 0, 1, s, speed)
        site.step()
        assert not contacts(site.actors)
        assert site.actors.motion.numpy()[0, 1, 1] >= -PROFILE.brake - 1e-3
    assert site.actors.motion.numpy()[0, 1, 0] < 0.1


@pytest.mark.parametrize("d", [-0.35, 0.35])
def test_a_lorry_that_brakes_to_a_stand_does_not_turn_on_the_spot(d: float) -> None:
    """It steers back to the middle of its lane while somebody right before it brakes as hard as he may."""
    site = make_site(two_lanes(change=False), 1, TrafficConfig(vehicles=1, reach=math.inf), egos=1, speed=8.0)
    place(site, 1, 1, 600.0, 8.0)
    pose, size = site.actors.pose.numpy(), site.actors.size.numpy()
    size[0, 1], pose[0, 1, 1] = (16.0, 2.5), pose[0, 1, 1] + d
    site.actors.place.numpy()[0, 1, 1] = d
    speed, s, turned = 8.0, 600.0 + 0.5 * (4.5 + 16.0) + 8.0, 0.0
    for _ in range(80):
        speed = max(speed - 8.0 * 0.05, 0.0)
        s += speed * 0.05
        put(site.atlas, site.actors, 0, 0, 1, s, speed)
        before = pose[0, 1].copy()
        site.step()
        turn = abs(pose[0, 1, 2] - before[2])
        turned = max(turned, abs(pose[0, 1, 2]))
        assert turn <= 0.05 * np.hypot(*(pose[0, 1] - before)[:2]) + 1e-5
    assert site.actors.motion.numpy()[0, 1, 0] < 0.2
    assert 0.005 < turned < 0.03, "it did steer, and its corners keep the lane too"


@pytest.mark.parametrize("turn", [0.9, -0.9])
def test_a_vehicle_stops_before_a_nose_that_is_turned_into_its_lane(turn: float) -> None:
    """An ego stands aslant in its lane, its middle well inside it, a corner 1.2 m in the lane beside."""
    site = make_site(two_lanes(change=False), 1, TrafficConfig(vehicles=1, reach=math.inf), egos=1)
    lane = 1 if turn > 0.0 else 0
    put(site.atlas, site.actors, 0, 0, lane, 700.0, 0.0)
    across = math.copysign(0.7, turn)
    site.actors.pose.numpy()[0, 0] += (0.0, across, turn)
    site.actors.place.numpy()[0, 0, 1] = across
    place(site, 1, 1 - lane, 550.0, 25.0)
    for _ in range(300):
        site.step()
        assert not contacts(site.actors)
        assert site.actors.motion.numpy()[0, 1, 1] >= -PROFILE.brake - 1e-3
    assert site.actors.motion.numpy()[0, 1, 0] < 0.1


def test_a_vehicle_does_not_drive_into_who_stands_on_shared_ground_that_it_has_entered() -> None:
    atlas = Atlas([generate_town(1)], routes=1)
    road = atlas.roads[0]
    straight = [
        each
        for each in find_conflicts(road)
        if each.kind == ConflictKind.MERGE and np.abs(road.lanes[each.lane].curvature).max() < 0.02
    ]
    conflict = max(straight, key=lambda each: each.end - each.begin)
    site = make_site(atlas, 1, TrafficConfig(vehicles=1, reach=math.inf), egos=1)
    put(atlas, site.actors, 0, 0, conflict.other, conflict.other_end - 1.0, 0.0)
    site.traffic.movers.claim.numpy()[0, 0] = -1
    place(site, 1, conflict.lane, conflict.begin - 2.2, 4.0)  # its front is 5 cm past the line
    site.traffic.movers.claim.numpy()[0, 1] = [conflict.lane, -1, -1][: site.traffic.movers.claim.shape[2]]
    assert not contacts(site.actors)
    for _ in range(100):
        site.step()
        assert not contacts(site.actors)
    assert site.actors.motion.numpy()[0, 1, 0] < 0.1


@wp.kernel
def rss_rows(rules: Rules, speeds: wp.array2d(dtype=wp.float32), out: wp.array(dtype=wp.float32)) -> None:  # type: ignore[valid-type]
    row = wp.tid()
    out[row] = rss_gap(rules, speeds[row, 0], speeds[row, 1], speeds[row, 2])


def test_the_distance_is_that_of_the_law() -> None:
    site = make_site(two_lanes(), 1, TrafficConfig(vehicles=1), egos=1)
    draws = np.random.default_rng(3)
    speeds = draws.uniform(0.0, 45.0, (500, 3)).astype(np.float32)
    out = wp.zeros(500, dtype=wp.float32)
    wp.launch(rss_rows, 500, [site.traffic.rules, wp.array(speeds), out])
    for (rear, front, limit), found in zip(speeds.tolist(), out.numpy().tolist(), strict=True):
        rules = RssRules(PROFILE.reaction, PROFILE.accel, PROFILE.brake_least, speed=limit * PROFILE.over_limit)
        assert found == pytest.approx(following(rear, front, rules, RssRules(brake_hardest=PROFILE.brake)), abs=1e-3)


@wp.kernel
def brake_rows(rules: Rules, starts: wp.array2d(dtype=wp.float32), out: wp.array(dtype=wp.float32)) -> None:  # type: ignore[valid-type]
    row = wp.tid()
    gap = starts[row, 0]
    v = starts[row, 1]
    front = starts[row, 2]
    least = float(gap)
    for _ in range(300):
        ask = safe_accel(v, gap, front, 0.9 * rules.brake, rules.step)
        before = float(v)
        v = wp.max(v + wp.clamp(ask, -rules.brake, rules.accel) * rules.step, 0.0)
        ahead = wp.max(front - 0.9 * rules.brake * rules.step, 0.0)
        gap += 0.5 * (front + ahead - before - v) * rules.step
        front = ahead
        least = wp.min(least, gap)
    out[row] = least


def test_the_safe_speed_alone_keeps_clear_of_one_that_brakes() -> None:
    """Whatever else a driver wants, as fast as it may: from every gap at which stopping is possible nobody touches."""
    site = make_site(two_lanes(), 1, TrafficConfig(vehicles=1), egos=1)
    draws = np.random.default_rng(5)
    v, front = draws.uniform(0.0, 40.0, (2, 2000))
    gap = np.maximum((v**2 - front**2) / (2.0 * 7.2), 0.0) + v * 0.05 + draws.uniform(0.0, 30.0, 2000)
    out = wp.zeros(2000, dtype=wp.float32)
    wp.launch(brake_rows, 2000, [site.traffic.rules, wp.array(np.stack([gap, v, front], -1).astype(np.float32)), out])
    assert out.numpy().min() > -0.02, "what one step of the one in front is off by"
    assert np.median(out.numpy()) < 1.0, "it drives up to what is safe"


def test_vehicles_begin_safely_around_egos_and_come_back_out_of_sight() -> None:
    site = make_site(HIGHWAY, 12, TrafficConfig(vehicles=20, reach=400.0, hidden=150.0), speed=25.0)
    actors, rules = site.actors, RssRules(PROFILE.reaction, PROFILE.accel, PROFILE.brake_least)
    lane, s, v = actors.lane.numpy(), actors.place.numpy()[..., 0], actors.motion.numpy()[..., 0]
    met = 0
    for world in range(12):
        for slot in range(1, 21):
            if actors.kind.numpy()[world, slot] >= 0 and lane[world, slot] == lane[world, 0]:
                first, last = sorted((0, slot), key=lambda each: s[world, each])
                gap = s[world, last] - s[world, first] - 0.5 * actors.size.numpy()[world, [0, slot], 0].sum()
                assert gap > following(v[world, first], v[world, last], rules, RssRules(brake_hardest=8.0)) - 8.0
                met += 1
    assert met > 5
    came = 0
    for _ in range(400):
        life = site.traffic.movers.life.numpy().copy()
        site.step()
        for world, slot in np.argwhere(site.traffic.movers.life.numpy() > life):
            apart = np.hypot(*(actors.pose.numpy()[world, slot] - actors.pose.numpy()[world, 0])[:2])
            assert 148.0 < apart < 402.0
            came += 1
    assert came > 5


def state(site, world: int) -> list[np.ndarray]:  # noqa: ANN001 as above
    names = ("kind", "pose", "motion", "lane", "place")
    return [getattr(site.actors, name).numpy()[world].copy() for name in names] + [
        array.numpy()[world].copy() for array in site.traffic.arrays().values()
    ]


def test_a_world_is_the_same_among_any_number() -> None:
    config = TrafficConfig(vehicles=12, walkers=4, reach=math.inf, hidden=0.0)
    few, many = make_site(TOWN, 2, config), make_site(TOWN, 4, config)
    few.step(150)
    many.step(150)
    for one, other in zip(state(few, 1), state(many, 1), strict=True):
        assert (one == other).all()


def test_beginning_one_world_leaves_the_others_alone() -> None:
    config = TrafficConfig(vehicles=12, walkers=4, reach=math.inf, hidden=0.0)
    site, twin = make_site(TOWN, 3, config), make_site(TOWN, 3, config)
    site.step(60)
    twin.step(60)
    site.mask[:] = (0, 1, 0)
    site.episode.numpy()[:] = 7
    site.begin.launch()
    site.step(40)
    twin.step(40)
    # others go on bit by bit; world 1 is a new episode, the one that a fresh site with that episode has
    site_zero, twin_zero = state(site, 0), state(twin, 0)
    assert all((one == other).all() for one, other in zip(site_zero, twin_zero, strict=True))
    assert any((one != other).any() for one, other in zip(state(site, 1), state(twin, 1), strict=True))
    fresh = make_site(TOWN, 3, config)
    fresh.episode.numpy()[:] = 7
    fresh.begin.launch()
    fresh.step(40)
    for one, other in zip(state(site, 1), state(fresh, 1), strict=True):
        assert (one == other).all()


def test_rows_of_the_table_are_in_order() -> None:
    names = [row.name for row in Table(traffic_rows())]
    assert names[:6] == [f"traffic_{x}" for x in ("speed", "headway", "accel", "brake", "politeness", "threshold")]
    assert names[6:] == ["traffic_trucks", "traffic_motorcycles", "traffic_bicycles", "traffic_density",
                         "walker_speed", "walker_careless", "walker_density"]  # fmt: skip


def test_too_few_slots_are_refused() -> None:
    with pytest.raises(ValueError, match="expected slots for"):
        make_site(TOWN, 1, TrafficConfig(vehicles=5), extra=-2)
