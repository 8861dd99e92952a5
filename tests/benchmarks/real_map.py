"""`real_map`: the trained policy, not retrained, on a MovingAI warehouse: 32 robots, 200 deliveries, 1.2 m cells.

Once with the whole floor declared person-free and nobody on it (`completed`, `collisions`, `double_grants`), once with
four people who walk at up to 1.6 m/s (`people_4_*`); each run is bound to 20 minutes of wall time. `*seconds` is the
wall time from the submission to the last task or the bound.
"""

from __future__ import annotations

from collections.abc import Iterable

from figure import Figure
from launched import SHARED, launch
from policy import trained_policy

SLOW = True

MAP = SHARED / "maps" / "warehouse-10-20-10-2-1.map"
LIMIT = 1200.0
"""s of wall time for each run."""


def measure(quick: bool) -> Iterable[Figure]:
    """Both runs; the policy is trained before the clock starts."""
    policy = trained_policy()
    for prefix, site, people in (("", f"{MAP}:person-free", 0), ("people_4_", str(MAP), 4)):
        run = launch(
            "warehouse.launch.yaml",
            [
                f"site:={site}",
                f"policy:={policy}",
                "robots:=32",
                "tasks:=200",
                f"people:={people}",
                f"limit:={LIMIT:g}",
                "video:=false",
            ],
            limit=LIMIT + 180.0,
        )
        yield Figure(f"{prefix}completed", len(run.findings.done), "1")
        yield Figure(f"{prefix}collisions", run.collisions, "1")
        yield Figure(f"{prefix}double_grants", run.double_grants, "1")
        yield Figure(f"{prefix}seconds", round(run.findings.audit["fleet_seconds"], 1), "s")
