"""A site and its robots and people as one MuJoCo model.

`build_scene` turns a `Site` into static boxes (few: `merged_boxes`), four outer walls, `robots` robots and `people`
mocap cylinders through MjSpec. `Scene` says where each robot's coordinates, controls and contact flags lie, so that
kernels need no names.

Two bodies for one differential drive:

planar   slide x, slide y, hinge z with body_pos 0, so that qpos is p_WB itself; three velocity servos on a site speak
         in B (v along x_B, nothing sideways, w about z), and their force limits are the tyres' traction. No contact
         with the floor, 20 ms steps: 2 us a step on an empty floor and 5 ns more for each static box (2026-11, one
         core), for training and for fleets.
wheeled  a free joint, two driven sphere wheels and two frictionless casters on the floor, 5 ms steps: for motor
         policies and evaluation.

Masks: robots meet robots, walls and people; people, racks and walls do not meet each other. A contact sensor for each
pair tells whether a robot touches the map (its racks and walls, one body of the engine), each other robot, each person.
At 1 robot and 3 people their cost is not measurable, at 8 robots they take 3 % of a step (2026-11); they grow with the
square of the robots, so that one floor with a whole fleet reads the engine's contact list instead.
"""

# pyright: reportAttributeAccessIssue=false
# (mujoco defines these names at run time)

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import mujoco
import numpy as np
from numpy.typing import NDArray

from sim.people import PARKED, PERSON_HEIGHT, PERSON_RADIUS
from sim.robot import RobotSpec
from sim.site import Site, merged_boxes

Body = Literal["planar", "wheeled"]

ROBOT_BIT, STATIC_BIT, PERSON_BIT, FLOOR_BIT = 1, 2, 4, 8
"""Collision masks: a robot's hull meets all but the floor, wheels and casters meet the floor alone."""

GRAVITY = 9.81
"""m/s^2"""

TRACTION = 0.8
"""Nominal friction coefficient of a tyre on a dry warehouse floor (polyurethane on sealed concrete: 0.6 to 0.9)."""

SERVO_TIME = 0.01
"""Time constant of the velocity servo of the planar body, s; half a 20 ms step, so it settles within one."""

RACK_HEIGHT = 2.0
"""Height of racks and walls in the scene, m; the lidar is planar, so this is for pictures."""


@dataclass(frozen=True)
class Scene:
    """A compiled model and where each robot's numbers lie in it (robot r of a world begins at r times the stride)."""

    model: mujoco.MjModel
    spec: RobotSpec
    body: Body
    robots: int
    people: int
    timestep: float
    """Physics step, s."""
    qpos_stride: int
    """Coordinates of one robot in qpos."""
    qvel_stride: int
    ctrl_stride: int
    """Controls of one robot."""
    contacts: NDArray[np.int32]
    """Where in the sensor data robot r's contact with the map, each other robot and each person lies, in that order and
    by number; (robots, robots + people). No columns in a scene without contact sensors."""
    rest_height: float
    """z of the wheeled body's frame when it stands on the floor, m."""


