"""A fleet in one world: who takes part, who leaves, what they earn."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from sim.env import ActionError, BatchEnv
from sim.fleet_v1 import FleetParallelEnv, parallel_env
from sim.fleetenv import FleetEnv, FleetStep
from sim.generate import generate_warehouse
from sim.people import PARKED
from sim.sensorspec import NAMES, full_suite
from sim.site import Site, SiteError, make_site
from sim.tasks.dock import DockConfig
from sim.tasks.fleet import fleet
from sim.tasks.navigate import NavigateConfig
from sim.tasks.sensed import AGE, FORCE, RATE, VOLTAGE
from sim.tasks.task import Ending
from sim.vary import vary

CONFIG = NavigateConfig(paths=512, time_limit=4.0)
WORLDS, ROBOTS = 6, 5


@pytest.fixture(scope="module")
def site() -> Site:
    return generate_warehouse(3)


def actions(steps: int, worlds: int = WORLDS, robots: int = ROBOTS) -> NDArray[np.float32]:
    drawn = np.random.default_rng(1).uniform(-1.0, 1.0, (steps, worlds, robots, 2)).astype(np.float32)
    drawn[..., 0] = np.abs(drawn[..., 0])
    return drawn


def copied(step: FleetStep) -> FleetStep:
    return FleetStep(**{name: np.array(getattr(step, name)) for name in FleetStep.__dataclass_fields__})


def test_padding_never_acts_and_the_number_of_agents_is_drawn(site: Site) -> None:
    env = FleetEnv(site, fleet(CONFIG, fewest=2), worlds=40, robots=ROBOTS, seed=1, threads=1)
    first = copied(env.reset())
    many = first.mask.sum(axis=1)
    assert set(many.tolist()) == {2, 3, 4, 5}
    np.testing.assert_array_equal(first.mask, np.arange(ROBOTS) < many[:, None])
    assert (first.observation[~first.mask] == 0.0).all()
    assert (first.observation[first.mask] != 0.0).any(axis=-1).all()
    started = env.environment.backend.qpos.numpy().copy()
    for action in actions(15, worlds=40):
        step = env.step(action)
        same = ~first.mask & (env.environment.state.episode.numpy().reshape(40, ROBOTS) == 0)
        for quiet in (step.reward, step.terminated, step.truncated, step.ending, step.acted):
            assert not quiet[same].any()
    padded = np.repeat(same, 3, axis=1)
    np.testing.assert_array_equal(env.environment.backend.qpos.numpy()[padded], started[padded])


def test_an_agent_that_ends_is_told_once_and_leaves_the_floor(site: Site) -> None:
    env = FleetEnv(site, fleet(CONFIG), worlds=WORLDS, robots=ROBOTS, seed=2, threads=1)
    before = copied(env.reset())
    told = np.zeros((WORLDS, ROBOTS), int)
    left_early = 0
    for action in actions(120):
        step = copied(env.step(action))
        np.testing.assert_array_equal(step.acted, before.mask)
        ended = (step.terminated | step.truncated).astype(bool)
        told += ended
        np.testing.assert_array_equal(ended, step.ending != Ending.RUNNING)
        assert not ended[~step.acted].any()
        running = ~step.closed
        np.testing.assert_array_equal(step.mask[running], (step.acted & ~ended)[running])
        np.testing.assert_array_equal(step.closed, ~(step.acted & ~ended).any(axis=1))
        assert step.mask[step.closed].all()  # the next episode has begun
        assert (step.last_observation[ended] != 0.0).any(axis=-1).all()
        gone = ~before.mask & running[:, None]
        left_early += int(gone.sum())
        x = env.environment.backend.qpos.numpy()[:, ::3]
        assert (x[gone] < PARKED).all()
        granted = env.environment.task.each.course.granted.numpy().reshape(WORLDS, ROBOTS)
        assert (granted[gone] == -1).all()
        before = step
    assert left_early > 50
    assert (told >= 1).all()


def test_worlds_begin_anew_when_their_last_agent_has_ended_and_only_then(site: Site) -> None:
    env = FleetEnv(site, fleet(CONFIG, fewest=1), worlds=WORLDS, robots=ROBOTS, seed=3, threads=1)
    env.reset()
    episode = env.environment.state.episode.numpy().reshape(WORLDS, ROBOTS)
    closed = 0
    for action in actions(100):
        before = episode.copy()
        step = env.step(action)
        np.testing.assert_array_equal(episode, before + step.closed[:, None])
        closed += int(step.closed.sum())
    assert closed > WORLDS


def test_the_shared_reward_is_the_mean_of_those_that_acted(site: Site) -> None:
    own, shared = (
        FleetEnv(site, fleet(CONFIG, fewest=2, shared=share), worlds=WORLDS, robots=ROBOTS, seed=4, threads=1)
        for share in (False, True)
    )
    for env in (own, shared):
        env.reset()
    for action in actions(60):
        a, b = own.step(action), shared.step(action)
        np.testing.assert_array_equal(a.observation, b.observation)
        mean = a.reward.sum(axis=1) / a.acted.sum(axis=1)
        np.testing.assert_allclose(b.reward, np.where(b.acted, mean[:, None], 0.0), rtol=1e-5, atol=1e-6)


def test_who_left_is_seen_by_nobody(site: Site) -> None:
    calm = vary(level=0.0, stall_share=0.0)
    env = FleetEnv(site, fleet(replace(CONFIG, people=0, randomization=calm)), worlds=1, robots=2, seed=5, threads=1)
    env.reset()
    lower = env.environment
    here = lower.backend.qpos.numpy()[0, :3].copy()
    action = np.zeros((1, 2, 2), np.float32)
    action[0, 1] = np.nan  # ends the second one
    step = env.step(action)
    assert step.ending[0].tolist() == [Ending.RUNNING, Ending.DIVERGED]
    lower.backend.qpos.numpy()[0, 3:6] = here + np.array([0.9, 0.0, 0.0])  # beside the first one, until the next step
    lower.plant.read()
    lower.observe()
    beside = lower.state.scan.numpy()[0].copy()
    env.step(np.zeros((1, 2, 2), np.float32))
    assert lower.backend.qpos.numpy()[0, 3] < PARKED
    assert beside.min() < 0.9 - 0.2
    assert (lower.state.scan.numpy()[0] > beside + 0.1).sum() > 5
    assert step.mask[0].tolist() == [True, False]


def test_every_agents_task_may_be_another_one(site: Site) -> None:
    env = FleetEnv(site, fleet(DockConfig(people=0)), worlds=3, robots=3, seed=1, threads=1)
    assert env.contract.task == "dock"
    env.reset()
    for action in actions(20, 3, 3):
        assert np.isfinite(env.step(action).observation).all()


def test_pettingzoo_gives_what_the_batch_gives(site: Site) -> None:
    config = fleet(CONFIG, fewest=2, shared=True)
    batch = FleetEnv(site, config, worlds=3, robots=ROBOTS, seed=9, threads=1)
    parallel = FleetParallelEnv(site, config, robots=ROBOTS)
    first = batch.reset()
    seen, _ = parallel.reset(seed=9)
    assert list(seen) == [f"robot_{k}" for k in np.flatnonzero(first.mask[0])]
    episodes = 0
    for action in actions(90, 3):
        if not parallel.agents:
            seen, _ = parallel.reset()
            episodes += 1
        for name, values in seen.items():
            np.testing.assert_array_equal(values, batch._step.observation[0, int(name.removeprefix("robot_"))])
        rows = {name: int(name.removeprefix("robot_")) for name in parallel.agents}
        got = parallel.step({name: action[0, row] for name, row in rows.items()})
        step = batch.step(action)
        for name, row in rows.items():
            assert got[1][name] == step.reward[0, row]
            assert got[2][name] == bool(step.terminated[0, row])
            assert got[3][name] == bool(step.truncated[0, row])
        seen = {name: values for name, values in got[0].items() if name in parallel.agents}
    assert episodes > 1


def test_a_world_of_a_fleet_can_be_reset_alone(site: Site) -> None:
    env = FleetEnv(site, fleet(CONFIG, fewest=1), worlds=WORLDS, robots=ROBOTS, seed=6, threads=1)
    env.reset()
    for action in actions(20):
        env.step(action)
    before, seen = env.environment.state.episode.numpy().reshape(WORLDS, ROBOTS).copy(), copied(env.step_now)
    chosen = np.arange(WORLDS) == 2
    step = env.reset(chosen)
    np.testing.assert_array_equal(
        env.environment.state.episode.numpy().reshape(WORLDS, ROBOTS), before + chosen[:, None]
    )
    np.testing.assert_array_equal(step.observation[~chosen], seen.observation[~chosen])


def test_bad_numbers_of_robots_and_shapes_are_errors(site: Site) -> None:
    with pytest.raises(ValueError, match="expected at least 4 robots in a world, got 3"):
        FleetEnv(site, fleet(CONFIG, fewest=4), worlds=1, robots=3)
    with pytest.raises(ValueError, match="got -1"):
        fleet(CONFIG, fewest=-1)
    env = FleetEnv(site, fleet(CONFIG), worlds=2, robots=3, threads=1)
    env.reset()
    with pytest.raises(ActionError, match=r"expected an action of shape \(2, 3, 2\)"):
        env.step(np.zeros((6, 2), np.float32))
    with pytest.raises(ActionError, match=r"expected an action of shape \(2, 3, 2\), got \(2, 3\)"):
        env.step([[0.0] * 3] * 2)  # pyright: ignore[reportArgumentType]
    assert not env.step([[[0.0] * 2] * 3] * 2).terminated.any()  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("task", ["navigate", "dock", "pick", "track"])
def test_more_robots_than_a_floor_has_room_for_are_refused_at_once(task: str) -> None:
    begin = time.monotonic()
    with pytest.raises(SiteError, match=r"5000 .*got \d+; .*fewer robots"):
        parallel_env(task, robots=5000)
    assert time.monotonic() - begin < 5.0  # 5000 bodies compile for minutes


def test_the_largest_number_that_is_named_is_one_that_a_floor_takes() -> None:
    site = make_site("hall", np.zeros((6, 6), bool))
    with pytest.raises(SiteError) as caught:
        BatchEnv(site, NavigateConfig(people=0), worlds=1, robots=5000)
    most = int(str(caught.value).split("got ")[1].split(";")[0])
    BatchEnv(site, NavigateConfig(people=0), worlds=1, robots=most)
    with pytest.raises(SiteError, match=f"got {most};"):
        BatchEnv(site, NavigateConfig(people=0), worlds=1, robots=most + 1)


def late_sensors(time_limit: float) -> NavigateConfig:
    sensors = replace(full_suite(), observed=True)
    return replace(CONFIG, time_limit=time_limit, sensors=sensors)


def test_what_sensors_say_belongs_to_the_last_observation(site: Site) -> None:
    """An agent that the time limit cuts saw last what it sees at that moment where no limit cuts it, ages included."""
    cut, goes_on = (
        FleetEnv(site, fleet(late_sensors(limit)), worlds=WORLDS, robots=ROBOTS, seed=8, threads=1)
        for limit in (1.5, 60.0)
    )
    assert {field.name for field in cut.contract.fields} >= {"imu", "ages"}
    cut.reset(), goes_on.reset()
    compared = np.zeros(2, int)
    for action in actions(15):
        before = goes_on.step_now.mask.copy()
        a, b = cut.step(action), goes_on.step(action)
        assert a.last_observation.shape == a.observation.shape == (WORLDS, ROBOTS, cut.contract.observation_size)
        here = a.truncated.astype(bool) & before & b.mask
        np.testing.assert_array_equal(a.last_observation[here], b.observation[here])
        if a.closed.any():  # its sensors have begun anew: they say something else by now
            assert (a.last_observation[here] != a.observation[here])[:, own_size(cut) :].any()
        early = b.acted & ~b.mask & ~b.closed[:, None]
        compared += (here.sum(), early.sum())
        # who ended otherwise: what its sensors read stands until its world begins anew
        np.testing.assert_array_equal(b.last_observation[early][:, own_size(goes_on) :], told(goes_on)[early])
    assert (compared > 3).all()


def test_who_takes_no_part_sees_zeros_of_its_sensors_too(site: Site) -> None:
    env = FleetEnv(site, fleet(late_sensors(4.0), fewest=2), worlds=WORLDS, robots=ROBOTS, seed=7, threads=1)
    env.reset()
    for action in actions(40):
        step = env.step(action)
        assert (step.observation[~step.mask] == 0.0).all()
        assert (step.observation[step.mask][:, own_size(env) :] != 0.0).any(axis=-1).all()


def own_size(env: FleetEnv) -> int:
    """Numbers of an observation before those of the sensors."""
    return env.contract.slices()["imu"].start


def told(env: FleetEnv) -> NDArray[np.float32]:
    """What the sensors read now, by hand (sim/tasks/sensed.py): (worlds, robots, numbers)."""
    suite = env.environment.plant.suite
    assert suite is not None
    imu, bumper, battery = (suite.readings[name].numpy() for name in ("imu", "bumper", "battery"))
    ages = suite.age.numpy()[:, [NAMES.index(name) for name in suite.names]]
    scaled = [
        imu / np.float32([FORCE] * 3 + [RATE] * 3),
        bumper,
        battery / np.float32([1.0, VOLTAGE]),
        ages / np.float32(AGE),
    ]
    return np.concatenate(scaled, axis=1).reshape(WORLDS, ROBOTS, -1)


def test_a_fleets_sensors_go_on_from_a_snapshot(site: Site) -> None:
    env = FleetEnv(site, fleet(late_sensors(2.0), fewest=2), worlds=WORLDS, robots=ROBOTS, seed=7, threads=1)
    env.reset()
    drawn = actions(30)
    for action in drawn[:10]:
        env.step(action)
    saved = env.snapshot()
    seen = [copied(env.step(action)) for action in drawn[10:]]
    env.restore(saved)
    for action, before in zip(drawn[10:], seen, strict=True):
        step = env.step(action)
        np.testing.assert_array_equal(step.observation, before.observation)
        np.testing.assert_array_equal(step.last_observation, before.last_observation)


def test_pettingzoo_hands_out_the_last_observation_with_its_sensors(site: Site) -> None:
    parallel = FleetParallelEnv(site, fleet(late_sensors(1.0)), robots=3)
    parallel.reset(seed=4)
    ended = 0
    for _ in range(12):
        if not parallel.agents:
            parallel.reset()
        agents = list(parallel.agents)
        seen, _, terminated, truncated, _ = parallel.step({name: np.zeros(2, np.float32) for name in agents})
        for name in agents:
            assert parallel.observation_space(name).contains(seen[name])
            ended += terminated[name] or truncated[name]
    assert ended >= 3
