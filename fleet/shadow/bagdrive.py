"""From a recording's messages to a drive: at each scan where the robot was, how fast, what it was told, what it saw.

    scan       LaserScan, brought to the rays of our specification around base_link (the mount from /tf_static)
    odometry   Odometry, between two messages in proportion; its pose too, unless a topic of poses is named
    command    Twist or TwistStamped, the newest; where none was recorded the measured speed stands for it

Time is the recorder's. Stamps in headers are of the robot's clock: what they are behind, in the middle, is taken off
where both clocks are one (less than CLOCKS apart), and a header that is further from that than ODD is not believed.
Where the recorder's clock is set back, time goes on after it and another stretch begins; so it does after a gap.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleet.ros.cdr import CdrError, deserialise
from fleet.ros.messages.geometry_msgs import PoseStamped, PoseWithCovarianceStamped, Twist, TwistStamped
from fleet.ros.messages.nav_msgs import Odometry
from fleet.ros.messages.sensor_msgs import LaserScan
from fleet.ros.messages.tf2_msgs import TFMessage
from fleet.ros.planar import At, after, stamp_of, yaw_of
from fleet.shadow.bag import Bag, BagError
from sim.robot import SECOND, Lidar

SCANS = {"sensor_msgs/msg/LaserScan": LaserScan}
ODOMS = {"nav_msgs/msg/Odometry": Odometry}
COMMANDS = {"geometry_msgs/msg/Twist": Twist, "geometry_msgs/msg/TwistStamped": TwistStamped}
POSES = {
    "geometry_msgs/msg/PoseWithCovarianceStamped": PoseWithCovarianceStamped,
    "geometry_msgs/msg/PoseStamped": PoseStamped,
}
STATIC = "/tf_static"
CLOCKS = 60.0
"""s between recorder and headers from which they are two clocks (simulated time, or none set)."""
ODD = 1.0
"""s by which a header may be off the others'."""
GAP = 0.6
"""s without scan or odometry after which what was between is not known: six periods."""
COMMAND_OLD = 0.5
"""s after which a command holds no more: navigation stacks' bases stop then."""


@dataclass(frozen=True)
class Choice:
    """Which topics to read; empty names are found by type."""

    scan: str = ""
    odom: str = ""
    command: str = ""
    pose: str = ""


@dataclass(frozen=True)
class Tick:
    """One moment of the drive."""

    stamp: int
    """ns from the recording's begin"""
    pose: At
    twist: tuple[float, float]
    command: tuple[float, float]
    scan: bytes
    """float32 of the specification's rays, m"""


@dataclass
class Driven:
    """What was recorded, in stretches without gaps."""

    stretches: list[list[Tick]]
    frame: str
    """Of the poses"""
    notes: list[str] = field(default_factory=list)
    commanded: bool = True
    """Whether commands were recorded"""


@dataclass
class _Heard:
    """Stamps (ns) and values of one topic."""

    stamps: list[int] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)  # each topic's own

    def add(self, stamp: int, value: object) -> None:
        self.stamps.append(stamp)
        self.values.append(value)


def pick(bag: Bag, choice: Choice) -> Choice:
    """The topics to read. Raises BagError where one is missing, has another type, or several could be meant."""
    return Choice(
        _one(bag, "scan", choice.scan, SCANS, "/scan", needed=True),
        _one(bag, "odom", choice.odom, ODOMS, "/odom", needed=True),
        _one(bag, "command", choice.command, COMMANDS, "/cmd_vel", needed=False),
        _one(bag, "pose", choice.pose, POSES, "", needed=False) if choice.pose else "",
    )


