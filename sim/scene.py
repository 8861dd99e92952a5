"""A site and its robots, people and forklifts as one MuJoCo model.

`build_scene` turns a `Site` into static boxes (few: `merged_boxes`), its fixtures (`sim/furnishing.py`), four outer
walls, `robots` robots, `people` mocap cylinders and `forklifts` mocap boxes through MjSpec. `Scene` says where each
robot's coordinates, controls and contact flags lie, so that kernels need no names.

What a robot is made of stands in `sim/bodies/`: a planar or a wheeled base, and what it carries.

Masks: robots meet robots, walls, people and forklifts, which do not meet each other. A contact sensor for each
pair tells whether a robot touches the map (its racks and walls, one body of the engine), each other robot, person and
forklift.
At 1 robot and 3 people their cost is not measurable, at 8 robots they take 3 % of a step (2026-11); they grow with the
square of the robots, so that one floor with a whole fleet reads the engine's contact list instead.
"""

# pyright: reportAttributeAccessIssue=false
# (mujoco defines these names at run time)

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import mujoco
import numpy as np
from numpy.typing import NDArray

from sim.bodies import box, forklift, manipulator, planar, pod, wheeled
from sim.bodies.goods import add_item, add_shelf
from sim.bodies.parts import FLOOR_BIT, PERSON_BIT, ROBOT_BIT, STATIC_BIT, TRACTION, Add, Body, BodyLayout
from sim.contacts import Part, add_sensors, addresses, of_pod, of_robot
from sim.fixtures import POD_SIZE
from sim.forklifts import ForkliftSpec
from sim.furnishing import add_fixtures, add_moving_doors
from sim.loads import Shelf
from sim.people import PARKED, PERSON_HEIGHT, PERSON_RADIUS
from sim.robot import RobotSpec
from sim.site import Site, merged_boxes
from sim.specfile import check_spec

BODIES: dict[Body, Add] = {"planar": planar.add, "wheeled": wheeled.add}
"""Bases by name."""

HOLD = 10.0
"""How much harder friction is than the contact's normal (impratio), where an arm holds things by friction: the manual's
remedy against slip, with elliptic cones."""

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
    """Where in the sensor data robot r's contact with the map, each other robot, person and forklift lies, in that
    order and by number; (robots, robots + people + forklifts). Movable pods, loose boxes, shelves for picking and
    moving doors follow, where there are some. A robot with a fork or an arm has as many columns again for that, and is
    two counterparts to the others. No columns in a scene without contact sensors."""
    rest_height: float
    """z of the wheeled body's frame when it stands on the floor, m."""
    falls: bool
    """Whether gravity acts: not on the planar base, unless it has an arm, whose things to pick lie and fall."""
    pods: int = 0
    """Pods that can be moved (`sim/pods.py`); after the robots' coordinates 7 each where things fall, else 3."""
    own_pods: int = 0
    """How many of them, the last, are a task's own, one for each robot."""
    pod_size: tuple[float, float, float] = POD_SIZE
    """m"""
    pod_contacts: NDArray[np.int32] = field(default_factory=lambda: np.zeros((0, 0), np.int32))
    """Where in the sensor data each pod's contacts with the map, each person, other pod, box, shelf and part of a robot
    lie; (pods, counterparts)."""
    boxes: int = 0
    """Loose boxes; their coordinates follow the pods', as many for each."""
    items: int = 0
    """Things to pick; 7 coordinates each, the last."""
    shelves: tuple[Shelf, ...] = ()
    """Where they lie."""


