"""Warp kernels that every simulated world shares: the lidar, and reading the bodies' poses.

The lidar. A ray is followed through the floor's grid of cells (Amanatides and Woo: A fast voxel traversal algorithm,
Eurographics 1987), because racks, walls and shut doors fill whole cells: a ray of an aisle visits a handful of cells,
whatever the size of the floor, and no list of boxes is searched. A pod is a box about the middle of its cell. People
(discs), other robots and forklifts (oriented boxes) are then swept: each covers a span of angles, and only the rays
inside it are tested. Beyond the edge of the floor stands the outer wall.

Rows are robots: row = world * robots + robot. All arrays are float32 but for the physics state, whose type is the
backend's (`Any`: mujoco.batch's strided float64 views and mujoco_warp's float32 arrays are read as they are).
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import warp as wp
from numpy.typing import NDArray

from sim.people import PERSON_RADIUS
from sim.randomization import Term, bell, draw_from, stream, unit
from sim.sensors import SensorErrors
from sim.site import Site

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

BLOCKED_BIT = 1
"""Cell flag: a rack, a wall or a shut door fills the cell."""

PERSON_FREE_BIT = 2
"""Cell flag: people never enter, by the site's declaration."""

POD_BIT = 4
"""Cell flag: a pod stands about the middle of the cell."""

DISC = wp.constant(float(PERSON_RADIUS))
NOISE_TERM = wp.constant(int(Term.RANGE_NOISE))


@dataclass(frozen=True)
class FloorArrays:
    """A site's grid on a device."""

    flags: wp.array
    """uint8 (cells,): BLOCKED_BIT, PERSON_FREE_BIT, POD_BIT."""
    width: int
    height: int
    cell: float
    """m"""
    pod: wp.vec2
    """Half the length and half the width of a pod, m."""


def floor_flags(site: Site) -> NDArray[np.uint8]:
    """The flags of each cell when a run begins, automatic doors shut; uint8 (cells,)."""
    pods = np.zeros_like(site.blocked)
    pods.reshape(-1)[list(site.fixtures.pods)] = True
    flags = (site.filled & ~pods) * np.uint8(BLOCKED_BIT) | site.person_free * np.uint8(PERSON_FREE_BIT)
    return (flags | pods * np.uint8(POD_BIT)).reshape(-1)


def floor_arrays(site: Site, device: str) -> FloorArrays:
    """The site's grid as Warp arrays."""
    return FloorArrays(
        flags=wp.array(floor_flags(site), dtype=wp.uint8, device=device),
        width=site.width,
        height=site.height,
        cell=float(site.cell),
        pod=wp.vec2(site.fixtures.pod_size[0] / 2, site.fixtures.pod_size[1] / 2),
    )


@wp.func
def box_range(x: float, y: float, dx: float, dy: float, half_length: float, half_width: float) -> float:
    """Distance along a ray to a box centred at 0 in the box's own frame; 1e9 for a miss (slab method)."""
    enter = wp.float32(0.0)
    leave = wp.float32(1.0e9)
    if wp.abs(dx) < 1.0e-9:
        if wp.abs(x) > half_length:
            leave = -1.0
    else:
        a = (-half_length - x) / dx
        b = (half_length - x) / dx
        enter = wp.max(enter, wp.min(a, b))
        leave = wp.min(leave, wp.max(a, b))
    if wp.abs(dy) < 1.0e-9:
        if wp.abs(y) > half_width:
            leave = -1.0
    else:
        a = (-half_width - y) / dy
        b = (half_width - y) / dy
        enter = wp.max(enter, wp.min(a, b))
        leave = wp.min(leave, wp.max(a, b))
    if enter > leave:
        return 1.0e9
    return enter


@wp.func
def sight_range(
    flags: wp.array(dtype=wp.uint8),
    width: int,
    height: int,
    cell: float,
    pod: wp.vec2,
    x: float,
    y: float,
    dx: float,
    dy: float,
    range_max: float,
) -> float:
    """Distance from (x, y) along the unit vector (dx, dy) to the first blocked cell, pod or edge of the floor, m."""
    column = int(wp.floor(x / cell))
    up = int(wp.floor(y / cell))  # row counted from the bottom
    step_x = wp.int32(1)
    step_y = wp.int32(1)
    delta_x = wp.float32(1.0e9)
    delta_y = wp.float32(1.0e9)
    next_x = wp.float32(1.0e9)
    next_y = wp.float32(1.0e9)
    if dx > 1.0e-9:
        delta_x = cell / dx
        next_x = (float(column + 1) * cell - x) / dx
    elif dx < -1.0e-9:
        step_x = -1
        delta_x = -cell / dx
        next_x = (float(column) * cell - x) / dx
    if dy > 1.0e-9:
        delta_y = cell / dy
        next_y = (float(up + 1) * cell - y) / dy
    elif dy < -1.0e-9:
        step_y = -1
        delta_y = -cell / dy
        next_y = (float(up) * cell - y) / dy
    at = wp.float32(0.0)
    while at < range_max:
        if next_x < next_y:
            at = next_x
            next_x += delta_x
            column += step_x
        else:
            at = next_y
            next_y += delta_y
            up += step_y
        if column < 0 or column >= width or up < 0 or up >= height:
            break
        flag = flags[(height - 1 - up) * width + column]
        if (flag & wp.uint8(1)) != wp.uint8(0):
            break
        if (flag & wp.uint8(4)) != wp.uint8(0):
            hit = box_range(x - (float(column) + 0.5) * cell, y - (float(up) + 0.5) * cell, dx, dy, pod[0], pod[1])
            if hit < 1.0e8:
                at = hit
                break
    return wp.min(at, range_max)


