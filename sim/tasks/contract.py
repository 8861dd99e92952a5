"""What a policy and a robot must agree on: the ordered observation fields, the actions and the embodiment.

A contract is written as canonical JSON (sorted keys, no spaces); its sha256 is the contract hash that a frozen policy
carries. Fields are found by name and laid out in order. This module needs the standard library alone, because robots
import it.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass


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
