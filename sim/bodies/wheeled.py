"""The wheeled base: a free joint, two driven sphere wheels and two frictionless casters on the floor.

For motor policies and evaluation: it tips, slips and climbs, at 5 ms steps. On a floor with ramps the casters are
sprung, as those of real robots are: rigid ones lift the driven wheels off the ground where the floor begins to rise
(the small AMR's at a slope of 12.5 % by 17 mm), and it stands there and spins. The spring is the caster's contact, so
that it costs no joint. How steep a ramp may be falls with the length: the truck's casters give way to 6 %.
"""

# pyright: reportAttributeAccessIssue=false
# (mujoco defines these names at run time)

from __future__ import annotations

import mujoco
import numpy as np

from sim.bodies.parts import FLOOR_BIT, GRAVITY, SERVO_TIME, TRACTION, BodyLayout, add_hull, add_velocity_servo
from sim.fixtures import SLOPE_MAX
from sim.robot import RobotSpec

WHEEL_MASS = 2.0
"""kg; under the 4.35 kg of a larger robot's wheels ([Freight] of sim/sources.py), whose base weighs a fifth more."""

CASTER = 0.03
"""Radius of a caster, m: what stands under a hull that begins 0.05 m above the floor, with its fork."""


SPRING = 0.27
"""Contact stiffness (1/s^2) times the spring's travel (m), m/s^2; found by driving over hills of 12.5 %: with half of
it the robot nods for seconds, with twice as much its wheels lose the ground (2026-11)."""

SPRING_DAMPING = 0.2
"""Contact damping over stiffness, s; nodding then dies out within one swing (2026-11)."""


def add(world: mujoco.MjSpec, spec: RobotSpec, number: int) -> BodyLayout:
    """Robot `number` on wheels, named robot{number}, with rigid casters."""
    return _add(world, spec, number, sprung=False)


def add_sprung(world: mujoco.MjSpec, spec: RobotSpec, number: int) -> BodyLayout:
    """The same on sprung casters, for floors with ramps."""
    return _add(world, spec, number, sprung=True)


def _add(world: mujoco.MjSpec, spec: RobotSpec, number: int, *, sprung: bool) -> BodyLayout:
    drive = spec.diff
    radius = drive.wheel_radius
    armature = 0.02 * (spec.mass / 60.0) * (radius / 0.08) ** 2  # of rotor and gears: a tenth of what the wheel moves
    body = world.worldbody.add_body(name=f"robot{number}")
    body.add_freejoint(name=f"free{number}")
    add_hull(body, spec, number, 0.05, spec.mass - 2 * WHEEL_MASS)
    reach = spec.length / 2 - CASTER - 0.02
    for side in (-1.0, 1.0):
        caster = body.add_geom(
            type=mujoco.mjtGeom.mjGEOM_SPHERE,
            size=(CASTER, 0.0, 0.0),
            pos=(side * reach, 0.0, CASTER),
            mass=0.1,
            contype=0,
            conaffinity=FLOOR_BIT,
            condim=1,
            priority=1,
        )
        if sprung:
            stiffness = SPRING / (SLOPE_MAX * reach / 2)  # the travel that the steepest ramp asks for
            caster.solref = np.array((-stiffness, -SPRING_DAMPING * stiffness))
    for side, name in ((1.0, "left"), (-1.0, "right")):
        wheel = body.add_body(name=f"{name}{number}", pos=(0.0, side * drive.track / 2.0, radius))
        wheel.add_joint(
            name=f"{name}{number}",
            type=mujoco.mjtJoint.mjJNT_HINGE,
            axis=(0.0, 1.0, 0.0),
            armature=armature,
            damping=0.05,
        )
        wheel.add_geom(  # a sphere: one contact point, 1.3 times faster than a cylinder
            type=mujoco.mjtGeom.mjGEOM_SPHERE,
            size=(radius, 0.0, 0.0),
            mass=WHEEL_MASS,
            contype=0,
            conaffinity=FLOOR_BIT,
            condim=3,
            friction=(TRACTION, 0.005, 0.0001),
            rgba=(0.1, 0.1, 0.1, 1.0),
        )
        add_velocity_servo(
            world,
            f"{name}{number}",
            joint=f"{name}{number}",
            gain=spec.mass / 2.0 * radius**2 / (2 * SERVO_TIME),
            limit=spec.mass / 2.0 * TRACTION * GRAVITY * radius,
        )
    return BodyLayout(qpos_stride=9, qvel_stride=8, ctrl_stride=2)
