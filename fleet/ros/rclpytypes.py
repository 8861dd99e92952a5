"""What rclpy calls our types, qualities of service and ends, and we its: imported only where ROS 2 is sourced."""

from __future__ import annotations

import importlib
import math
from typing import Any  # rclpy's objects: its types are not known where it is not installed

from rclpy.duration import Duration  # pyright: ignore[reportMissingImports]
from rclpy.qos import (  # pyright: ignore[reportMissingImports]
    DurabilityPolicy,
    HistoryPolicy,
    LivelinessPolicy,
    QoSProfile,
    ReliabilityPolicy,
)

from fleet.ros.bus import BusError
from fleet.ros.graph import Endpoint
from fleet.ros.names import qualified
from fleet.ros.qos import MAX_DEPTH, QoS

NAMELESS = ("_NODE_NAME_UNKNOWN_", "_CREATED_BY_BARE_DDS_APP_")
"""What stands for the node of an end whose participant has not told its nodes yet, or never will (rmw_dds_common)."""

FOREVER_S = 1e9
"""Durations beyond 30 years are rmw's `infinite` (2**63 - 1 ns)."""


def imported(name: str) -> type:
    """The class in rclpy of a ROS type; raises BusError where its package is not installed."""
    package, _, kind = name.split("/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), kind)
    except (ImportError, AttributeError):
        raise BusError(
            f"{name} is not installed in the sourced ROS 2: install ros-<distribution>-{package.replace('_', '-')}, or "
            "build the workspace that has it and source it"
        ) from None


def profile_of(qos: QoS) -> Any:
    """The profile in rclpy of a quality of service."""
    wanted: dict[str, Any] = {
        "history": HistoryPolicy.KEEP_LAST,
        "depth": qos.depth,
        "reliability": ReliabilityPolicy.RELIABLE if qos.reliable else ReliabilityPolicy.BEST_EFFORT,
        "durability": DurabilityPolicy.TRANSIENT_LOCAL if qos.latched else DurabilityPolicy.VOLATILE,
        "liveliness": LivelinessPolicy.MANUAL_BY_TOPIC if qos.manual_liveliness else LivelinessPolicy.AUTOMATIC,
    }
    if math.isfinite(qos.deadline_s):
        wanted["deadline"] = Duration(seconds=qos.deadline_s)
    if math.isfinite(qos.lease_s):
        wanted["liveliness_lease_duration"] = Duration(seconds=qos.lease_s)
    return QoSProfile(**wanted)


def endpoint_of(topic: str, info: Any, *, writer: bool) -> Endpoint:
    """One of rclpy's TopicEndpointInfo as we say it."""
    told = str(getattr(info, "topic_type_hash", ""))  # Humble tells none, others may say INVALID
    return Endpoint(
        topic=topic,
        type_name=info.topic_type,
        type_hash=told if told.startswith("RIHS") else "",
        qos=qos_of(info.qos_profile),
        writer=writer,
        node="" if info.node_name in NAMELESS else qualified(info.node_namespace, info.node_name),
        gid=bytes(info.endpoint_gid),
    )


def qos_of(profile: Any) -> QoS:
    """A discovered profile as a quality of service; a depth that was not told is 1."""
    return QoS(
        reliable=profile.reliability == ReliabilityPolicy.RELIABLE,
        latched=profile.durability == DurabilityPolicy.TRANSIENT_LOCAL,
        depth=min(max(profile.depth, 1), MAX_DEPTH),
        deadline_s=_seconds(profile.deadline),
        manual_liveliness=profile.liveliness == LivelinessPolicy.MANUAL_BY_TOPIC,
        lease_s=_seconds(profile.liveliness_lease_duration),
    )


def _seconds(duration: Any) -> float:
    """A duration of rclpy's; zero (unspecified) and its infinite are none at all."""
    seconds = duration.nanoseconds * 1e-9
    return seconds if 0.0 < seconds < FOREVER_S else math.inf
