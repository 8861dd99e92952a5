from __future__ import annotations

import mujoco
import numpy as np
import pytest
from numpy.typing import NDArray

from sim.generate import generate_campus
from sim.robot import RobotSpec
from sim.scene import Body, Scene, build_scene
from sim.site import make_site

SPEC = RobotSpec()


def found(scene: Scene, data: mujoco.MjData) -> NDArray[np.bool_]:
    """What touches each robot, (robots, counterparts)."""
    return data.sensordata[scene.contacts] > 0.0


@pytest.mark.parametrize("body", ["planar", "wheeled"])
def test_every_blocked_cell_is_solid_and_every_free_one_is_not(body: Body) -> None:
    site = generate_campus(4, blocks=(1, 2))
    model = build_scene(site, SPEC, 1, 0, body).model
    data = mujoco.MjData(model)
    data.qpos[:2] = -50.0  # out of the way
    mujoco.mj_forward(model, data)
    geom = np.zeros(1, np.int32)
    for cell in range(site.blocked.size):
        x, y = site.centre(cell)
        down = mujoco.mj_ray(model, data, np.array([x, y, 5.0]), np.array([0.0, 0.0, -1.0]), None, True, -1, geom)
        name = model.geom(int(geom[0])).name
        assert down > 0.0
        assert name.startswith("rack" if site.blocked.reshape(-1)[cell] else "floor"), (cell, name)


def test_the_floor_ends_in_walls() -> None:
    site = make_site("open", np.zeros((2, 3), bool))
    scene = build_scene(site, SPEC, 4)
    data = mujoco.MjData(scene.model)
    data.qpos.reshape(4, 3)[:, :2] = [(0.2, 1.2), (3.4, 1.2), (1.8, 0.2), (1.8, 2.2)]
    mujoco.mj_forward(scene.model, data)
    np.testing.assert_array_equal(found(scene, data)[:, 0], True)
    data.qpos.reshape(4, 3)[:, :2] = [(0.6, 1.2), (3.0, 1.2), (1.8, 0.6), (1.8, 1.8)]
    mujoco.mj_forward(scene.model, data)
    np.testing.assert_array_equal(data.sensordata > 0.0, False)


def test_robots_touch_each_other_and_people_but_people_touch_no_rack() -> None:
    blocked = np.zeros((3, 4), bool)
    blocked[0, 0] = True
    scene = build_scene(make_site("corner", blocked), SPEC, 3, 2)
    data = mujoco.MjData(scene.model)
    data.qpos.reshape(3, 3)[:] = [(2.0, 1.0, 0.0), (2.0, 1.45, 0.0), (4.0, 0.6, 0.0)]
    data.mocap_pos[:, :2] = [(0.6, 3.0), (-9.0, -9.0)]  # one stands in the rack, one off the floor
    mujoco.mj_forward(scene.model, data)
    # the map, the two other robots by number, the two people
    np.testing.assert_array_equal(found(scene, data), [[0, 1, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0, 0, 0]])
    data.mocap_pos[1, :2] = (4.0, 1.0)  # 0.40 from the third robot's centre, 0.24 + 0.25 would touch
    data.qpos[:2] = (1.4, 2.5)  # the first robot leaves the second for the rack, whose corner is at (1.2, 2.4)
    mujoco.mj_forward(scene.model, data)
    np.testing.assert_array_equal(found(scene, data), [[1, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 1]])


def test_a_scene_without_contact_sensors_has_the_same_contacts() -> None:
    scene = build_scene(make_site("open", np.zeros((2, 3), bool)), SPEC, 2, 1, contacts=False)
    assert scene.contacts.shape == (2, 0)
    data = mujoco.MjData(scene.model)
    data.qpos.reshape(2, 3)[:, :2] = [(1.0, 1.2), (1.5, 1.2)]
    data.mocap_pos[0, :2] = (2.0, 1.2)
    mujoco.mj_forward(scene.model, data)
    names = {frozenset(scene.model.geom(geom).name for geom in pair) for pair in data.contact.geom}
    assert names == {frozenset({"hull0", "hull1"}), frozenset({"hull1", "person0"})}


def test_planar_coordinates_are_the_pose_in_the_world() -> None:
    scene = build_scene(make_site("open", np.zeros((4, 4), bool)), SPEC, 2)
    data = mujoco.MjData(scene.model)
    data.qpos[:] = (1.0, 2.0, 0.5, 3.0, 1.0, -0.5)
    mujoco.mj_forward(scene.model, data)
    np.testing.assert_allclose(data.body("robot0").xpos[:2], (1.0, 2.0))
    np.testing.assert_allclose(data.body("robot1").xpos[:2], (3.0, 1.0))
    np.testing.assert_allclose(data.body("robot0").xquat, (np.cos(0.25), 0.0, 0.0, np.sin(0.25)))
    assert scene.model.body("robot0").mass == pytest.approx(SPEC.mass)


def test_the_wheeled_body_has_the_robots_mass_and_stands_on_wheels_and_casters() -> None:
    scene = build_scene(make_site("open", np.zeros((4, 4), bool)), SPEC, 1, 0, "wheeled")
    data = mujoco.MjData(scene.model)
    data.qpos[:2] = 2.4
    for _ in range(200):
        mujoco.mj_step(scene.model, data)
    total = sum(scene.model.body(name).mass[0] for name in ("robot0", "left0", "right0"))
    assert total == pytest.approx(SPEC.mass, abs=0.3)
    assert abs(data.qpos[2]) < 1e-3
    assert data.qpos[3] == pytest.approx(1.0, abs=1e-4)  # upright
    assert data.ncon >= 3
    assert not found(scene, data).any()
