"""Whether numbers that somebody configures can be: whole, finite, within bounds; one line that says what was expected.

Configurations are plain data (`sim.tasks.task.TaskConfig`), so that a wrong number is found where a plant or an
environment is made of them, before any kernel reads it: kernels check nothing.
"""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np

from sim.errors import MusterError, nearest

MANY = 2**31 - 1
"""Bound of counts: kernels take int32."""

PEOPLE_MAX = 64
"""People, and forklifts, of one world: their draws are keyed by life * 64 + number, so that more would live twins."""


class ConfigError(MusterError):
    """A configuration that no environment can have."""


def check_whole(name: str, value: object, low: int, high: int = MANY, *, remedy: str = "correct it") -> None:
    """Raise `ConfigError` unless a value is a whole number from low to high."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or not low <= int(value) <= high:  # type: ignore[call-overload]  # it is whole here
        bounds = f"{low} or more" if high == MANY else f"from {low} to {high}"
        raise ConfigError(f"{name}: expected a whole number, {bounds}, got {value}; {remedy}")


def check_number(
    name: str, value: object, low: float, high: float = math.inf, *, above: bool = False, remedy: str = "correct it"
) -> None:
    """Raise `ConfigError` unless a value is a finite number from low to high; `above`: low itself is too little."""
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    seen = float(value) if number else math.nan  # type: ignore[arg-type]  # it is a number here
    if not math.isfinite(seen) or not low <= seen <= high or (above and seen == low):
        least = f"above {low:g}" if above else f"of {low:g} or more" if math.isfinite(low) else ""
        most = f"up to {high:g}" if math.isfinite(high) else ""
        bounds = " ".join(part for part in (least, most) if part)
        raise ConfigError(f"{name}: expected a finite number{' ' + bounds if bounds else ''}, got {value}; {remedy}")


def check_named(name: str, value: object, known: Collection[str]) -> None:
    """Raise `ConfigError` unless a value is one of some words."""
    if value not in known:
        raise ConfigError(f'{name}: expected {" or ".join(sorted(known))}, got "{value}"{nearest(str(value), known)}')
