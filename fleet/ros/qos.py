"""Quality of service: what a publisher offers, what a subscription asks, and why the two may never meet.

DDS joins a writer and a reader only where the offer is at least the request (RxO): a best-effort writer never reaches a
reliable reader, a volatile one never a latched reader. ROS stays silent about it; here `incompatible` says it in words,
and each bus makes a diagnostic of it.

Rules of thumb (measured, see docs/decisions.md): publish reliably, subscribe to sensors with best effort, which both
kinds of writer satisfy; latched on both sides for what must be known to whoever comes late. Deadline and liveliness are
RxO too, and plain ROS nodes offer neither: ask for them between our own nodes alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from sim.errors import MusterError

MAX_DEPTH = 10_000
"""Messages kept for one subscription at most: a deeper queue hides a reader that is too slow until memory ends."""


class QosError(MusterError):
    """A quality of service that nobody can keep."""


@dataclass(frozen=True, slots=True)
class QoS:
    """What a publisher offers or a subscription asks; history is always keep-last. Raises QosError."""

    reliable: bool = True
    """Lost datagrams are sent again; False: best effort."""
    latched: bool = False
    """Transient local: the last `depth` messages are given to whoever comes late; False: volatile."""
    depth: int = 10
    """Messages kept; the oldest makes way."""
    deadline_s: float = math.inf
    """A message is promised (or wanted) at least so often."""
    manual_liveliness: bool = False
    """Alive by what this topic's writer says (manual by topic) rather than by its process's threads (automatic)."""
    lease_s: float = math.inf
    """So long without a sign of life counts as dead."""

    def __post_init__(self) -> None:
        if not 1 <= self.depth <= MAX_DEPTH:
            raise QosError(f"depth: expected 1 to {MAX_DEPTH} messages, came {self.depth}")
        for name, value in (("deadline_s", self.deadline_s), ("lease_s", self.lease_s)):
            if not value > 0.0:
                raise QosError(f"{name}: expected more than 0 s, or math.inf for none, came {value}")


DEFAULT = QoS()
"""ROS 2's default (rmw_qos_profile_default): reliable, volatile, the last 10."""

SENSOR = QoS(reliable=False, depth=5)
"""Subscriptions to sensors (rmw_qos_profile_sensor_data)."""

LATCHED = QoS(latched=True, depth=1)
"""map, robot_description, tf_static: on both sides."""

CLOCK = QoS(reliable=False, depth=1)
"""Subscription to /clock (rclpy.time_source, rclcpp::ClockQoS)."""

TRANSFORMS = QoS(depth=100)
"""/tf (tf2_ros)."""

PARAMETER_EVENTS = QoS(depth=1000)
"""rmw_qos_profile_parameter_events."""

ROSOUT = QoS(latched=True, depth=1000)
"""rmw_qos_profile_rosout_default, whose lifespan of 10 s is left out: nobody reads it."""


def incompatible(offered: QoS, requested: QoS) -> str:
    """Why a writer with the one never reaches a reader with the other; empty where it does."""
    reasons = []
    if requested.reliable and not offered.reliable:
        reasons.append("best effort is offered, reliable asked")
    if requested.latched and not offered.latched:
        reasons.append("volatile is offered, latched (transient local) asked")
    if offered.deadline_s > requested.deadline_s:
        reasons.append(
            f"a deadline of {_seconds(offered.deadline_s)} is offered, {_seconds(requested.deadline_s)} asked"
        )
    if requested.manual_liveliness and not offered.manual_liveliness:
        reasons.append("automatic liveliness is offered, manual by topic asked")
    if offered.lease_s > requested.lease_s:
        reasons.append(f"a lease of {_seconds(offered.lease_s)} is offered, {_seconds(requested.lease_s)} asked")
    return "; ".join(reasons)


def _seconds(value: float) -> str:
    return "none" if math.isinf(value) else f"{value:g} s"
