"""The black box of a drive: every control step of one car in an MCAP file, and the drive read back from it.

Three channels of msgpack maps, one message each per control step (stamp: simulated time, ns):

    drive      what the car did and why: pose, motion, proposed and released command, margin, mode, reason, stored plan,
               lane, limit, clearance, time to collision, objects sensed, invariants that do not hold, contact, blame
               and, where there is a lidar, its scan and the age of it
    traffic    everybody else in truth, and where the shield took them to be able to go; for pictures and witnesses
    shield     what decided: every array that the shield read and gave, and who proposed (fleet/driveguard.py),
               deflated; `muster replay` decides it once more (fleet/drivereplay.py). Without a shield there is none

The three invariants, clearance, speed limit and lane boundary, are looked at in every step; `broken` names each that
does not hold, by itself. Lists of points are little-endian float32. The metadata record states the course, versions and
hashes; the attachment `road` is the road itself (sim/roadpack.py), so that a file explains itself. Writing is the
robots' (fleet/blackbox.py): a thread writes a chunk every 0.1 s of wall time, and what a cut leaves can be read.
"""

from __future__ import annotations

import contextlib
import functools
import json
import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from fleet.blackbox import BlackBox, Layout, Message, Recorder
from fleet.box.keep import files_of
from fleet.box.recover import last_head
from fleet.box.sealkey import SealKey
from fleet.box.trigger import drive_triggers
from fleet.codehash import code_hash
from fleet.driveguard import Decision
from fleet.rundir import cpu, versions
from fleet.salvage import BlackBoxError, Recording, read_recording
from sim.driving.moment import CarSize, Course, Moment, Others, nobody
from sim.roadpack import pack_road, unpack_road
from sim.robot import SECOND

SCHEMA = "drive 2"

SHIELD = "shield"

CHANNELS = ("drive", "traffic", SHIELD)

GUARD = "fleet.driveguard"
"""Module of what decides; the hash of all that it reaches is the header's `code`."""

DECISION_BYTES = 1 << 20
"""What a decision may take, inflated: it is 7 kB."""


class DriveStep(msgspec.Struct, frozen=True):
    """A message of the channel `drive`; names and units as in `sim.driving.moment.Moment`."""

    time: float
    pose: tuple[float, float, float]
    motion: tuple[float, float, float, float]
    proposed: tuple[float, float]
    released: tuple[float, float]
    mode: str
    reason: str
    margin: float
    plan: bytes
    """(k, 3) float32"""
    lane: int
    s: float
    d: float
    limit: float
    left: float
    clearance: float
    ttc: float
    sensed: int
    broken: tuple[str, ...]
    contact: str
    blame: str
    ending: str = ""
    scan: bytes = b""
    """(rays,) float32"""
    scan_age: float = math.inf


class TrafficStep(msgspec.Struct, frozen=True):
    """A message of the channel `traffic`."""

    kind: list[int]
    rows: bytes
    """(n, 8) float32: pose, motion, size"""
    reach: list[bytes]
    """Outlines, each (corners, 2) float32"""


@dataclass(frozen=True, eq=False)
class RecordedDrive:
    """A drive as its black box has it."""

    path: Path
    """Its first file"""
    course: Course
    moments: tuple[Moment, ...]
    settings: dict[str, Any]
    """What the drive was started with"""
    damage: str
    """What is wrong with the files, empty when nothing is"""


@contextlib.contextmanager
def recording(
    directory: Path,
    course: Course,
    settings: Mapping[str, Any],
    name: str,
    bounds: Mapping[str, float] | None = None,
    moment_of: Callable[[Any], Moment] | None = None,
    *,
    key: SealKey | None = None,
    heads: Path | None = None,
    policies: Mapping[str, str] | None = None,
) -> Iterator[BlackBox]:
    """A black box `<directory>/<name>-0.mcap` to append moments to; whole when the block ends.

    `bounds`: what the shield assumes, where there is one. A moment with a decision is followed by it.
    A moment's arrays must be its own: they are written after the control step that made them.
    `moment_of`: makes a moment of what is appended instead, on the writer's thread.
    `key`: of the car, with which the drive is sealed; `heads`: file that tells how far the box has come; `policies`:
    hashes by level. The drive follows on the one before it in the folder: one that is taken away is missed.
    """
    box = BlackBox(
        directory,
        name,
        describe(course, settings, bounds, policies or {}),
        {"road": pack_road(course.road)},
        layout=layout_of(course, moment_of),
        key=key,
        previous=_before(directory, name),
    )
    recorder = Recorder([box], heads=heads)
    try:
        yield box
    finally:
        recorder.close()


