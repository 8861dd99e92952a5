"""The baseline judge: what Spinnaker's Kayenta does with two samples of a metric, for comparison and for its users.

A metric is High or Low when a Mann-Whitney confidence interval of the shift (candidate less baseline) lies beyond a
fraction, `tolerance`, of the estimated shift itself, and the ratio of the means (or the common language effect size)
is beyond its thresholds. Interval and estimate are those of R's `wilcox.test(conf.int = TRUE, exact = FALSE)`: with

    W(d) = sum of the ranks of x - d among (x - d, y) - n (n + 1) / 2 - n m / 2
    s(d) = sqrt(n m / 12 ((n + m + 1) - sum_ties (t^3 - t) / ((n + m) (n + m - 1))))

the roots d of (W(d) - sign(W(d)) / 2) / s(d) = z for z of both ends of the level, and of z = 0, by Brent's method to
1e-4.

What it is not: the interval is of one look at independent samples. Looked at again and again, or at missions that hang
together, it fails innocent candidates (docs/rollout.md); that is what `fleet.judge.judge` is for. Where both samples
are constants Kayenta adds noise to them at random; here their order decides, which is what any noise that small shows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

TOLERANCE = 1e-4
"""Of a root (R's uniroot in wilcox.test)."""
ROUNDS = 1000
"""Steps of Brent's method at most; some twenty are taken."""


class Label(Enum):
    """What a metric is classified as."""

    PASS = "Pass"
    HIGH = "High"
    LOW = "Low"
    NODATA = "Nodata"
    NODATA_FAIL = "NodataFailMetric"


class Direction(Enum):
    """In which direction a change is bad."""

    INCREASE = "increase"
    DECREASE = "decrease"
    EITHER = "either"


@dataclass(frozen=True)
class Shift:
    """A Mann-Whitney interval of how far x lies above y."""

    low: float
    high: float
    estimate: float


@dataclass(frozen=True)
class Classified:
    """What became of a metric."""

    label: Label
    reason: str
    deviation: float
    """Mean of the candidate over the baseline's; nan where either is 0"""
    critical: bool = False
    """Whether the canary fails by this metric alone"""


@dataclass(frozen=True)
class Classifier:
    """Kayenta's Mann-Whitney classifier with its defaults; the judge itself takes a level of 0.98."""

    tolerance: float = 0.25
    """Of the estimated shift, which the interval must lie beyond"""
    level: float = 0.98
    effect_size: tuple[float, float] = (1.0, 1.0)
    """A Low is at most the first, a High at least the second"""
    critical: tuple[float, float] = (1.0, 1.0)
    """The same for failing the canary by one critical metric"""
    measure: str = "meanRatio"
    """meanRatio or cles"""

    def classify(
        self,
        control: ArrayLike,
        experiment: ArrayLike,
        direction: Direction = Direction.EITHER,
        *,
        replace_missing: bool = False,
        is_critical: bool = False,
        required: bool = False,
    ) -> Classified:
        """The experiment's metric beside the control's; nan are taken out, or are 0 with `replace_missing`."""
        y, x = (_clean(sample, replace_missing) for sample in (control, experiment))
        if not len(x) or not len(y):
            if replace_missing:
                return Classified(Label.PASS, "", 1.0)
            if required and not is_critical:
                return Classified(Label.NODATA_FAIL, "missing data", 1.0)
            return Classified(Label.NODATA, "missing data", 1.0, is_critical)
        if len(x) == len(y) and (np.sort(x) == np.sort(y)).all():
            return Classified(Label.PASS, "the samples are identical", 1.0)
        values = np.unique(np.concatenate([x, y]))
        if len(values) == 1:
            return Classified(Label.PASS, "", 1.0)
        if len(np.unique(x)) == 1 and len(np.unique(y)) == 1:
            shift = Shift(*(3 * (float(x[0] - y[0]),)))
        else:
            shift = mann_whitney(x, y, self.level)
        deviation = mean_ratio(y, x)
        size = common_language(y, x) if self.measure == "cles" else deviation
        bound = self.tolerance * abs(shift.estimate)
        unknown = math.isnan(size)
        if direction is not Direction.DECREASE and shift.low > bound and (unknown or size >= self.effect_size[1]):
            critical = is_critical and (unknown or size >= self.critical[1])
            return Classified(Label.HIGH, "the candidate is high", deviation, critical)
        if direction is not Direction.INCREASE and shift.high < -bound and (unknown or size <= self.effect_size[0]):
            critical = is_critical and (unknown or size <= self.critical[0])
            return Classified(Label.LOW, "the candidate is low", deviation, critical)
        return Classified(Label.PASS, "", deviation)


def mann_whitney(x: ArrayLike, y: ArrayLike, level: float = 0.95) -> Shift:
    """Interval and estimate of the shift of x over y. Raises ValueError where all values are one."""
    x, y = np.sort(np.asarray(x, dtype=float)), np.sort(np.asarray(y, dtype=float))
    if not len(x) or not len(y):
        raise ValueError("expected samples with values, got an empty one; there is nothing to compare")
    low, high = float(x[0] - y[-1]), float(x[-1] - y[0])

    def root(z: float, held: bool) -> float:
        at_low, at_high = difference(low, x, y) - z, difference(high, x, y) - z
        if held and at_low <= 0.0:
            return low
        if held and at_high >= 0.0:
            return high
        return _brent(lambda d: difference(d, x, y) - z, low, high, at_low, at_high)

    z = -NormalDist().inv_cdf((1.0 - level) / 2.0)
    return Shift(root(z, True), root(-z, True), root(0.0, False))


def difference(shift: float, x: Array, y: Array) -> float:
    """Standardised rank sum of x - shift among y, both sorted; corrected for continuity."""
    n, m = len(x), len(y)
    moved = x - shift
    below, upto = np.searchsorted(y, moved, side="left"), np.searchsorted(y, moved, side="right")
    w = 0.5 * float((below + upto).sum()) - n * m / 2.0
    ties = np.unique(np.concatenate([moved, y]), return_counts=True)[1].astype(float)
    spread = (n + m + 1.0) - float((ties**3 - ties).sum()) / ((n + m) * (n + m - 1.0))
    if spread <= 0.0:
        raise ValueError("expected values that differ, all are one; there is no shift to tell")
    return (w - 0.5 * float(np.sign(w))) / math.sqrt(n * m / 12.0 * spread)


def _brent(function: Callable[[float], float], a: float, b: float, f_a: float, f_b: float) -> float:
    """A root between a and b by Brent's method (1973, chapter 4), as R's uniroot takes its steps.

    Where the function steps over 0 the root is one place within TOLERANCE of the step; which, depends on the steps
    taken.
    """
    c, f_c = a, f_a
    for _ in range(ROUNDS):
        previous = b - a
        if abs(f_c) < abs(f_b):
            a, b, c = b, c, b
            f_a, f_b, f_c = f_b, f_c, f_b
        near = 2.0 * np.finfo(float).eps * abs(b) + TOLERANCE / 2.0
        step = (c - b) / 2.0
        if abs(step) <= near or f_b == 0.0:
            return b
        if abs(previous) >= near and abs(f_a) > abs(f_b):
            across = c - b
            if a == c:
                ratio = f_b / f_a
                p, q = across * ratio, 1.0 - ratio
            else:
                q, ratio, other = f_a / f_c, f_b / f_c, f_b / f_a
                p = other * (across * q * (q - ratio) - (b - a) * (ratio - 1.0))
                q = (q - 1.0) * (ratio - 1.0) * (other - 1.0)
            p, q = (p, -q) if p > 0.0 else (-p, q)
            if p < 0.75 * across * q - abs(near * q) / 2.0 and p < abs(previous * q / 2.0):
                step = p / q
        if abs(step) < near:
            step = math.copysign(near, step)
        a, f_a = b, f_b
        b += step
        f_b = function(b)
        if f_b * f_c > 0.0:
            c, f_c = a, f_a
    return b


def mean_ratio(control: Array, experiment: Array) -> float:
    """Mean of the experiment over the control's; nan where either is 0."""
    of_control, of_experiment = float(control.mean()), float(experiment.mean())
    return math.nan if of_control == 0.0 or of_experiment == 0.0 else of_experiment / of_control


def common_language(control: Array, experiment: Array) -> float:
    """Probability that a value of the experiment exceeds one of the control, ties half (Vargha and Delaney 2000)."""
    y = np.sort(control)
    below, upto = np.searchsorted(y, experiment, side="left"), np.searchsorted(y, experiment, side="right")
    return 0.5 * float((below + upto).sum()) / (len(y) * len(experiment))


def without_outliers(values: ArrayLike, factor: float = 3.0) -> Array:
    """Values within `factor` interquartile ranges of the quartiles, or within the 1 and 99 % quantiles if wider."""
    sample = np.asarray(values, dtype=float)
    if not len(sample):
        return sample
    q1, q25, q75, q99 = np.percentile(sample, [1, 25, 75, 99], method="weibull")
    low, high = min(q1, q25 - factor * (q75 - q25)), max(q99, q75 + factor * (q75 - q25))
    return sample[(sample >= low) & (sample <= high)]


def score(labels: Sequence[Label]) -> float:
    """Share of the metrics that passed, of those that had data, in percent; 0 where none had."""
    told = [label for label in labels if label is not Label.NODATA]
    return 100.0 * sum(label is Label.PASS for label in told) / len(told) if told else 0.0


def _clean(sample: ArrayLike, replace: bool) -> Array:
    values = np.asarray(sample, dtype=float)
    return np.where(np.isnan(values), 0.0, values) if replace else values[~np.isnan(values)]