@wp.func
def grid_range(
    flags: wp.array(dtype=wp.uint8),
    width: int,
    height: int,
    cell: float,
    x: float,
    y: float,
    dx: float,
    dy: float,
    range_max: float,
) -> float:
    """`sight_range` for who takes a pod to fill its cell."""
    return sight_range(flags, width, height, cell, wp.vec2(0.5 * cell, 0.5 * cell), x, y, dx, dy, range_max)


@wp.struct
class Boxes:
    """Boxes that stand and move among robots: forklifts, and loads."""

    pose: wp.array3d(dtype=wp.float32)
    """x, y, yaw of their middles in W, (worlds, boxes, 3)."""
    half_length: float
    half_width: float
    things: wp.array3d(dtype=wp.float32)
    """Loads, each of its own size, (worlds, things, THING)."""


THING = 6
"""Numbers of a load: x, y (m), yaw in W, half length, half width (m), the robot that carries it or -1."""


def make_boxes(pose: wp.array, length: float, width: float, things: wp.array | None = None) -> Boxes:
    """Forklifts of one size, `length` x `width` m, wherever `pose` says, and loads."""
    boxes = Boxes()
    boxes.pose, boxes.half_length, boxes.half_width = pose, length / 2, width / 2
    if things is None:
        things = wp.zeros((pose.shape[0], 0, THING), dtype=wp.float32, device=pose.device)
    boxes.things = things
    return boxes


@wp.func
def sweep_box(
    row: int,
    x: float,
    y: float,
    yaw: float,
    box_x: float,
    box_y: float,
    box_yaw: float,
    half_length: float,
    half_width: float,
    range_max: float,
    directions: wp.array(dtype=wp.vec2),
    scan: wp.array2d(dtype=wp.float32),
) -> None:
    """Shorten the rays of one row, whose lidar is at (x, y, yaw), that hit a box."""
    rays = directions.shape[0]
    per_radian = float(rays) / (2.0 * wp.pi)
    c = wp.cos(yaw)
    s = wp.sin(yaw)
    ex = box_x - x
    ey = box_y - y
    bx = c * ex + s * ey
    by = c * ey - s * ex
    square = bx * bx + by * by
    radius = wp.sqrt(half_length * half_length + half_width * half_width)
    reach = range_max + radius
    if square < reach * reach:
        turn = box_yaw - yaw
        ct = wp.cos(turn)
        st = wp.sin(turn)
        # this lidar in the box's frame
        ox = -(ct * bx + st * by)
        oy = st * bx - ct * by
        first = wp.int32(0)
        last = rays - 1
        if wp.abs(ox) > half_length or wp.abs(oy) > half_width:
            # span of the four corners' angles about the direction of the centre
            centre = wp.atan2(by, bx)
            cc = wp.cos(centre)
            sc = wp.sin(centre)
            low = wp.float32(0.0)
            high = wp.float32(0.0)
            for corner in range(4):
                px = half_length * float(1 - 2 * (corner & 1))
                py = half_width * float(1 - (corner & 2))
                qx = bx + ct * px - st * py
                qy = by + st * px + ct * py
                angle = wp.atan2(cc * qy - sc * qx, cc * qx + sc * qy)
                low = wp.min(low, angle)
                high = wp.max(high, angle)
            first = int(wp.ceil((centre + wp.pi + low) * per_radian))
            last = int(wp.floor((centre + wp.pi + high) * per_radian))
        for k in range(first, last + 1):
            ray = (k + rays) % rays
            d = directions[ray]
            hit = box_range(ox, oy, ct * d[0] + st * d[1], ct * d[1] - st * d[0], half_length, half_width)
            if hit < scan[row, ray]:
                scan[row, ray] = hit


