"""What a car takes for its own place and motion, and what its lane camera is wrong by, in one control step.

The filter is that of sim/driving/sensing.py, in the coordinates of its own error: what it does to the error of the
place is linear, so that the place is the truth and that error, and no rounding adds up over an hour. Offsets circle
slowly between their largest values (phases drawn for the episode), noise is drawn for each step.

Checked without the truth, as a car can: fixes against the place and its bound, the lane camera against the place on
the map. While a check fails, or the bound is too wide, the age grows and the estimates stay the best that there are.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp

from sim.driving.path import LaneErrors
from sim.driving.sensestate import (
    CURVATURE_NOISE,
    FIX_BIAS,
    FIX_NOISE,
    GHOST,
    GNSS_JUMP,
    GNSS_LOST,
    HEADING,
    HEADING_NOISE,
    LANE_BIAS,
    LANE_CURVATURE,
    LANE_CURVATURE_NOISE,
    LANE_HEADING,
    LANE_HEADING_NOISE,
    LANE_LOST,
    LANE_OFFSET,
    LANE_OFFSET_NOISE,
    ODOMETER_NOISE,
    ODOMETRY_SCALE,
    OUTAGE,
    OWN_ACCEL_NOISE,
    SCALE,
    TURN_NOISE,
    Own,
    SenseNumbers,
    drawn_value,
    fault_is,
    fault_size,
)
from sim.driving.state import View
from sim.randomization import Term, bell, draw_from, stream, unit

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

OWN_TERM = wp.constant(int(Term.OWN_PLACE))
PHASES = wp.constant(16)
"""First counter of the steps' draws; those before are the episode's."""
STEP_DRAWS = wp.constant(16)
"""Draws that a step has room for."""
STANDING = wp.constant(0.5)
"""m/s; below, the noise of the speed shrinks with it: wheels that stand read 0."""


@wp.func
def circling(key: wp.uint64, k: int, rate: float, time: float) -> float:
    """A slow oscillation between -1 and 1, the k-th of the episode."""
    return wp.cos(2.0 * wp.pi * unit(draw_from(key, k)) + rate * time)


@wp.func
def under_bridge(numbers: SenseNumbers, key: wp.uint64, row: int, time: float) -> bool:
    """Whether there is an outage: one at most in each stretch of time, and as long again before the next."""
    stretch = int(time / numbers.outage_every)
    if unit(draw_from(key, -1 - 2 * stretch)) >= drawn_value(numbers, row, OUTAGE):
        return False
    room = numbers.outage_every - 2.0 * numbers.outage_time
    since = time - float(stretch) * numbers.outage_every - room * unit(draw_from(key, -2 - 2 * stretch))
    return since >= 0.0 and since < numbers.outage_time


@wp.func
def sense_own(
    numbers: SenseNumbers,
    row: int,
    episode: int,
    step: int,
    pose: wp.array2d(dtype=wp.float32),
    motion: wp.array2d(dtype=wp.float32),
    own: Own,
    errors: LaneErrors,
    view: View,
) -> None:
    """Pose, motion and age of a row's view, and its lane camera's errors."""
    time = numbers.dt * float(step)
    key = stream(numbers.seed, OWN_TERM, row, episode)
    base = PHASES + STEP_DRAWS * step
    faulty = wp.int32(0)
    for fault in range(numbers.breakable):
        if fault_is(numbers, row, fault, time):
            faulty = faulty | (1 << fault)
    own.faulty[row] = faulty
    v = motion[row, 0]
    yaw = pose[row, 2]
    c = wp.cos(yaw)
    s = wp.sin(yaw)

    moving = wp.min(wp.abs(v) / STANDING, 1.0)
    scale = drawn_value(numbers, row, SCALE) * circling(key, 0, numbers.odometer_drift, time)
    if (faulty & (1 << ODOMETRY_SCALE)) != 0:
        scale += fault_size(numbers, row, ODOMETRY_SCALE)
    faster = scale * v + moving * drawn_value(numbers, row, ODOMETER_NOISE) * bell(draw_from(key, base))
    turned = drawn_value(numbers, row, HEADING) * circling(key, 1, numbers.odometer_drift, time)
    turned += drawn_value(numbers, row, HEADING_NOISE) * bell(draw_from(key, base + 1))

    angle = 2.0 * wp.pi * unit(draw_from(key, 2)) + numbers.fix_drift * time
    bias = drawn_value(numbers, row, FIX_BIAS)
    noise = drawn_value(numbers, row, FIX_NOISE)
    fix = wp.vec2(
        bias * wp.cos(angle) + noise * bell(draw_from(key, base + 2)),
        bias * wp.sin(angle) + noise * bell(draw_from(key, base + 3)),
    )
    error = wp.vec2(own.error[row, 0], own.error[row, 1])
    radius = own.radius[row]
    again = own.looked[row] == step
    if own.looked[row] < 0:
        error = fix
        radius = numbers.settled
        own.refused[row] = wp.uint8(0)
        own.unwell[row] = 0.0
    elif not again:
        error += numbers.dt * (faster * wp.vec2(c, s) + turned * v * wp.vec2(-s, c))
        fast = wp.abs(v + faster)
        along = numbers.scale_bound * fast + numbers.noise_bound
        across = numbers.heading_bound * fast
        radius += numbers.dt * wp.sqrt(along * along + across * across) * 1.01  # what `fast` itself may be off by
        lost = (faulty & (1 << GNSS_LOST)) != 0 or under_bridge(numbers, key, row, time)
        if step % numbers.fix_steps == 0 and not lost:
            if (faulty & (1 << GNSS_JUMP)) != 0:
                away = 2.0 * wp.pi * unit(draw_from(key, 3))
                fix += fault_size(numbers, row, GNSS_JUMP) * wp.vec2(wp.cos(away), wp.sin(away))
            if wp.length(fix - error) <= radius + numbers.fix_bound:
                error = (1.0 - numbers.gain) * error + numbers.gain * fix
                radius = (1.0 - numbers.gain) * radius + numbers.gain * numbers.fix_bound
                own.refused[row] = wp.uint8(0)
            else:
                own.refused[row] = wp.uint8(1)
    own.error[row, 0] = error[0]
    own.error[row, 1] = error[1]
    own.radius[row] = radius

    across = c * error[1] - s * error[0]
    offset = drawn_value(numbers, row, LANE_OFFSET) * circling(key, 4, numbers.lane_drift, time)
    offset += drawn_value(numbers, row, LANE_OFFSET_NOISE) * bell(draw_from(key, base + 4))
    heading = drawn_value(numbers, row, LANE_HEADING) * circling(key, 5, numbers.lane_drift, time)
    heading += drawn_value(numbers, row, LANE_HEADING_NOISE) * bell(draw_from(key, base + 5))
    bend = drawn_value(numbers, row, LANE_CURVATURE) * circling(key, 6, numbers.lane_drift, time)
    bend += drawn_value(numbers, row, LANE_CURVATURE_NOISE) * bell(draw_from(key, base + 6))
    if (faulty & (1 << LANE_BIAS)) != 0:
        offset += fault_size(numbers, row, LANE_BIAS)
    blind = (faulty & (1 << LANE_LOST)) != 0
    if blind:  # what is left is the place on the map
        offset = -across
        heading = -turned
        bend = wp.float32(0.0)
    errors.offset[row] = offset
    errors.heading[row] = heading
    errors.curvature[row] = bend

    agrees = wp.abs(offset + across) <= radius + numbers.offset_bound
    well = radius <= numbers.localisation_bound and own.refused[row] == wp.uint8(0) and agrees and not blind
    if well:
        own.unwell[row] = 0.0
    elif not again:
        own.unwell[row] = own.unwell[row] + numbers.dt
    own.looked[row] = step
    if (faulty & (1 << GHOST)) == 0:
        own.ghost_lane[row] = -1

    view.age[row] = own.unwell[row]
    view.pose[row, 0] = pose[row, 0] + error[0]
    view.pose[row, 1] = pose[row, 1] + error[1]
    view.pose[row, 2] = yaw + turned
    view.motion[row, 0] = v + faster
    view.motion[row, 1] = motion[row, 1] + drawn_value(numbers, row, OWN_ACCEL_NOISE) * bell(draw_from(key, base + 7))
    view.motion[row, 2] = motion[row, 2] + drawn_value(numbers, row, CURVATURE_NOISE) * bell(draw_from(key, base + 8))
    view.motion[row, 3] = motion[row, 3] + drawn_value(numbers, row, TURN_NOISE) * bell(draw_from(key, base + 9))
