from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import mujoco
import numpy as np
import pytest
import warp as wp

from sim.backend import BatchBackend
from sim.bodies import forklift, manipulator, specs
from sim.bodies.parts import Body
from sim.drive import make_drive, record_drive
from sim.robot import RobotSpec
from sim.scene import Scene, build_scene
from sim.site import make_site
from sim.truth import read_bodies

OPEN = make_site("open", np.zeros((8, 10), bool))
BODIES: list[Body] = ["planar", "wheeled"]
ROBOTS: list[Callable[[], RobotSpec]] = [specs.amr, specs.forklift, specs.mobile_manipulator]


def scene_of(spec: RobotSpec, body: Body, robots: int = 1) -> Scene:
    return build_scene(OPEN, spec, robots, 0, body)


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("make", ROBOTS)
def test_strides_and_masses_are_those_of_the_model(make: Callable[[], RobotSpec], body: Body) -> None:
    spec = make()
    scene = scene_of(spec, body, robots=2)
    model = scene.model
    assert (model.nq, model.nv, model.nu) == (2 * scene.qpos_stride, 2 * scene.qvel_stride, 2 * scene.ctrl_stride)
    assert (scene.qpos_stride == scene.qvel_stride) == (body == "planar")
    assert scene.ctrl_stride - spec.tools == (3 if body == "planar" else 2)
    # the casters of the wheeled base (2 x 0.1 kg) are extra
    assert model.body("robot1").subtreemass[0] == pytest.approx(spec.mass, abs=0.21)
    assert model.joint(f"{'x' if body == 'planar' else 'free'}1").qposadr[0] == scene.qpos_stride


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("make", ROBOTS)
def test_every_robot_drives_what_it_is_told(make: Callable[[], RobotSpec], body: Body) -> None:
    spec = make()
    scene = scene_of(spec, body, robots=2)
    backend = BatchBackend(scene.model, 1, threads=1)
    qpos = backend.qpos.numpy()[0].reshape(2, -1)
    qpos[:, :2] = [(2.0, 2.0), (2.0, 6.0)]
    drive = make_drive(2, "cpu")
    cycle = record_drive(spec, drive, backend.ctrl, 2, scene.ctrl_stride, "cpu")
    pose, twist = (wp.zeros((2, 3), dtype=wp.float32, device="cpu") for _ in range(2))
    tools = backend.ctrl.numpy()[0].reshape(2, -1)[:, scene.ctrl_stride - spec.tools :]
    if spec.fork is not None:
        tools[:] = 0.2
    before = tools.copy()
    drive.released.numpy()[:] = [(0.5, 0.0), (0.0, 0.4)]
    for _ in range(20):
        for period in cycle:
            period.launch()
            backend.step(round(0.02 / scene.timestep))
    wp.launch(
        read_bodies,
        dim=2,
        inputs=[backend.qpos, backend.qvel, 2, scene.qpos_stride, scene.qvel_stride, pose, twist],
        device="cpu",
    )
    # 2 s at 0.5 m/s and at 0.4 rad/s, less the half of the time to get there
    assert pose.numpy()[0] == pytest.approx((3.0 - 0.125 / spec.drive.accel_max, 2.0, 0.0), abs=0.05)
    assert pose.numpy()[1, 2] == pytest.approx(0.8 - 0.08 / spec.drive.turn_accel_max, abs=0.06)
    assert twist.numpy()[0, 0] == pytest.approx(0.5, abs=0.01)
    assert twist.numpy()[1, 1] == pytest.approx(0.4, abs=0.01)
    np.testing.assert_array_equal(tools, before)  # the drive leaves fork and arm alone


def test_the_fork_rises_to_its_height_with_a_tonne_on_it() -> None:
    spec = specs.forklift()
    assert spec.fork is not None
    model = scene_of(spec, "wheeled").model
    data = mujoco.MjData(model)
    data.qpos[:2] = 3.0
    data.ctrl[2] = 0.3
    data.xfrc_applied[model.body("fork0").id, 2] = -spec.payload_max * 9.81
    mujoco.mj_step(model, data, 600)
    # a servo of critical damping sags by g LIFT_TIME^2 under its load
    assert data.joint("fork0").qpos[0] == pytest.approx(0.3 - 9.81 * forklift.LIFT_TIME**2 * 1000 / 1090, abs=2e-3)


