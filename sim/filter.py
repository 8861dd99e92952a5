"""The seam through which a safety filter enters the simulator: the environment takes one, `sim` imports none.

A filter judges the command of each row before it moves the robot. It allocates in `init` alone; `launch` runs
kernels on arrays that stay where they are, reads nothing back to the host, and can therefore be recorded once
(Warp on CPU) or captured in a CUDA graph. A robot runs the same filter with one row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import warp as wp

from sim.geometry import CORRIDOR_POINTS

PHANTOMS = 24
"""Hidden persons that filter inputs have room for; of more the nearest are kept."""


@dataclass(frozen=True)
class FilterInputs:
    """What a filter sees, as Warp arrays on one device; written in place before each launch.

    Scan, pose and twist are of one instant, `scan_age` before the command is released.
    """

    command: wp.array
    """Proposed v (m/s), w (rad/s); float32 (rows, 2)."""
    last_command: wp.array
    """Released in the cycle before; float32 (rows, 2)."""
    scan: wp.array
    """Lidar ranges, m; float32 (rows, rays)."""
    point_speed: wp.array
    """Largest speed of what each ray hit, m/s, as the caller knows it; negative for a point of the site map, which
    stands where the map says (`sim/points.py` writes both this and `phantoms`); float32 (rows, rays)."""
    scan_age: wp.array
    """Age of the scan, s; float32 (rows,)."""
    pose: wp.array
    """Localised x, y (m), yaw (rad) in W; float32 (rows, 3)."""
    twist: wp.array
    """Measured v, w; float32 (rows, 2)."""
    corridor_points: wp.array
    """float32 (rows, CORRIDOR_POINTS, 2)"""
    corridor_half_width: wp.array
    """float32 (rows, CORRIDOR_POINTS)"""
    corridor_count: wp.array
    """int32 (rows,)"""
    phantoms: wp.array | None = None
    """Centres of persons that may stand hidden: segments ax, ay, bx, by in B, radius (0: unused), speed; float32
    (rows, PHANTOMS, 6). None where nobody can hide."""
    person_free: wp.array | None = None
    """Radius around the robot within which no body can come that moves, m: the site's declaration of person-free cells,
    as far as it reaches; float32 (rows,). None for 0."""
    speed_limit: wp.array | None = None
    """Largest speed that may be commanded, m/s, where the floor limits it (`sim/pace.py`); float32 (rows,). None for no
    limit but the robot's own."""


@dataclass(frozen=True)
class FilterOutputs:
    """What a filter decides, written in place."""

    command: wp.array
    """Released command; float32 (rows, 2)."""
    margin: wp.array
    """Smallest clearance of the released plan, m; negative when only the stored plan is left; float32 (rows,)."""
    reason: wp.array
    """Why the command differs from the proposal, 0 when it does not; int8 (rows,)."""


def make_inputs(rows: int, rays: int, device: str = "cpu", *, limited: bool = False) -> FilterInputs:
    """Arrays of zeros for `rows` robots of `rays` rays each; `limited` floors have a speed limit."""

    def floats(*shape: int) -> wp.array:
        return wp.zeros(shape, dtype=wp.float32, device=device)

    return FilterInputs(
        command=floats(rows, 2),
        last_command=floats(rows, 2),
        scan=floats(rows, rays),
        point_speed=floats(rows, rays),
        scan_age=floats(rows),
        pose=floats(rows, 3),
        twist=floats(rows, 2),
        corridor_points=floats(rows, CORRIDOR_POINTS, 2),
        corridor_half_width=floats(rows, CORRIDOR_POINTS),
        corridor_count=wp.zeros(rows, dtype=wp.int32, device=device),
        phantoms=floats(rows, PHANTOMS, 6),
        person_free=floats(rows),
        speed_limit=floats(rows) if limited else None,
    )


def make_outputs(rows: int, device: str = "cpu") -> FilterOutputs:
    """Arrays of zeros for `rows` robots."""
    return FilterOutputs(
        command=wp.zeros((rows, 2), dtype=wp.float32, device=device),
        margin=wp.zeros(rows, dtype=wp.float32, device=device),
        reason=wp.zeros(rows, dtype=wp.int8, device=device),
    )


class Filter(Protocol):
    """Judges every row's command. The memory is the filter's own, as arrays that can be saved and restored."""

    def init(self, rows: int, device: str) -> Any:  # the filter's own memory type
        """Memory for `rows` robots at rest."""
        ...

    def launch(self, inputs: Any, memory: Any, out: FilterOutputs) -> None:
        """Judge every row; no allocation, no host read."""
        ...

    def reset(self, mask: wp.array, memory: Any) -> None:
        """Forget the rows whose mask is set (uint8, (rows,)); every other row stays bit-identical."""
        ...
