"""The hierarchy bottom-up: which levels there are, what each is trained on, and how it compares with its twin.

    motor      tracks commanded speeds             twin: the drive's law              lower mean speed error is better
    navigate   on the frozen motor policy          twin: pure pursuit                 success x speed
    meta       on frozen skills                    twin: the hand-written rules       order lines per hour

A level is frozen before the next one is trained: its manifest names, under `below`, the hash of every policy that it
was trained on, so that a hierarchy closes or is refused (`check_chain`). This module plans and compares; it trains
nothing (fleet/hierarchy_train.py) and needs no learning library.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from sim.errors import MusterError
from sim.files import write_atomic

LEVELS = ("motor", "navigate", "meta")
"""Bottom-up: the order of training, and the names of the folders."""

COMPARISON = "comparison.json"
"""Beside a level's policy."""


class ChainError(MusterError):
    """The levels of a hierarchy were not trained on each other."""


@dataclass(frozen=True)
class Comparison:
    """One level beside its hand-written twin, in the same episodes."""

    level: str
    figure: str
    """What was measured, for people."""
    unit: str
    learned: float
    twin: float
    goal: float
    """Of learned over twin."""
    better: Literal["lower", "higher"]
    episodes: int
    """Of each."""
    twin_name: str = ""
    """What the twin is, for people."""

    @property
    def ratio(self) -> float:
        """Learned over twin; nan where the twin did nothing."""
        return self.learned / self.twin if self.twin else float("nan")

    @property
    def reached(self) -> bool:
        """Whether the ratio is on the right side of the goal; False where it is no number."""
        return self.ratio <= self.goal if self.better == "lower" else self.ratio >= self.goal

    def line(self) -> str:
        """One line for a log."""
        sign = "<=" if self.better == "lower" else ">="
        return (
            f"{self.level}: {self.figure} {self.learned:.4g} {self.unit}, twin {self.twin:.4g}: ratio {self.ratio:.3f} "
            f"(goal {sign} {self.goal:g})"
        )

    def shortfall(self) -> str:
        """Where it is beside its goal, for the line that names the levels that missed theirs."""
        side = "above" if self.better == "lower" else "below"
        return f"{self.level} (ratio {self.ratio:.3f}, {side} its goal of {self.goal:g})"

    def write(self, directory: Path) -> None:
        """As comparison.json of a level."""
        write_atomic(directory / COMPARISON, json.dumps({"muster": 1, **asdict(self)}, indent=1) + "\n")


def read_comparison(directory: Path) -> Comparison | None:
    """What `write` wrote, or None; raises ChainError for a damaged file."""
    path = directory / COMPARISON
    if not path.exists():
        return None
    try:
        values = json.loads(path.read_text())
        values.pop("muster")
        return Comparison(**values)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ChainError(
            f"expected a comparison of a level, {path} is damaged ({error}); remove it to go on"
        ) from error


def read_comparisons(directory: Path) -> Sequence[Comparison]:
    """Those of a run's levels that were made, bottom-up."""
    found = (read_comparison(directory / level) for level in LEVELS)
    return [comparison for comparison in found if comparison is not None]


def check_chain(manifests: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise ChainError unless every level was trained on the very policies given below it; manifests by level."""
    for number, level in enumerate(LEVELS):
        manifest = manifests.get(level)
        if manifest is None:
            continue
        stated = manifest.get("training", {}).get("below", {})
        for lower in LEVELS[:number]:
            if lower not in manifests:
                continue
            expected = manifests[lower]["onnx_sha256"]
            if stated.get(lower) != expected:
                raise ChainError(
                    f"expected {level} to be trained on {lower} {expected[:12]}, its manifest names "
                    f"{str(stated.get(lower))[:12]}; train {level} again on it"
                )
