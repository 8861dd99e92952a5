from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sim.doors import HOLD, SENSE, Doors
from sim.env import BatchEnv
from sim.fixtures import Door, DoorState, Fixtures
from sim.robot import Lidar, RobotSpec
from sim.site import make_site, with_fixtures
from sim.tasks.navigate import NavigateConfig
from sim.vary import vary

FAR_OFF = np.array([[50.0, 50.0]])
NOBODY = np.zeros((0, 2))


def doors(opening: float = 1.0) -> Doors:
    """A row of 1 m cells: an automatic door at x 2 to 3, one that stands open, one that stays shut."""
    fixtures = Fixtures(
        doors=(
            Door("a", (2,), opening, DoorState.AUTOMATIC),
            Door("b", (4,), opening, DoorState.OPEN),
            Door("c", (6,), opening, DoorState.SHUT),
        )
    )
    return Doors(with_fixtures(make_site("row", np.zeros((1, 9), bool), cell=1.0), fixtures))


def steps_until(floor: Doors, open_: bool, robots: np.ndarray, people: np.ndarray = NOBODY) -> int:
    """Steps of 0.1 s until the automatic door is open or not."""
    for step in range(1, 200):
        if floor.step(0.1, robots, people):
            assert floor.open[0] == open_
            return step
    raise AssertionError("the door did not move")


def test_an_automatic_door_opens_for_a_robot_after_its_opening_time() -> None:
    floor = doors(opening=1.0)
    assert floor.open.tolist() == [False, True, False]
    assert floor.shut_cells().tolist() == [2, 6]
    assert steps_until(floor, True, np.array([[2.0 - SENSE + 0.01, 0.5]])) == 10
    assert floor.open.tolist() == [True, True, False]
    assert floor.shut_cells().tolist() == [6]


def test_nobody_near_keeps_it_shut_and_a_robot_just_out_of_sight_too() -> None:
    floor = doors()
    for _ in range(100):
        assert not floor.step(0.1, np.array([[2.0 - SENSE - 0.01, 0.5]]), FAR_OFF)
    assert not floor.open[0]


def test_a_door_stays_open_while_somebody_is_near_and_shuts_after_the_hold() -> None:
    floor = doors()
    steps_until(floor, True, np.array([[1.0, 0.5]]))
    for _ in range(100):  # a robot has left, a person stands in the door
        assert not floor.step(0.1, FAR_OFF, np.array([[2.5, 0.5]]))
    assert floor.open[0]
    assert abs(steps_until(floor, False, FAR_OFF) - HOLD / 0.1) <= 1  # in the way from the first moment of closing


def test_who_comes_near_turns_a_closing_door_round() -> None:
    floor = doors(opening=2.0)
    steps_until(floor, True, np.array([[1.0, 0.5]]))
    steps_until(floor, False, FAR_OFF)
    for _ in range(4):  # closes for 0.5 s in all
        floor.step(0.1, FAR_OFF, NOBODY)
    assert steps_until(floor, True, np.array([[1.0, 0.5]])) == 5


def test_a_floor_without_doors_costs_nothing() -> None:
    floor = Doors(make_site("plain", np.zeros((2, 2), bool)))
    assert not floor.step(0.1, FAR_OFF, FAR_OFF)
    assert len(floor.shut_cells()) == 0


# in training plants -------------------------------------------------------------------------------------------

LANE = with_fixtures(
    make_site("lane", np.array([[True] * 12, [False] * 12, [True] * 12])),
    Fixtures(doors=(Door("gate", (18,), 2.0, DoorState.AUTOMATIC),)),  # x from 7.2 to 8.4
)
SPEC = RobotSpec(lidar=Lidar(rays=64))
CONFIG = NavigateConfig(
    spec=SPEC, people=0, shortest=9, longest=11, paths=64, time_limit=40.0,
    randomization=vary(level=0.0, stall_share=0.0),
)  # fmt: skip


