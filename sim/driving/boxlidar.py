"""The lidar of a car: the warehouse's sweep (sim/lidar.py) over the boxes of everybody else on the road, and no map.

Each row has a frame of its own for it, about its car and as wide as two ranges, which is the single free cell that the
sweep's rays cross; the others' boxes are laid into it as loads are. Ray i points to -pi + 2 pi i / rays in B, from the
middle of the car. Noise and dropout are the rows `lidar_noise` and `lidar_dropout` of what varies; a table without
them has a lidar without errors.
"""

# pyright: reportGeneralTypeIssues=false, reportArgumentType=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAttributeAccessIssue=false, reportOperatorIssue=false, reportReturnType=false
# pyright: reportInvalidTypeForm=false, reportOptionalMemberAccess=false
# Warp traces kernels itself: its scalar and array types are not what a type checker takes them for.

from __future__ import annotations

import warp as wp

from sim.driving.state import ActorArrays
from sim.launches import Launchable, record
from sim.lidar import THING, make_boxes, sweep_lidar
from sim.robot import RobotSpec
from sim.sensors import SensorErrors, no_errors
from sim.tasks.navigate_contract import ray_directions
from sim.vary import Table

wp.set_module_options({"fuse_fp": False, "enable_backward": False})


class BoxLidar:
    """Owns the scan of each row, and the boxes as its sweep takes them."""

    def __init__(
        self,
        spec: RobotSpec,
        actors: ActorArrays,
        pose: wp.array,
        episode: wp.array,
        step: wp.array,
        robots: int,
        table: Table,
        values: wp.array,
        seed: int,
        device: str,
    ) -> None:
        """The lidar of `spec` on cars whose base_link is at `pose`, float32 (rows, 3)."""
        self.rows, self.device, self.robots = int(pose.shape[0]), device, robots
        self.scan = wp.zeros((self.rows, spec.lidar.rays), dtype=wp.float32, device=device)
        """Ranges, m, float32 (rows, rays)."""
        self._actors, self._reach = actors, float(spec.lidar.range_max)
        self._at = wp.zeros((self.rows, 3), dtype=wp.float32, device=device)
        self._things = wp.zeros((self.rows, actors.kind.shape[1], THING), dtype=wp.float32, device=device)
        self._pose, self._spec, self._when, self._seed = pose, spec, (episode, step), seed
        self._errors = _errors(table, values, self.rows, device)
        self._directions = ray_directions(spec.lidar, device)
        self._free = wp.zeros(1, dtype=wp.uint8, device=device)
        self._people = wp.zeros((self.rows, 0, 2), dtype=wp.float32, device=device)
        self._boxes = make_boxes(wp.zeros((self.rows, 0, 3), dtype=wp.float32, device=device), 0.0, 0.0, self._things)

    def sweep(self, mask: wp.array) -> list[Launchable]:
        """The launches by which the masked rows, uint8 (rows,), sweep once."""
        spec, half = self._spec, 1.01 * self._reach
        lay = [self._actors, self.robots, half, mask, self._at, self._things]
        # alone in a cell that its rays do not leave: no map, no people, no other robots
        inputs = [self._at, self._directions, self._free, 1, 1, 2.0 * half, wp.vec2(0.0, 0.0), self._people,
                  self._boxes, 1, 0.0, 0.0, spec.lidar.range_max, self._errors, self._seed, *self._when, mask,
                  self.scan]  # fmt: skip
        return [
            record(lay_boxes, self.rows, lay, self.device),
            record(sweep_lidar, self.rows, inputs, self.device),
        ]


def _errors(table: Table, values: wp.array, rows: int, device: str) -> SensorErrors:
    names = [row.name for row in table]
    if "lidar_noise" not in names or "lidar_dropout" not in names:
        return no_errors(rows, device)
    errors = SensorErrors()
    errors.values = values
    errors.lidar_noise, errors.lidar_dropout = names.index("lidar_noise"), names.index("lidar_dropout")
    return errors


@wp.kernel
def lay_boxes(
    actors: ActorArrays,
    robots: int,
    half: float,
    mask: wp.array(dtype=wp.uint8),
    at: wp.array2d(dtype=wp.float32),
    things: wp.array3d(dtype=wp.float32),
) -> None:
    """Everybody about the middle of each masked row's car; the car itself is carried, as the sweep says."""
    row = wp.tid()
    if mask[row] == wp.uint8(0):
        return
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
