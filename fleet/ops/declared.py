"""Every metric that the code declares, by its registries: what dashboards and alert rules may name.

Nothing is listed by hand here, so no name can drift: `checked` refuses an expression that names anything else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from coordination.meters import Meters
from fleet.metrics import RobotMetrics, TrainingMetrics
from fleet.plantmetrics import COUNTERS, GAUGES, PlantMetrics
from fleet.rollout.meters import RolloutMetrics
from sim.errors import MusterError

SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
"""Of the series that each type is served as."""


class UndeclaredError(MusterError):
    """An expression names a metric that the code does not serve."""


@dataclass(frozen=True)
class Metric:
    """One metric as the code declares it."""

    name: str
    """Without a suffix"""
    kind: str
    """counter, gauge or histogram"""
    text: str
    group: str
    """Whose it is: robots, coordinator, plant, training or rollout"""

    @property
    def series(self) -> tuple[str, ...]:
        """Names under which Prometheus has it."""
        return tuple(self.name + suffix for suffix in SUFFIXES[self.kind])


def declared() -> dict[str, Metric]:
    """Every metric by its name."""
    plant = PlantMetrics({name: lambda: 0.0 for name in (*GAUGES, *COUNTERS)})
    registries: Mapping[str, CollectorRegistry] = {
        "robots": RobotMetrics(("r0",)).registry,
        "coordinator": Meters().registry,
        "plant": plant.registry,
        "training": TrainingMetrics().registry,
        "rollout": RolloutMetrics().registry,
    }
    return {
        family.name: Metric(family.name, family.type, family.documentation, group)
        for group, registry in registries.items()
        for family in registry.collect()
    }


def checked(expression: str) -> str:
    """The expression itself; raises UndeclaredError where it names a series that no process serves."""
    known = {series for metric in declared().values() for series in metric.series}
    for name in re.findall(r"\bmuster_[a-z0-9_]+", expression):
        if name not in known:
            raise UndeclaredError(f"expected a metric that is served, got {name}; docs/metrics.md lists all")
    return expression
