"""What a candidate must pass before it drives a fleet: estimates from logs, simulated missions, shadow.

Each gives a decision and a reason in words. `hold` where the data do not say enough, `rollback` where they speak
against the candidate, `promote` else. All three are coarse on purpose: they cost no robot's time, and the fleet's
stages see what they cannot.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from agents.policy import Policy
from fleet.rollout.floor import EXPLORED, Logged
from fleet.rollout.gates import FEWEST, WORSE, Result
from fleet.rollout.record import Decision
from fleet.shadow.pairs import Pair
from fleet.shadow.verdict import PASS, REJECT, Evidence
from sim.robot import RobotSpec
from sim.tasks.navigate_contract import navigate_contract

EDGES = (0.2, 0.4)
"""Of the speed's bins, in the policy's own unit: slow, middling, fast"""
STEPS, EVERY = 5, 10
"""Choices that are weighed together, and how far apart such stretches of a mission begin: half a second of every
second. Longer ones leave no effective episodes: each step's ratio of probabilities is up to 2.4."""
ARRAYS = ("observations", "actions", "means", "moved")
BESIDE = 120
"""Missions of a shadow: without any intervention 5,000 decisions show less than one in 500 steps, these are 6,800"""


def offline(logged: Sequence[Logged], candidate: Policy, spec: RobotSpec) -> Result:
    """Doubly robust estimate of the way made in STEPS steps, from logs of an exploring baseline.

    Stretches of one mission hang together a little, so the interval is somewhat too short; WORSE is far outside it.
    """
    from fleet.ope.estimate import evaluate
    from fleet.ope.log import Log

    if len(logged) < FEWEST:
        return Result("hold", f"{len(logged)} logged missions, {FEWEST} are needed")
    whole = [
        replace(one, **{name: getattr(one, name)[begin : begin + STEPS] for name in ARRAYS})
        for one in logged
        for begin in range(0, len(one.moved) - STEPS + 1, EVERY)
    ]
    at = {name: place.start for name, place in navigate_contract(spec).slices().items()}
    columns = [at["track"], at["track"] + 1, at["twist"], at["remaining"], at["clearance"]]

    def kept(field: str) -> NDArray[np.float64]:
        return np.stack([getattr(one, field) for one in whole]).astype(np.float64)

    seen, meant = kept("observations"), kept("means")
    flat = np.asarray(candidate.act(seen.reshape(-1, seen.shape[2]).astype(np.float32)), np.float64)
    proposed = flat[:, :1].reshape(*seen.shape[:2], 1)
    action = np.digitize(kept("actions")[:, :, 0], EDGES)
    before = _bins(meant[:, :, 0].reshape(-1))
    propensity = before[np.arange(action.size), action.reshape(-1)].reshape(action.shape)
    log = Log(
        state=np.concatenate([seen[:, :, columns], proposed], axis=2),
        action=action,
        reward=kept("moved"),
        propensity=propensity,
        alive=np.ones(action.shape, bool),
        actions=len(EDGES) + 1,
    )

    def target(states: NDArray[np.float64]) -> NDArray[np.float64]:
        return _bins(states[:, -1])

    found = evaluate(log, target)
    told = f"estimate {found.value:.2f} m ({found.low:.2f} to {found.high:.2f}), logs {found.logged:.2f} m"
    if found.abstains:
        return Result("hold", f"no estimate: {found.abstains[0]}")
    if found.high < WORSE * found.logged:
        return Result("rollback", f"{told}: worse")
    return Result("promote", f"{told}, {found.effective:.0f} effective of {found.episodes} stretches")


def shadow(pairs: Sequence[Pair]) -> Result:
    """Decisions beside production, by the verdict of `fleet.shadow`: pass, hold or reject."""
    evidence = Evidence()
    for pair in pairs:
        evidence.add(pair)
    found = evidence.look()
    told = f"{found.pairs} decisions beside it; {found.reason}"
    told += "".join(
        f"; {finding.name} {finding.production:.3g}, of the candidate {finding.candidate:.3g}"
        for finding in found.findings
        if finding.name in ("margin", "progress")
    )
    decisions: dict[str, Decision] = {PASS: "promote", REJECT: "rollback"}
    return Result(decisions.get(found.decision, "hold"), told)


def _bins(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities (rows, bins) of speeds drawn around `means` with EXPLORED."""
    below = np.array([[_normal((edge - mean) / EXPLORED[0]) for edge in EDGES] for mean in means])
    ends = np.concatenate([np.zeros((len(means), 1)), below, np.ones((len(means), 1))], axis=1)
    return np.maximum(np.diff(ends, axis=1), 1e-9)


def _normal(x: float) -> float:
    return 0.5 * (1.0 + math.erf(x / math.sqrt(2.0)))
