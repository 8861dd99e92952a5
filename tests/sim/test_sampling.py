"""When sensors look and when their answers arrive, against exact fractions of a second."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from sim.sensorspec import LidarSensor, Localisation, SensorError, Sensors, Timing, check_sensors, full_suite
from sim.vary import Change
from tests.sim.sensorbench import Bench

LOCALISATION = 1


def place(timing: Timing) -> Sensors:
    return Sensors(localisation=Localisation(timing))


def expected_ages(timing: Timing, dt: Fraction, steps: int) -> list[Fraction]:
    """By the definition, in exact numbers: the newest tick of all times whose answer is there at each step."""
    period = max(1 / Fraction(timing.rate).limit_denominator(1000), dt) if timing.rate else dt
    latency, phase = Fraction(str(timing.latency)), Fraction(str(timing.phase or 0))
    ticks = range(-math.ceil((latency + 2 * period) / period) - 2, math.ceil(steps * dt / period) + 2)
    looked = [math.ceil((phase + tick * period) / dt) for tick in ticks]
    there = [math.ceil((step * dt + latency) / dt) for step in looked]
    return [(now - max(s for s, t in zip(looked, there, strict=True) if t <= now)) * dt for now in range(steps)]


@pytest.mark.parametrize("dt", [Fraction(1, 50), Fraction(1, 200)])
@pytest.mark.parametrize(
    "timing",
    [
        Timing(latency=0.037),
        Timing(latency=0.04),
        Timing(),
        Timing(rate=40.0, latency=0.025, phase=0.0),
        Timing(rate=10.0, latency=0.06, phase=0.03),
        Timing(rate=15.0, latency=0.1, phase=0.011),
        Timing(rate=1000.0, latency=0.037, phase=0.0),
    ],
    ids=str,
)
def test_ages_are_those_of_the_definition_at_every_physics_step(timing: Timing, dt: Fraction) -> None:
    bench = Bench(place(timing), timestep=float(dt), level=0.0)
    ages = expected_ages(timing, dt, 120)
    for now, age in enumerate(ages[1:], 1):
        bench.pose[0, 0] = now  # the place tells when it was looked at
        bench.step()
        bench.read()
        assert bench.age(LOCALISATION)[0] == pytest.approx(float(age), abs=1e-6)
        assert bench.measured_pose[0, 0] == max(round(now - age / dt), 0)
    # never older than the latency and a period, each rounded up to a step, also while an episode begins
    assert max(ages) < Fraction(str(timing.latency)) + 2 * dt + (1 / Fraction(timing.rate) if timing.rate else 0)


def test_a_latency_of_37_ms_is_two_steps_of_20_ms_and_eight_of_5_ms() -> None:
    for dt, steps in ((0.02, 2), (0.005, 8)):
        bench = Bench(place(Timing(latency=0.037)), timestep=dt)
        for _ in range(20):
            bench.step()
        bench.read()
        assert bench.age(LOCALISATION)[0] == pytest.approx(steps * dt)


def test_an_episode_begins_with_what_a_robot_saw_that_stood_there() -> None:
    bench = Bench(place(Timing(rate=10.0, latency=0.05)), rows=500)
    # 50 ms are three steps of 20 ms, and the newest tick lies up to a period before
    ages = bench.age(LOCALISATION)
    assert ages.min() == pytest.approx(0.06)
    assert 0.13 < ages.max() <= 0.16 + 1e-6


def test_between_arrivals_the_last_sample_is_held() -> None:
    bench = Bench(place(Timing(rate=5.0, latency=0.04, phase=0.0)), level=0.0)
    seen = []
    for now in range(1, 31):
        bench.pose[0, 0] = now
        bench.step()
        bench.read()
        seen.append(int(bench.measured_pose[0, 0]))
    # looks at steps 10, 20, 30 (200 ms), each there two steps later
    assert seen == [0] * 11 + [10] * 10 + [20] * 9


def test_phases_differ_from_row_to_row_and_spread_over_the_period() -> None:
    bench = Bench(place(Timing(rate=1.0)), rows=2000, timestep=0.005)
    first = np.zeros(2000, int)
    for now in range(1, 201):
        bench.step()
        bench.read()
        new = (bench.age(LOCALISATION) == 0.0) & (first == 0)
        first[new] = now
    assert (first > 0).all()
    # uniform over 200 steps: mean 100.5, standard deviation 57.7 / sqrt(2000) = 1.3
    assert first.mean() == pytest.approx(100.5, abs=5.0)
    assert first.min() < 5
    assert first.max() > 196


def test_a_lost_sample_is_never_read_and_as_many_are_lost_as_set() -> None:
    rows, ticks = 400, 50
    bench = Bench(place(Timing(hold=0.3)), rows=rows)
    lost = 0
    for _ in range(ticks):
        bench.step()
        bench.read()
        lost += int((bench.age(LOCALISATION) > 0.0).sum())
    # 20,000 draws of 0.3: standard deviation 0.0032
    assert lost / rows / ticks == pytest.approx(0.3, abs=0.013)


def test_jitter_makes_ages_vary_but_never_lets_an_older_sample_follow_a_newer_one() -> None:
    bench = Bench(place(Timing(rate=50.0, latency=0.02, jitter=0.06, phase=0.0)), rows=300, timestep=0.005, level=0.0)
    stamps, ages = [], []
    for now in range(1, 161):
        bench.pose[:, 0] = now
        bench.step()
        bench.read()
        stamps.append(bench.measured_pose[:, 0].copy())
        ages.append(bench.age(LOCALISATION).copy())
    assert (np.diff(stamps, axis=0) >= 0).all()
    settled = np.array(ages[40:])
    assert settled.min() >= 0.02 - 1e-6
    assert settled.max() <= 0.02 + 0.06 + 0.02 + 1e-6
    assert settled.std() > 0.005


def test_a_latency_is_the_episodes_own_where_the_table_says_so() -> None:
    change = Change("localisation_latency", 0.0, 0.2)
    bench = Bench(place(Timing()), rows=1000, timestep=0.005, changes=[change])
    assert bench.suite.rings["localisation"].stamp.shape[1] == 43  # of 5 ms in 0.2 s, and three
    for episode in range(2):
        bench.episode[:] = episode
        bench.begin()
        for _ in range(60):
            bench.step()
        bench.read()
        ages = bench.age(LOCALISATION)
        # uniform over 0 to 200 ms, rounded up to 5 ms
        assert ages.mean() == pytest.approx(0.1025, abs=0.006)
        assert ages.max() <= 0.2 + 1e-6
        assert len(np.unique(ages.round(4))) >= 38


def test_what_cannot_be_is_refused_by_name() -> None:
    check_sensors(full_suite())
    for sensors, text in (
        (place(Timing(rate=-1.0)), "localisation.timing.rate: expected a number from 0 to 100000, got -1"),
        (place(Timing(latency=3.0)), "localisation.timing.latency: expected a number from 0 to 2, got 3"),
        (place(Timing(hold=math.nan)), "localisation.timing.hold"),
        (Sensors(lidar=LidarSensor(ghosts=(0.0, 1.5))), "lidar.ghosts: expected a number from 0 to 1, got 1.5"),
        (Sensors(lidar=LidarSensor(ghosts=(0.3, 0.1))), "lidar.ghosts: expected low <= high"),
    ):
        with pytest.raises(SensorError, match=text):
            check_sensors(sensors)
