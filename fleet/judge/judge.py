"""The judge: missions in, a verdict whenever one asks.

    judge = Judge(settings)
    judge.add(mission)                    as often as missions end
    verdict = judge.look(now)             as often as one likes

Rollback: the weighted mean of the guardrails' e-values has reached 1 / alpha after some block; that stands from then
on, whatever comes later. Promote: every guardrail has ruled out its tolerance, at `alpha_promote`, and nothing that
was to be seen is lacking. Everything else is a hold, which says what is lacking.

Time is not evidence. Blocks are formed by shift and arrival; a verdict depends on `now` only in that it can hold:
nothing was heard for long, or missions are ahead of the clock. A clock that jumps makes no promotion, and a mission
whose stamps cannot be (it ended before it began, or took ten times longer or shorter for its steps than missions do)
loses its time, not its events.

What a history knows (`Settings.history`) counts as missions of the baseline that were driven before: a candidate
beside a known rate tells a doubled one in half the time that two arms take. Days differ, however well a history is
known. That evidence is therefore taken beside a second innocent world, in which both arms share another rate than the
history's: a day on which everything drives worse than it used to is not laid at the candidate's door.
"""

from __future__ import annotations

import hashlib
import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fleet.codehash import code_hash
from fleet.judge import eprocess
from fleet.judge.evidence import Evidence, Rows
from fleet.judge.missions import INT64, Mission, MissionError, check, contradicts, line
from fleet.judge.settings import ACTIONS, COUNTED, HOUR, MEASURED, MISSION, Guardrail, Settings, checked
from fleet.judge.summary import STEPS, Arm
from fleet.judge.verdict import Finding, Verdict
from sim.errors import printable

Array = NDArray[np.float64]

SECOND = 1_000_000_000
AHEAD = 5.0
"""s by which a mission may end after `now`: clocks of a site are that close."""
PROMOTE, HOLD, ROLLBACK = "promote", "hold", "rollback"
GROWTH = 0.5
"""Of a block with the square root of the missions: 5 at 100 of them, 24 after a day of 100 an hour."""
ALONE = 0.9
"""Share of a rate's e-value that is taken with the history, which tells sooner than two arms."""
CREDIT = 1000.0
"""Events of a history that count at most: no rate is known to better than 3 % (one over its root)."""
DRIFT = 0.02
"""Odds that the history does not hold today, for both arms alike."""
BESIDE = 2.3
"""Standard deviations (one in a hundred) by which two arms must differ before the history may speak."""
DOUBTED = 100
"""Missions for which one that contradicts itself holds a promotion back: something tells of what did not happen."""
ODD_SHARE = 0.25
"""Of the recent missions of an arm whose stamps cannot be, from which on its clock is not believed."""


@dataclass
class _Waiting:
    """Missions of candidate and baseline that make the next block, with their robots and shifts."""

    rows: tuple[Rows, Rows] = field(default_factory=lambda: ([], []))
    robots: tuple[list[str], list[str]] = field(default_factory=lambda: ([], []))
    shifts: tuple[list[str], list[str]] = field(default_factory=lambda: ([], []))