@wp.kernel
def sweep_lidar(
    pose: wp.array2d(dtype=wp.float32),
    directions: wp.array(dtype=wp.vec2),
    flags: wp.array(dtype=wp.uint8),
    width: int,
    height: int,
    cell: float,
    pod: wp.vec2,
    people: wp.array3d(dtype=wp.float32),
    boxes: Boxes,
    robots: int,
    half_length: float,
    half_width: float,
    range_max: float,
    errors: SensorErrors,
    seed: int,
    episode: wp.array(dtype=wp.int32),
    step: wp.array(dtype=wp.int32),
    mask: wp.array(dtype=wp.uint8),
    scan: wp.array2d(dtype=wp.float32),
) -> None:
    """One sweep of each masked row's lidar. pose (rows, 3), people (worlds, people, 2), scan (rows, rays), m."""
    row = wp.tid()
    if mask[row] == wp.uint8(0):
        return
    rays = directions.shape[0]
    world = row / robots
    x = pose[row, 0]
    y = pose[row, 1]
    yaw = pose[row, 2]
    c = wp.cos(yaw)
    s = wp.sin(yaw)
    for ray in range(rays):
        d = directions[ray]
        scan[row, ray] = sight_range(
            flags, width, height, cell, pod, x, y, c * d[0] - s * d[1], s * d[0] + c * d[1], range_max
        )

    per_radian = float(rays) / (2.0 * wp.pi)
    for person in range(people.shape[1]):
        # the centre of the disc in B
        ex = people[world, person, 0] - x
        ey = people[world, person, 1] - y
        bx = c * ex + s * ey
        by = c * ey - s * ex
        square = bx * bx + by * by
        reach = range_max + DISC
        if square < reach * reach:
            distance = wp.sqrt(square)
            first = wp.int32(0)
            last = rays - 1
            if distance > DISC:
                half = wp.asin(DISC / distance)
                centre = wp.atan2(by, bx) + wp.pi
                first = int(wp.ceil((centre - half) * per_radian))
                last = int(wp.floor((centre + half) * per_radian))
            for k in range(first, last + 1):
                ray = (k + rays) % rays
                d = directions[ray]
                along = bx * d[0] + by * d[1]
                inside = along * along - square + DISC * DISC
                if inside >= 0.0:
                    hit = wp.max(along - wp.sqrt(inside), 0.0)
                    if along + wp.sqrt(inside) > 0.0 and hit < scan[row, ray]:
                        scan[row, ray] = hit

    for other in range(robots):
        number = world * robots + other
        if number != row:
            sweep_box(row, x, y, yaw, pose[number, 0], pose[number, 1], pose[number, 2], half_length, half_width,
                      range_max, directions, scan)  # fmt: skip
    for other in range(boxes.pose.shape[1]):
        sweep_box(row, x, y, yaw, boxes.pose[world, other, 0], boxes.pose[world, other, 1], boxes.pose[world, other, 2],
                  boxes.half_length, boxes.half_width, range_max, directions, scan)  # fmt: skip
    for thing in range(boxes.things.shape[1]):
        if int(boxes.things[world, thing, 5]) != row % robots:  # a robot does not see what it carries
            sweep_box(row, x, y, yaw, boxes.things[world, thing, 0], boxes.things[world, thing, 1],
                      boxes.things[world, thing, 2], boxes.things[world, thing, 3], boxes.things[world, thing, 4],
                      range_max, directions, scan)  # fmt: skip

    noise = errors.values[row, errors.lidar_noise]
    dropout = errors.values[row, errors.lidar_dropout]
    if noise > 0.0 or dropout > 0.0:
        noises = stream(seed, NOISE_TERM, row, episode[row])
        base = step[row] * rays
        for ray in range(rays):
            bits = draw_from(noises, base + ray)
            value = scan[row, ray]
            if value < range_max:
                value = wp.clamp(value + noise * bell(bits), 0.0, range_max)
            # The bell leaves two bits; dropout has its own finaliser on the same bits.
            if unit((bits ^ (bits >> wp.uint32(15))) * wp.uint32(747796405)) < dropout:
                value = range_max
            scan[row, ray] = value


