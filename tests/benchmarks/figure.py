"""One number that a benchmark measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """What `measure(quick)` of a benchmark yields, once per part; the part names are fixed in docs/benchmarks.md."""

    part: str
    value: float
    unit: str
    """`1` for counts and shares; a percentage is a share between 0 and 1."""
    rival: str = ""
    """What it is compared with, measured in the same run."""
    rival_value: float | None = None


class NotHere(Exception):
    """What a benchmark measures cannot be measured on this machine; its id stays open."""