def build_scene(
    site: Site,
    spec: RobotSpec,
    robots: int,
    people: int = 0,
    body: Body = "planar",
    *,
    visual: bool = True,
    contacts: bool = True,
) -> Scene:
    """The scene of a site with `robots` robots of one kind, at qpos 0, and `people` people, parked off the floor.

    `visual` adds lights for pictures; it changes no contact. `contacts` adds the contact sensors.
    """
    world = mujoco.MjSpec()
    world.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    world.option.timestep = 0.02 if body == "planar" else 0.005
    if body == "planar":
        world.option.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_GRAVITY)
    world.visual.quality.offsamples = 0  # software rendering is four times faster without
    world.visual.map.znear = 0.002
    world.visual.global_.offwidth, world.visual.global_.offheight = 1280, 960
    world.stat.extent = max(site.width, site.height) * site.cell
    _add_ground(world, site, visual)
    for number in range(robots):
        (_add_planar if body == "planar" else _add_wheeled)(world, spec, number)
    for number in range(people):
        person = world.worldbody.add_body(name=f"person{number}", mocap=True, pos=(PARKED, PARKED, 0.0))
        person.add_geom(
            name=f"person{number}",
            type=mujoco.mjtGeom.mjGEOM_CYLINDER,
            size=(PERSON_RADIUS, PERSON_HEIGHT / 2, 0.0),
            pos=(0.0, 0.0, PERSON_HEIGHT / 2),
            contype=PERSON_BIT,
            conaffinity=ROBOT_BIT,
            rgba=(0.85, 0.35, 0.25, 1.0),
        )
    if contacts:
        _add_contact_sensors(world, robots, people)
    planar = body == "planar"
    model = world.compile()
    return Scene(
        model=model,
        spec=spec,
        body=body,
        robots=robots,
        people=people,
        timestep=float(model.opt.timestep),
        qpos_stride=3 if planar else 9,
        qvel_stride=3 if planar else 8,
        ctrl_stride=3 if planar else 2,
        contacts=_contact_addresses(model, robots, people) if contacts else np.zeros((robots, 0), np.int32),
        rest_height=0.0,
    )


def _add_ground(world: mujoco.MjSpec, site: Site, visual: bool) -> None:
    width, height = site.width * site.cell, site.height * site.cell
    world.worldbody.add_geom(
        name="floor",
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        size=(width / 2 + 2.0, height / 2 + 2.0, 0.1),
        pos=(width / 2, height / 2, 0.0),
        contype=FLOOR_BIT,
        conaffinity=0,
        condim=3,
        friction=(TRACTION, 0.005, 0.0001),
        rgba=(0.78, 0.79, 0.80, 1.0),
    )
    thick = 0.5
    walls = (
        (-thick, -thick, 0.0, height + thick),
        (width, -thick, width + thick, height + thick),
        (0.0, -thick, width, 0.0),
        (0.0, height, width, height + thick),
    )
    boxes = [*((*box, "rack") for box in merged_boxes(site).astype(np.float64)), *((*box, "wall") for box in walls)]
    for number, (x_min, y_min, x_max, y_max, kind) in enumerate(boxes):
        world.worldbody.add_geom(
            name=f"{kind}{number}",
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=((x_max - x_min) / 2, (y_max - y_min) / 2, RACK_HEIGHT / 2),
            pos=((x_max + x_min) / 2, (y_max + y_min) / 2, RACK_HEIGHT / 2),
            contype=STATIC_BIT,
            conaffinity=ROBOT_BIT,
            condim=1,
            rgba=(0.42, 0.47, 0.55, 1.0) if kind == "rack" else (0.6, 0.6, 0.62, 1.0),
        )
    if visual:
        world.worldbody.add_light(
            pos=(width / 2, height / 2, 30.0),
            dir=(0.15, 0.1, -1.0),
            type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
            castshadow=False,  # 3 times the frames per second in software
            diffuse=(0.7, 0.7, 0.7),
        )


def _hull(body: mujoco.MjsBody, spec: RobotSpec, number: int, low: float, mass: float) -> None:
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
    body.add_geom(  # a nose, for pictures
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=(0.04, spec.width / 3, 0.02),
        pos=(spec.length / 2 - 0.08, 0.0, spec.height + 0.01),
        mass=0.0,
        contype=0,
        conaffinity=0,
        rgba=(0.15, 0.15, 0.2, 1.0),
    )


def _add_contact_sensors(world: mujoco.MjSpec, robots: int, people: int) -> None:
    geom, body = mujoco.mjtObj.mjOBJ_GEOM, mujoco.mjtObj.mjOBJ_BODY
    for one in range(robots):
        others = [(body, "world")]
        others += [(geom, f"hull{two}") for two in range(one)]
        others += [(geom, f"person{number}") for number in range(people)]
        for kind, other in others:
            world.add_sensor(
                name=f"hull{one} {other}",
                type=mujoco.mjtSensor.mjSENS_CONTACT,
                objtype=geom,
                objname=f"hull{one}",
                reftype=kind,
                refname=other,
                intprm=(1, 0, 1),  # data = found (bit 0), no reduction, one slot
            )


