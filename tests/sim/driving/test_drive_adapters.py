"""The road under other people's checkers: Gymnasium's, stable-baselines3's, PettingZoo's."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from pettingzoo.test import api_test, max_cycles_test, parallel_api_test, parallel_seed_test, seed_test, state_test

from sim import drive_v1
from sim.bounds import ConfigError
from sim.driving.adapters import DriveEnv, DriveVectorEnv
from sim.driving.atlas import Atlas
from sim.driving.env import RoadConfig
from sim.driving.fleetenv import CarsEnv, Together
from sim.errors import MusterError
from sim.files import FileError
from sim.gym import drive_ids
from sim.road import RoadError
from sim.roadgen import generate_rural
from sim.tasks.navigate import NavigateConfig
from sim.tasks.task import Ending
from sim.worlds import ActionError
from tests.sim.driving.plainworld import plain_atlas
from tests.sim.roadfiles import geometry, lane, road, section, write

IDS = sorted(drive_ids())


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    return plain_atlas()


def make(name: str, **options: Any) -> Any:  # what Gymnasium makes
    return gymnasium.make(f"sim.gym:{name}", **options)


def test_every_skill_has_an_id() -> None:
    skills = {"Lane": "lane", "Change": "change", "PullOver": "pull_over", "Route": "route"}
    assert drive_ids() == {f"muster/Drive{name}-v1": skill for name, skill in skills.items()}
    assert tuple(skills.values()) == drive_v1.TASKS


SOME = [pytest.param(name, marks=() if "Lane" in name or "Route" in name else pytest.mark.slow) for name in IDS]
"""All ids, two of them fast: of the skills little but the reward differs."""


@pytest.mark.parametrize("name", IDS)
def test_gymnasiums_checker_passes_with_pictures(name: str) -> None:
    check_env(make(name, time_limit=1.0, render_mode="rgb_array").unwrapped)


@pytest.mark.parametrize("name", SOME)
def test_stable_baselines_checker_passes(name: str) -> None:
    checker = pytest.importorskip("stable_baselines3.common.env_checker", reason="needs the extra rivals")
    checker.check_env(make(name, time_limit=1.0).unwrapped)


@pytest.mark.parametrize("name", IDS)
def test_the_native_vector_environment_lives_the_single_ones_life(name: str) -> None:
    many = gymnasium.make_vec(f"sim.gym:{name}", num_envs=3, time_limit=0.5, threads=1)
    one = make(name, time_limit=0.5)
    assert isinstance(many.unwrapped, DriveVectorEnv)
    assert isinstance(one.unwrapped, DriveEnv)
    seen, first = many.reset(seed=5)[0], one.reset(seed=5)[0]
    np.testing.assert_array_equal(seen[0], first)
    many.action_space.seed(1)
    ends = 0
    for _ in range(25):
        action = many.action_space.sample()
        seen, reward, terminated, truncated, info = many.step(action)
        last, earned, lost, cut, said = one.step(action[0])
        assert (reward[0], terminated[0], truncated[0]) == (earned, lost, cut)
        assert info["ending"][0] == said["ending"]
        if lost or cut:
            ends += 1
            np.testing.assert_array_equal(info["final_obs"][0], last)
            last = one.reset()[0]
        np.testing.assert_array_equal(seen[0], last)
    assert ends >= 2


def test_a_list_seeds_each_row_as_a_single_environment(atlas: Atlas) -> None:
    config = RoadConfig(traffic=4, walkers=1)
    many, one = DriveVectorEnv(atlas, config, 2, threads=1), DriveEnv(atlas, config)
    seen = many.reset(seed=[5, 9])[0]
    for row, seed in enumerate((5, 9)):
        np.testing.assert_array_equal(seen[row], one.reset(seed=seed)[0])
    assert (seen[0] != seen[1]).any()


def test_an_id_takes_several_roads_an_atlas_and_a_configuration(atlas: Atlas) -> None:
    env = make("muster/DriveRoute-v1", road=["rural:2", generate_rural(3)], config=RoadConfig("route", traffic=2))
    assert env.unwrapped._environment.atlas.roads[0].name == "rural:2"
    assert env.unwrapped._environment.config.traffic == 2
    full = make("muster/DriveLane-v1", road=atlas, body="full", config=RoadConfig(traffic=1, walkers=0))
    assert full.unwrapped._environment.scene.body == "full"
    assert full.metadata["render_fps"] == 20


def test_pictures_show_what_drives(atlas: Atlas) -> None:
    env = DriveEnv(atlas, RoadConfig(traffic=4, walkers=0), render_mode="rgb_array")
    env.reset(seed=1)
    first = env.render()
    assert first is not None
    assert first.shape == (480, 640, 3)
    for _ in range(10):
        env.step(np.array([1.0, 0.0], np.float32))
    assert (env.render() != first).any()
    env.reset(seed=1)
    np.testing.assert_array_equal(env.render(), first)
    many = DriveVectorEnv(atlas, RoadConfig(traffic=4, walkers=0), 4, robots=2, threads=1, render_mode="rgb_array")
    many.reset(seed=1)
    frames = many.render()
    assert frames is not None
    np.testing.assert_array_equal(frames[0], frames[1])  # cars of one world
    assert (frames[1] != frames[2]).any()


def refused(call: Callable[[], object], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


LANE = partial(make, "muster/DriveLane-v1")


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        (lambda: LANE(road="city:7"), RoadError, 'got "city:7"'),
        (lambda: LANE(road="town:x"), RoadError, "expected a whole number"),
        (lambda: LANE(road=[]), RoadError, "expected at least one road, got none"),
        (lambda: LANE(road=[7]), RoadError, "expected a road's name or a road, got 7"),
        (lambda: LANE(road=7), RoadError, "expected a road's name or a road, got 7"),
        (lambda: LANE(road="missing.xodr"), FileError, "missing.xodr"),
        (lambda: make("muster/DriveChange-v1", road="rural:2"), RoadError, "rural:2: expected a road where the task"),
        (lambda: LANE(rode="town:7"), ValueError, "got 'rode'; did you mean \"road\""),
        (lambda: LANE(traffic=3), ValueError, "config=RoadConfig"),
        (lambda: LANE(config=RoadConfig("route")), ValueError, "a configuration of lane, got one of route"),
        (lambda: LANE(config=NavigateConfig()), ValueError, "a configuration of lane, got a NavigateConfig"),
        (lambda: LANE(config=RoadConfig(traffic=-1)), ConfigError, "traffic"),
        (lambda: LANE(body="wheeled"), MusterError, "body: expected"),
        (lambda: drive_v1.parallel_env("lain"), ValueError, "got 'lain'; did you mean \"lane\""),
        (lambda: drive_v1.parallel_env(cars=2, fewest=3), ValueError, "at least 3 robots in a world, got 2"),
        (lambda: drive_v1.parallel_env(fewest=-1), ConfigError, "fewest"),
        (lambda: gymnasium.make("sim.gym:muster/DriveLain-v1"), gymnasium.error.Error, "DriveLain"),
    ],
)
def test_what_there_is_none_of_is_refused_in_one_line(
    call: Callable[[], object], kind: type[Exception], words: str
) -> None:
    refused(call, kind, words)


def test_actions_that_are_none_are_refused(atlas: Atlas) -> None:
    env = DriveEnv(atlas, RoadConfig(traffic=0, walkers=0))
    env.reset(seed=1)
    refused(lambda: env.step(np.zeros(3, np.float32)), ActionError, r"shape \(2,\)")
    refused(lambda: env.step(np.array([0.0, np.nan], np.float32)), ActionError, "finite")


@pytest.mark.parametrize("cars", [pytest.param(1, marks=pytest.mark.slow), 3])
@pytest.mark.parametrize("task", drive_v1.TASKS)
def test_pettingzoos_parallel_checkers_pass(task: str, cars: int) -> None:
    parallel_api_test(drive_v1.parallel_env(task, cars, max_cycles=20), num_cycles=60)
    parallel_seed_test(lambda: drive_v1.parallel_env(task, cars, max_cycles=20, fewest=1), num_cycles=30)


def test_pettingzoos_other_checkers_pass(capsys: pytest.CaptureFixture[str]) -> None:
    make_one = partial(drive_v1.env, "lane", 2, max_cycles=20)
    api_test(make_one(), num_cycles=40)
    seed_test(make_one, num_cycles=20)
    state_test(make_one(), drive_v1.parallel_env("lane", 2, max_cycles=20))
    assert "Passed" in capsys.readouterr().out


@pytest.mark.parametrize(
    "task", [drive_v1.TASKS[0], *(pytest.param(t, marks=pytest.mark.slow) for t in drive_v1.TASKS[1:])]
)
def test_an_episode_has_as_many_cycles_as_were_asked_for(task: str) -> None:
    class Module:
        """PettingZoo's test takes a module, of one task here."""

        parallel_env = staticmethod(partial(drive_v1.parallel_env, task, 2))
        env = staticmethod(partial(drive_v1.env, task, 2))

    max_cycles_test(Module)


