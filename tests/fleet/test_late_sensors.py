"""A fleet's world whose lidars and encoders look when they like and answer late: stamps tell the truth, robots mind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fleet.plant import Config, PlantError, check
from fleet.world import World
from safety.monitors import AgeBounds, ages, judge_ages
from safety.supervisor import Cause
from sim.robot import MILLISECOND, RobotSpec
from sim.sensorspec import BatteryGauge, Bumper, LidarSensor, Localisation, Odometry, SensorError, Sensors, Timing
from sim.site import Site, make_site

SPEC = RobotSpec()


def hall() -> Site:
    return make_site("hall", np.zeros((5, 12), bool), stations=[0])


def world(sensors: Sensors | None, body: str = "planar", robots: int = 1) -> World:
    starts = np.array([25, 28][:robots])
    return World(hall(), SPEC, robots, starts=starts, seed=3, body=body, sensors=sensors)  # type: ignore[arg-type]


def drive(floor: World, v: float, w: float, rounds: int) -> None:
    for _ in range(rounds):
        floor.command(np.tile(np.array([v, w], np.float32), (floor.robots, 1)))
        floor.step()


def late(rate: float, latency: float) -> Sensors:
    timing = Timing(rate=rate, latency=latency, phase=0.0)
    return Sensors(lidar=LidarSensor(timing), localisation=Localisation(timing), odometry=Odometry(timing))


@pytest.mark.parametrize(("body", "age"), [("planar", 40), ("wheeled", 35)])
def test_stamps_say_when_each_sensor_looked(body: str, age: int) -> None:
    """At 200 Hz, 33 ms late: 40 ms on physics steps of 20 ms, 35 ms on 5 ms; from the first reading on."""
    floor = world(late(200.0, 0.033), body)
    for _ in range(4):
        reading = floor.readings(0)
        for stamp in (reading.scan_stamp, reading.pose_stamp, reading.twist_stamp):
            assert reading.stamp - stamp == age * MILLISECOND
        drive(floor, 0.3, 0.0, 1)


def test_what_a_late_sensor_says_is_what_was_there_at_its_stamp() -> None:
    on_time, delayed = world(None), world(late(50.0, 0.1))
    track, readings = {}, []
    for _ in range(15):
        drive(on_time, 0.5, 0.2, 1)
        drive(delayed, 0.5, 0.2, 1)
        track[on_time.stamp] = on_time.poses[0].copy()
        readings.append(delayed.readings(0))
    np.testing.assert_array_equal(on_time.poses, delayed.poses)  # sensors move nothing
    for reading in readings[1:]:
        assert reading.stamp - reading.pose_stamp == 100 * MILLISECOND
        there, here = track[reading.pose_stamp], track[reading.stamp]
        assert np.hypot(*(reading.pose[:2] - there[:2])) <= SPEC.localisation_bound
    assert np.hypot(*(here[:2] - there[:2])) > 0.04


def test_without_asking_every_age_is_zero_as_ever() -> None:
    floor = world(None)
    drive(floor, 0.3, 0.0, 2)
    reading = floor.readings(0)
    assert (reading.scan_stamp, reading.pose_stamp, reading.twist_stamp) == (reading.stamp,) * 3
    assert floor.perception.suite is None


def test_a_scan_beyond_its_bound_is_stale_and_one_within_is_not() -> None:
    for latency, cause in ((0.06, Cause.NONE), (0.1, Cause.NONE), (0.12, Cause.SCAN_STALE)):
        floor = world(late(50.0, latency))
        drive(floor, 0.3, 0.0, 3)
        age = ages(floor.readings(0), picture_stamp=floor.stamp, grant_expires=floor.stamp + 1)
        assert judge_ages(age, AgeBounds.of(SPEC)) in (cause, Cause.ODOMETRY_STALE if cause else Cause.NONE)
        assert (age.scan > AgeBounds.of(SPEC).scan) == (cause is Cause.SCAN_STALE)


def test_a_bumper_in_time_answers_late() -> None:
    sensors = Sensors(bumper=Bumper(Timing(rate=10.0, latency=0.1, phase=0.0)))
    aisle = make_site("aisle", np.zeros((1, 3), bool))
    plain, timed = (World(aisle, SPEC, 1, starts=np.array([1]), seed=0, sensors=each) for each in (None, sensors))
    first = {}
    for number in range(40):
        for name, floor in (("plain", plain), ("timed", timed)):
            drive(floor, 0.5, 0.0, 1)
            if floor.readings(0).bumper:
                first.setdefault(name, number)
    assert first["timed"] == first["plain"] + 1


def test_numbers_that_no_sensor_has_are_refused_by_their_option() -> None:
    config = Config(site="generate:7", robots="r0")
    for change, text in (
        ({"lidar_latency": 3.0}, "--lidar-latency: expected a number from 0 to 2 s, got 3"),
        ({"odometry_rate": -1.0}, "--odometry-rate: expected a number from 0 to 100000 Hz, got -1"),
    ):
        with pytest.raises(PlantError, match=text):
            check(replace(config, **change))
    with pytest.raises(SensorError, match="battery: expected no gauge"):
        world(Sensors(battery=BatteryGauge()))
