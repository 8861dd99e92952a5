"""What makes a robot's black box lock its surroundings: modes that a normal drive does not have.

Pure: the steps in order, and the one before them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fleet.box.chain import Triggered
from safety.supervisor import Cause, Mode
from sim.robot import SECOND

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


def drive_triggers(before: Any, steps: Sequence[Any], period: float) -> list[Triggered]:  # moments of a drive
    """Where a car's fallback took over, or it touched somebody; `before`: the moment before the first, or None.

    Moments have a `time` (s), a `mode` and a `contact` (`sim.driving.moment.Moment`); `period` is between two, s.
    """
    found, was = list[Triggered](), dict[str, str]() if before is None else _happens(before)
    for step in steps:
        now = _happens(step)
        cycle, stamp = round(step.time / period), round(step.time * SECOND)
        found += [Triggered(cause, detail, cycle, stamp) for cause, detail in now.items() if cause not in was]
        was = now
    return found


def _happens(step: Any) -> dict[str, str]:  # as above
    contact = {"contact": f"contact: {step.contact}"} if step.contact else {}
    return contact | ({"fallback": "the policy has failed"} if step.mode == "fallback" else {})


def _mode_of(step: Any) -> tuple[Mode, Cause] | None:  # as above; other records than a robot's have no mode
    outputs = getattr(step, "outputs", None)
    mode, cause = getattr(outputs, "mode", None), getattr(outputs, "cause", None)
    return (mode, cause) if isinstance(mode, Mode) and isinstance(cause, Cause) else None
