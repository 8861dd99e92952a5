"""The planar base: slide x, slide y, hinge z, and three velocity servos that speak in B.

body_pos is 0, so that qpos is p_WB itself. The servos act on a site (v along x_B, nothing sideways, w about z) and
their force limits are the tyres' traction. No contact with the floor, 20 ms steps: 2 us a step on an empty floor
(2026-11, one core). It cannot tip and its wheels do not slip one by one.
"""

# pyright: reportAttributeAccessIssue=false
# (mujoco defines these names at run time)

from __future__ import annotations

import mujoco

from sim.bodies.parts import GRAVITY, SERVO_TIME, TRACTION, BodyLayout, add_hull, add_velocity_servo
from sim.robot import RobotSpec


def add(world: mujoco.MjSpec, spec: RobotSpec, number: int) -> BodyLayout:
    """Robot `number` as a planar body named robot{number}."""
    body = world.worldbody.add_body(name=f"robot{number}")
    slide, hinge = mujoco.mjtJoint.mjJNT_SLIDE, mujoco.mjtJoint.mjJNT_HINGE
    body.add_joint(name=f"x{number}", type=slide, axis=(1.0, 0.0, 0.0))
    body.add_joint(name=f"y{number}", type=slide, axis=(0.0, 1.0, 0.0))
    body.add_joint(name=f"yaw{number}", type=hinge, axis=(0.0, 0.0, 1.0))
    add_hull(body, spec, number, 0.0, spec.mass)
    body.add_site(name=f"base{number}")
    inertia = spec.mass * (spec.length**2 + spec.width**2) / 12.0
    grip = spec.mass * TRACTION * GRAVITY
    for name, axis, load, limit in (
        ("forward", 0, spec.mass, grip),
        ("sideways", 1, spec.mass, grip),
        ("turn", 5, inertia, grip * spec.diff.track / 2.0),
    ):
        add_velocity_servo(
            world, f"{name}{number}", site=f"base{number}", axis=axis, gain=load / SERVO_TIME, limit=limit
        )
    return BodyLayout(qpos_stride=3, qvel_stride=3, ctrl_stride=3)