class Judge:
    """Owns what was added. Raises MissionError for a mission that cannot be and SettingsError for such settings."""

    def __init__(self, settings: Settings) -> None:
        self.settings = checked(settings)
        self.missions = 0
        """Missions added"""
        self._evidence = Evidence(settings)
        self._arms = (Arm(settings), Arm(settings))
        self._open: dict[str, _Waiting] = {}
        """Missions by shift that wait for enough of the other arm, in the order in which shifts were first seen"""
        self._contradictions: deque[tuple[int, str]] = deque(maxlen=DOUBTED)
        """Newest missions that were not believed: their numbers and robots"""
        self._hash = hashlib.sha256()
        self._seen: set[int] = set()
        total = sum(guardrail.weight for guardrail in settings.guardrails)
        self._shares = np.array([guardrail.weight / total for guardrail in settings.guardrails])
        self._fired: tuple[str, int] | None = None

    def add(self, mission: Mission) -> bool:
        """Take a mission in, in the order in which they end or are heard of; what was told already says nothing.

        Whether it counts: it is new, and its arm is that of the release which it names.
        """
        text = line(check(mission))
        self._hash.update(text)
        self.missions += 1
        key = hash(text)
        if key in self._seen:
            return False
        self._seen.add(key)
        if contradicts(mission, self.settings.candidate):
            self._contradictions.append((self.missions, mission.robot))
            return False
        baseline = mission.arm != "candidate"
        values = self._arms[baseline].add(mission)
        counts = (mission.interventions, mission.contacts, mission.near_misses)
        undone = None if mission.done is None else not mission.done
        waiting = self._open.get(mission.shift)
        if waiting is None:
            waiting = self._begin(mission.shift)
        known = (math.nan if count is None else count for count in (*counts, undone))
        thousands = mission.steps / 1000.0 if mission.steps else math.nan
        waiting.rows[baseline].append((*known, *values, thousands))
        waiting.robots[baseline].append(mission.robot)
        waiting.shifts[baseline].append(mission.shift)
        ready = min(len(waiting.rows[0]), len(waiting.rows[1]))
        if ready >= self.settings.block and ready >= self._enough():
            self._open[mission.shift] = _Waiting()
            self._evidence.add(waiting.rows, waiting.robots, waiting.shifts)
            if self._fired is None:
                self._fire()
        return True

    @property
    def rolled_back(self) -> bool:
        """Whether the evidence has sufficed for a rollback; cheap, so that it may be asked after every mission."""
        return self._fired is not None

    def _enough(self) -> int:
        """Missions of each arm that make a block: more as time goes on.

        After a day a verdict need not come from one minute to the next, and missions that hang together share a block.
        """
        return max(self.settings.block, int(GROWTH * math.sqrt(min(arm.missions for arm in self._arms))))

    def _begin(self, shift: str) -> _Waiting:
        """A shift that was not seen before: what older ones but the last left over joins it."""
        joined = _Waiting()
        for old in list(self._open)[:-1]:
            left = self._open.pop(old)
            for arm in (0, 1):
                joined.rows[arm].extend(left.rows[arm])
                joined.robots[arm].extend(left.robots[arm])
                joined.shifts[arm].extend(left.shifts[arm])
        self._open[shift] = joined
        return joined

    def _fire(self) -> None:
        """Whether the evidence suffices now. Independent missions would say most, so their dispersion comes first."""
        limit = math.log(1.0 / self.settings.alpha)
        ones = (np.ones(self._evidence.events), np.ones(len(self._evidence.means)))
        if self._total(self._against(*ones)) < limit:
            return
        against = self._against(self._evidence.event_dispersion(), self._evidence.mean_dispersion())
        if self._total(against) >= limit:
            self._fired = (self.settings.guardrails[int(np.argmax(against + np.log(self._shares)))].name, self.missions)

    def _total(self, against: Array) -> float:
        return float(eprocess.log_sum(against, self._shares))

    def _against(self, events: Array, means: Array) -> Array:
        """Log e-values (guardrails,) of being worse than the baseline, for dispersions of both kinds of channels."""
        evidence = self._evidence
        events, means = self._at_least_known(events, means)
        likelihood = np.concatenate([evidence.counted, evidence.exceeded[:, evidence.one]])
        log_e = eprocess.log_mixture(likelihood, eprocess.STEPS, eprocess.WORSE, events)
        shifted = eprocess.log_symmetric(evidence.up[:, evidence.one], means)
        found = []
        for guardrail in self.settings.guardrails:
            key = (guardrail.metric, guardrail.kind)
            if key in evidence.rates:
                i = evidence.rates.index(key)
                alone = self._alone(guardrail, float(events[i]))
                found.append(_mean((float(log_e[i]), 1.0 - ALONE), (alone, ALONE)) if alone is not None else log_e[i])
            elif key in evidence.tails:
                found.append(log_e[len(evidence.rates) + evidence.tails.index(key)])
            else:
                found.append(shifted[evidence.means.index(key)])
        return np.array(found, dtype=float)

    def _at_least_known(self, events: Array, means: Array) -> tuple[Array, Array]:
        """Dispersions, not below what the history knows of their metric."""
        history, evidence = self.settings.history, self._evidence
        names = [metric for metric, _ in (*evidence.rates, *evidence.tails)]
        known = np.array([history[name].dispersion if name in history else 1.0 for name in names])
        of_means = [history[metric].dispersion if metric in history else 1.0 for metric, _ in evidence.means]
        return np.maximum(events, known), np.maximum(means, np.array(of_means))

    def _remembered(self, metric: str) -> tuple[float, float] | None:
        """Missions and events of the history that count beside the baseline's; None where no rate is known."""
        known = self.settings.history.get(metric)
        if known is None or known.rate is None:
            return None
        events = CREDIT
        if known.missions:
            events = min(events, known.rate * known.missions / known.dispersion)
        return events / known.rate, events

    def _against_history(self, guardrail: Guardrail, missing: float = 0.0) -> Array | None:
        """Log-likelihoods (ratios,) of the candidate beside baseline and history; None where no rate is known.

        `missing` missions of the candidate more, each with an event.
        """
        remembered = self._remembered(guardrail.metric)
        if remembered is None or guardrail.kind != MISSION:
            return None
        i = COUNTED.index(guardrail.metric)
        (n_c, c), (n_b, b) = (arm[:, i] for arm in self._evidence.totals)
        c, n_c = c + missing, n_c + missing
        return eprocess.two_arms(np.array(c), np.array(b + remembered[1]), np.array(n_c), np.array(n_b + remembered[0]))

    def _alone(self, guardrail: Guardrail, dispersion: float) -> float | None:
        """Log e-value of the candidate being worse than baseline and history; None where no rate is known.

        Divided by 1 + e, e being the evidence (DRIFT of it) that both arms together have another rate than the
        history; none as long as the candidate is not worse than the baseline beside it by BESIDE standard deviations.
        """
        likelihood = self._against_history(guardrail)
        remembered = self._remembered(guardrail.metric)
        if likelihood is None or remembered is None:
            return None
        worse = eprocess.log_mixture(likelihood, eprocess.STEPS, eprocess.WORSE, dispersion)
        missions, events = self._evidence.totals[:, :, COUNTED.index(guardrail.metric)].sum(axis=0)
        both = eprocess.one_arm(np.array(events), np.array(missions * remembered[1] / remembered[0]))
        drift = eprocess.log_mixture(both, eprocess.STEPS, eprocess.ANOTHER, dispersion)
        (n_c, c), (n_b, _) = self._evidence.totals[:, :, COUNTED.index(guardrail.metric)]
        share = n_c / max(n_c + n_b, 1.0)
        beside = (c - share * events) / math.sqrt(max(dispersion * events * share * (1.0 - share), 1e-9))
        if beside < BESIDE:
            return min(float(worse), 0.0)
        return float(worse - np.logaddexp(0.0, math.log(DRIFT) + drift))

    def look(self, now: int) -> Verdict:
        """The verdict at `now` (ns of the site clock); asking changes nothing."""
        if not -INT64 <= now < INT64:
            raise MissionError("expected now as ns of the site clock, got more digits than one has; correct it")
        evidence, settings = self._evidence, self.settings
        events, means = self._at_least_known(evidence.event_dispersion(), evidence.mean_dispersion())
        against = self._against(events, means)
        findings = tuple(
            self._finding(guardrail, float(log_e), events, means)
            for guardrail, log_e in zip(settings.guardrails, against, strict=True)
        )
        holds = [*self._silence(now), *self._lacking()]
        unproven = [finding for finding in findings if not finding.passed]
        if self._fired is not None:
            name, missions = self._fired
            decision, decided = ROLLBACK, name
            reason = f"{name} of the candidate is worse than the baseline's, since mission {missions}"
        elif holds:
            decision, decided, reason = HOLD, "", holds[0]
        elif unproven:
            first = min(unproven, key=lambda finding: finding.log_e_passed)
            decision, decided = HOLD, first.name
            reason = f"{first.name}: not yet shown to be below {first.tolerance:g} times the baseline's"
        else:
            decision, decided = PROMOTE, ""
            reason = "every guardrail is shown to be within its tolerance"
        total = self._total(against)
        return Verdict(
            decision=decision,
            guardrail=decided,
            reason=reason,
            holds=tuple(holds),
            now=now,
            missions=self.missions,
            candidate=self._arms[0].missions,
            baseline=self._arms[1].missions,
            log_e=total,
            log_e_needed=math.log(1.0 / settings.alpha),
            findings=findings,
            settings=settings,
            inputs=self._hash.hexdigest(),
            code=code_hash("fleet.judge.judge"),
        )

    def _finding(self, guardrail: Guardrail, log_e: float, events: Array, means: Array) -> Finding:
        """What is known of one guardrail."""
        evidence, level = self._evidence, self.settings.alpha_promote
        need = math.log(1.0 / level)
        key = (guardrail.metric, guardrail.kind)
        if key in evidence.rates:
            i = evidence.rates.index(key)
            dispersion = float(events[i])
            low, high = eprocess.ratio_bounds(evidence.counted[i], dispersion, level)
            passed = self._rate_passed(guardrail, dispersion)
        else:
            up, down, dispersion = self._scales(key, events, means)
            low = max((float(s) for s, e in zip(evidence.scales, up, strict=True) if e >= need), default=0.0)
            high = min((float(s) for s, e in zip(evidence.scales, down, strict=True) if e >= need), default=math.inf)
            passed = float(down[int(np.searchsorted(evidence.scales, guardrail.tolerance))])
        return Finding(
            name=guardrail.name,
            share=guardrail.weight / sum(one.weight for one in self.settings.guardrails),
            log_e=log_e,
            log_e_passed=passed,
            passed=passed >= need,
            tolerance=guardrail.tolerance,
            dispersion=dispersion,
            ratio_low=low,
            ratio_high=None if math.isinf(high) else high,
            candidate=self._arms[0].summary(guardrail.metric),
            baseline=self._arms[1].summary(guardrail.metric),
        )

    def _scales(self, key: tuple[str, str], events: Array, means: Array) -> tuple[Array, Array, float]:
        """Log e-values (scales,) of being more than each scale, and of being less."""
        evidence = self._evidence
        if key in evidence.means:
            i = evidence.means.index(key)
            dispersion = float(means[i])
            up, down = evidence.up[i], evidence.down[i]
            return eprocess.log_symmetric(up, dispersion), eprocess.log_symmetric(down, dispersion), dispersion
        i = evidence.tails.index(key)
        dispersion = float(events[len(evidence.rates) + i])
        found = [
            eprocess.log_mixture(likelihood, eprocess.STEPS, weights, dispersion)
            for likelihood, weights in (
                (evidence.exceeded[i], eprocess.WORSE),
                (evidence.exceeded_at_worst[i], eprocess.better(eprocess.STEPS)),
            )
        ]
        return found[0], found[1], dispersion

    def _rate_passed(self, guardrail: Guardrail, dispersion: float) -> float:
        """Log e-value of a rate below the larger of tolerance times the baseline's and the slack: their mean.

        A mission of the candidate without the count has had an event.
        """
        i = self._evidence.rates.index((guardrail.metric, guardrail.kind))
        null = eprocess.ratio_index(guardrail.tolerance)
        weights = eprocess.better(null)
        found = [float(eprocess.log_mixture(self._evidence.counted_at_worst[i], null, weights, dispersion))]
        missing = float(self._evidence.missing[i])
        n, count = self._evidence.totals[0, :, i] + (0.0, missing)
        likelihood = self._against_history(guardrail, missing)
        if likelihood is not None:
            found.append(float(eprocess.log_mixture(likelihood, null, weights, dispersion)))
        if guardrail.slack > 0.0:
            likelihood = eprocess.one_arm(np.array(count), np.array(n * guardrail.slack))
            below = eprocess.better(eprocess.STEPS)
            found.append(float(eprocess.log_mixture(likelihood, eprocess.STEPS, below, dispersion)))
        return float(np.logaddexp.reduce(found) - math.log(len(found)))

    def _silence(self, now: int) -> list[str]:
        """What is not heard, or cannot be believed for its stamps."""
        found = []
        for arm, name in zip(self._arms, ("candidate", "baseline"), strict=True):
            if not arm.missions:
                found.append(f"no mission of the {name} yet")
                continue
            newest, latest = arm.newest, arm.latest
            if latest > now + int(AHEAD * SECOND):
                found.append(
                    f"a mission of the {name} ends {(latest - now) / SECOND:.0f} s after now: a clock has jumped"
                )
            elif now - newest > int(self.settings.stale * SECOND):
                found.append(f"no mission of the {name} for {(now - newest) / SECOND:.0f} s")
            if arm.odd_share > ODD_SHARE:
                found.append(
                    f"the {name}'s missions have begins and ends that cannot be: its clock is not to be believed"
                )
            for metric in self._metrics():
                gone = arm.missing[metric]
                if gone.row >= self.settings.missing_max or gone.row == arm.missions:
                    found.append(f"{metric} of the {name} has not arrived for {gone.row} missions")
                elif gone.total > self.settings.missing_share * arm.missions:
                    found.append(f"{metric} of the {name} is missing in {gone.total} of {arm.missions} missions")
        return found

    def _metrics(self) -> list[str]:
        """What a guardrail needs of each mission."""
        needs = {ACTIONS: STEPS, HOUR: "time"}
        named = {name for each in self.settings.guardrails for name in (each.metric, needs.get(each.kind, each.metric))}
        return [metric for metric in (*COUNTED, *MEASURED, STEPS) if metric in named]

    def _lacking(self) -> list[str]:
        """What is too little yet, or was not believed lately."""
        recent = [robot for number, robot in self._contradictions if self.missions - number < DOUBTED]
        found = []
        if recent:
            found.append(
                f"{len(recent)} of the last {DOUBTED} missions name a release of another arm, told by "
                f"{printable(', '.join(sorted(set(recent))[:3]))}: they are not believed"
            )
        for arm, name in zip(self._arms, ("candidate", "baseline"), strict=True):
            if arm.missions < self.settings.missions_min:
                found.append(f"{arm.missions} missions of the {name}, {self.settings.missions_min} are needed")
            if len(arm.robots) < self.settings.robots_min:
                found.append(f"{len(arm.robots)} robots of the {name}, {self.settings.robots_min} are needed")
        return found


def judge(settings: Settings, missions: Iterable[Mission], now: int | None = None) -> Verdict:
    """The verdict on missions in their order, at `now` (ns) or when the last of them ended."""
    one = Judge(settings)
    latest = 0
    for mission in missions:
        one.add(mission)
        latest = max(latest, mission.end)
    return one.look(latest if now is None else now)


def _mean(*parts: tuple[float, float]) -> float:
    """Log of the weighted mean of e-values, from (log e, weight)."""
    return float(np.logaddexp.reduce([log_e + math.log(weight) for log_e, weight in parts]))
