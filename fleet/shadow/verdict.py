"""What pairs say of a candidate, so that one may look whenever one likes.

Pairs of one robot are put together in blocks of BLOCK; a closed block gives, with the e-processes of
`fleet.judge.eprocess`,

    interventions   of those that only one of the two had, the candidate's share (McNemar's pairs: what both had says
                    nothing), counted as they begin
    failures        the same of answers that could not be used: late, no number, the fallback called
    margin          by how much the released plan of the candidate is nearer to something, in the mean of a block
    progress        by how much it is slower; of a car, by how much less it accelerates
    disagreement    steps in which the proposals are further apart than DIFFERS, against the allowed share

The first four are harm, and reject: the weighted mean of their e-values has reached 1 / alpha after some block; that
stands (Ville, as in `fleet.judge.judge`). Disagreement is no harm: a better policy differs too. Beyond what is allowed
it holds, for a person to look. A candidate passes when each of the five has ruled out its tolerance, at alpha_pass.
Steps hang together: dispersions over time and robots (`fleet.judge.clusters`) divide every exponent. No data is a hold.

A pass says that the candidate may go to the next stage, not that it may drive: each pair is one step from where
production was, and production stays in charge of where that is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import msgspec
import numpy as np
from numpy.typing import NDArray

from fleet.judge import clusters, eprocess
from fleet.shadow.pairs import DIFFERS, FLOOR, ROAD, Pair

Array = NDArray[np.float64]

BLOCK = 50
"""Pairs of a robot in a block: 5 s at 10 Hz, about as long as a person or a rack stays in the way."""
FIRST, SHOWN = 5.7, 48
"""Dispersion that is assumed at first, an AR(1) of 0.7, and the blocks until which it is assumed less and less: four
times as many as are needed to measure one."""
GAP = 5
"""Cycles after which an intervention that goes on is another one: what was between was not seen."""
PASS, HOLD, REJECT = "pass", "hold", "reject"
COLUMNS = (
    "interventions_production", "interventions_candidate", "failures_production", "failures_candidate",
    "interventions_production_alone", "interventions_candidate_alone",
    "failures_production_alone", "failures_candidate_alone",
    "differing", "margin_production", "margin_candidate", "progress_production", "progress_candidate",
)  # fmt: skip
"""Of a block, over its pairs: what begins, in each arm and in that one alone; sums of margins and of progress."""
HARMS = ("interventions", "failures", "margin", "progress")


class Settings(msgspec.Struct, frozen=True):
    """What a candidate must not do, and how sure one must be."""

    alpha: float = 0.01
    """Probability, over all that is harm and all looks, that a candidate no worse than production is rejected"""
    alpha_pass: float = 0.05
    """Probability that a candidate that is worse than one tolerance passes that one"""
    disagreement: float = 0.1
    """Share of steps that may differ before a person should look"""
    ratio: float = 2.0
    """Interventions and failures over production's that must be ruled out"""
    slack: float = 0.002
    """Or fewer of them per step than this: one in 50 s at 10 Hz"""
    margin: float = 0.05
    """m by which the candidate may come nearer, in the mean"""
    progress: float = 0.05
    """m/s by which it may be slower, in the mean; of a car m/s^2 by which it may accelerate less"""
    near: float = 1.0
    """Margins beyond this, m, are alike: nothing is near"""
    weights: tuple[float, float, float, float] = (0.5, 0.2, 0.15, 0.15)
    """Shares of alpha, in the order of HARMS"""
    blocks_min: int = 20
    """Blocks before it may pass"""


SETTINGS = {
    FLOOR: Settings(),
    ROAD: Settings(slack=0.001, margin=0.1, progress=0.1, near=2.0),
}
"""By world. A car's steps come twice as often, it passes others at a metre; 0.1 m/s^2 is half a m/s in 5 s."""


class Finding(msgspec.Struct, frozen=True):
    """What one kind of evidence says."""

    name: str
    production: float
    """Per step, or the mean; of disagreement the allowed share"""
    candidate: float
    log_e_worse: float
    """Log e-value of being worse than production; of disagreement, than the allowed share"""
    log_e_fine: float
    """Log e-value against being worse than the tolerance"""


class Verdict(msgspec.Struct, frozen=True):
    """What may be done with the candidate."""

    decision: str
    """pass, hold or reject"""
    reason: str
    """For a person"""
    pairs: int
    blocks: int
    log_e: float
    """Log of the weighted mean of the harms' e-values"""
    log_e_needed: float
    findings: tuple[Finding, ...]


@dataclass
class _Open:
    """A robot's block that is not full yet, and what it did in its last pair."""

    rows: list[tuple[float, ...]] = field(default_factory=list)
    cycle: int = -(10**9)
    before: tuple[bool, bool, bool, bool] = (False, False, False, False)


