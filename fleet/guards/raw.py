"""What the feature code of a navigate policy reads, as plain arrays: in simulation, in a manifest, on a robot."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Raw:
    """What the feature code reads, one row a robot: copies, free to change."""

    scan: NDArray[np.float32]
    """(rows, rays), m"""
    pose: NDArray[np.float32]
    """(rows, 3)"""
    twist: NDArray[np.float32]
    """(rows, 2)"""
    last_command: NDArray[np.float32]
    """(rows, 2)"""
    points: NDArray[np.float32]
    """Corridor, (rows, CORRIDOR_POINTS, 2), m"""
    half_width: NDArray[np.float32]
    """(rows, CORRIDOR_POINTS), m"""
    count: NDArray[np.int32]
    final: NDArray[np.uint8]

    def row(self, index: int) -> Raw:
        """One robot's, (1, ...)."""
        return Raw(**{field.name: getattr(self, field.name)[index : index + 1] for field in fields(self)})
