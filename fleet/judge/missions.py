"""What is judged: one record per mission, one per line of a run's `missions.jsonl`.

A metric that was not measured is null, never 0: the judge holds when one stops arriving. Missions of one robot in one
shift share floor, battery, wear and traffic; (robot, shift) is their cluster.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import math
import os
from collections.abc import Iterable, Iterator
from io import FileIO
from pathlib import Path

import msgspec

from sim.errors import MusterError, printable

FILE = "missions.jsonl"
"""Name of the file in a run's directory."""
ARMS = ("candidate", "baseline", "holdout")
"""What a mission may have been driven as; a holdout drives the old release, as the baseline does."""
LINE_MAX = 1 << 16
"""Bytes of a line; a mission has some 400."""
DIGITS = 12
"""Of a release's id, by which a robot names it (`fleet.records.Inputs.release`)."""
INT64 = 2**63
"""What counts and stamps stay below: ns since 1970 reach it in 2262."""
COUNTS = ("steps", "interventions", "contacts", "near_misses")
VALUES = ("energy", "latency_p99")


class MissionError(MusterError):
    """A mission, or a file of missions, that cannot be judged."""


class Mission(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=False):
    """One mission as it was driven."""

    id: str
    robot: str
    shift: str = ""
    """Such as 2026-11-22T06; with the robot the cluster that the mission belongs to"""
    zone: str = ""
    release: str = ""
    """Id of the release that drove"""
    arm: str
    """candidate, baseline or holdout"""
    begin: int
    """ns of the site clock"""
    end: int
    """ns of the site clock"""
    steps: int | None = None
    """Control steps"""
    interventions: int | None = None
    """Times that a person had to help"""
    contacts: int | None = None
    near_misses: int | None = None
    energy: float | None = None
    """J"""
    latency_p99: float | None = None
    """s, of the mission's control steps"""
    done: bool | None = None
    """Whether it reached its end"""


def check(mission: Mission) -> Mission:
    """The mission itself. Raises MissionError for an arm, a count or a number that cannot be."""
    if mission.arm not in ARMS:
        raise MissionError(f"expected an arm of {', '.join(ARMS)}, mission {mission.id} has {printable(mission.arm)!r}")
    for name, count in zip(
        COUNTS, (mission.steps, mission.interventions, mission.contacts, mission.near_misses), strict=True
    ):
        if count is not None and not 0 <= count < INT64:
            raise MissionError(
                f"expected {name} of 0 or more, mission {printable(mission.id)} has {_short(count)}; "
                "leave out what is unknown"
            )
    for name, stamp in (("begin", mission.begin), ("end", mission.end)):
        if not -INT64 <= stamp < INT64:
            raise MissionError(
                f"expected {name} in ns of a clock, mission {printable(mission.id)} has {_short(stamp)}; correct it"
            )
    for name, value in zip(VALUES, (mission.energy, mission.latency_p99), strict=True):
        if value is not None and not 0.0 <= value < math.inf:
            raise MissionError(
                f"expected {name} finite and 0 or more, mission {mission.id} has {value:g}; leave out what is unknown"
            )
    return mission


def contradicts(mission: Mission, candidate: str) -> bool:
    """Whether a mission's arm and release cannot both be true, where `candidate` is the candidate's release.

    A robot tells twelve digits of a release and none of the old one; what names no release is believed.
    """
    told = mission.release
    if not candidate or not told:
        return False
    named = told == candidate or (len(told) >= DIGITS and candidate.startswith(told))
    return named is not (mission.arm == "candidate")


def _short(number: int) -> str:
    """A number, as far as a line has room for it."""
    return str(number) if abs(number) < 10**20 else "a number of more than 20 digits"


_ENCODER = msgspec.json.Encoder()


def line(mission: Mission) -> bytes:
    """The mission as its line of the file, the end of line included; the same mission gives the same bytes."""
    return _ENCODER.encode(mission) + b"\n"


def append_missions(path: Path, missions: Iterable[Mission]) -> None:
    """Add missions to a file, which is made when it is not there: all of them or, where OSError is raised, none.

    A last line without its end, of a writer that was killed, is cut off: behind it no mission could be read. Several
    processes may add to one file: each waits for the others' lock.
    """
    lines = b"".join(line(check(mission)) for mission in missions)
    with path.open("ab+", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        end = _ended(file)
        try:
            file.truncate(end)
            if file.write(lines) != len(lines):  # the disk has filled
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            with contextlib.suppress(OSError):
                file.truncate(end)
            raise


def _ended(file: FileIO) -> int:
    """Bytes of a file up to the end of its last whole line."""
    size = file.seek(0, os.SEEK_END)
    begin = max(0, size - LINE_MAX)
    file.seek(begin)
    tail = file.read(size - begin)
    end = tail.rfind(b"\n") + 1
    return size if tail.endswith(b"\n") or (begin and not end) else begin + end  # without any: no file of missions


def read_missions(path: Path, limit: int | None = None) -> Iterator[Mission]:
    """The missions of a file in its order, the first `limit` of them. Raises MissionError where a line is none.

    A last line without its end is left out: its writer has not finished it.
    """
    if limit is not None and limit <= 0:
        return
    yield from (mission for mission, _ in _read(path, 0, limit))


def missions_since(path: Path, offset: int) -> tuple[list[Mission], int]:
    """The missions behind the first `offset` bytes of a file, and how many bytes are read now; for who goes on reading.

    Raises MissionError as `read_missions` does, and where the file has become shorter.
    """
    size = path.stat().st_size if path.exists() else 0
    if size < offset:
        raise MissionError(f"expected {offset} bytes in {path}, which were judged, it has {size}; restore the file")
    found = list(_read(path, offset, None)) if size > offset else []
    return [mission for mission, _ in found], found[-1][1] if found else offset


def _read(path: Path, offset: int, limit: int | None) -> Iterator[tuple[Mission, int]]:
    """Missions, each with where its line ends."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            number = 0
            while text := file.readline(LINE_MAX + 1):
                number += 1
                if not text.endswith(b"\n"):
                    if len(text) > LINE_MAX:
                        raise MissionError(
                            f"expected a mission in line {number} of {path}, it has no end; is it a log?"
                        )
                    return
                try:
                    mission = msgspec.json.decode(text, type=Mission)
                except msgspec.MsgspecError as error:
                    raise MissionError(
                        f"expected a mission in line {number} of {path}, it cannot be read ({printable(str(error))})"
                    ) from error
                offset += len(text)
                yield check(mission), offset
                if number == limit:
                    return
    except OSError as error:
        raise MissionError(f"expected missions in {path}, it cannot be read ({error.strerror})") from error
