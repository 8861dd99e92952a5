"""What a car's senses are made of, as arrays: numbers, faults, localisation's memory, lists under way, tracks."""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportInvalidTypeForm=false, reportReturnType=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import math

import warp as wp

from sim.driving.sensing import (
    CLIP,
    FAULTS,
    GAIN,
    RoadSensors,
    bounds,
    fix_bound,
    fix_steps,
    settled_radius,
    steps_late,
)
from sim.driving.sensingrows import NOISES, row_name
from sim.driving.state import ObjectColumn
from sim.robot import SECOND, RobotSpec
from sim.vary import Table

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

COLUMNS = len(ObjectColumn)

(LIST_FROZEN, LIST_LOST, LIST_STALE, GHOST, LANE_LOST, LANE_BIAS, GNSS_LOST, GNSS_JUMP, ODOMETRY_SCALE, LIDAR_DEAD,
 LIDAR_FROZEN, LIDAR_SECTOR, LIDAR_RAIN, LIDAR_BIAS) = (
    wp.constant(FAULTS.index(name))
    for name in (
        "list_frozen", "list_lost", "list_stale", "ghost", "lane_lost", "lane_bias", "gnss_lost", "gnss_jump",
        "odometry_scale", "lidar_dead", "lidar_frozen", "lidar_sector", "lidar_rain", "lidar_bias",
    )
)  # fmt: skip

(RANGE_NOISE, BEARING_NOISE, SPEED_NOISE, YAW_NOISE, ACCEL_NOISE, FIX_BIAS, FIX_NOISE, SCALE, ODOMETER_NOISE, HEADING,
 HEADING_NOISE, OWN_ACCEL_NOISE, CURVATURE_NOISE, TURN_NOISE, LANE_OFFSET, LANE_OFFSET_NOISE, LANE_HEADING,
 LANE_HEADING_NOISE, LANE_CURVATURE, LANE_CURVATURE_NOISE) = (wp.constant(k) for k in range(len(NOISES)))  # fmt: skip
LATENCY, MISS, OUTAGE = (wp.constant(len(NOISES) + k) for k in range(3))


@wp.struct
class SenseNumbers:
    """The configuration, and what was drawn from it for each row's episode."""

    values: wp.array2d(dtype=wp.float32)
    """(rows, rows of the table)"""
    first: int
    """Row of the table of the first of `sim.driving.sensingrows.NOISES`"""
    faults: int
    """Row of the table of the first fault's chance, -1 for none"""
    breakable: int
    """How many of `sim.driving.sensing.FAULTS` the table has rows for, 0 for none"""
    seed: int
    dt: float
    """Control period, s"""
    range: float
    reserve: float
    half_fov: float
    """4 for all around"""
    closing: float
    """How fast others may come, m/s"""
    range_bound: float
    """Largest error of a place along the line of sight, m"""
    bearing_bound: float
    hold: int
    """Steps"""
    fix_steps: int
    fix_bound: float
    gain: float
    fix_drift: float
    outage_time: float
    outage_every: float
    odometer_drift: float
    scale_bound: float
    noise_bound: float
    """Of the odometer's speed, m/s"""
    heading_bound: float
    settled: float
    """Bound of the place when an episode begins, m"""
    localisation_bound: float
    lane_drift: float
    offset_bound: float


@wp.struct
class Own:
    """What localisation remembers of each row."""

    error: wp.array2d(dtype=wp.float32)
    """Of the place, x and y, m; (rows, 2)"""
    radius: wp.array(dtype=wp.float32)
    """What localisation itself takes for the bound of it, m, (rows,)"""
    refused: wp.array(dtype=wp.uint8)
    """The last fix did not fit, (rows,)"""
    unwell: wp.array(dtype=wp.float32)
    """For how long something has not been as it should, s, (rows,)"""
    looked: wp.array(dtype=wp.int32)
    """Step of the last look, -1 for none, (rows,)"""
    faulty: wp.array(dtype=wp.int32)
    """Truth, for tests and judges: bit k for the k-th of `sim.driving.sensing.FAULTS`; (rows,)"""
    ghost: wp.array2d(dtype=wp.float32)
    """x, y, yaw and s of the ghost on its lane, (rows, 4)"""
    ghost_lane: wp.array(dtype=wp.int32)
    """-1 while there is none, (rows,)"""


@wp.struct
class Lists:
    """Object lists under way: slot = step modulo slots; a column for each actor and one for the ghost."""

    value: wp.array4d(dtype=wp.float32)
    """`ObjectColumn`, (rows, slots, actors + 1, 12)"""
    kind: wp.array3d(dtype=wp.int32)
    """`ActorKind`, -1 for what the list does not contain; (rows, slots, actors + 1)"""
    lane: wp.array3d(dtype=wp.int32)