def _contact_addresses(model: mujoco.MjModel, robots: int, people: int) -> NDArray[np.int32]:
    addresses = np.zeros((robots, robots + people), np.int32)
    for one in range(robots):
        names = [f"hull{one} world"]
        names += [f"hull{max(one, two)} hull{min(one, two)}" for two in range(robots) if two != one]
        names += [f"hull{one} person{number}" for number in range(people)]
        addresses[one] = [model.sensor(name).adr[0] for name in names]
    return addresses


def _add_planar(world: mujoco.MjSpec, spec: RobotSpec, number: int) -> None:
    body = world.worldbody.add_body(name=f"robot{number}")
    slide, hinge = mujoco.mjtJoint.mjJNT_SLIDE, mujoco.mjtJoint.mjJNT_HINGE
    body.add_joint(name=f"x{number}", type=slide, axis=(1.0, 0.0, 0.0))
    body.add_joint(name=f"y{number}", type=slide, axis=(0.0, 1.0, 0.0))
    body.add_joint(name=f"yaw{number}", type=hinge, axis=(0.0, 0.0, 1.0))
    _hull(body, spec, number, 0.0, spec.mass)
    body.add_site(name=f"base{number}")
    inertia = spec.mass * (spec.length**2 + spec.width**2) / 12.0
    grip = spec.mass * TRACTION * GRAVITY
    for name, axis, load, limit in (
        ("forward", 0, spec.mass, grip),
        ("sideways", 1, spec.mass, grip),
        ("turn", 5, inertia, grip * spec.drive.track / 2.0),
    ):
        gear = np.zeros(6)
        gear[axis] = 1.0
        servo = world.add_actuator(
            name=f"{name}{number}", trntype=mujoco.mjtTrn.mjTRN_SITE, target=f"base{number}", gear=gear
        )
        servo.set_to_velocity(kv=load / SERVO_TIME)
        servo.forcelimited = 1
        servo.forcerange = (-limit, limit)


def _add_wheeled(world: mujoco.MjSpec, spec: RobotSpec, number: int) -> None:
    drive = spec.drive
    radius = drive.wheel_radius
    wheel_mass, caster = 2.0, 0.03
    body = world.worldbody.add_body(name=f"robot{number}")
    body.add_freejoint(name=f"free{number}")
    _hull(body, spec, number, 0.05, spec.mass - 2 * wheel_mass)
    for side in (-1.0, 1.0):
        body.add_geom(
            type=mujoco.mjtGeom.mjGEOM_SPHERE,
            size=(caster, 0.0, 0.0),
            pos=(side * (spec.length / 2 - caster - 0.02), 0.0, caster),
            mass=0.1,
            contype=0,
            conaffinity=FLOOR_BIT,
            condim=1,
            priority=1,
        )
    for side, name in ((1.0, "left"), (-1.0, "right")):
        wheel = body.add_body(name=f"{name}{number}", pos=(0.0, side * drive.track / 2.0, radius))
        wheel.add_joint(
            name=f"{name}{number}", type=mujoco.mjtJoint.mjJNT_HINGE, axis=(0.0, 1.0, 0.0), armature=0.02, damping=0.05
        )
        wheel.add_geom(  # a sphere: one contact point, 1.3 times faster than a cylinder
            type=mujoco.mjtGeom.mjGEOM_SPHERE,
            size=(radius, 0.0, 0.0),
            mass=wheel_mass,
            contype=0,
            conaffinity=FLOOR_BIT,
            condim=3,
            friction=(TRACTION, 0.005, 0.0001),
            rgba=(0.1, 0.1, 0.1, 1.0),
        )
        servo = world.add_actuator(name=f"{name}{number}", trntype=mujoco.mjtTrn.mjTRN_JOINT, target=f"{name}{number}")
        servo.set_to_velocity(kv=spec.mass / 2.0 * radius**2 / (2 * SERVO_TIME))
        servo.forcelimited = 1
        limit = spec.mass / 2.0 * TRACTION * GRAVITY * radius
        servo.forcerange = (-limit, limit)
