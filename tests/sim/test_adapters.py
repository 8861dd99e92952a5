from __future__ import annotations

from functools import partial

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from pettingzoo.test import parallel_api_test, parallel_seed_test

from sim.adapters import WarehouseEnv, WarehouseVectorEnv
from sim.bounds import ConfigError
from sim.env import ActionError
from sim.fleet_v1 import FleetParallelEnv
from sim.generate import generate_campus
from sim.pictures import RenderError
from sim.site import Site
from sim.tasks.fleet import fleet
from sim.tasks.navigate import NavigateConfig
from tests.sim.records import needs_opengl

CONFIG = NavigateConfig(paths=128, time_limit=4.0)


@pytest.fixture(scope="module")
def site() -> Site:
    return generate_campus(6, blocks=(1, 2))


def test_gymnasiums_own_checks_pass(site: Site) -> None:
    check_env(WarehouseEnv(site, CONFIG), skip_render_check=True)


def test_pettingzoos_own_checks_pass(site: Site) -> None:
    whole = fleet(CONFIG, shared=True)  # the first check wants every possible agent to take part
    parallel_api_test(FleetParallelEnv(site, whole, robots=3), num_cycles=120)
    for config in (whole, fleet(CONFIG, fewest=1)):
        parallel_seed_test(lambda config=config: FleetParallelEnv(site, config, robots=3), num_cycles=60)


def test_a_list_seeds_each_row_as_a_single_environment(site: Site) -> None:
    many = WarehouseVectorEnv(site, CONFIG, 3, threads=1)
    seeds = [5, 2**32 + 5, 9]
    seen = many.reset(seed=list(seeds))[0]
    ones = [WarehouseEnv(site, CONFIG) for _ in seeds]
    np.testing.assert_array_equal(seen, [one.reset(seed=seed)[0] for one, seed in zip(ones, seeds, strict=True)])
    assert (seen[0] != seen[1]).any()  # all 64 bits count
    many.action_space.seed(1)
    running = np.ones(3, bool)
    for _ in range(30):
        action = many.action_space.sample()
        x = many.step(action)
        for row in np.flatnonzero(running):
            y = ones[row].step(action[row])
            assert (x[1][row], x[2][row], x[3][row]) == (y[1], y[2], y[3])
            running[row] = not (y[2] or y[3])
            if running[row]:
                np.testing.assert_array_equal(x[0][row], y[0])
    again = many.reset(options={"reset_mask": np.array([False, True, False])})[0]
    np.testing.assert_array_equal(again[[0, 2]], x[0][[0, 2]])
    assert (again[1] != x[0][1]).any()
    np.testing.assert_array_equal(many.reset(seed=[5, None, 9])[0][[0, 2]], seen[[0, 2]])
    batch = many.reset(seed=5)[0]  # one number: the first world's alone is that of the list
    np.testing.assert_array_equal(batch[0], seen[0])
    assert (batch[1] != seen[1]).any()


def test_seeds_that_are_none_are_refused(site: Site) -> None:
    env = WarehouseVectorEnv(site, CONFIG, 4, robots=2, threads=1)
    with pytest.raises(ValueError, match="expected a seed for each of 4 rows, got 2"):
        env.reset(seed=[1, 2])
    with pytest.raises(ValueError, match=r"expected the same seed for all 2 rows of world 1, got \[2, 3\]"):
        env.reset(seed=[1, 1, 2, 3])
    assert env.reset(seed=[1, 1, 2, 2])[0].shape[0] == 4
    for seed in (-1, 2**64, [-1, -1, 2, 2]):
        with pytest.raises(ConfigError, match="seed: expected a whole number, from 0 to 18446744073709551615, got"):
            env.reset(seed=seed)  # type: ignore[arg-type]  # a list of numbers is one of numbers or None


def test_a_seed_fixes_all_episodes_of_the_vector_environment(site: Site) -> None:
    first, second = (WarehouseVectorEnv(site, CONFIG, 6, threads=1) for _ in range(2))
    a, _ = first.reset(seed=3)
    b, _ = second.reset(seed=3)
    np.testing.assert_array_equal(a, b)
    assert first.observation_space.contains(a)
    first.action_space.seed(0)
    ended = 0
    for _ in range(60):
        action = first.action_space.sample()
        x, y = first.step(action), second.step(action)
        for part, other in zip(x[:4], y[:4], strict=True):
            np.testing.assert_array_equal(part, other)
        done = x[2] | x[3]
        ended += int(done.sum())
        if done.any():
            np.testing.assert_array_equal(x[4]["_final_obs"], done)
            for row in np.flatnonzero(done):
                assert (x[4]["final_obs"][row] != x[0][row]).any()
    assert ended > 0
    c, _ = first.reset()  # goes on with later episodes
    assert (c != a).any()


