"""Scenarios by one word of a command line: `cut_in`, `cut_in:gap=20,lateral=1.2`, `cut_in:top=60,ego=50km/h`.

Before the colon the family, after it parameters that are fixed; the others vary. `top` (km/h) and `radius` (m, to the
left positive) choose the family's variant. Values are SI unless they name km/h.
"""

from __future__ import annotations

import math
import re

from sim.driving.families import FAMILIES, KMH
from sim.driving.scenario import Scenario, ScenarioError, grid
from sim.errors import nearest, shown

OPTIONS = {"top": 130.0, "radius": math.inf}
"""What chooses a variant, and what counts where it is not given."""

NUMBER = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(km/h|)", re.ASCII)


def scenario_of(text: str) -> Scenario:
    """The scenario that a word names. Raises ScenarioError: one line that names the nearest known word."""
    name, _, rest = text.partition(":")
    if name not in FAMILIES:
        raise ScenarioError(f"expected the name of a scenario, got {shown(name)}{nearest(name, FAMILIES)}")
    options: dict[str, float] = {}
    fixed: dict[str, float] = {}
    for part in rest.split(",") if rest else ():
        word, sign, value = part.partition("=")
        if not sign:
            raise ScenarioError(f"{name}: expected PARAMETER=VALUE, got {shown(part)}; write {name}:gap=20")
        if word in fixed or word in options:
            raise ScenarioError(f"{name}: {word} stands twice; keep one")
        if word in OPTIONS:
            options[word] = _number(name, word, value, kmh=word == "top")
        else:
            fixed[word] = _number(name, word, value)
    family = FAMILIES[name](*(OPTIONS | options).values())
    known = [parameter.name for parameter in family.parameters]
    for word in fixed:
        if word not in known:
            raise ScenarioError(
                f"{name}: expected a parameter ({', '.join(known)}), top or radius, got "
                f"{shown(word)}{nearest(word, [*known, *OPTIONS])}"
            )
    found = family.fixed(**fixed)
    if fixed:
        grid(found)  # raises where the rules leave nothing of what is fixed
    return found


def _number(name: str, word: str, text: str, *, kmh: bool = False) -> float:
    match = NUMBER.fullmatch(text)
    if match is None or not math.isfinite(float(match[1])):
        raise ScenarioError(f"{name}: {word}: expected a number, 20 or 50km/h, got {shown(text)}; correct it")
    scale = KMH if match[2] and not kmh else 1.0
    return float(match[1]) * scale
