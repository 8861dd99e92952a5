"""Every task as a fleet's: what is whose, who leaves with what, and floors on which it cannot be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sim import fleet_v1
from sim.bodies.parts import Body
from sim.env import BatchEnv
from sim.fleetenv import FleetEnv
from sim.generate import generate_campus, generate_warehouse
from sim.people import PARKED
from sim.podkernels import LIFT_TIME
from sim.site import Site, SiteError, make_site
from sim.tasks.carry import CarryConfig
from sim.tasks.dock import DockConfig
from sim.tasks.fleet import FleetConfig, fleet
from sim.tasks.navigate import NavigateConfig
from sim.tasks.pick import PickConfig
from sim.tasks.registry import TASKS
from sim.tasks.task import Ending, TaskConfig
from sim.tasks.track import TrackConfig, track_site
from sim.vary import vary
from tests.sim.records import needs_opengl
from tests.sim.tasks.test_carry import carry
from tests.sim.tasks.test_pick import reach

SITE = generate_warehouse(3)
OPEN = make_site("open", np.zeros((9, 14), bool))
CARRY = CarryConfig(paths=256, randomization=vary(level=0.0, start_offset=0.0, stall_share=0.0))
LIFTING = round(LIFT_TIME / 0.1) + 2
"""Control steps from the floor to the top."""


def make(each: TaskConfig, site: Site = SITE, worlds: int = 2, robots: int = 3, **options: Any) -> FleetEnv:
    """Robots that have begun; `options` are of the fleet and of the environment."""
    mine = {name: options.pop(name) for name in ("fewest", "shared") if name in options}
    env = FleetEnv(
        site, fleet(each, **mine), worlds=worlds, robots=robots, seed=options.pop("seed", 3), threads=1, **options
    )
    env.reset()
    return env


def numbers(env: FleetEnv) -> NDArray[np.float32]:
    """An action of zeros."""
    return np.zeros(env.action.shape, np.float32)


def places(env: FleetEnv, things: str) -> NDArray[np.float64]:
    """x and y of robots, or of the pods or items that are theirs, (worlds, robots, 2)."""
    scene, lower = env.environment.scene, env.environment
    qpos = lower.backend.qpos.numpy()
    first, width = 0, scene.qpos_stride
    if things != "robots":
        first, width = scene.robots * scene.qpos_stride, 7 if scene.falls else 3
    return qpos[:, first : first + scene.robots * width].reshape(env.worlds, env.robots, width)[..., :2].copy()


def carried(env: FleetEnv) -> NDArray[np.int32]:
    """The pod that each robot holds, (worlds, robots)."""
    assert env.environment.plant.pods is not None
    return env.environment.plant.pods.carried().copy()


def by_twin(env: FleetEnv, twin: Callable[[BatchEnv], NDArray[np.float32]]) -> NDArray[np.float32]:
    """What the hand-written twin does, (worlds, robots, actions)."""
    return twin(env.environment).reshape(env.action.shape)


@pytest.mark.parametrize("body", ["planar", "wheeled"])
def test_each_robot_has_a_pod_of_its_own_and_takes_it_along_when_it_leaves(body: Body) -> None:
    env = make(CARRY, body=body)
    np.testing.assert_allclose(places(env, "pods"), places(env, "robots"), atol=0.03)
    for _ in range(LIFTING):
        env.step(by_twin(env, carry))
    np.testing.assert_array_equal(carried(env), np.tile(np.arange(3), (2, 1)))
    stood = places(env, "pods")
    action = by_twin(env, carry)
    action[0, 1] = np.nan  # ends this one, and no other
    step = env.step(action)
    assert step.ending[0, 1] == Ending.DIVERGED
    np.testing.assert_array_equal(step.mask, [[True, False, True], [True, True, True]])
    for _ in range(3):
        step = env.step(by_twin(env, carry))
        assert step.ending[0, 1] == Ending.RUNNING  # told once
    gone, here = places(env, "pods")[0, 1], step.mask
    assert (gone < PARKED + 0.1).all()
    np.testing.assert_allclose(gone, places(env, "robots")[0, 1], atol=1e-3)
    assert (np.abs(places(env, "pods") - stood)[here] < 1.0).all()
    assert carried(env)[0].tolist() == [0, -1, 2]
    active = env.environment.backend.data("eq_active").numpy()[0].reshape(3, 3)
    np.testing.assert_array_equal(active, np.diag([1, 0, 1]))


def test_no_robot_lifts_another_ones_pod() -> None:
    env = make(CARRY, worlds=1, robots=2)
    lower = env.environment
    pods = lower.backend.qpos.numpy()[0, 2 * lower.scene.qpos_stride :].reshape(2, -1)
    right = pods.copy()
    pods[:] = right[::-1]  # above each robot stands the other one's
    up = numbers(env)
    up[..., 2] = 1.0
    for _ in range(3):
        assert not env.step(up).ending.any()
    assert (carried(env) == -1).all()
    pods[:] = right
    for _ in range(3):
        env.step(up)
    assert carried(env)[0].tolist() == [0, 1]


def test_a_fleet_carries_and_begins_anew_with_its_pods_above_it() -> None:
    env = make(replace(CARRY, time_limit=40.0), worlds=3, robots=3, shared=True)
    done, closed = 0, 0
    for _ in range(420):
        step = env.step(by_twin(env, carry))
        done += int(step.success.sum())
        assert all(len(set(reward[acted].tolist())) == 1 for reward, acted in zip(step.reward, step.acted, strict=True))
        if step.closed.any():
            closed += int(step.closed.sum())
            np.testing.assert_allclose(places(env, "pods")[step.closed], places(env, "robots")[step.closed], atol=0.03)
            assert (carried(env)[step.closed] == -1).all()
    assert done >= 5
    assert closed >= 3


def test_pickers_have_shelves_of_their_own_and_leave_their_items_in_their_bins() -> None:
    env = make(PickConfig(), OPEN, worlds=2, robots=3)
    shelves = np.array([shelf.at[:2] for shelf in env.environment.scene.shelves])
    assert (np.abs(places(env, "items") - shelves) < 0.2).all()
    done = np.zeros((2, 3), bool)
    for _ in range(120):
        action = by_twin(env, reach)
        step = env.step(action)
        done |= step.success.astype(bool)
        gone = ~step.acted
        gone[step.closed] = False
        if gone.any():
            np.testing.assert_allclose(places(env, "items")[gone], np.tile(shelves, (2, 1, 1))[gone], atol=1e-3)
            assert (places(env, "robots")[gone] < PARKED + 0.1).all()
    assert done.sum() >= 4


def test_a_motor_level_that_ended_stands_still_aside() -> None:
    env = make(TrackConfig(time_limit=2.0), track_site(), robots=4, body="wheeled")
    assert len(np.unique(places(env, "robots").reshape(-1, 2), axis=0)) == 8
    full = np.ones(env.action.shape, np.float32)
    for _ in range(20):
        env.step(full)
    bad = full.copy()
    bad[:, 2] = np.inf
    assert (env.step(bad).ending[:, 2] == Ending.DIVERGED).all()
    env.step(full)
    aside = places(env, "robots")[:, 2]
    for _ in range(78):
        np.testing.assert_allclose(places(env, "robots")[:, 2], aside, atol=5e-3)
        step = env.step(full)
        np.testing.assert_array_equal(step.acted, np.tile([True, True, False, True], (2, 1)))
    assert step.closed.all()
    assert step.truncated[:, [0, 1, 3]].all()
    assert (aside < PARKED + 0.1).all()
    rest = make(TrackConfig(), track_site(), robots=4, body="wheeled", fewest=1, seed=5, worlds=6)
    for _ in range(10):
        spare = ~rest.step(full[:1].repeat(6, axis=0)).mask
    assert spare.any()
    qvel = rest.environment.backend.qvel.numpy().reshape(6, 4, -1)
    assert np.abs(qvel[spare]).max() < 1e-2
    assert np.abs(qvel[~spare]).max() > 0.1


@pytest.mark.parametrize("task", fleet_v1.TASKS)
def test_the_same_seed_is_the_same_life_whatever_the_worlds_and_threads(task: str) -> None:
    config = fleet(replace(TASKS[task](), time_limit=0.1 if task == "track" else 0.5), fewest=1)
    few, many = (
        FleetEnv(OPEN, config, worlds=worlds, robots=3, seed=4, threads=threads) for worlds, threads in ((2, 1), (5, 2))
    )
    few.reset()
    many.reset()
    rng = np.random.default_rng(2)
    for _ in range(12):
        action = rng.uniform(-1.0, 1.0, many.action.shape).astype(np.float32)
        one, other = few.step(action[:2]), many.step(action)
        for name in ("observation", "reward", "mask", "ending", "last_observation"):
            assert getattr(one, name).tobytes() == getattr(other, name)[:2].tobytes(), name


@pytest.mark.parametrize("task", fleet_v1.TASKS)
def test_padding_earns_nothing_and_never_ends(task: str) -> None:
    env = make(TASKS[task](), OPEN, worlds=8, robots=4, fewest=1)
    spare = ~env.step_now.mask.copy()
    assert spare.any()
    assert env.step_now.mask[:, 0].all()
    stood = places(env, "robots")
    rng = np.random.default_rng(1)
    for _ in range(5):
        step = env.step(rng.uniform(-1.0, 1.0, env.action.shape).astype(np.float32))
        spare &= ~step.closed[:, None]
        for quiet in (step.reward, step.ending, step.terminated, step.truncated, step.observation):
            assert not quiet[spare].any()
    assert spare.any()
    np.testing.assert_allclose(places(env, "robots")[spare], stood[spare], atol=1e-3)


def test_a_robot_that_finds_no_place_takes_no_part() -> None:
    site = generate_campus(1, blocks=(8, 8))  # few docks for each of its parts
    env = make(DockConfig(people=0), site, worlds=24, robots=12)
    mask, at = env.step_now.mask, places(env, "robots")
    assert mask[:, 0].all()
    assert (~mask).any()
    for world in range(24):
        there = at[world][mask[world]]
        away = np.hypot(*(there[:, None] - there[None]).transpose(2, 0, 1)) + 9.0 * np.eye(len(there))
        assert away.min() > 2.0 * env.environment.spec.radius
    for _ in range(5):
        assert (env.step(numbers(env)).ending != Ending.COLLIDED).all()


@needs_opengl
@pytest.mark.parametrize("task", ["carry", "pick", "track"])
def test_a_fleet_of_every_kind_is_drawn(task: str) -> None:
    env = fleet_v1.parallel_env(task, 2, site=None if task == "track" else OPEN, render_mode="rgb_array")
    env.reset(seed=1)
    picture = env.render()
    assert picture is not None
    assert picture.std() > 5.0
    env.close()


@pytest.mark.parametrize(
    ("each", "site", "robots", "expected"),
    [
        (PickConfig(), make_site("hall", np.zeros((6, 6), bool)), 5, r"expected 5 free places of 3 x 3 cells"),
        (
            CarryConfig(),
            make_site("den", np.zeros((9, 9), bool), cell=0.9),
            2,
            r"den: expected cells of 0.99 m or more",
        ),
        (NavigateConfig(), make_site("room", np.zeros((2, 4), bool)), 3, r"room: expected places for 3 robots"),
        (NavigateConfig(), make_site("cell", np.zeros((1, 1), bool)), 1, r"cell has none"),
        (DockConfig(), make_site("aisle", np.zeros((1, 9), bool)), 1, r"aisle: expected a station, a charger"),
        (
            TrackConfig(),
            make_site("pair", np.zeros((1, 2), bool), cell=12.0),
            3,
            r"pair: expected a free cell for each",
        ),
    ],
    ids=["pick", "carry", "navigate", "no way", "dock", "track"],
)
def test_a_floor_where_the_task_cannot_be_is_one_clear_error(
    each: TaskConfig, site: Site, robots: int, expected: str
) -> None:
    with pytest.raises(SiteError, match=expected) as caught:
        FleetEnv(site, fleet(each), worlds=1, robots=robots, threads=1)
    assert "\n" not in str(caught.value)


def test_a_fleet_of_fleets_is_an_error() -> None:
    config: FleetConfig = fleet(NavigateConfig())
    with pytest.raises(ValueError, match="expected the task of one robot, got a fleet's"):
        fleet(config)
