"""What makes a robot's black box lock its surroundings: modes that a normal drive does not have.

Pure: the steps in order, and the one before them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fleet.box.chain import Triggered
from safety.supervisor import Cause, Mode

WORTH = {
    Mode.FALLBACK: {Cause.POLICY},
    Mode.STOPPED: {Cause.DEADLINE, Cause.TRACKING, Cause.ODOMETRY_STALE, Cause.SCAN_STALE, Cause.NOT_FINITE},
    Mode.LATCHED: {Cause.BUMPER, Cause.EMERGENCY_STOP},
    Mode.MANUAL: set(Cause),
}
"""Modes whose beginning is an event, by the cause that began them. A robot that waits for its grant, for the first
picture of the fleet or before people that block it (BLOCKED) does its work."""


def robot_triggers(before: Any, steps: Sequence[Any]) -> list[Triggered]:  # steps of fleet/blackbox.py
    """Where a robot entered a mode that is worth an event; `before`: the step before the first, or None."""
    found = []
    was = _mode_of(before)
    for step in steps:
        now = _mode_of(step)
        if now is not None and now != was:
            mode, cause = now
            if cause in WORTH.get(mode, set()):
                detail = f"{mode.name.lower()}: {cause.name.lower().replace('_', ' ')}"
                found.append(Triggered(mode.name.lower(), detail, step.cycle, step.stamp))
        was = now
    return found


def _mode_of(step: Any) -> tuple[Mode, Cause] | None:  # as above; other records than a robot's have no mode
    outputs = getattr(step, "outputs", None)
    mode, cause = getattr(outputs, "mode", None), getattr(outputs, "cause", None)
    return (mode, cause) if isinstance(mode, Mode) and isinstance(cause, Cause) else None
