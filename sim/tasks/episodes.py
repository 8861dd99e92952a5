"""What an episode of the navigate task varies: layout, path, start, grants, people, floor, payload, drive.

Everything is a keyed draw (sim/randomization.py) of the row, its episode and the term, so that world i lives the same
life whatever the number of worlds, and nothing but the rows that begin is touched.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

from typing import Any

import warp as wp

from sim.people import PARKED_AT, place_person
from sim.randomization import Term, below, draw_from, stream, unit
from sim.tasks.corridor import centre_of, holds, track_path, write_corridor

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

START_GAP = 2.0
"""Nobody begins nearer to a robot than this, m: room to see each other and to stop from any speed."""

START_GAP_C = wp.constant(START_GAP)
LAYOUT_TERM = wp.constant(int(Term.LAYOUT))
PATH_TERM = wp.constant(int(Term.PATH))
START_TERM = wp.constant(int(Term.START))
LOOKAHEAD_TERM = wp.constant(int(Term.LOOKAHEAD))
STALL_TERM = wp.constant(int(Term.STALL))
FRICTION_TERM = wp.constant(int(Term.FRICTION))
PAYLOAD_TERM = wp.constant(int(Term.PAYLOAD))
LAG_TERM = wp.constant(int(Term.MOTOR_LAG))
LATENCY_TERM = wp.constant(int(Term.LATENCY))
SPEED_TERM = wp.constant(int(Term.PERSON_SPEED))


@wp.kernel
def reset_rows(
    everything: int,
    seed: int,
    robots: int,
    people: int,
    flags: wp.array(dtype=wp.uint8),
    width: int,
    height: int,
    cell: float,
    radius: float,
    mass: float,
    payload_max: float,
    lag_room: float,
    motor_period: float,
    control_period: float,
    level: float,
    friction_low: float,
    friction_high: float,
    thrust: float,
    start_offset: float,
    stall_share: float,
    stall_longest: float,
    person_share: float,
    slowest: float,
    fastest: float,
    qpos_stride: int,
    qvel_stride: int,
    rest_height: float,
    half_track: float,
    wheel_radius: float,
    mask: wp.array(dtype=wp.uint8),
    cells: wp.array2d(dtype=wp.int32),
    lengths: wp.array(dtype=wp.int32),
    first: wp.array(dtype=wp.int32),
    episode: wp.array(dtype=wp.int32),
    step: wp.array(dtype=wp.int32),
    layout: wp.array(dtype=wp.int32),
    path: wp.array(dtype=wp.int32),
    index: wp.array(dtype=wp.int32),
    granted: wp.array(dtype=wp.int32),
    lookahead: wp.array(dtype=wp.int32),
    stall_at: wp.array(dtype=wp.int32),
    stall_left: wp.array(dtype=wp.int32),
    remaining: wp.array(dtype=wp.float32),
    points: wp.array3d(dtype=wp.float32),
    half_width: wp.array2d(dtype=wp.float32),
    count: wp.array(dtype=wp.int32),
    final: wp.array(dtype=wp.uint8),
    limits: wp.array3d(dtype=wp.float32),
    friction: wp.array(dtype=wp.float32),
    payload: wp.array(dtype=wp.float32),
    pose: wp.array2d(dtype=wp.float32),
    twist: wp.array2d(dtype=wp.float32),
    touching: wp.array2d(dtype=wp.uint8),
    released: wp.array2d(dtype=wp.float32),
    before: wp.array2d(dtype=wp.float32),
    latency: wp.array(dtype=wp.int32),
    lag: wp.array(dtype=wp.float32),
    setpoint: wp.array2d(dtype=wp.float32),
    output: wp.array2d(dtype=wp.float32),
    position: wp.array3d(dtype=wp.float32),
    origin: wp.array2d(dtype=wp.int32),
    target: wp.array2d(dtype=wp.int32),
    walked: wp.array2d(dtype=wp.float32),
    person_speed: wp.array2d(dtype=wp.float32),
    pause: wp.array2d(dtype=wp.float32),
    held: wp.array2d(dtype=wp.float32),
    person_count: wp.array2d(dtype=wp.int32),
    life: wp.array2d(dtype=wp.int32),
    qpos: wp.array2d(dtype=Any),
    qvel: wp.array2d(dtype=Any),
    warmstart: wp.array2d(dtype=Any),
) -> None:
    """Begin the next episode of each masked row.

    The layout and the people belong to the world: they are drawn when all its rows begin (`everything` 1, or one robot
    per world); a robot that begins alone among others gets a path in the same layout, away from them.
    """
    world = wp.tid()
    fresh = bool(everything == 1)
    if robots == 1 and mask[world] != wp.uint8(0):
        fresh = True
    if fresh:
        row = world * robots
        key = stream(seed, LAYOUT_TERM, row, episode[row] + 1)
        layout[world] = below(draw_from(key, 0), first.shape[0] - 1)
    for robot in range(robots):
        row = world * robots + robot
        if mask[row] != wp.uint8(0):
            e = episode[row] + 1
            episode[row] = e
            step[row] = 0
            low = first[layout[world]]
            many = first[layout[world] + 1] - low
            key = stream(seed, PATH_TERM, row, e)
            p = low + below(draw_from(key, 0), many)
            if robots > 1:
                chosen = wp.bool(False)
                for attempt in range(64):
                    if not chosen:
                        q = low + below(draw_from(key, attempt), many)
                        p = q
                        chosen = wp.bool(True)
                        at = centre_of(cells[q, 0], width, height, cell)
                        for other in range(robots):
                            o = world * robots + other
                            # rows that begin together are placed in turn: those not placed yet are nowhere
                            if other != robot and (everything == 0 or other < robot):
                                dx = pose[o, 0] - at[0]
                                dy = pose[o, 1] - at[1]
                                if dx * dx + dy * dy < 4.0 * cell * cell:
                                    chosen = wp.bool(False)
                                if holds(cells, path[o], index[o], granted[o], cells[q, 0]):
                                    chosen = wp.bool(False)
            length = lengths[p]
            path[row] = p
            index[row] = 0
            key = stream(seed, LOOKAHEAD_TERM, row, e)
            lookahead[row] = 2 + below(draw_from(key, 0), 5)
            granted[row] = wp.min(1, length - 1)
            if robots > 1 and length > 1:
                for other in range(robots):
                    o = world * robots + other
                    placed = other != robot and (everything == 0 or other < robot)
                    if placed and holds(cells, path[o], index[o], granted[o], cells[p, 1]):
                        granted[row] = 0
            key = stream(seed, STALL_TERM, row, e)
            stall_at[row] = -1
            stall_left[row] = 0
            if unit(draw_from(key, 0)) < stall_share:
                stall_at[row] = below(draw_from(key, 1), length)
                stall_left[row] = int(unit(draw_from(key, 2)) * stall_longest / control_period)
            # the body
            key = stream(seed, START_TERM, row, e)
            at = centre_of(cells[p, 0], width, height, cell)
            x = at[0] + start_offset * (2.0 * unit(draw_from(key, 0)) - 1.0)
            y = at[1] + start_offset * (2.0 * unit(draw_from(key, 1)) - 1.0)
            yaw = wp.pi * (2.0 * unit(draw_from(key, 2)) - 1.0)
            pose[row, 0] = x
            pose[row, 1] = y
            pose[row, 2] = yaw
            q0 = robot * qpos_stride
            u0 = robot * qvel_stride
            qpos[world, q0] = qpos.dtype(x)
            qpos[world, q0 + 1] = qpos.dtype(y)
            if qpos_stride == 3:
                qpos[world, q0 + 2] = qpos.dtype(yaw)
            else:
                qpos[world, q0 + 2] = qpos.dtype(rest_height)
                qpos[world, q0 + 3] = qpos.dtype(wp.cos(0.5 * yaw))
                qpos[world, q0 + 4] = qpos.dtype(0.0)
                qpos[world, q0 + 5] = qpos.dtype(0.0)
                qpos[world, q0 + 6] = qpos.dtype(wp.sin(0.5 * yaw))
                qpos[world, q0 + 7] = qpos.dtype(0.0)
                qpos[world, q0 + 8] = qpos.dtype(0.0)
            for k in range(qvel_stride):
                qvel[world, u0 + k] = qvel.dtype(0.0)
                warmstart[world, u0 + k] = warmstart.dtype(0.0)
            for k in range(3):
                twist[row, k] = 0.0
            for k in range(2):
                released[row, k] = 0.0
                before[row, k] = 0.0
                setpoint[row, k] = 0.0
                output[row, k] = 0.0
            for k in range(touching.shape[1]):
                touching[row, k] = wp.uint8(0)
            # what the drive and the floor are like
            load = level * payload_max * unit(draw_from(stream(seed, PAYLOAD_TERM, row, e), 0))
            rub = friction_low + (friction_high - friction_low) * unit(
                draw_from(stream(seed, FRICTION_TERM, row, e), 0)
            )
            payload[row] = load
            friction[row] = rub
            pull = mass * wp.min(rub * 9.81, thrust / (mass + load))
            slip = mass * rub * 9.81
            for k in range(limits.shape[1]):
                limit = pull
                if limits.shape[1] == 2:
                    limit = pull * 0.5 * wheel_radius  # the torque at which a wheel under half the weight slips
                elif k == 1:
                    limit = slip
                elif k == 2:
                    limit = slip * half_track
                limits[row, k, 0] = -limit
                limits[row, k, 1] = limit
            # latency in whole substeps; the motor lag gets what the specification's bound leaves
            late = wp.int32(0)
            if level > 0.0:
                late = below(draw_from(stream(seed, LATENCY_TERM, row, e), 0), int(lag_room / motor_period) + 1)
            latency[row] = late
            room = wp.max(lag_room - float(late) * motor_period, 0.0)
            empty = room * mass / (mass + payload_max)
            lag[row] = level * empty * unit(draw_from(stream(seed, LAG_TERM, row, e), 0)) * (mass + load) / mass
            track = track_path(cells, p, length, 0, granted[row], width, height, cell, x, y)
            remaining[row] = track[0]
            write_corridor(
                row,
                cells,
                p,
                length,
                0,
                granted[row],
                width,
                height,
                cell,
                radius,
                x,
                y,
                points,
                half_width,
                count,
                final,
            )
    if fresh:
        row = world * robots
        e = episode[row]
        for person in range(people):
            life[world, person] = e
            key = stream(seed, SPEED_TERM, row, e * 64 + person)
            origin[world, person] = -1
            if unit(draw_from(key, 0)) < person_share:
                # an anchor on a robot's path, beyond its start where there is a beyond
                r = world * robots + below(draw_from(key, 1), robots)
                p = path[r]
                length = lengths[p]
                spot = wp.min(2 + below(draw_from(key, 2), length), length - 1)
                found = place_person(flags, width, height, seed, row, e, person, cells[p, spot], 10)
                if found >= 0:
                    at = centre_of(found, width, height, cell)
                    near = wp.bool(False)
                    for robot in range(robots):
                        dx = pose[world * robots + robot, 0] - at[0]
                        dy = pose[world * robots + robot, 1] - at[1]
                        if dx * dx + dy * dy < START_GAP_C * START_GAP_C:
                            near = True
                    if not near:
                        origin[world, person] = found
                        target[world, person] = found
                        position[world, person, 0] = at[0]
                        position[world, person, 1] = at[1]
            if origin[world, person] < 0:
                position[world, person, 0] = PARKED_AT
                position[world, person, 1] = PARKED_AT
            walked[world, person] = 0.0
            held[world, person] = 0.0
            person_count[world, person] = 0
            person_speed[world, person] = slowest + (fastest - slowest) * unit(draw_from(key, 3))
            pause[world, person] = 1.5 * unit(draw_from(key, 4))
