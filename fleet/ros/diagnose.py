"""Diagnostics as others see them: what a bus, a robot or a plant finds, on /diagnostics (REP 107), once a second."""

from __future__ import annotations

from collections.abc import Iterable

from fleet.ros.bus import Diagnostic, Level
from fleet.ros.messages.diagnostic_msgs import DiagnosticArray, DiagnosticStatus, KeyValue
from fleet.ros.planar import header

PERIOD = 1.0
"""s between two messages (REP 107)."""


def array(stamp: int, statuses: Iterable[DiagnosticStatus]) -> DiagnosticArray:
    """What is said at `stamp` (ns)."""
    return DiagnosticArray(header(stamp, ""), list(statuses))


def status(
    name: str, hardware: str, found: Iterable[Diagnostic], values: Iterable[tuple[str, object]] = ()
) -> DiagnosticStatus:
    """How a part is: as bad as the worst that was found of it, and all of that in words."""
    found = sorted(found, key=lambda each: -each.level)
    level = max((each.level for each in found), default=Level.OK)
    text = "; ".join(dict.fromkeys(each.text for each in found)) or "ok"
    return DiagnosticStatus(int(level), name, text, hardware, [KeyValue(key, str(value)) for key, value in values])
