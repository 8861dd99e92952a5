"""Rows that write model fields: over stored defaults, for those who begin, with what follows computed anew."""

from __future__ import annotations

from dataclasses import replace

import mujoco
import numpy as np
import pytest

from sim.backend import BatchBackend
from sim.env import BatchEnv
from sim.generate import generate_campus
from sim.opengl import OpenGLError
from sim.randomization import Term, draw_numpy
from sim.rendering import Renderer
from sim.robot import RobotSpec
from sim.scene import Body
from sim.site import Site
from sim.tasks.navigate import NavigateConfig
from sim.vary import Variation, VaryError, vary
from tests.sim.drawnbyhand import between_numpy

WIDE = vary(mass=(0.7, 1.6), inertia=(0.8, 1.5), light=(0.3, 2.0), light_x=(-5.0, 5.0), light_dir_y=(-0.5, 0.5))


@pytest.fixture(scope="module")
def site() -> Site:
    return generate_campus(5, blocks=(2, 2))


def make(
    site: Site, worlds: int, said: Variation = WIDE, robots: int = 1, body: Body = "planar", seed: int = 6
) -> BatchEnv:
    task = replace(NavigateConfig(), paths=64, people=0, randomization=said)
    env = BatchEnv(site, task, worlds=worlds, robots=robots, seed=seed, body=body, threads=1)
    env.reset()
    return env


def field(env: BatchEnv, name: str) -> np.ndarray:
    return np.array(env.backend.varied()[name].numpy())


def value(env: BatchEnv, name: str) -> np.ndarray:
    """What was drawn, (rows,)."""
    return env.plant.varies.values.numpy()[:, env.plant.table.index(name)].astype(np.float64)


@pytest.mark.parametrize("body", ["planar", "wheeled"])
def test_fields_are_the_stored_default_times_the_draw_after_any_number_of_episodes(site: Site, body: Body) -> None:
    env = make(site, 5, body=body)
    model = env.scene.model
    own = [b for b in range(model.nbody) if model.body(int(model.body_rootid[b])).name == "robot0"]
    for _ in range(4):
        env.reset()
        for name, scaled in (("body_mass", "mass"), ("body_inertia", "inertia")):
            default = getattr(model, name).reshape(model.nbody, -1)
            expected = np.tile(default, (5, 1, 1))
            expected[:, own] *= value(env, scaled)[:, None, None]
            np.testing.assert_array_equal(field(env, name).reshape(expected.shape), expected)
        bright = model.light_diffuse[None] * value(env, "light")[:, None, None]
        np.testing.assert_allclose(field(env, "light_diffuse"), bright, rtol=1e-6)  # float32 in MuJoCo
        moved = np.tile(model.light_pos, (5, 1, 1))
        moved[..., 0] += value(env, "light_x")[:, None]
        np.testing.assert_allclose(field(env, "light_pos"), moved, rtol=1e-12)


def test_what_follows_from_a_mass_is_what_a_model_of_that_mass_has(site: Site) -> None:
    env = make(site, 3, vary(mass=(0.7, 1.6)), body="wheeled")
    backend = env.backend
    assert isinstance(backend, BatchBackend)
    given = backend.batch.expanded("body_invweight0")
    for world in range(3):
        model = env.scene.model.__copy__()
        own = [b for b in range(model.nbody) if model.body(int(model.body_rootid[b])).name == "robot0"]
        model.body_mass[own] *= value(env, "mass")[world]
        mujoco.mj_setConst(model, mujoco.MjData(model))
        np.testing.assert_allclose(given[world], model.body_invweight0, rtol=1e-12)
        assert not np.allclose(given[world], env.scene.model.body_invweight0)


def test_a_beginning_writes_the_fields_of_those_who_begin_alone(site: Site) -> None:
    env = make(site, 4, robots=2)
    before = {name: field(env, name) for name in ("body_mass", "light_diffuse")}
    rows = np.zeros(8, bool)
    rows[[2, 6, 7]] = True  # one robot of world 1, both of world 3
    env.reset(rows)
    model = env.scene.model
    robots = np.array([{"robot0": 0, "robot1": 1}.get(model.body(int(root)).name, -1) for root in model.body_rootid])
    changed = field(env, "body_mass") != before["body_mass"]
    for world in range(4):
        for robot in range(2):
            assert changed[world, robots == robot].any() == rows[2 * world + robot]
        assert not changed[world, robots < 0].any()
    lit = (field(env, "light_diffuse") != before["light_diffuse"]).any(axis=(1, 2))
    np.testing.assert_array_equal(lit, [False, False, False, True])  # light belongs to the world


def test_world_three_weighs_the_same_among_four_and_among_sixteen(site: Site) -> None:
    few, many = make(site, 4), make(site, 16)
    for name in ("body_mass", "body_inertia", "light_diffuse", "light_pos", "light_dir"):
        np.testing.assert_array_equal(field(few, name)[3], field(many, name)[3])
    row = few.plant.table.row("mass")
    bits = draw_numpy(6, Term.MASS, np.arange(4), 0, 0)
    np.testing.assert_array_equal(value(few, "mass"), between_numpy(row, bits))


def test_a_heavier_robot_gains_speed_more_slowly(site: Site) -> None:
    speeds = []
    for mass in (1.0, 2.0):
        env = make(site, 1, vary(level=0.0, mass=mass, friction=0.15, start_offset=0.0))
        env.step(np.array([[1.0, 0.0]], np.float32))
        speeds.append(float(env.state.twist.numpy()[0, 0]))
    # what the floor lets the drive pull on 60 kg, for 0.1 s
    assert speeds[0] == pytest.approx(0.12, rel=0.35)
    assert speeds[1] < 0.85 * speeds[0]


