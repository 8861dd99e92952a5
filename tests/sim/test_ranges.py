"""Ranges that are written while an environment runs: what kernels could not draw from never reaches them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from sim.env import BatchEnv
from sim.generate import generate_campus
from sim.ranges import check_ranges
from sim.robot import RobotSpec
from sim.sensorspec import LidarSensor, Sensors, Timing
from sim.tasks.navigate import NavigateConfig
from sim.varied import plant_table
from sim.vary import VaryError, vary

TABLE = plant_table(RobotSpec())
WHOLE = TABLE.ranges()


def with_range(name: str, low: float, high: float) -> np.ndarray:
    """The whole table's ranges, one of them changed."""
    ranges = WHOLE.copy()
    ranges[TABLE.index(name)] = low, high
    return ranges


@pytest.mark.parametrize(
    ("ranges", "words"),
    [
        (np.full_like(WHOLE, np.nan), "friction: low: expected a number from 0.1 to 1.5, got nan"),
        (with_range("friction", 50.0, 60.0), "friction: low: expected a number from 0.1 to 1.5, got 50"),
        (with_range("friction", 0.6, 0.5), "friction: expected low <= high, got 0.6 > 0.5"),
        (with_range("latency", 0.0, np.inf), "latency: high: expected a number from 0 to 2 motor periods, got inf"),
        (with_range("latency", 0.5, 1.0), "latency: expected whole numbers for choice, got 0.5 to 1"),
        (with_range("mass", 0.8, 1.2), "mass: expected 1 to 1, which it was built with"),
        (np.zeros((3, 2), np.float32), f"expected ranges of shape ({len(TABLE)}, 2)"),
        (np.full_like(WHOLE, "a", dtype=object), "low and high of each row of the table, got"),
    ],
)
def test_ranges_that_no_row_can_have_are_refused_in_one_line(ranges: np.ndarray, words: str) -> None:
    with pytest.raises(VaryError) as caught:
        check_ranges(TABLE, ranges)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("boundaries", [(999,), (-1,), (2 * len(TABLE),), (0.5,), (True,), (1, 1)])
def test_boundaries_that_no_row_has_are_refused(boundaries: tuple[int, ...]) -> None:
    with pytest.raises(VaryError, match=r"expected (boundaries from 0 to|each boundary once)"):
        check_ranges(TABLE, WHOLE, boundaries)


def test_ends_that_float32_rounds_beyond_a_bound_are_the_bound() -> None:
    """1.6 m/s, as float32, is 1.600000023841858."""
    table = NavigateConfig().table()
    np.testing.assert_array_equal(check_ranges(table, table.ranges(), (0, 2 * len(table) - 1)), table.ranges())


def test_a_latency_may_not_outgrow_the_ring_that_its_sensor_was_built_with() -> None:
    config = replace(NavigateConfig(), sensors=Sensors(lidar=LidarSensor(Timing(latency=0.02))))
    table = replace(config, randomization=vary(lidar_latency=(0.02, 0.04))).table()
    ranges = table.ranges()
    ranges[table.index("lidar_latency")] = 0.03, 0.04
    check_ranges(table, ranges)
    ranges[table.index("lidar_latency")] = 0.03, 0.05
    with pytest.raises(VaryError, match=r"lidar_latency: expected at most 0\.04 s, which the sensor's ring"):
        check_ranges(table, ranges)


def test_an_environment_that_refuses_ranges_goes_on_with_those_it_had() -> None:
    env = BatchEnv(generate_campus(5, blocks=(2, 2)), replace(NavigateConfig(), paths=64), worlds=4, threads=1)
    env.reset()
    whole = env.table.ranges()
    wrong: list[Callable[[], None]] = [
        lambda: env.set_ranges(np.full_like(whole, np.nan)),
        lambda: env.set_ranges(np.zeros((3, 2), np.float32)),
        lambda: env.set_ranges(whole, (999,)),
    ]
    for attempt in wrong:
        with pytest.raises(VaryError):
            attempt()
    np.testing.assert_array_equal(env.plant.varies.ranges.numpy(), whole)
    assert not env.plant.varies.edges.numpy().any()
    assert np.isfinite(env.reset()).all()
    narrow = whole.copy()
    narrow[env.table.index("friction")] = 0.5
    env.set_ranges(narrow, (2 * env.table.index("friction"),))
    env.reset()
    assert (env.plant.varies.values.numpy()[:, env.table.index("friction")] == 0.5).all()
