"""What `muster rollout serve` tells Prometheus; the names are listed in docs/metrics.md."""

from __future__ import annotations

import time
from collections import Counter as Count
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge

from coordination.page import serve_page
from fleet.rollout.assign import BASELINE, CANDIDATE, HOLDOUT
from fleet.rollout.conduct import Conductor
from fleet.rollout.leasing import LeaseServer
from fleet.rollout.record import Status

SECOND = 1_000_000_000
HEARD = 2.0
"""s since a robot's last question within which it counts as there: the longest life of a lease."""
STATUSES: tuple[str, ...] = get_args(Status)


class RolloutMetrics:
    """The metrics of one rollout's service; owns their registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        r = self.registry
        self._stage = Gauge("muster_rollout_stage", "Stage (fleet.rollout.plan.Stage)", registry=r)
        self._status = Gauge("muster_rollout_status", "1 for how the rollout stands", ("status",), registry=r)
        self._robots = Gauge("muster_rollout_robots", "Robots by what they are to drive", ("arm",), registry=r)
        self._asking = Gauge(
            "muster_rollout_asking_robots", "Robots that asked for a lease lately", ("arm",), registry=r
        )
        self._tripped = Gauge("muster_rollout_tripped_robots", "Robots whose own guard took it back", registry=r)
        self._epoch = Gauge("muster_rollout_epoch", "Times that leases were taken back", registry=r)
        self._evidence = Gauge("muster_rollout_evidence_ratio", "Evidence over what a rollback needs", registry=r)
        self._missions = Counter("muster_rollout_missions", "Missions that the judge was told of", registry=r)
        self._undecided = Gauge("muster_rollout_undecided", "1 while nothing can be written or decided", registry=r)
        self._judged = 0

    def tell(self, conductor: Conductor, server: LeaseServer) -> None:
        """How it stands now."""
        state = conductor.state
        self._stage.set(int(state.stage))
        for status in STATUSES:
            self._status.labels(status).set(state.status == status)
        since = time.monotonic_ns() - int(HEARD * SECOND)
        there = Count(state.arms.get(robot, "") for robot, at in dict(server.heard).items() if at >= since)
        arms = Count(state.arms.values())
        for arm in (CANDIDATE, BASELINE, HOLDOUT):
            self._robots.labels(arm).set(arms[arm])
            self._asking.labels(arm).set(there[arm])
        self._tripped.set(len(state.tripped))
        self._epoch.set(state.epoch)
        if conductor.verdict is not None:
            self._evidence.set(conductor.verdict.log_e / conductor.verdict.log_e_needed)
        self._missions.inc(conductor.judge.missions - self._judged)
        self._judged = conductor.judge.missions
        self._undecided.set(bool(conductor.trouble))

    def serve(self, port: int) -> None:
        """Serve /metrics on 127.0.0.1; raises TransportError when the port is in use."""
        serve_page(self.registry, port)
