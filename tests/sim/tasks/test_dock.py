"""Docking: the right place, the right yaw, at rest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from sim.env import BatchEnv
from sim.generate import generate_campus, generate_warehouse
from sim.site import MOVES, Site, make_site
from sim.tasks.dock import DOCKED_DISTANCE, DOCKED_YAW, Dock, DockConfig, dock_contract, docks_of
from sim.tasks.task import Ending
from sim.vary import vary

CALM = DockConfig(people=0, randomization=vary(level=0.0, stall_share=0.0))


@pytest.fixture(scope="module")
def site() -> Site:
    return generate_warehouse(3)


def goals(env: BatchEnv) -> NDArray[np.float64]:
    """The pose to dock in of every row, from the site and the paths alone."""
    assert isinstance(env.task, Dock)
    path, lengths = env.task.course.path.numpy(), env.task.paths.lengths.numpy()
    last = env.task.paths.cells.numpy()[path, lengths[path] - 1]
    cells, yaw = docks_of(env.site, 0)
    facing = dict(zip(cells.tolist(), yaw.tolist(), strict=True))
    return np.column_stack([env.site.centre(last), [facing[cell] for cell in last.tolist()]])


def dock(env: BatchEnv) -> NDArray[np.float32]:
    """Turn to the next way-point and drive to it; in the last cell go to its middle, then turn on the spot."""
    seen = env.observation.numpy()
    x, y, sine, cosine = seen[:, 89:93].T
    corridor = seen[:, 64:79].reshape(-1, 5, 3)
    final = (seen[:, 87] == 1.0) & (np.hypot(x, y) < 0.7)
    px, py = np.where(final, x, corridor[:, 0, 0] * 5.0), np.where(final, y, corridor[:, 0, 1] * 5.0)
    far, angle = np.hypot(px, py), np.arctan2(py, px)
    there = final & (np.hypot(x, y) < 0.03)
    drive = np.where(np.abs(angle) < 0.2, np.clip(0.6 * far, 0.03, 0.4), 0.0)
    turn = np.where(there, np.arctan2(sine, cosine), angle)
    return np.stack([np.where(there, 0.0, drive), np.clip(0.8 * turn, -1.0, 1.0)], -1).astype(np.float32)


def test_docks_are_stations_and_chargers_that_face_what_stands_beside_them(site: Site) -> None:
    cells, yaw = docks_of(site, 0)
    assert set(cells.tolist()) == set(site.stations.tolist()) | set(site.chargers.tolist())
    small = make_site("small", np.array([[1, 1, 1, 1], [1, 0, 0, 1], [1, 0, 0, 0], [1, 1, 1, 1]], bool))
    cells, yaw = docks_of(small, 0)
    assert cells.tolist() == [10]  # the only one with one side that is solid, the lower one
    np.testing.assert_allclose(yaw, [-np.pi / 2])


def test_a_hand_written_docker_docks(site: Site) -> None:
    env = BatchEnv(site, CALM, worlds=48, seed=1, threads=1)
    env.reset()
    endings = np.zeros(6, int)
    for _ in range(400):
        goal, before = goals(env), env.state.episode.numpy().copy()
        step = env.step(dock(env))
        endings += np.bincount(step.ending, minlength=6)
        assert ((env.state.episode.numpy() > before) == (step.ending != 0)).all()
        assert np.isfinite(goal).all()
    assert endings[1:].sum() > 60
    assert endings[Ending.SUCCEEDED] / endings[1:].sum() > 0.9


@pytest.mark.parametrize(
    ("offset", "turned", "there"),
    [
        (0.0, 0.0, True),
        (0.9 * DOCKED_DISTANCE, 0.0, True),
        (1.1 * DOCKED_DISTANCE, 0.0, False),
        (0.0, 0.9 * DOCKED_YAW, True),
        (0.0, 1.1 * DOCKED_YAW, False),
        (0.0, np.pi, False),
    ],
)
def test_place_and_yaw_must_both_be_right(site: Site, offset: float, turned: float, there: bool) -> None:
    env = BatchEnv(site, CALM, worlds=8, seed=2, threads=1)
    env.reset()
    goal = goals(env)
    course, lengths = env.task.course, env.task.paths.lengths.numpy()
    last = lengths[course.path.numpy()] - 1
    course.index.numpy()[...], course.granted.numpy()[...] = last, last
    env.backend.qpos.numpy()[:, :3] = goal + np.array([offset, 0.0, turned])
    step = env.step(np.zeros((8, 2), np.float32))
    assert (step.ending == (Ending.SUCCEEDED if there else Ending.RUNNING)).all()
    assert (step.reward > 4.0).all() == there


def test_a_robot_that_still_moves_has_not_docked(site: Site) -> None:
    env = BatchEnv(site, CALM, worlds=4, seed=2, threads=1)
    env.reset()
    goal = goals(env)
    course, lengths = env.task.course, env.task.paths.lengths.numpy()
    last = lengths[course.path.numpy()] - 1
    course.index.numpy()[...], course.granted.numpy()[...] = last, last
    env.backend.qpos.numpy()[:, :3] = goal
    env.backend.qvel.numpy()[:, 2] = 0.5
    env.drive.setpoint.numpy()[:, 1] = env.drive.output.numpy()[:, 1] = 0.5
    assert (env.step(np.tile(np.float32([0.0, 0.25]), (4, 1))).ending == Ending.RUNNING).all()


def test_the_goal_is_seen_in_the_robots_frame(site: Site) -> None:
    env = BatchEnv(site, CALM, worlds=16, seed=5, threads=1)
    env.reset()
    seen, goal, pose = env.observation.numpy(), goals(env), env.state.measured_pose.numpy().astype(float)
    for row in range(16):
        dx, dy, turn = goal[row] - pose[row]
        c, s = np.cos(pose[row, 2]), np.sin(pose[row, 2])
        expected = [np.clip(c * dx + s * dy, -1, 1), np.clip(c * dy - s * dx, -1, 1), np.sin(turn), np.cos(turn)]
        np.testing.assert_allclose(seen[row, 89:], expected, atol=1e-5)
    contract = dock_contract(CALM.spec)
    assert contract.observation_size == seen.shape[1] == 93
    assert contract.slices()["goal"] == slice(89, 93)


def test_the_shaping_is_a_potential(site: Site) -> None:
    """Its rewards over a loop from rest to rest sum to nothing, whatever lay between."""
    env = BatchEnv(site, CALM, worlds=6, seed=8, threads=1)
    plain = BatchEnv(site, replace(CALM), worlds=6, seed=8, threads=1)
    for each in (env, plain):
        each.reset()
    potential = env.task.potential.numpy()
    first = potential.copy()
    shaped = np.zeros(6)
    for k in range(20):
        before = potential.copy()
        env.step(np.tile(np.float32([0.1, np.sin(k)]), (6, 1)))
        shaped += before - potential
    alive = env.state.episode.numpy() == 0
    np.testing.assert_allclose(shaped[alive], (first - potential)[alive], atol=1e-5)
    assert alive.any()


def test_a_floor_without_stations_docks_at_racks() -> None:
    site = generate_campus(5, blocks=(1, 2))
    cells, yaw = docks_of(site, 0)
    assert len(cells) == 64
    solid = np.pad(site.blocked, 1, constant_values=True)
    for cell, angle in zip(cells.tolist(), yaw.tolist(), strict=True):
        row, column = divmod(cell, site.width)
        down, right = -round(np.sin(angle)), round(np.cos(angle))
        assert (down, right) in [tuple(move) for move in MOVES]
        assert solid[row + 1 + down, column + 1 + right]
