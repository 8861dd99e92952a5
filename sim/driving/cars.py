"""Egos as the road world reads and places them, and everybody else as the physics sees them.

The kernels know both bodies of `sim/driving/scene.py`: each reads base_link's pose from wherever the body keeps it.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from typing import Any

import warp as wp

from sim.actors import ActorKind
from sim.backend import Backend
from sim.bodies.parts import GRAVITY
from sim.drive import DriveArrays
from sim.driving import scene as road
from sim.driving.body import stiffness_of
from sim.driving.drive import CarArrays, CarLimits, car_speed, limits_of, yaw_of
from sim.driving.scene import RoadScene
from sim.driving.state import ActorArrays
from sim.launches import Launchable, Nothing, per_thread, record
from sim.robot import SECOND
from sim.rows import stand_upright

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

FAR_X = wp.constant(road.PARKED[0])
FAR_Y = wp.constant(road.PARKED[1])
FAR_Z = wp.constant(road.PARKED[2])
HALF_HEIGHT = wp.constant(road.BOX_HEIGHT / 2.0)
CAR_C, BICYCLE_C = wp.constant(int(ActorKind.CAR)), wp.constant(int(ActorKind.BICYCLE))
PEDESTRIAN_C = wp.constant(int(ActorKind.PEDESTRIAN))
PI_C = wp.constant(wp.pi)


@wp.kernel
def read_cars(
    dt: float,
    robots: int,
    wheeled: int,
    qpos_stride: int,
    qvel_stride: int,
    limits: CarLimits,
    ctrl: wp.array2d(dtype=Any),
    ctrl_stride: int,
    qpos: wp.array2d(dtype=Any),
    qvel: wp.array2d(dtype=Any),
    pose: wp.array2d(dtype=wp.float32),
    twist: wp.array2d(dtype=wp.float32),
    cars: CarArrays,
) -> None:
    """Pose (x, y, yaw in (-pi, pi]), twist (v, yaw rate, sideways) and motion of each row, `dt` after the last call."""
    row = wp.tid()
    world = row / robots
    robot = row % robots
    q = robot * qpos_stride
    u = robot * qvel_stride
    before = twist[row, 0]
    v = car_speed(world, robot, qpos_stride, qvel_stride, wheeled, limits.wheel_radius, qpos, qvel)
    pose[row, 0] = float(qpos[world, q])
    pose[row, 1] = float(qpos[world, q + 1])
    twist[row, 0] = v
    cars.motion[row, 0] = (v - before) / dt
    if wheeled == 0:
        yaw = float(qpos[world, q + 2])
        pose[row, 2] = yaw - 2.0 * PI_C * wp.ceil((yaw - PI_C) / (2.0 * PI_C))
        twist[row, 1] = float(qvel[world, u + 2])
        twist[row, 2] = float(qvel[world, u + 1])
        cars.motion[row, 1] = float(ctrl[world, robot * ctrl_stride + 1])
        return
    heading = yaw_of(world, q, qpos)
    # the axle, a wheel's radius above the frame's origin along the chassis' z: pitch and roll are about it
    w = float(qpos[world, q + 3])
    i = float(qpos[world, q + 4])
    j = float(qpos[world, q + 5])
    k = float(qpos[world, q + 6])
    pose[row, 0] += 2.0 * (i * k + w * j) * limits.wheel_radius
    pose[row, 1] += 2.0 * (j * k - w * i) * limits.wheel_radius
    pose[row, 2] = heading
    twist[row, 1] = float(qvel[world, u + 5])
    aside = float(qvel[world, u + 1]) * wp.cos(heading) - float(qvel[world, u]) * wp.sin(heading)
    twist[row, 2] = aside - float(qvel[world, u + 3]) * limits.wheel_radius
    # the mean of what both wheels say: tan(angle) = L kappa / (1 -+ kappa track / 2)
    left = wp.tan(float(qpos[world, q + 8]))
    right = wp.tan(float(qpos[world, q + 11]))
    one = left / (limits.wheelbase + limits.half_track * left)
    two = right / (limits.wheelbase - limits.half_track * right)
    cars.motion[row, 1] = 0.5 * (one + two)


@wp.kernel
def place_cars(
    robots: int,
    wheeled: int,
    qpos_stride: int,
    qvel_stride: int,
    limits: CarLimits,
    give: float,
    mask: wp.array(dtype=wp.uint8),
    pose: wp.array2d(dtype=wp.float32),
    speed: wp.array(dtype=wp.float32),
    curvature: wp.array(dtype=wp.float32),
    twist: wp.array2d(dtype=wp.float32),
    drive: DriveArrays,
    cars: CarArrays,
    qpos: wp.array2d(dtype=Any),
    qvel: wp.array2d(dtype=Any),
    warmstart: wp.array2d(dtype=Any),
) -> None:
    """Put each masked row where its pose says, rolling at its speed along an arc, springs at rest under its load.

    `give` is how far a kilogram sinks the car, m.
    """
    row = wp.tid()
    if mask[row] == wp.uint8(0):
        return
    world = row / robots
    q = (row % robots) * qpos_stride
    u = (row % robots) * qvel_stride
    v = speed[row]
    bend = curvature[row]
    yaw = pose[row, 2]
    twist[row, 0] = v
    twist[row, 1] = v * bend
    twist[row, 2] = 0.0
    cars.motion[row, 0] = 0.0
    cars.motion[row, 1] = bend
    cars.reference[row] = v
    for k in range(2):
        level = wp.where(k == 0, 0.0, bend)
        drive.setpoint[row, k] = level
        drive.output[row, k] = level
        drive.released[row, k] = level
        drive.before[row, k] = level
    for k in range(qvel_stride):
        qvel[world, u + k] = qvel.dtype(0.0)
    if wheeled == 0:
        for k in range(3):
            qpos[world, q + k] = qpos.dtype(pose[row, k])
        qvel[world, u] = qvel.dtype(v)
        qvel[world, u + 2] = qvel.dtype(v * bend)
        qvel[world, u + 3] = qvel.dtype(bend)
        return
    sunk = give * cars.load[row]
    stand_upright(world, q, pose[row, 0], pose[row, 1], -sunk, yaw, qpos)
    qvel[world, u] = qvel.dtype(v * wp.cos(yaw))
    qvel[world, u + 1] = qvel.dtype(v * wp.sin(yaw))
    qvel[world, u + 5] = qvel.dtype(v * bend)
    for k in range(qvel_stride):
        warmstart[world, u + k] = warmstart.dtype(0.0)
    aside = bend * limits.half_track
    ahead = bend * limits.wheelbase
    spin = v / limits.wheel_radius
    for wheel in range(4):
        side = wp.where(wheel % 2 == 0, 1.0 - aside, 1.0 + aside)
        at = 7 + 3 * wheel
        front = wp.where(wheel < 2, ahead, 0.0)
        if wheel >= 2:
            at = 13 + 2 * (wheel - 2)
        qpos[world, q + at] = qpos.dtype(sunk)
        if wheel < 2:
            qpos[world, q + at + 1] = qpos.dtype(wp.atan(ahead / side))
            at += 1
        qpos[world, q + at + 1] = qpos.dtype(0.0)
        qvel[world, u + at] = qvel.dtype(spin * wp.sqrt(side * side + front * front))


@wp.kernel
def show_egos(
    robots: int,
    limits: CarLimits,
    pose: wp.array2d(dtype=wp.float32),
    twist: wp.array2d(dtype=wp.float32),
    cars: CarArrays,
    actors: ActorArrays,
) -> None:
    """The egos' own slots among the actors."""
    row = wp.tid()
    world = row / robots
    slot = row % robots
    yaw = pose[row, 2]
    actors.kind[world, slot] = CAR_C
    actors.pose[world, slot, 0] = pose[row, 0] + limits.middle * wp.cos(yaw)
    actors.pose[world, slot, 1] = pose[row, 1] + limits.middle * wp.sin(yaw)
    actors.pose[world, slot, 2] = yaw
    actors.motion[world, slot, 0] = wp.max(twist[row, 0], 0.0)
    actors.motion[world, slot, 1] = cars.motion[row, 0]
    actors.motion[world, slot, 2] = twist[row, 1]
    actors.size[world, slot, 0] = limits.length
    actors.size[world, slot, 1] = limits.width


