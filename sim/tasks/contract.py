"""What a policy and a robot must agree on: the ordered observation fields, the actions and the embodiment.

A contract is written as canonical JSON (sorted keys, no spaces); its sha256 is the contract hash that a frozen policy
carries. Fields are found by name and laid out in order. This module needs the standard library alone, because robots
import it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Field:
    """One named part of an observation or an action."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    """numpy's name: "float32"."""
    unit: str
    """Of one unit of the number as the policy sees it: "6 m" is metres divided by six."""
    frame: str
    """W, B or "" where there is none."""
    low: float
    high: float
    period: float
    """Time between two readings, s."""
    latency: float
    """Largest age that the robot may act on, s."""

    @property
    def size(self) -> int:
        """Numbers in the field."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Contract:
    """Observation, action and body of one kind of policy."""

    task: str
    fields: tuple[Field, ...]
    """Observation fields in order."""
    actions: tuple[Field, ...]
    embodiment: str
    """`RobotSpec.embodiment_hash()`."""

    @property
    def observation_size(self) -> int:
        """Numbers in an observation."""
        return sum(field.size for field in self.fields)

    @property
    def action_size(self) -> int:
        """Numbers in an action."""
        return sum(field.size for field in self.actions)

    def slices(self) -> dict[str, slice]:
        """Where each observation field lies in the flat observation."""
        places, at = {}, 0
        for field in self.fields:
            places[field.name] = slice(at, at + field.size)
            at += field.size
        return places

    def json(self) -> str:
        """The canonical text."""
        return json.dumps({"muster": 1, **asdict(self)}, sort_keys=True, separators=(",", ":"))

    @property
    def hash(self) -> str:
        """sha256 (hex) of the canonical text."""
        return hashlib.sha256(self.json().encode()).hexdigest()


def contract_from_json(text: str | bytes | Mapping[str, Any]) -> Contract:
    """The contract of a canonical text, or of its parsed form; ValueError, KeyError or TypeError where it is none."""
    data: Mapping[str, Any] = text if isinstance(text, Mapping) else json.loads(text)
    if not isinstance(data, Mapping) or data.get("muster") != 1:
        raise ValueError(f'expected a contract with "muster": 1, got {str(data)[:60]!r}')

    def fields(items: list[dict[str, Any]]) -> tuple[Field, ...]:
        return tuple(Field(**{**item, "shape": tuple(item["shape"])}) for item in items)

    return Contract(
        task=data["task"],
        fields=fields(data["fields"]),
        actions=fields(data["actions"]),
        embodiment=data["embodiment"],
    )
