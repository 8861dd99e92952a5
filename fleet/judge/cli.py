"""`muster judge missions|look|replay|learn RUN|FILE`: ask the judge, judge a verdict again, write settings to change.

    muster judge missions RUN                 add to RUN/missions.jsonl what its black boxes say and it does not have
    muster judge look RUN                     judge RUN/missions.jsonl, write RUN/verdicts/<n>.json, print it
    muster judge replay RUN/verdicts/1.json   the same missions through the judge again: identical, or what differs
    muster judge learn RUN --settings FILE    write settings that know the history that RUN's baseline missions are

Exit codes: 0 promote, 3 hold, 4 rollback (look); 0 identical, 1 not (replay); 2 for bad input.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
from tyro.conf import Positional

from fleet.judge.history import learn
from fleet.judge.judge import HOLD, PROMOTE, judge
from fleet.judge.logs import add_missing, missions_of
from fleet.judge.missions import FILE, INT64, Mission, MissionError, read_missions
from fleet.judge.settings import Settings, SettingsError, checked
from fleet.judge.summary import Summary
from fleet.judge.verdict import Verdict, replay, write_verdict
from sim.errors import printable
from sim.files import FileError, read_file, write_atomic

SIZE_MAX = 1 << 20
"""Bytes of a file of settings; one has some 2,000."""
CODES = {PROMOTE: 0, HOLD: 3}


@dataclass(frozen=True)
class Config:
    """Judge a candidate by its missions, replay a verdict, or learn what is known of the baseline."""

    action: Positional[Literal["missions", "look", "replay", "learn"]]
    """What to do"""
    path: Positional[Path]
    """A run directory or a file of missions; a verdict for replay"""
    settings: Path | None = None
    """The judge's settings (JSON); where `learn` writes them"""
    missions: Path | None = None
    """For replay: the missions, if they are not where the verdict says"""
    now: float | None = None
    """s of the site clock at which to look; without it when the last mission ended"""
    write: bool = True
    """Whether a look leaves a verdict in the run"""
    capacity: float | None = None
    """For missions: Wh of a robot's full battery, for the energy that a mission took; without it energy is unknown"""


def run(config: Config) -> int:
    """Do it and print what came of it; the exit code of the module docstring."""
    if config.action == "replay":
        told = replay(config.path, config.missions)
        print(told.line)
        return 0 if told.same else 1
    if config.action == "missions":
        return _missions(config)
    source = config.path / FILE if config.path.is_dir() else config.path
    missions = list(read_missions(source))
    if config.action == "learn":
        return _learn(config, source, missions)
    settings = read_settings(config.settings) if config.settings is not None else Settings()
    now = config.now
    if now is not None and not abs(now) < INT64 / 1e9:
        raise SettingsError(
            f"--now: expected s of the site clock, got {now:g}; leave it out for the last mission's end"
        )
    verdict = judge(settings, missions, None if now is None else int(now * 1e9))
    for line in described(verdict):
        print(line)
    if config.write and config.path.is_dir():
        print(write_verdict(verdict, config.path))
    return CODES.get(verdict.decision, 4)


def _missions(config: Config) -> int:
    """Derive a run's missions from its black boxes."""
    run, capacity = config.path, config.capacity
    if not run.is_dir():
        raise MissionError(f"expected a run directory, got {run}; its black boxes lie in RUN/blackbox")
    if capacity is not None and not 0.0 < capacity < 1e9:
        raise MissionError(f"--capacity: expected Wh of a full battery, got {capacity:g}; leave it out if not known")
    found = missions_of(run, None if capacity is None else capacity * 3600.0)
    try:
        added = add_missing(run, found.missions)
    except OSError as error:
        raise MissionError(f"expected to write {run / FILE}, that failed ({error.strerror}); make room") from error
    for note in found.notes:
        print(f"  lost: {note}")
    print(
        f"{run / FILE}: {added} missions added of {len(found.missions)} that {found.robots} robots ended; "
        f"{found.open} were under way at the end"
    )
    return 0


def _learn(config: Config, source: Path, missions: list[Mission]) -> int:
    if config.settings is None:
        raise SettingsError("learn: expected --settings FILE, the file to write; give one")
    kept = [mission for mission in missions if mission.arm != "candidate"]
    if not kept:
        raise MissionError(
            f"expected missions of the baseline in {source}, found none; learn from a run of the old release"
        )
    settings = Settings(history=learn(kept))
    write_atomic(config.settings, json.dumps(msgspec.to_builtins(settings), indent=2) + "\n")
    print(f"{config.settings}: what {len(kept)} missions say")
    return 0


def read_settings(path: Path) -> Settings:
    """The settings of a file. Raises SettingsError where they are none."""
    try:
        return checked(msgspec.json.decode(read_file(path, SIZE_MAX), type=Settings))
    except (FileError, msgspec.MsgspecError) as error:
        raise SettingsError(
            f"expected settings of the judge in {path}, they cannot be read ({printable(str(error))})"
        ) from error


def described(verdict: Verdict) -> Iterable[str]:
    """The verdict in lines for people."""
    yield f"{verdict.decision}: {verdict.reason}"
    for hold in verdict.holds:
        yield f"  lacking: {hold}"
    yield (
        f"  {verdict.candidate} missions of the candidate, {verdict.baseline} of the baseline; "
        f"evidence {verdict.log_e:.1f} of {verdict.log_e_needed:.1f} nats"
    )
    for finding in verdict.findings:
        bounds = f"{finding.ratio_low:.2f} to " + ("any" if finding.ratio_high is None else f"{finding.ratio_high:.2f}")
        yield (
            f"  {finding.name:20s} {_number(finding.candidate, finding.name):>10s} beside "
            f"{_number(finding.baseline, finding.name):>10s}  ratio {bounds:14s} "
            f"evidence {finding.log_e:6.1f}  {'within' if finding.passed else 'not shown within'} {finding.tolerance:g}"
        )


def _number(summary: Summary, name: str) -> str:
    value = summary.of(name.partition(".")[2])
    return "none" if value is None else f"{value:.4g}"