@wp.func
def write_actor(
    world: int,
    number: int,
    robots: int,
    boxes: wp.array(dtype=wp.int32),
    actors: ActorArrays,
    mocap_pos: wp.array3d(dtype=Any),
    mocap_quat: wp.array3d(dtype=Any),
    sizes: wp.array3d(dtype=Any),
) -> None:
    """One box where its actor is; that of an empty slot far away in the ground, and that of who is too light to matter.

    A mocap body has no mass of its own, so that a person who brushes a standing car would shove it aside like a wall.
    """
    slot = robots + number
    geom = boxes[number]
    kind = actors.kind[world, slot]
    light = kind == PEDESTRIAN_C
    light = light or kind == BICYCLE_C
    if kind < 0 or light:
        mocap_pos[world, number, 0] = mocap_pos.dtype(FAR_X)
        mocap_pos[world, number, 1] = mocap_pos.dtype(FAR_Y)
        mocap_pos[world, number, 2] = mocap_pos.dtype(FAR_Z)
        return
    yaw = actors.pose[world, slot, 2]
    mocap_pos[world, number, 0] = mocap_pos.dtype(actors.pose[world, slot, 0])
    mocap_pos[world, number, 1] = mocap_pos.dtype(actors.pose[world, slot, 1])
    mocap_pos[world, number, 2] = mocap_pos.dtype(HALF_HEIGHT)
    mocap_quat[world, number, 0] = mocap_quat.dtype(wp.cos(0.5 * yaw))
    mocap_quat[world, number, 1] = mocap_quat.dtype(0.0)
    mocap_quat[world, number, 2] = mocap_quat.dtype(0.0)
    mocap_quat[world, number, 3] = mocap_quat.dtype(wp.sin(0.5 * yaw))
    sizes[world, geom, 0] = sizes.dtype(0.5 * actors.size[world, slot, 0])
    sizes[world, geom, 1] = sizes.dtype(0.5 * actors.size[world, slot, 1])
    sizes[world, geom, 2] = sizes.dtype(HALF_HEIGHT)


