"""A mobile manipulator: the planar base, an arm of five joints, a suction cup, and a tote on the deck.

The arm is a pan about z, then shoulder, elbow and wrist about parallel axes, then a roll about the tool: the chain of
common six-joint arms without their sideways offsets and without the joint that tilts the tool sideways, so that its
inverse is a closed formula (`sim/picking.py`). Position servos drive the joints, gravity is compensated as arm
controllers do. The cup's pull is MuJoCo's adhesion actuator: a force on every contact of the cup, and friction holds
sideways. Angles are 0 in the folded pose.
"""

# pyright: reportAttributeAccessIssue=false
# (mujoco defines these names at run time)

from __future__ import annotations

import math

import mujoco

from sim.bodies import planar
from sim.bodies.parts import LOAD_BIT, PERSON_BIT, ROBOT_BIT, STATIC_BIT, Add, BodyLayout
from sim.robot import Arm, RobotSpec

STIFFNESS = (4000.0, 4000.0, 4000.0, 800.0, 200.0)
"""Gains of the position servos, N m/rad: the largest payload bends the stretched arm, 5 kg at 0.82 m, by 10 mrad."""

DAMPING = (400.0, 400.0, 200.0, 40.0, 10.0)
"""N m s/rad; a tenth of the stiffness, so that joints settle in 0.1 s without swinging."""

WALL = 0.01
"""Thickness of the tote's walls, m; thicker than plastic, so that what falls into it stays in it at 5 ms steps."""

TOTE_MASS, CUP_MASS = 0.3, 0.01
"""Of the tote's floor and of each wall, and of the cup, kg (a small plastic container weighs 1.5 kg)."""

CUP_FRICTION = 0.5
"""Suction cup on metal, wood, glass (reference value of a maker of suction cups: schmalz.com, holding force)."""

CUP_STIFF = 0.99
"""Impedance of the cup's contacts: with the engine's 0.9 an item crept along the cup by 1 cm in a second of turning."""

CUP_LIP = 0.003
"""How far the cup's lip reaches beyond the pad, m: within it the suction already pulls (measured: items
are taken with it in tests/sim/test_picking.py)."""


def add(world: mujoco.MjSpec, spec: RobotSpec, number: int, base: Add = planar.add) -> BodyLayout:
    """Robot `number` with an arm{number} on `base`; its last six controls are joint angles (rad) and suction (0 to 1).

    Raises ValueError for a specification without an arm.
    """
    arm = spec.arm
    if arm is None:
        raise ValueError(f"expected a specification with an arm, got {spec.name!r} without")
    layout = base(world, spec, number)
    robot = world.body(f"robot{number}")
    world.geom(f"hull{number}").mass -= sum(arm.masses) + CUP_MASS + 5 * TOTE_MASS
    _add_tote(robot, spec.height, arm)
    links = _add_links(robot, spec, arm, number)
    for first in range(len(links)):
        for second in ["", *links][: first + 1]:
            world.add_exclude(bodyname1=second or f"robot{number}", bodyname2=links[first])
    for index, name in enumerate(links):
        servo = world.add_actuator(name=name, trntype=mujoco.mjtTrn.mjTRN_JOINT, target=name)
        servo.set_to_position(kp=STIFFNESS[index], kv=DAMPING[index])
        servo.forcelimited, servo.forcerange = 1, (-arm.torques[index], arm.torques[index])
    suction = world.add_actuator(name=f"suction{number}", trntype=mujoco.mjtTrn.mjTRN_BODY, target=links[-1])
    suction.set_to_adhesion(gain=arm.suction)
    suction.ctrllimited, suction.ctrlrange = 1, (0.0, 1.0)
    return BodyLayout(layout.qpos_stride + 5, layout.qvel_stride + 5, layout.ctrl_stride + 6)


