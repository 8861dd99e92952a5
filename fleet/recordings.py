"""Recordings of a driven robot for `muster validate-sim`: black boxes of our own, and tables that anyone can write.

LOG is a black box (FILE.mcap), a run directory (all of its black boxes) or a table (FILE.csv, FILE.npz: see
fleet/tables.py). A black box holds what was released and what was measured in every control cycle, and the robot's
specification. Where it lacks a cycle or the bumper was felt it is cut into stretches: what the robot was told
meanwhile, or what pushed it, is not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from fleet.header import Header, read_header
from fleet.records import Inputs, Outputs
from fleet.replay import find_files
from fleet.salvage import BlackBoxError, read_recording
from fleet.tables import SHORTEST, RecordingError, make_drive, read_table, samples
from sim.openloop import Drive
from sim.robot import SECOND, RobotSpec


@dataclass(frozen=True)
class Recording:
    """One recording: its name and its stretches of driving."""

    name: str
    drives: tuple[Drive, ...]
    spec: RobotSpec | None
    """What the recorded robot took itself for; None in tables."""

    @property
    def seconds(self) -> float:
        """Of driving."""
        return sum(drive.duration for drive in self.drives)


def read_recordings(logs: Sequence[Path]) -> list[Recording]:
    """Every recording that LOGs name. Raises `RecordingError` or `BlackBoxError`, one line, for the first bad one."""
    found: list[Recording] = []
    for log in logs:
        if log.suffix in (".csv", ".npz"):
            found.append(Recording(log.stem, read_table(log), None))
        elif log.suffix == ".mcap" or log.is_dir():
            files = find_files(log)
            drives = [_black_box(file, lone=len(files) == 1) for file in files]
            found += [drive for drive in drives if drive is not None]
            if not any(drives):
                raise RecordingError(f"expected {SHORTEST:g} s of driving in {log}, got none; record a longer run")
        else:
            raise RecordingError(
                f"expected a recording (.mcap, .csv, .npz or a run directory), got {log}; "
                + ("convert it" if log.exists() else "there is no such file")
            )
    names = [recording.name for recording in found]
    if len(set(names)) < len(names):  # the same file name in two folders
        found = [_renamed(one, f"{number}:{one.name}") for number, one in enumerate(found)]
    hashes = {recording.spec.embodiment_hash() for recording in found if recording.spec is not None}
    if len(hashes) > 1:
        raise RecordingError(
            f"expected recordings of one kind of robot, got {len(hashes)} kinds; validate each kind by itself"
        )
    return found


def _renamed(recording: Recording, name: str) -> Recording:
    return Recording(name, tuple(replace(drive, recording=name) for drive in recording.drives), recording.spec)


def read_steps(path: Path) -> tuple[Header, list[tuple[Inputs, Outputs]]]:
    """The header of a black box file and its control steps, in order. Raises BlackBoxError where it cannot be read."""
    recording = read_recording(path)
    header = read_header(recording)
    rows: list[tuple[Inputs, Outputs]] = []
    inputs: Inputs | None = None
    try:
        for message in (message for chunk in recording.chunks for message in chunk):
            if message.channel == "inputs":
                inputs = msgspec.msgpack.decode(message.data, type=Inputs)
            elif message.channel == "outputs" and inputs is not None and message.cycle == inputs.cycle & 0xFFFFFFFF:
                rows.append((inputs, msgspec.msgpack.decode(message.data, type=Outputs)))
                inputs = None
    except msgspec.MsgspecError as error:
        raise BlackBoxError(f"expected records of control steps in {path}: {error}") from error
    return header, rows


def _black_box(path: Path, lone: bool) -> Recording | None:
    """The drives of one file; None for one among several that holds none: a robot's last file may be short."""
    header, rows = read_steps(path)
    groups: list[list[tuple[Inputs, Outputs]]] = []
    before: Inputs | None = None
    for row in rows:
        if row[0].bumper:
            before = None
            continue
        if before is None or row[0].cycle != before.cycle + 1:
            groups.append([])
        groups[-1].append(row)
        before = row[0]
    drives = [_group(path.stem, group) for group in groups if len(group) > 2]
    drives = [drive for drive in drives if drive.duration >= SHORTEST]
    if not drives and not lone:
        return None
    if not drives:
        raise RecordingError(f"expected {SHORTEST:g} s of driving in {path}, got none; record a longer run")
    return Recording(path.stem, tuple(drives), header.config.spec)


def _group(name: str, group: Sequence[tuple[Inputs, Outputs]]) -> Drive:
    """A stretch of consecutive cycles; readings count at their own stamps, commands at their cycle's."""
    begin = group[0][0].stamp
    times = np.array([(one.stamp - begin) / SECOND for one, _ in group])
    commands = np.array([two.released for _, two in group], np.float64)
    pose = samples([(one.pose_stamp - begin) / SECOND for one, _ in group], [one.pose for one, _ in group])
    twist = samples([(one.twist_stamp - begin) / SECOND for one, _ in group], [one.twist for one, _ in group])
    if pose is None:
        raise RecordingError(f"expected poses in {name}, got none that is finite; record the localisation")
    pose.values[:, 2] = np.unwrap(pose.values[:, 2])
    return make_drive(name, times, commands, float(times[-1]), pose, twist)
