"""`muster dashboards`: Grafana's dashboard and Prometheus's alert rules, made from the metrics that are served.

muster dashboards --out monitoring                      writes muster.json and muster.rules.yml
muster dashboards --out monitoring --windows own.yaml   budgets over windows of your own, in sloth's format
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from sim.errors import MusterError
from sim.files import write_atomic

DASHBOARD, RULES = "muster.json", "muster.rules.yml"


class DashboardsError(MusterError):
    """The files cannot be written."""


@dataclass(frozen=True)
class Config:
    """Write Grafana's dashboard and Prometheus's alert rules for a fleet's metrics."""

    out: Path = Path("monitoring")
    """Folder for both files, made if it is not there"""
    windows: Path | None = None
    """Alert windows in sloth's format; Google's for 30 days if not given"""


def run(config: Config) -> int:
    """Write both files; returns 0. Raises MusterError."""
    import yaml

    from fleet.ops.burn import GOOGLE, read_windows
    from fleet.ops.grafana import dashboard
    from fleet.ops.rules import rules

    windows = read_windows(config.windows) if config.windows is not None else GOOGLE
    try:
        config.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DashboardsError(f"--out: cannot make {config.out}: {error.strerror}; choose a writable place") from None
    write_atomic(config.out / DASHBOARD, json.dumps(dashboard(), indent=1) + "\n")
    head = "# Made by `muster dashboards`; make it anew instead of changing it.\n"
    write_atomic(config.out / RULES, head + yaml.safe_dump(rules(windows), sort_keys=False, width=200))
    print(config.out / DASHBOARD)
    print(config.out / RULES)
    return 0