def ahead(env: BatchEnv) -> float:
    """What the foremost ray of the first robot reads, m."""
    return float(env.state.scan.numpy()[0, SPEC.lidar.rays // 2])


def follow(env: BatchEnv, stop: float = 0.6) -> np.ndarray:
    """Drive along the corridor, and stand before whatever is nearer than `stop`."""
    seen = env.observation.numpy()
    turn = np.clip(-2.0 * seen[:, 80] - 1.5 * seen[:, 79], -1.0, 1.0)
    free = env.state.scan.numpy()[:, SPEC.lidar.rays // 2] - SPEC.length / 2 > stop
    return np.stack([np.where(free | (seen[:, 81] < 0.9), 0.5 * np.maximum(seen[:, 81], 0.0), 0.0), turn], -1).astype(
        np.float32
    )


def test_in_training_a_door_is_seen_waited_for_and_passed_and_worlds_have_doors_of_their_own() -> None:
    env = BatchEnv(LANE, CONFIG, worlds=24, seed=2, threads=1)
    env.reset()
    doors = env.plant.doors
    assert doors is not None
    opened, succeeded, collided, apart = 0, 0, 0, 0
    for _ in range(300):
        before = np.abs(env.state.pose.numpy()[:, 0] - 7.8)
        step = env.step(follow(env))
        stand = doors.state.open.numpy()[:, 0]
        opened += int(stand.sum())
        apart += int(0 < stand.sum() < len(stand))
        succeeded += int(step.success.sum())
        collided += int(step.collision[before < 1.5].sum())
        inside = np.abs(env.state.pose.numpy()[:, 0] - 7.8) < 0.6
        assert stand[inside].all()  # nobody is in the door's cell while it is shut
    assert opened > 100
    assert apart > 50
    assert succeeded > 30
    assert collided == 0


def test_who_does_not_wait_for_the_door_hits_it_and_a_wall_there_would_stop_everybody() -> None:
    slow = with_fixtures(LANE, Fixtures(doors=(Door("gate", (18,), 30.0, DoorState.AUTOMATIC),)))
    env = BatchEnv(slow, CONFIG, worlds=24, seed=2, threads=1)
    env.reset()
    collided = sum(int(env.step(follow(env, stop=-1.0)).collision.sum()) for _ in range(120))
    assert collided > 5


def test_the_lidar_sees_the_door_while_it_is_shut() -> None:
    env = BatchEnv(LANE, CONFIG, worlds=1, seed=0, threads=1)
    env.reset()
    doors, pose = env.plant.doors, env.state.pose.numpy()
    assert doors is not None
    pose[0] = (7.2 - 2.0, 1.8, 0.0)
    env.observe()
    assert ahead(env) == pytest.approx(2.0, abs=1e-3)
    doors.state.open.fill_(1)
    env.observe()
    assert ahead(env) == pytest.approx(12 * 1.2 - 5.2, abs=1e-2)


def test_a_reset_shuts_the_doors_of_its_own_world_alone_and_a_snapshot_keeps_them() -> None:
    env = BatchEnv(LANE, CONFIG, worlds=6, seed=2, threads=1)
    env.reset()
    doors = env.plant.doors
    assert doors is not None
    for _ in range(60):
        env.step(follow(env))
    doors.state.open.fill_(1)
    saved = env.snapshot()
    env.reset(np.array([True, False, False, True, False, False]))
    assert doors.state.open.numpy()[:, 0].tolist() == [0, 1, 1, 0, 1, 1]
    env.restore(saved)
    assert doors.state.open.numpy().all()


def test_plants_without_automatic_doors_have_none() -> None:
    env = BatchEnv(make_site("open", np.zeros((6, 12), bool)), replace(CONFIG, people=1), worlds=1, threads=1)
    assert env.plant.doors is None
    assert env.plant.seen is env.plant.floor
