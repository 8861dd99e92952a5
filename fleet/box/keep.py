"""Which files of a robot stay: quota, and events that are locked.

    <folder>/<robot>-<n>.mcap             the ring: the oldest go when all together are larger than the quota;
                                          all drives of a car are one ring
    <folder>/events/<robot>-<k>.json      an event: what happened, its window, and the files that hold it

A file that an event names is never deleted here, whatever the quota says: whoever wants its room removes the event. So
that triggers without end do not turn the ring into an archive, no more is locked once LOCKED_SHARE of the quota is; a
trigger then stands in the log alone, and is counted.

What the quota deletes is noted in the log (`Forgotten`), so that a file that somebody else deleted shows.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from fleet.box.chain import Forgotten, Kept, Triggered
from fleet.box.recover import last_head
from sim.errors import MusterError
from sim.robot import SECOND

EVENTS = "events"
"""Folder of events beside the files"""
BEFORE, AFTER = 60 * SECOND, 30 * SECOND
"""Site time around a trigger that is locked, ns (the issue's; 49 CFR 563 asks for 20 s before)."""
LONGEST = 300 * SECOND
"""Triggers that follow each other are one event up to this length, ns; then another one begins."""
QUOTA_BYTES = 4 << 30
"""Of one robot's files: at 30 kB/s a day and a half, and it fits on the smallest computers' disks."""
JUMP = 60 * SECOND
"""A site clock that goes ahead so far from one step to the next has jumped, ns."""
LOCKED_SHARE = 0.75
"""Of the quota that events may lock: the rest goes on as a ring."""

DRIVE = re.compile(r"drive\d+")
"""Names of drives, each of which is a black box of its own; all of a folder are one car's, and one ring."""
_NAME = re.compile(r"(.+)-(\d+)\.mcap")


class EventError(MusterError):
    """An event cannot be read."""


class Event(msgspec.Struct, frozen=True):
    """A stretch of a robot's log that is kept; stamps are the site clock's, ns."""

    muster: int
    robot: str
    number: int
    begin: int
    """60 s before the first trigger"""
    end: int
    """30 s after the last"""
    triggers: tuple[Triggered, ...]
    files: tuple[str, ...]
    """Names of the files that hold it, oldest first"""
    complete: bool = False
    """The log has reached `end`, or was closed."""


@dataclass(frozen=True)
class Place:
    """One file of the ring as its keeper knows it."""

    path: Path
    first: int
    last: int
    """Stamps, ns"""
    head: bytes


class Keeper:
    """Owns the ring and the events of one robot in one folder. Belongs to the black box's writer."""

    def __init__(self, folder: Path, robot: str, quota: int = QUOTA_BYTES) -> None:
        """Look at nothing yet."""
        self.unlocked = 0
        """Triggers that locked nothing: too much is locked already"""
        self._folder, self._robot, self._quota = folder, robot, quota
        self.deleted = self.deleted_bytes = 0
        self._places: list[Place] = []
        self._open: Event | None = None
        self._end = self._last = 0
        """Where the open event ends by the site clock as it goes now, and the newest stamp, ns"""

    def closed(self, place: Place) -> None:
        """A file is finished."""
        self._places.append(place)

    def trigger(self, trigger: Triggered, current: str, first: int) -> None:
        """Lock what lies around a trigger; `current`: the open file, `first`: its first stamp. Raises OSError."""
        event, more = self._open, trigger.stamp + AFTER - self._end
        if event is not None and event.end + more - event.begin <= LONGEST:
            triggers = (*event.triggers, trigger)[-100:]
            self._keep(msgspec.structs.replace(event, end=event.end + max(more, 0), triggers=triggers))
            self._end += max(more, 0)
            return
        if self.locked_bytes() > LOCKED_SHARE * self._quota:
            self.unlocked += 1
            return
        self.complete()
        begin, end = trigger.stamp - BEFORE, trigger.stamp + AFTER
        number = 1 + max((each.number for each in read_events(self._folder, self._robot)), default=-1)
        names = (*self._since(begin, first), current)
        self._keep(Event(1, self._robot, number, begin, end, (trigger,), names))
        self._end, self._last = end, trigger.stamp

    def _since(self, begin: int, later: int) -> list[str]:
        """Finished files that reach to `begin` or later, where the next began at `later`; a jump takes no time."""
        names, shift = list[str](), 0
        for place in reversed(self._places):
            gap = later - place.last
            shift += 0 if 0 <= gap <= JUMP else gap
            if place.last + shift < begin:
                break
            names.insert(0, place.path.name)
            later = place.first
        return names

    def passed(self, stamp: int, current: str) -> None:
        """The log has reached `stamp` in the file `current`. Raises OSError."""
        event = self._open
        if event is None:
            return
        if current not in event.files:
            event = msgspec.structs.replace(event, files=(*event.files, current))
            self._keep(event)
        if not 0 <= stamp - self._last <= JUMP:
            self._end += stamp - self._last
        self._last = stamp
        if stamp > self._end:
            self.complete()

    def complete(self) -> None:
        """The open event has all that it will get. Raises OSError."""
        if self._open is not None:
            self._keep(msgspec.structs.replace(self._open, complete=True))
            self._open = None

    def locked_bytes(self) -> int:
        """Size of all files that events name."""
        return sum(_size(self._folder / name) for name in self._locked())

    def tidy(self, current: str) -> list[Forgotten]:
        """Delete the oldest files until the rest fits the quota; what went."""
        total = sum(map(_size, ring_of(self._folder, self._robot)))
        gone = []
        while total - self.deleted_bytes > self._quota and (one := self.free(current)) is not None:
            gone.append(one)
        self.deleted_bytes = 0
        return gone

    def kept(self) -> Kept:
        """What is there now."""
        return Kept(ranges([number_of(path) for path in files_of(self._folder, self._robot)]))

    def free(self, current: str) -> Forgotten | None:
        """Delete the oldest file that nothing locks; None where there is none."""
        locked = self._locked()
        for path in ring_of(self._folder, self._robot):
            if path.name == current or path.name in locked:
                continue
            size, known = _size(path), {each.path.name: each.head for each in self._places}
            gone = Forgotten(path.name, known[path.name] if path.name in known else last_head(path))
            with contextlib.suppress(OSError):
                path.unlink()
                self._places = [each for each in self._places if each.path != path]
                self.deleted += 1
                self.deleted_bytes += size
                return gone
        return None

    def _locked(self) -> set[str]:
        """Names in events, those of damaged events too: a file that cannot be read locks what it still names."""
        names: set[str] = set()
        whose = "drive*" if DRIVE.fullmatch(self._robot) else self._robot
        for path in (self._folder / EVENTS).glob(f"{whose}-*.json"):
            with contextlib.suppress(OSError):
                names |= {name.decode() for name in re.findall(rb"[a-z0-9_]+-\d+\.mcap", path.read_bytes())}
        return names

    def _keep(self, event: Event) -> None:
        self._open = event
        folder = self._folder / EVENTS
        folder.mkdir(exist_ok=True)
        path = folder / f"{event.robot}-{event.number}.json"
        draft = path.with_suffix(".draft")
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            os.write(handle, msgspec.json.format(msgspec.json.encode(event), indent=1) + b"\n")
            os.fsync(handle)
        finally:
            os.close(handle)
        draft.replace(path)


def files_of(folder: Path, robot: str) -> list[Path]:
    """Black boxes of a robot (or drive) in a folder, oldest first."""
    found = []
    for path in folder.glob(f"{robot}-*.mcap"):
        match = _NAME.fullmatch(path.name)
        if match is not None and match.group(1) == robot:
            found.append((int(match.group(2)), path))
    return [path for _, path in sorted(found)]


def ring_of(folder: Path, robot: str) -> list[Path]:
    """Files that share a quota, oldest first: those of a robot, or all drives of a car."""
    if DRIVE.fullmatch(robot) is None:
        return files_of(folder, robot)
    files = (path for path in folder.glob("drive*-*.mcap") if DRIVE.fullmatch(path.stem.rpartition("-")[0]))
    return sorted(files, key=by_number)


def number_of(path: Path) -> int:
    """Of a black box file."""
    return int(path.stem.rpartition("-")[2])


def ranges(numbers: Sequence[int]) -> str:
    """Rising numbers as 4-11 54."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][1] + 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return " ".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)


def by_number(path: Path) -> tuple[str, int, int, str]:
    """Sorts black boxes: robots by name, where r2 comes before r10, files of each by number."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        return path.name, -1, -1, path.name
    digits = len(match[1]) - len(match[1].rstrip("0123456789"))
    name, number = match[1][: len(match[1]) - digits], match[1][len(match[1]) - digits :]
    return name, int(number or -1), int(match[2]), path.name


def read_event(path: Path) -> Event:
    """An event from its file; raises EventError."""
    try:
        event = msgspec.json.decode(path.read_bytes(), type=Event)
    except (OSError, msgspec.MsgspecError) as error:
        raise EventError(
            f"expected an event of a black box, {path}: {error}; name <run>/blackbox/events/*.json"
        ) from None
    if any(Path(name).name != name for name in event.files):
        raise EventError(f"expected names of files beside {path}, got a path; the event was altered")
    return event


def read_events(folder: Path, robot: str = "") -> list[Event]:
    """Events beside the black boxes of a folder, oldest first; of one robot, or of all. Damaged ones are left out."""
    events = []
    for path in (folder / EVENTS).glob("*.json"):
        with contextlib.suppress(EventError):
            event = read_event(path)
            if not robot or event.robot == robot:
                events.append(event)
    return sorted(events, key=lambda event: (event.robot, event.number))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
