"""Picking: an arm before a bin, commanded by speeds of its cup."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from sim.bounds import ConfigError
from sim.env import BatchEnv
from sim.generate import generate_campus
from sim.robot import RobotSpec
from sim.site import Site, SiteError, make_site
from sim.tasks.armkernels import RATES
from sim.tasks.pick import PickConfig, PickTask, pick_contract
from sim.tasks.task import Ending

SITE = make_site("open", np.zeros((6, 10), bool))


def make(worlds: int = 8, robots: int = 1, seed: int = 1, config: PickConfig | None = None) -> BatchEnv:
    env = BatchEnv(SITE, config or PickConfig(), worlds=worlds, robots=robots, seed=seed, threads=1)
    env.reset()
    return env


def reach(env: BatchEnv) -> NDArray[np.float32]:
    """The hand-written twin: over the item, down onto it, up, round to the tote, down into it, and let go."""
    seen = env.observation.numpy().astype(float)
    item, tote = seen[:, 0:3] * (np.pi, 0.5, 0.5), seen[:, 3:6] * (np.pi, 0.5, 0.5)
    z, held = seen[:, 9], seen[:, 14] > 0
    travel = (0.68 - z) / 0.1  # at this height nothing is in the way
    above = (np.abs(item[:, 0]) < 0.02) & (np.abs(item[:, 1]) < 0.01)
    over = (np.abs(tote[:, 0]) < 0.06) & (np.abs(tote[:, 1]) < 0.02)
    high = held & (z > 0.62)
    pan = np.where(held, np.where(high | over, 2.0 * tote[:, 0], 0.0), 2.0 * item[:, 0])
    r = np.where(held, np.where(high, 3.0 * tote[:, 1], 0.0), 3.0 * item[:, 1])
    down = np.where(held, 3.0 * (tote[:, 2] + 0.015), 3.0 * (item[:, 2] - 0.003) - 0.02) / RATES[2]
    climb = np.where(np.where(held, over, above), down, travel)
    suck = np.where(held & over & (tote[:, 2] > -0.03), -1.0, 1.0)
    return np.clip(np.stack([pan / RATES[0], r / RATES[1], climb, suck], -1), -1.0, 1.0).astype(np.float32)


def test_the_hand_written_twin_picks() -> None:
    env = make(worlds=10)
    endings, rewards = np.zeros(6, int), 0.0
    for _ in range(200):
        step = env.step(reach(env))
        endings += np.bincount(step.ending, minlength=6)
        rewards += float(step.reward.sum())
    assert endings[1:].sum() >= 10
    assert endings[Ending.SUCCEEDED] / endings[1:].sum() >= 0.9
    assert endings[Ending.DIVERGED] == 0
    assert rewards / endings[1:].sum() > 3.0


def test_robots_of_one_world_pick_from_shelves_of_their_own() -> None:
    env = make(worlds=3, robots=2)
    assert len(env.scene.shelves) == 2
    done = np.zeros(6, bool)
    for _ in range(180):
        done |= env.step(reach(env)).success
    assert done.sum() >= 5


def test_an_arm_that_does_nothing_runs_out_of_time() -> None:
    env = make(worlds=2, config=PickConfig(time_limit=1.0))
    still = np.array([[0.0, 0.0, 0.0, -1.0]] * 2, np.float32)
    for _ in range(9):
        step = env.step(still)
        assert (step.ending == Ending.RUNNING).all()
        np.testing.assert_allclose(step.reward, 0.0, atol=0.02)
    step = env.step(still)
    assert (step.ending == Ending.TIMED_OUT).all()
    assert step.truncated.all()


def test_an_arm_that_strikes_the_shelf_has_failed() -> None:
    env = make(worlds=2)
    endings = set()
    for step in range(60):  # out over the rim, then down beside the bin onto its wall
        down = step > 18
        action = np.array([[0.0, 0.0 if down else 0.85, -1.0 if down else 0.0, -1.0]] * 2, np.float32)
        endings |= set(env.step(action).ending.tolist())
    assert Ending.COLLIDED in endings


def test_what_is_seen_is_where_things_are() -> None:
    env = make(worlds=4, seed=3)
    for _ in range(12):
        env.step(reach(env))
    assert isinstance(env.task, PickTask)
    seen = env.observation.numpy()
    fields = pick_contract(env.spec).slices()
    qpos, pose = env.backend.qpos.numpy(), env.state.pose.numpy()
    assert env.spec.arm is not None
    foot = pose[:, :2] + np.array(env.spec.arm.mount)
    item = qpos[:, env.scene.qpos_stride :][:, :3]
    away = item[:, :2] - foot
    cup = seen[:, fields["cup"]]
    pan, r, z = np.arctan2(cup[:, 0], cup[:, 1]), cup[:, 2], cup[:, 3]
    expected = np.stack(
        [
            (np.arctan2(away[:, 1], away[:, 0]) - pan) / np.pi,
            (np.hypot(away[:, 0], away[:, 1]) - r) / 0.5,
            (item[:, 2] + 0.03 - z) / 0.5,
        ],
        axis=-1,
    )
    np.testing.assert_allclose(seen[:, fields["item"]], expected, atol=2e-4)  # the base gives way by 1e-4 rad
    assert seen.shape[1] == env.contract.observation_size == 15


def test_a_restored_pick_goes_on_bit_for_bit() -> None:
    one, two = make(worlds=3, seed=5), make(worlds=3, seed=5)  # the second has not taken a step
    for _ in range(40):
        one.step(reach(one))
    two.restore(one.snapshot())
    for _ in range(20):
        action = reach(one)
        first, second = one.step(action), two.step(action)
        np.testing.assert_array_equal(first.observation, second.observation)
        np.testing.assert_array_equal(first.reward, second.reward)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="spec: expected a robot with an arm, got 'amr'"):
        BatchEnv(SITE, replace(PickConfig(), spec=RobotSpec()), worlds=1)
    narrow: Site = make_site("narrow", np.zeros((2, 10), bool))
    with pytest.raises(SiteError, match=r"narrow: expected 1 free places of 3 x 3 cells for shelves, got 0"):
        BatchEnv(narrow, PickConfig(), worlds=1)
    with pytest.raises(SiteError, match=r"small: expected cells of 0\.60 m or more"):
        BatchEnv(make_site("small", np.zeros((40, 40), bool), cell=0.3), PickConfig(), worlds=1)
    assert len(PickConfig().loads_on(generate_campus(5, blocks=(2, 2)), 1).shelves) == 1
