"""`muster evaluate-offline RUN ... --policy DIR`: what another meta policy would have achieved, from logs alone.

The runs' robots must have explored (`muster robot --meta learned --explore 0.1`): logs of a policy that draws nothing
say nothing of another one. Prints minutes of a choice until the next one: as logged, as the candidate would have, with
an interval; writes it as JSON with --out. Exit code 0 with an answer, 3 where the logs cannot tell.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tyro.conf import Positional

from agents.policy import Policy
from fleet.ope.choices import choices_of, log_of, target_of
from fleet.ope.estimate import Estimate, evaluate
from fleet.ope.log import OpeError
from hierarchy.chooser import Chooser, meta_place
from sim.files import write_atomic

UNSURE = 3
"""Exit code: the logs cannot tell."""


@dataclass(frozen=True)
class Config:
    """Say from logs alone what another meta policy would have achieved."""

    runs: Positional[tuple[Path, ...]]
    """Run directories or black boxes of robots that explored"""
    policy: Path
    """Directory of the candidate: its meta policy, or a run with one in meta/"""
    horizon: int = 8
    """Choices of an episode"""
    level: float = 0.95
    """Confidence of the interval"""
    out: Path | None = None
    """Where the estimate goes as JSON"""


def run(config: Config) -> int:
    """Evaluate; raises OpeError, BlackBoxError and PolicyError, each with one line."""
    if not config.runs:
        raise OpeError("expected a run directory or a black box, got none; name one")
    if not 1 <= config.horizon <= 100:
        raise OpeError(f"--horizon: expected 1 to 100 choices, got {config.horizon}; give for example 8")
    place = meta_place(config.policy)
    chooser = Chooser(Policy.load(place if place.is_dir() else config.policy))
    log = log_of([made for path in config.runs for made in choices_of(path)], config.horizon)
    found = evaluate(log, target_of(chooser), level=config.level)
    each = per_choice(found, float(log.alive.sum(axis=1).mean()))
    if config.out is not None:
        told = {"muster": 1, "policy": chooser.policy.hash, "choices": int(log.alive.sum()), **asdict(each)}
        write_atomic(config.out, json.dumps(told, indent=1) + "\n")
    print(f"{int(log.alive.sum())} choices in {log.episodes} episodes; minutes from a choice to the next:")
    print(f"  logged     {each.logged:.3f}")
    if found.abstains:
        print(f"  candidate  unknown: {'; '.join(found.abstains)}")
        return UNSURE
    print(f"  candidate  {each.value:.3f} ({each.low:.3f} to {each.high:.3f}, {100.0 * config.level:.0f} %)")
    return 0


def per_choice(found: Estimate, choices: float) -> Estimate:
    """Minutes of one choice, positive, instead of rewards of an episode of so many."""
    scale = -1.0 / choices
    return replace(
        found,
        value=found.value * scale,
        low=found.high * scale,
        high=found.low * scale,
        logged=found.logged * scale,
        model=found.model * scale,
        weighted=found.weighted * scale,
    )
