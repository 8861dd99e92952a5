"""`demo`: the main job as `make demo` runs it, from the launch to the table: train, freeze, run the fleet, report.

Parts: `seconds` (wall time after installation, kernel caches warm), `tasks` (done of 60), `collisions` (by the count
that saw more), and beside them `success` (held-out share when training ended) and `fleet_seconds` (from submission to
the last task), which say where the time went.
"""

from __future__ import annotations

from collections.abc import Iterable

from figure import Figure
from launched import launch

SLOW = True


def measure(quick: bool) -> Iterable[Figure]:
    """One run; its seed is the launch file's."""
    run = launch("warehouse_demo.launch.yaml", [], limit=1200.0)
    yield Figure("seconds", round(run.seconds, 1), "s")
    yield Figure("tasks", len(run.findings.done), "1")
    yield Figure("collisions", run.collisions, "1")
    checks = [entry["held_out_success"] for entry in run.findings.curve if "held_out_success" in entry]
    yield Figure("success", checks[-1] if checks else 0.0, "1")
    yield Figure("fleet_seconds", round(run.findings.audit["fleet_seconds"], 1), "s")
