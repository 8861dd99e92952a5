"""The cars of a run as the page shows robots, by the files that they write beside it (fleet/carstatus.py)."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from fleet.carstatus import CarStatus, read_statuses
from fleet.ops.seen import Robot

Moved = Callable[[tuple[float, float, float]], tuple[float, float, float]]
"""A pose in a road's own coordinates as the page's map has it."""

MODES = {"HELD": "held", "POLICY": "policy", "FALLBACK": "fallback", "STOPPED": "stopped"}


def robots_of(root: Path, moved: Moved, wall: Callable[[], float] = time.time) -> tuple[Robot, ...]:
    """Every car that has said how it is."""
    return tuple(_robot(status, max(wall() - when, 0.0), moved) for status, when in read_statuses(root))


def _robot(status: CarStatus, age: float, moved: Moved) -> Robot:
    mode = MODES.get(status.mode, "unknown")
    cause = status.reason if mode in ("stopped", "fallback") else ""
    return Robot(
        name=status.name,
        pose=moved(status.pose),
        status=f"{3.6 * status.speed:.0f} km/h" if status.drives else "in shadow",
        battery=status.battery,
        task="",
        age=age,
        mode=mode,
        cause=cause or "none",
        why=status.doubt or cause,
    )
