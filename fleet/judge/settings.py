"""What a candidate must not be worse in, how sure the judge must be, and what is known from before.

The stated level `alpha` is one for all guardrails and all looks: each guardrail has a share of it, its `weight`, and
the judge rolls back when the weighted mean of their e-values reaches 1 / alpha. A mean of e-processes is an e-process,
whatever depends on whatever (Vovk and Wang 2021), so Ville's inequality holds for the mean: P(ever >= 1 / alpha) <=
alpha.
"""

from __future__ import annotations

import math

import msgspec

from sim.errors import MusterError, nearest

COUNTED = ("interventions", "contacts", "near_misses", "undone")
"""Metrics that are counts of a mission."""
MEASURED = ("time", "energy", "latency")
"""Metrics that are values of a mission: s, J, s."""
MISSION, ACTIONS, HOUR = "rate", "per_1000_actions", "per_robot_hour"
RATES = (MISSION, ACTIONS, HOUR)
"""What of a count is compared: events per mission, per 1,000 control steps, per hour of one robot."""
VALUES = ("mean", "p95", "p99", "cvar")
"""What of a value is compared: the mean, quantiles, the mean excess over the 95 % quantile."""
STALE_MAX = 366 * 86400.0
"""s; longer than any silence that a judge could wait through."""
QUANTILES = {"p95": 0.95, "p99": 0.99, "cvar": 0.95}


class SettingsError(MusterError):
    """Settings that no judge can work by."""


