"""The step as a device runs it: every kernel launched whether an episode ended or not, and replayed from one graph.

Warp captures and replays graphs on its CPU device too, so that the same code is tested here that runs on CUDA.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import warp as wp
from numpy.typing import NDArray

from safety.shield import Shield
from sim.env import BatchEnv
from sim.generate import generate_campus
from sim.points import Points
from sim.robot import SECOND
from sim.site import Site
from sim.tasks.fleet import fleet
from sim.tasks.navigate import NavigateConfig
from sim.tasks.registry import TASKS

CONFIG = NavigateConfig(paths=256, time_limit=1.5)
"""Short episodes, so that many end."""


@pytest.fixture(scope="module")
def site() -> Site:
    return generate_campus(5, blocks=(2, 2))


def actions(steps: int, rows: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(3)
    drawn = rng.uniform(-1.0, 1.0, (steps, rows, 2)).astype(np.float32)
    drawn[steps // 2, 0] = np.nan
    return drawn


def shield(env_site: Site, rows: int) -> dict[str, object]:
    points = Points(env_site, CONFIG.spec, 0.0)
    memory = points.init(rows)
    return {"filter": Shield(CONFIG.spec), "point_speeds": lambda inputs: points.launch(inputs, memory)}


@pytest.mark.parametrize("robots", [1, 3])
@pytest.mark.parametrize("shielded", [False, True])
def test_a_step_without_a_look_from_the_host_does_the_same(site: Site, robots: int, shielded: bool) -> None:
    looked, blind = (
        BatchEnv(
            site, CONFIG, worlds=6, robots=robots, seed=4, threads=1, **(shield(site, 6 * robots) if shielded else {})
        )
        for _ in range(2)
    )
    for env in (looked, blind):
        env.reset()
    ended = 0
    for action in actions(60, looked.rows):
        step = looked.step(action)
        ended += int((step.ending != 0).sum())
        blind.action.assign(action)
        blind._play()
    first, second = looked.snapshot(), blind.snapshot()
    for name, values in first.items():
        np.testing.assert_array_equal(second[name], values, err_msg=name)
    assert ended > 15


@pytest.mark.slow
@pytest.mark.parametrize("shielded", [False, True])
def test_a_step_replayed_from_a_graph_is_the_step_launched_one_by_one(site: Site, shielded: bool) -> None:
    from sim.warp_backend import WarpBackend

    captured, plain = (
        BatchEnv(
            site,
            CONFIG,
            worlds=4,
            seed=4,
            backend=lambda scene, worlds: WarpBackend(scene.model, worlds),
            **(shield(site, 4) if shielded else {}),
        )
        for _ in range(2)
    )
    for env in (captured, plain):
        env.reset()
    plain.substep_hook = lambda env: None  # a hook runs in Python: no graph
    ended = 0
    for action in actions(40, 4):
        step, expected = captured.step(action), plain.step(action)
        for name in step.__dataclass_fields__:
            np.testing.assert_array_equal(getattr(step, name), getattr(expected, name), err_msg=name)
        ended += int((step.ending != 0).sum())
    for name, values in plain.snapshot().items():
        np.testing.assert_array_equal(captured.snapshot()[name], values, err_msg=name)
    assert ended > 5
    assert captured.graph.used
    assert captured.graph.captures == 1


@pytest.mark.slow
def test_a_model_field_that_moves_is_captured_again(site: Site) -> None:
    from sim.warp_backend import WarpBackend

    env = BatchEnv(
        site,
        replace(CONFIG, people=0, time_limit=60.0),
        worlds=4,
        seed=4,
        backend=lambda scene, worlds: WarpBackend(scene.model, worlds),
    )
    env.reset()
    ahead = np.tile(np.float32([0.3, 0.0]), (4, 1))
    for _ in range(3):
        env.step(ahead)
    assert env.graph.captures == 1
    gain = env.backend.field("actuator_gainprm")  # one row for each world from here on, in new memory
    values = gain.numpy().copy()
    values[2, :, 0] = 0.0
    gain.assign(values)
    bias = env.backend.field("actuator_biasprm")
    values = bias.numpy().copy()
    values[2] = 0.0
    bias.assign(values)
    before = env.state.pose.numpy().copy()
    stopped = env.backend.qvel
    rows = stopped.numpy().copy()
    rows[2] = 0.0
    stopped.assign(rows)
    for _ in range(3):
        env.step(ahead)
    assert env.graph.captures == 2
    moved = np.linalg.norm(env.state.pose.numpy()[:, :2] - before[:, :2], axis=1)
    assert moved[2] < 1e-3  # the drive without gain
    assert (moved[[0, 1, 3]] > 0.03).all()


FLEETS = {f"fleet of {name}": fleet(TASKS[name](), fewest=1) for name in ("dock", "carry", "pick", "track")}


@pytest.mark.parametrize("task", [*(name for name in TASKS if name != "navigate"), *FLEETS])
def test_every_task_steps_without_a_look_from_the_host(site: Site, task: str) -> None:
    config = replace(FLEETS.get(task) or TASKS[task](), time_limit=1.5)
    looked, blind = (BatchEnv(site, config, worlds=4, robots=2, seed=4, threads=1) for _ in range(2))
    for env in (looked, blind):
        env.reset()
    rng = np.random.default_rng(3)
    ended = 0
    for _ in range(4 * SECOND // config.spec.period):
        action = rng.uniform(-1.0, 1.0, looked.action.shape).astype(np.float32)
        step = looked.step(action)
        ended += int((step.ending != 0).sum())
        blind.action.assign(action)
        blind._play()
    first, second = looked.snapshot(), blind.snapshot()
    for name, values in first.items():
        np.testing.assert_array_equal(second[name], values, err_msg=name)
    assert ended > 5


def test_the_c_engine_says_that_it_has_no_graph(site: Site) -> None:
    env = BatchEnv(site, CONFIG, worlds=1, threads=1)
    env.reset()
    for _ in range(3):
        env.step(np.zeros((1, 2), np.float32))
    assert env.graph.line() == "graph on cpu: none, the physics runs on the host"


@pytest.mark.gpu
def test_a_step_on_cuda_reads_nothing_back(site: Site) -> None:
    env = BatchEnv(site, CONFIG, worlds=64, seed=4, device="cuda:0")
    env.reset()
    for _ in range(30):
        step = env.step()
    assert env.graph.used
    assert isinstance(step.observation, wp.array)
    assert np.isfinite(step.observation.numpy()).all()
