"""Loose boxes on the floor: put where a task spills them, asleep until something touches them.

The physics of a box is `sim/bodies/box.py`'s. The C engine wakes one whose coordinates are written, mujoco_warp must be
told; both put it to sleep again when it lies still. Boxes that nobody uses are parked beside the floor.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false, reportAssignmentType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from typing import Any

import mujoco
import warp as wp

from sim.backend import Backend
from sim.bodies.box import BOX_SIZE
from sim.launches import Launchable, record
from sim.people import PARKED
from sim.rows import stand_upright
from sim.scene import Scene

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

AWAKE_C = wp.constant(-(1 + int(mujoco.mjMINAWAKE)))
"""`tree_asleep` of a body that has not lain still for a single step."""

PARKED_C = wp.constant(float(PARKED))
HALF_HEIGHT_C = wp.constant(BOX_SIZE[2] / 2.0)


def spill(scene: Scene, backend: Backend, worlds: wp.array, places: wp.array, count: wp.array) -> Launchable:
    """The launch that lays boxes out in the masked worlds (uint8), at rest.

    `places` is float32 (worlds, boxes, 3): x, y (m) and yaw in W; `count` int32 (worlds,) says how many of them hold,
    the other boxes are parked.
    """
    inputs = [worlds, places, count, *_layout(scene, backend)]
    return record(place_boxes, dim=(backend.worlds, scene.boxes), inputs=inputs, device=backend.device)


def clear(scene: Scene, backend: Backend, rows: wp.array, begins: wp.array, pose: wp.array, reach: float) -> Launchable:
    """The launch that parks what lies within `reach` (m) of a masked row's pose, in worlds that do not begin whole."""
    inputs = [scene.robots, rows, begins, pose, reach, *_layout(scene, backend)]
    return record(clear_boxes, dim=(backend.worlds, scene.boxes), inputs=inputs, device=backend.device)


def _layout(scene: Scene, backend: Backend) -> list[Any]:  # numbers and arrays, as kernels take them
    pods = scene.pods * (7 if scene.falls else 3)
    none = wp.zeros((0, 0), dtype=wp.int32, device=backend.device)
    return [
        int(scene.falls), scene.robots * scene.qpos_stride + pods,
        scene.robots * scene.qvel_stride + scene.pods * (6 if scene.falls else 3), backend.qpos, backend.qvel,
        backend.qacc_warmstart, backend.memory.get("tree_asleep", none),
    ]  # fmt: skip


@wp.func
def put_box(
    world: int,
    box: int,
    x: float,
    y: float,
    yaw: float,
    falls: int,
    first_qpos: int,
    first_qvel: int,
    qpos: wp.array2d(dtype=Any),
    qvel: wp.array2d(dtype=Any),
    warmstart: wp.array2d(dtype=Any),
) -> None:
    """A box at rest."""
    speeds = 3 + 3 * falls
    q = first_qpos + box * (3 + 4 * falls)
    if falls == 0:
        qpos[world, q] = qpos.dtype(x)
        qpos[world, q + 1] = qpos.dtype(y)
        qpos[world, q + 2] = qpos.dtype(yaw)
    else:
        stand_upright(world, q, x, y, HALF_HEIGHT_C, yaw, qpos)
    for k in range(speeds):
        qvel[world, first_qvel + box * speeds + k] = qvel.dtype(0.0)
        warmstart[world, first_qvel + box * speeds + k] = warmstart.dtype(0.0)


@wp.kernel
def place_boxes(
    mask: wp.array(dtype=wp.uint8),
    places: wp.array3d(dtype=wp.float32),
    count: wp.array(dtype=wp.int32),
    falls: int,
    first_qpos: int,
    first_qvel: int,
    qpos: wp.array2d(dtype=Any),
    qvel: wp.array2d(dtype=Any),
    warmstart: wp.array2d(dtype=Any),
    asleep: wp.array2d(dtype=wp.int32),
) -> None:
    """Each box of each masked world where its place says."""
    world, box = wp.tid()
    if mask[world] == wp.uint8(0):
        return
    if box == 0 and asleep.shape[0] > 0:
        for tree in range(asleep.shape[1]):  # all, because those that fell asleep together wake together
            asleep[world, tree] = AWAKE_C
    x = places[world, box, 0]
    y = places[world, box, 1]
    yaw = places[world, box, 2]
    if box >= count[world]:
        x = PARKED_C
        y = PARKED_C + 2.0 * float(box)
        yaw = 0.0
    put_box(world, box, x, y, yaw, falls, first_qpos, first_qvel, qpos, qvel, warmstart)


@wp.kernel
def clear_boxes(
    robots: int,
    mask: wp.array(dtype=wp.uint8),
    begins: wp.array(dtype=wp.uint8),
    pose: wp.array2d(dtype=wp.float32),
    reach: float,
    falls: int,
    first_qpos: int,
    first_qvel: int,
    qpos: wp.array2d(dtype=Any),
    qvel: wp.array2d(dtype=Any),
    warmstart: wp.array2d(dtype=Any),
    asleep: wp.array2d(dtype=wp.int32),
) -> None:
    """Park each box that lies where a masked row begins while others go on."""
    world, box = wp.tid()
    if begins[world] != wp.uint8(0):
        return
    q = first_qpos + box * (3 + 4 * falls)
    hit = wp.bool(False)
    for robot in range(robots):
        row = world * robots + robot
        if mask[row] != wp.uint8(0):
            away = wp.vec2(float(qpos[world, q]) - pose[row, 0], float(qpos[world, q + 1]) - pose[row, 1])
            hit = hit or wp.length(away) < reach
    if hit:
        y = PARKED_C + 2.0 * float(box)
        put_box(world, box, PARKED_C, y, 0.0, falls, first_qpos, first_qvel, qpos, qvel, warmstart)
        for tree in range(asleep.shape[1]):
            asleep[world, tree] = AWAKE_C
