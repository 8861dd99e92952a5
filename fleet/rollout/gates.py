"""What ends a stage before the fleet's: a file of evidence in, a decision and a reason out.

    offline   the estimate that `muster evaluate-offline --out FILE` wrote of the candidate's meta policy; nothing where
              both releases have the same one, since logs tell of no other level (docs/rollout.md)
    suite     missions.jsonl of simulated missions that the candidate drove
    shadow    shadow.json of `muster shadow`, or of a run with shadow:=VERSION

Evidence must be of the candidate: a file that tells of another policy is refused. The decision is the file's, not the
operator's: who wants to stop says `hold` or `rollback`.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from fleet.judge.missions import FILE as MISSIONS
from fleet.judge.missions import Mission, read_missions
from fleet.registry.manifest import Release
from fleet.registry.store import Registry
from fleet.rollout.plan import GATED, RolloutError, Stage
from fleet.rollout.record import Decision, Gate
from fleet.shadow.summary import ShadowSummary
from fleet.shadow.verdict import PASS, REJECT
from sim.files import read_file

SIZE_MAX = 1 << 24
"""Bytes of a summary or an estimate."""
DIGITS = 12
"""Of a hash that names a policy or a release in files for people."""
SHADOW = "shadow.json"
WORSE = 0.85
"""Share of the logs' own value below which an estimate speaks against a candidate"""
FEWEST = 40
"""Missions of a suite, or of logs"""
T = TypeVar("T")


@dataclass(frozen=True)
class Result:
    """What a trial said."""

    decision: Decision
    reason: str


@dataclass(frozen=True)
class Pinned:
    """What a release is called where it drives: its id, and the hashes of its policies' graphs by level or skill."""

    release: Release
    graphs: dict[str, str]

    def has(self, name: str) -> bool:
        """Whether a hash, or its first DIGITS, is one of them."""
        return len(name) >= DIGITS and any(each.startswith(name) for each in (self.release.id, *self.graphs.values()))


class _Estimated(msgspec.Struct, frozen=True):
    """What `muster evaluate-offline` writes: minutes from a choice to the next."""

    policy: str
    choices: int
    value: float
    low: float
    high: float
    logged: float
    effective: float
    abstains: tuple[str, ...] = ()


def pinned(registry: Registry, release: str) -> Pinned:
    """A release (whole id) with the graphs of what it pins. Raises RegistryError for one that is not there."""
    found = registry.released(release)
    versions = {**found.skills, **({"meta": found.meta} if found.meta else {})}
    return Pinned(found, {name: registry.version(version).graph for name, version in versions.items()})


def gate(stage: Stage, evidence: Path | None, candidate: Pinned, baseline: Pinned) -> Gate:
    """The event that ends a stage. Raises RolloutError where there is no evidence, or it is of something else."""
    if stage not in GATED:
        raise RolloutError(f"expected a stage that evidence ends, the rollout is in {stage.name.lower()}; see `status`")
    if evidence is None:
        if stage is not Stage.OFFLINE or candidate.release.meta != baseline.release.meta:
            raise RolloutError(f"{stage.name.lower()}: expected a file of evidence, got none; {WANTED[stage]}")
        return Gate(
            stamp=0,
            stage=stage,
            decision="promote",
            reason="the meta policy is the old release's: there is nothing of it that logs could tell",
        )
    path = evidence / FOLDERS[stage] if evidence.is_dir() and stage in FOLDERS else evidence
    found = READERS[stage](path, candidate)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Gate(
        stamp=0, stage=stage, decision=found.decision, reason=found.reason, evidence=f"{path.name} sha256 {digest}"
    )


def suite(missions: Sequence[Mission]) -> Result:
    """Simulated missions of the candidate alone: all done, nothing touched."""
    if len(missions) < FEWEST:
        return Result("hold", f"{len(missions)} missions, {FEWEST} are needed")
    undone = sum(not mission.done for mission in missions)
    contacts = sum(mission.contacts or 0 for mission in missions)
    missing = sum(mission.contacts is None or mission.done is None for mission in missions)
    if missing:
        return Result("hold", f"{missing} of {len(missions)} missions do not say what they touched")
    told = f"{len(missions)} missions, {undone} not done, {contacts} contacts"
    return Result("rollback" if undone > 0.02 * len(missions) or contacts else "promote", told)


def _offline(path: Path, candidate: Pinned) -> Result:
    found = _read(path, _Estimated, WANTED[Stage.OFFLINE])
    _check(candidate, [found.policy], path)
    told = f"{found.value:.3f} min a choice ({found.low:.3f} to {found.high:.3f}), logs {found.logged:.3f}"
    if found.abstains:
        return Result("hold", f"no estimate: {found.abstains[0]}")
    if not all(map(math.isfinite, (found.value, found.low, found.high, found.logged))):
        return Result("hold", "no estimate: it is no number")
    if found.low * WORSE > found.logged:
        return Result("rollback", f"{told}: worse")
    return Result("promote", f"{told}, {found.effective:.0f} effective episodes of {found.choices} choices")


def _suite(path: Path, candidate: Pinned) -> Result:
    missions = list(read_missions(path))
    _check(candidate, [mission.release for mission in missions], path)
    return suite(missions)


def _shadow(path: Path, candidate: Pinned) -> Result:
    found = _read(path, ShadowSummary, WANTED[Stage.SHADOW])
    _check(candidate, [found.candidate], path)
    decisions: dict[str, Decision] = {PASS: "promote", REJECT: "rollback"}
    return Result(
        decisions.get(found.verdict.decision, "hold"), f"{found.pairs} decisions beside it; {found.verdict.reason}"
    )


WANTED = {
    Stage.OFFLINE: "give what `muster evaluate-offline --out FILE` wrote",
    Stage.SUITE: "give missions.jsonl of simulated missions of the candidate",
    Stage.SHADOW: "give shadow.json of `muster shadow`, or its folder",
}
FOLDERS = {Stage.SUITE: MISSIONS, Stage.SHADOW: SHADOW}
"""The file of a folder that is given in its place."""
READERS: dict[Stage, Callable[[Path, Pinned], Result]] = {
    Stage.OFFLINE: _offline,
    Stage.SUITE: _suite,
    Stage.SHADOW: _shadow,
}


def _check(candidate: Pinned, names: Sequence[str], path: Path) -> None:
    other = next((name for name in names if not candidate.has(name)), None)
    if other is not None or not names:
        raise RolloutError(
            f"expected evidence of release {candidate.release.id[:DIGITS]} in {path}, it is of "
            f"{other[:DIGITS] if other else 'nobody'}; give the candidate's"
        )


def _read(path: Path, kind: type[T], wanted: str) -> T:
    try:  # by json: an estimate that abstains may say NaN
        return msgspec.convert(json.loads(read_file(path, SIZE_MAX)), kind, str_keys=True)
    except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors too
        raise RolloutError(f"{path}: expected other evidence ({error}); {wanted}") from error