CARS = 3


def together(atlas: Atlas, worlds: int, **options: Any) -> CarsEnv:
    config = RoadConfig("lane", traffic=4, walkers=1, time_limit=3.0)
    return CarsEnv(atlas, config, Together(**options), worlds=worlds, cars=CARS, seed=7, threads=1)


def test_padding_never_acts_and_the_number_of_cars_is_drawn(atlas: Atlas) -> None:
    env = together(atlas, 30, fewest=1)
    first = env.reset()
    mask = first.mask.copy()
    assert set(mask.sum(axis=1).tolist()) == {1, 2, 3}
    assert (first.observation[~mask] == 0.0).all()
    assert (first.observation[mask] != 0.0).any(axis=-1).all()
    padded = env.environment.plant.actors.kind.numpy()[:, :CARS]
    assert (padded[~mask] == -1).all()
    assert (padded[mask] >= 0).all()
    drawn = np.random.default_rng(0)
    for _ in range(10):
        step = env.step(drawn.uniform(-1.0, 1.0, (30, CARS, 2)).astype(np.float32))
        quiet = ~mask & (env.environment.state.episode.numpy().reshape(30, CARS) == 0)
        for values in (step.reward, step.terminated, step.truncated, step.acted):
            assert not values[quiet].any()
        assert np.isfinite(step.observation).all()


