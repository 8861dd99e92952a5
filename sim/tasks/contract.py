"""The contract of a policy: what it sees, what it says, and for which body.

A contract is canonical JSON (sorted keys, no spaces) of the ordered observation fields, the ordered actions and the
embodiment hash; its sha256 is the contract hash. A policy carries the contract that it was trained for, and a robot
refuses one whose hash is not its own. Observations are found by name, never by a number in the code.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from functools import cached_property


@dataclass(frozen=True)
class Field:
    """One named part of an observation or of an action."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    unit: str = "1"
    """SI, or 1 after scaling."""
    frame: str = ""
    """B, W, or empty where no frame applies."""
    low: float = -1.0
    high: float = 1.0
    """Every value lies in [low, high]."""
    period: int = 0
    """Time between two new values, ns; 0 for every control cycle."""
    latency: int = 0
    """Largest age of a value when it is acted on, ns."""

    @property
    def size(self) -> int:
        """Numbers in the field."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Contract:
    """Observation fields in order, actions in order, and the embodiment."""

    fields: tuple[Field, ...]
    actions: tuple[Field, ...]
    embodiment: str
    """`RobotSpec.embodiment_hash()`"""

    def canonical(self) -> str:
        """The contract as canonical JSON: the text that is hashed, stored and shown."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @cached_property
    def hash(self) -> str:
        """sha256 (hex) of `canonical()`."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()

    @property
    def observation_size(self) -> int:
        """Numbers in one observation."""
        return sum(field.size for field in self.fields)

    @property
    def action_size(self) -> int:
        """Numbers in one action."""
        return sum(field.size for field in self.actions)

    def slice(self, name: str) -> slice:
        """Where field `name` stands in a flat observation; KeyError for an unknown name."""
        start = 0
        for field in self.fields:
            if field.name == name:
                return slice(start, start + field.size)
            start += field.size
        raise KeyError(name)
