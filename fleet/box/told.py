"""What a black box tells a person: its steps in a row's worth of words each, robots' and drives' alike.

`timeline` says what happened in order: modes, causes and reasons as they begin, how long they lasted and the smallest
margin meanwhile, and what the box itself noted. `why` says what was decided at one moment, on what, and by which
versions.
"""

from __future__ import annotations

import dataclasses
import math
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from fleet.box import chain
from fleet.box.chain import EVENTS, ClockJump, DropOut, Forgotten, Triggered
from fleet.box.grounds import in_short, of_monitors, of_release, of_shield
from fleet.box.recover import scan
from fleet.evidence import STORED, Tried, outcome
from fleet.records import Inputs, Memory, Outputs
from fleet.salvage import BlackBoxError, Recording
from fleet.words import REASONS, scan_points, stopping_poses
from safety.reason import Reason
from safety.supervisor import Cause
from sim.robot import SECOND, RobotSpec

DECISION_BYTES = 1 << 20
"""What a decision of a drive may take, inflated: it is 7 kB."""


@dataclass(frozen=True)
class Told:
    """One control step."""

    cycle: int
    stamp: int
    mode: str
    why: str
    """Cause and reason in words; empty where all is as proposed"""
    margin: float
    proposed: tuple[float, ...]
    released: tuple[float, ...]
    pose: tuple[float, ...]
    speed: float
    reason: Reason = Reason.NONE
    tried: Tried | None = None
    """The shield's candidates; None in logs of before they were recorded"""
    policy: str = ""
    """Who answered"""
    release: str = ""
    """By which a rollout let it drive"""


class _Shield(msgspec.Struct, frozen=True):
    """What is needed here of a decision of a drive (fleet/driveguard.py)."""

    tried: Tried | None = None


class _Drive(msgspec.Struct, frozen=True):
    """What is needed here of a step of a drive (fleet/drivelog.py)."""

    time: float
    pose: tuple[float, float, float]
    motion: tuple[float, float, float, float]
    proposed: tuple[float, float]
    released: tuple[float, float]
    mode: str
    reason: str
    margin: float


def told(recording: Recording) -> Iterator[Told]:
    """The steps of a recording. Raises BlackBoxError for records of another kind."""
    inputs: Inputs | None = None
    drive: Told | None = None
    try:
        for message in (message for chunk in recording.chunks for message in chunk):
            if drive is not None and message.cycle != drive.cycle:
                yield drive
                drive = None
            if message.channel == "inputs":
                inputs = msgspec.msgpack.decode(message.data, type=Inputs)
            elif message.channel == "outputs" and inputs is not None and inputs.cycle & 0xFFFFFFFF == message.cycle:
                yield _of_robot(inputs, msgspec.msgpack.decode(message.data, type=Outputs))
            elif message.channel == "drive":
                drive = _of_drive(message.cycle, message.stamp, msgspec.msgpack.decode(message.data, type=_Drive))
            elif message.channel == "shield" and drive is not None:
                drive = dataclasses.replace(drive, tried=_tried(message.data))
        if drive is not None:
            yield drive
    except (msgspec.MsgspecError, zlib.error, ValueError) as error:
        raise BlackBoxError(f"expected control steps in {recording.path}: {error}; is it of this version?") from error


def _of_drive(cycle: int, stamp: int, step: _Drive) -> Told:
    reason = Reason.__members__.get(step.reason.upper().replace(" ", "_"), Reason.NONE)
    return Told(cycle, stamp, step.mode, step.reason, step.margin, step.proposed, step.released, step.pose,
                step.motion[0], reason)  # fmt: skip


def _tried(data: bytes) -> Tried | None:
    """Of a decision of a drive."""
    return msgspec.msgpack.decode(zlib.decompressobj().decompress(data, DECISION_BYTES), type=_Shield).tried


def _of_robot(inputs: Inputs, outputs: Outputs) -> Told:
    evidence, answer = outputs.evidence, outputs.answer
    return Told(inputs.cycle, inputs.stamp, outputs.mode.name.lower(), _why(outputs), outputs.margin, outputs.proposed,
                outputs.released, inputs.pose, inputs.twist[0], outputs.reason,
                evidence.tried if evidence is not None else None, answer.policy if answer is not None else "",
                inputs.release)  # fmt: skip