@wp.kernel
def write_actors(
    robots: int,
    boxes: wp.array(dtype=wp.int32),
    actors: ActorArrays,
    mocap_pos: wp.array3d(dtype=Any),
    mocap_quat: wp.array3d(dtype=Any),
    sizes: wp.array3d(dtype=Any),
    each: int,
) -> None:
    """Boxes where the other actors are; a thread for each world and `each` of them."""
    world, part = wp.tid()  # pyright: ignore[reportAssignmentType]  # as many as the launch has dimensions
    for number in range(part * each, (part + 1) * each):
        write_actor(world, number, robots, boxes, actors, mocap_pos, mocap_quat, sizes)


@wp.kernel
def write_tyres(
    robots: int,
    wheels: wp.array2d(dtype=wp.int32),
    mask: wp.array(dtype=wp.uint8),
    friction: wp.array(dtype=wp.float32),
    field: wp.array3d(dtype=Any),
) -> None:
    """The masked rows' friction into that of their wheels."""
    row = wp.tid()
    if mask[row] != wp.uint8(0):
        for wheel in range(4):
            field[row / robots, wheels[row % robots, wheel], 0] = field.dtype(friction[row])


@wp.kernel
def copy_grip(
    mask: wp.array(dtype=wp.uint8), friction: wp.array(dtype=wp.float32), target: wp.array(dtype=wp.float32)
) -> None:
    """The masked rows' friction for the kinematic body."""
    row = wp.tid()
    if mask[row] != wp.uint8(0):
        target[row] = friction[row]


