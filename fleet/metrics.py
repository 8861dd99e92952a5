"""What robots' and trainings' processes count, as Prometheus metrics: names, units and labels (see docs/metrics.md).

Every metric of a robot has the label `robot`, every one of a training `level`. Children are looked up once, so that an
observation on the control path costs about a microsecond.
"""

from __future__ import annotations

import math

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from coordination.page import serve_page

STEP_BUCKETS = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1)
"""Bounds of the step's latency histogram, s: around the goals of 1, 2, 3 and 5 ms up to the period."""


class RobotMetrics:
    """The metrics of the robots of one process; owns their registry."""

    def __init__(self, robots: tuple[str, ...]) -> None:
        self.registry = CollectorRegistry()
        r, label = self.registry, ("robot",)
        step = Histogram("muster_control_step_seconds", "Control step", label, registry=r, buckets=STEP_BUCKETS)
        steps = Counter("muster_control_steps", "Control steps", label, registry=r)
        missed = Counter("muster_missed_deadlines", "Steps that ended after their period", label, registry=r)
        skipped = Counter("muster_skipped_cycles", "Cycles passed over for a newer one", label, registry=r)
        mode = Gauge("muster_supervisor_mode", "Supervisor mode (safety.supervisor.Mode)", label, registry=r)
        status = Gauge("muster_robot_status", "Status (coordination.messages.RobotStatus)", label, registry=r)
        battery = Gauge("muster_battery_ratio", "State of charge", label, registry=r)
        self._interventions = Counter(
            "muster_shield_interventions", "Commands that the shield replaced", ("robot", "reason"), registry=r
        )
        self._stops = Counter(
            "muster_protective_stops", "Stops by cause, counted as they begin", ("robot", "cause"), registry=r
        )
        dropped = Counter("muster_blackbox_dropped_steps", "Steps that no file holds", label, registry=r)
        failed = Counter("muster_blackbox_failed_writes", "Writes or syncs that failed", label, registry=r)
        faults = Counter("muster_blackbox_faults", "Errors of the writer that are no disk's", label, registry=r)
        written = Counter("muster_blackbox_written_bytes", "Bytes of black box written", label, registry=r)
        messages = Counter(
            "muster_robot_messages", "Messages by what became of them", ("robot", "peer", "kind"), registry=r
        )
        self._messages = messages
        self._trips = Counter(
            "muster_guard_trips", "Calls of the fallback by a policy's guard", ("robot", "reason"), registry=r
        )
        breaker = Gauge("muster_guard_open", "1 while a policy's breaker is open", label, registry=r)
        self._swaps = Counter(
            "muster_policy_swaps",
            "Requests for another policy by what became of them",
            ("robot", "outcome"),
            registry=r,
        )
        self._pairs = Counter("muster_shadow_pairs", "Steps that a candidate was asked in too", label, registry=r)
        self._differing = Counter(
            "muster_shadow_differing", "Of these, steps in which it proposed another command", label, registry=r
        )
        self._shadowed = Counter(
            "muster_shadow_interventions", "Of these, proposals that the shield changes", ("robot", "side"), registry=r
        )
        self._unasked = Counter(
            "muster_shadow_skipped", "Steps that a candidate was not asked in", ("robot", "why"), registry=r
        )
        self.step = {robot: step.labels(robot) for robot in robots}
        """Seconds from the readings to the released command, black box append included."""
        self.steps = {robot: steps.labels(robot) for robot in robots}
        self.missed = {robot: missed.labels(robot) for robot in robots}
        self.skipped = {robot: skipped.labels(robot) for robot in robots}
        self.mode = {robot: mode.labels(robot) for robot in robots}
        self.status = {robot: status.labels(robot) for robot in robots}
        self.battery = {robot: battery.labels(robot) for robot in robots}
        self.breaker = {robot: breaker.labels(robot) for robot in robots}
        self.dropped = {robot: dropped.labels(robot) for robot in robots}
        self.failed = {robot: failed.labels(robot) for robot in robots}
        self.faults = {robot: faults.labels(robot) for robot in robots}
        self.written = {robot: written.labels(robot) for robot in robots}

    def intervention(self, robot: str, reason: str) -> None:
        """Count one command that the shield replaced."""
        self._interventions.labels(robot, reason).inc()

    def stop(self, robot: str, cause: str) -> None:
        """Count one protective stop."""
        self._stops.labels(robot, cause).inc()

    def trip(self, robot: str, reason: str) -> None:
        """Count one call of the fallback by a policy's guard."""
        self._trips.labels(robot, reason).inc()

    def swap(self, robot: str, outcome: str) -> None:
        """Count one request for another policy."""
        self._swaps.labels(robot, outcome).inc()

    def shadow(self, robot: str, key: str, count: int) -> None:
        """Count of a shadow: pairs, differing, interventions of production or candidate, or a skip by its reason."""
        if key == "pairs":
            self._pairs.labels(robot).inc(count)
        elif key == "differing":
            self._differing.labels(robot).inc(count)
        elif key in ("production", "candidate"):
            self._shadowed.labels(robot, key).inc(count)
        else:
            self._unasked.labels(robot, key).inc(count)

    def message(self, robot: str, peer: str, kind: str, count: int) -> None:
        """Count messages of one kind from one peer."""
        self._messages.labels(robot, peer, kind).inc(count)

    def serve(self, port: int) -> None:
        """Serve /metrics on 127.0.0.1; raises TransportError when the port is in use."""
        serve_page(self.registry, port)


class TrainingMetrics:
    """The metrics of the levels that one process trains, one after the other; owns their registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        r, label = self.registry, ("level",)
        self._steps = Counter(
            "muster_training_steps", "Steps over all worlds, resumed parts included", label, registry=r
        )
        self._diverged = Counter("muster_training_diverged_worlds", "Worlds that blew up", label, registry=r)
        self._rate = Gauge("muster_training_steps_per_second", "Of the last iteration", label, registry=r)
        self._success = Gauge("muster_training_success_ratio", "Of the last training episodes", label, registry=r)
        self._held_out = Gauge(
            "muster_training_held_out_ratio", "Successes of the last held-out check", label, registry=r
        )
        self._before: dict[str, tuple[int, float, int]] = {}
        """Steps, seconds and diverged worlds of each level as they were told last"""

    def show(
        self,
        level: str,
        steps: int,
        seconds: float,
        *,
        diverged: int = 0,
        success: float = math.nan,
        held_out: float = math.nan,
    ) -> None:
        """Totals of a level after an iteration; `seconds` of wall time. What is no number is not served."""
        counted, then, lost = self._before.get(level, (0, 0.0, 0))
        self._steps.labels(level).inc(steps - counted)
        self._diverged.labels(level).inc(diverged - lost)
        if seconds > then:
            self._rate.labels(level).set((steps - counted) / (seconds - then))
        for gauge, value in ((self._success, success), (self._held_out, held_out)):
            if math.isfinite(value):
                gauge.labels(level).set(value)
        self._before[level] = (steps, seconds, diverged)

    def serve(self, port: int) -> None:
        """Serve /metrics on 127.0.0.1, for port 0 nothing; raises TransportError when the port is in use."""
        if port:
            serve_page(self.registry, port)
