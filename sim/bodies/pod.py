"""A pod: a shelf on four legs that a robot drives under, lifts and carries.

It is a body of its own: on a floor where things fall it stands on four feet, on the planar one it slides in x, y and
yaw against the friction of its feet (dof_frictionloss), which is taken away while it is carried. Its coordinates are
p_WB there too. Geometry alone says what it meets: the deck is above a robot's hull, so that one passes between the
legs, and racks, people and other robots meet deck or legs. A weld to each robot stands ready, not active
(`sim/pods.py`).
"""

# pyright: reportAttributeAccessIssue=false
# (mujoco defines these names at run time)

from __future__ import annotations

import math

import mujoco
import numpy as np

from sim.bodies.parts import FLOOR_BIT, GRAVITY, LOAD_BIT, PERSON_BIT, ROBOT_BIT, STATIC_BIT

POD_MASS = 20.0
"""Empty, kg: one of 1 m x 1 m x 2 m of steel tube ([SSAB] of sim/sources.py) has legs to the deck, 1.5 m by 2.31 kg/m,
uprights and a frame, 10.5 m by 1.36 kg/m, and 2 kg of boards. Half of what the small AMR carries is left for goods."""

DECK = 0.38
"""Height of the deck's lower face, m: the small AMR with its lidar passes (0.32 m) and lifts by `sim.pods.LIFT`."""

LEG = 0.04
"""Side of a leg, m: the tube's."""

FOOT = 0.02
"""Radius of a foot, m."""

FEET_FRICTION = 0.6
"""Rubber feet on concrete, dry: what load securing takes for anti-slip mats of rubber (EN 12195-1: 0.6)."""

STIFF = 0.995
"""Impedance of the friction where nothing falls: with the engine's 0.9 a pod creeps by 1 cm/s at 90 % of its grip."""


def foot_lever(size: tuple[float, float, float]) -> float:
    """Distance of the feet from the pod's middle, m: their friction times it resists turning."""
    return math.hypot((size[0] - LEG) / 2, (size[1] - LEG) / 2)


def add(
    world: mujoco.MjSpec,
    number: int,
    at: tuple[float, float],
    size: tuple[float, float, float],
    falls: bool,
) -> None:
    """Pod `number` of a size (length, width, height, m) at (x, y)."""
    length, width, height = size
    pod = world.worldbody.add_body(name=f"pod{number}", pos=(*at, 0.0))
    if falls:
        pod.add_freejoint(name=f"pod{number}")
    else:
        slide, hinge = mujoco.mjtJoint.mjJNT_SLIDE, mujoco.mjtJoint.mjJNT_HINGE
        grip = FEET_FRICTION * POD_MASS * GRAVITY
        for name, kind, axis, ref, loss in (
            ("x", slide, (1.0, 0.0, 0.0), at[0], grip),
            ("y", slide, (0.0, 1.0, 0.0), at[1], grip),
            ("yaw", hinge, (0.0, 0.0, 1.0), 0.0, grip * foot_lever(size)),
        ):
            joint = pod.add_joint(name=f"pod{number}.{name}", type=kind, axis=axis, ref=ref, frictionloss=loss)
            joint.solimp_friction[:2] = STIFF
    deep = height - DECK
    # the mass of shelf and goods, spread over the part above the deck; the same place for every load
    pod.explicitinertial = 1
    pod.mass = POD_MASS
    pod.ipos = (0.0, 0.0, DECK + deep / 2)
    pod.inertia = (
        POD_MASS * (width**2 + deep**2) / 12.0,
        POD_MASS * (length**2 + deep**2) / 12.0,
        POD_MASS * (length**2 + width**2) / 12.0,
    )
    meets = ROBOT_BIT | STATIC_BIT | PERSON_BIT | LOAD_BIT
    pod.add_geom(
        name=f"shelf{number}",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=(length / 2, width / 2, deep / 2),
        pos=(0.0, 0.0, DECK + deep / 2),
        contype=LOAD_BIT,
        conaffinity=meets,
        condim=1,
        rgba=(0.35, 0.45, 0.75, 1.0),
    )
    for along in (-1.0, 1.0):
        for across in (-1.0, 1.0):
            x, y = along * (length - LEG) / 2, across * (width - LEG) / 2
            pod.add_geom(
                type=mujoco.mjtGeom.mjGEOM_BOX,
                size=(LEG / 2, LEG / 2, (DECK - FOOT) / 2),
                pos=(x, y, (DECK + FOOT) / 2),
                contype=LOAD_BIT,
                conaffinity=meets,
                condim=1,
                rgba=(0.3, 0.3, 0.33, 1.0),
            )
            if falls:
                pod.add_geom(
                    type=mujoco.mjtGeom.mjGEOM_SPHERE,
                    size=(FOOT, 0.0, 0.0),
                    pos=(x, y, FOOT),
                    contype=0,
                    conaffinity=FLOOR_BIT,
                    condim=3,
                    priority=1,
                    friction=(FEET_FRICTION, 0.005, 0.0001),
                )


def add_welds(world: mujoco.MjSpec, robots: int, pods: int) -> None:
    """A weld of each robot to each pod, not active: number robot * `pods` + pod, as `sim/podkernels.py` counts them."""
    for robot in range(robots):
        for number in range(pods):
            weld = world.add_equality(
                name=f"robot{robot} pod{number}",
                type=mujoco.mjtEq.mjEQ_WELD,
                objtype=mujoco.mjtObj.mjOBJ_BODY,
                name1=f"robot{robot}",
                name2=f"pod{number}",
                active=False,
            )
            # anchor, relative place, relative turn (given, so that no recompute overwrites it), share of torque in m
            weld.data = np.array((0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0))
