"""The driving skills as tasks, on roads without anybody else."""

from __future__ import annotations

import numpy as np
import pytest

from sim.driving.atlas import Atlas
from sim.driving.contract import OBSERVATION, drive_contract, manoeuvre_contract
from sim.tasks.task import Ending
from tests.sim.driving.plainworld import by_hand, plain_atlas, plain_worlds


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    return plain_atlas()


def test_the_observation_is_as_long_as_its_contract_says(atlas: Atlas) -> None:
    env = plain_worlds("lane", 2, atlas=atlas)
    assert env.contract.observation_size == OBSERVATION == env.observation.shape[1]
    assert drive_contract("lane", env.spec).hash != drive_contract("change", env.spec).hash
    assert manoeuvre_contract(env.spec, 1.0).observation_size == OBSERVATION


@pytest.mark.parametrize("body", ["kinematic", "full"])
def test_who_follows_the_line_keeps_the_lane_and_the_limit(atlas: Atlas, body: str) -> None:
    env = plain_worlds("lane", 24, body=body, atlas=atlas)  # type: ignore[arg-type]
    env.reset()
    endings: list[int] = []
    aside, fast = [], []
    for _ in range(300):
        seen = np.array(env.observation.numpy())
        action = by_hand(seen)
        action[:, 0] = np.minimum(action[:, 0], 0.0)  # no faster than a brisk driver: roads end
        step = env.step(action)
        endings += step.ending[step.ending > 0].tolist()
        aside.append(np.abs(seen[:, 6] * 2.0))
        fast.append(seen[:, 0] / seen[:, 16])  # of the limit a quarter of a second ahead
    assert np.quantile(np.concatenate(fast), 0.99) < 1.1
    assert Ending.COLLIDED not in endings
    assert Ending.DIVERGED not in endings
    assert endings.count(Ending.LEFT) <= 1  # a lane that ends in a bend
    assert np.quantile(np.concatenate(aside), 0.97) < 0.5  # a town's corners ask for all of the steering


def test_a_change_of_lane_succeeds_on_the_other_lane_s_middle(atlas: Atlas) -> None:
    env = plain_worlds("change", 32, atlas=atlas)
    env.reset()
    sides = env.task.arrays()["wish.side"].numpy().copy()
    assert set(sides) == {-1, 1}
    endings: list[int] = []
    for _ in range(300):
        step = env.step(by_hand(np.array(env.observation.numpy())))
        endings += step.ending[step.ending > 0].tolist()
    assert endings.count(Ending.SUCCEEDED) >= 0.9 * len(endings) > 20


def test_who_pulls_over_stands_at_the_side(atlas: Atlas) -> None:
    env = plain_worlds("pull_over", 32, atlas=atlas)
    env.reset()
    endings: list[int] = []
    for _ in range(400):
        step = env.step(by_hand(np.array(env.observation.numpy()), pull=True))
        endings += step.ending[step.ending > 0].tolist()
    assert endings.count(Ending.SUCCEEDED) >= 0.8 * len(endings) > 20


def test_a_car_that_leaves_its_lane_unasked_has_left(atlas: Atlas) -> None:
    env = plain_worlds("lane", 16, atlas=atlas)
    env.reset()
    endings: list[int] = []
    for _ in range(120):
        action = by_hand(np.array(env.observation.numpy()))
        action[:, 1] = 1.0
        step = env.step(action)
        endings += step.ending[step.ending > 0].tolist()
    assert endings.count(Ending.LEFT) >= 16


def test_a_world_lives_the_same_life_whatever_the_number_of_worlds(atlas: Atlas) -> None:
    few, many = plain_worlds("lane", 3, atlas=atlas), plain_worlds("lane", 9, atlas=atlas)
    few.reset()
    many.reset()
    for _ in range(60):
        action = by_hand(np.array(many.observation.numpy()))
        many.step(action)
        few.step(action[:3])
        assert np.array_equal(few.observation.numpy(), many.observation.numpy()[:3])


def test_a_snapshot_goes_on_bit_for_bit_and_a_masked_reset_leaves_the_others_alone(atlas: Atlas) -> None:
    env = plain_worlds("change", 6, atlas=atlas)
    env.reset()

    def drive(steps: int) -> list[np.ndarray]:
        seen = []
        for _ in range(steps):
            env.step(by_hand(np.array(env.observation.numpy())))
            seen.append(np.array(env.observation.numpy()))
        return seen

    drive(20)
    saved = env.snapshot()
    first = drive(40)
    env.restore(saved)
    assert all(np.array_equal(a, b) for a, b in zip(first, drive(40), strict=True))
    before = {name: array.copy() for name, array in env.snapshot().items()}
    mask = np.zeros(6, bool)
    mask[2] = True
    env.reset(mask)
    after = env.snapshot()
    for name, array in after.items():
        if len(array) == 6 and not name.startswith("backend"):
            keep = [0, 1, 3, 4, 5]
            assert np.array_equal(before[name][keep], array[keep]), name
    assert not np.array_equal(before["robot.pose"][2], after["robot.pose"][2])


def test_cars_of_one_world_begin_apart_and_touch_where_they_meet(atlas: Atlas) -> None:
    env = plain_worlds("lane", 6, robots=6, atlas=atlas)
    env.reset()
    places = env.state.pose.numpy().reshape(6, 6, 3)[..., :2]
    apart = np.linalg.norm(places[:, :, None] - places[:, None], axis=-1) + 100.0 * np.eye(6)
    assert (apart > 10.0).all()
    collided = bumped = 0
    for _ in range(500):
        action = by_hand(np.array(env.observation.numpy()))  # who sees nobody drives into whoever stands
        action[::2, 0] = -1.0
        step = env.step(action)
        collided += int(step.collision.sum())
        bumped += int(step.bumped.sum())
    assert collided > 0
    assert bumped > 0
