"""What goes wrong with learned policies, as one small tree.

MusterError
└── AgentError
    ├── TrainingError          a training configuration that cannot work
    ├── CheckpointError        truncated, altered, of another run, or no room to write
    └── PolicyError            a policy artifact that cannot be used
        └── ContractMismatch   a sound policy for another robot or task
"""

from __future__ import annotations

from sim.errors import MusterError


class AgentError(MusterError):
    """Base of everything that this package raises on bad input."""


class TrainingError(AgentError):
    """A training configuration that cannot work."""


class CheckpointError(AgentError):
    """A checkpoint that cannot be read, does not fit, or cannot be written."""


class PolicyError(AgentError):
    """A policy artifact that is missing, damaged or altered."""


class ContractMismatch(PolicyError):
    """A sound policy that was trained for another contract than the one asked for."""
