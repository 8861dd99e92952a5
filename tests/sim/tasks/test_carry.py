"""Carrying: lift the pod overhead, bring it along the corridor, set it down."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sim.bodies.parts import Body
from sim.env import BatchEnv
from sim.generate import generate_warehouse
from sim.plant import Plant
from sim.podkernels import LIFT_TIME
from sim.tasks.carry import DISTANCE, Carry, CarryConfig
from sim.tasks.task import Ending
from sim.vary import vary

SITE = generate_warehouse(3)
CALM = CarryConfig(randomization=vary(level=0.0, start_offset=0.0, stall_share=0.0))
LIFTING = round(LIFT_TIME / 0.1) + 2
"""Control steps from the floor to the top."""


def make(worlds: int = 12, robots: int = 1, body: Body = "planar", seed: int = 1) -> BatchEnv:
    env = BatchEnv(SITE, CALM, worlds=worlds, robots=robots, seed=seed, body=body, threads=1)
    env.reset()
    return env


def carry(env: BatchEnv) -> NDArray[np.float32]:
    """The hand-written twin: up, from way-point to way-point, into the middle of the last cell, down."""
    seen = env.observation.numpy()
    corridor = seen[:, 64:79].reshape(-1, 5, 3)
    far = 5.0 * np.hypot(corridor[:, 0, 0], corridor[:, 0, 1])
    first, second = (np.arctan2(corridor[:, k, 1], corridor[:, k, 0]) for k in (0, 1))
    last = seen[:, 87] == 1.0
    there = last & (far < 0.06)
    angle = np.where(last & (far < 1.0), first, np.where(far < 0.1, second, first))
    speed = np.where(np.abs(angle) < 0.25, np.clip(0.6 * np.where(last, far, far + 0.3), 0.05, 0.5), 0.0)
    drive = (seen[:, 90] >= 1.0) & ~there
    lift = np.where(there & (seen[:, 89] > 0.0), -1.0, 1.0)
    return np.stack([np.where(drive, speed, 0.0), np.where(drive, np.clip(angle, -0.5, 0.5), 0.0), lift], -1).astype(
        np.float32
    )


def pods(env: BatchEnv) -> NDArray[np.float64]:
    """Places of the robots' pods, (rows, 2)."""
    width = 7 if env.scene.falls else 3
    first = env.robots * env.scene.qpos_stride
    qpos = env.backend.qpos.numpy()[:, first:][:, : env.scene.pods * width]
    return qpos.reshape(env.worlds, env.scene.pods, width)[:, -env.robots :, :2].reshape(-1, 2)


@pytest.mark.parametrize(("body", "worlds", "robots"), [("planar", 12, 1), ("planar", 4, 2), ("wheeled", 4, 1)])
def test_the_hand_written_twin_carries(body: Body, worlds: int, robots: int) -> None:
    env = make(worlds, robots, body)
    endings = np.zeros(6, int)
    for _ in range(330):
        endings += np.bincount(env.step(carry(env)).ending, minlength=6)
    assert endings[1:].sum() >= env.rows / 2
    assert endings[Ending.SUCCEEDED] + endings[Ending.COLLIDED] == endings[1:].sum()
    # robots of one world do not look out for each other here
    assert endings[Ending.SUCCEEDED] >= (0.9 if robots == 1 else 0.4) * endings[1:].sum()


@pytest.mark.parametrize("body", ["planar", "wheeled"])
def test_an_episode_begins_beneath_a_pod_that_can_be_taken(body: Body) -> None:
    env = make(worlds=4, body=body)
    away = pods(env) - env.state.pose.numpy()[:, :2]
    assert (np.abs(away) <= 0.0201).all()
    for _ in range(LIFTING):
        env.step(carry(env))
    np.testing.assert_array_equal(env.observation.numpy()[:, 89:91], 1.0)


def test_a_pod_set_down_on_the_way_has_failed() -> None:
    env = make(worlds=4)
    assert isinstance(env.task, Carry)
    for _ in range(LIFTING):
        env.step(carry(env))
    down = np.array([[0.0, 0.0, -1.0]] * 4, np.float32)
    for _ in range(LIFTING + 3):
        step = env.step(down)
        if (step.ending != Ending.RUNNING).any():
            break
    assert (step.ending == Ending.LEFT).all()


def test_a_pod_set_down_in_the_goal_has_arrived() -> None:
    env = make(worlds=4)
    assert isinstance(env.task, Carry)
    for _ in range(LIFTING):
        env.step(carry(env))
    course, paths = env.task.way.course, env.task.way.paths
    last = paths.lengths.numpy()[course.path.numpy()] - 1
    goal = SITE.centre(paths.cells.numpy()[course.path.numpy(), last])
    course.index.numpy()[...], course.granted.numpy()[...] = last, last
    shift = goal + np.array([0.5 * DISTANCE, 0.0]) - pods(env)
    qpos = env.backend.qpos.numpy()
    qpos[:, :2] += shift
    qpos[:, 3:5] += shift
    down = np.array([[0.0, 0.0, -1.0]] * 4, np.float32)
    for _ in range(LIFTING + 3):
        step = env.step(down)
        if (step.ending != Ending.RUNNING).any():
            break
    assert (step.ending == Ending.SUCCEEDED).all()
    assert (step.reward > 3.0).all()


def test_driving_off_without_the_pod_earns_no_progress() -> None:
    with_pod, without = make(worlds=6, seed=4), make(worlds=6, seed=4)
    earned = [0.0, 0.0]
    for _ in range(LIFTING):
        action = carry(with_pod)
        with_pod.step(action)
        without.step(action * np.float32([1.0, 1.0, -1.0]))
    assert without.plant.pods is not None
    assert (without.plant.pods.carried() == -1).all()
    for _ in range(15):
        action = carry(with_pod)
        action[:, 2] = 1.0
        earned[0] += float(with_pod.step(action).reward.sum())
        earned[1] += float(without.step(action * np.float32([1.0, 1.0, -1.0])).reward.sum())
    assert earned[0] > earned[1] + 1.0
    assert earned[1] < 0.0


def test_a_restored_run_goes_on_bit_for_bit() -> None:
    one, two = make(worlds=3, seed=5), make(worlds=3, seed=5)
    for _ in range(40):
        one.step(carry(one))
    two.restore(one.snapshot())
    for _ in range(30):
        action = carry(one)
        first, second = one.step(action), two.step(action)
        np.testing.assert_array_equal(first.observation, second.observation)
        np.testing.assert_array_equal(first.reward, second.reward)


def test_a_plant_without_pods_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a pod for each of 1 robots, got 0"):
        Carry(Plant(SITE, CALM.spec, worlds=1), CALM)