def test_a_car_that_ends_is_told_once_and_leaves_the_road(atlas: Atlas) -> None:
    env = together(atlas, 8)
    before = env.reset().mask.copy()
    left_early = closed = 0
    drawn = np.random.default_rng(0)
    for _ in range(90):
        action = drawn.uniform(-1.0, 1.0, (8, CARS, 2)).astype(np.float32)
        action[drawn.random((8, CARS)) < 0.04] = np.nan  # ends a car
        step = env.step(action)
        ended = (step.terminated | step.truncated).astype(bool)
        np.testing.assert_array_equal(step.acted, before)
        np.testing.assert_array_equal(ended, step.ending != Ending.RUNNING)
        assert not ended[~step.acted].any()
        assert np.isfinite(step.observation).all()
        running = ~step.closed
        np.testing.assert_array_equal(step.mask[running], (step.acted & ~ended)[running])
        np.testing.assert_array_equal(step.closed, ~(step.acted & ~ended).any(axis=1))
        gone = ~before & running[:, None]  # ended before this step
        left_early += int(gone.sum())
        closed += int(step.closed.sum())
        kinds = env.environment.plant.actors.kind.numpy()[:, :CARS]
        assert (kinds[gone] == -1).all()
        assert (env.environment.plant.footing.lane.numpy().reshape(8, CARS)[gone] == -1).all()
        before = step.mask.copy()
    assert left_early > 30
    assert closed > 8


