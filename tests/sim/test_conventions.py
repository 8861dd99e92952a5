"""Other people's checkers and other people's loops, on every task."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from pettingzoo.test import (
    api_test,
    max_cycles_test,
    parallel_api_test,
    parallel_seed_test,
    render_test,
    seed_test,
    state_test,
)

from sim import fleet_v1
from sim.adapters import WarehouseVectorEnv
from sim.generate import generate_campus
from sim.gym import ids, make_env, register
from sim.tasks.avoid import avoid
from sim.tasks.carry import CarryConfig
from sim.tasks.dock import DockConfig
from sim.tasks.fleet import FleetConfig
from sim.tasks.navigate import NavigateConfig
from sim.tasks.registry import TASKS
from sim.tasks.task import Ending
from sim.tasks.track import TrackConfig
from tests.sim.records import needs_opengl

IDS = sorted(ids())
SHORT = 2.0
"""Time limit of an episode in these tests, s: 20 steps."""

needs_torchrl = pytest.mark.skipif(
    importlib.util.find_spec("torchrl") is None, reason="needs TorchRL: pip install -c constraints.txt '.[rivals]'"
)


def fresh(code: str, root: Path) -> str:
    """What a new process that has imported nothing prints."""
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_task_has_an_id() -> None:
    assert set(ids().values()) == {name for name, make in TASKS.items() if not isinstance(make(), FleetConfig)}
    assert ids()["muster/WarehouseNavigate-v1"] == "navigate"
    register()  # twice: no warning, which would be an error here
    assert set(IDS) <= set(gymnasium.registry)


def test_an_id_needs_no_import_of_ours(root: Path) -> None:
    said = fresh(
        "import gymnasium\n"
        "env = gymnasium.make('sim.gym:muster/WarehouseNavigate-v1')\n"
        "print(env.reset(seed=1)[0].shape, env.unwrapped.__class__.__name__)\n"
        "envs = gymnasium.make_vec('sim.gym:muster/WarehouseDock-v1', num_envs=3)\n"
        "print(envs.reset(seed=1)[0].shape, envs.unwrapped.__class__.__name__)\n",
        root,
    )
    assert said.split("\n")[:2] == ["(89,) WarehouseEnv", "(3, 93) WarehouseVectorEnv"]


def test_the_plugin_entry_point_registers_under_its_name(root: Path) -> None:
    """As Gymnasium 0.26 to 0.29 loaded plugins: the entry point's name is the namespace of all that it registers."""
    declared = tomllib.loads((root / "pyproject.toml").read_text())["project"]["entry-points"]["gymnasium.envs"]
    assert list(declared) == ["muster"]
    module, _, function = declared["muster"].partition(":")
    before = {name: gymnasium.registry.pop(name) for name in IDS}
    try:
        with gymnasium.envs.registration.namespace("muster"):
            getattr(importlib.import_module(module), function)()
        assert set(IDS) <= set(gymnasium.registry)
    finally:
        gymnasium.registry.update(before)


@pytest.mark.parametrize("name", IDS)
def test_gymnasiums_checker_passes(name: str) -> None:
    check_env(gymnasium.make(name, time_limit=SHORT).unwrapped, skip_render_check=True)


@needs_opengl
@pytest.mark.slow
@pytest.mark.parametrize("name", IDS)
def test_gymnasiums_checker_of_pictures_passes(name: str) -> None:
    check_env(gymnasium.make(name, time_limit=SHORT, render_mode="rgb_array").unwrapped)


@pytest.mark.parametrize("name", IDS)
def test_stable_baselines_checker_passes(name: str) -> None:
    checker = pytest.importorskip("stable_baselines3.common.env_checker", reason="needs the extra rivals")
    checker.check_env(gymnasium.make(name, time_limit=SHORT).unwrapped)


@needs_torchrl
@pytest.mark.parametrize("name", IDS)
def test_torchrls_checker_passes(name: str) -> None:
    from torchrl.envs import GymWrapper
    from torchrl.envs.utils import check_env_specs

    check_env_specs(GymWrapper(gymnasium.make(name, time_limit=SHORT)))
    check_env_specs(GymWrapper(gymnasium.make_vec(name, num_envs=2, time_limit=SHORT)))


@needs_torchrl
@pytest.mark.filterwarnings("ignore:PettingZoo in TorchRL is tested:UserWarning")  # with 1.24.3; it works with 1.27 too
@pytest.mark.parametrize("task", fleet_v1.TASKS)
def test_torchrls_checker_passes_for_fleets(task: str) -> None:
    from torchrl.envs import PettingZooWrapper
    from torchrl.envs.utils import check_env_specs

    check_env_specs(PettingZooWrapper(fleet_v1.parallel_env(task, 3, max_cycles=20)))


