"""A verdict as a file that can be replayed: settings, what was read, what came of it, and by which code.

`replay` judges the same missions again and compares every field. The missions themselves stay in the run's
missions.jsonl, of which a verdict names how many lines it read and their sha256; lines that are added later change
nothing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from fleet.judge.missions import FILE, read_missions
from fleet.judge.settings import Settings
from fleet.judge.summary import Summary
from sim.errors import MusterError, printable
from sim.files import FileError, read_file, write_atomic

FOLDER = "verdicts"
"""Of a run"""
VERSION = 1
SIZE_MAX = 1 << 20
"""Bytes; a verdict has some 10,000."""


class VerdictError(MusterError):
    """A file that is no verdict, or one whose missions are not there."""


class Finding(msgspec.Struct, frozen=True):
    """What is known of one guardrail."""

    name: str
    share: float
    """Of the false rollback level"""
    log_e: float
    """Log e-value against "no worse than the baseline"."""
    log_e_passed: float
    """Log e-value against "worse than the tolerance"."""
    passed: bool
    tolerance: float
    dispersion: float
    """Variance over what independent missions would have"""
    ratio_low: float
    """Candidate over baseline, bounds that hold at any time with probability 1 - alpha_promote; 0 for none"""
    ratio_high: float | None
    """None for none"""
    candidate: Summary
    baseline: Summary


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the judge says at one moment."""

    decision: str
    """promote, hold or rollback"""
    guardrail: str
    """The one that decided; empty where none did"""
    reason: str
    holds: tuple[str, ...]
    """All that is lacking or cannot be believed"""
    now: int
    """ns of the site clock when it was asked"""
    missions: int
    """Missions read"""
    candidate: int
    baseline: int
    """Holdouts with it"""
    log_e: float
    """Log of the weighted mean of all guardrails' e-values"""
    log_e_needed: float
    """What rolls back"""
    findings: tuple[Finding, ...]
    settings: Settings
    inputs: str
    """sha256 of the missions' lines"""
    code: str
    """sha256 of the judge's source"""
    muster: int = VERSION


@dataclass(frozen=True)
class Replay:
    """What came of judging again."""

    same: bool
    line: str
    """What differs, or that nothing does"""


def encode(verdict: Verdict) -> bytes:
    """The verdict as its file; the same verdict gives the same bytes."""
    return msgspec.json.format(msgspec.json.encode(verdict), indent=1) + b"\n"


def write_verdict(verdict: Verdict, run: Path) -> Path:
    """Write RUN/verdicts/<n>.json, n being the next that is free; the path."""
    folder = run / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    taken = [int(path.stem) for path in folder.glob("*.json") if path.stem.isdecimal()]
    number = max(taken, default=0) + 1
    while True:
        path = folder / f"{number:04d}.json"
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))  # two judges at once take two numbers
        except FileExistsError:
            number += 1
            continue
        try:
            write_atomic(path, encode(verdict).decode())
        except BaseException:
            path.unlink(missing_ok=True)  # the number was taken and nothing stands there
            raise
        return path


def read_verdict(path: Path) -> Verdict:
    """The verdict of a file. Raises VerdictError where it is none or of another version."""
    try:
        verdict = msgspec.json.decode(read_file(path, SIZE_MAX), type=Verdict)
    except (FileError, msgspec.MsgspecError) as error:
        raise VerdictError(
            f"expected a verdict in {path}, it cannot be read ({printable(str(error))}); "
            "write one with `muster judge look`"
        ) from error
    if verdict.muster != VERSION:
        raise VerdictError(
            f"expected a verdict of version {VERSION}, {path} has {verdict.muster}; use the muster that wrote it"
        )
    return verdict


def replay(path: Path, missions: Path | None = None) -> Replay:
    """Judge a verdict's missions again. `missions`: their file; without it the run's, two folders above the verdict."""
    from fleet.judge.judge import Judge

    told = read_verdict(path)
    source = missions if missions is not None else path.resolve().parent.parent / FILE
    judge = Judge(told.settings)
    for mission in read_missions(source, told.missions):
        judge.add(mission)
    if judge.missions < told.missions:
        raise VerdictError(
            f"expected {told.missions} missions in {source}, found {judge.missions}; give the file it was judged by"
        )
    found = judge.look(told.now)
    if found.inputs != told.inputs:
        return Replay(
            False, f"the missions differ: sha256 {told.inputs[:12]} was judged, {source} has {found.inputs[:12]}"
        )
    by = "" if found.code == told.code else f" (judged by other code: {told.code[:12]} then, {found.code[:12]} now)"
    for name in Verdict.__struct_fields__:
        if name != "code" and getattr(told, name) != getattr(found, name):
            then, now = printable(str(getattr(told, name)))[:120], printable(str(getattr(found, name)))[:120]
            return Replay(False, f"{name} differs: {then} then, {now} now{by}")
    return Replay(True, f"identical: {found.decision}, {found.reason}{by}")
