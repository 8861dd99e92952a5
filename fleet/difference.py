"""The first field in which two records differ: what replay says of a step that was decided otherwise.

Values are compared as msgpack bytes: NaN equals NaN, -0.0 differs from 0.0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np


@dataclass(frozen=True)
class Difference:
    """The first field that differs in one file."""

    cycle: int
    field: str
    """Dotted path"""
    recorded: str
    replayed: str


def compare(cycle: int, recorded: Any, replayed: Any, name: str) -> Difference | None:  # any records
    """The first field that differs, by msgpack bytes."""
    if msgspec.msgpack.encode(recorded) == msgspec.msgpack.encode(replayed):
        return None
    old, new = msgspec.to_builtins(recorded), msgspec.to_builtins(replayed)
    where = _first_difference(old, new)
    for key in where:
        old, new = old[key], new[key]
    path = ".".join([name, *map(str, where)])
    return Difference(cycle, path, _short(old), _short(new))


def _first_difference(old: Any, new: Any) -> list[Any]:  # plain values of two records
    """The path of keys to the first value that differs."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in old:
            if key not in new or msgspec.msgpack.encode(old[key]) != msgspec.msgpack.encode(new[key]):
                return [key, *_first_difference(old[key], new[key])] if key in new else []
    if isinstance(old, (list, tuple)) and isinstance(new, (list, tuple)) and len(old) == len(new):
        for index, (a, b) in enumerate(zip(old, new, strict=True)):
            if msgspec.msgpack.encode(a) != msgspec.msgpack.encode(b):
                return [index, *_first_difference(a, b)]
    return []


def numbers(observation: bytes) -> list[float]:
    """An observation as numbers, so that a difference names one of them."""
    return np.frombuffer(observation, np.float32).tolist()


def _short(value: Any) -> str:  # a plain value
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
