"""The seam between what moves and what it means: the plant that worlds step (sim/worlds.py) and tasks are built on.

`sim.plant.Plant` is the warehouse's, `sim.driving.plant.RoadPlant` the road's.
"""

# pyright: reportGeneralTypeIssues=false
# Warp structs are not what a type checker takes them for.

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import warp as wp

from sim.backend import Backend
from sim.diverged import Recorder
from sim.drive import DriveArrays
from sim.launches import Launchable
from sim.robot import RobotSpec
from sim.rows import RobotArrays
from sim.vary import Table, VaryArrays


class AnyPlant(Protocol):
    """What worlds need of a plant: bodies, drives and sensors on rows, without a task. Owns the physics."""

    spec: RobotSpec
    seed: int
    device: str
    worlds: int
    robots: int
    rows: int
    table: Table
    """What varies."""
    varies: VaryArrays
    state: RobotArrays
    drive: DriveArrays
    backend: Backend
    all_rows: wp.array
    """A mask of ones, uint8 (rows,)."""
    recorder: Recorder | None
    """Keeps what a world that blows up started from; None: nobody asks for it."""

    def record(self, kernel: Any, dim: int | tuple[int, int], inputs: list[Any]) -> Launchable:  # Warp's own types
        """A launch to be repeated."""
        ...

    def open(self, action: wp.array) -> Launchable:
        """The launch that begins a control step, before the task makes commands of the actions."""
        ...

    def pace(self, corridor: Any) -> Sequence[Launchable]:  # an instance of the Warp struct `Corridor`, or None
        """The launches after the task's, before the filter's."""
        ...

    def renew(self, mask: wp.array) -> Launchable:
        """The launch that begins the next episode of the masked rows; then the task's `begin` and `place` follow."""
        ...

    def place(self, mask: wp.array) -> Launchable:
        """The launch that puts the masked rows' bodies where `state.pose` says, and what moves in new worlds."""
        ...

    def sense(self, mask: wp.array, *, begins: bool = False) -> Sequence[Launchable]:
        """The launches by which the masked rows read their sensors; `begins`: their episodes have just begun."""
        ...

    def move(self, look: Callable[[], None] | None = None) -> None:
        """One control step of everything that moves; `look` is called after every physics substep."""
        ...

    def parts(self) -> list[object]:
        """What a captured step depends on beside the physics: replaced by another object, the step is captured anew."""
        ...

    def arrays(self) -> dict[str, wp.array]:
        """Everything that later steps depend on beside the backend's state, by name."""
        ...