def test_neutral_rows_give_no_world_a_field_of_its_own(site: Site) -> None:
    env = make(site, 2, Variation())
    assert set(env.backend.varied()) == {"actuator_forcerange"}


def test_snapshots_hold_the_fields_and_what_was_drawn(site: Site) -> None:
    one, two = make(site, 3), make(site, 3)
    two.reset()  # other draws, other masses
    assert (field(one, "body_mass") != field(two, "body_mass")).any()
    two.restore(one.snapshot())
    action = np.tile(np.array([[0.6, 0.3]], np.float32), (3, 1))
    for _ in range(5):
        one.step(action)
        two.step(action)
    for name, values in one.snapshot().items():
        np.testing.assert_array_equal(values, two.snapshot()[name], name)


def test_a_row_without_an_element_to_write_is_refused(site: Site) -> None:
    task = replace(NavigateConfig(spec=RobotSpec()), paths=64)
    row = replace(task.table().row("light"), field="tendon_stiffness")
    with pytest.raises(VaryError, match="expected a model field that may differ between worlds"):
        replace(task.table(), rows=(row,))


@pytest.mark.slow
def test_both_engines_write_the_same_fields(site: Site) -> None:
    from sim.warp_backend import WarpBackend

    batch = make(site, 3)
    warp = BatchEnv(
        site, batch.config, worlds=3, seed=6, threads=1, backend=lambda scene, worlds: WarpBackend(scene.model, worlds)
    )
    warp.reset()
    action = np.tile(np.array([[0.6, 0.3]], np.float32), (3, 1))
    for _ in range(5):  # the third step on is replayed from a graph, recompute included
        warp.reset()
        batch.reset()
        for name in ("body_mass", "body_inertia", "light_diffuse", "light_pos"):
            np.testing.assert_allclose(field(warp, name), field(batch, name), rtol=1e-6)
        warp.step(action)
        batch.step(action)
        np.testing.assert_allclose(warp.state.twist.numpy(), batch.state.twist.numpy(), atol=1e-5)


def test_pictures_are_taken_in_the_light_of_their_world(site: Site) -> None:
    env = make(site, 2, vary(light=(0.2, 3.0)), seed=2)
    try:
        renderer = Renderer(env, 160, 120)
    except OpenGLError as error:
        pytest.skip(str(error))
    bright = [renderer.frame(world).mean() for world in range(2)]
    renderer.close()
    light = value(env, "light")
    assert abs(light[0] - light[1]) > 0.3
    assert (bright[0] - bright[1]) * (light[0] - light[1]) > 0.0


@pytest.mark.parametrize("body", ["planar", "wheeled"])
def test_a_payload_is_mass_and_inertia_where_its_row_says_so(site: Site, body: Body) -> None:
    env = make(site, 4, vary(payload=(5.0, 40.0), payload_mass=(0.5, 1.0), mass=(0.8, 1.2)), body=body, robots=2)
    assert isinstance(env.backend, BatchBackend)
    model, given = env.scene.model, {}
    for _ in range(3):  # nothing compounds
        env.reset()
        load = (value(env, "payload") * value(env, "payload_mass")).reshape(4, 2)
        for world in range(4):
            heavy = model.__copy__()
            own = [b for b in range(model.nbody) if model.body(int(model.body_rootid[b])).name.startswith("robot")]
            for robot in range(2):
                base, scale = model.body(f"robot{robot}").id, value(env, "mass").reshape(4, 2)[world, robot]
                parts = [b for b in own if model.body_rootid[b] == base]
                heavy.body_mass[parts] = model.body_mass[parts] * scale
                heavy.body_mass[base] += load[world, robot]
                heavy.body_inertia[base] += model.body_inertia[base] * load[world, robot] / model.body_mass[base]
            mujoco.mj_setConst(heavy, mujoco.MjData(heavy))
            for name in ("body_mass", "body_inertia", "body_invweight0", "dof_invweight0"):
                given[name] = env.backend.batch.expanded(name)[world]
                np.testing.assert_allclose(given[name], getattr(heavy, name), rtol=1e-6, err_msg=name)
    before = field(env, "body_mass")
    env.reset(np.arange(8) == 2)  # one robot of one world
    others = np.arange(4) != 1
    np.testing.assert_array_equal(field(env, "body_mass")[others], before[others])
    assert (field(env, "body_mass")[1] != before[1]).sum() >= 1
    assert field(env, "body_mass")[1, model.body("robot1").id] == before[1, model.body("robot1").id]


def test_a_loaded_robot_is_as_fast_and_pushes_as_much_harder_as_it_weighs(site: Site) -> None:
    """F = m a with the robot's own limits: 60 kg and 40 kg, the same speed after half a second, 100 / 60 the force."""
    speeds, limits = [], []
    for share in (0.0, 1.0):
        fixed = {"friction": 0.9, "motor_lag": 0.0, "latency": 0.0, "start_offset": 0.0, "stall_share": 0.0}
        env = make(site, 1, vary(payload=40.0, payload_mass=share, **fixed))
        for _ in range(5):
            env.step(np.ones((1, 2), np.float32) * np.array([[1.0, 0.0]], np.float32))
        speeds.append(np.hypot(*env.backend.qvel.numpy()[0, :2]))
        limits.append(field(env, "actuator_forcerange")[0, 0, 1])
        assert ("body_mass" in env.backend.varied()) == (share > 0.0)  # off costs nothing
    assert speeds[0] > 0.2
    np.testing.assert_allclose(speeds[1], speeds[0], rtol=0.03)  # the servo keeps the gain of the empty robot
    np.testing.assert_allclose(limits[1] / limits[0], 100.0 / 60.0, rtol=1e-5)