def test_the_fork_keeps_its_speed_with_a_tonne_on_it() -> None:
    spec = specs.forklift()
    assert spec.fork is not None
    model = scene_of(spec, "wheeled").model
    data = mujoco.MjData(model)
    data.qpos[:2] = 3.0
    data.xfrc_applied[model.body("fork0").id, 2] = -spec.payload_max * 9.81
    mujoco.mj_step(model, data, 200)
    rises = []
    for step in range(round(spec.fork.height / spec.fork.speed / model.opt.timestep)):
        data.ctrl[2] = min(step * model.opt.timestep * spec.fork.speed, spec.fork.height)
        mujoco.mj_step(model, data)
        rises.append(data.joint("fork0").qvel[0])
    assert np.array(rises[len(rises) // 2 :]) == pytest.approx(spec.fork.speed, rel=0.05)


@pytest.mark.parametrize(("mass", "stands"), [(600.0, False), (750.0, True)])
def test_the_truck_stands_on_all_wheels_with_a_tonne_and_a_lighter_one_does_not(mass: float, stands: bool) -> None:
    spec = replace(specs.forklift(), mass=mass)
    assert spec.fork is not None
    model = scene_of(spec, "wheeled").model
    data = mujoco.MjData(model)
    data.qpos[:2] = 3.0
    weight = spec.payload_max * 9.81
    behind = (spec.length - spec.fork.reach) / 2  # from the axle to the middle of the blades, m
    fork = model.body("fork0").id
    data.xfrc_applied[fork] = (0.0, 0.0, -weight, 0.0, -weight * behind, 0.0)
    mujoco.mj_step(model, data, 400)
    front, force = 0.0, np.zeros(6)
    for index in range(data.ncon):
        mujoco.mj_contactForce(model, data, index, force)
        if data.contact[index].pos[0] > data.qpos[0] + 0.5:
            front += force[0]
    assert bool(front > 0.0) is stands


def test_the_fork_counts_as_the_robot_where_it_touches() -> None:
    scene = scene_of(specs.forklift(), "planar", robots=2)
    data = mujoco.MjData(scene.model)
    data.qpos[:] = (0.90, 2.0, 0.0, 0.0, 5.0, 2.0, 0.0, 0.0)  # the tips of the fork, 0.95 behind, are in the wall
    mujoco.mj_forward(scene.model, data)
    found = data.sensordata[scene.contacts] > 0.0
    # of robot 0: hull on map, on the other's hull and fork; then fork on the same
    np.testing.assert_array_equal(found, [[0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 0]])
    data.qpos[4:6] = (0.9 + 1.85, 2.0)  # the other's fork comes to within 0.05 behind this hull
    data.qpos[0] = 0.96
    mujoco.mj_forward(scene.model, data)
    found = data.sensordata[scene.contacts] > 0.0
    np.testing.assert_array_equal(found, [[0, 0, 1, 0, 0, 0], [0, 0, 0, 0, 1, 0]])


def test_the_folded_arm_stands_still_and_follows_its_angles() -> None:
    spec = specs.mobile_manipulator()
    assert spec.arm is not None
    scene = scene_of(spec, "planar")
    model = scene.model
    data = mujoco.MjData(model)
    data.qpos[:2] = 3.0
    mujoco.mj_step(model, data, 200)
    np.testing.assert_allclose(data.qpos[3:], 0.0, atol=1e-6)  # gravity is compensated
    cup = data.site("tool0").xmat.reshape(3, 3)[:, 2]
    np.testing.assert_allclose(cup, (0.0, 0.0, -1.0), atol=1e-6)  # straight down
    angles = np.array((0.4, 0.9, -0.8, -0.2, 0.5))
    data.ctrl[3:8] = angles
    mujoco.mj_step(model, data, 600)
    np.testing.assert_allclose(data.qpos[3:], angles, atol=2e-3)
    assert not (data.sensordata[scene.contacts] > 0.0).any()


def test_a_robot_without_the_part_is_refused() -> None:
    with pytest.raises(ValueError, match="with a fork, got 'amr' without"):
        forklift.add(mujoco.MjSpec(), RobotSpec(), 0)
    with pytest.raises(ValueError, match="with an arm, got 'amr' without"):
        manipulator.add(mujoco.MjSpec(), RobotSpec(), 0)


def test_the_small_robot_is_the_one_that_policies_know() -> None:
    assert specs.amr().embodiment_hash() == RobotSpec().embodiment_hash()
    # parts that a robot does not have are no part of its hash: policies trained before these parts existed still fit
    assert RobotSpec().embodiment_hash().startswith("06866bd7f614c7fc")
    assert len({make().embodiment_hash() for make in ROBOTS}) == 3
