"""A rosbag2 recording made here: a robot that drives along an aisle, as MCAP or SQLite."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from mcap.writer import CompressionType, Writer

from fleet.ros.cdr import serialise
from fleet.ros.kinds import name_of
from fleet.ros.messages.geometry_msgs import PoseWithCovariance, Twist, TwistWithCovariance, Vector3
from fleet.ros.messages.nav_msgs import Odometry
from fleet.ros.messages.sensor_msgs import LaserScan
from fleet.ros.messages.std_msgs import Header
from fleet.ros.messages.tf2_msgs import TFMessage
from fleet.ros.planar import pose_of, time_of, transform_of
from sim.robot import SECOND
from tests.fleet.episodes import aisle, walls

SITE = aisle()
BEGIN = 1_700_000_000 * SECOND
BEAMS = 720
Message = tuple[str, int, object]
"""Topic, recorder's stamp (ns), message."""


def drive(seconds: float = 20.0, speed: float = 0.5, *, mount: float = 0.0, prefix: str = "") -> list[Message]:
    """Scans at 10 Hz, odometry and commands at 20 Hz; `mount`: by which the lidar is turned, rad."""
    look = walls(SITE, BEAMS, 30.0)
    out: list[Message] = [
        ("/tf_static", BEGIN, TFMessage([transform_of(BEGIN, "base_link", "laser", (0.1, 0.0, mount))]))
    ]
    for number in range(int(seconds * 20)):
        t = number / 20.0
        stamp = BEGIN + round(t * SECOND)
        x = 0.6 + speed * t
        twist = Twist(Vector3(speed, 0.0, 0.0), Vector3(0.0, 0.0, 0.01 * math.sin(t)))
        head = Header(time_of(stamp), "odom")
        odom = Odometry(head, "base_link", PoseWithCovariance(pose_of((x, 1.8, 0.0))), TwistWithCovariance(twist))
        out.append((f"{prefix}/odom", stamp + 1_000_000, odom))
        out.append((f"{prefix}/cmd_vel", stamp + 2_000_000, twist))
        if number % 2 == 0:
            ranges = look((x + 0.1, 1.8, mount)).astype(np.float32)
            ranges[ranges > 25.0] = np.inf
            scan = LaserScan(
                Header(time_of(stamp), "laser"), -math.pi, math.pi, 2.0 * math.pi / BEAMS, 0.0, 0.1, 0.05, 25.0, ranges
            )
            out.append((f"{prefix}/scan", stamp + 3_000_000, scan))
    return out


def write_mcap(path: Path, messages: Iterable[Message], compression: CompressionType = CompressionType.ZSTD) -> Path:
    with path.open("wb") as file:
        writer = Writer(file, compression=compression, chunk_size=64 * 1024)
        writer.start("ros2")
        channels: dict[str, int] = {}
        for topic, stamp, message in messages:
            if topic not in channels:
                schema = writer.register_schema(name_of(type(message)), "ros2msg", b"")
                channels[topic] = writer.register_channel(topic, "cdr", schema)
            writer.add_message(channels[topic], stamp, serialise(message), stamp)
        writer.finish()
    return path


def write_sqlite(path: Path, messages: Iterable[Message]) -> Path:
    base = sqlite3.connect(path)
    base.execute("CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT, type TEXT, serialization_format TEXT)")
    base.execute("CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER, timestamp INTEGER, data BLOB)")
    numbers: dict[str, int] = {}
    for topic, stamp, message in messages:
        if topic not in numbers:
            numbers[topic] = len(numbers) + 1
            base.execute("INSERT INTO topics VALUES (?, ?, ?, 'cdr')", (numbers[topic], topic, name_of(type(message))))
        row = (numbers[topic], stamp, serialise(message))
        base.execute("INSERT INTO messages(topic_id, timestamp, data) VALUES (?, ?, ?)", row)
    base.commit()
    base.close()
    return path
