"""How an episode begins depends on (seed, row, number of the episode): not on what was before, nor on who asked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from sim.env import BatchEnv
from sim.generate import generate_campus
from sim.people import PARKED
from sim.sensorspec import Sensors, full_suite
from sim.site import Site
from sim.suite import SensorSuite
from sim.tasks.navigate import NavigateConfig

CONFIG = NavigateConfig(paths=256)
ROWS = 12

OF_THE_STEP = ("task.outcome", "robot.collided", "robot.bumped", "robot.refused", "final_observation")
"""What the last step said, which no later step reads."""


@pytest.fixture(scope="module")
def site() -> Site:
    return generate_campus(5, blocks=(2, 2))


def make(site: Site, robots: int, time_limit: float = 60.0, sensors: Sensors = CONFIG.sensors) -> BatchEnv:
    config = replace(CONFIG, time_limit=time_limit, sensors=sensors)
    env = BatchEnv(site, config, worlds=ROWS // robots, robots=robots, seed=5, threads=1)
    env.reset()
    return env


def actions(steps: int) -> NDArray[np.float32]:
    return np.random.default_rng(8).uniform(-0.3, 0.3, (steps, ROWS, 2)).astype(np.float32)


def begun(env: BatchEnv) -> dict[str, NDArray]:
    """What the next steps depend on; of physics what the bodies and motors are, not the engine's clock."""
    saved = env.snapshot()
    away = saved["people.position"][..., 0] == PARKED
    for name, values in saved.items():
        if name.startswith(("people.", "crowd.")) and values.shape[:2] == away.shape:
            values[away] = 0  # nobody
    physics = ("backend.qpos", "backend.qvel", "backend.qacc_warmstart", "backend.field")
    return {
        name: values
        for name, values in saved.items()
        if not name.startswith(OF_THE_STEP) and (not name.startswith("backend") or name.startswith(physics))
    }


def differing_starts(site: Site, robots: int, sensors: Sensors = CONFIG.sensors) -> list[str]:
    """Names of what differs in an episode's begin between robots that drove before and robots that are new."""
    lived, fresh = make(site, robots, sensors=sensors), make(site, robots, sensors=sensors)
    for _ in range(4):
        for action in actions(3):
            lived.step(action)
        lived.reset()
    fresh.state.episode.numpy()[...] = lived.state.episode.numpy() - 1
    fresh.reset()
    expected = begun(fresh)
    return [name for name, values in begun(lived).items() if not np.array_equal(values, expected[name])]


@pytest.mark.parametrize("robots", [1, 3])
def test_an_episode_is_the_same_whatever_came_before(site: Site, robots: int) -> None:
    assert differing_starts(site, robots) == []


def test_sensors_remember_nothing_of_the_episode_before(site: Site) -> None:
    assert differing_starts(site, 1, full_suite()) == []


@pytest.mark.parametrize("leaky", ["lidar", "odometry", "imu"])
def test_a_sample_that_is_still_under_way_at_a_reset_is_caught(
    site: Site, leaky: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault: a reset leaves one sensor's ring as it is."""
    honest = SensorSuite.begin

    def begin(self: SensorSuite, mask: object) -> list:
        launches, ring = honest(self, mask), self.rings[leaky]

        class Leak:
            def launch(self) -> None:
                kept = ring.value.numpy().copy(), ring.due.numpy().copy()
                for launch in launches:
                    launch.launch()
                if ring.ticks.numpy().any():
                    ring.value.numpy()[...], ring.due.numpy()[...] = kept

        return [Leak()]

    monkeypatch.setattr(SensorSuite, "begin", begin)
    assert f"sensor.{leaky}.value" in differing_starts(site, 1, full_suite())


@pytest.mark.parametrize("robots", [1, 3])
def test_an_episode_that_begins_by_itself_is_as_one_that_was_asked_for(site: Site, robots: int) -> None:
    """At the limit of 1 s all episodes of one environment end; in the other somebody asks for new ones just then."""
    by_itself, asked = make(site, robots, time_limit=1.0), make(site, robots)
    for action in actions(10):
        step = by_itself.step(action)
        asked.step(action)
    assert step.truncated.all()
    asked.reset()
    expected = begun(asked)
    for name, values in begun(by_itself).items():
        np.testing.assert_array_equal(values, expected[name], err_msg=name)


def test_a_crowded_floor_is_searched_for_starts_that_do_not_touch() -> None:
    """16 robots in blocks of as few as 32 cells: of 64 drawn paths none is two cells from all others in many worlds."""
    worlds, robots = 64, 16
    env = BatchEnv(generate_campus(0), replace(CONFIG, people=0, paths=4096), worlds=worlds, robots=robots, seed=1)
    env.reset()
    at = env.state.pose.numpy().reshape(worlds, robots, 3)[:, :, :2]
    apart = np.linalg.norm(at[:, :, None] - at[:, None], axis=-1) + 9.0 * np.eye(robots)
    assert apart.min() > 2.0 * CONFIG.spec.radius
    assert (apart.min(axis=(1, 2)) < 2.0 * env.site.cell - 0.5).any()  # where two cells between them were too much
