"""What the coordinator tells Prometheus; the names are listed in docs/metrics.md.

A round stores a snapshot, a scrape reads it: the loop never waits for a scrape. Without a port nothing is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from coordination.page import serve_page
from coordination.schema import Latch

BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
"""s; a tick has 100 ms, a commit costs about 0.4 ms."""


@dataclass(frozen=True)
class _Snapshot:
    tasks: Mapping[str, int] = field(default_factory=dict)
    messages: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    latch: Latch = field(default_factory=Latch)
    robots: int = 0
    waiting: int = 0
    rounds: int = 0


class Meters:
    """Owns the coordinator's registry and the newest snapshot; `serve` opens the page."""

    def __init__(self) -> None:
        """An empty set of meters that nobody reads yet."""
        self.registry = CollectorRegistry()
        self.registry.register(self)
        self._snapshot = _Snapshot()
        self._tick = Histogram(
            "muster_coordinator_tick_seconds", "Handling reports and deciding", registry=self.registry, buckets=BUCKETS
        )
        self._commit = Histogram(
            "muster_coordinator_commit_seconds", "Putting a round on disk", registry=self.registry, buckets=BUCKETS
        )

    def serve(self, port: int) -> None:
        """Answer scrapes on the loopback interface; raises TransportError when the port is in use."""
        serve_page(self.registry, port)

    def round(
        self,
        *,
        tick: float,
        commit: float,
        tasks: Mapping[str, int],
        latch: Latch,
        messages: Mapping[str, Mapping[str, int]],
        robots: int,
        waiting: int = 0,
    ) -> None:
        """Note a round that has ended; times in s, messages by peer and kind."""
        self._tick.observe(tick)
        self._commit.observe(commit)
        self._snapshot = _Snapshot(
            dict(tasks),
            {peer: dict(kinds) for peer, kinds in messages.items()},
            latch,
            robots,
            waiting,
            self._snapshot.rounds + 1,
        )

    def collect(self) -> Iterator[Metric]:
        """Prometheus asks for the snapshot here."""
        now = self._snapshot
        yield CounterMetricFamily("muster_coordinator_rounds", "Rounds ended", value=now.rounds)
        yield GaugeMetricFamily("muster_coordinator_robots", "Robots heard in the last round", value=now.robots)
        yield GaugeMetricFamily("muster_coordinator_stopped", "1 while the stop is latched", value=now.latch.stopped)
        yield CounterMetricFamily("muster_coordinator_stops", "Emergency stops so far", value=now.latch.stop_epoch)
        tasks = GaugeMetricFamily("muster_coordinator_tasks", "Tasks by state", labels=["state"])
        for state, count in now.tasks.items():
            tasks.add_metric([state.lower()], count)
        yield tasks
        yield GaugeMetricFamily(
            "muster_coordinator_tasks_waiting", "Tasks that wait for an operator", value=now.waiting
        )
        messages = CounterMetricFamily(
            "muster_coordinator_messages", "Messages by what became of them", labels=["peer", "kind"]
        )
        for peer, kinds in now.messages.items():
            for kind, count in kinds.items():
                messages.add_metric([peer, kind], count)
        yield messages
