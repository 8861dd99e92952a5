"""What the pairs of one candidate say: counts, tails, and the verdict.

`summary` reads a run, a folder, one file or a black box; where there were several candidates the newest one's pairs
count alone.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np

from fleet.shadow.pairs import DIFFERS, FLOOR, Pair
from fleet.shadow.record import Count, files, read
from fleet.shadow.verdict import HOLD, PASS, SETTINGS, Evidence, Settings, Verdict


class ShadowSummary(msgspec.Struct, frozen=True):
    """What the pairs of one candidate say."""

    candidate: str
    """Hash, twelve digits; empty without pairs"""
    production: tuple[str, ...]
    """Hashes of what drove meanwhile; empty names are recordings of others' robots"""
    robots: tuple[str, ...]
    pairs: int
    others: int
    """Pairs of candidates before this one, which do not count"""
    skipped: dict[str, int]
    disagreement_mean: float
    disagreement_p95: float
    disagreement_p99: float
    differing: float
    """Share of steps that are further apart than DIFFERS"""
    interventions_production: int
    """Steps in which the shield changed what production proposed"""
    interventions_candidate: int
    failures_production: int
    failures_candidate: int
    reasons_production: dict[int, int]
    """Steps by the shield's reason (`safety.shield.Reason`)"""
    reasons_candidate: dict[int, int]
    seconds_p50: float
    """A candidate's step, s of wall time"""
    seconds_p99: float
    verdict: Verdict
    world: str = FLOOR
    muster: int = 1


def summary(path: Path, settings: Settings | None = None, candidate: str = "") -> ShadowSummary:
    """What the pairs at `path` say of the newest candidate, or of the one whose hash begins with `candidate`.

    Raises ShadowError where there is nothing to read, BlackBoxError for a log that is none.
    """
    records = [list(read(file)) for file in files(path)]
    return of_records(heapq.merge(*records, key=lambda one: one.stamp), settings, candidate)


def of_records(records: Iterable[Pair | Count], settings: Settings | None = None, candidate: str = "") -> ShadowSummary:
    """The summary of records in the order of their stamps."""
    held = list(records)
    last = next((one for one in reversed(held) if isinstance(one, Pair)), None)
    name = candidate[:12] or (last.candidate.policy if last is not None else "")
    pairs: list[Pair] = [one for one in held if isinstance(one, Pair) and one.candidate.policy.startswith(name)]
    world = pairs[0].world if pairs else FLOOR
    evidence = Evidence(settings or SETTINGS.get(world, Settings()))
    for one in pairs:
        evidence.add(one)
    skipped: Counter[str] = Counter()
    for one in held:
        if isinstance(one, Count) and one.candidate.startswith(name):
            skipped.update(one.skipped)
    apart = np.array([one.disagreement for one in pairs] or [0.0])
    seconds = np.array([one.seconds for one in pairs] or [0.0])
    p95, p99 = (float(value) for value in np.percentile(apart, (95, 99)))
    production, theirs = [one.production for one in pairs], [one.candidate for one in pairs]
    return ShadowSummary(
        candidate=name,
        production=tuple(sorted({one.policy for one in production if one.policy})),
        robots=tuple(sorted({one.robot for one in pairs})),
        pairs=len(pairs),
        others=sum(isinstance(one, Pair) for one in held) - len(pairs),
        skipped=dict(sorted(skipped.items())),
        disagreement_mean=float(apart.mean()),
        disagreement_p95=p95,
        disagreement_p99=p99,
        differing=float((apart > DIFFERS).mean()),
        interventions_production=sum(one.intervened for one in production),
        interventions_candidate=sum(one.intervened for one in theirs),
        failures_production=sum(one.failed for one in production),
        failures_candidate=sum(one.failed for one in theirs),
        reasons_production=dict(sorted(Counter(one.reason for one in production if one.intervened).items())),
        reasons_candidate=dict(sorted(Counter(one.reason for one in theirs if one.intervened).items())),
        seconds_p50=float(np.percentile(seconds, 50)),
        seconds_p99=float(np.percentile(seconds, 99)),
        verdict=_whole(evidence.look(), skipped["fault"]),
        world=world,
    )


def _whole(verdict: Verdict, faults: int) -> Verdict:
    """The verdict; no pass where the candidate raised: what it would have done in those steps nobody knows."""
    if not faults or verdict.decision != PASS:
        return verdict
    reason = f"it raised in {faults} steps, which are in no pair; look at the robots' logs"
    return msgspec.structs.replace(verdict, decision=HOLD, reason=reason)