class Guardrail(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing in which a candidate must not be worse."""

    metric: str
    """One of COUNTED or MEASURED"""
    kind: str
    """Of RATES for what is counted, of VALUES for what is measured"""
    weight: float
    """Share of the false rollback level; the judge divides by the sum of all"""
    tolerance: float
    """Candidate over baseline that must be ruled out before a promotion"""
    slack: float = 0.0
    """Events per mission (1,000 steps, hour) below which no ratio matters. Without it a rate of 0 is never promoted."""

    @property
    def name(self) -> str:
        """Such as interventions.rate."""
        return f"{self.metric}.{self.kind}"


class Known(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the baseline's missions of before say of one metric."""

    rate: float | None = None
    """Events per mission, where the metric is counted"""
    missions: int = 0
    """Missions that the rate was measured over; 0: known exactly"""
    dispersion: float = 1.0
    """Variance over clusters and time, over what independent missions would have; at least 1"""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that a judge works by; the same settings and missions give the same verdict."""

    guardrails: tuple[Guardrail, ...] = (
        Guardrail("interventions", "rate", 0.70, 2.0, 0.01),
        Guardrail("contacts", "rate", 0.07, 2.0, 0.01),
        Guardrail("near_misses", "rate", 0.04, 2.0, 0.02),
        Guardrail("undone", "rate", 0.03, 2.0, 0.02),
        Guardrail("time", "mean", 0.02, 1.1),
        Guardrail("time", "p95", 0.02, 1.25),
        Guardrail("time", "p99", 0.03, 1.25),
        Guardrail("time", "cvar", 0.01, 1.25),
        Guardrail("energy", "mean", 0.02, 1.1),
        Guardrail("energy", "p99", 0.02, 1.25),
        Guardrail("latency", "mean", 0.01, 1.1),
        Guardrail("latency", "p99", 0.03, 1.25),
    )
    alpha: float = 0.01
    """Probability, over all guardrails and all looks, that a candidate no worse than its baseline is rolled back"""
    alpha_promote: float = 0.05
    """Probability that a candidate that is worse than a guardrail's tolerance passes that guardrail"""
    history: dict[str, Known] = {}
    """Metric to what is known of the baseline from before"""
    missions_min: int = 200
    """Missions of each arm before a promotion"""
    robots_min: int = 2
    """Robots of each arm before a promotion: one robot's wear is no release's fault"""
    stale: float = 1800.0
    """s without a mission of an arm after which it counts as silent"""
    missing_max: int = 10
    """Missions in a row of an arm without a metric after which it counts as no longer arriving"""
    missing_share: float = 0.1
    """Share of an arm's missions without a metric above which what remains is no fair sample"""
    block: int = 5
    """Missions of each arm, at least, that are compared at a time"""
    period: float = 0.0
    """s of a control step; where it is given, missions that took another time than their steps have wrong stamps"""
    candidate: str = ""
    """Id of the candidate's release: a mission that names it under another arm is not believed; empty: all are"""
    muster: int = 1


def checked(settings: Settings) -> Settings:
    """The settings themselves. Raises SettingsError, which says what was expected, for any that make no sense."""
    if not 0.0 < settings.alpha < 1.0 or not 0.0 < settings.alpha_promote < 1.0:
        raise SettingsError(f"expected levels between 0 and 1, got {settings.alpha:g} and {settings.alpha_promote:g}")
    if not settings.guardrails:
        raise SettingsError("expected at least one guardrail, got none; leave them out for the usual ones")
    if settings.block < 1 or settings.missions_min < 1 or settings.robots_min < 1 or settings.missing_max < 1:
        raise SettingsError("expected block, missions_min, robots_min and missing_max of 1 or more")
    if not 0.0 < settings.stale <= STALE_MAX or not 0.0 <= settings.period <= STALE_MAX:
        raise SettingsError(
            f"expected stale above 0 and period of 0 s or more, a year at most, got {settings.stale:g} and "
            f"{settings.period:g}"
        )
    if not 0.0 <= settings.missing_share < 1.0:
        raise SettingsError(f"expected a missing_share of 0 or more and below 1, got {settings.missing_share:g}")
    names = [guardrail.name for guardrail in settings.guardrails]
    for guardrail in settings.guardrails:
        kinds = RATES if guardrail.metric in COUNTED else VALUES
        if guardrail.metric not in COUNTED + MEASURED:
            near = nearest(guardrail.metric, (*COUNTED, *MEASURED))
            raise SettingsError(f'expected a metric of {", ".join(COUNTED + MEASURED)}, got "{guardrail.metric}"{near}')
        if guardrail.kind not in kinds:
            raise SettingsError(f'{guardrail.metric}: expected a kind of {", ".join(kinds)}, got "{guardrail.kind}"')
        if not (math.isfinite(guardrail.weight) and guardrail.weight > 0.0):
            raise SettingsError(f"{guardrail.name}: expected a weight above 0, got {guardrail.weight:g}")
        if not (math.isfinite(guardrail.tolerance) and guardrail.tolerance > 1.0):
            raise SettingsError(f"{guardrail.name}: expected a tolerance above 1, got {guardrail.tolerance:g}")
        if not (math.isfinite(guardrail.slack) and guardrail.slack >= 0.0):
            raise SettingsError(f"{guardrail.name}: expected a slack of 0 or more, got {guardrail.slack:g}")
        if names.count(guardrail.name) > 1:
            raise SettingsError(
                f"expected each guardrail once, got {guardrail.name} {names.count(guardrail.name)} times"
            )
    for metric, known in settings.history.items():
        if metric not in COUNTED + MEASURED:
            raise SettingsError(f'history: expected a metric of {", ".join(COUNTED + MEASURED)}, got "{metric}"')
        if known.rate is not None and not (math.isfinite(known.rate) and known.rate > 0.0):
            raise SettingsError(
                f"history of {metric}: expected a rate above 0, got {known.rate:g}; leave out what is unknown"
            )
        if known.missions < 0:
            raise SettingsError(f"history of {metric}: expected 0 missions or more, got {known.missions}")
        if not (math.isfinite(known.dispersion) and known.dispersion >= 1.0):
            raise SettingsError(f"history of {metric}: expected a dispersion of 1 or more, got {known.dispersion:g}")
    return settings
