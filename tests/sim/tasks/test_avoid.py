"""Avoiding people: a corridor wide enough to drive round them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sim.env import BatchEnv
from sim.generate import generate_campus
from sim.site import Site, make_site
from sim.tasks.avoid import HALF_WIDTH, avoid
from sim.tasks.navigate import NavigateConfig
from sim.tasks.task import Ending
from sim.vary import vary

CALM = replace(avoid(), randomization=vary(level=0.0, stall_share=0.0, start_offset=0.0), people=1)


@pytest.fixture(scope="module")
def hall() -> Site:
    """One open hall of 12 x 9 cells."""
    return make_site("hall", np.zeros((9, 12), bool))


def straight(env: BatchEnv) -> np.ndarray:
    """Rows whose path's first cells lie in a row, well inside the hall."""
    paths = env.task.paths.cells.numpy()[env.task.course.path.numpy(), :4]
    row, column = np.divmod(paths, env.site.width)
    return ((row == row[:, :1]).all(axis=1) | (column == column[:, :1]).all(axis=1)) & (row[:, 0] > 1) & (row[:, 0] < 7)


@pytest.mark.parametrize(("aside", "ending"), [(0.9 * HALF_WIDTH, Ending.RUNNING), (1.1 * HALF_WIDTH, Ending.LEFT)])
def test_the_corridor_is_as_wide_as_it_says(hall: Site, aside: float, ending: Ending) -> None:
    env = BatchEnv(hall, replace(CALM, people=0), worlds=120, seed=1, threads=1)
    env.reset()
    points = env.task.corridor.points.numpy()
    along = points[:, 1] - points[:, 0]
    normal = np.stack([-along[:, 1], along[:, 0]], -1) / np.linalg.norm(along, axis=1, keepdims=True)
    place = points[:, 0] + aside * normal
    inside = ((place > 0.6) & (place < np.array([12, 9]) * 1.2 - 0.6)).all(axis=1) & straight(env)
    env.backend.qpos.numpy()[inside, :2] = place[inside]
    step = env.step(np.zeros((120, 2), np.float32))
    assert inside.sum() > 5
    assert (step.ending[inside] == ending).all()
    np.testing.assert_array_equal(env.task.corridor.half_width.numpy(), np.float32(HALF_WIDTH))


def test_a_robot_drives_round_a_person_and_arrives(hall: Site) -> None:
    """A person stands in the middle of the way; who goes round at a metre's distance is neither out nor in contact."""
    env = BatchEnv(hall, replace(CALM, shortest=6, longest=8), worlds=64, seed=3, threads=1)
    env.reset()
    cells = env.task.paths.cells.numpy()[env.task.course.path.numpy()]
    length = env.task.paths.lengths.numpy()[env.task.course.path.numpy()]
    goal = hall.centre(cells[np.arange(64), length - 1])
    start = hall.centre(cells[:, 0])
    row = cells // hall.width
    level = (row == row[:, :1]).all(axis=1) & (np.abs(row[:, 0] - 4) <= 1) & (np.abs(goal - start).max(axis=1) > 4.0)
    assert level.any()
    middle = (start + goal) / 2
    env.people.origin.numpy()[:, 0] = hall.cell_at(middle)
    env.people.pause.numpy()[...] = 1e9
    env.people.position.numpy()[:, 0] = middle
    done = np.zeros(64, int)
    passed = np.zeros(64)
    for _ in range(260):
        pose = env.state.pose.numpy().astype(float)
        ahead = goal - pose[:, :2]
        sign = np.sign(goal[:, 0] - start[:, 0])
        near = np.abs(pose[:, 0] - middle[:, 0]) < 1.6
        target = np.where(near[:, None], np.stack([pose[:, 0] + 0.8 * sign, start[:, 1] + 1.0], -1), goal)
        heading = np.arctan2(*(target - pose[:, :2]).T[::-1]) - pose[:, 2]
        angle = np.arctan2(np.sin(heading), np.cos(heading))
        far = np.linalg.norm(ahead, axis=1)
        speed = np.where(np.abs(angle) < 0.3, np.clip(far, 0.1, 0.4), 0.0)
        speed = np.where(far < 0.15, 0.0, speed)
        step = env.step(np.stack([speed, np.clip(1.5 * angle, -1, 1)], -1).astype(np.float32))
        beside = np.where(done == 0, np.abs(pose[:, 1] - start[:, 1]), 0.0)
        passed = np.maximum(passed, beside)
        done = np.where(done == 0, step.ending, done)
    assert (done[level] == Ending.SUCCEEDED).all()
    assert (passed[level] > 0.6).all()  # beyond what navigate's cells allow


def test_a_policy_of_navigate_is_none_of_avoid() -> None:
    site = generate_campus(5, blocks=(1, 1))
    one = BatchEnv(site, replace(avoid(), paths=64), worlds=1, threads=1)
    other = BatchEnv(site, NavigateConfig(paths=64), worlds=1, threads=1)
    assert one.contract.hash != other.contract.hash
    assert one.contract.fields == other.contract.fields
