"""Boxes in the way of an episode: how many, where, and that they are off unless they are asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sim.bodies.parts import Body
from sim.env import BatchEnv
from sim.generate import generate_warehouse
from sim.loads import Loads
from sim.people import PARKED
from sim.site import Site
from sim.spilling import HALF_BOX, ROOM, free_cells
from sim.tasks.navigate import NavigateConfig
from sim.tasks.navigate_contract import navigate_contract
from sim.vary import VaryError, vary

BOXES = 4
CONFIG = NavigateConfig(paths=256, people=0, loads=Loads(boxes=BOXES), randomization=vary(boxes=(1, BOXES)))


@pytest.fixture(scope="module")
def site() -> Site:
    return generate_warehouse(3, width=16, height=12, stations=4, chargers=2, doors=3, pods=4, speed_limit=0.5)


def make(site: Site, worlds: int = 12, robots: int = 2, body: Body = "planar", seed: int = 5) -> BatchEnv:
    env = BatchEnv(site, CONFIG, worlds=worlds, robots=robots, seed=seed, body=body, threads=1)
    env.reset()
    return env


def boxes(env: BatchEnv) -> np.ndarray:
    """x and y of each box, (worlds, boxes, 2)."""
    first = env.robots * env.scene.qpos_stride
    return env.backend.qpos.numpy()[:, first:].reshape(env.worlds, BOXES, -1)[..., :2].copy()


def on_floor(env: BatchEnv) -> np.ndarray:
    return boxes(env)[..., 0] != PARKED


@pytest.mark.parametrize("body", ["planar", "wheeled"])
def test_boxes_lie_in_free_cells_away_from_robots_ends_and_each_other(site: Site, body: Body) -> None:
    env = make(site, body=body)
    reach, free, seen = env.spec.radius + HALF_BOX + ROOM, set(free_cells(site).tolist()), set()
    assert not free & {*site.stations, *site.chargers, *site.fixtures.pods}
    for _ in range(4):
        env.reset()
        at, lies = boxes(env), on_floor(env)
        wanted = env.plant.varies.values.numpy()[:: env.robots, env.table.index("boxes")]
        assert (lies.sum(axis=1) <= wanted).all()
        assert lies.sum() > 0.8 * wanted.sum()
        pose = env.state.pose.numpy().reshape(env.worlds, env.robots, -1)[..., :2]
        course, paths = env.task.course, env.task.paths  # type: ignore[attr-defined]  # navigate's
        chosen = course.path.numpy()
        ends = site.centre(paths.cells.numpy()[chosen, paths.lengths.numpy()[chosen] - 1])
        for world in range(env.worlds):
            mine = at[world, lies[world]]
            for x, y in mine:
                cell = int(site.height - 1 - y // site.cell) * site.width + int(x // site.cell)
                assert cell in free
                seen.add(cell)
            rows = slice(world * env.robots, (world + 1) * env.robots)
            for kept in (pose[world], np.asarray(ends).reshape(-1, 2)[rows]):
                if len(mine):
                    assert np.hypot(*np.moveaxis(mine[:, None] - kept[None], -1, 0)).min() >= reach - 1e-4
            apart = np.hypot(*np.moveaxis(mine[:, None] - mine[None], -1, 0)) + np.eye(len(mine))
            assert apart.min(initial=1.0) >= 2 * HALF_BOX - 1e-4
    assert len(seen) > 15
    for _ in range(3):
        env.step(np.zeros((env.rows, 2), np.float32))
    np.testing.assert_allclose(boxes(env), at, atol=5e-3)  # they lie still


def test_a_world_has_the_same_boxes_among_few_or_many(site: Site) -> None:
    np.testing.assert_array_equal(boxes(make(site, 3)), boxes(make(site, 9))[:3])
    assert (boxes(make(site, 3)) != boxes(make(site, 3, seed=6))).any()


def test_what_lies_where_a_robot_begins_alone_is_cleared_and_the_rest_stays(site: Site) -> None:
    env = make(site)
    before = boxes(env)
    for row in range(env.rows):
        mask = np.arange(env.rows) == row
        first = env.robots * env.scene.qpos_stride
        width = 3
        start = env.state.pose.numpy()[row, :2].copy()
        env.backend.qpos.numpy()[row // 2, first : first + 2] = start  # a box was pushed there
        env.reset(mask)
        begun = env.state.pose.numpy()[row, :2]
        now = boxes(env)
        reach = env.spec.radius + HALF_BOX + ROOM
        assert (np.hypot(*(now[row // 2] - begun).T) >= reach).all()
        others = np.arange(env.worlds) != row // 2
        np.testing.assert_array_equal(now[others], before[others])
        env.backend.qpos.numpy()[row // 2, first:].reshape(BOXES, width)[:, :2] = before[row // 2]


def test_boxes_are_off_and_cost_nothing_unless_a_floor_may_have_some(site: Site) -> None:
    plain = BatchEnv(site, replace(CONFIG, loads=Loads(), randomization=vary()), worlds=2, threads=1)
    assert plain.plant.spills is None
    assert "boxes" not in [row.name for row in plain.table]
    assert plain.contract.hash == navigate_contract(CONFIG.spec).hash
    parked = BatchEnv(site, replace(CONFIG, randomization=vary()), worlds=2, threads=1)
    parked.reset()
    assert not on_floor(parked).any()
    with pytest.raises(VaryError, match="boxes: high: expected a number from 0 to 4 boxes, got 5"):
        BatchEnv(site, replace(CONFIG, randomization=vary(boxes=(0, 5))), worlds=2)
