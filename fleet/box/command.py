"""`muster blackbox`: look at what robots and cars recorded, check that nobody changed it, and get what is left of it.

    muster blackbox verify RUN --key r0.verify      every file, byte by byte: intact, or what shows that it was changed
    muster blackbox recover FILE --out NEW.mcap     every whole record of a damaged file into a new one
    muster blackbox timeline RUN --robot r0         modes, causes, reasons and margins in order, and what the box noted
    muster blackbox why RUN --robot r0 --at 12.5    what was decided then, on what, by which versions
    muster blackbox export EVENT --out E.mcap       an event or a stretch as one file for others: .mcap or .csv
    muster blackbox key r0 --out keys               a seal key for a robot and the key that verifies it

PATH is a file (.mcap), an event (events/*.json), a run directory, or a folder of black boxes. Exit code 0: fine; 1:
changed, damaged or not closed; 2: it cannot be done.
"""

from __future__ import annotations

import contextlib
import csv
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, TypeVar

from tyro.conf import Positional

from coordination.keys import NAME
from fleet.box.keep import files_of, number_of
from fleet.box.mcapwriter import McapWriter, Options
from fleet.box.sealkey import SEALED, SealKeyError, VerifyKey, make_keys
from fleet.box.verify import HeadNote, verify
from fleet.box.window import cut, is_event, read_segment
from fleet.replay import find_files
from fleet.salvage import BlackBoxError, Recording, read_recording
from sim.robot import SECOND, RobotSpec

F = TypeVar("F", bound=IO)


@dataclass(frozen=True)
class Config:
    """Verify, recover, read or export black boxes, or make the keys that seal them."""

    action: Positional[Literal["verify", "recover", "timeline", "why", "export", "key"]]
    """What to do"""
    path: Positional[Path]
    """A black box (.mcap), an event, a run directory or a folder of black boxes; for key the robot's name"""
    key: Path | None = None
    """Verify key, or a folder with <robot>.verify; without it the seals' MACs are not looked at"""
    heads: Path | None = None
    """Heads that the fleet kept, JSON lines (<run>/heads.jsonl)"""
    robot: str = ""
    """Which robot, where there are several"""
    at: float = 0.0
    """When, s from the first step"""
    begin: float = 0.0
    """First moment that is exported, s from the first step"""
    end: float = float("inf")
    """Last moment that is exported, s from the first step"""
    out: Path | None = None
    """File that is written; for key the folder"""


def run(config: Config) -> int:
    """Do what `config.action` says; raises BlackBoxError, EventError and SealKeyError (exit 2)."""
    if config.action == "key":
        if not NAME.fullmatch(str(config.path)):
            raise SealKeyError(f"expected the name of a robot, as r0, got {config.path}; small letters, digits and _")
        seal, verifying = make_keys(str(config.path), config.out or Path())
        who = "car" if str(config.path) == SEALED else "robot"
        print(f"{seal}  for the {who}'s own disk (muster {who} --seals {seal.parent})")
        print(f"{verifying}  for whoever verifies: keep it on another computer than the robot's")
        return 0
    if config.action == "verify":
        return _verify(config)
    recordings = _recordings(config)
    if config.action == "recover":
        return _recover(config, recordings)
    from fleet.box.told import timeline, told, why

    if config.action == "timeline":
        for line in timeline(recordings):
            print(line)
        return 0
    first = next((step.stamp for recording in recordings for step in told(recording)), None)
    if first is None:
        raise BlackBoxError(f"expected control steps in {config.path}, there is none")
    if config.action == "why":
        for line in why(recordings, first + round(config.at * SECOND), _spec(recordings[0])):
            print(line)
        return 0
    return _export(config, recordings, first)


def _verify(config: Config) -> int:
    if is_event(config.path):
        files = [config.path.parent.parent / name for name in read_segment(config.path).event.files]
    else:
        files = _files(config)
    whole = config.path.is_dir()
    heads = _heads(config.heads) if config.heads is not None else []
    robots: dict[str, list[Path]] = {_keeper_of(each.file): [] for each in heads} if whole else {}
    for file in files:
        robots.setdefault(_keeper_of(file.name), []).append(file)
    if config.robot:
        robots = {name: paths for name, paths in robots.items() if name in (config.robot, _keeper_of(config.robot))}
    bad = count = 0
    for robot, paths in robots.items():
        theirs = [each for each in heads if _keeper_of(each.file) == robot]
        if not paths:
            missing = ", ".join(dict.fromkeys(each.file for each in theirs))
            print(f"{robot}: nothing is here, the fleet has heads of {missing}", flush=True)
            bad += 1
            continue
        for report in verify(paths, _verify_key(config.key, robot), theirs, whole=whole):
            print(report.line(), flush=True)
            bad += not report.good
            count += 1
    if count > 1:
        print(f"{count} black boxes, {bad} with something to look at")
    return 1 if bad else 0


def _files(config: Config) -> list[Path]:
    """The files to verify; none where the fleet's heads say that there should be some in a folder that has none."""
    try:
        return find_files(config.path)
    except BlackBoxError:
        if config.heads is None or not config.path.is_dir():
            raise
        return []


def _verify_key(place: Path | None, robot: str) -> VerifyKey | None:
    if place is None:
        return None
    return VerifyKey(place / f"{robot}.verify" if place.is_dir() else place)


def _robot_of(name: str) -> str:
    return Path(name).stem.rpartition("-")[0]