@wp.struct
class Tracks:
    """What the tracker holds, a track for each actor and one for the ghost."""

    value: wp.array3d(dtype=wp.float32)
    """`ObjectColumn` as last measured, (rows, actors + 1, 12)"""
    kind: wp.array2d(dtype=wp.int32)
    """-1 for no track, (rows, actors + 1)"""
    lane: wp.array2d(dtype=wp.int32)
    stamp: wp.array2d(dtype=wp.int32)
    """Step in which it was measured"""
    number: wp.array2d(dtype=wp.int32)
    """How many objects there have been in this place before"""
    listed: wp.array(dtype=wp.int32)
    """Step of the newest list that arrived, -1 for none; (rows,)"""
    order: wp.array2d(dtype=wp.int32)
    """Room to sort in, (rows, actors + 1)"""
    away: wp.array2d(dtype=wp.float32)


def sense_numbers(
    sensors: RoadSensors, spec: RobotSpec, *, seed: int, table: Table, values: wp.array, closing: float
) -> SenseNumbers:
    """The numbers of a configuration whose rows stand in a table."""
    objects, gnss, odometer, lane = sensors.objects, sensors.gnss, sensors.odometer, sensors.lane
    kept = bounds(sensors, spec)
    numbers = SenseNumbers()
    numbers.values, numbers.seed, numbers.first = values, seed, table.index(row_name(NOISES[0]))
    numbers.faults = table.index(f"fault_{FAULTS[0]}") if sensors.breakable else -1
    numbers.breakable = len(sensors.breakable)
    numbers.dt = spec.period / SECOND
    numbers.range, numbers.reserve, numbers.closing = objects.range, objects.reserve, closing
    numbers.half_fov = 4.0 if objects.fov >= 2.0 * math.pi else 0.5 * objects.fov
    numbers.range_bound, numbers.bearing_bound = CLIP * objects.range_noise, CLIP * objects.bearing_noise
    numbers.hold = round(objects.hold / numbers.dt)
    numbers.fix_steps, numbers.fix_bound, numbers.fix_drift = fix_steps(gnss, spec), fix_bound(gnss), gnss.drift
    numbers.gain = GAIN
    numbers.outage_time, numbers.outage_every = gnss.outage_time, gnss.outage_every
    numbers.odometer_drift, numbers.scale_bound = odometer.drift, odometer.scale
    numbers.noise_bound, numbers.heading_bound = CLIP * odometer.speed_noise, kept.yaw
    numbers.settled, numbers.localisation_bound = settled_radius(sensors, spec), spec.localisation_bound
    numbers.lane_drift, numbers.offset_bound = lane.drift, kept.offset
    return numbers


def slots_of(sensors: RoadSensors, spec: RobotSpec) -> int:
    """Lists that may be under way."""
    stale = sensors.faults.list_stale.size[1] if sensors.faults is not None else 0.0
    return steps_late(sensors.objects.latency[1], spec) + steps_late(stale, spec) + 1


def make_own(rows: int, device: str) -> Own:
    """Before any look."""
    own = Own()
    own.error = wp.zeros((rows, 2), dtype=wp.float32, device=device)
    own.ghost = wp.zeros((rows, 4), dtype=wp.float32, device=device)
    for name in ("radius", "unwell"):
        setattr(own, name, wp.zeros(rows, dtype=wp.float32, device=device))
    own.refused = wp.zeros(rows, dtype=wp.uint8, device=device)
    for name, start in (("looked", -1), ("faulty", 0), ("ghost_lane", -1)):
        setattr(own, name, wp.full(rows, start, dtype=wp.int32, device=device))
    return own


def make_lists(rows: int, slots: int, things: int, device: str) -> Lists:
    """Empty lists."""
    lists = Lists()
    lists.value = wp.zeros((rows, slots, things, COLUMNS), dtype=wp.float32, device=device)
    lists.kind = wp.full((rows, slots, things), -1, dtype=wp.int32, device=device)
    lists.lane = wp.full((rows, slots, things), -1, dtype=wp.int32, device=device)
    return lists


def make_tracks(rows: int, things: int, device: str) -> Tracks:
    """No tracks."""
    tracks = Tracks()
    tracks.value = wp.zeros((rows, things, COLUMNS), dtype=wp.float32, device=device)
    for name in ("kind", "lane", "stamp"):
        setattr(tracks, name, wp.full((rows, things), -1, dtype=wp.int32, device=device))
    for name in ("number", "order"):
        setattr(tracks, name, wp.zeros((rows, things), dtype=wp.int32, device=device))
    tracks.away = wp.zeros((rows, things), dtype=wp.float32, device=device)
    tracks.listed = wp.full(rows, -1, dtype=wp.int32, device=device)
    return tracks


@wp.func
def drawn_value(numbers: SenseNumbers, row: int, k: int) -> float:
    """What the episode of a row has of an error."""
    return numbers.values[row, numbers.first + k]


@wp.func
def fault_is(numbers: SenseNumbers, row: int, fault: int, time: float) -> bool:
    """Whether a fault is there `time` s into the episode of a row."""
    if numbers.faults < 0:
        return False
    at = numbers.faults + 4 * fault
    since = time - numbers.values[row, at + 1]
    return numbers.values[row, at] > 0.5 and since >= 0.0 and since < numbers.values[row, at + 2]


@wp.func
def fault_size(numbers: SenseNumbers, row: int, fault: int) -> float:
    """How bad a fault is in the episode of a row."""
    return numbers.values[row, numbers.faults + 4 * fault + 3]
