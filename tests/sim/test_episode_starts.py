"""How an episode begins depends on (seed, row, number of the episode): not on what was before, nor on who asked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from sim.env import BatchEnv
from sim.generate import generate_campus
from sim.people import PARKED
from sim.site import Site
from sim.tasks.navigate import NavigateConfig

CONFIG = NavigateConfig(paths=256)
ROWS = 12

OF_THE_STEP = ("task.outcome", "robot.collided", "robot.bumped", "robot.refused", "final_observation")
"""What the last step said, which no later step reads."""


@pytest.fixture(scope="module")
def site() -> Site:
    return generate_campus(5, blocks=(2, 2))


def make(site: Site, robots: int, time_limit: float = 60.0) -> BatchEnv:
    config = replace(CONFIG, time_limit=time_limit)
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


@pytest.mark.parametrize("robots", [1, 3])
def test_an_episode_is_the_same_whatever_came_before(site: Site, robots: int) -> None:
    lived, fresh = make(site, robots), make(site, robots)
    for _ in range(4):
        for action in actions(3):
            lived.step(action)
        lived.reset()
    fresh.state.episode.numpy()[...] = lived.state.episode.numpy() - 1
    fresh.reset()
    expected = begun(fresh)
    for name, values in begun(lived).items():
        np.testing.assert_array_equal(values, expected[name], err_msg=name)


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