def test_the_single_environment_plays_episode_after_episode(site: Site) -> None:
    env = WarehouseEnv(site, CONFIG)
    observation, _ = env.reset(seed=1)
    starts = [observation]
    for _ in range(3):
        for _ in range(41):
            observation, _, terminated, truncated, _ = env.step(np.zeros(2, np.float32))
            if terminated or truncated:
                break
        assert truncated
        starts.append(env.reset()[0])
    assert len({start.tobytes() for start in starts}) == 4


def test_rows_must_fill_worlds(site: Site) -> None:
    with pytest.raises(ValueError, match="multiple of 4"):
        WarehouseVectorEnv(site, CONFIG, 6, robots=4)
    with pytest.raises(ValueError, match="expected 1 or more for num_envs and robots, got 0 and 1"):
        WarehouseVectorEnv(site, CONFIG, 0)


@pytest.mark.parametrize(
    ("keyword", "value", "words"),
    [("peple", 3, 'did you mean "people"'), ("people", -3, "config=NavigateConfig"), ("sit", "", 'mean "site"')],
)
def test_unknown_keywords_of_an_id_are_refused_with_those_it_has(keyword: str, value: object, words: str) -> None:
    for make in (gymnasium.make, partial(gymnasium.make_vec, num_envs=2)):
        with pytest.raises(ValueError, match="expected keywords of config, ") as caught:
            make("sim.gym:muster/WarehouseNavigate-v1", **{keyword: value})
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_action_that_is_no_number_is_an_error(site: Site, bad: float) -> None:
    vector, single = WarehouseVectorEnv(site, CONFIG, 2), WarehouseEnv(site, CONFIG)
    parallel = FleetParallelEnv(site, fleet(CONFIG), 2)
    vector.reset(seed=0)
    single.reset(seed=0)
    parallel.reset(seed=0)
    action = np.array([0.0, bad], np.float32)
    with pytest.raises(ActionError, match="expected finite numbers"):
        vector.step(np.stack([action, action]))
    with pytest.raises(ActionError, match="expected finite numbers"):
        single.step(action)
    with pytest.raises(ActionError, match="expected finite numbers"):
        parallel.step({"robot_0": action, "robot_1": action})
    with pytest.raises(ActionError, match=r"expected an action of shape \(2, 2\)"):
        vector.step(np.zeros((3, 2), np.float32))
    with pytest.raises(ActionError, match=r"expected an action of shape \(2,\)"):
        single.step(np.zeros(3, np.float32))
    with pytest.raises(ActionError, match=r"expected an action of shape \(2,\)"):
        parallel.step({"robot_0": np.zeros(3, np.float32)})
    with pytest.raises(ActionError, match="robots that still run"):
        parallel.step({"robot_7": np.zeros(2, np.float32)})


@needs_opengl
def test_every_adapter_renders_what_it_simulates(site: Site) -> None:
    single = WarehouseEnv(site, CONFIG, render_mode="rgb_array")
    single.reset(seed=1)
    first = single.render()
    assert first is not None
    assert first.shape == (480, 640, 3)
    single.step(np.ones(2, np.float32))
    for _ in range(5):
        single.step(np.ones(2, np.float32))
    assert (single.render() != first).any()
    single.reset(seed=1)
    np.testing.assert_array_equal(single.render(), first)
    single.close()
    many = WarehouseVectorEnv(site, CONFIG, 4, robots=2, threads=1, render_mode="rgb_array")
    many.reset(seed=1)
    frames = many.render()
    assert frames is not None
    assert len(frames) == 4
    np.testing.assert_array_equal(frames[0], frames[1])  # robots of one world
    assert (frames[1] != frames[2]).any()
    many.close()
    fleets = FleetParallelEnv(site, fleet(CONFIG, shared=True), robots=3, render_mode="rgb_array")
    fleets.reset(seed=1)
    picture = fleets.render()
    assert picture is not None
    assert picture.shape == (480, 640, 3)
    assert picture.dtype == np.uint8
    fleets.close()


def test_without_a_render_mode_nothing_is_drawn(site: Site) -> None:
    env = WarehouseEnv(site, CONFIG)
    env.reset(seed=1)
    assert env.render() is None
    assert WarehouseVectorEnv(site, CONFIG, 2, threads=1).render() is None
    with pytest.raises(RenderError, match=r'expected render_mode None or "rgb_array", got \'human\''):
        WarehouseEnv(site, CONFIG, render_mode="human")
