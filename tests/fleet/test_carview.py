"""What a car makes of its readings, beside what the simulator's own senses say of the same moment."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from fleet.carplant import CarPlant
from fleet.carview import NEVER, CarView
from fleet.venues import Among, make_venue, read_fault
from sim.actors import ActorKind
from sim.bodies.specs import CAR
from sim.driving.reading import CarReading, ObjectList, Pose, compose, inverse
from sim.driving.state import PATH_BEHIND, ObjectColumn, PathColumn
from sim.robot import SECOND

PERIOD = CAR.period


def drive(site: str, seed: int, fault: str = "", lanes: bool = False) -> tuple[CarPlant, CarView]:
    plant = CarPlant(make_venue(site), seed, Among(seconds=60.0, traffic=10, walkers=4, fault=read_fault(fault)))
    view = CarView(plant.road, plant.plan, CAR)
    view.see(plant.reading())
    return plant, view


def roll(plant: CarPlant) -> None:
    """One step along the lane as the plant's own view has it, slowly."""
    view = plant.env.plant.view
    (d, heading), speed = view.where.numpy()[0], float(view.motion.numpy()[0, 0])
    bend = float(view.path.numpy()[0, PATH_BEHIND + 2, PathColumn.CURVATURE])
    curvature = bend - 0.05 * float(d) - 0.4 * float(heading)
    plant.step(float(np.clip(8.0 - speed, -2.0, 1.0)), curvature)


@pytest.mark.parametrize(("site", "seed"), [("town:7", 3), ("highway:3", 5), ("rural:5", 2)])
def test_a_car_sees_by_its_map_what_the_simulator_lets_it_see(site: str, seed: int) -> None:
    plant, view = drive(site, seed)
    steps, objects, agreed = 0, 0, 0
    while not plant.over and steps < 250:
        view.see(plant.reading())
        theirs = plant.env.plant.view
        for name in ("pose", "motion", "where", "age", "list_age", "range"):
            ours, other = view.seen[name][0], getattr(theirs, name).numpy()[0]
            np.testing.assert_allclose(ours, other, rtol=1e-6, atol=2e-6, err_msg=name)
        path, other = view.seen["path"][0], theirs.path.numpy()[0]
        if int(view.seen["lane"][0]) == int(theirs.lane.numpy()[0]):
            far = np.hypot(*(path[:, :2] - other[:, :2]).T)
            assert far[:40].max() < 2.0 * CAR.localisation_bound
        kinds, lanes = theirs.object_kind.numpy()[0], theirs.object_lane.numpy()[0]
        rows = theirs.objects.numpy()[0]
        for kind, lane, row in zip(
            view.seen["object_kind"][0], view.seen["object_lane"][0], view.seen["objects"][0], strict=True
        ):
            if kind < 0 or kind == ActorKind.PEDESTRIAN:
                continue
            away = np.where(kinds == kind, np.hypot(rows[:, 0] - row[0], rows[:, 1] - row[1]), 1e9)
            match = int(np.argmin(away))
            if away[match] < 1.0:
                objects += 1
                agreed += lane == lanes[match] or (lane >= 0 and lanes[match] in plant.road.lanes[lane].successors)
                assert row[ObjectColumn.SPREAD] >= rows[match][ObjectColumn.SPREAD] - 1e-4
        roll(plant)
        steps += 1
    assert steps > 100
    assert objects > 300
    assert agreed > 0.97 * objects


@pytest.mark.parametrize(
    ("fault", "older"), [("lane_lost:2", "age"), ("gnss_jump:2", "age"), ("list_frozen:2", "list_age")]
)
def test_what_fails_grows_old(fault: str, older: str) -> None:
    plant, view = drive("highway:3", 5, fault)
    for _ in range(30):
        roll(plant)
        view.see(plant.reading())
    assert float(view.seen["age"][0]) == 0.0
    for _ in range(40):
        roll(plant)
        view.see(plant.reading())
        theirs = float(getattr(plant.env.plant.view, older).numpy()[0])
        assert float(view.seen[older][0]) == pytest.approx(theirs, abs=0.051)
    assert float(view.seen[older][0]) > 1.0


def test_an_object_that_lists_miss_stays_where_it_was_and_is_forgotten() -> None:
    plant, view = drive("highway:3", 5)
    reading = plant.reading()
    assert reading.objects is not None
    held = int((view.seen["object_kind"][0] >= 0).sum())
    assert held == len(reading.objects.objects) > 0
    places = view.seen["objects"][0, :held, :2].copy()
    for step in range(1, 26):
        later = reading.now + step * PERIOD
        empty = ObjectList(later, ())
        moved = _later(reading, later)
        view.see(replace(moved, objects=empty))
        there = int((view.seen["object_kind"][0] >= 0).sum())
        assert there == (held if step <= 20 else 0)
        if there:
            np.testing.assert_array_equal(view.seen["objects"][0, :held, :2], places)
            assert view.seen["objects"][0, 0, ObjectColumn.AGE] == pytest.approx(step * 0.05, abs=1e-5)


def test_what_never_came_is_older_than_anything_believed() -> None:
    plant, view = drive("town:7", 3)
    view.begin()
    view.see(CarReading(plant.stamp))
    assert float(view.seen["age"][0]) == float(view.seen["list_age"][0]) == NEVER
    assert np.isnan(view.seen["motion"][0]).all()
    assert not view.located
    view.see(replace(plant.reading(), lane=None))
    assert float(view.seen["age"][0]) == NEVER, "no lane camera: the place was never known to keep its bound"


def test_a_reading_that_is_not_trusted_counts_as_far_too_old() -> None:
    plant, view = drive("town:7", 3)
    view.see(plant.reading(), trusted=False)
    assert float(view.seen["age"][0]) == NEVER


def test_a_late_place_is_carried_on_by_the_wheels() -> None:
    plant, view = drive("highway:3", 5)
    early = plant.reading()
    for _ in range(4):
        roll(plant)
        view.see(plant.reading())
    late = replace(plant.reading(), place=early.place)
    other = CarView(plant.road, plant.plan, CAR)
    other.see(early)
    other.see(late)
    carried, told = other.seen["pose"][0], view.seen["pose"][0]
    assert math.hypot(*(carried - told)[:2]) < 0.2 < math.hypot(*(np.subtract(early.place.pose, told))[:2])  # type: ignore[union-attr]  # there is one


def test_poses_compose_and_invert() -> None:
    there: Pose = (1.0, 2.0, math.pi / 2)
    assert compose(there, (1.0, 0.0, 0.0)) == pytest.approx((1.0, 3.0, math.pi / 2))
    assert compose(there, inverse(there)) == pytest.approx((0.0, 0.0, 0.0))


def _later(reading: CarReading, now: int) -> CarReading:
    """The same from a car that has not moved."""
    parts = {name: getattr(reading, name) for name in ("odometry", "inertia", "steering", "place", "lane")}
    moved = {name: replace(part, stamp=now) for name, part in parts.items()}
    still = {"odometry": replace(moved["odometry"], speed=0.0)}
    return replace(reading, now=now, **(moved | still))


def test_the_clock_of_a_drive_does_not_begin_at_nothing() -> None:
    plant, _ = drive("town:7", 3)
    assert plant.stamp == SECOND