def _why(outputs: Outputs) -> str:
    cause = outputs.cause.name.lower().replace("_", " ") if outputs.cause is not Cause.NONE else ""
    return ", ".join(part for part in (cause, REASONS[outputs.reason] if outputs.reason else "") if part)


def timeline(recordings: Sequence[Recording]) -> Iterator[str]:
    """Lines of what happened, in order; times count from the first step, s."""
    begun: int | None = None
    by: tuple[str, str] | None = None
    for recording in recordings:
        stated = recording.metadata
        policy = stated.get("policy") or stated.get("policy_manoeuvre", "")
        named = (policy[:12], stated.get("release", "")[:12])
        noted = sorted(events(recording.path), key=lambda each: each[0])
        first: Told | None = None
        last: Told | None = None
        margin, instead = math.inf, Counter[str]()
        for step in told(recording):
            begun = step.stamp if begun is None else begun
            now = (step.policy, step.release) if step.policy else by or named
            if now != by and any(now):
                if first is not None and last is not None:
                    yield _stretch(first, last, margin, instead, begun)
                    first, margin, instead = None, math.inf, Counter[str]()
                yield f"{(step.stamp - begun) / SECOND:9.2f} s  RELEASE   {_release(*now)}"
            by = now
            while noted and noted[0][0] <= step.cycle:
                yield f"{(step.stamp - begun) / SECOND:9.2f} s  {noted.pop(0)[1]}"
            if first is not None and last is not None and (first.mode, first.why) != (step.mode, step.why):
                yield _stretch(first, last, margin, instead, begun)
                first, margin, instead = None, math.inf, Counter[str]()
            first = first or step
            last, margin = step, min(margin, step.margin)
            instead.update([in_short(step.tried)] if step.reason is not Reason.NONE and in_short(step.tried) else [])
        if first is not None and last is not None and begun is not None:
            yield _stretch(first, last, margin, instead, begun)
        for _, words in noted:
            yield f"{'':11}  {words}"


def _release(policy: str, release: str) -> str:
    return f"policy {policy or 'none'}, " + (f"release {release}" if release else "no release by a rollout")


def _stretch(first: Told, last: Told, margin: float, instead: Counter[str], begun: int) -> str:
    clear = "stored plan" if margin < 0.0 else f"{margin:.2f} m" if math.isfinite(margin) else "free"
    when, long = (first.stamp - begun) / SECOND, (last.stamp - first.stamp) / SECOND
    stored = instead.pop(outcome(Tried(STORED)), 0)
    words = [f"{instead.total()} x another candidate"] if instead else []
    words += [f"{stored} x the stored plan"] if stored else []
    tail = f" ({', '.join(words)})" if words else ""
    return f"{when:9.2f} s  {first.mode:9} {long:7.2f} s  {clear:11}  {first.why or '-'}{tail}"


def events(path: Path) -> list[tuple[int, str]]:
    """What the box itself noted in a file, by cycle."""
    noted = []
    try:
        found = scan(path.read_bytes())
    except OSError:
        return []
    for record in (record for piece in found.pieces for record in piece.records if record.channel == EVENTS):
        try:
            words = _words(chain.decode(record.data))
        except ValueError:
            continue
        if words:
            noted.append((record.cycle, words))
    return noted


def _words(event: chain.Own) -> str:
    if isinstance(event, DropOut):
        return f"DROP-OUT  {event.count} steps were lost here ({event.why})"
    if isinstance(event, ClockJump):
        return f"CLOCK     jumped by {(event.after - event.before) / SECOND:+.3f} s"
    if isinstance(event, Triggered):
        return f"EVENT     {event.cause}: {event.detail}" if event.detail else f"EVENT     {event.cause}"
    return f"DELETED   {event.file}, by the quota" if isinstance(event, Forgotten) else ""


def why(recordings: Sequence[Recording], stamp: int, spec: RobotSpec | None) -> Iterator[str]:
    """What was decided in the newest step that is not later than a stamp. Raises BlackBoxError where there is none."""
    found: tuple[Recording, int, Told] | None = None
    for recording in recordings:
        for step in told(recording):
            if step.stamp <= stamp:
                found = (recording, step.cycle, step)
    if found is None:
        raise BlackBoxError("expected a step at that moment, there is none; name a later one (timeline shows them)")
    recording, cycle, step = found
    yield f"cycle {cycle} of {recording.path.name}, site clock {step.stamp / SECOND:.3f} s"
    yield f"  mode      {step.mode}   because {step.why or 'the proposal is safe'}"
    yield f"  proposed  {_numbers(step.proposed)}   released {_numbers(step.released)}"
    yield "  margin    " + ("the stored plan plays" if step.margin < 0.0 else f"{step.margin:.3f} m")
    if step.tried is not None:
        yield from of_shield(step.tried, step.reason)
    elif step.reason is not Reason.NONE:
        yield "  refused   the proposal; candidates were not recorded yet (muster replay decides the step again)"
    yield from _of_records(recording, cycle, spec)


