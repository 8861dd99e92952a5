"""What bodies share: collision masks, the floor's friction, the layout of a robot's numbers, hull and servos.

Masks say what meets what. A robot's hull meets all but the floor, wheels and casters meet the floor alone; people,
racks and walls do not meet each other; loads (pods, spilled boxes, things that an arm picks) meet everything.
"""

# pyright: reportAttributeAccessIssue=false
# (mujoco defines these names at run time)

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import mujoco
import numpy as np

from sim.robot import RobotSpec

Body = Literal["planar", "wheeled"]
"""The base that carries a robot: see `sim.bodies.planar` and `sim.bodies.wheeled`."""

ROBOT_BIT, STATIC_BIT, PERSON_BIT, FLOOR_BIT, LOAD_BIT = 1, 2, 4, 8, 16
"""Collision masks (contype), and what each kind asks for (conaffinity) where it is built."""

GRAVITY = 9.81
"""m/s^2"""

TRACTION = 0.8
"""Nominal friction coefficient of a tyre on a dry warehouse floor (polyurethane on sealed concrete: 0.6 to 0.9)."""

SERVO_TIME = 0.01
"""Time constant of the velocity servo of the planar body, s; half a 20 ms step, so it settles within one."""


@dataclass(frozen=True)
class BodyLayout:
    """How many numbers of the model one robot takes; robot r's begin at r times these."""

    qpos_stride: int
    """Coordinates: the base's first (x, y, yaw, or a free joint's seven), then wheels, then fork or arm."""
    qvel_stride: int
    """Speeds; equal to `qpos_stride` on the planar base, one less where a free joint turns by a quaternion."""
    ctrl_stride: int
    """Controls: the base's first (three of the planar base, two wheels), then fork, or arm and suction."""


Add = Callable[[mujoco.MjSpec, RobotSpec, int], BodyLayout]
"""`add(world, spec, number)`: the contract of every body."""


def add_hull(body: mujoco.MjsBody, spec: RobotSpec, number: int, low: float, mass: float) -> None:
    """The robot's box from `low` (m) to its height, of a mass (kg), and a nose for pictures."""
    body.add_geom(
        name=f"hull{number}",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=(spec.length / 2, spec.width / 2, (spec.height - low) / 2),
        pos=(0.0, 0.0, (spec.height + low) / 2),
        mass=mass,
        contype=ROBOT_BIT,
        conaffinity=ROBOT_BIT | STATIC_BIT | PERSON_BIT,
        condim=1,  # a collision ends an episode; friction on the hull would only cost time
        rgba=(0.95, 0.65, 0.15, 1.0),
    )
    body.add_geom(
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=(0.04, spec.width / 3, 0.02),
        pos=(spec.length / 2 - 0.08, 0.0, spec.height + 0.01),
        mass=0.0,
        contype=0,
        conaffinity=0,
        rgba=(0.15, 0.15, 0.2, 1.0),
    )


def add_velocity_servo(
    world: mujoco.MjSpec, name: str, *, gain: float, limit: float, joint: str = "", site: str = "", axis: int = 0
) -> None:
    """A velocity servo on a joint, or on an axis of a site (0 to 2 along x, y, z, 3 to 5 about them).

    `gain` in N s/m or N m s, `limit` in N or N m.
    """
    if joint:
        servo = world.add_actuator(name=name, trntype=mujoco.mjtTrn.mjTRN_JOINT, target=joint)
    else:
        gear = np.zeros(6)
        gear[axis] = 1.0
        servo = world.add_actuator(name=name, trntype=mujoco.mjtTrn.mjTRN_SITE, target=site, gear=gear)
    servo.set_to_velocity(kv=gain)
    servo.forcelimited = 1
    servo.forcerange = (-limit, limit)
