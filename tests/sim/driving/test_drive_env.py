"""The road's environment whole: traffic, people, senses, skills and manoeuvres over them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from sim.bodies.specs import CAR
from sim.bounds import ConfigError
from sim.driving.atlas import Atlas
from sim.driving.choosing import aimless
from sim.driving.contract import GOAL, GOAL_AT, OBSERVATION, SKILLS, asks
from sim.driving.env import RoadConfig, RoadEnv
from sim.driving.manoeuvre import Manoeuvres
from sim.driving.starts import Place
from sim.driving.state import PathColumn
from sim.perceptron import Layers
from sim.road import LaneKind
from sim.roadgen import generate_rural
from sim.tasks.task import Ending
from sim.vary import VaryError, vary
from sim.worlds import ActionError
from tests.sim.driving.plainworld import by_hand, plain_atlas


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    return plain_atlas()


def road_env(atlas: Atlas, worlds: int, skill: str = "lane", **options: object) -> RoadEnv:
    return RoadEnv(atlas, RoadConfig(skill=skill, traffic=8, walkers=2), worlds=worlds, seed=5, threads=1, **options)  # type: ignore[arg-type]


def with_care(seen: np.ndarray) -> np.ndarray:
    """By hand, behind whoever drives ahead (IDM's gap term on the observation of vehicles)."""
    action = by_hand(seen)
    v, gap, faster = seen[:, 0] * 30.0, seen[:, 38] * 50.0, seen[:, 39] * 15.0
    wished = 2.0 + np.maximum(0.0, 1.5 * v - v * faster / 4.0)
    behind = 1.5 * (1.0 - (wished / np.maximum(gap, 0.1)) ** 2)
    action[:, 0] = np.minimum(action[:, 0], asks(behind, seen, CAR.car))
    return np.clip(action, -1.0, 1.0)


def frozen(outputs: int, seed: int) -> Layers:
    """A policy that says little, as an untrained one does."""
    draws = np.random.default_rng(seed)
    sizes = (OBSERVATION, 8, outputs)
    return Layers(
        shift=np.zeros(OBSERVATION, np.float32),
        scale=np.ones(OBSERVATION, np.float32),
        weights=tuple((0.1 * draws.standard_normal((b, a))).astype(np.float32) for a, b in pairwise(sizes)),
        biases=tuple(np.zeros(b, np.float32) for b in sizes[1:]),
        hash=f"{seed}",
    )


def test_others_are_seen_and_a_careful_driver_touches_few_of_them(atlas: Atlas) -> None:
    env = road_env(atlas, 32)
    env.reset()
    assert (env.view.object_kind.numpy() >= 0).any(axis=1).mean() > 0.8
    endings: list[int] = []
    for _ in range(400):
        step = env.step(with_care(np.array(env.observation.numpy())))
        assert np.isfinite(step.observation).all()
        assert np.isfinite(step.reward).all()
        endings += step.ending[step.ending > 0].tolist()
    assert Ending.DIVERGED not in endings
    assert endings.count(Ending.COLLIDED) <= 3


def test_who_drives_on_without_looking_collides(atlas: Atlas) -> None:
    env = road_env(atlas, 32)
    env.reset()
    collided = 0
    for _ in range(400):
        action = by_hand(np.array(env.observation.numpy()))
        action[:, 0] = 1.0
        collided += int(env.step(action).collision.sum())
    assert collided > 0


def test_a_world_lives_the_same_life_whatever_the_number_of_worlds(atlas: Atlas) -> None:
    few, many = road_env(atlas, 2), road_env(atlas, 6)
    few.reset()
    many.reset()
    for _ in range(80):
        action = with_care(np.array(many.observation.numpy()))
        many.step(action)
        few.step(action[:2])
        assert np.array_equal(few.observation.numpy(), many.observation.numpy()[:2])
        assert np.array_equal(few.plant.actors.pose.numpy(), many.plant.actors.pose.numpy()[:2])


@pytest.mark.parametrize("body", ["kinematic", "full"])
def test_a_snapshot_goes_on_bit_for_bit(atlas: Atlas, body: str) -> None:
    env = road_env(atlas, 4, body=body)

    def drive(steps: int) -> list[np.ndarray]:
        seen = []
        for _ in range(steps):
            env.step(with_care(np.array(env.observation.numpy())))
            seen.append(np.concatenate([env.observation.numpy().ravel(), env.plant.actors.pose.numpy().ravel()]))
        return seen

    env.reset()
    drive(30)
    saved = env.snapshot()
    first = drive(40)
    env.restore(saved)
    assert all(np.array_equal(a, b) for a, b in zip(first, drive(40), strict=True))


def test_what_varies_is_one_table_and_refuses_what_is_out_of_bounds(atlas: Atlas) -> None:
    names = {row.name for row in RoadConfig().table()}
    assert {"tyre_friction", "payload", "brake_strength", "steer_lag", "drive_lag", "traffic_headway"} <= names
    fixed = RoadConfig(traffic=2, walkers=0, randomization=vary(tyre_friction=(0.8, 0.8)))
    env = RoadEnv(atlas, fixed, worlds=4, seed=1, threads=1)
    env.reset()
    assert np.allclose(env.plant.cars.friction.numpy(), 0.8)
    with pytest.raises(VaryError, match="tyre_friction"):
        RoadConfig(randomization=vary(tyre_friction=(0.1, 0.2))).table()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"skill": "fly"}, "skill"),
        ({"traffic": -1}, "traffic"),
        ({"walkers": 1000}, "walkers"),
        ({"time_limit": 0.01}, "time_limit"),
    ],
)
def test_a_configuration_that_cannot_be_is_one_line(change: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        RoadConfig(**change).check()  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_a_choice_drives_for_a_second_and_asks_for_what_there_is(atlas: Atlas) -> None:
    env = Manoeuvres(road_env(atlas, 8, "route"), {name: frozen(2, k) for k, name in enumerate(SKILLS)})
    env.reset()
    before = env.environment.state.step.numpy().copy()
    left = env.environment.view.path.numpy()[:, 4, 6] > 0.0
    action = np.zeros((8, 3), np.float32)
    action[:, 0] = 1.0
    step = env.step(action)
    going = ~np.array(step.terminated | step.truncated, bool)
    assert (env.environment.state.step.numpy() - before)[going].tolist() == [20] * int(going.sum())
    side = env.task.wish.side.numpy()
    assert (side[~left & going] == 0).all()
    assert env.contract.action_size == 3
    with pytest.raises(ActionError):
        env.step(np.zeros((8, 2), np.float32))
    with pytest.raises(ValueError, match="skills"):
        Manoeuvres(road_env(atlas, 2, "route"), {"lane": frozen(2, 0)})
    with pytest.raises(ValueError, match="route"):
        Manoeuvres(road_env(atlas, 2, "lane"), {name: frozen(2, k) for k, name in enumerate(SKILLS)})


def test_the_reward_of_a_choice_is_what_its_seconds_gave(atlas: Atlas) -> None:
    env = Manoeuvres(road_env(atlas, 6, "route"), {name: frozen(2, k) for k, name in enumerate(SKILLS)})
    env.reset()
    rewards, ended = [], []

    def watch() -> None:
        rewards.append(env.task.outcome.reward.numpy().copy())
        ended.append(env.task.outcome.ended.numpy().astype(bool))

    env.watch = watch
    for _ in range(10):
        rewards.clear()
        ended.clear()
        step = env.step(np.zeros((6, 3), np.float32))
        for row in range(6):
            over = [k for k in range(20) if ended[k][row]]
            last = over[0] if over else 19
            assert step.reward[row] == pytest.approx(sum(each[row] for each in rewards[: last + 1]), abs=1e-4)
            assert bool(step.terminated[row] | step.truncated[row]) == bool(over)


def test_who_chooses_no_side_changes_lanes_where_the_route_must(atlas: Atlas) -> None:
    """By the map: everywhere that the route asks for a lane beside within 15 s and 50 m, and nowhere else."""
    env = Manoeuvres(road_env(atlas, 192, "route"), {name: frozen(2, k) for k, name in enumerate(SKILLS)})
    env.reset()
    view = env.environment.view
    asked, kept = 0, 0
    for _ in range(12):
        goal, v, here = view.goal.numpy().copy(), view.motion.numpy()[:, 0].copy(), view.path.numpy()[:, 4].copy()
        env.task.wish.side.zero_()
        env._decide.launch()
        side = env.task.wish.side.numpy()
        due = goal[:, 2] < 50.0 + 15.0 * np.abs(goal[:, 1]) * v
        room = np.where(goal[:, 1] > 0.0, here[:, PathColumn.LEFT_LANE], here[:, PathColumn.RIGHT_LANE]) > 0.0
        wanted = np.where(due & room, np.sign(goal[:, 1]), 0.0)
        assert (side == wanted).all()
        asked, kept = asked + int((side != 0).sum()), kept + int((side == 0).sum())
        env.step(np.zeros((192, 3), np.float32))
    assert asked > 5, "roads ask for changes"
    assert kept > 5


def test_skills_are_driven_at_every_pace_and_routes_at_the_whole(atlas: Atlas) -> None:
    env = road_env(atlas, 256)
    env.reset()
    pace = env.task.wish.pace.numpy()
    assert 0.3 < (pace < 1.0).mean() < 0.5
    assert pace.min() >= 0.5
    assert pace.max() == 1.0
    env = road_env(atlas, 8, "route")
    env.reset()
    assert (env.task.wish.pace.numpy() == 1.0).all()


def test_the_lane_skill_goes_on_behind_its_route_and_stops_where_the_road_ends() -> None:
    """By hand on a country road: nobody arrives, and who drives as fast as a brisk driver stands before its end."""
    road = generate_rural(3)
    last = next(k for k, lane in enumerate(road.lanes) if not lane.successors and lane.kind == LaneKind.DRIVING)
    end = road.lanes[last].length
    start = Place(last, end - 160.0, end - 140.0, speed=12.0)
    config = RoadConfig(traffic=0, walkers=0, time_limit=60.0)
    env = RoadEnv(Atlas([road], seed=1), config, worlds=8, seed=2, threads=1, places=lambda atlas, number: [start])
    env.reset()
    endings: list[int] = []
    stood = np.zeros(8, bool)
    for _ in range(500):
        seen = np.array(env.observation.numpy())
        action = by_hand(seen)
        action[:, 0] = 0.0  # what a brisk driver does
        step = env.step(action)
        endings += step.ending[step.ending > 0].tolist()
        stood |= (env.state.twist.numpy()[:, 0] < 0.1) & (env.task.wish.brisk.numpy() < 1.0)
    assert endings == []
    assert stood.all()


def test_skills_know_nothing_of_the_goal_and_choosers_do(atlas: Atlas) -> None:
    goal = slice(GOAL_AT, GOAL_AT + GOAL)
    for skill in SKILLS:
        env = road_env(atlas, 8, skill)
        env.reset()
        env.step(np.zeros((8, 2), np.float32))
        assert (np.array(env.observation.numpy())[:, goal] == 0.0).all()
    env = road_env(atlas, 8, "route")
    env.reset()
    seen = np.array(env.observation.numpy())
    assert (seen[:, GOAL_AT] > 0.0).all()
    layers = frozen(2, 1)
    deaf = aimless(layers).weights[0]
    assert (deaf[:, goal] == 0.0).all()
    rest = np.delete(np.arange(OBSERVATION), goal)
    assert np.array_equal(deaf[:, rest], layers.weights[0][:, rest])
    told = []
    for change in (0.0, 1.0):  # a skill's answer within a drive along a route does not hang on where that goes
        choices = Manoeuvres(env, {name: frozen(2, k) for k, name in enumerate(SKILLS)})
        env.observation.numpy()[:, goal] = seen[:, goal] + change
        choices._drive.launch()
        told.append(env.task.action.numpy().copy())
    assert np.array_equal(*told)


def test_a_choice_in_parts_is_a_step(atlas: Atlas) -> None:
    whole, parts = (
        Manoeuvres(road_env(atlas, 4, "route"), {name: frozen(2, k) for k, name in enumerate(SKILLS)}) for _ in "ab"
    )
    whole.reset()
    parts.reset()
    action = np.array([[0.0, 0.0, 0.0], [1.0, -0.5, 0.0], [-1.0, 0.2, 1.0], [0.0, 1.0, -1.0]], np.float32)
    for _ in range(4):
        step = whole.step(action)
        parts.choose(action)
        for k in range(parts.steps):
            parts.drive(k)
        assert np.array_equal(step.observation, parts.environment.observation.numpy())
        assert np.array_equal(step.reward, parts.outcome.reward.numpy())


def test_an_action_asks_for_what_lies_between_all_brakes_and_all_drive_around_a_brisk_driver(atlas: Atlas) -> None:
    env = road_env(atlas, 16)
    env.reset()
    for _ in range(5):
        env.step(np.zeros((16, 2), np.float32))
    seen, car = np.array(env.observation.numpy()), CAR.car
    brisk = np.clip((seen[:, 13] - seen[:, 0]) * 30.0, -car.brake_min, car.accel_max)
    action = np.zeros((16, 2), np.float32)
    for told, meant in ((0.0, brisk), (1.0, np.full(16, car.accel_max)), (-1.0, np.full(16, -car.brake_min))):
        action[:, 0] = told
        env.action.numpy()[...] = action
        env.task.act[0].launch()
        assert env.state.proposed.numpy()[:, 0] == pytest.approx(meant, abs=1e-3)
    action[:, 0] = asks(-1.7, seen, car)
    env.action.numpy()[...] = action
    env.task.act[0].launch()
    assert env.state.proposed.numpy()[:, 0] == pytest.approx(np.full(16, -1.7), abs=1e-3)
