"""A laser scan as cyclonedds' own dataclasses have it: the rival of `dds_codec`."""

# no `from __future__ import annotations`: the binding reads annotations as they stand

from dataclasses import dataclass

from cyclonedds.idl import IdlStruct
from cyclonedds.idl.types import float32, int32, sequence, uint32

from fleet.ros.messages.sensor_msgs import LaserScan


@dataclass
class Time(IdlStruct, typename="builtin_interfaces.msg.dds_.Time_"):
    """An instant."""

    sec: int32
    nanosec: uint32


@dataclass
class Header(IdlStruct, typename="std_msgs.msg.dds_.Header_"):
    """When and where."""

    stamp: Time
    frame_id: str


@dataclass
class Scan(IdlStruct, typename="sensor_msgs.msg.dds_.LaserScan_"):
    """One turn of a lidar."""

    header: Header
    angle_min: float32
    angle_max: float32
    angle_increment: float32
    time_increment: float32
    scan_time: float32
    range_min: float32
    range_max: float32
    ranges: sequence[float32]
    intensities: sequence[float32]


def made(scan: LaserScan) -> Scan:
    """The same scan, its arrays as lists."""
    return Scan(
        Header(Time(scan.header.stamp.sec, scan.header.stamp.nanosec), scan.header.frame_id),
        scan.angle_min,
        scan.angle_max,
        scan.angle_increment,
        scan.time_increment,
        scan.scan_time,
        scan.range_min,
        scan.range_max,
        scan.ranges.tolist(),
        scan.intensities.tolist(),
    )
