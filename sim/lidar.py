"""The lidar of every simulated world: one sweep of each robot's rays, with its noise and dropout.

The map comes first, ray by ray (sim/rays.py). People (discs), other robots, forklifts and loads (oriented boxes) are
then swept: each covers a span of angles, and only the rays inside it are tested.

Rows are robots: row = world * robots + robot. All arrays are float32.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp

from sim.people import PERSON_RADIUS
from sim.randomization import Term, bell, draw_from, stream, unit
from sim.rays import box_range, sight_range
from sim.sensors import SensorErrors

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

DISC = wp.constant(float(PERSON_RADIUS))
NOISE_TERM = wp.constant(int(Term.RANGE_NOISE))


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
