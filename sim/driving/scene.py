"""The road as physics sees it: level ground without end, the egos, and boxes for everybody else.

`build_road_scene` makes a `RoadScene` for one of two bodies. "full" is a MuJoCo model with the car of
`sim/driving/body.py` on four wheels for each ego and a mocap box for each other actor; "kinematic" has no model: its
worlds are stepped by `sim/driving/kinematic.py`. Roads are arrays (sim/driving/atlas.py), not geoms.

Egos meet each other and the boxes by their hulls, wheels meet the ground alone. Boxes of slots that are empty lie in
the ground, far away. Who touches whom is asked of `sim/driving/touching.py` for both bodies, because the engine does
not know how fast a mocap body moves and the kinematic body meets nobody.
"""

# pyright: reportAttributeAccessIssue=false
# (mujoco defines these names at run time)

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import mujoco
import numpy as np
from numpy.typing import NDArray

from sim.backend import Backend, make_backend
from sim.bodies.parts import FLOOR_BIT, PERSON_BIT, ROBOT_BIT
from sim.driving import body as full
from sim.driving.kinematic import KinematicBackend
from sim.robot import SECOND, RobotSpec
from sim.specfile import check_spec

RoadBody = Literal["full", "kinematic"]

PARKED = (-5000.0, -5000.0, -100.0)
"""Where boxes of empty slots are, m: beyond every road and below the ground."""

BOX_MAX = (18.75, 2.55, 4.0)
"""The largest actor, m: an articulated lorry as EU rules allow them, 18.75 m by 2.55 m by 4 m (96/53/EC). Boxes are
compiled as large, so that the engine looks for contacts as far, and get each actor's size from `write_actors`."""

BOX_HEIGHT = 1.6
"""Of every actor, m: that of cars and people; contacts do not ask for more."""

FULL_STEP = 0.005
"""Physics step of the full body, s: with 10 ms the wheels' servos and the springs are too coarse."""


@dataclass(frozen=True)
class RoadScene:
    """The full body's model, and where each ego's numbers lie (robot r of a world begins at r times the stride)."""

    model: mujoco.MjModel | None
    """None for the kinematic body."""
    spec: RobotSpec
    body: RoadBody
    robots: int
    actors: int
    """Slots of a world, the egos' included: there are actors - robots boxes."""
    timestep: float
    """s"""
    qpos_stride: int
    qvel_stride: int
    ctrl_stride: int
    wheels: NDArray[np.int32] = field(default_factory=lambda: np.zeros((0, 4), np.int32))
    """Geoms of each ego's wheels (`body.WHEELS`), (robots, 4)."""
    boxes: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    """Geoms of the others' boxes, (actors - robots,)."""

    @property
    def substeps(self) -> int:
        """Physics steps of a motor period."""
        return round(self.spec.motor_period / SECOND / self.timestep)


def build_road_scene(
    spec: RobotSpec, robots: int, actors: int, body: RoadBody = "full", *, visual: bool = True
) -> RoadScene:
    """The scene of `robots` egos of one kind among `actors` slots, the egos' included.

    Raises `SpecError` for a car that cannot be, `WrongDriveError` for what is no car, ValueError for no robot or fewer
    slots than robots.
    """
    check_spec(spec)
    _ = spec.car
    if not 1 <= robots <= actors:
        raise ValueError(f"expected at least 1 robot and a slot for each, got {robots} robots and {actors} slots")
    if body == "kinematic":
        return RoadScene(
            model=None,
            spec=spec,
            body=body,
            robots=robots,
            actors=actors,
            timestep=spec.motor_period / SECOND,
            qpos_stride=KinematicBackend.STRIDE,
            qvel_stride=KinematicBackend.SPEEDS,
            ctrl_stride=KinematicBackend.CONTROLS,
        )
    world = mujoco.MjSpec()
    world.option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    world.option.timestep = FULL_STEP
    world.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC  # pyramids would grip less across the diagonals of W
    world.visual.quality.offsamples = 0  # software rendering is four times faster without
    world.visual.global_.offwidth, world.visual.global_.offheight = 1280, 960
    world.stat.extent = 50.0
    world.worldbody.add_geom(
        name="ground",
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        size=(0.0, 0.0, 1.0),
        contype=FLOOR_BIT,
        conaffinity=0,
        condim=3,
        rgba=(0.45, 0.52, 0.42, 1.0),
    )
    if visual:
        world.worldbody.add_light(
            pos=(0.0, 0.0, 100.0),
            dir=(0.2, 0.15, -1.0),
            type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
            castshadow=False,
            diffuse=(0.7, 0.7, 0.7),
        )
    layouts = [full.add(world, spec, number) for number in range(robots)]
    for number in range(robots, actors):
        other = world.worldbody.add_body(name=f"actor{number}", mocap=True, pos=PARKED)
        other.add_geom(
            name=f"actor{number}",
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=tuple(side / 2.0 for side in BOX_MAX),
            contype=PERSON_BIT,
            conaffinity=ROBOT_BIT,
            condim=1,
            rgba=(0.75, 0.55, 0.20, 1.0),
        )
    model = world.compile()
    return RoadScene(
        model=model,
        spec=spec,
        body=body,
        robots=robots,
        actors=actors,
        timestep=float(model.opt.timestep),
        qpos_stride=layouts[0].qpos_stride,
        qvel_stride=layouts[0].qvel_stride,
        ctrl_stride=layouts[0].ctrl_stride,
        wheels=np.array(
            [[model.geom(f"{name}{number}").id for name in full.WHEELS] for number in range(robots)], np.int32
        ),
        boxes=np.array([model.geom(f"actor{number}").id for number in range(robots, actors)], np.int32),
    )


def make_physics(scene: RoadScene, worlds: int, threads: int = 1, device: str = "cpu") -> Backend:
    """Worlds of a scene on a device; threads count for the full body on the CPU alone."""
    if scene.model is None:
        return KinematicBackend(scene.spec, worlds, scene.robots, device)
    return make_backend(scene.model, worlds, threads, device)
