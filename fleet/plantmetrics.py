"""What a plant tells Prometheus; the names are listed in docs/metrics.md.

What only rises is a counter, though the plant keeps it as a number: rates and resets are Prometheus's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

GAUGES = {"muster_plant_simulated_seconds": "Site clock", "muster_plant_members": "Robots there"}
COUNTERS = {
    "muster_plant_rounds": "Rounds since the start",
    "muster_plant_collisions": "Collisions by the engine",
    "muster_plant_oracle_collisions": "Collisions by geometry",
    "muster_plant_person_contacts": "People against standing robots",
}


class PlantMetrics:
    """Reads a plant's numbers when Prometheus asks; owns their registry."""

    def __init__(self, sources: Mapping[str, Callable[[], float]]) -> None:
        """`sources` gives each metric's number by its name."""
        assert set(sources) == {*GAUGES, *COUNTERS}
        self._sources = sources
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Prometheus asks here."""
        for name, text in GAUGES.items():
            yield GaugeMetricFamily(name, text, value=self._sources[name]())
        for name, text in COUNTERS.items():
            yield CounterMetricFamily(name, text, value=self._sources[name]())
