"""judge_fixtures: share of other people's cases that our code answers as they do; 1 is the goal.

The cases of `../shared/data/fleet/kayenta` (Mann-Whitney intervals to R's root tolerance of 1e-4, classifications, one
issue) by the baseline judge, and the reference values of `../shared/data/fleet/confseq` (1e-5). The number of cases is
the rival's value.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from figure import Figure, NotHere

from fleet.judge import boundaries
from fleet.judge.kayenta import TOLERANCE, Classifier, Direction, mann_whitney

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "data" / "fleet"
CLOSE = 1e-5
"""What confseq's own tests ask for."""


def measure(quick: bool) -> Iterable[Figure]:
    """The share over all cases."""
    if not (FOLDER / "kayenta").exists() or not (FOLDER / "confseq").exists():
        raise NotHere("needs ../shared/data/fleet/kayenta and confseq")
    agree = [*intervals(), *classifications(), *confidence_sequences()]
    yield Figure("agree", agree.count(True) / len(agree), "1", "cases", len(agree))


def intervals() -> Iterator[bool]:
    """Both ends and the estimate of every interval."""
    for case in json.loads((FOLDER / "kayenta" / "mannwhitney_cases.json").read_text()):
        shift = mann_whitney(case["experiment"], case["control"], case["confidenceLevel"])
        pairs = ((shift.low, "ci_low"), (shift.high, "ci_high"), (shift.estimate, "estimate"))
        yield all(abs(found - case[key]) <= TOLERANCE for found, key in pairs)


def classifications() -> Iterator[bool]:
    """Every classification, and what Kayenta says of issue 780."""
    for case in json.loads((FOLDER / "kayenta" / "classifier_cases.json").read_text()):
        told = case["effect_size_args"] or ""
        sizes = {
            name: (float(low), float(high)) for name, low, high in re.findall(r"(\w+) = \(([\d.]+), ([\d.]+)\)", told)
        }
        judge = Classifier(
            case["tolerance"],
            case["confLevel"],
            sizes.get("effectSizeThresholds", (1.0, 1.0)),
            sizes.get("criticalThresholds", (1.0, 1.0)),
        )
        found = judge.classify(case["control"], case["experiment"], Direction(case["direction"]))
        yield found.label.value == case["expected"]
    case = json.loads((FOLDER / "kayenta" / "issue780_case1.json").read_text())
    yield Classifier().classify(case["control"], case["experiment"]).label.value == case["kayenta"]


def confidence_sequences() -> Iterator[bool]:
    """Every reference value."""
    values = json.loads((FOLDER / "confseq" / "reference_values.json").read_text())
    mixtures = {
        "two_sided_normal": (boundaries.normal(100, two_sided=True), math.inf),
        "one_sided_normal": (boundaries.normal(100), math.inf),
        "gamma_exponential c=2": (boundaries.gamma_exponential(100, 2), math.inf),
        "gamma_poisson c=2": (boundaries.gamma_poisson(100, 2), math.inf),
        "beta_binomial two-sided g=.2 h=.8": (boundaries.beta_binomial(100, 0.2, 0.8, two_sided=True), 500.0),
        "beta_binomial one-sided g=.2 h=.8": (boundaries.beta_binomial(100, 0.2, 0.8), 500.0),
    }
    for name, (mixture, most) in mixtures.items():
        for key, value in values[name].items():
            if key.startswith("best_rho"):
                found = boundaries.best_rho(100, 0.05)
            elif key.startswith("log_mixture"):
                found = mixture(10.0, 100.0)
            else:
                found = boundaries.bound(mixture, 100.0, 0.05, most)
            yield abs(found - value) <= CLOSE
    yield abs(boundaries.poly_stitching(100, 0.05, 10, 3) - values["poly_stitching(v=100,a=.05,v_min=10,c=3)"]) <= CLOSE
    yield abs(boundaries.poly_stitching(100, 0.05, 10, -1) - values["poly_stitching c=-1"]) <= CLOSE
    band = values["empirical_process_lil(1000,.05,100,.85)"]
    yield abs(boundaries.empirical_process(1000, 0.05, 100) - band) <= CLOSE
    for quantile, value in values["double_stitching(q,1000,.05,100)"].items():
        yield abs(boundaries.double_stitching(float(quantile), 1000, 0.05, 100) - value) <= CLOSE
