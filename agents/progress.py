"""Where a training run stands after an iteration, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from agents.evaluation import Evaluation
from agents.ppo import Losses


@dataclass(frozen=True)
class Progress:
    """Where a run stands after an iteration."""

    steps: int
    seconds: float
    """Wall time in training, resumed parts included, s."""
    cpu_seconds: float
    """Processor time of all threads, s."""
    success: float
    """Of the last `window` training episodes; nan before the first ended."""
    collisions: float
    length: float
    """Mean control steps of those episodes."""
    reward: float
    """Their mean undiscounted return."""
    losses: Losses
    held_out: Evaluation | None
    """The newest check, if this iteration made one."""
    diverged: int = 0
    """Worlds that blew up, resumed parts included; kept in the run's folder `diverged`."""
    ranges: Mapping[str, float] = field(default_factory=dict)
    """Where a curriculum stands (`Curriculum.figures`); empty without one."""

    def entry(self) -> dict[str, float]:
        """As the journal writes it (agents/journal.py)."""
        entry = {
            "steps": self.steps,
            "seconds": round(self.seconds, 3),
            "cpu_seconds": round(self.cpu_seconds, 3),
            "success": self.success,
            "collisions": self.collisions,
            "length": self.length,
            "return": self.reward,
            "diverged": self.diverged,
            **self.ranges,
            **{f"loss_{name}": value for name, value in self.losses._asdict().items()},
        }
        if self.held_out is not None:
            entry |= {f"held_out_{name}": value for name, value in self.held_out.plain().items()}
        return {key: round(float(value), 6) if isinstance(value, float) else value for key, value in entry.items()}


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    reached: bool
    """The last held-out check reached the target."""
    reason: str
    """target, steps or seconds"""
    held_out: Evaluation
    steps: int
    seconds: float
    cpu_seconds: float
