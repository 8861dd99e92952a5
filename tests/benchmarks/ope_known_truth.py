"""ope_known_truth: off-policy estimates where the truth is known, 50 seeds of four worlds (ope_problems.py).

error       mean over seeds of |estimate - truth| / |truth|, of the worst world; beside it weighted importance sampling
            per decision of the same logs
coverage    share of the 95 % intervals that hold the truth, of the worst world
answered    share of these logs on which it answers at all; error and coverage are of those
abstains    share of the logs that cannot tell (a policy that drew nothing, no overlap, too few episodes) on which it
            says so

--quick: 6 seeds.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from figure import Figure

sys.path[:0] = [str(Path(__file__).resolve().parent.parent.parent)]

from ope_problems import KNOWN, MUST_ABSTAIN  # noqa: E402

from fleet.ope.estimate import evaluate  # noqa: E402


def measure(quick: bool) -> Iterable[Figure]:
    """Errors, coverage and abstention."""
    seeds = range(6 if quick else 50)
    errors, weighted, models, covered, answered = [], [], [], [], []
    for name, make in KNOWN.items():
        off, off_weighted, off_model, held = [], [], [], []
        for seed in seeds:
            problem = make(seed)
            estimate = evaluate(problem.log, problem.target, problem.discount)
            answered.append(not estimate.abstains)
            if estimate.abstains:
                continue
            off.append(abs(estimate.value - problem.truth) / abs(problem.truth))
            off_weighted.append(abs(estimate.weighted - problem.truth) / abs(problem.truth))
            off_model.append(abs(estimate.model - problem.truth) / abs(problem.truth))
            held.append(estimate.low <= problem.truth <= estimate.high)
        if not off:
            raise RuntimeError(f"expected answers on some logs of {name}, it abstains on all")
        errors.append(float(np.mean(off)))
        weighted.append(float(np.mean(off_weighted)))
        models.append(float(np.mean(off_model)))
        covered.append(float(np.mean(held)))
        print(
            f"{name}: error {errors[-1]:.4f} (model {models[-1]:.4f}, weights {weighted[-1]:.4f}), coverage "
            f"{covered[-1]:.2f} of {len(off)} answered",
            file=sys.stderr,
        )
    silent = [
        bool(evaluate(problem.log, problem.target, problem.discount).abstains)
        for make in MUST_ABSTAIN.values()
        for problem in map(make, seeds)
    ]
    yield Figure("error", max(errors), "1", "weighted importance sampling", max(weighted))
    yield Figure("coverage", min(covered), "1")
    yield Figure("answered", float(np.mean(answered)), "1")
    yield Figure("abstains", float(np.mean(silent)), "1")