def _add_links(robot: mujoco.MjsBody, spec: RobotSpec, arm: Arm, number: int) -> list[str]:
    foot, upper, fore, hand = arm.lengths
    roll = 0.06  # m, of the hand: what turns with the cup
    places = ((*arm.mount, spec.height), (0, 0, foot), (0, 0, upper), (0, 0, fore), (0, 0, hand - roll))
    lengths, radii = (foot, upper, fore, hand - roll, roll - 0.01), (0.07, 0.055, 0.045, 0.04, 0.03)
    parent, names = robot, []
    for index, (place, length, radius) in enumerate(zip(places, lengths, radii, strict=True)):
        half = arm.home[index] / 2.0
        about_z = index in (0, 4)
        name = f"arm{number}" if index == 0 else f"arm{number}.{index}"
        quat = (math.cos(half), 0.0, 0.0, math.sin(half)) if about_z else (math.cos(half), 0.0, math.sin(half), 0.0)
        link = parent.add_body(name=name, pos=place, quat=quat, gravcomp=1.0)
        link.add_joint(
            name=name,
            type=mujoco.mjtJoint.mjJNT_HINGE,
            axis=(0.0, 0.0, 1.0) if about_z else (0.0, 1.0, 0.0),
            # kg m^2, of rotor and gears: with it the servos are steady at 5 ms (tests/sim/bodies/test_bodies.py)
            armature=0.1 if index < 3 else 0.01,
        )
        link.add_geom(
            type=mujoco.mjtGeom.mjGEOM_CAPSULE if index in (1, 2) else mujoco.mjtGeom.mjGEOM_CYLINDER,
            size=(radius, length / 2, 0.0),
            pos=(0.0, 0.0, length / 2),
            mass=arm.masses[index],
            contype=ROBOT_BIT,
            conaffinity=ROBOT_BIT | STATIC_BIT | PERSON_BIT | LOAD_BIT,
            condim=1,
            rgba=(0.75, 0.78, 0.82, 1.0),
        )
        parent = link
        names.append(name)
    side = math.sqrt(math.pi) / 2.0 * arm.cup  # of the square with the cup's area: four corners hold against tilting
    parent.add_geom(
        name=f"cup{number}",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=(side / 2, side / 2, 0.005),
        pos=(0.0, 0.0, roll - 0.005),
        mass=CUP_MASS,
        contype=ROBOT_BIT,
        conaffinity=STATIC_BIT | LOAD_BIT,
        condim=4,
        friction=(CUP_FRICTION, 0.02, 0.0001),
        priority=1,
        solimp=(CUP_STIFF, CUP_STIFF, 0.001, 0.5, 2.0),
        gap=CUP_LIP,
        rgba=(0.1, 0.1, 0.35, 1.0),
    )
    parent.add_site(name=f"tool{number}", pos=(0.0, 0.0, roll))
    return names


def _add_tote(robot: mujoco.MjsBody, deck: float, arm: Arm) -> None:
    (length, width, height), (x, y) = arm.tote, arm.tote_at
    long, wide = length / 2 + WALL, width / 2 + WALL
    for offset, half in (
        ((0.0, 0.0, WALL), (long, wide, WALL)),
        ((long, 0.0, height / 2 + WALL), (WALL / 2, wide, height / 2 + WALL)),
        ((-long, 0.0, height / 2 + WALL), (WALL / 2, wide, height / 2 + WALL)),
        ((0.0, wide, height / 2 + WALL), (long, WALL / 2, height / 2 + WALL)),
        ((0.0, -wide, height / 2 + WALL), (long, WALL / 2, height / 2 + WALL)),
    ):
        robot.add_geom(
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=half,
            pos=(x + offset[0], y + offset[1], deck + offset[2]),
            mass=TOTE_MASS,
            contype=ROBOT_BIT,
            conaffinity=LOAD_BIT,
            condim=3,
            friction=(0.5, 0.005, 0.0001),
            rgba=(0.20, 0.40, 0.75, 0.6),
        )