def read_drive(bag: Bag, topics: Choice, lidar: Lidar, period: float) -> Driven:
    """The drive that the topics tell, at most one tick in `period` s. Raises BagError where nothing is left."""
    heard, mounts, notes, base = _hear(bag, topics)
    scans, odoms = heard["scan"], heard["odom"]
    if not scans.stamps or not odoms.stamps:
        lacks = topics.scan if not scans.stamps else topics.odom
        raise BagError(f"expected messages on {lacks}, none can be read; name another topic or give another recording")
    order = np.argsort(np.array(odoms.stamps), kind="stable")
    times = np.array(odoms.stamps, np.int64)[order]
    rows = np.array(odoms.values, float)[order]
    rows[:, 2] = np.unwrap(rows[:, 2])
    places, where = (times, rows[:, :3])
    if topics.pose:
        poses = heard["pose"]
        if not poses.stamps:
            raise BagError(f"expected messages on {topics.pose}, none can be read; name another topic with --pose")
        order = np.argsort(np.array(poses.stamps), kind="stable")
        places, where = np.array(poses.stamps, np.int64)[order], np.array(poses.values, float)[order]
        where[:, 2] = np.unwrap(where[:, 2])
    commands = heard["command"]
    held = np.array(commands.stamps, np.int64)
    stretches: list[list[Tick]] = []
    last, lost, blind = -math.inf, 0.0, 0
    fit: dict[str, At] = {}
    for stamp, scan in sorted(zip(scans.stamps, scans.values, strict=True), key=lambda one: one[0]):
        if stamp - last < 0.9 * period * SECOND:
            continue
        near = _between(times, stamp)
        at = _between(places, stamp)
        if near is None or at is None:
            blind += 1
            continue
        v, w = _mix(times, rows, near, stamp)[3:5]
        x, y, yaw = _mix(places, where, at, stamp)[:3]
        if not all(map(math.isfinite, (x, y, yaw, v, w))):
            blind += 1
            continue
        frame = scan.header.frame_id
        mount = fit.setdefault(frame, _mount(mounts, frame, base))
        ranges = rays(scan, mount, lidar)
        if ranges is None:
            blind += 1
            continue
        told = (float(v), float(w))
        if topics.command and len(held):
            newest = int(np.searchsorted(held, stamp, side="right")) - 1
            fresh = newest >= 0 and stamp - held[newest] <= COMMAND_OLD * SECOND
            told = commands.values[newest] if fresh else (0.0, 0.0)
        if stamp - last > GAP * SECOND:
            lost += (stamp - last) / SECOND if stretches else 0.0
            stretches.append([])
        last = stamp
        yaw = math.remainder(float(yaw), math.tau)
        stretches[-1].append(Tick(stamp, (float(x), float(y), yaw), (float(v), float(w)), told, ranges.tobytes()))
    if not stretches:
        raise BagError(
            f"expected scans on {topics.scan} with odometry on {topics.odom} around them, there are none; name topics "
            "of one robot and one clock"
        )
    if len(stretches) > 1:
        notes.append(f"{len(stretches) - 1} gaps, {lost:.1f} s in all: what was between is left out")
    if blind:
        notes.append(f"{blind} scans without odometry around them, or that are no scan, were left out")
    commanded = bool(topics.command) and len(held) > 0
    if not commanded:
        notes.append("no commands were recorded: the measured speed stands for them")
    return Driven(stretches, heard_frame(heard), notes, commanded)


def heard_frame(heard: dict[str, _Heard]) -> str:
    """The frame of the poses, for a person."""
    return str(heard["frame"].values[0]) if heard["frame"].values else ""


def rays(scan: LaserScan, mount: At, lidar: Lidar) -> NDArray[np.float32] | None:
    """The scan as our lidar at base_link would have it, (rays,), m; None where its angles are no numbers.

    What lies outside the range limits, or where no beam went, reads range_max: nothing is known to be there.
    """
    ranges = np.asarray(scan.ranges, float)
    if (
        not len(ranges)
        or not all(map(math.isfinite, (scan.angle_min, scan.angle_increment)))
        or not scan.angle_increment
    ):
        return None
    angles = scan.angle_min + scan.angle_increment * np.arange(len(ranges)) + mount[2]
    known = np.isfinite(ranges) & (ranges >= max(scan.range_min, 1e-3))
    if math.isfinite(scan.range_max) and scan.range_max > 0.0:
        known &= ranges <= scan.range_max
    x = mount[0] + ranges[known] * np.cos(angles[known])
    y = mount[1] + ranges[known] * np.sin(angles[known])
    step = math.tau / lidar.rays
    out = np.full(lidar.rays, lidar.range_max)
    place = np.round((np.arctan2(y, x) + math.pi) / step).astype(int) % lidar.rays
    np.minimum.at(out, place, np.hypot(x, y))
    hit = np.zeros(lidar.rays, bool)
    hit[place] = True
    for away in range(
        1, math.ceil(abs(scan.angle_increment) / step / 2.0) + 1 if abs(scan.angle_increment) > step else 1
    ):
        for turn in (away, -away):  # a coarser lidar: its beam stands for the rays beside it
            spread = np.roll(np.where(hit, out, lidar.range_max), turn)
            out = np.where(hit, out, np.minimum(out, spread))
    return np.clip(out, 0.0, lidar.range_max).astype(np.float32)