def _before(directory: Path, name: str) -> tuple[str, bytes] | None:
    """File and last head of the newest drive in a folder; None where there is none but files of this one."""
    files = sorted(directory.glob("drive*-*.mcap"), key=_by_number)
    if not files or files_of(directory, name):
        return None
    return files[-1].name, last_head(files[-1])


def describe(
    course: Course,
    settings: Mapping[str, Any],
    bounds: Mapping[str, float] | None = None,
    policies: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, str]:
    """The metadata of a drive; `policies` are hashes by level."""
    stated = {
        "name": course.name,
        "period": course.period,
        "size": asdict(course.size),
        "route": course.route,
        "length": course.length,
        "seed": course.seed,
        "driver": course.driver,
        "shielded": course.shielded,
        "asks": course.asks,
        "seconds": course.seconds,
        "lidar": course.lidar,
    }
    guarded = {} if bounds is None else {"bounds": json.dumps(dict(bounds), sort_keys=True), "code": code_hash(GUARD)}
    return (
        guarded
        | {f"policy_{level}": digest for level, digest in policies.items()}
        | {
            "schema": SCHEMA,
            "course": json.dumps(stated, sort_keys=True),
            "settings": json.dumps(dict(settings), sort_keys=True),
            "road": course.road.hash,
            "versions": json.dumps(versions(), sort_keys=True),
            "cpu": json.dumps(cpu(), sort_keys=True),
        }
    )


def layout_of(course: Course, moment_of: Callable[[Any], Moment] | None = None) -> Layout:
    """How moments of a course, or what `moment_of` makes moments of, become messages."""
    triggers = functools.partial(drive_triggers, period=course.period)
    if moment_of is None:
        return Layout(CHANNELS, functools.partial(drive_messages, period=course.period), triggers)
    return Layout(CHANNELS, lambda steps: drive_messages([moment_of(each) for each in steps], course.period), triggers)


def drive_messages(moments: Sequence[Moment], period: float) -> list[Message]:
    """The messages of some control steps, numbered by their time."""
    messages: list[Message] = []
    encode = msgspec.msgpack.Encoder().encode
    for moment in moments:
        stamp = round(moment.time * SECOND)
        cycle = round(moment.time / period)
        messages.append((1, cycle, stamp, encode(_drive_step(moment))))
        messages.append((2, cycle, stamp, encode(_traffic_step(moment))))
        if moment.decision is not None:
            messages.append((3, cycle, stamp, zlib.compress(encode(moment.decision), 1)))
    return messages


def read_drive(paths: Path | Sequence[Path]) -> RecordedDrive:
    """A drive from its file, or from several that follow each other.

    Raises `BlackBoxError` where a file is none of a drive or of another schema, `RoadError` for a damaged road.
    """
    files = [paths] if isinstance(paths, Path) else list(paths)
    recordings = [read_recording(path) for path in files]
    course, settings = read_course(recordings[0])
    moments = [moment for recording in recordings for moment in _moments(recording)]
    damage = "; ".join(recording.damage for recording in recordings if recording.damage)
    return RecordedDrive(files[0], course, tuple(moments), settings, damage)


def read_drives(directory: Path) -> list[RecordedDrive]:
    """Every drive of a folder of black boxes, by name; files of robots are passed over."""
    groups: dict[str, list[Path]] = {}
    for path in sorted(directory.glob("drive*-*.mcap"), key=_by_number):
        groups.setdefault(path.stem.rpartition("-")[0], []).append(path)
    return [read_drive(paths) for paths in groups.values()]


def unpack_decision(data: bytes) -> Decision:
    """A message of the channel `shield`. Raises ValueError or msgspec.MsgspecError for bytes that are none."""
    inflate = zlib.decompressobj()
    try:
        plain = inflate.decompress(data, DECISION_BYTES)
    except zlib.error as error:
        raise ValueError(f"it cannot be inflated ({error})") from error
    if not inflate.eof:
        raise ValueError(f"it is cut, or larger than {DECISION_BYTES} bytes")
    return msgspec.msgpack.decode(plain, type=Decision)


def _by_number(path: Path) -> tuple[int, str, int]:
    name, _, number = path.stem.rpartition("-")
    return len(name), name, int(number) if number.isdecimal() else 0


