"""The model that videos of runs are drawn from: floor, racks, marks, and a mocap body for whatever moves; no physics.

Robots wear colours, their load and a nose; people are orange. `Scenery` poses it at a moment of a `Trace`.
"""

# pyright: reportAttributeAccessIssue=false
# (mujoco defines its names at run time)

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from sim.drawing import CARDBOARD, CHASSIS, MARK, MAST, POD, SKIN, TRUCK, VEST, Colour, drawn_floor, robot_colour
from sim.trace import Trace, blend

LARGE = 60.0
"""m; floors with a longer side are seen from higher above, and what moves on them is drawn larger."""

CHASE = "chase"
"""Name of the camera that follows a robot."""

CHASE_FOV_DEG = 52.0
"""Wide enough to see the aisle to both sides of the robot."""

BEHIND, ABOVE, AIM = 2.9, 1.75, 1.3
"""m: where the chase camera stands behind and above a robot, and how far ahead of it it looks; above the low racks."""

FOV_DEG = 18.0
"""Far away and narrow, from above: little perspective, so that every aisle is seen alike."""

SKY = (0.95, 0.96, 0.97)


def drawn_scale(trace: Trace) -> float:
    """How much larger than life robots and people are drawn: a cell on a large floor, so that they can be seen."""
    site = trace.site
    if max(site.width, site.height) * site.cell <= LARGE:
        return 1.0
    return max(1.0, 0.98 * site.cell / trace.footprint[0])


def set_light(visual: Any) -> None:  # MuJoCo's visual options, of a spec or a model
    """Little perspective, soft light, no anti-aliasing: software rendering is four times faster without."""
    visual.quality.offsamples = 0
    visual.global_.fovy = FOV_DEG
    visual.map.znear, visual.map.zfar = 0.01, 10.0
    visual.headlight.ambient[:] = 0.42
    visual.headlight.diffuse[:] = 0.12
    visual.headlight.specular[:] = 0.0


def build_picture(trace: Trace, scale: float | None = None) -> mujoco.MjModel:
    """The model; what moves is drawn `scale` times as large as it is (None: `drawn_scale`)."""
    site, scale = trace.site, drawn_scale(trace) if scale is None else scale
    world = mujoco.MjSpec()
    width, height = site.width * site.cell, site.height * site.cell
    set_light(world.visual)
    world.stat.extent = max(width, height)
    world.worldbody.add_light(
        pos=(width / 2, height / 2, 30.0),
        dir=(0.35, 0.45, -1.0),
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        castshadow=False,  # three times the frames per second
        diffuse=(0.46, 0.46, 0.44),
        specular=(0.05, 0.05, 0.05),
    )
    world.worldbody.add_camera(name=CHASE, fovy=CHASE_FOV_DEG)
    flat = mujoco.mjtBuiltin.mjBUILTIN_FLAT
    sky = mujoco.mjtTexture.mjTEXTURE_SKYBOX
    world.add_texture(name="sky", type=sky, builtin=flat, rgb1=SKY, rgb2=SKY, width=16, height=96)
    moving = trace.pods.shape[1] > 0  # pods that robots lift are bodies; others are part of the floor
    still = replace(site, fixtures=replace(site.fixtures, pods=())) if moving else site
    for number, part in enumerate(drawn_floor(still)):
        x_min, y_min, x_max, y_max = part.where
        name = f"door{part.door}.{number}" if part.door >= 0 else ""
        size = ((x_max - x_min) / 2, (y_max - y_min) / 2, (part.high - part.low) / 2)
        at = ((x_min + x_max) / 2, (y_min + y_max) / 2, (part.low + part.high) / 2)
        _solid(world.worldbody, mujoco.mjtGeom.mjGEOM_BOX, size, at, part.colour).name = name
    for robot in range(trace.poses.shape[1]):
        length, broad, tall = (scale * size for size in trace.footprint)
        _add_robot(world, robot, length, broad, tall)
    for person in range(trace.people.shape[1]):
        body = world.worldbody.add_body(name=f"person{person}", mocap=True)
        _solid(body, mujoco.mjtGeom.mjGEOM_CYLINDER, (0.25 * scale, 0.55, 0.0), (0.0, 0.0, 0.6), VEST)
        _solid(body, mujoco.mjtGeom.mjGEOM_SPHERE, (0.17 * scale, 0.0, 0.0), (0.0, 0.0, 1.3), SKIN)
    for forklift in range(trace.forklifts.shape[1]):
        _add_forklift(world, forklift, trace.truck)
    for pod in range(trace.pods.shape[1]):
        _add_pod(world, pod, site.fixtures.pod_size)
    return world.compile()


