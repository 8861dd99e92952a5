from __future__ import annotations

import math

import mujoco
import numpy as np
import pytest

from sim.bodies import specs, wheeled
from sim.bodies.parts import FLOOR_BIT, TRACTION, Add
from sim.env import BatchEnv
from sim.fixtures import SLOPE_MAX, Fixtures, Ramp
from sim.robot import Lidar, RobotSpec
from sim.scene import build_scene
from sim.site import make_site, with_fixtures
from sim.tasks.navigate import NavigateConfig
from sim.tasks.task import Ending
from sim.vary import vary

RUN = 3.0


def hill(spec: RobotSpec, add: Add, slope: float) -> mujoco.MjModel:
    """A robot in front of a ramp of RUN metres, a platform and a ramp down again, along x from 2 m on."""
    world = mujoco.MjSpec()
    world.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    world.option.timestep = 0.005
    plane = world.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=(20.0, 20.0, 0.1))
    rise, angle = slope * RUN, math.atan(slope)
    half = np.array((RUN / math.cos(angle) / 2, 2.0, 0.05))
    ground = [plane]
    for middle, tilt in ((2.0 + RUN / 2, -angle), (2.0 + 1.5 * RUN, 0.0), (2.0 + 2.5 * RUN, angle)):
        size = half if tilt else np.array((RUN / 2, 2.0, 0.05))
        top = rise if tilt == 0.0 else rise / 2
        ground.append(
            world.worldbody.add_geom(
                type=mujoco.mjtGeom.mjGEOM_BOX,
                size=size,
                pos=(middle - 0.05 * math.sin(tilt), 0.0, top - 0.05 * math.cos(tilt)),
                quat=(math.cos(tilt / 2), 0.0, math.sin(tilt / 2), 0.0),
            )
        )
    for geom in ground:
        geom.contype, geom.conaffinity, geom.condim = FLOOR_BIT, 0, 3
        geom.friction = (TRACTION, 0.005, 0.0001)
    add(world, spec, 0)
    return world.compile()


def drive_over(model: mujoco.MjModel, spec: RobotSpec) -> tuple[float, float, float]:
    """Drive long enough for 12 m at 0.6 m/s: how far it came, how high it was, how far it turned (rad)."""
    data = mujoco.MjData(model)
    data.ctrl[:2] = 0.6 / spec.drive.wheel_radius
    highest = 0.0
    for _ in range(40):
        mujoco.mj_step(model, data, 100)
        highest = max(highest, float(data.qpos[2]))
    return float(data.qpos[0]), highest, 2.0 * math.atan2(data.qpos[6], data.qpos[3])


@pytest.mark.parametrize(
    ("spec", "slope"), [(specs.amr(), SLOPE_MAX), (specs.mobile_manipulator(), SLOPE_MAX), (specs.forklift(), 0.06)]
)
def test_sprung_casters_carry_a_robot_over_a_hill(spec: RobotSpec, slope: float) -> None:
    far, high, turned = drive_over(hill(spec, wheeled.add_sprung, slope), spec)
    assert far > 2.0 + 3.0 * RUN  # over it and down again
    assert high == pytest.approx(slope * RUN, abs=0.02)
    assert abs(turned) < 0.05


def test_rigid_casters_lift_the_wheels_at_the_foot_of_a_steep_ramp() -> None:
    """What the springs are for; a flat floor needs none."""
    far, _, _ = drive_over(hill(specs.amr(), wheeled.add, SLOPE_MAX), specs.amr())
    assert far < 2.0 + RUN


def test_springs_are_for_floors_with_ramps_alone() -> None:
    flat = make_site("flat", np.zeros((3, 8), bool))
    ramps = with_fixtures(flat, Fixtures(ramps=(Ramp((3, 0, 2, 3), 0.2, 0), Ramp((5, 0, 3, 3), 0.2))))
    references = [
        build_scene(site, RobotSpec(), 1, 0, "wheeled").model.geom_solref[:, 0].min() for site in (flat, ramps)
    ]
    assert references[0] > 0.0 > references[1]


def test_in_a_batched_plant_wheels_begin_on_the_ramp_and_drive_over_it() -> None:
    """A lane over a bridge: up, a platform, down; episodes begin anywhere on it, and end at its other end."""
    lane = make_site("bridge", np.array([[True] * 12, [False] * 12, [True] * 12]))
    ramps = (Ramp((4, 1, 1, 1), 0.1, 0), Ramp((5, 1, 2, 1), 0.1), Ramp((7, 1, 1, 1), 0.1, 2))
    site = with_fixtures(lane, Fixtures(ramps=ramps))
    spec = RobotSpec(lidar=Lidar(rays=64))
    config = NavigateConfig(
        spec=spec, people=0, shortest=5, longest=9, paths=64, time_limit=30.0, randomization=vary(0.0, stall_share=0.0)
    )
    env = BatchEnv(site, config, worlds=12, seed=3, threads=1, body="wheeled")
    env.reset()
    height = env.backend.qpos.numpy()[:, 2]
    ground = np.interp(env.state.pose.numpy()[:, 0] / 1.2, (4, 5, 7, 8), (0.0, 0.1, 0.1, 0.0))
    assert ((height >= ground - 1e-6) & (height <= ground + 0.05)).all()
    assert height.max() > 0.05  # some begin up there
    done, highest = 0, 0.0
    for _ in range(150):
        seen = env.observation.numpy()
        turn = np.clip(-2.0 * seen[:, 80] - 1.5 * seen[:, 79], -1.0, 1.0)
        step = env.step(np.stack([0.5 * np.maximum(seen[:, 81], 0.0), turn], -1).astype(np.float32))
        done += int(step.success.sum())
        highest = max(highest, float(env.backend.qpos.numpy()[:, 2].max()))
        assert not (step.ending == Ending.DIVERGED).any()
    assert done > 5
    assert 0.09 < highest < 0.16