@pytest.mark.parametrize("name", IDS)
def test_the_native_vector_environment_lives_the_single_ones_life(name: str) -> None:
    """World 0 of many is the single environment of the same seed, resets within a step included."""
    many = gymnasium.make_vec(name, num_envs=4, time_limit=0.5, threads=1)
    one = gymnasium.make(name, time_limit=0.5)
    assert isinstance(many.unwrapped, WarehouseVectorEnv)
    assert many.metadata["autoreset_mode"] == gymnasium.vector.AutoresetMode.SAME_STEP
    seen, first = many.reset(seed=5)[0], one.reset(seed=5)[0]
    np.testing.assert_array_equal(seen[0], first)
    many.action_space.seed(1)
    ends = 0
    for _ in range(70 if name.endswith("Track-v1") else 14):  # the motor level's steps are a fifth as long
        action = many.action_space.sample()
        seen, reward, terminated, truncated, info = many.step(action)
        last, earned, lost, cut, said = one.step(action[0])
        assert (reward[0], terminated[0], truncated[0]) == (earned, lost, cut)
        assert (info["ending"][0], info["success"][0]) == (said["ending"], said["success"])
        if lost or cut:
            ends += 1
            np.testing.assert_array_equal(info["final_obs"][0], last)
            assert info["final_info"]["ending"][0] == said["ending"]
            last = one.reset()[0]
        np.testing.assert_array_equal(seen[0], last)
        assert many.observation_space.contains(seen)
    assert ends >= 2


def test_gymnasiums_other_vectors_and_wrappers_take_an_id() -> None:
    name = "muster/WarehouseNavigate-v1"
    apart = gymnasium.make_vec(name, num_envs=2, vectorization_mode="sync", time_limit=0.5)
    apart.reset(seed=3)
    counted = gymnasium.wrappers.vector.RecordEpisodeStatistics(gymnasium.make_vec(name, num_envs=3, time_limit=0.5))
    counted.reset(seed=3)
    standing = np.zeros((3, 2), np.float32)
    info: dict[str, Any] = {}  # Gymnasium's own type
    for _ in range(5):
        apart.step(standing[:2])
        info = counted.step(standing)[4]
    assert info["episode"]["l"].tolist() == [5, 5, 5]
    assert info["final_info"]["ending"].tolist() == [Ending.TIMED_OUT] * 3


def test_some_rows_of_a_vector_may_be_reset() -> None:
    env = gymnasium.make_vec("muster/WarehouseNavigate-v1", num_envs=4, threads=1)
    before, _ = env.reset(seed=2)
    mask = np.array([False, True, False, True])
    after, _ = env.reset(options={"reset_mask": mask})
    np.testing.assert_array_equal((after != before).any(axis=1), mask)
    with pytest.raises(ValueError, match=r"reset_mask of shape \(4,\) and type bool, got \(3,\)"):
        env.reset(options={"reset_mask": mask[:3]})


def fleet_of(task: str, robots: int, floor: str = "demo", **options: Any) -> Any:  # arguments of parallel_env
    """What makes a PettingZoo environment, by `make`, of a task on one of two floors: quickly, from few paths."""
    make = options.pop("make", fleet_v1.parallel_env)
    site = None if floor == "demo" else generate_campus(5, blocks=(2, 2))
    config = TASKS[task]()
    if isinstance(config, NavigateConfig):
        config = replace(config, paths=256)
    return make(task, robots, site=site, config=config, **({"max_cycles": 20} | options))


FLEETS = [(1, "demo", 0), (2, "campus", 1), (5, "demo", 1)]
"""Robots, floor, and fewest that take part; for each task."""


@pytest.mark.parametrize(("robots", "floor", "fewest"), FLEETS)
@pytest.mark.parametrize("task", fleet_v1.TASKS)
def test_pettingzoos_parallel_checkers_pass(task: str, robots: int, floor: str, fewest: int) -> None:
    parallel_api_test(fleet_of(task, robots, floor), num_cycles=60)
    parallel_seed_test(lambda: fleet_of(task, robots, floor, fewest=fewest), num_cycles=30)


@pytest.mark.slow
@pytest.mark.parametrize("body", ["planar", "wheeled"])
@pytest.mark.parametrize("floor", ["demo", "campus"])
@pytest.mark.parametrize("robots", [1, 2, 8])
@pytest.mark.parametrize("task", fleet_v1.TASKS)
def test_pettingzoos_parallel_checkers_pass_whatever_the_fleet(task: str, robots: int, floor: str, body: str) -> None:
    shared = floor == "campus"
    parallel_api_test(fleet_of(task, robots, floor, shared=shared, body=body), num_cycles=60)
    for fewest in {0, 1, robots}:
        parallel_seed_test(
            lambda f=fewest: fleet_of(task, robots, floor, fewest=f, shared=shared, body=body), num_cycles=50
        )


@pytest.mark.parametrize("task", fleet_v1.TASKS)
def test_pettingzoos_checkers_of_turns_pass(task: str, capsys: pytest.CaptureFixture[str]) -> None:
    def make() -> Any:  # PettingZoo's wrappers have their own type
        return fleet_of(task, 3, make=fleet_v1.env)

    api_test(make(), num_cycles=60)
    seed_test(make, num_cycles=30)
    state_test(make(), fleet_of(task, 3))
    assert "Passed" in capsys.readouterr().out


