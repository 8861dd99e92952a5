"""A robot with a fork: a base and two blades behind its chassis that a position servo raises.

The hull is the chassis alone, so that the blades pass under a pod's deck and between its legs; hull and blades both
count as the robot where contacts are sensed. The base is a differential drive in the middle of the footprint: trucks
with one steered wheel turn about another point and cannot always turn on the spot.
"""

# pyright: reportAttributeAccessIssue=false
# (mujoco defines these names at run time)

from __future__ import annotations

import mujoco

from sim.bodies import planar
from sim.bodies.parts import GRAVITY, LOAD_BIT, PERSON_BIT, ROBOT_BIT, STATIC_BIT, Add, BodyLayout
from sim.robot import RobotSpec

LIFT_TIME = 0.1
"""Time constant of the lift's servo, s: well below the second that the shortest lift takes."""

BLADE = 0.05
"""Thickness of a blade, m; what fits the 100 mm high openings of a pallet (EN 13698-1) with room to lift."""

FRAME = 0.3
"""Height of the part that holds battery and drives, m: 0.22 m of battery ([CSP6400] of sim/sources.py) over the wheels'
axles at 0.115 m, to 10 cm."""


def add(world: mujoco.MjSpec, spec: RobotSpec, number: int, base: Add = planar.add) -> BodyLayout:
    """Robot `number` with a fork{number} on `base`; its last control is the fork's height above the bottom, m.

    Raises ValueError for a specification without a fork.
    """
    fork = spec.fork
    if fork is None:
        raise ValueError(f"expected a specification with a fork, got {spec.name!r} without")
    layout = base(world, spec, number)
    chassis = world.geom(f"hull{number}")
    chassis.size[0] = (spec.length - fork.reach) / 2
    chassis.pos[0] = fork.reach / 2
    robot = world.body(f"robot{number}")
    robot.add_geom(  # the weight, spread over the footprint: in front of the axle it would lie on the casters alone
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=(spec.length / 2, spec.width / 2, FRAME / 2),
        pos=(0.0, 0.0, FRAME),
        mass=chassis.mass - fork.mass,
        contype=0,
        conaffinity=0,
        group=4,  # not drawn
    )
    chassis.mass = 0.0
    blades = robot.add_body(name=f"fork{number}", pos=(0.0, 0.0, fork.lowered - BLADE / 2))
    blades.add_joint(
        name=f"fork{number}",
        type=mujoco.mjtJoint.mjJNT_SLIDE,
        axis=(0.0, 0.0, 1.0),
        range=(0.0, fork.height),
        limited=1,
    )
    blades.gravcomp = 1.0  # the hydraulics hold the fork itself; what lies on it hangs on the servo
    for side in (-1.0, 1.0):
        blades.add_geom(
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=(fork.reach / 2, fork.blade / 2, BLADE / 2),
            pos=((fork.reach - spec.length) / 2, side * (fork.spread - fork.blade) / 2, 0.0),
            mass=fork.mass / 2,
            contype=ROBOT_BIT,
            conaffinity=ROBOT_BIT | STATIC_BIT | PERSON_BIT | LOAD_BIT,
            condim=1,
            rgba=(0.25, 0.25, 0.28, 1.0),
        )
    lift = world.add_actuator(name=f"fork{number}", trntype=mujoco.mjtTrn.mjTRN_JOINT, target=f"fork{number}")
    loaded = fork.mass + spec.payload_max
    # critically damped with the largest load
    lift.set_to_position(kp=loaded / LIFT_TIME**2, kv=2.0 * loaded / LIFT_TIME)
    lift.ctrllimited, lift.ctrlrange = 1, (0.0, fork.height)
    lift.forcelimited, lift.forcerange = 1, (-2.0 * loaded * GRAVITY, 2.0 * loaded * GRAVITY)
    return BodyLayout(layout.qpos_stride + 1, layout.qvel_stride + 1, layout.ctrl_stride + 1)
