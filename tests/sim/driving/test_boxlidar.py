"""A car's lidar: closed forms, noise and dropout, and each of its faults against the same sweep without it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sim.bodies.specs import CAR
from sim.driving.sensing import FAULTS, LARGEST, VIEW_FAULTS, Fault, RoadFaults, RoadSensors, check_road_sensors
from sim.driving.sensingrows import road_sensor_rows
from sim.sensorspec import SensorError
from sim.vary import Table
from sim.varyfile import show
from tests.sim.driving.sensebench import LENGTH, Bench, one_fault

RAYS, FAR = CAR.lidar.rays, CAR.lidar.range_max
WORLDS = 6


def scan_of(bench: Bench) -> NDArray[Any]:
    """What the lidars read now, (worlds, rays)."""
    assert bench.senses.lidar is not None
    return bench.senses.lidar.scan.numpy().copy()


def stamp_of(bench: Bench) -> NDArray[Any]:
    """Of which step it is, (worlds,)."""
    assert bench.senses.lidar is not None
    return bench.senses.lidar.stamp.numpy().copy()


def test_it_ends_at_the_others_boxes() -> None:
    """Closed forms: ray i points to -pi + 2 pi i / rays from the middle of the car."""
    bench = Bench(RoadSensors(lidar=True), others=3, speed=0.0, level=0.0)
    bench.put(1, 130.0)
    bench.put(2, 88.0, lane=0)
    bench.begin()
    scan = scan_of(bench)[0]
    assert scan[RAYS // 2] == pytest.approx(30.0 - 0.5 * LENGTH, abs=1e-3)
    beside = round(RAYS * (0.5 + math.atan2(3.5, -12.0) / math.tau))
    angle = -math.pi + math.tau * beside / RAYS
    near = min((3.5 - 0.5 * CAR.width) / math.sin(angle), 1e9)
    assert scan[beside] == pytest.approx(max(near, (12.0 - 0.5 * LENGTH) / -math.cos(angle)), abs=1e-3)
    assert scan[0] == scan[RAYS // 4] == FAR
    bench.kind[0, 1] = -1
    bench.go()
    assert scan_of(bench)[0][RAYS // 2] == FAR


def surrounded(sensors: RoadSensors, level: float = 0.0) -> Bench:
    """Cars ahead, behind and beside one that drives 20 m/s, each farther away by 1 m from step to step."""
    bench = Bench(sensors, worlds=WORLDS, others=4, level=level)
    for actor, (s, lane, speed) in enumerate([(120.0, 1, 40.0), (80.0, 1, 0.0), (104.0, 0, 40.0), (160.0, 2, 40.0)], 1):
        bench.put(actor, s, lane=lane, speed=speed)
    bench.begin()
    return bench


def pair(name: str, size: float = 0.0) -> tuple[Bench, Bench]:
    """The same drive with a fault and without, 0.25 s before it begins."""
    sensors = replace(one_fault(name, onset=0.5, duration=1.0, size=size), lidar=True)
    spoilt, sound = surrounded(sensors), surrounded(RoadSensors(lidar=True))
    for bench in (spoilt, sound):
        bench.go(9)
    assert np.array_equal(scan_of(spoilt), scan_of(sound))
    assert (spoilt.own["faulty"] == 0).all()
    for bench in (spoilt, sound):
        bench.go(3)
    assert (spoilt.own["faulty"] == 1 << FAULTS.index(name)).all()
    return spoilt, sound


def over(spoilt: Bench, sound: Bench) -> bool:
    """Whether a fault leaves no trace when it is over."""
    for bench in (spoilt, sound):
        bench.go(19)
    return np.array_equal(scan_of(spoilt), scan_of(sound)) and np.array_equal(stamp_of(spoilt), stamp_of(sound))


def test_a_dead_lidar_reads_nothing_and_its_stamp_stays() -> None:
    spoilt, sound = pair("lidar_dead")
    assert (scan_of(spoilt) == FAR).all()
    assert (scan_of(sound) < FAR).any(axis=1).all()
    assert (stamp_of(spoilt) == 9).all()
    assert (stamp_of(sound) == 12).all()
    assert over(spoilt, sound)


def test_a_frozen_lidar_says_the_same_again_with_its_old_stamp() -> None:
    spoilt, sound = pair("lidar_frozen")
    before = scan_of(spoilt)
    for bench in (spoilt, sound):
        bench.go(4)
    assert np.array_equal(scan_of(spoilt), before)
    assert (np.abs(scan_of(sound) - before).max(axis=1) > 3.0).all(), "everybody else has driven on"
    assert (stamp_of(spoilt) == 9).all()
    assert over(spoilt, sound)


def test_dirt_hides_one_sector_of_its_width_in_a_direction_of_its_own() -> None:
    spoilt, sound = pair("lidar_sector", 1.0)
    for bench in (spoilt, sound):
        bench.put(1, bench.place[0, 0, 0], lane=1, speed=20.0, size=(60.0, 60.0))  # walls all round
        bench.look()
    bad, good = scan_of(spoilt), scan_of(sound)
    hidden = bad == FAR
    assert (good < FAR).all()
    assert np.array_equal(bad[~hidden], good[~hidden])
    assert hidden.mean(axis=1) == pytest.approx(np.full(WORLDS, 1.0 / math.tau), abs=1.1 / RAYS)
    assert ((hidden != np.roll(hidden, 1, axis=1)).sum(axis=1) == 2).all(), "in one piece"
    assert len({row.tobytes() for row in hidden}) == WORLDS, "worlds draw their own direction"
    assert (stamp_of(spoilt) == 12).all()
    spoilt.go(19)
    assert (scan_of(spoilt) < FAR).all()


def test_rain_swallows_what_is_far_and_leaves_what_is_near() -> None:
    spoilt, sound = pair("lidar_rain", 0.7)
    bad, good = scan_of(spoilt), scan_of(sound)
    far = good > 0.3 * FAR
    assert np.array_equal(bad[~far], good[~far])
    assert (bad[far] == FAR).all()
    for some in (far & (good < FAR), ~far):
        assert some.any(axis=1).all()
    assert over(spoilt, sound)


def test_a_bias_makes_every_return_longer_and_no_ray_longer_than_the_range() -> None:
    spoilt, sound = pair("lidar_bias", 0.5)
    bad, good = scan_of(spoilt), scan_of(sound)
    assert bad[good < FAR] == pytest.approx(good[good < FAR] + 0.5, abs=1e-4)
    assert (bad[good == FAR] == FAR).all()
    assert over(spoilt, sound)


@pytest.mark.parametrize("name", [name for name in FAULTS if name not in VIEW_FAULTS])
def test_its_faults_reach_no_view(name: str) -> None:
    """So that who drives by a view cannot be tested with them, and `drive_fallback` has no groups of them."""
    spoilt, sound = pair(name, min(LARGEST.get(name, 0.0), 3.0))
    assert not np.array_equal(scan_of(spoilt), scan_of(sound))
    for column, values in sound.view.items():
        assert np.array_equal(values, spoilt.view[column]), column


def test_the_next_episode_begins_without_the_scan_of_the_last() -> None:
    """A lidar that is frozen from the first step on has nothing to say again."""
    faults = RoadFaults(lidar_frozen=Fault(0.5, onset=(0.0, 0.0), duration=(9.0, 9.0)))
    bench = surrounded(RoadSensors(lidar=True, faults=faults))
    well = bench.own["faulty"] == 0
    assert (scan_of(bench)[well] < FAR).any(axis=1).all()
    bench.begin()
    broke = well & (bench.own["faulty"] != 0)
    assert broke.any()
    assert (scan_of(bench)[broke] == FAR).all()
    assert (stamp_of(bench)[broke] == -1).all()


def test_looking_twice_in_a_step_changes_no_scan() -> None:
    for name, size in (("lidar_frozen", 0.0), ("lidar_sector", 1.0), ("lidar_bias", 0.4)):
        bench = surrounded(replace(one_fault(name, onset=0.2, size=size), lidar=True), level=1.0)
        bench.go(6)
        before = {key: array.numpy().copy() for key, array in bench.senses.arrays().items()}
        bench.look()
        for key, array in bench.senses.arrays().items():
            assert np.array_equal(before[key], array.numpy()), (name, key)


def test_noise_and_dropout_are_those_of_the_specification() -> None:
    rough, exact = (surrounded(RoadSensors(lidar=True), level) for level in (1.0, 0.0))
    errors, lost, met = list[NDArray[np.float32]](), 0, 0
    for _ in range(60):
        for bench in (rough, exact):
            bench.look()
            bench.step += 1
        one, other = scan_of(rough), scan_of(exact)
        errors.append((one - other)[(one < FAR) & (other < FAR)])
        lost, met = lost + int(((one == FAR) & (other < FAR)).sum()), met + int((other < FAR).sum())
    drawn = np.concatenate(errors)
    assert float(drawn.std()) == pytest.approx(CAR.lidar.noise, rel=0.05)
    assert float(np.abs(drawn).max()) <= 3.0 * CAR.lidar.noise + 1e-4
    assert lost / met == pytest.approx(CAR.lidar.dropout, rel=0.4)


def test_the_table_names_its_faults_only_where_there_is_a_lidar() -> None:
    def names(sensors: RoadSensors) -> set[str]:
        return {row.name for row in road_sensor_rows(sensors, CAR)}

    added = names(RoadSensors(lidar=True, faults=RoadFaults())) - names(RoadSensors(faults=RoadFaults()))
    its = {f"fault_lidar_{what}" for what in ("dead", "frozen", "sector", "rain", "bias")}
    rows = {f"{name}{part}" for name in its for part in ("", "_onset", "_duration", "_size")}
    assert added == rows | {"lidar_noise", "lidar_dropout"}
    assert "lidar" not in " ".join(names(RoadSensors(faults=RoadFaults())))
    shown = show(Table(road_sensor_rows(RoadSensors(lidar=True, faults=RoadFaults()), CAR)))
    assert all(name in shown for name in added)


def test_a_fault_of_a_lidar_that_is_not_there_is_refused() -> None:
    sensors = one_fault("lidar_rain", size=0.5)
    with pytest.raises(SensorError, match=r"faults\.lidar_rain: expected a lidar that it can break, got none"):
        check_road_sensors(sensors, CAR)
    check_road_sensors(replace(sensors, lidar=True), CAR)
    worse = RoadFaults(lidar_rain=Fault(1.0, size=(0.5, 1.5)))
    with pytest.raises(SensorError, match=r"faults\.lidar_rain\.size: expected a number from 0 to 1, got 1.5"):
        check_road_sensors(RoadSensors(lidar=True, faults=worse), CAR)


@pytest.mark.gpu
@pytest.mark.parametrize(("name", "size"), [("lidar_sector", 1.0), ("lidar_rain", 0.5), ("lidar_frozen", 0.0)])
def test_a_cuda_device_sweeps_the_same(name: str, size: float) -> None:
    sensors = replace(one_fault(name, onset=0.5, duration=1.0, size=size), lidar=True)
    scans = []
    for device in ("cpu", "cuda"):
        bench = Bench(sensors, worlds=WORLDS, others=2, device=device)
        bench.put(1, 120.0, speed=20.0)
        bench.put(2, 90.0, lane=0, speed=20.0)
        bench.begin()
        bench.go(15)
        scans.append(scan_of(bench))
    assert np.isclose(*scans, rtol=1e-4, atol=2e-3).mean() > 0.999  # a ray along an edge may fall to either side