@pytest.mark.parametrize("task", fleet_v1.TASKS)
def test_an_episode_has_as_many_cycles_as_were_asked_for(task: str) -> None:
    class Module:
        """PettingZoo's test takes a module, of one task here."""

        @staticmethod
        def parallel_env(max_cycles: int) -> Any:  # as above
            return fleet_v1.parallel_env(task, 5, max_cycles=max_cycles)

        @staticmethod
        def env(max_cycles: int) -> Any:  # as above
            return fleet_v1.env(task, 5, max_cycles=max_cycles)

    max_cycles_test(Module)


@needs_opengl
@pytest.mark.parametrize(
    "task", [pytest.param(t, marks=() if t == "carry" else pytest.mark.slow) for t in fleet_v1.TASKS]
)
def test_pettingzoos_checker_of_pictures_passes(task: str) -> None:
    def make(render_mode: str) -> Any:  # as above
        return fleet_of(task, 3, make=fleet_v1.env, render_mode=None if render_mode == "human" else render_mode)

    render_test(make)  # asks for a window too, of which there is none


@pytest.mark.slow
@pytest.mark.parametrize("task", fleet_v1.TASKS)
def test_pettingzoos_performance_benchmark_runs(task: str, capsys: pytest.CaptureFixture[str]) -> None:
    from pettingzoo.test import performance_benchmark

    performance_benchmark(fleet_v1.env(task, 4))
    turns = float(capsys.readouterr().out.split(" turns per second")[0].split()[-1])
    assert turns > 100.0


def test_stable_baselines_learns_on_an_id() -> None:
    stable_baselines3 = pytest.importorskip("stable_baselines3", reason="needs the extra rivals")
    learner = stable_baselines3.PPO(
        "MlpPolicy", gymnasium.make("muster/WarehouseNavigate-v1"), n_steps=250, batch_size=50, seed=1, device="cpu"
    )
    before = learner.policy.action_net.weight.detach().clone()
    learner.learn(500)
    assert learner.num_timesteps == 500
    assert (learner.policy.action_net.weight != before).any()


def test_a_loop_by_hand_stacks_the_robots_of_a_fleet() -> None:
    """As supersuit does: the robots of a world as rows of one batch, padded with zeros while some have ended."""
    env = fleet_v1.parallel_env("navigate", 4, fewest=2, max_cycles=30)
    names = env.possible_agents
    rng = np.random.default_rng(0)
    weights = rng.normal(0.0, 0.1, (env.observation_space("robot_0").shape[0], 2)).astype(np.float32)
    observations, _ = env.reset(seed=4)
    total, episodes, rows = 0.0, 0, 0
    for _ in range(100):
        batch = np.stack([observations.get(name, np.zeros(len(weights), np.float32)) for name in names])
        mask = np.array([name in env.agents for name in names])
        actions = np.tanh(batch @ weights)
        observations, rewards, *_ = env.step({n: a for n, a, m in zip(names, actions, mask, strict=True) if m})
        assert set(rewards) == {name for name, m in zip(names, mask, strict=True) if m}
        total += sum(rewards.values())
        rows += int(mask.sum())
        if not env.agents:
            observations, _ = env.reset()
            episodes += 1
    assert np.isfinite(total)
    assert episodes >= 3
    assert rows < 400  # some were padding


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: make_env("navigate", config=DockConfig()), "a configuration of navigate, got one of dock"),
        (lambda: make_env("navigate", config=avoid()), "a configuration of navigate, got one of avoid"),
        (lambda: fleet_v1.parallel_env("pack"), "expected the task of one robot, got 'pack'; did you mean \"pick\""),
        (lambda: fleet_v1.parallel_env("fleet"), "expected the task of one robot, got 'fleet'"),
        (
            lambda: fleet_v1.parallel_env("pick", config=TrackConfig()),
            r"a configuration of pick, got one of pick \(Track",
        ),
        (
            lambda: fleet_v1.parallel_env("dock", config=NavigateConfig()),
            "a configuration of dock, got one of navigate",
        ),
    ],
)
def test_a_configuration_of_another_task_is_an_error(make: Callable[[], object], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        make()


def test_an_id_takes_a_configuration_and_a_floor(tmp_path: Path) -> None:
    floor = tmp_path / "floor.map"
    floor.write_text(
        "type octile\nheight 6\nwidth 9\nmap\n" + "." * 9 + "\n" + (".@.@.@.@.\n" + "." * 9 + "\n") * 2 + "." * 9
    )
    config = replace(CarryConfig(), people=1, paths=16)
    env = gymnasium.make("muster/WarehouseCarry-v1", site=str(floor), config=config).unwrapped
    assert env.action_space.shape == (3,)
    assert env._environment.site.width == 9
    assert env._environment.people.origin.shape[1] == 1
