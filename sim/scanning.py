"""What a lidar in time keeps of a sweep: noise that grows with the range, dropout, ghost points, a blocked sector.

The sweep itself is sim/lidar.py's, made at the physics step at which the sensor looks, so that a scan shows the floor
as it was then. What goes wrong with it is drawn by (row, episode, tick, ray), as often as the row's episode drew it
from the table of what varies (sim/sensorrows.py).
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp

from sim.randomization import Term, bell, draw_from, stream, unit
from sim.robot import RobotSpec
from sim.sampling import Clockwork, Ring, first_slot, open_slot
from sim.sensorspec import LidarSensor
from sim.vary import Table

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

NOISE_TERM = wp.constant(int(Term.RANGE_NOISE))
DROPOUT_TERM = wp.constant(int(Term.RANGE_DROPOUT))
GHOST_TERM = wp.constant(int(Term.LIDAR_GHOST))


@wp.struct
class ScanFaults:
    """`LidarSensor` as a kernel reads it, and where each row of what varies is."""

    seed: int
    range_max: float
    ghost_nearest: float
    blocked_range: float
    values: wp.array2d(dtype=wp.float32)
    """What the table of what varies gave to each row's episode, (rows, rows of the table)."""
    lidar_noise: int
    lidar_noise_share: int
    lidar_dropout: int
    lidar_ghosts: int
    lidar_blocked: int
    lidar_blocked_width: int
    lidar_blocked_angle: int


def scan_faults(sensor: LidarSensor, spec: RobotSpec, seed: int, table: Table, values: wp.array) -> ScanFaults:
    """A kernel's numbers. `values` were drawn from the table, (rows, rows of the table)."""
    lidar, faults = spec.lidar, ScanFaults()
    faults.seed, faults.range_max, faults.values = seed, lidar.range_max, values
    for name in ("noise", "noise_share", "dropout", "ghosts", "blocked", "blocked_width", "blocked_angle"):
        setattr(faults, f"lidar_{name}", table.index(f"lidar_{name}"))
    faults.ghost_nearest = min(sensor.ghost_nearest, lidar.range_max)
    faults.blocked_range = lidar.range_max if sensor.blocked_range is None else sensor.blocked_range
    return faults


@wp.kernel
def look_around(
    clock: wp.array(dtype=wp.int32),
    clockwork: Clockwork,
    episode: wp.array(dtype=wp.int32),
    ring: Ring,
    slot: wp.array(dtype=wp.int32),
    sweeps: wp.array(dtype=wp.uint8),
) -> None:
    """Which rows sweep at this physics step (`sweeps`), and into which slot."""
    row = wp.tid()
    found = open_slot(row, clock[row], clockwork, episode[row], ring)
    slot[row] = found
    sweeps[row] = wp.uint8(0)
    if found >= 0:
        sweeps[row] = wp.uint8(1)


@wp.kernel
def look_first(
    mask: wp.array(dtype=wp.uint8),
    ring: Ring,
    slot: wp.array(dtype=wp.int32),
    sweeps: wp.array(dtype=wp.uint8),
) -> None:
    """The masked rows' episodes begin: they sweep where they are put down."""
    row = wp.tid()
    slot[row] = -1
    sweeps[row] = wp.uint8(0)
    if mask[row] != wp.uint8(0):
        slot[row] = first_slot(row, ring)
        sweeps[row] = wp.uint8(1)


@wp.func
def is_blocked(ray: int, rays: int, row: int, faults: ScanFaults) -> bool:
    """Whether a ray lies in the sector that sees nothing in this episode."""
    if faults.values[row, faults.lidar_blocked] == 0.0:
        return False
    apart = 2.0 * wp.pi * float(ray) / float(rays) - wp.pi - faults.values[row, faults.lidar_blocked_angle]
    apart = apart - 2.0 * wp.pi * wp.floor((apart + wp.pi) / (2.0 * wp.pi))
    return wp.abs(apart) <= 0.5 * faults.values[row, faults.lidar_blocked_width]


@wp.kernel
def keep_scan(
    faults: ScanFaults,
    sweep: wp.array2d(dtype=wp.float32),
    slot: wp.array(dtype=wp.int32),
    episode: wp.array(dtype=wp.int32),
    ring: Ring,
) -> None:
    """The sweep (rows, rays) of each row that has a slot, with everything that goes wrong, into its ring."""
    row = wp.tid()
    at = slot[row]
    if at < 0:
        return
    rays = sweep.shape[1]
    e = episode[row]
    base = ring.ticks[row] * rays
    noises = stream(faults.seed, NOISE_TERM, row, e)
    dropouts = stream(faults.seed, DROPOUT_TERM, row, e)
    ghosts = stream(faults.seed, GHOST_TERM, row, e)
    noise = faults.values[row, faults.lidar_noise]
    noise_share = faults.values[row, faults.lidar_noise_share]
    dropout = faults.values[row, faults.lidar_dropout]
    ghost = faults.values[row, faults.lidar_ghosts]
    for ray in range(rays):
        value = sweep[row, ray]
        if value < faults.range_max:
            spread = noise + noise_share * value
            if spread > 0.0:
                value = wp.clamp(value + spread * bell(draw_from(noises, base + ray)), 0.0, faults.range_max)
        if dropout > 0.0 and unit(draw_from(dropouts, base + ray)) < dropout:
            value = faults.range_max
        if ghost > 0.0 and unit(draw_from(ghosts, 2 * (base + ray))) < ghost:
            share = unit(draw_from(ghosts, 2 * (base + ray) + 1))
            nearest = wp.min(faults.ghost_nearest, value)
            value = nearest + share * (value - nearest)
        if is_blocked(ray, rays, row, faults):
            value = faults.blocked_range
        ring.value[row, at, ray] = value