def build_scene(
    site: Site,
    spec: RobotSpec,
    robots: int,
    people: int = 0,
    body: Body = "planar",
    *,
    visual: bool = True,
    contacts: bool = True,
    forklifts: int = 0,
    forklift_spec: ForkliftSpec | None = None,
    movable_pods: bool = False,
    own_pods: int = 0,
    pod_size: tuple[float, float, float] | None = None,
    boxes: int = 0,
    shelves: Sequence[Shelf] = (),
    moving_doors: bool = False,
) -> Scene:
    """The scene of a site with `robots` robots of one kind, at qpos 0, and `people` people, parked off the floor.

    `visual` adds lights for pictures; it changes no contact. `contacts` adds the contact sensors. `forklifts` forklifts
    of `forklift_spec` (None: the default one) are parked beside the people; their mocap bodies follow those of people.
    `movable_pods` makes bodies of the site's pods, `boxes` adds as many loose boxes, parked off the floor, `shelves`
    add bins and what lies in them; `moving_doors` makes mocap bodies of automatic doors, the last ones. Boxes sleep
    until something touches them, and so do pods beside them.

    Raises `SpecError` for a robot that cannot be, ValueError for no robot.
    """
    check_spec(spec)
    if robots < 1:
        raise ValueError(f"expected at least 1 robot, got {robots}")
    world = mujoco.MjSpec()
    world.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    falls = body == "wheeled" or spec.arm is not None or bool(shelves)
    world.option.timestep = 0.005 if falls else 0.02
    if spec.arm is not None:
        world.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
        world.option.impratio = HOLD
    if boxes:
        world.option.enableflags |= int(mujoco.mjtEnableBit.mjENBL_SLEEP)
    if not falls:
        world.option.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_GRAVITY)
    world.visual.quality.offsamples = 0  # software rendering is four times faster without
    world.visual.map.znear = 0.002
    world.visual.global_.offwidth, world.visual.global_.offheight = 1280, 960
    world.stat.extent = max(site.width, site.height) * site.cell
    _add_ground(world, site, visual)
    add_fixtures(world, site, pods=not movable_pods, moving_doors=moving_doors)
    base = wheeled.add_sprung if body == "wheeled" and site.fixtures.ramps else BODIES[body]
    layouts = [_add_robot(world, spec, number, base) for number in range(robots)]
    pods = site.centre(np.array(site.fixtures.pods if movable_pods else (), np.int64)).reshape(-1, 2).tolist()
    pods += [(2.0 * PARKED, PARKED + 2.0 * number) for number in range(own_pods)]
    for number, (x, y) in enumerate(pods):
        pod.add(world, number, (x, y), pod_size or site.fixtures.pod_size, falls)
    pod.add_welds(world, robots, len(pods))
    for number in range(boxes):
        box.add(world, number, (PARKED, PARKED + 2.0 * number), falls)
    items = [(item, shelf) for shelf in shelves for item in shelf.items]
    for number, shelf in enumerate(shelves):
        add_shelf(world, number, shelf)
    for number, (item, shelf) in enumerate(items):
        add_item(world, number, item, shelf)
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
    truck_spec = forklift_spec or ForkliftSpec()
    for number in range(forklifts):
        truck = world.worldbody.add_body(name=f"forklift{number}", mocap=True, pos=(PARKED, PARKED, 0.0))
        truck.add_geom(
            name=f"forklift{number}",
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=(truck_spec.length / 2, truck_spec.width / 2, truck_spec.height / 2),
            pos=(0.0, 0.0, truck_spec.height / 2),
            contype=PERSON_BIT,
            conaffinity=ROBOT_BIT,
            rgba=(0.9, 0.75, 0.2, 1.0),
        )
    doors = add_moving_doors(world, site) if moving_doors else []
    sensors: list[list[str]] = [[] for _ in range(robots)]
    pod_sensors: list[list[str]] = [[] for _ in pods]
    if contacts:
        things: list[Part] = [(mujoco.mjtObj.mjOBJ_GEOM, f"person{number}") for number in range(people)]
        things += [(mujoco.mjtObj.mjOBJ_GEOM, f"forklift{number}") for number in range(forklifts)]
        for name, count in (("pod", len(pods)), ("box", boxes), ("board", len(shelves))):
            things += [(mujoco.mjtObj.mjOBJ_BODY, f"{name}{number}") for number in range(count)]
        things += [(mujoco.mjtObj.mjOBJ_BODY, name) for name in doors]
        made: dict[frozenset[str], str] = {}
        sensors = [add_sensors(world, made, of_robot(spec, one, robots, things)) for one in range(robots)]
        pod_sensors = [add_sensors(world, made, of_pod(spec, one, robots, things)) for one in range(len(pods))]
    model = world.compile()
    return Scene(
        model=model,
        spec=spec,
        body=body,
        robots=robots,
        people=people,
        timestep=float(model.opt.timestep),
        qpos_stride=layouts[0].qpos_stride,
        qvel_stride=layouts[0].qvel_stride,
        ctrl_stride=layouts[0].ctrl_stride,
        contacts=addresses(model, sensors),
        rest_height=0.0,
        falls=falls,
        pods=len(pods),
        own_pods=own_pods,
        pod_size=pod_size or site.fixtures.pod_size,
        pod_contacts=addresses(model, pod_sensors),
        boxes=boxes,
        items=len(items),
        shelves=tuple(shelves),
    )


def _add_robot(world: mujoco.MjSpec, spec: RobotSpec, number: int, base: Add) -> BodyLayout:
    if spec.fork is not None:
        return forklift.add(world, spec, number, base)
    if spec.arm is not None:
        return manipulator.add(world, spec, number, base)
    return base(world, spec, number)


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
