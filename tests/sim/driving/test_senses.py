"""A car's senses: bounds that hold, misses at their rate, occlusion, latency, tracks, isolation, visible faults."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy as np
import pytest

from sim.actors import ActorKind
from sim.bodies.specs import CAR
from sim.driving.sensestate import slots_of
from sim.driving.sensing import FAULTS, ROUNDING, SOURCES, RoadSensors, bounds, check_road_sensors
from sim.driving.sensingrows import road_sensor_rows
from sim.driving.state import OBJECTS, PATH_BEHIND
from sim.sensorspec import SensorError
from sim.sources import fault
from sim.vary import Change, VaryError
from tests.sim.driving.sensebench import COLUMN, DT, LENGTH, Bench, one_fault

KEPT = bounds(RoadSensors(), CAR)
CLEAR = (Change("sensed_miss", 0.0, 0.0), Change("sensed_outage", 0.0, 0.0))
EXACT = (Change("sensed_latency", 0.0, 0.0), Change("sensed_miss", 0.0, 0.0))


def spread_out(bench: Bench, draws: np.random.Generator, others: int) -> None:
    """Actors all around the ego on three lanes, at speeds of their own."""
    for actor in range(1, others + 1):
        s = 100.0 + draws.uniform(-90.0, 190.0, bench.worlds)
        bench.put(actor, s, draws.uniform(-0.5, 0.5, bench.worlds), lane=actor % 3, speed=15.0 + actor % 7)
    bench.drive[:, :, 1] = draws.uniform(-3.0, 2.0, bench.drive.shape[:2])
    bench.place[:, :, 2] = draws.uniform(-1.0, 1.0, bench.drive.shape[:2])


OBJECTS_OF = RoadSensors().objects
LARGEST_NOISE = tuple(
    Change(row.name, row.high, row.high) for row in road_sensor_rows(RoadSensors(), CAR) if "noise" in row.name
)


@pytest.mark.parametrize(("changes", "least"), [((), 0.7), (LARGEST_NOISE, 0.85)], ids=["drawn", "largest"])
def test_no_error_of_an_object_leaves_its_bound(changes: tuple[Change, ...], least: float) -> None:
    """More than 1e5 objects under full randomization, against the truth of the step that they are of."""
    others, draws = 20, np.random.default_rng(2)
    bench = Bench(worlds=256, others=others, changes=changes)
    spread_out(bench, draws, others)
    bench.begin()
    history, many, worst = (
        [],
        0,
        {name: 0.0 for name in ("range", "bearing", "place", "along", "across", "speed", "yaw", "lateral", "accel")},
    )
    for _ in range(40):
        history.append((bench.others.copy(), bench.place.copy()))
        j = np.nonzero(bench.view["object_kind"] >= 0)
        rows, values = j[0], bench.view["objects"][j]
        actor = bench.view["object_id"][j] % (others + 2)
        then = bench.step[rows] - np.rint(values[:, COLUMN["AGE"]] / DT).astype(int)
        truth = np.stack([history[t][0][row, k] for t, row, k in zip(then, rows, actor, strict=True)])
        place = np.stack([history[t][1][row, k] for t, row, k in zip(then, rows, actor, strict=True)])
        spread = values[:, COLUMN["SPREAD"]]
        error = values[:, :2] - truth[:, :2]
        off = np.hypot(*error.T)
        sight = truth[:, :2] - np.stack([history[t][0][row, 0, :2] for t, row in zip(then, rows, strict=True)])
        far = np.hypot(*sight.T)
        aside = np.abs(sight[:, 0] * error[:, 1] - sight[:, 1] * error[:, 0]) / far
        share = {
            "range": np.abs((sight * error).sum(axis=1)) / far / (3.0 * OBJECTS_OF.range_noise + ROUNDING),
            "bearing": aside / (3.0 * OBJECTS_OF.bearing_noise * far + ROUNDING),
            "place": off / spread,
            "along": np.abs(values[:, COLUMN["LANE_S"]] - place[:, 0]) / spread,
            "across": np.abs(values[:, COLUMN["LANE_D"]] - place[:, 1]) / spread,
            "speed": np.abs(values[:, COLUMN["SPEED"]] - bench.drive[rows, actor, 0]) / KEPT.object_speed,
            "accel": np.abs(values[:, COLUMN["ACCEL"]] - bench.drive[rows, actor, 1]) / KEPT.object_accel,
            "yaw": np.abs(values[:, COLUMN["YAW"]]) / KEPT.object_yaw,
            "lateral": np.abs(values[:, COLUMN["LATERAL"]] - place[:, 2]) / KEPT.object_speed,
        }
        assert (bench.view["object_lane"][j] == bench.lane[rows, actor]).all()
        many += len(rows)
        worst = {name: max(worst[name], float(share[name].max())) for name in worst}
        bench.go()
    assert many > 1e5
    assert all(least < value <= 1.0 for value in worst.values()), worst


def test_the_car_knows_its_place_within_the_bound_of_its_specification() -> None:
    """More than 1e5 looks at full speed, outages under bridges drawn as often as the configuration may."""
    bench = Bench(worlds=400, others=0, speed=CAR.drive.speed_max, changes=(Change("sensed_outage", 0.5, 0.5),))  # type: ignore[union-attr]
    bench.begin()
    worst = dict.fromkeys(("place", "radius", "yaw", "speed", "d", "heading", "s"), 0.0)
    for _ in range(300):
        bench.go()
        off = np.hypot(*(bench.view["pose"][:, :2] - bench.pose[:, :2]).T)
        assert (off <= bench.own["radius"] + 1e-3).all(), "localisation's own bound holds"
        assert (bench.view["age"] == 0.0).all(), "and is narrow enough whatever bridges there are"
        s = bench.pose[:, 0] + bench.x0
        share = {
            "place": off / KEPT.position,
            "radius": bench.own["radius"] / KEPT.position,
            "yaw": np.abs(bench.view["pose"][:, 2]) / KEPT.yaw,
            "speed": np.abs(bench.view["motion"][:, 0] - bench.motion[:, 0]) / KEPT.speed,
            "d": np.abs(bench.view["where"][:, 0]) / KEPT.offset,
            "heading": np.abs(bench.view["where"][:, 1]) / KEPT.heading,
            "s": np.abs(bench.view["path_s"][:, PATH_BEHIND] - s) / KEPT.position,
        }
        worst = {name: max(worst[name], float(share[name].max())) for name in worst}
    assert all(value <= 1.0 for value in worst.values()), worst
    assert min(worst[name] for name in ("radius", "yaw", "speed", "d", "heading")) > 0.75
    assert worst["place"] > 0.3


def test_objects_are_missed_at_their_rate() -> None:
    changes = (Change("sensed_latency", 0.0, 0.0), Change("sensed_miss", 0.2, 0.2))
    bench = Bench(worlds=200, others=4, speed=0.0, changes=changes)
    for actor, lane in ((1, 0), (2, 1), (3, 2), (4, 0)):
        bench.put(actor, 130.0 + 20.0 * (actor == 4), lane=lane)
    bench.begin()
    here = bench.view["object_kind"] >= 0
    assert (here.sum(axis=1) == 4).all(), "who is there when an episode begins is known"
    missed = []
    for _ in range(50):
        bench.go()
        missed.append(bench.view["objects"][..., COLUMN["AGE"]][bench.view["object_kind"] >= 0] > 0.0)
    found = np.concatenate(missed)
    assert found.mean() == pytest.approx(0.2, abs=4.0 * math.sqrt(0.16 / len(found)))


def test_who_is_behind_a_truck_is_not_seen() -> None:
    bench = Bench(others=3, speed=0.0, changes=EXACT)
    bench.put(1, 120.0, size=(12.0, 2.5), kind=ActorKind.TRUCK)
    bench.put(2, 140.0)
    bench.put(3, 127.5, 1.5, size=(0.5, 0.5), kind=ActorKind.PEDESTRIAN)
    bench.begin()
    assert set(bench.seen()) == {1}
    bench.put(2, 140.0, 3.4)  # its left half shows
    bench.begin()
    assert set(bench.seen()) == {1, 2}
    bench.put(3, 127.5, 2.3, size=(0.5, 0.5), kind=ActorKind.PEDESTRIAN)
    bench.begin()
    assert set(bench.seen()) == {1, 2, 3}
    bench.kind[0, 1] = -1
    bench.put(2, 140.0)
    bench.begin()
    assert set(bench.seen()) == {2, 3}


def test_range_and_field_of_view_end() -> None:
    sensors = replace(RoadSensors(), objects=replace(RoadSensors().objects, fov=math.radians(120.0)))
    bench = Bench(sensors, others=4, speed=0.0, changes=EXACT)
    bench.put(1, 100.0 + 200.0 + 0.45 * LENGTH, lane=0)
    bench.put(2, 100.0 + 204.0)
    bench.put(3, 100.0 + 1.8, lane=0)  # 63 degrees off
    bench.put(4, 100.0 + 2.2, 0.7, lane=2)  # 52
    bench.begin()
    assert set(bench.seen()) == {1, 4}
    assert bench.view["range"][0] == 180.0


@pytest.mark.parametrize("late", [0, 1, 2])
def test_a_list_comes_as_late_as_drawn(late: int) -> None:
    changes = (Change("sensed_latency", DT * late, DT * late), EXACT[1])
    sensors = replace(RoadSensors(), objects=replace(RoadSensors().objects, latency=(0.0, 0.1)))
    bench = Bench(sensors, level=0.0, others=1, changes=changes)
    bench.put(1, 150.0, speed=30.0)
    bench.begin()
    for step in range(8):
        here = bench.seen()[1]
        assert here["AGE"] == pytest.approx(DT * min(step, late)) == bench.view["list_age"][0]
        assert here["X"] == pytest.approx(bench.others[0, 1, 0] - 30.0 * here["AGE"], abs=2e-3)
        assert bench.view["range"][0] == pytest.approx(180.0 - 70.0 * here["AGE"], abs=1e-3)
        bench.go()


def test_without_errors_the_view_is_the_truth() -> None:
    sensors = replace(RoadSensors(), objects=replace(RoadSensors().objects, latency=(0.0, 0.0)))
    bench = Bench(sensors, level=0.0, others=1)
    bench.put(1, 150.0, 0.3, speed=30.0)
    bench.drive[0, 1, 1], bench.place[0, 1, 2] = -2.0, 0.5
    bench.motion[0] = (20.0, 1.0, 0.001, 0.02)
    bench.begin()
    bench.go(30)
    here = bench.seen()[1]
    assert [here[name] for name in ("X", "Y", "YAW", "SPEED", "ACCEL", "LATERAL", "LANE_D")] == pytest.approx(
        [*bench.others[0, 1, :2], 0.0, 30.0, -2.0, 0.5, 0.3], abs=1e-3
    )
    assert bench.view["pose"][0] == pytest.approx(bench.pose[0], abs=1e-3)
    assert bench.view["motion"][0] == pytest.approx(bench.motion[0])
    assert bench.view["goal"][0] == pytest.approx([5900.0 - bench.pose[0, 0] - bench.x0, 0.0, 1e5], abs=0.01)
    assert (bench.view["lane"][0], bench.view["age"][0]) == (1, 0.0)


def test_a_missed_object_is_held_with_its_time_and_then_dropped() -> None:
    bench = Bench(others=1, speed=0.0, changes=EXACT)
    bench.put(1, 150.0)
    bench.begin()
    first = bench.seen()[1]
    bench.kind[0, 1] = -1
    for step in range(1, 21):
        bench.go()
        here = bench.seen()[1]
        assert (here["X"], here["AGE"]) == (first["X"], pytest.approx(step * DT))
    bench.go()
    assert bench.seen() == {}
    bench.put(1, 150.0)
    bench.go()
    assert bench.seen()[1]["ID"] == first["ID"] + 3.0, "the next object has a number of its own"


def test_an_actor_that_jumps_is_another_object() -> None:
    bench = Bench(others=1, speed=0.0, changes=EXACT)
    bench.put(1, 150.0, speed=40.0)
    bench.begin()
    first = bench.seen()[1]["ID"]
    bench.go(20)
    assert bench.seen()[1]["ID"] == first
    bench.put(1, 60.0)
    bench.go()
    assert bench.seen()[1]["ID"] != first


def test_the_nearest_are_kept_and_come_first() -> None:
    others = OBJECTS + 6
    bench = Bench(others=others, speed=0.0, changes=EXACT)
    for actor in range(1, others + 1):
        side = 1 if actor % 2 else -1
        bench.put(actor, 100.0 + side * (10.0 + 4.0 * actor), 0.08 * actor, lane=actor % 3, size=(0.1, 0.1))
    bench.begin()
    seen = bench.seen()
    assert set(seen) == set(range(1, OBJECTS + 1))
    away = np.hypot(*(bench.view["objects"][0, :, :2] - bench.view["pose"][0, :2]).T)
    assert (np.diff(away) > 0.0).all()


def test_looking_twice_in_a_step_changes_nothing() -> None:
    bench = Bench(worlds=16, others=4)
    spread_out(bench, np.random.default_rng(1), 4)
    bench.begin()
    bench.go(7)
    before = {name: array.numpy().copy() for name, array in bench.senses.arrays().items()}
    view = {name: values.copy() for name, values in bench.view.items()}
    bench.look()
    for name, array in bench.senses.arrays().items():
        assert np.array_equal(before[name], array.numpy()), name
    for name, values in view.items():
        assert np.array_equal(values, bench.view[name]), name


def drive(worlds: int, *, restart: bool = False, device: str = "cpu") -> Bench:
    """Worlds with faults, of which odd ones begin again on the way if asked."""
    faults = one_fault("ghost", 0.5, 1.0, 50.0)
    bench = Bench(faults, worlds=worlds, others=6, device=device)
    for actor in range(1, 7):
        for world in range(worlds):
            place = np.random.default_rng([world, actor]).uniform(40.0, 200.0)
            bench.put(actor, place, lane=actor % 3, speed=18.0 + actor, world=slice(world, world + 1))
    bench.begin()
    bench.go(13)
    if restart:
        bench.begin(list(range(1, worlds, 2)))
    bench.go(12)
    return bench


def test_a_world_sees_the_same_whatever_the_number_of_worlds() -> None:
    few, many = drive(3), drive(17)
    for name, values in few.view.items():
        assert np.array_equal(values, many.view[name][:3]), name


def test_beginning_some_worlds_touches_no_other() -> None:
    alone, beside = drive(8), drive(8, restart=True)
    for name, values in alone.view.items():
        assert np.array_equal(values[::2], beside.view[name][::2]), name
    state = beside.senses.arrays()
    for name, array in alone.senses.arrays().items():
        assert np.array_equal(array.numpy()[::2], state[name].numpy()[::2]), name
    assert not np.array_equal(alone.view["pose"][1::2], beside.view["pose"][1::2])


@pytest.mark.gpu
def test_a_cuda_device_sees_the_same() -> None:
    here, there = drive(8, restart=True), drive(8, restart=True, device="cuda")
    for name, values in here.view.items():
        assert np.allclose(values, there.view[name], rtol=1e-5, atol=2e-3), name


# faults -------------------------------------------------------------------------------------------------------------


def broken(name: str, size: float = 0.0, *, steps: int = 30, worlds: int = 8) -> Bench:
    """Half a second into a fault that begins after one second."""
    bench = Bench(one_fault(name, size=size), worlds=worlds, others=2, changes=CLEAR)
    bench.put(1, 140.0, speed=20.0)
    bench.put(2, 160.0, lane=2, speed=20.0)
    bench.begin()
    bench.go(19)
    assert (bench.own["faulty"] == 0).all()
    assert (bench.view["age"] == 0.0).all()
    bench.go(steps - 19)
    assert (bench.own["faulty"] == 1 << FAULTS.index(name)).all()
    return bench


@pytest.mark.parametrize(("name", "size"), [("list_frozen", 0.0), ("list_lost", 1.0)])
def test_a_dead_list_grows_old_and_nobody_is_dropped(name: str, size: float) -> None:
    bench = broken(name, size, steps=55)
    assert (bench.view["list_age"] > 1.7).all()
    assert (bench.view["range"] < 180.0 - 70.0 * 1.7).all()
    for world in range(8):
        assert set(bench.seen(world)) == {1, 2}
        assert bench.age_of(1, world) == bench.view["list_age"][world]
    bench.go(10)  # it is over
    assert (bench.view["list_age"] <= 0.1001).all()


def test_stale_lists_are_older_by_what_was_drawn() -> None:
    bench = broken("list_stale", 0.4, steps=35)
    assert (bench.view["list_age"] >= 0.4499).all()
    assert (bench.view["list_age"] <= 0.5001).all()
    assert bench.age_of(1) == bench.view["list_age"][0]
    assert slots_of(bench.senses.sensors, CAR) == 2 + 8 + 1


def test_a_ghost_stands_where_the_lane_was() -> None:
    bench = broken("ghost", 60.0)
    ghost = bench.seen()[3]
    assert (ghost["SPEED"], ghost["LENGTH"]) == (pytest.approx(0.0, abs=0.13), 4.5)
    assert ghost["X"] == pytest.approx(bench.pose[0, 0] - 20.0 * 0.5 + 60.0, abs=1.5)
    assert ghost["LANE_D"] == pytest.approx(0.0, abs=ghost["SPREAD"])
    bench.go(60)
    assert set(bench.seen()) == {1, 2}


def test_a_lost_lane_shows_and_leaves_the_place_on_the_map() -> None:
    bench = broken("lane_lost")
    assert bench.view["age"] == pytest.approx(np.full(8, 11 * DT))
    assert bench.view["where"][:, 0] == pytest.approx(bench.view["pose"][:, 1] - bench.pose[:, 1], abs=1e-3)
    assert (np.abs(bench.view["where"][:, 0]) <= KEPT.position).all()
    bench.go(40)
    assert (bench.view["age"] == 0.0).all()


def test_a_lane_that_is_seen_elsewhere_contradicts_the_map() -> None:
    bench = broken("lane_bias", 0.8)
    assert bench.view["where"][:, 0] == pytest.approx(np.full(8, -0.8), abs=KEPT.offset)
    assert bench.view["age"] == pytest.approx(np.full(8, 11 * DT))


def test_without_fixes_the_place_grows_unsure_and_says_so() -> None:
    bench = broken("gnss_lost", steps=38)
    assert (bench.view["age"] == 0.0).all(), "for a second the odometer carries it"
    bench = Bench(one_fault("gnss_lost", duration=10.0), worlds=8, others=0, speed=36.0)
    bench.begin()
    bench.go(120)
    assert (bench.view["age"] > 1.0).all()
    off = np.hypot(*(bench.view["pose"][:, :2] - bench.pose[:, :2]).T)
    assert (off <= bench.own["radius"]).all()


def test_fixes_that_jump_are_refused() -> None:
    bench = broken("gnss_jump", 3.0)
    assert (bench.view["age"] >= 10 * DT - 1e-6).all()
    off = np.hypot(*(bench.view["pose"][:, :2] - bench.pose[:, :2]).T)
    assert (off <= KEPT.position).all(), "the odometer carries the place on"
    bench.go(40)
    assert (bench.view["age"] == 0.0).all()


def test_a_wrong_odometer_contradicts_the_fixes() -> None:
    bench = broken("odometry_scale", 0.2)
    assert bench.view["motion"][:, 0] == pytest.approx(np.full(8, 24.0), abs=0.1)
    assert (bench.view["age"] > 0.3).all()


# configurations -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "change", "words"),
    [
        ("objects", {"range": -1.0}, "objects.range: expected a number from 1 to 1000, got -1"),
        ("objects", {"reserve": 300.0}, "objects.reserve: expected less than the range of 200 m"),
        ("objects", {"miss": (0.5, 0.1)}, r"objects.miss: expected low <= high, got \(0.5, 0.1\)"),
        ("objects", {"fov": math.nan}, "objects.fov: expected a number"),
        ("gnss", {"outage_every": 1.0}, "gnss.outage_every: expected at least twice outage_time"),
        ("gnss", {"bias": 0.5}, "keep localisation within 0.29 m"),
        ("faults", {"list_stale": 0}, "faults.list_stale.size: expected a number from 0 to 1, got 3"),
    ],
)
def test_sensors_that_cannot_be_are_refused(part: str, change: dict[str, object], words: str) -> None:
    if part == "faults":
        sensors = one_fault("list_stale", size=3.0)
    else:
        sensors = replace(RoadSensors(), **{part: replace(getattr(RoadSensors(), part), **change)})
    with pytest.raises(SensorError, match=words):
        check_road_sensors(sensors, CAR)


def test_every_number_says_where_it_is_from() -> None:
    sensors = RoadSensors()
    parts = {name: getattr(sensors, name) for name in ("objects", "gnss", "odometer", "lane")}
    named = {f"{name}.{each.name}" for name, part in parts.items() for each in fields(part)}
    assert set(SOURCES) == named
    assert {name for name, text in SOURCES.items() if not text.startswith("own choice: ") and fault(text)} == set()


def test_no_row_may_leave_what_the_configuration_promises() -> None:
    with pytest.raises(VaryError, match=r"sensed_objects_range_noise: high: expected a number from 0 to 0.13"):
        Bench(changes=(Change("sensed_objects_range_noise", 0.1, 0.5),))