def _drive_step(moment: Moment) -> DriveStep:
    return DriveStep(
        time=moment.time,
        pose=_floats(moment.pose),
        motion=_floats(moment.motion),
        proposed=_floats(moment.proposed),
        released=_floats(moment.released),
        mode=moment.mode,
        reason=moment.reason,
        margin=float(moment.margin),
        plan=_pack(moment.plan),
        lane=int(moment.lane),
        s=float(moment.s),
        d=float(moment.d),
        limit=float(moment.limit),
        left=float(moment.left),
        clearance=float(moment.clearance),
        ttc=float(moment.ttc),
        sensed=int(moment.sensed),
        broken=tuple(moment.broken),
        contact=moment.contact,
        blame=moment.blame,
        ending=moment.ending,
        scan=_pack(moment.scan),
        scan_age=float(moment.scan_age),
    )


def _traffic_step(moment: Moment) -> TrafficStep:
    others = moment.others
    there = np.flatnonzero(np.asarray(others.kind) >= 0)
    rows = np.concatenate([others.pose, others.motion, others.size], axis=1)[there]
    return TrafficStep(
        [int(kind) for kind in np.asarray(others.kind)[there]], _pack(rows), [_pack(each) for each in moment.reach]
    )


def read_course(recording: Recording) -> tuple[Course, dict[str, Any]]:
    """Course and settings of a file.

    Raises `BlackBoxError` where it is none of a drive or of another schema, `RoadError` for a damaged road.
    """
    data = recording.metadata
    if data.get("schema") != SCHEMA:
        raise BlackBoxError(
            f'expected a drive of schema "{SCHEMA}", {recording.path} has "{data.get("schema", "none")}"; '
            "name a file of a drive, <run>/blackbox/drive*.mcap"
        )
    if "road" not in recording.attachments:
        raise BlackBoxError(f"expected the road in {recording.path}, got none; the file is cut off at its beginning")
    road = unpack_road(recording.attachments["road"])
    if road.hash != data["road"]:
        raise BlackBoxError(f"expected the road {data['road'][:12]} in {recording.path}, got {road.hash[:12]}")
    try:
        stated = json.loads(data["course"])
        size, route = CarSize(**stated.pop("size")), tuple(stated.pop("route"))
        return Course(road=road, size=size, route=route, **stated), json.loads(data["settings"])
    except (KeyError, TypeError, ValueError) as error:
        raise BlackBoxError(f"expected the course of a drive in {recording.path}, got {error}; is it whole?") from error


def _moments(recording: Recording) -> Iterator[Moment]:
    """Steps of which both messages are whole."""
    drives = msgspec.msgpack.Decoder(DriveStep)
    traffics = msgspec.msgpack.Decoder(TrafficStep)
    for chunk in recording.chunks:
        step: DriveStep | None = None
        cycle = 0
        for message in chunk:
            try:
                if message.channel == "drive":
                    step, cycle = drives.decode(message.data), message.cycle
                elif message.channel == "traffic" and step is not None and message.cycle == cycle:
                    yield _moment(step, traffics.decode(message.data))
                    step = None
            except (msgspec.DecodeError, ValueError) as error:
                raise BlackBoxError(
                    f"expected a step of a drive in {recording.path}, got {error}; is it of this version?"
                ) from error


def _moment(step: DriveStep, traffic: TrafficStep) -> Moment:
    rows = _unpack(traffic.rows, 8)
    others = nobody()
    if len(rows):
        others = Others(np.array(traffic.kind, np.int32), rows[:, :3], rows[:, 3:6], rows[:, 6:])
    stated = {name: getattr(step, name) for name in step.__struct_fields__ if name not in ("plan", "scan")}
    reach = tuple(_unpack(each, 2) for each in traffic.reach)
    return Moment(**stated, plan=_unpack(step.plan, 3), scan=_unpack(step.scan, 1)[:, 0], reach=reach, others=others)


def _floats(values: Sequence[float]) -> Any:  # as long a tuple as it came
    return tuple(float(value) for value in values)


def _pack(values: NDArray[np.floating]) -> bytes:
    return np.ascontiguousarray(values, "<f4").tobytes()


def _unpack(data: bytes, columns: int) -> NDArray[np.float64]:
    return np.frombuffer(data, "<f4").reshape(-1, columns).astype(np.float64)