def _hear(bag: Bag, topics: Choice) -> tuple[dict[str, _Heard], dict[str, tuple[str, At]], list[str], str]:
    """What the topics say, on one time; mounts by child frame; notes; the base's frame."""
    by = {getattr(topics, name): name for name in ("scan", "odom", "command", "pose") if getattr(topics, name)}
    kinds = {**SCANS, **ODOMS, **COMMANDS, **POSES}
    heard = {name: _Heard() for name in ("scan", "odom", "command", "pose", "frame")}
    mounts: dict[str, tuple[str, At]] = {}
    notes: list[str] = []
    base, bad = "", 0
    begin, newest, moved = None, None, 0
    headers: dict[str, list[tuple[int, int, Any]]] = {name: [] for name in heard}
    for raw in bag.messages([*by, STATIC]):
        if newest is not None and raw.stamp + moved < newest - ODD * SECOND:
            back = (newest - raw.stamp - moved) / SECOND
            moved = newest - raw.stamp + round(2.0 * GAP * SECOND)
            notes.append(f"the recorder's clock went back by {back:.1f} s: what follows is a stretch of its own")
        stamp = raw.stamp + moved
        newest = max(stamp, newest or stamp)
        begin = stamp if begin is None else begin
        try:
            if raw.topic == STATIC:
                for each in deserialise(TFMessage, raw.data).transforms:
                    t = each.transform
                    yaw = 2.0 * math.atan2(t.rotation.z, t.rotation.w)
                    mounts[each.child_frame_id] = (each.header.frame_id, (t.translation.x, t.translation.y, yaw))
                continue
            name = by[raw.topic]
            message: Any = deserialise(kinds[bag.topics[raw.topic]], raw.data)
        except CdrError:
            bad += 1
            continue
        head = getattr(message, "header", None)
        told = stamp_of(head.stamp) + moved if head is not None else stamp
        if name == "odom":
            base = base or message.child_frame_id
            heard["frame"].add(stamp, message.header.frame_id)
        headers[name].append((stamp, told, _value(name, message)))
    _place(headers, heard, begin or 0, notes)
    if bad:
        notes.append(f"{bad} messages that are not what their topic says were left out")
    return heard, mounts, [*bag.notes, *notes], base


def _place(
    headers: dict[str, list[tuple[int, int, Any]]], heard: dict[str, _Heard], begin: int, notes: list[str]
) -> None:
    """Put every message where it was measured, ns from the begin."""
    odd = 0
    for name, rows in headers.items():
        if not rows:
            continue
        behind = int(np.median([stamp - told for stamp, told, _ in rows]))
        shift = behind if abs(behind) > CLOCKS * SECOND else 0
        for stamp, told, value in rows:
            when = told + shift
            if abs(stamp - when - (behind - shift)) > ODD * SECOND:
                odd += 1
                when = stamp
            heard[name].add(when - begin, value)
    if odd:
        notes.append(f"{odd} messages have stamps that jump: the time at which they were recorded was taken")


def _value(name: str, message: Any) -> Any:  # of the topic's own kind
    if name == "odom":
        pose, twist = message.pose.pose, message.twist.twist
        return (pose.position.x, pose.position.y, yaw_of(pose.orientation), twist.linear.x, twist.angular.z)
    if name == "pose":
        pose = message.pose.pose if isinstance(message, PoseWithCovarianceStamped) else message.pose
        return (pose.position.x, pose.position.y, yaw_of(pose.orientation))
    if name == "command":
        twist = message.twist if isinstance(message, TwistStamped) else message
        command = (float(twist.linear.x), float(twist.angular.z))
        return command if all(map(math.isfinite, command)) else (0.0, 0.0)
    return message


def _mount(mounts: dict[str, tuple[str, At]], frame: str, base: str) -> At:
    """Where a frame is on the base; at its middle where nobody says."""
    at: At = (0.0, 0.0, 0.0)
    for _ in range(len(mounts)):
        if frame == base or frame not in mounts:
            break
        frame, next_at = mounts[frame]
        at = after(next_at, at)
    return at


def _between(times: NDArray[np.int64], stamp: int) -> int | None:
    """Index of the message after a stamp that has one before it, both near; None where it has none."""
    index = int(np.searchsorted(times, stamp))
    if index == len(times) or index == 0:
        edge = min(index, len(times) - 1)
        return edge if abs(int(times[edge]) - stamp) <= GAP * SECOND / 2.0 else None
    return index if times[index] - times[index - 1] <= GAP * SECOND else None


def _mix(times: NDArray[np.int64], rows: NDArray[np.floating], index: int, stamp: int) -> NDArray[np.floating]:
    """The row at a stamp, between the two around it in proportion."""
    if index == 0 or times[index] == times[index - 1] or stamp > times[index]:
        return rows[index]
    share = (stamp - times[index - 1]) / (times[index] - times[index - 1])
    return rows[index - 1] + share * (rows[index] - rows[index - 1])


def _one(bag: Bag, what: str, named: str, kinds: dict[str, type], usual: str, *, needed: bool) -> str:
    """The topic of a kind that is named, or the usual one, or the only one; empty for none where none is needed."""
    there = ", ".join(f"{topic} ({kind})" for topic, kind in sorted(bag.topics.items()))
    words = " or ".join(kinds)
    if named:
        name = named if named.startswith("/") else f"/{named}"
        if bag.topics.get(name) not in kinds:
            raise BagError(f"--{what}: expected a topic of {words}, got {name}; the recording has {there}")
        return name
    fits = sorted(topic for topic, kind in bag.topics.items() if kind in kinds)
    best = [topic for topic in fits if usual and topic.endswith(usual)] or fits
    if len(best) > 1:
        raise BagError(f"expected one {what}, the recording has {', '.join(best)}; choose with --{what}")
    if not best and needed:
        raise BagError(f"expected a topic of {words}, the recording has {there}; record one, or name it with --{what}")
    return best[0] if best else ""