def _of_records(recording: Recording, cycle: int, spec: RobotSpec | None) -> Iterator[str]:
    """What a robot's records say beyond the row."""
    for message in (message for chunk in recording.chunks for message in chunk if message.cycle == cycle & 0xFFFFFFFF):
        if message.channel == "inputs":
            yield from _of_inputs(msgspec.msgpack.decode(message.data, type=Inputs))
        elif message.channel == "outputs":
            outputs = msgspec.msgpack.decode(message.data, type=Outputs)
            by = outputs.answer.policy if outputs.answer is not None and outputs.answer.policy else "no policy"
            option, mission = outputs.option.name.lower(), outputs.mission or "-"
            yield f"  by        {outputs.source} ({by}), option {option}, mission {mission}"
            inputs = next((each for each in _inputs(recording, cycle)), None)
            if spec is not None and inputs is not None:
                yield from _nearest(inputs, outputs, spec)
            if outputs.evidence is not None:
                yield from of_monitors(outputs.evidence, outputs)
            yield from of_release(recording.metadata, inputs, outputs)
        elif message.channel == "memory":
            memory = msgspec.msgpack.decode(message.data, type=Memory)
            expired = memory.calibration.expired.name.lower()
            yield f"  before    mode {memory.supervisor.mode.name.lower()}; calibration exceeded: {expired}"
        elif message.channel == "drive":
            yield from of_release(recording.metadata)


def _inputs(recording: Recording, cycle: int) -> Iterator[Inputs]:
    for message in (message for chunk in recording.chunks for message in chunk):
        if message.channel == "inputs" and message.cycle == cycle & 0xFFFFFFFF:
            yield msgspec.msgpack.decode(message.data, type=Inputs)


def _of_inputs(inputs: Inputs) -> Iterator[str]:
    ages = [(name, inputs.stamp - stamp) for name, stamp in (
        ("scan", inputs.scan_stamp), ("pose", inputs.pose_stamp), ("twist", inputs.twist_stamp))]  # fmt: skip
    if inputs.picture is not None:
        ages.append(("picture", inputs.stamp - inputs.picture.stamp))
    told = ", ".join(f"{name} {age / SECOND:.3f} s" for name, age in ages)
    x, y, yaw = inputs.pose
    bumper = ", BUMPER" if inputs.bumper else ""
    yield f"  inputs    ages: {told}; deadlines missed {inputs.missed}{bumper}"
    yield f"            at x {x:.3f}, y {y:.3f}, yaw {yaw:.3f}; v {inputs.twist[0]:.3f}, w {inputs.twist[1]:.3f}"


def _nearest(inputs: Inputs, outputs: Outputs, spec: RobotSpec) -> Iterator[str]:
    """The lidar point that is nearest to the way on which it would stop."""
    ranges = np.frombuffer(inputs.scan, "<f4") if len(inputs.scan) % 4 == 0 else np.zeros(0, np.float32)
    points = scan_points(ranges, inputs.pose, spec)
    if not len(points):
        return
    poses = stopping_poses(inputs.pose, outputs.plan, spec.period / SECOND)[:, :2]
    distances = np.hypot(*(points[:, None, :] - poses[None]).transpose(2, 0, 1))
    point, place = np.unravel_index(int(np.argmin(distances)), distances.shape)
    dx, dy = points[point] - np.array(inputs.pose[:2])
    bearing = math.degrees(math.atan2(dy, dx) - inputs.pose[2]) % 360.0
    yield (
        f"  obstacle  nearest to the way of its stop: {distances[point, place]:.3f} m from step {place} of it, "
        f"{math.hypot(dx, dy):.3f} m away at {bearing if bearing <= 180.0 else bearing - 360.0:+.0f} deg"
    )


def _numbers(values: Sequence[float]) -> str:
    return "(" + ", ".join(f"{value:+.4f}" for value in values) + ")"