class Evidence:
    """Owns the blocks of one candidate. `add` takes a pair; `look` says what they say."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.pairs = 0
        self._open: dict[str, _Open] = {}
        self._blocks: list[Array] = []
        self._robots: list[str] = []
        self._fired = ""

    def add(self, pair: Pair) -> None:
        """Take a pair in, each robot's in order."""
        self.pairs += 1
        block = self._open.setdefault(pair.robot, _Open())
        p, c, near = pair.production, pair.candidate, self.settings.near
        now = (p.intervened, c.intervened, p.failed, c.failed)
        again = block.before if 0 < pair.cycle - block.cycle <= GAP else (False,) * 4
        begins = tuple(one and not other for one, other in zip(now, again, strict=True))
        block.cycle, block.before = pair.cycle, now
        block.rows.append(
            (
                *map(float, begins),
                float(begins[0] and not now[1]),
                float(begins[1] and not now[0]),
                float(begins[2] and not now[3]),
                float(begins[3] and not now[2]),
                float(pair.disagreement > DIFFERS),
                min(max(p.margin, -near), near),
                min(max(c.margin, -near), near),
                p.released[0],
                c.released[0],
            )
        )
        if len(block.rows) == BLOCK:
            self.close(pair.robot, np.array(block.rows).sum(axis=0))
            block.rows = []

    def close(self, robot: str, sums: Array) -> None:
        """Take a whole block of a robot in, by the sums of its COLUMNS; `add` makes these of pairs."""
        self._blocks.append(sums)
        self._robots.append(robot)
        if not self._fired:
            self._fire()

    @property
    def rejected(self) -> bool:
        """Whether it was harm beyond doubt after some block."""
        return bool(self._fired)

    def look(self) -> Verdict:
        """The verdict now."""
        settings = self.settings
        needed = math.log(1.0 / settings.alpha)
        if not self._blocks:
            few = f"{self.pairs} pairs are not enough to say anything: expected {BLOCK} of one robot"
            return Verdict(HOLD, few, self.pairs, 0, 0.0, needed, ())
        worse, fine = self._worse(dispersed=True), self._fine()
        total = self._total(worse)
        findings = tuple(
            Finding(name, float(p), float(c), worse[name], fine[name]) for name, (p, c) in self._means().items()
        )
        sure = math.log(1.0 / settings.alpha_pass)
        lacking = [name for name, value in fine.items() if value < sure]
        said = {finding.name: finding for finding in findings}
        if self._fired:
            told = said[self._fired]
            why = f"{self._fired}: production {told.production:.4g}, candidate {told.candidate:.4g}"
            decision, reason = REJECT, why
        elif worse["disagreement"] >= needed:
            share = said["disagreement"].candidate
            decision = HOLD
            reason = (
                f"it differs in {100 * share:.1f} % of the steps, {100 * settings.disagreement:g} % are allowed; look"
            )
        elif lacking:
            decision, reason = HOLD, f"not yet sure of {', '.join(lacking)}"
        elif len(self._blocks) < settings.blocks_min:
            decision, reason = HOLD, f"{len(self._blocks)} blocks of {BLOCK} pairs, expected {settings.blocks_min}"
        else:
            decision, reason = PASS, "no worse than its tolerances in anything that was looked at"
        return Verdict(decision, reason, self.pairs, len(self._blocks), total, needed, findings)

    def _fire(self) -> None:
        """Whether the harms suffice now. Independent blocks would say most, so their dispersion comes first."""
        needed = math.log(1.0 / self.settings.alpha)
        if self._total(self._worse(dispersed=False)) < needed:
            return
        worse = self._worse(dispersed=True)
        if self._total(worse) >= needed:
            shares = dict(zip(HARMS, self.settings.weights, strict=True))
            self._fired = max(HARMS, key=lambda name: worse[name] + math.log(shares[name]))

    def _total(self, worse: dict[str, float]) -> float:
        weights = np.array(self.settings.weights) / sum(self.settings.weights)
        return float(eprocess.log_sum(np.array([worse[name] for name in HARMS]), weights))

    def _worse(self, *, dispersed: bool) -> dict[str, float]:
        """Log e-values of being worse: of harms against equality, or a shift beyond the tolerance."""
        rows = np.array(self._blocks)
        n = np.full(len(rows), float(BLOCK))
        found = {}
        for name, b, c in (("interventions", 4, 5), ("failures", 6, 7)):
            likelihood = eprocess.two_arms(*(np.array([x.sum()]) for x in (rows[:, c], rows[:, b], n, n)))
            spread = self._count_dispersion([rows[:, c], rows[:, b]]) if dispersed else 1.0
            found[name] = float(eprocess.log_mixture(likelihood, eprocess.STEPS, eprocess.WORSE, spread)[0])
        found["disagreement"] = self._rate(rows[:, 8], self.settings.disagreement, eprocess.WORSE, dispersed=dispersed)
        for name, z, _ in self._shifts(rows):
            spread = self._series_dispersion(z) if dispersed else 1.0
            found[name] = float(eprocess.log_symmetric(eprocess.score(z).sum(axis=0), spread))
        return found

    def _fine(self) -> dict[str, float]:
        """Log e-values against each tolerance: what a pass must rule out."""
        rows, settings = np.array(self._blocks), self.settings
        n = np.full(len(rows), float(BLOCK))
        null = eprocess.ratio_index(settings.ratio)
        found = {}
        for name, b, c in (("interventions", 0, 1), ("failures", 2, 3)):
            likelihood = eprocess.two_arms(*(np.array([x.sum()]) for x in (rows[:, c], rows[:, b], n, n)))
            spread = self._count_dispersion([rows[:, c], rows[:, b]])
            beside = float(eprocess.log_mixture(likelihood, null, eprocess.better(null), spread)[0])
            alone = self._rate(rows[:, c], settings.slack, eprocess.better(eprocess.STEPS), dispersed=True)
            found[name] = max(beside, alone) - math.log(2.0)  # either suffices, at half of the level
        for name, _, z in self._shifts(rows):
            spread = self._series_dispersion(z)
            found[name] = float(eprocess.log_symmetric(eprocess.score(z).sum(axis=0), spread))
        less = eprocess.better(eprocess.STEPS)
        found["disagreement"] = self._rate(rows[:, 8], settings.disagreement, less, dispersed=True)
        return found

    def _rate(self, counts: Array, rate: float, weights: Array, *, dispersed: bool) -> float:
        """Log e-value of a rate per step against a known one, the weights' side of it."""
        expected = np.array([rate * BLOCK * len(counts)])
        spread = self._count_dispersion([counts]) if dispersed else 1.0
        likelihood = eprocess.one_arm(np.array([counts.sum()]), expected)
        return float(eprocess.log_mixture(likelihood, eprocess.STEPS, weights, spread)[0])

    def _shifts(self, rows: Array) -> list[tuple[str, Array, Array]]:
        """Of margin and progress: standardised shifts beyond the tolerance, of being worse and of being fine."""
        found = []
        for name, p, c, tolerance in (
            ("margin", 9, 10, self.settings.margin),
            ("progress", 11, 12, self.settings.progress),
        ):
            shift = (rows[:, p] - rows[:, c]) / BLOCK
            # the scale of a block comes from blocks before it, from the tolerance at first
            count = np.arange(len(shift))
            squares = np.concatenate([[0.0], np.cumsum(shift**2)[:-1]])
            scale = np.sqrt((4.0 * tolerance**2 + squares) / (4.0 + count))
            found.append((name, (shift - tolerance) / scale, (tolerance - shift) / scale))
        return found

    def _count_dispersion(self, arms: list[Array]) -> float:
        """Of counts per block, over stretches of time and over robots."""
        n = np.full((len(self._blocks), 1), float(BLOCK))
        spread = [self._unknown()]
        for order in self._orders():
            spread.append(float(clusters.over_time([(n, arm[order, None]) for arm in arms])[0]))
        names = sorted(set(self._robots))
        if len(names) > 3:
            index = np.array([names.index(robot) for robot in self._robots])
            groups: list[tuple[Array, Array]] = [
                (np.bincount(index, n[:, 0])[:, None].astype(float), np.bincount(index, arm)[:, None].astype(float))
                for arm in arms
            ]
            spread.append(float(clusters.of_counts(groups, clusters.few(len(names) - 1))[0]))
        return max(spread)

    def _series_dispersion(self, z: Array) -> float:
        """Of standardised shifts, over time and along each robot's own."""
        return max(self._unknown(), *(float(clusters.of_series(z[order, None])[0]) for order in self._orders()))

    def _orders(self) -> list[NDArray[np.intp]]:
        """Blocks as they came, and robot by robot: what hangs together in one robot is far apart among many."""
        names, index = np.unique(self._robots, return_inverse=True)
        came = np.arange(len(self._robots))
        return [came] if len(names) == 1 else [came, np.argsort(index, kind="stable")]

    def _unknown(self) -> float:
        """The dispersion that is assumed while few blocks can show any."""
        return 1.0 + (FIRST - 1.0) * max(0.0, 1.0 - len(self._blocks) / SHOWN)

    def _means(self) -> dict[str, tuple[float, float]]:
        means = np.array(self._blocks).sum(axis=0) / (BLOCK * len(self._blocks))
        return {
            "interventions": (means[0], means[1]),
            "failures": (means[2], means[3]),
            "margin": (means[9], means[10]),
            "progress": (means[11], means[12]),
            "disagreement": (self.settings.disagreement, means[8]),
        }
