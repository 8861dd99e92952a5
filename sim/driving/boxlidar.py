"""The lidar of a car: the warehouse's sweep (sim/lidar.py) over the boxes of everybody else on the road, and no map.

Each row has a frame of its own for it, about its car and as wide as two ranges, which is the single free cell that the
sweep's rays cross; the others' boxes are laid into it as loads are. Ray i points to -pi + 2 pi i / rays in B, from the
middle of the car. Noise and dropout are the rows `lidar_noise` and `lidar_dropout` of what varies.

A lidar that is dead or frozen sweeps no more and keeps the stamp of its last scan; the other faults spoil each sweep,
in the order in which light meets them: rain swallows what is far, dirt hides a sector, what returns is read wrongly.
Where the table has no faults no launch is added.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp

from sim.driving.sensestate import (
    LIDAR_BIAS,
    LIDAR_DEAD,
    LIDAR_FROZEN,
    LIDAR_RAIN,
    LIDAR_SECTOR,
    SenseNumbers,
    fault_size,
)
from sim.driving.sensingrows import SECTOR_COUNTER
from sim.driving.state import ActorArrays
from sim.launches import Launchable, record
from sim.lidar import THING, make_boxes, sweep_lidar
from sim.randomization import Term, draw, unit
from sim.robot import RobotSpec
from sim.sensors import SensorErrors
from sim.tasks.navigate_contract import ray_directions
from sim.vary import Table

wp.set_module_options({"fuse_fp": False, "enable_backward": False})

SENSING = wp.constant(int(Term.ROAD_SENSING))
SECTOR = wp.constant(SECTOR_COUNTER)
SILENT = wp.constant(1 << LIDAR_DEAD | 1 << LIDAR_FROZEN)
"""Faults with which it sweeps no more."""
SPOILT = wp.constant(1 << LIDAR_SECTOR | 1 << LIDAR_RAIN | 1 << LIDAR_BIAS)
"""Faults with which it sweeps wrongly."""


class BoxLidar:
    """Owns the scan of each row, and the boxes as its sweep takes them."""

    def __init__(
        self,
        spec: RobotSpec,
        actors: ActorArrays,
        episode: wp.array,
        step: wp.array,
        robots: int,
        table: Table,
        numbers: SenseNumbers,
        faulty: wp.array,
        device: str,
    ) -> None:
        """The lidar of `spec` on the first `robots` actors of each world.

        `faulty`, int32 (rows,), has the bits of `sim.driving.sensing.FAULTS` that are there in this step; `table` has
        rows for noise and dropout.
        """
        self.rows, self.device, self.robots = int(episode.shape[0]), device, robots
        nothing = float(spec.lidar.range_max)
        self.scan = wp.full((self.rows, spec.lidar.rays), nothing, dtype=wp.float32, device=device)
        """Ranges, m, range_max where a ray reads nothing, float32 (rows, rays)."""
        self.stamp = wp.full(self.rows, -1, dtype=wp.int32, device=device)
        """Control step in which it swept, -1 for never in this episode, int32 (rows,)."""
        self._numbers, self._faulty = numbers, faulty
        self._sweeps = wp.zeros(self.rows, dtype=wp.uint8, device=device)
        self._actors, self._reach = actors, float(spec.lidar.range_max)
        self._at = wp.zeros((self.rows, 3), dtype=wp.float32, device=device)
        self._things = wp.zeros((self.rows, actors.kind.shape[1], THING), dtype=wp.float32, device=device)
        self._spec, self._when = spec, (episode, step)
        self._errors = SensorErrors()
        self._errors.values = numbers.values
        self._errors.lidar_noise, self._errors.lidar_dropout = (table.index(f"lidar_{x}") for x in ("noise", "dropout"))
        self._directions = ray_directions(spec.lidar, device)
        self._free = wp.zeros(1, dtype=wp.uint8, device=device)
        self._people = wp.zeros((self.rows, 0, 2), dtype=wp.float32, device=device)
        self._boxes = make_boxes(wp.zeros((self.rows, 0, 3), dtype=wp.float32, device=device), 0.0, 0.0, self._things)

    def arrays(self) -> dict[str, wp.array]:
        """All that later steps depend on, by name."""
        return {"senses.scan": self.scan, "senses.scan_stamp": self.stamp}

    def begin(self, mask: wp.array) -> list[Launchable]:
        """The launches by which the masked rows, uint8 (rows,), have swept nothing yet."""
        return [record(forget_scan, self.rows, [mask, self._reach, self.stamp, self.scan], self.device)]

    def sweep(self, mask: wp.array) -> list[Launchable]:
        """The launches by which the masked rows, uint8 (rows,), sweep once."""
        spec, half, step = self._spec, 1.01 * self._reach, self._when[1]
        lay = [self._actors, self.robots, half, mask, self._faulty, step, self._at, self._things, self._sweeps,
               self.stamp]  # fmt: skip
        # alone in a cell that its rays do not leave: no map, no people, no other robots
        inputs = [self._at, self._directions, self._free, 1, 1, 2.0 * half, wp.vec2(0.0, 0.0), self._people,
                  self._boxes, 1, 0.0, 0.0, spec.lidar.range_max, self._errors, self._numbers.seed, *self._when,
                  self._sweeps, self.scan]  # fmt: skip
        spoil = [self._numbers, self._faulty, self._when[0], mask, self._reach, self.scan]
        return [
            record(lay_boxes, self.rows, lay, self.device),
            record(sweep_lidar, self.rows, inputs, self.device),
            *([record(spoil_scan, self.rows, spoil, self.device)] if self._numbers.breakable else []),
        ]


@wp.kernel
def forget_scan(
    mask: wp.array(dtype=wp.uint8),
    nothing: float,
    stamp: wp.array(dtype=wp.int32),
    scan: wp.array2d(dtype=wp.float32),
) -> None:
    """The masked rows have no scan: their rays read nothing."""
    row = wp.tid()
    if mask[row] == wp.uint8(0):
        return
    stamp[row] = -1
    for ray in range(scan.shape[1]):
        scan[row, ray] = nothing


@wp.kernel
def lay_boxes(
    actors: ActorArrays,
    robots: int,
    half: float,
    mask: wp.array(dtype=wp.uint8),
    faulty: wp.array(dtype=wp.int32),
    step: wp.array(dtype=wp.int32),
    at: wp.array2d(dtype=wp.float32),
    things: wp.array3d(dtype=wp.float32),
    sweeps: wp.array(dtype=wp.uint8),
    stamp: wp.array(dtype=wp.int32),
) -> None:
    """Everybody about the middle of each car that sweeps; the car itself is carried, as the sweep says."""
    row = wp.tid()
    sweeps[row] = wp.uint8(0)
    if mask[row] == wp.uint8(0) or (faulty[row] & SILENT) != 0:
        return
    sweeps[row] = wp.uint8(1)
    stamp[row] = step[row]
    world = row / robots
    me = row % robots
    at[row, 0] = half
    at[row, 1] = half
    at[row, 2] = actors.pose[world, me, 2]
    for k in range(things.shape[1]):
        away = wp.where(actors.kind[world, k] >= 0, 0.0, 100.0 * half)
        things[row, k, 0] = half + actors.pose[world, k, 0] - actors.pose[world, me, 0] + away
        things[row, k, 1] = half + actors.pose[world, k, 1] - actors.pose[world, me, 1]
        things[row, k, 2] = actors.pose[world, k, 2]
        things[row, k, 3] = 0.5 * actors.size[world, k, 0]
        things[row, k, 4] = 0.5 * actors.size[world, k, 1]
        things[row, k, 5] = wp.where(k == me, 0.0, -1.0)


@wp.kernel
def spoil_scan(
    numbers: SenseNumbers,
    faulty: wp.array(dtype=wp.int32),
    episode: wp.array(dtype=wp.int32),
    mask: wp.array(dtype=wp.uint8),
    nothing: float,
    scan: wp.array2d(dtype=wp.float32),
) -> None:
    """What the faults that are there make of the masked rows' scans."""
    row = wp.tid()
    if mask[row] == wp.uint8(0):
        return
    faults = faulty[row]
    rays = scan.shape[1]
    if (faults & (1 << LIDAR_DEAD)) != 0:
        for ray in range(rays):
            scan[row, ray] = nothing
        return
    if (faults & SILENT) != 0 or (faults & SPOILT) == 0:
        return
    reach = nothing
    if (faults & (1 << LIDAR_RAIN)) != 0:
        reach = (1.0 - fault_size(numbers, row, LIDAR_RAIN)) * nothing
    far = wp.float32(0.0)
    if (faults & (1 << LIDAR_BIAS)) != 0:
        far = fault_size(numbers, row, LIDAR_BIAS)
    dirt = wp.float32(0.0)
    middle = wp.float32(0.0)
    if (faults & (1 << LIDAR_SECTOR)) != 0:
        dirt = 0.5 * fault_size(numbers, row, LIDAR_SECTOR)
        middle = 2.0 * wp.pi * unit(draw(numbers.seed, SENSING, row, episode[row], SECTOR))
    for ray in range(rays):
        apart = wp.abs(2.0 * wp.pi * float(ray) / float(rays) - middle)
        apart = wp.min(apart, 2.0 * wp.pi - apart)
        value = wp.min(scan[row, ray] + far, nothing)
        if scan[row, ray] > reach or apart < dirt:
            value = nothing
        scan[row, ray] = value