def _keeper_of(name: str) -> str:
    """Whose key seals a file: the robot's, or the car's for each of its drives."""
    robot = _robot_of(name) or name
    return SEALED if re.fullmatch(r"drive\d+", robot) else robot


def _heads(path: Path) -> list[HeadNote]:
    """Raises BlackBoxError for a file that has none."""
    try:
        lines = [json.loads(line) for line in path.read_text().splitlines() if line]
        return [HeadNote(line["file"], int(line["chunks"]), bytes.fromhex(line["head"])) for line in lines]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BlackBoxError(f"expected heads as JSON lines in {path}: {error}; name <run>/heads.jsonl") from None


def _recordings(config: Config) -> list[Recording]:
    """What PATH names, of one robot."""
    if is_event(config.path):
        segment = read_segment(config.path)
        for missing in segment.missing:
            print(missing)
        return list(segment.recordings)
    files = find_files(config.path)
    robots = sorted({_robot_of(file.name) for file in files})
    robot = config.robot or robots[0]
    if robot not in robots or (not config.robot and len(robots) > 1):
        raise BlackBoxError(f"expected --robot with one of {', '.join(robots)}, got {config.robot or 'none'}")
    if config.path.is_dir():
        files = files_of(files[0].parent, robot)
    found = [read_recording(file) for file in sorted(files, key=number_of if len(files) > 1 else str)]
    for recording in found:
        if recording.damage:
            print(f"{recording.path}: {recording.damage}")
    return found


def _recover(config: Config, recordings: list[Recording]) -> int:
    whole = sum(len(chunk) for recording in recordings for chunk in recording.chunks)
    if config.out is not None:
        _write(config.out, recordings)
        print(f"{config.out}: {whole} records")
    else:
        print(f"{whole} records are whole; --out FILE writes them")
    unsure = sum(len(recording.chunks[-1]) for recording in recordings if recording.unsure)
    if unsure:
        print(f"{unsure} of them lie in a chunk that was cut: no checksum says that they are sound")
    damaged = any(recording.damage or not recording.closed for recording in recordings)
    return 1 if damaged else 0


def _export(config: Config, recordings: list[Recording], first: int) -> int:
    if config.out is None or config.out.suffix not in (".mcap", ".csv"):
        raise BlackBoxError(f"expected --out FILE.mcap or FILE.csv, got {config.out or 'none'}")
    # all from the start on, also what a clock that went back stamped as earlier
    begin = first + round(config.begin * SECOND) if config.begin > 0.0 else -(2**63)
    end = first + round(config.end * SECOND) if config.end != float("inf") else 2**64
    parts = [cut(recording, begin, end) for recording in recordings]
    if not any(part.chunks for part in parts):
        raise BlackBoxError(f"expected steps from {config.begin:g} to {config.end:g} s, there is none")
    if config.out.suffix == ".mcap":
        _write(config.out, parts)
    else:
        _write_csv(config.out, parts)
    print(config.out)
    return 0


def _write(out: Path, recordings: list[Recording]) -> None:
    """Recordings as one MCAP file without a chain; chunks stay chunks, so that it can be replayed."""
    names = list(dict.fromkeys(message.channel for each in recordings for chunk in each.chunks for message in chunk))
    numbers = {name: number for number, name in enumerate(names, 1)}
    with _new(out, lambda: out.open("xb")) as stream:
        writer = McapWriter(stream, Options(chunk_bytes=1 << 62), "muster", "muster 1")
        writer.metadata("muster", recordings[0].metadata)
        for name, data in recordings[0].attachments.items():
            writer.attachment(0, 0, name, "application/msgpack", data)
        for name, number in numbers.items():
            writer.schema(number, f"muster/{name}", "", b"")
            writer.channel(number, number, name, "msgpack", {})
        writer.close_chunk()
        for recording in recordings:
            for chunk in recording.chunks:
                for message in chunk:
                    place = numbers[message.channel]
                    writer.message(place, message.cycle, message.stamp, message.stamp, message.data)
                writer.close_chunk()
        writer.finish()


def _write_csv(out: Path, recordings: list[Recording]) -> None:
    from fleet.box.grounds import counted
    from fleet.box.told import told
    from fleet.evidence import Tried, outcome

    with _new(out, lambda: out.open("x", newline="")) as stream:
        rows = csv.writer(stream)
        rows.writerow(
            ("cycle", "stamp_ns", "mode", "why", "margin_m", "proposed_1", "proposed_2", "released_1", "released_2",
             "x_m", "y_m", "yaw", "speed_m_s", "released_is", "refused", "policy", "release")
        )  # fmt: skip
        for step in (step for recording in recordings for step in told(recording)):
            numbers = (*step.proposed, *step.released, *step.pose, step.speed)
            tried = step.tried or Tried()
            grounds = (outcome(tried), counted(tried), step.policy, step.release)
            rows.writerow((step.cycle, step.stamp, step.mode, step.why, step.margin, *numbers, *grounds))


@contextlib.contextmanager
def _new(out: Path, create: Callable[[], F]) -> Iterator[F]:
    """A file that was not there, whole or not at all. Raises BlackBoxError where it cannot be written."""
    try:
        stream = create()
        try:
            with stream:
                yield stream
        except BaseException:
            out.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise BlackBoxError(f"cannot write {out}: {error.strerror}; name another file with --out") from None


def _spec(recording: Recording) -> RobotSpec | None:
    """The robot's specification; None for a drive, or where the header does not give one."""
    from fleet.header import read_header

    try:
        return read_header(recording).config.spec
    except BlackBoxError:
        return None