def test_the_shared_reward_is_the_mean_of_those_that_acted(atlas: Atlas) -> None:
    own, shared = together(atlas, 4), together(atlas, 4, shared=True)
    own.reset()
    shared.reset()
    drawn = np.random.default_rng(0)
    for _ in range(40):
        action = drawn.uniform(-1.0, 1.0, (4, CARS, 2)).astype(np.float32)
        a, b = own.step(action), shared.step(action)
        np.testing.assert_array_equal(a.observation, b.observation)
        mean = a.reward.sum(axis=1) / a.acted.sum(axis=1)
        np.testing.assert_allclose(b.reward, np.where(b.acted, mean[:, None], 0.0), rtol=1e-5, atol=1e-6)


def test_pettingzoo_gives_what_the_batch_gives(atlas: Atlas) -> None:
    config = RoadConfig("lane", traffic=4, walkers=1, time_limit=3.0)
    batch = CarsEnv(atlas, config, Together(fewest=2), worlds=2, cars=CARS, seed=9, threads=1)
    parallel = drive_v1.CarsParallelEnv(atlas, config, Together(fewest=2), CARS)
    first = batch.reset()
    seen, _ = parallel.reset(seed=9)
    assert list(seen) == [f"car_{k}" for k in np.flatnonzero(first.mask[0])]
    episodes = 0
    drawn = np.random.default_rng(1)
    for _ in range(130):
        if not parallel.agents:
            seen, _ = parallel.reset()
            episodes += 1
        for name, values in seen.items():
            np.testing.assert_array_equal(values, batch.step_now.observation[0, int(name[4:])])
        action = drawn.uniform(-1.0, 1.0, (2, CARS, 2)).astype(np.float32)
        rows = {name: int(name[4:]) for name in parallel.agents}
        got = parallel.step({name: action[0, row] for name, row in rows.items()})
        step = batch.step(action)
        assert all(got[1][name] == step.reward[0, row] for name, row in rows.items())
        seen = {name: values for name, values in got[0].items() if name in parallel.agents}
    assert episodes > 1


def test_cars_that_begin_in_a_world_that_goes_on_keep_away_from_everybody() -> None:
    """Rows that begin anew alone stand where nobody is, as long as the road has such a place."""
    env = gymnasium.make_vec(
        "sim.gym:muster/DriveLane-v1", num_envs=24, robots=2, threads=1, time_limit=2.0, road="highway:7",
        config=RoadConfig(traffic=12, walkers=0),
    ).unwrapped  # fmt: skip
    assert isinstance(env, DriveVectorEnv)
    env.reset(seed=3)
    for turn in range(20):
        mask = np.arange(24) % 2 == turn % 2
        env.reset(options={"reset_mask": mask})
        plant = env.environment.plant  # type: ignore[attr-defined]  # a RoadEnv
        pose, kind = plant.actors.pose.numpy(), plant.actors.kind.numpy()
        slot = turn % 2
        away = np.hypot(*np.moveaxis(pose[:, :, :2] - pose[:, slot, None, :2], -1, 0))
        away[:, slot] = np.inf
        assert away[kind >= 0].min() > 20.0
        env.step(np.zeros((24, 2), np.float32))


def test_a_snapshot_of_several_cars_goes_on_bit_for_bit(atlas: Atlas) -> None:
    env = together(atlas, 3, fewest=1)
    env.reset()
    drawn = np.random.default_rng(2).uniform(-1.0, 1.0, (50, 3, CARS, 2)).astype(np.float32)
    for action in drawn[:15]:
        env.step(action)
    saved = env.snapshot()
    runs = []
    for _ in range(2):
        env.restore(saved)
        runs.append([env.step(action).observation.copy() for action in drawn[15:]])
    for one, other in zip(*runs, strict=True):
        np.testing.assert_array_equal(one, other)
    assert any((a != b).any() for a, b in pairwise(runs[0]))


def test_the_road_of_a_file_can_be_driven(tmp_path: Path) -> None:
    lanes = section(0.0, right=lane(-1))
    path = write(tmp_path / "straight.xodr", road("1", 400.0, geometry(0.0, 0.0, 0.0, 0.0, 400.0), lanes))
    env = make("muster/DriveLane-v1", road=str(path), config=RoadConfig(traffic=2, walkers=0))
    assert np.isfinite(env.reset(seed=1)[0]).all()
