"""Every field that worlds may have to themselves acts as MuJoCo's own model with that value and `mj_setConst`."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
import pytest

from sim.backend import Backend, BatchBackend
from sim.buffers import Sizes, buffer_sizes
from sim.fields import FIELDS, Recompute, derived
from sim.robot import RobotSpec
from sim.scene import build_scene
from sim.site import make_site

STEPS = 40

XML = """
<mujoco>
  <option integrator="implicitfast"/>
  <worldbody>
    <light pos="0 0 3" dir="0 0.3 -1"/>
    <geom name="floor" type="plane" size="5 5 0.1"/>
    <body name="cart" pos="0 0 0.31">
      <joint name="x" type="slide" axis="1 0 0" frictionloss="0.1" damping="0.2"/>
      <joint name="z" type="slide" axis="0 0 1" stiffness="3" limited="true" range="-0.005 0.05"/>
      <geom name="hull" type="box" size="0.3 0.2 0.3" mass="3" friction="0.4 0.01 0.001"/>
      <camera name="eye" pos="0.2 0 0.3" fovy="60"/>
      <light name="lamp" pos="0 0 0.5" dir="1 0 0"/>
      <body name="arm" pos="0.3 0 0.1">
        <joint name="hinge" type="hinge" axis="0 1 0" armature="0.02" damping="0.05"/>
        <geom type="capsule" size="0.04" fromto="0 0 0 0.5 0 0" mass="0.8" contype="0" conaffinity="0"/>
        <site name="tip" pos="0.4 0 0.05" euler="0 10 0"/>
      </body>
    </body>
    <body name="load" pos="1.2 0 0.2">
      <freejoint/>
      <geom name="load" type="sphere" size="0.2" mass="0.5"/>
    </body>
  </worldbody>
  <equality><connect body1="arm" body2="load" anchor="0.45 0 0"/></equality>
  <actuator>
    <velocity joint="x" kv="20" forcerange="-8 8" ctrlrange="-2 2"/>
    <motor site="tip" gear="0.5 0 2 0 0 0" ctrlrange="-0.8 0.8"/>
  </actuator>
</mujoco>
"""

UNSEEN = {"geom_rgba", "cam_fovy", "cam_pos", "cam_quat", "light_ambient", "light_diffuse", "light_pos", "light_dir"}
"""Fields of pictures: they move no body."""


@pytest.fixture(scope="module")
def model() -> Any:
    return mujoco.MjModel.from_xml_string(XML)


BALL = 3
"""A free body that MuJoCo compiled as simple: its frame must stay that of its inertia, which `mj_setConst` checks."""


def other_value(model: Any, name: str) -> np.ndarray:
    """The field with a value that acts: everything a little larger, places moved, quaternions turned."""
    value = np.array(getattr(model, name), float)
    if name.endswith("quat"):
        turn = np.array([np.cos(0.1), *(np.sin(0.1) / np.sqrt(3.0) * np.ones(3))])
        out = np.zeros_like(value)
        for row in range(len(value)):
            mujoco.mju_mulQuat(out[row], value[row], turn if row != BALL else np.array([1.0, 0.0, 0.0, 0.0]))
        return out
    if name == "qpos0":
        value[0] += 0.05
        return value
    if name in ("body_ipos", "site_pos", "cam_pos", "light_pos"):
        value[: BALL if name == "body_ipos" else None] += 0.03
        return value
    if name == "dof_frictionloss":
        return value * 3.0
    if name == "geom_margin":
        return value + 0.02
    return value * 1.3


def push(data: Any, step: int) -> None:
    data.ctrl[:] = (1.5 * np.sin(0.1 * step), 1.0)


def oracle(model: Any, name: str, value: np.ndarray) -> tuple[np.ndarray, Any]:
    """Where MuJoCo itself goes with the value, and its model."""
    changed = mujoco.MjModel.from_xml_string(XML)
    getattr(changed, name)[:] = value
    data = mujoco.MjData(changed)
    mujoco.mj_setConst(changed, data)
    data = mujoco.MjData(model)  # from the initial state of the unchanged model
    for step in range(STEPS):
        push(data, step)
        mujoco.mj_step(changed, data)
    return data.qpos.copy(), changed


def run(backend: Backend) -> np.ndarray:
    for step in range(STEPS):
        backend.ctrl.assign(np.tile((1.5 * np.sin(0.1 * step), 1.0), (2, 1)))
        backend.step(1)
    return backend.qpos.numpy()


def make(kind: str, model: Any) -> Backend:
    if kind == "batch":
        return BatchBackend(model, 2, threads=1)
    from sim.warp_backend import WarpBackend

    return WarpBackend(model, 2, "cuda:0" if kind == "cuda" else "cpu")


@pytest.mark.parametrize(
    "kind", ["batch", pytest.param("warp", marks=pytest.mark.slow), pytest.param("cuda", marks=pytest.mark.gpu)]
)
@pytest.mark.parametrize("name", sorted(FIELDS))
def test_a_field_acts_as_in_mujocos_own_model(model: Any, kind: str, name: str) -> None:
    plain, _ = oracle(model, name, getattr(model, name))
    value = other_value(model, name)
    changed, its_model = oracle(model, name, value)
    backend = make(kind, model)
    values = np.stack([getattr(model, name), value])
    backend.set_field(name, values, np.array([False, True]))
    saved = backend.snapshot()
    for constant in derived(FIELDS[name].recompute):
        if f"derived.{constant}" in saved:
            expected = np.asarray(getattr(its_model, constant), float).reshape(-1)
            got = np.asarray(saved[f"derived.{constant}"][1], float).reshape(-1)[: expected.size]
            weighed = expected != 0.0  # mujoco_warp gives a body that cannot rotate its weight of translation there
            np.testing.assert_allclose(got[weighed], expected[weighed], rtol=1e-4, atol=1e-5, err_msg=constant)
    got = run(backend)
    tolerance = 1e-12 if kind == "batch" else 2e-3  # float32, and a closed chain on the ground
    np.testing.assert_allclose(got[0], plain, atol=tolerance)
    np.testing.assert_allclose(got[1], changed, atol=tolerance)
    if name not in UNSEEN and kind == "batch":
        assert np.abs(changed - plain).max() > 1e-7, "the value must act, or nothing was tested"


def test_levels_name_the_constants_of_their_groups() -> None:
    assert derived(Recompute.NONE) == ()
    assert "body_subtreemass" in derived(Recompute.FIXED)
    assert set(derived(Recompute.SET_CONST)) == {
        name for group in (Recompute.FIXED, Recompute.KIN0, Recompute.INERT0) for name in derived(group)
    }
    for field in FIELDS.values():
        assert hasattr(mujoco.MjModel, field.name)


def test_buffers_follow_the_rule_worked_by_hand() -> None:
    blocked = np.zeros((1, 6), bool)
    blocked[0, 5] = True
    site = make_site("row", blocked)
    one, four = (build_scene(site, RobotSpec(), robots, people=2).model for robots in (1, 4))
    # 4 contacts with a rack and 1 with a person (a quarter of 4) are below the least. In a corner 2 x 4 contacts of one
    # row, with a person 4 of four rows: 24 rows, and once more for the robot that needs most: 48
    assert buffer_sizes(one) == Sizes(contacts=16, constraints=48)
    # rack 4, person 1, and half of 4 with another robot: 7 each, 28. 24 + 4 rows each and once more: 140
    assert buffer_sizes(four) == Sizes(contacts=32, constraints=144)