@wp.func
def read_body(
    row: int,
    qpos: wp.array2d(dtype=Any),
    qvel: wp.array2d(dtype=Any),
    robots: int,
    qpos_stride: int,
    qvel_stride: int,
    pose: wp.array2d(dtype=wp.float32),
    twist: wp.array2d(dtype=wp.float32),
) -> None:
    """True p_WB and v_B of one row."""
    world = row / robots
    robot = row % robots
    q = robot * qpos_stride
    u = robot * qvel_stride
    yaw = wp.float32(0.0)
    rate = wp.float32(0.0)
    if qpos_stride == qvel_stride:  # no quaternion: the planar base
        yaw = float(qpos[world, q + 2])
        rate = float(qvel[world, u + 2])
        # The hinge counts turns; kernels take the angle in (-pi, pi].
        yaw = yaw - 2.0 * wp.pi * wp.floor((yaw + wp.pi) / (2.0 * wp.pi))
    else:
        w = float(qpos[world, q + 3])
        i = float(qpos[world, q + 4])
        j = float(qpos[world, q + 5])
        k = float(qpos[world, q + 6])
        yaw = wp.atan2(2.0 * (w * k + i * j), 1.0 - 2.0 * (j * j + k * k))
        rate = float(qvel[world, u + 5])  # angular velocity of a free joint is in B
    vx = float(qvel[world, u])
    vy = float(qvel[world, u + 1])
    c = wp.cos(yaw)
    s = wp.sin(yaw)
    pose[row, 0] = float(qpos[world, q])
    pose[row, 1] = float(qpos[world, q + 1])
    pose[row, 2] = yaw
    twist[row, 0] = c * vx + s * vy
    twist[row, 1] = rate
    twist[row, 2] = c * vy - s * vx


@wp.func
def count_contact(
    row: int,
    sensordata: wp.array2d(dtype=Any),
    robots: int,
    contacts: wp.array2d(dtype=wp.int32),
    threshold: float,
    twist: wp.array2d(dtype=wp.float32),
    touching: wp.array2d(dtype=wp.uint8),
    collided: wp.array(dtype=wp.uint8),
    bumped: wp.array(dtype=wp.uint8),
) -> None:
    """Collisions and bumps of one row that began in the state that `twist` and the sensors describe."""
    world = row / robots
    robot = row % robots
    for k in range(contacts.shape[1]):
        found = float(sensordata[world, contacts[robot, k]]) > 0.0
        if found != (touching[row, k] != wp.uint8(0)):
            touching[row, k] = wp.uint8(0)
            if found:
                touching[row, k] = wp.uint8(1)
                v = wp.sqrt(twist[row, 0] * twist[row, 0] + twist[row, 2] * twist[row, 2])
                if v > threshold or wp.abs(twist[row, 1]) > threshold:
                    collided[row] = wp.uint8(1)
                else:
                    bumped[row] = wp.uint8(1)


@wp.kernel
def read_bodies(
    qpos: wp.array2d(dtype=Any),
    qvel: wp.array2d(dtype=Any),
    robots: int,
    qpos_stride: int,
    qvel_stride: int,
    pose: wp.array2d(dtype=wp.float32),
    twist: wp.array2d(dtype=wp.float32),
) -> None:
    """True p_WB (rows, 3) and v_B: forward, yaw rate and sideways speed (rows, 3), from either body's coordinates."""
    read_body(wp.tid(), qpos, qvel, robots, qpos_stride, qvel_stride, pose, twist)


@wp.kernel
def count_contacts(
    sensordata: wp.array2d(dtype=Any),
    robots: int,
    contacts: wp.array2d(dtype=wp.int32),
    threshold: float,
    twist: wp.array2d(dtype=wp.float32),
    touching: wp.array2d(dtype=wp.uint8),
    collided: wp.array(dtype=wp.uint8),
    bumped: wp.array(dtype=wp.uint8),
) -> None:
    """After a substep: collisions and bumps that began in the state before it, which sensors and `twist` both describe.

    `contacts` (robots, counterparts) says where in `sensordata` (worlds, sensors) each robot's counterparts lie, and
    `touching` (rows, counterparts) which of them touched it before: every pair is a contact of its own, so that one
    that begins while another lasts is not missed. One that began while the robot moved faster than `threshold` (m/s
    or rad/s) is a collision, one that began at rest a bump. One that lasts counts once. `collided` and `bumped` (rows)
    collect.
    """
    count_contact(wp.tid(), sensordata, robots, contacts, threshold, twist, touching, collided, bumped)


@wp.kernel
def after_substep(
    sensordata: wp.array2d(dtype=Any),
    qpos: wp.array2d(dtype=Any),
    qvel: wp.array2d(dtype=Any),
    robots: int,
    qpos_stride: int,
    qvel_stride: int,
    contacts: wp.array2d(dtype=wp.int32),
    threshold: float,
    pose: wp.array2d(dtype=wp.float32),
    twist: wp.array2d(dtype=wp.float32),
    touching: wp.array2d(dtype=wp.uint8),
    collided: wp.array(dtype=wp.uint8),
    bumped: wp.array(dtype=wp.uint8),
) -> None:
    """`count_contacts`, then `read_bodies`, in one launch: the order matters, because both use `twist`."""
    row = wp.tid()
    count_contact(row, sensordata, robots, contacts, threshold, twist, touching, collided, bumped)
    read_body(row, qpos, qvel, robots, qpos_stride, qvel_stride, pose, twist)
