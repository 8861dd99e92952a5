"""Stretches of a robot's log: an event's segment, or any window of site time, over as many files as it takes.

    segment = read_segment(Path("runs/<run>/blackbox/events/r0-0.json"))
    for recording in segment.recordings: ...            as of fleet/salvage.py, cut to the window, oldest first

A chunk begins with the whole memory, and chunks are kept or left out as wholes: every recording of a segment can be
replayed by itself.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from fleet.box.keep import EVENTS, Event, files_of, read_event
from fleet.salvage import BlackBoxError, Recording, read_recording


@dataclass(frozen=True)
class Segment:
    """What was locked of one event."""

    event: Event
    recordings: tuple[Recording, ...]
    missing: tuple[str, ...]
    """Files that the event names and that are not there, or cannot be read: why"""


def is_event(path: Path) -> bool:
    """Whether a path is, by its name, an event of a black box."""
    return path.suffix == ".json" and path.parent.name == EVENTS


def read_segment(path: Path) -> Segment:
    """The recordings of an event, cut to its window. Raises EventError, and BlackBoxError where no file is left."""
    event = read_event(path)
    recordings, missing = [], []
    for name in event.files:
        try:
            recordings.append(_in_window(read_recording(path.parent.parent / name), event.begin, event.end))
        except BlackBoxError as error:
            missing.append(str(error))
    recordings = [recording for recording in recordings if recording.chunks]
    if not recordings:
        why = f": {missing[0]}" if missing else ", they hold nothing of its window"
        raise BlackBoxError(f"expected the files that {path} names beside its folder, none can be used{why}")
    return Segment(event, tuple(recordings), tuple(missing))


def read_window(folder: Path, robot: str, begin: int, end: int) -> tuple[Recording, ...]:
    """What a robot's files in a folder hold between two stamps, ns; files that cannot be read are left out."""
    found = []
    for path in files_of(folder, robot):
        try:
            recording = cut(read_recording(path), begin, end)
        except BlackBoxError:
            continue
        if recording.chunks:
            found.append(recording)
    return tuple(found)


def _in_window(recording: Recording, begin: int, end: int) -> Recording:
    """As `cut`; a file that an event names and whose clock was another, or jumped in it, is kept whole."""
    starts = [chunk[0].stamp for chunk in recording.chunks]
    part = cut(recording, begin, end)
    return part if part.chunks and starts == sorted(starts) else recording


def cut(recording: Recording, begin: int, end: int) -> Recording:
    """The chunks of a recording that have a message from `begin` to `end`, ns."""
    chunks = tuple(chunk for chunk in recording.chunks if any(begin <= message.stamp <= end for message in chunk))
    unsure = recording.unsure and bool(chunks) and chunks[-1] is recording.chunks[-1]
    return dataclasses.replace(recording, chunks=chunks, unsure=unsure)
