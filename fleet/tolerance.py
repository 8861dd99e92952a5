"""Distribution-free tolerance bounds: what a number of runs says about the drives to come, whatever is distributed how.

A set of bounds that was fixed beforehand and then held in n independent runs without one exception holds in at least a
share p of all such runs, with confidence 1 - alpha, as soon as p^n <= alpha (Wilks, Annals of Mathematical Statistics
12, 1941; Clopper and Pearson's bound without a failure):

    n = ceil(ln alpha / ln p)          p = alpha^(1 / n)

99.9 % at 95 % take 2,995 runs. All bounds are judged by the same runs, so this is their joint coverage; how many there
are does not matter. When a run breaks a bound, the bound is widened and counting begins anew; attempt k = 1, 2, ...
spends alpha / 2^k, so that all attempts together spend no more than alpha (3,688 runs for the first).
"""

from __future__ import annotations

import math

from sim.errors import MusterError

FAR_RUNS = 100_000
"""More runs than anybody drives, a week without a pause: a demand for more is a slip of the pen."""


class ToleranceError(MusterError):
    """A coverage or a confidence that cannot be had."""


def check_demand(coverage: float, confidence: float) -> None:
    """Raise `ToleranceError` for a share that no number of runs shows, or that needs more than FAR_RUNS."""
    for name, value, least in (("coverage", coverage, 0.5), ("confidence", confidence, 0.5)):
        if not least <= value < 1.0:
            raise ToleranceError(
                f"--{name}: expected a share from {least:g} up and below 1, got {value:g}; give for example 0.999"
            )
    needed = runs_needed(coverage, confidence)
    if needed > FAR_RUNS:
        raise ToleranceError(
            f"--coverage: {coverage:g} at confidence {confidence:g} needs {needed} runs, expected at most {FAR_RUNS}; "
            "lower one of them"
        )


def spent(confidence: float, attempt: int) -> float:
    """The share alpha that attempt 1, 2, ... may be wrong with."""
    return (1.0 - confidence) / 2.0**attempt


def runs_needed(coverage: float, confidence: float, attempt: int = 1) -> int:
    """Runs without an exception after which at least `coverage` of such runs keep all bounds, at `confidence`."""
    return math.ceil(math.log(spent(confidence, attempt)) / math.log(coverage))


def shown(runs: int, confidence: float, attempt: int = 1) -> float:
    """The share of such runs that `runs` runs without an exception show at `confidence`; 0 for none."""
    return spent(confidence, attempt) ** (1.0 / runs) if runs > 0 else 0.0


def share_at_most(found: int, of: int, confidence: float) -> float:
    """An upper bound of a share of which `found` in `of` were seen (Wilson's score bound), for many of them."""
    if of == 0:
        return 1.0
    z = _normal_quantile(confidence)
    p, d = found / of, z * z / of
    return min(1.0, (p + d / 2.0 + z * math.sqrt(p * (1.0 - p) / of + d / (4.0 * of))) / (1.0 + d))


def _normal_quantile(share: float) -> float:
    """Z with P(N <= z) = share, by bisection of the error function."""
    low, high = 0.0, 40.0
    for _ in range(80):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if 0.5 * (1.0 + math.erf(middle / math.sqrt(2.0))) < share else (low, middle)
    return low