class RoadCars:
    """The launches that move numbers between a scene's physics and the road world's arrays, recorded once.

    Owns nothing but the launches: `pose` (rows, 3) and `twist` (rows, 3) are `sim.rows.RobotArrays`' own.
    """

    def __init__(
        self,
        scene: RoadScene,
        backend: Backend,
        drive: DriveArrays,
        cars: CarArrays,
        pose: wp.array,
        twist: wp.array,
        actors: ActorArrays,
    ) -> None:
        self._scene, self._backend, self._drive, self._cars = scene, backend, drive, cars
        self._pose, self._twist, self._actors = pose, twist, actors
        self._limits = limits_of(scene.spec)
        self._layout = [scene.robots, int(scene.body == "full"), scene.qpos_stride, scene.qvel_stride, self._limits]

    @property
    def _rows(self) -> int:
        return self._backend.worlds * self._scene.robots

    def read(self) -> Launchable:
        """After the physics of each motor period: poses, twists, `CarArrays.motion` and the egos' slots."""
        backend, scene, device = self._backend, self._scene, self._backend.device
        dt = scene.spec.motor_period / SECOND
        inputs = [dt, *self._layout, backend.ctrl, scene.ctrl_stride, backend.qpos, backend.qvel, self._pose,
                  self._twist, self._cars]  # fmt: skip
        return record(read_cars, self._rows, inputs, device)

    def show_egos(self) -> Launchable:
        """The egos' slots among the actors, after `read` or `place`."""
        inputs = [self._scene.robots, self._limits, self._pose, self._twist, self._cars, self._actors]
        return record(show_egos, self._rows, inputs, self._backend.device)

    def place(self, mask: wp.array, speed: wp.array, curvature: wp.array) -> Launchable:
        """Put the masked rows (uint8 (rows,)) at `pose`, rolling: speed (rows,) m/s, curvature (rows,) 1/m."""
        backend, scene = self._backend, self._scene
        inputs = [*self._layout, GRAVITY / stiffness_of(scene.spec), mask, self._pose, speed, curvature, self._twist,
                  self._drive, self._cars, backend.qpos, backend.qvel, backend.qacc_warmstart]  # fmt: skip
        return record(place_cars, self._rows, inputs, backend.device)

    def grip(self, mask: wp.array) -> Launchable:
        """`CarArrays.friction` of the masked rows into the physics; before they are placed."""
        backend, scene, friction = self._backend, self._scene, self._cars.friction
        if scene.body == "kinematic":
            target = backend.data("friction").reshape((self._rows,))
            return record(copy_grip, self._rows, [mask, friction, target], backend.device)
        wheels = wp.array(scene.wheels, dtype=wp.int32, device=backend.device)
        inputs = [scene.robots, wheels, mask, friction, backend.field("geom_friction")]
        return record(write_tyres, self._rows, inputs, backend.device)

    def show_others(self) -> Launchable:
        """The others' boxes, before the physics of each motor period; nothing for the kinematic body."""
        backend, scene = self._backend, self._scene
        if scene.body == "kinematic" or not len(scene.boxes):
            return Nothing()
        boxes = wp.array(scene.boxes, dtype=wp.int32, device=backend.device)
        each = per_thread(len(scene.boxes), backend.device)
        inputs = [scene.robots, boxes, self._actors, backend.mocap_pos, backend.data("mocap_quat"),
                  backend.field("geom_size"), each]  # fmt: skip
        return record(write_actors, (backend.worlds, len(scene.boxes) // each), inputs, backend.device)
