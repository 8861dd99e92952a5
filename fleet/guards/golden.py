"""Golden observations: readings, what the feature code of training made of them, and what the policy said.

They lie in the policy's manifest. A robot makes the same observations from the same readings before it loads a policy
for good (fleet/guards/preflight.py): other units, another order of fields, a mirrored scan or turned sign in its
feature code give others, and a graph with another normaliser gives other actions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.errors import PolicyError
from agents.policy import Policy
from fleet.guards.raw import Raw

MANY = 12
"""Observations: enough that each field is far from zero in some."""


@dataclass(frozen=True)
class Golden:
    """One of them."""

    raw: dict[str, NDArray[np.float32]]
    """Each of the feature code's inputs, (1, ...)"""
    observation: NDArray[np.float32]
    """(1, n)"""
    action: NDArray[np.float32]
    """(1, k)"""


def make(policy: Policy, samples: Iterable[tuple[Raw, NDArray[np.float32]]]) -> list[dict[str, Any]]:  # JSON values
    """What the manifest keeps of readings and their observations."""
    return [
        {
            "raw": {each.name: np.asarray(getattr(raw, each.name)[0], float).tolist() for each in fields(raw)},
            "observation": observation[0].astype(float).tolist(),
            "action": policy.act(observation)[0].astype(float).tolist(),
        }
        for raw, observation in samples
    ]


def read(guard: Mapping[str, Any]) -> list[Golden]:  # JSON values
    """The golden observations of a manifest's `guard`. Raises PolicyError where they cannot be read."""
    try:
        found = [
            Golden(
                {name: np.array([values], np.float32) for name, values in each["raw"].items()},
                np.array([each["observation"]], np.float32),
                np.array([each["action"]], np.float32),
            )
            for each in guard["golden"]
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PolicyError(
            f"expected golden observations in the policy's manifest, they cannot be read ({error!r}); "
            "run `muster calibrate-guard` again"
        ) from error
    if not found:
        raise PolicyError("expected golden observations in the policy's manifest, got none; run it again")
    return found
