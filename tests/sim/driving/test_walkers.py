"""People on crossings: they come along the walkway, wait where somebody drives, cross, and nobody drives into them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sim.device import start_warp
from sim.driving.atlas import Atlas
from sim.driving.profile import RoadProfile
from sim.driving.traffic import TrafficConfig, traffic_rows
from sim.road import LaneKind
from sim.roadgen import generate_town
from sim.vary import Table, make_arrays
from tests.sim.driving.trafficrules import Site, contacts, make_site, put

start_warp()
TOWN = Atlas([generate_town(1, columns=3, rows=2), generate_town(2, columns=2, rows=3)], routes=8)


@pytest.mark.parametrize("careless", [0.0, 1.0])
def test_people_cross_among_traffic_and_nobody_drives_into_them(careless: float) -> None:
    """Vehicles stop for them, whether they look or not; they walk on walkways and crossings, within their speed."""
    config = TrafficConfig(vehicles=14, walkers=10, reach=math.inf)
    site = make_site(TOWN, 6, config)
    first = 1 + config.vehicles
    rows = [row.name for row in Table(traffic_rows())]
    site.traffic.vary.ranges.numpy()[rows.index("walker_careless")] = careless
    site.begin.launch()
    actors, movers = site.actors, site.traffic.movers
    lives = movers.life.numpy()[:, first:].copy()
    crossed, waited, old = 0, 0, None
    for step in range(800):
        site.step()
        pose, kind = actors.pose.numpy()[:, first:], actors.kind.numpy()[:, first:]
        there = kind >= 0
        if old is not None:
            same = there & old[1] & (movers.life.numpy()[:, first:] == lives)
            moved = np.hypot(*np.moveaxis(pose - old[0], -1, 0)[:2])[same]
            # at the corner between walkway and crossing one is at most the crossing's half width further
            assert np.quantile(moved, 0.999) <= 1.001 * RoadProfile().pedestrian * 0.05
        crossed += int((movers.life.numpy()[:, first:] - lives).sum())
        lives = movers.life.numpy()[:, first:].copy()
        waited += int((there & (actors.motion.numpy()[:, first:, 0] == 0.0)).sum())
        old = (pose.copy(), there)
        if step % 4 == 0:
            hit = [each for each in contacts(actors) if each[2] >= first > each[1]]
            speeds = [float(actors.motion.numpy()[world, slot, 0]) for world, slot, _ in hit]
            assert max(speeds, default=0.0) < 0.05
    assert crossed > 20, "people were on their way again and again"
    if careless == 0.0:
        assert waited > 50


def test_people_walk_where_people_walk() -> None:
    site = make_site(TOWN, 2, TrafficConfig(vehicles=0, walkers=12, reach=math.inf))
    checked = 0
    for _ in range(30):
        site.step(20)
        pose, kind = site.actors.pose.numpy()[:, 1:], site.actors.kind.numpy()[:, 1:]
        for world, slot in np.argwhere(kind >= 0):
            road = TOWN.roads[site.road[world]]
            place = pose[world, slot, :2] + np.array(TOWN.origin(int(site.road[world])))
            walkway = road.nearest(*place.tolist(), kinds=(LaneKind.WALKWAY,))
            near = [
                each
                for each in road.crossings
                if abs(_aside(place, each)) <= 0.5 * each.width and -3.0 <= _along(place, each) <= each.length + 3.0
            ]
            assert walkway or near, f"{place} is beside walkways and crossings"
            checked += 1
    assert checked > 300


def _along(place, crossing) -> float:  # noqa: ANN001 a point and sim.road.Crossing
    way = np.subtract(crossing.end, crossing.start) / crossing.length
    return float((place - crossing.start) @ way)


def _aside(place, crossing) -> float:  # noqa: ANN001 as above
    way = np.subtract(crossing.end, crossing.start) / crossing.length
    return float((place - crossing.start) @ np.array([-way[1], way[0]]))


def _one_walker(side: int = 1) -> tuple[Site, int, float]:
    """Somebody who looks, a metre before a crossing; also a lane that leads over it, and where, m."""
    site = make_site(TOWN, 1, TrafficConfig(vehicles=0, walkers=1, reach=math.inf))
    movers, crossings = site.traffic.movers, TOWN.crossings
    row = int(np.argmax(crossings.s.numpy() > 45.0))
    lane = int(np.searchsorted(crossings.lane_first.numpy(), row, side="right") - 1)
    crossing, s = int(crossings.crossing.numpy()[row]), float(crossings.s.numpy()[row])
    ranges = site.traffic.vary.ranges.numpy()
    names = [each.name for each in Table(traffic_rows())]
    ranges[names.index("walker_careless")] = 0.0
    site.begin.launch()
    for name, value in (("walk", side), ("crossing", crossing), ("along", 11.0), ("pace", 1.4), ("life", 1)):
        getattr(movers, name).numpy()[0, 1] = value
    movers.manner.numpy()[0, 1, :2] = 0.0
    site.actors.kind.numpy()[0, 1] = 5
    return site, lane, s


@pytest.mark.parametrize(("speed", "waits"), [(12.0, True), (0.0, False)])
def test_who_looks_waits_for_an_ego_that_drives_and_not_for_one_that_stands(speed: float, waits: bool) -> None:
    site, lane, s = _one_walker()
    site.traffic.movers.along.numpy()[0, 1] = 13.0
    least = math.inf
    for step in range(60):
        at = max(s - 34.0, 1.0) + (0.0 if speed == 0.0 else min(speed * 0.05 * step, 15.0))
        put(TOWN, site.actors, 0, 0, lane, at, speed)
        site.step()
        least = min(least, float(site.actors.motion.numpy()[0, 1, 0]))
    assert (least == 0.0) == waits


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("middle", [-3.4, -1.2, 0.0, 1.4])
def test_nobody_waits_for_ever_for_an_ego_that_stands_on_the_crossing(side: int, middle: float) -> None:
    """Its middle so many metres behind the line that the walker wants to take: in front of its nose, or around it."""
    site, lane, s = _one_walker(side)
    actors, movers = site.actors, site.traffic.movers
    nearest, fastest, last = math.inf, 0.0, None
    for _ in range(700):
        put(TOWN, actors, 0, 0, lane, s + middle, 0.0)
        site.step()
        if movers.life.numpy()[0, 1] != 1 or movers.walk.numpy()[0, 1] == 0:
            break
        ego, walker = actors.pose.numpy()[0, 0], actors.pose.numpy()[0, 1]
        ahead, across = _in_frame(walker[:2] - ego[:2], float(ego[2]))
        size = actors.size.numpy()[0, 0]
        nearest = min(nearest, math.hypot(max(abs(ahead) - size[0] / 2, 0.0), max(abs(across) - size[1] / 2, 0.0)))
        if last is not None:
            fastest = max(fastest, math.hypot(*(walker[:2] - last)) / 0.05)
        last = walker[:2].copy()
    else:
        raise AssertionError("still there after 35 s")
    assert nearest > 0.4, "nobody squeezes past the car"
    assert fastest <= 1.6 * 1.001


def _in_frame(place: np.ndarray, yaw: float) -> tuple[float, float]:
    return (
        float(place[0] * math.cos(yaw) + place[1] * math.sin(yaw)),
        float(place[1] * math.cos(yaw) - place[0] * math.sin(yaw)),
    )


def test_own_ranges_are_those_of_the_table() -> None:
    table = Table(traffic_rows())
    assert make_arrays(table, 1, "cpu").ranges.numpy().shape == (13, 2)