class Scenery:
    """Poses the model at moments of a trace. Owns the model's data."""

    def __init__(self, trace: Trace, carrying: NDArray[np.bool_], scale: float | None = None) -> None:
        """`carrying` (periods, robots): who has a load when."""
        self.trace, self.carrying = trace, carrying
        self.model = model = build_picture(trace, scale)
        self.data = mujoco.MjData(model)
        names = [model.geom(geom).name for geom in range(model.ngeom)]
        self._loads = [names.index(f"load{robot}") for robot in range(trace.poses.shape[1])]
        self._doors = [
            [geom for geom, name in enumerate(names) if name.startswith(f"door{door}.")]
            for door in range(trace.doors.shape[1])
        ]
        self._camera = model.camera(CHASE).id

    def pose(self, at: float) -> None:
        """Everything where it was at a moment, a period with its fraction."""
        trace, data = self.trace, self.data
        one, two, share = trace.between(at)
        robots = trace.poses.shape[1]
        walkers = robots + trace.people.shape[1]
        for first, poses in ((0, trace.poses), (walkers, trace.forklifts)):
            number = poses.shape[1]
            if number:
                x, y, yaw = blend(poses[one], poses[two], share).T
                data.mocap_pos[first : first + number, 0], data.mocap_pos[first : first + number, 1] = x, y
                data.mocap_quat[first : first + number, 0] = np.cos(yaw / 2)
                data.mocap_quat[first : first + number, 3] = np.sin(yaw / 2)
        pods = trace.pods.shape[1]
        if pods:
            x, y, yaw = blend(trace.pods[one], trace.pods[two], share).T
            data.mocap_pos[-pods:, 0], data.mocap_pos[-pods:, 1] = x, y
            data.mocap_quat[-pods:, 0], data.mocap_quat[-pods:, 3] = np.cos(yaw / 2), np.sin(yaw / 2)
        data.mocap_pos[robots:walkers, :2] = trace.people[one] + share * (trace.people[two] - trace.people[one])
        self.model.geom_rgba[self._loads, 3] = self.carrying[one]
        for door, geoms in enumerate(self._doors):
            self.model.geom_rgba[geoms, 3] = 0.0 if trace.doors[one, door] else 1.0
        mujoco.mj_kinematics(self.model, data)

    def chase(self, x: float, y: float, yaw: float) -> None:
        """Put the chase camera behind a robot at a pose in W; then `mj_camlight`."""
        tilt = math.atan2(ABOVE, BEHIND + AIM)
        self.model.cam_pos[self._camera] = x - BEHIND * math.cos(yaw), y - BEHIND * math.sin(yaw), ABOVE
        self.model.cam_quat[self._camera] = looking(yaw, tilt)


def looking(yaw: float, tilt: float) -> NDArray[np.float64]:
    """The quaternion of a camera that looks along `yaw`, down by `tilt` (rad): MuJoCo's look along -z, with y up."""
    c, s, ct, st = math.cos(yaw), math.sin(yaw), math.cos(tilt), math.sin(tilt)
    right, up, back = (s, -c, 0.0), (c * st, s * st, ct), (-c * ct, -s * ct, st)
    matrix = np.array([right, up, back]).T
    quat = np.zeros(4)
    mujoco.mju_mat2Quat(quat, matrix.reshape(-1))
    return quat


def _add_robot(world: Any, number: int, length: float, broad: float, tall: float) -> None:
    body = world.worldbody.add_body(name=f"robot{number}", mocap=True)
    cube = mujoco.mjtGeom.mjGEOM_BOX
    top, nose = (length / 2 - 0.03, broad / 2 - 0.03, tall * 0.2), (0.03, broad / 2 - 0.05, 0.03)
    _solid(body, cube, (length / 2, broad / 2, tall * 0.3), (0.0, 0.0, tall * 0.3 + 0.03), CHASSIS)
    _solid(body, cube, top, (0.0, 0.0, tall * 0.8), robot_colour(number))
    _solid(body, cube, nose, (length / 2 - 0.07, 0.0, tall + 0.02), MARK)
    load = _solid(body, cube, (0.17, 0.16, 0.15), (-0.07, 0.0, tall + 0.15), CARDBOARD)
    load.name = f"load{number}"


def _add_forklift(world: Any, number: int, size: tuple[float, float, float]) -> None:
    """A truck with its forks ahead: chassis, mast, two blades."""
    length, broad, tall = size
    forks = 0.4 * length
    body = world.worldbody.add_body(name=f"forklift{number}", mocap=True)
    box = mujoco.mjtGeom.mjGEOM_BOX
    rear = (length - forks) / 2
    _solid(body, box, (rear, broad / 2, 0.45), (-forks / 2, 0.0, 0.5), TRUCK)
    _solid(body, box, (0.06, 0.42 * broad, tall / 2), (length / 2 - forks - 0.06, 0.0, tall / 2), MAST)
    for side in (-1.0, 1.0):
        _solid(body, box, (forks / 2, 0.07, 0.03), ((length - forks) / 2, side * 0.25 * broad, 0.1), MAST)


def _add_pod(world: Any, number: int, size: tuple[float, float, float]) -> None:
    """A shelf with low boards on four legs, so that the robot under it stays visible."""
    length, broad, _ = size
    body = world.worldbody.add_body(name=f"pod{number}", mocap=True)
    box = mujoco.mjtGeom.mjGEOM_BOX
    for low in (0.42, 0.8):
        _solid(body, box, (length / 2, broad / 2, 0.03), (0.0, 0.0, low), (*POD[:3], 0.85))
    for x in (-1.0, 1.0):
        for y in (-1.0, 1.0):
            _solid(body, box, (0.03, 0.03, 0.4), (x * (length / 2 - 0.03), y * (broad / 2 - 0.03), 0.4), MAST)


def _solid(body: Any, kind: Any, size: tuple[float, ...], at: tuple[float, ...], colour: Colour) -> Any:
    """A geom that nothing collides with (mujoco's own types)."""
    return body.add_geom(type=kind, size=size, pos=at, rgba=colour, contype=0, conaffinity=0)
